//! What happens to task lists, as a stream of server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;
use x0x_tracker::id::ListId;

use super::asked::Asked;
use super::body::bad_query;
use super::errors::{Failure, Failures};
use crate::node::{Events, Found, KINDS};
use crate::time;

/// The header in which a program names the last event that it had.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// The type of a stream of events.
pub(super) const EVENTS_TYPE: &str = "text/event-stream";

/// How long nothing happens before the stream says that it is still there.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long a program that lost the stream is to wait before it comes again, in milliseconds.
pub(super) const RETRY_MS: u64 = 1_000;

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Followed {
    /// The task list, by name, id or the start of an id; without it every list of the node.
    list: Option<String>,
    /// Only events of these types, separated by commas; `reset` is always told.
    types: Option<String>,
    /// The id of the last event that the program had, where it cannot send `Last-Event-ID`.
    after: Option<String>,
}

/// Returns the types that are named.
fn types_of(types: &str) -> Result<Vec<String>, Failure> {
    let known = |name: &str| match KINDS.contains(&name) {
        true => Ok(name.to_owned()),
        false => {
            let detail = format!("there are no events of type '{name}': {}", KINDS.join(", "));
            Err(bad_query(&detail))
        }
    };
    types.split(',').map(|part| known(part.trim())).collect()
}

/// What happens from now on, or since the event that `Last-Event-ID` names. Types: created, edited,
/// commented, claimed, confirmed, lost, released, handed_off, ended, reopened, removed, conflict, member; and reset,
/// which says that something was missed, so that issues are to be listed again.
#[utoipa::path(get, path = "/issues/events", params(Followed), tag = "events",
    responses((status = 200, body = String, content_type = "text/event-stream"), Failures))]
pub(super) async fn events(
    Asked { node, query, .. }: Asked<Followed>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Followed { list, types, after } = query;
    let list = match list {
        Some(name) => Some(node.keeper().named(Some(&name)).await??),
        None => None,
    };
    let types = types.map(|types| types_of(&types)).transpose()?;
    let header = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let last = header.or(after.as_deref());
    let events = node.events().clone();
    let told = events.follow();
    let (seen, is_known) = match last {
        None => (events.newest(), true),
        Some(text) => {
            let (epoch, number) = parsed(text).ok_or_else(|| {
                bad_query("the last event has no such id: send one as an event had it")
            })?;
            let is_known = epoch == events.epoch();
            (if is_known { number } else { events.newest() }, is_known)
        }
    };
    let mut opening = format!("{}retry: {RETRY_MS}\n\n", place(&events, seen));
    if !is_known {
        let reason = "the event is of another run of the node";
        push_reset(&mut opening, &events, seen, reason);
    }
    let follower = Follower { events, told, seen, list, types, opening: Some(opening) };
    let body = Body::from_stream(stream::unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    }));
    let headers = [(header::CONTENT_TYPE, EVENTS_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// Somebody who follows events.
struct Follower {
    events: Events,
    told: watch::Receiver<u64>,
    seen: u64,
    list: Option<ListId>,
    types: Option<Vec<String>>,
    opening: Option<String>,
}

impl Follower {
    /// Returns what is to be sent next, once there is something; `None` once the node is gone.
    async fn next(&mut self) -> Option<String> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        let began = time::origin();
        loop {
            self.told.mark_unchanged();
            let text = self.news();
            if !text.is_empty() {
                return Some(text);
            }
            if self.events.is_over() {
                return None;
            }
            // What is told to others does not count.
            let left = SILENCE_MAX.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, self.told.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return None,
                Err(_silence) => {
                    return Some(format!(": still here\n{}\n", place(&self.events, self.seen)));
                }
            }
        }
    }

    fn news(&mut self) -> String {
        let Found { events, has_gap, newest } = self.events.after(self.seen);
        let mut text = String::new();
        if has_gap {
            push_reset(&mut text, &self.events, self.seen, "more happened than is kept");
        }
        self.seen = newest;
        for event in events {
            let is_wanted = |types: &Vec<String>| types.iter().any(|kind| kind == event.kind);
            if self.list.is_some_and(|list| list != event.list)
                || event.kind != "reset" && !self.types.as_ref().is_none_or(is_wanted)
            {
                continue;
            }
            push(&mut text, &self.events, event.number, event.kind, &event.data);
        }
        text
    }
}

/// Returns the line that says how far events were told: who comes back from there misses none.
fn place(events: &Events, number: u64) -> String {
    format!("id: {:x}-{number}\n", events.epoch())
}

fn push(text: &mut String, events: &Events, number: u64, kind: &str, data: &str) {
    // Writing to a text cannot fail; the data are one line.
    let _written = write!(text, "{}event: {kind}\ndata: {data}\n\n", place(events, number));
}

fn push_reset(text: &mut String, events: &Events, number: u64, reason: &str) {
    let data = serde_json::json!({"type": "reset", "reason": reason}).to_string();
    push(text, events, number, "reset", &data);
}

/// Returns the run and the number that an id of an event names.
fn parsed(id: &str) -> Option<(u64, u64)> {
    let (epoch, number) = id.split_once('-')?;
    Some((u64::from_str_radix(epoch, 16).ok()?, number.parse().ok()?))
}
