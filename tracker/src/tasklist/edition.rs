//! One writing to the store: changes of documents, gathered into signed commits, made durable
//! together.

use std::collections::BTreeSet;

use super::exchange::{LOGS_PER_AGENT_MAX, logs_of};
use super::watching::Outlook;
use super::{Host, beats, names, outcomes, row};
use crate::claim::{Act, Phase, Record, link};
use crate::document::{Birth, Content, Document, DocumentError, Edit, Heads, creation};
use crate::id::{CommitHash, DocumentKey, ListId, LogId, RecordHash, StatementHash};
use crate::interface::TrackerError;
use crate::interface::report::Row;
use crate::journal::JournalError;
use crate::journal::charter::{Signed, Statement};
use crate::journal::commit::{
    self, BODY_BYTES_MAX, Body, Commit, Entry, HEADER_BYTES_MAX, Header, Position, RULES_VERSION,
    SIGNATURE_EVERY,
};
use crate::journal::frontier::Frontier;
use crate::store::{
    Claims, Founding, Journal, Meta, Proof, Rows, Sealed, Store, Writing, place_of, row_key,
};
use crate::timestamp::Timestamp;

/// Past this many bytes of changes a commit is closed: well under the bound, for what encoding adds.
const COMMIT_BYTES: usize = BODY_BYTES_MAX / 2;

/// How many other logs a header names; where more of them moved it names those that its changes build on
/// alone. So many take less than the bound of a header.
const LOGS_NAMED_MAX: usize = 512;

/// Returns what makes a new list: its founding statement, signed by the host's agent.
pub fn founding(name: &str, prefix: &str, host: &Host) -> Result<Founding, TrackerError> {
    let mut nonce = [0; 16];
    (host.entropy)(&mut nonce);
    let statement = Statement::Found {
        name: name.to_owned(),
        founder: host.signer.public_key().to_vec(),
        nonce,
        at: (host.clock)(),
    };
    let signed = Signed::new(&statement, host.signer.as_ref())?;
    Ok(Founding {
        list: ListId::of(&signed.statement),
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        statement: Some(signed),
    })
}

/// Returns the log that a store writes which writes none: a new one or, where the agent has as many
/// as it may, the one of its logs that has been quiet longest.
fn next_log(writing: &Writing, host: &Host) -> Result<LogId, TrackerError> {
    let agent = host.signer.agent();
    let frontier = writing.frontier()?;
    let mut nonce = [0; 8];
    (host.entropy)(&mut nonce);
    let new = LogId { agent, nonce };
    if may_be_written(writing, &frontier, new)? {
        return Ok(new);
    }
    let own: Vec<_> = frontier.0.into_iter().filter(|(log, _)| log.agent == agent).collect();
    let closed = writing.voids()?;
    let is_closed = |log: LogId| closed.iter().any(|(_, void)| void.log == log);
    let abandoned = writing.abandoned()?;
    let mut quiet = Vec::new();
    for (log, last) in own.iter().filter(|(log, _)| !is_closed(*log)) {
        // A log of which others have more would branch.
        quiet.push((abandoned.contains(log), writing.place_of_commit(last.hash)?, *log));
    }
    // Where all are closed, what comes from others is taken still; only an edit is refused.
    Ok(quiet.into_iter().min().map_or(new, |(.., log)| log))
}

/// Tells whether others take commits of a log: it is known, or its agent may have one more.
fn may_be_written(
    writing: &Writing,
    frontier: &Frontier,
    log: LogId,
) -> Result<bool, TrackerError> {
    Ok(frontier.position(log).is_some()
        || logs_of(writing, frontier, log.agent)? < LOGS_PER_AGENT_MAX)
}

/// A writing that is going on; dropped without [`Edition::finish`], it never was.
pub(super) struct Edition<'a> {
    store: &'a Store,
    host: &'a Host,
    writing: Writing,
    list: ListId,
    prefix: String,
    charter: Vec<StatementHash>,
    /// Whether others take what this agent writes.
    may_write: bool,
    log: LogId,
    position: Option<Position>,
    entries: Vec<Entry>,
    bytes: usize,
    now: Timestamp,
    /// Claims in the entries, and their documents.
    claimed: Vec<(RecordHash, DocumentKey)>,
    /// Documents whose record lacks the commit that proves their claim.
    unproved: Vec<DocumentKey>,
}

impl<'a> Edition<'a> {
    /// Starts a writing in this store's own log; opens a new log where the store is another file
    /// than the one in which its log was opened.
    pub(super) fn start(store: &'a Store, host: &'a Host) -> Result<Self, TrackerError> {
        let writing = store.write()?;
        let place = place_of(store.path())?;
        let agent = host.signer.agent();
        let is_here = writing.place_of_log()?.as_deref() == Some(&place[..]);
        let known = writing.own_log()?.filter(|log| log.agent == agent && is_here);
        let log = match known {
            Some(log) if may_be_written(&writing, &writing.frontier()?, log)? => log,
            _ => {
                let log = next_log(&writing, host)?;
                writing.put_own_log(log, &place)?;
                // Its first commit names all that is here: what the last log named may not count.
                writing.put_seen(&Frontier::default())?;
                log
            }
        };
        // They were checked when they were taken.
        let charter = writing.charter()?;
        Ok(Self {
            store,
            host,
            list: writing.list_id()?,
            prefix: writing.prefix()?,
            charter: charter.heads(),
            may_write: charter.may_write(agent),
            log,
            position: writing.frontier()?.position(log),
            writing,
            entries: Vec::new(),
            bytes: 0,
            now: (host.clock)(),
            claimed: Vec::new(),
            unproved: Vec::new(),
        })
    }

    /// Returns the store that is written.
    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// Returns the heads of the charter as this agent knows it.
    pub(super) fn charter(&self) -> &[StatementHash] {
        &self.charter
    }

    /// Returns the record that an act becomes in this writing.
    pub(super) fn record(&self, act: Act) -> Record {
        Record { by: self.log.agent, at: self.now, act }
    }

    /// Returns who asks, and when.
    pub(super) fn outlook(&self) -> Outlook {
        let agent = Some(self.host.signer.agent());
        let senses = self.host.senses.clone();
        Outlook { agent, uptime: (self.host.uptime)(), now: self.now, senses }
    }

    /// Returns the tables as they are in this writing.
    pub(super) fn tables(&self) -> &Writing {
        &self.writing
    }

    /// Returns the host in whose name this is written.
    pub(super) fn host(&self) -> &'a Host {
        self.host
    }

    /// Returns the time of this writing.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Writes an edit of a document, on top of it or beside what came after some heads.
    pub(super) fn write(
        &mut self,
        document: &mut Document,
        edit: &Edit,
        beside: Option<&Heads>,
    ) -> Result<(), TrackerError> {
        let mut changes = Vec::new();
        self.check(document, edit, beside)?;
        for part in edit.clone().split(COMMIT_BYTES) {
            let change = match beside {
                None => document.write(&part, self.log, self.now)?,
                Some(heads) => document.write_beside(&part, self.log, self.now, heads)?,
            };
            changes.extend(change);
        }
        let records = edit.records(self.log, self.now);
        let claims = records.iter().filter(|record| record.claim().is_some());
        self.take(document, changes, claims.map(Record::hash).collect())
    }

    /// Checks records that are to be added as every store will that is given them: one that is
    /// refused elsewhere would close this log there.
    fn check(
        &self,
        document: &Document,
        edit: &Edit,
        beside: Option<&Heads>,
    ) -> Result<(), TrackerError> {
        let records = edit.records(self.log, self.now);
        if records.is_empty() {
            return Ok(());
        }
        let birth = document.birth();
        let known = document.tree(beside);
        if !link::has_room(&known, &records) {
            let row = names::row(&self.writing, &row_key(birth))?;
            return Err(TrackerError::NoRoom { name: names::display_name(&self.writing, &row)? });
        }
        link::check(&birth.id, &known, &records)
            .map_err(|reason| DocumentError::Refused { id: birth.id.clone(), reason }.into())
    }

    /// Writes several small edits of a document, each as a change of its own.
    pub(super) fn write_each(
        &mut self,
        document: &mut Document,
        edits: &[Edit],
    ) -> Result<(), TrackerError> {
        let mut changes = Vec::new();
        for edit in edits {
            changes.extend(document.write(edit, self.log, self.now)?);
        }
        self.take(document, changes, Vec::new())
    }

    /// Stores a document after one's own changes, of which the first makes some claims, and gathers
    /// them for the next commit.
    fn take(
        &mut self,
        document: &Document,
        changes: Vec<Vec<u8>>,
        claims: Vec<RecordHash>,
    ) -> Result<(), TrackerError> {
        self.check_role()?;
        self.keep(document, &changes)?;
        let mut claims = claims.into_iter().map(|claim| (claim, document.key()));
        for change in changes {
            self.add(document.birth(), change)?;
            // Only now: what came before it may have been sealed just then.
            self.claimed.extend(claims.by_ref());
        }
        Ok(())
    }

    /// Refuses an agent whose commits nobody would take.
    fn check_role(&self) -> Result<(), TrackerError> {
        if self.may_write {
            return Ok(());
        }
        Err(JournalError::NotAllowed { agent: self.log.agent }.into())
    }

    /// Makes a new document that an edit gives its fields; returns its heads.
    pub(super) fn create(&mut self, birth: Birth, edit: &Edit) -> Result<Heads, TrackerError> {
        self.check_role()?;
        if edit.clone().split(COMMIT_BYTES).len() > 1 {
            let mut document = Document::new(birth);
            self.write(&mut document, edit, None)?;
            return Ok(document.heads());
        }
        let created = creation::create(&birth, edit, self.log, self.now);
        let row = row::of(&created.content);
        let json = created.content.issue.canonical_json();
        let changes = [created.change];
        self.writing.put_new(&birth, &created.genesis, &changes, &row, &json)?;
        self.outlook().note_change(None, &row);
        self.count_names(&row)?;
        let [change] = changes;
        self.add(&birth, change)?;
        Ok(created.heads)
    }

    /// Stores a document after changes, with the row, record and names that follow from it.
    pub(super) fn keep(
        &mut self,
        document: &Document,
        changes: &[Vec<u8>],
    ) -> Result<Content, TrackerError> {
        let content = document.read();
        let row = row::of(&content);
        let json = row::proved(&self.writing, &content)?.canonical_json();
        let before = self.writing.row(&row_key(document.birth()))?;
        self.writing.put_document(document, changes, &row, &json)?;
        if let Some(held) = &row.held
            && self.writing.proof(held.claim)?.is_none()
        {
            self.unproved.push(row.key);
        }
        self.outlook().note_change(before.as_ref(), &row);
        if let Some(before) = &before {
            self.writing.note_outcome(|| outcomes::of(&content.tree, before, &row));
        }
        beats::watch(&self.writing, &content, &row, &self.outlook())?;
        if matches!(content.tree.phase(), Phase::Ruled(_)) {
            self.rouse(&content)?;
        }
        self.count_names(&row)?;
        Ok(content)
    }

    /// Forgets when failures of an issue were seen: it is over, and would not rest if it were opened.
    fn rouse(&self, content: &Content) -> Result<(), TrackerError> {
        for (hash, record) in content.tree.records() {
            if matches!(&record.act, Act::End(end) if end.retry_after_ms.is_some()) {
                self.writing.remove_beat(*hash)?;
            }
        }
        Ok(())
    }

    /// Moves the number of the next identifier past those of an issue.
    fn count_names(&self, row: &Row) -> Result<(), TrackerError> {
        for name in [Some(&row.id), row.identifier.as_ref()].into_iter().flatten() {
            if let Some(number) = names::number_of(name, &self.prefix)
                && number >= self.writing.next_number()?
            {
                self.writing.put_next_number(number + 1)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, birth: &Birth, change: Vec<u8>) -> Result<(), TrackerError> {
        let bytes = change.len() + birth.bytes();
        if self.bytes + bytes > COMMIT_BYTES && !self.entries.is_empty() {
            self.seal()?;
        }
        self.bytes += bytes;
        match self.entries.last_mut() {
            Some(entry) if entry.birth == *birth => entry.changes.push(change),
            _ => self.entries.push(Entry { birth: birth.clone(), changes: vec![change] }),
        }
        Ok(())
    }

    /// Signs what was gathered as one commit, and appends it to the log.
    fn seal(&mut self) -> Result<(), TrackerError> {
        let changes = Body { entries: std::mem::take(&mut self.entries) };
        self.bytes = 0;
        let body = commit::encode_body(&changes);
        if body.len() > BODY_BYTES_MAX {
            let (bytes, bytes_max) = (body.len(), BODY_BYTES_MAX);
            return Err(JournalError::TooLarge { what: "body", bytes, bytes_max }.into());
        }
        let frontier = self.writing.frontier()?;
        if !may_be_written(&self.writing, &frontier, self.log)? {
            let (what, bytes_max) = ("number of logs of an agent", LOGS_PER_AGENT_MAX);
            let bytes = LOGS_PER_AGENT_MAX + 1;
            return Err(JournalError::TooLarge { what, bytes, bytes_max }.into());
        }
        let header = Header {
            list: self.list,
            log: self.log,
            number: self.position.map_or(1, |position| position.number + 1),
            previous: self.position.map(|position| position.hash),
            body: commit::body_hash(&body),
            after: self.after(&frontier, &changes)?,
            charter: self.charter.clone(),
            rules: RULES_VERSION,
        };
        // Of several that are durable together the last is signed, and proves the others.
        let is_proved_later =
            self.store.is_sharing() && !header.number.is_multiple_of(SIGNATURE_EVERY);
        let commit = match is_proved_later {
            true => Commit::unsigned(&header, body),
            false => Commit::sign(&header, body, self.host.signer.as_ref())?,
        };
        if commit.header.len() > HEADER_BYTES_MAX {
            // Nobody would take it, nor what follows it in this log.
            let (what, bytes_max) = ("header", HEADER_BYTES_MAX);
            return Err(
                JournalError::TooLarge { what, bytes: commit.header.len(), bytes_max }.into()
            );
        }
        let position = Position { number: header.number, hash: commit.hash() };
        let sealed = Sealed { log: self.log, position, commit };
        self.writing.append_commit(&sealed, &changes)?;
        if !header.after.is_empty() {
            let mut seen = self.writing.seen()?;
            seen.0.extend(header.after.iter().copied());
            self.writing.put_seen(&seen)?;
        }
        self.position = Some(position);
        self.prove(position.hash)
    }

    /// Returns how far this store has seen other logs, where that moved since its last commit: all of
    /// them or, where those are too many for a header, the ones that changes build on.
    fn after(
        &self,
        frontier: &Frontier,
        changes: &Body,
    ) -> Result<Vec<(LogId, Position)>, TrackerError> {
        let mut after = frontier.news_since(&self.writing.seen()?, self.log);
        if after.len() > LOGS_NAMED_MAX {
            let mut needed = BTreeSet::new();
            for entry in &changes.entries {
                let document = names::document(&self.writing, entry.birth.key())?;
                needed.extend(document.logs_before(&entry.changes));
            }
            after.retain(|(log, _)| needed.contains(log));
        }
        Ok(after)
    }

    /// Notes which commit proves the claims that it carried, and shows it in their records.
    fn prove(&mut self, commit: CommitHash) -> Result<(), TrackerError> {
        for (claim, document) in std::mem::take(&mut self.claimed) {
            self.writing.put_proof(claim, Proof { commit, document })?;
        }
        for key in std::mem::take(&mut self.unproved) {
            let content = names::document(&self.writing, key)?.read();
            let json = row::proved(&self.writing, &content)?.canonical_json();
            self.writing.put_view(key, &json)?;
        }
        Ok(())
    }

    /// Signs what is left and makes everything durable.
    pub(super) fn finish(mut self) -> Result<(), TrackerError> {
        if !self.entries.is_empty() {
            self.seal()?;
        }
        self.writing.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::record::{Claim, Origin, RECORDS_BEFORE_CLAIM_MAX, RECORDS_MAX};
    use crate::interface::request::Ruling;
    use crate::interface::{Draft, Holding, Pick, Release, Terms, Tracker};
    use crate::{LocalTracker, testing};

    /// Adds claims to an issue until it has so many records, whatever they mean.
    fn crowd(tracker: &LocalTracker, name: &str, count: usize) {
        let host = tracker.host().unwrap();
        let mut edition = Edition::start(&tracker.store, host).unwrap();
        let row_key = names::resolve(edition.tables(), name).unwrap();
        let key = names::row(edition.tables(), &row_key).unwrap().key;
        let mut document = names::document(edition.tables(), key).unwrap();
        let tree = document.tree(None);
        let (shard, _) = tree.shard().unwrap();
        let mut left = count - tree.records().len();
        while left > 0 {
            let mut edit = Edit::default();
            for _ in 0..left.min(1_000) {
                let mut nonce = [0; 16];
                (host.entropy)(&mut nonce);
                let (worker, origin) = ("w".to_owned(), Origin::First);
                edit.add(Act::Claim(Claim { worker, nonce, shard, origin, ttl_ms: 5_000 }));
                left -= 1;
            }
            let change = document.write(&edit, edition.log, edition.now()).unwrap();
            edition.take(&document, change.into_iter().collect(), Vec::new()).unwrap();
        }
        // Nobody has beaten for it.
        if let Some(claim) = document.tree(None).holder() {
            edition.writing.remove_beat(claim).unwrap();
        }
        edition.finish().unwrap();
    }

    #[test]
    fn an_issue_without_room_takes_no_claim_and_can_still_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        tracker.create(&Draft::titled("one")).unwrap();
        let terms = Terms { worker: "a".to_owned(), ttl_ms: None, ..Terms::default() };
        let pick = Pick::Issue("T-0001".to_owned());
        let holding = |worker: &str| Holding {
            worker: worker.to_owned(),
            issue: Some("T-0001".to_owned()),
            claim: None,
        };
        tracker.claim(&pick, &terms).unwrap();
        tracker.release(&holding("a"), &Release::default()).unwrap();
        crowd(&tracker, "T-0001", RECORDS_BEFORE_CLAIM_MAX);
        let error = tracker.heartbeat(&holding("w")).unwrap_err();
        assert!(matches!(error, TrackerError::NoRoom { .. }), "it would be renewed: {error}");
        crowd(&tracker, "T-0001", RECORDS_MAX + 10);
        let commits = tracker.info().unwrap().commits;
        let error = tracker.release(&holding("w"), &Release::default()).unwrap_err();
        assert!(matches!(error, TrackerError::NoRoom { .. }), "{error}");
        assert_eq!(tracker.info().unwrap().commits, commits);
        tracker.rule("T-0001", &Ruling::Done, None).unwrap();
        tracker.rule("T-0001", &Ruling::Reopened, None).unwrap();
    }
}
