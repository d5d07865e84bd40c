//! Commits that came before what they build on. They wait here, each for one other, and within bounds:
//! what does not find room is pulled later, in the right order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::journal::run::Proved;

use super::PATIENCE;

/// The most commits that wait.
pub const POOL_COMMITS_MAX: usize = 4_096;

/// The most commits of one log that wait.
pub const POOL_PER_LOG_MAX: usize = 64;

/// The most bytes that wait.
pub const POOL_BYTES_MAX: usize = 32 << 20;

/// How long a commit waits at most.
pub const POOL_AGE_MAX: Duration = Duration::from_secs(60);

/// How many commits are remembered by who passed them on, while the store judges them.
const SENDERS_MAX: usize = 2 * POOL_COMMITS_MAX;

type Place = (LogId, u64);

/// Commits that wait.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: BTreeMap<Place, Waiting>,
    bytes: usize,
    /// Who passed on what is being judged.
    senders: BTreeMap<Place, AgentId>,
    order: VecDeque<Place>,
    /// From whom something was passed on for which there was no room.
    refused: BTreeSet<AgentId>,
}

#[derive(Debug)]
struct Waiting {
    commit: Proved,
    from: AgentId,
    since: Duration,
    /// For what it waits.
    missing: Option<Place>,
    /// Whether its sender was asked for it.
    is_asked: bool,
}

impl Pool {
    /// Returns how many commits wait, of how many bytes, and the most of one log.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        let mut of_log: BTreeMap<LogId, usize> = BTreeMap::new();
        for (log, _) in self.waiting.keys() {
            *of_log.entry(*log).or_default() += 1;
        }
        (self.waiting.len(), self.bytes, of_log.values().copied().max().unwrap_or(0))
    }

    pub(super) fn holds(&self, commit: &Proved) -> bool {
        self.waiting.contains_key(&place(commit))
    }

    /// Remembers who passed a commit on that goes to the store.
    pub(super) fn note_sender(&mut self, from: AgentId, commit: &Proved) {
        let place = place(commit);
        if self.senders.insert(place, from).is_none() {
            self.order.push_back(place);
        }
        while self.order.len() > SENDERS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.senders.remove(&oldest);
            }
        }
    }

    /// Returns who passed a commit on.
    pub(super) fn sender(&self, commit: &Proved) -> Option<AgentId> {
        self.senders.get(&place(commit)).copied()
    }

    /// Lets a commit wait; one that finds no room is left to a pull.
    pub(super) fn put(
        &mut self,
        now: Duration,
        from: AgentId,
        commit: Proved,
        missing: Option<Place>,
    ) {
        let (log, number) = place(&commit);
        let of_log = self.waiting.range((log, 0)..=(log, u64::MAX)).count();
        let bytes = commit.body().len();
        let is_full = self.waiting.len() >= POOL_COMMITS_MAX
            || of_log >= POOL_PER_LOG_MAX
            || self.bytes + bytes > POOL_BYTES_MAX;
        if is_full {
            self.refused.insert(from);
            return;
        }
        let waiting = Waiting { commit, from, since: now, missing, is_asked: false };
        self.bytes += bytes;
        if let Some(before) = self.waiting.insert((log, number), waiting) {
            self.bytes -= before.commit.body().len();
        }
    }

    /// Takes the commits out that wait no longer for what they waited for.
    pub(super) fn take_ready(&mut self, has: impl Fn(LogId, u64) -> bool) -> Vec<Proved> {
        let is_ready = |waiting: &Waiting| {
            waiting.missing.is_none_or(|(log, number)| has(log, number))
                || has(waiting.commit.header().log, waiting.commit.header().number)
        };
        let ready: Vec<Place> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| is_ready(waiting))
            .map(|(place, _)| *place)
            .collect();
        ready.into_iter().filter_map(|place| self.take(place)).collect()
    }

    /// Returns whom to ask, as what they passed on waits too long or found no room; drops what is too
    /// old.
    pub(super) fn overdue(&mut self, now: Duration) -> BTreeSet<AgentId> {
        let mut ask = std::mem::take(&mut self.refused);
        let mut old = Vec::new();
        for (place, waiting) in &mut self.waiting {
            if now >= waiting.since + POOL_AGE_MAX {
                old.push(*place);
            } else if now >= waiting.since + PATIENCE && !waiting.is_asked {
                waiting.is_asked = true;
                ask.insert(waiting.from);
            }
        }
        for place in old {
            self.take(place);
        }
        ask
    }

    /// Returns when [`Pool::overdue`] has something to do next.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = |waiting: &Waiting| {
            waiting.since + if waiting.is_asked { POOL_AGE_MAX } else { PATIENCE }
        };
        self.waiting.values().map(due).min()
    }

    fn take(&mut self, place: Place) -> Option<Proved> {
        let waiting = self.waiting.remove(&place)?;
        self.bytes -= waiting.commit.body().len();
        self.note_sender(waiting.from, &waiting.commit);
        Some(waiting.commit)
    }
}

fn place(commit: &Proved) -> Place {
    (commit.header().log, commit.header().number)
}
