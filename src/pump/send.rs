//! What waits to be sent: by link and lane, and in the lane of gossip what keeps it going before what this node says
//! before what it passes on for others. A state machine without IO; it does not know what a frame says.
//!
//! A peer that takes nothing fills its own queue and no other. Gossip for it is dropped then, the oldest that is
//! passed on first; what it lacks so, it finds by comparing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use x0x_tracker::id::AgentId;

use super::gauge::{Gauge, HIGH_PCT};
use super::policy::{Policy, Room, SHED_PCT};
use super::pressure::{Fill, Pressure, Report};
use super::recv::{LANES, forget_oldest, lanes_view};
use super::view::LanesView;
use crate::link::policy::LinkId;
use crate::wire::Lane;

/// How long a queue of gossip stays nearly full before its peer is only told what there is, and how long before it is
/// no neighbour any more.
const LAZY_AFTER: Duration = Duration::from_secs(1);
const DETACHED_AFTER: Duration = Duration::from_secs(10);

/// In which order frames of one lane are sent. Within one of these it is that in which they were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// What keeps the lane going.
    Upkeep,
    /// As that, but all that was put before goes before it.
    Farewell,
    /// As that, but another does as well.
    Spare,
    /// What this node says.
    Own,
    /// What it passes on for others.
    Forwarded,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    In,
    /// It was left out: another does as well.
    Shed,
    /// It or others were dropped: there was no room.
    Dropped,
    /// There is no room for it, and it must not be dropped.
    Full,
    /// There is no such link.
    Gone,
}

/// What to do about a peer that takes its gossip too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// Only tell it what there is.
    Lazy,
    /// Have it as a neighbour no more.
    Detach,
}

/// What waits to be sent on all links.
#[derive(Debug)]
pub struct SendPump {
    policy: Policy,
    links: BTreeMap<LinkId, Link>,
    peers: BTreeMap<AgentId, Peer>,
    lanes: [Gauge; LANES],
    pressure: Pressure,
}

#[derive(Debug)]
struct Link {
    peer: AgentId,
    queues: [Queue; 3],
}

#[derive(Debug)]
struct Peer {
    links: usize,
    gone_at: Duration,
    gauges: [Gauge; LANES],
}

/// What waits for one lane of a link.
#[derive(Debug, Default)]
struct Queue {
    /// By class; those that are spare stand with those that are not.
    classes: [VecDeque<(Duration, Bytes)>; 3],
    frames: usize,
    bytes: usize,
    is_high: bool,
    /// Since when it is nearly full, and what was done about that last.
    slow: Option<(Duration, Duration)>,
}

impl Queue {
    fn has_room(&self, room: Room, bytes: usize) -> bool {
        self.frames < room.frames && self.bytes + bytes <= room.bytes
    }

    fn fill(&self, room: Room) -> Fill {
        room.fill(self.frames, self.bytes)
    }

    fn put(&mut self, now: Duration, class: Class, frame: Bytes) {
        self.frames += 1;
        self.bytes += frame.len();
        if class == Class::Farewell {
            let [first, own, forwarded] = &mut self.classes;
            first.append(own);
            first.append(forwarded);
        }
        self.classes[place_of(class)].push_back((now, frame));
    }

    fn pop(&mut self, place: usize) -> Option<(Duration, Bytes)> {
        let (at, frame) = self.classes[place].pop_front()?;
        self.frames -= 1;
        self.bytes -= frame.len();
        Some((at, frame))
    }

    /// Drops the oldest of what is less urgent than a class, or as urgent, until there is room; returns how many
    /// frames and bytes.
    fn drop_oldest(&mut self, room: Room, bytes: usize, class: Class) -> (u64, usize) {
        let (frames_before, bytes_before) = (self.frames, self.bytes);
        for place in (place_of(class)..self.classes.len()).rev() {
            while !self.has_room(room, bytes) && self.pop(place).is_some() {}
        }
        ((frames_before - self.frames) as u64, bytes_before - self.bytes)
    }
}

fn place_of(class: Class) -> usize {
    match class {
        Class::Upkeep | Class::Farewell | Class::Spare => 0,
        Class::Own => 1,
        Class::Forwarded => 2,
    }
}

impl SendPump {
    /// Returns one without links.
    pub fn new(now: Duration, policy: Policy) -> Self {
        Self {
            policy,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            lanes: std::array::from_fn(|_| Gauge::new(now)),
            pressure: Pressure::default(),
        }
    }

    /// A link to a peer stands.
    pub fn open(&mut self, now: Duration, link: LinkId, peer: AgentId) {
        let of = self.peers.entry(peer).or_insert_with(|| Peer {
            links: 0,
            gone_at: now,
            gauges: std::array::from_fn(|_| Gauge::new(now)),
        });
        of.links += 1;
        self.links.insert(link, Link { peer, queues: Default::default() });
    }

    /// A link has ended, and what waited for it goes with it.
    pub fn close(&mut self, now: Duration, link: LinkId) {
        let Some(Link { peer, queues }) = self.links.remove(&link) else { return };
        let Some(of) = self.peers.get_mut(&peer) else { return };
        for (at, queue) in queues.into_iter().enumerate() {
            for gauge in [&mut of.gauges[at], &mut self.lanes[at]] {
                gauge.left(queue.frames as u64, queue.bytes);
                if queue.is_high {
                    gauge.high(now, false);
                }
            }
        }
        of.links -= 1;
        of.gone_at = now;
        if of.links > 0 {
            return;
        }
        self.pressure.forget(peer);
        forget_oldest(&mut self.peers, |of| (of.links == 0).then_some(of.gone_at));
    }

    /// Puts a frame, and says what to do about a peer that is too slow. What is to be told of the queue is added to
    /// `reports`.
    pub fn put(
        &mut self,
        now: Duration,
        (link, lane): (LinkId, Lane),
        class: Class,
        frame: Bytes,
        reports: &mut Vec<Report>,
    ) -> (Put, Option<Slow>) {
        let (at, room) = (lane as usize, self.policy.room);
        let Some(Link { peer, queues }) = self.links.get_mut(&link) else {
            return (Put::Gone, None);
        };
        let (peer, queue) = (*peer, &mut queues[at]);
        let Some(of) = self.peers.get_mut(&peer) else { return (Put::Gone, None) };
        let (of_peer, of_lane) = (&mut of.gauges[at], &mut self.lanes[at]);
        let is_shed = class == Class::Spare && queue.fill(room).is_above(SHED_PCT);
        let has_room = queue.has_room(room, frame.len());
        let may_drop = lane == Lane::Pubsub && !self.policy.waits;
        if !is_shed && !has_room && !may_drop {
            // It counts once it is put.
            return (Put::Full, None);
        }
        of_peer.produced(now);
        of_lane.produced(now);
        if is_shed {
            of_peer.shed(1);
            of_lane.shed(1);
            return (Put::Shed, None);
        }
        let mut put = Put::In;
        if !has_room {
            let (frames, bytes) = queue.drop_oldest(room, frame.len(), class);
            // What is more urgent stays, and this one goes.
            let goes = !queue.has_room(room, frame.len());
            for gauge in [&mut *of_peer, &mut *of_lane] {
                gauge.left(frames, bytes);
                gauge.dropped(frames + u64::from(goes));
            }
            put = Put::Dropped;
            if goes {
                return (put, queue_slow(now, room, queue));
            }
        }
        of_peer.enqueued(frame.len());
        of_lane.enqueued(frame.len());
        queue.put(now, class, frame);
        let fill = mark(now, room, queue, of_peer, of_lane);
        reports.extend(self.pressure.sample(now, peer, lane, fill).into_iter().flatten());
        let slow = if may_drop { queue_slow(now, room, queue) } else { None };
        (put, slow)
    }

    /// Counts a frame of a sync stream, which waited for its peer alone and in no queue here.
    pub fn written(&mut self, now: Duration, peer: AgentId, bytes: usize, waited: Duration) {
        let at = Lane::Sync as usize;
        let Some(of) = self.peers.get_mut(&peer).filter(|of| of.links > 0) else { return };
        for gauge in [&mut of.gauges[at], &mut self.lanes[at]] {
            gauge.produced(now);
            gauge.enqueued(bytes);
            gauge.dequeued(now, waited);
            gauge.left(1, bytes);
        }
    }

    /// Takes the next frame of a lane.
    pub fn take(&mut self, now: Duration, link: LinkId, lane: Lane) -> Option<Bytes> {
        let (at, room) = (lane as usize, self.policy.room);
        let Link { peer, queues } = self.links.get_mut(&link)?;
        let queue = &mut queues[at];
        let (since, frame) = (0..queue.classes.len()).find_map(|place| queue.pop(place))?;
        let of = self.peers.get_mut(peer)?;
        let (of_peer, of_lane) = (&mut of.gauges[at], &mut self.lanes[at]);
        for gauge in [&mut *of_peer, &mut *of_lane] {
            gauge.dequeued(now, now.saturating_sub(since));
            gauge.left(1, frame.len());
        }
        if !mark(now, room, queue, of_peer, of_lane).is_above(HIGH_PCT) {
            queue.slow = None;
        }
        Some(frame)
    }

    /// Drops what is passed on to a peer that is no neighbour any more.
    pub fn drop_forwarded(&mut self, now: Duration, link: LinkId) {
        let (at, room) = (Lane::Pubsub as usize, self.policy.room);
        let Some(Link { peer, queues }) = self.links.get_mut(&link) else { return };
        let queue = &mut queues[at];
        let (frames, bytes) = (queue.frames, queue.bytes);
        while queue.pop(place_of(Class::Forwarded)).is_some() {}
        queue.slow = None;
        let (frames, bytes) = ((frames - queue.frames) as u64, bytes - queue.bytes);
        let Some(of) = self.peers.get_mut(peer) else { return };
        let (of_peer, of_lane) = (&mut of.gauges[at], &mut self.lanes[at]);
        for gauge in [&mut *of_peer, &mut *of_lane] {
            gauge.left(frames, bytes);
            gauge.dropped(frames);
        }
        mark(now, room, queue, of_peer, of_lane);
    }

    /// Returns what went through, by lane and by peer.
    pub fn view(&self, now: Duration) -> (LanesView, BTreeMap<String, LanesView>) {
        let room = self.policy.room;
        let linked = self.peers.iter().filter(|(_, of)| of.links > 0);
        let peers: BTreeMap<String, LanesView> = linked
            .map(|(peer, of)| {
                (peer.to_string(), lanes_view(now, &of.gauges, room, of.links as u64))
            })
            .collect();
        (lanes_view(now, &self.lanes, room, self.links.len() as u64), peers)
    }
}

/// Looks how full a queue is, and notes whether it is above the mark of the gauges.
fn mark(
    now: Duration,
    room: Room,
    queue: &mut Queue,
    of_peer: &mut Gauge,
    of_lane: &mut Gauge,
) -> Fill {
    let fill = queue.fill(room);
    let is_high = fill.is_above(HIGH_PCT);
    if std::mem::replace(&mut queue.is_high, is_high) != is_high {
        of_peer.high(now, is_high);
        of_lane.high(now, is_high);
    }
    fill
}

/// Returns what is to be done about the peer of a queue of gossip.
fn queue_slow(now: Duration, room: Room, queue: &mut Queue) -> Option<Slow> {
    if !queue.fill(room).is_above(HIGH_PCT) {
        return None;
    }
    let (since, done) = queue.slow.get_or_insert((now, now));
    if now >= *since + DETACHED_AFTER {
        queue.slow = None;
        return Some(Slow::Detach);
    }
    if now < *done + LAZY_AFTER {
        return None;
    }
    *done = now;
    Some(Slow::Lazy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pump::{BYTES_MAX, FRAMES_MAX};

    const SECOND: Duration = Duration::from_secs(1);
    const LINK: LinkId = LinkId(7);

    fn pump() -> SendPump {
        let mut pump = SendPump::new(Duration::ZERO, Policy::FAIR);
        pump.open(Duration::ZERO, LINK, AgentId([1; 32]));
        pump
    }

    fn put(
        pump: &mut SendPump,
        now: Duration,
        lane: Lane,
        class: Class,
        byte: u8,
    ) -> (Put, Option<Slow>) {
        pump.put(now, (LINK, lane), class, vec![byte; 10].into(), &mut Vec::new())
    }

    fn all(pump: &mut SendPump, lane: Lane) -> Vec<u8> {
        std::iter::from_fn(|| pump.take(SECOND, LINK, lane)).map(|frame| frame[0]).collect()
    }

    #[test]
    fn upkeep_goes_before_own_broadcasts_and_these_before_forwarded_ones() {
        let mut pump = pump();
        let classes = [Class::Forwarded, Class::Own, Class::Spare, Class::Forwarded, Class::Upkeep];
        for (byte, class) in (0..).zip(classes) {
            put(&mut pump, SECOND, Lane::Pubsub, class, byte);
        }
        assert_eq!(all(&mut pump, Lane::Pubsub), [2, 4, 1, 0, 3]);
        let classes = [Class::Forwarded, Class::Own, Class::Farewell, Class::Own, Class::Upkeep];
        for (byte, class) in (0..).zip(classes) {
            put(&mut pump, SECOND, Lane::Pubsub, class, byte);
        }
        assert_eq!(
            all(&mut pump, Lane::Pubsub),
            [1, 0, 2, 4, 3],
            "what was said before goes before a farewell"
        );
    }

    #[test]
    fn a_full_queue_drops_the_oldest_forwarded_and_then_the_oldest_own_for_what_is_more_urgent() {
        let mut pump = pump();
        put(&mut pump, SECOND, Lane::Pubsub, Class::Own, 1);
        for _ in 1..FRAMES_MAX {
            assert_eq!(put(&mut pump, SECOND, Lane::Pubsub, Class::Forwarded, 2).0, Put::In);
        }
        assert_eq!(put(&mut pump, SECOND, Lane::Pubsub, Class::Own, 1).0, Put::Dropped);
        assert_eq!(put(&mut pump, SECOND, Lane::Pubsub, Class::Spare, 9).0, Put::Shed);
        for _ in 2..FRAMES_MAX {
            put(&mut pump, SECOND, Lane::Pubsub, Class::Own, 1);
        }
        assert_eq!(put(&mut pump, SECOND, Lane::Pubsub, Class::Forwarded, 2).0, Put::Dropped);
        assert_eq!(put(&mut pump, SECOND, Lane::Pubsub, Class::Upkeep, 3).0, Put::Dropped);
        let sent = all(&mut pump, Lane::Pubsub);
        assert_eq!((sent.len(), sent[0], sent[1]), (FRAMES_MAX, 3, 1));
        assert!(!sent.contains(&2));
        let view = pump.view(SECOND).0.pubsub;
        assert_eq!((view.latest_depth, view.shed_priority), (0, 1));
        assert_eq!(
            view.produced_total,
            view.dequeued_total + view.dropped_full + view.shed_priority
        );
    }

    #[test]
    fn frames_of_sync_streams_are_counted_while_their_peer_is_linked() {
        let mut pump = pump();
        pump.written(SECOND, AgentId([1; 32]), 100, SECOND / 10);
        pump.written(SECOND, AgentId([2; 32]), 100, SECOND / 10);
        let view = pump.view(SECOND).0.sync;
        assert_eq!((view.produced_total, view.dequeued_total, view.latest_depth), (1, 1, 0));
        assert_eq!((view.max_depth, view.latest_bytes), (1, 0));
    }

    #[test]
    fn control_and_direct_messages_are_bounded_and_never_dropped() {
        let mut pump = pump();
        for lane in [Lane::Control, Lane::Direct] {
            for _ in 0..FRAMES_MAX {
                assert_eq!(put(&mut pump, SECOND, lane, Class::Own, 0).0, Put::In);
            }
            assert_eq!(put(&mut pump, SECOND, lane, Class::Own, 0).0, Put::Full);
        }
        let large = Bytes::from(vec![0; BYTES_MAX + 1]);
        let put = pump.put(SECOND, (LINK, Lane::Control), Class::Own, large, &mut Vec::new());
        assert_eq!(put.0, Put::Full);
        pump.close(SECOND, LINK);
        let view = pump.view(SECOND).0;
        assert_eq!((view.control.latest_depth, view.direct.latest_bytes), (0, 0));
        assert_eq!(
            pump.put(SECOND, (LINK, Lane::Control), Class::Own, Bytes::new(), &mut Vec::new()).0,
            Put::Gone
        );
    }

    #[test]
    fn a_peer_whose_queue_stays_full_is_served_lazily_and_then_detached() {
        let mut pump = pump();
        (0..FRAMES_MAX).for_each(|_| {
            put(&mut pump, SECOND, Lane::Pubsub, Class::Forwarded, 0);
        });
        let mut done = Vec::new();
        for tenth in 10..125 {
            let now = SECOND / 10 * tenth;
            done.extend(
                put(&mut pump, now, Lane::Pubsub, Class::Forwarded, 0).1.map(|slow| (tenth, slow)),
            );
        }
        let lazy: Vec<u32> = (2..=10).map(|second| second * 10).collect();
        assert_eq!(done[..9], lazy.iter().map(|tenth| (*tenth, Slow::Lazy)).collect::<Vec<_>>());
        assert_eq!(done[9], (110, Slow::Detach));
        pump.drop_forwarded(SECOND * 13, LINK);
        assert_eq!(pump.view(SECOND).0.pubsub.latest_depth, 0);
        assert_eq!(put(&mut pump, SECOND * 99, Lane::Pubsub, Class::Forwarded, 0), (Put::In, None));
    }
}
