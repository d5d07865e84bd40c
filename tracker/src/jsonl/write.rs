//! Lines of the file as export writes them: old ones renewed, new ones in the file's style.

use super::layout::{self, Change};
use super::read::{Content, Line, RawLine, Terminator, parse_line};
use super::record::is_of_answers;
use super::text::{self, Style};
use crate::document::schema;

/// Fields of a record in canonical order: name and compact JSON text.
pub type Ordered = Vec<(String, String)>;

/// Returns the fields of a record in canonical JSON.
pub fn fields_of(json: &str) -> Ordered {
    let raw = RawLine {
        number: 1,
        text: json.as_bytes().to_vec(),
        terminator: Terminator::None,
        oversize: false,
    };
    match parse_line(&raw) {
        Ok(Content::Record(line)) => line
            .fields()
            .iter()
            .map(|field| (field.name.to_string(), field.raw.to_owned()))
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns a line that says what `wanted` says, with every other byte as it was.
///
/// Fields that are `pending` keep what the line says.
pub fn renewed(line: &Line<'_>, wanted: &Ordered, pending: &[String], fallback: &Style) -> String {
    let mut changes: Vec<(&str, Change)> = Vec::new();
    for (name, json) in wanted {
        let is_same = line.get(name).is_some_and(|field| text::equal(field.raw, json));
        if !is_same && !pending.contains(name) {
            changes.push((name, Change::Set(json.clone())));
        }
    }
    for field in line.fields() {
        let is_ours = !is_of_answers(&field.name) && !is_empty_conflicts(&field.name, field.raw);
        let is_gone = is_ours && !wanted.iter().any(|(name, _)| *name == field.name);
        if is_gone && !pending.iter().any(|name| *name == field.name) {
            changes.push((&field.name, Change::Remove));
        }
    }
    layout::patch(line, &changes, &schema::canonical_order(), fallback)
}

/// Tells whether a field says that there are no conflicts, which is as good as not being there.
fn is_empty_conflicts(name: &str, raw: &str) -> bool {
    name == "conflicts" && text::compact(raw) == "{}"
}

/// Returns the line of an issue that the file does not have yet.
pub fn new_line(fields: &Ordered, style: &Style) -> String {
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
    layout::render(&fields, style)
}
