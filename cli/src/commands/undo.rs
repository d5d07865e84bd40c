//! `x0x issues undo`: the newest change of an issue, or all that a commit did, taken back.

use std::io::{self, Write};

use x0x_tracker::interface::{Undo, UndoReport, Undone};

use super::account::{left_line, line};
use crate::args::history::UndoArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::issue;
use crate::output::progress::Meter;
use crate::resolve::Session;

/// How many issues people are shown unless they ask for all.
const SHOWN_MAX: usize = 10;

/// Takes back what is asked for.
pub fn run(session: &Session, args: &UndoArgs) -> Result<Exit, CliError> {
    let output = session.output;
    let undo = Undo { what: args.what.clone(), force: args.force, dry_run: args.dry_run };
    let mut tracker = session.writer_of(session.list()?, args.dry_run)?;
    let mut meter = Meter::start("undoing", 0, &output);
    let report = tracker.undo(&undo, &mut |share| meter.tell_share(share));
    drop(meter);
    let report = report?;
    if output.json {
        let text = report.answer_json(args.dry_run);
        output.data(|stdout| writeln!(stdout, "{text}"))?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        output.note("dry run, nothing was written:");
    }
    tell(&output, &report)?;
    Ok(Exit::Done)
}

fn tell(output: &Output, report: &UndoReport) -> Result<(), CliError> {
    let issues: Vec<&Undone> =
        report.issues.iter().filter(|one| one.has_news() || report.commit.is_none()).collect();
    let shown = if output.verbose { issues.len() } else { SHOWN_MAX };
    output.data(|stdout| {
        issues.iter().take(shown).try_for_each(|undone| write(stdout, undone, output))
    })?;
    if issues.len() > shown {
        output.note(&format!("and {} more issues (-v shows all)", issues.len() - shown));
    }
    if issues.iter().all(|undone| undone.restored.is_empty()) {
        output.note("nothing was left to take back");
    }
    if report.commit.is_some() {
        let restored = issues.iter().filter(|undone| !undone.restored.is_empty()).count();
        let left = issues.iter().filter(|undone| !undone.left.is_empty()).count();
        output.note(&format!("{restored} issues restored, {left} with fields that are left"));
    }
    Ok(())
}

fn write(stdout: &mut dyn Write, undone: &Undone, output: &Output) -> io::Result<()> {
    writeln!(stdout, "{}", issue::line(&undone.issue))?;
    for edit in &undone.restored {
        writeln!(stdout, "{}", line(edit, output.look))?;
    }
    undone.left.iter().try_for_each(|left| writeln!(stdout, "{}", left_line(left)))
}
