//! The lists that are open, for those who only read: they wait for no writer, and for nobody else who
//! reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::{LocalTracker, Tracker};

use crate::home::HomeError;
use crate::naming::{self, Shut};
use crate::time;

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
    open: BTreeMap<ListId, Arc<OpenList>>,
    /// Those that cannot be opened for now.
    shut: Shut,
}

/// A list that is open for as long as somebody has this.
pub(super) struct OpenList {
    info: ListInfo,
    pub(super) tracker: LocalTracker,
}

/// How often it is looked whether those who read a list are done.
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl Readers {
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), lists: Arc::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the list that a name, an id or the start of an id means, where `None` means the only one;
    /// `None` while nothing is open.
    pub(super) fn find(&self, name: Option<&str>) -> Option<Result<Arc<OpenList>, HomeError>> {
        self.look(|lists| {
            let open = lists.open.values().map(|open| &open.info);
            let list = naming::which(open, &lists.shut, name, &self.dir)?;
            let absent = || match lists.shut.get(&list) {
                Some(why) => naming::shut_for_now(why),
                None => HomeError::UnknownList { list, dir: self.dir.clone() },
            };
            lists.open.get(&list).cloned().ok_or_else(absent)
        })
    }

    /// Returns every list; `None` while nothing is open.
    pub(super) fn all(&self) -> Option<Vec<Arc<OpenList>>> {
        self.look(|lists| lists.open.values().cloned().collect())
    }

    fn look<T>(&self, look: impl FnOnce(&Lists) -> T) -> Option<T> {
        // Whoever panicked while holding it left it whole.
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        (!lists.are_shut).then(|| look(&lists))
    }

    /// Returns those that cannot be opened for now, and why.
    pub(super) fn shut_lists(&self) -> Shut {
        self.lists.read().unwrap_or_else(PoisonError::into_inner).shut.clone()
    }

    /// Notes that a list cannot be opened for now; tells whether that is news.
    pub(super) fn refuse(&self, list: ListId, why: String) -> bool {
        self.change(|lists| lists.shut.insert(list, why.clone()) != Some(why))
    }

    /// Forgets one of those.
    pub(super) fn forget(&self, list: ListId) {
        self.change(|lists| drop(lists.shut.remove(&list)));
    }

    /// Has a list read that was opened to write.
    pub(super) fn put(&self, list: ListId, writer: &LocalTracker) -> Result<(), TrackerError> {
        let (info, tracker) = (writer.info()?, writer.beside()?);
        self.change(|lists| {
            lists.shut.remove(&list);
            lists.open.insert(list, Arc::new(OpenList { info, tracker }));
        });
        Ok(())
    }

    /// Has a list read no more, and no other until [`Readers::open`]; returns once those who read it now
    /// are done.
    pub(super) fn take(&self, list: ListId) {
        let taken = self.change(|lists| {
            lists.are_shut = true;
            lists.open.remove(&list)
        });
        taken.into_iter().for_each(until_alone);
    }

    /// Has nothing read until [`Readers::open`]; returns once those who read now are done.
    pub(super) fn shut(&self) {
        let none = Lists { are_shut: true, ..Lists::default() };
        let before = self.change(|lists| std::mem::replace(lists, none));
        before.open.into_values().for_each(until_alone);
    }

    /// Has lists read again.
    pub(super) fn open(&self) {
        self.change(|lists| lists.are_shut = false);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lists) -> T) -> T {
        change(&mut self.lists.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OpenList {
    /// Returns its id.
    pub(super) fn list(&self) -> ListId {
        self.info.list
    }
}

/// Waits until nobody else has a list, and closes it. Nobody gets it any more.
fn until_alone(mut list: Arc<OpenList>) {
    while let Err(still) = Arc::try_unwrap(list) {
        list = still;
        time::pause(LOOK_EVERY);
    }
}
