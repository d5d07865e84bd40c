//! Which foreign changes a document takes: what is wrong by its bytes, or by the changes that it
//! builds on, is refused.
//!
//! Who signed the change, and whether that agent may write at all, is the journal's business. No rule
//! asks what else the document holds: replicas that know different things must judge alike.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ReadDoc, ScalarValue};

use super::chunk::Chunk;
use super::read::View;
use super::records::record_of;
use super::{Birth, Document, DocumentError, elements, scalar, schema};
use crate::claim::link;
use crate::claim::record::Record;
use crate::document::schema::Place;
use crate::id::LogId;
use crate::issue::{TITLE_BYTES_MAX, as_text};
use crate::jsonl::record::{FIELD_BYTES_MAX, VERSION_FIELD};
use crate::jsonl::text;
use crate::name::NAME_BYTES_MAX;
use crate::state;

/// The most operations that one change may hold, and the most that these may replace.
pub const CHANGE_OPS_MAX: u64 = 100_000;

/// How far the operations of a change may be numbered past those that it builds on.
///
/// A change that is written beside others is numbered past those too. Without a bound one change
/// could use up all numbers that Automerge has, and nobody could edit the issue again.
pub const OPS_AHEAD_MAX: u64 = 1_000_000;

/// The seconds between 1970 and the year 10000; no honest change is dated further away.
const SECONDS_MAX: u64 = 253_402_300_800;

/// The bytes before an actor of ours when it wrote beside its own later changes.
const CONCURRENCY_BYTES_MAX: usize = 4 + 5;

/// Checks what a commit says of one document before its changes are looked at.
///
/// Without a change there would be an issue that nobody wrote.
pub fn check_entry(birth: &Birth, changes: usize) -> Result<(), DocumentError> {
    let refused = |reason| DocumentError::Refused { id: birth.id.clone(), reason };
    if !birth.is_valid() {
        return Err(refused("its document cannot be named so"));
    }
    if changes == 0 {
        return Err(refused("it comes without a change"));
    }
    Ok(())
}

/// Decodes foreign change bytes and checks them against the rules that need nothing but the bytes.
///
/// `birth` is one that [`check_entry`] let pass.
///
/// Refuses, in this order: what is not one uncompressed change, a wrong checksum, more than
/// [`CHANGE_OPS_MAX`] operations, another actor than `log`'s, what no change of ours carries, and
/// every operation but a scalar put or a delete in a map that genesis made. A key is written once,
/// and a record may only be added. What is left must be spelled as Automerge spells it. Nothing is
/// expanded before it is known to be few operations.
pub fn check(birth: &Birth, bytes: &[u8], log: LogId) -> Result<Checked, DocumentError> {
    let refused = |reason| DocumentError::Refused { id: birth.id.clone(), reason };
    let chunk = Chunk::read(bytes).ok_or_else(|| refused("it is not one uncompressed change"))?;
    if !chunk.is_sound() {
        return Err(refused("its checksum is wrong"));
    }
    let extent = chunk.extent().ok_or_else(|| refused("its bytes are malformed"))?;
    if extent.operations.max(extent.predecessors) > CHANGE_OPS_MAX {
        return Err(refused("it holds too many operations"));
    }
    let change = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes.to_vec())))
        .map_err(|_panic| refused("its bytes make the decoder panic"))?
        .map_err(|_malformed| refused("its bytes are malformed"))?;
    if !is_actor_of(change.actor_id().to_bytes(), log) {
        return Err(refused("its actor is not the log that carries it"));
    }
    check_form(&change).map_err(refused)?;
    let expanded = catch_unwind(AssertUnwindSafe(|| change.decode()))
        .map_err(|_panic| refused("its operations make the decoder panic"))?;
    let written = Operations::new(birth, log).check(&expanded).map_err(refused)?;
    // A document is saved without the bytes of its changes, and loaded only if their hashes come out
    // again: one change in another spelling would make the whole document unreadable.
    let respelled = catch_unwind(AssertUnwindSafe(|| Change::from(expanded).raw_bytes() == bytes));
    match respelled {
        Ok(true) => Ok(Checked { change, records: written.records, state: written.state }),
        _ => Err(refused("its bytes are not as Automerge writes them")),
    }
}

/// A change that breaks no rule that can be seen in its bytes.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The change.
    pub change: Change,
    /// The claim records that it adds.
    pub records: Vec<Record>,
    /// The stored state that it writes, as JSON; `None` inside where it takes the state out.
    pub state: Option<Option<String>>,
}

/// What the operations of a change write.
#[derive(Default)]
struct Written {
    records: Vec<Record>,
    state: Option<Option<String>>,
}

impl Document {
    /// Tells whether only a maintainer may make a change: it has records of one, or writes the stored
    /// state of an issue that it ends, or that is over in what its author knew. Whoever brings an
    /// issue in writes its first state, whatever that is.
    ///
    /// What the change builds on decides, and nothing else that is here.
    pub fn needs_maintainer(&self, checked: &Checked) -> bool {
        if checked.records.iter().any(Record::needs_maintainer) {
            return true;
        }
        let Some(state) = &checked.state else { return false };
        let deps = checked.change.deps();
        let is_here = |dep: &ChangeHash| self.doc.get_change_meta_by_hash(dep).is_some();
        if !deps.iter().all(is_here) || self.is_own(&checked.change) {
            return false;
        }
        let ends = state::is_terminal(state.as_deref().and_then(as_text).as_deref());
        let then: Vec<[u8; 32]> = deps.iter().map(|dep| dep.0).collect();
        ends || self.read_at(&then).issue.is_terminal()
    }

    /// Tells whether a change builds on nothing but genesis and changes of its own log.
    fn is_own(&self, change: &Change) -> bool {
        let log = |actor: &[u8]| {
            actor.get(actor.len().saturating_sub(LogId::BYTES)..).map(<[u8]>::to_vec)
        };
        let own = log(change.actor_id().to_bytes());
        let genesis = self.birth.actor();
        let unseen: BTreeSet<ChangeHash> =
            self.doc.get_changes_meta(change.deps()).iter().map(|meta| meta.hash).collect();
        self.doc
            .get_changes_meta(&[])
            .iter()
            .filter(|meta| !unseen.contains(&meta.hash))
            .all(|meta| *meta.actor == genesis || log(meta.actor.to_bytes()) == own)
    }

    /// Applies a change that [`check`] let pass: to a copy, behind a panic barrier.
    ///
    /// What it builds on must be here. Refused, and nothing changed, if it does not continue its
    /// actor's changes, numbers its operations past reason, or replaces what it cannot have seen.
    pub fn admit(&mut self, checked: Checked) -> Result<(), DocumentError> {
        let Checked { change, records, .. } = checked;
        let id = self.birth.id.clone();
        let refused = |reason| DocumentError::Refused { id: id.clone(), reason };
        if change.deps().iter().any(|dep| self.doc.get_change_meta_by_hash(dep).is_none()) {
            return Err(DocumentError::Missing { id });
        }
        if self.doc.get_change_meta_by_hash(&change.hash()).is_some() {
            return Err(refused("it is here already"));
        }
        self.check_order(&change).map_err(refused)?;
        let copy = catch_unwind(AssertUnwindSafe(|| {
            self.check_replaced(&change)?;
            self.check_links(&change, &records)?;
            let mut copy = self.clone();
            copy.doc.apply_changes([change]).map_err(|_error| "it does not apply")?;
            copy.read();
            Ok(copy)
        }));
        let panicked = |_panic| refused("applying or reading it panics");
        *self = copy.map_err(panicked)?.map_err(refused)?;
        Ok(())
    }

    /// Checks that a change follows all others of its actor, and how its operations are numbered.
    fn check_order(&self, change: &Change) -> Result<(), &'static str> {
        let by_actor = |changes: &[automerge::ChangeMetadata<'_>]| {
            changes.iter().filter(|meta| *meta.actor == *change.actor_id()).count() as u64
        };
        let unseen = by_actor(&self.doc.get_changes_meta(change.deps()));
        let before = by_actor(&self.doc.get_changes_meta(&[]));
        if unseen > 0 || change.seq() != before + 1 {
            return Err("it does not continue its actor's changes");
        }
        let deps = change.deps().iter();
        let last = deps.filter_map(|dep| Some(self.doc.get_change_meta_by_hash(dep)?.max_op)).max();
        let last = last.unwrap_or(0);
        if !(last + 1..=last + OPS_AHEAD_MAX).contains(&change.start_op().get()) {
            return Err("its operations are numbered past what they build on");
        }
        Ok(())
    }

    /// Checks that each operation replaces nothing but values that its key had where it was written.
    ///
    /// Automerge looks for what is replaced by number alone, among all that it applies together: it
    /// would be another value after the document is loaded than before.
    fn check_replaced(&self, change: &Change) -> Result<(), &'static str> {
        let mut heads: Vec<ChangeHash> = self.doc.get_heads();
        heads.sort_unstable();
        let heads = (heads != change.deps()).then(|| change.deps());
        for op in change.decode().operations {
            let mut replaced = op.pred.iter().peekable();
            if replaced.peek().is_none() {
                continue;
            }
            let standing = self.standing_at(&op, heads);
            if !replaced.all(|pred| standing.contains(pred)) {
                return Err("it claims to follow what its key did not hold");
            }
        }
        Ok(())
    }

    /// Checks that records fit those that their author knew.
    fn check_links(&self, change: &Change, records: &[Record]) -> Result<(), &'static str> {
        if records.is_empty() {
            return Ok(());
        }
        let view = View { birth: &self.birth, doc: &self.doc, heads: Some(change.deps()) };
        link::check(&self.birth.id, &view.tree(), records)
    }

    /// Returns the operations whose values stand side by side under the key that `op` writes to.
    fn standing_at(&self, op: &Op, heads: Option<&[ChangeHash]>) -> Vec<OpId> {
        let is_written =
            |name: &&&str| self.birth.map_op(name).is_some_and(|made| op.obj == ObjectId::Id(made));
        let name = schema::GENESIS_MAPS.iter().find(is_written);
        let map = name.and_then(|name| self.birth.map(name));
        let (Some(map), Key::Map(key)) = (map, &op.key) else { return Vec::new() };
        let all = match heads {
            None => self.doc.get_all(&map, key.as_str()),
            Some(heads) => self.doc.get_all_at(&map, key.as_str(), heads),
        };
        let id = |id: &automerge::ObjId| match id {
            automerge::ObjId::Id(counter, actor, _) => Some(OpId(*counter, actor.clone())),
            automerge::ObjId::Root => None,
        };
        all.unwrap_or_default().iter().filter_map(|(_, op)| id(op)).collect()
    }
}

impl Document {
    /// Returns the logs in which the changes came that these build on, as far as they are here.
    pub fn logs_before(&self, changes: &[Vec<u8>]) -> BTreeSet<LogId> {
        let changes = changes.iter().filter_map(|bytes| Change::from_bytes(bytes.clone()).ok());
        let deps = changes.flat_map(|change| change.deps().to_vec());
        let metas = deps.filter_map(|dep| self.doc.get_change_meta_by_hash(&dep));
        metas.filter_map(|meta| log_of_actor(meta.actor.to_bytes())).collect()
    }
}

/// Returns the log that an actor writes; nothing for that of a genesis.
fn log_of_actor(actor: &[u8]) -> Option<LogId> {
    let log = LogId::from_bytes(actor.last_chunk::<{ LogId::BYTES }>()?)?;
    is_actor_of(actor, log).then_some(log)
}

fn is_actor_of(actor: &[u8], log: LogId) -> bool {
    actor.ends_with(&log.to_bytes()) && actor.len() <= LogId::BYTES + CONCURRENCY_BYTES_MAX
}

/// Checks what a change carries besides its operations.
fn check_form(change: &Change) -> Result<(), &'static str> {
    if change.is_empty() {
        return Err("it holds no operations");
    }
    if change.deps().is_empty() || !change.deps().is_sorted_by(|a, b| a < b) {
        return Err("what it depends on is not listed in order");
    }
    if change.message().is_some() || !change.extra_bytes().is_empty() {
        return Err("it carries more than operations");
    }
    if change.timestamp().unsigned_abs() >= SECONDS_MAX {
        return Err("its time is out of range");
    }
    Ok(())
}

/// The rules for operations on the document with some birth.
struct Operations<'a> {
    birth: &'a Birth,
    log: LogId,
    genesis: ActorId,
    /// The maps that genesis made: number of the operation, and name.
    maps: Vec<(u64, &'static str)>,
}

impl<'a> Operations<'a> {
    fn new(birth: &'a Birth, log: LogId) -> Self {
        let map = |name: &'static str| Some((birth.map_op(name)?.counter(), name));
        let maps = schema::GENESIS_MAPS.into_iter().filter_map(map).collect();
        Self { birth, log, genesis: birth.actor(), maps }
    }

    /// Returns what a change writes, if each of its operations is one that an edit makes.
    fn check(&self, change: &ExpandedChange) -> Result<Written, &'static str> {
        let mut all = Written::default();
        let mut written: BTreeSet<(&str, &str)> = BTreeSet::new();
        for op in &change.operations {
            let map = self.map_of(&op.obj)?;
            let Key::Map(key) = &op.key else { return Err("it treats a map as a list") };
            if op.insert {
                return Err("it treats a map as a list");
            }
            match &op.action {
                OpType::Put(value) if map == schema::RECORDS_MAP => {
                    let record = record_of(&self.birth.id, key, value);
                    all.records.push(
                        record
                            .filter(|record| record.by == self.log.agent)
                            .ok_or("it adds what is no record of its author")?,
                    );
                }
                OpType::Put(value) if is_entry(map, key, value) => {}
                OpType::Put(_) => return Err("it puts a value that no edit writes"),
                OpType::Delete => {}
                _ => return Err("it holds an operation other than putting a scalar or deleting"),
            }
            let is_delete = matches!(op.action, OpType::Delete);
            if map == schema::RECORDS_MAP && (is_delete || op.pred.iter().next().is_some()) {
                return Err("it overwrites or deletes a record");
            }
            if (map, key.as_str()) == (schema::FIELDS_MAP, "title") && is_delete {
                return Err("it takes the title away");
            }
            if !written.insert((map, key)) {
                return Err("it writes a key twice");
            }
            if (map, key.as_str()) == (schema::FIELDS_MAP, "state") {
                all.state = Some(match &op.action {
                    OpType::Put(value) => scalar::to_json(value),
                    _ => None,
                });
            }
        }
        Ok(all)
    }

    fn map_of(&self, obj: &ObjectId) -> Result<&'static str, &'static str> {
        let ObjectId::Id(OpId(counter, actor)) = obj else { return Err("it writes to the root") };
        let made = self.maps.iter().find(|(made, _)| made == counter && *actor == self.genesis);
        made.map(|(_, name)| *name).ok_or("it writes to an object that genesis did not make")
    }
}

/// Tells whether an edit could write that value under that key of one of the maps.
fn is_entry(map: &str, key: &str, value: &ScalarValue) -> bool {
    if key.is_empty() || key.len() > NAME_BYTES_MAX {
        return false;
    }
    match map {
        schema::FIELDS_MAP => is_register(key, value),
        _ => elements::is_entry(key, value),
    }
}

fn is_register(name: &str, value: &ScalarValue) -> bool {
    if schema::place_of(name) == Place::Genesis || name == VERSION_FIELD || !is_storable(value) {
        return false;
    }
    let title = || scalar::to_json(value).and_then(|json| as_text(&json));
    let is_title = |title: String| !title.trim().is_empty() && title.len() <= TITLE_BYTES_MAX;
    name != "title" || title().is_some_and(is_title)
}

/// Tells whether a scalar is one that [`scalar::from_json`] gives for some JSON text.
fn is_storable(value: &ScalarValue) -> bool {
    let Some(json) = scalar::to_json(value) else { return false };
    match value {
        _ if json.len() > FIELD_BYTES_MAX => false,
        ScalarValue::Bytes(_) => {
            text::validate(json.as_bytes()).is_ok() && text::compact(&json) == json
        }
        _ => true,
    }
}
