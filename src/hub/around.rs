//! What this node sees of others: whom it hears, when it looked, and whether it is up to date with them after
//! it could not hear them. Told to the stores, which judge claims of others by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::claim::around::{Around, Return};
use x0x_tracker::id::{AgentId, ListId};

use super::{Effect, Hub};

/// How long a node without neighbours waits for one after its start, or a gap, until it counts as up to date:
/// there is nobody to ask.
const NEIGHBOUR_WAIT_MS: u64 = 10_000;

/// How long a comparison with a neighbour is waited for. One that does not answer keeps nobody from working.
const COMPARISON_WAIT_MS: u64 = 60_000;

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
    fn uptime_ms(&self, now: Duration) -> u64 {
        let Some((at, uptime_ms, _)) = self.last else { return 0 };
        uptime_ms + u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(0)
    }

    fn hear(&mut self, agent: AgentId, at_ms: i64) {
        if self.heard.len() < HEARD_MAX || self.heard.contains_key(&agent) {
            let known = self.heard.entry(agent).or_insert(at_ms);
            *known = at_ms.max(*known);
        }
    }

    /// Returns for how long an agent was not heard.
    fn away_ms(&self, agent: AgentId, uptime_ms: u64) -> u64 {
        let heard = self.heard.get(&agent);
        heard.map_or(u64::MAX, |heard| {
            u64::try_from(i64::try_from(uptime_ms).unwrap_or(i64::MAX) - heard).unwrap_or(0)
        })
    }
}

/// Something after which one has to compare.
#[derive(Clone, Copy, Debug)]
struct Cut {
    since_ms: u64,
    away_ms: u64,
}

/// Whether the node is up to date in a list.
#[derive(Debug, Default)]
pub(super) struct Attention {
    around: Around,
    /// After a start or a gap: any neighbour will do.
    anybody: Option<Cut>,
    /// Neighbours that were cut off.
    back: BTreeMap<AgentId, Cut>,
    is_changed: bool,
}

impl Attention {
    /// Notes a cut from everybody.
    fn cut(&mut self, cut: Cut) {
        let longest = self.anybody.map_or(0, |before| before.away_ms);
        self.anybody = Some(Cut { away_ms: cut.away_ms.max(longest), ..cut });
        self.is_changed = true;
    }

    fn up(&mut self, peer: AgentId, cut: Cut) {
        self.back.insert(peer, cut);
        self.is_changed = true;
    }

    fn down(&mut self, peer: AgentId) {
        self.is_changed |= self.back.remove(&peer).is_some();
    }

    /// Notes that this node is level with a neighbour, or with nobody, where there is none.
    fn level(&mut self, peer: Option<AgentId>, at_ms: u64) {
        let back = peer.and_then(|peer| self.back.remove(&peer));
        for cut in self.anybody.take().into_iter().chain(back) {
            self.around.note_return(Return { away_ms: cut.away_ms, at_ms });
            self.is_changed = true;
        }
    }

    /// Notes that the node looks; returns whether it did not for a while.
    fn look(&mut self, now_ms: u64, is_alone: bool) -> bool {
        let gap = self.around.look(now_ms);
        if let Some(gap_ms) = gap {
            self.cut(Cut { since_ms: now_ms, away_ms: gap_ms });
        }
        let wait_ms = if is_alone { NEIGHBOUR_WAIT_MS } else { COMPARISON_WAIT_MS };
        let is_over = |cut: &Cut, wait_ms| now_ms.saturating_sub(cut.since_ms) >= wait_ms;
        if self.anybody.is_some_and(|cut| is_over(&cut, wait_ms)) {
            self.level(None, now_ms);
        }
        let silent = self.back.iter().filter(|(_, cut)| is_over(cut, COMPARISON_WAIT_MS));
        let silent: Vec<AgentId> = silent.map(|(peer, _)| *peer).collect();
        silent.into_iter().for_each(|peer| self.level(Some(peer), now_ms));
        self.is_changed = true;
        gap.is_some()
    }

    /// Returns what is seen now.
    fn seen(&self, heard: BTreeMap<AgentId, i64>, loads: BTreeMap<AgentId, u16>) -> Around {
        let is_comparing = self.anybody.is_some() || !self.back.is_empty();
        Around { is_comparing, heard, loads, ..self.around.clone() }
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
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
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
        let away_ms = self.looks.away_ms(peer, since_ms);
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.up(peer, Cut { since_ms, away_ms });
        }
        self.heard_now(now, peer);
    }

    /// A neighbour shares a list no more.
    pub(super) fn away(&mut self, list: ListId, peer: AgentId) {
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.attention.down(peer);
        }
    }

    /// This node may be level with a neighbour by now.
    pub(super) fn note_level(&mut self, now: Duration, list: ListId, peer: AgentId) {
        let now_ms = self.looks.uptime_ms(now);
        if let Some(shared) = self.lists.get_mut(&list)
            && shared.replica.is_level_with(peer)
        {
            shared.attention.level(Some(peer), now_ms);
        }
    }

    /// Tells the stores what is seen, where that changed.
    pub(super) fn tell_around(&mut self, effects: &mut Vec<Effect>) {
        for (list, shared) in &mut self.lists {
            if !std::mem::take(&mut shared.attention.is_changed) {
                continue;
            }
            let charter = shared.replica.charter();
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
    use x0x_tracker::claim::around::GAP_MS_MAX;

    use super::*;

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    fn looking(attention: &mut Attention, from: u64, to: u64, is_alone: bool) {
        for ms in (from..=to).step_by(500) {
            attention.look(ms, is_alone);
        }
    }

    fn opened() -> Attention {
        let mut attention = Attention::default();
        attention.cut(Cut { since_ms: 0, away_ms: u64::MAX });
        attention
    }

    fn is_comparing(attention: &Attention) -> bool {
        attention.seen(BTreeMap::new(), BTreeMap::new()).is_comparing
    }

    #[test]
    fn a_node_that_starts_compares_with_somebody_or_waits_a_while_for_anybody() {
        let mut attention = opened();
        looking(&mut attention, 0, NEIGHBOUR_WAIT_MS - 500, true);
        assert!(is_comparing(&attention));
        attention.look(NEIGHBOUR_WAIT_MS, true);
        assert!(!is_comparing(&attention));
        assert_eq!(attention.around.returns[0].away_ms, u64::MAX);
        let mut attention = opened();
        looking(&mut attention, 0, NEIGHBOUR_WAIT_MS, false);
        assert!(is_comparing(&attention), "there is a neighbour");
        attention.level(Some(agent(1)), NEIGHBOUR_WAIT_MS);
        assert!(!is_comparing(&attention));
    }

    #[test]
    fn whoever_comes_back_is_compared_with_and_one_that_never_answers_holds_nobody_up() {
        let mut attention = opened();
        attention.level(None, 0);
        attention.up(agent(1), Cut { since_ms: 0, away_ms: 7_000 });
        attention.up(agent(2), Cut { since_ms: 0, away_ms: 9_000 });
        attention.level(Some(agent(1)), 100);
        assert!(is_comparing(&attention), "the other was not compared with");
        looking(&mut attention, 500, COMPARISON_WAIT_MS, false);
        assert!(!is_comparing(&attention));
        attention.up(agent(3), Cut { since_ms: COMPARISON_WAIT_MS, away_ms: 9 });
        attention.down(agent(3));
        assert!(!is_comparing(&attention), "it is gone again");
    }

    #[test]
    fn after_a_gap_a_node_compares_anew() {
        let mut attention = opened();
        attention.level(None, 0);
        looking(&mut attention, 0, 5_000, false);
        assert!(!attention.look(5_000 + GAP_MS_MAX, false));
        assert!(attention.look(5_000 + 2 * GAP_MS_MAX + 1, false) && is_comparing(&attention));
        attention.level(Some(agent(1)), 10_000);
        let Around { returns, gaps, .. } = attention.seen(BTreeMap::new(), BTreeMap::new());
        assert_eq!(gaps, [(5_000 + GAP_MS_MAX, 5_000 + 2 * GAP_MS_MAX + 1)]);
        assert_eq!(returns.last().map(|back| back.away_ms), Some(GAP_MS_MAX + 1));
    }

    #[test]
    fn the_hours_of_two_clocks_make_nobody_younger() {
        let last = Some((Duration::from_secs(1), 61_000, 0));
        let mut looks = Looks { last, ..Looks::default() };
        assert_eq!(looks.uptime_ms(Duration::from_secs(3)), 63_000);
        looks.hear(agent(1), 50_000);
        looks.hear(agent(1), 40_000);
        assert_eq!(looks.away_ms(agent(1), 63_000), 13_000);
        assert_eq!(looks.away_ms(agent(2), 63_000), u64::MAX);
        for n in 0..HEARD_MAX + 9 {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            looks.hear(AgentId(bytes), 1);
        }
        assert_eq!(looks.heard.len(), HEARD_MAX);
    }
}
