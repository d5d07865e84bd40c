//! Void commits in a place where another could stand, with what proves them: of all that were signed
//! for one place the one with the smallest hash stands for it, be it void for another reason. So what
//! counts follows from what was signed, and not from what came first.

use std::ops::ControlFlow;

use super::journal::commit_key;
use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::id::{CommitHash, LogId};
use crate::interface::TrackerError;
use crate::journal::commit::{Position, decode_header};
use crate::journal::run::Run;

/// A void commit that follows one that counts, or counted once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its hash.
    pub hash: CommitHash,
    /// The commit that it follows.
    pub previous: Option<CommitHash>,
    /// Its header and those after it that prove it.
    pub run: Run,
}

/// Reading rivals.
pub trait Rivals: Tables {
    /// Returns the void commit with the smallest hash that was signed for a place after some commit.
    fn rival(
        &self,
        log: LogId,
        number: u64,
        previous: Option<CommitHash>,
    ) -> Result<Option<Rival>, TrackerError> {
        let (prefix, mut found) = (commit_key(log, number), None);
        self.visit_prefix(Table::Rivals, &prefix, &mut |key, value| {
            let hash = key.get(prefix.len()..).and_then(|hash| hash.try_into().ok());
            let hash = CommitHash(hash.ok_or_else(|| damaged("a commit's hash"))?);
            let run: Run = decode(value, "the headers of a void commit")?;
            let first = run.headers.first().ok_or_else(|| damaged("a header"))?;
            // Keys are in the order of the hashes.
            if decode_header(first)?.previous == previous {
                found = Some(Rival { hash, previous, run });
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

impl<T: Tables + ?Sized> Rivals for T {}

impl Writing {
    /// Keeps what proves a void commit: its header and those after it, up to a signature.
    pub fn put_rival(&self, log: LogId, at: Position, run: &Run) -> Result<(), TrackerError> {
        let key = [&commit_key(log, at.number)[..], &at.hash.0].concat();
        self.put(Table::Rivals, &key, &encode(run)?)
    }
}
