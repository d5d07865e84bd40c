//! What two members of a list say to each other whom no link joins: sealed, in pieces, through members of another
//! list that both belong to.

use serde::{Deserialize, Serialize};
use x0x_tracker::claim::beat::{BEATS_MAX, SignedBeat, Source, Turn};
use x0x_tracker::id::ListId;
use x0x_tracker::journal::bounded;
use x0x_tracker::journal::stream::Item;

use super::sync::ITEMS_MAX;
use super::{Standing, WireError, at_most, decode, encode};

/// The most bytes of a piece: with its seal it fits into an envelope of the gossip.
pub const PIECE_BYTES_MAX: usize = 40 << 10;

/// The most pieces of what is said at once: together 2 MiB, more than any commit and what proves it.
pub const PIECES_MAX: u16 = 52;

/// The most frames of beats in one answer: about as many bytes as items.
pub const FAR_BEATS_MAX: usize = 24;

/// What one says to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Far {
    /// In one word how far the sender is; who is elsewhere asks for more.
    Digest {
        /// In which list.
        list: ListId,
        /// See [`Standing::digest`].
        hash: [u8; 32],
        /// What is equal on two nodes that know the same beats.
        beats: [u8; 32],
    },
    /// Asks for some of what the sender lacks.
    Ask {
        /// Of which list.
        list: ListId,
        /// Which ask it is: the answer names it.
        number: u64,
        /// How far the sender is.
        standing: Standing,
        /// The newest rules that it knows.
        rules: u16,
        /// How many items of the answer it had already, and can do nothing more with.
        skip: u32,
        /// The newest turn of each kind of frame of beats of each log; at most [`BEATS_MAX`].
        held: Vec<(Source, Turn)>,
    },
    /// Some of what the other side lacks; nothing of that of which it lacks nothing.
    Items {
        /// Of which list.
        list: ListId,
        /// Which ask they answer.
        number: u64,
        /// Items, in an order in which they can be taken.
        #[serde(deserialize_with = "bounded::at_most::<_, _, ITEMS_MAX>")]
        items: Vec<Item>,
        /// Frames of beats; at most [`FAR_BEATS_MAX`].
        #[serde(deserialize_with = "bounded::at_most::<_, _, FAR_BEATS_MAX>")]
        beats: Vec<SignedBeat>,
    },
}

impl Far {
    /// Returns the list that it is about.
    pub fn list(&self) -> ListId {
        match self {
            Self::Digest { list, .. } | Self::Ask { list, .. } | Self::Items { list, .. } => *list,
        }
    }

    /// Decodes it and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let far: Self = decode("word between far members", bytes)?;
        if let Self::Ask { standing, held, .. } = &far {
            standing.check()?;
            at_most("list of beats", held.len(), BEATS_MAX)?;
        }
        Ok(far)
    }

    /// Encodes it in pieces; `None` where it is too large for that.
    pub fn pieces(&self, message: u64) -> Option<Vec<Piece>> {
        let bytes = encode(self);
        let count = u16::try_from(bytes.len().div_ceil(PIECE_BYTES_MAX)).ok()?;
        if count > PIECES_MAX {
            return None;
        }
        let chunks = bytes.chunks(PIECE_BYTES_MAX).zip(0..);
        let piece = |(bytes, index): (&[u8], u16)| {
            let bytes = bytes.to_vec();
            Piece { message, index, count, bytes }
        };
        Some(chunks.map(piece).collect())
    }
}

/// A piece of what is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Of what; its sender uses no number twice.
    pub message: u64,
    /// Which piece, from 0 on.
    pub index: u16,
    /// Of how many; at most [`PIECES_MAX`].
    pub count: u16,
    /// At most [`PIECE_BYTES_MAX`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl Piece {
    /// Decodes a piece and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let piece: Self = decode("piece", bytes)?;
        at_most("piece", piece.bytes.len(), PIECE_BYTES_MAX)?;
        at_most("number of pieces", usize::from(piece.count), usize::from(PIECES_MAX))?;
        match piece.index < piece.count {
            true => Ok(piece),
            false => Err(WireError::Malformed { what: "piece" }),
        }
    }
}
