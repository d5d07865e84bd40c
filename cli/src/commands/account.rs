//! Changes of fields as people and programs read them. Not: whose they are.

use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::interface::history::{FieldEdit, Left, What};
use x0x_tracker::interface::shape::seconds;
use x0x_tracker::issue::as_text;
use x0x_tracker::timestamp::Timestamp;

use crate::output::issue::value_text;
use crate::output::plain::{columns, cut, one_line};
use crate::output::record::Record;
use crate::output::table::Look;

/// What stands for a field that is not there.
const ABSENT: &str = "(absent)";

/// The fewest columns of a value, however narrow the terminal is. A guess: one word.
const VALUE_COLUMNS_MIN: usize = 8;

/// Returns the line on one field for people, cut to the terminal.
pub fn line(edit: &FieldEdit, look: Look) -> String {
    let lost = if edit.lost { " [lost]" } else { "" };
    let label = format!("  {}{lost}: ", one_line(&edit.field));
    let parts: Vec<String> = match &edit.what {
        What::Value { from: Some(from), to: Some(to) } if from == to => {
            vec!["settled as ".to_owned(), value(Some(to))]
        }
        What::Value { from, to } => {
            vec![value(from.as_deref()), " -> ".to_owned(), value(to.as_deref())]
        }
        What::List { added, removed, moved } => {
            let texts = [("+", added), ("-", removed), ("moved ", moved)].map(|(sign, list)| {
                list.iter().map(move |json| format!("{sign}{}", element(&edit.field, json)))
            });
            vec![texts.into_iter().flatten().collect::<Vec<_>>().join(", ")]
        }
    };
    let whole = parts.concat();
    let room = look.columns_max.map(|columns_max| columns_max.saturating_sub(columns(&label)));
    let Some(room) = room.filter(|room| columns(&whole) > *room) else {
        return format!("{label}{whole}");
    };
    match parts.as_slice() {
        [from, arrow, to] => {
            // What is short leaves its room to the other.
            let both = room.saturating_sub(columns(arrow)).max(2 * VALUE_COLUMNS_MIN);
            let (from_columns, to_columns) = (columns(from), columns(to));
            let to_room = (both / 2).max(both.saturating_sub(from_columns)).min(to_columns);
            let from = cut(from, both - to_room);
            format!("{label}{from}{arrow}{}", cut(to, to_room))
        }
        _ => format!("{label}{}", cut(&whole, room.max(VALUE_COLUMNS_MIN))),
    }
}

/// Returns a text under a label, on one line that is cut to the terminal.
pub fn labelled(label: &str, text: &str, look: Look) -> String {
    let line = format!("  {label}: {}", one_line(text));
    let line = line.trim_end();
    cut(line, look.columns_max.unwrap_or(usize::MAX)).into_owned()
}

/// Returns a field that stays as it is, for people.
pub fn left_line(left: &Left) -> String {
    let force = if left.by_force { " (--force restores it)" } else { "" };
    format!("  left {}: {}{force}", one_line(&left.field), one_line(&left.reason))
}

/// Returns who made a change and when, for people: agent, log, and the author's clock.
pub fn signature(log: LogId, at: Timestamp) -> String {
    let nonce = format!("{log}").rsplit('/').next().unwrap_or_default()[..8].to_owned();
    format!("{}  {}/{nonce}", seconds(at), log.agent.short())
}

fn value(json: Option<&str>) -> String {
    match json {
        None => ABSENT.to_owned(),
        Some("\"\"") => "\"\"".to_owned(),
        Some(json) => one_line(&value_text(json)).into_owned(),
    }
}

/// Returns an element of a list on one line: of a comment or link, what people know it by.
fn element(field: &str, json: &str) -> String {
    let object = Record::of(json);
    let member = |name: &str| object.get(name).and_then(as_text);
    let text = match field {
        "comments" => member("author")
            .zip(member("body"))
            .map(|(who, what)| format!("{}: {what}", agent_or_name(&who))),
        "links" => member("kind").zip(member("url")).map(|(kind, url)| format!("{kind}={url}")),
        _ => None,
    };
    one_line(&text.unwrap_or_else(|| value_text(json))).into_owned()
}

/// Returns an agent's id in its short form, and any other name as it is.
fn agent_or_name(who: &str) -> String {
    who.parse::<AgentId>().map_or_else(|_| who.to_owned(), |agent| agent.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(field: &str, what: What) -> FieldEdit {
        FieldEdit { field: field.to_owned(), what, lost: false }
    }

    fn value_edit(from: Option<&str>, to: Option<&str>) -> FieldEdit {
        edit("t", What::Value { from: from.map(str::to_owned), to: to.map(str::to_owned) })
    }

    fn narrow(columns: usize) -> Look {
        Look { columns_max: Some(columns), colour: false }
    }

    #[test]
    fn a_line_fits_the_terminal_and_a_short_value_leaves_its_room_to_the_other() {
        let long = format!("\"{}\"", "x".repeat(100));
        for edit in [value_edit(Some("\"a\""), Some(&long)), value_edit(Some(&long), Some("\"b\""))]
        {
            let text = line(&edit, narrow(40));
            assert_eq!(columns(&text), 40, "{text}");
        }
        assert_eq!(
            columns(&line(&value_edit(Some(&long), Some(&long.replace('x', "y"))), narrow(41))),
            41
        );
        assert_eq!(line(&value_edit(None, Some("\"a\\nb\"")), narrow(40)), "  t: (absent) -> a b");
        assert!(line(&value_edit(None, Some(&long)), Look::default()).len() > 100);
    }

    #[test]
    fn elements_are_told_by_what_people_know_them_by() {
        let what = What::List {
            added: vec!["{\"id\":\"c\",\"author\":\"ann\",\"body\":\"a\\nword\"}".to_owned()],
            removed: vec!["\"plain\"".to_owned()],
            moved: Vec::new(),
        };
        let text = line(&edit("comments", what), Look::default());
        assert_eq!(text, "  comments: +ann: a word, -plain");
    }
}
