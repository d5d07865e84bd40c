//! What a node tells of itself: its card, and to its hub what time it is.

use std::net::SocketAddr;
use std::sync::Arc;

use x0x_tracker::journal::signature::Signer;

use super::load;
use crate::dm::seal::SealKey;
use crate::identity::Identity;
use crate::wire::{ADDRESSES_MAX, Card, SignedCard};
use crate::{hub, time};

/// What a node says of itself on its card.
pub(super) struct Own {
    identity: Arc<Identity>,
    addresses: Arc<[SocketAddr]>,
    seal_key: Arc<SealKey>,
    /// The time on its last card. The newest counts, so they go on where the clock goes back.
    dated_ms: i64,
}

impl Own {
    pub(super) fn of(
        identity: Arc<Identity>,
        addresses: Arc<[SocketAddr]>,
        seal_key: Arc<SealKey>,
    ) -> Self {
        Self { identity, addresses, seal_key, dated_ms: 0 }
    }

    /// Returns a new card.
    pub(super) fn card(&mut self) -> Option<SignedCard> {
        let agent = self.identity.agent();
        self.dated_ms = time::now_ms().max(self.dated_ms + 1_000);
        let (at_ms, load_pct) = (self.dated_ms, load::load_pct());
        let addresses = self.addresses.iter().copied().take(ADDRESSES_MAX).collect();
        let seal_key = self.seal_key.public().to_vec();
        let card = Card { agent, at_ms, addresses, load_pct, seal_key };
        SignedCard::new(&card, self.identity.as_ref())
            .inspect_err(|error| tracing::error!(%error, "no card could be signed"))
            .ok()
    }
}

/// Returns what the hub is told when it is to look around.
pub(super) fn look() -> hub::Input {
    hub::Input::Look { uptime_ms: time::uptime().ms, wall_ms: time::now_ms() }
}
