//! Properties that hold for arbitrary records, edits and orders of exchange.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::{List, exchange, give};
use x0x_tracker::document::steps::What;
use x0x_tracker::interface::{FieldChange, ListChange, LogFilter, Moment, Patch, Tracker, Undo};
use x0x_tracker::issue::{elements_of, list_of};
use x0x_tracker::name::NAME_BYTES_MAX;

/// Any JSON value, as text in some spelling.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?",
        text(),
        Just("\"\\ud83d\\ude00 \\/ \\u00e9\"".to_owned()),
        Just("\"half \\ud800\"".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let object = prop::collection::btree_map("[a-z]{1,3}", inner, 0..4);
        prop_oneof![
            (list, space()).prop_map(|(items, space)| format!("[{space}{}]", items.join(","))),
            (object, space()).prop_map(|(fields, space)| {
                let fields: Vec<String> =
                    fields.iter().map(|(name, json)| format!("\"{name}\":{space}{json}")).collect();
                format!("{{{}}}", fields.join(&format!(",{space}")))
            }),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| serde_json::Value::from(text).to_string())
}

fn space() -> impl Strategy<Value = String> {
    "[ \t]{0,2}"
}

/// A record line: an id, a title, and any fields in any order, known names with any value included.
fn line(id: String) -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("labels".to_owned()),
        Just("blocked_by".to_owned()),
        Just("priority".to_owned()),
        Just("state".to_owned()),
        Just("links".to_owned()),
        Just("comments".to_owned()),
        Just("updated_at".to_owned()),
        Just("created_at".to_owned()),
        Just("claim".to_owned()),
        Just("conflicts".to_owned()),
        Just("identifier".to_owned()),
        Just("deleted_at".to_owned()),
        "[a-z_]{1,8}",
        "[ -~&&[^\"\\\\]]{1,4}",
    ];
    let fields = prop::collection::btree_map(name, json(), 0..6);
    let title = "[^\\pC]{0,20}[a-z]";
    (fields, title, space(), any::<prop::sample::Index>()).prop_map(
        move |(fields, title, space, at)| {
            let title = serde_json::Value::from(title);
            let mut pairs: Vec<String> = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "id" | "title" | "identifier"))
                // It is part of what a document is called, and so held to a bound.
                .filter(|(name, json)| *name != "created_at" || json.len() <= NAME_BYTES_MAX)
                .map(|(name, json)| format!("{}:{space}{json}", serde_json::Value::from(&**name)))
                .collect();
            pairs.insert(at.index(pairs.len() + 1), format!("\"id\":{space}\"{id}\""));
            pairs.insert(at.index(pairs.len() + 1), format!("\"title\":{space}{title}"));
            format!("{{{space}{}{space}}}", pairs.join(&format!(",{space}")))
        },
    )
}

fn file() -> impl Strategy<Value = String> {
    let lines: Vec<_> = (0..5).map(|n| line(format!("R-{n}"))).collect();
    let end = prop_oneof![Just("\n"), Just("\r\n")];
    (lines, end, any::<bool>())
        .prop_map(|(lines, end, closed)| lines.join(end) + if closed { end } else { "" })
}

/// One thing that somebody does to an issue.
#[derive(Clone, Debug)]
enum Act {
    Set(usize, &'static str, String),
    Label(usize, Vec<String>, Vec<String>),
}

fn act() -> impl Strategy<Value = Act> {
    let names = prop_oneof![Just("title"), Just("description"), Just("note")];
    let labels = || prop::collection::vec("[a-d]", 0..3);
    prop_oneof![
        (0..3usize, names, "[a-c]{1,2}").prop_map(|(at, name, text)| Act::Set(at, name, text)),
        (0..3usize, labels(), labels()).prop_map(|(at, add, remove)| Act::Label(at, add, remove)),
    ]
}

fn perform(list: &mut List, act: &Act) {
    let quoted = |texts: &[String]| texts.iter().map(|t| format!("\"{t}\"")).collect();
    let (at, patch) = match act {
        Act::Set(at, name, text) => (at, Patch::default().set_text(name, text)),
        Act::Label(at, add, remove) => {
            let change = ListChange { add: quoted(add), remove: quoted(remove) };
            (at, Patch { changes: vec![("labels".to_owned(), FieldChange::List(change))] })
        }
    };
    list.tracker.edit(&format!("R-{at}"), &patch, None).unwrap();
}

fn base_file() -> String {
    (0..3).map(|n| support::record(&format!("R-{n}"), &[])).collect()
}

/// Three members of one list, each with the same file imported on its own.
fn members() -> [List; 3] {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    let mut c = List::member_of(&mut a, 3);
    for statement in a.tracker.statements().unwrap() {
        b.tracker.admit_statement(&statement).unwrap();
        c.tracker.admit_statement(&statement).unwrap();
    }
    let mut all = [a, b, c];
    all.iter_mut().for_each(|list| drop(list.import(&base_file())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn import_then_export_gives_the_same_bytes(file in file()) {
        let mut list = List::new(1);
        list.import(&file);
        prop_assert_eq!(list.export(), &*file);
    }

    #[test]
    fn importing_again_changes_nothing(file in file()) {
        let mut list = List::new(1);
        list.import(&file);
        let (commits, canonical) = (list.commits(), list.canonical());
        let report = list.import(&file);
        prop_assert_eq!(report.writes(), 0);
        prop_assert_eq!((list.commits(), list.canonical()), (commits, canonical.clone()));
        // What was exported canonically says the same to another list.
        let mut other = List::new(2);
        other.import(&canonical);
        prop_assert_eq!(other.canonical(), canonical);
    }

    #[test]
    fn an_edit_changes_its_own_line_only(file in file(), at in 0..5usize) {
        let mut list = List::new(1);
        list.import(&file);
        let patch = Patch::default().set_text("title", "entirely new title");
        list.tracker.edit(&format!("R-{at}"), &patch, None).unwrap();
        let after = list.export();
        let mut differing = 0;
        for (n, (before, after)) in file.split('\n').zip(after.split('\n')).enumerate() {
            if before != after {
                differing += 1;
                prop_assert_eq!(n, at);
            }
        }
        prop_assert_eq!(differing, 1);
    }

    #[test]
    fn import_never_undoes_an_edit_that_the_file_did_not_make(
        acts in prop::collection::vec(act(), 1..6),
        priority in 1..5u8,
        dated in any::<bool>(),
    ) {
        let mut list = List::new(1);
        list.import(&base_file());
        acts.iter().for_each(|act| perform(&mut list, act));
        let before: Vec<_> = (0..3).map(|n| fields_of(&list, n)).collect();
        let date = if dated { "\"2030-01-01T00:00:00Z\"" } else { "\"2026-01-01T00:00:00Z\"" };
        let priority = priority.to_string();
        let changes = [("priority", priority.as_str()), ("updated_at", date)];
        let file: String =
            (0..3).map(|n| support::record(&format!("R-{n}"), &changes)).collect();
        list.import(&file);
        for (n, before) in before.iter().enumerate() {
            prop_assert_eq!(&fields_of(&list, n), before);
            prop_assert_eq!(list.field(&format!("R-{n}"), "priority").to_string(), &*priority);
        }
    }

    #[test]
    fn after_edits_on_both_sides_the_file_says_what_the_list_says(
        acts in prop::collection::vec(act(), 1..6),
        more in prop::collection::vec(act(), 0..4),
        at in 0..3usize,
        dated in any::<bool>(),
    ) {
        let mut list = List::new(1);
        list.import(&base_file());
        acts.iter().for_each(|act| perform(&mut list, act));
        let date = if dated { "\"2030-01-01T00:00:00Z\"" } else { "\"2026-01-01T00:00:00Z\"" };
        let changes = [("title", "\"by hand\""), ("labels", "[\"b\",\"z\"]"), ("updated_at", date)];
        let file: String = (0..3)
            .map(|n| support::record(&format!("R-{n}"), if n == at { &changes } else { &[] }))
            .collect();
        let report = list.import(&file);
        // What was passed over waits in the file for a decision, so there the two may differ.
        prop_assume!(report.old_news.is_empty());
        more.iter().for_each(|act| perform(&mut list, act));
        let exported = list.export();
        let mut other = List::new(2);
        other.import(&exported);
        prop_assert_eq!(other.canonical(), list.canonical());
    }

    #[test]
    fn replicas_agree_whatever_the_order_and_however_often_they_exchange(
        acts in prop::collection::vec((0..3usize, act()), 0..10),
        meetings in prop::collection::vec((0..3usize, 0..3usize, 0..10usize), 0..6),
    ) {
        let mut lists = members();
        for (step, (who, act)) in acts.iter().enumerate() {
            for (from, to, _) in meetings.iter().filter(|(_, _, when)| *when == step) {
                meet(&mut lists, *from, *to);
            }
            perform(&mut lists[*who], act);
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1), (0, 1)] {
            meet(&mut lists, from, to);
            meet(&mut lists, to, from);
        }
        prop_assert_eq!(lists[0].canonical(), lists[1].canonical());
        prop_assert_eq!(lists[1].canonical(), lists[2].canonical());
    }

    #[test]
    fn every_earlier_state_is_shown_as_it_was(acts in prop::collection::vec(act(), 1..12)) {
        let mut list = List::new(1);
        list.import(&base_file());
        let mut seen = vec![states(&list)];
        for act in &acts {
            perform(&mut list, act);
            seen.push(states(&list));
        }
        for n in 0..3 {
            let name = format!("R-{n}");
            let log = list.tracker.log(&name, &LogFilter::default()).unwrap().entries;
            let mut versions: Vec<_> = seen.iter().map(|states| states[n].clone()).collect();
            versions.dedup();
            prop_assert_eq!(log.len(), versions.len());
            for (entry, wanted) in log.iter().rev().zip(versions) {
                let at = Moment::Time(entry.step.at);
                prop_assert_eq!(list.tracker.show_at(&name, &at).unwrap().json, wanted.clone());
                let at = Moment::Commit(entry.commit.unwrap().hash.to_string());
                prop_assert_eq!(list.tracker.show_at(&name, &at).unwrap().json, wanted);
            }
        }
    }

    #[test]
    fn undoing_gives_what_was_before_and_undoing_that_what_was_after(
        acts in prop::collection::vec(act(), 1..8),
        other in act(),
    ) {
        let [mut list, mut elsewhere, _] = members();
        perform(&mut elsewhere, &other);
        let (last, before) = acts.split_last().unwrap();
        before.iter().for_each(|act| perform(&mut list, act));
        exchange(&mut list, &mut elsewhere);
        let (Act::Set(at, ..) | Act::Label(at, ..)) = last;
        let before = undated(&list, *at);
        let commits = list.commits();
        perform(&mut list, last);
        prop_assume!(list.commits() > commits);
        let after = undated(&list, *at);
        let undo = Undo { what: format!("R-{at}"), ..Undo::default() };
        list.tracker.undo(&undo, &mut |_| {}).unwrap();
        prop_assert_eq!(undated(&list, *at), before);
        list.tracker.undo(&undo, &mut |_| {}).unwrap();
        prop_assert_eq!(undated(&list, *at), after);
    }

    #[test]
    fn a_log_leads_from_nothing_to_what_the_issue_says(
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let mut list = List::new(1);
        list.import(&base_file());
        acts.iter().for_each(|act| perform(&mut list, act));
        for n in 0..3 {
            let log = list.tracker.log(&format!("R-{n}"), &LogFilter::default()).unwrap();
            let mut fields: BTreeMap<String, String> = BTreeMap::new();
            for edit in log.entries.iter().rev().flat_map(|entry| &entry.step.edits) {
                let now = fields.get(&edit.field).cloned();
                let then = match &edit.what {
                    What::Value { from, to } => {
                        prop_assert_eq!(&now, from);
                        to.clone()
                    }
                    What::List { added, removed, .. } => {
                        let mut elements = now.as_deref().map(elements_of).unwrap_or_default();
                        elements.retain(|element| !removed.contains(element));
                        elements.extend(added.iter().cloned());
                        elements.sort();
                        Some(list_of(&elements))
                    }
                };
                match then {
                    Some(json) => drop(fields.insert(edit.field.clone(), json)),
                    None => drop(fields.remove(&edit.field)),
                }
            }
            for field in ["title", "description", "note", "state"] {
                let said = fields.get(field).map_or_else(|| "null".to_owned(), String::clone);
                prop_assert_eq!(list.field(&format!("R-{n}"), field).to_string(), said);
            }
            let mut labels = elements_of(&list.field(&format!("R-{n}"), "labels").to_string());
            labels.sort();
            prop_assert_eq!(elements_of(&fields["labels"]), labels);
        }
    }

    #[test]
    fn merging_is_the_same_whoever_comes_first(a in act(), b in act(), c in act()) {
        let [mut first, mut second, mut third] = members();
        perform(&mut first, &a);
        perform(&mut second, &b);
        perform(&mut third, &c);
        let mut left = List::member_of(&mut first, 4);
        let mut right = List::member_of(&mut first, 5);
        for list in [&mut left, &mut right] {
            for statement in first.tracker.statements().unwrap() {
                list.tracker.admit_statement(&statement).unwrap();
            }
        }
        for from in [&first, &second, &third, &first] {
            give(from, &mut left);
        }
        give(&second, &mut right);
        exchange(&mut first, &mut third);
        give(&first, &mut right);
        prop_assert_eq!(left.canonical(), right.canonical());
    }
}

/// The records of the three issues.
fn states(list: &List) -> Vec<Option<String>> {
    (0..3).map(|n| list.tracker.show(&format!("R-{n}")).unwrap().json).collect()
}

/// A record without `updated_at`.
fn undated(list: &List, n: usize) -> serde_json::Value {
    let json = list.tracker.show(&format!("R-{n}")).unwrap().json.unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    value.as_object_mut().unwrap().remove("updated_at");
    value
}

fn fields_of(list: &List, n: usize) -> Vec<serde_json::Value> {
    ["title", "description", "note", "labels", "state"]
        .map(|field| list.field(&format!("R-{n}"), field))
        .to_vec()
}

fn meet(lists: &mut [List; 3], from: usize, to: usize) {
    if from != to {
        let [giver, taker] = lists.get_disjoint_mut([from, to]).unwrap();
        give(giver, taker);
    }
}

#[test]
fn taking_nothing_out_of_a_list_that_two_made_empty_writes_nothing() {
    let [mut list, mut elsewhere, _] = members();
    perform(&mut elsewhere, &Act::Label(1, vec![], vec!["b".to_owned()]));
    perform(&mut list, &Act::Label(1, vec![], vec!["a".to_owned()]));
    exchange(&mut list, &mut elsewhere);
    let commits = list.commits();
    perform(&mut list, &Act::Label(1, vec![], vec![]));
    assert_eq!(list.commits(), commits);
    assert_eq!(list.field("R-1", "labels"), serde_json::json!([]));
}
