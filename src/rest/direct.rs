//! Direct messages over HTTP: sending one, releasing those that were read, and whose are not taken. Not: those that
//! came.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use x0x_tracker::Tracker;
use x0x_tracker::id::AgentId;
use x0x_tracker::timestamp::Timestamp;

use super::asked::reading;
use super::body::Unread;
use super::errors::{Failure, Failures};
use crate::dm::{Carried, DmPath, DmReceipt, Draft, Form, TTL_MAX};
use crate::node::{DELIVERY_WAIT, Node, Wait};

/// What an answer waits for.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WaitFor {
    /// Nothing: the message is queued.
    None,
    /// That the message is on disk here.
    Accepted,
    /// That it is in the inbox of its recipient, on disk.
    #[default]
    Delivered,
}

/// A message to send, with one of `payload`, `text` and `json`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendBody {
    /// To whom: an agent's id, or the start of one that a single member has.
    #[serde(alias = "agent_id")]
    to: String,
    /// Bytes, in base64 (RFC 4648); at most 48 KiB of them.
    #[serde(default)]
    payload: Option<String>,
    /// A text instead.
    #[serde(default)]
    text: Option<String>,
    /// A JSON value instead, which stays as it is spelled.
    #[serde(default, deserialize_with = "any_json")]
    #[schema(value_type = Option<serde_json::Value>)]
    json: Option<Box<RawValue>>,
    /// What tells it from every other message of this agent: sent twice, it goes once. At most 128 bytes.
    #[serde(default)]
    message_id: Option<String>,
    /// For how long it is tried, in milliseconds; by default 600,000, at most a day.
    #[serde(default)]
    ttl_ms: Option<u64>,
    /// Issues that the recipient is to have, as they are here, before it is shown the message: any of their
    /// names, at most 32.
    #[serde(default)]
    issues: Vec<String>,
    /// The task list of those issues, by name, id or the start of an id; without it the only one.
    #[serde(default)]
    list: Option<String>,
    /// What is waited for; a delivery for 30 s at most.
    #[serde(default)]
    wait: WaitFor,
}

/// Reads any JSON value; null is one too.
fn any_json<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Receipt {
    ok: bool,
    message_id: String,
    /// The way it took: `loopback`, `quic` or `gossip`; null of one that was not sent yet.
    path: Option<&'static str>,
    /// Every way by which it was tried.
    tried: Vec<&'static str>,
    /// When it was on disk here.
    accepted_at: Option<String>,
    /// When it was known to be in the inbox of its recipient.
    delivered_at: Option<String>,
    /// How often it was sent.
    attempts: u32,
    /// How long its delivery took, in microseconds.
    latency_us: Option<u64>,
}

impl Receipt {
    fn of(receipt: DmReceipt) -> Self {
        let at = |ms: Option<i64>| ms.map(|ms| Timestamp(ms).to_string());
        Self {
            ok: true,
            message_id: receipt.message_id,
            path: receipt.path.map(DmPath::name),
            tried: receipt.tried.into_iter().map(DmPath::name).collect(),
            accepted_at: at(receipt.accepted_at_ms),
            delivered_at: at(receipt.delivered_at_ms),
            attempts: receipt.attempts,
            latency_us: receipt.latency_us,
        }
    }
}

/// Sends a message to a member of a task list of this node, or to this agent itself.
#[utoipa::path(post, path = "/direct/send", tag = "direct", request_body = SendBody,
    responses((status = 200, body = Receipt), Failures))]
pub(super) async fn send(State(node): State<Node>, body: Unread) -> Result<Json<Receipt>, Failure> {
    let body: SendBody = body.object().await?;
    let to = agent_of(&node, &body.to).await?;
    let (form, payload) = match (body.payload, body.text, body.json) {
        (Some(payload), None, None) => {
            let decoded = BASE64.decode(payload.as_bytes());
            let bytes =
                decoded.map_err(|error| invalid(&format!("payload is no base64: {error}")))?;
            (Form::Bytes, bytes)
        }
        (None, Some(text), None) => (Form::Text, text.into_bytes()),
        (None, None, Some(json)) => (Form::Json, json.get().as_bytes().to_vec()),
        _ => return Err(invalid("give one of payload, text and json")),
    };
    let is_life = |ttl_ms: u64| ttl_ms > 0 && Duration::from_millis(ttl_ms) <= TTL_MAX;
    if !body.ttl_ms.is_none_or(is_life) {
        return Err(invalid("a message lives for a day at most, and for some time"));
    }
    let wait = match body.wait {
        WaitFor::None => Wait::Queued,
        WaitFor::Accepted => Wait::Accepted,
        WaitFor::Delivered => Wait::Delivered(DELIVERY_WAIT),
    };
    let (message_id, ttl_ms) = (body.message_id, body.ttl_ms);
    let issues = carried(&node, body.list, body.issues).await?;
    let draft = Draft { to, form, payload, message_id, ttl_ms, issues };
    Ok(Json(Receipt::of(node.mailbox().send(draft, wait).await?)))
}

/// Returns issues as they are here.
async fn carried(
    node: &Node,
    list: Option<String>,
    names: Vec<String>,
) -> Result<Vec<Carried>, Failure> {
    if names.is_empty() {
        if let Some(list) = list {
            node.keeper().named(Some(&list)).await??;
        }
        return Ok(Vec::new());
    }
    reading(node, list, move |tracker| {
        let list = tracker.info()?.list;
        let carried = |name: &String| Ok(Carried { list, issue: tracker.issue_at(name)? });
        names.iter().map(carried).collect()
    })
    .await
}

/// Which messages are read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    /// The id of the last of them.
    up_to: u64,
}

/// How many messages are left.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Released {
    ok: bool,
    unread: usize,
}

/// Releases messages that were read: they leave the inbox, which has room for others then.
#[utoipa::path(post, path = "/direct/inbox/ack", tag = "direct", request_body = ReleaseBody,
    responses((status = 200, body = Released), Failures))]
pub(super) async fn release(
    State(node): State<Node>,
    body: Unread,
) -> Result<Json<Released>, Failure> {
    let ReleaseBody { up_to } = body.object().await?;
    let unread = node.mailbox().release(up_to).await?.inbox;
    Ok(Json(Released { ok: true, unread }))
}

/// Whose messages are meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockBody {
    /// An agent's id, or the start of one that a single member has.
    #[serde(alias = "agent")]
    agent_id: String,
}

/// The agents whose messages are not taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Blocked {
    blocked: Vec<String>,
}

/// Takes no messages of an agent any more; its sender is told so.
#[utoipa::path(post, path = "/direct/block", tag = "direct", request_body = BlockBody,
    responses((status = 200, body = Blocked), Failures))]
pub(super) async fn block(
    State(node): State<Node>,
    body: Unread,
) -> Result<Json<Blocked>, Failure> {
    set_blocked(&node, body, true).await
}

/// Takes messages of an agent again.
#[utoipa::path(post, path = "/direct/unblock", tag = "direct", request_body = BlockBody,
    responses((status = 200, body = Blocked), Failures))]
pub(super) async fn unblock(
    State(node): State<Node>,
    body: Unread,
) -> Result<Json<Blocked>, Failure> {
    set_blocked(&node, body, false).await
}

async fn set_blocked(
    node: &Node,
    body: Unread,
    is_blocked: bool,
) -> Result<Json<Blocked>, Failure> {
    let BlockBody { agent_id } = body.object().await?;
    let agent = agent_of(node, &agent_id).await?;
    if agent == node.agent() {
        let (status, hint) = (StatusCode::UNPROCESSABLE_ENTITY, "name another agent");
        let detail = "an agent takes what it sends itself";
        return Err(Failure::new(status, "invalid", detail, hint));
    }
    node.mailbox().block(agent, is_blocked).await?;
    blocked(State(node.clone())).await
}

/// The agents whose messages are not taken.
#[utoipa::path(get, path = "/direct/blocked", tag = "direct",
    responses((status = 200, body = Blocked), Failures))]
pub(super) async fn blocked(State(node): State<Node>) -> Result<Json<Blocked>, Failure> {
    let blocked = node.mailbox().blocked().await?;
    Ok(Json(Blocked { blocked: blocked.iter().map(ToString::to_string).collect() }))
}

const MEMBERS_HINT: &str = "`x0x members -v` shows whole ids";

/// Returns the agent that a text names: by its id, or by the start of it, where one member has that.
async fn agent_of(node: &Node, text: &str) -> Result<AgentId, Failure> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(agent) = text.parse::<AgentId>() {
        return Ok(agent);
    }
    let is_start = (4..64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_start {
        let detail = "an agent is named by its id, 64 hex digits, or at least the first 4";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Failure::new(status, "invalid", detail, MEMBERS_HINT));
    }
    let mailbox = node.mailbox();
    let mut known = BTreeSet::from([node.agent()]);
    known.extend(mailbox.members().await?);
    // One that is blocked may be a member no more.
    known.extend(mailbox.blocked().await?);
    known.retain(|agent| agent.to_string().starts_with(&text));
    let who = match (known.pop_first(), known.is_empty()) {
        (Some(agent), true) => return Ok(agent),
        (Some(_), false) => "several members have",
        (None, _) => "no member has",
    };
    let detail = format!("{who} an id that begins with {text}");
    Err(Failure::new(StatusCode::NOT_FOUND, "recipient_unknown", &detail, MEMBERS_HINT))
}

fn invalid(detail: &str) -> Failure {
    let hint =
        "`x0x direct send --help` says what a message may be, and /openapi.json for programs";
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, hint)
}
