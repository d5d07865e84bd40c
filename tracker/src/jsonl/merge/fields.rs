//! Merging one record, field by field. Not: which records belong together, nor how a line is
//! spelled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::document::edit;
use crate::document::elements;
use crate::document::scalar::quote;
use crate::document::schema::{self, Place};
use crate::issue::{as_text, elements_of, list_of};
use crate::jsonl::import::Fields;
use crate::jsonl::text;
use crate::timestamp;

/// The field that lists values which contradict each other.
const CONFLICTS: &str = "conflicts";

/// A record into which versions of it are merged, one after the other.
///
/// What scalar fields end up with does not depend on the order of the versions.
#[derive(Clone, Debug)]
pub struct Merging {
    /// What the record says so far: name -> compact JSON text.
    pub fields: Fields,
    /// Fields that several versions changed, each to something else.
    pub disputed: BTreeSet<String>,
    /// `updated_at` of the version that the merge began with.
    first_date: String,
    /// `updated_at` of the latest version that gave a field the value it has, where a later one did.
    dates: BTreeMap<String, String>,
}

impl Merging {
    /// Begins with one version.
    pub fn begin(ours: &Fields) -> Self {
        let (disputed, dates) = (BTreeSet::new(), BTreeMap::new());
        Self { fields: ours.clone(), disputed, first_date: date_of(ours), dates }
    }

    /// Merges in what `theirs` changed since `base`.
    ///
    /// Without a base, which is one of no fields, nothing counts as removed: lists are united, and
    /// a field that one of them lacks is kept.
    pub fn take(&mut self, base: &Fields, theirs: &Fields) {
        let mut conflicts = settled(base, &self.fields, theirs);
        let mut disputed = false;
        let names: BTreeSet<String> = self.fields.keys().chain(theirs.keys()).cloned().collect();
        for name in names.iter().filter(|name| name.as_str() != CONFLICTS) {
            if self.field(name, base, theirs) {
                let values = [self.fields.get(name), theirs.get(name)];
                add_values(conflicts.entry(name.clone()).or_default(), values);
                self.decide(name, theirs);
                self.disputed.insert(name.clone());
                disputed = true;
            }
        }
        let [before, listed, theirs] =
            [base, &self.fields, theirs].map(|fields| fields.get(CONFLICTS));
        // Where one side alone changed the list, what it says there stands, however it is spelled.
        let wanted = if !disputed && (same(listed, theirs) || same(before, theirs)) {
            listed.cloned()
        } else if !disputed && same(before, listed) {
            theirs.cloned()
        } else if conflicts == conflicts_of(&self.fields) {
            listed.cloned()
        } else {
            (!conflicts.is_empty()).then(|| conflicts_json(&conflicts))
        };
        let is_free = |json: &String| json.starts_with('{') || matches!(&**json, "null" | "[]");
        if !same(listed, wanted.as_ref()) && listed.is_none_or(is_free) {
            self.set(CONFLICTS, wanted.as_ref());
        }
    }

    /// Returns what has to change in `from` so that it says what the merge came to; `None` removes.
    pub fn changes_to(&self, from: &Fields) -> BTreeMap<String, Option<String>> {
        let names: BTreeSet<&String> = self.fields.keys().chain(from.keys()).collect();
        let differing =
            names.into_iter().filter(|name| !same(self.fields.get(*name), from.get(*name)));
        differing.map(|name| (name.clone(), self.fields.get(name).cloned())).collect()
    }

    /// Merges one field; tells whether it is disputed, which leaves it as it is.
    fn field(&mut self, name: &str, base: &Fields, theirs: &Fields) -> bool {
        let (base_value, their_value) = (base.get(name), theirs.get(name));
        let our_value = self.fields.get(name);
        if same(our_value, their_value) {
            let date = latest(self.date_of(name), &date_of(theirs));
            self.dates.insert(name.to_owned(), date);
            return false;
        }
        if same(base_value, their_value) {
            return false;
        }
        if same(base_value, our_value) {
            self.set(name, their_value);
            self.dates.insert(name.to_owned(), date_of(theirs));
            return false;
        }
        let is_list = |json: Option<&String>| json.is_none_or(|json| json.starts_with('['));
        if schema::place_of(name) == Place::Elements
            && [base_value, our_value, their_value].into_iter().all(is_list)
        {
            self.list(name, base, theirs);
        } else if name == "updated_at" {
            if timestamp::compare(&date_of(theirs), &date_of(&self.fields)).is_gt() {
                self.set(name, their_value);
            }
        } else if schema::place_of(name) == Place::Records {
            // It tells how claims stood on each side; what counts follows from the records.
            self.decide(name, theirs);
        } else {
            return true;
        }
        false
    }

    /// Makes what theirs did to a list happen to ours, element by element.
    fn list(&mut self, name: &str, base: &Fields, theirs: &Fields) {
        let list = |fields: &Fields| elements_of(fields.get(name).map_or("null", String::as_str));
        let current = elements::fresh(&list(&self.fields));
        let ops = elements::plan(&list(base), &list(theirs), &current);
        let merged: Vec<String> =
            elements::apply(current, ops).into_iter().map(|element| element.json).collect();
        if merged != list(&self.fields) {
            self.set(name, Some(&list_of(&merged)));
        }
    }

    /// Keeps the later of two values, of equally late ones the larger.
    fn decide(&mut self, name: &str, theirs: &Fields) {
        let (ours, their_value) = (self.fields.get(name), theirs.get(name));
        let their_date = date_of(theirs);
        let is_theirs = timestamp::compare(&their_date, self.date_of(name))
            .then_with(|| their_value.cmp(&ours))
            .is_gt();
        if is_theirs {
            self.set(name, their_value);
            self.dates.insert(name.to_owned(), their_date);
        }
    }

    fn date_of(&self, name: &str) -> &str {
        self.dates.get(name).unwrap_or(&self.first_date)
    }

    fn set(&mut self, name: &str, json: Option<&String>) {
        match json {
            Some(json) => self.fields.insert(name.to_owned(), json.clone()),
            None => self.fields.remove(name),
        };
    }
}

/// Tells whether two records say the same.
pub fn is_alike(a: &Fields, b: &Fields) -> bool {
    a.len() == b.len() && a.keys().all(|name| same(a.get(name), b.get(name)))
}

fn same(a: Option<&String>, b: Option<&String>) -> bool {
    edit::same(a.map(String::as_str), b.map(String::as_str))
}

/// Returns a record's `updated_at`; empty, which is before every date, where it has none.
fn date_of(fields: &Fields) -> String {
    fields.get("updated_at").and_then(|json| as_text(json)).unwrap_or_default()
}

fn latest(a: &str, b: &str) -> String {
    if timestamp::compare(a, b).is_lt() { b } else { a }.to_owned()
}

/// Adds values to those that are listed for a field, each once and in order of their bytes.
fn add_values<'a>(values: &mut Vec<String>, more: impl IntoIterator<Item = Option<&'a String>>) {
    for json in more.into_iter().flatten() {
        if !values.iter().any(|other| text::equal(other, json)) {
            values.push(json.clone());
        }
    }
    values.sort();
}

/// Returns the conflicts that both sides still have, or that one side found since.
fn settled(base: &Fields, ours: &Fields, theirs: &Fields) -> BTreeMap<String, Vec<String>> {
    let [base, ours, theirs] = [base, ours, theirs].map(conflicts_of);
    let mut all = BTreeMap::new();
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let is_settled =
            base.contains_key(name) && !(ours.contains_key(name) && theirs.contains_key(name));
        if is_settled {
            continue;
        }
        let [before, ours, theirs] =
            [&base, &ours, &theirs].map(|side| side.get(name).map_or(&[][..], Vec::as_slice));
        let values = merged_values(before, ours, theirs);
        if values.is_empty() && !ours.is_empty() && !theirs.is_empty() {
            continue;
        }
        all.insert(name.clone(), values);
    }
    all
}

/// Returns the values that both sides have, or that one side added, each once.
fn merged_values(before: &[String], ours: &[String], theirs: &[String]) -> Vec<String> {
    let has = |values: &[String], json: &String| values.iter().any(|v| text::equal(v, json));
    let of_ours = ours.iter().map(|json| (json, theirs));
    let of_theirs = theirs.iter().map(|json| (json, ours));
    let mut values: Vec<String> = Vec::new();
    for (json, other) in of_ours.chain(of_theirs) {
        let is_gone = has(before, json) && !has(other, json);
        if !is_gone && !has(&values, json) {
            values.push(json.clone());
        }
    }
    values
}

/// Returns the values that a record lists by field; one that is in no list counts as a list of one.
///
/// What is no object lists nothing.
fn conflicts_of(fields: &Fields) -> BTreeMap<String, Vec<String>> {
    let Some(json) = fields.get(CONFLICTS) else { return BTreeMap::new() };
    let Ok(listed) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else {
        return BTreeMap::new();
    };
    let values = |value: &RawValue| {
        let json = text::compact(value.get());
        if json.starts_with('[') { elements_of(&json) } else { vec![json] }
    };
    listed.into_iter().map(|(name, value)| (name, values(value))).collect()
}

fn conflicts_json(conflicts: &BTreeMap<String, Vec<String>>) -> String {
    let fields: Vec<String> = conflicts
        .iter()
        .map(|(name, values)| format!("{}:{}", quote(name), list_of(values)))
        .collect();
    format!("{{{}}}", fields.join(","))
}
