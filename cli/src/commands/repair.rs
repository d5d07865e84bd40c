//! `x0x repair`: a damaged list is kept aside, so that it can come back from others.

use std::io::Write;

use serde_json::{Value, json};
use x0x::backup::Repaired;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::TrackerError;

use super::node::running;
use crate::error::{CliError, Exit};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// Checks the list, and keeps it aside where it is damaged.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    if let Some(node) = running(session)? {
        let status: Value = node.get("/status")?;
        return Err(CliError::Runs { pid: status["pid"].as_u64().unwrap_or_default() });
    }
    let list = damaged(session)?;
    let Repaired { faults, kept_as } = session.home.repair(list, session.lock_timeout)?;
    let output = session.output;
    let Some(kept) = kept_as else {
        if output.json {
            output.json(&json!({"list": list.to_string(), "problems": [], "kept_as": null}))?;
        } else {
            output
                .note("Every page and commit of the list is as it should be; nothing was changed.");
        }
        return Ok(Exit::Done);
    };
    if output.json {
        let kept = kept.display().to_string();
        let problems: Vec<_> = faults.iter().map(|fault| json!({"reason": fault})).collect();
        output.json(&json!({"list": list.to_string(), "problems": problems, "kept_as": kept}))?;
        return Ok(Exit::Done);
    }
    output.data(|stdout| {
        faults.iter().try_for_each(|fault| writeln!(stdout, "{}", one_line(fault)))?;
        writeln!(stdout, "kept as {}", one_line(&kept.display().to_string()))
    })?;
    output.note(
        "The list comes back from any other member: a maintainer's `x0x invite` prints a ticket, and \
         `x0x join TICKET` here fetches it, under the same agent. Or from a backup: `x0x restore FILE`. \
         What was written here and heard by nobody is in the file that was kept alone.",
    );
    Ok(Exit::Done)
}

/// Returns the list that is meant: where none is named, or by a name that no sound one has, the only one that is
/// damaged.
fn damaged(session: &Session) -> Result<ListId, CliError> {
    session.list().or_else(|error| match session.home.damaged_lists()?[..] {
        [only] if !session.names_list() || error.tracker().is_some_and(TrackerError::is_damage) => {
            Ok(only)
        }
        _ => Err(error),
    })
}
