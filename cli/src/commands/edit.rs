//! `x0x issues edit`: fields of an issue, and elements of its lists.

use x0x_tracker::Tracker;
use x0x_tracker::interface::{FieldChange, ListChange, Patch, Shown};
use x0x_tracker::issue::elements_of;

use super::blockers;
use super::fields::{self, LinkChanges};
use crate::args::fields::{ChangeArgs, EditArgs};
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::record::{Record, quoted};
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
    let mut links = LinkChanges::typed(&args.changes, &mut texts)?;
    let names = changes.iter().map(|(name, _)| name.as_str());
    fields::refuse_twice(names.chain(looked_up(args)))?;
    if changes.is_empty() && looked_up(args).is_empty() {
        return Err(CliError::usage(
            "nothing to edit was given",
            "`x0x issues edit --help` shows a flag for every field",
        ));
    }
    let mut tracker = session.writer()?;
    let before = tracker.show(&args.id)?;
    for name in looked_up(args) {
        let change = match name {
            "links" => link_change(std::mem::take(&mut links), &before),
            _ => blocker_change(&*tracker, args, &before)?,
        };
        changes.push((name.to_owned(), FieldChange::List(change)));
    }
    let patch = Patch { changes };
    let after = tracker.edit(&before.name, &patch, args.if_version)?;
    tell(session, &*tracker, &before, &after)?;
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

/// Returns the fields whose changes depend on what the issue says now.
fn looked_up(args: &EditArgs) -> Vec<&str> {
    let ChangeArgs { add_blocked_by, remove_blocked_by, add_link, remove_link, .. } = &args.changes;
    let mut names = Vec::new();
    if !add_blocked_by.is_empty() || !remove_blocked_by.is_empty() {
        names.push("blocked_by");
    }
    if !add_link.is_empty() || !remove_link.is_empty() {
        names.push("links");
    }
    names
}

/// Returns the one change of `blocked_by`; of two changes of a field the later would win.
fn blocker_change(
    tracker: &dyn Tracker,
    args: &EditArgs,
    before: &Shown,
) -> Result<ListChange, CliError> {
    let mut change = ListChange::default();
    if let Some(names) = fields::elements(&args.changes.remove_blocked_by) {
        let json = before.json.as_deref().unwrap_or_default();
        change.remove = blockers::removal(tracker, json, Some(&names))?.remove;
    }
    if let Some(names) = fields::elements(&args.changes.add_blocked_by) {
        change.add = blockers::addition(tracker, &before.row, &names)?.add;
    }
    Ok(change)
}

/// Returns the change of `links`: what goes is spelled as the issue has it.
fn link_change(links: LinkChanges, before: &Shown) -> ListChange {
    let json = before.json.as_deref().unwrap_or_default();
    let present = Record::of(json).get("links").map(elements_of).unwrap_or_default();
    let remove = present.into_iter().filter(|link| links.removes(link)).collect();
    ListChange { add: links.add, remove }
}
