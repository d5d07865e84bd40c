//! What every implementation of [`Tracker`] must do, as one suite that any of them can be run
//! through: the embedded store here, a client of a node elsewhere.
//!
//! Panics with a sentence where an implementation does something else.

mod claims;
mod history;
mod members;

use std::ops::ControlFlow;

use crate::id::Version;
use crate::interface::request::{
    Comment, Draft, ExportFrom, FieldChange, Filter, ImportOptions, ListChange, Patch, Ruling,
};
use crate::interface::{Agenda, ImportReport, Open, Reason, Shown, Tracker, TrackerError};

/// Runs every case, each on an empty list of its own with the prefix `T`.
pub fn run(mut empty: impl FnMut() -> Box<dyn Tracker>) {
    for (name, case) in CASES {
        let mut tracker = empty();
        println!("conformance: {name}");
        case(tracker.as_mut());
    }
}

type Case = fn(&mut dyn Tracker);

const CASES: &[(&str, Case)] = &[
    ("a new issue has every field that x0x always writes", new_issue_has_all_fields),
    ("identifiers count up", identifiers_count_up),
    ("an issue answers to id, identifier and unique prefix", names_resolve),
    ("bad input is refused and writes nothing", bad_input_is_refused),
    ("an edit that changes nothing writes nothing", empty_edit_writes_nothing),
    ("a stale version is refused", stale_version_is_refused),
    ("lists change by element", lists_change_by_element),
    ("comments are kept in order", comments_are_kept),
    ("what is wished once is made once", wishes_are_made_once),
    ("rulings end and reopen", rulings_end_and_reopen),
    ("blockers hold back until they end", blockers_hold_back),
    ("rings are refused by hand and named after an import", rings_are_named),
    (
        "several edits are made together or not at all",
        several_edits_are_made_together_or_not_at_all,
    ),
    ("dispatch goes by priority, age and name", dispatch_order),
    ("lists page without gaps", lists_page),
    ("filters apply together", filters_apply),
    ("import and export give the same bytes", round_trip),
    ("an edited issue changes its own line only", one_line_changes),
    ("a dry run writes nothing", dry_run_writes_nothing),
    ("bad lines stop an import, or are passed over", bad_lines),
    ("one worker gets an issue, others are told who has it", claims::one_worker_gets_an_issue),
    ("a claim is kept, given up and handed off", claims::a_claim_is_kept_given_up_and_handed_off),
    ("who lost a claim is told once", claims::who_lost_a_claim_is_told_once),
    ("the only maintainer is shown and stays", members::the_only_maintainer_is_shown_and_stays),
    ("a log names each change with its commit, newest first", history::log_names_changes),
    ("an earlier state is shown as it was", history::earlier_states),
    ("undo restores, and does it again when repeated", history::undo_restores),
    ("what a file disputes is listed and settled", history::conflicts_are_settled),
];

fn new_issue_has_all_fields(tracker: &mut dyn Tracker) {
    let shown = create(tracker, "Title");
    let json = shown.json.as_deref().expect("a created issue is answered whole");
    let value: serde_json::Value = serde_json::from_str(json).expect("a record is JSON");
    let names: Vec<&str> =
        value.as_object().expect("a record is an object").keys().map(String::as_str).collect();
    let wanted = [
        "id",
        "identifier",
        "title",
        "description",
        "priority",
        "state",
        "branch_name",
        "url",
        "labels",
        "blocked_by",
        "created_at",
        "updated_at",
    ];
    assert_eq!(names, wanted);
    assert_eq!(value["state"], "todo");
    assert_eq!(value["labels"], serde_json::json!([]));
    assert!(crate::id::is_opaque_issue_id(&shown.row.id), "{}", shown.row.id);
}

fn identifiers_count_up(tracker: &mut dyn Tracker) {
    assert_eq!(create(tracker, "a").name, "T-0001");
    assert_eq!(create(tracker, "b").name, "T-0002");
    let own = Draft::titled("c").with("identifier", "\"T-0041\"");
    assert_eq!(tracker.create(&own).expect("a free identifier").name, "T-0041");
    assert_eq!(create(tracker, "d").name, "T-0042");
    let taken = tracker.create(&own).expect_err("a taken identifier");
    assert!(matches!(taken, TrackerError::Invalid { .. }), "{taken}");
}

fn names_resolve(tracker: &mut dyn Tracker) {
    let shown = create(tracker, "a");
    create(tracker, "b");
    for name in [&shown.row.id, &shown.name, &shown.row.id[..shown.row.id.len() - 2].to_owned()] {
        assert_eq!(tracker.show(name).expect("a name of the issue").row.id, shown.row.id);
    }
    let error = tracker.show("T-000").expect_err("a prefix of two");
    assert!(matches!(error, TrackerError::Ambiguous { .. }), "{error}");
    let error = tracker.show("X").expect_err("no such issue");
    assert_eq!(error.code(), "not_found");
}

fn bad_input_is_refused(tracker: &mut dyn Tracker) {
    let shown = create(tracker, "a");
    for (field, json) in [
        ("title", "\"\""),
        ("title", "\"  \""),
        ("title", "7"),
        ("state", "\"wont_fix\""),
        ("priority", "0"),
        ("priority", "5"),
        ("priority", "\"high\""),
        ("labels", "\"bug\""),
        ("id", "\"x\""),
        ("created_at", "\"x\""),
        ("updated_at", "\"x\""),
        ("claim", "{}"),
        ("identifier", "\"a b\""),
        ("deleted_at", "\"soon\""),
        ("links", "[\"x\"]"),
        ("description", "7"),
        ("acceptance", "[7]"),
    ] {
        let error = tracker
            .edit(&shown.name, &Patch::default().set(field, json), None)
            .expect_err(&format!("{field} {json}"));
        assert!(matches!(error, TrackerError::Invalid { .. }), "{field} {json}: {error}");
        assert!(!error.hint().is_empty());
    }
    let oversize = Patch::default().set_text("title", &"x".repeat(1_025));
    assert!(tracker.edit(&shown.name, &oversize, None).is_err());
    let blocked = Patch::default().set("blocked_by", "[\"T-9999\"]");
    let error = tracker.edit(&shown.name, &blocked, None).expect_err("an unknown blocker");
    assert_eq!(error.code(), "not_found");
    assert_eq!(show(tracker, &shown.name), shown);
    assert!(tracker.create(&Draft::default()).is_err());
}

fn empty_edit_writes_nothing(tracker: &mut dyn Tracker) {
    let shown = create(tracker, "a");
    let commits = info(tracker).commits;
    let same = Patch::default().set_text("title", "a").set("labels", "[]").set("priority", "null");
    assert_eq!(tracker.edit(&shown.name, &same, None).expect("an edit"), shown);
    assert_eq!(info(tracker).commits, commits);
}

fn stale_version_is_refused(tracker: &mut dyn Tracker) {
    let first = create(tracker, "a");
    let patch = |title: &str| Patch::default().set_text("title", title);
    let second = tracker.edit("T-0001", &patch("b"), Some(first.row.version)).expect("an edit");
    assert_ne!(first.row.version, second.row.version);
    let error = tracker.edit("T-0001", &patch("c"), Some(first.row.version)).expect_err("stale");
    assert!(matches!(error, TrackerError::VersionMismatch { .. }), "{error}");
    let never = Version([0; 8]);
    assert!(tracker.edit("T-0001", &patch("c"), Some(never)).is_err());
    assert_eq!(show(tracker, "T-0001").row.title, "b");
}

fn lists_change_by_element(tracker: &mut dyn Tracker) {
    create(tracker, "a");
    let add = |labels: &[&str]| change(labels, &[]);
    let labels = |shown: Shown| shown.row.labels;
    assert_eq!(labels(edit(tracker, "labels", add(&["Bug", " net ", "bug"]))), ["bug", "net"]);
    assert_eq!(labels(edit(tracker, "labels", change(&["ui"], &["bug"]))), ["net", "ui"]);
    assert_eq!(labels(edit(tracker, "labels", change(&[], &["net", "ui", "x"]))), [""; 0]);
    let json = show(tracker, "T-0001").json.unwrap_or_default();
    assert!(json.contains("\"labels\":[]"), "{json}");
}

fn comments_are_kept(tracker: &mut dyn Tracker) {
    create(tracker, "a");
    for body in ["one", "two", "three"] {
        let comment = Comment { body: body.to_owned(), author: Some("ann".to_owned()), key: None };
        tracker.comment("T-0001", &comment).expect("a comment");
    }
    let json = show(tracker, "T-0001").json.unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&json).expect("a record is JSON");
    let bodies: Vec<&str> = value["comments"]
        .as_array()
        .expect("comments are a list")
        .iter()
        .filter_map(|comment| comment["body"].as_str())
        .collect();
    assert_eq!(bodies, ["one", "two", "three"]);
    let empty = Comment { body: " ".to_owned(), author: None, key: None };
    assert!(tracker.comment("T-0001", &empty).is_err());
}

fn wishes_are_made_once(tracker: &mut dyn Tracker) {
    let wish = |key: &str| Draft { key: Some(key.to_owned()), ..Draft::titled("wished") };
    let made = tracker.create(&wish("a")).expect("an issue");
    edit(tracker, "title", FieldChange::Set("\"edited since\"".to_owned()));
    let again = tracker.create(&wish("a")).expect("the same issue");
    assert_eq!((&again.row.id, again.row.title.as_str()), (&made.row.id, "edited since"));
    let named = |key: &str| wish(key).with("identifier", "\"T-0050\"");
    let own = tracker.create(&named("c")).expect("a free name");
    assert_eq!(tracker.create(&named("c")).expect("its own name").row.id, own.row.id);
    assert_ne!(own.row.id, made.row.id);
    let comment =
        |key: &str| Comment { body: "said".to_owned(), author: None, key: Some(key.to_owned()) };
    for (name, key, comments) in
        [("T-0001", "a", 1), ("T-0001", "a", 1), ("T-0001", "b", 2), ("T-0050", "a", 1)]
    {
        let shown = tracker.comment(name, &comment(key)).expect("a comment");
        assert_eq!(shown.row.comments, comments, "{name} {key}");
    }
    assert_eq!(info(tracker).issues, 2);
}

fn rulings_end_and_reopen(tracker: &mut dyn Tracker) {
    create(tracker, "a");
    create(tracker, "b");
    let mut rule = |ruling| tracker.rule("T-0001", &ruling, None).map(|shown| shown.row.state);
    let state = |name: &str| Some(name.to_owned());
    assert!(rule(Ruling::Reopened).is_err(), "an open issue cannot be reopened");
    assert_eq!(rule(Ruling::Done).expect("done"), state("done"));
    assert_eq!(rule(Ruling::Reopened).expect("reopened"), state("todo"));
    assert_eq!(rule(Ruling::Cancelled).expect("cancelled"), state("cancelled"));
    let of = |name: &str| Ruling::Duplicate { of: Some(name.to_owned()) };
    assert!(rule(of("T-0001")).is_err(), "an issue is no duplicate of itself");
    assert!(rule(of("T-0009")).is_err(), "the other issue must exist");
    assert_eq!(rule(of("T-0002")).expect("duplicate"), state("duplicate"));
    let json = show(tracker, "T-0001").json.unwrap_or_default();
    assert!(json.contains("duplicate_of"), "{json}");
}

fn blockers_hold_back(tracker: &mut dyn Tracker) {
    create(tracker, "first");
    create(tracker, "second");
    let patch = Patch::default().set("blocked_by", "[\"T-0001\"]");
    let second = tracker.edit("T-0002", &patch, None).expect("an edit");
    let first = show(tracker, "T-0001");
    assert_eq!(second.row.blocked_by, [first.row.id]);
    let filter = Filter { with_json: true, explain: true, ..Filter::default() };
    let (open, agenda) = agenda(tracker, &filter);
    let [Open::Ready(first), Open::Waiting(second)] = &open[..] else { panic!("{open:?}") };
    assert_eq!(*first, show(tracker, "T-0001"));
    assert!(matches!(second.reason, Reason::BlockedBy(_)));
    assert_eq!((agenda.ready, agenda.waiting), (1, 1));
    assert_eq!(ready(tracker), ["T-0001"]);
    tracker.rule("T-0001", &Ruling::Done, None).expect("done");
    assert_eq!(ready(tracker), ["T-0002"]);
    let patch = Patch::default().set_text("state", "in_progress");
    tracker.edit("T-0002", &patch, None).expect("an edit");
    assert_eq!(ready(tracker), ["T-0002"], "what nobody claimed is offered");
    let patch = Patch::default().set_text("state", "blocked");
    tracker.edit("T-0002", &patch, None).expect("an edit");
    assert!(ready(tracker).is_empty(), "what is set aside is not offered");
}

fn several_edits_are_made_together_or_not_at_all(tracker: &mut dyn Tracker) {
    for title in ["a", "b", "c"] {
        create(tracker, title);
    }
    let on = |name: &str| Patch::default().set("blocked_by", &format!("[\"{name}\"]"));
    let edits = |pairs: &[(&str, &str)]| -> Vec<(String, Patch)> {
        pairs.iter().map(|(name, other)| ((*name).to_owned(), on(other))).collect()
    };
    let ring = edits(&[("T-0001", "T-0002"), ("T-0002", "T-0003"), ("T-0003", "T-0001")]);
    let refused = tracker.edit_all(&ring).expect_err("a ring through all three");
    assert!(matches!(refused, TrackerError::OneOfSeveral { place: 3, count: 3, .. }), "{refused}");
    assert!(show(tracker, "T-0001").row.blocked_by.is_empty(), "nothing was written");
    let edited = tracker.edit_all(&ring[..2]).expect("two edges");
    assert_eq!(edited.len(), 2);
    assert_eq!(edited[0], show(tracker, "T-0001"));
    assert_eq!(ready(tracker), ["T-0003"]);
}

fn rings_are_named(tracker: &mut dyn Tracker) {
    create(tracker, "a");
    create(tracker, "b");
    let on = |name: &str| Patch::default().set("blocked_by", &format!("[\"{name}\"]"));
    tracker.edit("T-0001", &on("T-0002"), None).expect("an edge");
    assert!(tracker.edit("T-0002", &on("T-0001"), None).is_err(), "a ring");
    assert!(tracker.edit("T-0001", &on("T-0001"), None).is_err(), "a ring of one");
    let ring = "{\"id\":\"P\",\"title\":\"p\",\"state\":\"todo\",\"blocked_by\":[\"Q\"]}\n\
                {\"id\":\"Q\",\"title\":\"q\",\"state\":\"todo\",\"blocked_by\":[\"P\"]}\n";
    import(tracker, ring);
    let (_, agenda) = agenda(tracker, &Filter::default());
    assert_eq!(agenda.cycles.len(), 1);
    let mut members = agenda.cycles[0].clone();
    members.sort();
    assert_eq!(members, ["P", "Q"]);
    assert_eq!(ready(tracker), ["T-0002"]);
}

fn dispatch_order(tracker: &mut dyn Tracker) {
    let file: String = [
        ("d", "null", "2026-01-01"),
        ("c", "9", "2026-01-03"),
        ("b", "2", "2026-01-02"),
        ("a2", "1", "2026-01-05"),
        ("a1", "1", "2026-01-05"),
    ]
    .iter()
    .map(|(id, priority, day)| {
        format!(
            "{{\"id\":\"{id}\",\"title\":\"t\",\"state\":\"todo\",\"priority\":{priority},\
             \"created_at\":\"{day}T00:00:00Z\"}}\n"
        )
    })
    .collect();
    import(tracker, &file);
    assert_eq!(ready(tracker), ["a1", "a2", "b", "d", "c"]);
}

fn lists_page(tracker: &mut dyn Tracker) {
    for n in 0..7 {
        create(tracker, &format!("issue {n}"));
    }
    let (mut names, mut after) = (Vec::new(), None);
    for page in 0..3 {
        let filter = Filter { limit: Some(3), after: after.clone(), ..Filter::default() };
        after = tracker
            .list(&filter, &mut |shown| {
                names.push(shown.name.clone());
                ControlFlow::Continue(())
            })
            .expect("a page");
        assert_eq!(after.is_none(), page == 2);
    }
    // Those of one millisecond stand in any order.
    names.sort();
    assert_eq!(names, (1..=7).map(|n| format!("T-{n:04}")).collect::<Vec<_>>());
    let filter = Filter { after: Some("zz".to_owned()), ..Filter::default() };
    assert!(tracker.list(&filter, &mut |_| ControlFlow::Continue(())).is_err());
}

fn filters_apply(tracker: &mut dyn Tracker) {
    let drafts = [
        Draft::titled("Alpha").with("labels", "[\"net\",\"bug\"]").with("priority", "1"),
        Draft::titled("beta").with("labels", "[\"net\"]").with("description", "\"an ALPHA b\""),
        Draft::titled("gamma").with("assignee", "\"ann\"").with("state", "\"review\""),
    ];
    for draft in &drafts {
        tracker.create(draft).expect("a draft");
    }
    let comment = Comment { body: "needle".to_owned(), author: None, key: None };
    tracker.comment("T-0003", &comment).expect("a comment");
    let text = |text: &str| Some(text.to_owned());
    let strings = |texts: &[&str]| texts.iter().copied().filter_map(text).collect::<Vec<_>>();
    let all = Filter::default;
    for (filter, wanted) in [
        (Filter { labels: strings(&["net"]), ..all() }, "T-0001 T-0002"),
        (Filter { labels: strings(&["net", "bug"]), ..all() }, "T-0001"),
        (Filter { states: strings(&["REVIEW"]), ..all() }, "T-0003"),
        (Filter { priorities: vec![Some(1)], ..all() }, "T-0001"),
        (Filter { priorities: vec![None], ..all() }, "T-0002 T-0003"),
        (Filter { assignee: text("ann"), ..all() }, "T-0003"),
        (Filter { text: text("alpha"), ..all() }, "T-0001 T-0002"),
        (Filter { text: text("Needle"), ..all() }, "T-0003"),
        (Filter { text: text("state"), ..all() }, ""),
        (Filter { updated_since: text("2099-01-01T00:00:00Z"), ..all() }, ""),
        (Filter { text: text("alpha"), priorities: vec![Some(1)], ..all() }, "T-0001"),
    ] {
        assert_eq!(sorted_names(tracker, &filter).join(" "), wanted, "{filter:?}");
    }
    let soon = Filter { updated_since: text("soon"), ..all() };
    assert!(tracker.list(&soon, &mut |_| ControlFlow::Continue(())).is_err());
}

fn round_trip(tracker: &mut dyn Tracker) {
    let report = import(tracker, VARIED);
    assert_eq!(report.created.len(), 5);
    assert_eq!(export(tracker), VARIED);
    let commits = info(tracker).commits;
    let report = import(tracker, VARIED);
    assert_eq!((report.writes(), report.unchanged), (0, 5));
    assert_eq!(info(tracker).commits, commits);
}

fn one_line_changes(tracker: &mut dyn Tracker) {
    import(tracker, VARIED);
    tracker.edit("A-2", &Patch::default().set("priority", "1"), None).expect("an edit");
    let after = export(tracker);
    let changed: Vec<(&str, &str)> =
        VARIED.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 1, "{after}");
    let (before, after) = changed[0];
    assert!(before.contains("\"A-2\""));
    assert!(after.contains("\"priority\" : 1"), "{after}");
    assert!(after.contains("\"n\" : 1e3"), "{after}");
}

fn dry_run_writes_nothing(tracker: &mut dyn Tracker) {
    let options = ImportOptions { dry_run: true, ..ImportOptions::default() };
    let report = import_with(tracker, VARIED, &options).expect("a dry run");
    assert_eq!(report.created.len(), 5);
    assert_eq!((info(tracker).issues, info(tracker).commits), (0, 0));
}

fn bad_lines(tracker: &mut dyn Tracker) {
    let file = "{\"id\":\"a\",\"title\":\"t\"}\n{\"id\":\"b\"}\nnonsense\n{\"id\":\"a\",\"title\":\"u\"}\n";
    match import_with(tracker, file, &ImportOptions::default()) {
        Err(TrackerError::BadLines { problems, .. }) => {
            let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
            assert_eq!(lines, [2, 3, 4]);
        }
        other => panic!("bad lines were imported: {other:?}"),
    }
    assert_eq!(info(tracker).issues, 0);
    let options = ImportOptions { keep_going: true, ..ImportOptions::default() };
    let report = import_with(tracker, file, &options).expect("the good lines");
    assert_eq!((report.created.len(), report.problems.len()), (1, 3));
    assert_eq!(export(tracker), file, "lines that are no records stay where they are");
}

/// A file in the styles of several programs.
const VARIED: &str = "{\"id\":\"A-1\",\"identifier\":\"A-1\",\"title\":\"plain\",\"state\":\"todo\",\
\"labels\":[\"x\",\"y\"],\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"}\n\
{ \"title\" : \"spaced \\u00e9\" , \"id\" : \"A-2\" , \"priority\" : 3 , \"n\" : 1e3 }\n\
{\"id\": \"X-0069b\", \"title\": \"caf\u{e9}\", \"labels\": \"lone\", \"state\": \"wont_fix\"}\r\n\
\n\
{\"zeta\":{\"b\":[1.0,12345678901234567890],\"a\":null},\"id\":\"A-0\",\"title\":\"unsorted\"}\n\
{\"id\":\"A-3\",\"title\":\"no end of line\"}";

fn create(tracker: &mut dyn Tracker, title: &str) -> Shown {
    tracker.create(&Draft::titled(title)).expect("an issue with a title")
}

fn show(tracker: &dyn Tracker, name: &str) -> Shown {
    tracker.show(name).expect("an issue that is there")
}

fn info(tracker: &dyn Tracker) -> crate::interface::ListInfo {
    tracker.info().expect("a list that answers")
}

fn change(add: &[&str], remove: &[&str]) -> FieldChange {
    let texts = |texts: &[&str]| {
        texts.iter().map(|text| serde_json::Value::from(*text).to_string()).collect()
    };
    FieldChange::List(ListChange { add: texts(add), remove: texts(remove) })
}

fn edit(tracker: &mut dyn Tracker, field: &str, change: FieldChange) -> Shown {
    let patch = Patch { changes: vec![(field.to_owned(), change)] };
    tracker.edit("T-0001", &patch, None).expect("an edit")
}

fn ready(tracker: &dyn Tracker) -> Vec<String> {
    let (open, _) = agenda(tracker, &Filter::default());
    let name = |open| match open {
        Open::Ready(shown) => shown.name,
        Open::Waiting(waiting) => panic!("{} waits", waiting.issue.name),
    };
    open.into_iter().map(name).collect()
}

fn agenda(tracker: &dyn Tracker, filter: &Filter) -> (Vec<Open>, Agenda) {
    let mut visited = Vec::new();
    let agenda = tracker.agenda(filter, &mut |open| {
        visited.push(open);
        ControlFlow::Continue(())
    });
    (visited, agenda.expect("an agenda"))
}

fn sorted_names(tracker: &dyn Tracker, filter: &Filter) -> Vec<String> {
    let mut names = Vec::new();
    tracker
        .list(filter, &mut |shown| {
            names.push(shown.name.clone());
            ControlFlow::Continue(())
        })
        .expect("a list");
    names.sort();
    names
}

/// The name of the file that the cases import and export.
const FILE: &str = "/conformance/issues.jsonl";

fn import(tracker: &mut dyn Tracker, text: &str) -> ImportReport {
    import_with(tracker, text, &ImportOptions::default()).expect("a file without bad lines")
}

fn import_with(
    tracker: &mut dyn Tracker,
    text: &str,
    options: &ImportOptions,
) -> Result<ImportReport, TrackerError> {
    tracker.import(FILE, &mut text.as_bytes(), options, &mut |_| {})
}

fn export(tracker: &mut dyn Tracker) -> String {
    let mut output = Vec::new();
    let from = ExportFrom::File(FILE.to_owned());
    let report = tracker.export(&from, &mut output).expect("an export");
    tracker.exported(FILE, &report).expect("an export that is recorded");
    String::from_utf8(output).expect("an export is text")
}
