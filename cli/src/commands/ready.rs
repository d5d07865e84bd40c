//! `x0x issues ready`: what can be worked on, and why the rest can not.

use std::io::{self, Write};

use serde_json::{Value, json};
use x0x_tracker::Tracker;
use x0x_tracker::interface::{Agenda, Reason, Shown, Waiting};

use super::filtered;
use crate::args::ReadyArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::listing::{Form, Listing};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// How many records are in memory at a time.
const PIECE_ISSUES: usize = 128;

/// Lists ready issues in the order of dispatch.
pub fn run(session: &Session, args: &ReadyArgs) -> Result<Exit, CliError> {
    let output = session.output;
    let form = if output.json { Form::Object } else { Form::Table };
    let tracker = session.reader()?;
    let mut agenda = tracker.agenda(&args.filter.filter(false))?;
    let mut listing = Listing::start(&output, &args.shape, form);
    agenda.ready.truncate(args.filter.limit.unwrap_or(usize::MAX));
    for piece in agenda.ready.chunks_mut(PIECE_ISSUES) {
        if Listing::needs_json(&args.shape, form) {
            tracker.read_records(piece)?;
        }
        for shown in piece {
            listing.issue(shown).map_err(CliError::stdout)?;
            shown.json = None;
        }
    }
    let explained = if args.explain { explanation(&agenda) } else { Vec::new() };
    listing.finish(&explained, None).map_err(CliError::stdout)?;
    if args.explain && !output.json {
        output.data(|stdout| explain(stdout, &agenda, &output))?;
    }
    let is_noted = filtered::note_unknown_states(&output, &tracker, &args.filter)?;
    if agenda.ready.is_empty() && !is_noted && args.filter.limit != Some(0) {
        output.note(&nothing(&agenda, args));
    }
    Ok(Exit::Done)
}

/// Returns what to say where nothing is ready.
fn nothing(agenda: &Agenda, args: &ReadyArgs) -> String {
    let waiting = agenda.waiting.len();
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

fn explanation(agenda: &Agenda) -> Vec<(&'static str, String)> {
    let waiting: Value = agenda.waiting.iter().map(waiting_json).collect();
    vec![("waiting", waiting.to_string()), ("cycles", json!(agenda.cycles).to_string())]
}

fn waiting_json(waiting: &Waiting) -> Value {
    let Shown { name, row, .. } = &waiting.issue;
    let blockers: Vec<&str> = match &waiting.reason {
        Reason::BlockedBy(blockers) => blockers.iter().map(|named| named.name.as_str()).collect(),
        Reason::Cycle(_) => row.blocked_by.iter().map(String::as_str).collect(),
        Reason::State(_) => Vec::new(),
    };
    json!({
        "id": row.id,
        "identifier": name,
        "reason": waiting.reason.to_string(),
        "blocked_by": blockers,
    })
}

fn explain(stdout: &mut dyn Write, agenda: &Agenda, output: &Output) -> io::Result<()> {
    if agenda.waiting.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = agenda
        .waiting
        .iter()
        .map(|waiting| {
            let reason = waiting.reason.to_string();
            [waiting.issue.name.as_str(), &waiting.issue.row.title, &reason].map(Cell::new).to_vec()
        })
        .collect();
    writeln!(stdout, "{}not ready:", if agenda.ready.is_empty() { "" } else { "\n" })?;
    let head = [Column::firm("NAME"), Column::soft("TITLE"), Column::first("WHY")];
    table::write(stdout, &head, &rows, output.look)
}
