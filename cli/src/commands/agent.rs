//! `x0x agent`: who this machine acts as.

use std::io::Write;

use serde_json::json;
use x0x::identity::KEY_FILE;
use x0x_tracker::journal::signature::Signer;

use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column, Look};
use crate::resolve::Session;

/// Shows the agent's id and key file; makes the key if there is none.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let agent = session.home.identity()?.agent();
    let output = session.output;
    if output.json {
        output.json(&json!({"agent_id": agent.to_string(), "name": null, "addresses": []}))?;
        return Ok(Exit::Done);
    }
    let dir = session.home.dir();
    let rows = [
        ["agent", &agent.to_string()],
        ["key file", &dir.join(KEY_FILE).display().to_string()],
        ["data dir", &dir.display().to_string()],
    ]
    .map(|row| row.map(Cell::new).to_vec());
    output.data(|stdout| {
        // Half of an id or a path is of no use, however narrow the terminal is.
        let look = Look { columns_max: None, ..output.look };
        table::write(stdout, &[Column::firm(""), Column::firm("")], &rows, look)?;
        stdout.flush()
    })?;
    Ok(Exit::Done)
}
