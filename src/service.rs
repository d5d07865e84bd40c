//! A node without a terminal, as `x0x daemon` and `x0xd` run it: what both are told, and how both run it
//! until a signal, or `x0x stop`, ends it.

pub mod args;

use std::hint::black_box;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::config::Settings;
use crate::home::Home;
use crate::logs;
use crate::node::{Node, NodeError, block_on};

/// The filter of the log where nobody says one.
pub const LEVEL: &str = "info";

/// How often memory that is free is given back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(10);

/// Runs a node until it is stopped; what happens is told by the log alone.
///
/// # Errors
/// Where the node cannot start, or a part of it failed.
pub fn run(home: Home, settings: &Settings, lock_wait: Duration) -> Result<(), NodeError> {
    run_beside(home, settings, lock_wait, |_| std::future::pending())
}

/// The same, and something goes on beside the node until it stops.
///
/// # Errors
/// As [`run`].
pub fn run_beside<F: Future<Output = ()>>(
    home: Home,
    settings: &Settings,
    lock_wait: Duration,
    beside: impl FnOnce(Node) -> F,
) -> Result<(), NodeError> {
    let log = logs::start(settings.level.value.clone(), settings.format.value);
    let config = settings.node(home, lock_wait, Some(log));
    block_on(config, |node| async move {
        let _stopping = Told::ready();
        tokio::select! {
            () = node.stopped() => {}
            () = give_back() => {}
            () = beside(node.clone()) => {}
        }
    })?;
    Ok(())
}

/// Has the allocator give back what has been free for a second, now and then, for ever. It looks for that
/// when a page is freed, and a node at rest frees none: what opening a large store needed would stay.
pub async fn give_back() {
    const PAGE_BYTES: usize = 4 << 20;
    let mut free = interval(GIVE_BACK_EVERY);
    loop {
        free.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(PAGE_BYTES)));
    }
}

/// A service manager that was told that the node is ready; it is told that it stops when this is dropped.
struct Told;

impl Told {
    fn ready() -> Self {
        tell(NotifyState::Ready);
        Self
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        tell(NotifyState::Stopping);
    }
}

/// Tells the service manager, if one wants to know (`NOTIFY_SOCKET`).
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Keeps panics off stderr that the tracker turns into errors; those are told like any other.
pub fn silence_caught_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !x0x_tracker::catches_panics() {
            loud(panic);
        }
    }));
}
