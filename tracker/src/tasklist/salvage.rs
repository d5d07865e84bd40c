//! Lost commits: telling what they held that nobody wrote again, and handing them to their author, who
//! may have lost the very store that had them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{LocalTracker, names};
use crate::claim::record::{Act, End, How, Record};
use crate::document::ancestry::Ancestry;
use crate::document::edit::same;
use crate::document::lost::LostChange;
use crate::document::scalar::quote;
use crate::document::steps::What;
use crate::document::{Birth, Content, Document};
use crate::id::{AgentId, CommitHash, DocumentKey, LogId};
use crate::interface::TrackerError;
use crate::journal::commit::{Commit, Position, decode_body};
use crate::journal::run::{Proved, RUN_HEADERS_MAX, Run};
use crate::journal::stream::Item;
use crate::store::{Journal, Losses, LostCommit, Meta, Reading, Rows, Sealed, Tables, row_key};

/// What somebody wrote that does not count any more, and that nobody has written since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostEdit {
    /// The name to call the issue by; its id where it is not here.
    pub name: String,
    /// Who wrote it.
    pub author: AgentId,
    /// The commit that held it.
    pub commit: CommitHash,
    /// Which field.
    pub field: String,
    /// What was done to the field, against what its author knew that is still here.
    pub what: What,
}

/// A stream of lost commits to their author that is going on. It holds no lock.
#[derive(Debug)]
pub struct OutgoingLost {
    /// When each was lost and where it stood, the next one last.
    places: Vec<(u64, LogId, Position)>,
    /// The headers of the run that was sent last.
    announced: Vec<CommitHash>,
}

impl LocalTracker {
    /// Returns the edits that were lost and that nobody has written again, oldest first.
    ///
    /// Those of others are kept for a while only: the oldest go when there are too many.
    pub fn lost(&self) -> Result<Vec<LostEdit>, TrackerError> {
        let reading = self.store.read()?;
        let mut told = Vec::new();
        let mut documents: BTreeMap<DocumentKey, (Birth, Vec<(CommitHash, LostChange)>)> =
            BTreeMap::new();
        for lost in reading.lost()? {
            let hash = lost.position.hash;
            if reading.void(hash)?.is_some_and(|void| void.is_reissued) {
                continue;
            }
            for entry in decode_body(&lost.commit.body).unwrap_or_default().entries {
                let read = |bytes: &Vec<u8>| LostChange::read(&entry.birth, bytes);
                let changes = entry.changes.iter().filter_map(read).map(|change| (hash, change));
                let known = documents.entry(entry.birth.key());
                known.or_insert_with(|| (entry.birth.clone(), Vec::new())).1.extend(changes);
            }
        }
        for (birth, changes) in documents.into_values() {
            tell(&reading, &birth, &changes, &mut told)?;
        }
        Ok(told)
    }

    /// Tells whether of commits that do not count elsewhere one neither counts here nor is kept to be
    /// written again, nor was written again.
    pub fn lacks_lost(&self, places: &[(LogId, Position)]) -> Result<bool, TrackerError> {
        let reading = self.store.read()?;
        for (log, position) in places {
            if !is_known(&reading, *log, *position)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the lost commits of an agent that are kept here, those lost first before others.
    pub fn lost_commits_of(&self, agent: AgentId) -> Result<Vec<Sealed>, TrackerError> {
        let sealed = |LostCommit { log, position, commit, .. }| Sealed { log, position, commit };
        Ok(self.store.read()?.lost_of(agent)?.into_iter().map(sealed).collect())
    }

    /// Returns where the lost commits of an agent stood that are kept here, those lost last first, at
    /// most `limit`.
    pub fn lost_places_of(
        &self,
        agent: AgentId,
        limit: usize,
    ) -> Result<Vec<(LogId, Position)>, TrackerError> {
        let mut places = self.store.read()?.lost_places_of(agent)?;
        places.sort_by_key(|(turn, ..)| Reverse(*turn));
        places.truncate(limit);
        Ok(places.into_iter().map(|(_, log, position)| (log, position)).collect())
    }

    /// Starts a stream of the lost commits of an agent that are kept here, the one first that was lost
    /// first.
    pub fn lost_stream(&self, agent: AgentId) -> Result<OutgoingLost, TrackerError> {
        let mut places = self.store.read()?.lost_places_of(agent)?;
        places.sort_by_key(|(turn, ..)| Reverse(*turn));
        Ok(OutgoingLost { places, announced: Vec::new() })
    }

    /// Returns the next pieces of it, of about `bytes_max` bytes; none at its end. An
    /// [`crate::journal::stream::Incoming`] makes of them what [`LocalTracker::take_lost`] takes.
    pub fn send_lost(
        &self,
        outgoing: &mut OutgoingLost,
        bytes_max: usize,
    ) -> Result<Vec<Item>, TrackerError> {
        let reading = self.store.read()?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max {
            let Some((_, log, position)) = outgoing.places.pop() else { break };
            // What was written again or had to make room meanwhile is not kept any more.
            let Some(lost) = reading.lost_at(log, position)? else { continue };
            if !outgoing.announced.contains(&position.hash) {
                let Some(run) = run_from(&reading, &lost)? else { continue };
                outgoing.announced =
                    run.headers.iter().map(|header| CommitHash::of(header)).collect();
                bytes += run.bytes();
                items.push(Item::Run(run));
            }
            let item = Item::Body { log, number: position.number, body: lost.commit.body };
            bytes += item.bytes();
            items.push(item);
        }
        Ok(items)
    }

    /// Returns the lost commits of an agent as pieces of a stream, all at once.
    pub fn lost_items_of(&self, agent: AgentId) -> Result<Vec<Item>, TrackerError> {
        self.send_lost(&mut self.lost_stream(agent)?, usize::MAX)
    }

    /// Takes commits of this agent that a neighbour holds as lost, so that they can be written again;
    /// returns how many were not known. What counts here, or was written again, is passed over.
    pub fn take_lost(&mut self, commits: &[Proved]) -> Result<usize, TrackerError> {
        let agent = self.host()?.signer.agent();
        let writing = self.store.write()?;
        let (mut turn, mut taken) = (writing.next_turn()?, 0);
        for commit in commits.iter().filter(|commit| commit.header().log.agent == agent) {
            let (log, position) = (commit.header().log, commit.position());
            if is_known(&writing, log, position)? {
                continue;
            }
            let (commit, rest) = (commit.to_commit(), commit.rest());
            let lost = LostCommit { log, position, commit, rest, turn };
            writing.put_lost(&lost)?;
            if writing.own_log()? == Some(log) {
                writing.abandon_own_log()?;
            }
            (turn, taken) = (turn + 1, taken + 1);
        }
        if taken > 0 {
            writing.commit()?;
        }
        Ok(taken)
    }
}

/// Tells whether a commit counts here, is kept to be written again, or was written again.
fn is_known(tables: &impl Tables, log: LogId, position: Position) -> Result<bool, TrackerError> {
    Ok(tables.place_of_commit(position.hash)?.is_some()
        || tables.void(position.hash)?.is_some_and(|void| void.is_reissued)
        || tables.is_kept_as_lost(log, position)?)
}

/// Returns the headers of a lost commit and of those that follow it, up to a signature; `None` where
/// none of them is kept.
fn run_from(reading: &Reading, lost: &LostCommit) -> Result<Option<Run>, TrackerError> {
    let (mut headers, mut last): (Vec<Vec<u8>>, _) = (Vec::new(), lost.clone());
    loop {
        let LostCommit { log, position, commit, rest, .. } = last;
        let Commit { header, signature, .. } = commit;
        headers.push(header);
        if let Some(signature) = signature {
            return Ok(Some(Run { headers, signature }));
        }
        if let Some(rest) = rest {
            headers.extend(rest.headers);
            return Ok(Some(Run { headers, signature: rest.signature }));
        }
        if headers.len() == RUN_HEADERS_MAX {
            return Ok(None);
        }
        match reading.lost_after(log, position)? {
            Some(next) => last = next,
            None => return Ok(None),
        }
    }
}

/// Tells what a document lacks of changes that were lost.
fn tell(
    reading: &Reading,
    birth: &Birth,
    changes: &[(CommitHash, LostChange)],
    told: &mut Vec<LostEdit>,
) -> Result<(), TrackerError> {
    let known = reading.document(birth.key())?;
    let name = match reading.row(&row_key(birth))? {
        Some(row) => names::display_name(reading, &row)?,
        None => birth.id.clone(),
    };
    let document = known.unwrap_or_else(|| Document::new(birth.clone()));
    let now = document.read();
    let mut ancestry = Ancestry::default();
    for (_, change) in changes {
        ancestry.replace(change.hash, change.deps.clone());
    }
    for (commit, change) in changes {
        if change.again(&document).is_some() {
            continue;
        }
        let heads = ancestry.nearest(&document, &change.deps);
        let edits = change.missing(&document, &now, &heads).told(&document.read_at(&heads));
        let records = change.records.iter().filter_map(|record| told_of(record, &now));
        for (field, what) in edits.into_iter().chain(records) {
            let (name, author) = (name.clone(), change.log.agent);
            told.push(LostEdit { name, author, commit: *commit, field, what });
        }
    }
    Ok(())
}

/// Returns what a lost record did to a field, where its author has not made it again; a lost claim is
/// told to its worker.
fn told_of(lost: &Record, now: &Content) -> Option<(String, What)> {
    let is_again = |record: &Record| {
        record.by == lost.by
            && match (&record.act, &lost.act) {
                (Act::Ruling(again), Act::Ruling(lost)) => again.verdict == lost.verdict,
                (Act::End(again), Act::End(lost)) => again.how == lost.how,
                _ => false,
            }
    };
    if now.tree.records().values().any(is_again) {
        return None;
    }
    let (field, to) = match &lost.act {
        Act::Ruling(ruling) => ("state", quote(ruling.verdict.state().name())),
        Act::End(End { how: How::HandedOff(json), .. }) => ("handoff", json.clone()),
        _ => return None,
    };
    let from = now.issue.json(field);
    let what = What::Value { from: from.map(str::to_owned), to: Some(to.clone()) };
    (!same(from, Some(&to))).then(|| (field.to_owned(), what))
}
