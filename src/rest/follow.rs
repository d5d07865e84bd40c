//! Following what happens to the task lists of a node: the asking side of its stream of server-sent events.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::answer::{API_HEADER, API_VERSION};
use super::client::{Client, ClientError};

/// The longest line of the stream that is taken, in bytes: a title and some ids.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The task list, by name or id; `None` for every list of the node.
    pub list: Option<String>,
    /// Only these kinds; none for all. A reset is always told.
    pub kinds: Vec<String>,
    /// The id of the last event that the caller had.
    pub after: Option<String>,
}

/// Something that the node told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened.
    Event {
        /// The id to come back from.
        id: String,
        /// What happened: `type` says what kind of event it is.
        data: Value,
    },
    /// Nothing happened for a while; the stream is still there.
    Alive,
}

/// The events of a node, as they come.
pub struct Following {
    lines: BufReader<ureq::BodyReader<'static>>,
    last: Option<String>,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Client {
    /// Follows events; waits for each as long as it takes.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn follow(&self, wanted: &Wanted) -> Result<Following, ClientError> {
        let mut path = "/issues/events?".to_owned();
        let mut add = |name: &str, value: &str| {
            // Writing to a text cannot fail.
            let _written = write!(path, "{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
        };
        if let Some(list) = &wanted.list {
            add("list", list);
        }
        if !wanted.kinds.is_empty() {
            add("types", &wanted.kinds.join(","));
        }
        if let Some(after) = &wanted.after {
            add("after", after);
        }
        let body = self.begin(&path, &API_VERSION.to_string())?;
        Ok(Following { lines: BufReader::new(body.into_reader()), last: wanted.after.clone() })
    }

    /// Follows the direct messages that come, from now on or after the one with some number; waits for each as
    /// long as it takes.
    ///
    /// # Errors
    /// Where nobody answers, or the node refuses.
    pub fn follow_messages(&self, after: Option<u64>) -> Result<Following, ClientError> {
        let after = after.map_or(String::new(), |after| format!("?after={after}"));
        let body = self.begin(&format!("/direct/events{after}"), &API_VERSION.to_string())?;
        Ok(Following { lines: BufReader::new(body.into_reader()), last: None })
    }

    fn begin(&self, path: &str, version: &str) -> Result<ureq::Body, ClientError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_recv_response(Some(super::client::ANSWER_MAX));
        let request = request.build().header("Authorization", &self.token);
        let answered = request.header(API_HEADER, version).call();
        let mut response = answered.map_err(|error| self.failed(error))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let refused = response.body_mut().read_json().map_err(|error| self.failed(error))?;
        Err(ClientError::Refused(Box::new(refused)))
    }
}

impl Following {
    /// Returns the id from which to come back, once the node said one.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Returns what is told next, once something is; `None` once the stream is over, or broke off.
    pub fn next_told(&mut self) -> Option<Told> {
        let mut data = String::new();
        let mut has_data = false;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                if !line.is_empty() {
                    continue;
                }
                if !has_data {
                    return Some(Told::Alive);
                }
                // Whoever sends something else than its own JSON is no node.
                let data = serde_json::from_str(&data).ok()?;
                let id = self.last.clone().unwrap_or_default();
                return Some(Told::Event { id, data });
            };
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => self.last = Some(value.to_owned()),
                "data" => {
                    data.push_str(value);
                    has_data = true;
                }
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let mut lines = self.lines.by_ref().take(LINE_BYTES_MAX);
        lines.read_line(&mut line).ok()?;
        line.strip_suffix('\n').map(str::to_owned)
    }
}
