//! `x0x issues conflicts`: fields that hold several values, and settling one.

use std::io::{self, Write};

use x0x_tracker::interface::history::{Candidate, Choice, Dispute, Disputed};
use x0x_tracker::issue::list_of;

use super::account::{labelled, signature};
use super::edit;
use super::fields::checked_json;
use crate::args::history::ConflictsArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::issue::{line, value_text};
use crate::output::record::object;
use crate::output::table::Look;
use crate::resolve::Session;

/// Lists conflicts, or settles one.
pub fn run(session: &Session, args: &ConflictsArgs) -> Result<Exit, CliError> {
    if let (Some(id), Some(field)) = (&args.id, &args.resolve) {
        return settle(session, id, field, args);
    }
    let output = session.output;
    let found = session.reader()?.conflicts(args.id.as_deref())?;
    if output.json {
        let issues: Vec<String> = found.iter().map(Disputed::answer_json).collect();
        let text = match (&args.id, issues.as_slice()) {
            (Some(_), [one]) => one.clone(),
            _ => object([("issues", list_of(&issues).as_str()), ("next_cursor", "null")]),
        };
        output.data(|stdout| writeln!(stdout, "{text}"))?;
        return Ok(Exit::Done);
    }
    let disputed = || found.iter().filter(|issue| !issue.fields.is_empty());
    output.data(|stdout| disputed().try_for_each(|issue| write(stdout, issue, output.look)))?;
    if disputed().next().is_none() {
        output.note("no conflicts");
    }
    Ok(Exit::Done)
}

fn settle(
    session: &Session,
    id: &str,
    field: &str,
    args: &ConflictsArgs,
) -> Result<Exit, CliError> {
    let choice = match (&args.value, args.take) {
        (Some(typed), _) => Choice::Value(checked_json("--value", &Texts::default().read(typed)?)?),
        (None, Some(number)) => Choice::Take(number),
        (None, None) => Choice::Keep,
    };
    let mut tracker = session.writer()?;
    let before = tracker.show(id)?;
    let after = tracker.settle(&before.name, field, &choice, args.if_version)?;
    edit::tell(session, &*tracker, &before, &after)?;
    Ok(Exit::Done)
}

fn write(stdout: &mut dyn Write, disputed: &Disputed, look: Look) -> io::Result<()> {
    writeln!(stdout, "{}", line(&disputed.issue))?;
    for Dispute { field, shown, others } in &disputed.fields {
        writeln!(stdout, "{}", labelled(field, "", look))?;
        writeln!(stdout, "{}", candidate_line("shown", shown, look))?;
        for (at, other) in others.iter().enumerate() {
            writeln!(stdout, "{}", candidate_line(&format!("{}", at + 1), other, look))?;
        }
    }
    Ok(())
}

fn candidate_line(label: &str, candidate: &Candidate, look: Look) -> String {
    let value = candidate.json.as_deref().map_or_else(|| "(absent)".to_owned(), value_text);
    let by = match candidate.writer {
        Some((log, at)) => format!("[{}] ", signature(log, at)),
        None => String::new(),
    };
    labelled(&format!("  {label}"), &format!("{by}{value}"), look)
}
