//! The thread at the desk: it does one act after the other, so that a wait for the store delays neither
//! signals nor the end of commands.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use x0x::time;
use x0x_tracker::Tracker;
use x0x_tracker::id::{AgentId, DocumentKey, RecordHash};
use x0x_tracker::interface::{Filter, Holding, Release};
use x0x_tracker::timestamp::Timestamp;

use super::desk::{Desk, Record, Settlement, Taken};
use super::foreman::{Beat, Job};
use super::reaper::{Reaper, SILENT};
use crate::error::CliError;
use std::path::PathBuf;

/// What is to be done.
pub enum Ask {
    /// Claim an issue, of which none of these is under way.
    Claim(BTreeSet<DocumentKey>),
    /// Beat these claims.
    Beat(Vec<(Job, RecordHash)>),
    /// Store what came of a job.
    Settle(Box<Settlement>),
    /// Remove old proofs.
    Reap,
}

/// What came of it.
pub enum Answer {
    /// Of a claim.
    Claimed(Result<Box<Taken>, CliError>),
    /// Of beats.
    Beaten(Vec<(Job, Beat)>),
    /// Of a job, which comes back where it has to be stored again.
    Settled(Job, Result<Record, Box<Settlement>>),
    /// Of old proofs: how many were removed.
    Reaped(usize),
}

/// Whoever sits at the desk.
pub struct Clerk {
    /// The desk.
    pub desk: Desk,
    /// The issue that is asked for, by name.
    pub name: Option<String>,
    /// Which issues are asked for.
    pub filter: Filter,
    /// The directory of all proofs.
    pub proofs: PathBuf,
    /// For how many days proofs are kept.
    pub keep_days: u32,
    /// The agent.
    pub agent: AgentId,
}

impl Clerk {
    /// Deals with what a killed runner of this worker left: its claims since it began are released, and
    /// its manifests completed. Returns the ids and names of the issues.
    pub fn recover(
        &self,
        since: Timestamp,
        retry_after_ms: u64,
    ) -> Result<Vec<(String, String)>, CliError> {
        let worker = &self.desk.worker;
        let mut tracker = self.desk.open()?;
        let mut recovered = Vec::new();
        for shown in tracker.claims(Some(worker))? {
            let Some(held) = &shown.row.held else { continue };
            // What was claimed by hand before that runner began is not its own.
            if held.at < since {
                continue;
            }
            let holding = Holding {
                worker: worker.clone(),
                issue: Some(shown.row.id.clone()),
                claim: Some(held.claim.to_string()),
            };
            let release = Release {
                reason: Some(SILENT.to_owned()),
                force: false,
                retry_after_ms: Some(retry_after_ms),
            };
            tracker.release(&holding, &release)?;
            recovered.push((shown.row.id, shown.name));
        }
        self.reaper().complete(worker, &tracker)?;
        Ok(recovered)
    }

    /// Starts the thread; it ends once nobody can ask any more.
    pub fn sit_down(
        self,
        asks: mpsc::Receiver<Ask>,
        answer: impl Fn(Answer) + Send + 'static,
    ) -> JoinHandle<()> {
        thread::spawn(move || {
            for ask in asks {
                answer(self.act(ask));
            }
        })
    }

    fn act(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Claim(under_way) => {
                let taken = self.desk.claim(self.name.as_deref(), &self.filter, &under_way);
                Answer::Claimed(taken.map(Box::new))
            }
            Ask::Beat(claims) => Answer::Beaten(self.desk.beat(&claims)),
            Ask::Settle(mut settlement) => {
                let record = self.desk.settle(&mut settlement);
                Answer::Settled(settlement.job, record.ok_or(settlement))
            }
            // What could not be removed today is old tomorrow too.
            Ask::Reap => Answer::Reaped(self.reap().unwrap_or(0)),
        }
    }

    fn reap(&self) -> Result<usize, CliError> {
        let tracker = self.desk.home.read(self.desk.list)?;
        let now = Timestamp(time::now_ms());
        Ok(self.reaper().reap(self.keep_days, now, &tracker)?.len())
    }

    fn reaper(&self) -> Reaper<'_> {
        Reaper {
            proofs: &self.proofs,
            root: &self.desk.root,
            data_dir: self.desk.home.dir(),
            agent: self.agent,
        }
    }
}
