//! Issues as people read them: the row of a table, and the page of one. Not: which issues.

use std::io::{self, Write};

use x0x_tracker::document::schema;
use x0x_tracker::interface::{Named, Shown};
use x0x_tracker::issue::{as_text, elements_of};
use x0x_tracker::jsonl::record::is_of_answers;
use x0x_tracker::state::State;
use x0x_tracker::timestamp::Timestamp;

use super::claim;
use super::plain::{one_line, paragraph};
use super::record::Record;
use super::table::{Cell, Colour, Column, Look, painted};

/// The column that says who holds an issue; left out where nobody holds any.
pub const HELD_BY: Column<'static> = Column::firm("HELD BY").optional();

/// The column that says how claims stand; left out where nobody ever claimed.
pub const CLAIM: Column<'static> = Column::firm("CLAIM").optional();

/// The columns of a list of issues.
pub const COLUMNS: [Column<'static>; 8] = [
    Column::firm("NAME"),
    Column::firm("STATE"),
    Column::firm("P"),
    Column::soft("TITLE"),
    Column::soft("LABELS").optional(),
    CLAIM,
    HELD_BY,
    Column::firm("AGE").optional(),
];

/// Fields that the top of a page or a part of its own shows.
const PLACED: [&str; 14] = [
    "id",
    "identifier",
    "title",
    "state",
    "priority",
    "blocked_by",
    "description",
    "acceptance",
    "validation",
    "links",
    "handoff",
    "comments",
    "conflicts",
    "shard",
];

/// Returns the row of one issue; `now_ms` is what its age is counted from.
pub fn row(shown: &Shown, now_ms: i64) -> Vec<Cell> {
    let row = &shown.row;
    let priority = row.priority.map_or_else(String::new, |priority| priority.to_string());
    let state = if row.deleted { Some("removed") } else { row.state.as_deref() };
    vec![
        Cell::new(&shown.name).painted(Some(Colour::Bold)),
        Cell::new(state.unwrap_or("-")).painted(state_colour(state)),
        Cell::new(&priority),
        Cell::new(&row.title),
        Cell::new(&row.labels.join(", ")).painted(Some(Colour::Blue)),
        claim::standing_cell(shown),
        claim::cell(shown),
        Cell::new(&age(row.updated_at.as_deref(), now_ms)).painted(Some(Colour::Faint)),
    ]
}

/// Returns one line on an issue that was just written.
pub fn line(shown: &Shown) -> String {
    format!("{}  {}", one_line(&shown.name), one_line(&shown.row.title))
}

/// Writes everything about one issue; `blockers` say how those it waits for stand.
pub fn page(
    output: &mut dyn Write,
    shown: &Shown,
    blockers: &[Named],
    look: Look,
) -> io::Result<()> {
    let json = shown.answer_json().unwrap_or_else(|| shown.brief_json());
    let record = Record::of(&json);
    let row = &shown.row;
    let name = painted(&one_line(&shown.name), Some(Colour::Bold), look);
    writeln!(output, "{name}  {}", one_line(&row.title))?;
    let mut facts = vec![("id", row.id.clone())];
    let state = row.state.as_deref().unwrap_or("none: it is never dispatched");
    facts.push(("state", state.to_owned()));
    let priority = record.get("priority").map_or_else(|| "none".to_owned(), value_text);
    facts.push(("priority", if priority == "null" { "none".to_owned() } else { priority }));
    // A claim that came with a file and that no record made is a field like any other.
    let is_placed = |name| PLACED.contains(&name) || (name == "claim" && row.held.is_some());
    for rule in schema::rules().filter(|rule| !is_placed(rule.name)) {
        if let Some(json) = record.get(rule.name).filter(|json| !matches!(*json, "null" | "[]")) {
            facts.push((rule.name, value_text(json)));
        }
    }
    facts.push(("version", row.version.to_string()));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &facts {
        let label = painted(&format!("{name:width$}"), Some(Colour::Faint), look);
        writeln!(output, "{label}  {}", one_line(value))?;
    }
    claim::part(output, shown, record.get("shard"), look)?;
    parts(output, &record, blockers, look)
}

fn parts(
    output: &mut dyn Write,
    record: &Record<'_>,
    blockers: &[Named],
    look: Look,
) -> io::Result<()> {
    if !blockers.is_empty() {
        heading(output, "blocked_by", look)?;
        for blocker in blockers {
            let state = match (&blocker.state, blocker.known) {
                (_, false) => "not in this list",
                (None, true) => "no state",
                (Some(state), true) => state,
            };
            let colour = state_colour(Some(state));
            let state = painted(&one_line(state), colour, look);
            writeln!(output, "  {}  {state}", one_line(&blocker.name))?;
        }
    }
    if let Some(text) = record.get("description").and_then(as_text).filter(|t| !t.is_empty()) {
        heading(output, "description", look)?;
        indented(output, &text, "  ")?;
    }
    for name in ["acceptance", "validation"] {
        let elements = record.get(name).map(elements_of).unwrap_or_default();
        if !elements.is_empty() {
            heading(output, name, look)?;
            for element in elements {
                indented(output, &value_text(&element), "  - ")?;
            }
        }
    }
    links(output, record, look)?;
    if let Some(json) = record.get("handoff").filter(|json| *json != "null") {
        heading(output, "handoff", look)?;
        members(output, json, "  ")?;
    }
    comments(output, record, look)?;
    conflicts(output, record, look)?;
    let unknown = |name: &str| schema::rule_of(name).is_none() && !is_of_answers(name);
    let others: Vec<(&str, &str)> = record.fields().filter(|(name, _)| unknown(name)).collect();
    if !others.is_empty() {
        heading(output, "other fields", look)?;
        for (name, json) in others {
            writeln!(output, "  {}: {}", one_line(name), one_line(json))?;
        }
    }
    Ok(())
}

fn links(output: &mut dyn Write, record: &Record<'_>, look: Look) -> io::Result<()> {
    let links = record.get("links").map(elements_of).unwrap_or_default();
    if !links.is_empty() {
        heading(output, "links", look)?;
    }
    for json in &links {
        let link = Record::of(json);
        let text = |name: &str| link.get(name).map(value_text);
        match (text("kind"), text("url"), text("note")) {
            (Some(kind), Some(url), None) => indented(output, &format!("{kind}: {url}"), "  - ")?,
            (Some(kind), Some(url), Some(note)) => {
                indented(output, &format!("{kind}: {url}\n{note}"), "  - ")?;
            }
            _ => indented(output, json, "  - ")?,
        }
    }
    Ok(())
}

/// Writes the members of an object, lists one element a line; what is no object is written as it is.
fn members(output: &mut dyn Write, json: &str, indent: &str) -> io::Result<()> {
    let object = Record::of(json);
    if object.fields().next().is_none() {
        return indented(output, &value_text(json), indent);
    }
    for (name, json) in object.fields() {
        let name = one_line(name);
        if json.starts_with('[') {
            writeln!(output, "{indent}{name}:{}", if json == "[]" { " none" } else { "" })?;
            for element in elements_of(json) {
                let text = summary_of(&element);
                indented(output, &text, &format!("{indent}  - "))?;
            }
        } else {
            indented(output, &format!("{name}: {}", value_text(json)), indent)?;
        }
    }
    Ok(())
}

/// Returns an element of a list for people: of an object, its members on one line.
fn summary_of(json: &str) -> String {
    let object = Record::of(json);
    let members: Vec<String> =
        object.fields().map(|(name, json)| format!("{name}: {}", value_text(json))).collect();
    if members.is_empty() { value_text(json) } else { members.join("; ") }
}

fn comments(output: &mut dyn Write, record: &Record<'_>, look: Look) -> io::Result<()> {
    let comments = record.get("comments").map(elements_of).unwrap_or_default();
    if comments.is_empty() {
        return Ok(());
    }
    heading(output, &format!("comments ({})", comments.len()), look)?;
    for json in &comments {
        let comment = Record::of(json);
        let text = |name: &str| comment.get(name).and_then(as_text);
        let Some(body) = text("body") else {
            writeln!(output, "  {}", one_line(json))?;
            continue;
        };
        let (author, at) = (text("author").unwrap_or_default(), text("at").unwrap_or_default());
        let by = format!("{}  {}", one_line(&author), one_line(&at));
        writeln!(output, "  {}", painted(&by, Some(Colour::Faint), look))?;
        indented(output, &body, "    ")?;
    }
    Ok(())
}

fn conflicts(output: &mut dyn Write, record: &Record<'_>, look: Look) -> io::Result<()> {
    let Some(conflicts) = record.get("conflicts") else {
        return Ok(());
    };
    heading(output, "conflicts (settled by the next edit of the field)", look)?;
    for (name, others) in Record::of(conflicts).fields() {
        let shown = record.get(name).map_or_else(|| "absent".to_owned(), value_text);
        writeln!(output, "  {}", one_line(name))?;
        writeln!(output, "    shown: {}", one_line(&shown))?;
        for other in elements_of(others) {
            writeln!(output, "    other: {}", one_line(&value_text(&other)))?;
        }
    }
    Ok(())
}

fn heading(output: &mut dyn Write, text: &str, look: Look) -> io::Result<()> {
    writeln!(output, "\n{}", painted(text, Some(Colour::Bold), look))
}

/// Writes a text whose first line begins with `first`, the others as far to the right.
fn indented(output: &mut dyn Write, text: &str, first: &str) -> io::Result<()> {
    let text = text.replace("\r\n", "\n");
    let rest = " ".repeat(first.len());
    for (at, line) in paragraph(&text).lines().enumerate() {
        let indent = if at == 0 { first } else { &rest };
        writeln!(output, "{}", format!("{indent}{line}").trim_end())?;
    }
    Ok(())
}

/// Returns a value for people: strings without quotes, lists of them with commas, else JSON.
pub fn value_text(json: &str) -> String {
    if let Some(text) = as_text(json) {
        return text;
    }
    if json.starts_with('[') {
        let elements = elements_of(json);
        let texts: Option<Vec<String>> = elements.iter().map(|json| as_text(json)).collect();
        if let Some(texts) = texts {
            return texts.join(", ");
        }
    }
    json.to_owned()
}

fn state_colour(state: Option<&str>) -> Option<Colour> {
    match state.and_then(State::parse)? {
        State::Todo => None,
        State::InProgress | State::Review => Some(Colour::Yellow),
        State::Blocked => Some(Colour::Red),
        State::Done => Some(Colour::Green),
        State::Cancelled | State::Duplicate => Some(Colour::Faint),
    }
}

/// Returns how long ago a spelled time is, in the largest unit that makes at least one.
fn age(spelled: Option<&str>, now_ms: i64) -> String {
    let Some(Timestamp(then_ms)) = spelled.and_then(Timestamp::parse) else {
        return String::new();
    };
    span(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0) / 1_000)
}

/// Returns a number of seconds in the largest unit that makes at least one.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_use_one_unit() {
        let age = |seconds: i64| age(Some("1970-01-01T00:00:00Z"), seconds * 1_000);
        assert_eq!([age(59), age(60), age(7_200)], ["59s", "1m", "2h"]);
        assert_eq!([age(172_800), age(63_072_000), age(-5)], ["2d", "2y", "0s"]);
    }

    #[test]
    fn values_are_text_where_they_can_be() {
        assert_eq!(value_text("\"a\""), "a");
        assert_eq!(value_text("[\"a\",\"b\"]"), "a, b");
        assert_eq!(value_text("[{\"a\":1}]"), "[{\"a\":1}]");
        assert_eq!(value_text("1.0"), "1.0");
    }
}
