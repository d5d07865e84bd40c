//! Many meshes in one world of made-up links.

use std::collections::BTreeMap;

use super::*;
use crate::entropy::{self, Seeded};

const SECOND: Duration = Duration::from_secs(1);

/// Meshes, and the frames that travel between them: in order between two, lost at will.
struct World {
    meshes: BTreeMap<AgentId, (Mesh, Door)>,
    on_the_way: BTreeMap<(Duration, u64), (AgentId, AgentId, Post)>,
    /// When the last frame arrives, by sender and receiver.
    last: BTreeMap<(AgentId, AgentId), Duration>,
    generator: Seeded,
    now: Duration,
    posted_total: u64,
    loss_percent: u64,
    /// How often each payload came, by receiver.
    heard: BTreeMap<(Vec<u8>, AgentId), u32>,
    missed_total: u64,
    trace: blake3::Hasher,
    driver_joins: bool,
}

/// What arrives.
enum Post {
    Frame(Vec<u8>),
    /// Nobody was there.
    Returned,
}

impl World {
    fn new(seed: u8, count: u8) -> Self {
        let meshes = (0..count).map(|number| {
            let mesh = Mesh::new(agent(number), [number ^ seed; 32], MeshConfig::default());
            (agent(number), (mesh, Door::new()))
        });
        Self {
            meshes: meshes.collect(),
            on_the_way: BTreeMap::new(),
            last: BTreeMap::new(),
            generator: entropy::seeded([seed; 32]),
            now: Duration::ZERO,
            posted_total: 0,
            loss_percent: 0,
            heard: BTreeMap::new(),
            missed_total: 0,
            trace: blake3::Hasher::new(),
            driver_joins: false,
        }
    }

    /// All join through agent 0, one after the other, and have a minute and a half to mix.
    fn joined(seed: u8, count: u8) -> Self {
        let mut world = Self::new(seed, count);
        for number in 0..count {
            let contacts = if number == 0 { vec![] } else { vec![agent(0)] };
            world.input(agent(number), Input::Join(contacts));
            world.run(SECOND / 20);
        }
        world.run(SECOND * 90);
        world
    }

    fn draw(&mut self, end: u64) -> u64 {
        u64::from_be_bytes(entropy::draw(&mut self.generator)) % end
    }

    fn input(&mut self, to: AgentId, input: Input<'_>) {
        let Some((mesh, door)) = self.meshes.get_mut(&to) else { return };
        let mut effects = Vec::new();
        mesh.handle(self.now, input, door, &mut effects).unwrap();
        for effect in effects {
            self.trace.update(format!("{:?} {to} {effect:?}\n", self.now).as_bytes());
            match effect {
                Effect::Send { to: other, frame } => self.post(to, other, frame),
                Effect::Deliver { payload, .. } => {
                    *self.heard.entry((payload.to_vec(), to)).or_default() += 1;
                }
                Effect::Missed { .. } => self.missed_total += 1,
                Effect::Breach { from, breach } => panic!("{from} to {to}: {breach}"),
                Effect::NeighbourUp(_) | Effect::NeighbourDown(_) | Effect::Detached(_) => {}
            }
        }
    }

    fn post(&mut self, from: AgentId, to: AgentId, frame: Vec<u8>) {
        let is_lost = self.draw(100) < self.loss_percent;
        let latency = Duration::from_micros(1_000 + self.draw(60_000));
        if is_lost {
            return;
        }
        let last = self.last.entry((from, to)).or_default();
        *last = (self.now + latency).max(*last);
        let (at, post) = (*last, Post::Frame(frame));
        self.on_the_way.insert((at, self.posted_total), (from, to, post));
        self.posted_total += 1;
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let arrival = self.on_the_way.keys().next().map(|(at, _)| *at);
            let deadlines = self.meshes.iter().filter_map(|(id, (mesh, _))| {
                mesh.deadline().map(|deadline| (deadline.max(self.now), *id))
            });
            let due = deadlines.min();
            match (arrival, due) {
                (Some(at), due) if at <= end && due.is_none_or(|(deadline, _)| at <= deadline) => {
                    self.now = at;
                    self.arrive();
                }
                (_, Some((deadline, agent))) if deadline <= end => {
                    self.now = deadline;
                    self.input(agent, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        let Some((_, (from, to, post))) = self.on_the_way.pop_first() else { return };
        match post {
            Post::Frame(bytes) if self.meshes.contains_key(&to) => {
                self.input(to, Input::Frame { from, bytes: &bytes });
            }
            Post::Frame(_) => {
                let key = (self.now + SECOND / 10, self.posted_total);
                self.posted_total += 1;
                self.on_the_way.insert(key, (to, from, Post::Returned));
            }
            Post::Returned => self.input(to, Input::LinkDown(from)),
        }
        if self.driver_joins {
            self.join_where_lonely();
        }
    }

    /// What a driver does for a mesh without neighbours, only sooner.
    fn join_where_lonely(&mut self) {
        let lonely: Vec<_> = self
            .meshes
            .iter()
            .filter(|(_, (mesh, _))| mesh.neighbours().is_empty())
            .map(|(id, _)| *id)
            .collect();
        for agent in lonely {
            if self.draw(50) == 0 {
                let at = usize::try_from(self.draw(self.meshes.len() as u64)).unwrap();
                let contact = *self.meshes.keys().nth(at).unwrap();
                self.input(agent, Input::Join(vec![contact]));
            }
        }
    }

    /// Broadcasts from senders in turn, 100 ms apart; returns the payloads.
    fn talk(&mut self, count: u32, word: &str) -> Vec<Vec<u8>> {
        let agents: Vec<_> = self.meshes.keys().copied().collect();
        let payloads: Vec<_> = (0..count).map(|n| format!("{word} {n}").into_bytes()).collect();
        for (payload, sender) in payloads.iter().zip(agents.iter().cycle()) {
            self.input(*sender, Input::Broadcast(payload.clone()));
            self.run(SECOND / 10);
        }
        self.run(SECOND * 10);
        payloads
    }

    /// Checks that every payload came to everybody but its sender exactly once.
    fn check_heard(&self, payloads: &[Vec<u8>]) {
        let agents: Vec<_> = self.meshes.keys().copied().collect();
        for (payload, sender) in payloads.iter().zip(agents.iter().cycle()) {
            for agent in &agents {
                let count = self.heard.get(&(payload.clone(), *agent)).copied().unwrap_or(0);
                let text = String::from_utf8_lossy(payload);
                assert_eq!(count, u32::from(agent != sender), "'{text}' at {agent}");
            }
        }
    }

    /// Counts neighbours that do not know it.
    fn one_sided(&self) -> usize {
        let views = self.meshes.iter().flat_map(|(id, (mesh, _))| {
            mesh.neighbours().iter().map(move |neighbour| (*id, *neighbour))
        });
        let knows = |id: &AgentId, other: &AgentId| {
            self.meshes.get(id).is_some_and(|(mesh, _)| mesh.neighbours().contains(other))
        };
        views.filter(|(id, neighbour)| !knows(neighbour, id)).count()
    }
}

#[test]
fn every_payload_reaches_every_mesh_exactly_once() {
    for (seed, count) in [(1, 20), (2, 35), (3, 50)] {
        let mut world = World::joined(seed, count);
        assert_eq!(world.one_sided(), 0);
        let payloads = world.talk(60, "news");
        world.check_heard(&payloads);
        let frames = world.posted_total;
        assert_eq!(world.missed_total, 0, "nothing had to be pulled of {frames} frames");
        for (mesh, _) in world.meshes.values() {
            assert!(mesh.neighbours().len() >= 2, "{:?}", mesh.neighbours());
            assert!(mesh.neighbours().len() <= 5);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = World::joined(seed, 20);
        world.loss_percent = 5;
        world.driver_joins = true;
        world.talk(20, "news");
        (world.trace.finalize(), world.posted_total)
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7).0, trace(8).0);
}

#[test]
fn with_a_fifth_of_the_frames_lost_most_arrives_and_views_heal_afterwards() {
    let mut world = World::joined(4, 30);
    world.driver_joins = true;
    world.loss_percent = 20;
    let payloads = world.talk(100, "news");
    let heard: u32 = world.heard.values().sum();
    assert!(world.heard.values().all(|count| *count == 1), "nothing comes twice");
    let wanted = payloads.len() * (world.meshes.len() - 1);
    let percent = usize::try_from(heard).unwrap() * 100 / wanted;
    println!("{heard} of {wanted} came, {} times a pull was due", world.missed_total);
    assert!(percent >= 95, "{heard} of {wanted}");
    assert!(world.missed_total > 0);
    world.loss_percent = 0;
    world.talk(100, "after");
    world.run(SECOND * 90);
    let one_sided = world.one_sided();
    let payloads = world.talk(30, "later");
    assert_eq!(one_sided, 0, "who is whose neighbour is agreed on again");
    world.check_heard(&payloads);
}

#[test]
fn a_mesh_heals_when_half_of_it_dies_at_once() {
    let mut world = World::joined(5, 40);
    world.driver_joins = true;
    for number in (0..40).step_by(2) {
        world.meshes.remove(&agent(number));
    }
    for number in (1..40).step_by(2) {
        for gone in (0..40).step_by(2) {
            world.input(agent(number), Input::LinkDown(agent(gone)));
        }
    }
    world.run(SECOND * 30);
    let payloads = world.talk(40, "news");
    world.check_heard(&payloads);
    for (mesh, _) in world.meshes.values() {
        assert!(mesh.neighbours().iter().all(|neighbour| world.meshes.contains_key(neighbour)));
    }
}
