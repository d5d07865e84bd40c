//! The pumps: bounded queues between the sockets and those who decide, both ways; what is counted of them, and what
//! is done with more than they can take. State machines without IO.
//!
//! Control is never behind pubsub, and no peer is behind another. A frame that is dropped costs delay and never data:
//! a repair with its sender follows. What must not be dropped holds its sender back.

mod gauge;
mod policy;
mod pressure;
mod proofs;
mod queue;
mod recv;
mod repairs;
mod send;
mod turns;
mod view;

pub use policy::{BYTES_MAX, FRAMES_MAX, OnFull, Policy, Room};
pub use pressure::{Fill, Level, Report};
pub use proofs::{Keys, Proofs, Prover, Recorder};
pub use recv::{Arrived, Job, Offered, RecvPump, Taken};
pub use send::{Class, Put, SendPump, Slow};
pub use view::{
    BOUNDS_US, LaneView, LanesView, PumpView, Rates, RepairsView, Spread, SubscriberView,
    TopicView, WorkersView,
};

/// What is lost where a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that nothing brings again: it is dropped last.
    Firm,
    /// Something that a repair brings.
    Data,
    /// Something that others can do without for a while: it is left out first.
    Light,
}
