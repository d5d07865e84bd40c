//! `x0x issues block` and `unblock`: which issues must end before another can start.

use x0x_tracker::interface::{FieldChange, ListChange, Patch, Shown};
use x0x_tracker::{Tracker, TrackerError};

use super::{blockers, edit};
use crate::args::{BlockArgs, UnblockArgs};
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::resolve::Session;

/// What stands for stdin.
const STDIN: &str = "-";

/// Lets an issue wait for others, or many issues by what stdin says.
pub fn block(session: &Session, args: BlockArgs) -> Result<Exit, CliError> {
    let others = [args.others, args.on].concat();
    match (args.id == STDIN, others.is_empty()) {
        (true, true) => return block_many(session),
        (true, false) => {
            return Err(CliError::usage(
                "'-' reads every edge from stdin",
                "write each line as an issue and those that it waits for",
            ));
        }
        (false, true) => {
            return Err(CliError::usage(
                format!("nothing was said that '{}' waits for", args.id),
                "name the other issues: `x0x issues block ID OTHER`",
            ));
        }
        (false, false) => {}
    }
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    let change = blockers::addition(&*tracker, &before.row, &others)?;
    apply(session, &mut *tracker, &before, change)
}

/// Makes the edges that stdin names, all of them or none.
fn block_many(session: &Session) -> Result<Exit, CliError> {
    let text = Texts::default().read(STDIN)?;
    let mut tracker = session.writer()?;
    let mut edits: Vec<(String, Patch)> = Vec::new();
    let mut numbers: Vec<usize> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let names: Vec<String> = words(line);
        let Some((id, others)) = names.split_first() else { continue };
        let placed = |error| in_line(at + 1, error);
        if others.is_empty() {
            let detail = format!("'{id}' stands alone");
            return Err(placed(CliError::usage(
                detail,
                "write the issues that it waits for after it",
            )));
        }
        let before = tracker.show(id).map_err(CliError::from).map_err(placed)?;
        let change = blockers::addition(&*tracker, &before.row, others).map_err(placed)?;
        let changes = vec![("blocked_by".to_owned(), FieldChange::List(change))];
        edits.push((before.name, Patch { changes }));
        numbers.push(at + 1);
    }
    let edited = tracker.edit_all(&edits).map_err(|error| match error {
        TrackerError::OneOfSeveral { place, source, .. } if place <= numbers.len() => {
            in_line(numbers[place - 1], (*source).into())
        }
        error => error.into(),
    })?;
    super::answer_all(session, &*tracker, &edited)?;
    Ok(Exit::Done)
}

/// Returns the words of a line before its remark, which a word with `#` in front begins: within a
/// word it may be part of an id.
fn words(line: &str) -> Vec<String> {
    let is_gap = |c: char| c.is_whitespace() || c == ',';
    let words = line.split(is_gap).filter(|word| !word.is_empty());
    words.take_while(|word| !word.starts_with('#')).map(str::to_owned).collect()
}

/// Returns an error with the line of stdin that it is about.
fn in_line(number: usize, source: CliError) -> CliError {
    CliError::InLine { number, source: Box::new(source) }
}

/// Lets an issue no longer wait for others.
pub fn unblock(session: &Session, args: UnblockArgs) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    let json = before.json.as_deref().unwrap_or_default();
    let others = if args.all { None } else { Some(args.others.as_slice()) };
    let change = blockers::removal(&*tracker, json, others)?;
    apply(session, &mut *tracker, &before, change)
}

fn apply(
    session: &Session,
    tracker: &mut dyn Tracker,
    before: &Shown,
    change: ListChange,
) -> Result<Exit, CliError> {
    let changes = vec![("blocked_by".to_owned(), FieldChange::List(change))];
    let after = tracker.edit(&before.name, &Patch { changes }, None)?;
    edit::tell(session, tracker, before, &after)?;
    Ok(Exit::Done)
}
