//! What is asked of the history of issues, as typed.

use clap::{ArgGroup, Args};
use x0x_tracker::id::Version;

/// Arguments of `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Which issue
    pub id: String,
    /// How many entries at the most
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only what happened to this field
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
}

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// An issue, or a commit by at least 6 hex digits of its hash
    #[arg(value_name = "ID|COMMIT")]
    pub what: String,
    /// Change nothing; say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Restore also what was written again since
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `conflicts`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("choice").args(["take", "value", "keep"]).requires("resolve"))]
pub struct ConflictsArgs {
    /// Which issue [default: all that were not removed]
    pub id: Option<String>,
    /// Write this field, so that it has one value; say which with --keep, --take or --value
    #[arg(long, value_name = "FIELD", requires_all = ["id", "choice"])]
    pub resolve: Option<String>,
    /// The value that is shown
    #[arg(long)]
    pub keep: bool,
    /// The other value with this number
    #[arg(long, value_name = "N")]
    pub take: Option<usize>,
    /// A new value; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// Only if the issue is at this version (`_version` in the JSON)
    #[arg(long, value_name = "VERSION", requires = "resolve")]
    pub if_version: Option<Version>,
}
