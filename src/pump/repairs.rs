//! Repairs after drops: one at a time with a peer, later with each that did not help, and none while the peer's
//! sync lane is busy. What a repair does, others know.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::view::RepairsView;

/// The first wait between a drop and its repair, in which others may be dropped, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(8);

/// How long nothing is dropped before the first wait counts again.
const CALM: Duration = Duration::from_secs(10);

/// How long a repair may take before another may begin: it may have found nothing to do, and says nothing then.
const TAKES_MAX: Duration = Duration::from_secs(5);

/// Repairs that are due or go on.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    peers: BTreeMap<AgentId, Repair>,
    scheduled_total: u64,
    begun_total: u64,
}

#[derive(Debug)]
struct Repair {
    /// When the next is to begin.
    due: Option<Duration>,
    /// When the one that goes on began.
    begun: Option<Duration>,
    /// How long the next drop is waited after.
    wait: Duration,
    dropped_at: Duration,
    is_held_back: bool,
}

impl Repairs {
    /// Frames of a peer were dropped.
    pub(super) fn dropped(&mut self, now: Duration, peer: AgentId) {
        let repair = self.peers.entry(peer).or_insert(Repair {
            due: None,
            begun: None,
            wait: WAIT_FIRST,
            dropped_at: now,
            is_held_back: false,
        });
        if now >= repair.dropped_at + CALM {
            repair.wait = WAIT_FIRST;
        }
        repair.dropped_at = now;
        if repair.due.is_none() {
            // What is dropped while one goes on may not be in it.
            repair.due = Some(repair.begun.unwrap_or(now).max(now) + repair.wait);
            repair.wait = (repair.wait * 2).min(WAIT_MAX);
            self.scheduled_total += 1;
        }
    }

    /// Returns with whom a repair begins now.
    pub(super) fn begin(
        &mut self,
        now: Duration,
        mut is_busy: impl FnMut(&AgentId) -> bool,
    ) -> Vec<AgentId> {
        let mut begin = Vec::new();
        for (peer, repair) in &mut self.peers {
            if repair.begun.is_some_and(|begun| now >= begun + TAKES_MAX) {
                repair.begun = None;
            }
            let is_due = repair.due.is_some_and(|due| due <= now) && repair.begun.is_none();
            repair.is_held_back = is_due && is_busy(peer);
            if is_due && !repair.is_held_back {
                repair.due = None;
                repair.begun = Some(now);
                begin.push(*peer);
            }
        }
        self.begun_total += begin.len() as u64;
        self.peers.retain(|_, repair| {
            repair.due.is_some() || repair.begun.is_some() || now < repair.dropped_at + CALM
        });
        begin
    }

    /// A repair with a peer is over.
    pub(super) fn ended(&mut self, peer: AgentId) {
        if let Some(repair) = self.peers.get_mut(&peer) {
            repair.begun = None;
        }
    }

    /// Forgets a peer.
    pub(super) fn forget(&mut self, peer: AgentId) {
        self.peers.remove(&peer);
    }

    /// Returns when the next may begin.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let of = |repair: &Repair| {
            let due = repair.due?;
            Some(repair.begun.map_or(due, |begun| due.max(begun + TAKES_MAX)))
        };
        self.peers.values().filter(|repair| !repair.is_held_back).filter_map(of).min()
    }

    pub(super) fn view(&self) -> RepairsView {
        let count =
            |of: fn(&Repair) -> bool| self.peers.values().filter(|it| of(it)).count() as u64;
        RepairsView {
            scheduled_total: self.scheduled_total,
            begun_total: self.begun_total,
            outstanding: count(|repair| repair.due.is_some() || repair.begun.is_some()),
            held_back: count(|repair| repair.is_held_back),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    #[test]
    fn recv_pump_repairs_once_for_many_drops_and_waits_longer_each_time() {
        let mut repairs = Repairs::default();
        let mut begun = Vec::new();
        // Something is dropped each millisecond for a minute.
        for ms in 0..60_000 {
            let now = MS * ms;
            repairs.dropped(now, agent(1));
            if !repairs.begin(now, |_| false).is_empty() {
                begun.push(now);
                repairs.ended(agent(1));
            }
        }
        assert!((8..=15).contains(&begun.len()), "{begun:?}");
        assert_eq!(begun[0], WAIT_FIRST);
        let waits: Vec<Duration> = begun.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(waits.is_sorted() && waits.last().unwrap() <= &(WAIT_MAX + MS * 2), "{waits:?}");
        // After a while of calm it is quick again.
        let later = MS * 60_000 + CALM + WAIT_MAX;
        repairs.begin(later - MS, |_| false);
        repairs.ended(agent(1));
        repairs.dropped(later, agent(1));
        assert_eq!(repairs.deadline(), Some(later + WAIT_FIRST));
    }

    #[test]
    fn recv_pump_has_one_repair_with_a_peer_and_none_while_its_sync_lane_is_busy() {
        let mut repairs = Repairs::default();
        repairs.dropped(MS, agent(1));
        repairs.dropped(MS, agent(2));
        assert_eq!(repairs.begin(MS, |_| false), []);
        let busy = |peer: &AgentId| *peer == agent(2);
        assert_eq!(repairs.begin(WAIT_FIRST + MS, busy), [agent(1)]);
        assert_eq!((repairs.view().outstanding, repairs.view().held_back), (2, 1));
        assert_eq!(
            repairs.deadline(),
            None,
            "what is held back is asked about with the next frame"
        );
        repairs.dropped(WAIT_FIRST + MS * 2, agent(1));
        let soon = WAIT_FIRST + WAIT_FIRST * 2 + MS * 2;
        assert_eq!(repairs.begin(soon, |_| false), [agent(2)], "one goes on with the first");
        assert_eq!(repairs.begin(WAIT_FIRST + MS + TAKES_MAX, |_| false), [agent(1)]);
        assert_eq!(
            repairs.view(),
            RepairsView { scheduled_total: 3, begun_total: 3, outstanding: 2, held_back: 0 }
        );
        repairs.ended(agent(1));
        repairs.forget(agent(2));
        assert_eq!(repairs.view().outstanding, 0);
    }
}
