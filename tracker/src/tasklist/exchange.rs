//! Taking commits of other stores, and giving one's own: the exchange that machines will make over
//! the mesh, without the mesh.

use std::collections::{BTreeMap, btree_map};

use super::LocalTracker;
use super::edition::Edition;
use crate::document::{Document, admit};
use crate::id::{CommitHash, DocumentKey, LogId};
use crate::interface::TrackerError;
use crate::journal::JournalError;
use crate::journal::charter::{Charter, Role, Signed};
use crate::journal::commit::{Commit, Header, Opened, Position};
use crate::journal::frontier::Frontier;
use crate::store::{Journal, Meta, Proof, Rows, Sealed};

impl LocalTracker {
    /// Returns how far each log is here.
    pub fn frontier(&self) -> Result<Frontier, TrackerError> {
        self.store.read()?.frontier()
    }

    /// Returns commits that another store lacks, in the order of application here, at most `limit`.
    ///
    /// Only commits whose signature is kept can be proved one by one; the newest of each log is.
    pub fn commits_after(
        &self,
        theirs: &Frontier,
        limit: usize,
    ) -> Result<Vec<Sealed>, TrackerError> {
        self.store.read()?.commits_after(theirs, limit)
    }

    /// Returns the statements of the charter.
    pub fn statements(&self) -> Result<Vec<Signed>, TrackerError> {
        self.store.read()?.statements()
    }

    /// Takes a statement of the charter.
    pub fn admit_statement(&mut self, signed: &Signed) -> Result<(), TrackerError> {
        let host = self.host()?;
        let writing = self.store.write()?;
        let mut charter = Charter::from_statements(&writing.statements()?, host.verifier.as_ref())?;
        let before = charter.heads();
        charter.accept(signed, host.verifier.as_ref())?;
        if charter.heads() != before {
            writing.append_statement(signed)?;
            writing.commit()?;
        }
        Ok(())
    }

    /// Takes a run of commits of one log, of which at least the last is signed.
    ///
    /// All of them are taken, or none.
    pub fn admit(&mut self, commits: &[Commit]) -> Result<(), TrackerError> {
        let host = self.host()?;
        let mut edition = Edition::start(&self.store, host)?;
        let tables = edition.tables();
        let list = tables.list_id()?;
        let charter = Charter::from_statements(&tables.statements()?, host.verifier.as_ref())?;
        let mut frontier = tables.frontier()?;
        let headers: Vec<Header> =
            commits.iter().map(|commit| commit.header(list)).collect::<Result<_, _>>()?;
        prove_runs(commits, &headers, &charter, host)?;
        // What is not proved is not worth decoding.
        let opened: Vec<Opened> =
            commits.iter().map(|commit| commit.open(list)).collect::<Result<_, _>>()?;
        for (commit, opened) in commits.iter().zip(&opened) {
            let header = &opened.header;
            if frontier.position(header.log).is_some_and(|known| known.number >= header.number) {
                known_alike(&edition, header.log, header.number, opened.hash)?;
                continue;
            }
            opened.continues(frontier.position(header.log))?;
            for (log, position) in &header.after {
                if !frontier.covers(*log, *position) {
                    return Err(JournalError::Missing { log: *log, number: position.number }.into());
                }
                known_alike(&edition, *log, position.number, position.hash)?;
            }
            let role = charter.role_under(header.log.agent, &header.charter);
            apply(&mut edition, opened, role == Some(Role::Maintainer))?;
            let position = Position { number: header.number, hash: opened.hash };
            let sealed = Sealed { log: header.log, position, commit: commit.clone() };
            edition.tables().append_commit(&sealed, &opened.body)?;
            frontier.0.insert(header.log, position);
        }
        edition.finish()
    }
}

/// Checks that the commit that is here at some place of a log is the one that is named.
fn known_alike(
    edition: &Edition<'_>,
    log: LogId,
    number: u64,
    hash: CommitHash,
) -> Result<(), TrackerError> {
    let known = edition.tables().commit_at(log, number)?.map(|commit| commit.hash());
    if known == Some(hash) {
        return Ok(());
    }
    let reason = "another commit has that place here";
    Err(JournalError::Chain { log, number, reason }.into())
}

/// Checks that each run of one log ends in a signed commit, and that its chain carries the proof.
fn prove_runs(
    commits: &[Commit],
    headers: &[Header],
    charter: &Charter,
    host: &super::Host,
) -> Result<(), TrackerError> {
    let mut proved: BTreeMap<LogId, &Header> = BTreeMap::new();
    for (commit, header) in commits.iter().zip(headers).rev() {
        let follows = proved.get(&header.log).is_some_and(|next| {
            next.number.checked_sub(1) == Some(header.number)
                && next.previous == Some(commit.hash())
                && next.charter == header.charter
        });
        if !follows {
            commit.prove(header, charter, host.verifier.as_ref())?;
        }
        proved.insert(header.log, header);
    }
    Ok(())
}

/// Applies the changes of a commit to copies of their documents, and keeps those.
///
/// `may_rule` tells whether its author was a maintainer under the charter that it names.
fn apply(edition: &mut Edition<'_>, opened: &Opened, may_rule: bool) -> Result<(), TrackerError> {
    let mut documents: BTreeMap<DocumentKey, (Document, Vec<Vec<u8>>)> = BTreeMap::new();
    for entry in &opened.body.entries {
        admit::check_entry(&entry.birth, entry.changes.len())?;
        let key = entry.birth.key();
        let (document, taken) = match documents.entry(key) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(free) => {
                let known = edition.tables().document(key)?;
                let document = known.unwrap_or_else(|| Document::new(entry.birth.clone()));
                free.insert((document, Vec::new()))
            }
        };
        for bytes in &entry.changes {
            let checked = admit::check(&entry.birth, bytes, opened.header.log)?;
            if !may_rule && document.needs_maintainer(&checked) {
                return Err(JournalError::NotAllowed { agent: opened.header.log.agent }.into());
            }
            for claim in checked.records.iter().filter(|record| record.claim().is_some()) {
                let proof = Proof { commit: opened.hash, document: key };
                edition.tables().put_proof(claim.hash(), proof)?;
            }
            document.admit(checked)?;
            taken.push(bytes.clone());
        }
    }
    for (document, taken) in documents.values() {
        edition.keep(document, taken)?;
    }
    Ok(())
}
