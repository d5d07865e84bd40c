//! `x0x issues block` and `unblock`: which issues must end before another can start.

use x0x_tracker::Tracker;
use x0x_tracker::interface::{FieldChange, ListChange, Patch, Shown};

use super::{blockers, edit};
use crate::args::{BlockArgs, UnblockArgs};
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Lets an issue wait for others.
pub fn block(session: &Session, args: BlockArgs) -> Result<Exit, CliError> {
    let others = [args.others, args.on].concat();
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    let change = blockers::addition(&tracker, &before.row, &others)?;
    apply(session, &mut tracker, &before, change)
}

/// Lets an issue no longer wait for others.
pub fn unblock(session: &Session, args: UnblockArgs) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    let json = before.json.as_deref().unwrap_or_default();
    let others = if args.all { None } else { Some(args.others.as_slice()) };
    let change = blockers::removal(&tracker, json, others)?;
    apply(session, &mut tracker, &before, change)
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
