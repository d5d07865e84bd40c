//! Fields of an issue as typed: one flag for each JSON field, of its name.

use clap::Args;
use x0x_tracker::id::Version;

use super::{APPEND, values};

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The title
    #[arg(required_unless_present = "title_option", value_name = "TITLE")]
    pub title: Option<String>,
    /// The title, as an option
    #[arg(long = "title", value_name = "TITLE", conflicts_with = "title")]
    #[arg(allow_hyphen_values = true)]
    pub title_option: Option<String>,
    #[command(flatten)]
    pub fields: FieldArgs,
    /// Print the id alone
    #[arg(long)]
    pub silent: bool,
}

/// Arguments of `edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Which issue
    pub id: String,
    /// The title
    #[arg(long, allow_hyphen_values = true)]
    pub title: Option<String>,
    #[command(flatten)]
    pub fields: FieldArgs,
    #[command(flatten)]
    pub changes: ChangeArgs,
    /// Only if the issue is at this version (`_version` in the JSON)
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<Version>,
}

/// The fields that `create` and `edit` set.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Fields (none clears; texts: @FILE reads a file, - reads stdin)")]
pub struct FieldArgs {
    /// What it is about
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub description: Option<String>,
    /// 1 (urgent) to 4 (low), or none
    #[arg(long, value_name = "N|none", value_parser = values::priority)]
    pub priority: Option<String>,
    /// todo, in_progress, review, blocked, done, cancelled or duplicate
    #[arg(long)]
    pub state: Option<String>,
    /// The git branch of the work
    #[arg(long, value_name = "BRANCH")]
    pub branch_name: Option<String>,
    /// Where it is on the web
    #[arg(long)]
    pub url: Option<String>,
    /// Labels, separated by commas
    #[arg(long, value_name = "LABEL", action = APPEND)]
    pub labels: Vec<String>,
    /// Issues that must end first, separated by commas
    #[arg(long, value_name = "ID", action = APPEND)]
    pub blocked_by: Vec<String>,
    /// What must be true at the end; give it again for another
    #[arg(long, value_name = "TEXT", action = APPEND, allow_hyphen_values = true)]
    pub acceptance: Vec<String>,
    /// How to check it; give it again for another
    #[arg(long, value_name = "TEXT", action = APPEND, allow_hyphen_values = true)]
    pub validation: Vec<String>,
    /// Who should do it
    #[arg(long)]
    pub assignee: Option<String>,
    /// How much work it is: a number or a text
    #[arg(long)]
    pub estimate: Option<String>,
    /// A link: KIND=URL, or a JSON object {"kind", "url", "note"}; give it again for another
    #[arg(long, value_name = "LINK", action = APPEND)]
    pub links: Vec<String>,
    /// The readable name [default: the next number]
    #[arg(long)]
    pub identifier: Option<String>,
    /// Any other field; give it again for another
    #[arg(long, value_name = "NAME=JSON", action = APPEND, value_parser = values::named)]
    pub field: Vec<(String, String)>,
}

/// Changes that only `edit` makes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Changes of lists and of presence")]
pub struct ChangeArgs {
    /// Labels to add, separated by commas
    #[arg(long, value_name = "LABEL", action = APPEND, conflicts_with = "labels")]
    pub add_label: Vec<String>,
    /// Labels to take away
    #[arg(long, value_name = "LABEL", action = APPEND, conflicts_with = "labels")]
    pub remove_label: Vec<String>,
    /// Issues that must end first, too
    #[arg(long, value_name = "ID", action = APPEND, conflicts_with = "blocked_by")]
    pub add_blocked_by: Vec<String>,
    /// Issues that need not end first
    #[arg(long, value_name = "ID", action = APPEND, conflicts_with = "blocked_by")]
    pub remove_blocked_by: Vec<String>,
    /// An element to add
    #[arg(long, value_name = "TEXT", action = APPEND, conflicts_with = "acceptance")]
    #[arg(allow_hyphen_values = true)]
    pub add_acceptance: Vec<String>,
    /// An element to take away, as it is spelled
    #[arg(long, value_name = "TEXT", action = APPEND, conflicts_with = "acceptance")]
    #[arg(allow_hyphen_values = true)]
    pub remove_acceptance: Vec<String>,
    /// An element to add
    #[arg(long, value_name = "TEXT", action = APPEND, conflicts_with = "validation")]
    #[arg(allow_hyphen_values = true)]
    pub add_validation: Vec<String>,
    /// An element to take away, as it is spelled
    #[arg(long, value_name = "TEXT", action = APPEND, conflicts_with = "validation")]
    #[arg(allow_hyphen_values = true)]
    pub remove_validation: Vec<String>,
    /// A link to add
    #[arg(long, value_name = "LINK", action = APPEND, conflicts_with = "links")]
    pub add_link: Vec<String>,
    /// A link to take away: its URL, KIND=URL, or the JSON object
    #[arg(long, value_name = "URL", action = APPEND, conflicts_with = "links")]
    pub remove_link: Vec<String>,
    /// Remove the issue (a time, or now), or bring it back (none)
    #[arg(long, value_name = "TIME|now|none", value_parser = values::time_or_word)]
    pub deleted_at: Option<String>,
    /// A field to take out of the record; give it again for another
    #[arg(long, value_name = "FIELD", action = APPEND)]
    pub unset: Vec<String>,
}
