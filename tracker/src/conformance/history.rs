//! The cases on the history of issues.

use super::{change, create, edit, import, info, show};
use crate::document::steps::What;
use crate::interface::error::Fault;
use crate::interface::request::FieldChange;
use crate::interface::{Choice, LogFilter, Moment, Tracker, Undo};
use crate::timestamp::Timestamp;

pub(super) fn log_names_changes(tracker: &mut dyn Tracker) {
    create(tracker, "one");
    edit(tracker, "title", FieldChange::Set("\"two\"".to_owned()));
    edit(tracker, "labels", change(&["a"], &[]));
    let log = |filter: &LogFilter| tracker.log("T-0001", filter).expect("a log");
    let whole = log(&LogFilter::default());
    let fields: Vec<&str> =
        whole.entries[..2].iter().map(|entry| entry.step.edits[0].field.as_str()).collect();
    assert_eq!(fields, ["labels", "title"]);
    assert!(whole.entries[2].step.creates && !whole.more);
    let commits: Vec<_> = whole.entries.iter().map(|entry| entry.commit).collect();
    assert!(commits.iter().all(Option::is_some) && commits[0] != commits[1]);
    let cut = log(&LogFilter { field: Some("title".to_owned()), limit: Some(1) });
    assert_eq!((cut.entries.len(), cut.more), (1, true));
    let (from, to) = (Some("\"one\"".to_owned()), Some("\"two\"".to_owned()));
    assert_eq!(cut.entries[0].step.edits[0].what, What::Value { from, to });
    assert!(tracker.log("T-0009", &LogFilter::default()).is_err());
}

pub(super) fn earlier_states(tracker: &mut dyn Tracker) {
    let first = create(tracker, "one");
    edit(tracker, "title", FieldChange::Set("\"two\"".to_owned()));
    let log = tracker.log("T-0001", &LogFilter::default()).expect("a log");
    let begun = &log.entries[1];
    let hash = begun.commit.expect("a commit").hash.to_string();
    let mut moments = vec![Moment::Commit(hash[..16].to_owned())];
    // A tracker whose clock nobody turns may make both within the second that times are kept in.
    if begun.step.at < log.entries[0].step.at {
        moments.push(Moment::Time(begun.step.at));
    }
    for at in moments {
        let then = tracker.show_at("T-0001", &at).expect("a state");
        assert_eq!((&then.json, &then.row), (&first.json, &first.row));
    }
    let before = Moment::Time(Timestamp(begun.step.at.0 - 1));
    let error = tracker.show_at("T-0001", &before).expect_err("nothing was there");
    assert_eq!((error.code(), error.fault()), ("not_yet", Fault::NotFound));
}

pub(super) fn undo_restores(tracker: &mut dyn Tracker) {
    create(tracker, "one");
    edit(tracker, "title", FieldChange::Set("\"two\"".to_owned()));
    edit(tracker, "priority", FieldChange::Set("2".to_owned()));
    let log = tracker.log("T-0001", &LogFilter::default()).expect("a log");
    let titled = log.entries[1].commit.expect("a commit").hash.to_string();
    let commits = info(tracker).commits;
    let mut undo = |what: &str, dry_run: bool| {
        let undo = Undo { what: what.to_owned(), force: false, dry_run };
        tracker.undo(&undo, &mut |_| {})
    };
    let dry = undo("T-0001", true).expect("a dry run");
    assert_eq!(dry.issues[0].issue.row.priority, None);
    undo(&titled, false).expect("an undo of a commit");
    let nothing = undo(&titled, false).expect("it is so already");
    assert!(nothing.issues[0].restored.is_empty() && nothing.issues[0].left.is_empty());
    let again = undo("T-0001", false).expect("an undo of the undo");
    assert_eq!(again.issues[0].issue.row.title, "two");
    assert_eq!(info(tracker).commits, commits + 2);
    assert_eq!(show(tracker, "T-0001").row.priority, Some(2));
    edit(tracker, "title", FieldChange::Set("\"three\"".to_owned()));
    let undo = Undo { what: titled, ..Undo::default() };
    let error = tracker.undo(&undo, &mut |_| {}).expect_err("it was written again since");
    assert_eq!((error.code(), error.fault()), ("written_since", Fault::Conflict));
}

pub(super) fn conflicts_are_settled(tracker: &mut dyn Tracker) {
    import(tracker, "{\"id\":\"A-1\",\"title\":\"a\",\"conflicts\":{\"title\":[\"b\"]}}\n");
    create(tracker, "without");
    let found = tracker.conflicts(None).expect("conflicts");
    assert_eq!((found.len(), found[0].fields[0].field.as_str()), (1, "title"));
    assert!(tracker.settle("A-1", "title", &Choice::Take(2), None).is_err());
    let settled = tracker.settle("A-1", "title", &Choice::Take(1), None).expect("a choice");
    assert_eq!((settled.row.title.as_str(), settled.row.conflicts), ("b", 0));
    assert!(tracker.conflicts(Some("A-1")).expect("none")[0].fields.is_empty());
}
