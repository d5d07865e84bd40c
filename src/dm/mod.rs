//! Direct messages between agents: what one is, in which order they go and come, when one is sent again, and
//! what is refused. State machines without IO, and the file in which messages wait. Not: sockets, which way
//! a frame takes over the mesh, or who belongs to a task list.
//!
//! Each message goes to one agent and enters its inbox once. The sender keeps it on disk until the receiver,
//! who has it on disk too, acknowledges it with a signature, or until its time is over.

mod counts;
mod error;
mod inbox;
mod message;
mod outbox;
mod post;
pub mod seal;
pub mod store;
pub mod wire;

pub use counts::{PEERS_COUNTED_MAX, Row};
pub use error::DmError;
pub use inbox::LOGS_MAX;
pub use message::{Carried, DmPath, DmReceipt, Draft, Envelope, Form};
pub use outbox::{ACK_WAIT, BACKOFF_FIRST, BACKOFF_MAX, LINK_WAIT, WINDOW};
pub use post::{Depth, Effect, Input, Order, Post, Progress, Start};

use std::time::Duration;

#[cfg(test)]
mod tests;

/// The most issues that one message carries.
pub const ISSUES_MAX: usize = 32;

/// The largest payload, in bytes; what names the issues that a message carries counts too.
pub const PAYLOAD_BYTES_MAX: usize = 48 << 10;

/// The longest id that a sender may give a message, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;

/// How many messages wait in the inbox at most, and how many to be delivered.
pub const MESSAGES_MAX: usize = 10_000;

/// How many ids of messages that were delivered are known, so that none of those is sent once more.
pub const IDS_MAX: usize = 2 * MESSAGES_MAX;

/// How many bytes of payload wait in the inbox at most, and how many to be delivered.
pub const BYTES_MAX: usize = 64 << 20;

/// For how long a message is tried to be delivered, unless its sender says otherwise.
pub const TTL_DEFAULT: Duration = Duration::from_secs(600);

/// The longest that a sender may say.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3_600);
