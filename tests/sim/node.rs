//! A node: what it is made of, and its starts and ends.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use x0x::clerk;
use x0x::hub::{Hub, Input};
use x0x::link::policy::LinkId;
use x0x::wire::{Card, Lane, SignedCard, Ticket};
use x0x_tracker::LocalTracker;
use x0x_tracker::claim::beat::Turn;
use x0x_tracker::claim::{Around, Uptime};
use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::journal::charter::{Role, Signed, Statement};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::store::{Disk, Founding, Store};
use x0x_tracker::tasklist::{Host, Senses, founding};
use x0x_tracker::testing::{self, START, StandIn, StandInVerifier};
use x0x_tracker::timestamp::Timestamp;

use crate::driver::{Pull, Serve};
use crate::links::address_of;
use crate::machine::{Machine, Stands};
use crate::pump::Paced;
use crate::store::Job;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

pub struct Node {
    pub agent: AgentId,
    pub key: StandIn,
    /// `None` while it is off.
    pub hub: Option<Hub>,
    pub tracker: Option<LocalTracker>,
    pub disk: Disk,
    place: PathBuf,
    /// How often it was started.
    pub life: u32,
    born_at: Time,
    /// How long it slept in this life: its clock stood still.
    pub slept: Time,
    pub paused_at: Option<Time>,
    /// What would have happened while it did nothing.
    pub put_off: Vec<Event>,
    pub tick_at: Option<Time>,
    pub ticks: (Time, u32),
    /// What the wall clock shows, in Unix milliseconds, and by how much it is wrong.
    clock: Arc<AtomicI64>,
    pub clock_off_ms: i64,
    /// What its machine was started as, and when that was.
    pub machine: Machine,
    /// The same for its store: how often it was started, and how long it has been running, in milliseconds.
    uptime: Arc<Mutex<Uptime>>,
    /// What its hub sees of others.
    pub around: Arc<Mutex<Arc<Around>>>,
    /// How many frames with beats it signed in this life, and which life of its store it is.
    pub turn: Option<Turn>,
    pub jobs: VecDeque<Job>,
    pub is_storing: bool,
    /// How long the store takes for a job, at least and at most.
    pub store_takes: (Time, Time),
    /// Where its own log is, as it was told.
    pub told: Option<(LogId, Position)>,
    /// Where others were reached.
    pub known: BTreeMap<AgentId, Vec<SocketAddr>>,
    /// When others were heard, by its wall clock.
    pub heard: BTreeMap<AgentId, i64>,
    /// Which end of which wire each link is.
    pub links: BTreeMap<LinkId, (usize, usize)>,
    next_link: u64,
    pub pulls: BTreeMap<(usize, u64), Pull>,
    pub serves: BTreeMap<(usize, u64), Serve>,
    /// Whether a pull broke off since the last that came to its end, and whether it had brought some.
    pub broke_off: Option<bool>,
    pub sent_bytes: u64,
    /// Disks of earlier moments.
    pub moments: Vec<Vec<u8>>,
    /// What stands before its hub, where it looks at frames at a pace.
    pub paced: Option<Paced>,
    pub is_lying: bool,
    /// Whether its agent has no role any more.
    pub is_revoked: bool,
    /// What a lying node sends again.
    pub kept: Vec<(Lane, Vec<u8>)>,
    /// Whether what it does just now is answered to nobody: it dies on the way.
    pub is_dying: bool,
    pub waiting_before: usize,
}

/// What is left of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// What was synced.
    Synced,
    /// The same, and it died in the middle of what it did.
    Amid,
    /// What was there at an earlier moment, in the same file: the log forks.
    Earlier,
    /// A backup, which is another file: a new log is opened.
    Backup,
}

impl Node {
    /// Returns the virtual time at which its hub counts zero.
    pub fn hub_zero(&self) -> Time {
        self.born_at + self.slept
    }

    pub fn hub_time(&self, now: Time) -> Duration {
        Duration::from_micros(now.saturating_sub(self.hub_zero()))
    }

    pub fn clock_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub fn new_link(&mut self, wire: usize, end: usize) -> LinkId {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.links.insert(link, (wire, end));
        link
    }

    pub fn tracker(&mut self) -> &mut LocalTracker {
        self.tracker.as_mut().unwrap()
    }
}

impl World {
    /// Makes the first node, which founds the list.
    pub fn found(&mut self) {
        let key = StandIn::new(0);
        let host = testing::host(self.seed << 8);
        let founding =
            founding("sim", "S", &Host { signer: Box::new(key.clone()), ..host }).unwrap();
        self.list = founding.list;
        self.add(key, &founding);
    }

    fn add(&mut self, key: StandIn, founding: &Founding) -> usize {
        let (disk, place) = (Disk::default(), self.new_place());
        Store::create_on(disk.clone(), &place, founding).unwrap();
        self.nodes.push(Node {
            agent: key.agent(),
            key,
            hub: None,
            tracker: None,
            disk,
            place,
            life: 0,
            born_at: 0,
            slept: 0,
            paused_at: None,
            put_off: Vec::new(),
            tick_at: None,
            ticks: (0, 0),
            clock: Arc::new(AtomicI64::new(START.0)),
            clock_off_ms: 0,
            machine: Machine { boot: 1, zero: 0 },
            uptime: Arc::default(),
            around: Arc::default(),
            turn: None,
            jobs: VecDeque::new(),
            is_storing: false,
            store_takes: (MILLISECOND / 5, 5 * MILLISECOND),
            told: None,
            known: BTreeMap::new(),
            heard: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            pulls: BTreeMap::new(),
            serves: BTreeMap::new(),
            broke_off: None,
            sent_bytes: 0,
            moments: Vec::new(),
            paced: None,
            is_lying: false,
            is_revoked: false,
            kept: Vec::new(),
            is_dying: false,
            waiting_before: 0,
        });
        self.nodes.len() - 1
    }

    /// Adds nodes whose stores know each other as members already, off for now.
    pub fn add_members(&mut self, count: usize) {
        let first = self.nodes.len();
        let info = self.founding();
        for number in first..first + count {
            self.add(StandIn::new(number as u64), &info);
        }
        // Nobody else grants anything yet, so that each grant may name the founding statement alone.
        let statement = info.statement.unwrap();
        let mut statements = Vec::new();
        for number in first..first + count {
            let grant = Statement::Grant {
                list: self.list,
                by: self.nodes[0].agent,
                member: self.nodes[number].key.public_key().to_vec(),
                role: Role::Maintainer,
                seen: vec![statement.hash()],
            };
            statements.push(Signed::new(&grant, &self.nodes[0].key).unwrap());
        }
        for number in 0..self.nodes.len() {
            let tracker = self.open_or_running(number);
            for grant in &statements {
                tracker.admit_statement(grant).unwrap();
            }
        }
    }

    /// Adds a node that knows nothing but the list's name, off for now.
    pub fn add_stranger(&mut self) -> usize {
        let number = self.nodes.len() as u64;
        let founding = Founding { statement: None, ..self.founding() };
        self.add(StandIn::new(number), &founding)
    }

    fn founding(&mut self) -> Founding {
        let list = self.list;
        let tracker = self.open_or_running(0);
        let statement = Some(tracker.statements().unwrap()[0].clone());
        Founding { list, name: "sim".to_owned(), prefix: "S".to_owned(), statement }
    }

    /// Lets `known` nodes chosen at random be known to each node, as after an earlier run.
    pub fn introduce(&mut self, known: usize) {
        for node in 0..self.nodes.len() {
            for _ in 0..known {
                let other = self.below(self.nodes.len() as u64) as usize;
                if other != node {
                    self.introduce_to(node, other);
                }
            }
        }
        // At least so that all are reached from one.
        for node in 1..self.nodes.len() {
            let other = self.below(node as u64) as usize;
            self.introduce_to(node, other);
        }
    }

    pub fn introduce_to(&mut self, node: usize, other: usize) {
        let agent = self.nodes[other].agent;
        self.nodes[node].known.insert(agent, vec![address_of(other)]);
    }

    pub fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            let life = self.nodes[node].life;
            let at = self.below(2 * SECOND);
            self.at(self.now + at, Event::Start { node, life });
        }
    }

    fn open(&mut self, node: usize) -> LocalTracker {
        // Nobody else may have it.
        self.nodes[node].tracker = None;
        let seed: u64 = u64::from_le_bytes(x0x::entropy::draw(&mut self.dice));
        let this = &self.nodes[node];
        let (clock, uptime) = (this.clock.clone(), this.uptime.clone());
        let around = this.around.clone();
        let uptime = move || *uptime.lock().unwrap();
        let look = move || around.lock().unwrap().clone();
        let host = Host {
            signer: Box::new(this.key.clone()),
            clock: Box::new(move || Timestamp(clock.load(Ordering::Relaxed))),
            uptime: Box::new(uptime),
            senses: Arc::new(Senses::of(look)),
            ..testing::host(seed)
        };
        testing::open_on(&this.disk, &this.place, host).unwrap().watched()
    }

    /// Returns a store to look at, whether its node runs or not.
    pub fn open_or_running(&mut self, node: usize) -> &mut LocalTracker {
        if self.nodes[node].tracker.is_none() {
            let opened = self.open(node);
            self.nodes[node].tracker = Some(opened);
        }
        self.nodes[node].tracker()
    }

    /// Sets what the clock of a node shows.
    pub fn set_clock(&mut self, node: usize) {
        let this = &self.nodes[node];
        let shown = START.0 + 1_000 + (self.now / MILLISECOND) as i64 + this.clock_off_ms;
        this.clock.store(shown, Ordering::Relaxed);
        *this.uptime.lock().unwrap() = this.machine.uptime(self.now);
    }

    /// Starts a node as `src/node` does: the list, what was known, its card.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].hub.is_some() {
            return;
        }
        self.say(|| format!("node {node} starts"));
        self.trace(&[b's', node as u8]);
        self.set_clock(node);
        let tracker = self.open(node);
        let seed = x0x::entropy::draw(&mut self.dice);
        let this = &mut self.nodes[node];
        let hub = Hub::new(this.agent, "sim", Arc::new(StandInVerifier), seed);
        this.hub = Some(hub);
        (this.born_at, this.slept, this.tick_at) = (self.now, 0, None);
        (this.turn, this.paced) = (None, None);
        let comparing = Around { is_comparing: true, ..Around::default() };
        *this.around.lock().unwrap() = Arc::new(comparing);
        this.told = tracker.own_place().unwrap();
        let opened = clerk::opened(&tracker, self.list).unwrap();
        this.tracker = Some(tracker);
        let at_ms = this.clock_ms();
        let known = this.remembered(at_ms);
        let card = Card {
            agent: this.agent,
            at_ms,
            addresses: vec![address_of(node)],
            load_pct: None,
            seal_key: Vec::new(),
        };
        let card = SignedCard::new(&card, &this.key).unwrap();
        let look = self.look_input(node);
        for input in [look, opened, Input::Known(known), Input::Card(card)] {
            self.tell(node, input);
        }
        let life = self.nodes[node].life;
        self.begin_claims(node, life);
    }

    /// Stops a node as a person does.
    pub fn stop(&mut self, node: usize) {
        if self.nodes[node].hub.is_none() {
            return;
        }
        self.say(|| format!("node {node} stops"));
        self.nodes[node].is_dying = true;
        self.tell(node, Input::Stop);
        let wires: Vec<usize> = self.nodes[node].links.values().map(|(wire, _)| *wire).collect();
        self.go_out(node);
        self.nodes[node].tracker = None;
        for wire in wires {
            let end = usize::from(self.wires[wire].ends[0].node == node);
            // The last words go first.
            let after = self.between(60, 500) * MILLISECOND;
            self.after(after, Event::Down { wire, end, why: x0x::link::policy::End::Passing });
        }
    }

    /// A node is gone at once; `left` says what is left of its disk.
    pub fn crash(&mut self, node: usize, left: Left) {
        if self.nodes[node].hub.is_none() {
            return;
        }
        self.say(|| format!("node {node} crashes, {left:?}"));
        self.nodes[node].is_dying = true;
        let image = self.image_of(node, left);
        let wires: Vec<usize> = (0..self.wires.len())
            .filter(|wire| self.wires[*wire].ends.iter().any(|end| end.node == node))
            .collect();
        self.go_out(node);
        self.nodes[node].tracker = None;
        self.nodes[node].disk = Disk::holding(image);
        if left == Left::Backup {
            self.nodes[node].place = self.new_place();
        }
        for wire in wires {
            self.wire_dies(wire);
        }
        if matches!(left, Left::Earlier | Left::Backup) {
            self.note_losses(node);
        }
    }

    fn image_of(&mut self, node: usize, left: Left) -> Vec<u8> {
        let moments = self.nodes[node].moments.len() as u64;
        if matches!(left, Left::Earlier | Left::Backup) && moments > 0 {
            let at = moments as usize - 1;
            match left {
                Left::Earlier => {
                    self.counts.earlier_disks += 1;
                    self.ledger.has_forks = true;
                }
                _ => self.counts.restored += 1,
            }
            return self.nodes[node].moments[at].clone();
        }
        self.counts.crashes += u64::from(left != Left::Earlier);
        if left == Left::Amid {
            if self.nodes[node].jobs.is_empty() {
                self.work(node);
            }
            self.nodes[node].disk.record();
            self.do_job(node);
            let moments = self.nodes[node].disk.recorded();
            if !moments.is_empty() {
                self.counts.crashes_amid += 1;
                let at = self.below(moments.len() as u64) as usize;
                let dice = &mut self.dice;
                use x0x::entropy::RngExt;
                return moments[at].torn(512, || dice.random_bool(0.5));
            }
        }
        self.nodes[node].disk.now().forgetful()
    }

    fn go_out(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.hub = None;
        this.life += 1;
        this.jobs.clear();
        this.links.clear();
        this.pulls.clear();
        this.serves.clear();
        this.put_off.clear();
        (this.paused_at, this.is_storing, this.is_dying) = (None, false, false);
        this.broke_off = None;
        this.waiting_before = 0;
    }

    /// Keeps what a disk holds now.
    pub fn keep_moment(&mut self, node: usize) {
        let image = self.nodes[node].disk.now().kind();
        self.nodes[node].moments.push(image);
    }

    /// Has a node make a ticket, and another one join by it.
    pub fn join(&mut self, newcomer: usize, issuer: usize) {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(newcomer as u64).to_le_bytes());
        let expires_at = Timestamp(START.0 + 10 * 365 * 86_400_000);
        self.set_clock(issuer);
        self.nodes[issuer].tracker().issue_ticket(&secret, Role::Maintainer, expires_at).unwrap();
        let ticket = Ticket {
            list: self.list,
            name: "sim".to_owned(),
            prefix: "S".to_owned(),
            issuer: self.nodes[issuer].agent,
            addresses: vec![address_of(issuer)],
            secret,
            role: Role::Maintainer,
            expires_at_ms: expires_at.0,
        };
        // It travels as a word.
        let ticket: Ticket = ticket.to_string().parse().unwrap();
        self.say(|| format!("node {newcomer} joins by node {issuer}"));
        self.tell(newcomer, Input::Join(ticket));
    }

    /// A node does nothing for a while, or its machine sleeps.
    pub fn pause(&mut self, node: usize, time: Time, stands: Stands) {
        if self.nodes[node].hub.is_none() || self.nodes[node].paused_at.is_some() {
            return;
        }
        self.say(|| format!("node {node} pauses for {} s", time / SECOND));
        self.counts.pauses += 1;
        self.counts.suspends += u64::from(stands == Stands::Suspended);
        self.nodes[node].paused_at = Some(self.now);
        self.after(time, Event::Wake { node, life: self.nodes[node].life, stands });
        if time > 5 * SECOND {
            let wires: Vec<(usize, usize)> = self.nodes[node].links.values().copied().collect();
            for (wire, end) in wires {
                // Both will know when it is awake again; what was on its way is lost.
                self.wire_dies(wire);
                let after = time + self.below(2 * SECOND);
                self.after(after, Event::Down { wire, end, why: x0x::link::policy::End::Passing });
            }
        }
    }

    pub fn wake(&mut self, node: usize, stands: Stands) {
        let Some(since) = self.nodes[node].paused_at.take() else { return };
        self.say(|| format!("node {node} goes on"));
        let stood = self.now - since;
        if stands != Stands::Stopped {
            self.nodes[node].slept += stood;
        }
        if stands == Stands::Suspended {
            self.nodes[node].machine.zero += stood;
        }
        for event in std::mem::take(&mut self.nodes[node].put_off) {
            self.after(0, event);
        }
        let ends: Vec<(usize, usize)> = self.nodes[node].links.values().copied().collect();
        for (wire, end) in ends {
            self.look_at_lanes(wire, end);
        }
        let input = if stands == Stands::Asleep { Input::Woke } else { Input::Tick };
        self.tell(node, input);
    }
}
