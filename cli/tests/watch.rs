//! What `issues watch` tells, and when it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::process::Stdio;

use common::node::{Running, join, up};
use common::terminal::{Terminal, drawn};
use common::{Place, record, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A place whose node runs, and whose events are followed.
fn watched(args: &[&str]) -> (Place, Running, Running) {
    let place = Place::with_list();
    let node = up(&place);
    let watch = Running::start(&place, "watch", &[&["issues", "watch"], args].concat());
    watch.until_said("Watching");
    (place, node, watch)
}

fn events(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

fn kinds(text: &str) -> Vec<String> {
    events(text).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_kind_of_event_is_one_line_of_json() {
    let (place, _node, watch) = watched(&["--jsonl"]);
    let id = place.create(&["mend the pump"]);
    place.ok(&["issues", "edit", &id, "--priority", "1"]);
    place.ok(&["issues", "comment", &id, "a word"]);
    place.ok(&["issues", "claim", &id, "--worker", "w1"]);
    place.ok(&["issues", "release", &id, "--worker", "w1"]);
    place.ok(&["issues", "claim", &id, "--worker", "w2"]);
    place.ok(&["issues", "handoff", &id, "--worker", "w2", "--summary", "done"]);
    place.ok(&["issues", "done", &id]);
    place.ok(&["issues", "reopen", &id]);
    place.ok(&["issues", "edit", &id, "--deleted-at", "now"]);
    // One that both sides changed since the file was read.
    place.write_jsonl(&record("T-1", "the valve", "todo"));
    place.ok(&["issues", "import"]);
    place.ok(&["issues", "edit", "T-1", "--title", "the valve here"]);
    place.write_jsonl(&record("T-1", "the valve there", "todo"));
    place.ok(&["issues", "import"]);
    join(&Place::new(), &place);
    until("all is told", || watch.stdout().contains("\"member\""));
    let told = kinds(&watch.stdout());
    let expected = [
        "created",
        "edited",
        "commented",
        "claimed",
        "confirmed",
        "released",
        "claimed",
        "handed_off",
        "ended",
        "reopened",
        "removed",
        "created",
        "edited",
        "conflict",
        "member",
    ];
    let mut rest = told.iter();
    for kind in expected {
        assert!(rest.any(|next| next == kind), "{kind} is missing, or late: {told:?}");
    }
    for event in events(&watch.stdout()) {
        assert!(event["event_id"].as_str().unwrap().contains('-'), "{event}");
        assert!(event["list"].is_string(), "{event}");
    }
    assert!(watch.stdout().contains("\"worker\":\"w1\""));
}

#[test]
fn who_names_the_last_event_is_told_what_came_after_it() {
    let (place, _node, watch) = watched(&["--jsonl", "--limit", "2"]);
    let first = place.create(&["first"]);
    place.create(&["second"]);
    let answer = watch.ended();
    assert_eq!(answer.code, 0, "{answer:?}");
    let told = events(&answer.stdout);
    assert_eq!(told.len(), 2);
    let id = told[0]["event_id"].as_str().unwrap();
    let since = Running::start(
        &place,
        "since",
        &["issues", "watch", "--jsonl", "--since", id, "--limit", "1"],
    );
    let again = since.ended();
    assert_eq!(events(&again.stdout), told[1..]);
    place.ok(&["issues", "claim", &first, "--worker", "w1"]);
    let claimed = Running::start(
        &place,
        "claimed",
        &["issues", "watch", "--kind", "claimed", "--since", id, "--limit", "1"],
    );
    let claimed = claimed.ended().stdout;
    assert!(claimed.starts_with("claimed ") && claimed.contains("by w1 of "), "{claimed}");
    assert!(claimed.ends_with("  first\n") && claimed.lines().count() == 1, "{claimed}");
    place.error(&["issues", "watch", "--since", "yesterday"], 2);
    place.error(&["issues", "watch", "--kind", "exploded"], 2);
}

#[test]
fn a_node_that_is_started_anew_is_found_again_and_what_was_missed_is_said() {
    let (place, mut node, watch) = watched(&["--jsonl"]);
    place.create(&["before"]);
    until("the first is told", || watch.stdout().contains("before"));
    node.kill();
    watch.until_said("went away");
    place.create(&["meanwhile"]);
    drop(node);
    let _node = up(&place);
    watch.until_said("answers again");
    watch.until_said("Events were missed");
    place.create(&["afterwards"]);
    until("the last is told", || watch.stdout().contains("afterwards"));
    let told = kinds(&watch.stdout());
    assert_eq!(told, ["created", "reset", "created"]);
}

#[test]
fn without_a_node_it_is_said_that_there_is_none() {
    let place = Place::with_list();
    for args in [&["issues", "watch"][..], &["issues", "watch", "--jsonl"]] {
        let error = place.error(args, 6);
        assert_eq!(error["error"], "node_unreachable");
        assert!(error["hint"].as_str().unwrap().contains("x0x up"), "{error}");
    }
}

#[test]
fn on_a_terminal_it_is_a_view_that_fits_and_that_gives_the_terminal_back() {
    let place = Place::with_list();
    let _node = up(&place);
    place
        .create(&["an issue with a title that is longer than any terminal of sixty columns shows"]);
    let program = env!("CARGO_BIN_EXE_x0x");
    let words = format!("echo PID $$ .; exec {program} issues watch");
    let Some(terminal) = Terminal::start(&place, (10, 60), Stdio::null(), &words) else { return };
    let text = || terminal.text();
    until("the issue is shown", || text().contains("1 open, 0 held"));
    let id = place.create(&["another"]);
    place.ok(&["issues", "claim", &id, "--worker", "w1"]);
    until("the claim is shown", || {
        text().contains("2 open, 1 held") && text().contains("by w1 of")
    });
    let pid: i32 = text().split("PID ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let text = terminal.ended();
    assert!(text.contains("\u{1b}[?1049h"), "it took no screen of its own: {text}");
    assert!(text.trim_end().ends_with("\u{1b}[?1049l"), "the screen was not given back: {text}");
    assert!(text.contains("\u{1b}[?25h"), "the cursor was not given back: {text}");
    for line in drawn(&text) {
        assert!(line.trim_end().chars().count() <= 60, "too wide: {line:?}");
    }
    assert!(drawn(&text).iter().any(|line| line.contains("newest events")));
}
