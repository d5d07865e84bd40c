//! What comes over a link: frames of its lanes, for the receive pump, and requests of its sync streams. Each waits for
//! room where there must be some, so that a peer is held back. What a frame says is not looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::inlet::Inlet;
use super::outlet::Outlet;
use super::{Tasks, Told, streams};
use crate::hub;
use crate::link::policy::{End, LinkId};
use crate::link::{Farewell, Link};
use crate::wire::SYNC_BYTES_MAX;

/// How many bytes of requests that came over one link are read or answered at once: the longest one
/// alone, or many that are short.
const REQUESTS_BYTES_MAX: usize = SYNC_BYTES_MAX;

/// How long the request of a stream may take.
const REQUEST_MAX: Duration = Duration::from_secs(20);

/// Tells the hub when a link has ended.
pub(super) async fn watch(id: LinkId, link: Link, hub: mpsc::UnboundedSender<Told>) {
    let error = link.ended().await;
    tracing::debug!(peer = %link.peer().short(), %error, "a link ended");
    let _stopped = hub.send(Told::Input(hub::Input::Down { link: id, why: End::from(&error) }));
}

/// Reads the lanes that the other side opens.
pub(super) async fn read_lanes(id: LinkId, link: Link, inlet: Inlet) {
    let mut lanes = Tasks::new();
    while let Ok(stream) = link.connection().accept_uni().await {
        while lanes.try_join_next().is_some() {}
        let (link, inlet) = (link.clone(), inlet.clone());
        lanes.spawn(async move {
            let read = async {
                let (lane, mut reader) = streams::read_lane(stream).await?;
                while let Some(bytes) = streams::next(&mut reader).await? {
                    inlet.put(id, link.peer(), lane, bytes.freeze()).await;
                }
                Ok::<_, std::io::Error>(())
            };
            if let Err(error) = read.await
                && error.kind() == std::io::ErrorKind::InvalidData
            {
                tracing::warn!(peer = %link.peer().short(), %error, "a peer broke the protocol");
                link.end(Farewell::Breach);
            }
        });
    }
}

/// Reads the requests of sync streams that the other side opens.
pub(super) async fn read_requests(
    id: LinkId,
    link: Link,
    hub: mpsc::UnboundedSender<Told>,
    (inlet, outlet): (Inlet, Outlet),
) {
    let room = Arc::new(Semaphore::new(REQUESTS_BYTES_MAX));
    let mut streams = Tasks::new();
    while let Ok((send, receive)) = link.connection().accept_bi().await {
        while streams.try_join_next().is_some() {}
        let (hub, room) = (hub.clone(), room.clone());
        let (inlet, outlet, peer) = (inlet.clone(), outlet.clone(), link.peer());
        streams.spawn(async move {
            let reading = streams::read_request(send, receive, room, (peer, outlet));
            if let Ok(Ok((bytes, reply))) = tokio::time::timeout(REQUEST_MAX, reading).await {
                let place = inlet.sync_place(peer, bytes.len()).await;
                let _stopped = hub.send(Told::Request { link: id, bytes, reply, place });
            }
        });
    }
}
