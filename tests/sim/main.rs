//! Many nodes in one thread, in virtual time: the hub that decides in each, over real stores on disks of
//! memory, in a network that a seed makes. It does the job of the driver in `src/node`, without sockets
//! and waiting; what the driver itself does is tested elsewhere.
//!
//! `X0X_SIM_SEED=n cargo test -p x0x --test sim random -- --nocapture` repeats one run of those with
//! random faults, and `X0X_SIM_SEEDS=n` makes so many; `just sim n` does the latter.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod check;
mod claims;
mod driver;
mod faults;
mod hostile;
mod ledger;
mod links;
mod machine;
mod node;
mod pump;
mod random;
mod scenarios;
mod store;
mod takeovers;
mod work;
mod world;
