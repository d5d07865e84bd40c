//! How much a node holds on account of others.

use x0x_tracker::id::ListId;

use super::Hub;
use crate::mesh;
use crate::replica;

/// How much a hub holds of one list, and of peers. Each of these is bounded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Commits that wait, and those that the store judges next.
    pub replica: replica::Held,
    /// What the gossip holds.
    pub mesh: mesh::Held,
    /// Frames for members that are being called.
    pub frames: usize,
    /// Forks that are being looked into.
    pub forks: usize,
    /// Logs of which a beat is kept.
    pub beats: usize,
    /// Agents of whom it is known where they may be.
    pub agents: usize,
    /// Links.
    pub links: usize,
}

impl Hub {
    /// Returns how much is held of a list; `None` where it is not here.
    pub fn held(&self, list: ListId) -> Option<Held> {
        let shared = self.lists.get(&list)?;
        Some(Held {
            replica: shared.replica.held(),
            mesh: shared.mesh.held(),
            frames: shared.held.values().map(Vec::len).sum(),
            forks: shared.forks.len(),
            beats: shared.beats.len(),
            agents: self.cards.len(),
            links: self.links.len(),
        })
    }
}
