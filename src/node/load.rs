//! How busy this machine is, for those who look for somebody to work.

use std::fs;

/// Returns the load average of the last minute for each core, in percent; `None` where the machine does not
/// say.
pub(super) fn load_pct() -> Option<u16> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let cores = std::thread::available_parallelism().ok()?.get();
    pct_of(&text, cores)
}

/// Reads `/proc/loadavg` (proc_loadavg(5)).
fn pct_of(text: &str, cores: usize) -> Option<u16> {
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    let pct = load * 100.0 / cores as f64;
    (pct.is_finite() && pct >= 0.0).then_some(pct.min(f64::from(u16::MAX)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_a_minute_is_told_for_each_core() {
        assert_eq!(pct_of("1.50 0.40 0.30 2/300 4711\n", 2), Some(75));
        assert_eq!(pct_of("99999.0 0 0", 1), Some(u16::MAX));
        assert_eq!(pct_of("", 1), None);
        assert_eq!(pct_of("-1.0", 1), None);
    }
}
