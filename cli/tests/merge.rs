//! The merge driver, as git runs it: real branches of a real repository.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn git(dir: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// A repository whose file is merged by the driver, with two branches that each replaced it.
fn branches(base: &str, ours: &str, theirs: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let write = |text: &str| fs::write(at.join("issues.jsonl"), text).unwrap();
    let run = |arguments: &[&str]| assert!(git(at, arguments), "git {arguments:?}");
    run(&["init", "-q"]);
    let driver = format!("{} issues merge %O %A %B", env!("CARGO_BIN_EXE_x0x"));
    run(&["config", "merge.x0x.driver", &driver]);
    fs::write(at.join(".gitattributes"), "issues.jsonl merge=x0x\n").unwrap();
    write(base);
    run(&["add", "."]);
    run(&["commit", "-qm", "base"]);
    run(&["checkout", "-qb", "theirs"]);
    write(theirs);
    run(&["commit", "-qam", "theirs"]);
    run(&["checkout", "-q", "main"]);
    write(ours);
    run(&["commit", "-qam", "ours"]);
    dir
}

fn record(id: &str, title: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "identifier": id, "title": title, "state": "todo", "labels": [],
        "created_at": "2026-05-01T20:35:00Z", "updated_at": "2026-05-01T20:35:00Z",
    })
}

fn lines(records: &[serde_json::Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn git_merges_rebases_and_picks_what_two_branches_did() {
    let (mut one, two) = (record("T-1", "one"), record("T-2", "two"));
    let base = lines(&[one.clone(), two.clone()]);
    one["state"] = "done".into();
    let ours = lines(&[one.clone(), two.clone(), record("T-3", "ours")]);
    let mut edited = record("T-1", "renamed");
    edited["labels"] = serde_json::json!(["new"]);
    let theirs = lines(&[edited, two, record("T-4", "theirs")]);
    for act in
        [&["merge", "-q", "theirs"][..], &["rebase", "-q", "theirs"], &["cherry-pick", "theirs"]]
    {
        let dir = branches(&base, &ours, &theirs);
        assert!(git(dir.path(), act), "git {act:?}");
        let file = fs::read_to_string(dir.path().join("issues.jsonl")).unwrap();
        let records: Vec<serde_json::Value> =
            file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut ids: Vec<&str> = records.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(records[0]["title"], "renamed");
        assert_eq!(records[0]["state"], "done");
        assert_eq!(records[0]["labels"], serde_json::json!(["new"]));
        ids.sort_unstable();
        assert_eq!(ids, ["T-1", "T-2", "T-3", "T-4"]);
    }
}

#[test]
fn a_field_that_both_changed_is_named_and_both_values_stay() {
    let base = lines(&[record("T-1", "one")]);
    let dir = branches(&base, &lines(&[record("T-1", "ours")]), &lines(&[record("T-1", "theirs")]));
    assert!(git(dir.path(), &["merge", "-q", "theirs"]));
    let file = fs::read_to_string(dir.path().join("issues.jsonl")).unwrap();
    assert!(file.contains("\"conflicts\":{\"title\":[\"ours\",\"theirs\"]}"), "{file}");
}

#[test]
fn a_side_that_cannot_be_read_leaves_ours_alone() {
    let base = lines(&[record("T-1", "one")]);
    let (ours, theirs) = (lines(&[record("T-1", "ours")]), "no record\n");
    let dir = branches(&base, &ours, theirs);
    assert!(!git(dir.path(), &["merge", "-q", "theirs"]), "git takes it for a conflict");
    assert_eq!(fs::read_to_string(dir.path().join("issues.jsonl")).unwrap(), ours);
}
