//! Promises of this node on claims of others: which are told in which frame. Frames are lost, and what counts is
//! the newest of them: so each tells what is new, what was told lately, and some of the rest in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use x0x_tracker::id::RecordHash;

/// How many promises one frame tells, newest first.
pub(super) const NEWEST_MAX: usize = 256;

/// How many others it tells, in turn.
const TURN_MAX: usize = 64;

/// How long after a frame the next comes at the earliest: what comes meanwhile shares it. A guess: a frame
/// costs a signature, and each who hears of it a check.
const GATHER: Duration = Duration::from_millis(200);

/// How often frames come where there is nothing new: for those who heard of a claim after its promises.
const REPEAT: Duration = Duration::from_secs(30);

/// The promises of this node in one list.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// By the order in which they were given.
    given: BTreeMap<u64, RecordHash>,
    place: BTreeMap<RecordHash, u64>,
    next: u64,
    /// From here on none was told.
    untold: u64,
    /// From here on they are told in turn.
    turn: u64,
    sent_at: Option<Duration>,
}

impl Promises {
    pub(super) fn give(&mut self, claim: RecordHash) {
        // Whoever is told again may have forgotten it.
        self.take_back(claim);
        self.given.insert(self.next, claim);
        self.place.insert(claim, self.next);
        self.next += 1;
    }

    pub(super) fn take_back(&mut self, claim: RecordHash) {
        if let Some(place) = self.place.remove(&claim) {
            self.given.remove(&place);
        }
    }

    /// Takes back all but these.
    pub(super) fn retain(&mut self, kept: &[RecordHash]) {
        let kept: BTreeSet<&RecordHash> = kept.iter().collect();
        self.place.retain(|claim, _| kept.contains(claim));
        self.given.retain(|_, claim| kept.contains(claim));
    }

    /// Returns when the next frame is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let since = |pause| self.sent_at.map_or(Duration::ZERO, |sent_at| sent_at + pause);
        if self.given.range(self.untold..).next().is_some() {
            return Some(since(GATHER));
        }
        (!self.given.is_empty()).then(|| since(REPEAT))
    }

    /// Returns what the frame tells that is due now.
    pub(super) fn frame(&mut self, now: Duration) -> Option<Vec<RecordHash>> {
        if self.deadline().is_none_or(|due| now < due) {
            return None;
        }
        self.sent_at = Some(now);
        let mut told = BTreeSet::new();
        for (place, claim) in self.given.range(self.untold..).take(NEWEST_MAX) {
            self.untold = place + 1;
            told.insert(*claim);
        }
        let before = self.given.range(..self.untold).rev().map(|(_, claim)| *claim);
        let room = NEWEST_MAX - told.len();
        told.extend(before.filter(|claim| !told.contains(claim)).take(room).collect::<Vec<_>>());
        let mut turn: Vec<(u64, RecordHash)> = Vec::new();
        let all = self.given.range(self.turn..).chain(self.given.range(..self.turn));
        turn.extend(all.take(TURN_MAX).map(|(place, claim)| (*place, *claim)));
        self.turn = turn.last().map_or(0, |(place, _)| place + 1);
        told.extend(turn.into_iter().map(|(_, claim)| claim));
        Some(told.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(n: u16) -> RecordHash {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        RecordHash(hash)
    }

    #[test]
    fn the_first_is_told_at_once_and_those_that_come_soon_after_it_together() {
        let mut promises = Promises::default();
        assert_eq!(promises.frame(Duration::from_secs(1)), None);
        promises.give(claim(1));
        assert_eq!(promises.frame(Duration::from_secs(1)), Some(vec![claim(1)]));
        promises.give(claim(2));
        promises.give(claim(3));
        promises.take_back(claim(1));
        assert_eq!(promises.frame(Duration::from_millis(1_100)), None);
        let told = promises.frame(Duration::from_millis(1_200));
        assert_eq!(told, Some(vec![claim(2), claim(3)]));
        assert_eq!(promises.frame(Duration::from_secs(31)), None, "all is told");
        let again = promises.frame(Duration::from_millis(31_200));
        assert_eq!(again, Some(vec![claim(2), claim(3)]), "for those who came later");
        promises.give(claim(3));
        assert_eq!(promises.deadline(), Some(Duration::from_millis(31_400)), "it is told anew");
    }

    #[test]
    fn of_very_many_each_is_told_at_once_and_again_in_turn() {
        let mut promises = Promises::default();
        let all: BTreeSet<RecordHash> = (0..1_000).map(claim).collect();
        all.iter().for_each(|claim| promises.give(*claim));
        let mut now = Duration::ZERO;
        let mut told = BTreeSet::new();
        for _ in 0..4 {
            let frame = promises.frame(now).unwrap();
            assert!(frame.len() <= NEWEST_MAX + TURN_MAX);
            told.extend(frame);
            now += GATHER;
        }
        assert_eq!(told, all);
        told.clear();
        for _ in 0..1_000 / TURN_MAX + 1 {
            assert_eq!(promises.frame(now), None);
            now = promises.deadline().unwrap();
            told.extend(promises.frame(now).unwrap());
        }
        assert_eq!(told, all, "without anything new");
        promises.retain(&[claim(7)]);
        promises.give(claim(2_000));
        assert_eq!(promises.frame(now + REPEAT), Some(vec![claim(7), claim(2_000)]));
    }
}
