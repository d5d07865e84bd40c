//! What the hub is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use x0x_tracker::claim::beat::SignedBeat;
use x0x_tracker::id::{AgentId, ListId, LogId, RecordHash};
use x0x_tracker::journal::charter::{Charter, Role, Signed};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::stream::Item;
use x0x_tracker::tasklist::Verdict;

#[cfg(doc)]
use super::Effect;
use super::{FarPiece, StreamId};
use crate::link::policy::{self, LinkId};
use crate::wire::{JoinRefusal, Lane, Payload, SignedCard, Standing, Ticket};

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// A handshake was carried through.
    Up {
        /// The link, under a name that no other had.
        link: LinkId,
        /// Who is at the other end.
        peer: AgentId,
        /// That agent's public key.
        public_key: Vec<u8>,
        /// What TLS exports for this link, the same on both sides.
        binding: [u8; 32],
        /// Whether this side called.
        is_caller: bool,
        /// Where the other side is.
        address: SocketAddr,
    },
    /// A link has ended.
    Down {
        /// Which.
        link: LinkId,
        /// Why.
        why: policy::End,
    },
    /// A call brought no link.
    DialFailed {
        /// Where.
        address: SocketAddr,
        /// Who was called.
        wanted: Option<AgentId>,
        /// Why.
        why: policy::Failure,
    },
    /// A frame came.
    Frame {
        /// On which link.
        link: LinkId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        bytes: Bytes,
    },
    /// The request of a sync stream came.
    Request {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// The request.
        bytes: Vec<u8>,
    },
    /// A frame to or from a peer was dropped because its queue is full.
    Dropped {
        /// On which link.
        link: LinkId,
    },
    /// A peer takes its gossip too slowly.
    Slow {
        /// On which link.
        link: LinkId,
        /// Whether it is to be no neighbour any more; else it is only told what there is.
        is_detached: bool,
    },
    /// A list is open, and as far as this; also after others wrote to it.
    Opened {
        /// The list.
        list: ListId,
        /// Where its logs are.
        frontier: Frontier,
        /// Who belongs to it.
        charter: Arc<Charter>,
    },
    /// This store has commits of its own that are on disk.
    Wrote {
        /// In which list.
        list: ListId,
        /// Where its log is now.
        place: (LogId, Position),
        /// What tells everybody, where one payload can.
        payload: Option<Payload>,
    },
    /// The store judged what [`Effect::Judge`] gave it.
    Judged {
        /// In which list.
        list: ListId,
        /// The commits.
        commits: Vec<Proved>,
        /// What became of each.
        verdicts: Vec<Verdict>,
    },
    /// A part of the answer to a pull is stored.
    Received {
        /// In which list.
        list: ListId,
        /// From whom.
        from: AgentId,
        /// Where logs are now.
        places: Vec<(LogId, Position)>,
        /// The charter, where it has more statements now.
        charter: Option<Arc<Charter>>,
    },
    /// A pull is over.
    Pulled {
        /// In which list.
        list: ListId,
        /// From whom.
        from: AgentId,
        /// How far the other side is, where it came to its end.
        standing: Option<Standing>,
    },
    /// A peer that asked for commits has others than this side in a log.
    Forked {
        /// In which list.
        list: ListId,
        /// Who.
        with: AgentId,
        /// In which log.
        log: LogId,
        /// A place in it that the peer has.
        theirs: Position,
    },
    /// What [`Effect::Fork`] wanted is done, or cannot be done now.
    Settled {
        /// In which list.
        list: ListId,
        /// With whom.
        with: AgentId,
        /// In which log.
        log: LogId,
        /// Whose commits count no longer by it.
        losers: Vec<AgentId>,
    },
    /// Commits of a peer's logs are kept here as lost.
    Lost {
        /// In which list.
        list: ListId,
        /// Whose.
        of: AgentId,
        /// Where they stood, those lost last first.
        places: Vec<(LogId, Position)>,
    },
    /// The charter of a list has more statements now.
    Stated {
        /// In which list.
        list: ListId,
        /// The charter.
        charter: Arc<Charter>,
        /// The statement that was new, if it was not heard by gossip.
        news: Option<Signed>,
    },
    /// The statements of a charter, for a peer that was a member.
    Statements {
        /// Of which list.
        list: ListId,
        /// On which link it is told.
        link: LinkId,
        /// The statements.
        statements: Vec<Signed>,
    },
    /// The store redeemed a ticket, or not.
    Redeemed {
        /// In which list.
        list: ListId,
        /// Who asked, on which link.
        link: LinkId,
        /// The role, and what the newcomer must know.
        outcome: Result<(Role, Vec<Signed>), JoinRefusal>,
    },
    /// The store has dealt with statements that a peer showed for a ticket.
    StatementsKept {
        /// Of which list.
        list: ListId,
        /// Which role this agent has by now; `None` also where the store failed.
        role: Option<Role>,
    },
    /// Somebody wants to join a list.
    Join(Ticket),
    /// Where this node can be called.
    Card(SignedCard),
    /// Holders of claims of this store asked for a beat; each claim with how long it lives without one.
    Beaten {
        /// Of which list.
        list: ListId,
        /// The claims.
        claims: Vec<(RecordHash, Duration)>,
    },
    /// Claims of others on whose slates this agent is came to hold their issues here, or hold them no more.
    Promised {
        /// Of which list.
        list: ListId,
        /// Those that do now.
        given: Vec<RecordHash>,
        /// Those that do no more; also claims that were none of them.
        over: Vec<RecordHash>,
        /// Whether `given` are all that do.
        are_all: bool,
    },
    /// A frame with beats of this store was signed.
    Beat {
        /// Of which list.
        list: ListId,
        /// The frame.
        beat: SignedBeat,
    },
    /// Where other agents were before, and how long ago each was heard, where that is known.
    Known(Vec<(AgentId, Vec<SocketAddr>, Option<Duration>)>),
    /// A link to a member is wanted.
    Reach(AgentId),
    /// A member has something of a list that this side lacks.
    Fetch {
        /// The list.
        list: ListId,
        /// Who.
        from: AgentId,
    },
    /// Something that was sealed for a member is to go there through others.
    Whisper {
        /// For whom.
        to: AgentId,
        /// What.
        sealed: Vec<u8>,
        /// Through members of any list that both belong to, but this one.
        but: Option<ListId>,
    },
    /// A member said something through others that no link joins to this node, and proved that it is it.
    Far {
        /// Who.
        from: AgentId,
        /// The run of its node in which it was said; a later one has a higher number.
        run: u64,
        /// What: a piece.
        bytes: Vec<u8>,
    },
    /// Some of what a far member lacks was looked up.
    FarItems {
        /// Of which list.
        list: ListId,
        /// Who.
        to: AgentId,
        /// The items; none where it lacks nothing, and `None` where that failed.
        items: Option<Vec<Item>>,
    },
    /// What a far member sent is stored, as far as it could be.
    FarStored {
        /// What it was.
        piece: FarPiece,
        /// Whether any of it was new.
        is_news: bool,
        /// Whether nothing after it can be taken.
        is_stopped: bool,
    },
    /// The node looks around: to be told at its start, and then each second at least. Without it, nothing that
    /// others hold is taken over.
    Look {
        /// How long the machine has been running, sleep included, in milliseconds.
        uptime_ms: u64,
        /// The wall clock, in Unix milliseconds.
        wall_ms: i64,
    },
    /// The machine slept, or the network is another.
    Woke,
    /// The node stops.
    Stop,
    /// The deadline passed.
    Tick,
}
