//! `x0x issues validate`: every bad line of a file. It reads that file and nothing else.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use serde_json::{Value, json};
use x0x_tracker::jsonl::read::{Content, Lines, Problem, RawLine, parse_line};
use x0x_tracker::jsonl::record::{self, Seen};

use super::array;
use crate::args::ValidateArgs;
use crate::error::{CliError, Exit, problem_json, problem_text};
use crate::resolve::Session;

/// Checks a file; a bad line makes the exit code 7.
pub fn run(session: &Session, args: &ValidateArgs) -> Result<Exit, CliError> {
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
        let listed: Value = problems.iter().map(|problem| problem_json(&name, problem)).collect();
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
