//! `x0x issues log`: what happened to an issue.

use std::io::{self, Write};

use x0x_tracker::interface::LogFilter;
use x0x_tracker::interface::history::{FieldEdit, LogEntry, What};

use super::account::{labelled, line, signature};
use crate::args::history::LogArgs;
use crate::error::{CliError, Exit};
use crate::output::issue::value_text;
use crate::output::table::{Colour, Look, painted};
use crate::resolve::Session;

/// How many digits of a commit's hash people are shown.
const HASH_DIGITS: usize = 12;

/// Tells the log of an issue.
pub fn run(session: &Session, args: LogArgs) -> Result<Exit, CliError> {
    let output = session.output;
    let tracker = session.reader()?;
    let is_narrowed = args.field.is_some();
    let filter = LogFilter { field: args.field, limit: args.limit };
    let log = tracker.log(&args.id, &filter)?;
    if output.json {
        let text = log.answer_json();
        output.data(|stdout| writeln!(stdout, "{text}"))?;
        return Ok(Exit::Done);
    }
    output.data(|stdout| {
        log.entries.iter().try_for_each(|entry| write(stdout, entry, is_narrowed, output.look))
    })?;
    if log.entries.is_empty() {
        output.note("nothing ever happened to that field");
    } else if log.more {
        output.note("there are older entries");
    }
    Ok(Exit::Done)
}

fn write(
    stdout: &mut dyn Write,
    entry: &LogEntry,
    is_narrowed: bool,
    look: Look,
) -> io::Result<()> {
    let step = &entry.step;
    let mut head = signature(step.log, step.at);
    if let Some(commit) = entry.commit {
        let hash = &commit.hash.to_string()[..HASH_DIGITS];
        head.push_str(&format!("  commit {hash} #{}", commit.number));
    }
    writeln!(stdout, "{}", painted(&head, Some(Colour::Faint), look))?;
    if step.creates && !is_narrowed {
        return writeln!(stdout, "{}", creation(&step.edits, look));
    }
    step.edits.iter().try_for_each(|edit| writeln!(stdout, "{}", line(edit, look)))
}

/// Returns the line on a creation: its title says enough.
fn creation(edits: &[FieldEdit], look: Look) -> String {
    let title = edits.iter().find(|edit| edit.field == "title");
    let title = title.and_then(|edit| match &edit.what {
        What::Value { to, .. } => to.as_deref(),
        What::List { .. } => None,
    });
    labelled("created", &title.map_or_else(String::new, value_text), look)
}
