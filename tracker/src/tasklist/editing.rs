//! One edit of an issue, inside a writing of several or alone: when it is dated, and what it may be.

use super::{Host, edition, fields, names};
use crate::document::{Content, Edit};
use crate::interface::TrackerError;
use crate::interface::request::Patch;
use crate::journal::JournalError;
use crate::store::RowKey;
use crate::timestamp::Timestamp;

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
