//! The statements of a charter, as they are made, signed and sent. Not: what follows of them.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, ListId, StatementHash};
use crate::journal::JournalError;
use crate::journal::codec::encode;
use crate::journal::signature::{SignError, Signer, Verifier};
use crate::timestamp::Timestamp;

/// The largest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 8 << 10;

/// The longest reason of a revocation, in bytes.
pub const REASON_BYTES_MAX: usize = 1_024;

/// What a member may do; each may do what the next may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees the list.
    Reader,
    /// Edits issues and works on them.
    Worker,
    /// Rules on issues and grants roles.
    Maintainer,
}

impl Role {
    /// Tells whether a member in this role may write commits.
    pub fn may_write(self) -> bool {
        self >= Self::Worker
    }

    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Worker => "worker",
            Self::Maintainer => "maintainer",
        }
    }
}

/// One thing that was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// Makes a list; its hash is the list's id, and its signer the first maintainer.
    Found {
        /// What people call the list.
        name: String,
        /// The signer's public key.
        #[serde(with = "serde_bytes")]
        founder: Vec<u8>,
        /// Makes two lists of one name by one founder differ.
        nonce: [u8; 16],
        /// When.
        at: Timestamp,
    },
    /// Gives an agent a role.
    Grant {
        /// In which list.
        list: ListId,
        /// Who signs.
        by: AgentId,
        /// The public key of the agent that is given the role.
        #[serde(with = "serde_bytes")]
        member: Vec<u8>,
        /// Which role.
        role: Role,
        /// The newest statements that the signer knew; sorted.
        seen: Vec<StatementHash>,
    },
    /// Takes every role from an agent, and voids what it stated that the signer had not seen.
    Revoke {
        /// In which list.
        list: ListId,
        /// Who signs.
        by: AgentId,
        /// Who has no role any more.
        member: AgentId,
        /// When, by the signer's clock; for people alone.
        at: Timestamp,
        /// Why; for people alone.
        reason: String,
        /// The newest statements that the signer knew; sorted.
        seen: Vec<StatementHash>,
    },
}

/// A statement as it is stored and sent: bytes, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The encoded [`Statement`].
    #[serde(with = "serde_bytes")]
    pub statement: Vec<u8>,
    /// The signer's signature.
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl Signed {
    /// Signs a statement.
    pub fn new(statement: &Statement, signer: &dyn Signer) -> Result<Self, SignError> {
        let statement = encode(statement);
        let signature = signer.sign(&signed_bytes(&statement))?;
        Ok(Self { statement, signature })
    }

    /// Checks that whoever has this key signed it.
    pub(super) fn check(
        &self,
        public_key: &[u8],
        verifier: &dyn Verifier,
    ) -> Result<(), JournalError> {
        if verifier.verify(public_key, &signed_bytes(&self.statement), &self.signature) {
            return Ok(());
        }
        Err(JournalError::Signature { agent: AgentId::of_public_key(public_key) })
    }

    /// Returns the hash that commits and other statements name this one by.
    pub fn hash(&self) -> StatementHash {
        StatementHash::of(&self.statement)
    }
}

fn signed_bytes(statement: &[u8]) -> Vec<u8> {
    let mut message = StatementHash::LABEL.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(statement);
    message
}
