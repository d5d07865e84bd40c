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
    /// Goes to the issuer of a ticket; one for the same list that was waited for is given up.
    pub(super) fn join(&mut self, now: Duration, ticket: Ticket, effects: &mut Vec<Effect>) {
        let (list, issuer, mark) = (ticket.list, ticket.issuer, ticket.mark());
        let why = JoinRefusal::Failed;
        if self.joining.len() >= JOINING_MAX && !self.joining.contains_key(&list) {
            return effects.push(Effect::Note(Note::NotJoined { list, ticket: mark, why }));
        }
        let addresses = ticket.addresses.clone();
        self.cards.add(issuer, &addresses);
        let before = self.joining.insert(list, Joining { ticket });
        if let Some(before) = before.map(|before| before.ticket.mark()).filter(|b| *b != mark) {
            effects.push(Effect::Note(Note::NotJoined { list, ticket: before, why }));
        }
        match self.peers.get(&issuer).copied() {
            Some(link) => self.show_tickets(issuer, link, effects),
            None => {
                let wanted = policy::Input::Wanted { agent: issuer, addresses };
                self.ask_policy(now, wanted, effects);
            }
        }
    }

    /// Shows a peer that has greeted the tickets that it issued.
    pub(super) fn show_tickets(&mut self, peer: AgentId, link: LinkId, effects: &mut Vec<Effect>) {
        let Some(state) = self.links.get_mut(&link).filter(|link| link.has_greeted()) else {
            return;
        };
        for (list, joining) in &self.joining {
            let (list, secret) = (*list, joining.ticket.secret);
            // Once until it is answered, however often the two greet each other.
            if joining.ticket.issuer == peer && !state.shown.contains(&(list, secret)) {
                state.shown.push_back((list, secret));
                effects.push(control(link, &Control::Join { list, secret }));
            }
        }
    }

    /// Returns the ticket that a peer's answer is about: the one for that list that it was shown first
    /// of those that it has not answered.
    fn answered(&mut self, link: LinkId, list: ListId, is_last: bool) -> Option<[u8; 32]> {
        let shown = &mut self.links.get_mut(&link)?.shown;
        let at = shown.iter().position(|(of, _)| *of == list)?;
        let (_, secret) = shown[at];
        if is_last {
            shown.remove(at);
        }
        Some(secret)
    }

    /// Forgets that a ticket is waited for; returns its mark, where it was.
    fn joined_by(&mut self, list: ListId, secret: [u8; 32]) -> Option<u64> {
        let ticket = &self.joining.get(&list)?.ticket;
        let mark = (ticket.secret == secret).then(|| ticket.mark())?;
        self.joining.remove(&list);
        Some(mark)
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
        link: LinkId,
        role: Role,
        statements: Vec<Signed>,
        more: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(secret) = self.answered(link, list, !more) else { return Ok(()) };
        effects.push(Effect::State { list, statements });
        if !more && let Some(ticket) = self.joined_by(list, secret) {
            effects.push(Effect::Note(Note::Joined { list, ticket, role }));
        }
        Ok(())
    }

    /// A peer says that it did not take a ticket.
    pub(super) fn not_joined(
        &mut self,
        list: ListId,
        link: LinkId,
        why: JoinRefusal,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let secret = self.answered(link, list, true);
        if let Some(ticket) = secret.and_then(|secret| self.joined_by(list, secret)) {
            effects.push(Effect::Note(Note::NotJoined { list, ticket, why }));
        }
        Ok(())
    }
}
