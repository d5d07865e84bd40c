//! Frames of one peer and lane that wait, in the order in which they came: those that were looked at before those
//! that were not. It has no bounds; the pump asks before it puts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use x0x_tracker::id::AgentId;

use super::Kind;
use super::proofs::Proofs;
use crate::link::policy::LinkId;
use crate::wire::Lane;

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number in the queue; they go up.
    pub(super) number: u64,
    pub(super) peer: AgentId,
    pub(super) link: LinkId,
    pub(super) lane: Lane,
    pub(super) bytes: Bytes,
    /// When it came.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    pub(super) check: Check,
}

/// How far the signatures of a frame are looked at.
#[derive(Debug)]
pub(super) enum Check {
    /// Nobody has looked.
    Waiting,
    /// A worker looks.
    Busy,
    /// They were looked at, or need not be.
    Done(Proofs),
}

/// The frames of one peer and lane.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    next: u64,
    /// Whether it was above the mark of the gauges when last looked at.
    pub(super) is_high: bool,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put(&mut self, mut entry: Entry) {
        entry.number = self.next;
        self.next += 1;
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
    }

    /// Returns how many bytes the next frame has, once it may be taken.
    pub(super) fn ready(&self) -> Option<usize> {
        let first = self.entries.front()?;
        matches!(first.check, Check::Done(_)).then(|| first.bytes.len())
    }

    /// Takes the next frame, if it may be taken.
    pub(super) fn take(&mut self) -> Option<(Entry, Proofs)> {
        self.ready()?;
        let mut entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes.len();
        match std::mem::replace(&mut entry.check, Check::Busy) {
            Check::Done(proofs) => Some((entry, proofs)),
            Check::Waiting | Check::Busy => None,
        }
    }

    /// Returns how many bytes the next frame has that nobody has looked at.
    pub(super) fn unchecked(&self) -> Option<usize> {
        Some(self.entries.get(self.first_waiting())?.bytes.len())
    }

    /// Has a worker look at the next frame that nobody has looked at.
    pub(super) fn check(&mut self) -> Option<&Entry> {
        let at = self.first_waiting();
        let entry = self.entries.get_mut(at)?;
        entry.check = Check::Busy;
        Some(entry)
    }

    /// Notes what a worker found.
    pub(super) fn checked(&mut self, number: u64, proofs: Proofs) {
        // It may be gone.
        if let Ok(at) = self.entries.binary_search_by_key(&number, |entry| entry.number) {
            self.entries[at].check = Check::Done(proofs);
        }
    }

    /// Drops the oldest frames that are `droppable` until as little is left; returns how many it were. Those that
    /// were looked at go last, for that cost something.
    pub(super) fn drop_oldest(
        &mut self,
        frames: usize,
        bytes: usize,
        droppable: fn(&Entry) -> bool,
    ) -> (u64, usize) {
        let (len_before, bytes_before) = (self.entries.len(), self.bytes);
        let passes: [fn(&Entry) -> bool; 2] = [
            |entry| matches!(entry.check, Check::Waiting),
            |entry| !matches!(entry.check, Check::Busy),
        ];
        for may_go in passes {
            let (mut len, mut left) = (self.entries.len(), self.bytes);
            if len <= frames && left <= bytes {
                break;
            }
            self.entries.retain(|entry| {
                let goes = (len > frames || left > bytes) && droppable(entry) && may_go(entry);
                if goes {
                    len -= 1;
                    left -= entry.bytes.len();
                }
                !goes
            });
            self.bytes = left;
        }
        ((len_before - self.entries.len()) as u64, bytes_before - self.bytes)
    }

    /// Takes all frames of a link, however far they are looked at.
    pub(super) fn take_all_of(&mut self, link: LinkId) -> Vec<(Entry, Proofs)> {
        let (taken, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.link == link);
        self.entries = rest.into();
        self.bytes = self.entries.iter().map(|entry| entry.bytes.len()).sum();
        let with_proofs = |mut entry: Entry| match std::mem::replace(&mut entry.check, Check::Busy)
        {
            Check::Done(proofs) => (entry, proofs),
            Check::Waiting | Check::Busy => (entry, Proofs::default()),
        };
        taken.into_iter().map(with_proofs).collect()
    }

    /// Lets go of all frames of a link; returns how many, and of how many bytes.
    pub(super) fn forget(&mut self, link: LinkId) -> (u64, usize) {
        let (len_before, bytes_before) = (self.entries.len(), self.bytes);
        self.entries.retain(|entry| entry.link != link);
        self.bytes = self.entries.iter().map(|entry| entry.bytes.len()).sum();
        ((len_before - self.entries.len()) as u64, bytes_before - self.bytes)
    }

    /// Returns how many nobody has looked at.
    pub(super) fn unchecked_len(&self) -> usize {
        self.entries.len() - self.first_waiting()
    }

    /// Returns where those begin that nobody has looked at: workers take them in order.
    fn first_waiting(&self) -> usize {
        self.entries.partition_point(|entry| !matches!(entry.check, Check::Waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry {
            number: 0,
            peer: AgentId([1; 32]),
            link: LinkId(1),
            lane: Lane::Pubsub,
            bytes: vec![0; bytes].into(),
            at: Duration::ZERO,
            kind: Kind::Data,
            check: Check::Waiting,
        }
    }

    #[test]
    fn recv_pump_frames_are_taken_in_their_order_whichever_is_checked_first() {
        let mut queue = Queue::default();
        (1..=3).for_each(|bytes| queue.put(entry(bytes)));
        let numbers: Vec<u64> = (0..3).filter_map(|_| Some(queue.check()?.number)).collect();
        assert_eq!((numbers, queue.unchecked()), (vec![0, 1, 2], None));
        queue.checked(2, Proofs::default());
        queue.checked(1, Proofs::default());
        assert!(queue.take().is_none(), "the first is not checked");
        queue.checked(0, Proofs::default());
        let taken: Vec<usize> =
            std::iter::from_fn(|| queue.take()).map(|(entry, _)| entry.bytes.len()).collect();
        assert_eq!((taken, queue.bytes()), (vec![1, 2, 3], 0));
    }

    #[test]
    fn recv_pump_drops_the_oldest_that_nobody_has_looked_at_and_then_the_others() {
        let mut queue = Queue::default();
        (0..10).for_each(|_| queue.put(entry(10)));
        queue.check();
        queue.check();
        queue.checked(0, Proofs::default());
        assert_eq!(queue.drop_oldest(5, 1_000, |_| true), (5, 50));
        let numbers: Vec<u64> = queue.entries.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [0, 1, 7, 8, 9]);
        assert_eq!(queue.drop_oldest(0, 0, |_| true), (4, 40), "one is looked at just now");
        queue.checked(1, Proofs::default());
        assert_eq!(queue.take().map(|(entry, _)| entry.number), Some(1));
        assert_eq!(queue.drop_oldest(0, 0, |_| true), (0, 0));
        (0..4).for_each(|_| queue.put(entry(10)));
        assert_eq!(queue.drop_oldest(9, 25, |_| true), (2, 20), "bytes count too");
        assert_eq!(queue.drop_oldest(0, 0, |entry| entry.kind == Kind::Light), (0, 0));
        assert_eq!(queue.forget(LinkId(1)), (2, 20));
        queue.checked(12, Proofs::default());
    }
}
