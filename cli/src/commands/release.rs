//! `x0x issues release`: a claim is given up, or ended by a maintainer.

use x0x_tracker::Tracker;
use x0x_tracker::interface::Release;

use super::rule;
use crate::args::claims::ReleaseArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::resolve::Session;

/// Ends a claim and says how the issue stands.
pub fn run(session: &Session, args: &ReleaseArgs) -> Result<Exit, CliError> {
    let reason = args.reason.as_deref().map(|typed| Texts::default().read(typed)).transpose()?;
    if args.force && reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(CliError::usage(
            "ending the claim of somebody else needs a reason",
            "say why with --reason TEXT; the one who holds the issue will read it",
        ));
    }
    let release = Release { reason, force: args.force, retry_after_ms: args.retry_after };
    let holding = args.holding.holding()?;
    let mut tracker = session.writer()?;
    let shown = tracker.release(&holding, &release)?;
    rule::answer(session, &tracker, &shown)?;
    Ok(Exit::Done)
}
