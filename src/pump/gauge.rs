//! What is counted of one queue, or of one lane over all peers. It decides nothing and reads no clock.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::view::{BOUNDS_US, LaneView, Rates, Spread};

/// How many seconds are kept of what happened in each: a minute, and the second that goes on.
const SECONDS: usize = 61;

/// What is counted.
#[derive(Debug)]
pub(super) struct Gauge {
    produced: u64,
    enqueued: u64,
    dequeued: u64,
    dropped_full: u64,
    shed: u64,
    depth: u64,
    depth_max: u64,
    bytes: u64,
    producing: Meter,
    consuming: Meter,
    dwell: Durations,
    verify: Durations,
    /// Senders that are held back.
    held: Integral,
    /// Queues that are filled to more than [`HIGH_PCT`].
    high: Integral,
}

/// From where on, in percent, the time is counted for which a queue is filled so.
pub(super) const HIGH_PCT: u64 = 80;

impl Gauge {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            produced: 0,
            enqueued: 0,
            dequeued: 0,
            dropped_full: 0,
            shed: 0,
            depth: 0,
            depth_max: 0,
            bytes: 0,
            producing: Meter::default(),
            consuming: Meter::default(),
            dwell: Durations::default(),
            verify: Durations::default(),
            held: Integral::new(now),
            high: Integral::new(now),
        }
    }

    /// A frame came.
    pub(super) fn produced(&mut self, now: Duration) {
        self.produced += 1;
        self.producing.add(now);
    }

    /// A frame was let in.
    pub(super) fn enqueued(&mut self, bytes: usize) {
        self.enqueued += 1;
        self.depth += 1;
        self.depth_max = self.depth_max.max(self.depth);
        self.bytes += bytes as u64;
    }

    /// A frame was taken that waited so long.
    pub(super) fn dequeued(&mut self, now: Duration, dwell: Duration) {
        self.dequeued += 1;
        self.consuming.add(now);
        self.dwell.add(dwell);
    }

    /// Frames wait no more, whatever became of them.
    pub(super) fn left(&mut self, frames: u64, bytes: usize) {
        self.depth = self.depth.saturating_sub(frames);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// Frames were dropped because there was no room.
    pub(super) fn dropped(&mut self, frames: u64) {
        self.dropped_full += frames;
    }

    /// Frames were left out because others can do without them.
    pub(super) fn shed(&mut self, frames: u64) {
        self.shed += frames;
    }

    /// Checking a frame took so long.
    pub(super) fn verified(&mut self, took: Duration) {
        self.verify.add(took);
    }

    /// A sender is held back, or is so no more.
    pub(super) fn held(&mut self, now: Duration, is_held: bool) {
        self.held.change(now, is_held);
    }

    /// A queue is filled to more than [`HIGH_PCT`], or is so no more.
    pub(super) fn high(&mut self, now: Duration, is_high: bool) {
        self.high.change(now, is_high);
    }

    /// Returns what is shown; the queues may hold `frames` and `bytes`.
    pub(super) fn view(&self, now: Duration, frames: u64, bytes: u64) -> LaneView {
        LaneView {
            produced_total: self.produced,
            enqueued_total: self.enqueued,
            dequeued_total: self.dequeued,
            dropped_full: self.dropped_full,
            shed_priority: self.shed,
            backpressured_ms: self.held.ms(now),
            latest_depth: self.depth,
            max_depth: self.depth_max,
            capacity: frames,
            latest_bytes: self.bytes,
            capacity_bytes: bytes,
            above_80_ms: self.high.ms(now),
            producer_per_sec: self.producing.rates(now),
            consumer_per_sec: self.consuming.rates(now),
            dwell_us: self.dwell.spread(),
            verify_us: self.verify.spread(),
        }
    }
}

/// How often something happened in each of the last seconds.
#[derive(Debug)]
struct Meter {
    seconds: [u32; SECONDS],
    newest: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { seconds: [0; SECONDS], newest: 0 }
    }
}

impl Meter {
    fn add(&mut self, now: Duration) {
        let second = now.as_secs();
        if second > self.newest {
            let gone = (second - self.newest).min(SECONDS as u64);
            for older in 0..gone {
                self.seconds[((second - older) % SECONDS as u64) as usize] = 0;
            }
            self.newest = second;
        }
        let slot = &mut self.seconds[(self.newest % SECONDS as u64) as usize];
        *slot = slot.saturating_add(1);
    }

    /// Returns the rates over whole seconds: the one that goes on is left out.
    fn rates(&self, now: Duration) -> Rates {
        let second = now.as_secs();
        let over = |seconds: u64| {
            let of = |back: u64| {
                let at = second.checked_sub(back)?;
                let is_kept = at <= self.newest && self.newest - at < SECONDS as u64;
                is_kept.then(|| u64::from(self.seconds[(at % SECONDS as u64) as usize]))
            };
            let happened: u64 = (1..=seconds).filter_map(of).sum();
            happened as f64 / seconds as f64
        };
        Rates { over_1s: over(1), over_10s: over(10), over_60s: over(60) }
    }
}

/// How often something takes how long.
#[derive(Debug)]
struct Durations {
    /// In microseconds, to two digits.
    histogram: Histogram<u32>,
    sum_us: u64,
}

impl Default for Durations {
    fn default() -> Self {
        // It grows with the largest that it has seen.
        let histogram = Histogram::new(2).expect("two digits are few enough");
        Self { histogram, sum_us: 0 }
    }
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(LONGEST_US);
        self.sum_us = self.sum_us.saturating_add(us);
        // Nothing is longer than the longest.
        let _counted = self.histogram.record(us);
    }

    fn spread(&self) -> Spread {
        let histogram = &self.histogram;
        let mut at_most = Vec::with_capacity(BOUNDS_US.len());
        if !histogram.is_empty() {
            at_most.extend(BOUNDS_US.map(|bound| histogram.count_between(0, bound)));
        }
        Spread {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
            count: histogram.len(),
            sum_us: self.sum_us,
            at_most,
        }
    }
}

/// The longest duration that is told from longer ones: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// For how long something was the case, as often as it was at once.
#[derive(Debug)]
struct Integral {
    level: u32,
    since: Duration,
    total: Duration,
}

impl Integral {
    fn new(now: Duration) -> Self {
        Self { level: 0, since: now, total: Duration::ZERO }
    }

    fn change(&mut self, now: Duration, is_more: bool) {
        self.total = self.at(now);
        self.since = now;
        self.level = if is_more { self.level + 1 } else { self.level.saturating_sub(1) };
    }

    fn at(&self, now: Duration) -> Duration {
        self.total + now.saturating_sub(self.since) * self.level
    }

    fn ms(&self, now: Duration) -> u64 {
        u64::try_from(self.at(now).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rates_are_those_of_whole_seconds() {
        let mut meter = Meter::default();
        for second in 1..=20_u32 {
            for _ in 0..second {
                meter.add(SECOND * second);
            }
        }
        let rates = meter.rates(SECOND * 21);
        assert_eq!(rates.over_1s, 20.0);
        assert_eq!(rates.over_10s, (11..=20).sum::<u32>() as f64 / 10.0);
        assert_eq!(rates.over_60s, (1..=20).sum::<u32>() as f64 / 60.0);
        assert_eq!(meter.rates(SECOND * 20).over_1s, 19.0, "the one that goes on is left out");
        assert_eq!(meter.rates(SECOND * 500), Rates::default());
        meter.add(SECOND * 500);
        assert_eq!(meter.rates(SECOND * 501).over_60s, 1.0 / 60.0, "what is old is forgotten");
    }

    #[test]
    fn time_is_counted_for_each_that_is_held_back() {
        let mut held = Integral::new(SECOND);
        held.change(SECOND * 2, true);
        held.change(SECOND * 3, true);
        assert_eq!(held.ms(SECOND * 5), 5_000);
        held.change(SECOND * 5, false);
        held.change(SECOND * 6, false);
        assert_eq!(held.ms(SECOND * 99), 6_000);
    }

    #[test]
    fn durations_are_counted_once_in_all_buckets_that_they_fit() {
        let mut durations = Durations::default();
        assert_eq!(durations.spread(), Spread::default());
        for us in [5, 60, 60, 700, 2_000_000_000_000] {
            durations.add(Duration::from_micros(us));
        }
        let spread = durations.spread();
        assert_eq!((spread.p50, spread.count), (60, 5));
        assert!(spread.max >= LONGEST_US, "{}", spread.max);
        assert_eq!(spread.at_most[..4], [1, 1, 3, 3]);
        assert_eq!((spread.at_most[4], spread.at_most[BOUNDS_US.len() - 1]), (4, 4));
    }
}
