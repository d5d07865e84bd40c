//! The form of a handoff: what a worker leaves to whoever reviews its work.

use serde_json::{Map, Value};

use super::fields::invalid;
use crate::interface::TrackerError;
use crate::jsonl::text;

/// The largest handoff, in bytes of compact JSON.
pub(super) const HANDOFF_BYTES_MAX: usize = 192 << 10;

/// Returns a handoff as it is stored: compact, the known members first, lists that are missing empty.
pub(super) fn normal(json: &str) -> Result<String, TrackerError> {
    if let Err(error) = text::validate(json.trim().as_bytes()) {
        let reason = format!("it is not JSON: {error}");
        return Err(invalid("handoff", &reason, FORM));
    }
    let Ok(Value::Object(mut given)) = serde_json::from_str(json) else {
        return Err(invalid("handoff", "it must be an object", FORM));
    };
    let mut handoff = Map::new();
    let summary = given.remove("summary").unwrap_or(Value::Null);
    if !is_filled(&summary) {
        let reason = "summary must be a text that says what was done";
        return Err(invalid("handoff", reason, FORM));
    }
    handoff.insert("summary".to_owned(), summary);
    for (name, is_good, wanted) in LISTS {
        let list = given.remove(name).unwrap_or(Value::Null);
        let list = if list.is_null() { Value::Array(Vec::new()) } else { list };
        let is_good = list.as_array().is_some_and(|list| list.iter().all(is_good));
        if !is_good {
            let reason = format!("{name} must be a list of {wanted}");
            return Err(invalid("handoff", &reason, FORM));
        }
        handoff.insert(name.to_owned(), list);
    }
    match given.remove("proofs_dir").unwrap_or(Value::Null) {
        Value::Null => {}
        dir if is_filled(&dir) => drop(handoff.insert("proofs_dir".to_owned(), dir)),
        _ => return Err(invalid("handoff", "proofs_dir must be the path of a directory", FORM)),
    }
    handoff.extend(given);
    let json = text::compact(&Value::Object(handoff).to_string());
    if json.len() > HANDOFF_BYTES_MAX {
        let reason = format!("it has {} bytes, more than {HANDOFF_BYTES_MAX}", json.len());
        let hint = "put large texts into files and name those";
        return Err(invalid("handoff", &reason, hint));
    }
    Ok(json)
}

const FORM: &str = "give {\"summary\": text, \"files_changed\": [path], \"validation\": [{\"command\", \
                    \"status\", \"note\"?}], \"follow_up\": [text], \"proofs_dir\"?: path}";

type IsGood = fn(&Value) -> bool;

const LISTS: [(&str, IsGood, &str); 3] = [
    ("files_changed", is_filled, "paths"),
    ("validation", is_validation, "objects with the texts command and status, and perhaps note"),
    ("follow_up", is_filled, "texts"),
];

fn is_filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn is_validation(value: &Value) -> bool {
    ["command", "status"].iter().all(|name| value.get(name).is_some_and(is_filled))
        && value.get("note").is_none_or(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_lists_are_empty_and_what_is_unknown_is_kept() {
        let json = normal(" {\"by\": 1.0, \"summary\": \"done\"} ").unwrap();
        let expected = "{\"summary\":\"done\",\"files_changed\":[],\"validation\":[],\
                        \"follow_up\":[],\"by\":1.0}";
        assert_eq!(json, expected);
        assert_eq!(normal(&json).unwrap(), json);
    }

    #[test]
    fn every_member_of_another_form_is_named() {
        for (json, named) in [
            ("[]", "object"),
            ("{", "JSON"),
            ("{}", "summary"),
            ("{\"summary\":\" \"}", "summary"),
            ("{\"summary\":\"s\",\"files_changed\":\"a\"}", "files_changed"),
            ("{\"summary\":\"s\",\"files_changed\":[1]}", "files_changed"),
            ("{\"summary\":\"s\",\"validation\":[{\"command\":\"c\"}]}", "validation"),
            ("{\"summary\":\"s\",\"validation\":[{\"command\":\"c\",\"status\":1}]}", "validation"),
            ("{\"summary\":\"s\",\"follow_up\":[\"\"]}", "follow_up"),
            ("{\"summary\":\"s\",\"proofs_dir\":7}", "proofs_dir"),
        ] {
            let TrackerError::Invalid { reason, .. } = normal(json).unwrap_err() else {
                panic!("{json}")
            };
            assert!(reason.contains(named), "{json}: {reason}");
        }
        let large = format!("{{\"summary\":\"{}\"}}", "x".repeat(HANDOFF_BYTES_MAX));
        assert!(normal(&large).is_err());
    }
}
