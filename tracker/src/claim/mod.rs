//! Who may work on an issue: records, the tree that they form, and what follows from it.
//!
//! Everything here is a function of records, ages and roles. No clock, no entropy, no storage: how
//! long a lease was silent comes in as a number that each node observed for itself.

pub mod around;
pub mod beat;
pub mod lease;
pub mod link;
pub mod record;
pub mod rivals;
pub mod rules;
pub mod slate;
pub mod tree;

pub use around::Around;
pub use lease::{Sighting, Uptime};
pub use record::{Act, Claim, End, How, Origin, Record, Reopen, Ruling, Shard, Verdict};
pub use rules::{Refusal, Sight};
pub use tree::{Phase, Tree};
