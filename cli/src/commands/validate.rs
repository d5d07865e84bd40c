//! `x0x issues validate`: every bad line of a file, or everything that is wrong in a store. It reads
//! that file or store and nothing else.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use serde_json::{Value, json};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::jsonl::read::{Content, Lines, Problem, RawLine, parse_line};
use x0x_tracker::jsonl::record::{self, Seen};

use super::array;
use crate::args::ValidateArgs;
use crate::error::{CliError, Exit, problem_text};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// Checks a file; a bad line makes the exit code 7.
pub fn run(session: &Session, args: &ValidateArgs) -> Result<Exit, CliError> {
    if args.store {
        return store(session);
    }
    let (path, name) = match &args.file {
        Some(path) => (path.clone(), path.display().to_string()),
        None => {
            let path = session.file_to_read(None)?;
            let shown = path.strip_prefix(&session.current_dir).unwrap_or(&path);
            let name = shown.display().to_string();
            (path, name)
        }
    };
    let (records, problems) = check(&path)?;
    let hint = if problems.is_empty() { None } else { array::hint(&path) };
    let output = session.output;
    if output.json {
        let listed: Value = problems.iter().map(|problem| problem.json(&name)).collect();
        let mut answer = json!({"records": records, "problems": listed});
        if let Some(hint) = hint {
            answer["hint"] = json!(hint);
        }
        output.json(&answer)?;
    } else {
        output.data(|stdout| {
            problems.iter().try_for_each(|p| writeln!(stdout, "{}", problem_text(&name, p)))
        })?;
        output.note(&format!("{name}: {records} good records, {} problems", problems.len()));
        if let Some(hint) = hint.or_else(|| self::hint(&problems, &path)) {
            output.note(&format!("hint: {hint}"));
        }
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Invalid })
}

/// Checks the store of the task list; what does not agree makes the exit code 7.
fn store(session: &Session) -> Result<Exit, CliError> {
    let issues = session.reader()?.info()?.issues;
    let list = session.list()?;
    let faults = session.home.check(list, session.lock_timeout)?;
    let output = session.output;
    if output.json {
        let listed: Value = faults.iter().map(|fault| json!({"reason": fault})).collect();
        output.json(&json!({"records": issues, "problems": listed}))?;
    } else {
        output
            .data(|stdout| faults.iter().try_for_each(|f| writeln!(stdout, "{}", one_line(f))))?;
        let (list, count) = (list.short(), faults.len());
        output.note(&format!("task list {list}: {issues} issues, {count} problems"));
        if !faults.is_empty() {
            output.note(&format!("hint: {}", TrackerError::Damaged { what: String::new() }.hint()));
        }
    }
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Invalid })
}

/// Returns what to do with a file in which a merge by lines left some of the bad lines.
pub fn hint(problems: &[Problem], path: &Path) -> Option<String> {
    let hint = format!("`x0x issues merge --resolve {}` merges what stands twice", path.display());
    problems.iter().any(|problem| problem.is_resolvable).then_some(hint)
}

/// Returns how many good records a file has, and every problem.
pub fn check(path: &Path) -> Result<(u64, Vec<Problem>), CliError> {
    let read = |error| CliError::file("cannot read", path, error);
    let mut lines = Lines::new(BufReader::new(File::open(path).map_err(read)?));
    let (mut records, mut problems, mut seen) = (0, Vec::new(), Seen::default());
    while let Some(raw) = lines.next_line().map_err(read)? {
        match check_line(&raw, &mut seen) {
            Ok(record) => records += u64::from(record),
            Err(bad) => problems.extend(bad),
        }
    }
    Ok((records, problems))
}

/// Tells whether a line holds a record.
fn check_line(raw: &RawLine, seen: &mut Seen) -> Result<bool, Vec<Problem>> {
    let Content::Record(line) = parse_line(raw).map_err(|problem| vec![problem])? else {
        return Ok(false);
    };
    let record = record::read(&line, raw.number)?;
    seen.note(&record.birth, raw.number).map_or(Ok(true), |problem| Err(vec![problem]))
}
