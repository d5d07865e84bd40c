//! What the kernel says of a process.

use std::fs;

/// How many ticks of `/proc/PID/stat` are a second: the kernel promises programs this number.
const TICKS_PER_SECOND: f64 = 100.0;

/// How much memory a process has, in bytes; all 0 of one that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    pub resident: u64,
    pub resident_max: u64,
}

pub fn memory(process: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    memory_in(&status)
}

fn memory_in(status: &str) -> Memory {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1_024)
    };
    Memory { resident: bytes("VmRSS:").unwrap_or(0), resident_max: bytes("VmHWM:").unwrap_or(0) }
}

/// Returns how many seconds of a core a process used.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    cpu_in(&stat).unwrap_or(0.0)
}

fn cpu_in(stat: &str) -> Option<f64> {
    // A program's name may have spaces and parentheses in it.
    let after_name = stat.rsplit_once(") ")?.1;
    let mut ticks = after_name.split(' ').skip(11).map(str::parse::<u64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) as f64 / TICKS_PER_SECOND)
}

#[test]
fn memory_and_time_are_read_as_the_kernel_writes_them() {
    let status = "Name:\tx0x\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t8\n";
    assert_eq!(memory_in(status), Memory { resident: 10 << 20, resident_max: 20 << 20 });
    assert_eq!(memory_in(""), Memory::default());
    let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 100 1 1";
    assert_eq!(cpu_in(stat), Some(3.0));
    assert!(memory(std::process::id()).resident > 0 && cpu_in("").is_none());
}
