//! Claims over HTTP: taking an issue, saying that a worker is still at it, giving it back, handing it off.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;
use x0x_tracker::Tracker;
use x0x_tracker::id::Version;
use x0x_tracker::interface::{Kept, Loss, Pick};

use super::answer::{Answer, Form, answer};
use super::body::{Unread, bad_query, named, typed};
use super::edits::writing;
use super::errors::{Failure, Failures};
use super::issues::{ExactPage, reading};
use super::query::{InList, Wanted};
use super::requests::{ClaimBody, HandoffBody, HoldingBody, ReleaseBody, ReshardBody, WorkerBody};
use super::schema;
use crate::node::Node;

impl Answer for Kept {
    fn json(&self) -> String {
        self.answer_json().unwrap_or_else(|| self.issue.brief_json())
    }

    fn version(&self) -> Option<Version> {
        Some(self.issue.row.version)
    }
}

/// Claims an issue for a worker of this agent. Of any number that claim it here at once, exactly one wins.
#[utoipa::path(post, path = "/issues/{name}/claim", params(("name" = String, Path), InList),
    request_body = ClaimBody, tag = "claims",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn claim(
    State(node): State<Node>,
    form: Form,
    name: Result<Path<String>, PathRejection>,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let (name, InList { list }) = (named(name)?, typed(wanted)?);
    let terms = body.object::<ClaimBody>().await?.terms();
    let kept = writing(&node, list, move |tracker| tracker.claim(&Pick::Issue(name), &terms));
    answer(form, &kept.await?)
}

/// Claims the first issue that is ready, of those that the query lets pass.
#[utoipa::path(post, path = "/issues/claim", params(Wanted), request_body = ClaimBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn claim_first(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<Wanted>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let wanted = typed(wanted)?;
    if wanted.cursor.is_some() || wanted.explain {
        return Err(bad_query("cursor and explain are for lists"));
    }
    let pick = Pick::First(wanted.filter()?);
    let terms = body.object::<ClaimBody>().await?.terms();
    let kept = writing(&node, wanted.list, move |tracker| tracker.claim(&pick, &terms));
    answer(form, &kept.await?)
}

/// Says that a worker is still at it: the claim lives for its whole time to live from now.
#[utoipa::path(post, path = "/claims/heartbeat", params(InList), request_body = HoldingBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn heartbeat(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let InList { list } = typed(wanted)?;
    let holding = body.object::<HoldingBody>().await?.holding();
    answer(form, &writing(&node, list, move |tracker| tracker.heartbeat(&holding)).await?)
}

/// Gives a claim up, so that others can take the issue.
#[utoipa::path(post, path = "/claims/release", params(InList), request_body = ReleaseBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn release(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let InList { list } = typed(wanted)?;
    let (holding, release) = body.object::<ReleaseBody>().await?.parts();
    answer(form, &writing(&node, list, move |tracker| tracker.release(&holding, &release)).await?)
}

/// Hands an issue off for review.
#[utoipa::path(post, path = "/claims/handoff", params(InList), request_body = HandoffBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn hand_off(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let InList { list } = typed(wanted)?;
    let (holding, handoff) = body.object::<HandoffBody>().await?.parts();
    answer(form, &writing(&node, list, move |tracker| tracker.hand_off(&holding, &handoff)).await?)
}

/// Draws the slate of an issue anew. Only a maintainer may.
#[utoipa::path(post, path = "/issues/{name}/reshard", params(("name" = String, Path), InList),
    request_body = ReshardBody, tag = "claims",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn reshard(
    State(node): State<Node>,
    form: Form,
    name: Result<Path<String>, PathRejection>,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let (name, InList { list }) = (named(name)?, typed(wanted)?);
    let ReshardBody { reason, ttl_ms } = body.object().await?;
    let shown = writing(&node, list, move |tracker| tracker.reshard(&name, &reason, ttl_ms));
    answer(form, &shown.await?)
}

/// Which worker, and which list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfWorker {
    /// The task list, by name, id or the start of an id; without it the only one.
    list: Option<String>,
    /// Which runner or terminal of this agent; without it all of them.
    worker: Option<String>,
}

/// Issues that workers of this agent hold by claims made here.
#[utoipa::path(get, path = "/claims", params(OfWorker), tag = "claims",
    responses((status = 200, body = schema::IssuePage), Failures))]
pub(super) async fn claims(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<OfWorker>, QueryRejection>,
) -> Result<Response, Failure> {
    let OfWorker { list, worker } = typed(wanted)?;
    let issues = reading(&node, list, move |tracker| tracker.claims(worker.as_deref())).await?;
    answer(form, &ExactPage { issues, cursor: None })
}

/// Claims that a worker has no longer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Losses {
    pub(super) lost: Vec<Loss>,
}

impl Answer for Losses {
    fn json(&self) -> String {
        let lost: Value = self.lost.iter().map(Loss::json).collect();
        json!({"lost": lost}).to_string()
    }
}

/// Tells a worker which of its claims are lost or over; each is told once.
#[utoipa::path(post, path = "/claims/losses", params(InList), request_body = WorkerBody,
    tag = "claims", responses((status = 200, body = schema::Losses), Failures))]
pub(super) async fn losses(
    State(node): State<Node>,
    form: Form,
    wanted: Result<Query<InList>, QueryRejection>,
    body: Unread,
) -> Result<Response, Failure> {
    let InList { list } = typed(wanted)?;
    let WorkerBody { worker } = body.object().await?;
    let lost = writing(&node, list, move |tracker| tracker.losses(&worker)).await?;
    answer(form, &Losses { lost })
}
