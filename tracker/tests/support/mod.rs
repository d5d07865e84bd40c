//! What the tests of this folder share: lists in temporary folders, imports and exports of texts.

#![allow(dead_code, reason = "each test binary uses a part")]

use tempfile::TempDir;
use x0x_tracker::interface::{
    Draft, ExportFrom, ImportOptions, ImportReport, Patch, Shown, Tracker, TrackerError,
};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::stream::Incoming;
use x0x_tracker::tasklist::{Outgoing, Verdict};
use x0x_tracker::{LocalTracker, testing};

/// The file that tests import and export.
pub const FILE: &str = "/repo/issues/issues.jsonl";

/// A list in a folder of its own.
pub struct List {
    pub dir: TempDir,
    pub tracker: LocalTracker,
    /// What was exported last.
    pub last: String,
}

impl List {
    /// Makes a list in the name of the agent with this seed.
    pub fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tracker = testing::found(dir.path(), seed).unwrap();
        Self { dir, tracker, last: String::new() }
    }

    /// Makes an empty copy of another list, for another agent, which that list made a member.
    pub fn member_of(other: &mut Self, seed: u64) -> Self {
        Self::member_in_role(other, seed, Role::Maintainer)
    }

    /// The same, in some role.
    pub fn member_in_role(other: &mut Self, seed: u64, role: Role) -> Self {
        use x0x_tracker::journal::charter::{Signed, Statement};
        use x0x_tracker::journal::signature::Signer;
        let dir = tempfile::tempdir().unwrap();
        let statements = other.tracker.statements().unwrap();
        let info = other.tracker.info().unwrap();
        let founding = x0x_tracker::store::Founding {
            list: info.list,
            name: info.name,
            prefix: info.prefix,
            statement: Some(statements[0].clone()),
        };
        x0x_tracker::store::Store::create(&dir.path().join("list.redb"), &founding).unwrap();
        let mut tracker = testing::open(dir.path(), seed).unwrap();
        let founder = testing::StandIn::new(1);
        let grant = Statement::Grant {
            list: info.list,
            by: founder.agent(),
            member: testing::StandIn::new(seed).public_key().to_vec(),
            role,
            seen: vec![statements[0].hash()],
        };
        let grant = Signed::new(&grant, &founder).unwrap();
        other.tracker.admit_statement(&grant).unwrap();
        for statement in other.tracker.statements().unwrap() {
            tracker.admit_statement(&statement).unwrap();
        }
        Self { dir, tracker, last: String::new() }
    }

    pub fn import(&mut self, text: &str) -> ImportReport {
        self.import_with(text, &ImportOptions::default()).unwrap()
    }

    pub fn import_with(
        &mut self,
        text: &str,
        options: &ImportOptions,
    ) -> Result<ImportReport, TrackerError> {
        self.tracker.import(FILE, &mut text.as_bytes(), options, &mut |_| {})
    }

    /// Exports to the file and records it.
    pub fn export(&mut self) -> String {
        let mut output = Vec::new();
        let report = self.tracker.export(&ExportFrom::File(FILE.to_owned()), &mut output).unwrap();
        self.tracker.exported(FILE, &report).unwrap();
        self.last = String::from_utf8(output).unwrap();
        self.last.clone()
    }

    pub fn canonical(&self) -> String {
        let mut output = Vec::new();
        self.tracker.export(&ExportFrom::Canonical, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    pub fn create(&mut self, title: &str) -> Shown {
        self.tracker.create(&Draft::titled(title)).unwrap()
    }

    pub fn set(&mut self, name: &str, field: &str, json: &str) -> Shown {
        self.tracker.edit(name, &Patch::default().set(field, json), None).unwrap()
    }

    pub fn commits(&self) -> u64 {
        self.tracker.info().unwrap().commits
    }

    /// Returns a field of an issue as JSON; null where it is absent.
    pub fn field(&self, name: &str, field: &str) -> serde_json::Value {
        let json = self.tracker.show(name).unwrap().json.unwrap();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()[field].clone()
    }
}

/// Gives each of two lists what the other has.
pub fn exchange(a: &mut List, b: &mut List) {
    give(a, b);
    give(b, a);
}

/// Gives `to` what `from` has.
pub fn give(from: &List, to: &mut List) {
    let theirs = to.tracker.frontier().unwrap();
    let commits: Vec<_> = from
        .tracker
        .commits_after(&theirs, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|sealed| sealed.commit)
        .collect();
    to.tracker.admit(&commits).unwrap();
}

/// Streams to `to` what `from` has, in pieces of about `bytes_max` bytes; returns what became of each
/// commit. Panics where a piece is refused.
pub fn stream(from: &List, to: &mut List, bytes_max: usize) -> Vec<Verdict> {
    let knows = to.tracker.charter().unwrap().heads() == from.tracker.charter().unwrap().heads();
    let mut outgoing = Outgoing::to(to.tracker.frontier().unwrap(), knows);
    let mut incoming = Incoming::default();
    let mut verdicts = Vec::new();
    loop {
        let items = from.tracker.send(&mut outgoing, bytes_max).unwrap();
        if items.is_empty() {
            return verdicts;
        }
        let received = to.tracker.receive(&mut incoming, items).unwrap();
        assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
        verdicts.extend(received.verdicts);
    }
}

/// Returns a record with the usual fields, some of them replaced or added.
pub fn record(id: &str, changes: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("id", format!("\"{id}\"")),
        ("identifier", format!("\"{id}\"")),
        ("title", "\"title\"".to_owned()),
        ("state", "\"todo\"".to_owned()),
        ("labels", "[\"a\",\"b\"]".to_owned()),
        ("created_at", "\"2026-01-01T00:00:00Z\"".to_owned()),
        ("updated_at", "\"2026-01-01T00:00:00Z\"".to_owned()),
    ];
    for (name, json) in changes {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = (*json).to_owned(),
            None => fields.push((name, (*json).to_owned())),
        }
    }
    let fields: Vec<String> =
        fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}\n", fields.join(","))
}
