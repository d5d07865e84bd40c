//! Looks at every node again and again while a run goes on, and keeps what is needed of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use x0x::pump::PumpView;
use x0x::time;

use super::mesh::Member;
use super::process;
use super::spans::{Spans, filled_pct, lanes};

/// How long a node may take to answer; one that is stopped does not.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long it may take at the end of a run.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(30);

/// How many rows of a node are kept; from then on every other one is.
const ROWS_MAX: usize = 20_000;

/// A node at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// From the start of the run.
    pub at: Duration,
    /// Memory in use, in bytes.
    pub resident: u64,
    /// What comes in, by lane; `None` where the node did not say.
    pub lanes: Option<[Point; 4]>,
}

/// A lane at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// How full the fullest queue was.
    pub fullest_pct: f64,
    /// What one in a hundred frames waited longer than, since the node was started.
    pub dwell_p99_us: u64,
}

/// What is known of a node.
#[derive(Debug)]
pub struct Watched {
    pub rows: Vec<Row>,
    /// What its pumps showed last.
    pub last: Option<PumpView>,
    pub answered: u64,
    pub unanswered: u64,
    /// Why there was no answer the first time.
    pub why: Option<String>,
    /// How many issues it had last.
    pub issues: u64,
    pub stuck: Spans,
    /// The same of what goes out.
    pub stuck_sending: Spans,
    pub above_80: Spans,
}

/// Looks at nodes until it is told to stop.
pub struct Watch {
    begun: time::Moment,
    every: Duration,
    pub is_over: AtomicBool,
    watched: Vec<Mutex<Watched>>,
}

/// Ends a watch, also where a test fails on the way.
pub struct EndsWatch<'a>(&'a Watch);

impl Drop for EndsWatch<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Watched {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            last: None,
            answered: 0,
            unanswered: 0,
            why: None,
            issues: 0,
            stuck: Spans::stuck(),
            stuck_sending: Spans::stuck(),
            above_80: Spans::above_80(),
        }
    }

    fn see(&mut self, at: Duration, resident: u64, view: Result<PumpView, String>) {
        let lanes = match view {
            Ok(view) => {
                self.answered += 1;
                self.stuck.see(at, &view.per_peer);
                self.stuck_sending.see(at, &view.send_per_peer);
                self.above_80.see(at, &view.per_peer);
                Some(points(self.last.insert(view)))
            }
            Err(why) => {
                self.unanswered += 1;
                self.why.get_or_insert(why);
                None
            }
        };
        self.rows.push(Row { at, resident, lanes });
        if self.rows.len() >= ROWS_MAX {
            let mut is_kept = false;
            self.rows.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// Tells how full the fullest queue of a lane was when it was last seen.
    pub fn fullest_pct(&self, lane: usize) -> f64 {
        let seen = self.rows.iter().rev().find_map(|row| row.lanes);
        seen.map_or(0.0, |lanes| lanes[lane].fullest_pct)
    }
}

fn points(view: &PumpView) -> [Point; 4] {
    let mut points = lanes(&view.recv_pump)
        .map(|lane| Point { fullest_pct: 0.0, dwell_p99_us: lane.dwell_us.p99 });
    for peer in view.per_peer.values() {
        for (point, lane) in points.iter_mut().zip(lanes(peer)) {
            point.fullest_pct = point.fullest_pct.max(filled_pct(lane));
        }
    }
    points
}

fn ask(member: &Member, most: Duration) -> Result<PumpView, String> {
    let told = member.caller.get("/diagnostics/gossip", most).map_err(|failed| failed.why)?;
    serde_json::from_value(told).map_err(|error| error.to_string())
}

impl Watch {
    pub fn new(nodes: usize, every: Duration) -> Self {
        Self {
            begun: time::origin(),
            every,
            is_over: AtomicBool::new(false),
            watched: (0..nodes).map(|_| Mutex::new(Watched::new())).collect(),
        }
    }

    pub fn ends(&self) -> EndsWatch<'_> {
        EndsWatch(self)
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn of(&self, node: usize) -> MutexGuard<'_, Watched> {
        self.watched[node].lock().unwrap()
    }

    /// Looks at a node until the watch is over.
    pub fn follow(&self, node: usize, member: &Member) {
        while !self.is_over.load(Ordering::Relaxed) {
            let begun = time::origin();
            self.look(node, member, ANSWER_MAX);
            time::pause(self.every.saturating_sub(begun.elapsed()));
        }
    }

    fn look(&self, node: usize, member: &Member, most: Duration) {
        let view = ask(member, most);
        let issues = member.issues(most);
        let resident = process::memory(member.process()).resident;
        let mut watched = self.of(node);
        watched.issues = issues.unwrap_or(watched.issues);
        watched.see(self.elapsed(), resident, view);
    }

    /// Returns what is known of a node in the end, after a last look.
    pub fn conclude(&self, node: usize, member: &Member) -> Watched {
        self.look(node, member, LAST_ANSWER_MAX);
        std::mem::replace(&mut *self.of(node), Watched::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use x0x::pump::{LaneView, LanesView};

    use super::*;
    use crate::spans::PUBSUB;

    fn view(depths: [u64; 2]) -> PumpView {
        let of = |latest_depth| LanesView {
            pubsub: LaneView { latest_depth, capacity: 200, ..LaneView::default() },
            ..LanesView::default()
        };
        let peers = ["ab", "cd"].map(str::to_owned).into_iter().zip(depths.map(of));
        PumpView { per_peer: BTreeMap::from_iter(peers), ..PumpView::default() }
    }

    #[test]
    fn a_row_has_the_fullest_queue_and_silence_leaves_a_gap() {
        let mut watched = Watched::new();
        watched.see(Duration::from_secs(1), 5, Ok(view([20, 120])));
        watched.see(Duration::from_secs(2), 6, Err("stopped".to_owned()));
        assert_eq!(watched.rows[0].lanes.unwrap()[PUBSUB].fullest_pct, 60.0);
        assert_eq!((watched.rows[1].lanes, watched.rows[1].resident), (None, 6));
        assert_eq!((watched.answered, watched.unanswered), (1, 1));
        assert_eq!((watched.fullest_pct(PUBSUB), watched.why), (60.0, Some("stopped".to_owned())));
    }

    #[test]
    fn rows_have_a_limit_and_reach_from_the_first_to_the_last_all_the_same() {
        let mut watched = Watched::new();
        for n in 0..3 * ROWS_MAX as u64 {
            watched.see(Duration::from_secs(n), 1, Err(String::new()));
        }
        let last = watched.rows.last().unwrap().at.as_secs();
        assert!(watched.rows.len() < ROWS_MAX && watched.rows[0].at.is_zero());
        assert!(last + 2 >= 3 * ROWS_MAX as u64 - 1, "{last}");
    }
}
