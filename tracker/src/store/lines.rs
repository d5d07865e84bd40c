//! What a JSONL file held when it was last imported or exported, line by line.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::document::Heads;
use crate::id::DocumentKey;
use crate::id::Version;
use crate::interface::TrackerError;
use crate::jsonl::read::Terminator;

/// The place of a line in its file; lines are sorted by it.
pub type LineKey = u64;

/// How far apart the places of neighbouring lines are when a file is written down anew.
pub const LINE_GAP: u64 = 1 << 32;

/// The version of an issue that is not here any more; no document has it but by a chance of 2^-64.
pub const GONE: Version = Version([0; 8]);

/// What stands for the place of a line that disappeared.
const MISSING: &[u8] = &[];

/// A file as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// BLAKE3-256 of its bytes.
    pub hash: [u8; 32],
    /// How many lines it had.
    pub lines: u64,
}

/// A line as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its bytes, without the end.
    pub text: Vec<u8>,
    /// How it ended.
    pub terminator: Terminator,
    /// The issue it stands for; `None` for a blank line.
    pub record: Option<LineRecord>,
}

/// The issue that a line stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecord {
    /// Its document.
    pub key: DocumentKey,
    /// The document's version when the line was last made equal to it, or compared with it.
    pub version: Version,
    /// The document's heads at that moment.
    pub heads: Heads,
    /// The document's heads when the line last said what the issue said: what was written after
    /// them may be unknown to whoever edits the line.
    pub since: Heads,
    /// Whether the line says something else than the issue said then, so that export renews it.
    pub differs: bool,
    /// Whether it held older values that were passed over, so that they can be taken later.
    pub old_news: bool,
    /// Fields whose value in the file waits for somebody to decide on it; export leaves them.
    pub pending: Vec<String>,
}

/// Reading what is known of files.
pub trait Lines: Tables {
    /// Returns what a file was when last seen; `None` if it never was.
    fn file_state(&self, file: &str) -> Result<Option<FileState>, TrackerError> {
        self.get(Table::Files, file.as_bytes())?
            .map(|bytes| decode(&bytes, "a file's state"))
            .transpose()
    }

    /// Returns the line of an issue, with its place.
    fn line_of(
        &self,
        file: &str,
        key: DocumentKey,
    ) -> Result<Option<(LineKey, Line)>, TrackerError> {
        let place = self.get(Table::LineOf, &line_of_key(file, key))?;
        let Some(place) = place.filter(|place| *place != MISSING) else { return Ok(None) };
        let place = read_place(&place)?;
        let Some(bytes) = self.get(Table::Lines, &line_key(file, place))? else { return Ok(None) };
        let line: Line = decode(&bytes, "a line")?;
        let is_its = line.record.as_ref().is_some_and(|record| record.key == key);
        Ok(is_its.then_some((place, line)))
    }

    /// Returns up to `limit` lines of a file from a place on.
    fn lines_from(
        &self,
        file: &str,
        place: LineKey,
        limit: usize,
    ) -> Result<Vec<(LineKey, Line)>, TrackerError> {
        let prefix = file_prefix(file);
        let mut lines = Vec::new();
        self.visit(Table::Lines, &line_key(file, place), &mut |key, value| {
            if lines.len() == limit || !key.starts_with(&prefix) {
                return Ok(ControlFlow::Break(()));
            }
            lines.push((read_place(&key[prefix.len()..])?, decode(value, "a line")?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(lines)
    }

    /// Returns the files that were imported or exported.
    fn files(&self) -> Result<Vec<String>, TrackerError> {
        let mut files = Vec::new();
        self.visit(Table::Files, &[], &mut |file, _| {
            files.push(String::from_utf8_lossy(file).into_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(files)
    }

    /// Returns the places of all lines of a file.
    fn line_places(&self, file: &str) -> Result<Vec<LineKey>, TrackerError> {
        let prefix = file_prefix(file);
        let mut places = Vec::new();
        self.visit_prefix(Table::Lines, &prefix, &mut |key, _| {
            places.push(read_place(&key[prefix.len()..])?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(places)
    }

    /// Visits the lines of a file in order.
    fn visit_lines(
        &self,
        file: &str,
        visit: &mut dyn FnMut(LineKey, Line) -> Result<ControlFlow<()>, TrackerError>,
    ) -> Result<(), TrackerError> {
        let prefix = file_prefix(file);
        self.visit_prefix(Table::Lines, &prefix, &mut |key, value| {
            visit(read_place(&key[prefix.len()..])?, decode(value, "a line")?)
        })
    }

    /// Returns the documents that had a line in the file when it was last seen or, with `missing`,
    /// whose line had disappeared by then.
    fn documents_in(&self, file: &str, missing: bool) -> Result<Vec<DocumentKey>, TrackerError> {
        let prefix = file_prefix(file);
        let mut keys = Vec::new();
        self.visit_prefix(Table::LineOf, &prefix, &mut |key, place| {
            if (place == MISSING) != missing {
                return Ok(ControlFlow::Continue(()));
            }
            let key = key[prefix.len()..].try_into().map_err(|_| damaged("a line's issue"))?;
            keys.push(DocumentKey(key));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }
}

impl<T: Tables + ?Sized> Lines for T {}

impl Writing {
    /// Forgets the lines of a file, to write them down anew.
    pub fn clear_lines(&self, file: &str) -> Result<(), TrackerError> {
        let prefix = file_prefix(file);
        self.remove_prefix(Table::Lines, &prefix)?;
        self.remove_prefix(Table::LineOf, &prefix)
    }

    /// Writes a line down.
    pub fn put_line(&self, file: &str, place: LineKey, line: &Line) -> Result<(), TrackerError> {
        self.put(Table::Lines, &line_key(file, place), &encode(line)?)?;
        if let Some(record) = &line.record {
            self.put(Table::LineOf, &line_of_key(file, record.key), &place.to_be_bytes())?;
        }
        Ok(())
    }

    /// Takes a line out that the file no longer has.
    pub fn remove_line(&self, file: &str, place: LineKey) -> Result<(), TrackerError> {
        self.remove(Table::Lines, &line_key(file, place))
    }

    /// Forgets that an issue has, or had, a line in the file.
    pub fn forget_line_of(&self, file: &str, key: DocumentKey) -> Result<(), TrackerError> {
        self.remove(Table::LineOf, &line_of_key(file, key))
    }

    /// Notes that the line of an issue disappeared from the file.
    pub fn put_missing(&self, file: &str, key: DocumentKey) -> Result<(), TrackerError> {
        self.put(Table::LineOf, &line_of_key(file, key), MISSING)
    }

    /// Writes down what the file is now.
    pub fn put_file_state(&self, file: &str, state: &FileState) -> Result<(), TrackerError> {
        self.put(Table::Files, file.as_bytes(), &encode(state)?)
    }
}

fn file_prefix(file: &str) -> Vec<u8> {
    let mut prefix = file.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

fn line_key(file: &str, place: LineKey) -> Vec<u8> {
    let mut key = file_prefix(file);
    key.extend_from_slice(&place.to_be_bytes());
    key
}

fn line_of_key(file: &str, key: DocumentKey) -> Vec<u8> {
    let mut bytes = file_prefix(file);
    bytes.extend_from_slice(&key.0);
    bytes
}

fn read_place(bytes: &[u8]) -> Result<LineKey, TrackerError> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged("a line's place"))?))
}
