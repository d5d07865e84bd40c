//! Links as they are: sockets, lanes and streams under the names that the hub knows, and what it wants
//! done with them. What waits from and for them, the pumps have.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use x0x_tracker::timestamp::Timestamp;

use super::inlet::Inlet;
use super::mail::{Mail, Told as ToMail};
use super::outlet::{Outlet, Queue};
use super::peers_file::PeersFile;
use super::reading::{read_lanes, read_requests, watch};
use super::streams::{self, Reply};
use super::{Keeper, Links, Mailbox, PeerList, PeerView, Tasks, Told, errands, forks, notes};
use crate::dm;
use crate::hub::{self, Effect, Note};
use crate::link::policy::{End, Failure, LinkId};
use crate::link::{Endpoint, Farewell, Link};
use crate::pump::Taken;
use crate::replica::OWN_PLACES_MAX;
use crate::time;
use crate::wire::{LISTS_MAX, Lane, NEWS_MAX};

/// How many sealed frames wait to be opened at most.
const SEALED_MAX: usize = 256;

/// How many calls are answered at once.
const ANSWERS_MAX: usize = 64;

/// How long the last frames may take when the node stops.
const FLUSH_MAX: Duration = Duration::from_millis(300);

/// How long the others may take to hear that it stops.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// How many notices about this node's own logs are dealt with over one link, one after the other: as many
/// as one neighbour's notices of all that an agent lost at most.
const OWN_LOGS_WAITING_MAX: usize = OWN_PLACES_MAX / NEWS_MAX;

/// How many pulls go on over one link: one for each list that both share, mostly.
const PULLS_PER_LINK_MAX: usize = LISTS_MAX;

/// How many of them bring something at once: what they bring and the store has not begun with fills half of what may
/// be on its way in a link, so that the other lanes have theirs.
const PULLS_AT_ONCE: usize = 3;

/// Carries frames between sockets and the hub.
pub(crate) struct Carrier {
    endpoint: Endpoint,
    pub(super) keeper: Keeper,
    peers: PeersFile,
    mailbox: Mailbox,
    mail: JoinHandle<()>,
    /// How much more that was sealed may wait to be opened.
    sealed_room: Arc<Semaphore>,
    pub(super) hub: mpsc::UnboundedSender<Told>,
    pub(super) inlet: Inlet,
    pub(super) outlet: Outlet,
    /// Links for which gossip was dropped.
    pub(super) dropped: BTreeSet<LinkId>,
    /// What peers have not taken, where that is waited for.
    pub(super) waiting: VecDeque<(LinkId, Bytes)>,
    notes: broadcast::Sender<Note>,
    pub(super) links: Links<Open>,
    next_link: u64,
    /// The stream of the request that the hub decides on just now.
    asked: Option<Reply>,
    pub(super) tasks: Tasks,
    /// How often the store was given something to judge, and has not answered.
    judging: usize,
    is_closing: bool,
}

/// A link that stands.
pub(super) struct Open {
    pub(super) link: Link,
    pub(super) control: Queue,
    pub(super) pubsub: Queue,
    /// How often more the other side may make this node look for its own logs there, and whose turn it is.
    own_logs: Arc<Semaphore>,
    own_logs_turn: Arc<Mutex<()>>,
    /// How many more pulls from it may go on, and how many answers to it of what is kept as lost.
    pulls: Arc<Semaphore>,
    pulling: Arc<Semaphore>,
    lost: Arc<Semaphore>,
    /// What ends with it.
    tasks: Vec<AbortHandle>,
}

impl Carrier {
    pub(super) fn new(
        endpoint: Endpoint,
        keeper: Keeper,
        peers: PeersFile,
        mail: Mail,
        hub: mpsc::UnboundedSender<Told>,
        (inlet, outlet): (Inlet, Outlet),
        notes: broadcast::Sender<Note>,
    ) -> Self {
        let mut tasks = Tasks::new();
        tasks.spawn(answer(endpoint.clone(), hub.clone()));
        Self {
            endpoint,
            keeper,
            peers,
            mailbox: mail.mailbox(),
            mail: Handle::current().spawn(mail.run()),
            sealed_room: Arc::new(Semaphore::new(SEALED_MAX)),
            hub,
            inlet,
            outlet,
            dropped: BTreeSet::new(),
            waiting: VecDeque::new(),
            notes,
            links: Links::new(),
            next_link: 0,
            asked: None,
            tasks,
            judging: 0,
            is_closing: false,
        }
    }

    /// Takes a link whose handshake was carried through, and returns what to tell the hub. `called` is
    /// where this side called.
    pub(super) fn attach(&mut self, link: Link, called: Option<SocketAddr>) -> hub::Input {
        self.next_link += 1;
        let id = LinkId(self.next_link);
        let input = hub::Input::Up {
            link: id,
            peer: link.peer(),
            public_key: link.public_key().to_vec(),
            binding: link.binding(),
            is_caller: link.is_caller(),
            address: called.unwrap_or_else(|| link.address()),
        };
        self.inlet.open(id, link.clone());
        self.outlet.open(id, link.peer());
        let (control, control_out) = self.outlet.lane(id, Lane::Control);
        let (pubsub, pubsub_out) = self.outlet.lane(id, Lane::Pubsub);
        let (direct, direct_out) = self.outlet.lane(id, Lane::Direct);
        let lane = |lane, frames| {
            let connection = link.connection().clone();
            async move {
                // The link's end says what there is to say.
                let _ended = streams::write_lane(connection, lane, frames).await;
            }
        };
        // Before anything comes over it.
        self.tell_mail(ToMail::Up { id, link: link.clone(), queue: direct });
        let pumps = (self.inlet.clone(), self.outlet.clone());
        let tasks = vec![
            self.tasks.spawn(lane(Lane::Control, control_out)),
            self.tasks.spawn(lane(Lane::Pubsub, pubsub_out)),
            self.tasks.spawn(lane(Lane::Direct, direct_out)),
            self.tasks.spawn(read_lanes(id, link.clone(), self.inlet.clone())),
            self.tasks.spawn(read_requests(id, link.clone(), self.hub.clone(), pumps)),
        ];
        self.tasks.spawn(watch(id, link.clone(), self.hub.clone()));
        let open = Open {
            link,
            control,
            pubsub,
            own_logs: Arc::new(Semaphore::new(OWN_LOGS_WAITING_MAX)),
            own_logs_turn: Arc::default(),
            pulls: Arc::new(Semaphore::new(PULLS_PER_LINK_MAX)),
            pulling: Arc::new(Semaphore::new(PULLS_AT_ONCE)),
            lost: Arc::new(Semaphore::new(1)),
            tasks,
        };
        self.links.insert(id, open);
        input
    }

    /// Forgets a link that has ended, and returns what the hub is to think of that.
    pub(super) fn detach(&mut self, link: LinkId, why: End) -> End {
        let Some(open) = self.links.remove(&link) else { return why };
        open.tasks.iter().for_each(AbortHandle::abort);
        self.inlet.close(link, open.link.peer());
        self.outlet.close(link);
        self.tell_mail(ToMail::Down { id: link, peer: open.link.peer() });
        // Whoever broke the protocol is not called again.
        if open.link.ended_for() == Some(Farewell::Breach) { End::Final } else { why }
    }

    /// Holds the stream of a request while the hub decides on it, or forgets it afterwards.
    pub(super) fn hold(&mut self, reply: Option<Reply>) {
        self.asked = reply;
    }

    /// Notes what the hub is told.
    pub(super) fn note(&mut self, input: &hub::Input) {
        self.inlet.note(input);
        if matches!(input, hub::Input::Judged { .. }) {
            self.judging = self.judging.saturating_sub(1);
        }
    }

    /// Tells whether frames are taken just now.
    pub(super) fn takes_frames(&self) -> bool {
        self.judging == 0 || !self.inlet.waits()
    }

    /// Passes on what is for direct messages, where all frames wait in one queue.
    pub(super) fn pass_direct(&self, taken: Taken) {
        if let Some(open) = self.links.get(&taken.link) {
            self.tell_mail(ToMail::Frame { link: open.link.clone(), taken });
        }
    }

    /// Returns the links to peers with whom to compare, because something of them or for them was dropped.
    pub(super) fn take_repairs(&mut self) -> BTreeSet<LinkId> {
        let mut links = std::mem::take(&mut self.dropped);
        let peers = self.inlet.repairs();
        let is_one = |(_, open): &(&LinkId, &Open)| peers.contains(&open.link.peer());
        links.extend(self.links.iter().filter(is_one).map(|(id, _)| *id));
        links
    }

    /// Returns what a link brought that has ended, and nobody took yet.
    pub(super) fn last_frames(&self, link: LinkId) -> Vec<Taken> {
        let peer = self.links.get(&link).map(|open| open.link.peer());
        peer.map_or_else(Vec::new, |peer| self.inlet.take_last(link, peer))
    }

    /// Returns how people are shown a peer.
    pub(super) fn view(&self, peer: &hub::Peer) -> Option<PeerView> {
        let link = &self.links.get(&peer.link)?.link;
        Some(PeerView {
            agent_id: peer.agent.to_string(),
            address: link.address().to_string(),
            outgoing: link.is_caller(),
            rtt_ms: link.connection().rtt().as_secs_f64() * 1_000.0,
            version: peer.program.clone(),
            rules: peer.rules,
            lists: peer
                .lists
                .iter()
                .map(|(list, level)| PeerList { id: list.to_string(), level: *level })
                .collect(),
        })
    }

    /// Returns how many bytes of datagrams the links that stand have carried, both ways.
    pub(super) fn bytes(&self) -> u64 {
        let of = |open: &Open| {
            let stats = open.link.connection().stats();
            stats.udp_tx.bytes + stats.udp_rx.bytes
        };
        self.links.values().map(of).sum()
    }

    /// Does what the hub wants.
    pub(super) fn carry(&mut self, effect: Effect) {
        // Tasks that ended by themselves are nobody's any more.
        while self.tasks.try_join_next().is_some() {}
        match effect {
            Effect::Dial { address, wanted } => {
                let (endpoint, hub) = (self.endpoint.clone(), self.hub.clone());
                self.tasks.spawn(async move {
                    let told = match endpoint.call(address, wanted).await {
                        Ok(link) => Told::Up(link, Some(address)),
                        Err(error) => {
                            tracing::debug!(%address, %error, "a call failed");
                            let why = Failure::from(&error);
                            Told::Input(hub::Input::DialFailed { address, wanted, why })
                        }
                    };
                    let _stopped = hub.send(told);
                });
            }
            Effect::End { link, why } => {
                if self.is_closing {
                    return;
                }
                if let Some(open) = self.links.get(&link) {
                    open.link.end(why);
                }
            }
            Effect::Send { link, lane, frame } => self.send(link, lane, frame),
            Effect::Members { members, callable } => {
                self.tell_mail(ToMail::Input(dm::Input::Members(members)));
                for agent in callable {
                    self.tell_mail(ToMail::Input(dm::Input::Callable(agent)));
                }
            }
            Effect::SealKey { agent, key } => self.tell_mail(ToMail::SealKey { agent, key }),
            Effect::Whisper { to, bytes, about } => {
                self.tell_mail(ToMail::Whisper { to, bytes, about });
            }
            // What finds no room is sent again.
            Effect::Sealed(sealed) => match self.sealed_room.clone().try_acquire_owned() {
                Ok(room) => self.tell_mail(ToMail::Sealed { sealed, _room: room }),
                Err(_none) => tracing::debug!("something sealed found no room"),
            },
            Effect::Around { list, around } => self.keeper.arounds.put(list, around),
            Effect::Remember { agent, addresses } => self.peers.put(agent, addresses),
            Effect::RememberHeard(heard) => {
                self.peers.put_heard(heard, Timestamp(time::now_ms()));
            }
            Effect::Note(note) => {
                notes::log(&note);
                // Nobody has to listen.
                let _nobody = self.notes.send(note);
            }
            effect => self.run_errand(effect),
        }
    }

    fn tell_mail(&self, told: ToMail) {
        let _stopped = self.mailbox.told.send(told);
    }

    /// Hands the effects that need a stream or a store to tasks of their own.
    fn run_errand(&mut self, effect: Effect) {
        let connection = |link: &LinkId| self.links.get(link).map(|open| open.link.clone());
        let (keeper, hub) = (self.keeper.clone(), self.hub.clone());
        match effect {
            Effect::Pull { link, from, list, standing } => {
                // A peer that is shared and unshared again and again makes one want more at a time.
                let open = self.links.get(&link);
                let room = open.and_then(|open| open.pulls.clone().try_acquire_owned().ok());
                let turn = open.map(|open| open.pulling.clone());
                let link = connection(&link).zip(room).zip(turn);
                let pumps = (self.inlet.clone(), self.outlet.clone());
                self.tasks.spawn(async move {
                    let standing = match &link {
                        Some(((link, _), turn)) => {
                            let _turn = turn.acquire().await;
                            errands::pull(link, &keeper, &pumps, list, standing).await
                        }
                        None => None,
                    };
                    drop(link);
                    let _stopped =
                        hub.send(Told::Input(hub::Input::Pulled { list, from, standing }));
                });
            }
            Effect::Serve { list, to, standing, rules, .. } => {
                if let Some(reply) = self.asked.take() {
                    let serve = errands::serve(reply, keeper, hub, list, to, standing, rules);
                    self.tasks.spawn(serve);
                }
            }
            Effect::ServeHeaders { list, log, from, .. } => {
                if let Some(reply) = self.asked.take() {
                    self.tasks.spawn(errands::serve_headers(reply, keeper, list, log, from));
                }
            }
            Effect::ServeLost { link, list, to, .. } => {
                let open = self.links.get(&link);
                let room = open.and_then(|open| open.lost.clone().try_acquire_owned().ok());
                match (self.asked.take(), room) {
                    (Some(reply), Some(room)) => drop(self.tasks.spawn(async move {
                        errands::serve_lost(reply, keeper, list, to).await;
                        drop(room);
                    })),
                    (Some(reply), None) => drop(self.tasks.spawn(errands::refuse(reply))),
                    (None, _) => {}
                }
            }
            Effect::Refuse { .. } => {
                if let Some(reply) = self.asked.take() {
                    self.tasks.spawn(errands::refuse(reply));
                }
            }
            Effect::Judge { list, commits } => {
                self.judging += 1;
                errands::judge(&keeper, list, commits);
            }
            Effect::State { list, statements, are_shown } => {
                errands::state(&keeper, list, statements, are_shown);
            }
            Effect::Beat { list, kind, claims } => errands::beat(&keeper, list, kind, claims),
            Effect::Hear { list, beat } => errands::hear(&keeper, list, beat),
            Effect::ServeFar { list, to, standing, rules, skip } => {
                errands::serve_far(&keeper, list, to, (standing, rules, skip));
            }
            Effect::StoreFar { piece, items } => errands::store_far(&keeper, piece, items),
            Effect::NameLost { list, of } => errands::name_lost(&keeper, list, of),
            Effect::NameStatements { list, link } => errands::name_statements(&keeper, list, link),
            Effect::Redeem { list, link, secret, public_key } => {
                errands::redeem(&keeper, list, link, secret, public_key);
            }
            Effect::Fork { link, list, with, log, theirs } => {
                if let Some(link) = connection(&link) {
                    let way = (link, self.outlet.clone());
                    let fork = forks::Fork { list, with, log, theirs };
                    self.tasks.spawn(forks::settle(way, keeper, hub, fork));
                }
            }
            Effect::OwnLogs { link, list, places } => {
                let Some(open) = self.links.get(&link) else { return };
                // What is left out now is told again with the next standing, or the next link.
                let Ok(room) = open.own_logs.clone().try_acquire_owned() else { return };
                let way = (open.link.clone(), self.outlet.clone());
                let turn = open.own_logs_turn.clone();
                self.tasks.spawn(async move {
                    // What one brings, the next need not ask for.
                    let turn = turn.lock().await;
                    forks::own_logs(way, keeper, list, places).await;
                    drop((turn, room));
                });
            }
            _ => {}
        }
    }

    /// Sends what is left, takes leave, and ends every task.
    pub(super) async fn close(mut self) {
        // What was asked of it by now is on disk then.
        self.mailbox.close();
        let _panicked = (&mut self.mail).await;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        let mut writers = Vec::new();
        for link in links {
            if let Some(Open { link, control, pubsub, tasks, .. }) = self.links.remove(&link) {
                // Without a sender, a lane ends when it is written.
                drop((control, pubsub));
                writers.extend(tasks.into_iter().take(3));
                drop(link);
            }
        }
        self.inlet.shut();
        let flushed = async {
            while writers.iter().any(|writer| !writer.is_finished()) {
                if self.tasks.join_next().await.is_none() {
                    break;
                }
            }
        };
        let _in_time = tokio::time::timeout(FLUSH_MAX, flushed).await;
        let _in_time = tokio::time::timeout(FAREWELL_MAX, self.endpoint.close()).await;
        self.tasks.shutdown().await;
    }

    /// Ends no link from now on, so that the last words are heard.
    pub(super) fn closing(&mut self) {
        self.is_closing = true;
    }
}

/// Answers calls, a bounded number at once.
async fn answer(endpoint: Endpoint, hub: mpsc::UnboundedSender<Told>) {
    let room = Arc::new(Semaphore::new(ANSWERS_MAX));
    let refused = AtomicU64::new(0);
    let mut handshakes = Tasks::new();
    while let Some(call) = endpoint.next_call().await {
        while handshakes.try_join_next().is_some() {}
        let Ok(permit) = room.clone().try_acquire_owned() else {
            // Whoever calls will call again.
            refused.fetch_add(1, Ordering::Relaxed);
            call.ignore();
            continue;
        };
        let hub = hub.clone();
        handshakes.spawn(async move {
            let _permit = permit;
            match call.answer().await {
                Ok(link) => drop(hub.send(Told::Up(link, None))),
                Err(error) => tracing::debug!(%error, "a call was not answered"),
            }
        });
    }
}
