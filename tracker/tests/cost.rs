//! What things cost, as ratios of CPU time within one run, so that a noisy machine changes little.
//!
//! The limits are far from what is measured; they catch work that grows with the list.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::collections::HashMap;
use std::ops::ControlFlow;

use automerge::hydrate;
use rustix::time::{ClockId, clock_gettime};
use support::{List, record};
use x0x_tracker::Tracker;
use x0x_tracker::claim::record::CHANGE_RECORDS_MAX;
use x0x_tracker::claim::{Act, Origin, Record, Tree, link};
use x0x_tracker::id::{ListId, RecordHash, StatementHash};
use x0x_tracker::interface::{Filter, Patch, Shown};
use x0x_tracker::journal::charter::{Charter, GRANTS_MAX, Role, Signed, Statement};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::claims::{ISSUE, Scene, record as record_of};
use x0x_tracker::testing::{START, StandIn};

/// Returns the CPU time of this thread while `work` ran, in seconds.
fn cpu(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let begin = now();
    work();
    now() - begin
}

fn file(issues: usize) -> String {
    let description = format!("\"{}\"", "words of a description ".repeat(70));
    let line = |n| record(&format!("B-{n:04}"), &[("description", description.as_str())]);
    (0..issues).map(line).collect()
}

/// Returns what a few runs of something cost: the median, since one may meet the growth of the file.
fn usual_cost(list: &mut List, work: impl Fn(&mut List)) -> f64 {
    let mut costs: Vec<f64> = (0..9).map(|_| cpu(|| (0..4).for_each(|_| work(list)))).collect();
    costs.sort_by(f64::total_cmp);
    costs[4]
}

/// Returns the least of several ratios of what `dear` costs to what `cheap` costs, each taken at once
/// after the other: what another process did to the clock and the caches stays in one of them.
fn least_ratio(mut dear: impl FnMut() -> f64, mut cheap: impl FnMut() -> f64) -> f64 {
    (0..5).map(|_| dear() / cheap()).fold(f64::MAX, f64::min)
}

#[test]
fn what_touches_one_issue_costs_the_same_in_a_large_list() {
    let (mut small, mut large) = (List::new(1), List::new(1));
    small.import(&file(50));
    large.import(&file(3_000));
    let edits = std::cell::Cell::new(0);
    let create = |list: &mut List| drop(list.create("a new issue"));
    let show = |list: &mut List| drop(list.tracker.show("B-0007").unwrap());
    let edit = |list: &mut List| {
        edits.set(edits.get() + 1);
        let patch = Patch::default().set_text("assignee", &format!("worker {}", edits.get()));
        drop(list.tracker.edit("B-0007", &patch, None).unwrap());
    };
    type Work<'a> = &'a dyn Fn(&mut List);
    for (name, work) in [("create", &create as Work<'_>), ("show", &show), ("edit", &edit)] {
        let ratio = least_ratio(|| usual_cost(&mut large, work), || usual_cost(&mut small, work));
        println!("{name} at 3,000 issues costs {ratio:.2} times what it costs at 50");
        assert!(ratio < 3.0, "{name}: {ratio}");
    }
}

#[test]
fn what_a_worker_asks_costs_the_same_beside_many_claims() {
    use x0x_tracker::interface::{Holding, Pick, Release, Terms};
    let pick = |n: usize| Pick::Issue(format!("B-{n:04}"));
    let terms = |worker: &str| Terms {
        worker: worker.to_owned(),
        ttl_ms: None,
        resume: true,
        ..Terms::default()
    };
    let claimed = |claims: usize| {
        let mut list = List::new(1);
        list.import(&file(800));
        for n in 0..claims {
            list.tracker.claim(&pick(n), &terms(&format!("w{n}"))).unwrap();
        }
        list
    };
    let (mut few, mut many) = (claimed(1), claimed(700));
    let any = Holding { worker: "w0".to_owned(), ..Holding::default() };
    let beat = |list: &mut List| drop(list.tracker.heartbeat(&any).unwrap());
    let claim = |list: &mut List| {
        list.tracker.claim(&pick(799), &terms("own")).unwrap();
        let own = Holding { worker: "own".to_owned(), ..Holding::default() };
        list.tracker.release(&own, &Release::default()).unwrap();
    };
    type Work<'a> = &'a dyn Fn(&mut List);
    for (name, work) in [("heartbeat", &beat as Work<'_>), ("claim", &claim)] {
        let ratio = least_ratio(|| usual_cost(&mut many, work), || usual_cost(&mut few, work));
        println!("{name} beside 700 claims costs {ratio:.2} times what it costs beside 1");
        assert!(ratio < 3.0, "{name}: {ratio}");
    }
}

#[test]
fn looking_for_text_costs_about_what_listing_everything_does() {
    let mut list = List::new(1);
    list.import(&file(1_500));
    let listing = |list: &mut List, filter: &Filter| {
        let mut issues = 0;
        let count = &mut |_: &Shown| {
            issues += 1;
            ControlFlow::Continue(())
        };
        list.tracker.list(filter, count).unwrap();
        issues
    };
    let all = Filter { with_json: true, ..Filter::default() };
    let text = Filter { text: Some("nowhere to be found".to_owned()), ..Filter::default() };
    assert_eq!((listing(&mut list, &all), listing(&mut list, &text)), (1_500, 0));
    let list = std::cell::RefCell::new(list);
    let cost = |filter: &Filter, found: usize| {
        usual_cost(&mut list.borrow_mut(), |list| assert_eq!(listing(list, filter), found))
    };
    let ratio = least_ratio(|| cost(&text, 0), || cost(&all, 1_500));
    println!("a search costs {ratio:.2} of listing every record");
    assert!(ratio < 1.5, "{ratio}");
}

#[test]
fn importing_costs_little_more_than_making_the_documents() {
    let file = file(400);
    let floor = cpu(|| {
        for line in file.lines() {
            let mut document = automerge::Automerge::new();
            document.init_from_hydrate(&hydrated(line)).unwrap();
            assert!(!document.save().is_empty());
        }
    });
    let mut list = List::new(1);
    let first = cpu(|| drop(list.import(&file)));
    let again = cpu(|| drop(list.import(&file)));
    println!("first import {:.2} times the floor, unchanged {:.3}", first / floor, again / floor);
    assert!(first / floor < 6.0, "first import: {:.2} times the floor", first / floor);
    assert!(again / first < 0.25, "unchanged import: {:.2} of the first", again / first);
}

fn hydrated(line: &str) -> hydrate::Map {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    let values: HashMap<String, hydrate::Value> = fields
        .into_iter()
        .map(|(name, value)| {
            let scalar = |value: &serde_json::Value| {
                hydrate::Value::scalar(value.as_str().unwrap_or_default())
            };
            let value = match &value {
                serde_json::Value::Array(list) => {
                    hydrate::Value::List(list.iter().map(scalar).collect::<Vec<_>>().into())
                }
                other => scalar(other),
            };
            (name, value)
        })
        .collect();
    values.into()
}

/// Returns a tree of claims that each take over the one before, contested by nobody.
fn chain(claims: usize) -> (Tree, Vec<RecordHash>) {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let mut made = vec![first];
    for n in 1..claims {
        made.push(scene.take_over((n % 2) as u8, made[n - 1]));
    }
    (scene.tree(), made)
}

/// Returns what a few runs of something cost at the least, in seconds.
fn least_cost(work: impl Fn()) -> f64 {
    (0..5).map(|_| cpu(&work)).fold(f64::MAX, f64::min)
}

#[test]
fn what_many_records_of_one_change_cost_grows_with_their_number_alone() {
    let (tree, claims) = chain(3_000);
    let contests: Vec<Record> = (1..claims.len())
        .filter(|n| n % 2 == 1)
        .take(CHANGE_RECORDS_MAX)
        .map(|n| record_of(0, Act::Contest { takeover: claims[n] }))
        .collect();
    let check = |new: &[Record]| link::check(ISSUE, &tree, new).unwrap();
    let made = least_cost(|| drop(Tree::of(ISSUE, tree.records().values().cloned())));
    let all = least_cost(|| check(&contests));
    println!("checking {} records costs {:.2} of making the tree", contests.len(), all / made);
    assert!(all < made * 4.0, "{all} against {made}");
}

#[test]
fn finding_the_end_of_every_claim_costs_no_more_than_making_the_tree() {
    let mut scene = Scene::new();
    let mut origin = Origin::First;
    for _ in 0..1_500 {
        let claim = scene.claim(0, origin);
        origin = Origin::After { claim, end: scene.release(0, claim) };
    }
    let tree = scene.tree();
    let made = least_cost(|| drop(scene.tree()));
    let found =
        least_cost(|| assert_eq!(tree.claims().filter_map(|c| tree.end_of(c)).count(), 1_500));
    println!("finding the ends costs {:.3} of making the tree", found / made);
    assert!(found < made, "{found} against {made}");
}

/// Returns statements of a full charter, as somebody makes them who wants them to be hard to judge: `links`
/// rings that open one after the other, `again` as many by others who know of these, and a `chain` of
/// revocations each of which depends on the one before it.
fn crafted(links: usize, again: usize, chain: usize, open_from: usize) -> Vec<Signed> {
    let mut agents: Vec<StandIn> = (0..GRANTS_MAX as u64).map(StandIn::new).collect();
    // Of two that revoke each other the first stays, and only then it is seen how the next ring stands.
    agents.sort_by_key(Signer::agent);
    let (name, founder) = ("team".to_owned(), agents[0].public_key().to_vec());
    let found = Statement::Found { name, founder, nonce: [0; 16], at: START };
    let mut said = vec![Signed::new(&found, &agents[0]).unwrap()];
    let list = ListId::of(&said[0].statement);
    let newest = |said: &[Signed]| vec![said.last().unwrap().hash()];
    let mut seen = newest(&said);
    for (n, agent) in agents.iter().enumerate().skip(1) {
        // What those in rings granted is as open as their rings are.
        let (signer, is_open) =
            if n > open_from { (1 + n % (2 * links), true) } else { (0, false) };
        let (by, member, role) =
            (agents[signer].agent(), agent.public_key().to_vec(), Role::Maintainer);
        let grant = Statement::Grant { list, by, member, role, seen: seen.clone() };
        said.push(Signed::new(&grant, &agents[signer]).unwrap());
        if !is_open {
            seen = newest(&said);
        }
    }
    let ring = |a: usize| [(a, a + 1), (a + 1, a), (a + 1, a + 2)];
    let revoke = |by: usize, member: usize, seen: &[StatementHash]| {
        let (member, seen) = (agents[member].agent(), seen.to_vec());
        let (reason, at) = (String::new(), START);
        let by_id = agents[by].agent();
        let revoked = Statement::Revoke { list, by: by_id, member, at, reason, seen };
        Signed::new(&revoked, &agents[by]).unwrap()
    };
    for (by, member) in (0..links).flat_map(|link| ring(1 + 2 * link)) {
        said.push(revoke(by, member, &seen));
    }
    let last = said.len();
    for link in 0..again {
        for (at, (by, member)) in ring(301 + 2 * link).into_iter().enumerate() {
            // Each has another past.
            let known = said[last - 1 - (3 * link + at) % (3 * links)].hash();
            said.push(revoke(by, member, &[known]));
        }
    }
    for link in 601..601 + chain {
        said.push(revoke(link, link + 1, &seen));
    }
    said
}

#[test]
fn a_charter_that_was_made_to_be_hard_to_judge_costs_a_few_times_what_reading_it_does() {
    let all = GRANTS_MAX;
    for (links, again, chain, open_from) in
        [(85, 0, 0, all), (42, 42, 0, all), (28, 28, 84, all), (2, 0, 150, all), (85, 0, 0, 180)]
    {
        let said = crafted(links, again, chain, open_from);
        let judged = |said: &[Signed]| drop(Charter::of_accepted(said).unwrap());
        let ratio = least_ratio(|| cpu(|| judged(&said)), || cpu(|| judged(&said[..GRANTS_MAX])));
        println!("{links} rings, {again} that know of them, a chain of {chain}: {ratio:.1} times");
        assert!(ratio < 30.0, "{links}, {again}, {chain}: {ratio}");
    }
}
