//! Changes and commits made by hand, in logs that the liar opens as it likes.

use std::num::NonZeroU64;
use std::sync::Arc;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ExpandedChange, ScalarValue};
use x0x::identity::Identity;
use x0x_tracker::document::schema::GENESIS_MAPS;
use x0x_tracker::document::{Birth, Document};
use x0x_tracker::id::{ListId, LogId, StatementHash};
use x0x_tracker::journal::commit::{Body, Commit, Entry, Header, body_hash, encode_body};

use crate::liar::Liar;

/// A document that nobody has yet.
pub fn birth(name: &str) -> Birth {
    Birth { id: name.to_owned(), created_at: None }
}

/// Returns the body of one change to a new issue.
pub fn body(birth: &Birth, change: Vec<u8>) -> Vec<u8> {
    encode_body(&Body { entries: vec![Entry { birth: birth.clone(), changes: vec![change] }] })
}

/// Returns a change to a new issue by a log.
pub fn change(birth: &Birth, log: LogId, operations: Vec<Op>) -> Vec<u8> {
    let genesis = Automerge::load(&Document::new(birth.clone()).genesis_bytes()).unwrap();
    // Genesis numbers its operations from 1: the id, and the maps.
    let start_op = NonZeroU64::new(2 + GENESIS_MAPS.len() as u64).unwrap();
    let change = ExpandedChange {
        operations,
        actor_id: ActorId::from(&log.to_bytes()[..]),
        hash: None,
        seq: 1,
        start_op,
        time: 0,
        message: None,
        deps: genesis.get_heads(),
        extra_bytes: Vec::new(),
        author: None,
    };
    Change::from(change).raw_bytes().to_vec()
}

/// Returns an operation on an entry of one of the maps of a new issue.
pub fn operation(birth: &Birth, map: &str, key: &str, action: OpType, after: Vec<OpId>) -> Op {
    let place = GENESIS_MAPS.iter().position(|known| *known == map).unwrap() as u64;
    let obj = ObjectId::Id(OpId(2 + place, ActorId::from(&birth.key().0[..16])));
    Op { action, obj, key: Key::Map(key.into()), pred: SortedVec::from(after), insert: false }
}

/// Returns an operation that gives a new issue a title.
pub fn title(birth: &Birth, title: &str) -> Op {
    let title = OpType::Put(ScalarValue::Str(title.into()));
    operation(birth, "fields", "title", title, Vec::new())
}

/// Returns the body that a log's author would write to create a new issue with this title.
pub fn issue(name: &str, log: LogId) -> Vec<u8> {
    let birth = birth(name);
    let change = change(&birth, log, vec![title(&birth, name)]);
    body(&birth, change)
}

/// Returns commits of one log without an end, each with a new issue.
pub fn chain(
    log: LogId,
    list: ListId,
    charter: Vec<StatementHash>,
    identity: Arc<Identity>,
) -> impl Iterator<Item = (u64, Commit)> {
    let mut previous = None;
    (1..).map(move |number| {
        let issue = birth(&format!("S-chain-{number}"));
        let body = body(&issue, change(&issue, log, vec![title(&issue, "one more")]));
        let (after, charter, hash) = (Vec::new(), charter.clone(), body_hash(&body));
        let header = Header { list, log, number, previous, body: hash, after, charter, rules: 1 };
        let commit = Commit::sign(&header, body, identity.as_ref()).unwrap();
        previous = Some(commit.hash());
        (number, commit)
    })
}

impl Liar {
    /// Returns a log of its own that nobody has seen.
    pub fn new_log(&self) -> LogId {
        let mut nonce = [0; 8];
        x0x::entropy::fill(&mut nonce);
        LogId { agent: self.agent, nonce }
    }

    /// Signs a header that is fine but for what `bend` does to it.
    pub fn sign(&self, log: LogId, body: Vec<u8>, bend: impl FnOnce(&mut Header)) -> Commit {
        let mut header = Header {
            list: self.list,
            log,
            number: 1,
            previous: None,
            body: body_hash(&body),
            after: Vec::new(),
            charter: self.tracker.charter().unwrap().heads(),
            rules: 1,
        };
        bend(&mut header);
        Commit::sign(&header, body, self.identity.as_ref()).unwrap()
    }

    /// Returns a commit with nothing wrong: the first of a log, with a new issue.
    pub fn good(&self, log: LogId, name: &str) -> Commit {
        self.sign(log, issue(name, log), |_| {})
    }
}
