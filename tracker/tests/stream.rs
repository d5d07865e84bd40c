//! Streams of commits: headers ahead, bodies in the sender's order, an end anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use support::{List, exchange, stream};
use x0x_tracker::document::Birth;
use x0x_tracker::id::{CommitHash, LogId, StatementHash};
use x0x_tracker::interface::Tracker;
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::{Role, Signed, Statement};
use x0x_tracker::journal::commit::{Body, Commit, Entry, Header, Position, body_hash, encode_body};
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::{Proved, RUN_HEADERS_MAX, Run};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::store::VOIDS_PER_AGENT_MAX;
use x0x_tracker::tasklist::{LOGS_PER_AGENT_MAX, Outgoing, Verdict};
use x0x_tracker::testing::{StandIn, StandInVerifier};

/// Makes two lists of which each edits in turn, so that their logs build on each other.
fn woven(rounds: usize) -> (List, List) {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    for round in 0..rounds {
        a.create(&format!("a {round}"));
        exchange(&mut a, &mut b);
        b.create(&format!("b {round}"));
        b.set("T-0001", "title", &format!("\"round {round}\""));
        exchange(&mut a, &mut b);
    }
    (a, b)
}

fn all_items(from: &List) -> Vec<Item> {
    from.tracker.send(&mut Outgoing::to(Frontier::default(), true), usize::MAX).unwrap()
}

fn proved(commit: Commit, list: &List) -> Proved {
    let id = list.tracker.info().unwrap().list;
    let charter = list.tracker.charter().unwrap();
    Proved::signed(commit, id, &charter, &StandInVerifier).unwrap()
}

#[test]
fn a_newcomer_gets_everything_in_one_pass_and_nothing_waits() {
    let (mut a, _b) = woven(50);
    let mut fresh = List::member_of(&mut a, 3);
    let verdicts = stream(&a, &mut fresh, 4_000);
    assert_eq!(verdicts.len(), 150);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Taken)));
    assert_eq!(a.canonical(), fresh.canonical());
    assert_eq!(a.tracker.frontier().unwrap(), fresh.tracker.frontier().unwrap());
    assert!(stream(&a, &mut fresh, 4_000).is_empty());
    let faults = fresh.tracker.check(&StandInVerifier).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_stream_may_end_anywhere_and_what_came_can_be_proved_to_others() {
    let (mut a, _b) = woven(40);
    let pieces = all_items(&a).len();
    for cut in (0..pieces).step_by(7) {
        let mut half = List::member_of(&mut a, 3);
        let items: Vec<Item> = all_items(&a).into_iter().take(cut).collect();
        let received = half.tracker.receive(&mut Incoming::default(), items).unwrap();
        assert!(received.stopped_by.is_none(), "{cut}: {:?}", received.stopped_by);
        let faults = half.tracker.check(&StandInVerifier).unwrap();
        assert!(faults.is_empty(), "{cut}: {faults:?}");
        // A third learns it from the half; then each of them gets the rest.
        let mut third = List::member_of(&mut a, 4);
        stream(&half, &mut third, 1_000);
        assert_eq!(third.tracker.frontier().unwrap(), half.tracker.frontier().unwrap(), "{cut}");
        stream(&a, &mut third, 1_000);
        stream(&third, &mut half, 1_000);
        assert_eq!((a.canonical(), a.canonical()), (third.canonical(), half.canonical()), "{cut}");
    }
}

#[test]
fn a_log_that_goes_on_under_a_newer_charter_is_proved_by_its_newest_signature() {
    let mut a = List::new(1);
    a.create("under the founding statement");
    let mut b = List::member_of(&mut a, 2);
    a.create("under the grant");
    let commits = a.tracker.commits_after(&Frontier::default(), 9).unwrap();
    assert!(commits[0].commit.signature.is_none() && commits[1].commit.signature.is_some());
    let verdicts = stream(&a, &mut b, 1);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Taken)), "{verdicts:?}");
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn runs_have_at_most_as_many_headers_as_lie_between_two_kept_signatures() {
    let (a, _b) = woven(70);
    let mut runs = 0;
    for item in all_items(&a) {
        if let Item::Run(run) = item {
            assert!(run.headers.len() <= RUN_HEADERS_MAX);
            runs += 1;
        }
    }
    assert_eq!(runs, 5, "70 and 140 commits, a signature kept every 64");
}

#[test]
fn what_is_stored_while_a_stream_goes_on_goes_along() {
    let (mut a, _b) = woven(5);
    let mut fresh = List::member_of(&mut a, 3);
    let mut outgoing = Outgoing::to(Frontier::default(), true);
    let mut incoming = Incoming::default();
    let mut first = true;
    loop {
        let items = a.tracker.send(&mut outgoing, 500).unwrap();
        if items.is_empty() {
            break;
        }
        assert!(fresh.tracker.receive(&mut incoming, items).unwrap().stopped_by.is_none());
        if std::mem::take(&mut first) {
            a.create("meanwhile");
        }
    }
    assert_eq!(a.canonical(), fresh.canonical());
}

#[test]
fn a_stream_of_forged_pieces_is_stopped_and_what_came_before_counts() {
    let (mut a, _b) = woven(3);
    let good = all_items(&a);
    let first_run = |items: &[Item]| -> usize {
        items.iter().position(|item| matches!(item, Item::Run(_))).unwrap()
    };
    type Forge = Box<dyn Fn(&mut Vec<Item>)>;
    type Forgery = (&'static str, Forge);
    let run_with = move |change: fn(&mut Run)| -> Forge {
        Box::new(move |items| {
            let at = first_run(items);
            let Item::Run(run) = &mut items[at] else { unreachable!() };
            change(run);
        })
    };
    let forgeries: Vec<Forgery> = vec![
        ("signature", run_with(|run| run.signature[9] ^= 1)),
        ("no signature", run_with(|run| run.signature.clear())),
        ("flipped header", run_with(|run| run.headers[0][40] ^= 1)),
        ("header left out", run_with(|run| drop(run.headers.remove(1)))),
        ("no header", run_with(|run| run.headers.clear())),
        ("last header twice", run_with(|run| run.headers.extend(run.headers.last().cloned()))),
        (
            "no run",
            Box::new(move |items| {
                let at = first_run(items);
                items.remove(at);
            }),
        ),
        (
            "another body",
            Box::new(|items| {
                let body = items.iter_mut().find_map(|item| match item {
                    Item::Body { body, .. } => Some(body),
                    _ => None,
                });
                body.unwrap().push(0);
            }),
        ),
        (
            "a number beyond the run",
            Box::new(|items| {
                for item in items.iter_mut() {
                    if let Item::Body { number, .. } = item {
                        *number += 1_000;
                    }
                }
            }),
        ),
    ];
    for (what, forge) in forgeries {
        let mut fresh = List::member_of(&mut a, 3);
        let mut items = good.clone();
        forge(&mut items);
        let received = fresh.tracker.receive(&mut Incoming::default(), items).unwrap();
        assert!(received.stopped_by.is_some(), "{what}");
        assert_eq!(fresh.commits(), 0, "{what}");
        stream(&a, &mut fresh, usize::MAX);
        assert_eq!(a.canonical(), fresh.canonical(), "{what}");
    }
    let mut fresh = List::member_of(&mut a, 3);
    let mut items = good;
    let Some(Item::Body { body, .. }) = items.last_mut() else { panic!() };
    body.push(0);
    let received = fresh.tracker.receive(&mut Incoming::default(), items).unwrap();
    assert!(received.stopped_by.is_some());
    assert_eq!(fresh.commits(), 8, "all but the last");
}

#[test]
fn headers_without_bodies_are_held_up_to_a_bound() {
    let (a, _b) = woven(1);
    let list = a.tracker.info().unwrap().list;
    let charter = a.tracker.charter().unwrap();
    let founder = StandIn::new(1);
    let mut incoming = Incoming::default();
    let mut taken = 0;
    // Each run is of another log, and its headers are as large as they may be.
    for nonce in 0..u64::MAX {
        let log = x0x_tracker::id::LogId { agent: founder.agent(), nonce: nonce.to_le_bytes() };
        let somewhere = x0x_tracker::journal::commit::Position {
            number: 1,
            hash: x0x_tracker::id::CommitHash([7; 32]),
        };
        let after = vec![(log, somewhere); 800];
        let body = encode_body(&Body::default());
        let header = Header {
            list,
            log,
            number: 1,
            previous: None,
            body: body_hash(&body),
            after,
            charter: charter.heads(),
            rules: 1,
        };
        let Commit { header, signature, .. } = Commit::sign(&header, body, &founder).unwrap();
        let run = Run { headers: vec![header], signature: signature.unwrap() };
        taken += run.bytes();
        match incoming.run(&run, list, &charter, &StandInVerifier) {
            Ok(()) => assert!(taken < 17 << 20),
            Err(error) => {
                assert!(matches!(error, JournalError::TooLarge { .. }), "{error}");
                break;
            }
        }
    }
    assert!(taken > 16 << 20);
}

/// Returns a commit that is signed as it should be and holds a change that no document takes, or with
/// `None` nothing, at the next place of agent 2's log.
fn next_of_two(list: &List, entry: Option<Entry>) -> Commit {
    let two = StandIn::new(2);
    let frontier = list.tracker.frontier().unwrap();
    let (log, last) = frontier.0.iter().find(|(log, _)| log.agent == two.agent()).unwrap();
    let body = encode_body(&Body { entries: entry.into_iter().collect() });
    let header = Header {
        list: list.tracker.info().unwrap().list,
        log: *log,
        number: last.number + 1,
        previous: Some(last.hash),
        body: body_hash(&body),
        after: Vec::new(),
        charter: list.tracker.charter().unwrap().heads(),
        rules: 1,
    };
    Commit::sign(&header, body, &two).unwrap()
}

fn bad_entry() -> Entry {
    let birth = Birth { id: "T-bad".to_owned(), created_at: None };
    Entry { birth, changes: vec![b"no change".to_vec()] }
}

#[test]
fn a_void_commit_closes_its_log_and_what_builds_on_it_is_void_too() {
    let (mut a, mut b) = woven(2);
    let void = proved(next_of_two(&a, Some(bad_entry())), &a);
    let before = a.canonical();
    let verdicts = a.tracker.judge(std::slice::from_ref(&void)).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Void(_)]), "{verdicts:?}");
    assert_eq!(a.canonical(), before);
    let known = a.tracker.voids().unwrap();
    assert_eq!((known.len(), known[0].0), (1, void.position().hash));
    // What follows it in its log, and what names it from another one.
    let two = StandIn::new(2);
    let sign = |change: &dyn Fn(&mut Header), signer: &StandIn| {
        let mut header = void.header().clone();
        let body = encode_body(&Body::default());
        header.body = body_hash(&body);
        change(&mut header);
        proved(Commit::sign(&header, body, signer).unwrap(), &a)
    };
    let follower = sign(
        &|header| {
            header.number += 1;
            header.previous = Some(void.position().hash);
        },
        &two,
    );
    let dependent = sign(
        &|header| {
            header.log.nonce = [9; 8];
            header.number = 1;
            header.previous = None;
            header.after = vec![(void.header().log, void.position())];
        },
        &two,
    );
    for commit in [&void, &follower, &dependent] {
        let verdicts = a.tracker.judge(std::slice::from_ref(commit)).unwrap();
        assert!(matches!(&verdicts[..], [Verdict::Void(_)]), "{verdicts:?}");
    }
    // Others judge the same, whatever they heard first.
    let verdicts = b.tracker.judge(&[void, follower, dependent]).unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Void(_))), "{verdicts:?}");
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn so_many_void_commits_of_an_agent_are_remembered_and_the_next_are_judged_anew() {
    for in_new_logs in [false, true] {
        void_commits_are_remembered_up_to_a_bound(in_new_logs);
    }
}

fn void_commits_are_remembered_up_to_a_bound(in_new_logs: bool) {
    let (mut a, mut b) = woven(1);
    let void = proved(next_of_two(&a, Some(bad_entry())), &a);
    let two = StandIn::new(2);
    let sign = |n: u64| {
        let mut entry = bad_entry();
        entry.changes = vec![n.to_le_bytes().to_vec()];
        let body = encode_body(&Body { entries: vec![entry] });
        let mut header = Header { body: body_hash(&body), ..void.header().clone() };
        if in_new_logs {
            header.log.nonce = n.to_le_bytes();
            (header.number, header.previous) = (1, None);
        }
        proved(Commit::sign(&header, body, &two).unwrap(), &a)
    };
    let all: Vec<Proved> = (0..VOIDS_PER_AGENT_MAX + 10).map(sign).collect();
    for list in [&mut a, &mut b] {
        let before = list.canonical();
        for _ in 0..2 {
            let verdicts = list.tracker.judge(&all).unwrap();
            let is_void = |verdict: &Verdict| matches!(verdict, Verdict::Void(_));
            assert!(verdicts.iter().all(is_void));
            assert_eq!(list.tracker.voids().unwrap().len() as u64, VOIDS_PER_AGENT_MAX);
        }
        assert_eq!(list.canonical(), before);
    }
}

#[test]
fn what_follows_newer_rules_waits_for_a_newer_program_and_holds_up_nothing_else() {
    let (mut a, _) = woven(2);
    let next = next_of_two(&a, None);
    let known = proved(next.clone(), &a);
    let two = StandIn::new(2);
    let sign = |number: u64, previous: CommitHash, rules: u16| {
        let header = Header { number, previous: Some(previous), rules, ..known.header().clone() };
        Commit::sign(&header, encode_body(&Body::default()), &two).unwrap()
    };
    // One run: its author got a newer program in the middle of it.
    let place = known.position();
    let newer = sign(place.number + 1, place.hash, 2);
    let after = sign(place.number + 2, newer.hash(), 1);
    let headers = [&next, &newer, &after].map(|commit| commit.header.clone());
    let run = Run { headers: headers.to_vec(), signature: after.signature.clone().unwrap() };
    let log = known.header().log;
    let mut items = vec![Item::Run(run)];
    for (n, commit) in [next, newer, after].into_iter().enumerate() {
        items.push(Item::Body { log, number: place.number + n as u64, body: commit.body });
    }
    let elsewhere = LogId { nonce: [9; 8], ..log };
    let header = Header {
        log: elsewhere,
        number: 1,
        previous: None,
        after: vec![],
        ..known.header().clone()
    };
    let other = Commit::sign(&header, encode_body(&Body::default()), &two).unwrap();
    let signature = other.signature.clone().unwrap();
    items.push(Item::Run(Run { headers: vec![other.header.clone()], signature }));
    items.push(Item::Body { log: elsewhere, number: 1, body: other.body });
    let received = a.tracker.receive(&mut Incoming::default(), items).unwrap();
    assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
    let [Verdict::Taken, newer, after, Verdict::Taken] = &received.verdicts[..] else {
        panic!("{:?}", received.verdicts);
    };
    let wanted = JournalError::Rules { found: 2, known: 1 };
    assert!(matches!(newer, Verdict::Refused(error) if *error == wanted), "{newer:?}");
    assert!(matches!(after, Verdict::Waits { .. }), "{after:?}");
    assert_eq!(a.tracker.voids().unwrap().len(), 0);
}

#[test]
fn what_a_store_of_older_rules_cannot_read_is_not_sent_to_it_nor_what_builds_on_it() {
    let (mut a, _b) = woven(2);
    let mut older = List::member_of(&mut a, 3);
    let two = StandIn::new(2);
    let template = proved(next_of_two(&a, None), &a).header().clone();
    let (newer, place) = a.tracker.own_place().unwrap().unwrap();
    let sign = |nonce: u8, after: Vec<(LogId, Position)>| {
        let log = LogId { agent: two.agent(), nonce: [nonce; 8] };
        let header = Header { log, number: 1, previous: None, after, rules: 0, ..template.clone() };
        Commit::sign(&header, encode_body(&Body::default()), &two).unwrap()
    };
    let commits = [sign(7, Vec::new()), sign(8, vec![(newer, place)])];
    let commits = commits.map(|commit| proved(commit, &a));
    let verdicts = a.tracker.judge(&commits).unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Taken)), "{verdicts:?}");

    let there = older.tracker.frontier().unwrap();
    let mut outgoing = Outgoing::to(there, true).under(0);
    let items = a.tracker.send(&mut outgoing, usize::MAX).unwrap();
    let readable = (commits[0].header().log, commits[0].position());
    assert!(
        matches!(&items[..], [Item::Run(_), Item::Body { log, .. }] if *log == readable.0),
        "{items:?}"
    );
    let received = older.tracker.receive(&mut Incoming::default(), items).unwrap();
    assert!(matches!(received.verdicts[..], [Verdict::Taken]), "{received:?}");
    assert!(a.tracker.send(&mut outgoing, usize::MAX).unwrap().is_empty());
    // What is told of the logs that were left out is where they are over there.
    let mut logs: Vec<_> = a.tracker.frontier().unwrap().0.into_iter().collect();
    outgoing.leave_out_withheld(&mut logs);
    assert_eq!(logs, [readable]);
    let first = a.tracker.commit_at(newer, 1).unwrap().unwrap().hash();
    let first = (newer, Position { number: 1, hash: first });
    assert!(place.number > 1);
    let mut outgoing = Outgoing::to(Frontier([first].into()), true).under(0);
    while !a.tracker.send(&mut outgoing, usize::MAX).unwrap().is_empty() {}
    let mut logs: Vec<_> = a.tracker.frontier().unwrap().0.into_iter().collect();
    outgoing.leave_out_withheld(&mut logs);
    logs.sort_by_key(|(log, _)| *log);
    let mut expected = [first, readable];
    expected.sort_by_key(|(log, _)| *log);
    assert_eq!(logs, expected, "a part of it is there");

    let there = older.tracker.frontier().unwrap();
    let items = a.tracker.send(&mut Outgoing::to(there, true), usize::MAX).unwrap();
    let received = older.tracker.receive(&mut Incoming::default(), items).unwrap();
    assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
    assert_eq!(a.tracker.frontier().unwrap(), older.tracker.frontier().unwrap());
}

#[test]
fn a_void_commit_in_the_middle_of_a_stream_leaves_the_others_alone() {
    let (mut a, b) = woven(2);
    let void = proved(next_of_two(&a, Some(bad_entry())), &a);
    let mut fresh = List::member_of(&mut a, 3);
    let mut commits: Vec<Proved> = Vec::new();
    let mut incoming = Incoming::default();
    let (list, charter) = (b.tracker.info().unwrap().list, fresh.tracker.charter().unwrap());
    for item in all_items(&a) {
        match item {
            Item::Run(run) => incoming.run(&run, list, &charter, &StandInVerifier).unwrap(),
            Item::Body { log, number, body } => {
                commits.push(incoming.body(log, number, body).unwrap());
            }
            Item::Statement(_) => {}
        }
    }
    let count = commits.len();
    commits.push(void);
    commits.rotate_right(1);
    let verdicts = fresh.tracker.judge(&commits).unwrap();
    assert!(matches!(verdicts[0], Verdict::Waits { .. }), "{:?}", verdicts[0]);
    commits.rotate_left(1);
    let verdicts = fresh.tracker.judge(&commits).unwrap();
    assert!(matches!(verdicts[count], Verdict::Void(_)), "{:?}", verdicts[count]);
    assert_eq!(a.canonical(), fresh.canonical());
}

#[test]
fn two_commits_in_one_place_are_told_from_one_that_is_known() {
    let (mut a, mut b) = woven(1);
    let theirs = next_of_two(&a, None);
    b.create("ours");
    exchange(&mut a, &mut b);
    let commit = proved(theirs, &a);
    let verdicts = a.tracker.judge(&[commit]).unwrap();
    let [Verdict::Forks { here }] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(here.number, 3);
}

#[test]
fn a_stream_names_the_logs_that_forked_and_sends_the_others() {
    let (mut a, mut b) = woven(1);
    let mut c = List::member_of(&mut a, 3);
    stream(&a, &mut c, usize::MAX);
    let fork = proved(next_of_two(&c, None), &c);
    assert!(matches!(c.tracker.judge(&[fork]).unwrap()[..], [Verdict::Taken]));
    b.create("the other branch");
    exchange(&mut a, &mut b);
    a.create("of another log");
    let mut outgoing = Outgoing::to(c.tracker.frontier().unwrap(), true);
    let items = a.tracker.send(&mut outgoing, usize::MAX).unwrap();
    assert_eq!(outgoing.forked().len(), 1);
    let received = c.tracker.receive(&mut Incoming::default(), items).unwrap();
    assert!(received.stopped_by.is_none());
    // The author had seen the other branch.
    assert!(matches!(&received.verdicts[..], [Verdict::Waits { .. }]), "{received:?}");
}

/// Returns the first commit of a log of agent 2's that is empty.
fn first_of(list: &List, nonce: u64) -> Commit {
    let two = StandIn::new(2);
    let template = proved(next_of_two(list, None), list).header().clone();
    let log = LogId { agent: two.agent(), nonce: nonce.to_le_bytes() };
    let header = Header { log, number: 1, previous: None, ..template };
    Commit::sign(&header, encode_body(&Body::default()), &two).unwrap()
}

/// Returns a void commit after the first of a log.
fn void_after(list: &List, first: &Proved) -> Commit {
    let two = StandIn::new(2);
    let body = encode_body(&Body { entries: vec![bad_entry()] });
    let previous = Some(first.position().hash);
    let template = proved(next_of_two(list, None), list).header().clone();
    let (log, body_hash) = (first.header().log, body_hash(&body));
    let header = Header { log, number: 2, previous, body: body_hash, ..template };
    Commit::sign(&header, body, &two).unwrap()
}

#[test]
fn an_agent_whose_logs_are_closed_opens_others() {
    let (mut a, _b) = woven(1);
    let own = a.tracker.frontier().unwrap().0.len();
    let first = |nonce: u64| proved(first_of(&a, nonce), &a);
    let commits: Vec<Proved> = (0..LOGS_PER_AGENT_MAX as u64 - 1).map(first).collect();
    let (from_itself, too_many) = (Some(StandIn::new(2).agent()), first(1_000));
    let closing: Vec<Proved> =
        commits.iter().map(|first| proved(void_after(&a, first), &a)).collect();
    let bring = |a: &mut List, commit: &Proved| {
        let Commit { header, body, signature } = commit.to_commit();
        let run = Run { headers: vec![header], signature: signature.unwrap() };
        let (log, number) = (commit.header().log, commit.position().number);
        let items = vec![Item::Run(run), Item::Body { log, number, body }];
        let mut incoming = Incoming::from(from_itself.unwrap());
        a.tracker.receive(&mut incoming, items).unwrap().verdicts.remove(0)
    };
    a.tracker.judge(&commits).unwrap();
    assert!(matches!(bring(&mut a, &too_many), Verdict::Refused(_)));
    let verdicts = a.tracker.judge(&closing).unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Void(_))), "{verdicts:?}");
    assert!(matches!(bring(&mut a, &too_many), Verdict::Taken));
    assert_eq!(a.tracker.frontier().unwrap().0.len(), own + LOGS_PER_AGENT_MAX);
}

#[test]
fn an_agent_itself_brings_so_many_logs_and_others_bring_all_that_they_took() {
    let (mut a, _b) = woven(1);
    let two = StandIn::new(2).agent();
    let commits: Vec<Proved> =
        (0..LOGS_PER_AGENT_MAX as u64).map(|nonce| proved(first_of(&a, nonce), &a)).collect();
    let verdicts = a.tracker.judge(&commits).unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Taken)));
    let one_more = first_of(&a, 1_000);
    let bring = |a: &mut List, mut incoming: Incoming| {
        let Commit { header, body, signature } = one_more.clone();
        let run = Run { headers: vec![header], signature: signature.unwrap() };
        let log = LogId { agent: two, nonce: 1_000_u64.to_le_bytes() };
        let items = vec![Item::Run(run), Item::Body { log, number: 1, body }];
        let received = a.tracker.receive(&mut incoming, items).unwrap();
        assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
        received.verdicts.into_iter().next().unwrap()
    };
    let verdict = bring(&mut a, Incoming::from(two));
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    assert!(a.tracker.voids().unwrap().is_empty(), "it leaves no memory");
    let verdict = bring(&mut a, Incoming::from(StandIn::new(3).agent()));
    assert!(matches!(verdict, Verdict::Taken), "{verdict:?}");
}

#[test]
fn in_a_list_of_very_many_logs_a_commit_names_those_that_its_changes_build_on() {
    let (mut a, mut b) = woven(1);
    let commits: Vec<Proved> = (0..1_000).map(|nonce| proved(first_of(&a, nonce), &a)).collect();
    for list in [&mut a, &mut b] {
        let verdicts = list.tracker.judge(&commits).unwrap();
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Taken)));
    }
    let name = a.create("made by one").name;
    exchange(&mut a, &mut b);
    b.set(&name, "title", "\"edited by two\"");
    let newest = |list: &List| {
        let (log, position) = list.tracker.own_place().unwrap().unwrap();
        let commit = list.tracker.commit_at(log, position.number).unwrap().unwrap();
        (log, proved(commit, list).header().clone())
    };
    let ((log_of_a, made), (_, edited)) = (newest(&a), newest(&b));
    assert!(made.after.is_empty(), "a new issue builds on nothing");
    let named: Vec<LogId> = edited.after.iter().map(|(log, _)| *log).collect();
    assert_eq!(named, [log_of_a]);
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.field(&name, "title"), "edited by two");
}

#[test]
fn a_reader_s_commit_is_void() {
    let mut a = List::new(1);
    let mut reader = List::member_in_role(&mut a, 2, Role::Reader);
    let as_reader = reader.tracker.charter().unwrap().heads();
    let agent = StandIn::new(2);
    a.tracker.grant(&agent.agent().to_string(), Role::Worker).unwrap();
    for statement in a.tracker.statements().unwrap() {
        reader.tracker.admit_statement(&statement).unwrap();
    }
    reader.create("as a worker");
    let list = a.tracker.info().unwrap().list;
    let sealed = reader.tracker.commits_after(&Frontier::default(), usize::MAX).unwrap();
    let commit = sealed[0].commit.clone();
    // Its own store refuses to write what this is: a commit that names the charter of a reader.
    let header = Header { charter: as_reader, ..commit.header(list).unwrap() };
    let forged = Commit::sign(&header, commit.body, &agent).unwrap();
    let charter = a.tracker.charter().unwrap();
    let proved = Proved::signed(forged, list, &charter, &StandInVerifier).unwrap();
    let verdicts = a.tracker.judge(&[proved]).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Void(_)]), "{verdicts:?}");
    assert_eq!(a.canonical(), "");
}

#[test]
fn a_charter_of_many_statements_comes_in_pieces() {
    let mut a = List::new(1);
    for seed in 2..12 {
        drop(List::member_of(&mut a, seed));
    }
    a.create("one");
    let (mut outgoing, mut pieces) = (Outgoing::to(Frontier::default(), false), Vec::new());
    loop {
        let items = a.tracker.send(&mut outgoing, 6_000).unwrap();
        if items.is_empty() {
            break;
        }
        assert!(items.len() <= 3, "{}", items.len());
        pieces.push(items);
    }
    let is_statement = |item: &&Item| matches!(item, Item::Statement(_));
    let statements = pieces.iter().flatten().filter(is_statement).count();
    assert_eq!(statements, a.tracker.statements().unwrap().len());
    assert!(pieces.len() > 3 && pieces.iter().flatten().count() > statements);
}

#[test]
fn a_grant_names_what_its_signer_knew_once_each() {
    let mut a = List::new(1);
    let signer = StandIn::new(1);
    let known = a.tracker.statements().unwrap()[0].hash();
    let mut granted = |seen: Vec<StatementHash>| {
        let list = a.tracker.info().unwrap().list;
        let (by, role) = (signer.agent(), Role::Worker);
        let member = StandIn::new(2).public_key().to_vec();
        let grant = Statement::Grant { list, by, member, role, seen };
        a.tracker.admit_statement(&Signed::new(&grant, &signer).unwrap())
    };
    assert!(granted(vec![known, known]).is_err(), "a frame would grow by what says nothing");
    assert!(granted(vec![known]).unwrap());
}
