//! What became of claims in a change of an issue, for those who are told of it: its rows say who holds it, and no more.

use super::{rivals, row};
use crate::claim::Tree;
use crate::claim::record::Act;
use crate::interface::report::Row;
use crate::store::Outcome;

/// Returns what became of the claims between two rows of an issue, the later of which follows from that tree.
pub(super) fn of(tree: &Tree, before: &Row, after: &Row) -> Outcome {
    let (was, is) = (&before.tally, &after.tally);
    let winner = tree.winner().filter(|winner| tree.is_handed_off(*winner));
    let handed_off = winner.filter(|_| is.handoffs > was.handoffs);
    let claim_of = |row: &Row| row.held.as_ref().map(|held| held.claim);
    let lost = claim_of(before).filter(|claim| claim_of(after) != Some(*claim));
    let ended = lost.and_then(|claim| {
        let note = rivals::note(tree, tree.end_of(claim)?)?;
        Some((claim, tree.ended_how(claim)?, note))
    });
    let is_reopen = |verdict: &&_| {
        let record = tree.records().get(*verdict);
        record.is_some_and(|record| matches!(record.act, Act::Reopen(_)))
    };
    let reopened = tree.verdicts().iter().find(is_reopen);
    Outcome {
        handed_off: handed_off.and_then(|claim| row::held_by(tree, claim)),
        ended: ended.into_iter().collect(),
        reopened: reopened.and_then(|reopen| rivals::note(tree, *reopen)),
    }
}
