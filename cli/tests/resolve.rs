//! `x0x issues merge --resolve`: the file, its copy, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{Answer, Place, record};
use serde_json::json;

/// A file of three issues of which the second is in conflict.
fn conflicted() -> String {
    let (ours, theirs) = (record("T-2", "ours", "todo"), record("T-2", "theirs", "done"));
    let (first, last) = (record("T-1", "one", "todo"), record("T-3", "three", "todo"));
    format!("{first}<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> theirs\n{last}")
}

const FILE: &str = "issues/issues.jsonl";
const RESOLVE: [&str; 4] = ["issues", "merge", "--resolve", FILE];

fn place_with(text: &str) -> Place {
    let place = Place::new();
    place.write_jsonl(text);
    place
}

fn copies(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.repo().join("issues")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn both_sides_are_merged_and_the_file_as_it_was_is_kept() {
    let place = place_with(&conflicted());
    fs::set_permissions(place.jsonl(), fs::Permissions::from_mode(0o600)).unwrap();
    let answer = place.run(&RESOLVE);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, ""), "{answer:?}");
    assert!(answer.stderr.contains("T-2: state, title had several values"), "{answer:?}");
    assert!(answer.stderr.contains("issues.jsonl.before-resolve;"), "{answer:?}");
    let file = place.read_jsonl();
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], record("T-1", "one", "todo").trim_end());
    assert!(
        lines[1].contains(
            "\"conflicts\":{\"state\":[\"done\",\"todo\"],\"title\":[\"ours\",\"theirs\"]}"
        ),
        "{file}"
    );
    place.ok(&["issues", "validate", FILE]);
    let copy = place.repo().join("issues/issues.jsonl.before-resolve");
    assert_eq!(fs::read_to_string(&copy).unwrap(), conflicted());
    for path in [&copy, &place.jsonl()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!place.data().exists(), "no list is asked");
}

#[test]
fn an_earlier_copy_is_never_overwritten() {
    let place = place_with(&conflicted());
    for number in 1..=3 {
        place.write_jsonl(&conflicted().replace("three", &format!("three {number}")));
        let report = place.json(&RESOLVE);
        assert_eq!(report["changed"], true, "{report}");
    }
    let copy = "issues.jsonl.before-resolve";
    assert_eq!(copies(&place), ["issues.jsonl", copy, &format!("{copy}-2"), &format!("{copy}-3")]);
    for (name, number) in [(copy.to_owned(), 1), (format!("{copy}-3"), 3)] {
        let text = fs::read_to_string(place.repo().join("issues").join(name)).unwrap();
        assert!(text.contains(&format!("three {number}")), "{text}");
    }
}

#[test]
fn one_id_on_several_lines_becomes_one_line() {
    let (one, two) = (record("T-1", "one", "todo"), record("T-1", "one", "done"));
    let place = place_with(&(one.clone() + "\n" + &record("T-2", "two", "todo") + &two + &one));
    let report = place.json(&RESOLVE);
    assert_eq!((&report["repeated"], &report["conflicts"]), (&json!(2), &json!(0)));
    assert_eq!(report["merged"], json!(["T-1"]));
    assert_eq!(report["disputed"], json!([{"id": "T-1", "fields": ["state"]}]));
    let file = place.read_jsonl();
    assert_eq!(file.lines().count(), 3, "{file}");
    assert!(file.lines().nth(1).unwrap().is_empty(), "blank lines stay: {file}");
}

#[test]
fn a_file_with_nothing_to_resolve_is_left_alone() {
    let place = place_with(&record("T-1", "one", "todo"));
    let before = place.trace();
    let answer = place.run(&RESOLVE);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("nothing to resolve; it was left alone"), "{answer:?}");
    let report = place.json(&RESOLVE);
    assert_eq!((&report["changed"], &report["copy"]), (&json!(false), &json!(null)));
    assert_eq!(place.trace(), before);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let place = place_with(&conflicted());
    let before = place.trace();
    let dry = [&RESOLVE[..], &["--dry-run"]].concat();
    let report = place.json(&dry);
    assert_eq!((&report["dry_run"], &report["changed"]), (&json!(true), &json!(false)));
    assert_eq!((&report["conflicts"], &report["merged"]), (&json!(1), &json!(["T-2"])));
    let answer = place.run(&dry);
    assert!(answer.stderr.contains("dry run, nothing was written"), "{answer:?}");
    assert_eq!(place.trace(), before);
}

#[test]
fn two_issues_of_one_id_keep_their_lines_and_are_named() {
    let theirs =
        record("T-2", "theirs", "todo").replace("created_at\":\"2026", "created_at\":\"2025");
    let text = conflicted().replace(&record("T-2", "theirs", "done"), &theirs);
    let place = place_with(&text);
    let answer = place.run(&RESOLVE);
    assert!(answer.stderr.contains("T-2: several issues of different created_at"), "{answer:?}");
    assert_eq!(place.read_jsonl().lines().count(), 4);
    place.ok(&["init", "--prefix", "T"]);
    let report = place.json(&["issues", "import"]);
    assert_eq!((&report["records"], &report["collisions"]), (&json!(4), &json!(["T-2"])));
}

#[test]
fn lines_that_are_no_records_are_named_and_nothing_is_written() {
    let place = place_with(&(conflicted() + "not json\n{\"id\":\"T-9\"}\n"));
    let before = place.trace();
    let error = place.error(&RESOLVE, 7);
    assert_eq!(error["error"], "bad_lines");
    let told = |key: &str| {
        error["problems"].as_array().unwrap().iter().map(|p| p[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (told("line"), told("column")),
        (vec![json!(8), json!(9)], vec![json!(1), json!(1)])
    );
    assert_eq!(told("file"), [json!(FILE), json!(FILE)]);
    assert!(error["hint"].as_str().unwrap().contains("left as it is"), "{error}");
    place.write_jsonl(&conflicted().replace("=======\n", ""));
    let error = place.error(&RESOLVE, 7);
    assert!(error["problems"][0]["reason"].as_str().unwrap().contains("out of order"), "{error}");
    place.write_jsonl(&(conflicted() + "not json\n{\"id\":\"T-9\"}\n"));
    assert_eq!(place.trace().len(), before.len(), "no copy without a change");
}

#[test]
fn every_error_about_such_a_file_names_the_command() {
    let twice = record("T-1", "one", "todo") + &record("T-1", "one", "done");
    for text in [conflicted(), twice] {
        let place = place_with(&text);
        place.ok(&["init", "--prefix", "T"]);
        let error = place.error(&["issues", "import"], 7);
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.contains("`x0x issues merge --resolve /"), "{hint}");
        let reason = error["problems"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("`x0x issues merge --resolve FILE`"), "{reason}");
        let answer = place.run(&["issues", "validate"]);
        assert_eq!(answer.code, 7);
        assert!(answer.stderr.contains("hint: `x0x issues merge --resolve"), "{answer:?}");
        let answer = place.run(&["issues", "import", "--keep-going"]);
        assert_eq!(answer.code, 7, "never silently");
        assert!(answer.stderr.contains("hint: `x0x issues merge --resolve"), "{answer:?}");
        fs::write(place.repo().join("other.jsonl"), record("T-1", "one", "todo")).unwrap();
        let merge = place.error(&["issues", "merge", "other.jsonl", FILE, "other.jsonl"], 7);
        let hint = merge["hint"].as_str().unwrap();
        assert!(
            hint.contains("mend our version") && hint.contains("merge --resolve FILE"),
            "{hint}"
        );
        assert_eq!(place.read_jsonl(), text);
    }
}

#[test]
fn wrong_usage_and_what_is_not_there_are_told() {
    let place = place_with(&conflicted());
    for args in [
        &["issues", "merge"][..],
        &["issues", "merge", "--resolve"],
        &["issues", "merge", FILE, "--resolve", FILE],
        &["issues", "merge", FILE, FILE, FILE, "--dry-run"],
        &["issues", "merge", FILE, FILE],
    ] {
        assert_eq!(place.error(args, 2)["error"], "usage", "{args:?}");
    }
    assert_eq!(place.error(&["issues", "merge", "--resolve", "no.jsonl"], 3)["error"], "not_found");
    assert_eq!(place.error(&["issues", "merge", "--resolve", "issues"], 1)["error"], "io");
    assert_eq!(place.read_jsonl(), conflicted());
}

#[test]
fn a_link_stays_one() {
    let place = place_with(&conflicted());
    let link = place.repo().join("link.jsonl");
    std::os::unix::fs::symlink(place.jsonl(), &link).unwrap();
    place.ok(&["issues", "merge", "--resolve", "link.jsonl"]);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(place.read_jsonl().lines().count(), 3);
}

#[test]
fn where_nothing_can_be_written_the_file_stays_as_it_is() {
    let place = place_with(&conflicted());
    let dir = place.repo().join("issues");
    // Root may write whatever the mode says, but not to a file system that is mounted read-only.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" || exit 99; \
                  exec \"$2\" issues merge --resolve \"$1/issues.jsonl\" --json";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
    command.arg(&dir).arg(env!("CARGO_BIN_EXE_x0x")).env("X0X_DATA_DIR", place.data());
    let answer = command.output().map(Answer::of);
    let Ok(answer) = answer else {
        eprintln!("skipped: there is no program unshare");
        return;
    };
    if answer.code == 99 || answer.stderr.starts_with("unshare:") {
        eprintln!("skipped: mounting is not allowed here: {}", answer.stderr);
        return;
    }
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("cannot write"), "{answer:?}");
    assert_eq!(place.read_jsonl(), conflicted());
    assert_eq!(copies(&place), ["issues.jsonl"]);
}
