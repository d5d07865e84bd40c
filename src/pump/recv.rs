//! The receive pump: what waits between the sockets and those who decide. A state machine without IO; it does not
//! know what a frame says.
//!
//! # What the driver does
//!
//! - It offers every frame that came over a link, in the order in which a stream brought them. Of a stream whose
//!   frame is [`Offered::Held`] it reads no more, and offers that frame again once something was taken.
//! - Workers take [`Job`]s and give back what they found. Whoever decides takes frames; those of one peer and lane
//!   come in the order in which they were let in, whichever was checked first. Of two peers, or two lanes, nothing is
//!   said about the order.
//! - What was dropped is made good by [`RecvPump::repairs`]: it names the peers to compare with, and hears of the end
//!   by [`RecvPump::repaired`].

mod sync;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use x0x_tracker::id::AgentId;

use super::Kind;
use super::gauge::{Gauge, HIGH_PCT};
use super::policy::{OnFull, Policy, Room, SHED_PCT};
use super::pressure::{Fill, Pressure, Report};
use super::proofs::Proofs;
use super::queue::{Check, Entry, Queue};
use super::repairs::Repairs;
use super::turns::Turns;
use super::view::{LaneView, LanesView, RepairsView};
use crate::link::policy::LinkId;
use crate::rate::{Bucket, Rate};
use crate::wire::Lane;

/// How many frames of control one peer may send.
const CONTROL_RATE: Rate = Rate { burst: 8_192, per_second: 10_000 };

/// How many peers without a link are kept account of.
const GONE_MAX: usize = 64;

/// The lanes whose frames wait here, and all lanes.
const QUEUED: [Lane; 3] = [Lane::Control, Lane::Pubsub, Lane::Direct];
pub(super) const LANES: usize = 4;

/// The queue of a peer of which workers look at frames: that of gossip, which is the one that all share, too.
const CHECKED: usize = Lane::Pubsub as usize;

/// Whose account the queue has that all share.
const ALL: AgentId = AgentId([0; 32]);

/// A frame that came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Over which link.
    pub link: LinkId,
    /// Over which lane; not sync.
    pub lane: Lane,
    /// The frame.
    pub bytes: Bytes,
    /// What is lost with it.
    pub kind: Kind,
}

/// What became of a frame that was offered.
#[derive(Debug)]
pub enum Offered {
    /// It waits.
    In,
    /// It was left out, and is made good later.
    Left,
    /// There is no room for it, and it must not be left out.
    Held(Arrived),
}

/// A frame that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Who sent it.
    pub peer: AgentId,
    /// Over which link.
    pub link: LinkId,
    /// Over which lane.
    pub lane: Lane,
    /// The frame.
    pub bytes: Bytes,
    /// What is known of its signatures.
    pub proofs: Proofs,
}

/// A frame whose signatures are to be looked at.
#[derive(Debug)]
pub struct Job {
    key: AgentId,
    number: u64,
    /// Over which lane.
    pub lane: Lane,
    /// The frame.
    pub bytes: Bytes,
}

/// The receive pump of a node.
#[derive(Debug)]
pub struct RecvPump {
    policy: Policy,
    is_counted: bool,
    peers: BTreeMap<AgentId, Peer>,
    lanes: [Gauge; LANES],
    /// Whose frames are taken next, by lane, and whose are checked.
    taking: [Turns; 3],
    checking: Turns,
    pressure: Pressure,
    repairs: Repairs,
}

/// What is known of one peer.
#[derive(Debug)]
struct Peer {
    links: usize,
    queues: [Queue; 3],
    /// What waits of its sync lane, which has no queue of its own.
    sync: Account,
    gauges: [Gauge; LANES],
    control: Bucket,
    /// When its last link ended.
    gone_at: Duration,
}

#[derive(Debug, Default)]
struct Account {
    frames: usize,
    bytes: usize,
    is_high: bool,
}

impl Peer {
    fn new(now: Duration) -> Self {
        Self {
            links: 0,
            queues: Default::default(),
            sync: Account::default(),
            gauges: std::array::from_fn(|_| Gauge::new(now)),
            control: Bucket::new(CONTROL_RATE, now),
            gone_at: now,
        }
    }
}

impl RecvPump {
    /// Returns a pump through which nothing went yet.
    pub fn new(now: Duration, policy: Policy) -> Self {
        Self::with(now, policy, true)
    }

    /// Returns one that counts nothing, to measure what counting costs.
    pub fn uncounted(now: Duration, policy: Policy) -> Self {
        Self::with(now, policy, false)
    }

    fn with(now: Duration, policy: Policy, is_counted: bool) -> Self {
        let mut pump = Self {
            policy,
            is_counted,
            peers: BTreeMap::new(),
            lanes: std::array::from_fn(|_| Gauge::new(now)),
            taking: Default::default(),
            checking: Default::default(),
            pressure: Pressure::default(),
            repairs: Repairs::default(),
        };
        if policy.is_shared {
            pump.open(now, ALL);
        }
        pump
    }

    /// Returns what it does with more than it can take.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// A link to a peer stands.
    pub fn open(&mut self, now: Duration, peer: AgentId) {
        self.peers.entry(peer).or_insert_with(|| Peer::new(now)).links += 1;
        self.taking.iter_mut().chain([&mut self.checking]).for_each(|turns| turns.join(peer));
    }

    /// A link to a peer has ended: what it brought and nobody took is let go of.
    pub fn close(&mut self, now: Duration, peer: AgentId, link: LinkId) {
        for lane in QUEUED {
            let (key, lane) = self.queue_of(peer, lane);
            let Some(of) = self.peers.get_mut(&key) else { continue };
            let (frames, bytes) = of.queues[lane as usize].forget(link);
            self.count(key, lane, |gauge| gauge.left(frames, bytes));
            self.mark(now, key, lane);
        }
        let Some(of) = self.peers.get_mut(&peer) else { return };
        of.links = of.links.saturating_sub(1);
        of.gone_at = now;
        if of.links > 0 {
            return;
        }
        self.taking.iter_mut().chain([&mut self.checking]).for_each(|turns| turns.leave(peer));
        self.repairs.forget(peer);
        self.pressure.forget(peer);
        forget_oldest(&mut self.peers, |of| (of.links == 0).then_some(of.gone_at));
    }

    /// Offers a frame that a peer sent; `is_again` where it was held before. What is to be told of the queue is
    /// added to `reports`.
    pub fn offer(
        &mut self,
        now: Duration,
        peer: AgentId,
        frame: Arrived,
        is_again: bool,
        reports: &mut Vec<Report>,
    ) -> Offered {
        let (key, lane) = self.queue_of(peer, frame.lane);
        // What a link brought that has ended is nobody's.
        let Some(of) = self.peers.get_mut(&key).filter(|of| of.links > 0) else {
            return Offered::Left;
        };
        let queue = &of.queues[lane as usize];
        let fill = self.policy.room.fill(queue.len(), queue.bytes());
        let is_light = frame.kind == Kind::Light && self.policy.on_full != OnFull::Hold;
        let Arrived { link, lane: came_over, kind, .. } = frame;
        if !is_again {
            self.count_over(key, lane, came_over, |gauge| gauge.produced(now));
        }
        if is_light && fill.is_above(SHED_PCT) {
            self.count_over(key, lane, came_over, |gauge| gauge.shed(1));
            self.repairs.dropped(now, peer);
            return Offered::Left;
        }
        // What finds no room costs nothing of what a peer may send.
        if !self.make_room(now, (key, lane), peer, &frame) || self.is_late(now, peer, came_over) {
            return Offered::Held(frame);
        }
        let check = match self.is_looked_at(came_over) {
            true => Check::Waiting,
            false => Check::Done(Proofs::default()),
        };
        let (length, bytes) = (frame.bytes.len(), frame.bytes);
        let entry = Entry { number: 0, peer, link, lane: came_over, bytes, at: now, kind, check };
        if let Some(of) = self.peers.get_mut(&key) {
            of.queues[lane as usize].put(entry);
        }
        self.count(key, lane, |gauge| gauge.enqueued(length));
        let fill = self.mark(now, key, lane);
        reports.extend(self.pressure.sample(now, key, lane, fill).into_iter().flatten());
        Offered::In
    }

    /// Tells whether a peer says more over the control lane than it may, and counts one more frame otherwise.
    fn is_late(&mut self, now: Duration, peer: AgentId, lane: Lane) -> bool {
        lane == Lane::Control
            && !self.policy.is_shared
            && self.peers.get_mut(&peer).is_some_and(|of| !of.control.take(now, 1))
    }

    /// Tells whether workers look at the signatures of frames of a lane.
    pub fn is_looked_at(&self, lane: Lane) -> bool {
        self.policy.has_workers && (self.policy.is_shared || lane == Lane::Pubsub)
    }

    /// Makes room for a frame, if that is how it is made, and tells whether there is some.
    fn make_room(
        &mut self,
        now: Duration,
        (key, lane): (AgentId, Lane),
        peer: AgentId,
        frame: &Arrived,
    ) -> bool {
        let Some(of) = self.peers.get_mut(&key) else { return false };
        let queue = &mut of.queues[lane as usize];
        let room = self.policy.room;
        let bytes_max = room.bytes.saturating_sub(frame.bytes.len());
        let has_room = |queue: &Queue| queue.len() < room.frames && queue.bytes() <= bytes_max;
        if has_room(queue) {
            return true;
        }
        let OnFull::DropTo(pct) = self.policy.on_full else { return false };
        let left = room.part(pct);
        let (frames, bytes) = match frame.lane {
            Lane::Pubsub => (left.frames.min(room.frames - 1), left.bytes.min(bytes_max)),
            Lane::Control => (room.frames - 1, bytes_max),
            Lane::Direct | Lane::Sync => return false,
        };
        let mut gone = queue.drop_oldest(
            frames,
            bytes,
            match frame.lane {
                Lane::Control => |entry| entry.lane == Lane::Control && entry.kind == Kind::Light,
                _ => |entry| entry.lane == Lane::Pubsub && entry.kind != Kind::Firm,
            },
        );
        if !has_room(queue) && frame.lane == Lane::Pubsub {
            let more = queue.drop_oldest(frames, bytes, |entry| entry.lane == Lane::Pubsub);
            gone = (gone.0 + more.0, gone.1 + more.1);
        }
        let has_room = has_room(queue);
        if gone.0 > 0 {
            self.count(key, lane, |gauge| {
                gauge.left(gone.0, gone.1);
                gauge.dropped(gone.0);
            });
            self.repairs.dropped(now, peer);
            self.mark(now, key, lane);
        }
        has_room
    }

    /// Notes that a stream is not read on because of a frame that is held, or is read on.
    pub fn hold(&mut self, now: Duration, peer: AgentId, lane: Lane, is_held: bool) {
        let (key, lane) = self.queue_of(peer, lane);
        self.count(key, lane, |gauge| gauge.held(now, is_held));
    }

    /// Takes the next frame of a lane, of the peer whose turn it is. Where all share a queue that is the one of
    /// pubsub.
    pub fn take(&mut self, now: Duration, lane: Lane) -> Option<Taken> {
        let at = lane as usize;
        let peers = &self.peers;
        let key = self.taking.get_mut(at)?.next(|peer| peers.get(peer)?.queues[at].ready())?;
        let (entry, proofs) = self.peers.get_mut(&key)?.queues[at].take()?;
        let taken = self.taken(now, (key, lane), entry, proofs);
        self.mark(now, key, lane);
        Some(taken)
    }

    /// Counts a frame that was taken out of a queue.
    fn taken(
        &mut self,
        now: Duration,
        (key, lane): (AgentId, Lane),
        entry: Entry,
        proofs: Proofs,
    ) -> Taken {
        let Entry { peer, link, lane: came_over, bytes, at, .. } = entry;
        self.count_over(key, lane, came_over, |gauge| gauge.dequeued(now, now.saturating_sub(at)));
        self.count(key, lane, |gauge| gauge.left(1, bytes.len()));
        Taken { peer, link, lane: came_over, bytes, proofs }
    }

    /// Returns how many frames wait that workers are to look at, and nobody does yet.
    pub fn unchecked(&self) -> usize {
        self.peers.values().map(|of| of.queues[CHECKED].unchecked_len()).sum()
    }

    /// Returns the next frame whose signatures are to be looked at.
    pub fn job(&mut self) -> Option<Job> {
        let peers = &self.peers;
        let key = self.checking.next(|peer| peers.get(peer)?.queues[CHECKED].unchecked())?;
        let entry = self.peers.get_mut(&key)?.queues[CHECKED].check()?;
        let (number, lane) = (entry.number, entry.lane);
        Some(Job { key, number, lane, bytes: entry.bytes.clone() })
    }

    /// Takes all that a link has brought over the lanes that the hub reads, looked at or not: what was said before a
    /// link ended counts.
    pub fn take_last(&mut self, now: Duration, peer: AgentId, link: LinkId) -> Vec<Taken> {
        let mut all = Vec::new();
        for lane in [Lane::Control, Lane::Pubsub] {
            let (key, lane) = self.queue_of(peer, lane);
            let Some(of) = self.peers.get_mut(&key) else { continue };
            for (entry, proofs) in of.queues[lane as usize].take_all_of(link) {
                all.push(self.taken(now, (key, lane), entry, proofs));
            }
            self.mark(now, key, lane);
        }
        all
    }

    /// Tells whether nothing waits to be looked at.
    pub fn is_checked(&self) -> bool {
        self.peers.values().all(|of| of.queues[CHECKED].unchecked().is_none())
    }

    /// Notes what a worker found, and how long it took where it looked at signatures.
    pub fn checked(&mut self, job: &Job, proofs: Proofs, took: Option<Duration>) {
        if let Some(of) = self.peers.get_mut(&job.key) {
            of.queues[CHECKED].checked(job.number, proofs);
        }
        if let Some(took) = took {
            self.count_over(job.key, Lane::Pubsub, job.lane, |gauge| gauge.verified(took));
        }
    }

    /// Returns the peers with whom to compare now, because frames of them were dropped.
    pub fn repairs(&mut self, now: Duration) -> Vec<AgentId> {
        let (peers, room) = (&self.peers, self.policy.room);
        let fill = |of: &Peer| room.fill(of.sync.frames, of.sync.bytes);
        let is_busy = |peer: &AgentId| peers.get(peer).is_some_and(|of| fill(of).is_above(50));
        self.repairs.begin(now, is_busy)
    }

    /// Notes that what was lacking of a peer was fetched, or could not be.
    pub fn repaired(&mut self, peer: AgentId) {
        self.repairs.ended(peer);
    }

    /// Returns when [`RecvPump::repairs`] is to be asked.
    pub fn deadline(&self) -> Option<Duration> {
        self.repairs.deadline()
    }

    /// Returns what went through, by lane and by peer.
    pub fn view(&self, now: Duration) -> (LanesView, BTreeMap<String, LanesView>, RepairsView) {
        let room = self.policy.room;
        let linked = match self.policy.is_shared {
            true => 1,
            false => self.peers.values().filter(|of| of.links > 0).count() as u64,
        };
        let peers = self.peers.iter().filter(|(_, of)| of.links > 0);
        let peers =
            peers.map(|(peer, of)| (peer.to_string(), lanes_view(now, &of.gauges, room, 1)));
        (lanes_view(now, &self.lanes, room, linked), peers.collect(), self.repairs.view())
    }

    /// Returns in which queue a frame waits.
    fn queue_of(&self, peer: AgentId, lane: Lane) -> (AgentId, Lane) {
        match self.policy.is_shared && lane != Lane::Sync {
            true => (ALL, Lane::Pubsub),
            false => (peer, lane),
        }
    }

    /// Looks how full a queue is, and notes whether it is above the mark of the gauges.
    fn mark(&mut self, now: Duration, key: AgentId, lane: Lane) -> Fill {
        let (at, room) = (lane as usize, self.policy.room);
        let Some(of) = self.peers.get_mut(&key) else { return room.fill(0, 0) };
        let (fill, was_high) = match of.queues.get_mut(at) {
            Some(queue) => (room.fill(queue.len(), queue.bytes()), &mut queue.is_high),
            None => (room.fill(of.sync.frames, of.sync.bytes), &mut of.sync.is_high),
        };
        let is_high = fill.is_above(HIGH_PCT);
        if std::mem::replace(was_high, is_high) != is_high {
            self.count(key, lane, |gauge| gauge.high(now, is_high));
        }
        fill
    }

    /// Counts something of a queue and of its lane over all peers.
    fn count(&mut self, key: AgentId, lane: Lane, what: impl Fn(&mut Gauge)) {
        self.count_over(key, lane, lane, what);
    }

    /// Counts something of a queue, and of the lane over which a frame came: another one where all share a queue.
    fn count_over(&mut self, key: AgentId, lane: Lane, came_over: Lane, what: impl Fn(&mut Gauge)) {
        if !self.is_counted {
            return;
        }
        if let Some(of) = self.peers.get_mut(&key) {
            what(&mut of.gauges[lane as usize]);
        }
        what(&mut self.lanes[came_over as usize]);
    }
}

/// Lets go of the account of the peer that has been gone longest, where more are kept than may; `gone_at` says when
/// one went that is gone.
pub(super) fn forget_oldest<P>(
    peers: &mut BTreeMap<AgentId, P>,
    gone_at: impl Fn(&P) -> Option<Duration>,
) {
    let gone = peers.iter().filter_map(|(peer, of)| Some((gone_at(of)?, *peer)));
    if gone.clone().count() > GONE_MAX
        && let Some((_, oldest)) = gone.min()
    {
        peers.remove(&oldest);
    }
}

/// Returns what gauges show, where each queue is there so often.
pub(super) fn lanes_view(
    now: Duration,
    gauges: &[Gauge; LANES],
    room: Room,
    queues: u64,
) -> LanesView {
    let (frames, bytes) = (queues * room.frames as u64, queues * room.bytes as u64);
    let [control, pubsub, direct, sync]: [LaneView; LANES] =
        gauges.each_ref().map(|gauge| gauge.view(now, frames, bytes));
    LanesView { control, pubsub, direct, sync }
}

#[cfg(test)]
#[path = "recv/tests.rs"]
mod tests;
