//! Tickets: what this agent handed out so that others may join, and who came with them. A ticket is
//! good for one agent, and is noted as used before that agent is granted anything.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{LocalTracker, members};
use crate::id::{AgentId, labelled_hash};
use crate::interface::TrackerError;
use crate::journal::JournalError;
use crate::journal::charter::{Charter, Role, Signed};
use crate::store::{Journal, Table, Tables, Writing, decode, encode};
use crate::timestamp::Timestamp;

/// The most tickets that are open at a time; the oldest gives way.
pub const TICKETS_MAX: u64 = 1_024;

/// What a ticket is known by: nobody can read the secret in the store.
const LABEL: &str = "x0x/ticket/v1";

/// A ticket was not redeemed; nothing was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketRefusal {
    /// No such ticket was issued here.
    Unknown,
    /// It is too late.
    Expired,
    /// Another agent used it.
    Used,
    /// This agent may grant no role.
    NotAllowed,
}

/// What a newcomer is given.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// Its role.
    pub role: Role,
    /// All statements of the charter, in an order in which each can be taken.
    pub statements: Vec<Signed>,
    /// The grant, where it is new.
    pub grant: Option<Signed>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Issued {
    role: Role,
    expires_at: Timestamp,
    by: Option<AgentId>,
}

impl LocalTracker {
    /// Notes a ticket with this secret.
    ///
    /// # Errors
    /// [`JournalError::NotAllowed`] where this agent is no maintainer.
    pub fn issue_ticket(
        &mut self,
        secret: &[u8; 32],
        role: Role,
        expires_at: Timestamp,
    ) -> Result<(), TrackerError> {
        let agent = self.host()?.signer.agent();
        let writing = self.store.write()?;
        let charter = writing.charter()?;
        if charter.role(agent) != Some(Role::Maintainer) {
            return Err(JournalError::NotAllowed { agent }.into());
        }
        make_room(&writing, (self.host()?.clock)())?;
        put(&writing, secret, &Issued { role, expires_at, by: None })?;
        writing.commit()
    }

    /// Takes a ticket from the agent with this public key and grants it the role; an agent that shows
    /// the ticket again is told the same again.
    pub fn redeem_ticket(
        &mut self,
        secret: &[u8; 32],
        public_key: &[u8],
    ) -> Result<Result<Welcome, TicketRefusal>, TrackerError> {
        let host = self.host()?;
        let newcomer = AgentId::of_public_key(public_key);
        let writing = self.store.write()?;
        let Some(issued) = get(&writing, secret)? else {
            return Ok(Err(TicketRefusal::Unknown));
        };
        let mut statements = writing.statements()?;
        let charter = writing.charter()?;
        match issued.by {
            Some(by) if by != newcomer => return Ok(Err(TicketRefusal::Used)),
            _ => {}
        }
        // One that was used, and not granted before a crash, is granted now; whoever was granted a role once
        // gets none by the same ticket that was taken from it since.
        if issued.by.is_some() && charter.public_key(newcomer).is_some() {
            return Ok(match charter.role(newcomer) {
                Some(role) => Ok(Welcome { role, statements, grant: None }),
                None => Err(TicketRefusal::Used),
            });
        }
        if issued.by.is_none() && (host.clock)() > issued.expires_at {
            return Ok(Err(TicketRefusal::Expired));
        }
        if charter.role(host.signer.agent()) != Some(Role::Maintainer) {
            return Ok(Err(TicketRefusal::NotAllowed));
        }
        let role = issued.role;
        let is_known = charter.role(newcomer).is_some_and(|known| known >= role);
        // An agent that may grant is a member, so there is a list.
        let agent = host.signer.agent();
        let list = charter.list().ok_or(JournalError::NotAllowed { agent })?;
        let grant = members::grant(host, list, public_key.to_vec(), role);
        let grant = members::sign(host, &charter, grant)?;
        if !is_known {
            // As every store will that is given it; the ticket is as good as before where one would not.
            Charter::clone(&charter).accept(&grant, host.verifier.as_ref())?;
        }
        put(&writing, secret, &Issued { by: Some(newcomer), ..issued.clone() })?;
        writing.commit()?;
        if is_known {
            return Ok(Ok(Welcome { role, statements, grant: None }));
        }
        let writing = self.store.write()?;
        writing.append_statement(&grant)?;
        writing.commit()?;
        statements.push(grant.clone());
        Ok(Ok(Welcome { role, statements, grant: Some(grant) }))
    }
}

/// Forgets tickets that nobody can use any more, and where there are still too many, the one that
/// expires first.
fn make_room(writing: &Writing, now: Timestamp) -> Result<(), TrackerError> {
    let mut open: Vec<(Timestamp, Vec<u8>)> = Vec::new();
    writing.visit(Table::Tickets, &[], &mut |key, value| {
        let issued: Issued = decode(value, "a ticket")?;
        open.push((issued.expires_at, key.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    open.sort();
    let excess = (open.len() as u64 + 1).saturating_sub(TICKETS_MAX);
    for (at, (expires_at, key)) in open.into_iter().enumerate() {
        if expires_at < now || (at as u64) < excess {
            writing.remove(Table::Tickets, &key)?;
        }
    }
    Ok(())
}

fn put(writing: &Writing, secret: &[u8; 32], issued: &Issued) -> Result<(), TrackerError> {
    writing.put(Table::Tickets, &key_of(secret), &encode(issued)?)
}

fn get(writing: &Writing, secret: &[u8; 32]) -> Result<Option<Issued>, TrackerError> {
    let bytes = writing.get(Table::Tickets, &key_of(secret))?;
    bytes.map(|bytes| decode(&bytes, "a ticket")).transpose()
}

fn key_of(secret: &[u8; 32]) -> [u8; 32] {
    labelled_hash(LABEL, &[secret])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Tracker;
    use crate::journal::signature::Signer;
    use crate::testing::{self, StandIn};

    const LATER: Timestamp = Timestamp(testing::START.0 + 3_600_000);

    fn key(seed: u64) -> Vec<u8> {
        StandIn::new(seed).public_key().to_vec()
    }

    #[test]
    fn a_ticket_is_good_for_one_agent_and_once_more_for_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        tracker.issue_ticket(&[7; 32], Role::Worker, LATER).unwrap();
        let first = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap();
        assert_eq!((first.role, first.statements.len()), (Role::Worker, 2));
        assert!(first.grant.is_some());
        let again = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap();
        assert_eq!((again.statements, again.grant), (first.statements, None));
        let other = tracker.redeem_ticket(&[7; 32], &key(3)).unwrap();
        assert_eq!(other.unwrap_err(), TicketRefusal::Used);
        let charter = tracker.charter().unwrap();
        assert_eq!(charter.role(StandIn::new(2).agent()), Some(Role::Worker));
        assert_eq!(charter.role(StandIn::new(3).agent()), None);
    }

    #[test]
    fn a_ticket_that_was_used_gives_no_role_back_that_was_taken_or_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        tracker.issue_ticket(&[7; 32], Role::Worker, LATER).unwrap();
        tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap();
        let second = StandIn::new(2).agent().to_string();
        tracker.grant(&second, Role::Reader).unwrap();
        let again = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap();
        assert_eq!((again.role, again.grant), (Role::Reader, None));
        tracker.revoke(&second, "gone").unwrap();
        let before = tracker.statements().unwrap();
        let refused = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap_err();
        assert_eq!(refused, TicketRefusal::Used);
        assert_eq!(tracker.statements().unwrap(), before);
        // A new one does: a maintainer made it since.
        tracker.issue_ticket(&[8; 32], Role::Worker, LATER).unwrap();
        let back = tracker.redeem_ticket(&[8; 32], &key(2)).unwrap().unwrap();
        assert_eq!(back.role, Role::Worker);
    }

    #[test]
    fn what_was_not_issued_or_is_too_old_grants_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        let refusal = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap_err();
        assert_eq!(refusal, TicketRefusal::Unknown);
        let past = Timestamp(testing::START.0 - 1);
        tracker.issue_ticket(&[8; 32], Role::Reader, past).unwrap();
        let refusal = tracker.redeem_ticket(&[8; 32], &key(2)).unwrap().unwrap_err();
        assert_eq!(refusal, TicketRefusal::Expired);
        assert_eq!(tracker.charter().unwrap().members().len(), 1);
    }

    #[test]
    fn a_store_keeps_a_bounded_number_of_tickets() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        for n in 0..TICKETS_MAX + 2 {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&n.to_le_bytes());
            let expires_at = Timestamp(LATER.0 + n as i64);
            tracker.issue_ticket(&secret, Role::Worker, expires_at).unwrap();
        }
        assert_eq!(tracker.store.read().unwrap().len(Table::Tickets).unwrap(), TICKETS_MAX);
        let first = tracker.redeem_ticket(&[0; 32], &key(2)).unwrap();
        assert_eq!(first.unwrap_err(), TicketRefusal::Unknown);
    }

    #[test]
    fn only_a_maintainer_issues_tickets() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        tracker.issue_ticket(&[7; 32], Role::Worker, LATER).unwrap();
        let welcome = tracker.redeem_ticket(&[7; 32], &key(2)).unwrap().unwrap();
        let info = tracker.info().unwrap();
        let founding = crate::store::Founding {
            list: info.list,
            name: info.name,
            prefix: info.prefix,
            statement: None,
        };
        let other = tempfile::tempdir().unwrap();
        crate::store::Store::create(&other.path().join("list.redb"), &founding).unwrap();
        let mut worker = testing::open(other.path(), 2).unwrap();
        for statement in &welcome.statements {
            worker.admit_statement(statement).unwrap();
        }
        let error = worker.issue_ticket(&[9; 32], Role::Worker, LATER).unwrap_err();
        assert!(matches!(error, TrackerError::Journal(JournalError::NotAllowed { .. })), "{error}");
    }
}
