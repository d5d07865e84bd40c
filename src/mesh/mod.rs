//! The gossip of one task list: who is whose neighbour (HyParView), and how a broadcast reaches every
//! member once (Plumtree). A state machine without IO around `iroh_gossip::proto`; what the payloads
//! mean, who is a member, and how a peer is reached, others know.
//!
//! Gossip makes things fast, repair makes them right: a broadcast that does not come is not waited for.
//! [`Effect::Missed`] names a peer that has it.
//!
//! # What the driver does
//!
//! - It calls [`Mesh::handle`] with every frame of a list's pubsub lane, in the order in which they were
//!   sent, and with [`Input::Tick`] once [`Mesh::deadline`] has passed. Whatever the input, what is due
//!   happens first.
//! - It gives the frames of a link that ended before [`Input::LinkDown`], or not at all: a member that is
//!   heard of is taken for one that is there.
//! - [`Effect::Send`] may name a member without a link: a neighbour is wanted, or a walk ended far from
//!   where it began. The driver calls that agent. If there is no link after all it says
//!   [`Input::LinkDown`], and another is asked; the same when a link ends, and when an agent is no longer
//!   a member.
//! - It gives [`Input::Join`] with one to three linked members when the node starts. The proto never
//!   repeats a join, so the driver does, with other contacts, while [`Mesh::neighbours`] is empty: 5 s
//!   after the last one, and longer with each. Members that were cut off from each other and found other
//!   neighbours do not find back by themselves: it also joins through a member whose link comes up while
//!   it is no neighbour, and through a random one every few minutes.
//! - [`Effect::Detached`] and [`Effect::NeighbourDown`] leave the link as it is: other lists, messages
//!   and repair use it too.

mod admission;
mod bounds;
mod config;
mod state;
mod wire;

use bytes::Bytes;
use x0x_tracker::id::AgentId;

pub use config::{
    FRAME_BYTES_MAX, HOPS_MAX, MeshConfig, OFFERS_PER_FRAME_MAX, PAYLOAD_BYTES_MAX, SHUFFLE_MAX,
    WALK_MAX,
};
pub use state::Mesh;
pub use wire::{BroadcastId, Purpose, broadcast_of, is_from_its_author, payload_of, purpose_of};

/// What a mesh is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Join through these members, which have a link; with none, wait for others to join. The first
    /// opens the mesh: before it, frames are ignored. Only as many are asked as there may be neighbours.
    Join(Vec<AgentId>),
    /// There is no link to this agent, no longer or after a call that failed, or it is no member.
    LinkDown(AgentId),
    /// This neighbour takes broadcasts too slowly: only offer them to it, until it asks for one.
    Slow(AgentId),
    /// This agent still takes them too slowly: it is told that it is no neighbour, and does not become one before
    /// [`MeshConfig::rest`] has passed or its link was lost. What it lacks, it finds by comparing.
    TooSlow(AgentId),
    /// A frame from the pubsub lane of this list.
    Frame {
        /// Who is at the other end of the link.
        from: AgentId,
        /// The frame.
        bytes: &'a [u8],
    },
    /// Tell all members.
    Broadcast(Vec<u8>),
    /// [`Mesh::deadline`] has passed.
    Tick,
    /// Take leave of the neighbours and close the mesh.
    Leave,
}

/// What the driver is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a frame in the pubsub lane of this list; without a link, call first.
    Send {
        /// To whom; a member.
        to: AgentId,
        /// At most [`FRAME_BYTES_MAX`].
        frame: Vec<u8>,
    },
    /// A broadcast came that the gate let pass.
    Deliver {
        /// The neighbour it came from, not its author.
        from: AgentId,
        /// What was broadcast.
        payload: Bytes,
        /// How many passed it on before that neighbour sent it; 0 from its author.
        hops: u16,
    },
    /// There is a new neighbour: compare frontiers.
    NeighbourUp(AgentId),
    /// It is no neighbour any more.
    NeighbourDown(AgentId),
    /// Gossip does not need the link to this agent for now. It need not have been a neighbour.
    Detached(AgentId),
    /// This agent has, or says it has, what did not come: pull from it, if there is a link.
    Missed {
        /// From whom to pull.
        from: AgentId,
    },
    /// A peer broke the protocol. Nothing else came of its frame.
    Breach {
        /// Who sent the frame.
        from: AgentId,
        /// What is wrong with it.
        breach: Breach,
    },
}

/// What the mesh asks those who know what payloads and members are.
pub trait Gate {
    /// Judges a payload before it is relayed. Payloads that passed lately are not asked about again.
    fn judge(&mut self, from: AgentId, payload: &[u8]) -> Verdict;

    /// Tells whether an agent belongs to the list. Nobody else is listened to, sent to or remembered.
    fn is_member(&self, agent: AgentId) -> bool;
}

/// What becomes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and good: relay and deliver it.
    Relay,
    /// It is here already: do neither, and do not ask for it.
    Known,
    /// It is not wanted from this peer, which is not to blame: do neither. Another copy is judged anew.
    Refuse,
    /// The peer should not have passed it on: do neither, and report it.
    Breach,
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// A frame or payload is too long.
    #[error("{bytes} bytes, more than a frame or payload may have")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A frame is of another version.
    #[error("a frame of version {found}")]
    OtherVersion {
        /// Which.
        found: u8,
    },
    /// A frame is no message.
    #[error("a frame that is no message")]
    Malformed,
    /// Something follows the message.
    #[error("{bytes} bytes after the message")]
    Leftover {
        /// How much.
        bytes: usize,
    },
    /// A list is too long.
    #[error("a list of {count}, where {count_max} are the most")]
    TooMany {
        /// How long it is.
        count: usize,
        /// How long it may be.
        count_max: usize,
    },
    /// A walk begins with more hops than any does.
    #[error("a walk of {hops} hops")]
    LongWalk {
        /// How many.
        hops: u16,
    },
    /// An agent is told of with data, which none of ours has.
    #[error("an agent with data")]
    PeerData,
    /// A broadcast that is to go no further.
    #[error("a broadcast for neighbours only")]
    NeighboursOnly,
    /// A broadcast without a nonce.
    #[error("a broadcast that is too short for its nonce")]
    NoNonce,
    /// A broadcast under the hash of another.
    #[error("a broadcast under another's hash")]
    WrongId,
    /// The gate said so.
    #[error("a payload that must not be passed on")]
    Payload,
}

/// Why nothing was broadcast. The mesh is as it was, and neighbours have been sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// It is too large: announce it by the frontier, so that it is pulled.
    #[error("a broadcast of {bytes} bytes, where {bytes_max} are the most")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// There were so many of late that no more are kept for neighbours to ask for: announce it by the
    /// frontier, so that it is pulled.
    #[error("as many broadcasts as can be kept were made or relayed just now")]
    Full,
    /// The mesh was not joined, or left.
    #[error("the mesh of this list is not joined")]
    NotJoined,
}

/// How often something was left out, and why, since the mesh was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames of agents that are no members, or that came while the mesh was closed.
    pub strangers_total: u64,
    /// Frames that only a neighbour may send, from another member.
    pub outsiders_total: u64,
    /// Messages beyond what one peer may cause, and offers beyond what it may have open.
    pub throttled_total: u64,
    /// Broadcasts that there was no room for; they are pulled.
    pub full_total: u64,
    /// Broadcasts that were known to the gate.
    pub known_total: u64,
    /// Broadcasts that the gate refused.
    pub refused_total: u64,
}

/// How much a mesh holds. Each of these is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Timers that run: at most two for each open offer or kept broadcast, one for each agent asked, and
    /// four.
    pub timers: usize,
    /// Offers that are open; [`MeshConfig::offers_max`] for each neighbour.
    pub offers: usize,
    /// Broadcasts that are kept; [`MeshConfig::kept_max`].
    pub kept: usize,
    /// Their bytes; [`MeshConfig::kept_bytes_max`].
    pub kept_bytes: usize,
    /// Hashes that are remembered; eight times [`MeshConfig::kept_max`].
    pub remembered: usize,
    /// Agents that are kept account of; [`MeshConfig::peers_max`].
    pub peers: usize,
    /// Agents that were asked or answered within [`MeshConfig::ask_patience`]: at most what neighbours
    /// may say about others in that time.
    pub asked: usize,
    /// Neighbours that were too slow within [`MeshConfig::rest`]; only neighbours become so.
    pub resting: usize,
}

#[cfg(test)]
mod tests;
