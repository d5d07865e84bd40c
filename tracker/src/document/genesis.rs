//! The first change of every document: its empty maps, made alike by every replica.
//!
//! The bytes depend on `(id, created_at)` alone, so two nodes that import the same line while
//! apart make the same change and their edits merge field by field. A golden test freezes them.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, ChangeHash, ROOT};
use serde::{Deserialize, Serialize};

use super::{scalar, schema};
use crate::id::{self, DocumentKey};

/// What names a document: the id, and `created_at` as spelled.
///
/// One id with two times of creation is two documents, shown as a collision and never fused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Birth {
    /// The id.
    pub id: String,
    /// Compact JSON text of `created_at`; `None` where the record has no such field.
    pub created_at: Option<String>,
}

impl Birth {
    /// Returns the key of the document.
    pub fn key(&self) -> DocumentKey {
        let created_at = self.created_at.as_deref().unwrap_or("");
        DocumentKey(id::labelled_hash(
            DocumentKey::LABEL,
            &[self.id.as_bytes(), created_at.as_bytes()],
        ))
    }

    /// Returns a document that holds the genesis change alone.
    pub fn document(&self) -> Automerge {
        let actor = ActorId::from(&self.key().0[..16]);
        let mut doc = Automerge::new().with_actor(actor);
        let mut tx = doc.transaction();
        // An empty document accepts scalars and maps at its root: these calls cannot fail.
        tx.put(ROOT, "id", self.id.as_str()).expect("the root is a map");
        if let Some(created_at) = &self.created_at {
            tx.put(ROOT, "created_at", scalar::from_json(created_at)).expect("the root is a map");
        }
        for map in schema::GENESIS_MAPS {
            tx.put_object(ROOT, map, automerge::ObjType::Map).expect("the root is a map");
        }
        tx.commit_with(CommitOptions::default().with_time(0));
        doc
    }

    /// Returns the hash of the genesis change.
    pub fn genesis_hash(&self) -> ChangeHash {
        self.document().get_heads()[0]
    }
}
