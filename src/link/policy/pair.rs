//! The links to one agent, and which of them counts.

use std::time::Duration;

use super::LinkId;

/// How long after another link one may come up whose call had left before: longer than any call takes.
pub const CROSSING_MAX: Duration = Duration::from_secs(10);

/// How many links to one agent there may be until that agent chooses; past that the oldest is ended.
pub const LINKS_PER_PEER_MAX: usize = 4;

/// How long the other agent may take to choose among links. After that the links that this side does not
/// expect it to choose are ended. Nobody chooses where two nodes act for that agent, since neither knows
/// of the other's link: they take turns then.
pub const CHOICE_MAX: Duration = Duration::from_secs(3);

/// A link that is up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub link: LinkId,
    pub is_caller: bool,
    pub since: Duration,
}

/// All links to one agent; more than one only while that agent has the choice.
pub(super) struct Pair {
    /// The newest last.
    held: Vec<Held>,
    current: LinkId,
}

impl Pair {
    pub fn new(first: Held) -> Self {
        Self { held: vec![first], current: first.link }
    }

    /// Returns the one that counts.
    pub fn current(&self) -> LinkId {
        self.current
    }

    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.held.iter().map(|held| held.link)
    }

    /// Adds a link, and returns the one to end, if any. Where this side `chooses`, one is left.
    pub fn add(&mut self, new: Held, chooses: bool) -> Option<LinkId> {
        let current = self.held.iter().find(|held| held.link == self.current);
        let crossed = current.is_some_and(|current| {
            current.is_caller != new.is_caller
                && new.since.saturating_sub(current.since) < CROSSING_MAX
        });
        let called_by_the_smaller = new.is_caller == chooses;
        let stays = if crossed && !called_by_the_smaller { self.current } else { new.link };
        self.held.push(new);
        self.current = stays;
        let is_full = self.held.len() > if chooses { 1 } else { LINKS_PER_PEER_MAX };
        let oldest = self.links().find(|link| *link != stays).filter(|_| is_full)?;
        self.held.retain(|held| held.link != oldest);
        Some(oldest)
    }

    /// Returns when a link that was not chosen is to be ended, where there is one.
    pub fn overdue_at(&self) -> Option<Duration> {
        let newest = self.held.last().filter(|_| self.held.len() > 1)?;
        Some(newest.since + CHOICE_MAX)
    }

    /// Takes out a link that was not chosen.
    pub fn take_overdue(&mut self, now: Duration) -> Option<LinkId> {
        self.overdue_at().filter(|at| *at <= now)?;
        let link = self.links().find(|link| *link != self.current)?;
        self.held.retain(|held| held.link != link);
        Some(link)
    }

    /// Takes out a link, and returns it; nothing where there is no such. Of those left the newest counts.
    pub fn remove(&mut self, link: LinkId) -> Option<Held> {
        let at = self.held.iter().position(|held| held.link == link)?;
        let removed = self.held.remove(at);
        if self.current == link
            && let Some(newest) = self.held.last()
        {
            self.current = newest.link;
        }
        Some(removed)
    }
}
