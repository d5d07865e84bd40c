//! What the frames of a mesh say: the messages of `iroh_gossip::proto::topic` in types of our own, for
//! its inner ones can be neither named nor looked into. What may be said by whom is judged elsewhere.
//!
//! A frame is [`VERSION`] and one [`Message`] in postcard. The order of variants and fields is the
//! proto's; tests hold each against what the proto itself writes.

use iroh_gossip::proto::{DeliveryScope, topic};
use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;

use super::Breach;
use super::config::{
    FRAME_BYTES_MAX, HOPS_MAX, OFFERS_PER_FRAME_MAX, PAYLOAD_BYTES_MAX, SHUFFLE_MAX, WALK_MAX,
};

/// The first byte of every frame.
pub(super) const VERSION: u8 = 1;

/// How many random bytes stand before a payload, so that equal payloads are different broadcasts.
pub(super) const NONCE_BYTES: usize = 8;

/// The BLAKE3-256 hash of a broadcast, nonce and payload, by which it is offered and asked for.
pub type BroadcastId = [u8; 32];

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message<'a> {
    #[serde(borrow)]
    Swarm(Swarm<'a>),
    #[serde(borrow)]
    Gossip(Gossip<'a>),
}

/// HyParView: who is whose neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Swarm<'a> {
    Join(#[serde(borrow)] PeerData<'a>),
    ForwardJoin {
        #[serde(borrow)]
        peer: PeerInfo<'a>,
        ttl: u16,
    },
    Shuffle {
        origin: AgentId,
        #[serde(borrow)]
        nodes: Vec<PeerInfo<'a>>,
        ttl: u16,
    },
    ShuffleReply {
        #[serde(borrow)]
        nodes: Vec<PeerInfo<'a>>,
    },
    Neighbor {
        priority: Priority,
        #[serde(borrow)]
        data: PeerData<'a>,
    },
    /// The last field is a relic of the proto.
    Disconnect {
        alive: bool,
        respond: bool,
    },
}

/// What the proto lets agents tell of themselves. We send none, and it would be kept without a bound:
/// addresses travel in agent cards.
pub(super) type PeerData<'a> = Option<&'a [u8]>;

/// An agent that somebody tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PeerInfo<'a> {
    pub(super) id: AgentId,
    #[serde(borrow)]
    pub(super) data: PeerData<'a>,
}

/// Whether an agent with enough neighbours must drop one for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Priority {
    High,
    Low,
}

/// Plumtree: broadcasts, and who passes them to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Gossip<'a> {
    /// `Gossip` in the proto; the content is nonce and payload.
    Broadcast {
        id: BroadcastId,
        content: &'a [u8],
        scope: Scope,
    },
    Prune,
    Graft {
        id: Option<BroadcastId>,
        round: u16,
    },
    IHave(Vec<Offer>),
}

/// How far a broadcast goes, and how many hops it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Scope {
    Swarm(u16),
    Neighbors,
}

/// What the sender says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) id: BroadcastId,
    pub(super) round: u16,
}

/// Returns what a frame says.
///
/// # Errors
/// Where the sender broke the protocol, whoever it is. A relay passes none of these on, so the one who
/// sent it is to blame.
pub(super) fn read(frame: &[u8]) -> Result<Message<'_>, Breach> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(Breach::TooLong { bytes: frame.len() });
    }
    let (&version, body) = frame.split_first().ok_or(Breach::Malformed)?;
    if version != VERSION {
        return Err(Breach::OtherVersion { found: version });
    }
    let (message, rest) = postcard::take_from_bytes(body).map_err(|_not_one| Breach::Malformed)?;
    if !rest.is_empty() {
        return Err(Breach::Leftover { bytes: rest.len() });
    }
    check_form(&message)?;
    Ok(message)
}

/// Returns the payload that a frame carries, if it is a broadcast: so that it can be verified on another
/// thread before the frame is given to the mesh.
pub fn payload_of(frame: &[u8]) -> Option<&[u8]> {
    Some(broadcast_of(frame)?.1)
}

/// Returns the hash that a frame says its broadcast has, which nobody has looked at, and the payload.
pub fn broadcast_of(frame: &[u8]) -> Option<(BroadcastId, &[u8])> {
    match read(frame) {
        Ok(Message::Gossip(Gossip::Broadcast { id, content, .. })) => {
            Some((id, content.get(NONCE_BYTES..)?))
        }
        _ => None,
    }
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Who is whose neighbour, and who passes broadcasts to whom.
    Membership,
    /// The sender is no neighbour any more.
    Farewell,
    /// A walk that tells members of others; the next one does as well.
    Walk,
    /// A broadcast.
    Broadcast,
    /// What the sender has.
    Offer,
    /// Asks for a broadcast, which another neighbour may be asked for as well.
    Request,
}

/// Tells whether a broadcast comes from its author: nobody passed it on.
pub fn is_from_its_author(frame: &[u8]) -> bool {
    matches!(read(frame), Ok(Message::Gossip(Gossip::Broadcast { scope: Scope::Swarm(0), .. })))
}

/// Returns what a frame is for, as far as its first bytes tell; the rest is not looked at.
pub fn purpose_of(frame: &[u8]) -> Option<Purpose> {
    match frame {
        // The places of the variants of `Message`, `Swarm` and `Gossip`.
        [VERSION, 0, 2 | 3, ..] => Some(Purpose::Walk),
        [VERSION, 0, 5, ..] => Some(Purpose::Farewell),
        [VERSION, 0, ..] | [VERSION, 1, 1, ..] => Some(Purpose::Membership),
        [VERSION, 1, 0, ..] => Some(Purpose::Broadcast),
        [VERSION, 1, 2, ..] => Some(Purpose::Request),
        [VERSION, 1, 3, ..] => Some(Purpose::Offer),
        _ => None,
    }
}

/// Returns the frame of a message; `None` for one that cannot be encoded, and there is none.
pub(super) fn write(message: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_extend(message, vec![VERSION]).ok()
}

/// Returns what the proto reads in a frame; `None` where it is none.
pub(super) fn to_proto(frame: &[u8]) -> Option<topic::Message<AgentId>> {
    postcard::from_bytes(frame.get(1..)?).ok()
}

/// Returns how many hops a broadcast took, as the proto tells it.
pub(super) fn hops_of(scope: &DeliveryScope) -> u16 {
    // Its number cannot be read otherwise.
    let scope = postcard::to_stdvec(scope).and_then(|bytes| postcard::from_bytes(&bytes));
    if let Ok(Scope::Swarm(hops)) = scope { hops } else { 0 }
}

fn check_form(message: &Message<'_>) -> Result<(), Breach> {
    match message {
        Message::Swarm(Swarm::Join(data) | Swarm::Neighbor { data, .. }) => check_data(data),
        Message::Swarm(Swarm::ForwardJoin { peer, ttl }) => {
            check_walk(*ttl)?;
            check_data(&peer.data)
        }
        Message::Swarm(Swarm::Shuffle { nodes, ttl, .. }) => {
            check_walk(*ttl)?;
            check_nodes(nodes)
        }
        Message::Swarm(Swarm::ShuffleReply { nodes }) => check_nodes(nodes),
        Message::Gossip(Gossip::Broadcast { content, scope, .. }) => match content.len() {
            // The proto delivers these as often as they come, and we send none.
            _ if *scope == Scope::Neighbors => Err(Breach::NeighboursOnly),
            0..NONCE_BYTES => Err(Breach::NoNonce),
            bytes if bytes - NONCE_BYTES > PAYLOAD_BYTES_MAX => Err(Breach::TooLong { bytes }),
            _ => Ok(()),
        },
        Message::Gossip(Gossip::IHave(offers)) if offers.len() > OFFERS_PER_FRAME_MAX => {
            Err(Breach::TooMany { count: offers.len(), count_max: OFFERS_PER_FRAME_MAX })
        }
        Message::Swarm(Swarm::Disconnect { .. }) | Message::Gossip(_) => Ok(()),
    }
}

fn check_data(data: &PeerData<'_>) -> Result<(), Breach> {
    data.map_or(Ok(()), |_some| Err(Breach::PeerData))
}

fn check_walk(ttl: u16) -> Result<(), Breach> {
    if ttl > WALK_MAX { Err(Breach::LongWalk { hops: ttl }) } else { Ok(()) }
}

fn check_nodes(nodes: &[PeerInfo<'_>]) -> Result<(), Breach> {
    if nodes.len() > SHUFFLE_MAX {
        return Err(Breach::TooMany { count: nodes.len(), count_max: SHUFFLE_MAX });
    }
    nodes.iter().try_for_each(|node| check_data(&node.data))
}

impl Scope {
    /// Returns how many hops there were; `None` for more than there may be.
    pub(super) fn hops(self) -> Option<u16> {
        match self {
            Self::Swarm(hops) if hops <= HOPS_MAX => Some(hops),
            Self::Swarm(_) | Self::Neighbors => None,
        }
    }
}

#[cfg(test)]
mod tests;
