//! A member that writes what it must not: changes and commits made by hand, and a store that is
//! offered them.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ExpandedChange, ReadDoc, ScalarValue};
use x0x_tracker::TrackerError;
use x0x_tracker::document::schema::GENESIS_MAPS;
use x0x_tracker::document::{Birth, Document};
use x0x_tracker::id::LogId;
use x0x_tracker::interface::Tracker;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::commit::{Body, Commit, Entry, Header, Position, body_hash, encode_body};
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::StandIn;

use crate::support::{List, exchange, record};

/// Who forges.
const MALLORY: u64 = 2;

/// The map of fields, by its place among those that genesis makes.
pub const FIELDS: &str = "fields";

pub struct Forge {
    pub victim: List,
    pub birth: Birth,
    /// The document, as the victim has it.
    pub doc: Automerge,
    pub log: LogId,
    /// Where Mallory's log is.
    position: Option<Position>,
    template: Header,
}

/// What must not move when something is refused.
type Traces = (String, u64, Frontier, String);

impl Forge {
    /// A store with the issue A-1, of which Mallory is a member with a fresh log.
    pub fn new() -> Self {
        Self::in_role(Role::Maintainer, "\"todo\"")
    }

    /// The same with Mallory in some role, and the issue brought in with some state.
    pub fn in_role(role: Role, state: &str) -> Self {
        let mut victim = List::new(1);
        let mut other = List::member_of(&mut victim, 3);
        victim.import(&record("A-1", &[("state", state)]));
        exchange(&mut victim, &mut other);
        other.set("A-1", "title", "\"edited\"");
        other.set("A-1", "labels", "[\"b\",\"c\"]");
        let _mallory = List::member_in_role(&mut victim, MALLORY, role);
        exchange(&mut victim, &mut other);
        let list = victim.tracker.info().unwrap().list;
        let commits = victim.tracker.commits_after(&Frontier::default(), usize::MAX).unwrap();
        let opened: Vec<_> =
            commits.iter().map(|sealed| sealed.commit.open(list).unwrap()).collect();
        let birth = opened[0].body.entries[0].birth.clone();
        let changes =
            opened.iter().flat_map(|opened| &opened.body.entries).flat_map(|e| &e.changes);
        let mut doc = Automerge::load(&Document::new(birth.clone()).genesis_bytes()).unwrap();
        for bytes in changes {
            doc.apply_changes([Change::from_bytes(bytes.clone()).unwrap()]).unwrap();
        }
        let log = LogId { agent: StandIn::new(MALLORY).agent(), nonce: [9; 8] };
        let mut charter: Vec<_> =
            victim.tracker.statements().unwrap()[1..].iter().map(|signed| signed.hash()).collect();
        charter.sort_unstable();
        let template = Header { log, charter, after: Vec::new(), ..opened[0].header.clone() };
        Self { victim, birth, doc, log, position: None, template }
    }

    /// A change without operations that would be taken if it had a good one.
    pub fn change(&self, operations: Vec<Op>) -> ExpandedChange {
        let deps = self.doc.get_heads();
        let last = deps.iter().map(|dep| self.doc.get_change_meta_by_hash(dep).unwrap().max_op);
        let mine = self.doc.get_changes(&[]);
        let mine = mine.iter().filter(|change| *change.actor_id() == self.actor()).count() as u64;
        ExpandedChange {
            operations,
            actor_id: self.actor(),
            hash: None,
            seq: mine + 1,
            start_op: NonZeroU64::new(last.max().unwrap() + 1).unwrap(),
            time: 0,
            message: None,
            deps,
            extra_bytes: Vec::new(),
            author: None,
        }
    }

    pub fn actor(&self) -> ActorId {
        ActorId::from(&self.log.to_bytes()[..])
    }

    /// The object of one of the maps that genesis made.
    pub fn map(&self, name: &str) -> ObjectId {
        map_of(&self.birth, name)
    }

    /// An operation that is fine.
    pub fn good_op(&self) -> Op {
        put(self.map(FIELDS), "note", ScalarValue::Str("good".into()))
    }

    /// The operations whose values stand under a key of one of the maps.
    pub fn standing(&self, map: &str, key: &str) -> Vec<OpId> {
        let (_, map) = self.doc.get(automerge::ROOT, map).unwrap().unwrap();
        let all = self.doc.get_all(&map, key).unwrap();
        all.into_iter().map(|(_, op)| op_id(&op)).collect()
    }

    /// Offers a change in a commit that has nothing wrong with it.
    pub fn offer(&mut self, change: &[u8]) -> Result<(), TrackerError> {
        self.offer_entries(vec![Entry {
            birth: self.birth.clone(),
            changes: vec![change.to_vec()],
        }])
    }

    pub fn offer_entries(&mut self, entries: Vec<Entry>) -> Result<(), TrackerError> {
        let body = encode_body(&Body { entries });
        let header = Header {
            number: self.position.map_or(1, |position| position.number + 1),
            previous: self.position.map(|position| position.hash),
            body: body_hash(&body),
            after: self.seen(),
            ..self.template.clone()
        };
        let commit = Commit::sign(&header, body, &StandIn::new(MALLORY)).unwrap();
        self.victim.tracker.admit(std::slice::from_ref(&commit))?;
        self.position = Some(Position { number: header.number, hash: commit.hash() });
        Ok(())
    }

    /// Goes on in another log of Mallory's; returns the last commit of the one before.
    pub fn turn_to_log(&mut self, nonce: [u8; 8]) -> Option<Position> {
        self.log.nonce = nonce;
        self.template.log = self.log;
        self.position.take()
    }

    fn seen(&self) -> Vec<(LogId, Position)> {
        let frontier = self.victim.tracker.frontier().unwrap();
        frontier.0.into_iter().filter(|(log, _)| *log != self.log).collect()
    }

    /// Offers a change that must be taken.
    pub fn take(&mut self, change: ExpandedChange) {
        let change = Change::from(change);
        self.offer(change.raw_bytes()).unwrap();
        self.doc.apply_changes([change]).unwrap();
    }

    /// Sees a change refused for `reason`, without a trace, and a good one taken after it.
    pub fn sees_refused(&mut self, change: ExpandedChange, reason: &str) {
        let bytes = Change::from(change).raw_bytes().to_vec();
        self.sees_refused_bytes(&bytes, reason);
    }

    pub fn sees_refused_bytes(&mut self, change: &[u8], reason: &str) {
        let entry = Entry { birth: self.birth.clone(), changes: vec![change.to_vec()] };
        self.sees_refused_entry(entry, reason);
    }

    pub fn sees_refused_entry(&mut self, entry: Entry, reason: &str) {
        let before = self.traces();
        // A good change before the bad one does not come in with it.
        let good = Change::from(self.change(vec![self.good_op()])).raw_bytes().to_vec();
        let good = Entry { birth: self.birth.clone(), changes: vec![good] };
        let error = self.offer_entries(vec![entry.clone()]).expect_err(reason).to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(self.traces(), before, "{reason}");
        self.offer_entries(vec![good, entry]).expect_err(reason);
        assert_eq!(self.traces(), before, "{reason}");
        self.still_works();
    }

    /// A good commit is taken, and the issue can be edited.
    fn still_works(&mut self) {
        self.take(self.change(vec![self.good_op_next()]));
        assert_eq!(self.victim.field("A-1", "still"), self.doc.get_changes(&[]).len());
    }

    fn good_op_next(&self) -> Op {
        let number = self.doc.get_changes(&[]).len() as i64 + 1;
        let mut op = put(self.map(FIELDS), "still", ScalarValue::Int(number));
        op.pred = SortedVec::from(self.standing(FIELDS, "still"));
        op
    }

    fn traces(&self) -> Traces {
        let tracker = &self.victim.tracker;
        let shown = tracker.show("A-1").unwrap().json.unwrap();
        (self.victim.canonical(), self.victim.commits(), tracker.frontier().unwrap(), shown)
    }
}

pub fn map_of(birth: &Birth, name: &str) -> ObjectId {
    let place = GENESIS_MAPS.iter().position(|map| *map == name).unwrap() as u64;
    let first = 2 + u64::from(birth.created_at.is_some());
    ObjectId::Id(OpId(first + place, genesis_actor(birth)))
}

pub fn genesis_actor(birth: &Birth) -> ActorId {
    ActorId::from(&birth.key().0[..16])
}

pub fn put(obj: ObjectId, key: &str, value: ScalarValue) -> Op {
    operation(obj, key, OpType::Put(value))
}

pub fn operation(obj: ObjectId, key: &str, action: OpType) -> Op {
    Op { action, obj, key: Key::Map(key.into()), pred: SortedVec::new(), insert: false }
}

fn op_id(id: &automerge::ObjId) -> OpId {
    match id {
        automerge::ObjId::Id(counter, actor, _) => OpId(*counter, actor.clone()),
        automerge::ObjId::Root => panic!("a value has an operation"),
    }
}
