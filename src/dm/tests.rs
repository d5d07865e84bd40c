use std::collections::BTreeSet;

use tempfile::TempDir;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::{StandIn, StandInVerifier};

use super::outbox::LINK_WAIT;
use super::store::{Op, Store};
use super::wire::{Frame, Message, Place, Refusal, SignedAck};
use super::*;
use crate::entropy::{RngExt, Seeded, seeded};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// One agent, with its disk.
struct Site {
    key: StandIn,
    dir: TempDir,
    store: Option<Store>,
    post: Option<Post>,
    /// How often it was started.
    life: u32,
    ops: Vec<Op>,
    written: u64,
    is_syncing: bool,
    told: Vec<(u64, Progress)>,
    arrived: Vec<String>,
    requests: u64,
}

#[derive(Debug)]
enum Event {
    Deliver { to: usize, from: usize, path: DmPath, bytes: Vec<u8>, epoch: u64 },
    Synced { site: usize, life: u32 },
    Tick { site: usize, life: u32 },
    Link(bool),
    Crash { site: usize, down: Duration },
    Start { site: usize },
    Say { site: usize, text: String },
    Fetched { site: usize, from: x0x_tracker::id::AgentId, place: Place, are_here: bool },
}

/// Two agents and what lies between them.
struct World {
    now: Duration,
    sites: Vec<Site>,
    events: std::collections::BTreeMap<(Duration, u64), Event>,
    count: u64,
    /// Which link it is; frames of an earlier one are lost.
    epoch: u64,
    is_linked: bool,
    /// Whether a call makes a link.
    can_link: bool,
    /// Of ten frames through others, how many are lost.
    lossy: u32,
    /// When the last frame over the link arrives, each way.
    last: [Duration; 2],
    dice: Seeded,
    frames: u64,
    /// Whether issues that messages carry can be had, and how often they were asked for.
    has_issues: bool,
    fetches: u64,
}

impl World {
    fn new(seed: u8) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            sites: Vec::new(),
            events: Default::default(),
            count: 0,
            epoch: 0,
            is_linked: false,
            can_link: true,
            lossy: 0,
            last: [Duration::ZERO; 2],
            dice: seeded([seed; 32]),
            frames: 0,
            has_issues: true,
            fetches: 0,
        };
        for number in 0..2 {
            world.sites.push(Site {
                key: StandIn::new(number),
                dir: tempfile::tempdir().unwrap(),
                store: None,
                post: None,
                life: 0,
                ops: Vec::new(),
                written: 0,
                is_syncing: false,
                told: Vec::new(),
                arrived: Vec::new(),
                requests: 0,
            });
        }
        (0..2).for_each(|site| world.start(site));
        world
    }

    fn agent(&self, site: usize) -> x0x_tracker::id::AgentId {
        self.sites[site].key.agent()
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + after, self.count), event);
    }

    fn wall_ms(&self) -> i64 {
        1_000_000 + self.now.as_millis() as i64
    }

    fn start(&mut self, site: usize) {
        if self.sites[site].post.is_some() {
            return;
        }
        let (me, other) = (self.agent(site), self.agent(1 - site));
        let wall_ms = self.wall_ms();
        let this = &mut self.sites[site];
        let (store, log, stored) = Store::open(this.dir.path(), wall_ms, 7).unwrap();
        (this.store, this.written, this.is_syncing) = (Some(store), 0, false);
        let verifier = std::sync::Arc::new(StandInVerifier);
        let start = Start { me, log, seed: [site as u8; 32], verifier, stored };
        this.post = Some(Post::new(self.now, start));
        self.tell(site, Input::Members([me, other].into()));
        self.tell(site, Input::Callable(other));
        self.tell(site, Input::Sealable(other));
    }

    fn crash(&mut self, site: usize) {
        self.link(false);
        let this = &mut self.sites[site];
        (this.post, this.store) = (None, None);
        this.ops.clear();
        this.life += 1;
    }

    fn link(&mut self, up: bool) {
        let are_both = self.sites.iter().all(|site| site.post.is_some());
        if up == self.is_linked || up && !(are_both && self.can_link) {
            return;
        }
        (self.is_linked, self.epoch) = (up, self.epoch + 1);
        for site in 0..2 {
            let other = self.agent(1 - site);
            self.tell(site, if up { Input::Up(other) } else { Input::Down(other) });
        }
    }

    fn tell(&mut self, site: usize, input: Input) {
        let (now, wall_ms) = (self.now, self.wall_ms());
        let Some(post) = self.sites[site].post.as_mut() else { return };
        let mut effects = Vec::new();
        post.handle(now, wall_ms, input, &mut effects);
        let deadline = post.deadline();
        effects.into_iter().for_each(|effect| self.carry(site, effect));
        if let Some(deadline) = deadline {
            let life = self.sites[site].life;
            self.at(deadline.saturating_sub(now), Event::Tick { site, life });
        }
    }

    fn carry(&mut self, site: usize, effect: Effect) {
        match effect {
            Effect::Write(op) => {
                let this = &mut self.sites[site];
                this.ops.push(op);
                let life = this.life;
                if !std::mem::replace(&mut this.is_syncing, true) {
                    self.at(MS / 2, Event::Synced { site, life });
                }
            }
            Effect::Send(_, frame) => self.send(site, frame),
            Effect::Whisper(_, frame) => self.whisper(site, frame),
            Effect::Call(_) => self.at(20 * MS, Event::Link(true)),
            Effect::Acknowledge(ack) => {
                let signed = SignedAck::new(&ack, &self.sites[site].key).unwrap();
                let frame = Frame::Ack(signed).write();
                match self.is_linked {
                    true => self.send(site, frame),
                    false => self.whisper(site, frame),
                }
            }
            Effect::Tell(request, progress) => self.sites[site].told.push((request, progress)),
            Effect::Arrived(envelope) => {
                let text = String::from_utf8(envelope.message.payload.clone()).unwrap();
                self.sites[site].arrived.push(text);
            }
            Effect::Fetch { from, place, .. } => {
                self.fetches += 1;
                let are_here = self.has_issues;
                self.at(50 * MS, Event::Fetched { site, from, place, are_here });
            }
            Effect::Far { .. } => panic!("nobody says such a thing here"),
            Effect::Breach(_) => panic!("nobody broke the protocol"),
        }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.frames += 1;
        if !self.is_linked {
            return;
        }
        let after = MS * self.dice.random_range(1..10);
        let arrives = (self.now + after).max(self.last[from]);
        self.last[from] = arrives;
        let (to, path, epoch) = (1 - from, DmPath::Quic, self.epoch);
        self.at(arrives - self.now, Event::Deliver { to, from, path, bytes, epoch });
    }

    fn whisper(&mut self, from: usize, bytes: Vec<u8>) {
        self.frames += 1;
        if self.dice.random_range(0..10) < self.lossy {
            return;
        }
        let after = MS * self.dice.random_range(20..400);
        let (to, path, epoch) = (1 - from, DmPath::Gossip, 0);
        self.at(after, Event::Deliver { to, from, path, bytes, epoch });
    }

    fn step(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        self.now = at;
        match event {
            Event::Deliver { path: DmPath::Quic, epoch, .. }
                if !self.is_linked || epoch != self.epoch => {}
            Event::Deliver { to, from, path, bytes, .. } => {
                let key = &self.sites[from].key;
                let (from, public_key) = (key.agent(), key.public_key().into());
                self.tell(to, Input::Frame { from, public_key, path, bytes });
            }
            Event::Synced { site, life } if self.sites[site].life == life => {
                let this = &mut self.sites[site];
                let ops = std::mem::take(&mut this.ops);
                this.is_syncing = false;
                if let Some(store) = this.store.as_mut() {
                    store.write(&ops).unwrap();
                    this.written += ops.len() as u64;
                    let written = this.written;
                    self.tell(site, Input::Stored(written));
                }
            }
            Event::Tick { site, life } if self.sites[site].life == life => {
                let post = self.sites[site].post.as_ref();
                if post.and_then(Post::deadline).is_some_and(|deadline| deadline <= at) {
                    self.tell(site, Input::Tick);
                }
            }
            Event::Synced { .. } | Event::Tick { .. } => {}
            Event::Link(up) => self.link(up),
            Event::Crash { site, down } => {
                self.crash(site);
                self.at(down, Event::Start { site });
            }
            Event::Start { site } => self.start(site),
            Event::Say { site, text } => self.say(site, &text),
            Event::Fetched { site, from, place, are_here } => {
                self.tell(site, Input::Fetched { from, place, are_here });
            }
        }
        true
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.step();
        }
        self.now = end;
    }

    fn say(&mut self, site: usize, text: &str) {
        let to = self.agent(1 - site);
        let ttl_ms = Some(TTL_MAX.as_millis() as u64);
        self.ask(site, Draft { ttl_ms, ..Draft::text(to, text) }, false);
    }

    fn ask(&mut self, site: usize, draft: Draft, ends_on_full: bool) -> u64 {
        self.sites[site].requests += 1;
        let request = self.sites[site].requests;
        self.tell(site, Input::Send { request, draft, ends_on_full });
        request
    }

    /// What a site was told of a request, the newest last.
    fn told(&self, site: usize, request: u64) -> Vec<&Progress> {
        let told = self.sites[site].told.iter().filter(|(of, _)| *of == request);
        told.map(|(_, progress)| progress).collect()
    }

    fn inbox(&self, site: usize) -> Vec<String> {
        let reader = self.sites[site].store.as_ref().unwrap().reader();
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            let part = reader.after(after, 500).unwrap();
            let Some(last) = part.last() else { return found };
            after = last.number;
            found.extend(
                part.into_iter().map(|one| String::from_utf8(one.message.payload).unwrap()),
            );
        }
    }
}

#[test]
fn a_direct_message_over_a_link_is_stored_acknowledged_and_told_once() {
    let mut world = World::new(1);
    world.link(true);
    let to = world.agent(1);
    let request = world.ask(0, Draft::text(to, "hello"), false);
    world.run_for(SECOND);
    let told = world.told(0, request);
    let Some(Progress::Delivered(receipt)) = told.last() else { panic!("{told:?}") };
    assert_eq!((receipt.path, receipt.attempts), (Some(DmPath::Quic), 1));
    assert!(receipt.latency_us.unwrap() < 25_000 && receipt.delivered_at_ms.is_some());
    assert_eq!(
        (world.inbox(1), &world.sites[1].arrived),
        (vec!["hello".to_owned()], &vec!["hello".to_owned()])
    );
    let depth = world.sites[0].post.as_ref().unwrap().depth();
    assert_eq!((depth.outbox, depth.outbox_bytes), (0, 0));
    assert_eq!(world.frames, 2, "a message and what acknowledges it");
}

#[test]
fn a_self_dm_needs_no_link_no_member_and_no_frame() {
    let mut world = World::new(2);
    world.tell(0, Input::Members([].into()));
    let me = world.agent(0);
    let request = world.ask(0, Draft::text(me, "note"), true);
    world.run_for(SECOND);
    let told = world.told(0, request);
    let Some(Progress::Delivered(receipt)) = told.last() else { panic!("{told:?}") };
    assert_eq!((receipt.path, receipt.attempts), (Some(DmPath::Loopback), 1));
    assert_eq!((world.inbox(0), world.frames), (vec!["note".to_owned()], 0));
    let rows = world.sites[0].post.as_ref().unwrap().rows();
    assert_eq!((rows.len(), rows[0].path, rows[0].delivered), (1, DmPath::Loopback, 1));
}

#[test]
fn whom_no_link_reaches_is_called_and_then_written_to_through_others() {
    let mut world = World::new(3);
    world.can_link = false;
    let to = world.agent(1);
    let request = world.ask(0, Draft::text(to, "far"), false);
    world.run_for(LINK_WAIT - MS);
    assert_eq!(world.frames, 0, "a link is waited for");
    world.run_for(2 * SECOND);
    let told = world.told(0, request);
    let Some(Progress::Delivered(receipt)) = told.last() else { panic!("{told:?}") };
    assert_eq!((receipt.path, &receipt.tried[..]), (Some(DmPath::Gossip), &[DmPath::Gossip][..]));
    assert_eq!(world.inbox(1), ["far"]);
}

#[test]
fn a_direct_message_whose_link_dies_is_not_said_to_be_delivered_and_goes_again() {
    let mut world = World::new(4);
    world.link(true);
    let to = world.agent(1);
    let request = world.ask(0, Draft::text(to, "hello"), false);
    world.link(false);
    world.can_link = false;
    world.lossy = 10;
    world.run_for(20 * SECOND);
    let told = world.told(0, request);
    assert!(matches!(told.last(), Some(Progress::Accepted(_))), "{told:?}");
    (world.can_link, world.lossy) = (true, 0);
    world.link(true);
    world.run_for(SECOND);
    let Some(Progress::Delivered(receipt)) = world.told(0, request).last().copied() else {
        panic!()
    };
    assert!(receipt.attempts >= 2 && receipt.tried.contains(&DmPath::Gossip), "{receipt:?}");
    assert_eq!(world.inbox(1), ["hello"]);
}

#[test]
fn of_links_cut_frames_lost_and_both_ends_killed_each_direct_message_enters_the_inbox_once_in_order()
 {
    for seed in 10..26 {
        let mut world = World::new(seed);
        world.lossy = u32::from(seed % 4) * 2;
        const COUNT: usize = 300;
        let mut at = Duration::ZERO;
        for n in 0..COUNT {
            at += MS * world.dice.random_range(0..120);
            for site in 0..2 {
                world.at(at, Event::Say { site, text: format!("{site}-{n}") });
            }
        }
        for _ in 0..40 {
            let when = MS * world.dice.random_range(0..20_000);
            let site = world.dice.random_range(0..2);
            let event = match world.dice.random_range(0..10) {
                0..4 => Event::Link(false),
                4..8 => Event::Link(true),
                _ => Event::Crash { site, down: MS * world.dice.random_range(10..2_000) },
            };
            world.at(when, event);
        }
        world.run_for(30 * SECOND);
        world.at(Duration::ZERO, Event::Start { site: 0 });
        world.at(Duration::ZERO, Event::Start { site: 1 });
        world.at(MS, Event::Link(true));
        world.run_for(120 * SECOND);
        for site in 0..2 {
            let inbox = world.inbox(1 - site);
            let number = |text: &String| text[2..].parse::<usize>().unwrap();
            let numbers: Vec<usize> = inbox.iter().map(number).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: {inbox:?}");
            assert!(numbers.len() > COUNT / 2, "seed {seed}: {}", numbers.len());
            let post = world.sites[site].post.as_ref().unwrap();
            assert_eq!(post.depth().outbox, 0, "seed {seed}: everything is delivered");
            // Whatever was said to be on disk has come.
            let came: BTreeSet<usize> = numbers.into_iter().collect();
            let accepted = world.sites[site].told.iter();
            let accepted = accepted
                .filter(|(_, told)| matches!(told, Progress::Accepted(_) | Progress::Delivered(_)));
            let accepted: BTreeSet<u64> = accepted.map(|(request, _)| *request).collect();
            assert!(
                came.len() >= accepted.len(),
                "seed {seed}: {} of {}",
                came.len(),
                accepted.len()
            );
        }
    }
}

#[test]
fn an_inbox_that_is_full_holds_its_sender_back_and_whoever_waits_is_told() {
    let mut world = World::new(5);
    world.link(true);
    let to = world.agent(1);
    let large = |n: usize| Draft {
        payload: vec![b'x'; PAYLOAD_BYTES_MAX],
        ..Draft::text(to, &n.to_string())
    };
    let fits = BYTES_MAX / (PAYLOAD_BYTES_MAX + 32);
    for n in 0..fits {
        world.ask(0, large(n), false);
        world.run_for(5 * MS);
    }
    world.run_for(5 * SECOND);
    assert_eq!(world.sites[1].arrived.len(), fits);
    let waits = world.ask(0, large(0), true);
    let queued = world.ask(0, large(1), false);
    world.run_for(SECOND);
    let told = world.told(0, waits);
    assert!(matches!(told.last(), Some(Progress::Failed(DmError::InboxFull { .. }))), "{told:?}");
    assert!(matches!(world.told(0, queued).last(), Some(Progress::Accepted(_))));
    world.tell(1, Input::Release(3));
    world.run_for(60 * SECOND);
    assert!(matches!(world.told(0, queued).last(), Some(Progress::Delivered(_))));
    assert_eq!(world.sites[1].arrived.len(), fits + 1);
    // Oneself is no exception.
    let me = world.agent(1);
    world.ask(1, Draft { payload: vec![b'x'; PAYLOAD_BYTES_MAX], ..Draft::text(me, "") }, true);
    world.run_for(SECOND);
    let fill =
        world.ask(1, Draft { payload: vec![b'x'; PAYLOAD_BYTES_MAX], ..Draft::text(me, "") }, true);
    world.run_for(SECOND);
    let again =
        world.ask(1, Draft { payload: vec![b'x'; PAYLOAD_BYTES_MAX], ..Draft::text(me, "") }, true);
    world.run_for(SECOND);
    let last = [fill, again].map(|request| world.told(1, request).last().cloned().cloned());
    assert!(matches!(last[1], Some(Progress::Failed(DmError::InboxFull { .. }))), "{last:?}");
}

#[test]
fn an_outbox_takes_so_many_direct_messages_and_no_more_and_gives_up_those_whose_time_is_over() {
    let mut world = World::new(6);
    (world.can_link, world.lossy) = (false, 10);
    let to = world.agent(1);
    let draft = |n: usize| Draft { ttl_ms: Some(4_000), ..Draft::text(to, &n.to_string()) };
    let first = world.ask(0, draft(0), false);
    for n in 1..MESSAGES_MAX {
        world.ask(0, draft(n), false);
    }
    let more = world.ask(0, draft(0), false);
    assert_eq!(world.told(0, more), [&Progress::Failed(DmError::OutboxFull)]);
    world.run_for(10 * SECOND);
    let told = world.told(0, first);
    assert!(matches!(told.last(), Some(Progress::Failed(DmError::Expired { .. }))), "{told:?}");
    let depth = world.sites[0].post.as_ref().unwrap().depth();
    assert_eq!((depth.outbox, depth.outbox_bytes), (0, 0));
    // Nothing of it waits on the disk either.
    world.crash(0);
    world.start(0);
    assert_eq!(world.sites[0].post.as_ref().unwrap().depth().outbox, 0);
}

#[test]
fn whoever_is_no_member_or_blocked_is_refused_and_told_why() {
    let mut world = World::new(7);
    world.link(true);
    let (ann, bob) = (world.agent(0), world.agent(1));
    let stranger = x0x_tracker::id::AgentId([9; 32]);
    let request = world.ask(0, Draft::text(stranger, "x"), false);
    let unknown = Progress::Failed(DmError::RecipientUnknown { to: stranger });
    assert_eq!(world.told(0, request), [&unknown]);
    world.tell(1, Input::Block(ann, true));
    let request = world.ask(0, Draft::text(bob, "x"), false);
    world.run_for(SECOND);
    let refused = Progress::Failed(DmError::NotAllowed { to: bob });
    assert_eq!(world.told(0, request).last(), Some(&&refused));
    world.tell(1, Input::Block(ann, false));
    let request = world.ask(0, Draft::text(bob, "y"), false);
    world.run_for(SECOND);
    assert!(matches!(world.told(0, request).last(), Some(Progress::Delivered(_))));
    world.tell(1, Input::Members([bob].into()));
    let request = world.ask(0, Draft::text(bob, "z"), false);
    world.run_for(3 * SECOND);
    let told = world.told(0, request);
    assert!(
        matches!(told.last(), Some(Progress::Accepted(_))),
        "it may not be known yet: {told:?}"
    );
    world.run_for(5 * SECOND);
    assert_eq!(world.told(0, request).last(), Some(&&refused));
    assert_eq!(world.inbox(1), ["y"]);
    let rows = world.sites[1].post.as_ref().unwrap().rows();
    let quic = rows.iter().find(|row| row.path == DmPath::Quic).unwrap();
    assert_eq!((quic.received, quic.turned_away), (1, 1), "while it was a member");
    assert!((2..20).contains(&world.sites[1].post.as_ref().unwrap().strangers()));
}

#[test]
fn a_direct_message_that_is_asked_for_twice_with_one_id_goes_once() {
    let mut world = World::new(8);
    let to = world.agent(1);
    let named = |text: &str| Draft { message_id: Some("m1".to_owned()), ..Draft::text(to, text) };
    let requests = [world.ask(0, named("a"), false), world.ask(0, named("a"), false)];
    world.link(true);
    world.run_for(SECOND);
    let late = world.ask(0, named("a"), false);
    for request in requests.into_iter().chain([late]) {
        assert!(matches!(world.told(0, request).last(), Some(Progress::Delivered(_))));
    }
    assert_eq!(world.inbox(1), ["a"]);
    let other = world.ask(0, named("b"), false);
    let taken = DmError::MessageIdTaken { message_id: "m1".to_owned() };
    assert_eq!(world.told(0, other), [&Progress::Failed(taken)]);
    for id in [String::new(), "x".repeat(MESSAGE_ID_BYTES_MAX + 1)] {
        let bad = world.ask(0, Draft { message_id: Some(id), ..Draft::text(to, "a") }, false);
        assert_eq!(world.told(0, bad), [&Progress::Failed(DmError::BadMessageId)]);
    }
    let bytes = PAYLOAD_BYTES_MAX + 1;
    let large = world.ask(0, Draft { payload: vec![0; bytes], ..Draft::text(to, "") }, false);
    assert_eq!(world.told(0, large), [&Progress::Failed(DmError::PayloadTooLarge { bytes })]);
}

#[test]
fn a_direct_message_with_an_id_goes_once_whenever_its_sender_is_killed_and_asks_again() {
    let mut again = 0;
    for seed in 0..32 {
        let mut world = World::new(100 + seed);
        world.can_link = seed % 4 != 0;
        world.link(true);
        for whom in [1, 0] {
            let to = world.agent(whom);
            let draft = || Draft { message_id: Some("job-1".to_owned()), ..Draft::text(to, "x") };
            for _ in 0..4 {
                world.ask(0, draft(), false);
                let life = MS * world.dice.random_range(0..40) / 4;
                world.run_for(life);
                world.at(Duration::ZERO, Event::Crash { site: 0, down: 10 * MS });
                world.run_for(12 * MS);
                world.link(true);
                again += u64::from(world.inbox(whom).len() == 1);
            }
            let request = world.ask(0, draft(), false);
            world.run_for(120 * SECOND);
            let Some(Progress::Delivered(receipt)) = world.told(0, request).last() else {
                panic!("seed {seed}: {:?}", world.told(0, request));
            };
            assert_eq!(receipt.message_id, "job-1");
            assert_eq!(world.inbox(whom), ["x"], "seed {seed}");
            // That it was delivered is known for good.
            world.ask(0, Draft::text(to, "y"), false);
            world.run_for(SECOND);
            world.at(Duration::ZERO, Event::Crash { site: 0, down: 10 * MS });
            world.run_for(120 * SECOND);
            let frames = world.frames;
            let request = world.ask(0, draft(), false);
            assert!(matches!(world.told(0, request)[..], [Progress::Delivered(_)]), "seed {seed}");
            assert_eq!((world.frames, world.inbox(whom).len()), (frames, 2), "seed {seed}");
            let other = Draft { payload: b"z".to_vec(), ..draft() };
            let request = world.ask(0, other, false);
            let taken = DmError::MessageIdTaken { message_id: "job-1".to_owned() };
            assert_eq!(world.told(0, request), [&Progress::Failed(taken)]);
        }
    }
    assert!(again > 32, "it had come before it was asked for again, {again} times");
}

#[test]
fn a_direct_message_that_carries_issues_waits_for_them_and_those_behind_it_do_too() {
    let mut world = World::new(27);
    world.link(true);
    world.has_issues = false;
    let to = world.agent(1);
    let issue = x0x_tracker::tasklist::IssueAt {
        key: x0x_tracker::id::DocumentKey([4; 32]),
        id: "T-1".to_owned(),
        heads: vec![[5; 32]],
    };
    let carried = Carried { list: x0x_tracker::id::ListId([3; 32]), issue };
    let with = |count| Draft { issues: vec![carried.clone(); count], ..Draft::text(to, "a") };
    let first = world.ask(0, with(2), false);
    let second = world.ask(0, Draft::text(to, "b"), false);
    world.run_for(20 * SECOND);
    assert_eq!(world.inbox(1), Vec::<String>::new());
    assert!((2..200).contains(&world.fetches), "{}", world.fetches);
    world.has_issues = true;
    world.run_for(10 * SECOND);
    for request in [first, second] {
        assert!(matches!(world.told(0, request).last(), Some(Progress::Delivered(_))));
    }
    assert_eq!(world.inbox(1), ["a", "b"]);
    let many = world.ask(0, with(ISSUES_MAX + 1), false);
    let issues = ISSUES_MAX + 1;
    assert_eq!(world.told(0, many), [&Progress::Failed(DmError::TooManyIssues { issues })]);
}

#[test]
fn where_what_was_under_way_expires_the_rest_goes_on_without_haste() {
    let mut world = World::new(28);
    world.link(true);
    let (ann, to) = (world.agent(0), world.agent(1));
    // Nobody answers: the messages that fill the window are over before that is noticed.
    world.tell(1, Input::Down(ann));
    world.sites[1].post = None;
    for n in 0..WINDOW + 10 {
        let ttl_ms = Some(if n < WINDOW { 2_000 } else { 600_000 });
        world.ask(0, Draft { ttl_ms, ..Draft::text(to, &n.to_string()) }, false);
    }
    world.run_for(ACK_WAIT + SECOND);
    assert_eq!(world.frames, WINDOW as u64 + 10, "each was sent once");
    world.run_for(54 * SECOND);
    let (frames, depth) = (world.frames, world.sites[0].post.as_ref().unwrap().depth());
    assert_eq!(depth.outbox, 10);
    assert!(frames < WINDOW as u64 + 10 * 12, "{frames}");
}

#[test]
fn what_a_disk_refused_was_never_taken_and_comes_again() {
    let mut world = World::new(9);
    world.link(true);
    let to = world.agent(1);
    let request = world.ask(0, Draft::text(to, "a"), false);
    // It is taken, and the disk fails before it is stored.
    while world.sites[1].ops.is_empty() {
        assert!(world.step());
    }
    world.sites[1].ops.clear();
    world.sites[1].written += 1;
    world.tell(1, Input::NotStored("full".to_owned()));
    assert!(world.sites[1].ops.iter().any(|op| matches!(op, Op::Resume)));
    world.ask(0, Draft::text(to, "b"), false);
    world.run_for(60 * SECOND);
    assert!(matches!(world.told(0, request).last(), Some(Progress::Delivered(_))));
    assert_eq!(world.inbox(1), ["a", "b"]);
}

#[test]
fn frames_say_what_they_were_made_of_and_others_are_no_frames() {
    let key = StandIn::new(3);
    let message = Message {
        from: key.agent(),
        to: x0x_tracker::id::AgentId([2; 32]),
        place: Place { log: 7, number: 1 },
        message_id: "m".to_owned(),
        sent_at_ms: -5,
        form: Form::Text,
        payload: b"hello".to_vec(),
        issues: Vec::new(),
    };
    let ack = wire::Ack { from: key.agent(), to: message.to, up_to: message.place };
    let signed = SignedAck::new(&ack, &key).unwrap();
    assert_eq!(signed.verified(key.public_key(), &StandInVerifier), Some(ack));
    assert_eq!(signed.verified(StandIn::new(4).public_key(), &StandInVerifier), None);
    let whole =
        |message: Message| Frame::Message { message, after: Some(Place { log: 6, number: 9 }) };
    let refused = Frame::Refused { place: message.place, why: Refusal::Gap };
    for frame in [whole(message.clone()), Frame::Ack(signed), refused] {
        assert_eq!(Frame::read(&frame.write()).unwrap(), frame);
    }
    let changed = |change: &dyn Fn(&mut Message)| {
        let mut message = message.clone();
        change(&mut message);
        Frame::read(&whole(message).write())
    };
    assert!(changed(&|m| m.payload = vec![b'x'; PAYLOAD_BYTES_MAX]).is_ok());
    assert!(changed(&|m| m.payload = vec![b'x'; PAYLOAD_BYTES_MAX + 1]).is_err());
    assert!(changed(&|m| m.message_id = String::new()).is_err());
    assert!(changed(&|m| m.message_id = "m".repeat(MESSAGE_ID_BYTES_MAX + 1)).is_err());
    assert!(changed(&|m| m.payload = vec![0xff]).is_err(), "no text");
    assert!(changed(&|m| (m.form, m.payload) = (Form::Bytes, vec![0xff])).is_ok());
    assert!(changed(&|m| m.place.number = 0).is_err());
    assert!(Frame::read(&[]).is_err() && Frame::read(&[1, 9, 9]).is_err());
}
