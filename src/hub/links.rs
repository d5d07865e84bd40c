//! Links: who is at the other end, which lists both have, and what is read from each lane.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::commit::RULES_VERSION;

use super::beats::Frame;
use super::link_state::{GREETING_MAX, LinkState, REVOKED_MAX};
use super::{Effect, Fault, Hub, Note, StreamId};
use crate::link::Farewell;
use crate::link::policy::{self, LinkId};
use crate::wire::{self, Control, Hello, JoinRefusal, Lane, Request, shared_tag};
use crate::{mesh, replica};

/// How many linked peers may share no list with this node; it ends further ones at once.
const STRANGERS_MAX: usize = 32;

/// How long a peer may stay whose ticket the store looks at.
const REDEMPTION_MAX: Duration = Duration::from_secs(120);

/// How many tickets are looked at on one link: more than a person shows, and no way to guess one.
const TICKETS_MAX: u32 = 256;

/// How many tickets the store looks at at once, of one link and of all. Whoever shows more is told that it
/// failed, and may show them again.
const LINK_REDEEMING_MAX: usize = 16;
const REDEEMING_MAX: usize = 64;

/// How often a link may stop to share a list: an honest one does where charters differ for a moment.
const UNSHARED_MAX: u32 = 256;

impl Hub {
    pub(super) fn up(
        &mut self,
        now: Duration,
        link: LinkId,
        state: LinkState,
        effects: &mut Vec<Effect>,
    ) {
        let (peer, is_caller, address) = (state.peer, state.is_caller, state.address);
        let strangers = self.links.values().filter(|link| link.lists.is_empty()).count();
        if self.is_stopping || strangers >= STRANGERS_MAX && !self.is_member(peer) && !is_caller {
            let why = if self.is_stopping { Farewell::Stopping } else { Farewell::Full };
            effects.push(Effect::End { link, why });
            return;
        }
        self.links.insert(link, state);
        self.ask_policy(now, policy::Input::Up { link, peer, is_caller, address }, effects);
    }

    pub(super) fn down(
        &mut self,
        now: Duration,
        link: LinkId,
        why: policy::End,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.links.get(&link) else { return };
        let peer = state.peer;
        self.ask_policy(now, policy::Input::Down { link, peer, why }, effects);
        self.links.remove(&link);
        let waits = self.joining.values().find(|joining| joining.ticket.issuer == peer);
        if let Some(addresses) = waits.map(|joining| joining.ticket.addresses.clone())
            && why == policy::End::Final
        {
            // Whoever let it go may have had no time; the ticket is as good as before.
            self.ask_policy(now, policy::Input::Wanted { agent: peer, addresses }, effects);
        }
    }

    pub(super) fn dial_failed(
        &mut self,
        now: Duration,
        address: SocketAddr,
        wanted: Option<AgentId>,
        why: policy::Failure,
        effects: &mut Vec<Effect>,
    ) {
        self.ask_policy(now, policy::Input::DialFailed { address, wanted, why }, effects);
        if let Some(agent) = wanted.filter(|agent| !self.peers.contains_key(agent)) {
            self.unreachable(now, agent, effects);
        }
        if why != policy::Failure::Passing {
            effects.push(Effect::Note(Note::Unreachable { address, why }));
        }
    }

    /// A link stands to a peer: greet it there.
    pub(super) fn peer_up(
        &mut self,
        now: Duration,
        peer: AgentId,
        link: LinkId,
        effects: &mut Vec<Effect>,
    ) {
        if self.peers.get(&peer) == Some(&link) {
            return;
        }
        self.forget_peer(now, peer, effects);
        self.peers.insert(peer, link);
        let Some(state) = self.links.get_mut(&link) else { return };
        state.stands = true;
        state.alone_until = now + GREETING_MAX;
        effects.push(self.greeting(link));
        // It may have greeted before this side knew which link stands.
        self.share(now, link, effects);
    }

    pub(super) fn peer_down(&mut self, now: Duration, peer: AgentId, effects: &mut Vec<Effect>) {
        self.forget_peer(now, peer, effects);
        effects.push(Effect::Note(Note::Gone { peer }));
    }

    fn forget_peer(&mut self, now: Duration, peer: AgentId, effects: &mut Vec<Effect>) {
        let Some(link) = self.peers.remove(&peer) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        state.stands = false;
        for list in std::mem::take(&mut state.lists) {
            self.unshared(now, list, peer, effects);
        }
    }

    /// Returns what is said first on a link.
    fn greeting(&self, link: LinkId) -> Effect {
        let tag = |list: &ListId| {
            let binding = self.links.get(&link).map_or([0; 32], |state| state.binding);
            shared_tag(&binding, self.me, *list)
        };
        let hello = Hello {
            program: self.program.clone(),
            rules: RULES_VERSION,
            lists: self.lists.keys().take(wire::LISTS_MAX).map(tag).collect(),
            card: self.cards.own().cloned(),
        };
        control(link, &Control::Hello(hello))
    }

    /// Says again which lists there are.
    pub(super) fn greet_all(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let links: Vec<LinkId> = self.peers.values().copied().collect();
        for link in links {
            effects.push(self.greeting(link));
            self.share(now, link, effects);
        }
    }

    /// Works out which lists both ends of a link have, and whether the peer is a member of them.
    fn share(&mut self, now: Duration, link: LinkId, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get(&link).filter(|state| state.stands) else { return };
        let Some(hello) = &state.hello else { return };
        let peer = state.peer;
        let named: BTreeSet<&[u8; 32]> = hello.lists.iter().collect();
        let (mut shared, mut disputed) = (BTreeSet::new(), Vec::new());
        for (list, known) in &self.lists {
            let charter = known.replica.charter();
            // Who was no member ever is told nothing, and one whose role was taken hears that it has one again.
            if charter.public_key(peer).is_none()
                || !named.contains(&shared_tag(&state.binding, peer, *list))
            {
                continue;
            }
            if charter.role(peer).is_none() {
                disputed.push(*list);
            } else if charter.public_key(self.me).is_some() {
                shared.insert(*list);
            }
        }
        let (before, address) = (state.lists.clone(), state.address);
        let (card, rules) = (hello.card.clone(), hello.rules);
        let is_disputed = !disputed.is_empty();
        for list in disputed {
            self.tell_charter(list, link, effects);
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.lists.clone_from(&shared);
            state.is_revoked &= shared.is_empty();
        }
        for list in before.difference(&shared) {
            self.unshared(now, *list, peer, effects);
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.unshared += before.difference(&shared).count() as u32;
            if state.unshared > UNSHARED_MAX {
                let fault = Fault::Order("lists that are shared and not shared without end");
                return self.breach(link, &fault, effects);
            }
        }
        if is_disputed
            && !self.is_member(peer)
            && let Some(state) = self.links.get_mut(&link).filter(|state| !state.is_revoked)
        {
            // Its role was taken.
            state.alone_until = now + REVOKED_MAX;
            state.is_revoked = true;
        }
        if before.is_empty() && !shared.is_empty() {
            // What it said of itself counts now that it is known for a member.
            self.remember(peer, Some(address), effects);
            if rules > RULES_VERSION {
                effects.push(Effect::Note(Note::Newer { peer, rules }));
            }
            if let Some(card) = card
                && let Err(fault) = self.card(now, peer, &card, effects)
            {
                return self.breach(link, &fault, effects);
            }
        }
        for list in shared.difference(&before) {
            effects.push(Effect::Note(Note::Shared { peer, list: *list }));
            self.shared(now, *list, peer, effects);
        }
        self.show_tickets(peer, link, effects);
        let early = self.links.get_mut(&link).map(|state| std::mem::take(&mut state.early));
        for frame in early.unwrap_or_default() {
            self.frame(now, link, Lane::Pubsub, &frame, effects);
        }
    }

    pub(super) fn frame(
        &mut self,
        now: Duration,
        link: LinkId,
        lane: Lane,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        if self.links.get(&link).is_none_or(|state| state.is_ended) {
            return;
        }
        let read = match lane {
            Lane::Control => self.control(now, link, bytes, effects),
            Lane::Pubsub => self.pubsub(now, link, bytes, effects),
            Lane::Direct | Lane::Sync => Err(Fault::Order("a frame of another lane")),
        };
        if let Err(fault) = read {
            self.breach(link, &fault, effects);
        }
    }

    fn control(
        &mut self,
        now: Duration,
        link: LinkId,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let frame = Control::read(bytes)?;
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        let peer = state.peer;
        if state.hello.is_none() && !matches!(frame, Control::Hello(_)) {
            return Err(Fault::Order("something else before the greeting"));
        }
        let list = match frame {
            Control::Hello(hello) => {
                state.program.clone_from(&hello.program);
                let (card, is_shared) = (hello.card.clone(), !state.lists.is_empty());
                state.hello = Some(hello);
                if let Some(card) = card.filter(|_| is_shared) {
                    self.card(now, peer, &card, effects)?;
                }
                self.share(now, link, effects);
                return Ok(());
            }
            Control::Join { list, secret } => {
                if state.tickets_seen >= TICKETS_MAX {
                    return Err(Fault::Order("too many tickets"));
                }
                state.tickets_seen += 1;
                if state.redeeming >= LINK_REDEEMING_MAX || self.redeeming >= REDEEMING_MAX {
                    let why = JoinRefusal::Failed;
                    effects.push(control(link, &Control::NotJoined { list, why }));
                    return Ok(());
                }
                state.redeeming += 1;
                self.redeeming += 1;
                // The store may take a while.
                state.redeeming_until = now + REDEMPTION_MAX;
                let public_key = state.public_key.clone();
                // Whether the list is here is told only to who knows the secret.
                effects.push(Effect::Redeem { list, link, secret, public_key });
                return Ok(());
            }
            Control::Joined { list, statements, more, .. } => {
                return self.joined(list, link, statements, more, effects);
            }
            Control::NotJoined { list, why } => return self.not_joined(list, link, why, effects),
            Control::Stated { list, statements } => {
                return self.stated_by_peer(list, link, statements, effects);
            }
            Control::Digest(digest) => digest.list,
            Control::News { list, .. }
            | Control::Cards { list, .. }
            | Control::CardsHeld { list, .. }
            | Control::Beat { list, .. }
            | Control::BeatDigest { list, .. }
            | Control::BeatsHeld { list, .. }
            | Control::Lost { list, .. } => list,
        };
        // A list that this side stopped sharing a moment ago is no breach.
        if !state.lists.contains(&list) {
            return Ok(());
        }
        match frame {
            Control::Digest(digest) => {
                let (hash, wants_answer) = (digest.hash, digest.wants_answer);
                let input = replica::Input::Digest { from: peer, hash, wants_answer };
                self.replica(now, list, input, effects);
                self.compared(now, list, peer, effects);
            }
            Control::News { places, .. } => {
                self.replica(now, list, replica::Input::News { from: peer, places }, effects);
            }
            Control::Cards { cards, .. } => {
                for card in cards {
                    self.card(now, peer, &card, effects)?;
                }
            }
            Control::Lost { places, .. } => {
                self.replica(now, list, replica::Input::Lost { from: peer, places }, effects);
            }
            Control::CardsHeld { held, .. } => self.cards_held(list, peer, &held, effects),
            Control::Beat { beat, is_late, .. } => {
                self.heard(now, list, peer, Frame { beat, is_late }, effects)?;
            }
            Control::BeatDigest { hash, .. } => self.beat_digest(list, peer, hash, effects),
            Control::BeatsHeld { held, wants_answer, .. } => {
                self.beats_held(now, list, peer, held, wants_answer, effects);
            }
            _ => {}
        }
        Ok(())
    }

    fn pubsub(
        &mut self,
        now: Duration,
        link: LinkId,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let (list, frame) = bytes
            .split_first_chunk::<32>()
            .ok_or(Fault::Order("a pubsub frame that names no list"))?;
        let list = ListId(*list);
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        if state.hello.is_none() || !state.stands {
            state.keep_early(bytes);
            return Ok(());
        }
        let peer = state.peer;
        if state.lists.contains(&list) {
            self.gossip(now, list, peer, frame, effects);
        }
        Ok(())
    }

    pub(super) fn request(
        &mut self,
        now: Duration,
        link: LinkId,
        stream: StreamId,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.links.get(&link).filter(|state| !state.is_ended) else { return };
        let (to, rules) = (state.peer, state.rules());
        let request = match Request::read(bytes) {
            Ok(request) => request,
            Err(fault) => return self.breach(link, &fault, effects),
        };
        let list = request.list();
        let role = self.lists.get(&list).and_then(|list| list.replica.charter().role(to));
        if role.is_none() {
            return effects.push(Effect::Refuse { link, stream });
        }
        match request {
            Request::Pull { standing, .. } => {
                let served = standing.clone();
                effects.push(Effect::Serve { link, stream, list, to, standing: served, rules });
                let input = replica::Input::Standing { from: to, standing, after_all: false };
                self.replica(now, list, input, effects);
            }
            Request::Lost { .. } => effects.push(Effect::ServeLost { link, stream, list, to }),
            Request::Headers { log, from, .. } => {
                effects.push(Effect::ServeHeaders { link, stream, list, log, from });
            }
        }
    }

    /// A frame was dropped: what it said is found by comparing.
    pub(super) fn dropped(&mut self, now: Duration, link: LinkId, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get(&link) else { return };
        let peer = state.peer;
        for list in state.lists.clone() {
            self.replica(now, list, replica::Input::Missed(peer), effects);
        }
    }

    /// A peer takes its gossip too slowly: in all lists it is told less, or nothing, and finds the rest by comparing.
    pub(super) fn slow(
        &mut self,
        now: Duration,
        link: LinkId,
        is_detached: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.links.get(&link) else { return };
        let peer = state.peer;
        for list in state.lists.clone() {
            let input = match is_detached {
                true => mesh::Input::TooSlow(peer),
                false => mesh::Input::Slow(peer),
            };
            self.mesh(now, list, input, effects);
        }
    }

    /// Ends links that share nothing, where nobody waits to join over them.
    pub(super) fn end_silent(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let mut ended = Vec::new();
        for (link, state) in &mut self.links {
            if state.deadline().is_none_or(|deadline| now < deadline) {
                continue;
            }
            state.alone_until = now + GREETING_MAX;
            let waits = self.joining.values().any(|joining| joining.ticket.issuer == state.peer);
            if !waits {
                state.is_ended = true;
                let why = match state.is_revoked {
                    true => Farewell::Revoked,
                    false => Farewell::NoSharedList,
                };
                effects.push(Effect::Note(Note::Stranger { peer: state.peer }));
                effects.push(Effect::End { link: *link, why });
                ended.push(state.peer);
            }
        }
        for peer in ended.into_iter().filter(|peer| !self.is_member(*peer)).collect::<Vec<_>>() {
            // Who is revoked is called no more.
            let unwanted = policy::Input::Unwanted(policy::Whom::Agent(peer));
            self.ask_policy(now, unwanted, effects);
        }
    }

    /// Tells whether an agent is a member of any list here.
    pub(super) fn is_member(&self, agent: AgentId) -> bool {
        self.lists.values().any(|shared| shared.replica.charter().role(agent).is_some())
    }
}

/// Returns the effect of sending a frame of the control lane.
pub(super) fn control(link: LinkId, frame: &Control) -> Effect {
    Effect::Send { link, lane: Lane::Control, frame: wire::encode(frame) }
}
