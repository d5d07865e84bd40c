//! The stores, as the thread that has them sees them: opening and closing, writing, and telling the hub
//! what is on disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use x0x_tracker::LocalTracker;
use x0x_tracker::claim::beat::{Kind, Turn};
use x0x_tracker::id::{AgentId, ListId, LogId, RecordHash};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::store::{Holder, StoreLock};

use super::Told;
use super::around::Arounds;
use super::events::Events;
use super::readers::Readers;
use super::standings::Provisional;
use crate::home::{Home, HomeError};
use crate::{clerk, hub, time};

/// How long a borrower may take to lock what it was lent, or who came in between to give it back.
const RELOCK_WAIT: Duration = Duration::from_secs(60);

/// How long a program that reads a list just then may take until the node goes on without it for now.
const OPEN_WAIT: Duration = Duration::from_secs(5);

/// Of the time at most one part in so many goes into trying to open lists that could not be opened.
const OPEN_PARTS: u32 = 20;

/// Writes something, and returns what answers whoever asked for it, once that is on disk; `None` for a
/// list that is not open.
pub(super) type Write = Box<dyn FnOnce(Option<&mut LocalTracker>) -> Written + Send>;

/// What was written, before it is on disk.
pub(super) struct Written {
    /// Whether the store failed: it may take no more.
    pub(super) has_failed: bool,
    /// Tells it to whoever asked, or why it is not on disk.
    pub(super) answer: Box<dyn FnOnce(Result<(), TrackerError>) + Send>,
}

/// The stores.
pub struct Shelf {
    pub(super) home: Home,
    pub(super) holder: Holder,
    pub(super) lock: Option<Arc<StoreLock>>,
    pub(super) lists: BTreeMap<ListId, LocalTracker>,
    /// Where this store's own log is in each list, as it was told.
    pub(super) told: BTreeMap<ListId, Option<(LogId, Position)>>,
    pub(super) hub: mpsc::UnboundedSender<Told>,
    /// Whether the stores did not come back.
    pub(super) failed: Arc<AtomicBool>,
    /// Who reads beside the writing.
    pub(super) readers: Readers,
    /// What is seen of others.
    pub(super) arounds: Arounds,
    /// Claims that are not confirmed yet.
    pub(super) provisional: Provisional,
    /// Which frame with beats of each list was the last.
    pub(super) turns: BTreeMap<ListId, Turn>,
    /// When lists that could not be opened are tried again at the earliest.
    pub(super) opens_again_at: Option<time::Moment>,
    /// Where it is told what happens.
    pub(super) events: Events,
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
        if self.lists.contains_key(&list) {
            return Ok(());
        }
        if !self.home.holds(list) {
            self.home.attach_locked(list, name, prefix)?;
        }
        self.open(list, OPEN_WAIT)
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

    /// Writes several things to a list, which share a sync of the disk; who asked is answered once they
    /// are on it.
    pub(super) fn write(&mut self, list: ListId, writes: Vec<Write>) {
        let Some(tracker) = self.lists.get_mut(&list) else {
            return writes.into_iter().for_each(|write| (write(None).answer)(Ok(())));
        };
        let is_shared = writes.len() > 1;
        if is_shared {
            tracker.sync_later();
        }
        let written: Vec<Written> = writes.into_iter().map(|write| write(Some(tracker))).collect();
        let synced = if is_shared { tracker.sync() } else { Ok(()) };
        let has_failed = synced.is_err() || written.iter().any(|written| written.has_failed);
        match synced {
            Ok(()) => {
                self.announce(list);
                let statements = self.tell(list);
                self.state(list, statements);
                self.settle(list);
            }
            // None of it is there.
            Err(_) => drop(self.lists.get(&list).map(LocalTracker::take_changes)),
        }
        for Written { answer, .. } in written {
            answer(synced.as_ref().map_or_else(|error| Err(error.in_words()), |()| Ok(())));
        }
        if has_failed {
            self.open_anew(list);
        }
    }

    /// Closes a list and opens it again: after a disk refused, a store takes nothing until then.
    fn open_anew(&mut self, list: ListId) {
        self.readers.take(list);
        self.lists.remove(&list);
        // It is tried again, and meanwhile whoever wants it is told why not.
        let _told = self.open(list, OPEN_WAIT);
        self.readers.open();
    }

    /// Signs a frame about claims, and tells the hub.
    pub(super) fn beat(&mut self, list: ListId, kind: Kind, claims: &[RecordHash]) {
        let Some(tracker) = self.lists.get_mut(&list) else { return };
        let turn = match self.turns.entry(list) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let start = tracker.start_beating();
                start.map(|start| place.insert(Turn { start, counter: 0 }))
            }
        };
        let signed = turn.and_then(|turn| {
            turn.counter += 1;
            clerk::beat(tracker, list, *turn, kind, claims)
        });
        match signed {
            Ok(beat) => beat.into_iter().for_each(|beat| self.report(beat)),
            Err(error) => self.fail(list, &error),
        }
    }

    /// Tells the hub of the newest statements of the charter, which were made here.
    fn state(&self, list: ListId, count: usize) {
        let Some(tracker) = self.lists.get(&list).filter(|_| count > 0) else { return };
        match clerk::stated(tracker, list, count) {
            Ok(stated) => stated.into_iter().for_each(|stated| self.report(stated)),
            Err(error) => self.fail(list, &error),
        }
    }

    /// Tells whoever follows it what changed in a list; returns how many statements of the charter did.
    pub(super) fn tell(&mut self, list: ListId) -> usize {
        let Some(tracker) = self.lists.get(&list) else { return 0 };
        let changes = tracker.take_changes();
        if changes.is_empty() {
            return 0;
        }
        if !changes.beats.is_empty() {
            let of = |(claim, ttl_ms): &(RecordHash, u64)| (*claim, Duration::from_millis(*ttl_ms));
            let claims = changes.beats.iter().map(of).collect();
            self.report(hub::Input::Beaten { list, claims });
        }
        let members = (changes.statements > 0).then(|| members_of(tracker)).transpose();
        match members {
            Ok(members) => self.events.tell(list, &changes, members),
            Err(error) => self.fail(list, &error),
        }
        self.follow_claims(list, &changes);
        changes.statements
    }

    /// Tells whoever follows it what changed in any list.
    pub(super) fn tell_all(&mut self) {
        let lists: Vec<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            // Whoever took statements from others told the hub.
            let _statements = self.tell(list);
            self.settle(list);
        }
    }

    /// Says that a store cannot be used.
    pub fn fail(&self, list: ListId, error: &TrackerError) {
        tracing::error!(list = %list.short(), error = %error, "the store cannot be used");
    }

    /// Opens what is not open; one that cannot be opened keeps no other from it. One that somebody reads is
    /// opened later.
    ///
    /// # Errors
    /// Why the first of the others could not.
    pub(super) fn open_all(&mut self) -> Result<(), HomeError> {
        let mut opened = Ok(());
        for list in self.home.list_ids()? {
            if !self.lists.contains_key(&list) {
                match self.open(list, OPEN_WAIT) {
                    Err(HomeError::Tracker(TrackerError::Busy { .. })) => {}
                    one => opened = opened.and(one),
                }
            }
        }
        opened
    }

    /// Tries again to open what could not be opened, and waits for nobody.
    pub(super) fn open_shut(&mut self) {
        if self.opens_again_at.is_some_and(|at| time::origin() < at) {
            return;
        }
        let begun = time::origin();
        for list in self.readers.shut_lists().into_keys() {
            if !self.home.holds(list) {
                // It was set aside meanwhile.
                self.readers.forget(list);
            } else if self.open(list, Duration::ZERO).is_ok() {
                self.announce(list);
                self.events.reset(list, "the list could not be opened before");
            }
        }
        // What takes long is tried the less often, so that others get their turn.
        self.opens_again_at = Some(time::origin() + begun.elapsed() * OPEN_PARTS);
    }

    fn open(&mut self, list: ListId, wait: Duration) -> Result<(), HomeError> {
        self.open_if_free(list, wait).inspect_err(|error| {
            let why = match error {
                HomeError::Tracker(TrackerError::Busy { .. }) => {
                    "a program that began to read it before the node had it".to_owned()
                }
                error => format!("nobody, and cannot be opened: {}", error.detail()),
            };
            if self.readers.refuse(list, why) {
                let error = error.detail();
                tracing::error!(list = %list.short(), error, "a list cannot be opened for now");
            }
        })
    }

    fn open_if_free(&mut self, list: ListId, wait: Duration) -> Result<(), HomeError> {
        let Some(lock) = self.lock.clone() else { return Ok(()) };
        let senses = self.arounds.senses(list);
        let tracker = self.home.write_with(list, &lock, wait, senses)?.watched();
        let own = tracker.own_place()?;
        self.events.know_members(list, members_of(&tracker)?);
        self.readers.put(list, &tracker)?;
        tracing::info!(list = %list.short(), "a list was opened");
        self.lists.insert(list, tracker);
        self.told.entry(list).or_insert(own);
        self.refresh(list);
        self.begin_standings(list);
        Ok(())
    }

    pub(super) fn close_all(&mut self) {
        self.readers.shut();
        self.lists.clear();
        self.lock = None;
    }

    /// Takes the lock again after a loan, and tells what was written meanwhile.
    pub(super) fn reopen(&mut self) {
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
            tracing::error!(%error, "not every list could be opened again");
        }
        self.readers.open();
        let lists: Vec<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            self.announce(list);
            self.events.reset(list, "another program had the store");
        }
    }
}

fn members_of(tracker: &LocalTracker) -> Result<BTreeMap<AgentId, Role>, TrackerError> {
    Ok(tracker.charter()?.members().into_iter().collect())
}
