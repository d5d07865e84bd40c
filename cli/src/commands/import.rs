//! `x0x issues import`: what a JSONL file changed becomes edits.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use serde_json::Value;
use x0x_tracker::interface::{ImportOptions, ImportReport};

use super::{array, import_report, validate};
use crate::args::ImportArgs;
use crate::error::{CliError, Exit};
use crate::output::progress::Meter;
use crate::resolve::{Session, file_name};

/// Imports a file; with bad lines that were passed over, the exit code is 7.
pub fn run(session: &Session, args: &ImportArgs) -> Result<Exit, CliError> {
    let path = session.file_to_read(args.file.as_deref())?;
    let imported = import(session, args, &path)?;
    if session.output.json {
        session.output.json(&imported.object)?;
    } else {
        tell(session, &path, &imported)?;
    }
    Ok(if imported.report.problems.is_empty() { Exit::Done } else { Exit::Invalid })
}

/// What an import came to.
pub struct Imported {
    pub report: ImportReport,
    /// The report for programs.
    pub object: Value,
    /// The report for people; empty where they are told nothing.
    pub summary: String,
}

/// Imports a file and tells nothing yet; nobody waits for the list any more when it returns.
pub fn import(session: &Session, args: &ImportArgs, path: &Path) -> Result<Imported, CliError> {
    let name = file_name(path)?;
    let read = |error| CliError::file("cannot read", path, error);
    let file = File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    let options = ImportOptions {
        dry_run: args.dry_run,
        keep_going: args.keep_going,
        take_file: args.take_file,
        prune: args.prune,
    };
    // A dry run changes nothing, so neither does it attach a list.
    let (list, is_new) =
        if args.dry_run { (session.list()?, false) } else { session.list_or_attach()? };
    let mut tracker = session.writer_of(list, args.dry_run)?;
    let mut meter = Meter::start("importing", bytes, &session.output);
    let mut input = BufReader::with_capacity(1 << 20, file);
    let report = tracker.import(name, &mut input, &options, &mut |progress| meter.tell(progress));
    drop(meter);
    let report = report.map_err(|error| array::explained(error, path))?;
    let object = report.answer(name, args.dry_run, is_new);
    let summary = if session.output.notes() {
        import_report::summary(&*tracker, args, &report, session.output.verbose)
    } else {
        String::new()
    };
    Ok(Imported { report, object, summary })
}

/// Tells people what an import did.
pub fn tell(session: &Session, path: &Path, imported: &Imported) -> Result<(), CliError> {
    let output = session.output;
    if !imported.summary.is_empty() {
        output.data(|stdout| stdout.write_all(imported.summary.as_bytes()))?;
    }
    let report = &imported.report;
    let problems = import_report::problems(file_name(path)?, report, output.verbose);
    if !problems.is_empty() {
        output.tell(&problems);
        let hint = array::hint(path).or_else(|| validate::hint(&report.problems, path));
        if let Some(hint) = hint {
            output.tell(&format!("hint: {hint}"));
        }
    }
    Ok(())
}
