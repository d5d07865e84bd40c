//! What nodes say to each other: the frames of every lane, their encoding and their bounds. What is
//! answered is decided elsewhere.
//!
//! A frame is a version byte and a postcard value (its wire format specification, version 1); what is
//! left over is an error. Decoding never panics, and allocates no more than the frame is long.

mod card;
mod control;
mod far;
mod hello;
mod payload;
mod sync;
mod ticket;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use card::{ADDRESSES_MAX, Card, SEAL_KEY_BYTES, SignedCard};
pub use control::{CARDS_HELD_MAX, CARDS_MAX, Control, Digest, JoinRefusal, STATEMENTS_MAX};
pub use far::{FAR_BEATS_MAX, Far, PIECE_BYTES_MAX, PIECES_MAX, Piece};
pub use hello::{Hello, LISTS_MAX, shared_tag};
pub use payload::{BROADCAST_BYTES_MAX, Payload, SEALED_BYTES_MAX};
pub use sync::{Answer, Request, Standing};
pub use ticket::{Ticket, TicketError};

/// The version of the frames.
pub const VERSION: u8 = 1;

/// The largest frame of the control lane, in bytes.
pub const CONTROL_BYTES_MAX: usize = 256 << 10;

/// The largest frame of the pubsub lane, in bytes: an envelope and what names its list.
pub const PUBSUB_BYTES_MAX: usize = (64 << 10) + 64 + 32;

/// The largest frame of the direct lane, in bytes: a message and what stands around it.
pub const DIRECT_BYTES_MAX: usize = 52 << 10;

/// The largest frame of a sync stream, in bytes: a commit and its headers.
pub const SYNC_BYTES_MAX: usize = 8 << 20;

/// The most entries in a frame of frontier news.
pub const NEWS_MAX: usize = 64;

/// A lane: the streams of one class of traffic between two nodes. A full one never delays another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// Who is there, digests, news, joining: small frames that must not wait.
    Control = 0,
    /// Membership and trees of the gossip, and what they carry, in one order.
    Pubsub = 1,
    /// Messages of one agent to another, and what answers them, in one order.
    Direct = 2,
    /// Requests for commits; each has a stream of its own.
    Sync = 3,
}

impl Lane {
    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Pubsub => "pubsub",
            Self::Direct => "direct",
            Self::Sync => "sync",
        }
    }

    /// Returns the lane that a stream's first byte names.
    pub fn of_byte(byte: u8) -> Option<Self> {
        [Self::Control, Self::Pubsub, Self::Direct, Self::Sync]
            .into_iter()
            .find(|lane| *lane as u8 == byte)
    }

    /// Returns the largest frame, in bytes.
    pub fn frame_bytes_max(self) -> usize {
        match self {
            Self::Control => CONTROL_BYTES_MAX,
            Self::Pubsub => PUBSUB_BYTES_MAX,
            Self::Direct => DIRECT_BYTES_MAX,
            Self::Sync => SYNC_BYTES_MAX,
        }
    }
}

/// Bytes are no frame: whoever sent them broke the protocol.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The frame has another version.
    #[error("a frame of version {found}, this program knows {VERSION}")]
    Version {
        /// The version it names.
        found: u8,
    },
    /// The bytes do not decode.
    #[error("a malformed {what}")]
    Malformed {
        /// What they should be.
        what: &'static str,
    },
    /// There is more of something than its bound allows.
    #[error("a {what} of {found}, more than the {max} allowed")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many, or how many bytes.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Encodes a frame.
pub fn encode<T: Serialize>(frame: &T) -> Vec<u8> {
    // Postcard fails for sequences of unknown length alone, and frames have none.
    postcard::to_extend(frame, vec![VERSION]).expect("every length is known")
}

/// Decodes a frame; bytes left over are an error.
///
/// # Errors
/// Where the bytes are no such frame.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    let Some((version, rest)) = bytes.split_first() else {
        return Err(WireError::Malformed { what });
    };
    if *version != VERSION {
        return Err(WireError::Version { found: *version });
    }
    match postcard::take_from_bytes(rest) {
        Ok((frame, [])) => Ok(frame),
        _ => Err(WireError::Malformed { what }),
    }
}

/// Checks a count against its bound.
pub(crate) fn at_most(what: &'static str, found: usize, max: usize) -> Result<(), WireError> {
    if found > max { Err(WireError::TooLarge { what, found, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
