//! What a node that runs tells the tracker of others, and what both remember while it does: since when issues
//! are free. Without a node there is none of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::claim::around::Around;
use crate::claim::rules::OPEN_AFTER_MS;
use crate::id::DocumentKey;

/// How many issues are remembered that became free; of more, those that did so longest ago count as free
/// for long.
pub const FREED_MAX: usize = 65_536;

/// Tells what a node sees of others now.
type Look = dyn Fn() -> Arc<Around> + Send + Sync;

/// What a node tells of others.
#[derive(Default)]
pub struct Senses {
    look: Option<Box<Look>>,
    freed: Mutex<Freed>,
}

/// Issues that became free lately.
#[derive(Default)]
struct Freed {
    at_ms: BTreeMap<DocumentKey, u64>,
    order: VecDeque<(u64, DocumentKey)>,
}

impl Senses {
    /// Returns those of a node.
    pub fn of(look: impl Fn() -> Arc<Around> + Send + Sync + 'static) -> Self {
        Self { look: Some(Box::new(look)), ..Self::default() }
    }

    /// Returns what the node sees of others now; `None` without one.
    pub(super) fn around(&self) -> Option<Arc<Around>> {
        self.look.as_ref().map(|look| look())
    }

    /// Notes whether an issue is free now; one that became so is until [`OPEN_AFTER_MS`] later for those first
    /// who are on its slate.
    pub(super) fn note(&self, key: DocumentKey, was_free: bool, is_free: bool, now_ms: u64) {
        if self.look.is_none() || was_free == is_free {
            return;
        }
        let mut freed = self.lock();
        if !is_free {
            freed.at_ms.remove(&key);
            return;
        }
        freed.at_ms.insert(key, now_ms);
        freed.order.push_back((now_ms, key));
        while let Some((at_ms, key)) = freed.order.front().copied()
            && (freed.order.len() > FREED_MAX || now_ms.saturating_sub(at_ms) > 2 * OPEN_AFTER_MS)
        {
            freed.order.pop_front();
            if freed.at_ms.get(&key) == Some(&at_ms) {
                freed.at_ms.remove(&key);
            }
        }
    }

    /// Returns for how long an issue that nobody holds was seen so: for ever, where nothing is remembered.
    pub(super) fn unheld_ms(&self, key: DocumentKey, now_ms: u64) -> u64 {
        let since = self.lock().at_ms.get(&key).copied();
        since.map_or(u64::MAX, |since| now_ms.saturating_sub(since))
    }

    fn lock(&self) -> MutexGuard<'_, Freed> {
        // Whoever panicked while holding it leaves it whole.
        self.freed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Senses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Senses").field("are_of_a_node", &self.look.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> DocumentKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        DocumentKey(key)
    }

    #[test]
    fn an_issue_is_free_since_it_became_so_and_one_of_which_nothing_is_known_for_long() {
        let senses = Senses::of(Arc::default);
        senses.note(key(1), false, true, 1_000);
        senses.note(key(2), false, false, 1_000);
        assert_eq!(senses.unheld_ms(key(1), 1_700), 700);
        assert_eq!(senses.unheld_ms(key(2), 1_700), u64::MAX);
        senses.note(key(1), true, true, 2_000);
        assert_eq!(senses.unheld_ms(key(1), 2_700), 1_700, "it was free before");
        senses.note(key(1), true, false, 3_000);
        assert_eq!(senses.unheld_ms(key(1), 3_000), u64::MAX);
        Senses::default().note(key(3), false, true, 0);
        assert_eq!(Senses::default().unheld_ms(key(3), 0), u64::MAX, "without a node nobody waits");
    }

    #[test]
    fn only_so_many_are_remembered_and_none_for_long() {
        let senses = Senses::of(Arc::default);
        (0..FREED_MAX + 5).for_each(|n| senses.note(key(n), false, true, 1));
        assert_eq!(senses.lock().at_ms.len(), FREED_MAX);
        assert_eq!(senses.unheld_ms(key(4), 2), u64::MAX);
        senses.note(key(0), false, true, 2 * OPEN_AFTER_MS + 2);
        let freed = senses.lock();
        assert_eq!((freed.at_ms.len(), freed.order.len()), (1, 1));
    }
}
