//! What tests between real endpoints share: a network on loopback whose delay, loss and cuts they set.
//! It carries UDP datagrams and understands none of them.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

mod lane;
mod network;
mod relay;

pub use lane::{Conditions, Counters};
pub use network::{Direction, Network, Path};
