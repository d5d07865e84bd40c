//! Which issues, and how much of each, as typed.

use clap::Args;
use x0x_tracker::interface::Filter;

use super::values::{self, WantedPriority};

/// Which issues.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// States, separated by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub state: Vec<String>,
    /// A label that the issue must have; give it again for another
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub label: Vec<String>,
    /// Priorities, separated by commas; none for issues without
    #[arg(long, value_name = "N|none", value_delimiter = ',')]
    #[arg(value_parser = values::wanted_priority)]
    pub priority: Vec<WantedPriority>,
    /// Who holds the claim: an agent id or the start of one
    #[arg(long, value_name = "AGENT")]
    pub holder: Option<String>,
    /// Who it is assigned to
    #[arg(long)]
    pub assignee: Option<String>,
    /// Text in the title, the description or a comment, whatever its case
    #[arg(long)]
    pub text: Option<String>,
    /// Updated at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub updated_since: Option<String>,
    /// Removed issues too
    #[arg(long)]
    pub deleted: bool,
    /// How many at the most
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

impl FilterArgs {
    /// Tells whether some issues are left out for what they are; `--limit` and `--deleted` do not.
    pub fn narrows(&self) -> bool {
        let Self { state, label, priority, holder, assignee, text, updated_since, .. } = self;
        let lists = state.is_empty() && label.is_empty() && priority.is_empty();
        let words = [holder, assignee, text, updated_since];
        !lists || words.into_iter().any(Option::is_some)
    }

    /// Returns the filter that was typed; `with_json` asks for whole records.
    pub fn filter(&self, with_json: bool) -> Filter {
        let trimmed = |texts: &[String]| -> Vec<String> {
            let texts = texts.iter().map(|text| text.trim().to_owned());
            texts.filter(|text| !text.is_empty()).collect()
        };
        Filter {
            states: trimmed(&self.state),
            labels: trimmed(&self.label).iter().map(|label| label.to_lowercase()).collect(),
            priorities: self.priority.iter().map(|wanted| wanted.0).collect(),
            holder: self.holder.clone(),
            assignee: self.assignee.clone(),
            text: self.text.clone(),
            updated_since: self.updated_since.clone(),
            deleted: self.deleted,
            limit: self.limit,
            after: None,
            with_json,
            explain: false,
        }
    }
}

/// How much of each issue.
#[derive(Debug, Default, Args)]
pub struct ShapeArgs {
    /// Only id, identifier, title, state, priority and labels (JSON)
    #[arg(long, conflicts_with = "fields")]
    pub brief: bool,
    /// Only these fields, in this order, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub fields: Vec<String>,
}

impl ShapeArgs {
    /// Tells whether whole records are needed to answer in JSON.
    pub fn needs_json(&self) -> bool {
        !self.brief
    }
}
