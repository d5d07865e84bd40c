//! One task list in one file (redb): journal, documents, the rows that answer queries, and what is
//! known of JSONL files.
//!
//! One process writes at a time; any number read beside it, each from the last committed state.
//! It keeps and finds bytes; what they mean is decided elsewhere.

mod copy;
mod journal;
mod lines;
mod lock;
mod open;
mod pack;
mod repair;
mod rows;
mod tables;
mod upgrade;

pub use journal::{Journal, Sealed};
pub use lines::{FileState, LINE_GAP, Line, LineKey, LineRecord, Lines};
pub use lock::{Holder, StoreLock};
pub use open::{FORMAT, Founding, Meta, place_of};
pub use rows::{CreatedBytes, RowKey, Rows, created_bytes, row_key, row_of};
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
}

enum Access {
    Reader(ReadOnlyDatabase),
    /// Also a reader whose file needs a repair: it works on a copy of the changed pages in memory.
    Writer(Database),
}

impl Store {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts reading; what is committed later is not seen.
    pub fn read(&self) -> Result<Reading, TrackerError> {
        let tx = match &self.access {
            Access::Reader(database) => database.begin_read(),
            Access::Writer(database) => database.begin_read(),
        };
        Reading::new(tx.map_err(|source| self.failed(source))?, &self.path)
    }

    /// Starts writing; nothing is seen by others, or kept, until [`Writing::commit`].
    pub fn write(&self) -> Result<Writing, TrackerError> {
        match &self.access {
            Access::Writer(database) => {
                let tx = database.begin_write().map_err(|source| self.failed(source))?;
                Ok(Writing::new(tx, &self.path))
            }
            Access::Reader(_) => {
                Err(TrackerError::Busy { holder: "nobody: opened to read".to_owned() })
            }
        }
    }

    /// Gives back to the file system what a large writing left free in the file; does nothing where
    /// somebody reads just now.
    ///
    /// A writing needs new pages beside the old ones, so after one that replaced most of the store
    /// about half of the file is free.
    pub fn shrink(&mut self) -> Result<(), TrackerError> {
        let Access::Writer(database) = &mut self.access else { return Ok(()) };
        match database.compact() {
            Ok(_) | Err(CompactionError::TransactionInProgress) => Ok(()),
            Err(source) => Err(store_error(&self.path, source)),
        }
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn failed(&self, source: impl std::error::Error + Send + Sync + 'static) -> TrackerError {
        store_error(&self.path, source)
    }
}

fn store_error(
    path: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> TrackerError {
    TrackerError::Store { path: path.display().to_string(), source: Box::new(source) }
}
