//! Rewriting one line so that only what changed changes, in the style of whoever wrote it.
//! Not: what a field means, nor which fields a record should have.

use std::ops::Range;

use super::read::{Field, Line};
use super::text::{Style, Tokens, equal, quote, restyle};

/// What becomes of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The field has this value, as [`compact`](super::text::compact) spells it.
    Set(String),
    /// The line lacks the field.
    Remove,
}

/// Returns the style that a line is written in; what the line does not show is compact.
pub fn style_of(line: &Line<'_>) -> Style {
    style_of_or(line, &Style::COMPACT)
}

/// Returns the style that a line is written in; what the line does not show is as in `fallback`.
///
/// The separators are those of the first fields.
pub fn style_of_or(line: &Line<'_>, fallback: &Style) -> Style {
    let pick = |spaced: Option<bool>, wide, tight, fallback| match spaced {
        Some(true) => wide,
        Some(false) => tight,
        None => fallback,
    };
    let (ascii, escape_slash) = escapes_shown(line);
    Style {
        item_separator: pick(items_spaced(line), ", ", ",", fallback.item_separator),
        key_separator: pick(keys_spaced(line), ": ", ":", fallback.key_separator),
        ascii: ascii.unwrap_or(fallback.ascii),
        escape_slash: escape_slash.unwrap_or(fallback.escape_slash),
    }
}

/// Returns the text of the line after `changes`; of a name that stands twice the last one counts.
///
/// Changed values are replaced in place in the line's own style, which `fallback` completes; a
/// value that is already [`equal`] stays as spelled. A removed field takes its key, its value and
/// one separator with it. A new field goes after the field of the line that comes nearest before
/// it in `order`, else before the one that comes nearest after it, else to the end. Every other
/// byte stays.
pub fn patch(
    line: &Line<'_>,
    changes: &[(&str, Change)],
    order: &[&str],
    fallback: &Style,
) -> String {
    let style = style_of_or(line, fallback);
    let body = body_of(line);
    let mut out = String::with_capacity(line.text.len() + 64);
    out.push_str(&line.text[..body.start]);
    let mut first = true;
    for place in places(line, changes, order) {
        let change = change_of(changes, place.name());
        if change == Some(&Change::Remove) {
            continue;
        }
        if !first {
            out.push_str(place.separator(line).unwrap_or(style.item_separator));
        }
        first = false;
        match (place, change) {
            (Place::New { name, value }, _) => push_field(&mut out, name, value, &style),
            (Place::Old { field, .. }, Some(Change::Set(value))) if !equal(field.raw, value) => {
                out.push_str(&line.text[field.name_at.start..field.value_at.start]);
                out.push_str(&restyle(value, &style));
            }
            (Place::Old { field, .. }, _) => {
                out.push_str(&line.text[field.name_at.start..field.value_at.end]);
            }
        }
    }
    out.push_str(&line.text[body.end..]);
    out
}

/// Returns a new line from the names and compact values of its fields.
pub fn render(fields: &[(&str, &str)], style: &Style) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push_str(style.item_separator);
        }
        push_field(&mut out, name, value, style);
    }
    out.push('}');
    out
}

/// A field of the new line, in its place.
enum Place<'p> {
    /// The field of the old line with that index.
    Old { index: usize, field: &'p Field<'p> },
    /// One that the old line lacks.
    New { name: &'p str, value: &'p str },
}

impl<'p> Place<'p> {
    fn name(&self) -> &str {
        match self {
            Place::Old { field, .. } => &field.name,
            Place::New { name, .. } => name,
        }
    }

    /// Returns what stands before this field in the old line, if another field does.
    fn separator<'l>(&self, line: &Line<'l>) -> Option<&'l str> {
        match self {
            Place::Old { index, field } => {
                let before = line.fields().get(index.checked_sub(1)?)?;
                Some(&line.text[before.value_at.end..field.name_at.start])
            }
            Place::New { .. } => None,
        }
    }
}

/// Returns the fields of the old line, those to be removed too, with the new ones among them.
fn places<'p>(
    line: &'p Line<'p>,
    changes: &'p [(&'p str, Change)],
    order: &[&str],
) -> Vec<Place<'p>> {
    let old = line.fields().iter().enumerate();
    let mut places: Vec<Place<'_>> =
        old.map(|(index, field)| Place::Old { index, field }).collect();
    for (name, _) in changes {
        let lacking = !places.iter().any(|place| place.name() == *name);
        if let Some(Change::Set(value)) = change_of(changes, name)
            && lacking
        {
            places.insert(index_for(name, &places, order), Place::New { name, value });
        }
    }
    places
}

/// Returns where among `places` a new field goes.
fn index_for(name: &str, places: &[Place<'_>], order: &[&str]) -> usize {
    let index_of = |name: &&str| places.iter().position(|place| place.name() == *name);
    let Some(rank) = order.iter().position(|other| *other == name) else {
        return places.len();
    };
    let (before, after) = (&order[..rank], &order[rank + 1..]);
    let nearest_before = before.iter().rev().find_map(index_of);
    nearest_before
        .map(|index| index + 1)
        .or_else(|| after.iter().find_map(index_of))
        .unwrap_or(places.len())
}

fn change_of<'c>(changes: &'c [(&str, Change)], name: &str) -> Option<&'c Change> {
    let mut latest_first = changes.iter().rev();
    let (_, change) = latest_first.find(|(changed, _)| *changed == name)?;
    Some(change)
}

/// Returns where the fields stand, from the first key to the last value.
fn body_of(line: &Line<'_>) -> Range<usize> {
    match line.fields() {
        [first, .., last] => first.name_at.start..last.value_at.end,
        [only] => only.name_at.start..only.value_at.end,
        [] => {
            let start = line.text.find('{').map_or(line.text.len(), |at| at + 1);
            start..start
        }
    }
}

fn push_field(out: &mut String, name: &str, value: &str, style: &Style) {
    let mut key = String::with_capacity(name.len() + 2);
    quote(name, &mut key);
    out.push_str(&restyle(&key, style));
    out.push_str(style.key_separator);
    out.push_str(&restyle(value, style));
}

/// Returns whether a space follows the first comma, if the line has one.
fn items_spaced(line: &Line<'_>) -> Option<bool> {
    let shown = match line.fields() {
        [] => return None,
        // Of a lone field only the value can show it.
        [only] => only.raw,
        [first, ..] => &line.text[first.value_at.end..],
    };
    let mut tokens = Tokens::new(shown);
    tokens.find(|token| *token == ",")?;
    tokens.next().map(|token| token.trim().is_empty())
}

/// Returns whether a space follows the first colon, if the line has one.
fn keys_spaced(line: &Line<'_>) -> Option<bool> {
    let first = line.fields().first()?;
    Some(!line.text[first.name_at.end..first.value_at.start].ends_with(':'))
}

/// Returns whether the line escapes what is not ASCII, and whether it escapes slashes, as far as
/// it has any.
fn escapes_shown(line: &Line<'_>) -> (Option<bool>, Option<bool>) {
    let text = line.text.trim_start_matches('\u{feff}');
    let mut ascii = (!text.is_ascii()).then_some(false);
    let mut escape_slash = text.contains('/').then_some(false);
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        if escape.starts_with("\\/") {
            escape_slash = Some(true);
        } else if escapes_freely(escape) {
            ascii = ascii.or(Some(true));
        }
        // The line is valid, so that one ASCII character follows the backslash.
        rest = escape.get(2..).unwrap_or_default();
    }
    (ascii, escape_slash)
}

/// Returns whether `escape` begins with an escape that only those write who want pure ASCII.
///
/// Half a surrogate pair has no other spelling, and many escape the line separators U+2028 and
/// U+2029 for the sake of JavaScript.
fn escapes_freely(escape: &str) -> bool {
    match unit_of(escape) {
        Some(0xd800..=0xdbff) => {
            matches!(escape.get(6..).and_then(unit_of), Some(0xdc00..=0xdfff))
        }
        Some(0xdc00..=0xdfff | 0x2028 | 0x2029) | None => false,
        Some(unit) => unit > 0x7f,
    }
}

/// Returns the UTF-16 code unit of the `\u` escape that `escape` begins with.
fn unit_of(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read::{Content, RawLine, Terminator, parse_line};
    use super::super::text::{compact, samples};
    use super::*;

    const ORDER: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn raw(text: &str) -> RawLine {
        RawLine {
            number: 1,
            text: text.as_bytes().to_vec(),
            terminator: Terminator::Lf,
            oversize: false,
        }
    }

    fn line(raw: &RawLine) -> Line<'_> {
        match parse_line(raw) {
            Ok(Content::Record(line)) => line,
            other => panic!("not a record: {other:?}"),
        }
    }

    fn styled(text: &str) -> Style {
        style_of(&line(&raw(text)))
    }

    fn set(value: &str) -> Change {
        Change::Set(value.to_owned())
    }

    fn patched(text: &str, changes: &[(&str, Change)]) -> String {
        patch(&line(&raw(text)), changes, &ORDER, &Style::COMPACT)
    }

    #[test]
    fn separators_are_learnt_from_the_first_fields() {
        let style = styled(r#"{"a": [1,2], "b":2}"#);
        assert_eq!((style.item_separator, style.key_separator), (", ", ": "));
        let style = styled(r#"{"a":[1, 2],"b": 2}"#);
        assert_eq!((style.item_separator, style.key_separator), (",", ":"));
    }

    #[test]
    fn a_lone_field_shows_the_item_separator_in_its_value() {
        assert_eq!(styled(r#"{"a":["x,y", 2]}"#).item_separator, ", ");
        assert_eq!(styled(r#"{"a":["x, y",2]}"#).item_separator, ",");
    }

    #[test]
    fn escapes_of_what_is_not_ascii_show_an_ascii_writer() {
        assert!(styled(r#"{"a":"\u00e9"}"#).ascii);
        assert!(styled(r#"{"a":"\ud83d\ude00"}"#).ascii);
        assert!(!styled(r#"{"a":"\u00e9é"}"#).ascii);
        assert!(!styled(r#"{"a":"\u003c\\u00e9"}"#).ascii);
    }

    #[test]
    fn escapes_that_other_writers_need_show_nothing() {
        let fallback = Style { ascii: true, ..Style::COMPACT };
        for text in [r#"{"a":"\u2028"}"#, r#"{"a":"\ud800\u0041"}"#, r#"{"a":"\udc00"}"#] {
            assert!(!styled(text).ascii, "{text}");
            assert!(style_of_or(&line(&raw(text)), &fallback).ascii, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_shows_nothing() {
        assert!(styled("\u{feff}{\"a\":\"\\u00e9\"}").ascii);
    }

    #[test]
    fn escaped_slashes_show_themselves() {
        assert!(styled(r#"{"a":"x\/y"}"#).escape_slash);
        assert!(!styled(r#"{"a":"x/y"}"#).escape_slash);
        assert!(!styled(r#"{"a":"x\\/y"}"#).escape_slash);
    }

    #[test]
    fn the_fallback_says_what_the_line_does_not_show() {
        let fallback =
            Style { item_separator: ", ", key_separator: ": ", ascii: true, escape_slash: true };
        assert_eq!(style_of_or(&line(&raw("{}")), &fallback), fallback);
        let shown = raw("{\"a\":\"é/\",\"b\":1}");
        assert_eq!(style_of_or(&line(&shown), &fallback), Style::COMPACT);
    }

    #[test]
    fn a_changed_value_is_replaced_in_place_and_in_style() {
        let changes = [("b", set(r#"{"x":[1,"é"]}"#))];
        assert_eq!(
            patched(r#"{"a": "\u00e9" , "b" : 2 , "c":3 }"#, &changes),
            r#"{"a": "\u00e9" , "b" : {"x": [1, "\u00e9"]} , "c":3 }"#
        );
    }

    #[test]
    fn an_equal_value_stays_as_spelled() {
        let text = r#"{"a": { "y":"\u0041", "x" :1 }}"#;
        assert_eq!(patched(text, &[("a", set(r#"{"x":1,"y":"A"}"#))]), text);
    }

    #[test]
    fn a_removed_field_takes_one_separator_with_it() {
        let text = r#"{ "a" : 1 , "b":2,  "c" :3 }"#;
        let without = |names: &[&str]| {
            let changes: Vec<_> = names.iter().map(|name| (*name, Change::Remove)).collect();
            patched(text, &changes)
        };
        assert_eq!(without(&["a"]), r#"{ "b":2,  "c" :3 }"#);
        assert_eq!(without(&["b"]), r#"{ "a" : 1,  "c" :3 }"#);
        assert_eq!(without(&["c"]), r#"{ "a" : 1 , "b":2 }"#);
        assert_eq!(without(&["a", "b"]), r#"{ "c" :3 }"#);
        assert_eq!(without(&["a", "b", "c"]), "{  }");
        assert_eq!(without(&["x"]), text);
    }

    #[test]
    fn a_new_field_goes_after_the_nearest_that_precedes_it() {
        let text = r#"{"a": 1, "x": 0, "b": 2, "y": 0, "e": 5}"#;
        assert_eq!(
            patched(text, &[("d", set("4"))]),
            r#"{"a": 1, "x": 0, "b": 2, "d": 4, "y": 0, "e": 5}"#
        );
    }

    #[test]
    fn new_fields_stand_in_order_whatever_the_order_of_changes() {
        let (c, d) = (("c", set("3")), ("d", set("4")));
        let text = r#"{"b":2,"z":0}"#;
        let expected = r#"{"b":2,"c":3,"d":4,"z":0}"#;
        assert_eq!(patched(text, &[c.clone(), d.clone()]), expected);
        assert_eq!(patched(text, &[d, c]), expected);
    }

    #[test]
    fn a_new_field_goes_before_the_nearest_that_follows_it_if_none_precedes() {
        let text = "\u{feff}{ \"x\":0, \"c\":3 }";
        let expected = "\u{feff}{ \"x\":0, \"b\":2, \"c\":3 }";
        assert_eq!(patched(text, &[("b", set("2"))]), expected);
        assert_eq!(patched("{ \"c\":3}", &[("b", set("2"))]), "{ \"b\":2,\"c\":3}");
    }

    #[test]
    fn a_new_field_that_nothing_places_goes_to_the_end() {
        assert_eq!(patched(r#"{"a":1 }"#, &[("new", set("2"))]), r#"{"a":1,"new":2 }"#);
        assert_eq!(patched(r#"{"x":1}"#, &[("a", set("2"))]), r#"{"x":1,"a":2}"#);
        assert_eq!(patched("{ }", &[("b", set("2")), ("a", set("1"))]), r#"{"a":1,"b":2 }"#);
    }

    #[test]
    fn removing_all_and_setting_another_leaves_that_one() {
        let changes = [("a", Change::Remove), ("b", set("2"))];
        assert_eq!(patched(r#"{ "a": 1 }"#, &changes), r#"{ "b": 2 }"#);
    }

    #[test]
    fn the_last_change_of_a_name_counts() {
        let changes =
            [("a", Change::Remove), ("b", set("2")), ("a", set("3")), ("b", Change::Remove)];
        assert_eq!(patched(r#"{"a":1}"#, &changes), r#"{"a":3}"#);
    }

    #[test]
    fn names_are_spelled_in_style_too() {
        let changes = [("é\"", set("1"))];
        assert_eq!(patched(r#"{"a":"\u00e9"}"#, &changes), r#"{"a":"\u00e9","\u00e9\"":1}"#);
    }

    #[test]
    fn a_rendered_line_is_read_back() {
        let style =
            Style { item_separator: ", ", key_separator: ": ", ascii: true, escape_slash: false };
        let text = render(&[("id", "\"é\""), ("n", "[1,2]")], &style);
        assert_eq!(text, r#"{"id": "\u00e9", "n": [1, 2]}"#);
        assert_eq!(style_of(&line(&raw(&text))), style);
        assert_eq!(render(&[], &style), "{}");
    }

    /// A line of some of the fields a to e and x to z, in any order and spacing.
    fn spelled_line() -> impl Strategy<Value = String> {
        let names = prop::sample::subsequence(vec!["a", "b", "c", "d", "e", "x", "y", "z"], 0..8);
        let names = names.prop_shuffle();
        let parts = || (samples::value(), samples::space(), samples::space());
        (names, prop::collection::vec(parts(), 8), samples::space()).prop_map(
            |(names, parts, space)| {
                let spell = |(name, (value, before, after)): (&&str, &(String, String, String))| {
                    format!("{before}\"{name}\"{after}:{before}{value}{after}")
                };
                let fields: Vec<String> = names.iter().zip(&parts).map(spell).collect();
                format!("{space}{{{space}{}}}{space}", fields.join(","))
            },
        )
    }

    fn changes() -> impl Strategy<Value = Vec<(&'static str, Change)>> {
        let change = prop_oneof![
            3 => samples::value().prop_map(|value| Change::Set(compact(&value))),
            1 => Just(Change::Remove),
        ];
        let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "x", "new"]);
        let changes = prop::collection::hash_map(name, change, 0..5);
        changes.prop_map(|changes| changes.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_changes_change_nothing(text in spelled_line(), style in samples::style()) {
            let raw = raw(&text);
            prop_assert_eq!(patch(&line(&raw), &[], &ORDER, &style), text);
        }

        #[test]
        fn setting_what_is_there_changes_nothing(text in spelled_line()) {
            let raw = raw(&text);
            let line = line(&raw);
            let fields = line.fields().iter();
            let changes: Vec<(&str, Change)> =
                fields.map(|field| (&*field.name, Change::Set(compact(field.raw)))).collect();
            prop_assert_eq!(patch(&line, &changes, &ORDER, &Style::COMPACT), text.as_str());
        }

        #[test]
        fn only_what_changed_changes(
            text in spelled_line(),
            changes in changes(),
            style in samples::style(),
        ) {
            let before = raw(&text);
            let before = line(&before);
            let after = raw(&patch(&before, &changes, &ORDER, &style));
            let after = line(&after);
            for field in before.fields() {
                if !changes.iter().any(|(name, _)| *name == field.name) {
                    prop_assert_eq!(after.get(&field.name).map(|field| field.raw), Some(field.raw));
                }
            }
            for (name, change) in &changes {
                match (change, after.get(name)) {
                    (Change::Remove, field) => prop_assert_eq!(field, None),
                    (Change::Set(value), Some(field)) => prop_assert!(equal(field.raw, value)),
                    (Change::Set(_), None) => prop_assert!(false, "{} is lacking", name),
                }
            }
            let known = |field: &&Field<'_>| before.get(&field.name).is_some();
            let kept: Vec<&str> = after.fields().iter().filter(known).map(|f| &*f.name).collect();
            let old = before.fields().iter().map(|field| &*field.name);
            prop_assert_eq!(kept, old.filter(|name| after.get(name).is_some()).collect::<Vec<_>>());
        }
    }
}
