//! The rules of claims in every history that three agents can make of one issue within stated bounds.
//!
//! The model checker (stateright) walks through them all, with the records, the tree and the rules of
//! the program itself. Leases are not modelled: any claim of another may be taken for stale at any time,
//! which is more than real leases allow. `X0X_MODEL=long` has wider bounds, for hours.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod breach;
mod deeds;
mod judge;
mod model;
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use breach::{BREACHES, RULES, Rule};
use deeds::SIGHTS;
use model::{Bounds, Claims};
use stateright::{Checker, HasDiscoveries, Model};
use world::Rare;

/// Most of what a search does is to make small lists and maps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const THREADS: usize = 2;

/// Every rare thing but a disk that goes back, which makes many histories by itself.
const EACH: Rare =
    Rare { contests: 1, forces: 1, reopens: 1, rulings: 1, reshards: 1, crashes: 1, rollbacks: 0 };

const NONE: Rare =
    Rare { contests: 0, forces: 0, reopens: 0, rulings: 0, reshards: 0, crashes: 0, rollbacks: 0 };

const fn bounds(claims: u8, claims_max: u8, rare: Rare, rare_max: u8) -> Bounds {
    Bounds { claims, claims_max, rare, rare_max }
}

/// What is searched, and the number of states that are there at least.
const SHORT: [(Bounds, usize); 5] = [
    (bounds(2, 5, NONE, 0), 500_000),
    (bounds(2, 4, EACH, 1), 700_000),
    (bounds(1, 3, Rare { contests: 2, ..EACH }, 3), 300_000),
    (bounds(2, 4, Rare { rollbacks: 1, ..NONE }, 1), 400_000),
    (bounds(1, 3, Rare { rollbacks: 1, ..EACH }, 2), 50_000),
];

/// The same for those who have the time.
const LONG: [(Bounds, usize); 5] = [
    (bounds(2, 6, NONE, 0), 1_000_000),
    (bounds(2, 5, EACH, 1), 1_000_000),
    (bounds(2, 4, Rare { contests: 2, reopens: 2, ..EACH }, 2), 1_000_000),
    (bounds(1, 3, Rare { contests: 3, reopens: 2, forces: 2, ..EACH }, 4), 400_000),
    (bounds(2, 4, Rare { rollbacks: 1, ..EACH }, 2), 1_000_000),
];

/// Searches everything within bounds, says how much that was, and returns which promises are broken and
/// which sights were seen.
fn search(bounds: Bounds, rule: Option<Rule>) -> (BTreeSet<&'static str>, u32, usize) {
    // Where a rule is left out, the promise that stands for it may not be the first to break.
    let until = if rule.is_some() { HasDiscoveries::All } else { HasDiscoveries::AnyFailures };
    let model = Claims::new(bounds, rule);
    let checker = model.checker().threads(THREADS).finish_when(until).spawn_dfs().join();
    let states = checker.unique_state_count();
    println!(
        "{} claims an agent, {} in all, {} rare things of {:?}: {states} states, {} steps, {} sets of \
         records, at most {} steps deep",
        bounds.claims,
        bounds.claims_max,
        bounds.rare_max,
        bounds.rare,
        checker.state_count(),
        checker.model().judge.sets(),
        checker.max_depth(),
    );
    let broken = checker.discoveries();
    for (promise, path) in &broken {
        println!("broken: {promise}");
        for step in path.clone().into_actions() {
            println!("    agent {} knows {:?}: {:?}", step.agent, step.view, step.deed);
        }
    }
    let seen = checker.model().seen.load(Ordering::Relaxed);
    (broken.into_keys().collect(), seen, states)
}

#[test]
fn every_history_within_the_bounds_keeps_every_promise() {
    let is_long = std::env::var("X0X_MODEL").is_ok_and(|length| length == "long");
    let (mut seen, mut all) = (0, 0);
    for (bounds, states_min) in if is_long { LONG } else { SHORT } {
        let (broken, sights, states) = search(bounds, None);
        assert_eq!(broken, BTreeSet::new());
        assert!(states >= states_min, "only {states} states were searched");
        (seen, all) = (seen | sights, all + states);
    }
    println!("{all} states in all");
    let missing: Vec<_> =
        SIGHTS.iter().enumerate().filter(|(bit, _)| seen & (1 << bit) == 0).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn a_rule_that_is_left_out_breaks_a_promise() {
    let small = bounds(2, 3, Rare { rollbacks: 1, ..EACH }, 1);
    for (rule, breach) in RULES {
        let (broken, ..) = search(small, Some(rule));
        let promise = BREACHES.iter().find(|(other, _)| *other == breach).unwrap().1;
        assert!(broken.contains(promise), "{rule:?} is left out, and only {broken:?} is broken");
    }
    let (broken, ..) = search(small, None);
    assert_eq!(broken, BTreeSet::new());
}
