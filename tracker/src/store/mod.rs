//! One task list in one file (redb): journal, documents, the rows that answer queries, and what is
//! known of JSONL files.
//!
//! One process writes at a time; any number read beside it, each from the last committed state.
//! It keeps and finds bytes; what they mean is decided elsewhere.

mod barrier;
mod changes;
mod charters;
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

pub use barrier::{catches_panics, unpanicked};
pub use changes::{CHANGES_MAX, Change, Changes, Outcome, PromiseNews};
pub use charters::Charters;
pub use claims::{Claims, Promises, Proof, Watched, Whose};
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    CompactionError, Database, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    TransactionError,
};

use crate::interface::TrackerError;

/// The memory that the database keeps pages in, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// An open store.
pub struct Store {
    path: PathBuf,
    access: Access,
    repair: Option<Repair>,
    /// Whether what is written waits for [`Store::sync`] to be durable.
    syncs_later: AtomicBool,
    /// Where it is kept what writings change, if anybody asks for that.
    watched: Option<changes::Watched>,
    /// The charter, as it was worked out last.
    charters: Charters,
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
    Writer(Arc<Shared>),
    /// Reads what a writer of this process has open, as long as that has.
    Beside(Arc<Shared>),
}

/// A database that several of a process use; `None` once its writer closed it.
struct Shared(RwLock<Option<Database>>);

impl Shared {
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        // Whoever panicked while holding the lock changed nothing that it guards.
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => database.begin_read(),
            None => Err(redb::StorageError::DatabaseClosed.into()),
        }
    }
}

impl Access {
    fn reader(database: ReadOnlyDatabase) -> Self {
        Self::Reader(Some(database))
    }

    fn writer(database: Database) -> Self {
        Self::Writer(Arc::new(Shared(RwLock::new(Some(database)))))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        match self {
            Self::Reader(database) => barrier::close(database.take()),
            Self::Writer(shared) => {
                let mut database = shared.0.write().unwrap_or_else(PoisonError::into_inner);
                barrier::close(database.take());
            }
            Self::Beside(_) => {}
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

    /// Returns a store that reads what this one has open to write, from the last state that was
    /// written. Once this one is closed, it reads nothing more.
    ///
    /// # Errors
    /// Where this one was opened to read.
    pub fn beside(&self) -> Result<Self, TrackerError> {
        match &self.access {
            Access::Writer(shared) | Access::Beside(shared) => {
                let access = Access::Beside(Arc::clone(shared));
                let charters = self.charters.clone();
                Ok(Self { charters, ..Self::of(&self.path, access, self.repair) })
            }
            Access::Reader(_) => Err(not_writable()),
        }
    }

    fn of(path: &Path, access: Access, repair: Option<Repair>) -> Self {
        Self {
            path: path.to_owned(),
            access,
            repair,
            syncs_later: AtomicBool::new(false),
            watched: None,
            charters: Charters::default(),
        }
    }

    /// Starts reading; what is committed later is not seen.
    pub fn read(&self) -> Result<Reading, TrackerError> {
        let tx = barrier::call(&self.path, || match &self.access {
            Access::Reader(Some(database)) => database.begin_read(),
            Access::Reader(None) => Err(redb::StorageError::DatabaseClosed.into()),
            Access::Writer(shared) | Access::Beside(shared) => shared.begin_read(),
        })?;
        Ok(Reading::new(tx, &self.path, self.charters.clone()))
    }

    /// Starts writing; nothing is seen by others, or kept, until [`Writing::commit`].
    pub fn write(&self) -> Result<Writing, TrackerError> {
        let durability = match self.syncs_later.load(Ordering::Relaxed) {
            true => Durability::None,
            false => Durability::Immediate,
        };
        self.begin_write(durability)
    }

    fn begin_write(&self, durability: Durability) -> Result<Writing, TrackerError> {
        let Access::Writer(shared) = &self.access else { return Err(not_writable()) };
        let tx = barrier::call(&self.path, || {
            let database = shared.0.read().unwrap_or_else(PoisonError::into_inner);
            let closed = || redb::Error::DatabaseClosed;
            let mut tx = database.as_ref().ok_or_else(closed)?.begin_write()?;
            tx.set_durability(durability)?;
            Ok::<_, redb::Error>(tx)
        })?;
        Ok(Writing::new(tx, &self.path, self.watched.as_ref(), self.charters.clone()))
    }

    /// Keeps from now on what writings change, until it is taken.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Returns what writings changed since it was last taken.
    pub fn take_changes(&self) -> Changes {
        self.watched.as_ref().map(changes::Watched::take).unwrap_or_default()
    }

    /// Lets what is written from now on wait for [`Store::sync`] to be durable: one sync of the disk
    /// serves many writings. They are seen by those who read beside at once.
    ///
    /// Only for a store that was opened by [`Store::open_alone`]; in others writing fails.
    pub fn sync_later(&self) {
        self.syncs_later.store(true, Ordering::Relaxed);
    }

    /// Tells whether what is written now waits for [`Store::sync`].
    pub fn is_sharing(&self) -> bool {
        self.syncs_later.load(Ordering::Relaxed)
    }

    /// Starts the writing that makes durable all that was written since [`Store::sync_later`]: when its
    /// commit returns, it is on disk, and what is written from now on is again when its own does.
    ///
    /// # Errors
    /// Where the disk refuses, here or at the commit. What was not durable is lost then, and the store has
    /// to be closed.
    pub fn sync(&self) -> Result<Writing, TrackerError> {
        self.syncs_later.store(false, Ordering::Relaxed);
        self.begin_write(Durability::Immediate)
    }

    /// Gives back to the file system what a large writing left free in the file; does nothing where
    /// somebody reads just now.
    ///
    /// A writing needs new pages beside the old ones, so after one that replaced most of the store
    /// about half of the file is free.
    pub fn shrink(&mut self) -> Result<(), TrackerError> {
        let Access::Writer(shared) = &self.access else { return Ok(()) };
        let mut database = shared.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &mut *database else { return Ok(()) };
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

fn not_writable() -> TrackerError {
    TrackerError::Busy { holder: "nobody: opened to read".to_owned() }
}
