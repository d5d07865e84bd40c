//! Documents, and the rows and names that answer queries without opening them.

use std::ops::ControlFlow;

use super::tables::{Table, Tables, Visit, Writing};
use crate::document::{Birth, Document};
use crate::id::DocumentKey;
use crate::interface::TrackerError;
use crate::interface::report::Row;
use crate::timestamp::Timestamp;

/// Where a row stands: eight bytes of the time of creation, the id, a zero byte, the document key.
pub type RowKey = Vec<u8>;

/// A time of creation as bytes that sort by it.
pub type CreatedBytes = [u8; 8];

/// Below this many bytes of appended changes a document is not worth compacting.
const COMPACT_FROM_BYTES: usize = 1024;

/// Returns where the row of a document stands: oldest first, those without a time before all, those
/// of one time by id.
pub fn row_key(birth: &Birth) -> RowKey {
    let created = birth.created_at.as_deref().and_then(crate::issue::as_text);
    let at = created.as_deref().and_then(Timestamp::parse).map_or(i64::MIN, |at| at.0);
    // Flipping the sign bit makes the order of bytes that of the numbers.
    let sortable = (at as u64) ^ (1 << 63);
    let mut key = sortable.to_be_bytes().to_vec();
    key.extend_from_slice(birth.id.as_bytes());
    key.push(0);
    key.extend_from_slice(&birth.key().0);
    key
}

/// Returns the time of creation in a row key.
pub fn created_bytes(row_key: &[u8]) -> CreatedBytes {
    row_key.first_chunk().copied().unwrap_or_default()
}

/// What the first rows with claims lack at their end: the count of renewals.
const NO_RENEWALS: [u8; 1] = [0];

/// Returns the row that stored bytes hold.
pub fn row_of(stored: &[u8]) -> Result<Row, TrackerError> {
    decode(stored, "a row").or_else(|damaged| {
        let widened = [stored, &NO_RENEWALS].concat();
        decode(&widened, "a row").map_err(|_| damaged)
    })
}

/// Tells whether a stored row was written before renewals were counted.
pub fn counts_no_renewals(stored: &[u8]) -> bool {
    decode::<Row>(stored, "a row").is_err()
}

/// What one visit of a row says, given its key: go on, or enough.
pub type VisitRow<'a> = dyn FnMut(&[u8], Row) -> Result<ControlFlow<()>, TrackerError> + 'a;

/// What one visit of an issue's canonical JSON says: go on, or enough.
pub type VisitView<'a> = dyn FnMut(DocumentKey, &str) -> Result<ControlFlow<()>, TrackerError> + 'a;

/// Reading documents and rows.
pub trait Rows: Tables {
    /// Loads a document.
    fn document(&self, key: DocumentKey) -> Result<Option<Document>, TrackerError> {
        let Some(bytes) = self.get(Table::Documents, &key.0)? else { return Ok(None) };
        let stored = Stored::decode(&bytes)?;
        Ok(Some(Document::load(stored.birth, stored.bytes)?))
    }

    /// Tells whether there is such a document.
    fn has_document(&self, key: DocumentKey) -> Result<bool, TrackerError> {
        Ok(self.get(Table::Documents, &key.0)?.is_some())
    }

    /// Returns a row.
    fn row(&self, key: &[u8]) -> Result<Option<Row>, TrackerError> {
        self.get(Table::Rows, key)?.map(|bytes| row_of(&bytes)).transpose()
    }

    /// Returns the canonical JSON of an issue.
    fn view(&self, key: DocumentKey) -> Result<Option<String>, TrackerError> {
        let Some(bytes) = self.get(Table::Views, &key.0)? else { return Ok(None) };
        Ok(Some(String::from_utf8(bytes).map_err(|_| damaged("a record that is not text"))?))
    }

    /// Visits the canonical JSON of every issue, in the order in which it lies on disk.
    fn visit_views(&self, visit: &mut VisitView<'_>) -> Result<(), TrackerError> {
        self.visit(Table::Views, &[], &mut |key, json| {
            let key = DocumentKey(key.try_into().map_err(|_| damaged("the key of a record"))?);
            let json =
                std::str::from_utf8(json).map_err(|_| damaged("a record that is not text"))?;
            visit(key, json)
        })
    }

    /// Visits rows, oldest first, from the key after `after`.
    fn visit_rows(
        &self,
        after: Option<&[u8]>,
        visit: &mut VisitRow<'_>,
    ) -> Result<(), TrackerError> {
        let mut start = after.map(<[u8]>::to_vec).unwrap_or_default();
        if after.is_some() {
            start.push(0);
        }
        self.visit(Table::Rows, &start, &mut |key, value| visit(key, row_of(value)?))
    }

    /// Visits the rows as they are stored, oldest first; [`row_of`] reads them.
    fn visit_stored_rows(&self, visit: &mut Visit<'_>) -> Result<(), TrackerError> {
        self.visit(Table::Rows, &[], visit)
    }

    /// Returns the row keys of the issues that have exactly this id or identifier.
    fn rows_named(&self, name: &str) -> Result<Vec<RowKey>, TrackerError> {
        let mut found = Vec::new();
        let mut prefix = name.as_bytes().to_vec();
        prefix.push(0);
        self.visit_prefix(Table::Names, &prefix, &mut |_, row| {
            if !found.contains(&row.to_vec()) {
                found.push(row.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Returns row keys of issues whose id or identifier starts with `prefix`, at most `limit`.
    fn rows_starting(&self, prefix: &str, limit: usize) -> Result<Vec<RowKey>, TrackerError> {
        let mut found: Vec<RowKey> = Vec::new();
        self.visit_prefix(Table::Names, prefix.as_bytes(), &mut |_, row| {
            if !found.iter().any(|other| other == row) {
                found.push(row.to_vec());
            }
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }
}

impl<T: Tables + ?Sized> Rows for T {}

impl Writing {
    /// Stores a document after new changes, and the row, record and names that follow from it.
    ///
    /// `appended` are the bytes of the new changes; the document is compacted when what was appended
    /// outgrows its snapshot.
    pub fn put_document(
        &self,
        document: &Document,
        appended: &[Vec<u8>],
        row: &Row,
        json: &str,
    ) -> Result<(), TrackerError> {
        let Some(old) = self.get(Table::Documents, &document.key().0)? else {
            return self.put_new(document.birth(), &document.genesis_bytes(), appended, row, json);
        };
        let bytes = append(document, &old, appended)?;
        self.put(Table::Documents, &row.key.0, &bytes)?;
        let row_key = row_key(document.birth());
        let old = self.row(&row_key)?;
        let gone = old.iter().flat_map(names_of).filter(|name| !names_of(row).contains(name));
        for name in gone {
            self.remove(Table::Names, &name_key(name, row.key))?;
        }
        self.put_row(&row_key, row, json)
    }

    /// Stores a document that is not here yet.
    pub fn put_new(
        &self,
        birth: &Birth,
        genesis: &[u8],
        changes: &[Vec<u8>],
        row: &Row,
        json: &str,
    ) -> Result<(), TrackerError> {
        let mut bytes = genesis.to_vec();
        changes.iter().for_each(|change| bytes.extend_from_slice(change));
        let stored = Stored { birth: birth.clone(), snapshot: bytes.len(), bytes: &bytes };
        self.put(Table::Documents, &row.key.0, &stored.encode()?)?;
        self.put_row(&row_key(birth), row, json)
    }

    /// Stores a document in the place of whatever is stored of it, with what follows from it.
    pub(super) fn put_whole(
        &self,
        document: &Document,
        row: &Row,
        json: &str,
    ) -> Result<(), TrackerError> {
        let (birth, bytes) = (document.birth(), document.save());
        let stored = Stored { birth: birth.clone(), snapshot: bytes.len(), bytes: &bytes };
        self.put(Table::Documents, &row.key.0, &stored.encode()?)?;
        self.put_row(&row_key(birth), row, json)
    }

    /// Lets a name lead to an issue no more.
    pub(super) fn remove_name(&self, name: &str, key: DocumentKey) -> Result<(), TrackerError> {
        self.remove(Table::Names, &name_key(name, key))
    }

    /// Puts another record in the place of an issue's.
    pub fn put_view(&self, key: DocumentKey, json: &str) -> Result<(), TrackerError> {
        self.put(Table::Views, &key.0, json.as_bytes())
    }

    fn put_row(&self, row_key: &[u8], row: &Row, json: &str) -> Result<(), TrackerError> {
        for name in names_of(row) {
            self.put(Table::Names, &name_key(name, row.key), row_key)?;
        }
        self.put_view(row.key, json)?;
        if let Some(pending) = &self.pending {
            pending.add(self.row(row_key)?, Some(row.clone()));
        }
        self.put(Table::Rows, row_key, &encode(row)?)
    }
}

fn append(document: &Document, old: &[u8], appended: &[Vec<u8>]) -> Result<Vec<u8>, TrackerError> {
    let stored = Stored::decode(old)?;
    let mut bytes = stored.bytes.to_vec();
    appended.iter().for_each(|change| bytes.extend_from_slice(change));
    let birth = stored.birth;
    if bytes.len() - stored.snapshot >= stored.snapshot.max(COMPACT_FROM_BYTES) {
        let bytes = document.save();
        return Stored { birth, snapshot: bytes.len(), bytes: &bytes }.encode();
    }
    Stored { birth, snapshot: stored.snapshot, bytes: &bytes }.encode()
}

/// A document as it is stored.
struct Stored<'a> {
    birth: Birth,
    /// How many of the bytes were there when it was last compacted.
    snapshot: usize,
    bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    fn encode(&self) -> Result<Vec<u8>, TrackerError> {
        let mut bytes = encode(&(&self.birth, self.snapshot as u64))?;
        bytes.extend_from_slice(self.bytes);
        Ok(bytes)
    }

    fn decode(bytes: &'a [u8]) -> Result<Self, TrackerError> {
        let ((birth, snapshot), bytes): ((Birth, u64), &[u8]) =
            postcard::take_from_bytes(bytes).map_err(|_| damaged("a document"))?;
        let snapshot = usize::try_from(snapshot).map_err(|_| damaged("a document"))?;
        if snapshot > bytes.len() {
            return Err(damaged("a document"));
        }
        Ok(Self { birth, snapshot, bytes })
    }
}

/// Returns the names that lead to a row.
pub fn names_of(row: &Row) -> Vec<&str> {
    let mut names = vec![row.id.as_str()];
    names.extend(row.identifier.as_deref().filter(|identifier| *identifier != row.id));
    names
}

fn name_key(name: &str, key: DocumentKey) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(&key.0);
    bytes
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, TrackerError> {
    postcard::to_stdvec(value).map_err(|source| TrackerError::Damaged {
        what: format!("a value cannot be encoded: {source}"),
    })
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    what: &str,
) -> Result<T, TrackerError> {
    postcard::from_bytes(bytes).map_err(|_| damaged(what))
}

pub(crate) fn damaged(what: &str) -> TrackerError {
    TrackerError::Damaged { what: format!("{what} cannot be read") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::charter::Signed;
    use crate::journal::commit::Position;
    use crate::store::{FileState, Line};

    #[test]
    fn a_row_that_counts_no_renewals_is_read_as_one_without_any() {
        let mut row = crate::testing::row();
        let stored = encode(&row).unwrap();
        let (old, end) = stored.split_at(stored.len() - NO_RENEWALS.len());
        assert_eq!((end, row_of(old).unwrap()), (&NO_RENEWALS[..], row.clone()));
        assert!(counts_no_renewals(old) && !counts_no_renewals(&stored));
        assert!(row_of(&old[..old.len() - 1]).is_err());
        row.tally.renewals = 3;
        assert_eq!(row_of(&encode(&row).unwrap()).unwrap(), row);
    }

    /// A length of 2^60, at any place of a stored value.
    #[test]
    fn a_damaged_value_is_an_error_whatever_lengths_it_claims() {
        let endless = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
        let values = (0..64).flat_map(|at| {
            [0, 1, 2, 0xff].map(|fill| [vec![fill; at], endless.to_vec(), vec![fill; 4]].concat())
        });
        for bytes in values {
            let _value = decode::<Row>(&bytes, "a row");
            let _value = decode::<Line>(&bytes, "a line");
            let _value = decode::<FileState>(&bytes, "a file's state");
            let _value = decode::<Position>(&bytes, "a frontier entry");
            let _value = decode::<Signed>(&bytes, "a statement");
            let _value = decode::<(Vec<u8>, Vec<u8>)>(&bytes, "a commit");
            let _value = Stored::decode(&bytes);
        }
        for bytes in [&endless[..], &[0, 0, 9, 1]] {
            assert!(decode::<Row>(bytes, "a row").is_err());
            assert!(Stored::decode(bytes).is_err());
        }
    }
}
