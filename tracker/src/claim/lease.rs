//! How long a claim has been silent, as one machine observed it.
//!
//! Time is that of the machine since it was started, sleep included (CLOCK_BOOTTIME). It comes in
//! as a value; no clock of another machine enters.

use serde::{Deserialize, Serialize};

/// How long the machine has been running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// Which start of the machine this is.
    pub boot: [u8; 16],
    /// Milliseconds since then, sleep included.
    pub ms: u64,
}

/// When something was last seen: a beat of a claim, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting(pub Uptime);

impl Sighting {
    /// Returns how long ago it was, in milliseconds; across a restart of the machine, at least how
    /// long, which is how long it has been running since.
    pub fn age_ms(self, now: Uptime) -> u64 {
        if self.0.boot == now.boot { now.ms.saturating_sub(self.0.ms) } else { now.ms }
    }

    /// Returns the same where the machine runs since; `None` across a restart, for which it may be any time.
    pub fn silent_ms(self, now: Uptime) -> Option<u64> {
        (self.0.boot == now.boot).then(|| self.age_ms(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_of_the_machine_counts_from_the_restart() {
        let seen = Sighting(Uptime { boot: [1; 16], ms: 5_000 });
        assert_eq!(seen.age_ms(Uptime { boot: [1; 16], ms: 8_000 }), 3_000);
        assert_eq!(seen.age_ms(Uptime { boot: [1; 16], ms: 4_000 }), 0);
        assert_eq!(seen.silent_ms(Uptime { boot: [1; 16], ms: 8_000 }), Some(3_000));
        let restarted = Uptime { boot: [2; 16], ms: 700 };
        assert_eq!((seen.age_ms(restarted), seen.silent_ms(restarted)), (700, None));
    }
}
