//! The lists that are open, for those who only read: they wait for no writer, and for nobody else who
//! reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use x0x_tracker::id::ListId;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::{LocalTracker, Tracker};

use crate::home::HomeError;
use crate::naming;

/// What is open; shared by all who read.
#[derive(Clone)]
pub(super) struct Readers {
    dir: PathBuf,
    lists: Arc<RwLock<Lists>>,
}

#[derive(Default)]
struct Lists {
    /// Whether they are lent, or not open yet: who reads has to wait.
    are_shut: bool,
    open: BTreeMap<ListId, OpenList>,
}

struct OpenList {
    info: ListInfo,
    tracker: LocalTracker,
}

/// What is open, until it is dropped.
pub(super) struct Open<'a> {
    dir: &'a Path,
    lists: RwLockReadGuard<'a, Lists>,
}

impl Readers {
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), lists: Arc::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what is open; `None` while nothing is. Whoever wants to close it waits for its end.
    pub(super) fn now(&self) -> Option<Open<'_>> {
        // Whoever panicked while reading changed nothing.
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        (!lists.are_shut).then_some(Open { dir: &self.dir, lists })
    }

    /// Has a list read that was opened to write.
    pub(super) fn put(&self, list: ListId, writer: &LocalTracker) -> Result<(), TrackerError> {
        let (info, tracker) = (writer.info()?, writer.beside()?);
        self.change(|lists| drop(lists.open.insert(list, OpenList { info, tracker })));
        Ok(())
    }

    /// Has a list read no more, and no other until [`Readers::open`], once those who read now are done.
    pub(super) fn take(&self, list: ListId) {
        self.change(|lists| {
            lists.are_shut = true;
            lists.open.remove(&list);
        });
    }

    /// Has nothing read until [`Readers::open`], once those who read now are done.
    pub(super) fn shut(&self) {
        self.change(|lists| *lists = Lists { are_shut: true, open: BTreeMap::new() });
    }

    /// Has lists read again.
    pub(super) fn open(&self) {
        self.change(|lists| lists.are_shut = false);
    }

    fn change(&self, change: impl FnOnce(&mut Lists)) {
        change(&mut self.lists.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Open<'_> {
    /// Returns the list that a name, an id or the start of an id means; `None` means the only one.
    pub(super) fn named(&self, name: Option<&str>) -> Result<ListId, HomeError> {
        naming::which(self.lists.open.values().map(|open| &open.info), name, self.dir)
    }

    /// Reads a list.
    pub(super) fn read<T>(
        &self,
        name: Option<&str>,
        read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError>,
    ) -> Result<T, HomeError> {
        let list = self.named(name)?;
        let unknown = || HomeError::UnknownList { list, dir: self.dir.to_owned() };
        Ok(read(&self.lists.open.get(&list).ok_or_else(unknown)?.tracker)?)
    }

    /// Reads every list.
    pub(super) fn each<T>(
        &self,
        read: impl Fn(&LocalTracker) -> Result<T, TrackerError>,
    ) -> Result<Vec<T>, TrackerError> {
        self.lists.open.values().map(|open| read(&open.tracker)).collect()
    }
}
