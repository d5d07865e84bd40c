//! The name of a runner, which no other living runner of the data directory has.
//!
//! Two locks a name: the runner itself holds one whole; of the other, each of its keepers holds a
//! share. Whoever has both knows that nothing of an earlier runner of that name lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use x0x_tracker::timestamp::Timestamp;

use crate::error::CliError;

/// The folder of the names in a data directory.
const DIR: &str = "workers";

/// The most runners that find a name of their own.
const NAMES_MAX: u32 = 1_024;

/// What a runner leaves in its lock for whoever comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trace {
    /// Its process id.
    pid: u32,
    /// When it began, by the wall clock.
    started_at_ms: i64,
}

/// A name, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Worker {
    /// The name.
    pub name: String,
    /// The file of which keepers hold shares.
    pub share: PathBuf,
    /// When the last runner of this name began, where it ended without a word.
    pub silent_since: Option<Timestamp>,
    lock: File,
}

impl Worker {
    /// Takes this name, or the first that is free of `run-1`, `run-2`, ...
    ///
    /// Waits for the commands of an earlier runner of that name, which are on their way to the end;
    /// `tell` is called before.
    ///
    /// # Errors
    /// [`CliError::Taken`] where a living runner has the name.
    pub fn take(
        data_dir: &Path,
        name: Option<&str>,
        tell: impl FnOnce(&str),
    ) -> Result<Self, CliError> {
        let dir = data_dir.join(DIR);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|error| CliError::file("cannot create", &dir, error))?;
        let (name, lock) = match name {
            Some(name) => {
                (name.to_owned(), try_lock(&dir, name)?.ok_or_else(|| taken(&dir, name))?)
            }
            None => first_free(&dir)?,
        };
        Self::behind(lock, name, &dir, tell)
    }

    fn behind(
        mut lock: File,
        name: String,
        dir: &Path,
        tell: impl FnOnce(&str),
    ) -> Result<Self, CliError> {
        let share = dir.join(format!("{name}.jobs"));
        let failed = |error| CliError::file("cannot lock", &share, error);
        let jobs = open(&share).map_err(failed)?;
        match jobs.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tell("an earlier runner of this name was killed; its commands are being ended");
                jobs.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let silent_since = trace_of(&mut lock).map(|trace| Timestamp(trace.started_at_ms));
        Ok(Self { name, share, silent_since, lock })
    }

    /// Begins to run: from now on, a kill leaves a trace. What the last runner of this name left must
    /// have been dealt with.
    pub fn begin(&mut self, now: Timestamp) -> io::Result<()> {
        let trace = Trace { pid: std::process::id(), started_at_ms: now.0 };
        self.write(&serde_json::to_vec(&trace)?)
    }

    /// Ends in order: nothing is left to be dealt with.
    pub fn end(mut self) -> io::Result<()> {
        self.write(b"")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(bytes)
    }
}

/// Tells whether a living runner has a name.
pub fn is_alive(data_dir: &Path, name: &str) -> bool {
    let path = data_dir.join(DIR).join(format!("{name}.lock"));
    let lock = File::open(path);
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn first_free(dir: &Path) -> Result<(String, File), CliError> {
    for number in 1..=NAMES_MAX {
        let name = format!("run-{number}");
        if let Some(lock) = try_lock(dir, &name)? {
            return Ok((name, lock));
        }
    }
    Err(taken(dir, "run-1"))
}

fn try_lock(dir: &Path, name: &str) -> Result<Option<File>, CliError> {
    let path = dir.join(format!("{name}.lock"));
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
    let trace = File::open(dir.join(format!("{name}.lock"))).ok();
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
    lock.take(4_096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
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
        first.end().unwrap();
        assert_eq!(take(dir.path(), None).unwrap().name, "run-1");
    }

    #[test]
    fn a_runner_that_ended_without_a_word_leaves_when_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let mut killed = take(dir.path(), Some("w")).unwrap();
        assert_eq!(killed.silent_since, None);
        killed.begin(Timestamp(7_000)).unwrap();
        drop(killed);
        let next = take(dir.path(), Some("w")).unwrap();
        assert_eq!(next.silent_since, Some(Timestamp(7_000)));
        drop(next);
        let mut next = take(dir.path(), Some("w")).unwrap();
        assert_eq!(next.silent_since, Some(Timestamp(7_000)), "nobody has dealt with it yet");
        next.begin(Timestamp(8_000)).unwrap();
        next.end().unwrap();
        assert_eq!(take(dir.path(), Some("w")).unwrap().silent_since, None);
    }

    #[test]
    fn the_commands_of_an_earlier_runner_are_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let share = take(dir.path(), Some("w")).unwrap().share;
        let keeper = File::open(&share).unwrap();
        keeper.try_lock_shared().unwrap();
        let (told, is_told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                Worker::take(dir.path(), Some("w"), move |_| told.send(()).unwrap()).unwrap()
            });
            is_told.recv().unwrap();
            assert!(!waiting.is_finished());
            drop(keeper);
            assert_eq!(waiting.join().unwrap().name, "w");
        });
    }
}
