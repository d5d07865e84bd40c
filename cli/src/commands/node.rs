//! What the commands around a node have in common.

use std::path::PathBuf;

use serde_json::Value;
use x0x::config::{Given, Settings};
use x0x::rest::client::{Client, ClientError};

use crate::error::CliError;
use crate::resolve::Session;

/// Returns the node that runs in the data directory; an error too where it does not answer at all.
pub fn client(session: &Session) -> Result<Client, CliError> {
    session.check_node()?;
    Ok(Client::of(session.home.dir())?)
}

/// Returns the node that runs in the data directory; `None` where none answers.
pub fn running(session: &Session) -> Result<Option<Client>, CliError> {
    session.check_node()?;
    let Ok(client) = Client::of(session.home.dir()) else { return Ok(None) };
    match client.get::<Value>("/agent") {
        Ok(agent) if agent["agent_id"].is_string() => Ok(Some(client)),
        Err(ClientError::Unreachable { .. } | ClientError::Refused(_)) => Ok(None),
        // Another program has the address of a node that is gone.
        _ if session.home.holder()?.is_none() => Ok(None),
        Ok(_) => Ok(Some(client)),
        Err(error) => Err(error.into()),
    }
}

/// Returns how a node is to run here: as was typed, else as the file says, else as usual.
pub fn settings(
    session: &Session,
    given: Given,
    file: Option<&PathBuf>,
    level: &'static str,
) -> Result<Settings, CliError> {
    let level = level.parse().unwrap_or_else(|error| unreachable!("a level of our own: {error}"));
    let file = file.map(|file| session.current_dir.join(file));
    Ok(Settings::load(session.home.dir(), file.as_deref(), given, level)?)
}

/// Returns the first digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
