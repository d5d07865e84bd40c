//! Resolving what a merge by lines left behind: conflict markers, and records that stand on several
//! lines. Goes by records and fields like [`merge`](super::merge); the file is all there is.

pub mod markers;

use std::collections::{BTreeMap, BTreeSet};

use super::import::Fields;
use super::merge::fields::{Merging, is_alike};
use super::merge::lines::{self, Out};
use super::read::{Content, Problem, Terminator, parse_line};
use super::record::{self, Record};
use crate::id::DocumentKey;
use markers::{Part, Sided};

/// A resolved file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Its bytes: lines outside markers stay, unless their record stands on other lines too.
    pub text: Vec<u8>,
    /// How many conflicts it had.
    pub conflicts: usize,
    /// How many lines outside markers repeated a record.
    pub repeated: usize,
    /// Ids of records of which there were several that differ.
    pub merged: Vec<String>,
    /// Fields with several values, by the id of the issue; all stand under `conflicts`.
    pub disputed: Vec<(String, Vec<String>)>,
    /// Ids of records that one side removed while the other left them as in the base.
    pub removed: Vec<String>,
    /// Ids that issues of different `created_at` share; each has a line of its own.
    pub collisions: Vec<String>,
}

impl Resolved {
    /// Tells whether there was nothing to resolve; the text is the file's then.
    pub fn is_nothing(&self) -> bool {
        self.conflicts == 0 && self.repeated == 0
    }
}

/// Makes one line of all the lines of each record, and takes the markers out.
///
/// With the base that the styles diff3 and zdiff3 give, what both sides changed since is merged.
/// Without one, lists are united and no field is lost; of different values of a field the one of
/// the later `updated_at` is kept, then the larger, and all are listed under `conflicts`.
///
/// # Errors
///
/// Every line that is no record, no blank and no marker in its place, and every record that would
/// be too large once merged.
pub fn resolve(text: &[u8]) -> Result<Resolved, Vec<Problem>> {
    let file = File::read(text)?;
    let mut resolved = Resolved { conflicts: file.conflicts, ..Resolved::default() };
    let mut homes: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut problems = Vec::new();
    for places in file.places_in_order() {
        match file.resolve_record(places, &mut resolved) {
            Ok(line) => homes.extend(line),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    resolved.collisions = file.collisions();
    resolved.text = if resolved.is_nothing() { text.to_vec() } else { file.put_together(homes) };
    Ok(resolved)
}

/// A line, and the record in it; a blank line has none.
struct Entry {
    line: Sided,
    record: Option<Record>,
}

impl Entry {
    fn key(&self) -> Option<DocumentKey> {
        self.record.as_ref().map(|record| record.birth.key())
    }
}

struct File {
    entries: Vec<Entry>,
    conflicts: usize,
    last: Option<Terminator>,
    /// Where each record stands outside of bases.
    places: BTreeMap<DocumentKey, Vec<usize>>,
    /// Where it stands in bases.
    bases: BTreeMap<DocumentKey, Vec<usize>>,
}

impl File {
    fn read(text: &[u8]) -> Result<Self, Vec<Problem>> {
        let parts = markers::split(text)?;
        let (conflicts, last) = (parts.conflicts, parts.last);
        let (places, bases) = (BTreeMap::new(), BTreeMap::new());
        let mut file = Self { entries: Vec::new(), conflicts, last, places, bases };
        let mut problems = Vec::new();
        for line in parts.lines {
            let record = match parse_line(&line.raw) {
                Ok(Content::Blank) => Ok(None),
                Ok(Content::Record(parsed)) => record::read(&parsed, line.raw.number).map(Some),
                Err(problem) => Err(vec![problem]),
            };
            match record {
                Ok(record) => file.add(Entry { line, record }),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(file) } else { Err(problems) }
    }

    fn add(&mut self, entry: Entry) {
        let at = self.entries.len();
        if let Some(key) = entry.key() {
            let is_base = entry.line.part == Part::Base;
            let places = if is_base { &mut self.bases } else { &mut self.places };
            places.entry(key).or_default().push(at);
        }
        self.entries.push(entry);
    }

    /// Returns where each record stands, by where it stands first.
    fn places_in_order(&self) -> Vec<&[usize]> {
        let mut all: Vec<&[usize]> = self.places.values().map(Vec::as_slice).collect();
        all.sort_by_key(|places| places.first());
        all
    }

    /// Returns the line that a record gets, and the place whose line it replaces; none where one
    /// side removed it.
    fn resolve_record(
        &self,
        places: &[usize],
        resolved: &mut Resolved,
    ) -> Result<Option<(usize, Vec<u8>)>, Vec<Problem>> {
        let is_common = |at: &usize| self.entries[*at].line.part == Part::Common;
        let home = places.iter().copied().find(|at| is_common(at)).or(places.first().copied());
        let Some((home, record)) = home.and_then(|at| Some((at, self.record(at)?))) else {
            return Ok(None);
        };
        let id = &record.birth.id;
        resolved.repeated += places.iter().filter(|at| is_common(at)).count().saturating_sub(1);
        let base = self.base_of(record.birth.key());
        if base.is_some_and(|base| self.is_removed(places, base)) {
            resolved.removed.push(id.clone());
            return Ok(None);
        }
        let (empty, mut merging) = (Fields::new(), Merging::begin(&record.fields));
        let mut differs = false;
        for other in places.iter().filter(|at| **at != home).filter_map(|at| self.record(*at)) {
            differs |= !is_alike(&record.fields, &other.fields);
            merging.take(base.unwrap_or(&empty), &other.fields);
        }
        let raw = &self.entries[home].line.raw;
        let text = lines::renewed(raw, merging.changes_to(&record.fields))?;
        if differs {
            resolved.merged.push(id.clone());
        }
        if !merging.disputed.is_empty() {
            resolved.disputed.push((id.clone(), merging.disputed.into_iter().collect()));
        }
        Ok(Some((home, text)))
    }

    fn record(&self, at: usize) -> Option<&Record> {
        self.entries[at].record.as_ref()
    }

    /// Returns what both sides come from; none where bases say different things.
    fn base_of(&self, key: DocumentKey) -> Option<&Fields> {
        let all = self.bases.get(&key)?.iter().filter_map(|at| self.record(*at));
        let mut all = all.map(|record| &record.fields);
        let first = all.next()?;
        all.all(|other| is_alike(first, other)).then_some(first)
    }

    /// Tells whether one side removed a record that the other left as it was.
    fn is_removed(&self, places: &[usize], base: &Fields) -> bool {
        let sides = [Part::Ours, Part::Theirs];
        let [ours, theirs] =
            sides.map(|part| places.iter().any(|at| self.entries[*at].line.part == part));
        let is_common = places.iter().any(|at| self.entries[*at].line.part == Part::Common);
        let is_untouched =
            |at: &usize| self.record(*at).is_some_and(|record| is_alike(base, &record.fields));
        !is_common && ours != theirs && places.iter().all(is_untouched)
    }

    /// Returns the ids that stand for several issues.
    fn collisions(&self) -> Vec<String> {
        let (mut seen, mut shared) = (BTreeMap::new(), BTreeSet::new());
        for at in self.places.values().filter_map(|places| places.first()) {
            let Some(record) = self.record(*at) else { continue };
            let key = record.birth.key();
            if *seen.entry(record.birth.id.as_str()).or_insert(key) != key {
                shared.insert(record.birth.id.clone());
            }
        }
        shared.into_iter().collect()
    }

    /// Returns the bytes of the file with the line of each record at its home.
    fn put_together(&self, mut homes: BTreeMap<usize, Vec<u8>>) -> Vec<u8> {
        let mut all: Vec<Out> = Vec::new();
        let mut at = 0;
        while at < self.entries.len() {
            let Sided { part, conflict, .. } = self.entries[at].line;
            if part == Part::Common {
                all.extend(self.out(at, &mut homes));
                at += 1;
                continue;
            }
            let is_same = |e: &Entry| e.line.conflict == conflict && e.line.part != Part::Common;
            let count = self.entries[at..].iter().take_while(|entry| is_same(entry)).count();
            all.extend(self.conflict(at..at + count, &mut homes));
            at += count;
        }
        let ends = self.entries.iter().map(|entry| entry.line.raw.terminator);
        lines::join(all, ends.chain(self.last))
    }

    /// Returns the lines of one conflict: ours, with what only theirs has behind what it follows.
    fn conflict(
        &self,
        range: std::ops::Range<usize>,
        homes: &mut BTreeMap<usize, Vec<u8>>,
    ) -> Vec<Out> {
        let of = |part: Part| {
            range.clone().filter(move |at| self.entries[*at].line.part == part).collect::<Vec<_>>()
        };
        let ours = of(Part::Ours).into_iter().filter_map(|at| self.out(at, homes)).collect();
        let theirs: Vec<(DocumentKey, Option<Out>)> = of(Part::Theirs)
            .into_iter()
            .filter_map(|at| Some((self.entries[at].key()?, self.out(at, homes))))
            .collect();
        lines::weave(ours, theirs.into_iter())
    }

    /// Returns what becomes of a line: itself if it is blank, the record if it is at home there.
    fn out(&self, at: usize, homes: &mut BTreeMap<usize, Vec<u8>>) -> Option<Out> {
        let entry = &self.entries[at];
        let (key, raw) = (entry.key(), &entry.line.raw);
        let text = if key.is_none() { Some(raw.text.clone()) } else { homes.remove(&at) };
        text.map(|text| Out { key, text, end: raw.terminator })
    }
}

#[cfg(test)]
mod tests;
