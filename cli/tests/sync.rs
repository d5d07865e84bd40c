//! `x0x issues sync`: import and export in one, and what `--commit` does to git and what it does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Answer, Place, record};
use serde_json::json;

const FILE: &str = "issues/issues.jsonl";

fn two() -> String {
    record("T-1", "one", "todo") + &record("T-2", "two", "todo")
}

/// What git holds: every file of its directory.
fn git_files(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let git = place.repo().join(".git");
    let trace = place.trace().into_iter();
    trace.filter(|(path, _)| path.starts_with(&git)).map(|(path, (text, _))| (path, text)).collect()
}

/// A hook that says something, notes that it ran, and ends so.
fn add_hook(place: &Place, name: &str, exit: u8) {
    let hook = place.repo().join(".git/hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script =
        format!("#!/bin/sh\necho 'the hook says so'\ntouch .git/{name}-ran\nexit {exit}\n");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

fn has_run(place: &Place, hook: &str) -> bool {
    place.repo().join(".git").join(format!("{hook}-ran")).exists()
}

/// The paths of the newest commit.
fn committed(place: &Place) -> String {
    place.git(&["show", "--name-only", "--format=", "HEAD"])
}

fn edit_by_hand(place: &Place, from: &str, to: &str) {
    let edited = place.read_jsonl().replace(from, to);
    place.write_jsonl(&edited);
}

#[test]
fn both_ways_in_one_go_and_git_is_left_alone() {
    let place = Place::with_committed(&two());
    add_hook(&place, "pre-commit", 0);
    place.ok(&["issues", "edit", "T-2", "--priority", "1"]);
    edit_by_hand(&place, "\"title\":\"one\"", "\"title\":\"by hand\"");
    fs::write(place.repo().join("staged"), "staged").unwrap();
    place.git(&["add", "staged"]);
    let before = git_files(&place);
    let report = place.json(&["issues", "sync"]);
    assert_eq!(report["import"]["edited"], json!([{"issue": "T-1", "fields": ["title"]}]));
    assert_eq!((&report["export"]["changed"], &report["commit"]), (&json!(2), &json!(null)));
    assert_eq!(git_files(&place), before, "neither index nor HEAD nor anything else");
    assert!(!has_run(&place, "pre-commit"));
    let file = place.read_jsonl();
    assert!(file.contains("by hand") && file.contains("\"priority\":1"), "{file}");
    let answer = place.run(&["issues", "sync"]);
    assert!(answer.stdout.contains("0 edited, 2 unchanged"), "{answer:?}");
    assert!(answer.stderr.contains("up to date"), "{answer:?}");
    let answer = place.run(&["issues", "sync", "--quiet"]);
    assert_eq!((answer.stdout, answer.stderr), (String::new(), String::new()));
}

#[test]
fn a_commit_holds_the_file_alone_and_what_is_staged_stays_staged() {
    let place = Place::with_committed(&two());
    add_hook(&place, "pre-commit", 0);
    fs::write(place.repo().join("staged"), "staged").unwrap();
    place.git(&["add", "staged"]);
    fs::write(place.repo().join("loose"), "loose").unwrap();
    place.ok(&["issues", "done", "T-1"]);
    let report = place.json(&["issues", "sync", "--commit", "--message", "issues: one is done"]);
    assert_eq!(report["commit"]["message"], "issues: one is done");
    assert_eq!(report["commit"]["id"], place.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(committed(&place), format!("{FILE}\n"));
    assert_eq!(place.git(&["log", "-1", "--format=%s"]), "issues: one is done\n");
    assert_eq!(place.git(&["status", "--porcelain"]), "A  staged\n?? loose\n");
    assert!(has_run(&place, "pre-commit"), "hooks run as git runs them");
    let head = place.git(&["rev-parse", "HEAD"]);
    let answer = place.run(&["issues", "sync", "--commit"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("nothing to commit"), "{answer:?}");
    assert_eq!(place.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(place.json(&["issues", "sync", "--commit"])["commit"], json!(null));
}

#[test]
fn a_file_that_git_does_not_know_is_added_by_the_first_commit() {
    let place = Place::with_git();
    place.ok(&["init", "--prefix", "T"]);
    place.create(&["One"]);
    fs::write(place.repo().join("staged"), "staged").unwrap();
    place.git(&["add", "staged"]);
    let answer = place.run(&["issues", "sync", "--commit"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("committed as"), "{answer:?}");
    assert_eq!(committed(&place), format!("{FILE}\n"));
    assert_eq!(place.git(&["status", "--porcelain"]), "A  staged\n?? .x0x.toml\n");
}

#[test]
fn a_path_that_looks_like_a_pattern_means_itself() {
    let place = Place::with_git();
    place.ok(&["init", "--prefix", "T", "--jsonl", "a/*.jsonl"]);
    place.create(&["One"]);
    place.ok(&["issues", "sync"]);
    fs::write(place.repo().join("a/b.jsonl"), "").unwrap();
    place.git(&["add", "a/b.jsonl"]);
    place.ok(&["issues", "sync", "--commit"]);
    assert_eq!(committed(&place), "a/*.jsonl\n");
    assert_eq!(place.git(&["status", "--porcelain", "a"]), "A  a/b.jsonl\n");
}

#[test]
fn what_a_hook_refuses_is_told_and_the_index_is_as_before() {
    let place = Place::with_git();
    place.ok(&["init", "--prefix", "T"]);
    place.create(&["One"]);
    add_hook(&place, "pre-commit", 1);
    let error = place.error(&["issues", "sync", "--commit"], 1);
    assert_eq!(error["error"], "git");
    assert!(error["detail"].as_str().unwrap().contains("the hook says so"), "{error}");
    assert_eq!(place.git(&["status", "--porcelain"]), "?? .x0x.toml\n?? issues/\n");
    assert!(place.jsonl().exists(), "the export stands");
}

#[test]
fn the_index_is_left_as_it_was_where_there_is_nothing_to_commit() {
    let place = Place::with_committed(&two());
    place.git(&["rm", "-q", "--cached", FILE]);
    let before = place.git(&["status", "--porcelain"]);
    place.ok(&["issues", "sync", "--commit"]);
    assert_eq!(place.git(&["status", "--porcelain"]), before);
}

/// Checks that a commit is refused with these words and that not a byte changes; without `--commit` it
/// works all the same.
fn assert_refused(place: &Place, words: &str, way_out: &str, retryable: bool) {
    let before = place.trace();
    let error = place.error(&["issues", "sync", "--commit"], 4);
    assert_eq!(error["error"], "git_busy");
    assert!(error["detail"].as_str().unwrap().contains(words), "{error}");
    assert!(error["hint"].as_str().unwrap().contains(way_out), "{error}");
    assert_eq!(error["retryable"], retryable);
    assert_eq!(place.trace(), before);
    place.ok(&["issues", "sync"]);
}

/// Leaves a file other than the list's in conflict between `main` and `theirs`.
fn diverge(place: &Place) {
    let commit = |text: &str| {
        fs::write(place.repo().join("notes"), text).unwrap();
        place.git(&["add", "notes"]);
        place.git(&["commit", "-qm", text]);
    };
    commit("base");
    place.git(&["checkout", "-qb", "theirs"]);
    commit("theirs");
    place.git(&["checkout", "-q", "main"]);
    commit("ours");
}

#[test]
fn no_commit_is_made_while_git_is_at_work() {
    for (args, words, way_out) in [
        (&["merge", "theirs"][..], "in the middle of a merge", "git merge --continue"),
        (&["rebase", "theirs"], "in the middle of a rebase", "git rebase --continue"),
        (
            &["cherry-pick", "theirs"],
            "in the middle of a cherry-pick",
            "git cherry-pick --continue",
        ),
        (&["revert", "--no-edit", "HEAD~1"], "in the middle of a revert", "git revert --continue"),
    ] {
        let place = Place::with_committed(&two());
        diverge(&place);
        assert_ne!(place.try_git(args).code, 0, "{args:?} stops at a conflict");
        place.ok(&["issues", "done", "T-1"]);
        assert_refused(&place, words, way_out, false);
    }
    let place = Place::with_committed(&two());
    fs::write(place.repo().join(".git/index.lock"), "").unwrap();
    place.ok(&["issues", "done", "T-1"]);
    assert_refused(&place, ".git/index.lock is there", "try again", true);
}

#[test]
fn a_file_that_git_has_not_merged_is_not_committed() {
    let place = Place::with_committed(&two());
    fs::write(place.repo().join(".gitattributes"), format!("{FILE} merge=x0x\n")).unwrap();
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "attributes"]);
    edit_by_hand(&place, "\"title\":\"one\"", "\"title\":\"stashed\"");
    place.git(&["stash", "-q"]);
    edit_by_hand(&place, "\"title\":\"two\"", "\"title\":\"committed\"");
    place.ok(&["issues", "sync", "--commit"]);
    place.git(&["config", "merge.x0x.driver", "false"]);
    assert_ne!(place.try_git(&["stash", "pop"]).code, 0);
    assert!(!place.read_jsonl().contains("stashed"), "a driver that fails leaves one side alone");
    assert_refused(&place, "has not merged issues/issues.jsonl", "git show :3:", false);
}

#[test]
fn a_worktree_is_a_repository_of_its_own_state() {
    let place = Place::with_committed(&two());
    diverge(&place);
    let tree = place.dir().join("tree");
    place.git(&["worktree", "add", "-q", tree.to_str().unwrap(), "theirs"]);
    assert_ne!(place.try_git(&["merge", "theirs"]).code, 0);
    let run = |dir: &Path, args: &[&str]| {
        Answer::of(place.command(args).current_dir(dir).output().unwrap())
    };
    assert_eq!(run(&tree, &["issues", "import"]).code, 0);
    assert_eq!(run(&tree, &["issues", "done", "T-1"]).code, 0);
    let answer = run(&tree, &["issues", "sync", "--commit"]);
    assert_eq!(answer.code, 0, "the merge is in the other tree: {answer:?}");
    assert!(answer.stderr.contains("committed as"), "{answer:?}");
    let theirs = place.git(&["show", "--name-only", "--format=", "theirs"]);
    assert_eq!(theirs, format!("{FILE}\n"));
    let lock = place.repo().join(".git/worktrees/tree/index.lock");
    fs::write(lock, "").unwrap();
    assert_eq!(run(&tree, &["issues", "sync", "--commit"]).code, 4);
}

#[test]
fn without_git_there_is_a_sync_and_no_commit() {
    let place = Place::with_list();
    fs::remove_dir_all(place.repo().join(".git")).unwrap();
    place.create(&["One"]);
    let before = place.trace();
    let error = place.error(&["issues", "sync", "--commit"], 3);
    assert!(error["detail"].as_str().unwrap().contains("no git repository"), "{error}");
    assert_eq!(place.trace(), before);
    assert_eq!(place.json(&["issues", "sync"])["export"]["added"], 1);
}

#[test]
fn bad_lines_are_neither_exported_over_nor_committed() {
    let place = Place::with_committed(&two());
    place.ok(&["issues", "done", "T-1"]);
    let head = place.git(&["rev-parse", "HEAD"]);
    for bad in ["not json\n".to_owned(), "<<<<<<< HEAD\n".to_owned(), record("T-1", "b", "done")] {
        let bad = two() + &bad;
        place.write_jsonl(&bad);
        for args in [&["issues", "sync"][..], &["issues", "sync", "--commit"]] {
            let error = place.error(args, 7);
            assert_eq!(
                (&error["error"], &error["problems"][0]["line"]),
                (&json!("bad_lines"), &json!(3))
            );
        }
        assert_eq!(place.read_jsonl(), bad);
    }
    assert_eq!(place.git(&["rev-parse", "HEAD"]), head);
}

#[test]
fn wrong_usage_is_told() {
    let place = Place::with_committed(&two());
    for args in [
        &["issues", "sync", "--message", "x"][..],
        &["issues", "sync", "--commit", "--message", " "],
        &["issues", "sync", "file"],
    ] {
        assert_eq!(place.error(args, 2)["error"], "usage", "{args:?}");
    }
    let unbound = Place::with_git();
    unbound.error(&["issues", "sync"], 3);
    let directory = Place::with_list();
    fs::create_dir_all(directory.jsonl()).unwrap();
    assert_eq!(directory.error(&["issues", "sync"], 1)["error"], "io");
}

#[test]
fn a_clone_is_attached_and_a_file_that_is_away_is_written_from_the_list_alone() {
    let place = Place::with_committed(&two());
    let clone = Place::clone_of(&place);
    assert_eq!(clone.json(&["issues", "sync"])["import"]["attached"], true);
    assert_eq!(clone.read_jsonl(), place.read_jsonl());
    fs::remove_file(clone.jsonl()).unwrap();
    let report = clone.json(&["issues", "sync"]);
    assert_eq!((&report["import"], &report["export"]["records"]), (&json!(null), &json!(2)));
    assert_eq!(clone.read_jsonl(), place.read_jsonl());
    let other = Place::clone_of(&place);
    fs::remove_file(other.jsonl()).unwrap();
    other.error(&["issues", "sync"], 3);
    assert!(!other.jsonl().exists(), "an empty file would say that there are no issues");
}

#[test]
fn an_older_file_undoes_nothing() {
    let place = Place::with_committed(&two());
    place.ok(&["issues", "edit", "T-1", "--title", "newer"]);
    place.ok(&["issues", "comment", "T-2", "said"]);
    place.ok(&["issues", "done", "T-2"]);
    place.ok(&["issues", "sync", "--commit"]);
    let newest = place.read_jsonl();
    let back: [&[&str]; 2] = [&["reset", "-q", "--hard", "HEAD~1"], &["checkout", "-q", "HEAD~1"]];
    for (at, go_back) in back.into_iter().enumerate() {
        place.git(go_back);
        assert_eq!(place.read_jsonl(), two());
        let report = place.json(&["issues", "sync"]);
        assert_eq!(report["import"]["edited"], json!([]), "{report}");
        assert!(!report["import"]["old_news"].as_array().unwrap().is_empty(), "{report}");
        assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "newer");
        assert_eq!(place.json(&["issues", "show", "T-2"])["state"], "done");
        assert_eq!(place.read_jsonl(), newest);
        if at == 0 {
            place.ok(&["issues", "sync", "--commit"]);
        }
    }
}
