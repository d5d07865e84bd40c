//! Stores that are put back to an earlier state, and stores that meet although their logs branched.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write;

use x0x_tracker::LocalTracker;
use x0x_tracker::id::{CommitHash, LogId};
use x0x_tracker::interface::Tracker;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::store::{Founding, Holder, Store, StoreLock};
use x0x_tracker::tasklist::{Host, Outgoing, Settled};
use x0x_tracker::testing::{self, StandInVerifier};

use super::List;

thread_local! {
    /// How many stores this test has opened.
    static OPENED: Cell<u64> = const { Cell::new(1) };
}

/// Makes what stores are opened with from now on follow from a number.
pub fn start_from(salt: u64) {
    OPENED.set(salt);
}

/// Opens a store whose clock and randomness go on, however often it is opened.
pub fn open(list_dir: &std::path::Path, seed: u64) -> LocalTracker {
    let salt = OPENED.get();
    OPENED.set(salt + 1);
    let base = testing::host(seed);
    let later = 100_000 * i64::try_from(salt % 10_000).unwrap();
    let clock = base.clock;
    let other = testing::host(seed + 1_000 * salt);
    let clock = Box::new(move || {
        let at = clock();
        x0x_tracker::timestamp::Timestamp(at.0 + later)
    });
    let host = Host { clock, entropy: other.entropy, ..testing::host(seed) };
    let holder = Holder { pid: 0, role: "test".to_owned(), api: None, version: String::new() };
    let lock = StoreLock::try_acquire(list_dir, &holder).unwrap().ok().unwrap();
    LocalTracker::open_to_write(&list_dir.join("list.redb"), host, lock).unwrap()
}

/// Stands in for a tracker while its store is closed.
fn nothing() -> LocalTracker {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.redb");
    let founding = Founding {
        list: x0x_tracker::id::ListId([0; 32]),
        name: String::new(),
        prefix: "N".to_owned(),
        statement: None,
    };
    Store::create(&path, &founding).unwrap();
    LocalTracker::open_to_read(&path).unwrap()
}

/// Returns the bytes of a store as they are now.
pub fn copy_of(list: &mut List, seed: u64) -> Vec<u8> {
    drop(std::mem::replace(&mut list.tracker, nothing()));
    let bytes = fs::read(list.dir.path().join("list.redb")).unwrap();
    list.tracker = open(list.dir.path(), seed);
    bytes
}

/// Puts a store back to what it was, in the same file, so that it goes on in the same log.
pub fn roll_back(list: &mut List, seed: u64, bytes: &[u8]) {
    drop(std::mem::replace(&mut list.tracker, nothing()));
    let path = list.dir.path().join("list.redb");
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    drop(file);
    list.tracker = open(list.dir.path(), seed);
}

/// Streams what `to` lacks; returns the logs that branched.
pub fn send(from: &List, to: &mut List) -> Vec<LogId> {
    let knows = to.tracker.charter().unwrap().heads() == from.tracker.charter().unwrap().heads();
    let mut outgoing = Outgoing::to(to.tracker.frontier().unwrap(), knows);
    let mut incoming = Incoming::default();
    loop {
        let items = from.tracker.send(&mut outgoing, 100_000).unwrap();
        if items.is_empty() {
            return outgoing.forked().keys().copied().collect();
        }
        let received = to.tracker.receive(&mut incoming, items).unwrap();
        assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
    }
}

/// Settles a log by the headers that another store has; returns what was said last.
pub fn settle(list: &mut List, other: &List, log: LogId) -> Settled {
    let last = |list: &List| list.tracker.frontier().unwrap().position(log).map_or(0, |p| p.number);
    settle_from(list, other, log, last(list).min(last(other)).max(1))
}

fn settle_from(list: &mut List, other: &List, log: LogId, mut from: u64) -> Settled {
    for _ in 0..1_000 {
        let Some(run) = other.tracker.headers(log, from).unwrap() else { return Settled::Same };
        let id = list.tracker.info().unwrap().list;
        let charter = list.tracker.charter().unwrap();
        let run = run.prove(id, &charter, &StandInVerifier).unwrap();
        match list.tracker.settle_fork(&run).unwrap() {
            Settled::Earlier { from: earlier } => from = earlier,
            Settled::Later { from: later } => from = later,
            settled => return settled,
        }
    }
    panic!("it does not come to an end");
}

/// Lets two stores give each other everything, whatever branched.
pub fn meet(a: &mut List, b: &mut List) {
    for _ in 0..6 {
        let mut forked = send(a, b);
        forked.extend(send(b, a));
        if forked.is_empty() && a.tracker.frontier().unwrap() == b.tracker.frontier().unwrap() {
            return;
        }
        for log in forked {
            settle(a, b, log);
            settle(b, a, log);
        }
        tell_rivals(a, b);
        tell_rivals(b, a);
    }
    panic!("{:?}\n{:?}", a.tracker.frontier().unwrap(), b.tracker.frontier().unwrap());
}

/// Lets `from` say why it does not take what `to` has of a log: another commit was signed for the
/// place of the first one.
fn tell_rivals(from: &List, to: &mut List) {
    let here = from.tracker.frontier().unwrap();
    for (log, theirs) in to.tracker.frontier().unwrap().0 {
        let last = here.position(log).map_or(0, |last| last.number);
        if last < theirs.number {
            settle_from(to, from, log, last + 1);
        }
    }
}

/// Panics where a store does not agree with itself.
pub fn assert_sound(list: &List) {
    let faults = list.tracker.check(&StandInVerifier).unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Returns the hash of a commit.
pub fn hash_at(list: &List, log: LogId, number: u64) -> CommitHash {
    CommitHash::of(&list.tracker.headers(log, number).unwrap().unwrap().headers[0])
}

/// Puts a store back and lets it write on, until its branch is the one that counts or, for
/// `counts == false`, the one that does not, beside the one whose next commit is `other`.
pub fn branch(
    list: &mut List,
    seed: u64,
    before: &[u8],
    other: CommitHash,
    counts: bool,
    write: impl Fn(&mut List),
) {
    for _ in 0..2_000 {
        roll_back(list, seed, before);
        let log = list.tracker.own_log().unwrap().unwrap();
        let last = list.tracker.frontier().unwrap().position(log).unwrap().number;
        write(list);
        if (hash_at(list, log, last + 1) < other) == counts {
            return;
        }
    }
    panic!("two thousand hashes on one side");
}

/// Gives an author what a neighbour holds of its lost commits; returns how many were new to it.
pub fn hand_back(from: &List, to: &mut List, seed: u64) -> usize {
    let agent = testing::StandIn::new(seed).agent();
    let id = to.tracker.info().unwrap().list;
    let charter = to.tracker.charter().unwrap();
    let (mut incoming, mut proved) = (Incoming::default(), Vec::new());
    for item in from.tracker.lost_items_of(agent).unwrap() {
        match item {
            Item::Run(run) => incoming.run(&run, id, &charter, &StandInVerifier).unwrap(),
            Item::Body { log, number, body } => {
                proved.push(incoming.body(log, number, body).unwrap());
            }
            Item::Statement(_) => panic!("there is none among lost commits"),
        }
    }
    to.tracker.take_lost(&proved).unwrap()
}
