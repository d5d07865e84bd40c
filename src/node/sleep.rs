//! Whether the machine slept.

use std::time::Duration;

use crate::time;

/// How far two clocks may be apart before the machine counts as having slept.
const SLEEP_MIN: Duration = Duration::from_secs(3);

/// Tells whether the machine slept: the clock that goes on then is compared with the one that does not.
pub(super) struct Sleep {
    ahead: Duration,
}

impl Sleep {
    pub(super) fn new() -> Self {
        Self { ahead: Duration::MAX }
    }

    /// Tells whether it slept since the last call. `awake` is how long this program has run.
    pub(super) fn has(&mut self, awake: Duration) -> bool {
        let ahead = Duration::from_millis(time::uptime().ms).saturating_sub(awake);
        let before = std::mem::replace(&mut self.ahead, ahead);
        ahead.saturating_sub(before) > SLEEP_MIN
    }
}
