//! What people and agents do: issues, edits of the same fields on several nodes, comments, large edits,
//! bursts and imports.

use std::collections::BTreeSet;

use x0x_tracker::Tracker;
use x0x_tracker::id::{CommitHash, LogId};
use x0x_tracker::interface::{Comment, Draft, ExportFrom, ImportOptions, Patch};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;

use crate::ledger::{Deed, Entry};
use crate::world::World;

/// Fields that hold any text.
const FIELDS: [&str; 4] = ["title", "assignee", "branch_name", "description"];

/// How many of the newest issues most edits are about, so that they meet.
const HOT: u64 = 3;

/// How many bytes a large edit has: more than gossip carries.
const LARGE: (u64, u64) = (62 << 10, 150 << 10);

impl World {
    /// Does one thing at random on a node.
    pub fn work(&mut self, node: usize) {
        if self.nodes[node].hub.is_none() {
            return;
        }
        match self.below(100) {
            0..20 => self.create(node),
            20..68 => self.edit(node),
            68..84 => self.comment(node),
            84..88 => self.edit_large(node),
            88..92 => (0..5).for_each(|_| self.create(node)),
            _ => (0..4).for_each(|_| self.edit(node)),
        }
    }

    fn text(&mut self, node: usize) -> String {
        self.ledger.texts += 1;
        format!("text {} of node {node}", self.ledger.texts)
    }

    pub fn create(&mut self, node: usize) {
        let title = self.text(node);
        self.store(node, move |world, node| {
            let saw = world.saw(node);
            let Ok(made) = world.nodes[node].tracker().create(&Draft::titled(&title)) else {
                return;
            };
            let deed = Deed::Set { field: "title", value: title };
            world.acknowledge(
                node,
                &saw,
                vec![(made.row.id.clone(), Deed::Create), (made.row.id, deed)],
            );
        });
    }

    pub fn edit(&mut self, node: usize) {
        let field = FIELDS[self.below(FIELDS.len() as u64) as usize];
        let value = self.text(node);
        self.set(node, field, value);
    }

    pub fn edit_large(&mut self, node: usize) {
        let bytes = self.between(LARGE.0, LARGE.1) as usize;
        let mut value = self.text(node);
        value.push(' ');
        value.push_str(&"x".repeat(bytes));
        self.set(node, "description", value);
    }

    pub fn set(&mut self, node: usize, field: &'static str, value: String) {
        let Some(issue) = self.some_issue() else { return self.create(node) };
        self.store(node, move |world, node| {
            let saw = world.saw(node);
            let patch = Patch::default().set_text(field, &value);
            match world.nodes[node].tracker().edit(&issue, &patch, None) {
                Ok(_) => world.acknowledge(node, &saw, vec![(issue, Deed::Set { field, value })]),
                // It has not come here.
                Err(_) => world.create(node),
            }
        });
    }

    pub fn comment(&mut self, node: usize) {
        let Some(issue) = self.some_issue() else { return self.create(node) };
        let body = self.text(node);
        self.store(node, move |world, node| {
            let saw = world.saw(node);
            let comment = Comment { body: body.clone(), author: None, key: None };
            match world.nodes[node].tracker().comment(&issue, &comment) {
                Ok(_) => world.acknowledge(node, &saw, vec![(issue, Deed::Comment { body })]),
                Err(_) => world.create(node),
            }
        });
    }

    pub fn import(&mut self, node: usize, count: usize) {
        self.ledger.texts += 1;
        let batch = self.ledger.texts;
        let ids: Vec<String> = (0..count).map(|at| format!("I-{batch}-{at}")).collect();
        self.store(node, move |world, node| {
            let saw = world.saw(node);
            let line = |id: &String| {
                format!("{{\"id\":\"{id}\",\"title\":\"imported as {id}\",\"state\":\"todo\"}}\n")
            };
            let text: String = ids.iter().map(line).collect();
            let options = ImportOptions::default();
            let tracker = world.nodes[node].tracker();
            tracker
                .import("/repo/issues/issues.jsonl", &mut text.as_bytes(), &options, &mut |_| {})
                .unwrap();
            let deeds = ids.into_iter().map(|id| (id, Deed::Create)).collect();
            world.acknowledge(node, &saw, deeds);
        });
    }

    /// Returns the id of an issue, of the newest with preference.
    fn some_issue(&mut self) -> Option<String> {
        let made: Vec<usize> = (0..self.ledger.entries.len())
            .filter(|at| matches!(self.ledger.entries[*at].deed, Deed::Create))
            .collect();
        let hot = if self.chance(0.8) { HOT.min(made.len() as u64) } else { made.len() as u64 };
        if hot == 0 {
            return None;
        }
        let at = made[made.len() - 1 - self.below(hot) as usize];
        Some(self.ledger.entries[at].issue.clone())
    }

    fn saw(&mut self, node: usize) -> Frontier {
        self.nodes[node].tracker().frontier().unwrap()
    }

    /// Notes what is on disk now, and tells everybody.
    fn acknowledge(&mut self, node: usize, saw: &Frontier, deeds: Vec<(String, Deed)>) {
        let Some(place) = self.nodes[node].tracker().own_place().unwrap() else { return };
        let is_acknowledged = !self.nodes[node].is_dying;
        for (issue, deed) in deeds {
            let (saw, may_be_lost) = (saw.clone(), false);
            self.ledger.entries.push(Entry {
                node,
                issue,
                deed,
                place,
                saw,
                is_acknowledged,
                may_be_lost,
                at: self.now,
            });
            self.counts.acknowledged += u64::from(is_acknowledged);
        }
        self.announce(node);
    }

    /// Notes which acknowledged commits nobody has any more, after a disk went back.
    pub fn note_losses(&mut self, node: usize) {
        let mut held: BTreeSet<CommitHash> = BTreeSet::new();
        let wanted: Vec<(LogId, Position)> =
            self.ledger.entries.iter().map(|entry| entry.place).collect();
        for number in 0..self.nodes.len() {
            let tracker = self.open_or_running(number);
            for (log, place) in &wanted {
                if !tracker.lacks_lost(&[(*log, *place)]).unwrap() {
                    held.insert(place.hash);
                }
            }
        }
        if self.nodes[node].hub.is_none() {
            self.nodes[node].tracker = None;
        }
        for entry in &mut self.ledger.entries {
            if entry.is_acknowledged && !held.contains(&entry.place.1.hash) && !entry.may_be_lost {
                entry.may_be_lost = true;
                self.counts.maybe_lost += 1;
            }
        }
    }

    pub fn canonical(&mut self, node: usize) -> String {
        let mut output = Vec::new();
        self.open_or_running(node).export(&ExportFrom::Canonical, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }
}
