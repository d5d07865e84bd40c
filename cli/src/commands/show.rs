//! `x0x issues show`: everything about one issue.

use x0x_tracker::Tracker;

use crate::args::ShowArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Shows an issue.
pub fn run(session: &Session, args: &ShowArgs) -> Result<Exit, CliError> {
    let tracker = session.reader()?;
    let shown = tracker.show(&args.id)?;
    super::page(session, &tracker, &shown, &args.shape)?;
    Ok(Exit::Done)
}
