//! Direct messages that came, over HTTP: as a stream, and page by page.

use std::collections::VecDeque;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::Response;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use x0x_tracker::timestamp::Timestamp;

use super::asked::Asked;
use super::body::bad_query;
use super::errors::{Failure, Failures};
use super::events::{LAST_EVENT_ID, RETRY_MS, SILENCE_MAX};
use super::streamed::{Teller, streamed};
use super::subscriber::Subscriber;
use crate::dm::{Carried, Envelope, Form};
use crate::node::{Follower, Heard};

/// How many messages a page of the inbox has, unless it is asked for another number, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

/// How many bytes of text a reader is sent at once: one message more than that at most.
const PART_BYTES_MAX: usize = 64 << 10;

/// From where messages are followed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FollowedFrom {
    /// The id of the last message that the program had, where it cannot send `Last-Event-ID`; 0 begins with the
    /// oldest in the inbox.
    after: Option<u64>,
}

/// Messages as they come, from now on or after the one that `Last-Event-ID` names. Types: message; and lagged, which
/// says that a reader was so slow that some were passed over: they are in the inbox.
#[utoipa::path(get, path = "/direct/events", params(FollowedFrom), tag = "direct",
    responses((status = 200, body = String, content_type = "text/event-stream"), Failures))]
pub(super) async fn events(
    Asked { node, query, .. }: Asked<FollowedFrom>,
    subscriber: Subscriber,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let header =
        headers.get(LAST_EVENT_ID).map(|id| id.to_str().ok().and_then(|id| id.parse().ok()));
    let after = match header {
        Some(None) => {
            return Err(bad_query("the last event has no such id: send one as an event had it"));
        }
        Some(after) => after,
        None => query.after,
    };
    let follower = node.mailbox().admit(subscriber.max, &subscriber.name, after)?;
    let opening = Some(format!("id: {}\nretry: {RETRY_MS}\n\n", follower.seen()));
    Ok(streamed(Reader { follower, heard: VecDeque::new(), opening }))
}

/// Somebody who reads messages as they come.
struct Reader {
    follower: Follower,
    /// What it was given and was not sent yet.
    heard: VecDeque<Heard>,
    opening: Option<String>,
}

impl Teller for Reader {
    async fn next(&mut self) -> Option<String> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        if self.heard.is_empty() {
            match tokio::time::timeout(SILENCE_MAX, self.follower.next()).await {
                Ok(Ok(heard)) => self.heard.extend(heard?),
                // The reader comes again, from where it was.
                Ok(Err(error)) => {
                    tracing::error!(%error, "messages could not be read");
                    return None;
                }
                Err(_silence) => {
                    return Some(format!(": still here\nid: {}\n\n", self.follower.seen()));
                }
            }
        }
        let mut text = String::new();
        while text.len() < PART_BYTES_MAX
            && let Some(heard) = self.heard.pop_front()
        {
            text.push_str(&event(&heard));
        }
        Some(text)
    }
}

fn event(heard: &Heard) -> String {
    match heard {
        Heard::Message(envelope) => {
            let data = Message::of(envelope).json();
            format!("id: {}\nevent: message\ndata: {data}\n\n", envelope.number)
        }
        Heard::Lagged { missed, after } => {
            let data = serde_json::json!({"missed": missed, "after": after});
            format!("event: lagged\ndata: {data}\n\n")
        }
    }
}

/// A message that came.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Message {
    /// Its number: they grow in the order in which messages came.
    id: u64,
    from: String,
    to: String,
    message_id: String,
    /// When it was asked for, by the sender's clock.
    sent_at: String,
    received_at: String,
    /// `loopback`, `quic` or `gossip`.
    path: &'static str,
    /// Whether its sender is proved; nothing else comes in.
    verified: bool,
    /// In base64.
    payload: String,
    /// The payload, where it was sent as a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The payload, where it was sent as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    json: Option<Box<RawValue>>,
    /// Issues that came with it, and are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issues: Vec<CarriedIssue>,
}

/// An issue that came with a message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CarriedIssue {
    /// The id of the task list.
    list: String,
    /// The id of the issue.
    id: String,
}

impl Message {
    fn of(envelope: &Envelope) -> Self {
        let Envelope { number, message, received_at_ms, path } = envelope;
        let text = || String::from_utf8(message.payload.clone()).ok();
        Self {
            id: *number,
            from: message.from.to_string(),
            to: message.to.to_string(),
            message_id: message.message_id.clone(),
            sent_at: Timestamp(message.sent_at_ms).to_string(),
            received_at: Timestamp(*received_at_ms).to_string(),
            path: path.name(),
            verified: true,
            payload: BASE64.encode(&message.payload),
            text: if message.form == Form::Text { text() } else { None },
            json: match message.form {
                // What another sent as JSON may be none.
                Form::Json => text()
                    .filter(|text| is_plain(text))
                    .and_then(|text| RawValue::from_string(one_line(text)).ok()),
                Form::Text | Form::Bytes => None,
            },
            issues: message.issues.iter().map(CarriedIssue::of).collect(),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl CarriedIssue {
    fn of(carried: &Carried) -> Self {
        Self { list: carried.list.to_string(), id: carried.issue.id.clone() }
    }
}

/// Tells whether programs can read a JSON value: it is nested no deeper than most of them take.
fn is_plain(json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json).is_ok()
}

/// Returns JSON on one line, as an event wants it: line ends stand between tokens alone.
fn one_line(json: String) -> String {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json }
}

/// Which part of the inbox.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paged {
    /// Messages after this one: the `next_cursor` of the answer before, or an id.
    cursor: Option<u64>,
    /// How many; by default 100, at most 1,000. An answer has 4 MiB of payload at most.
    limit: Option<usize>,
}

/// A part of the inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Inbox {
    messages: Vec<Message>,
    /// The cursor of the next part; null at the end.
    next_cursor: Option<u64>,
    /// How many messages there are in all.
    unread: usize,
}

/// Messages that came and were not released, oldest first.
#[utoipa::path(get, path = "/direct/inbox", params(Paged), tag = "direct",
    responses((status = 200, body = Inbox), Failures))]
pub(super) async fn inbox(Asked { node, query, .. }: Asked<Paged>) -> Result<Json<Inbox>, Failure> {
    let Paged { cursor, limit } = query;
    if limit == Some(0) {
        return Err(bad_query("limit: 1 at least"));
    }
    let limit = limit.unwrap_or(PAGE).min(PAGE_MAX);
    let mailbox = node.mailbox();
    let found = mailbox.inbox(cursor.unwrap_or(0), limit).await?;
    let unread = mailbox.view().await?.depth.inbox;
    let last = found.last().map(|envelope| envelope.number);
    let next_cursor = match last {
        Some(last) if !mailbox.inbox(last, 1).await?.is_empty() => Some(last),
        _ => None,
    };
    let messages = found.iter().map(Message::of).collect();
    Ok(Json(Inbox { messages, next_cursor, unread }))
}
