//! Frames that wait for a lane: so many, and of so many bytes. What is done where there is no room is
//! not decided here.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many frames wait for a lane of one link at most.
pub const FRAMES_MAX: usize = 2_048;

/// How many bytes of frames wait for a lane of one link at most.
pub const BYTES_MAX: usize = 8 << 20;

/// A frame that waits; its room is free again when it is dropped.
#[derive(Debug)]
pub struct Waiting {
    pub frame: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The end of a lane where frames are put.
#[derive(Debug)]
pub struct Queue {
    frames: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// A frame was not put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPut {
    /// The other side takes them too slowly.
    Full,
    /// Nobody takes any more.
    Closed,
}

impl Queue {
    /// Returns a queue, and where its frames come out.
    pub fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (frames, out) = mpsc::channel(FRAMES_MAX);
        (Self { frames, room: Arc::new(Semaphore::new(BYTES_MAX)) }, out)
    }

    /// Puts a frame.
    pub fn put(&self, frame: Bytes) -> Result<(), NotPut> {
        let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_none| NotPut::Full)?;
        self.frames.try_send(Waiting { frame, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotPut::Full,
            mpsc::error::TrySendError::Closed(_) => NotPut::Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(queue: &Queue, bytes: usize) -> usize {
        (0..).take_while(|_| queue.put(vec![0; bytes].into()).is_ok()).count()
    }

    #[test]
    fn frames_are_bounded_in_number_and_in_bytes_and_what_is_taken_makes_room() {
        let (small, mut out) = Queue::new();
        assert_eq!(fill(&small, 1), FRAMES_MAX);
        drop(out.try_recv().unwrap());
        assert_eq!(fill(&small, 1), 1);
        let (large, mut out) = Queue::new();
        assert_eq!(fill(&large, 1 << 20), 8);
        drop(out.try_recv().unwrap());
        assert_eq!(fill(&large, 1 << 20), 1);
        drop(out);
        assert_eq!(large.put(Bytes::new()), Err(NotPut::Closed));
    }
}
