//! Several processes on one data directory: each waits for its turn, and none fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::BTreeSet;
use std::thread;

use common::Place;
use x0x_tracker::store::{Holder, StoreLock};

/// How many processes work at once.
const WRITERS: usize = 8;

/// How many issues each creates, edits and reads; `X0X_STRESS` says another number.
fn rounds() -> usize {
    std::env::var("X0X_STRESS").map_or(25, |number| number.parse().unwrap())
}

#[test]
fn eight_processes_create_edit_and_read_at_once() {
    let place = Place::with_list();
    let rounds = rounds();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let place = &place;
            scope.spawn(move || {
                for round in 0..rounds {
                    let title = format!("{writer} {round}");
                    let id = place.create(&[&title]);
                    place.ok(&["issues", "edit", &id, "--priority", "2"]);
                    let read = place.json(&["issues", "show", &id]);
                    assert_eq!(read["title"], title.as_str());
                    assert_eq!(read["priority"], 2);
                    place.ok(&["issues", "list", "--json", "--brief", "--limit", "5"]);
                }
            });
        }
    });
    let list = place.json(&["issues", "list", "--brief"]);
    let identifiers: BTreeSet<String> = common::names(&list).into_iter().collect();
    assert_eq!(identifiers.len(), WRITERS * rounds, "every name is given once");
}

#[test]
fn two_inits_at_once_leave_one_binding() {
    let place = Place::new();
    let codes: Vec<i32> = thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| place.run(&["init"]).code)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(codes, [0; 4]);
    place.create(&["One"]);
}

#[test]
fn a_held_store_is_busy_for_writers_and_open_to_readers() {
    let place = Place::with_list();
    place.create(&["One"]);
    let holder = Holder {
        pid: std::process::id(),
        role: "test".to_owned(),
        api: None,
        version: "0".to_owned(),
    };
    let lock = StoreLock::try_acquire(&place.data(), &holder).unwrap().unwrap();
    let error = place.error(&["issues", "create", "Two", "--lock-timeout", "0"], 1);
    assert_eq!((&error["error"], &error["retryable"]), (&"busy".into(), &true.into()));
    assert_eq!(common::names(&place.json(&["issues", "list"])), ["T-0001"]);
    drop(lock);
    place.create(&["Two", "--lock-timeout", "0"]);
}
