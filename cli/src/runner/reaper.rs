//! What becomes of proofs later on: those of a killed runner are completed, old ones that nobody needs
//! are removed. What is not known to be a runner's stays as it is.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use x0x_tracker::id::AgentId;
use x0x_tracker::interface::Filter;
use x0x_tracker::timestamp::Timestamp;
use x0x_tracker::{Tracker, TrackerError};

use super::foreman::Outcome;
use super::haste::Haste;
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
    /// Whether there is time.
    pub haste: &'a Haste,
}

impl Reaper<'_> {
    /// Writes into the manifests of this worker, whose runner is dead, how its jobs ended; those of
    /// the issues in `lost` lost their claim.
    pub fn complete(
        &self,
        worker: &str,
        lost: &BTreeSet<String>,
        tracker: &dyn Tracker,
    ) -> Result<(), TrackerError> {
        let agent = self.agent.to_string();
        let mut open = self.all(Timestamp(i64::MAX));
        open.retain(|found| {
            let Manifest { state, worker: of, agent: by, .. } = found.manifest();
            *state == Stage::Running && of == worker && *by == agent
        });
        if open.is_empty() {
            return Ok(());
        }
        let named = Named::by(tracker, self.root)?;
        for mut found in open {
            let (outcome, reason) = match named.has(&found.dir) {
                true => (Outcome::HandedOff, None),
                false if lost.contains(&found.manifest().issue) => (Outcome::Abandoned, None),
                false => (Outcome::Interrupted, Some(SILENT)),
            };
            let closing =
                Closing { files: proofs::listed(&found.dir, self.haste), ..Closing::default() };
            // A manifest that cannot be written says what is true as far as it goes.
            let _ = found.close(outcome, reason, closing, None);
        }
        Ok(())
    }

    /// Removes proofs of this agent that are older than so many days and that no handoff names;
    /// returns which.
    pub fn reap(
        &self,
        keep_days: u32,
        now: Timestamp,
        tracker: &dyn Tracker,
    ) -> Result<Vec<PathBuf>, TrackerError> {
        let oldest = Timestamp(now.0.saturating_sub(i64::from(keep_days) * DAY_MS));
        let agent = self.agent.to_string();
        let mut old = self.all(oldest);
        old.retain(|found| found.manifest().agent == agent);
        let mut removed = Vec::new();
        if old.is_empty() {
            return Ok(removed);
        }
        let named = Named::by(tracker, self.root)?;
        for found in old {
            let is_needless = !named.has(&found.dir) && self.is_over(tracker, &found)?;
            if is_needless && remove(&found.dir).is_ok() {
                // The issue's own directory goes with its last proofs, and stays while it has others.
                let _: io::Result<()> = found.dir.parent().map_or(Ok(()), fs::remove_dir);
                removed.push(found.dir);
            }
        }
        Ok(removed)
    }

    /// Tells whether nobody works on a job any more, nor may want it.
    fn is_over(&self, tracker: &dyn Tracker, found: &Proofs) -> Result<bool, TrackerError> {
        let Manifest { state, worker, issue, claim, outcome, .. } = found.manifest();
        let held = match tracker.show(issue) {
            Ok(shown) => shown.row.held,
            // Of an issue of another list nobody here knows what its handoffs name.
            Err(TrackerError::NotFound { .. }) => {
                let is_handed_off = outcome.is_none_or(|outcome| outcome == Outcome::HandedOff);
                return Ok(*state == Stage::Ended && !is_handed_off);
            }
            Err(TrackerError::Ambiguous { .. }) => None,
            Err(error) => return Err(error),
        };
        if *state == Stage::Ended {
            return Ok(true);
        }
        let is_held = held.is_some_and(|held| held.claim.to_string() == *claim);
        Ok(!is_held && !worker::is_alive(self.data_dir, worker))
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

/// The directories that the handoffs of a list name.
struct Named {
    /// As the system knows them, where they are there.
    paths: Vec<PathBuf>,
    /// Each two names in them that follow one another: a handoff may have been written from another
    /// directory, or in another copy of the repository.
    pairs: BTreeSet<(OsString, OsString)>,
}

impl Named {
    /// Reads every handoff that was ever made in a list; `root` is where they name things from.
    fn by(tracker: &dyn Tracker, root: &Path) -> Result<Self, TrackerError> {
        let filter = Filter { deleted: true, with_json: true, ..Filter::default() };
        let mut names = Vec::new();
        tracker.list(&filter, &mut |shown| {
            let json = shown.json.as_deref().unwrap_or_default();
            if shown.row.tally.handoffs > 0 || json.contains("proofs_dir") {
                names.push(shown.name.clone());
            }
            ControlFlow::Continue(())
        })?;
        let mut named = Self { paths: Vec::new(), pairs: BTreeSet::new() };
        for name in names {
            for handoff in tracker.handoffs(&name)? {
                let handoff: serde_json::Value = serde_json::from_str(&handoff).unwrap_or_default();
                if let Some(dir) = handoff.get("proofs_dir").and_then(|dir| dir.as_str()) {
                    named.add(&root.join(dir));
                }
            }
        }
        Ok(named)
    }

    fn add(&mut self, path: &Path) {
        let parts: Vec<&OsStr> = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .collect();
        let pairs = parts.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned()));
        self.pairs.extend(pairs);
        self.paths.push(canonical(path));
    }

    /// Tells whether a directory of proofs is named, or something in it, or around it.
    fn has(&self, dir: &Path) -> bool {
        let issue = dir.parent().and_then(Path::file_name);
        let pair = issue.zip(dir.file_name()).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let dir = canonical(dir);
        pair.is_some_and(|pair| self.pairs.contains(&pair))
            || self.paths.iter().any(|path| path.starts_with(&dir) || dir.starts_with(path))
    }
}

/// Returns a path without links; of one that is not there, as it is spelled.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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
