//! What may be written to which field by hand, and how it is spelled.
//!
//! Import is more lenient: it keeps whatever a file says.

use crate::document::schema::{self, Place};
use crate::document::{Content, Edit, elements, verdict};
use crate::id::DocumentKey;
use crate::interface::TrackerError;
use crate::interface::request::{Draft, FieldChange, ListChange, Patch};
use crate::issue::{TITLE_BYTES_MAX, as_text, elements_of, list_of};
use crate::jsonl::record::{RECORD_BYTES_MAX, is_of_answers, too_large};
use crate::name::{is_identifier, is_name};
use crate::state::State;
use crate::store::{Meta, Rows, Tables, Writing};
use crate::timestamp::Timestamp;

use super::names;

/// The largest priority, and the least urgent.
const PRIORITY_MAX: i64 = 4;

/// Returns a string as compact JSON.
pub(super) fn quoted(text: &str) -> String {
    crate::document::scalar::quote(text)
}

/// Returns the fields that every new issue has.
pub(super) fn defaults() -> Vec<(String, String)> {
    let nulls = ["description", "priority", "branch_name", "url"].map(|name| (name, "null"));
    let rest = [("state", "\"todo\""), ("labels", "[]"), ("blocked_by", "[]")];
    nulls.into_iter().chain(rest).map(|(name, json)| (name.to_owned(), json.to_owned())).collect()
}

/// Returns the fields of a draft, checked and in the spelling that is stored.
pub(super) fn of_draft(
    reading: &impl Tables,
    draft: &Draft,
) -> Result<Vec<(String, String)>, TrackerError> {
    if !draft.fields.iter().any(|(name, _)| name == "title") {
        return Err(invalid("title", "it is missing", "give the issue a title"));
    }
    draft
        .fields
        .iter()
        .map(|(name, json)| {
            editable(name)?;
            let json = normal(reading, name, json, &[])?;
            if name == "identifier" {
                unused_identifier(reading, &json, None)?;
            }
            check(name, &json, &[])?;
            Ok((name.clone(), json))
        })
        .collect()
}

/// Returns the edit that a patch makes of an issue.
pub(super) fn of_patch(
    reading: &impl Tables,
    content: &Content,
    patch: &Patch,
) -> Result<Edit, TrackerError> {
    let mut edit = Edit::default();
    for (name, change) in &patch.changes {
        editable(name)?;
        if name == "handoff" && !content.tree.standing_handoffs().is_empty() {
            let hint = "`x0x issues reopen` sends it back";
            return Err(invalid(name, "it is what a worker handed off", hint));
        }
        let there = content.issue.elements(name);
        let wanted = match change {
            FieldChange::Remove => {
                if matches!(name.as_str(), "title" | "identifier") {
                    return Err(invalid(name, "it cannot be taken out", "set it to another value"));
                }
                None
            }
            FieldChange::Set(json) => Some(normal(reading, name, json, &there)?),
            FieldChange::List(change) => {
                let list = changed_list(reading, content, name, change)?;
                // Where there is no list, taking elements out of it makes none.
                (list != "[]" || content.issue.json(name).is_some()).then_some(list)
            }
        };
        let is_same = wanted.as_deref() == content.issue.json(name);
        if let Some(json) = wanted.as_deref().filter(|_| !is_same) {
            check(name, json, &there)?;
            fits_the_list(reading, content, name, json)?;
        }
        if name == "state" {
            follows_from_no_claim(content, wanted.as_deref())?;
        }
        edit.set(content, name, wanted.as_deref());
    }
    Ok(edit)
}

/// Refuses a state that an issue cannot have while a claim says otherwise.
pub(super) fn follows_from_no_claim(
    content: &Content,
    wanted: Option<&str>,
) -> Result<(), TrackerError> {
    let Some(reason) = verdict::obstacle(content, wanted) else { return Ok(()) };
    let hint = "`x0x issues release` or `handoff` ends a claim, `reopen` sends a handoff back, \
                `done` and `cancel` end the issue";
    Err(invalid("state", &format!("it follows from a claim: {reason}"), hint))
}

/// Returns a value for a field, checked and in the spelling that is stored.
pub(super) fn of_value(
    reading: &impl Tables,
    content: &Content,
    name: &str,
    json: &str,
) -> Result<String, TrackerError> {
    editable(name)?;
    let there = content.issue.elements(name);
    let json = normal(reading, name, json, &there)?;
    check(name, &json, &there)?;
    fits_the_list(reading, content, name, &json)?;
    Ok(json)
}

/// Refuses a value that is good by itself but not beside the other issues: the name of another one,
/// and blockers through which the issue would wait for itself.
pub(super) fn fits_the_list(
    reading: &impl Tables,
    content: &Content,
    name: &str,
    json: &str,
) -> Result<(), TrackerError> {
    match name {
        "identifier" => unused_identifier(reading, json, Some(content)),
        "blocked_by" => refuse_ring(reading, content, json),
        _ => Ok(()),
    }
}

/// Returns the edit that adds a comment.
pub(super) fn of_comment(
    content: &Content,
    id: &str,
    author: &str,
    body: &str,
    now: Timestamp,
) -> Result<Edit, TrackerError> {
    if body.trim().is_empty() {
        return Err(invalid("body", "a comment must not be empty", "say something in it"));
    }
    let comment = format!(
        "{{\"id\":{},\"author\":{},\"at\":{},\"body\":{}}}",
        quoted(id),
        quoted(author),
        quoted(&now.to_string()),
        quoted(body)
    );
    let mut comments = content.issue.elements("comments");
    let is_same = |there: &String| {
        let there: Option<serde_json::Value> = serde_json::from_str(there).ok();
        there.is_some_and(|there| there["id"] == *id)
    };
    if comments.iter().any(is_same) {
        return Ok(Edit::default());
    }
    comments.push(comment);
    let comments = list_of(&comments);
    check("comments", &comments, &content.issue.elements("comments"))?;
    let mut edit = Edit::default();
    edit.set(content, "comments", Some(&comments));
    Ok(edit)
}

/// Adds a link to the issue that has the same work.
pub(super) fn link_duplicate(
    reading: &impl Tables,
    content: &Content,
    of: &str,
    edit: &mut Edit,
) -> Result<(), TrackerError> {
    let other = names::row(reading, &names::resolve(reading, of)?)?;
    if other.id == content.issue.id() {
        let hint = "name the other issue with --of";
        return Err(invalid("of", "an issue cannot be a duplicate of itself", hint));
    }
    let link = format!("{{\"kind\":\"duplicate_of\",\"url\":{}}}", quoted(&other.id));
    let mut links = content.issue.elements("links");
    if !links.contains(&link) {
        links.push(link);
        edit.set(content, "links", Some(&list_of(&links)));
    }
    Ok(())
}

/// Refuses an issue that is about to grow larger than a line of the file may be.
pub(super) fn fits_a_line(tables: &Writing, key: DocumentKey) -> Result<(), TrackerError> {
    let bytes = tables.view(key)?.map_or(0, |json| json.len());
    if bytes <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("it would have {bytes} bytes, more than the {RECORD_BYTES_MAX} allowed");
    Err(invalid("record", &reason, "put large texts into a file and link it, or split the issue"))
}

/// Returns the refusal to open an issue again that is open.
pub(super) fn not_over(content: &Content) -> TrackerError {
    let state = content.issue.state().unwrap_or_else(|| "absent".to_owned());
    invalid(
        "state",
        &format!("it is {state}, so there is nothing to reopen"),
        "only an issue that is done, cancelled, duplicate or in review can be reopened",
    )
}

fn changed_list(
    reading: &impl Tables,
    content: &Content,
    name: &str,
    change: &ListChange,
) -> Result<String, TrackerError> {
    if schema::place_of(name) != Place::Elements {
        return Err(invalid(name, "it is not a list", "set its value instead"));
    }
    let element = |json: &String| -> Result<Vec<String>, TrackerError> {
        Ok(elements_of(&normal(reading, name, &list_of(std::slice::from_ref(json)), &[])?))
    };
    let mut list = content.issue.elements(name);
    for json in &change.remove {
        // Names may be spelled in other ways than the stored one; both are taken out.
        let spelled = element(json).unwrap_or_default();
        let is_same = |kept: &String| kept == json || spelled.contains(kept);
        let is_label = |kept: &String| {
            let lower = |json: &str| as_text(json).map(|label| label.trim().to_lowercase());
            name == "labels" && lower(kept) == lower(json)
        };
        list.retain(|kept| !is_same(kept) && !is_label(kept));
    }
    for json in &change.add {
        for json in element(json)? {
            let key = |json: &String| elements::keyed(std::slice::from_ref(json))[0].0.clone();
            if !list.iter().any(|kept| key(kept) == key(&json)) {
                list.push(json);
            }
        }
    }
    Ok(list_of(&list))
}

/// Returns a value in the spelling that is stored: labels in lower case, blockers by their id.
/// Elements that are `there` already stay as they are.
fn normal(
    reading: &impl Tables,
    name: &str,
    json: &str,
    there: &[String],
) -> Result<String, TrackerError> {
    if !matches!(name, "labels" | "blocked_by") || json == "null" {
        return Ok(json.to_owned());
    }
    if !json.starts_with('[') {
        return Err(invalid(name, "it must be a list", "give a JSON list of strings"));
    }
    let mut list: Vec<String> = Vec::new();
    for element in elements_of(json) {
        let element = match there.contains(&element) {
            true => Some(element),
            false => normal_element(reading, name, &element)?,
        };
        list.extend(element.filter(|element| !list.contains(element)));
    }
    Ok(list_of(&list))
}

/// Returns a label or a blocker as it is stored; `None` for an empty label.
fn normal_element(
    reading: &impl Tables,
    name: &str,
    element: &str,
) -> Result<Option<String>, TrackerError> {
    let text = as_text(element)
        .or_else(|| (name == "blocked_by").then(|| crate::blocker::name_of(element)).flatten())
        .ok_or_else(|| {
            invalid(name, "its elements must be strings", "give a JSON list of strings")
        })?;
    if name == "blocked_by" {
        return Ok(Some(quoted(&names::row(reading, &names::resolve(reading, &text)?)?.id)));
    }
    let label = text.trim().to_lowercase();
    Ok((!label.is_empty()).then(|| quoted(&label)))
}

fn editable(name: &str) -> Result<(), TrackerError> {
    let hint = "leave it out; x0x keeps it";
    match name {
        "id" | "created_at" => Err(invalid(name, "it names the issue and never changes", hint)),
        "updated_at" => Err(invalid(name, "it follows from the edits", hint)),
        "comments" => {
            let hint = "`x0x issues comment` adds one; take one out in the file";
            Err(invalid(name, "comments are not overwritten", hint))
        }
        _ if is_of_answers(name) => Err(invalid(name, "it is computed for answers", hint)),
        "claim" | "shard" => Err(invalid(name, "it follows from the claims", hint)),
        "conflicts" => {
            Err(invalid(name, "it follows from the edits", "write the field itself to settle it"))
        }
        _ if !is_name(name) => Err(invalid("field", "its name is not usable", "use a plain name")),
        _ => Ok(()),
    }
}

fn check(name: &str, json: &str, there: &[String]) -> Result<(), TrackerError> {
    if let Some(reason) = too_large(name, json) {
        let hint = "put large texts into a file and link it, or split the issue";
        return Err(invalid(name, &format!("it {reason}"), hint));
    }
    match name {
        "title" => check_title(json),
        "identifier" => check_identifier(json),
        "state" => check_state(json),
        "priority" => check_priority(json),
        "description" | "branch_name" | "url" | "assignee" if !is_text_or_null(json) => {
            Err(invalid(name, "it must be a string or null", "quote the text"))
        }
        "deleted_at" => check_time(name, json),
        "handoff" if !json.starts_with('{') && json != "null" => Err(invalid(
            name,
            "it must be an object",
            "give {summary, files_changed, validation, follow_up}",
        )),
        _ if schema::place_of(name) == Place::Elements => check_elements(name, json, there),
        _ => Ok(()),
    }
}

fn check_title(json: &str) -> Result<(), TrackerError> {
    let title =
        as_text(json).ok_or_else(|| invalid("title", "it must be a string", "quote the text"))?;
    if title.trim().is_empty() {
        return Err(invalid(
            "title",
            "it must not be empty",
            "say in a few words what is to be done",
        ));
    }
    if title.len() > TITLE_BYTES_MAX {
        let reason =
            format!("it has {} bytes, more than the {TITLE_BYTES_MAX} allowed", title.len());
        return Err(invalid("title", &reason, "put the details into the description"));
    }
    if title.chars().any(|c| c == '\n' || c == '\r') {
        return Err(invalid(
            "title",
            "it must be one line",
            "put the details into the description",
        ));
    }
    Ok(())
}

fn check_identifier(json: &str) -> Result<(), TrackerError> {
    if as_text(json).is_some_and(|name| is_identifier(&name)) {
        return Ok(());
    }
    let reason = "it may hold A-Z, a-z, 0-9, '.', '_' and '-' only, and not start with '.'";
    Err(invalid("identifier", reason, "choose such a name"))
}

fn check_state(json: &str) -> Result<(), TrackerError> {
    let known = as_text(json).is_some_and(|name| State::ALL.iter().any(|s| s.name() == name));
    if known {
        return Ok(());
    }
    let names: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
    Err(invalid(
        "state",
        &format!("{json} is not a state"),
        &format!("use one of {}", names.join(", ")),
    ))
}

fn check_priority(json: &str) -> Result<(), TrackerError> {
    let is_good = json == "null"
        || json.parse::<i64>().is_ok_and(|priority| (1..=PRIORITY_MAX).contains(&priority));
    if is_good {
        return Ok(());
    }
    Err(invalid(
        "priority",
        &format!("{json} is not a priority"),
        "use 1 (urgent) to 4 (low), or null for none",
    ))
}

fn check_time(name: &str, json: &str) -> Result<(), TrackerError> {
    if json == "null" || as_text(json).is_some_and(|text| Timestamp::parse(&text).is_some()) {
        return Ok(());
    }
    Err(invalid(name, "it is not a time", "give RFC 3339, as in 2026-05-01T20:35:00Z"))
}

fn check_elements(name: &str, json: &str, there: &[String]) -> Result<(), TrackerError> {
    if json == "null" {
        return Ok(());
    }
    if !json.starts_with('[') {
        return Err(invalid(name, "it must be a list", "give a JSON list"));
    }
    let list = elements_of(json);
    let (is_good, wanted): (fn(&str) -> bool, _) = match name {
        "links" => (is_link, "each link must be an object with the strings kind and url"),
        "comments" => (|json| json.starts_with('{'), "each comment must be an object"),
        _ => (
            |json| as_text(json).is_some_and(|text| !text.trim().is_empty()),
            "each element must be a string with something in it",
        ),
    };
    // What a file brought stays as it is; only what is added is judged.
    if list.iter().all(|element| there.contains(element) || is_good(element)) {
        return Ok(());
    }
    Err(invalid(name, wanted, "see issues/schema.md for the form of each field"))
}

fn is_link(json: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return false };
    ["kind", "url"].iter().all(|key| value.get(key).is_some_and(serde_json::Value::is_string))
}

fn is_text_or_null(json: &str) -> bool {
    json == "null" || as_text(json).is_some()
}

fn unused_identifier(
    reading: &impl Tables,
    json: &str,
    content: Option<&Content>,
) -> Result<(), TrackerError> {
    let Some(name) = as_text(json) else { return Ok(()) };
    let own = content.map(|content| crate::store::row_key(&content.issue.birth));
    if reading.rows_named(&name)?.iter().any(|row| Some(row) != own.as_ref()) {
        let reason = format!("'{name}' is the name of another issue");
        return Err(invalid("identifier", &reason, "choose one that no issue has"));
    }
    // A number that the list would give out itself is left to it.
    if names::number_of(&name, &reading.prefix()?).is_some_and(|number| number > MAX_AHEAD) {
        return Err(invalid(
            "identifier",
            "its number is too far ahead",
            "choose a smaller number",
        ));
    }
    Ok(())
}

/// How large a number may be chosen by hand: the numbers after it must still fit into the form.
const MAX_AHEAD: u64 = 99_999_999;

/// Refuses blockers through which the issue would wait for itself.
fn refuse_ring(reading: &impl Tables, content: &Content, json: &str) -> Result<(), TrackerError> {
    let own = content.issue.id().to_owned();
    let mut paths: Vec<Vec<String>> = elements_of(json)
        .iter()
        .filter_map(|element| as_text(element))
        .map(|id| vec![own.clone(), id])
        .collect();
    let mut visited: Vec<String> = Vec::new();
    while let Some(path) = paths.pop() {
        let Some(last) = path.last().cloned() else { continue };
        if last == own {
            let reason = format!("the issue would wait for itself: {}", path.join(" -> "));
            return Err(invalid("blocked_by", &reason, "take one of these edges out first"));
        }
        if visited.contains(&last) {
            continue;
        }
        for key in reading.rows_named(&last)? {
            for name in names::row(reading, &key)?.blocked_by {
                for next in reading.rows_named(&name)? {
                    let id = names::row(reading, &next)?.id;
                    paths.push(path.iter().cloned().chain([id]).collect());
                }
            }
        }
        visited.push(last);
    }
    Ok(())
}

pub(super) fn invalid(field: &str, reason: &str, hint: &str) -> TrackerError {
    TrackerError::Invalid {
        field: field.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}
