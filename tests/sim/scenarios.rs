//! Named situations.

use crate::world::{Event, SECOND, World};

/// Makes so many members that know each other, and lets them find together.
pub fn meet(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    world.add_members(count - 1);
    world.introduce(2);
    world.start_all();
    world.run_for(10 * SECOND);
    world
}

#[test]
fn without_faults_all_become_level() {
    let mut world = meet(1, 12);
    for at in 0..60 {
        world.at(world.now + at * SECOND / 2, Event::Work { node: at as usize % 12 });
    }
    world.run_for(30 * SECOND);
    let took = world.become_level(5 * SECOND);
    let quiet = world.check_in_peace();
    eprintln!("level after {took} us, quiet {quiet} bytes/s, {:?}", world.counts);
}
