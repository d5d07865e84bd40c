//! How claims stand as this machine sees them now: what rows say, beside beats, promises, whom a node hears,
//! and the time.

use std::cell::OnceCell;
use std::sync::Arc;

use super::senses::Senses;
use super::{names, slates};
use crate::claim::around::{self, Around};
use crate::claim::rules::{self, Sight};
use crate::claim::{Sighting, Tree, Uptime};
use crate::id::{AgentId, RecordHash};
use crate::interface::report::{Reason, Row};
use crate::interface::{Held, Holder, Standing, TrackerError, Watch};
use crate::journal::charter::Charter;
use crate::store::{Claims, Journal, Tables};
use crate::timestamp::Timestamp;

/// Who asks, and when.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// The agent whose data directory this is; `None` where it has no key yet.
    pub agent: Option<AgentId>,
    /// How long the machine has been running.
    pub uptime: Uptime,
    /// The wall clock.
    pub now: Timestamp,
    /// What a node tells of others, while one runs: without it, their silence says nothing.
    pub senses: Arc<Senses>,
}

impl Outlook {
    /// Notes since when an issue is free, where a node has the store.
    pub(super) fn note_change(&self, before: Option<&Row>, row: &Row) {
        let is_free = |row: &Row| row.held.is_none() && !row.deleted;
        let was_free = before.is_some_and(is_free);
        self.senses.note(row.key, was_free, is_free(row), self.uptime.ms);
    }
}

/// Why it is not known what others did.
pub(super) enum Unasked {
    /// The node has not compared with them yet.
    Comparing,
    /// No node runs here that could ask them.
    NoNode,
}

/// A state of the store, seen by somebody at some time.
pub(super) struct Watching<'a, T: Tables> {
    tables: &'a T,
    outlook: Outlook,
    around: Option<Arc<Around>>,
    /// Who belongs to the list.
    charter: OnceCell<Arc<Charter>>,
    /// The members that may claim; `None` without a charter, where whoever has the file may.
    workers: OnceCell<Option<Vec<AgentId>>>,
    /// The agents that a slate would be drawn of now.
    pub(super) candidates: OnceCell<Vec<AgentId>>,
}

impl<'a, T: Tables> Watching<'a, T> {
    pub(super) fn of(tables: &'a T, outlook: Outlook) -> Self {
        let around = outlook.senses.around();
        let (charter, workers, candidates) = Default::default();
        Self { tables, outlook, around, charter, workers, candidates }
    }

    /// Returns the state of the store.
    pub(super) fn tables(&self) -> &'a T {
        self.tables
    }

    /// Returns who asks, and when.
    pub(super) fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// Returns what a node sees of others; `None` without one.
    pub(super) fn around(&self) -> Option<&Around> {
        self.around.as_deref()
    }

    /// Returns for how long no beat of a claim was seen, or how long ago an end was; `None` where nobody
    /// here watches it. A claim made here ages with the machine; one of another only while this node looks.
    pub(super) fn silent_ms(&self, claim: RecordHash) -> Result<Option<u64>, TrackerError> {
        let now = self.outlook.uptime;
        if let Some(seen) = self.tables.seen_beat(claim)? {
            return Ok(Some(seen.age_ms(now)));
        }
        let Some(around) = &self.around else { return Ok(None) };
        let heard: Option<Sighting> = self.tables.heard_beat(claim)?;
        Ok(heard.map(|heard| around.age_ms(heard, now)))
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
        let is_stale = left.is_some_and(|left| left < 0) || self.is_out(held.agent)?;
        let unheard = self.unheard(row, held, is_stale)?;
        let is_own = agent == Some(held.agent);
        let standing = match unheard.is_empty() {
            _ if is_own && self.is_isolated(held.ttl_ms)? => Standing::Isolated,
            true => Standing::Confirmed,
            false => Standing::Provisional,
        };
        Ok(Some(Watch {
            age_ms: u64::try_from(now.0.saturating_sub(held.at.0)).unwrap_or(0),
            silent_ms,
            deadline: left.map(deadline),
            is_stale,
            is_own,
            standing,
            unheard,
        }))
    }

    /// Returns why an issue whose state and blockers would let it be worked on is not ready.
    pub(super) fn reason(&self, row: &Row) -> Result<Option<Reason>, TrackerError> {
        if let Some(held) = &row.held {
            let holder = self.holder(held)?;
            let is_free = self.is_out(held.agent)? || self.may_take_over(row, held, &holder)?;
            return Ok((!is_free).then_some(Reason::Held(holder)));
        }
        let reason = row.rest.as_ref().and_then(|rest| rest.reason.clone());
        if let Some(left_ms) = self.rest_left_ms(row)? {
            return Ok(Some(Reason::Resting { left_ms, reason }));
        }
        Ok(self.slate_left_ms(row)?.map(|left_ms| Reason::SlateFirst { left_ms }))
    }

    /// Tells whether the one who asks may take over the claim that holds an issue.
    fn may_take_over(&self, row: &Row, held: &Held, holder: &Holder) -> Result<bool, TrackerError> {
        let has_lapsed = holder.silent_ms.is_some_and(|silent_ms| silent_ms > held.ttl_ms);
        let Some(own) = self.outlook.agent.filter(|_| has_lapsed) else { return Ok(false) };
        let tree = names::document(self.tables, row.key)?.tree(None);
        let (slate, sight) = (slates::of(self, &tree)?, self.sight(row, &[])?);
        Ok(rules::may_take_over(&tree, held.claim, &slate, own, &sight).is_ok())
    }

    /// Returns how long an issue that nobody holds is for others first; `None` where it is not.
    fn slate_left_ms(&self, row: &Row) -> Result<Option<u64>, TrackerError> {
        let Some(own) = self.outlook.agent.filter(|_| self.around.is_some()) else {
            return Ok(None);
        };
        let longest = rules::OPEN_AFTER_MS + rules::OPEN_SPREAD_MS;
        if self.unheld_ms(row) > longest {
            return Ok(None);
        }
        let slate = match row.tally.claims {
            // Nobody drew one yet.
            0 => slates::drawn(self, &row.id)?,
            _ => slates::of(self, &names::document(self.tables, row.key)?.tree(None))?,
        };
        let sight = self.sight(row, &slate)?;
        Ok(Some(rules::opens_in_ms(&row.id, &slate, own, &sight)).filter(|ms| *ms > 0))
    }

    /// Returns what is known of an issue beside its records; `slate` is the one that counts for it.
    pub(super) fn sight(&self, row: &Row, slate: &[AgentId]) -> Result<Sight, TrackerError> {
        let held = row.held.as_ref();
        let silent_ms = held.map(|held| self.silent_ms(held.claim)).transpose()?.flatten();
        let is_holder_out = match held {
            Some(held) => self.is_out(held.agent)?,
            None => false,
        };
        let settles_in_ms = match held.filter(|held| Some(held.agent) == self.outlook.agent) {
            // Others may have taken it over, so they are asked before another worker here does.
            Some(held) if self.unasked()?.is_some() => around::wait_ms(held.ttl_ms),
            Some(_) | None => 0,
        };
        let alone = Sight { is_holder_out, settles_in_ms, ..Sight::alone(silent_ms) };
        let Some(around) = &self.around else { return Ok(alone) };
        let Outlook { agent, uptime, .. } = self.outlook;
        let is_other = |other: &&AgentId| Some(**other) != agent;
        // What was claimed here, nobody else beats.
        let settles_in_ms = match held.filter(|held| Some(held.agent) != agent) {
            Some(held) => around.settles_in_ms(held.agent, held.ttl_ms, silent_ms, uptime),
            None => settles_in_ms,
        };
        Ok(Sight {
            unheld_ms: self.unheld_ms(row),
            slate_online: slate
                .iter()
                .filter(is_other)
                .any(|other| around.is_online(*other, uptime)),
            settles_in_ms,
            ..alone
        })
    }

    /// Returns why it is not known what others did with a claim of this agent while its lease had lapsed; `None`
    /// where it is, or nobody else may work on the list.
    pub(super) fn unasked(&self) -> Result<Option<Unasked>, TrackerError> {
        let own = self.outlook.agent;
        match &self.around {
            Some(around) if around.is_catching_up(self.outlook.uptime) => {
                Ok(Some(Unasked::Comparing))
            }
            None if self.workers()?.unwrap_or_default().iter().any(|agent| Some(*agent) != own) => {
                Ok(Some(Unasked::NoNode))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn unheld_ms(&self, row: &Row) -> u64 {
        self.outlook.senses.unheld_ms(row.key, self.outlook.uptime.ms)
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

    /// Returns the members that could claim what an agent claimed, and of whom nobody here knows that they
    /// did not: those on the slate of the claim that did not promise, and those that were not heard for a
    /// while and may come back.
    fn unheard(
        &self,
        row: &Row,
        held: &Held,
        is_stale: bool,
    ) -> Result<Vec<AgentId>, TrackerError> {
        let own = self.outlook.agent;
        let is_other = |agent: &&AgentId| **agent != held.agent && Some(**agent) != own;
        let workers = self.workers()?.unwrap_or_default();
        let mut others = workers.iter().filter(is_other).peekable();
        let Some(around) = self.around.as_ref().filter(|_| others.peek().is_some()) else {
            return Ok(others.copied().collect());
        };
        let (on_slate, given) = match self.tables.promises(held.claim)? {
            Some(promises) => (promises.others, promises.given),
            None => {
                let tree = names::document(self.tables, row.key)?.tree(None);
                (slate_of_claim(&tree, held.claim), Vec::new())
            }
        };
        let now = self.outlook.uptime;
        let is_unheard = |agent: &&AgentId| {
            // A promise lasts until the claim goes stale.
            let has_promised = given.contains(agent) && !is_stale;
            let has_to_promise = on_slate.contains(agent) && !has_promised;
            let is_away = !around.is_online(**agent, now)
                && (around.is_comparing || around.is_expected(**agent, now));
            has_to_promise || is_away
        };
        Ok(others.filter(is_unheard).copied().collect())
    }

    /// Tells whether this node has heard no other member for so long, of those that may be there.
    pub(super) fn is_isolated(&self, ttl_ms: u64) -> Result<bool, TrackerError> {
        let Some(around) = &self.around else { return Ok(false) };
        let (own, now) = (self.outlook.agent, self.outlook.uptime);
        if now.ms.saturating_sub(around.started_ms) <= ttl_ms {
            return Ok(false);
        }
        let members = self.charter()?.members();
        let others = members.iter().map(|(agent, _)| *agent).filter(|agent| Some(*agent) != own);
        let expected = others.filter(|agent| around.is_expected(*agent, now));
        let newest = expected.filter_map(|agent| around.silence_ms(agent, now)).min();
        Ok(newest.is_some_and(|silence_ms| i128::from(silence_ms) > i128::from(ttl_ms)))
    }

    /// Tells whether an agent may work no more: its claims wait for nobody.
    pub(super) fn is_out(&self, agent: AgentId) -> Result<bool, TrackerError> {
        Ok(self.workers()?.is_some_and(|workers| !workers.contains(&agent)))
    }

    /// Returns the members that may claim; `None` without a charter.
    pub(super) fn workers(&self) -> Result<Option<&[AgentId]>, TrackerError> {
        if self.workers.get().is_none() {
            let charter = self.charter()?;
            let _first = self.workers.set(charter.list().map(|_| charter.workers()));
        }
        Ok(self.workers.get().and_then(Option::as_deref))
    }

    fn charter(&self) -> Result<Arc<Charter>, TrackerError> {
        if let Some(charter) = self.charter.get() {
            return Ok(charter.clone());
        }
        let charter = self.tables.charter()?;
        Ok(self.charter.get_or_init(|| charter).clone())
    }
}

/// Returns the slate that a claim names, in order.
pub(super) fn slate_of_claim(tree: &Tree, claim: RecordHash) -> Vec<AgentId> {
    let named = tree.claim(claim).and_then(|(_, claim)| tree.records().get(&claim.shard));
    match named.map(|record| &record.act) {
        Some(crate::claim::Act::Shard(shard)) => shard.slate.clone(),
        _ => Vec::new(),
    }
}
