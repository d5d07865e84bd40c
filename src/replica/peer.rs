//! What is known of one neighbour: whether it is asked just now, and when it may be asked next.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::id::{ListId, LogId};
use x0x_tracker::journal::commit::Position;

use crate::wire::NEWS_MAX;

/// The pause after a pull that broke off, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// After so long an answer has mostly come through, whole or not.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why a neighbour is to be asked. Another may bring all of it first.
#[derive(Clone, Debug, Default)]
struct Reason {
    /// It told its digest, which is another.
    hash: Option<[u8; 32]>,
    /// It told that logs are so far.
    places: BTreeMap<LogId, u64>,
    /// Something of which nothing shows that it has come.
    is_vague: bool,
}

/// A neighbour. One pull at a time is outstanding.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Whether it was as far as this replica when last compared.
    pub(super) is_level: bool,
    /// Whether that was so once since it is a neighbour.
    was_level: bool,
    is_pulling: bool,
    /// When it was last asked, and whether that brought anything.
    started_at: Duration,
    has_brought: bool,
    /// When to pull; `None` where there is no reason to.
    wanted_at: Option<Duration>,
    reason: Reason,
    /// Before that it is not asked again.
    rests_until: Duration,
    failures: u32,
    /// When it last asked, and how far this replica was then.
    asked: Option<(Duration, Vec<(LogId, Position)>)>,
}

impl Peer {
    /// Notes whether it is as far as this replica; the first time that it is, is told.
    pub(super) fn set_level(&mut self, is_level: bool, list: ListId) {
        if is_level && !self.was_level {
            self.was_level = true;
            tracing::info!(list = %list.short(), "a list is level with a peer's");
        }
        self.is_level = is_level;
    }

    /// Tells whether a pull is going on.
    pub(super) fn is_pulling(&self) -> bool {
        self.is_pulling
    }

    /// Returns when it was last asked.
    pub(super) fn started_at(&self) -> Duration {
        self.started_at
    }

    /// Notes that something new came by the pull that is going on.
    pub(super) fn brought(&mut self) {
        self.has_brought = true;
    }

    /// Notes that it asks for what it lacks of `logs`; returns the logs of which it should have had more
    /// by now, from what it was given when it last asked.
    pub(super) fn asks(
        &mut self,
        now: Duration,
        logs: &[(LogId, Position)],
        has: impl Fn(LogId) -> u64,
    ) -> Vec<(LogId, Position)> {
        let before = match &self.asked {
            Some((at, _)) if now < *at + ANSWER_MAX => return Vec::new(),
            _ => self.asked.replace((now, logs.to_vec())),
        };
        let given = before.map(|(_, given)| given).unwrap_or_default();
        given.into_iter().filter(|(log, position)| has(*log) < position.number).collect()
    }

    /// Asks for a pull at some time; an earlier wish stands.
    pub(super) fn want(&mut self, at: Duration) {
        self.reason.is_vague = true;
        self.hurry(at);
    }

    /// Asks for a pull since the neighbour has another digest.
    pub(super) fn want_level(&mut self, at: Duration, hash: [u8; 32]) {
        self.reason.hash = Some(hash);
        self.hurry(at);
    }

    /// Asks for a pull since the neighbour has more of some logs.
    pub(super) fn want_places(&mut self, at: Duration, places: &[(LogId, Position)]) {
        for (log, position) in places {
            let known = self.reason.places.entry(*log).or_default();
            *known = position.number.max(*known);
        }
        if self.reason.places.len() > NEWS_MAX {
            self.reason.places.clear();
            self.reason.is_vague = true;
        }
        self.hurry(at);
    }

    fn hurry(&mut self, at: Duration) {
        self.wanted_at = Some(self.wanted_at.map_or(at, |before| before.min(at)));
    }

    /// Notes that the neighbour has nothing more than this replica, whatever its digest was.
    pub(super) fn has_no_more(&mut self) {
        self.reason.hash = None;
        if !self.reason.is_vague && self.reason.places.is_empty() {
            self.wanted_at = None;
        }
    }

    /// Tells whether all for which it was to be asked has come from elsewhere; then it is asked no more.
    pub(super) fn is_moot(
        &mut self,
        digest: impl FnOnce() -> [u8; 32],
        has: impl Fn(LogId, u64) -> bool,
    ) -> bool {
        let Reason { hash, places, is_vague } = &self.reason;
        let is_moot = !is_vague
            && places.iter().all(|(log, number)| has(*log, *number))
            && hash.is_none_or(|hash| hash == digest());
        if is_moot {
            (self.wanted_at, self.reason) = (None, Reason::default());
        }
        is_moot
    }

    /// Returns when the next pull may start.
    pub(super) fn due(&self) -> Option<Duration> {
        let wanted = self.wanted_at.filter(|_| !self.is_pulling)?;
        Some(wanted.max(self.rests_until))
    }

    /// Tells whether a pull starts now.
    pub(super) fn start(&mut self, now: Duration) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            self.is_pulling = true;
            (self.started_at, self.has_brought) = (now, false);
            (self.wanted_at, self.reason) = (None, Reason::default());
        }
        is_due
    }

    /// Notes that a pull is over; after one that broke off it is tried again, later each time that it
    /// brought nothing. `share` draws the pause from the upper half of what it may be.
    pub(super) fn ended(&mut self, now: Duration, is_whole: bool, share: u8) {
        self.is_pulling = false;
        if is_whole {
            self.failures = 0;
            return;
        }
        if self.has_brought {
            self.failures = 0;
        }
        let (first, most) = PAUSE;
        let longest = first.saturating_mul(1 << self.failures.min(8)).min(most);
        self.failures += 1;
        self.rests_until = now + longest / 2 + longest * u32::from(share) / 512;
        self.want(self.rests_until);
    }
}
