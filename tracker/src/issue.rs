//! One issue as every surface shows it: its JSONL fields, conflicts and version.
//!
//! Values are kept as compact JSON text, so nothing that a file spelled is lost on the way. How
//! they are stored is the business of `document`.

use std::collections::BTreeMap;

use crate::document::{Birth, schema};
use crate::id::{DocumentKey, Version};
use crate::state::{self, State};

/// The longest title, in bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 1_024;

/// One issue, read from its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// What names the document.
    pub birth: Birth,
    /// Every field but `conflicts`: name -> compact JSON text.
    pub fields: BTreeMap<String, String>,
    /// Values of fields that several people wrote at once, without the one that is shown.
    pub conflicts: BTreeMap<String, Vec<String>>,
    /// Which state of the document this is.
    pub version: Version,
}

impl Issue {
    /// Returns the key of the document.
    pub fn key(&self) -> DocumentKey {
        self.birth.key()
    }

    /// Returns the issue's id.
    pub fn id(&self) -> &str {
        &self.birth.id
    }

    /// Returns a field's compact JSON text.
    pub fn json(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Returns a field that is a string; `None` where it is absent or something else.
    pub fn text(&self, name: &str) -> Option<String> {
        self.json(name).and_then(as_text)
    }

    /// Returns the title, or nothing where the record has none.
    pub fn title(&self) -> String {
        self.text("title").unwrap_or_default()
    }

    /// Returns the state as spelled.
    pub fn state(&self) -> Option<String> {
        self.text("state")
    }

    /// Returns the known state; `None` for an unknown or absent one.
    pub fn known_state(&self) -> Option<State> {
        self.state().as_deref().and_then(State::parse)
    }

    /// Returns the priority where it is a whole number.
    pub fn priority(&self) -> Option<i64> {
        self.json("priority").and_then(|json| json.parse().ok())
    }

    /// Returns a list field's elements as compact JSON; a lone value counts as a list of one.
    pub fn elements(&self, name: &str) -> Vec<String> {
        self.json(name).map(elements_of).unwrap_or_default()
    }

    /// Returns the strings of a list field.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.elements(name).iter().filter_map(|json| as_text(json)).collect()
    }

    /// Returns the names of the issues that this one waits for.
    pub fn blockers(&self) -> Vec<String> {
        self.elements("blocked_by")
            .iter()
            .filter_map(|json| crate::blocker::name_of(json))
            .collect()
    }

    /// Tells whether the issue was removed.
    pub fn is_deleted(&self) -> bool {
        self.json("deleted_at").is_some_and(|json| json != "null")
    }

    /// Tells whether the state ends the issue.
    pub fn is_terminal(&self) -> bool {
        state::is_terminal(self.state().as_deref())
    }

    /// Returns `conflicts` as compact JSON; `None` where there are none.
    pub fn conflicts_json(&self) -> Option<String> {
        if self.conflicts.is_empty() {
            return None;
        }
        let fields: Vec<String> = self
            .conflicts
            .iter()
            .map(|(name, values)| {
                format!("{}:[{}]", crate::document::scalar::quote(name), values.join(","))
            })
            .collect();
        Some(format!("{{{}}}", fields.join(",")))
    }

    /// Returns every field in canonical order: known ones as in the schema, then the others by name.
    pub fn in_canonical_order(&self) -> Vec<(String, String)> {
        let mut all = self.fields.clone();
        if let Some(json) = self.conflicts_json() {
            all.insert("conflicts".to_owned(), json);
        }
        let known: Vec<(String, String)> = schema::rules()
            .filter_map(|rule| Some((rule.name.to_owned(), all.remove(rule.name)?)))
            .collect();
        known.into_iter().chain(all).collect()
    }

    /// Returns the record as one line of canonical JSON, which depends on the commits alone.
    pub fn canonical_json(&self) -> String {
        let fields = self.in_canonical_order();
        let mut json =
            String::with_capacity(fields.iter().map(|(k, v)| k.len() + v.len() + 4).sum());
        json.push('{');
        for (i, (name, value)) in fields.iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            json.push_str(&crate::document::scalar::quote(name));
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json
    }
}

/// Returns a compact JSON text that is a string.
pub fn as_text(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten()
}

/// Returns the elements of a compact JSON list; a lone value other than null is a list of one.
pub fn elements_of(json: &str) -> Vec<String> {
    if json == "null" {
        return Vec::new();
    }
    if !json.starts_with('[') {
        return vec![json.to_owned()];
    }
    serde_json::from_str::<Vec<&serde_json::value::RawValue>>(json)
        .map(|values| values.iter().map(|value| value.get().to_owned()).collect())
        .unwrap_or_default()
}

/// Returns a list of compact JSON texts as one.
pub fn list_of(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}
