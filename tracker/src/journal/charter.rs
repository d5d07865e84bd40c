//! The charter: signed statements on who belongs to a task list, and in which role.
//!
//! An add-only set of statements that name what their authors had seen. A statement is taken if its author
//! could make it by what it names: that follows from bytes alone, so every store takes the same. Which of
//! those that were taken stand, some of them stated without knowing of each other, is decided in
//! `standing`.

mod standing;
mod statement;
#[cfg(test)]
mod tests;

pub use statement::{REASON_BYTES_MAX, Role, STATEMENT_BYTES_MAX, Signed, Statement};

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::codec::decode;
use super::signature::{PUBLIC_KEY_BYTES, Verifier};
use crate::id::{AgentId, ListId, StatementHash};
use crate::timestamp::Timestamp;

/// The most statements of one charter that found or grant.
pub const GRANTS_MAX: usize = 768;

/// The most statements of one charter that revoke: grants can fill no charter so far that nobody can be
/// revoked any more.
pub const REVOCATIONS_MAX: usize = 256;

/// The most statements that found or grant, and that revoke, by a maintainer other than the founder and all
/// whom it made maintainers, directly or through others: one that turns against the team, with whatever
/// agents it makes up, leaves the others half of all room.
pub const SHARE_GRANTS_MAX: usize = GRANTS_MAX / 2;
const SHARE_REVOCATIONS_MAX: usize = REVOCATIONS_MAX / 2;

/// The most statements that a new one names. Where there are more that no other has in its past, the next
/// statements name the rest.
const SEEN_MAX: usize = 128;

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
    /// Who made an agent a maintainer: of several the one that is nearest to the founder.
    makers: BTreeMap<AgentId, (u32, AgentId)>,
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
    /// How many grants lie between the founder and its signer at least, by those that it names.
    distance: u32,
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
            Statement::Found { founder, .. } => signed.check(founder, verifier)?,
            Statement::Grant { by, seen, .. } | Statement::Revoke { by, seen, .. } => {
                let not_allowed = JournalError::NotAllowed { agent: *by };
                let key = self.public_key(*by).ok_or_else(|| not_allowed.clone())?;
                signed.check(key, verifier)?;
                if self.role_under(*by, seen) != Some(Role::Maintainer) {
                    return Err(not_allowed);
                }
                self.check_share(*by, &statement)?;
            }
        }
        self.add(signed, statement);
        self.settle();
        Ok(())
    }

    /// Checks all but who made it.
    fn check_form(&self, statement: &Statement) -> Result<(), JournalError> {
        let (grants, revocations) = (self.taken.len() - self.revocations, self.revocations);
        let (what, known, count_max) = match statement {
            Statement::Revoke { .. } => ("revocations", revocations, REVOCATIONS_MAX),
            _ => ("grants", grants, GRANTS_MAX),
        };
        if known >= count_max {
            return Err(JournalError::Full { what, count_max });
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
        let is_sorted = seen.is_sorted_by(|a, b| a < b);
        if !is_formed || seen.is_empty() || !is_sorted {
            return Err(JournalError::Malformed { what });
        }
        if let Some(statement) = self.first_unknown(seen) {
            return Err(JournalError::Unstated { statement });
        }
        Ok(())
    }

    /// Checks that an agent's side has room left: a maintainer that the founder made, and all whom it made.
    fn check_share(&self, by: AgentId, statement: &Statement) -> Result<(), JournalError> {
        let revokes = matches!(statement, Statement::Revoke { .. });
        let (what, count_max) = match revokes {
            true => ("revocations by one side", SHARE_REVOCATIONS_MAX),
            false => ("grants by one side", SHARE_GRANTS_MAX),
        };
        let alike = self.taken.iter().filter(|taken| taken.role.is_none() == revokes);
        if alike.clone().count() < count_max {
            return Ok(());
        }
        let mut sides = BTreeMap::new();
        let side = self.side_of(by, &mut sides);
        let used = alike.filter(|taken| self.side_of(taken.by, &mut sides) == side).count();
        match side {
            Some(_) if used >= count_max => Err(JournalError::Full { what, count_max }),
            _ => Ok(()),
        }
    }

    /// Returns the agent next to the founder through whom one became a maintainer; `None` for the founder.
    /// `known` holds those that were worked out before.
    fn side_of(
        &self,
        agent: AgentId,
        known: &mut BTreeMap<AgentId, Option<AgentId>>,
    ) -> Option<AgentId> {
        let (mut line, mut at) = (Vec::new(), Some(agent));
        let side = loop {
            match at.filter(|at| Some(*at) != self.founder) {
                None => break line.last().copied(),
                Some(at) if known.contains_key(&at) => break known[&at],
                Some(next) => line.push(next),
            }
            // Each is nearer to the founder than whom it made.
            at = line.last().and_then(|agent| self.makers.get(agent)).map(|(_, maker)| *maker);
        };
        known.extend(line.into_iter().map(|agent| (agent, side)));
        side
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

    /// Returns the statements that a statement on an agent names that another one makes now: the heads, or as
    /// many as it may name. First come those without which it could not be made, or would void what its
    /// signer knows that agent to have stated.
    pub fn seen(&self, by: AgentId, member: AgentId) -> Vec<StatementHash> {
        if self.heads.len() <= SEEN_MAX {
            return self.heads();
        }
        let places = |matters: &dyn Fn(&Taken) -> bool| {
            let mut places = FixedBitSet::with_capacity(self.taken.len());
            places.extend((0..self.taken.len()).filter(|at| matters(&self.taken[*at])));
            places
        };
        // One grant by which the signer is maintainer is enough, with what it is built on.
        let stands = self.standing(&self.all());
        let makes = |at: &usize| {
            let Taken { member, role, .. } = &self.taken[*at];
            (*member, *role) == (by, Some(Role::Maintainer))
        };
        let mut own = places(&|taken| taken.member == by && taken.role.is_none());
        own.intersect_with(&stands);
        own.extend(stands.ones().rfind(makes));
        let of_member = places(&|taken| taken.by == member || taken.member == member);
        let (mut left, mut seen) = (self.heads.clone(), BTreeSet::new());
        for mut wanted in [own, of_member] {
            while seen.len() < SEEN_MAX && !wanted.is_clear() {
                let brings = |head: &StatementHash| {
                    let mut brought = self.past_of(&[*head]);
                    brought.intersect_with(&wanted);
                    brought.count_ones(..)
                };
                // Of as much, the first: it is the smallest hash.
                let best = left.iter().rev().max_by_key(|head| brings(head)).copied();
                let Some(best) = best else { break };
                wanted.difference_with(&self.past_of(&[best]));
                left.remove(&best);
                seen.insert(best);
            }
        }
        let room = SEEN_MAX.saturating_sub(seen.len());
        seen.extend(left.into_iter().take(room));
        seen.into_iter().collect()
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
        let distance = self.distance(by, &past);
        if role == Some(Role::Maintainer) && Some(member) != self.founder {
            let maker = self.makers.entry(member).or_insert((distance, by));
            *maker = (*maker).min((distance, by));
        }
        self.taken.push(Taken { hash, by, member, role, past, distance, remark });
    }

    /// Returns how many grants lie between the founder and a maintainer at least, by these statements.
    fn distance(&self, agent: AgentId, past: &FixedBitSet) -> u32 {
        if Some(agent) == self.founder {
            return 0;
        }
        let grants = past.ones().filter_map(|grant| {
            let Taken { member, role, distance, .. } = &self.taken[grant];
            let is_meant = (*member, *role) == (agent, Some(Role::Maintainer));
            is_meant.then(|| distance.saturating_add(1))
        });
        grants.min().unwrap_or(u32::MAX)
    }

    /// Works out who has which role now.
    fn settle(&mut self) {
        self.roles = self.roles_in(&self.all());
    }
}
