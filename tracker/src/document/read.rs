//! Reading a document, now or as it stood at earlier heads. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use automerge::iter::MapRange;
use automerge::{Automerge, ChangeHash, ObjId, ReadDoc, ScalarValue, Value, ValueRef};

use super::elements::{self, Element};
use super::schema::{self, Place};
use super::{Birth, Document, scalar, to_hashes, version_of};
use crate::claim::Tree;
use crate::id::Version;
use crate::issue::{Issue, list_of};
use crate::jsonl::text;
use crate::timestamp;

/// Everything that a document says at some heads.
#[derive(Clone, Debug)]
pub struct Content {
    /// The record as it is shown.
    pub issue: Issue,
    /// The elements of each list field that has any, in order.
    pub lists: BTreeMap<String, Vec<Element>>,
    /// The registers as stored, `conflicts` among them.
    pub registers: BTreeMap<String, String>,
    /// What the claim records come to.
    pub tree: Tree,
}

impl Document {
    /// Returns what the document says now.
    pub fn read(&self) -> Content {
        self.read_view(None)
    }

    /// Returns what the document said at `heads`, which must be changes that it holds.
    pub fn read_at(&self, heads: &[[u8; 32]]) -> Content {
        self.read_view(Some(&to_hashes(heads)))
    }

    /// Tells whether the document holds every one of these changes.
    pub fn holds(&self, heads: &[[u8; 32]]) -> bool {
        to_hashes(heads).iter().all(|hash| self.doc.get_change_meta_by_hash(hash).is_some())
    }

    fn read_view(&self, heads: Option<&[ChangeHash]>) -> Content {
        let view = View { birth: &self.birth, doc: &self.doc, heads };
        let (registers, conflicts) = view.registers();
        let lists = schema::rules()
            .filter(|rule| rule.place == Place::Elements)
            .filter_map(|rule| Some((rule.name.to_owned(), view.elements(rule.name)?)))
            .collect();
        let version = match heads {
            None => self.version(),
            Some(heads) => version_of(&heads.iter().map(|hash| hash.0).collect::<Vec<_>>()),
        };
        assemble(&self.birth, Maps { registers, lists, tree: view.tree() }, conflicts, version)
    }
}

impl Content {
    /// Returns what a document says that holds nothing but its genesis.
    pub fn empty(birth: &Birth) -> Self {
        let version = version_of(&[birth.genesis_hash().0]);
        assemble(birth, Maps::default(), BTreeMap::new(), version)
    }
}

/// What the maps of a document hold.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) registers: BTreeMap<String, String>,
    pub(super) lists: BTreeMap<String, Vec<Element>>,
    pub(super) tree: Tree,
}

/// Puts together what a document says from what its maps hold.
pub(super) fn assemble(
    birth: &Birth,
    maps: Maps,
    mut conflicts: BTreeMap<String, Vec<String>>,
    version: Version,
) -> Content {
    let Maps { registers, lists, tree } = maps;
    let mut fields = registers.clone();
    fields.insert("id".to_owned(), scalar::quote(&birth.id));
    if let Some(created_at) = &birth.created_at {
        fields.insert("created_at".to_owned(), created_at.clone());
    }
    for (name, list) in &lists {
        let json: Vec<String> = list.iter().map(|element| element.json.clone()).collect();
        let register = registers.get(name).filter(|json| *json != "[]");
        match register {
            // Everything was taken out, on several sides at once, or put in place of a list.
            Some(_) if list.is_empty() => {}
            None | Some(_) => drop(fields.insert(name.clone(), list_of(&json))),
        }
        if let Some(register) = register.filter(|_| !list.is_empty()) {
            conflicts.entry(name.clone()).or_default().push(register.clone());
        }
    }
    if let Some(stored) = fields.remove("conflicts") {
        match parse_conflicts(&stored) {
            Some(stored) => add_stored(&mut conflicts, stored, &fields),
            None => drop(fields.insert("conflicts".to_owned(), stored)),
        }
    }
    super::records::overlay(&tree, &mut fields, &mut conflicts);
    let issue = Issue { birth: birth.clone(), fields, conflicts, version };
    Content { issue, lists, registers, tree }
}

/// Reads the register `conflicts`: an object of lists; `None` for anything else.
pub(super) fn parse_conflicts(json: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let fields: BTreeMap<String, Vec<&serde_json::value::RawValue>> =
        serde_json::from_str(json).ok()?;
    let texts = |values: Vec<&serde_json::value::RawValue>| {
        values.into_iter().map(|value| value.get().to_owned()).collect()
    };
    Some(fields.into_iter().map(|(name, values)| (name, texts(values))).collect())
}

/// Adds what a merge of files recorded to what concurrent edits left, each value once.
fn add_stored(
    conflicts: &mut BTreeMap<String, Vec<String>>,
    stored: BTreeMap<String, Vec<String>>,
    fields: &BTreeMap<String, String>,
) {
    for (name, values) in stored {
        let shown = fields.get(&name).cloned();
        let known = conflicts.remove(&name).unwrap_or_default();
        let mut all: Vec<String> = Vec::new();
        for value in known.into_iter().chain(values) {
            let is_shown = shown.as_deref().is_some_and(|shown| text::equal(shown, &value));
            if !is_shown && !all.iter().any(|other| text::equal(other, &value)) {
                all.push(value);
            }
        }
        all.sort();
        if !all.is_empty() {
            conflicts.insert(name, all);
        }
    }
}

/// A document as it stands now, or as it stood at some heads.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) birth: &'a Birth,
    pub(super) doc: &'a Automerge,
    pub(super) heads: Option<&'a [ChangeHash]>,
}

type Registers = (BTreeMap<String, String>, BTreeMap<String, Vec<String>>);

impl View<'_> {
    fn registers(&self) -> Registers {
        let (mut registers, mut conflicts) = (BTreeMap::new(), BTreeMap::new());
        let Some(map) = self.birth.map(schema::FIELDS_MAP) else {
            return (registers, conflicts);
        };
        for item in self.range(&map) {
            let name = item.key.to_string();
            let Some(mut shown) = json_of(&item.value) else { continue };
            if item.conflict {
                let (winner, others) = self.winner(&map, &name);
                shown = winner.unwrap_or(shown);
                if !others.is_empty() {
                    conflicts.insert(name.clone(), others);
                }
            }
            registers.insert(name, shown);
        }
        (registers, conflicts)
    }

    /// Returns the value that is shown of a register, and those that stand beside it and differ.
    fn winner(&self, map: &ObjId, name: &str) -> (Option<String>, Vec<String>) {
        let all = self.standing(map, name);
        if name == "updated_at" {
            return (latest(&all), Vec::new());
        }
        let shown = all.last().cloned();
        let others = shown.as_deref().map(|shown| others(shown, all)).unwrap_or_default();
        (shown, others)
    }

    /// Returns the value that is shown of a register; `None` where it has none.
    pub(super) fn register(&self, name: &str) -> Option<String> {
        self.winner(&self.birth.map(schema::FIELDS_MAP)?, name).0
    }

    /// Returns the values of a register that stand side by side, each with the change that wrote it.
    pub(super) fn written(&self, name: &str) -> Vec<(String, ChangeHash)> {
        let Some(map) = self.birth.map(schema::FIELDS_MAP) else { return Vec::new() };
        let all = self.all(&map, name).into_iter();
        all.filter_map(|(json, op)| Some((json, self.doc.hash_for_opid(&op)?))).collect()
    }

    /// Returns one element of a list field; `None` where it never was or was taken out.
    pub(super) fn element(&self, name: &str, key: &str) -> Option<Element> {
        let map = self.birth.map(name)?;
        let text = |(json, _): &(String, ObjId)| crate::issue::as_text(json);
        let mut element = elements::decode(key, &self.all(&map, key).last().and_then(text)?)?;
        let since = self.all(&map, &format!("{key}{}", elements::SINCE));
        let since: Vec<String> = since.iter().filter_map(text).collect();
        if since.iter().any(|value| value == elements::REMOVED) {
            return None;
        }
        if let Some(order) = since.last() {
            element.order.clone_from(order);
        }
        Some(element)
    }

    /// Returns the values of a register that stand side by side, the winner last.
    ///
    /// A value that a document was imported with is left out where the author of another value
    /// had it before and replaced it: importing the same line elsewhere disputes nothing.
    fn standing(&self, map: &ObjId, name: &str) -> Vec<String> {
        let all = self.all(map, name);
        let first = |json: &String| all.first().is_some_and(|(other, _)| text::equal(other, json));
        if all.iter().all(|(json, _)| first(json)) {
            return all.into_iter().map(|(json, _)| json).collect();
        }
        let pasts: Vec<Vec<String>> =
            all.iter().map(|(_, op)| self.past_of(op, map, name)).collect();
        let is_replaced = |at: usize| {
            self.is_import(&all[at].1)
                && pasts.iter().any(|past| past.iter().any(|then| text::equal(then, &all[at].0)))
        };
        (0..all.len()).filter(|at| !is_replaced(*at)).map(|at| all[at].0.clone()).collect()
    }

    /// Tells whether an operation is part of a change that follows genesis, as an import makes it.
    fn is_import(&self, op: &ObjId) -> bool {
        let deps = self.doc.hash_for_opid(op).map(|hash| self.deps_of(&hash)).unwrap_or_default();
        !deps.is_empty() && deps.iter().all(|dep| self.deps_of(dep).is_empty())
    }

    /// Returns every value that a register held before the change that an operation is part of.
    fn past_of(&self, op: &ObjId, map: &ObjId, name: &str) -> Vec<String> {
        let Some(hash) = self.doc.hash_for_opid(op) else { return Vec::new() };
        let mut open = self.deps_of(&hash);
        let mut seen: BTreeSet<ChangeHash> = BTreeSet::new();
        let mut values = Vec::new();
        while let Some(hash) = open.pop() {
            if !seen.insert(hash) {
                continue;
            }
            let then = View { heads: Some(&[hash]), ..*self };
            values.extend(then.all(map, name).into_iter().map(|(json, _)| json));
            open.extend(self.deps_of(&hash));
        }
        values
    }

    fn deps_of(&self, hash: &ChangeHash) -> Vec<ChangeHash> {
        self.doc.get_change_by_hash(hash).map(|change| change.deps().to_vec()).unwrap_or_default()
    }

    /// Returns the elements of a list field; `None` where none was ever added.
    fn elements(&self, name: &str) -> Option<Vec<Element>> {
        let map = self.birth.map(name)?;
        let mut found: BTreeMap<String, Element> = BTreeMap::new();
        let mut since: Vec<(String, Vec<String>)> = Vec::new();
        for item in self.range(&map) {
            let ValueRef::Scalar(value) = item.value else { continue };
            let ScalarValue::Str(value) = ScalarValue::from(value) else { continue };
            match item.key.strip_suffix(elements::SINCE) {
                Some(key) if item.conflict => {
                    let all = self.all(&map, &item.key);
                    let all = all.iter().filter_map(|(json, _)| crate::issue::as_text(json));
                    since.push((key.to_owned(), all.collect()));
                }
                Some(key) => since.push((key.to_owned(), vec![value.to_string()])),
                None => {
                    if let Some(element) = elements::decode(&item.key, &value) {
                        found.insert(element.key.clone(), element);
                    }
                }
            }
        }
        if found.is_empty() && since.is_empty() {
            return None;
        }
        for (key, values) in since {
            if values.iter().any(|value| value == elements::REMOVED) {
                found.remove(&key);
            } else if let (Some(element), Some(order)) = (found.get_mut(&key), values.last()) {
                element.order.clone_from(order);
            }
        }
        let mut list: Vec<Element> = found.into_values().collect();
        elements::sort(&mut list);
        Some(list)
    }

    pub(super) fn range(&self, map: &ObjId) -> MapRange<'_> {
        match self.heads {
            None => self.doc.map_range(map, ..),
            Some(heads) => self.doc.map_range_at(map, .., heads),
        }
    }

    /// Returns the values of a key that stand side by side, Automerge's winner last, each with the
    /// operation that put it.
    fn all(&self, map: &ObjId, name: &str) -> Vec<(String, ObjId)> {
        let all = match self.heads {
            None => self.doc.get_all(map, name),
            Some(heads) => self.doc.get_all_at(map, name, heads),
        };
        // The map and the key were just read from this document, so this cannot fail.
        all.unwrap_or_default()
            .into_iter()
            .filter_map(|(value, op)| match value {
                Value::Scalar(value) => Some((scalar::to_json(&value)?, op)),
                Value::Object(_) => None,
            })
            .collect()
    }
}

fn json_of(value: &ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Scalar(value) => scalar::to_json(&ScalarValue::from(value)),
        ValueRef::Object(_) => None,
    }
}

fn others(shown: &str, all: Vec<String>) -> Vec<String> {
    let mut others: Vec<String> = Vec::new();
    for value in all {
        if !text::equal(shown, &value) && !others.iter().any(|other| text::equal(other, &value)) {
            others.push(value);
        }
    }
    others.sort();
    others
}

fn latest(all: &[String]) -> Option<String> {
    all.iter().cloned().max_by(|a, b| {
        let plain = |json: &str| crate::issue::as_text(json).unwrap_or_default();
        timestamp::compare(&plain(a), &plain(b)).then_with(|| a.cmp(b))
    })
}
