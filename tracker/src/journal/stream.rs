//! A stream of commits from one store to another: what it is made of, and how the receiver proves
//! each commit as it comes. Which commits are sent, and what becomes of them, is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::charter::{Charter, Signed};
use super::run::{Proved, ProvedRun, Run};
use super::signature::Verifier;
use crate::id::{AgentId, ListId, LogId};

/// The most bytes of headers that a receiver holds whose bodies have not come.
pub const OPEN_HEADER_BYTES_MAX: usize = 16 << 20;

/// What [`JournalError::TooLarge`] calls them. A sender cannot know how many are open: it is not to
/// blame, and goes on where it was with the next stream.
pub const OPEN_HEADERS: &str = "headers without bodies";

/// One piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A statement of the charter; statements come first, in the order in which they were accepted.
    Statement(Signed),
    /// Headers whose bodies follow.
    Run(Run),
    /// The body of a commit whose header came, in the sender's order of application.
    Body {
        /// Its log.
        log: LogId,
        /// Its number.
        number: u64,
        /// The encoded body.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
}

impl Item {
    /// Returns about how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Statement(signed) => signed.statement.len() + signed.signature.len(),
            Self::Run(run) => run.bytes(),
            Self::Body { body, .. } => body.len() + LogId::BYTES,
        }
    }
}

/// What a receiver knows in the middle of a stream: the headers whose bodies have not come.
#[derive(Debug, Default)]
pub struct Incoming {
    from: Option<AgentId>,
    runs: BTreeMap<LogId, (Arc<ProvedRun>, usize)>,
    bytes: usize,
}

impl Incoming {
    /// Returns the start of a stream that this agent sends: its own logs are held to a bound that those
    /// which others bring are not.
    pub fn from(agent: AgentId) -> Self {
        Self { from: Some(agent), ..Self::default() }
    }

    /// Returns who sends it, where that is known.
    pub fn sender(&self) -> Option<AgentId> {
        self.from
    }

    /// Takes headers; those of the same log that came before are forgotten.
    ///
    /// # Errors
    /// Those of [`Run::prove`], and [`JournalError::TooLarge`] past [`OPEN_HEADER_BYTES_MAX`].
    pub fn run(
        &mut self,
        run: &Run,
        list: ListId,
        charter: &Charter,
        verifier: &dyn Verifier,
    ) -> Result<(), JournalError> {
        let bytes = run.bytes();
        let proved = Arc::new(run.clone().prove(list, charter, verifier)?);
        let log = proved.log();
        if let Some((_, before)) = self.runs.remove(&log) {
            self.bytes -= before;
        }
        if self.bytes + bytes > OPEN_HEADER_BYTES_MAX {
            let (what, bytes_max) = (OPEN_HEADERS, OPEN_HEADER_BYTES_MAX);
            return Err(JournalError::TooLarge { what, bytes: self.bytes + bytes, bytes_max });
        }
        self.bytes += bytes;
        self.runs.insert(log, (proved, bytes));
        Ok(())
    }

    /// Takes a body, and returns its commit.
    ///
    /// # Errors
    /// Where its header did not come, or is another body's.
    pub fn body(&mut self, log: LogId, number: u64, body: Vec<u8>) -> Result<Proved, JournalError> {
        let run = self.runs.get(&log).map(|(run, _)| run.clone());
        let run = run.ok_or(JournalError::Malformed { what: "body without a header" })?;
        let commit = run.commit(number, body)?;
        if commit.rest().is_none()
            && let Some((_, bytes)) = self.runs.remove(&log)
        {
            self.bytes -= bytes;
        }
        Ok(commit)
    }
}
