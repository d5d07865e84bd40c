//! What a node sees of others while it runs: whom it heard and when, since when it is up to date with
//! them, and when it did not look. What follows from it for a claim is asked of it; nothing here is on disk.
//!
//! Times are those of the machine since it was started, in milliseconds, sleep included. No clock of another
//! machine enters.

use std::collections::{BTreeMap, BTreeSet};

use super::lease::{Sighting, Uptime};
use super::record::TTL_MS_MAX;
use crate::id::AgentId;

/// How long a node may do nothing until that counts as a gap, in which it saw nothing.
pub const GAP_MS_MAX: u64 = 2_000;

/// How long after it was heard an agent counts as online.
pub const ONLINE_MS: i64 = 600_000;

/// How long after it was heard an agent counts as one that may come back: what it did may be on its way.
pub const EXPECTED_MS: i64 = 7 * 24 * 3_600_000;

/// The most gaps that are remembered; of more, the oldest two become one that is as long as both.
pub const GAPS_MAX: usize = 64;

/// The most returns that are remembered of an agent, and of all; of more, the shortest two become one.
pub const RETURNS_MAX: usize = 16;

/// After a return, one waits this part of a claim's time to live until its silence says something: a runner
/// asks for a beat about once within it, and what was sent before came with the comparison.
const WAIT_PARTS: u64 = 4;

/// After frames of an agent were missed, one waits this part of a claim's time to live: its frames may go on
/// coming late, or not at all by this way, a little further apart than a beat.
const MISSED_WAIT_PARTS: u64 = 2;

/// A claim that was not heard of for so many times of its life is not waited for, whatever is heard of its agent: its
/// frames would have named it.
const MISSED_LIVES_MAX: u64 = 3;

/// A cut that lasted this part of a claim's time to live or less hid no more than a beat of it or two: then
/// silence is none of its making.
const CUT_PARTS: u64 = 2;

/// Two that see each other again, and are level since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// For how long they did not.
    pub away_ms: u64,
    /// Since when they are level.
    pub at_ms: u64,
}

/// Returns after which the silence of claims says nothing for a while: at most [`RETURNS_MAX`], the longest
/// first, which is the earliest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returns(Vec<Return>);

impl Returns {
    fn note(&mut self, back: Return) {
        // A longer one that came later says all that a shorter one says.
        self.0.retain(|before| before.away_ms > back.away_ms && !before.is_over(back.at_ms));
        self.0.push(back);
        if self.0.len() > RETURNS_MAX {
            let last = self.0.len() - 1;
            self.0[last - 1].at_ms = back.at_ms;
            self.0.remove(last);
        }
    }

    /// Returns those that are remembered, the longest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Return> {
        self.0.iter()
    }

    /// Tells whether none of them says anything any more, for whatever claim.
    pub fn are_over(&self, now_ms: u64) -> bool {
        self.0.iter().all(|back| back.is_over(now_ms))
    }

    /// Returns in how long the silence of a claim that lives so long says something, where one waits so long.
    fn settles_in_ms(&self, ttl_ms: u64, wait_ms: u64, now: Uptime) -> u64 {
        let long = self.0.iter().filter(|back| back.away_ms > ttl_ms / CUT_PARTS);
        let left = |back: &Return| wait_ms.saturating_sub(now.ms.saturating_sub(back.at_ms));
        long.map(left).max().unwrap_or(0)
    }
}

impl Return {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.at_ms) > TTL_MS_MAX / MISSED_WAIT_PARTS
    }
}

/// What a node sees of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// When the node was started.
    pub started_ms: u64,
    /// When it last looked.
    pub looked_ms: u64,
    /// When it did not look: from when to when, oldest first; at most [`GAPS_MAX`].
    pub gaps: Vec<(u64, u64)>,
    /// Whether it is still to compare with somebody: since its start, a gap, or a cut.
    pub is_comparing: bool,
    /// When it was level again after each of those.
    pub returns: Returns,
    /// When it was level again with single agents, of whom it may have missed something while it heard others.
    pub returns_of: BTreeMap<AgentId, Returns>,
    /// When each agent was last heard; below zero for before the start of the machine.
    pub heard: BTreeMap<AgentId, i64>,
    /// Agents whose link ended, and of whom nothing was heard since.
    pub gone: BTreeSet<AgentId>,
    /// How busy the machine of each agent is that said so: the load of a minute for each core, in percent.
    pub loads: BTreeMap<AgentId, u16>,
}

impl Around {
    /// Returns how long ago something of another agent was seen, not counting the time in which nobody
    /// looked; what was seen before the machine was started was seen when the node was.
    pub fn age_ms(&self, seen: Sighting, now: Uptime) -> u64 {
        let since = if seen.0.boot == now.boot { seen.0.ms } else { self.started_ms };
        let missed = |(from, to): (u64, u64)| {
            let (from, to) = (from.max(since), to.min(now.ms));
            to.saturating_sub(from)
        };
        let gaps = self.gaps.iter().copied().chain(self.gap(now)).map(missed);
        now.ms.saturating_sub(since).saturating_sub(gaps.sum())
    }

    /// Returns in how long the silence of a claim of an agent says something, as far as is known; 0 where it
    /// does: the node was level since it last could have missed something of that agent, and waited for a beat
    /// since then. A frame names the claims that were worked on since the one before, so the newest alone does
    /// not tell of each claim when it was last worked on.
    pub fn settles_in_ms(
        &self,
        holder: AgentId,
        ttl_ms: u64,
        silent_ms: Option<u64>,
        now: Uptime,
    ) -> u64 {
        if self.is_catching_up(now) {
            return wait_ms(ttl_ms);
        }
        let missed_wait_ms = ttl_ms / MISSED_WAIT_PARTS + 1;
        let is_over = |silent_ms| silent_ms > ttl_ms.saturating_mul(MISSED_LIVES_MAX);
        let of_holder = self.returns_of.get(&holder).filter(|_| !silent_ms.is_some_and(is_over));
        let of_holder = of_holder.map(|back| back.settles_in_ms(ttl_ms, missed_wait_ms, now));
        let of_all = self.returns.settles_in_ms(ttl_ms, wait_ms(ttl_ms), now);
        of_holder.unwrap_or(0).max(of_all)
    }

    /// Tells whether the node may not know yet what others did while it could not hear them.
    pub fn is_catching_up(&self, now: Uptime) -> bool {
        self.is_comparing || self.gap(now).is_some()
    }

    /// Tells whether an agent is there.
    pub fn is_online(&self, agent: AgentId, now: Uptime) -> bool {
        self.silence_ms(agent, now).is_some_and(|silence_ms| silence_ms <= ONLINE_MS)
    }

    /// Tells whether an agent is there, or may come back with something that it did.
    pub fn is_expected(&self, agent: AgentId, now: Uptime) -> bool {
        self.silence_ms(agent, now).is_some_and(|silence_ms| silence_ms <= EXPECTED_MS)
    }

    /// Returns how long ago an agent was heard; `None` where it never was.
    pub fn silence_ms(&self, agent: AgentId, now: Uptime) -> Option<i64> {
        let now_ms = i64::try_from(now.ms).unwrap_or(i64::MAX);
        self.heard.get(&agent).map(|heard| now_ms.saturating_sub(*heard))
    }

    /// Returns the agents that are there.
    pub fn online(&self, now: Uptime) -> impl Iterator<Item = AgentId> {
        let agents = self.heard.keys().copied();
        agents.filter(move |agent| self.is_online(*agent, now))
    }

    /// Notes that the node looks now, and whether it did not for a while; returns how long, then.
    pub fn look(&mut self, now_ms: u64) -> Option<u64> {
        let before = self.looked_ms;
        self.looked_ms = now_ms.max(before);
        let gap_ms = now_ms.saturating_sub(before);
        if gap_ms <= GAP_MS_MAX {
            return None;
        }
        self.gaps.push((before, now_ms));
        if self.gaps.len() > GAPS_MAX {
            // They hide as much together as they did apart.
            let (from, to) = self.gaps.remove(0);
            let next = &mut self.gaps[0];
            next.0 = next.0.saturating_sub(to - from);
        }
        Some(gap_ms)
    }

    /// Notes that the node is level since it last could have missed something of an agent; of anybody, where none
    /// is named.
    pub fn note_return(&mut self, of: Option<AgentId>, back: Return) {
        match of {
            Some(agent) => self.returns_of.entry(agent).or_default().note(back),
            None => self.returns.note(back),
        }
    }

    /// Returns the gap that goes on, or ended just now and was not noted yet.
    fn gap(&self, now: Uptime) -> Option<(u64, u64)> {
        let is_gap = now.ms.saturating_sub(self.looked_ms) > GAP_MS_MAX;
        is_gap.then_some((self.looked_ms, now.ms))
    }
}

/// Returns how long one waits after a return until the silence of a claim says something.
pub fn wait_ms(ttl_ms: u64) -> u64 {
    ttl_ms / WAIT_PARTS + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [1; 16];
    const X: AgentId = AgentId([7; 32]);

    fn at(ms: u64) -> Uptime {
        Uptime { boot: BOOT, ms }
    }

    fn looking(from: u64, to: u64) -> Around {
        let mut around = Around { started_ms: from, looked_ms: from, ..Around::default() };
        look_until(&mut around, to);
        around
    }

    fn look_until(around: &mut Around, to: u64) {
        for ms in (around.looked_ms..=to).step_by(500) {
            assert_eq!(around.look(ms), None);
        }
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_age_what_others_do() {
        let mut around = looking(0, 10_000);
        let seen = Sighting(at(4_000));
        assert_eq!(around.age_ms(seen, at(10_000)), 6_000);
        // Five hours of sleep, before and after they are noted.
        let woken = 10_000 + 5 * 3_600_000;
        assert_eq!(around.age_ms(seen, at(woken)), 6_000);
        assert_eq!(around.settles_in_ms(X, 1_000, None, at(woken)), 251);
        assert_eq!(around.look(woken), Some(5 * 3_600_000));
        assert_eq!(around.age_ms(seen, at(woken + 300)), 6_300);
        assert_eq!(around.age_ms(Sighting(at(woken - 100)), at(woken + 300)), 300);
    }

    #[test]
    fn what_was_seen_before_the_machine_was_started_is_as_old_as_the_node() {
        let around = looking(50_000, 60_000);
        let seen = Sighting(Uptime { boot: [2; 16], ms: 7 });
        assert_eq!(around.age_ms(seen, at(60_000)), 10_000);
        assert_eq!(
            around.age_ms(Sighting(at(1_000)), at(60_000)),
            59_000,
            "in one boot it goes on"
        );
    }

    #[test]
    fn of_many_gaps_none_is_forgotten() {
        let mut around = Around::default();
        let mut ms = 0;
        for _ in 0..3 * GAPS_MAX {
            ms += 10_000;
            around.look(ms);
            look_until(&mut around, ms + 1_000);
            ms += 1_000;
        }
        assert_eq!(around.gaps.len(), GAPS_MAX);
        let age_ms = around.age_ms(Sighting(at(0)), at(ms));
        assert_eq!(age_ms, 3 * GAPS_MAX as u64 * 1_000);
    }

    #[test]
    fn silence_says_nothing_until_a_quarter_of_a_life_after_a_return() {
        let mut around = looking(0, 10_000);
        around.is_comparing = true;
        assert_eq!(around.settles_in_ms(X, 1_000, None, at(10_000)), 251);
        around.is_comparing = false;
        around.note_return(None, Return { away_ms: 60_000, at_ms: 10_000 });
        look_until(&mut around, 12_000);
        let settles = |ttl_ms| around.settles_in_ms(X, ttl_ms, None, at(12_000));
        assert_eq!([settles(8_000), settles(7_996)], [1, 0]);
        assert_eq!(settles(120_000), 0, "a short cut hid no more than a beat or two");
    }

    #[test]
    fn a_short_return_does_not_hide_a_long_one() {
        let mut around = looking(0, 10_000);
        around.note_return(None, Return { away_ms: 600_000, at_ms: 9_000 });
        around.note_return(None, Return { away_ms: 2_000, at_ms: 10_000 });
        assert_eq!(around.returns.0.len(), 2);
        assert_eq!(
            around.settles_in_ms(X, 8_000, None, at(10_500)),
            501,
            "the long one is not over"
        );
        around.note_return(None, Return { away_ms: 700_000, at_ms: 10_100 });
        assert_eq!(around.returns.0, [Return { away_ms: 700_000, at_ms: 10_100 }]);
        for n in 0..2 * RETURNS_MAX as u64 {
            around.note_return(None, Return { away_ms: 600_000 - n, at_ms: 11_000 + n });
        }
        assert_eq!(around.returns.0.len(), RETURNS_MAX);
        let last = around.returns.0[RETURNS_MAX - 1];
        assert_eq!(last.at_ms, 11_000 + 2 * RETURNS_MAX as u64 - 1, "merged, it waits for longer");
    }

    #[test]
    fn what_may_have_been_missed_of_one_agent_holds_up_its_own_claims_alone() {
        let mut around = looking(0, 10_000);
        let other = AgentId([8; 32]);
        around.note_return(Some(X), Return { away_ms: 600_000, at_ms: 9_500 });
        let settles = |around: &Around, of| around.settles_in_ms(of, 8_000, None, at(10_000));
        assert_eq!([settles(&around, X), settles(&around, other)], [3_501, 0]);
        around.note_return(None, Return { away_ms: 5_000, at_ms: 9_000 });
        assert_eq!([settles(&around, X), settles(&around, other)], [3_501, 1_001]);
        let silent = |ms| around.settles_in_ms(X, 8_000, Some(ms), at(10_000));
        assert_eq!([silent(24_000), silent(24_001)], [3_501, 1_001], "not without end");
        let later = 9_500 + TTL_MS_MAX / MISSED_WAIT_PARTS;
        assert!(
            !around.returns_of[&X].are_over(later) && around.returns_of[&X].are_over(later + 1)
        );
    }

    #[test]
    fn agents_are_online_for_a_while_after_they_were_heard_and_expected_for_longer() {
        let agent = AgentId([7; 32]);
        let around = Around { heard: [(agent, -5_000)].into(), ..Around::default() };
        let online = |ms| around.is_online(agent, at(ms));
        assert_eq!([online(0), online(595_000), online(595_001)], [true, true, false]);
        assert_eq!(around.online(at(0)).collect::<Vec<_>>(), [agent]);
        let expected = |ms: i64| around.is_expected(agent, at(ms as u64));
        assert_eq!([expected(EXPECTED_MS - 5_000), expected(EXPECTED_MS)], [true, false]);
        assert!(
            !around.is_expected(AgentId([8; 32]), at(0)),
            "who was never heard is not waited for"
        );
    }
}
