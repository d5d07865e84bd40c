//! The signals by which somebody wants something of the runner.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That it end.
    End {
        /// Whether it came from a person at the keyboard.
        by_hand: bool,
    },
    /// That it stop for now.
    Suspend,
}

/// Listens to signals. One that the caller had ignored, as `nohup` does, stays ignored.
pub fn listen(tell: impl Fn(Wish) + Send + 'static) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_signals(&status);
    let wanted = [SIGHUP, SIGINT, SIGTERM, SIGTSTP];
    let mut signals =
        Signals::new(wanted.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            tell(match signal {
                SIGTSTP => Wish::Suspend,
                signal => Wish::End { by_hand: signal == SIGINT },
            });
        }
    });
    Ok(())
}

/// Reads the mask of ignored signals from `/proc/self/status`: bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(ignored_signals("Name:\tx\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored_signals("Name:\tx\n"), 0);
    }
}
