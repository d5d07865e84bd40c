//! The thread that has the stores: whatever the node wants of a task list is done here, one thing after
//! another, and what is on disk is told to the hub.
//!
//! While another program of this data directory borrows the stores, everything else waits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use x0x_tracker::LocalTracker;
use x0x_tracker::id::{ListId, LogId};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::store::{Holder, StoreLock};

use super::Told;
use crate::home::{Home, HomeError, io_error};
use crate::{clerk, hub};

/// How long a borrower may take to lock what it was lent, or who came in between to give it back.
const RELOCK_WAIT: Duration = Duration::from_secs(60);

/// Asks for something to be done with the stores.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// `None` ends the thread.
    jobs: mpsc::UnboundedSender<Option<Job>>,
    lent: Lent,
    failed: Arc<AtomicBool>,
}

/// The loan that there is, shared by all who may end it.
type Lent = Arc<Mutex<Lending>>;

#[derive(Debug, Default)]
struct Lending {
    /// Where to say that it is over.
    back: Option<std_mpsc::Sender<()>>,
    /// Whether the node stops: nothing is lent then, and no borrower is waited for.
    is_closing: bool,
}

fn lending(lent: &Lent) -> MutexGuard<'_, Lending> {
    // Whoever panics while holding it leaves it whole.
    lent.lock().unwrap_or_else(PoisonError::into_inner)
}

type Job = Box<dyn FnOnce(&mut Shelf) + Send>;

/// The stores.
pub struct Shelf {
    home: Home,
    holder: Holder,
    lock: Option<Arc<StoreLock>>,
    lists: BTreeMap<ListId, LocalTracker>,
    /// Where this store's own log is in each list, as it was told.
    told: BTreeMap<ListId, Option<(LogId, Position)>>,
    hub: mpsc::UnboundedSender<Told>,
    /// Whether the stores did not come back.
    failed: Arc<AtomicBool>,
}

/// The stores are lent until it is dropped, or the node stops.
#[derive(Debug)]
pub struct Loan {
    back: std_mpsc::Sender<()>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        // A node that stopped meanwhile waits for it no more.
        let _stopped = self.back.send(());
    }
}

/// Has the node stop when the thread of the stores ends, whatever ended it: without them it could only
/// pass on what others say.
struct Ending {
    hub: mpsc::UnboundedSender<Told>,
    failed: Arc<AtomicBool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed.store(true, Ordering::Release);
        }
        let _stopped = self.hub.send(Told::Stop);
    }
}

/// The keeper is gone: the node stops.
#[derive(Debug, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

impl Keeper {
    /// Opens every list of a data directory, and starts the thread that has them. It ends, and closes
    /// them, after [`Keeper::close`].
    ///
    /// `hub` is told of each list, and of what is written.
    pub(crate) fn start(
        home: Home,
        lock: StoreLock,
        holder: Holder,
        hub: mpsc::UnboundedSender<Told>,
    ) -> Result<(Self, std::thread::JoinHandle<()>), HomeError> {
        let lists = BTreeMap::new();
        let lock = Some(Arc::new(lock));
        let (told, failed) = (BTreeMap::new(), Arc::default());
        let mut shelf = Shelf { home, holder, lock, lists, told, hub, failed };
        shelf.open_all()?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Option<Job>>();
        let failed = shelf.failed.clone();
        let ending = Ending { hub: shelf.hub.clone(), failed: failed.clone() };
        let thread = std::thread::Builder::new().name("stores".to_owned()).spawn(move || {
            let _ending = ending;
            while let Some(Some(job)) = queue.blocking_recv() {
                job(&mut shelf);
            }
        });
        let stores = Path::new("the stores");
        let thread = thread.map_err(|source| io_error("start a thread for", stores, source))?;
        Ok((Self { jobs, lent: Lent::default(), failed }, thread))
    }

    /// Does something with a list; `None` where it is not here.
    pub async fn with<T: Send + 'static>(
        &self,
        list: ListId,
        act: impl FnOnce(&mut LocalTracker) -> T + Send + 'static,
    ) -> Result<Option<T>, Stopped> {
        self.ask(move |shelf| shelf.lists.get_mut(&list).map(act)).await
    }

    /// Writes to a list; what is new in this store's own log is announced.
    pub async fn write<T: Send + 'static>(
        &self,
        list: ListId,
        act: impl FnOnce(&mut LocalTracker) -> T + Send + 'static,
    ) -> Result<Option<T>, Stopped> {
        self.ask(move |shelf| {
            let done = shelf.lists.get_mut(&list).map(act);
            shelf.announce(list);
            done
        })
        .await
    }

    /// Does something with the stores, and waits until it is done.
    pub async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Shelf) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.tell(move |shelf| drop(answer.send(act(shelf))));
        answered.await.map_err(|_gone| Stopped)
    }

    /// Has something done with the stores.
    pub fn tell(&self, act: impl FnOnce(&mut Shelf) + Send + 'static) {
        // Without the thread there is nobody left to tell what came of it.
        let _stopped = self.jobs.send(Some(Box::new(act)));
    }

    /// Closes the stores after what was asked for until now. A borrower is not waited for: it holds the
    /// lock, and what it writes is told at the next start.
    pub(crate) fn close(&self) {
        let back = {
            let mut lending = lending(&self.lent);
            lending.is_closing = true;
            lending.back.take()
        };
        if let Some(back) = back {
            let _returned = back.send(());
        }
        let _stopped = self.jobs.send(None);
    }

    /// Tells whether the stores were lost: the node stops then.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Lends all stores to another program of this data directory: they are closed and the lock is
    /// free when this returns, and everything waits until the loan is dropped.
    pub async fn lend(&self) -> Result<Loan, Stopped> {
        let (back, returned) = std_mpsc::channel();
        let (ready, is_ready) = oneshot::channel();
        let lent = self.lent.clone();
        self.tell(move |shelf| {
            {
                let mut lending = lending(&lent);
                if lending.is_closing {
                    return;
                }
                lending.back = Some(back.clone());
            }
            shelf.close_all();
            if ready.send(Loan { back }).is_ok() {
                let _returned = returned.recv();
            }
            let is_closing = {
                let mut lending = lending(&lent);
                lending.back = None;
                lending.is_closing
            };
            if !is_closing {
                shelf.reopen();
            }
        });
        is_ready.await.map_err(|_gone| Stopped)
    }
}

impl Shelf {
    /// Returns a list.
    pub fn list(&mut self, list: ListId) -> Option<&mut LocalTracker> {
        self.lists.get_mut(&list)
    }

    /// Tells whether a list is in the data directory, and not open.
    pub fn is_shut(&self, list: ListId) -> bool {
        !self.lists.contains_key(&list) && self.home.holds(list)
    }

    /// Returns the lists that are open.
    pub fn lists(&self) -> impl Iterator<Item = (&ListId, &LocalTracker)> {
        self.lists.iter()
    }

    /// Returns the data directory.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Tells the hub something.
    pub fn report(&self, input: hub::Input) {
        // A hub that is gone needs to know nothing.
        let _stopped = self.hub.send(Told::Input(input));
    }

    /// Makes an empty copy of a list that was founded elsewhere, and opens it.
    pub fn attach(&mut self, list: ListId, name: &str, prefix: &str) -> Result<(), HomeError> {
        if !self.lists.contains_key(&list) {
            self.home.attach_locked(list, name, prefix)?;
            self.open_all()?;
        }
        Ok(())
    }

    /// Tells the hub how far a list is, whatever it knew.
    pub fn refresh(&self, list: ListId) {
        let Some(tracker) = self.lists.get(&list) else { return };
        match clerk::opened(tracker, list) {
            Ok(opened) => self.report(opened),
            Err(error) => self.fail(list, &error),
        }
    }

    /// Announces what is new in this store's own log of a list.
    pub fn announce(&mut self, list: ListId) {
        let Some(tracker) = self.lists.get(&list) else { return };
        let (place, payload) = match clerk::news(tracker, self.told.get(&list).copied().flatten()) {
            Ok(Some(news)) => news,
            Ok(None) => return,
            Err(error) => return self.fail(list, &error),
        };
        self.told.insert(list, Some(place));
        self.report(hub::Input::Wrote { list, place, payload });
    }

    /// Says that a store cannot be used.
    pub fn fail(&self, list: ListId, error: &TrackerError) {
        tracing::error!(list = %list.short(), error = %error, "the store cannot be used");
    }

    /// Opens what is not open; one that cannot be opened keeps no other from it.
    ///
    /// # Errors
    /// Why the first of those could not.
    fn open_all(&mut self) -> Result<(), HomeError> {
        let mut opened = Ok(());
        for list in self.home.list_ids()? {
            if !self.lists.contains_key(&list) {
                opened = opened.and(self.open(list));
            }
        }
        opened
    }

    fn open(&mut self, list: ListId) -> Result<(), HomeError> {
        let Some(lock) = self.lock.clone() else { return Ok(()) };
        let tracker = self.home.write_with(list, lock)?;
        let own = tracker.own_place()?;
        self.lists.insert(list, tracker);
        self.told.entry(list).or_insert(own);
        self.refresh(list);
        Ok(())
    }

    fn close_all(&mut self) {
        self.lists.clear();
        self.lock = None;
    }

    /// Takes the lock again after a loan, and tells what was written meanwhile.
    fn reopen(&mut self) {
        match self.home.lock_as(&self.holder, RELOCK_WAIT) {
            Ok(lock) => self.lock = Some(Arc::new(lock)),
            Err(error) => {
                tracing::error!(%error, "the lock of the data directory did not come back");
                self.failed.store(true, Ordering::Release);
                let _stopped = self.hub.send(Told::Stop);
                return;
            }
        }
        if let Err(error) = self.open_all() {
            tracing::error!(%error, "a list cannot be opened again");
        }
        let lists: Vec<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            self.announce(list);
        }
    }
}
