//! The edit that takes changes back: what they wrote is set to what it was before them, except where
//! somebody wrote it since. Writes nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::edit::same;
use super::elements::{self, Element, ListOp};
use super::read::{View, parse_conflicts};
use super::schema::{self, Place};
use super::steps::{Account, FieldEdit, Touched, What, is_lone};
use super::{Content, Document, Edit, scalar, verdict};
use crate::issue::list_of;
use crate::timestamp::Timestamp;

/// What taking changes of one document back comes to.
#[derive(Clone, Debug, Default)]
pub struct Reversal {
    /// What to write.
    pub edit: Edit,
    /// What that does to each field.
    pub restored: Vec<FieldEdit>,
    /// What stays as it is.
    pub left: Vec<Left>,
}

/// A field, or a part of one, that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which field.
    pub field: String,
    /// Why.
    pub reason: String,
    /// Whether `force` would restore it.
    pub by_force: bool,
}

impl Document {
    /// Returns what takes some changes of this document back together.
    ///
    /// A field, or an element of a list, that was written since, or at the same time by somebody
    /// else, is left unless `force` says otherwise. Taking a creation back removes the issue `at`
    /// that time, unless something else has become of it.
    pub fn reversal(
        &self,
        changes: &[[u8; 32]],
        now: &Content,
        at: Timestamp,
        force: bool,
    ) -> Reversal {
        let account = Account::of(self);
        let places = account.places_of(changes);
        if places.iter().any(|at| account.creates(*at)) {
            return self.removal(changes, now, at, force);
        }
        let mut reversing = Reversing::of(self, &account, &places, now, force);
        for field in reversing.touched.fields() {
            if field != "conflicts" {
                reversing.restore(&field);
            }
        }
        reversing.restore_conflicts();
        reversing.done
    }

    fn removal(&self, changes: &[[u8; 32]], now: &Content, at: Timestamp, force: bool) -> Reversal {
        let mut done = Reversal::default();
        if now.issue.is_deleted() {
            return done;
        }
        let then = self.read_at(changes);
        let others: Vec<&str> = differing(&then, now)
            .into_iter()
            .filter(|name| !matches!(*name, "updated_at" | "deleted_at"))
            .collect();
        if !others.is_empty() && !force {
            let reason =
                format!("the issue was edited since it was created: {}", others.join(", "));
            done.left.push(Left { field: "deleted_at".to_owned(), reason, by_force: true });
            return done;
        }
        let to = scalar::quote(&at.to_string());
        done.edit.set(now, "deleted_at", Some(&to));
        done.restored.push(value_edit("deleted_at", now.issue.json("deleted_at"), Some(&to)));
        done
    }
}

/// Returns the names of the fields in which two contents differ.
fn differing<'a>(a: &'a Content, b: &'a Content) -> BTreeSet<&'a str> {
    let names = a.issue.fields.keys().chain(b.issue.fields.keys()).map(String::as_str);
    names.filter(|name| !same(a.issue.json(name), b.issue.json(name))).collect()
}

/// Work on one document.
struct Reversing<'a> {
    document: &'a Document,
    now: &'a Content,
    force: bool,
    /// What the changes wrote.
    touched: Touched,
    /// What was written by changes that they do not build on.
    since: Touched,
    /// What the document said before the first of the changes that wrote a field.
    before: BTreeMap<String, Content>,
    /// What it said after them.
    after: Content,
    done: Reversal,
}

impl<'a> Reversing<'a> {
    fn of(
        document: &'a Document,
        account: &Account<'_>,
        places: &BTreeSet<usize>,
        now: &'a Content,
        force: bool,
    ) -> Self {
        let past = account.past(places.iter().copied());
        let (mut touched, mut since) = (Touched::default(), Touched::default());
        for (at, change) in account.all() {
            if places.contains(&at) {
                touched.add(document.birth(), change);
            } else if !past[at] {
                since.add(document.birth(), change);
            }
        }
        let mut before = BTreeMap::new();
        for at in places {
            let change = account.change(*at);
            let deps: Vec<[u8; 32]> = change.deps().iter().map(|dep| dep.0).collect();
            let content = document.read_at(&deps);
            let own = Touched::by(document.birth(), change);
            for field in own.fields() {
                before.entry(field).or_insert_with(|| content.clone());
            }
        }
        let heads: Vec<[u8; 32]> = places.iter().map(|at| account.change(*at).hash().0).collect();
        let after = document.read_at(&heads);
        Self { document, now, force, touched, since, before, after, done: Reversal::default() }
    }

    fn restore(&mut self, field: &str) {
        let Some(before) = self.before.get(field).cloned() else { return };
        if self.touched.follows_from_records(field) {
            return self.restore_computed(field, &before);
        }
        let is_list = schema::place_of(field) == Place::Elements;
        if is_list && !self.is_lone(field, &before) {
            self.restore_list(field, &before);
        } else {
            self.restore_value(field, &before);
        }
    }

    /// Tells whether a value stands in the place of the list before, after or now.
    fn is_lone(&self, field: &str, before: &Content) -> bool {
        let lone = |content: &Content| {
            content.registers.get(field).is_some_and(|json| json.as_str() != "[]")
        };
        let now = View { birth: &self.document.birth, doc: &self.document.doc, heads: None };
        lone(before) || lone(&self.after) || is_lone(now, field)
    }

    /// Answers a ruling or a reopen by its opposite; claims and what becomes of them stay.
    fn restore_computed(&mut self, field: &str, before: &Content) {
        if field == "claim" && self.touched.claims {
            let reason = "claims are not undone: give one up with `x0x issues release`, send a \
                          handoff back with `x0x issues reopen`";
            let (field, reason) = (field.to_owned(), reason.to_owned());
            self.done.left.push(Left { field, reason, by_force: false });
        }
        if field != "state" || !self.touched.verdicts {
            return;
        }
        let (now, to) = (self.now.issue.json(field), before.issue.json(field));
        if same(now, to) {
            return;
        }
        if (self.since.verdicts || self.since.registers.contains(field)) && !self.force {
            return self.leave(field, "it was written again since, or at the same time");
        }
        if let Some(reason) = verdict::obstacle(self.now, to) {
            let (field, reason) = (field.to_owned(), reason.to_owned());
            return self.done.left.push(Left { field, reason, by_force: false });
        }
        self.done.edit.set_state(self.now, to, None);
        self.done.restored.push(value_edit(field, now, to));
    }

    fn restore_value(&mut self, field: &str, before: &Content) {
        let (now, to) = (self.now.issue.json(field), before.issue.json(field));
        let beside = |content: &Content| content.issue.conflicts.get(field).cloned();
        if same(now, to) && beside(self.now) == beside(before) {
            return;
        }
        let was_written =
            self.since.registers.contains(field) || self.since.elements.contains_key(field);
        if was_written && !self.force {
            return self.leave(field, "it was written again since, or at the same time");
        }
        self.done.edit.merge(self.now, field, now, to);
        self.done.restored.push(value_edit(field, now, to));
    }

    /// Takes out what was put in, puts back what was taken out, where each still is so.
    fn restore_list(&mut self, field: &str, before: &Content) {
        let elements = |content: &Content| content.lists.get(field).cloned().unwrap_or_default();
        let (old, new, now) = (elements(before), elements(&self.after), elements(self.now));
        let find = |list: &[Element], key: &str| list.iter().find(|e| e.key == key).cloned();
        let keys = self.touched.elements.get(field).cloned().unwrap_or_default();
        let (mut ops, mut kept) = (Vec::new(), 0_usize);
        let (mut added, mut removed, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for key in &keys {
            let (old, new, now) = (find(&old, key), find(&new, key), find(&now, key));
            let order = |element: &Option<Element>| element.as_ref().map(|e| e.order.clone());
            if order(&old) == order(&new) || order(&old) == order(&now) {
                continue;
            }
            if self.since.element(field, key) && !self.force {
                kept += 1;
                continue;
            }
            match (old, now) {
                (Some(old), None) => {
                    added.push(old.json.clone());
                    ops.push(ListOp::Put(old));
                }
                (Some(old), Some(now)) => {
                    moved.push(now.json);
                    ops.push(ListOp::Move { key: old.key, order: old.order });
                }
                (None, Some(now)) => {
                    removed.push(now.json);
                    ops.push(ListOp::Delete { key: now.key });
                }
                (None, None) => {}
            }
        }
        if kept > 0 {
            let some = if kept == 1 { "an element was" } else { "elements were" };
            self.leave(field, &format!("{some} written again since, or at the same time"));
        }
        self.write_list(field, before, ops, What::List { added, removed, moved });
    }

    fn write_list(&mut self, field: &str, before: &Content, ops: Vec<ListOp>, what: What) {
        let now = self.now.lists.get(field).cloned().unwrap_or_default();
        let is_empty = elements::apply(now, ops.clone()).is_empty();
        let was_absent = before.issue.json(field).is_none();
        let register = (is_empty && !was_absent).then_some("[]");
        let stored = self.now.registers.get(field).map(String::as_str);
        let is_rewritten = self.since.registers.contains(field) && ops.is_empty();
        if !same(stored, register) && !is_rewritten {
            self.done.edit.registers.insert(field.to_owned(), register.map(str::to_owned));
            if ops.is_empty() {
                let now = self.now.issue.json(field);
                self.done.restored.push(value_edit(field, now, register));
            }
        }
        if !ops.is_empty() {
            self.done.edit.elements.insert(field.to_owned(), ops);
            self.done.restored.push(FieldEdit { field: field.to_owned(), what, lost: false });
        }
    }

    /// Brings back the values that stood beside those that are restored, and what was recorded.
    fn restore_conflicts(&mut self) {
        let stored = |content: &Content| match content.registers.get("conflicts") {
            Some(json) => parse_conflicts(json),
            None => Some(BTreeMap::new()),
        };
        let Some(now) = stored(self.now) else { return };
        let mut wanted = now.clone();
        for edit in &self.done.restored {
            let before = self.before.get(&edit.field);
            match before.and_then(|before| before.issue.conflicts.get(&edit.field)) {
                Some(values) => drop(wanted.insert(edit.field.clone(), values.clone())),
                None => drop(wanted.remove(&edit.field)),
            }
        }
        let recorded = self.before.get("conflicts").and_then(stored);
        if let Some(recorded) = recorded.filter(|_| !self.since.registers.contains("conflicts")) {
            let written = self.touched.fields();
            let names: BTreeSet<String> = recorded.keys().chain(now.keys()).cloned().collect();
            for name in names.into_iter().filter(|name| !written.contains(name)) {
                match recorded.get(&name) {
                    Some(values) => drop(wanted.insert(name, values.clone())),
                    None => drop(wanted.remove(&name)),
                }
            }
        }
        if wanted != now {
            let (now, wanted) = (conflicts_json(&now), conflicts_json(&wanted));
            if self.done.restored.is_empty() {
                let edit = value_edit("conflicts", now.as_deref(), wanted.as_deref());
                self.done.restored.push(edit);
            }
            self.done.edit.registers.insert("conflicts".to_owned(), wanted);
        }
    }

    fn leave(&mut self, field: &str, reason: &str) {
        let (field, reason) = (field.to_owned(), reason.to_owned());
        self.done.left.push(Left { field, reason, by_force: true });
    }
}

/// Returns the register `conflicts`; `None` where there are none.
pub(super) fn conflicts_json(fields: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, values)| format!("{}:{}", scalar::quote(name), list_of(values)))
        .collect();
    (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(",")))
}

fn value_edit(field: &str, from: Option<&str>, to: Option<&str>) -> FieldEdit {
    let what = What::Value { from: from.map(str::to_owned), to: to.map(str::to_owned) };
    FieldEdit { field: field.to_owned(), what, lost: false }
}
