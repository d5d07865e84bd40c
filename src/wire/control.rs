//! Frames of the control lane.

use serde::{Deserialize, Serialize};
use x0x_tracker::claim::beat::{BEATS_MAX, SignedBeat, Source, Turn};
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::charter::{Role, Signed};
use x0x_tracker::journal::commit::Position;

use super::{Hello, NEWS_MAX, SignedCard, VERSION, WireError, at_most, decode};

/// The most statements in one frame.
pub const STATEMENTS_MAX: usize = 32;

/// The most cards in one frame.
pub const CARDS_MAX: usize = 32;

/// The most agents in one frame whose cards the sender holds.
pub const CARDS_HELD_MAX: usize = 1_024;

/// A frame of the control lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Which lists the sender has. The first frame, and again when they change.
    Hello(Hello),
    /// How far the sender is in a list.
    Digest(Digest),
    /// Places in logs that the sender learned by repair.
    News {
        /// In which list.
        list: ListId,
        /// Places that moved, at most [`NEWS_MAX`].
        places: Vec<(LogId, Position)>,
    },
    /// Where agents of a list can be called.
    Cards {
        /// The list.
        list: ListId,
        /// Their cards.
        cards: Vec<SignedCard>,
    },
    /// Which cards of members the sender holds, and of what time each is. Whoever has a newer one shows
    /// it, and whoever has none or an older one answers with that.
    CardsHeld {
        /// The list.
        list: ListId,
        /// Agents, with the time of their card; nothing where the sender has none. At most
        /// [`CARDS_HELD_MAX`].
        held: Vec<(AgentId, Option<i64>)>,
    },
    /// Commits of the receiver's logs that the sender keeps and that do not count there: of each log the
    /// one that was lost last. Their author may have been put back to a time before it wrote them.
    Lost {
        /// In which list.
        list: ListId,
        /// Where they stood, at most [`NEWS_MAX`].
        places: Vec<(LogId, Position)>,
    },
    /// Asks for a role, for a ticket.
    Join {
        /// The list.
        list: ListId,
        /// The ticket's secret.
        secret: [u8; 32],
    },
    /// The ticket was redeemed; several such frames, where there are many statements.
    Joined {
        /// The list.
        list: ListId,
        /// The role.
        role: Role,
        /// Statements of the charter, each after those that it builds on; at most
        /// [`STATEMENTS_MAX`].
        statements: Vec<Signed>,
        /// Whether more follow.
        more: bool,
    },
    /// The ticket was not redeemed.
    NotJoined {
        /// The list.
        list: ListId,
        /// Why.
        why: JoinRefusal,
    },
    /// Statements of the charter, to an agent that was a member, and of whom it is not clear to both sides
    /// whether it is one.
    Stated {
        /// The list.
        list: ListId,
        /// The statements, in an order in which each can be taken; at most [`STATEMENTS_MAX`].
        statements: Vec<Signed>,
    },
    /// Which claims of an agent are worked on, signed by it.
    Beat {
        /// The list.
        list: ListId,
        /// The frame.
        beat: SignedBeat,
        /// Whether the sender has not passed it on as soon as it was made, as far as it knows: it was asked what
        /// it has, or heard it so.
        is_late: bool,
    },
    /// What is equal on two nodes that know the same beats.
    BeatDigest {
        /// The list.
        list: ListId,
        /// Over the newest turn of each kind of frame of each log.
        hash: [u8; 32],
    },
    /// Which beats the sender knows.
    BeatsHeld {
        /// The list.
        list: ListId,
        /// The newest turn of each kind of frame of each log; at most [`BEATS_MAX`].
        held: Vec<(Source, Turn)>,
        /// Whether the other side is to answer with its own.
        wants_answer: bool,
    },
}

/// How far a node is in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The list.
    pub list: ListId,
    /// BLAKE3-256 over the frontier and the heads of the charter.
    pub hash: [u8; 32],
    /// Whether the other side is to answer with its own.
    pub wants_answer: bool,
}

/// Why a ticket was not redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinRefusal {
    /// Nobody here issued such a ticket.
    Unknown,
    /// It is too late.
    Expired,
    /// Another agent used it.
    Used,
    /// Its issuer may not grant roles.
    NotAllowed,
    /// The issuer's store could not take it just now.
    Failed,
}

impl JoinRefusal {
    /// Returns the words for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "its issuer does not know it",
            Self::Expired => "it has expired",
            Self::Used => "another agent has used it",
            Self::NotAllowed => "its issuer may not grant roles",
            Self::Failed => "its issuer could not write to its store",
        }
    }
}

impl Control {
    /// Tells whether a frame says what a later one, or a comparison, says as well, as far as its first bytes tell.
    pub fn is_repeated(frame: &[u8]) -> bool {
        // The places of Digest, News, Cards, CardsHeld, Lost, BeatDigest and BeatsHeld.
        matches!(frame, [VERSION, 1..=5 | 11 | 12, ..])
    }

    /// Decodes a frame and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let frame: Self = decode("control frame", bytes)?;
        match &frame {
            Self::Hello(hello) => hello.check()?,
            Self::News { places, .. } | Self::Lost { places, .. } => {
                at_most("list of places", places.len(), NEWS_MAX)?;
            }
            Self::BeatsHeld { held, .. } => at_most("list of beats", held.len(), BEATS_MAX)?,
            Self::Cards { cards, .. } => at_most("list of cards", cards.len(), CARDS_MAX)?,
            Self::CardsHeld { held, .. } => {
                at_most("list of cards held", held.len(), CARDS_HELD_MAX)?;
            }
            Self::Joined { statements, .. } | Self::Stated { statements, .. } => {
                at_most("list of statements", statements.len(), STATEMENTS_MAX)?;
            }
            // Its own bound is looked at with its signature.
            Self::Beat { .. } | Self::BeatDigest { .. } => {}
            Self::Digest(_) | Self::Join { .. } | Self::NotJoined { .. } => {}
        }
        Ok(frame)
    }
}
