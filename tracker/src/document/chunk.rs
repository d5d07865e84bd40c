//! The frame of an uncompressed Automerge change, read without expanding anything, so that what it
//! costs to open it is known before it is opened.
//! Not: what its operations do; that is for `admit` to judge.
//!
//! The layout is that of Automerge's binary format, "change chunks": columns of run-length encoded
//! values, in which a few bytes can stand for any number of operations.

use sha2::{Digest, Sha256};

/// The first bytes of every chunk.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// The type of a chunk that holds a whole document.
const SNAPSHOT: u8 = 0;

/// The type of a chunk that holds one change, uncompressed.
const CHANGE: u8 = 1;

/// Where the type stands: after the magic bytes and four bytes of checksum.
const TYPE_AT: usize = 8;

/// The bytes of a change's hash.
const HASH_BYTES: u64 = 32;

/// The column of actions: one row for each operation.
const ACTIONS: u64 = 0x42;

/// The column that says how many operations each operation replaces.
const PREDECESSOR_COUNTS: u64 = 0x70;

/// One chunk that holds an uncompressed change, as far as its frame tells.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    bytes: &'a [u8],
    data_at: usize,
}

/// How much a change is once it is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many operations it holds.
    pub operations: u64,
    /// How many operations they replace, counted once for each that replaces one.
    pub predecessors: u64,
}

impl<'a> Chunk<'a> {
    /// Reads the frame; `None` unless `bytes` are one uncompressed change and nothing after it.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (chunk, rest) = Self::first(bytes, &[CHANGE])?;
        rest.is_empty().then_some(chunk)
    }

    /// Returns the chunk that `bytes` begin with, if it is of one of these types, and what follows.
    fn first(bytes: &'a [u8], types: &[u8]) -> Option<(Self, &'a [u8])> {
        if !bytes.starts_with(&MAGIC) || !types.contains(bytes.get(TYPE_AT)?) {
            return None;
        }
        let mut reader = Reader { rest: &bytes[TYPE_AT + 1..] };
        let data_bytes = usize::try_from(reader.unsigned()?).ok()?;
        let data_at = bytes.len() - reader.rest.len();
        let (bytes, rest) = bytes.split_at_checked(data_at.checked_add(data_bytes)?)?;
        Some((Self { bytes, data_at }, rest))
    }

    /// Tells whether the checksum is that of the bytes.
    pub fn is_sound(&self) -> bool {
        let hash = Sha256::digest(&self.bytes[TYPE_AT..]);
        hash[..4] == self.bytes[MAGIC.len()..TYPE_AT]
    }

    /// Returns how much it is; `None` where that cannot be told, as no change of ours has it.
    ///
    /// Takes time and memory by the number of bytes, whatever they stand for.
    pub fn extent(&self) -> Option<Extent> {
        let mut columns = Columns::of(&self.bytes[self.data_at..])?;
        let mut extent = Extent { operations: 0, predecessors: 0 };
        while let Some((column, bytes)) = columns.next()? {
            match column {
                ACTIONS => extent.operations = rows(bytes)?.0,
                PREDECESSOR_COUNTS => extent.predecessors = rows(bytes)?.1,
                _ => {}
            }
        }
        Some(extent)
    }
}

/// Tells whether `bytes` are a stored document: snapshots and changes, each with its checksum right.
///
/// Automerge looks at what is inside before it looks at the checksum, and a damaged run length can
/// keep it busy without end.
pub fn is_stored(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match Chunk::first(bytes, &[SNAPSHOT, CHANGE]) {
            Some((chunk, rest)) if chunk.is_sound() => bytes = rest,
            _ => return false,
        }
    }
    true
}

/// The columns of a change, in their order.
struct Columns<'a> {
    /// What each column is and how many bytes it has.
    meta: Reader<'a>,
    count: u64,
    /// What the columns hold, from the next one on.
    data: &'a [u8],
    last: Option<u64>,
}

impl<'a> Columns<'a> {
    fn of(data: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { rest: data };
        let dependencies = reader.unsigned()?;
        reader.skip(dependencies.checked_mul(HASH_BYTES)?)?;
        reader.skip_block()?; // The actor.
        reader.number()?; // Its sequence number.
        reader.number()?; // The first operation.
        reader.number()?; // The time.
        reader.skip_block()?; // The message.
        for _ in 0..reader.unsigned()? {
            reader.skip_block()?; // Another actor.
        }
        let count = reader.unsigned()?;
        let before = reader.rest;
        for _ in 0..count {
            reader.unsigned()?;
            reader.unsigned()?;
        }
        let meta = Reader { rest: &before[..before.len() - reader.rest.len()] };
        Some(Self { meta, count, data: reader.rest, last: None })
    }

    /// Returns the next column; the outer `None` is for columns that do not fit or stand twice.
    fn next(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        if self.count == 0 {
            return Some(None);
        }
        self.count -= 1;
        let (column, bytes) = (self.meta.unsigned()?, self.meta.unsigned()?);
        if self.last.is_some_and(|last| last >= column) {
            return None;
        }
        self.last = Some(column);
        let (found, rest) = self.data.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.data = rest;
        Some(Some((column, found)))
    }
}

/// Returns how many rows a run-length encoded column of unsigned numbers has, and their sum.
fn rows(column: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader { rest: column };
    let (mut rows, mut sum) = (0_u64, 0_u64);
    while !reader.rest.is_empty() {
        let count = reader.signed()?;
        let run = count.unsigned_abs();
        match count {
            1.. => sum = sum.checked_add(reader.unsigned()?.checked_mul(run)?)?,
            0 => {
                rows = rows.checked_add(reader.unsigned()?)?;
            }
            _ => {
                for _ in 0..run {
                    sum = sum.checked_add(reader.unsigned()?)?;
                }
            }
        }
        rows = rows.checked_add(run)?;
    }
    Some((rows, sum))
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// Passes over a number of bytes and the bytes.
    fn skip_block(&mut self) -> Option<()> {
        let bytes = self.unsigned()?;
        self.skip(bytes)
    }

    /// Passes over a LEB128 number, returning where its bytes lie.
    fn number(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().take(10).position(|byte| byte & 0x80 == 0)?;
        let (number, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        Some(number)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let number = self.number()?;
        let mut value = 0_u64;
        for (at, byte) in number.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * at);
        }
        Some(value)
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        let mut value = 0_i64;
        for (at, byte) in number.iter().enumerate() {
            let bits = i64::from(byte & 0x7f);
            if at == 9 && bits != 0 && bits != 0x7f {
                return None;
            }
            value |= bits << (7 * at);
        }
        let (width, last) = (7 * number.len(), number.last()?);
        if width < 64 && last & 0x40 != 0 {
            value |= -1 << width;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Birth, Document, Edit};
    use crate::id::{AgentId, LogId};
    use crate::timestamp::Timestamp;

    fn write(document: &mut Document, title: &str) -> Vec<u8> {
        let mut edit = Edit::default();
        edit.set(&document.read(), "title", Some(title));
        edit.set(&document.read(), "labels", Some("[\"a\",\"b\"]"));
        let log = LogId { agent: AgentId([1; 32]), nonce: [1; 8] };
        document.write(&edit, log, Timestamp(0)).unwrap().unwrap()
    }

    fn document() -> Document {
        Document::new(Birth { id: "A-1".to_owned(), created_at: None })
    }

    #[test]
    fn a_change_is_as_much_as_its_operations() {
        let mut document = document();
        let first = write(&mut document, "\"one\"");
        let extent = Chunk::read(&first).unwrap().extent();
        assert_eq!(extent, Some(Extent { operations: 3, predecessors: 0 }));
        let second = write(&mut document, "\"two\"");
        let extent = Chunk::read(&second).unwrap().extent();
        assert_eq!(extent, Some(Extent { operations: 1, predecessors: 1 }));
    }

    #[test]
    fn any_changed_byte_shows() {
        let mut document = document();
        let change = write(&mut document, "\"one\"");
        let stored = [document.genesis_bytes(), change.clone(), document.save()].concat();
        assert!(is_stored(&stored) && is_stored(&[]));
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x40;
            assert!(!is_stored(&damaged), "byte {at}");
            assert!(!is_stored(&stored[..at]) || is_end(&stored, at), "cut at {at}");
        }
        for at in 0..change.len() {
            let mut damaged = change.clone();
            damaged[at] ^= 0x40;
            assert!(Chunk::read(&damaged).is_none_or(|chunk| !chunk.is_sound()), "byte {at}");
        }
    }

    /// Tells whether a chunk ends there.
    fn is_end(stored: &[u8], at: usize) -> bool {
        at == 0 || stored[at..].starts_with(&MAGIC)
    }

    #[test]
    fn runs_are_added_up_without_being_walked() {
        let endless = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
        assert_eq!(rows(&[]), Some((0, 0)));
        assert_eq!(rows(&[3, 7, 0x7e, 1, 2, 0, 5]), Some((10, 24)));
        assert_eq!(
            rows(&[&endless[..], &[1]].concat()),
            Some((0x3fff_ffff_ffff_ffff, 0x3fff_ffff_ffff_ffff))
        );
        assert_eq!(rows(&[&endless[..], &[9]].concat()), None, "the sum overflows");
        assert_eq!(rows(&[0x40, 1]), None, "a literal run that ends early");
        assert_eq!(rows(&[0x80; 11]), None, "a number without end");
    }
}
