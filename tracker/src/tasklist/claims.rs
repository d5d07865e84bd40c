//! Claiming issues and what becomes of claims: the rules of `claim`, asked and written under the lock
//! of the store, so that exactly one of any number of workers here wins.

use std::ops::ControlFlow;

use super::claiming::{draw, has_lapsed, may_claim, renew, write_claim, write_end};
use super::edition::Edition;
use super::holding::{self, Meant};
use super::watching::Watching;
use super::{Host, date, fields, handoff, may_rule, names, query};
use crate::claim::record::{Act, End, How, Shard};
use crate::claim::rules::{self, Fate};
use crate::claim::{Sighting, record};
use crate::document::{Content, Document, Edit};
use crate::id::RecordHash;
use crate::interface::request::Filter;
use crate::interface::{Holding, Kept, Open, Pick, Release, Shown, Terms, TrackerError};
use crate::journal::JournalError;
use crate::store::{RowKey, Store, row_key};

/// Claims an issue; see [`crate::interface::Tracker::claim`].
pub(super) fn claim(
    store: &Store,
    host: &Host,
    pick: &Pick,
    terms: &Terms,
) -> Result<Kept, TrackerError> {
    holding::check_worker(&terms.worker)?;
    if let Some(ttl_ms) = terms.ttl_ms {
        check_ttl(ttl_ms)?;
    }
    let mut edition = Edition::start(store, host)?;
    let row_key = match pick {
        Pick::Issue(name) => names::resolve(edition.tables(), name)?,
        Pick::First(filter) => match resumable(store, &edition, filter, terms)? {
            Some(row_key) => row_key,
            None => first_ready(store, &edition, filter)?,
        },
    };
    let mut document =
        names::document(edition.tables(), names::row(edition.tables(), &row_key)?.key)?;
    let content = document.read();
    if terms.resume
        && let Some(claim) = holding::own_claim(&content, host.signer.agent(), &terms.worker)
    {
        return keep(edition, &mut document, &content, claim);
    }
    let origin = may_claim(&edition, &content)?;
    let claim = write_claim(&mut edition, &mut document, &content, origin, terms)?;
    finish(edition, &row_key, claim, false)
}

/// Beats a claim; see [`crate::interface::Tracker::heartbeat`].
pub(super) fn heartbeat(
    store: &Store,
    host: &Host,
    holding: &Holding,
) -> Result<Kept, TrackerError> {
    let mut edition = Edition::start(store, host)?;
    let Meant { mut document, content, claim } =
        holding::meant(edition.tables(), &edition, holding)?;
    if let Some(lost) = loss(&mut edition, &mut document, &content, claim)? {
        edition.finish()?;
        return Err(lost);
    }
    keep(edition, &mut document, &content, claim)
}

/// Gives a claim up; see [`crate::interface::Tracker::release`].
pub(super) fn release(
    store: &Store,
    host: &Host,
    holding: &Holding,
    release: &Release,
) -> Result<Shown, TrackerError> {
    check_reason(release.reason.as_deref())?;
    let mut edition = Edition::start(store, host)?;
    let meant = match release.force {
        true => forced(&edition, holding, release)?,
        false => holding::meant(edition.tables(), &edition, holding)?,
    };
    let Meant { mut document, content, claim } = meant;
    if !release.force
        && let Some(lost) = loss(&mut edition, &mut document, &content, claim)?
    {
        edition.finish()?;
        return Err(lost);
    }
    let how = if release.force { How::Forced } else { How::Released };
    let Release { reason, retry_after_ms, .. } = release.clone();
    let retry_after_ms = retry_after_ms.map(|ms| ms.min(record::RETRY_AFTER_MS_MAX));
    let end = Act::End(End { claim, how, reason, retry_after_ms });
    write_end(&mut edition, &mut document, &content, end)?;
    let row_key = row_key(document.birth());
    Ok(finish(edition, &row_key, claim, false)?.issue)
}

/// Hands an issue off; see [`crate::interface::Tracker::hand_off`].
pub(super) fn hand_off(
    store: &Store,
    host: &Host,
    holding: &Holding,
    handoff: &str,
) -> Result<Kept, TrackerError> {
    let handoff = handoff::normal(handoff)?;
    let mut edition = Edition::start(store, host)?;
    let Meant { mut document, mut content, mut claim } =
        holding::meant(edition.tables(), &edition, holding)?;
    if let Some(lost) = loss(&mut edition, &mut document, &content, claim)? {
        edition.finish()?;
        return Err(lost);
    }
    let has_lapsed = has_lapsed(&edition, &content, claim)?;
    if has_lapsed {
        claim = renew(&mut edition, &mut document, &content, claim)?;
        content = document.read();
    }
    let how = How::HandedOff(handoff);
    let end = Act::End(End { claim, how, reason: None, retry_after_ms: None });
    write_end(&mut edition, &mut document, &content, end)?;
    fields::fits_a_line(edition.tables(), document.key())?;
    let row_key = row_key(document.birth());
    finish(edition, &row_key, claim, has_lapsed)
}

/// Draws a slate anew; see [`crate::interface::Tracker::reshard`].
pub(super) fn reshard(
    store: &Store,
    host: &Host,
    name: &str,
    reason: &str,
    ttl_ms: Option<u64>,
) -> Result<Shown, TrackerError> {
    check_reason(Some(reason))?;
    if let Some(ttl_ms) = ttl_ms {
        check_ttl(ttl_ms)?;
    }
    let mut edition = Edition::start(store, host)?;
    let row_key = names::resolve(edition.tables(), name)?;
    let mut document =
        names::document(edition.tables(), names::row(edition.tables(), &row_key)?.key)?;
    let content = document.read();
    let Some((_, known)) = content.tree.shard() else {
        return Err(fields::invalid(
            "shard",
            "nobody has claimed the issue yet, so it has no slate to draw anew",
            "the first claim draws it",
        ));
    };
    check_may_rule(&edition)?;
    let shard = Shard {
        epoch: known.epoch.saturating_add(1),
        ttl_ms: ttl_ms.unwrap_or(known.ttl_ms),
        reason: Some(reason.to_owned()),
        ..draw(&edition, &content)?
    };
    let mut edit = Edit::default();
    edit.add(Act::Shard(shard));
    date(&mut edit, &content, edition.now());
    edition.write(&mut document, &edit, None)?;
    let outlook = edition.outlook();
    edition.finish()?;
    names::shown(&store.read()?, &row_key, outlook)
}

/// Returns the issue of a claim that this worker has already, if it wants to go on with one.
fn resumable(
    store: &Store,
    edition: &Edition<'_>,
    filter: &Filter,
    terms: &Terms,
) -> Result<Option<RowKey>, TrackerError> {
    if !terms.resume {
        return Ok(None);
    }
    let reading = store.read()?;
    let agent = edition.host().signer.agent();
    for row_key in holding::issues_of(&reading, agent, Some(&terms.worker))? {
        if query::lets_pass(&reading, filter, &names::row(&reading, &row_key)?)? {
            return Ok(Some(row_key));
        }
    }
    Ok(None)
}

fn first_ready(
    store: &Store,
    edition: &Edition<'_>,
    filter: &Filter,
) -> Result<RowKey, TrackerError> {
    let filter = Filter { limit: Some(1), with_json: false, ..filter.clone() };
    let mut first = None;
    // Nobody else writes meanwhile, so what is committed is what this writing begins with.
    query::agenda(&store.read()?, &filter, edition.outlook(), &mut |open| match open {
        Open::Ready(shown) => {
            first = Some(shown.row.key);
            ControlFlow::Break(())
        }
        Open::Waiting(_) => ControlFlow::Continue(()),
    })?;
    let key = first.ok_or(TrackerError::NothingReady)?;
    Ok(row_key(names::document(edition.tables(), key)?.birth()))
}

/// Says that the holder of a claim is still at it; renews the claim where its lease has lapsed.
fn keep(
    mut edition: Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
) -> Result<Kept, TrackerError> {
    let row_key = row_key(document.birth());
    if has_lapsed(&edition, content, claim)? {
        let claim = renew(&mut edition, document, content, claim)?;
        return finish(edition, &row_key, claim, true);
    }
    edition.tables().put_beat(claim, Sighting(edition.outlook().uptime))?;
    finish(edition, &row_key, claim, false)
}

/// Returns what to tell the holder of a claim that does not hold the issue; `None` where it does.
///
/// One that finds that it lost says so in the issue before anything else is told.
fn loss(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
) -> Result<Option<TrackerError>, TrackerError> {
    let fate = rules::fate(&content.tree, claim);
    let how = match fate {
        Fate::Holds => return Ok(None),
        Fate::Lost(to) => Some(How::Abandoned { to }),
        Fate::Over(_) => Some(How::Released),
        Fate::HandedOff | Fate::Ended | Fate::Unknown => None,
    };
    let end_reason = match fate {
        Fate::Over(verdict) => Some(format!("the issue is {}", verdict.state().name())),
        _ => None,
    };
    if let Some(how) = how.filter(|_| content.tree.is_live(claim)) {
        let end = Act::End(End { claim, how, reason: end_reason, retry_after_ms: None });
        write_end(edition, document, content, end)?;
    }
    let tables = edition.tables();
    tables.remove_beat(claim)?;
    let row = super::row::of(&document.read());
    let watching = Watching::of(tables, edition.outlook());
    let holder = row.held.as_ref().map(|held| watching.holder(held)).transpose()?;
    Ok(Some(TrackerError::ClaimLost {
        name: names::display_name(tables, &row)?,
        claim: Some(claim),
        why: holding::told(&content.tree, claim, fate, holder.as_ref()),
        by_holder: holding::is_ended_by_holder(&content.tree, claim),
        holder: holder.map(Box::new),
    }))
}

/// Returns the claim that a maintainer wants to end.
fn forced(
    edition: &Edition<'_>,
    holding: &Holding,
    release: &Release,
) -> Result<Meant, TrackerError> {
    if release.reason.is_none() {
        let hint = "say why with --reason TEXT";
        return Err(fields::invalid("reason", "ending the claim of somebody else needs one", hint));
    }
    check_may_rule(edition)?;
    holding::holder_of(edition.tables(), edition, holding)
}

fn check_may_rule(edition: &Edition<'_>) -> Result<(), TrackerError> {
    let host = edition.host();
    if may_rule(edition.tables(), host)? {
        return Ok(());
    }
    Err(JournalError::NotAllowed { agent: host.signer.agent() }.into())
}

fn finish(
    edition: Edition<'_>,
    row_key: &RowKey,
    claim: RecordHash,
    renewed: bool,
) -> Result<Kept, TrackerError> {
    let outlook = edition.outlook();
    let store = edition.store();
    edition.finish()?;
    Ok(Kept { issue: names::shown(&store.read()?, row_key, outlook)?, claim, renewed })
}

fn check_ttl(ttl_ms: u64) -> Result<(), TrackerError> {
    if record::is_ttl(ttl_ms) {
        return Ok(());
    }
    let reason = format!("{ttl_ms} ms is no time to live");
    Err(fields::invalid("ttl", &reason, "choose one of 1 second to 7 days"))
}

/// Refuses an empty or an endless reason.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), TrackerError> {
    let Some(reason) = reason else { return Ok(()) };
    if reason.trim().is_empty() {
        return Err(fields::invalid("reason", "it is empty", "say why in a few words"));
    }
    if reason.len() > record::REASON_BYTES_MAX {
        let text = format!("it has more than {} bytes", record::REASON_BYTES_MAX);
        return Err(fields::invalid("reason", &text, "put the details into a comment"));
    }
    Ok(())
}
