//! What an issue waits for, by name: looked up, spelled as ids, and kept from going round in a ring.

use std::collections::{BTreeMap, BTreeSet};

use x0x_tracker::interface::{ListChange, Named, TrackerError};
use x0x_tracker::interface::report::Row;
use x0x_tracker::issue::elements_of;
use x0x_tracker::{Tracker, blocker};

use crate::error::CliError;
use crate::output::record::{Record, quoted};

/// Returns the ids of the named issues, which must exist unless they stand in `known` already.
pub fn ids(
    tracker: &dyn Tracker,
    names: &[String],
    known: &[String],
) -> Result<Vec<String>, CliError> {
    let id = |name: &String| match tracker.show(name) {
        Ok(shown) => Ok(shown.row.id),
        Err(TrackerError::NotFound { .. }) if known.contains(name) => Ok(name.clone()),
        Err(error) => Err(error.into()),
    };
    names.iter().map(id).collect()
}

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
            let spelled: Vec<String> =
                elements.iter().filter_map(|json| blocker::name_of(json)).collect();
            let ids = ids(tracker, names, &spelled)?;
            Some(names.iter().cloned().chain(ids).collect())
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

/// Returns the change that adds blockers by their ids, leaving out those that are there already.
pub fn addition(
    tracker: &dyn Tracker,
    row: &Row,
    names: &[String],
) -> Result<ListChange, CliError> {
    let mut present = BTreeSet::new();
    for name in &row.blocked_by {
        present.insert(known_row(tracker, name)?.map_or_else(|| name.clone(), |row| row.id));
    }
    let ids = ids(tracker, names, &[])?;
    let add = ids.iter().filter(|id| !present.contains(*id)).map(|id| quoted(id)).collect();
    Ok(ListChange { add, remove: Vec::new() })
}

/// Refuses blockers through which the issue would wait for itself.
pub fn refuse_ring(tracker: &dyn Tracker, issue: &Row, names: &[String]) -> Result<(), CliError> {
    // Where each issue was reached from, so that the ring can be told.
    let mut reached: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Vec<(String, String)> =
        names.iter().map(|name| (name.clone(), issue.id.clone())).collect();
    while let Some((name, from)) = open.pop() {
        let Some(row) = known_row(tracker, &name)? else { continue };
        if row.id == issue.id {
            return Err(ring(issue, &from, &reached));
        }
        if reached.contains_key(&row.id) {
            continue;
        }
        open.extend(row.blocked_by.iter().map(|name| (name.clone(), row.id.clone())));
        reached.insert(row.id, from);
    }
    Ok(())
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

fn ring(issue: &Row, last: &str, reached: &BTreeMap<String, String>) -> CliError {
    let mut members = vec![issue.id.as_str()];
    let mut at = last;
    while at != issue.id {
        members.push(at);
        let Some(from) = reached.get(at) else { break };
        at = from;
    }
    members.push(&issue.id);
    members.reverse();
    CliError::Invalid {
        detail: format!("{} would wait for itself: {}", issue.id, members.join(" -> ")),
        hint: "`x0x issues unblock` takes one of these apart first".to_owned(),
    }
}

/// Returns the issue of that name; none where it is not here or not the only one.
fn known_row(tracker: &dyn Tracker, name: &str) -> Result<Option<Row>, CliError> {
    match tracker.show(name) {
        Ok(shown) => Ok(Some(shown.row)),
        Err(TrackerError::NotFound { .. } | TrackerError::Ambiguous { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
