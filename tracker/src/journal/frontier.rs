//! A frontier: how far each log is known here. A version vector over logs.

use std::collections::BTreeMap;

use super::commit::Position;
use crate::id::LogId;

/// Log -> the last commit of it that is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier(pub BTreeMap<LogId, Position>);

impl Frontier {
    /// Returns the last commit of a log.
    pub fn position(&self, log: LogId) -> Option<Position> {
        self.0.get(&log).copied()
    }

    /// Tells whether a position is at or before what is here.
    pub fn covers(&self, log: LogId, position: Position) -> bool {
        self.position(log).is_some_and(|here| here.number >= position.number)
    }

    /// Returns what moved in every other log since `before`, sorted by log.
    pub fn news_since(&self, before: &Self, own: LogId) -> Vec<(LogId, Position)> {
        self.0
            .iter()
            .filter(|(log, position)| **log != own && before.position(**log) != Some(**position))
            .map(|(log, position)| (*log, *position))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, CommitHash};

    #[test]
    fn news_are_the_foreign_logs_that_moved() {
        let log = |n| LogId { agent: AgentId([n; 32]), nonce: [0; 8] };
        let at = |n: u64| Position { number: n, hash: CommitHash([n as u8; 32]) };
        let before = Frontier([(log(1), at(1)), (log(2), at(5))].into());
        let now =
            Frontier([(log(1), at(2)), (log(2), at(5)), (log(3), at(1)), (log(9), at(7))].into());
        let news = now.news_since(&before, log(9));
        assert_eq!(news, vec![(log(1), at(2)), (log(3), at(1))]);
        assert!(now.covers(log(1), at(1)) && !before.covers(log(1), at(2)));
    }
}
