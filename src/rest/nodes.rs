//! The node itself, over HTTP: who it is, how it is, whom it is linked to, and how it ends.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::answer::API_VERSION;
use super::body::Unread;
use super::errors::{Failure, Failures};
use super::schema;
use crate::logs::{FILTER_HINT, Filter, FilterError, Log};
use crate::node::{Loan, Node, PeerView, Status};

/// What the first line of a loan says.
pub(super) const LENT: &str = "lent\n";

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    api: u32,
}

/// Whether somebody is there; anybody may ask.
#[utoipa::path(get, path = "/health", tag = "node", security(()),
    responses((status = 200, body = schema::Health), Failures))]
pub(super) async fn health() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(Health { status: "ok", version, api: API_VERSION }).into_response()
}

#[derive(Serialize)]
struct Agent {
    agent_id: String,
    name: Option<String>,
    addresses: Vec<String>,
}

/// Who this agent is, and where other nodes can call it.
#[utoipa::path(get, path = "/agent", tag = "node",
    responses((status = 200, body = schema::Agent), Failures))]
pub(super) async fn agent(State(node): State<Node>) -> Response {
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    Json(Agent { agent_id: node.agent().to_string(), name: None, addresses }).into_response()
}

/// What the node says of itself.
#[utoipa::path(get, path = "/status", tag = "node",
    responses((status = 200, body = schema::Status), Failures))]
pub(super) async fn status(State(node): State<Node>) -> Result<Json<Status>, Failure> {
    Ok(Json(node.status().await?))
}

#[derive(Serialize)]
pub(super) struct Peers {
    peers: Vec<PeerView>,
}

/// The linked peers.
#[utoipa::path(get, path = "/peers", tag = "node",
    responses((status = 200, body = schema::Peers), Failures))]
pub(super) async fn peers(State(node): State<Node>) -> Result<Json<Peers>, Failure> {
    Ok(Json(Peers { peers: node.peers().await? }))
}

#[derive(Serialize)]
struct Stopping {
    stopping: bool,
    pid: u32,
}

/// Has the node stop.
#[utoipa::path(post, path = "/stop", tag = "node",
    responses((status = 200, body = schema::Stopping), Failures))]
pub(super) async fn stop(State(node): State<Node>) -> Response {
    node.stop_soon();
    Json(Stopping { stopping: true, pid: std::process::id() }).into_response()
}

/// Which events are logged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    filter: String,
}

/// Which events the node's program logs.
#[utoipa::path(get, path = "/log-level", tag = "node",
    responses((status = 200, body = schema::LogLevel), Failures))]
pub(super) async fn log_level(State(node): State<Node>) -> Result<Response, Failure> {
    let filter = log_of(&node)?.filter().to_string();
    Ok(Json(LogLevel { filter }).into_response())
}

/// Has other events logged from now on, until the node ends.
#[utoipa::path(put, path = "/log-level", tag = "node", request_body = schema::LogLevel,
    responses((status = 200, body = schema::LogLevel), Failures))]
pub(super) async fn set_log_level(
    State(node): State<Node>,
    unread: Unread,
) -> Result<Response, Failure> {
    let log = log_of(&node)?;
    let LogLevel { filter } = unread.object().await?;
    let filter: Filter = filter.parse().map_err(|error: FilterError| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Failure::new(status, "bad_filter", &error.to_string(), FILTER_HINT)
    })?;
    let told = LogLevel { filter: filter.to_string() };
    log.set_filter(filter);
    tracing::info!(filter = told.filter, "the log shows other events from here");
    Ok(Json(told).into_response())
}

fn log_of(node: &Node) -> Result<&dyn Log, Failure> {
    node.log().ok_or_else(|| {
        let hint = "start the node with `x0x up`, `x0x daemon` or `x0xd`";
        let detail = "the program that runs this node keeps no log that can be changed";
        Failure::new(StatusCode::NOT_FOUND, "no_log", detail, hint)
    })
}

/// Lends the stores for as long as the connection lasts: the body says that they are lent, and ends when
/// the borrower hangs up.
pub(super) async fn lend(State(node): State<Node>) -> Result<Body, Failure> {
    let loan = node.keeper().lend().await?;
    let body = stream::unfold((false, loan), |(told, loan): (bool, Loan)| async move {
        if told {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, Infallible>(Bytes::from_static(LENT.as_bytes())), (true, loan)))
    });
    Ok(Body::from_stream(body))
}
