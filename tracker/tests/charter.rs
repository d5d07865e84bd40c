//! Roles that are taken, as stores judge commits under them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use support::{List, exchange, give, stream};
use x0x_tracker::LocalTracker;
use x0x_tracker::interface::{Pick, Terms, Tracker, TrackerError};
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::Incoming;
use x0x_tracker::tasklist::{Outgoing, Verdict};
use x0x_tracker::testing::StandIn;

fn id(seed: u64) -> String {
    StandIn::new(seed).agent().to_string()
}

/// Gives the statements of one store to another.
fn tell(from: &List, to: &mut List) {
    for statement in from.tracker.statements().unwrap() {
        to.tracker.admit_statement(&statement).unwrap();
    }
}

/// Streams commits, the receiver being told of whom they come.
fn stream_from(from: &List, agent: u64, to: &mut LocalTracker) -> Vec<Verdict> {
    let mut outgoing = Outgoing::to(to.frontier().unwrap(), true);
    let mut incoming = Incoming::from(StandIn::new(agent).agent());
    let items = from.tracker.send(&mut outgoing, usize::MAX).unwrap();
    to.receive(&mut incoming, items).unwrap().verdicts
}

#[test]
fn what_a_revoked_agent_sends_itself_is_refused_and_taken_from_whoever_had_it() {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    let mut c = List::member_of(&mut a, 3);
    tell(&a, &mut b);
    // It does not know yet that it is out.
    a.tracker.revoke(&id(2), "gone").unwrap();
    let title = "written meanwhile";
    b.create(title);
    for _ in 0..2 {
        let refused = stream_from(&b, 2, &mut a.tracker);
        assert!(
            matches!(refused[..], [Verdict::Refused(JournalError::NotAllowed { .. })]),
            "{refused:?}"
        );
        assert!(a.tracker.voids().unwrap().is_empty(), "that leaves no memory");
    }
    // c did not know either, took it, and passes it on.
    give(&b, &mut c);
    tell(&a, &mut c);
    assert_eq!(c.tracker.show("T-0001").unwrap().row.title, title);
    assert!(matches!(stream(&c, &mut a, usize::MAX)[..], [Verdict::Taken]));
    exchange(&mut a, &mut c);
    assert_eq!(a.canonical(), c.canonical());
    // Knowing that it is out, it writes nothing, and what it had stays here.
    tell(&a, &mut b);
    let before = b.commits();
    let refused = b.tracker.create(&x0x_tracker::interface::Draft::titled("late")).unwrap_err();
    assert!(matches!(refused, TrackerError::Journal(JournalError::NotAllowed { .. })), "{refused}");
    assert_eq!(b.commits(), before);
}

#[test]
fn the_claims_of_a_revoked_agent_wait_for_nobody() {
    let mut a = List::new(1);
    let mut b = List::member_in_role(&mut a, 2, Role::Worker);
    tell(&a, &mut b);
    b.create("one");
    let terms =
        |worker: &str| Terms { worker: worker.to_owned(), ttl_ms: None, ..Terms::default() };
    let one = || Pick::Issue("T-0001".to_owned());
    let first = b.tracker.claim(&one(), &terms("w")).unwrap();
    give(&b, &mut a);
    let refused = a.tracker.claim(&one(), &terms("x")).unwrap_err();
    assert!(matches!(refused, TrackerError::Refused { .. }), "{refused}");
    a.tracker.revoke(&id(2), "gone").unwrap();
    let shown = a.tracker.show("T-0001").unwrap();
    assert!(shown.watch.unwrap().is_stale);
    let next = a.tracker.claim(&Pick::First(Default::default()), &terms("x")).unwrap();
    assert_eq!(next.issue.row.held.unwrap().fence, 2);
    assert_ne!(next.claim, first.claim);
}

#[test]
fn a_log_that_goes_on_under_a_role_that_came_back_counts() {
    let mut a = List::new(1);
    let mut b = List::member_of(&mut a, 2);
    tell(&a, &mut b);
    b.create("before");
    exchange(&mut a, &mut b);
    a.tracker.revoke(&id(2), "by mistake").unwrap();
    a.tracker.grant(&id(2), Role::Worker).unwrap();
    tell(&a, &mut b);
    b.create("after");
    let mut c = List::member_of(&mut a, 3);
    tell(&a, &mut c);
    exchange(&mut a, &mut b);
    stream(&a, &mut c, usize::MAX);
    assert_eq!(a.canonical().lines().count(), 2);
    for other in [&b, &c] {
        assert_eq!(a.canonical(), other.canonical());
    }
}
