//! Meshes in virtual time, each with all others in reach: a path has a latency of its own, and frames of a path keep
//! their order. What a mesh says that it missed is pulled, as a node does; nobody else compares but in rounds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use x0x::entropy::{RngExt, Seeded, seeded};
use x0x::mesh::{Effect, Gate, Input, Mesh, MeshConfig, Purpose, Verdict, purpose_of};
use x0x_tracker::id::AgentId;

use crate::{Rounds, SECOND};

/// The latency of a path, at least and at most.
pub const LATENCY_MS: (u64, u64) = (10, 100);

/// How many join first, and the others through them.
pub const FIRST: usize = 10;

/// How long the swarm has to mix, and how long a round takes at most.
pub const SETTLE: Duration = Duration::from_secs(90);
pub const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a node compares with another, whatever happened.
const COMPARE_EVERY: (u64, u64) = (10_000, 30_000);

/// What happens at a node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Frame {
        from: usize,
        bytes: Vec<u8>,
    },
    Tick,
    /// What another one has comes.
    Pulled {
        from: usize,
    },
    /// It compares with somebody.
    Compare,
    LinkDown {
        from: usize,
    },
}

struct Member {
    mesh: Mesh,
    heard: BTreeSet<Vec<u8>>,
    tick_at: Option<Duration>,
    is_pulling: BTreeSet<usize>,
}

/// Everybody is a member, and everything is new that did not come yet.
struct Door<'a>(&'a BTreeSet<Vec<u8>>);

impl Gate for Door<'_> {
    fn judge(&mut self, _from: AgentId, payload: &[u8]) -> Verdict {
        if self.0.contains(payload) { Verdict::Known } else { Verdict::Relay }
    }

    fn is_member(&self, _agent: AgentId) -> bool {
        true
    }
}

pub struct Swarm {
    /// Whether nodes compare now and then, whatever happened.
    pub compares: bool,
    pub lost_percent: u64,
    pub lost_total: u64,
    pub pulls_total: u64,
    pub came_total: u64,
    pub went_total: u64,
    now: Duration,
    dice: Seeded,
    members: BTreeMap<usize, Member>,
    latencies: BTreeMap<(usize, usize), Duration>,
    last: BTreeMap<(usize, usize), Duration>,
    events: BinaryHeap<Reverse<(Duration, u64, usize, Event)>>,
    numbered: u64,
    said: BTreeSet<Vec<u8>>,
    broadcasts_total: u64,
    hops_max: u16,
    /// What is waited for, and how many lack it.
    wanted: Option<Vec<u8>>,
    lacking: usize,
    next: usize,
}

fn agent(node: usize) -> AgentId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(node as u64).to_be_bytes());
    AgentId(id)
}

fn node_of(agent: AgentId) -> usize {
    let bytes = *agent.0.first_chunk().unwrap();
    usize::try_from(u64::from_be_bytes(bytes)).unwrap()
}

impl Swarm {
    /// The first join each other, the others one of those; then there is time to mix.
    pub fn joined(seed: u64, nodes: usize) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut swarm = Self {
            compares: false,
            lost_percent: 0,
            lost_total: 0,
            pulls_total: 0,
            came_total: 0,
            went_total: 0,
            now: Duration::ZERO,
            dice: seeded(bytes),
            members: BTreeMap::new(),
            latencies: BTreeMap::new(),
            last: BTreeMap::new(),
            events: BinaryHeap::new(),
            numbered: 0,
            said: BTreeSet::new(),
            broadcasts_total: 0,
            hops_max: 0,
            wanted: None,
            lacking: 0,
            next: 0,
        };
        for _ in 0..FIRST.min(nodes) {
            swarm.add_through(|_| 0);
        }
        swarm.run(SECOND);
        for _ in FIRST..nodes {
            swarm.add_through(|swarm| swarm.below(FIRST as u64) as usize);
        }
        swarm.run(SETTLE);
        swarm
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice.random_range(0..end)
    }

    pub fn some_node(&mut self) -> usize {
        let at = self.below(self.members.len() as u64) as usize;
        *self.members.keys().nth(at).unwrap()
    }

    /// Somebody comes, through somebody.
    pub fn add(&mut self) {
        self.came_total += 1;
        self.add_through(Self::some_node);
    }

    fn add_through(&mut self, contact: impl FnOnce(&mut Self) -> usize) {
        let node = self.next;
        let contact = if node == 0 { 0 } else { contact(self) };
        self.next += 1;
        let seed = x0x::entropy::draw(&mut self.dice);
        let mesh = Mesh::new(agent(node), seed, MeshConfig::default());
        let heard = BTreeSet::new();
        let member = Member { mesh, heard, tick_at: None, is_pulling: BTreeSet::new() };
        self.members.insert(node, member);
        let contacts = if contact == node { Vec::new() } else { vec![agent(contact)] };
        self.input(node, Input::Join(contacts));
        self.compare_later(node);
        if contact != node {
            // Whoever joins compares with whom it joined through.
            self.pull(node, contact);
        }
    }

    /// Somebody goes without a word; whoever says something to it hears so after a while.
    pub fn remove(&mut self, node: usize) {
        self.went_total += 1;
        self.members.remove(&node);
    }

    fn at(&mut self, at: Duration, node: usize, event: Event) {
        self.numbered += 1;
        self.events.push(Reverse((at, self.numbered, node, event)));
    }

    fn latency(&mut self, a: usize, b: usize) -> Duration {
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.latencies.get(&key) {
            return *known;
        }
        let latency = Duration::from_micros(
            LATENCY_MS.0 * 1_000 + self.below((LATENCY_MS.1 - LATENCY_MS.0) * 1_000),
        );
        self.latencies.insert(key, latency);
        latency
    }

    fn input(&mut self, node: usize, input: Input<'_>) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let mut effects = Vec::new();
        member.mesh.handle(self.now, input, &mut Door(&member.heard), &mut effects).unwrap();
        for effect in effects {
            match effect {
                Effect::Send { to, frame } => self.send(node, node_of(to), frame),
                Effect::Deliver { payload, hops, .. } => {
                    self.hops_max = self.hops_max.max(hops);
                    let is_new = self.hear(node, payload.to_vec());
                    assert!(is_new, "delivered twice");
                }
                Effect::Missed { from } => self.pull(node, node_of(from)),
                Effect::Breach { from, breach } => panic!("{from}: {breach}"),
                Effect::NeighbourUp(_) | Effect::NeighbourDown(_) | Effect::Detached(_) => {}
            }
        }
        self.set_tick(node);
    }

    fn set_tick(&mut self, node: usize) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let deadline = member.mesh.deadline().map(|deadline| deadline.max(self.now));
        if let Some(at) = deadline
            && member.tick_at.is_none_or(|before| at < before)
        {
            member.tick_at = Some(at);
            self.at(at, node, Event::Tick);
        }
    }

    fn hear(&mut self, node: usize, payload: Vec<u8>) -> bool {
        let is_wanted = self.wanted.as_ref() == Some(&payload);
        let is_new = self.members.get_mut(&node).is_some_and(|member| member.heard.insert(payload));
        self.lacking -= usize::from(is_wanted && is_new);
        is_new
    }

    fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.broadcasts_total += u64::from(purpose_of(&bytes) == Some(Purpose::Broadcast));
        if self.below(100) < self.lost_percent {
            self.lost_total += 1;
            return;
        }
        let arrives = self.now + self.latency(from, to);
        let last = self.last.entry((from, to)).or_default();
        *last = arrives.max(*last);
        let at = *last;
        self.at(at, to, Event::Frame { from, bytes });
    }

    fn pull(&mut self, node: usize, from: usize) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if member.is_pulling.insert(from) {
            self.pulls_total += 1;
            let takes = self.latency(node, from) * 2;
            self.at(self.now + takes, node, Event::Pulled { from });
        }
    }

    fn compare_later(&mut self, node: usize) {
        let pause = COMPARE_EVERY.0 + self.below(COMPARE_EVERY.1 - COMPARE_EVERY.0);
        self.at(self.now + Duration::from_millis(pause), node, Event::Compare);
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_while(end, |_| true);
        self.now = end;
    }

    fn run_while(&mut self, end: Duration, goes_on: impl Fn(&Self) -> bool) {
        while goes_on(self) {
            let Some(Reverse((at, ..))) = self.events.peek() else { return };
            if *at > end {
                return;
            }
            let Some(Reverse((at, _, node, event))) = self.events.pop() else { return };
            self.now = self.now.max(at);
            self.happen(at, node, event);
        }
    }

    fn happen(&mut self, at: Duration, node: usize, event: Event) {
        match event {
            Event::Frame { from, bytes } => match self.members.contains_key(&node) {
                true => self.input(node, Input::Frame { from: agent(from), bytes: &bytes }),
                // A link to who is gone is noticed dead after some seconds.
                false => self.at(at + SECOND * 5, from, Event::LinkDown { from: node }),
            },
            Event::Tick => {
                let Some(member) = self.members.get_mut(&node) else { return };
                if member.tick_at == Some(at) {
                    member.tick_at = None;
                    self.input(node, Input::Tick);
                }
            }
            Event::LinkDown { from } => {
                self.input(node, Input::LinkDown(agent(from)));
                self.join_if_alone(node);
            }
            Event::Pulled { from } => {
                let Some(other) = self.members.get(&from).map(|other| other.heard.clone()) else {
                    return;
                };
                let Some(member) = self.members.get_mut(&node) else { return };
                member.is_pulling.remove(&from);
                for payload in other {
                    self.hear(node, payload);
                }
            }
            Event::Compare => {
                if self.members.contains_key(&node) {
                    if self.compares {
                        let other = self.some_node();
                        self.pull(node, other);
                    }
                    self.join_if_alone(node);
                    self.compare_later(node);
                }
            }
        }
    }

    fn join_if_alone(&mut self, node: usize) {
        let is_alone =
            self.members.get(&node).is_some_and(|member| member.mesh.neighbours().is_empty());
        if is_alone {
            let contact = self.some_node();
            self.input(node, Input::Join(vec![agent(contact)]));
        }
    }

    pub fn broadcast(&mut self, sender: usize, payload: Vec<u8>) {
        self.said.insert(payload.clone());
        self.hear(sender, payload.clone());
        self.input(sender, Input::Broadcast(payload));
    }

    /// Broadcasts something, and returns what came of it once all have it, or the time for it is over.
    pub fn round(&mut self, sender: usize, payload: Vec<u8>) -> Rounds {
        let (before, began) = (self.broadcasts_total, self.now);
        self.hops_max = 0;
        self.broadcast(sender, payload.clone());
        (self.wanted, self.lacking) = (Some(payload), self.members.len() - 1);
        self.run_while(began + WAIT_MAX, |swarm| swarm.lacking > 0);
        let missed = self.lacking;
        self.wanted = None;
        let needed = (self.members.len() - 1 - missed) as f64;
        Rounds {
            redundancy: (self.broadcasts_total - before) as f64 / (needed - 1.0) - 1.0,
            last_ms: (self.now - began).as_secs_f64() * 1e3,
            hops: f64::from(self.hops_max),
            missed: missed as f64,
        }
    }

    /// Returns how often somebody lacks something that was said.
    pub fn lacking(&self) -> usize {
        self.members.values().map(|member| self.said.difference(&member.heard).count()).sum()
    }
}
