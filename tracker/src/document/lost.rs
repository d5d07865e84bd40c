//! What a change wrote that does not count any more, and how much of it a document lacks. Writes
//! nothing itself.

use std::collections::BTreeSet;

use automerge::legacy::{Key, ObjectId, OpId, OpType};
use automerge::{Change, ScalarValue};

use super::edit::same;
use super::elements::{self, Element, ListOp};
use super::records::record_of;
use super::steps::{What, log_of};
use super::{Birth, Content, Document, Edit, scalar, schema, to_hashes};
use crate::claim::record::Record;
use crate::id::LogId;
use crate::issue::as_text;

/// Registers that nobody brings back: the date is that of whoever writes last, and what a merge of
/// files recorded goes with the fields that it names.
const PASSED_OVER: [&str; 2] = ["updated_at", "conflicts"];

/// A change that does not count any more.
#[derive(Clone, Debug)]
pub struct LostChange {
    /// Its hash.
    pub hash: [u8; 32],
    /// The hashes of those that it builds on.
    pub deps: Vec<[u8; 32]>,
    /// The log of its author.
    pub log: LogId,
    /// Whether it gave the document its first fields.
    pub creates: bool,
    /// What it wrote, records left out.
    pub edit: Edit,
    /// Its records.
    pub records: Vec<Record>,
    writes: BTreeSet<Write>,
}

/// Map, key and value of what one operation put there; `None` where it took the value out.
type Write = (&'static str, String, Option<String>);

impl LostChange {
    /// Reads a change of a document; `None` where the bytes are none.
    pub fn read(birth: &Birth, bytes: &[u8]) -> Option<Self> {
        let change = Change::from_bytes(bytes.to_vec()).ok()?;
        let mut lost = Self {
            hash: change.hash().0,
            deps: change.deps().iter().map(|dep| dep.0).collect(),
            log: log_of(&change),
            creates: change.deps() == [birth.genesis_hash()],
            edit: Edit::default(),
            records: Vec::new(),
            writes: writes_of(birth, &change),
        };
        for (map, key, value) in operations(birth, &change) {
            lost.take(birth, map, &key, value);
        }
        Some(lost)
    }

    /// Takes what one operation did as part of the edit that it came from.
    fn take(&mut self, birth: &Birth, map: &'static str, key: &str, value: Option<ScalarValue>) {
        let json = value.as_ref().and_then(scalar::to_json);
        if map == schema::RECORDS_MAP {
            self.records.extend(value.and_then(|value| record_of(&birth.id, key, &value)));
            return;
        }
        if map == schema::FIELDS_MAP {
            self.edit.registers.insert(key.to_owned(), json);
            return;
        }
        let text = json.as_deref().and_then(as_text);
        let op = match (key.strip_suffix(elements::SINCE), text) {
            (None, Some(text)) => elements::decode(key, &text).map(ListOp::Put),
            (Some(key), Some(text)) if text == elements::REMOVED => {
                Some(ListOp::Delete { key: key.to_owned() })
            }
            (Some(key), Some(order)) => Some(ListOp::Move { key: key.to_owned(), order }),
            // The other half of a put or of a removal.
            (_, None) => None,
        };
        self.edit.elements.entry(map.to_owned()).or_default().extend(op);
        self.edit.elements.retain(|_, ops| !ops.is_empty());
    }

    /// Returns the change of a document by which the author wrote the same again in another log.
    pub fn again(&self, document: &Document) -> Option<[u8; 32]> {
        if self.writes.is_empty() {
            return None;
        }
        let changes = document.doc.get_changes(&[]);
        let is_again = |change: &&Change| {
            let log = log_of(change);
            log.agent == self.log.agent
                && log != self.log
                && writes_of(&document.birth, change) == self.writes
        };
        changes.iter().rev().find(is_again).map(|change| change.hash().0)
    }

    /// Returns what of it is neither there nor was there since somebody had seen no more than
    /// `known`: what would stand beside what was written since.
    pub fn missing(&self, document: &Document, now: &Content, known: &[[u8; 32]]) -> Edit {
        let then = document.read_at(known);
        let since: BTreeSet<Write> = document
            .doc
            .get_changes(&to_hashes(known))
            .iter()
            .flat_map(|change| writes_of(&document.birth, change))
            .collect();
        let mut edit = self.edit.clone();
        edit.registers.retain(|name, value| {
            let value = value.as_deref();
            let is =
                |content: &Content| same(content.registers.get(name).map(String::as_str), value);
            let is_beside =
                |others: &Vec<String>| others.iter().any(|other| same(Some(other), value));
            let write = (schema::FIELDS_MAP, name.clone(), value.map(str::to_owned));
            !PASSED_OVER.contains(&name.as_str())
                && !is(now)
                && !is(&then)
                && !now.issue.conflicts.get(name).is_some_and(is_beside)
                && !since.contains(&write)
        });
        for (name, ops) in &mut edit.elements {
            let map = schema::GENESIS_MAPS.into_iter().find(|map| map == name).unwrap_or_default();
            ops.retain(|op| is_missing(op, map, now, &then, &since));
        }
        edit.elements.retain(|_, ops| !ops.is_empty());
        // That a list is empty, or no longer, goes with its elements.
        edit.registers.retain(|name, _| {
            edit.elements.contains_key(name) || !self.edit.elements.contains_key(name)
        });
        edit
    }
}

fn is_missing(
    op: &ListOp,
    map: &'static str,
    now: &Content,
    then: &Content,
    since: &BTreeSet<Write>,
) -> bool {
    let find = |content: &Content, key: &str| -> Option<Element> {
        content.lists.get(map)?.iter().find(|element| element.key == key).cloned()
    };
    let was_put = |key: &str| {
        since.iter().any(|(of, put, value)| *of == map && put == key && value.is_some())
    };
    let moved = |key: &str, to: &str| {
        let write = (map, format!("{key}{}", elements::SINCE), Some(scalar::quote(to)));
        since.contains(&write)
    };
    match op {
        ListOp::Put(Element { key, .. }) => {
            find(now, key).is_none() && find(then, key).is_none() && !was_put(key)
        }
        ListOp::Delete { key } => {
            find(now, key).is_some() && find(then, key).is_some() && !moved(key, elements::REMOVED)
        }
        ListOp::Move { key, order } => {
            let is_elsewhere = |content: &Content| {
                find(content, key).is_some_and(|element| element.order != *order)
            };
            is_elsewhere(now) && is_elsewhere(then) && !moved(key, order)
        }
    }
}

impl Edit {
    /// Returns what the edit does to each field of what a document said, for people.
    pub fn told(&self, then: &Content) -> Vec<(String, What)> {
        let mut told: Vec<(String, What)> = Vec::new();
        for (name, value) in &self.registers {
            if !PASSED_OVER.contains(&name.as_str()) && !self.elements.contains_key(name) {
                let from = then.registers.get(name).cloned();
                told.push((name.clone(), What::Value { from, to: value.clone() }));
            }
        }
        for (name, ops) in &self.elements {
            let (mut added, mut removed, mut moved) = (Vec::new(), Vec::new(), Vec::new());
            let list = then.lists.get(name).map(Vec::as_slice).unwrap_or_default();
            let json = |key: &str| {
                let element = list.iter().find(|element| element.key == key);
                element.map(|element| element.json.clone())
            };
            for op in ops {
                match op {
                    ListOp::Put(element) => added.push(element.json.clone()),
                    ListOp::Delete { key } => removed.extend(json(key)),
                    ListOp::Move { key, .. } => moved.extend(json(key)),
                }
            }
            told.push((name.clone(), What::List { added, removed, moved }));
        }
        told
    }
}

/// Returns what a change put where, or took out, in the maps of its document.
fn operations(birth: &Birth, change: &Change) -> Vec<(&'static str, String, Option<ScalarValue>)> {
    let map_of = |obj: &ObjectId| {
        let ObjectId::Id(OpId(counter, _)) = obj else { return None };
        let is_it = |map: &&str| birth.map_op(map).is_some_and(|made| made.counter() == *counter);
        schema::GENESIS_MAPS.into_iter().find(is_it)
    };
    let operations = change.decode().operations.into_iter();
    operations
        .filter_map(|op| {
            let (map, Key::Map(key)) = (map_of(&op.obj)?, &op.key) else { return None };
            match op.action {
                OpType::Put(value) => Some((map, key.to_string(), Some(value))),
                OpType::Delete => Some((map, key.to_string(), None)),
                _ => None,
            }
        })
        .collect()
}

/// Returns what a change wrote, apart from what nobody brings back and from records.
fn writes_of(birth: &Birth, change: &Change) -> BTreeSet<Write> {
    let is_told = |map: &str, key: &str| {
        map != schema::RECORDS_MAP && !(map == schema::FIELDS_MAP && PASSED_OVER.contains(&key))
    };
    let operations = operations(birth, change).into_iter();
    operations
        .filter(|(map, key, _)| is_told(map, key))
        .map(|(map, key, value)| (map, key, value.as_ref().and_then(scalar::to_json)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AgentId;
    use crate::timestamp::Timestamp;

    fn log(agent: u8, nonce: u8) -> LogId {
        LogId { agent: AgentId([agent; 32]), nonce: [nonce; 8] }
    }

    fn write(document: &mut Document, log: LogId, fields: &[(&str, &str)]) -> Vec<u8> {
        let now = document.read();
        let mut edit = Edit::default();
        for (name, json) in fields {
            edit.set(&now, name, Some(json));
        }
        document.write(&edit, log, Timestamp(0)).unwrap().unwrap()
    }

    /// A document with a title and two labels, and a change of it in agent 1's first log that is not
    /// part of it.
    fn lost(fields: &[(&str, &str)]) -> (Document, LostChange) {
        let birth = Birth { id: "A-1".to_owned(), created_at: None };
        let mut document = Document::new(birth.clone());
        let first = [("title", "\"t\""), ("labels", "[\"a\",\"b\"]"), ("n", "1.0")];
        write(&mut document, log(9, 9), &first);
        let mut branch = document.clone();
        let bytes = write(&mut branch, log(1, 1), fields);
        (document, LostChange::read(&birth, &bytes).unwrap())
    }

    #[test]
    fn what_a_change_wrote_comes_back_as_the_edit_that_made_it() {
        let fields =
            [("title", "\"x\""), ("labels", "[\"c\",\"b\"]"), ("n", "1e400"), ("links", "[]")];
        let (mut document, lost) = lost(&fields);
        assert!(!lost.creates && lost.again(&document).is_none());
        let known = document.heads();
        let missing = lost.missing(&document, &document.read(), &known);
        assert_eq!(missing, lost.edit);
        document.write(&missing, log(1, 2), Timestamp(0)).unwrap();
        let now = document.read();
        for (name, json) in fields {
            assert_eq!(now.issue.json(name), Some(json), "{name}");
        }
        assert_eq!(lost.again(&document), Some(document.heads()[0]));
        assert!(lost.missing(&document, &now, &known).is_empty());
    }

    #[test]
    fn what_others_said_or_took_back_since_is_not_missing() {
        let fields = [("title", "\"x\""), ("labels", "[\"b\",\"c\"]"), ("n", "2")];
        let (mut document, lost) = lost(&fields);
        let known = document.heads();
        for title in ["\"x\"", "\"and on\""] {
            write(&mut document, log(2, 1), &[("title", title)]);
        }
        write(&mut document, log(2, 1), &[("labels", "[\"b\"]")]);
        assert!(lost.again(&document).is_none());
        let missing = lost.missing(&document, &document.read(), &known);
        assert_eq!(missing.fields(), ["labels", "n"]);
        let told = missing.told(&document.read_at(&known));
        let (added, removed, moved) = (vec!["\"c\"".to_owned()], Vec::new(), Vec::new());
        assert_eq!(told[1].1, What::List { added, removed, moved });
        let (from, to) = (Some("1.0".to_owned()), Some("2".to_owned()));
        assert_eq!(told[0], ("n".to_owned(), What::Value { from, to }));
    }

    #[test]
    fn a_value_that_stands_beside_another_is_not_missing() {
        let (mut document, lost) = lost(&[("title", "\"x\"")]);
        let known = document.heads();
        write(&mut document, log(2, 1), &[("title", "\"y\"")]);
        document.write_beside(&lost.edit, log(3, 1), Timestamp(0), &known).unwrap();
        let now = document.read();
        assert_eq!(now.issue.conflicts["title"].len(), 1);
        assert!(lost.missing(&document, &now, &known).is_empty());
    }
}
