//! What a hub wants of its store: one thing after another, each after a while, as `src/node/keeper.rs`
//! does. What is to be done about forks and about one's own log is all here.

use x0x::clerk;
use x0x::hub::{Effect, Input};
use x0x::link::policy::LinkId;
use x0x::wire::Payload;
use x0x_tracker::LocalTracker;
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::run::Run;
use x0x_tracker::tasklist::Settled;
use x0x_tracker::testing::StandInVerifier;

use crate::world::{Event, World};

/// Something that is done with a store.
pub type Job = Box<dyn FnOnce(&mut World, usize)>;

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
        self.follow_claims(node);
        self.nodes[node].is_storing = false;
        self.go_on_storing(node);
    }

    /// Announces what is new in a store's own log.
    pub fn announce(&mut self, node: usize) {
        let (list, told) = (self.list, self.nodes[node].told);
        let Some((place, payload)) = clerk::news(self.nodes[node].tracker(), told).unwrap() else {
            return;
        };
        self.counts.announced += u64::from(!matches!(payload, Some(Payload::Commit(_))));
        self.nodes[node].told = Some(place);
        self.tell(node, Input::Wrote { list, place, payload });
    }

    pub fn run_errand(&mut self, node: usize, effect: Effect) {
        let list = self.list;
        match effect {
            Effect::Judge { commits, .. } => self.store(node, move |world, node| {
                let judged = clerk::judge(Some(world.nodes[node].tracker()), list, commits);
                world.tell(node, judged);
                world.catch_up(node);
            }),
            Effect::State { statements, are_shown, .. } => self.store(node, move |world, node| {
                let stated = clerk::state(world.nodes[node].tracker(), list, &statements);
                if let Some(stated) = stated {
                    world.tell(node, stated);
                    world.write_again(node, clerk::adopt);
                }
                if are_shown {
                    let kept = clerk::statements_kept(Some(world.nodes[node].tracker()), list);
                    world.tell(node, kept);
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
            Effect::Beat { kind, claims, .. } => self.store(node, move |world, node| {
                world.sign_beat(node, kind, &claims);
            }),
            Effect::Hear { beat, .. } => self.store(node, move |world, node| {
                world.nodes[node].tracker().hear(&beat).unwrap();
            }),
            Effect::NameLost { of, .. } => self.store(node, move |world, node| {
                for told in clerk::name_lost(world.nodes[node].tracker(), list, &of) {
                    world.tell(node, told);
                }
            }),
            Effect::NameStatements { link, .. } => self.store(node, move |world, node| {
                let named = clerk::name_statements(world.nodes[node].tracker(), list, link);
                world.tell(node, named.unwrap());
            }),
            Effect::Fork { link, with, log, theirs, .. } => {
                self.counts.forks += 1;
                self.ask_headers(node, link, with, log, clerk::fork_from(theirs), 0);
            }
            Effect::OwnLogs { link, places, .. } => self.store(node, move |world, node| {
                world.counts.own_logs += places.len() as u64;
                let tracker = world.nodes[node].tracker();
                if clerk::leave_logs(tracker, &places).unwrap() {
                    world.ask_lost(node, link);
                }
            }),
            other => panic!("nobody does this: {other:?}"),
        }
    }

    /// Has the store settle a fork by headers of the other branch.
    pub fn settle(
        &mut self,
        node: usize,
        link: LinkId,
        with: AgentId,
        log: LogId,
        run: Run,
        steps: usize,
    ) {
        self.store(node, move |world, node| {
            let (list, tracker) = (world.list, world.nodes[node].tracker());
            let mut losers = Vec::new();
            match clerk::settle_fork(tracker, &StandInVerifier, list, &run) {
                Ok(Settled::Earlier { from } | Settled::Later { from }) => {
                    return world.ask_headers(node, link, with, log, from, steps);
                }
                Ok(settled @ Settled::Theirs { .. }) => {
                    losers = clerk::losers(&settled);
                    if let Settled::Theirs { retracted, .. } = settled {
                        world.counts.retracted += retracted.len() as u64;
                    }
                    world.write_again(node, clerk::write_again);
                }
                Ok(_) | Err(TrackerError::Journal(_)) => {}
                Err(error) => panic!("{error}"),
            }
            world.tell(node, Input::Settled { list, with, log, losers });
        });
    }

    /// Writes again what waited for an issue that another author has brought back now.
    pub fn catch_up(&mut self, node: usize) {
        if self.nodes[node].tracker().may_reissue().unwrap() {
            self.write_again(node, clerk::write_again);
        }
    }

    /// Writes again what counts no longer, or now, and tells how far the store is.
    pub fn write_again(
        &mut self,
        node: usize,
        act: impl FnOnce(&mut LocalTracker, ListId) -> Result<(), TrackerError>,
    ) {
        let list = self.list;
        if self.nodes[node].hub.is_none() {
            return;
        }
        self.set_clock(node);
        act(self.nodes[node].tracker(), list).unwrap();
        let opened = clerk::opened(self.nodes[node].tracker(), list).unwrap();
        self.tell(node, opened);
        self.announce(node);
    }
}
