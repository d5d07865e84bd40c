//! A program that asks a node over connections that it keeps.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::common::site::Site;

/// How long a connection may take: to a node that is stopped it is made all the same.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A node did not do what it was asked.
#[derive(Debug)]
pub struct Failed {
    /// What it said, or what happened to the connection.
    pub why: String,
    /// Whether the same may succeed later.
    pub is_retryable: bool,
}

/// Where a node is asked, and with what.
pub struct Caller {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Caller {
    pub fn of(site: &Site) -> Self {
        let read = |name: &str| fs::read_to_string(site.data().join(name)).unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_MAX))
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            base: format!("http://{}", read("api.port").trim()),
            token: format!("Bearer {}", read("api-token").trim()),
        }
    }

    pub fn get(&self, path: &str, most: Duration) -> Result<Value, Failed> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(most)).build();
        answered(request.header("authorization", &self.token).call())
    }

    /// Has something done, once for all calls with one key.
    pub fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
        most: Duration,
    ) -> Result<Value, Failed> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(most)).build();
        let mut request = request.header("authorization", &self.token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        answered(request.send_json(body))
    }
}

fn answered(
    answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, Failed> {
    let lost = |error: ureq::Error| Failed { why: error.to_string(), is_retryable: true };
    let mut response = answered.map_err(lost)?;
    let status = response.status();
    let body: Value = response.body_mut().read_json().map_err(lost)?;
    if status.is_success() {
        return Ok(body);
    }
    Err(Failed { is_retryable: body["retryable"] == true, why: format!("{status}: {body}") })
}
