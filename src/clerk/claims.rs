//! Claims of a store in the hub's words: beats and promises that are to be told, and what became of claims
//! that others took.

use x0x_tracker::LocalTracker;
use x0x_tracker::claim::beat::{Kind, Turn};
use x0x_tracker::id::{AgentId, ListId, RecordHash};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::JournalError;
use x0x_tracker::store::{Change, Changes, PromiseNews};
use x0x_tracker::tasklist::Parted;

use crate::hub::Input;

/// Signs a frame with beats.
///
/// # Errors
/// Where the store cannot be read or the key refuses.
pub fn beat(
    tracker: &LocalTracker,
    list: ListId,
    turn: Turn,
    kind: Kind,
    claims: &[RecordHash],
) -> Result<Option<Input>, TrackerError> {
    let beat = tracker.beat_of(turn, kind, claims)?;
    Ok(beat.map(|beat| Input::Beat { list, beat }))
}

/// Returns the promises that a store's agent has given.
///
/// # Errors
/// Where the store cannot be read.
pub fn promised(tracker: &LocalTracker, list: ListId) -> Result<Input, TrackerError> {
    Ok(Input::Promised { list, given: tracker.promised()?, over: Vec::new(), are_all: true })
}

/// Tells what became of promises, and of which claims others were heard to have promised.
pub fn promises_of(changes: &Changes, list: ListId) -> (Option<Input>, Vec<RecordHash>) {
    let (mut given, mut over, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for news in &changes.promises {
        match *news {
            PromiseNews::Given(claim) => {
                over.retain(|before| *before != claim);
                given.push(claim);
            }
            PromiseNews::Over(claim) => {
                // Given and over in one go is over.
                given.retain(|before| *before != claim);
                over.push(claim);
            }
            PromiseNews::Heard(claim) => heard.push(claim),
        }
    }
    let is_none = given.is_empty() && over.is_empty();
    ((!is_none).then_some(Input::Promised { list, given, over, are_all: false }), heard)
}

/// Tells whether claims of an agent may have been taken from it by what changed.
pub fn may_have_lost(changes: &Changes, agent: AgentId) -> bool {
    let is_lost = |change: &Change| {
        let held = change.before.as_ref().and_then(|row| row.held.as_ref());
        let (before, after) = change.claims();
        held.is_some_and(|held| held.agent == agent) && before != after
    };
    changes.is_cut || changes.issues.iter().any(is_lost)
}

/// Contests what took over claims whose leases never lapsed, gives up those that are lost, and says so.
///
/// # Errors
/// Where the store cannot be written; of an agent that may not write nothing is.
pub fn part(tracker: &mut LocalTracker, list: ListId) -> Result<Vec<Parted>, TrackerError> {
    let parted = match tracker.part() {
        Ok(parted) => parted,
        // Its claims are stale by that.
        Err(TrackerError::Journal(JournalError::NotAllowed { .. })) => Vec::new(),
        Err(error) => return Err(error),
    };
    for Parted { name, worker, claim, lost_to, .. } in &parted {
        let (list, claim) = (list.short(), claim.short());
        match lost_to {
            Some(to) => {
                let to = to.short();
                tracing::info!(%list, issue = name, worker, %claim, %to, "a claim was lost, and given up");
            }
            None => {
                tracing::info!(%list, issue = name, worker, %claim, "a takeover was contested");
            }
        }
    }
    Ok(parted)
}
