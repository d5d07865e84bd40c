//! What the mesh is set to. All members of a list use the same numbers; another value is for tests.

use std::time::Duration;

use iroh_gossip::proto::{Config, HyparviewConfig, PlumtreeConfig};

/// How much one broadcast may hold, in bytes. What is larger is announced by the frontier and pulled.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// How long a frame may be, in bytes: a payload and what stands around it (50 bytes).
pub const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64;

/// How many hops a broadcast may have taken. No path is that long: the proto adds one to what it is told
/// and would panic at the end of 16 bits.
pub const HOPS_MAX: u16 = 1_023;

/// How many agents a shuffle may name. Ours name 8 at most: themselves, 3 neighbours, 4 others.
pub const SHUFFLE_MAX: usize = 16;

/// How many broadcasts one frame may offer. The proto is set to make none with more.
pub const OFFERS_PER_FRAME_MAX: usize = 128;

/// How many hops are left to a walk when it starts (HyParView's paper, page 9); they only get fewer.
pub const WALK_MAX: u16 = 6;

/// How much one offer takes when it is encoded, at most: the hash, and a round of three bytes.
const OFFER_BYTES_MAX: usize = 32 + 3;

/// What the proto takes off its message size before it divides the rest among offers: a topic that we
/// do not send (32), the kind of message (1), and the list's length (3).
const OFFERS_OVERHEAD_BYTES: usize = 32 + 1 + 3;

/// What the mesh of one list is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// How many neighbours a mesh wants. 5: HyParView's paper, page 9, for 10,000 nodes.
    pub active_view: usize,
    /// How many other members it remembers, to ask them when a neighbour is lost. 30: same page.
    pub passive_view: usize,
    /// How long an agent that was asked to be a neighbour has to answer. Below
    /// [`MeshConfig::ask_patience`]. 2 s, four times the proto's: we dial first, and a handshake with
    /// ML-DSA keys takes up to three round trips.
    pub neighbour_timeout: Duration,
    /// How long after asking or answering an agent the proto's note of it is cleared; it keeps some for
    /// ever. 5 s: longer than any answer is worth waiting for.
    pub ask_patience: Duration,
    /// How often members are exchanged with a neighbour. 60 s: the proto's, a guess there.
    pub shuffle_interval: Duration,
    /// How long a broadcast that was offered may take to come by itself before it is asked for. 400 ms,
    /// five times the proto's: with senders that take turns, asking early turns the tree into a flood
    /// (1,000 nodes: redundancy 0.09 instead of 0.53, for 9 % more latency).
    pub graft_timeout: Duration,
    /// How long the one that was asked has before the next is. 200 ms: half of the former, as there.
    pub next_graft_timeout: Duration,
    /// How long an offer is waited for in all. 5 s: all neighbours were asked by then.
    pub offer_patience: Duration,
    /// How many broadcasts that have not come a neighbour may have offered.
    pub offers_max: usize,
    /// How long a broadcast is kept for neighbours that ask for it. 10 s, twice
    /// [`MeshConfig::offer_patience`]; the proto's 30 s hold three times as much. Repair does the rest.
    pub kept_for: Duration,
    /// How long the hash of a broadcast is remembered. 30 s; above [`MeshConfig::kept_for`], so that
    /// none is taken for new while others still have it.
    pub remembered_for: Duration,
    /// How long an agent that took broadcasts too slowly is no neighbour. 30 s: the longest between two comparisons,
    /// so that what it lacks was fetched once without gossip in the way.
    pub rest: Duration,
    /// How many broadcasts are kept at most. When full, new ones are pulled instead.
    pub kept_max: usize,
    /// How many bytes of broadcasts are kept at most. When full, new ones are pulled instead.
    pub kept_bytes_max: usize,
    /// How many agents are kept account of. When full, others wait until one has been quiet.
    pub peers_max: usize,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            active_view: 5,
            passive_view: 30,
            neighbour_timeout: Duration::from_secs(2),
            ask_patience: Duration::from_secs(5),
            shuffle_interval: Duration::from_secs(60),
            graft_timeout: Duration::from_millis(400),
            next_graft_timeout: Duration::from_millis(200),
            offer_patience: Duration::from_secs(5),
            offers_max: 1_024,
            kept_for: Duration::from_secs(10),
            remembered_for: Duration::from_secs(30),
            rest: Duration::from_secs(30),
            kept_max: 8_192,
            kept_bytes_max: 16 << 20,
            peers_max: 1_024,
        }
    }
}

impl MeshConfig {
    /// How often the mesh, and the proto, look for what is too old.
    pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

    /// Returns what the proto is set to.
    ///
    /// Its limit on messages is none: it bounds how many offers go into one frame, and nothing else, so
    /// it is computed from that number.
    pub fn proto(&self) -> Config {
        let membership = HyparviewConfig {
            active_view_capacity: self.active_view,
            passive_view_capacity: self.passive_view,
            shuffle_interval: self.shuffle_interval,
            neighbor_request_timeout: self.neighbour_timeout,
            ..HyparviewConfig::default()
        };
        let broadcast = PlumtreeConfig {
            graft_timeout_1: self.graft_timeout,
            graft_timeout_2: self.next_graft_timeout,
            message_cache_retention: self.kept_for,
            message_id_retention: self.remembered_for,
            cache_evict_interval: Self::SWEEP_INTERVAL,
            ..PlumtreeConfig::default()
        };
        let max_message_size = OFFERS_OVERHEAD_BYTES + OFFERS_PER_FRAME_MAX * OFFER_BYTES_MAX;
        Config { membership, broadcast, max_message_size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proto_is_set_to_our_numbers_and_to_those_of_the_papers() {
        let config = MeshConfig::default().proto();
        let views =
            (config.membership.active_view_capacity, config.membership.passive_view_capacity);
        assert_eq!(views, (5, 30));
        assert_eq!(config.broadcast.graft_timeout_1, Duration::from_millis(400));
        assert_eq!(config.broadcast.graft_timeout_2, Duration::from_millis(200));
        assert_eq!(config.membership.active_random_walk_length.0, WALK_MAX);
        assert_eq!(config.membership.shuffle_random_walk_length.0, WALK_MAX);
        let named = config.membership.shuffle_active_view_count
            + config.membership.shuffle_passive_view_count
            + 1;
        assert_eq!(named, 8);
    }

    #[test]
    fn patience_outlasts_what_it_waits_for() {
        let config = MeshConfig::default();
        let neighbours = u32::try_from(config.active_view).unwrap();
        let all_asked = config.graft_timeout + config.next_graft_timeout * neighbours;
        assert!(config.ask_patience > config.neighbour_timeout);
        assert!(config.offer_patience > all_asked);
        assert!(config.kept_for > config.offer_patience);
        assert!(config.remembered_for > config.kept_for + MeshConfig::SWEEP_INTERVAL);
    }
}
