//! The history of issues: logs, earlier states, taking back, settling.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use support::{List, exchange, give, record};
use x0x_tracker::document::steps::{FieldEdit, What};
use x0x_tracker::interface::history::{Choice, LogEntry, LogFilter, Moment, Undo, UndoReport};
use x0x_tracker::interface::request::{Comment, FieldChange, ListChange, Patch, Ruling};
use x0x_tracker::interface::{Tracker, TrackerError};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::StandIn;

fn log(list: &List, name: &str) -> Vec<LogEntry> {
    list.tracker.log(name, &LogFilter::default()).unwrap().entries
}

fn values(entry: &LogEntry) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let value = |edit: &'_ FieldEdit| match &edit.what {
        What::Value { from, to } => (from.clone(), to.clone()),
        What::List { .. } => panic!("{edit:?}"),
    };
    assert!(entry.step.edits.iter().all(|edit| value(edit).0.is_some() || value(edit).1.is_some()));
    let edits = entry.step.edits.iter();
    edits
        .map(|edit| match &edit.what {
            What::Value { from, to } => (edit.field.as_str(), from.as_deref(), to.as_deref()),
            What::List { .. } => unreachable!(),
        })
        .collect()
}

fn list_edit<'a>(entry: &'a LogEntry, field: &str) -> (&'a [String], &'a [String], &'a [String]) {
    let edit = entry.step.edits.iter().find(|edit| edit.field == field).unwrap();
    match &edit.what {
        What::List { added, removed, moved } => (added, removed, moved),
        What::Value { .. } => panic!("{edit:?}"),
    }
}

fn undo(list: &mut List, what: &str) -> Result<UndoReport, TrackerError> {
    let undo = Undo { what: what.to_owned(), ..Undo::default() };
    list.tracker.undo(&undo, &mut |_| {})
}

fn forced(list: &mut List, what: &str) -> UndoReport {
    let undo = Undo { what: what.to_owned(), force: true, dry_run: false };
    list.tracker.undo(&undo, &mut |_| {}).unwrap()
}

fn change_list(list: &mut List, name: &str, field: &str, add: &[&str], remove: &[&str]) {
    let texts = |texts: &[&str]| texts.iter().map(|text| format!("\"{text}\"")).collect();
    let change = FieldChange::List(ListChange { add: texts(add), remove: texts(remove) });
    let patch = Patch { changes: vec![(field.to_owned(), change)] };
    list.tracker.edit(name, &patch, None).unwrap();
}

fn comment(list: &mut List, name: &str, body: &str) {
    let comment = Comment { body: body.to_owned(), author: Some("ann".to_owned()), key: None };
    list.tracker.comment(name, &comment).unwrap();
}

fn pair() -> (List, List) {
    let mut a = List::new(1);
    let b = List::member_of(&mut a, 2);
    (a, b)
}

/// Two lists that gave one issue different titles at once and know of each other.
fn disputed() -> (List, List) {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    exchange(&mut a, &mut b);
    a.set("A-1", "title", "\"a\"");
    b.set("A-1", "title", "\"b\"");
    exchange(&mut a, &mut b);
    (a, b)
}

/// The issue without `updated_at` and version.
fn shown(list: &List, name: &str) -> serde_json::Value {
    let json = list.tracker.show(name).unwrap().json.unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    value.as_object_mut().unwrap().remove("updated_at");
    value
}

#[test]
fn a_log_tells_who_changed_what_from_what_in_which_commit() {
    let mut list = List::new(1);
    list.create("one");
    list.set("T-0001", "title", "\"two\"");
    change_list(&mut list, "T-0001", "labels", &["b", "a"], &[]);
    change_list(&mut list, "T-0001", "labels", &["c"], &["a"]);
    list.set("T-0001", "labels", "[\"c\",\"b\"]");
    comment(&mut list, "T-0001", "a word");
    let entries = log(&list, "T-0001");
    assert_eq!(entries.len(), 6);
    let (added, removed, moved) = list_edit(&entries[0], "comments");
    assert!(added[0].contains("a word") && removed.is_empty() && moved.is_empty());
    let (added, removed, moved) = list_edit(&entries[1], "labels");
    assert_eq!((added.len(), removed.len(), moved), (0, 0, &["\"c\"".to_owned()][..]));
    let (added, removed, _) = list_edit(&entries[2], "labels");
    assert_eq!((added, removed), (&["\"c\"".to_owned()][..], &["\"a\"".to_owned()][..]));
    assert_eq!(list_edit(&entries[3], "labels").0, ["\"b\"", "\"a\""]);
    assert_eq!(values(&entries[4]), [("title", Some("\"one\""), Some("\"two\""))]);
    let created = &entries[5];
    assert!(created.step.creates && !entries[4].step.creates);
    assert!(values(created).contains(&("title", None, Some("\"one\""))));
    assert!(!values(created).iter().any(|(name, ..)| *name == "updated_at"));
    for (entry, number) in entries.iter().zip([6, 5, 4, 3, 2, 1]) {
        assert_eq!(entry.commit.unwrap().number, number);
        assert_eq!(entry.step.log.agent, StandIn::new(1).agent());
    }
    assert!(entries.windows(2).all(|pair| pair[0].step.at > pair[1].step.at));
}

#[test]
fn a_log_can_be_cut_and_narrowed_to_a_field() {
    let mut list = List::new(1);
    list.create("one");
    list.set("T-0001", "title", "\"two\"");
    list.set("T-0001", "priority", "1");
    list.set("T-0001", "title", "\"three\"");
    let filter = LogFilter { field: Some("title".to_owned()), limit: Some(2) };
    let found = list.tracker.log("T-0001", &filter).unwrap();
    assert_eq!(found.entries.len(), 2);
    assert!(found.more);
    assert_eq!(values(&found.entries[1]), [("title", Some("\"one\""), Some("\"two\""))]);
    let filter = LogFilter { limit: Some(3), ..filter };
    let found = list.tracker.log("T-0001", &filter).unwrap();
    assert_eq!(values(&found.entries[2]), [("title", None, Some("\"one\""))]);
    assert!(!found.more);
}

#[test]
fn concurrent_edits_are_told_by_what_their_authors_knew_and_the_loser_is_marked() {
    let (mut a, b) = disputed();
    let entries = log(&a, "A-1");
    assert_eq!(entries, log(&b, "A-1"), "replicas tell the same");
    let winner = a.field("A-1", "title");
    for entry in &entries[..2] {
        let [(_, from, to)] = values(entry)[..] else { panic!() };
        assert_eq!(from, Some("\"title\""));
        let is_winner = to == Some(&*winner.to_string());
        assert_eq!(entry.step.edits[0].lost, !is_winner);
    }
    assert_ne!(entries[0].step.edits[0].lost, entries[1].step.edits[0].lost);
    let was_lost = |entries: &[LogEntry], at: usize| entries[at].step.edits[0].lost;
    let before = (was_lost(&entries, 0), was_lost(&entries, 1));
    a.set("A-1", "title", "\"settled\"");
    let after = log(&a, "A-1");
    assert_eq!(values(&after[0])[0].1, Some(&*winner.to_string()));
    assert_eq!((was_lost(&after, 1), was_lost(&after, 2)), before, "it stays known who won");
}

#[test]
fn taking_a_field_out_beside_an_edit_of_it_is_marked_as_lost() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[("note", "\"old\"")]));
    exchange(&mut a, &mut b);
    let patch = Patch { changes: vec![("note".to_owned(), FieldChange::Remove)] };
    a.tracker.edit("A-1", &patch, None).unwrap();
    b.set("A-1", "note", "\"new\"");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "note"), "new");
    let entries = log(&a, "A-1");
    let removal = entries.iter().find(|entry| values(entry)[0].2.is_none()).unwrap();
    assert!(removal.step.edits[0].lost);
    let put = entries.iter().find(|entry| values(entry)[0].2 == Some("\"new\"")).unwrap();
    assert!(!put.step.edits[0].lost);
}

#[test]
fn commits_of_an_import_and_of_others_are_found() {
    let (mut a, mut b) = pair();
    let file: String = (0..40).map(|n| record(&format!("A-{n}"), &[])).collect();
    a.import(&file);
    exchange(&mut a, &mut b);
    b.set("A-7", "title", "\"b\"");
    exchange(&mut a, &mut b);
    let entries = log(&a, "A-7");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].step.log.agent, StandIn::new(2).agent());
    assert_eq!(entries[0].commit.unwrap().number, 1);
    assert!(entries[1].step.creates && entries[1].commit.is_some());
    assert_ne!(entries[0].commit, entries[1].commit);
}

#[test]
fn an_earlier_state_is_made_of_what_was_there_then() {
    let (mut a, mut b) = pair();
    a.create("one");
    exchange(&mut a, &mut b);
    let first = a.tracker.show("T-0001").unwrap();
    b.set("T-0001", "title", "\"two\"");
    a.set("T-0001", "priority", "1");
    let ours = a.tracker.show("T-0001").unwrap();
    exchange(&mut a, &mut b);
    let entries = log(&a, "T-0001");
    let commit = |n: usize| entries[n].commit.unwrap().hash.to_string();
    let at = |moment: Moment| a.tracker.show_at("T-0001", &moment).unwrap();
    let created = at(Moment::Time(entries[2].step.at));
    assert_eq!((created.json, created.row), (first.json, first.row));
    let ours_at = entries.iter().position(|e| e.step.log.agent == StandIn::new(1).agent()).unwrap();
    let then = at(Moment::Commit(commit(ours_at)[..8].to_owned()));
    assert_eq!(then.json, ours.json, "as the author had it, without what came from elsewhere");
    let now = at(Moment::parse("2027-01-01").unwrap());
    assert_eq!(now.json, a.tracker.show("T-0001").unwrap().json);
    let error = a.tracker.show_at("T-0001", &Moment::parse("2025-01-01").unwrap()).unwrap_err();
    assert_eq!(error.code(), "not_yet");
    assert!(error.to_string().contains(&entries[2].step.at.to_string()), "{error}");
    let error = a.tracker.show_at("T-0001", &Moment::Commit("000000".to_owned())).unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[test]
fn a_commit_of_another_issue_names_what_its_author_had_of_this_one() {
    let (mut a, mut b) = pair();
    a.create("one");
    a.create("other");
    exchange(&mut a, &mut b);
    b.set("T-0001", "title", "\"two\"");
    exchange(&mut a, &mut b);
    a.set("T-0002", "title", "\"mark\"");
    let mark = log(&a, "T-0002")[0].commit.unwrap().hash.to_string();
    let wanted = a.tracker.show("T-0001").unwrap().json;
    b.set("T-0001", "title", "\"three\"");
    exchange(&mut a, &mut b);
    for list in [&a, &b] {
        let then = list.tracker.show_at("T-0001", &Moment::Commit(mark.clone())).unwrap();
        assert_eq!(then.json, wanted);
    }
}

#[test]
fn a_change_counts_only_with_all_that_it_builds_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut list = List::new(1);
    list.create("one");
    list.create("two");
    list.create("three");
    // The clock of another process is at the start again.
    let copy = dir.path().join("list.redb");
    std::fs::copy(list.dir.path().join("list.redb"), &copy).unwrap();
    let begun = log(&list, "T-0003")[0].step.at;
    let mut late = List {
        dir,
        tracker: x0x_tracker::testing::open(copy.parent().unwrap(), 1).unwrap(),
        last: String::new(),
    };
    late.set("T-0003", "title", "\"dated before the creation\"");
    let entries = log(&late, "T-0003");
    assert!(entries[0].step.at < begun, "{entries:?}");
    assert!(entries[1].step.creates, "the log goes by what builds on what");
    let before = Moment::Time(x0x_tracker::timestamp::Timestamp(begun.0 - 1_000));
    assert_eq!(late.tracker.show_at("T-0003", &before).unwrap_err().code(), "not_yet");
    let then = late.tracker.show_at("T-0003", &Moment::Time(begun)).unwrap();
    assert_eq!(then.row.title, "dated before the creation");
}

#[test]
fn undoing_takes_back_the_newest_edit_and_undoing_again_repeats_it() {
    let mut list = List::new(1);
    list.create("one");
    let patch =
        Patch::default().set_text("title", "two").set("priority", "1").set("estimate", "1.50");
    list.tracker.edit("T-0001", &patch, None).unwrap();
    let report = undo(&mut list, "T-0001").unwrap();
    assert_eq!(report.issues[0].restored.len(), 3);
    assert_eq!(list.field("T-0001", "title"), "one");
    assert_eq!(list.field("T-0001", "priority"), serde_json::Value::Null);
    assert!(shown(&list, "T-0001").get("estimate").is_none());
    undo(&mut list, "T-0001").unwrap();
    assert_eq!(list.field("T-0001", "title"), "two");
    assert_eq!(list.field("T-0001", "estimate").to_string(), "1.50");
    assert_eq!(log(&list, "T-0001").len(), 4, "nothing is erased");
}

#[test]
fn undoing_lists_goes_by_element() {
    let mut list = List::new(1);
    list.create("one");
    change_list(&mut list, "T-0001", "labels", &["a", "b", "c", "d"], &[]);
    let before = shown(&list, "T-0001");
    list.set("T-0001", "labels", "[\"d\",\"a\",\"x\",\"c\"]");
    undo(&mut list, "T-0001").unwrap();
    assert_eq!(shown(&list, "T-0001"), before);
    undo(&mut list, "T-0001").unwrap();
    assert_eq!(list.field("T-0001", "labels"), serde_json::json!(["d", "a", "x", "c"]));
    comment(&mut list, "T-0001", "wrong place");
    undo(&mut list, "T-0001").unwrap();
    assert!(
        list.field("T-0001", "comments").is_null()
            || list.field("T-0001", "comments") == serde_json::json!([])
    );
    assert_eq!(list.tracker.show("T-0001").unwrap().row.comments, 0);
}

#[test]
fn undoing_a_creation_removes_and_undoing_that_brings_back() {
    let mut list = List::new(1);
    list.create("one");
    let before = shown(&list, "T-0001");
    undo(&mut list, "T-0001").unwrap();
    assert!(list.tracker.show("T-0001").unwrap().row.deleted);
    undo(&mut list, "T-0001").unwrap();
    assert_eq!(shown(&list, "T-0001"), before);
}

#[test]
fn what_was_written_since_is_left_unless_forced() {
    let mut list = List::new(1);
    list.create("one");
    let patch = Patch::default().set_text("title", "two").set("priority", "1");
    list.tracker.edit("T-0001", &patch, None).unwrap();
    change_list(&mut list, "T-0001", "labels", &["a", "b"], &[]);
    let labels = log(&list, "T-0001")[0].commit.unwrap().hash.to_string();
    let commit = log(&list, "T-0001")[1].commit.unwrap().hash.to_string();
    list.set("T-0001", "title", "\"three\"");
    change_list(&mut list, "T-0001", "labels", &["c"], &["a"]);
    change_list(&mut list, "T-0001", "labels", &["a"], &[]);
    let report = undo(&mut list, &commit[..12]).unwrap();
    assert_eq!(report.commit.unwrap().number, 2);
    let undone = &report.issues[0];
    assert_eq!((undone.restored[0].field.as_str(), undone.restored.len()), ("priority", 1));
    assert_eq!((undone.left[0].field.as_str(), undone.left[0].by_force), ("title", true));
    assert_eq!(list.field("T-0001", "title"), "three");
    let error = undo(&mut list, &commit).unwrap_err();
    assert_eq!(error.code(), "written_since");
    let report = undo(&mut list, &labels).unwrap();
    assert_eq!(report.issues[0].left[0].field, "labels");
    assert_eq!(list.field("T-0001", "labels"), serde_json::json!(["c", "a"]));
    forced(&mut list, &commit);
    assert_eq!(list.field("T-0001", "title"), "one");
    forced(&mut list, &labels);
    assert_eq!(list.field("T-0001", "labels"), serde_json::json!(["c"]));
}

#[test]
fn undoing_a_commit_takes_back_all_that_it_did() {
    let mut list = List::new(1);
    let names: Vec<String> = (0..30).map(|n| format!("A-{n}")).collect();
    let file = |priority: &str| -> String {
        names.iter().map(|name| record(name, &[("priority", priority)])).collect()
    };
    list.import(&file("1"));
    let creation = log(&list, "A-3")[0].commit.unwrap().hash.to_string();
    let before: Vec<_> = names.iter().map(|name| shown(&list, name)).collect();
    list.import(&file("2"));
    let commit = log(&list, "A-3")[0].commit.unwrap().hash.to_string();
    let mut shares = Vec::new();
    let request = Undo { what: commit.clone(), ..Undo::default() };
    let report = list.tracker.undo(&request, &mut |share| shares.push(share.done)).unwrap();
    assert_eq!((report.issues.len(), shares.last()), (30, Some(&30)));
    let after: Vec<_> = names.iter().map(|name| shown(&list, name)).collect();
    assert_eq!(after, before);
    list.set("A-3", "title", "\"edited since\"");
    let report = forced(&mut list, &creation);
    assert!(report.issues.iter().all(|issue| issue.issue.row.deleted));
}

#[test]
fn undoing_the_creation_of_an_issue_that_was_edited_since_is_left() {
    let mut list = List::new(1);
    list.import(&(record("A-1", &[]) + &record("A-2", &[])));
    let creation = log(&list, "A-1")[0].commit.unwrap().hash.to_string();
    list.set("A-1", "title", "\"edited since\"");
    let report = undo(&mut list, &creation).unwrap();
    let deleted: Vec<bool> = report.issues.iter().map(|undone| undone.issue.row.deleted).collect();
    assert_eq!(deleted, [false, true]);
    assert!(report.issues[0].left[0].reason.contains("title"), "{report:?}");
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let mut list = List::new(1);
    list.create("one");
    list.set("T-0001", "title", "\"two\"");
    let (commits, before) = (list.commits(), list.canonical());
    let request = Undo { what: "T-0001".to_owned(), dry_run: true, force: false };
    let report = list.tracker.undo(&request, &mut |_| {}).unwrap();
    assert_eq!(report.issues[0].issue.row.title, "one");
    assert_eq!((list.commits(), list.canonical()), (commits, before));
}

#[test]
fn undoing_a_ruling_needs_a_maintainer() {
    let mut a = List::new(1);
    let mut b = List::member_in_role(&mut a, 2, Role::Worker);
    a.create("one");
    a.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    give(&a, &mut b);
    let before = b.canonical();
    let error = undo(&mut b, "T-0001").unwrap_err();
    assert_eq!(error.fault(), x0x_tracker::interface::error::Fault::NotAllowed);
    assert_eq!(b.canonical(), before);
    undo(&mut a, "T-0001").unwrap();
    assert_eq!(a.field("T-0001", "state"), "todo");
}

#[test]
fn undoing_gives_no_name_away_that_another_issue_has_by_now() {
    let mut list = List::new(1);
    list.create("one");
    list.set("T-0001", "identifier", "\"OLD\"");
    let id = list.tracker.show("OLD").unwrap().row.id;
    list.tracker
        .create(&x0x_tracker::interface::Draft::titled("two").with("identifier", "\"T-0001\""))
        .unwrap();
    let error = undo(&mut list, &id).unwrap_err();
    assert!(error.to_string().contains("another issue"), "{error}");
    assert!(!error.hint().contains("--force"), "{}", error.hint());
}

#[test]
fn undoing_a_commit_judges_names_and_blockers_by_what_it_leaves_behind() {
    let mut list = List::new(1);
    let file = |first: &str, second: &str, blockers: [&str; 2]| {
        record("A-1", &[("identifier", first), ("blocked_by", blockers[0])])
            + &record("A-2", &[("identifier", second), ("blocked_by", blockers[1])])
    };
    list.import(&file("\"ONE\"", "\"TWO\"", ["[\"A-2\"]", "[]"]));
    let before = ["A-1", "A-2"].map(|name| (shown(&list, name), list.tracker.show(name)));
    list.import(&file("\"TWO\"", "\"ONE\"", ["[]", "[\"A-1\"]"]));
    let commit = log(&list, "A-1")[0].commit.unwrap().hash.to_string();
    let report = undo(&mut list, &commit).unwrap();
    for ((undone, name), (json, then)) in report.issues.iter().zip(["A-1", "A-2"]).zip(before) {
        assert!(undone.left.is_empty(), "{undone:?}");
        assert_eq!(undone.issue.name, then.unwrap().name);
        assert_eq!(shown(&list, name), json);
    }
}

#[test]
fn undoing_a_commit_never_lets_issues_wait_for_themselves() {
    let mut list = List::new(1);
    let file = |first: &str, third: &str| {
        record("A-1", &[("priority", "1"), ("blocked_by", first)])
            + &record("A-2", &[])
            + &record("A-3", &[("priority", "1"), ("blocked_by", third)])
            + &record("A-4", &[])
    };
    list.import(&file("[\"A-2\"]", "[\"A-4\"]"));
    list.import(&file("[]", "[]").replace("\"priority\":1", "\"priority\":2"));
    let commit = log(&list, "A-1")[0].commit.unwrap().hash.to_string();
    change_list(&mut list, "A-2", "blocked_by", &["A-3"], &[]);
    change_list(&mut list, "A-4", "blocked_by", &["A-1"], &[]);
    let report = undo(&mut list, &commit).unwrap();
    let reasons: Vec<&str> =
        report.issues.iter().flat_map(|undone| &undone.left).map(|left| &*left.reason).collect();
    assert!(reasons.iter().all(|reason| reason.contains("wait for itself")), "{reasons:?}");
    assert!(!reasons.is_empty());
    assert_eq!(list.field("A-1", "priority"), 1);
    let filter = x0x_tracker::interface::Filter::default();
    let agenda = list.tracker.agenda(&filter, &mut |_| std::ops::ControlFlow::Continue(()));
    assert_eq!(agenda.unwrap().cycles, Vec::<Vec<String>>::new());
}

#[test]
fn undoing_beside_another_edit_leaves_both_values() {
    let (mut a, _) = disputed();
    let before = a.canonical();
    assert_eq!(undo(&mut a, "A-1").unwrap_err().code(), "written_since");
    assert_eq!(a.canonical(), before);
}

#[test]
fn undoing_an_edit_that_settled_a_conflict_shows_the_conflict_again() {
    let (mut a, _) = disputed();
    let before = shown(&a, "A-1");
    a.set("A-1", "title", "\"c\"");
    undo(&mut a, "A-1").unwrap();
    assert_eq!(shown(&a, "A-1"), before);
    a.tracker.settle("A-1", "title", &Choice::Keep, None).unwrap();
    assert!(shown(&a, "A-1").get("conflicts").is_none());
    undo(&mut a, "A-1").unwrap();
    assert_eq!(shown(&a, "A-1"), before);
}

#[test]
fn a_commit_and_an_issue_of_one_name_are_not_guessed_between() {
    let mut list = List::new(1);
    list.create("one");
    let hash = log(&list, "T-0001")[0].commit.unwrap().hash.to_string();
    list.import(&record(&format!("{}-issue", &hash[..8]), &[]));
    let error = undo(&mut list, &hash[..8]).unwrap_err();
    assert_eq!(error.code(), "ambiguous");
    list.import(&(record(&format!("{}-issue", &hash[..8]), &[]) + &record(&hash[..7], &[])));
    let report = undo(&mut list, &hash[..7]).unwrap();
    assert_eq!((report.commit, &*report.issues[0].issue.row.id), (None, &hash[..7]));
}

#[test]
fn conflicts_name_each_value_with_its_author_and_are_settled_by_a_choice() {
    let (mut a, mut b) = pair();
    a.import(&(record("A-1", &[]) + &record("A-2", &[])));
    exchange(&mut a, &mut b);
    a.set("A-1", "title", "\"a\"");
    b.set("A-1", "title", "\"b\"");
    exchange(&mut a, &mut b);
    let found = a.tracker.conflicts(None).unwrap();
    assert_eq!((found.len(), found[0].issue.name.as_str()), (1, "A-1"));
    let field = &found[0].fields[0];
    assert_eq!((field.field.as_str(), field.others.len()), ("title", 1));
    for candidate in std::iter::once(&field.shown).chain(&field.others) {
        let seed = if candidate.json.as_deref() == Some("\"a\"") { 1 } else { 2 };
        assert_eq!(candidate.writer.unwrap().0.agent, StandIn::new(seed).agent());
    }
    let other = field.others[0].json.clone().unwrap();
    let (mut c, mut d) = (List::member_of(&mut a, 3), List::member_of(&mut a, 4));
    for list in [&mut c, &mut d] {
        give(&a, list);
    }
    let version = a.tracker.show("A-2").unwrap().row.version;
    assert!(a.tracker.settle("A-1", "title", &Choice::Take(1), Some(version)).is_err());
    assert!(a.tracker.settle("A-1", "title", &Choice::Take(2), None).is_err());
    assert!(a.tracker.settle("A-1", "state", &Choice::Keep, None).is_err());
    a.tracker.settle("A-1", "title", &Choice::Take(1), None).unwrap();
    assert_eq!(a.field("A-1", "title").to_string(), other);
    c.tracker.settle("A-1", "title", &Choice::Value("\"new\"".to_owned()), None).unwrap();
    assert_eq!(c.field("A-1", "title"), "new");
    assert!(d.tracker.settle("A-1", "title", &Choice::Value("7".to_owned()), None).is_err());
    d.tracker.settle("A-1", "title", &Choice::Keep, None).unwrap();
    for list in [&a, &c, &d] {
        assert!(list.tracker.conflicts(None).unwrap().is_empty());
    }
}

#[test]
fn conflicts_that_a_merge_of_files_recorded_are_listed_and_settled() {
    let mut list = List::new(1);
    let recorded = "{\"title\":[\"ours\"],\"labels\":[[\"z\"]]}";
    list.import(&record("A-1", &[("conflicts", recorded)]));
    let found = list.tracker.conflicts(Some("A-1")).unwrap();
    let fields: Vec<&str> = found[0].fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(fields, ["labels", "title"]);
    assert_eq!(found[0].fields[1].others[0].writer, None);
    list.tracker.settle("A-1", "labels", &Choice::Keep, None).unwrap();
    list.tracker.settle("A-1", "title", &Choice::Take(1), None).unwrap();
    assert_eq!(list.field("A-1", "title"), "ours");
    assert!(list.field("A-1", "conflicts").is_null());
}

#[test]
fn the_index_of_commits_can_be_made_anew_from_the_commits() {
    use std::ops::ControlFlow;
    use x0x_tracker::store::{Holder, Store, StoreLock, Table, Tables};
    let (mut a, mut b) = pair();
    a.import(&(record("A-1", &[]) + &record("A-2", &[])));
    exchange(&mut a, &mut b);
    b.set("A-2", "title", "\"b\"");
    exchange(&mut a, &mut b);
    a.set("A-1", "title", "\"a\"");
    let wanted = log(&a, "A-2");
    let List { dir, tracker, .. } = a;
    drop(tracker);
    let holder = Holder { pid: 0, role: "test".to_owned(), api: None, version: String::new() };
    let lock = StoreLock::try_acquire(dir.path(), &holder).unwrap().unwrap();
    let store = Store::open_to_write(&dir.path().join("list.redb")).unwrap();
    let entries = |tables: &dyn Tables| {
        let mut entries = Vec::new();
        for table in [Table::Touches, Table::Hashes] {
            let mut keep = |key: &[u8], value: &[u8]| {
                entries.push((key.to_vec(), value.to_vec()));
                Ok(ControlFlow::Continue(()))
            };
            tables.visit(table, &[], &mut keep).unwrap();
        }
        entries
    };
    let before = entries(&store.read().unwrap());
    assert_eq!(before.len(), 4 + 3);
    let writing = store.write().unwrap();
    writing.remove_prefix(Table::Touches, &[]).unwrap();
    writing.put(Table::Hashes, b"stray", b"entry").unwrap();
    writing.index_commits().unwrap();
    writing.commit().unwrap();
    assert_eq!(entries(&store.read().unwrap()), before);
    drop((store, lock));
    let tracker = x0x_tracker::testing::open(dir.path(), 1).unwrap();
    let again = List { dir, tracker, last: String::new() };
    assert_eq!(log(&again, "A-2"), wanted);
}
