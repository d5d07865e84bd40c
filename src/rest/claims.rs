//! Claims over HTTP: taking an issue, saying that a worker is still at it, giving it back, handing it off.

use std::time::Duration;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;
use x0x_tracker::claim::record::TTL_MS_DEFAULT;
use x0x_tracker::id::Version;
use x0x_tracker::interface::{Holding, Kept, Loss, Pick, Standing, Terms};
use x0x_tracker::{LocalTracker, Tracker};

use super::answer::{Answer, answer};
use super::asked::{Asked, Named, reading, writing};
use super::body::{Unread, bad_query};
use super::errors::{Failure, Failures};
use super::issues::ExactPage;
use super::query::{InList, Wanted};
use super::requests::{ClaimBody, HandoffBody, HoldingBody, ReleaseBody, ReshardBody, WorkerBody};
use super::schema;
use crate::node::Node;
use crate::time;

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
    asked: Asked,
    Named(name): Named,
    body: Unread,
) -> Result<Response, Failure> {
    let terms = body.object::<ClaimBody>().await?.terms();
    let Asked { node, form, query: InList { list } } = asked;
    answer(form, &claimed(&node, list, Pick::Issue(name), terms).await?)
}

/// How long the confirmation of a claim is waited for at most, and how often it is looked for.
const CONFIRM_MAX: Duration = Duration::from_secs(60);
const CONFIRM_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Claims what was picked, and waits for so long as was asked until nobody else can have.
async fn claimed(
    node: &Node,
    list: Option<String>,
    pick: Pick,
    terms: Terms,
) -> Result<Kept, Failure> {
    let wait = Duration::from_millis(terms.confirm_ms.unwrap_or(0)).min(CONFIRM_MAX);
    let worker = terms.worker.clone();
    let mut kept = writing(node, list.clone(), move |tracker| tracker.claim(&pick, &terms)).await?;
    let begun = time::origin();
    let mut beaten = begun;
    let is_open = |kept: &Kept| {
        let standing = kept.issue.watch.as_ref().map(|watch| watch.standing);
        standing.is_some_and(|standing| standing != Standing::Confirmed)
    };
    while is_open(&kept) && begun.elapsed() < wait {
        tokio::time::sleep(CONFIRM_LOOK_EVERY).await;
        let claim = kept.claim;
        let held = node.keeper().read(list.as_deref(), |tracker| tracker.held_by(claim)).await??;
        let ttl_ms = kept.issue.row.held.as_ref().map_or(TTL_MS_DEFAULT, |held| held.ttl_ms);
        let is_beat_due = beaten.elapsed() > Duration::from_millis(ttl_ms / 4);
        match held {
            Some(issue) if !is_beat_due => kept.issue = issue,
            // Whoever waits is at it; and who has it no more is told what became of it.
            _ => {
                let (worker, claim) = (worker.clone(), Some(claim.to_string()));
                let holding = Holding { worker, issue: None, claim };
                let lost = std::mem::take(&mut kept.lost);
                let beat = move |tracker: &mut LocalTracker| tracker.heartbeat(&holding);
                kept = writing(node, list.clone(), beat).await?;
                kept.lost.extend(lost);
                beaten = time::origin();
            }
        }
    }
    Ok(kept)
}

/// Claims the first issue that is ready, of those that the query lets pass.
#[utoipa::path(post, path = "/issues/claim", params(Wanted), request_body = ClaimBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn claim_first(
    Asked { node, form, query: wanted }: Asked<Wanted>,
    body: Unread,
) -> Result<Response, Failure> {
    if wanted.cursor.is_some() || wanted.explain {
        return Err(bad_query("cursor and explain are for lists"));
    }
    let pick = Pick::First(wanted.filter()?);
    let terms = body.object::<ClaimBody>().await?.terms();
    answer(form, &claimed(&node, wanted.list, pick, terms).await?)
}

/// Says that a worker is still at it: the claim lives for its whole time to live from now.
#[utoipa::path(post, path = "/claims/heartbeat", params(InList), request_body = HoldingBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn heartbeat(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let holding = body.object::<HoldingBody>().await?.holding();
    asked.write(move |tracker| tracker.heartbeat(&holding)).await
}

/// Gives a claim up, so that others can take the issue.
#[utoipa::path(post, path = "/claims/release", params(InList), request_body = ReleaseBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn release(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let (holding, release) = body.object::<ReleaseBody>().await?.parts();
    asked.write(move |tracker| tracker.release(&holding, &release)).await
}

/// Hands an issue off for review.
#[utoipa::path(post, path = "/claims/handoff", params(InList), request_body = HandoffBody,
    tag = "claims", responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn hand_off(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let (holding, handoff) = body.object::<HandoffBody>().await?.parts();
    asked.write(move |tracker| tracker.hand_off(&holding, &handoff)).await
}

/// Draws the slate of an issue anew. Only a maintainer may.
#[utoipa::path(post, path = "/issues/{name}/reshard", params(("name" = String, Path), InList),
    request_body = ReshardBody, tag = "claims",
    responses((status = 200, body = schema::Issue), Failures))]
pub(super) async fn reshard(
    asked: Asked,
    Named(name): Named,
    body: Unread,
) -> Result<Response, Failure> {
    let ReshardBody { reason, ttl_ms } = body.object().await?;
    asked.write(move |tracker| tracker.reshard(&name, &reason, ttl_ms)).await
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
    Asked { node, form, query }: Asked<OfWorker>,
) -> Result<Response, Failure> {
    let OfWorker { list, worker } = query;
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
pub(super) async fn losses(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let WorkerBody { worker } = body.object().await?;
    asked.write(move |tracker| Ok(Losses { lost: tracker.losses(&worker)? })).await
}
