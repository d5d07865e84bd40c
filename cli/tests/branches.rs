//! Two clones that work on one list, brought together by git: with the merge driver, by lines and
//! `merge --resolve`, and by `merge=union` and `merge --resolve`. Nothing may be lost on the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::{Place, record};
use serde_json::{Value, json};

const FILE: &str = "issues/issues.jsonl";

/// How git is told to merge the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Driver,
    Union,
    /// With conflict markers in this style.
    Markers(&'static str),
}

const WAYS: [Way; 5] =
    [Way::Driver, Way::Union, Way::Markers("merge"), Way::Markers("diff3"), Way::Markers("zdiff3")];

/// Which of git's commands brings the branches together.
const ACTS: [&str; 3] = ["merge", "rebase", "cherry-pick"];

impl Way {
    /// Tells whether a merge knows what both sides come from.
    fn has_base(self) -> bool {
        !matches!(self, Way::Union | Way::Markers("merge"))
    }

    fn set_up(self, place: &Place) {
        match self {
            Way::Driver => drop(place.ok(&["init", "--merge-driver"])),
            Way::Union => {
                fs::write(place.repo().join(".gitattributes"), format!("{FILE} merge=union\n"))
                    .unwrap();
            }
            Way::Markers(style) => {
                place.git(&["config", "merge.conflictStyle", style]);
            }
        }
    }
}

/// Two clones of one repository, each with work of its own committed, on branch `main`.
fn clones(way: Way) -> (Place, Place) {
    let lines: String = (10..30).map(|n| record(&format!("T-{n}"), "title", "todo")).collect();
    let ours = Place::with_committed(&lines);
    way.set_up(&ours);
    ours.git(&["add", "-A"]);
    ours.try_git(&["commit", "-qm", "attributes"]);
    let theirs = Place::clone_of(&ours);
    theirs.ok(&["issues", "import"]);
    let both = |ours_args: &[&str], theirs_args: &[&str]| {
        ours.ok(&[&["issues"], ours_args].concat());
        theirs.ok(&[&["issues"], theirs_args].concat());
    };
    both(&["edit", "T-12", "--title", "retitled"], &["edit", "T-12", "--priority", "1"]);
    both(&["comment", "T-14", "said by us"], &["comment", "T-14", "said by them"]);
    both(&["edit", "T-16", "--add-label", "ours"], &["edit", "T-16", "--add-label", "theirs"]);
    both(&["edit", "T-18", "--title", "by us"], &["edit", "T-18", "--title", "by them"]);
    both(&["done", "T-20"], &["done", "T-21"]);
    both(&["create", "Made by us"], &["create", "Made by them"]);
    both(&["edit", "T-25", "--assignee", "ann"], &["edit", "T-27", "--assignee", "ben"]);
    for place in [&ours, &theirs] {
        place.ok(&["issues", "export"]);
    }
    move_line(&theirs, "T-25", "T-10");
    for place in [&ours, &theirs] {
        place.git(&["commit", "-qam", "work"]);
    }
    ours.git(&["fetch", "-q", theirs.repo().to_str().unwrap(), "main:theirs"]);
    (ours, theirs)
}

/// Puts the line of one issue before that of another.
fn move_line(place: &Place, id: &str, before: &str) {
    let text = place.read_jsonl();
    let is_of = |line: &str, id: &str| line.contains(&format!("\"id\":\"{id}\""));
    let mut lines: Vec<&str> = text.lines().collect();
    let from = lines.iter().position(|line| is_of(line, id)).unwrap();
    let line = lines.remove(from);
    let to = lines.iter().position(|line| is_of(line, before)).unwrap();
    lines.insert(to, line);
    place.write_jsonl(&(lines.join("\n") + "\n"));
}

/// Brings theirs into ours, resolving what git leaves; returns the file.
fn bring_together(ours: &Place, way: Way, act: &str) -> String {
    let args: &[&str] = if act == "merge" { &["merge", "-q", "--no-edit"] } else { &[act] };
    let answer = ours.try_git(&[args, &["theirs"]].concat());
    match way {
        Way::Driver | Way::Union => assert_eq!(answer.code, 0, "{answer:?}"),
        Way::Markers(_) => {
            assert_ne!(answer.code, 0, "the branches touch each other");
            assert_eq!(ours.error(&["issues", "import"], 7)["error"], "bad_lines");
            assert_eq!(ours.error(&["issues", "sync"], 7)["error"], "bad_lines");
        }
    }
    if way != Way::Driver {
        let report = ours.json(&["issues", "merge", "--resolve", FILE]);
        assert_eq!(report["collisions"], json!([]));
        assert_eq!(report["removed"], json!([]));
        ours.git(&["add", FILE]);
    }
    match (way, act) {
        (Way::Driver, _) => {}
        (Way::Union, _) => drop(ours.git(&["commit", "-qm", "one line for each issue"])),
        (_, "merge") => drop(ours.git(&["commit", "-q", "--no-edit"])),
        (_, act) => drop(ours.git(&[act, "--continue"])),
    }
    ours.read_jsonl()
}

fn records(file: &str) -> BTreeMap<String, Value> {
    let parsed = file.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.map(|record| (record["id"].as_str().unwrap().to_owned(), record)).collect()
}

/// The values of a field: that which is shown, and those listed beside it.
fn values(record: &Value, name: &str) -> BTreeSet<String> {
    let listed = record["conflicts"][name].as_array().cloned().unwrap_or_default();
    listed.iter().chain([&record[name]]).map(ToString::to_string).collect()
}

fn assert_nothing_is_lost(file: &str, way: Way) {
    let all = records(file);
    assert_eq!(all.len(), 22, "{way:?}");
    assert_eq!(file.lines().count(), 22, "each once: {way:?}");
    let titles: Vec<&str> = all.values().map(|record| record["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"Made by us") && titles.contains(&"Made by them"), "{way:?}");
    let comments: BTreeSet<&str> = all["T-14"]["comments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|comment| comment["body"].as_str().unwrap())
        .collect();
    assert_eq!(comments, BTreeSet::from(["said by us", "said by them"]), "{way:?}");
    let labels = all["T-16"]["labels"].as_array().unwrap();
    assert!(labels.contains(&json!("ours")) && labels.contains(&json!("theirs")), "{way:?}");
    for (id, name, value) in [
        ("T-12", "title", json!("retitled")),
        ("T-12", "priority", json!(1)),
        ("T-20", "state", json!("done")),
        ("T-21", "state", json!("done")),
        ("T-25", "assignee", json!("ann")),
        ("T-27", "assignee", json!("ben")),
    ] {
        let (record, value) = (&all[id], value);
        assert!(values(record, name).contains(&value.to_string()), "{way:?} {record}");
        // Where the base is known, a field that one side changed is no conflict.
        if way.has_base() {
            assert_eq!((&record[name], &record["conflicts"]), (&value, &json!(null)), "{way:?}");
        }
    }
    let both = BTreeSet::from(["\"by them\"".to_owned(), "\"by us\"".to_owned()]);
    let disputed = values(&all["T-18"], "title");
    assert_eq!(disputed, both, "{way:?}");
    assert_eq!(all["T-18"]["title"], "by them", "the later one");
}

#[test]
fn nothing_is_lost_whatever_brings_two_branches_together() {
    for way in WAYS {
        for act in ACTS {
            let (ours, _theirs) = clones(way);
            let before = ours.read_jsonl();
            let file = bring_together(&ours, way, act);
            assert_nothing_is_lost(&file, way);
            ours.ok(&["issues", "validate"]);
            assert_small(&before, &file, way);
            ours.ok(&["issues", "sync"]);
            assert_eq!(
                ours.json(&["issues", "show", "T-12"])["title"],
                "retitled",
                "{way:?} {act}"
            );
            let list = ours.json(&["issues", "list"]);
            assert_eq!(list["issues"].as_array().unwrap().len(), 22);
        }
    }
}

/// Only lines of issues that the other side touched differ from what was there before.
fn assert_small(before: &str, after: &str, way: Way) {
    let touched = ["T-12", "T-14", "T-16", "T-18", "T-21", "T-25", "T-27"];
    let (before, old) = (before.lines().collect::<BTreeSet<_>>(), records(before));
    for line in after.lines().filter(|line| !before.contains(line)) {
        let record: Value = serde_json::from_str(line).unwrap();
        let id = record["id"].as_str().unwrap();
        let is_theirs = touched.contains(&id) || !old.contains_key(id);
        // Without a base, what stands between the same markers may list values of both sides.
        assert!(is_theirs || !way.has_base(), "{way:?} {line}");
    }
    let is_untouched = |id: &&String| ["T-10", "T-11", "T-29"].contains(&id.as_str());
    for id in old.keys().filter(is_untouched) {
        let line = after.lines().find(|line| line.contains(&format!("\"id\":\"{id}\""))).unwrap();
        assert!(before.contains(line), "{way:?} {line}");
    }
}

#[test]
fn the_driver_and_a_resolved_diff3_say_the_same() {
    for style in ["diff3", "zdiff3"] {
        let mut results = Vec::new();
        for way in [Way::Driver, Way::Markers(style)] {
            let (ours, _theirs) = clones(way);
            let all = records(&bring_together(&ours, way, "merge"));
            let told = all.into_iter().filter(|(id, _)| id.len() == 4).map(|(id, mut record)| {
                // Times and the agents' names differ from run to run.
                record["updated_at"] = json!(null);
                record["comments"] = json!(record["comments"].as_array().map(Vec::len));
                (id, record)
            });
            results.push(told.collect::<BTreeMap<_, _>>());
        }
        assert_eq!(results[0], results[1]);
    }
}

#[test]
fn both_values_of_a_field_stay_listed_until_somebody_decides() {
    for way in WAYS {
        let (ours, theirs) = clones(way);
        let file = bring_together(&ours, way, "merge");
        theirs.write_jsonl(&file);
        for place in [&ours, &theirs] {
            place.ok(&["issues", "sync"]);
            let all = records(&place.read_jsonl());
            assert_eq!(values(&all["T-18"], "title").len(), 2, "{way:?} {}", all["T-18"]);
            place.ok(&["issues", "edit", "T-18", "--title", "decided"]);
            place.ok(&["issues", "sync"]);
            let all = records(&place.read_jsonl());
            assert_eq!(all["T-18"]["conflicts"], json!(null), "{way:?}");
        }
        // What a side did itself it knows to be no conflict, whatever a merge without a base said.
        let all = records(&ours.read_jsonl());
        for id in ["T-20", "T-25"] {
            assert_eq!(all[id]["conflicts"], json!(null), "{way:?} {}", all[id]);
        }
    }
}

#[test]
fn repeated_lines_of_a_union_merge_are_reported_until_they_are_resolved() {
    let (ours, _theirs) = clones(Way::Union);
    ours.git(&["merge", "-q", "--no-edit", "theirs"]);
    let error = ours.error(&["issues", "import"], 7);
    let reason = error["problems"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("stands on line"), "{reason}");
    let before = ours.read_jsonl();
    assert_eq!(ours.error(&["issues", "sync", "--commit"], 7)["error"], "bad_lines");
    assert_eq!(ours.read_jsonl(), before, "nothing is exported over it");
    ours.ok(&["issues", "merge", "--resolve", FILE]);
    ours.ok(&["issues", "sync", "--commit"]);
}
