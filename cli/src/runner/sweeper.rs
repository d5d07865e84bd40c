//! What is done beside the work, now and then: what other runners left is dealt with, and old proofs go.
//! It may take long, and nobody waits for it.

use std::path::PathBuf;

use x0x::time;
use x0x_tracker::timestamp::Timestamp;

use super::desk::Desk;
use super::reaper::Reaper;
use super::recovery::{self, Recovered};
use crate::error::CliError;

/// Whoever does it.
#[derive(Clone, Debug)]
pub struct Sweeper {
    /// The desk of the runner.
    pub desk: Desk,
    /// The directory of all proofs.
    pub proofs: PathBuf,
    /// For how many days proofs are kept.
    pub keep_days: u32,
    /// How long an issue is left alone that a dead runner had.
    pub retry_after_ms: u64,
}

/// What was done.
#[derive(Debug)]
pub struct Swept {
    /// Of what other runners left.
    pub recovered: Recovered,
    /// How many proofs were removed.
    pub removed: usize,
}

impl Sweeper {
    /// Does all of it once.
    pub fn sweep(&self) -> Swept {
        let recovered = recovery::recover_others(&self.desk, self.retry_after_ms);
        // What could not be removed today is old tomorrow too.
        Swept { recovered, removed: self.reap().unwrap_or(0) }
    }

    fn reap(&self) -> Result<usize, CliError> {
        let tracker = self.desk.reader(self.desk.list)?;
        let now = Timestamp(time::now_ms());
        let reaper = Reaper {
            proofs: &self.proofs,
            root: &self.desk.root,
            data_dir: self.desk.home.dir(),
            agent: self.desk.agent,
            haste: &self.desk.haste,
        };
        Ok(reaper.reap(self.keep_days, now, &*tracker)?.len())
    }
}
