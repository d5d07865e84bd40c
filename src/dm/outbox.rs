//! What goes out: for each recipient its messages in order, which of them are under way, and when they are sent
//! again. Not: what is on disk, and whether an acknowledgement is genuine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::message::DmPath;
use super::post::Order;
use super::wire::{Frame, Message, Place, Refusal};
use super::{BYTES_MAX, MESSAGES_MAX};
use crate::entropy::{RngExt, Seeded};

/// How many messages are under way to one recipient at most over a link.
pub const WINDOW: usize = 512;

/// How many bytes of payload are under way to one recipient at most over a link.
const WINDOW_BYTES: usize = 4 << 20;

/// How many messages are under way to one recipient at most through others, whom they cost as much. A guess.
const SEALED_WINDOW: usize = 8;

/// How long an acknowledgement is waited for over a link: it is made once a disk has synced. A guess.
pub const ACK_WAIT: Duration = Duration::from_secs(5);

/// How long a link is waited for that somebody is called for: the time of a handshake far away. Then the message
/// goes through others.
pub const LINK_WAIT: Duration = Duration::from_millis(1_500);

/// The first pause before messages are sent again, and the longest; each is twice the one before, and up to half
/// of it more.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// See [`BACKOFF_FIRST`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How long messages are held where one was refused since one before it had not come.
const GAP_WAIT: Duration = Duration::from_millis(100);

/// For how long a recipient may say that it does not know this agent: it hears of a new member a little later than
/// that member of it.
const STRANGER_WAIT: Duration = Duration::from_secs(5);

/// How often it is looked for messages whose time is over.
const EXPIRY_EVERY: Duration = Duration::from_secs(1);

/// A message that waits to be acknowledged.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) order: Order,
    pub(super) message: Arc<Message>,
    /// When its time is over.
    pub(super) expires: Duration,
    /// When it was asked for.
    pub(super) asked: Duration,
    pub(super) accepted_at_ms: Option<i64>,
    /// Whether its sender gave it an id: then it leaves once that is on disk, or after a crash it would be sent
    /// again as another.
    pub(super) is_named: bool,
    pub(super) attempts: u32,
    pub(super) tried: BTreeSet<DmPath>,
    /// The way that it was last sent.
    pub(super) path: Option<DmPath>,
    /// Whether it is given up where the inbox is full and somebody still waits, who will ask again.
    pub(super) ends_on_full: bool,
    /// Since when the recipient has said that it does not know this agent.
    pub(super) stranger_since: Option<Duration>,
}

/// By which ways a recipient can be reached now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ways {
    /// There is a link.
    pub(super) is_linked: bool,
    /// It is known where to call.
    pub(super) is_callable: bool,
    /// It is known for whom to seal.
    pub(super) is_sealable: bool,
}

/// What is to be done for a recipient.
#[derive(Debug)]
pub(super) enum Action {
    /// Send a frame.
    Send { frame: Vec<u8>, path: DmPath, is_again: bool },
    /// Have a link made.
    Call,
}

/// The messages to one agent.
#[derive(Debug, Default)]
struct Recipient {
    queue: VecDeque<Pending>,
    /// How many of the first are under way.
    sent: usize,
    sent_bytes: usize,
    /// Which way those went.
    path: Option<DmPath>,
    /// How often in a row nothing came back.
    failures: u32,
    /// When something is to be done.
    due: Option<Duration>,
    /// Whether nothing is sent until then.
    is_held: bool,
    /// Whether a link was asked for since there was one.
    has_called: bool,
}

/// The messages that wait to be acknowledged.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    recipients: BTreeMap<AgentId, Recipient>,
    count: usize,
    bytes: usize,
    expiry_at: Option<Duration>,
}

impl Outbox {
    /// Tells whether there is room for one more.
    pub(super) fn has_room(&self, weight: usize) -> bool {
        self.count < MESSAGES_MAX && self.bytes + weight <= BYTES_MAX
    }

    /// Adds a message behind all others to its recipient.
    pub(super) fn push(&mut self, now: Duration, pending: Pending) {
        self.count += 1;
        self.bytes += pending.message.weight();
        self.expiry_at.get_or_insert(now + EXPIRY_EVERY);
        self.recipients.entry(pending.message.to).or_default().queue.push_back(pending);
    }

    /// Tells whether something is under way to an agent, or was.
    pub(super) fn awaits(&self, to: AgentId) -> bool {
        self.recipients.contains_key(&to)
    }

    /// Returns how many messages there are to an agent.
    pub(super) fn depth_of(&self, to: AgentId) -> usize {
        self.recipients.get(&to).map_or(0, |recipient| recipient.queue.len())
    }

    /// Returns how many messages there are, and how many bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.count, self.bytes)
    }

    /// Returns to whom there are messages.
    pub(super) fn recipients(&self) -> impl Iterator<Item = AgentId> {
        self.recipients.keys().copied()
    }

    /// Returns the message of an order to an agent.
    pub(super) fn find(&mut self, to: AgentId, order: Order) -> Option<&mut Pending> {
        let queue = &mut self.recipients.get_mut(&to)?.queue;
        queue.iter_mut().find(|pending| pending.order == order)
    }

    /// Sends what may be sent.
    pub(super) fn pump(
        &mut self,
        now: Duration,
        to: AgentId,
        ways: Ways,
        random: &mut Seeded,
    ) -> Vec<Action> {
        let Some(recipient) = self.recipients.get_mut(&to) else { return Vec::new() };
        if recipient.queue.is_empty() {
            self.recipients.remove(&to);
            return Vec::new();
        }
        let mut actions = Vec::new();
        recipient.pump(now, ways, random, &mut actions);
        actions
    }

    /// A link to an agent has come up: what is under way another way goes over it, and nothing is held.
    pub(super) fn linked(&mut self, to: AgentId) {
        if let Some(recipient) = self.recipients.get_mut(&to) {
            recipient.rewind();
            (recipient.failures, recipient.due, recipient.is_held) = (0, None, false);
        }
    }

    /// A frame could not be sent: all are sent again, a little later.
    pub(super) fn hold(&mut self, now: Duration, to: AgentId) {
        if let Some(recipient) = self.recipients.get_mut(&to) {
            recipient.hold(now + GAP_WAIT);
        }
    }

    /// An agent has everything up to a place; returns what is delivered by that.
    pub(super) fn acknowledged(
        &mut self,
        now: Duration,
        to: AgentId,
        up_to: Place,
    ) -> Vec<Pending> {
        let Some(recipient) = self.recipients.get_mut(&to) else { return Vec::new() };
        let (mut delivered, mut at) = (Vec::new(), 0);
        while at < recipient.queue.len() {
            let Pending { message, attempts, .. } = &recipient.queue[at];
            let Place { log, number } = message.place;
            // What was never sent cannot have come. Of another log it says nothing: that may be of another copy
            // of this data directory.
            match log == up_to.log && number <= up_to.number && *attempts > 0 {
                true => delivered.extend(recipient.remove(at)),
                false => at += 1,
            }
        }
        if !delivered.is_empty() {
            (recipient.failures, recipient.is_held) = (0, false);
            recipient.due = (recipient.sent > 0).then_some(now + ACK_WAIT);
        }
        self.forget(&delivered);
        delivered
    }

    /// An agent did not take a message; returns those that are given up by that.
    pub(super) fn refused(
        &mut self,
        now: Duration,
        to: AgentId,
        place: Place,
        why: Refusal,
        is_waited_for: &dyn Fn(Order) -> bool,
        random: &mut Seeded,
    ) -> Vec<Pending> {
        let Some(recipient) = self.recipients.get_mut(&to) else { return Vec::new() };
        let at = recipient.queue.iter().position(|pending| pending.message.place == place);
        let Some(at) = at.filter(|at| *at < recipient.sent) else { return Vec::new() };
        let mut ended = Vec::new();
        match why {
            Refusal::Stranger => {
                let since = *recipient.queue[at].stranger_since.get_or_insert(now);
                match now.saturating_sub(since) < STRANGER_WAIT {
                    true => recipient.hold(now + 5 * GAP_WAIT),
                    false => ended.extend(recipient.remove(at)),
                }
            }
            Refusal::NotAllowed => ended.extend(recipient.remove(at)),
            Refusal::Gap => recipient.hold(now + GAP_WAIT),
            Refusal::NotYet => {
                recipient.failures += 1;
                let doublings = recipient.failures.saturating_sub(1).min(5);
                recipient.hold(now + GAP_WAIT * (1 << doublings));
            }
            Refusal::InboxFull => {
                recipient.failures += 1;
                let pause = pause(recipient.failures, random);
                recipient.hold(now + pause);
                let mut at = 0;
                while at < recipient.queue.len() {
                    let Pending { order, ends_on_full, attempts, .. } = recipient.queue[at];
                    match ends_on_full && attempts > 0 && is_waited_for(order) {
                        true => ended.extend(recipient.remove(at)),
                        false => at += 1,
                    }
                }
            }
        }
        self.forget(&ended);
        ended
    }

    /// Takes a message out, wherever it is.
    pub(super) fn take_out(&mut self, to: AgentId, order: Order) -> Option<Pending> {
        let recipient = self.recipients.get_mut(&to)?;
        let at = recipient.queue.iter().position(|pending| pending.order == order)?;
        let taken = recipient.remove(at)?;
        self.forget(std::slice::from_ref(&taken));
        Some(taken)
    }

    /// Returns the messages whose time is over.
    pub(super) fn expired(&mut self, now: Duration) -> Vec<Pending> {
        if self.expiry_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let mut expired = Vec::new();
        for recipient in self.recipients.values_mut() {
            let mut at = 0;
            while at < recipient.queue.len() {
                match recipient.queue[at].expires <= now {
                    true => expired.extend(recipient.remove(at)),
                    false => at += 1,
                }
            }
        }
        self.forget(&expired);
        self.expiry_at = (self.count > 0).then_some(now + EXPIRY_EVERY);
        expired
    }

    /// Returns when something is to be done at the latest.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = self.recipients.values().filter_map(|recipient| recipient.due);
        due.chain(self.expiry_at).min()
    }

    /// Returns to whom something is to be done by now.
    pub(super) fn due(&self, now: Duration) -> Vec<AgentId> {
        let is_due = |recipient: &Recipient| recipient.due.is_some_and(|due| due <= now);
        let due = self.recipients.iter().filter(|(_, recipient)| is_due(recipient));
        due.map(|(to, _)| *to).collect()
    }

    fn forget(&mut self, gone: &[Pending]) {
        self.count -= gone.len();
        self.bytes -= gone.iter().map(|pending| pending.message.weight()).sum::<usize>();
    }
}

impl Recipient {
    fn pump(&mut self, now: Duration, ways: Ways, random: &mut Seeded, actions: &mut Vec<Action>) {
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.is_held && !is_due {
            return;
        }
        self.is_held = false;
        if ways.is_linked {
            self.has_called = false;
            if self.path != Some(DmPath::Quic) {
                self.rewind();
                (self.path, self.due) = (Some(DmPath::Quic), None);
            } else if is_due {
                if self.sent > 0 {
                    // Nothing came back.
                    self.rewind();
                    self.path = Some(DmPath::Quic);
                    self.failures += 1;
                }
                self.due = None;
            }
            self.send(DmPath::Quic, WINDOW, actions);
            if self.sent > 0 && self.due.is_none() {
                self.due = Some(now + ACK_WAIT.max(pause(self.failures, random)));
            }
            return;
        }
        if self.path == Some(DmPath::Quic) {
            // The link is gone.
            self.rewind();
            self.due = None;
        }
        if self.due.is_some_and(|due| now < due) {
            if self.path == Some(DmPath::Gossip) {
                self.send(DmPath::Gossip, SEALED_WINDOW, actions);
            }
            return;
        }
        if ways.is_callable && !self.has_called {
            self.has_called = true;
            actions.push(Action::Call);
            self.due = Some(now + LINK_WAIT);
            return;
        }
        if ways.is_callable {
            actions.push(Action::Call);
        }
        self.failures += 1;
        self.due = Some(now + pause(self.failures, random));
        if ways.is_sealable {
            self.rewind();
            self.path = Some(DmPath::Gossip);
            self.send(DmPath::Gossip, SEALED_WINDOW, actions);
        }
    }

    fn send(&mut self, path: DmPath, window: usize, actions: &mut Vec<Action>) {
        while self.sent < self.queue.len()
            && self.sent < window
            && (self.sent_bytes < WINDOW_BYTES || self.sent == 0)
        {
            let before = self.sent.checked_sub(1).map(|at| self.queue[at].message.place);
            let pending = &mut self.queue[self.sent];
            if pending.is_named && pending.accepted_at_ms.is_none() {
                return;
            }
            let is_again = pending.attempts > 0;
            pending.attempts += 1;
            pending.tried.insert(path);
            pending.path = Some(path);
            let message = Message::clone(&pending.message);
            self.sent_bytes += pending.message.weight();
            self.sent += 1;
            let frame = Frame::Message { message, after: before }.write();
            actions.push(Action::Send { frame, path, is_again });
        }
    }

    /// Nothing is under way any more.
    fn rewind(&mut self) {
        (self.sent, self.sent_bytes, self.path) = (0, 0, None);
    }

    fn hold(&mut self, until: Duration) {
        self.rewind();
        (self.due, self.is_held) = (Some(until), true);
    }

    fn remove(&mut self, at: usize) -> Option<Pending> {
        let pending = self.queue.remove(at)?;
        if at < self.sent {
            self.sent -= 1;
            self.sent_bytes -= pending.message.weight();
        }
        Some(pending)
    }
}

/// Returns a pause after so many failures.
fn pause(failures: u32, random: &mut Seeded) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    pause + pause.mul_f64(random.random_range(0.0..0.5))
}
