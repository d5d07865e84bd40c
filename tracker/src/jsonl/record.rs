//! What makes a line a record: an id, a title, and fields that can be stored.
//!
//! Lenient by design: other programs' databases differ, and what x0x does not know it keeps.

use std::collections::BTreeMap;

use super::read::{Field, Line, Problem};
use super::text;
use crate::document::Birth;
use crate::document::genesis::CREATED_AT_BYTES_MAX;
use crate::document::schema::{self, Place};
use crate::id::DocumentKey;
use crate::issue::{TITLE_BYTES_MAX, as_text, elements_of};
use crate::name::{NAME_BYTES_MAX, is_name};

/// The largest record, in bytes of canonical JSON: escaped to ASCII, its line still can be read.
pub const RECORD_BYTES_MAX: usize = super::read::LINE_BYTES_MAX / 6;

/// The largest value of one field, in bytes of compact JSON: it must fit into one commit.
pub const FIELD_BYTES_MAX: usize = 512 << 10;

/// The most elements of a list field.
pub const ELEMENTS_MAX: usize = 4_096;

/// A field that answers have and records have not: the version of the issue.
pub const VERSION_FIELD: &str = "_version";

/// How often an issue was claimed, in answers only.
pub const ATTEMPTS_FIELD: &str = "_attempts";

/// Until when an issue is left alone, in answers only.
pub const REST_FIELD: &str = "_rest";

/// What became of each claim on an issue, in answers only.
pub const CLAIMS_FIELD: &str = "_claims";

/// Tells whether a field is added to answers and no field of an issue.
pub fn is_of_answers(name: &str) -> bool {
    matches!(name, VERSION_FIELD | ATTEMPTS_FIELD | REST_FIELD | CLAIMS_FIELD)
}

/// A record as a file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What names its document.
    pub birth: Birth,
    /// Every field: name -> compact JSON text.
    pub fields: BTreeMap<String, String>,
}

/// Returns everything that keeps a line from being a record; `number` is the line's.
pub fn check(line: &Line<'_>, number: usize) -> Vec<Problem> {
    let problem = |at: usize, reason: String| Problem {
        line: number,
        column: column_of(line.text, at),
        reason,
        is_resolvable: false,
    };
    let mut problems = Vec::new();
    if let Err((at, reason)) = required_text(line, "id", NAME_BYTES_MAX) {
        problems.push(problem(at, reason));
    }
    if let Err((at, reason)) = required_text(line, "title", TITLE_BYTES_MAX) {
        problems.push(problem(at, reason));
    }
    if let Some(field) =
        line.get("created_at").filter(|field| field.raw.len() > CREATED_AT_BYTES_MAX)
    {
        let reason = format!("created_at has more than the {CREATED_AT_BYTES_MAX} bytes allowed");
        problems.push(problem(field.value_at.start, reason));
    }
    for field in line.fields() {
        if let Some(reason) = oversize(field) {
            problems.push(problem(field.value_at.start, reason));
        }
    }
    if line.text.len() > RECORD_BYTES_MAX {
        let bytes: usize = line.fields().iter().map(|field| text::compact(field.raw).len()).sum();
        if bytes > RECORD_BYTES_MAX {
            let reason =
                format!("the record has {bytes} bytes, more than the {RECORD_BYTES_MAX} allowed");
            problems.push(problem(0, reason));
        }
    }
    problems.sort_by_key(|problem| problem.column);
    problems
}

/// Reads a line as a record.
pub fn read(line: &Line<'_>, number: usize) -> Result<Record, Vec<Problem>> {
    let problems = check(line, number);
    if !problems.is_empty() {
        return Err(problems);
    }
    let fields: BTreeMap<String, String> = line
        .fields()
        .iter()
        .filter(|field| !is_of_answers(&field.name))
        .map(|field| (field.name.clone().into_owned(), text::compact(field.raw)))
        .collect();
    let birth = Birth {
        id: fields.get("id").and_then(|json| as_text(json)).unwrap_or_default(),
        created_at: fields.get("created_at").cloned(),
    };
    Ok(Record { birth, fields })
}

/// Which records a file has had so far, to find one that stands on several lines.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<DocumentKey, usize>);

impl Seen {
    /// Notes a record of a line, and returns what is wrong where it stood on an earlier one.
    pub fn note(&mut self, birth: &Birth, number: usize) -> Option<Problem> {
        let first = self.note_key(birth.key(), number)?;
        let id = &birth.id;
        let reason = format!(
            "issue {id} stands on line {first} already; `x0x issues merge --resolve FILE` makes \
             the lines one"
        );
        Some(Problem { line: number, column: 1, reason, is_resolvable: true })
    }

    /// Notes a record by its key, and returns the earlier line that it stood on.
    pub fn note_key(&mut self, key: DocumentKey, number: usize) -> Option<usize> {
        match self.0.entry(key) {
            std::collections::btree_map::Entry::Occupied(first) => Some(*first.get()),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(number);
                None
            }
        }
    }

    /// Tells whether the file has had this record.
    pub fn contains(&self, key: DocumentKey) -> bool {
        self.0.contains_key(&key)
    }
}

fn required_text(line: &Line<'_>, name: &str, bytes_max: usize) -> Result<(), (usize, String)> {
    let Some(field) = line.get(name) else {
        return Err((0, format!("the record has no {name}")));
    };
    let at = field.value_at.start;
    let Some(text) = as_text(field.raw) else {
        return Err((at, format!("{name} must be a string")));
    };
    if text.trim().is_empty() {
        return Err((at, format!("{name} must not be empty")));
    }
    if text.len() > bytes_max {
        let bytes = text.len();
        return Err((at, format!("{name} has {bytes} bytes, more than the {bytes_max} allowed")));
    }
    if name == "id" && !is_name(&text) {
        return Err((at, "id must not hold control characters".to_owned()));
    }
    Ok(())
}

fn oversize(field: &Field<'_>) -> Option<String> {
    if field.name.len() > NAME_BYTES_MAX {
        return Some(format!("a field's name has more than the {NAME_BYTES_MAX} bytes allowed"));
    }
    if field.raw.len() <= FIELD_BYTES_MAX && field.raw.len() / 2 <= ELEMENTS_MAX {
        return None;
    }
    let json = text::compact(field.raw);
    too_large(&field.name, &json).map(|reason| format!("{} {reason}", field.name))
}

/// Returns why a value is too large to be stored; each element of a list is bounded by itself.
pub fn too_large(name: &str, json: &str) -> Option<String> {
    let elements = match schema::place_of(name) {
        Place::Elements if json.starts_with('[') => elements_of(json),
        _ => vec![json.to_owned()],
    };
    let bytes = elements.iter().map(String::len).max().unwrap_or(0);
    if bytes > FIELD_BYTES_MAX {
        return Some(format!("has {bytes} bytes, more than the {FIELD_BYTES_MAX} allowed"));
    }
    (elements.len() > ELEMENTS_MAX)
        .then(|| format!("has {} elements, more than the {ELEMENTS_MAX} allowed", elements.len()))
}

fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.trim_start_matches('\u{feff}').chars().count() + 1
}
