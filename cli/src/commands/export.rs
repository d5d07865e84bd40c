//! `x0x issues export`: the JSONL file says what the task list says, and never at the cost of edits
//! that were not imported.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use x0x_tracker::Tracker;
use x0x_tracker::interface::{ExportFrom, ExportReport, ImportOptions, TrackerError};

use super::validate;
use crate::args::ExportArgs;
use crate::error::{CliError, Exit};
use crate::files::{self, Content, Pending, Stamp};
use crate::output::Output;
use crate::resolve::{Session, file_name};

/// Writes the file.
pub fn run(session: &Session, args: &ExportArgs) -> Result<Exit, CliError> {
    let bound = session.bound_file()?;
    match &args.out {
        Some(out) if out.as_os_str() == "-" => to_stdout(session, args, bound.as_deref())?,
        Some(out) => {
            let path = session.file(Some(out))?;
            if is_device(&path) {
                to_device(session, args, bound.as_deref(), &path)?;
            } else if bound.as_ref() == Some(&path) || is_known(session, &path)? {
                to_known(session, args, &path)?.tell(session)?;
            } else {
                elsewhere(session, args, bound.as_deref(), &path)?;
            }
        }
        None => to_known(session, args, &session.file(None)?)?.tell(session)?,
    }
    Ok(Exit::Done)
}

/// Tells whether a file was imported or exported before, so that edits in it could be lost.
fn is_known(session: &Session, path: &Path) -> Result<bool, CliError> {
    Ok(base_of(&*session.reader()?, file_name(path)?)?.is_some())
}

/// Returns the hash of a file as it was last imported or exported.
pub fn base_of(tracker: &dyn Tracker, name: &str) -> Result<Option<[u8; 32]>, CliError> {
    let from = ExportFrom::File(name.to_owned());
    Ok(tracker.export(&from, &mut io::sink())?.base)
}

/// What an export into a known file came to.
pub struct Exported {
    pub report: ExportReport,
    path: String,
    /// Whether the file said so already.
    pub is_same: bool,
}

impl Exported {
    /// Returns the report for programs.
    pub fn object(&self) -> Value {
        object(&self.report, &self.path)
    }

    /// Tells what was written.
    pub fn tell(&self, session: &Session) -> Result<(), CliError> {
        answer(session, &self.report, &self.path, self.is_same)
    }
}

/// Writes the bound file and notes what it holds now; tells nothing yet.
pub fn to_known(session: &Session, args: &ExportArgs, path: &Path) -> Result<Exported, CliError> {
    to_known_if(session, args, path, &|| true)
}

/// The same, if `may` still says so when the new content is about to take the file's place. A file that is
/// not the one any more that was read by then is left as it is: what changed it was not imported.
pub fn to_known_if(
    session: &Session,
    args: &ExportArgs,
    path: &Path,
    may: &dyn Fn() -> bool,
) -> Result<Exported, CliError> {
    let name = file_name(path)?;
    let mut tracker = session.writer()?;
    let io = |error| CliError::file("cannot write", path, error);
    let mut pending = Pending::of(path).map_err(io)?;
    let mut report = written(&*tracker, &from(args, name), &mut pending, path)?;
    if args.canonical {
        report.base = base_of(&*tracker, name)?;
    }
    let before = Stamp::of(path);
    let current =
        files::content_of(path).map_err(|error| CliError::file("cannot read", path, error))?;
    let is_same = current.is_some_and(|current| current.hash == report.hash);
    // A file of no bytes has nothing to lose.
    let is_base = |current: Content| report.base.map_or(current.bytes == 0, |b| b == current.hash);
    let not_imported = || Err(TrackerError::NotImported { file: name.to_owned() }.into());
    if !is_same && !current.is_none_or(is_base) {
        return not_imported();
    }
    if args.canonical && current.is_some() {
        refuse_bad_lines(path)?;
    }
    if !is_same && !pending.replace_if(before, may).map_err(io)? {
        return not_imported();
    }
    if report.base != Some(report.hash) {
        note_content(&mut *tracker, args, path, &report)?;
    }
    Ok(Exported { report, path: name.to_owned(), is_same })
}

/// Refuses to write over lines that could not be imported; only the layout of the file keeps those.
fn refuse_bad_lines(path: &Path) -> Result<(), CliError> {
    let (_, problems) = validate::check(path)?;
    if problems.is_empty() {
        return Ok(());
    }
    let shown = path.display();
    Err(CliError::Invalid {
        detail: format!("{shown} has {} bad lines, which would be lost", problems.len()),
        hint: "`x0x issues validate` names them; --out FILE writes elsewhere".to_owned(),
    })
}

/// Notes what the file holds now. The order of a canonical file is learned by reading it, and so is what a
/// file holds that the list went on from: its values are old news there.
fn note_content(
    tracker: &mut dyn Tracker,
    args: &ExportArgs,
    path: &Path,
    report: &ExportReport,
) -> Result<(), CliError> {
    let name = file_name(path)?;
    if !args.canonical {
        match tracker.exported(name, report) {
            // Beside a node others write meanwhile: the list says something else by now than the file.
            Err(TrackerError::NotImported { .. }) => {}
            noted => return Ok(noted?),
        }
    }
    let read = |error| CliError::file("cannot read", path, error);
    let mut input = BufReader::new(File::open(path).map_err(read)?);
    tracker.import(name, &mut input, &ImportOptions::default(), &mut |_| {})?;
    Ok(())
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
    let report = written(&*tracker, &from_bound(args, bound)?, &mut pending, path)?;
    pending.replace().map_err(io)?;
    answer(session, &report, &path.display().to_string(), false)
}

/// Tells whether there is something at a path that cannot be replaced as a file can: a device, a
/// pipe, a directory.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Writes the same bytes into what is there, as a shell's `>` does.
fn to_device(
    session: &Session,
    args: &ExportArgs,
    bound: Option<&Path>,
    path: &Path,
) -> Result<(), CliError> {
    let tracker = session.reader()?;
    let failed = |error| CliError::file("cannot write", path, error);
    let device = OpenOptions::new().write(true).open(path).map_err(failed)?;
    let mut device = BufWriter::new(device);
    let report = tracker.export(&from_bound(args, bound)?, &mut device)?;
    device.flush().map_err(failed)?;
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
    path: &Path,
) -> Result<ExportReport, CliError> {
    let failed = |source| CliError::file("cannot write", path, source);
    let mut output = BufWriter::with_capacity(1 << 20, pending);
    let report = tracker.export(from, &mut output).map_err(|error| match error {
        TrackerError::Io { source, .. } => failed(source),
        error => error.into(),
    })?;
    output.flush().map_err(failed)?;
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

fn answer(
    session: &Session,
    report: &ExportReport,
    path: &str,
    is_same: bool,
) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        return output.json(&object(report, path));
    }
    let ExportReport { records, changed, added, .. } = report;
    output.note(&if is_same {
        format!("{path}: up to date, {records} lines")
    } else {
        format!("{path}: {changed} of {records} lines changed, {added} added")
    });
    Ok(())
}

fn object(report: &ExportReport, path: &str) -> Value {
    json!({
        "records": report.records,
        "changed": report.changed,
        "added": report.added,
        "path": path,
    })
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
