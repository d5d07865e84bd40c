//! The receive pump as it runs: between those who read streams, the threads that look at signatures, and those who
//! decide. It carries; the pump decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;
use x0x_tracker::id::AgentId;

use super::checks::Checks;
use super::crew::Crew;
use crate::hub::{self, Input};
use crate::link::Link;
use crate::link::policy::LinkId;
use crate::pump::{
    Arrived, BYTES_MAX, FRAMES_MAX, Level, Offered, Policy, PumpView, RecvPump, Report, Room,
    Taken, WorkersView,
};
use crate::time::{self, Moment};
use crate::wire::Lane;

/// How many frames of control are taken in a row while gossip waits.
const CONTROLS_IN_A_ROW: u32 = 32;

/// How many frames wait for each worker before there is one more.
const FRAMES_PER_WORKER: usize = 8;

/// How many frames a worker has looked at before whoever takes them is told, while there are more.
const CHECKED_PER_WAKE: u32 = 16;

/// How often a frame is asked for before other tasks are let run.
const YIELD_EVERY: u32 = 64;

/// When a frame that found no room is offered again at the latest.
const OFFER_AGAIN: Duration = Duration::from_millis(20);

/// Which policy the pumps of a node follow, and how many frames may wait in a queue, for measuring; without them what
/// is right.
const POLICY: &str = "X0X_PUMP_POLICY";
const FRAMES: &str = "X0X_PUMP_FRAMES";

/// The receive pump of a node. Clones are the same.
#[derive(Clone)]
pub(crate) struct Inlet(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    checks: Checks,
    origin: Moment,
    crew: Arc<Crew>,
    runtime: Handle,
    workers_max: usize,
    waits: bool,
    /// How often somebody asked for a frame.
    asked: AtomicU32,
    /// Something may be there for the hub, or for direct messages.
    hub: Notify,
    mail: Notify,
    /// Something was taken of a lane of which a frame is held.
    room: [Notify; 4],
}

struct State {
    pump: RecvPump,
    links: BTreeMap<LinkId, Link>,
    workers: usize,
    workers_most: usize,
    /// How many streams of each lane are not read on.
    held: [usize; 4],
    controls: u32,
}

/// The place of a frame of a sync stream; it is free again when it is dropped.
pub(crate) struct SyncPlace {
    inlet: Inlet,
    peer: AgentId,
    bytes: usize,
    at: Moment,
}

impl Inlet {
    pub(super) fn new(checks: Checks, policy: Policy) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let origin = time::origin();
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                pump: RecvPump::new(Duration::ZERO, policy),
                links: BTreeMap::new(),
                workers: 0,
                workers_most: 0,
                held: [0; 4],
                controls: 0,
            }),
            checks,
            origin,
            crew: Arc::default(),
            runtime: Handle::current(),
            workers_max: cores,
            waits: policy.waits,
            asked: AtomicU32::new(0),
            hub: Notify::new(),
            mail: Notify::new(),
            room: Default::default(),
        }))
    }

    /// A link stands.
    pub(super) fn open(&self, id: LinkId, link: Link) {
        let mut state = self.lock();
        state.pump.open(self.now(), link.peer());
        state.links.insert(id, link);
    }

    /// A link has ended.
    pub(super) fn close(&self, id: LinkId, peer: AgentId) {
        let mut state = self.lock();
        state.pump.close(self.now(), peer, id);
        state.links.remove(&id);
    }

    /// Lets go of all links: whoever still looks at a node that has stopped keeps no socket open.
    pub(super) fn shut(&self) {
        self.lock().links.clear();
        self.0.crew.dismiss();
    }

    /// Notes what the hub is told.
    pub(super) fn note(&self, input: &Input) {
        self.0.checks.note(input);
        if let Input::Pulled { from, .. } = input {
            self.lock().pump.repaired(*from);
        }
    }

    /// Puts a frame that came over a link; waits while there is no room, where it must not be left out.
    pub(super) async fn put(&self, link: LinkId, peer: AgentId, lane: Lane, bytes: Bytes) {
        let kind = hub::kind_of(lane, &bytes);
        let mut frame = Some(Arrived { link, lane, bytes, kind });
        let offer = |is_again| {
            frame = self.offer(peer, frame.take()?, is_again);
            frame.is_none().then_some(())
        };
        self.until_room(peer, lane, offer).await;
    }

    /// Tries something until there is room for it; what is tried is told whether it was before.
    async fn until_room<T>(
        &self,
        peer: AgentId,
        lane: Lane,
        mut attempt: impl FnMut(bool) -> Option<T>,
    ) -> T {
        let mut holding = None;
        loop {
            let room = self.0.room[lane as usize].notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if let Some(done) = attempt(holding.is_some()) {
                return done;
            }
            holding.get_or_insert_with(|| Holding::new(self, peer, lane));
            // What is limited by time is not told of.
            let _room = timeout(OFFER_AGAIN, room).await;
        }
    }

    /// Puts a frame; returns it where there is no room.
    fn offer(&self, peer: AgentId, frame: Arrived, is_again: bool) -> Option<Arrived> {
        let lane = frame.lane;
        let mut reports = Vec::new();
        let mut state = self.lock();
        let offered = state.pump.offer(self.now(), peer, frame, is_again, &mut reports);
        let is_looked_at = state.pump.is_looked_at(lane);
        let unchecked = if is_looked_at { state.pump.unchecked() } else { 0 };
        let wanted = unchecked.div_ceil(FRAMES_PER_WORKER).min(self.0.workers_max);
        let is_hired = state.workers < wanted;
        if is_hired {
            state.workers += 1;
            state.workers_most = state.workers_most.max(state.workers);
        }
        drop(state);
        if is_hired {
            let inlet = self.clone();
            if self.0.crew.call(move || inlet.work()).is_err() {
                let inlet = self.clone();
                drop(self.0.runtime.spawn_blocking(move || inlet.work()));
            }
        }
        reports.iter().for_each(|report| log("recv_pump", report));
        match offered {
            Offered::In => {
                if !is_looked_at {
                    self.wake(lane);
                }
                None
            }
            Offered::Left => None,
            Offered::Held(frame) => Some(frame),
        }
    }

    /// Looks at signatures until there is nothing to look at.
    fn work(&self) {
        let mut state = self.lock();
        let mut unsaid = 0;
        while let Some(job) = state.pump.job() {
            drop(state);
            // Whoever takes the frame looks itself then, and fails where that can be seen.
            let looked = std::panic::AssertUnwindSafe(|| self.0.checks.check(&job));
            let (proofs, took) = std::panic::catch_unwind(looked).unwrap_or_default();
            state = self.lock();
            state.pump.checked(&job, proofs, took);
            unsaid += 1;
            // Being woken costs about as much as deciding on a frame of gossip.
            if unsaid >= CHECKED_PER_WAKE || state.pump.is_checked() {
                self.wake(job.lane);
                unsaid = 0;
            }
        }
        state.workers -= 1;
        drop(state);
        if unsaid > 0 {
            // Another worker took the last.
            self.wake(Lane::Pubsub);
        }
    }

    fn wake(&self, lane: Lane) {
        if lane == Lane::Direct {
            self.0.mail.notify_one();
        }
        // Where all share a queue, direct messages are the hub's too.
        self.0.hub.notify_one();
    }

    /// Returns the next frame for the hub, control before gossip, once there is one.
    pub(super) async fn next(&self) -> Taken {
        self.let_others_run().await;
        loop {
            if let Some(taken) = self.take_for_hub() {
                return taken;
            }
            self.0.hub.notified().await;
        }
    }

    /// Now and then, has whoever always finds a frame make place for other tasks of its thread.
    async fn let_others_run(&self) {
        if self.0.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
    }

    /// Takes all that a link brought that has ended.
    pub(super) fn take_last(&self, link: LinkId, peer: AgentId) -> Vec<Taken> {
        self.lock().pump.take_last(self.now(), peer, link)
    }

    /// Takes the next frame for the hub, if there is one.
    pub(super) fn take_for_hub(&self) -> Option<Taken> {
        let now = self.now();
        let mut state = self.lock();
        let is_gossips_turn = state.controls >= CONTROLS_IN_A_ROW;
        let order = match is_gossips_turn {
            true => [Lane::Pubsub, Lane::Control],
            false => [Lane::Control, Lane::Pubsub],
        };
        let taken = order.into_iter().find_map(|lane| state.pump.take(now, lane))?;
        state.controls = if taken.lane == Lane::Control { state.controls + 1 } else { 0 };
        self.tell_room(state, taken.lane);
        Some(taken)
    }

    /// Returns the next frame with direct messages, and the link that it came over, once there is one.
    pub(super) async fn next_direct(&self) -> (Link, Taken) {
        self.let_others_run().await;
        loop {
            while let Some(taken) = self.take_direct() {
                let link = self.lock().links.get(&taken.link).cloned();
                if let Some(link) = link {
                    return (link, taken);
                }
            }
            self.0.mail.notified().await;
        }
    }

    fn take_direct(&self) -> Option<Taken> {
        let mut state = self.lock();
        let taken = state.pump.take(self.now(), Lane::Direct)?;
        self.tell_room(state, Lane::Direct);
        Some(taken)
    }

    fn tell_room(&self, state: MutexGuard<'_, State>, lane: Lane) {
        // Where all share a queue, there is room for any of them.
        let is_any = state.pump.policy().is_shared;
        let held = state.held;
        drop(state);
        for (at, room) in self.0.room.iter().enumerate() {
            if held[at] > 0 && (is_any || at == lane as usize) {
                room.notify_waiters();
            }
        }
    }

    /// Returns a place for a frame of a sync stream, once there is room.
    pub(super) async fn sync_place(&self, peer: AgentId, bytes: usize) -> SyncPlace {
        let at = time::origin();
        let enter = |is_again| {
            let mut reports = Vec::new();
            let now = self.now();
            let is_in = self.lock().pump.enter(now, peer, bytes, is_again, &mut reports);
            reports.iter().for_each(|report| log("recv_pump", report));
            is_in.then(|| SyncPlace { inlet: self.clone(), peer, bytes, at })
        };
        self.until_room(peer, Lane::Sync, enter).await
    }

    /// Tells whether nothing is taken while the store or a peer has not taken what it was given.
    pub(super) fn waits(&self) -> bool {
        self.0.waits
    }

    /// Returns the peers with whom to compare now, because something of them was dropped.
    pub(super) fn repairs(&self) -> Vec<AgentId> {
        self.lock().pump.repairs(self.now())
    }

    /// Returns when repairs are to be asked for.
    pub(super) fn deadline(&self) -> Option<Moment> {
        Some(self.0.origin + self.lock().pump.deadline()?)
    }

    /// Returns what is shown of what comes in.
    pub(super) fn view(&self) -> PumpView {
        let state = self.lock();
        let (recv_pump, per_peer, repairs) = state.pump.view(self.now());
        let workers = WorkersView {
            running: state.workers as u64,
            running_max: state.workers_most as u64,
            capacity: self.0.workers_max as u64,
        };
        PumpView { recv_pump, per_peer, repairs, workers, ..PumpView::default() }
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it leaves it whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SyncPlace {
    fn drop(&mut self) {
        let mut state = self.inlet.lock();
        let dwell = self.at.elapsed();
        state.pump.leave(self.inlet.now(), self.peer, self.bytes, dwell);
        self.inlet.tell_room(state, Lane::Sync);
    }
}

/// A stream that is not read on, for as long as it is there.
struct Holding {
    inlet: Inlet,
    peer: AgentId,
    lane: Lane,
}

impl Holding {
    fn new(inlet: &Inlet, peer: AgentId, lane: Lane) -> Self {
        let mut state = inlet.lock();
        state.pump.hold(inlet.now(), peer, lane, true);
        state.held[lane as usize] += 1;
        drop(state);
        Self { inlet: inlet.clone(), peer, lane }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut state = self.inlet.lock();
        state.pump.hold(self.inlet.now(), self.peer, self.lane, false);
        state.held[self.lane as usize] -= 1;
    }
}

/// Returns which policy the pumps follow.
pub(super) fn policy() -> Policy {
    let mut policy = Policy::FAIR;
    if let Ok(name) = std::env::var(POLICY) {
        match Policy::named(&name) {
            Some(named) => policy = named,
            None => tracing::warn!(name, "{POLICY} names no policy: passed over"),
        }
    }
    if let Ok(frames) = std::env::var(FRAMES) {
        match frames.parse().ok().filter(|frames| (2..=FRAMES_MAX).contains(frames)) {
            Some(frames) => {
                policy.room = Room { frames, bytes: BYTES_MAX / FRAMES_MAX * frames };
            }
            None => tracing::warn!(frames, "{FRAMES} is no number up to {FRAMES_MAX}: passed over"),
        }
    }
    if policy != Policy::FAIR {
        let (name, frames) = (policy.name, policy.room.frames);
        tracing::warn!(policy = name, frames, "the pumps are set up for measuring alone");
    }
    policy
}

/// Tells of a queue that fills.
pub(super) fn log(channel: &str, report: &Report) {
    let Report { level, peer, lane, fill, suppressed } = report;
    let (peer, stream) = (peer.to_string(), lane.name());
    let (used, capacity, unit) = (fill.used, fill.capacity, fill.unit);
    let (available, used_pct) = (capacity.saturating_sub(used), fill.pct());
    macro_rules! tell {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                channel, stream, peer, used, available, capacity, unit, used_pct, suppressed, $text
            )
        };
    }
    match level {
        Level::Info => tell!(info, "a queue is more than half full"),
        Level::Warn => tell!(warn, "a queue is nearly full"),
    }
}
