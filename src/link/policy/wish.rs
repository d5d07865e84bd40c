//! The wish for a link: where the agent may be, and when to call next.

use std::net::SocketAddr;
use std::time::Duration;

use crate::entropy::{RngExt, Seeded};

use super::{End, Failure};

/// How many addresses of an agent are tried; those after them are not.
pub const ADDRESSES_MAX: usize = 8;

/// How long is waited at most after the first failure. Each failure doubles it.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);

/// How long is waited at most, whatever failed: with the longest call, a path that is whole again is
/// found within ten seconds.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a link must have lived for what failed before to be forgotten.
pub const STAYED: Duration = Duration::from_secs(10);

/// How long is waited at most where the other side has a link that this side has not: it will notice.
/// The wait is at least half of it.
pub const SUPERFLUOUS_WAIT: Duration = Duration::from_secs(2);

/// With so many failures the longest wait is reached.
const FAILURES_MAX: u32 = 7;

/// A link that is wanted.
pub(super) struct Wish {
    addresses: Vec<SocketAddr>,
    /// Which of them is called next.
    next: usize,
    /// How many of them failed since the last wait.
    failed: usize,
    /// How often all of them failed, at most [`FAILURES_MAX`].
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Until then.
    Waiting(Duration),
    Calling,
    Linked,
}

impl Wish {
    pub fn new(now: Duration, addresses: Vec<SocketAddr>) -> Self {
        let addresses = bounded(addresses);
        Self { addresses, next: 0, failed: 0, failures: 0, state: State::Waiting(now) }
    }

    /// Returns when and where to call next.
    pub fn due(&self) -> Option<(Duration, SocketAddr)> {
        match self.state {
            State::Waiting(until) => Some((until, *self.addresses.get(self.next)?)),
            State::Calling | State::Linked => None,
        }
    }

    /// Tells whether there is no address left.
    pub fn is_hopeless(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Takes other addresses; one that is new is called at once.
    pub fn renew(&mut self, now: Duration, addresses: Vec<SocketAddr>) {
        let before = self.addresses.get(self.next).copied();
        let old = std::mem::replace(&mut self.addresses, bounded(addresses));
        let place = |wanted| self.addresses.iter().position(|address| Some(*address) == wanted);
        let new = self.addresses.iter().position(|address| !old.contains(address));
        self.next = new.or_else(|| place(before)).unwrap_or(0);
        self.failed = self.failed.min(self.addresses.len().saturating_sub(1));
        if new.is_some() && matches!(self.state, State::Waiting(_)) {
            self.state = State::Waiting(now);
        }
    }

    /// Adds an address where the agent was found.
    pub fn add(&mut self, address: SocketAddr) {
        if !self.addresses.contains(&address) {
            self.addresses.truncate(ADDRESSES_MAX - 1);
            self.addresses.push(address);
        }
    }

    /// Gives up an address.
    pub fn remove(&mut self, address: SocketAddr) {
        let Some(at) = self.addresses.iter().position(|known| *known == address) else { return };
        self.addresses.remove(at);
        if at < self.next {
            self.next -= 1;
        }
        if self.next >= self.addresses.len() {
            self.next = 0;
        }
    }

    /// Gives up the address that was called; the next one, if any, is called at once.
    pub fn not_there(&mut self, now: Duration, address: SocketAddr) {
        self.remove(address);
        if self.state == State::Calling {
            self.state = State::Waiting(now);
        }
    }

    /// It is being called.
    pub fn call(&mut self) {
        self.state = State::Calling;
    }

    /// A link has come up; where it was called, at this address.
    pub fn fulfil(&mut self, address: Option<SocketAddr>) {
        (self.state, self.failed) = (State::Linked, 0);
        if let Some(at) = self.addresses.iter().position(|known| Some(*known) == address) {
            self.next = at;
        }
    }

    /// A call has failed. The next address is called at once; after all of them comes a wait.
    pub fn failed(
        &mut self,
        now: Duration,
        address: SocketAddr,
        why: Failure,
        random: &mut Seeded,
    ) {
        if self.state == State::Linked {
            return;
        }
        if why == Failure::Lasting {
            self.failures = FAILURES_MAX;
        }
        self.failed += 1;
        // While it was called the addresses may have changed.
        if self.addresses.get(self.next) == Some(&address) {
            self.next = (self.next + 1) % self.addresses.len();
        }
        if self.failed < self.addresses.len() {
            self.state = State::Waiting(now);
        } else {
            self.back_off(now, random);
        }
    }

    /// The link is gone, after it lived so long.
    pub fn lost(&mut self, now: Duration, lived: Duration, why: End, random: &mut Seeded) {
        if why == End::Superfluous {
            let wait = SUPERFLUOUS_WAIT / 2 + up_to(SUPERFLUOUS_WAIT / 2, random);
            self.state = State::Waiting(now + wait);
            return;
        }
        if lived >= STAYED {
            self.failures = 0;
        }
        self.back_off(now, random);
    }

    /// Calls at once, as if nothing had failed.
    pub fn hurry(&mut self, now: Duration) {
        (self.failed, self.failures) = (0, 0);
        if matches!(self.state, State::Waiting(_)) {
            self.state = State::Waiting(now);
        }
    }

    /// Waits for a random part of a time that doubles, so that those who failed together do not meet
    /// again.
    fn back_off(&mut self, now: Duration, random: &mut Seeded) {
        let longest = (BACKOFF_FIRST * (1 << self.failures)).min(BACKOFF_MAX);
        self.failures = (self.failures + 1).min(FAILURES_MAX);
        self.failed = 0;
        self.state = State::Waiting(now + up_to(longest, random));
    }
}

fn bounded(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        if kept.len() < ADDRESSES_MAX && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

fn up_to(longest: Duration, random: &mut Seeded) -> Duration {
    longest.mul_f64(random.random::<f64>())
}
