//! The processes below one, as `/proc` tells, and signals to them. Not: when to send which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// What the line of a process in `/proc/PID/stat` says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    pid: i32,
    parent: i32,
    /// Whether it is over and waits for its parent to take notice.
    is_over: bool,
}

/// Returns every living process below `ancestor` save those in `spared` and what is below them.
///
/// Parents come before their children. What is made while the table is read may be missed: whoever
/// wants all of them gone looks until nothing is left.
pub fn below(ancestor: Pid, spared: &BTreeSet<i32>) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
    for place in all() {
        children.entry(place.parent).or_default().push(place);
    }
    let mut found = Vec::new();
    let mut parents = vec![ancestor.as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for place in children.remove(&parent).unwrap_or_default() {
            if spared.contains(&place.pid) {
                continue;
            }
            parents.push(place.pid);
            found.extend(Pid::from_raw(place.pid).filter(|_| !place.is_over));
        }
    }
    found
}

/// Sends a signal to each; one that is gone by now got what it needs.
pub fn signal(processes: &[Pid], signal: Signal) {
    for pid in processes {
        let _ = kill_process(*pid, signal);
    }
}

/// Returns all processes that can be seen.
fn all() -> Vec<Place> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let stats = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        // The name in the line may hold any bytes.
        let line = fs::read(entry.path().join("stat")).ok()?;
        place_of(&String::from_utf8_lossy(&line))
    });
    stats.collect()
}

/// Reads a line as proc_pid_stat(5) has it: `PID (NAME) STATE PARENT ...`, where a name may hold
/// blanks and parentheses.
fn place_of(line: &str) -> Option<Place> {
    let (pid, rest) = line.split_once(' ')?;
    let mut after_name = rest.rsplit_once(')')?.1.split_whitespace();
    let state = after_name.next()?;
    let parent = after_name.next()?.parse().ok()?;
    Some(Place { pid: pid.parse().ok()?, parent, is_over: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_may_hold_blanks_and_parentheses() {
        let place = place_of("12 (a ) b) (c) S 7 12 12 0 -1 4194560\n").unwrap();
        assert_eq!(place, Place { pid: 12, parent: 7, is_over: false });
        assert!(place_of("13 (x) Z 7 13 13 0").unwrap().is_over);
        assert_eq!(place_of("13 x"), None);
        assert_eq!(place_of(""), None);
    }

    #[test]
    fn a_child_is_found_and_spared_and_gone_once_it_is_over() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let own = rustix::process::getpid();
        assert!(below(own, &BTreeSet::new()).contains(&pid));
        assert!(!below(own, &BTreeSet::from([pid.as_raw_nonzero().get()])).contains(&pid));
        signal(&[pid], Signal::KILL);
        child.wait().unwrap();
        assert!(!below(own, &BTreeSet::new()).contains(&pid));
    }
}
