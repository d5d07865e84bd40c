//! Putting the lines of a merged file together: where new ones stand, how changed ones are spelled.
//! Not: what they say.

use std::collections::BTreeMap;

use crate::document::schema;
use crate::id::DocumentKey;
use crate::jsonl::layout::{self, Change};
use crate::jsonl::read::{Content, Problem, RawLine, Terminator, parse_line};
use crate::jsonl::{record, text};

/// A line of a merged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// Whose line it is; none of a blank one.
    pub key: Option<DocumentKey>,
    /// What stands in it.
    pub text: Vec<u8>,
    /// What ended it where it comes from.
    pub end: Terminator,
}

/// Adds new lines to lines that are there, each behind the one that it follows on its own side.
///
/// `theirs` are the records of that side in order, with the line of each that is new.
pub fn weave(
    lines: Vec<Out>,
    theirs: impl Iterator<Item = (DocumentKey, Option<Out>)>,
) -> Vec<Out> {
    let mut behind: BTreeMap<DocumentKey, Vec<Out>> =
        lines.iter().filter_map(|out| Some((out.key?, Vec::new()))).collect();
    let (mut woven, mut before) = (Vec::with_capacity(lines.len()), None);
    for (key, new) in theirs {
        if behind.contains_key(&key) {
            before = Some(key);
        }
        let place = before.and_then(|before| behind.get_mut(&before)).unwrap_or(&mut woven);
        place.extend(new);
    }
    for line in lines {
        let followers = line.key.and_then(|key| behind.remove(&key));
        woven.push(line);
        woven.extend(followers.into_iter().flatten());
    }
    woven
}

/// Returns the bytes of lines, each ended as usual in the file that they are merged into, whose
/// lines ended so; the last one as the last was there.
pub fn join(lines: Vec<Out>, ends: impl Iterator<Item = Terminator> + Clone) -> Vec<u8> {
    let usual = ends.clone().find(|end| *end != Terminator::None).unwrap_or(Terminator::Lf);
    let is_closed = ends.last().is_none_or(|end| end != Terminator::None);
    let mut text = Vec::new();
    let count = lines.len();
    for (at, line) in lines.into_iter().enumerate() {
        text.extend_from_slice(&line.text);
        let end = if line.end == Terminator::None { usual } else { line.end };
        if at + 1 < count || is_closed {
            text.extend_from_slice(end.bytes());
        }
    }
    text
}

/// Returns a line after changes to its fields, in its own style; `None` removes a field.
///
/// # Errors
///
/// The line would be no record: merged, it is larger than one may be.
pub fn renewed(
    raw: &RawLine,
    changes: BTreeMap<String, Option<String>>,
) -> Result<Vec<u8>, Vec<Problem>> {
    let Content::Record(line) = parse_line(raw).map_err(|problem| vec![problem])? else {
        return Ok(raw.text.clone());
    };
    if changes.is_empty() {
        return Ok(raw.text.clone());
    }
    let changes: Vec<(String, Change)> = changes
        .into_iter()
        .map(|(name, json)| (name, json.map_or(Change::Remove, Change::Set)))
        .collect();
    let changes: Vec<(&str, Change)> =
        changes.iter().map(|(name, change)| (name.as_str(), change.clone())).collect();
    let order = schema::canonical_order();
    let text = layout::patch(&line, &changes, &order, &text::Style::COMPACT).into_bytes();
    let renewed = RawLine { text, ..raw.clone() };
    judge(&renewed)?;
    Ok(renewed.text)
}

/// Refuses a merged line that could not be read again.
fn judge(merged: &RawLine) -> Result<(), Vec<Problem>> {
    let problems = match parse_line(merged) {
        Ok(Content::Record(line)) => record::check(&line, merged.number),
        Ok(Content::Blank) => Vec::new(),
        Err(problem) => vec![problem],
    };
    if problems.is_empty() {
        return Ok(());
    }
    let explained = |problem: Problem| Problem {
        reason: format!("merged, this line would be no record: {}", problem.reason),
        ..problem
    };
    Err(problems.into_iter().map(explained).collect())
}
