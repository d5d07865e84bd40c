//! Whose turn it is: deficit round robin (Shreedhar and Varghese, 1995) over peers, so that each is served as many
//! bytes as the others, however many frames it sends.

use std::collections::{BTreeMap, VecDeque};

use x0x_tracker::id::AgentId;

use crate::wire::CONTROL_BYTES_MAX;

/// What a peer may have served in a round: a few signed frames.
const QUANTUM: u64 = 16 << 10;

/// In how many rounds everybody has enough for the largest frame.
const ROUNDS: usize = CONTROL_BYTES_MAX.div_ceil(QUANTUM as usize) + 2;

/// What a frame costs beside its bytes: about what it takes to look at one.
const FRAME_COST: u64 = 2 << 10;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    ring: VecDeque<AgentId>,
    credits: BTreeMap<AgentId, u64>,
}

impl Turns {
    /// Returns whose turn it is, of those of whom a frame is ready; `ready` returns the bytes of a peer's next.
    pub(super) fn next(
        &mut self,
        mut ready: impl FnMut(&AgentId) -> Option<usize>,
    ) -> Option<AgentId> {
        for _ in 0..ROUNDS {
            let mut is_any = false;
            for _ in 0..self.ring.len() {
                let peer = *self.ring.front()?;
                match ready(&peer).map(|bytes| bytes as u64 + FRAME_COST) {
                    Some(cost) => {
                        let credit = self.credits.entry(peer).or_default();
                        if cost <= *credit {
                            *credit -= cost;
                            return Some(peer);
                        }
                        *credit += QUANTUM;
                        is_any = true;
                    }
                    // Whoever has nothing saves nothing.
                    None => drop(self.credits.remove(&peer)),
                }
                self.ring.rotate_left(1);
            }
            if !is_any {
                break;
            }
        }
        None
    }

    pub(super) fn join(&mut self, peer: AgentId) {
        if !self.ring.contains(&peer) {
            self.ring.push_back(peer);
        }
    }

    pub(super) fn leave(&mut self, peer: AgentId) {
        self.ring.retain(|other| *other != peer);
        self.credits.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    #[test]
    fn who_sends_large_frames_is_served_as_many_bytes_as_who_sends_small_ones() {
        let mut turns = Turns::default();
        for n in 1..=3 {
            turns.join(agent(n));
        }
        // The third has nothing.
        let bytes =
            |peer: &AgentId| [None, Some(1 << 10), Some(60 << 10), None][peer.0[0] as usize];
        let mut served = BTreeMap::<AgentId, u64>::new();
        for _ in 0..20_000 {
            let peer = turns.next(bytes).unwrap();
            *served.entry(peer).or_default() += bytes(&peer).unwrap() as u64 + FRAME_COST;
        }
        let [small, large] = [served[&agent(1)], served[&agent(2)]];
        assert!(small.abs_diff(large) <= QUANTUM * 2, "{small} {large}");
        assert!(!served.contains_key(&agent(3)));
    }

    #[test]
    fn the_largest_frame_is_served_and_nobody_is_where_nothing_is_ready() {
        let mut turns = Turns::default();
        assert_eq!(turns.next(|_| Some(1)), None);
        turns.join(agent(1));
        assert_eq!(turns.next(|_| Some(CONTROL_BYTES_MAX)), Some(agent(1)));
        let mut asked = 0;
        let nobody = turns.next(|_| {
            asked += 1;
            None
        });
        assert_eq!((nobody, asked), (None, 1), "everybody is asked once");
        turns.leave(agent(1));
        assert_eq!(turns.next(|_| Some(1)), None);
    }
}
