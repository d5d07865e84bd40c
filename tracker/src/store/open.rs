//! Making and opening the file of a store: its format number, and the copy before an upgrade.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use redb::ConcurrencyMode::{self, ExclusiveWriter, SingleWriter};
use redb::{Builder, Database, DatabaseError};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::repair::Overlay;
use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use super::upgrade::{UPGRADES, Upgrade};
use super::{Access, CACHE_BYTES, Disk, Repair, Store, barrier, extent};
use crate::id::{ListId, LogId};
use crate::interface::TrackerError;
use crate::journal::charter::Signed;

/// The format that this version writes.
pub const FORMAT: u32 = 4;

/// What the name of a store ends in that is not finished.
const UNFINISHED: &str = ".x0x-unfinished";

const META_FORMAT: &[u8] = b"format";
const META_LIST: &[u8] = b"list";
const META_NAME: &[u8] = b"name";
const META_PREFIX: &[u8] = b"prefix";
const META_LOG: &[u8] = b"log";
const META_PLACE: &[u8] = b"place";
const META_SEEN: &[u8] = b"seen";
const META_ABANDONED: &[u8] = b"abandoned";
const META_NUMBER: &[u8] = b"next number";
const META_START: &[u8] = b"start";

/// The place of a log that is not written any more: no file lies there.
const NOWHERE: &[u8] = &[];

/// Puts what a repair writes over the file.
type MakeOverlay = fn(&Path) -> io::Result<Overlay>;

/// How often a file is read that another process may be repairing at the same time.
const REPAIR_TRIES: u32 = 3;

/// What a new store is told.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The list.
    pub list: ListId,
    /// What people call it.
    pub name: String,
    /// What new ids and identifiers start with.
    pub prefix: String,
    /// The founding statement; `None` where the list was founded elsewhere and not joined yet.
    pub statement: Option<Signed>,
}

impl Store {
    /// Makes a store in a file that must not exist, whole or not at all.
    pub fn create(path: &Path, founding: &Founding) -> Result<(), TrackerError> {
        make_whole(path, |temporary| Self::create_at(temporary, founding))
    }

    fn create_at(path: &Path, founding: &Founding) -> Result<(), TrackerError> {
        let database = barrier::call(path, || builder().create(path))?;
        Self::writer(path, database, None).found(founding)
    }

    /// Makes a store on a test's disk; `path` is the file that it is taken for.
    pub fn create_on(disk: Disk, path: &Path, founding: &Founding) -> Result<(), TrackerError> {
        let database = barrier::call(path, || builder().create_with_backend(disk))?;
        Self::writer(path, database, None).found(founding)
    }

    pub(super) fn writer(path: &Path, database: Database, repair: Option<Repair>) -> Self {
        Self::of(path, Access::writer(database), repair)
    }

    fn found(self, founding: &Founding) -> Result<(), TrackerError> {
        let writing = self.write()?;
        for table in Table::ALL {
            writing.len(table)?;
        }
        writing.put(Table::Meta, META_FORMAT, &FORMAT.to_be_bytes())?;
        writing.put(Table::Meta, META_LIST, &founding.list.0)?;
        writing.put(Table::Meta, META_NAME, founding.name.as_bytes())?;
        writing.put(Table::Meta, META_PREFIX, founding.prefix.as_bytes())?;
        if let Some(statement) = &founding.statement {
            writing.append_statement(statement)?;
        }
        writing.commit()
    }

    /// Opens a store to read; waits for nobody and changes nothing.
    pub fn open_to_read(path: &Path) -> Result<Self, TrackerError> {
        let store = Self::open_any_format(path, Overlay::new)?;
        match store.read()?.format()? {
            FORMAT => Ok(store),
            found => Err(TrackerError::Format { found, known: FORMAT }),
        }
    }

    /// Opens a store of this format or an older one to read its values as they are stored.
    pub fn open_to_copy(path: &Path) -> Result<Self, TrackerError> {
        let store = Self::open_any_format(path, Overlay::new)?;
        match store.read()?.format()? {
            found if found > FORMAT => Err(TrackerError::Format { found, known: FORMAT }),
            _ => Ok(store),
        }
    }

    fn open_any_format(path: &Path, overlay: MakeOverlay) -> Result<Self, TrackerError> {
        let is_cut_short =
            extent::is_cut_short(path).map_err(|source| io_error("read", path, source))?;
        if is_cut_short {
            return Err(barrier::damaged(path, "its end is missing"));
        }
        again_beside_a_writer(|| {
            let opened = barrier::call(path, || match builder().open_read_only(path) {
                Err(DatabaseError::RepairAborted) => Ok(None),
                opened => opened.map(Some),
            })?;
            match opened {
                Some(database) => Ok(Self::of(path, Access::reader(database), None)),
                None => {
                    Ok(Self::writer(path, read_unclosed(path, overlay)?, Some(Repair::InMemory)))
                }
            }
        })
    }

    /// Opens a store for writes that nobody keeps: they stay in memory, and the file is unchanged.
    ///
    /// The caller holds a share of the lock of the data directory, so that the file stays as it is.
    pub fn open_to_rehearse(path: &Path) -> Result<Self, TrackerError> {
        match Self::open_any_format(path, Overlay::of_locked)?.read()?.format()? {
            FORMAT => {}
            found => return Err(TrackerError::Format { found, known: FORMAT }),
        }
        let overlay = Overlay::of_locked(path).map_err(|source| io_error("read", path, source))?;
        let database = barrier::call(path, || {
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(overlay)
        })?;
        Ok(Self::writer(path, database, None))
    }

    /// Opens a store to read after the checksum of every page was verified. Changes nothing.
    pub fn open_to_check(path: &Path) -> Result<Self, TrackerError> {
        // What opens as it should still may hold pages that nobody looked at.
        let repair = Self::open_to_read(path)?.repair;
        again_beside_a_writer(|| Ok(Self::writer(path, read_unclosed(path, Overlay::new)?, repair)))
    }

    /// Opens a store to write; the caller holds the lock of the data directory.
    ///
    /// A store of an older format is copied first, to `<path>.format-<number>`, then upgraded.
    pub fn open_to_write(path: &Path) -> Result<Self, TrackerError> {
        Self::open_and_upgrade(path, SingleWriter, FORMAT, UPGRADES)
    }

    /// Opens a store to write, and keeps other processes from reading it: a commit then takes one sync
    /// of the disk rather than two, and several can share one ([`Store::sync_later`]).
    ///
    /// # Errors
    /// [`TrackerError::Busy`] while another process reads it.
    pub fn open_alone(path: &Path) -> Result<Self, TrackerError> {
        Self::open_and_upgrade(path, ExclusiveWriter, FORMAT, UPGRADES)
    }

    fn open_and_upgrade(
        path: &Path,
        mode: ConcurrencyMode,
        known: u32,
        upgrades: &[(u32, Upgrade)],
    ) -> Result<Self, TrackerError> {
        // Opening to write already changes bytes, so the format is read before.
        let before = Self::open_any_format(path, Overlay::of_locked)?;
        let was_interrupted = before.repair.is_some();
        let mut found = before.read()?.format()?;
        drop(before);
        if found > known || found < known && !upgrades.iter().any(|(from, _)| *from == found) {
            return Err(TrackerError::Format { found, known });
        }
        if found < known {
            copy_aside(path, found)?;
        }
        let mut store = Self::open_noting_repair(path, |builder| {
            builder.set_concurrency_mode(mode);
            builder.open(path)
        })?;
        if was_interrupted {
            store.repair = Some(Repair::OnDisk);
        }
        while found < known {
            let (_, upgrade) = upgrades
                .iter()
                .find(|(from, _)| *from == found)
                .ok_or(TrackerError::Format { found, known })?;
            let writing = store.write()?;
            upgrade(&writing)?;
            found += 1;
            writing.put(Table::Meta, META_FORMAT, &found.to_be_bytes())?;
            writing.commit()?;
        }
        Ok(store)
    }

    /// Opens a store on a test's disk to write; `path` is the file that it is taken for.
    pub fn open_on(disk: Disk, path: &Path) -> Result<Self, TrackerError> {
        Self::open_noting_repair(path, |builder| builder.create_with_backend(disk))
    }

    /// Opens a store on a test's disk as [`Store::open_alone`] does.
    pub fn open_alone_on(disk: Disk, path: &Path) -> Result<Self, TrackerError> {
        Self::open_noting_repair(path, |builder| {
            builder.set_concurrency_mode(ExclusiveWriter);
            builder.create_with_backend(disk)
        })
    }

    fn open_noting_repair(
        path: &Path,
        open: impl FnOnce(&mut Builder) -> Result<Database, DatabaseError>,
    ) -> Result<Self, TrackerError> {
        let is_repairing = Rc::new(Cell::new(false));
        let noted = Rc::clone(&is_repairing);
        let mut builder = builder();
        builder.set_repair_callback(move |_| noted.set(true));
        let database = barrier::call(path, || open(&mut builder))?;
        Ok(Self::writer(path, database, is_repairing.get().then_some(Repair::OnDisk)))
    }
}

/// Reading what a store knows of itself.
pub trait Meta: Tables {
    /// Returns the format of the file.
    fn format(&self) -> Result<u32, TrackerError> {
        let bytes =
            self.get(Table::Meta, META_FORMAT)?.ok_or_else(|| damaged("the format number"))?;
        Ok(u32::from_be_bytes(bytes.try_into().map_err(|_| damaged("the format number"))?))
    }

    /// Returns the list's id.
    fn list_id(&self) -> Result<ListId, TrackerError> {
        let bytes = self.get(Table::Meta, META_LIST)?.ok_or_else(|| damaged("the list id"))?;
        Ok(ListId(bytes.try_into().map_err(|_| damaged("the list id"))?))
    }

    /// Returns what people call the list.
    fn list_name(&self) -> Result<String, TrackerError> {
        self.meta_text(META_NAME)
    }

    /// Returns what new ids and identifiers start with.
    fn prefix(&self) -> Result<String, TrackerError> {
        self.meta_text(META_PREFIX)
    }

    /// Returns the log that this store writes, where one was opened.
    fn own_log(&self) -> Result<Option<LogId>, TrackerError> {
        let bytes = self.get(Table::Meta, META_LOG)?;
        bytes.map(|bytes| LogId::from_bytes(&bytes).ok_or_else(|| damaged("the log"))).transpose()
    }

    /// Returns the place of the file when the log was opened.
    fn place_of_log(&self) -> Result<Option<Vec<u8>>, TrackerError> {
        self.get(Table::Meta, META_PLACE)
    }

    /// Returns the logs that this store wrote and writes no more, since others have more of them.
    fn abandoned(&self) -> Result<Vec<LogId>, TrackerError> {
        let bytes = self.get(Table::Meta, META_ABANDONED)?;
        bytes.map_or(Ok(Vec::new()), |bytes| decode(&bytes, "the logs that are not written"))
    }

    /// Returns the frontier as of the last commit of one's own.
    fn seen(&self) -> Result<crate::journal::frontier::Frontier, TrackerError> {
        match self.get(Table::Meta, META_SEEN)? {
            Some(bytes) => {
                let entries: Vec<(LogId, crate::journal::commit::Position)> =
                    decode(&bytes, "the frontier last named")?;
                Ok(crate::journal::frontier::Frontier(entries.into_iter().collect()))
            }
            None => Ok(crate::journal::frontier::Frontier::default()),
        }
    }

    /// Returns the number of the next identifier; the first is 1.
    fn next_number(&self) -> Result<u64, TrackerError> {
        match self.get(Table::Meta, META_NUMBER)? {
            Some(bytes) => {
                Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged("the next number"))?))
            }
            None => Ok(1),
        }
    }

    /// Returns a text of the meta table.
    fn meta_text(&self, key: &[u8]) -> Result<String, TrackerError> {
        let bytes = self.get(Table::Meta, key)?.ok_or_else(|| damaged("a fact on the store"))?;
        String::from_utf8(bytes).map_err(|_| damaged("a fact on the store"))
    }
}

impl<T: Tables + ?Sized> Meta for T {}

impl Writing {
    /// Records which log this store writes, and where its file lay when that log was opened.
    pub fn put_own_log(&self, log: LogId, place: &[u8]) -> Result<(), TrackerError> {
        self.put(Table::Meta, META_LOG, &log.to_bytes())?;
        self.put(Table::Meta, META_PLACE, place)?;
        let mut logs = self.abandoned()?;
        if logs.contains(&log) {
            logs.retain(|other| *other != log);
            self.put(Table::Meta, META_ABANDONED, &encode(&logs)?)?;
        }
        Ok(())
    }

    /// Writes the store's own log no more: the next edit opens another one.
    pub fn abandon_own_log(&self) -> Result<(), TrackerError> {
        let Some(log) = self.own_log()? else { return Ok(()) };
        let mut logs = self.abandoned()?;
        if !logs.contains(&log) {
            logs.push(log);
            self.put(Table::Meta, META_ABANDONED, &encode(&logs)?)?;
        }
        self.put(Table::Meta, META_PLACE, NOWHERE)
    }

    /// Records the frontier that one's own newest commit names.
    pub fn put_seen(&self, seen: &crate::journal::frontier::Frontier) -> Result<(), TrackerError> {
        let entries: Vec<_> = seen.0.iter().collect();
        self.put(Table::Meta, META_SEEN, &encode(&entries)?)
    }

    /// Counts one more start of a program that beats, and returns its number: more than any before, and no less than
    /// that.
    pub fn next_start(&self, at_least: u64) -> Result<u64, TrackerError> {
        let before = self.get(Table::Meta, META_START)?;
        let before: u64 = before.map_or(Ok(0), |bytes| decode(&bytes, "the number of a start"))?;
        let start = before.saturating_add(1).max(at_least);
        self.put(Table::Meta, META_START, &encode(&start)?)?;
        Ok(start)
    }

    /// Records the number of the next identifier.
    pub fn put_next_number(&self, number: u64) -> Result<(), TrackerError> {
        self.put(Table::Meta, META_NUMBER, &number.to_be_bytes())
    }
}

/// Returns which file a store is: device, inode and time of birth.
///
/// A store that was copied or restored is another file, and opens another log.
pub fn place_of(path: &Path) -> Result<Vec<u8>, TrackerError> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = statx(CWD, path, AtFlags::empty(), wanted)
        .map_err(|source| io_error("examine", path, source.into()))?;
    let birth = (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec);
    encode(&(stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, birth))
}

pub(super) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(SingleWriter);
    builder
}

/// Opens a file that its last writer did not close, with the repair kept in memory.
///
/// Every page that can be read later is checked against its checksum here and, unless the file is
/// locked, read once only: what a writer does to it meanwhile makes this fail, or is not seen.
fn read_unclosed(path: &Path, overlay: MakeOverlay) -> Result<Database, TrackerError> {
    let overlay = overlay(path).map_err(|source| io_error("read", path, source))?;
    barrier::call(path, || {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(overlay)
    })
}

/// Tries again what fails where somebody writes the very file: what was read then is neither the old
/// nor the new. Returns the last error.
fn again_beside_a_writer(
    open: impl Fn() -> Result<Store, TrackerError>,
) -> Result<Store, TrackerError> {
    let mut opened = open();
    for _ in 1..REPAIR_TRIES {
        if opened.is_ok() {
            break;
        }
        opened = open();
    }
    opened
}

/// Makes a file that must not exist: under another name until it is whole.
pub(super) fn make_whole(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), TrackerError>,
) -> Result<(), TrackerError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(UNFINISHED);
    let temporary = PathBuf::from(temporary);
    remove_leftover(&temporary)?;
    let made = make(&temporary).and_then(|()| {
        publish(&temporary, path).map_err(|source| io_error("create", path, source))
    });
    if made.is_err() {
        remove_leftover(&temporary)?;
    }
    made
}

/// Removes an unfinished file that an interrupted creation left behind.
fn remove_leftover(path: &Path) -> Result<(), TrackerError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, source))
        }
        _ => Ok(()),
    }
}

fn copy_aside(path: &Path, format: u32) -> Result<(), TrackerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".format-{format}"));
    let copy = PathBuf::from(name);
    let partial = copy.with_extension("partial");
    fs::copy(path, &partial)
        .and_then(|_| File::open(&partial)?.sync_all())
        .and_then(|()| fs::rename(&partial, &copy))
        .map_err(|source| io_error("copy before an upgrade", path, source))
}

/// Gives a finished file its name, without ever replacing another.
fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::hard_link(temporary, path)?;
    fs::remove_file(temporary)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

fn io_error(what: &str, path: &Path, source: io::Error) -> TrackerError {
    TrackerError::Io { what: format!("cannot {what} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_in(dir: &Path) -> PathBuf {
        let path = dir.join("list.redb");
        let founding = Founding {
            list: ListId([7; 32]),
            name: "test".to_owned(),
            prefix: "T".to_owned(),
            statement: None,
        };
        Store::create(&path, &founding).unwrap();
        path
    }

    #[test]
    fn a_store_is_never_made_over_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_in(dir.path());
        let before = fs::read(&path).unwrap();
        let founding = Founding {
            list: ListId([8; 32]),
            name: String::new(),
            prefix: String::new(),
            statement: None,
        };
        assert!(matches!(Store::create(&path, &founding), Err(TrackerError::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_upgrade_copies_the_store_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_in(dir.path());
        let before = fs::read(&path).unwrap();
        let rename: Upgrade = |writing| writing.put(Table::Meta, META_NAME, b"upgraded");
        let store =
            Store::open_and_upgrade(&path, SingleWriter, FORMAT + 1, &[(FORMAT, rename)]).unwrap();
        assert_eq!(store.read().unwrap().list_name().unwrap(), "upgraded");
        assert_eq!(store.read().unwrap().format().unwrap(), FORMAT + 1);
        let copy = dir.path().join(format!("list.redb.format-{FORMAT}"));
        assert_eq!(fs::read(copy).unwrap().len(), before.len());
    }

    #[test]
    fn a_store_of_a_newer_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_in(dir.path());
        drop(
            Store::open_and_upgrade(&path, SingleWriter, FORMAT + 1, &[(FORMAT, |_| Ok(()))])
                .unwrap(),
        );
        let before = fs::read(&path).unwrap();
        for refused in [Store::open_to_read(&path), Store::open_to_write(&path)] {
            let error = refused.err().unwrap();
            let TrackerError::Format { found, known } = error else { panic!("{error}") };
            assert_eq!((found, known), (FORMAT + 1, FORMAT));
        }
        assert!(fs::read(&path).unwrap() == before);
    }

    #[test]
    fn readers_see_the_last_committed_state_beside_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = store_in(dir.path());
        let writer = Store::open_to_write(&path).unwrap();
        let writing = writer.write().unwrap();
        writing.put(Table::Meta, META_NAME, b"not yet").unwrap();
        let reader = Store::open_to_read(&path).unwrap();
        assert_eq!(reader.read().unwrap().list_name().unwrap(), "test");
        writing.commit().unwrap();
        assert_eq!(reader.read().unwrap().list_name().unwrap(), "not yet");
    }
}
