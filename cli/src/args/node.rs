//! Arguments of the commands around a node.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use x0x_tracker::journal::charter::Role;

use super::values;

/// Where a node listens.
#[derive(Clone, Debug, Default, Args)]
pub struct ListenArgs {
    /// Where to listen for other nodes, UDP; port 0 is any [default: the port used before, else
    /// 12700, else any, on every address]
    #[arg(long, value_name = "HOST:PORT", env = "X0X_LISTEN", hide_env_values = true)]
    pub listen: Option<SocketAddr>,
    /// Where to answer programs of this machine, TCP; port 0 is any [default: 127.0.0.1:12700, else
    /// any port]
    #[arg(long, value_name = "HOST:PORT", env = "X0X_API", hide_env_values = true)]
    pub api: Option<SocketAddr>,
    /// Answer programs at an address that other machines reach, if `--api` names one; what travels is
    /// not encrypted
    #[arg(long)]
    pub allow_remote: bool,
    /// Where other nodes can call this one, if that is not where it listens; several are allowed
    #[arg(long, value_name = "HOST:PORT", env = "X0X_ADVERTISE", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub advertise: Vec<SocketAddr>,
}

/// Arguments of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// What `x0x invite` printed
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
