//! `x0x stop`: the node that runs here ends.

use std::time::Duration;

use serde_json::{Value, json};
use x0x::time;

use super::node::{client, running};
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// How long a node may take to stop.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stops the node, and returns when it has stopped.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let stopping: Value = client(session)?.post_briefly("/stop", &json!({}))?;
    let is_node = |pid: u32| stopping["pid"] == pid;
    let begun = time::origin();
    // Another may have the stores by then: one that had borrowed them, or that waited for the node's end.
    while running(session)?.is_some() || session.home.holder()?.is_some_and(is_node) {
        if begun.elapsed() >= STOP_MAX {
            let (pid, seconds) = (&stopping["pid"], STOP_MAX.as_secs());
            return Err(CliError::Io {
                what: format!("the node (process {pid}) still runs after {seconds} s"),
                source: std::io::ErrorKind::TimedOut.into(),
            });
        }
        time::pause(LOOK_EVERY);
    }
    if session.output.json {
        session.output.json(&json!({"stopped": true}))?;
    } else {
        session.output.note("Stopped.");
    }
    Ok(Exit::Done)
}
