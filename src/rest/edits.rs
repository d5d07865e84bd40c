//! Writing issues: creating, editing, commenting, ruling, undoing, settling.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use x0x_tracker::interface::{Comment, Disputed, Draft, Patch, TrackerError, UndoReport};
use x0x_tracker::{LocalTracker, Tracker};

use super::answer::{Answer, answer_with};
use super::asked::{Asked, Named, writing};
use super::body::{Keyed, Unread, fields_of, idempotency_key, if_match};
use super::errors::{Failure, Failures};
use super::issues::ExactPage;
use super::query::InList;
use super::requests::{ChoiceBody, CommentBody, EditsBody, RulingBody};
use super::{patch, schema};

/// Creates an issue. The body is its record: known fields and any others; what is absent gets its default.
/// Who sends it again with the same `Idempotency-Key` gets the issue that is there already, as it is now.
#[utoipa::path(post, path = "/issues", params(InList, Keyed), request_body = schema::IssueDraft,
    tag = "issues", responses((status = 201, body = schema::Issue), Failures))]
pub(super) async fn create(
    asked: Asked,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let key = idempotency_key(&headers)?;
    let draft = Draft { fields: body.record().await?, key };
    let Asked { node, form, query } = asked;
    let shown = writing(&node, query.list, move |tracker| tracker.create(&draft)).await?;
    let mut response = answer_with(StatusCode::CREATED, form, &shown)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/issues/{}", shown.row.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Changes fields of an issue. The body has the fields to change with their new values; `_unset` is a list of
/// fields to take out, `_add` and `_remove` have elements of list fields. `If-Match` with the ETag of an
/// answer refuses the edit where the issue has another version by now.
#[utoipa::path(patch, path = "/issues/{name}", params(("name" = String, Path), InList),
    request_body = schema::IssuePatch, tag = "issues",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn edit(
    asked: Asked,
    Named(name): Named,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let if_version = if_match(&headers)?;
    let patch = patch::read(body.record().await?)?;
    asked.write(move |tracker| tracker.edit(&name, &patch, if_version)).await
}

/// Removes an issue: it is kept as removed, which others learn, and `_unset` of `deleted_at` brings it back.
#[utoipa::path(delete, path = "/issues/{name}", params(("name" = String, Path), InList),
    tag = "issues", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn remove(
    asked: Asked,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let if_version = if_match(&headers)?;
    let now = x0x_tracker::timestamp::Timestamp(crate::time::now_ms()).to_string();
    let patch = Patch::default().set_text("deleted_at", &now);
    let write = move |tracker: &mut LocalTracker| {
        let shown = tracker.show(&name)?;
        match if_version {
            Some(expected) if shown.row.deleted && expected != shown.row.version => {
                let found = shown.row.version;
                Err(TrackerError::VersionMismatch { name, expected, found })
            }
            _ if shown.row.deleted => Ok(shown),
            _ => tracker.edit(&name, &patch, if_version),
        }
    };
    asked.write(write).await
}

/// Makes several edits together: all of them, or none.
#[utoipa::path(patch, path = "/issues", params(InList), request_body = EditsBody,
    tag = "issues", responses((status = 200, body = schema::IssuePage), Failures))]
pub(super) async fn edit_all(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let body: EditsBody = body.object().await?;
    let mut edits: Vec<(String, Patch)> = Vec::new();
    for edit in body.edits {
        edits.push((edit.issue, patch::read(fields_of(edit.patch.get())?)?));
    }
    asked
        .write(move |tracker| Ok(ExactPage { issues: tracker.edit_all(&edits)?, cursor: None }))
        .await
}

/// Adds a comment; one with the same `Idempotency-Key` is added once.
#[utoipa::path(post, path = "/issues/{name}/comments", params(("name" = String, Path), InList, Keyed),
    request_body = CommentBody, tag = "issues",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn comment(
    asked: Asked,
    Named(name): Named,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let key = idempotency_key(&headers)?;
    let CommentBody { body, author } = body.object().await?;
    let comment = Comment { body, author, key };
    asked.write(move |tracker| tracker.comment(&name, &comment)).await
}

/// Ends an issue, and with it the claim that holds it, or opens one again. Ending is for maintainers.
#[utoipa::path(post, path = "/issues/{name}/rulings", params(("name" = String, Path), InList),
    request_body = RulingBody, tag = "issues",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn rule(
    asked: Asked,
    Named(name): Named,
    body: Unread,
) -> Result<Response, Failure> {
    let body: RulingBody = body.object().await?;
    let ruling = body.ruling().ok_or_else(|| {
        Failure::bad_request("'of' is for a duplicate", "leave 'of' out, or rule it a duplicate")
    })?;
    asked.write(move |tracker| tracker.rule(&name, &ruling, body.reason.as_deref())).await
}

/// What was taken back, with whether it was only said.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Undone {
    pub(super) report: UndoReport,
    pub(super) dry_run: bool,
}

impl Answer for Undone {
    fn json(&self) -> String {
        self.report.answer_json(self.dry_run)
    }
}

/// Disputed fields, with the issues that have them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AllDisputed {
    pub(super) issues: Vec<Disputed>,
}

impl Answer for AllDisputed {
    fn json(&self) -> String {
        let issues: Vec<String> = self.issues.iter().map(Disputed::answer_json).collect();
        format!("{{\"issues\":[{}],\"next_cursor\":null}}", issues.join(","))
    }
}

/// Every issue with fields that hold several values.
#[utoipa::path(get, path = "/issues/conflicts", params(InList), tag = "history",
    responses((status = 200, body = schema::ConflictPage), Failures))]
pub(super) async fn conflicts(asked: Asked) -> Result<Response, Failure> {
    asked.read(|tracker| Ok(AllDisputed { issues: tracker.conflicts(None)? })).await
}

/// The fields of an issue that hold several values.
#[utoipa::path(get, path = "/issues/{name}/conflicts", params(("name" = String, Path), InList),
    tag = "history", responses((status = 200, body = schema::ConflictPage), Failures))]
pub(super) async fn conflicts_of(asked: Asked, Named(name): Named) -> Result<Response, Failure> {
    asked.read(move |tracker| Ok(AllDisputed { issues: tracker.conflicts(Some(&name))? })).await
}

/// Gives a disputed field one value.
#[utoipa::path(post, path = "/issues/{name}/conflicts/{field}",
    params(("name" = String, Path), ("field" = String, Path), InList), request_body = ChoiceBody,
    tag = "history", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn settle(
    asked: Asked,
    Named((name, field)): Named<(String, String)>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let if_version = if_match(&headers)?;
    let choice = body.object::<ChoiceBody>().await?.choice().ok_or_else(|| {
        let hint = "send {\"keep\": true}, {\"take\": NUMBER} or {\"value\": ...}";
        Failure::bad_request("\"keep\": false chooses nothing", hint)
    })?;
    asked.write(move |tracker| tracker.settle(&name, &field, &choice, if_version)).await
}
