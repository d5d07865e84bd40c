//! Whether what a runner writes reaches other machines: a node takes it to them. Not: whether any hears it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use x0x::home::Home;
use x0x::time::{self, Moment};
use x0x_tracker::Tracker;
use x0x_tracker::store::StoreLock;

/// Since when no list was opened through a node, where one was before; shared by all threads of a runner.
#[derive(Clone, Debug, Default)]
pub struct Reach(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    had_node: bool,
    lost_at: Option<Moment>,
}

impl Reach {
    /// Returns for how long lists that are opened to write reach nobody, while they did before and others may work
    /// on this one too, which was just opened. A node that starts again, or takes its stores back, is there soon.
    pub fn lost_for(&self, home: &Home, tracker: &dyn Tracker) -> Option<Duration> {
        // Who writes to the store itself has the lock.
        let holder = StoreLock::holder(home.dir());
        // Whoever panicked while holding it leaves it whole.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holder.is_none_or(|holder| holder.pid != std::process::id()) {
            *known = Known { had_node: true, lost_at: None };
            return None;
        }
        let has_others = known.had_node
            && tracker.members().is_ok_and(|members| {
                members.members.iter().any(|member| !member.is_own && member.role.may_write())
            });
        has_others.then(|| known.lost_at.get_or_insert_with(time::origin).elapsed())
    }
}
