//! What the hub wants done, and what people may want to know of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::claim::Around;
use x0x_tracker::claim::beat::{Beat, Kind};
use x0x_tracker::id::{AgentId, ListId, LogId, RecordHash};
use x0x_tracker::journal::charter::{Role, Signed};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::stream::Item;

#[cfg(doc)]
use super::Input;
use super::{FarPiece, StreamId};
use crate::link::Farewell;
use crate::link::policy::{self, LinkId};
use crate::wire::{JoinRefusal, Lane, Standing};

/// What the hub wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Call an address; answered by [`Input::Up`] or [`Input::DialFailed`].
    Dial {
        /// Where.
        address: SocketAddr,
        /// Who must answer; `None` for anybody.
        wanted: Option<AgentId>,
    },
    /// End a link.
    End {
        /// Which.
        link: LinkId,
        /// What to tell the other side.
        why: Farewell,
    },
    /// Send a frame.
    Send {
        /// On which link.
        link: LinkId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Open a sync stream and give the store what comes; answered by [`Input::Pulled`].
    Pull {
        /// On which link.
        link: LinkId,
        /// From whom.
        from: AgentId,
        /// For which list.
        list: ListId,
        /// How far this node is.
        standing: Standing,
    },
    /// Send on a sync stream what the other side lacks.
    Serve {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Who asks.
        to: AgentId,
        /// How far the other side is.
        standing: Standing,
        /// The newest rules that it knows; what was written under newer ones it cannot take.
        rules: u16,
    },
    /// Send on a sync stream headers of a log.
    ServeHeaders {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Of which log.
        log: LogId,
        /// From which number on.
        from: u64,
    },
    /// Send on a sync stream what an agent wrote that does not count here.
    ServeLost {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
        /// Of which list.
        list: ListId,
        /// Who asks, for what it wrote.
        to: AgentId,
    },
    /// Say on a sync stream that nothing is served.
    Refuse {
        /// On which link.
        link: LinkId,
        /// On which stream.
        stream: StreamId,
    },
    /// Have the store judge commits; answered by [`Input::Judged`].
    Judge {
        /// Of which list.
        list: ListId,
        /// The commits.
        commits: Vec<Proved>,
    },
    /// Have the store take statements; answered by [`Input::Stated`] where some are new.
    State {
        /// Of which list.
        list: ListId,
        /// The statements.
        statements: Vec<Signed>,
        /// Whether they were shown for a ticket: [`Input::StatementsKept`] follows then.
        are_shown: bool,
    },
    /// Have the store redeem a ticket; answered by [`Input::Redeemed`].
    Redeem {
        /// Of which list.
        list: ListId,
        /// For whom.
        link: LinkId,
        /// The ticket's secret.
        secret: [u8; 32],
        /// The public key of the agent that shows it.
        public_key: Vec<u8>,
    },
    /// Find out where a neighbour's log parts from the one here, and settle which branch counts.
    Fork {
        /// On which link.
        link: LinkId,
        /// Of which list.
        list: ListId,
        /// Who.
        with: AgentId,
        /// Which log.
        log: LogId,
        /// A place in it that the neighbour has.
        theirs: Position,
    },
    /// A neighbour knows more of logs that this store writes, or knows commits of them not to count: go
    /// on in a new one, fetch what the neighbour keeps that does not count, and write that again.
    OwnLogs {
        /// On which link.
        link: LinkId,
        /// Of which list.
        list: ListId,
        /// Which logs, and where there is one the commit that does not count.
        places: Vec<(LogId, Option<Position>)>,
    },
    /// Look up which commits of these peers the store keeps as lost, and answer with
    /// [`super::Input::Lost`] for each that there are some of.
    NameLost {
        /// Of which list.
        list: ListId,
        /// Whose.
        of: Vec<AgentId>,
    },
    /// Look up the statements of a charter for a peer, and answer with [`super::Input::Statements`].
    NameStatements {
        /// Of which list.
        list: ListId,
        /// For whom, on which link.
        link: LinkId,
    },
    /// Sign a frame about claims; answered by [`Input::Beat`].
    Beat {
        /// Of which list.
        list: ListId,
        /// What it says of them.
        kind: Kind,
        /// The claims; at most [`x0x_tracker::claim::beat::BEAT_CLAIMS_MAX`].
        claims: Vec<RecordHash>,
    },
    /// Have the store note that claims were heard of now.
    Hear {
        /// Of which list.
        list: ListId,
        /// What was heard; its signature was verified.
        beat: Beat,
    },
    /// Have the store judge claims of others by what is seen of them now.
    Around {
        /// Of which list.
        list: ListId,
        /// What is seen.
        around: Arc<Around>,
    },
    /// These agents belong to lists of this node, and of these it is known where they can be called; told when
    /// it changes.
    Members {
        /// Who belongs.
        members: BTreeSet<AgentId>,
        /// Who can be called.
        callable: BTreeSet<AgentId>,
    },
    /// What is for this agent alone can be sealed with this key.
    SealKey {
        /// Which agent.
        agent: AgentId,
        /// Its ML-KEM-768 key.
        key: Vec<u8>,
    },
    /// Seal a word for a member, and send it through members of another list than that which it is about.
    Whisper {
        /// For whom.
        to: AgentId,
        /// What.
        bytes: Vec<u8>,
        /// The list that it is about.
        about: ListId,
    },
    /// Look up some of what a far member lacks; answered by [`Input::FarItems`].
    ServeFar {
        /// Of which list.
        list: ListId,
        /// Who asks.
        to: AgentId,
        /// How far it is.
        standing: Standing,
        /// The newest rules that it knows.
        rules: u16,
        /// How many items to pass over.
        skip: u32,
    },
    /// Store what a far member sent; answered by [`Input::FarStored`].
    StoreFar {
        /// What it is.
        piece: FarPiece,
        /// The items.
        items: Vec<Item>,
    },
    /// Something came through others that was sealed for this agent.
    Sealed(Vec<u8>),
    /// Remember how long ago agents were heard.
    RememberHeard(Vec<(AgentId, Duration)>),
    /// Remember where an agent was reached.
    Remember {
        /// Who.
        agent: AgentId,
        /// Where, best first.
        addresses: Vec<SocketAddr>,
    },
    /// Something that people may want to know.
    Note(Note),
}

/// Something that people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A peer is linked that shares this list.
    Shared {
        /// Who.
        peer: AgentId,
        /// Which list.
        list: ListId,
    },
    /// The link to a peer is gone.
    Gone {
        /// Who.
        peer: AgentId,
    },
    /// A peer broke the protocol, and its link was ended.
    Breach {
        /// Who.
        peer: AgentId,
        /// What it did.
        what: String,
    },
    /// A peer shares no list with this node.
    Stranger {
        /// Who.
        peer: AgentId,
    },
    /// A peer that shares a list follows newer rules: what it writes waits until this program is a newer
    /// one too.
    Newer {
        /// Who.
        peer: AgentId,
        /// Its rules.
        rules: u16,
    },
    /// This agent is a member now.
    Joined {
        /// Of which list.
        list: ListId,
        /// By which ticket ([`crate::wire::Ticket::mark`]).
        ticket: u64,
        /// In which role.
        role: Role,
    },
    /// The ticket was refused.
    NotJoined {
        /// Of which list.
        list: ListId,
        /// Which ([`crate::wire::Ticket::mark`]).
        ticket: u64,
        /// Why.
        why: JoinRefusal,
    },
    /// A call failed in a way that will not pass by itself.
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What is the matter.
        why: policy::Failure,
    },
}

/// A neighbour, as people are shown it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub agent: AgentId,
    /// On which link.
    pub link: LinkId,
    /// Which program it runs.
    pub program: String,
    /// The newest rules for commits that it knows.
    pub rules: u16,
    /// Which lists are shared, and whether both were equally far when last compared.
    pub lists: Vec<(ListId, bool)>,
}
