//! What was acknowledged, and what must be left of it in the end: nothing acknowledged is gone, unless a
//! disk went back to before it and nobody else had it.

use std::collections::BTreeMap;

use serde_json::Value;
use x0x_tracker::id::LogId;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;

use crate::world::Time;

/// What somebody did.
#[derive(Clone, Debug)]
pub enum Deed {
    Create,
    Set { field: &'static str, value: String },
    Comment { body: String },
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub node: usize,
    pub issue: String,
    pub deed: Deed,
    /// The commit that carries it.
    pub place: (LogId, Position),
    /// What its author had when it was written.
    pub saw: Frontier,
    pub is_acknowledged: bool,
    pub may_be_lost: bool,
    pub at: Time,
}

#[derive(Default)]
pub struct Ledger {
    /// Whether logs may have forked: then edits are written again, in other places.
    pub has_forks: bool,
    pub entries: Vec<Entry>,
    /// How many texts were made; each is another one.
    pub texts: u64,
}

impl Entry {
    /// Tells whether its author had another one's commit.
    fn follows(&self, other: &Self) -> bool {
        let (log, place) = other.place;
        self.saw.covers(log, place) || self.place.0 == log && self.place.1.number > place.number
    }
}

impl Ledger {
    /// Returns what is wrong with an export.
    pub fn missing(&self, canonical: &str) -> Vec<String> {
        let issues = read(canonical);
        let shown = |entry: &Entry| {
            let shown = issues.get(&entry.issue).map(Value::to_string).unwrap_or_default();
            shown.chars().take(600).collect::<String>()
        };
        self.lacking(canonical)
            .into_iter()
            .map(|entry| {
                let deed: String = format!("{:?}", entry.deed).chars().take(100).collect();
                format!("node {} wrote {deed} of {}: {}", entry.node, entry.issue, shown(entry))
            })
            .collect()
    }

    /// Returns what was acknowledged and is neither shown in an export nor overwritten.
    pub fn lacking(&self, canonical: &str) -> Vec<&Entry> {
        let issues = read(canonical);
        let must = self.entries.iter().filter(|entry| entry.is_acknowledged && !entry.may_be_lost);
        must.filter(|entry| !self.is_kept(entry, issues.get(&entry.issue))).collect()
    }

    fn is_kept(&self, entry: &Entry, issue: Option<&Value>) -> bool {
        let Some(issue) = issue else { return false };
        match &entry.deed {
            Deed::Create => true,
            Deed::Comment { body } => {
                let comments = issue["comments"].as_array();
                comments.is_some_and(|all| all.iter().any(|one| one["body"] == **body))
            }
            Deed::Set { field, value } => {
                let disputed = issue["conflicts"][*field].as_array();
                issue[*field] == **value
                    || disputed.is_some_and(|values| values.iter().any(|one| *one == **value))
                    || self.was_overwritten(entry, field)
            }
        }
    }

    /// Tells whether somebody who had seen an edit wrote the field again.
    fn was_overwritten(&self, entry: &Entry, field: &str) -> bool {
        self.entries.iter().any(|later| {
            later.issue == entry.issue
                && matches!(&later.deed, Deed::Set { field: other, .. } if *other == field)
                && (later.follows(entry) || self.has_forks && later.at > entry.at)
        })
    }
}

fn read(canonical: &str) -> BTreeMap<String, Value> {
    let issues = canonical.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    issues.map(|issue| (issue["id"].as_str().unwrap().to_owned(), issue)).collect()
}

#[cfg(test)]
mod tests {
    use x0x_tracker::id::{AgentId, CommitHash};

    use super::*;

    fn entry(node: u8, number: u64, value: &str, saw: &[(u8, u64)]) -> Entry {
        let log = |node| LogId { agent: AgentId([node; 32]), nonce: [0; 8] };
        let at = |number| Position { number, hash: CommitHash([number as u8; 32]) };
        Entry {
            node: usize::from(node),
            issue: "S-1".to_owned(),
            deed: Deed::Set { field: "title", value: value.to_owned() },
            place: (log(node), at(number)),
            saw: Frontier(saw.iter().map(|(node, number)| (log(*node), at(*number))).collect()),
            is_acknowledged: true,
            may_be_lost: false,
            at: 0,
        }
    }

    #[test]
    fn an_edit_that_is_neither_shown_nor_overwritten_is_missed() {
        let entries = vec![entry(1, 1, "a", &[]), entry(2, 1, "b", &[])];
        let mut ledger = Ledger { entries, ..Ledger::default() };
        let both = r#"{"id":"S-1","title":"a","conflicts":{"title":["b"]}}"#;
        assert_eq!(ledger.missing(both), [""; 0]);
        let one = r#"{"id":"S-1","title":"a"}"#;
        assert_eq!(ledger.missing(one).len(), 1);
        assert_eq!(ledger.missing("").len(), 2, "the issue is gone");
        ledger.entries[0] = entry(1, 1, "a", &[(2, 1)]);
        assert_eq!(ledger.missing(one), [""; 0], "its author had seen the other");
        ledger
            .entries
            .push(Entry { deed: Deed::Comment { body: "c".to_owned() }, ..entry(1, 2, "", &[]) });
        assert_eq!(ledger.missing(one).len(), 1);
        ledger.entries[2].may_be_lost = true;
        assert_eq!(ledger.missing(one), [""; 0]);
    }
}
