//! What is lost with a frame that is dropped before anybody acts on it, as far as its first bytes tell.

use crate::mesh::{self, Purpose};
use crate::pump::Kind;
use crate::wire::{Control, Lane};

/// Returns what is lost with a frame.
pub fn kind_of(lane: Lane, bytes: &[u8]) -> Kind {
    match lane {
        Lane::Control if Control::is_repeated(bytes) => Kind::Light,
        // After the list that it is of.
        Lane::Pubsub => match bytes.get(32..).and_then(mesh::purpose_of) {
            Some(Purpose::Broadcast) => Kind::Data,
            Some(Purpose::Offer | Purpose::Request | Purpose::Walk) => Kind::Light,
            Some(Purpose::Membership | Purpose::Farewell) | None => Kind::Firm,
        },
        Lane::Control | Lane::Direct | Lane::Sync => Kind::Firm,
    }
}
