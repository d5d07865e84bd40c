//! The node's post: a task that has the state machine of direct messages decide, and does what it wants, and a
//! thread that has their file. Apart from the hub and the stores of task lists, so that a message needs neither.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::signature::{Signer, Verifier};

use super::inlet::Inlet;
use super::mailbox::{MailView, Mailbox, Shown};
use super::outlet::{NotPut, Queue};
use super::subscribers::Subscribers;
use super::{Keeper, NodeError, Stopped, Tasks, Told as ToHub};
use crate::dm::seal::{self, SealKey};
use crate::dm::store::{Op, Store};
use crate::dm::wire::{Frame, SignedAck};
use crate::dm::{self, Carried, DmPath, Effect, Envelope, Input, Post, Progress, Start};
use crate::identity::{Identity, MlDsa};
use crate::link::policy::LinkId;
use crate::link::{Farewell, Link};
use crate::pump::Taken;
use crate::{entropy, hub, time};

/// How long issues are waited for that a message carries; then it is sent again, and they are asked for anew.
const FETCH_MAX: Duration = Duration::from_secs(30);

/// How often they are asked for, and when it is looked first whether they are here; each pause is twice the one
/// before, up to that.
const FETCH_EVERY: Duration = Duration::from_secs(1);
const FETCH_LOOK_FIRST: Duration = Duration::from_millis(10);

/// How many writes share a sync of the disk at most.
const TOGETHER_MAX: usize = 1_024;

/// A message that somebody wants to send.
pub(super) struct Ask {
    pub(super) request: u64,
    pub(super) draft: dm::Draft,
    pub(super) ends_on_full: bool,
    pub(super) answers: mpsc::UnboundedSender<Progress>,
}

/// What the task is told.
pub(super) enum Told {
    Input(Input),
    Ask(Ask),
    Forget(u64),
    /// A link has come up; what goes over its direct lane is put there.
    Up {
        id: LinkId,
        link: Link,
        queue: Queue,
    },
    Down {
        id: LinkId,
        peer: AgentId,
    },
    /// A frame came over the direct lane of a link.
    Frame {
        link: Link,
        taken: Taken,
    },
    /// Something came through others that was sealed for this agent.
    Sealed {
        sealed: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
    SealKey {
        agent: AgentId,
        key: Vec<u8>,
    },
    /// Something about a list is to go to a member that no link reaches.
    Whisper {
        to: AgentId,
        bytes: Vec<u8>,
        about: ListId,
    },
    View(oneshot::Sender<MailView>),
    Look(Box<dyn FnOnce(&Post) + Send>),
    Stop,
}

/// What the task needs.
pub(super) struct Mail {
    post: Post,
    mailbox: Mailbox,
    told: mpsc::UnboundedReceiver<Told>,
    hub: mpsc::UnboundedSender<ToHub>,
    identity: Arc<Identity>,
    verifier: Arc<dyn Verifier>,
    key: Arc<SealKey>,
    ops: std_mpsc::Sender<Op>,
    writer: std::thread::JoinHandle<()>,
    links: BTreeMap<AgentId, Vec<Open>>,
    keys: BTreeMap<AgentId, Keys>,
    answers: BTreeMap<u64, mpsc::UnboundedSender<Progress>>,
    unopened: u64,
    arrived: Vec<Arc<Envelope>>,
    keeper: Keeper,
    inlet: Inlet,
    tasks: Tasks,
    origin: time::Moment,
}

/// With what something is sealed for an agent. Which of two is of its newest run nobody can tell: others may have
/// kept back what it sent before. So it is sealed with both, where they differ.
#[derive(Default)]
struct Keys {
    /// The key on its newest card that is known here.
    card: Option<Vec<u8>>,
    /// The one that came inside what it sealed for this agent last.
    answer: Option<Vec<u8>>,
}

impl Keys {
    fn all(&self) -> Vec<&[u8]> {
        let answer = self.answer.as_ref().filter(|answer| self.card.as_ref() != Some(*answer));
        self.card.iter().chain(answer).map(Vec::as_slice).collect()
    }
}

/// A link that stands.
struct Open {
    id: LinkId,
    link: Link,
    queue: Queue,
}

impl Mail {
    /// Opens the file of a data directory.
    pub(super) fn open(
        dir: &Path,
        identity: Arc<Identity>,
        key: Arc<SealKey>,
        keeper: Keeper,
        hub: mpsc::UnboundedSender<ToHub>,
        inlet: Inlet,
        subscribers: Subscribers,
    ) -> Result<Self, NodeError> {
        let (mut seed, mut noise) = ([0; 32], [0; 2]);
        entropy::fill(&mut seed);
        entropy::fill(&mut noise);
        let (store, log, stored) = Store::open(dir, time::now_ms(), u16::from_le_bytes(noise))
            .map_err(NodeError::Direct)?;
        let (told_in, told) = mpsc::unbounded_channel();
        let (ops, jobs) = std_mpsc::channel();
        let (me, reader, newest) = (identity.agent(), store.reader(), stored.next_number - 1);
        let done = told_in.clone();
        let writer = std::thread::Builder::new()
            .name("direct".to_owned())
            .spawn(move || write(store, &jobs, &done))
            .map_err(|source| NodeError::Io {
                what: "write",
                path: dir.join(dm::store::FILE),
                source,
            })?;
        let verifier: Arc<dyn Verifier> = Arc::new(MlDsa);
        let origin = time::origin();
        let start = Start { me, log, seed, verifier: verifier.clone(), stored };
        let mailbox = Mailbox {
            me,
            told: told_in,
            shown: Arc::new(Shown::new(newest)),
            reader,
            requests: Arc::new(AtomicU64::new(1)),
            subscribers,
        };
        Ok(Self {
            post: Post::new(origin.elapsed(), start),
            mailbox,
            told,
            hub,
            identity,
            verifier,
            key,
            ops,
            writer,
            links: BTreeMap::new(),
            keys: BTreeMap::new(),
            answers: BTreeMap::new(),
            unopened: 0,
            arrived: Vec::new(),
            keeper,
            inlet,
            tasks: Tasks::new(),
            origin,
        })
    }

    /// Returns what others have of it.
    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// Decides and does, until it is told to stop; what is asked for by then is on disk when it returns.
    pub(super) async fn run(mut self) {
        let mut effects = Vec::new();
        loop {
            let deadline = self.post.deadline().map(|deadline| self.origin + deadline);
            let told = tokio::select! {
                biased;
                told = self.told.recv() => told.unwrap_or(Told::Stop),
                (link, taken) = self.inlet.next_direct() => {
                    // Of the link that it came over was told before.
                    if self.take_told(&mut effects) {
                        break;
                    }
                    Told::Frame { link, taken }
                }
                () = super::sleep_until(deadline) => Told::Input(Input::Tick),
            };
            if let Told::Stop = told {
                break;
            }
            self.take(told, &mut effects);
        }
        // Whoever waits for an answer is told that there comes none.
        self.answers.clear();
        let Self { ops, writer, .. } = self;
        drop(ops);
        let _joined = tokio::task::spawn_blocking(move || writer.join()).await;
    }

    /// Takes what it is told by now, and returns whether that is to stop.
    fn take_told(&mut self, effects: &mut Vec<Effect>) -> bool {
        for _ in 0..self.told.len() {
            match self.told.try_recv() {
                Ok(Told::Stop) => return true,
                Ok(told) => self.take(told, effects),
                Err(_none) => break,
            }
        }
        false
    }

    fn take(&mut self, told: Told, effects: &mut Vec<Effect>) {
        while self.tasks.try_join_next().is_some() {}
        let input = match told {
            Told::Input(input) => input,
            Told::Ask(Ask { request, draft, ends_on_full, answers }) => {
                self.answers.insert(request, answers);
                Input::Send { request, draft, ends_on_full }
            }
            Told::Forget(request) => {
                self.answers.remove(&request);
                Input::Forget { request }
            }
            Told::Up { id, link, queue } => {
                let peer = link.peer();
                self.links.entry(peer).or_default().push(Open { id, link, queue });
                Input::Up(peer)
            }
            Told::Down { id, peer } => {
                let Some(open) = self.links.get_mut(&peer) else { return };
                open.retain(|open| open.id != id);
                if open.is_empty() {
                    self.links.remove(&peer);
                }
                Input::Down(peer)
            }
            Told::Frame { link, taken } => {
                let (public_key, bytes) = (link.public_key().into(), taken.bytes.into());
                Input::Frame { from: link.peer(), public_key, path: DmPath::Quic, bytes }
            }
            Told::Sealed { sealed, _room } => {
                match self.key.open(self.mailbox.me, &sealed, self.verifier.as_ref()) {
                    Ok(seal::Opened { from, public_key, reply_key, frame }) => {
                        // Whatever becomes of it, the answer finds its way.
                        if self.post.members().contains(&from) {
                            self.keys.entry(from).or_default().answer = Some(reply_key);
                        }
                        let public_key = public_key.into();
                        Input::Frame { from, public_key, path: DmPath::Gossip, bytes: frame }
                    }
                    // It was sealed for an earlier run of this node: it is sealed anew.
                    Err(seal::SealError) => {
                        tracing::debug!("something sealed could not be opened");
                        self.unopened += 1;
                        return;
                    }
                }
            }
            Told::SealKey { agent, key } => {
                self.keys.entry(agent).or_default().card = Some(key);
                Input::Sealable(agent)
            }
            Told::Whisper { to, bytes, about } => {
                let run = self.post.run();
                return self.whisper(to, Frame::Far { run, bytes }.write(), Some(about));
            }
            Told::View(answer) => {
                let (rows, depth) = (self.post.rows(), self.post.depth());
                let (unopened, strangers) = (self.unopened, self.post.strangers());
                let view = MailView { rows, depth, unopened, strangers };
                let _gone = answer.send(view);
                return;
            }
            Told::Look(look) => return look(&self.post),
            Told::Stop => return,
        };
        self.decide(input, effects);
    }

    fn decide(&mut self, input: Input, effects: &mut Vec<Effect>) {
        if let Input::Members(members) = &input {
            self.keys.retain(|agent, _| members.contains(agent));
        }
        let now = self.origin.elapsed();
        self.post.handle(now, time::now_ms(), input, effects);
        let mut not_sent = Vec::new();
        for effect in effects.drain(..) {
            not_sent.extend(self.carry(effect));
        }
        self.mailbox.shown.show(&mut self.arrived);
        not_sent.dedup();
        for peer in not_sent {
            // It is held: there is nothing to be done now.
            self.post.handle(now, time::now_ms(), Input::NotSent(peer), effects);
        }
    }

    /// Does what is wanted; returns to whom something could not be sent just now.
    fn carry(&mut self, effect: Effect) -> Option<AgentId> {
        match effect {
            Effect::Write(op) => drop(self.ops.send(op)),
            Effect::Send(to, frame) => return self.send(to, frame),
            Effect::Whisper(to, frame) => self.whisper(to, frame, None),
            Effect::Call(to) => self.tell_hub(hub::Input::Reach(to)),
            Effect::Acknowledge(ack) => match SignedAck::new(&ack, self.identity.as_ref()) {
                Ok(signed) => {
                    let frame = Frame::Ack(signed).write();
                    match self.links.contains_key(&ack.to) {
                        true => drop(self.send(ack.to, frame)),
                        false => self.whisper(ack.to, frame, None),
                    }
                }
                Err(error) => tracing::error!(%error, "an acknowledgement could not be signed"),
            },
            Effect::Tell(request, progress) => {
                // Whoever is told that a message arrived finds it there.
                self.mailbox.shown.show(&mut self.arrived);
                if let Some(answers) = self.answers.get(&request) {
                    let _gone = answers.send(progress);
                }
            }
            Effect::Fetch { from, place, issues } => {
                let fetching = fetch(self.keeper.clone(), self.hub.clone(), from, issues);
                let told = self.mailbox.told.clone();
                self.tasks.spawn(async move {
                    let are_here = fetching.await;
                    let _stopped = told.send(Told::Input(Input::Fetched { from, place, are_here }));
                });
            }
            Effect::Breach(from) => {
                tracing::warn!(peer = %from.short(), "a peer broke the protocol of direct messages");
                for open in self.links.get(&from).into_iter().flatten() {
                    open.link.end(Farewell::Breach);
                }
            }
            Effect::Far { from, run, bytes } => {
                self.tell_hub(hub::Input::Far { from, run, bytes });
            }
            Effect::Arrived(envelope) => self.arrived.push(envelope),
        }
        None
    }

    fn send(&self, to: AgentId, frame: Vec<u8>) -> Option<AgentId> {
        let open = self.links.get(&to)?.last()?;
        match open.queue.put(frame.into()).0 {
            // A lane that is closed ends with its link.
            Ok(()) | Err(NotPut::Closed) => None,
            Err(NotPut::Full | NotPut::Dropped) => Some(to),
        }
    }

    fn whisper(&self, to: AgentId, frame: Vec<u8>, but: Option<ListId>) {
        let keys = self.keys.get(&to).map(Keys::all).unwrap_or_default();
        if keys.is_empty() {
            return tracing::debug!(to = %to.short(), "its key is not known: nothing is sealed");
        }
        tracing::debug!(to = %to.short(), bytes = frame.len(), keys = keys.len(), "sealed, through others");
        for key in keys {
            match self.key.seal(to, key, frame.clone(), self.identity.as_ref()) {
                Ok(sealed) => self.tell_hub(hub::Input::Whisper { to, sealed, but }),
                Err(error) => tracing::debug!(to = %to.short(), %error, "a message was not sealed"),
            }
        }
    }

    fn tell_hub(&self, input: hub::Input) {
        let _stopping = self.hub.send(ToHub::Input(input));
    }
}

/// Has issues brought that another agent has; tells whether they are here in the end.
async fn fetch(
    keeper: Keeper,
    hub: mpsc::UnboundedSender<ToHub>,
    from: AgentId,
    issues: Vec<Carried>,
) -> bool {
    let begun = time::origin();
    let (mut asked_at, mut pause) = (None, FETCH_LOOK_FIRST);
    while begun.elapsed() < FETCH_MAX {
        let wanted = issues.clone();
        let lacking = keeper.ask(move |shelf| {
            let mut lacking = None;
            for Carried { list, issue } in wanted {
                // Of a list that is not here, nothing can come.
                let Some(tracker) = shelf.list(list) else { continue };
                // Nobody has this side look for what is none of its own lists.
                let is_member = tracker.charter().is_ok_and(|it| it.role(from).is_some());
                if !is_member || !matches!(tracker.has_issue(&issue), Ok(true)) {
                    lacking = Some(list);
                    break;
                }
            }
            lacking
        });
        match lacking.await {
            Ok(None) => return true,
            Ok(Some(list)) => {
                if asked_at.is_none_or(|at: time::Moment| at.elapsed() >= FETCH_EVERY) {
                    asked_at = Some(time::origin());
                    let _stopping = hub.send(ToHub::Input(hub::Input::Fetch { list, from }));
                }
            }
            Err(Stopped) => return false,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(FETCH_EVERY);
    }
    false
}

/// The first pause after a failure of the file before it is opened again, and the longest.
const REOPEN_FIRST: Duration = Duration::from_millis(500);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// Writes what is wanted, as much at once as waits, until nobody wants anything any more. A file that failed is
/// opened again, by the next who wants something after a pause.
fn write(mut store: Store, jobs: &std_mpsc::Receiver<Op>, told: &mpsc::UnboundedSender<Told>) {
    let mut done = 0;
    let mut has_failed = false;
    let mut broken: Option<(time::Moment, Duration)> = None;
    while let Ok(first) = jobs.recv() {
        let mut ops = vec![first];
        ops.extend(jobs.try_iter().take(TOGETHER_MAX - 1));
        done += ops.len() as u64;
        if has_failed {
            // What was asked for before the failure was known is not done either: it may build on it.
            let Some(at) = ops.iter().position(|op| matches!(op, Op::Resume)) else { continue };
            ops.drain(..=at);
            has_failed = false;
        }
        let written = match broken {
            _ if ops.is_empty() => Ok(()),
            Some((since, pause)) if since.elapsed() < pause => Err("it failed before".to_owned()),
            Some(_) => store.reopen().and_then(|()| store.write(&ops)).map_err(|e| e.to_string()),
            None => store.write(&ops).map_err(|error| error.to_string()),
        };
        let input = match written {
            Ok(()) => {
                broken = if ops.is_empty() { broken } else { None };
                Input::Stored(done)
            }
            Err(what) => {
                has_failed = true;
                let is_due = broken.is_none_or(|(since, pause)| since.elapsed() >= pause);
                if is_due {
                    tracing::error!(what, "the file of direct messages failed");
                    let pause =
                        broken.map_or(REOPEN_FIRST, |(_, pause)| (pause * 2).min(REOPEN_MAX));
                    broken = Some((time::origin(), pause));
                }
                Input::NotStored(what)
            }
        };
        if told.send(Told::Input(input)).is_err() {
            return;
        }
    }
}
