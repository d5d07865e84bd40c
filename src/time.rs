//! The one door to the operating system's clock; it reads the time and decides nothing.
//!
//! Whatever decides takes the time as a value, so that a simulation can move it.

use std::fs;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use x0x_tracker::claim::Uptime;

/// Returns the wall clock in Unix milliseconds; negative before 1970.
///
/// It may jump either way between two calls. A clock beyond what 64 bits hold reads as their end.
#[expect(clippy::disallowed_methods, reason = "the one place that may read the system's clock")]
pub fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

/// Returns how long this machine has been running, sleep included (CLOCK_BOOTTIME), and which start
/// of it this is; the kernel's random id of it, or nothing but zeroes where it tells none.
pub fn uptime() -> Uptime {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    let time = clock_gettime(BOOT_CLOCK);
    let seconds_ms = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000);
    let ms = seconds_ms.saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0));
    // No process outlives the start of the machine that it began in.
    Uptime { boot: *BOOT.get_or_init(boot_id), ms }
}

fn boot_id() -> [u8; 16] {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    decoded.unwrap_or_default().try_into().unwrap_or_default()
}

#[cfg(target_os = "linux")]
const BOOT_CLOCK: ClockId = ClockId::Boottime;

/// The nearest that other systems have; it may stand still while the machine sleeps.
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// A point in time as tokio and `iroh-gossip` count it.
pub type Moment = tokio::time::Instant;

/// Returns a point to which durations are added for a state machine that wants [`Moment`]s.
///
/// Which one it is means nothing: what depends on more than differences cannot be repeated.
#[expect(clippy::disallowed_methods, reason = "the one place that may read the system's clock")]
pub fn origin() -> Moment {
    Moment::now()
}

/// Pauses this thread; for waits that nothing announces the end of, as a file lock's.
#[expect(clippy::disallowed_methods, reason = "the one place that may pause a thread")]
pub fn pause(duration: std::time::Duration) {
    std::thread::sleep(duration);
}

fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |past_ms| -past_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn milliseconds_count_from_1970_in_both_directions() {
        assert_eq!(unix_ms(UNIX_EPOCH), 0);
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_micros(1_500)), 1);
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_secs(2)), -2_000);
    }

    #[test]
    fn uptime_goes_on_and_tells_one_start_of_the_machine() {
        let (first, second) = (uptime(), uptime());
        assert!(first.ms > 0 && second.ms >= first.ms);
        assert_eq!(first.boot, second.boot);
        assert_ne!(first.boot, [0; 16]);
    }

    #[test]
    fn the_clock_is_read_in_milliseconds() {
        let year_2020_ms = 1_577_836_800_000;
        let year_2200_ms = 7_258_118_400_000;
        assert!((year_2020_ms..year_2200_ms).contains(&now_ms()));
    }
}
