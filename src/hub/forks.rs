//! Which forks are looked into with whom: one at a time for a log, a bounded number with a peer, and the
//! same place again only after a while, so that two nodes which cannot agree do not ask each other for
//! ever. Which branch counts, the store decides.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::commit::Position;

use super::{Effect, Hub};
use crate::wire::{Control, NEWS_MAX};

/// How many forks are looked into with one peer at a time; others are found again by comparing.
const PER_PEER_MAX: usize = 16;

/// How long the same place of a peer's log is not asked about again.
const REST: Duration = Duration::from_secs(10);

/// How many places rest at most; beyond that the next may be asked about sooner.
const RESTING_MAX: usize = 1_024;

/// Forks that are looked into, and those that were lately.
#[derive(Debug, Default)]
pub(super) struct Forks {
    going_on: BTreeMap<(AgentId, LogId), Position>,
    resting: BTreeMap<(AgentId, LogId), (Position, Duration)>,
}

impl Forks {
    /// Returns how many are looked into.
    pub(super) fn len(&self) -> usize {
        self.going_on.len()
    }

    /// Tells whether a fork is to be looked into, and notes that it is.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        with: AgentId,
        log: LogId,
        theirs: Position,
    ) -> bool {
        let of_peer = self.going_on.keys().filter(|(peer, _)| *peer == with).count();
        let rests = |(place, until): &(Position, Duration)| *place == theirs && now < *until;
        if of_peer >= PER_PEER_MAX
            || self.going_on.contains_key(&(with, log))
            || self.resting.get(&(with, log)).is_some_and(rests)
        {
            return false;
        }
        self.going_on.insert((with, log), theirs);
        true
    }

    /// Notes that nothing more is looked into; returns whether it was.
    pub(super) fn end(&mut self, now: Duration, with: AgentId, log: LogId) -> bool {
        let Some(theirs) = self.going_on.remove(&(with, log)) else { return false };
        self.resting.retain(|_, (_, until)| now < *until);
        if self.resting.len() < RESTING_MAX {
            self.resting.insert((with, log), (theirs, now + REST));
        }
        true
    }

    /// Forgets a peer.
    pub(super) fn forget(&mut self, peer: AgentId) {
        self.going_on.retain(|(with, _), _| *with != peer);
        self.resting.retain(|(with, _), _| *with != peer);
    }
}

impl Hub {
    /// A peer has other commits in a log: look into it.
    pub(super) fn forked(
        &mut self,
        now: Duration,
        list: ListId,
        with: AgentId,
        log: LogId,
        theirs: Position,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.peers.get(&with).copied() else { return };
        let Some(shared) = self.lists.get_mut(&list) else { return };
        if shared.forks.begin(now, with, log, theirs) {
            effects.push(Effect::Fork { link, list, with, log, theirs });
        }
    }

    pub(super) fn settled(
        &mut self,
        now: Duration,
        list: ListId,
        with: AgentId,
        log: LogId,
        mut losers: Vec<AgentId>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(shared) = self.lists.get_mut(&list) {
            // Where that peer is gone by now, others are told all the same.
            shared.forks.end(now, with, log);
            // Their stores may not know that they wrote it.
            losers.retain(|loser| shared.peers.contains(loser));
            if !losers.is_empty() {
                effects.push(Effect::NameLost { list, of: losers });
            }
            self.compare_with_all(now, list, effects);
        }
    }

    /// Tells a peer which commits of its logs are kept here and do not count.
    pub(super) fn lost(
        &self,
        list: ListId,
        of: AgentId,
        places: &[(LogId, Position)],
        effects: &mut Vec<Effect>,
    ) {
        if self.lists.get(&list).is_some_and(|shared| shared.has(of)) {
            for places in places.chunks(NEWS_MAX) {
                self.say(of, &Control::Lost { list, places: places.to_vec() }, effects);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use x0x_tracker::id::CommitHash;

    use super::*;

    const PEER: AgentId = AgentId([1; 32]);

    fn log(number: u8) -> LogId {
        LogId { agent: AgentId([9; 32]), nonce: [number; 8] }
    }

    fn at(number: u64) -> Position {
        Position { number, hash: CommitHash([7; 32]) }
    }

    #[test]
    fn the_same_place_rests_and_another_is_looked_into_at_once() {
        let (mut forks, now) = (Forks::default(), Duration::from_secs(5));
        assert!(forks.begin(now, PEER, log(1), at(3)));
        assert!(!forks.begin(now, PEER, log(1), at(4)), "it is going on");
        assert!(forks.end(now, PEER, log(1)) && !forks.end(now, PEER, log(1)));
        assert!(!forks.begin(now, PEER, log(1), at(3)), "it rests");
        assert!(forks.begin(now, PEER, log(1), at(4)));
        forks.end(now, PEER, log(1));
        assert!(forks.begin(now + REST, PEER, log(1), at(4)));
        forks.forget(PEER);
        assert!(forks.begin(now, PEER, log(1), at(4)));
    }

    #[test]
    fn a_peer_that_names_many_logs_has_a_bounded_number_looked_into() {
        let (mut forks, mut now) = (Forks::default(), Duration::ZERO);
        let begun = (0..100).filter(|n| forks.begin(now, PEER, log(*n), at(1))).count();
        assert_eq!((begun, forks.len()), (PER_PEER_MAX, PER_PEER_MAX));
        assert!(forks.begin(now, AgentId([2; 32]), log(1), at(1)), "another peer has its own");
        for round in 0..200_u64 {
            now += Duration::from_millis(1);
            for n in 0..16 {
                forks.end(now, PEER, log(n));
                let more = LogId {
                    agent: AgentId([8; 32]),
                    nonce: (round * 16 + u64::from(n)).to_le_bytes(),
                };
                forks.begin(now, PEER, more, at(1));
                forks.end(now, PEER, more);
            }
        }
        assert!(forks.resting.len() <= RESTING_MAX);
    }
}
