//! Who can be written to: members of the lists of this node, where they can be called, and the way through others
//! for those that cannot. What is written is not looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};

use super::lists::Shared;
use super::{Effect, Hub};
use crate::replica;
use crate::wire::Payload;

/// For how long something goes by the members of one list, where both belong to several.
const CARRIER_EVERY: Duration = Duration::from_secs(11);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Directory {
    members: BTreeSet<AgentId>,
    callable: BTreeSet<AgentId>,
}

impl Hub {
    /// Tells who belongs to the lists, where that changed.
    pub(super) fn tell_members(&mut self, effects: &mut Vec<Effect>) {
        let mut members = BTreeSet::new();
        for shared in self.lists.values() {
            let charter = shared.replica.charter();
            // Whoever is no member itself has nobody to write to.
            if charter.role(self.me).is_some() {
                members.extend(charter.members().into_iter().map(|(agent, _)| agent));
            }
        }
        members.remove(&self.me);
        let can_be_called = |agent: &&AgentId| !self.cards.addresses(**agent).is_empty();
        let callable: BTreeSet<AgentId> = members.iter().filter(can_be_called).copied().collect();
        if members != self.directory.members || callable != self.directory.callable {
            self.directory = Directory { members: members.clone(), callable: callable.clone() };
            effects.push(Effect::Members { members, callable });
        }
    }

    /// Sends something that was sealed for a member through others. Where nobody is there who could pass it on,
    /// it is lost: whoever sent it sends it again.
    pub(super) fn whisper(
        &mut self,
        now: Duration,
        to: AgentId,
        sealed: Vec<u8>,
        but: Option<ListId>,
        effects: &mut Vec<Effect>,
    ) {
        let carriers = self.carriers(to, but);
        // Not each of them may reach it: by and by it goes by another. What is said in pieces keeps to one.
        let period = now.as_secs() / CARRIER_EVERY.as_secs();
        let at = period % carriers.len().max(1) as u64;
        if let Some(list) = carriers.get(at as usize).copied() {
            self.broadcast(now, list, &Payload::Sealed { to, sealed }, effects);
        }
    }

    /// Returns the lists through whose members something can go to one of them, but for one list.
    pub(super) fn carriers(&self, to: AgentId, but: Option<ListId>) -> Vec<ListId> {
        let carries = |(list, shared): &(&ListId, &Shared)| {
            let charter = shared.replica.charter();
            let are_members = charter.role(to).is_some() && charter.role(self.me).is_some();
            are_members && Some(**list) != but && !shared.mesh.neighbours().is_empty()
        };
        self.lists.iter().filter(carries).map(|(list, _)| *list).collect()
    }

    /// Has brought what a member has of a list and this side lacks: by that member where it is linked, else by
    /// whoever else has it.
    pub(super) fn fetch(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get(&list) else { return };
        let is_linked = shared.has(from);
        let asked: Vec<AgentId> =
            if is_linked { vec![from] } else { shared.peers.iter().copied().collect() };
        if !is_linked {
            self.ask_far(now, list, from, effects);
        }
        for peer in asked {
            self.replica(now, list, replica::Input::Missed(peer), effects);
        }
    }
}
