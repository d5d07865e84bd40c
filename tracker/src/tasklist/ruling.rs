//! Verdicts on issues: what ends one or opens it again, and who may say so.

use super::{Host, fields};
use crate::document::{Content, Edit};
use crate::interface::TrackerError;
use crate::interface::request::Ruling;
use crate::journal::charter::Role;
use crate::state::State;
use crate::store::{Journal, Reading};

/// Returns the edit that a verdict makes of an issue; empty where the issue is so already.
pub(super) fn plan(
    reading: &Reading,
    content: &Content,
    ruling: &Ruling,
    reason: Option<&str>,
) -> Result<Edit, TrackerError> {
    let mut edit = Edit::default();
    let state = match ruling {
        Ruling::Done => State::Done,
        Ruling::Cancelled => State::Cancelled,
        Ruling::Duplicate { of } => {
            if let Some(of) = of {
                fields::link_duplicate(reading, content, of, &mut edit)?;
            }
            State::Duplicate
        }
        Ruling::Reopened => {
            let is_review = content.issue.known_state() == Some(State::Review);
            if !content.issue.is_terminal() && !is_review {
                return Err(fields::not_over(content));
            }
            edit.reopen(content, reason);
            return Ok(edit);
        }
    };
    edit.set_state(content, Some(&fields::quoted(state.name())), reason);
    Ok(edit)
}

/// Tells whether the host's agent may end issues and open them again: a maintainer may; without a
/// charter the file is all there is, and whoever may write it may rule.
pub(super) fn may_rule(tables: &impl Journal, host: &Host) -> Result<bool, TrackerError> {
    let charter = tables.charter()?;
    let role = charter.role(host.signer.agent());
    Ok(charter.list().is_none() || role == Some(Role::Maintainer))
}
