//! Answers that go on: what a teller has, one part after another, as server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

/// The type of a stream of events.
pub(super) const EVENTS_TYPE: &str = "text/event-stream";

/// Whoever has something to tell, one part after another.
pub(super) trait Teller: Send + 'static {
    /// Returns what is to be sent next, once there is something; `None` where nothing comes any more.
    fn next(&mut self) -> impl Future<Output = Option<String>> + Send;
}

/// Returns the answer that goes on for as long as there is something to tell.
pub(super) fn streamed(teller: impl Teller) -> Response {
    let body = Body::from_stream(stream::unfold(teller, |mut teller| async move {
        let text = teller.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), teller))
    }));
    let headers = [(header::CONTENT_TYPE, EVENTS_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}
