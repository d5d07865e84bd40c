//! For how long queues were as they should not be, from samples.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x::pump::{LaneView, LanesView};

/// The lanes by name, in the order in which they are shown.
pub const LANES: [&str; 4] = ["control", "pubsub", "direct", "sync"];

pub const CONTROL: usize = 0;
pub const PUBSUB: usize = 1;

/// Where a queue has no room for one more frame, in bytes: it is full before it is filled to the last byte.
const FULL_BYTES_PCT: f64 = 99.0;

/// Returns the lanes in the order of [`LANES`].
pub fn lanes(view: &LanesView) -> [&LaneView; 4] {
    view.each().map(|(_, lane)| lane)
}

fn share_pct(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Returns how full a queue is, in frames or in bytes, in percent.
pub fn filled_pct(lane: &LaneView) -> f64 {
    share_pct(lane.latest_depth, lane.capacity)
        .max(share_pct(lane.latest_bytes, lane.capacity_bytes))
}

fn is_full(lane: &LaneView) -> bool {
    share_pct(lane.latest_depth, lane.capacity) >= 100.0
        || share_pct(lane.latest_bytes, lane.capacity_bytes) >= FULL_BYTES_PCT
}

/// What moves where a full queue does what it is meant to do.
fn reaction(lane: usize, view: &LaneView) -> u64 {
    match lane {
        CONTROL | PUBSUB => view.dropped_full + view.shed_priority,
        _ => view.backpressured_ms,
    }
}

/// The longest time of one lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Longest {
    pub lasted: Duration,
    /// When it began, from the start of the run.
    pub from: Duration,
    /// With which peer.
    pub peer: String,
}

/// Follows the queues of a node.
///
/// Between two samples a queue is taken to have been as it was at both, so times are rather too long than too short.
#[derive(Debug)]
pub struct Spans {
    is_in: fn(&LaneView) -> bool,
    /// A time ends where this changes.
    marker: fn(usize, &LaneView) -> u64,
    open: BTreeMap<(String, usize), (Duration, u64)>,
    /// By lane.
    pub longest: [Longest; 4],
}

impl Spans {
    /// The times in which a queue was full, and neither dropped anything nor held anybody back.
    pub fn stuck() -> Self {
        Self::of(is_full, reaction)
    }

    /// The times in which a queue was filled to more than 80 percent.
    pub fn above_80() -> Self {
        Self::of(|lane| filled_pct(lane) > 80.0, |_, _| 0)
    }

    fn of(is_in: fn(&LaneView) -> bool, marker: fn(usize, &LaneView) -> u64) -> Self {
        Self { is_in, marker, open: BTreeMap::new(), longest: Default::default() }
    }

    /// Takes a sample: what each peer's queues are like.
    pub fn see(&mut self, at: Duration, peers: &BTreeMap<String, LanesView>) {
        self.open.retain(|(peer, _), _| peers.contains_key(peer));
        for (peer, view) in peers {
            for (number, lane) in lanes(view).into_iter().enumerate() {
                self.see_lane(at, peer, number, lane);
            }
        }
    }

    fn see_lane(&mut self, at: Duration, peer: &str, number: usize, lane: &LaneView) {
        let key = (peer.to_owned(), number);
        if !(self.is_in)(lane) {
            self.open.remove(&key);
            return;
        }
        let marker = (self.marker)(number, lane);
        let begun = self.open.entry(key).or_insert((at, marker));
        if begun.1 != marker {
            *begun = (at, marker);
        }
        let lasted = at.saturating_sub(begun.0);
        if lasted > self.longest[number].lasted {
            self.longest[number] = Longest { lasted, from: begun.0, peer: peer.to_owned() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(depth: u64, dropped_full: u64, backpressured_ms: u64) -> BTreeMap<String, LanesView> {
        let lane = LaneView {
            latest_depth: depth,
            capacity: 100,
            dropped_full,
            backpressured_ms,
            ..LaneView::default()
        };
        let view = LanesView { pubsub: lane.clone(), sync: lane, ..LanesView::default() };
        BTreeMap::from([("ab".to_owned(), view)])
    }

    fn longest(spans: &Spans) -> [u64; 4] {
        spans.longest.each_ref().map(|longest| longest.lasted.as_secs())
    }

    fn seen(samples: impl IntoIterator<Item = (u64, BTreeMap<String, LanesView>)>) -> Spans {
        let mut spans = Spans::stuck();
        for (second, peers) in samples {
            spans.see(Duration::from_secs(second), &peers);
        }
        spans
    }

    #[test]
    fn a_queue_that_is_full_and_does_nothing_is_stuck() {
        let spans = seen((3..10).map(|second| (second, queue(100, 7, 7))));
        assert_eq!(longest(&spans), [0, 6, 0, 6]);
        let expected = Longest {
            lasted: Duration::from_secs(6),
            from: Duration::from_secs(3),
            peer: "ab".into(),
        };
        assert_eq!(spans.longest[PUBSUB], expected);
    }

    #[test]
    fn dropping_is_what_a_full_queue_of_gossip_does_and_holding_back_what_others_do() {
        let dropping = seen((0..10).map(|second| (second, queue(100, second, 7))));
        assert_eq!(longest(&dropping), [0, 0, 0, 9]);
        let holding = seen((0..10).map(|second| (second, queue(100, 7, second))));
        assert_eq!(longest(&holding), [0, 9, 0, 0]);
    }

    #[test]
    fn a_queue_that_had_room_meanwhile_or_whose_peer_was_gone_was_not_full_all_the_time() {
        let roomy = seen((0..10).map(|second| (second, queue(100 - u64::from(second == 4), 0, 0))));
        assert_eq!(longest(&roomy), [0, 4, 0, 4]);
        let gone = (0..10).map(|second| match second {
            5 => (second, BTreeMap::new()),
            _ => (second, queue(100, 0, 0)),
        });
        assert_eq!(longest(&seen(gone)), [0, 4, 0, 4]);
    }

    #[test]
    fn a_queue_is_full_in_bytes_as_well_and_none_is_where_there_is_none() {
        let mut peers = queue(1, 0, 0);
        let view = peers.get_mut("ab").unwrap();
        (view.pubsub.latest_bytes, view.pubsub.capacity_bytes) = (995, 1_000);
        let spans = seen((0..3).map(|second| (second, peers.clone())));
        assert_eq!(longest(&spans), [0, 2, 0, 0]);
        assert_eq!(filled_pct(&LaneView::default()), 0.0);
    }

    #[test]
    fn above_80_percent_counts_whatever_the_queue_does() {
        let mut spans = Spans::above_80();
        for second in 0..8 {
            spans.see(
                Duration::from_secs(second),
                &queue(81 - u64::from(second > 5), second, second),
            );
        }
        assert_eq!(longest(&spans), [0, 5, 0, 5]);
    }
}
