//! Who may write to the stores of a data directory: one process at a time, by a file lock.
//!
//! Readers take no lock. Waiting is the caller's business, since it needs a clock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::interface::TrackerError;

/// The name of the lock file in a data directory.
pub const LOCK_FILE: &str = "lock";

/// What the holder of the lock says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it is: `cli` or `node`.
    pub role: String,
    /// Where it answers REST, if it does.
    pub api: Option<String>,
    /// Its version.
    pub version: String,
}

/// A share of the lock: nobody writes as long as one is held.
#[derive(Debug)]
pub struct SharedLock {
    /// `None` where nobody ever wrote.
    _file: Option<File>,
    /// Dropped once the lock is released.
    _after: Option<Box<dyn After>>,
}

impl SharedLock {
    /// Takes a share of the lock of a data directory, without changing it, or returns who writes.
    pub fn try_acquire(dir: &Path) -> Result<Result<Self, Option<Holder>>, TrackerError> {
        let path = path_of(dir);
        let failed =
            |source| TrackerError::Io { what: format!("cannot lock {}", path.display()), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Ok(Self { _file: None, _after: None }));
            }
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Ok(Self { _file: Some(file), _after: None })),
            Err(TryLockError::WouldBlock) => Ok(Err(read_holder(&mut file))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Drops something right after the lock is released: what tells whoever lent it.
    pub fn and_then_drop(self, after: Box<dyn After>) -> Self {
        Self { _after: Some(after), ..self }
    }
}

/// The lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct StoreLock {
    /// Closing it releases the lock.
    file: File,
    /// Dropped once the lock is released.
    _after: Option<Box<dyn After>>,
}

/// Something that waits for the release of a lock.
pub trait After: std::fmt::Debug + Send + Sync {}

impl StoreLock {
    /// Takes the lock of a data directory, or returns who holds it.
    pub fn try_acquire(
        dir: &Path,
        holder: &Holder,
    ) -> Result<Result<Self, Option<Holder>>, TrackerError> {
        let path = dir.join(LOCK_FILE);
        let failed =
            |source| TrackerError::Io { what: format!("cannot lock {}", path.display()), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(read_holder(&mut file))),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut lock = Self { file, _after: None };
        lock.tell(holder).map_err(failed)?;
        Ok(Ok(lock))
    }

    /// Says anew who holds the lock.
    pub fn tell(&mut self, holder: &Holder) -> io::Result<()> {
        let text = serde_json::to_vec(holder)?;
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(&text)
    }

    /// Drops something right after the lock is released: what tells whoever lent it.
    pub fn and_then_drop(self, after: Box<dyn After>) -> Self {
        Self { _after: Some(after), ..self }
    }

    /// Returns who holds, or last held, the lock of a data directory; `None` where nobody ever did.
    pub fn holder(dir: &Path) -> Option<Holder> {
        read_holder(&mut File::open(path_of(dir)).ok()?)
    }
}

fn path_of(dir: &Path) -> PathBuf {
    dir.join(LOCK_FILE)
}

/// Reads what the holder wrote; a holder that is just writing it is unknown for a moment.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    let read: io::Result<usize> = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.ok()?;
    serde_json::from_str(&text).ok()
}
