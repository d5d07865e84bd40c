//! What changes that are not in a document any more built on, as far as that is still in it.

use std::collections::{BTreeSet, HashMap};

use automerge::{Change, ChangeHash};

use super::{Document, Heads};

/// A hash of a change.
type Hash = [u8; 32];

/// Changes that a document lacks, with what stands for each there: what it builds on, or what was
/// written in its place.
#[derive(Clone, Debug, Default)]
pub struct Ancestry {
    before: HashMap<Hash, Vec<Hash>>,
}

impl Ancestry {
    /// Takes a change down, given its bytes; what is no change is passed over.
    pub fn add(&mut self, change: &[u8]) {
        if let Ok(change) = Change::from_bytes(change.to_vec()) {
            let deps = change.deps().iter().map(|dep| dep.0).collect();
            self.before.insert(change.hash().0, deps);
        }
    }

    /// Notes what stands for a change from now on.
    pub fn replace(&mut self, change: Hash, by: Heads) {
        self.before.insert(change, by);
    }

    /// Returns the heads of what a document still holds of some changes and all that they build on;
    /// genesis, where that is nothing.
    pub fn nearest(&self, document: &Document, changes: &[Hash]) -> Heads {
        let (mut open, mut seen) = (changes.to_vec(), BTreeSet::new());
        let mut held = Vec::new();
        while let Some(hash) = open.pop() {
            if !seen.insert(hash) {
                continue;
            }
            if document.holds(&[hash]) {
                held.push(hash);
            } else {
                open.extend(self.before.get(&hash).into_iter().flatten());
            }
        }
        document.newest_of(held)
    }
}

impl Document {
    /// Returns those of some changes on which none of the others builds, sorted; genesis, where
    /// there are none.
    fn newest_of(&self, mut changes: Vec<Hash>) -> Heads {
        changes.sort_unstable();
        changes.dedup();
        if changes.is_empty() {
            return vec![self.birth.genesis_hash().0];
        }
        if changes.len() == 1 || changes == self.heads() {
            return changes;
        }
        let is_older = |old: &Hash| {
            changes.iter().any(|new| {
                let unseen = self.doc.get_changes_meta(&[ChangeHash(*new)]);
                new != old && !unseen.iter().any(|meta| meta.hash.0 == *old)
            })
        };
        changes.iter().copied().filter(|change| !is_older(change)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Birth, Edit};
    use crate::id::{AgentId, LogId};
    use crate::timestamp::Timestamp;

    fn titled(document: &Document, title: &str) -> Edit {
        let mut edit = Edit::default();
        edit.set(&document.read(), "title", Some(&format!("\"{title}\"")));
        edit
    }

    #[test]
    fn a_change_that_is_gone_stands_for_what_it_built_on() {
        let birth = Birth { id: "A-1".to_owned(), created_at: None };
        let log = LogId { agent: AgentId([3; 32]), nonce: [4; 8] };
        let genesis = vec![birth.genesis_hash().0];
        let mut document = Document::new(birth);
        let edit = titled(&document, "one");
        document.write(&edit, log, Timestamp(0)).unwrap();
        let kept = document.heads();
        let mut gone = document.clone();
        let mut ancestry = Ancestry::default();
        for title in ["two", "three"] {
            let edit = titled(&gone, title);
            ancestry.add(&gone.write(&edit, log, Timestamp(0)).unwrap().unwrap());
        }
        assert_eq!(ancestry.nearest(&document, &gone.heads()), kept);
        let both = [gone.heads()[0], kept[0], genesis[0]];
        assert_eq!(ancestry.nearest(&document, &both), kept, "the newest alone");
        assert_eq!(ancestry.nearest(&document, &[[9; 32]]), genesis);
        ancestry.replace(gone.heads()[0], genesis.clone());
        assert_eq!(ancestry.nearest(&document, &gone.heads()), genesis);
    }
}
