//! Import and export: the same bytes back, one line for one edit, and no edit lost on either side.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;

use common::{Place, record};
use serde_json::json;

/// Records as other programs spell them.
const STYLES: [&str; 7] = [
    "{\"id\": \"T-1\", \"title\": \"spaces\", \"state\": \"todo\"}\n{\"id\": \"T-2\", \"title\": \"b\"}\n",
    "{\"title\":\"other order\",\"state\":\"todo\",\"id\":\"T-1\"}\n\n{\"id\":\"T-2\",\"title\":\"b\"}\n",
    "{\"id\":\"T-1\",\"title\":\"caf\\u00e9 \\ud83d\\ude00 \\/\"}\n{\"id\":\"T-2\",\"title\":\"b\"}\n",
    "{\"id\":\"T-1\",\"title\":\"café 😀\"}\r\n{\"id\":\"T-2\",\"title\":\"b\"}\r\n",
    "{\"id\":\"T-1\",\"title\":\"a\"}\n{\"id\":\"T-2\",\"title\":\"no newline at the end\"}",
    "{\"id\":\"T-1\",\"title\":\"a\",\"n\":1e3,\"m\":12345678901234567890,\"f\":1.0,\"o\":{\"z\":[ ],\"a\":null}}\n{\"id\":\"T-2\",\"title\":\"b\"}\n",
    "\u{feff}{\"id\":\"T-1\",\"title\":\"a\"}\n \n{\"id\":\"T-2\",\"title\":\"b\"}\n",
];

#[test]
fn an_unedited_file_comes_back_byte_for_byte_and_untouched() {
    for style in STYLES {
        let place = Place::with_file(style);
        let changed = place.jsonl().metadata().unwrap().modified().unwrap();
        let report = place.json(&["issues", "export"]);
        assert_eq!(report["changed"], 0);
        assert_eq!(report["added"], 0);
        assert_eq!(place.read_jsonl(), style);
        assert_eq!(place.jsonl().metadata().unwrap().modified().unwrap(), changed);
        assert_eq!(place.ok(&["issues", "export", "--out", "-"]), style);
        let report = place.json(&["issues", "import"]);
        assert_eq!((&report["unchanged"], &report["edited"]), (&json!(2), &json!([])));
    }
}

#[test]
fn an_edit_changes_its_own_line_and_keeps_its_style() {
    for style in STYLES {
        let place = Place::with_file(style);
        place.ok(&["issues", "edit", "T-1", "--title", "edited é"]);
        assert_eq!(place.json(&["issues", "export"])["changed"], 1);
        let after = place.read_jsonl();
        let differing: Vec<(&str, &str)> =
            style.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(differing.len(), 1, "{after}");
        assert_eq!(style.lines().count(), after.lines().count());
        assert_eq!(style.ends_with('\n'), after.ends_with('\n'));
        assert_eq!(style.matches("\r\n").count(), after.matches("\r\n").count());
        let (before, line) = differing[0];
        assert_eq!(before.contains("\": \""), line.contains("\": \""), "{line}");
        assert_eq!(before.contains("1e3"), line.contains("1e3"), "{line}");
        assert_eq!(line.contains("edited \\u00e9"), before.contains("\\u00e9"), "{line}");
        place.json(&["issues", "export"]);
        assert_eq!(place.read_jsonl(), after);
    }
}

#[test]
fn a_new_issue_adds_one_line() {
    let place = Place::with_file(STYLES[4]);
    place.create(&["New"]);
    let report = place.json(&["issues", "export"]);
    assert_eq!(report["added"], 1);
    assert_eq!(place.read_jsonl().lines().count(), 3);
    let answer = place.run(&["issues", "export"]);
    assert!(answer.stderr.contains("up to date"), "{}", answer.stderr);
    assert_eq!(answer.stdout, "");
}

#[test]
fn a_hand_edit_is_imported_and_never_exported_over() {
    let place =
        Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "todo")].concat());
    place.ok(&["issues", "edit", "T-2", "--priority", "1"]);
    let edited = place.read_jsonl().replace("\"title\":\"a\"", "\"title\":\"by hand\"");
    place.write_jsonl(&edited);
    let error = place.error(&["issues", "export"], 4);
    assert_eq!(error["error"], "not_imported");
    assert_eq!(place.read_jsonl(), edited, "nothing was written");
    let report = place.json(&["issues", "import", "--dry-run"]);
    assert_eq!(report["edited"], json!([{"issue": "T-1", "fields": ["title"]}]));
    assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "a");
    place.ok(&["issues", "import"]);
    place.ok(&["issues", "export"]);
    assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "by hand");
    assert!(place.read_jsonl().contains("\"priority\":1"));
}

#[test]
fn an_old_checkout_edits_nothing_and_says_why() {
    let old = [record("T-1", "a", "todo"), record("T-2", "b", "todo")].concat();
    let place = Place::with_file(&old);
    place.ok(&["issues", "edit", "T-1", "--title", "newer"]);
    place.ok(&["issues", "done", "T-2"]);
    place.ok(&["issues", "export"]);
    let new = place.read_jsonl();
    place.write_jsonl(&old);
    let answer = place.run(&["issues", "import"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("0 edited"), "{}", answer.stdout);
    assert!(answer.stdout.contains("--take-file"), "{}", answer.stdout);
    assert!(answer.stdout.contains("T-1 title: file a, kept newer"), "{}", answer.stdout);
    assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "newer");
    place.ok(&["issues", "export"]);
    assert_eq!(place.read_jsonl(), new);
    place.write_jsonl(&old);
    let report = place.json(&["issues", "import", "--take-file"]);
    assert_eq!(report["edited"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(place.json(&["issues", "show", "T-1"])["title"], "a");
}

#[test]
fn a_missing_line_is_kept_unless_pruned() {
    let (one, two) = (record("T-1", "a", "todo"), record("T-2", "b", "todo"));
    let place = Place::with_file(&(one.clone() + &two));
    place.write_jsonl(&one);
    let report = place.json(&["issues", "import", "--dry-run"]);
    assert_eq!(report["missing"], json!(["T-2"]));
    let answer = place.run(&["issues", "import", "--prune", "--dry-run"]);
    assert!(answer.stdout.contains("nothing was written"), "{}", answer.stdout);
    let report = place.json(&["issues", "import", "--prune"]);
    assert_eq!(report["pruned"], json!(["T-2"]));
    assert_eq!(common::names(&place.json(&["issues", "list"])), ["T-1"]);
}

#[test]
fn long_lists_are_cut_for_people_only() {
    let lines: String = (10..30).map(|n| record(&format!("T-{n}"), "x", "todo")).collect();
    let place = Place::new();
    place.write_jsonl(&lines);
    place.ok(&["init"]);
    let short = place.ok(&["issues", "import", "--dry-run"]);
    assert!(short.contains("and 10 more") && !short.contains("T-29"), "{short}");
    assert!(place.ok(&["issues", "import", "--dry-run", "-v"]).contains("T-29"));
    let report = place.json(&["issues", "import"]);
    assert_eq!(report["created"].as_array().unwrap().len(), 20);
}

#[test]
fn canonical_export_orders_the_bound_file_too() {
    let place = Place::with_file(STYLES[1]);
    let canonical = place.ok(&["issues", "export", "--canonical", "--out", "-"]);
    place.ok(&["issues", "export", "--canonical"]);
    assert_eq!(place.read_jsonl(), canonical);
    let report = place.json(&["issues", "import"]);
    assert_eq!((&report["edited"], &report["unchanged"]), (&json!([]), &json!(2)));
    place.ok(&["issues", "edit", "T-1", "--title", "later"]);
    place.ok(&["issues", "export"]);
    assert!(place.read_jsonl().contains("later"));
}

#[test]
fn elsewhere_keeps_no_book() {
    let place = Place::with_file(STYLES[0]);
    fs::write(place.repo().join("other.jsonl"), "anything").unwrap();
    place.ok(&["issues", "export", "--out", "other.jsonl"]);
    assert_eq!(fs::read_to_string(place.repo().join("other.jsonl")).unwrap(), STYLES[0]);
    place.write_jsonl("");
    let error = place.error(&["issues", "export", "--out", "issues/issues.jsonl"], 4);
    assert_eq!(error["error"], "not_imported");
    fs::remove_file(place.jsonl()).unwrap();
    place.ok(&["issues", "export"]);
    assert_eq!(place.read_jsonl(), STYLES[0]);
}

#[test]
fn a_file_without_a_binding_is_not_exported_over_either() {
    let place = Place::with_list();
    let elsewhere = place.dir().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let run = |args: &[&str]| {
        common::Answer::of(place.command(args).current_dir(&elsewhere).output().unwrap())
    };
    let file = elsewhere.join("f.jsonl");
    fs::write(&file, STYLES[0]).unwrap();
    assert_eq!(run(&["issues", "import", "f.jsonl"]).code, 0);
    assert_eq!(run(&["issues", "export", "--out", "f.jsonl"]).code, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), STYLES[0]);
    fs::write(&file, STYLES[1]).unwrap();
    assert_eq!(run(&["issues", "export", "--out", "f.jsonl"]).code, 4);
}

#[test]
fn quiet_import_and_export_tell_problems_alone() {
    let place = Place::with_list();
    place.write_jsonl(&record("T-1", "a", "todo"));
    for command in ["import", "export"] {
        let answer = place.run(&["issues", command, "--quiet"]);
        assert_eq!((answer.code, answer.stdout, answer.stderr), (0, String::new(), String::new()));
    }
    assert_eq!(place.json(&["issues", "import", "--quiet"])["records"], 1);
    assert_eq!(place.json(&["issues", "export", "--quiet"])["records"], 1);
    place.write_jsonl(&(record("T-1", "a", "todo") + "not json\n"));
    let answer = place.run(&["issues", "import", "--quiet", "--keep-going"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (7, ""));
    assert!(answer.stderr.contains("issues.jsonl:2:1: "), "{}", answer.stderr);
}

#[test]
fn what_is_no_file_is_written_into_and_never_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let place = Place::with_file(&record("T-1", "one", "todo"));
    let pipe = place.repo().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    place.ok(&["issues", "export", "--out", pipe.to_str().unwrap()]);
    assert_eq!(reader.join().unwrap(), place.read_jsonl());
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
}
