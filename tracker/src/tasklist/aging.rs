//! Giving a list a past, for measuring how it behaves after much work: many small edits of every
//! issue, each a change of its own. Not for lists that somebody uses.

use std::ops::ControlFlow;

use super::edition::Edition;
use super::{LocalTracker, date, names};
use crate::document::{Content, Edit};
use crate::id::DocumentKey;
use crate::interface::TrackerError;
use crate::store::Rows;
use crate::timestamp::Timestamp;

/// How many issues are edited in one writing.
const BATCH_ISSUES: usize = 5_000;

impl LocalTracker {
    /// Edits every issue `changes` times: assignee, estimate, branch, a label, a comment in turn.
    pub fn age(&mut self, changes: u32) -> Result<(), TrackerError> {
        let mut keys: Vec<DocumentKey> = Vec::new();
        self.store.read()?.visit_rows(None, &mut |_, row| {
            keys.push(row.key);
            Ok(ControlFlow::Continue(()))
        })?;
        for batch in keys.chunks(BATCH_ISSUES) {
            let mut edition = Edition::start(&self.store, self.host()?)?;
            for key in batch {
                age_one(&mut edition, *key, changes)?;
            }
            edition.finish()?;
        }
        self.store.shrink()
    }
}

fn age_one(edition: &mut Edition<'_>, key: DocumentKey, changes: u32) -> Result<(), TrackerError> {
    let mut document = names::document(edition.tables(), key)?;
    let content = document.read();
    let edits: Vec<Edit> = (0..changes).map(|n| edit(&content, n, edition.now())).collect();
    edition.write_each(&mut document, &edits)
}

fn edit(content: &Content, n: u32, now: Timestamp) -> Edit {
    let (name, json) = match n % 5 {
        0 => ("assignee", format!("\"worker-{n}\"")),
        1 => ("estimate", format!("\"{n} days\"")),
        2 => ("branch_name", format!("\"work/{n}\"")),
        3 => ("labels", format!("[\"round-{n}\"]")),
        _ => ("comments", format!("[{{\"id\":\"c-{n}\",\"body\":\"remark {n} on it\"}}]")),
    };
    let mut edit = Edit::default();
    edit.merge(content, name, None, Some(&json));
    date(&mut edit, content, Timestamp(now.0 + i64::from(n)));
    edit
}
