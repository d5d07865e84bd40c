//! What `diagnostics gossip` shows: once, every second, and when the node goes away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::io::Write;
use std::process::{ChildStdin, Stdio};

use common::node::{Running, join, up};
use common::terminal::{Terminal, drawn};
use common::{Place, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const GOSSIP: [&str; 2] = ["diagnostics", "gossip"];
const WATCH: [&str; 3] = ["diagnostics", "gossip", "--watch"];

#[test]
fn the_queues_of_a_node_are_a_table_for_people_and_one_object_for_programs() {
    let place = Place::with_list();
    let _node = up(&place);
    let other = Place::new();
    join(&other, &place);
    let table = place.ok(&GOSSIP);
    let head = "way  lane     peer";
    assert!(table.starts_with(head), "{table}");
    for (way, lanes) in [("in ", 4), ("out", 4)] {
        let rows = table.lines().filter(|line| line.starts_with(way) && line.contains(" all "));
        assert_eq!(rows.count(), lanes, "{table}");
    }
    for below in ["\nrepairs  ", "\nworkers  "] {
        assert!(table.contains(below), "{table}");
    }
    assert!(table.is_ascii(), "what is no terminal gets no blocks: {table}");
    let object = place.json(&GOSSIP);
    let fields: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["recv_pump", "per_peer", "send_pump", "send_per_peer", "repairs", "workers", "topics"]
    );
    assert!(object["recv_pump"]["pubsub"]["capacity"].is_u64());
    assert!(place.ok(&[&GOSSIP[..], &["--jsonl"]].concat()).starts_with("{\"recv_pump\""));
}

#[test]
fn what_is_watched_comes_every_second_until_it_is_killed() {
    let place = Place::with_list();
    let _node = up(&place);
    for (name, args) in [("json", &["--json"][..]), ("jsonl", &["--jsonl"]), ("text", &[])] {
        let mut watch = Running::start(&place, name, &[&WATCH[..], args].concat());
        let readings = || {
            let told = watch.stdout();
            let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().filter(|line| line.starts_with(['{', 'w'])).count()
        };
        // The heading of each table, and what the workers do.
        let of_each = if args.is_empty() { 2 } else { 1 };
        until("three are shown", || readings() >= 3 * of_each);
        watch.kill();
        let told = watch.stdout();
        assert!(watch.stderr().is_empty(), "{}", watch.stderr());
        if args.is_empty() {
            assert!(told.contains("\n\nway  lane     peer"), "{told}");
            assert!(!told.contains('\u{1b}'), "{told}");
        } else {
            let line: Value = serde_json::from_str(told.lines().nth(1).unwrap()).unwrap();
            assert!(line["recv_pump"].is_object(), "{line}");
        }
    }
}

#[test]
fn a_node_that_is_not_there_or_goes_away_is_said_with_exit_code_6() {
    let place = Place::with_list();
    for args in [&GOSSIP[..], &WATCH] {
        let error = place.error(args, 6);
        assert_eq!(error["error"], "node_unreachable");
        assert!(error["hint"].as_str().unwrap().contains("x0x up"), "{error}");
    }
    let mut node = up(&place);
    let watch = Running::start(&place, "watch", &WATCH);
    until("it is shown", || watch.stdout().contains("workers"));
    node.kill();
    let answer = watch.ended();
    assert_eq!(answer.code, 6, "{answer:?}");
    assert!(answer.stderr.contains("no node answers"), "{answer:?}");
    let _node = up(&place);
    let watch = Running::start(&place, "watch", &WATCH);
    until("it is shown", || watch.stdout().contains("workers"));
    place.ok(&["stop"]);
    assert_eq!(watch.ended().code, 6);
}

/// Runs it on a terminal of that size until something ends it; returns what was shown.
fn on_a_terminal(
    place: &Place,
    size: (usize, usize),
    end: impl FnOnce(&mut ChildStdin, &Terminal),
) -> Option<String> {
    let watch = format!("{} {}", env!("CARGO_BIN_EXE_x0x"), WATCH.join(" "));
    let words = format!("{watch}; echo CODE $? .; stty -a");
    let mut terminal = Terminal::start(place, size, Stdio::piped(), &words)?;
    let mut keyboard = terminal.child.stdin.take().unwrap();
    let text = || terminal.text();
    until("it is drawn again", || text().matches("\u{1b}[1;1H").count() >= 2);
    // An arrow, which ends nothing, and an end.
    keyboard.write_all(b"\x1b[A").unwrap();
    let drawn = text().len();
    until("it goes on", || text().len() > drawn);
    end(&mut keyboard, &terminal);
    Some(terminal.ended())
}

/// Checks what a terminal was shown, and that it is as it was before.
fn check(text: &str, columns: usize, code: i32) {
    let (view, after) = text.split_once("\u{1b}[?1049l").unwrap();
    assert!(view.contains("\u{1b}[?1049h"), "it took no screen of its own: {text}");
    assert!(text.contains("\u{1b}[?25h"), "the cursor was not given back: {text}");
    assert!(after.contains(&format!("CODE {code} .")), "{after}");
    for given_back in ["icanon", "echo", "isig"] {
        assert!(after.split_whitespace().any(|word| word == given_back), "{after}");
    }
    let lines = drawn(view);
    assert!(lines.iter().all(|line| line.trim_end().chars().count() <= columns), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("way")), "{lines:#?}");
}

#[test]
fn on_a_terminal_it_is_drawn_in_place_and_however_it_ends_the_terminal_is_given_back() {
    let place = Place::with_list();
    let mut node = up(&place);
    for (typed, rows, columns) in [(&b"q"[..], 24, 100), (b"\x1b", 6, 30), (b"\x03", 2, 8)] {
        let typed = |keyboard: &mut ChildStdin, _: &Terminal| keyboard.write_all(typed).unwrap();
        let Some(text) = on_a_terminal(&place, (rows, columns), typed) else { return };
        check(&text, columns, 0);
    }
    let text = on_a_terminal(&place, (24, 80), |_, _| node.kill()).unwrap();
    check(&text, 80, 6);
    assert!(text.contains("no node answers"), "{text}");
}

#[test]
fn on_a_terminal_it_says_for_how_long_the_node_has_not_answered() {
    let place = Place::with_list();
    let node = up(&place);
    let pid = Pid::from_child(&node.child);
    let stopped = |keyboard: &mut ChildStdin, terminal: &Terminal| {
        kill_process(pid, Signal::STOP).unwrap();
        until("it says so", || terminal.text().contains("no answer of the node for"));
        kill_process(pid, Signal::CONT).unwrap();
        until("it is told anew", || {
            let text = terminal.text();
            text.rfind("every second") > text.rfind("no answer of the node for")
        });
        keyboard.write_all(b"q").unwrap();
    };
    let Some(text) = on_a_terminal(&place, (24, 100), stopped) else { return };
    check(&text, 100, 0);
}
