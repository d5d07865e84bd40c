//! What the gossip of a list carries.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::charter::Signed;
use x0x_tracker::journal::commit::Commit;
use x0x_tracker::journal::run::Run;

use super::{WireError, at_most, decode};

/// The most bytes of a header and a body that are broadcast; larger commits are announced and pulled.
pub const BROADCAST_BYTES_MAX: usize = 60 << 10;

/// The most bytes of what is sealed for one agent and broadcast.
pub const SEALED_BYTES_MAX: usize = 60 << 10;

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
    /// Something for one agent, which that one alone can open.
    Sealed {
        /// For whom.
        to: AgentId,
        /// What; at most [`SEALED_BYTES_MAX`].
        #[serde(with = "serde_bytes")]
        sealed: Vec<u8>,
    },
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
        let payload = decode("payload", bytes)?;
        if let Self::Sealed { sealed, .. } = &payload {
            at_most("sealed frame", sealed.len(), SEALED_BYTES_MAX)?;
        }
        Ok(payload)
    }
}
