//! Runs with random faults. A failure prints the seed that repeats it, and what went wrong when.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::faults::{Fault, TROUBLE};
use crate::links::Paths;
use crate::world::{Counts, Event, MILLISECOND, Peaks, SECOND, Time, World};

/// How many runs there are, unless the environment says another number.
const SEEDS: u64 = 200;

/// What came of a run.
struct Outcome {
    counts: Counts,
    peaks: Peaks,
    trace: String,
    quiet_bytes: f64,
    nodes: usize,
}

fn paths(world: &mut World) -> Paths {
    let least = world.between(1, 40) * MILLISECOND;
    let most = least + world.between(1, 120) * MILLISECOND;
    let width = world.chance(0.4).then(|| world.between(40_000, 800_000));
    let is_lossy = world.chance(0.6);
    let share = |world: &mut World, most: u64| match is_lossy {
        true => world.below(most) as f64 / 100.0,
        false => 0.0,
    };
    Paths {
        latency: (least, most),
        jitter: world.below(60) as f64 / 100.0,
        bytes_per_second: width,
        lost: share(world, 30),
        doubled: share(world, 10),
        reordered: share(world, 10),
    }
}

fn prepare(world: &mut World) -> Vec<(Time, Fault)> {
    world.paths = paths(world);
    let most = if world.chance(0.1) { 20 } else { 8 };
    let count = world.between(5, most) as usize;
    world.add_members(count - 1);
    let known = world.between(1, 4) as usize;
    world.introduce(known);
    world.start_all();
    let works = world.between(12, 32);
    for _ in 0..works {
        let at = world.between(SECOND, TROUBLE);
        let node = world.below(world.nodes.len() as u64) as usize;
        world.at(at, Event::Work { node });
    }
    world.schedule()
}

fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let plan = prepare(&mut world);
    let gone_through = catch_unwind(AssertUnwindSafe(|| {
        world.run_until(TROUBLE + 30 * SECOND);
        assert!(world.cuts.is_empty(), "all is healed");
        assert!(world.nodes.iter().all(|node| node.hub.is_some() && node.paused_at.is_none()));
        world.check_in_peace()
    }));
    let quiet_bytes = gone_through.unwrap_or_else(|panic| {
        let from = world.log.len().saturating_sub(40);
        eprintln!("{}", world.log[from..].join("\n"));
        for (at, fault) in &plan {
            eprintln!("{:8.3} {fault:?}", *at as f64 / SECOND as f64);
        }
        eprintln!("{} nodes, {:?}\n{:?}", world.nodes.len(), world.paths, world.counts);
        eprintln!("X0X_SIM_SEED={seed} cargo test -p x0x --test sim random -- --nocapture");
        std::panic::resume_unwind(panic)
    });
    Outcome {
        counts: world.counts,
        peaks: world.peaks,
        trace: world.traced(),
        quiet_bytes,
        nodes: world.nodes.len(),
    }
}

pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs every seed once, several at a time; panics with the seeds that failed.
pub fn on_every_core<T: Send>(
    seeds: std::ops::Range<u64>,
    run: impl Fn(u64) -> T + Sync + std::panic::RefUnwindSafe,
) -> Vec<T> {
    let (next, outcomes) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= 5 {
                        break;
                    }
                    match catch_unwind(|| run(seed)) {
                        Ok(outcome) => outcomes.lock().unwrap().push(outcome),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "X0X_SIM_SEED=n repeats each of {failed:?}");
    outcomes.into_inner().unwrap()
}

#[test]
fn random_faults_leave_all_level_and_nothing_acknowledged_gone() {
    let start = x0x::time::uptime().ms;
    let only = setting("X0X_SIM_SEED");
    let seeds = only.map_or(0..setting("X0X_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let outcomes = on_every_core(seeds, run);
    let sum = |of: fn(&Counts) -> u64| outcomes.iter().map(|run| of(&run.counts)).sum::<u64>();
    let most = |of: fn(&Peaks) -> usize| outcomes.iter().map(|run| of(&run.peaks)).max().unwrap();
    let runs = outcomes.len() as u64;
    let nodes: usize = outcomes.iter().map(|run| run.nodes).sum();
    let quiet = outcomes.iter().map(|run| run.quiet_bytes).fold(0.0, f64::max);
    let mean = outcomes.iter().map(|run| run.quiet_bytes).sum::<f64>() / runs as f64;
    eprintln!("{runs} runs, {nodes} nodes, {} ms", x0x::time::uptime().ms - start);
    eprintln!("quiet: the busiest node of a run sends {mean:.1} bytes/s, {quiet:.1} at most");
    let exercised: Vec<(&str, u64, u64)> = vec![
        ("partitions healed", sum(|c| c.partitions_healed), runs / 2),
        ("of one direction", sum(|c| c.one_way_healed), runs / 4),
        ("links that died", sum(|c| c.links_died), runs / 2),
        ("crashes", sum(|c| c.crashes), runs / 2),
        ("in the middle of a write", sum(|c| c.crashes_amid), runs / 5),
        ("backups put back", sum(|c| c.restored), runs / 20),
        ("earlier disks", sum(|c| c.earlier_disks), runs / 20),
        ("pauses", sum(|c| c.pauses), runs / 4),
        ("clocks that jumped", sum(|c| c.clock_jumps), runs / 4),
        ("slow stores", sum(|c| c.slow_stores), runs / 5),
        ("nodes that looked at frames slowly", sum(|c| c.busy_nodes), runs / 20),
        ("neighbours that were too slow", sum(|c| c.too_slow), runs / 20),
        ("newcomers", sum(|c| c.newcomers), runs / 4),
        ("nodes that left and came back", sum(|c| c.left_and_back), runs / 4),
        ("frames of gossip lost", sum(|c| c.gossip_lost), 20 * runs),
        ("frames of gossip doubled", sum(|c| c.gossip_doubled), 5 * runs),
        ("frames of gossip out of order", sum(|c| c.gossip_reordered), 2 * runs),
        ("pulls that came to their end", sum(|c| c.pulls_whole), 10 * runs),
        ("pulls that broke off", sum(|c| c.pulls_broken), runs / 4),
        ("and were resumed", sum(|c| c.pulls_resumed), runs / 5),
        ("after a part had come", sum(|c| c.resumed_amid), runs / 50),
        ("commits that waited", sum(|c| c.waited), 2 * runs),
        ("commits that were only announced", sum(|c| c.announced), runs / 2),
        ("acknowledged deeds", sum(|c| c.acknowledged), 20 * runs),
        ("issues with conflicts", sum(|c| c.conflicts), runs / 10),
    ];
    for (what, count, _) in &exercised {
        eprintln!("{count:8} {what}");
    }
    let others: [(&str, u64); 7] = [
        ("pulls that brought nothing", sum(|c| c.pulls_vain)),
        ("links made", sum(|c| c.links_made)),
        ("deeds that an earlier disk may have lost", sum(|c| c.maybe_lost)),
        ("forks looked into", sum(|c| c.forks)),
        ("commits taken out by them", sum(|c| c.retracted)),
        ("own logs that others know more of", sum(|c| c.own_logs)),
        ("events", sum(|c| c.events)),
    ];
    for (what, count) in others {
        eprintln!("{count:8} {what}");
    }
    let peaks = [most(|p| p.waiting), most(|p| p.ready), most(|p| p.kept), most(|p| p.offers)];
    eprintln!("at most waiting, to judge, broadcasts kept, offers: {peaks:?}");
    if only.is_none() {
        for (what, count, least) in exercised {
            assert!(count >= least, "{what}: {count}, at least {least}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in [3, 1_000_003] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.counts.events, second.counts.events);
    }
    assert_ne!(run(3).trace, run(4).trace);
}
