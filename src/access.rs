//! One store, two ways in: the files of a data directory or, while a node has them, that node. Whoever asks
//! gets the same answers.

use std::time::Duration;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::error::Fault;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::store::{Holder, Repair, SharedLock, StoreLock};
use x0x_tracker::{LocalTracker, Tracker};

use crate::home::{Home, HomeError, holder_of, patiently};
use crate::naming::{self, Shut};
use crate::rest::{self, RemoteTracker};

/// What a node says of itself in the lock.
const NODE_ROLE: &str = "node";

/// A task list that is open, one way or the other.
pub struct Access {
    /// The list.
    pub tracker: Box<dyn Tracker>,
    /// Whether opening it had to repair what an interrupted writer left.
    pub repair: Option<Repair>,
}

impl Access {
    fn of_store(tracker: LocalTracker) -> Self {
        let repair = tracker.repair();
        Self { tracker: Box::new(tracker), repair }
    }

    fn of_node(tracker: RemoteTracker) -> Self {
        Self { tracker: Box::new(tracker), repair: None }
    }
}

/// The lists of a data directory.
struct Here {
    lists: Vec<ListInfo>,
    /// Those that cannot be opened.
    shut: Shut,
    /// Why the first of those cannot, where that is damage.
    damage: Option<TrackerError>,
}

impl Home {
    /// Returns a list to read. Changes nothing, and waits for no writer; for a node that is about to start
    /// or to stop at most `wait`.
    pub fn reader(&self, list: ListId, wait: Duration) -> Result<Access, HomeError> {
        unless_told(|reason| {
            patiently(wait, || {
                // The lock is not tried, since that could be in the way of a writer.
                match self.of_node(list) {
                    Ok(Some(tracker)) => return Ok(Ok(Access::of_node(tracker))),
                    Ok(None) => {}
                    Err(error) => return later(error, reason),
                }
                match self.read(list) {
                    // A node that has it does not answer yet, or no more.
                    Err(error) if is_busy(&error) => Ok(Err(StoreLock::holder(self.dir()))),
                    opened => Ok(Ok(Access::of_store(opened?))),
                }
            })
        })
    }

    /// Returns a list to write, once no other program writes; waits at most `wait`.
    pub fn writer(&self, list: ListId, wait: Duration) -> Result<Access, HomeError> {
        self.known_path(list)?;
        let own = holder_of("cli", None);
        unless_told(|reason| {
            patiently(wait, || {
                let other = match StoreLock::try_acquire(self.dir(), &own)? {
                    Ok(lock) => return Ok(Ok(Access::of_store(self.write_under(list, lock)?))),
                    Err(other) => other,
                };
                match other.as_ref().map_or(Ok(None), |other| self.by(other, list)) {
                    Ok(tracker) => Ok(tracker.map(Access::of_node).ok_or(other)),
                    Err(error) => later(error.into(), reason),
                }
            })
        })
    }

    /// Tells whether a node has the lock, as the lock says it: one that was killed may stand there still.
    pub fn has_node(&self) -> bool {
        StoreLock::holder(self.dir()).is_some_and(|holder| holder.role == NODE_ROLE)
    }

    /// Returns a list for a rehearsal, which changes nothing: every request says that it is one, or what it
    /// writes stays in memory.
    pub fn rehearser(&self, list: ListId, wait: Duration) -> Result<Access, HomeError> {
        let node = SharedLock::try_acquire(self.dir())?.err().flatten();
        match node.map_or(Ok(None), |node| self.by(&node, list))? {
            Some(tracker) => Ok(Access::of_node(tracker)),
            None => Ok(Access::of_store(self.rehearse(list, wait)?)),
        }
    }

    /// Returns the list that a name, an id or the start of an id means; `None` means the only one. Waits at
    /// most `wait` for a node that starts or stops.
    pub fn list_named(
        &self,
        name_or_id: Option<&str>,
        wait: Duration,
    ) -> Result<ListId, HomeError> {
        if let Some(list) = name_or_id.and_then(|text| text.parse().ok())
            && self.holds(list)
        {
            return Ok(list);
        }
        let found = |Here { lists, shut, damage }: Here| {
            let which = naming::which(lists.iter(), &shut, name_or_id, self.dir());
            // It may be what a list is called that cannot be read.
            which.map_err(|error| match damage {
                Some(damage) if is_busy(&error) => damage.into(),
                _ => error,
            })
        };
        unless_told(|reason| {
            patiently(wait, || match self.lists_here().and_then(found) {
                Ok(list) => Ok(Ok(list)),
                Err(error) => later(error, reason),
            })
        })
    }

    /// Returns a list of the node that runs here; `None` where none does.
    pub(crate) fn of_node(&self, list: ListId) -> Result<Option<RemoteTracker>, HomeError> {
        let last = StoreLock::holder(self.dir());
        Ok(last.map_or(Ok(None), |last| self.by(&last, list))?)
    }

    /// Returns the lists that are here, and those that cannot be opened: a node's for now, others for damage.
    fn lists_here(&self) -> Result<Here, HomeError> {
        let last = StoreLock::holder(self.dir());
        let api = last.as_ref().and_then(api_of);
        match api.map(|api| rest::lists_of(self.dir(), api)) {
            Some(Ok((lists, shut))) => Ok(Here { lists, shut, damage: None }),
            Some(Err(error))
                if !is_away(&error) && SharedLock::try_acquire(self.dir())?.is_err() =>
            {
                Err(error.into())
            }
            _ => {
                let (lists, damaged) = self.sound_lists()?;
                let shut = damaged.iter().map(|(list, error)| (*list, error.to_string())).collect();
                Ok(Here { lists, shut, damage: damaged.into_values().next() })
            }
        }
    }

    /// Returns a list of the node that holds the lock; `None` where that is no node, or does not answer.
    fn by(&self, holder: &Holder, list: ListId) -> Result<Option<RemoteTracker>, TrackerError> {
        let Some(api) = api_of(holder) else { return Ok(None) };
        match RemoteTracker::connect(self.dir(), api, list) {
            Ok(tracker) => Ok(Some(tracker)),
            Err(error) if is_away(&error) => Ok(None),
            // Another program has the address, and another process the number, of a node that is gone.
            Err(_) if SharedLock::try_acquire(self.dir())?.is_ok() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns where a holder of the lock answers, if it is a node that runs.
fn api_of(holder: &Holder) -> Option<&str> {
    let api = holder.api.as_deref().filter(|_| holder.role == NODE_ROLE)?;
    // One that was killed left its word in the lock, and another program may have its address by now.
    let pid = rustix::process::Pid::from_raw(i32::try_from(holder.pid).ok()?)?;
    let runs = rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
    runs.then_some(api)
}

/// Tries for as long as something is in use; then the last reason that a node gave says more than that it is.
fn unless_told<T>(
    attempt: impl FnOnce(&mut Option<HomeError>) -> Result<T, HomeError>,
) -> Result<T, HomeError> {
    let mut reason = None;
    match (attempt(&mut reason), reason) {
        (Err(error), Some(reason)) if is_busy(&error) => Err(reason),
        (done, _) => done,
    }
}

/// Has what passes tried again, and keeps the reason.
fn later<T>(
    error: HomeError,
    reason: &mut Option<HomeError>,
) -> Result<Result<T, Option<Holder>>, HomeError> {
    if error.fault() != Fault::Unavailable {
        return Err(error);
    }
    *reason = Some(error);
    Ok(Err(None))
}

fn is_busy(error: &HomeError) -> bool {
    matches!(error, HomeError::Tracker(TrackerError::Busy { .. }))
}

fn is_away(error: &TrackerError) -> bool {
    error.fault() == Fault::Unreachable
}
