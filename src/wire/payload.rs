//! What the gossip of a list carries.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::LogId;
use x0x_tracker::journal::charter::Signed;
use x0x_tracker::journal::commit::{Commit, Position};

use super::{WireError, decode};

/// What is broadcast to all nodes of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A commit with its own signature.
    Commit(Commit),
    /// A log moved by commits that are too large or too many to be broadcast: pull them.
    Moved {
        /// Which log.
        log: LogId,
        /// Its newest commit.
        position: Position,
    },
    /// A statement of the charter.
    Statement(Signed),
}

impl Payload {
    /// Decodes a payload.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        decode("payload", bytes)
    }
}
