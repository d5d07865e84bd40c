//! What a pump shows of itself, as programs and people read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went through one queue, or through those of one lane over all peers, since the node was started.
///
/// Every frame that was produced was enqueued, was shed, was dropped, or is held back; every frame that was enqueued
/// was dequeued, was dropped, went with its link, or still waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LaneView {
    /// Frames that came off the wire.
    pub produced_total: u64,
    /// Frames that were let in.
    pub enqueued_total: u64,
    /// Frames that were taken by whoever acts on them.
    pub dequeued_total: u64,
    /// Frames that were dropped because the queue was full; each had a repair scheduled.
    pub dropped_full: u64,
    /// Frames that were left out where the queue was nearly full, because others can do without them.
    pub shed_priority: u64,
    /// How long senders were held back by flow control, in milliseconds.
    pub backpressured_ms: u64,
    /// How many frames wait.
    pub latest_depth: u64,
    /// The most that ever waited at once.
    pub max_depth: u64,
    /// How many frames may wait: of one peer, or of all linked peers together.
    pub capacity: u64,
    /// How many bytes wait.
    pub latest_bytes: u64,
    /// How many bytes may wait.
    pub capacity_bytes: u64,
    /// How long it was filled to more than 80 percent, in frames or in bytes, in milliseconds; over all peers, the sum.
    pub above_80_ms: u64,
    /// Frames produced a second.
    pub producer_per_sec: Rates,
    /// Frames taken a second.
    pub consumer_per_sec: Rates,
    /// How long frames waited, until they were taken.
    pub dwell_us: Spread,
    /// How long checking the signatures of a frame took.
    pub verify_us: Spread,
}

/// How often something happened a second, over the last 1, 10 and 60 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Over the last second.
    #[serde(rename = "1s")]
    pub over_1s: f64,
    /// Over the last 10 seconds.
    #[serde(rename = "10s")]
    pub over_10s: f64,
    /// Over the last minute.
    #[serde(rename = "60s")]
    pub over_60s: f64,
}

/// How something was spread, in microseconds, since the node was started; all 0 where there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// The median.
    pub p50: u64,
    /// What one in a hundred was above.
    pub p99: u64,
    /// The largest.
    pub max: u64,
    /// How many were counted.
    #[serde(skip)]
    pub count: u64,
    /// Their sum, in microseconds.
    #[serde(skip)]
    pub sum_us: u64,
    /// How many were at most as large as each of [`BOUNDS_US`].
    #[serde(skip)]
    pub at_most: Vec<u64>,
}

/// The bounds of the buckets in which durations are counted for Prometheus, in microseconds.
pub const BOUNDS_US: [u64; 12] =
    [10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// The four lanes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LanesView {
    /// Liveness, leases, cards, comparisons.
    pub control: LaneView,
    /// Gossip.
    pub pubsub: LaneView,
    /// Direct messages and their acknowledgements.
    pub direct: LaneView,
    /// Requests for repair, and what comes in answer.
    pub sync: LaneView,
}

impl LanesView {
    /// Returns the lanes by name, in the order in which they are shown.
    pub fn each(&self) -> [(&'static str, &LaneView); 4] {
        let Self { control, pubsub, direct, sync } = self;
        [("control", control), ("pubsub", pubsub), ("direct", direct), ("sync", sync)]
    }
}

/// What the pumps of a node do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PumpView {
    /// What came in, by lane over all peers.
    pub recv_pump: LanesView,
    /// What came in, by agent.
    pub per_peer: BTreeMap<String, LanesView>,
    /// What goes out, by lane over all peers; what is in the sync lane goes out as it is asked for and has no queue.
    pub send_pump: LanesView,
    /// What goes out, by agent.
    pub send_per_peer: BTreeMap<String, LanesView>,
    /// Comparisons and pulls that drops made necessary.
    pub repairs: RepairsView,
    /// Threads that check signatures.
    pub workers: WorkersView,
}

/// Repairs that drops made necessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepairsView {
    /// How often frames of a peer were dropped while no repair with it was due: each made one due.
    pub scheduled_total: u64,
    /// How many were begun.
    pub begun_total: u64,
    /// How many are due or go on.
    pub outstanding: u64,
    /// How many wait because the sync lane of their peer is filled to more than a half.
    pub held_back: u64,
}

/// Threads that check signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkersView {
    /// How many run.
    pub running: u64,
    /// The most that ever ran at once.
    pub running_max: u64,
    /// How many may.
    pub capacity: u64,
}

/// Somebody who follows a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubscriberView {
    /// Who: what the program called itself, and where it asked from.
    pub name: String,
    /// How many events there are that it has not been given yet; of those that are gone, it will be told.
    pub behind: u64,
    /// How many events it was told that it missed, because it was too slow or away for too long.
    pub lagged_total: u64,
    /// How long it has followed, in milliseconds.
    pub for_ms: u64,
}

/// What can be followed, and who does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopicView {
    /// The id of a task list, `all` for events of every list, or `direct` for direct messages.
    pub topic: String,
    /// Who follows it.
    pub subscribers: Vec<SubscriberView>,
    /// The one that is furthest behind; of several, the one that missed most; none where nobody is or did.
    pub slowest: Option<SubscriberView>,
    /// How many events subscribers of it missed since the node was started, those that are gone included.
    pub lagged_total: u64,
}
