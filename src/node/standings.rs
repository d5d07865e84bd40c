//! Claims between machines, as the thread that has the stores looks after them: promises that are to be told,
//! claims that become confirmed, and own ones that others took.

use std::collections::{BTreeMap, BTreeSet};

use x0x_tracker::id::{ListId, RecordHash};
use x0x_tracker::interface::{Standing, TrackerError};
use x0x_tracker::store::{CHANGES_MAX, Changes};

use super::shelf::Shelf;
use crate::clerk;

/// The most claims that are watched for whether they are confirmed; of more, some are told of when somebody
/// asks.
const PROVISIONAL_MAX: usize = 65_536;

/// How many of them are looked at at once, without a reason but the time.
const LOOKS_MAX: usize = 64;

/// Claims that were told of and are not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Provisional {
    claims: BTreeMap<ListId, BTreeSet<RecordHash>>,
    /// Up to which they were looked at.
    looked: Option<(ListId, RecordHash)>,
    /// Lists in which own claims may have been lost.
    may_have_lost: BTreeSet<ListId>,
}

impl Provisional {
    fn len(&self) -> usize {
        self.claims.values().map(BTreeSet::len).sum()
    }

    fn add(&mut self, list: ListId, claim: RecordHash) {
        if self.len() < PROVISIONAL_MAX {
            self.claims.entry(list).or_default().insert(claim);
        }
    }

    /// Takes a claim out; tells whether it was there.
    fn remove(&mut self, list: ListId, claim: RecordHash) -> bool {
        self.claims.get_mut(&list).is_some_and(|claims| claims.remove(&claim))
    }

    /// Returns the next few, each in its turn.
    fn next(&mut self) -> Vec<(ListId, RecordHash)> {
        let all = self.claims.iter().flat_map(|(list, of)| of.iter().map(|claim| (*list, *claim)));
        let (before, after): (Vec<_>, Vec<_>) =
            all.partition(|place| self.looked.is_some_and(|looked| *place <= looked));
        let next: Vec<_> = after.into_iter().chain(before).take(LOOKS_MAX).collect();
        self.looked = next.last().copied();
        next
    }
}

impl Shelf {
    /// A list was opened: whoever tells of its claims begins anew.
    pub(super) fn begin_standings(&mut self, list: ListId) {
        let Some(tracker) = self.lists.get_mut(&list) else { return };
        let held = tracker.watch_held();
        match held.and_then(|held| Ok((held, clerk::promised(tracker, list)?))) {
            Ok((held, promised)) => {
                self.report(promised);
                held.into_iter().for_each(|claim| self.provisional.add(list, claim));
            }
            Err(error) => self.fail(list, &error),
        }
        self.provisional.may_have_lost.insert(list);
    }

    /// Follows what happened to claims.
    pub(super) fn follow_claims(&mut self, list: ListId, changes: &Changes) {
        let (promised, heard) = clerk::promises_of(changes, list);
        promised.into_iter().for_each(|promised| self.report(promised));
        for change in &changes.issues {
            let (before, after) = change.claims();
            if before == after {
                continue;
            }
            if let Some(gone) = before {
                self.provisional.remove(list, gone);
            }
            if let Some(claim) = after {
                self.provisional.add(list, claim);
                self.look_at(list, claim);
            }
        }
        heard.into_iter().for_each(|claim| self.look_at(list, claim));
        if changes.is_cut || changes.promises.len() >= CHANGES_MAX {
            // Some were not told one by one.
            self.begin_standings(list);
        }
        if clerk::may_have_lost(changes, self.events.me()) {
            self.provisional.may_have_lost.insert(list);
        }
    }

    /// Contests and gives up own claims that others took.
    pub(super) fn settle(&mut self, list: ListId) {
        if !self.provisional.may_have_lost.remove(&list) {
            return;
        }
        let Some(tracker) = self.lists.get_mut(&list) else { return };
        match clerk::part(tracker, list) {
            Ok(parted) if parted.is_empty() => {}
            Ok(_) => {
                self.announce(list);
                let _none = self.tell(list);
            }
            Err(error) => self.fail(list, &error),
        }
    }

    /// Looks at claims that are not confirmed yet: whom this node hears may be others now.
    pub(super) fn look_again(&mut self) {
        for (list, claim) in self.provisional.next() {
            self.look_at(list, claim);
        }
    }

    /// Tells that a claim is confirmed, if it is by now.
    fn look_at(&mut self, list: ListId, claim: RecordHash) {
        let Some(tracker) = self.lists.get(&list) else { return };
        match tracker.held_by(claim) {
            Ok(Some(shown)) => {
                let standing = shown.watch.as_ref().map(|watch| watch.standing);
                if standing == Some(Standing::Confirmed) && self.provisional.remove(list, claim) {
                    self.events.confirmed(list, &shown.row);
                }
            }
            Ok(None) | Err(TrackerError::NotFound { .. }) => {
                self.provisional.remove(list, claim);
            }
            Err(error) => self.fail(list, &error),
        }
    }

    /// Tells whether any claim is not confirmed yet.
    pub(super) fn has_provisional(&self) -> bool {
        self.provisional.len() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_in_its_turn() {
        let mut provisional = Provisional::default();
        let claim = |n: u16| {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&n.to_be_bytes());
            RecordHash(hash)
        };
        for n in 0..LOOKS_MAX as u16 + 20 {
            provisional.add(ListId([(n % 2) as u8; 32]), claim(n));
        }
        let mut seen: BTreeSet<_> = provisional.next().into_iter().collect();
        assert_eq!(seen.len(), LOOKS_MAX);
        seen.extend(provisional.next());
        assert_eq!(seen.len(), LOOKS_MAX + 20);
        assert!(provisional.remove(ListId([1; 32]), claim(1)));
        assert!(!provisional.remove(ListId([0; 32]), claim(1)));
    }
}
