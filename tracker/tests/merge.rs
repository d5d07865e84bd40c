//! Merging versions of the file without a task list, as git asks a merge driver to.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::{List, exchange, record};
use x0x_tracker::interface::{FieldChange, ListChange, Patch, Tracker};
use x0x_tracker::jsonl::merge::{Merged, Side, merge};
use x0x_tracker::jsonl::resolve::resolve;

const DAY_2: (&str, &str) = ("updated_at", "\"2026-01-02T00:00:00Z\"");
const DAY_3: (&str, &str) = ("updated_at", "\"2026-01-03T00:00:00Z\"");

fn merged(base: &str, ours: &str, theirs: &str) -> (String, Vec<(String, Vec<String>)>) {
    let Merged { text, disputed, .. } =
        merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).unwrap();
    (String::from_utf8(text).unwrap(), disputed)
}

fn field(file: &str, at: usize, name: &str) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(file.lines().nth(at).unwrap()).unwrap()[name].clone()
}

#[test]
fn different_fields_and_elements_of_one_record_merge() {
    let base = record("A-1", &[]);
    let ours = record("A-1", &[("title", "\"ours\""), ("labels", "[\"a\"]"), DAY_2]);
    let theirs = record("A-1", &[("priority", "1"), ("labels", "[\"a\",\"b\",\"new\"]"), DAY_3]);
    let (file, disputed) = merged(&base, &ours, &theirs);
    assert_eq!(disputed, []);
    assert_eq!(field(&file, 0, "title"), "ours");
    assert_eq!(field(&file, 0, "priority"), 1);
    assert_eq!(field(&file, 0, "labels"), serde_json::json!(["a", "new"]));
    assert_eq!(field(&file, 0, "updated_at"), "2026-01-03T00:00:00Z");
    assert_eq!(field(&file, 0, "conflicts"), serde_json::Value::Null);
}

#[test]
fn what_stands_under_conflicts_in_another_form_is_kept() {
    let with = |conflicts: &str, change: (&str, &str)| {
        record("A-1", &[("conflicts", conflicts), change, DAY_2])
    };
    for odd in ["{\"title\":\"see below\"}", "{\"title\": [ 1 ]}", "{}", "null", "\"none\"", "[1]"]
    {
        let (base, theirs) = (with(odd, ("state", "\"todo\"")), with(odd, ("priority", "1")));
        let (file, disputed) = merged(&base, &base, &theirs);
        assert!(file.contains(&format!("\"conflicts\":{odd}")), "{file}");
        assert_eq!((field(&file, 0, "priority"), disputed), (1.into(), Vec::new()));
    }
    let values = |conflicts: &str| {
        let base = record("A-1", &[("conflicts", conflicts)]);
        let sides = ["\"x\"", "\"y\""].map(|title| with(conflicts, ("title", title)));
        let (file, disputed) = merged(&base, &sides[0], &sides[1]);
        assert_eq!(disputed, [("A-1".to_owned(), vec!["title".to_owned()])]);
        field(&file, 0, "conflicts")
    };
    for empty in ["null", "[]", "{}"] {
        assert_eq!(values(empty), serde_json::json!({"title": ["x", "y"]}));
    }
    let both = serde_json::json!({"state": ["done"], "title": ["x", "y", "z"]});
    assert_eq!(values("{\"state\":\"done\",\"title\":\"z\"}"), both);
}

#[test]
fn one_field_changed_on_both_sides_keeps_the_later_and_lists_both() {
    let base = record("A-1", &[]);
    let ours = record("A-1", &[("title", "\"ours\""), DAY_3]);
    let theirs = record("A-1", &[("title", "\"theirs\""), DAY_2]);
    for (ours, theirs) in [(&ours, &theirs), (&theirs, &ours)] {
        let (file, disputed) = merged(&base, ours, theirs);
        assert_eq!(disputed, [("A-1".to_owned(), vec!["title".to_owned()])]);
        assert_eq!(field(&file, 0, "title"), "ours");
        let both = serde_json::json!({"title": ["ours", "theirs"]});
        assert_eq!(field(&file, 0, "conflicts"), both);
    }
    let (file, _) = merged(&base, &ours, &theirs);
    let mut list = List::new(1);
    list.import(&base);
    list.import(&file);
    assert_eq!(list.field("A-1", "conflicts"), serde_json::json!({"title": ["theirs"]}));
    list.set("A-1", "title", "\"decided\"");
    assert!(!list.export().contains("conflicts"));
}

#[test]
fn what_each_side_says_of_claims_is_no_dispute() {
    let with = |claim: &str, day| record("A-1", &[("claim", claim), ("shard", claim), day]);
    let base = record("A-1", &[]);
    let (ours, theirs) = (with("{\"by\":\"us\"}", DAY_3), with("{\"by\":\"them\"}", DAY_2));
    for (ours, theirs) in [(&ours, &theirs), (&theirs, &ours)] {
        let (file, disputed) = merged(&base, ours, theirs);
        assert_eq!((field(&file, 0, "claim")["by"].as_str(), disputed), (Some("us"), Vec::new()));
        assert_eq!(field(&file, 0, "conflicts"), serde_json::Value::Null);
    }
}

#[test]
fn the_value_that_a_merge_gave_up_stays_listed_where_it_was_shown() {
    let base = record("A-1", &[]);
    let mut list = List::new(1);
    list.import(&base);
    list.set("A-1", "title", "\"ours\"");
    let ours = list.export();
    let later = ("updated_at", "\"2999-01-03T00:00:00Z\"");
    let theirs = record("A-1", &[("title", "\"theirs\""), later]);
    let (file, _) = merged(&base, &ours, &theirs);
    list.import(&file);
    assert_eq!(list.field("A-1", "title"), "theirs");
    assert_eq!(list.field("A-1", "conflicts"), serde_json::json!({"title": ["ours"]}));
    // An older file that lists what is shown now brings no conflict back.
    list.set("A-1", "title", "\"ours\"");
    list.export();
    list.import(&file);
    assert_eq!(list.field("A-1", "title"), "ours");
    assert_eq!(list.field("A-1", "conflicts"), serde_json::Value::Null);
}

#[test]
fn a_conflict_that_one_side_settled_is_settled() {
    let listed = ("conflicts", "{\"title\":[\"x\",\"y\"]}");
    let base = record("A-1", &[listed]);
    let ours = record("A-1", &[listed, ("priority", "1")]);
    let theirs = record("A-1", &[("title", "\"decided\""), DAY_2]);
    for (ours, theirs) in [(&ours, &theirs), (&theirs, &ours)] {
        let (file, _) = merged(&base, ours, theirs);
        assert_eq!(field(&file, 0, "conflicts"), serde_json::Value::Null);
        assert_eq!(field(&file, 0, "title"), "decided");
    }
}

#[test]
fn a_listed_value_that_one_side_took_out_does_not_come_back() {
    let listed = |values: &str| record("A-1", &[("conflicts", &format!("{{\"title\":{values}}}"))]);
    let (base, ours) = (listed("[\"x\",\"y\"]"), listed("[\"x\",\"z\"]"));
    assert_eq!(merged(&base, &ours, &base).0, ours);
    assert_eq!(merged(&base, &base, &ours).0, ours);
    let theirs = listed("[\"x\"]");
    assert_eq!(merged(&base, &ours, &theirs).0, ours, "z is new, y is gone on both sides");
    let theirs = listed("[\"y\",\"w\"]");
    let (file, _) = merged(&base, &ours, &theirs);
    assert_eq!(field(&file, 0, "conflicts")["title"], serde_json::json!(["z", "w"]));
    let twice = listed("[\"x\",\"x\"]");
    assert_eq!(merged(&base, &twice, &twice).0, twice);
}

#[test]
fn records_that_either_side_added_are_all_there_each_once() {
    let base = record("A-1", &[]) + &record("A-2", &[]);
    let ours = record("A-1", &[]) + &record("B-1", &[]) + &record("A-2", &[]);
    let theirs =
        record("C-0", &[]) + &record("A-1", &[]) + &record("C-1", &[]) + &record("A-2", &[]);
    let (file, _) = merged(&base, &ours, &theirs);
    let ids: Vec<_> = (0..5).map(|at| field(&file, at, "id")).collect();
    assert_eq!(ids, ["C-0", "A-1", "C-1", "B-1", "A-2"]);
    let both = record("N-1", &[]);
    assert_eq!(merged("", &both, &both).0, both, "added alike on both sides");
}

#[test]
fn a_record_is_removed_only_where_the_other_side_left_it_alone() {
    let base = record("A-1", &[]) + &record("A-2", &[]);
    let edited = record("A-1", &[("title", "\"edited\""), DAY_2]);
    let without = record("A-2", &[]);
    assert_eq!(merged(&base, &without, &base).0, without);
    assert_eq!(merged(&base, &base, &without).0, without);
    let kept = edited.clone() + &without;
    assert_eq!(merged(&base, &kept, &without).0, kept);
    assert_eq!(merged(&base, &without, &kept).0.lines().count(), 2);
}

#[test]
fn our_layout_stays_where_nothing_was_merged_in() {
    let base = "{ \"id\" : \"A-1\" , \"title\" : \"caf\\u00e9\" , \"n\" : 1e3 }\r\n\r\n{\"id\":\"A-2\",\"title\":\"t\"}";
    assert_eq!(merged(base, base, base).0, base);
    let theirs = base.replace("\"t\"", "\"u\"");
    assert_eq!(merged(base, base, &theirs).0, theirs);
    let ours = base.replace("1e3", "2e3");
    let both = ours.replace("\"t\"", "\"u\"");
    assert_eq!(merged(base, &ours, &theirs).0, both);
}

#[test]
fn a_bad_line_stops_the_merge_and_is_named() {
    let good = record("A-1", &[]);
    let bad = good.clone() + "<<<<<<< ours\n";
    let error = merge(good.as_bytes(), good.as_bytes(), bad.as_bytes()).unwrap_err();
    assert_eq!((error.side, error.problems[0].line), (Side::Theirs, 2));
    let twice = good.clone() + &good;
    assert_eq!(merge(b"", twice.as_bytes(), b"").unwrap_err().side, Side::Ours);
}

#[test]
fn a_record_that_would_be_too_large_stops_the_merge() {
    let labels = |from: usize| {
        let all: Vec<String> = (from..from + 4_000).map(|n| format!("\"{n}\"")).collect();
        record("A-1", &[("labels", &format!("[{}]", all.join(",")))])
    };
    let error = merge(b"", labels(0).as_bytes(), labels(9_000).as_bytes()).unwrap_err();
    assert_eq!((error.side, error.problems[0].line), (Side::Ours, 1));
    assert!(error.problems[0].reason.contains("labels has 8000 elements"), "{error:?}");
}

#[derive(Clone, Debug)]
enum Act {
    Set(usize, &'static str, String),
    Labels(usize, Vec<String>, Vec<String>),
    Create(String),
}

fn act() -> impl Strategy<Value = Act> {
    let names = prop_oneof![Just("title"), Just("note"), Just("description")];
    let labels = || prop::collection::vec("[a-d]", 0..3);
    prop_oneof![
        3 => (0..3usize, names, "[a-c]{1,2}").prop_map(|(at, name, text)| Act::Set(at, name, text)),
        3 => (0..3usize, labels(), labels()).prop_map(|(at, add, out)| Act::Labels(at, add, out)),
        1 => "[a-c]{3}".prop_map(Act::Create),
    ]
}

fn perform(list: &mut List, act: &Act) {
    let quoted = |texts: &[String]| texts.iter().map(|t| format!("\"{t}\"")).collect();
    let (at, patch) = match act {
        Act::Create(title) => {
            list.create(title);
            return;
        }
        Act::Set(at, name, text) => (at, Patch::default().set_text(name, text)),
        Act::Labels(at, add, remove) => {
            let change = ListChange { add: quoted(add), remove: quoted(remove) };
            (at, Patch { changes: vec![("labels".to_owned(), FieldChange::List(change))] })
        }
    };
    list.tracker.edit(&format!("R-{at}"), &patch, None).unwrap();
}

/// Leaves the first edit of each issue's labels, and every other act.
fn net(acts: Vec<Act>) -> Vec<Act> {
    let mut seen = BTreeSet::new();
    let mut is_kept = |act: &Act| match act {
        Act::Labels(at, ..) => seen.insert(*at),
        Act::Set(..) | Act::Create(_) => true,
    };
    acts.into_iter().filter(|act| is_kept(act)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_files_says_what_merging_lists_says(
        ours in prop::collection::vec(act(), 0..6),
        theirs in prop::collection::vec(act(), 0..6),
    ) {
        let base: String = (0..3).map(|n| record(&format!("R-{n}"), &[])).collect();
        let mut a = List::new(1);
        let mut b = List::member_of(&mut a, 2);
        a.import(&base);
        exchange(&mut a, &mut b);
        b.import(&base);
        // A file says what the edits of a list came to, not that an element was added and taken out
        // again on the way, so each side edits each list once.
        net(ours).iter().for_each(|act| perform(&mut a, act));
        net(theirs).iter().for_each(|act| perform(&mut b, act));
        let (ours, theirs) = (a.export(), b.export());
        let (file, disputed) = merged(&base, &ours, &theirs);
        // What conflict markers with a base hold is merged to the same bytes.
        let markers =
            format!("<<<<<<< a\n{ours}||||||| o\n{base}=======\n{theirs}>>>>>>> b\n");
        let resolved = resolve(markers.as_bytes()).unwrap();
        prop_assert_eq!(resolved.text, file.as_bytes());
        prop_assert_eq!(&resolved.disputed, &disputed);
        exchange(&mut a, &mut b);
        let mesh = a.canonical();
        prop_assert_eq!(file.lines().count(), mesh.lines().count());
        let mut other = List::new(3);
        other.import(&file);
        let (files, mesh) = (by_id(&other.canonical()), by_id(&mesh));
        for (id, record) in &mesh {
            let fields = disputed.iter().find(|(other, _)| other == id);
            let fields = fields.map(|(_, fields)| fields.clone()).unwrap_or_default();
            for name in ["title", "note", "description", "labels", "state"] {
                if fields.iter().any(|field| field == name) {
                    prop_assert!(record["conflicts"].get(name).is_some(), "{} {}", id, name);
                    prop_assert!(files[id]["conflicts"].get(name).is_some(), "{} {}", id, name);
                } else {
                    prop_assert_eq!(members(&files[id][name]), members(&record[name]));
                }
            }
        }
    }
}

fn by_id(file: &str) -> std::collections::BTreeMap<String, serde_json::Value> {
    file.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| (record["id"].as_str().unwrap().to_owned(), record))
        .collect()
}

/// The elements of a list in any order, or the value as a set of one.
fn members(value: &serde_json::Value) -> BTreeSet<String> {
    match value {
        serde_json::Value::Array(list) => list.iter().map(ToString::to_string).collect(),
        other => BTreeSet::from([other.to_string()]),
    }
}
