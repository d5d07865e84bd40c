//! What is typed for `x0x issues run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::filter::FilterArgs;
use super::values;

/// What to do in isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnIsolation {
    /// Go on: what others do meanwhile is found when they are heard again.
    Continue,
    /// End the command.
    Stop,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which issue [default: the first that is ready]
    #[arg(conflicts_with_all = ["next", "repeat", "FilterArgs"])]
    pub id: Option<String>,
    /// The first issue that is ready, which is the default
    #[arg(long)]
    pub next: bool,
    /// Go on with the next issue, until SIGINT or SIGTERM; --limit ends it after so many issues
    #[arg(long = "loop")]
    pub repeat: bool,
    /// How many issues at a time
    #[arg(long, value_name = "N", default_value_t = 1, requires = "repeat")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub max_parallel: u16,
    /// End the loop once nothing is ready and nothing of its own rests after a failure
    #[arg(long, requires = "repeat")]
    pub until_idle: bool,
    /// How long to wait where nothing is ready
    #[arg(long, value_name = "SECONDS", default_value = "5", requires = "repeat")]
    #[arg(value_parser = values::seconds)]
    pub poll: Duration,
    /// How long a claim lives without a beat; beats leave every quarter of it, and every 10 s at least [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = values::period)]
    pub ttl: Option<Duration>,
    /// Which worker of this agent the runner is [default: the first free of run-1, run-2, ...]
    #[arg(long, value_name = "NAME", env = "X0X_WORKER", hide_env_values = true)]
    pub worker: Option<String>,
    /// How long the command may take [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = values::period)]
    pub timeout: Option<Duration>,
    /// What to do once this machine has heard no other member, or its node was gone, for as long as the claim
    /// lives without a beat, so that others may take it over: go on, or end the command and give the issue back
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnIsolation::Continue)]
    pub on_isolation: OnIsolation,
    /// How long the command has between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::period)]
    pub grace: Duration,
    /// How long an issue is left alone after a failure; doubled with each further one
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::period)]
    pub backoff: Duration,
    /// The longest that it is left alone
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::period)]
    pub backoff_max: Duration,
    /// After so many failures in a row, leave the issue alone for a day
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
    /// Where output and manifests are kept [default: proofs at the repository's root]
    #[arg(long, value_name = "DIR")]
    pub proofs: Option<PathBuf>,
    /// For how many days proofs are kept that no handoff names
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub keep_proofs: u32,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
