//! The thread that has the stores: whatever the node wants of a task list is done here, one thing after
//! another, and what is on disk is told to the hub.
//!
//! While another program of this data directory borrows the stores, everything else waits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use x0x_tracker::LocalTracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::TrackerError;
use x0x_tracker::interface::error::Fault;
use x0x_tracker::store::{Holder, StoreLock};

use super::Told;
use super::around::Arounds;
use super::events::Events;
use super::readers::Readers;
use super::shelf::{Shelf, Write, Written};
use super::standings::Provisional;
use crate::home::{Home, HomeError, io_error};
use crate::naming::Shut;
use crate::time;

/// How many writings share a sync of the disk at most.
const TOGETHER_MAX: usize = 64;

/// How long a writing waits for others that may share its sync, where the last one had company. A guess:
/// a small part of what a sync takes.
const GATHER: Duration = Duration::from_micros(200);

/// How many long readings go on at once.
const LONG_READINGS_MAX: usize = 4;

/// Asks for something to be done with the stores.
#[derive(Clone)]
pub struct Keeper {
    jobs: mpsc::UnboundedSender<Job>,
    lent: Lent,
    failed: Arc<AtomicBool>,
    readers: Readers,
    pub(super) arounds: Arounds,
    long: Arc<Semaphore>,
    /// Whether it is asked to open lists that could not be opened.
    is_opening: Arc<AtomicBool>,
    /// Whether claims are to be looked at again, and whether that is asked for.
    has_provisional: Arc<AtomicBool>,
    is_looking: Arc<AtomicBool>,
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

/// What the thread is asked for.
enum Job {
    /// Something with the stores.
    Act(Box<dyn FnOnce(&mut Shelf) + Send>),
    /// To write to a list.
    Write(ListId, Write),
    /// To end.
    End,
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
        events: Events,
    ) -> Result<(Self, std::thread::JoinHandle<()>), HomeError> {
        let lists = BTreeMap::new();
        let lock = Some(Arc::new(lock));
        let readers = Readers::of(home.dir());
        let arounds = Arounds::default();
        let (told, failed) = (BTreeMap::new(), Arc::default());
        let mut shelf = Shelf {
            home,
            holder,
            lock,
            lists,
            told,
            hub,
            failed,
            readers: readers.clone(),
            arounds: arounds.clone(),
            provisional: Provisional::default(),
            turns: BTreeMap::new(),
            opens_again_at: None,
            events,
        };
        // Beside others that are open, one that is not was told where that was found.
        shelf.open_all().or_else(|error| match shelf.lists.is_empty() {
            true => Err(error),
            false => Ok(()),
        })?;
        let (jobs, mut queue) = mpsc::unbounded_channel();
        let failed = shelf.failed.clone();
        let has_provisional = Arc::new(AtomicBool::new(false));
        let has_any = has_provisional.clone();
        let ending = Ending { hub: shelf.hub.clone(), failed: failed.clone() };
        let thread = std::thread::Builder::new().name("stores".to_owned()).spawn(move || {
            let _ending = ending;
            work(&mut shelf, &mut queue, &has_any);
        });
        let stores = Path::new("the stores");
        let thread = thread.map_err(|source| io_error("start a thread for", stores, source))?;
        let long = Arc::new(Semaphore::new(LONG_READINGS_MAX));
        let keeper = Self {
            jobs,
            lent: Lent::default(),
            failed,
            readers,
            arounds,
            long,
            is_opening: Arc::default(),
            has_provisional,
            is_looking: Arc::default(),
        };
        Ok((keeper, thread))
    }

    /// Returns the data directory.
    pub fn dir(&self) -> &Path {
        self.readers.dir()
    }

    /// Does something with a list; `None` where it is not here.
    pub async fn with<T: Send + 'static>(
        &self,
        list: ListId,
        act: impl FnOnce(&mut LocalTracker) -> T + Send + 'static,
    ) -> Result<Option<T>, Stopped> {
        self.ask(move |shelf| shelf.list(list).map(act)).await
    }

    /// Writes to a list; returns once it is on disk, and what is new in this store's own log is announced.
    /// Writings that wait together share a sync of the disk.
    pub async fn write<T: Send + 'static>(
        &self,
        list: ListId,
        act: impl FnOnce(&mut LocalTracker) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<Result<T, TrackerError>, Stopped> {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |tracker| {
            let shut = || TrackerError::Busy {
                holder: "nobody, and cannot be opened: the node's log says why".to_owned(),
            };
            let done = tracker.ok_or_else(shut).and_then(act);
            let failed = |error: &TrackerError| error.fault() == Fault::Internal;
            let has_failed = done.as_ref().is_err_and(failed);
            let answer = |synced: Result<(), _>| drop(answer.send(synced.and(done)));
            Written { has_failed, answer: Box::new(answer) }
        });
        let _stopped = self.jobs.send(Job::Write(list, write));
        answered.await.map_err(|_gone| Stopped)
    }

    /// Returns the list that a name, an id or the start of an id means; `None` means the only one.
    pub async fn named(&self, name: Option<&str>) -> Result<Result<ListId, HomeError>, Stopped> {
        loop {
            if let Some(found) = self.readers.find(name) {
                return Ok(found.map(|open| open.list()));
            }
            self.until_open().await?;
        }
    }

    /// Reads a list beside whoever writes, at once: for what takes less than a millisecond.
    pub async fn read<T>(
        &self,
        name: Option<&str>,
        read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError>,
    ) -> Result<Result<T, HomeError>, Stopped> {
        loop {
            if let Some(found) = self.readers.find(name) {
                return Ok(found.and_then(|open| Ok(read(&open.tracker)?)));
            }
            self.until_open().await?;
        }
    }

    /// Reads every list beside whoever writes, at once: for what takes less than a millisecond.
    pub async fn each<T>(
        &self,
        read: impl Fn(&LocalTracker) -> Result<T, TrackerError>,
    ) -> Result<Result<Vec<T>, TrackerError>, Stopped> {
        loop {
            if let Some(all) = self.readers.all() {
                return Ok(all.iter().map(|open| read(&open.tracker)).collect());
            }
            self.until_open().await?;
        }
    }

    /// Reads a list beside whoever writes, in a thread of its own.
    pub async fn read_long<T: Send + 'static>(
        &self,
        name: Option<String>,
        read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<Result<T, HomeError>, Stopped> {
        let permit = self.long.clone().acquire_owned().await.map_err(|_closed| Stopped)?;
        let (keeper, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            loop {
                if let Some(found) = keeper.readers.find(name.as_deref()) {
                    return Ok(found.and_then(|open| Ok(read(&open.tracker)?)));
                }
                runtime.block_on(keeper.until_open())?;
            }
        });
        reading.await.map_err(|_panicked| Stopped)?
    }

    /// Copies a list into a file that must not exist, as it stands between two writings: what shares a
    /// sync that has not been made yet is not in it.
    pub async fn copy(
        &self,
        name: Option<String>,
        path: PathBuf,
    ) -> Result<Result<(), HomeError>, Stopped> {
        let permit = self.long.clone().acquire_owned().await.map_err(|_closed| Stopped)?;
        let snapshot = self.ask(move |shelf| {
            // With what keeps it open: whoever wants to close it waits for the copy.
            let found = shelf.readers.find(name.as_deref());
            let open =
                found.unwrap_or(Err(HomeError::NoList { dir: shelf.home.dir().to_owned() }))?;
            let snapshot = open.tracker.snapshot()?;
            Ok((open, snapshot))
        });
        let (open, snapshot) = match snapshot.await? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let copying = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let copied = snapshot.copy_to(&path, &mut |_| {});
            drop(snapshot);
            drop(open);
            copied.map_err(HomeError::from)
        });
        copying.await.map_err(|_panicked| Stopped)
    }

    /// Returns the lists that cannot be opened for now, and why.
    pub(crate) fn shut_lists(&self) -> Shut {
        self.readers.shut_lists()
    }

    /// Has it tried again to open those.
    pub(super) fn open_shut(&self) {
        if self.readers.shut_lists().is_empty() || self.is_opening.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_opening = self.is_opening.clone();
        self.tell(move |shelf| {
            shelf.open_shut();
            is_opening.store(false, Ordering::Release);
        });
    }

    /// Has claims looked at again that are not confirmed yet.
    pub(super) fn recheck(&self) {
        let has_any = self.has_provisional.load(Ordering::Relaxed);
        if has_any && !self.is_looking.swap(true, Ordering::AcqRel) {
            let is_looking = self.is_looking.clone();
            self.tell(move |shelf| {
                shelf.look_again();
                is_looking.store(false, Ordering::Release);
            });
        }
    }

    /// Waits until a loan is over: whatever is asked for waits for that.
    async fn until_open(&self) -> Result<(), Stopped> {
        self.ask(|_| ()).await
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
        let _stopped = self.jobs.send(Job::Act(Box::new(act)));
    }

    /// Lends the stores no more, and does not take back what is lent: the node is about to close them.
    pub(super) fn lend_no_more(&self) {
        lending(&self.lent).is_closing = true;
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
        let _stopped = self.jobs.send(Job::End);
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

/// Does what is asked for, one thing after another, until it is to end; writings that wait behind one of
/// the same list are done with it.
fn work(shelf: &mut Shelf, queue: &mut mpsc::UnboundedReceiver<Job>, has_any: &AtomicBool) {
    let (mut next, mut had_company) = (None, false);
    while let Some(job) = next.take().or_else(|| queue.blocking_recv()) {
        match job {
            Job::Act(act) => {
                act(shelf);
                shelf.tell_all();
            }
            Job::Write(list, write) => {
                let mut writes = vec![write];
                if had_company {
                    time::pause(GATHER);
                }
                while writes.len() < TOGETHER_MAX {
                    match queue.try_recv() {
                        Ok(Job::Write(also, write)) if also == list => writes.push(write),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_none) => break,
                    }
                }
                had_company = writes.len() > 1;
                shelf.write(list, writes);
            }
            Job::End => break,
        }
        has_any.store(shelf.has_provisional(), Ordering::Relaxed);
    }
}
