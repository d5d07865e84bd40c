//! The tables of a store, and reading and writing them. All keys and values are bytes.

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, StorageError, TableDefinition, TableError,
    WriteTransaction,
};

use super::barrier;
use super::changes::{Pending, Watched};
use super::charters::Charters;
use super::pack::{pack, unpack};
use crate::interface::TrackerError;

/// A table; the comment says key -> value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Name -> value, a few facts on the store itself.
    Meta,
    /// Log and number -> header and body.
    Commits,
    /// Log and number -> signature; kept for some commits.
    Signatures,
    /// Place in the order of application -> log and number.
    Order,
    /// Log -> number and hash of its last commit.
    Frontier,
    /// Number -> signed statement of the charter.
    Statements,
    /// Document key -> birth, length of the snapshot, snapshot and changes after it.
    Documents,
    /// Time of creation and document key -> row.
    Rows,
    /// Document key -> canonical JSON.
    Views,
    /// Name, zero byte and document key -> row key.
    Names,
    /// File -> its state when last imported or exported.
    Files,
    /// File and place -> line.
    Lines,
    /// File and document key -> place.
    LineOf,
    /// Document key and place in the order of application of a commit that changed it -> nothing.
    Touches,
    /// Hash of a commit -> its place in the order of application.
    Hashes,
    /// Hash of a claim -> the commit that carried it, and the key of the document.
    Proofs,
    /// Hash of a claim, or of the end of one -> when it was last seen, by this machine's uptime.
    Beats,
    /// Hash of a claim of another agent that holds an issue -> when a beat of it was last seen, and whose it is; source
    /// of frames with beats -> the newest that was heard.
    Heard,
    /// Hash of a claim that holds an issue -> the others on its slate, and which of them promised not to claim the issue.
    Promises,
    /// Log -> headers after its last commit here, and the signature of the last of them.
    Rests,
    /// Hash of a void commit -> its log, its number and why.
    Voids,
    /// Hash of a ticket's secret -> its role, until when, and who used it.
    Tickets,
    /// Log, number and hash of a commit that counted once -> the commit.
    Lost,
    /// Log, number and hash of a void commit -> its header and those that prove it.
    Rivals,
}

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

impl Table {
    /// Every table.
    pub const ALL: [Self; 24] = [
        Self::Meta,
        Self::Commits,
        Self::Signatures,
        Self::Order,
        Self::Frontier,
        Self::Statements,
        Self::Documents,
        Self::Rows,
        Self::Views,
        Self::Names,
        Self::Files,
        Self::Lines,
        Self::LineOf,
        Self::Touches,
        Self::Hashes,
        Self::Proofs,
        Self::Beats,
        Self::Heard,
        Self::Promises,
        Self::Rests,
        Self::Voids,
        Self::Tickets,
        Self::Lost,
        Self::Rivals,
    ];

    /// Tells whether values are packed: where they are large, and many.
    pub(super) const fn is_packed(self) -> bool {
        matches!(self, Self::Commits | Self::Documents | Self::Views | Self::Lines | Self::Lost)
    }

    const fn definition(self) -> Definition {
        TableDefinition::new(match self {
            Self::Meta => "meta",
            Self::Commits => "commits",
            Self::Signatures => "signatures",
            Self::Order => "order",
            Self::Frontier => "frontier",
            Self::Statements => "statements",
            Self::Documents => "documents",
            Self::Rows => "rows",
            Self::Views => "views",
            Self::Names => "names",
            Self::Files => "files",
            Self::Lines => "lines",
            Self::LineOf => "line_of",
            Self::Touches => "touches",
            Self::Hashes => "hashes",
            Self::Proofs => "proofs",
            Self::Beats => "beats",
            Self::Heard => "heard",
            Self::Promises => "promises",
            Self::Rests => "rests",
            Self::Voids => "voids",
            Self::Tickets => "tickets",
            Self::Lost => "lost",
            Self::Rivals => "rivals",
        })
    }
}

/// What one visit of an entry says: go on, or enough.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, TrackerError> + 'a;

/// Reading tables, whether or not a write is going on.
pub trait Tables {
    /// Returns the value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TrackerError>;

    /// Visits the entries from `start` on, in the order of their keys.
    fn visit(&self, table: Table, start: &[u8], visit: &mut Visit<'_>) -> Result<(), TrackerError>;

    /// Returns how many entries a table has.
    fn len(&self, table: Table) -> Result<u64, TrackerError>;

    /// Returns the last key that starts with `prefix`, and its value.
    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>, TrackerError>;

    /// Returns where the charter is kept; `None` while it is another than was ever committed.
    fn charters(&self) -> Option<&Charters>;

    /// Visits the entries whose key starts with `prefix`.
    fn visit_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), TrackerError> {
        self.visit(table, prefix, &mut |key, value| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            visit(key, value)
        })
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A committed state of the store.
pub struct Reading {
    path: PathBuf,
    tx: ReadTransaction,
    /// Opened when they are first read; one that the file lacks is empty.
    tables: [OnceCell<Option<OpenToRead>>; Table::ALL.len()],
    charters: Charters,
}

type OpenToRead = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Reading {
    pub(super) fn new(tx: ReadTransaction, path: &Path, charters: Charters) -> Self {
        Self { path: path.to_owned(), tx, tables: Default::default(), charters }
    }

    /// Visits all entries of a table, each value as it is stored.
    pub(super) fn visit_stored(
        &self,
        table: Table,
        visit: &mut Visit<'_>,
    ) -> Result<(), TrackerError> {
        self.table(table)?.map_or(Ok(()), |table| walk(table, &[], visit, &self.path))
    }

    fn table(&self, table: Table) -> Result<Option<&OpenToRead>, TrackerError> {
        let cell = &self.tables[table as usize];
        if let Some(open) = cell.get() {
            return Ok(open.as_ref());
        }
        let open = barrier::call(&self.path, || match self.tx.open_table(table.definition()) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            opened => opened.map(Some),
        })?;
        Ok(cell.get_or_init(|| open).as_ref())
    }
}

impl Tables for Reading {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TrackerError> {
        let value = self.table(table)?.map_or(Ok(None), |table| get(table, key, &self.path));
        unpacked(table, value?)
    }

    fn visit(&self, table: Table, start: &[u8], visit: &mut Visit<'_>) -> Result<(), TrackerError> {
        let Some(open) = self.table(table)? else { return Ok(()) };
        walk(open, start, &mut unpacking(table, visit), &self.path)
    }

    fn len(&self, table: Table) -> Result<u64, TrackerError> {
        self.table(table)?.map_or(Ok(0), |table| count(table, &self.path))
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>, TrackerError> {
        let entry = self.table(table)?.map_or(Ok(None), |table| last(table, prefix, &self.path));
        unpacked_entry(table, entry?)
    }

    fn charters(&self) -> Option<&Charters> {
        Some(&self.charters)
    }
}

/// A state of the store that is being made.
pub struct Writing {
    path: PathBuf,
    /// `None` once it is committed or given up.
    tx: Option<WriteTransaction>,
    /// What it changes, where that is kept.
    pub(super) pending: Option<Pending>,
    charters: Charters,
    /// Whether it has statements that were not committed yet.
    pub(super) has_stated: Cell<bool>,
}

impl Writing {
    pub(super) fn new(
        tx: WriteTransaction,
        path: &Path,
        watched: Option<&Watched>,
        charters: Charters,
    ) -> Self {
        let pending = watched.map(Pending::of);
        let has_stated = Cell::new(false);
        Self { path: path.to_owned(), tx: Some(tx), pending, charters, has_stated }
    }

    /// Sets the value of a key.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), TrackerError> {
        if table.is_packed() {
            return self.put_stored(table, key, &pack(value));
        }
        self.put_stored(table, key, value)
    }

    /// Sets the value of a key to bytes that are packed already where the table's values are.
    pub(super) fn put_stored(
        &self,
        table: Table,
        key: &[u8],
        stored: &[u8],
    ) -> Result<(), TrackerError> {
        self.write(table, |table| table.insert(key, stored).map(|_old| ()))
    }

    /// Visits the entries of a table from `start` on, each value as it is stored.
    pub(super) fn visit_stored(
        &self,
        table: Table,
        start: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), TrackerError> {
        self.with(table, |open| walk(open, start, visit, &self.path))
    }

    /// Takes a key out, if it is there.
    pub fn remove(&self, table: Table, key: &[u8]) -> Result<(), TrackerError> {
        self.write(table, |table| table.remove(key).map(|_old| ()))
    }

    /// Takes every key out that starts with `prefix`.
    pub fn remove_prefix(&self, table: Table, prefix: &[u8]) -> Result<(), TrackerError> {
        self.write(table, |table| {
            table
                .extract_from_if(prefix.., |key, _| key.starts_with(prefix))?
                .take_while(|entry| {
                    entry.as_ref().map_or(true, |(key, _)| key.value().starts_with(prefix))
                })
                .try_for_each(|entry| entry.map(|_taken| ()))
        })
    }

    /// Makes it all durable: when this returns, it is on disk.
    pub fn commit(mut self) -> Result<(), TrackerError> {
        let tx = self.tx.take();
        barrier::call(&self.path, || tx.map_or(Ok(()), WriteTransaction::commit))?;
        if let Some(pending) = self.pending.take() {
            pending.written();
        }
        Ok(())
    }

    fn write(
        &self,
        table: Table,
        act: impl FnOnce(&mut Open<'_>) -> Result<(), StorageError>,
    ) -> Result<(), TrackerError> {
        self.with(table, |table| barrier::call(&self.path, || act(table)))
    }

    /// Opens a table for one act.
    fn with<T>(
        &self,
        table: Table,
        act: impl FnOnce(&mut Open<'_>) -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        let mut table = self.open(table)?;
        let done = act(&mut table);
        barrier::close(table);
        done
    }

    fn open(&self, table: Table) -> Result<Open<'_>, TrackerError> {
        barrier::call(&self.path, || match &self.tx {
            Some(tx) => tx.open_table(table.definition()).map_err(redb::Error::from),
            None => Err(redb::Error::DatabaseClosed),
        })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        barrier::close(self.tx.take());
    }
}

/// A table that is being written.
type Open<'tx> = redb::Table<'tx, &'static [u8], &'static [u8]>;

impl Tables for Writing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TrackerError> {
        let stored = self.with(table, |open| get(open, key, &self.path))?;
        unpacked(table, stored)
    }

    fn visit(&self, table: Table, start: &[u8], visit: &mut Visit<'_>) -> Result<(), TrackerError> {
        let mut visit = unpacking(table, visit);
        self.with(table, |open| walk(open, start, &mut visit, &self.path))
    }

    fn len(&self, table: Table) -> Result<u64, TrackerError> {
        self.with(table, |table| count(table, &self.path))
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>, TrackerError> {
        let stored = self.with(table, |open| last(open, prefix, &self.path))?;
        unpacked_entry(table, stored)
    }

    fn charters(&self) -> Option<&Charters> {
        (!self.has_stated.get()).then_some(&self.charters)
    }
}

fn unpacked(table: Table, stored: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TrackerError> {
    match stored {
        Some(stored) if table.is_packed() => Ok(Some(unpack(&stored)?.into_owned())),
        stored => Ok(stored),
    }
}

fn unpacked_entry(table: Table, entry: Option<Entry>) -> Result<Option<Entry>, TrackerError> {
    let Some((key, stored)) = entry else { return Ok(None) };
    Ok(unpacked(table, Some(stored))?.map(|value| (key, value)))
}

/// Returns a visit that is given values as they were put.
fn unpacking<'a>(
    table: Table,
    visit: &'a mut Visit<'_>,
) -> impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, TrackerError> + 'a {
    move |key, stored| match table.is_packed() {
        true => visit(key, &unpack(stored)?),
        false => visit(key, stored),
    }
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
    path: &Path,
) -> Result<Option<Vec<u8>>, TrackerError> {
    barrier::call(path, || Ok::<_, StorageError>(table.get(key)?.map(|v| v.value().to_vec())))
}

fn walk(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    start: &[u8],
    visit: &mut Visit<'_>,
    path: &Path,
) -> Result<(), TrackerError> {
    let mut range = barrier::call(path, || table.range(start..))?;
    while let Some((key, value)) = barrier::call(path, || range.next().transpose())? {
        let read = || Ok::<_, StorageError>((key.value(), value.value()));
        let (key, value) = barrier::call(path, read)?;
        if visit(key, value)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn count(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    path: &Path,
) -> Result<u64, TrackerError> {
    barrier::call(path, || table.len())
}

fn last(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    path: &Path,
) -> Result<Option<Entry>, TrackerError> {
    let end = after_prefix(prefix);
    barrier::call(path, || {
        let mut range = match &end {
            Some(end) => table.range(prefix..end.as_slice())?,
            None => table.range(prefix..)?,
        };
        let Some(entry) = range.next_back() else { return Ok::<_, StorageError>(None) };
        let (key, value) = entry?;
        Ok(Some((key.value().to_vec(), value.value().to_vec())))
    })
}

/// Returns the first key after all that start with `prefix`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}
