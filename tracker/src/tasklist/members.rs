//! Giving and taking roles.

use super::fields::invalid;
use super::{Host, LocalTracker};
use crate::id::{AgentId, ListId};
use crate::interface::{Member, Members, TrackerError};
use crate::journal::JournalError;
use crate::journal::charter::{Charter, REASON_BYTES_MAX, Role, Signed, Statement};
use crate::store::{Journal, Meta};

/// The least digits by which an agent may be named.
const DIGITS_MIN: usize = 8;

impl LocalTracker {
    /// Returns everybody who has a role or had one.
    pub(super) fn everybody(&self) -> Result<Members, TrackerError> {
        let charter = self.charter()?;
        let own = self.outlook().agent;
        let member = |(agent, role)| Member { agent, role, is_own: own == Some(agent) };
        let members = charter.members().into_iter().map(member).collect();
        Ok(Members { members, revoked: charter.revoked() })
    }

    /// Gives an agent that is known a role, whatever it had.
    pub(super) fn give_role(&mut self, agent: &str, role: Role) -> Result<Members, TrackerError> {
        self.state(|host, list, charter| {
            let member = find(charter, agent)?;
            let known = charter.role(member);
            let mut statements = Vec::new();
            if known.is_some_and(|known| known > role) {
                is_not_the_last(charter, member)?;
                if member == host.signer.agent() {
                    // Whoever takes its own role has none to grant the lower one by.
                    let hint = "another maintainer grants it; `x0x revoke` leaves the list";
                    return Err(invalid("role", "an agent cannot lower itself", hint));
                }
                // The highest role counts that was not revoked since.
                let reason = format!("becomes {}", role.name());
                statements.push(revocation(host, list, member, reason));
            }
            if known != Some(role) {
                let key = charter.public_key(member).unwrap_or_default().to_vec();
                statements.push(grant(host, list, key, role));
            }
            Ok(statements)
        })?;
        self.everybody()
    }

    /// Takes every role from an agent.
    pub(super) fn take_role(&mut self, agent: &str, reason: &str) -> Result<Members, TrackerError> {
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(invalid("reason", "is empty", "say why, for those who look later"));
        }
        if reason.len() > REASON_BYTES_MAX {
            let why = format!("has {} bytes of at most {REASON_BYTES_MAX}", reason.len());
            return Err(invalid("reason", &why, "shorten it"));
        }
        self.state(|host, list, charter| {
            let member = find(charter, agent)?;
            if charter.role(member).is_none() {
                return Ok(Vec::new());
            }
            is_not_the_last(charter, member)?;
            Ok(vec![revocation(host, list, member, reason.to_owned())])
        })?;
        self.everybody()
    }

    /// Takes a statement of the charter; returns whether it was new.
    pub fn admit_statement(&mut self, signed: &Signed) -> Result<bool, TrackerError> {
        let host = self.host()?;
        let writing = self.store.write()?;
        let mut charter = Charter::clone(&*writing.charter()?);
        let before = charter.len();
        charter.accept(signed, host.verifier.as_ref())?;
        let expected = writing.list_id()?;
        if let Some(found) = charter.list().filter(|found| *found != expected) {
            return Err(JournalError::OtherList { found, expected }.into());
        }
        let is_new = charter.len() != before;
        if is_new {
            writing.append_statement(signed)?;
            writing.commit()?;
        }
        Ok(is_new)
    }

    /// Adds statements to the charter, all or none; each names the one before it.
    fn state(
        &mut self,
        plan: impl FnOnce(&Host, ListId, &Charter) -> Result<Vec<Statement>, TrackerError>,
    ) -> Result<(), TrackerError> {
        let host = self.host()?;
        let writing = self.store.write()?;
        let mut charter = Charter::clone(&*writing.charter()?);
        let agent = host.signer.agent();
        let list = charter.list().filter(|_| charter.role(agent) == Some(Role::Maintainer));
        let list = list.ok_or(JournalError::NotAllowed { agent })?;
        let statements = plan(host, list, &charter)?;
        let is_nothing = statements.is_empty();
        for statement in statements {
            let signed = sign(host, &charter, statement)?;
            // As every store will that is given it.
            charter.accept(&signed, host.verifier.as_ref())?;
            writing.append_statement(&signed)?;
        }
        if is_nothing { Ok(()) } else { writing.commit() }
    }
}

/// Signs a statement that names what is known.
pub(super) fn sign(
    host: &Host,
    charter: &Charter,
    mut statement: Statement,
) -> Result<Signed, TrackerError> {
    match &mut statement {
        Statement::Found { .. } => {}
        Statement::Grant { by, member, seen, .. } => {
            *seen = charter.seen(*by, AgentId::of_public_key(member));
        }
        Statement::Revoke { by, member, seen, .. } => *seen = charter.seen(*by, *member),
    }
    Ok(Signed::new(&statement, host.signer.as_ref())?)
}

/// Returns the statement that gives a role to the agent with a public key; what it names is left open.
pub(super) fn grant(host: &Host, list: ListId, member: Vec<u8>, role: Role) -> Statement {
    let by = host.signer.agent();
    Statement::Grant { list, by, member, role, seen: Vec::new() }
}

fn revocation(host: &Host, list: ListId, member: AgentId, reason: String) -> Statement {
    let (by, at) = (host.signer.agent(), (host.clock)());
    Statement::Revoke { list, by, member, at, reason, seen: Vec::new() }
}

/// Refuses to leave a list without anybody who may let others in.
fn is_not_the_last(charter: &Charter, member: AgentId) -> Result<(), TrackerError> {
    let maintains = |(_, role): &(AgentId, Role)| *role == Role::Maintainer;
    let mut maintainers = charter.members().into_iter().filter(maintains);
    match (maintainers.next(), maintainers.next()) {
        (Some((last, _)), None) if last == member => {
            Err(TrackerError::LastMaintainer { agent: last })
        }
        _ => Ok(()),
    }
}

/// Returns the agent that an id or the beginning of one means, among those that ever had a role.
fn find(charter: &Charter, name: &str) -> Result<AgentId, TrackerError> {
    let digits = name.to_ascii_lowercase();
    let starts = |agent: &AgentId| agent.to_string().starts_with(&digits);
    let mut found = charter.known_agents().filter(starts);
    let unknown = || TrackerError::NoMember { name: name.to_owned() };
    let first = found.next().filter(|_| digits.len() >= DIGITS_MIN).ok_or_else(unknown)?;
    let others: Vec<String> = found.map(|agent| agent.to_string()).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let all = [vec![first.to_string()], others].concat();
    Err(invalid("agent", &format!("'{name}' may be {}", all.join(" or ")), "give more digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Draft, Tracker};
    use crate::journal::signature::Signer;
    use crate::testing::{self, StandIn};
    use crate::timestamp::Timestamp;

    const LATER: Timestamp = Timestamp(testing::START.0 + 3_600_000);

    fn id(seed: u64) -> String {
        StandIn::new(seed).agent().to_string()
    }

    /// Returns a list of agent 1 that agent 2 joined in a role.
    fn with_second(dir: &std::path::Path, role: Role) -> LocalTracker {
        let mut tracker = testing::found(dir, 1).unwrap();
        tracker.issue_ticket(&[7; 32], role, LATER).unwrap();
        tracker.redeem_ticket(&[7; 32], StandIn::new(2).public_key()).unwrap().unwrap();
        tracker
    }

    fn role(members: &Members, seed: u64) -> Option<Role> {
        let of = |member: &&Member| member.agent == StandIn::new(seed).agent();
        members.members.iter().find(of).map(|member| member.role)
    }

    #[test]
    fn a_role_is_raised_lowered_taken_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = with_second(dir.path(), Role::Worker);
        let raised = tracker.grant(&id(2)[..8], Role::Maintainer).unwrap();
        assert_eq!(role(&raised, 2), Some(Role::Maintainer));
        let lowered = tracker.grant(&id(2), Role::Reader).unwrap();
        assert_eq!((role(&lowered, 2), lowered.revoked.len()), (Some(Role::Reader), 0));
        let taken = tracker.revoke(&id(2), "it left").unwrap();
        assert_eq!((role(&taken, 2), taken.revoked[0].reason.as_str()), (None, "it left"));
        let before = tracker.statements().unwrap().len();
        assert_eq!(tracker.revoke(&id(2), "again").unwrap(), taken);
        assert_eq!(tracker.statements().unwrap().len(), before);
        let back = tracker.grant(&id(2), Role::Worker).unwrap();
        assert_eq!((role(&back, 2), back.revoked.len()), (Some(Role::Worker), 0));
    }

    #[test]
    fn the_last_maintainer_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = with_second(dir.path(), Role::Worker);
        for refused in [tracker.revoke(&id(1), "bye"), tracker.grant(&id(1), Role::Worker)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, TrackerError::LastMaintainer { .. }), "{refused}");
        }
        tracker.grant(&id(2), Role::Maintainer).unwrap();
        let left = tracker.revoke(&id(1), "bye").unwrap();
        assert_eq!((role(&left, 1), role(&left, 2)), (None, Some(Role::Maintainer)));
        let refused = tracker.create(&Draft::titled("late")).unwrap_err();
        assert!(matches!(refused, TrackerError::Journal(JournalError::NotAllowed { .. })));
    }

    #[test]
    fn a_maintainer_lowers_others_and_not_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = with_second(dir.path(), Role::Maintainer);
        let before = tracker.members().unwrap();
        let refused = tracker.grant(&id(1), Role::Worker).unwrap_err();
        assert!(matches!(refused, TrackerError::Invalid { .. }), "{refused}");
        assert_eq!(tracker.members().unwrap(), before);
        let lowered = tracker.grant(&id(2), Role::Worker).unwrap();
        assert_eq!(role(&lowered, 2), Some(Role::Worker));
    }

    #[test]
    fn whoever_was_never_here_is_invited_and_not_granted() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = with_second(dir.path(), Role::Worker);
        for name in [&id(3)[..], &id(2)[..7], "", "ann"] {
            let refused = tracker.grant(name, Role::Worker).unwrap_err();
            assert!(matches!(refused, TrackerError::NoMember { .. }), "{name}: {refused}");
        }
        let refused = tracker.revoke(&id(2), " ").unwrap_err();
        assert!(matches!(refused, TrackerError::Invalid { .. }), "{refused}");
    }
}
