//! `x0x issues heartbeat`: a worker is still at it.

use super::claim;
use crate::args::claims::HoldingArgs;
use crate::args::filter::ShapeArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Beats, and says until when the claim lives now.
pub fn run(session: &Session, args: &HoldingArgs) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let kept = claim::speak(args, |holding| tracker.heartbeat(holding))?;
    claim::answer(session, &*tracker, kept, &ShapeArgs::default(), None)?;
    Ok(Exit::Done)
}
