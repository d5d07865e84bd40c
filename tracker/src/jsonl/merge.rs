//! Merging two versions of a file that come from a third, record by record and field by field, as
//! git asks a merge driver to. Knows no task list: the three texts are all there is.

pub(super) mod fields;
pub(super) mod lines;

use std::collections::BTreeMap;

use super::import::Fields;
use super::read::{Content, Lines, Problem, RawLine, parse_line};
use super::record::{self, Record, Seen};
use crate::id::DocumentKey;
use fields::{Merging, is_alike};
use lines::Out;

/// Which of the three texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What both come from.
    Base,
    /// The one that the merge is made into.
    Ours,
    /// The one that is merged in.
    Theirs,
}

/// A text cannot be merged: some of its lines are no records, or would be none. Nothing was merged.
#[derive(Debug, thiserror::Error)]
#[error("{} bad lines", problems.len())]
pub struct MergeError {
    /// In which text.
    pub side: Side,
    /// Each of them.
    pub problems: Vec<Problem>,
}

/// A merged file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Its bytes: ours, with what theirs changed.
    pub text: Vec<u8>,
    /// Fields that both sides changed, by the id of the issue; both values stand under `conflicts`.
    pub disputed: Vec<(String, Vec<String>)>,
}

/// Merges what `theirs` changed since `base` into `ours`.
///
/// A record that one side removed stays removed if the other left it as it was, and else stays.
pub fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merged, MergeError> {
    let base = Version::read(Side::Base, base)?;
    let ours = Version::read(Side::Ours, ours)?;
    let theirs = Version::read(Side::Theirs, theirs)?;
    let (mut merged, mut problems) = (Merged::default(), Vec::new());
    let mut kept: Vec<Out> = Vec::new();
    for entry in &ours.entries {
        let text = match &entry.record {
            None => Some(entry.raw.text.clone()),
            Some(record) => {
                let key = record.birth.key();
                merge_line(entry, record, base.fields(key), theirs.fields(key), &mut merged)
                    .unwrap_or_else(|found| {
                        problems.extend(found);
                        None
                    })
            }
        };
        let key = entry.record.as_ref().map(|record| record.birth.key());
        kept.extend(text.map(|text| Out { key, text, end: entry.raw.terminator }));
    }
    if !problems.is_empty() {
        return Err(MergeError { side: Side::Ours, problems });
    }
    let all = lines::weave(kept, new_lines(&base, &ours, &theirs));
    merged.text = lines::join(all, ours.entries.iter().map(|entry| entry.raw.terminator));
    Ok(merged)
}

struct Entry {
    raw: RawLine,
    record: Option<Record>,
}

struct Version {
    entries: Vec<Entry>,
    places: BTreeMap<DocumentKey, usize>,
}

impl Version {
    fn read(side: Side, text: &[u8]) -> Result<Self, MergeError> {
        let mut version = Self { entries: Vec::new(), places: BTreeMap::new() };
        let (mut problems, mut seen) = (Vec::new(), Seen::default());
        let mut lines = Lines::new(text);
        // Reading from memory does not fail.
        while let Ok(Some(raw)) = lines.next_line() {
            let record = match parse_line(&raw) {
                Ok(Content::Blank) => Ok(None),
                Ok(Content::Record(line)) => record::read(&line, raw.number).map(Some),
                Err(problem) => Err(vec![problem]),
            };
            match record {
                Ok(record) => {
                    if let Some(record) = &record {
                        problems.extend(seen.note(&record.birth, raw.number));
                        version.places.insert(record.birth.key(), version.entries.len());
                    }
                    version.entries.push(Entry { raw, record });
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(version) } else { Err(MergeError { side, problems }) }
    }

    fn fields(&self, key: DocumentKey) -> Option<&Fields> {
        let entry = &self.entries[*self.places.get(&key)?];
        entry.record.as_ref().map(|record| &record.fields)
    }
}

/// Returns our line with what theirs changed; `None` where they removed what we left alone.
///
/// # Errors
///
/// The merged record is larger than a record may be.
fn merge_line(
    entry: &Entry,
    ours: &Record,
    base: Option<&Fields>,
    theirs: Option<&Fields>,
    merged: &mut Merged,
) -> Result<Option<Vec<u8>>, Vec<Problem>> {
    let Some(theirs) = theirs else {
        let is_untouched = base.is_some_and(|base| is_alike(base, &ours.fields));
        return Ok((!is_untouched).then(|| entry.raw.text.clone()));
    };
    let empty = Fields::new();
    let mut merging = Merging::begin(&ours.fields);
    merging.take(base.unwrap_or(&empty), theirs);
    let text = lines::renewed(&entry.raw, merging.changes_to(&ours.fields))?;
    if !merging.disputed.is_empty() {
        merged.disputed.push((ours.birth.id.clone(), merging.disputed.into_iter().collect()));
    }
    Ok(Some(text))
}

/// Returns their records in order, with the line of each that only they have.
fn new_lines<'a>(
    base: &'a Version,
    ours: &'a Version,
    theirs: &'a Version,
) -> impl Iterator<Item = (DocumentKey, Option<Out>)> + 'a {
    theirs.entries.iter().filter_map(|entry| {
        let record = entry.record.as_ref()?;
        let key = record.birth.key();
        // What we removed stays removed, unless they changed it since.
        let is_removed = base.fields(key).is_some_and(|base| is_alike(base, &record.fields));
        let is_new = ours.fields(key).is_none() && !is_removed;
        let (text, end) = (&entry.raw.text, entry.raw.terminator);
        Some((key, is_new.then(|| Out { key: Some(key), text: text.clone(), end })))
    })
}
