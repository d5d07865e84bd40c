//! What was typed. What it means is found out by `resolve` and the commands.

pub mod backup;
pub mod claims;
pub mod diagnostics;
pub mod direct;
pub mod fields;
pub mod filter;
pub mod history;
pub mod init;
mod issues;
pub mod members;
mod mistyped;
pub mod node;
pub mod run;
pub mod values;
pub mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::error::Exit;
use crate::output::Output;
use crate::output::table::Look;
use backup::{BackupArgs, RestoreArgs};
use claims::{ReasonArgs, TermsArgs};
use diagnostics::DiagnosticsCommand;
use direct::DirectCommand;
use filter::{FilterArgs, ShapeArgs};
use init::InitArgs;
pub use issues::IssuesCommand;
use members::{GrantArgs, RevokeArgs};
use node::{DaemonArgs, InviteArgs, JoinArgs, LogLevelArgs, UpArgs};
use x0x_tracker::interface::Moment;

/// An issue tracker whose issues live in git and merge without a server.
#[derive(Debug, Parser)]
#[command(name = "x0x", version, propagate_version = true, arg_required_else_help = true)]
#[command(subcommand_required = true, max_term_width = 100)]
#[command(after_help = "Examples:
  x0x init                         bind this repository to a task list
  x0x issues import                read issues/issues.jsonl
  x0x issues ready                 what can be worked on now

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 not allowed,
6 node not reachable, 7 invalid data. Errors go to stderr; with --json as
{\"error\", \"detail\", \"hint\", \"retryable\"}.")]
pub struct Typed {
    /// What goes for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command, anywhere on the line.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where the agent's key and its task lists lie [default: $XDG_DATA_HOME/x0x or
    /// ~/.local/share/x0x]
    #[arg(long, global = true, value_name = "DIR", env = "X0X_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// Which task list: its name or id [default: the one in .x0x.toml, else the only one]
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub list: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but data, bad lines and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Do not shorten what is said on stderr and in summaries
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// How long a writing command waits for another one
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10")]
    #[arg(value_parser = values::seconds)]
    pub lock_timeout: Duration,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bind this repository to a task list: write .x0x.toml, to be committed
    Init(InitArgs),
    /// Show this agent's id and key file; the key is made on first use
    #[command(
        after_help = "With --json: {\"agent_id\", \"name\", \"addresses\"}. Without, the key file and the data
directory too.

Example:
  x0x agent --json"
    )]
    Agent,
    /// Run a node here, which keeps the lists of this data directory in step with those of others
    #[command(
        after_help = "It runs until Ctrl-C, SIGTERM or `x0x stop`. Every other command works beside it. With --json, each
event is one object a line: up, shared, gone, joined, breach, stopped, and with --export imported,
exported, paused, resumed.

With --export the file is left alone while git merges, rebases, picks, bisects or holds its lock, on any
other branch, and where git took it to an older state; it says so, and when it goes on.

Examples:
  x0x up
  x0x up --listen 0.0.0.0:12700
  x0x up --export
  x0x up --log-level info 2>node.log
  x0x up --data-dir ./second --listen 127.0.0.1:0 --api 127.0.0.1:0    another one on this machine"
    )]
    Up(UpArgs),
    /// Run a node here for a service manager, or in the background
    #[command(
        after_help = "The same node as of `up`, which says what happens in its log alone. It ends on SIGTERM or `x0x stop`;
where NOTIFY_SOCKET is set, it tells the service manager when it is ready. --detach prints process,
addresses and log file once the node answers; with --json: {\"pid\", \"version\", \"listen\", \"api\", \"log\"}. It
exits 4 where a node runs already. --check exits 7 naming every fault of the configuration.

Examples:
  x0x daemon --detach
  x0x daemon --check --config /etc/x0x.toml
  x0x daemon --log-level info,x0x::node=debug --log-format json"
    )]
    Daemon(DaemonArgs),
    /// Show or set what the node that runs here logs
    #[command(
        after_help = "A filter is a level (off, error, warn, info, debug, trace), and after commas levels of single parts.
It holds until the node ends. Exits 6 where none runs. With --json: {\"filter\"}.

Examples:
  x0x log-level
  x0x log-level debug
  x0x log-level info,x0x::node=debug"
    )]
    LogLevel(LogLevelArgs),
    /// Make a ticket by which one agent may join the list
    #[command(
        after_help = "The node that runs here redeems the ticket, once; it needs to be up when it is used. The ticket
alone is printed. With --json: {\"ticket\", \"role\", \"expires_at\"}.

Examples:
  x0x invite
  x0x invite --role maintainer --expires 1h"
    )]
    Invite(InviteArgs),
    /// Look whether all is as it should be here, and say what to do where it is not
    #[command(
        after_help = "Changes nothing; with --fix it says what could be put right without losing anything, with --fix
--yes it does that. Exits 1 where a line says FAIL. With --json: {\"checks\": [{\"name\", \"status\",
\"detail\", \"hint\", \"fix\"}], \"worst\"}, where a status is pass, warn or fail.

Examples:
  x0x doctor
  x0x doctor --deep               also every page and commit of each list
  x0x doctor --fix --yes"
    )]
    Doctor(DoctorArgs),
    /// Show who belongs to the list, and what each may do
    #[command(
        after_help = "With --json: {\"members\": [{\"agent_id\", \"role\", \"is_own\"}], \"revoked\": [{\"agent_id\", \"by\", \"at\",
\"reason\"}]}. -v shows whole ids.

Example:
  x0x members"
    )]
    Members,
    /// Show who works on the list: who is there, how busy it is, and what it holds
    #[command(
        after_help = "seen        whether the agent's node is there: online if heard in the last ten minutes, which is whom slates are
            drawn of and confirmations wait for; gone if its link ended since. A node knows, and nobody else
load        how busy its machine is: the load of a minute for each core
holds       issues that its workers hold, and how many of those claims are stale
takeovers   claims by which it took over stale ones of others
contests    takeovers of its own claims that it answered, since they never were stale
duplicates  claims that lost to another agent's, so that work was done or begun twice
abandons    claims that it gave up since they were lost

With --json: {\"workers\": [{\"agent_id\", \"role\", \"is_own\", \"online\", \"gone\", \"heard_ms\", \"load_pct\", \"holds\", \"stale\", \"claims\",
\"takeovers\", \"contests\", \"duplicates\", \"abandons\"}]}. -v shows whole ids, and each claim.

Example:
  x0x workers"
    )]
    Workers,
    /// Give an agent of the list another role, or the role back that was taken from it
    #[command(
        after_help = "Only a maintainer may. A role that becomes lower is revoked and granted anew.

Example:
  x0x grant 8b236717 --role maintainer"
    )]
    Grant(GrantArgs),
    /// Take every role from an agent: what it writes from now on counts nowhere
    #[command(
        after_help = "Only a maintainer may. What others had of it before stays, its claims are free to be taken over, and
links to it end. `x0x grant` gives a role back. Of two maintainers who revoke each other without
knowing it, the one who was granted the role nearer to the founder stays.

Example:
  x0x revoke 8b236717 --reason 'the laptop was stolen'"
    )]
    Revoke(RevokeArgs),
    /// Join a list by a ticket, and fetch it
    #[command(
        after_help = "Waits for the agent that issued the ticket, and says so. Afterwards `x0x up` keeps the list in
step; where a node runs here already, it does. With --json: {\"list\", \"name\", \"role\", \"issues\"}.

Example:
  x0x join x0xt..."
    )]
    Join(JoinArgs),
    /// Show the nodes that this one is linked with
    #[command(
        after_help = "With --json: {\"peers\": [{\"agent_id\", \"address\", \"outgoing\", \"rtt_ms\", \"version\", \"lists\"}]}.

Example:
  x0x peers"
    )]
    Peers,
    /// Send messages to other agents, and read those that came
    #[command(subcommand, arg_required_else_help = true)]
    #[command(after_help = "Example:\n  x0x direct send 8b236717 'X0X-0042 is yours'")]
    Direct(DirectCommand),
    /// Show what goes on inside the node that runs here
    #[command(subcommand, arg_required_else_help = true)]
    #[command(after_help = "Examples:\n  x0x diagnostics gossip\n  x0x diagnostics dm")]
    Diagnostics(DiagnosticsCommand),
    /// Show the node that runs here
    #[command(after_help = "Exits 6 where none runs.\n\nExample:\n  x0x status --json")]
    Status,
    /// Stop the node that runs here
    #[command(after_help = "Example:\n  x0x stop")]
    Stop,
    /// Copy the task list into one file, as it stands; the agent's key is not part of it
    #[command(after_help = "Example:\n  x0x backup ../issues-2026-05-01.x0x")]
    Backup(BackupArgs),
    /// Put the task list of a backup into the data directory
    #[command(
        after_help = "Nothing is lost: a list that is here already stays, or with --replace is kept under another
name. Edits go on in a new log.

Examples:
  x0x restore ../issues-2026-05-01.x0x
  x0x restore ../issues-2026-05-01.x0x --data-dir /tmp/look    look at it apart"
    )]
    Restore(RestoreArgs),
    /// Keep a damaged task list aside, so that it can be fetched from the others again
    #[command(
        after_help = "Checks every page and commit first; a list that is as it should be stays as it is. Nothing is
removed: the damaged file is kept beside the lists. Its edits that others have come back from them,
with a ticket of any maintainer; `x0x restore FILE` puts a backup in its place.

Example:
  x0x repair"
    )]
    Repair,
    /// Read and change the issues of a task list
    #[command(subcommand, arg_required_else_help = true)]
    #[command(after_help = "Examples:
  x0x issues list --state todo,in_progress --label p2p
  x0x issues create 'Mend the pump' --priority 1 --labels pump
  x0x issues show X0X-0042")]
    Issues(IssuesCommand),
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also check every page and every commit of each list, as `x0x issues validate --store` does
    #[arg(long)]
    pub deep: bool,
    /// Say what could be put right without losing anything
    #[arg(long)]
    pub fix: bool,
    /// Do what --fix says
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Continue where the page before ended (its `next_cursor`)
    #[arg(long)]
    pub cursor: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    pub jsonl: bool,
}

/// Arguments of `ready`.
#[derive(Debug, Args)]
pub struct ReadyArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Also why each other open issue is not ready
    #[arg(long)]
    pub explain: bool,
}

/// Arguments of `next`.
#[derive(Debug, Args)]
#[command(mut_arg("ttl", |arg| arg.requires("claim")))]
#[command(mut_arg("worker", |arg| arg.requires("claim")))]
#[command(mut_arg("resume", |arg| arg.requires("claim")))]
pub struct NextArgs {
    /// Claim it, so that nobody else works on it
    #[arg(long)]
    pub claim: bool,
    #[command(flatten)]
    pub terms: TermsArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which issue
    pub id: String,
    /// As it was at a time (RFC 3339), at the end of a date, or at a commit
    #[arg(long, value_name = "TIME|COMMIT", value_parser = values::moment)]
    pub at: Option<Moment>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// Arguments of `comment`.
#[derive(Debug, Args)]
pub struct CommentArgs {
    /// Which issue
    pub id: String,
    /// The text; @FILE reads a file, - reads stdin, @@ begins a literal @
    #[arg(required_unless_present = "body_option")]
    pub body: Option<String>,
    /// The text, as an option
    #[arg(long = "body", value_name = "BODY", conflicts_with = "body", allow_hyphen_values = true)]
    pub body_option: Option<String>,
    /// Who says it [default: this agent]
    #[arg(long)]
    pub author: Option<String>,
}

/// Arguments of `duplicate`.
#[derive(Debug, Args)]
pub struct DuplicateArgs {
    /// Which issue
    pub id: String,
    /// The issue that stays
    #[arg(long, value_name = "OTHER")]
    pub of: Option<String>,
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// Arguments of `block`.
#[derive(Debug, Args)]
pub struct BlockArgs {
    /// Which issue; - reads many from stdin, in each line an issue and those that it waits for
    #[arg(value_name = "ID|-")]
    pub id: String,
    /// The issues that must end first
    #[arg(value_name = "OTHER")]
    pub others: Vec<String>,
    /// The same, as an option
    #[arg(long, value_name = "OTHER", num_args = 1.., value_delimiter = ',')]
    pub on: Vec<String>,
}

/// Arguments of `unblock`.
#[derive(Debug, Args)]
pub struct UnblockArgs {
    /// Which issue
    pub id: String,
    /// The issues that it no longer waits for
    #[arg(value_name = "OTHER", required_unless_present = "all", conflicts_with = "all")]
    pub others: Vec<String>,
    /// It waits for nothing any more
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `import`.
#[derive(Debug, Default, Args)]
pub struct ImportArgs {
    /// The file [default: the one that .x0x.toml names]
    pub file: Option<PathBuf>,
    /// Change nothing; say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Take the good lines of a file that has bad ones
    #[arg(long)]
    pub keep_going: bool,
    /// Take the file's value also where it is older than the one here
    #[arg(long)]
    pub take_file: bool,
    /// Remove issues whose line disappeared from the file
    #[arg(long)]
    pub prune: bool,
}

/// Arguments of `export`.
#[derive(Debug, Default, Args)]
pub struct ExportArgs {
    /// Where to write; - is stdout [default: the file that .x0x.toml names]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Fixed key order, sorted by id: the same on every machine
    #[arg(long)]
    pub canonical: bool,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The file [default: the one that .x0x.toml names]
    pub file: Option<PathBuf>,
    /// Check the store instead: every page, every commit, and that all of it agrees
    #[arg(long, conflicts_with = "file")]
    pub store: bool,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The version that both come from
    #[arg(required_unless_present = "resolve")]
    pub base: Option<PathBuf>,
    /// Our version; the merge is written over it
    #[arg(required_unless_present = "resolve")]
    pub ours: Option<PathBuf>,
    /// Their version
    #[arg(required_unless_present = "resolve")]
    pub theirs: Option<PathBuf>,
    /// Merge what conflict markers and repeated ids in this file hold
    #[arg(long, value_name = "FILE", conflicts_with_all = ["base", "ours", "theirs"])]
    pub resolve: Option<PathBuf>,
    /// Change nothing; say what would change
    #[arg(long, requires = "resolve")]
    pub dry_run: bool,
}

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Commit the file to git, and nothing else
    #[arg(long)]
    pub commit: bool,
    /// What the commit says
    #[arg(long, short, value_name = "TEXT", requires = "commit", default_value = "issues: sync")]
    #[arg(value_parser = values::commit_message)]
    pub message: String,
}

/// Returns what was typed; otherwise help or an error was told already.
pub fn parse() -> Result<Typed, Exit> {
    Typed::try_parse().map_err(|error| {
        let asked_for = !error.use_stderr();
        let wants_json = std::env::args_os().any(|argument| argument == "--json");
        let output =
            Output { json: wants_json, quiet: true, verbose: false, look: Look::default() };
        if !asked_for {
            return mistyped::tell(error, &output);
        }
        // Nobody to read it is nobody to tell.
        let _ = error.print();
        Exit::Done
    })
}

/// Flags that may be given several times are appended to.
const APPEND: ArgAction = ArgAction::Append;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Typed::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Typed::command());
    }

    #[test]
    fn global_options_work_anywhere() {
        for line in ["x0x --json issues list --list a", "x0x issues --list a list --json"] {
            let typed = Typed::try_parse_from(line.split(' ')).unwrap();
            assert!(typed.global.json);
            assert_eq!(typed.global.list.as_deref(), Some("a"));
        }
    }
}
