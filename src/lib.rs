//! The x0x node: an agent's identity and data directory, around the task lists of `x0x_tracker`.
//!
//! What a task list is, and what may happen to it, is decided in the tracker.

pub mod access;
pub mod backup;
pub mod clerk;
pub mod config;
pub mod dm;
pub mod entropy;
pub mod home;
pub mod hub;
pub mod identity;
pub mod link;
pub mod logs;
pub mod mesh;
mod naming;
pub mod node;
pub mod pump;
pub mod rate;
pub mod replica;
pub mod rest;
pub mod service;
pub mod time;
pub mod wire;
