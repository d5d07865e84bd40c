//! What a worker is told of claims that it has no longer, each once; one that lost says so in the
//! issue before anything else is told.

use super::contesting::contest;
use super::edition::Edition;
use super::holding::{self, Lost, Meant};
use super::{Host, claiming, names};
use crate::claim::record::{Act, End, How};
use crate::claim::rules::{self, Fate};
use crate::document::{Content, Document};
use crate::id::RecordHash;
use crate::interface::{Loss, TrackerError};
use crate::store::Store;

/// Tells a worker what it lost, and goes on with the claim that it means, where that holds its issue.
///
/// # Errors
/// [`TrackerError::ClaimLost`] where it does not; what had to be written then is.
pub(super) fn held<'a>(
    mut edition: Edition<'a>,
    mut meant: Meant,
) -> Result<(Edition<'a>, Meant, Vec<Loss>), TrackerError> {
    let Meant { document, content, claim, lost } = &mut meant;
    let told = settle(&mut edition, lost)?;
    contest(&mut edition, document, content, *claim)?;
    match loss(&mut edition, document, content, *claim)? {
        None => Ok((edition, meant, told)),
        Some(loss) => {
            edition.finish()?;
            Err(error(loss, told))
        }
    }
}

/// Writes what has to be written of claims that were lost, and returns what to tell of them.
pub(super) fn settle(edition: &mut Edition<'_>, lost: &[Lost]) -> Result<Vec<Loss>, TrackerError> {
    let mut told = Vec::new();
    for (row_key, claim) in lost {
        let key = names::row(edition.tables(), row_key)?.key;
        let mut document = names::document(edition.tables(), key)?;
        let mut content = document.read();
        contest(edition, &mut document, &mut content, *claim)?;
        told.extend(loss(edition, &mut document, &content, *claim)?);
    }
    Ok(told)
}

/// Tells a worker what it lost; see [`crate::interface::Tracker::losses`].
pub(super) fn told(store: &Store, host: &Host, worker: &str) -> Result<Vec<Loss>, TrackerError> {
    holding::check_worker(worker)?;
    let mut edition = Edition::start(store, host)?;
    let own = holding::own(edition.tables(), host.signer.agent(), Some(worker))?;
    let told = settle(&mut edition, &own.lost)?;
    if !told.is_empty() {
        edition.finish()?;
    }
    Ok(told)
}

/// Returns the error that tells of a loss, and of others beside it.
pub(super) fn error(loss: Loss, also: Vec<Loss>) -> TrackerError {
    let Loss { name, claim, why, by_holder, holder, .. } = loss;
    let also = also.into_boxed_slice();
    TrackerError::ClaimLost { name, claim: Some(claim), why, by_holder, holder, also }
}

/// Returns what to tell the worker of a claim that does not hold the issue; `None` where it does.
fn loss(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
) -> Result<Option<Loss>, TrackerError> {
    let fate = rules::fate(&content.tree, claim);
    if fate == Fate::Holds {
        return Ok(None);
    }
    write_loss(edition, document, content, claim, fate)?;
    forget(edition, content, claim)?;
    let row = super::row::of(&document.read());
    let holder = holding::holder(edition.tables(), edition, &row)?;
    Ok(Some(Loss {
        id: content.issue.id().to_owned(),
        name: names::display_name(edition.tables(), &row)?,
        claim,
        why: holding::told(&content.tree, claim, fate, holder.as_ref()),
        by_holder: holding::is_ended_by_holder(&content.tree, claim),
        holder: holder.map(Box::new),
    }))
}

/// Says in the issue that a claim is lost, where nothing says so yet.
pub(super) fn write_loss(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
    fate: Fate,
) -> Result<(), TrackerError> {
    let how = match fate {
        Fate::Lost(to) => Some(How::Abandoned { to }),
        Fate::Over(_) => Some(How::Released),
        Fate::Holds | Fate::HandedOff | Fate::Ended | Fate::Unknown => None,
    };
    let reason = match fate {
        Fate::Over(verdict) => Some(format!("the issue is {}", verdict.state().name())),
        _ => None,
    };
    let Some(how) = how.filter(|_| content.tree.is_live(claim)) else { return Ok(()) };
    let end = Act::End(End { claim, how, reason, retry_after_ms: None });
    match claiming::write_end(edition, document, content, end) {
        // What cannot be written is told all the same.
        Ok(()) | Err(TrackerError::NoRoom { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Watches no claim of a worker any more on an issue of which it was told how it stands.
fn forget(edition: &Edition<'_>, content: &Content, claim: RecordHash) -> Result<(), TrackerError> {
    let tree = &content.tree;
    let Some((record, made)) = tree.claim(claim) else {
        // The commit that made it does not count any more.
        return edition.tables().remove_beat(claim);
    };
    let holder = tree.holder();
    for own in tree.claims().filter(|own| Some(*own) != holder) {
        if holding::is_of(tree, own, record.by, &made.worker) {
            edition.tables().remove_beat(own)?;
        }
    }
    Ok(())
}
