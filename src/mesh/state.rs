//! The mesh itself: what each input does, and what the proto's answers become. Which frames reach the
//! proto is decided in `admission.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use iroh_gossip::proto::Scope;
use iroh_gossip::proto::topic::{self, Command, Event, InEvent, OutEvent, State};
use x0x_tracker::id::AgentId;

use super::bounds::{Memory, Peer, QUESTION_COST, QUESTION_RATE, Timers};
use super::config::{MeshConfig, PAYLOAD_BYTES_MAX};
use super::wire::{self, Gossip, Message, NONCE_BYTES, Priority, Swarm};
use super::{Effect, Gate, Held, Input, MeshError, Tally};
use crate::entropy::{self, Seeded};
use crate::rate::Bucket;
use crate::time::{self, Moment};

/// How often an agent that rests is told so.
const LEAVE_EVERY: Duration = Duration::from_secs(1);

/// The gossip of one task list. The same seed and inputs give the same effects.
#[derive(Debug)]
pub struct Mesh {
    pub(super) me: AgentId,
    pub(super) config: MeshConfig,
    draws: Seeded,
    proto: State<AgentId, Seeded>,
    /// Where the proto's time begins; ours begins with the program.
    origin: Moment,
    pub(super) now: Duration,
    pub(super) is_open: bool,
    timers: Timers<Due>,
    pub(super) neighbours: BTreeSet<AgentId>,
    pub(super) peers: BTreeMap<AgentId, Peer>,
    /// Who was asked to be a neighbour, or told that it is one, and when the proto's note of that is
    /// cleared. It notes both alike, and only a question in time.
    asked: BTreeMap<AgentId, Duration>,
    /// Who took broadcasts too slowly.
    resting: BTreeMap<AgentId, Rest>,
    pub(super) memory: Memory,
    pub(super) tally: Tally,
    /// How many members may still be asked to be neighbours if they have room.
    questions: Bucket,
}

/// Until when an agent is no neighbour, and when it was last told so.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Duration,
    told_at: Option<Duration>,
}

/// What a timer does.
#[derive(Debug)]
enum Due {
    Proto(topic::Timer<AgentId>),
    Sweep,
}

impl Mesh {
    /// Returns the mesh of an agent, which is closed until it is told to join.
    pub fn new(me: AgentId, seed: [u8; 32], config: MeshConfig) -> Self {
        let mut draws = entropy::seeded(seed);
        Self {
            me,
            proto: proto(me, &config, &mut draws),
            draws,
            origin: time::origin(),
            now: Duration::ZERO,
            is_open: false,
            timers: Timers::new(),
            neighbours: BTreeSet::new(),
            peers: BTreeMap::new(),
            asked: BTreeMap::new(),
            resting: BTreeMap::new(),
            memory: Memory::new(&config),
            tally: Tally::default(),
            questions: Bucket::new(QUESTION_RATE, Duration::ZERO),
            config,
        }
    }

    /// Takes in what happened, and adds what is to be done to `effects`. `now` is the time since the
    /// program started; one that goes back counts as the latest there was.
    ///
    /// # Errors
    /// Only for [`Input::Broadcast`], where nothing is broadcast.
    pub fn handle(
        &mut self,
        now: Duration,
        input: Input<'_>,
        gate: &mut dyn Gate,
        effects: &mut Vec<Effect>,
    ) -> Result<(), MeshError> {
        if let Input::Broadcast(payload) = &input {
            self.check_size(payload)?;
        }
        self.now = self.now.max(now);
        self.fire(gate, effects);
        self.memory.forget(self.now);
        match input {
            Input::Join(contacts) => self.join(contacts, gate, effects),
            Input::LinkDown(peer) => self.on_link_down(peer, gate, effects),
            Input::Slow(peer) => self.on_slow(peer, gate, effects),
            Input::TooSlow(peer) => self.on_too_slow(peer, gate, effects),
            Input::Frame { from, bytes } => self.on_frame(from, bytes, gate, effects),
            Input::Broadcast(payload) => self.broadcast(&payload, gate, effects)?,
            Input::Tick => {}
            Input::Leave => self.leave(gate, effects),
        }
        Ok(())
    }

    /// Returns when [`Input::Tick`] is wanted; `None` while the mesh is closed.
    pub fn deadline(&self) -> Option<Duration> {
        self.timers.deadline()
    }

    /// Returns the agents that broadcasts are exchanged with.
    pub fn neighbours(&self) -> &BTreeSet<AgentId> {
        &self.neighbours
    }

    /// Returns what was left out so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns how much is held.
    pub fn held(&self) -> Held {
        let (kept, kept_bytes, remembered) = self.memory.size();
        Held {
            timers: self.timers.len(),
            offers: self.peers.values().map(|peer| peer.offers.len()).sum(),
            kept,
            kept_bytes,
            remembered,
            peers: self.peers.len(),
            asked: self.asked.len(),
            resting: self.resting.len(),
        }
    }

    fn check_size(&self, payload: &[u8]) -> Result<(), MeshError> {
        let (bytes, bytes_max) = (payload.len(), PAYLOAD_BYTES_MAX);
        if bytes > bytes_max { Err(MeshError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }

    fn join(&mut self, contacts: Vec<AgentId>, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        if !self.is_open {
            self.is_open = true;
            self.timers.set(self.now, MeshConfig::SWEEP_INTERVAL, Due::Sweep);
        }
        let is_new = |contact: &AgentId| {
            *contact != self.me && !self.neighbours.contains(contact) && !self.is_resting(*contact)
        };
        let contacts: Vec<_> = contacts.into_iter().filter(is_new).collect();
        let contacts = contacts.into_iter().take(self.config.active_view).collect();
        self.step(InEvent::Command(Command::Join(contacts)), gate, effects);
    }

    fn on_link_down(&mut self, peer: AgentId, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        if !self.is_open {
            return;
        }
        self.asked.remove(&peer);
        self.resting.remove(&peer);
        let was_neighbour = self.neighbours.contains(&peer);
        self.step(InEvent::PeerDisconnected(peer), gate, effects);
        if !was_neighbour {
            self.refill(gate, effects);
        }
    }

    /// The proto moves a neighbour out of its tree as if that had asked for it.
    fn on_slow(&mut self, peer: AgentId, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        let prune = wire::write(&Message::Gossip(Gossip::Prune));
        if self.neighbours.contains(&peer)
            && let Some(prune) = prune.as_deref().and_then(wire::to_proto)
        {
            self.step(InEvent::RecvMessage(peer, prune), gate, effects);
        }
    }

    fn on_too_slow(&mut self, peer: AgentId, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        if !self.neighbours.contains(&peer) {
            return;
        }
        self.resting.insert(peer, Rest { until: self.now + self.config.rest, told_at: None });
        self.take_leave(peer, effects);
        self.step(InEvent::PeerDisconnected(peer), gate, effects);
    }

    /// Tells whether an agent is no neighbour for a while because it was too slow.
    pub(super) fn is_resting(&self, agent: AgentId) -> bool {
        self.resting.get(&agent).is_some_and(|rest| rest.until > self.now)
    }

    /// Tells an agent that rests that it is no neighbour, now and then: it may take little.
    pub(super) fn take_leave(&mut self, peer: AgentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(rest) = self.resting.get_mut(&peer) else { return };
        if rest.told_at.is_none_or(|before| now >= before + LEAVE_EVERY) {
            rest.told_at = Some(now);
            effects.extend(farewell().map(|frame| Effect::Send { to: peer, frame }));
        }
    }

    fn broadcast(
        &mut self,
        payload: &[u8],
        gate: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) -> Result<(), MeshError> {
        if !self.is_open {
            return Err(MeshError::NotJoined);
        }
        let nonce: [u8; NONCE_BYTES] = entropy::draw(&mut self.draws);
        let content = [&nonce, payload].concat();
        if !self.memory.has_room(content.len()) {
            return Err(MeshError::Full);
        }
        self.memory.relay(self.now, *blake3::hash(&content).as_bytes(), content.len());
        let command = Command::Broadcast(Bytes::from(content), Scope::Swarm);
        self.step(InEvent::Command(command), gate, effects);
        Ok(())
    }

    /// The proto says farewell and forgets nothing, so that a new one takes its place.
    fn leave(&mut self, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        if !self.is_open {
            return;
        }
        self.step(InEvent::Command(Command::Quit), gate, effects);
        effects.extend(std::mem::take(&mut self.neighbours).into_iter().map(Effect::NeighbourDown));
        self.proto = proto(self.me, &self.config, &mut self.draws);
        self.is_open = false;
        self.timers = Timers::new();
        self.peers.clear();
        self.asked.clear();
        self.resting.clear();
        self.memory = Memory::new(&self.config);
    }

    fn fire(&mut self, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        while let Some(due) = self.timers.pop_due(self.now) {
            match due {
                Due::Proto(timer) => self.step(InEvent::TimerExpired(timer), gate, effects),
                Due::Sweep => {
                    self.timers.set(self.now, MeshConfig::SWEEP_INTERVAL, Due::Sweep);
                    self.sweep(gate, effects);
                }
            }
        }
    }

    /// Lets go of what was waited for long enough.
    fn sweep(&mut self, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        let now = self.now;
        let mut given_up = false;
        for (from, peer) in &mut self.peers {
            let open = peer.offers.len();
            peer.offers.retain(|_, until| *until > now);
            if peer.offers.len() < open {
                given_up = true;
                effects.push(Effect::Missed { from: *from });
            }
        }
        if given_up {
            // The proto keeps the hash of an offer that nothing came of until some neighbour is lost.
            // This node is none, so that losing it has no other effect.
            self.step(InEvent::PeerDisconnected(self.me), gate, effects);
        }
        self.resting.retain(|_, rest| rest.until > now);
        let asked = self.asked.iter().filter(|(_, until)| **until <= now);
        for peer in asked.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.settle(peer, gate, effects);
        }
        if self.neighbours.len() < self.config.active_view && self.asked.is_empty() {
            self.refill(gate, effects);
        }
        let neighbours = &self.neighbours;
        self.peers.retain(|agent, peer| neighbours.contains(agent) || !peer.is_at_rest(now));
    }

    /// Clears the proto's note that it awaits a word from a peer. It makes one for every word that it
    /// sends, also for answers, which are not answered. Such a note counts as a neighbour to come, and
    /// the peer's next question is taken for the answer and gets none.
    fn settle(&mut self, peer: AgentId, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        self.asked.remove(&peer);
        if self.neighbours.contains(&peer) {
            // From a neighbour the word only clears the note. Without a note it is answered, which makes
            // one; so the answer is not sent, and the second clears it.
            for _ in 0..2 {
                let Some(word) = asks_to_be_neighbour() else { return };
                let event = InEvent::RecvMessage(peer, word);
                if self.proto.handle(event, self.origin + self.now).count() == 0 {
                    break;
                }
            }
        } else {
            self.step(InEvent::PeerDisconnected(peer), gate, effects);
        }
        self.refill(gate, effects);
    }

    /// Makes the proto ask another member where it has fewer neighbours than it wants. It does so by
    /// itself when it loses one, but not when the one that it asked cannot be reached.
    fn refill(&mut self, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        let Some(event) = self.look_for_another() else { return };
        self.step(event, gate, effects);
    }

    fn look_for_another(&self) -> Option<InEvent<AgentId>> {
        let reply = Message::Swarm(Swarm::ShuffleReply { nodes: Vec::new() });
        Some(InEvent::RecvMessage(self.me, wire::to_proto(&wire::write(&reply)?)?))
    }

    /// Gives the proto an event, and turns what it wants into effects.
    pub(super) fn step(
        &mut self,
        event: InEvent<AgentId>,
        gate: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let wanted: Vec<_> = self.proto.handle(event, self.origin + self.now).collect();
            for want in wanted {
                match want {
                    OutEvent::SendMessage(to, message) => {
                        match self.send(to, &message, gate, effects) {
                            Sent::Done => {}
                            Sent::Stranger => {
                                events.push_back(InEvent::PeerDisconnected(to));
                                events.extend(self.look_for_another());
                            }
                            Sent::NotNow => {
                                events.extend(refuses(to));
                                events.push_back(InEvent::PeerDisconnected(to));
                            }
                        }
                    }
                    OutEvent::ScheduleTimer(delay, timer) => {
                        self.timers.set(self.now, delay, Due::Proto(timer));
                    }
                    OutEvent::EmitEvent(event) => {
                        if let Event::NeighborDown(peer) = event {
                            // The proto expects that the connection ends now, and then only clears what
                            // it noted of the peer.
                            events.push_back(InEvent::PeerDisconnected(peer));
                        }
                        self.emit(event, effects);
                    }
                    OutEvent::DisconnectPeer(peer) if peer != self.me => {
                        effects.push(Effect::Detached(peer));
                    }
                    OutEvent::DisconnectPeer(_) | OutEvent::PeerData(..) => {}
                }
            }
        }
    }

    fn emit(&mut self, event: Event<AgentId>, effects: &mut Vec<Effect>) {
        match event {
            Event::NeighborUp(peer) => {
                self.neighbours.insert(peer);
                effects.push(Effect::NeighbourUp(peer));
            }
            Event::NeighborDown(peer) => {
                self.neighbours.remove(&peer);
                effects.push(Effect::NeighbourDown(peer));
                if self.peers.get_mut(&peer).is_some_and(|peer| peer.forget_offers()) {
                    effects.push(Effect::Missed { from: peer });
                }
            }
            Event::Received(gossip) => effects.push(Effect::Deliver {
                from: gossip.delivered_from,
                payload: gossip.content.slice(NONCE_BYTES.min(gossip.content.len())..),
                hops: wire::hops_of(&gossip.scope),
            }),
        }
    }

    /// Sends what the proto wants to say, or says why it does not.
    fn send(
        &mut self,
        to: AgentId,
        message: &topic::Message<AgentId>,
        gate: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        if to == self.me || !gate.is_member(to) {
            return if to == self.me { Sent::Done } else { Sent::Stranger };
        }
        let Some(frame) = wire::write(message) else { return Sent::Done };
        let is_sent = match wire::read(&frame) {
            Ok(Message::Swarm(Swarm::Neighbor { priority, .. })) => {
                if self.is_resting(to) {
                    return Sent::NotNow;
                }
                // To a neighbour it is an answer.
                let is_question = priority == Priority::Low && !self.neighbours.contains(&to);
                if is_question && !self.questions.take(self.now, QUESTION_COST) {
                    return Sent::NotNow;
                }
                self.asked.insert(to, self.now + self.config.ask_patience);
                true
            }
            Ok(Message::Swarm(_)) => true,
            Ok(Message::Gossip(Gossip::Graft { id: Some(id), .. })) if self.memory.has(&id) => {
                false
            }
            // The proto keeps offers for a neighbour that is lost before they leave.
            Ok(Message::Gossip(_)) => self.neighbours.contains(&to),
            Err(_) => false,
        };
        if is_sent {
            effects.push(Effect::Send { to, frame });
        }
        Sent::Done
    }
}

/// What became of something that the proto wants to say.
enum Sent {
    /// It is sent, or need not be.
    Done,
    /// The proto is to forget this agent, which is no member.
    Stranger,
    /// Enough members were asked of late, or this one was too slow: it counts as refused.
    NotNow,
}

/// Returns what the proto is told where it must not ask a member just now: that one refused, and keeps
/// its place among those that are remembered.
fn refuses(peer: AgentId) -> Option<InEvent<AgentId>> {
    Some(InEvent::RecvMessage(peer, wire::to_proto(&farewell()?)?))
}

fn farewell() -> Option<Vec<u8>> {
    wire::write(&Message::Swarm(Swarm::Disconnect { alive: true, respond: false }))
}

/// Returns the word by which an agent asks to be a neighbour if there is room.
pub(super) fn asks_to_be_neighbour() -> Option<topic::Message<AgentId>> {
    let word = Message::Swarm(Swarm::Neighbor { priority: Priority::Low, data: None });
    wire::to_proto(&wire::write(&word)?)
}

fn proto(me: AgentId, config: &MeshConfig, draws: &mut Seeded) -> State<AgentId, Seeded> {
    State::with_rng(me, None, config.proto(), entropy::seeded(entropy::draw(draws)))
}
