//! `x0x issues next`: the first issue that can be worked on.

use std::ops::ControlFlow;

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Filter, Open};

use crate::args::NextArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Shows the first ready issue; without one it says nothing to people and answers "not found".
pub fn run(session: &Session, args: &NextArgs) -> Result<Exit, CliError> {
    let tracker = session.reader()?;
    let filter = Filter { limit: Some(1), ..args.filter.filter(false) };
    let mut first = None;
    tracker.agenda(&filter, &mut |open| match open {
        Open::Ready(shown) => {
            first = Some(shown);
            ControlFlow::Break(())
        }
        Open::Waiting(_) => ControlFlow::Continue(()),
    })?;
    let Some(first) = first else {
        let nothing = CliError::NothingReady;
        return if session.output.json { Err(nothing) } else { Ok(Exit::NotFound) };
    };
    let shown = tracker.show(&first.name)?;
    super::page(session, &tracker, &shown, &args.shape)?;
    Ok(Exit::Done)
}
