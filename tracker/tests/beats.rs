//! Beats of other machines: what a store makes of them, and of claims that it hears nothing of.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use support::{List, exchange, give};
use x0x_tracker::LocalTracker;
use x0x_tracker::claim::around::Return;
use x0x_tracker::claim::beat::{Beat, Kind, SignedBeat, Turn};
use x0x_tracker::claim::{Around, Uptime};
use x0x_tracker::id::{AgentId, RecordHash};
use x0x_tracker::interface::request::Filter;
use x0x_tracker::interface::workers::Deeds;
use x0x_tracker::interface::{
    Holding, Open, Pick, Release, Shown, Standing, Terms, Tracker, TrackerError,
};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::store::Store;
use x0x_tracker::tasklist::{Host, Senses};
use x0x_tracker::testing::{self, StandIn};

const TTL_MS: u64 = 1_000;

fn terms(worker: &str) -> Terms {
    Terms { worker: worker.to_owned(), ttl_ms: Some(TTL_MS), ..Terms::default() }
}

fn claimed(list: &mut List, name: &str) -> RecordHash {
    let shown = list.tracker.claim(&Pick::Issue(name.to_owned()), &terms("w")).unwrap();
    shown.issue.row.held.unwrap().claim
}

/// What a node of a test sees, and how long its machine has been running.
#[derive(Clone, Default)]
struct Seen {
    uptime_ms: Arc<AtomicU64>,
    /// Which start of the machine it is.
    boot: Arc<AtomicU64>,
    around: Arc<Mutex<Around>>,
}

impl Seen {
    /// Time passes in which the node looks, or does not.
    fn pass(&self, ms: u64) {
        self.uptime_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn sees(&self, change: impl FnOnce(&mut Around, u64)) {
        change(&mut self.around.lock().unwrap(), self.uptime_ms.load(Ordering::Relaxed));
    }

    /// Agents are heard now.
    fn hears(&self, agents: &[u64]) {
        self.sees(|around, now| {
            let heard = agents.iter().map(|seed| (agent(*seed), now as i64));
            around.heard.extend(heard);
        });
    }
}

fn agent(seed: u64) -> AgentId {
    StandIn::new(seed).agent()
}

/// The list as a node of that agent has it, which always looks.
fn hearing(list: List, seed: u64) -> (List, Seen) {
    let seen = Seen::default();
    let look = {
        let seen = seen.clone();
        move || {
            let looked_ms = seen.uptime_ms.load(Ordering::Relaxed);
            Arc::new(Around { looked_ms, ..seen.around.lock().unwrap().clone() })
        }
    };
    timed(list, seed, seen, Senses::of(look))
}

/// The list on a machine with that time, with a node that tells so much.
fn timed(list: List, seed: u64, seen: Seen, senses: Senses) -> (List, Seen) {
    let List { dir, tracker, last } = list;
    drop(tracker);
    seen.pass(10_000);
    let clock = seen.clone();
    let uptime = move || {
        let boot = [clock.boot.load(Ordering::Relaxed) as u8; 16];
        Uptime { boot, ms: clock.uptime_ms.load(Ordering::Relaxed) }
    };
    let senses = Arc::new(senses);
    let host = Host { uptime: Box::new(uptime), senses, ..testing::host(seed) };
    let store = Store::open_to_write(&dir.path().join("list.redb")).unwrap();
    (List { dir, tracker: LocalTracker::over(store, host), last }, seen)
}

fn silent_ms(list: &List, name: &str) -> Option<u64> {
    list.tracker.show(name).unwrap().watch.unwrap().silent_ms
}

fn beat(of: &List, start: u64, counter: u64, claims: &[RecordHash]) -> Beat {
    let signed = of.tracker.beat_of(Turn { start, counter }, Kind::Worked, claims).unwrap();
    signed.as_ref().map(SignedBeat::peek).unwrap().unwrap()
}

#[test]
fn a_claim_of_another_is_watched_from_when_it_comes_and_each_beat_makes_it_young() {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut b, seen) = hearing(b, 2);
    for title in ["one", "two"] {
        a.create(title);
    }
    let first = claimed(&mut a, "T-0001");
    give(&a, &mut b);
    assert_eq!(silent_ms(&b, "T-0001"), Some(0), "the claim itself is a beat");
    seen.pass(700);
    assert_eq!(silent_ms(&b, "T-0001"), Some(700));
    assert_eq!(b.tracker.hear(&beat(&a, 1, 1, &[first])).unwrap(), 1);
    assert_eq!(silent_ms(&b, "T-0001"), Some(0));
    seen.pass(TTL_MS + 1);
    assert!(b.tracker.show("T-0001").unwrap().watch.unwrap().is_stale);
    // What one is named that is not here, or not its own, is nothing.
    let own = claimed(&mut b, "T-0002");
    seen.pass(5);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 2, &[own, RecordHash([9; 32])])).unwrap(), 0);
    assert_eq!(silent_ms(&b, "T-0002"), Some(5));
}

#[test]
fn only_what_holds_an_issue_is_watched_and_nothing_where_no_node_hears() {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut b, _) = hearing(b, 2);
    let mut c = List::member_in_role(&mut a, 3, Role::Worker);
    for statement in a.tracker.statements().unwrap() {
        b.tracker.admit_statement(&statement).unwrap();
    }
    a.create("one");
    let first = claimed(&mut a, "T-0001");
    give(&a, &mut b);
    give(&a, &mut c);
    assert_eq!(silent_ms(&c, "T-0001"), None, "no beat could have come");
    let holding = Holding { worker: "w".to_owned(), ..Holding::default() };
    a.tracker.release(&holding, &Release::default()).unwrap();
    give(&a, &mut b);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 1, &[first])).unwrap(), 0, "it is over");
    let second = claimed(&mut a, "T-0001");
    exchange(&mut a, &mut b);
    assert_eq!(b.tracker.hear(&beat(&a, 1, 2, &[first, second])).unwrap(), 1);
}

#[test]
fn each_start_has_a_number_of_its_own_over_a_restart_too() {
    let mut a = List::new(1);
    let first = a.tracker.start_beating().unwrap();
    let List { dir, tracker, .. } = a;
    drop(tracker);
    let mut again = testing::open(dir.path(), 1).unwrap();
    assert!(first >= testing::START.0 as u64, "so that a copy of an earlier day goes on behind it");
    assert_eq!(again.start_beating().unwrap(), first + 1);
}

/// A list of two agents that both work, with an issue that the first holds, on a slate that it drew with the
/// second; what each sees.
fn two(wanted_slot: u8) -> (List, List, Seen, Seen) {
    let mut a = List::new(1);
    let b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut a, at_a) = hearing(a, 1);
    let (mut b, at_b) = hearing(b, 2);
    at_a.hears(&[2]);
    at_b.hears(&[1]);
    loop {
        let created = a.create("one");
        let kept = a.tracker.claim(&Pick::Issue(created.row.id.clone()), &terms("w")).unwrap();
        if kept.issue.row.held.unwrap().slot == wanted_slot {
            give(&a, &mut b);
            return (a, b, at_a, at_b);
        }
        a.tracker
            .release(&Holding { worker: "w".to_owned(), ..Holding::default() }, &Release::default())
            .unwrap();
    }
}

fn held(list: &List) -> Shown {
    let mut found = None;
    list.tracker
        .list(&Filter::default(), &mut |shown| {
            if shown.row.held.is_some() || shown.row.tally.takeovers > 0 {
                found = Some(shown.clone());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    found.unwrap()
}

fn take(list: &mut List) -> Result<RecordHash, TrackerError> {
    let pick = Pick::Issue(held(list).row.id);
    list.tracker.claim(&pick, &terms("v")).map(|kept| kept.claim)
}

fn is_ready(list: &List) -> bool {
    let id = held(list).row.id;
    let mut is_ready = false;
    list.tracker
        .agenda(&Filter::default(), &mut |open| {
            is_ready |= matches!(&open, Open::Ready(shown) if shown.row.id == id);
            ControlFlow::Continue(())
        })
        .unwrap();
    is_ready
}

#[test]
fn a_backup_takes_over_a_silent_claim_in_its_turn_and_what_is_ready_says_so() {
    let (_a, mut b, _, at_b) = two(0);
    at_b.pass(TTL_MS + TTL_MS / 8);
    let refused = take(&mut b).unwrap_err();
    let TrackerError::Refused { retry_after_ms, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*retry_after_ms, Some(1));
    assert!(refused.to_string().contains("lapsed") && !is_ready(&b), "{refused}");
    at_b.pass(1);
    assert!(is_ready(&b));
    take(&mut b).unwrap();
    assert!(held(&b).row.tally.takeovers == 1 && !is_ready(&b));
}

#[test]
fn nobody_takes_over_by_silence_that_it_could_not_have_heard_broken() {
    let (_a, mut b, _, at_b) = two(1);
    at_b.pass(10 * TTL_MS);
    at_b.sees(|around, now| around.gaps.push((now - 9 * TTL_MS - 500, now)));
    assert!(take(&mut b).is_err(), "nobody looked for most of it");
    at_b.pass(600);
    at_b.sees(|around, _| around.is_comparing = true);
    assert!(take(&mut b).is_err() && !is_ready(&b), "it has not compared with a neighbour");
    at_b.sees(|around, now| {
        around.is_comparing = false;
        around.note_return(None, Return { away_ms: 10 * TTL_MS, at_ms: now });
    });
    let refused = take(&mut b).unwrap_err();
    let TrackerError::Refused { retry_after_ms, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*retry_after_ms, Some(TTL_MS / 4 + 1));
    at_b.pass(TTL_MS / 4 + 1);
    take(&mut b).unwrap();
}

#[test]
fn a_holder_that_never_lapsed_contests_a_takeover_and_whoever_took_over_gives_up() {
    let (mut a, mut b, at_a, at_b) = two(1);
    at_a.pass(TTL_MS - 10);
    at_b.pass(2 * TTL_MS);
    let takeover = take(&mut b).unwrap();
    give(&b, &mut a);
    let first = held(&b).row.held.unwrap();
    assert_eq!(first.claim, takeover);
    let parted = a.tracker.part().unwrap();
    assert!(parted.len() == 1 && parted[0].lost_to.is_none(), "{parted:?}");
    assert_eq!(parted[0].worker, "w");
    assert!(a.tracker.part().unwrap().is_empty(), "once");
    give(&a, &mut b);
    let lost = b.tracker.part().unwrap();
    assert_eq!((lost[0].worker.as_str(), lost[0].lost_to), ("v", Some(parted[0].claim)));
    exchange(&mut a, &mut b);
    assert_eq!(held(&a).row, held(&b).row);
    assert_eq!((held(&a).row.tally.takeovers, held(&a).row.tally.abandons), (1, 1));
    // The holder goes on, and whoever lost is told once.
    let worker = |name: &str| Holding { worker: name.to_owned(), ..Holding::default() };
    let kept = a.tracker.heartbeat(&worker("w")).unwrap();
    assert!(!kept.renewed && kept.claim == parted[0].claim);
    assert!(matches!(b.tracker.heartbeat(&worker("v")), Err(TrackerError::ClaimLost { .. })));
    assert!(matches!(b.tracker.heartbeat(&worker("v")), Err(TrackerError::NoClaim { .. })));
}

#[test]
fn who_was_off_over_a_restart_of_the_machine_contests_nothing() {
    let (mut a, mut b, at_a, at_b) = two(1);
    at_b.pass(2 * TTL_MS);
    let takeover = take(&mut b).unwrap();
    // The machine was started just now: how long the claim was silent before, nobody knows.
    at_a.boot.store(1, Ordering::Relaxed);
    at_a.uptime_ms.store(30, Ordering::Relaxed);
    at_a.sees(|around, _| *around = Around::default());
    give(&b, &mut a);
    assert_eq!(a.tracker.part().unwrap()[0].lost_to, Some(takeover));
    let (mut a, _b, at_a, _) = two(1);
    at_a.boot.store(1, Ordering::Relaxed);
    at_a.uptime_ms.store(30, Ordering::Relaxed);
    at_a.sees(|around, _| *around = Around { is_comparing: true, ..Around::default() });
    let worker = Holding { worker: "w".to_owned(), ..Holding::default() };
    let refused = a.tracker.heartbeat(&worker).unwrap_err();
    assert!(matches!(refused, TrackerError::CatchingUp { .. }), "{refused}");
    let refused = a.tracker.release(&worker, &Release::default()).unwrap_err();
    assert!(matches!(refused, TrackerError::CatchingUp { .. }), "{refused}");
    at_a.sees(|around, _| around.is_comparing = false);
    assert!(a.tracker.heartbeat(&worker).unwrap().renewed);
}

#[test]
fn a_claim_that_lapsed_is_confirmed_by_no_promise() {
    let (mut a, mut b, at_a, _) = two(0);
    let claim = held(&a).row.held.unwrap().claim;
    b.create("that it has a log");
    let turn = Turn { start: 1, counter: 1 };
    let promise = b.tracker.beat_of(turn, Kind::Promised, &[claim]).unwrap().unwrap();
    a.tracker.hear(&promise.peek().unwrap()).unwrap();
    assert_eq!(held(&a).watch.unwrap().standing, Standing::Confirmed);
    at_a.pass(TTL_MS + 1);
    at_a.hears(&[2]);
    assert_eq!(held(&a).watch.unwrap().standing, Standing::Provisional);
}

#[test]
fn turns_of_logs_that_a_member_makes_up_are_kept_in_a_bounded_number() {
    let (a, mut b, ..) = two(1);
    for n in 0..200_u64 {
        let mut made_up = beat(&a, 1, 1, &[]);
        made_up.log.nonce = n.to_be_bytes();
        b.tracker.hear(&made_up).unwrap();
        // It is known that it came.
        made_up.turn.counter = 1;
        assert_eq!(b.tracker.hear(&made_up).unwrap(), 0);
    }
    assert!(b.tracker.sources_heard(agent(1)).unwrap() <= 16);
}

#[test]
fn a_heartbeat_contests_as_well_and_goes_on() {
    let (mut a, mut b, at_a, at_b) = two(1);
    at_a.pass(TTL_MS - 10);
    at_b.pass(2 * TTL_MS);
    take(&mut b).unwrap();
    give(&b, &mut a);
    let worker = Holding { worker: "w".to_owned(), ..Holding::default() };
    assert!(!a.tracker.heartbeat(&worker).unwrap().renewed);
    assert_eq!(held(&a).row.held.unwrap().worker, "w");
}

#[test]
fn a_holder_that_lapsed_gives_up_to_whoever_took_over() {
    let (mut a, mut b, at_a, at_b) = two(1);
    at_a.pass(TTL_MS + 1);
    at_b.pass(2 * TTL_MS);
    let takeover = take(&mut b).unwrap();
    exchange(&mut a, &mut b);
    let parted = a.tracker.part().unwrap();
    assert_eq!(parted[0].lost_to, Some(takeover));
    exchange(&mut a, &mut b);
    assert_eq!(held(&b).row.held.unwrap().claim, takeover);
    assert!(b.tracker.part().unwrap().is_empty());
    assert_eq!(a.canonical(), b.canonical());
}

#[test]
fn a_claim_that_lapsed_is_renewed_once_it_is_known_that_nobody_took_it_over() {
    let (mut a, _, at_a, _) = two(0);
    let worker = Holding { worker: "w".to_owned(), ..Holding::default() };
    let before = held(&a).row.held.unwrap().claim;
    at_a.sees(|around, _| around.is_comparing = true);
    at_a.pass(TTL_MS);
    assert!(!a.tracker.heartbeat(&worker).unwrap().renewed, "it has not lapsed");
    at_a.pass(TTL_MS + 1);
    for _ in 0..2 {
        let refused = a.tracker.heartbeat(&worker).unwrap_err();
        assert!(matches!(refused, TrackerError::CatchingUp { .. }) && refused.is_retryable());
    }
    let handoff = a.tracker.hand_off(&worker, "{\"summary\":\"s\"}");
    assert!(matches!(handoff, Err(TrackerError::CatchingUp { .. })));
    assert_eq!(held(&a).row.held.unwrap().claim, before);
    at_a.sees(|around, _| around.is_comparing = false);
    assert!(a.tracker.heartbeat(&worker).unwrap().renewed);
}

#[test]
fn a_claim_is_confirmed_once_its_slate_promised_and_everybody_was_heard() {
    let (mut a, mut b, at_a, _) = two(0);
    let standing = |list: &List| held(list).watch.unwrap();
    assert_eq!(standing(&a).standing, Standing::Provisional);
    assert_eq!(standing(&a).unheard, [agent(2)]);
    let promised = b.tracker.promised().unwrap();
    let claim = held(&a).row.held.unwrap().claim;
    assert_eq!((promised, a.tracker.promised().unwrap()), (vec![claim], vec![]));
    let promise = |of: &List, counter, claims: &[RecordHash]| {
        let turn = Turn { start: 1, counter };
        of.tracker.beat_of(turn, Kind::Promised, claims).unwrap().unwrap().peek().unwrap()
    };
    b.create("that it has a log");
    assert_eq!(a.tracker.hear(&promise(&b, 1, &[RecordHash([7; 32])])).unwrap(), 0);
    assert_eq!(a.tracker.hear(&promise(&b, 2, &[claim])).unwrap(), 1);
    assert_eq!(a.tracker.hear(&promise(&b, 2, &[claim])).unwrap(), 0, "it came again");
    assert_eq!(standing(&a).standing, Standing::Confirmed);
    // Whoever may come back with a claim is waited for, for days.
    let heard =
        |ms: i64| at_a.sees(|around, now| around.heard = [(agent(2), now as i64 - ms)].into());
    heard(700_000);
    assert_eq!((standing(&a).standing, standing(&a).unheard), (Standing::Isolated, vec![agent(2)]));
    heard(8 * 86_400_000);
    assert_eq!(standing(&a).standing, Standing::Confirmed);
    // With the claim goes what was promised of it.
    let worker = Holding { worker: "w".to_owned(), ..Holding::default() };
    a.tracker.release(&worker, &Release::default()).unwrap();
    give(&a, &mut b);
    assert!(b.tracker.promised().unwrap().is_empty());
}

#[test]
fn a_holder_that_hears_nobody_for_a_life_is_isolated() {
    let (a, _, at_a, _) = two(0);
    let standing = || held(&a).watch.unwrap().standing;
    at_a.pass(TTL_MS);
    assert_eq!(standing(), Standing::Provisional);
    at_a.pass(1);
    assert_eq!(standing(), Standing::Isolated);
    at_a.hears(&[2]);
    assert_eq!(standing(), Standing::Provisional);
}

#[test]
fn those_on_the_slate_come_first_where_one_is_there_and_the_slate_is_drawn_of_those() {
    let mut a = List::new(1);
    let mut others = Vec::new();
    for seed in 2..7 {
        others.push(List::member_in_role(&mut a, seed, Role::Worker));
    }
    for statement in a.tracker.statements().unwrap() {
        let _known = others[4].tracker.admit_statement(&statement).unwrap();
    }
    let (mut f, at_f) = hearing(others.pop().unwrap(), 6);
    let own = agent(6);
    let slate_of = |shown: &Shown| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(shown.json.as_ref().unwrap()).unwrap();
        let shard = &json["shard"];
        let backups = shard["backups"].as_array().unwrap().iter();
        std::iter::once(&shard["primary"])
            .chain(backups)
            .map(|agent| agent.as_str().unwrap().to_owned())
            .collect()
    };
    at_f.hears(&[1, 2, 3, 4, 99]);
    let (mut waited, mut claimed) = (0, 0);
    for n in 0..20 {
        let id = f.create(&format!("issue {n}")).row.id;
        match f.tracker.claim(&Pick::Issue(id.clone()), &terms("w")) {
            Ok(kept) => {
                let slate = slate_of(&kept.issue);
                assert!(slate.len() == 3 && slate.contains(&own.to_string()), "{slate:?}");
                assert!(!slate.contains(&agent(99).to_string()), "who is no member is not on it");
                assert!(!slate.contains(&agent(5).to_string()), "who is not there is not on it");
                claimed += 1;
            }
            Err(error) => {
                let TrackerError::Refused { retry_after_ms, holder, .. } = &error else {
                    panic!("{error}")
                };
                let wait_ms = retry_after_ms.unwrap();
                assert!(holder.is_none() && (30_000..34_000).contains(&wait_ms), "{error}");
                at_f.pass(wait_ms);
                let kept = f.tracker.claim(&Pick::Issue(id), &terms("w")).unwrap();
                assert_eq!(kept.issue.row.held.unwrap().slot, 3);
                waited += 1;
                at_f.hears(&[1, 2, 3, 4]);
            }
        }
    }
    assert!(waited > 0 && claimed > 0, "{waited} waited, {claimed} did not");
    // Where nobody of a slate is there, nobody is waited for.
    at_f.pass(700_000);
    let id = f.create("alone").row.id;
    f.tracker.claim(&Pick::Issue(id), &terms("w")).unwrap();
}

#[test]
fn what_became_of_claims_is_counted_by_agent_and_told_of_an_issue() {
    let (mut a, mut b, at_a, at_b) = two(1);
    at_a.pass(TTL_MS - 10);
    at_b.pass(2 * TTL_MS);
    let takeover = take(&mut b).unwrap();
    give(&b, &mut a);
    a.tracker.part().unwrap();
    exchange(&mut a, &mut b);
    b.tracker.part().unwrap();
    exchange(&mut a, &mut b);
    at_a.hears(&[2]);
    for (list, own) in [(&a, 1), (&b, 2)] {
        let workers = list.tracker.workers().unwrap().workers;
        let of = |seed| workers.iter().find(|worker| worker.agent == agent(seed)).unwrap();
        let deeds = |takeovers, contests, duplicates, abandons| Deeds {
            takeovers,
            contests,
            duplicates,
            abandons,
        };
        assert_eq!(of(1).deeds, deeds(0, 1, 0, 0));
        assert_eq!(of(2).deeds, deeds(1, 0, 1, 1));
        assert_eq!((of(1).holds, of(2).holds, of(1).claims.len()), (1, 0, 1));
        assert!(of(own).is_own && of(own).is_online == Some(true));
        let shown = list.tracker.show(&held(list).row.id).unwrap();
        let rival = |claim| shown.rivals.iter().find(|rival| rival.claim == claim).unwrap();
        assert!(rival(takeover).why.contains("contested"), "{:?}", rival(takeover));
        assert_eq!(rival(takeover).ended.as_deref(), Some("abandoned"));
        let counts: Vec<_> = shown.rivals.iter().filter(|rival| rival.counts).collect();
        assert_eq!(counts.len(), 1);
        assert_eq!(rival(takeover).instead, Some(counts[0].claim));
    }
    assert_eq!(held(&a).rivals, [], "a list does not tell it");
}

#[test]
fn without_a_node_a_lapsed_claim_is_not_renewed_but_finished_work_is_handed_off() {
    let mut a = List::new(1);
    a.create("one");
    let (mut a, time) = timed(a, 1, Seen::default(), Senses::default());
    claimed(&mut a, "T-0001");
    let worker = Holding { worker: "w".to_owned(), ..Holding::default() };
    time.pass(TTL_MS + 1);
    assert!(a.tracker.heartbeat(&worker).unwrap().renewed, "the list has nobody else");
    let _b = List::member_in_role(&mut a, 2, Role::Worker);
    time.pass(TTL_MS);
    assert!(!a.tracker.heartbeat(&worker).unwrap().renewed, "it has not lapsed");
    time.pass(TTL_MS + 1);
    let resume = Terms { resume: true, ..terms("w") };
    let again = a.tracker.claim(&Pick::Issue("T-0001".to_owned()), &resume).unwrap_err();
    for refused in [again, a.tracker.heartbeat(&worker).unwrap_err()] {
        assert!(matches!(refused, TrackerError::NobodyAsked { .. }), "{refused}");
        assert!(refused.is_retryable() && refused.hint().contains("x0x daemon"));
    }
    assert!(a.tracker.hand_off(&worker, "{\"summary\":\"s\"}").unwrap().renewed);
}

#[test]
fn who_does_not_want_to_work_in_isolation_claims_nothing_there() {
    let mut a = List::new(1);
    let _b = List::member_in_role(&mut a, 2, Role::Worker);
    a.create("one");
    let (mut a, at_a) = hearing(a, 1);
    at_a.hears(&[2]);
    at_a.pass(TTL_MS + 1);
    let pick = Pick::First(Filter::default());
    let careful = Terms { unless_isolated: true, ..terms("w") };
    let refused = a.tracker.claim(&pick, &careful).unwrap_err();
    assert!(matches!(refused, TrackerError::Isolated { ttl_ms: TTL_MS }), "{refused}");
    let long = Terms { ttl_ms: Some(10 * TTL_MS), ..careful.clone() };
    a.tracker.claim(&pick, &long).unwrap();
    a.create("two");
    at_a.hears(&[2]);
    a.tracker.claim(&pick, &careful).unwrap();
}

#[test]
fn no_worker_takes_over_from_another_of_its_agent_before_others_were_asked() {
    let (mut a, _, at_a, _) = two(0);
    at_a.sees(|around, _| around.is_comparing = true);
    at_a.pass(TTL_MS + 1);
    let name = held(&a).name;
    let pick = Pick::Issue(name);
    for worker in ["w", "other"] {
        let refused = a.tracker.claim(&pick, &terms(worker)).unwrap_err();
        assert!(matches!(refused, TrackerError::CatchingUp { .. }), "{worker}: {refused}");
    }
    assert!(!is_ready(&a), "nor is it offered");
    at_a.sees(|around, _| around.is_comparing = false);
    a.tracker.claim(&pick, &terms("other")).unwrap();
    // Without a node, nobody can be asked.
    let mut a = List::new(1);
    a.create("one");
    let _b = List::member_in_role(&mut a, 2, Role::Worker);
    let (mut a, time) = timed(a, 1, Seen::default(), Senses::default());
    claimed(&mut a, "T-0001");
    time.pass(TTL_MS + 1);
    let refused = a.tracker.claim(&Pick::Issue("T-0001".to_owned()), &terms("w")).unwrap_err();
    assert!(matches!(refused, TrackerError::NobodyAsked { .. }), "{refused}");
}

#[test]
fn a_claim_of_its_own_that_a_store_gets_back_from_others_contests_nothing() {
    let (_a, mut b, _, at_b) = two(1);
    at_b.pass(2 * TTL_MS);
    let takeover = take(&mut b).unwrap();
    // The store of a is lost, and comes back from b.
    let restored = List::member_in_role(&mut b, 1, Role::Maintainer);
    let (mut restored, at) = hearing(restored, 1);
    at.hears(&[2]);
    give(&b, &mut restored);
    let parted = restored.tracker.part().unwrap();
    assert!(parted.iter().all(|part| part.lost_to == Some(takeover)), "{parted:?}");
    assert_eq!(held(&restored).row.held.unwrap().claim, takeover);
}
