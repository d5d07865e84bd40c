//! Arguments of the commands around a node.

use std::time::Duration;

use clap::{Args, ValueEnum};
use x0x::service::args::{ListenArgs, NodeArgs};
use x0x_tracker::journal::charter::Role;

use super::values;

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Keep the JSONL file of this repository written, and read in what others change in it, while the
    /// branch is checked out that .x0x.toml names
    #[arg(long)]
    pub export: bool,
    /// Read a changed file in after a random time of at most this, so that several nodes do not all do so
    /// at once
    #[arg(long, value_name = "SECONDS", default_value = "20", requires = "export")]
    #[arg(value_parser = values::seconds)]
    pub import_within: Duration,
}

/// Arguments of `daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Start it in the background, and return once it answers; it writes to daemon.log in the data
    /// directory
    #[arg(long, conflicts_with = "check")]
    pub detach: bool,
    /// Show what would be used and where each value comes from; start nothing
    #[arg(long)]
    pub check: bool,
    /// Be the node that --detach starts
    #[arg(long, hide = true, conflicts_with_all = ["detach", "check"])]
    pub detached: bool,
}

/// Arguments of `log-level`.
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// What to log from now on: a level, and levels of single parts after commas [default: show the
    /// filter]
    pub filter: Option<String>,
}

/// Arguments of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// What `x0x invite` printed; - reads it from stdin and @FILE from a file, where no other user of this
    /// machine sees it among the arguments
    pub ticket: String,
    /// How long to wait for the agent that issued it [default: until it is there]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Arguments of `invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// What whoever uses the ticket may do: a reader sees, a worker edits and works, a maintainer also
    /// rules and invites
    #[arg(long, value_enum, default_value = "worker")]
    pub role: RoleArg,
    /// How long the ticket is good for
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = values::period)]
    pub expires: Duration,
}

/// A role, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArg {
    /// Sees the list
    Reader,
    /// Edits issues and works on them
    Worker,
    /// Rules on issues and invites others
    Maintainer,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Reader => Self::Reader,
            RoleArg::Worker => Self::Worker,
            RoleArg::Maintainer => Self::Maintainer,
        }
    }
}
