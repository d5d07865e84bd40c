//! Who belongs to a list, as a node is asked for it: making tickets, and going to the issuer of one.

use std::time::Duration;

use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::timestamp::Timestamp;

use super::{JoinError, Node, Stopped, Told};
use crate::home::HomeError;
use crate::hub::{self, Note};
use crate::wire::Ticket;
use crate::{entropy, time};

impl Node {
    /// Makes a ticket for one agent.
    ///
    /// # Errors
    /// Where the list is not here, or this agent may not grant roles in it.
    pub async fn invite(
        &self,
        list: ListId,
        role: Role,
        lifetime: Duration,
    ) -> Result<Result<Ticket, HomeError>, Stopped> {
        let (issuer, addresses) = (self.agent, self.addresses().to_vec());
        self.keeper
            .ask(move |shelf| {
                let dir = shelf.home().dir().to_owned();
                let unknown = || HomeError::UnknownList { list, dir };
                let tracker = shelf.list(list).ok_or_else(unknown)?;
                let info = tracker.info()?;
                let mut secret = [0; 32];
                entropy::fill(&mut secret);
                let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                let expires_at_ms = time::now_ms().saturating_add(lifetime_ms);
                tracker.issue_ticket(&secret, role, Timestamp(expires_at_ms))?;
                let (name, prefix) = (info.name, info.prefix);
                Ok(Ticket { list, name, prefix, issuer, addresses, secret, role, expires_at_ms })
            })
            .await
    }

    /// Goes to the issuer of a ticket, and returns the role once it is granted; waits for as long as the
    /// issuer cannot be reached. Where this agent has that role or a higher one, it is returned at once.
    pub async fn join(&self, ticket: Ticket) -> Result<Result<Role, JoinError>, Stopped> {
        let (list, wanted, mark) = (ticket.list, ticket.role, ticket.mark());
        let mut notes = self.notes();
        let (name, prefix) = (ticket.name.clone(), ticket.prefix.clone());
        let attached = self.keeper.ask(move |shelf| shelf.attach(list, &name, &prefix)).await?;
        if let Err(error) = attached {
            return Ok(Err(error.into()));
        }
        // The ticket stays good for somebody else.
        if let Some(role) = self.role_in(list).await?.filter(|role| *role >= wanted) {
            return Ok(Ok(role));
        }
        self.hub.send(Told::Input(hub::Input::Join(ticket.clone()))).map_err(|_gone| Stopped)?;
        loop {
            match notes.recv().await {
                Ok(Note::Joined { ticket, role, .. }) if ticket == mark => return Ok(Ok(role)),
                Ok(Note::NotJoined { ticket, why, .. }) if ticket == mark => {
                    return Ok(Err(JoinError::Refused(why)));
                }
                Ok(_) => {}
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                    // What was missed may be the very answer.
                    if let Some(role) = self.role_in(list).await?.filter(|role| *role >= wanted) {
                        return Ok(Ok(role));
                    }
                    let again = Told::Input(hub::Input::Join(ticket.clone()));
                    self.hub.send(again).map_err(|_gone| Stopped)?;
                }
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return Err(Stopped),
            }
        }
    }

    /// Returns this agent's role in a list.
    pub async fn role_in(&self, list: ListId) -> Result<Option<Role>, Stopped> {
        let me = self.agent;
        let role = self.keeper.with(list, move |tracker| tracker.charter().ok()?.role(me)).await?;
        Ok(role.flatten())
    }
}
