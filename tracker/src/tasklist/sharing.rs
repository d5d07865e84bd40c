//! One open list used by several of a process: readers beside the writer, and one sync of the disk for
//! many writings.

use std::path::Path;
use std::sync::Arc;

use super::{Host, LocalTracker, Lock};
use crate::interface::TrackerError;
use crate::journal::commit::Commit;
use crate::store::{Changes, Journal, Meta, Reading, Store, StoreLock, Writing};

impl LocalTracker {
    /// Opens a list to write, and keeps other processes from reading it ([`Store::open_alone`]).
    ///
    /// # Errors
    /// [`TrackerError::Busy`] while another process reads it.
    pub fn open_alone(
        path: &Path,
        host: Host,
        lock: impl Into<Arc<StoreLock>>,
    ) -> Result<Self, TrackerError> {
        let store = Store::open_alone(path)?;
        Ok(Self { _lock: Lock::Whole { _lock: lock.into() }, ..Self::over(store, host) })
    }

    /// Returns the list for somebody who reads it while this one writes. It sees the last state that was
    /// written, the time and the lapse of claims as this one does, and refuses to write.
    ///
    /// # Errors
    /// Where this one was opened to read.
    pub fn beside(&self) -> Result<Self, TrackerError> {
        Ok(Self {
            store: self.store.beside()?,
            host: self.host.clone(),
            outlook: self.outlook.clone(),
            _lock: Lock::None,
        })
    }

    /// Lets what is written from now on wait for [`LocalTracker::sync`] to be durable: one sync of the
    /// disk serves all of it. Only for a list that was opened by [`LocalTracker::open_alone`].
    ///
    /// Others of this process see each writing as soon as it is done; nobody else may hear of it before
    /// it is durable.
    pub fn sync_later(&self) {
        self.store.sync_later();
    }

    /// Makes durable what was written since [`LocalTracker::sync_later`]: it is on disk when this returns.
    ///
    /// # Errors
    /// Where the disk refuses: nothing of it is kept then, and the list has to be closed.
    pub fn sync(&self) -> Result<(), TrackerError> {
        let writing = self.store.sync()?;
        self.sign_last(&writing)?;
        writing.commit()
    }

    /// Signs the last commit of this store's own log, which proves those before it.
    fn sign_last(&self, writing: &Writing) -> Result<(), TrackerError> {
        let Some(log) = writing.own_log()? else { return Ok(()) };
        let Some(last) = writing.frontier()?.position(log) else { return Ok(()) };
        let commit = writing.commit_at(log, last.number)?;
        // One that came back from others is proved by what is kept of its log.
        let unproved = |commit: &Commit| commit.signature.is_none();
        if let Some(commit) = commit.filter(unproved)
            && writing.rest(log)?.is_none()
        {
            let signature = commit.signed(self.host()?.signer.as_ref())?;
            writing.put_signature(log, last.number, &signature)?;
        }
        Ok(())
    }

    /// Returns the list as it stands, to be copied while others write. Taken while no writings share a
    /// sync, all of it is durable and proved.
    pub fn snapshot(&self) -> Result<Reading, TrackerError> {
        self.store.read()
    }

    /// Keeps from now on what writings change, until [`LocalTracker::take_changes`].
    pub fn watched(mut self) -> Self {
        self.store.watch();
        self
    }

    /// Returns what writings changed since it was last asked for; nothing in a list that is not watched.
    pub fn take_changes(&self) -> Changes {
        self.store.take_changes()
    }
}
