//! The model: which deeds are possible in a state, and which state follows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Model, Property};
use x0x_tracker::claim::record::Act;
use x0x_tracker::claim::rules::Fate;
use x0x_tracker::claim::tree::Phase;

use crate::breach::{BREACHES, Breach, Rule};
use crate::deeds::Deed;
use crate::judge::{AGENTS, Facts, Id, Judge, Outcome};
use crate::world::{Node, Rare, View, World, is_within};

/// The agent that may end claims and issues and open them again.
const MAINTAINER: usize = 0;

/// How much may happen in one history.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Claims that each agent makes.
    pub claims: u8,
    /// Claims that all agents make together.
    pub claims_max: u8,
    /// How often each rare thing happens, whoever does it.
    pub rare: Rare,
    /// How many rare things happen in all.
    pub rare_max: u8,
}

/// A step of the model: who does what, and everything that is written by it.
#[derive(Clone, Debug)]
pub struct Step {
    pub agent: u8,
    /// What the agent knew; several views that lead to the same are one step.
    pub view: View,
    pub deed: Deed,
    outcome: Arc<Outcome>,
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        (self.agent, self.view, self.deed) == (other.agent, other.view, other.deed)
    }
}

/// Agents, how much they may do, and who judges.
pub struct Claims {
    pub bounds: Bounds,
    pub judge: Judge,
    /// Which of the sights were seen, a bit each.
    pub seen: AtomicU32,
}

impl Claims {
    /// Returns a model with these bounds, in which one rule may be left out.
    pub fn new(bounds: Bounds, rule: Option<Rule>) -> Self {
        Self { bounds, judge: Judge::new(rule), seen: AtomicU32::new(0) }
    }

    fn saw(&self, sights: u32) {
        if self.seen.load(Ordering::Relaxed) & sights != sights {
            self.seen.fetch_or(sights, Ordering::Relaxed);
        }
    }

    /// Tells whether something rare may still happen.
    fn may(&self, world: &World, of: fn(&Rare) -> u8) -> bool {
        world.spent.all() < self.bounds.rare_max && of(&world.spent) < of(&self.bounds.rare)
    }

    /// Calls `push` with every deed of an agent that knows what the facts tell.
    fn deeds(&self, world: &World, at: usize, facts: &Facts, push: &mut dyn FnMut(Deed)) {
        let node = &world.nodes[at];
        for breach in &facts.broken {
            push(Deed::Despair(*breach));
        }
        if node.lost.iter().any(|claim| facts.fates.get(claim) == Some(&Fate::Holds)) {
            push(Deed::Despair(Breach::ToldLostHoldsAgain));
        }
        let all: u8 = world.nodes.iter().map(|node| node.claims).sum();
        let may_claim = node.claims < self.bounds.claims && all < self.bounds.claims_max;
        if may_claim && facts.origins[at].is_some() {
            push(Deed::Claim);
        }
        for claim in &node.works {
            match facts.fates.get(claim) {
                Some(Fate::Holds) => {
                    push(Deed::HandOff(*claim));
                    push(Deed::Release(*claim));
                }
                Some(Fate::Lost(_))
                    if !facts.contestable[claim].is_empty() && self.may(world, |s| s.contests) =>
                {
                    push(Deed::Contest(*claim));
                }
                _ => {}
            }
        }
        for claim in &node.gone {
            if facts.fates.get(claim) == Some(&Fate::Holds) {
                push(Deed::Resume(*claim));
            }
        }
        for claim in node.works.iter().chain(&node.gone) {
            match facts.fates.get(claim) {
                Some(Fate::Lost(_)) => push(Deed::Abandon(*claim)),
                Some(Fate::Over(_)) => push(Deed::Settle(*claim)),
                _ => {}
            }
        }
        if at == MAINTAINER {
            self.rulings(world, facts, push);
        }
    }

    fn rulings(&self, world: &World, facts: &Facts, push: &mut dyn FnMut(Deed)) {
        let is_ruled = matches!(facts.phase, Phase::Ruled(_));
        let is_shut = is_ruled || matches!(facts.phase, Phase::Review(_));
        let may = [
            (facts.holder.is_some() && self.may(world, |s| s.forces), Deed::Force),
            (is_shut && self.may(world, |s| s.reopens), Deed::Reopen),
            (!is_ruled && facts.shard.is_some() && self.may(world, |s| s.rulings), Deed::Rule),
            (facts.shard.is_some() && self.may(world, |s| s.reshards), Deed::Reshard),
        ];
        may.into_iter().filter(|(may, _)| *may).for_each(|(_, deed)| push(deed));
    }

    /// Takes the disk of an agent back to when its log had so many entries.
    fn roll_back(&self, next: &mut World, at: usize, kept: u8) {
        let entries = &next.logs[at][..usize::from(kept)];
        let node = &mut next.nodes[at];
        let is_known = |claim: &Id| entries.iter().any(|entry| entry.contains(claim));
        let is_told = |claim: &Id| {
            let hash = self.judge.hash(*claim);
            let ends =
                |id: &Id| matches!(self.judge.record(*id).act, Act::End(end) if end.claim == hash);
            entries.iter().flatten().any(ends)
        };
        // With the disk goes what it knew of having been told.
        let forgotten: Vec<Id> =
            node.lost.iter().copied().filter(|claim| !is_told(claim)).collect();
        node.lost.retain(is_told);
        node.gone.append(&mut node.works);
        node.gone.extend(forgotten);
        node.gone.retain(is_known);
        node.log = AGENTS as u8;
        node.kept = kept;
    }

    /// Lets everybody hear everything and say what there is to say, and tells whether exactly those
    /// believe who should.
    fn settles(&self, world: &World) -> bool {
        let mut all = world.records(&world.whole());
        let mut works: Vec<Vec<Id>> = world.nodes.iter().map(|node| node.works.clone()).collect();
        loop {
            let before = all.len();
            for (at, works) in works.iter_mut().enumerate() {
                for claim in std::mem::take(works) {
                    let facts = self.judge.facts_with(&all, &[]);
                    let deed = match facts.fates.get(&claim) {
                        Some(Fate::Holds) => {
                            works.push(claim);
                            continue;
                        }
                        Some(Fate::Lost(_)) => Deed::Abandon(claim),
                        Some(Fate::Over(_)) => Deed::Settle(claim),
                        _ => continue,
                    };
                    all.extend(self.judge.written((at as u8, world.nodes[at].log), deed, &facts));
                }
            }
            if all.len() == before {
                break;
            }
        }
        let believed: Vec<Id> = works.into_iter().flatten().collect();
        // Nobody believes in a claim whose worker is gone, and a disk that went back may not know it.
        let is_excused = |holder: &Id| {
            world.spent.rollbacks > 0 || world.nodes.iter().any(|node| node.gone.contains(holder))
        };
        match self.judge.facts_with(&all, &[]).holder {
            Some(holder) => believed == [holder] || (believed.is_empty() && is_excused(&holder)),
            None => believed.is_empty(),
        }
    }
}

/// Notes what a deed makes of an agent's beliefs, and of what has been spent.
fn believe(node: &mut Node, spent: &mut Rare, deed: Deed, new: &[Id]) {
    match deed {
        Deed::Claim => {
            node.claims += 1;
            node.works.extend(new.last());
        }
        Deed::Abandon(claim) | Deed::Settle(claim) => {
            node.works.retain(|other| *other != claim);
            node.gone.retain(|other| *other != claim);
            // What it wrote about it is in its log, which it knows: that need not be remembered twice.
            if new.is_empty() {
                node.lost.push(claim);
            }
        }
        Deed::HandOff(claim) | Deed::Release(claim) => node.works.retain(|other| *other != claim),
        Deed::Contest(_) => spent.contests += 1,
        Deed::Force => spent.forces += 1,
        Deed::Reopen => spent.reopens += 1,
        Deed::Rule => spent.rulings += 1,
        Deed::Reshard => spent.reshards += 1,
        Deed::Crash => {
            spent.crashes += 1;
            node.gone.append(&mut node.works);
        }
        Deed::Resume(claim) => {
            node.gone.retain(|other| *other != claim);
            node.works.push(claim);
        }
        Deed::Rollback(_) => spent.rollbacks += 1,
        Deed::Despair(_) => {}
    }
    for list in [&mut node.works, &mut node.gone, &mut node.lost] {
        list.sort_unstable();
    }
}

impl Model for Claims {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::empty()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !world.broken.is_empty() {
            return;
        }
        let nothing = Arc::new(Outcome::default());
        let views = world.views(&self.judge);
        for at in 0..AGENTS {
            let node = &world.nodes[at];
            let (agent, own) = (at as u8, world.own(at));
            let mut push = |deed| {
                steps.push(Step { agent, view: own, deed, outcome: nothing.clone() });
            };
            if !node.works.is_empty() && self.may(world, |s| s.crashes) {
                push(Deed::Crash);
            }
            if usize::from(node.log) == at && self.may(world, |s| s.rollbacks) {
                (0..world.logs[at].len()).for_each(|kept| push(Deed::Rollback(kept as u8)));
            }
            let mut done: HashSet<(Deed, Vec<Id>)> = HashSet::new();
            for (view, sum) in views.iter().filter(|(view, _)| is_within(&own, view)) {
                let known = || world.records(view);
                let facts = self.judge.facts(*sum, known);
                self.deeds(world, at, &facts, &mut |deed| {
                    let outcome = self.judge.outcome(&known, &facts, (agent, node.log), deed);
                    let is_new = done.insert((deed, outcome.records.clone()));
                    if is_new || !outcome.broken.is_empty() {
                        self.saw(outcome.sights);
                        steps.push(Step { agent, view: *view, deed, outcome });
                    }
                });
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let Step { agent, deed, outcome, .. } = step;
        let at = usize::from(agent);
        let mut next = world.clone();
        match deed {
            Deed::Despair(breach) => next.broken.push(breach),
            Deed::Rollback(kept) => self.roll_back(&mut next, at, kept),
            _ => {}
        }
        next.broken.extend(outcome.broken.iter().copied());
        let new = &outcome.records;
        let is_there = |id: &Id| next.logs.iter().flatten().any(|entry| entry.contains(id));
        if deed == Deed::Claim && new.last().is_some_and(is_there) {
            next.broken.push(Breach::FenceOrToken);
        }
        if !new.is_empty() {
            next.logs[usize::from(world.nodes[at].log)].push(new.clone());
        }
        believe(&mut next.nodes[at], &mut next.spent, deed, new);
        if next.broken.is_empty() && !self.settles(&next) {
            next.broken.push(Breach::WrongBelief);
        }
        let believers = next.nodes.iter().filter(|node| !node.works.is_empty()).count();
        self.saw(u32::from(believers > 1) << 9);
        self.saw(u32::from(matches!(deed, Deed::Resume(_))) << 10);
        self.saw(u32::from(matches!(deed, Deed::Rollback(_))) << 11);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const AT: usize>(_: &Claims, world: &World) -> bool {
            !world.broken.contains(&BREACHES[AT].0)
        }
        macro_rules! each {
            ($($at:literal)*) => { vec![$(Property::always(BREACHES[$at].1, holds::<$at>)),*] };
        }
        each!(0 1 2 3 4 5 6 7)
    }
}
