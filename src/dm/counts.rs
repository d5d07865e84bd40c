//! What became of messages, by peer and way.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;

use super::message::DmPath;

/// How many peers are told apart; what goes on with more is counted for nobody.
pub const PEERS_COUNTED_MAX: usize = 1_024;

/// Of how many of the newest messages the latencies are known.
const LATENCIES_MAX: usize = 512;

/// What became of messages between this agent and a peer over one way, since the node was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// With whom.
    pub peer: String,
    /// Which way.
    pub path: DmPath,
    /// Messages that were sent, each counted once.
    pub sent: u64,
    /// Messages of which the peer acknowledged that it has them.
    pub delivered: u64,
    /// How often one was sent again.
    pub retried: u64,
    /// Messages whose time was over.
    pub expired: u64,
    /// Messages that the peer did not take.
    pub refused: u64,
    /// Messages that came.
    pub received: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Messages that came and were not taken.
    pub turned_away: u64,
    /// How long delivered messages took, in microseconds: half of the newest at most so long.
    pub latency_us_p50: Option<u64>,
    /// The same of 99 of 100.
    pub latency_us_p99: Option<u64>,
}

/// One count of each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) retried: u64,
    pub(super) expired: u64,
    pub(super) refused: u64,
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) turned_away: u64,
    latencies: VecDeque<u64>,
}

impl Count {
    pub(super) fn took(&mut self, latency_us: u64) {
        self.latencies.push_back(latency_us);
        if self.latencies.len() > LATENCIES_MAX {
            self.latencies.pop_front();
        }
    }
}

/// Every count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rows: BTreeMap<(AgentId, DmPath), Count>,
}

impl Counts {
    /// Counts something.
    pub(super) fn count(&mut self, peer: AgentId, path: DmPath, count: impl FnOnce(&mut Count)) {
        let is_known = self.rows.contains_key(&(peer, path));
        if is_known || self.rows.len() < 2 * PEERS_COUNTED_MAX {
            count(self.rows.entry((peer, path)).or_default());
        }
    }

    /// Returns all of them; one of the loopback is always there.
    pub(super) fn rows(&self, me: AgentId) -> Vec<Row> {
        let own = (me, DmPath::Loopback);
        let own = (!self.rows.contains_key(&own)).then(|| row(own, &Count::default()));
        own.into_iter().chain(self.rows.iter().map(|(key, count)| row(*key, count))).collect()
    }
}

fn row((peer, path): (AgentId, DmPath), count: &Count) -> Row {
    let mut latencies: Vec<u64> = count.latencies.iter().copied().collect();
    latencies.sort_unstable();
    let at = |part: f64| {
        let rank = (latencies.len() as f64 * part).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied()
    };
    Row {
        peer: peer.to_string(),
        path,
        sent: count.sent,
        delivered: count.delivered,
        retried: count.retried,
        expired: count.expired,
        refused: count.refused,
        received: count.received,
        duplicates: count.duplicates,
        turned_away: count.turned_away,
        latency_us_p50: at(0.5),
        latency_us_p99: at(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_of_the_newest_and_the_loopback_always() {
        let me = AgentId([1; 32]);
        let mut counts = Counts::default();
        assert_eq!(counts.rows(me).len(), 1);
        assert_eq!(counts.rows(me)[0].latency_us_p50, None);
        for latency_us in 0..2 * LATENCIES_MAX as u64 {
            counts.count(me, DmPath::Loopback, |count| count.took(latency_us));
        }
        let rows = counts.rows(me);
        assert_eq!((rows.len(), rows[0].latency_us_p50), (1, Some(767)));
        assert_eq!(rows[0].latency_us_p99, Some(1_018));
        for n in 0..3 * PEERS_COUNTED_MAX {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            counts.count(AgentId(bytes), DmPath::Quic, |count| count.sent += 1);
        }
        assert_eq!(counts.rows(me).len(), 2 * PEERS_COUNTED_MAX);
    }
}
