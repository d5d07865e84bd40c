//! Workers of many nodes on one list: they claim, beat and hand off as a runner does, and what they were told
//! is held against what all know in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use x0x::clerk;
use x0x::hub::Input;
use x0x::wire::{Card, SignedCard};
use x0x_tracker::Tracker;
use x0x_tracker::claim::Origin;
use x0x_tracker::claim::beat::{Kind, Turn};
use x0x_tracker::claim::rules::{self, Fate};
use x0x_tracker::id::RecordHash;
use x0x_tracker::interface::request::Filter;
use x0x_tracker::interface::{Holding, Open, Pick, Shown, Terms, TrackerError};
use x0x_tracker::journal::JournalError;
use x0x_tracker::testing::START;

use crate::links::address_of;
use crate::node::Node;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// How often nodes look around.
const LOOK_EVERY: Time = SECOND;

/// How often they show their cards (`src/node/mod.rs`).
const SHOW_EVERY: Time = 180 * SECOND;

/// The name of every worker: each is the only one of its agent.
const WORKER: &str = "w";

/// Who works on what.
pub struct Claims {
    pub ttl_ms: u64,
    /// How long a job takes, at least and at most.
    pub job: (Time, Time),
    pub workers: BTreeMap<usize, Worker>,
    pub told: Told,
}

/// What workers were told, over all.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub claimed: u64,
    pub renewed: u64,
    pub handed_off: Vec<(String, RecordHash)>,
    /// Claims of which a worker was told that it has them no more.
    pub lost: BTreeSet<RecordHash>,
    /// Claims that took over those of another agent.
    pub takeovers: u64,
    pub contests: u64,
    pub abandons: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Worker {
    /// Whether it is there; one that is not leaves its claim alone.
    pub is_off: bool,
    /// Whether it only keeps what it has.
    pub takes_nothing: bool,
    pub job: Option<Job>,
}

/// What a worker believes to hold.
#[derive(Clone, Debug)]
pub struct Job {
    pub issue: String,
    pub claim: RecordHash,
    pub until: Time,
}

impl World {
    /// Has every node that there is work on the list.
    pub fn employ(&mut self, ttl_ms: u64, job: (Time, Time)) {
        let workers = (0..self.nodes.len()).map(|node| (node, Worker::default())).collect();
        self.claims = Some(Claims { ttl_ms, job, workers, told: Told::default() });
        for node in 0..self.nodes.len() {
            let life = self.nodes[node].life;
            if self.nodes[node].hub.is_some() {
                self.begin_claims(node, life);
            }
        }
    }

    pub fn employed(&mut self) -> &mut Claims {
        self.claims.as_mut().unwrap()
    }

    pub fn hire(&mut self, node: usize) -> &mut Worker {
        self.employed().workers.entry(node).or_default()
    }

    /// A node was started: it looks around, and its worker goes on.
    pub fn begin_claims(&mut self, node: usize, life: u32) {
        if self.claims.is_none() {
            return;
        }
        let list = self.list;
        let promised = clerk::promised(self.nodes[node].tracker(), list).unwrap();
        self.tell(node, promised);
        self.look(node);
        self.after(SHOW_EVERY, Event::Show { node, life });
        let soon = self.below(SECOND);
        self.after(soon, Event::Worker { node, life });
        self.store(node, |world, node| world.part_claims(node));
    }

    pub fn look_input(&mut self, node: usize) -> Input {
        self.set_clock(node);
        let wall_ms = START.0 + (self.now / MILLISECOND) as i64 + self.nodes[node].clock_off_ms;
        Input::Look { uptime_ms: self.nodes[node].machine.uptime(self.now).ms, wall_ms }
    }

    pub fn look(&mut self, node: usize) {
        let look = self.look_input(node);
        self.tell(node, look);
        let life = self.nodes[node].life;
        self.after(LOOK_EVERY, Event::Look { node, life });
    }

    pub fn show_card(&mut self, node: usize) {
        self.set_clock(node);
        let at_ms = START.0 + (self.now / MILLISECOND) as i64 + self.nodes[node].clock_off_ms;
        let this = &self.nodes[node];
        let addresses = vec![address_of(node)];
        let card =
            Card { agent: this.agent, at_ms, addresses, load_pct: None, seal_key: Vec::new() };
        let card = SignedCard::new(&card, &this.key).unwrap();
        self.tell(node, Input::Card(card));
        let life = self.nodes[node].life;
        self.after(SHOW_EVERY, Event::Show { node, life });
    }

    pub fn sign_beat(&mut self, node: usize, kind: Kind, claims: &[RecordHash]) {
        let list = self.list;
        let this = &mut self.nodes[node];
        let mut turn = match this.turn {
            Some(turn) => turn,
            None => Turn { start: this.tracker().start_beating().unwrap(), counter: 0 },
        };
        turn.counter += 1;
        self.nodes[node].turn = Some(turn);
        let beat = clerk::beat(self.nodes[node].tracker(), list, turn, kind, claims).unwrap();
        beat.into_iter().for_each(|beat| self.tell(node, beat));
    }

    /// Does what `src/node/{shelf,standings}.rs` do after each thing that is done with a store.
    pub fn follow_claims(&mut self, node: usize) {
        let (list, agent) = (self.list, self.nodes[node].agent);
        let Some(tracker) = self.nodes[node].tracker.as_mut() else { return };
        let changes = tracker.take_changes();
        if self.claims.is_none() || changes.is_empty() {
            return;
        }
        if !changes.beats.is_empty() {
            let of = |(claim, ttl_ms): &(RecordHash, u64)| {
                (*claim, std::time::Duration::from_millis(*ttl_ms))
            };
            let claims = changes.beats.iter().map(of).collect();
            self.tell(node, Input::Beaten { list, claims });
        }
        let (promised, _) = clerk::promises_of(&changes, list);
        promised.into_iter().for_each(|promised| self.tell(node, promised));
        if clerk::may_have_lost(&changes, agent) {
            self.part_claims(node);
        }
    }

    fn part_claims(&mut self, node: usize) {
        let list = self.list;
        let parted = clerk::part(self.nodes[node].tracker(), list).unwrap();
        for one in &parted {
            let told = &mut self.employed().told;
            match one.lost_to {
                Some(_) => told.abandons += 1,
                None => told.contests += 1,
            }
        }
        if !parted.is_empty() {
            self.announce(node);
            self.follow_claims(node);
        }
    }

    /// A worker takes its next step.
    pub fn worker(&mut self, node: usize) {
        let Some(claims) = &self.claims else { return };
        let every = claims.ttl_ms * MILLISECOND / 4;
        let Some(worker) = claims.workers.get(&node).cloned() else { return };
        if !worker.is_off {
            match worker.job {
                None if worker.takes_nothing => {}
                None => self.store(node, |world, node| world.claim_next(node)),
                Some(job) if job.until <= self.now => {
                    self.store(node, move |world, node| world.hand_off(node, &job));
                }
                Some(job) => self.store(node, move |world, node| world.beat_job(node, &job)),
            }
        }
        let life = self.nodes[node].life;
        let next = self.between(every / 2, every);
        self.after(next, Event::Worker { node, life });
    }

    fn terms(&self) -> Terms {
        let ttl_ms = self.claims.as_ref().map(|claims| claims.ttl_ms);
        Terms { worker: WORKER.to_owned(), ttl_ms, ..Terms::default() }
    }

    fn claim_next(&mut self, node: usize) {
        self.claim(node, &Pick::First(Filter::default()));
    }

    /// Has the worker of a node claim.
    pub fn claim(&mut self, node: usize, pick: &Pick) {
        let (terms, (least, most)) = (self.terms(), self.employed().job);
        match self.nodes[node].tracker().claim(pick, &terms) {
            Ok(kept) => {
                let until = self.now + self.between(least, most);
                let Shown { row, .. } = kept.issue;
                self.say(|| format!("node {node} claims {} by {}", row.id, kept.claim.short()));
                let job = Job { issue: row.id, claim: kept.claim, until };
                let taken = self.nodes[node].tracker().claim_tree(&job.issue).unwrap();
                let takes = taken.claim(job.claim).and_then(|(_, claim)| match claim.origin {
                    Origin::Takeover(taken) => Some(taken),
                    _ => None,
                });
                let from = takes.and_then(|takes| taken.claim(takes)).map(|(record, _)| record.by);
                let is_foreign = from.is_some_and(|from| from != self.nodes[node].agent);
                let told = &mut self.employed().told;
                told.claimed += 1;
                told.takeovers += u64::from(is_foreign);
                self.hire(node).job = Some(job);
                self.announce(node);
            }
            Err(TrackerError::NothingReady | TrackerError::Refused { .. }) => {}
            Err(error) => assert!(self.is_barred(node, &error), "node {node}: {error}"),
        }
    }

    fn beat_job(&mut self, node: usize, job: &Job) {
        if !self.still_at(node, job) {
            return;
        }
        let holding = self.holding(job);
        match self.nodes[node].tracker().heartbeat(&holding) {
            Ok(kept) => {
                self.believes(node, kept.claim);
                let told = &mut self.employed().told;
                told.renewed += u64::from(kept.renewed);
                if let Some(job) = &mut self.hire(node).job {
                    job.claim = kept.claim;
                }
                self.announce(node);
            }
            Err(TrackerError::CatchingUp { .. }) => {}
            Err(error) => self.told_lost(node, job, &error),
        }
    }

    fn hand_off(&mut self, node: usize, job: &Job) {
        if !self.still_at(node, job) {
            return;
        }
        let holding = self.holding(job);
        match self.nodes[node].tracker().hand_off(&holding, "{\"summary\":\"done\"}") {
            Ok(kept) => {
                self.believes(node, kept.claim);
                self.say(|| format!("node {node} hands off {}", job.issue));
                self.employed().told.handed_off.push((job.issue.clone(), kept.claim));
                self.hire(node).job = None;
                self.announce(node);
            }
            Err(TrackerError::CatchingUp { .. }) => {}
            Err(error) => self.told_lost(node, job, &error),
        }
    }

    fn still_at(&mut self, node: usize, job: &Job) -> bool {
        let now = self.hire(node);
        !now.is_off && now.job.as_ref().is_some_and(|other| other.claim == job.claim)
    }

    fn holding(&self, job: &Job) -> Holding {
        let claim = Some(job.claim.to_string());
        Holding { worker: WORKER.to_owned(), issue: None, claim }
    }

    /// Whoever was told that a claim is lost is never told later that it holds.
    fn believes(&mut self, node: usize, claim: RecordHash) {
        let is_lost = self.employed().told.lost.contains(&claim);
        assert!(!is_lost, "node {node} was told that {} was lost", claim.short());
    }

    fn told_lost(&mut self, node: usize, job: &Job, error: &TrackerError) {
        let is_lost =
            matches!(error, TrackerError::ClaimLost { .. } | TrackerError::UnknownClaim { .. });
        assert!(is_lost || self.is_barred(node, error), "node {node}: {error}");
        self.say(|| format!("node {node}, {}: {error}", job.issue));
        // Of what an earlier disk does not know, others may.
        if matches!(error, TrackerError::ClaimLost { .. }) {
            self.employed().told.lost.insert(job.claim);
        }
        self.hire(node).job = None;
        self.announce(node);
    }

    /// Tells whether a node is told that its agent may not work any more, and that is so.
    fn is_barred(&self, node: usize, error: &TrackerError) -> bool {
        let is_told = matches!(error, TrackerError::Journal(JournalError::NotAllowed { .. }));
        is_told && self.nodes[node].is_revoked
    }

    /// Has the founder take the role of an agent.
    pub fn revoke(&mut self, node: usize) {
        if self.nodes[0].hub.is_none() || self.nodes[0].paused_at.is_some() {
            return;
        }
        self.nodes[node].is_revoked = true;
        self.hire(node).is_off = true;
        let agent = self.nodes[node].agent.to_string();
        self.say(|| format!("node {node} is revoked"));
        self.store(0, move |world, _| {
            world.set_clock(0);
            world.nodes[0].tracker().revoke(&agent, "it is to work no more").unwrap();
            let list = world.list;
            let changes = world.nodes[0].tracker().take_changes();
            let stated = clerk::stated(world.nodes[0].tracker(), list, changes.statements);
            stated.unwrap().into_iter().for_each(|stated| world.tell(0, stated));
        });
    }

    /// Lets workers go on until everything is handed off, and all know it; panics where that takes longer.
    pub fn finish_claims(&mut self, most: Time) {
        let end = self.now + most;
        while !(self.is_level() && self.is_all_done()) {
            if self.now >= end {
                self.explain_claims();
                panic!("it is not done within {} s", most / SECOND);
            }
            self.run_for(SECOND);
        }
        self.check_claims();
    }

    /// Says who works on what, and why nobody works on the rest.
    fn explain_claims(&mut self) {
        eprintln!("level: {}", self.is_level());
        for (node, worker) in &self.employed().workers {
            eprintln!("worker of node {node}: {worker:?}");
        }
        for node in self.honest() {
            self.set_clock(node);
            self.open_or_running(node)
                .agenda(&Filter { explain: true, ..Filter::default() }, &mut |open| {
                    match open {
                        Open::Ready(shown) => eprintln!("node {node}: {} is ready", shown.row.id),
                        Open::Waiting(one) => {
                            eprintln!("node {node}: {} {}", one.issue.row.id, one.reason);
                        }
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
            let around = self.nodes[node].around.lock().unwrap().clone();
            eprintln!("node {node} at {}: {around:?}", self.now / MILLISECOND);
        }
    }

    fn is_all_done(&mut self) -> bool {
        let workers = self.employed().workers.values();
        let are_idle = workers.filter(|worker| !worker.is_off).all(|worker| worker.job.is_none());
        let honest = self.honest();
        are_idle && honest.iter().all(|node| self.issues(*node).iter().all(is_in_review))
    }

    pub fn issues(&mut self, node: usize) -> Vec<Shown> {
        let mut issues = Vec::new();
        let filter = Filter { with_json: false, ..Filter::default() };
        self.open_or_running(node)
            .list(&filter, &mut |shown| {
                issues.push(shown.clone());
                ControlFlow::Continue(())
            })
            .unwrap();
        issues
    }

    /// Holds what workers believe and what is written against each other; all have to be level.
    pub fn check_claims(&mut self) {
        let honest = self.honest();
        let first = self.canonical(honest[0]);
        for node in &honest[1..] {
            assert!(self.canonical(*node) == first, "node {node} shows something else");
        }
        let told = self.employed().told.clone();
        let workers: Vec<(usize, Option<Job>)> =
            self.employed().workers.iter().map(|(node, w)| (*node, w.job.clone())).collect();
        for issue in self.issues(honest[0]) {
            let name = issue.row.id.clone();
            let tree = self.nodes[honest[0]].tracker().claim_tree(&name).unwrap();
            let accepted = tree.winner().filter(|winner| tree.is_handed_off(*winner));
            for claim in tree.claims() {
                let fate = rules::fate(&tree, claim);
                let is_told = told.lost.contains(&claim);
                assert!(!(fate == Fate::Holds && is_told), "{name}: told lost, and holds");
                // Whoever lost says so; a renewal is no loss.
                let by = tree.claim(claim).unwrap().0.by;
                let is_lost = matches!(fate, Fate::Lost(_)) && !tree.is_renewed(claim);
                assert!(
                    !is_lost || !tree.is_live(claim) || self.is_off(by),
                    "{name}: {} was lost, and nobody says so",
                    claim.short()
                );
            }
            for (_, handed) in told.handed_off.iter().filter(|(id, _)| *id == name) {
                assert!(accepted.is_some(), "{name}: the handoff of {} is hidden", handed.short());
            }
            for (node, job) in &workers {
                if let Some(job) = job.as_ref().filter(|job| job.issue == name)
                    && !self.employed().workers[node].is_off
                {
                    let fate = rules::fate(&tree, job.claim);
                    let is_renewed = fate != Fate::Holds
                        && tree
                            .holder()
                            .and_then(|holder| tree.claim(holder))
                            .is_some_and(|(record, _)| record.by == self.nodes[*node].agent);
                    assert!(
                        fate == Fate::Holds || is_renewed,
                        "{name}: node {node} believes to hold it by {}",
                        job.claim.short()
                    );
                }
            }
        }
    }

    /// Tells whether nobody of an agent can have heard of anything: its node is off.
    fn is_off(&self, agent: x0x_tracker::id::AgentId) -> bool {
        let is_out = |node: &Node| node.hub.is_none() || node.is_revoked;
        self.nodes.iter().any(|node| node.agent == agent && is_out(node))
    }
}

fn is_in_review(shown: &Shown) -> bool {
    shown.row.state.as_deref() == Some("review")
}
