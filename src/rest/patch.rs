//! An edit as programs send it: the fields of a record that are to change, and beside them `_unset` (a list
//! of fields to take out), `_add` and `_remove` (elements of list fields).

use x0x_tracker::interface::record::{object, quoted};
use x0x_tracker::interface::{FieldChange, ListChange, Patch};
use x0x_tracker::issue::{elements_of, list_of};

use super::body::fields_of;
use super::errors::Failure;

const UNSET: &str = "_unset";
const ADD: &str = "_add";
const REMOVE: &str = "_remove";

/// Returns the edit that fields of a body say, each of which is there once.
pub(super) fn read(fields: Vec<(String, String)>) -> Result<Patch, Failure> {
    let mut patch = Patch::default();
    let mut lists: Vec<(String, ListChange)> = Vec::new();
    for (name, json) in fields {
        match name.as_str() {
            UNSET => {
                let names: Vec<String> = serde_json::from_str(&json).map_err(|_other| {
                    Failure::bad_request("_unset is no list of names", "as in [\"estimate\"]")
                })?;
                patch.changes.extend(names.into_iter().map(|name| (name, FieldChange::Remove)));
            }
            ADD | REMOVE => {
                for (field, json) in elements(&name, &json)? {
                    let at = lists.iter().position(|(known, _)| *known == field);
                    let at = at.unwrap_or_else(|| {
                        lists.push((field, ListChange::default()));
                        lists.len() - 1
                    });
                    let change = &mut lists[at].1;
                    let side = if name == ADD { &mut change.add } else { &mut change.remove };
                    side.extend(elements_of(&json));
                }
            }
            _ => patch.changes.push((name, FieldChange::Set(json))),
        }
    }
    patch.changes.extend(lists.into_iter().map(|(name, list)| (name, FieldChange::List(list))));
    let mut names: Vec<&str> = patch.changes.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let detail = format!("the field '{}' is changed twice", twice[0]);
        return Err(Failure::bad_request(&detail, "change it once"));
    }
    if patch.changes.is_empty() {
        let hint = "name the fields to change, as in {\"title\": \"...\", \"_add\": {\"labels\": [\"x\"]}}";
        return Err(Failure::bad_request("nothing is to change", hint));
    }
    Ok(patch)
}

fn elements(name: &str, json: &str) -> Result<Vec<(String, String)>, Failure> {
    let bad = || {
        let detail = format!("{name} is no object of lists");
        Failure::bad_request(&detail, "as in {\"labels\": [\"a\", \"b\"]}")
    };
    let fields = fields_of(json).map_err(|_other| bad())?;
    if fields.iter().any(|(_, list)| !list.starts_with('[')) {
        return Err(bad());
    }
    Ok(fields)
}

/// Returns the body that says an edit; of two changes of one field the node refuses one.
pub(super) fn write(patch: &Patch) -> String {
    let (mut fields, mut unset) = (Vec::new(), Vec::new());
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for (name, change) in &patch.changes {
        match change {
            FieldChange::Set(json) => fields.push((name.as_str(), json.clone())),
            FieldChange::Remove => unset.push(quoted(name)),
            FieldChange::List(list) => {
                add.push((name.as_str(), list_of(&list.add)));
                remove.push((name.as_str(), list_of(&list.remove)));
            }
        }
    }
    let borrowed = |list: &[(&str, String)]| -> String {
        object(list.iter().map(|(name, json)| (*name, json.as_str())))
    };
    let (unset, add, remove) = (list_of(&unset), borrowed(&add), borrowed(&remove));
    let beside = [(UNSET, unset), (ADD, add), (REMOVE, remove)];
    fields.extend(beside.into_iter().filter(|(_, json)| !matches!(json.as_str(), "[]" | "{}")));
    borrowed(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(body: &str) -> Result<Patch, String> {
        let fields = fields_of(body).map_err(|failure| failure.body.detail)?;
        read(fields).map_err(|failure| failure.body.detail)
    }

    #[test]
    fn an_edit_is_read_as_it_was_written() {
        let list = |add: &[&str], remove: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|json| (*json).to_owned()).collect();
            FieldChange::List(ListChange { add: owned(add), remove: owned(remove) })
        };
        let before = Patch {
            changes: vec![
                ("title".to_owned(), FieldChange::Set("\"a\"".to_owned())),
                ("x".to_owned(), FieldChange::Set("1.0".to_owned())),
                ("estimate".to_owned(), FieldChange::Remove),
                ("labels".to_owned(), list(&["\"b\""], &["\"c\"", "\"d\""])),
                ("links".to_owned(), list(&[], &["{\"kind\":\"pr\"}"])),
            ],
        };
        assert_eq!(patch(&write(&before)).unwrap().changes, before.changes);
    }

    #[test]
    fn what_is_no_edit_is_refused_with_what_is_wrong() {
        for (body, what) in [
            ("{}", "nothing is to change"),
            ("[]", "the body is not an object"),
            ("{\"title\":\"a\",\"title\":\"b\"}", "given twice"),
            ("{\"title\":\"a\",\"_unset\":[\"title\"]}", "changed twice"),
            ("{\"_unset\":\"title\"}", "no list of names"),
            ("{\"_add\":{\"labels\":\"x\"}}", "no object of lists"),
            ("{\"_add\":[\"x\"]}", "no object of lists"),
        ] {
            let error = patch(body).unwrap_err();
            assert!(error.contains(what), "{body}: {error}");
        }
    }
}
