//! Asking a node in the words of x0x itself: exact answers, and errors that say what the task list said.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response, header};
use ureq::{Body, SendBody};
use x0x_tracker::id::Version;
use x0x_tracker::interface::error::Fault;
use x0x_tracker::interface::{Told, TrackerError};

use super::answer::{API_HEADER, API_VERSION, EXACT_TYPE, tag_of};
use super::client::{Client, ClientError};
use super::errors::ErrorBody;

/// How long the node may take to begin an answer. Others may have much to write just then.
const BEGIN_MAX: Duration = Duration::from_secs(120);

/// The longest answer that is taken at once, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Something to ask.
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<String>,
    if_version: Option<Version>,
    key: Option<String>,
}

impl Call {
    pub(super) fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: None, if_version: None, key: None }
    }

    pub(super) fn post(path: &str, body: String) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    pub(super) fn patch(path: &str, body: String) -> Self {
        Self { method: Method::PATCH, ..Self::post(path, body) }
    }

    /// Asks for it only where the issue has this version.
    pub(super) fn if_version(self, if_version: Option<Version>) -> Self {
        Self { if_version, ..self }
    }

    /// Tells it from every other, so that it is done once.
    pub(super) fn key(self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self }
    }

    fn writes(&self) -> bool {
        self.method != Method::GET
    }
}

/// An answer that comes bit by bit.
pub(super) struct Streamed {
    client: Client,
    head: ureq::http::response::Parts,
    body: ureq::BodyReader<'static>,
}

impl Streamed {
    /// Returns what a header says (postcard in hex digits).
    pub(super) fn header<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrackerError> {
        let value = self.head.headers.get(name).and_then(|value| value.to_str().ok());
        let bytes = value.and_then(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).ok());
        let decoded = bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        decoded.ok_or_else(|| not_understood("a header of its answer is missing"))
    }

    /// Returns how many bytes it has, where the node said so.
    pub(super) fn length(&self) -> Option<u64> {
        self.head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Returns the error of an answer that broke off.
    pub(super) fn gone(&self) -> TrackerError {
        self.client.gone()
    }
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Client {
    /// Asks, and returns what the node answered.
    pub(super) fn exact<T: DeserializeOwned>(&self, call: Call) -> Result<T, TrackerError> {
        let mut response = self.call(call)?;
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = read.map_err(|_cut| self.gone())?;
        postcard::from_bytes(&bytes).map_err(|error| not_understood(&error.to_string()))
    }

    /// Asks, and returns the answer as it comes.
    pub(super) fn stream(&self, call: Call) -> Result<Streamed, TrackerError> {
        Ok(self.streamed(self.call(call)?))
    }

    /// Sends a file, and returns the answer as it comes.
    pub(super) fn send_file(
        &self,
        path: &str,
        file: &mut dyn BufRead,
    ) -> Result<Streamed, TrackerError> {
        let call = Call { method: Method::POST, ..Call::get(path) };
        let mut failure = None;
        let mut noting = Noting { file, failure: &mut failure };
        let sent = self.send(call, SendBody::from_reader(&mut noting), "application/jsonl");
        match failure {
            Some(source) => {
                Err(TrackerError::Io { what: "cannot read the file".to_owned(), source })
            }
            None => Ok(self.streamed(sent?)),
        }
    }

    fn streamed(&self, response: Response<Body>) -> Streamed {
        let (head, body) = response.into_parts();
        Streamed { client: self.clone(), head, body: body.into_reader() }
    }

    fn call(&self, call: Call) -> Result<Response<Body>, TrackerError> {
        match call.body.clone() {
            Some(body) => self.send(call, body, "application/json"),
            None => self.send(call, (), "application/json"),
        }
    }

    fn send(
        &self,
        call: Call,
        body: impl ureq::AsSendBody,
        kind: &str,
    ) -> Result<Response<Body>, TrackerError> {
        let writes = call.writes();
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(header::AUTHORIZATION, &self.token)
            .header(header::ACCEPT, EXACT_TYPE)
            .header(header::CONTENT_TYPE, kind)
            .header(API_HEADER, API_VERSION.to_string());
        if let Some(version) = call.if_version {
            request = request.header(header::IF_MATCH, tag_of(version));
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(body).map_err(|error| not_understood(&error.to_string()))?;
        let request = self.agent.configure_request(request);
        let request = request.timeout_recv_response(Some(BEGIN_MAX)).build();
        let response = self.agent.run(request).map_err(|error| match self.failed(error) {
            // Whether the request came through is not known: it may have, and the answer may be lost.
            ClientError::Unreachable { .. } if writes => self.gone(),
            error => error.to_tell(),
        })?;
        self.understood(response)
    }

    /// Returns an answer of this version that says what was asked for.
    fn understood(&self, mut response: Response<Body>) -> Result<Response<Body>, TrackerError> {
        let (status, headers) = (response.status(), response.headers());
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        let is_exact = kind == EXACT_TYPE.as_bytes();
        let theirs = headers.get(API_HEADER).map(|version| version.as_bytes().to_vec());
        if status.is_success() || is_exact {
            if theirs.as_deref() != Some(API_VERSION.to_string().as_bytes()) {
                return Err(other_version(theirs.as_deref()));
            }
            if status.is_success() {
                return Ok(response);
            }
        }
        let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|_cut| self.gone())?;
        if is_exact {
            let error = postcard::from_bytes(&bytes);
            return Err(error.unwrap_or_else(|error| not_understood(&error.to_string())));
        }
        let told: ErrorBody =
            serde_json::from_slice(&bytes).map_err(|error| not_understood(&error.to_string()))?;
        Err(ClientError::Refused(Box::new(told)).to_tell())
    }

    /// Returns the error of an answer that never came, or broke off.
    pub(super) fn gone(&self) -> TrackerError {
        let address = self.base.trim_start_matches("http://");
        TrackerError::Told(Box::new(Told {
            code: "node_unreachable".to_owned(),
            detail: format!("the node at {address} went away before it had answered"),
            hint: "look whether it was done (`x0x issues show ID`) before you do it again"
                .to_owned(),
            fault: Fault::Unreachable,
            is_retryable: true,
        }))
    }
}

impl ClientError {
    /// Returns the error as a task list says it.
    pub(crate) fn to_tell(&self) -> TrackerError {
        let (code, fault) = match self {
            Self::Unreachable { .. } => ("node_unreachable".to_owned(), Fault::Unreachable),
            Self::Refused(body) => (
                body.error.clone(),
                match body.error.as_str() {
                    "unknown_list" | "no_list" => Fault::NotFound,
                    "stopping" => Fault::Unreachable,
                    "bad_request" | "invalid" | "too_large" | "many_lists" => Fault::Invalid,
                    _ => Fault::Unavailable,
                },
            ),
            Self::NotUnderstood { .. } => ("api_version".to_owned(), Fault::Unavailable),
        };
        let detail = match self {
            Self::NotUnderstood { source } => format!("{self}: {source}"),
            error => error.to_string(),
        };
        let (hint, is_retryable) = (self.hint(), self.is_retryable());
        TrackerError::Told(Box::new(Told { code, detail, hint, fault, is_retryable }))
    }
}

fn not_understood(what: &str) -> TrackerError {
    ClientError::NotUnderstood { source: what.into() }.to_tell()
}

fn other_version(theirs: Option<&[u8]>) -> TrackerError {
    let theirs = match theirs {
        Some(version) => {
            format!("speaks version {} of its interface", String::from_utf8_lossy(version))
        }
        None => "says no version of its interface".to_owned(),
    };
    TrackerError::Told(Box::new(Told {
        code: "api_version".to_owned(),
        detail: format!(
            "the node {theirs}, this program (x0x {}) speaks version {API_VERSION}",
            env!("CARGO_PKG_VERSION")
        ),
        hint:
            "stop the node with the x0x that it was started with, and start it again with this one"
                .to_owned(),
        fault: Fault::Unavailable,
        is_retryable: false,
    }))
}

/// Keeps what the operating system said when reading failed.
struct Noting<'a> {
    file: &'a mut dyn BufRead,
    failure: &'a mut Option<io::Error>,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(|error| {
            let kind = error.kind();
            *self.failure = Some(error);
            kind.into()
        })
    }
}
