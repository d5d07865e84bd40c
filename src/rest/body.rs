//! What a request says in its body and its headers, bounded, and refused with what is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use x0x_tracker::id::Version;
use x0x_tracker::interface::record::Record;
use x0x_tracker::jsonl::text;

use super::errors::Failure;
use super::serving::Limits;

/// The largest body of a request, in bytes, other than a file to import.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

const JSON_HINT: &str = "send a JSON object with `Content-Type: application/json`";

/// A body that was not read yet, with the headers that came before it.
pub(super) struct Unread {
    headers: HeaderMap,
    body: Body,
    wait: Duration,
}

impl<S: Sync> axum::extract::FromRequest<S> for Unread {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: axum::extract::Request, _: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let limits = parts.extensions.get::<Limits>().copied().unwrap_or_default();
        Ok(Self { headers: parts.headers, body, wait: limits.body_wait })
    }
}

impl Unread {
    /// Reads a JSON object of known fields.
    pub(super) async fn object<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let bytes = self.json().await?;
        // An array would be read as the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::bad_request("the body is not an object", JSON_HINT));
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Failure::new(status, "invalid", &error.to_string(), "see /openapi.json for its fields")
        })
    }

    /// Reads a JSON object of any fields, each of them once and as it is spelled.
    pub(super) async fn record(self) -> Result<Vec<(String, String)>, Failure> {
        let bytes = self.json().await?;
        let text = str::from_utf8(&bytes).unwrap_or_default();
        fields_of(text)
    }

    /// Reads a JSON value of well-formed text.
    async fn json(self) -> Result<Bytes, Failure> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json")
            && !kind.eq_ignore_ascii_case("application/merge-patch+json")
        {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let detail = match kind {
                "" => "the request does not say that its body is JSON".to_owned(),
                kind => format!("the request says that its body is {kind}, not JSON"),
            };
            return Err(Failure::new(status, "wrong_type", &detail, JSON_HINT));
        }
        let limited = Limited::new(self.body, BODY_BYTES_MAX);
        let bytes = match tokio::time::timeout(self.wait, limited.collect()).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(too_large(BODY_BYTES_MAX));
            }
            Ok(Err(error)) => return Err(Failure::bad_request(&error.to_string(), JSON_HINT)),
            Err(_elapsed) => return Err(too_slow(self.wait)),
        };
        text::validate(&bytes)
            .map_err(|fault| Failure::bad_request(&format!("the body: {fault}"), JSON_HINT))?;
        Ok(bytes)
    }

    /// Returns the body, which may be of any size and type, and how long each part of it may take.
    pub(super) fn into_stream(self) -> (Body, Duration) {
        (self.body, self.wait)
    }
}

/// Returns the fields of a JSON object, each of them once and as it is spelled.
pub(super) fn fields_of(json: &str) -> Result<Vec<(String, String)>, Failure> {
    let record: Record<'_> = serde_json::from_str(json)
        .map_err(|_other| Failure::bad_request("the body is not an object", JSON_HINT))?;
    let (mut fields, mut known) = (Vec::new(), BTreeSet::new());
    for (name, value) in record.fields() {
        if !known.insert(name) {
            let detail = format!("the field '{name}' is given twice");
            return Err(Failure::bad_request(&detail, "give it once"));
        }
        fields.push((name.to_owned(), text::compact(value)));
    }
    Ok(fields)
}

pub(super) fn too_large(bytes_max: usize) -> Failure {
    let detail = format!("the body has more than {bytes_max} bytes");
    let hint = "put large texts into a file and link it, or split the request";
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &detail, hint)
}

pub(super) fn too_slow(wait: Duration) -> Failure {
    let detail = format!("the body did not come within {} s", wait.as_secs_f64());
    let mut failure =
        Failure::new(StatusCode::REQUEST_TIMEOUT, "too_slow", &detail, "send it without pauses");
    failure.body.retryable = true;
    failure
}

/// Returns the failure of a query.
pub(super) fn bad_query(detail: &str) -> Failure {
    let hint = "see /openapi.json for the parameters; several values are separated by commas";
    Failure::bad_request(detail, hint)
}

/// Returns the version that an issue must have for a request to be carried out; `None` where any will do.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Version>, Failure> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    version.and_then(|version| version.parse().ok()).map(Some).ok_or_else(|| {
        let hint = "send the ETag of an answer as it came, in its quotes";
        Failure::bad_request("If-Match names no version", hint)
    })
}

/// The longest key of a wish, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The header that tells one wish from another.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "what the OpenAPI document says of the header")]
pub(super) struct Keyed {
    /// Any text of at most 255 characters (letters, digits and marks of ASCII) that this agent uses for no
    /// other request.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    key: Option<String>,
}

/// Returns what tells this request from every other; `None` where nothing does.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        let hint = "send 1 to 255 letters, digits and marks of ASCII";
        return Err(Failure::bad_request("Idempotency-Key is none", hint));
    }
    Ok(Some(text.to_owned()))
}
