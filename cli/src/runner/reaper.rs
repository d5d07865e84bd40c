//! What becomes of proofs later on: those of a killed runner are completed, old ones that nobody needs
//! are removed. What is not known to be a runner's stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use x0x_tracker::id::AgentId;
use x0x_tracker::timestamp::Timestamp;
use x0x_tracker::{Tracker, TrackerError};

use super::foreman::Outcome;
use super::proofs::{self, Closing, Manifest, Proofs, Stage};
use super::worker;

/// Why the jobs of a killed runner ended.
pub const SILENT: &str = "its runner ended without a word";

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Whose proofs these are, and where.
pub struct Reaper<'a> {
    /// The directory of all proofs.
    pub proofs: &'a Path,
    /// Handoffs name proofs from here.
    pub root: &'a Path,
    /// The agent's data directory, which knows who is alive.
    pub data_dir: &'a Path,
    /// The agent.
    pub agent: AgentId,
}

impl Reaper<'_> {
    /// Writes into the manifests of this worker, whose runner is dead, how its jobs ended.
    pub fn complete(&self, worker: &str, tracker: &dyn Tracker) -> Result<(), TrackerError> {
        let agent = self.agent.to_string();
        for mut found in self.all(Timestamp(i64::MAX)) {
            let Manifest { state, worker: of, agent: by, issue, .. } = found.manifest();
            if *state == Stage::Ended || of != worker || *by != agent {
                continue;
            }
            let is_named = self.is_named(tracker, issue, &found.dir)?.unwrap_or(false);
            let (outcome, reason) = match is_named {
                true => (Outcome::HandedOff, None),
                false => (Outcome::Interrupted, Some(SILENT)),
            };
            let closing = Closing { files: proofs::listed(&found.dir), ..Closing::default() };
            // A manifest that cannot be written says what is true as far as it goes.
            let _ = found.close(outcome, reason, closing, None);
        }
        Ok(())
    }

    /// Removes proofs that are older than so many days and that no handoff names; returns which.
    pub fn reap(
        &self,
        keep_days: u32,
        now: Timestamp,
        tracker: &dyn Tracker,
    ) -> Result<Vec<PathBuf>, TrackerError> {
        let oldest = Timestamp(now.0.saturating_sub(i64::from(keep_days) * DAY_MS));
        let mut removed = Vec::new();
        for found in self.all(oldest) {
            if self.is_needless(tracker, &found)? && remove(&found.dir).is_ok() {
                // The issue's own directory goes with its last proofs, and stays while it has others.
                let _: io::Result<()> = found.dir.parent().map_or(Ok(()), fs::remove_dir);
                removed.push(found.dir);
            }
        }
        Ok(removed)
    }

    fn is_needless(&self, tracker: &dyn Tracker, found: &Proofs) -> Result<bool, TrackerError> {
        let Manifest { state, worker, agent, issue, claim, outcome, .. } = found.manifest();
        if *state == Stage::Running {
            let is_own = *agent == self.agent.to_string();
            if !is_own || worker::is_alive(self.data_dir, worker) {
                return Ok(false);
            }
            let held = match tracker.show(issue) {
                Ok(shown) => shown.row.held,
                Err(TrackerError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            if held.is_some_and(|held| held.claim.to_string() == *claim) {
                return Ok(false);
            }
        }
        let is_named = self.is_named(tracker, issue, &found.dir)?;
        // Of an issue of another list nobody here knows what its handoffs name.
        Ok(!is_named.unwrap_or(outcome.is_none_or(|outcome| outcome == Outcome::HandedOff)))
    }

    /// Tells whether a handoff of an issue names a directory; `None` where the issue is not known.
    fn is_named(
        &self,
        tracker: &dyn Tracker,
        issue: &str,
        dir: &Path,
    ) -> Result<Option<bool>, TrackerError> {
        let handoffs = match tracker.handoffs(issue) {
            Ok(handoffs) => handoffs,
            Err(TrackerError::NotFound { .. } | TrackerError::Ambiguous { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let names = |handoff: &String| {
            let handoff: serde_json::Value = serde_json::from_str(handoff).ok()?;
            let named = self.root.join(handoff.get("proofs_dir")?.as_str()?);
            // What lies in it, or around it, is meant too.
            Some(named.starts_with(dir) || dir.starts_with(&named))
        };
        Ok(Some(handoffs.iter().any(|handoff| names(handoff).unwrap_or(false))))
    }

    /// Returns the proofs of runners whose names tell an earlier time; links are not followed.
    fn all(&self, before: Timestamp) -> Vec<Proofs> {
        let is_earlier = |dir: &PathBuf| {
            let name = dir.file_name().and_then(|name| name.to_str());
            name.and_then(proofs::time_of).is_some_and(|time| time < before)
        };
        let issues = folders(self.proofs).into_iter();
        let jobs = issues.flat_map(|issue| folders(&issue)).filter(is_earlier);
        jobs.filter_map(|dir| Proofs::read(&dir)).collect()
    }
}

/// Removes proofs, their manifest last: by it the rest is known, should this be interrupted.
fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != proofs::MANIFEST {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(dir)
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_folder).map(|entry| entry.path()).collect()
}
