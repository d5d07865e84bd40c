//! Writing claims and their ends: what a claim starts from, the slate that the first one draws, and
//! what a renewal is. Not: which claim is meant, and what its worker is told.

use super::edition::Edition;
use super::watching::Watching;
use super::{blocking, date, fields, names};
use crate::claim::record::{Act, Claim, End, Origin, Shard, TTL_MS_DEFAULT};
use crate::claim::rules::{self, Refusal, Sight};
use crate::claim::{Record, Sighting, slate};
use crate::document::{Content, Document, Edit};
use crate::id::RecordHash;
use crate::interface::{Terms, TrackerError};
use crate::journal::JournalError;
use crate::journal::charter::{Charter, Role};
use crate::state::State;
use crate::store::Journal;

/// Returns what a claim of this agent would start from.
pub(super) fn may_claim(edition: &Edition<'_>, content: &Content) -> Result<Origin, TrackerError> {
    let tables = edition.tables();
    let row = super::row::of(content);
    let name = names::display_name(tables, &row)?;
    let refused = |why: String| TrackerError::Refused {
        name: name.clone(),
        why,
        holder: None,
        retry_after_ms: None,
    };
    if row.deleted {
        return Err(refused("it was removed".to_owned()));
    }
    let watching = Watching::of(tables, edition.outlook());
    let silent_ms = match content.tree.holder() {
        Some(claim) => watching.silent_ms(claim)?,
        None => None,
    };
    let slate = match content.tree.shard() {
        Some((_, shard)) => shard.slate.clone(),
        None => draw(edition, content)?.slate,
    };
    let agent = edition.host().signer.agent();
    let sight = Sight::alone(silent_ms);
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
            });
        }
        Err(Refusal::Held { retry_after_ms, .. }) => {
            let held = row.held.as_ref();
            let holder = held.map(|held| watching.holder(held)).transpose()?;
            let why = match &holder {
                Some(holder) => format!("{holder} holds it"),
                None => "somebody holds it".to_owned(),
            };
            return Err(TrackerError::Refused {
                name,
                why,
                holder: holder.map(Box::new),
                retry_after_ms,
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

/// Returns the shard record of an issue that has none yet.
///
/// Nobody but this agent is known to be there.
pub(super) fn draw(edition: &Edition<'_>, content: &Content) -> Result<Shard, TrackerError> {
    let issue = content.issue.id();
    let considered = slate::considered(issue, vec![edition.host().signer.agent()]);
    let mut charter = edition.charter().to_vec();
    charter.sort_unstable();
    let slate = slate::draw(issue, &considered);
    Ok(Shard { epoch: 0, charter, considered, slate, ttl_ms: TTL_MS_DEFAULT, reason: None })
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
            let mut shard = draw(edition, content)?;
            shard.ttl_ms = terms.ttl_ms.unwrap_or(shard.ttl_ms);
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
    let seen = Sighting(edition.outlook().uptime);
    edition.tables().put_beat(claim.hash(), seen)?;
    // The one that was taken over is watched until its worker has been told.
    for earlier in content.tree.records().keys().filter(|hash| Some(**hash) != origin.parent()) {
        edition.tables().remove_beat(*earlier)?;
    }
    Ok(claim.hash())
}

pub(super) fn write_end(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    end: Act,
) -> Result<(), TrackerError> {
    let Act::End(End { claim, retry_after_ms, .. }) = &end else { return Ok(()) };
    let (claim, rests) = (*claim, retry_after_ms.is_some());
    let mut edit = Edit::default();
    let record = edition.record(end.clone());
    edit.add(end);
    date(&mut edit, content, edition.now());
    edition.write(document, &edit, None)?;
    edition.tables().remove_beat(claim)?;
    if rests {
        edition.tables().put_beat(record.hash(), Sighting(edition.outlook().uptime))?;
    }
    Ok(())
}

pub(super) fn has_lapsed(
    edition: &Edition<'_>,
    content: &Content,
    claim: RecordHash,
) -> Result<bool, TrackerError> {
    let silent_ms = Watching::of(edition.tables(), edition.outlook()).silent_ms(claim)?;
    // A claim that nobody here has watched may have been silent for any time.
    Ok(silent_ms.is_none_or(|silent_ms| rules::is_lapsed(&content.tree, claim, silent_ms)))
}

/// Makes a new claim in the place of one's own that lapsed.
pub(super) fn renew(
    edition: &mut Edition<'_>,
    document: &mut Document,
    content: &Content,
    claim: RecordHash,
) -> Result<RecordHash, TrackerError> {
    let (worker, ttl_ms) = match content.tree.claim(claim) {
        Some((_, claim)) => (claim.worker.clone(), claim.ttl_ms),
        None => (String::new(), TTL_MS_DEFAULT),
    };
    let terms = Terms { worker, ttl_ms: Some(ttl_ms), resume: false };
    let renewed = write_claim(edition, document, content, Origin::Takeover(claim), &terms)?;
    edition.tables().remove_beat(claim)?;
    Ok(renewed)
}

/// Returns the agent's role; without a charter, whoever has the file may do everything.
fn role(edition: &Edition<'_>) -> Result<Option<Role>, TrackerError> {
    let charter = Charter::of_accepted(&edition.tables().statements()?)?;
    let role = charter.role(edition.host().signer.agent());
    Ok(if charter.list().is_none() { Some(Role::Maintainer) } else { role })
}
