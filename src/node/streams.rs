//! The streams of one link: lanes that carry frames both ways, and sync streams with a request each.
//! What a frame says is not looked at.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::wire::Lane;

/// Reads frames.
pub type FrameReader = FramedRead<RecvStream, LengthDelimitedCodec>;

/// Writes frames.
pub type FrameWriter = FramedWrite<SendStream, LengthDelimitedCodec>;

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
pub async fn write_lane(
    connection: Connection,
    lane: Lane,
    mut frames: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut stream = connection.open_uni().await.map_err(io::Error::other)?;
    stream.write_all(&[lane as u8]).await.map_err(io::Error::other)?;
    let mut writer = FramedWrite::new(stream, codec(lane));
    while let Some(frame) = frames.recv().await {
        writer.feed(frame).await?;
        while let Ok(frame) = frames.try_recv() {
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

/// Returns the next frame; `None` where the stream has ended.
pub async fn next(reader: &mut FrameReader) -> io::Result<Option<BytesMut>> {
    reader.next().await.transpose()
}
