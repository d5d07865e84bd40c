//! `x0x issues show`: everything about one issue, now or as it was.

use crate::args::ShowArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Shows an issue.
pub fn run(session: &Session, args: &ShowArgs) -> Result<Exit, CliError> {
    let tracker = session.reader()?;
    let shown = match &args.at {
        None => tracker.show(&args.id)?,
        Some(moment) => tracker.show_at(&args.id, moment)?,
    };
    super::page(session, &*tracker, &shown, &args.shape)?;
    Ok(Exit::Done)
}
