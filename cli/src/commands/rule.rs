//! `x0x issues done`, `cancel`, `duplicate` and `reopen`: verdicts on issues.

use std::io::{self, Write};

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Filter, Pick, Ruling, Shown};
use x0x_tracker::state::State;

use super::claim;
use crate::args::claims::{DoneArgs, RuleArgs};
use crate::args::filter::ShapeArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::plain::one_line;
use crate::resolve::Session;

/// Rules on issues one after the other; the first failure ends it and says which are done.
pub fn run(session: &Session, args: RuleArgs, ruling: &Ruling) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let ruled = rule_all(session, &mut *tracker, &args, ruling)?;
    match ruled.as_slice() {
        [one] => answer(session, &*tracker, one)?,
        several => answer_all(session, &*tracker, several)?,
    }
    Ok(Exit::Done)
}

/// Marks issues as done; then claims the next one, where that was asked for.
pub fn done(session: &Session, args: DoneArgs) -> Result<Exit, CliError> {
    let DoneArgs { rule, claim_next, terms } = args;
    if !claim_next {
        return run(session, rule, &Ruling::Done);
    }
    let terms = terms.terms()?;
    let mut tracker = session.writer()?;
    for shown in rule_all(session, &mut *tracker, &rule, &Ruling::Done)? {
        session.output.note(&format!("{}  done", one_line(&shown.name)));
    }
    // Claiming opens the list again.
    drop(tracker);
    claim::take(session, &Pick::First(Filter::default()), &terms, &ShapeArgs::default())
}

fn rule_all(
    session: &Session,
    tracker: &mut dyn Tracker,
    args: &RuleArgs,
    ruling: &Ruling,
) -> Result<Vec<Shown>, CliError> {
    let typed = args.reason.reason.as_deref();
    let reason = typed.map(|typed| Texts::default().read(typed)).transpose()?;
    let mut ruled: Vec<Shown> = Vec::new();
    for name in &args.ids {
        match rule(session, tracker, name, ruling, reason.as_deref()) {
            Ok(shown) => ruled.push(shown),
            Err(error) if ruled.is_empty() => return Err(error),
            Err(error) => {
                let done = ruled.iter().map(|shown| shown.name.clone()).collect();
                return Err(CliError::Partly { done, source: Box::new(error) });
            }
        }
    }
    Ok(ruled)
}

/// Rules on one issue, and says if that changed nothing.
fn rule(
    session: &Session,
    tracker: &mut dyn Tracker,
    name: &str,
    ruling: &Ruling,
    reason: Option<&str>,
) -> Result<Shown, CliError> {
    let before = tracker.show(name)?;
    let is_todo = before.row.state.as_deref().and_then(State::parse) == Some(State::Todo);
    // What `reopen` leads to is there already; any other open state is not its to change.
    let after = match ruling {
        Ruling::Reopened if is_todo => before.clone(),
        _ => tracker.rule(&before.name, ruling, reason)?,
    };
    if before.row.version == after.row.version {
        session.output.note(&format!("{}: unchanged", after.name));
    }
    Ok(after)
}

/// Answers an issue that was ruled on or given up: a line with its state for people.
pub fn answer(session: &Session, tracker: &dyn Tracker, shown: &Shown) -> Result<(), CliError> {
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
