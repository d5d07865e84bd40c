//! Looking at signatures on other threads than those that decide, so that these need not. What is found is an answer
//! for the very bytes that were looked at; whether a frame counts is decided elsewhere, and this only guesses well
//! which signatures that will ask for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use x0x_tracker::id::{ListId, LogId};
use x0x_tracker::journal::charter::Charter;
use x0x_tracker::journal::commit::{Position, decode_header};
use x0x_tracker::journal::run::{Proved, Run};
use x0x_tracker::journal::signature::Verifier;
use x0x_tracker::tasklist::Verdict;

use crate::hub::Input;
use crate::mesh::{self, BroadcastId};
use crate::pump::{Job, Keys, Proofs, Recorder};
use crate::time;
use crate::wire::{Lane, Payload};

/// How many broadcasts are remembered that were looked at, and how many bytes of them are kept at most: the copies that
/// neighbours send of one come within moments.
const SEEN_MAX: usize = 512;
const SEEN_BYTES_MAX: usize = 4 << 20;

/// What is needed to look at signatures.
pub(super) struct Checks {
    verifier: Arc<dyn Verifier>,
    keys: Keys,
    known: Mutex<Known>,
    seen: Mutex<Seen>,
}

/// What is known of lists.
#[derive(Default)]
struct Known {
    charters: BTreeMap<ListId, Arc<Charter>>,
    /// How far each log is here: what is at or before that need not be looked at.
    logs: HashMap<(ListId, LogId), u64>,
}

/// Broadcasts that were looked at, by the ids that their frames gave them, which nobody has held against them.
#[derive(Default)]
struct Seen {
    proofs: HashMap<BroadcastId, (Bytes, Proofs)>,
    /// Oldest first, each with how many bytes it has, and how many all have.
    order: VecDeque<(BroadcastId, usize)>,
    bytes: usize,
}

impl Checks {
    pub(super) fn new(verifier: Arc<dyn Verifier>) -> Self {
        Self { verifier, keys: Keys::default(), known: Mutex::default(), seen: Mutex::default() }
    }

    /// Notes what the hub is told, as far as it matters here.
    pub(super) fn note(&self, input: &Input) {
        match input {
            Input::Opened { list, frontier, charter } => {
                let mut known = lock(&self.known);
                known.charters.insert(*list, charter.clone());
                known.advance(*list, frontier.0.iter().map(|(log, at)| (*log, *at)));
            }
            Input::Stated { list, charter, .. } => {
                lock(&self.known).charters.insert(*list, charter.clone());
            }
            Input::Received { list, places, charter, .. } => {
                let mut known = lock(&self.known);
                if let Some(charter) = charter {
                    known.charters.insert(*list, charter.clone());
                }
                known.advance(*list, places.iter().copied());
            }
            Input::Wrote { list, place, .. } => {
                lock(&self.known).advance(*list, [*place]);
            }
            Input::Judged { list, commits, verdicts } => {
                let is_here =
                    |verdict: &Verdict| matches!(verdict, Verdict::Taken | Verdict::Known);
                let taken = commits.iter().zip(verdicts).filter(|(_, verdict)| is_here(verdict));
                let taken = taken.map(|(commit, _)| (commit.header().log, commit.position()));
                lock(&self.known).advance(*list, taken);
            }
            _ => {}
        }
    }

    /// Looks at the signatures of a frame of gossip; returns how long that took, where there were any.
    pub(super) fn check(&self, job: &Job) -> (Proofs, Option<Duration>) {
        let found = if job.lane == Lane::Pubsub { self.check_gossip(&job.bytes) } else { None };
        found.unwrap_or_default()
    }

    fn check_gossip(&self, job: &Bytes) -> Option<(Proofs, Option<Duration>)> {
        let (list, frame) = job.split_first_chunk::<32>()?;
        let list = ListId(*list);
        let (id, bytes) = mesh::broadcast_of(frame)?;
        let payload = Payload::read(bytes).ok()?;
        let header = match &payload {
            Payload::Commit(commit) => &commit.header,
            Payload::Moved(Run { headers, .. }) => headers.first()?,
            // There are few of them.
            Payload::Statement(_) | Payload::Sealed { .. } => return None,
        };
        let header = decode_header(header).ok()?;
        let charter = {
            let known = lock(&self.known);
            if known.logs.get(&(list, header.log)).is_some_and(|here| *here >= header.number) {
                return None;
            }
            known.charters.get(&list)?.clone()
        };
        let signed = job.slice_ref(bytes);
        // Another one under its id says nothing of this one.
        if let Some((_, proofs)) = lock(&self.seen).proofs.get(&id).filter(|(it, _)| *it == signed)
        {
            return Some((proofs.clone(), None));
        }
        let recorder = Recorder::new(self.verifier.as_ref(), &self.keys, signed.clone());
        let began = time::origin();
        // What comes of it is asked again by whoever decides; the answers are what matters.
        match payload {
            Payload::Commit(commit) => drop(Proved::signed(commit, list, &charter, &recorder)),
            Payload::Moved(run) => drop(run.prove(list, &charter, &recorder)),
            Payload::Statement(_) | Payload::Sealed { .. } => {}
        }
        let took = began.elapsed();
        let proofs = recorder.into_proofs();
        if proofs.is_empty() {
            return None;
        }
        lock(&self.seen).put(id, signed, proofs.clone());
        Some((proofs, Some(took)))
    }
}

impl Known {
    fn advance(&mut self, list: ListId, places: impl IntoIterator<Item = (LogId, Position)>) {
        for (log, position) in places {
            let here = self.logs.entry((list, log)).or_default();
            *here = (*here).max(position.number);
        }
    }
}

impl Seen {
    fn put(&mut self, id: BroadcastId, signed: Bytes, proofs: Proofs) {
        let bytes = signed.len();
        // One that is known keeps its place, and what it says.
        if let Entry::Vacant(place) = self.proofs.entry(id) {
            place.insert((signed, proofs));
            self.order.push_back((id, bytes));
            self.bytes += bytes;
        }
        while (self.order.len() > SEEN_MAX || self.bytes > SEEN_BYTES_MAX)
            && let Some((oldest, bytes)) = self.order.pop_front()
        {
            self.proofs.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_broadcasts_are_remembered_and_the_newest() {
        let mut seen = Seen::default();
        for n in 0..SEEN_MAX * 2 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(n as u64).to_le_bytes());
            seen.put(hash, vec![1; 100].into(), Proofs::default());
            seen.put(hash, vec![2; 900].into(), Proofs::default());
        }
        assert_eq!((seen.proofs.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert_eq!(seen.bytes, SEEN_MAX * 100);
        assert!(!seen.proofs.contains_key(&[0; 32]));
        for n in 0..8 {
            seen.put([n | 0x80; 32], vec![n; SEEN_BYTES_MAX / 2].into(), Proofs::default());
        }
        assert_eq!((seen.proofs.len(), seen.bytes), (2, SEEN_BYTES_MAX));
    }
}
