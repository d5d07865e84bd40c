//! The streams of one link: lanes that carry frames both ways, and sync streams with a request each.
//! What a frame says is not looked at.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use x0x_tracker::id::AgentId;

use super::outlet::{Outlet, Source};
use crate::time;
use crate::wire::Lane;

/// Reads frames.
pub type FrameReader = FramedRead<RecvStream, LengthDelimitedCodec>;

/// Writes frames.
pub type FrameWriter = FramedWrite<SendStream, LengthDelimitedCodec>;

/// The least room that a request takes, in bytes.
const REQUEST_BYTES_MIN: u32 = 1 << 10;

/// Where a request is answered. The room of the request is free again when it is dropped: what is made
/// of one to answer it is about as large.
pub struct Reply {
    frames: FrameWriter,
    peer: AgentId,
    outlet: Outlet,
    _room: OwnedSemaphorePermit,
}

impl Reply {
    /// Writes a frame.
    pub async fn write(&mut self, frame: Bytes) -> io::Result<()> {
        write(&mut self.frames, frame, (self.peer, &self.outlet)).await
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        // Whoever closed it needs not be told.
        let _closed = self.frames.get_mut().finish();
    }
}

/// Writes a frame of a sync stream, and counts it for the peer that takes it.
pub async fn write(
    frames: &mut FrameWriter,
    frame: Bytes,
    (peer, outlet): (AgentId, &Outlet),
) -> io::Result<()> {
    let (bytes, began) = (frame.len(), time::origin());
    frames.send(frame).await?;
    outlet.written(peer, bytes, began.elapsed());
    Ok(())
}

/// How frames are told apart: 4 bytes with their length, least significant first, then the frame.
pub fn codec(lane: Lane) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .little_endian()
        .length_field_length(4)
        .max_frame_length(lane.frame_bytes_max())
        .new_codec()
}

/// Writes what comes through a channel into a lane of its own, until either ends. What waits is written
/// together.
pub async fn write_lane(connection: Connection, lane: Lane, mut frames: Source) -> io::Result<()> {
    let mut stream = connection.open_uni().await.map_err(io::Error::other)?;
    let urgency = match lane {
        Lane::Control => 3,
        Lane::Direct => 2,
        Lane::Pubsub => 1,
        Lane::Sync => 0,
    };
    // A stream that is closed already is written to no more.
    let _closed = stream.set_priority(urgency);
    stream.write_all(&[lane as u8]).await.map_err(io::Error::other)?;
    let mut writer = FramedWrite::new(stream, codec(lane));
    while let Some(frame) = frames.next().await {
        writer.feed(frame).await?;
        while let Some(frame) = frames.try_next() {
            writer.feed(frame).await?;
        }
        SinkExt::<Bytes>::flush(&mut writer).await?;
    }
    // Whoever stops wants its last words heard.
    let _closed = writer.get_mut().finish();
    let _heard = writer.get_mut().stopped().await;
    Ok(())
}

/// Returns the lane of a stream that the other side opened, and its frames.
pub async fn read_lane(mut stream: RecvStream) -> io::Result<(Lane, FrameReader)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await.map_err(io::Error::other)?;
    let lane = Lane::of_byte(byte[0]).filter(|lane| *lane != Lane::Sync);
    let lane = lane.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no such lane"))?;
    Ok((lane, FramedRead::new(stream, codec(lane))))
}

/// Returns the request of a stream, once there is room for it, and where it is answered.
pub async fn read_request(
    send: SendStream,
    mut receive: RecvStream,
    room: Arc<Semaphore>,
    (peer, outlet): (AgentId, Outlet),
) -> io::Result<(Vec<u8>, Reply)> {
    let mut length = [0; 4];
    receive.read_exact(&mut length).await.map_err(io::Error::other)?;
    let bytes = u32::from_le_bytes(length);
    if bytes as usize > Lane::Sync.frame_bytes_max() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "request size too big"));
    }
    let room = room.acquire_many_owned(bytes.max(REQUEST_BYTES_MIN)).await;
    let room = room.map_err(io::Error::other)?;
    let mut request = vec![0; bytes as usize];
    receive.read_exact(&mut request).await.map_err(io::Error::other)?;
    let frames = FramedWrite::new(send, codec(Lane::Sync));
    Ok((request, Reply { frames, peer, outlet, _room: room }))
}

/// Returns the next frame; `None` where the stream has ended.
pub async fn next(reader: &mut FrameReader) -> io::Result<Option<BytesMut>> {
    reader.next().await.transpose()
}
