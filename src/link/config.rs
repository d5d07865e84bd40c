//! What an endpoint may be told: how soon a silent node counts as gone, and what it answers for links of
//! an earlier run.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;

use crate::entropy;

/// How long nothing may be heard before the other side counts as gone. Three keep-alives that are
/// lost in a row, and room for one that is late.
pub const SILENCE_MAX: Duration = Duration::from_secs(7);

/// How long a side is quiet at most: an empty packet leaves then.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How many streams of each kind the other side may have open: the lanes, and requests for commits.
pub const STREAMS_MAX: u32 = 32;

/// How much may be on its way in one stream before this side reads it, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// How much may be on its way in all streams of a link, in bytes.
pub const LINK_WINDOW_BYTES: u32 = 12 << 20;

/// How an endpoint is set up.
#[derive(Clone, Copy)]
pub struct Config {
    /// How long nothing may be heard before a node counts as gone, and how long a call may take.
    pub silence_max: Duration,
    /// How long a side is quiet at most; at most a third of `silence_max`.
    pub keep_alive: Duration,
    /// The secret of stateless resets (RFC 9000, section 10.3): with the same one after a restart, an
    /// endpoint tells callers at once that their links are gone, instead of leaving them to silence.
    /// Keep it in the data directory, readable to its owner alone: who knows it can end any link.
    pub reset_key: [u8; 32],
}

impl Default for Config {
    /// Returns the times that nodes use, and a reset key that nothing will remember.
    fn default() -> Self {
        let mut reset_key = [0; 32];
        entropy::fill(&mut reset_key);
        Self { silence_max: SILENCE_MAX, keep_alive: KEEP_ALIVE, reset_key }
    }
}

impl Config {
    /// Returns what QUIC is told about an endpoint.
    pub(super) fn endpoint(&self) -> EndpointConfig {
        let derive = |purpose| blake3::derive_key(purpose, &self.reset_key);
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &derive("x0x/link-token/v1"));
        let mut endpoint = EndpointConfig::new(Arc::new(reset));
        // Ids of an earlier run must be known for its own, or nothing is answered.
        let [a, b, c, d, e, f, g, h, ..] = derive("x0x/link-id/v1");
        let ids = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
        endpoint
    }

    /// Returns what QUIC is told about each link.
    pub(super) fn transport(&self) -> TransportConfig {
        let mut transport = TransportConfig::default();
        // Later than `Link::ended` notices: QUIC itself tells the other side nothing when it gives up.
        let backstop = self.silence_max + 2 * self.keep_alive;
        let backstop_ms = u32::try_from(backstop.as_millis()).unwrap_or(u32::MAX);
        transport
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(backstop_ms))))
            .keep_alive_interval(Some(self.keep_alive))
            .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
            .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
            .receive_window(VarInt::from_u32(LINK_WINDOW_BYTES))
            .datagram_receive_buffer_size(None);
        transport
    }
}
