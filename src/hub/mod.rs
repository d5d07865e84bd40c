//! What a node decides: which links it wants, which lists it shares with whom, and what is said over
//! each lane. A state machine without IO; the driver carries frames, asks the store and keeps time.
//!
//! It puts three others together: `link::policy` (whom to call), `mesh` (gossip of a list) and
//! `replica` (repair of a list). It never waits: what the store or the network has to do comes back as
//! an input.
//!
//! Persist before send is an order of effects: a commit is announced by [`Input::Wrote`], which the
//! driver gives once the commit is on disk, and what came from others is told on only after
//! [`Input::Judged`] or [`Input::Received`].

mod cards;
mod gate;
mod held;
mod joining;
mod links;
mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::charter::{Charter, Role, Signed};
use x0x_tracker::journal::commit::{Commit, Position};
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::signature::Verifier;
use x0x_tracker::tasklist::Verdict;

use crate::entropy::{self, Seeded};
use crate::link::Farewell;
use crate::link::policy::{self, LinkId, Policy};
use crate::wire::{JoinRefusal, Lane, SignedCard, Standing, Ticket, WireError};
use cards::Cards;
pub use held::Held;
use joining::Joining;
use links::LinkState;
use lists::Shared;

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
    cards: Cards,
    rng: Seeded,
    is_stopping: bool,
}

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// A handshake was carried through.
    Up {
        /// The link, under a name that no other had.
        link: LinkId,
        /// Who is at the other end.
        peer: AgentId,
        /// That agent's public key.
        public_key: Vec<u8>,
        /// What TLS exports for this link, the same on both sides.
        binding: [u8; 32],
        /// Whether this side called.
        is_caller: bool,
        /// Where the other side is.
        address: SocketAddr,
    },
    /// A link has ended.
    Down {
        /// Which.
        link: LinkId,
        /// Why.
        why: policy::End,
    },
    /// A call brought no link.
    DialFailed {
        /// Where.
        address: SocketAddr,
        /// Who was called.
        wanted: Option<AgentId>,
        /// Why.
        why: policy::Failure,
    },
    /// A frame came.
    Frame {
        /// On which link.
        link: LinkId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The request of a sync stream came.
    Request {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// The request.
        bytes: Vec<u8>,
    },
    /// A frame to or from a peer was dropped because its queue is full.
    Dropped {
        /// On which link.
        link: LinkId,
    },
    /// A list is open, and as far as this; also after others wrote to it.
    Opened {
        /// The list.
        list: ListId,
        /// Where its logs are.
        frontier: Frontier,
        /// Who belongs to it.
        charter: Charter,
    },
    /// This store has commits of its own that are on disk.
    Wrote {
        /// In which list.
        list: ListId,
        /// Where its log is now.
        place: (LogId, Position),
        /// The commit, where it is one alone.
        commit: Option<Commit>,
    },
    /// The store judged what [`Effect::Judge`] gave it.
    Judged {
        /// In which list.
        list: ListId,
        /// The commits.
        commits: Vec<Proved>,
        /// What became of each.
        verdicts: Vec<Verdict>,
    },
    /// A part of the answer to a pull is stored.
    Received {
        /// In which list.
        list: ListId,
        /// From whom.
        from: AgentId,
        /// Where logs are now.
        places: Vec<(LogId, Position)>,
        /// The charter, where it has more statements now.
        charter: Option<Charter>,
    },
    /// A pull is over.
    Pulled {
        /// In which list.
        list: ListId,
        /// From whom.
        from: AgentId,
        /// How far the other side is, where it came to its end.
        standing: Option<Standing>,
    },
    /// A peer that asked for commits has others than this side in a log.
    Forked {
        /// In which list.
        list: ListId,
        /// Who.
        with: AgentId,
        /// In which log.
        log: LogId,
        /// A place in it that the peer has.
        theirs: Position,
    },
    /// What [`Effect::Fork`] wanted is done, or cannot be done now.
    Settled {
        /// In which list.
        list: ListId,
        /// With whom.
        with: AgentId,
        /// In which log.
        log: LogId,
    },
    /// The charter of a list has more statements now.
    Stated {
        /// In which list.
        list: ListId,
        /// The charter.
        charter: Charter,
        /// The statement that was new, if it was not heard by gossip.
        news: Option<Signed>,
    },
    /// The store redeemed a ticket, or not.
    Redeemed {
        /// In which list.
        list: ListId,
        /// Who asked, on which link.
        link: LinkId,
        /// The role, and what the newcomer must know.
        outcome: Result<(Role, Vec<Signed>), JoinRefusal>,
    },
    /// Somebody wants to join a list.
    Join(Ticket),
    /// Where this node can be called.
    Card(SignedCard),
    /// Where other agents were before.
    Known(Vec<(AgentId, Vec<SocketAddr>)>),
    /// The machine slept, or the network is another.
    Woke,
    /// The node stops.
    Stop,
    /// The deadline passed.
    Tick,
}

/// What the hub wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Call an address; answered by [`Input::Up`] or [`Input::DialFailed`].
    Dial {
        /// Where.
        address: SocketAddr,
        /// Who must answer; `None` for anybody.
        wanted: Option<AgentId>,
    },
    /// End a link.
    End {
        /// Which.
        link: LinkId,
        /// What to tell the other side.
        why: Farewell,
    },
    /// Send a frame.
    Send {
        /// On which link.
        link: LinkId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Open a sync stream and give the store what comes; answered by [`Input::Pulled`].
    Pull {
        /// On which link.
        link: LinkId,
        /// From whom.
        from: AgentId,
        /// For which list.
        list: ListId,
        /// How far this node is.
        standing: Standing,
    },
    /// Send on a sync stream what the other side lacks.
    Serve {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Who asks.
        to: AgentId,
        /// How far the other side is.
        standing: Standing,
    },
    /// Send on a sync stream headers of a log.
    ServeHeaders {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Of which log.
        log: LogId,
        /// From which number on.
        from: u64,
    },
    /// Send on a sync stream what an agent wrote that does not count here.
    ServeLost {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Who asks, for what it wrote.
        to: AgentId,
    },
    /// Say on a sync stream that nothing is served.
    Refuse {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
    },
    /// Have the store judge commits; answered by [`Input::Judged`].
    Judge {
        /// Of which list.
        list: ListId,
        /// The commits.
        commits: Vec<Proved>,
    },
    /// Have the store take statements; answered by [`Input::Stated`] where some are new.
    State {
        /// Of which list.
        list: ListId,
        /// The statements.
        statements: Vec<Signed>,
    },
    /// Have the store redeem a ticket; answered by [`Input::Redeemed`].
    Redeem {
        /// Of which list.
        list: ListId,
        /// For whom.
        link: LinkId,
        /// The ticket's secret.
        secret: [u8; 32],
        /// The public key of the agent that shows it.
        public_key: Vec<u8>,
    },
    /// Find out where a neighbour's log parts from the one here, and settle which branch counts.
    Fork {
        /// On which link.
        link: LinkId,
        /// Of which list.
        list: ListId,
        /// Who.
        with: AgentId,
        /// Which log.
        log: LogId,
        /// A place in it that the neighbour has.
        theirs: Position,
    },
    /// A neighbour knows more of a log that this store writes, or knows a commit of it to be void: go on
    /// in a new one, fetch what the neighbour keeps of it that does not count, and write that again.
    OwnLog {
        /// On which link.
        link: LinkId,
        /// Of which list.
        list: ListId,
        /// Which log.
        log: LogId,
        /// The void commit, where there is one.
        void: Option<Position>,
    },
    /// Remember where an agent was reached.
    Remember {
        /// Who.
        agent: AgentId,
        /// Where, best first.
        addresses: Vec<SocketAddr>,
    },
    /// Something that people may want to know.
    Note(Note),
}

/// Something that people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A peer is linked that shares this list.
    Shared {
        /// Who.
        peer: AgentId,
        /// Which list.
        list: ListId,
    },
    /// The link to a peer is gone.
    Gone {
        /// Who.
        peer: AgentId,
    },
    /// A peer broke the protocol, and its link was ended.
    Breach {
        /// Who.
        peer: AgentId,
        /// What it did.
        what: String,
    },
    /// A peer shares no list with this node.
    Stranger {
        /// Who.
        peer: AgentId,
    },
    /// This agent is a member now.
    Joined {
        /// Of which list.
        list: ListId,
        /// In which role.
        role: Role,
    },
    /// The ticket was refused.
    NotJoined {
        /// Of which list.
        list: ListId,
        /// Why.
        why: JoinRefusal,
    },
    /// A call failed in a way that will not pass by itself.
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What is the matter.
        why: policy::Failure,
    },
}

/// A neighbour, as people are shown it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub agent: AgentId,
    /// On which link.
    pub link: LinkId,
    /// Which program it runs.
    pub program: String,
    /// Which lists are shared, and whether both were equally far when last compared.
    pub lists: Vec<(ListId, bool)>,
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
            cards: Cards::default(),
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
            Input::Opened { list, frontier, charter } => {
                self.opened(now, list, frontier, charter, effects);
            }
            Input::Wrote { list, place, commit } => {
                self.replica(now, list, crate::replica::Input::Wrote { place, commit }, effects);
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
                self.forked(list, with, log, theirs, effects);
            }
            Input::Settled { list, with, log } => self.settled(now, list, with, log, effects),
            Input::Stated { list, charter, news } => {
                self.stated(now, list, charter, news, effects);
            }
            Input::Redeemed { list, link, outcome } => self.redeemed(list, link, outcome, effects),
            Input::Join(ticket) => self.join(now, ticket, effects),
            Input::Card(card) => self.own_card(card, effects),
            Input::Known(known) => self.known(now, known, effects),
            Input::Woke => self.ask_policy(now, policy::Input::Woke, effects),
            Input::Stop => self.stop(now, effects),
            Input::Tick => self.tick(now, effects),
        }
    }

    /// Returns when [`Input::Tick`] is to come at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let lists = self.lists.values().filter_map(Shared::deadline);
        let links = self.links.values().filter_map(LinkState::deadline);
        lists.chain(links).chain(self.policy.deadline()).min()
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

    /// Ends a link whose other side broke the protocol.
    fn breach(&mut self, link: LinkId, what: &dyn std::fmt::Display, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get(&link) else { return };
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
