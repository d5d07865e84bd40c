//! Claiming issues and what becomes of claims: the rules of `claim`, asked and written under the lock
//! of the store, so that exactly one of any number of workers here wins.

use std::ops::ControlFlow;

use super::claiming::{
    beat, check_caught_up, has_lapsed, may_claim, renew, write_claim, write_end,
};
use super::edition::Edition;
use super::holding::{self, Meant, Own};
use super::watching::Watching;
use super::{Host, date, fields, handoff, losses, may_rule, names, query, slates};
use crate::claim::Sighting;
use crate::claim::record;
use crate::claim::record::{Act, End, How, Origin, Shard, TTL_MS_DEFAULT};
use crate::document::{Content, Document, Edit};
use crate::id::RecordHash;
use crate::interface::request::Filter;
use crate::interface::{Holding, Kept, Loss, Open, Pick, Release, Shown, Terms, TrackerError};
use crate::journal::JournalError;
use crate::store::{Claims, RowKey, Rows, Store, row_key};

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
    let own = holding::own(edition.tables(), host.signer.agent(), Some(&terms.worker))?;
    let told = losses::settle(&mut edition, &own.lost)?;
    match choose(store, &edition, pick, terms, &own) {
        Ok(Choice { mut document, content, start: Start::Again(claim) }) => {
            keep(edition, &mut document, &content, claim, terms.ttl_ms, told)
        }
        Ok(Choice { mut document, content, start: Start::Anew(origin) }) => {
            let claim = write_claim(&mut edition, &mut document, &content, origin, terms)?;
            finish(edition, &row_key(document.birth()), claim, false, told)
        }
        Err(refusal) => match wanted_back(&refusal, terms, told) {
            Some(lost) => {
                edition.finish()?;
                Err(lost)
            }
            None => Err(refusal),
        },
    }
}

/// What is claimed.
struct Choice {
    document: Document,
    content: Content,
    start: Start,
}

/// How a worker comes to hold an issue.
enum Start {
    /// It does so already.
    Again(RecordHash),
    /// By a claim that starts from this.
    Anew(Origin),
}

/// Returns the issue that is to be claimed.
fn choose(
    store: &Store,
    edition: &Edition<'_>,
    pick: &Pick,
    terms: &Terms,
    own: &Own,
) -> Result<Choice, TrackerError> {
    let row_key = match pick {
        Pick::Issue(name) => names::resolve(edition.tables(), name)?,
        Pick::First(filter) => match resumable(store, filter, terms, own)? {
            Some(row_key) => row_key,
            None => first_ready(store, edition, filter)?,
        },
    };
    let key = names::row(edition.tables(), &row_key)?.key;
    let document = names::document(edition.tables(), key)?;
    let content = document.read();
    let agent = edition.host().signer.agent();
    let start = match holding::own_claim(&content, agent, &terms.worker) {
        Some(claim) if terms.resume => Start::Again(claim),
        _ => {
            let slated_ms = content.tree.shard().map(|(_, shard)| shard.ttl_ms);
            check_not_isolated(edition, terms, slated_ms)?;
            Start::Anew(may_claim(edition, &content, &terms.worker)?)
        }
    };
    Ok(Choice { document, content, start })
}

/// Refuses to claim in isolation, where that is not wanted.
fn check_not_isolated(
    edition: &Edition<'_>,
    terms: &Terms,
    slated_ms: Option<u64>,
) -> Result<(), TrackerError> {
    let ttl_ms = terms.ttl_ms.or(slated_ms).unwrap_or(TTL_MS_DEFAULT);
    let is_isolated = || Watching::of(edition.tables(), edition.outlook()).is_isolated(ttl_ms);
    match terms.unless_isolated && is_isolated()? {
        true => Err(TrackerError::Isolated { ttl_ms }),
        false => Ok(()),
    }
}

/// Returns what a worker is told that wanted to go on with a claim and can have nothing instead: what
/// became of it.
fn wanted_back(refusal: &TrackerError, terms: &Terms, mut told: Vec<Loss>) -> Option<TrackerError> {
    if !terms.resume {
        return None;
    }
    let at = match refusal {
        TrackerError::NothingReady if !told.is_empty() => 0,
        TrackerError::Refused { name, .. } => told.iter().position(|loss| loss.name == *name)?,
        _ => return None,
    };
    let first = told.remove(at);
    Some(losses::error(first, told))
}

/// Beats a claim; see [`crate::interface::Tracker::heartbeat`].
pub(super) fn heartbeat(
    store: &Store,
    host: &Host,
    holding: &Holding,
) -> Result<Kept, TrackerError> {
    let edition = Edition::start(store, host)?;
    if let Some((row_key, claim)) = beat_at_once(&edition, holding)? {
        return finish(edition, &row_key, claim, false, Vec::new());
    }
    let meant = holding::meant(edition.tables(), &edition, holding)?;
    let (edition, Meant { mut document, content, claim, .. }, told) = losses::held(edition, meant)?;
    keep(edition, &mut document, &content, claim, None, told)
}

/// Beats the claim of a token that holds its issue and has not lapsed, which the row of the issue says; `None`
/// where more is to be looked at. Runners ask for this all the time.
fn beat_at_once(
    edition: &Edition<'_>,
    holding: &Holding,
) -> Result<Option<(RowKey, RecordHash)>, TrackerError> {
    let token = holding.claim.as_deref().filter(|_| holding.issue.is_none());
    let Some(claim) = token.and_then(|token| token.parse::<RecordHash>().ok()) else {
        return Ok(None);
    };
    let (tables, now) = (edition.tables(), edition.outlook().uptime);
    let Some((seen, whose)) = tables.own_beat(claim)? else { return Ok(None) };
    let row = tables.row(&whose.row)?;
    let Some(held) = row.and_then(|row| row.held).filter(|held| held.claim == claim) else {
        return Ok(None);
    };
    let is_own = (whose.agent, &whose.worker) == (edition.host().signer.agent(), &holding.worker);
    let has_lapsed = seen.silent_ms(now).is_none_or(|silent_ms| silent_ms > held.ttl_ms);
    if !is_own || has_lapsed {
        return Ok(None);
    }
    tables.note_beat(claim, held.ttl_ms);
    tables.put_beat(claim, Sighting(now), Some(&whose))?;
    Ok(Some((whose.row, claim)))
}

/// Gives a claim up; see [`crate::interface::Tracker::release`].
pub(super) fn release(
    store: &Store,
    host: &Host,
    holding: &Holding,
    release: &Release,
) -> Result<Kept, TrackerError> {
    check_reason(release.reason.as_deref())?;
    check_rest(release.retry_after_ms)?;
    let edition = Edition::start(store, host)?;
    let (mut edition, meant, told) = if release.force {
        let meant = forced(&edition, holding, release)?;
        (edition, meant, Vec::new())
    } else {
        let meant = holding::meant(edition.tables(), &edition, holding)?;
        let (edition, meant, told) = losses::held(edition, meant)?;
        if has_lapsed(&edition, &meant.content, meant.claim)? {
            check_caught_up(&edition, &meant.content, true)?;
        }
        (edition, meant, told)
    };
    let Meant { mut document, content, claim, .. } = meant;
    let how = if release.force { How::Forced } else { How::Released };
    let Release { reason, retry_after_ms, .. } = release.clone();
    let end = Act::End(End { claim, how, reason, retry_after_ms });
    write_end(&mut edition, &mut document, &content, end)?;
    if holding::is_of(&content.tree, claim, host.signer.agent(), &holding.worker) {
        edition.tables().remove_beat(claim)?;
    }
    finish(edition, &row_key(document.birth()), claim, false, told)
}

/// Hands an issue off; see [`crate::interface::Tracker::hand_off`].
pub(super) fn hand_off(
    store: &Store,
    host: &Host,
    holding: &Holding,
    handoff: &str,
) -> Result<Kept, TrackerError> {
    let handoff = handoff::normal(handoff)?;
    let edition = Edition::start(store, host)?;
    let meant = holding::meant(edition.tables(), &edition, holding)?;
    let (mut edition, meant, told) = losses::held(edition, meant)?;
    let Meant { mut document, mut content, mut claim, .. } = meant;
    let has_lapsed = has_lapsed(&edition, &content, claim)?;
    if has_lapsed {
        check_caught_up(&edition, &content, true)?;
        claim = renew(&mut edition, &mut document, &content, claim, None)?;
        content = document.read();
    }
    let how = How::HandedOff(handoff);
    let end = Act::End(End { claim, how, reason: None, retry_after_ms: None });
    write_end(&mut edition, &mut document, &content, end)?;
    fields::fits_a_line(edition.tables(), document.key())?;
    let row_key = row_key(document.birth());
    finish(edition, &row_key, claim, has_lapsed, told)
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
            "there is nothing to do: the first claim draws one of the members that are there then",
        ));
    };
    check_may_rule(&edition)?;
    let shard = Shard {
        epoch: known.epoch.saturating_add(1),
        ttl_ms: ttl_ms.unwrap_or(known.ttl_ms),
        reason: Some(reason.to_owned()),
        ..slates::draw(&edition, &content)?
    };
    let mut edit = Edit::default();
    edit.add(Act::Shard(shard));
    date(&mut edit, &content, edition.now());
    edition.write(&mut document, &edit, None)?;
    let outlook = edition.outlook();
    edition.finish()?;
    names::shown(&store.read()?, &row_key, outlook)
}

/// Returns the issue that this worker holds, if it wants to go on with one.
fn resumable(
    store: &Store,
    filter: &Filter,
    terms: &Terms,
    own: &Own,
) -> Result<Option<RowKey>, TrackerError> {
    if !terms.resume {
        return Ok(None);
    }
    let reading = store.read()?;
    // What is held is in progress, whatever states are asked for.
    let filter = Filter { states: Vec::new(), ..filter.clone() };
    for row_key in &own.held {
        if query::lets_pass(&reading, &filter, &names::row(&reading, row_key)?)? {
            return Ok(Some(row_key.clone()));
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

/// Says that the holder of a claim is still at it; renews the claim where its lease has lapsed, or
/// where it is to live for another time.
fn keep(
    mut edition: Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
    ttl_ms: Option<u64>,
    told: Vec<Loss>,
) -> Result<Kept, TrackerError> {
    let row_key = row_key(document.birth());
    let own_ttl_ms = content.tree.claim(claim).map(|(_, claim)| claim.ttl_ms);
    let is_other_ttl = ttl_ms.is_some() && ttl_ms != own_ttl_ms;
    let has_lapsed = has_lapsed(&edition, content, claim)?;
    if has_lapsed {
        check_caught_up(&edition, content, false)?;
    }
    if is_other_ttl || has_lapsed {
        let claim = renew(&mut edition, document, content, claim, ttl_ms)?;
        return finish(edition, &row_key, claim, true, told);
    }
    beat(&edition, document, &content.tree, claim)?;
    finish(edition, &row_key, claim, false, told)
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
    lost: Vec<Loss>,
) -> Result<Kept, TrackerError> {
    let outlook = edition.outlook();
    let store = edition.store();
    edition.finish()?;
    Ok(Kept { issue: names::shown(&store.read()?, row_key, outlook)?, claim, renewed, lost })
}

fn check_ttl(ttl_ms: u64) -> Result<(), TrackerError> {
    if record::is_ttl(ttl_ms) {
        return Ok(());
    }
    let reason = format!("{ttl_ms} ms is no time to live");
    Err(fields::invalid("ttl", &reason, "choose one of 1 second to 7 days"))
}

/// Refuses a rest that is longer than an end may ask for.
fn check_rest(retry_after_ms: Option<u64>) -> Result<(), TrackerError> {
    if retry_after_ms.is_none_or(|ms| ms <= record::RETRY_AFTER_MS_MAX) {
        return Ok(());
    }
    let reason = "an issue is left alone for a day at most";
    Err(fields::invalid("retry_after", reason, "choose 24 hours or less"))
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
