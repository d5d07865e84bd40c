//! The three-way import: what a file says, against what it said before and what the list says now.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::ops::ControlFlow;

use support::{List, record};
use x0x_tracker::interface::error::Fault;
use x0x_tracker::interface::{Filter, ImportOptions, Patch, Ruling, Shown, Tracker};
use x0x_tracker::journal::charter::Role;

const DAY_2: (&str, &str) = ("updated_at", "\"2026-01-02T00:00:00Z\"");
const DAY_3: (&str, &str) = ("updated_at", "\"2026-01-03T00:00:00Z\"");

fn take_file() -> ImportOptions {
    ImportOptions { take_file: true, ..ImportOptions::default() }
}

#[test]
fn a_hand_edit_becomes_an_edit_of_that_field_alone() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    let report = list.import(&record("A-1", &[("title", "\"by hand\"")]));
    assert_eq!(report.edited, [("A-1".to_owned(), vec!["title".to_owned()])]);
    assert_eq!(list.field("A-1", "title"), "by hand");
    let date = list.field("A-1", "updated_at");
    assert_ne!(date, "2026-01-01T00:00:00Z", "a hand edit that kept its date is dated now");
}

#[test]
fn a_newer_line_keeps_its_date_so_that_nothing_is_left_to_export() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    let pulled = record("A-1", &[("title", "\"pulled\""), DAY_2]);
    list.import(&pulled);
    assert_eq!(list.export(), pulled);
}

#[test]
fn a_checkout_of_an_older_commit_and_back_makes_no_edit() {
    let (old, new) = (record("A-1", &[]), record("A-1", &[("title", "\"new\""), DAY_2]));
    let mut list = List::new(1);
    list.import(&old);
    list.import(&new);
    let commits = list.commits();
    let report = list.import(&old);
    assert_eq!(report.edited, []);
    assert_eq!(report.old_news, [("A-1".to_owned(), "title".to_owned(), "\"title\"".to_owned())]);
    let report = list.import(&new);
    assert_eq!((report.edited, report.old_news), (vec![], vec![]));
    assert_eq!(list.commits(), commits);
    assert_eq!(list.field("A-1", "title"), "new");
}

#[test]
fn a_fresh_store_is_not_undone_by_an_older_commit_that_it_never_saw() {
    let (old, new) = (
        record("A-1", &[("labels", "[\"a\",\"gone\"]"), ("was", "1")]),
        record("A-1", &[("title", "\"new\""), DAY_2]),
    );
    let mut list = List::new(1);
    list.import(&new);
    let commits = list.commits();
    let report = list.import(&old);
    assert_eq!(report.edited, []);
    let fields: Vec<&str> = report.old_news.iter().map(|(_, field, _)| field.as_str()).collect();
    assert_eq!(fields, ["labels", "title", "was"]);
    assert_eq!(list.export(), old, "nor is what it never saw written over");
    assert_eq!(list.import(&new).edited, []);
    assert_eq!(list.commits(), commits);
}

#[test]
fn export_renews_a_line_that_held_old_news() {
    let (old, new) = (record("A-1", &[]), record("A-1", &[("title", "\"new\""), DAY_2]));
    let mut list = List::new(1);
    list.import(&old);
    list.import(&new);
    list.import(&old);
    assert_eq!(list.export(), new);
}

#[test]
fn take_file_forces_an_older_value() {
    let (old, new) = (record("A-1", &[]), record("A-1", &[("title", "\"new\""), DAY_2]));
    let mut list = List::new(1);
    list.import(&old);
    list.import(&new);
    list.import_with(&old, &take_file()).unwrap();
    assert_eq!(list.field("A-1", "title"), "title");
}

#[test]
fn take_file_also_works_on_a_line_that_was_imported_as_old_news() {
    let (old, new) = (record("A-1", &[]), record("A-1", &[("title", "\"new\""), DAY_2]));
    let mut list = List::new(1);
    list.import(&old);
    list.import(&new);
    assert_eq!(list.import(&old).old_news.len(), 1);
    let report = list.import_with(&old, &take_file()).unwrap();
    assert_eq!(report.edited.len(), 1);
    assert_eq!(list.field("A-1", "title"), "title");
}

#[test]
fn a_late_pull_does_not_undo_what_was_edited_here() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.set("A-1", "title", "\"here\"");
    let report = list.import(&record("A-1", &[("priority", "1"), DAY_2]));
    assert_eq!(report.edited, [("A-1".to_owned(), vec!["priority".to_owned()])]);
    assert_eq!(list.field("A-1", "title"), "here");
    assert_eq!(list.field("A-1", "priority"), 1);
}

#[test]
fn where_both_sides_changed_a_field_both_values_are_kept() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.set("A-1", "title", "\"here\"");
    list.import(&record("A-1", &[("title", "\"there\""), DAY_2]));
    let shown = list.field("A-1", "title");
    let listed = &list.field("A-1", "conflicts")["title"];
    let mut both = vec![shown.clone(), listed[0].clone()];
    both.sort_by_key(ToString::to_string);
    assert_eq!(both, ["here", "there"]);
    list.set("A-1", "title", &shown.to_string());
    assert_eq!(list.field("A-1", "conflicts"), serde_json::Value::Null, "settled by writing it");
}

#[test]
fn equal_changes_on_both_sides_are_no_edit() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.set("A-1", "title", "\"same\"");
    let commits = list.commits();
    let report = list.import(&record("A-1", &[("title", "\"same\""), DAY_2]));
    assert_eq!(report.edited, []);
    assert_eq!(list.commits(), commits);
}

#[test]
fn a_new_date_alone_is_no_edit() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    let commits = list.commits();
    let dated = record("A-1", &[DAY_2]);
    assert_eq!(list.import(&dated).edited, []);
    assert_eq!(list.commits(), commits);
    assert_eq!(list.export(), dated, "no edit, no diff");
}

#[test]
fn lists_merge_by_element() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.set("A-1", "labels", "[\"a\",\"b\",\"here\"]");
    list.import(&record("A-1", &[("labels", "[\"b\",\"there\"]")]));
    assert_eq!(list.field("A-1", "labels"), serde_json::json!(["b", "there", "here"]));
}

#[test]
fn an_older_line_neither_adds_nor_removes_elements_again() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("labels", "[\"b\",\"c\"]"), DAY_2]));
    let report = list.import(&record("A-1", &[("labels", "[\"a\",\"b\",\"new\"]")]));
    assert_eq!(list.field("A-1", "labels"), serde_json::json!(["b", "new", "c"]));
    assert_eq!(
        report.old_news,
        [("A-1".to_owned(), "labels".to_owned(), "[\"a\",\"c\"]".to_owned())]
    );
}

#[test]
fn removing_a_field_by_hand_removes_it() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("extra", "{\"x\":1}")]));
    list.import(&record("A-1", &[]));
    assert_eq!(list.field("A-1", "extra"), serde_json::Value::Null);
}

#[test]
fn claims_of_known_issues_are_not_imported() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    let report = list.import(&record("A-1", &[("claim", "{\"by\":\"me\"}")]));
    assert_eq!((report.edited.as_slice(), report.refused.len()), (&[][..], 1));
    // Another version of the line tells of claims as they were then, which is nobody's edit.
    let report = list.import(&record("A-1", &[("claim", "{\"by\":\"you\"}"), DAY_2]));
    assert_eq!((report.edited.as_slice(), report.refused.len()), (&[][..], 0));
    assert_eq!(list.field("A-1", "claim"), serde_json::Value::Null);
}

#[test]
fn a_line_that_disappeared_is_reported_and_kept() {
    let mut list = List::new(1);
    let both = record("A-1", &[]) + &record("A-2", &[]);
    list.import(&both);
    let report = list.import(&record("A-2", &[]));
    assert_eq!(report.missing, ["A-1"]);
    assert_eq!(list.tracker.info().unwrap().issues, 2);
    assert!(list.export().contains("\"A-1\""), "export brings it back");
}

#[test]
fn pruning_leaves_a_tombstone_that_is_exported_and_can_be_undone() {
    let mut list = List::new(1);
    list.import(&(record("A-1", &[]) + &record("A-2", &[])));
    let options = ImportOptions { prune: true, ..ImportOptions::default() };
    let report = list.import_with(&record("A-2", &[]), &options).unwrap();
    assert_eq!(report.pruned, ["A-1"]);
    let tombstone = list.export();
    assert!(tombstone.contains("\"deleted_at\":\""), "{tombstone}");
    let mut other = List::new(2);
    other.import(&tombstone);
    assert!(other.tracker.show("A-1").unwrap().row.deleted, "the removal reaches other clones");
    list.set("A-1", "deleted_at", "null");
    assert!(!list.tracker.show("A-1").unwrap().row.deleted);
}

#[test]
fn lines_may_come_in_any_order_and_export_follows_the_file() {
    let mut list = List::new(1);
    let lines: Vec<String> = (0..40).map(|n| record(&format!("A-{n}"), &[])).collect();
    list.import(&lines.concat());
    let mut shuffled = lines.clone();
    shuffled.reverse();
    shuffled.rotate_left(7);
    shuffled.insert(3, record("B-1", &[]));
    let report = list.import(&shuffled.concat());
    assert_eq!((report.created.len(), report.edited.len()), (1, 0));
    assert_eq!(list.export(), shuffled.concat());
    assert_eq!(list.import(&shuffled.concat()).unchanged, 41);
}

#[test]
fn many_lines_fit_between_two() {
    let mut list = List::new(1);
    let (first, last) = (record("A-first", &[]), record("A-last", &[]));
    list.import(&(first.clone() + &last));
    for round in 0..4 {
        let mut file = first.clone();
        for n in 0..=round * 60 {
            file += &record(&format!("B-{n}"), &[]);
        }
        file += &last;
        list.import(&file);
        assert_eq!(list.export(), file);
    }
}

#[test]
fn one_id_with_two_times_of_creation_is_two_issues_and_said_so() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    let other =
        record("A-1", &[("created_at", "\"2026-02-02T00:00:00Z\""), ("title", "\"other\"")]);
    let report = list.import(&(record("A-1", &[]) + &other));
    assert_eq!(report.collisions, ["A-1"]);
    let at_once = List::new(2).import(&(record("A-1", &[]) + &other));
    assert_eq!(at_once.collisions, ["A-1"], "also where both are new");
    let error = list.tracker.show("A-1").unwrap_err();
    assert_eq!(error.code(), "ambiguous");
    let x0x_tracker::TrackerError::Ambiguous { candidates, .. } = error else { unreachable!() };
    let titles: Vec<String> =
        candidates.iter().map(|name| list.tracker.show(name).unwrap().row.title).collect();
    assert_eq!(titles, ["title", "other"]);
}

#[test]
fn new_issues_stand_in_id_order_among_those_that_x0x_placed() {
    let mut list = List::new(1);
    let foreign = record("A-2", &[]) + &record("A-1", &[]);
    list.import(&foreign);
    for n in 0..8 {
        list.create(&format!("issue {n}"));
        list.export();
    }
    let file = list.export();
    let ids: Vec<String> = file
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string())
        .collect();
    assert_eq!(&ids[..2], ["\"A-2\"", "\"A-1\""]);
    assert!(ids[2..].is_sorted(), "{ids:?}");
    assert_eq!(list.import(&file).unchanged, 10);
}

#[test]
fn the_end_of_the_file_stays_as_it_was() {
    for end in ["", "\n", "\r\n"] {
        let mut list = List::new(1);
        let line = record("A-1", &[]).trim_end().to_owned() + end;
        list.import(&line);
        assert_eq!(list.export(), line);
        list.create("new");
        let file = list.export();
        assert_eq!(file.ends_with('\n'), !end.is_empty(), "{file:?}");
        assert_eq!(file.matches("\r\n").count(), if end == "\r\n" { 2 } else { 0 });
        assert_eq!(file.lines().count(), 2);
    }
}

#[test]
fn a_version_from_between_brings_only_what_is_new() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("title", "\"two\""), DAY_3]));
    let report = list.import(&record("A-1", &[("title", "\"title\""), ("priority", "2"), DAY_2]));
    assert_eq!(report.edited, [("A-1".to_owned(), vec!["priority".to_owned()])]);
    assert_eq!(report.old_news.len(), 1);
    assert_eq!(list.field("A-1", "title"), "two");
}

#[test]
fn the_newest_line_is_not_written_over_where_it_goes_back_to_an_old_value() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("state", "\"review\""), DAY_2]));
    let back = record("A-1", &[("priority", "1"), DAY_3]);
    for _ in 0..2 {
        let report = list.import(&back);
        assert_eq!(report.old_news.len(), 1, "it is named until somebody decides");
        assert_eq!(list.field("A-1", "state"), "review");
        assert_eq!(list.field("A-1", "priority"), 1);
        assert_eq!(list.export(), back, "the file keeps what the newest line says");
    }
    list.import_with(&back, &take_file()).unwrap();
    assert_eq!(list.field("A-1", "state"), "todo");
    let report = list.import(&back);
    assert_eq!((report.old_news, report.edited), (vec![], vec![]));
    assert!(list.export().contains("\"state\":\"todo\""));
}

#[test]
fn a_decision_made_in_the_list_ends_the_wait() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("state", "\"review\""), DAY_2]));
    list.import(&record("A-1", &[DAY_3]));
    list.set("A-1", "state", "\"todo\"");
    let report = list.import(&record("A-1", &[DAY_3]));
    assert_eq!(report.old_news, []);
    list.set("A-1", "state", "\"blocked\"");
    assert!(list.export().contains("\"state\":\"blocked\""));
}

#[test]
fn what_was_never_said_here_is_neither_taken_from_an_older_line_nor_written_over() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[DAY_2]));
    let comment = "[{\"id\":\"c1\",\"at\":\"2026-01-01T00:00:00Z\",\"body\":\"found it\"}]";
    let older = record("A-1", &[("title", "\"never seen\""), ("comments", comment)]);
    let report = list.import(&older);
    assert_eq!(list.field("A-1", "title"), "title");
    assert_eq!(report.old_news.len(), 1);
    assert_eq!(list.field("A-1", "comments")[0]["body"], "found it", "a comment stands by itself");
    assert!(list.export().contains("never seen"));
}

#[test]
fn a_date_that_is_no_time_makes_nothing_old() {
    for date in ["\"2026-02-01T10:00:00.123456\"", "\"2026-02-01\"", "1700000000", "null"] {
        let mut list = List::new(1);
        list.import(&record("A-1", &[]));
        list.import(&record("A-1", &[("title", "\"never seen\""), ("updated_at", date)]));
        assert_eq!(list.field("A-1", "title"), "never seen", "{date}");
    }
}

#[test]
fn numeric_dates_tell_versions_apart_too() {
    let mut list = List::new(1);
    let v1 = record("A-1", &[("title", "\"v1\""), ("updated_at", "1700000001")]);
    let v2 = record("A-1", &[("title", "\"v2\""), ("updated_at", "1700000002")]);
    for (file, edits) in [(&v1, 0), (&v2, 1), (&v1, 0), (&v2, 0)] {
        assert_eq!(list.import(file).edited.len(), edits);
    }
    assert_eq!(list.field("A-1", "title"), "v2");
}

#[test]
fn what_was_edited_here_reaches_the_file_although_the_line_was_imported_since() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("priority", "3")]));
    list.set("A-1", "priority", "1");
    list.set("A-1", "labels", "[\"a\",\"b\",\"here\"]");
    list.import(&record("A-1", &[("priority", "3"), ("title", "\"by hand\"")]));
    let file = list.export();
    assert!(file.contains("\"priority\":1,") || file.contains("\"priority\":1}"), "{file}");
    assert!(file.contains("\"here\"") && file.contains("\"by hand\""), "{file}");
    assert!(!file.contains("\"updated_at\":\"2026-01-01T00:00:00Z\""), "a hand edit is dated");
    assert_eq!(list.export(), file);
    assert_eq!(list.import(&file).edited, []);
}

#[test]
fn a_hand_edit_beside_old_news_does_not_hide_that_the_line_differs() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("title", "\"new\""), DAY_2]));
    list.import(&record("A-1", &[]));
    list.import(&record("A-1", &[("priority", "2")]));
    let file = list.export();
    assert!(file.contains("\"title\":\"new\"") && file.contains("\"priority\":2"), "{file}");
}

#[test]
fn text_is_found_in_records_whatever_their_time_of_creation() {
    let mut list = List::new(1);
    let births = ["null", "1e3", "\"2026-01\\u002d01T00:00:00Z\"", "{\"a\": [1]}"];
    let lines = births.iter().enumerate().map(|(n, birth)| {
        let (id, title) = (format!("A-{n}"), "\"find the pump\"");
        record(&id, &[("created_at", birth), ("title", title)])
    });
    let absent = "{\"id\":\"A-9\",\"title\":\"find the pump\"}\n".to_owned();
    list.import(&lines.chain([absent]).collect::<String>());
    let filter = Filter { text: Some("Pump".to_owned()), ..Filter::default() };
    let mut found = Vec::new();
    let visit = &mut |shown: &Shown| {
        found.push(shown.name.clone());
        ControlFlow::Continue(())
    };
    list.tracker.list(&filter, visit).unwrap();
    found.sort();
    assert_eq!(found, ["A-0", "A-1", "A-2", "A-3", "A-9"]);
}

#[test]
fn conflicts_reach_the_file() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.set("A-1", "title", "\"here\"");
    list.import(&record("A-1", &[("title", "\"there\""), DAY_2]));
    assert!(list.export().contains("\"conflicts\":{\"title\":["));
}

#[test]
fn a_missing_line_can_be_pruned_later_and_is_named_until_then() {
    let mut list = List::new(1);
    list.import(&(record("A-1", &[]) + &record("A-2", &[])));
    assert_eq!(list.import(&record("A-2", &[])).missing, ["A-1"]);
    assert_eq!(list.import(&record("A-2", &[])).missing, ["A-1"]);
    let options = ImportOptions { prune: true, ..ImportOptions::default() };
    assert_eq!(list.import_with(&record("A-2", &[]), &options).unwrap().pruned, ["A-1"]);
    assert_eq!(list.export().lines().count(), 2);
    assert_eq!(list.import(&list.last.clone()).missing, [""; 0]);
}

#[test]
fn an_empty_list_and_an_absent_one_are_told_apart() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("labels", "[]")]));
    let without = record("A-1", &[]).replace("\"labels\":[\"a\",\"b\"],", "");
    list.import(&without);
    list.set("A-1", "priority", "1");
    assert!(!list.export().contains("labels"));
    let with = list.last.replace("\"state\"", "\"links\":[],\"state\"");
    list.import(&with);
    list.set("A-1", "priority", "2");
    assert!(list.export().contains("\"links\":[]"));
}

#[test]
fn nothing_is_placed_before_a_byte_order_mark() {
    let mut list = List::new(1);
    let file = "\u{feff}".to_owned() + &record("T-zzzzzzzzzz", &[]);
    list.import(&file);
    list.create("new");
    let file = list.export();
    assert!(file.starts_with("\u{feff}"), "{file}");
    assert_eq!(List::new(2).import(&file).created.len(), 2);
}

#[test]
fn what_is_exported_in_ascii_can_be_imported_elsewhere() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("title", "\"caf\\u00e9\"")]));
    let text = serde_json::Value::from("\u{4e00}".repeat(170_000)).to_string();
    list.set("A-1", "description", &text);
    let file = list.export();
    assert!(file.is_ascii());
    assert_eq!(List::new(2).import(&file).created.len(), 1);
}

#[test]
fn bad_lines_that_were_passed_over_once_are_named_again() {
    let mut list = List::new(1);
    let file = "<<<<<<< ours\n".to_owned() + &record("A-1", &[]) + "=======\n";
    let keep_going = ImportOptions { keep_going: true, ..ImportOptions::default() };
    assert_eq!(list.import_with(&file, &keep_going).unwrap().problems.len(), 2);
    assert_eq!(list.import_with(&file, &keep_going).unwrap().problems.len(), 2);
    let error = list.import_with(&file, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.code(), "bad_lines");
    assert_eq!(list.export(), file);
}

#[test]
fn what_x0x_computes_for_an_answer_is_not_imported_as_a_field() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("_version", "\"0123456789abcdef\"")]));
    assert_eq!(list.field("A-1", "_version"), serde_json::Value::Null);
    assert!(list.tracker.show("A-1").unwrap().answer_json().unwrap().contains("_version"));
}

#[test]
fn a_second_file_of_the_same_list_has_a_base_of_its_own() {
    let mut list = List::new(1);
    let (old, new) = (record("A-1", &[]), record("A-1", &[("title", "\"new\""), DAY_2]));
    list.import(&old);
    list.import(&new);
    let options = ImportOptions::default();
    let elsewhere = "/worktree/issues/issues.jsonl";
    let report =
        list.tracker.import(elsewhere, &mut old.as_bytes(), &options, &mut |_| {}).unwrap();
    assert_eq!(report.edited, [], "an old worktree makes no edit");
    let by_hand = record("A-1", &[("priority", "1")]);
    let report =
        list.tracker.import(elsewhere, &mut by_hand.as_bytes(), &options, &mut |_| {}).unwrap();
    assert_eq!(report.edited, [("A-1".to_owned(), vec!["priority".to_owned()])]);
    assert_eq!(list.field("A-1", "title"), "new");
}

#[test]
fn pruning_is_refused_while_a_line_is_bad() {
    let mut list = List::new(1);
    list.import(&(record("A-1", &[]) + &record("A-2", &[])));
    let broken = record("A-2", &[]) + "{\"id\":\"A-1\",\"title\":\"half a line\n";
    let keep_going = ImportOptions { keep_going: true, ..ImportOptions::default() };
    let both = ImportOptions { prune: true, ..keep_going.clone() };
    assert_eq!(list.import_with(&broken, &both).unwrap_err().code(), "invalid");
    assert!(!list.tracker.show("A-1").unwrap().row.deleted);
    list.import_with(&broken, &keep_going).unwrap();
    assert_eq!(list.export(), broken, "no second line beside the bad one");
    let mended = record("A-2", &[]) + &record("A-1", &[("title", "\"mended\"")]);
    list.import(&mended);
    assert_eq!(list.field("A-1", "title"), "mended");
    assert_eq!(list.export().lines().count(), 2);
}

#[test]
fn a_worker_leaves_the_end_of_an_issue_to_a_maintainer_and_the_file_keeps_it() {
    let mut founder = List::new(1);
    let mut worker = List::member_in_role(&mut founder, 2, Role::Worker);
    worker.import(&record("A-1", &[]));
    let ended = record("A-1", &[("state", "\"done\""), ("priority", "1"), DAY_2]);
    let report = worker.import(&ended);
    assert_eq!(report.pending.len(), 1);
    assert_eq!(worker.field("A-1", "state"), "todo");
    assert_eq!(worker.field("A-1", "priority"), 1);
    assert_eq!(worker.export(), ended, "the file keeps what waits");
    worker.set("A-1", "priority", "2");
    assert!(worker.export().contains("\"state\":\"done\""), "also when the line is renewed");
    let error = worker.tracker.rule("A-1", &Ruling::Done, None).unwrap_err();
    assert_eq!(error.fault(), Fault::NotAllowed);
    let patch = Patch::default().set_text("state", "cancelled");
    assert!(worker.tracker.edit("A-1", &patch, None).is_err());
    founder.import(&record("A-1", &[]));
    founder.import(&ended);
    assert_eq!(founder.field("A-1", "state"), "done");
}

#[test]
fn a_value_that_the_file_never_had_is_not_replaced_unseen_by_a_later_hand_edit() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[("priority", "3")]));
    list.set("A-1", "priority", "1");
    list.import(&record("A-1", &[("priority", "3"), ("title", "\"by hand\"")]));
    list.import(&record("A-1", &[("priority", "4"), ("title", "\"by hand\"")]));
    let mut both = vec![
        list.field("A-1", "priority").to_string(),
        list.field("A-1", "conflicts")["priority"][0].to_string(),
    ];
    both.sort();
    assert_eq!(both, ["1", "4"]);
}
