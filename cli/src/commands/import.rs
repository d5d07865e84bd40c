//! `x0x issues import`: what a JSONL file changed becomes edits.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use x0x_tracker::Tracker;
use x0x_tracker::interface::{ImportOptions, ImportReport};

use super::{array, import_report};
use crate::args::ImportArgs;
use crate::error::{CliError, Exit};
use crate::output::progress::Meter;
use crate::resolve::{Session, file_name};

/// Imports a file; with bad lines that were passed over, the exit code is 7.
pub fn run(session: &Session, args: &ImportArgs) -> Result<Exit, CliError> {
    let path = session.file_to_read(args.file.as_deref())?;
    let name = file_name(&path)?;
    let read = |error| CliError::file("cannot read", &path, error);
    let file = File::open(&path).map_err(read)?;
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
    let mut tracker = session.home.write(list, session.lock_timeout)?;
    let mut meter = Meter::start("importing", bytes, &session.output);
    let mut input = BufReader::with_capacity(1 << 20, file);
    let report = tracker.import(name, &mut input, &options, &mut |progress| meter.tell(progress));
    drop(meter);
    let report = report.map_err(|error| array::explained(error, &path))?;
    if session.output.json {
        session.output.json(&import_report::object(name, args, &report, is_new))?;
    } else {
        answer(session, &tracker, &path, args, &report)?;
    }
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Invalid })
}

fn answer(
    session: &Session,
    tracker: &dyn Tracker,
    path: &Path,
    args: &ImportArgs,
    report: &ImportReport,
) -> Result<(), CliError> {
    let output = session.output;
    if !output.quiet {
        let summary = import_report::summary(tracker, args, report, output.verbose);
        output.data(|stdout| std::io::Write::write_all(stdout, summary.as_bytes()))?;
    }
    let problems = import_report::problems(file_name(path)?, report, output.verbose);
    if !problems.is_empty() {
        output.tell(&problems);
        if let Some(hint) = array::hint(path) {
            output.tell(&format!("hint: {hint}"));
        }
    }
    Ok(())
}
