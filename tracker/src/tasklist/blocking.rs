//! Whether one issue waits for others, found by its names alone: the same answer as the board of all
//! issues gives, at a cost that does not grow with the list.

use super::names;
use crate::interface::TrackerError;
use crate::interface::report::{Named, Reason, Row};
use crate::state;
use crate::store::{Rows, Tables};

/// Returns why an issue waits; `None` where each of its blockers has ended or was removed.
pub(super) fn reason(tables: &impl Tables, row: &Row) -> Result<Option<Reason>, TrackerError> {
    let mut waits_for = Vec::new();
    for name in &row.blocked_by {
        let bearers = tables.rows_named(name)?;
        let mut open = None;
        for key in &bearers {
            let other = names::row(tables, key)?;
            if !is_over(&other) {
                open = Some(other);
                break;
            }
        }
        match open {
            Some(other) => {
                let name = names::display_name(tables, &other)?;
                waits_for.push(Named { name, state: other.state, known: true });
            }
            None if bearers.is_empty() => {
                waits_for.push(Named { name: name.clone(), state: None, known: false });
            }
            None => {}
        }
    }
    Ok((!waits_for.is_empty()).then_some(Reason::BlockedBy(waits_for)))
}

/// Tells whether an issue holds nobody up any more.
pub(super) fn is_over(row: &Row) -> bool {
    row.deleted || state::is_terminal(row.state.as_deref())
}
