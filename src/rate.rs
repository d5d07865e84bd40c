//! How often something may happen: a token bucket. It reads no clock.

use std::time::Duration;

/// How often something may happen: so many at once, so many a second on the long run.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many at once.
    pub burst: u64,
    /// How many a second.
    pub per_second: u64,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    /// In millionths, so that what a microsecond brings is a whole number.
    level: u64,
    at: Duration,
}

impl Bucket {
    const SCALE: u64 = 1_000_000;

    /// Returns a full one.
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, level: rate.burst.saturating_mul(Self::SCALE), at: now }
    }

    /// Takes `cost` if there is that much, and tells whether there was.
    pub fn take(&mut self, now: Duration, cost: u64) -> bool {
        self.fill(now);
        let rest = self.level.checked_sub(cost.saturating_mul(Self::SCALE));
        self.level = rest.unwrap_or(self.level);
        rest.is_some()
    }

    /// Tells whether nothing is missing.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.level == self.rate.burst.saturating_mul(Self::SCALE)
    }

    fn fill(&mut self, now: Duration) {
        let passed_us = now.saturating_sub(self.at).as_micros();
        let gained =
            u64::try_from(passed_us).unwrap_or(u64::MAX).saturating_mul(self.rate.per_second);
        let full = self.rate.burst.saturating_mul(Self::SCALE);
        self.level = self.level.saturating_add(gained).min(full);
        self.at = now.max(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate { burst: 3, per_second: 2 }, SECOND);
        let taken = |bucket: &mut Bucket, now| (0..10).filter(|_| bucket.take(now, 1)).count();
        assert_eq!(taken(&mut bucket, SECOND), 3);
        assert!(!bucket.is_full(SECOND));
        assert_eq!(taken(&mut bucket, SECOND * 2), 2);
        assert_eq!(taken(&mut bucket, SECOND), 0, "time that goes back brings nothing");
        for step in 1..=4 {
            assert_eq!(bucket.take(SECOND * 2 + SECOND / 8 * step, 1), step == 4, "{step}");
        }
        assert!(bucket.is_full(SECOND * 99));
        assert_eq!(taken(&mut bucket, SECOND * 99), 3);
    }
}
