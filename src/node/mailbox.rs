//! What others have of the node's direct messages: sending one, following those that come, releasing them. What
//! becomes of messages is decided in `dm`, and done in [`super::mail`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use x0x_tracker::id::AgentId;

use super::mail::{Ask, Told};
use super::subscribers::{Seat, Subscribers, TooManySubscribers, Topic, UNNAMED};
use crate::dm::store::Reader;
use crate::dm::{self, Depth, DmError, DmReceipt, Draft, Envelope, Post, Progress, Row};

/// How many of the newest messages are kept in memory for those who follow them.
pub const MESSAGES_SHOWN: usize = 1_024;

/// How many messages are read from the disk at once.
const READ_AT_ONCE: usize = 64;

/// How many bytes of payload somebody who follows is given at once: one message more than that at most.
const PART_BYTES_MAX: usize = 256 << 10;

/// How long the sender of a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: until it is queued.
    Queued,
    /// Until it is on disk here.
    Accepted,
    /// Until it is on disk there, or for so long.
    Delivered(Duration),
}

/// The messages of a node's agent.
#[derive(Clone)]
pub struct Mailbox {
    pub(super) me: AgentId,
    pub(super) told: mpsc::UnboundedSender<Told>,
    pub(super) shown: Arc<Shown>,
    pub(super) reader: Reader,
    pub(super) requests: Arc<AtomicU64>,
    pub(super) subscribers: Subscribers,
}

/// The newest messages that came.
pub(super) struct Shown {
    newest: watch::Sender<u64>,
    kept: Mutex<VecDeque<Arc<Envelope>>>,
    /// Messages up to this one were released.
    released: AtomicU64,
    is_over: AtomicBool,
}

impl Shown {
    pub(super) fn new(newest: u64) -> Self {
        let newest = watch::Sender::new(newest);
        Self {
            newest,
            kept: Mutex::default(),
            released: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Shows messages that are on disk now.
    pub(super) fn show(&self, arrived: &mut Vec<Arc<Envelope>>) {
        let Some(newest) = arrived.last().map(|envelope| envelope.number) else { return };
        let mut kept = self.lock();
        kept.extend(arrived.drain(..));
        let surplus = kept.len().saturating_sub(MESSAGES_SHOWN);
        kept.drain(..surplus);
        drop(kept);
        self.newest.send_replace(newest);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Envelope>>> {
        // Whoever panicked while holding it leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node tells of its direct messages.
#[derive(Clone, Debug)]
pub struct MailView {
    /// What became of messages, by peer and way.
    pub rows: Vec<Row>,
    /// How much waits.
    pub depth: Depth,
    /// Sealed frames that came and could not be opened.
    pub unopened: u64,
    /// Messages that came of agents that are no members.
    pub strangers: u64,
}

/// Has a request forgotten that nobody waits for any more.
struct Forget<'a> {
    mailbox: &'a Mailbox,
    request: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let _stopped = self.mailbox.told.send(Told::Forget(self.request));
    }
}

impl Mailbox {
    /// Sends a message, and waits for as long as is wanted. A message to this agent itself goes into its inbox
    /// at once, whatever links there are.
    ///
    /// # Errors
    /// [`DmError::DeliveryTimeout`] where the wait is over and the message is still queued; the other errors say
    /// that it is not.
    pub async fn send(&self, draft: Draft, wait: Wait) -> Result<DmReceipt, DmError> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let (answers, mut answered) = mpsc::unbounded_channel();
        // Whoever waits for the delivery asks again where the inbox is full.
        let ends_on_full = matches!(wait, Wait::Delivered(_));
        let ask = Ask { request, draft, ends_on_full, answers };
        self.told.send(Told::Ask(ask)).map_err(|_gone| DmError::Stopping)?;
        let _forget = Forget { mailbox: self, request };
        let mut message_id = String::new();
        let progress = async {
            loop {
                let (receipt, is_stored) = match answered.recv().await {
                    None => return Err(DmError::Stopping),
                    Some(Progress::Failed(error)) => return Err(error),
                    Some(Progress::Delivered(receipt)) => return Ok(receipt),
                    Some(Progress::Accepted(receipt)) => (receipt, true),
                    Some(Progress::Queued(receipt)) => (receipt, false),
                };
                if wait == Wait::Queued || wait == Wait::Accepted && is_stored {
                    return Ok(receipt);
                }
                message_id = receipt.message_id;
            }
        };
        match wait {
            Wait::Delivered(longest) => match tokio::time::timeout(longest, progress).await {
                Ok(told) => told,
                Err(_elapsed) => Err(DmError::DeliveryTimeout { message_id }),
            },
            Wait::Queued | Wait::Accepted => progress.await,
        }
    }

    /// Follows the messages that come after one, on disk or yet to come; `None` means from now on.
    pub fn follow(&self, after: Option<u64>) -> Follower {
        self.follow_as(UNNAMED, after)
    }

    /// Follows them under a name that is shown with how far it is behind.
    pub fn follow_as(&self, name: &str, after: Option<u64>) -> Follower {
        let (told, seen) = self.from(after);
        let seat = self.subscribers.enter(Topic::Direct, name, seen);
        Follower { mailbox: self.clone(), told, seen, is_level: after.is_none(), seat }
    }

    /// Lets a program follow them, where fewer than so many follow something.
    pub(crate) fn admit(
        &self,
        max: usize,
        name: &str,
        after: Option<u64>,
    ) -> Result<Follower, TooManySubscribers> {
        let (told, seen) = self.from(after);
        let seat = self.subscribers.admit(max, Topic::Direct, name, seen)?;
        Ok(Follower { mailbox: self.clone(), told, seen, is_level: after.is_none(), seat })
    }

    fn from(&self, after: Option<u64>) -> (watch::Receiver<u64>, u64) {
        let told = self.shown.newest.subscribe();
        let newest = *told.borrow();
        // A number that is none yet is of a file that is no more: everything is new.
        let seen = after.map_or(newest, |after| if after > newest { 0 } else { after });
        (told, seen)
    }

    /// Returns the number of the newest message.
    pub(super) fn newest(&self) -> u64 {
        *self.shown.newest.borrow()
    }

    /// Returns messages in the inbox after one, oldest first.
    ///
    /// # Errors
    /// Where the file fails.
    pub async fn inbox(&self, after: u64, limit: usize) -> Result<Vec<Envelope>, DmError> {
        let reader = self.reader.clone();
        // What was released is gone, though it may be on the disk still.
        let after = after.max(self.shown.released.load(Ordering::Acquire));
        let read = tokio::task::spawn_blocking(move || reader.after(after, limit));
        let read = read.await.map_err(|_stopping| DmError::Stopping)?;
        read.map_err(|error| DmError::Store { what: error.to_string() })
    }

    /// Releases every message up to one: they are read.
    pub async fn release(&self, up_to: u64) -> Result<Depth, DmError> {
        self.tell(dm::Input::Release(up_to))?;
        let depth = self.look(Post::depth).await?;
        let up_to = up_to.min(*self.shown.newest.borrow());
        self.shown.released.fetch_max(up_to, Ordering::AcqRel);
        Ok(depth)
    }

    /// Takes no messages of an agent any more, or takes them again.
    pub async fn block(&self, agent: AgentId, is_blocked: bool) -> Result<(), DmError> {
        self.tell(dm::Input::Block(agent, is_blocked))?;
        self.look(|_| ()).await
    }

    /// Returns to whom messages can be sent, but for this agent itself.
    pub async fn members(&self) -> Result<Vec<AgentId>, DmError> {
        self.look(|post| post.members().iter().copied().collect()).await
    }

    /// Returns the agents whose messages are not taken.
    pub async fn blocked(&self) -> Result<Vec<AgentId>, DmError> {
        self.look(|post| post.blocked().iter().copied().collect()).await
    }

    /// Returns what became of messages.
    pub async fn view(&self) -> Result<MailView, DmError> {
        let (answer, answered) = oneshot::channel();
        self.told.send(Told::View(answer)).map_err(|_gone| DmError::Stopping)?;
        answered.await.map_err(|_gone| DmError::Stopping)
    }

    /// Tells those who follow that nothing comes any more.
    pub(crate) fn end(&self) {
        self.shown.is_over.store(true, Ordering::Release);
        self.shown.newest.send_modify(|_| {});
    }

    /// Has the task end.
    pub(super) fn close(&self) {
        self.end();
        let _stopped = self.told.send(Told::Stop);
    }

    fn tell(&self, input: dm::Input) -> Result<(), DmError> {
        self.told.send(Told::Input(input)).map_err(|_gone| DmError::Stopping)
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Post) -> T + Send + 'static,
    ) -> Result<T, DmError> {
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |post: &Post| drop(answer.send(look(post))));
        self.told.send(Told::Look(look)).map_err(|_gone| DmError::Stopping)?;
        answered.await.map_err(|_gone| DmError::Stopping)
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("me", &self.me).finish_non_exhaustive()
    }
}

/// Somebody who follows the messages that come. One who is slow slows nobody.
#[derive(Debug)]
pub struct Follower {
    mailbox: Mailbox,
    told: watch::Receiver<u64>,
    seen: u64,
    /// Whether it had everything once.
    is_level: bool,
    seat: Seat,
}

/// What somebody who follows hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A message.
    Message(Arc<Envelope>),
    /// So many came meanwhile that some are passed over: they are in the inbox, after the one with this number.
    Lagged {
        /// How many.
        missed: u64,
        /// The last that was heard before.
        after: u64,
    },
}

impl Follower {
    /// Returns the number of the last message that was heard, or from where it follows.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns what comes next, once there is something: a part of what is there; `None` once the node stops.
    ///
    /// # Errors
    /// Where the file fails.
    pub async fn next(&mut self) -> Result<Option<Vec<Heard>>, DmError> {
        loop {
            let newest = *self.told.borrow_and_update();
            if newest > self.seen {
                let heard = self.news(newest).await?;
                self.seat.reached(self.seen);
                if !heard.is_empty() {
                    return Ok(Some(heard));
                }
                continue;
            }
            self.is_level = true;
            if self.mailbox.shown.is_over.load(Ordering::Acquire)
                || self.told.changed().await.is_err()
            {
                return Ok(None);
            }
        }
    }

    async fn news(&mut self, newest: u64) -> Result<Vec<Heard>, DmError> {
        let (has_lagged, kept) = {
            let kept = self.mailbox.shown.lock();
            let first = kept.front().map_or(newest + 1, |envelope| envelope.number);
            // Numbers have no gaps but where a disk failed.
            let is_passed_over = self.seen + 1 < first;
            let has_lagged = self.is_level && is_passed_over && kept.len() >= MESSAGES_SHOWN;
            // Whoever follows hears what comes; whoever catches up, what is still there.
            let released = self.mailbox.shown.released.load(Ordering::Acquire);
            let from = if self.is_level { self.seen } else { self.seen.max(released) };
            let part = match !is_passed_over || self.is_level {
                true => part_of(kept.iter().filter(|one| one.number > from)),
                false => Vec::new(),
            };
            (has_lagged, part)
        };
        if let Some(first) = kept.first().map(|envelope| envelope.number) {
            let (after, missed) = (self.seen, first - self.seen - 1);
            let lagged = has_lagged.then_some(Heard::Lagged { missed, after });
            self.seat.missed(if has_lagged { missed } else { 0 });
            self.seen = kept.last().map_or(newest, |envelope| envelope.number);
            return Ok(lagged.into_iter().chain(kept.into_iter().map(Heard::Message)).collect());
        }
        let read = self.mailbox.inbox(self.seen, READ_AT_ONCE).await?;
        let read: Vec<Envelope> = read.into_iter().filter(|one| one.number <= newest).collect();
        // What was released is no more.
        self.seen = read.last().map_or(newest, |envelope| envelope.number);
        Ok(read.into_iter().map(|envelope| Heard::Message(Arc::new(envelope))).collect())
    }
}

/// Returns as many messages as somebody is given at once.
fn part_of<'a>(messages: impl Iterator<Item = &'a Arc<Envelope>>) -> Vec<Arc<Envelope>> {
    let (mut part, mut bytes) = (Vec::new(), 0);
    for message in messages {
        if bytes > PART_BYTES_MAX {
            break;
        }
        bytes += message.message.payload.len();
        part.push(message.clone());
    }
    part
}
