//! What of a peer's frames reaches the proto, which believes what it is told: it relays before anybody
//! can judge, takes back strangers, and remembers whatever is offered.

use iroh_gossip::proto::topic::InEvent;
use x0x_tracker::id::AgentId;

use super::bounds::{ANSWER_BYTES_MIN, Peer};
use super::config::HOPS_MAX;
use super::state::{Mesh, asks_to_be_neighbour};
use super::wire::{self, BroadcastId, Gossip, Message, NONCE_BYTES, Offer, Scope, Swarm};
use super::{Breach, Effect, Gate, Verdict};

impl Mesh {
    pub(super) fn on_frame(
        &mut self,
        from: AgentId,
        frame: &[u8],
        gate: &mut dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        let message = match wire::read(frame) {
            Ok(message) => message,
            Err(breach) => return effects.push(Effect::Breach { from, breach }),
        };
        if !self.is_open || from == self.me || !gate.is_member(from) {
            self.tally.strangers_total += 1;
            return;
        }
        if self.peers.len() >= self.config.peers_max && !self.peers.contains_key(&from) {
            self.tally.throttled_total += 1;
            return;
        }
        let is_neighbour = self.neighbours.contains(&from);
        match message {
            Message::Swarm(swarm) => self.on_swarm(from, swarm, frame, gate, effects),
            Message::Gossip(gossip) if is_neighbour => {
                self.on_gossip(from, gossip, frame, gate, effects);
            }
            Message::Gossip(gossip) => self.on_outsider(from, &gossip, gate, effects),
        }
    }

    /// Judges what is said about neighbours.
    ///
    /// Join, Neighbor and ShuffleReply come from any member: the first two make neighbours, the third
    /// answers a walk from its end, and goes before a Disconnect. Walks come from neighbours.
    fn on_swarm(
        &mut self,
        from: AgentId,
        mut swarm: Swarm<'_>,
        frame: &[u8],
        gate: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        let is_walk = matches!(swarm, Swarm::ForwardJoin { .. } | Swarm::Shuffle { .. });
        if is_walk && !self.neighbours.contains(&from) {
            self.tally.outsiders_total += 1;
            return self.adopt(from, gate, effects);
        }
        let was_neighbour = self.neighbours.contains(&from);
        let is_farewell = matches!(swarm, Swarm::Disconnect { .. });
        if !is_farewell && !self.take_swarm(from) {
            return;
        }
        let wants_in = matches!(swarm, Swarm::Join(_) | Swarm::Neighbor { .. });
        if wants_in && self.is_resting(from) {
            return self.take_leave(from, effects);
        }
        let me = self.me;
        let is_other_member = |agent: AgentId| agent != me && gate.is_member(agent);
        let before = named(&swarm);
        match &mut swarm {
            Swarm::ForwardJoin { peer, .. } if !is_other_member(peer.id) => return,
            Swarm::Shuffle { origin, .. } if !is_other_member(*origin) => return,
            Swarm::Shuffle { nodes, .. } | Swarm::ShuffleReply { nodes } => {
                nodes.retain(|node| is_other_member(node.id));
            }
            _ => {}
        }
        if named(&swarm) == before {
            self.pass(from, frame, gate, effects);
        } else if let Some(frame) = wire::write(&Message::Swarm(swarm)) {
            self.pass(from, &frame, gate, effects);
        }
        if is_farewell && !was_neighbour {
            // The proto expects that the connection ends now, and then forgets who will not come back. Of a neighbour
            // it was told so.
            self.step(InEvent::PeerDisconnected(from), gate, effects);
        }
    }

    /// Judges what a neighbour says about broadcasts.
    fn on_gossip(
        &mut self,
        from: AgentId,
        gossip: Gossip<'_>,
        frame: &[u8],
        gate: &mut dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        match gossip {
            Gossip::Broadcast { id, content, scope } => {
                self.on_broadcast(from, (id, content, scope), frame, gate, effects);
            }
            Gossip::Prune => self.pass(from, frame, gate, effects),
            Gossip::Graft { id, round } => {
                if round <= HOPS_MAX && self.take_answer(from, id) {
                    self.pass(from, frame, gate, effects);
                }
            }
            Gossip::IHave(offers) => {
                let open = self.open_offers(from, offers, effects);
                if !open.is_empty()
                    && let Some(frame) = wire::write(&Message::Gossip(Gossip::IHave(open)))
                {
                    self.pass(from, &frame, gate, effects);
                }
            }
        }
    }

    /// Judges a broadcast before the proto sees it. Whether the id is the one of its content is known only once it
    /// was hashed, which the proto does as well: nothing is noted of an id before that.
    fn on_broadcast(
        &mut self,
        from: AgentId,
        (id, content, scope): (BroadcastId, &[u8], Scope),
        frame: &[u8],
        gate: &mut dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        if self.memory.was_relayed(&id) {
            // The proto answers a copy with a prune.
            if self.memory.is_in_proto(self.now, &id) && scope.hops().is_some() {
                self.pass(from, frame, gate, effects);
            }
            return;
        }
        if self.memory.is_known(&id) {
            self.tally.known_total += 1;
            return;
        }
        // A relay adds one to what it was told, so that the sender need not be to blame.
        if scope.hops().is_none() || !self.memory.has_room(content.len()) {
            self.tally.full_total += 1;
            effects.push(Effect::Missed { from });
            return;
        }
        let verdict = gate.judge(from, content.get(NONCE_BYTES..).unwrap_or_default());
        let is_its_id = || *blake3::hash(content).as_bytes() == id;
        match verdict {
            Verdict::Relay => {
                let before = effects.len();
                self.pass(from, frame, gate, effects);
                // What the proto takes it delivers, and it takes all but what has another hash.
                let is_delivered = |effect: &Effect| matches!(effect, Effect::Deliver { .. });
                if effects[before..].iter().any(is_delivered) {
                    self.memory.relay(self.now, id, content.len());
                    self.close_offers(&id);
                } else {
                    effects.push(Effect::Breach { from, breach: Breach::WrongId });
                }
            }
            _ if !is_its_id() => effects.push(Effect::Breach { from, breach: Breach::WrongId }),
            Verdict::Known => {
                self.tally.known_total += 1;
                self.memory.know(self.now, id);
                self.close_offers(&id);
            }
            // What it offered stays offered until the time for it is over, so that it cannot offer it without end: the
            // proto notes each offer.
            Verdict::Refuse => self.tally.refused_total += 1,
            Verdict::Breach => {
                self.tally.refused_total += 1;
                effects.push(Effect::Breach { from, breach: Breach::Payload });
            }
        }
    }

    /// Returns the offers that the proto is to see: of what is not here, each once, up to a number.
    ///
    /// It would note each as often as it comes, and set a timer for it.
    fn open_offers(
        &mut self,
        from: AgentId,
        mut offers: Vec<Offer>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Offer> {
        let (until, offers_max) = (self.now + self.config.offer_patience, self.config.offers_max);
        let open = &mut self.peers.entry(from).or_insert_with(|| Peer::new(self.now)).offers;
        let mut is_left_out = false;
        offers.retain(|offer| {
            if self.memory.has(&offer.id) || open.contains_key(&offer.id) {
                return false;
            }
            let is_let_in = offer.round <= HOPS_MAX && open.len() < offers_max;
            is_left_out |= !is_let_in;
            is_let_in && open.insert(offer.id, until).is_none()
        });
        if is_left_out {
            self.tally.throttled_total += 1;
            effects.push(Effect::Missed { from });
        }
        offers
    }

    /// Deals with gossip from a member that is no neighbour. The proto would make it one in half: send
    /// it broadcasts, whatever it is.
    fn on_outsider(
        &mut self,
        from: AgentId,
        gossip: &Gossip<'_>,
        gate: &dyn Gate,
        effects: &mut Vec<Effect>,
    ) {
        self.tally.outsiders_total += 1;
        let has_news = match gossip {
            // Nobody is sent a broadcast for the asking.
            Gossip::Graft { .. } => return,
            Gossip::Prune => false,
            Gossip::Broadcast { id, .. } => !self.memory.has(id),
            Gossip::IHave(offers) => offers.iter().any(|offer| !self.memory.has(&offer.id)),
        };
        if has_news {
            effects.push(Effect::Missed { from });
        }
        self.adopt(from, gate, effects);
    }

    /// Takes a member that believes it is a neighbour for one that asks to be: with room it becomes one,
    /// else, or while it rests, it is told that it is none. The two sides can differ when a frame was
    /// lost, and nothing in the proto would notice.
    fn adopt(&mut self, from: AgentId, gate: &dyn Gate, effects: &mut Vec<Effect>) {
        if !self.take_swarm(from) {
            return;
        }
        if self.is_resting(from) {
            self.take_leave(from, effects);
        } else if let Some(word) = asks_to_be_neighbour() {
            self.step(InEvent::RecvMessage(from, word), gate, effects);
        }
    }

    fn pass(&mut self, from: AgentId, frame: &[u8], gate: &dyn Gate, effects: &mut Vec<Effect>) {
        match wire::to_proto(frame) {
            Some(message) => self.step(InEvent::RecvMessage(from, message), gate, effects),
            None => effects.push(Effect::Breach { from, breach: Breach::Malformed }),
        }
    }

    /// Takes one message about neighbours off what a peer may send.
    fn take_swarm(&mut self, from: AgentId) -> bool {
        let now = self.now;
        let is_taken = self.account(from).swarm.take(now, 1);
        self.tally.throttled_total += u64::from(!is_taken);
        is_taken
    }

    /// Takes a broadcast off what a peer may have sent again.
    fn take_answer(&mut self, from: AgentId, id: Option<BroadcastId>) -> bool {
        let bytes = id.and_then(|id| self.memory.bytes_of(&id)).unwrap_or_default();
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX).max(ANSWER_BYTES_MIN);
        let now = self.now;
        let is_taken = self.account(from).answers.take(now, cost);
        self.tally.throttled_total += u64::from(!is_taken);
        is_taken
    }

    fn close_offers(&mut self, id: &BroadcastId) {
        for peer in self.peers.values_mut() {
            peer.offers.remove(id);
        }
    }

    fn account(&mut self, from: AgentId) -> &mut Peer {
        let now = self.now;
        self.peers.entry(from).or_insert_with(|| Peer::new(now))
    }
}

/// Returns how many agents a message tells of, of those that may be left out.
fn named(swarm: &Swarm<'_>) -> usize {
    match swarm {
        Swarm::Shuffle { nodes, .. } | Swarm::ShuffleReply { nodes } => nodes.len(),
        _ => 0,
    }
}
