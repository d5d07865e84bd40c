//! Joining a list for a ticket, from both sides. Whether a ticket is good, the store of its issuer
//! decides, once.

use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::charter::{Role, Signed};

use super::links::control;
use super::{Effect, Fault, Hub, Note};
use crate::link::policy::{self, LinkId};
use crate::wire::{Control, JoinRefusal, STATEMENTS_MAX, Ticket};

/// The most lists that this agent waits to join.
const JOINING_MAX: usize = 16;

/// A list that this agent waits to join.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) ticket: Ticket,
}

impl Hub {
    /// Goes to the issuer of a ticket.
    pub(super) fn join(&mut self, now: Duration, ticket: Ticket, effects: &mut Vec<Effect>) {
        let (list, issuer) = (ticket.list, ticket.issuer);
        if self.joining.len() >= JOINING_MAX && !self.joining.contains_key(&list) {
            return effects.push(Effect::Note(Note::NotJoined { list, why: JoinRefusal::Failed }));
        }
        let addresses = ticket.addresses.clone();
        self.cards.add(issuer, &addresses);
        let secret = ticket.secret;
        let is_asked = self.joining.insert(list, Joining { ticket }).is_some();
        match self.peers.get(&issuer).copied() {
            Some(link) => {
                // What was answered is asked again where somebody wants it.
                if let Some(state) = self.links.get_mut(&link).filter(|_| !is_asked) {
                    state.shown.remove(&secret);
                }
                self.show_tickets(issuer, link, effects);
            }
            None => {
                let wanted = policy::Input::Wanted { agent: issuer, addresses };
                self.ask_policy(now, wanted, effects);
            }
        }
    }

    /// Shows a peer the tickets that it issued.
    pub(super) fn show_tickets(&mut self, peer: AgentId, link: LinkId, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        for (list, joining) in &self.joining {
            let secret = joining.ticket.secret;
            // Once on a link, however often the two greet each other.
            if joining.ticket.issuer == peer && state.shown.insert(secret) {
                effects.push(control(link, &Control::Join { list: *list, secret }));
            }
        }
    }

    /// The store redeemed a ticket that was shown here, or not.
    pub(super) fn redeemed(
        &mut self,
        list: ListId,
        link: LinkId,
        outcome: Result<(Role, Vec<Signed>), JoinRefusal>,
        effects: &mut Vec<Effect>,
    ) {
        let (role, statements) = match outcome {
            Ok(welcome) => welcome,
            Err(why) => return effects.push(control(link, &Control::NotJoined { list, why })),
        };
        let parts = statements.chunks(STATEMENTS_MAX);
        let last = parts.len().saturating_sub(1);
        for (at, part) in parts.enumerate() {
            let (statements, more) = (part.to_vec(), at < last);
            effects.push(control(link, &Control::Joined { list, role, statements, more }));
        }
    }

    /// A peer says that it took a ticket.
    pub(super) fn joined(
        &mut self,
        list: ListId,
        peer: AgentId,
        role: Role,
        statements: Vec<Signed>,
        more: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        if self.joining.get(&list).is_none_or(|joining| joining.ticket.issuer != peer) {
            // Shown twice, over two links.
            return Ok(());
        }
        effects.push(Effect::State { list, statements });
        if more {
            return Ok(());
        }
        self.joining.remove(&list);
        effects.push(Effect::Note(Note::Joined { list, role }));
        Ok(())
    }

    /// A peer says that it did not take a ticket.
    pub(super) fn not_joined(
        &mut self,
        list: ListId,
        peer: AgentId,
        why: JoinRefusal,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        if self.joining.get(&list).is_some_and(|joining| joining.ticket.issuer == peer) {
            self.joining.remove(&list);
            effects.push(Effect::Note(Note::NotJoined { list, why }));
        }
        Ok(())
    }
}
