//! What runners that ended without a word have left: their claims are given back, their manifests
//! completed. What cannot be dealt with is told, and keeps nobody from working.

use std::collections::BTreeSet;

use x0x_tracker::Tracker;
use x0x_tracker::TrackerError;
use x0x_tracker::id::RecordHash;
use x0x_tracker::interface::error::Fault;
use x0x_tracker::interface::{Holding, Release};

use super::desk::Desk;
use super::reaper::{Reaper, SILENT};
use super::worker::{Debt, Worker};
use crate::error::CliError;

/// An issue on which such a runner had a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why the claim was over already; `None` where it was given back now.
    pub lost: Option<String>,
}

/// What was dealt with.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Every issue.
    pub found: Vec<Found>,
    /// What could not be dealt with, and why.
    pub complaints: Vec<String>,
}

/// Deals with what is left of a worker; `desk` is any desk of its agent. What may succeed another time
/// stays among the worker's debts.
pub fn recover(desk: &Desk, worker: &mut Worker, retry_after_ms: u64) -> Recovered {
    let mut recovered = Recovered::default();
    worker.debts.retain(|debt| {
        let desk = Desk {
            worker: worker.name.clone(),
            list: debt.list,
            root: debt.root.clone(),
            ..desk.clone()
        };
        let Err(error) = pay(&desk, debt, retry_after_ms, &mut recovered) else { return false };
        let name = &worker.name;
        let text = format!("what an earlier runner {name} left is not dealt with: {error}");
        recovered.complaints.push(text);
        error
            .tracker()
            .is_none_or(|error| matches!(error.fault(), Fault::Unavailable | Fault::Internal))
    });
    recovered
}

/// Deals with what every runner of this agent left of which nothing lives.
pub fn recover_others(desk: &Desk, retry_after_ms: u64) -> Recovered {
    let mut all = Recovered::default();
    for mut worker in Worker::silent(desk.home.dir()) {
        let Recovered { found, complaints } = recover(desk, &mut worker, retry_after_ms);
        all.found.extend(found);
        all.complaints.extend(complaints);
        let debts = std::mem::take(&mut worker.debts);
        if let Err(error) = worker.end(debts) {
            all.complaints.push(format!("cannot note what was dealt with: {error}"));
        }
    }
    all
}

fn pay(
    desk: &Desk,
    debt: &Debt,
    retry_after_ms: u64,
    recovered: &mut Recovered,
) -> Result<(), CliError> {
    if !desk.home.holds(debt.list) {
        return Ok(());
    }
    let mut lost = BTreeSet::new();
    let given_back = give_back(desk, debt, retry_after_ms, recovered, &mut lost);
    // Others may write while files are read.
    let reaper = Reaper {
        proofs: &debt.proofs,
        root: &debt.root,
        data_dir: desk.home.dir(),
        agent: desk.agent,
        haste: &desk.haste,
    };
    let completed = reaper.complete(&desk.worker, &lost, &*desk.reader(debt.list)?);
    given_back.and(completed.map_err(CliError::from))
}

/// Gives every claim back that the worker made since that runner began; the first error is returned
/// once all others were tried.
fn give_back(
    desk: &Desk,
    debt: &Debt,
    retry_after_ms: u64,
    recovered: &mut Recovered,
    lost: &mut BTreeSet<String>,
) -> Result<(), CliError> {
    let mut tracker = desk.open()?;
    let mut done = Ok(());
    for loss in tracker.losses(&desk.worker)? {
        lost.insert(loss.id.clone());
        recovered.found.push(Found { id: loss.id, name: loss.name, lost: Some(loss.why) });
    }
    for shown in tracker.claims(Some(&desk.worker))? {
        let own = shown.row.held.as_ref().filter(|held| desk.is_own(held));
        let Some(held) = own.filter(|held| !debt.spared.contains(&held.claim)) else { continue };
        match give_back_one(&mut *tracker, desk, held.claim, retry_after_ms) {
            Ok(lost) => {
                recovered.found.push(Found { id: shown.row.id, name: shown.name, lost });
            }
            Err(error) => done = done.and(Err(error.into())),
        }
    }
    done
}

/// Gives one claim back; returns why it was over already, if it was.
fn give_back_one(
    tracker: &mut dyn Tracker,
    desk: &Desk,
    claim: RecordHash,
    retry_after_ms: u64,
) -> Result<Option<String>, TrackerError> {
    let reason = Some(SILENT.to_owned());
    let release = Release { reason, force: false, retry_after_ms: Some(retry_after_ms) };
    let (worker, claim) = (desk.worker.clone(), Some(claim.to_string()));
    match tracker.release(&Holding { worker, issue: None, claim }, &release) {
        Ok(_) => Ok(None),
        Err(error @ TrackerError::ClaimLost { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}
