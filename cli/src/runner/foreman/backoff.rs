//! How long an issue is left alone after it failed.

/// The delay after the first failure, doubled with each further one in a row.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first_ms: u64,
    /// At most, until it is given up.
    pub most_ms: u64,
    /// After so many failures in a row it is given up.
    pub attempts_max: u32,
    /// How long an issue that was given up is left alone.
    pub given_up_ms: u64,
}

impl Backoff {
    /// Returns the delay after one more failure than so many.
    pub fn after(&self, failures_before: u32) -> u64 {
        if failures_before.saturating_add(1) >= self.attempts_max {
            return self.given_up_ms;
        }
        let doubled = 1u64.checked_shl(failures_before).unwrap_or(u64::MAX);
        self.first_ms.saturating_mul(doubled).min(self.most_ms)
    }

    /// Tells whether a delay is that of an issue that was given up.
    pub fn is_given_up(&self, after_ms: u64) -> bool {
        after_ms >= self.given_up_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_cap_and_then_the_issue_is_given_up() {
        let backoff =
            Backoff { first_ms: 10, most_ms: 70, attempts_max: 6, given_up_ms: 86_400_000 };
        let delays: Vec<u64> = (0..7).map(|failures| backoff.after(failures)).collect();
        assert_eq!(delays, [10, 20, 40, 70, 70, 86_400_000, 86_400_000]);
        let endless = Backoff { attempts_max: u32::MAX, ..backoff };
        assert_eq!(endless.after(200), 70);
        assert!(backoff.is_given_up(backoff.after(9)) && !backoff.is_given_up(70));
    }
}
