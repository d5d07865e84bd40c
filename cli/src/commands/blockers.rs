//! What an issue waits for: found however it is spelled. That no ring comes about, the tracker sees to.

use std::collections::BTreeSet;

use x0x_tracker::interface::report::Row;
use x0x_tracker::interface::{ListChange, Named, TrackerError};
use x0x_tracker::issue::elements_of;
use x0x_tracker::{Tracker, blocker};

use crate::error::CliError;
use crate::output::record::{Record, quoted};

/// Returns the change that takes blockers away, however they are spelled in the issue.
///
/// `None` takes all of them.
pub fn removal(
    tracker: &dyn Tracker,
    json: &str,
    names: Option<&[String]>,
) -> Result<ListChange, CliError> {
    let elements = Record::of(json).get("blocked_by").map(elements_of).unwrap_or_default();
    let wanted: Option<BTreeSet<String>> = match names {
        None => None,
        Some(names) => {
            let spelled: BTreeSet<String> =
                elements.iter().filter_map(|json| blocker::name_of(json)).collect();
            let mut wanted = BTreeSet::new();
            for name in names {
                // A name of no issue can still be taken out of the list that it stands in.
                match tracker.show(name) {
                    Ok(shown) => wanted.insert(shown.row.id),
                    Err(_) if spelled.contains(name) => wanted.insert(name.clone()),
                    Err(error) => return Err(error.into()),
                };
            }
            Some(wanted)
        }
    };
    let mut remove = Vec::new();
    for element in elements {
        let is_meant = match (&wanted, blocker::name_of(&element)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(name)) => {
                wanted.contains(&name)
                    || known_row(tracker, &name)?.is_some_and(|row| wanted.contains(&row.id))
            }
        };
        if is_meant {
            remove.push(element);
        }
    }
    Ok(ListChange { add: Vec::new(), remove })
}

/// Returns the change that adds blockers by their ids, leaving out those that are there in another
/// spelling.
pub fn addition(
    tracker: &dyn Tracker,
    row: &Row,
    names: &[String],
) -> Result<ListChange, CliError> {
    let mut present = BTreeSet::new();
    for name in &row.blocked_by {
        present.insert(known_row(tracker, name)?.map_or_else(|| name.clone(), |row| row.id));
    }
    let mut add = Vec::new();
    for name in names {
        let id = tracker.show(name)?.row.id;
        if !present.contains(&id) {
            add.push(quoted(&id));
        }
    }
    Ok(ListChange { add, remove: Vec::new() })
}

/// Returns the issues that one waits for, with their states.
pub fn named(tracker: &dyn Tracker, row: &Row) -> Result<Vec<Named>, CliError> {
    let named = |name: &String| match tracker.show(name) {
        Ok(shown) => Ok(Named { name: shown.name, state: shown.row.state, known: true }),
        Err(TrackerError::NotFound { .. } | TrackerError::Ambiguous { .. }) => {
            Ok(Named { name: name.clone(), state: None, known: false })
        }
        Err(error) => Err(error.into()),
    };
    row.blocked_by.iter().map(named).collect()
}

/// Returns the issue of that name; none where it is not here or not the only one.
fn known_row(tracker: &dyn Tracker, name: &str) -> Result<Option<Row>, CliError> {
    match tracker.show(name) {
        Ok(shown) => Ok(Some(shown.row)),
        Err(TrackerError::NotFound { .. } | TrackerError::Ambiguous { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
