//! Logs that branched: which branch counts, what goes with the other, and what is left of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "support/forks.rs"]
mod forked;
mod support;

use forked::{assert_sound, branch, copy_of, hash_at, meet, roll_back, send, settle};
use support::{List, exchange, stream};
use x0x_tracker::document::{Document, Edit, admit};
use x0x_tracker::id::{CommitHash, LogId};
use x0x_tracker::interface::Tracker;
use x0x_tracker::journal::commit::{
    Body, Commit, Entry, Header, Position, body_hash, decode_body, encode_body,
};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::tasklist::{Outgoing, Settled, Verdict};
use x0x_tracker::testing::{START, StandIn};

/// Makes the lists of agents 1 to 3, which know of each other.
fn three() -> (List, List, List) {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    let mut c = List::member_of(&mut a, 3);
    stream(&a, &mut b, usize::MAX);
    stream(&a, &mut c, usize::MAX);
    (a, b, c)
}

/// Makes agent 2's log branch after its third commit: one branch is with `a`, with two commits of its
/// own and one of `a` that builds on them; the other is with `b` and `c`.
fn branched() -> (List, List, List) {
    let (mut a, mut b, mut c) = three();
    for n in 1..=3 {
        b.create(&format!("issue {n}"));
    }
    exchange(&mut a, &mut b);
    stream(&b, &mut c, usize::MAX);
    let before = copy_of(&mut b, 2);
    b.set("T-0001", "title", "\"first branch\"");
    b.create("only in the first branch");
    stream(&b, &mut a, usize::MAX);
    a.set("T-0001", "priority", "1");
    roll_back(&mut b, 2, &before);
    b.set("T-0001", "title", "\"second branch\"");
    b.set("T-0002", "title", "\"second branch\"");
    b.create("only in the second branch");
    stream(&b, &mut c, usize::MAX);
    c.set("T-0002", "priority", "2");
    (a, b, c)
}

#[test]
fn a_log_that_branched_ends_alike_whichever_branch_a_store_had() {
    let (mut a, mut b, mut c) = branched();
    let forked = [send(&a, &mut c), send(&c, &mut a)].concat();
    let log = *forked.first().unwrap();
    assert_eq!(log.agent, b.tracker.own_log().unwrap().unwrap().agent);
    let at_a = settle(&mut a, &c, log);
    // The headers that `a` had are those of the other branch: taken from a store that has them.
    let is_theirs = |settled: &Settled| matches!(settled, Settled::Theirs { .. });
    let at_c = match is_theirs(&at_a) {
        true => Settled::Ours { void: Vec::new() },
        false => settle(&mut c, &a, log),
    };
    assert_ne!(is_theirs(&at_a), is_theirs(&at_c), "{at_a:?} {at_c:?}");
    for list in [&a, &b, &c] {
        assert_sound(list);
    }
    meet(&mut a, &mut c);
    meet(&mut a, &mut b);
    meet(&mut b, &mut c);
    meet(&mut a, &mut c);
    for list in [&a, &b, &c] {
        assert_sound(list);
        assert_eq!(a.canonical(), list.canonical());
    }
    let title = a.field("T-0001", "title");
    let forks: Vec<_> = a.tracker.voids().unwrap();
    let fork = forks.iter().find_map(|(_, void)| void.fork.clone()).unwrap();
    let hash = |header: &[u8]| x0x_tracker::id::CommitHash::of(header);
    assert!(hash(&fork.counts) < hash(&fork.void));
    let is_first = title == "first branch";
    assert_eq!(a.field("T-0001", "priority") == 1, is_first, "what built on it went with it");
    assert_eq!(a.field("T-0002", "priority") == 2, !is_first);
    let others = if is_first { "second" } else { "first" };
    assert!(!a.canonical().contains(&format!("only in the {others} branch")));
}

#[test]
fn headers_of_another_place_tell_where_to_look() {
    let (mut a, mut b, _) = three();
    for n in 0..70 {
        b.set_or_create(n);
    }
    stream(&b, &mut a, usize::MAX);
    let before = copy_of(&mut b, 2);
    for n in 0..70 {
        b.set("T-0001", "estimate", &format!("{n}"));
    }
    stream(&b, &mut a, usize::MAX);
    roll_back(&mut b, 2, &before);
    for n in 0..140 {
        b.set("T-0001", "estimate", &format!("{}", n + 1_000));
    }
    let log = b.tracker.own_log().unwrap().unwrap();
    let id = a.tracker.info().unwrap().list;
    let charter = a.tracker.charter().unwrap();
    let mut at = |from: u64| {
        let run = b.tracker.headers(log, from).unwrap().unwrap();
        let run = run.prove(id, &charter, &x0x_tracker::testing::StandInVerifier).unwrap();
        a.tracker.settle_fork(&run).unwrap()
    };
    assert_eq!(at(200), Settled::Earlier { from: 77 });
    assert_eq!(at(130), Settled::Earlier { from: 66 });
    assert_eq!(at(1), Settled::Later { from: 65 });
    let settled = at(65);
    let is_theirs = matches!(settled, Settled::Theirs { .. });
    assert!(is_theirs || matches!(settled, Settled::Ours { .. }), "{settled:?}");
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_sound(&a);
    assert_sound(&b);
    b.create("in another log, if it lost");
    assert_eq!(b.tracker.own_log().unwrap().unwrap() == log, is_theirs);
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn a_file_does_not_take_a_retraction_for_an_edit() {
    for seed in 0..4 {
        let (mut a, mut b, _) = three();
        b.create("issue");
        b.create(&format!("other {seed}"));
        let before = copy_of(&mut b, 2);
        b.set("T-0001", "title", "\"first\"");
        b.create("new in the first");
        stream(&b, &mut a, usize::MAX);
        let file = a.export();
        assert_eq!(a.import(&file).writes(), 0);
        roll_back(&mut b, 2, &before);
        b.set("T-0001", "title", "\"second\"");
        b.create("new in the second");
        let file_of_b = b.export();
        meet(&mut a, &mut b);
        assert_eq!(a.canonical(), b.canonical());
        let (commits, canonical) = (a.commits(), a.canonical());
        // Whoever lost, its file says what does not count any more.
        for (list, file) in [(&mut a, &file), (&mut b, &file_of_b)] {
            let report = list.import(file);
            assert_eq!((report.writes(), report.missing.len()), (0, 0), "{report:?}");
            // Neither does a hand edit of another field bring it back.
            let edited: String = file
                .lines()
                .map(|line| match line.contains("T-0001") {
                    true => line.replace("\"priority\":null", "\"priority\":3") + "\n",
                    false => format!("{line}\n"),
                })
                .collect();
            assert_ne!(&edited, file);
            let report = list.import(&edited);
            assert_eq!(report.edited.len(), 1, "{report:?}");
            assert_eq!(report.edited[0].1, ["priority"], "{report:?}");
            assert!(report.created.is_empty(), "{report:?}");
            assert_sound(list);
            let exported = list.export();
            assert_eq!(list.import(&exported).writes(), 0);
            assert_eq!(exported.lines().count(), canonical.lines().count());
            assert_sound(list);
        }
        assert!(a.commits() > commits);
        meet(&mut a, &mut b);
        assert_eq!(a.canonical(), b.canonical());
    }
}

impl List {
    fn set_or_create(&mut self, n: usize) {
        match n {
            0 => drop(self.create("issue")),
            n => drop(self.set("T-0001", "estimate", &n.to_string())),
        }
    }
}

#[test]
fn what_is_left_of_a_log_can_be_proved_to_others_at_once() {
    for commits in [1, 2, 63, 64, 65] {
        let (mut a, mut b, _) = three();
        for n in 0..commits {
            b.set_or_create(n);
        }
        let before = copy_of(&mut b, 2);
        for n in 0..3 {
            b.create(&format!("first {n}"));
        }
        stream(&b, &mut a, usize::MAX);
        let log = b.tracker.own_log().unwrap().unwrap();
        let number = commits as u64 + 1;
        let other = hash_at(&a, log, number);
        branch(&mut b, 2, &before, other, true, |b| drop(b.create("second")));
        let settled = settle(&mut a, &b, log);
        let Settled::Theirs { retracted, documents } = settled else { panic!("{settled:?}") };
        assert_eq!((retracted.len(), documents), (3, 3), "{commits}");
        assert_eq!(a.tracker.frontier().unwrap().position(log).unwrap().number, number - 1);
        assert_sound(&a);
        let mut fresh = List::member_of(&mut a, 4);
        stream(&a, &mut fresh, 1_000);
        assert_eq!(a.canonical(), fresh.canonical());
        assert_sound(&fresh);
        stream(&b, &mut fresh, 1_000);
        stream(&fresh, &mut a, 1_000);
        assert_eq!((a.canonical(), b.canonical()), (fresh.canonical(), fresh.canonical()));
        assert_sound(&a);
    }
}

#[test]
fn a_change_that_builds_on_a_lost_one_goes_with_it_though_its_commit_does_not_say_so() {
    let (mut a, mut b, mut c) = three();
    b.create("issue");
    stream(&b, &mut a, usize::MAX);
    stream(&b, &mut c, usize::MAX);
    let before = copy_of(&mut b, 2);
    b.set("T-0001", "title", "\"first\"");
    stream(&b, &mut a, usize::MAX);
    let log = b.tracker.own_log().unwrap().unwrap();
    let other = hash_at(&a, log, 2);
    // Agent 3 builds on it, and names nothing.
    let three = StandIn::new(3);
    let liar = LogId { agent: three.agent(), nonce: [5; 8] };
    let entries = |commit: &Commit| decode_body(&commit.body).unwrap().entries.remove(0);
    let commits = a.tracker.commits_after(&Default::default(), 9).unwrap();
    let birth = entries(&commits[0].commit).birth;
    let mut document = Document::new(birth.clone());
    for sealed in &commits {
        let bytes = entries(&sealed.commit).changes.remove(0);
        document.admit(admit::check(&birth, &bytes, log).unwrap()).unwrap();
    }
    let mut edit = Edit::default();
    edit.set(&document.read(), "priority", Some("1"));
    let change = document.write(&edit, liar, START);
    let changes = vec![change.unwrap().unwrap()];
    let body = encode_body(&Body { entries: vec![Entry { birth, changes }] });
    let header = Header {
        list: a.tracker.info().unwrap().list,
        log: liar,
        number: 1,
        previous: None,
        body: body_hash(&body),
        after: Vec::new(),
        charter: a.tracker.charter().unwrap().heads(),
        rules: 1,
    };
    a.tracker.admit(&[Commit::sign(&header, body, &three).unwrap()]).unwrap();
    assert_eq!(a.field("T-0001", "priority"), 1);
    branch(&mut b, 2, &before, other, true, |b| drop(b.create("second")));
    let settled = settle(&mut a, &b, log);
    let Settled::Theirs { retracted, .. } = settled else { panic!("{settled:?}") };
    assert_eq!(retracted.len(), 2);
    assert_eq!(a.field("T-0001", "priority"), serde_json::Value::Null);
    assert_eq!(a.tracker.frontier().unwrap().position(liar), None);
    assert_sound(&a);
    meet(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn commits_of_the_branch_that_does_not_count_are_void_in_a_stream_and_so_is_what_names_them() {
    let (mut a, mut b, mut c) = three();
    b.create("issue");
    stream(&b, &mut a, usize::MAX);
    stream(&b, &mut c, usize::MAX);
    let before = copy_of(&mut b, 2);
    for n in 0..3 {
        b.create(&format!("first {n}"));
    }
    stream(&b, &mut a, usize::MAX);
    a.create("after the first branch");
    let log = b.tracker.own_log().unwrap().unwrap();
    let other = hash_at(&a, log, 2);
    branch(&mut b, 2, &before, other, true, |b| drop(b.create("second")));
    stream(&b, &mut c, usize::MAX);
    let settled = settle(&mut c, &a, log);
    let Settled::Ours { void } = settled else { panic!("{settled:?}") };
    assert_eq!(void.len(), 3);
    let canonical = c.canonical();
    let mut outgoing = Outgoing::to(Default::default(), true);
    let items = a.tracker.send(&mut outgoing, usize::MAX).unwrap();
    let received = c.tracker.receive(&mut Incoming::default(), items).unwrap();
    let voids = received.verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Void(_)));
    assert_eq!(voids.count(), 4, "{:?}", received.verdicts);
    assert_eq!(c.canonical(), canonical);
    assert_sound(&c);
}

#[test]
fn a_stream_goes_on_when_another_branch_counts_than_the_one_whose_headers_were_sent() {
    let (mut a, mut b, mut c) = three();
    b.create("issue");
    let before = copy_of(&mut b, 2);
    for n in 0..3 {
        b.create(&format!("first {n}"));
    }
    stream(&b, &mut a, usize::MAX);
    let log = b.tracker.own_log().unwrap().unwrap();
    let mut outgoing = Outgoing::to(c.tracker.frontier().unwrap(), true);
    let mut incoming = Incoming::default();
    // The headers of the branch, and the commit before it.
    let items = a.tracker.send(&mut outgoing, 1).unwrap();
    let headers = |item: &Item| matches!(item, Item::Run(run) if run.headers.len() == 4);
    assert!(items.iter().any(headers), "{items:?}");
    c.tracker.receive(&mut incoming, items).unwrap();

    let other = hash_at(&a, log, 2);
    branch(&mut b, 2, &before, other, true, |b| drop(b.create("second")));
    meet(&mut a, &mut b);
    assert!(hash_at(&a, log, 2) < other);
    loop {
        let items = a.tracker.send(&mut outgoing, 1).unwrap();
        if items.is_empty() {
            break;
        }
        let received = c.tracker.receive(&mut incoming, items).unwrap();
        assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
    }
    assert_eq!(a.canonical(), c.canonical());
    assert_sound(&c);
}

#[test]
fn a_commit_that_is_void_for_another_reason_stands_for_its_place_still() {
    let (mut a, mut b, mut c) = three();
    b.create("issue");
    stream(&b, &mut a, usize::MAX);
    stream(&b, &mut c, usize::MAX);
    let (before_b, before_c) = (copy_of(&mut b, 2), copy_of(&mut c, 3));
    let of_b = b.tracker.own_log().unwrap().unwrap();
    // `a` knows a second commit of b, whose store is put back then.
    b.create("known to a");
    stream(&b, &mut a, usize::MAX);
    let known_to_a = hash_at(&a, of_b, 2);
    c.create("of c");
    let of_c = c.tracker.own_log().unwrap().unwrap();
    let first_of_c = hash_at(&c, of_c, 1);
    for n in 0.. {
        assert!(n < 2_000);
        roll_back(&mut b, 2, &before_b);
        stream(&c, &mut b, usize::MAX);
        b.create("names c's commit");
        if hash_at(&b, of_b, 2) < known_to_a {
            break;
        }
    }
    // What b named does not count, and so neither does b's commit.
    branch_first(&mut c, &before_c, of_c, first_of_c);
    meet(&mut b, &mut c);
    assert_eq!(b.tracker.frontier().unwrap().position(of_b).unwrap().number, 1);
    assert_sound(&b);
    let names = |list: &List| list.canonical().lines().count();
    assert_eq!((names(&a), names(&b)), (2, 2));
    // It stands for its place all the same: whoever heard of it decides like `b`, in any order.
    let verdicts = stream(&a, &mut b, usize::MAX);
    assert!(matches!(&verdicts[..], [Verdict::Void(_)]), "{verdicts:?}");
    let voids = b.tracker.voids().unwrap();
    let (_, void) = voids.iter().find(|(hash, _)| *hash == known_to_a).unwrap();
    assert!(void.fork.is_some());
    meet(&mut a, &mut b);
    assert_eq!(a.tracker.frontier().unwrap().position(of_b).unwrap().number, 1);
    meet(&mut a, &mut c);
    for list in [&a, &b, &c] {
        assert_sound(list);
        assert_eq!(list.canonical(), a.canonical());
    }
    assert_eq!(names(&a), 2, "the first issue, and the one that c's other branch made");
    let agent = of_b.agent;
    assert_eq!(a.tracker.lost_commits_of(agent).unwrap().len(), 1);
    assert_eq!(b.tracker.lost_commits_of(agent).unwrap().len(), 1);
    // Whoever keeps them can name them, and who has them knows that it does.
    for (list, hash) in [(&a, Some(known_to_a)), (&b, None)] {
        let places = list.tracker.lost_places_of(agent, 10).unwrap();
        let [(log, place)] = places[..] else { panic!("{places:?}") };
        assert!(log == of_b && place.number == 2 && hash.is_none_or(|hash| hash == place.hash));
        assert!(!list.tracker.lacks_lost(&places).unwrap());
        let first = list.tracker.frontier().unwrap().position(of_b).unwrap();
        assert!(!list.tracker.lacks_lost(&[(of_b, first)]).unwrap(), "it counts");
        let unknown = (of_b, Position { hash: CommitHash([7; 32]), ..place });
        assert!(list.tracker.lacks_lost(&[places[0], unknown]).unwrap());
        assert_eq!(list.tracker.lost_places_of(agent, 0).unwrap(), []);
    }
}

/// Puts agent 3's store back and lets it write its first commit anew, until that one counts.
fn branch_first(list: &mut List, before: &[u8], log: LogId, other: CommitHash) {
    for _ in 0..2_000 {
        roll_back(list, 3, before);
        list.create("of c's other branch");
        if list.tracker.own_log().unwrap() == Some(log) && hash_at(list, log, 1) < other {
            return;
        }
    }
    panic!("two thousand hashes on one side");
}
