//! The cases on claims.

use super::{create, show};
use crate::interface::error::Fault;
use crate::interface::{Filter, Holding, Pick, Release, Ruling, Terms, Tracker, TrackerError};

fn terms(worker: &str, resume: bool) -> Terms {
    Terms { worker: worker.to_owned(), ttl_ms: Some(60_000), resume, ..Terms::default() }
}

fn of(worker: &str) -> Holding {
    Holding { worker: worker.to_owned(), ..Holding::default() }
}

fn one() -> Pick {
    Pick::Issue("T-0001".to_owned())
}

pub(super) fn one_worker_gets_an_issue(tracker: &mut dyn Tracker) {
    create(tracker, "one");
    let taken = tracker.claim(&one(), &terms("a", false)).expect("a free issue");
    let held = taken.issue.row.held.clone().expect("a holder");
    assert_eq!((held.worker.as_str(), held.claim, held.fence), ("a", taken.claim, 1));
    assert_eq!(taken.issue.row.state.as_deref(), Some("in_progress"));
    assert!(taken.issue.watch.as_ref().is_some_and(|watch| watch.is_own && !watch.is_stale));
    let refused = tracker.claim(&one(), &terms("b", false)).expect_err("it is held");
    assert_eq!((refused.code(), refused.fault()), ("claimed", Fault::Conflict));
    let holder = refused.holder().expect("who holds it");
    assert_eq!((holder.held.claim, holder.held.worker.as_str()), (taken.claim, "a"));
    let own = tracker.claim(&one(), &terms("a", false)).expect_err("its own");
    assert!(matches!(own, TrackerError::Refused { is_own: true, .. }), "{own}");
    let again = tracker.claim(&one(), &terms("a", true)).expect("it goes on");
    assert_eq!((again.claim, again.renewed), (taken.claim, false));
    let first = Pick::First(Filter::default());
    let nothing = tracker.claim(&first, &terms("b", false)).expect_err("none is ready");
    assert!(matches!(nothing, TrackerError::NothingReady), "{nothing}");
}

pub(super) fn a_claim_is_kept_given_up_and_handed_off(tracker: &mut dyn Tracker) {
    create(tracker, "one");
    let none = tracker.heartbeat(&of("a")).expect_err("it holds nothing");
    assert!(matches!(none, TrackerError::NoClaim { .. }), "{none}");
    let taken = tracker.claim(&one(), &terms("a", false)).expect("a free issue");
    let digits = taken.claim.to_string();
    let named = |digits: &str| Holding { claim: Some(digits.to_owned()), ..of("a") };
    assert_eq!(tracker.heartbeat(&named(&digits[..10])).expect("alive").claim, taken.claim);
    let unknown = tracker.heartbeat(&named("0123456789")).expect_err("no such claim");
    assert_eq!(unknown.code(), "unknown_claim");
    let held = tracker.claims(Some("a")).expect("claims");
    assert_eq!(held.iter().map(|shown| shown.name.as_str()).collect::<Vec<_>>(), ["T-0001"]);
    let release = Release { reason: Some("lunch".to_owned()), ..Release::default() };
    let left = tracker.release(&of("a"), &release).expect("a release");
    assert!(left.issue.row.held.is_none() && tracker.claims(None).expect("none").is_empty());
    let lost = tracker.heartbeat(&named(&digits)).expect_err("it was given up");
    assert!(matches!(lost, TrackerError::ClaimLost { by_holder: true, .. }), "{lost}");
    tracker.claim(&Pick::First(Filter::default()), &terms("b", false)).expect("the first");
    let form = tracker.hand_off(&of("b"), "{\"summary\":7}").expect_err("another form");
    assert!(matches!(form, TrackerError::Invalid { .. }), "{form}");
    let handed = tracker.hand_off(&of("b"), "{\"summary\":\"done\"}").expect("a handoff");
    assert_eq!(handed.issue.row.state.as_deref(), Some("review"));
    let handoffs = tracker.handoffs("T-0001").expect("handoffs");
    assert!(handoffs.len() == 1 && handoffs[0].contains("\"done\""), "{handoffs:?}");
}

pub(super) fn who_lost_a_claim_is_told_once(tracker: &mut dyn Tracker) {
    create(tracker, "one");
    tracker.claim(&one(), &terms("a", false)).expect("a free issue");
    tracker.rule("T-0001", &Ruling::Done, None).expect("a ruling");
    let lost = tracker.losses("a").expect("losses");
    assert_eq!((lost.len(), lost[0].name.as_str(), lost[0].by_holder), (1, "T-0001", false));
    assert!(tracker.losses("a").expect("none").is_empty());
    tracker.rule("T-0001", &Ruling::Reopened, None).expect("open again");
    tracker.claim(&one(), &terms("b", false)).expect("a free issue");
    let issue = Some("T-0001".to_owned());
    let force = Release { reason: Some("away".to_owned()), force: true, retry_after_ms: None };
    tracker.release(&Holding { issue, ..of("boss") }, &force).expect("a maintainer may");
    assert!(show(tracker, "T-0001").row.held.is_none());
    let drawn = tracker.reshard("T-0001", "others are nearer", Some(90_000)).expect("a slate");
    assert!(drawn.json.expect("a record").contains("90000"));
}
