//! What the gossip of a list carries.

use serde::{Deserialize, Serialize};
use x0x_tracker::journal::charter::Signed;
use x0x_tracker::journal::commit::Commit;
use x0x_tracker::journal::run::Run;

use super::{WireError, decode};

/// The most bytes of a header and a body that are broadcast; larger commits are announced and pulled.
pub const BROADCAST_BYTES_MAX: usize = 60 << 10;

/// What is broadcast to all nodes of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A commit with its own signature.
    Commit(Commit),
    /// A log moved by commits that are too large or too many to be broadcast: pull them. A run of one
    /// header, that of its newest commit, so that nobody pulls what its author did not sign.
    Moved(Run),
    /// A statement of the charter.
    Statement(Signed),
}

impl Payload {
    /// Returns what tells everybody of the newest commit of a log; it alone is new, or others before it
    /// are too. `None` where it cannot be proved in one payload.
    pub fn announcing(commit: Commit, is_alone: bool) -> Option<Self> {
        let Commit { header, body, signature } = &commit;
        let signature = signature.clone()?;
        if is_alone && header.len() + body.len() <= BROADCAST_BYTES_MAX {
            return Some(Self::Commit(commit));
        }
        let headers = vec![header.clone()];
        (header.len() <= BROADCAST_BYTES_MAX).then_some(Self::Moved(Run { headers, signature }))
    }

    /// Decodes a payload.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        decode("payload", bytes)
    }
}
