//! `x0x issues done`, `cancel`, `duplicate` and `reopen`: verdicts on issues.

use std::io::{self, Write};

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Ruling, Shown};
use x0x_tracker::state::State;

use crate::error::{CliError, Exit};
use crate::output::plain::one_line;
use crate::resolve::Session;

/// Rules on issues one after the other; the first failure ends it and says which are done.
pub fn run(session: &Session, names: &[String], ruling: &Ruling) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let mut ruled: Vec<Shown> = Vec::new();
    for name in names {
        match rule(session, &mut tracker, name, ruling) {
            Ok(shown) => ruled.push(shown),
            Err(error) if ruled.is_empty() => return Err(error),
            Err(error) => {
                let done = ruled.iter().map(|shown| shown.name.clone()).collect();
                return Err(CliError::Partly { done, source: Box::new(error) });
            }
        }
    }
    match ruled.as_slice() {
        [one] => answer(session, &tracker, one)?,
        several => answer_all(session, &tracker, several)?,
    }
    Ok(Exit::Done)
}

/// Rules on one issue, and says if that changed nothing.
fn rule(
    session: &Session,
    tracker: &mut dyn Tracker,
    name: &str,
    ruling: &Ruling,
) -> Result<Shown, CliError> {
    let before = tracker.show(name)?;
    let is_todo = before.row.state.as_deref().and_then(State::parse) == Some(State::Todo);
    // What `reopen` leads to is there already; any other open state is not its to change.
    let after = match ruling {
        Ruling::Reopened if is_todo => before.clone(),
        _ => tracker.rule(&before.name, ruling)?,
    };
    if before.row.version == after.row.version {
        session.output.note(&format!("{}: unchanged", after.name));
    }
    Ok(after)
}

fn answer(session: &Session, tracker: &dyn Tracker, shown: &Shown) -> Result<(), CliError> {
    if session.output.json {
        return super::answer(session, tracker, shown);
    }
    session.output.data(|stdout| line(stdout, shown))
}

fn answer_all(session: &Session, tracker: &dyn Tracker, ruled: &[Shown]) -> Result<(), CliError> {
    let output = session.output;
    if !output.json {
        return output.data(|stdout| ruled.iter().try_for_each(|shown| line(stdout, shown)));
    }
    super::objects(session, tracker, ruled)
}

fn line(stdout: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    let state = shown.row.state.as_deref().unwrap_or("no state");
    let (name, title) = (one_line(&shown.name), one_line(&shown.row.title));
    writeln!(stdout, "{name}  {}  {title}", one_line(state))
}
