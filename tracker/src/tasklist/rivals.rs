//! What became of each claim on an issue, for whoever asks for that issue alone.

use super::names;
use crate::claim::Tree;
use crate::claim::record::Act;
use crate::claim::rivals::Course;
use crate::id::RecordHash;
use crate::interface::claims::{Note, RIVALS_MAX, Rival};
use crate::interface::{Shown, TrackerError};
use crate::store::Tables;

/// Returns an issue with what became of the claims on it, where any was made.
pub(super) fn with(tables: &impl Tables, shown: Shown) -> Result<Shown, TrackerError> {
    if shown.row.tally.claims == 0 {
        return Ok(shown);
    }
    let tree = names::document(tables, shown.row.key)?.tree(None);
    let rival = |claim| {
        let (record, made) = tree.claim(claim)?;
        let course = tree.course(claim)?;
        if tree.is_renewed(claim) {
            return None;
        }
        Some(Rival {
            claim,
            agent: record.by,
            worker: made.worker.clone(),
            at: record.at,
            fence: tree.fence(claim),
            slot: tree.slot(claim),
            ended: tree.ended_how(claim).map(str::to_owned),
            counts: course == Course::Counts,
            instead: match course {
                Course::Counts => None,
                Course::TakenOver { by } | Course::Followed { by } => Some(by),
                Course::Lost { to, .. } => Some(to),
            },
            why: match course {
                Course::Counts => "it counts".to_owned(),
                Course::TakenOver { .. } => "it went stale and was taken over".to_owned(),
                Course::Followed { .. } => "it was over, and another began".to_owned(),
                Course::Lost { why, .. } => format!("another counts: {}", why.text()),
            },
            end: tree.end_of(claim).and_then(|end| note(&tree, end)),
            sent_back: tree.reopened(claim).and_then(|reopen| note(&tree, reopen)),
        })
    };
    let mut rivals: Vec<Rival> = tree.claims().filter_map(rival).collect();
    rivals.sort_by_key(|rival| std::cmp::Reverse((rival.at, rival.fence, rival.claim)));
    rivals.truncate(RIVALS_MAX);
    Ok(Shown { rivals, ..shown })
}

/// Returns who made a record, and why.
pub(super) fn note(tree: &Tree, record: RecordHash) -> Option<Note> {
    let record = tree.records().get(&record)?;
    let reason = match &record.act {
        Act::End(end) => end.reason.clone(),
        Act::Ruling(ruling) => ruling.reason.clone(),
        Act::Reopen(reopen) => reopen.reason.clone(),
        Act::Claim(_) | Act::Contest { .. } | Act::Shard(_) => None,
    };
    Some(Note { by: record.by, at: record.at, reason })
}
