//! What a receive pump does with more than it can take: the policy that nodes follow, and those that it was measured
//! against.

use super::pressure::Fill;

/// The most frames that wait of one peer in one lane.
pub const FRAMES_MAX: usize = 2_048;

/// The most bytes that wait of one peer in one lane.
pub const BYTES_MAX: usize = 8 << 20;

/// From where on gossip is left out that others can do without, in percent of a queue.
pub(super) const SHED_PCT: u64 = 90;

/// How much may wait in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many frames.
    pub frames: usize,
    /// How many bytes.
    pub bytes: usize,
}

impl Room {
    /// What queues of nodes have.
    pub const FULL: Self = Self { frames: FRAMES_MAX, bytes: BYTES_MAX };

    /// Returns how full a queue is in which so much waits.
    pub(super) fn fill(self, frames: usize, bytes: usize) -> Fill {
        Fill::of((frames as u64, self.frames as u64), (bytes as u64, self.bytes as u64))
    }

    /// Returns some percent of it.
    pub(super) fn part(self, pct: u64) -> Self {
        let part = |of: usize| usize::try_from(of as u64 * pct / 100).unwrap_or(of);
        Self { frames: part(self.frames), bytes: part(self.bytes) }
    }
}

/// What is done with a frame of gossip that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Its sender is held back by flow control.
    Hold,
    /// The oldest frames are dropped until so many percent of the queue are left, and a repair makes good for all of
    /// them.
    DropTo(u64),
}

/// What a receive pump does with more than it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it is called.
    pub name: &'static str,
    /// Whether everything waits in one queue, in the order in which it came.
    pub is_shared: bool,
    /// What becomes of gossip where there is no room.
    pub on_full: OnFull,
    /// Whether signatures are checked by workers; else by whoever takes the frame.
    pub has_workers: bool,
    /// Whether whoever takes frames waits until the store and every peer have taken what they were given, before it
    /// takes more.
    pub waits: bool,
    /// How much may wait in a queue.
    pub room: Room,
}

impl Policy {
    /// A queue for each peer and lane, workers, and gossip that is dropped and repaired: what nodes follow.
    pub const FAIR: Self = Self {
        name: "fair",
        is_shared: false,
        on_full: OnFull::DropTo(10),
        has_workers: true,
        waits: false,
        room: Room::FULL,
    };

    /// One queue, and senders that are held back: one after the other is decoded, verified and passed on.
    pub const NAIVE: Self = Self {
        name: "naive",
        is_shared: true,
        on_full: OnFull::Hold,
        has_workers: false,
        waits: true,
        room: Room::FULL,
    };

    /// As that, but the oldest gossip is dropped, one frame for another, and repaired.
    pub const DROP_OLDEST: Self =
        Self { name: "drop-oldest", on_full: OnFull::DropTo(100), ..Self::NAIVE };

    /// As the naive one, with workers.
    pub const WORKERS: Self = Self { name: "workers", has_workers: true, ..Self::NAIVE };

    /// As the naive one, with a queue for each peer and lane.
    pub const QUOTA: Self = Self { name: "quota", is_shared: false, ..Self::NAIVE };

    /// Every policy there is.
    pub const ALL: [Self; 5] =
        [Self::FAIR, Self::NAIVE, Self::DROP_OLDEST, Self::WORKERS, Self::QUOTA];

    /// Returns the policy of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name == name)
    }
}
