//! Claims on the embedded store: who may take an issue, what a holder is told, and what the file says.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{List, exchange, give, record};
use tempfile::TempDir;
use x0x_tracker::interface::{
    Filter, Holding, Kept, Open, Patch, Pick, Reason, Release, Ruling, Standing, Terms, Tracker,
    TrackerError,
};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::store::{Disk, Store};
use x0x_tracker::{LocalTracker, testing};

/// A list of one agent on a machine whose uptime the test moves.
struct Machine {
    _dir: TempDir,
    uptime_ms: Arc<AtomicU64>,
    tracker: LocalTracker,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        std::fs::write(&path, "").unwrap();
        let disk = Disk::default();
        drop(testing::found_on(&disk, &path, 1).unwrap());
        let uptime_ms = Arc::new(AtomicU64::new(0));
        let host = testing::host_up(1, uptime_ms.clone());
        let tracker = LocalTracker::over(Store::open_on(disk, &path).unwrap(), host);
        Self { _dir: dir, uptime_ms, tracker }
    }

    fn with_issues(count: usize) -> Self {
        let mut machine = Self::new();
        for n in 1..=count {
            let draft = x0x_tracker::interface::Draft::titled(&format!("issue {n}"));
            machine.tracker.create(&draft).unwrap();
        }
        machine
    }

    fn wait(&self, ms: u64) {
        self.uptime_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn claim(&mut self, worker: &str, name: &str) -> Result<Kept, TrackerError> {
        self.tracker.claim(&Pick::Issue(name.to_owned()), &terms(worker))
    }

    fn beat(&mut self, worker: &str, name: &str) -> Result<Kept, TrackerError> {
        self.tracker.heartbeat(&holding(worker, name))
    }

    fn hand_off(&mut self, worker: &str, name: &str) -> Result<Kept, TrackerError> {
        self.tracker.hand_off(&holding(worker, name), HANDOFF)
    }

    fn release(&mut self, worker: &str, name: &str) -> Result<(), TrackerError> {
        self.tracker.release(&holding(worker, name), &Release::default()).map(|_| ())
    }

    fn state(&self, name: &str) -> String {
        self.tracker.show(name).unwrap().row.state.unwrap()
    }
}

const HANDOFF: &str = "{\"summary\":\"it works\"}";
const TTL_MS: u64 = 10_000;

fn terms(worker: &str) -> Terms {
    Terms { worker: worker.to_owned(), ttl_ms: Some(TTL_MS), ..Terms::default() }
}

fn holding(worker: &str, name: &str) -> Holding {
    Holding { worker: worker.to_owned(), issue: Some(name.to_owned()), claim: None }
}

fn ready(tracker: &dyn Tracker) -> Vec<String> {
    let mut names = Vec::new();
    tracker
        .agenda(&Filter::default(), &mut |open| {
            if let Open::Ready(shown) = open {
                names.push(shown.name);
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    names
}

fn lost(result: Result<Kept, TrackerError>) -> (String, Option<String>) {
    match result.unwrap_err() {
        TrackerError::ClaimLost { why, holder, .. } => (why, holder.map(|h| h.held.worker)),
        error => panic!("{error}"),
    }
}

#[test]
fn a_claim_holds_the_issue_until_it_is_handed_off() {
    let mut machine = Machine::with_issues(2);
    let kept = machine.claim("a", "T-0001").unwrap();
    let held = kept.issue.row.held.clone().unwrap();
    assert_eq!((held.claim, held.worker.as_str(), held.slot, held.fence), (kept.claim, "a", 0, 1));
    let watch = kept.issue.watch.unwrap();
    assert_eq!((watch.silent_ms, watch.is_stale, watch.is_own), (Some(0), false, true));
    assert_eq!(watch.standing, Standing::Confirmed);
    assert_eq!(machine.state("T-0001"), "in_progress");
    assert_eq!(ready(&machine.tracker), ["T-0002"]);
    assert!(!machine.beat("a", "T-0001").unwrap().renewed);
    let done = machine.hand_off("a", "T-0001").unwrap();
    assert_eq!((machine.state("T-0001").as_str(), done.issue.row.held), ("review", None));
    let (why, holder) = lost(machine.beat("a", "T-0001"));
    assert!(why.contains("handed off") && holder.is_none(), "{why}");
}

#[test]
fn whoever_comes_second_is_told_who_holds_it() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    for worker in ["b", "a"] {
        let error = machine.claim(worker, "T-0001").unwrap_err();
        let TrackerError::Refused { holder, retry_after_ms, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(holder.as_ref().unwrap().held.worker, "a");
        assert_eq!(*retry_after_ms, Some(TTL_MS + 1));
    }
    let (why, holder) = lost(machine.beat("b", "T-0001"));
    assert!(why.contains("worker b does not hold it"), "{why}");
    assert_eq!(holder.as_deref(), Some("a"));
}

#[test]
fn the_same_worker_goes_on_where_it_was_if_it_says_so() {
    let mut machine = Machine::with_issues(2);
    let first = machine.claim("a", "T-0002").unwrap();
    let again = Terms { resume: true, ..terms("a") };
    let pick = Pick::Issue("T-0002".to_owned());
    assert_eq!(machine.tracker.claim(&pick, &again).unwrap().claim, first.claim);
    let any = Pick::First(Filter::default());
    assert_eq!(machine.tracker.claim(&any, &again).unwrap().claim, first.claim);
    let other = Terms { resume: true, ..terms("b") };
    assert_eq!(machine.tracker.claim(&any, &other).unwrap().issue.name, "T-0001");
    assert!(machine.tracker.claim(&pick, &other).is_err());
}

#[test]
fn a_silent_claim_is_taken_over_and_its_worker_is_told() {
    let mut machine = Machine::with_issues(1);
    let first = machine.claim("a", "T-0001").unwrap().claim;
    machine.wait(TTL_MS);
    assert!(machine.claim("b", "T-0001").is_err(), "it lives for its whole time");
    assert!(ready(&machine.tracker).is_empty());
    machine.wait(1);
    assert_eq!(ready(&machine.tracker), ["T-0001"]);
    let second = machine.claim("b", "T-0001").unwrap();
    assert_eq!(second.issue.row.held.unwrap().fence, 2);
    let (why, holder) = lost(machine.beat("a", "T-0001"));
    assert!(why.contains("lost") && holder.as_deref() == Some("b"), "{why}");
    let tally = machine.tracker.show("T-0001").unwrap().row.tally;
    assert_eq!((tally.claims, tally.takeovers, tally.abandons), (2, 1, 1));
    let by_token = Holding { claim: Some(first.to_string()), ..Holding::default() };
    let by_token = Holding { worker: "a".to_owned(), ..by_token };
    assert!(matches!(
        machine.tracker.hand_off(&by_token, HANDOFF),
        Err(TrackerError::ClaimLost { .. })
    ));
    assert_eq!(machine.tracker.stats().unwrap().claims.takeovers, 1);
}

#[test]
fn a_lapsed_claim_that_nobody_took_is_renewed_by_its_worker() {
    let mut machine = Machine::with_issues(2);
    for name in ["T-0001", "T-0002"] {
        machine.claim("a", name).unwrap();
    }
    machine.wait(TTL_MS + 1);
    assert!(machine.tracker.show("T-0001").unwrap().watch.unwrap().is_stale);
    let renewed = machine.beat("a", "T-0001").unwrap();
    assert!(renewed.renewed);
    assert_eq!(renewed.issue.row.held.unwrap().fence, 2);
    assert!(machine.claim("b", "T-0001").is_err());
    let handed_off = machine.hand_off("a", "T-0002").unwrap();
    assert!(handed_off.renewed);
    assert_eq!(machine.state("T-0002"), "review");
    assert_eq!(machine.tracker.stats().unwrap().claims.takeovers, 0, "nobody else's were taken");
}

#[test]
fn beats_keep_a_claim_alive() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let commits = machine.tracker.info().unwrap().commits;
    for _ in 0..20 {
        machine.wait(TTL_MS - 1);
        assert!(!machine.beat("a", "T-0001").unwrap().renewed);
    }
    assert!(machine.claim("b", "T-0001").is_err());
    assert_eq!(machine.tracker.info().unwrap().commits, commits, "a beat is no record");
}

#[test]
fn a_failed_issue_is_left_alone_for_as_long_as_its_worker_asked() {
    let mut machine = Machine::with_issues(1);
    for failures in 1..=3 {
        machine.claim("a", "T-0001").unwrap();
        let release = Release {
            reason: Some("exit code 1".to_owned()),
            retry_after_ms: Some(5_000),
            force: false,
        };
        let shown = machine.tracker.release(&holding("a", "T-0001"), &release).unwrap().issue;
        assert_eq!(shown.row.rest.as_ref().unwrap().failures, failures);
        assert_eq!(shown.row.state.as_deref(), Some("todo"));
        machine.wait(4_999);
        assert!(ready(&machine.tracker).is_empty());
        machine.wait(1);
        assert_eq!(ready(&machine.tracker), ["T-0001"]);
    }
    machine.claim("a", "T-0001").unwrap();
    machine.release("a", "T-0001").unwrap();
    assert_eq!(ready(&machine.tracker), ["T-0001"]);
}

#[test]
fn what_was_handed_off_can_be_sent_back_and_claimed_again() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    machine.hand_off("a", "T-0001").unwrap();
    assert!(machine.claim("b", "T-0001").is_err());
    let sent_back = machine.tracker.rule("T-0001", &Ruling::Reopened, Some("no test")).unwrap();
    assert_eq!(sent_back.row.state.as_deref(), Some("todo"));
    assert!(!sent_back.json.unwrap().contains("it works"), "its handoff is answered");
    let again = machine.claim("b", "T-0001").unwrap();
    assert_eq!(again.issue.row.held.unwrap().fence, 2);
    machine.hand_off("b", "T-0001").unwrap();
    let done = machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    assert_eq!((done.row.state.as_deref(), done.row.tally.rework), (Some("done"), 1));
    assert!(done.json.unwrap().contains("it works"), "a done issue shows what was handed off");
    assert_eq!(machine.tracker.handoffs("T-0001").unwrap().len(), 2);
}

#[test]
fn ending_an_issue_ends_its_claim() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let done = machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    assert_eq!((done.row.state.as_deref(), done.row.held), (Some("done"), None));
    let (why, holder) = lost(machine.hand_off("a", "T-0001"));
    assert!(why.contains("over") && holder.is_none(), "{why}");
    machine.tracker.rule("T-0001", &Ruling::Reopened, None).unwrap();
    assert_eq!(machine.claim("b", "T-0001").unwrap().issue.row.held.unwrap().fence, 2);
}

#[test]
fn a_maintainer_may_end_any_claim_and_says_why() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let mut release = Release { force: true, ..Release::default() };
    let by = holding("boss", "T-0001");
    assert!(matches!(machine.tracker.release(&by, &release), Err(TrackerError::Invalid { .. })));
    release.reason = Some("it hangs".to_owned());
    machine.tracker.release(&by, &release).unwrap();
    assert_eq!(ready(&machine.tracker), ["T-0001"]);
    let (why, _) = lost(machine.beat("a", "T-0001"));
    assert!(why.contains("it hangs"), "{why}");
}

#[test]
fn what_cannot_be_worked_on_cannot_be_claimed() {
    let mut machine = Machine::with_issues(6);
    let mut set = |name: &str, field: &str, json: &str| {
        machine.tracker.edit(name, &Patch::default().set(field, json), None).unwrap();
    };
    set("T-0001", "state", "\"blocked\"");
    set("T-0002", "blocked_by", "[\"T-0006\"]");
    set("T-0003", "deleted_at", "\"2026-01-01T00:00:00Z\"");
    set("T-0004", "state", "\"done\"");
    set("T-0005", "state", "\"review\"");
    for name in ["T-0001", "T-0002", "T-0003", "T-0004", "T-0005"] {
        let error = machine.claim("a", name).unwrap_err();
        assert!(matches!(error, TrackerError::Refused { holder: None, .. }), "{name}: {error}");
    }
    machine.claim("a", "T-0006").unwrap();
}

#[test]
fn the_state_of_a_claimed_issue_is_not_set_by_hand() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let todo = Patch::default().set_text("state", "todo");
    assert!(machine.tracker.edit("T-0001", &todo, None).is_err());
    let same = Patch::default().set_text("state", "in_progress");
    machine.tracker.edit("T-0001", &same, None).unwrap();
    machine.hand_off("a", "T-0001").unwrap();
    assert!(machine.tracker.edit("T-0001", &todo, None).is_err());
    let done = Patch::default().set_text("state", "done");
    machine.tracker.edit("T-0001", &done, None).unwrap();
    assert_eq!(machine.state("T-0001"), "done");
    machine.tracker.edit("T-0001", &todo, None).unwrap();
    assert_eq!(ready(&machine.tracker), ["T-0001"]);
}

#[test]
fn the_worker_alone_is_enough_where_it_holds_one_claim() {
    let mut machine = Machine::with_issues(3);
    let any = |worker: &str| Holding { worker: worker.to_owned(), ..Holding::default() };
    assert!(matches!(machine.tracker.heartbeat(&any("a")), Err(TrackerError::NoClaim { .. })));
    let first = machine.claim("a", "T-0001").unwrap();
    assert_eq!(machine.tracker.heartbeat(&any("a")).unwrap().claim, first.claim);
    machine.claim("a", "T-0002").unwrap();
    let error = machine.tracker.heartbeat(&any("a")).unwrap_err();
    let TrackerError::ManyClaims { names, .. } = error else { panic!("{error}") };
    assert_eq!(names, ["T-0001", "T-0002"]);
    assert_eq!(machine.tracker.claims(Some("a")).unwrap().len(), 2);
    assert!(machine.tracker.claims(Some("b")).unwrap().is_empty());
    let token = first.claim.to_string();
    let by_token = Holding { claim: Some(token[..8].to_owned()), ..any("a") };
    assert_eq!(machine.tracker.heartbeat(&by_token).unwrap().claim, first.claim);
    let of_other = Holding { issue: Some("T-0002".to_owned()), ..by_token };
    let error = machine.tracker.heartbeat(&of_other).unwrap_err();
    assert!(matches!(&error, TrackerError::ClaimElsewhere { .. }), "{error}");
    assert_eq!(error.to_string(), format!("claim {} is on T-0001, not on T-0002", &token[..8]));
}

#[test]
fn why_others_are_not_ready_is_told() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let mut reasons = Vec::new();
    machine
        .tracker
        .agenda(&Filter { explain: true, ..Filter::default() }, &mut |open| {
            if let Open::Waiting(waiting) = open {
                reasons.push(waiting.reason);
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(matches!(&reasons[..], [Reason::Held(holder)] if holder.held.worker == "a"));
}

#[test]
fn the_file_says_who_holds_an_issue_and_which_commit_proves_it() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.tracker.claim(&Pick::Issue("A-1".to_owned()), &terms("a")).unwrap();
    let exported = list.export();
    assert!(exported.contains("\"state\":\"in_progress\""), "{exported}");
    let claim = list.field("A-1", "claim");
    let agent = claim["by"].as_str().unwrap().to_owned();
    assert_eq!(claim["shard_role"], "primary");
    let log = list.tracker.log("A-1", &Default::default()).unwrap();
    let commit = log.entries[0].commit.unwrap().hash.to_string();
    assert_eq!(claim["signature"], commit.as_str());
    let shard = list.field("A-1", "shard");
    assert_eq!(shard["primary"], agent.as_str());
    assert_eq!(shard["claim_ttl_ms"], 3_600_000, "what one claim asked for is its own");
    assert_eq!(shard["created_view_epoch"], 0);
    let report = list.import(&exported);
    assert_eq!((report.unchanged, report.edited.len()), (1, 0));
    list.set("A-1", "priority", "1");
    assert_eq!(list.field("A-1", "claim")["signature"], commit.as_str());
    assert_eq!(list.tracker.check(&testing::StandInVerifier).unwrap(), [""; 0]);
}

#[test]
fn an_older_line_undoes_no_claim() {
    let mut list = List::new(1);
    let first = record("A-1", &[]);
    list.import(&first);
    list.tracker.claim(&Pick::Issue("A-1".to_owned()), &terms("a")).unwrap();
    let claimed = list.export();
    list.tracker.hand_off(&holding("a", "A-1"), HANDOFF).unwrap();
    let handed_off = list.export();
    for older in [&first, &claimed, &first] {
        let report = list.import(older);
        assert_eq!((report.edited.len(), report.refused.len()), (0, 0), "{older}");
        assert_eq!(list.field("A-1", "state"), "review");
    }
    assert_eq!(list.export(), handed_off);
    assert_eq!(list.import(&handed_off).edited.len(), 0);
}

#[test]
fn a_verdict_in_the_file_is_a_ruling_here() {
    let mut list = List::new(1);
    list.import(&record("A-1", &[]));
    list.tracker.claim(&Pick::Issue("A-1".to_owned()), &terms("a")).unwrap();
    let done = list.export().replace("in_progress", "done");
    let report = list.import(&done);
    assert_eq!(report.edited, [("A-1".to_owned(), vec!["state".to_owned()])]);
    let shown = list.tracker.show("A-1").unwrap();
    assert_eq!((shown.row.state.as_deref(), shown.row.held), (Some("done"), None));
    let open = list.export().replace("\"done\"", "\"todo\"");
    list.import(&open);
    assert_eq!(list.field("A-1", "state"), "todo");
    assert_eq!(ready(&list.tracker), ["A-1"]);
}

#[test]
fn claims_travel_and_are_judged_alike() {
    let mut a = List::new(1);
    a.import(&record("A-1", &[]));
    let mut b = List::member_of(&mut a, 2);
    exchange(&mut a, &mut b);
    let pick = Pick::Issue("A-1".to_owned());
    let first = a.tracker.claim(&pick, &terms("x")).unwrap();
    assert_eq!(first.issue.watch.unwrap().standing, Standing::Provisional);
    give(&a, &mut b);
    assert!(b.tracker.claim(&pick, &terms("y")).is_err(), "nobody here saw it lapse");
    assert_eq!(a.canonical(), b.canonical());
    a.tracker.release(&holding("x", "A-1"), &Release::default()).unwrap();
    exchange(&mut a, &mut b);
    // Apart, both claim; together, one counts, and the other is told.
    a.tracker.claim(&pick, &terms("x")).unwrap();
    b.tracker.claim(&pick, &terms("y")).unwrap();
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    let held = |list: &List| list.tracker.show("A-1").unwrap().row.held.unwrap();
    assert_eq!(held(&a), held(&b));
    let results = [
        a.tracker.heartbeat(&holding("x", "A-1")).is_ok(),
        b.tracker.heartbeat(&holding("y", "A-1")).is_ok(),
    ];
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1, "{results:?}");
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.tracker.show("A-1").unwrap().row.tally.abandons, 1);
}

#[test]
fn verdicts_that_contradict_each_other_are_shown_until_one_is_chosen() {
    let mut a = List::new(1);
    a.import(&record("A-1", &[]));
    let mut b = List::member_of(&mut a, 2);
    exchange(&mut a, &mut b);
    a.tracker.rule("A-1", &Ruling::Done, None).unwrap();
    b.tracker.rule("A-1", &Ruling::Cancelled, None).unwrap();
    exchange(&mut a, &mut b);
    let conflicts = a.tracker.conflicts(Some("A-1")).unwrap();
    assert_eq!(conflicts[0].fields.len(), 1, "{conflicts:?}");
    let choice = x0x_tracker::interface::Choice::Take(1);
    let settled = b.tracker.settle("A-1", "state", &choice, None).unwrap();
    assert_eq!(settled.row.conflicts, 0);
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert!(a.field("A-1", "conflicts").is_null());
}

#[test]
fn a_worker_cannot_rule() {
    let mut a = List::new(1);
    a.import(&record("A-1", &[]));
    let mut b = List::member_in_role(&mut a, 2, Role::Worker);
    exchange(&mut a, &mut b);
    let pick = Pick::Issue("A-1".to_owned());
    b.tracker.claim(&pick, &terms("x")).unwrap();
    b.tracker.hand_off(&holding("x", "A-1"), HANDOFF).unwrap();
    for ruling in [Ruling::Done, Ruling::Reopened] {
        assert!(b.tracker.rule("A-1", &ruling, None).is_err());
    }
    assert!(b.tracker.reshard("A-1", "why", None).is_err());
    exchange(&mut a, &mut b);
    a.tracker.rule("A-1", &Ruling::Done, None).unwrap();
    exchange(&mut a, &mut b);
    assert_eq!(b.field("A-1", "state"), "done");
}

#[test]
fn a_reshard_counts_for_the_next_claim() {
    let mut machine = Machine::with_issues(1);
    assert!(machine.tracker.reshard("T-0001", "early", None).is_err());
    machine.claim("a", "T-0001").unwrap();
    machine.tracker.reshard("T-0001", "longer work", Some(60_000)).unwrap();
    machine.release("a", "T-0001").unwrap();
    let by_default = Terms { ttl_ms: None, ..terms("a") };
    let kept = machine.tracker.claim(&Pick::Issue("T-0001".to_owned()), &by_default).unwrap();
    assert_eq!(kept.issue.row.held.unwrap().ttl_ms, 60_000);
}

#[test]
fn undo_answers_a_verdict_and_leaves_a_claim() {
    let mut machine = Machine::with_issues(1);
    let undo =
        x0x_tracker::interface::Undo { what: "T-0001".to_owned(), force: false, dry_run: false };
    machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    machine.tracker.undo(&undo, &mut |_| {}).unwrap();
    assert_eq!(machine.state("T-0001"), "todo");
    machine.tracker.undo(&undo, &mut |_| {}).unwrap();
    assert_eq!(machine.state("T-0001"), "done");
    machine.tracker.rule("T-0001", &Ruling::Reopened, None).unwrap();
    machine.claim("a", "T-0001").unwrap();
    assert!(machine.tracker.undo(&undo, &mut |_| {}).is_err());
    assert_eq!(machine.state("T-0001"), "in_progress");
}

#[test]
fn undoing_a_verdict_shows_the_handoff_that_it_was_on() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    machine.hand_off("a", "T-0001").unwrap();
    machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    let undo =
        x0x_tracker::interface::Undo { what: "T-0001".to_owned(), force: false, dry_run: false };
    machine.tracker.undo(&undo, &mut |_| {}).unwrap();
    let shown = machine.tracker.show("T-0001").unwrap();
    assert_eq!(shown.row.state.as_deref(), Some("review"));
    assert!(shown.json.unwrap().contains("it works"), "its handoff stands");
    let sent_back = machine.tracker.rule("T-0001", &Ruling::Reopened, None).unwrap();
    assert_eq!((sent_back.row.state.as_deref(), sent_back.row.tally.rework), (Some("todo"), 1));
}

#[test]
fn a_file_of_a_worker_opens_no_issue_again_that_was_over_when_it_was_read() {
    let mut a = List::new(1);
    a.import(&record("A-1", &[]));
    let mut b = List::member_in_role(&mut a, 2, Role::Worker);
    exchange(&mut a, &mut b);
    a.tracker.rule("A-1", &Ruling::Done, None).unwrap();
    exchange(&mut a, &mut b);
    let over = b.export();
    a.tracker.rule("A-1", &Ruling::Reopened, None).unwrap();
    exchange(&mut a, &mut b);
    let report = b.import(&over.replace("\"done\"", "\"in_progress\""));
    assert_eq!(report.pending.len(), 1, "{report:?}");
    assert_eq!((report.edited.len(), b.field("A-1", "state")), (0, "todo".into()));
    assert!(b.export().contains("in_progress"), "the file keeps it");
    b.set("A-1", "priority", "1");
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn a_worker_brings_in_issues_that_are_over() {
    let mut a = List::new(1);
    let mut b = List::member_in_role(&mut a, 2, Role::Worker);
    b.import(&record("A-1", &[("state", "\"done\"")]));
    exchange(&mut a, &mut b);
    assert_eq!(a.field("A-1", "state"), "done");
    assert_eq!(a.canonical(), b.canonical());
}

fn by_token(worker: &str, claim: x0x_tracker::id::RecordHash) -> Holding {
    Holding { worker: worker.to_owned(), issue: None, claim: Some(claim.to_string()) }
}

fn any(worker: &str) -> Holding {
    Holding { worker: worker.to_owned(), ..Holding::default() }
}

fn resuming(worker: &str) -> Terms {
    Terms { resume: true, ..terms(worker) }
}

fn force() -> Release {
    Release { force: true, reason: Some("it hangs".to_owned()), retry_after_ms: None }
}

#[test]
fn a_token_serves_the_worker_whose_claim_it_is() {
    let mut machine = Machine::with_issues(1);
    let claim = machine.claim("a", "T-0001").unwrap().claim;
    let of_a = by_token("b", claim);
    let results = [
        machine.tracker.heartbeat(&of_a),
        machine.tracker.hand_off(&of_a, HANDOFF),
        machine.tracker.release(&of_a, &Release::default()),
    ];
    for result in results {
        let (why, holder) = lost(result);
        assert!(why.contains("worker b does not hold it"), "{why}");
        assert_eq!(holder.as_deref(), Some("a"));
    }
    assert_eq!(machine.tracker.heartbeat(&by_token("a", claim)).unwrap().claim, claim);
}

#[test]
fn whoever_wants_to_go_on_with_what_it_lost_is_told_and_takes_the_next() {
    let mut machine = Machine::with_issues(2);
    let first = machine.claim("a", "T-0001").unwrap().claim;
    machine.wait(TTL_MS + 1);
    machine.claim("b", "T-0001").unwrap();
    let pick = Pick::First(Filter::default());
    let next = machine.tracker.claim(&pick, &resuming("a")).unwrap();
    assert_eq!((next.issue.name.as_str(), next.lost.len()), ("T-0002", 1));
    assert_eq!((next.lost[0].claim, next.lost[0].name.as_str()), (first, "T-0001"));
    assert_eq!(machine.tracker.show("T-0001").unwrap().row.tally.abandons, 1);
    let again = machine.tracker.claim(&pick, &resuming("a")).unwrap();
    assert_eq!((again.claim, again.lost.len()), (next.claim, 0));
    // Without anything else to take, what was lost is the answer, once.
    machine.wait(TTL_MS + 1);
    machine.beat("b", "T-0001").unwrap();
    machine.claim("c", "T-0002").unwrap();
    let (why, holder) = lost(machine.tracker.claim(&pick, &resuming("a")));
    assert!(why.contains("lost") && holder.as_deref() == Some("c"), "{why}");
    let nothing = machine.tracker.claim(&pick, &resuming("a")).unwrap_err();
    assert!(matches!(nothing, TrackerError::NothingReady), "{nothing}");
    let named = machine.tracker.claim(&Pick::Issue("T-0002".to_owned()), &resuming("a"));
    assert!(matches!(named, Err(TrackerError::Refused { is_own: false, .. })));
}

#[test]
fn what_others_ended_is_told_once_to_a_worker_that_names_no_issue() {
    let mut machine = Machine::with_issues(2);
    type End<'a> = &'a dyn Fn(&mut Machine);
    let ends: [(&str, End<'_>); 2] = [
        ("done", &|machine| drop(machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap())),
        ("it hangs", &|machine| {
            drop(machine.tracker.release(&holding("boss", "T-0002"), &force()).unwrap());
        }),
    ];
    for (name, (told, end)) in ["T-0001", "T-0002"].into_iter().zip(ends) {
        machine.claim("a", name).unwrap();
        end(&mut machine);
        assert!(machine.tracker.claims(Some("a")).unwrap().is_empty());
        let (why, _) = lost(machine.tracker.hand_off(&any("a"), HANDOFF));
        assert!(why.contains(told), "{told}: {why}");
        let error = machine.tracker.hand_off(&any("a"), HANDOFF).unwrap_err();
        assert!(matches!(error, TrackerError::NoClaim { .. }), "{error}");
    }
}

#[test]
fn what_was_lost_does_not_hide_what_is_held() {
    let mut machine = Machine::with_issues(4);
    for name in ["T-0001", "T-0002", "T-0003"] {
        machine.claim("a", name).unwrap();
    }
    machine.wait(TTL_MS + 1);
    machine.claim("b", "T-0001").unwrap();
    machine.tracker.rule("T-0002", &Ruling::Cancelled, None).unwrap();
    let kept = machine.tracker.heartbeat(&any("a")).unwrap();
    assert_eq!(kept.issue.name, "T-0003");
    let names: Vec<&str> = kept.lost.iter().map(|loss| loss.name.as_str()).collect();
    assert_eq!(names, ["T-0001", "T-0002"]);
    assert_eq!(machine.tracker.show("T-0001").unwrap().row.tally.abandons, 1);
    assert!(machine.tracker.heartbeat(&any("a")).unwrap().lost.is_empty());
    machine.claim("a", "T-0004").unwrap();
    let error = machine.tracker.heartbeat(&any("a")).unwrap_err();
    let TrackerError::ManyClaims { names, .. } = error else { panic!("{error}") };
    assert_eq!(names, ["T-0003", "T-0004"]);
    assert_eq!(machine.tracker.heartbeat(&any("b")).unwrap().issue.name, "T-0001");
}

#[test]
fn losses_are_told_together_where_nothing_is_held() {
    let mut machine = Machine::with_issues(3);
    for name in ["T-0001", "T-0002"] {
        machine.claim("a", name).unwrap();
    }
    for name in ["T-0001", "T-0002"] {
        machine.tracker.release(&holding("boss", name), &force()).unwrap();
    }
    let error = machine.tracker.heartbeat(&any("a")).unwrap_err();
    let TrackerError::ClaimLost { name, also, .. } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), also.len(), also[0].name.as_str()), ("T-0001", 1, "T-0002"));
    assert!(error.to_string().contains("; T-0002: the claim is over"), "{error}");
    assert!(matches!(machine.tracker.heartbeat(&any("a")), Err(TrackerError::NoClaim { .. })));
    machine.claim("a", "T-0001").unwrap();
    machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    let next = machine.claim("a", "T-0003").unwrap();
    assert_eq!(next.lost.len(), 1, "the next claim tells it too");
}

#[test]
fn the_time_to_live_of_one_claim_is_not_that_of_the_next() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    machine.tracker.release(&holding("a", "T-0001"), &Release::default()).unwrap();
    let terms = Terms { worker: "b".to_owned(), ttl_ms: None, ..Terms::default() };
    let kept = machine.tracker.claim(&Pick::Issue("T-0001".to_owned()), &terms).unwrap();
    assert_eq!(kept.issue.row.held.unwrap().ttl_ms, 3_600_000);
}

#[test]
fn who_renewed_its_claim_and_handed_off_has_lost_nothing() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    machine.wait(TTL_MS + 1);
    assert!(machine.beat("a", "T-0001").unwrap().renewed);
    machine.tracker.hand_off(&holding("a", "T-0001"), HANDOFF).unwrap();
    let error = machine.tracker.heartbeat(&holding("a", "T-0001")).unwrap_err();
    assert!(error.to_string().contains("handed off"), "{error}");
    assert_eq!(machine.tracker.show("T-0001").unwrap().row.tally.abandons, 0);
}

#[test]
fn whoever_asks_what_it_lost_is_told_each_once_and_gives_way() {
    let mut machine = Machine::with_issues(3);
    for name in ["T-0001", "T-0002", "T-0003"] {
        machine.claim("a", name).unwrap();
    }
    machine.tracker.release(&holding("boss", "T-0001"), &force()).unwrap();
    machine.wait(TTL_MS + 1);
    machine.claim("b", "T-0002").unwrap();
    let told = machine.tracker.losses("a").unwrap();
    let mut names: Vec<_> = told.iter().map(|loss| loss.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["T-0001", "T-0002"]);
    assert!(told.iter().any(|loss| loss.why.contains("worker b")), "{told:?}");
    assert_eq!(machine.tracker.show("T-0002").unwrap().row.tally.abandons, 1);
    assert_eq!(machine.tracker.losses("a").unwrap(), []);
    assert_eq!(machine.tracker.losses("nobody").unwrap(), []);
    assert_eq!(machine.tracker.claims(Some("a")).unwrap()[0].name, "T-0003");
}

#[test]
fn a_token_means_what_its_claim_became_by_renewals() {
    let mut machine = Machine::with_issues(2);
    let first = machine.claim("a", "T-0001").unwrap().claim;
    machine.wait(TTL_MS + 1);
    let second = machine.beat("a", "T-0001").unwrap().claim;
    machine.wait(TTL_MS + 1);
    let third = machine.tracker.heartbeat(&by_token("a", first)).unwrap();
    assert!(third.renewed && third.claim != second);
    let done = machine.tracker.hand_off(&by_token("a", first), HANDOFF).unwrap();
    assert_eq!((done.claim, done.issue.row.tally.abandons), (third.claim, 0));
    let error = machine.tracker.heartbeat(&by_token("a", second)).unwrap_err();
    assert!(matches!(error, TrackerError::ClaimLost { by_holder: true, .. }), "{error}");
    // What the worker claimed after it had lost is another claim.
    let lost_one = machine.claim("a", "T-0002").unwrap().claim;
    machine.wait(TTL_MS + 1);
    machine.claim("b", "T-0002").unwrap();
    machine.wait(TTL_MS + 1);
    let own = machine.claim("a", "T-0002").unwrap();
    assert_eq!(own.lost.len(), 1);
    lost(machine.tracker.hand_off(&by_token("a", lost_one), HANDOFF));
    assert_eq!(machine.beat("a", "T-0002").unwrap().claim, own.claim);
}

#[test]
fn another_time_to_live_renews_what_is_gone_on_with() {
    let mut machine = Machine::with_issues(1);
    let first = machine.claim("a", "T-0001").unwrap().claim;
    let longer = Terms { ttl_ms: Some(7_200_000), ..resuming("a") };
    let pick = Pick::Issue("T-0001".to_owned());
    let kept = machine.tracker.claim(&pick, &longer).unwrap();
    assert!(kept.renewed && kept.claim != first);
    assert_eq!(kept.issue.row.held.unwrap().ttl_ms, 7_200_000);
    assert!(!machine.tracker.claim(&pick, &longer).unwrap().renewed);
    let any_ttl = Terms { ttl_ms: None, ..resuming("a") };
    assert_eq!(machine.tracker.claim(&pick, &any_ttl).unwrap().claim, kept.claim);
}

#[test]
fn a_rest_that_is_too_long_is_refused_with_the_bound() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let rest = |ms| Release { retry_after_ms: Some(ms), ..Release::default() };
    let day_ms = 24 * 3_600_000;
    let error = machine.tracker.release(&holding("a", "T-0001"), &rest(day_ms + 1)).unwrap_err();
    assert!(error.to_string().contains("a day at most"), "{error}");
    assert_eq!(machine.state("T-0001"), "in_progress");
    let shown = machine.tracker.release(&holding("a", "T-0001"), &rest(day_ms)).unwrap().issue;
    assert_eq!(shown.rest_left_ms, Some(day_ms));
}

#[test]
fn a_token_that_nobody_knows_is_no_name_of_an_issue() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let unknown = Holding { claim: Some("0123456789abcdef".to_owned()), ..any("a") };
    let error = machine.tracker.heartbeat(&unknown).unwrap_err();
    assert_eq!(error.to_string(), "no claim has the token '0123456789abcdef'");
    let on_issue = Holding { issue: Some("T-0001".to_owned()), ..unknown };
    let error = machine.tracker.heartbeat(&on_issue).unwrap_err();
    assert!(error.to_string().contains("worker a of agent"), "{error}");
    assert_eq!(error.holder().unwrap().held.worker, "a");
    assert_eq!(
        (error.code(), error.fault()),
        ("unknown_claim", x0x_tracker::interface::error::Fault::NotFound)
    );
}

#[test]
fn a_worker_that_claims_what_it_holds_is_told_to_go_on() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let own = machine.claim("a", "T-0001").unwrap_err();
    assert!(own.hint().contains("--resume") && own.to_string().contains("already"), "{own}");
    let others = machine.claim("b", "T-0001").unwrap_err();
    assert!(!others.hint().contains("--resume"), "{}", others.hint());
}

#[test]
fn what_is_held_is_gone_on_with_whatever_states_are_asked_for() {
    let mut machine = Machine::with_issues(2);
    let first = machine.claim("a", "T-0002").unwrap().claim;
    let todo = Filter { states: vec!["todo".to_owned()], ..Filter::default() };
    let pick = Pick::First(todo.clone());
    assert_eq!(machine.tracker.claim(&pick, &resuming("a")).unwrap().claim, first);
    let other = Pick::First(Filter { labels: vec!["x".to_owned()], ..todo });
    assert!(matches!(
        machine.tracker.claim(&other, &resuming("a")),
        Err(TrackerError::NothingReady)
    ));
}

#[test]
fn renewals_are_no_attempts() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    machine.wait(TTL_MS + 1);
    machine.beat("a", "T-0001").unwrap();
    assert_eq!(machine.tracker.show("T-0001").unwrap().row.tally.attempts(), 1);
    machine.release("a", "T-0001").unwrap();
    machine.claim("a", "T-0001").unwrap();
    machine.wait(TTL_MS + 1);
    machine.claim("b", "T-0001").unwrap();
    let tally = machine.tracker.show("T-0001").unwrap().row.tally;
    assert_eq!((tally.claims, tally.renewals, tally.attempts()), (4, 1, 3));
}

#[test]
fn an_issue_that_was_over_does_not_rest_when_it_is_opened_again() {
    let mut machine = Machine::with_issues(1);
    machine.claim("a", "T-0001").unwrap();
    let release = Release { retry_after_ms: Some(50_000), ..Release::default() };
    machine.tracker.release(&holding("a", "T-0001"), &release).unwrap();
    assert!(ready(&machine.tracker).is_empty());
    machine.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    machine.tracker.rule("T-0001", &Ruling::Reopened, None).unwrap();
    assert_eq!(ready(&machine.tracker), ["T-0001"]);
}

#[test]
fn a_worker_that_knows_that_it_lost_hands_nothing_off() {
    let mut a = List::new(1);
    a.import(&record("A-1", &[]));
    let mut b = List::member_of(&mut a, 2);
    exchange(&mut a, &mut b);
    let pick = Pick::Issue("A-1".to_owned());
    a.tracker.claim(&pick, &terms("x")).unwrap();
    b.tracker.claim(&pick, &terms("y")).unwrap();
    // Each hands off by what it knows, and both handoffs are taken.
    a.tracker.hand_off(&holding("x", "A-1"), HANDOFF).unwrap();
    b.tracker.hand_off(&holding("y", "A-1"), "{\"summary\":\"mine\"}").unwrap();
    exchange(&mut a, &mut b);
    assert_eq!(a.canonical(), b.canonical());
    assert_eq!(a.tracker.handoffs("A-1").unwrap().len(), 2);
    assert!(a.tracker.hand_off(&holding("x", "A-1"), HANDOFF).is_err());
}
