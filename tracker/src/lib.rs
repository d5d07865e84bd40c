//! What a task list is: issues as documents, signed logs of edits, the JSONL file, the store.
//!
//! No sockets, no runtime, no clock: time, randomness and signatures are values and capabilities
//! that the caller brings. Only `store` touches the disk; only `document` knows Automerge.

pub mod blocker;
pub mod claim;
pub mod conformance;
pub mod document;
pub mod id;
pub mod interface;
pub mod issue;
pub mod journal;
pub mod jsonl;
pub mod name;
pub mod state;
pub mod store;
pub mod tasklist;
pub mod testing;
pub mod timestamp;
pub use interface::{Tracker, TrackerError};
pub use store::catches_panics;
pub use tasklist::{Host, LocalTracker};
