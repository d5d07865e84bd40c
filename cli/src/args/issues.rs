//! The commands on issues, with what their help says. Not: their arguments.

use clap::Subcommand;

use super::claims::{
    ClaimArgs, DoneArgs, HandoffArgs, HoldingArgs, ReleaseArgs, ReshardArgs, RuleArgs,
};
use super::fields::{CreateArgs, EditArgs};
use super::history::{ConflictsArgs, LogArgs, UndoArgs};
use super::run::RunArgs;
use super::watch::WatchArgs;
use super::{
    BlockArgs, CommentArgs, DuplicateArgs, ExportArgs, ImportArgs, ListArgs, MergeArgs, NextArgs,
    ReadyArgs, ShowArgs, SyncArgs, UnblockArgs, ValidateArgs,
};

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
        after_help = "With --json, \"error\" is \"nothing_ready\" on stderr when there is none. Of any number of workers
that claim at once, each gets another issue.

Examples:
  x0x issues next --json --brief
  x0x issues next --claim --worker w1 --ttl 30m --json"
    )]
    Next(NextArgs),
    /// Claim an issue, so that nobody else works on it; without an ID the first ready one
    #[command(
        after_help = "The claim lapses when its worker is not heard of for the time to live; `heartbeat` renews it, and
only a lapsed claim can be taken over. Who is refused exits 4 and is told who holds the issue. The
token under \"claim\" in the JSON, \"id\", names the claim in later commands; without one they mean the
worker's own. --resume answers the claim that the worker has, after a crash for instance.

Examples:
  x0x issues claim X0X-0042 --ttl 30m
  x0x issues claim --label p2p --worker w1 --resume --json"
    )]
    Claim(Box<ClaimArgs>),
    /// Say that work goes on: the claim lives for its whole time from now
    #[command(
        after_help = "A claim that lapsed while nobody took it over is renewed by a new one, with another token and
fence, and \"renewed\" is true. Exit 4 means that it is lost: stop working on the issue.

Examples:
  x0x issues heartbeat
  x0x issues heartbeat X0X-0042 --worker w1"
    )]
    Heartbeat(HoldingArgs),
    /// Give a claim up, so that others can take the issue
    #[command(after_help = "Examples:
  x0x issues release X0X-0042 --reason 'needs a machine with TUN'
  x0x issues release --retry-after 15m --reason 'the registry is down'
  x0x issues release X0X-0042 --force --reason 'its machine is gone'     a maintainer ends any claim")]
    Release(ReleaseArgs),
    /// Hand a claimed issue off for review, with what was done
    #[command(
        after_help = "A handoff is a JSON object {\"summary\", \"files_changed\": [PATH], \"validation\": [{\"command\",
\"status\", \"note\"}], \"follow_up\": [TEXT], \"proofs_dir\"}; the options add to what --file brings.

Examples:
  x0x issues handoff X0X-0042 --summary 'the valve opens' --files-changed src/valve.rs \\
    --validation 'cargo test=passed' --follow-up 'the gauge is off by one'
  x0x issues handoff --file handoff.json
  write-report | x0x issues handoff X0X-0042 --file -"
    )]
    Handoff(Box<HandoffArgs>),
    /// Draw anew which agents are preferred for an issue; for maintainers
    #[command(
        after_help = "It counts for claims that are made from now on; one that is there stays.

Example:
  x0x issues reshard X0X-0042 --reason 'two of its agents are gone' --ttl 2h"
    )]
    Reshard(ReshardArgs),
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
    /// Mark issues as done; for maintainers
    #[command(after_help = "Only a maintainer may; `x0x members` shows who is one.
With --json, one ID answers the issue, several answer {\"issues\": [...]}.
A claim on the issue ends, and its worker is told. With --claim-next the issue that was claimed is
answered, as by `next --claim`.

Examples:
  x0x issues done X0X-0042 X0X-0043
  x0x issues done X0X-0042 --reason 'merged' --claim-next --worker w1")]
    Done(Box<DoneArgs>),
    /// Mark issues as given up
    #[command(
        after_help = "With --json, one ID answers the issue, several answer {\"issues\": [...]}.

Example:
  x0x issues cancel X0X-0042 --reason 'nobody needs it'"
    )]
    Cancel(RuleArgs),
    /// Mark an issue as the same work as another
    #[command(after_help = "Example:\n  x0x issues duplicate X0X-0042 --of X0X-0007")]
    Duplicate(DuplicateArgs),
    /// Open ended issues again, and send back what was handed off; for maintainers
    #[command(after_help = "Only a maintainer may; `x0x members` shows who is one.
With --json, one ID answers the issue, several answer {\"issues\": [...]}.

Example:
  x0x issues reopen X0X-0042 --reason 'the test fails on one core'")]
    Reopen(RuleArgs),
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

Examples:
  x0x issues validate issues/issues.jsonl
  x0x issues validate --store      the task list in the data directory instead")]
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
twice does the change again. After an import the newest change is what the file brought, whoever
wrote it there: `log ID` or --dry-run shows it first. What was written again since is left and named; where nothing else is
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
    /// Claim issues and run a command on each: beats, proofs, handoff
    #[command(
        override_usage = "x0x issues run [OPTIONS] [ID] -- <COMMAND> [ARGS]...",
        after_help = "The command gets the issue as JSON on stdin. In its environment are X0X_ISSUE_ID, _IDENTIFIER,
_TITLE, _STATE, _PRIORITY, _BRANCH_NAME, _URL, _ATTEMPT (how often the issue was taken up),
X0X_CLAIM, X0X_CLAIM_FENCE, X0X_WORKER, X0X_PROOFS (a directory for files of its own),
X0X_HANDOFF (where it may write its handoff, a JSON object) and X0X_DATA_DIR. Exit 0 hands the
issue off; anything else releases it with the exit code as the reason. A handoff file that is
none is passed over and named, and the issue handed off all the same.

SIGINT, SIGTERM and SIGHUP end the runner and its commands. A signal that the caller ignores stays
ignored, as SIGINT does for what a script starts with '&': send SIGTERM there. An issue that is left
alone after failures is taken at once by `run ID` or `claim ID`. With --json, each event is one
object a line.

Exit codes without --loop: 0 handed off, 3 nothing ready, 4 claim refused or lost, 1 the command
failed or took too long.

Examples:
  x0x issues run X0X-0042 -- ./work.sh
  x0x issues run --next --label pump -- make check
  x0x issues run --loop --max-parallel 4 --timeout 1h -- agent --quiet"
    )]
    Run(Box<RunArgs>),
    /// Count issues by state and priority
    #[command(after_help = "Example:\n  x0x issues stats --json")]
    Stats,
    /// Show what happens to the list, as it happens; the node that runs here tells it
    #[command(
        after_help = "On a terminal: a view of the open issues, who holds them, and the newest events, until Ctrl-C.
Elsewhere: one line an event. With --jsonl (or --json) each is one object {\"event_id\", \"type\",
\"list\", \"id\", \"identifier\", \"title\", \"state\", \"version\", ...}.

Kinds: created, edited, commented, claimed, confirmed, lost, released, handed_off, ended, reopened, removed,
conflict, member; and reset, which says that events were missed: list the issues again then. A node
keeps its last 1,024 events for as long as it runs. Exits 6 where none runs (`x0x up` starts one);
one that is started anew is waited for.

Examples:
  x0x issues watch
  x0x issues watch --jsonl --kind claimed,lost
  x0x issues watch --jsonl --since 5f1c09d2a7e344b1-17 --limit 1"
    )]
    Watch(WatchArgs),
}
