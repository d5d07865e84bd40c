//! Which claim a worker means, and what it is told of one that it does not hold.

use super::edition::Edition;
use super::watching::Watching;
use super::{fields, names};
use crate::claim::record::{self, Act, How};
use crate::claim::rules::Fate;
use crate::claim::tree::{Tree, handoff_json};
use crate::document::{Content, Document};
use crate::id::{AgentId, RecordHash, hex};
use crate::interface::{Holder, Holding, TrackerError};
use crate::store::{Claims, RowKey, Tables, row_key};

/// The fewest digits of a token.
const TOKEN_DIGITS_MIN: usize = 8;

/// A claim that is meant, with its issue.
pub(super) struct Meant {
    pub(super) document: Document,
    pub(super) content: Content,
    pub(super) claim: RecordHash,
}

impl Meant {
    fn of(document: Document, claim: RecordHash) -> Self {
        let content = document.read();
        Self { document, content, claim }
    }
}

/// Returns the claim of this agent that is meant, whether it holds its issue or not.
pub(super) fn meant(
    tables: &impl Tables,
    edition: &Edition<'_>,
    holding: &Holding,
) -> Result<Meant, TrackerError> {
    check_worker(&holding.worker)?;
    let agent = edition.host().signer.agent();
    if let Some(token) = &holding.claim {
        let meant = named(tables, token, holding.issue.as_deref())?;
        return match meant.content.tree.claim(meant.claim) {
            Some((record, _)) if record.by == agent => Ok(meant),
            _ => Err(foreign(tables, edition, meant.document, &holding.worker)?),
        };
    }
    if let Some(issue) = &holding.issue {
        let row = names::row(tables, &names::resolve(tables, issue)?)?;
        let document = names::document(tables, row.key)?;
        let content = document.read();
        let own = own_claim(&content, agent, &holding.worker)
            .or_else(|| newest_of(&content.tree, agent, &holding.worker));
        return match own {
            Some(claim) => Ok(Meant { document, content, claim }),
            None => Err(foreign(tables, edition, document, &holding.worker)?),
        };
    }
    let own = issues_of(tables, agent, Some(&holding.worker))?;
    let worker = holding.worker.clone();
    match own.as_slice() {
        [] => Err(TrackerError::NoClaim { worker }),
        [only] => {
            let document = names::document(tables, names::row(tables, only)?.key)?;
            let content = document.read();
            let claim = own_claim(&content, agent, &worker)
                .or_else(|| newest_of(&content.tree, agent, &worker))
                .ok_or(TrackerError::NoClaim { worker })?;
            Ok(Meant { document, content, claim })
        }
        several => {
            let name = |row_key: &RowKey| {
                names::row(tables, row_key).and_then(|row| names::display_name(tables, &row))
            };
            let names = several.iter().map(name).collect::<Result<_, _>>()?;
            Err(TrackerError::ManyClaims { worker, names })
        }
    }
}

/// Returns the claim that holds an issue, whoever made it.
pub(super) fn holder_of(
    tables: &impl Tables,
    edition: &Edition<'_>,
    holding: &Holding,
) -> Result<Meant, TrackerError> {
    let document = match (&holding.claim, &holding.issue) {
        (Some(token), issue) => named(tables, token, issue.as_deref())?.document,
        (None, Some(issue)) => {
            let row = names::row(tables, &names::resolve(tables, issue)?)?;
            names::document(tables, row.key)?
        }
        (None, None) => return meant(tables, edition, holding),
    };
    let content = document.read();
    let is_meant = |claim: &RecordHash| {
        holding.claim.as_ref().is_none_or(|token| hex(&claim.0).starts_with(&digits(token)))
    };
    match content.tree.holder().filter(is_meant) {
        Some(claim) => Ok(Meant { document, content, claim }),
        None => Err(foreign(tables, edition, document, &holding.worker)?),
    }
}

/// Returns the claim by which a worker holds an issue.
pub(super) fn own_claim(content: &Content, agent: AgentId, worker: &str) -> Option<RecordHash> {
    let claim = content.tree.holder()?;
    is_of(&content.tree, claim, agent, Some(worker)).then_some(claim)
}

/// Returns the issues on which workers of an agent have claims that they made here and that nobody
/// has told them they lost.
pub(super) fn issues_of(
    tables: &impl Tables,
    agent: AgentId,
    worker: Option<&str>,
) -> Result<Vec<RowKey>, TrackerError> {
    let mut found: Vec<(i64, RowKey)> = Vec::new();
    for claim in tables.watched()? {
        let Some(proof) = tables.proof(claim)? else { continue };
        let content = names::document(tables, proof.document)?.read();
        if !content.tree.is_live(claim) || !is_of(&content.tree, claim, agent, worker) {
            continue;
        }
        let at = content.tree.claim(claim).map_or(0, |(record, _)| record.at.0);
        found.push((at, row_key(&content.issue.birth)));
    }
    found.sort();
    found.dedup_by(|a, b| a.1 == b.1);
    Ok(found.into_iter().map(|(_, row_key)| row_key).collect())
}

/// Returns what the holder of a claim is told that does not hold its issue.
pub(super) fn told(tree: &Tree, claim: RecordHash, fate: Fate, holder: Option<&Holder>) -> String {
    let now = match holder {
        Some(holder) => format!("; {holder} holds it now"),
        None => String::new(),
    };
    match fate {
        Fate::Over(verdict) => {
            format!("the issue is {}, which ended every claim", verdict.state().name())
        }
        Fate::Lost(_) => format!("the claim was lost{now}"),
        Fate::HandedOff => format!("the claim was handed off{now}"),
        Fate::Ended => format!("the claim is over: {}{now}", ended(tree, claim)),
        Fate::Holds | Fate::Unknown => format!("there is no such claim{now}"),
    }
}

/// Returns the JSON of every handoff of an issue: those that workers made, and one that came with a
/// file.
pub(super) fn handoffs(content: &Content) -> Vec<String> {
    let made = content.tree.records().values().filter_map(handoff_json).map(str::to_owned);
    made.chain(content.registers.get("handoff").cloned()).collect()
}

/// Refuses what cannot name a worker.
pub(super) fn check_worker(worker: &str) -> Result<(), TrackerError> {
    if record::is_worker(worker) {
        return Ok(());
    }
    let reason = format!("'{worker}' cannot name a worker");
    let hint = "use A-Z, a-z, 0-9, '.', '_' and '-', at most 64 of them";
    Err(fields::invalid("worker", &reason, hint))
}

/// Tells whether the holder of a claim ended it, rather than anybody else.
pub(super) fn is_ended_by_holder(tree: &Tree, claim: RecordHash) -> bool {
    let record = tree.end_of(claim).and_then(|end| tree.records().get(&end));
    match record.map(|record| &record.act) {
        Some(Act::End(end)) => matches!(end.how, How::Released | How::HandedOff(_)),
        _ => false,
    }
}

/// Says in what way a claim ended.
fn ended(tree: &Tree, claim: RecordHash) -> String {
    let act = tree.end_of(claim).and_then(|end| tree.records().get(&end)).map(|r| &r.act);
    let (how, reason) = match act {
        Some(Act::End(end)) => (
            match end.how {
                How::Released => "released",
                How::HandedOff(_) => "handed off, and sent back",
                How::Abandoned { .. } => "given up to another",
                How::Forced => "ended by a maintainer",
            },
            end.reason.as_deref(),
        ),
        Some(Act::Ruling(ruling)) => ("ended with the issue", ruling.reason.as_deref()),
        _ => ("ended", None),
    };
    match reason {
        Some(reason) => format!("{how} ({reason})"),
        None => how.to_owned(),
    }
}

/// Returns the claim that a token names, and its issue, which must be the one that is named.
fn named(tables: &impl Tables, token: &str, issue: Option<&str>) -> Result<Meant, TrackerError> {
    let digits = digits(token);
    let is_token = (TOKEN_DIGITS_MIN..=64).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_token {
        let reason = format!("'{token}' is not the token of a claim");
        let hint = "give `id` of the claim, as `claim` answered it: 64 hex digits, or at least the first 8";
        return Err(fields::invalid("claim", &reason, hint));
    }
    let whole = data_encoding::HEXLOWER.decode(&digits.as_bytes()[..digits.len() / 2 * 2]);
    let mut found = tables.claims_starting(&whole.unwrap_or_default(), usize::MAX)?;
    found.retain(|(claim, _)| hex(&claim.0).starts_with(&digits));
    let (claim, proof) = match found.as_slice() {
        [only] => *only,
        [] => return Err(TrackerError::NotFound { name: token.to_owned() }),
        several => {
            let candidates = several.iter().map(|(claim, _)| hex(&claim.0)).collect();
            return Err(TrackerError::Ambiguous { name: token.to_owned(), candidates });
        }
    };
    let document = names::document(tables, proof.document)?;
    if let Some(issue) = issue {
        let row = names::row(tables, &names::resolve(tables, issue)?)?;
        if row.key != proof.document {
            let reason = format!("claim {} is on another issue", claim.short());
            return Err(fields::invalid("claim", &reason, "leave out the issue, or the claim"));
        }
    }
    Ok(Meant::of(document, claim))
}

/// Returns what a worker is told that has no claim on an issue.
fn foreign(
    tables: &impl Tables,
    edition: &Edition<'_>,
    document: Document,
    worker: &str,
) -> Result<TrackerError, TrackerError> {
    let row = super::row::of(&document.read());
    let watching = Watching::of(tables, edition.outlook());
    let holder = row.held.as_ref().map(|held| watching.holder(held)).transpose()?;
    let why = match &holder {
        Some(holder) => format!("worker {worker} does not hold it; {holder} does"),
        None => format!("worker {worker} does not hold it; nobody does"),
    };
    let name = names::display_name(tables, &row)?;
    let holder = holder.map(Box::new);
    Ok(TrackerError::ClaimLost { name, claim: None, why, by_holder: false, holder })
}

/// Returns the deepest claim of a worker, live ones before others.
fn newest_of(tree: &Tree, agent: AgentId, worker: &str) -> Option<RecordHash> {
    let own = tree.claims().filter(|claim| is_of(tree, *claim, agent, Some(worker)));
    own.max_by_key(|claim| (tree.is_live(*claim), tree.fence(*claim), *claim))
}

fn is_of(tree: &Tree, claim: RecordHash, agent: AgentId, worker: Option<&str>) -> bool {
    tree.claim(claim).is_some_and(|(record, claim)| {
        record.by == agent && worker.is_none_or(|worker| claim.worker == worker)
    })
}

fn digits(token: &str) -> String {
    token.trim().to_ascii_lowercase()
}
