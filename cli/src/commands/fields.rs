//! Flags for fields as changes of fields: texts are read, lists split, JSON checked. What a field may
//! be is for the tracker to say.

use std::collections::BTreeSet;

use x0x_tracker::interface::{FieldChange, ListChange};
use x0x_tracker::issue::{as_text, list_of};
use x0x_tracker::jsonl::text;
use x0x_tracker::timestamp::Timestamp;

use crate::args::fields::{ChangeArgs, FieldArgs};
use crate::error::CliError;
use crate::input::Texts;
use crate::output::record::{Record, quoted};

/// The word that clears a field.
const NONE: &str = "none";

/// The changes of some fields, in order.
pub type Changes = Vec<(String, FieldChange)>;

/// Returns what the flags of `create` and `edit` set.
pub fn typed(args: &FieldArgs, texts: &mut Texts) -> Result<Changes, CliError> {
    let mut changes = Changes::new();
    let mut set =
        |name: &str, json: String| changes.push((name.to_owned(), FieldChange::Set(json)));
    if let Some(typed) = &args.description {
        let json = if typed == NONE { "null".to_owned() } else { quoted(&texts.read(typed)?) };
        set("description", json);
    }
    for (name, typed) in [
        ("branch_name", &args.branch_name),
        ("url", &args.url),
        ("assignee", &args.assignee),
        ("estimate", &args.estimate),
    ] {
        match typed.as_deref() {
            None => {}
            Some(NONE) => set(name, "null".to_owned()),
            Some(number) if name == "estimate" && is_number(number) => set(name, number.to_owned()),
            Some(text) => set(name, quoted(text)),
        }
    }
    for (name, typed) in [("state", &args.state), ("identifier", &args.identifier)] {
        if let Some(text) = typed {
            set(name, quoted(text));
        }
    }
    if let Some(json) = &args.priority {
        set("priority", json.clone());
    }
    if let Some(labels) = elements(&args.labels) {
        set("labels", list_of(&labels_json(&labels)));
    }
    if let Some(names) = elements(&args.blocked_by) {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        set("blocked_by", list_of(&names));
    }
    for (name, typed) in [("acceptance", &args.acceptance), ("validation", &args.validation)] {
        if !typed.is_empty() {
            set(name, list_of(&texts_json(typed, texts)?));
        }
    }
    if !args.links.is_empty() {
        set("links", list_of(&links_json(&args.links, texts)?));
    }
    for (name, typed) in &args.field {
        set(name, checked_json(&format!("--field {name}"), &texts.read(typed)?)?);
    }
    Ok(changes)
}

/// Returns what the flags that only `edit` has change, without `blocked_by` and `links`, whose
/// elements have to be looked up.
pub fn changed(args: &ChangeArgs, texts: &mut Texts, now_ms: i64) -> Result<Changes, CliError> {
    let mut changes = Changes::new();
    let mut list = |name: &str, add: Vec<String>, remove: Vec<String>| {
        if !add.is_empty() || !remove.is_empty() {
            changes.push((name.to_owned(), FieldChange::List(ListChange { add, remove })));
        }
    };
    let labels = |typed: &[String]| labels_json(&elements(typed).unwrap_or_default());
    list("labels", labels(&args.add_label), labels(&args.remove_label));
    let (add, remove) = (texts_json(&args.add_acceptance, texts)?, &args.remove_acceptance);
    list("acceptance", add, texts_json(remove, texts)?);
    let (add, remove) = (texts_json(&args.add_validation, texts)?, &args.remove_validation);
    list("validation", add, texts_json(remove, texts)?);
    if let Some(time) = &args.deleted_at {
        let change = match time.as_str() {
            NONE => FieldChange::Remove,
            "now" => FieldChange::Set(quoted(&Timestamp(now_ms).to_string())),
            time => FieldChange::Set(quoted(time)),
        };
        changes.push(("deleted_at".to_owned(), change));
    }
    changes.extend(args.unset.iter().map(|name| (name.clone(), FieldChange::Remove)));
    Ok(changes)
}

/// Refuses to set a field twice: which of the values is meant, nobody can tell.
pub fn refuse_twice<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(CliError::usage(
            format!("the field '{name}' is given twice"),
            "give it once: with its own flag, with --field or with --unset",
        )),
    }
}

/// Returns the elements of a flag that takes several, separated by commas; `None` where it was not
/// typed, none where it says `none` or nothing.
pub fn elements(typed: &[String]) -> Option<Vec<String>> {
    let parts = typed.iter().flat_map(|part| part.split(',')).map(str::trim);
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match typed {
        [] => None,
        _ if parts == [NONE] => Some(Vec::new()),
        _ => Some(parts),
    }
}

fn labels_json(labels: &[String]) -> Vec<String> {
    let mut seen = Vec::new();
    for json in labels.iter().map(|label| quoted(&label.to_lowercase())) {
        if !seen.contains(&json) {
            seen.push(json);
        }
    }
    seen
}

fn texts_json(typed: &[String], texts: &mut Texts) -> Result<Vec<String>, CliError> {
    if is_none(typed) {
        return Ok(Vec::new());
    }
    typed.iter().map(|typed| Ok(quoted(&texts.read(typed)?))).collect()
}

fn links_json(typed: &[String], texts: &mut Texts) -> Result<Vec<String>, CliError> {
    if is_none(typed) {
        return Ok(Vec::new());
    }
    typed.iter().map(|typed| link_json(&texts.read(typed)?)).collect()
}

fn link_json(link: &str) -> Result<String, CliError> {
    if link.trim_start().starts_with('{') {
        return checked_json("the link", link);
    }
    match link.split_once('=') {
        Some((kind, url)) if !kind.is_empty() && !url.is_empty() => {
            Ok(format!("{{\"kind\":{},\"url\":{}}}", quoted(kind), quoted(url)))
        }
        _ => Err(CliError::usage(
            format!("the link '{link}' is neither KIND=URL nor a JSON object"),
            "for example --links design=docs/design.md",
        )),
    }
}

/// Links to add, as JSON, and what was typed of those to take away.
#[derive(Debug, Default)]
pub struct LinkChanges {
    /// Links to add.
    pub add: Vec<String>,
    remove: Vec<String>,
}

impl LinkChanges {
    /// Returns what `--add-link` and `--remove-link` say.
    pub fn typed(args: &ChangeArgs, texts: &mut Texts) -> Result<Self, CliError> {
        let mut remove = Vec::new();
        for typed in &args.remove_link {
            let typed = texts.read(typed)?;
            let is_object = typed.trim_start().starts_with('{');
            remove.push(if is_object { checked_json("the link", &typed)? } else { typed });
        }
        Ok(Self { add: links_json(&args.add_link, texts)?, remove })
    }

    /// Tells whether a link of an issue goes: by its URL, as KIND=URL, or as the JSON object.
    pub fn removes(&self, link: &str) -> bool {
        let record = Record::of(link);
        let member = |name: &str| record.get(name).and_then(as_text).unwrap_or_default();
        let (kind, url) = (member("kind"), member("url"));
        let spelled = format!("{kind}={url}");
        self.remove.iter().any(|typed| {
            text::equal(typed, link) || (!url.is_empty() && (*typed == url || *typed == spelled))
        })
    }
}

fn is_none(typed: &[String]) -> bool {
    matches!(typed, [word] if word == NONE)
}

fn is_number(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    starts && text::validate(text.as_bytes()).is_ok()
}

/// Returns JSON in compact form, numbers as spelled.
pub fn checked_json(what: &str, json: &str) -> Result<String, CliError> {
    match text::validate(json.as_bytes()) {
        Ok(()) => Ok(text::compact(json)),
        Err(fault) => Err(CliError::usage(
            format!("{what} is not JSON: {fault}"),
            "a text needs its quotes: --field 'name=\"text\"'",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(args: FieldArgs) -> Vec<(String, String)> {
        let changes = typed(&args, &mut Texts::default()).unwrap();
        let json = |change| match change {
            FieldChange::Set(json) => json,
            other => panic!("{other:?}"),
        };
        changes.into_iter().map(|(name, change)| (name, json(change))).collect()
    }

    #[test]
    fn lists_are_split_where_elements_are_names_and_not_where_they_are_texts() {
        let fields = set(FieldArgs {
            labels: vec![" P2P,, b c".to_owned(), "p2p".to_owned()],
            acceptance: vec!["one, two".to_owned(), "@@three".to_owned()],
            ..FieldArgs::default()
        });
        assert_eq!(fields[0], ("labels".to_owned(), "[\"p2p\",\"b c\"]".to_owned()));
        assert_eq!(fields[1].1, "[\"one, two\",\"@three\"]");
    }

    #[test]
    fn none_clears_a_value_or_a_list() {
        let none = || Some("none".to_owned());
        let fields = set(FieldArgs {
            description: none(),
            assignee: none(),
            labels: vec!["none".to_owned()],
            links: vec!["none".to_owned()],
            ..FieldArgs::default()
        });
        let values: Vec<&str> = fields.iter().map(|(_, json)| json.as_str()).collect();
        assert_eq!(values, ["null", "null", "[]", "[]"]);
    }

    #[test]
    fn numbers_and_json_stay_as_spelled() {
        let fields = set(FieldArgs {
            estimate: Some("1.50".to_owned()),
            links: vec!["adr=a=b".to_owned(), "{ \"kind\": 1.0 }".to_owned()],
            field: vec![("x".to_owned(), "[1e400, \"\\u0041\"]".to_owned())],
            ..FieldArgs::default()
        });
        let values: Vec<&str> = fields.iter().map(|(_, json)| json.as_str()).collect();
        let links = "[{\"kind\":\"adr\",\"url\":\"a=b\"},{\"kind\":1.0}]";
        assert_eq!(values, ["1.50", links, "[1e400,\"A\"]"]);
        let estimate = FieldArgs { estimate: Some("2 days".to_owned()), ..FieldArgs::default() };
        assert_eq!(set(estimate)[0].1, "\"2 days\"");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let args =
            FieldArgs { field: vec![("x".to_owned(), "text".to_owned())], ..FieldArgs::default() };
        assert!(matches!(typed(&args, &mut Texts::default()), Err(CliError::Usage { .. })));
    }
}
