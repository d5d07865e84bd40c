//! `x0x issues ready`: what can be worked on, and why the rest can not.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::{Value, json};
use x0x_tracker::interface::{Agenda, Filter, Open, Waiting};

use super::filtered;
use crate::args::ReadyArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::listing::{Form, Listing};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Lists ready issues in the order of dispatch.
pub fn run(session: &Session, args: &ReadyArgs) -> Result<Exit, CliError> {
    let output = session.output;
    let form = if output.json { Form::Object } else { Form::Table };
    let tracker = session.reader()?;
    let mut listing = Listing::start(&output, &args.shape, form);
    let (mut written, mut waiting) = (Ok(()), Vec::new());
    let with_json = Listing::needs_json(&args.shape, form);
    let filter = Filter { explain: args.explain, ..args.filter.filter(with_json) };
    let agenda = tracker.agenda(&filter, &mut |open| {
        match open {
            Open::Ready(shown) => written = listing.issue(&shown),
            Open::Waiting(issue) => waiting.push(issue),
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written.map_err(CliError::stdout)?;
    let explained = if args.explain { explanation(&waiting, &agenda) } else { Vec::new() };
    listing.finish(&explained, None).map_err(CliError::stdout)?;
    if args.explain && !output.json {
        output.data(|stdout| explain(stdout, &waiting, agenda.ready > 0, &output))?;
    }
    let is_noted = filtered::note_unknown_states(&output, &*tracker, &args.filter)?;
    if args.filter.limit.is_some_and(|limit| limit > 0 && agenda.ready >= limit as u64) {
        output.note("more may be ready; raise --limit");
    }
    if agenda.ready == 0 && !is_noted && args.filter.limit != Some(0) {
        output.note(&nothing(&agenda, args));
    }
    Ok(Exit::Done)
}

/// Returns what to say where nothing is ready.
fn nothing(agenda: &Agenda, args: &ReadyArgs) -> String {
    let waiting = agenda.waiting;
    match (waiting, args.filter.narrows(), args.explain) {
        (0, true, _) => "nothing matches".to_owned(),
        (0, false, _) => "nothing is ready, and nothing is open".to_owned(),
        (_, true, _) => format!("nothing that matches is ready; {waiting} open"),
        (_, false, true) => format!("nothing is ready; {waiting} open"),
        (_, false, false) => {
            format!("nothing is ready; {waiting} open: `x0x issues ready --explain`")
        }
    }
}

fn explanation(waiting: &[Waiting], agenda: &Agenda) -> Vec<(&'static str, String)> {
    let waiting: Value = waiting.iter().map(Waiting::answer).collect();
    vec![("waiting", waiting.to_string()), ("cycles", json!(agenda.cycles).to_string())]
}

fn explain(
    stdout: &mut dyn Write,
    waiting: &[Waiting],
    is_below: bool,
    output: &Output,
) -> io::Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = waiting
        .iter()
        .map(|waiting| {
            let reason = waiting.reason.to_string();
            [waiting.issue.name.as_str(), &waiting.issue.row.title, &reason].map(Cell::new).to_vec()
        })
        .collect();
    writeln!(stdout, "{}not ready:", if is_below { "\n" } else { "" })?;
    let head = [Column::firm("NAME"), Column::soft("TITLE"), Column::first("WHY")];
    table::write(stdout, &head, &rows, output.look)
}
