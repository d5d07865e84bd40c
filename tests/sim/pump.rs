//! Receive pumps in front of hubs that look at one frame after another, at a pace: what no node does whose pace is
//! not set.

use std::collections::BTreeSet;
use std::time::Duration;

use x0x::hub::{Input, kind_of};
use x0x::link::policy::LinkId;
use x0x::pump::{Arrived, LanesView, Offered, Policy, Proofs, RecvPump, RepairsView};
use x0x::wire::Lane;
use x0x_tracker::Tracker;
use x0x_tracker::id::AgentId;

use crate::scenarios::meet;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// The pump of a node.
pub struct Paced {
    pump: RecvPump,
    links: BTreeSet<LinkId>,
    /// How long a frame takes.
    pace: Time,
    is_busy: bool,
}

impl World {
    /// Has a node look at one frame after another from now on, each for so long.
    pub fn slow_down(&mut self, node: usize, pace: Time) {
        let pump = RecvPump::new(Duration::from_micros(self.now), Policy::FAIR);
        let links = BTreeSet::new();
        self.nodes[node].paced = Some(Paced { pump, links, pace, is_busy: false });
    }

    /// Has it look at each as soon as it can again.
    pub fn speed_up(&mut self, node: usize) {
        if let Some(paced) = &mut self.nodes[node].paced {
            paced.pace = 1;
        }
    }

    fn peer_of(&self, node: usize, link: LinkId) -> Option<AgentId> {
        let (wire, end) = self.nodes[node].links.get(&link)?;
        Some(self.nodes[self.wires[*wire].ends[1 - end].node].agent)
    }

    /// Gives a frame to the pump of a node; returns it where the node has none.
    pub fn pump(
        &mut self,
        node: usize,
        link: LinkId,
        lane: Lane,
        bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let (now, peer) = (Duration::from_micros(self.now), self.peer_of(node, link)?);
        let Some(paced) = &mut self.nodes[node].paced else { return Some(bytes) };
        if paced.links.insert(link) {
            paced.pump.open(now, peer);
        }
        let kind = kind_of(lane, &bytes);
        let frame = Arrived { link, lane, bytes: bytes.into(), kind };
        let offered = paced.pump.offer(now, peer, frame, false, &mut Vec::new());
        assert!(!matches!(offered, Offered::Held(_)), "nobody here sends so much control");
        if !std::mem::replace(&mut paced.is_busy, true) {
            let life = self.nodes[node].life;
            self.after(0, Event::Pumped { node, life });
        }
        None
    }

    /// A node has looked at a frame, or is to begin.
    pub fn pumped(&mut self, node: usize) {
        let now = Duration::from_micros(self.now);
        let this = &mut self.nodes[node];
        let Some(paced) = &mut this.paced else { return };
        while let Some(job) = paced.pump.job() {
            paced.pump.checked(&job, Proofs::default(), None);
        }
        let repairs = paced.pump.repairs(now);
        let taken =
            paced.pump.take(now, Lane::Control).or_else(|| paced.pump.take(now, Lane::Pubsub));
        let next = match &taken {
            Some(_) => Some(self.now + paced.pace),
            None => paced.pump.deadline().map(|at| at.as_micros() as Time),
        };
        paced.is_busy = next.is_some();
        let life = this.life;
        if let Some(at) = next {
            self.at(at, Event::Pumped { node, life });
        }
        let links: Vec<LinkId> = self.nodes[node].links.keys().copied().collect();
        for link in links {
            if self.peer_of(node, link).is_some_and(|peer| repairs.contains(&peer)) {
                self.tell(node, Input::Dropped { link });
            }
        }
        if let Some(taken) = taken {
            let (link, lane, bytes) = (taken.link, taken.lane, taken.bytes);
            self.tell(node, Input::Frame { link, lane, bytes });
        }
    }

    /// A pull is over.
    pub fn pump_repaired(&mut self, node: usize, from: AgentId) {
        if let Some(paced) = &mut self.nodes[node].paced {
            paced.pump.repaired(from);
        }
    }

    fn pumps(&self, node: usize) -> (LanesView, RepairsView) {
        let now = Duration::from_micros(self.now);
        let (lanes, _, repairs) = self.nodes[node].paced.as_ref().unwrap().pump.view(now);
        (lanes, repairs)
    }
}

#[test]
fn recv_pump_of_a_slow_node_drops_gossip_repairs_it_and_becomes_level_with_all() {
    let mut world = meet(91, 3);
    world.slow_down(2, 25 * MILLISECOND);
    // One says more in half a minute than another can look at in a minute.
    for at in 0..3_000 {
        world.at(world.now + at * 10 * MILLISECOND, Event::Work { node: 0 });
    }
    world.run_for(32 * SECOND);
    let (lanes, _) = world.pumps(2);
    assert!(lanes.pubsub.dropped_full > 1_000, "{lanes:?}");
    world.become_level(60 * SECOND);
    world.run_for(120 * SECOND);
    let (lanes, repairs) = world.pumps(2);
    eprintln!(
        "dropped {}, shed {}, repairs {}, dwell p99 of control {} us, of gossip {} us",
        lanes.pubsub.dropped_full,
        lanes.pubsub.shed_priority,
        repairs.begun_total,
        lanes.control.dwell_us.p99,
        lanes.pubsub.dwell_us.p99
    );
    assert_eq!((lanes.pubsub.latest_depth, repairs.outstanding), (0, 0), "it comes to rest");
    assert!((1..100).contains(&repairs.begun_total), "{repairs:?}");
    assert!(lanes.control.dwell_us.p99 * 10 <= lanes.pubsub.dwell_us.p99, "{lanes:?}");
    world.check_in_peace();
}

#[test]
fn a_pair_of_which_one_was_too_slow_hears_of_each_other_meanwhile_and_gossips_again_after_a_rest() {
    let mut world = meet(93, 2);
    let link = *world.nodes[0].links.keys().next().unwrap();
    world.tell(0, Input::Slow { link, is_detached: true });
    world.run_for(SECOND);
    let issues =
        |world: &mut World, node: usize| world.open_or_running(node).info().unwrap().issues;
    let both = |world: &mut World| (issues(world, 0), issues(world, 1));
    // By comparing: nobody is told otherwise.
    for node in [0, 1] {
        let (before, _) = both(&mut world);
        world.create(node);
        world.run_for(5 * SECOND);
        assert_eq!(both(&mut world), (before + 1, before + 1));
    }
    world.run_for(45 * SECOND);
    // By gossip: nothing is pulled.
    let pulls = |world: &World| world.counts.pulls_whole + world.counts.pulls_broken;
    let pulled = pulls(&world);
    for node in [0, 1] {
        let (before, _) = both(&mut world);
        world.create(node);
        world.run_for(SECOND / 2);
        assert_eq!(both(&mut world), (before + 1, before + 1));
    }
    assert_eq!(pulls(&world), pulled);
    world.check_in_peace();
}
