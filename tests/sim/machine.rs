//! The machines that nodes run on: how long each has been running, what stands still while it does nothing,
//! and what a node remembers on its disk of when it heard others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use x0x_tracker::claim::Uptime;
use x0x_tracker::id::AgentId;

use crate::node::Node;
use crate::world::{MILLISECOND, Time};

/// What is remembered as longer ago than this, or as in the future, counts as of the day before, as in
/// `src/node/peers_file.rs`.
const ODD_AFTER: Duration = Duration::from_secs(365 * 86_400);
const UNKNOWN: Duration = Duration::from_secs(86_400);

/// Which clocks stand still while a node does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// None: the process was stopped.
    Stopped,
    /// The monotonic one, as in a laptop that sleeps.
    Asleep,
    /// That of the machine too, as in a virtual machine that was suspended: nothing tells it so.
    Suspended,
}

/// What a machine knows of its own start.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub boot: u8,
    /// When its clock showed zero, by the world's time.
    pub zero: Time,
}

impl Machine {
    pub fn uptime(self, now: Time) -> Uptime {
        Uptime { boot: [self.boot; 16], ms: now.saturating_sub(self.zero) / MILLISECOND }
    }
}

impl Node {
    /// Returns what it remembers of others, as `src/node` tells its hub.
    pub fn remembered(&self, now_ms: i64) -> Vec<(AgentId, Vec<SocketAddr>, Option<Duration>)> {
        let agents: BTreeSet<&AgentId> = self.known.keys().chain(self.heard.keys()).collect();
        let ago = |at_ms: &i64| {
            let ago_ms = u64::try_from(now_ms - at_ms).ok().map(Duration::from_millis);
            ago_ms.filter(|ago| *ago < ODD_AFTER).unwrap_or(UNKNOWN)
        };
        let of = |agent: &AgentId| {
            let addresses = self.known.get(agent).cloned().unwrap_or_default();
            (*agent, addresses, self.heard.get(agent).map(ago))
        };
        agents.into_iter().map(of).collect()
    }
}
