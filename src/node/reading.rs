//! What comes over a link: frames of its lanes, and requests of its sync streams. Each waits for room, so that a peer
//! is held back before too much of it waits here. What a frame says is not looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::mail::Told as ToMail;
use super::{Tasks, Told, streams};
use crate::hub;
use crate::link::policy::{End, LinkId};
use crate::link::{Farewell, Link};
use crate::wire::{Lane, SYNC_BYTES_MAX};

/// How many bytes of frames that came over one link wait for the hub at most; the sender is held back
/// beyond that. A frame counts with what stands around it in the queue.
const RECEIVED_BYTES_MAX: usize = 4 << 20;

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
pub(super) async fn read_lanes(
    id: LinkId,
    link: Link,
    hub: mpsc::UnboundedSender<Told>,
    mail: mpsc::UnboundedSender<ToMail>,
) {
    let room = Arc::new(Semaphore::new(RECEIVED_BYTES_MAX));
    // What waits for the hub keeps no message waiting.
    let direct_room = Arc::new(Semaphore::new(RECEIVED_BYTES_MAX));
    let mut lanes = Tasks::new();
    while let Ok(stream) = link.connection().accept_uni().await {
        while lanes.try_join_next().is_some() {}
        let (link, hub, mail) = (link.clone(), hub.clone(), mail.clone());
        let (room, direct_room) = (room.clone(), direct_room.clone());
        lanes.spawn(async move {
            let read = async {
                let (lane, reader) = streams::read_lane(stream).await?;
                match lane {
                    Lane::Direct => read_direct(&link, reader, &mail, direct_room).await,
                    lane => read_frames(id, lane, reader, &hub, room).await,
                }
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

async fn read_frames(
    link: LinkId,
    lane: Lane,
    mut reader: streams::FrameReader,
    hub: &mpsc::UnboundedSender<Told>,
    room: Arc<Semaphore>,
) -> std::io::Result<()> {
    while let Some(bytes) = streams::next(&mut reader).await? {
        let room = room.clone().acquire_many_owned(weight(bytes.len())).await;
        let Ok(room) = room else { break };
        let bytes = bytes.to_vec();
        if hub.send(Told::Frame { link, lane, bytes, room }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads the frames of the direct lane; one whose messages are not taken in waits, and drops nothing.
async fn read_direct(
    link: &Link,
    mut reader: streams::FrameReader,
    mail: &mpsc::UnboundedSender<ToMail>,
    room: Arc<Semaphore>,
) -> std::io::Result<()> {
    while let Some(bytes) = streams::next(&mut reader).await? {
        let room = room.clone().acquire_many_owned(weight(bytes.len())).await;
        let Ok(room) = room else { break };
        let frame = ToMail::Frame { link: link.clone(), bytes: bytes.to_vec(), _room: room };
        if mail.send(frame).is_err() {
            break;
        }
    }
    Ok(())
}

/// Returns how much room a frame of so many bytes takes until the hub has looked at it.
fn weight(bytes: usize) -> u32 {
    let all = bytes.saturating_add(size_of::<Told>()).min(RECEIVED_BYTES_MAX);
    u32::try_from(all).unwrap_or(u32::MAX)
}

/// Reads the requests of sync streams that the other side opens.
pub(super) async fn read_requests(id: LinkId, link: Link, hub: mpsc::UnboundedSender<Told>) {
    let room = Arc::new(Semaphore::new(REQUESTS_BYTES_MAX));
    let mut streams = Tasks::new();
    while let Ok((send, receive)) = link.connection().accept_bi().await {
        while streams.try_join_next().is_some() {}
        let (hub, room) = (hub.clone(), room.clone());
        streams.spawn(async move {
            let reading = streams::read_request(send, receive, room);
            if let Ok(Ok((bytes, reply))) = tokio::time::timeout(REQUEST_MAX, reading).await {
                let _stopped = hub.send(Told::Request { link: id, bytes, reply });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_without_bytes_take_room_too_and_the_longest_finds_some() {
        let empty = RECEIVED_BYTES_MAX / weight(0) as usize;
        assert!(empty * size_of::<Told>() <= RECEIVED_BYTES_MAX && empty < 50_000, "{empty}");
        assert_eq!(weight(usize::MAX) as usize, RECEIVED_BYTES_MAX);
    }
}
