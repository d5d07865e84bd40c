//! What the commands around a node have in common.

use serde_json::Value;
use x0x::node::Config;
use x0x::rest::client::{Client, ClientError};

use crate::args::node::ListenArgs;
use crate::error::CliError;
use crate::resolve::Session;

/// Returns the node that runs in the data directory.
pub fn client(session: &Session) -> Result<Client, CliError> {
    Ok(Client::of(session.home.dir())?)
}

/// Returns the node that runs in the data directory; `None` where none answers.
pub fn running(session: &Session) -> Result<Option<Client>, CliError> {
    let Ok(client) = client(session) else { return Ok(None) };
    match client.get::<Value>("/agent") {
        Ok(_) => Ok(Some(client)),
        Err(ClientError::Unreachable { .. } | ClientError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns how a node is to run here.
pub fn config(session: &Session, listen: &ListenArgs) -> Config {
    Config {
        home: session.home.clone(),
        listen: listen.listen,
        api: listen.api,
        allow_remote: listen.allow_remote,
        advertise: listen.advertise.clone(),
        lock_wait: session.lock_timeout,
    }
}

/// Returns the first digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
