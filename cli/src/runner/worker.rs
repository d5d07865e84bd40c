//! The name of a runner, which no other living runner of the data directory has.
//!
//! Two locks a name: the runner itself holds one whole; of the other, each of its keepers and all that
//! its command starts hold a share. Whoever has both knows that nothing of an earlier runner of that
//! name lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{self, Pid};
use serde::{Deserialize, Serialize};
use x0x_tracker::id::{ListId, RecordHash};

use super::leftover;
use crate::error::CliError;

/// The folder of the names in a data directory.
const DIR: &str = "workers";

/// How the name of a lock ends.
const LOCK: &str = ".lock";

/// What is left to be dealt with at the most; claims that are forgotten lapse.
const DEBTS_MAX: usize = 16;

/// The longest trace that is read.
const TRACE_BYTES_MAX: u64 = 1 << 20;

/// The most runners that find a name of their own.
const NAMES_MAX: u32 = 1_024;

/// What a runner leaves in its lock for whoever comes after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Trace {
    /// Its process id.
    pid: u32,
    /// What has to be dealt with should it end without a word.
    debts: Vec<Debt>,
}

/// Where a runner worked that may end without a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// The task list.
    pub list: ListId,
    /// The directory of its proofs.
    pub proofs: PathBuf,
    /// Handoffs name proofs from here.
    pub root: PathBuf,
    /// The tokens of claims that the worker had before: not the runner's, and left alone.
    pub spared: Vec<RecordHash>,
}

/// A name, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Worker {
    /// The name.
    pub name: String,
    /// The file of which keepers hold shares.
    pub share: PathBuf,
    /// What earlier runners of this name left that ended without a word, oldest first.
    pub debts: Vec<Debt>,
    lock: File,
}

impl Worker {
    /// Takes this name, or the first that is free of `run-1`, `run-2`, ...
    ///
    /// Waits for the commands of an earlier runner of that name, which are on their way to the end, or
    /// ends them; `tell` is called before.
    ///
    /// # Errors
    /// [`CliError::Taken`] where a living runner has the name.
    pub fn take(
        data_dir: &Path,
        name: Option<&str>,
        tell: impl Fn(&str),
    ) -> Result<Self, CliError> {
        let dir = data_dir.join(DIR);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|error| CliError::file("cannot create", &dir, error))?;
        let (name, lock) = match name {
            Some(name) => (name.to_owned(), lock_named(&dir, name)?),
            None => first_free(&dir)?,
        };
        Self::behind(lock, name, &dir, tell)
    }

    fn behind(lock: File, name: String, dir: &Path, tell: impl Fn(&str)) -> Result<Self, CliError> {
        let share = share_of(dir, &name);
        let failed = |error| CliError::file("cannot lock", &share, error);
        let jobs = open(&share).map_err(failed)?;
        leftover::take(&jobs, tell).map_err(failed)?;
        Ok(Self::of(name, share, lock))
    }

    fn of(name: String, share: PathBuf, mut lock: File) -> Self {
        let debts = trace_of(&mut lock).unwrap_or_default().debts;
        Self { name, share, debts, lock }
    }

    /// Takes the names of runners that ended without a word, as long as what they left is dealt with.
    /// Waits for no keeper, but ends commands that have none any more.
    pub fn silent(data_dir: &Path) -> Vec<Self> {
        let dir = data_dir.join(DIR);
        let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(LOCK).map(str::to_owned))
            .collect();
        names.sort();
        let take = |name: String| {
            // What is not known to be silent is not locked, not even for a moment.
            let mut trace = File::open(dir.join(format!("{name}{LOCK}"))).ok()?;
            trace_of(&mut trace).filter(|trace| !trace.debts.is_empty())?;
            let share = share_of(&dir, &name);
            if leftover::is_below(&share) {
                return None;
            }
            let lock = try_lock(&dir, &name).ok()??;
            let jobs = open(&share).ok()?;
            leftover::take_from_orphans(&jobs).ok().filter(|is_taken| *is_taken)?;
            Some(Self::of(name, share, lock)).filter(|worker| !worker.debts.is_empty())
        };
        names.into_iter().filter_map(take).collect()
    }

    /// Begins to run there: from now on, a kill leaves a trace, on disk before anything is claimed.
    pub fn begin(&mut self, debt: Debt) -> io::Result<()> {
        self.debts.push(debt);
        let excess = self.debts.len().saturating_sub(DEBTS_MAX);
        self.debts.drain(..excess);
        self.write()?;
        self.lock.sync_all()
    }

    /// Ends: what is left to be dealt with is dealt with by the next who takes the name.
    pub fn end(mut self, debts: Vec<Debt>) -> io::Result<()> {
        self.debts = debts;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let trace = Trace { pid: std::process::id(), debts: self.debts.clone() };
        let bytes = if self.debts.is_empty() { Vec::new() } else { serde_json::to_vec(&trace)? };
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(&bytes)
    }
}

impl Drop for Worker {
    /// Gives the name back, although a process that is just being started may still share the file.
    fn drop(&mut self) {
        let _unlocked = self.lock.unlock();
    }
}

/// Tells whether a living runner has a name.
pub fn is_alive(data_dir: &Path, name: &str) -> bool {
    let path = data_dir.join(DIR).join(format!("{name}{LOCK}"));
    let lock = File::open(path);
    lock.is_ok_and(|lock| {
        let is_alive = matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock));
        let _unlocked = lock.unlock();
        is_alive
    })
}

fn share_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.jobs"))
}

fn first_free(dir: &Path) -> Result<(String, File), CliError> {
    for number in 1..=NAMES_MAX {
        let name = format!("run-{number}");
        if leftover::is_below(&share_of(dir, &name)) {
            continue;
        }
        if let Some(lock) = try_lock(dir, &name)? {
            return Ok((name, lock));
        }
    }
    Err(taken(dir, "run-1"))
}

/// Locks a name; waits where only what a dead runner left is being dealt with.
fn lock_named(dir: &Path, name: &str) -> Result<File, CliError> {
    // To wait for the commands of that worker would be to wait for oneself.
    if leftover::is_below(&share_of(dir, name)) {
        return Err(taken(dir, name));
    }
    if let Some(lock) = try_lock(dir, name)? {
        return Ok(lock);
    }
    let path = dir.join(format!("{name}{LOCK}"));
    let failed = |error| CliError::file("cannot lock", &path, error);
    let mut lock = open(&path).map_err(failed)?;
    let pid = trace_of(&mut lock).and_then(|trace| Pid::from_raw(i32::try_from(trace.pid).ok()?));
    if pid.is_none_or(|pid| process::test_kill_process(pid) != Err(Errno::SRCH)) {
        return Err(taken(dir, name));
    }
    lock.lock().map_err(failed)?;
    Ok(lock)
}

fn try_lock(dir: &Path, name: &str) -> Result<Option<File>, CliError> {
    let path = dir.join(format!("{name}{LOCK}"));
    let failed = |error| CliError::file("cannot lock", &path, error);
    let lock = open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn taken(dir: &Path, name: &str) -> CliError {
    let trace = File::open(dir.join(format!("{name}{LOCK}"))).ok();
    let pid = trace.and_then(|mut file| trace_of(&mut file)).map(|trace| trace.pid);
    let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
    CliError::Taken {
        detail: format!("another runner{process} is worker {name}"),
        hint: "leave --worker and X0X_WORKER out, or give each runner a name of its own".to_owned(),
    }
}

/// Reads what a runner wrote; one that is just writing it left nothing yet.
fn trace_of(lock: &mut File) -> Option<Trace> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(TRACE_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use rustix::process::Signal;

    use super::*;

    fn take(dir: &Path, name: Option<&str>) -> Result<Worker, CliError> {
        Worker::take(dir, name, |_| {})
    }

    #[test]
    fn each_runner_has_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), None).unwrap();
        let second = take(dir.path(), None).unwrap();
        assert_eq!((first.name.as_str(), second.name.as_str()), ("run-1", "run-2"));
        let error = take(dir.path(), Some("run-2")).unwrap_err();
        assert!(matches!(error, CliError::Taken { .. }), "{error}");
        assert!(is_alive(dir.path(), "run-1") && !is_alive(dir.path(), "run-3"));
        first.end(Vec::new()).unwrap();
        assert_eq!(take(dir.path(), None).unwrap().name, "run-1");
    }

    fn debt(number: u8) -> Debt {
        let spared = vec![RecordHash([number; 32])];
        Debt { list: ListId([7; 32]), proofs: "/p".into(), root: "/".into(), spared }
    }

    #[test]
    fn a_runner_that_ended_without_a_word_leaves_where_it_worked() {
        let dir = tempfile::tempdir().unwrap();
        let mut killed = take(dir.path(), Some("w")).unwrap();
        assert_eq!(killed.debts, []);
        killed.begin(debt(1)).unwrap();
        assert!(Worker::silent(dir.path()).is_empty(), "it lives");
        drop(killed);
        let mut next = take(dir.path(), Some("w")).unwrap();
        assert_eq!(next.debts, [debt(1)]);
        next.begin(debt(2)).unwrap();
        drop(next);
        let silent = Worker::silent(dir.path());
        assert_eq!(silent[0].debts, [debt(1), debt(2)], "nobody has dealt with it yet");
        drop(silent);
        let next = take(dir.path(), Some("w")).unwrap();
        next.end(Vec::new()).unwrap();
        assert!(Worker::silent(dir.path()).is_empty());
        assert_eq!(take(dir.path(), Some("w")).unwrap().debts, []);
    }

    #[test]
    fn what_is_left_to_be_dealt_with_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut worker = take(dir.path(), None).unwrap();
        for number in 0..=u8::try_from(DEBTS_MAX).unwrap() {
            worker.begin(debt(number)).unwrap();
        }
        assert_eq!((worker.debts.len(), &worker.debts[0]), (DEBTS_MAX, &debt(1)));
    }

    /// A shell that holds a share of the lock on a name, and reads a line.
    fn holder(dir: &Path, script: &str) -> Child {
        let share = take(dir, Some("w")).unwrap().share.clone();
        let file = File::open(&share).unwrap();
        file.try_lock_shared().unwrap();
        fs::write(dir.join(script), "read line\n").unwrap();
        let mut command = Command::new("sh");
        command.arg(script).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::from(file));
        command.spawn().unwrap()
    }

    #[test]
    fn the_keepers_of_an_earlier_runner_are_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = holder(dir.path(), crate::runner::keeper::MODE);
        let (told, is_told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let tell = move |_: &str| told.send(()).unwrap();
                Worker::take(dir.path(), Some("w"), tell).unwrap()
            });
            is_told.recv().unwrap();
            assert!(!waiting.is_finished());
            drop(keeper.stdin.take());
            assert_eq!(waiting.join().unwrap().name, "w");
        });
        assert_eq!(keeper.wait().unwrap().signal(), None);
    }

    #[test]
    fn what_an_earlier_runner_and_its_keeper_left_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut orphan = holder(dir.path(), "work");
        assert_eq!(take(dir.path(), Some("w")).unwrap().name, "w");
        assert_eq!(orphan.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    }
}
