//! Which request does what.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use x0x_tracker::id::ListId;
use x0x_tracker::journal::charter::Role;

use super::errors::Failure;
use super::issues;
use crate::node::{Loan, Node, PeerView, Status};
use crate::wire::Ticket;

/// How long a ticket is good for at most.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// What the first line of a loan says.
pub(super) const LENT: &str = "lent\n";

/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

type Answer<T> = Result<Json<T>, Failure>;

/// Returns what answers programs for a node that show the token.
pub(super) fn router(node: Node, token: &str) -> Router {
    let expected = format!("Bearer {token}");
    Router::new()
        .route("/agent", get(agent))
        .route("/status", get(status))
        .route("/peers", get(peers))
        .route("/task-lists", get(issues::task_lists))
        .route("/task-lists/{list}", get(issues::task_list))
        .route("/task-lists/{list}/members", get(issues::members))
        .route("/task-lists/{list}/invites", post(invite))
        .route("/issues", get(issues::list))
        .route("/issues/ready", get(issues::ready))
        .route("/issues/{name}", get(issues::show))
        .route("/joins", post(join))
        .route("/stop", post(stop))
        .route("/store/loan", post(lend))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let expected = expected.clone();
            async move { guarded(&expected, request, next).await }
        }))
        // Anybody may ask whether somebody is there.
        .route("/health", get(health))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(node)
}

/// Lets a request through that shows the token, and that no web page made.
async fn guarded(expected: &str, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let is_known = shown.is_some_and(|shown| is_equal(shown.as_bytes(), expected.as_bytes()));
    if !is_known {
        let hint = "send `Authorization: Bearer TOKEN` with the token from the file api-token in the \
                    data directory";
        let failure =
            Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "no valid token", hint);
        return failure.into_response();
    }
    if request.headers().contains_key(header::ORIGIN) {
        let hint = "call it from a program, not from a web page";
        return Failure::new(StatusCode::FORBIDDEN, "foreign_origin", "a web page asks", hint)
            .into_response();
    }
    next.run(request).await
}

/// Compares without telling by the time how much is right.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Serialize)]
struct Agent {
    agent_id: String,
    name: Option<String>,
    addresses: Vec<String>,
}

async fn agent(State(node): State<Node>) -> Json<Agent> {
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    Json(Agent { agent_id: node.agent().to_string(), name: None, addresses })
}

async fn status(State(node): State<Node>) -> Answer<Status> {
    Ok(Json(node.status().await?))
}

#[derive(Serialize)]
struct Peers {
    peers: Vec<PeerView>,
}

async fn peers(State(node): State<Node>) -> Answer<Peers> {
    Ok(Json(Peers { peers: node.peers().await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    role: Role,
    lifetime_ms: u64,
}

#[derive(Serialize)]
struct Invited {
    ticket: String,
    role: Role,
    expires_at_ms: i64,
}

async fn invite(
    State(node): State<Node>,
    list: Result<Path<String>, PathRejection>,
    body: Result<Json<Invite>, JsonRejection>,
) -> Answer<Invited> {
    let Invite { role, lifetime_ms } = parsed(body)?;
    let lifetime = Duration::from_millis(lifetime_ms).min(LIFETIME_MAX);
    let list: ListId = issues::named(list)?.parse().map_err(|_bad| {
        let hint = "name the list by its 64 hex digits, as `GET /status` shows them";
        Failure::new(StatusCode::NOT_FOUND, "unknown_list", "no list has this id", hint)
    })?;
    let ticket = node.invite(list, role, lifetime).await??;
    let (text, expires_at_ms) = (ticket.to_string(), ticket.expires_at_ms);
    Ok(Json(Invited { ticket: text, role, expires_at_ms }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    ticket: String,
}

#[derive(Serialize)]
struct Joined {
    list: String,
    name: String,
    role: Role,
}

async fn join(State(node): State<Node>, body: Result<Json<Join>, JsonRejection>) -> Answer<Joined> {
    let ticket: Ticket = parsed(body)?.ticket.parse().map_err(|error| {
        let error: crate::wire::TicketError = error;
        let hint = "paste what `x0x invite` printed, whole";
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_ticket", &error.to_string(), hint)
    })?;
    let (list, name) = (ticket.list.to_string(), ticket.name.clone());
    let role = node.join(ticket).await??;
    Ok(Json(Joined { list, name, role }))
}

#[derive(Serialize)]
struct Stopping {
    stopping: bool,
}

async fn stop(State(node): State<Node>) -> Json<Stopping> {
    node.stop_soon();
    Json(Stopping { stopping: true })
}

/// Lends the stores for as long as the connection lasts: the body says that they are lent, and ends when
/// the borrower hangs up.
async fn lend(State(node): State<Node>) -> Result<Body, Failure> {
    let loan = node.keeper().lend().await?;
    let body = stream::unfold((false, loan), |(told, loan): (bool, Loan)| async move {
        if told {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, Infallible>(Bytes::from_static(LENT.as_bytes())), (true, loan)))
    });
    Ok(Body::from_stream(body))
}

fn parsed<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Failure> {
    match body {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => {
            let hint = "send a JSON object with `Content-Type: application/json`";
            Err(Failure::new(rejection.status(), "bad_request", &rejection.body_text(), hint))
        }
    }
}

async fn unknown() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "there is nothing under this path",
        "see what `x0x --help` can do",
    )
}

async fn wrong_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "this path does not answer that method",
        "use GET to read and POST to act",
    )
}
