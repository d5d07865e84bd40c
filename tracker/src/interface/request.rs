//! What a caller asks for.

use crate::jsonl::text;

/// Which issues.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// States, compared without regard to case; empty for all.
    pub states: Vec<String>,
    /// Labels that an issue must have, all of them.
    pub labels: Vec<String>,
    /// Priorities; `None` stands for issues without one.
    pub priorities: Vec<Option<i64>>,
    /// Who holds the claim: an agent id or a prefix of one.
    pub holder: Option<String>,
    /// Who it is assigned to.
    pub assignee: Option<String>,
    /// Text that the title, the description or a comment must hold, without regard to case.
    pub text: Option<String>,
    /// RFC 3339 time; issues updated at or after it.
    pub updated_since: Option<String>,
    /// Removed issues too.
    pub deleted: bool,
    /// How many at the most.
    pub limit: Option<usize>,
    /// The cursor that the page before ended with.
    pub after: Option<String>,
    /// Whether [`crate::interface::Shown::json`] is wanted.
    pub with_json: bool,
    /// Whether an agenda visits what is not ready too; it is counted in any case.
    pub explain: bool,
}

/// A new issue: field -> compact JSON text; what is absent gets its default.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Fields other than those that x0x sets itself.
    pub fields: Vec<(String, String)>,
    /// What tells this wish from every other of this agent: who says it again, since no answer came, gets
    /// the issue that is there already, as it is now.
    pub key: Option<String>,
}

/// One change of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldChange {
    /// Sets it to compact JSON text.
    Set(String),
    /// Takes it out of the record.
    Remove,
    /// Changes a list.
    List(ListChange),
}

/// A change of a list field; elements are compact JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    /// Elements to append; those that are there already stay where they are.
    pub add: Vec<String>,
    /// Elements to take out; those that are not there are passed over.
    pub remove: Vec<String>,
}

/// What to change in an issue, in order.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Field name and change.
    pub changes: Vec<(String, FieldChange)>,
}

/// A new comment.
#[derive(Clone, Debug, Default)]
pub struct Comment {
    /// Its text.
    pub body: String,
    /// Who says it; the agent's id where nothing is given.
    pub author: Option<String>,
    /// What tells this comment from every other of this agent; the same one is added once.
    pub key: Option<String>,
}

/// A verdict on an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The work is finished.
    Done,
    /// The work is given up.
    Cancelled,
    /// The work is that of another issue.
    Duplicate {
        /// Name of the other issue.
        of: Option<String>,
    },
    /// An ended issue is open again.
    Reopened,
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Change nothing; say what would be changed.
    pub dry_run: bool,
    /// Import the good lines of a file that has bad ones.
    pub keep_going: bool,
    /// Take the file's value also where it is an older one.
    pub take_file: bool,
    /// Remove issues whose line disappeared from the file.
    pub prune: bool,
}

/// What to export.
#[derive(Clone, Debug)]
pub enum ExportFrom {
    /// The layout of a file that was imported or exported before; a file that was not yet has none,
    /// and is written canonically.
    File(String),
    /// Fixed key order, sorted by id: depends on the commits alone.
    Canonical,
}

impl Patch {
    /// Sets a field to compact JSON text.
    pub fn set(mut self, name: &str, json: &str) -> Self {
        self.changes.push((name.to_owned(), FieldChange::Set(text::compact(json))));
        self
    }

    /// Sets a field to a string.
    pub fn set_text(self, name: &str, value: &str) -> Self {
        self.set(name, &serde_json::Value::from(value).to_string())
    }
}

impl Draft {
    /// Returns the draft of an issue with this title.
    pub fn titled(title: &str) -> Self {
        let title = serde_json::Value::from(title).to_string();
        Self { fields: vec![("title".to_owned(), title)], key: None }
    }

    /// Sets a field to compact JSON text.
    pub fn with(mut self, name: &str, json: &str) -> Self {
        self.fields.push((name.to_owned(), text::compact(json)));
        self
    }
}
