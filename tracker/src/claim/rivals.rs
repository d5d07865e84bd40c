//! What became of each claim on an issue, and why one of several counts: the rule of the tree in words for
//! those who ask.

use super::record::{Act, End, How, Origin};
use super::slate;
use super::tree::Tree;
use crate::id::RecordHash;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It counts.
    Counts,
    /// Another claim took it over.
    TakenOver {
        /// Which; the first on the way to the claim that counts.
        by: RecordHash,
    },
    /// It was ended, and another began after that.
    Followed {
        /// Which.
        by: RecordHash,
    },
    /// It, or one that it took over, was a rival of another that counts instead.
    Lost {
        /// Which.
        to: RecordHash,
        /// Why that one counts.
        why: Edge,
    },
}

/// Why one of two rivals counts: the first of these in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It leads to work that was handed off.
    HandedOff,
    /// It leads to a claim that nobody ended.
    Live,
    /// The other took over from a holder that had not lapsed, and who contested it.
    Contested,
    /// Its agent comes before the other's on the slate.
    Slot,
    /// Its agent is nearer to the issue.
    Distance,
    /// Its record has the smaller hash.
    Hash,
}

impl Edge {
    /// Returns the words for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::HandedOff => "that one was handed off",
            Self::Live => "that one is live and this one is not",
            Self::Contested => "it took over from a holder that had not lapsed and contested that",
            Self::Slot => "that agent comes first on the slate",
            Self::Distance => "that agent is nearer to the issue",
            Self::Hash => "that record has the smaller hash",
        }
    }
}

impl Tree {
    /// Returns what became of a claim of the tree.
    pub fn course(&self, claim: RecordHash) -> Option<Course> {
        let (_, made) = self.claim(claim)?;
        let winner = self.winner()?;
        if claim == winner {
            return Some(Course::Counts);
        }
        let path = self.path(winner);
        if let Some(at) = path.iter().position(|on_path| *on_path == claim) {
            let by = path[at + 1];
            let (_, next_made) = self.claim(by)?;
            return Some(match next_made.origin {
                Origin::Takeover(_) => Course::TakenOver { by },
                Origin::First | Origin::After { .. } => Course::Followed { by },
            });
        }
        // Where its branch leaves that of the winner.
        let mut top = claim;
        let mut parent = made.origin.parent();
        while let Some(above) = parent.filter(|above| !path.contains(above)) {
            top = above;
            parent = self.claim(above)?.1.origin.parent();
        }
        let next = match parent {
            None => path.first(),
            Some(parent) => {
                let at = path.iter().position(|on_path| *on_path == parent)?;
                path.get(at + 1)
            }
        };
        let (to, why) = match next {
            Some(rival) => (winner, self.edge(*rival, top)),
            // It took over the claim that counts all the same.
            None if self.is_handed_off(winner) => (winner, Edge::HandedOff),
            None => (winner, Edge::Contested),
        };
        Some(Course::Lost { to, why })
    }

    /// Tells whether the worker of a claim made another in its place: then that one stands for both.
    pub fn is_renewed(&self, claim: RecordHash) -> bool {
        let Some((record, made)) = self.claim(claim) else { return false };
        self.claims().filter_map(|next| self.claim(next)).any(|(other, next)| {
            next.origin == Origin::Takeover(claim)
                && (other.by, &next.worker) == (record.by, &made.worker)
        })
    }

    /// Returns the claims from the root down to one, with it.
    fn path(&self, claim: RecordHash) -> Vec<RecordHash> {
        let mut path = vec![claim];
        while let Some(parent) = path
            .last()
            .and_then(|last| self.claim(*last))
            .and_then(|(_, made)| made.origin.parent())
        {
            path.push(parent);
        }
        path.reverse();
        path
    }

    /// Returns why one rival counts rather than another.
    fn edge(&self, best: RecordHash, other: RecordHash) -> Edge {
        let (best_leaf, other_leaf) = (self.leaf(best), self.leaf(other));
        if self.is_handed_off(best_leaf) && !self.is_handed_off(other_leaf) {
            return Edge::HandedOff;
        }
        let by_place = self.edge_by_place(best, other);
        if self.is_live(best_leaf) && !self.is_live(other_leaf) {
            // That it was given up since it had lost is not why it had.
            let before = by_place.filter(|_| self.gave_up(other_leaf));
            return before.unwrap_or(Edge::Live);
        }
        by_place.unwrap_or(Edge::Hash)
    }

    /// Returns in what one rival comes before another, whatever became of both; `None` where it does not.
    fn edge_by_place(&self, best: RecordHash, other: RecordHash) -> Option<Edge> {
        let agent = |claim| self.claim(claim).map(|(record, _)| record.by);
        let distance = |claim| agent(claim).map(|agent| slate::distance(self.issue(), agent));
        let contested = (self.is_contested(best), self.is_contested(other));
        let (slots, distances) =
            ((self.slot(best), self.slot(other)), (distance(best), distance(other)));
        let steps = [
            (contested.0.cmp(&contested.1), Edge::Contested),
            (slots.0.cmp(&slots.1), Edge::Slot),
            (distances.0.cmp(&distances.1), Edge::Distance),
            (best.cmp(&other), Edge::Hash),
        ];
        let (order, edge) = steps.into_iter().find(|(order, _)| order.is_ne())?;
        order.is_lt().then_some(edge)
    }

    /// Tells whether a claim ended since its holder found that it had lost: that is not why it had.
    fn gave_up(&self, claim: RecordHash) -> bool {
        self.ended_how(claim) == Some("abandoned")
    }

    /// Returns the words for how a claim ended; `None` of one that is live.
    pub fn ended_how(&self, claim: RecordHash) -> Option<&'static str> {
        let end = self.end_of(claim)?;
        Some(match &self.records().get(&end)?.act {
            Act::End(End { how, .. }) => match how {
                How::Released => "released",
                How::HandedOff(_) => "handed_off",
                How::Abandoned { .. } => "abandoned",
                How::Forced => "forced",
            },
            _ => "ruled",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::claims::Scene;

    #[test]
    fn of_rivals_at_the_root_the_slate_says_why_one_counts() {
        let mut scene = Scene::new();
        let (a, b) = (scene.first(1), scene.first(0));
        let tree = scene.tree();
        assert_eq!(tree.winner(), Some(b));
        assert_eq!(tree.course(b), Some(Course::Counts));
        assert_eq!(tree.course(a), Some(Course::Lost { to: b, why: Edge::Slot }));
        let handoff = scene.hand_off(1, a);
        let tree = scene.tree();
        assert_eq!(tree.course(b), Some(Course::Lost { to: a, why: Edge::HandedOff }));
        assert_eq!(tree.ended_how(a), Some("handed_off"));
        assert!(tree.records().contains_key(&handoff) && tree.ended_how(b).is_none());
        let mut scene = Scene::new();
        let (a, b) = (scene.first(7), scene.first(8));
        let tree = scene.tree();
        let (best, other) = if tree.winner() == Some(a) { (a, b) } else { (b, a) };
        assert_eq!(tree.course(other), Some(Course::Lost { to: best, why: Edge::Distance }));
    }

    #[test]
    fn a_claim_that_was_taken_over_a_contested_takeover_and_one_that_ended_are_told_apart() {
        let mut scene = Scene::new();
        let first = scene.first(1);
        let taken = scene.take_over(2, first);
        let tree = scene.tree();
        let by_other = Course::TakenOver { by: taken };
        assert_eq!(tree.course(first), Some(by_other));
        scene.contest(1, taken);
        let tree = scene.tree();
        assert_eq!(tree.course(first), Some(Course::Counts));
        assert_eq!(tree.course(taken), Some(Course::Lost { to: first, why: Edge::Contested }));
        let mut scene = Scene::new();
        let first = scene.first(1);
        let end = scene.release(1, first);
        let next = scene.claim(0, Origin::After { claim: first, end });
        let tree = scene.tree();
        assert_eq!(tree.course(first), Some(Course::Followed { by: next }));
        assert_eq!(tree.ended_how(first), Some("released"));
        assert_eq!(tree.course(end), None, "an end is no claim");
        let mut scene = Scene::new();
        let first = scene.first(1);
        let taken = scene.take_over(2, first);
        assert!(!scene.tree().is_renewed(first));
        let renewal = scene.take_over(1, first);
        let tree = scene.tree();
        assert!(tree.is_renewed(first) && !tree.is_renewed(taken) && !tree.is_renewed(renewal));
    }
}
