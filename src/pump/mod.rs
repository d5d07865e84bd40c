//! The receive pump: bounded queues between the sockets and the state machines, and what is sent.

mod view;

pub use view::{
    BOUNDS_US, LaneView, LanesView, PumpView, Rates, RepairsView, Spread, SubscriberView,
    TopicView, WorkersView,
};
