//! Signed logs of edits: what a commit is, how it proves itself, and who may write.
//!
//! It carries changes and never looks into them; documents check those.

pub mod bounded;
pub mod charter;
mod codec;
pub mod commit;
pub mod frontier;
pub mod run;
pub mod signature;
pub mod stream;

/// A commit, a statement or a log was refused. Nothing of it was kept.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// The bytes do not decode.
    #[error("the {what} is malformed")]
    Malformed {
        /// Header, body or statement.
        what: &'static str,
    },
    /// The bytes are more than the bound allows.
    #[error("the {what} has {bytes} bytes, more than the {bytes_max} allowed")]
    TooLarge {
        /// Header, body or statement.
        what: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        bytes_max: usize,
    },
    /// The charter takes no more statements of this kind.
    #[error("the charter takes no more {what}: {count_max} are allowed")]
    Full {
        /// Of which kind, and by whom.
        what: &'static str,
        /// How many it may have.
        count_max: usize,
    },
    /// It belongs to another task list.
    #[error("it belongs to task list {found}, not to {expected}")]
    OtherList {
        /// The list it names.
        found: crate::id::ListId,
        /// The list at hand.
        expected: crate::id::ListId,
    },
    /// It was made under other rules.
    #[error("it was made under rules version {found}, this program knows {known}: upgrade")]
    Rules {
        /// The version it names.
        found: u16,
        /// The version known here.
        known: u16,
    },
    /// It does not continue the log as it is known here.
    #[error("commit {number} of {log} does not continue what is here: {reason}")]
    Chain {
        /// Which log.
        log: crate::id::LogId,
        /// Which commit.
        number: u64,
        /// In what way.
        reason: &'static str,
    },
    /// It builds on a commit that is not here yet.
    #[error("commit {number} of {log} is not here yet")]
    Missing {
        /// Which log.
        log: crate::id::LogId,
        /// Which commit.
        number: u64,
    },
    /// It names a statement of the charter that is not here yet.
    #[error("statement {} of the charter is not here yet", statement.short())]
    Unstated {
        /// Which statement.
        statement: crate::id::StatementHash,
    },
    /// It is void, or builds on a commit that is.
    #[error("it is void, or builds on a void commit")]
    Void,
    /// The signature is not its author's.
    #[error("the signature is not that of agent {agent}")]
    Signature {
        /// Who should have signed.
        agent: crate::id::AgentId,
    },
    /// The author may not do this under the charter that the commit names.
    #[error("agent {} has no role in this list that allows it", .agent.short())]
    NotAllowed {
        /// Who.
        agent: crate::id::AgentId,
    },
}
