//! When a queue that fills is told of in the log: above a half as information, above four fifths as a warning. It
//! is looked at with every frame that is let in, so that no jump is missed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use x0x_tracker::id::AgentId;

use crate::wire::Lane;

/// How full a queue is that is told of, in percent.
const INFO_PCT: u64 = 50;
const WARN_PCT: u64 = 80;

/// How long nothing more of the same is told of one queue.
const QUIET: Duration = Duration::from_secs(30);

/// How often something of the same is told of one lane, over all peers.
const PER_LANE: usize = 10;
const PER_LANE_WITHIN: Duration = Duration::from_secs(60);

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// More than a half.
    Info,
    /// More than four fifths.
    Warn,
}

/// How full a queue is, in whichever is scarcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// How much of it is used.
    pub used: u64,
    /// How much there is.
    pub capacity: u64,
    /// What is counted: `frames` or `bytes`.
    pub unit: &'static str,
}

impl Fill {
    /// Returns the scarcer of frames and bytes.
    pub(super) fn of(frames: (u64, u64), bytes: (u64, u64)) -> Self {
        let is_less = frames.0.saturating_mul(bytes.1) < bytes.0.saturating_mul(frames.1);
        let ((used, capacity), unit) = if is_less { (bytes, "bytes") } else { (frames, "frames") };
        Self { used, capacity, unit }
    }

    /// Returns how full it is, in percent.
    pub fn pct(self) -> u64 {
        self.used * 100 / self.capacity.max(1)
    }

    /// Tells whether it is filled to more than so many percent.
    pub(super) fn is_above(self, pct: u64) -> bool {
        self.used * 100 > self.capacity * pct
    }
}

/// Something to tell of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How grave it is.
    pub level: Level,
    /// Whose queue.
    pub peer: AgentId,
    /// Of which lane.
    pub lane: Lane,
    /// How full it is.
    pub fill: Fill,
    /// How often it was as full since the last report of the same, and nothing was told.
    pub suppressed: u64,
}

/// What was told of queues.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    queues: BTreeMap<(AgentId, Lane), [Told; 2]>,
    /// When something was told of each lane, by level.
    lanes: BTreeMap<(Lane, Level), VecDeque<Duration>>,
}

/// What was told of one queue, of one level.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Option<Duration>,
    suppressed: u64,
}

impl Pressure {
    /// Returns what is to be told of a queue that a frame was put into, in this order.
    pub(super) fn sample(
        &mut self,
        now: Duration,
        peer: AgentId,
        lane: Lane,
        fill: Fill,
    ) -> [Option<Report>; 2] {
        if !fill.is_above(INFO_PCT) {
            return [None, None];
        }
        let told = self.queues.entry((peer, lane)).or_default();
        let report = |level, suppressed| Report { level, peer, lane, fill, suppressed };
        let info = due(&mut self.lanes, now, lane, Level::Info, &mut told[0]);
        let info = info.map(|suppressed| report(Level::Info, suppressed));
        if !fill.is_above(WARN_PCT) {
            return [info, None];
        }
        // Nobody is warned of what was never mentioned.
        if told[0].at.is_none() {
            told[1].suppressed += 1;
            return [info, None];
        }
        let warn = due(&mut self.lanes, now, lane, Level::Warn, &mut told[1]);
        [info, warn.map(|suppressed| report(Level::Warn, suppressed))]
    }

    /// Forgets a peer.
    pub(super) fn forget(&mut self, peer: AgentId) {
        self.queues.retain(|(of, _), _| *of != peer);
    }
}

/// Returns how much was left out before, where something is told now.
fn due(
    lanes: &mut BTreeMap<(Lane, Level), VecDeque<Duration>>,
    now: Duration,
    lane: Lane,
    level: Level,
    told: &mut Told,
) -> Option<u64> {
    let is_quiet = told.at.is_some_and(|at| now < at + QUIET);
    let of_lane = lanes.entry((lane, level)).or_default();
    if !is_quiet {
        while of_lane.front().is_some_and(|at| now >= *at + PER_LANE_WITHIN) {
            of_lane.pop_front();
        }
    }
    if is_quiet || of_lane.len() >= PER_LANE {
        told.suppressed += 1;
        return None;
    }
    of_lane.push_back(now);
    told.at = Some(now);
    Some(std::mem::take(&mut told.suppressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    fn fill(used: u64) -> Fill {
        Fill::of((used, 100), (0, 1))
    }

    fn levels(pressure: &mut Pressure, now: Duration, n: u8, used: u64) -> Vec<(Level, u64)> {
        let told = pressure.sample(now, agent(n), Lane::Pubsub, fill(used));
        told.into_iter().flatten().map(|report| (report.level, report.suppressed)).collect()
    }

    #[test]
    fn warn_forward_channel_pressure_comes_with_its_info_when_a_queue_jumps_past_both() {
        let mut pressure = Pressure::default();
        assert_eq!(levels(&mut pressure, SECOND, 1, 50), []);
        assert_eq!(levels(&mut pressure, SECOND, 1, 100), [(Level::Info, 0), (Level::Warn, 0)]);
        assert_eq!(levels(&mut pressure, SECOND * 2, 2, 51), [(Level::Info, 0)]);
        assert_eq!(levels(&mut pressure, SECOND * 3, 2, 81), [(Level::Warn, 0)]);
    }

    #[test]
    fn warn_forward_channel_pressure_says_once_in_30_s_how_often_a_queue_was_so_full() {
        let mut pressure = Pressure::default();
        assert_eq!(levels(&mut pressure, SECOND, 1, 90), [(Level::Info, 0), (Level::Warn, 0)]);
        for second in 2..=30 {
            assert_eq!(levels(&mut pressure, SECOND * second, 1, 90), []);
        }
        assert_eq!(levels(&mut pressure, SECOND * 31, 1, 60), [(Level::Info, 29)]);
        assert_eq!(levels(&mut pressure, SECOND * 31, 1, 90), [(Level::Warn, 29)]);
    }

    #[test]
    fn warn_forward_channel_pressure_is_told_ten_times_a_minute_of_a_lane_and_info_comes_first() {
        let mut pressure = Pressure::default();
        for n in 1..=10 {
            assert_eq!(levels(&mut pressure, SECOND, n, 60), [(Level::Info, 0)]);
        }
        // There is room for warnings, and none for the information that goes before.
        assert_eq!(levels(&mut pressure, SECOND, 11, 90), []);
        assert_eq!(levels(&mut pressure, SECOND, 1, 90), [(Level::Warn, 0)]);
        assert_eq!(levels(&mut pressure, SECOND * 60, 11, 90), []);
        let told = levels(&mut pressure, SECOND * 61, 11, 90);
        assert_eq!(told, [(Level::Info, 2), (Level::Warn, 2)]);
        let direct = pressure.sample(SECOND, agent(12), Lane::Direct, fill(99));
        assert!(direct.iter().all(Option::is_some), "another lane has its own");
        pressure.forget(agent(1));
        assert!(pressure.queues.keys().all(|(peer, _)| *peer != agent(1)));
    }

    #[test]
    fn a_queue_is_as_full_as_the_scarcer_of_frames_and_bytes() {
        assert_eq!(Fill::of((1, 10), (90, 100)), Fill { used: 90, capacity: 100, unit: "bytes" });
        assert_eq!(Fill::of((9, 10), (80, 100)).pct(), 90);
        assert!(!fill(80).is_above(WARN_PCT) && fill(81).is_above(WARN_PCT));
    }
}
