//! What a hub wants of its store: one thing after another, each after a while, as `src/node/keeper.rs`
//! does. What is to be done about forks and about one's own log is all here.

use x0x::clerk;
use x0x::hub::{Effect, Input};

use crate::world::{Event, World};

/// Something that is done with a store.
pub type Job = Box<dyn FnOnce(&mut World, usize)>;

/// Whether logs that parted are settled: before, no node is given an earlier disk of the same place.
pub const FORKS_ARE_SETTLED: bool = false;

impl World {
    /// Has something done with the store of a node.
    pub fn store(&mut self, node: usize, job: impl FnOnce(&mut World, usize) + 'static) {
        self.nodes[node].jobs.push_back(Box::new(job));
        self.go_on_storing(node);
    }

    fn go_on_storing(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        if this.jobs.is_empty() || std::mem::replace(&mut this.is_storing, true) {
            return;
        }
        let (life, (least, most)) = (this.life, this.store_takes);
        let takes = self.between(least, most);
        self.after(takes, Event::Stored { node, life });
    }

    pub fn do_job(&mut self, node: usize) {
        let Some(job) = self.nodes[node].jobs.pop_front() else { return };
        self.set_clock(node);
        job(self, node);
        self.nodes[node].is_storing = false;
        self.go_on_storing(node);
    }

    /// Announces what is new in a store's own log.
    pub fn announce(&mut self, node: usize) {
        let (list, told) = (self.list, self.nodes[node].told);
        let Some((place, commit)) = clerk::news(self.nodes[node].tracker(), told).unwrap() else {
            return;
        };
        self.counts.announced += u64::from(commit.as_ref().is_none_or(|commit| {
            commit.header.len() + commit.body.len() > x0x::replica::BROADCAST_BYTES_MAX
        }));
        self.nodes[node].told = Some(place);
        self.tell(node, Input::Wrote { list, place, commit });
    }

    pub fn run_errand(&mut self, node: usize, effect: Effect) {
        let list = self.list;
        match effect {
            Effect::Judge { commits, .. } => self.store(node, move |world, node| {
                let judged = clerk::judge(world.nodes[node].tracker(), list, commits);
                world.tell(node, judged);
            }),
            Effect::State { statements, .. } => self.store(node, move |world, node| {
                let stated = clerk::state(world.nodes[node].tracker(), list, &statements);
                if let Some(stated) = stated {
                    world.tell(node, stated);
                }
            }),
            Effect::Redeem { list, link, secret, public_key } => {
                let ours = self.list;
                self.store(node, move |world, node| {
                    let tracker = Some(world.nodes[node].tracker()).filter(|_| list == ours);
                    for told in clerk::redeem(tracker, list, link, &secret, &public_key) {
                        world.tell(node, told);
                    }
                });
            }
            Effect::Fork { with, log, .. } => self.store(node, move |world, node| {
                world.counts.forks += 1;
                world.tell(node, Input::Settled { list, with, log });
            }),
            Effect::OwnLog { .. } => self.counts.own_logs += 1,
            other => panic!("nobody does this: {other:?}"),
        }
    }
}
