//! One run: nodes are gathered, sent messages, looked at, and asked in the end what they have.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use x0x::pump::PumpView;
use x0x::time;

use super::exports::{Export, Ids, are_equal};
use super::load::Load;
use super::logs::{self, Said};
use super::mesh::{Member, Mesh};
use super::process;
use super::program::Program;
use super::settings::{Role, Settings};
use super::spans::{LANES, Longest, PUBSUB, lanes};
use super::watch::{Row, Watch, Watched};

/// How often each node is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How often it is said how far a run is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// For how long one node is stopped.
const STOPPED_FOR: Duration = Duration::from_secs(20);

/// Which share of the messages is sent before.
const STOPPED_AFTER: f64 = 0.15;

/// A run in which nothing has come in anywhere for so long, does not end well.
const STALLED: Duration = Duration::from_secs(60);

/// What became of a node.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: String,
    pub role: Role,
    pub agent: String,
    /// How many of the messages were created there.
    pub created: usize,
    pub export: Export,
    pub pump: PumpView,
    pub answered: u64,
    pub unanswered: u64,
    /// Why it did not answer, where it never did.
    pub why: Option<String>,
    pub resident_max: u64,
    pub cpu_seconds: f64,
    pub said: Said,
    pub stuck: [Longest; 4],
    pub stuck_sending: [Longest; 4],
    pub above_80: [Longest; 4],
    pub rows: Vec<Row>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    pub policy: String,
    /// How many frames might wait in a queue.
    pub frames: usize,
    pub outcomes: Vec<Outcome>,
    /// How many messages were answered.
    pub sent: usize,
    pub retried: usize,
    /// How many were given up.
    pub failed: usize,
    pub failures: Vec<String>,
    /// Until the last one was answered.
    pub load: Duration,
    /// From then on until all nodes had all.
    pub level: Option<Duration>,
    pub is_equal: bool,
    pub skipped: Vec<String>,
    /// How many messages others were sent while one node was stopped.
    pub sent_meanwhile: Option<usize>,
    pub throttled: Option<u64>,
    pub delayed: Option<u64>,
}

impl Outcome {
    /// Returns for how long queues of it were filled to more than 80 percent, together, in milliseconds.
    pub fn above_80_ms(&self) -> u64 {
        lanes(&self.pump.recv_pump).iter().map(|lane| lane.above_80_ms).sum()
    }

    /// Returns how many frames it dropped or left out.
    pub fn drops(&self) -> u64 {
        let lanes = lanes(&self.pump.recv_pump);
        lanes.iter().map(|lane| lane.dropped_full + lane.shed_priority).sum()
    }
}

impl Run {
    /// Returns the node that was worst off: whose queues were full for longest, then which dropped most, then
    /// where gossip waited longest.
    pub fn worst(&self) -> &Outcome {
        let of = |outcome: &Outcome| {
            let dwell_us = outcome.pump.recv_pump.pubsub.dwell_us.p99;
            (outcome.above_80_ms(), outcome.drops(), dwell_us)
        };
        self.outcomes.iter().max_by_key(|outcome| of(outcome)).unwrap()
    }
}

/// Does a run under one policy.
pub fn run(settings: &Settings, policy: &str, program: &Program) -> Run {
    let begun = time::origin();
    let mesh = Mesh::gather(settings, policy, program);
    eprintln!("{policy}: {} nodes are linked after {:.1?}", settings.nodes, begun.elapsed());
    let (load, watch) = (Load::new(settings), Watch::new(settings.nodes, LOOK_EVERY));
    let going = Going { settings, mesh: &mesh, load: &load, watch: &watch };
    let (load_took, level, sent_meanwhile) = thread::scope(|scope| {
        let _ends = watch.ends();
        for (node, member) in mesh.members.iter().enumerate() {
            let (load, watch) = (&load, &watch);
            scope.spawn(move || watch.follow(node, member));
            for _ in 0..settings.clients {
                scope.spawn(move || load.write(node, member, &watch.is_over));
            }
        }
        let stopping = mesh.with(Role::Stopped).map(|member| {
            let going = &going;
            scope.spawn(move || going.stop(member))
        });
        let load_took = going.send();
        let sent_meanwhile = stopping.map(|stopping| stopping.join().unwrap());
        (load_took, going.settle(), sent_meanwhile)
    });
    let created = load.created();
    let ids = Ids::of(&created);
    // Before the exports, which take memory and time as well.
    let seen: Vec<Seen> =
        (0..).zip(&mesh.members).map(|(node, member)| Seen::of(&watch, node, member)).collect();
    let exports = going.exports(&ids, level.is_some());
    let is_equal = are_equal(&exports);
    let outcomes = mesh.members.iter().zip(created).zip(seen).zip(exports);
    let outcomes = outcomes
        .map(|(((member, created), seen), export)| outcome(member, created.len(), seen, export))
        .collect();
    let (failed, failures) = load.failures();
    Run {
        policy: policy.to_owned(),
        frames: settings.frames,
        outcomes,
        sent: ids.len(),
        retried: load.retried(),
        failed,
        failures,
        load: load_took,
        level,
        is_equal,
        skipped: mesh.skipped.clone(),
        sent_meanwhile,
        throttled: mesh.throttled(),
        delayed: mesh.delayed(),
    }
}

/// What was seen of a node until all had all.
struct Seen {
    watched: Watched,
    resident_max: u64,
    cpu_seconds: f64,
}

impl Seen {
    fn of(watch: &Watch, node: usize, member: &Member) -> Self {
        let process = member.process();
        Self {
            watched: watch.conclude(node, member),
            resident_max: process::memory(process).resident_max,
            cpu_seconds: process::cpu_seconds(process),
        }
    }
}

fn outcome(member: &Member, created: usize, seen: Seen, export: Export) -> Outcome {
    let Seen { watched, resident_max, cpu_seconds } = seen;
    Outcome {
        name: member.name.clone(),
        role: member.role,
        agent: member.agent.clone(),
        created,
        export,
        pump: watched.last.unwrap_or_default(),
        answered: watched.answered,
        unanswered: watched.unanswered,
        why: watched.why,
        resident_max,
        cpu_seconds,
        said: logs::read(&member.site.dir.path().join("log")).unwrap(),
        stuck: watched.stuck.longest,
        stuck_sending: watched.stuck_sending.longest,
        above_80: watched.above_80.longest,
        rows: watched.rows,
    }
}

/// A run that goes on.
struct Going<'a> {
    settings: &'a Settings,
    mesh: &'a Mesh,
    load: &'a Load,
    watch: &'a Watch,
}

impl Going<'_> {
    /// Waits until all messages were sent; returns how long that took.
    fn send(&self) -> Duration {
        let begun = time::origin();
        let mut told = begun;
        while !self.load.is_done() && begun.elapsed() < self.settings.settle_max {
            if told.elapsed() >= TELL_EVERY {
                told = time::origin();
                self.tell();
            }
            time::pause(Duration::from_millis(20));
        }
        begun.elapsed()
    }

    /// Waits until all nodes have as many issues as there are; returns how long that took.
    fn settle(&self) -> Option<Duration> {
        let begun = time::origin();
        let (mut told, mut moved, mut had) = (begun, begun, self.issues());
        let all = self.load.sent() as u64 + 1;
        while self.load.is_done() {
            let has = self.issues();
            if has.iter().all(|issues| *issues >= all) {
                return Some(begun.elapsed());
            }
            if has != had {
                (moved, had) = (time::origin(), has);
            }
            if begun.elapsed() >= self.settings.settle_max || moved.elapsed() >= STALLED {
                break;
            }
            if told.elapsed() >= TELL_EVERY {
                told = time::origin();
                self.tell();
            }
            time::pause(Duration::from_millis(20));
        }
        None
    }

    fn issues(&self) -> Vec<u64> {
        (0..self.settings.nodes).map(|node| self.watch.of(node).issues).collect()
    }

    fn tell(&self) {
        let fullest = |node: usize| self.watch.of(node).fullest_pct(PUBSUB);
        let fullest: Vec<_> =
            (0..self.settings.nodes).map(|n| format!("{:.0}", fullest(n))).collect();
        eprintln!(
            "{:4.0} s: {} of {} sent; in the stores {:?}; {} queues filled to {} %",
            self.watch.elapsed().as_secs_f64(),
            self.load.sent(),
            self.settings.messages,
            self.issues(),
            LANES[PUBSUB],
            fullest.join(", ")
        );
    }

    /// Stops a node for a while; returns how many messages the others were sent meanwhile.
    fn stop(&self, member: &Member) -> usize {
        let before = (self.settings.messages as f64 * STOPPED_AFTER) as usize;
        while self.load.sent() < before && !self.load.is_done() {
            time::pause(Duration::from_millis(5));
        }
        let sent = self.load.sent();
        member.signal(Signal::STOP);
        eprintln!("{} is stopped", member.name);
        time::pause(STOPPED_FOR);
        let sent = self.load.sent() - sent;
        member.signal(Signal::CONT);
        eprintln!("{} goes on; {sent} messages were sent meanwhile", member.name);
        sent
    }

    /// Returns what all export: where they have as many issues, again until it is the same.
    fn exports(&self, ids: &Ids, is_level: bool) -> Vec<Export> {
        let begun = time::origin();
        loop {
            let members = self.mesh.members.iter();
            let exports: Vec<Export> = members.map(|member| ids.look(&member.site)).collect();
            if are_equal(&exports) || !is_level || begun.elapsed() >= STALLED {
                return exports;
            }
            eprintln!("the exports differ still");
            time::pause(Duration::from_secs(1));
        }
    }
}
