//! Beats of other machines: what a store makes of them, and of claims that it hears nothing of.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{List, exchange, give};
use x0x_tracker::LocalTracker;
use x0x_tracker::claim::beat::{Beat, SignedBeat, Turn};
use x0x_tracker::id::RecordHash;
use x0x_tracker::interface::{Holding, Pick, Release, Terms, Tracker};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::store::Store;
use x0x_tracker::tasklist::Host;
use x0x_tracker::testing;

const TTL_MS: u64 = 1_000;

fn terms(worker: &str) -> Terms {
    Terms { worker: worker.to_owned(), ttl_ms: Some(TTL_MS), resume: false }
}

fn claimed(list: &mut List, name: &str) -> RecordHash {
    let shown = list.tracker.claim(&Pick::Issue(name.to_owned()), &terms("w")).unwrap();
    shown.issue.row.held.unwrap().claim
}

/// The list as a node of that agent has it, on a machine whose uptime is what the number says.
fn hearing(list: List, seed: u64) -> (List, Arc<AtomicU64>) {
    let List { dir, tracker, last } = list;
    drop(tracker);
    let uptime_ms = Arc::new(AtomicU64::new(10_000));
    let host = Host { hears: true, ..testing::host_up(seed, uptime_ms.clone()) };
    let store = Store::open_to_write(&dir.path().join("list.redb")).unwrap();
    (List { dir, tracker: LocalTracker::over(store, host), last }, uptime_ms)
}

fn silent_ms(list: &List, name: &str) -> Option<u64> {
    list.tracker.show(name).unwrap().watch.unwrap().silent_ms
}

fn beat(of: &List, start: u64, counter: u64, claims: &[RecordHash]) -> Beat {
    let signed = of.tracker.beat_of(Turn { start, counter }, claims).unwrap();
    signed.as_ref().map(SignedBeat::peek).unwrap().unwrap()
}

#[test]
fn a_claim_of_another_is_watched_from_when_it_comes_and_each_beat_makes_it_young() {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut b, uptime_ms) = hearing(b, 2);
    for title in ["one", "two"] {
        a.create(title);
    }
    let first = claimed(&mut a, "T-0001");
    give(&a, &mut b);
    assert_eq!(silent_ms(&b, "T-0001"), Some(0), "the claim itself is a beat");
    uptime_ms.fetch_add(700, Ordering::Relaxed);
    assert_eq!(silent_ms(&b, "T-0001"), Some(700));
    assert_eq!(b.tracker.hear(&beat(&a, 1, 1, &[first])).unwrap(), 1);
    assert_eq!(silent_ms(&b, "T-0001"), Some(0));
    uptime_ms.fetch_add(TTL_MS + 1, Ordering::Relaxed);
    assert!(b.tracker.show("T-0001").unwrap().watch.unwrap().is_stale);
    // What one is named that is not here, or not its own, is nothing.
    let own = claimed(&mut b, "T-0002");
    uptime_ms.fetch_add(5, Ordering::Relaxed);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 2, &[own, RecordHash([9; 32])])).unwrap(), 0);
    assert_eq!(silent_ms(&b, "T-0002"), Some(5));
}

#[test]
fn only_what_holds_an_issue_is_watched_and_nothing_where_no_node_hears() {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut b, _) = hearing(b, 2);
    let mut c = List::member_in_role(&mut a, 3, Role::Worker);
    for statement in a.tracker.statements().unwrap() {
        b.tracker.admit_statement(&statement).unwrap();
    }
    a.create("one");
    let first = claimed(&mut a, "T-0001");
    give(&a, &mut b);
    give(&a, &mut c);
    assert_eq!(silent_ms(&c, "T-0001"), None, "no beat could have come");
    let holding = Holding { worker: "w".to_owned(), ..Holding::default() };
    a.tracker.release(&holding, &Release::default()).unwrap();
    give(&a, &mut b);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 1, &[first])).unwrap(), 0, "it is over");
    let second = claimed(&mut a, "T-0001");
    exchange(&mut a, &mut b);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 2, &[first, second])).unwrap(), 1);
}

#[test]
fn each_start_has_a_number_of_its_own_over_a_restart_too() {
    let mut a = List::new(1);
    let first = a.tracker.start_beating().unwrap();
    let List { dir, tracker, .. } = a;
    drop(tracker);
    let mut again = testing::open(dir.path(), 1).unwrap();
    assert_eq!((first, again.start_beating().unwrap()), (1, 2));
}

#[test]
fn silence_alone_lets_nobody_take_over_what_another_machine_holds() {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut b, uptime_ms) = hearing(b, 2);
    a.create("one");
    claimed(&mut a, "T-0001");
    give(&a, &mut b);
    uptime_ms.fetch_add(100 * TTL_MS, Ordering::Relaxed);
    assert!(b.tracker.show("T-0001").unwrap().watch.unwrap().is_stale);
    let pick = Pick::Issue("T-0001".to_owned());
    let refused = b.tracker.claim(&pick, &terms("w")).unwrap_err();
    assert!(refused.holder().is_some_and(|holder| holder.silent_ms.is_some()), "{refused}");
    assert!(refused.to_string().contains("lapsed"), "{refused}");
}
