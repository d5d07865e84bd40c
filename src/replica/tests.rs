use std::sync::Arc;

use x0x_tracker::id::CommitHash;
use x0x_tracker::interface::{Draft, Tracker};
use x0x_tracker::journal::commit::Commit;
use x0x_tracker::testing::{self, StandInVerifier};

use super::*;
use crate::wire::{BROADCAST_BYTES_MAX, Payload};

const ME: AgentId = AgentId([1; 32]);
const LIST: ListId = ListId([9; 32]);
const START: Duration = Duration::from_secs(100);

fn peer(n: u8) -> AgentId {
    AgentId([n; 32])
}

fn place(agent: u8, number: u64) -> (LogId, Position) {
    let log = LogId { agent: peer(agent), nonce: [0; 8] };
    (log, Position { number, hash: CommitHash([number as u8; 32]) })
}

fn frontier(places: &[(LogId, Position)]) -> Frontier {
    Frontier(places.iter().copied().collect())
}

/// A replica with linked peers, and what it did so far.
struct Scene {
    replica: Replica,
    now: Duration,
}

impl Scene {
    fn new(peers: u8) -> Self {
        let replica = Replica::new(LIST, ME, frontier(&[]), Arc::default(), START, [7; 32]);
        let mut scene = Self { replica, now: START };
        for n in 2..2 + peers {
            scene.does(Input::PeerUp(peer(n)));
        }
        scene
    }

    fn does(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.handle(self.now, input, &mut effects);
        effects
    }

    fn later(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.does(Input::Tick)
    }

    fn hears(&mut self, from: u8, places: &[(LogId, Position)]) -> Vec<Effect> {
        self.does(Input::News { from: peer(from), places: places.to_vec() })
    }
}

fn pulls(effects: &[Effect]) -> Vec<AgentId> {
    let of = |effect: &Effect| match effect {
        Effect::Pull { from, .. } => Some(*from),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn equal_digests_cost_one_frame_and_different_ones_a_pull() {
    let mut scene = Scene::new(1);
    let own = scene.replica.standing().digest(LIST);
    let equal = Input::Digest { from: peer(2), hash: own, wants_answer: true };
    let effects = scene.does(equal);
    assert!(matches!(&effects[..], [Effect::Digest { wants_answer: false, .. }]), "{effects:?}");
    assert!(scene.replica.is_level_with(peer(2)));
    let other = Input::Digest { from: peer(2), hash: [0; 32], wants_answer: false };
    scene.does(other);
    assert!(!scene.replica.is_level_with(peer(2)));
    assert_eq!(pulls(&scene.later(PATIENCE)), [peer(2)]);
}

#[test]
fn one_pull_goes_on_at_a_time_and_another_starts_when_it_stands_still() {
    let mut scene = Scene::new(3);
    assert_eq!(pulls(&scene.hears(2, &[place(5, 1)])), [peer(2)]);
    assert!(pulls(&scene.hears(3, &[place(5, 1)])).is_empty());
    assert!(pulls(&scene.later(PULL_STALL_MAX / 2)).is_empty());
    // Something came: it does not stand still.
    let places = vec![place(6, 1)];
    scene.does(Input::Received { from: peer(2), places, charter: None });
    assert!(pulls(&scene.later(PULL_STALL_MAX / 2)).is_empty());
    assert_eq!(pulls(&scene.later(PULL_STALL_MAX)), [peer(3)]);
}

#[test]
fn a_pull_by_which_nothing_new_comes_stands_still() {
    let mut scene = Scene::new(2);
    assert_eq!(pulls(&scene.hears(2, &[place(5, 1)])), [peer(2)]);
    scene.hears(3, &[place(5, 1)]);
    for _ in 0..3 {
        assert!(pulls(&scene.later(PULL_STALL_MAX / 4)).is_empty());
        scene.does(Input::Received { from: peer(2), places: Vec::new(), charter: None });
    }
    assert_eq!(pulls(&scene.later(PULL_STALL_MAX / 4)), [peer(3)]);
}

#[test]
fn two_whose_answers_never_end_do_not_take_turns_before_a_third() {
    let mut scene = Scene::new(3);
    for from in 2..=4 {
        scene.hears(from, &[place(9, 1)]);
    }
    let mut asked = vec![2];
    for number in 0..5 {
        let from = peer(asked[asked.len() - 1]);
        let places = vec![place(5 + number, 1)];
        scene.does(Input::Received { from, places, charter: None });
        let mut next = pulls(&scene.does(Input::Pulled { from, is_whole: false }));
        if next.is_empty() {
            next = pulls(&scene.later(PAUSE_MAX_AFTER_NEWS));
        }
        asked.push(next[0].0[0]);
    }
    assert_eq!(asked, [2, 3, 4, 2, 3, 4]);
}

/// The longest pause after a pull that brought something and broke off.
const PAUSE_MAX_AFTER_NEWS: Duration = Duration::from_millis(250);

#[test]
fn a_peer_whose_pulls_break_off_is_asked_later_each_time() {
    let mut scene = Scene::new(1);
    let mut pauses = Vec::new();
    assert_eq!(pulls(&scene.hears(2, &[place(5, 1)])), [peer(2)]);
    for _ in 0..9 {
        scene.does(Input::Pulled { from: peer(2), is_whole: false });
        let begun = scene.now;
        while pulls(&scene.later(Duration::from_millis(50))).is_empty() {}
        pauses.push(scene.now - begun);
    }
    assert!(pauses[0] <= Duration::from_millis(300), "{pauses:?}");
    assert!(pauses[8] >= Duration::from_secs(15) && pauses[8] <= Duration::from_secs(31));
    scene.does(Input::Pulled { from: peer(2), is_whole: true });
    assert!(pulls(&scene.later(Duration::from_secs(60))).is_empty());
}

#[test]
fn what_a_pull_brought_is_told_the_others_and_not_its_source() {
    let mut scene = Scene::new(3);
    let places: Vec<_> = (10..10 + NEWS_MAX as u8 + 1).map(|agent| place(agent, 1)).collect();
    let effects = scene.does(Input::Received { from: peer(2), places, charter: None });
    let mut told: BTreeMap<AgentId, usize> = BTreeMap::new();
    for effect in &effects {
        let Effect::News { to, places } = effect else { panic!("{effect:?}") };
        assert!(places.len() <= NEWS_MAX);
        *told.entry(*to).or_default() += places.len();
    }
    assert_eq!(told, [(peer(3), NEWS_MAX + 1), (peer(4), NEWS_MAX + 1)].into());
    // News of what is here is nothing to ask for.
    assert!(pulls(&scene.hears(3, &[place(10, 1)])).is_empty());
}

#[test]
fn one_neighbour_is_compared_with_every_10_to_30_seconds() {
    let mut scene = Scene::new(4);
    let mut asked = 0;
    for _ in 0..600 {
        for effect in scene.later(Duration::from_secs(1)) {
            let is_asking = matches!(effect, Effect::Digest { wants_answer: true, .. });
            assert!(is_asking, "{effect:?}");
            asked += 1;
        }
    }
    assert!((20..=60).contains(&asked), "{asked} in ten minutes");
}

#[test]
fn a_log_of_ones_own_that_others_know_further_is_not_written_on() {
    let mut scene = Scene::new(1);
    let own = place(1, 3);
    let standing = Standing { logs: vec![own], ..Standing::default() };
    let asks = Input::Standing { from: peer(2), standing, after_all: false };
    let effects = scene.does(asks);
    let is_told = |effect: &Effect| matches!(effect, Effect::OwnLogs { places, .. } if *places == [(own.0, None)]);
    assert!(effects.iter().any(is_told), "{effects:?}");
}

#[test]
fn two_hashes_in_one_place_are_a_fork() {
    let mut scene = Scene::new(1);
    let (log, here) = place(5, 2);
    scene.does(Input::Received { from: peer(2), places: vec![(log, here)], charter: None });
    let theirs = Position { hash: CommitHash([0xee; 32]), ..here };
    let standing = Standing { logs: vec![(log, theirs)], ..Standing::default() };
    let effects = scene.does(Input::Standing { from: peer(2), standing, after_all: false });
    let is_fork =
        |effect: &Effect| matches!(effect, Effect::Fork { theirs: at, .. } if *at == theirs);
    assert!(effects.iter().any(is_fork), "{effects:?}");
}

/// Commits of one log, each with its signature.
fn commits(count: usize) -> Vec<Proved> {
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = testing::found(dir.path(), 1).unwrap();
    let (list, charter) = (tracker.info().unwrap().list, tracker.charter().unwrap());
    (0..count)
        .map(|n| {
            tracker.create(&Draft::titled(&format!("issue {n}"))).unwrap();
            let (log, position) = tracker.own_place().unwrap().unwrap();
            let commit = tracker.commit_at(log, position.number).unwrap().unwrap();
            Proved::signed(commit, list, &charter, &StandInVerifier).unwrap()
        })
        .collect()
}

fn offered(commit: &Proved) -> Input {
    Input::Offered { from: peer(2), commit: commit.clone() }
}

#[test]
fn a_commit_that_came_too_early_waits_and_is_pulled_when_the_one_before_does_not_come() {
    let commits = commits(2);
    let mut scene = Scene::new(1);
    assert!(scene.does(offered(&commits[1])).is_empty());
    assert_eq!(scene.replica.held().waiting, 1);
    assert_eq!(scene.replica.deadline(), Some(START + PATIENCE));
    assert_eq!(pulls(&scene.later(PATIENCE)), [peer(2)]);
    let effects = scene.does(offered(&commits[0]));
    let [Effect::Judge(judged)] = &effects[..] else { panic!("{effects:?}") };
    let judged = judged.clone();
    let verdicts = vec![Verdict::Taken];
    let effects = scene.does(Input::Judged { commits: judged, verdicts });
    let [Effect::Judge(judged)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(judged[0].position(), commits[1].position());
    assert_eq!(scene.replica.held().waiting, 0);
}

#[test]
fn what_waits_for_another_commit_in_a_place_that_is_taken_does_not_wait_for_ever() {
    let commit = commits(1).remove(0);
    let mut scene = Scene::new(1);
    let (log, position) = place(9, 3);
    scene.does(Input::Received { from: peer(2), places: vec![(log, position)], charter: None });
    let effects = scene.does(offered(&commit));
    let [Effect::Judge(judged)] = &effects[..] else { panic!("{effects:?}") };
    let verdicts = vec![Verdict::Waits { log, number: position.number }];
    let effects = scene.does(Input::Judged { commits: judged.clone(), verdicts });
    assert!(effects.is_empty(), "it would be judged again at once, without end: {effects:?}");
    assert_eq!(scene.replica.held().waiting, 0);
    assert_eq!(pulls(&scene.later(PATIENCE)), [peer(2)], "who passed it on may know the other");
}

#[test]
fn what_waits_is_bounded_for_each_log_and_the_rest_is_pulled() {
    let commits = commits(POOL_PER_LOG_MAX + 3);
    let mut scene = Scene::new(1);
    let mut effects = Vec::new();
    for commit in &commits[1..] {
        effects.extend(scene.does(offered(commit)));
    }
    assert_eq!(scene.replica.held().waiting, POOL_PER_LOG_MAX);
    assert_eq!(pulls(&effects), [peer(2)]);
    // What waits for what never comes goes.
    scene.does(Input::Pulled { from: peer(2), is_whole: true });
    scene.later(POOL_AGE_MAX);
    assert_eq!(scene.replica.held().waiting, 0);
}

#[test]
fn commits_that_come_while_the_store_is_busy_are_judged_together() {
    let commits = commits(4);
    let mut scene = Scene::new(1);
    let effects = scene.does(offered(&commits[0]));
    assert!(matches!(&effects[..], [Effect::Judge(first)] if first.len() == 1));
    for commit in &commits[1..] {
        assert!(scene.does(offered(commit)).is_empty());
    }
    let judged = Input::Judged { commits: commits[..1].to_vec(), verdicts: vec![Verdict::Taken] };
    let effects = scene.does(judged);
    assert!(matches!(&effects[..], [Effect::Judge(rest)] if rest.len() == 3), "{effects:?}");
}

#[test]
fn a_small_commit_of_ones_own_is_broadcast_and_a_large_one_announced() {
    let commits = commits(1);
    let mut scene = Scene::new(1);
    let (log, position) = (commits[0].header().log, commits[0].position());
    let wrote = |payload| Input::Wrote { place: (log, position), payload };
    let small = commits[0].to_commit();
    let effects = scene.does(wrote(Payload::announcing(small.clone(), true)));
    assert!(matches!(&effects[..], [Effect::Broadcast(Payload::Commit(_))]), "{effects:?}");
    let large = Commit { body: vec![0; BROADCAST_BYTES_MAX + 1], ..small.clone() };
    for (commit, is_alone) in [(large, true), (small.clone(), false)] {
        let effects = scene.does(wrote(Payload::announcing(commit, is_alone)));
        assert!(matches!(&effects[..], [Effect::Broadcast(Payload::Moved(_))]), "{effects:?}");
    }
    // What cannot be proved in one payload is told the neighbours, who pass it on as they learn of it.
    let unproved = Commit { signature: None, ..small.clone() };
    let many_logs = Commit { header: vec![0; BROADCAST_BYTES_MAX + 1], ..small };
    for commit in [unproved, many_logs] {
        let effects = scene.does(wrote(Payload::announcing(commit, true)));
        assert!(matches!(&effects[..], [Effect::News { .. }]), "{effects:?}");
    }
}

#[test]
fn as_many_pulls_as_may_go_on_are_waited_for_and_not_for_the_clock() {
    let mut scene = Scene::new(4);
    for from in 2..6 {
        scene.does(Input::Digest { from: peer(from), hash: [9; 32], wants_answer: false });
    }
    assert_eq!(pulls(&scene.later(PATIENCE)).len(), 1);
    for _ in 0..2 {
        assert_eq!(pulls(&scene.later(PULL_STALL_MAX)).len(), 1);
    }
    assert_eq!(scene.replica.held().pulls, PULLS_MAX);
    scene.later(PULL_STALL_MAX);
    let now = Some(scene.now);
    assert!(scene.replica.deadline() > now, "it would be told at once again, and do nothing");
    scene.now += Duration::from_secs(1);
    let effects = scene.does(Input::Pulled { from: peer(2), is_whole: true });
    // The other two had their time: a third may begin.
    assert_eq!(pulls(&effects).len(), 1, "{effects:?}");
}

#[test]
fn a_log_that_a_neighbour_was_given_in_vain_is_looked_into() {
    let mut scene = Scene::new(1);
    let here = place(5, 2);
    scene.does(Input::Received { from: peer(2), places: vec![here], charter: None });
    let asks = |scene: &mut Scene, logs: Vec<(LogId, Position)>| {
        let standing = Standing { logs, ..Standing::default() };
        let effects = scene.does(Input::Standing { from: peer(2), standing, after_all: false });
        effects.iter().filter(|effect| matches!(effect, Effect::Fork { .. })).count()
    };
    assert_eq!(asks(&mut scene, Vec::new()), 0);
    scene.later(Duration::from_secs(1));
    assert_eq!(asks(&mut scene, Vec::new()), 0, "the answer may be on its way");
    scene.later(Duration::from_secs(6));
    assert_eq!(asks(&mut scene, vec![place(5, 1)]), 1);
    scene.later(Duration::from_secs(6));
    assert_eq!(asks(&mut scene, vec![here]), 0);
}

#[test]
fn of_the_void_commits_of_ones_own_that_a_neighbour_names_a_bounded_number_is_looked_into() {
    let mut scene = Scene::new(1);
    let log = |nonce: u64| LogId { agent: ME, nonce: nonce.to_le_bytes() };
    let at = Position { number: 7, hash: CommitHash([3; 32]) };
    let standing = Standing {
        logs: (0..1_000).map(|nonce| (log(nonce), at)).collect(),
        charter: Vec::new(),
        voids: (0..5_000).map(|nonce| (log(nonce), 7, at.hash)).collect(),
    };
    let effects = scene.does(Input::Standing { from: peer(2), standing, after_all: false });
    let places = |effect: &Effect| match effect {
        Effect::OwnLogs { places, .. } => Some(places.len()),
        _ => None,
    };
    let asked: Vec<usize> = effects.iter().filter_map(places).collect();
    assert_eq!(asked, [OWN_PLACES_MAX], "all of them at once");
}

#[test]
fn what_another_brought_meanwhile_is_not_asked_for_again() {
    let mut scene = Scene::new(3);
    assert_eq!(pulls(&scene.hears(2, &[place(9, 5)])), [peer(2)]);
    assert!(pulls(&scene.hears(3, &[place(9, 5)])).is_empty(), "one at a time");
    assert!(pulls(&scene.hears(4, &[place(9, 6)])).is_empty());
    let places = vec![place(9, 5)];
    scene.does(Input::Received { from: peer(2), places, charter: None });
    let effects = scene.does(Input::Pulled { from: peer(2), is_whole: true });
    assert_eq!(pulls(&effects), [peer(4)], "the other has nothing more");
}

#[test]
fn who_is_asked_first_need_not_ask_where_the_other_only_lacks_something() {
    let mut scene = Scene::new(1);
    let other = || Input::Digest { from: peer(2), hash: [9; 32], wants_answer: false };
    assert!(pulls(&scene.does(other())).is_empty(), "it waits a moment");
    let standing = Standing::default();
    scene.does(Input::Standing { from: peer(2), standing, after_all: false });
    assert!(pulls(&scene.later(PATIENCE)).is_empty());
    scene.does(other());
    assert_eq!(pulls(&scene.later(PATIENCE)), [peer(2)]);
}

#[test]
fn who_gave_all_is_told_that_the_other_is_level() {
    let mut scene = Scene::new(1);
    scene.hears(2, &[place(5, 2)]);
    let places = vec![place(5, 2)];
    scene.does(Input::Received { from: peer(2), places: places.clone(), charter: None });
    let own = scene.replica.standing().digest(LIST);
    let ends = |scene: &mut Scene, logs| {
        let standing = Standing { logs, ..Standing::default() };
        scene.does(Input::Standing { from: peer(2), standing, after_all: true })
    };
    let effects = ends(&mut scene, places);
    let is_told = |effect: &Effect| matches!(effect, Effect::Digest { to, hash, wants_answer: false } if (*to, *hash) == (peer(2), own));
    assert!(effects.len() == 1 && is_told(&effects[0]), "{effects:?}");
    // What has more by now would ask in vain.
    let effects = ends(&mut scene, vec![place(5, 2), place(6, 1)]);
    assert!(!effects.iter().any(is_told), "{effects:?}");
}
