//! Stores that are put back at random while three agents edit and meet: in the end all say the same,
//! and no answered edit is gone without a trace.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "support/forks.rs"]
mod forked;
mod support;

use std::collections::BTreeMap;

use forked::{assert_sound, copy_of, hand_back, meet, roll_back, start_from};
use support::{List, stream};
use x0x_tracker::interface::Tracker;
use x0x_tracker::interface::request::Comment;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::StandIn;

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// A value that was written to a register, with the values that its author saw there.
struct Written {
    issue: String,
    field: &'static str,
    value: String,
    saw: Vec<String>,
}

struct World {
    random: Random,
    lists: Vec<List>,
    copies: Vec<Option<Vec<u8>>>,
    registers: Vec<Written>,
    /// Texts of comments and labels; each is made once.
    elements: Vec<(String, String)>,
    issues: Vec<String>,
    count: usize,
    /// Whether authors write again what they lost.
    reissues: bool,
    /// How many lost commits were written again.
    written_again: usize,
}

const AGENTS: usize = 3;

/// Values of a field that are shown or listed as conflicts.
fn values(list: &List, issue: &str, field: &str) -> Option<Vec<String>> {
    let json = list.tracker.show(issue).ok()?.json?;
    let json: serde_json::Value = serde_json::from_str(&json).ok()?;
    let others = json["conflicts"][field].as_array().cloned().unwrap_or_default();
    let all = others.iter().chain([&json[field]]);
    Some(all.map(ToString::to_string).collect())
}

impl World {
    fn new(seed: u64, reissues: bool) -> Self {
        start_from(10_000 * (seed + 1));
        let mut a = List::new(1);
        let mut lists: Vec<List> =
            (2..=AGENTS as u64).map(|seed| List::member_of(&mut a, seed)).collect();
        lists.insert(0, a);
        let (first, others) = lists.split_first_mut().unwrap();
        for other in others {
            stream(first, other, usize::MAX);
        }
        for (list, seed) in lists.iter_mut().zip(1..) {
            drop(copy_of(list, seed));
        }
        Self {
            random: Random(seed),
            lists,
            copies: vec![None; AGENTS],
            registers: Vec::new(),
            elements: Vec::new(),
            issues: Vec::new(),
            count: 0,
            reissues,
            written_again: 0,
        }
    }

    fn step(&mut self) {
        let at = self.random.below(AGENTS);
        match self.random.below(20) {
            0 => self.copies[at] = Some(copy_of(&mut self.lists[at], at as u64 + 1)),
            1..=2 => {
                if let Some(bytes) = self.copies[at].clone() {
                    roll_back(&mut self.lists[at], at as u64 + 1, &bytes);
                    self.forget_what_nobody_has();
                }
            }
            3..=6 => {
                let other = (at + 1 + self.random.below(AGENTS - 1)) % AGENTS;
                self.meet(at, other);
            }
            7 => self.reissue(at),
            _ => self.edit(at),
        }
    }

    /// What only the store had that was put back cannot come back.
    fn forget_what_nobody_has(&mut self) {
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for list in &self.lists {
            let agents = (1..=AGENTS as u64).map(|seed| StandIn::new(seed).agent());
            let lost = agents.flat_map(|agent| list.tracker.lost_commits_of(agent).unwrap());
            let counted = list.tracker.commits_after(&Frontier::default(), usize::MAX).unwrap();
            bodies.extend(lost.chain(counted).map(|sealed| sealed.commit.body));
        }
        let is_held = |text: &str| {
            bodies.iter().any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
        };
        self.registers.retain(|written| is_held(written.value.trim_matches('"')));
        self.elements.retain(|(_, text)| is_held(text));
    }

    fn reissue(&mut self, at: usize) {
        if self.reissues {
            let report = self.lists[at].tracker.reissue(&mut |_| {}).unwrap();
            self.written_again += report.commits;
        }
    }

    fn meet(&mut self, a: usize, b: usize) {
        let (low, high) = (a.min(b), a.max(b));
        let (left, right) = self.lists.split_at_mut(high);
        meet(&mut left[low], &mut right[0]);
    }

    fn edit(&mut self, at: usize) {
        self.count += 1;
        let list = &mut self.lists[at];
        let known: Vec<String> =
            self.issues.iter().filter(|id| list.tracker.show(id).is_ok()).cloned().collect();
        let act = self.random.below(8);
        if known.is_empty() || act == 0 {
            let title = format!("\"issue {:04}\"", self.count);
            let shown = list.create(title.trim_matches('"'));
            let issue = shown.row.id;
            self.issues.push(issue.clone());
            self.registers.push(Written { issue, field: "title", value: title, saw: Vec::new() });
            return;
        }
        let issue = known[self.random.below(known.len())].clone();
        match act {
            1 => {
                let body = format!("comment {:04}", self.count);
                let comment = Comment { author: None, body: body.clone(), key: None };
                list.tracker.comment(&issue, &comment).unwrap();
                self.elements.push((issue, body));
            }
            2 => {
                let label = format!("label-{:04}", self.count);
                let mut labels = list.field(&issue, "labels").as_array().cloned().unwrap();
                labels.push(label.clone().into());
                list.set(&issue, "labels", &serde_json::to_string(&labels).unwrap());
                self.elements.push((issue, label));
            }
            _ => {
                let field = ["title", "description", "estimate"][self.random.below(3)];
                let value = format!("\"{field} {:04}\"", self.count);
                let saw = values(list, &issue, field).unwrap();
                list.set(&issue, field, &value);
                self.registers.push(Written { issue, field, value, saw });
            }
        }
    }

    /// Lets everybody have everything back, until nothing is left to do.
    fn come_to_rest(&mut self) {
        for _ in 0..12 {
            for (a, b) in [(0, 1), (1, 2), (0, 2), (0, 1)] {
                self.meet(a, b);
                let (left, right) = self.lists.split_at_mut(b);
                hand_back(&left[a], &mut right[0], b as u64 + 1);
                hand_back(&right[0], &mut left[a], a as u64 + 1);
            }
            let before: Vec<_> = self.frontiers();
            (0..AGENTS).for_each(|at| self.reissue(at));
            if before == self.frontiers() && before.iter().all(|other| *other == before[0]) {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn frontiers(&self) -> Vec<Frontier> {
        self.lists.iter().map(|list| list.tracker.frontier().unwrap()).collect()
    }

    /// Checks that all stores say the same; returns what was answered and is neither there, nor was
    /// overwritten by somebody who saw it, nor stands beside something else.
    fn missing(&self) -> Vec<String> {
        let canonical = self.lists[0].canonical();
        for list in &self.lists {
            assert_sound(list);
            assert_eq!(list.canonical(), canonical);
        }
        let list = &self.lists[0];
        let mut seen: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for Written { issue, field, saw, .. } in &self.registers {
            seen.entry((issue, field)).or_default().extend(saw.iter().map(String::as_str));
        }
        let mut missing = Vec::new();
        for Written { issue, field, value, .. } in &self.registers {
            let now = values(list, issue, field).unwrap_or_default();
            let was_seen = seen[&(issue.as_str(), *field)].contains(&value.as_str());
            if !now.contains(value) && !was_seen {
                missing.push(format!("{issue} {field} {value}: {now:?}"));
            }
        }
        for (issue, element) in &self.elements {
            let json = list.tracker.show(issue).ok().and_then(|shown| shown.json);
            if !json.unwrap_or_default().contains(&format!("\"{element}\"")) {
                missing.push(format!("{issue} {element}"));
            }
        }
        missing
    }
}

/// Lets a world of this seed run; returns it, at rest.
fn run(seed: u64, reissues: bool) -> World {
    let mut world = World::new(seed, reissues);
    for _ in 0..100 {
        world.step();
    }
    world.come_to_rest();
    world
}

#[test]
fn whatever_is_put_back_all_stores_end_alike_and_no_answered_edit_is_gone() {
    let seeds = std::env::var("X0X_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut written_again = 0;
    for seed in 0..seeds {
        println!("seed {seed}");
        let world = run(seed, true);
        let missing = world.missing();
        assert!(missing.is_empty(), "seed {seed}: {missing:#?}");
        for list in &world.lists {
            assert_eq!(list.tracker.lost().unwrap(), [], "seed {seed}");
        }
        written_again += world.written_again;
    }
    assert!(written_again > 10, "little was lost: {written_again}");
    println!("{written_again} lost commits were written again");
}

#[test]
fn without_authors_that_write_again_edits_are_missing_and_told_as_lost() {
    let worlds: Vec<World> = (0..4).map(|seed| run(seed, false)).collect();
    assert!(worlds.iter().any(|world| !world.missing().is_empty()));
    for world in worlds.iter().filter(|world| !world.missing().is_empty()) {
        let told = world.lists.iter().any(|list| !list.tracker.lost().unwrap().is_empty());
        assert!(told, "{:#?}", world.missing());
    }
}
