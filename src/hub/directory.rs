//! Who can be written to: members of the lists of this node, where they can be called, and the way through others
//! for those that cannot. What is written is not looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};

use super::{Effect, Hub};
use crate::replica;
use crate::wire::Payload;

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
            let directory = Directory { members: members.clone(), callable: callable.clone() };
            self.directory = directory;
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
        effects: &mut Vec<Effect>,
    ) {
        let shared_by_both = self.lists.iter().find(|(_, shared)| {
            let charter = shared.replica.charter();
            let are_members = charter.role(to).is_some() && charter.role(self.me).is_some();
            are_members && !shared.mesh.neighbours().is_empty()
        });
        if let Some(list) = shared_by_both.map(|(list, _)| *list) {
            self.broadcast(now, list, &Payload::Sealed { to, sealed }, effects);
        }
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
        for peer in asked {
            self.replica(now, list, replica::Input::Missed(peer), effects);
        }
    }
}
