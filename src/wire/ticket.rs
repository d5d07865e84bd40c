//! A ticket: what an inviter hands to somebody who is to join a list, as one word.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::charter::Role;

use super::{ADDRESSES_MAX, decode, encode};

/// What a ticket begins with.
const PREFIX: &str = "x0xt";

/// The most characters of a ticket.
const CHARS_MAX: usize = 4_096;

/// The bytes of the check at the end.
const CHECK_BYTES: usize = 4;

/// The most bytes of a list's name or prefix.
const NAME_BYTES_MAX: usize = 256;

/// An invitation to one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which list.
    pub list: ListId,
    /// What it is called.
    pub name: String,
    /// What ids in it start with.
    pub prefix: String,
    /// Who issued the ticket and alone redeems it.
    pub issuer: AgentId,
    /// Where the issuer can be called.
    pub addresses: Vec<SocketAddr>,
    /// What the issuer knows it by.
    pub secret: [u8; 32],
    /// The role that is granted.
    pub role: Role,
    /// Until when, in Unix milliseconds by the issuer's clock.
    pub expires_at_ms: i64,
}

/// A text is no ticket.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketError {
    /// It does not begin like one.
    #[error("it is no ticket: those begin with '{PREFIX}'")]
    OtherWord,
    /// A part of it is missing or was changed.
    #[error("the ticket is incomplete or mistyped")]
    Damaged,
}

impl Ticket {
    /// Returns a number that tells it from others and nothing of its secret.
    pub fn mark(&self) -> u64 {
        let hash = blake3::derive_key("x0x ticket mark v1", &self.secret);
        u64::from_le_bytes(std::array::from_fn(|at| hash[at]))
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = encode(self);
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX).ok_or(TicketError::OtherWord)?;
        if digits.len() > CHARS_MAX {
            return Err(TicketError::Damaged);
        }
        let bytes = BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes());
        let bytes = bytes.map_err(|_| TicketError::Damaged)?;
        let at = bytes.len().checked_sub(CHECK_BYTES).ok_or(TicketError::Damaged)?;
        let (ticket, check) = bytes.split_at(at);
        if blake3::hash(ticket).as_bytes()[..CHECK_BYTES] != *check {
            return Err(TicketError::Damaged);
        }
        let ticket: Self = decode("ticket", ticket).map_err(|_| TicketError::Damaged)?;
        let is_bounded = ticket.addresses.len() <= ADDRESSES_MAX
            && ticket.name.len() <= NAME_BYTES_MAX
            && ticket.prefix.len() <= NAME_BYTES_MAX;
        if is_bounded { Ok(ticket) } else { Err(TicketError::Damaged) }
    }
}
