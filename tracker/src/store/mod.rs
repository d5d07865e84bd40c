//! One task list in one file (redb): journal, documents, the rows that answer queries, and what is
//! known of JSONL files.
//!
//! One process writes at a time; any number read beside it, each from the last committed state.
//! It keeps and finds bytes; what they mean is decided elsewhere.

mod barrier;
mod claims;
mod copy;
mod disk;
mod extent;
mod journal;
mod lines;
mod lock;
mod lost;
mod open;
mod pack;
mod repair;
mod retract;
mod rivals;
mod rows;
mod tables;
mod upgrade;

pub use barrier::catches_panics;
pub use claims::{Claims, Proof, Watched, Whose};
pub use disk::{Disk, Moment};
pub use journal::{Fork, Journal, Sealed, VOIDS_PER_AGENT_MAX, VoidCommit};
pub use lines::{FileState, GONE, LINE_GAP, Line, LineKey, LineRecord, Lines};
pub use lock::{After, Holder, SharedLock, StoreLock};
pub use lost::{LOST_BYTES_MAX, Losses, LostCommit};
pub use open::{FORMAT, Founding, Meta, place_of};
pub use rivals::{Rival, Rivals};
pub use rows::{
    CreatedBytes, RowKey, Rows, counts_no_renewals, created_bytes, names_of, row_key, row_of,
};
pub(crate) use rows::{damaged, decode, encode};
pub use tables::{Reading, Table, Tables, Writing};

use std::path::{Path, PathBuf};

use redb::{CompactionError, Database, ReadOnlyDatabase, ReadableDatabase};

use crate::interface::TrackerError;

/// The memory that the database keeps pages in, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// An open store.
pub struct Store {
    path: PathBuf,
    access: Access,
    repair: Option<Repair>,
}

/// What opening did about a file that its last writer had not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It was repaired in memory, to be read; the file is as it was.
    InMemory,
    /// The file was repaired.
    OnDisk,
}

impl Repair {
    /// Returns what to tell a person of it.
    pub fn note(self) -> &'static str {
        match self {
            Self::InMemory => {
                "The last writer was interrupted. The store is read as it will be repaired, and the \
                 file is unchanged; what had been answered is there, what was half written is not."
            }
            Self::OnDisk => {
                "The last writer was interrupted, and the store was repaired: what had been answered \
                 is there, what was half written is not."
            }
        }
    }
}

enum Access {
    Reader(Option<ReadOnlyDatabase>),
    /// Also one that works on a copy of the changed pages in memory: a reader whose file needs a
    /// repair, and a rehearsal.
    Writer(Option<Database>),
}

impl Access {
    fn reader(database: ReadOnlyDatabase) -> Self {
        Self::Reader(Some(database))
    }

    fn writer(database: Database) -> Self {
        Self::Writer(Some(database))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        match self {
            Self::Reader(database) => barrier::close(database.take()),
            Self::Writer(database) => barrier::close(database.take()),
        }
    }
}

impl Store {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether opening had to repair what the last writer left, and where it did.
    pub fn repair(&self) -> Option<Repair> {
        self.repair
    }

    /// Starts reading; what is committed later is not seen.
    pub fn read(&self) -> Result<Reading, TrackerError> {
        let tx = barrier::call(&self.path, || match &self.access {
            Access::Reader(Some(database)) => database.begin_read(),
            Access::Writer(Some(database)) => database.begin_read(),
            _ => Err(redb::StorageError::DatabaseClosed.into()),
        })?;
        Reading::new(tx, &self.path)
    }

    /// Starts writing; nothing is seen by others, or kept, until [`Writing::commit`].
    pub fn write(&self) -> Result<Writing, TrackerError> {
        match &self.access {
            Access::Writer(Some(database)) => {
                let tx = barrier::call(&self.path, || database.begin_write())?;
                Ok(Writing::new(tx, &self.path))
            }
            _ => Err(TrackerError::Busy { holder: "nobody: opened to read".to_owned() }),
        }
    }

    /// Gives back to the file system what a large writing left free in the file; does nothing where
    /// somebody reads just now.
    ///
    /// A writing needs new pages beside the old ones, so after one that replaced most of the store
    /// about half of the file is free.
    pub fn shrink(&mut self) -> Result<(), TrackerError> {
        let Access::Writer(Some(database)) = &mut self.access else { return Ok(()) };
        barrier::call(&self.path, || match database.compact() {
            Ok(_) | Err(CompactionError::TransactionInProgress) => Ok(()),
            Err(source) => Err(source),
        })
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}
