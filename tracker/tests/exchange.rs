//! Two stores that exchange commits: what each did stands, and both say the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use support::{List, exchange, give, record};
use x0x_tracker::interface::{Tracker, TrackerError};
use x0x_tracker::journal::commit::{Body, Commit, Entry, Header, body_hash, encode_body};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::StandIn;

fn pair() -> (List, List) {
    let mut a = List::new(1);
    let b = List::member_of(&mut a, 2);
    (a, b)
}

#[test]
fn edits_of_two_stores_that_imported_the_same_file_merge() {
    let (mut a, mut b) = pair();
    let file = record("A-1", &[]) + &record("A-2", &[]);
    a.import(&file);
    b.import(&file);
    a.set("A-1", "title", "\"from a\"");
    b.set("A-1", "priority", "1");
    a.set("A-2", "title", "\"a's\"");
    b.set("A-2", "title", "\"b's\"");
    exchange(&mut a, &mut b);
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.canonical().lines().count(), 2, "no issue is doubled");
    assert_eq!(a.field("A-1", "title"), "from a");
    assert_eq!(a.field("A-1", "priority"), 1);
    assert_eq!(a.field("A-1", "conflicts"), serde_json::Value::Null, "equal imports are none");
    let mut both = vec![a.field("A-2", "title"), a.field("A-2", "conflicts")["title"][0].clone()];
    both.sort_by_key(ToString::to_string);
    assert_eq!(both, ["a's", "b's"]);
    b.set("A-2", "title", "\"settled\"");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-2", "conflicts"), serde_json::Value::Null);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn one_number_taken_twice_is_shown_with_suffixes_from_then_on() {
    let (mut a, mut b) = pair();
    let (ours, theirs) = (a.create("ours"), b.create("theirs"));
    assert_eq!((ours.name.as_str(), theirs.name.as_str()), ("T-0001", "T-0001"));
    exchange(&mut a, &mut b);
    let error = a.tracker.show("T-0001").unwrap_err();
    let TrackerError::Ambiguous { candidates, .. } = error else { panic!("{error}") };
    assert_eq!(candidates.len(), 2);
    for name in &candidates {
        assert!(name.starts_with("T-0001-"), "{name}");
        assert_eq!(a.tracker.show(name).unwrap().row.id, b.tracker.show(name).unwrap().row.id);
    }
    assert_eq!(a.tracker.show(&ours.row.id).unwrap().row.title, "ours");
    assert_eq!(a.create("next").name, "T-0002");
}

#[test]
fn removing_and_moving_an_element_leaves_it_removed() {
    let (mut a, mut b) = pair();
    let file = record("A-1", &[("acceptance", "[\"one\",\"two\",\"three\"]")]);
    a.import(&file);
    exchange(&mut a, &mut b);
    a.set("A-1", "acceptance", "[\"two\",\"three\"]");
    b.set("A-1", "acceptance", "[\"two\",\"three\",\"one\"]");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "acceptance"), serde_json::json!(["two", "three"]));
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn removing_an_element_that_both_imported_removes_it() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    b.import(&record("A-1", &[("priority", "3")]));
    a.set("A-1", "labels", "[\"b\"]");
    exchange(&mut a, &mut b);
    assert_eq!(b.field("A-1", "labels"), serde_json::json!(["b"]));
    b.set("A-1", "labels", "[\"b\",\"a\"]");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "labels"), serde_json::json!(["b", "a"]), "it can come back");
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn an_import_that_comes_later_does_not_dispute_what_was_edited_since() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    a.set("A-1", "title", "\"one\"");
    a.set("A-1", "title", "\"two\"");
    // More fields, so that its operations count higher than those of the edits.
    let more = [("x1", "1"), ("x2", "2"), ("x3", "3"), ("x4", "4"), ("x5", "5"), ("zz", "6")];
    b.import(&record("A-1", &more));
    exchange(&mut a, &mut b);
    assert_eq!(b.field("A-1", "title"), "two");
    assert_eq!(b.field("A-1", "conflicts"), serde_json::Value::Null);
    b.import(&record("A-1", &more));
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn going_back_to_a_value_on_purpose_is_not_taken_for_an_import() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    exchange(&mut a, &mut b);
    a.set("A-1", "title", "\"other\"");
    a.set("A-1", "title", "\"title\"");
    b.set("A-1", "title", "\"new\"");
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.field("A-1", "conflicts")["title"].as_array().unwrap().len(), 1);
}

#[test]
fn an_edit_is_not_taken_for_an_import_because_it_is_the_first_of_its_field() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    exchange(&mut a, &mut b);
    a.set("A-1", "note", "\"one\"");
    a.set("A-1", "note", "\"two\"");
    b.set("A-1", "note", "\"one\"");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "conflicts")["note"].as_array().unwrap().len(), 1);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn commits_come_in_the_order_in_which_they_build_on_each_other() {
    let (mut a, mut b) = pair();
    a.create("one");
    give(&a, &mut b);
    b.set("T-0001", "title", "\"two\"");
    let theirs = x0x_tracker::journal::frontier::Frontier::default();
    let commits = b.tracker.commits_after(&theirs, usize::MAX).unwrap();
    let mut fresh = List::member_of(&mut a, 3);
    let alone = commits.last().unwrap().commit.clone();
    let error = fresh.tracker.admit(&[alone]).unwrap_err();
    assert!(error.to_string().contains("not here yet"), "{error}");
    assert_eq!(fresh.commits(), 0);
}

#[test]
fn what_is_known_already_changes_nothing() {
    let (mut a, mut b) = pair();
    a.create("one");
    let all = x0x_tracker::journal::frontier::Frontier::default();
    let commits: Vec<Commit> =
        a.tracker.commits_after(&all, 10).unwrap().into_iter().map(|s| s.commit).collect();
    b.tracker.admit(&commits).unwrap();
    let before = b.canonical();
    b.tracker.admit(&commits).unwrap();
    assert_eq!((b.canonical(), b.commits()), (before, 1));
}

#[test]
fn a_commit_is_refused_whole_whatever_is_wrong_with_it() {
    let (mut a, mut b) = pair();
    a.create("one");
    let all = x0x_tracker::journal::frontier::Frontier::default();
    let good = a.tracker.commits_after(&all, 1).unwrap()[0].commit.clone();
    let list = a.tracker.info().unwrap().list;
    let opened = good.open(list).unwrap();
    let mallory = StandIn::new(666);
    let resigned = |change: &dyn Fn(&mut Header), body: &Body, signer: &StandIn| {
        let body = encode_body(body);
        let mut header = Header { body: body_hash(&body), ..opened.header.clone() };
        change(&mut header);
        Commit::sign(&header, body, signer).unwrap()
    };
    let founder = StandIn::new(1);
    let body = &opened.body;
    let mut other_actor = opened.header.log;
    other_actor.nonce = [9; 8];
    let mut short = body.clone();
    short.entries[0].changes[0].pop();
    let mut twice = body.clone();
    let change = twice.entries[0].changes[0].clone();
    twice.entries[0].changes.push(change);
    let genesis_again = Body {
        entries: vec![Entry {
            changes: vec![body.entries[0].changes[0].clone()],
            birth: x0x_tracker::document::Birth { id: "other".to_owned(), created_at: None },
        }],
    };
    let forged = [
        ("flipped header", Commit { header: flip(&good.header), ..good.clone() }),
        ("flipped body", Commit { body: flip(&good.body), ..good.clone() }),
        ("no signature", Commit { signature: None, ..good.clone() }),
        ("another's signature", resigned(&|_| {}, body, &mallory)),
        ("not a member", resigned(&|h| h.log.agent = mallory.agent(), body, &mallory)),
        ("another list", resigned(&|h| h.list.0[0] ^= 1, body, &founder)),
        ("newer rules", resigned(&|h| h.rules += 1, body, &founder)),
        ("a gap", resigned(&|h| h.number = 2, body, &founder)),
        ("no charter", resigned(&|h| h.charter.clear(), body, &founder)),
        ("foreign actor", resigned(&|h| h.log = other_actor, body, &founder)),
        ("truncated change", resigned(&|_| {}, &short, &founder)),
        ("the same change twice", resigned(&|_| {}, &twice, &founder)),
        ("a change of another document", resigned(&|_| {}, &genesis_again, &founder)),
    ];
    for (what, commit) in forged {
        let result = b.tracker.admit(&[commit]);
        assert!(result.is_err(), "{what} was taken");
        assert_eq!((b.commits(), b.tracker.info().unwrap().issues), (0, 0), "{what}");
    }
    b.tracker.admit(&[good]).unwrap();
    assert_eq!(a.canonical(), b.canonical());
}

fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn taking_everything_out_on_several_sides_leaves_an_empty_list() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    exchange(&mut a, &mut b);
    a.set("A-1", "labels", "[\"a\"]");
    b.set("A-1", "labels", "[\"b\"]");
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "labels"), serde_json::json!([]));
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn elements_with_and_without_a_time_have_one_order_everywhere() {
    let (mut a, mut b) = pair();
    a.import(&record("A-1", &[]));
    exchange(&mut a, &mut b);
    let links = |who: &str| -> String {
        let link = |n: usize| match n % 3 {
            0 => format!("{{\"kind\":\"{who}\",\"url\":\"{n}\"}}"),
            1 => format!("{{\"kind\":\"{who}\",\"url\":\"{n}\",\"at\":\"soon\"}}"),
            _ => format!(
                "{{\"kind\":\"{who}\",\"url\":\"{n}\",\"at\":\"20{n:02}-01-01T00:00:00Z\"}}"
            ),
        };
        format!("[{}]", (10..50).map(link).collect::<Vec<_>>().join(","))
    };
    a.set("A-1", "links", &links("a"));
    b.set("A-1", "links", &links("b"));
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "links").as_array().unwrap().len(), 80);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn a_fork_of_a_log_is_not_taken_for_what_is_known() {
    let (mut a, mut b) = pair();
    a.create("one");
    give(&a, &mut b);
    let all = x0x_tracker::journal::frontier::Frontier::default();
    let good = a.tracker.commits_after(&all, 1).unwrap()[0].commit.clone();
    let opened = good.open(a.tracker.info().unwrap().list).unwrap();
    let body = encode_body(&Body::default());
    let header = Header { body: body_hash(&body), ..opened.header };
    let fork = Commit::sign(&header, body, &StandIn::new(1)).unwrap();
    let error = b.tracker.admit(&[fork]).unwrap_err();
    assert!(error.to_string().contains("another commit has that place"), "{error}");
}

#[test]
fn a_role_counts_under_the_charter_that_a_commit_names_and_no_earlier_one() {
    let (mut a, mut b) = pair();
    b.create("by the new member");
    let all = x0x_tracker::journal::frontier::Frontier::default();
    let good = b.tracker.commits_after(&all, 1).unwrap()[0].commit.clone();
    let opened = good.open(a.tracker.info().unwrap().list).unwrap();
    let founding = vec![a.tracker.statements().unwrap()[0].hash()];
    let header = Header { charter: founding, ..opened.header };
    let early = Commit::sign(&header, good.body.clone(), &StandIn::new(2)).unwrap();
    assert!(a.tracker.admit(&[early]).is_err());
    a.tracker.admit(&[good]).unwrap();
}

#[test]
fn a_store_that_was_copied_opens_a_log_of_its_own() {
    let mut original = List::new(1);
    original.create("before");
    let copy_dir = tempfile::tempdir().unwrap();
    std::fs::copy(original.dir.path().join("list.redb"), copy_dir.path().join("list.redb"))
        .unwrap();
    let mut copy = List {
        tracker: x0x_tracker::testing::open(copy_dir.path(), 1).unwrap(),
        dir: copy_dir,
        last: String::new(),
    };
    original.set("T-0001", "title", "\"original\"");
    copy.set("T-0001", "priority", "2");
    assert_eq!(copy.tracker.frontier().unwrap().0.len(), 2);
    exchange(&mut original, &mut copy);
    assert_eq!(original.canonical(), copy.canonical());
    assert_eq!(original.field("T-0001", "title"), "original");
    assert_eq!(original.field("T-0001", "priority"), 2);
}

#[test]
fn the_last_number_there_is_does_not_wrap_around() {
    let (mut a, mut b) = pair();
    a.create("one");
    let all = x0x_tracker::journal::frontier::Frontier::default();
    let good = a.tracker.commits_after(&all, 1).unwrap()[0].commit.clone();
    let opened = good.open(a.tracker.info().unwrap().list).unwrap();
    let numbered = |number, previous| {
        let header = Header { number, previous, ..opened.header.clone() };
        Commit::sign(&header, good.body.clone(), &StandIn::new(1)).unwrap()
    };
    let last = numbered(u64::MAX, Some(good.hash()));
    let mut unsigned = last.clone();
    unsigned.signature = None;
    let next = numbered(0, Some(last.hash()));
    for batch in
        [vec![last.clone()], vec![next.clone()], vec![last, next.clone()], vec![unsigned, next]]
    {
        b.tracker.admit(&batch).unwrap_err();
        assert_eq!(b.commits(), 0);
    }
    b.tracker.admit(&[good]).unwrap();
}

#[test]
fn a_change_of_thousands_of_operations_is_taken() {
    let (mut a, mut b) = pair();
    let list = |name: &str| {
        let elements: Vec<String> = (0..4_000).map(|n| format!("\"{name}{n}\"")).collect();
        format!("[{}]", elements.join(","))
    };
    let (labels, acceptance, validation) = (list("l"), list("a"), list("v"));
    let fields = [("labels", &*labels), ("acceptance", &*acceptance), ("validation", &*validation)];
    a.import(&record("A-1", &fields));
    exchange(&mut a, &mut b);
    assert_eq!(b.field("A-1", "validation").as_array().unwrap().len(), 4_000);
    b.set("A-1", "labels", "[]");
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.field("A-1", "labels"), serde_json::json!([]));
}
