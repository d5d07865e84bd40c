//! What a node is told at its start. Not: the file in which people write that down.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::home::Home;
use crate::logs::Log;
use crate::rest;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub home: Home,
    /// Where it listens for other nodes (UDP); `None` for port [`super::PORT`] or any free one, on every
    /// address of this machine.
    pub listen: Option<SocketAddr>,
    /// Where it answers programs (TCP); `None` for port [`super::PORT`] of loopback, or any free one.
    pub api: Option<SocketAddr>,
    /// Whether that may be an address that other machines reach. What travels is not encrypted, and
    /// whoever has the token may do what this agent may.
    pub allow_remote: bool,
    /// Where others can call it, where that is not where it listens: behind a router that passes on a
    /// port, for instance.
    pub advertise: Vec<SocketAddr>,
    /// How long to wait for another program that has the data directory.
    pub lock_wait: Duration,
    /// What programs may have of it.
    pub limits: rest::Limits,
    /// The log of the program, where it has one that may be changed through the node.
    pub log: Option<Arc<dyn Log>>,
}

impl Config {
    /// Returns that of a node that is for this machine alone: it listens on any free ports of loopback.
    pub fn on_loopback(home: Home) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            home,
            listen: Some(any),
            api: Some(any),
            allow_remote: false,
            advertise: Vec::new(),
            lock_wait: Duration::from_secs(10),
            limits: rest::Limits::default(),
            log: None,
        }
    }
}
