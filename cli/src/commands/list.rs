//! `x0x issues list`: the issues that a filter lets pass, written while they are read.

use std::ops::ControlFlow;

use x0x_tracker::Tracker;
use x0x_tracker::interface::Filter;

use crate::args::ListArgs;
use crate::error::{CliError, Exit};
use crate::output::listing::{Form, Listing};
use crate::resolve::Session;

/// Lists issues.
pub fn run(session: &Session, args: &ListArgs) -> Result<Exit, CliError> {
    let form = match (args.jsonl, session.output.json) {
        (true, _) => Form::Lines,
        (false, true) => Form::Object,
        (false, false) => Form::Table,
    };
    let with_json = Listing::needs_json(&args.shape, form);
    let filter = Filter { after: args.cursor.clone(), ..args.filter.filter(with_json) };
    let tracker = session.reader()?;
    let mut listing = Listing::start(&session.output, &args.shape, form);
    let mut written = Ok(());
    let cursor = tracker.list(&filter, &mut |shown| {
        written = listing.issue(shown);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written.map_err(CliError::stdout)?;
    listing.finish(&[], cursor.as_deref()).map_err(CliError::stdout)?;
    if let Some(cursor) = cursor.filter(|_| form != Form::Object) {
        session.output.note(&format!("more follow: --cursor {cursor}"));
    }
    Ok(Exit::Done)
}
