//! The world: what happens when, and in which order. Who it happens to is in the other files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use x0x::entropy::{RngExt, Seeded, seeded};
use x0x::hub::{Held, Input};
use x0x::link::policy::{End, Failure};
use x0x_tracker::id::{AgentId, ListId};

use crate::claims::Claims;
use crate::faults::Fault;
use crate::ledger::Ledger;
use crate::links::{LaneKey, Paths, Wire};
use crate::machine::Stands;
use crate::node::Node;

/// Virtual time, in microseconds.
pub type Time = u64;

pub const MILLISECOND: Time = 1_000;
pub const SECOND: Time = 1_000_000;

/// How often a node may be told within a millisecond that its deadline passed.
const TICKS_MAX: u32 = 1_000;

/// How many things may happen in one run; one that needs more does not come to rest.
const EVENTS_MAX: u64 = 20_000_000;

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// The deadline of a hub passed.
    Tick {
        node: usize,
    },
    /// A store is done with what it does.
    Stored {
        node: usize,
        life: u32,
    },
    /// Something may have arrived.
    Arrive {
        wire: usize,
        end: usize,
        lane: LaneKey,
    },
    Up {
        wire: usize,
        end: usize,
    },
    Down {
        wire: usize,
        end: usize,
        why: End,
    },
    DialFailed {
        node: usize,
        life: u32,
        address: SocketAddr,
        wanted: Option<AgentId>,
        why: Failure,
    },
    /// Nothing was heard since a direction was cut.
    Silence {
        from: usize,
        to: usize,
        since: Time,
    },
    /// There is room for the next piece of an answer.
    Room {
        node: usize,
        life: u32,
        wire: usize,
        stream: u64,
    },
    /// A pull waits for its next piece since.
    Stall {
        node: usize,
        life: u32,
        wire: usize,
        stream: u64,
        since: Time,
    },
    /// A pull broke off.
    BrokeOff {
        node: usize,
        life: u32,
        from: AgentId,
    },
    /// A node that did nothing goes on.
    Wake {
        node: usize,
        life: u32,
        stands: Stands,
    },
    Start {
        node: usize,
        life: u32,
    },
    /// A node has looked at a frame that came.
    Pumped {
        node: usize,
        life: u32,
    },
    Fault(Fault),
    /// Somebody works on a node.
    Work {
        node: usize,
    },
    /// A node looks around.
    Look {
        node: usize,
        life: u32,
    },
    /// A node shows its card anew.
    Show {
        node: usize,
        life: u32,
    },
    /// A worker goes on.
    Worker {
        node: usize,
        life: u32,
    },
    /// The lying node does something.
    Lie {
        node: usize,
    },
}

/// How often something happened, so that a run can be held against what it claims to try.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub events: u64,
    pub partitions_healed: u64,
    pub one_way_healed: u64,
    pub links_died: u64,
    pub links_made: u64,
    pub crashes: u64,
    pub crashes_amid: u64,
    pub earlier_disks: u64,
    pub restored: u64,
    pub pauses: u64,
    pub suspends: u64,
    pub reboots: u64,
    pub clock_jumps: u64,
    pub slow_stores: u64,
    pub busy_nodes: u64,
    pub too_slow: u64,
    pub newcomers: u64,
    pub left_and_back: u64,
    pub gossip_lost: u64,
    pub gossip_doubled: u64,
    pub gossip_reordered: u64,
    pub queues_full: u64,
    pub pulls_whole: u64,
    /// Of those, pulls that brought nothing.
    pub pulls_vain: u64,
    pub pulls_broken: u64,
    pub pulls_resumed: u64,
    pub resumed_amid: u64,
    pub waited: u64,
    pub announced: u64,
    pub forks: u64,
    pub retracted: u64,
    pub own_logs: u64,
    pub acknowledged: u64,
    pub maybe_lost: u64,
    pub conflicts: u64,
    pub breaches: u64,
    pub lies: u64,
}

/// The most that any node held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peaks {
    pub waiting: usize,
    pub ready: usize,
    pub kept: usize,
    pub offers: usize,
    pub links: usize,
}

impl Peaks {
    pub fn see(&mut self, held: &Held) {
        self.waiting = self.waiting.max(held.replica.waiting);
        self.ready = self.ready.max(held.replica.ready);
        self.kept = self.kept.max(held.mesh.kept);
        self.offers = self.offers.max(held.mesh.offers);
        self.links = self.links.max(held.links);
    }
}

pub struct World {
    pub seed: u64,
    pub now: Time,
    pub dice: Seeded,
    pub list: ListId,
    pub nodes: Vec<Node>,
    pub wires: Vec<Wire>,
    pub paths: Paths,
    pub ledger: Ledger,
    pub counts: Counts,
    pub peaks: Peaks,
    /// Who works on what, where anybody does.
    pub claims: Option<Claims>,
    /// Since when nothing passes from one node to another.
    pub cuts: BTreeMap<(usize, usize), Time>,
    /// How many bytes of what were sent.
    pub sent: BTreeMap<(&'static str, u8), u64>,
    /// How many links came up between which two nodes, the smaller first.
    pub linked: BTreeMap<(usize, usize), u32>,
    /// What the nodes say of each other, and what the links between them end with.
    pub log: Vec<String>,
    events: BTreeMap<(Time, u64), Event>,
    numbered: u64,
    trace: blake3::Hasher,
    dir: TempDir,
    places: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut world = Self {
            seed,
            now: 0,
            dice: seeded(bytes),
            list: ListId([0; 32]),
            nodes: Vec::new(),
            wires: Vec::new(),
            paths: Paths::default(),
            ledger: Ledger::default(),
            counts: Counts::default(),
            peaks: Peaks::default(),
            claims: None,
            cuts: BTreeMap::new(),
            sent: BTreeMap::new(),
            linked: BTreeMap::new(),
            log: Vec::new(),
            events: BTreeMap::new(),
            numbered: 0,
            trace: blake3::Hasher::new(),
            dir: tempfile::tempdir().unwrap(),
            places: 0,
        };
        world.found();
        world
    }

    /// Returns a number below `end`, or 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.dice.random_range(0..end) }
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    pub fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.dice.random_bool(share)
    }

    pub fn after(&mut self, delay: Time, event: Event) {
        self.at(self.now + delay, event);
    }

    pub fn at(&mut self, at: Time, event: Event) {
        self.numbered += 1;
        self.events.insert((at.max(self.now), self.numbered), event);
    }

    /// Notes something in what tells one run from another.
    pub fn trace(&mut self, bytes: &[u8]) {
        self.trace.update(&self.now.to_le_bytes()).update(bytes);
    }

    pub fn traced(&self) -> String {
        self.trace.finalize().to_hex().to_string()
    }

    /// Writes down what may explain a failure.
    pub fn say(&mut self, what: impl FnOnce() -> String) {
        let (now, what) = (self.now as f64 / SECOND as f64, what());
        if std::env::var_os("X0X_SIM_TRACE").is_some() {
            eprintln!("{now:10.4} {what}");
        }
        self.log.push(format!("{now:10.4} {what}"));
    }

    /// Returns a file of its own, which a disk is taken for.
    pub fn new_place(&mut self) -> PathBuf {
        self.places += 1;
        let path = self.dir.path().join(self.places.to_string());
        std::fs::write(&path, "").unwrap();
        path
    }

    /// Lets everything happen until then.
    pub fn run_until(&mut self, end: Time) {
        while let Some(((at, _), _)) = self.events.first_key_value()
            && *at <= end
        {
            let ((at, _), event) = self.events.pop_first().unwrap();
            self.now = at;
            self.counts.events += 1;
            assert!(self.counts.events < EVENTS_MAX, "it does not come to rest: {event:?}");
            self.happen(event);
        }
        self.now = end;
    }

    pub fn run_for(&mut self, time: Time) {
        self.run_until(self.now + time);
    }

    fn happen(&mut self, event: Event) {
        if let Some(node) = self.put_off(&event) {
            return self.nodes[node].put_off.push(event);
        }
        match event {
            Event::Tick { node } => self.tick(node),
            Event::Stored { node, life } if self.is_life(node, life) => self.do_job(node),
            Event::Arrive { wire, end, lane } => self.arrive(wire, end, lane),
            Event::Up { wire, end } => self.link_up(wire, end),
            Event::Down { wire, end, why } => self.link_down(wire, end, why),
            Event::DialFailed { node, life, address, wanted, why } if self.is_life(node, life) => {
                self.tell(node, Input::DialFailed { address, wanted, why });
            }
            Event::Silence { from, to, since } => self.silence(from, to, since),
            Event::Room { node, life, wire, stream } if self.is_life(node, life) => {
                self.serve_on(node, wire, stream);
            }
            Event::Stall { node, life, wire, stream, since } if self.is_life(node, life) => {
                self.stalled(node, wire, stream, since);
            }
            Event::BrokeOff { node, life, from } if self.is_life(node, life) => {
                self.pulled(node, from, None);
            }
            Event::Wake { node, life, stands } if self.is_life(node, life) => {
                self.wake(node, stands)
            }
            Event::Start { node, life } if self.nodes[node].life == life => self.start(node),
            Event::Look { node, life } if self.is_life(node, life) => self.look(node),
            Event::Show { node, life } if self.is_life(node, life) => self.show_card(node),
            Event::Worker { node, life } if self.is_life(node, life) => self.worker(node),
            Event::Pumped { node, life } if self.is_life(node, life) => self.pumped(node),
            Event::Fault(fault) => self.befall(fault),
            Event::Work { node } => self.work(node),
            Event::Lie { node } => self.lie(node),
            _ => {}
        }
    }

    /// Returns the node that does nothing just now and to which this would happen.
    fn put_off(&self, event: &Event) -> Option<usize> {
        let node = match event {
            Event::Stored { node, .. }
            | Event::DialFailed { node, .. }
            | Event::Room { node, .. }
            | Event::Stall { node, .. }
            | Event::BrokeOff { node, .. }
            | Event::Work { node }
            | Event::Look { node, .. }
            | Event::Show { node, .. }
            | Event::Worker { node, .. }
            | Event::Pumped { node, .. }
            | Event::Tick { node } => *node,
            Event::Up { wire, end } | Event::Down { wire, end, .. } => {
                self.wires[*wire].ends[*end].node
            }
            _ => return None,
        };
        self.nodes[node].paused_at.is_some().then_some(node)
    }

    pub fn is_life(&self, node: usize, life: u32) -> bool {
        self.nodes[node].hub.is_some() && self.nodes[node].life == life
    }

    /// Gives a hub an input, and does what it wants.
    pub fn tell(&mut self, node: usize, input: Input) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.is_dying && !matches!(input, Input::Stop) {
            return;
        }
        if let Input::Pulled { from, .. } = &input {
            self.pump_repaired(node, *from);
        }
        let this = &mut self.nodes[node];
        let time = this.hub_time(now);
        let Some(hub) = &mut this.hub else { return };
        let mut effects = Vec::new();
        hub.handle(time, input, &mut effects);
        let held = hub.held(self.list);
        self.check_held(node, held);
        for effect in effects {
            self.carry(node, effect);
        }
        self.set_tick(node);
    }

    fn set_tick(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let deadline = this.hub.as_ref().and_then(|hub| hub.deadline());
        let at = deadline.map(|deadline| (this.hub_zero() + micros(deadline)).max(self.now));
        if let Some(at) = at
            && this.tick_at.is_none_or(|before| at < before || before < self.now)
        {
            this.tick_at = Some(at);
            self.at(at, Event::Tick { node });
        }
    }

    fn tick(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.tick_at != Some(now) {
            return;
        }
        this.tick_at = None;
        let is_due = this
            .hub
            .as_ref()
            .and_then(|hub| hub.deadline())
            .is_some_and(|deadline| deadline <= this.hub_time(now));
        if is_due {
            let millisecond = now / MILLISECOND;
            if this.ticks.0 != millisecond {
                this.ticks = (millisecond, 0);
            }
            this.ticks.1 += 1;
            assert!(this.ticks.1 < TICKS_MAX, "node {node} spins");
            self.tell(node, Input::Tick);
        } else {
            self.set_tick(node);
        }
    }
}

/// Rounds up, so that what is due then is due.
fn micros(time: Duration) -> Time {
    time.as_nanos().div_ceil(1_000) as Time
}
