//! What this node sees of others: whom it hears, when it looked, and whether it is up to date with them after
//! it could not hear them. Told to the stores, which judge claims of others by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::claim::around::{Around, EXPECTED_MS, Return};
use x0x_tracker::id::{AgentId, ListId};

use super::attention::{Cut, Part};
use super::{Effect, Hub};

/// How long a link may be dead until that is noticed: an agent that was heard by it may be away for as long.
const UNNOTICED_MS: u64 = 8_000;

/// The most agents of whom it is known when they were heard.
const HEARD_MAX: usize = 4_096;

/// How often it is remembered over a restart when agents were heard.
const REMEMBER_EVERY_MS: u64 = 60_000;

/// When the node looks, and whom it heard.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When it last looked, by the hub's time and by the machine's, and by the wall clock.
    last: Option<(Duration, u64, i64)>,
    started_ms: u64,
    /// When agents were last heard, by the machine's time.
    heard: BTreeMap<AgentId, i64>,
    remembered_ms: u64,
}

impl Looks {
    /// Returns how long the machine has been running.
    pub(super) fn uptime_ms(&self, now: Duration) -> u64 {
        let Some((at, uptime_ms, _)) = self.last else { return 0 };
        uptime_ms + u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(0)
    }

    fn hear(&mut self, agent: AgentId, at_ms: i64) {
        let known = self.heard.entry(agent).or_insert(at_ms);
        *known = at_ms.max(*known);
        if self.heard.len() > HEARD_MAX {
            let oldest = self.heard.iter().min_by_key(|(_, at_ms)| **at_ms);
            oldest.map(|(agent, _)| *agent).and_then(|agent| self.heard.remove(&agent));
        }
    }

    /// Returns for how long an agent was not heard.
    fn away_ms(&self, agent: AgentId, uptime_ms: u64) -> u64 {
        let heard = self.heard.get(&agent);
        heard.map_or(u64::MAX, |heard| {
            let now_ms = i64::try_from(uptime_ms).unwrap_or(i64::MAX);
            u64::try_from(now_ms.saturating_sub(*heard)).unwrap_or(0)
        })
    }
}

impl Hub {
    /// The node looks around, as it does all the time: so long has the machine been running, and so late is it
    /// by the wall clock.
    pub(super) fn look(
        &mut self,
        now: Duration,
        uptime_ms: u64,
        wall_ms: i64,
        effects: &mut Vec<Effect>,
    ) {
        if self.looks.last.is_none() {
            self.looks.started_ms = uptime_ms;
        }
        self.looks.last = Some((now, uptime_ms, wall_ms));
        let at_ms = i64::try_from(uptime_ms).unwrap_or(i64::MAX);
        for (peer, link) in &self.peers {
            if self.links.get(link).is_some_and(|state| !state.lists.is_empty()) {
                self.looks.hear(*peer, at_ms);
            }
        }
        let mut gaps = Vec::new();
        for (list, shared) in &mut self.lists {
            let is_alone = !shared.has_any();
            if shared.attention.look(uptime_ms, is_alone) {
                gaps.push(*list);
            }
        }
        gaps.into_iter().for_each(|list| self.compare_with_all(now, list, effects));
        self.remember_heard(uptime_ms, effects);
    }

    fn remember_heard(&mut self, uptime_ms: u64, effects: &mut Vec<Effect>) {
        if uptime_ms < self.looks.remembered_ms + REMEMBER_EVERY_MS {
            return;
        }
        let before = std::mem::replace(&mut self.looks.remembered_ms, uptime_ms);
        let news = self.looks.heard.iter().filter(|(_, at_ms)| **at_ms >= before as i64);
        let ago = |at_ms: &i64| {
            let ago_ms = u64::try_from(uptime_ms as i64 - at_ms).unwrap_or(0);
            Duration::from_millis(ago_ms)
        };
        let heard: Vec<_> = news.map(|(agent, at_ms)| (*agent, ago(at_ms))).collect();
        if !heard.is_empty() {
            effects.push(Effect::RememberHeard(heard));
        }
    }

    /// An agent was heard before this start.
    pub(super) fn heard_before(&mut self, now: Duration, agent: AgentId, ago: Duration) {
        // Whoever was away for longer is as good as gone, for however long.
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX).min(EXPECTED_MS + 1);
        let at_ms = (self.looks.uptime_ms(now) as i64).saturating_sub(ago_ms);
        self.looks.hear(agent, at_ms);
    }

    /// An agent was heard just now: by a link, or since it says something new again.
    pub(super) fn heard_now(&mut self, now: Duration, agent: AgentId) {
        let at_ms = i64::try_from(self.looks.uptime_ms(now)).unwrap_or(i64::MAX);
        self.looks.hear(agent, at_ms);
    }

    /// Something first came of an agent that dates it so, by its own clock: it is no younger than that.
    pub(super) fn heard_of(&mut self, now: Duration, agent: AgentId, dated_ms: i64) {
        let wall_ms = self.looks.last.map_or(dated_ms, |(.., wall_ms)| wall_ms);
        let ago_ms = u64::try_from(wall_ms.saturating_sub(dated_ms)).unwrap_or(0);
        self.heard_before(now, agent, Duration::from_millis(ago_ms));
    }

    /// A list is opened: it has to be compared once.
    pub(super) fn attend(&mut self, now: Duration, list: ListId) {
        let now_ms = self.looks.uptime_ms(now);
        let started_ms = self.looks.started_ms;
        if let Some(shared) = self.lists.get_mut(&list) {
            let attention = &mut shared.attention;
            attention.around =
                Around { started_ms, looked_ms: now_ms, ..std::mem::take(&mut attention.around) };
            attention.cut(Cut { since_ms: now_ms, away_ms: u64::MAX });
        }
    }

    /// A neighbour shares a list again.
    pub(super) fn back_again(&mut self, now: Duration, list: ListId, peer: AgentId) {
        let since_ms = self.looks.uptime_ms(now);
        let away_ms = self.looks.away_ms(peer, since_ms).saturating_add(UNNOTICED_MS);
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.up(peer, Cut { since_ms, away_ms });
        }
        self.heard_now(now, peer);
    }

    /// A neighbour shares a list no more.
    pub(super) fn away(&mut self, now: Duration, list: ListId, peer: AgentId) {
        let now_ms = self.looks.uptime_ms(now);
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.down(peer, now_ms);
        }
    }

    /// This node has all that a neighbour had of something.
    pub(super) fn note_level(&mut self, now: Duration, list: ListId, part: Part, peer: AgentId) {
        let now_ms = self.looks.uptime_ms(now);
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.level_in(part, peer, now_ms);
        }
    }

    /// A neighbour told how far it is with its commits: it may be level with this node, and is asked for the
    /// beats that it heard, where it was cut off and did not tell them yet.
    pub(super) fn compared(
        &mut self,
        now: Duration,
        list: ListId,
        peer: AgentId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get(&list) else { return };
        let lacks_beats = shared.attention.lacks_beats_of(peer);
        if shared.replica.is_level_with(peer) {
            self.note_level(now, list, Part::Commits, peer);
        }
        if lacks_beats {
            self.ask_beats(list, peer, effects);
        }
    }

    /// A frame of beats came after which it is not known what others of its agent were missed; the last before
    /// it came so late, if any did.
    pub(super) fn missed_beats(
        &mut self,
        now: Duration,
        list: ListId,
        agent: AgentId,
        last_ms: Option<u64>,
    ) {
        let at_ms = self.looks.uptime_ms(now);
        let away_ms = last_ms.map_or(u64::MAX, |last_ms| at_ms.saturating_sub(last_ms));
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.note_return(Some(agent), Return { away_ms, at_ms });
        }
    }

    /// Tells the stores what is seen, where that changed.
    pub(super) fn tell_around(&mut self, effects: &mut Vec<Effect>) {
        let now_ms = self.looks.last.map_or(0, |(_, uptime_ms, _)| uptime_ms);
        for (list, shared) in &mut self.lists {
            if !shared.attention.take_changed() {
                continue;
            }
            let charter = shared.replica.charter();
            shared.attention.forget(now_ms, |agent| charter.role(agent).is_some());
            let heard = self.looks.heard.iter();
            let heard = heard.filter(|(agent, _)| charter.role(**agent).is_some());
            let heard = heard.map(|(agent, at)| (*agent, *at)).collect();
            let loads = self.cards.loads(self.me);
            let loads = loads.filter(|(agent, _)| charter.role(*agent).is_some()).collect();
            let around = shared.attention.seen(heard, loads);
            effects.push(Effect::Around { list: *list, around: Arc::new(around) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hours_of_two_clocks_make_nobody_younger() {
        let last = Some((Duration::from_secs(1), 61_000, 0));
        let mut looks = Looks { last, ..Looks::default() };
        assert_eq!(looks.uptime_ms(Duration::from_secs(3)), 63_000);
        looks.hear(AgentId([1; 32]), 50_000);
        looks.hear(AgentId([1; 32]), 40_000);
        assert_eq!(looks.away_ms(AgentId([1; 32]), 63_000), 13_000);
        assert_eq!(looks.away_ms(AgentId([2; 32]), 63_000), u64::MAX);
        for n in 0..HEARD_MAX + 9 {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            looks.hear(AgentId(bytes), 1);
        }
        assert_eq!(looks.heard.len(), HEARD_MAX);
    }
}
