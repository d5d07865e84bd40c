//! Commands that outlived their runner and their keeper, which were killed together. They have their
//! share of the lock from the keeper, and are found by it and ended: their issue is somebody else's.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{self, Pid, Signal};
use x0x::time;

use super::{descendants, keeper};

/// How often it is looked whether they are gone. A guess.
const PAUSE: Duration = Duration::from_millis(20);

/// How often, and after what pause, a process is looked at that has no command line: for 200 ms. A guess.
const LOOKS_MAX: u32 = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// Between SIGTERM and SIGKILL, as `run` has it by default.
const GRACE_MS: u64 = 5_000;

/// Takes all of a lock of which keepers and their commands may have shares. A keeper that lives ends
/// its command itself; what has none any more is ended here. `tell` is called where that takes a while.
pub fn take(jobs: &File, tell: impl Fn(&str)) -> io::Result<()> {
    let mut is_told = false;
    let mut ending_since_ms = None;
    loop {
        match jobs.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_told {
            is_told = true;
            tell("an earlier runner of this name was killed; its commands are being ended");
        }
        let holders = holders_of(jobs)?;
        if !holders.is_empty() && !holders.iter().any(|pid| is_keeper(*pid)) {
            let now_ms = time::uptime().ms;
            match ending_since_ms {
                None => {
                    ending_since_ms = Some(now_ms);
                    let pids: Vec<String> =
                        holders.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
                    let pids = pids.join(", ");
                    tell(&format!("its keepers are gone too; ending processes {pids}"));
                    descendants::signal(&holders, Signal::TERM);
                    descendants::signal(&holders, Signal::CONT);
                }
                Some(since_ms) if now_ms >= since_ms + GRACE_MS => {
                    descendants::signal(&holders, Signal::KILL);
                }
                Some(_) => {}
            }
        }
        time::pause(PAUSE);
    }
}

/// Takes all of a lock unless a keeper has a share of it, which ends its command itself.
pub fn take_from_orphans(jobs: &File) -> io::Result<bool> {
    match jobs.try_lock() {
        Ok(()) => return Ok(true),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let holders = holders_of(jobs)?;
    if holders.is_empty() || holders.iter().any(|pid| is_keeper(*pid)) {
        return Ok(false);
    }
    take(jobs, |_| {}).map(|()| true)
}

/// Tells whether this process was started by a command that has a share of a lock.
pub fn is_below(share: &Path) -> bool {
    let Ok(share) = share.metadata() else { return false };
    has_open(process::getpid(), (share.dev(), share.ino()))
}

/// Returns the other processes that have a file open, as far as they can be seen.
fn holders_of(file: &File) -> io::Result<Vec<Pid>> {
    let metadata = file.metadata()?;
    let place = (metadata.dev(), metadata.ino());
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let own = process::getpid();
    Ok(pids.filter(|pid| *pid != own && has_open(*pid, place)).collect())
}

fn has_open(pid: Pid, place: (u64, u64)) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else {
        return false;
    };
    let is_it = |entry: fs::DirEntry| {
        let metadata = fs::metadata(entry.path());
        metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == place)
    };
    entries.flatten().any(is_it)
}

/// Tells whether a process keeps a command.
///
/// One that is just being started, or is just ending, has its files open and no command line yet, or none
/// any more: that passes. What hides its command line stays as it is, and is no keeper.
fn is_keeper(pid: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    for _ in 0..LOOKS_MAX {
        // It is gone, and keeps nothing.
        let Ok(line) = fs::read(&path) else { return false };
        if !line.is_empty() {
            return line.split(|byte| *byte == 0).nth(1) == Some(keeper::MODE.as_bytes());
        }
        time::pause(LOOK_PAUSE);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_keeper_is_known_from_its_very_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(keeper::MODE), "read line\n").unwrap();
        for _ in 0..200 {
            let mut command = Command::new("sh");
            command.arg(keeper::MODE).current_dir(dir.path()).stdin(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let is_known = is_keeper(Pid::from_child(&child));
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(is_known);
        }
    }
}
