//! Merging two versions of a file that come from a third, record by record and field by field, as
//! git asks a merge driver to. Knows no task list: the three texts are all there is.

use std::collections::{BTreeMap, BTreeSet};

use super::import::Fields;
use super::layout::{self, Change};
use super::read::{Content, Line, Lines, Problem, RawLine, Terminator, parse_line};
use super::record::{self, Record, Seen};
use super::text;
use crate::document::edit;
use crate::document::elements;
use crate::document::scalar::quote;
use crate::document::schema::{self, Place};
use crate::id::DocumentKey;
use crate::issue::{as_text, elements_of, list_of};
use crate::timestamp;

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

/// A text cannot be merged: some of its lines are no records. Nothing was merged.
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
    let mut merged = Merged::default();
    let mut lines: Vec<Out> = Vec::new();
    for entry in &ours.entries {
        let text = match &entry.record {
            None => Some(entry.raw.text.clone()),
            Some(record) => {
                let key = record.birth.key();
                merge_line(entry, record, base.fields(key), theirs.fields(key), &mut merged)
            }
        };
        let key = entry.record.as_ref().map(|record| record.birth.key());
        lines.extend(text.map(|text| Out { key, text, end: entry.raw.terminator }));
    }
    add_new(&mut lines, &base, &ours, &theirs);
    merged.text = ours.join(lines);
    Ok(merged)
}

/// A line of the merged file.
struct Out {
    key: Option<DocumentKey>,
    text: Vec<u8>,
    end: Terminator,
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

    /// Returns the bytes of lines, each with an end as this version has them.
    fn join(&self, lines: Vec<Out>) -> Vec<u8> {
        let usual = self.entries.iter().map(|entry| entry.raw.terminator);
        let usual =
            usual.into_iter().find(|end| *end != Terminator::None).unwrap_or(Terminator::Lf);
        let is_closed = self.entries.last().is_none_or(|e| e.raw.terminator != Terminator::None);
        let mut text = Vec::new();
        let count = lines.len();
        for (at, line) in lines.into_iter().enumerate() {
            text.extend_from_slice(&line.text);
            let end = match line.end {
                Terminator::None => usual,
                end => end,
            };
            if at + 1 < count || is_closed {
                text.extend_from_slice(end.bytes());
            }
        }
        text
    }
}

/// Returns our line with what theirs changed; `None` where they removed what we left alone.
fn merge_line(
    entry: &Entry,
    ours: &Record,
    base: Option<&Fields>,
    theirs: Option<&Fields>,
    merged: &mut Merged,
) -> Option<Vec<u8>> {
    let kept = || Some(entry.raw.text.clone());
    let Some(theirs) = theirs else {
        let is_untouched = base.is_some_and(|base| is_alike(base, &ours.fields));
        return if is_untouched { None } else { kept() };
    };
    let empty = Fields::new();
    let mut merge = Merge::of(base.unwrap_or(&empty), &ours.fields, theirs);
    merge.run();
    if !merge.disputed.is_empty() {
        merged.disputed.push((ours.birth.id.clone(), merge.disputed.clone()));
    }
    if merge.changes.is_empty() {
        return kept();
    }
    let Ok(Content::Record(line)) = parse_line(&entry.raw) else { return kept() };
    Some(renewed(&line, merge.changes).into_bytes())
}

fn renewed(line: &Line<'_>, changes: BTreeMap<String, Option<String>>) -> String {
    let changes: Vec<(String, Change)> = changes
        .into_iter()
        .map(|(name, json)| (name, json.map_or(Change::Remove, Change::Set)))
        .collect();
    let changes: Vec<(&str, Change)> =
        changes.iter().map(|(name, change)| (name.as_str(), change.clone())).collect();
    layout::patch(line, &changes, &schema::canonical_order(), &text::Style::COMPACT)
}

/// Adds the records that only theirs has, each behind the one that it follows there.
fn add_new(lines: &mut Vec<Out>, base: &Version, ours: &Version, theirs: &Version) {
    let mut before: Option<DocumentKey> = None;
    for entry in &theirs.entries {
        let Some(record) = &entry.record else { continue };
        let key = record.birth.key();
        // What we removed stays removed, unless they changed it since.
        let is_removed = base.fields(key).is_some_and(|base| is_alike(base, &record.fields));
        if ours.fields(key).is_none() && !is_removed {
            let after =
                before.and_then(|before| lines.iter().position(|out| out.key == Some(before)));
            let at = after.map_or(0, |at| at + 1);
            let out =
                Out { key: Some(key), text: entry.raw.text.clone(), end: entry.raw.terminator };
            lines.insert(at, out);
        }
        if lines.iter().any(|out| out.key == Some(key)) {
            before = Some(key);
        }
    }
}

/// Tells whether two records say the same.
fn is_alike(a: &Fields, b: &Fields) -> bool {
    a.len() == b.len() && a.keys().all(|name| same(a.get(name), b.get(name)))
}

fn same(a: Option<&String>, b: Option<&String>) -> bool {
    edit::same(a.map(String::as_str), b.map(String::as_str))
}

/// The merge of one record.
struct Merge<'a> {
    base: &'a Fields,
    ours: &'a Fields,
    theirs: &'a Fields,
    /// What has to change in ours.
    changes: BTreeMap<String, Option<String>>,
    /// Fields that both sides changed.
    disputed: Vec<String>,
    /// Field -> values, as `conflicts` will have them.
    conflicts: BTreeMap<String, Vec<String>>,
}

impl<'a> Merge<'a> {
    fn of(base: &'a Fields, ours: &'a Fields, theirs: &'a Fields) -> Self {
        let (changes, disputed) = (BTreeMap::new(), Vec::new());
        Self { base, ours, theirs, changes, disputed, conflicts: settled(base, ours, theirs) }
    }

    fn run(&mut self) {
        let names: BTreeSet<&String> = self.ours.keys().chain(self.theirs.keys()).collect();
        for name in names.into_iter().filter(|name| name.as_str() != "conflicts") {
            self.field(name);
        }
        let listed = self.ours.get("conflicts");
        let wanted = (!self.conflicts.is_empty()).then(|| conflicts_json(&self.conflicts));
        if !same(listed, wanted.as_ref()) && (listed.is_none_or(|json| json.starts_with('{'))) {
            self.changes.insert("conflicts".to_owned(), wanted);
        }
    }

    fn field(&mut self, name: &str) {
        let (base, ours, theirs) =
            (self.base.get(name), self.ours.get(name), self.theirs.get(name));
        if same(ours, theirs) || same(base, theirs) {
            return;
        }
        if same(base, ours) {
            self.changes.insert(name.to_owned(), theirs.cloned());
            return;
        }
        let is_list = |json: Option<&String>| json.is_none_or(|json| json.starts_with('['));
        if schema::place_of(name) == Place::Elements
            && [base, ours, theirs].into_iter().all(is_list)
        {
            self.list(name);
        } else if name == "updated_at" {
            let date =
                |json: Option<&String>| json.and_then(|json| as_text(json)).unwrap_or_default();
            if timestamp::compare(&date(theirs), &date(ours)).is_gt() {
                self.changes.insert(name.to_owned(), theirs.cloned());
            }
        } else {
            self.dispute(name);
        }
    }

    /// Makes what theirs did to a list happen to ours, element by element.
    fn list(&mut self, name: &str) {
        let list = |fields: &Fields| elements_of(fields.get(name).map_or("null", String::as_str));
        let current = elements::fresh(&list(self.ours));
        let ops = elements::plan(&list(self.base), &list(self.theirs), &current);
        let merged: Vec<String> =
            elements::apply(current, ops).into_iter().map(|element| element.json).collect();
        if merged != list(self.ours) {
            self.changes.insert(name.to_owned(), Some(list_of(&merged)));
        }
    }

    /// Keeps the value of the later record, then the larger one, and lists both.
    fn dispute(&mut self, name: &str) {
        let (ours, theirs) = (self.ours.get(name), self.theirs.get(name));
        let date = |fields: &Fields| fields.get("updated_at").and_then(|json| as_text(json));
        let dates = (date(self.ours).unwrap_or_default(), date(self.theirs).unwrap_or_default());
        let is_theirs =
            timestamp::compare(&dates.1, &dates.0).then_with(|| theirs.cmp(&ours)).is_gt();
        if is_theirs {
            self.changes.insert(name.to_owned(), theirs.cloned());
        }
        let values = self.conflicts.entry(name.to_owned()).or_default();
        for json in [ours, theirs].into_iter().flatten() {
            if !values.iter().any(|other| text::equal(other, json)) {
                values.push(json.clone());
            }
        }
        values.sort();
        self.disputed.push(name.to_owned());
    }
}

/// Returns the conflicts that both sides still have, or that one side found since.
fn settled(base: &Fields, ours: &Fields, theirs: &Fields) -> BTreeMap<String, Vec<String>> {
    let [base, ours, theirs] = [base, ours, theirs].map(conflicts_of);
    let mut all = BTreeMap::new();
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let is_settled =
            base.contains_key(name) && !(ours.contains_key(name) && theirs.contains_key(name));
        if is_settled {
            continue;
        }
        let mut values: Vec<String> = Vec::new();
        for json in [&ours, &theirs].into_iter().filter_map(|side| side.get(name)).flatten() {
            if !values.iter().any(|other| text::equal(other, json)) {
                values.push(json.clone());
            }
        }
        all.insert(name.clone(), values);
    }
    all
}

fn conflicts_of(fields: &Fields) -> BTreeMap<String, Vec<String>> {
    let Some(json) = fields.get("conflicts") else { return BTreeMap::new() };
    serde_json::from_str::<BTreeMap<String, Vec<&serde_json::value::RawValue>>>(json)
        .map(|fields| {
            let texts = |values: Vec<&serde_json::value::RawValue>| {
                values.into_iter().map(|value| text::compact(value.get())).collect()
            };
            fields.into_iter().map(|(name, values)| (name, texts(values))).collect()
        })
        .unwrap_or_default()
}

fn conflicts_json(conflicts: &BTreeMap<String, Vec<String>>) -> String {
    let fields: Vec<String> = conflicts
        .iter()
        .map(|(name, values)| format!("{}:{}", quote(name), list_of(values)))
        .collect();
    format!("{{{}}}", fields.join(","))
}
