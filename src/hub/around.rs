//! What this node sees of others: whom it hears, when it looked, and whether it is up to date with them after
//! it could not hear them. Told to the stores, which judge claims of others by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::claim::around::{Around, EXPECTED_MS, Return};
use x0x_tracker::id::{AgentId, ListId};

use super::{Effect, Hub};

/// How long a node without neighbours waits for one after its start, or a gap, until it counts as up to date:
/// there is nobody to ask.
const NEIGHBOUR_WAIT_MS: u64 = 10_000;

/// How long a comparison with a neighbour is waited for, in all within an hour: one that does not answer, or
/// comes and goes, keeps nobody from working.
const COMPARISON_WAIT_MS: u64 = 30_000;
const PATIENCE_EVERY_MS: u64 = 3_600_000;

/// How long a link may be dead until that is noticed: an agent that was heard by it may be away for as long.
const UNNOTICED_MS: u64 = 8_000;

/// What is heard of an agent so long after its link ended was under way then.
const UNDER_WAY_MS: i64 = 2_000;

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

/// Something after which one has to compare.
#[derive(Clone, Copy, Debug)]
struct Cut {
    since_ms: u64,
    away_ms: u64,
}

/// A neighbour that was cut off, until it was level once.
#[derive(Clone, Copy, Debug)]
struct Back {
    cut: Cut,
    is_here: bool,
    /// Whether it is waited for.
    is_awaited: bool,
}

/// How long a neighbour has had others wait for it, since when.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    since_ms: u64,
    ms: u64,
}

/// Whether the node is up to date in a list.
#[derive(Debug, Default)]
pub(super) struct Attention {
    around: Around,
    /// After a start or a gap: any neighbour will do.
    anybody: Option<Cut>,
    /// Neighbours that were cut off. They are members, so there are no more than those.
    back: BTreeMap<AgentId, Back>,
    spent: BTreeMap<AgentId, Spent>,
    /// When members went that are not here.
    left_ms: BTreeMap<AgentId, u64>,
    is_changed: bool,
}

impl Attention {
    /// Notes a cut from everybody.
    fn cut(&mut self, cut: Cut) {
        let longest = self.anybody.map_or(0, |before| before.away_ms);
        self.anybody = Some(Cut { away_ms: cut.away_ms.max(longest), ..cut });
        self.is_changed = true;
    }

    /// Notes that a member shares the list again which was not heard for so long. One that comes and goes
    /// was away since it was last level, and is not waited for again and again.
    fn up(&mut self, peer: AgentId, cut: Cut) {
        let left_ms = self.left_ms.remove(&peer);
        let gone_ms = left_ms.map_or(0, |left_ms| cut.since_ms.saturating_sub(left_ms));
        let cut = Cut { away_ms: cut.away_ms.max(gone_ms), ..cut };
        let has_patience = self.has_patience(peer, cut.since_ms);
        let back = self.back.entry(peer).or_insert(Back { cut, is_here: true, is_awaited: true });
        if !back.is_here {
            // Nobody waited for it while it was away.
            back.cut.since_ms = cut.since_ms;
        }
        back.cut.away_ms = cut.away_ms.max(back.cut.away_ms);
        (back.is_here, back.is_awaited) = (true, back.is_awaited && has_patience);
        let away_ms = back.cut.away_ms;
        if !has_patience {
            self.around.note_return(Return { away_ms, at_ms: cut.since_ms });
        }
        self.is_changed = true;
    }

    fn down(&mut self, peer: AgentId, now_ms: u64) {
        self.spend(peer, now_ms);
        self.left_ms.insert(peer, now_ms);
        if let Some(back) = self.back.get_mut(&peer) {
            back.is_here = false;
            self.is_changed = true;
        }
    }

    /// Counts how long a member that is waited for was by now.
    fn spend(&mut self, peer: AgentId, now_ms: u64) {
        let Some(back) = self.back.get_mut(&peer).filter(|back| back.is_here) else { return };
        let waited_ms = now_ms.saturating_sub(back.cut.since_ms);
        back.cut.since_ms = now_ms;
        if back.is_awaited {
            self.spent.entry(peer).or_insert(Spent { since_ms: now_ms, ms: 0 }).ms += waited_ms;
        }
    }

    fn has_patience(&mut self, peer: AgentId, now_ms: u64) -> bool {
        let is_old = |spent: &Spent| now_ms.saturating_sub(spent.since_ms) > PATIENCE_EVERY_MS;
        self.spent.retain(|_, spent| !is_old(spent));
        self.spent.get(&peer).is_none_or(|spent| spent.ms < COMPARISON_WAIT_MS)
    }

    /// Notes that this node is level with a neighbour, or with nobody, where there is none.
    fn level(&mut self, peer: Option<AgentId>, at_ms: u64) {
        if let Some(peer) = peer {
            self.spend(peer, at_ms);
        }
        let back = peer.and_then(|peer| self.back.remove(&peer)).map(|back| back.cut);
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
        if self.anybody.is_some_and(|cut| now_ms.saturating_sub(cut.since_ms) >= wait_ms) {
            self.level(None, now_ms);
        }
        let awaited: Vec<AgentId> = self.awaited().collect();
        for peer in awaited {
            self.spend(peer, now_ms);
            if !self.has_patience(peer, now_ms)
                && let Some(back) = self.back.get_mut(&peer)
            {
                back.is_awaited = false;
                let away_ms = back.cut.away_ms;
                self.around.note_return(Return { away_ms, at_ms: now_ms });
            }
        }
        self.is_changed = true;
        gap.is_some()
    }

    fn awaited(&self) -> impl Iterator<Item = AgentId> {
        let awaited = self.back.iter().filter(|(_, back)| back.is_here && back.is_awaited);
        awaited.map(|(peer, _)| *peer)
    }

    /// Returns what is seen now.
    fn seen(&self, heard: BTreeMap<AgentId, i64>, loads: BTreeMap<AgentId, u16>) -> Around {
        let is_comparing = self.anybody.is_some() || self.awaited().next().is_some();
        let is_silent = |agent: &AgentId, left_ms: u64| {
            let left_ms = i64::try_from(left_ms).unwrap_or(i64::MAX);
            heard.get(agent).is_none_or(|heard| heard.saturating_sub(left_ms) <= UNDER_WAY_MS)
        };
        let gone = self.left_ms.iter().filter(|(agent, left_ms)| is_silent(agent, **left_ms));
        let gone = gone.map(|(agent, _)| *agent).collect();
        Around { is_comparing, heard, gone, loads, ..self.around.clone() }
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

    /// This node may be level with a neighbour by now; it is where it has all that the other had.
    pub(super) fn note_level(&mut self, now: Duration, list: ListId, peer: AgentId, has_all: bool) {
        let now_ms = self.looks.uptime_ms(now);
        if let Some(shared) = self.lists.get_mut(&list)
            && (has_all || shared.replica.is_level_with(peer))
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
        // Coming and going does not make it be waited for again, for an hour.
        for n in 0..100 {
            let at = COMPARISON_WAIT_MS + n * 1_000;
            attention.down(agent(2), at);
            attention.up(agent(2), Cut { since_ms: at + 500, away_ms: 500 });
            assert!(!is_comparing(&attention));
        }
        attention.up(agent(3), Cut { since_ms: COMPARISON_WAIT_MS, away_ms: 9 });
        assert!(is_comparing(&attention));
        attention.down(agent(3), COMPARISON_WAIT_MS + 100);
        assert!(!is_comparing(&attention), "it is gone again");
    }

    #[test]
    fn one_that_is_level_now_and_then_is_waited_for_no_longer_than_any_other() {
        let mut attention = opened();
        attention.level(None, 0);
        let mut waited_ms = 0;
        for n in 0..200 {
            let at = n * 10_000;
            attention.up(agent(1), Cut { since_ms: at, away_ms: 9 });
            looking(&mut attention, at, at + 9_000, false);
            waited_ms += if is_comparing(&attention) { 9_000 } else { 0 };
            attention.level(Some(agent(1)), at + 9_000);
            attention.down(agent(1), at + 9_500);
        }
        assert!(waited_ms <= COMPARISON_WAIT_MS + 9_000, "{waited_ms}");
    }

    #[test]
    fn a_cut_lasts_until_both_are_level_however_often_the_link_comes_and_goes() {
        let mut attention = opened();
        attention.level(None, 0);
        attention.up(agent(1), Cut { since_ms: 1_000, away_ms: 600_000 });
        attention.down(agent(1), 1_300);
        attention.up(agent(1), Cut { since_ms: 2_300, away_ms: 1_000 });
        attention.level(Some(agent(1)), 2_400);
        let longest = attention.around.returns.iter().map(|back| (back.away_ms, back.at_ms));
        assert_eq!(longest.max_by_key(|(_, at)| *at), Some((600_000, 2_400)));
        // A list that was shut on the other side is as good as a cut.
        attention.down(agent(1), 3_000);
        attention.up(agent(1), Cut { since_ms: 903_000, away_ms: 0 });
        attention.level(Some(agent(1)), 903_100);
        assert_eq!(attention.around.returns.last().map(|back| back.away_ms), Some(900_000));
    }

    #[test]
    fn a_member_that_went_before_it_was_level_is_waited_for_when_it_comes_back() {
        let mut attention = opened();
        attention.level(None, 0);
        attention.up(agent(1), Cut { since_ms: 0, away_ms: 600_000 });
        attention.down(agent(1), 300);
        looking(&mut attention, 500, 600_000, false);
        assert!(!is_comparing(&attention));
        attention.up(agent(1), Cut { since_ms: 600_300, away_ms: 600_000 });
        attention.look(600_500, false);
        assert!(is_comparing(&attention), "it was not waited for meanwhile");
        looking(&mut attention, 601_000, 600_300 + COMPARISON_WAIT_MS, false);
        assert!(!is_comparing(&attention));
    }

    #[test]
    fn a_member_whose_link_ended_is_gone_until_something_new_is_heard_of_it() {
        let mut attention = opened();
        attention.up(agent(1), Cut { since_ms: 0, away_ms: 9 });
        let gone = |attention: &Attention, heard_ms: i64| {
            let heard = [(agent(1), heard_ms)].into();
            attention.seen(heard, BTreeMap::new()).gone.contains(&agent(1))
        };
        assert!(!gone(&attention, 0));
        attention.down(agent(1), 7_000);
        assert!(gone(&attention, 6_900) && gone(&attention, 8_000), "that was under way");
        assert!(!gone(&attention, 12_000), "others hear it");
        attention.up(agent(1), Cut { since_ms: 15_000, away_ms: 9 });
        assert!(!gone(&attention, 6_900));
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
