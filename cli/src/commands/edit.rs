//! `x0x issues edit`: fields of an issue, and elements of its lists.

use x0x_tracker::Tracker;
use x0x_tracker::interface::{FieldChange, Patch, Shown};

use super::{blockers, fields};
use crate::args::fields::EditArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::record::quoted;
use crate::resolve::Session;

/// Edits an issue.
pub fn run(session: &Session, args: &EditArgs) -> Result<Exit, CliError> {
    let mut texts = Texts::default();
    let mut changes = fields::Changes::new();
    if let Some(title) = &args.title {
        changes.push(("title".to_owned(), FieldChange::Set(quoted(title))));
    }
    changes.extend(fields::typed(&args.fields, &mut texts)?);
    changes.extend(fields::changed(&args.changes, &mut texts, x0x::time::now_ms())?);
    if changes.is_empty() && !changes_blockers(args) {
        return Err(CliError::usage(
            "nothing to edit was given",
            "`x0x issues edit --help` shows a flag for every field",
        ));
    }
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    changes.extend(blocker_changes(&tracker, args, &before)?);
    let patch = Patch { changes };
    let after = tracker.edit(&before.name, &patch, args.if_version)?;
    tell(session, &tracker, &before, &after)?;
    Ok(Exit::Done)
}

/// Answers an edited issue, and says if the edit changed nothing.
pub fn tell(
    session: &Session,
    tracker: &dyn Tracker,
    before: &Shown,
    after: &Shown,
) -> Result<(), CliError> {
    if before.row.version == after.row.version {
        session.output.note(&format!("{}: unchanged", after.name));
    }
    super::answer(session, tracker, after)
}

fn changes_blockers(args: &EditArgs) -> bool {
    let changes = &args.changes;
    !changes.add_blocked_by.is_empty() || !changes.remove_blocked_by.is_empty()
}

fn blocker_changes(
    tracker: &dyn Tracker,
    args: &EditArgs,
    before: &Shown,
) -> Result<fields::Changes, CliError> {
    let mut changes = fields::Changes::new();
    let mut change = |change| changes.push(("blocked_by".to_owned(), change));
    if let Some(names) = fields::elements(&args.changes.remove_blocked_by) {
        let json = before.json.as_deref().unwrap_or_default();
        change(FieldChange::List(blockers::removal(tracker, json, Some(&names))?));
    }
    if let Some(names) = fields::elements(&args.changes.add_blocked_by) {
        change(FieldChange::List(blockers::addition(tracker, &before.row, &names)?));
    }
    Ok(changes)
}
