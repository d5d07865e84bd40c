//! What a document said after each of its changes. Reads only.

use std::collections::BTreeSet;

use super::{Content, Document, Heads};
use crate::issue::as_text;
use crate::jsonl::text;
use crate::timestamp::Timestamp;

/// The contents of a document after every change, in an order that builds on itself.
///
/// Where people edited at once, each content is what the author of that change saw.
pub struct History {
    versions: Vec<Past>,
}

/// One change: which, and when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its hash.
    pub hash: [u8; 32],
    /// The date that its author gave it, in whole seconds.
    pub at: Timestamp,
}

/// The document after one change.
pub struct Past {
    /// The hash of the change.
    pub hash: [u8; 32],
    /// What its author's document said then.
    pub content: Content,
}

impl Document {
    /// Returns the heads of the document as it was made of some changes only, and of those among
    /// them alone of which everything that they build on is among them too. The genesis always is.
    pub fn heads_where(&self, mut is_among: impl FnMut(&Made) -> bool) -> Heads {
        let changes = self.doc.get_changes_meta(&[]);
        let mut among: BTreeSet<[u8; 32]> = BTreeSet::new();
        let mut heads: BTreeSet<[u8; 32]> = BTreeSet::new();
        for change in &changes {
            let deps: Vec<[u8; 32]> = change.deps.iter().map(|dep| dep.0).collect();
            let made = Made { hash: change.hash.0, at: in_seconds(change.timestamp) };
            let is_whole = deps.iter().all(|dep| among.contains(dep));
            if is_whole && (deps.is_empty() || is_among(&made)) {
                heads.retain(|head| !deps.contains(head));
                among.insert(made.hash);
                heads.insert(made.hash);
            }
        }
        heads.into_iter().collect()
    }

    /// Returns the date of the earliest change after the genesis.
    pub fn begun_at(&self) -> Option<Timestamp> {
        let changes = self.doc.get_changes_meta(&[]);
        changes.iter().skip(1).map(|change| in_seconds(change.timestamp)).min()
    }

    /// Tells whether these are the heads of a document that holds nothing but its genesis.
    pub fn is_unborn_at(&self, heads: &[[u8; 32]]) -> bool {
        heads == [self.birth.genesis_hash().0]
    }

    /// Reads the whole history; costs one read of the document per change.
    pub fn history(&self) -> History {
        let versions = self
            .doc
            .get_changes_meta(&[])
            .iter()
            .skip(1)
            .map(|change| Past { hash: change.hash.0, content: self.read_at(&[change.hash.0]) })
            .collect();
        History { versions }
    }
}

impl History {
    /// Returns the contents, oldest first; the genesis, which says nothing, is left out.
    pub fn versions(&self) -> &[Past] {
        &self.versions
    }

    /// Tells whether a field has ever held a value, or for `None` whether it was ever absent.
    pub fn held(&self, name: &str, value: Option<&str>) -> bool {
        self.versions.iter().any(|past| match (past.content.issue.json(name), value) {
            (Some(then), Some(value)) => text::equal(then, value),
            (None, None) => true,
            _ => false,
        })
    }

    /// Tells whether a list field has ever held the element with this key.
    pub fn held_element(&self, name: &str, key: &str) -> bool {
        self.versions.iter().any(|past| has_element(past, name, key))
    }

    /// Tells whether a list field has ever been without the element with this key.
    pub fn lacked_element(&self, name: &str, key: &str) -> bool {
        self.versions.iter().any(|past| !has_element(past, name, key))
    }

    /// Returns the last version that was dated `updated_at`, if there is one.
    pub fn dated(&self, updated_at: &str) -> Option<&Past> {
        self.versions.iter().rev().find(|past| {
            past.content.issue.json("updated_at").and_then(as_text).as_deref() == Some(updated_at)
        })
    }

    /// Returns the earliest and the latest `updated_at` that this replica has ever seen, as far as
    /// they are times.
    pub fn first_and_last(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let dates = || {
            let texts =
                self.versions.iter().filter_map(|past| past.content.issue.text("updated_at"));
            texts.filter_map(|text| Timestamp::parse(&text))
        };
        (dates().min(), dates().max())
    }
}

/// Returns the time of a change, which is kept in seconds.
pub(super) fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

fn has_element(past: &Past, name: &str, key: &str) -> bool {
    past.content.lists.get(name).is_some_and(|list| list.iter().any(|element| element.key == key))
}
