//! `x0x issues release`: a claim is given up, or ended by a maintainer.

use x0x_tracker::interface::Release;

use super::{claim, rule};
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
    if args.force && args.holding.id.is_none() && args.holding.claim.is_none() {
        return Err(CliError::usage(
            "which claim is to be ended?",
            "name the issue, or the claim with --claim TOKEN; `x0x workers -v` shows who holds what",
        ));
    }
    let release = Release { reason, force: args.force, retry_after_ms: args.retry_after };
    let mut tracker = session.writer()?;
    // Whoever ends the claim of somebody else on an issue does not mean its own.
    let kept = if args.force && args.holding.id.is_some() {
        tracker.release(&args.holding.typed()?, &release)?
    } else {
        claim::speak(&args.holding, |holding| tracker.release(holding, &release))?
    };
    claim::note_losses(session, &kept);
    rule::answer(session, &*tracker, &kept.issue)?;
    Ok(Exit::Done)
}
