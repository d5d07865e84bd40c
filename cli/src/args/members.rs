//! Arguments of the commands on who belongs to a list.

use clap::Args;

use super::node::RoleArg;

/// Arguments of `grant`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The agent's id, or at least its first eight digits, as `x0x members` shows it
    pub agent: String,
    /// What it may do from now on: a reader sees, a worker edits and works, a maintainer also rules and
    /// invites
    #[arg(long, value_enum)]
    pub role: RoleArg,
}

/// Arguments of `revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The agent's id, or at least its first eight digits, as `x0x members` shows it
    pub agent: String,
    /// Why, for those who look later; `-` reads stdin, `@FILE` a file
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}
