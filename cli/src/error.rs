//! What ends a command early, told to people or to programs, and the exit codes.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use x0x::config::ConfigError;
use x0x::home::HomeError;
use x0x::node::NodeError;
use x0x::rest::client::ClientError;
use x0x_tracker::interface::TrackerError;
use x0x_tracker::interface::error::{Fault, hint_of};
use x0x_tracker::interface::object::causes;
use x0x_tracker::jsonl::read::Problem;

use crate::output::Output;
use crate::output::plain::{one_line, paragraph};

/// How many bad lines are told to people, unless they ask for all.
pub const PROBLEMS_SHOWN: usize = 10;

/// What the program answers its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed on this machine.
    Failed = 1,
    /// Called wrongly.
    Usage = 2,
    /// The named thing is not there.
    NotFound = 3,
    /// Somebody else was first.
    Conflict = 4,
    /// Not allowed.
    NotAllowed = 5,
    /// No node answers.
    Unreachable = 6,
    /// The data are not what they should be.
    Invalid = 7,
}

impl Exit {
    /// Returns the exit of this code, where there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        let all = [
            Self::Done,
            Self::Failed,
            Self::Usage,
            Self::NotFound,
            Self::Conflict,
            Self::NotAllowed,
            Self::Unreachable,
            Self::Invalid,
        ];
        all.into_iter().find(|exit| *exit as i32 == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The task list refused.
    #[error(transparent)]
    Tracker(Box<TrackerError>),
    /// The data directory refused.
    #[error(transparent)]
    Home(Box<HomeError>),
    /// A node that runs here refused, or none does.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A node could not run.
    #[error(transparent)]
    Node(Box<NodeError>),
    /// What a node is told cannot be used.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// A node runs here already.
    #[error("a node runs here already (process {pid})")]
    Runs {
        /// Its process.
        pid: u64,
    },
    /// The node that has the data directory says nothing, not even that it is there.
    #[error("the node here (process {pid}) does not answer")]
    Silent {
        /// Its process.
        pid: u32,
    },
    /// A node that was started in the background does not answer yet.
    #[error("the node (process {pid}) does not answer yet")]
    Slow {
        /// Its process.
        pid: u32,
        /// What it says.
        log: PathBuf,
    },
    /// A node that was started in the background ended at once, without an error of its own.
    #[error("the node ended at once ({how}); it said last: {said}")]
    NotStarted {
        /// How.
        how: String,
        /// What it said last.
        said: String,
        /// What it said.
        log: PathBuf,
    },
    /// A list was not joined.
    #[error("{detail}")]
    NotJoined {
        /// Why.
        detail: String,
        /// What to do.
        hint: String,
        /// Whether it is a matter of time.
        is_late: bool,
    },
    /// The command line makes no sense.
    #[error("{detail}")]
    Usage {
        /// What is wrong.
        detail: String,
        /// What to type.
        hint: String,
    },
    /// Something that the command needs is not there.
    #[error("{detail}")]
    Missing {
        /// What.
        detail: String,
        /// What to do.
        hint: String,
    },
    /// A file or a graph of issues is not what it should be.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
        /// What to do.
        hint: String,
    },
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// git refused, or is in the middle of something that has to end first.
    #[error("{detail}")]
    Git {
        /// What is wrong, with git's own words where it has some.
        detail: String,
        /// What to do.
        hint: String,
        /// How git stands.
        fault: GitFault,
    },
    /// One of several issues failed; those before it are done.
    #[error("{source} (done before it: {})", done.join(", "))]
    Partly {
        /// Names of the issues that are done.
        done: Vec<String>,
        /// What stopped the rest.
        source: Box<CliError>,
    },
    /// A line of stdin is wrong; nothing was done.
    #[error("stdin, line {number}: {source}")]
    InLine {
        /// Which line, from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<CliError>,
    },
    /// A name that only one process may have is another's.
    #[error("{detail}")]
    Taken {
        /// Whose.
        detail: String,
        /// What to do.
        hint: String,
    },
    /// An error of which more is known than its source can say.
    #[error("{source}")]
    Hinted {
        /// What to do, in the place of what the source says.
        hint: String,
        /// What is wrong.
        source: Box<CliError>,
    },
    /// Whoever read our output went away; that is no failure.
    #[error("the reader of the output went away")]
    Closed,
}

/// Why git does not do what it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitFault {
    /// It tried and failed.
    Failed,
    /// A merge, a rebase or the like is not finished.
    UnderWay,
    /// Another git process holds the index, for the moment.
    Locked,
    /// It is configured to do something else.
    Taken,
}

impl From<TrackerError> for CliError {
    fn from(error: TrackerError) -> Self {
        Self::Tracker(Box::new(error))
    }
}

impl From<HomeError> for CliError {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::Tracker(error) => error.into(),
            error => Self::Home(Box::new(error)),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Home(error) => error.into(),
            error => Self::Node(Box::new(error)),
        }
    }
}

impl CliError {
    /// Returns the error of a command line that makes no sense.
    pub fn usage(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { detail: detail.into(), hint: hint.into() }
    }

    /// Returns what to say when writing to stdout failed.
    pub fn stdout(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io { what: "cannot write the output".to_owned(), source },
        }
    }

    /// Returns what to say when a file could not be read or written; `what` as in "cannot read".
    pub fn file(what: &str, path: &Path, source: io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing {
                detail: format!("{what}: it is not there"),
                hint: "check the path; it is taken from the current directory".to_owned(),
            },
            _ => Self::Io { what, source },
        }
    }

    /// Tells the error on stderr; returns the exit code that goes with it.
    pub fn report(&self, output: &Output) -> Exit {
        if !matches!(self, Self::Closed) {
            let told = if output.json { self.json().to_string() } else { self.text(output) };
            output.tell(&told);
        }
        self.exit()
    }

    fn text(&self, output: &Output) -> String {
        let mut text = format!("error: {}", paragraph(&self.to_string()));
        let problems = self.bad_lines();
        let shown = if output.verbose { problems.len() } else { PROBLEMS_SHOWN };
        for (file, problem) in problems.iter().take(shown) {
            text.push_str(&format!("\n  {}", problem_text(file, problem)));
        }
        if problems.len() > shown {
            text.push_str(&format!("\n  and {} more (-v shows all)", problems.len() - shown));
        }
        for cause in self.causes() {
            text.push_str(&format!("\n  because: {}", one_line(&cause)));
        }
        let hint = self.hint();
        if !hint.is_empty() {
            text.push_str(&format!("\nhint: {}", paragraph(&hint)));
        }
        text
    }

    fn json(&self) -> Value {
        let causes = self.causes();
        let detail = std::iter::once(self.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
        let mut error = json!({
            "error": self.code(),
            "detail": detail,
            "hint": self.hint(),
            "retryable": self.is_retryable(),
        });
        if let Self::Partly { done, .. } = self {
            error["done"] = json!(done);
        }
        if let Self::Config(config) = self {
            error["faults"] = config.details();
        }
        if let (Self::Client(ClientError::Refused(body)), Some(error)) =
            (self, error.as_object_mut())
        {
            error.extend(body.details.clone());
        }
        if let (Some(tracker), Some(error)) = (self.tracker(), error.as_object_mut()) {
            error.extend(tracker.details());
        }
        error
    }

    /// Returns what lies behind the error, without what its own text says already.
    fn causes(&self) -> Vec<String> {
        let first = match self {
            Self::Partly { source, .. }
            | Self::InLine { source, .. }
            | Self::Hinted { source, .. } => source.source(),
            error => error.source(),
        };
        causes(&self.to_string(), first)
    }

    /// Returns what the task list said, where it said it.
    pub fn tracker(&self) -> Option<&TrackerError> {
        match self {
            Self::Tracker(error) => Some(error),
            Self::Partly { source, .. }
            | Self::InLine { source, .. }
            | Self::Hinted { source, .. } => source.tracker(),
            _ => None,
        }
    }

    fn bad_lines(&self) -> Vec<(&str, &Problem)> {
        match self.tracker() {
            Some(TrackerError::BadLines { file, problems }) => {
                problems.iter().map(|problem| (file.as_str(), problem)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Tracker(error) => error.code(),
            Self::Home(error) => error.code(),
            Self::Client(ClientError::Refused(body)) => &body.error,
            Self::Client(_) | Self::Silent { .. } => "node_unreachable",
            Self::Node(error) => error.code(),
            Self::Config(error) => error.code(),
            Self::Runs { .. } => "node_runs",
            Self::Slow { .. } => "node_slow",
            Self::NotStarted { .. } => "node_not_started",
            Self::NotJoined { is_late: true, .. } => "not_joined_yet",
            Self::NotJoined { .. } => "ticket_refused",
            Self::Usage { .. } => "usage",
            Self::Missing { .. } => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::Io { .. } => "io",
            Self::Taken { .. } => "worker_taken",
            Self::Git { fault: GitFault::Failed, .. } => "git",
            Self::Git { fault: GitFault::UnderWay | GitFault::Locked, .. } => "git_busy",
            Self::Git { fault: GitFault::Taken, .. } => "git_conflict",
            Self::Partly { source, .. }
            | Self::InLine { source, .. }
            | Self::Hinted { source, .. } => source.code(),
            Self::Closed => "closed",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Tracker(error) => error.hint(),
            Self::Home(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Node(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Runs { .. } => "`x0x status` shows it, `x0x stop` ends it".to_owned(),
            Self::Silent { pid } => format!(
                "it was stopped by a signal or a debugger: `kill -CONT {pid}` lets it go on"
            ),
            Self::Slow { log, .. } => format!(
                "it goes on: `x0x status` tells once it answers; what it says is in {}",
                log.display()
            ),
            Self::NotStarted { log, .. } => format!("look at {}", log.display()),
            Self::Usage { hint, .. }
            | Self::NotJoined { hint, .. }
            | Self::Missing { hint, .. }
            | Self::Invalid { hint, .. }
            | Self::Git { hint, .. }
            | Self::Taken { hint, .. }
            | Self::Hinted { hint, .. } => hint.clone(),
            Self::Io { source, .. } => hint_of(source).to_owned(),
            Self::Partly { source, .. } | Self::InLine { source, .. } => source.hint(),
            Self::Closed => String::new(),
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::Tracker(error) => error.is_retryable(),
            Self::Home(error) => error.is_retryable(),
            Self::Client(error) => error.is_retryable(),
            Self::NotJoined { is_late, .. } => *is_late,
            Self::Slow { .. } | Self::Silent { .. } => true,
            Self::Git { fault, .. } => *fault == GitFault::Locked,
            Self::Partly { source, .. }
            | Self::InLine { source, .. }
            | Self::Hinted { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Tracker(error) => exit_of(error.fault()),
            Self::Home(error) => exit_of(error.fault()),
            Self::Client(ClientError::Refused(refusal)) => exit_of_refusal(&refusal.error),
            Self::Client(_) | Self::NotJoined { is_late: true, .. } => Exit::Unreachable,
            Self::NotJoined { .. } => Exit::NotAllowed,
            Self::Node(_) | Self::NotStarted { .. } => Exit::Failed,
            Self::Config(error) => match &**error {
                ConfigError::Unreadable { source, .. } => match source.kind() {
                    io::ErrorKind::NotFound => Exit::NotFound,
                    _ => Exit::Failed,
                },
                _ => Exit::Invalid,
            },
            Self::Runs { .. } => Exit::Conflict,
            Self::Slow { .. } | Self::Silent { .. } => Exit::Unreachable,
            Self::Usage { .. } => Exit::Usage,
            Self::Missing { .. } => Exit::NotFound,
            Self::Invalid { .. } => Exit::Invalid,
            Self::Io { .. } | Self::Git { fault: GitFault::Failed, .. } => Exit::Failed,
            Self::Git { .. } | Self::Taken { .. } => Exit::Conflict,
            Self::Partly { source, .. }
            | Self::InLine { source, .. }
            | Self::Hinted { source, .. } => source.exit(),
            Self::Closed => Exit::Done,
        }
    }
}

/// Returns a bad line as people read it and editors jump to it.
pub fn problem_text(file: &str, problem: &Problem) -> String {
    let Problem { line, column, reason, .. } = problem;
    format!("{}:{line}:{column}: {}", one_line(file), one_line(reason))
}

/// Returns the exit code for what a node refused.
fn exit_of_refusal(code: &str) -> Exit {
    match code {
        "ticket_refused" | "not_allowed" => Exit::NotAllowed,
        "stopping" => Exit::Unreachable,
        "unknown_list" | "no_list" | "recipient_unknown" | "not_found" => Exit::NotFound,
        "message_id_taken" => Exit::Conflict,
        "bad_ticket" | "bad_filter" | "invalid" | "payload_too_large" => Exit::Invalid,
        _ => Exit::Failed,
    }
}

fn exit_of(fault: Fault) -> Exit {
    match fault {
        Fault::NotFound => Exit::NotFound,
        Fault::Conflict => Exit::Conflict,
        Fault::Invalid => Exit::Invalid,
        Fault::NotAllowed => Exit::NotAllowed,
        Fault::Unavailable | Fault::Internal => Exit::Failed,
        Fault::Unreachable => Exit::Unreachable,
    }
}
