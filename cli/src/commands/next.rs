//! `x0x issues next`: the first issue that can be worked on, claimed on request.

use std::ops::ControlFlow;

use x0x_tracker::interface::{Filter, Open, Pick};

use super::claim;
use crate::args::NextArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Shows the first ready issue; without one it says nothing to people and answers "not found".
pub fn run(session: &Session, args: &NextArgs) -> Result<Exit, CliError> {
    if args.claim {
        let pick = Pick::First(args.filter.filter(true));
        return claim::take(session, &pick, &args.terms.terms()?, &args.shape);
    }
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
        return claim::nothing_ready(session);
    };
    let shown = tracker.show(&first.name)?;
    super::page(session, &*tracker, &shown, &args.shape)?;
    Ok(Exit::Done)
}
