//! `x0x issues undo`: the newest change of an issue, or all that a commit did, taken back.

use std::io::{self, Write};

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Undo, UndoReport, Undone};
use x0x_tracker::issue::list_of;

use super::account::{edits_json, left_json, left_line, line};
use crate::args::history::UndoArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::issue;
use crate::output::progress::Meter;
use crate::output::record::{object, quoted};
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
        let text = match report.issues.as_slice() {
            [one] if report.commit.is_none() => issue_json(one, args),
            _ => report_json(&report, args),
        };
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
        report.issues.iter().filter(|one| has_news(one) || report.commit.is_none()).collect();
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

fn has_news(undone: &Undone) -> bool {
    !undone.restored.is_empty() || !undone.left.is_empty()
}

fn write(stdout: &mut dyn Write, undone: &Undone, output: &Output) -> io::Result<()> {
    writeln!(stdout, "{}", issue::line(&undone.issue))?;
    for edit in &undone.restored {
        writeln!(stdout, "{}", line(edit, output.look))?;
    }
    undone.left.iter().try_for_each(|left| writeln!(stdout, "{}", left_line(left)))
}

/// Returns the issue with what was done to it.
fn issue_json(undone: &Undone, args: &UndoArgs) -> String {
    let mut json = undone.issue.answer_json().unwrap_or_default();
    json.pop();
    format!(
        "{json},\"_restored\":{},\"_left\":{},\"_dry_run\":{}}}",
        edits_json(&undone.restored),
        left_json(&undone.left),
        args.dry_run
    )
}

fn report_json(report: &UndoReport, args: &UndoArgs) -> String {
    let issues = report.issues.iter().filter(|undone| has_news(undone)).map(|undone| {
        object([
            ("id", quoted(&undone.issue.row.id).as_str()),
            ("identifier", &quoted(&undone.issue.name)),
            ("restored", &edits_json(&undone.restored)),
            ("left", &left_json(&undone.left)),
        ])
    });
    let (hash, number) = match report.commit {
        Some(commit) => (quoted(&commit.hash.to_string()), commit.number.to_string()),
        None => ("null".to_owned(), "null".to_owned()),
    };
    object([
        ("commit", hash.as_str()),
        ("number", &number),
        ("dry_run", &args.dry_run.to_string()),
        ("issues", &list_of(&issues.collect::<Vec<_>>())),
    ])
}
