//! The gossip alone, among many: how often a broadcast is sent in vain, and how long the last node waits for it; the
//! same of the simulator that the proto comes with, under equal settings and in the same run; and broadcasts among
//! nodes that come and go. `X0X_OVERLAY_NODES` is how many there are where nothing else is said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod swarm;
mod theirs;

use std::time::Duration;

use swarm::Swarm;

/// How many rounds are measured, of one broadcast each.
const ROUNDS: usize = 30;

const SECOND: Duration = Duration::from_secs(1);

/// What came of some rounds, in the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    /// How many broadcasts were sent for each that was needed, beyond that (relative message redundancy).
    redundancy: f64,
    /// Until the last node had it.
    last_ms: f64,
    /// How many hops the longest way had.
    hops: f64,
    /// How many nodes it did not reach in time.
    missed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Senders {
    One,
    InTurn,
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Runs both simulators, and holds one against the other.
fn compare(nodes: usize, senders: Senders, seeds: u64) {
    let mut worst = (0.0_f64, 0.0_f64);
    for seed in 0..seeds {
        let ours = ours(nodes, senders, seed);
        let theirs = theirs::rounds(nodes, senders, seed);
        let messages = (ours.redundancy + 1.0) / (theirs.redundancy + 1.0);
        let last = ours.last_ms / theirs.last_ms;
        worst = (worst.0.max(messages), worst.1.max(last));
        for (name, of) in [("ours", ours), ("theirs", theirs)] {
            eprintln!(
                "{nodes} nodes, {senders:?}, seed {seed}, {name}: redundancy {:.3}, last after {:.0} ms, \
                 {:.1} hops, {:.1} missed",
                of.redundancy, of.last_ms, of.hops, of.missed
            );
        }
        assert!(ours.missed == 0.0, "{} nodes did not hear in time", ours.missed);
    }
    eprintln!(
        "{senders:?}: messages {:.2} times theirs at most, time {:.2} times",
        worst.0, worst.1
    );
    assert!(worst.0 <= 1.1 && worst.1 <= 1.1, "{worst:?}");
}

fn ours(nodes: usize, senders: Senders, seed: u64) -> Rounds {
    let mut swarm = Swarm::joined(seed, nodes);
    let mut sum = Rounds::default();
    for round in 0..ROUNDS {
        let sender = if senders == Senders::One { 0 } else { swarm.some_node() };
        let one = swarm.round(sender, format!("round {round}").into_bytes());
        sum.redundancy += one.redundancy;
        sum.last_ms += one.last_ms;
        sum.hops += one.hops;
        sum.missed += one.missed;
    }
    let rounds = ROUNDS as f64;
    Rounds {
        redundancy: sum.redundancy / rounds,
        last_ms: sum.last_ms / rounds,
        hops: sum.hops / rounds,
        missed: sum.missed / rounds,
    }
}

#[test]
fn one_sender_costs_no_more_than_in_the_protos_own_simulator() {
    compare(setting("X0X_OVERLAY_NODES", 200), Senders::One, 2);
}

#[test]
fn senders_in_turn_cost_no_more_than_in_the_protos_own_simulator() {
    compare(setting("X0X_OVERLAY_NODES", 200), Senders::InTurn, 2);
}

#[test]
fn with_two_percent_lost_every_broadcast_reaches_every_node() {
    let mut swarm = Swarm::joined(11, setting("X0X_OVERLAY_NODES", 200));
    (swarm.lost_percent, swarm.compares) = (2, true);
    for n in 0..40_usize {
        let sender = swarm.some_node();
        swarm.broadcast(sender, format!("news {n}").into_bytes());
        swarm.run(SECOND / 10);
    }
    swarm.run(SECOND * 60);
    assert!(swarm.lost_total > 0);
    eprintln!("{} frames lost, {} pulls", swarm.lost_total, swarm.pulls_total);
    assert_eq!(swarm.lacking(), 0);
}

#[test]
fn three_hundred_nodes_that_come_and_go_hear_everything_that_is_said() {
    let mut swarm = Swarm::joined(12, 300);
    swarm.compares = true;
    for n in 0..60_usize {
        let sender = swarm.some_node();
        swarm.broadcast(sender, format!("news {n}").into_bytes());
        // One in a hundred goes each second, and as many come.
        for _ in 0..3 {
            let gone = swarm.some_node();
            swarm.remove(gone);
            swarm.add();
        }
        swarm.run(SECOND);
    }
    swarm.run(SECOND * 60);
    eprintln!("{} came, {} went, {} pulls", swarm.came_total, swarm.went_total, swarm.pulls_total);
    assert_eq!((swarm.went_total, swarm.lacking()), (180, 0));
}
