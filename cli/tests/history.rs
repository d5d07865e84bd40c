//! The history of issues as it is typed: log, show --at, undo, conflicts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use common::{Place, record};
use serde_json::{Value, json};

fn entries(place: &Place, id: &str) -> Vec<Value> {
    place.json(&["issues", "log", id])["entries"].as_array().unwrap().clone()
}

fn commit(entry: &Value) -> String {
    entry["commit"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_is_told_to_people_and_to_programs() {
    let place = Place::with_list();
    let id = place.create(&["One"]);
    place.ok(&["issues", "edit", "T-0001", "--title", "Two", "--estimate", "1.50"]);
    place.ok(&["issues", "edit", "T-0001", "--add-label", "a,b"]);
    place.ok(&["issues", "comment", "T-0001", "a word", "--author", "ann"]);
    let log = place.json(&["issues", "log", "T-0001"]);
    assert_eq!((&log["id"], &log["identifier"]), (&json!(id), &json!("T-0001")));
    assert_eq!(log["more"], false);
    let found = entries(&place, "T-0001");
    assert_eq!(found.len(), 4);
    assert_eq!(found[0]["fields"][0]["added"][0]["body"], "a word");
    assert_eq!(
        found[1]["fields"],
        json!([{"field": "labels", "added": ["a", "b"], "removed": [], "moved": []}])
    );
    let fields = found[2]["fields"].to_string();
    assert!(fields.contains(r#"{"field":"estimate","to":1.50,"lost":false}"#), "{fields}");
    assert!(
        fields.contains(r#"{"field":"title","from":"One","to":"Two","lost":false}"#),
        "{fields}"
    );
    assert_eq!((&found[3]["created"], &found[3]["number"]), (&json!(true), &json!(1)));
    let agent = place.json(&["agent"])["agent_id"].clone();
    assert!(found.iter().all(|entry| entry["agent"] == agent && commit(entry).len() == 64));

    let text = place.ok(&["issues", "log", "T-0001"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains(&agent.as_str().unwrap()[..8]), "{text}");
    assert!(lines[0].contains(&commit(&found[0])[..12]) && lines[0].ends_with("#4"), "{text}");
    for line in
        ["  comments: +ann: a word", "  labels: +a, +b", "  title: One -> Two", "  created: One"]
    {
        assert!(lines.contains(&line), "{line} in {text}");
    }
    let one = place.run(&["issues", "log", "T-0001", "--field", "title", "--limit", "1"]);
    assert_eq!(one.stdout.lines().count(), 2, "{one:?}");
    assert!(one.stderr.contains("older"), "{one:?}");
    place.error(&["issues", "log", "T-0009"], 3);
}

#[test]
fn an_issue_is_shown_as_it_was() {
    let place = Place::with_list();
    place.create(&["One"]);
    let first = place.json(&["issues", "show", "T-0001"]);
    place.ok(&["issues", "edit", "T-0001", "--title", "Two"]);
    let begun = entries(&place, "T-0001").pop().unwrap();
    let then = place.json(&["issues", "show", "T-0001", "--at", &commit(&begun)[..8]]);
    assert_eq!(then, first);
    let day = &begun["at"].as_str().unwrap()[..10];
    let then = place.json(&["issues", "show", "T-0001", "--at", day, "--fields", "title"]);
    assert_eq!(then, json!({"title": "Two"}), "a date means its end");
    let error = place.error(&["issues", "show", "T-0001", "--at", "2020-01-01T00:00:00Z"], 3);
    assert_eq!(error["error"], "not_yet");
    assert!(error["detail"].as_str().unwrap().contains(day), "{error}");
    place.error(&["issues", "show", "T-0001", "--at", "0000000000"], 3);
    place.error(&["issues", "show", "T-0001", "--at", "soon"], 2);
    let text = place.ok(&["issues", "show", "T-0001", "--at", &commit(&begun)]);
    assert!(text.starts_with("T-0001  One\n"), "{text}");
}

#[test]
fn undo_answers_like_an_edit_and_says_what_it_restored() {
    let place = Place::with_list();
    place.create(&["One"]);
    place.ok(&["issues", "edit", "T-0001", "--title", "Two", "--priority", "1"]);
    let before = place.trace();
    let dry = place.json(&["issues", "undo", "T-0001", "--dry-run"]);
    assert_eq!((&dry["title"], &dry["_dry_run"]), (&json!("One"), &json!(true)));
    assert!(place.trace() == before, "a dry run changes no file");
    assert_eq!(place.json(&["issues", "show", "T-0001"])["title"], "Two");
    let undone = place.json(&["issues", "undo", "T-0001"]);
    assert_eq!((&undone["title"], &undone["priority"]), (&json!("One"), &Value::Null));
    assert_eq!(undone["_restored"].as_array().unwrap().len(), 2);
    assert_eq!(undone["_left"], json!([]));
    assert_eq!(undone["_version"], place.json(&["issues", "show", "T-0001"])["_version"]);
    let text = place.ok(&["issues", "undo", "T-0001"]);
    assert_eq!(text, "T-0001  Two\n  priority: null -> 1\n  title: One -> Two\n");
    place.error(&["issues", "undo", "T-0009"], 3);
    place.error(&["issues", "undo", "abcdef123456"], 3);
}

#[test]
fn undoing_a_commit_leaves_what_was_written_since() {
    let file: String = (1..=12).map(|n| record(&format!("A-{n}"), "title", "todo")).collect();
    let place = Place::with_file(&file);
    place.write_jsonl(&file.replace("\"title\":\"title\"", "\"title\":\"from the file\""));
    place.ok(&["issues", "import"]);
    place.ok(&["issues", "edit", "A-3", "--title", "By hand"]);
    let import = commit(&entries(&place, "A-1")[0]);
    let report = place.json(&["issues", "undo", &import[..16], "--dry-run"]);
    assert_eq!((&report["commit"], &report["dry_run"]), (&json!(import), &json!(true)));
    assert_eq!(report["issues"].as_array().unwrap().len(), 12);
    let answer = place.run(&["issues", "undo", &import]);
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains("A-1  title\n  title: from the file -> title\n"), "{answer:?}");
    assert!(answer.stdout.contains("  left title: it was written again since"), "{answer:?}");
    assert!(
        answer.stderr.contains("11 issues restored, 1 with fields that are left"),
        "{answer:?}"
    );
    let error = place.error(&["issues", "undo", &import], 4);
    assert_eq!(error["error"], "written_since");
    assert_eq!(place.json(&["issues", "show", "A-3"])["title"], "By hand");
    place.ok(&["issues", "undo", &import, "--force", "--quiet"]);
    assert_eq!(place.json(&["issues", "show", "A-3"])["title"], "title");
}

#[test]
fn a_creation_is_undone_by_removal_and_that_by_bringing_it_back() {
    let place = Place::with_list();
    place.create(&["One"]);
    place.ok(&["issues", "undo", "T-0001"]);
    assert_eq!(place.json(&["issues", "list"])["issues"], json!([]));
    assert!(place.json(&["issues", "undo", "T-0001"]).get("deleted_at").is_none());
    assert_eq!(place.json(&["issues", "list"])["issues"].as_array().unwrap().len(), 1);
}

fn resolve<'a>(id: &'a str, choice: &[&'a str]) -> Vec<&'a str> {
    [&["issues", "conflicts", id, "--resolve", "title"], choice].concat()
}

#[test]
fn conflicts_are_listed_and_settled() {
    let disputed = |id: &str| {
        let line = record(id, "ours", "todo");
        line.replace("}\n", ",\"conflicts\":{\"title\":[\"theirs\",\"third\"]}}\n")
    };
    let place =
        Place::with_file(&(disputed("A-1") + &disputed("A-2") + &record("A-3", "c", "todo")));
    let found = place.json(&["issues", "conflicts"]);
    assert_eq!(common::names(&found), ["A-1", "A-2"]);
    let one = place.json(&["issues", "conflicts", "A-1"]);
    assert_eq!(one, found["issues"][0]);
    let field = &one["conflicts"][0];
    assert_eq!((&field["field"], &field["shown"]["value"]), (&json!("title"), &json!("ours")));
    assert_eq!(
        field["others"][1],
        json!({"value": "third", "agent": null, "log": null, "at": null})
    );
    assert!(field["shown"]["agent"].is_string());
    let text = place.ok(&["issues", "conflicts"]);
    assert!(text.contains("\n    1: theirs\n    2: third\n"), "{text}");

    place.error(&resolve("A-1", &[]), 2);
    place.error(&resolve("A-1", &["--keep", "--take", "1"]), 2);
    place.error(&resolve("A-1", &["--take", "3"]), 7);
    place.error(&resolve("A-1", &["--value", "bare"]), 2);
    place.error(&["issues", "conflicts", "--keep"], 2);
    place.error(&["issues", "conflicts", "--resolve", "title", "--keep"], 2);
    place.error(&resolve("A-1", &["--keep", "--if-version", "0000000000000000"]), 4);
    let settled = place.json(&resolve("A-1", &["--take", "2"]));
    assert_eq!((&settled["title"], settled.get("conflicts")), (&json!("third"), None));
    let settled = place.json(&resolve("A-2", &["--keep"]));
    assert_eq!((&settled["title"], settled.get("conflicts")), (&json!("ours"), None));
    let answer = place.run(&["issues", "conflicts"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, ""));
    assert!(answer.stderr.contains("no conflicts"), "{answer:?}");
}
