//! `x0x status`: the node that runs here.

use std::io::Write;

use serde_json::Value;

use super::node::{client, short};
use crate::error::{CliError, Exit};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// Shows what the node says of itself.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let status: Value = client(session)?.get("/status")?;
    let output = session.output;
    if output.json {
        output.json(&status)?;
        return Ok(Exit::Done);
    }
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let seconds = status["uptime_ms"].as_i64().unwrap_or_default() / 1_000;
    output.data(|stdout| {
        writeln!(stdout, "agent    {}", text("agent_id"))?;
        let (version, pid) = (text("version"), &status["pid"]);
        writeln!(stdout, "version  {version}, process {pid}, for {seconds} s")?;
        writeln!(stdout, "listen   {}", text("listen"))?;
        writeln!(stdout, "api      {}", text("api"))?;
        writeln!(stdout, "peers    {}", status["peers"])?;
        for list in status["lists"].as_array().into_iter().flatten() {
            let (name, id) = (list["name"].as_str(), list["id"].as_str().unwrap_or_default());
            writeln!(
                stdout,
                "list     {} ({}): {} issues, {} commits, {}, shared with {} linked",
                name.unwrap_or_default(),
                short(id),
                list["issues"],
                list["commits"],
                list["role"].as_str().unwrap_or("not a member yet"),
                list["peers"],
            )?;
        }
        for list in status["unopened"].as_array().into_iter().flatten() {
            let text = |field: &str| list[field].as_str().unwrap_or_default();
            let (id, holder) = (short(text("id")), one_line(text("held_by")));
            writeln!(stdout, "list     {id} is not open: held by {holder}")?;
        }
        for joining in status["joining"].as_array().into_iter().flatten() {
            let id = |at: usize| short(joining[at].as_str().unwrap_or_default()).to_owned();
            writeln!(stdout, "joining  {}, waiting for agent {}", id(0), id(1))?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
