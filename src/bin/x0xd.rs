//! `x0xd`: a node for a service manager, in the foreground. The same as `x0x daemon`, without the rest of
//! `x0x`.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use x0x::config::{ConfigError, Settings};
use x0x::home::Home;
use x0x::node::NodeError;
use x0x::service::args::NodeArgs;
use x0x::service::{self, LEVEL};
use x0x_tracker::interface::error::{Fault, hint_of};
use x0x_tracker::interface::object::causes;

/// The system's allocator keeps hundreds of megabytes of holes after compacting documents.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long to wait for another program that has the data directory.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Runs a node, for a service manager: it keeps the lists of a data directory in step with those of others.
#[derive(Debug, Parser)]
#[command(name = "x0xd", version, max_term_width = 100)]
#[command(
    after_help = "It runs until SIGTERM, SIGINT or `x0x stop`. Where NOTIFY_SOCKET is set, it tells the service
manager when it is ready.

Examples:
  x0xd
  x0xd --check
  x0xd --data-dir /var/lib/x0x --config /etc/x0x.toml --log-format json

Exit codes: 0 done, 1 failed, 2 usage, 3 no such file, 7 invalid configuration."
)]
struct Typed {
    /// Where the agent's key and its task lists lie [default: $XDG_DATA_HOME/x0x or
    /// ~/.local/share/x0x]
    #[arg(long, value_name = "DIR", env = "X0X_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Show what would be used and where each value comes from; start nothing
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    service::silence_caught_panics();
    match run(&Typed::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(typed: &Typed) -> Result<(), Failure> {
    let home = Home::find(typed.data_dir.as_deref(), Path::new("")).ok_or(Failure::NoHome)?;
    let level = LEVEL.parse().unwrap_or_else(|error| unreachable!("a level of our own: {error}"));
    let file = typed.node.config().map(PathBuf::as_path);
    let settings = Settings::load(home.dir(), file, typed.node.given(), level)?;
    if typed.check {
        return writeln!(io::stdout(), "{}", settings.lines().join("\n")).map_err(Failure::Stdout);
    }
    Ok(service::run(home, &settings, LOCK_WAIT)?)
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no HOME to keep data in")]
    NoHome,
    #[error("cannot write the output")]
    Stdout(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Failure {
    /// Tells it as `x0x` does; returns the exit code that goes with it.
    fn tell(&self) -> ExitCode {
        let mut text = format!("error: {self}");
        for cause in causes(&self.to_string(), self.source()) {
            text.push_str(&format!("\n  because: {cause}"));
        }
        // Nobody is there to be told where this fails.
        let _ = writeln!(io::stderr(), "{text}\nhint: {}", self.hint());
        ExitCode::from(self.code())
    }

    fn hint(&self) -> String {
        match self {
            Self::NoHome => "say where with --data-dir DIR".to_owned(),
            Self::Stdout(source) => hint_of(source).to_owned(),
            Self::Config(error) => error.hint(),
            Self::Node(error) => error.hint(),
        }
    }

    fn code(&self) -> u8 {
        let fault = match self {
            Self::NoHome => return 2,
            Self::Config(ConfigError::Faults { .. }) => Fault::Invalid,
            Self::Config(ConfigError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Fault::NotFound
            }
            Self::Node(NodeError::Home(error)) => error.fault(),
            _ => Fault::Internal,
        };
        match fault {
            Fault::NotFound => 3,
            Fault::Conflict => 4,
            Fault::NotAllowed => 5,
            Fault::Unreachable => 6,
            Fault::Invalid => 7,
            _ => 1,
        }
    }
}
