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
    /// Keeps what proves a void commit: its header and those after it, up to a signature. Of those that
    /// follow the same commit the one with the smallest hash is kept.
    pub fn put_rival(&self, log: LogId, at: Position, run: &Run) -> Result<(), TrackerError> {
        let first = run.headers.first().ok_or_else(|| damaged("a header"))?;
        let before = self.rival(log, at.number, decode_header(first)?.previous)?;
        let key = |hash: CommitHash| [&commit_key(log, at.number)[..], &hash.0].concat();
        match before {
            Some(before) if before.hash <= at.hash => return Ok(()),
            Some(before) => self.remove(Table::Rivals, &key(before.hash))?,
            None => {}
        }
        self.put(Table::Rivals, &key(at.hash), &encode(run)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ListId;
    use crate::journal::commit::{Body, Commit, Header, body_hash, encode_body};
    use crate::journal::signature::Signer;
    use crate::store::{Founding, Store};
    use crate::testing::StandIn;

    #[test]
    fn of_all_that_follow_one_commit_the_smallest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let list = ListId([1; 32]);
        let (name, prefix) = ("pump".to_owned(), "P".to_owned());
        let founding = Founding { list, name, prefix, statement: None };
        let path = dir.path().join("store.redb");
        Store::create(&path, &founding).unwrap();
        let store = Store::open_to_write(&path).unwrap();
        let agent = StandIn::new(1);
        let log = LogId { agent: agent.agent(), nonce: [0; 8] };
        let signed = |n: u64, previous: Option<CommitHash>| {
            let body = encode_body(&Body::default());
            let (body_hash, rules) = (body_hash(&body), 1);
            let after = vec![(log, Position { number: n, hash: CommitHash([0; 32]) })];
            let charter = Vec::new();
            let header =
                Header { list, log, number: 2, previous, body: body_hash, after, charter, rules };
            let commit = Commit::sign(&header, body, &agent).unwrap();
            let signature = commit.signature.clone().unwrap_or_default();
            (commit.hash(), Run { headers: vec![commit.header], signature })
        };
        let writing = store.write().unwrap();
        let previous = Some(CommitHash([7; 32]));
        let mut smallest = None;
        for n in 1..20 {
            let (hash, run) = signed(n, previous);
            writing.put_rival(log, Position { number: 2, hash }, &run).unwrap();
            smallest = Some(smallest.map_or(hash, |smallest: CommitHash| smallest.min(hash)));
            let kept = writing.rival(log, 2, previous).unwrap().map(|rival| rival.hash);
            assert_eq!(kept, smallest);
        }
        let (hash, run) = signed(1, None);
        writing.put_rival(log, Position { number: 2, hash }, &run).unwrap();
        assert_eq!(writing.rival(log, 2, None).unwrap().map(|rival| rival.hash), Some(hash));
        assert_eq!(writing.rival(log, 2, previous).unwrap().map(|rival| rival.hash), smallest);
        assert_eq!(writing.len(Table::Rivals).unwrap(), 2);
    }
}
