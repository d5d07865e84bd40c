//! The running node: the only place that knows every part. It carries frames between sockets and the
//! hub, gives the stores what the hub wants done, and keeps time. It decides nothing.

mod addresses;
mod around;
mod carrier;
mod checks;
mod config;
mod crew;
mod errands;
mod error;
mod events;
mod following;
mod forks;
mod inlet;
mod keeper;
mod load;
mod mail;
mod mailbox;
mod membership;
mod notes;
mod outlet;
mod own;
mod peers_file;
mod readers;
mod reading;
mod runtime;
mod sending;
mod shelf;
mod sleep;
mod standings;
mod streams;
mod subscribers;
mod views;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{Signer, Verifier};
use x0x_tracker::timestamp::Timestamp;

use crate::dm::seal::SealKey;
use crate::dm::{DmError, DmReceipt, Draft};
use crate::home::holder_of;
use crate::hub::{self, Hub, Note};
use crate::identity::MlDsa;
use crate::link::policy::LinkId;
use crate::link::{self, Link, LinkError};
use crate::logs::Log;
use crate::pump::{Proofs, Prover, Taken};
use crate::wire::Lane;
use crate::{entropy, rest, time};
use carrier::Carrier;
use checks::Checks;
use inlet::{Inlet, SyncPlace};
use mail::Mail;
use outlet::Outlet;
use own::{Own, look};
use peers_file::PeersFile;
use sleep::Sleep;
use streams::Reply;
use subscribers::Subscribers;

pub use config::Config;
pub use error::{JoinError, NodeError};
pub use events::{EVENTS_KEPT, Event, Events, Found, KINDS};
pub use following::{EventFollower, Happened};
pub use keeper::{Keeper, Loan, Stopped};
pub use mailbox::{Follower, Heard, MESSAGES_SHOWN, MailView, Mailbox, Wait};
pub use peers_file::remembered_port;
pub use runtime::block_on;
pub use shelf::Shelf;
pub use subscribers::{NAME_BYTES_MAX, TooManySubscribers};
pub(crate) use views::unopened;
pub use views::{Held, ListView, PeerList, PeerView, Status, Unopened};

/// The port that a node listens on, and answers programs on, where it is free.
pub const PORT: u16 = 12_700;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often the node looks around: much more often than a gap in that would count.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a node shows its card anew: an agent counts as there for three times as long and more.
const CARD_EVERY: Duration = Duration::from_secs(180);

/// How many frames are decided on before anything else is, and how much there may be to be done of them.
const FRAMES_AT_ONCE: usize = 16;
const EFFECTS_AT_ONCE: usize = 64;

/// How long the delivery of a message is waited for at most; it goes on after that.
pub const DELIVERY_WAIT: Duration = Duration::from_secs(30);

/// How often the clock that goes on while the machine sleeps is compared with the one that does not.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A node that runs. It stops when told to, or when the last handle is dropped.
#[derive(Clone)]
pub struct Node {
    agent: AgentId,
    listen: SocketAddr,
    api: SocketAddr,
    /// Where others can call it.
    addresses: Arc<[SocketAddr]>,
    started_at: Timestamp,
    keeper: Keeper,
    events: Events,
    mailbox: Mailbox,
    subscribers: Subscribers,
    hub: mpsc::UnboundedSender<Told>,
    inlet: Inlet,
    outlet: Outlet,
    notes: tokio::sync::broadcast::Sender<Note>,
    log: Option<Arc<dyn Log>>,
    stopped: watch::Receiver<bool>,
}

/// Something to look up in the hub.
type Look = Box<dyn FnOnce(&Hub, &Carrier) + Send>;

/// What the task that has the hub is told.
pub(crate) enum Told {
    /// Something to decide on.
    Input(hub::Input),
    /// A link whose handshake was carried through; where this side called, if it did.
    Up(Link, Option<SocketAddr>),
    /// A frame came.
    Frame(Taken),
    /// The request of a sync stream came; the answer goes there.
    Request { link: LinkId, bytes: Vec<u8>, reply: Reply, place: SyncPlace },
    /// Somebody wants to look at the hub.
    Look(Look),
    /// Stop.
    Stop,
}

impl Node {
    /// Starts a node inside a tokio runtime: the stores are open and it listens when this returns.
    ///
    /// # Errors
    /// Where the data directory is in use or a socket cannot be had; nothing goes on then.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let Config { home, listen, api, allow_remote, advertise, lock_wait, limits, log } = config;
        let mut lock = home.lock_as(&holder_of("node", None), lock_wait)?;
        let identity = Arc::new(home.identity()?);
        let agent = identity.agent();
        let mut peers = PeersFile::load(home.dir());
        let signer: Arc<dyn Signer> = identity.clone();
        let reset_key = peers_file::reset_key(home.dir())?;
        let link_config = link::Config { reset_key, ..link::Config::default() };
        let endpoint = addresses::listen_on(listen, peers.port(), &signer, link_config)?;
        let bound = endpoint.address().map_err(|source| LinkError::NotBound {
            address: listen.unwrap_or(addresses::ANY),
            source,
        })?;
        peers.put_port(bound.port());
        let server = rest::listen(home.dir(), api, allow_remote).await?;
        let api = server.address();
        let holder = holder_of("node", Some(api.to_string()));
        let told = |source| NodeError::Io { what: "write", path: home.dir().join("lock"), source };
        lock.tell(&holder).map_err(told)?;
        let (hub_in, inputs) = mpsc::unbounded_channel();
        let subscribers = Subscribers::default();
        let events = Events::new(epoch(), agent, subscribers.clone());
        // Before any list is opened, the hub knows what time it is.
        let _starting = hub_in.send(Told::Input(look()));
        let (keeper, stores) =
            Keeper::start(home.clone(), lock, holder, hub_in.clone(), events.clone())?;
        let (notes, _) = tokio::sync::broadcast::channel(256);
        let (stopping, stopped) = watch::channel(false);
        let verifier: Arc<dyn Verifier> = Arc::new(MlDsa);
        let policy = inlet::policy();
        let inlet = Inlet::new(Checks::new(verifier.clone()), policy);
        let outlet = Outlet::new(policy);
        let seal_key = Arc::new(SealKey::draw().map_err(NodeError::NoSealKey)?);
        let mail = Mail::open(
            home.dir(),
            identity.clone(),
            seal_key.clone(),
            keeper.clone(),
            hub_in.clone(),
            inlet.clone(),
            subscribers.clone(),
        )?;
        let addresses = if advertise.is_empty() { addresses::of(bound) } else { advertise };
        let node = Self {
            agent,
            listen: bound,
            api,
            addresses: addresses.into(),
            started_at: Timestamp(time::now_ms()),
            keeper: keeper.clone(),
            events,
            mailbox: mail.mailbox(),
            subscribers,
            hub: hub_in.clone(),
            inlet: inlet.clone(),
            outlet: outlet.clone(),
            notes: notes.clone(),
            log,
            stopped,
        };
        let own = Own::of(identity, node.addresses.clone(), seal_key);
        let mut seed = [0; 32];
        entropy::fill(&mut seed);
        let prover = Arc::new(Prover::new(verifier));
        let hub = Hub::new(agent, VERSION, prover.clone(), seed);
        let known = hub::Input::Known(peers.known(Timestamp(time::now_ms())));
        let _starting = hub_in.send(Told::Input(known));
        let carrier =
            Carrier::new(endpoint, keeper, peers, mail, hub_in.clone(), (inlet, outlet), notes);
        let serving = server.serve(node.clone(), limits);
        // It ends by itself, and ends what it started, once it is told to stop.
        tokio::runtime::Handle::current().spawn(run(
            (hub, prover),
            carrier,
            own,
            inputs,
            serving,
            stores,
            stopping,
        ));
        tracing::info!(agent = %agent.short(), listen = %bound, %api, version = VERSION, "started");
        Ok(node)
    }

    /// Returns the agent.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Returns where it listens for other nodes.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Returns where it answers programs.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Returns what has the stores.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Returns what happens to the task lists.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Returns the direct messages of its agent.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Sends a direct message, and waits until it is in the inbox of its recipient: at once, where that is this
    /// agent itself.
    ///
    /// # Errors
    /// As for [`Mailbox::send`]; the wait is over after [`DELIVERY_WAIT`].
    pub async fn send_direct(&self, draft: Draft) -> Result<DmReceipt, DmError> {
        self.mailbox.send(draft, Wait::Delivered(DELIVERY_WAIT)).await
    }

    /// Returns the log of the program, where it has one that may be changed.
    pub fn log(&self) -> Option<&dyn Log> {
        self.log.as_deref()
    }

    /// Returns what happens from now on.
    pub fn notes(&self) -> tokio::sync::broadcast::Receiver<Note> {
        self.notes.subscribe()
    }

    /// Returns where other nodes can call it, best first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the linked peers.
    pub async fn peers(&self) -> Result<Vec<PeerView>, Stopped> {
        self.look(|hub, carrier| {
            hub.peers().into_iter().filter_map(|peer| carrier.view(&peer)).collect()
        })
        .await
    }

    /// Returns how many bytes of datagrams its links have carried, both ways.
    pub async fn bytes(&self) -> Result<u64, Stopped> {
        self.look(|_, carrier| carrier.bytes()).await
    }

    /// Tells the node that the machine slept or its network changed.
    pub fn woke(&self) {
        let _stopped = self.hub.send(Told::Input(hub::Input::Woke));
    }

    /// Has the node stop; returns when it has.
    pub async fn stop(&self) {
        self.stop_soon();
        self.stopped().await;
    }

    /// Has the node stop.
    pub fn stop_soon(&self) {
        let _stopped = self.hub.send(Told::Stop);
    }

    /// Tells, of a node that has stopped, whether it did because a part of it failed.
    pub fn has_failed(&self) -> bool {
        // What decides says so last of all.
        self.keeper.has_failed() || !*self.stopped.borrow()
    }

    /// Waits until the node has stopped.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        let _gone = stopped.wait_for(|stopped| *stopped).await;
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Hub, &Carrier) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |hub: &Hub, carrier: &Carrier| {
            drop(answer.send(look(hub, carrier)));
        });
        self.hub.send(Told::Look(look)).map_err(|_gone| Stopped)?;
        answered.await.map_err(|_gone| Stopped)
    }
}

/// Returns a number that no other run of a node has.
fn epoch() -> u64 {
    let mut bytes = [0; 8];
    entropy::fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// Has the hub decide, one input after another, and does what it wants.
async fn run(
    (mut hub, prover): (Hub, Arc<Prover>),
    mut carrier: Carrier,
    mut own: Own,
    mut inputs: mpsc::UnboundedReceiver<Told>,
    mut serving: rest::Serving,
    stores: std::thread::JoinHandle<()>,
    stopping: watch::Sender<bool>,
) {
    let origin = time::origin();
    let mut effects = Vec::new();
    let mut slept = Sleep::new();
    let mut watching = tokio::time::interval(WATCH_EVERY);
    let mut looking = tokio::time::interval(LOOK_EVERY);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut showing = tokio::time::interval(CARD_EVERY);
    showing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_stopping = false;
    loop {
        let deadline = hub.deadline().map(|deadline| origin + deadline);
        let deadline = deadline.into_iter().chain(carrier.inlet.deadline()).min();
        let told = tokio::select! {
            told = inputs.recv() => told.unwrap_or(Told::Stop),
            taken = carrier.inlet.next(), if carrier.takes_frames() => Told::Frame(taken),
            () = serving.stopped(), if is_stopping => break,
            () = sleep_until(deadline) => Told::Input(hub::Input::Tick),
            _ = looking.tick() => Told::Input(look()),
            _ = showing.tick() => match own.card() {
                Some(card) => Told::Input(hub::Input::Card(card)),
                None => continue,
            },
            _ = watching.tick() => {
                carrier.keeper.open_shut();
                carrier.keeper.recheck();
                match slept.has(origin.elapsed()) {
                    true => Told::Input(hub::Input::Woke),
                    false => continue,
                }
            }
        };
        let now = origin.elapsed();
        match told {
            Told::Input(mut input) => {
                if let hub::Input::Down { link, why } = &mut input {
                    for taken in carrier.last_frames(*link) {
                        decide(&mut hub, &prover, now, taken, &mut effects);
                    }
                    *why = carrier.detach(*link, *why);
                }
                carrier.note(&input);
                hub.handle(now, input, &mut effects);
            }
            Told::Up(link, called) => {
                let input = carrier.attach(link, called);
                hub.handle(now, input, &mut effects);
            }
            Told::Frame(taken) if taken.lane == Lane::Direct => carrier.pass_direct(taken),
            Told::Frame(taken) => {
                decide(&mut hub, &prover, now, taken, &mut effects);
                // Several at once: to wait for each of many things costs as much as deciding on a frame.
                for _ in 1..FRAMES_AT_ONCE {
                    if carrier.inlet.waits() || effects.len() >= EFFECTS_AT_ONCE {
                        break;
                    }
                    let Some(taken) = carrier.inlet.take_for_hub() else { break };
                    decide(&mut hub, &prover, now, taken, &mut effects);
                }
            }
            Told::Request { link, bytes, reply, place } => {
                drop(place);
                carrier.hold(Some(reply));
                let input = hub::Input::Request { link, stream: 0, bytes };
                hub.handle(now, input, &mut effects);
            }
            Told::Look(look) => look(&hub, &carrier),
            Told::Stop => {
                carrier.keeper.lend_no_more();
                serving.stop();
                is_stopping = true;
            }
        }
        for link in carrier.take_repairs() {
            hub.handle(now, hub::Input::Dropped { link }, &mut effects);
        }
        for effect in effects.drain(..) {
            carrier.carry(effect);
        }
        carrier.hold(None);
        carrier.until_taken().await;
    }
    carrier.closing();
    hub.handle(origin.elapsed(), hub::Input::Stop, &mut effects);
    for effect in effects.drain(..) {
        carrier.carry(effect);
    }
    let keeper = carrier.keeper.clone();
    carrier.close().await;
    keeper.close();
    drop(inputs);
    // Closing a store syncs it; a job that is going on ends first.
    let _joined = tokio::task::spawn_blocking(move || stores.join()).await;
    tracing::info!("stopped");
    let _nobody_waits = stopping.send(true);
}

/// Has the hub decide on a frame.
fn decide(
    hub: &mut Hub,
    prover: &Prover,
    now: Duration,
    taken: Taken,
    effects: &mut Vec<hub::Effect>,
) {
    let Taken { link, lane, bytes, proofs, .. } = taken;
    prover.trust(proofs);
    hub.handle(now, hub::Input::Frame { link, lane, bytes }, effects);
    prover.trust(Proofs::default());
}

async fn sleep_until(deadline: Option<time::Moment>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Tasks of a node, and what they are for.
type Tasks = JoinSet<()>;

/// A name for each link.
type Links<T> = BTreeMap<LinkId, T>;
