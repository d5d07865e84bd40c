//! The limits in front of the proto, which has none of its own: what one peer may cause, what is
//! remembered of broadcasts, and the timers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::config::MeshConfig;
use super::wire::BroadcastId;
use crate::rate::{Bucket, Rate};

/// Messages about neighbours from one peer. When 1,000 nodes start and join through one, that one sends
/// each neighbour 1,000 at once; what is dropped then, shuffles make up for.
pub(super) const SWARM_RATE: Rate = Rate { burst: 256, per_second: 32 };

/// Bytes that one peer may ask to be sent again: a request of 40 bytes brings up to 64 KiB.
pub(super) const ANSWER_BYTES_RATE: Rate = Rate { burst: 4 << 20, per_second: 1 << 20 };

/// What an answer costs at least, in bytes, even if there is none.
pub(super) const ANSWER_BYTES_MIN: u64 = 256;

/// Members that are asked to be neighbours if they have room, in units of [`QUESTION_COST`]: 12 at once,
/// then one in 20 s. Where all others have as many neighbours as they want, each refuses, and the proto
/// asks the next as soon as it hears that, for ever.
pub(super) const QUESTION_RATE: Rate = Rate { burst: 12 * QUESTION_COST, per_second: 1 };

/// What one such question costs.
pub(super) const QUESTION_COST: u64 = 20;

/// What one peer may still cause.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) swarm: Bucket,
    pub(super) answers: Bucket,
    /// What it offered and has not come, with the time until which it is waited for.
    pub(super) offers: BTreeMap<BroadcastId, Duration>,
}

impl Peer {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            swarm: Bucket::new(SWARM_RATE, now),
            answers: Bucket::new(ANSWER_BYTES_RATE, now),
            offers: BTreeMap::new(),
        }
    }

    /// Drops its offers, and tells whether there were any.
    pub(super) fn forget_offers(&mut self) -> bool {
        !std::mem::take(&mut self.offers).is_empty()
    }

    /// Tells whether a new account of it would say the same.
    pub(super) fn is_at_rest(&mut self, now: Duration) -> bool {
        self.offers.is_empty() && self.swarm.is_full(now) && self.answers.is_full(now)
    }
}

/// Which broadcasts there were, and how much the proto keeps of them.
///
/// The proto looks for what is too old once in an interval. Until it must have looked, an entry stays
/// here: so there is never more than is counted, and nothing is judged as new that the proto remembers.
#[derive(Debug)]
pub(super) struct Memory {
    kept_for: Duration,
    remembered_for: Duration,
    kept_max: usize,
    kept_bytes_max: usize,
    relayed: Recent,
    known: Recent,
    /// What the proto keeps, oldest first: until when at most, and how many bytes.
    kept: VecDeque<(Duration, usize)>,
    kept_bytes: usize,
}

/// Broadcasts of the last seconds.
#[derive(Debug, Default)]
struct Recent {
    /// Until when each is remembered, and how many bytes it has.
    by_id: BTreeMap<BroadcastId, (Duration, usize)>,
    /// Oldest first.
    order: VecDeque<(Duration, BroadcastId)>,
}

impl Recent {
    /// Notes one that is not there.
    fn insert(&mut self, until: Duration, id: BroadcastId, bytes: usize) {
        self.by_id.insert(id, (until, bytes));
        self.order.push_back((until, id));
    }

    fn forget(&mut self, now: Duration) {
        while let Some((until, id)) = self.order.front().copied()
            && until <= now
        {
            self.order.pop_front();
            self.by_id.remove(&id);
        }
    }
}

impl Memory {
    pub(super) fn new(config: &MeshConfig) -> Self {
        Self {
            kept_for: config.kept_for + MeshConfig::SWEEP_INTERVAL,
            remembered_for: config.remembered_for + MeshConfig::SWEEP_INTERVAL,
            kept_max: config.kept_max,
            kept_bytes_max: config.kept_bytes_max,
            relayed: Recent::default(),
            known: Recent::default(),
            kept: VecDeque::new(),
            kept_bytes: 0,
        }
    }

    /// Forgets what is too old. The proto must have done so before, so fire its timers first.
    pub(super) fn forget(&mut self, now: Duration) {
        self.relayed.forget(now);
        self.known.forget(now);
        while let Some((until, bytes)) = self.kept.front().copied()
            && until <= now
        {
            self.kept.pop_front();
            self.kept_bytes -= bytes;
        }
    }

    /// Tells whether the proto may be given one more broadcast.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.kept.len() < self.kept_max
            && self.kept_bytes.saturating_add(bytes) <= self.kept_bytes_max
            && self.relayed.by_id.len() < self.remembered_max()
    }

    /// Notes that the proto was given a broadcast; call it only where there is room.
    pub(super) fn relay(&mut self, now: Duration, id: BroadcastId, bytes: usize) {
        self.relayed.insert(now + self.remembered_for, id, bytes);
        self.kept.push_back((now + self.kept_for, bytes));
        self.kept_bytes += bytes;
    }

    /// Notes that nothing is to be learnt from a broadcast. Where there is no room it is not noted, and
    /// will be asked for once more.
    pub(super) fn know(&mut self, now: Duration, id: BroadcastId) {
        if self.known.by_id.len() < self.remembered_max() {
            self.known.insert(now + self.remembered_for, id, 0);
        }
    }

    /// Tells whether the proto surely remembers a broadcast, and takes another one for a copy. In the
    /// last interval it may, or take it for new.
    pub(super) fn is_in_proto(&self, now: Duration, id: &BroadcastId) -> bool {
        let until = self.relayed.by_id.get(id).map(|(until, _)| *until);
        until.is_some_and(|until| until > now + MeshConfig::SWEEP_INTERVAL)
    }

    pub(super) fn was_relayed(&self, id: &BroadcastId) -> bool {
        self.relayed.by_id.contains_key(id)
    }

    pub(super) fn is_known(&self, id: &BroadcastId) -> bool {
        self.known.by_id.contains_key(id)
    }

    /// Tells whether it needs not be asked for.
    pub(super) fn has(&self, id: &BroadcastId) -> bool {
        self.was_relayed(id) || self.is_known(id)
    }

    /// Returns how many bytes a broadcast has, if it is remembered.
    pub(super) fn bytes_of(&self, id: &BroadcastId) -> Option<usize> {
        self.relayed.by_id.get(id).map(|(_, bytes)| *bytes)
    }

    /// Returns how many broadcasts are kept, of how many bytes, and how many hashes are remembered.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.kept.len(), self.kept_bytes, self.relayed.by_id.len() + self.known.by_id.len())
    }

    fn remembered_max(&self) -> usize {
        self.kept_max.saturating_mul(4)
    }
}

/// What happens later.
#[derive(Debug)]
pub(super) struct Timers<T> {
    /// Those of one time in the order in which they were set.
    by_deadline: BTreeMap<(Duration, u64), T>,
    set_total: u64,
}

impl<T> Timers<T> {
    /// What a timer takes at least, so that those which set each other come to an end.
    const DELAY_MIN: Duration = Duration::from_millis(1);

    pub(super) fn new() -> Self {
        Self { by_deadline: BTreeMap::new(), set_total: 0 }
    }

    pub(super) fn set(&mut self, now: Duration, delay: Duration, timer: T) {
        self.by_deadline.insert((now + delay.max(Self::DELAY_MIN), self.set_total), timer);
        self.set_total += 1;
    }

    /// Returns the next that is due.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<T> {
        let first = self.by_deadline.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.by_deadline.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_come_in_the_order_of_their_time_and_then_of_their_setting() {
        let mut timers = Timers::new();
        timers.set(SECOND, SECOND, 'b');
        timers.set(SECOND, SECOND, 'c');
        timers.set(SECOND, Duration::ZERO, 'a');
        assert_eq!(timers.pop_due(SECOND), None, "a timer takes a while");
        assert_eq!(timers.deadline(), Some(SECOND + Timers::<char>::DELAY_MIN));
        let due: String = std::iter::from_fn(|| timers.pop_due(SECOND * 2)).collect();
        assert_eq!((due.as_str(), timers.deadline(), timers.len()), ("abc", None, 0));
    }

    #[test]
    fn memory_is_full_at_its_limits_and_empties_with_time() {
        let config = MeshConfig { kept_max: 2, kept_bytes_max: 100, ..MeshConfig::default() };
        let mut memory = Memory::new(&config);
        assert!(memory.has_room(100) && !memory.has_room(101));
        memory.relay(SECOND, [1; 32], 60);
        assert!(memory.has_room(40) && !memory.has_room(41));
        memory.relay(SECOND, [2; 32], 0);
        assert!(!memory.has_room(0));
        memory.forget(SECOND + config.kept_for);
        assert!(!memory.has_room(0), "the proto may still have them");
        memory.forget(SECOND * 2 + config.kept_for);
        assert!(memory.has_room(100) && memory.has(&[1; 32]));
        let aged = config.remembered_for;
        assert!(memory.is_in_proto(aged, &[1; 32]) && !memory.is_in_proto(SECOND + aged, &[1; 32]));
        memory.forget(SECOND + aged);
        assert_eq!(memory.size(), (0, 0, 2), "the proto may still remember them");
        memory.forget(SECOND * 2 + aged);
        assert_eq!(memory.size(), (0, 0, 0));
    }

    #[test]
    fn only_so_many_hashes_are_remembered() {
        let config = MeshConfig { kept_max: 2, ..MeshConfig::default() };
        let mut memory = Memory::new(&config);
        for id in 0..20 {
            memory.know(SECOND, [id; 32]);
        }
        assert_eq!(memory.size(), (0, 0, 8));
        assert!(memory.is_known(&[7; 32]) && !memory.is_known(&[8; 32]));
    }
}
