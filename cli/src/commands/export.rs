//! `x0x issues export`: the JSONL file says what the task list says, and never at the cost of edits
//! that were not imported.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;
use x0x_tracker::Tracker;
use x0x_tracker::interface::{ExportFrom, ExportReport, TrackerError};

use crate::args::ExportArgs;
use crate::error::{CliError, Exit};
use crate::files::{self, Content, Pending};
use crate::output::Output;
use crate::resolve::{Session, file_name};

/// The hash of no bytes at all, under which nothing can be lost.
fn is_empty(content: &Content) -> bool {
    content.bytes == 0
}

/// Writes the file.
pub fn run(session: &Session, args: &ExportArgs) -> Result<Exit, CliError> {
    let bound = session.bound_file()?;
    match (&args.out, bound) {
        (Some(out), bound) if out.as_os_str() == "-" => {
            to_stdout(session, args, bound.as_deref())?;
        }
        (Some(out), bound) => {
            let out_path = session.file(Some(out))?;
            if bound.as_ref() == Some(&out_path) {
                to_bound(session, args, &out_path)?;
            } else {
                elsewhere(session, args, bound.as_deref(), &out_path)?;
            }
        }
        (None, Some(bound)) => to_bound(session, args, &bound)?,
        (None, None) => {
            session.file(None)?;
        }
    }
    Ok(Exit::Done)
}

/// Writes the bound file and notes what it holds now.
fn to_bound(session: &Session, args: &ExportArgs, path: &Path) -> Result<(), CliError> {
    let name = file_name(path)?;
    let mut tracker = session.writer()?;
    let io = |error| CliError::file("cannot write", path, error);
    let mut pending = Pending::of(path).map_err(io)?;
    let report = written(&tracker, &from(args, name), &mut pending)?;
    let current =
        files::content_of(path).map_err(|error| CliError::file("cannot read", path, error))?;
    let is_same = current.is_some_and(|current| current.hash == report.hash);
    let is_known = |current: Content| match report.base {
        Some(base) => current.hash == base,
        None => is_empty(&current),
    };
    if !is_same && !current.is_none_or(is_known) {
        return Err(TrackerError::NotImported { file: name.to_owned() }.into());
    }
    if !is_same {
        pending.replace().map_err(io)?;
    }
    if report.base != Some(report.hash) {
        tracker.exported(name, &report)?;
    }
    answer(session, &report, name, is_same)
}

/// Writes the same bytes to another file, and keeps no book of it.
fn elsewhere(
    session: &Session,
    args: &ExportArgs,
    bound: Option<&Path>,
    path: &Path,
) -> Result<(), CliError> {
    let tracker = session.reader()?;
    let io = |error| CliError::file("cannot write", path, error);
    let mut pending = Pending::of(path).map_err(io)?;
    let report = written(&tracker, &from_bound(args, bound)?, &mut pending)?;
    pending.replace().map_err(io)?;
    answer(session, &report, &path.display().to_string(), false)
}

fn to_stdout(session: &Session, args: &ExportArgs, bound: Option<&Path>) -> Result<(), CliError> {
    let tracker = session.reader()?;
    let mut stdout = Closable { inner: Output::stdout(), failure: None };
    let done = tracker.export(&from_bound(args, bound)?, &mut stdout);
    if let Some(error) = stdout.failure.take() {
        return Err(CliError::stdout(error));
    }
    done?;
    stdout.inner.flush().map_err(CliError::stdout)
}

fn written(
    tracker: &dyn Tracker,
    from: &ExportFrom,
    pending: &mut Pending,
) -> Result<ExportReport, CliError> {
    let mut output = BufWriter::with_capacity(1 << 20, pending);
    let report = tracker.export(from, &mut output)?;
    output.flush().map_err(|source| CliError::Io {
        what: "cannot write the exported lines".to_owned(),
        source,
    })?;
    Ok(report)
}

fn from(args: &ExportArgs, name: &str) -> ExportFrom {
    if args.canonical { ExportFrom::Canonical } else { ExportFrom::File(name.to_owned()) }
}

fn from_bound(args: &ExportArgs, bound: Option<&Path>) -> Result<ExportFrom, CliError> {
    match bound {
        Some(bound) => Ok(from(args, file_name(bound)?)),
        None => Ok(ExportFrom::Canonical),
    }
}

fn answer(session: &Session, report: &ExportReport, path: &str, is_same: bool) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        return output.json(&json!({
            "records": report.records,
            "changed": report.changed,
            "added": report.added,
            "path": path,
        }));
    }
    let ExportReport { records, changed, added, .. } = report;
    output.note(&if is_same {
        format!("{path}: up to date, {records} lines")
    } else {
        format!("{path}: {changed} of {records} lines changed, {added} added")
    });
    Ok(())
}

/// Keeps what the operating system said when writing failed: a reader that went away is no failure.
struct Closable<W> {
    inner: W,
    failure: Option<io::Error>,
}

impl<W: Write> Write for Closable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
