//! The row of an issue: what queries need of it, computed from its content.

use crate::document::Content;
use crate::interface::report::Row;
use crate::issue::as_text;

/// Returns the row of a document's content.
pub(super) fn of(content: &Content) -> Row {
    let issue = &content.issue;
    Row {
        key: issue.key(),
        id: issue.id().to_owned(),
        identifier: issue.text("identifier").filter(|name| crate::name::is_identifier(name)),
        title: issue.title(),
        state: issue.state(),
        priority: issue.priority(),
        labels: issue.texts("labels"),
        assignee: issue.text("assignee"),
        holder: issue.json("claim").and_then(holder_of),
        blocked_by: issue.blockers(),
        created_at: issue.birth.created_at.as_deref().and_then(as_text),
        updated_at: issue.text("updated_at"),
        deleted: issue.is_deleted(),
        conflicts: u32::try_from(issue.conflicts.len()).unwrap_or(u32::MAX),
        comments: u32::try_from(issue.elements("comments").len()).unwrap_or(u32::MAX),
        version: issue.version,
    }
}

fn holder_of(claim: &str) -> Option<String> {
    let claim: serde_json::Value = serde_json::from_str(claim).ok()?;
    Some(claim.get("by")?.as_str()?.to_owned())
}
