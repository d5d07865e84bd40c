//! The charter: signed statements on who belongs to a task list, and in which role.
//!
//! An add-only set. Founding and granting are here; taking a role back is not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::codec::{decode, encode};
use super::signature::{PUBLIC_KEY_BYTES, SignError, Signer, Verifier};
use crate::id::{AgentId, ListId, StatementHash};
use crate::timestamp::Timestamp;

/// The largest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 8 << 10;

/// The most statements of one charter.
pub const STATEMENTS_MAX: usize = 1_024;

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

    /// Returns the hash that commits and other statements name this one by.
    pub fn hash(&self) -> StatementHash {
        StatementHash::of(&self.statement)
    }
}

/// Who belongs to one list, as far as it is known here.
#[derive(Clone, Debug, Default)]
pub struct Charter {
    list: Option<ListId>,
    /// Statements that no other has in its past.
    heads: BTreeSet<StatementHash>,
    keys: BTreeMap<AgentId, Vec<u8>>,
    statements: BTreeMap<StatementHash, Effect>,
}

/// What a statement that was accepted does.
#[derive(Clone, Debug)]
struct Effect {
    member: AgentId,
    role: Role,
    /// The statements that its author had seen.
    seen: Vec<StatementHash>,
}

impl Charter {
    /// Returns the charter that statements, in the order in which they were accepted, make.
    pub fn from_statements(
        statements: &[Signed],
        verifier: &dyn Verifier,
    ) -> Result<Self, JournalError> {
        let mut charter = Self::default();
        for signed in statements {
            charter.accept(signed, verifier)?;
        }
        Ok(charter)
    }

    /// Returns the charter that statements make which were checked when they were accepted.
    pub fn of_accepted(statements: &[Signed]) -> Result<Self, JournalError> {
        Self::from_statements(statements, &Checked)
    }

    /// Checks one more statement and adds it; one that is here already changes nothing.
    pub fn accept(&mut self, signed: &Signed, verifier: &dyn Verifier) -> Result<(), JournalError> {
        let bytes = signed.statement.len();
        if bytes > STATEMENT_BYTES_MAX {
            let bytes_max = STATEMENT_BYTES_MAX;
            return Err(JournalError::TooLarge { what: "statement", bytes, bytes_max });
        }
        let hash = signed.hash();
        if self.statements.contains_key(&hash) {
            return Ok(());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            let (what, bytes) = ("number of statements", self.statements.len() + 1);
            return Err(JournalError::TooLarge { what, bytes, bytes_max: STATEMENTS_MAX });
        }
        match decode("statement", &signed.statement)? {
            Statement::Found { founder, .. } => {
                let list = ListId::of(&signed.statement);
                if self.list.is_some() || founder.len() != PUBLIC_KEY_BYTES {
                    return Err(JournalError::Malformed { what: "founding statement" });
                }
                self.check(signed, &founder, verifier)?;
                self.list = Some(list);
                self.add(hash, founder, Role::Maintainer, Vec::new());
            }
            Statement::Grant { list, by, member, role, seen } => {
                let expected = self.list.ok_or(JournalError::Malformed { what: "grant" })?;
                if list != expected {
                    return Err(JournalError::OtherList { found: list, expected });
                }
                let known = seen.iter().all(|seen| self.statements.contains_key(seen));
                let is_sorted = seen.is_sorted_by(|a, b| a < b);
                if member.len() != PUBLIC_KEY_BYTES || seen.is_empty() || !is_sorted || !known {
                    return Err(JournalError::Malformed { what: "grant" });
                }
                let not_allowed = JournalError::NotAllowed { agent: by };
                let key = self.public_key(by).ok_or_else(|| not_allowed.clone())?.to_vec();
                self.check(signed, &key, verifier)?;
                if self.role_under(by, &seen) != Some(Role::Maintainer) {
                    return Err(not_allowed);
                }
                self.add(hash, member, role, seen);
            }
        }
        Ok(())
    }

    /// Returns the list that the founding statement made.
    pub fn list(&self) -> Option<ListId> {
        self.list
    }

    /// Returns how many statements it has.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Tells whether nothing was stated yet.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Returns the statements that a commit or statement made now names: those that no other has in
    /// its past, sorted.
    pub fn heads(&self) -> Vec<StatementHash> {
        self.heads.iter().copied().collect()
    }

    /// Returns the first of these statements that is not here.
    pub fn first_unknown(&self, heads: &[StatementHash]) -> Option<StatementHash> {
        heads.iter().copied().find(|head| !self.statements.contains_key(head))
    }

    /// Returns a member's public key.
    pub fn public_key(&self, agent: AgentId) -> Option<&[u8]> {
        self.keys.get(&agent).map(Vec::as_slice)
    }

    /// Returns every member with its role, sorted.
    pub fn members(&self) -> Vec<(AgentId, Role)> {
        let with_role = |agent: &AgentId| Some((*agent, self.role(*agent)?));
        self.keys.keys().filter_map(with_role).collect()
    }

    /// Returns the members that may work, sorted.
    pub fn workers(&self) -> Vec<AgentId> {
        let may_work = |agent: &&AgentId| self.role(**agent).is_some_and(Role::may_write);
        self.keys.keys().filter(may_work).copied().collect()
    }

    /// Returns a member's role under all that is known here.
    pub fn role(&self, agent: AgentId) -> Option<Role> {
        let of_agent = self.statements.values().filter(|effect| effect.member == agent);
        of_agent.map(|effect| effect.role).max()
    }

    /// Returns the role that an agent had under some heads: by these statements and those in their
    /// past alone, so that every replica that knows them judges alike.
    pub fn role_under(&self, agent: AgentId, heads: &[StatementHash]) -> Option<Role> {
        let mut open = heads.to_vec();
        let mut past = BTreeSet::new();
        let mut role = None;
        while let Some(hash) = open.pop() {
            let Some(effect) = self.statements.get(&hash).filter(|_| past.insert(hash)) else {
                continue;
            };
            if effect.member == agent {
                role = role.max(Some(effect.role));
            }
            open.extend(&effect.seen);
        }
        role
    }

    fn add(
        &mut self,
        hash: StatementHash,
        public_key: Vec<u8>,
        role: Role,
        seen: Vec<StatementHash>,
    ) {
        let member = AgentId::of_public_key(&public_key);
        self.keys.insert(member, public_key);
        for hash in &seen {
            self.heads.remove(hash);
        }
        self.heads.insert(hash);
        self.statements.insert(hash, Effect { member, role, seen });
    }

    fn check(
        &self,
        signed: &Signed,
        public_key: &[u8],
        verifier: &dyn Verifier,
    ) -> Result<(), JournalError> {
        if verifier.verify(public_key, &signed_bytes(&signed.statement), &signed.signature) {
            return Ok(());
        }
        Err(JournalError::Signature { agent: AgentId::of_public_key(public_key) })
    }
}

/// Takes every signature for good: what is stored was verified before.
struct Checked;

impl Verifier for Checked {
    fn verify(&self, _public_key: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}

fn signed_bytes(statement: &[u8]) -> Vec<u8> {
    let mut message = StatementHash::LABEL.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(statement);
    message
}
