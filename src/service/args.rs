//! What is typed to run a node, alike for `x0x up`, `x0x daemon` and `x0xd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Given, Setting, Source};
use crate::logs::{Filter, Format};

/// Where a node listens.
#[derive(Clone, Debug, Default)]
pub struct ListenArgs {
    typed: TypedListen,
    /// Which of them the environment said.
    from_environment: Vec<&'static str>,
}

#[derive(Clone, Debug, Default, Args)]
struct TypedListen {
    /// Where to listen for other nodes, UDP; port 0 is any [default: the port used before, else
    /// 12700, else any, on every address]
    #[arg(long, value_name = "HOST:PORT", env = "X0X_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// Where to answer programs of this machine, TCP; port 0 is any [default: 127.0.0.1:12700, else
    /// any port]
    #[arg(long, value_name = "HOST:PORT", env = "X0X_API", hide_env_values = true)]
    api: Option<SocketAddr>,
    /// Answer programs at an address that other machines reach, if `--api` names one; what travels is
    /// not encrypted
    #[arg(long)]
    allow_remote: bool,
    /// Where other nodes can call this one, if that is not where it listens; several are allowed
    #[arg(long, value_name = "HOST:PORT", env = "X0X_ADVERTISE", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    advertise: Vec<SocketAddr>,
    /// The configuration file; flags and environment win over it [default: config.toml in the data
    /// directory, if it is there]
    #[arg(long, value_name = "FILE", env = "X0X_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl ListenArgs {
    /// Returns the configuration file that was named.
    pub fn config(&self) -> Option<&PathBuf> {
        self.typed.config.as_ref()
    }

    /// Returns what was said, and by which flag or variable.
    pub fn given(&self) -> Given {
        let source = |id, flag, variable| match self.from_environment.contains(&id) {
            true => Source::Environment(variable),
            false => Source::Flag(flag),
        };
        let TypedListen { listen, api, allow_remote, advertise, .. } = &self.typed;
        let listen_source = source("listen", "--listen", "X0X_LISTEN");
        let api_source = source("api", "--api", "X0X_API");
        let advertise_source = source("advertise", "--advertise", "X0X_ADVERTISE");
        Given {
            listen: listen.map(|address| Setting::new(address, listen_source)),
            api: api.map(|address| Setting::new(address, api_source)),
            allow_remote: allow_remote
                .then_some(Setting::new(true, Source::Flag("--allow-remote"))),
            advertise: (!advertise.is_empty())
                .then(|| Setting::new(advertise.clone(), advertise_source)),
            ..Given::default()
        }
    }
}

impl Args for ListenArgs {
    fn augment_args(command: Command) -> Command {
        TypedListen::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        TypedListen::augment_args_for_update(command)
    }
}

impl FromArgMatches for ListenArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = TypedListen::from_arg_matches(matches)?;
        let is_environment = |id: &&str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        let from_environment =
            ["listen", "api", "advertise"].into_iter().filter(is_environment).collect();
        Ok(Self { typed, from_environment })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What is told of a node that runs.
#[derive(Clone, Debug, Default, Args)]
pub struct LogArgs {
    /// What to log on stderr: off, error, warn, info, debug or trace, and levels of single parts, as in
    /// info,x0x::node=debug; `x0x log-level` changes it later [default: warn of `up`, else info]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<Filter>,
    /// How to write the log
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,
}

/// What is typed to run a node.
#[derive(Clone, Debug, Default, Args)]
pub struct NodeArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl NodeArgs {
    /// Returns the configuration file that was named.
    pub fn config(&self) -> Option<&PathBuf> {
        self.listen.config()
    }

    /// Returns what was said, and by which flag or variable.
    pub fn given(&self) -> Given {
        let LogArgs { log_level, log_format } = self.log.clone();
        let level = log_level.map(|level| Setting::new(level, Source::Flag("--log-level")));
        let format = log_format.map(|format| Setting::new(format, Source::Flag("--log-format")));
        Given { level, format, ..self.listen.given() }
    }
}
