//! Whether a record fits the records that its author knew: the same question on every replica,
//! since a change names what it builds on.

use std::collections::BTreeMap;

use super::record::{Act, Claim, End, How, Origin, RECORDS_MAX, Record, Ruling};
use super::tree::{Phase, Tree, handoff_json};
use crate::id::RecordHash;

/// Checks records that were written together against those that their author knew.
///
/// # Errors
/// Which rule they break.
pub fn check(issue: &str, known: &Tree, new: &[Record]) -> Result<(), &'static str> {
    if known.records().len() + new.len() > RECORDS_MAX {
        return Err("the issue has more records than it may");
    }
    let mut sorted: Vec<&Record> = new.iter().collect();
    sorted.sort_by_key(|record| place(record));
    let mut tree = known.clone();
    for record in sorted {
        check_one(&tree, record)?;
        let records = tree.records().values().chain([record]).cloned();
        tree = Tree::of(issue, records);
    }
    Ok(())
}

/// Where a record stands among those that were written with it: a claim comes after what it names.
fn place(record: &Record) -> u8 {
    match record.act {
        Act::Shard(_) => 0,
        Act::End(_) => 1,
        Act::Contest { .. } => 2,
        Act::Ruling(_) => 3,
        Act::Reopen(_) => 4,
        Act::Claim(_) => 5,
    }
}

fn check_one(known: &Tree, record: &Record) -> Result<(), &'static str> {
    match &record.act {
        Act::Shard(shard) => {
            let next = known.shard().map_or(0, |(_, newest)| newest.epoch.saturating_add(1));
            if shard.epoch != next {
                return Err("its shard record is not of the next epoch");
            }
        }
        Act::Claim(claim) => check_claim(known, claim)?,
        Act::End(end) => check_end(known, record, end)?,
        Act::Contest { takeover } => {
            let taken = known.claim(*takeover).map(|(_, claim)| claim.origin);
            let Some(Origin::Takeover(taken)) = taken else {
                return Err("it contests what is no takeover");
            };
            if known.claim(taken).is_none_or(|(taken, _)| taken.by != record.by) {
                return Err("it contests a takeover of another agent's claim");
            }
        }
        Act::Reopen(reopen) => {
            let is_open_to = |hash| match known.records().get(hash) {
                Some(answered) => handoff_json(answered).is_some() || is_verdict(answered),
                None => false,
            };
            if !reopen.answers.iter().all(is_open_to) {
                return Err("it reopens what was neither handed off nor ruled");
            }
        }
        Act::Ruling(ruling) => check_ruling(known.records(), ruling, known)?,
    }
    Ok(())
}

fn check_claim(known: &Tree, claim: &Claim) -> Result<(), &'static str> {
    let names_shard =
        |hash| matches!(known.records().get(hash), Some(Record { act: Act::Shard(_), .. }));
    if !names_shard(&claim.shard) {
        return Err("its claim names no shard record");
    }
    let wrong = Err("its claim does not start from what its author knew");
    match (known.phase(), known.winner(), claim.origin) {
        (Phase::Ruled(_) | Phase::Review(_), ..) => Err("it claims what is over or handed off"),
        (Phase::Held(holder), _, Origin::Takeover(taken)) if taken == holder => Ok(()),
        (Phase::Open, None, Origin::First) => Ok(()),
        (Phase::Open, Some(winner), Origin::After { claim, end }) if claim == winner => {
            let is_end = known.ended_by(claim, end)
                || known
                    .records()
                    .get(&end)
                    .is_some_and(|record| matches!(record.act, Act::Reopen(_)));
            if is_end { Ok(()) } else { wrong }
        }
        _ => wrong,
    }
}

fn check_end(known: &Tree, record: &Record, end: &End) -> Result<(), &'static str> {
    let Some((made, _)) = known.claim(end.claim) else {
        return Err("it ends what is no claim");
    };
    if end.how != How::Forced && made.by != record.by {
        return Err("it ends another agent's claim");
    }
    if let How::Abandoned { to } = end.how
        && (to == end.claim || known.claim(to).is_none())
    {
        return Err("it abandons a claim to what is no other claim");
    }
    if !known.is_live(end.claim) {
        return Err("it ends a claim that is over");
    }
    Ok(())
}

fn check_ruling(
    records: &BTreeMap<RecordHash, Record>,
    ruling: &Ruling,
    known: &Tree,
) -> Result<(), &'static str> {
    if !ruling.answers.iter().all(|hash| records.get(hash).is_some_and(is_verdict)) {
        return Err("its ruling answers what is no ruling");
    }
    if ruling.ends.is_some_and(|claim| !known.is_live(claim)) {
        return Err("its ruling ends a claim that is not live");
    }
    Ok(())
}

fn is_verdict(record: &Record) -> bool {
    matches!(record.act, Act::Ruling(_) | Act::Reopen(_))
}

#[cfg(test)]
mod tests;
