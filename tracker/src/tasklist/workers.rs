//! Who works on the list: counted from the rows, and from the documents of those issues alone that several
//! workers claimed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::names;
use super::watching::{Outlook, Watching};
use crate::claim::record::{Act, End, How, Origin};
use crate::claim::rivals::Course;
use crate::claim::{Tree, Uptime};
use crate::id::{AgentId, DocumentKey};
use crate::interface::TrackerError;
use crate::interface::report::Row;
use crate::interface::workers::{Deeds, HeldClaim, LISTED_MAX, Worker, Workers};
use crate::store::{Journal, Reading, Rows};

/// Returns every member, with what it does.
pub(super) fn list(reading: &Reading, outlook: Outlook) -> Result<Workers, TrackerError> {
    let (own, uptime) = (outlook.agent, outlook.uptime);
    let watching = Watching::of(reading, outlook);
    let charter = reading.charter()?;
    let (deeds, held) = count(reading)?;
    let mut workers = Vec::new();
    for (agent, role) in charter.members() {
        let rows = held.get(&agent).map(Vec::as_slice).unwrap_or_default();
        let (mut claims, mut stale) = (Vec::new(), 0);
        for row in rows {
            let (Some(held), Some(watch)) = (&row.held, watching.watch(row)?) else { continue };
            stale += u64::from(watch.is_stale);
            claims.push(HeldClaim {
                name: names::display_name(reading, row)?,
                claim: held.claim,
                worker: held.worker.clone(),
                silent_ms: watch.silent_ms,
                is_stale: watch.is_stale,
            });
        }
        claims.sort_by(|a, b| a.name.cmp(&b.name));
        claims.truncate(LISTED_MAX);
        let is_own = own == Some(agent);
        let around = watching.around();
        let silence_ms = match is_own {
            true => Some(0),
            false => around.and_then(|around| around.silence_ms(agent, uptime)),
        };
        let is_gone = !is_own && around.is_some_and(|around| around.gone.contains(&agent));
        let online = |uptime: Uptime| around.map(|around| around.is_online(agent, uptime));
        workers.push(Worker {
            agent,
            role,
            is_own,
            is_online: if is_own { Some(true) } else { online(uptime) },
            is_gone,
            silence_ms: silence_ms.map(|ms| u64::try_from(ms).unwrap_or(0)),
            load_pct: around
                .filter(|_| !is_gone)
                .and_then(|around| around.loads.get(&agent).copied()),
            holds: rows.len() as u64,
            stale,
            claims,
            deeds: deeds.get(&agent).copied().unwrap_or_default(),
        });
    }
    Ok(Workers { workers })
}

type Counted = (BTreeMap<AgentId, Deeds>, BTreeMap<AgentId, Vec<Row>>);

fn count(reading: &Reading) -> Result<Counted, TrackerError> {
    let mut held: BTreeMap<AgentId, Vec<Row>> = BTreeMap::new();
    let mut several: Vec<DocumentKey> = Vec::new();
    reading.visit_rows(None, &mut |_, row| {
        if row.tally.claims - row.tally.renewals >= 2 {
            several.push(row.key);
        }
        if let Some(by) = row.held.as_ref().map(|held| held.agent) {
            held.entry(by).or_default().push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut deeds = BTreeMap::new();
    for key in several {
        add(&mut deeds, &names::document(reading, key)?.tree(None));
    }
    Ok((deeds, held))
}

/// Adds what became of the claims on one issue.
fn add(deeds: &mut BTreeMap<AgentId, Deeds>, tree: &Tree) {
    let by = |claim| tree.claim(claim).map(|(record, _)| record.by);
    for record in tree.records().values() {
        let of = deeds.entry(record.by).or_default();
        match &record.act {
            Act::Contest { .. } => of.contests += 1,
            Act::End(End { how: How::Abandoned { .. }, .. }) => of.abandons += 1,
            Act::Claim(claim) => {
                if let Origin::Takeover(taken) = claim.origin {
                    of.takeovers += u64::from(by(taken).is_some_and(|from| from != record.by));
                }
            }
            _ => {}
        }
    }
    for claim in tree.claims() {
        let Some(by) = by(claim).filter(|_| !tree.is_renewed(claim)) else { continue };
        if matches!(tree.course(claim), Some(Course::Lost { .. })) {
            deeds.entry(by).or_default().duplicates += 1;
        }
    }
}
