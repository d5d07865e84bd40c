//! Where agents can be called: their cards, and where they were seen. What is known here is a hint; who
//! answers is known by the key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};

use super::links::control;
use super::{Effect, Fault, Hub};
use crate::link::policy;
use crate::wire::{ADDRESSES_MAX, CARDS_HELD_MAX, CARDS_MAX, Card, Control, SignedCard};

/// The most agents whose address is kept.
const AGENTS_MAX: usize = 1_024;

/// How much later than the one before a newer card of an agent is taken, since an agent dates its cards itself: of
/// a stream of cards only so many go further.
const RENEWAL_MIN: Duration = Duration::from_secs(1);

/// To how many members of a list links are kept without being asked for. In a larger one the gossip
/// asks for those that it needs.
const LINKS_WANTED: usize = 8;

/// Where agents can be called.
#[derive(Debug, Default)]
pub(super) struct Cards {
    own: Option<SignedCard>,
    known: BTreeMap<AgentId, Whereabouts>,
    /// Newer cards of agents in `known` that came too soon.
    early: BTreeMap<AgentId, Early>,
}

/// A card that is taken later.
#[derive(Debug)]
struct Early {
    due: Duration,
    at_ms: i64,
    teller: AgentId,
    card: SignedCard,
}

#[derive(Debug, Default)]
struct Whereabouts {
    card: Option<(i64, SignedCard)>,
    /// When that came.
    renewed_at: Duration,
    load_pct: Option<u16>,
    is_sealable: bool,
    /// Best first.
    addresses: Vec<SocketAddr>,
}

impl Cards {
    /// Returns this agent's own.
    pub(super) fn own(&self) -> Option<&SignedCard> {
        self.own.as_ref()
    }

    /// Returns of how many agents something is known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Tells whether something can be sealed for an agent.
    pub(super) fn is_sealable(&self, agent: AgentId) -> bool {
        self.known.get(&agent).is_some_and(|known| known.is_sealable)
    }

    /// Returns where an agent may be.
    pub(super) fn addresses(&self, agent: AgentId) -> &[SocketAddr] {
        self.known.get(&agent).map_or(&[], |known| &known.addresses)
    }

    /// Returns how busy the machines of agents are, as they said.
    pub(super) fn loads(&self, me: AgentId) -> impl Iterator<Item = (AgentId, u16)> {
        let own = self.own().and_then(|card| Some((me, card.peek().ok()?.load_pct?)));
        let loads = self.known.iter().filter_map(|(agent, known)| Some((*agent, known.load_pct?)));
        loads.chain(own)
    }

    /// Returns when a card is to be taken that came too soon.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.early.values().map(|early| early.due).min()
    }

    /// Keeps a card for later, where it is the newest of those of its agent.
    fn keep(&mut self, agent: AgentId, early: Early) {
        if self.early.get(&agent).is_none_or(|before| before.at_ms < early.at_ms) {
            self.early.insert(agent, early);
        }
    }

    /// Adds addresses in front of those that are known; returns whether any is new.
    pub(super) fn add(&mut self, agent: AgentId, addresses: &[SocketAddr]) -> bool {
        if !self.known.contains_key(&agent) && self.known.len() >= AGENTS_MAX {
            return false;
        }
        let known = &mut self.known.entry(agent).or_default().addresses;
        let before = known.clone();
        for address in addresses.iter().rev() {
            known.retain(|known| known != address);
            known.insert(0, *address);
        }
        known.truncate(ADDRESSES_MAX);
        *known != before
    }
}

impl Hub {
    /// Takes this node's own card, and tells it.
    pub(super) fn own_card(&mut self, card: SignedCard, effects: &mut Vec<Effect>) {
        self.cards.own = Some(card.clone());
        for (peer, link) in &self.peers {
            for (list, shared) in &self.lists {
                if shared.has(*peer) {
                    let (list, cards) = (*list, vec![card.clone()]);
                    effects.push(control(*link, &Control::Cards { list, cards }));
                    break;
                }
            }
        }
    }

    /// Takes what was known when the node last ran.
    pub(super) fn known(
        &mut self,
        now: Duration,
        known: Vec<(AgentId, Vec<SocketAddr>, Option<Duration>)>,
        effects: &mut Vec<Effect>,
    ) {
        for (agent, addresses, heard) in known {
            self.cards.add(agent, &addresses);
            if let Some(ago) = heard {
                self.heard_before(now, agent, ago);
            }
        }
        self.want_members(now, effects);
    }

    /// Takes a card that `teller` showed: its own, or a member's.
    pub(super) fn card(
        &mut self,
        now: Duration,
        teller: AgentId,
        signed: &SignedCard,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Card { agent, at_ms, addresses, load_pct, seal_key } = signed.peek()?;
        let known = self.cards.known.get(&agent);
        let known = known.and_then(|known| Some((known.card.as_ref()?.0, known.renewed_at)));
        let keys = self.lists.values().filter_map(|shared| {
            let charter = shared.replica.charter();
            charter.role(agent).and(charter.public_key(agent))
        });
        let Some(key) = keys.into_iter().next().map(<[u8]>::to_vec) else { return Ok(()) };
        if agent == self.me || known.is_some_and(|(before_ms, _)| at_ms <= before_ms) {
            return Ok(());
        }
        if !signed.is_signed_by(&key, self.verifier.as_ref()) {
            return Err(Fault::Order("a card that its agent did not sign"));
        }
        if let Some(due) = known.map(|(_, renewed_at)| renewed_at + RENEWAL_MIN)
            && now < due
        {
            self.cards.keep(agent, Early { due, at_ms, card: signed.clone(), teller });
            return Ok(());
        }
        // A second card is one that it made since.
        match known {
            Some(_) => self.heard_now(now, agent),
            None => self.heard_of(now, agent, at_ms),
        }
        self.cards.add(agent, &addresses);
        if let Some(known) = self.cards.known.get_mut(&agent) {
            (known.card, known.renewed_at) = (Some((at_ms, signed.clone())), now);
            known.load_pct = load_pct;
            known.is_sealable = !seal_key.is_empty();
        }
        if !seal_key.is_empty() {
            effects.push(Effect::SealKey { agent, key: seal_key });
        }
        self.remember(agent, None, effects);
        self.announce_card(teller, agent, at_ms, effects);
        self.want_members(now, effects);
        Ok(())
    }

    /// Takes the cards that came too soon before.
    pub(super) fn tick_cards(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let due = |(_, early): &(&AgentId, &Early)| early.due <= now;
        let due: Vec<AgentId> = self.cards.early.iter().filter(due).map(|(of, _)| *of).collect();
        for agent in due {
            if let Some(Early { teller, card, .. }) = self.cards.early.remove(&agent) {
                // Its signature was good; whose key that was does not change.
                let _taken = self.card(now, teller, &card, effects);
            }
        }
    }

    /// Tells all linked members but those two that there is a newer card; whoever lacks it will ask.
    fn announce_card(
        &self,
        teller: AgentId,
        agent: AgentId,
        at_ms: i64,
        effects: &mut Vec<Effect>,
    ) {
        for (peer, link) in &self.peers {
            let list = self.lists.iter().find(|(_, shared)| {
                shared.has(*peer) && shared.replica.charter().role(agent).is_some()
            });
            if let Some((list, _)) = list
                && *peer != teller
                && *peer != agent
            {
                let (list, held) = (*list, vec![(agent, Some(at_ms))]);
                effects.push(control(*link, &Control::CardsHeld { list, held }));
            }
        }
    }

    /// Tells a new neighbour whose cards are held.
    pub(super) fn tell_cards_held(&self, list: ListId, peer: AgentId, effects: &mut Vec<Effect>) {
        let (Some(shared), Some(link)) = (self.lists.get(&list), self.peers.get(&peer)) else {
            return;
        };
        let charter = shared.replica.charter();
        let cards = self.cards.known.iter().filter_map(|(agent, known)| {
            let (at_ms, _) = known.card.as_ref()?;
            let is_told = *agent != peer && charter.role(*agent).is_some();
            is_told.then_some((*agent, Some(*at_ms)))
        });
        let held: Vec<_> = cards.take(CARDS_HELD_MAX).collect();
        if !held.is_empty() {
            effects.push(control(*link, &Control::CardsHeld { list, held }));
        }
    }

    /// Asks all who share a list for the cards of members whose are not known: news of one may have come before
    /// it was known here that its agent is a member.
    pub(super) fn ask_cards(&self, list: ListId, effects: &mut Vec<Effect>) {
        let lacking = self.lacking_cards(list);
        let sharing = self.lists.get(&list).into_iter().flat_map(|shared| &shared.peers);
        sharing.for_each(|peer| self.ask_for(list, *peer, &lacking, effects));
    }

    /// Asks one who begins to share a list for those cards.
    pub(super) fn ask_cards_of(&self, list: ListId, peer: AgentId, effects: &mut Vec<Effect>) {
        self.ask_for(list, peer, &self.lacking_cards(list), effects);
    }

    /// Returns the members of a list whose cards are not known.
    fn lacking_cards(&self, list: ListId) -> Vec<AgentId> {
        let Some(shared) = self.lists.get(&list) else { return Vec::new() };
        let is_lacking = |agent: &AgentId| {
            let known = self.cards.known.get(agent);
            *agent != self.me && known.is_none_or(|known| known.card.is_none())
        };
        let members = shared.replica.charter().members().into_iter().map(|(agent, _)| agent);
        members.filter(is_lacking).take(CARDS_HELD_MAX).collect()
    }

    fn ask_for(&self, list: ListId, peer: AgentId, lacking: &[AgentId], effects: &mut Vec<Effect>) {
        let Some(link) = self.peers.get(&peer) else { return };
        let held: Vec<_> =
            lacking.iter().filter(|agent| **agent != peer).map(|agent| (*agent, None)).collect();
        if !held.is_empty() {
            effects.push(control(*link, &Control::CardsHeld { list, held }));
        }
    }

    /// Shows a peer the cards that are newer than those it holds, and names those that it has newer.
    pub(super) fn cards_held(
        &self,
        list: ListId,
        peer: AgentId,
        held: &[(AgentId, Option<i64>)],
        effects: &mut Vec<Effect>,
    ) {
        let (Some(shared), Some(link)) = (self.lists.get(&list), self.peers.get(&peer)) else {
            return;
        };
        let charter = shared.replica.charter();
        let (mut shown, mut lacking) = (Vec::new(), Vec::new());
        for (agent, theirs) in held {
            if *agent == self.me || charter.role(*agent).is_none() {
                continue;
            }
            let card = self.cards.known.get(agent).and_then(|known| known.card.as_ref());
            let ours = card.map(|(at_ms, _)| *at_ms);
            if *theirs < ours {
                shown.extend(card.map(|(_, card)| card.clone()));
            } else if ours < *theirs {
                lacking.push((*agent, ours));
            }
        }
        for cards in shown.chunks(CARDS_MAX) {
            let cards = cards.to_vec();
            effects.push(control(*link, &Control::Cards { list, cards }));
        }
        if !lacking.is_empty() {
            effects.push(control(*link, &Control::CardsHeld { list, held: lacking }));
        }
    }

    /// Remembers where an agent is, if an address is new, over a restart too.
    pub(super) fn remember(
        &mut self,
        agent: AgentId,
        seen: Option<SocketAddr>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(address) = seen
            && !self.cards.add(agent, &[address])
        {
            return;
        }
        let addresses = self.cards.addresses(agent).to_vec();
        effects.push(Effect::Remember { agent, addresses });
    }

    /// Asks for links to members, where there are few.
    pub(super) fn want_members(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let mut wanted: Vec<AgentId> = Vec::new();
        for shared in self.lists.values() {
            let charter = shared.replica.charter();
            // One whose role was taken may be given one again.
            if charter.public_key(self.me).is_none() {
                continue;
            }
            let members = charter.members().into_iter().map(|(agent, _)| agent);
            let reachable = members.filter(|agent| !self.cards.addresses(*agent).is_empty());
            let mut reachable: Vec<AgentId> = reachable.filter(|agent| *agent != self.me).collect();
            // Each node begins with others, so that all are linked through few.
            let start = reachable.iter().position(|agent| *agent > self.me).unwrap_or(0);
            reachable.rotate_left(start);
            wanted.extend(reachable.into_iter().take(LINKS_WANTED));
        }
        for agent in wanted {
            self.want(now, agent, effects);
        }
        self.tell_members(effects);
    }

    /// Asks for a link to an agent, if it is known where it may be.
    pub(super) fn want(&mut self, now: Duration, agent: AgentId, effects: &mut Vec<Effect>) {
        let addresses = self.cards.addresses(agent).to_vec();
        if !addresses.is_empty() && !self.is_stopping {
            let wanted = policy::Input::Wanted { agent, addresses };
            self.ask_policy(now, wanted, effects);
        }
    }
}
