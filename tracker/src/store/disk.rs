//! A disk of memory that forgets what was not synced: a test cuts its power at any moment and looks
//! what is left. It stands in for a file of a store, never for a data directory.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// A disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    seen: Vec<u8>,
    now: Moment,
    /// The moments just before each sync, while they are recorded.
    recorded: Option<Vec<Moment>>,
    syncs: u64,
}

/// What a disk is made of at one moment: what survives a power cut for sure, and what may.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    durable: Arc<Vec<u8>>,
    unsynced: Vec<Act>,
}

/// What was asked of the disk after the last sync.
#[derive(Clone, Debug)]
enum Act {
    Write { at: usize, bytes: Vec<u8> },
    Resize { bytes: usize },
}

impl Disk {
    /// Returns a disk that holds these bytes and has nothing left to sync.
    pub fn holding(bytes: Vec<u8>) -> Self {
        let now = Moment { durable: Arc::new(bytes.clone()), unsynced: Vec::new() };
        Self(Arc::new(Mutex::new(State { seen: bytes, now, ..State::default() })))
    }

    /// Returns the moment now.
    pub fn now(&self) -> Moment {
        self.state().now.clone()
    }

    /// Returns how often the disk was synced.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Starts to record the moments just before each sync; what was recorded before is dropped.
    pub fn record(&self) {
        self.state().recorded = Some(Vec::new());
    }

    /// Returns the moments recorded, and stops.
    pub fn recorded(&self) -> Vec<Moment> {
        self.state().recorded.take().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every act on the state is whole or panics before it changes anything.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moment {
    /// Tells whether anything could be lost.
    pub fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Returns what is left where nothing survives but what was synced.
    pub fn forgetful(&self) -> Vec<u8> {
        self.durable.to_vec()
    }

    /// Returns what is left where everything survives, as after a kill or right after the sync.
    pub fn kind(&self) -> Vec<u8> {
        self.torn(usize::MAX, || true)
    }

    /// Returns what is left where each sector of each unsynced write survives or not, as `survives`
    /// says. Sizes change in their order: when one is lost, so are the later ones.
    pub fn torn(&self, sector_bytes: usize, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let mut left = self.durable.to_vec();
        let mut resizes = true;
        for act in &self.unsynced {
            match act {
                Act::Resize { bytes } => {
                    resizes &= survives();
                    if resizes {
                        left.resize(*bytes, 0);
                    }
                }
                Act::Write { at, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let from = at + done;
                        let room = sector_bytes - from % sector_bytes;
                        let end = bytes.len().min(done.saturating_add(room));
                        if survives() {
                            write_inside(&mut left, from, &bytes[done..end]);
                        }
                        done = end;
                    }
                }
            }
        }
        left
    }
}

/// Writes what fits; behind its end a file has no sectors.
fn write_inside(file: &mut [u8], at: usize, bytes: &[u8]) {
    let end = file.len().min(at + bytes.len());
    if let Some(place) = file.get_mut(at..end) {
        place.copy_from_slice(&bytes[..place.len()]);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let at = to_usize(offset)?;
        let end = at.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(state.seen.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        let bytes = to_usize(bytes)?;
        state.seen.resize(bytes, 0);
        state.now.unsynced.push(Act::Resize { bytes });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        let State { now, recorded, syncs, .. } = &mut *state;
        *syncs += 1;
        if let Some(recorded) = recorded {
            recorded.push(now.clone());
        }
        // Only what changed is copied, unless somebody keeps the moment before.
        let durable = Arc::make_mut(&mut now.durable);
        for act in now.unsynced.drain(..) {
            match act {
                Act::Resize { bytes } => durable.resize(bytes, 0),
                Act::Write { at, bytes } => write_inside(durable, at, &bytes),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let at = to_usize(offset)?;
        let end = at.checked_add(data.len()).ok_or(io::ErrorKind::InvalidInput)?;
        state.seen.get_mut(at..end).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(data);
        state.now.unsynced.push(Act::Write { at, bytes: data.to_vec() });
        Ok(())
    }

    // Nobody else has this disk, so every lock is free.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

fn to_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}
