//! Which agents are preferred for an issue: those nearest to it by XOR.

use super::record::CONSIDERED_MAX;
use crate::id::{AgentId, labelled_hash};

/// How many agents a slate names: a primary and two backups.
pub const SLATE_MAX: usize = 3;

/// The slot of an agent that the slate does not name.
pub const SLOT_OTHER: u8 = SLATE_MAX as u8;

/// The domain label under which the id of an issue is hashed to a place among agents.
const LABEL: &str = "x0x/slate/v1";

/// Returns how far an agent is from an issue, as bytes that sort by it.
pub fn distance(issue: &str, agent: AgentId) -> [u8; 32] {
    let mut distance = labelled_hash(LABEL, &[issue.as_bytes()]);
    distance.iter_mut().zip(agent.0).for_each(|(byte, other)| *byte ^= other);
    distance
}

/// Returns the nearest agents, nearest first; fewer than [`SLATE_MAX`] where there are fewer.
pub fn draw(issue: &str, considered: &[AgentId]) -> Vec<AgentId> {
    let mut slate = nearest(issue, considered.to_vec());
    slate.truncate(SLATE_MAX);
    slate
}

/// Returns what a shard record lists of these agents: all, or the nearest of too many; sorted.
pub fn considered(issue: &str, agents: Vec<AgentId>) -> Vec<AgentId> {
    let mut considered = nearest(issue, agents);
    considered.truncate(CONSIDERED_MAX);
    considered.sort_unstable();
    considered
}

/// Returns the place of an agent in a slate; [`SLOT_OTHER`] where it is not in it.
pub fn slot(slate: &[AgentId], agent: AgentId) -> u8 {
    let place = slate.iter().position(|other| *other == agent);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(SLOT_OTHER)
}

/// Returns what the JSONL file calls a slot.
pub fn role(slot: u8) -> &'static str {
    match slot {
        0 => "primary",
        1 => "backup_0",
        2 => "backup_1",
        _ => "other",
    }
}

fn nearest(issue: &str, mut agents: Vec<AgentId>) -> Vec<AgentId> {
    agents.sort_unstable();
    agents.dedup();
    agents.sort_by_cached_key(|agent| distance(issue, *agent));
    agents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::claims::{ISSUE, agent};

    #[test]
    fn the_nearest_three_are_preferred_nearest_first() {
        let agents: Vec<_> = [7, 3, 5, 1, 9].map(agent).to_vec();
        assert_eq!(draw(ISSUE, &agents), [agent(1), agent(3), agent(5)]);
        assert_eq!(draw(ISSUE, &agents[..1]), [agent(7)]);
        assert!(draw(ISSUE, &[]).is_empty());
    }

    #[test]
    fn an_agent_listed_twice_has_one_place() {
        assert_eq!(draw(ISSUE, &[agent(2), agent(1), agent(1)]), [agent(1), agent(2)]);
    }

    #[test]
    fn of_too_many_agents_the_nearest_are_considered() {
        let far = |i: usize| {
            let mut bytes = agent(0).0;
            bytes[0] ^= 1;
            bytes[1..9].copy_from_slice(&i.to_le_bytes());
            AgentId(bytes)
        };
        let mut agents: Vec<_> = (0..CONSIDERED_MAX).map(far).collect();
        agents.extend([agent(4), agent(0)]);
        let considered = considered(ISSUE, agents);
        assert_eq!(considered.len(), CONSIDERED_MAX);
        assert!(considered.is_sorted() && considered.contains(&agent(4)));
        assert_eq!(draw(ISSUE, &considered)[..2], [agent(0), agent(4)]);
    }

    #[test]
    fn an_agent_that_is_not_on_the_slate_has_the_last_slot() {
        let slate = [agent(1), agent(4)];
        assert_eq!([1, 4, 2].map(|number| slot(&slate, agent(number))), [0, 1, SLOT_OTHER]);
        assert_eq!([0, 1, 2, 3].map(role), ["primary", "backup_0", "backup_1", "other"]);
    }

    #[test]
    fn distance_is_exclusive_or_and_differs_by_issue() {
        let (a, b) = (distance(ISSUE, agent(0)), distance(ISSUE, agent(6)));
        assert_eq!(a, [0; 32]);
        assert_eq!((&b[..31], b[31]), (&[0; 31][..], 6));
        assert_ne!(distance("T-0002", agent(0)), a);
    }
}
