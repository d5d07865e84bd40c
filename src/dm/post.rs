//! The post of one agent: it takes messages in, sends them, takes those of others, and acknowledges them. It
//! decides from what it is told, and does nothing itself.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Verifier;

use super::counts::{Counts, Row};
use super::error::DmError;
use super::inbox::Inbox;
use super::message::{Carried, DmPath, DmReceipt, Draft, Envelope};
use super::outbox::{Outbox, Pending};
use super::store::{Kept, Op};
use super::wire::{Ack, Frame, Place};
use crate::entropy::{Seeded, seeded};

/// The name of a message in the outbox: they grow in the order in which messages were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order(pub u64);

/// What a post begins with.
pub struct Start {
    /// Whose post it is.
    pub me: AgentId,
    /// Which log it begins: greater than every one before.
    pub log: u64,
    /// What its waits and ids follow from.
    pub seed: [u8; 32],
    /// How signatures are checked.
    pub verifier: Arc<dyn Verifier>,
    /// What is on disk.
    pub stored: super::store::Stored,
}

/// What the post is told.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants to send a message, and is told of it under this number until it is forgotten.
    Send {
        /// The number, which no other request has.
        request: u64,
        /// The message.
        draft: Draft,
        /// Whether the message is given up where the recipient's inbox is full.
        ends_on_full: bool,
    },
    /// Whoever asked is gone.
    Forget {
        /// The number of the request.
        request: u64,
    },
    /// This many writes are on disk, counted from the first.
    Stored(u64),
    /// Nothing that was to be written and is not stored yet will be, up to [`Op::Resume`].
    NotStored(String),
    /// A link has come up.
    Up(AgentId),
    /// A link has ended.
    Down(AgentId),
    /// A frame to an agent could not be sent over its link just now.
    NotSent(AgentId),
    /// A frame came from an agent, who proved that it is it.
    Frame {
        /// From whom.
        from: AgentId,
        /// That agent's public key.
        public_key: Arc<[u8]>,
        /// Which way.
        path: DmPath,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// These agents belong to task lists of this node.
    Members(BTreeSet<AgentId>),
    /// It is known where to call an agent.
    Callable(AgentId),
    /// It is known for whom to seal what goes to an agent.
    Sealable(AgentId),
    /// Messages of an agent are not taken any more, or again.
    Block(AgentId, bool),
    /// The issues that a message carries are here, or could not be had for now.
    Fetched {
        /// Whose message.
        from: AgentId,
        /// Which.
        place: Place,
        /// Whether they are here.
        are_here: bool,
    },
    /// Messages up to this one are released.
    Release(u64),
    /// The deadline passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Write; the answer is [`Input::Stored`].
    Write(Op),
    /// Send a frame over a link to an agent.
    Send(AgentId, Vec<u8>),
    /// Seal a frame for an agent and send it through others.
    Whisper(AgentId, Vec<u8>),
    /// Make a link to an agent.
    Call(AgentId),
    /// Sign an acknowledgement and send it over a link or, where there is none, through others.
    Acknowledge(Ack),
    /// Tell whoever made a request.
    Tell(u64, Progress),
    /// A message is in the inbox, and on disk.
    Arrived(Arc<Envelope>),
    /// Have issues brought that a message carries; the answer is [`Input::Fetched`].
    Fetch {
        /// Who has them.
        from: AgentId,
        /// Which message waits for them.
        place: Place,
        /// The issues.
        issues: Vec<Carried>,
    },
    /// A member said something about a task list through others.
    Far {
        /// Who.
        from: AgentId,
        /// The run of its node in which it was said.
        run: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// An agent sent what is no frame.
    Breach(AgentId),
}

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is queued.
    Queued(DmReceipt),
    /// It is on disk here.
    Accepted(DmReceipt),
    /// It is on disk there.
    Delivered(DmReceipt),
    /// It was not sent, or is given up.
    Failed(DmError),
}

/// How much waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Messages to be delivered.
    pub outbox: usize,
    /// Their bytes.
    pub outbox_bytes: usize,
    /// Messages that came and were not released.
    pub inbox: usize,
    /// Their bytes.
    pub inbox_bytes: usize,
    /// How many messages wait to be delivered to each agent.
    pub outbox_by_peer: BTreeMap<String, usize>,
}

/// What waits for a write.
#[derive(Debug)]
enum Written {
    /// A message of the outbox.
    Out { to: AgentId, order: Order },
    /// A message of the inbox; where it is one to oneself, who asked for it and when.
    In { envelope: Arc<Envelope>, own: Option<(Order, Duration)> },
    /// Something that nobody waits for.
    Other,
}

/// A message id that was used.
#[derive(Debug)]
struct Known {
    digest: [u8; 32],
    order: Order,
    receipt: Option<DmReceipt>,
}

/// The post of one agent.
pub struct Post {
    me: AgentId,
    log: u64,
    numbers: BTreeMap<AgentId, u64>,
    next_order: u64,
    random: Seeded,
    verifier: Arc<dyn Verifier>,
    outbox: Outbox,
    inbox: Inbox,
    members: BTreeSet<AgentId>,
    blocked: BTreeSet<AgentId>,
    links: BTreeMap<AgentId, usize>,
    callable: BTreeSet<AgentId>,
    sealable: BTreeSet<AgentId>,
    /// Writes that are not on disk yet, by number.
    writing: VecDeque<(u64, Written)>,
    writes: u64,
    waiting: BTreeMap<Order, Vec<u64>>,
    requests: BTreeMap<u64, Order>,
    known: BTreeMap<(AgentId, String), Known>,
    /// Ids in the order in which they were used, those that were given apart from those that were drawn.
    known_order: [VecDeque<(AgentId, String, Order)>; 2],
    /// When a message that came again was last acknowledged again, by sender.
    repeated: BTreeMap<AgentId, Duration>,
    /// Messages whose issues are being brought, and whether those are here.
    fetching: BTreeMap<(AgentId, Place), bool>,
    counts: Counts,
    /// How many messages of agents that are no members came.
    strangers: u64,
    now_ms: i64,
}

impl Post {
    /// Returns the post as its disk has it.
    pub fn new(now: Duration, start: Start) -> Self {
        let Start { me, log, seed, verifier, stored } = start;
        let inbox = Inbox::new(stored.next_number, stored.inbox, stored.heads);
        let mut post = Self {
            me,
            log,
            numbers: BTreeMap::new(),
            next_order: stored.next_order,
            random: seeded(seed),
            verifier,
            outbox: Outbox::default(),
            inbox,
            members: BTreeSet::new(),
            blocked: stored.blocked,
            links: BTreeMap::new(),
            callable: BTreeSet::new(),
            sealable: BTreeSet::new(),
            writing: VecDeque::new(),
            writes: 0,
            waiting: BTreeMap::new(),
            requests: BTreeMap::new(),
            known: BTreeMap::new(),
            known_order: Default::default(),
            repeated: BTreeMap::new(),
            fetching: BTreeMap::new(),
            counts: Counts::default(),
            strangers: 0,
            now_ms: 0,
        };
        for kept in stored.kept {
            let Kept { order, to, digest, receipt } = kept;
            let message_id = receipt.message_id.clone();
            let known = Known { digest, order, receipt: Some(receipt) };
            post.remember((to, message_id), known, true);
        }
        for (order, message, left) in stored.outbox {
            post.know(&message, order, true);
            let pending = Pending {
                order,
                expires: now + left,
                asked: now,
                accepted_at_ms: Some(message.sent_at_ms),
                is_named: true,
                attempts: 0,
                tried: BTreeSet::new(),
                path: None,
                ends_on_full: false,
                stranger_since: None,
                message: Arc::new(message),
            };
            post.outbox.push(now, pending);
        }
        post
    }

    /// Takes in what happened, and adds what is to be done. `now` never goes back; `now_ms` is the wall clock.
    pub fn handle(&mut self, now: Duration, now_ms: i64, input: Input, effects: &mut Vec<Effect>) {
        self.now_ms = now_ms;
        match input {
            Input::Send { request, draft, ends_on_full } => {
                if let Err(error) = self.send(now, request, draft, ends_on_full, effects) {
                    effects.push(Effect::Tell(request, Progress::Failed(error)));
                }
            }
            Input::Forget { request } => self.forget(request),
            Input::Stored(up_to) => self.stored(now, up_to, effects),
            Input::NotStored(what) => self.not_stored(&what, effects),
            Input::Up(peer) => {
                *self.links.entry(peer).or_default() += 1;
                if self.members.contains(&peer) {
                    self.callable.insert(peer);
                }
                self.outbox.linked(peer);
                self.pump(now, peer, effects);
            }
            Input::Down(peer) => {
                if let Some(links) = self.links.get_mut(&peer) {
                    *links -= 1;
                    if *links == 0 {
                        self.links.remove(&peer);
                    }
                }
                // What went over that one may be lost.
                self.outbox.linked(peer);
                self.pump(now, peer, effects);
            }
            Input::NotSent(peer) => self.outbox.hold(now, peer),
            Input::Frame { from, public_key, path, bytes } => match Frame::read(&bytes) {
                Ok(frame) => self.frame(now, from, &public_key, path, frame, effects),
                Err(_malformed) => effects.push(Effect::Breach(from)),
            },
            Input::Members(members) => {
                self.members = members;
                self.members.remove(&self.me);
                self.repeated.clear();
                self.fetching.retain(|(from, _), _| self.members.contains(from));
                // Those whose keys and addresses are known were members once.
                self.callable.retain(|agent| self.members.contains(agent));
                self.sealable.retain(|agent| self.members.contains(agent));
            }
            Input::Callable(peer) => {
                if self.callable.insert(peer) {
                    self.pump(now, peer, effects);
                }
            }
            Input::Sealable(peer) => {
                if self.sealable.insert(peer) {
                    self.pump(now, peer, effects);
                }
            }
            Input::Block(agent, is_blocked) => {
                match is_blocked {
                    true => self.blocked.insert(agent),
                    false => self.blocked.remove(&agent),
                };
                self.write(Op::Block(agent, is_blocked), Written::Other, effects);
            }
            Input::Fetched { from, place, are_here: true } => {
                self.fetching.insert((from, place), true);
            }
            Input::Fetched { from, place, are_here: false } => {
                self.fetching.remove(&(from, place));
            }
            Input::Release(up_to) => {
                let up_to = up_to.min(self.inbox.newest());
                if self.inbox.release(up_to) > 0 {
                    self.write(Op::Release(up_to), Written::Other, effects);
                }
            }
            Input::Tick => {}
        }
        self.pass(now, effects);
    }

    /// Returns the number of this run: greater than that of every run before.
    pub fn run(&self) -> u64 {
        self.log
    }

    /// Returns when [`Input::Tick`] is to come at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        self.outbox.deadline()
    }

    /// Returns what became of messages, by peer and way.
    pub fn rows(&self) -> Vec<Row> {
        self.counts.rows(self.me)
    }

    /// Returns how many messages came of agents that are no members.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Returns how much waits.
    pub fn depth(&self) -> Depth {
        let ((outbox, outbox_bytes), (inbox, inbox_bytes)) =
            (self.outbox.depth(), self.inbox.depth());
        let by_peer = self.outbox.recipients().map(|to| (to.to_string(), self.outbox.depth_of(to)));
        let outbox_by_peer = by_peer.filter(|(_, depth)| *depth > 0).collect();
        Depth { outbox, outbox_bytes, inbox, inbox_bytes, outbox_by_peer }
    }

    /// Returns to whom messages can be sent, but for this agent itself.
    pub fn members(&self) -> &BTreeSet<AgentId> {
        &self.members
    }

    /// Returns the agents whose messages are not taken.
    pub fn blocked(&self) -> &BTreeSet<AgentId> {
        &self.blocked
    }

    /// Time passes.
    fn pass(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for pending in self.outbox.expired(now) {
            let path = pending.path.unwrap_or(DmPath::Quic);
            self.counts.count(pending.message.to, path, |count| count.expired += 1);
            let message_id = pending.message.message_id.clone();
            self.end(&pending, DmError::Expired { message_id }, effects);
        }
        for to in self.outbox.due(now) {
            self.pump(now, to, effects);
        }
    }

    fn write(&mut self, op: Op, written: Written, effects: &mut Vec<Effect>) {
        self.writes += 1;
        self.writing.push_back((self.writes, written));
        effects.push(Effect::Write(op));
    }
}
