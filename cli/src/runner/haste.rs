//! How much the end of a runner is wanted: what waits, or takes long, looks at it and gives up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Shared by all threads of a runner.
#[derive(Clone, Debug, Default)]
pub struct Haste(Arc<AtomicU8>);

impl Haste {
    /// It was told to end: nothing new is begun, and what is not needed is left.
    pub const ENDING: u8 = 1;
    /// It was told so again: nothing is waited for.
    pub const AT_ONCE: u8 = 2;

    /// Tells whether it is at least so great.
    pub fn is(&self, level: u8) -> bool {
        self.0.load(Ordering::Relaxed) >= level
    }

    /// Makes it so great.
    pub fn set(&self, level: u8) {
        self.0.store(level, Ordering::Relaxed);
    }
}
