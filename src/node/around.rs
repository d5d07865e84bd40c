//! What the hub sees of others, where the stores find it: whoever judges a claim looks here.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use x0x_tracker::claim::Around;
use x0x_tracker::id::ListId;
use x0x_tracker::tasklist::Senses;

/// What is seen of others in each list; shared by the hub's task and whoever has the stores.
#[derive(Clone, Debug, Default)]
pub(super) struct Arounds {
    seen: Arc<RwLock<BTreeMap<ListId, Arc<Around>>>>,
    /// What tells each store, however often it is opened.
    senses: Arc<RwLock<BTreeMap<ListId, Arc<Senses>>>>,
}

impl Arounds {
    /// Notes what is seen now.
    pub(super) fn put(&self, list: ListId, around: Arc<Around>) {
        self.seen.write().unwrap_or_else(PoisonError::into_inner).insert(list, around);
    }

    /// Returns what is seen now; nothing was compared yet where nothing was noted.
    pub(super) fn of(&self, list: ListId) -> Arc<Around> {
        // Whoever panicked while holding it left it whole.
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner).get(&list).cloned();
        seen.unwrap_or_else(|| Arc::new(Around { is_comparing: true, ..Around::default() }))
    }

    /// Returns what tells a store.
    pub(super) fn senses(&self, list: ListId) -> Arc<Senses> {
        let seen = Self { seen: self.seen.clone(), ..Self::default() };
        let mut senses = self.senses.write().unwrap_or_else(PoisonError::into_inner);
        senses.entry(list).or_insert_with(|| Arc::new(Senses::of(move || seen.of(list)))).clone()
    }
}
