//! How claims stand as this machine sees them now: what rows say, beside beats and the time.

use std::cell::OnceCell;

use crate::claim::rules::takeover_after_ms;
use crate::claim::{Sighting, Uptime};
use crate::id::{AgentId, RecordHash};
use crate::interface::report::{Reason, Row};
use crate::interface::{Held, Holder, Standing, TrackerError, Watch};
use crate::store::{Claims, Journal, Tables};
use crate::timestamp::Timestamp;

/// Who asks, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The agent whose data directory this is; `None` where it has no key yet.
    pub agent: Option<AgentId>,
    /// How long the machine has been running.
    pub uptime: Uptime,
    /// The wall clock.
    pub now: Timestamp,
    /// Whether beats of other machines are heard, as a node hears them: without it, their silence says
    /// nothing.
    pub hears: bool,
}

/// A state of the store, seen by somebody at some time.
pub(super) struct Watching<'a, T: Tables> {
    tables: &'a T,
    outlook: Outlook,
    /// The members that may claim; `None` without a charter, where whoever has the file may.
    workers: OnceCell<Option<Vec<AgentId>>>,
}

impl<'a, T: Tables> Watching<'a, T> {
    pub(super) fn of(tables: &'a T, outlook: Outlook) -> Self {
        Self { tables, outlook, workers: OnceCell::new() }
    }

    /// Returns the state of the store.
    pub(super) fn tables(&self) -> &'a T {
        self.tables
    }

    /// Returns for how long no beat of a claim was seen; `None` where nobody here watches it.
    pub(super) fn silent_ms(&self, claim: RecordHash) -> Result<Option<u64>, TrackerError> {
        let seen: Option<Sighting> = match self.tables.seen_beat(claim)? {
            None if self.outlook.hears => self.tables.heard_beat(claim)?,
            seen => seen,
        };
        Ok(seen.map(|seen| seen.age_ms(self.outlook.uptime)))
    }

    /// Returns who holds an issue.
    pub(super) fn holder(&self, held: &Held) -> Result<Holder, TrackerError> {
        Ok(Holder { held: held.clone(), silent_ms: self.silent_ms(held.claim)? })
    }

    /// Returns how the claim stands that holds an issue; `None` where nobody does.
    pub(super) fn watch(&self, row: &Row) -> Result<Option<Watch>, TrackerError> {
        let Some(held) = &row.held else { return Ok(None) };
        let Outlook { agent, now, .. } = self.outlook;
        let silent_ms = self.silent_ms(held.claim)?;
        let left = silent_ms.map(|silent_ms| i128::from(held.ttl_ms) - i128::from(silent_ms));
        let deadline = |left: i128| {
            let at = i128::from(now.0) + left;
            Timestamp(i64::try_from(at).unwrap_or(i64::MAX))
        };
        let unheard = self.unheard(held.agent)?;
        let is_confirmed = unheard.is_empty();
        Ok(Some(Watch {
            age_ms: u64::try_from(now.0.saturating_sub(held.at.0)).unwrap_or(0),
            silent_ms,
            deadline: left.map(deadline),
            is_stale: left.is_some_and(|left| left < 0) || self.is_out(held.agent)?,
            is_own: agent == Some(held.agent),
            standing: if is_confirmed { Standing::Confirmed } else { Standing::Provisional },
            unheard,
        }))
    }

    /// Returns why an issue whose state and blockers would let it be worked on is not ready.
    pub(super) fn reason(&self, row: &Row) -> Result<Option<Reason>, TrackerError> {
        if let Some(held) = &row.held {
            let holder = self.holder(held)?;
            if self.is_out(held.agent)? {
                return Ok(None);
            }
            // The workers of one agent have one place on the slate.
            let is_own = self.outlook.agent == Some(held.agent);
            let wait_ms = takeover_after_ms(held.ttl_ms, held.slot);
            let is_free = is_own && holder.silent_ms.is_some_and(|silent| silent > wait_ms);
            return Ok((!is_free).then_some(Reason::Held(holder)));
        }
        let reason = row.rest.as_ref().and_then(|rest| rest.reason.clone());
        Ok(self.rest_left_ms(row)?.map(|left_ms| Reason::Resting { left_ms, reason }))
    }

    /// Returns for how long an issue is still left alone after a failure; `None` where it is not.
    pub(super) fn rest_left_ms(&self, row: &Row) -> Result<Option<u64>, TrackerError> {
        let Some(rest) = row.rest.as_ref().filter(|rest| rest.retry_after_ms > 0) else {
            return Ok(None);
        };
        let past_ms = self.silent_ms(rest.end)?;
        let left = past_ms.map(|past_ms| rest.retry_after_ms.saturating_sub(past_ms));
        Ok(left.filter(|left_ms| *left_ms > 0))
    }

    /// Returns the members that could claim what an agent claimed, and that nobody here has heard.
    fn unheard(&self, holder: AgentId) -> Result<Vec<AgentId>, TrackerError> {
        let own = self.outlook.agent;
        let is_other = |agent: &&AgentId| **agent != holder && Some(**agent) != own;
        let workers = self.workers()?.unwrap_or_default();
        Ok(workers.iter().filter(is_other).copied().collect())
    }

    /// Tells whether an agent may work no more: its claims wait for nobody.
    pub(super) fn is_out(&self, agent: AgentId) -> Result<bool, TrackerError> {
        Ok(self.workers()?.is_some_and(|workers| !workers.contains(&agent)))
    }

    fn workers(&self) -> Result<Option<&[AgentId]>, TrackerError> {
        if self.workers.get().is_none() {
            let charter = self.tables.charter()?;
            let _first = self.workers.set(charter.list().map(|_| charter.workers()));
        }
        Ok(self.workers.get().and_then(Option::as_deref))
    }
}
