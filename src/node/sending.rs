//! What is put into the lanes of links, and what is done where there is no room.

use std::time::Duration;

use bytes::Bytes;

use super::Told;
use super::carrier::Carrier;
use super::outlet::NotPut;
use crate::hub;
use crate::link::Farewell;
use crate::link::policy::LinkId;
use crate::pump::Slow;
use crate::wire::Lane;

/// When what a peer has not taken is offered to it again.
const PUT_AGAIN: Duration = Duration::from_millis(2);

impl Carrier {
    /// Puts a frame into a lane.
    pub(super) fn send(&mut self, link: LinkId, lane: Lane, frame: Vec<u8>) {
        let Some(open) = self.links.get(&link) else { return };
        let queue = if lane == Lane::Control { &open.control } else { &open.pubsub };
        if frame.len() > lane.frame_bytes_max() {
            let bytes = frame.len();
            return tracing::error!(?lane, bytes, "a frame is larger than its lane allows");
        }
        let frame = Bytes::from(frame);
        let (put, slow) = queue.put(frame.clone());
        if let Some(slow) = slow {
            let is_detached = slow == Slow::Detach;
            tracing::debug!(peer = %open.link.peer().short(), is_detached, "a peer takes gossip slowly");
            if is_detached {
                self.outlet.drop_forwarded(link);
                self.dropped.insert(link);
            }
            let _stopped = self.hub.send(Told::Input(hub::Input::Slow { link, is_detached }));
        }
        match put {
            Ok(()) => {}
            // A lane ends with its link; where it did not, nothing is left of use.
            Err(NotPut::Closed) => open.link.end(Farewell::Full),
            Err(NotPut::Full) if lane == Lane::Control => {
                tracing::warn!(peer = %open.link.peer().short(), "a peer takes nothing: link ended");
                open.link.end(Farewell::Full);
            }
            Err(NotPut::Full) if self.inlet.waits() => self.waiting.push_back((link, frame)),
            Err(NotPut::Full | NotPut::Dropped) => {
                tracing::debug!(peer = %open.link.peer().short(), "gossip to a slow peer dropped");
                self.dropped.insert(link);
            }
        }
    }

    /// Waits until peers have taken what they were sent, where nothing else is done before.
    pub(super) async fn until_taken(&mut self) {
        while let Some((link, frame)) = self.waiting.pop_front() {
            let Some(open) = self.links.get(&link) else { continue };
            while open.pubsub.put(frame.clone()).0 == Err(NotPut::Full) {
                tokio::time::sleep(PUT_AGAIN).await;
            }
        }
    }
}
