//! Creating, editing, commenting, ruling, listing: the commands as they are typed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use common::{Place, names, record};
use serde_json::json;

#[test]
fn an_issue_is_created_from_flags() {
    let place = Place::with_list();
    std::fs::write(place.repo().join("text.md"), "line one\n\nline two\n").unwrap();
    let first = place.create(&["First"]);
    let issue = place.json(&[
        "issues",
        "create",
        "--title",
        "Second",
        "--description",
        "@text.md",
        "--priority",
        "1",
        "--labels",
        "Pump, p2p",
        "--labels",
        "p2p",
        "--blocked-by",
        &first,
        "--acceptance",
        "one, two",
        "--acceptance",
        "- three",
        "--validation",
        "cargo test",
        "--assignee",
        "ann",
        "--estimate",
        "1.50",
        "--links",
        "design=docs/d.md",
        "--branch-name",
        "b",
        "--url",
        "https://x.test/",
        "--field",
        "x={\"n\": 1e400}",
    ]);
    for (field, value) in [
        ("title", json!("Second")),
        ("description", json!("line one\n\nline two")),
        ("priority", json!(1)),
        ("state", json!("todo")),
        ("labels", json!(["pump", "p2p"])),
        ("blocked_by", json!([first])),
        ("acceptance", json!(["one, two", "- three"])),
        ("validation", json!(["cargo test"])),
        ("assignee", json!("ann")),
        ("links", json!([{"kind": "design", "url": "docs/d.md"}])),
        ("branch_name", json!("b")),
    ] {
        assert_eq!(issue[field], value, "{field}");
    }
    assert_eq!(issue["_version"].as_str().unwrap().len(), 16);
    let stdout = place.ok(&["issues", "show", "T-0002", "--json", "--fields", "x,estimate"]);
    assert_eq!(stdout, "{\"x\":{\"n\":1e400},\"estimate\":1.50}\n");
    assert_eq!(place.ok(&["issues", "create", "Third"]), "T-0003  Third\n");
}

#[test]
fn an_issue_is_edited_field_by_field() {
    let place = Place::with_list();
    place.create(&["One", "--priority", "1", "--labels", "a,b", "--acceptance", "x"]);
    let edited = place.json(&[
        "issues",
        "edit",
        "T-0001",
        "--title",
        "New",
        "--priority",
        "none",
        "--assignee",
        "ann",
        "--add-label",
        "C",
        "--remove-label",
        "a",
        "--add-acceptance",
        "y",
        "--remove-acceptance",
        "x",
        "--add-link",
        "adr=1",
        "--field",
        "note=\"n\"",
    ]);
    assert_eq!(edited["title"], "New");
    assert!(edited["priority"].is_null());
    assert_eq!(edited["labels"], json!(["b", "c"]));
    assert_eq!(edited["acceptance"], json!(["y"]));
    assert_eq!(edited["note"], "n");
    let edited = place.json(&[
        "issues",
        "edit",
        "T-0001",
        "--labels",
        "none",
        "--assignee",
        "none",
        "--unset",
        "note",
    ]);
    assert_eq!(edited["labels"], json!([]));
    assert!(edited["assignee"].is_null() && edited.get("note").is_none());
    place.ok(&["issues", "edit", "T-0001", "--deleted-at", "now"]);
    assert!(names(&place.json(&["issues", "list"])).is_empty());
    assert_eq!(names(&place.json(&["issues", "list", "--deleted"])), ["T-0001"]);
    place.ok(&["issues", "edit", "T-0001", "--deleted-at", "none"]);
    assert_eq!(names(&place.json(&["issues", "list"])), ["T-0001"]);
}

#[test]
fn an_edit_that_changes_nothing_says_so_and_writes_nothing() {
    let place = Place::with_list();
    place.create(&["One"]);
    let before = place.json(&["issues", "show", "T-0001"]);
    let answer = place.run(&["issues", "edit", "T-0001", "--title", "One"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("unchanged"), "{}", answer.stderr);
    assert_eq!(place.json(&["issues", "show", "T-0001"]), before);
    let quiet = place.run(&["issues", "edit", "T-0001", "--title", "One", "--quiet"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn an_edit_of_an_older_version_is_refused() {
    let place = Place::with_list();
    place.create(&["One"]);
    let version =
        place.json(&["issues", "show", "T-0001"])["_version"].as_str().unwrap().to_owned();
    let edit = |title| ["issues", "edit", "T-0001", "--title", title, "--if-version", &version];
    place.ok(&edit("Two"));
    assert_eq!(place.error(&edit("Three"), 4)["error"], "version_mismatch");
    assert_eq!(place.json(&["issues", "show", "T-0001"])["title"], "Two");
}

#[test]
fn comments_come_from_arguments_files_and_stdin() {
    let place = Place::with_list();
    place.create(&["One"]);
    place.ok(&["issues", "comment", "T-0001", "@@literal"]);
    place.ok(&["issues", "comment", "T-0001", "--body", "- item", "--author", "ann"]);
    let answer = place.run_with_stdin(&["issues", "comment", "T-0001", "-"], "from\nstdin\n");
    assert_eq!(answer.code, 0, "{answer:?}");
    let comments = place.json(&["issues", "show", "T-0001"])["comments"].clone();
    let bodies: Vec<&str> =
        comments.as_array().unwrap().iter().map(|c| c["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["@literal", "- item", "from\nstdin"]);
    assert_eq!(comments[1]["author"], "ann");
    let page = place.ok(&["issues", "show", "T-0001"]);
    assert!(page.contains("comments (3)") && page.contains("    from\n    stdin\n"), "{page}");
}

#[test]
fn stdin_is_read_once() {
    let place = Place::with_list();
    let args = ["issues", "create", "One", "--description", "-", "--acceptance", "-", "--json"];
    assert_eq!(place.run_with_stdin(&args, "text").code, 2);
}

#[test]
fn rulings_end_and_reopen_and_stop_at_the_first_failure() {
    let place = Place::with_list();
    for title in ["One", "Two", "Three"] {
        place.create(&[title]);
    }
    let done = place.json(&["issues", "done", "T-0001", "T-0002"]);
    assert_eq!(names(&done), ["T-0001", "T-0002"]);
    assert_eq!(place.json(&["issues", "reopen", "T-0001"])["state"], "todo");
    assert_eq!(place.json(&["issues", "cancel", "T-0001"])["state"], "cancelled");
    let duplicate = place.json(&["issues", "duplicate", "T-0003", "--of", "T-0002"]);
    assert_eq!(duplicate["state"], "duplicate");
    assert_eq!(duplicate["links"][0]["kind"], "duplicate_of");
    place.ok(&["issues", "reopen", "T-0001"]);
    let error = place.error(&["issues", "done", "T-0001", "nope", "T-0003"], 3);
    assert_eq!(error["done"], json!(["T-0001"]));
    assert!(error["detail"].as_str().unwrap().contains("nope"), "{error}");
}

#[test]
fn blockers_hold_an_issue_back_and_never_form_a_ring() {
    let place = Place::with_list();
    let ids: Vec<String> = ["One", "Two", "Three"].map(|title| place.create(&[title])).to_vec();
    place.ok(&["issues", "block", "T-0001", "--on", "T-0002"]);
    let blocked = place.json(&["issues", "block", "T-0002", "T-0003"]);
    assert_eq!(blocked["blocked_by"], json!([ids[2]]));
    let error = place.error(&["issues", "block", "T-0003", "--on", "T-0001"], 7);
    let detail = error["detail"].as_str().unwrap();
    assert!(ids.iter().all(|id| detail.contains(id.as_str())), "{detail}");
    assert_eq!(names(&place.json(&["issues", "ready"])), ["T-0003"]);
    assert_eq!(place.error(&["issues", "block", "T-0001", "nope"], 3)["error"], "not_found");
    let explained = place.json(&["issues", "ready", "--explain"]);
    assert_eq!(explained["waiting"].as_array().unwrap().len(), 2);
    assert_eq!(explained["waiting"][0]["blocked_by"], json!(["T-0002"]));
    assert!(place.ok(&["issues", "ready", "--explain"]).contains("waits for T-0002 (todo)"));
    place.ok(&["issues", "unblock", "T-0001", "T-0002"]);
    place.ok(&["issues", "unblock", "T-0002", "--all"]);
    assert_eq!(names(&place.json(&["issues", "ready"])).len(), 3);
}

#[test]
fn a_blocker_is_taken_out_however_it_is_spelled() {
    let lines = record("T-1", "a", "todo")
        + &record("T-2", "b", "todo").replace(
            "\"blocked_by\":[]",
            "\"blocked_by\":[{\"id\":\"T-1\",\"state\":\"todo\"},\"gone\"]",
        );
    let place = Place::with_file(&lines);
    let issue = place.json(&["issues", "unblock", "T-2", "T-1"]);
    assert_eq!(issue["blocked_by"], json!(["gone"]));
    let issue = place.json(&["issues", "unblock", "T-2", "gone"]);
    assert_eq!(issue["blocked_by"], json!([]));
}

#[test]
fn next_is_the_most_urgent_and_says_nothing_when_there_is_none() {
    let place = Place::with_list();
    let answer = place.run(&["issues", "next"]);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (3, "", ""));
    assert_eq!(place.error(&["issues", "next"], 3)["error"], "nothing_ready");
    place.create(&["Low", "--priority", "4"]);
    place.create(&["High", "--priority", "1"]);
    let next = place.ok(&["issues", "next", "--json", "--fields", "title,priority"]);
    assert_eq!(next, "{\"title\":\"High\",\"priority\":1}\n");
}

#[test]
fn lists_are_filtered_shaped_and_paged() {
    let place = Place::with_list();
    place.create(&["One", "--labels", "a,b", "--priority", "1"]);
    place.create(&["Two", "--labels", "a"]);
    place.create(&["Three", "--state", "review", "--assignee", "ann"]);
    let list = |args: &[&str]| names(&place.json(&[&["issues", "list"], args].concat()));
    assert_eq!(list(&["--state", "review,done"]), ["T-0003"]);
    assert_eq!(list(&["--label", "a", "--label", "B"]), ["T-0001"]);
    assert_eq!(list(&["--priority", "none"]), ["T-0002", "T-0003"]);
    assert_eq!(list(&["--assignee", "ann"]), ["T-0003"]);
    assert_eq!(list(&["--text", "tWo"]), ["T-0002"]);
    assert_eq!(list(&["--updated-since", "2999-01-01T00:00:00Z"]), [""; 0]);
    let page = place.json(&["issues", "list", "--limit", "2"]);
    assert_eq!(names(&page), ["T-0001", "T-0002"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = place.json(&["issues", "list", "--cursor", cursor]);
    assert_eq!(names(&rest), ["T-0003"]);
    assert!(rest["next_cursor"].is_null());
    let lines = place.ok(&["issues", "list", "--jsonl", "--brief", "--label", "b"]);
    let brief: serde_json::Value = serde_json::from_str(lines.trim_end()).unwrap();
    let keys: Vec<&String> = brief.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "identifier", "title", "state", "priority", "labels"]);
    let table = place.ok(&["issues", "list", "--fields", "title,assignee", "--state", "review"]);
    assert_eq!(table, "title  assignee\nThree  ann\n");
}

#[test]
fn counts_are_a_table_or_an_object() {
    let place = Place::with_list();
    place.create(&["One", "--priority", "1"]);
    let stats = place.json(&["issues", "stats"]);
    assert_eq!((&stats["issues"], &stats["ready"]), (&json!(1), &json!(1)));
    assert_eq!(stats["by_priority"], json!({"1": 1}));
    let table = place.ok(&["issues", "stats"]);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = table.lines().map(words).collect();
    let first = ["issues 1", "by state", "todo 1", "by priority", "1 1", "ready 1", "held 0"];
    assert_eq!(lines[..first.len()], first);
    assert!(lines.contains(&"removed 0".to_owned()), "{table}");
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let place = Place::with_list();
    let id = place.create(&["One"]);
    for (args, field) in [
        (&["create", "Two", "--priority", "1", "--field", "priority=2"][..], "priority"),
        (&["create", "Two", "--field", "title=\"Three\""], "title"),
        (&["create", "Two", "--field", "x=1", "--field", "x=2"], "x"),
        (&["edit", &id, "--labels", "a", "--field", "labels=[]"], "labels"),
        (&["edit", &id, "--assignee", "ann", "--unset", "assignee"], "assignee"),
        (&["edit", &id, "--add-blocked-by", &id, "--field", "blocked_by=[]"], "blocked_by"),
        (&["edit", &id, "--remove-link", "a", "--field", "links=[]"], "links"),
    ] {
        let error = place.error(&[&["issues"], args].concat(), 2);
        let detail = error["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("'{field}'")), "{args:?}: {detail}");
    }
    let list =
        ["--add-label", "a", "--remove-label", "b", "--add-link", "k=u", "--remove-link", "v"];
    place.ok(&[&["issues", "edit", &id], &list[..]].concat());
}

#[test]
fn links_are_taken_away_by_url_or_as_they_are() {
    let place = Place::with_list();
    let links = ["a=1", "b=2", "c=3", "d=2"].map(|link| ["--links", link]).concat();
    place.create(&[&["One"], &links[..]].concat());
    let kinds = |args: &[&str]| -> Vec<String> {
        let issue = place.json(&[&["issues", "edit", "T-0001"], args].concat());
        let links = issue["links"].as_array().unwrap();
        links.iter().map(|link| link["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&["--remove-link", "nothing"]), ["a", "b", "c", "d"]);
    assert_eq!(kinds(&["--remove-link", "{\"url\": \"1\", \"kind\": \"a\"}"]), ["b", "c", "d"]);
    assert_eq!(kinds(&["--remove-link", "b=2", "--add-link", "e=5"]), ["c", "d", "e"]);
    assert_eq!(kinds(&["--remove-link", "2", "--remove-link", "3"]), ["e"]);
}

#[test]
fn blockers_are_added_and_taken_away_in_one_edit() {
    let place = Place::with_list();
    let ids = ["One", "Two", "Three"].map(|title| place.create(&[title]));
    place.ok(&["issues", "block", "T-0001", "T-0002"]);
    let edit = ["--remove-blocked-by", "T-0002", "--add-blocked-by", "T-0003"];
    let issue = place.json(&[&["issues", "edit", "T-0001"], &edit[..]].concat());
    assert_eq!(issue["blocked_by"], json!([ids[2]]));
}

#[test]
fn a_ruling_that_changes_nothing_says_so() {
    let place = Place::with_list();
    place.create(&["One"]);
    let noted = |command| {
        let answer = place.run(&["issues", command, "T-0001"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.stdout.starts_with("T-0001  "), "{answer:?}");
        answer.stderr
    };
    assert_eq!(noted("reopen"), "T-0001: unchanged\n");
    for command in ["done", "cancel"] {
        assert_eq!(noted(command), "");
        assert_eq!(noted(command), "T-0001: unchanged\n");
    }
    assert_eq!(place.run(&["issues", "cancel", "T-0001", "-q"]).stderr, "");
    place.ok(&["issues", "edit", "T-0001", "--state", "blocked"]);
    place.error(&["issues", "reopen", "T-0001"], 7);
}

#[test]
fn a_number_never_means_an_issue_whose_random_id_goes_on_from_it() {
    let place = Place::with_file(
        "{\"id\":\"T-95saqmbk48\",\"identifier\":\"T-0001\",\"title\":\"a\",\"state\":\"todo\"}\n",
    );
    for number in ["T-9", "T-95"] {
        assert_eq!(place.error(&["issues", "done", number], 3)["error"], "not_found");
    }
    place.ok(&["issues", "show", "T-95s"]);
}

#[test]
fn edits_that_change_nothing_leave_a_new_issue_as_it_is() {
    let place = Place::with_list();
    place.create(&["first"]);
    place.create(&["second", "--labels", "q", "--blocked-by", "T-0001"]);
    let before = place.json(&["issues", "show", "T-0002"]);
    place.ok(&["issues", "edit", "T-0002", "--add-label", "q"]);
    place.ok(&["issues", "block", "T-0002", "T-0001"]);
    place.ok(&["issues", "edit", "T-0002", "--remove-acceptance", "nothing"]);
    assert_eq!(place.json(&["issues", "show", "T-0002"]), before);
}
