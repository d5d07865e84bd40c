//! The row of an issue and its record as JSON: what queries need of it, computed from its content.

use crate::claim::record::{Act, End, How, Origin, Record};
use crate::claim::tree::{Phase, Tree, handoff_json};
use crate::document::Content;
use crate::document::scalar::quote;
use crate::interface::TrackerError;
use crate::interface::report::{Held, Rest, Row, Tally};
use crate::issue::{Issue, as_text};
use crate::store::{Claims, Tables};

/// Returns the row of a document's content.
pub(super) fn of(content: &Content) -> Row {
    let issue = &content.issue;
    Row {
        key: issue.key(),
        id: issue.id().to_owned(),
        identifier: issue.text("identifier").filter(|name| crate::name::is_identifier(name)),
        title: issue.title(),
        state: issue.state(),
        priority: issue.priority(),
        labels: issue.texts("labels"),
        assignee: issue.text("assignee"),
        holder: issue.json("claim").and_then(holder_of),
        blocked_by: issue.blockers(),
        created_at: issue.birth.created_at.as_deref().and_then(as_text),
        updated_at: issue.text("updated_at"),
        deleted: issue.is_deleted(),
        conflicts: u32::try_from(issue.conflicts.len()).unwrap_or(u32::MAX),
        comments: u32::try_from(issue.elements("comments").len()).unwrap_or(u32::MAX),
        version: issue.version,
        held: held(&content.tree),
        rest: rest(&content.tree),
        tally: tally(&content.tree),
    }
}

/// Returns an issue as its record shows it: with the commit that proves the claim, where that is
/// known here already.
pub(super) fn proved(tables: &impl Tables, content: &Content) -> Result<Issue, TrackerError> {
    let mut issue = content.issue.clone();
    let Some(claim) = content.tree.holder() else { return Ok(issue) };
    if let Some(json) = issue.fields.get_mut("claim")
        && let Some(proof) = tables.proof(claim)?
    {
        let commit = quote(&proof.commit.to_string());
        json.pop();
        json.push_str(&format!(",\"signature\":{commit}}}"));
    }
    Ok(issue)
}

fn holder_of(claim: &str) -> Option<String> {
    let claim: serde_json::Value = serde_json::from_str(claim).ok()?;
    Some(claim.get("by")?.as_str()?.to_owned())
}

fn held(tree: &Tree) -> Option<Held> {
    held_by(tree, tree.holder()?)
}

/// Returns a claim as the one that holds its issue.
pub(super) fn held_by(tree: &Tree, hash: crate::id::RecordHash) -> Option<Held> {
    let (record, claim) = tree.claim(hash)?;
    Some(Held {
        claim: hash,
        agent: record.by,
        worker: claim.worker.clone(),
        at: record.at,
        ttl_ms: claim.ttl_ms,
        slot: tree.slot(hash),
        fence: tree.fence(hash),
    })
}

/// Returns how the last claim ended of an issue that nobody holds.
fn rest(tree: &Tree) -> Option<Rest> {
    if tree.phase() != Phase::Open {
        return None;
    }
    let winner = tree.winner()?;
    let hash = tree.end_of(winner)?;
    let (retry_after_ms, reason) = match &tree.records().get(&hash)?.act {
        Act::End(end) => (end.retry_after_ms.unwrap_or(0), end.reason.clone()),
        Act::Ruling(ruling) => (0, ruling.reason.clone()),
        _ => (0, None),
    };
    let mut failures = 0_u32;
    let mut at = Some(winner);
    while let Some(claim) = at.filter(|claim| failed(tree, *claim)) {
        failures = failures.saturating_add(1);
        at = tree.claim(claim).and_then(|(_, claim)| claim.origin.parent());
    }
    Some(Rest { end: hash, retry_after_ms, failures, reason })
}

/// Tells whether a claim ended with the wish to leave the issue alone for a while.
fn failed(tree: &Tree, claim: crate::id::RecordHash) -> bool {
    let end = tree.end_of(claim).and_then(|hash| tree.records().get(&hash));
    let waits = |end: &End| end.retry_after_ms.is_some_and(|ms| ms > 0);
    matches!(end.map(|record| &record.act), Some(Act::End(end)) if waits(end))
}

fn tally(tree: &Tree) -> Tally {
    let mut tally = Tally::default();
    let mut reopened = std::collections::BTreeSet::new();
    for record in tree.records().values() {
        match &record.act {
            Act::Claim(claim) => {
                let is_takeover = is_takeover(tree, record);
                let takes = matches!(claim.origin, Origin::Takeover(_));
                tally.claims += 1;
                tally.takeovers += u32::from(is_takeover);
                tally.renewals += u32::from(takes && !is_takeover);
            }
            Act::End(End { how: How::Abandoned { .. }, .. }) => tally.abandons += 1,
            Act::End(End { how: How::HandedOff(_), .. }) => tally.handoffs += 1,
            Act::Reopen(reopen) => reopened.extend(&reopen.answers),
            _ => {}
        }
    }
    let is_handoff =
        |hash: &&crate::id::RecordHash| tree.records().get(hash).and_then(handoff_json).is_some();
    tally.rework =
        u32::try_from(reopened.iter().filter(|h| is_handoff(h)).count()).unwrap_or(u32::MAX);
    tally
}

/// Tells whether a claim took over that of another worker, rather than renew its own.
fn is_takeover(tree: &Tree, record: &Record) -> bool {
    let Some(claim) = record.claim() else { return false };
    let Origin::Takeover(taken) = claim.origin else { return false };
    tree.claim(taken)
        .is_some_and(|(taken, before)| taken.by != record.by || before.worker != claim.worker)
}
