//! Writing a document: one edit of some fields becomes one Automerge change.
//!
//! Whether an edit is allowed, and what caused it, is decided before it comes here.

use std::collections::BTreeMap;

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{AutomergeError, ObjId, PatchLog, ScalarValue};

use super::elements::{self, ListOp};
use super::read::parse_conflicts;
use super::reversal::conflicts_json;
use super::schema::{self, Place};
use super::{Content, Document, DocumentError, scalar, to_hashes};
use crate::claim::record::{Act, Record};
use crate::id::{AgentId, LogId};
use crate::issue::elements_of;
use crate::jsonl::text;
use crate::timestamp::Timestamp;

/// Stands for whoever writes, where only the size of a record matters.
const NO_LOG: LogId = LogId { agent: AgentId([0; 32]), nonce: [0; 8] };

/// What to write: registers, list entries and claim records. Empty means that nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub(super) registers: BTreeMap<String, Option<String>>,
    pub(super) elements: BTreeMap<String, Vec<ListOp>>,
    /// What the records to be added say, those that others name before those.
    pub(super) acts: Vec<Act>,
}

impl Edit {
    /// Tells whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty() && self.elements.is_empty() && self.acts.is_empty()
    }

    /// Returns the names of the fields that would change.
    pub fn fields(&self) -> Vec<&str> {
        let of_act = |act: &Act| match act {
            Act::Shard(_) => "shard",
            Act::Claim(_) | Act::End(_) | Act::Contest { .. } => "claim",
            Act::Reopen(_) | Act::Ruling(_) => "state",
        };
        let mut names: Vec<&str> =
            self.registers.keys().chain(self.elements.keys()).map(String::as_str).collect();
        names.extend(self.acts.iter().map(of_act));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns what would be written to a register, `None` inside where it would be taken out.
    pub fn register(&self, name: &str) -> Option<Option<&str>> {
        self.registers.get(name).map(Option::as_deref)
    }

    /// Returns what would be written to the entries of a list field.
    pub fn list_ops(&self, name: &str) -> Option<&[ListOp]> {
        self.elements.get(name).map(Vec::as_slice)
    }

    /// Leaves a field out.
    pub fn leave_out(&mut self, name: &str) {
        self.registers.remove(name);
        self.elements.remove(name);
    }

    /// Adds a record; one that it names must be here or have been added before it.
    pub fn add(&mut self, act: Act) {
        self.acts.push(act);
    }

    /// Returns the records that would be added, as they are in a log at a time.
    pub fn records(&self, log: LogId, at: Timestamp) -> Vec<Record> {
        self.acts.iter().map(|act| Record { by: log.agent, at, act: act.clone() }).collect()
    }

    /// Tells whether only a maintainer may make the edit: it ends an issue, opens one that was over
    /// or handed off, ends somebody's claim or draws a slate anew.
    pub fn needs_maintainer(&self, now: &Content) -> bool {
        let record =
            |act: &Act| Record { by: AgentId([0; 32]), at: Timestamp(0), act: act.clone() };
        if self.acts.iter().any(|act| record(act).needs_maintainer()) {
            return true;
        }
        let Some(state) = self.registers.get("state") else { return false };
        let text = state.as_deref().and_then(crate::issue::as_text);
        now.issue.is_terminal() || crate::state::is_terminal(text.as_deref())
    }

    /// Returns the same edit in parts of at most about `bytes_max` bytes each; one value is never
    /// split, and an edit that is small enough comes back whole.
    pub fn split(self, bytes_max: usize) -> Vec<Self> {
        if self.bytes() <= bytes_max {
            return vec![self];
        }
        let mut parts = vec![Self { acts: self.acts, ..Self::default() }];
        let mut add = |part: Self| match parts.last_mut() {
            Some(last) if last.bytes() + part.bytes() <= bytes_max => {
                last.registers.extend(part.registers);
                for (name, ops) in part.elements {
                    last.elements.entry(name).or_default().extend(ops);
                }
            }
            _ => parts.push(part),
        };
        for (name, value) in self.registers {
            add(Self { registers: [(name, value)].into(), ..Self::default() });
        }
        for (name, ops) in self.elements {
            for op in ops {
                add(Self { elements: [(name.clone(), vec![op])].into(), ..Self::default() });
            }
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    fn bytes(&self) -> usize {
        let registers = self.registers.iter();
        let registers =
            registers.map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        let ops = self.elements.values().flatten().map(|op| match op {
            ListOp::Put(element) => element.key.len() + element.order.len() + element.json.len(),
            ListOp::Move { key, order } => key.len() + order.len(),
            ListOp::Delete { key } => key.len(),
        });
        let acts =
            self.records(NO_LOG, Timestamp(0)).iter().map(|r| r.encode().len()).sum::<usize>();
        registers.sum::<usize>() + ops.sum::<usize>() + acts
    }

    /// Sets a field to compact JSON, or takes it out, where that differs from what `now` says.
    pub fn set(&mut self, now: &Content, name: &str, wanted: Option<&str>) {
        let base = now.issue.json(name).map(str::to_owned);
        self.merge(now, name, base.as_deref(), wanted);
    }

    /// Makes the change from `base` to `wanted` to a field; in a list, element by element.
    ///
    /// A field of [`Place::Genesis`] or [`Place::Conflicts`] is not editable; asking is a no-op.
    pub fn merge(&mut self, now: &Content, name: &str, base: Option<&str>, wanted: Option<&str>) {
        match schema::place_of(name) {
            Place::Genesis => {}
            Place::Register if name == "state" => self.set_state(now, wanted, None),
            Place::Elements => self.merge_list(now, name, base, wanted),
            Place::Register | Place::Records | Place::Conflicts => {
                let stored = now.registers.get(name).map(String::as_str);
                let disputed = now.issue.conflicts.contains_key(name);
                if disputed || !same(stored, wanted) {
                    self.registers.insert(name.to_owned(), wanted.map(str::to_owned));
                }
            }
        }
    }

    fn merge_list(&mut self, now: &Content, name: &str, base: Option<&str>, wanted: Option<&str>) {
        let is_list = |json: Option<&str>| json.is_some_and(|json| json.starts_with('['));
        let current = now.lists.get(name).map_or(&[][..], Vec::as_slice);
        let stored = now.registers.get(name).map(String::as_str);
        let list = |json: Option<&str>| match json {
            Some(json) if json.starts_with('[') => elements_of(json),
            _ => Vec::new(),
        };
        let base = if is_list(base) { list(base) } else { Vec::new() };
        let ops = if is_list(wanted) || wanted.is_none() {
            elements::plan(&base, &list(wanted), current)
        } else {
            current.iter().map(|e| ListOp::Delete { key: e.key.clone() }).collect()
        };
        let puts = ops.iter().filter(|op| matches!(op, ListOp::Put(_))).count();
        let deletes = ops.iter().filter(|op| matches!(op, ListOp::Delete { .. })).count();
        let register = match wanted {
            Some(_) if !is_list(wanted) => wanted,
            Some(_) if current.len() + puts == deletes => Some("[]"),
            _ => None,
        };
        // Two that took out the last elements together leave a list that is shown as empty, and not said
        // to be: whoever changes nothing about it writes nothing.
        let is_shown = ops.is_empty()
            && same(now.issue.json(name), wanted)
            && !now.issue.conflicts.contains_key(name);
        if !same(stored, register) && !is_shown {
            self.registers.insert(name.to_owned(), register.map(str::to_owned));
        }
        if !ops.is_empty() {
            self.elements.insert(name.to_owned(), ops);
        }
    }
}

/// Tells whether two fields say the same, or are both absent.
pub(crate) fn same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => text::equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

impl Document {
    /// Writes an edit on top of everything that is here, in the name of `log`.
    ///
    /// Returns the bytes of the one new change, uncompressed; `None` for an empty edit.
    pub fn write(
        &mut self,
        edit: &Edit,
        log: LogId,
        at: Timestamp,
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        self.write_from(edit, log, at, None)
    }

    /// Writes an edit as if nothing after `heads` had been seen, so that it stands beside what has
    /// been written since: where both wrote one field, both values are kept.
    pub fn write_beside(
        &mut self,
        edit: &Edit,
        log: LogId,
        at: Timestamp,
        heads: &[[u8; 32]],
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        self.write_from(edit, log, at, Some(heads))
    }

    fn write_from(
        &mut self,
        edit: &Edit,
        log: LogId,
        at: Timestamp,
        heads: Option<&[[u8; 32]]>,
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        if edit.is_empty() {
            return Ok(None);
        }
        let id = self.birth.id.clone();
        let failed = |source| DocumentError::Edit { id: id.clone(), source: Box::new(source) };
        let maps = Maps::of(self, edit);
        let settled = self.settled_conflicts(edit);
        self.set_actor(log);
        let mut tx = match heads {
            None => self.doc.transaction(),
            Some(heads) => self
                .doc
                .transaction_at(PatchLog::inactive(), &to_hashes(heads))
                .map_err(|source| failed(AutomergeError::from(source)))?,
        };
        maps.put(&mut tx, edit).map_err(failed)?;
        for record in edit.records(log, at) {
            let Some(map) = &maps.records else { continue };
            tx.put(map, record.key(), ScalarValue::Bytes(record.encode())).map_err(failed)?;
        }
        if let Some(rest) = settled {
            maps.put_register(&mut tx, "conflicts", rest.as_deref()).map_err(failed)?;
        }
        let options = CommitOptions::default().with_time(at.0.div_euclid(1_000));
        let (hash, _) = tx.commit_with(options);
        // A transaction with operations commits to a change that the document then holds.
        Ok(hash
            .and_then(|hash| automerge::ReadDoc::get_change_by_hash(&self.doc, &hash))
            .map(|change| change.raw_bytes().to_vec()))
    }

    /// Returns what the register `conflicts` must become because the edit writes fields in it.
    fn settled_conflicts(&self, edit: &Edit) -> Option<Option<String>> {
        let map = self.birth.map(schema::FIELDS_MAP)?;
        let stored = match automerge::ReadDoc::get(&self.doc, &map, "conflicts") {
            Ok(Some((automerge::Value::Scalar(value), _))) => scalar::to_json(&value)?,
            _ => return None,
        };
        if edit.registers.contains_key("conflicts") {
            return None;
        }
        let mut fields = parse_conflicts(&stored)?;
        let before = fields.len();
        fields.retain(|name, _| {
            !edit.registers.contains_key(name) && !edit.elements.contains_key(name)
        });
        if fields.len() == before {
            return None;
        }
        Some(conflicts_json(&fields))
    }
}

/// The objects that an edit writes to.
struct Maps {
    fields: Option<ObjId>,
    records: Option<ObjId>,
    lists: BTreeMap<String, ObjId>,
}

impl Maps {
    fn of(document: &Document, edit: &Edit) -> Self {
        let lists = edit
            .elements
            .keys()
            .filter_map(|name| Some((name.clone(), document.birth.map(name)?)))
            .collect();
        let [fields, records] =
            [schema::FIELDS_MAP, schema::RECORDS_MAP].map(|name| document.birth.map(name));
        Self { fields, records, lists }
    }

    fn put(&self, tx: &mut Transaction<'_>, edit: &Edit) -> Result<(), AutomergeError> {
        for (name, value) in &edit.registers {
            self.put_register(tx, name, value.as_deref())?;
        }
        for (name, ops) in &edit.elements {
            let Some(map) = self.lists.get(name) else { continue };
            for op in ops {
                put_element(tx, map, op)?;
            }
        }
        Ok(())
    }

    fn put_register(
        &self,
        tx: &mut Transaction<'_>,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), AutomergeError> {
        let Some(map) = &self.fields else { return Ok(()) };
        match value {
            Some(json) => tx.put(map, name, scalar::from_json(json)),
            None => tx.delete(map, name),
        }
    }
}

fn put_element(tx: &mut Transaction<'_>, map: &ObjId, op: &ListOp) -> Result<(), AutomergeError> {
    let since = |key: &str| format!("{key}{}", elements::SINCE);
    match op {
        ListOp::Put(element) => {
            tx.put(map, element.key.as_str(), elements::encode(element))?;
            let since = since(&element.key);
            if automerge::ReadDoc::get(tx, map, since.as_str())?.is_some() {
                tx.delete(map, since)?;
            }
            Ok(())
        }
        ListOp::Move { key, order } => tx.put(map, since(key), order.as_str()),
        ListOp::Delete { key } => {
            tx.delete(map, key.as_str())?;
            tx.put(map, since(key), elements::REMOVED)
        }
    }
}
