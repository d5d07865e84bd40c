//! What each change of a document did to what its author knew: the account behind a log. Reads only.
//!
//! Which commit carried a change is the journal's business.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use automerge::legacy::{Key, ObjectId, OpId, OpType};
use automerge::{Change, ChangeHash};

use serde::{Deserialize, Serialize};

use super::edit::same;
use super::elements::{self, Element};
use super::history::in_seconds;
use super::read::View;
use super::records::{self, record_of};
use super::schema::{self, Place};
use super::{Birth, Document};
use crate::claim::record::{Act, Record};
use crate::id::LogId;
use crate::timestamp::Timestamp;

/// One change of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The hash of the change.
    pub hash: [u8; 32],
    /// The log of its author.
    pub log: LogId,
    /// When it was made by its author's clock, in whole seconds.
    pub at: Timestamp,
    /// Whether it gave the document its first fields.
    pub creates: bool,
    /// What it did to each field that it wrote; `updated_at` is none of them.
    pub edits: Vec<FieldEdit>,
}

/// What a change did to one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldEdit {
    /// Which field.
    pub field: String,
    /// What it did.
    pub what: What,
    /// Whether the value stood beside another one that won over it.
    pub lost: bool,
}

/// How a field was changed; values and elements are compact JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// As a whole. Both values are equal where the field was written to settle a conflict.
    Value {
        /// What its author saw before; `None` where the field was absent.
        from: Option<String>,
        /// What was written; `None` where the field was taken out.
        to: Option<String>,
    },
    /// Element by element.
    List {
        /// Elements put in.
        added: Vec<String>,
        /// Elements taken out.
        removed: Vec<String>,
        /// Elements given another place.
        moved: Vec<String>,
    },
}

/// Which steps are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only what happened to this field.
    pub field: Option<&'a str>,
    /// How many at the most.
    pub limit: Option<usize>,
}

impl Document {
    /// Returns the changes that wrote fields, newest first: each stands before all that it builds on,
    /// and of several that may come next the one with the latest date does.
    ///
    /// Also tells whether there are more than `limit`.
    pub fn steps(&self, wanted: Wanted<'_>) -> (Vec<Step>, bool) {
        let account = Account::of(self);
        let mut contests = Contests::of(self);
        let mut steps = Vec::new();
        for at in account.newest_first() {
            let is_full = wanted.limit.is_some_and(|limit| steps.len() >= limit);
            let step = account.step(at, wanted.field, &mut contests);
            if step.edits.is_empty() {
                continue;
            }
            if is_full {
                return (steps, true);
            }
            steps.push(step);
        }
        (steps, false)
    }
}

/// The changes of a document, in an order that builds on itself.
pub(super) struct Account<'a> {
    document: &'a Document,
    genesis: ChangeHash,
    changes: Vec<Change>,
    places: HashMap<ChangeHash, usize>,
}

impl<'a> Account<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        let changes = document.doc.get_changes(&[]);
        let places = changes.iter().enumerate().map(|(at, change)| (change.hash(), at)).collect();
        Self { document, genesis: document.birth.genesis_hash(), changes, places }
    }

    /// Returns where some changes stand, oldest first; those that are not here are left out.
    pub(super) fn places_of(&self, hashes: &[[u8; 32]]) -> BTreeSet<usize> {
        hashes.iter().filter_map(|hash| self.places.get(&ChangeHash(*hash)).copied()).collect()
    }

    /// Returns all changes but the genesis.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Change)> {
        self.changes.iter().enumerate().filter(|(_, change)| change.hash() != self.genesis)
    }

    pub(super) fn change(&self, at: usize) -> &Change {
        &self.changes[at]
    }

    /// Tells whether a change is the first after genesis, as its author knew the document.
    pub(super) fn creates(&self, at: usize) -> bool {
        self.changes[at].deps() == [self.genesis]
    }

    /// Returns what some changes build on, themselves included, by place.
    pub(super) fn past(&self, places: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut past = vec![false; self.changes.len()];
        let mut open: Vec<usize> = places.into_iter().collect();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut past[at], true) {
                open.extend(self.parents(at));
            }
        }
        past
    }

    fn parents(&self, at: usize) -> impl Iterator<Item = usize> {
        self.changes[at].deps().iter().filter_map(|dep| self.places.get(dep).copied())
    }

    fn newest_first(&self) -> Vec<usize> {
        let mut followers = vec![0_usize; self.changes.len()];
        for at in 0..self.changes.len() {
            self.parents(at).for_each(|parent| followers[parent] += 1);
        }
        let entry = |at: usize| (self.changes[at].timestamp(), self.changes[at].hash(), at);
        let heads = (0..self.changes.len()).filter(|at| followers[*at] == 0);
        let mut next: BinaryHeap<_> = heads.map(entry).collect();
        let mut order = Vec::with_capacity(self.changes.len());
        while let Some((_, hash, at)) = next.pop() {
            for parent in self.parents(at) {
                followers[parent] -= 1;
                if followers[parent] == 0 {
                    next.push(entry(parent));
                }
            }
            if hash != self.genesis {
                order.push(at);
            }
        }
        order
    }

    fn step(&self, at: usize, field: Option<&str>, contests: &mut Contests) -> Step {
        let change = &self.changes[at];
        let hash = [change.hash()];
        let view = |heads| View {
            birth: &self.document.birth,
            doc: &self.document.doc,
            heads: Some(heads),
        };
        let (before, after) = (view(change.deps()), view(&hash));
        let creates = self.creates(at);
        let edits = match creates {
            true => self.creation(&hash, field),
            false => self.edits(at, field, before, after, contests),
        };
        Step {
            hash: hash[0].0,
            log: log_of(change),
            at: in_seconds(change.timestamp()),
            creates,
            edits,
        }
    }

    fn creation(&self, hash: &[ChangeHash], field: Option<&str>) -> Vec<FieldEdit> {
        let issue = self.document.read_at(&[hash[0].0]).issue;
        issue
            .in_canonical_order()
            .into_iter()
            .filter(|(name, _)| is_told(name) && name != "conflicts" && is_wanted(name, field))
            .map(|(field, json)| FieldEdit {
                field,
                what: What::Value { from: None, to: Some(json) },
                lost: false,
            })
            .collect()
    }

    fn edits(
        &self,
        at: usize,
        field: Option<&str>,
        before: View<'_>,
        after: View<'_>,
        contests: &mut Contests,
    ) -> Vec<FieldEdit> {
        let touched = Touched::by(&self.document.birth, &self.changes[at]);
        let mut edits = Vec::new();
        for name in touched.fields() {
            if !is_wanted(&name, field) {
                continue;
            }
            if touched.follows_from_records(&name) {
                let (from, to) = (self.shown(before, &name), self.shown(after, &name));
                if !same(from.as_deref(), to.as_deref()) {
                    let what = What::Value { from, to };
                    edits.push(FieldEdit { field: name, what, lost: false });
                }
                continue;
            }
            let is_list = schema::place_of(&name) == Place::Elements;
            if is_list && !is_lone(before, &name) && !is_lone(after, &name) {
                let keys = touched.elements.get(&name);
                edits.extend(self.list_edit(name, keys, before, after));
                continue;
            }
            let (from, to) = match is_list {
                true => (self.shown(before, &name), self.shown(after, &name)),
                false => (before.register(&name), after.register(&name)),
            };
            contests.judge(&name, before);
            let lost = match &to {
                Some(_) => contests.lost(&name, self.changes[at].hash()),
                None => self.is_overruled(at, &name, contests),
            };
            edits.push(FieldEdit { field: name, what: What::Value { from, to }, lost });
        }
        // What a merge of files recorded goes with the field that is written.
        if edits.len() > 1 {
            edits.retain(|edit| edit.field != "conflicts");
        }
        edits
    }

    fn list_edit(
        &self,
        field: String,
        keys: Option<&BTreeSet<String>>,
        before: View<'_>,
        after: View<'_>,
    ) -> Option<FieldEdit> {
        let (mut added, mut removed, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys.into_iter().flatten() {
            match (before.element(&field, key), after.element(&field, key)) {
                (None, Some(element)) => added.push(element),
                (Some(element), None) => removed.push(element),
                (Some(old), Some(new)) if old.order != new.order => moved.push(new),
                _ => {}
            }
        }
        let what = if added.is_empty() && removed.is_empty() && moved.is_empty() {
            let (from, to) = (self.shown(before, &field), self.shown(after, &field));
            if same(from.as_deref(), to.as_deref()) {
                return None;
            }
            What::Value { from, to }
        } else {
            What::List { added: texts(added), removed: texts(removed), moved: texts(moved) }
        };
        Some(FieldEdit { field, what, lost: false })
    }

    fn shown(&self, view: View<'_>, name: &str) -> Option<String> {
        let heads: Vec<[u8; 32]> = view.heads?.iter().map(|hash| hash.0).collect();
        self.document.read_at(&heads).issue.json(name).map(str::to_owned)
    }

    /// Tells whether a field that a change took out is there because of others who had not seen it.
    fn is_overruled(&self, at: usize, name: &str, contests: &mut Contests) -> bool {
        let now = View { birth: &self.document.birth, doc: &self.document.doc, heads: None };
        let written = now.written(name);
        let knew = |hash: &ChangeHash| {
            let past = contests.pasts.entry(*hash).or_insert_with(|| {
                self.places.get(hash).map(|at| self.past([*at])).unwrap_or_default()
            });
            past.get(at).copied().unwrap_or(false)
        };
        !written.is_empty() && !written.iter().map(|(_, hash)| hash).any(knew)
    }
}

/// What became of values that stood side by side, told by whoever wrote next.
struct Contests {
    /// Whether a value won wherever it stood beside others.
    won: HashMap<(String, ChangeHash), bool>,
    pasts: HashMap<ChangeHash, Vec<bool>>,
}

impl Contests {
    /// Begins with what stands side by side now.
    fn of(document: &Document) -> Self {
        let mut contests = Self { won: HashMap::new(), pasts: HashMap::new() };
        let now = View { birth: &document.birth, doc: &document.doc, heads: None };
        for name in document.read().registers.keys() {
            contests.judge(name, now);
        }
        contests
    }

    fn judge(&mut self, name: &str, view: View<'_>) {
        let written = view.written(name);
        if written.len() < 2 {
            return;
        }
        let shown = view.register(name);
        for (json, hash) in written {
            let is_shown = same(shown.as_deref(), Some(&json));
            *self.won.entry((name.to_owned(), hash)).or_default() |= is_shown;
        }
    }

    fn lost(&self, name: &str, hash: ChangeHash) -> bool {
        self.won.get(&(name.to_owned(), hash)) == Some(&false)
    }
}

/// The registers and list entries that changes wrote.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) registers: BTreeSet<String>,
    /// Keys of elements by field.
    pub(super) elements: BTreeMap<String, BTreeSet<String>>,
    /// Whether a record ends the issue or opens it again.
    pub(super) verdicts: bool,
    /// Whether another record was added.
    pub(super) claims: bool,
}

impl Touched {
    /// Returns what one change wrote.
    pub(super) fn by(birth: &Birth, change: &Change) -> Self {
        let mut touched = Self::default();
        touched.add(birth, change);
        touched
    }

    pub(super) fn add(&mut self, birth: &Birth, change: &Change) {
        let maps = schema::GENESIS_MAPS.iter();
        let maps: HashMap<u64, &str> =
            maps.filter_map(|name| Some((birth.map_op(name)?.counter(), *name))).collect();
        for op in change.decode().operations {
            let (ObjectId::Id(OpId(counter, _)), Key::Map(key)) = (&op.obj, &op.key) else {
                continue;
            };
            match maps.get(counter).copied() {
                None => {}
                Some(schema::RECORDS_MAP) => {
                    if let OpType::Put(value) = &op.action {
                        self.add_record(record_of(&birth.id, key, value));
                    }
                }
                Some(schema::FIELDS_MAP) => drop(self.registers.insert(key.to_string())),
                Some(list) => {
                    let key = key.strip_suffix(elements::SINCE).unwrap_or(key);
                    self.elements.entry(list.to_owned()).or_default().insert(key.to_owned());
                }
            }
        }
    }

    fn add_record(&mut self, record: Option<Record>) {
        match record.map(|record| record.act) {
            Some(Act::Ruling(_) | Act::Reopen(_)) => self.verdicts = true,
            Some(_) => self.claims = true,
            None => {}
        }
    }

    /// Tells whether a field may have changed because of records.
    pub(super) fn follows_from_records(&self, name: &str) -> bool {
        (self.verdicts || self.claims) && records::is_computed(name)
    }

    /// Returns the names of the fields that people are told of.
    pub(super) fn fields(&self) -> BTreeSet<String> {
        let names = self.registers.iter().chain(self.elements.keys()).map(String::as_str);
        let computed = records::COMPUTED.into_iter().filter(|name| self.follows_from_records(name));
        names.chain(computed).filter(|name| is_told(name)).map(str::to_owned).collect()
    }

    /// Tells whether an element was written.
    pub(super) fn element(&self, field: &str, key: &str) -> bool {
        self.elements.get(field).is_some_and(|keys| keys.contains(key))
    }
}

/// Tells whether a register holds a value in the place of a list.
pub(super) fn is_lone(view: View<'_>, name: &str) -> bool {
    view.register(name).is_some_and(|json| json != "[]")
}

/// Returns the log that a change was written in.
pub(super) fn log_of(change: &Change) -> LogId {
    let actor = change.actor_id().to_bytes();
    // Changes are let in only if their actor ends in a log.
    let log = LogId::from_bytes(&actor[actor.len().saturating_sub(LogId::BYTES)..]);
    log.unwrap_or(LogId { agent: crate::id::AgentId([0; 32]), nonce: [0; 8] })
}

fn is_told(name: &str) -> bool {
    name != "updated_at" && schema::place_of(name) != Place::Genesis
}

fn is_wanted(name: &str, field: Option<&str>) -> bool {
    field.is_none_or(|field| field == name)
}

fn texts(mut list: Vec<Element>) -> Vec<String> {
    elements::sort(&mut list);
    list.into_iter().map(|element| element.json).collect()
}
