//! Logs that branched: which branch counts, what goes with the other, and what is left of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "support/forks.rs"]
mod forked;
mod support;

use forked::{assert_sound, copy_of, meet, roll_back, send, settle};
use support::{List, exchange, stream};
use x0x_tracker::interface::Tracker;
use x0x_tracker::tasklist::Settled;

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
