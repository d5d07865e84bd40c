//! The first frame on a link: which lists a node has, so that only who has them too can tell.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::{AgentId, ListId};

use super::{SignedCard, WireError, at_most};

/// The most lists that a node names on one link.
pub const LISTS_MAX: usize = 64;

/// The most bytes of a program's version.
const VERSION_BYTES_MAX: usize = 32;

/// What each side says first, and again when its lists change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the sender's program, for people.
    pub program: String,
    /// The newest rules for commits that it knows.
    pub rules: u16,
    /// A [`shared_tag`] for each of its lists.
    pub lists: Vec<[u8; 32]>,
    /// Where it can be called.
    pub card: Option<SignedCard>,
}

impl Hello {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Which one it breaks.
    pub fn check(&self) -> Result<(), WireError> {
        at_most("list of task lists", self.lists.len(), LISTS_MAX)?;
        at_most("program version", self.program.len(), VERSION_BYTES_MAX)
    }
}

/// Returns how an agent names a list on one link: nobody who does not have the list can tell which it
/// is, and nobody can use the tag on another link, or in another's name.
///
/// `binding` is what TLS exports for this link (RFC 8446, section 7.5).
pub fn shared_tag(binding: &[u8; 32], sender: AgentId, list: ListId) -> [u8; 32] {
    let mut message = [0; 64];
    message[..32].copy_from_slice(&sender.0);
    message[32..].copy_from_slice(&list.0);
    *blake3::keyed_hash(binding, &message).as_bytes()
}
