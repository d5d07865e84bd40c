//! Fields with several values: listing them, and settling one.

use std::ops::ControlFlow;

use super::{fields, names};
use crate::document::{Content, Edit};
use crate::interface::history::{Choice, Disputed};
use crate::interface::{Shown, TrackerError};
use crate::store::{Reading, Rows};

/// Returns the disputed fields of one issue, or of all that have some; opens no document of others.
pub(super) fn list(reading: &Reading, name: Option<&str>) -> Result<Vec<Disputed>, TrackerError> {
    let mut rows = Vec::new();
    match name {
        Some(name) => rows.push(names::row(reading, &names::resolve(reading, name)?)?),
        None => reading.visit_rows(None, &mut |_, row| {
            if row.conflicts > 0 && !row.deleted {
                rows.push(row);
            }
            Ok(ControlFlow::Continue(()))
        })?,
    }
    rows.into_iter()
        .map(|row| {
            let document = names::document(reading, row.key)?;
            let fields = document.disputes(&document.read());
            let name = names::display_name(reading, &row)?;
            Ok(Disputed { issue: Shown::plain(name, row), fields })
        })
        .collect()
}

/// Returns the edit that settles a field.
pub(super) fn settlement(
    reading: &Reading,
    content: &Content,
    field: &str,
    choice: &Choice,
) -> Result<Edit, TrackerError> {
    let Some(others) = content.issue.conflicts.get(field) else {
        let disputed: Vec<&str> = content.issue.conflicts.keys().map(String::as_str).collect();
        let hint = match disputed.as_slice() {
            [] => "the issue has no conflicts; `x0x issues edit` changes a field".to_owned(),
            names => format!("these fields of the issue are disputed: {}", names.join(", ")),
        };
        return Err(fields::invalid(field, "it is not disputed", &hint));
    };
    if field == "handoff" && !content.tree.standing_handoffs().is_empty() {
        let hint = "`x0x issues reopen` sends all of them back; `done` ends the issue";
        return Err(fields::invalid(field, "several workers handed the issue off", hint));
    }
    let mut edit = Edit::default();
    match choice {
        Choice::Keep => edit.settle(content, field, content.issue.json(field)),
        Choice::Take(number) => {
            let Some(json) = number.checked_sub(1).and_then(|at| others.get(at)) else {
                let reason = format!("it has no other value {number}");
                let hint = format!("the others are numbered 1 to {}", others.len());
                return Err(fields::invalid(field, &reason, &hint));
            };
            fields::fits_the_list(reading, content, field, json)?;
            edit.settle(content, field, Some(json));
        }
        Choice::Value(json) => {
            let json = fields::of_value(reading, content, field, json)?;
            edit.settle(content, field, Some(&json));
        }
    }
    Ok(edit)
}
