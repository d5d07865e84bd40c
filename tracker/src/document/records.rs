//! The claim records in a document, and the fields that follow from them. Who may claim, and who
//! wins, is decided in `claim`.

use std::collections::BTreeMap;

use automerge::{ReadDoc, ScalarValue, ValueRef};

use super::read::View;
use super::scalar::quote;
use super::schema;
use super::{Document, Heads, to_hashes};
use crate::claim::record::{Act, Origin, Record};
use crate::claim::slate;
use crate::claim::tree::{Phase, Tree};
use crate::id::RecordHash;
use crate::issue::list_of;
use crate::state::State;

/// The fields that follow from records where there are any.
pub const COMPUTED: [&str; 4] = ["state", "handoff", "shard", "claim"];

/// Tells whether a field follows from records where there are any.
pub fn is_computed(name: &str) -> bool {
    COMPUTED.contains(&name)
}

/// Returns the record under a key of the map of records, if it is one of that issue.
pub(super) fn record_of(issue: &str, key: &str, value: &ScalarValue) -> Option<Record> {
    let ScalarValue::Bytes(bytes) = value else { return None };
    let record = Record::decode(bytes, issue)?;
    (record.key() == key).then_some(record)
}

impl Document {
    /// Tells whether anybody has ever claimed the issue or ruled on it.
    pub fn has_records(&self) -> bool {
        let map = self.birth.map(schema::RECORDS_MAP);
        map.is_some_and(|map| self.doc.length(&map) > 0)
    }

    /// Returns what the records come to, now or as they were at some heads.
    pub fn tree(&self, heads: Option<&Heads>) -> Tree {
        let heads = heads.map(|heads| to_hashes(heads));
        View { birth: &self.birth, doc: &self.doc, heads: heads.as_deref() }.tree()
    }
}

impl View<'_> {
    /// Returns what the records come to.
    pub(super) fn tree(&self) -> Tree {
        let issue = &self.birth.id;
        let Some(map) = self.birth.map(schema::RECORDS_MAP) else { return Tree::default() };
        let records = self.range(&map).filter_map(|item| match &item.value {
            ValueRef::Scalar(value) => record_of(issue, &item.key, &ScalarValue::from(value)),
            ValueRef::Object(_) => None,
        });
        Tree::of(issue, records)
    }
}

/// Puts what follows from records in the place of what is stored.
pub(super) fn overlay(
    tree: &Tree,
    fields: &mut BTreeMap<String, String>,
    conflicts: &mut BTreeMap<String, Vec<String>>,
) {
    if tree.is_empty() {
        return;
    }
    overlay_state(tree, fields, conflicts);
    if tree.claims().next().is_some() {
        replace(fields, "claim", tree.holder().and_then(|claim| claim_json(tree, claim)));
    }
    if let Some((_, shard)) = tree.shard() {
        let [primary, backups @ ..] = shard.slate.as_slice() else { return };
        let backups: Vec<String> = backups.iter().map(|agent| quote(&agent.to_string())).collect();
        let json = format!(
            "{{\"primary\":{},\"backups\":{},\"claim_ttl_ms\":{},\"created_view_epoch\":{}}}",
            quote(&primary.to_string()),
            list_of(&backups),
            shard.ttl_ms,
            shard.epoch
        );
        fields.insert("shard".to_owned(), json);
    }
    overlay_handoff(tree, fields, conflicts);
}

fn overlay_state(
    tree: &Tree,
    fields: &mut BTreeMap<String, String>,
    conflicts: &mut BTreeMap<String, Vec<String>>,
) {
    let stored = fields.get("state").cloned();
    let state = match tree.phase() {
        Phase::Ruled(verdict) => verdict.state(),
        Phase::Review(_) => State::Review,
        Phase::Held(_) => State::InProgress,
        Phase::Open => return,
    };
    let shown = quote(state.name());
    // What the field says beside it counts again only once the records leave the state to it.
    conflicts.remove("state");
    let of_verdict = |hash: &RecordHash| match &tree.records().get(hash)?.act {
        Act::Ruling(ruling) => Some(quote(ruling.verdict.state().name())),
        _ => stored.clone(),
    };
    let mut others: Vec<String> = tree.verdicts().iter().filter_map(of_verdict).collect();
    others.retain(|other| *other != shown);
    others.sort();
    others.dedup();
    if matches!(tree.phase(), Phase::Ruled(_)) && !others.is_empty() {
        conflicts.insert("state".to_owned(), others);
    }
    fields.insert("state".to_owned(), shown);
}

fn overlay_handoff(
    tree: &Tree,
    fields: &mut BTreeMap<String, String>,
    conflicts: &mut BTreeMap<String, Vec<String>>,
) {
    let was_handed_off = |record: &Record| crate::claim::tree::handoff_json(record).is_some();
    if !tree.records().values().any(was_handed_off) {
        return;
    }
    conflicts.remove("handoff");
    let own = tree.winner().map(|winner| tree.handoffs_of(winner)).unwrap_or_default();
    let shown = own.first().map(|(_, json)| (*json).to_owned());
    let mut others: Vec<String> = tree
        .standing_handoffs()
        .into_iter()
        .map(|(_, json)| json.to_owned())
        .filter(|json| Some(json) != shown.as_ref())
        .collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        conflicts.insert("handoff".to_owned(), others);
    }
    replace(fields, "handoff", shown);
}

/// Returns the field `claim` without the commit that proves it, which the document does not know.
fn claim_json(tree: &Tree, claim: RecordHash) -> Option<String> {
    let (record, _) = tree.claim(claim)?;
    Some(format!(
        "{{\"by\":{},\"at\":{},\"heartbeat_at\":{},\"shard_role\":{}}}",
        quote(&record.by.to_string()),
        quote(&record.at.to_string()),
        quote(&newest(tree, claim, record).to_string()),
        quote(slate::role(tree.slot(claim)))
    ))
}

/// Returns the time of the newest record of a claim: its own, or that of a contest by its holder.
fn newest(tree: &Tree, claim: RecordHash, record: &Record) -> crate::timestamp::Timestamp {
    let is_of = |other: &&Record| match other.act {
        Act::Contest { takeover } => {
            let origin = tree.claim(takeover).map(|(_, takeover)| takeover.origin);
            origin == Some(Origin::Takeover(claim)) && other.by == record.by
        }
        _ => false,
    };
    let contests = tree.records().values().filter(is_of).map(|contest| contest.at);
    contests.chain([record.at]).max().unwrap_or(record.at)
}

fn replace(fields: &mut BTreeMap<String, String>, name: &str, json: Option<String>) {
    match json {
        Some(json) => drop(fields.insert(name.to_owned(), json)),
        None => drop(fields.remove(name)),
    }
}
