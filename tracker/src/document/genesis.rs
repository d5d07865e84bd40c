//! The first change of every document: its empty maps, made alike by every replica.
//!
//! The bytes depend on `(id, created_at)` alone, so two nodes that import the same line while
//! apart make the same change and their edits merge field by field. A golden test freezes them.

use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ChangeHash, ExpandedChange, ObjId, ObjType};
use serde::{Deserialize, Serialize};

use super::{scalar, schema};
use crate::id::{self, DocumentKey};
use crate::jsonl::text;
use crate::name::is_name;

/// The longest `created_at`, in bytes of JSON.
pub const CREATED_AT_BYTES_MAX: usize = 256;

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

    /// Tells whether this may name a document: a usable id, and a time that is compact JSON.
    pub fn is_valid(&self) -> bool {
        let is_json = |json: &String| {
            json.len() <= CREATED_AT_BYTES_MAX
                && text::validate(json.as_bytes()).is_ok()
                && text::compact(json) == *json
        };
        is_name(&self.id) && self.created_at.as_ref().is_none_or(is_json)
    }

    /// Returns about how many bytes this takes in a commit.
    pub fn bytes(&self) -> usize {
        self.id.len() + self.created_at.as_ref().map_or(0, String::len)
    }

    /// Returns the genesis change.
    pub fn change(&self) -> Change {
        let mut operations = vec![put("id", &scalar::quote(&self.id))];
        operations.extend(self.created_at.as_deref().map(|json| put("created_at", json)));
        operations.extend(
            schema::GENESIS_MAPS.map(|name| root_operation(name, OpType::Make(ObjType::Map))),
        );
        Change::from(ExpandedChange {
            operations,
            actor_id: self.actor(),
            hash: None,
            seq: 1,
            start_op: NonZeroU64::MIN,
            time: 0,
            message: None,
            deps: Vec::new(),
            extra_bytes: Vec::new(),
            author: None,
        })
    }

    /// Returns a document that holds the genesis change alone.
    pub fn document(&self) -> Automerge {
        let mut document = Automerge::new();
        // The change is our own, and depends on nothing.
        document.apply_changes([self.change()]).expect("a genesis change applies");
        document
    }

    /// Returns the hash of the genesis change.
    pub fn genesis_hash(&self) -> ChangeHash {
        self.change().hash()
    }

    /// Returns the actor of the genesis change.
    pub(super) fn actor(&self) -> ActorId {
        ActorId::from(&self.key().0[..16])
    }

    /// Returns the id of the operation that made one of the maps; `None` for another name.
    pub(super) fn map_op(&self, name: &str) -> Option<OpId> {
        let place = schema::GENESIS_MAPS.iter().position(|map| *map == name)? as u64;
        Some(OpId(self.first_map() + place, self.actor()))
    }

    /// Returns the object that one of the maps is; `None` for another name.
    pub(super) fn map(&self, name: &str) -> Option<ObjId> {
        let OpId(counter, actor) = self.map_op(name)?;
        // Where the actor stands in a document is a hint that may be wrong.
        Some(ObjId::Id(counter, actor, 0))
    }

    /// Returns the counter of the first operation after genesis.
    pub(super) fn next_op(&self) -> u64 {
        self.first_map() + schema::GENESIS_MAPS.len() as u64
    }

    /// The maps follow the id and, where there is one, the time of creation.
    fn first_map(&self) -> u64 {
        2 + u64::from(self.created_at.is_some())
    }
}

fn put(name: &str, json: &str) -> Op {
    root_operation(name, OpType::Put(scalar::from_json(json)))
}

fn root_operation(name: &str, action: OpType) -> Op {
    Op {
        action,
        obj: ObjectId::Root,
        key: Key::Map(name.into()),
        pred: SortedVec::new(),
        insert: false,
    }
}
