//! Errors as programs see them: one object, with the status that fits.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoResponses, ToSchema};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::interface::error::Fault;

use super::answer::Exact;
use crate::dm::DmError;
use crate::home::HomeError;
use crate::node::{JoinError, Stopped, TooManySubscribers};

/// The error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    pub details: Map<String, Value>,
}

/// How every request can fail.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "what the OpenAPI document says of errors; none is made of it")]
pub(super) enum Failures {
    /// It is no request that the node understands.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// It does not show the token.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// A web page makes it, or this agent's role does not allow it.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// What it names is not there.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The path does not answer this method.
    #[response(status = 405)]
    WrongMethod(ErrorBody),
    /// The body did not come in time.
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// Somebody else was first.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The issue has another version by now.
    #[response(status = 412)]
    WrongVersion(ErrorBody),
    /// The body is larger than it may be.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is of another type.
    #[response(status = 415)]
    WrongType(ErrorBody),
    /// A value makes no sense.
    #[response(status = 422)]
    Invalid(ErrorBody),
    /// The program speaks another version of this interface.
    #[response(status = 426)]
    OtherVersion(ErrorBody),
    /// The node or its disk is at fault.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Trying again later may help.
    #[response(status = 503)]
    Unavailable(ErrorBody),
    /// Another machine did not answer in time.
    #[response(status = 504)]
    GatewayTimeout(ErrorBody),
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) body: Box<ErrorBody>,
    /// The error itself, for programs that take it.
    exact: Option<Exact>,
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
        Self { status, body: Box::new(body), exact: None }
    }

    /// Returns the failure of a request that is none.
    pub(super) fn bad_request(detail: &str, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail, hint)
    }

    /// Logs what is this side's fault; what is the caller's, the caller is told.
    fn log(&self) {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self.body.error, detail = %self.body.detail, "a request failed");
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(exact) = self.exact {
            response.extensions_mut().insert(exact);
        }
        response
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

impl From<TooManySubscribers> for Failure {
    fn from(error: TooManySubscribers) -> Self {
        let hint = "end some that are not needed; GET /diagnostics/gossip names who follows what";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut failure = Self::new(status, "too_many_subscribers", &error.to_string(), hint);
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
        let (status, detail) = (status_of(error.fault()), error.detail());
        let mut failure = Self::new(status, error.code(), &detail, &error.hint());
        failure.body.retryable = error.is_retryable();
        failure.log();
        failure
    }
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        let (status, detail) = (status_of(error.fault()), error.detail());
        let status = match error {
            TrackerError::VersionMismatch { .. } => StatusCode::PRECONDITION_FAILED,
            _ => status,
        };
        let mut failure = Self::new(status, error.code(), &detail, &error.hint());
        failure.body.retryable = error.is_retryable();
        failure.body.details = error.details();
        failure.exact = Exact::of(&error.to_tell());
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
        Fault::Unavailable | Fault::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
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

impl From<DmError> for Failure {
    fn from(error: DmError) -> Self {
        let status = match &error {
            DmError::RecipientUnknown { .. } => StatusCode::NOT_FOUND,
            DmError::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            DmError::TooManyIssues { .. } | DmError::BadMessageId => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            DmError::MessageIdTaken { .. } => StatusCode::CONFLICT,
            DmError::NotAllowed { .. } => StatusCode::FORBIDDEN,
            DmError::OutboxFull | DmError::InboxFull { .. } | DmError::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            DmError::Expired { .. } | DmError::DeliveryTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            DmError::Store { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut failure = Self::new(status, error.code(), &error.to_string(), error.hint());
        failure.body.retryable = error.is_retryable();
        if let DmError::Expired { message_id } | DmError::DeliveryTimeout { message_id } = &error {
            let is_queued = matches!(error, DmError::DeliveryTimeout { .. });
            failure.body.details.insert("message_id".to_owned(), message_id.as_str().into());
            failure.body.details.insert("queued".to_owned(), is_queued.into());
        }
        failure
    }
}
