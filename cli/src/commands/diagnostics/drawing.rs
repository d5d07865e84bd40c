//! The queues of a node as lines that people read. Not: where the figures come from, and where the lines go.

use serde::Deserialize;
use serde_json::Value;
use x0x::pump::{LaneView, LanesView, PumpView, TopicView};

use super::super::node::short;
use crate::output::bar::bar;
use crate::output::plain::cut;
use crate::output::table::{self, Cell, Colour, Column, Look};

/// How wide the bars are, in columns.
const BAR_COLUMNS: usize = 8;

/// What stands in the column of peers where all of them are meant.
const ALL: &str = "all";

const QUEUES: [Column<'static>; 13] = [
    Column::firm("way"),
    Column::whole("lane"),
    Column::soft("peer"),
    Column::whole("full"),
    Column::number("depth"),
    Column::number("in/s"),
    Column::number("out/s"),
    Column::number("dropped"),
    Column::number("shed"),
    Column::number("held back"),
    Column::number("dwell p50"),
    Column::number("p99"),
    Column::number("verify p50"),
];

const TOPICS: [Column<'static>; 6] = [
    Column::firm("topic"),
    Column::number("followers"),
    Column::number("missed"),
    Column::soft("slowest"),
    Column::number("behind"),
    Column::number("missed by it"),
];

/// What a node says of its queues.
#[derive(Debug, Default)]
pub struct Figures {
    pump: PumpView,
    topics: Vec<TopicView>,
}

impl Figures {
    /// Reads what `GET /diagnostics/gossip` answers.
    pub fn of(answer: &Value) -> Result<Self, serde_json::Error> {
        let topics = Vec::deserialize(&answer["topics"])?;
        Ok(Self { pump: PumpView::deserialize(answer)?, topics })
    }

    /// Returns it line by line. Where there is room for so many lines only, the fullest queues of peers are shown.
    pub fn lines(&self, look: Look, is_verbose: bool, lines_max: Option<usize>) -> Vec<String> {
        let below = self.below(look, is_verbose);
        let (all, of_peers) = self.queues();
        // A heading, an empty line, and one that says how many are not shown.
        let others = all.len() + below.len() + 3;
        let room = lines_max.map_or(usize::MAX, |lines_max| lines_max.saturating_sub(others));
        let is_linked = !of_peers.is_empty();
        let left_out = of_peers.len().saturating_sub(room);
        let shown = all.into_iter().chain(fullest(of_peers, room));
        let rows: Vec<_> = shown.map(|queue| queue.row(look, is_verbose)).collect();
        let mut lines = table(&QUEUES, &rows, look);
        if left_out > 0 {
            lines.push(format!("and {left_out} more of peers, none of them fuller"));
        }
        if !is_linked {
            lines.push("no peer is linked; x0x doctor says why".to_owned());
        }
        lines.push(String::new());
        lines.extend(below);
        let columns_max = look.columns_max.unwrap_or(usize::MAX);
        // What is painted is in tables, which fit.
        lines
            .into_iter()
            .map(|line| if line.contains('\u{1b}') { line } else { cut(&line, columns_max).into() })
            .collect()
    }

    /// Returns the queues of all peers together, and those of each.
    fn queues(&self) -> (Vec<Queue<'_>>, Vec<Queue<'_>>) {
        let PumpView { recv_pump, per_peer, send_pump, send_per_peer, .. } = &self.pump;
        let all = queues("in", ALL, recv_pump).chain(queues("out", ALL, send_pump));
        let mut peers: Vec<&String> = per_peer.keys().chain(send_per_peer.keys()).collect();
        peers.sort_unstable();
        peers.dedup();
        let of_peer = |peer: &'_ String| {
            let ways = [("in", per_peer.get(peer)), ("out", send_per_peer.get(peer))];
            ways.map(|(way, lanes)| lanes.map(|lanes| (way, lanes))).into_iter().flatten()
        };
        let of_peers = peers
            .into_iter()
            .flat_map(|peer| of_peer(peer).flat_map(move |(way, lanes)| queues(way, peer, lanes)));
        (all.collect(), of_peers.collect())
    }

    /// Returns what stands below the queues.
    fn below(&self, look: Look, is_verbose: bool) -> Vec<String> {
        let (repairs, workers) = (&self.pump.repairs, &self.pump.workers);
        let mut lines = vec![
            format!(
                "repairs  {} scheduled, {} begun, {} outstanding, {} held back",
                repairs.scheduled_total,
                repairs.begun_total,
                repairs.outstanding,
                repairs.held_back
            ),
            format!(
                "workers  {} of {} busy, {} at most so far",
                workers.running, workers.capacity, workers.running_max
            ),
        ];
        if !self.topics.is_empty() {
            let rows: Vec<_> = self.topics.iter().map(|topic| row(topic, is_verbose)).collect();
            lines.push(String::new());
            lines.extend(table(&TOPICS, &rows, look));
        }
        lines
    }
}

/// One queue.
struct Queue<'a> {
    way: &'static str,
    lane: &'static str,
    peer: &'a str,
    view: &'a LaneView,
}

fn queues<'a>(
    way: &'static str,
    peer: &'a str,
    lanes: &'a LanesView,
) -> impl Iterator<Item = Queue<'a>> {
    lanes.each().into_iter().map(move |(lane, view)| Queue { way, lane, peer, view })
}

/// Returns so many of them, the fullest, in the order in which they stand.
fn fullest(mut queues: Vec<Queue<'_>>, count_max: usize) -> Vec<Queue<'_>> {
    if queues.len() > count_max {
        let mut order: Vec<usize> = (0..queues.len()).collect();
        let used = |at: &usize| queues[*at].used().unwrap_or(0.0);
        order.sort_by(|a, b| used(b).total_cmp(&used(a)));
        order.truncate(count_max);
        let mut at = 0..;
        queues.retain(|_| at.next().is_some_and(|at| order.contains(&at)));
    }
    queues
}

impl Queue<'_> {
    /// Returns how much of it is in use, of which 1 is all; `None` where nothing may wait in it.
    fn used(&self) -> Option<f64> {
        let LaneView { latest_depth, capacity, latest_bytes, capacity_bytes, .. } = self.view;
        let part = |used: u64, of: u64| (of > 0).then(|| used as f64 / of as f64);
        let parts = [part(*latest_depth, *capacity), part(*latest_bytes, *capacity_bytes)];
        parts.into_iter().flatten().reduce(f64::max)
    }

    fn row(&self, look: Look, is_verbose: bool) -> Vec<Cell> {
        let view = self.view;
        let is_blocks = look.columns_max.is_some();
        let full = self.used().map_or_else(Cell::default, |used| {
            let bar = bar(used, BAR_COLUMNS, is_blocks);
            Cell::new(&format!("{bar} {:3.0} %", (used * 100.0).floor())).painted(colour(used))
        });
        let whole = |count: u64| Cell::new(&count.to_string());
        let rate = |per_sec: f64| Cell::new(&format!("{per_sec:.1}"));
        vec![
            Cell::new(self.way),
            Cell::new(self.lane),
            Cell::new(if is_verbose { self.peer } else { short(self.peer) }),
            full,
            Cell::new(&format!("{}/{}", view.latest_depth, view.capacity)),
            rate(view.producer_per_sec.over_10s),
            rate(view.consumer_per_sec.over_10s),
            whole(view.dropped_full),
            whole(view.shed_priority),
            Cell::new(&format!("{} ms", view.backpressured_ms)),
            duration(view.dwell_us.max, view.dwell_us.p50),
            duration(view.dwell_us.max, view.dwell_us.p99),
            duration(view.verify_us.max, view.verify_us.p50),
        ]
    }
}

/// Returns the colour of a queue that logs would speak of.
fn colour(used: f64) -> Option<Colour> {
    if used > 0.8 {
        Some(Colour::Red)
    } else if used > 0.5 {
        Some(Colour::Yellow)
    } else {
        None
    }
}

/// Returns a duration; nothing where none was measured.
fn duration(max_us: u64, us: u64) -> Cell {
    if max_us == 0 {
        return Cell::default();
    }
    Cell::new(&format!("{:.2} ms", us as f64 / 1_000.0))
}

fn row(topic: &TopicView, is_verbose: bool) -> Vec<Cell> {
    let mut cells = vec![
        Cell::new(if is_verbose { &topic.topic } else { short(&topic.topic) }),
        Cell::new(&topic.subscribers.len().to_string()),
        Cell::new(&topic.lagged_total.to_string()),
    ];
    if let Some(slowest) = &topic.slowest {
        cells.push(Cell::new(&slowest.name));
        cells.push(Cell::new(&slowest.behind.to_string()));
        cells.push(Cell::new(&slowest.lagged_total.to_string()));
    }
    cells
}

fn table(head: &[Column<'_>], rows: &[Vec<Cell>], look: Look) -> Vec<String> {
    let mut written = Vec::new();
    // Writing to memory cannot fail.
    let _written = table::write(&mut written, head, rows, look);
    String::from_utf8_lossy(&written).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
