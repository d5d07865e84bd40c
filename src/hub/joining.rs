//! Joining a list for a ticket, from both sides. Whether a ticket is good, the store of its issuer
//! decides, once.

use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::charter::{Role, Signed};

use super::links::control;
use super::{Effect, Fault, Hub, Note};
use crate::link::policy::{self, LinkId};
use crate::wire::{CONTROL_BYTES_MAX, Control, JoinRefusal, STATEMENTS_MAX, Ticket};

/// The most lists that this agent waits to join.
const JOINING_MAX: usize = 16;

/// How many frames of statements are taken on one link that nobody asked for: an honest peer sends at
/// most 43 of a list.
const FRAMES_STATED_MAX: usize = 256;

/// How many bytes of statements go into one frame, unless one alone is longer.
const PART_BYTES_MAX: usize = CONTROL_BYTES_MAX / 2;

/// A list that this agent waits to join.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) ticket: Ticket,
    /// How many parts of the charter the store has yet to deal with, and whether the last one came.
    parts: usize,
    is_told: bool,
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
        let before = self.joining.insert(list, Joining { ticket, parts: 0, is_told: false });
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
        now: Duration,
        list: ListId,
        link: LinkId,
        outcome: Result<(Role, Vec<Signed>), JoinRefusal>,
        effects: &mut Vec<Effect>,
    ) {
        self.redeeming = self.redeeming.saturating_sub(1);
        if let Some(state) = self.links.get_mut(&link) {
            state.redeemed(now, outcome.is_ok());
        }
        let (role, statements) = match outcome {
            Ok(welcome) => welcome,
            Err(why) => return effects.push(control(link, &Control::NotJoined { list, why })),
        };
        let mut left = &statements[..];
        loop {
            let (part, rest) = left.split_at(part_of(left));
            let (statements, more) = (part.to_vec(), !rest.is_empty());
            effects.push(control(link, &Control::Joined { list, role, statements, more }));
            if !more {
                break;
            }
            left = rest;
        }
    }

    /// A peer says that it took a ticket.
    pub(super) fn joined(
        &mut self,
        list: ListId,
        link: LinkId,
        statements: Vec<Signed>,
        more: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(secret) = self.answered(link, list, !more) else { return Ok(()) };
        if let Some(joining) = self.joining.get_mut(&list).filter(|j| j.ticket.secret == secret) {
            joining.parts += 1;
            joining.is_told |= !more;
        }
        effects.push(Effect::State { list, statements, are_shown: true });
        Ok(())
    }

    /// The store has dealt with a part of the charter that came for a ticket. The list is joined once it
    /// has all of it, and this agent a role by it: what the peer says of that proves nothing.
    pub(super) fn statements_kept(
        &mut self,
        list: ListId,
        role: Option<Role>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(joining) = self.joining.get_mut(&list) else { return };
        joining.parts = joining.parts.saturating_sub(1);
        if joining.parts > 0 || !joining.is_told {
            return;
        }
        let ticket = joining.ticket.mark();
        self.joining.remove(&list);
        effects.push(Effect::Note(match role {
            Some(role) => Note::Joined { list, ticket, role },
            // The same ticket is good for who was let in by it.
            None => Note::NotJoined { list, ticket, why: JoinRefusal::Failed },
        }));
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

impl Hub {
    /// Has a peer told of a charter, once a link, of which it may not be a member any more: it has a right to
    /// know, and may know what gives it its role back.
    pub(super) fn tell_charter(&mut self, list: ListId, link: LinkId, effects: &mut Vec<Effect>) {
        if self.links.get_mut(&link).is_some_and(|state| state.stated.insert(list)) {
            effects.push(Effect::NameStatements { list, link });
        }
    }

    pub(super) fn tell_statements(
        &mut self,
        list: ListId,
        link: LinkId,
        statements: &[Signed],
        effects: &mut Vec<Effect>,
    ) {
        let mut left = statements;
        while !left.is_empty() {
            let (part, rest) = left.split_at(part_of(left));
            let statements = part.to_vec();
            effects.push(control(link, &Control::Stated { list, statements }));
            left = rest;
        }
    }

    /// A peer tells of a charter. Whoever was a member may: what is in it proves itself.
    pub(super) fn stated_by_peer(
        &mut self,
        list: ListId,
        link: LinkId,
        statements: Vec<Signed>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        state.frames_stated += 1;
        if state.frames_stated > FRAMES_STATED_MAX {
            return Err(Fault::Order("statements that nobody asked for, without end"));
        }
        let Some(known) = self.lists.get(&list) else { return Ok(()) };
        if known.replica.charter().public_key(state.peer).is_none() {
            return Ok(());
        }
        effects.push(Effect::State { list, statements, are_shown: false });
        // The other side may lack what this one knows.
        self.tell_charter(list, link, effects);
        Ok(())
    }
}

/// Returns how many of some statements go into one frame; one at least, where there is one.
fn part_of(statements: &[Signed]) -> usize {
    let mut bytes = 0;
    let fit = statements.iter().take(STATEMENTS_MAX).take_while(|signed| {
        bytes += signed.statement.len() + signed.signature.len();
        bytes <= PART_BYTES_MAX
    });
    fit.count().max(1).min(statements.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_go_into_frames_by_number_and_by_length() {
        let of = |count: usize, bytes: usize| {
            let signed = Signed { statement: vec![0; bytes], signature: Vec::new() };
            part_of(&vec![signed; count])
        };
        assert_eq!((of(0, 0), of(3, 10), of(99, 10)), (0, 3, STATEMENTS_MAX));
        assert_eq!(of(30, PART_BYTES_MAX / 4), 4);
        assert_eq!(of(2, PART_BYTES_MAX + 1), 1, "one goes, however long");
    }
}
