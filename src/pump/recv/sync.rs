//! Frames of sync streams, which wait where they are read and only have their place here.

use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::{RecvPump, Report};
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
        let at = Lane::Sync as usize;
        let Some(of) = self.peers.get_mut(&peer) else { return true };
        if !is_again {
            of.gauges[at].produced(now);
            self.lanes[at].produced(now);
        }
        // The largest frame finds room where nothing else waits.
        let is_alone = of.sync.frames == 0;
        let room = self.policy.room;
        if !is_alone && (of.sync.frames >= room.frames || of.sync.bytes + bytes > room.bytes) {
            return false;
        }
        of.sync.frames += 1;
        of.sync.bytes += bytes;
        of.gauges[at].enqueued(bytes);
        self.lanes[at].enqueued(bytes);
        let fill = self.mark(now, peer, Lane::Sync);
        reports.extend(self.pressure.sample(now, peer, Lane::Sync, fill).into_iter().flatten());
        true
    }

    /// Notes that a frame of a sync stream was taken that waited so long.
    pub fn leave(&mut self, now: Duration, peer: AgentId, bytes: usize, dwell: Duration) {
        let at = Lane::Sync as usize;
        self.lanes[at].dequeued(now, dwell);
        self.lanes[at].left(1, bytes);
        let Some(of) = self.peers.get_mut(&peer) else { return };
        of.sync.frames = of.sync.frames.saturating_sub(1);
        of.sync.bytes = of.sync.bytes.saturating_sub(bytes);
        of.gauges[at].dequeued(now, dwell);
        of.gauges[at].left(1, bytes);
        self.mark(now, peer, Lane::Sync);
    }
}
