//! What comes in: each message of a sender once and in its order, as long as there is room. Not: who may send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use x0x_tracker::id::AgentId;

use super::wire::{Place, Refusal};
use super::{BYTES_MAX, MESSAGES_MAX};

/// How many logs of a sender are known; of more, the lowest is closed, and takes nothing more.
pub const LOGS_MAX: usize = 64;

/// How far the messages of one log have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    /// The newest that was taken.
    taken: u64,
    /// The newest that is on disk.
    stored: u64,
}

/// How far the messages of one sender have come.
#[derive(Clone, Debug, Default)]
struct Heads {
    logs: BTreeMap<u64, Head>,
    /// Logs up to this one are closed.
    closed: u64,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new, and gets this number.
    Taken(u64),
    /// It is here already, and on disk.
    Stored,
    /// It is here already, and will be on disk soon.
    Taking,
    /// It is not taken.
    Refused(Refusal),
}

/// The messages that came and that nobody released yet.
#[derive(Debug)]
pub(super) struct Inbox {
    heads: BTreeMap<AgentId, Heads>,
    /// Which are there, and how large each is.
    kept: VecDeque<(u64, usize)>,
    bytes: usize,
    next: u64,
}

impl Inbox {
    pub(super) fn new(
        next: u64,
        kept: impl IntoIterator<Item = (u64, usize)>,
        heads: impl IntoIterator<Item = (AgentId, Place)>,
    ) -> Self {
        let kept: VecDeque<(u64, usize)> = kept.into_iter().collect();
        let bytes = kept.iter().map(|(_, bytes)| bytes).sum();
        let mut inbox = Self { heads: BTreeMap::new(), kept, bytes, next };
        for (from, Place { log, number }) in heads {
            let of = inbox.heads.entry(from).or_default();
            of.logs.insert(log, Head { taken: number, stored: number });
            of.trim();
        }
        for heads in inbox.heads.values_mut().filter(|heads| heads.logs.len() == LOGS_MAX) {
            // There may have been lower ones.
            let lowest = heads.logs.first_key_value().map_or(0, |(log, _)| *log);
            heads.closed = heads.closed.max(lowest.saturating_sub(1));
        }
        inbox
    }

    /// Takes a message, where it is its turn and there is room.
    pub(super) fn take(
        &mut self,
        from: AgentId,
        place: Place,
        after: Option<Place>,
        weight: usize,
    ) -> Verdict {
        if let Some(verdict) = self.of_known(from, place) {
            return verdict;
        }
        let heads = self.heads.entry(from).or_default();
        let has_come = |before: Place| {
            before.log <= heads.closed
                || heads.logs.get(&before.log).is_some_and(|head| head.taken >= before.number)
        };
        if after.is_some_and(|before| before >= place || !has_come(before)) {
            return Verdict::Refused(Refusal::Gap);
        }
        if !self.has_room(weight) {
            return Verdict::Refused(Refusal::InboxFull);
        }
        let heads = self.heads.entry(from).or_default();
        heads.logs.entry(place.log).or_default().taken = place.number;
        heads.trim();
        Verdict::Taken(self.put(weight))
    }

    /// Returns the newest message of a log that is on disk; `None` where none is, or the log is closed.
    pub(super) fn stored_of(&self, from: AgentId, log: u64) -> Option<u64> {
        Some(self.heads.get(&from)?.logs.get(&log)?.stored)
    }

    /// Returns what is to be done with a message that came before; `None` with one that is new.
    pub(super) fn of_known(&self, from: AgentId, place: Place) -> Option<Verdict> {
        let heads = self.heads.get(&from)?;
        if place.log <= heads.closed {
            // What it was is forgotten; it is as old as 64 starts of its sender.
            return Some(Verdict::Stored);
        }
        match heads.logs.get(&place.log)? {
            head if place.number <= head.stored => Some(Verdict::Stored),
            head if place.number <= head.taken => Some(Verdict::Taking),
            _ => None,
        }
    }

    /// Takes a message of this agent to itself; `None` where there is no room.
    pub(super) fn take_own(&mut self, weight: usize) -> Option<u64> {
        self.has_room(weight).then(|| self.put(weight))
    }

    fn has_room(&self, weight: usize) -> bool {
        self.kept.len() < MESSAGES_MAX && self.bytes + weight <= BYTES_MAX
    }

    fn put(&mut self, weight: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        self.kept.push_back((number, weight));
        self.bytes += weight;
        number
    }

    /// Notes that a message is on disk.
    pub(super) fn stored(&mut self, from: AgentId, place: Place) {
        if let Some(head) = self.heads.get_mut(&from).and_then(|of| of.logs.get_mut(&place.log)) {
            head.stored = head.stored.max(place.number);
        }
    }

    /// Releases every message up to a number; returns how many there were.
    pub(super) fn release(&mut self, up_to: u64) -> usize {
        let mut released = 0;
        while let Some((number, weight)) = self.kept.front().copied()
            && number <= up_to
        {
            self.kept.pop_front();
            self.bytes -= weight;
            released += 1;
        }
        released
    }

    /// Messages that were taken did not reach the disk: they may come again.
    pub(super) fn untake(&mut self, lost: &BTreeSet<u64>) {
        let bytes = &mut self.bytes;
        self.kept.retain(|(number, weight)| {
            let is_lost = lost.contains(number);
            if is_lost {
                *bytes -= weight;
            }
            !is_lost
        });
        for heads in self.heads.values_mut() {
            heads.logs.retain(|_, head| head.stored > 0);
            heads.logs.values_mut().for_each(|head| head.taken = head.stored);
        }
    }

    /// Returns how many messages there are, and how many bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// Returns the number of the newest message; 0 where none ever came.
    pub(super) fn newest(&self) -> u64 {
        self.next - 1
    }
}

impl Heads {
    fn trim(&mut self) {
        while self.logs.len() > LOGS_MAX {
            let lowest = self.logs.pop_first();
            self.closed = self.closed.max(lowest.map_or(0, |(log, _)| log));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AgentId = AgentId([1; 32]);

    fn empty() -> Inbox {
        Inbox::new(1, [], [])
    }

    fn at(log: u64, number: u64) -> Place {
        Place { log, number }
    }

    #[test]
    fn each_message_is_taken_once_and_in_the_order_of_its_sender() {
        let mut inbox = empty();
        let mut take = |place, after| inbox.take(ANN, place, after, 9);
        assert_eq!(take(at(5, 1), None), Verdict::Taken(1));
        assert_eq!(take(at(5, 1), None), Verdict::Taking);
        assert_eq!(take(at(5, 3), Some(at(5, 2))), Verdict::Refused(Refusal::Gap));
        assert_eq!(take(at(5, 2), Some(at(5, 1))), Verdict::Taken(2));
        // The one between was given up by its sender.
        assert_eq!(take(at(5, 4), None), Verdict::Taken(3));
        assert_eq!(take(at(5, 3), None), Verdict::Taking, "it is too late for it");
        assert_eq!(take(at(6, 1), Some(at(5, 5))), Verdict::Refused(Refusal::Gap));
        assert_eq!(take(at(6, 1), Some(at(6, 1))), Verdict::Refused(Refusal::Gap));
        assert_eq!(take(at(6, 1), Some(at(5, 4))), Verdict::Taken(4));
        inbox.stored(ANN, at(5, 4));
        assert_eq!(inbox.take(ANN, at(5, 2), None, 9), Verdict::Stored);
        assert_eq!(inbox.take(AgentId([2; 32]), at(5, 1), None, 9), Verdict::Taken(5));
        assert_eq!((inbox.depth(), inbox.newest()), ((5, 45), 5));
    }

    #[test]
    fn a_full_inbox_takes_nothing_until_messages_are_released() {
        let mut inbox = empty();
        for n in 1..=MESSAGES_MAX as u64 {
            assert_eq!(inbox.take(ANN, at(1, n), None, 1), Verdict::Taken(n));
        }
        let next = at(1, MESSAGES_MAX as u64 + 1);
        assert_eq!(inbox.take(ANN, next, None, 1), Verdict::Refused(Refusal::InboxFull));
        assert_eq!(inbox.take_own(1), None);
        assert_eq!((inbox.release(10), inbox.release(10)), (10, 0));
        assert_eq!(inbox.take(ANN, next, None, 1), Verdict::Taken(next.number));
        let mut large = empty();
        assert!(large.take_own(BYTES_MAX).is_some() && large.take_own(1).is_none());
        assert_eq!(large.release(u64::MAX), 1);
        assert!(large.take_own(1).is_some());
    }

    #[test]
    fn what_did_not_reach_the_disk_may_come_again_and_nothing_else() {
        let mut inbox = empty();
        assert_eq!(inbox.take(ANN, at(1, 1), None, 5), Verdict::Taken(1));
        inbox.stored(ANN, at(1, 1));
        assert_eq!(inbox.take(ANN, at(1, 2), None, 7), Verdict::Taken(2));
        inbox.untake(&BTreeSet::from([2]));
        assert_eq!(inbox.depth(), (1, 5));
        assert_eq!(inbox.take(ANN, at(1, 1), None, 5), Verdict::Stored);
        assert_eq!(
            inbox.take(ANN, at(1, 2), None, 7),
            Verdict::Taken(3),
            "no number is used twice"
        );
    }

    #[test]
    fn of_many_logs_the_lowest_are_closed_and_take_nothing_again() {
        let mut inbox = empty();
        for log in 1..=2 * LOGS_MAX as u64 {
            assert!(matches!(inbox.take(ANN, at(log, 1), None, 1), Verdict::Taken(_)));
        }
        assert_eq!(inbox.heads[&ANN].logs.len(), LOGS_MAX);
        // What was caught long ago and is sent again by somebody is not taken for new.
        assert_eq!(inbox.take(ANN, at(1, 9), None, 1), Verdict::Stored);
        let heads = (LOGS_MAX as u64 + 1..=2 * LOGS_MAX as u64).map(|log| (ANN, at(log, 1)));
        let mut again = Inbox::new(1, [], heads);
        assert_eq!(again.take(ANN, at(9, 9), None, 1), Verdict::Stored, "also after a start");
    }
}
