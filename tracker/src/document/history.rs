//! What a document said after each of its changes. Reads only.

use std::collections::BTreeSet;

use automerge::ChangeHash;

use super::read::View;
use super::schema::{self, Place};
use super::{Content, Document, Heads, edit, records};
use crate::issue::as_text;
use crate::timestamp::Timestamp;

/// What a document said after each of its changes, in an order that builds on itself. Nothing is
/// read before it is asked for.
///
/// Where people edited at once, each version is what the author of that change saw.
pub struct History<'a> {
    document: &'a Document,
    /// The changes, oldest first; the genesis, which says nothing, is left out.
    changes: Vec<ChangeHash>,
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

    /// Returns what the document said at any time.
    pub fn history(&self) -> History<'_> {
        let changes = self.doc.get_changes_meta(&[]);
        let changes = changes.iter().skip(1).map(|change| change.hash).collect();
        History { document: self, changes }
    }
}

impl History<'_> {
    /// Returns the hash of the first change after the genesis.
    pub fn first(&self) -> Option<[u8; 32]> {
        self.changes.first().map(|hash| hash.0)
    }

    /// Tells whether a field has ever held a value, or for `None` whether it was ever absent.
    pub fn held(&self, name: &str, value: Option<&str>) -> bool {
        let is_computed = records::is_computed(name) && self.document.has_records();
        self.changes.iter().any(|hash| {
            let then = match schema::place_of(name) {
                Place::Register if !is_computed => self.at(&[*hash]).register(name),
                _ => self.document.read_at(&[hash.0]).issue.json(name).map(str::to_owned),
            };
            edit::same(then.as_deref(), value)
        })
    }

    /// Tells whether a list field has ever held the element with this key.
    pub fn held_element(&self, name: &str, key: &str) -> bool {
        self.changes.iter().any(|hash| self.at(&[*hash]).element(name, key).is_some())
    }

    /// Tells whether a list field has ever been without the element with this key.
    pub fn lacked_element(&self, name: &str, key: &str) -> bool {
        self.changes.iter().any(|hash| self.at(&[*hash]).element(name, key).is_none())
    }

    /// Returns the last version that was dated `updated_at`, if there is one.
    pub fn dated(&self, updated_at: &str) -> Option<Past> {
        let is_dated = |hash: &&ChangeHash| self.date_at(**hash).as_deref() == Some(updated_at);
        let hash = self.changes.iter().rev().find(is_dated)?.0;
        Some(Past { hash, content: self.document.read_at(&[hash]) })
    }

    /// Returns the earliest and the latest `updated_at` that this replica has ever seen, as far as
    /// they are times.
    pub fn first_and_last(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let date = |hash: &ChangeHash| Timestamp::parse(&self.date_at(*hash)?);
        let dates: Vec<Timestamp> = self.changes.iter().filter_map(date).collect();
        (dates.iter().min().copied(), dates.iter().max().copied())
    }

    fn date_at(&self, hash: ChangeHash) -> Option<String> {
        as_text(&self.at(&[hash]).register("updated_at")?)
    }

    fn at<'b>(&'b self, heads: &'b [ChangeHash]) -> View<'b> {
        View { birth: &self.document.birth, doc: &self.document.doc, heads: Some(heads) }
    }
}

/// Returns the time of a change, which is kept in seconds.
pub(super) fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}
