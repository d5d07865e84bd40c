//! What goes wrong, and a random schedule of it.

use x0x::hub::Input;
use x0x::link::policy::LinkId;
use x0x::wire::{self, Control, Digest, Lane};

use crate::machine::{Machine, Stands};
use crate::node::Left;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// How long there is trouble.
pub const TROUBLE: Time = 60 * SECOND;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// These nodes and the others hear nothing of each other.
    Partition {
        group: Vec<usize>,
        time: Time,
    },
    /// These nodes hear nothing of the others, who hear them.
    OneWay {
        group: Vec<usize>,
        time: Time,
    },
    /// What was cut is whole again.
    Heal {
        cuts: Vec<(usize, usize)>,
        is_one_way: bool,
    },
    /// Some link is dead.
    LinkDies,
    /// A link is dead over which a pull has brought something, once there is one.
    PullDies {
        until: Time,
    },
    /// A store takes long.
    Slow {
        node: usize,
        time: Time,
    },
    Quick {
        node: usize,
    },
    /// A node takes long to look at each frame, and drops gossip where too much waits.
    Busy {
        node: usize,
        pace: Time,
        time: Time,
    },
    AtEase {
        node: usize,
    },
    /// A node takes one of its peers for too slow to be its neighbour.
    TooSlow {
        node: usize,
    },
    Crash {
        node: usize,
        left: Left,
        time: Time,
    },
    /// A machine loses its power, and is started again.
    Reboot {
        node: usize,
        time: Time,
    },
    Pause {
        node: usize,
        time: Time,
        stands: Stands,
    },
    /// The wall clock of a node is set.
    Jump {
        node: usize,
        by_ms: i64,
    },
    /// Somebody joins by a ticket.
    Newcomer {
        issuer: usize,
    },
    Join {
        newcomer: usize,
        issuer: usize,
    },
    /// A node stops, and starts later.
    Leave {
        node: usize,
        time: Time,
    },
    /// A disk is kept for later.
    Keep {
        node: usize,
    },
    Import {
        node: usize,
        count: usize,
    },
    /// A node says what is of no use.
    Chatter {
        node: usize,
        frames: usize,
    },
    /// Somebody works where something will go wrong.
    Work {
        node: usize,
    },
    /// A worker leaves its claim alone for a while.
    Strike {
        node: usize,
        time: Time,
    },
    Resume {
        node: usize,
    },
    /// An agent loses its role.
    Revoke {
        node: usize,
    },
}

impl World {
    /// Draws what goes wrong in a run, and when.
    pub fn schedule(&mut self) -> Vec<(Time, Fault)> {
        let mut plan = Vec::new();
        let count = self.between(4, 12);
        for _ in 0..count {
            let at = self.between(4 * SECOND, TROUBLE - 2 * SECOND);
            let fault = self.some_fault();
            if let Fault::Crash { node, left: Left::Earlier | Left::Backup, .. } = fault {
                // Not long before, so that not everybody has all that is lost by it.
                let before = self.between(SECOND / 10, 15 * SECOND);
                plan.push((at.saturating_sub(before).max(SECOND), Fault::Keep { node }));
                plan.push((at.saturating_sub(before / 8), Fault::Work { node }));
            }
            plan.push((at, fault));
        }
        plan.sort_by_key(|(at, _)| *at);
        for (at, fault) in plan.clone() {
            self.at(at, Event::Fault(fault));
        }
        plan
    }

    /// Draws what goes wrong where many work, and when.
    pub fn schedule_for_workers(&mut self) -> Vec<(Time, Fault)> {
        let mut plan = Vec::new();
        for _ in 0..self.between(4, 9) {
            let at = self.between(10 * SECOND, TROUBLE);
            let (node, time) = (self.some_node(), self.between(2, 40) * SECOND);
            let fault = match self.below(100) {
                0..30 => Fault::Partition { group: self.some_group(), time },
                30..36 => Fault::OneWay { group: self.some_group(), time },
                36..56 => Fault::Strike { node, time },
                56..72 => Fault::Pause { node, time, stands: self.some_stand() },
                72..78 => Fault::Crash { node, left: Left::Synced, time },
                78..82 => Fault::Reboot { node, time },
                82..88 => Fault::Leave { node, time },
                88..92 => Fault::Jump {
                    node,
                    by_ms: self.between(0, 80_000_000_000) as i64 - 40_000_000_000,
                },
                92..95 if node > 0 => Fault::Revoke { node },
                _ => Fault::LinkDies,
            };
            plan.push((at, fault));
        }
        plan.sort_by_key(|(at, _)| *at);
        for (at, fault) in plan.clone() {
            self.at(at, Event::Fault(fault));
        }
        plan
    }

    fn some_stand(&mut self) -> Stands {
        [Stands::Stopped, Stands::Asleep, Stands::Suspended][self.below(3) as usize]
    }

    fn some_node(&mut self) -> usize {
        self.below(self.nodes.len() as u64) as usize
    }

    fn some_fault(&mut self) -> Fault {
        let node = self.some_node();
        let time = self.between(2, 25) * SECOND;
        match self.below(100) {
            0..16 => Fault::Partition { group: self.some_group(), time },
            16..24 => Fault::OneWay { group: self.some_group(), time },
            24..30 => Fault::LinkDies,
            30..38 => Fault::PullDies { until: TROUBLE },
            38..41 => Fault::Slow { node, time },
            41..44 => match self.chance(0.5) {
                true => Fault::Busy { node, pace: self.between(5, 80) * MILLISECOND, time },
                false => Fault::TooSlow { node },
            },
            44..62 => {
                let left = match self.below(8) {
                    0 | 1 => Left::Synced,
                    2..5 => Left::Amid,
                    5 | 6 => Left::Earlier,
                    _ => Left::Backup,
                };
                Fault::Crash { node, left, time: self.between(1, 15) * SECOND }
            }
            62..72 => Fault::Pause { node, time, stands: self.some_stand() },
            72..80 => {
                let by_ms = self.between(1_000, 40 * 86_400_000) as i64;
                Fault::Jump { node, by_ms: if self.chance(0.5) { by_ms } else { -by_ms } }
            }
            80..90 => Fault::Newcomer { issuer: node },
            90..98 => Fault::Leave { node, time },
            _ => Fault::Import { node, count: self.between(20, 120) as usize },
        }
    }

    fn some_group(&mut self) -> Vec<usize> {
        let count = self.nodes.len();
        let size = self.between(1, (count / 2).max(1) as u64) as usize;
        let first = self.some_node();
        let mut group: Vec<usize> = (0..size).map(|at| (first + at) % count).collect();
        group.sort_unstable();
        group
    }

    pub fn befall(&mut self, fault: Fault) {
        if !matches!(fault, Fault::PullDies { .. }) {
            self.say(|| format!("{fault:?}"));
        }
        match fault {
            Fault::Partition { group, time } => self.part(&group, time, false),
            Fault::OneWay { group, time } => self.part(&group, time, true),
            Fault::Heal { cuts, is_one_way } => {
                for (from, to) in cuts {
                    self.heal(from, to);
                }
                match is_one_way {
                    true => self.counts.one_way_healed += 1,
                    false => self.counts.partitions_healed += 1,
                }
            }
            Fault::LinkDies => {
                let alive: Vec<usize> =
                    (0..self.wires.len()).filter(|wire| self.wires[*wire].is_alive).collect();
                if !alive.is_empty() {
                    let wire = alive[self.below(alive.len() as u64) as usize];
                    self.counts.links_died += 1;
                    self.wire_dies(wire);
                }
            }
            Fault::PullDies { until } => match self.busy_wire() {
                Some(wire) => {
                    self.counts.links_died += 1;
                    self.wire_dies(wire);
                }
                None if self.now < until => {
                    self.after(SECOND / 10, Event::Fault(Fault::PullDies { until }));
                }
                None => {}
            },
            Fault::Slow { node, time } => {
                self.counts.slow_stores += 1;
                self.nodes[node].store_takes = (100 * MILLISECOND, 900 * MILLISECOND);
                self.after(time, Event::Fault(Fault::Quick { node }));
            }
            Fault::Quick { node } => {
                self.nodes[node].store_takes = (MILLISECOND / 5, 5 * MILLISECOND);
            }
            Fault::Busy { node, pace, time } => {
                if self.nodes[node].hub.is_some() && self.nodes[node].paced.is_none() {
                    self.counts.busy_nodes += 1;
                    self.slow_down(node, pace);
                    self.after(time, Event::Fault(Fault::AtEase { node }));
                }
            }
            Fault::AtEase { node } => self.speed_up(node),
            Fault::TooSlow { node } => {
                let links: Vec<LinkId> = self.nodes[node].links.keys().copied().collect();
                if !links.is_empty() && self.nodes[node].paused_at.is_none() {
                    self.counts.too_slow += 1;
                    let link = links[self.below(links.len() as u64) as usize];
                    self.tell(node, Input::Slow { link, is_detached: true });
                }
            }
            Fault::Crash { node, left, time } => {
                self.crash(node, left);
                let life = self.nodes[node].life;
                self.after(time, Event::Start { node, life });
                if left != Left::Synced {
                    // Before it hears of anybody.
                    self.after(time, Event::Work { node });
                }
            }
            Fault::Reboot { node, time } => {
                self.counts.reboots += 1;
                self.crash(node, Left::Synced);
                let machine = &mut self.nodes[node].machine;
                *machine = Machine { boot: machine.boot + 1, zero: self.now + time };
                let life = self.nodes[node].life;
                self.after(time, Event::Start { node, life });
            }
            Fault::Pause { node, time, stands } => self.pause(node, time, stands),
            Fault::Jump { node, by_ms } => {
                self.counts.clock_jumps += 1;
                self.nodes[node].clock_off_ms += by_ms;
            }
            Fault::Newcomer { issuer } => {
                let newcomer = self.add_stranger();
                self.start(newcomer);
                self.befall(Fault::Join { newcomer, issuer });
            }
            Fault::Join { newcomer, issuer } => {
                // Whoever is off hands no tickets out.
                let is_off = |node: usize| {
                    self.nodes[node].hub.is_none() || self.nodes[node].paused_at.is_some()
                };
                if is_off(issuer) || is_off(newcomer) || !self.may_grant(issuer) {
                    let later = Fault::Join { newcomer, issuer: 0 };
                    return self.after(5 * SECOND, Event::Fault(later));
                }
                self.counts.newcomers += 1;
                self.join(newcomer, issuer);
            }
            Fault::Leave { node, time } => {
                if self.nodes[node].hub.is_some() && self.nodes[node].paused_at.is_none() {
                    self.counts.left_and_back += 1;
                    self.stop(node);
                    self.after(time, Event::Start { node, life: self.nodes[node].life });
                }
            }
            Fault::Keep { node } => {
                self.keep_moment(node);
            }
            Fault::Import { node, count }
                if self.nodes[node].hub.is_some() && !self.nodes[node].is_revoked =>
            {
                self.import(node, count);
            }
            Fault::Import { .. } => {}
            Fault::Chatter { node, frames } => {
                let digest = Digest { list: self.list, hash: [0; 32], wants_answer: false };
                let frame = wire::encode(&Control::Digest(digest));
                let links: Vec<LinkId> = self.nodes[node].links.keys().copied().collect();
                for _ in 0..frames {
                    for link in &links {
                        self.send_frame(node, *link, Lane::Control, frame.clone());
                    }
                }
            }
            Fault::Work { node } => self.work(node),
            Fault::Strike { node, time } => {
                self.hire(node).is_off = true;
                self.after(time, Event::Fault(Fault::Resume { node }));
            }
            Fault::Resume { node } => self.hire(node).is_off = self.nodes[node].is_revoked,
            Fault::Revoke { node } => self.revoke(node),
        }
    }

    /// Returns a link over which a pull has brought something.
    pub fn busy_wire(&self) -> Option<usize> {
        let pulls = self.nodes.iter().flat_map(|node| &node.pulls);
        let mut busy =
            pulls.filter(|((wire, _), pull)| pull.has_some && self.wires[*wire].is_alive);
        busy.next().map(|((wire, _), _)| *wire)
    }

    pub fn may_grant(&mut self, node: usize) -> bool {
        let agent = self.nodes[node].agent;
        let charter = self.nodes[node].tracker().charter().unwrap();
        charter.role(agent) == Some(x0x_tracker::journal::charter::Role::Maintainer)
    }

    /// Cuts some nodes off from the others for a while.
    pub fn part(&mut self, group: &[usize], time: Time, is_one_way: bool) {
        let mut cuts = Vec::new();
        for inside in group.iter().copied() {
            for outside in (0..self.nodes.len()).filter(|node| !group.contains(node)) {
                cuts.push((outside, inside));
                if !is_one_way {
                    cuts.push((inside, outside));
                }
            }
        }
        cuts.retain(|cut| !self.cuts.contains_key(cut));
        for (from, to) in &cuts {
            self.cut(*from, *to);
        }
        self.after(time, Event::Fault(Fault::Heal { cuts, is_one_way }));
    }
}
