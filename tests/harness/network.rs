//! The handles by which a test makes paths and changes them while they carry datagrams. The work is done
//! on a thread of its own, so a test may be asynchronous or not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::lane::{Conditions, Counters, Lane};
use super::relay::{self, Change, Relay};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which datagrams of a path are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the side that calls to the one that is called.
    There,
    /// From the side that is called to the one that calls.
    Back,
    /// Both.
    Both,
}

/// Paths between endpoints on loopback. They end with it.
pub struct Network {
    seed: u64,
    paths: AtomicU64,
    relays: Option<UnboundedSender<Relay>>,
    thread: Option<JoinHandle<()>>,
}

/// A way from those who call [`Path::address`] to one endpoint, and back. It ends with its handle.
///
/// The endpoint that is called sees each caller as another address, which stays the same until
/// [`Path::rebind`] or until the caller itself moves.
pub struct Path {
    address: SocketAddr,
    shared: Arc<Shared>,
    changes: UnboundedSender<(Change, mpsc::Sender<()>)>,
}

/// What the handle and the relay both reach.
pub struct Shared {
    lanes: Mutex<[Lane; 2]>,
    /// Whose datagrams are lost, both ways.
    barred: Mutex<BTreeSet<IpAddr>>,
    /// How much longer datagrams of callers at these addresses take, both ways.
    distances: Mutex<BTreeMap<IpAddr, Duration>>,
    counted: Condvar,
}

impl Network {
    /// Makes a network. What it does to the n-th datagram of a direction follows from the seed.
    pub fn new(seed: u64) -> Self {
        let (relays, waiting) = unbounded_channel();
        let thread = std::thread::spawn(|| relay::run(waiting));
        Self { seed, paths: AtomicU64::new(0), relays: Some(relays), thread: Some(thread) }
    }

    /// Makes a path to an endpoint, which carries everything at once until told otherwise.
    pub fn path(&self, callee: SocketAddr) -> Path {
        let number = self.paths.fetch_add(1, Ordering::Relaxed);
        let lane = |way: u8| {
            let mut seed = [way; 32];
            seed[..8].copy_from_slice(&self.seed.to_le_bytes());
            seed[8..16].copy_from_slice(&number.to_le_bytes());
            Lane::new(seed)
        };
        let lanes = Mutex::new([lane(0), lane(1)]);
        let shared = Arc::new(Shared {
            lanes,
            barred: Mutex::default(),
            distances: Mutex::default(),
            counted: Condvar::new(),
        });
        let (changes, waiting) = unbounded_channel();
        let (relay, address) = Relay::new(callee, shared.clone(), waiting);
        let sent = self.relays.as_ref().map(|relays| relays.send(relay));
        assert!(matches!(sent, Some(Ok(()))), "the network's thread is gone");
        Path { address, shared, changes }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.relays = None;
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the network's thread panicked");
        }
    }
}

impl Path {
    /// Returns the address to call.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how what comes in from now on is treated.
    pub fn set(&self, direction: Direction, conditions: Conditions) {
        self.shared.each(direction, |lane| lane.conditions = conditions);
    }

    /// Loses everything in a direction, also what is on its way. One direction alone is the half-dead
    /// path: one side hears the other, and is not heard.
    pub fn cut(&self, direction: Direction) {
        self.shared.each(direction, |lane| lane.is_cut = true);
    }

    /// Loses everything between the endpoint and callers at these addresses, and at no others.
    pub fn bar(&self, callers: impl IntoIterator<Item = IpAddr>) {
        *self.shared.barred.lock().unwrap() = callers.into_iter().collect();
    }

    /// Lets everything between the endpoint and callers at these addresses take so much longer, each way.
    pub fn set_distances(&self, distances: impl IntoIterator<Item = (IpAddr, Duration)>) {
        *self.shared.distances.lock().unwrap() = distances.into_iter().collect();
    }

    /// Ends every cut; the conditions stay.
    pub fn heal(&self) {
        self.shared.each(Direction::Both, |lane| lane.is_cut = false);
    }

    /// Moves every caller to another address, as the endpoint that is called sees them: what a box that
    /// translates addresses does when it forgets, or a machine that changes its network.
    pub fn rebind(&self) {
        self.change(Change::Rebind);
    }

    /// Closes the socket that is called. Whoever calls is told by ICMP that the port is unreachable.
    pub fn close(&self) {
        self.change(Change::Close);
    }

    /// Opens it again, at the same address.
    pub fn reopen(&self) {
        self.change(Change::Reopen);
    }

    /// Returns what became of the datagrams in a direction.
    pub fn counters(&self, direction: Direction) -> Counters {
        total(&self.shared.lanes(), direction)
    }

    /// Waits until the counters of a direction are as they should be, and returns them. It holds up the
    /// thread.
    ///
    /// # Panics
    /// Where they are not within ten seconds.
    pub fn wait_until(&self, direction: Direction, done: impl Fn(&Counters) -> bool) -> Counters {
        let waiting = |lanes: &mut [Lane; 2]| !done(&total(lanes, direction));
        let counted = &self.shared.counted;
        let waited = counted.wait_timeout_while(self.shared.lanes(), PATIENCE, waiting).unwrap();
        let counters = total(&waited.0, direction);
        assert!(!waited.1.timed_out(), "it did not come to it: {counters:?}");
        counters
    }

    fn change(&self, change: Change) {
        let (done, is_done) = mpsc::channel();
        self.changes.send((change, done)).expect("the relay is there as long as its network");
        is_done.recv_timeout(PATIENCE).expect("the relay does what it is told");
    }
}

impl Shared {
    pub fn lanes(&self) -> MutexGuard<'_, [Lane; 2]> {
        self.lanes.lock().unwrap()
    }

    pub fn is_barred(&self, caller: IpAddr) -> bool {
        self.barred.lock().unwrap().contains(&caller)
    }

    pub fn distance(&self, caller: IpAddr) -> Duration {
        self.distances.lock().unwrap().get(&caller).copied().unwrap_or_default()
    }

    /// Wakes whoever waits for the counters.
    pub fn has_counted(&self) {
        self.counted.notify_all();
    }

    fn each(&self, direction: Direction, change: impl Fn(&mut Lane)) {
        self.lanes()[range(direction)].iter_mut().for_each(change);
    }
}

fn range(direction: Direction) -> std::ops::Range<usize> {
    match direction {
        Direction::There => 0..1,
        Direction::Back => 1..2,
        Direction::Both => 0..2,
    }
}

fn total(lanes: &[Lane; 2], direction: Direction) -> Counters {
    lanes[range(direction)].iter().fold(Counters::default(), |sum, lane| sum + lane.counters)
}
