//! `x0x issues reshard`: the agents that are preferred for an issue, drawn anew.

use std::io::Write;

use crate::args::claims::ReshardArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::claim;
use crate::resolve::Session;

/// Draws the slate anew and says who is on it.
pub fn run(session: &Session, args: &ReshardArgs) -> Result<Exit, CliError> {
    let reason = Texts::default().read(&args.reason)?;
    let mut tracker = session.writer()?;
    let shown = tracker.reshard(&args.id, &reason, args.ttl)?;
    if session.output.json {
        super::answer(session, &*tracker, &shown)?;
        return Ok(Exit::Done);
    }
    let whole = if shown.json.is_some() { shown } else { tracker.show(&shown.name)? };
    let line = claim::slate_line(&whole, whole.json.as_deref().unwrap_or_default());
    session.output.data(|stdout| writeln!(stdout, "{line}"))?;
    Ok(Exit::Done)
}
