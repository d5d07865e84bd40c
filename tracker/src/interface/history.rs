//! What became of issues: their log, earlier states, what was taken back, what is disputed.

use serde::{Deserialize, Serialize};

use super::report::Shown;
use crate::id::CommitHash;
use crate::timestamp::Timestamp;

pub use crate::document::dispute::{Candidate, Dispute};
pub use crate::document::reversal::Left;
pub use crate::document::steps::{FieldEdit, Step, What};

/// Which part of a log.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only what happened to this field.
    pub field: Option<String>,
    /// How many entries at the most.
    pub limit: Option<usize>,
}

/// What happened to an issue, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueLog {
    /// The id of the issue.
    pub id: String,
    /// The name to call the issue by.
    pub name: String,
    /// Its changes. Each stands before all that it builds on; of those that were made side by side
    /// the one with the later date stands first.
    pub entries: Vec<LogEntry>,
    /// Whether there are older ones.
    pub more: bool,
}

/// One change of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// What its author did to what the author knew.
    pub step: Step,
    /// The commit that carried it; `None` in a store that has not been indexed.
    pub commit: Option<CommitPlace>,
}

/// A commit, by its hash and its place in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitPlace {
    /// Its hash.
    pub hash: CommitHash,
    /// Its number in its log; the first is 1.
    pub number: u64,
}

/// A moment in the life of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What was made at or before this time, by the clocks of the authors, which are kept in whole
    /// seconds.
    Time(Timestamp),
    /// What the author of a commit had when it was made; its hash, or the beginning of it.
    Commit(String),
}

/// The fewest hex digits that name a commit.
pub const COMMIT_DIGITS_MIN: usize = 6;

impl Moment {
    /// Reads an RFC 3339 time; a date, which means its end in UTC; or at least
    /// [`COMMIT_DIGITS_MIN`] hex digits of a commit's hash. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if is_commit(text) {
            return Some(Self::Commit(text.to_ascii_lowercase()));
        }
        let is_date = text.len() == "2026-05-01".len();
        let end_of_day = || Timestamp::parse(&format!("{text}T23:59:59.999Z"));
        let time = if is_date { end_of_day() } else { Timestamp::parse(text) };
        time.map(Self::Time)
    }
}

/// Tells whether a text can be the beginning of a commit's hash.
pub fn is_commit(text: &str) -> bool {
    (COMMIT_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What to take back.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    /// An issue, of which the newest change is meant; or a commit, by at least
    /// [`COMMIT_DIGITS_MIN`] hex digits of its hash, of which everything is.
    pub what: String,
    /// Also what was written again since.
    pub force: bool,
    /// Change nothing; say what would be changed.
    pub dry_run: bool,
}

/// How far a task over many issues is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Issues done.
    pub done: u64,
    /// Issues in all.
    pub total: u64,
}

/// What was taken back, or would be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UndoReport {
    /// The commit that was named; `None` where an issue was.
    pub commit: Option<CommitPlace>,
    /// The issues that it is about.
    pub issues: Vec<Undone>,
}

/// What was taken back in one issue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Undone {
    /// The issue as it is now, or would be; with its record where it is the only one.
    pub issue: Shown,
    /// What was restored, from what it was just before.
    pub restored: Vec<FieldEdit>,
    /// What stays as it is.
    pub left: Vec<Left>,
}

/// The disputed fields of one issue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disputed {
    /// Which issue.
    pub issue: Shown,
    /// Its fields that hold several values.
    pub fields: Vec<Dispute>,
}

/// Which value settles a disputed field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one that is shown.
    Keep,
    /// One of the others, by its place among [`Dispute::others`]; the first is 1.
    Take(usize),
    /// A new one, as compact JSON text.
    Value(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_a_commit() {
        let time = |text: &str| Moment::Time(Timestamp::parse(text).unwrap());
        assert_eq!(Moment::parse("2026-05-01T10:00:00+02:00"), Some(time("2026-05-01T08:00:00Z")));
        assert_eq!(Moment::parse("2026-05-01"), Some(time("2026-05-01T23:59:59.999Z")));
        assert_eq!(Moment::parse("20260501"), Some(Moment::Commit("20260501".to_owned())));
        assert_eq!(Moment::parse("ABCDEF"), Some(Moment::Commit("abcdef".to_owned())));
        for text in ["abcde", "2026-02-30", "yesterday", "2026-05-01T10:00:00", ""] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
