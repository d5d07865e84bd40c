//! `x0x issues list`: the issues that a filter lets pass, written while they are read.

use std::ops::ControlFlow;

use x0x_tracker::interface::Filter;

use super::filtered;
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
    let (mut written, mut is_empty) = (Ok(()), true);
    let cursor = tracker.list(&filter, &mut |shown| {
        is_empty = false;
        written = listing.issue(shown);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written.map_err(CliError::stdout)?;
    listing.finish(&[], cursor.as_deref()).map_err(CliError::stdout)?;
    let output = session.output;
    if let Some(cursor) = &cursor {
        output.note(&format!("more follow: --cursor {cursor}"));
    }
    let is_noted = filtered::note_unknown_states(&output, &*tracker, &args.filter)?;
    if is_empty && !is_noted && args.filter.narrows() && args.filter.limit != Some(0) {
        output.note("nothing matches");
    } else if is_empty && !args.filter.narrows() && args.filter.limit != Some(0) {
        note_unread_file(session)?;
    }
    Ok(Exit::Done)
}

/// Notes where a list is empty only because nobody imported the repository's file yet.
fn note_unread_file(session: &Session) -> Result<(), CliError> {
    let Some(binding) = session.binding()? else { return Ok(()) };
    let file = binding.root().join(&binding.jsonl);
    if std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) {
        session.output.note(&format!(
            "no issues are here; {} has some: `x0x issues import`",
            binding.jsonl.display()
        ));
    }
    Ok(())
}
