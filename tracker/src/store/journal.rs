//! Keeping commits: each log in order, all logs in the order of application.

use super::rows::{decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::id::LogId;
use crate::interface::TrackerError;
use crate::journal::charter::Signed;
use crate::journal::commit::{Commit, Position, SIGNATURE_EVERY};
use crate::journal::frontier::Frontier;

/// A commit with where it stands.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its log.
    pub log: LogId,
    /// Its place in the log.
    pub position: Position,
    /// Its bytes.
    pub commit: Commit,
}

/// Reading the journal.
pub trait Journal: Tables {
    /// Returns how far each log is here.
    fn frontier(&self) -> Result<Frontier, TrackerError> {
        let mut frontier = Frontier::default();
        self.visit(Table::Frontier, &[], &mut |log, position| {
            let log = LogId::from_bytes(log).ok_or_else(|| super::rows::damaged("a log"))?;
            frontier.0.insert(log, decode(position, "a frontier entry")?);
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(frontier)
    }

    /// Returns a commit, with its signature where that is kept.
    fn commit_at(&self, log: LogId, number: u64) -> Result<Option<Commit>, TrackerError> {
        let key = commit_key(log, number);
        let Some(bytes) = self.get(Table::Commits, &key)? else { return Ok(None) };
        let (header, body): (Vec<u8>, Vec<u8>) = decode(&bytes, "a commit")?;
        let signature = self.get(Table::Signatures, &key)?;
        Ok(Some(Commit { header, body, signature }))
    }

    /// Returns the commits that `theirs` lacks, in the order in which they were applied here, at
    /// most `limit`.
    fn commits_after(&self, theirs: &Frontier, limit: usize) -> Result<Vec<Sealed>, TrackerError> {
        let mut found: Vec<(LogId, u64)> = Vec::new();
        self.visit(Table::Order, &[], &mut |_, key| {
            let (log, number) =
                read_key(key).ok_or_else(|| super::rows::damaged("a commit key"))?;
            if theirs.position(log).is_none_or(|position| position.number < number) {
                found.push((log, number));
            }
            let go_on = found.len() < limit;
            Ok(if go_on {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            })
        })?;
        found
            .into_iter()
            .map(|(log, number)| {
                let commit = self
                    .commit_at(log, number)?
                    .ok_or_else(|| super::rows::damaged("a commit that is listed"))?;
                let position = Position { number, hash: commit.hash() };
                Ok(Sealed { log, position, commit })
            })
            .collect()
    }

    /// Returns the statements of the charter, in the order in which they were accepted.
    fn statements(&self) -> Result<Vec<Signed>, TrackerError> {
        let mut statements = Vec::new();
        self.visit(Table::Statements, &[], &mut |_, value| {
            statements.push(decode(value, "a statement")?);
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(statements)
    }
}

impl<T: Tables + ?Sized> Journal for T {}

impl Writing {
    /// Appends a commit to its log and to the order of application.
    ///
    /// The signature of the commit before it is dropped, unless it is one of those that are kept.
    pub fn append_commit(&self, sealed: &Sealed) -> Result<(), TrackerError> {
        let Sealed { log, position, commit } = sealed;
        let key = commit_key(*log, position.number);
        self.put(Table::Commits, &key, &encode(&(&commit.header, &commit.body))?)?;
        if let Some(signature) = &commit.signature {
            self.put(Table::Signatures, &key, signature)?;
            let before = position.number - 1;
            if !before.is_multiple_of(SIGNATURE_EVERY) {
                self.remove(Table::Signatures, &commit_key(*log, before))?;
            }
        }
        let place = match self.last(Table::Order, &[])? {
            Some((last, _)) => u64::from_be_bytes(
                last.try_into().map_err(|_| super::rows::damaged("the order of commits"))?,
            ),
            None => 0,
        };
        self.put(Table::Order, &(place + 1).to_be_bytes(), &key)?;
        self.put(Table::Frontier, &log.to_bytes(), &encode(position)?)
    }

    /// Appends a statement to the charter.
    pub fn append_statement(&self, signed: &Signed) -> Result<(), TrackerError> {
        let number = self.len(Table::Statements)?;
        self.put(Table::Statements, &number.to_be_bytes(), &encode(signed)?)
    }
}

fn commit_key(log: LogId, number: u64) -> Vec<u8> {
    let mut key = log.to_bytes().to_vec();
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn read_key(key: &[u8]) -> Option<(LogId, u64)> {
    let (log, number) = key.split_at_checked(LogId::BYTES)?;
    Some((LogId::from_bytes(log)?, u64::from_be_bytes(number.try_into().ok()?)))
}
