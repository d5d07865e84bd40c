use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DAY_1: &str = "2026-01-01T00:00:00Z";
const DAY_2: &str = "2026-01-02T00:00:00Z";
const DAY_3: &str = "2026-01-03T00:00:00Z";

/// A record that was updated at some time, with more fields.
fn record(id: &str, updated_at: &str, more: Value) -> String {
    let mut record = json!({
        "id": id, "title": "title", "created_at": DAY_1, "updated_at": updated_at,
    });
    for (name, value) in more.as_object().expect("an object") {
        record[name] = value.clone();
    }
    format!("{record}\n")
}

fn two_way(ours: &str, theirs: &str) -> String {
    format!("<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> theirs\n")
}

fn three_way(base: &str, ours: &str, theirs: &str) -> String {
    format!("<<<<<<< HEAD\n{ours}||||||| base\n{base}=======\n{theirs}>>>>>>> theirs\n")
}

fn resolved(text: &str) -> Resolved {
    resolve(text.as_bytes()).expect("resolvable")
}

fn lines(resolved: &Resolved) -> Vec<Value> {
    let text = std::str::from_utf8(&resolved.text).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn ids(resolved: &Resolved) -> Vec<String> {
    lines(resolved).iter().map(|line| line["id"].as_str().expect("id").to_owned()).collect()
}

#[test]
fn a_file_without_conflicts_is_left_alone() {
    let odd = "{ \"id\":\"A\" ,\"title\":\"t\"}\r\n\n \n{\"title\":\"t\",\"id\":\"B\"}";
    for text in ["", "\n", odd] {
        let resolved = resolved(text);
        assert!(resolved.is_nothing());
        assert_eq!(resolved.text, text.as_bytes());
    }
}

#[test]
fn without_a_base_fields_are_united_and_the_later_value_counts() {
    let ours =
        record("A", DAY_3, json!({"title": "ours", "labels": ["a", "b"], "assignee": "ann"}));
    let theirs = record("A", DAY_2, json!({"title": "theirs", "labels": ["b", "c"], "url": "u"}));
    for text in [two_way(&ours, &theirs), two_way(&theirs, &ours), ours.clone() + &theirs] {
        let resolved = resolved(&text);
        let line = &lines(&resolved)[0];
        assert_eq!(ids(&resolved), ["A"]);
        assert_eq!(resolved.disputed, [("A".to_owned(), vec!["title".to_owned()])]);
        assert_eq!(resolved.merged, ["A"]);
        assert_eq!((&line["title"], &line["updated_at"]), (&json!("ours"), &json!(DAY_3)));
        assert_eq!((&line["assignee"], &line["url"]), (&json!("ann"), &json!("u")));
        let labels: BTreeSet<&str> =
            line["labels"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(labels, BTreeSet::from(["a", "b", "c"]));
        assert_eq!(line["conflicts"], json!({"title": ["ours", "theirs"]}));
    }
}

#[test]
fn of_equally_late_values_the_larger_counts_and_null_is_a_value() {
    let (ours, theirs) = (json!({"assignee": null}), json!({"assignee": "ann"}));
    let sides = [record("A", DAY_2, ours), record("A", DAY_2, theirs)];
    for text in [two_way(&sides[0], &sides[1]), two_way(&sides[1], &sides[0])] {
        let line = &lines(&resolved(&text))[0];
        assert_eq!(line["assignee"], Value::Null, "n is larger than a quote");
        assert_eq!(line["conflicts"], json!({"assignee": ["ann", null]}));
    }
}

#[test]
fn with_a_base_only_what_a_side_changed_counts() {
    let base = record("A", DAY_1, json!({"labels": ["a", "b"], "assignee": "ann"}));
    let ours = record("A", DAY_2, json!({"labels": ["b"], "assignee": "ann", "title": "ours"}));
    let theirs = record("A", DAY_3, json!({"labels": ["a", "b", "c"]}));
    let resolved = resolved(&three_way(&base, &ours, &theirs));
    let line = &lines(&resolved)[0];
    assert_eq!(resolved.disputed, []);
    assert_eq!((&line["title"], &line["labels"]), (&json!("ours"), &json!(["b", "c"])));
    assert_eq!((line.get("assignee"), line.get("conflicts")), (None, None));
}

#[test]
fn a_record_that_one_side_removed_goes_only_if_the_base_shows_it_unchanged() {
    let (base, edited) = (record("A", DAY_1, json!({})), record("A", DAY_2, json!({"n": 1})));
    let gone = resolved(&three_way(&base, &base, ""));
    assert_eq!((gone.text.as_slice(), &gone.removed[..]), (&b""[..], &["A".to_owned()][..]));
    assert_eq!(resolved(&three_way(&base, "", &base)).removed, ["A"]);
    assert_eq!(ids(&resolved(&three_way(&base, "", &edited))), ["A"]);
    assert_eq!(ids(&resolved(&two_way("", &base))), ["A"], "without a base nobody removed it");
    let moved = three_way(&base, &base, "") + &base;
    assert_eq!(ids(&resolved(&moved)), ["A"], "moved to elsewhere");
}

#[test]
fn what_one_side_moved_and_the_other_changed_is_one_record() {
    let (base, edited) = (record("A", DAY_1, json!({})), record("A", DAY_2, json!({"n": 1})));
    let other = record("B", DAY_1, json!({}));
    let resolved = resolved(&(three_way(&base, &edited, "") + &other + &base));
    assert_eq!(ids(&resolved), ["B", "A"]);
    assert_eq!((&lines(&resolved)[1]["n"], &resolved.disputed[..]), (&json!(1), &[][..]));
}

#[test]
fn lines_outside_markers_stay_byte_for_byte_and_in_order() {
    let (before, after) =
        ("{ \"id\":\"B\" ,\"title\":\"caf\\u00e9\"}\r\n\r\n", "{\"id\":\"C\",\"title\":\"t\"}");
    let a = |more| record("A", DAY_1, more);
    let text = format!("{before}{}{after}", two_way(&a(json!({"n": 1})), &a(json!({"m": 2}))));
    let resolved = resolved(&text);
    let both = a(json!({"n": 1, "m": 2}));
    let result = String::from_utf8(resolved.text.clone()).expect("text");
    assert!(result.starts_with(before) && result.ends_with(after), "{result}");
    assert_eq!(
        lines(&Resolved { text: result[before.len()..].into(), ..Resolved::default() })[0],
        serde_json::from_str::<Value>(&both).expect("JSON")
    );
}

#[test]
fn new_records_stand_behind_what_they_follow() {
    let new = |id: &str| record(id, DAY_1, json!({}));
    let ours = new("A") + &new("B");
    let theirs = new("0") + &new("A") + &new("X") + &new("Y");
    assert_eq!(ids(&resolved(&two_way(&ours, &theirs))), ["0", "A", "X", "Y", "B"]);
}

#[test]
fn more_than_two_lines_of_one_record_say_the_same_in_any_order() {
    let versions = [
        record("A", DAY_1, json!({"title": "x", "labels": ["1"]})),
        record("A", DAY_3, json!({"title": "z", "labels": ["2"], "note": "n"})),
        record("A", DAY_2, json!({"title": "y", "labels": ["3"], "state": "s"})),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let text: String = order.iter().map(|at: &usize| versions[*at].clone()).collect();
        let resolved = resolved(&text);
        let line = &lines(&resolved)[0];
        assert_eq!(resolved.repeated, 2);
        assert_eq!(
            (&line["title"], &line["note"], &line["state"]),
            (&json!("z"), &json!("n"), &json!("s"))
        );
        assert_eq!(line["conflicts"], json!({"title": ["x", "y", "z"]}));
        assert_eq!(line["labels"].as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn one_id_created_at_two_times_is_two_issues() {
    let theirs = record("A", DAY_1, json!({"created_at": DAY_2}));
    let resolved = resolved(&two_way(&record("A", DAY_1, json!({})), &theirs));
    assert_eq!(ids(&resolved), ["A", "A"]);
    assert_eq!((&resolved.collisions[..], &resolved.merged[..]), (&["A".to_owned()][..], &[][..]));
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_resolved() {
    let text = two_way("{\"id\":\"A\"}\n", "no\n") + "[1]\n";
    let problems = resolve(text.as_bytes()).expect_err("bad lines");
    let told: Vec<(usize, &str)> =
        problems.iter().map(|problem| (problem.line, problem.reason.as_str())).collect();
    let no_object = "the line is not a JSON object";
    assert_eq!(told, [(2, "the record has no title"), (4, no_object), (6, no_object)]);
}

#[test]
fn a_record_that_would_be_too_large_is_refused() {
    let labels = |from: usize| (from..from + 4_000).map(|n| n.to_string()).collect::<Vec<_>>();
    let side = |from| record("A", DAY_1, json!({"labels": labels(from)}));
    let problems = resolve(two_way(&side(0), &side(9_000)).as_bytes()).expect_err("too large");
    assert_eq!(problems[0].line, 2);
    assert!(
        problems[0].reason.starts_with("merged, this line would be no record: labels has 8000")
    );
}

/// One version of one of a few records.
fn version() -> impl Strategy<Value = String> {
    let date = prop::sample::select(vec![DAY_1, DAY_2, DAY_3]);
    let labels = prop::collection::btree_set("[a-d]", 0..4);
    let fields = (prop::option::of("[x-z]"), prop::option::of(labels));
    ("[A-D]", date.clone(), "[p-r]", fields, prop::bool::weighted(0.1)).prop_map(
        |(id, updated_at, title, (note, labels), is_other)| {
            let mut more = json!({"title": title});
            note.into_iter().for_each(|note| more["note"] = json!(note));
            labels.into_iter().for_each(|labels| more["labels"] = json!(labels));
            if is_other {
                more["created_at"] = json!(DAY_2);
            }
            record(&id, updated_at, more)
        },
    )
}

/// A stretch of a file: lines, with the versions in it that count.
fn stretch() -> impl Strategy<Value = (String, Vec<String>, bool)> {
    let versions = || prop::collection::vec(version(), 0..4);
    prop_oneof![
        versions().prop_map(|all| (all.concat(), all, false)),
        (versions(), versions()).prop_map(|(ours, theirs)| {
            (two_way(&ours.concat(), &theirs.concat()), [ours, theirs].concat(), false)
        }),
        (versions(), versions(), versions()).prop_map(|(base, ours, theirs)| {
            let text = three_way(&base.concat(), &ours.concat(), &theirs.concat());
            (text, [ours, theirs].concat(), true)
        }),
    ]
}

fn key(record: &Value) -> (String, String) {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    (text("id"), text("created_at"))
}

/// The values of a field in a line: the elements of a list, or the value and what contradicts it.
fn values(record: &Value, name: &str) -> BTreeSet<String> {
    let Some(value) = record.get(name) else { return BTreeSet::new() };
    let listed = record["conflicts"][name].as_array().cloned().unwrap_or_default();
    let own = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    own.iter().chain(&listed).map(ToString::to_string).collect()
}

proptest! {
    #[test]
    fn every_record_is_there_once_and_resolving_again_changes_nothing(
        stretches in prop::collection::vec(stretch(), 0..4),
    ) {
        let text: String = stretches.iter().map(|(text, ..)| text.as_str()).collect();
        let result = resolved(&text);
        let parsed = lines(&result);
        let there: Vec<_> = parsed.iter().map(key).collect();
        let unique: BTreeSet<_> = there.iter().cloned().collect();
        prop_assert_eq!(there.len(), unique.len());
        let sides: Vec<Value> = stretches
            .iter()
            .flat_map(|(_, versions, _)| versions)
            .map(|version| serde_json::from_str(version).expect("JSON"))
            .collect();
        for key in sides.iter().map(key) {
            prop_assert!(unique.contains(&key) || result.removed.contains(&key.0), "{:?}", key);
        }
        let again = resolved(&String::from_utf8(result.text.clone()).expect("text"));
        prop_assert!(again.is_nothing());
        prop_assert_eq!(again.text, result.text);
        // Without bases no value of any side is lost.
        if stretches.iter().all(|(.., has_base)| !has_base) {
            for side in &sides {
                let line = parsed.iter().find(|line| key(line) == key(side)).expect("there");
                for name in ["title", "note", "labels"] {
                    prop_assert!(values(line, name).is_superset(&values(side, name)), "{} {}", side, line);
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        lines in prop::collection::vec(
            prop_oneof![
                version(),
                prop::sample::select(vec!["<<<<<<< a\n", "||||||| b\n", "=======\n", ">>>>>>> c\n",
                    "<<<<<<<<<\n", "=========\n", ">>>>>>>>>\n", "=======", "\r\n", "x\n", "<<<<<<<x\n"])
                    .prop_map(str::to_owned),
            ],
            0..16,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let text = [lines.concat().into_bytes(), noise].concat();
        if let Ok(result) = resolve(&text) {
            prop_assert!(resolve(&result.text).is_ok_and(|again| again.is_nothing()));
        }
    }
}
