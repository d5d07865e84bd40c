//! What becomes of own claims that others took over: the holder whose lease never lapsed contests that, and
//! whoever lost says so. By the store itself, whether a worker asks or not.

use super::edition::Edition;
use super::losses::write_loss;
use super::{LocalTracker, claiming, date, holding, names};
use crate::claim::record::{Act, Origin, Record};
use crate::claim::rules::{self, Fate};
use crate::document::{Content, Document, Edit};
use crate::id::RecordHash;
use crate::interface::TrackerError;
use crate::store::RowKey;

/// What became of a claim of this agent that another claim had taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted {
    /// The id of the issue.
    pub id: String,
    /// What the issue is called.
    pub name: String,
    /// Which worker's claim it is.
    pub worker: String,
    /// The claim.
    pub claim: RecordHash,
    /// The claim that holds the issue instead; `None` where this one does again, since what took it over
    /// was contested.
    pub lost_to: Option<RecordHash>,
}

impl LocalTracker {
    /// Contests takeovers of claims of this agent's workers whose leases never lapsed, and gives up the claims
    /// that are lost; returns what became of each. Their workers are told when they ask.
    pub fn part(&mut self) -> Result<Vec<Parted>, TrackerError> {
        let host = self.host()?;
        let reading = self.store.read()?;
        let own = holding::own(&reading, host.signer.agent(), None)?;
        let mut lost: Vec<(RowKey, RecordHash)> = Vec::new();
        for (row_key, claim) in own.lost {
            let tree = names::document(&reading, names::row(&reading, &row_key)?.key)?.tree(None);
            let is_lost = matches!(rules::fate(&tree, claim), Fate::Lost(_));
            if is_lost && tree.is_live(claim) {
                lost.push((row_key, claim));
            }
        }
        drop(reading);
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let mut edition = Edition::start(&self.store, host)?;
        let mut parted = Vec::new();
        for (row_key, claim) in lost {
            parted.extend(part_one(&mut edition, &row_key, claim)?);
        }
        edition.finish()?;
        Ok(parted)
    }
}

fn part_one(
    edition: &mut Edition<'_>,
    row_key: &RowKey,
    claim: RecordHash,
) -> Result<Option<Parted>, TrackerError> {
    let row = names::row(edition.tables(), row_key)?;
    let mut document = names::document(edition.tables(), row.key)?;
    let mut content = document.read();
    contest(edition, &mut document, &mut content, claim)?;
    let fate = rules::fate(&content.tree, claim);
    let lost_to = match fate {
        Fate::Holds => None,
        Fate::Lost(to) => Some(to),
        _ => return Ok(None),
    };
    write_loss(edition, &mut document, &content, claim, fate)?;
    let made = content.tree.claim(claim);
    Ok(Some(Parted {
        id: content.issue.id().to_owned(),
        name: names::display_name(edition.tables(), &row)?,
        worker: made.map(|(_, made)| made.worker.clone()).unwrap_or_default(),
        claim,
        lost_to,
    }))
}

/// Contests what took over a claim of this agent whose lease never lapsed, where that gives it the issue back.
pub(super) fn contest(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &mut Content,
    claim: RecordHash,
) -> Result<(), TrackerError> {
    let tree = &content.tree;
    let is_lost = matches!(rules::fate(tree, claim), Fate::Lost(_));
    // A beat of a claim that lapsed makes a new one, so one that has not by now never did.
    if !is_lost || !tree.is_live(claim) || claiming::has_lapsed(edition, content, claim)? {
        return Ok(());
    }
    let takes = |of: &RecordHash| {
        let origin = tree.claim(*of).map(|(_, made)| made.origin);
        origin == Some(Origin::Takeover(claim)) && !tree.is_contested(*of)
    };
    let contests: Vec<Record> = tree
        .claims()
        .filter(takes)
        .map(|takeover| edition.record(Act::Contest { takeover }))
        .collect();
    let contested = tree.with(tree.issue(), &contests);
    if contests.is_empty() || contested.holder() != Some(claim) {
        return Ok(());
    }
    let mut edit = Edit::default();
    contests.into_iter().for_each(|record| edit.add(record.act));
    date(&mut edit, content, edition.now());
    match edition.write(document, &edit, None) {
        Ok(()) => {
            *content = document.read();
            Ok(())
        }
        // Where there is no room to contest, there is room to give up.
        Err(TrackerError::NoRoom { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
