//! `x0x backup` and `x0x restore`: a task list in one file, and back.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use x0x::identity::KEY_FILE;
use x0x_tracker::interface::ListInfo;

use crate::args::backup::{BackupArgs, RestoreArgs};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::plain::one_line;
use crate::output::progress::Meter;
use crate::resolve::Session;

/// Copies the task list into a file.
pub fn back_up(session: &Session, args: &BackupArgs) -> Result<Exit, CliError> {
    let list = session.list()?;
    let bytes = session.home.bytes_of(list)?;
    let mut meter = Meter::start("backing up", bytes, &session.output);
    let info = session.home.back_up(list, &args.file, &mut |bytes| meter.tell_bytes(bytes));
    drop(meter);
    let info = info?;
    answer(&session.output, &info, &args.file, None)?;
    session.output.note(&format!(
        "The agent's key is not in it: keep a copy of {} apart, for whoever has it is this agent.",
        session.home.dir().join(KEY_FILE).display()
    ));
    Ok(Exit::Done)
}

/// Puts a task list back.
pub fn restore(session: &Session, args: &RestoreArgs) -> Result<Exit, CliError> {
    let bytes = fs::metadata(&args.file)
        .map_err(|error| CliError::file("cannot read", &args.file, error))?
        .len();
    session.check_node()?;
    let mut meter = Meter::start("restoring", bytes, &session.output);
    let progress = &mut |bytes| meter.tell_bytes(bytes);
    let restored = session.home.restore(&args.file, args.replace, session.lock_timeout, progress);
    drop(meter);
    let restored = restored?;
    answer(&session.output, &restored.info, &args.file, restored.kept_as.as_deref())?;
    if let Some(kept) = &restored.kept_as {
        let kept = one_line(&kept.display().to_string()).into_owned();
        session.output.note(&format!("The list that was here is kept as {kept}."));
    }
    Ok(Exit::Done)
}

fn answer(
    output: &Output,
    info: &ListInfo,
    file: &Path,
    kept_as: Option<&Path>,
) -> Result<(), CliError> {
    let ListInfo { list, name, issues, commits, .. } = info;
    if output.json {
        return output.json(&json!({
            "list": list.to_string(),
            "name": name,
            "issues": issues,
            "commits": commits,
            "file": file.display().to_string(),
            "kept_as": kept_as.map(|path| path.display().to_string()),
        }));
    }
    output.data(|stdout| {
        writeln!(
            stdout,
            "{}  task list '{}' ({}), {issues} issues, {commits} commits",
            one_line(&file.display().to_string()),
            one_line(name),
            list.short()
        )
    })
}
