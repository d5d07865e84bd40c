//! A new issue, and one edit of an issue, inside a writing of several or alone: when it is dated, and what it
//! may be.

use super::{Host, LocalTracker, edition, fields, names};
use crate::document::{Birth, Content, Edit};
use crate::id;
use crate::interface::request::{Draft, Patch};
use crate::interface::{Shown, TrackerError};
use crate::journal::JournalError;
use crate::store::{Meta, RowKey, Rows};
use crate::timestamp::Timestamp;

impl LocalTracker {
    /// Creates an issue.
    pub(super) fn create_from(&mut self, draft: &Draft) -> Result<Shown, TrackerError> {
        let host = self.host()?;
        let reading = self.store.read()?;
        let now = (host.clock)();
        let prefix = reading.prefix()?;
        let id = match &draft.key {
            None => names::unused_id(&reading, host, &prefix)?,
            Some(key) => {
                let (list, agent) = (reading.list_id()?, host.signer.agent());
                let id = id::issue_id(&prefix, id::entropy_of_wish(list, agent, &["issue", key]));
                if let Some(there) = reading.rows_named(&id)?.first() {
                    return self.shown(there);
                }
                id
            }
        };
        let given = fields::of_draft(&reading, draft)?;
        let created_at = fields::quoted(&now.to_string());
        let birth = Birth { id, created_at: Some(created_at.clone()) };
        let empty = Content::empty(&birth);
        let mut edit = Edit::default();
        let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
        let defaults = fields::defaults().into_iter().filter(|(name, _)| !is_given(name));
        for (name, json) in defaults.chain(given.clone()) {
            edit.set(&empty, &name, Some(&json));
        }
        edit.set(&empty, "updated_at", Some(&created_at));
        if !edit.fields().contains(&"identifier") {
            let identifier = names::next_identifier(&reading, &prefix)?;
            edit.set(&empty, "identifier", Some(&fields::quoted(&identifier)));
        }
        let row_key = crate::store::row_key(&birth);
        let mut edition = edition::Edition::start(&self.store, host)?;
        let key = birth.key();
        edition.create(birth, &edit)?;
        fields::fits_a_line(edition.tables(), key)?;
        edition.finish()?;
        self.shown(&row_key)
    }
}

/// Makes one edit of several in a writing; returns the issue's place among the rows.
pub(super) fn edit_one(
    edition: &mut edition::Edition<'_>,
    host: &Host,
    name: &str,
    patch: &Patch,
    may_rule: bool,
) -> Result<RowKey, TrackerError> {
    let tables = edition.tables();
    let row_key = names::resolve(tables, name)?;
    let mut document = names::document(tables, names::row(tables, &row_key)?.key)?;
    let content = document.read();
    let mut edit = fields::of_patch(tables, &content, patch)?;
    if edit.needs_maintainer(&content) && !may_rule {
        return Err(JournalError::NotAllowed { agent: host.signer.agent() }.into());
    }
    if !edit.is_empty() {
        date(&mut edit, &content, edition.now());
        edition.write(&mut document, &edit, None)?;
        fields::fits_a_line(edition.tables(), document.key())?;
    }
    Ok(row_key)
}

/// Dates an edit now, or after the version that it was made from where that is later.
pub(super) fn date(edit: &mut Edit, content: &Content, now: Timestamp) {
    let before = content.issue.text("updated_at");
    let at = now.after(before.as_deref().and_then(Timestamp::parse));
    edit.set(content, "updated_at", Some(&fields::quoted(&at.to_string())));
}
