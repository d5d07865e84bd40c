//! Frames of a sync stream: one request, then its answers, the last of which ends it.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::{CommitHash, ListId, LogId, StatementHash};
use x0x_tracker::journal::bounded;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::Run;
use x0x_tracker::journal::stream::Item;

use super::{WireError, at_most, decode};

/// The most logs in a frontier that is sent.
const LOGS_MAX: usize = 65_536;

/// The most pieces of a stream in one answer. Of the shortest that a sender makes, a body without
/// changes, fewer fit into what it sends at once.
pub const ITEMS_MAX: usize = 8_192;

/// The most heads of a charter that are sent.
const HEADS_MAX: usize = 1_024;

/// How far a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How far each log is, sorted.
    pub logs: Vec<(LogId, Position)>,
    /// The heads of the charter, sorted.
    pub charter: Vec<StatementHash>,
    /// Void commits of the receiver's own logs: log, number and hash.
    pub voids: Vec<(LogId, u64, CommitHash)>,
}

impl Standing {
    /// Returns how far each log is.
    pub fn frontier(&self) -> Frontier {
        Frontier(self.logs.iter().copied().collect())
    }

    /// Returns the hash that tells whether two nodes are equally far: BLAKE3-256 over list, places
    /// and heads.
    pub fn digest(&self, list: ListId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("x0x digest v1");
        hasher.update(&list.0);
        hasher.update(&(self.logs.len() as u64).to_le_bytes());
        for (log, position) in &self.logs {
            hasher.update(&log.to_bytes());
            hasher.update(&position.number.to_le_bytes());
            hasher.update(&position.hash.0);
        }
        for head in &self.charter {
            hasher.update(&head.0);
        }
        *hasher.finalize().as_bytes()
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// All that the sender lacks.
    Pull {
        /// Of which list.
        list: ListId,
        /// How far the sender is.
        standing: Standing,
    },
    /// Headers of a log from a number on, up to a signature.
    Headers {
        /// Of which list.
        list: ListId,
        /// Of which log.
        log: LogId,
        /// From which number on.
        from: u64,
    },
    /// What the sender wrote once and the receiver does not count.
    Lost {
        /// In which list.
        list: ListId,
    },
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Pieces of a stream of commits.
    Items(#[serde(deserialize_with = "bounded::at_most::<_, _, ITEMS_MAX>")] Vec<Item>),
    /// The end of a pull: how far the answering side is.
    End(Standing),
    /// Headers; `None` where the log does not reach so far.
    Headers(Option<Run>),
    /// The sender is no member of the list, or the list is not here.
    NotServed,
}

impl Request {
    /// Returns the list that it is about.
    pub fn list(&self) -> ListId {
        match self {
            Self::Pull { list, .. } | Self::Headers { list, .. } | Self::Lost { list } => *list,
        }
    }

    /// Decodes a request and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let request: Self = decode("request", bytes)?;
        if let Self::Pull { standing, .. } = &request {
            standing.check()?;
        }
        Ok(request)
    }
}

impl Answer {
    /// Decodes an answer and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let answer: Self = decode("answer", bytes)?;
        if let Self::End(standing) = &answer {
            standing.check()?;
        }
        Ok(answer)
    }
}

impl Standing {
    pub(super) fn check(&self) -> Result<(), WireError> {
        at_most("frontier", self.logs.len(), LOGS_MAX)?;
        at_most("list of void commits", self.voids.len(), LOGS_MAX)?;
        at_most("list of heads", self.charter.len(), HEADS_MAX)
    }
}
