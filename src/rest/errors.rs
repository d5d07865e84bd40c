//! Errors as programs see them: one object, with the status that fits.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::interface::error::Fault;

use crate::home::HomeError;
use crate::node::{JoinError, Stopped};

/// The error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A word that programs tell errors apart by.
    pub error: String,
    /// What happened.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What some errors say beside that: who holds an issue, or which names could be meant.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) body: Box<ErrorBody>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: &str, detail: &str, hint: &str) -> Self {
        let body = ErrorBody {
            error: error.to_owned(),
            detail: detail.to_owned(),
            hint: hint.to_owned(),
            retryable: false,
            details: Map::new(),
        };
        Self { status, body: Box::new(body) }
    }

    /// Logs what is this side's fault; what is the caller's, the caller is told.
    fn log(&self) {
        if self.status.is_server_error() {
            tracing::error!(error = %self.body.error, detail = %self.body.detail, "a request failed");
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<Stopped> for Failure {
    fn from(error: Stopped) -> Self {
        let mut failure = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            &error.to_string(),
            "start it again with `x0x up`",
        );
        failure.body.retryable = true;
        failure
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let error = match error {
            HomeError::Tracker(error) => return error.into(),
            error => error,
        };
        let (status, detail) = (status_of(error.fault()), error.to_string());
        let mut failure = Self::new(status, error.code(), &detail, &error.hint());
        failure.body.retryable = error.is_retryable();
        failure.log();
        failure
    }
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        let (status, detail) = (status_of(error.fault()), error.detail());
        let mut failure = Self::new(status, error.code(), &detail, &error.hint());
        failure.body.retryable = error.is_retryable();
        failure.body.details = error.details();
        failure.log();
        failure
    }
}

fn status_of(fault: Fault) -> StatusCode {
    match fault {
        Fault::NotFound => StatusCode::NOT_FOUND,
        Fault::Conflict => StatusCode::CONFLICT,
        Fault::NotAllowed => StatusCode::FORBIDDEN,
        Fault::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Home(error) => error.into(),
            JoinError::Refused(_) => Self::new(
                StatusCode::FORBIDDEN,
                "ticket_refused",
                &error.to_string(),
                "ask who issued it for a new one: `x0x invite`",
            ),
        }
    }
}
