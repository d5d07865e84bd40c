//! Whom to call, when to call again, and which of two links to one agent stays. It decides from what it
//! is told and does nothing itself; who is welcome is not asked here.
//!
//! Of several links between two agents the one with the smaller id chooses, and ends the others; the
//! other agent uses the one that it expects to be chosen, and takes another when that is ended. Were
//! both to choose, each could end what the other keeps, since they do not see links come up in the same
//! order. The choice: of two calls that crossed, that of the smaller id; else the newer link, since an
//! agent that is linked does not call, and so the older link is one that the other side has lost. Two
//! nodes may act for one agent, where a data directory was copied: then each newer link takes the place
//! of the older one, which is made anew after a while, and both come to their turns.

mod pair;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use crate::entropy::{Seeded, seeded};

use super::error::{Farewell, LinkError};
use pair::{Held, Pair};
use wish::Wish;

pub use pair::{CHOICE_MAX, CROSSING_MAX, LINKS_PER_PEER_MAX};
pub use wish::{ADDRESSES_MAX, BACKOFF_FIRST, BACKOFF_MAX, STAYED, SUPERFLUOUS_WAIT};

/// How many agents may be wanted. The wish for one more is refused with [`Effect::NoRoom`].
pub const PEERS_MAX: usize = 1_024;

/// How many addresses may be wanted of which it is not known who is there. One more is refused with
/// [`Effect::NoRoom`].
pub const PLACES_MAX: usize = 64;

/// How many calls may be on their way; others wait for one of them to end.
pub const CALLS_MAX: usize = 16;

/// How many links there may be in all. One more is ended with [`Farewell::Full`], and nobody is called.
pub const LINKS_MAX: usize = 512;

/// How many addresses are remembered as this node's own; past that the smallest is forgotten.
pub const OWN_ADDRESSES_MAX: usize = 64;

/// A link, as its driver numbers it; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Who is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This agent.
    Agent(AgentId),
    /// Whoever is at this address.
    At(SocketAddr),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A link to this agent is wanted; it may be at these addresses, the likeliest first (at most
    /// [`ADDRESSES_MAX`] are tried). They take the place of those told before; a new one among them is
    /// tried at once.
    Wanted {
        /// Who.
        agent: AgentId,
        /// Where.
        addresses: Vec<SocketAddr>,
    },
    /// A link to whoever is at this address is wanted. Once it is known who, that agent is wanted.
    WantedAt(SocketAddr),
    /// It is wanted no longer. A link that there is stays.
    Unwanted(Whom),
    /// A link has come up.
    Up {
        /// Which.
        link: LinkId,
        /// Who is at the other end.
        peer: AgentId,
        /// Whether this side called.
        is_caller: bool,
        /// Where; of a call, exactly as it was asked for.
        address: SocketAddr,
    },
    /// A link has ended. It may be one that this policy ended.
    Down {
        /// Which.
        link: LinkId,
        /// Who was at the other end.
        peer: AgentId,
        /// Why.
        why: End,
    },
    /// A call has failed.
    DialFailed {
        /// Where.
        address: SocketAddr,
        /// Who was called, as it was asked for.
        wanted: Option<AgentId>,
        /// Why.
        why: Failure,
    },
    /// The [`Policy::deadline`] has passed.
    Tick,
    /// The machine slept, or its network changed. Whoever is wanted and not linked is called at once.
    Woke,
    /// The node stops.
    Stop,
}

/// Why a link ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It may be made anew.
    Passing,
    /// The other side has another link to this one.
    Superfluous,
    /// The two have nothing to do with each other; the wish for a link ends with it.
    Final,
}

/// Why a call failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed later.
    Passing,
    /// It may succeed once the other side is changed: it is tried again, but seldom.
    Lasting,
    /// The agent is not there, or nobody can be: the address is tried no more.
    NotThere,
    /// This node itself is there: nobody is called there any more, until the network changes.
    Oneself,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Call, and answer with [`Input::Up`] or [`Input::DialFailed`].
    Dial {
        /// Where.
        address: SocketAddr,
        /// Who is expected there.
        wanted: Option<AgentId>,
    },
    /// End a link.
    End {
        /// Which.
        link: LinkId,
        /// What the other side is told.
        why: Farewell,
    },
    /// This is the link to an agent from now on, also where there was another.
    PeerUp(AgentId, LinkId),
    /// There is no link to an agent any more.
    PeerDown(AgentId),
    /// A wish was refused, since there are too many.
    NoRoom(Whom),
}

/// Decides about the links of one node.
pub struct Policy {
    oneself: AgentId,
    random: Seeded,
    peers: BTreeMap<AgentId, Wish>,
    places: BTreeMap<SocketAddr, Wish>,
    /// Calls on their way: never two to one address.
    calls: BTreeMap<SocketAddr, Option<AgentId>>,
    pairs: BTreeMap<AgentId, Pair>,
    own_addresses: BTreeSet<SocketAddr>,
    has_stopped: bool,
}

impl Policy {
    /// Returns the policy of an agent that wants nobody yet. Its waits follow from the seed; two nodes
    /// with one seed would call each other at the same times.
    pub fn new(oneself: AgentId, seed: [u8; 32]) -> Self {
        Self {
            oneself,
            random: seeded(seed),
            peers: BTreeMap::new(),
            places: BTreeMap::new(),
            calls: BTreeMap::new(),
            pairs: BTreeMap::new(),
            own_addresses: BTreeSet::new(),
            has_stopped: false,
        }
    }

    /// Takes in what happened, and adds what is to be done. `now` is any clock that never goes back.
    pub fn handle(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Wanted { agent, addresses } => self.want(now, agent, addresses, effects),
            Input::WantedAt(address) => self.want_at(now, address, effects),
            Input::Unwanted(Whom::Agent(agent)) => drop(self.peers.remove(&agent)),
            Input::Unwanted(Whom::At(address)) => drop(self.places.remove(&address)),
            Input::Up { link, peer, is_caller, address } => {
                let held = Held { link, is_caller, since: now };
                self.up(now, peer, held, address, effects);
            }
            Input::Down { link, peer, why } => self.down(now, link, peer, why, effects),
            Input::DialFailed { address, wanted, why } => {
                self.call_failed(now, address, wanted, why);
            }
            Input::Tick => {}
            Input::Woke => {
                self.own_addresses.clear();
                self.wishes().for_each(|wish| wish.hurry(now));
            }
            Input::Stop => {
                self.has_stopped = true;
                let links = self.pairs.values().flat_map(Pair::links);
                effects.extend(links.map(|link| Effect::End { link, why: Farewell::Stopping }));
            }
        }
        self.end_overdue(now, effects);
        self.call_who_is_due(now, effects);
    }

    /// Returns when [`Input::Tick`] is due at the latest; nothing where time alone changes nothing.
    pub fn deadline(&self) -> Option<Duration> {
        let overdue = self.pairs.values().filter_map(Pair::overdue_at);
        self.next_call().map(|(due, _)| due).into_iter().chain(overdue).min()
    }

    /// Returns the link to an agent.
    pub fn link(&self, agent: AgentId) -> Option<LinkId> {
        self.pairs.get(&agent).map(Pair::current)
    }

    fn want(
        &mut self,
        now: Duration,
        agent: AgentId,
        mut addresses: Vec<SocketAddr>,
        effects: &mut Vec<Effect>,
    ) {
        if agent == self.oneself {
            return;
        }
        addresses.retain(|address| !self.own_addresses.contains(address));
        if let Some(wish) = self.peers.get_mut(&agent) {
            wish.renew(now, addresses);
        } else if self.peers.len() < PEERS_MAX {
            let mut wish = Wish::new(now, addresses);
            if self.pairs.contains_key(&agent) {
                wish.fulfil(None);
            }
            self.peers.insert(agent, wish);
        } else {
            effects.push(Effect::NoRoom(Whom::Agent(agent)));
        }
    }

    fn want_at(&mut self, now: Duration, address: SocketAddr, effects: &mut Vec<Effect>) {
        if self.own_addresses.contains(&address) || self.places.contains_key(&address) {
            return;
        }
        if self.places.len() == PLACES_MAX {
            return effects.push(Effect::NoRoom(Whom::At(address)));
        }
        self.places.insert(address, Wish::new(now, vec![address]));
    }

    fn up(
        &mut self,
        now: Duration,
        peer: AgentId,
        held: Held,
        address: SocketAddr,
        effects: &mut Vec<Effect>,
    ) {
        let called = held.is_caller.then(|| self.calls.remove(&address)).flatten();
        if called == Some(None) && self.places.remove(&address).is_some() {
            self.learn(now, peer, address);
        }
        let end = |why| Effect::End { link: held.link, why };
        if self.has_stopped {
            return effects.push(end(Farewell::Stopping));
        }
        if peer == self.oneself {
            return effects.push(end(Farewell::Superfluous));
        }
        if self.count_links() >= LINKS_MAX && !self.pairs.contains_key(&peer) {
            if let Some(wish) = self.peers.get_mut(&peer) {
                wish.failed(now, address, Failure::Passing, &mut self.random);
            }
            return effects.push(end(Farewell::Full));
        }
        if let Some(wish) = self.peers.get_mut(&peer) {
            wish.fulfil(held.is_caller.then_some(address));
        }
        let Some(pair) = self.pairs.get_mut(&peer) else {
            self.pairs.insert(peer, Pair::new(held));
            return effects.push(Effect::PeerUp(peer, held.link));
        };
        let before = pair.current();
        if let Some(link) = pair.add(held, self.oneself < peer) {
            effects.push(Effect::End { link, why: Farewell::Superfluous });
        }
        if pair.current() != before {
            effects.push(Effect::PeerUp(peer, pair.current()));
        }
    }

    /// Wants an agent who was found where anybody was wanted. Where there is no room for the wish, the
    /// link is not made anew once it ends.
    fn learn(&mut self, now: Duration, peer: AgentId, address: SocketAddr) {
        if let Some(wish) = self.peers.get_mut(&peer) {
            wish.add(address);
        } else if self.peers.len() < PEERS_MAX && peer != self.oneself {
            self.peers.insert(peer, Wish::new(now, vec![address]));
        }
    }

    fn down(
        &mut self,
        now: Duration,
        link: LinkId,
        peer: AgentId,
        why: End,
        effects: &mut Vec<Effect>,
    ) {
        // Links that this policy has ended are no longer in it.
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        let before = pair.current();
        let Some(held) = pair.remove(link) else { return };
        if pair.links().next().is_some() {
            if pair.current() != before {
                effects.push(Effect::PeerUp(peer, pair.current()));
            }
            return;
        }
        self.pairs.remove(&peer);
        effects.push(Effect::PeerDown(peer));
        if why == End::Final {
            self.peers.remove(&peer);
        } else if let Some(wish) = self.peers.get_mut(&peer) {
            wish.lost(now, now.saturating_sub(held.since), why, &mut self.random);
        }
    }

    fn call_failed(
        &mut self,
        now: Duration,
        address: SocketAddr,
        wanted: Option<AgentId>,
        why: Failure,
    ) {
        if self.calls.get(&address) != Some(&wanted) {
            return;
        }
        self.calls.remove(&address);
        if why == Failure::Oneself {
            self.own_addresses.insert(address);
            if self.own_addresses.len() > OWN_ADDRESSES_MAX {
                self.own_addresses.pop_first();
            }
            self.wishes().for_each(|wish| wish.remove(address));
        }
        let wish = match wanted {
            Some(agent) => self.peers.get_mut(&agent),
            None => self.places.get_mut(&address),
        };
        if let Some(wish) = wish {
            match why {
                Failure::NotThere | Failure::Oneself => wish.not_there(now, address),
                Failure::Passing | Failure::Lasting => {
                    wish.failed(now, address, why, &mut self.random);
                }
            }
        }
        self.places.retain(|_, wish| !wish.is_hopeless());
    }

    /// Ends links of which the other side should have chosen one by now.
    fn end_overdue(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for pair in self.pairs.values_mut() {
            while let Some(link) = pair.take_overdue(now) {
                effects.push(Effect::End { link, why: Farewell::Superfluous });
            }
        }
    }

    fn call_who_is_due(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        while let Some((due, (address, wanted))) = self.next_call()
            && due <= now
        {
            let wish = match wanted {
                Some(agent) => self.peers.get_mut(&agent),
                None => self.places.get_mut(&address),
            };
            if let Some(wish) = wish {
                wish.call();
            }
            self.calls.insert(address, wanted);
            effects.push(Effect::Dial { address, wanted });
        }
    }

    /// Returns who is to be called next, and when.
    fn next_call(&self) -> Option<(Duration, (SocketAddr, Option<AgentId>))> {
        if self.has_stopped || self.calls.len() >= CALLS_MAX || self.count_links() >= LINKS_MAX {
            return None;
        }
        let peers = self.peers.iter().map(|(agent, wish)| (Some(*agent), wish));
        let places = self.places.values().map(|wish| (None, wish));
        let due = peers.chain(places).filter_map(|(wanted, wish)| {
            let (due, address) = wish.due()?;
            (!self.calls.contains_key(&address)).then_some((due, (address, wanted)))
        });
        due.min()
    }

    fn wishes(&mut self) -> impl Iterator<Item = &mut Wish> {
        self.peers.values_mut().chain(self.places.values_mut())
    }

    fn count_links(&self) -> usize {
        self.pairs.values().map(|pair| pair.links().count()).sum()
    }
}

impl From<&LinkError> for End {
    fn from(error: &LinkError) -> Self {
        match error {
            LinkError::Ended { why: Farewell::Superfluous, .. } => Self::Superfluous,
            error if error.is_retryable() => Self::Passing,
            _ => Self::Final,
        }
    }
}

impl From<&LinkError> for Failure {
    fn from(error: &LinkError) -> Self {
        match error {
            LinkError::Oneself { .. } => Self::Oneself,
            LinkError::OtherAgent { .. } | LinkError::BadAddress { .. } => Self::NotThere,
            error if error.is_retryable() => Self::Passing,
            // Whoever is on the way can forge that another version answered.
            _ => Self::Lasting,
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
