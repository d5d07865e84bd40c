//! `x0x log-level`: which events the node that runs here logs.

use std::io::Write;

use serde_json::{Value, json};

use super::node::client;
use crate::args::node::LogLevelArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Shows the filter of the log, or sets it.
pub fn run(session: &Session, args: &LogLevelArgs) -> Result<Exit, CliError> {
    let client = client(session)?;
    let level: Value = match &args.filter {
        Some(filter) => client.put("/log-level", &json!({"filter": filter}))?,
        None => client.get("/log-level")?,
    };
    if session.output.json {
        session.output.json(&level)?;
    } else {
        let filter = level["filter"].as_str().unwrap_or_default();
        session.output.data(|stdout| writeln!(stdout, "{filter}"))?;
    }
    Ok(Exit::Done)
}
