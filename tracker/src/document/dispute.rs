//! Fields that hold several values: who wrote each, and the edit that settles one. Writes nothing
//! itself.

use std::collections::BTreeMap;

use automerge::ReadDoc;

use serde::{Deserialize, Serialize};

use super::edit::same;
use super::history::in_seconds;
use super::read::{View, parse_conflicts};
use super::reversal::conflicts_json;
use super::steps::log_of;
use super::{Content, Document, Edit};
use crate::id::LogId;
use crate::timestamp::Timestamp;

/// A field with several values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Which field.
    pub field: String,
    /// The value that is shown.
    pub shown: Candidate,
    /// The other values, sorted.
    pub others: Vec<Candidate>,
}

/// One of the values of a disputed field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The value in compact JSON; `None` where the field is absent.
    pub json: Option<String>,
    /// Who wrote it, and when by the author's clock; `None` for a value that a merge of files
    /// recorded, and for a list, whose elements have authors of their own.
    pub writer: Option<(LogId, Timestamp)>,
}

impl Document {
    /// Returns the disputed fields of the document, which says `now`.
    pub fn disputes(&self, now: &Content) -> Vec<Dispute> {
        let view = View { birth: &self.birth, doc: &self.doc, heads: None };
        let fields = now.issue.conflicts.iter();
        fields
            .map(|(field, values)| {
                let written = view.written(field);
                let candidate = |json: Option<&str>| {
                    let wrote = |(other, _): &&(String, _)| same(Some(other), json);
                    let change = written
                        .iter()
                        .rev()
                        .find(wrote)
                        .and_then(|(_, hash)| self.doc.get_change_by_hash(hash));
                    let writer =
                        change.map(|change| (log_of(&change), in_seconds(change.timestamp())));
                    Candidate { json: json.map(str::to_owned), writer }
                };
                let others = values.iter().map(|json| candidate(Some(json))).collect();
                Dispute { field: field.clone(), shown: candidate(now.issue.json(field)), others }
            })
            .collect()
    }
}

impl Edit {
    /// Sets a disputed field to one value, also where that is the value shown, so that it is disputed
    /// no more.
    pub fn settle(&mut self, now: &Content, field: &str, value: Option<&str>) {
        self.set(now, field, value);
        let stored = now.registers.get("conflicts").and_then(|json| parse_conflicts(json));
        let Some(mut stored): Option<BTreeMap<String, Vec<String>>> = stored else { return };
        if stored.remove(field).is_some() {
            self.registers.insert("conflicts".to_owned(), conflicts_json(&stored));
        }
    }
}
