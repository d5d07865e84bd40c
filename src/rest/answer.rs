//! Answers in two forms: JSON for programs, and for x0x itself exactly what the task list said.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use x0x_tracker::id::Version;

use super::errors::Failure;

/// The version of this interface; a program that speaks another one is refused by name.
pub const API_VERSION: u32 = 1;

/// The header in which a program and a node name the version that they speak.
pub(super) const API_HEADER: &str = "x0x-api";

/// The type of an exact answer (postcard); a program that names it must speak the same version.
pub(super) const EXACT_TYPE: &str = "application/vnd.x0x.postcard";

const JSON_TYPE: &str = "application/json";

/// The form in which an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Exact,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT);
        match accepted.is_some_and(|accepted| accepted.as_bytes() == EXACT_TYPE.as_bytes()) {
            true => Self::Exact,
            false => Self::Json,
        }
    }
}

/// An answer as x0x itself takes it, encoded.
#[derive(Clone, Debug)]
pub(super) struct Exact(Bytes);

impl Exact {
    /// Encodes an answer; `None` where it has a part that cannot travel.
    pub(super) fn of(answer: &impl Serialize) -> Option<Self> {
        postcard::to_stdvec(answer).ok().map(|bytes| Self(bytes.into()))
    }

    /// Puts it into a response in place of the body.
    pub(super) fn replace(self, response: &mut Response) {
        *response.body_mut() = Body::from(self.0);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(EXACT_TYPE));
    }
}

/// Something that is answered in either form.
pub(super) trait Answer: Serialize {
    /// Returns it as JSON.
    fn json(&self) -> String;

    /// Returns the version of the issue that it is.
    fn version(&self) -> Option<Version> {
        None
    }
}

/// Answers in the form that is wanted.
pub(super) fn answer(form: Form, answer: &impl Answer) -> Result<Response, Failure> {
    answer_with(StatusCode::OK, form, answer)
}

/// The same, with a status.
pub(super) fn answer_with(
    status: StatusCode,
    form: Form,
    answer: &impl Answer,
) -> Result<Response, Failure> {
    let mut response = match form {
        Form::Json => json(answer.json()),
        Form::Exact => exact(answer)?,
    };
    *response.status_mut() = status;
    if let Some(version) = answer.version()
        && let Ok(tag) = header::HeaderValue::from_str(&tag_of(version))
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Answers x0x itself.
pub(super) fn exact(answer: &impl Serialize) -> Result<Response, Failure> {
    let mut response = StatusCode::OK.into_response();
    let exact = Exact::of(answer).ok_or_else(|| {
        let hint = "ask for application/json";
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "not encodable", hint)
    })?;
    exact.replace(&mut response);
    Ok(response)
}

/// Returns the entity tag of a version.
pub(super) fn tag_of(version: Version) -> String {
    format!("\"{version}\"")
}

/// Answers with JSON.
pub(super) fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, JSON_TYPE)], body).into_response()
}
