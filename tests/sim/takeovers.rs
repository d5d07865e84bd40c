//! Named situations of claims between machines, each with what must come of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use x0x_tracker::claim::rules::{self, Fate};
use x0x_tracker::id::RecordHash;
use x0x_tracker::interface::Pick;
use x0x_tracker::interface::Standing;

use crate::claims::Told;
use crate::faults::{Fault, TROUBLE};
use crate::machine::Stands;
use crate::node::Node;
use crate::random::{on_every_core, setting};
use crate::scenarios::meet;
use crate::world::{Counts, Event, SECOND, Time, World};

const TTL_MS: u64 = 8_000;
const TTL: Time = TTL_MS * 1_000;
const HOUR: Time = 3_600 * SECOND;
const FOREVER: Time = 10_000 * HOUR;

/// Nodes that know each other, each with a worker whose jobs take so long, and so many issues.
fn team(seed: u64, count: usize, issues: usize, job: (Time, Time)) -> World {
    let mut world = meet(seed, count);
    for _ in 0..issues {
        world.create(0);
    }
    world.run_for(5 * SECOND);
    world.employ(TTL_MS, job);
    world
}

/// The same, where one node holds an issue that it never finishes, and the others take nothing yet.
fn held(seed: u64, count: usize, holder: usize) -> (World, String, RecordHash) {
    let mut world = team(seed, count, 1, (FOREVER, FOREVER));
    // Long enough for whatever start there was.
    (0..count).for_each(|node| world.hire(node).takes_nothing = true);
    world.run_for(60 * SECOND);
    let issue = world.issues(0)[0].row.id.clone();
    let pick = Pick::Issue(issue.clone());
    world.store(holder, move |world, node| world.claim(node, &pick));
    world.run_for(40 * SECOND);
    let Some(job) = world.hire(holder).job.clone() else {
        panic!("node {holder} could not claim");
    };
    (world, issue, job.claim)
}

fn fate(world: &mut World, node: usize, issue: &str, claim: RecordHash) -> Fate {
    rules::fate(&world.open_or_running(node).claim_tree(issue).unwrap(), claim)
}

fn standing(world: &mut World, node: usize, issue: &str) -> Standing {
    use x0x_tracker::Tracker;
    world.set_clock(node);
    world.open_or_running(node).show(issue).unwrap().watch.unwrap().standing
}

/// Lets others take what they can.
fn set_free(world: &mut World) {
    let nodes = world.nodes.len();
    (0..nodes).for_each(|node| world.hire(node).takes_nothing = false);
}

#[test]
fn ten_workers_share_a_list_and_each_issue_is_handed_off_once() {
    let mut world = team(101, 10, 40, (SECOND / 2, 3 * SECOND));
    world.finish_claims(300 * SECOND);
    let told = &world.employed().told;
    eprintln!("{told:?}");
    assert_eq!(told.handed_off.len(), 40, "no work was done twice");
    world.claims = None;
    world.check_in_peace();
}

#[test]
fn a_claim_is_confirmed_by_its_slate_and_isolated_once_nobody_is_heard() {
    let (mut world, issue, _) = held(102, 5, 3);
    for node in 0..5 {
        assert_eq!(standing(&mut world, node, &issue), Standing::Confirmed, "node {node}");
    }
    world.part(&[3], 60 * SECOND, false);
    world.run_for(15 * SECOND + TTL);
    assert_eq!(standing(&mut world, 3, &issue), Standing::Isolated);
    world.run_for(90 * SECOND);
    assert_eq!(standing(&mut world, 3, &issue), Standing::Confirmed);
    assert_eq!(world.employed().told.takeovers, 0, "nobody wanted it");
}

#[test]
fn a_machine_that_wakes_after_five_hours_takes_nothing_over_from_who_works() {
    let (mut world, issue, claim) = held(103, 5, 1);
    for node in [2, 3, 4] {
        world.pause(node, 5 * HOUR, Stands::Asleep);
    }
    world.run_for(5 * HOUR - SECOND);
    set_free(&mut world);
    world.run_for(10 * 60 * SECOND);
    assert_eq!(fate(&mut world, 0, &issue, claim), Fate::Holds);
    assert_eq!(world.employed().told.takeovers, 0);
    world.check_claims();
}

#[test]
fn a_holder_that_slept_for_five_hours_goes_on_where_nobody_took_over() {
    let (mut world, issue, claim) = held(104, 4, 1);
    world.pause(1, 5 * HOUR, Stands::Asleep);
    world.run_for(5 * HOUR + 120 * SECOND);
    let job = world.hire(1).job.clone().unwrap();
    assert!(job.claim != claim && world.employed().told.renewed == 1, "the lease had lapsed");
    assert_eq!(fate(&mut world, 0, &issue, job.claim), Fate::Holds);
    world.check_claims();
}

#[test]
fn a_holder_that_slept_gives_up_to_whoever_took_over_meanwhile() {
    let (mut world, issue, claim) = held(105, 5, 1);
    world.pause(1, 300 * SECOND, Stands::Asleep);
    // Before the turn of any of them has come: those that wait for theirs do not race.
    set_free(&mut world);
    world.run_for(210 * SECOND);
    assert!(matches!(fate(&mut world, 0, &issue, claim), Fate::Lost(_)));
    assert_eq!(world.employed().told.takeovers, 1, "one of the four, and no other after it");
    world.run_for(200 * SECOND);
    assert!(world.employed().told.lost.contains(&claim));
    assert_eq!(world.employed().told.contests, 0);
    world.become_level(60 * SECOND);
    world.check_claims();
    assert!(!world.open_or_running(3).claim_tree(&issue).unwrap().is_live(claim));
}

#[test]
fn a_live_holder_that_was_cut_off_contests_what_took_it_over_and_goes_on() {
    let (mut world, issue, claim) = held(106, 5, 1);
    world.part(&[1], 120 * SECOND, false);
    world.run_for(10 * SECOND);
    set_free(&mut world);
    world.run_for(100 * SECOND);
    let others = fate(&mut world, 0, &issue, claim);
    assert!(matches!(others, Fate::Lost(_)), "they took it over: {others:?}");
    assert_eq!(fate(&mut world, 1, &issue, claim), Fate::Holds);
    world.run_for(120 * SECOND);
    world.become_level(60 * SECOND);
    let told = world.employed().told.clone();
    assert!(told.contests == 1 && told.abandons >= 1, "{told:?}");
    assert_eq!(fate(&mut world, 4, &issue, claim), Fate::Holds);
    assert!(!told.lost.contains(&claim));
    world.check_claims();
}

#[test]
fn a_cut_that_is_healed_while_timers_are_due_takes_nothing_from_who_works() {
    let (mut world, issue, claim) = held(107, 6, 1);
    // The others could take over just when they see the holder again.
    world.part(&[1, 2], TTL + TTL / 4, false);
    set_free(&mut world);
    world.run_for(120 * SECOND);
    world.become_level(60 * SECOND);
    assert_eq!(fate(&mut world, 4, &issue, claim), Fate::Holds);
    world.check_claims();
}

#[test]
fn clocks_that_are_set_by_years_either_way_move_no_claim() {
    let (mut world, issue, claim) = held(108, 5, 1);
    let year_ms = 365 * 86_400_000_i64;
    for (node, by_ms) in [(0, 5 * year_ms), (1, -9 * year_ms), (2, 20 * year_ms), (3, -year_ms)] {
        world.befall(Fault::Jump { node, by_ms });
    }
    set_free(&mut world);
    world.run_for(900 * SECOND);
    assert_eq!(fate(&mut world, 4, &issue, claim), Fate::Holds);
    assert_eq!(world.employed().told.takeovers, 0);
    for node in 0..5 {
        assert_eq!(standing(&mut world, node, &issue), Standing::Confirmed, "node {node}");
    }
}

#[test]
fn a_stopped_process_that_goes_on_neither_takes_over_nor_loses_what_nobody_took() {
    let (mut world, issue, claim) = held(109, 4, 1);
    for node in [0, 2, 3] {
        world.pause(node, 600 * SECOND, Stands::Stopped);
    }
    world.run_for(599 * SECOND);
    set_free(&mut world);
    world.run_for(120 * SECOND);
    assert_eq!(fate(&mut world, 0, &issue, claim), Fate::Holds);
    assert_eq!(world.employed().told.takeovers, 0);
    world.check_claims();
}

#[test]
fn machines_that_were_suspended_without_knowing_take_nothing_over_from_who_works() {
    let (mut world, issue, claim) = held(115, 5, 1);
    // By their own clocks no time passed.
    for node in [0, 2, 3] {
        world.pause(node, 600 * SECOND, Stands::Suspended);
    }
    world.run_for(599 * SECOND);
    set_free(&mut world);
    world.run_for(120 * SECOND);
    assert_eq!(fate(&mut world, 4, &issue, claim), Fate::Holds);
    assert_eq!(world.employed().told.takeovers, 0);
    world.check_claims();
}

#[test]
fn a_holder_whose_machine_was_suspended_without_knowing_ends_with_all_in_one_holder() {
    let (mut world, issue, claim) = held(116, 5, 1);
    world.pause(1, 300 * SECOND, Stands::Suspended);
    world.run_for(10 * SECOND);
    set_free(&mut world);
    world.run_for(200 * SECOND);
    assert!(matches!(fate(&mut world, 0, &issue, claim), Fate::Lost(_)), "it was taken over");
    world.run_for(200 * SECOND);
    world.become_level(60 * SECOND);
    // Its claim never lapsed by any clock that it has, so it may contest, as one that was cut off.
    let told = world.employed().told.clone();
    assert!(told.contests <= 1 && told.abandons >= 1, "{told:?}");
    assert_eq!(fate(&mut world, 1, &issue, claim) == Fate::Holds, told.contests == 1);
    world.check_claims();
}

#[test]
fn machines_that_are_started_again_take_nothing_over_from_who_works() {
    let (mut world, issue, claim) = held(117, 5, 1);
    for node in [0, 2, 3] {
        world.befall(Fault::Reboot { node, time: 30 * SECOND });
    }
    world.run_for(29 * SECOND);
    set_free(&mut world);
    world.run_for(300 * SECOND);
    assert_eq!(fate(&mut world, 4, &issue, claim), Fate::Holds);
    assert_eq!(world.employed().told.takeovers, 0);
    world.check_claims();
}

#[test]
fn a_holder_whose_machine_was_started_again_contests_nothing_and_gives_up() {
    let (mut world, issue, claim) = held(118, 5, 1);
    world.befall(Fault::Reboot { node: 1, time: 100 * SECOND });
    set_free(&mut world);
    world.run_for(90 * SECOND);
    assert!(matches!(fate(&mut world, 0, &issue, claim), Fate::Lost(_)));
    world.run_for(120 * SECOND);
    world.become_level(60 * SECOND);
    let told = world.employed().told.clone();
    assert_eq!((told.contests, told.takeovers), (0, 1), "{told:?}");
    assert_eq!(fate(&mut world, 1, &issue, claim), Fate::Ended, "it was given up");
    assert!(!world.open_or_running(3).claim_tree(&issue).unwrap().is_live(claim));
    world.check_claims();
}

#[test]
fn takeovers_of_takeovers_end_in_one_holder() {
    let (mut world, issue, _) = held(110, 6, 1);
    set_free(&mut world);
    // Whoever holds it dies each time.
    for round in 0..4 {
        let tree = world.open_or_running(0).claim_tree(&issue).unwrap();
        let by = tree.holder().map(|holder| tree.claim(holder).unwrap().0.by).unwrap();
        let node = world.nodes.iter().position(|node| node.agent == by).unwrap();
        assert_ne!(node, 0, "round {round}");
        world.hire(node).is_off = true;
        world.hire(0).takes_nothing = true;
        world.run_for(60 * SECOND);
    }
    let tree = world.open_or_running(0).claim_tree(&issue).unwrap();
    assert_eq!(tree.fence(tree.holder().unwrap()), 5);
    // All come back.
    (0..6).for_each(|node| world.hire(node).is_off = false);
    world.run_for(60 * SECOND);
    world.become_level(60 * SECOND);
    assert_eq!(world.employed().told.lost.len(), 4);
    world.check_claims();
}

#[test]
fn a_slate_whose_members_are_gone_keeps_nobody_from_working() {
    let mut world = team(111, 8, 6, (SECOND, 2 * SECOND));
    world.run_for(20 * SECOND);
    // Those that may be on slates are gone for good, with what they hold.
    for node in 0..5 {
        world.stop(node);
        world.hire(node).is_off = true;
    }
    for _ in 0..6 {
        world.create(6);
    }
    world.run_for(300 * SECOND);
    let open: Vec<_> =
        world.issues(6).into_iter().filter(|s| s.row.state.as_deref() != Some("review")).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_claim_of_an_agent_whose_role_was_taken_is_taken_over_at_once() {
    let (mut world, issue, claim) = held(112, 5, 1);
    set_free(&mut world);
    world.revoke(1);
    world.run_for(TTL / 2);
    assert!(matches!(fate(&mut world, 3, &issue, claim), Fate::Lost(_)));
    world.run_for(60 * SECOND);
    world.become_level(60 * SECOND);
    assert_eq!(world.employed().told.takeovers, 1);
    world.check_claims();
}

#[test]
fn work_that_is_sent_back_is_claimed_and_handed_off_anew_by_one() {
    use x0x_tracker::Tracker;
    let mut world = team(113, 6, 5, (SECOND, 2 * SECOND));
    world.finish_claims(200 * SECOND);
    let issues: Vec<String> = world.issues(0).into_iter().map(|shown| shown.row.id).collect();
    // Both sides of a cut send it back, and work on it again.
    world.part(&[0, 1, 2], 30 * SECOND, false);
    world.run_for(5 * SECOND);
    for issue in issues {
        for node in [0, 4] {
            let issue = issue.clone();
            world.store(node, move |world, node| {
                let reopen = x0x_tracker::interface::request::Ruling::Reopened;
                world.nodes[node].tracker().rule(&issue, &reopen, Some("again")).unwrap();
                world.announce(node);
            });
        }
    }
    world.run_for(60 * SECOND);
    world.finish_claims(300 * SECOND);
    for shown in world.issues(3) {
        assert!(shown.row.tally.rework >= 1 && shown.row.tally.handoffs >= 2, "{shown:?}");
    }
}

#[test]
fn ten_workers_that_join_after_the_import_all_find_work() {
    let mut world = meet(114, 1);
    world.import(0, 60);
    world.run_for(5 * SECOND);
    world.employ(TTL_MS, (4 * SECOND, 8 * SECOND));
    world.hire(0).takes_nothing = true;
    for _ in 0..10 {
        world.befall(Fault::Newcomer { issuer: 0 });
        world.run_for(SECOND / 2);
    }
    for node in 1..11 {
        world.hire(node);
        let life = world.nodes[node].life;
        world.after(SECOND, Event::Worker { node, life });
    }
    world.finish_claims(600 * SECOND);
    let mut by: std::collections::BTreeMap<_, u32> = Default::default();
    for shown in world.issues(5) {
        let tree = world.nodes[5].tracker().claim_tree(&shown.row.id).unwrap();
        *by.entry(tree.claim(tree.winner().unwrap()).unwrap().0.by).or_default() += 1;
    }
    assert!(by.len() >= 9, "so many worked: {by:?}");
}

/// How many runs with random faults there are, unless the environment says another number.
const SEEDS: u64 = 60;

fn run(seed: u64) -> (Told, Counts) {
    let count = 4 + seed as usize % 6;
    let job = if seed.is_multiple_of(2) { 12 } else { 60 };
    let mut world = team(1_000 + seed, count, 12, (SECOND, job * SECOND));
    let mut plan = Vec::new();
    let gone_through = catch_unwind(AssertUnwindSafe(|| {
        plan = world.schedule_for_workers();
        for at in [20, 40] {
            let node = at % count;
            world.at(at as Time * SECOND, Event::Fault(Fault::Import { node, count: 4 }));
        }
        world.run_until(TROUBLE + 50 * SECOND);
        let all_run = |node: &Node| node.hub.is_some() && node.paused_at.is_none();
        while !world.nodes.iter().all(all_run) || !world.cuts.is_empty() {
            world.run_for(SECOND);
        }
        world.finish_claims(900 * SECOND);
    }));
    if let Err(panic) = gone_through {
        let from = world.log.len().saturating_sub(60);
        eprintln!("{}", world.log[from..].join("\n"));
        for (at, fault) in &plan {
            eprintln!("{:8.3} {fault:?}", *at as f64 / SECOND as f64);
        }
        eprintln!(
            "X0X_SIM_SEED={seed} cargo test -p x0x --test sim takeovers::random -- --nocapture"
        );
        std::panic::resume_unwind(panic);
    }
    (world.employed().told.clone(), world.counts)
}

#[test]
fn random_faults_leave_each_issue_with_one_winner_that_all_know() {
    let only = setting("X0X_SIM_SEED");
    let seeds = only.map_or(0..setting("X0X_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let runs = seeds.end - seeds.start;
    let outcomes = on_every_core(seeds, run);
    let sum = |of: &dyn Fn(&Told) -> u64| outcomes.iter().map(|(told, _)| of(told)).sum::<u64>();
    let count = |of: &dyn Fn(&Counts) -> u64| outcomes.iter().map(|(_, c)| of(c)).sum::<u64>();
    let exercised = [
        ("suspended machines", count(&|c| c.suspends), runs / 6),
        ("machines started again", count(&|c| c.reboots), runs / 10),
        ("claims", sum(&|t| t.claimed), 12 * runs),
        ("takeovers", sum(&|t| t.takeovers), runs),
        ("contests", sum(&|t| t.contests), runs / 30),
        ("abandons", sum(&|t| t.abandons), runs / 2),
        ("claims that were told lost", sum(&|t| t.lost.len() as u64), runs / 2),
        ("renewals", sum(&|t| t.renewed), runs / 4),
        ("handoffs", sum(&|t| t.handed_off.len() as u64), 12 * runs),
    ];
    for (what, count, least) in exercised {
        eprintln!("{count:8} {what}, at least {least}");
    }
    for (what, count, least) in exercised {
        assert!(only.is_some() || count >= least, "{what}: {count}, at least {least}");
    }
}
