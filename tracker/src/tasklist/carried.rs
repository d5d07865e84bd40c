//! Issues that travel in the company of something else: whoever gets it is to have them as its sender had.

use serde::{Deserialize, Serialize};

use super::{LocalTracker, names};
use crate::id::DocumentKey;
use crate::interface::TrackerError;
use crate::store::Rows;

/// The most heads of an issue that are named: how many edits of it were made apart.
pub const HEADS_MAX: usize = 64;

/// An issue as somebody has it. Its heads are the newest changes: whoever has them has all that led there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueAt {
    /// Which document.
    pub key: DocumentKey,
    /// The id of the issue.
    pub id: String,
    /// The hashes of its newest changes; at most [`HEADS_MAX`].
    pub heads: Vec<[u8; 32]>,
}

impl LocalTracker {
    /// Returns an issue as it is here.
    ///
    /// # Errors
    /// Where no issue has that name, or several have.
    pub fn issue_at(&self, name: &str) -> Result<IssueAt, TrackerError> {
        let reading = self.store.read()?;
        let row = names::row(&reading, &names::resolve(&reading, name)?)?;
        let mut heads = names::document(&reading, row.key)?.heads();
        heads.truncate(HEADS_MAX);
        Ok(IssueAt { key: row.key, id: row.id, heads })
    }

    /// Tells whether an issue is here as somebody has it, or newer.
    pub fn has_issue(&self, at: &IssueAt) -> Result<bool, TrackerError> {
        let document = self.store.read()?.document(at.key)?;
        Ok(document.is_some_and(|document| document.holds(&at.heads)))
    }
}
