//! Writing claims and their ends: what a claim starts from, the slate that the first one draws, and
//! what a renewal is. Not: which claim is meant, and what its worker is told.

use super::edition::Edition;
use super::watching::{Unasked, Watching};
use super::{blocking, date, fields, holding, names, slates};
use crate::claim::record::{Act, Claim, End, How, Origin, TTL_MS_DEFAULT};
use crate::claim::rules::{self, Refusal};
use crate::claim::{Record, Sighting, Tree};
use crate::document::{Content, Document, Edit};
use crate::id::RecordHash;
use crate::interface::{Terms, TrackerError};
use crate::journal::JournalError;
use crate::journal::charter::Role;
use crate::state::State;
use crate::store::{Claims, Journal};

/// The most claims that are watched of an issue only for workers that were not told yet that they lost
/// them. A guess: most never come back to ask.
const UNTOLD_MAX: usize = 16;

/// Returns what a claim of this agent would start from.
pub(super) fn may_claim(
    edition: &Edition<'_>,
    content: &Content,
    worker: &str,
) -> Result<Origin, TrackerError> {
    let tables = edition.tables();
    let row = super::row::of(content);
    let name = names::display_name(tables, &row)?;
    let refused = |why: String| TrackerError::Refused {
        name: name.clone(),
        why,
        holder: None,
        retry_after_ms: None,
        is_own: false,
    };
    if row.deleted {
        return Err(refused("it was removed".to_owned()));
    }
    let agent = edition.host().signer.agent();
    if let Some(held) = row.held.as_ref().filter(|held| held.agent == agent)
        && has_lapsed(edition, content, held.claim)?
    {
        check_caught_up(edition, content, false)?;
    }
    let watching = Watching::of(tables, edition.outlook());
    let slate = slates::of(&watching, &content.tree)?;
    let sight = watching.sight(&row, &slate)?;
    let origin = match rules::may_claim(&content.tree, &slate, agent, role(edition)?, &sight) {
        Ok(origin) => origin,
        Err(Refusal::NoWorker) => return Err(JournalError::NotAllowed { agent }.into()),
        Err(Refusal::Over(verdict)) => {
            return Err(refused(format!("it is {}", verdict.state().name())));
        }
        Err(Refusal::InReview(_)) => {
            return Err(refused("it was handed off, and waits for a verdict".to_owned()));
        }
        Err(Refusal::SlateFirst { retry_after_ms }) => {
            let why = "the agents on its slate come first".to_owned();
            return Err(TrackerError::Refused {
                name,
                why,
                holder: None,
                retry_after_ms: Some(retry_after_ms),
                is_own: false,
            });
        }
        Err(Refusal::Held { retry_after_ms, .. }) => {
            let held = row.held.as_ref();
            let holder = held.map(|held| watching.holder(held)).transpose()?;
            let is_own = held.is_some_and(|held| held.agent == agent && held.worker == worker);
            let why = match &holder {
                Some(_) if is_own => format!("worker {worker} holds it already"),
                Some(holder) => format!("{holder} holds it"),
                None => "somebody holds it".to_owned(),
            };
            return Err(TrackerError::Refused {
                name,
                why,
                holder: holder.map(Box::new),
                retry_after_ms,
                is_own,
            });
        }
    };
    if content.tree.holder().is_none() {
        let known = row.state.as_deref().and_then(State::parse);
        if !matches!(known, Some(State::Todo | State::InProgress)) {
            let reason = crate::interface::Reason::State(row.state.clone());
            return Err(refused(reason.to_string()));
        }
    }
    match blocking::reason(tables, &row)? {
        Some(reason) => Err(refused(reason.to_string())),
        None => Ok(origin),
    }
}

/// Writes a claim, and the shard record that it needs where there is none.
pub(super) fn write_claim(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    origin: Origin,
    terms: &Terms,
) -> Result<RecordHash, TrackerError> {
    let mut edit = Edit::default();
    let (shard, ttl_ms) = match content.tree.shard() {
        Some((hash, shard)) => (hash, shard.ttl_ms),
        None => {
            // What one claim asks for is its own; others live as long as the list has it.
            let shard = slates::draw(edition, content)?;
            let ttl_ms = shard.ttl_ms;
            let act = Act::Shard(shard);
            edit.add(act.clone());
            (edition.record(act).hash(), ttl_ms)
        }
    };
    let mut nonce = [0; 16];
    (edition.host().entropy)(&mut nonce);
    let act = Act::Claim(Claim {
        worker: terms.worker.clone(),
        nonce,
        shard,
        origin,
        ttl_ms: terms.ttl_ms.unwrap_or(ttl_ms),
    });
    let claim: Record = edition.record(act.clone());
    edit.add(act);
    date(&mut edit, content, edition.now());
    edition.write(document, &edit, None)?;
    fields::fits_a_line(edition.tables(), document.key())?;
    beat(edition, document, &document.tree(None), claim.hash())?;
    unwatch(edition, content, &terms.worker, origin.parent())?;
    Ok(claim.hash())
}

/// Notes that a claim of this agent was beaten now.
pub(super) fn beat(
    edition: &Edition<'_>,
    document: &Document,
    tree: &Tree,
    claim: RecordHash,
) -> Result<(), TrackerError> {
    let whose = holding::whose(document, tree, claim);
    let seen = Sighting(edition.outlook().uptime);
    if let Some((_, claimed)) = tree.claim(claim) {
        edition.tables().note_beat(claim, claimed.ttl_ms);
    }
    edition.tables().put_beat(claim, seen, whose.as_ref())
}

/// Watches nothing more of an issue that a worker claimed anew but the claims of other workers of
/// this agent that were not told yet, and of those not more than a few.
fn unwatch(
    edition: &Edition<'_>,
    content: &Content,
    worker: &str,
    taken: Option<RecordHash>,
) -> Result<(), TrackerError> {
    let (tree, tables) = (&content.tree, edition.tables());
    let agent = edition.host().signer.agent();
    let mut untold = Vec::new();
    for (hash, record) in tree.records() {
        let is_others =
            record.claim().is_some_and(|claim| record.by == agent && claim.worker != worker);
        if is_others && tables.seen_beat(*hash)?.is_some() {
            untold.push((Some(*hash) == taken, tree.fence(*hash), *hash));
        } else if record.claim().is_some() || is_rest(record) {
            tables.remove_beat(*hash)?;
        }
    }
    untold.sort();
    let surplus = untold.len().saturating_sub(UNTOLD_MAX);
    untold.iter().take(surplus).try_for_each(|(.., claim)| tables.remove_beat(*claim))
}

/// Tells whether a record ends a claim with the wish to leave the issue alone for a while.
fn is_rest(record: &Record) -> bool {
    matches!(&record.act, Act::End(end) if end.retry_after_ms.is_some_and(|ms| ms > 0))
}

pub(super) fn write_end(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    end: Act,
) -> Result<(), TrackerError> {
    let Act::End(End { claim, how, .. }) = &end else { return Ok(()) };
    // Whoever holds a claim that a maintainer ended, or the store gave up, has to be told.
    let is_told = !matches!(how, How::Forced | How::Abandoned { .. });
    let claim = *claim;
    let mut edit = Edit::default();
    let record = edition.record(end.clone());
    edit.add(end);
    date(&mut edit, content, edition.now());
    edition.write(document, &edit, None)?;
    if is_told {
        edition.tables().remove_beat(claim)?;
    }
    if is_rest(&record) {
        let seen = Sighting(edition.outlook().uptime);
        edition.tables().put_beat(record.hash(), seen, None)?;
    }
    Ok(())
}

pub(super) fn has_lapsed(
    edition: &Edition<'_>,
    content: &Content,
    claim: RecordHash,
) -> Result<bool, TrackerError> {
    let now = edition.outlook().uptime;
    let seen = edition.tables().seen_beat(claim)?;
    // A claim that nobody here has watched, or not since the machine was started, may have been silent for
    // any time.
    let silent_ms = seen.and_then(|seen| seen.silent_ms(now));
    Ok(silent_ms.is_none_or(|silent_ms| rules::is_lapsed(&content.tree, claim, silent_ms)))
}

/// Refuses to renew a lapsed claim while it is not known whether somebody took it over: the renewal would
/// stand against that work. What is finished `may_be_alone`: where no node runs that could ask, it is taken.
pub(super) fn check_caught_up(
    edition: &Edition<'_>,
    content: &Content,
    may_be_alone: bool,
) -> Result<(), TrackerError> {
    let tables = edition.tables();
    let name = || names::display_name(tables, &super::row::of(content));
    match Watching::of(tables, edition.outlook()).unasked()? {
        Some(Unasked::Comparing) => Err(TrackerError::CatchingUp { name: name()? }),
        Some(Unasked::NoNode) if !may_be_alone => Err(TrackerError::NobodyAsked { name: name()? }),
        Some(Unasked::NoNode) | None => Ok(()),
    }
}

/// Makes a new claim in the place of one's own, to live for some time or for as long as that.
pub(super) fn renew(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
    ttl_ms: Option<u64>,
) -> Result<RecordHash, TrackerError> {
    let (worker, own_ttl_ms) = match content.tree.claim(claim) {
        Some((_, claim)) => (claim.worker.clone(), claim.ttl_ms),
        None => (String::new(), TTL_MS_DEFAULT),
    };
    let ttl_ms = Some(ttl_ms.unwrap_or(own_ttl_ms));
    let terms = Terms { worker, ttl_ms, ..Terms::default() };
    write_claim(edition, document, content, Origin::Takeover(claim), &terms)
}

/// Returns the agent's role; without a charter, whoever has the file may do everything.
fn role(edition: &Edition<'_>) -> Result<Option<Role>, TrackerError> {
    let charter = edition.tables().charter()?;
    let role = charter.role(edition.host().signer.agent());
    Ok(if charter.list().is_none() { Some(Role::Maintainer) } else { role })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::interface::{Draft, Holding, Pick, Release, Tracker};
    use crate::store::{Disk, Store};
    use crate::{LocalTracker, testing};

    const TTL_MS: u64 = 1_000;

    fn watched(tracker: &LocalTracker) -> usize {
        tracker.store.read().unwrap().watched().unwrap().len()
    }

    fn terms(worker: &str) -> Terms {
        Terms { worker: worker.to_owned(), ttl_ms: Some(TTL_MS), ..Terms::default() }
    }

    fn holding(worker: &str) -> Holding {
        Holding { worker: worker.to_owned(), issue: Some("T-0001".to_owned()), claim: None }
    }

    /// A list with one issue, on a machine whose uptime moves with the number.
    fn list(dir: &std::path::Path) -> (LocalTracker, Arc<AtomicU64>) {
        let path = dir.join("list.redb");
        std::fs::write(&path, "").unwrap();
        let disk = Disk::default();
        drop(testing::found_on(&disk, &path, 1).unwrap());
        let uptime_ms = Arc::new(AtomicU64::new(0));
        let host = testing::host_up(1, uptime_ms.clone());
        let mut tracker = LocalTracker::over(Store::open_on(disk, &path).unwrap(), host);
        tracker.create(&Draft::titled("one")).unwrap();
        (tracker, uptime_ms)
    }

    #[test]
    fn what_a_worker_was_told_or_claims_anew_is_watched_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (mut tracker, _) = list(dir.path());
        let pick = Pick::Issue("T-0001".to_owned());
        let rest = Release { retry_after_ms: Some(5), ..Release::default() };
        let force = Release { force: true, reason: Some("r".to_owned()), ..Release::default() };
        for _ in 0..5 {
            tracker.claim(&pick, &terms("a")).unwrap();
            tracker.release(&holding("a"), &rest).unwrap();
            assert_eq!(watched(&tracker), 1, "the end, since the issue rests");
            tracker.claim(&pick, &terms("a")).unwrap();
            tracker.release(&holding("boss"), &force).unwrap();
            assert_eq!(watched(&tracker), 1, "the claim, since its worker was not told");
        }
        assert!(tracker.heartbeat(&holding("a")).is_err());
        assert_eq!(watched(&tracker), 0);
    }

    #[test]
    fn workers_that_never_ask_are_watched_in_a_bounded_number() {
        let dir = tempfile::tempdir().unwrap();
        let (mut tracker, uptime_ms) = list(dir.path());
        let pick = Pick::Issue("T-0001".to_owned());
        for n in 0..UNTOLD_MAX + 9 {
            tracker.claim(&pick, &terms(&format!("w{n}"))).unwrap();
            uptime_ms.fetch_add(TTL_MS + 1, Ordering::Relaxed);
        }
        assert_eq!(watched(&tracker), UNTOLD_MAX + 1);
        let last = format!("w{}", UNTOLD_MAX + 7);
        let any = Holding { worker: last, ..Holding::default() };
        assert!(matches!(tracker.heartbeat(&any), Err(TrackerError::ClaimLost { .. })));
        assert_eq!(watched(&tracker), UNTOLD_MAX);
    }
}
