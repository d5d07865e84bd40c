//! Links as the network has them: paths with latency and a width, wires with two ends that come up and
//! go down, lanes in which everything keeps its order, and what faults do to them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use x0x::hub::Input;
use x0x::link::Farewell;
use x0x::link::policy::{End, Failure, LinkId};
use x0x::wire::Lane;
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Signer;

use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// How many frames wait for a lane of one link at most (`src/node/carrier.rs`).
pub const FRAMES_MAX: usize = 2_048;

/// How long a call takes that nobody answers (`link::config::SILENCE_MAX`).
const CALL_MAX: Time = 7 * SECOND;

/// When an end notices that nothing comes, at the earliest and at the latest.
const SILENCE: (Time, Time) = (5 * SECOND, 9 * SECOND);

/// Frames that a new link begins with (`wire::Control`).
const HELLO: (&str, u8) = ("control", 0);
const CARDS: (&str, u8) = ("control", 3);

/// What lanes there are in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneKey {
    Frames(Lane),
    Stream(u64),
}

/// How paths are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The latency of a path, at least and at most.
    pub latency: (Time, Time),
    /// How much longer something may take, as a share of the latency.
    pub jitter: f64,
    pub bytes_per_second: Option<u64>,
    /// What becomes of frames of the pubsub lane, each a share.
    pub lost: f64,
    pub doubled: f64,
    pub reordered: f64,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            latency: (5 * MILLISECOND, 40 * MILLISECOND),
            jitter: 0.2,
            bytes_per_second: None,
            lost: 0.0,
            doubled: 0.0,
            reordered: 0.0,
        }
    }
}

/// A connection; end 0 called.
pub struct Wire {
    pub ends: [WireEnd; 2],
    /// Whether packets pass at all.
    pub is_alive: bool,
    latency: Time,
    binding: [u8; 32],
    /// Who was called.
    wanted: Option<AgentId>,
    pub streams: u64,
}

pub struct WireEnd {
    pub node: usize,
    life: u32,
    /// Where the other side is.
    address: SocketAddr,
    pub link: Option<LinkId>,
    up_at: Time,
    pub is_up: bool,
    pub is_gone: bool,
    /// What is on its way to this end.
    lanes: BTreeMap<LaneKey, Queue>,
    /// When the path to this end is free.
    free_at: Time,
}

#[derive(Default)]
struct Queue {
    on_the_way: VecDeque<(Time, Vec<u8>)>,
    /// When what waits for the path leaves.
    leaves: VecDeque<Time>,
    last: Time,
}

pub fn address_of(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (node >> 8) as u8, node as u8], 12_700))
}

fn node_at(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(address) if address.ip().octets()[0] == 10 => {
            let [_, _, high, low] = address.ip().octets();
            Some(usize::from(high) << 8 | usize::from(low))
        }
        _ => None,
    }
}

impl World {
    pub fn dial(&mut self, node: usize, address: SocketAddr, wanted: Option<AgentId>) {
        let life = self.nodes[node].life;
        let fails = |why| Event::DialFailed { node, life, address, wanted, why };
        let latency = self.between(self.paths.latency.0, self.paths.latency.1);
        let Some(other) = node_at(address).filter(|other| *other < self.nodes.len()) else {
            return self.after(CALL_MAX, fails(Failure::Passing));
        };
        if other == node {
            return self.after(MILLISECOND, fails(Failure::Oneself));
        }
        let is_there = self.nodes[other].hub.is_some() && self.nodes[other].paused_at.is_none();
        if !is_there || self.is_cut(node, other) {
            return self.after(CALL_MAX, fails(Failure::Passing));
        }
        if wanted.is_some_and(|wanted| wanted != self.nodes[other].agent) {
            return self.after(3 * latency, fails(Failure::NotThere));
        }
        let shaken = self.now + 3 * latency + self.below(MILLISECOND);
        let up_at = [shaken, shaken + latency + self.below(latency + 1)];
        let ends = [(node, 0), (other, 1)].map(|(this, at)| WireEnd {
            node: this,
            life: self.nodes[this].life,
            address: if at == 0 { address } else { address_of(node) },
            link: None,
            up_at: up_at[at],
            is_up: false,
            is_gone: false,
            lanes: BTreeMap::new(),
            free_at: 0,
        });
        let binding = x0x::entropy::draw(&mut self.dice);
        self.wires.push(Wire { ends, is_alive: true, latency, binding, wanted, streams: 0 });
        let wire = self.wires.len() - 1;
        for (end, at) in up_at.into_iter().enumerate() {
            self.at(at, Event::Up { wire, end });
        }
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cuts.contains_key(&(a, b)) || self.cuts.contains_key(&(b, a))
    }

    pub fn link_up(&mut self, wire: usize, end: usize) {
        let this = &self.wires[wire];
        let (node, life, address) =
            (this.ends[end].node, this.ends[end].life, this.ends[end].address);
        if this.ends[end].is_gone || !self.is_life(node, life) {
            return;
        }
        if !this.is_alive {
            self.wires[wire].ends[end].is_gone = true;
            if end == 0 {
                let (wanted, why) = (self.wires[wire].wanted, Failure::Passing);
                self.tell(node, Input::DialFailed { address, wanted, why });
            }
            return;
        }
        let other = this.ends[1 - end].node;
        let peer = &self.nodes[other];
        let (peer, public_key) = (peer.agent, peer.key.public_key().to_vec());
        let binding = this.binding;
        let link = self.nodes[node].new_link(wire, end);
        let this = &mut self.wires[wire].ends[end];
        (this.is_up, this.link) = (true, Some(link));
        if end == 0 {
            self.counts.links_made += 1;
            *self.linked.entry((node.min(other), node.max(other))).or_default() += 1;
        }
        let is_caller = end == 0;
        self.trace(&[b'u', node as u8, end as u8]);
        self.tell(node, Input::Up { link, peer, public_key, binding, is_caller, address });
        self.look_at_lanes(wire, end);
    }

    pub fn link_down(&mut self, wire: usize, end: usize, why: End) {
        let this = &mut self.wires[wire].ends[end];
        if this.is_gone {
            return;
        }
        this.is_gone = true;
        this.lanes.clear();
        let (node, life, link) = (this.node, this.life, this.link);
        if !self.is_life(node, life) {
            return;
        }
        self.trace(&[b'd', node as u8, end as u8]);
        let Some(link) = link else { return };
        self.nodes[node].links.remove(&link);
        self.break_streams(node, wire);
        self.tell(node, Input::Down { link, why });
    }

    /// One side ends a link and tells the other why.
    pub fn end_link(&mut self, node: usize, link: LinkId, why: Farewell) {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let other = 1 - end;
        let theirs = match why {
            Farewell::Superfluous => End::Superfluous,
            Farewell::Stopping | Farewell::Unheard | Farewell::Full => End::Passing,
            _ => End::Final,
        };
        self.say(|| format!("node {node} ends link {wire}: {}", why.text()));
        self.after(0, Event::Down { wire, end, why: End::Passing });
        let (from, to) = (node, self.wires[wire].ends[other].node);
        if self.wires[wire].is_alive && !self.cuts.contains_key(&(from, to)) {
            let at = self.now + self.wires[wire].latency + MILLISECOND;
            let at = at.max(self.wires[wire].ends[other].up_at + 1);
            self.at(at, Event::Down { wire, end: other, why: theirs });
        } else {
            self.notices_silence(wire, other);
        }
        self.wires[wire].is_alive = false;
    }

    /// A wire carries nothing any more; both ends find out by themselves.
    pub fn wire_dies(&mut self, wire: usize) {
        if std::mem::replace(&mut self.wires[wire].is_alive, false) {
            self.wires[wire].ends.iter_mut().for_each(|end| end.lanes.clear());
            self.notices_silence(wire, 0);
            self.notices_silence(wire, 1);
        }
    }

    pub fn notices_silence(&mut self, wire: usize, end: usize) {
        let after = self.between(SILENCE.0, SILENCE.1);
        let at = (self.now + after).max(self.wires[wire].ends[end].up_at + 1);
        self.at(at, Event::Down { wire, end, why: End::Passing });
    }

    /// Nothing passes from one node to another from now on.
    pub fn cut(&mut self, from: usize, to: usize) {
        if self.cuts.contains_key(&(from, to)) {
            return;
        }
        self.cuts.insert((from, to), self.now);
        let after = self.between(SILENCE.0, SILENCE.1);
        self.after(after, Event::Silence { from, to, since: self.now });
    }

    pub fn heal(&mut self, from: usize, to: usize) {
        if self.cuts.remove(&(from, to)).is_none() {
            return;
        }
        for wire in 0..self.wires.len() {
            for end in 0..2 {
                let ends = &self.wires[wire].ends;
                if (ends[1 - end].node, ends[end].node) == (from, to) {
                    // What was lost is sent again.
                    self.look_at_lanes(wire, end);
                }
            }
        }
    }

    pub fn silence(&mut self, from: usize, to: usize, since: Time) {
        if self.cuts.get(&(from, to)) != Some(&since) {
            return;
        }
        for wire in 0..self.wires.len() {
            let nodes = [0, 1].map(|end| self.wires[wire].ends[end].node);
            if nodes == [from, to] || nodes == [to, from] {
                self.wires[wire].is_alive = false;
                for end in 0..2 {
                    let after = self.below(2 * SECOND);
                    let at = (self.now + after).max(self.wires[wire].ends[end].up_at + 1);
                    self.at(at, Event::Down { wire, end, why: End::Passing });
                }
            }
        }
    }

    /// Looks again what arrived at an end.
    pub fn look_at_lanes(&mut self, wire: usize, end: usize) {
        let lanes: Vec<(LaneKey, Vec<Time>)> = self.wires[wire].ends[end]
            .lanes
            .iter()
            .map(|(lane, queue)| (*lane, queue.on_the_way.iter().map(|(at, _)| *at).collect()))
            .collect();
        for (lane, times) in lanes {
            for at in times {
                self.at(at, Event::Arrive { wire, end, lane });
            }
        }
    }

    /// Sends a frame in a lane of a link.
    pub fn send_frame(&mut self, node: usize, link: LinkId, lane: Lane, frame: Vec<u8>) {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let (now, key) = (self.now, LaneKey::Frames(lane));
        let queue = self.wires[wire].ends[1 - end].lanes.entry(key).or_default();
        while queue.leaves.front().is_some_and(|leaves| *leaves <= now) {
            queue.leaves.pop_front();
        }
        if queue.leaves.len() >= FRAMES_MAX {
            self.counts.queues_full += 1;
            return match lane {
                Lane::Control => self.end_link(node, link, Farewell::Full),
                _ => self.tell(node, Input::Dropped { link }),
            };
        }
        if lane == Lane::Pubsub {
            if self.chance(self.paths.lost) {
                self.counts.gossip_lost += 1;
                return;
            }
            if self.chance(self.paths.doubled) {
                self.counts.gossip_doubled += 1;
                self.send(wire, 1 - end, key, frame.clone());
            }
        }
        self.send(wire, 1 - end, key, frame);
        if lane == Lane::Pubsub && self.chance(self.paths.reordered) {
            self.reorder(wire, 1 - end, key);
        }
    }

    /// Sends bytes to an end of a wire; returns when they have left.
    pub fn send(&mut self, wire: usize, to: usize, lane: LaneKey, bytes: Vec<u8>) -> Time {
        let jitter = (self.wires[wire].latency as f64 * self.paths.jitter) as u64;
        let delay = self.wires[wire].latency + self.below(jitter + 1);
        let from = self.wires[wire].ends[1 - to].node;
        let is_alive = self.wires[wire].is_alive;
        let end = &mut self.wires[wire].ends[to];
        if end.is_gone || !is_alive {
            return self.now;
        }
        let (kind, sent) = (kind_of(lane, &bytes), bytes.len() as u64 + 4);
        // What is said on a new link is no upkeep.
        if kind != HELLO && kind != CARDS {
            self.nodes[from].sent_bytes += sent;
        }
        *self.sent.entry(kind).or_default() += sent;
        let end = &mut self.wires[wire].ends[to];
        let width = self.paths.bytes_per_second;
        let takes = width.map_or(0, |width| bytes.len() as u64 * SECOND / width);
        let leaves = end.free_at.max(self.now) + takes;
        end.free_at = leaves;
        let queue = end.lanes.entry(lane).or_default();
        let arrives = (leaves + delay).max(queue.last);
        queue.last = arrives;
        if takes > 0 {
            queue.leaves.push_back(leaves);
        }
        queue.on_the_way.push_back((arrives, bytes));
        self.at(arrives, Event::Arrive { wire, end: to, lane });
        leaves
    }

    /// Lets the newest frame of a lane arrive before the one that was sent before it.
    fn reorder(&mut self, wire: usize, to: usize, lane: LaneKey) {
        let queue = self.wires[wire].ends[to].lanes.entry(lane).or_default();
        let count = queue.on_the_way.len();
        if count < 2 {
            return;
        }
        let bytes = std::mem::take(&mut queue.on_the_way[count - 1].1);
        queue.on_the_way[count - 1].1 =
            std::mem::replace(&mut queue.on_the_way[count - 2].1, bytes);
        self.counts.gossip_reordered += 1;
    }

    pub fn arrive(&mut self, wire: usize, end: usize, lane: LaneKey) {
        loop {
            let this = &self.wires[wire];
            let (node, from) = (this.ends[end].node, this.ends[1 - end].node);
            let is_open = this.ends[end].is_up && !this.ends[end].is_gone;
            let may_pass = !self.cuts.contains_key(&(from, node))
                && self.nodes[node].paused_at.is_none()
                && self.is_life(node, this.ends[end].life);
            if !is_open || !may_pass {
                return;
            }
            let now = self.now;
            let Some(link) = this.ends[end].link else { return };
            let Some(queue) = self.wires[wire].ends[end].lanes.get_mut(&lane) else { return };
            if queue.on_the_way.front().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((_, bytes)) = queue.on_the_way.pop_front() else { return };
            self.trace(&[b'a', node as u8, from as u8]);
            self.trace(blake3::hash(&bytes).as_bytes());
            match lane {
                LaneKey::Frames(lane) => self.frame_came(node, link, lane, bytes),
                LaneKey::Stream(stream) => self.stream_came(node, wire, end, stream, bytes),
            }
        }
    }

    fn frame_came(&mut self, node: usize, link: LinkId, lane: Lane, bytes: Vec<u8>) {
        if bytes.len() > lane.frame_bytes_max() {
            // What reads the stream ends the link.
            return self.breach(node, link, "a frame that is too long");
        }
        if let Some(bytes) = self.pump(node, link, lane, bytes) {
            self.tell(node, Input::Frame { link, lane, bytes: bytes.into() });
        }
    }
}

/// Returns what to call a frame where it is counted what was sent.
fn kind_of(lane: LaneKey, bytes: &[u8]) -> (&'static str, u8) {
    match lane {
        LaneKey::Stream(_) => ("sync", 0),
        // After the version: which frame.
        LaneKey::Frames(Lane::Control) => ("control", bytes.get(1).copied().unwrap_or_default()),
        // After the list and the version: gossip or not, and which of its frames.
        LaneKey::Frames(_) => match bytes.get(33..35) {
            Some([0, kind]) => ("neighbours", *kind),
            Some([_, kind]) => ("broadcasts", *kind),
            _ => ("garbage", 0),
        },
    }
}
