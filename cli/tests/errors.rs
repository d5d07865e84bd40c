//! Exit codes and error objects.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use common::{Place, record};

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let place = Place::with_list();
    for args in [
        &["issues", "lst"][..],
        &["issues", "create"],
        &["issues", "create", "One", "--priority", "9"],
        &["issues", "create", "One", "--field", "x=text"],
        &["issues", "create", "One", "--links", "nothing"],
        &["issues", "edit", "T-0001"],
        &["issues", "list", "--limit", "many"],
        &["issues", "list", "--lock-timeout", "-1"],
    ] {
        assert_eq!(place.error(args, 2)["error"], "usage", "{args:?}");
    }
    let answer = place.run(&["issues", "lst"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    assert!(answer.stderr.starts_with("error: "), "{}", answer.stderr);
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::new();
    assert!(place.ok(&["--help"]).contains("Exit codes"));
    assert!(place.ok(&["issues", "create", "--help"]).contains("Examples:"));
    assert!(place.ok(&["--version"]).starts_with("x0x "));
}

#[test]
fn what_is_not_there_is_not_found() {
    let place = Place::new();
    assert_eq!(place.error(&["issues", "list"], 3)["error"], "no_list");
    place.ok(&["init"]);
    assert_eq!(place.error(&["issues", "show", "nope"], 3)["error"], "not_found");
    assert_eq!(place.error(&["issues", "list", "--list", "other"], 3)["error"], "unknown_list");
    assert_eq!(
        place.error(&["issues", "create", "One", "--description", "@no"], 3)["error"],
        "not_found"
    );
    let answer = place.run(&["issues", "show", "nope"]);
    assert!(answer.stderr.contains("\nhint: "), "{}", answer.stderr);
}

#[test]
fn an_ambiguous_name_lists_what_it_could_mean() {
    let place =
        Place::with_file(&[record("T-10", "a", "todo"), record("T-11", "b", "todo")].concat());
    let error = place.error(&["issues", "show", "T-1"], 7);
    assert_eq!(error["candidates"], serde_json::json!(["T-10", "T-11"]));
}

#[test]
fn a_value_that_a_field_cannot_have_is_invalid() {
    let place = Place::with_list();
    let long = "x".repeat(2_000);
    for args in [
        &["issues", "create", &long][..],
        &["issues", "create", "One", "--state", "wont_fix"],
        &["issues", "create", "One", "--identifier", "a b"],
        &["issues", "create", "One", "--field", "id=\"x\""],
    ] {
        assert_eq!(place.error(args, 7)["error"], "invalid", "{args:?}");
    }
}

#[test]
fn bad_lines_are_named_and_nothing_is_imported() {
    let place = Place::new();
    place.write_jsonl(&(record("T-1", "a", "todo") + "{\"id\":\"T-2\"}\n<<<<<<< HEAD\nnot json\n"));
    place.ok(&["init"]);
    let error = place.error(&["issues", "import"], 7);
    assert_eq!(error["error"], "bad_lines");
    let lines: Vec<u64> =
        error["problems"].as_array().unwrap().iter().map(|p| p["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4]);
    let first = &error["problems"][0];
    assert!(first["file"].is_string() && first["column"].is_u64() && first["reason"].is_string());
    assert!(common::names(&place.json(&["issues", "list"])).is_empty());
    let answer = place.run(&["issues", "import", "--keep-going"]);
    assert_eq!(answer.code, 7);
    assert!(answer.stdout.contains("1 created"), "{}", answer.stdout);
    assert!(answer.stderr.contains("issues.jsonl:3:1:"), "{}", answer.stderr);
    assert_eq!(common::names(&place.json(&["issues", "list"])), ["T-1"]);
    let error = place.error(&["issues", "export", "--canonical"], 7);
    assert!(error["detail"].as_str().unwrap().contains("would be lost"), "{error}");
}

#[test]
fn validate_reads_the_file_and_needs_no_list() {
    let place = Place::new();
    let again = record("T-1", "again", "todo");
    place.write_jsonl(&(record("T-1", "a", "todo") + "{}\n" + &again));
    let answer = place.run(&["issues", "validate", "issues/issues.jsonl", "--json"]);
    assert_eq!(answer.code, 7);
    let problems: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let lines: Vec<u64> = problems["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 2, 3]);
    assert_eq!(problems["records"], 1);
    assert!(problems.get("hint").is_none(), "{problems}");
    let answer = place.run(&["issues", "validate", "issues/issues.jsonl"]);
    assert!(answer.stdout.contains("issues/issues.jsonl:3:1: "), "{}", answer.stdout);
    place.write_jsonl(&record("T-1", "a", "todo"));
    let good = place.json(&["issues", "validate", "issues/issues.jsonl"]);
    assert_eq!(good, serde_json::json!({"records": 1, "problems": []}));
    assert!(!place.data().exists());
}

#[test]
fn a_key_that_others_may_read_is_an_error_with_its_cause() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_list();
    let key = place.data().join("agent.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(place.error(&["agent"], 1)["error"], "identity");
}

#[test]
fn a_bound_file_that_is_not_there_yet_is_told_with_who_writes_it() {
    let place = Place::with_list();
    for command in ["import", "validate"] {
        let error = place.error(&["issues", command], 3);
        assert_eq!(error["error"], "not_found");
        assert!(error["detail"].as_str().unwrap().contains(".x0x.toml names, is not there yet"));
        assert_eq!(error["hint"], "`x0x issues export` writes it");
    }
    let named = place.error(&["issues", "import", "issues/issues.jsonl"], 3);
    assert!(named["hint"].as_str().unwrap().contains("check the path"), "{named}");
    let clone = Place::new();
    std::fs::copy(place.repo().join(".x0x.toml"), clone.repo().join(".x0x.toml")).unwrap();
    let error = clone.error(&["issues", "import"], 3);
    assert!(error["hint"].as_str().unwrap().starts_with("run `x0x init` first"), "{error}");
    clone.ok(&["init"]);
    clone.ok(&["issues", "export"]);
    clone.ok(&["issues", "import"]);
}

#[test]
fn an_array_in_the_place_of_lines_is_told_once() {
    let place = Place::with_list();
    place.write_jsonl("\u{feff}\n  [\n  {\n    \"id\": \"T-1\"\n  }\n]\n");
    let error = place.error(&["issues", "import"], 7);
    assert_eq!(error["error"], "bad_lines");
    assert!(error["problems"].as_array().unwrap().len() > 1, "{error}");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("one object a line: `jq -c '.[]' "), "{hint}");
    for args in [&["issues", "import"][..], &["issues", "import", "--keep-going"]] {
        let answer = place.run(args);
        assert_eq!(answer.code, 7);
        assert_eq!(answer.stderr.matches("hint: ").count(), 1, "{answer:?}");
        assert!(answer.stderr.contains("jq -c"), "{answer:?}");
    }
    let answer = place.run(&["issues", "validate", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(object["hint"].as_str().unwrap().contains("jq -c"), "{object}");
    assert!(place.run(&["issues", "validate"]).stderr.contains("jq -c"));
    place.write_jsonl("{\n \"id\": [1]\n}\n");
    assert!(!place.error(&["issues", "import"], 7)["hint"].as_str().unwrap().contains("jq"));
}

#[test]
fn a_command_of_another_tool_is_answered_with_ours() {
    let place = Place::with_list();
    for (args, ours) in [
        (&["issues", "close", "T-0001"][..], "`x0x issues done ID`"),
        (&["issues", "remove", "T-0001"], "`x0x issues edit ID --deleted-at now`"),
        (&["create", "One"], "`x0x issues create`"),
    ] {
        let answer = place.run(args);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
        assert!(answer.stderr.ends_with(&format!("\nhint: {ours}\n")), "{}", answer.stderr);
        let error = place.error(args, 2);
        assert_eq!(error["hint"], ours);
        assert!(error["detail"].as_str().unwrap().starts_with("unrecognized subcommand '"));
    }
    assert!(!place.run(&["issues", "history"]).stderr.contains("hint:"));
}
