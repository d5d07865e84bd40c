//! What becomes of each datagram in one direction: decided by a seed and a count, without a socket.

use std::time::Duration;

use x0x::entropy::{RngExt, Seeded, seeded};

/// How long a datagram waits at most for those before it where the bandwidth is bounded; one that
/// would wait longer is dropped, as a router's queue does.
const BACKLOG_MAX: Duration = Duration::from_millis(200);

/// How one direction of a path behaves. The default passes everything at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// How long each datagram takes.
    pub delay: Duration,
    /// How much longer it may take; what left later may so arrive first.
    pub jitter: Duration,
    /// The share that is lost, 0 to 1.
    pub loss: f64,
    /// The share that arrives twice, 0 to 1.
    pub duplication: f64,
    /// How many bytes pass in a second; any number where there is none.
    pub bytes_per_second: Option<u64>,
}

/// What became of the datagrams of one direction so far.
///
/// Where nothing is on its way, `arrived + duplicated = forwarded + lost + cut + overflowed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Came in.
    pub arrived: u64,
    /// Went out.
    pub forwarded: u64,
    /// Were lost by chance.
    pub lost: u64,
    /// Were lost since the direction was cut, or its socket closed, when they came in or went out.
    pub cut: u64,
    /// Were sent a second time.
    pub duplicated: u64,
    /// Had to wait.
    pub delayed: u64,
    /// Found no room.
    pub overflowed: u64,
}

impl std::ops::Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            arrived: self.arrived + other.arrived,
            forwarded: self.forwarded + other.forwarded,
            lost: self.lost + other.lost,
            cut: self.cut + other.cut,
            duplicated: self.duplicated + other.duplicated,
            delayed: self.delayed + other.delayed,
            overflowed: self.overflowed + other.overflowed,
        }
    }
}

/// One direction of a path.
///
/// The fate of the n-th datagram follows from the seed, n and the conditions. Which datagram is the
/// n-th does not: the senders are real programs.
pub struct Lane {
    pub conditions: Conditions,
    pub is_cut: bool,
    pub counters: Counters,
    dice: Seeded,
    /// When those before are through, where the bandwidth is bounded.
    free_at: Duration,
}

impl Lane {
    pub fn new(seed: [u8; 32]) -> Self {
        let (conditions, counters) = (Conditions::default(), Counters::default());
        Self { conditions, is_cut: false, counters, dice: seeded(seed), free_at: Duration::ZERO }
    }

    /// Returns when a datagram that comes in `now` goes out: never, once or twice.
    pub fn judge(&mut self, now: Duration, bytes: usize) -> Vec<Duration> {
        // The same number of draws for each, so that conditions do not shift what later ones draw.
        let [loss, duplication, first, second] = [(); 4].map(|()| self.dice.random::<f64>());
        self.counters.arrived += 1;
        if self.is_cut {
            self.counters.cut += 1;
            return Vec::new();
        }
        if loss < self.conditions.loss {
            self.counters.lost += 1;
            return Vec::new();
        }
        let Some(through) = self.pass(now, bytes) else {
            self.counters.overflowed += 1;
            return Vec::new();
        };
        let Conditions { delay, jitter, .. } = self.conditions;
        let leaves = |luck: f64| through + delay + jitter.mul_f64(luck);
        let mut leaving = vec![leaves(first)];
        if duplication < self.conditions.duplication {
            self.counters.duplicated += 1;
            leaving.push(leaves(second));
        }
        self.counters.delayed += leaving.iter().filter(|at| **at > now).count() as u64;
        leaving
    }

    /// Returns when the last byte is through; nothing where too many wait.
    fn pass(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.conditions.bytes_per_second else { return Some(now) };
        let from = now.max(self.free_at);
        if from - now > BACKLOG_MAX {
            return None;
        }
        self.free_at = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
        Some(self.free_at)
    }
}
