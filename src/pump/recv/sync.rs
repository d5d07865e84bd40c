//! Frames of sync streams, which wait where they are read and only have their place here.

use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::{Peer, RecvPump, Report};
use crate::wire::Lane;

impl RecvPump {
    /// Notes a frame of a sync stream that waits until [`RecvPump::leave`]; tells whether there was room. `is_again`
    /// where there was none before.
    pub fn enter(
        &mut self,
        now: Duration,
        peer: AgentId,
        bytes: usize,
        is_again: bool,
        reports: &mut Vec<Report>,
    ) -> bool {
        if !self.peers.contains_key(&peer) {
            return true;
        }
        if !is_again {
            self.count(peer, Lane::Sync, |gauge| gauge.produced(now));
        }
        let room = self.policy.room;
        let Some(Peer { sync, .. }) = self.peers.get_mut(&peer) else { return true };
        // The largest frame finds room where nothing else waits.
        let is_alone = sync.frames == 0;
        if !is_alone && (sync.frames >= room.frames || sync.bytes + bytes > room.bytes) {
            return false;
        }
        sync.frames += 1;
        sync.bytes += bytes;
        self.count(peer, Lane::Sync, |gauge| gauge.enqueued(bytes));
        let fill = self.mark(now, peer, Lane::Sync);
        reports.extend(self.pressure.sample(now, peer, Lane::Sync, fill).into_iter().flatten());
        true
    }

    /// Notes that a frame of a sync stream was taken that waited so long.
    pub fn leave(&mut self, now: Duration, peer: AgentId, bytes: usize, dwell: Duration) {
        if let Some(Peer { sync, .. }) = self.peers.get_mut(&peer) {
            sync.frames = sync.frames.saturating_sub(1);
            sync.bytes = sync.bytes.saturating_sub(bytes);
        }
        self.count(peer, Lane::Sync, |gauge| {
            gauge.dequeued(now, dwell);
            gauge.left(1, bytes);
        });
        self.mark(now, peer, Lane::Sync);
    }
}
