//! Lost edits: written again by their author, told by others, handed back by a neighbour.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "support/forks.rs"]
mod forked;
mod support;

use forked::{assert_sound, branch, copy_of, hand_back, hash_at, meet, roll_back};
use serde_json::{Value, json};
use support::{List, exchange, record, stream};
use x0x_tracker::interface::history::What;
use x0x_tracker::interface::request::{Comment, Ruling};
use x0x_tracker::interface::{Draft, Patch, Pick, Terms, Tracker, TrackerError};
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::{Role, Signed, Statement};
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::store::{Founding, Store};
use x0x_tracker::tasklist::{LOGS_PER_AGENT_MAX, Reissued};
use x0x_tracker::testing::{StandIn, StandInVerifier};

/// Makes lists of agents 1 and 2, which know the same issue T-0001.
fn pair() -> (List, List) {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    b.create("issue");
    exchange(&mut a, &mut b);
    (a, b)
}

/// Lets agent 2 write `lost`, which agent 1 learns, then put its store back and write `kept`, whose
/// branch counts, and both meet. Agent 1 writes `meanwhile` before that, beside the branch.
fn lose(
    lost: impl Fn(&mut List),
    kept: impl Fn(&mut List),
    meanwhile: impl Fn(&mut List),
) -> (List, List) {
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    lost(&mut b);
    let log = b.tracker.own_log().unwrap().unwrap();
    let other = hash_at(&b, log, 2);
    let mut early = List::member_of(&mut a, 3);
    stream(&a, &mut early, usize::MAX);
    meanwhile(&mut early);
    stream(&b, &mut a, usize::MAX);
    branch(&mut b, 2, &before, other, true, kept);
    stream(&early, &mut a, usize::MAX);
    stream(&early, &mut b, usize::MAX);
    meet(&mut a, &mut b);
    (a, b)
}

fn nothing(_: &mut List) {}

fn reissue(list: &mut List) -> Reissued {
    list.tracker.reissue(&mut |_| {}).unwrap()
}

/// Lets the author have its lost commits back and write them again; both have everything then.
fn bring_back(a: &mut List, b: &mut List) -> Reissued {
    assert!(hand_back(a, b, 2) > 0);
    let report = reissue(b);
    meet(a, b);
    for list in [&*a, &*b] {
        assert_sound(list);
        assert_eq!(list.tracker.lost().unwrap(), []);
    }
    assert_eq!(a.canonical(), b.canonical());
    let commits = b.commits();
    assert_eq!(reissue(b), Reissued::default());
    assert_eq!(hand_back(a, b, 2), 0, "what was written again is not taken again");
    assert_eq!(b.commits(), commits);
    report
}

#[test]
fn lost_edits_stand_beside_what_was_written_meanwhile() {
    let lost = |b: &mut List| {
        b.set("T-0001", "title", "\"lost 1\"");
        b.set("T-0001", "title", "\"lost 2\"");
        b.set("T-0001", "priority", "1");
        b.set("T-0001", "labels", "[\"lost\"]");
        b.tracker
            .comment("T-0001", &Comment { author: None, body: "lost".to_owned(), key: None })
            .unwrap();
    };
    let kept = |b: &mut List| drop(b.set("T-0001", "title", "\"kept\""));
    let meanwhile = |c: &mut List| drop(c.set("T-0001", "labels", "[\"other\"]"));
    let (mut a, mut b) = lose(lost, kept, meanwhile);
    assert_eq!(a.field("T-0001", "title"), "kept");
    assert_eq!(a.field("T-0001", "comments"), Value::Null);
    let told = a.tracker.lost().unwrap();
    let fields: Vec<&str> = told.iter().map(|lost| lost.field.as_str()).collect();
    assert_eq!(fields, ["title", "title", "priority", "labels", "comments"]);
    let agent = b.tracker.own_log().unwrap().unwrap().agent;
    assert!(told.iter().all(|lost| lost.author == agent && lost.name == "T-0001"));
    let to = Some("1".to_owned());
    assert_eq!(told[2].what, What::Value { from: Some("null".to_owned()), to });
    let report = bring_back(&mut a, &mut b);
    assert_eq!((report.commits, report.issues, report.waiting), (5, 1, 0));
    let mut titles = vec![a.field("T-0001", "title")];
    titles.extend(a.field("T-0001", "conflicts")["title"].as_array().unwrap().clone());
    titles.sort_by_key(ToString::to_string);
    assert_eq!(titles, ["kept", "lost 2"], "what its author overwrote is not disputed");
    assert_eq!(a.field("T-0001", "priority"), 1);
    assert_eq!(a.field("T-0001", "labels"), json!(["lost", "other"]));
    assert_eq!(a.field("T-0001", "comments").as_array().unwrap().len(), 1);
}

#[test]
fn what_is_said_already_is_not_written_again() {
    let same = |b: &mut List| drop(b.set("T-0001", "title", "\"the same\""));
    let kept = |b: &mut List| {
        b.set("T-0001", "title", "\"the same\"");
        b.set("T-0001", "title", "\"and on\"");
    };
    let (mut a, mut b) = lose(same, kept, nothing);
    assert_eq!(a.tracker.lost().unwrap(), []);
    let commits = b.commits();
    let report = bring_back(&mut a, &mut b);
    assert_eq!((report.commits, report.issues), (1, 0));
    assert_eq!(b.commits(), commits);
    assert_eq!(a.field("T-0001", "title"), "and on");
    assert_eq!(a.field("T-0001", "conflicts"), Value::Null);
}

#[test]
fn an_issue_that_was_created_in_a_lost_commit_comes_back_as_the_same() {
    let create = |b: &mut List| {
        b.create("lost issue");
        b.set("T-0002", "priority", "2");
    };
    let (mut a, mut b) = lose(create, |b| drop(b.set("T-0001", "priority", "4")), nothing);
    assert!(matches!(a.tracker.show("T-0002"), Err(TrackerError::NotFound { .. })));
    assert!(!a.tracker.lost().unwrap().is_empty());
    bring_back(&mut a, &mut b);
    assert_eq!(a.field("T-0002", "title"), "lost issue");
    assert_eq!(a.field("T-0002", "priority"), 2);
    assert_eq!(a.field("T-0002", "conflicts"), Value::Null);
}

#[test]
fn a_line_of_a_lost_issue_waits_in_its_file_until_that_comes_back() {
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    b.create("lost issue");
    let other = hash_at(&b, b.tracker.own_log().unwrap().unwrap(), 2);
    stream(&b, &mut a, usize::MAX);
    let file = a.export();
    branch(&mut b, 2, &before, other, true, |b| drop(b.set("T-0001", "priority", "4")));
    meet(&mut a, &mut b);
    assert_eq!(a.import(&file).writes(), 0);
    bring_back(&mut a, &mut b);
    let line = |file: &str, title: &str| {
        file.lines().find(|line| line.contains(title)).map(str::to_owned).unwrap()
    };
    let exported = a.export();
    assert_eq!(exported.lines().count(), 2);
    assert_eq!(line(&exported, "lost issue"), line(&file, "lost issue"));
    assert!(line(&exported, "T-0001").contains("\"priority\":4"));
}

#[test]
fn a_ruling_is_made_again_and_a_claim_is_told_as_lost() {
    let terms = || Terms { worker: "w".to_owned(), ttl_ms: None, ..Terms::default() };
    let lost = |b: &mut List| {
        b.tracker.claim(&Pick::Issue("T-0001".to_owned()), &terms()).unwrap();
        b.create("ruled");
        b.tracker.rule("T-0002", &Ruling::Done, Some("it is")).unwrap();
        b.create("ruled and opened again");
        b.tracker.rule("T-0003", &Ruling::Done, None).unwrap();
        b.tracker.rule("T-0003", &Ruling::Reopened, Some("it is not")).unwrap();
    };
    let (mut a, mut b) = lose(lost, |b| drop(b.set("T-0001", "priority", "4")), nothing);
    let report = bring_back(&mut a, &mut b);
    assert_eq!(report.passed_over, 1);
    assert_eq!(a.field("T-0001", "claim"), Value::Null);
    assert_eq!(a.field("T-0002", "state"), "done");
    assert_eq!(a.field("T-0003", "state"), "todo");
}

#[test]
fn a_worker_is_told_once_that_its_claim_is_gone() {
    // The store that claimed has the branch that does not count.
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    b.set("T-0001", "title", "\"first\"");
    stream(&b, &mut a, usize::MAX);
    let other = hash_at(&a, b.tracker.own_log().unwrap().unwrap(), 2);
    branch(&mut b, 2, &before, other, false, |b| {
        let terms = Terms { worker: "w".to_owned(), ttl_ms: None, ..Terms::default() };
        b.tracker.claim(&Pick::Issue("T-0001".to_owned()), &terms).unwrap();
    });
    meet(&mut a, &mut b);
    assert_eq!(b.field("T-0001", "claim"), Value::Null);
    let losses = b.tracker.losses("w").unwrap();
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert_eq!(b.tracker.losses("w").unwrap().len(), 0);
    let report = reissue(&mut b);
    assert_eq!((report.commits, report.passed_over), (1, 1));
    assert_sound(&b);
    let terms = Terms { worker: "w".to_owned(), ttl_ms: None, ..Terms::default() };
    b.tracker.claim(&Pick::Issue("T-0001".to_owned()), &terms).unwrap();
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_sound(&a);
}

#[test]
fn edits_of_another_agent_that_built_on_a_lost_branch_come_back_after_it() {
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    b.create("of b");
    let other = hash_at(&b, b.tracker.own_log().unwrap().unwrap(), 2);
    stream(&b, &mut a, usize::MAX);
    a.set("T-0002", "title", "\"a's title\"");
    a.create("of a");
    branch(&mut b, 2, &before, other, true, |b| drop(b.set("T-0001", "priority", "4")));
    meet(&mut a, &mut b);
    assert_eq!(a.canonical().lines().count(), 1);
    let report = reissue(&mut a);
    assert_eq!((report.commits, report.issues, report.waiting), (1, 1, 1), "b's issue is not here");
    assert!(!a.tracker.may_reissue().unwrap(), "until it is");
    assert_eq!(a.field("T-0003", "title"), "of a");
    assert_eq!(hand_back(&a, &mut b, 2), 1);
    reissue(&mut b);
    meet(&mut a, &mut b);
    assert_eq!(a.field("T-0002", "title"), "of b");
    assert!(a.tracker.may_reissue().unwrap());
    assert_eq!(reissue(&mut a).waiting, 0);
    assert!(!a.tracker.may_reissue().unwrap());
    meet(&mut a, &mut b);
    assert_eq!(a.field("T-0002", "title"), "a's title");
    assert_eq!(a.field("T-0002", "conflicts"), Value::Null);
    assert_eq!(a.canonical(), b.canonical());
    for list in [&a, &b] {
        assert_sound(list);
        assert_eq!(list.tracker.lost().unwrap(), []);
    }
}

#[test]
fn what_is_handed_back_later_stands_before_what_builds_on_it() {
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    b.create("lost issue");
    b.set("T-0002", "title", "\"lost title\"");
    stream(&b, &mut a, usize::MAX);
    let log = b.tracker.own_log().unwrap().unwrap();
    let other = hash_at(&a, log, 2);
    branch(&mut b, 2, &before, other, true, |b| drop(b.set("T-0001", "priority", "4")));
    meet(&mut a, &mut b);
    let lost = a.tracker.lost_commits_of(log.agent).unwrap();
    let later = lost.last().unwrap().commit.clone();
    let charter = b.tracker.charter().unwrap();
    let id = b.tracker.info().unwrap().list;
    let later = Proved::signed(later, id, &charter, &StandInVerifier).unwrap();
    assert_eq!(b.tracker.take_lost(&[later]).unwrap(), 1);
    assert_eq!(reissue(&mut b).waiting, 1);
    assert_eq!(hand_back(&a, &mut b, 2), 1);
    assert_eq!(reissue(&mut b).waiting, 0);
    assert_eq!(b.field("T-0002", "title"), "lost title");
    assert_eq!(b.field("T-0002", "conflicts"), Value::Null);
    meet(&mut a, &mut b);
    assert_eq!(a.tracker.lost().unwrap(), []);
    assert_sound(&b);
}

#[test]
fn a_store_that_learns_of_more_in_its_own_log_opens_another() {
    let (mut a, mut b) = pair();
    let before = copy_of(&mut b, 2);
    b.create("lost here, known to a");
    stream(&b, &mut a, usize::MAX);
    roll_back(&mut b, 2, &before);
    let log = b.tracker.own_log().unwrap().unwrap();
    meet(&mut a, &mut b);
    b.create("next");
    assert_ne!(b.tracker.own_log().unwrap(), Some(log));
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.canonical().lines().count(), 3);
    // The same, told by whoever knows.
    let log = b.tracker.own_log().unwrap().unwrap();
    b.tracker.abandon_log(x0x_tracker::id::LogId { nonce: [1; 8], ..log }).unwrap();
    b.create("in the same log");
    assert_eq!(b.tracker.own_log().unwrap(), Some(log));
    b.tracker.abandon_log(log).unwrap();
    b.create("in another");
    assert_ne!(b.tracker.own_log().unwrap(), Some(log));
    assert_sound(&b);
}

#[test]
fn with_as_many_logs_as_it_may_have_an_agent_goes_on_in_the_one_that_is_quiet_longest() {
    let (mut a, mut b) = pair();
    let mut logs = vec![b.tracker.own_log().unwrap().unwrap()];
    while logs.len() < LOGS_PER_AGENT_MAX {
        b.tracker.abandon_log(*logs.last().unwrap()).unwrap();
        b.create("in a log of its own");
        logs.push(b.tracker.own_log().unwrap().unwrap());
    }
    meet(&mut a, &mut b);
    let next = |b: &mut List| {
        b.tracker.abandon_log(b.tracker.own_log().unwrap().unwrap()).unwrap();
        b.create("once more");
        b.tracker.own_log().unwrap().unwrap()
    };
    let at = |log| logs.iter().position(|known| *known == log);
    assert_eq!(at(next(&mut b)), Some(0));
    assert_eq!(at(next(&mut b)), Some(1));
    assert_eq!(b.tracker.frontier().unwrap().position(logs[0]).unwrap().number, 2);
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.canonical().lines().count(), LOGS_PER_AGENT_MAX + 2);
    assert_sound(&a);
    assert_sound(&b);
}

/// Makes a list that agent `seed` attached from a file, without any statement of `founder`'s list.
fn attached(founder: &List, seed: u64) -> List {
    let dir = tempfile::tempdir().unwrap();
    let info = founder.tracker.info().unwrap();
    let founding =
        Founding { list: info.list, name: info.name, prefix: info.prefix, statement: None };
    Store::create(&dir.path().join("list.redb"), &founding).unwrap();
    let tracker = forked::open(dir.path(), seed);
    List { dir, tracker, last: String::new() }
}

/// Grants agent `seed` a role in `founder`'s list, and tells `list` everything.
fn grant(founder: &mut List, list: &mut List, seed: u64) {
    let statements = founder.tracker.statements().unwrap();
    let signer = StandIn::new(1);
    let grant = Statement::Grant {
        list: founder.tracker.info().unwrap().list,
        by: signer.agent(),
        member: StandIn::new(seed).public_key().to_vec(),
        role: Role::Worker,
        seen: vec![statements[0].hash()],
    };
    founder.tracker.admit_statement(&Signed::new(&grant, &signer).unwrap()).unwrap();
    for statement in founder.tracker.statements().unwrap() {
        list.tracker.admit_statement(&statement).unwrap();
    }
}

fn file_of_fifty() -> String {
    (0..50).map(|n| record(&format!("A-{n}"), &[])).collect()
}

#[test]
fn what_was_imported_and_edited_before_joining_is_taken_by_the_others_after_it() {
    let mut a = List::new(1);
    a.create("of the founder");
    let mut b = attached(&a, 2);
    b.import(&file_of_fifty());
    b.set("A-7", "title", "\"edited\"");
    b.tracker.edit("A-8", &Patch::default().set("state", "\"blocked\""), None).unwrap();
    b.tracker.create(&Draft::titled("created")).unwrap();
    let before = b.export();
    grant(&mut a, &mut b, 2);
    let report = b.tracker.adopt(&mut |_| {}).unwrap();
    assert_eq!((report.commits, report.issues, report.passed_over), (4, 51, 0));
    assert_eq!(b.import(&before).writes(), 0);
    assert_eq!(b.export(), before, "the file is as it was");
    assert_sound(&b);
    let commits = b.commits();
    assert!(commits <= 2, "{commits}");
    assert_eq!(b.tracker.adopt(&mut |_| {}).unwrap(), Reissued::default());
    assert_eq!(b.commits(), commits);
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.canonical().lines().count(), 52);
    assert_eq!(a.field("A-7", "title"), "edited");
    assert_sound(&a);
    // A hand edit of the file is one edit still.
    let file = b.export();
    let edited = file.replacen("\"title\":\"title\"", "\"title\":\"by hand\"", 1);
    assert_eq!(b.import(&edited).edited.len(), 1);
}

#[test]
fn issues_that_another_member_has_already_are_the_same_after_joining() {
    let mut a = List::new(1);
    a.import(&file_of_fifty());
    a.set("A-9", "priority", "1");
    a.set("A-10", "title", "\"a's\"");
    let mut b = attached(&a, 2);
    b.import(&file_of_fifty());
    b.set("A-9", "title", "\"b's\"");
    grant(&mut a, &mut b, 2);
    b.tracker.adopt(&mut |_| {}).unwrap();
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.canonical().lines().count(), 50);
    assert_eq!(a.field("A-9", "title"), "b's");
    assert_eq!(a.field("A-9", "priority"), 1);
    assert_eq!(a.field("A-10", "title"), "a's");
    assert!(!a.canonical().contains("conflicts"));
    // Also where the others' issues came first.
    let mut c = attached(&a, 3);
    c.import(&file_of_fifty());
    c.set("A-11", "title", "\"c's\"");
    grant(&mut a, &mut c, 3);
    stream(&a, &mut c, usize::MAX);
    c.tracker.adopt(&mut |_| {}).unwrap();
    meet(&mut a, &mut c);
    assert_eq!(a.canonical(), c.canonical());
    assert_eq!(a.field("A-11", "title"), "c's");
    assert!(!a.canonical().contains("conflicts"));
    for list in [&a, &b, &c] {
        assert_sound(list);
    }
}

#[test]
fn nothing_is_taken_back_before_the_agent_may_write() {
    let founder = List::new(1);
    let mut b = attached(&founder, 2);
    b.import(&record("A-1", &[]));
    let other = List::new(4).tracker.statements().unwrap();
    let error = b.tracker.admit_statement(&other[0]).unwrap_err();
    let is_other = matches!(error, TrackerError::Journal(JournalError::OtherList { .. }));
    assert!(is_other, "{error}");
    b.tracker.admit_statement(&founder.tracker.statements().unwrap()[0]).unwrap();
    let error = b.tracker.adopt(&mut |_| {}).unwrap_err();
    let is_refused = matches!(error, TrackerError::Journal(JournalError::NotAllowed { .. }));
    assert!(is_refused, "{error}");
    assert_eq!(b.commits(), 1);
    assert_eq!(b.canonical().lines().count(), 1);
}
