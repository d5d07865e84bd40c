//! What happens to task lists, as a stream of server-sent events (WHATWG HTML, section 9.2).

use std::fmt::Write;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::asked::Asked;
use super::body::bad_query;
use super::errors::{Failure, Failures};
use super::streamed::{Teller, streamed};
use super::subscriber::Subscriber;
use crate::node::{EventFollower, Happened, KINDS};
use crate::time;

/// The header in which a program names the last event that it had.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

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
/// which says that something was missed, and where it is known how much, so that issues are to be listed again.
#[utoipa::path(get, path = "/issues/events", params(Followed), tag = "events",
    responses((status = 200, body = String, content_type = "text/event-stream"), Failures))]
pub(super) async fn events(
    Asked { node, query, .. }: Asked<Followed>,
    subscriber: Subscriber,
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
    let events = node.events();
    let (after, unknown) = match last.map(parsed) {
        None => (None, None),
        Some(None) => {
            return Err(bad_query("the last event has no such id: send one as an event had it"));
        }
        Some(Some((epoch, _))) if epoch != events.epoch() => {
            (None, Some("the event is of another run of the node"))
        }
        Some(Some((_, number))) if number > events.newest() => {
            (None, Some("no event has that number"))
        }
        Some(Some((_, number))) => (Some(number), None),
    };
    let Subscriber { name, max } = subscriber;
    let follower = events.admit(max, &name, list, after)?;
    let epoch = events.epoch();
    let mut opening = format!("{}retry: {RETRY_MS}\n\n", place(epoch, follower.seen()));
    if let Some(reason) = unknown {
        push_reset(&mut opening, epoch, follower.seen(), reason, None);
    }
    Ok(streamed(Reader { epoch, follower, types, opening: Some(opening) }))
}

/// Somebody who reads events as they come.
struct Reader {
    epoch: u64,
    follower: EventFollower,
    types: Option<Vec<String>>,
    opening: Option<String>,
}

impl Teller for Reader {
    async fn next(&mut self) -> Option<String> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        let began = time::origin();
        loop {
            // What is told to others does not count.
            let left = SILENCE_MAX.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, self.follower.next()).await {
                Ok(happened) => {
                    let text = self.text(&happened?);
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
                Err(_silence) => {
                    return Some(format!(
                        ": still here\n{}\n",
                        place(self.epoch, self.follower.seen())
                    ));
                }
            }
        }
    }
}

impl Reader {
    fn text(&self, happened: &[Happened]) -> String {
        let mut text = String::new();
        for (at, one) in happened.iter().enumerate() {
            match one {
                Happened::Lagged { missed } => {
                    // Whoever comes back from there is given what follows.
                    let before = match happened.get(at + 1) {
                        Some(Happened::Event(next)) => next.number - 1,
                        Some(Happened::Lagged { .. }) | None => self.follower.seen(),
                    };
                    let reason = "more happened than is kept";
                    push_reset(&mut text, self.epoch, before, reason, Some(*missed));
                }
                Happened::Event(event) if self.wants(event.kind) => {
                    push(&mut text, self.epoch, event.number, event.kind, &event.data);
                }
                Happened::Event(_) => {}
            }
        }
        text
    }

    fn wants(&self, kind: &str) -> bool {
        let types = self.types.as_ref();
        kind == "reset" || types.is_none_or(|types| types.iter().any(|wanted| wanted == kind))
    }
}

/// Returns the line that says how far events were told: who comes back from there misses none.
fn place(epoch: u64, number: u64) -> String {
    format!("id: {epoch:x}-{number}\n")
}

fn push(text: &mut String, epoch: u64, number: u64, kind: &str, data: &str) {
    // Writing to a text cannot fail; the data are one line.
    let _written = write!(text, "{}event: {kind}\ndata: {data}\n\n", place(epoch, number));
}

/// Says that something was missed, and how much of it, where that is known.
fn push_reset(text: &mut String, epoch: u64, number: u64, reason: &str, missed: Option<u64>) {
    let mut data = json!({"type": "reset", "reason": reason});
    if let Some(missed) = missed {
        data["missed"] = missed.into();
    }
    push(text, epoch, number, "reset", &data.to_string());
}

/// Returns the run and the number that an id of an event names.
fn parsed(id: &str) -> Option<(u64, u64)> {
    let (epoch, number) = id.split_once('-')?;
    Some((u64::from_str_radix(epoch, 16).ok()?, number.parse().ok()?))
}
