//! Writing lost edits again, in the log that is written now: as edits made beside what their author
//! knew, so that what others wrote meanwhile stands beside them and nothing is overwritten.
//!
//! Which commits do not count is decided elsewhere. Claims are not made again: whoever made one is
//! told that it is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::edition::Edition;
use super::retract::{self, Cuts};
use super::{Host, LocalTracker, date, fields, may_rule, names};
use crate::claim::link;
use crate::claim::record::{Act, Record, Reopen};
use crate::document::ancestry::Ancestry;
use crate::document::lost::LostChange;
use crate::document::{Birth, Content, Document, Edit, Heads};
use crate::id::{AgentId, DocumentKey, LogId, RecordHash};
use crate::interface::TrackerError;
use crate::interface::history::Share;
use crate::journal::JournalError;
use crate::journal::charter::Role;
use crate::journal::commit::{Body, Entry, Position, decode_body, decode_header};
use crate::store::{Journal, Losses, LostCommit, Rows, Tables, VoidCommit};

/// What was written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reissued {
    /// How many commits it took: what was lost was in so many.
    pub commits: usize,
    /// How many issues got something back.
    pub issues: usize,
    /// How many records were passed over: claims, and what does not fit any more.
    pub passed_over: usize,
    /// How many lost commits wait for an issue that is not here: another author has to bring it back.
    pub waiting: usize,
}

impl LocalTracker {
    /// Writes this agent's lost edits again, where they are not said already, in a log that counts.
    /// Asked again, it writes nothing more.
    ///
    /// # Errors
    /// [`JournalError::NotAllowed`] where this agent may not write: what is lost stays kept.
    pub fn reissue(&mut self, progress: &mut dyn FnMut(Share)) -> Result<Reissued, TrackerError> {
        let host = self.host()?;
        let agent = host.signer.agent();
        let reading = self.store.read()?;
        if reading.lost_places_of(agent)?.is_empty() {
            return Ok(Reissued::default());
        }
        may_write(&reading, host)?;
        let lost = reading.lost()?;
        let mut edition = Edition::start(&self.store, host)?;
        let may_rule = may_rule(edition.tables(), host)?;
        let mut again = Again { edition: &mut edition, may_rule, report: Reissued::default() };
        let work = Work::of(again.edition.tables(), lost, agent)?;
        let total = work.documents.len() as u64;
        for (at, document) in work.documents.iter().enumerate() {
            again.document(document)?;
            progress(Share { done: at as u64 + 1, total });
        }
        let mut report = again.report;
        for lost in &work.own {
            if waits(edition.tables(), lost)? {
                report.waiting += 1;
            } else {
                report.commits += 1;
                forget(&edition, lost)?;
            }
        }
        edition.finish()?;
        Ok(report)
    }

    /// Tells whether [`LocalTracker::reissue`] has something to write: also after another author brought
    /// back an issue that lost edits of this agent waited for.
    pub fn may_reissue(&self) -> Result<bool, TrackerError> {
        let agent = self.host()?.signer.agent();
        let reading = self.store.read()?;
        for lost in reading.lost_of(agent)? {
            if !waits(&reading, &lost)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes back what this agent wrote before the list made it a member, and writes it again under
    /// the charter that is known now: nobody else takes the commits as they were.
    ///
    /// # Errors
    /// [`JournalError::NotAllowed`] where this agent may not write still.
    pub fn adopt(&mut self, progress: &mut dyn FnMut(Share)) -> Result<Reissued, TrackerError> {
        let host = self.host()?;
        let agent = host.signer.agent();
        let writing = self.store.write()?;
        let charter = writing.charter()?;
        let mut cuts = Cuts::new();
        for log in writing.frontier()?.0.into_keys().filter(|log| log.agent == agent) {
            // Whoever had a role keeps it, so a log that begins under one goes on so.
            let Some((header, _)) = writing.header_at(log, 1)? else { continue };
            let role = charter.role_under(agent, &decode_header(&header)?.charter);
            if !role.is_some_and(Role::may_write) {
                cuts.insert(log, 1);
            }
        }
        if !cuts.is_empty() {
            may_write(&writing, host)?;
            let why = "its author was no member under the charter that it names";
            retract::run(&writing, agent, cuts, why, None)?;
            writing.commit()?;
        } else {
            drop(writing);
        }
        self.reissue(progress)
    }
}

/// Refuses an agent whose commits nobody would take.
fn may_write(tables: &impl Tables, host: &Host) -> Result<(), TrackerError> {
    let agent = host.signer.agent();
    let charter = tables.charter()?;
    match charter.may_write(agent) {
        true => Ok(()),
        false => Err(JournalError::NotAllowed { agent }.into()),
    }
}

/// Tells whether a lost commit wrote to an issue that is not here.
fn waits(tables: &impl Tables, lost: &LostCommit) -> Result<bool, TrackerError> {
    for entry in body_of(lost).entries {
        if !tables.has_document(entry.birth.key())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keeps in mind that a lost commit was written again.
fn forget(edition: &Edition<'_>, lost: &LostCommit) -> Result<(), TrackerError> {
    let Position { number, hash } = lost.position;
    edition.tables().remove_lost(lost.log, lost.position)?;
    if is_counted(edition.tables(), lost)? {
        return Ok(());
    }
    let known = edition.tables().void(hash)?;
    let unknown = || VoidCommit::new(lost.log, number, "another branch of its log counts".into());
    let void = VoidCommit { is_reissued: true, ..known.unwrap_or_else(unknown) };
    edition.tables().put_void(hash, &void)
}

fn is_counted(tables: &impl Tables, lost: &LostCommit) -> Result<bool, TrackerError> {
    Ok(tables.place_of_commit(lost.position.hash)?.is_some())
}

/// What is to be written again.
struct Work {
    own: Vec<LostCommit>,
    /// In the order in which they were first touched.
    documents: Vec<LostDocument>,
}

/// A document of which changes were lost.
struct LostDocument {
    birth: Birth,
    /// This agent's, in the order in which they were made.
    own: Vec<LostChange>,
    /// The bytes of those of others.
    others: Vec<Vec<u8>>,
}

impl Work {
    fn of(
        tables: &impl Tables,
        lost: Vec<LostCommit>,
        agent: AgentId,
    ) -> Result<Self, TrackerError> {
        let (own, others): (Vec<LostCommit>, Vec<LostCommit>) =
            lost.into_iter().partition(|lost| lost.log.agent == agent);
        let mut places: BTreeMap<DocumentKey, usize> = BTreeMap::new();
        let mut documents: Vec<LostDocument> = Vec::new();
        for lost in &own {
            if is_counted(tables, lost)? {
                continue;
            }
            for Entry { birth, changes } in body_of(lost).entries {
                let at = *places.entry(birth.key()).or_insert_with(|| {
                    let (own, others) = (Vec::new(), Vec::new());
                    documents.push(LostDocument { birth: birth.clone(), own, others });
                    documents.len() - 1
                });
                let read = |bytes: &Vec<u8>| LostChange::read(&birth, bytes);
                documents[at].own.extend(changes.iter().filter_map(read));
            }
        }
        for entry in others.iter().flat_map(|lost| body_of(lost).entries) {
            if let Some(at) = places.get(&entry.birth.key()) {
                documents[*at].others.extend(entry.changes);
            }
        }
        Ok(Self { own, documents })
    }
}

/// Returns what a lost commit holds; nothing where that cannot be read.
fn body_of(lost: &LostCommit) -> Body {
    decode_body(&lost.commit.body).unwrap_or_default()
}

/// Work in one writing.
struct Again<'a, 'b> {
    edition: &'a mut Edition<'b>,
    may_rule: bool,
    report: Reissued,
}

impl Again<'_, '_> {
    /// Writes the lost changes of one document again.
    fn document(&mut self, lost: &LostDocument) -> Result<(), TrackerError> {
        let key = lost.birth.key();
        let mut known = self.edition.tables().document(key)?;
        let before = known.as_ref().map(Document::heads);
        let mut ancestry = ancestry_of(lost, known.as_ref());
        let mut records: BTreeMap<RecordHash, RecordHash> = BTreeMap::new();
        for change in in_order(&lost.own) {
            let Some(document) = &mut known else {
                // Where others created the issue, they have to bring it back first.
                if change.creates {
                    let heads = self.edition.create(lost.birth.clone(), &change.edit)?;
                    ancestry.replace(change.hash, heads);
                    known = Some(names::document(self.edition.tables(), key)?);
                }
                continue;
            };
            if document.holds(&[change.hash]) {
                continue;
            }
            let heads = match change.again(document) {
                Some(again) => vec![again],
                None => {
                    let heads = ancestry.nearest(document, &change.deps);
                    self.beside(document, change, heads, lost.own.len() == 1)?
                }
            };
            ancestry.replace(change.hash, heads);
            for record in &change.records {
                if let Some(again) = self.record(document, record, &records)? {
                    records.insert(record.hash(), again);
                }
            }
        }
        self.report.issues += usize::from(known.map(|document| document.heads()) != before);
        Ok(())
    }

    /// Writes what a document lacks of a change beside what came after some heads; returns the heads
    /// of what its author has said then.
    fn beside(
        &mut self,
        document: &mut Document,
        change: &LostChange,
        heads: Heads,
        is_only: bool,
    ) -> Result<Heads, TrackerError> {
        let now = document.read();
        let mut edit = change.missing(document, &now, &heads);
        if change.creates && (!is_only || !edit.is_empty()) {
            // Whole, as an import is: what was written on it replaces what others imported.
            edit = change.edit.clone();
        }
        if !change.creates && !self.may_rule && edit.needs_maintainer(&document.read_at(&heads)) {
            edit.leave_out("state");
        }
        if edit.is_empty() {
            return Ok(heads);
        }
        let before = document.heads();
        let is_on_top = heads == before;
        if !change.creates {
            match change.edit.register("updated_at").flatten().filter(|_| is_on_top) {
                // It is that version again, so it has its date.
                Some(dated) => edit.set(&now, "updated_at", Some(dated)),
                None => date(&mut edit, &now, self.edition.now()),
            }
        }
        self.edition.write(document, &edit, (!is_on_top).then_some(&heads))?;
        let after = document.heads().into_iter().filter(|head| !before.contains(head));
        Ok(after.collect())
    }

    /// Makes a record again that fits what is here now: a ruling where the issue is not over, and what
    /// ends a claim that counts. `again` says which lost records were made again as which.
    fn record(
        &mut self,
        document: &mut Document,
        lost: &Record,
        again: &BTreeMap<RecordHash, RecordHash>,
    ) -> Result<Option<RecordHash>, TrackerError> {
        let content = document.read();
        let mut edit = Edit::default();
        match &lost.act {
            Act::Ruling(ruling) if !content.issue.is_terminal() => {
                let state = fields::quoted(ruling.verdict.state().name());
                edit.set_state(&content, Some(&state), ruling.reason.as_deref());
            }
            Act::Reopen(reopen) => edit_reopen(&mut edit, &content, reopen, again),
            Act::End(_) | Act::Contest { .. } => edit.add(lost.act.clone()),
            Act::Shard(shard) if shard.epoch > 0 => edit.add(lost.act.clone()),
            Act::Ruling(_) | Act::Shard(_) | Act::Claim(_) => {}
        }
        let log = LogId { agent: lost.by, nonce: [0; 8] };
        let records = edit.records(log, self.edition.now());
        let fits = link::has_room(&content.tree, &records)
            && link::check(content.issue.id(), &content.tree, &records).is_ok()
            && (self.may_rule || !edit.needs_maintainer(&content));
        if edit.is_empty() || !fits {
            self.report.passed_over += usize::from(!matches!(lost.act, Act::Shard(_)));
            return Ok(None);
        }
        date(&mut edit, &content, self.edition.now());
        self.edition.write(document, &edit, None)?;
        Ok(records.first().map(Record::hash))
    }
}

/// Returns changes of a document so that each stands after those that it builds on, and a creation
/// before all else: a neighbour may have handed the older ones back later.
fn in_order(changes: &[LostChange]) -> Vec<&LostChange> {
    let mut open: Vec<&LostChange> = changes.iter().filter(|change| !change.creates).collect();
    let mut ordered: Vec<&LostChange> = changes.iter().filter(|change| change.creates).collect();
    while !open.is_empty() {
        let waits =
            |change: &LostChange| open.iter().any(|other| change.deps.contains(&other.hash));
        let next = open.iter().position(|change| !waits(change)).unwrap_or(0);
        ordered.push(open.remove(next));
    }
    ordered
}

/// Returns what the lost changes of a document built on, with what their authors wrote again in their
/// place.
fn ancestry_of(lost: &LostDocument, document: Option<&Document>) -> Ancestry {
    let mut ancestry = Ancestry::default();
    for bytes in &lost.others {
        ancestry.add(bytes);
        let change = LostChange::read(&lost.birth, bytes);
        if let (Some(change), Some(document)) = (change, document)
            && let Some(again) = change.again(document)
        {
            ancestry.replace(change.hash, vec![again]);
        }
    }
    for change in &lost.own {
        ancestry.replace(change.hash, change.deps.clone());
    }
    ancestry
}

/// Opens again what a lost reopen had opened, where nothing else was ruled or handed off since.
fn edit_reopen(
    edit: &mut Edit,
    content: &Content,
    reopen: &Reopen,
    again: &BTreeMap<RecordHash, RecordHash>,
) {
    let tree = &content.tree;
    let handoffs = tree.standing_handoffs().into_iter().map(|(end, _)| end);
    let standing: BTreeSet<RecordHash> = tree.verdicts().iter().copied().chain(handoffs).collect();
    let now = |hash: &RecordHash| again.get(hash).copied().unwrap_or(*hash);
    let answers: BTreeSet<RecordHash> = reopen.answers.iter().map(now).collect();
    if !standing.is_empty() && standing.is_subset(&answers) {
        let reason = reopen.reason.clone();
        edit.add(Act::Reopen(Reopen { answers: standing.into_iter().collect(), reason }));
    }
}
