//! `x0x init --merge-driver`: what is offered, what is set up when asked for, and what is left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::path::Path;

use common::{Answer, Place, record};
use serde_json::json;

const LINE: &str = "issues/issues.jsonl merge=x0x\n";
const COMMAND: &str = "x0x issues merge %O %A %B";

fn attributes(place: &Place) -> String {
    fs::read_to_string(place.repo().join(".gitattributes")).unwrap_or_default()
}

fn command(place: &Place) -> String {
    place.try_git(&["config", "--local", "merge.x0x.driver"]).stdout.trim().to_owned()
}

#[test]
fn init_names_the_two_things_and_does_neither() {
    let place = Place::with_git();
    let config = fs::read(place.repo().join(".git/config")).unwrap();
    let answer = place.run(&["init"]);
    assert_eq!(answer.code, 0);
    for words in [
        "echo 'issues/issues.jsonl merge=x0x' >> .gitattributes",
        "git config merge.x0x.driver 'x0x issues merge %O %A %B'",
        "`x0x init --merge-driver`",
    ] {
        assert!(answer.stderr.contains(words), "{answer:?}");
    }
    assert_eq!(attributes(&place), "");
    assert_eq!(fs::read(place.repo().join(".git/config")).unwrap(), config);
    let report = place.json(&["init"]);
    assert_eq!(report["merge_driver"]["installed"], false);
    assert_eq!(report["merge_driver"]["attributes"], LINE.trim());
}

#[test]
fn asked_to_init_does_both_once_and_a_merge_uses_it() {
    let place = Place::with_git();
    fs::write(place.repo().join(".gitattributes"), "*.png binary").unwrap();
    place.write_jsonl(&record("T-1", "one", "todo"));
    let answer = place.run(&["init", "--merge-driver"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains(".gitattributes: issues/issues.jsonl merge=x0x"), "{answer:?}");
    assert_eq!(attributes(&place), format!("*.png binary\n{LINE}"));
    assert_eq!(command(&place), COMMAND);
    let before = place.trace();
    let report = place.json(&["init", "--merge-driver"]);
    assert_eq!(
        (&report["merge_driver"]["installed"], &report["merge_driver"]["done"]),
        (&json!(true), &json!([]))
    );
    assert!(place.run(&["init"]).stderr.contains("by records already"));
    assert_eq!(place.trace(), before);
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "base"]);
    place.git(&["checkout", "-qb", "theirs"]);
    place.write_jsonl(&record("T-1", "one", "done"));
    place.git(&["commit", "-qam", "theirs"]);
    place.git(&["checkout", "-q", "main"]);
    place.write_jsonl(&record("T-1", "renamed", "todo"));
    place.git(&["commit", "-qam", "ours"]);
    place.git(&["merge", "-q", "--no-edit", "theirs"]);
    assert_eq!(place.read_jsonl(), record("T-1", "renamed", "done"));
}

#[test]
fn a_merge_that_did_not_find_the_program_can_be_made_again() {
    let place =
        Place::with_committed(&(record("T-1", "one", "todo") + &record("T-2", "b", "todo")));
    place.ok(&["init", "--merge-driver"]);
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "attributes"]);
    place.git(&["checkout", "-qb", "theirs"]);
    let change = |from: &str, to: &str| {
        place.write_jsonl(&place.read_jsonl().replace(from, to));
        place.git(&["commit", "-qam", to]);
    };
    change("\"one\"", "\"theirs\"");
    place.git(&["checkout", "-q", "main"]);
    change("\"b\"", "\"ours\"");
    place.git(&["config", "merge.x0x.driver", "/no/such/x0x issues merge %O %A %B"]);
    assert_ne!(place.try_git(&["merge", "theirs"]).code, 0);
    assert!(!place.read_jsonl().contains("theirs"), "git leaves our side and no markers");
    place.git(&["config", "merge.x0x.driver", COMMAND]);
    place.git(&["checkout", "--merge", "--", "issues/issues.jsonl"]);
    let file = place.read_jsonl();
    assert!(file.contains("\"theirs\"") && file.contains("\"ours\""), "{file}");
}

#[test]
fn a_clone_gets_the_setting_and_keeps_the_line() {
    let place = Place::with_committed(&record("T-1", "one", "todo"));
    place.ok(&["init", "--merge-driver"]);
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "attributes"]);
    let clone = Place::clone_of(&place);
    assert_eq!(command(&clone), "");
    let report = clone.json(&["init", "--merge-driver"]);
    assert_eq!(report["created"], false);
    assert_eq!(command(&clone), COMMAND);
    assert_eq!(clone.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_worktree_shares_the_setting_and_has_its_own_line() {
    let place = Place::with_committed(&record("T-1", "one", "todo"));
    let tree = place.dir().join("tree");
    place.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    let run = |dir: &Path| {
        let args = ["init", "--merge-driver"];
        Answer::of(place.command(&args).current_dir(dir).output().unwrap())
    };
    assert_eq!(run(&tree).code, 0);
    assert_eq!(fs::read_to_string(tree.join(".gitattributes")).unwrap(), LINE);
    assert_eq!((command(&place).as_str(), attributes(&place).as_str()), (COMMAND, ""));
}

#[test]
fn another_driver_of_the_name_is_left_and_reported() {
    let place = Place::with_git();
    place.git(&["config", "merge.x0x.driver", "something else %A"]);
    let before = place.trace();
    let error = place.error(&["init", "--merge-driver"], 4);
    assert_eq!(error["error"], "git_conflict");
    assert!(error["detail"].as_str().unwrap().contains("something else %A"), "{error}");
    assert_eq!(place.trace(), before, "nothing is done by halves");
    place.git(&["config", "merge.x0x.driver", "/opt/x0x issues merge %O %A %B"]);
    assert_eq!(place.json(&["init", "--merge-driver"])["merge_driver"]["installed"], true);
    assert_eq!(command(&place), "/opt/x0x issues merge %O %A %B");
}

#[test]
fn another_way_of_merging_the_file_is_replaced_and_named() {
    let place = Place::with_git();
    fs::write(place.repo().join(".gitattributes"), "*.jsonl merge=union\n").unwrap();
    let answer = place.run(&["init", "--merge-driver"]);
    assert!(answer.stderr.contains("(was merge=union)"), "{answer:?}");
    assert_eq!(attributes(&place), format!("*.jsonl merge=union\n{LINE}"));
    let other = Place::with_git();
    fs::create_dir_all(other.repo().join("issues")).unwrap();
    fs::write(other.repo().join("issues/.gitattributes"), "*.jsonl merge=union\n").unwrap();
    let error = other.error(&["init", "--merge-driver"], 1);
    assert!(error["detail"].as_str().unwrap().contains("as 'union'"), "{error}");
}

#[test]
fn without_git_nothing_is_offered_and_the_option_is_refused() {
    let place = Place::new();
    fs::remove_dir_all(place.repo().join(".git")).unwrap();
    let before = place.trace();
    let error = place.error(&["init", "--merge-driver"], 3);
    assert!(error["detail"].as_str().unwrap().contains("no git repository"), "{error}");
    assert_eq!(place.trace(), before);
    let answer = place.run(&["init"]);
    assert_eq!(answer.code, 0);
    assert!(!answer.stderr.contains("merge"), "{answer:?}");
    assert_eq!(place.json(&["init"])["merge_driver"], json!(null));
}

#[test]
fn attributes_that_cannot_be_written_are_told() {
    let place = Place::with_git();
    fs::create_dir(place.repo().join(".gitattributes")).unwrap();
    assert_eq!(place.error(&["init", "--merge-driver"], 1)["error"], "io");
    let linked = Place::with_git();
    fs::write(linked.repo().join("target"), "").unwrap();
    std::os::unix::fs::symlink("target", linked.repo().join(".gitattributes")).unwrap();
    assert_eq!(linked.error(&["init", "--merge-driver"], 7)["error"], "invalid");
    assert_eq!(command(&linked), "");
}
