//! What is known of one link.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::commit::RULES_VERSION;

use crate::wire::Hello;

/// How long a peer may take to say which lists it has, and one that shares none to show a ticket.
pub(super) const GREETING_MAX: Duration = Duration::from_secs(10);

/// How much gossip is kept of a link before it is known what both ends share: lanes overtake each other.
const EARLY_FRAMES_MAX: usize = 32;
const EARLY_BYTES_MAX: usize = 128 << 10;

/// How long a link stays to an agent whose role was taken: it may still be told so.
pub(super) const REVOKED_MAX: Duration = Duration::from_secs(1);

/// A link.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) peer: AgentId,
    pub(super) public_key: Vec<u8>,
    pub(super) binding: [u8; 32],
    pub(super) is_caller: bool,
    pub(super) address: SocketAddr,
    /// Whether it is the one that stands to its peer.
    pub(super) stands: bool,
    pub(super) hello: Option<Hello>,
    pub(super) program: String,
    /// Tickets that it was shown and has not answered, the list and secret of each, and how many of its
    /// own were looked at.
    pub(super) shown: VecDeque<(ListId, [u8; 32])>,
    pub(super) tickets_seen: u32,
    /// How often it stopped to share a list.
    pub(super) unshared: u32,
    /// Lists that both have.
    pub(super) lists: BTreeSet<ListId>,
    /// Gossip that came before the greeting, or before this link stood.
    pub(super) early: Vec<Vec<u8>>,
    /// Lists of whose charters it was told because it may not be a member any more.
    pub(super) stated: BTreeSet<ListId>,
    /// How many frames of statements came of it that nobody asked for.
    pub(super) frames_stated: usize,
    /// Whether its role was taken in the last list that both had.
    pub(super) is_revoked: bool,
    /// Until when it may share none.
    pub(super) alone_until: Duration,
    /// Tickets of it that the store looks at, and until when that may keep it.
    pub(super) redeeming: usize,
    pub(super) redeeming_until: Duration,
    /// Whether this side has ended it: what still comes of it is not looked at.
    pub(super) is_ended: bool,
}

impl LinkState {
    pub(super) fn new(
        now: Duration,
        peer: AgentId,
        public_key: Vec<u8>,
        binding: [u8; 32],
        is_caller: bool,
        address: SocketAddr,
    ) -> Self {
        Self {
            peer,
            public_key,
            binding,
            is_caller,
            address,
            stands: false,
            hello: None,
            program: String::new(),
            shown: VecDeque::new(),
            tickets_seen: 0,
            unshared: 0,
            lists: BTreeSet::new(),
            early: Vec::new(),
            stated: BTreeSet::new(),
            frames_stated: 0,
            is_revoked: false,
            alone_until: now + GREETING_MAX,
            redeeming: 0,
            redeeming_until: now,
            is_ended: false,
        }
    }

    /// Tells whether the other side has said which lists it has.
    pub(super) fn has_greeted(&self) -> bool {
        self.hello.is_some()
    }

    /// Returns the newest rules that the other side knows, as far as it said.
    pub(super) fn rules(&self) -> u16 {
        self.hello.as_ref().map_or(RULES_VERSION, |hello| hello.rules)
    }

    /// Keeps gossip for later; what finds no room is found by comparing.
    pub(super) fn keep_early(&mut self, frame: &[u8]) {
        let bytes: usize = self.early.iter().map(Vec::len).sum();
        if self.early.len() < EARLY_FRAMES_MAX && bytes + frame.len() <= EARLY_BYTES_MAX {
            self.early.push(frame.to_vec());
        }
    }

    /// Returns when it is ended if nothing is shared by then. One that does not stand shares nothing, and
    /// is ended by the policy.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let until = match self.redeeming {
            0 => self.alone_until,
            _ => self.alone_until.max(self.redeeming_until),
        };
        (self.stands && self.lists.is_empty() && !self.is_ended).then_some(until)
    }

    /// Notes that the store has looked at one of its tickets.
    pub(super) fn redeemed(&mut self, now: Duration, is_welcome: bool) {
        self.redeeming = self.redeeming.saturating_sub(1);
        if is_welcome {
            // It has to greet again before anything is shared.
            self.alone_until = now + GREETING_MAX;
        }
    }
}
