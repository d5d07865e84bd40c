//! Whether a record fits the records that its author knew: the same question on every replica,
//! since a change names what it builds on.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{
    Act, CHANGE_RECORDS_MAX, Claim, End, How, Origin, RECORDS_BEFORE_CLAIM_MAX, RECORDS_MAX,
    RULINGS_MAX, Record, Ruling,
};
use super::tree::{Phase, Tree, handoff_json};
use crate::id::RecordHash;

/// Why an issue takes no more records.
const FULL: &str = "the issue has more records than it may";

/// Why a takeover is not contested again.
const CONTESTED: &str = "it contests what is contested already";

/// Checks records that were written together against those that their author knew.
///
/// Those of one kind are judged side by side, and know of the kinds before theirs.
///
/// # Errors
/// Which rule they break.
pub fn check(issue: &str, known: &Tree, new: &[Record]) -> Result<(), &'static str> {
    if new.len() > CHANGE_RECORDS_MAX {
        return Err("it adds too many records at once");
    }
    if !has_room(known, new) {
        return Err(FULL);
    }
    let mut sorted: Vec<&Record> = new.iter().collect();
    sorted.sort_by_key(|record| place(record));
    let groups: Vec<&[&Record]> = sorted.chunk_by(|a, b| place(a) == place(b)).collect();
    let mut tree = None;
    for (at, group) in groups.iter().enumerate() {
        let known = tree.as_ref().unwrap_or(known);
        check_together(group)?;
        group.iter().try_for_each(|record| check_one(known, record))?;
        if at + 1 < groups.len() {
            tree = Some(known.with(issue, group.iter().copied()));
        }
    }
    Ok(())
}

/// Tells whether an issue with these records has room for more.
///
/// A claim needs more room than what ends it, and what only maintainers make is counted apart.
pub fn has_room(known: &Tree, new: &[Record]) -> bool {
    let is_ruling = |record: &&Record| record.needs_maintainer();
    let ruled = known.records().values().filter(is_ruling).count();
    let rulings = new.iter().filter(is_ruling).count();
    let work = new.len() - rulings;
    let is_end = |record: &Record| matches!(record.act, Act::End(_));
    let only_ends = new.iter().filter(|record| !record.needs_maintainer()).all(is_end);
    let most = if only_ends { RECORDS_MAX } else { RECORDS_BEFORE_CLAIM_MAX };
    (rulings == 0 || ruled + rulings <= RULINGS_MAX)
        && (work == 0 || known.records().len() - ruled + work <= most)
}

/// Checks what records of one kind that were written together may not have in common.
fn check_together(group: &[&Record]) -> Result<(), &'static str> {
    let [first, _, ..] = group else { return Ok(()) };
    let mut named = BTreeSet::new();
    match first.act {
        Act::Shard(_) => Err("its shard record is not of the next epoch"),
        Act::Claim(_) => Err("its claim does not start from what its author knew"),
        Act::Ruling(_) | Act::Reopen(_) => Err("it rules twice at once"),
        Act::End(_) | Act::Contest { .. } => {
            let is_first = |record: &&Record| match &record.act {
                Act::End(End { claim: of, .. }) | Act::Contest { takeover: of } => {
                    named.insert(*of)
                }
                _ => true,
            };
            match (group.iter().all(is_first), &first.act) {
                (true, _) => Ok(()),
                (false, Act::End(_)) => Err("it ends a claim that is over"),
                (false, _) => Err(CONTESTED),
            }
        }
    }
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
            if known.is_contested(*takeover) {
                return Err(CONTESTED);
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
    if known.shard().is_none_or(|(counts, _)| counts != claim.shard) {
        return Err("its claim names a shard record that does not count");
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
    if matches!(end.how, How::HandedOff(_)) && known.phase() != Phase::Held(end.claim) {
        return Err("it hands off a claim that did not hold the issue");
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
