//! Named situations, each with what must come of it.

use x0x_tracker::Tracker;
use x0x_tracker::interface::Draft;

use crate::faults::Fault;
use crate::ledger::Deed;
use crate::machine::Stands;
use crate::node::Left;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// Makes so many members that know each other, and lets them find together.
pub fn meet(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    world.add_members(count - 1);
    world.introduce(2);
    world.start_all();
    world.run_for(10 * SECOND);
    world
}

/// Has somebody work on each node in turn, so many times, so often.
fn work_in_turn(world: &mut World, nodes: &[usize], times: usize, every: Time) {
    for at in 0..times {
        let node = nodes[at % nodes.len()];
        world.at(world.now + at as Time * every, Event::Work { node });
    }
}

#[test]
fn without_faults_all_become_level_within_a_second() {
    let mut world = meet(1, 12);
    let all: Vec<usize> = (0..12).collect();
    work_in_turn(&mut world, &all, 60, SECOND / 2);
    world.run_for(30 * SECOND);
    world.become_level(SECOND);
    world.check_in_peace();
    assert_eq!(world.counts.breaches, 0);
}

#[test]
fn what_both_sides_of_a_partition_wrote_meets_when_it_is_healed() {
    let mut world = meet(2, 8);
    let (left, right) = ([0, 1, 2, 3], [4, 5, 6, 7]);
    (0..4).for_each(|node| world.create(node));
    world.run_for(2 * SECOND);
    world.part(&left, 60 * SECOND, false);
    world.run_for(15 * SECOND);
    work_in_turn(&mut world, &left, 20, SECOND);
    work_in_turn(&mut world, &right, 20, SECOND);
    for n in 0..12 {
        world.set(n % 4, "title", format!("the left, {n}"));
        world.set(4 + n % 4, "title", format!("the right, {n}"));
    }
    world.run_for(44 * SECOND);
    assert!(!world.is_level());
    let issues =
        |world: &mut World, node: usize| world.open_or_running(node).info().unwrap().issues;
    let before = (issues(&mut world, 0), issues(&mut world, 4));
    // Calls are tried at least every 30 s.
    world.run_for(SECOND);
    let took = world.become_level(45 * SECOND);
    eprintln!("level {:.1} s after the cut was healed", took as f64 / SECOND as f64);
    assert!(issues(&mut world, 0) > before.0.max(before.1));
    world.check_in_peace();
    assert!(world.counts.conflicts > 0, "both sides wrote the same fields");
}

#[test]
fn a_newcomer_during_a_burst_has_all_of_it_in_the_end() {
    let mut world = meet(3, 5);
    let all: Vec<usize> = (0..5).collect();
    work_in_turn(&mut world, &all, 150, 40 * MILLISECOND);
    world.run_for(2 * SECOND);
    world.befall(Fault::Newcomer { issuer: 3 });
    world.run_for(4 * SECOND);
    assert_eq!(world.counts.newcomers, 1);
    world.become_level(5 * SECOND);
    work_in_turn(&mut world, &[5], 5, SECOND);
    world.run_for(6 * SECOND);
    world.become_level(5 * SECOND);
    world.check_in_peace();
}

#[test]
fn while_one_of_five_does_nothing_the_others_hear_of_each_other_within_a_second_and_a_half() {
    for seed in 92..100 {
        let mut world = meet(seed, 5);
        let issues =
            |world: &mut World, node: usize| world.open_or_running(node).info().unwrap().issues;
        // The tree of the gossip has grown, also through the one that will be stopped.
        work_in_turn(&mut world, &[4], 20, SECOND / 10);
        work_in_turn(&mut world, &[0, 1, 2, 3], 40, SECOND / 10);
        world.run_for(10 * SECOND);
        let pause = Fault::Pause { node: 4, time: 12 * SECOND, stands: Stands::Stopped };
        world.befall(pause);
        let (every, patience) = (SECOND / 10, 15);
        let mut made = Vec::new();
        for at in 0..110 {
            world.create(at % 4);
            made.push((0..4).map(|node| issues(&mut world, node)).max().unwrap());
            world.run_for(every);
            let Some(before) = at.checked_sub(patience) else { continue };
            let behind = (0..4).filter(|node| issues(&mut world, *node) < made[before]);
            let behind: Vec<usize> = behind.collect();
            assert!(behind.is_empty(), "seed {seed}, {at}: {behind:?}");
        }
        world.become_level(60 * SECOND);
    }
}

#[test]
fn repair_alone_makes_all_level_within_a_minute() {
    let mut world = meet(4, 10);
    world.paths.lost = 1.0;
    let all: Vec<usize> = (0..10).collect();
    work_in_turn(&mut world, &all, 40, SECOND / 4);
    world.run_for(15 * SECOND);
    world.become_level(60 * SECOND);
    world.create(6);
    world.run_for(SECOND / 10);
    assert!(!world.is_level());
    let took = world.become_level(60 * SECOND);
    eprintln!("level {:.1} s after the last edit, by repair alone", took as f64 / SECOND as f64);
    assert!(world.counts.gossip_lost > 40);
    world.paths.lost = 0.0;
    world.check_in_peace();
}

/// Links nodes in a line: nobody reaches more than two others.
fn chain(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    world.add_members(count - 1);
    for a in 0..count {
        for b in (0..count).filter(|b| a.abs_diff(*b) > 1) {
            world.cut(a, b);
        }
        if a > 0 {
            world.introduce_to(a, a - 1);
        }
    }
    world.start_all();
    world.run_for(20 * SECOND);
    world
}

#[test]
fn edits_made_offline_at_one_end_of_a_chain_reach_the_other() {
    let mut world = chain(5, 7);
    world.create(3);
    world.run_for(10 * SECOND);
    world.become_level(30 * SECOND);
    world.stop(0);
    world.run_for(SECOND);
    for title in ["offline 1", "offline 2"] {
        world.open_or_running(0).create(&Draft::titled(title)).unwrap();
    }
    world.start(0);
    // Each hop learns by repair, so that nothing but its news brings it further.
    let took = world.become_level(10 * SECOND);
    eprintln!("over six hops in {:.1} s", took as f64 / SECOND as f64);
    let text = world.canonical(6);
    assert!(text.contains("offline 1") && text.contains("offline 2"));
}

#[test]
fn an_import_on_one_node_reaches_all() {
    let mut world = meet(6, 4);
    world.paths.bytes_per_second = Some(200_000);
    world.import(2, 300);
    world.run_for(SECOND);
    world.become_level(60 * SECOND);
    for node in 0..4 {
        assert_eq!(world.open_or_running(node).info().unwrap().issues, 300);
    }
    world.check_in_peace();
}

#[test]
fn a_pull_that_breaks_off_goes_on_where_it_was() {
    let mut world = meet(7, 3);
    world.create(0);
    world.run_for(SECOND);
    world.stop(2);
    // Some chunks, which take some seconds.
    (0..20).for_each(|_| world.edit_large(0));
    world.run_for(20 * SECOND);
    // The other one pulled all of it; what is pulled twice would be more than that.
    let all = world.sent[&("sync", 0)];
    world.paths.bytes_per_second = Some(150_000);
    world.start(2);
    for _ in 0..200 {
        world.run_for(SECOND / 4);
        let busy = world.busy_wire().filter(|wire| world.wires[*wire].is_alive);
        if let Some(wire) = busy {
            world.wire_dies(wire);
            break;
        }
    }
    assert!(!world.is_level());
    let sent = world.sent.get(&("sync", 0)).copied().unwrap_or(0);
    world.become_level(90 * SECOND);
    assert!(world.counts.resumed_amid > 0, "{:?}", world.counts);
    let again = world.sent[&("sync", 0)] - sent;
    eprintln!("{again} bytes after the break, {sent} before and meanwhile");
    assert!(again < all, "what had come was sent again: {again} of {all} bytes");
}

#[test]
fn a_node_that_goes_on_from_an_earlier_disk_loses_nothing_that_others_have() {
    let mut world = meet(8, 6);
    (0..3).for_each(|node| world.create(node));
    world.run_for(3 * SECOND);
    world.keep_moment(1);
    for at in 0..8 {
        world.at(world.now + at * SECOND, Event::Work { node: 1 });
        world.at(world.now + at * SECOND + SECOND / 2, Event::Work { node: at as usize % 6 });
    }
    world.run_for(10 * SECOND);
    world.become_level(5 * SECOND);
    world.crash(1, Left::Earlier);
    world.run_for(10 * SECOND);
    world.start(1);
    // Before it hears of what it had written.
    (0..3).for_each(|_| world.edit(1));
    world.run_for(40 * SECOND);
    world.become_level(20 * SECOND);
    world.check_in_peace();
    assert!(world.counts.forks > 0 && world.counts.retracted > 0, "{:?}", world.counts);
    assert_eq!(world.counts.maybe_lost, 0, "others had all of it");
}

/// Where as much was written again as was lost, all are equally far, and nobody compares any more.
#[test]
fn whoever_was_put_back_is_told_of_what_it_lost_although_all_are_equally_far() {
    let mut retracted = 0;
    for seed in 20..32 {
        let mut world = meet(seed, 3);
        (0..3).for_each(|node| world.create(node));
        world.run_for(3 * SECOND);
        world.keep_moment(2);
        world.edit(2);
        world.run_for(SECOND);
        world.become_level(5 * SECOND);
        world.crash(2, Left::Earlier);
        world.run_for(10 * SECOND);
        world.start(2);
        world.edit(2);
        world.run_for(10 * SECOND);
        world.check_in_peace();
        assert_eq!(world.counts.maybe_lost, 0, "others had all of it");
        retracted += world.counts.retracted;
    }
    assert!(retracted > 0);
}

#[test]
fn a_machine_that_slept_catches_up_within_seconds() {
    let mut world = meet(9, 6);
    world.pause(4, 120 * SECOND, Stands::Asleep);
    let others = [0, 1, 2, 3, 5];
    work_in_turn(&mut world, &others, 40, 2 * SECOND);
    world.run_for(121 * SECOND);
    let took = world.become_level(10 * SECOND);
    eprintln!("level {:.1} s after it woke", took as f64 / SECOND as f64);
    world.check_in_peace();
}

#[test]
fn newcomers_show_their_ticket_once_however_often_they_are_greeted() {
    let mut world = meet(10, 3);
    world.befall(Fault::Slow { node: 0, time: 60 * SECOND });
    for _ in 0..4 {
        world.befall(Fault::Newcomer { issuer: 0 });
    }
    world.run_for(30 * SECOND);
    world.become_level(30 * SECOND);
    for node in 3..7 {
        assert!(world.may_grant(node));
    }
    assert_eq!(world.counts.breaches, 0);
}

/// Tells the world of an edit that was never made.
fn pretend(world: &mut World) {
    world.create(0);
    world.run_for(SECOND);
    let mut entry = world.ledger.entries[0].clone();
    entry.deed = Deed::Comment { body: "never said".to_owned() };
    world.ledger.entries.push(entry);
}

#[test]
#[should_panic(expected = "acknowledged, and gone")]
fn an_edit_that_is_gone_is_noticed() {
    let mut world = meet(11, 3);
    pretend(&mut world);
    world.check_in_peace();
}

#[test]
#[should_panic(expected = "not level")]
fn a_node_that_lacks_something_is_noticed() {
    let mut world = meet(12, 3);
    world.create(0);
    world.run_for(SECOND);
    world.part(&[2], 300 * SECOND, false);
    world.run_for(10 * SECOND);
    world.create(0);
    world.check_in_peace();
}

#[test]
#[should_panic(expected = "level go on pulling")]
fn a_node_that_chatters_is_noticed() {
    let mut world = meet(13, 3);
    world.create(0);
    world.at(world.now + 80 * SECOND, Event::Fault(Fault::Chatter { node: 1, frames: 500 }));
    world.check_in_peace();
}

#[test]
#[should_panic(expected = "linked again and again")]
fn a_pair_that_is_linked_again_and_again_is_noticed() {
    let mut world = meet(14, 2);
    world.create(0);
    for at in [70, 80, 90, 100] {
        world.at(world.now + at * SECOND, Event::Fault(Fault::LinkDies));
    }
    world.check_in_peace();
}
