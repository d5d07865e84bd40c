//! Looks at every node again and again while a run goes on, and keeps what is needed of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use x0x::pump::{LanesView, PumpView};
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
    /// How full the fullest queue of what comes in was.
    pub fullest_pct: f64,
    /// How full the fullest queue of what goes out was.
    pub sending_pct: f64,
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
    let fullest = |peers: &BTreeMap<String, LanesView>, lane: usize| {
        peers.values().map(|peer| filled_pct(lanes(peer)[lane])).fold(0.0, f64::max)
    };
    std::array::from_fn(|lane| Point {
        fullest_pct: fullest(&view.per_peer, lane),
        sending_pct: fullest(&view.send_per_peer, lane),
        dwell_p99_us: lanes(&view.recv_pump)[lane].dwell_us.p99,
    })
}

fn ask(member: &Member, most: Duration) -> Result<PumpView, String> {
    let told = member.caller.get("/diagnostics/gossip", most).map_err(|failed| failed.why)?;
    read(told)
}

fn read(told: Value) -> Result<PumpView, String> {
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
    use x0x::pump::LaneView;

    use super::*;
    use crate::spans::PUBSUB;

    fn view(depths: [u64; 2]) -> PumpView {
        let of = |latest_depth| LanesView {
            pubsub: LaneView { latest_depth, capacity: 200, ..LaneView::default() },
            ..LanesView::default()
        };
        let peers = ["ab", "cd"].map(str::to_owned).into_iter().zip(depths.map(of));
        let per_peer = BTreeMap::from_iter(peers);
        PumpView {
            send_per_peer: BTreeMap::from([("ab".into(), of(50))]),
            per_peer,
            ..PumpView::default()
        }
    }

    #[test]
    fn what_a_node_shows_is_read_and_topics_are_left_out() {
        let shown = view([1, 2]);
        let mut told = serde_json::to_value(&shown).unwrap();
        told["topics"] = serde_json::json!([{"topic": "all"}]);
        assert_eq!(read(told), Ok(shown));
        assert!(read(serde_json::json!({"per_peer": {}})).is_err(), "it is something else");
    }

    #[test]
    fn a_row_has_the_fullest_queue_and_silence_leaves_a_gap() {
        let mut watched = Watched::new();
        watched.see(Duration::from_secs(1), 5, Ok(view([20, 120])));
        watched.see(Duration::from_secs(2), 6, Err("stopped".to_owned()));
        let point = watched.rows[0].lanes.unwrap()[PUBSUB];
        assert_eq!((point.fullest_pct, point.sending_pct), (60.0, 25.0));
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
