//! Which foreign changes a document takes: what is wrong by its bytes alone is refused.
//!
//! Who signed the change, and whether that agent may write at all, is the journal's business.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key, ObjectId, OpId, OpType};
use automerge::{Change, ExpandedChange, ScalarValue};

use super::{Birth, Document, DocumentError, elements, scalar, schema};
use crate::id::LogId;
use crate::jsonl::text;

/// The most operations that one change may hold.
pub const CHANGE_OPS_MAX: usize = 100_000;

/// The bytes before an actor of ours when it wrote beside its own later changes.
const CONCURRENCY_BYTES_MAX: usize = 4 + 5;

/// The type byte of an uncompressed change chunk (Automerge binary format, "chunk types").
const CHANGE_CHUNK: u8 = 1;

/// Where the type byte stands: after four magic bytes and four of checksum.
const CHUNK_TYPE_AT: usize = 8;

/// Decodes foreign change bytes and checks them against the rules that need nothing but the bytes.
///
/// Refuses compressed chunks, wrong checksums, too many operations, another actor than `log`'s,
/// and every operation but a scalar put or a delete in a map that genesis made; a record may only
/// be added.
pub fn check(birth: &Birth, bytes: &[u8], log: LogId) -> Result<Change, DocumentError> {
    let refused = |reason| DocumentError::Refused { id: birth.id.clone(), reason };
    if !birth.is_valid() {
        return Err(refused("its document cannot be named so"));
    }
    if bytes.get(CHUNK_TYPE_AT) != Some(&CHANGE_CHUNK) {
        return Err(refused("it is not one uncompressed change"));
    }
    let change = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes.to_vec())))
        .map_err(|_panic| refused("its bytes make the decoder panic"))?
        .map_err(|_malformed| refused("its bytes are malformed"))?;
    if change.raw_bytes() != bytes {
        return Err(refused("bytes follow the change"));
    }
    if change.hash().0[..4] != bytes[4..8] {
        return Err(refused("its checksum is wrong"));
    }
    if change.len() > CHANGE_OPS_MAX {
        return Err(refused("it holds too many operations"));
    }
    if !is_actor_of(change.actor_id().to_bytes(), log) {
        return Err(refused("its actor is not the log that carries it"));
    }
    let expanded = catch_unwind(AssertUnwindSafe(|| change.decode()))
        .map_err(|_panic| refused("its operations make the decoder panic"))?;
    check_operations(birth, &expanded).map_err(refused)?;
    Ok(change)
}

impl Document {
    /// Applies a change that [`check`] let pass, behind a panic barrier.
    pub fn admit(&mut self, change: Change) -> Result<(), DocumentError> {
        let id = self.birth.id.clone();
        if change.deps().iter().any(|dep| self.doc.get_change_meta_by_hash(dep).is_none()) {
            return Err(DocumentError::Missing { id });
        }
        if self.doc.get_change_meta_by_hash(&change.hash()).is_some() {
            return Err(DocumentError::Refused { id, reason: "it is here already" });
        }
        let mut copy = self.clone();
        let applied = catch_unwind(AssertUnwindSafe(|| {
            copy.apply(vec![change])?;
            copy.read();
            Ok(copy)
        }))
        .map_err(|_panic| DocumentError::Refused { id, reason: "applying or reading it panics" })?;
        *self = applied?;
        Ok(())
    }
}

/// Tells whether a scalar is one that [`scalar::from_json`] gives for some JSON text.
fn is_storable(value: &ScalarValue) -> bool {
    let Some(json) = scalar::to_json(value) else { return false };
    match value {
        ScalarValue::Bytes(_) => {
            text::validate(json.as_bytes()).is_ok() && text::compact(&json) == json
        }
        _ => true,
    }
}

fn is_actor_of(actor: &[u8], log: LogId) -> bool {
    actor.ends_with(&log.to_bytes()) && actor.len() <= LogId::BYTES + CONCURRENCY_BYTES_MAX
}

fn check_operations(birth: &Birth, change: &ExpandedChange) -> Result<(), &'static str> {
    let genesis_actor = birth.actor();
    let counter = |name: &&str| birth.map_op(name).map(|op| op.counter());
    let maps: BTreeSet<u64> = schema::GENESIS_MAPS.iter().filter_map(counter).collect();
    let records = counter(&schema::RECORDS_MAP);
    let of_map = |name: &str, at: u64| counter(&name) == Some(at);
    for op in &change.operations {
        let ObjectId::Id(OpId(counter, actor)) = &op.obj else {
            return Err("it writes to the root");
        };
        if *actor != genesis_actor || !maps.contains(counter) {
            return Err("it writes to an object that genesis did not make");
        }
        if !matches!(op.key, Key::Map(_)) || op.insert {
            return Err("it treats a map as a list");
        }
        match &op.action {
            OpType::Put(value) => {
                let key = if let Key::Map(key) = &op.key { key.as_str() } else { "" };
                let is_list = !of_map(schema::FIELDS_MAP, *counter) && Some(*counter) != records;
                if !is_storable(value) || is_list && !elements::is_entry(key, value) {
                    return Err("it puts a value that no edit writes");
                }
            }
            OpType::Delete => {}
            _ => return Err("it holds an operation other than putting a scalar or deleting"),
        }
        let overwrites = op.pred.iter().next().is_some() || matches!(op.action, OpType::Delete);
        if Some(*counter) == records && overwrites {
            return Err("it overwrites or deletes a record");
        }
    }
    Ok(())
}
