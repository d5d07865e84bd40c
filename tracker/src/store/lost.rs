//! Commits that counted once and do not any more, kept so that what they held can be written again:
//! one's own until they are, those of others as long as there is room.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::journal::commit_key;
use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::id::{AgentId, CommitHash, LogId};
use crate::interface::TrackerError;
use crate::journal::commit::{Commit, Position, decode_header};
use crate::journal::run::Run;

/// The most bytes of lost commits of other agents that are kept, of which the oldest go first.
pub const LOST_BYTES_MAX: usize = 64 << 20;

/// A commit that counted once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostCommit {
    /// Its log.
    pub log: LogId,
    /// Where it stood in the log.
    pub position: Position,
    /// The commit, with its signature where that was kept.
    pub commit: Commit,
    /// The headers after it that prove it, where it is the last that was here and has no signature.
    pub rest: Option<Run>,
    /// When it was lost, counted up: those lost together are in the order of application.
    pub turn: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    turn: u64,
    commit: Commit,
    rest: Option<Run>,
}

/// Reading lost commits.
pub trait Losses: Tables {
    /// Returns every lost commit, the one first that was lost first.
    fn lost(&self) -> Result<Vec<LostCommit>, TrackerError> {
        self.lost_under(&[])
    }

    /// Returns every lost commit of an agent, the one first that was lost first.
    fn lost_of(&self, agent: AgentId) -> Result<Vec<LostCommit>, TrackerError> {
        self.lost_under(&agent.0)
    }

    /// Returns when each lost commit of an agent was lost and where it stood, without reading what it holds.
    fn lost_places_of(&self, agent: AgentId) -> Result<Vec<(u64, LogId, Position)>, TrackerError> {
        let mut found = Vec::new();
        self.visit_prefix(Table::Lost, &agent.0, &mut |key, value| {
            let (log, position) = lost_place(key)?;
            found.push((turn_of(value)?, log, position));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Tells whether a lost commit is kept.
    fn is_kept_as_lost(&self, log: LogId, position: Position) -> Result<bool, TrackerError> {
        Ok(self.get(Table::Lost, &lost_key(log, position))?.is_some())
    }

    /// Returns a lost commit, where it is kept.
    fn lost_at(&self, log: LogId, at: Position) -> Result<Option<LostCommit>, TrackerError> {
        Ok(self.lost_under(&lost_key(log, at))?.pop())
    }

    /// Returns a lost commit that follows another one, where one is kept.
    fn lost_after(&self, log: LogId, at: Position) -> Result<Option<LostCommit>, TrackerError> {
        let follows = |lost: &LostCommit| {
            let header = decode_header(&lost.commit.header);
            header.is_ok_and(|header| header.previous == Some(at.hash))
        };
        Ok(self.lost_under(&commit_key(log, at.number + 1))?.into_iter().find(follows))
    }

    /// Returns a number greater than when any commit was lost.
    fn next_turn(&self) -> Result<u64, TrackerError> {
        let mut next = 0;
        self.visit_prefix(Table::Lost, &[], &mut |_, value| {
            next = next.max(turn_of(value)? + 1);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    /// Returns the lost commits whose key begins so.
    fn lost_under(&self, prefix: &[u8]) -> Result<Vec<LostCommit>, TrackerError> {
        let mut found = Vec::new();
        self.visit_prefix(Table::Lost, prefix, &mut |key, value| {
            let (log, position) = lost_place(key)?;
            let Stored { turn, commit, rest } = decode(value, "a lost commit")?;
            found.push(LostCommit { log, position, commit, rest, turn });
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort_by_key(|lost| lost.turn);
        Ok(found)
    }
}

impl<T: Tables + ?Sized> Losses for T {}

impl Writing {
    /// Keeps a lost commit.
    pub fn put_lost(&self, lost: &LostCommit) -> Result<(), TrackerError> {
        let LostCommit { log, position, commit, rest, turn } = lost.clone();
        self.put(Table::Lost, &lost_key(log, position), &encode(&Stored { turn, commit, rest })?)
    }

    /// Forgets a lost commit, if it is there.
    pub fn remove_lost(&self, log: LogId, position: Position) -> Result<(), TrackerError> {
        self.remove(Table::Lost, &lost_key(log, position))
    }

    /// Forgets the oldest lost commits of all agents but one, until they have at most `bytes_max`
    /// bytes.
    pub fn trim_lost(&self, own: AgentId, bytes_max: usize) -> Result<(), TrackerError> {
        let mut sizes: Vec<(u64, Vec<u8>, usize)> = Vec::new();
        self.visit(Table::Lost, &[], &mut |key, value| {
            if lost_place(key)?.0.agent != own {
                sizes.push((turn_of(value)?, key.to_vec(), value.len()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        sizes.sort();
        let mut bytes: usize = sizes.iter().map(|(.., size)| size).sum();
        for (_, key, size) in sizes {
            if bytes <= bytes_max {
                break;
            }
            bytes -= size;
            self.remove(Table::Lost, &key)?;
        }
        Ok(())
    }
}

fn lost_key(log: LogId, position: Position) -> Vec<u8> {
    let mut key = commit_key(log, position.number);
    key.extend_from_slice(&position.hash.0);
    key
}

fn lost_place(key: &[u8]) -> Result<(LogId, Position), TrackerError> {
    let read = || {
        let (log, rest) = key.split_at_checked(LogId::BYTES)?;
        let (number, hash) = rest.split_first_chunk()?;
        let (number, hash) = (u64::from_be_bytes(*number), CommitHash(hash.try_into().ok()?));
        Some((LogId::from_bytes(log)?, Position { number, hash }))
    };
    read().ok_or_else(|| damaged("the key of a lost commit"))
}

/// Returns when a lost commit was lost, which stands first in what is kept of it.
fn turn_of(value: &[u8]) -> Result<u64, TrackerError> {
    let read = postcard::take_from_bytes::<u64>(value);
    read.map(|(turn, _)| turn).map_err(|_| damaged("a lost commit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ListId;
    use crate::store::{Founding, Store};

    #[test]
    fn the_oldest_of_others_go_first_and_ones_own_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        let (name, prefix) = ("test".to_owned(), "T".to_owned());
        let founding = Founding { list: ListId([7; 32]), name, prefix, statement: None };
        Store::create(&path, &founding).unwrap();
        let writing = Store::open_to_write(&path).unwrap().write().unwrap();
        let own = AgentId([1; 32]);
        let other = AgentId([2; 32]);
        for turn in 0..10_u64 {
            let agent = if turn % 2 == 0 { own } else { other };
            let commit = Commit { header: vec![turn as u8], body: vec![3; 1_000], signature: None };
            let log = LogId { agent, nonce: [9 - turn as u8; 8] };
            let position = Position { number: turn + 1, hash: commit.hash() };
            writing.put_lost(&LostCommit { log, position, commit, rest: None, turn }).unwrap();
        }
        let turns = |writing: &Writing| -> Vec<u64> {
            writing.lost().unwrap().iter().map(|lost| lost.turn).collect()
        };
        writing.trim_lost(own, 5_100).unwrap();
        assert_eq!(turns(&writing), (0..10).collect::<Vec<_>>());
        writing.trim_lost(own, 2_500).unwrap();
        assert_eq!(turns(&writing), [0, 2, 4, 6, 7, 8, 9]);
        writing.trim_lost(own, 0).unwrap();
        assert_eq!(turns(&writing), [0, 2, 4, 6, 8]);
    }
}
