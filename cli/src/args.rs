//! What was typed. What it means is found out by `resolve` and the commands.

pub mod backup;
pub mod fields;
pub mod filter;
pub mod history;
mod mistyped;
pub mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::error::Exit;
use crate::output::Output;
use crate::output::table::Look;
use backup::{BackupArgs, RestoreArgs};
use fields::{CreateArgs, EditArgs};
use filter::{FilterArgs, ShapeArgs};
use history::{ConflictsArgs, LogArgs, UndoArgs};
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
    /// Read and change the issues of a task list
    #[command(subcommand, arg_required_else_help = true)]
    #[command(after_help = "Examples:
  x0x issues list --state todo,in_progress --label p2p
  x0x issues create 'Mend the pump' --priority 1 --labels pump
  x0x issues show X0X-0042")]
    Issues(IssuesCommand),
}

/// A command on issues. An ID is an id, an identifier, or a unique prefix of either.
#[derive(Debug, Subcommand)]
pub enum IssuesCommand {
    /// List issues, oldest first
    #[command(after_help = "Examples:
  x0x issues list --state todo --priority 1,2
  x0x issues list --json --brief --limit 50
  x0x issues list --jsonl --fields identifier,title,_version")]
    List(ListArgs),
    /// Print what an agent must know to work this list, in less than 1,500 tokens
    #[command(after_help = "Example:\n  x0x issues prime >> AGENTS.md")]
    Prime,
    /// List what can be worked on now, most urgent first
    #[command(after_help = "Examples:
  x0x issues ready --limit 5
  x0x issues ready --explain      why the others are not ready")]
    Ready(ReadyArgs),
    /// Show the first ready issue; prints nothing and exits 3 when there is none
    #[command(
        after_help = "With --json, \"error\" is \"nothing_ready\" on stderr when there is none.

Example:
  x0x issues next --json --brief"
    )]
    Next(NextArgs),
    /// Show everything about an issue
    #[command(after_help = "Examples:
  x0x issues show X0X-0042 --json
  x0x issues show X0X-0042 --at 2026-05-01              as it was at the end of that day, in UTC
  x0x issues show X0X-0042 --at 2026-05-01T20:35:00Z
  x0x issues show X0X-0042 --at 3f09c2a1                as the author of that commit had it then

A time goes by the clocks of those who made the changes, in whole seconds, and counts a change only
with all that it builds on.")]
    Show(ShowArgs),
    /// Create an issue
    #[command(after_help = "Examples:
  x0x issues create 'Mend the pump' --priority 2 --labels pump,p2p
  x0x issues create --title 'Mend the pump' --description @notes.md --acceptance 'cargo test passes'
  id=$(x0x issues create 'Mend the pump' --silent)")]
    Create(Box<CreateArgs>),
    /// Change fields of an issue
    #[command(after_help = "Examples:
  x0x issues edit X0X-0042 --priority 1 --add-label urgent
  x0x issues edit X0X-0042 --assignee none --if-version 0123456789abcdef
  x0x issues edit X0X-0042 --remove-link docs/design.md
  x0x issues edit X0X-0042 --deleted-at now     remove it; --deleted-at none brings it back")]
    Edit(Box<EditArgs>),
    /// Add a comment
    #[command(after_help = "Examples:
  x0x issues comment X0X-0042 'Reproduced on a 2-core machine'
  cargo test 2>&1 | x0x issues comment X0X-0042 -")]
    Comment(CommentArgs),
    /// Mark issues as done
    #[command(
        after_help = "With --json, one ID answers the issue, several answer {\"issues\": [...]}.

Example:
  x0x issues done X0X-0042 X0X-0043"
    )]
    Done(IdsArgs),
    /// Mark issues as given up
    #[command(
        after_help = "With --json, one ID answers the issue, several answer {\"issues\": [...]}.

Example:
  x0x issues cancel X0X-0042"
    )]
    Cancel(IdsArgs),
    /// Mark an issue as the same work as another
    #[command(after_help = "Example:\n  x0x issues duplicate X0X-0042 --of X0X-0007")]
    Duplicate(DuplicateArgs),
    /// Open ended issues again
    #[command(
        after_help = "With --json, one ID answers the issue, several answer {\"issues\": [...]}.

Example:
  x0x issues reopen X0X-0042"
    )]
    Reopen(IdsArgs),
    /// Let an issue wait for others
    #[command(after_help = "Examples:
  x0x issues block X0X-0042 --on X0X-0007
  x0x issues block X0X-0042 X0X-0007 X0X-0008
  printf 'X0X-0042 X0X-0007\\nX0X-0043 X0X-0007 X0X-0008\\n' | x0x issues block -

From stdin all edges are made, or none; text after # counts for nothing.")]
    Block(BlockArgs),
    /// Let an issue no longer wait for others
    #[command(after_help = "Examples:
  x0x issues unblock X0X-0042 X0X-0007
  x0x issues unblock X0X-0042 --all")]
    Unblock(UnblockArgs),
    /// Take in what a JSONL file changed
    #[command(after_help = "Examples:
  x0x issues import                the file that .x0x.toml names
  x0x issues import --dry-run -v   what would be taken in
  x0x issues import other.jsonl --keep-going")]
    Import(ImportArgs),
    /// Write the JSONL file, changing only the lines of issues that changed
    #[command(after_help = "Examples:
  x0x issues export                the file that .x0x.toml names
  x0x issues export --out -        the same bytes on stdout
  x0x issues export --canonical --out issues.canonical.jsonl")]
    Export(ExportArgs),
    /// Check a JSONL file and name every bad line
    #[command(after_help = "With --json: {\"records\": how many are good, \"problems\": [...]}.

Example:
  x0x issues validate issues/issues.jsonl")]
    Validate(ValidateArgs),
    /// Merge two versions of the JSONL file by records and fields: a merge driver for git
    #[command(override_usage = "x0x issues merge [OPTIONS] <BASE> <OURS> <THEIRS>
       x0x issues merge [OPTIONS] --resolve <FILE> [--dry-run]")]
    #[command(after_help = "As git's merge driver for the file:
  git config merge.x0x.driver 'x0x issues merge %O %A %B'
  echo 'issues/issues.jsonl merge=x0x' >> .gitattributes
`x0x init --merge-driver` does both.

--resolve mends what a merge without the driver, or with merge=union, left in one file: conflict
markers (also of the styles diff3 and zdiff3, whose base it uses), and one id on several lines.
Before it changes the file it keeps a copy beside it.

Examples:
  x0x issues merge base.jsonl ours.jsonl theirs.jsonl
  x0x issues merge --resolve issues/issues.jsonl
  x0x issues merge --resolve issues/issues.jsonl --dry-run --json")]
    Merge(MergeArgs),
    /// Tell who changed what in an issue and when, newest first
    #[command(
        after_help = "The time is the author's clock, in whole seconds. What a field was before is what its author
knew. [lost] marks a value that was written at the same time as another one, which won. With --json:
{\"id\", \"identifier\", \"entries\": [{\"at\", \"agent\", \"log\", \"commit\", \"number\", \"change\", \"created\",
\"fields\": [...]}], \"more\"}; a field has \"from\" and \"to\", missing where it was absent, or \"added\",
\"removed\" and \"moved\" elements.

Examples:
  x0x issues log X0X-0042
  x0x issues log X0X-0042 --field state --limit 5 --json"
    )]
    Log(LogArgs),
    /// Take back the newest change of an issue, or all that a commit did
    #[command(
        after_help = "An undo is an edit like any other: nothing is erased, and it can be undone. So the same `undo ID`
twice does the change again. What was written again since is left and named; where nothing else is
to do, the exit code is 4. Taking back the creation of an issue removes it; taking back the removal
brings it back. With --json an ID answers the issue with \"_restored\" and \"_left\", a COMMIT answers
{\"commit\", \"number\", \"dry_run\", \"issues\": [...]}.

Examples:
  x0x issues undo X0X-0042
  x0x issues undo 3f09c2a1 --dry-run       everything that commit did, in every issue"
    )]
    Undo(UndoArgs),
    /// List fields that hold several values, or settle one
    #[command(
        after_help = "With --json: {\"issues\": [...]}, with an ID one of them; a settled field answers the issue.

Examples:
  x0x issues conflicts
  x0x issues conflicts X0X-0042 --resolve title --keep       the value that is shown
  x0x issues conflicts X0X-0042 --resolve title --take 1     the other value with that number
  x0x issues conflicts X0X-0042 --resolve title --value '\"Mend the pump\"'"
    )]
    Conflicts(ConflictsArgs),
    /// Import, then export the JSONL file; with --commit, commit that file alone
    #[command(
        after_help = "Without --commit git's index, HEAD and hooks are left alone. With it, what else is staged stays
staged and is no part of the commit.

Examples:
  x0x issues sync
  x0x issues sync --commit --message 'issues: the pump is mended'"
    )]
    Sync(SyncArgs),
    /// Count issues by state and priority
    #[command(after_help = "Example:\n  x0x issues stats --json")]
    Stats,
}

/// Arguments of `x0x init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  x0x init
  x0x init --name pump --prefix PUMP --jsonl tracker/issues.jsonl
  x0x init --merge-driver          also in every clone: git's configuration is not cloned")]
pub struct InitArgs {
    /// What people call the list [default: the directory's name]
    #[arg(long)]
    pub name: Option<String>,
    /// What new ids start with [default: as in the JSONL file, else from the name]
    #[arg(long, value_parser = values::prefix)]
    pub prefix: Option<String>,
    /// The JSONL file, which may be there or not [default: issues/issues.jsonl at the root]
    #[arg(long, value_name = "PATH")]
    pub jsonl: Option<PathBuf>,
    /// Have git merge the file by records: a line in .gitattributes, and the driver in this
    /// repository's git configuration
    #[arg(long)]
    pub merge_driver: bool,
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
pub struct NextArgs {
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

/// Arguments of commands on several issues.
#[derive(Debug, Args)]
pub struct IdsArgs {
    /// Which issues
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// Arguments of `duplicate`.
#[derive(Debug, Args)]
pub struct DuplicateArgs {
    /// Which issue
    pub id: String,
    /// The issue that stays
    #[arg(long, value_name = "OTHER")]
    pub of: Option<String>,
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
