//! Asking a node of this machine: where it is stands in its data directory, with the token.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use x0x_tracker::store::After;

pub use super::errors::ErrorBody;
use super::nodes::LENT;
use super::{ADDRESS_FILE, TOKEN_FILE};

/// How long an answer may take that waits for nothing.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a node that is there may take to take the call.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// A node that can be asked.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) base: String,
    pub(super) token: String,
    pub(super) agent: ureq::Agent,
}

/// A node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers.
    #[error("no node answers{}", at(address))]
    Unreachable {
        /// Where it should be, if that is known.
        address: Option<String>,
    },
    /// The node refused, and said why.
    #[error("{}", .0.detail)]
    Refused(Box<ErrorBody>),
    /// What it answered is none of its answers: another program, or another version.
    #[error("the node answered what this program does not understand")]
    NotUnderstood {
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "start a node here with `x0x up`".to_owned(),
            Self::Refused(body) => body.hint.clone(),
            Self::NotUnderstood { .. } => {
                "stop the node with the program that started it, and start \
                it again with this one"
                    .to_owned()
            }
        }
    }

    /// Tells whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(body) => body.retryable,
            Self::NotUnderstood { .. } => false,
        }
    }
}

fn at(address: &Option<String>) -> String {
    address.as_ref().map_or(String::new(), |address| format!(" at {address}"))
}

impl Client {
    /// Returns the node of a data directory.
    ///
    /// # Errors
    /// Where none ever ran there.
    pub fn of(dir: &Path) -> Result<Self, ClientError> {
        let read = |name| fs::read_to_string(dir.join(name));
        let (Ok(address), Ok(token)) = (read(ADDRESS_FILE), read(TOKEN_FILE)) else {
            return Err(ClientError::Unreachable { address: None });
        };
        Ok(Self::at(address.trim(), token.trim()))
    }

    /// Returns the node that has the data directory and answers at an address.
    ///
    /// # Errors
    /// Where it has no token yet.
    pub(super) fn with(dir: &Path, address: &str) -> Result<Self, ClientError> {
        match fs::read_to_string(dir.join(TOKEN_FILE)) {
            Ok(token) => Ok(Self::at(address, token.trim())),
            Err(_none) => Err(ClientError::Unreachable { address: Some(address.to_owned()) }),
        }
    }

    fn at(address: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_MAX))
            // The token is for this node alone, whatever the environment says of the web.
            .proxy(None)
            .max_redirects(0)
            // What the node calls those who follow something.
            .user_agent(concat!("x0x/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            base: format!("http://{address}"),
            token: format!("Bearer {token}"),
            agent: config.into(),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(ANSWER_MAX)).build();
        self.read(request.header("Authorization", &self.token).call())
    }

    /// Has something done; waits for as long as that takes.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.read(request.header("Authorization", &self.token).send_json(body))
    }

    /// Has something done that takes a moment.
    ///
    /// # Errors
    /// Where nobody answers soon, or the node refuses.
    pub fn post_briefly<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.briefly(self.agent.post(format!("{}{path}", self.base)), body)
    }

    /// Has something put in the place of what is there.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.briefly(self.agent.put(format!("{}{path}", self.base)), body)
    }

    /// Has something changed; waits for as long as that takes.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.agent.patch(format!("{}{path}", self.base));
        self.read(request.header("Authorization", &self.token).send_json(body))
    }

    fn briefly<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = request.config().timeout_global(Some(ANSWER_MAX)).build();
        self.read(request.header("Authorization", &self.token).send_json(body))
    }

    fn read<T: DeserializeOwned>(
        &self,
        answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, ClientError> {
        let mut response = answered.map_err(|error| self.failed(error))?;
        // An answer that breaks off is none.
        if response.status().is_success() {
            return response.body_mut().read_json().map_err(|error| self.failed(error));
        }
        let body: ErrorBody =
            response.body_mut().read_json().map_err(|error| self.failed(error))?;
        Err(ClientError::Refused(Box::new(body)))
    }

    pub(super) fn failed(&self, error: ureq::Error) -> ClientError {
        match error {
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Timeout(_) => {
                let address = self.base.trim_start_matches("http://").to_owned();
                ClientError::Unreachable { address: Some(address) }
            }
            error => ClientError::NotUnderstood { source: Box::new(error) },
        }
    }
}

/// The stores of a node, lent until it is dropped.
pub struct Borrowed {
    _connection: BufReader<ureq::BodyReader<'static>>,
}

impl std::fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Borrowed")
    }
}

impl After for Borrowed {}

/// Borrows the stores of the node that has the lock of a data directory; `None` where it does not lend
/// them, which the lock will tell.
pub fn borrow(dir: &Path, api: &str, wait: Duration) -> Option<Borrowed> {
    let token = fs::read_to_string(dir.join(TOKEN_FILE)).ok()?;
    let client = Client::at(api, token.trim());
    let request = client.agent.post(format!("{}/store/loan", client.base));
    let request = request.config().timeout_recv_response(Some(wait.max(CONNECT_MAX))).build();
    let response = request.header("Authorization", &client.token).send_empty().ok()?;
    if !response.status().is_success() {
        return None;
    }
    let mut connection = BufReader::new(response.into_body().into_reader());
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    (line == LENT).then_some(Borrowed { _connection: connection })
}
