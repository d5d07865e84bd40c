//! Holding a process to a share of a core, by a control group of its own: version 1 or 2, whichever has the
//! processor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Over which time a share counts.
const PERIOD_US: u32 = 100_000;

/// A control group. It goes with its handle, after its processes.
pub struct CpuShare {
    dir: PathBuf,
}

/// Where groups can be made.
#[derive(Debug, PartialEq)]
enum Hierarchy {
    One(PathBuf),
    Two(PathBuf),
}

impl CpuShare {
    /// Holds a process to so many hundredths of a core; says why where that cannot be.
    pub fn hold(process: u32, percent: u32) -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let hierarchy = hierarchy(&read("/proc/self/mounts")?, &read("/proc/self/cgroup")?)?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("x0x-stress-{}-{number}", std::process::id());
        let (Hierarchy::One(parent) | Hierarchy::Two(parent)) = &hierarchy;
        let dir = parent.join(name);
        let failed =
            |error: io::Error| format!("no control group in {}: {error}", parent.display());
        if let Hierarchy::Two(parent) = &hierarchy {
            fs::write(parent.join("cgroup.subtree_control"), "+cpu").map_err(failed)?;
        }
        fs::create_dir(&dir).map_err(failed)?;
        let share = Self { dir };
        let quota_us = PERIOD_US * percent / 100;
        match hierarchy {
            Hierarchy::One(_) => share
                .write("cpu.cfs_period_us", &PERIOD_US.to_string())
                .and_then(|()| share.write("cpu.cfs_quota_us", &quota_us.to_string())),
            Hierarchy::Two(_) => share.write("cpu.max", &format!("{quota_us} {PERIOD_US}")),
        }
        .and_then(|()| share.write("cgroup.procs", &process.to_string()))
        .map_err(failed)?;
        Ok(share)
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.dir.join(name), value)
    }

    /// Returns in how many periods it had to wait.
    pub fn throttled(&self) -> u64 {
        let told = fs::read_to_string(self.dir.join("cpu.stat")).unwrap_or_default();
        let count = told.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.dir) {
            eprintln!("left behind: {}: {error}", self.dir.display());
        }
    }
}

/// Returns where this process may make groups.
fn hierarchy(mounts: &str, own: &str) -> Result<Hierarchy, String> {
    let below = |at: &Path, path: &str| {
        let inside = at.join(path.trim_start_matches('/'));
        if inside.is_dir() { inside } else { at.to_owned() }
    };
    let path_in = |is_meant: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            is_meant(controllers).then(|| path.to_owned())
        })
    };
    let has_cpu = |names: &str| names.split(',').any(|name| name == "cpu");
    let mut second = None;
    for mount in mounts.lines() {
        let words: Vec<&str> = mount.split(' ').collect();
        let [_, at, kind, options, ..] = words[..] else { continue };
        match kind {
            "cgroup" if has_cpu(options) => {
                let path = path_in(&has_cpu).unwrap_or_default();
                return Ok(Hierarchy::One(below(Path::new(at), &path)));
            }
            "cgroup2" => {
                let path = path_in(&str::is_empty).unwrap_or_default();
                second = Some(below(Path::new(at), &path));
            }
            _ => {}
        }
    }
    let has_controller = |dir: &PathBuf| {
        let controllers = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        controllers.split_whitespace().any(|name| name == "cpu")
    };
    second
        .filter(has_controller)
        .map(Hierarchy::Two)
        .ok_or_else(|| "no control groups of the processor are mounted".to_owned())
}

#[test]
fn the_groups_of_the_processor_are_found_among_others() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir_all(dir.path().join("one/mine")).unwrap();
    fs::create_dir_all(dir.path().join("two/ours")).unwrap();
    let own = "3:cpuset:/\n2:cpuacct,cpu:/mine\n0::/ours\n";
    let set = format!("cgroup {} cgroup rw,cpuset 0 0\n", at("set"));
    let both = format!(
        "{set}cgroup2 {} cgroup2 rw 0 0\ncgroup {} cgroup rw,cpu,cpuacct 0 0\n",
        at("two"),
        at("one")
    );
    let found = hierarchy(&both, own).unwrap();
    assert_eq!(found, Hierarchy::One(dir.path().join("one/mine")));
    let two = format!("{set}cgroup2 {} cgroup2 rw 0 0\n", at("two"));
    assert!(hierarchy(&two, own).is_err(), "without the controller");
    fs::write(dir.path().join("two/ours/cgroup.controllers"), "memory cpu\n").unwrap();
    assert_eq!(hierarchy(&two, own).unwrap(), Hierarchy::Two(dir.path().join("two/ours")));
    assert!(hierarchy(&set, own).is_err());
}
