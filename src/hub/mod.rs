//! What a node decides: which links it wants, which lists it shares with whom, and what is said over
//! each lane. A state machine without IO; the driver carries frames, asks the store and keeps time.
//!
//! It puts three others together: `link::policy` (whom to call), `mesh` (gossip of a list) and
//! `replica` (repair of a list). It never waits: what the store or the network has to do comes back as
//! an input.
//!
//! Persist before send is an order of effects: a commit is announced by [`Input::Wrote`], which the
//! driver gives once the commit is on disk, and that this node has what came from others it tells only
//! after [`Input::Judged`] or [`Input::Received`]. Gossip of others is relayed before that, as it came.

mod around;
mod attention;
mod beats;
mod cards;
mod directory;
mod effect;
mod far;
mod forks;
mod gate;
mod held;
mod input;
mod joining;
mod kind;
mod link_state;
mod links;
mod lists;
mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::signature::Verifier;

use crate::entropy::{self, Seeded};
use crate::link::Farewell;
use crate::link::policy::{self, LinkId, Policy};
use crate::mesh;
use crate::wire::{self, Payload, Standing, WireError};
use around::Looks;
use cards::Cards;
use directory::Directory;
use far::Far;
pub use held::Held;
use joining::Joining;
use link_state::LinkState;
use lists::Shared;

pub use beats::BeatCounts;
pub use effect::{Effect, Note, Peer};
pub use far::FarPiece;
pub use input::Input;
pub use kind::kind_of;

/// Names a sync stream of a link, as the driver counts them.
pub type StreamId = u64;

/// What a node decides.
pub struct Hub {
    me: AgentId,
    program: String,
    verifier: Arc<dyn Verifier>,
    policy: Policy,
    links: BTreeMap<LinkId, LinkState>,
    /// The link that stands to each peer.
    peers: BTreeMap<AgentId, LinkId>,
    lists: BTreeMap<ListId, Shared>,
    joining: BTreeMap<ListId, Joining>,
    /// How many tickets the store looks at.
    redeeming: usize,
    cards: Cards,
    looks: Looks,
    directory: Directory,
    far: Far,
    rng: Seeded,
    is_stopping: bool,
}

impl Hub {
    /// Returns the hub of an agent's node.
    pub fn new(me: AgentId, program: &str, verifier: Arc<dyn Verifier>, seed: [u8; 32]) -> Self {
        let mut rng = entropy::seeded(seed);
        Self {
            me,
            program: program.to_owned(),
            verifier,
            policy: Policy::new(me, entropy::draw(&mut rng)),
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            lists: BTreeMap::new(),
            joining: BTreeMap::new(),
            redeeming: 0,
            cards: Cards::default(),
            looks: Looks::default(),
            directory: Directory::default(),
            far: Far::default(),
            rng,
            is_stopping: false,
        }
    }

    /// Takes an input. Time is that since the program started.
    pub fn handle(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Up { link, peer, public_key, binding, is_caller, address } => {
                let state = LinkState::new(now, peer, public_key, binding, is_caller, address);
                self.up(now, link, state, effects);
            }
            Input::Down { link, why } => self.down(now, link, why, effects),
            Input::DialFailed { address, wanted, why } => {
                self.dial_failed(now, address, wanted, why, effects);
            }
            Input::Frame { link, lane, bytes } => self.frame(now, link, lane, &bytes, effects),
            Input::Request { link, stream, bytes } => {
                self.request(now, link, stream, &bytes, effects);
            }
            Input::Dropped { link } => self.dropped(now, link, effects),
            Input::Slow { link, is_detached } => self.slow(now, link, is_detached, effects),
            Input::Opened { list, frontier, charter } => {
                self.opened(now, list, frontier, charter, effects);
            }
            Input::Wrote { list, place, payload } => {
                self.replica(now, list, crate::replica::Input::Wrote { place, payload }, effects);
            }
            Input::Judged { list, commits, verdicts } => {
                let input = crate::replica::Input::Judged { commits, verdicts };
                self.replica(now, list, input, effects);
            }
            Input::Received { list, from, places, charter } => {
                self.received(now, list, from, places, charter, effects);
            }
            Input::Pulled { list, from, standing } => {
                self.pulled(now, list, from, standing, effects);
            }
            Input::Forked { list, with, log, theirs } => {
                self.forked(now, list, with, log, theirs, effects);
            }
            Input::Settled { list, with, log, losers } => {
                self.settled(now, list, with, log, losers, effects);
            }
            Input::Lost { list, of, places } => self.lost(list, of, &places, effects),
            Input::Stated { list, charter, news } => {
                self.stated(now, list, charter, news, effects);
            }
            Input::Statements { list, link, statements } => {
                self.tell_statements(list, link, &statements, effects);
            }
            Input::Redeemed { list, link, outcome } => {
                self.redeemed(now, list, link, outcome, effects);
            }
            Input::StatementsKept { list, role } => self.statements_kept(list, role, effects),
            Input::Join(ticket) => self.join(now, ticket, effects),
            Input::Beaten { list, claims } => {
                self.beaten(list, claims);
                self.tick_beats(now, list, effects);
            }
            Input::Promised { list, given, over, are_all } => {
                self.promised(list, given, &over, are_all);
                self.tick_beats(now, list, effects);
            }
            Input::Beat { list, beat } => self.beat(list, beat, effects),
            Input::Card(card) => self.own_card(card, effects),
            Input::Known(known) => self.known(now, known, effects),
            Input::Reach(agent) => self.want(now, agent, effects),
            Input::Fetch { list, from } => self.fetch(now, list, from, effects),
            Input::Whisper { to, sealed, but } => self.whisper(now, to, sealed, but, effects),
            Input::Far { from, run, bytes } => self.far(now, from, run, &bytes, effects),
            Input::FarItems { list, to, items } => self.far_items(list, to, items, effects),
            Input::FarStored { piece, is_news, is_stopped } => {
                self.far_stored(now, piece, is_news, is_stopped);
            }
            Input::Look { uptime_ms, wall_ms } => self.look(now, uptime_ms, wall_ms, effects),
            Input::Woke => self.ask_policy(now, policy::Input::Woke, effects),
            Input::Stop => self.stop(now, effects),
            Input::Tick => self.tick(now, effects),
        }
        self.tell_around(effects);
    }

    /// Returns when [`Input::Tick`] is to come at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let lists = self.lists.values().filter_map(Shared::deadline);
        let links = self.links.values().filter_map(LinkState::deadline);
        lists.chain(links).chain(self.policy.deadline()).chain(self.cards.deadline()).min()
    }

    /// Returns the peers that are linked, by agent.
    pub fn peers(&self) -> Vec<Peer> {
        let of = |(agent, link): (&AgentId, &LinkId)| {
            let state = self.links.get(link)?;
            let level = |list: &ListId| {
                self.lists.get(list).is_some_and(|shared| shared.replica.is_level_with(*agent))
            };
            Some(Peer {
                agent: *agent,
                link: *link,
                program: state.program.clone(),
                rules: state.rules(),
                lists: state.lists.iter().map(|list| (*list, level(list))).collect(),
            })
        };
        self.peers.iter().filter_map(of).collect()
    }

    /// Returns how far this node is in a list.
    pub fn standing(&self, list: ListId) -> Option<&Standing> {
        Some(self.lists.get(&list)?.replica.standing())
    }

    /// Returns the lists that this agent waits to join, with who is to let it in.
    pub fn joining(&self) -> Vec<(ListId, AgentId)> {
        self.joining.iter().map(|(list, joining)| (*list, joining.ticket.issuer)).collect()
    }

    /// Does what is due.
    fn tick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.ask_policy(now, policy::Input::Tick, effects);
        self.end_silent(now, effects);
        self.tick_cards(now, effects);
        let lists: BTreeSet<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            self.tick_list(now, list, effects);
        }
    }

    /// Gives the policy an input, and does what it wants.
    fn ask_policy(&mut self, now: Duration, input: policy::Input, effects: &mut Vec<Effect>) {
        let mut wanted = Vec::new();
        self.policy.handle(now, input, &mut wanted);
        for effect in wanted {
            match effect {
                policy::Effect::Dial { address, wanted } => {
                    effects.push(Effect::Dial { address, wanted });
                }
                policy::Effect::End { link, why } => effects.push(Effect::End { link, why }),
                policy::Effect::PeerUp(peer, link) => self.peer_up(now, peer, link, effects),
                policy::Effect::PeerDown(peer) => self.peer_down(now, peer, effects),
                // Others are linked in plenty; who is not will be asked for again.
                policy::Effect::NoRoom(_) => {}
            }
        }
    }

    /// Broadcasts something in a list.
    fn broadcast(
        &mut self,
        now: Duration,
        list: ListId,
        payload: &Payload,
        effects: &mut Vec<Effect>,
    ) {
        let payload = wire::encode(payload);
        self.mesh(now, list, mesh::Input::Broadcast(payload), effects);
    }

    /// Ends a link whose other side broke the protocol.
    fn breach(&mut self, link: LinkId, what: &dyn std::fmt::Display, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get_mut(&link).filter(|state| !state.is_ended) else {
            return;
        };
        state.is_ended = true;
        effects.push(Effect::Note(Note::Breach { peer: state.peer, what: what.to_string() }));
        effects.push(Effect::End { link, why: Farewell::Breach });
    }

    fn stop(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.is_stopping = true;
        let lists: BTreeSet<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            self.leave(now, list, effects);
        }
        self.ask_policy(now, policy::Input::Stop, effects);
    }
}

/// What a peer may not do.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Bytes that are no frame.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A frame that may not come so.
    #[error("{0}")]
    Order(&'static str),
}

#[cfg(test)]
mod tests;
