//! What reading leaves behind, and what it writes to whom: nothing, and data only.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use common::mounts::{freeze, with_mounts};
use common::{Place, record};
use x0x_tracker::store::Store;

/// What a command does to the data directory and the repository.
enum Class {
    /// Nothing, called in any of these ways. Each works on [`place`].
    Reads(&'static [&'static [&'static str]]),
    /// Something, called in any way but these.
    Writes(&'static [&'static [&'static str]]),
}

use Class::{Reads, Writes};

/// Every command there is.
const CLASSES: &[(&str, Class)] = &[
    ("init", Writes(&[])),
    // It makes the key, once; the key is there.
    ("agent", Reads(&[&[], &["--json"]])),
    ("up", Writes(&[])),
    ("daemon", Writes(&[&["--check"], &["--check", "--json"]])),
    // It needs a node; tests/daemon.rs has one.
    ("log-level", Writes(&[])),
    ("invite", Writes(&[])),
    // What the place lacks is a WARN; with --fix --yes it writes.
    ("doctor", Writes(&[&[], &["--json"], &["--deep"], &["--fix"]])),
    // A list that is sound stays as it is.
    ("repair", Writes(&[&[], &["--json"]])),
    ("members", Reads(&[&[], &["--json"]])),
    ("workers", Reads(&[&[], &["--json"]])),
    ("grant", Writes(&[])),
    ("revoke", Writes(&[])),
    ("join", Writes(&[])),
    // Where no node runs they say so; tests/nodes.rs has one.
    ("peers", Reads(&[])),
    ("status", Reads(&[])),
    ("direct send", Writes(&[])),
    ("direct listen", Writes(&[])),
    ("direct inbox", Writes(&[])),
    ("direct block", Writes(&[])),
    ("direct unblock", Writes(&[])),
    ("diagnostics dm", Reads(&[])),
    ("diagnostics gossip", Reads(&[])),
    ("stop", Writes(&[])),
    (
        "issues list",
        Reads(&[&[], &["--json"], &["--jsonl", "--text", "a"], &["--json", "--brief"]]),
    ),
    ("issues ready", Reads(&[&["--explain"], &["--json"], &["--limit", "1"]])),
    ("issues next", Reads(&[&[], &["--json"]])),
    (
        "issues show",
        Reads(&[
            &["T-1"],
            &["T-1", "--json"],
            &["T-1", "--fields", "title"],
            &["T-1", "--at", "2999-01-01"],
        ]),
    ),
    ("issues create", Writes(&[])),
    ("issues edit", Writes(&[])),
    ("issues comment", Writes(&[])),
    ("issues claim", Writes(&[])),
    ("issues heartbeat", Writes(&[])),
    ("issues release", Writes(&[])),
    ("issues handoff", Writes(&[])),
    ("issues reshard", Writes(&[])),
    ("issues run", Writes(&[])),
    ("issues done", Writes(&[])),
    ("issues cancel", Writes(&[])),
    ("issues duplicate", Writes(&[])),
    ("issues reopen", Writes(&[])),
    ("issues block", Writes(&[])),
    ("issues unblock", Writes(&[])),
    ("issues import", Writes(&[&["--dry-run"], &["--dry-run", "--prune", "-v"]])),
    ("issues export", Writes(&[&["--out", "-"], &["--out", "-", "--canonical"]])),
    ("issues validate", Reads(&[&[], &["--json"], &["issues/issues.jsonl"], &["--store"]])),
    // Its help says what it writes: OURS, and nothing else.
    ("issues merge", Writes(&[&["--resolve", "issues/issues.jsonl", "--dry-run"]])),
    ("issues sync", Writes(&[])),
    ("issues log", Reads(&[&["T-2"], &["T-2", "--json", "--limit", "1"]])),
    ("issues undo", Writes(&[&["T-2", "--dry-run"]])),
    ("issues conflicts", Writes(&[&[], &["--json"], &["T-1"]])),
    ("issues prime", Reads(&[&[], &["--json"]])),
    // A backup is a new file where it is asked for.
    ("backup", Writes(&[])),
    ("restore", Writes(&[])),
    ("issues stats", Reads(&[&[], &["--json"]])),
    // Where no node runs it says so; tests/watch.rs has one.
    ("issues watch", Reads(&[])),
];

/// Returns every way to call a command that changes nothing.
fn reading() -> Vec<Vec<&'static str>> {
    let mut all = Vec::new();
    for (command, class) in CLASSES {
        let (Reads(ways) | Writes(ways)) = class;
        for way in *ways {
            all.push(command.split(' ').chain(way.iter().copied()).collect());
        }
    }
    all
}

/// A list with issues, a file that it was exported to, and an edit of that file by hand.
fn place() -> Place {
    let place =
        Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "done")].concat());
    place.ok(&["issues", "edit", "T-2", "--title", "c"]);
    place.write_jsonl(&(place.read_jsonl() + &record("T-3", "by hand", "todo")));
    place
}

/// Returns the commands below one that have no commands below them, by the program's own help.
fn commands_below(place: &Place, path: &[&str]) -> Vec<String> {
    let help = place.ok(&[path, &["--help"]].concat());
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return vec![path.join(" ")] };
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty())
        })
        .filter(|name| *name != "help")
        .flat_map(|name| commands_below(place, &[path, &[name]].concat()))
        .collect()
}

#[test]
fn every_command_is_known_to_read_or_to_write() {
    let there: BTreeSet<String> = commands_below(&Place::new(), &[]).into_iter().collect();
    let known: BTreeSet<String> = CLASSES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, known, "a new command belongs into CLASSES");
    assert!(there.contains("issues list") && there.contains("agent"));
}

#[test]
fn reading_leaves_no_trace() {
    let place = place();
    let before = place.state();
    for args in reading() {
        place.ok(&args);
        assert!(place.state() == before, "{args:?}");
    }
}

#[test]
fn reading_what_a_killed_writer_left_leaves_no_trace_and_says_so() {
    let place = place();
    let list = fs::read_dir(place.data().join("lists")).unwrap().next().unwrap().unwrap().path();
    let closed = fs::read(&list).unwrap();
    // The bytes of a file that is open to a writer are those that a kill leaves.
    let writer = Store::open_to_write(&list).unwrap();
    let open = fs::read(&list).unwrap();
    drop(writer);
    assert_ne!(closed, open);
    fs::write(&list, open).unwrap();
    let before = place.state();
    for args in reading() {
        place.ok(&args);
        assert!(place.state() == before, "{args:?}");
    }
    let note = |args: &[&str]| place.run(args).stderr;
    assert!(note(&["issues", "stats"]).contains("the file is unchanged"));
    assert_eq!(note(&["issues", "stats", "--quiet"]), "");
    assert_eq!(note(&["issues", "stats", "--json"]), "");
    let told = note(&["issues", "export", "--out", "../elsewhere"]);
    assert_eq!(told.matches("was interrupted").count(), 1, "{told}");
    let repaired = note(&["issues", "comment", "T-1", "said"]);
    assert!(repaired.contains("the store was repaired"), "{repaired}");
    assert!(!note(&["issues", "stats"]).contains("interrupted"));
    place.ok(&["issues", "validate", "--store"]);
}

#[test]
fn everything_can_be_read_on_a_read_only_file_system() {
    with_mounts("everything_can_be_read_on_a_read_only_file_system", || {
        let place = place();
        for dir in [place.data(), place.repo()] {
            freeze(&dir);
        }
        let before = place.state();
        for args in reading() {
            place.ok(&args);
        }
        assert!(place.state() == before);
    });
}

#[test]
fn reading_without_a_data_directory_makes_none() {
    let place = Place::new();
    // An agent is made where none is: its command answers the id that will be used.
    for args in reading().into_iter().filter(|args| args[0] != "agent") {
        let answer = place.run(&args);
        // What a node would be told is known before anything is there.
        let expected = if ["daemon", "doctor"].contains(&args[0]) { 0 } else { 3 };
        assert_eq!(answer.code, expected, "{args:?}: {answer:?}");
    }
    assert!(!place.data().exists());
    assert!(!place.dir().join("home").exists());
}

#[test]
fn a_read_only_data_directory_can_be_read() {
    let place = place();
    set_modes(&place.data(), 0o500, 0o400);
    for args in reading() {
        place.ok(&args);
    }
    set_modes(&place.data(), 0o700, 0o600);
}

fn set_modes(dir: &Path, dir_mode: u32, file_mode: u32) {
    fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_modes(&path, dir_mode, file_mode);
        } else {
            fs::set_permissions(&path, Permissions::from_mode(file_mode)).unwrap();
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(dir_mode)).unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lines: String = (0..3_000).map(|n| record(&format!("T-{n}"), "title", "todo")).collect();
    let place = Place::with_file(&lines);
    for args in [
        &["issues", "list"][..],
        &["issues", "list", "--json"],
        &["issues", "list", "--jsonl"],
        &["issues", "ready", "--json"],
        &["issues", "export", "--out", "-"],
    ] {
        let mut command = place.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn control_characters_in_data_do_not_reach_a_person() {
    let line = "{\"id\":\"T-1\",\"identifier\":\"T-1\",\"title\":\"a\\u001b[31mb\\u0007\",\
        \"description\":\"x\\u001b]0;t\\u0007\\ny\",\"state\":\"to\\rdo\"}\n";
    let place = Place::with_file(line);
    for args in
        [&["issues", "list"][..], &["issues", "show", "T-1"], &["issues", "ready", "--explain"]]
    {
        let stdout = place.ok(args);
        assert!(!stdout.chars().any(|c| c.is_control() && c != '\n'), "{stdout:?}");
        assert!(stdout.contains("a␛[31mb␇"), "{stdout:?}");
    }
    assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "a\u{1b}[31mb\u{7}");
}

#[test]
fn tables_are_plain_and_whole_where_the_output_is_no_terminal() {
    let title = "long ".repeat(60);
    let place = Place::with_list();
    place.create(&[&title]);
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm-256color")] {
        let output = place.command(&["issues", "list"]).env(name, value).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
        assert!(stdout.contains(title.trim_end()), "{stdout}");
    }
}

#[test]
fn notes_go_to_stderr_and_quiet_silences_them() {
    let place = Place::with_list();
    let answer = place.run(&["issues", "ready"]);
    assert_eq!(answer.stdout, "");
    assert_eq!(answer.stderr, "nothing is ready, and nothing is open\n");
    assert_eq!(place.run(&["issues", "ready", "-q"]).stderr, "");
    assert_eq!(place.ok(&["issues", "ready", "--json"]), "{\"issues\":[],\"next_cursor\":null}\n");
}

#[test]
fn a_filter_that_lets_nothing_pass_is_noted() {
    let place = Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "odd")].concat());
    let note = |args: &[&str]| {
        let answer = place.run(&[&["issues"], args].concat());
        assert_eq!((answer.code, answer.stdout.as_str()), (0, ""), "{args:?}");
        answer.stderr
    };
    assert_eq!(note(&["ready", "--label", "none"]), "nothing matches\n");
    assert_eq!(note(&["list", "--state", "done"]), "nothing matches\n");
    assert_eq!(note(&["list", "--text", "zzz", "--jsonl"]), "nothing matches\n");
    assert_eq!(note(&["list", "--text", "zzz", "-q"]), "");
    let more = note(&["list", "--limit", "0"]);
    assert!(more.is_empty(), "{more}");
    assert!(note(&["ready", "--text", "b"]).starts_with("nothing that matches is ready; 1 open"));
    for command in ["list", "ready"] {
        let note = note(&[command, "--state", "typo"]);
        let said = "no issue is in state 'typo'; known states: todo, in_progress, review, blocked,";
        assert!(note.starts_with(said), "{note}");
        assert_eq!(note.lines().count(), 1, "{note}");
    }
    let answer = place.run(&["issues", "list", "--state", "odd,typo"]);
    assert!(answer.stdout.contains("T-2") && answer.stderr.contains("'typo'"), "{answer:?}");
    assert_eq!(place.run(&["issues", "list", "--state", "ODD"]).stderr, "");
    assert_eq!(place.run(&["issues", "list", "--state", "typo", "--json"]).stderr, "");
}

#[test]
fn people_are_told_that_more_follow_and_programs_where() {
    let place =
        Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "todo")].concat());
    let answer = place.run(&["issues", "list", "--limit", "1"]);
    assert!(answer.stderr.starts_with("more follow: --cursor "), "{}", answer.stderr);
    assert!(place.json(&["issues", "list", "--limit", "1"])["next_cursor"].is_string());
    assert_eq!(place.run(&["issues", "list", "--limit", "2"]).stderr, "");
}
