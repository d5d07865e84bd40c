//! Which claim a worker means, and what it is told of one that it does not hold.

use std::collections::BTreeSet;

use super::edition::Edition;
use super::watching::Watching;
use super::{fields, names};
use crate::claim::record::{self, Act, How, Origin};
use crate::claim::rules::Fate;
use crate::claim::tree::{Tree, handoff_json};
use crate::document::{Content, Document};
use crate::id::{AgentId, RecordHash, hex};
use crate::interface::report::Row;
use crate::interface::{Holder, Holding, TrackerError};
use crate::store::{Claims, RowKey, Rows, Tables, Watched, Whose, row_key};

/// The fewest digits of a token.
const TOKEN_DIGITS_MIN: usize = 8;

/// A claim that is meant, with its issue.
pub(super) struct Meant {
    pub(super) document: Document,
    pub(super) content: Content,
    pub(super) claim: RecordHash,
    /// Other claims of the worker that it has to be told of.
    pub(super) lost: Vec<Lost>,
}

impl Meant {
    fn of(document: Document, content: Content, claim: RecordHash) -> Self {
        Self { document, content, claim, lost: Vec::new() }
    }
}

/// A claim that does not hold its issue any more, with the row of that.
pub(super) type Lost = (RowKey, RecordHash);

/// What workers have of the claims that they made here.
#[derive(Default)]
pub(super) struct Own {
    /// The issues that they hold, the one first that was claimed first.
    pub(super) held: Vec<RowKey>,
    /// The claims that they lost, or that others ended, and that they were not told of.
    pub(super) lost: Vec<Lost>,
}

/// Returns the claim of this worker that is meant, whether it holds its issue or not.
pub(super) fn meant(
    tables: &impl Tables,
    edition: &Edition<'_>,
    holding: &Holding,
) -> Result<Meant, TrackerError> {
    check_worker(&holding.worker)?;
    let agent = edition.host().signer.agent();
    let worker = holding.worker.as_str();
    if let Some(token) = &holding.claim {
        let (document, claim) = named(tables, edition, token, holding.issue.as_deref())?;
        let content = document.read();
        return match is_of(&content.tree, claim, agent, worker) {
            true => {
                let claim = renewal_of(&content.tree, claim);
                Ok(Meant::of(document, content, claim))
            }
            false => Err(foreign(tables, edition, document, worker)?),
        };
    }
    if let Some(issue) = &holding.issue {
        let document = document_at(tables, &names::resolve(tables, issue)?)?;
        let content = document.read();
        let own =
            own_claim(&content, agent, worker).or_else(|| newest_of(&content.tree, agent, worker));
        return match own {
            Some(claim) => Ok(Meant::of(document, content, claim)),
            None => Err(foreign(tables, edition, document, worker)?),
        };
    }
    only_one(tables, agent, worker)
}

/// Returns the only claim by which a worker holds an issue; where there is none, one of those that it
/// lost.
fn only_one(tables: &impl Tables, agent: AgentId, worker: &str) -> Result<Meant, TrackerError> {
    let none = || TrackerError::NoClaim { worker: worker.to_owned() };
    let Own { held, mut lost } = own(tables, agent, Some(worker))?;
    match held.as_slice() {
        [only] => {
            let document = document_at(tables, only)?;
            let content = document.read();
            let claim = own_claim(&content, agent, worker).ok_or_else(none)?;
            Ok(Meant { lost, ..Meant::of(document, content, claim) })
        }
        [] if lost.is_empty() => Err(none()),
        [] => {
            let (row_key, claim) = lost.remove(0);
            let document = document_at(tables, &row_key)?;
            let content = document.read();
            Ok(Meant { lost, ..Meant::of(document, content, claim) })
        }
        several => {
            let name = |row_key: &RowKey| {
                names::row(tables, row_key).and_then(|row| names::display_name(tables, &row))
            };
            let names = several.iter().map(name).collect::<Result<_, _>>()?;
            Err(TrackerError::ManyClaims { worker: worker.to_owned(), names })
        }
    }
}

/// Returns the claim that holds an issue, whoever made it.
pub(super) fn holder_of(
    tables: &impl Tables,
    edition: &Edition<'_>,
    holding: &Holding,
) -> Result<Meant, TrackerError> {
    let (document, token) = match (&holding.claim, &holding.issue) {
        (Some(token), issue) => {
            let (document, claim) = named(tables, edition, token, issue.as_deref())?;
            (document, Some(claim))
        }
        (None, Some(issue)) => (document_at(tables, &names::resolve(tables, issue)?)?, None),
        (None, None) => {
            let meant = meant(tables, edition, holding)?;
            (meant.document, Some(meant.claim))
        }
    };
    let content = document.read();
    let is_meant =
        |claim: &RecordHash| token.is_none_or(|token| *claim == renewal_of(&content.tree, token));
    match content.tree.holder().filter(is_meant) {
        Some(claim) => Ok(Meant::of(document, content, claim)),
        None => Err(foreign(tables, edition, document, &holding.worker)?),
    }
}

/// Returns the claim by which a worker holds an issue.
pub(super) fn own_claim(content: &Content, agent: AgentId, worker: &str) -> Option<RecordHash> {
    let claim = content.tree.holder()?;
    is_of(&content.tree, claim, agent, worker).then_some(claim)
}

/// Returns what the workers of an agent, or one of them, have of the claims that were made here.
///
/// Opens no document but those of claims that an earlier version of this program noted.
pub(super) fn own(
    tables: &impl Tables,
    agent: AgentId,
    worker: Option<&str>,
) -> Result<Own, TrackerError> {
    let (mut held, mut lost) = (Vec::new(), Vec::new());
    for Watched { record, whose } in tables.watched()? {
        let whose = match whose {
            Some(whose) => whose,
            None => match whose_of(tables, record)? {
                Some(whose) => whose,
                None => continue,
            },
        };
        if whose.agent != agent || worker.is_some_and(|worker| worker != whose.worker) {
            continue;
        }
        let Some(row) = tables.row(&whose.row)? else { continue };
        match row.held {
            Some(by) if by.agent == agent && by.worker == whose.worker => {
                held.push((by.at.0, whose.row));
            }
            _ => lost.push((whose.row, record)),
        }
    }
    held.sort();
    held.dedup_by(|a, b| a.1 == b.1);
    lost.sort();
    Ok(Own { held: held.into_iter().map(|(_, row_key)| row_key).collect(), lost })
}

/// Returns whose a claim is, as its document says; `None` for what is no claim.
fn whose_of(tables: &impl Tables, claim: RecordHash) -> Result<Option<Whose>, TrackerError> {
    let Some(proof) = tables.proof(claim)? else { return Ok(None) };
    let document = names::document(tables, proof.document)?;
    Ok(whose(&document, &document.tree(None), claim))
}

/// Returns whose a claim of a document is.
pub(super) fn whose(document: &Document, tree: &Tree, claim: RecordHash) -> Option<Whose> {
    let (record, claim) = tree.claim(claim)?;
    let (agent, worker, row) = (record.by, claim.worker.clone(), row_key(document.birth()));
    Some(Whose { agent, worker, row })
}

/// Returns what a claim became by renewals alone, each a takeover by the same worker: the claim that
/// holds the issue, if it leads there, else the last of them.
pub(super) fn renewal_of(tree: &Tree, claim: RecordHash) -> RecordHash {
    let Some((record, made)) = tree.claim(claim) else { return claim };
    let mut chain = BTreeSet::from([claim]);
    let mut last = claim;
    // Claims come after what they take over.
    for next in tree.claims() {
        let is_renewal = tree.claim(next).is_some_and(|(_, next)| match next.origin {
            Origin::Takeover(taken) => chain.contains(&taken),
            Origin::First | Origin::After { .. } => false,
        });
        if is_renewal && is_of(tree, next, record.by, &made.worker) {
            chain.insert(next);
            if tree.fence(next) > tree.fence(last) {
                last = next;
            }
        }
    }
    tree.winner().filter(|winner| chain.contains(winner)).unwrap_or(last)
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
        Some(Act::End(end)) => {
            let how = match end.how {
                How::Released => "released",
                How::HandedOff(_) => "handed off, and sent back",
                How::Abandoned { .. } => "given up to another",
                How::Forced => "ended by a maintainer",
            };
            (how.to_owned(), end.reason.as_deref())
        }
        Some(Act::Ruling(ruling)) => {
            let state = ruling.verdict.state().name();
            (format!("ended with the issue, which was ruled {state}"), ruling.reason.as_deref())
        }
        _ => ("ended".to_owned(), None),
    };
    match reason {
        Some(reason) => format!("{how} ({reason})"),
        None => how,
    }
}

/// Returns the claim that a token names, and its issue, which must be the one that is named.
fn named(
    tables: &impl Tables,
    edition: &Edition<'_>,
    token: &str,
    issue: Option<&str>,
) -> Result<(Document, RecordHash), TrackerError> {
    let digits = token.trim().to_ascii_lowercase();
    let is_token = (TOKEN_DIGITS_MIN..=64).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_token {
        let reason = format!("'{token}' is not the token of a claim");
        let hint = "give `id` of the claim, as `claim` answered it: 64 hex digits, or at least the first 8";
        return Err(fields::invalid("claim", &reason, hint));
    }
    let row = issue.map(|issue| names::row(tables, &names::resolve(tables, issue)?)).transpose()?;
    let whole = data_encoding::HEXLOWER.decode(&digits.as_bytes()[..digits.len() / 2 * 2]);
    let mut found = tables.claims_starting(&whole.unwrap_or_default(), usize::MAX)?;
    found.retain(|(claim, _)| hex(&claim.0).starts_with(&digits));
    let (claim, proof) = match found.as_slice() {
        [only] => *only,
        [] => {
            let (name, holder) = match &row {
                Some(row) => (
                    Some(names::display_name(tables, row)?),
                    holder(tables, edition, row)?.map(Box::new),
                ),
                None => (None, None),
            };
            return Err(TrackerError::UnknownClaim { token: token.to_owned(), name, holder });
        }
        several => {
            let candidates = several.iter().map(|(claim, _)| hex(&claim.0)).collect();
            return Err(TrackerError::Ambiguous { name: token.to_owned(), candidates });
        }
    };
    let document = names::document(tables, proof.document)?;
    if let Some(wanted) = row.filter(|row| row.key != proof.document) {
        let of = names::row(tables, &row_key(document.birth()))?;
        let name = names::display_name(tables, &of)?;
        let wanted = names::display_name(tables, &wanted)?;
        return Err(TrackerError::ClaimElsewhere { claim, name, wanted });
    }
    Ok((document, claim))
}

/// Returns who holds an issue.
pub(super) fn holder(
    tables: &impl Tables,
    edition: &Edition<'_>,
    row: &Row,
) -> Result<Option<Holder>, TrackerError> {
    let watching = Watching::of(tables, edition.outlook());
    row.held.as_ref().map(|held| watching.holder(held)).transpose()
}

/// Returns what a worker is told that has no claim on an issue.
fn foreign(
    tables: &impl Tables,
    edition: &Edition<'_>,
    document: Document,
    worker: &str,
) -> Result<TrackerError, TrackerError> {
    let row = super::row::of(&document.read());
    let holder = holder(tables, edition, &row)?;
    let why = match &holder {
        Some(holder) => format!("worker {worker} does not hold it; {holder} does"),
        None => format!("worker {worker} does not hold it; nobody does"),
    };
    let name = names::display_name(tables, &row)?;
    let holder = holder.map(Box::new);
    Ok(TrackerError::ClaimLost {
        name,
        claim: None,
        why,
        by_holder: false,
        holder,
        also: Box::default(),
    })
}

/// Returns the document of the issue in some row.
fn document_at(tables: &impl Tables, row_key: &RowKey) -> Result<Document, TrackerError> {
    names::document(tables, names::row(tables, row_key)?.key)
}

/// Returns the deepest claim of a worker, live ones before others; what became of one by renewals
/// stands for it.
fn newest_of(tree: &Tree, agent: AgentId, worker: &str) -> Option<RecordHash> {
    let own = tree.claims().filter(|claim| is_of(tree, *claim, agent, worker));
    own.map(|claim| renewal_of(tree, claim))
        .max_by_key(|claim| (tree.is_live(*claim), tree.fence(*claim), *claim))
}

/// Tells whether a claim is of a worker.
pub(super) fn is_of(tree: &Tree, claim: RecordHash, agent: AgentId, worker: &str) -> bool {
    tree.claim(claim).is_some_and(|(record, claim)| record.by == agent && claim.worker == worker)
}
