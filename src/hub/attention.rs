//! Whether this node is up to date in a list: with whom it is still to compare after it could not hear others,
//! and of whom it may have missed something meanwhile. Not: whom it heard, which is the same for all lists.

use std::collections::BTreeMap;

use x0x_tracker::claim::around::{Around, Return};
use x0x_tracker::id::AgentId;

/// How long a node without neighbours waits for one after its start, or a gap, until it counts as up to date:
/// there is nobody to ask.
const NEIGHBOUR_WAIT_MS: u64 = 10_000;

/// How long a comparison with a neighbour is waited for, in all within an hour: one that does not answer, or
/// comes and goes, keeps nobody from working.
const COMPARISON_WAIT_MS: u64 = 30_000;
const PATIENCE_EVERY_MS: u64 = 3_600_000;

/// What is heard of an agent so long after its link ended was under way then.
const UNDER_WAY_MS: i64 = 2_000;

/// Something after which one has to compare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) since_ms: u64,
    pub(super) away_ms: u64,
}

/// A neighbour that was cut off, until it was level once.
#[derive(Clone, Copy, Debug)]
struct Back {
    cut: Cut,
    is_here: bool,
    /// Whether it is waited for.
    is_awaited: bool,
    /// Of what it told all that it had.
    told: Told,
}

/// What two compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The commits.
    Commits,
    /// The frames of beats.
    Beats,
}

/// What a neighbour told all of that it had.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    commits: bool,
    beats: bool,
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
    pub(super) around: Around,
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
    pub(super) fn cut(&mut self, cut: Cut) {
        let longest = self.anybody.map_or(0, |before| before.away_ms);
        self.anybody = Some(Cut { away_ms: cut.away_ms.max(longest), ..cut });
        self.is_changed = true;
    }

    /// Notes that a member shares the list again which was not heard for so long. One that comes and goes
    /// was away since it was last level, and is not waited for again and again.
    pub(super) fn up(&mut self, peer: AgentId, cut: Cut) {
        let left_ms = self.left_ms.remove(&peer);
        let gone_ms = left_ms.map_or(0, |left_ms| cut.since_ms.saturating_sub(left_ms));
        let cut = Cut { away_ms: cut.away_ms.max(gone_ms), ..cut };
        let has_patience = self.has_patience(peer, cut.since_ms);
        let back = self.back.entry(peer).or_insert(Back {
            cut,
            is_here: true,
            is_awaited: true,
            told: Told::default(),
        });
        if !back.is_here {
            // Nobody waited for it while it was away, where it may have heard more.
            back.cut.since_ms = cut.since_ms;
            back.told = Told::default();
        }
        back.cut.away_ms = cut.away_ms.max(back.cut.away_ms);
        (back.is_here, back.is_awaited) = (true, back.is_awaited && has_patience);
        let away_ms = back.cut.away_ms;
        if !has_patience {
            self.note_return(Some(peer), Return { away_ms, at_ms: cut.since_ms });
        }
        self.is_changed = true;
    }

    pub(super) fn down(&mut self, peer: AgentId, now_ms: u64) {
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

    /// Notes that this node has all that a neighbour had of something.
    pub(super) fn level_in(&mut self, part: Part, peer: AgentId, at_ms: u64) {
        if part == Part::Commits {
            self.level_with_anybody(at_ms);
        }
        let Some(back) = self.back.get_mut(&peer) else { return };
        match part {
            Part::Commits => back.told.commits = true,
            Part::Beats => back.told.beats = true,
        }
        if back.told.commits && back.told.beats {
            self.spend(peer, at_ms);
            let away_ms = self.back.remove(&peer).map_or(0, |back| back.cut.away_ms);
            // It may have been at work all the time.
            self.note_return(Some(peer), Return { away_ms, at_ms });
        }
    }

    /// Notes that this node is up to date since its start, or a gap; also where there is nobody to ask.
    fn level_with_anybody(&mut self, at_ms: u64) {
        if let Some(cut) = self.anybody.take() {
            self.note_return(None, Return { away_ms: cut.away_ms, at_ms });
        }
    }

    /// Tells whether a neighbour that was cut off is still to tell of the beats that it heard.
    pub(super) fn lacks_beats_of(&self, peer: AgentId) -> bool {
        self.back.get(&peer).is_some_and(|back| back.is_here && !back.told.beats)
    }

    /// Notes that an agent, or anybody, may have been at work unheard until then.
    pub(super) fn note_return(&mut self, of: Option<AgentId>, back: Return) {
        self.around.note_return(of, back);
        self.is_changed = true;
    }

    /// Forgets returns of agents that are no members any more, and those that are long over.
    pub(super) fn forget(&mut self, now_ms: u64, is_member: impl Fn(AgentId) -> bool) {
        let returns = &mut self.around.returns_of;
        returns.retain(|agent, returns| is_member(*agent) && !returns.are_over(now_ms));
    }

    /// Tells whether something changed since this was asked before.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Notes that the node looks; returns whether it did not for a while.
    pub(super) fn look(&mut self, now_ms: u64, is_alone: bool) -> bool {
        let gap = self.around.look(now_ms);
        if let Some(gap_ms) = gap {
            self.cut(Cut { since_ms: now_ms, away_ms: gap_ms });
        }
        let wait_ms = if is_alone { NEIGHBOUR_WAIT_MS } else { COMPARISON_WAIT_MS };
        if self.anybody.is_some_and(|cut| now_ms.saturating_sub(cut.since_ms) >= wait_ms) {
            self.level_with_anybody(now_ms);
        }
        let awaited: Vec<AgentId> = self.awaited().collect();
        for peer in awaited {
            self.spend(peer, now_ms);
            if !self.has_patience(peer, now_ms)
                && let Some(back) = self.back.get_mut(&peer)
            {
                back.is_awaited = false;
                let away_ms = back.cut.away_ms;
                self.around.note_return(Some(peer), Return { away_ms, at_ms: now_ms });
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
    pub(super) fn seen(
        &self,
        heard: BTreeMap<AgentId, i64>,
        loads: BTreeMap<AgentId, u16>,
    ) -> Around {
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

    fn level(attention: &mut Attention, peer: AgentId, at_ms: u64) {
        attention.level_in(Part::Commits, peer, at_ms);
        attention.level_in(Part::Beats, peer, at_ms);
    }

    /// Returns for how long a member was away that is level since, and since when, for each return of it.
    fn returns(attention: &Attention, of: AgentId) -> Vec<(u64, u64)> {
        let returns = attention.around.returns_of.get(&of).into_iter();
        returns.flat_map(|returns| returns.iter()).map(|back| (back.away_ms, back.at_ms)).collect()
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
        assert_eq!(attention.around.returns.iter().next().map(|back| back.away_ms), Some(u64::MAX));
        let mut attention = opened();
        looking(&mut attention, 0, NEIGHBOUR_WAIT_MS, false);
        assert!(is_comparing(&attention), "there is a neighbour");
        level(&mut attention, agent(1), NEIGHBOUR_WAIT_MS);
        assert!(!is_comparing(&attention));
    }

    #[test]
    fn whoever_comes_back_is_compared_with_and_one_that_never_answers_holds_nobody_up() {
        let mut attention = opened();
        attention.level_with_anybody(0);
        attention.up(agent(1), Cut { since_ms: 0, away_ms: 7_000 });
        attention.up(agent(2), Cut { since_ms: 0, away_ms: 9_000 });
        level(&mut attention, agent(1), 100);
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
        attention.level_with_anybody(0);
        let mut waited_ms = 0;
        for n in 0..200 {
            let at = n * 10_000;
            attention.up(agent(1), Cut { since_ms: at, away_ms: 9 });
            looking(&mut attention, at, at + 9_000, false);
            waited_ms += if is_comparing(&attention) { 9_000 } else { 0 };
            level(&mut attention, agent(1), at + 9_000);
            attention.down(agent(1), at + 9_500);
        }
        assert!(waited_ms <= COMPARISON_WAIT_MS + 9_000, "{waited_ms}");
    }

    #[test]
    fn a_cut_lasts_until_both_are_level_however_often_the_link_comes_and_goes() {
        let mut attention = opened();
        attention.level_with_anybody(0);
        attention.up(agent(1), Cut { since_ms: 1_000, away_ms: 600_000 });
        attention.down(agent(1), 1_300);
        attention.up(agent(1), Cut { since_ms: 2_300, away_ms: 1_000 });
        level(&mut attention, agent(1), 2_400);
        assert_eq!(returns(&attention, agent(1)), [(600_000, 2_400)]);
        // A list that was shut on the other side is as good as a cut.
        attention.down(agent(1), 3_000);
        attention.up(agent(1), Cut { since_ms: 903_000, away_ms: 0 });
        level(&mut attention, agent(1), 903_100);
        assert_eq!(returns(&attention, agent(1)), [(900_000, 903_100)]);
        let of_all = attention.around.returns.iter().map(|back| back.away_ms);
        assert_eq!(of_all.collect::<Vec<_>>(), [u64::MAX], "it holds up no claims of others");
    }

    #[test]
    fn a_member_that_went_before_it_was_level_is_waited_for_when_it_comes_back() {
        let mut attention = opened();
        attention.level_with_anybody(0);
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
    fn whoever_comes_back_is_level_once_it_told_its_commits_and_the_beats_that_it_heard() {
        for order in [[Part::Commits, Part::Beats], [Part::Beats, Part::Commits]] {
            let mut attention = opened();
            attention.level_with_anybody(0);
            attention.up(agent(1), Cut { since_ms: 500, away_ms: 9_000 });
            attention.level_in(order[0], agent(1), 600);
            assert!(is_comparing(&attention));
            assert_eq!(attention.lacks_beats_of(agent(1)), order[1] == Part::Beats);
            attention.level_in(order[1], agent(1), 700);
            assert!(!is_comparing(&attention) && !attention.lacks_beats_of(agent(1)));
            assert_eq!(returns(&attention, agent(1)), [(9_000, 700)]);
            // What it told before it went again says nothing of what it heard since.
            attention.down(agent(1), 1_000);
            attention.up(agent(1), Cut { since_ms: 9_000, away_ms: 8_000 });
            attention.level_in(order[0], agent(1), 9_100);
            attention.down(agent(1), 9_200);
            attention.up(agent(1), Cut { since_ms: 60_000, away_ms: 50_000 });
            attention.level_in(order[1], agent(1), 60_100);
            assert!(is_comparing(&attention));
        }
    }

    #[test]
    fn returns_of_agents_that_left_and_those_that_are_long_over_are_forgotten() {
        let mut attention = opened();
        let back = |at_ms| Return { away_ms: 9, at_ms };
        attention.note_return(Some(agent(1)), back(5));
        attention.note_return(Some(agent(2)), back(u64::MAX / 2));
        attention.note_return(Some(agent(3)), back(u64::MAX / 2));
        attention.forget(u64::MAX / 2, |of| of != agent(3));
        assert_eq!(attention.around.returns_of.keys().copied().collect::<Vec<_>>(), [agent(2)]);
    }

    #[test]
    fn after_a_gap_a_node_compares_anew() {
        let mut attention = opened();
        attention.level_with_anybody(0);
        looking(&mut attention, 0, 5_000, false);
        assert!(!attention.look(5_000 + GAP_MS_MAX, false));
        assert!(attention.look(5_000 + 2 * GAP_MS_MAX + 1, false) && is_comparing(&attention));
        level(&mut attention, agent(1), 10_000);
        let Around { returns, gaps, .. } = attention.seen(BTreeMap::new(), BTreeMap::new());
        assert_eq!(gaps, [(5_000 + GAP_MS_MAX, 5_000 + 2 * GAP_MS_MAX + 1)]);
        assert_eq!(returns.iter().last().map(|back| back.away_ms), Some(GAP_MS_MAX + 1));
    }
}
