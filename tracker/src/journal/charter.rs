//! The charter: signed statements on who belongs to a task list, and in which role.
//!
//! An add-only set of statements that name what their authors had seen. A statement is taken if its author
//! could make it by what it names: that follows from bytes alone, so every store takes the same. Which of
//! those that were taken stand, some of them stated without knowing of each other, is decided in
//! `standing`.

mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use fixedbitset::FixedBitSet;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::codec::{decode, encode};
use super::signature::{PUBLIC_KEY_BYTES, SignError, Signer, Verifier};
use crate::id::{AgentId, ListId, StatementHash};
use crate::timestamp::Timestamp;

/// The largest statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 8 << 10;

/// The most statements of one charter that found or grant.
pub const GRANTS_MAX: usize = 768;

/// The most statements of one charter that revoke: grants can fill no charter so far that nobody can be
/// revoked any more.
pub const REVOCATIONS_MAX: usize = 256;

/// The longest reason of a revocation, in bytes.
pub const REASON_BYTES_MAX: usize = 1_024;

/// The most statements that a new one names. Where there are more that no other has in its past, the next
/// statements name the rest.
const SEEN_MAX: usize = 128;

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

    /// Returns the hash that commits and other statements name this one by.
    pub fn hash(&self) -> StatementHash {
        StatementHash::of(&self.statement)
    }
}

/// Who belongs to one list, as far as it is known here.
#[derive(Clone, Debug, Default)]
pub struct Charter {
    list: Option<ListId>,
    founder: Option<AgentId>,
    /// Statements that no other has in its past.
    heads: BTreeSet<StatementHash>,
    keys: BTreeMap<AgentId, Vec<u8>>,
    /// In the order in which they were accepted: each after all that it names.
    taken: Vec<Taken>,
    places: BTreeMap<StatementHash, usize>,
    revocations: usize,
    /// What follows from all of them.
    roles: BTreeMap<AgentId, Role>,
}

/// A statement that was accepted.
#[derive(Clone, Debug)]
struct Taken {
    hash: StatementHash,
    by: AgentId,
    member: AgentId,
    /// The role that it grants; `None` where it revokes.
    role: Option<Role>,
    /// The places of all statements that come before it.
    past: FixedBitSet,
    /// How many grants lie between the founder and its signer; worked out where it matters.
    distance: OnceLock<u32>,
    /// What people are told of it.
    remark: Option<Remark>,
}

#[derive(Clone, Debug)]
struct Remark {
    at: Timestamp,
    reason: String,
}

/// An agent that has no role any more, and who took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who has none.
    pub agent: AgentId,
    /// Who took it.
    pub by: AgentId,
    /// When, by that agent's clock.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
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
        let mut charter = Self::default();
        for signed in statements {
            let statement = decode("statement", &signed.statement)?;
            charter.check_form(&statement)?;
            charter.add(signed, statement);
        }
        charter.settle();
        Ok(charter)
    }

    /// Checks one more statement and adds it; one that is here already changes nothing.
    pub fn accept(&mut self, signed: &Signed, verifier: &dyn Verifier) -> Result<(), JournalError> {
        let bytes = signed.statement.len();
        if bytes > STATEMENT_BYTES_MAX {
            let bytes_max = STATEMENT_BYTES_MAX;
            return Err(JournalError::TooLarge { what: "statement", bytes, bytes_max });
        }
        let hash = signed.hash();
        if self.places.contains_key(&hash) {
            return Ok(());
        }
        let statement: Statement = decode("statement", &signed.statement)?;
        self.check_form(&statement)?;
        match &statement {
            Statement::Found { founder, .. } => check(signed, founder, verifier)?,
            Statement::Grant { by, seen, .. } | Statement::Revoke { by, seen, .. } => {
                let not_allowed = JournalError::NotAllowed { agent: *by };
                let key = self.public_key(*by).ok_or_else(|| not_allowed.clone())?;
                check(signed, key, verifier)?;
                if self.role_under(*by, seen) != Some(Role::Maintainer) {
                    return Err(not_allowed);
                }
            }
        }
        self.add(signed, statement);
        self.settle();
        Ok(())
    }

    /// Checks all but who made it.
    fn check_form(&self, statement: &Statement) -> Result<(), JournalError> {
        let (grants, revocations) = (self.taken.len() - self.revocations, self.revocations);
        let (what, known, known_max) = match statement {
            Statement::Revoke { .. } => ("number of revocations", revocations, REVOCATIONS_MAX),
            _ => ("number of grants", grants, GRANTS_MAX),
        };
        if known >= known_max {
            return Err(JournalError::TooLarge { what, bytes: known + 1, bytes_max: known_max });
        }
        let (what, list, seen, is_formed) = match statement {
            Statement::Found { founder, .. } => {
                if self.list.is_some() || founder.len() != PUBLIC_KEY_BYTES {
                    return Err(JournalError::Malformed { what: "founding statement" });
                }
                return Ok(());
            }
            Statement::Grant { list, member, seen, .. } => {
                ("grant", list, seen, member.len() == PUBLIC_KEY_BYTES)
            }
            Statement::Revoke { list, reason, seen, .. } => {
                ("revocation", list, seen, reason.len() <= REASON_BYTES_MAX)
            }
        };
        let expected = self.list.ok_or(JournalError::Malformed { what })?;
        if *list != expected {
            return Err(JournalError::OtherList { found: *list, expected });
        }
        let known = seen.iter().all(|seen| self.places.contains_key(seen));
        let is_sorted = seen.is_sorted_by(|a, b| a < b);
        if !is_formed || seen.is_empty() || !is_sorted || !known {
            return Err(JournalError::Malformed { what });
        }
        Ok(())
    }

    /// Returns the list that the founding statement made.
    pub fn list(&self) -> Option<ListId> {
        self.list
    }

    /// Returns how many statements it has.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Tells whether nothing was stated yet.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Returns the statements that a commit made now names: those that no other has in its past, sorted.
    pub fn heads(&self) -> Vec<StatementHash> {
        self.heads.iter().copied().collect()
    }

    /// Returns the statements that a statement made now names: the heads, or as many as it may name.
    pub fn seen(&self) -> Vec<StatementHash> {
        self.heads.iter().take(SEEN_MAX).copied().collect()
    }

    /// Returns the first of these statements that is not here.
    pub fn first_unknown(&self, heads: &[StatementHash]) -> Option<StatementHash> {
        heads.iter().copied().find(|head| !self.places.contains_key(head))
    }

    /// Returns the public key of an agent that was ever given a role.
    pub fn public_key(&self, agent: AgentId) -> Option<&[u8]> {
        self.keys.get(&agent).map(Vec::as_slice)
    }

    /// Returns every agent that was ever given a role, sorted.
    pub fn known_agents(&self) -> impl Iterator<Item = AgentId> {
        self.keys.keys().copied()
    }

    /// Returns every member with its role, sorted.
    pub fn members(&self) -> Vec<(AgentId, Role)> {
        self.roles.iter().map(|(agent, role)| (*agent, *role)).collect()
    }

    /// Returns the agents whose role was taken from them and not given back, sorted; of several times, the
    /// last, and of several that did not know of each other, the one that was accepted first.
    pub fn revoked(&self) -> Vec<Revoked> {
        let stands = self.standing(&self.all());
        let mut last: BTreeMap<AgentId, usize> = BTreeMap::new();
        for place in stands.ones() {
            let Taken { member, role, past, .. } = &self.taken[place];
            if role.is_some() || self.roles.contains_key(member) {
                continue;
            }
            let known = last.entry(*member).or_insert(place);
            if past.contains(*known) {
                *known = place;
            }
        }
        let revoked = |(agent, place): (AgentId, usize)| {
            let Taken { by, remark, .. } = &self.taken[place];
            let Remark { at, reason } = remark.clone()?;
            Some(Revoked { agent, by: *by, at, reason })
        };
        last.into_iter().filter_map(revoked).collect()
    }

    /// Returns the members that may work, sorted.
    pub fn workers(&self) -> Vec<AgentId> {
        let may_work = self.roles.iter().filter(|(_, role)| role.may_write());
        may_work.map(|(agent, _)| *agent).collect()
    }

    /// Returns a member's role under all that is known here.
    pub fn role(&self, agent: AgentId) -> Option<Role> {
        self.roles.get(&agent).copied()
    }

    /// Tells whether others take what an agent writes now. Where no founding statement is known yet, that is
    /// found out once the list is joined.
    pub fn may_write(&self, agent: AgentId) -> bool {
        self.list.is_none() || self.role(agent).is_some_and(Role::may_write)
    }

    /// Returns the role that an agent had under some heads: by these statements and those in their
    /// past alone, so that every replica that knows them judges alike.
    pub fn role_under(&self, agent: AgentId, heads: &[StatementHash]) -> Option<Role> {
        if self.heads.len() == heads.len() && heads.iter().all(|head| self.heads.contains(head)) {
            return self.role(agent);
        }
        self.role_in(agent, &self.past_of(heads))
    }

    /// Returns the places of all statements.
    fn all(&self) -> FixedBitSet {
        let mut all = FixedBitSet::with_capacity(self.taken.len());
        all.insert_range(..);
        all
    }

    /// Returns the places of these statements, as far as they are known, and of those in their past.
    fn past_of(&self, heads: &[StatementHash]) -> FixedBitSet {
        let mut past = FixedBitSet::with_capacity(self.taken.len());
        for place in heads.iter().filter_map(|head| self.places.get(head)) {
            past.insert(*place);
            past.union_with(&self.taken[*place].past);
        }
        past
    }

    /// Adds a statement whose form was checked.
    fn add(&mut self, signed: &Signed, statement: Statement) {
        let hash = signed.hash();
        let (by, member, role, seen, remark) = match statement {
            Statement::Found { founder, .. } => {
                let agent = AgentId::of_public_key(&founder);
                self.founder = Some(agent);
                self.list = Some(ListId::of(&signed.statement));
                self.keys.insert(agent, founder);
                (agent, agent, Some(Role::Maintainer), Vec::new(), None)
            }
            Statement::Grant { by, member, role, seen, .. } => {
                let agent = AgentId::of_public_key(&member);
                self.keys.insert(agent, member);
                (by, agent, Some(role), seen, None)
            }
            Statement::Revoke { by, member, at, reason, seen, .. } => {
                self.revocations += 1;
                (by, member, None, seen, Some(Remark { at, reason }))
            }
        };
        for hash in &seen {
            self.heads.remove(hash);
        }
        self.heads.insert(hash);
        let past = self.past_of(&seen);
        self.places.insert(hash, self.taken.len());
        let distance = OnceLock::new();
        self.taken.push(Taken { hash, by, member, role, past, distance, remark });
    }

    /// Works out who has which role now.
    fn settle(&mut self) {
        self.roles = self.roles_in(&self.all());
    }
}

fn check(signed: &Signed, public_key: &[u8], verifier: &dyn Verifier) -> Result<(), JournalError> {
    if verifier.verify(public_key, &signed_bytes(&signed.statement), &signed.signature) {
        return Ok(());
    }
    Err(JournalError::Signature { agent: AgentId::of_public_key(public_key) })
}

fn signed_bytes(statement: &[u8]) -> Vec<u8> {
    let mut message = StatementHash::LABEL.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(statement);
    message
}
