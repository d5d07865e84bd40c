//! The sockets of a path and the clock: it carries out what the lanes decide.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::network::Shared;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How many callers one path knows; the one that came first is forgotten for one more.
const CALLERS_MAX: usize = 64;

/// How many datagrams wait between a socket and the lanes.
const ARRIVALS_MAX: usize = 1_024;

/// What a handle asks for.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Rebind,
    Close,
    Reopen,
}

/// A path's sockets.
pub struct Relay {
    callee: SocketAddr,
    address: SocketAddr,
    shared: Arc<Shared>,
    changes: UnboundedReceiver<(Change, std_mpsc::Sender<()>)>,
    unopened: Option<std::net::UdpSocket>,
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// From this caller to the callee.
    There { caller: SocketAddr },
    /// To this caller.
    Back { caller: SocketAddr },
}

type Datagram = (Way, Vec<u8>);

/// Runs relays until no more can come and every one has ended or the network is dropped.
pub fn run(mut relays: UnboundedReceiver<Relay>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let mut running = JoinSet::new();
        while let Some(relay) = relays.recv().await {
            running.spawn(relay.run());
            while let Some(ended) = running.try_join_next() {
                ended.unwrap();
            }
        }
        running.abort_all();
        while let Some(ended) = running.join_next().await {
            assert!(!ended.is_err_and(|error| error.is_panic()), "a relay panicked");
        }
    });
}

impl Relay {
    /// Opens the socket that is called, and returns its address.
    pub fn new(
        callee: SocketAddr,
        shared: Arc<Shared>,
        changes: UnboundedReceiver<(Change, std_mpsc::Sender<()>)>,
    ) -> (Self, SocketAddr) {
        let socket = std::net::UdpSocket::bind(ANY_PORT).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        (Self { callee, address, shared, changes, unopened: Some(socket) }, address)
    }

    async fn run(mut self) {
        let (arrivals, mut arriving) = channel(ARRIVALS_MAX);
        let mut sockets =
            Sockets { arrivals, front: None, callers: Vec::new(), callee: self.callee };
        let front = UdpSocket::from_std(self.unopened.take().unwrap()).unwrap();
        sockets.open_front(front);
        let mut waiting = Waiting::default();
        let start = now();
        loop {
            let next = waiting.next().map(|at| start + at);
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some((change, done)) => {
                        sockets.change(change, self.address).await;
                        // The handle waits for it, or has been dropped meanwhile.
                        let _ = done.send(());
                    }
                    None => return,
                },
                Some(datagram) = arriving.recv() => {
                    self.judge(datagram, now() - start, &mut waiting);
                    self.forward(&mut waiting, now() - start, &mut sockets).await;
                }
                () = sleep_until(next), if next.is_some() => {
                    self.forward(&mut waiting, now() - start, &mut sockets).await;
                }
            }
        }
    }

    fn judge(&self, (way, bytes): Datagram, now: Duration, waiting: &mut Waiting) {
        let leaving = self.shared.lanes()[way.lane()].judge(now, bytes.len());
        let distance = self.shared.distance(way.caller().ip());
        for at in leaving {
            waiting.push(at + distance, (way, bytes.clone()));
        }
        self.shared.has_counted();
    }

    /// Sends what is due. It is counted first, so that whoever has heard it finds it counted.
    async fn forward(&self, waiting: &mut Waiting, now: Duration, sockets: &mut Sockets) {
        while let Some((way, bytes)) = waiting.pop(now) {
            let is_barred = self.shared.is_barred(way.caller().ip());
            let passes = {
                let lane = &mut self.shared.lanes()[way.lane()];
                let passes = !lane.is_cut && !is_barred && sockets.lead(way);
                let counters = &mut lane.counters;
                *(if passes { &mut counters.forwarded } else { &mut counters.cut }) += 1;
                passes
            };
            if passes {
                sockets.send(way, &bytes).await;
            }
        }
        self.shared.has_counted();
    }
}

impl Way {
    fn caller(self) -> SocketAddr {
        match self {
            Self::There { caller } | Self::Back { caller } => caller,
        }
    }

    fn lane(self) -> usize {
        match self {
            Self::There { .. } => 0,
            Self::Back { .. } => 1,
        }
    }
}

/// What waits for its time, in the order of leaving; of equals the one that came first.
#[derive(Default)]
struct Waiting {
    queue: BinaryHeap<Reverse<(Duration, u64, Datagram)>>,
    pushed: u64,
}

impl Waiting {
    fn push(&mut self, at: Duration, datagram: Datagram) {
        self.pushed += 1;
        self.queue.push(Reverse((at, self.pushed, datagram)));
    }

    fn next(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    fn pop(&mut self, now: Duration) -> Option<Datagram> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((.., datagram))| datagram)
    }
}

/// A socket and the task that reads it.
struct Socket {
    socket: Arc<UdpSocket>,
    reader: JoinSet<()>,
}

struct Sockets {
    arrivals: Sender<Datagram>,
    /// The one that is called, unless it is closed.
    front: Option<Socket>,
    /// One for each caller, which the callee sees as the caller; the newest last.
    callers: Vec<(SocketAddr, Socket)>,
    callee: SocketAddr,
}

impl Sockets {
    fn open_front(&mut self, socket: UdpSocket) {
        let way = |from| Some(Way::There { caller: from });
        self.front = Some(Socket::read(socket, self.arrivals.clone(), way));
    }

    async fn open_back(&self, caller: SocketAddr) -> Socket {
        let socket = UdpSocket::bind(ANY_PORT).await.unwrap();
        let callee = self.callee;
        let way = move |from| (from == callee).then_some(Way::Back { caller });
        Socket::read(socket, self.arrivals.clone(), way)
    }

    async fn change(&mut self, change: Change, address: SocketAddr) {
        match change {
            Change::Rebind => {
                for at in 0..self.callers.len() {
                    let back = self.open_back(self.callers[at].0).await;
                    std::mem::replace(&mut self.callers[at].1, back).close().await;
                }
            }
            Change::Close => {
                if let Some(front) = self.front.take() {
                    front.close().await;
                }
            }
            Change::Reopen if self.front.is_none() => {
                let socket = UdpSocket::bind(address).await;
                self.open_front(socket.expect("the port is still free"));
            }
            Change::Reopen => {}
        }
    }

    /// Tells whether there is a socket to send from.
    fn lead(&self, way: Way) -> bool {
        match way {
            Way::There { .. } => true,
            Way::Back { .. } => self.front.is_some(),
        }
    }

    async fn send(&mut self, way: Way, bytes: &[u8]) {
        let callee = self.callee;
        let (socket, to) = match way {
            Way::There { caller } => (Some(self.back(caller).await), callee),
            Way::Back { caller } => (self.front.as_ref(), caller),
        };
        let Some(socket) = socket else { return };
        match socket.socket.send_to(bytes, to).await {
            Ok(_) => {}
            // What an earlier datagram met: nobody listens there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("cannot send to {to}: {error}"),
        }
    }

    async fn back(&mut self, caller: SocketAddr) -> &Socket {
        let at = match self.callers.iter().position(|(known, _)| *known == caller) {
            Some(at) => at,
            None => {
                if self.callers.len() == CALLERS_MAX {
                    self.callers.remove(0);
                }
                let back = self.open_back(caller).await;
                self.callers.push((caller, back));
                self.callers.len() - 1
            }
        };
        &self.callers[at].1
    }
}

impl Socket {
    fn read(
        socket: UdpSocket,
        arrivals: Sender<Datagram>,
        way: impl Fn(SocketAddr) -> Option<Way> + Send + 'static,
    ) -> Self {
        let socket = Arc::new(socket);
        let mut reader = JoinSet::new();
        let reading = socket.clone();
        reader.spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let (length, from) = match reading.recv_from(&mut buffer).await {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                    Err(error) => panic!("cannot receive: {error}"),
                };
                let Some(way) = way(from) else { continue };
                if arrivals.send((way, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
        });
        Self { socket, reader }
    }

    /// Closes it; once it returns, the port is free.
    async fn close(mut self) {
        self.reader.shutdown().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the emulator works in real time")]
fn now() -> Instant {
    Instant::now()
}

/// Sleeps until then; for ever where there is no then.
async fn sleep_until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}
