//! What a document said after each of its changes. Reads only.

use super::{Content, Document};
use crate::issue::as_text;
use crate::jsonl::text;
use crate::timestamp::Timestamp;

/// The contents of a document after every change, in an order that builds on itself.
///
/// Where people edited at once, each content is what the author of that change saw.
pub struct History {
    versions: Vec<Past>,
}

/// The document after one change.
pub struct Past {
    /// The hash of the change.
    pub hash: [u8; 32],
    /// What its author's document said then.
    pub content: Content,
}

impl Document {
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

fn has_element(past: &Past, name: &str, key: &str) -> bool {
    past.content.lists.get(name).is_some_and(|list| list.iter().any(|element| element.key == key))
}
