//! What waits to be sent as it runs: between those who say something and the tasks that write streams. It carries;
//! the pump decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use x0x_tracker::id::AgentId;

use super::inlet;
use crate::link::policy::LinkId;
use crate::mesh::{self, Purpose};
use crate::pump::{Class, Policy, PumpView, Put, SendPump, Slow};
use crate::time::{self, Moment};
use crate::wire::Lane;

/// What waits to be sent on all links. Clones are the same.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Shared>);

struct Shared {
    pump: Mutex<SendPump>,
    origin: Moment,
}

/// The end of a lane where frames are put; the lane ends when it is dropped and all is written.
pub(crate) struct Queue(Way);

/// The end of a lane where its frames come out.
pub(crate) struct Source(Way);

/// One lane of a link.
#[derive(Clone)]
struct Way {
    outlet: Outlet,
    link: LinkId,
    lane: Lane,
    state: Arc<WayState>,
}

#[derive(Default)]
struct WayState {
    ready: Notify,
    /// Nobody puts frames any more, or takes them.
    is_over: AtomicBool,
    is_gone: AtomicBool,
}

/// A frame was not put, or others were dropped for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPut {
    /// There is no room, and nothing may be dropped.
    Full,
    /// Gossip was dropped.
    Dropped,
    /// Nobody takes any more.
    Closed,
}

impl Outlet {
    pub(super) fn new(policy: Policy) -> Self {
        let pump = Mutex::new(SendPump::new(Duration::ZERO, policy));
        Self(Arc::new(Shared { pump, origin: time::origin() }))
    }

    /// A link stands.
    pub(super) fn open(&self, link: LinkId, peer: AgentId) {
        self.lock().open(self.now(), link, peer);
    }

    /// A link has ended.
    pub(super) fn close(&self, link: LinkId) {
        self.lock().close(self.now(), link);
    }

    /// Returns the two ends of a lane of a link.
    pub(super) fn lane(&self, link: LinkId, lane: Lane) -> (Queue, Source) {
        let way = Way { outlet: self.clone(), link, lane, state: Arc::default() };
        (Queue(way.clone()), Source(way))
    }

    /// Lets go of what is passed on to a peer that is no neighbour any more.
    pub(super) fn drop_forwarded(&self, link: LinkId) {
        self.lock().drop_forwarded(self.now(), link);
    }

    /// Notes that a frame of a sync stream was written, and how long that took.
    pub(super) fn written(&self, peer: AgentId, bytes: usize, waited: Duration) {
        self.lock().written(self.now(), peer, bytes, waited);
    }

    /// Adds what is shown of what goes out.
    pub(super) fn show(&self, view: &mut PumpView) {
        (view.send_pump, view.send_per_peer) = self.lock().view(self.now());
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, SendPump> {
        // Whoever panicked while holding it leaves it whole.
        self.0.pump.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Puts a frame; also says what to do about a peer that takes too little.
    pub(super) fn put(&self, frame: Bytes) -> (Result<(), NotPut>, Option<Slow>) {
        let Way { outlet, link, lane, state } = &self.0;
        if state.is_gone.load(Ordering::Acquire) {
            return (Err(NotPut::Closed), None);
        }
        let (class, mut reports) = (class_of(*lane, &frame), Vec::new());
        let now = outlet.now();
        let (put, slow) = outlet.lock().put(now, (*link, *lane), class, frame, &mut reports);
        reports.iter().for_each(|report| inlet::log("send_pump", report));
        state.ready.notify_one();
        let put = match put {
            Put::In | Put::Shed => Ok(()),
            Put::Dropped => Err(NotPut::Dropped),
            Put::Full => Err(NotPut::Full),
            Put::Gone => Err(NotPut::Closed),
        };
        (put, slow)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state.is_over.store(true, Ordering::Release);
        self.0.state.ready.notify_one();
    }
}

impl Source {
    /// Returns the next frame that waits.
    pub(super) fn try_next(&mut self) -> Option<Bytes> {
        let Way { outlet, link, lane, .. } = &self.0;
        outlet.lock().take(outlet.now(), *link, *lane)
    }

    /// Returns the next frame, once there is one; `None` where there comes none any more.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Whatever was put before it was over is there.
            let is_over = self.0.state.is_over.load(Ordering::Acquire);
            let next = self.try_next();
            if next.is_some() || is_over {
                return next;
            }
            self.0.state.ready.notified().await;
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.state.is_gone.store(true, Ordering::Release);
    }
}

/// Returns in which order a frame is sent.
fn class_of(lane: Lane, frame: &[u8]) -> Class {
    if lane != Lane::Pubsub {
        return Class::Own;
    }
    let gossip = frame.get(32..).unwrap_or_default();
    match mesh::purpose_of(gossip) {
        Some(Purpose::Broadcast) if mesh::is_from_its_author(gossip) => Class::Own,
        Some(Purpose::Broadcast) => Class::Forwarded,
        Some(Purpose::Walk) => Class::Spare,
        Some(Purpose::Farewell) => Class::Farewell,
        Some(Purpose::Membership | Purpose::Offer | Purpose::Request) | None => Class::Upkeep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_comes_out_before_a_lane_ends() {
        let outlet = Outlet::new(Policy::FAIR);
        outlet.open(LinkId(1), AgentId([1; 32]));
        let (queue, mut source) = outlet.lane(LinkId(1), Lane::Direct);
        assert_eq!(queue.put(Bytes::from_static(b"a")).0, Ok(()));
        assert_eq!(queue.put(Bytes::from_static(b"b")).0, Ok(()));
        drop(queue);
        let all = [source.next().await, source.next().await, source.next().await];
        assert_eq!(all, [Some(Bytes::from_static(b"a")), Some(Bytes::from_static(b"b")), None]);
        let (queue, source) = outlet.lane(LinkId(1), Lane::Control);
        drop(source);
        assert_eq!(queue.put(Bytes::new()).0, Err(NotPut::Closed));
        let (queue, _source) = outlet.lane(LinkId(1), Lane::Control);
        outlet.close(LinkId(1));
        assert_eq!(queue.put(Bytes::new()).0, Err(NotPut::Closed));
    }
}
