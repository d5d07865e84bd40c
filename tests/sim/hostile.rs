//! A member that lies. It runs a hub, so that it is linked and believed, and says besides what no honest
//! node says: garbage, frames of others again, commits that prove nothing or that no document takes,
//! numbers that never come, and floods.

use x0x::clerk;
use x0x::hub::{Effect, Input};
use x0x::link::policy::LinkId;
use x0x::wire::{self, Answer, Control, Digest, Lane, NEWS_MAX, Payload, Standing};
use x0x_tracker::Tracker;
use x0x_tracker::document::Birth;
use x0x_tracker::id::{AgentId, CommitHash, LogId};
use x0x_tracker::interface::Draft;
use x0x_tracker::journal::commit::{
    Body, Commit, Entry, Header, Position, SIGNATURE_EVERY, body_hash, decode_header, encode_body,
};
use x0x_tracker::journal::run::{Proved, Run};
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::tasklist::{Outgoing, Verdict};
use x0x_tracker::testing::StandInVerifier;

use crate::check::PEACE;
use crate::links::LaneKey;
use crate::scenarios::meet;
use crate::world::{Event, MILLISECOND, SECOND, World};

/// How many frames are kept to be sent again.
const KEPT_MAX: usize = 64;

/// How often it does something.
const EVERY: (u64, u64) = (20 * MILLISECOND, 200 * MILLISECOND);

impl World {
    /// Lets a node lie from now on.
    pub fn corrupt(&mut self, node: usize) {
        self.nodes[node].is_lying = true;
        self.after(0, Event::Lie { node });
    }

    /// Returns what a node does instead of an effect: a lying one answers pulls as it likes.
    pub fn instead(&mut self, node: usize, effect: Effect) -> Option<Effect> {
        if !self.nodes[node].is_lying {
            return Some(effect);
        }
        match effect {
            Effect::Serve { link, stream, .. } => {
                self.lie_in_answer(node, link, stream);
                None
            }
            Effect::Send { lane, frame, link } => {
                if self.nodes[node].kept.len() < KEPT_MAX {
                    self.nodes[node].kept.push((lane, frame.clone()));
                }
                Some(Effect::Send { link, lane, frame })
            }
            effect => Some(effect),
        }
    }

    fn some_bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    fn some_log(&mut self, agent: AgentId) -> LogId {
        LogId { agent, nonce: x0x::entropy::draw(&mut self.dice) }
    }

    fn some_position(&mut self) -> Position {
        let number = self.between(1, 1 << 40);
        Position { number, hash: CommitHash(x0x::entropy::draw(&mut self.dice)) }
    }

    fn some_agent(&mut self) -> AgentId {
        let node = self.below(self.nodes.len() as u64) as usize;
        self.nodes[node].agent
    }

    fn some_places(&mut self, count: usize) -> Vec<(LogId, Position)> {
        let mut places: Vec<(LogId, Position)> = (0..count)
            .map(|_| {
                let agent = self.some_agent();
                (self.some_log(agent), self.some_position())
            })
            .collect();
        places.sort_by_key(|(log, _)| *log);
        places
    }

    pub fn lie(&mut self, node: usize) {
        let (least, most) = EVERY;
        let after = self.between(least, most);
        self.after(after, Event::Lie { node });
        if self.nodes[node].hub.is_none() {
            return;
        }
        let links: Vec<LinkId> = self.nodes[node].links.keys().copied().collect();
        if links.is_empty() {
            return;
        }
        let link = links[self.below(links.len() as u64) as usize];
        self.counts.lies += 1;
        // Those that end a link are rarer, so that there is one over which the others can be told.
        match self.below(100) {
            0..3 => {
                let count = self.below(400) as usize;
                let bytes = self.some_bytes(count);
                let lanes = [Lane::Control, Lane::Pubsub];
                let lane = lanes[self.below(2) as usize];
                self.send_frame(node, link, lane, bytes);
            }
            3..5 => {
                let bytes = vec![1; Lane::Pubsub.frame_bytes_max() + 1];
                self.send_frame(node, link, Lane::Pubsub, bytes);
            }
            5..25 => {
                let kept = self.nodes[node].kept.len() as u64;
                let at = self.below(kept) as usize;
                if let Some((lane, frame)) = self.nodes[node].kept.get(at).cloned() {
                    self.send_frame(node, link, lane, frame);
                }
            }
            25..40 => {
                let list = self.list;
                let hash = x0x::entropy::draw(&mut self.dice);
                let digest = Digest { list, hash, wants_answer: self.chance(0.5) };
                for _ in 0..self.below(50) {
                    let frame = wire::encode(&Control::Digest(digest));
                    self.send_frame(node, link, Lane::Control, frame);
                }
            }
            40..55 => {
                for _ in 0..self.below(20) {
                    let (list, places) = (self.list, self.some_places(NEWS_MAX));
                    let frame = wire::encode(&Control::News { list, places });
                    self.send_frame(node, link, Lane::Control, frame);
                }
            }
            55..70 => {
                // Its hub believes what it is told, and tells everybody.
                for _ in 0..self.below(20) {
                    let agent = self.some_agent();
                    let (list, place) = (self.list, (self.some_log(agent), self.some_position()));
                    let run = Run { headers: vec![vec![7; 100]], signature: vec![7; 100] };
                    let payload = Some(Payload::Moved(run)).filter(|_| self.chance(0.5));
                    self.tell(node, Input::Wrote { list, place, payload });
                }
            }
            70..80 => self.broadcast_commit(node, Forgery::Signature),
            80..85 => self.broadcast_commit(node, Forgery::Void),
            _ => self.broadcast_commit(node, Forgery::Gap),
        }
    }

    fn broadcast_commit(&mut self, node: usize, forgery: Forgery) {
        let nonce = match forgery {
            Forgery::Gap => [9; 8],
            // A void commit closes its log, so each has a new one.
            _ => x0x::entropy::draw(&mut self.dice),
        };
        let log = LogId { agent: self.nodes[node].agent, nonce };
        let number = if forgery == Forgery::Gap { self.between(2, 1 << 20) } else { 1 };
        let birth = Birth { id: "S-bad".to_owned(), created_at: None };
        let entry = Entry { birth, changes: vec![b"no change".to_vec()] };
        let body = encode_body(&Body { entries: vec![entry] });
        let previous = (number > 1).then(|| CommitHash(x0x::entropy::draw(&mut self.dice)));
        let header = Header {
            list: self.list,
            log,
            number,
            previous,
            body: body_hash(&body),
            after: Vec::new(),
            charter: self.nodes[node].tracker().charter().unwrap().heads(),
            rules: 1,
        };
        let mut commit = Commit::sign(&header, body, &self.nodes[node].key).unwrap();
        if forgery == Forgery::Signature
            && let Some(signature) = &mut commit.signature
        {
            signature[7] ^= 1;
        }
        let place = (log, Position { number, hash: commit.hash() });
        let payload = Payload::announcing(commit, self.chance(0.8));
        self.tell(node, Input::Wrote { list: self.list, place, payload });
    }

    fn lie_in_answer(&mut self, node: usize, link: LinkId, stream: u64) {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let answer = match self.below(6) {
            0 => {
                let count = self.between(1, 3_000) as usize;
                let logs = self.some_places(count);
                let voids = logs.iter().map(|(log, at)| (*log, at.number, at.hash)).collect();
                Answer::End(Standing { logs, charter: Vec::new(), voids })
            }
            1 => {
                let (log, body) = (self.some_places(1)[0].0, self.some_bytes(100));
                Answer::Items(vec![Item::Body { log, number: 1, body }])
            }
            2 => {
                let headers = vec![self.some_bytes(300)];
                Answer::Items(vec![Item::Run(Run { headers, signature: vec![0; 3_309] })])
            }
            3 => Answer::Headers(None),
            4 => Answer::NotServed,
            // Nothing ever comes.
            _ => return,
        };
        self.send(wire, 1 - end, LaneKey::Stream(stream), wire::encode(&answer));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgery {
    Signature,
    Void,
    Gap,
}

#[test]
fn a_lying_member_keeps_nobody_from_anybody() {
    for seed in 0..3 {
        let mut world = meet(100 + seed, 6);
        let liar = 1 + seed as usize;
        world.corrupt(liar);
        for at in 0..60 {
            let node = (at as usize) % 6;
            if node != liar {
                world.at(world.now + at * SECOND, Event::Work { node });
            }
        }
        world.run_for(70 * SECOND);
        // It goes on while the others are held against what must be.
        let took = world.become_level(30 * SECOND);
        let honest = world.honest();
        let before: Vec<u64> = honest.iter().map(|node| world.nodes[*node].sent_bytes).collect();
        world.run_for(PEACE);
        assert!(world.is_level());
        let text = world.canonical(honest[0]);
        assert_eq!(world.ledger.missing(&text), [""; 0]);
        let sent = honest.iter().zip(before).map(|(n, before)| world.nodes[*n].sent_bytes - before);
        let most = sent.max().unwrap() / (PEACE / SECOND);
        eprintln!(
            "{} lies, {} links ended for them, level after {:.1} s, {most} bytes/s, {:?}",
            world.counts.lies,
            world.counts.breaches,
            took as f64 / SECOND as f64,
            world.peaks,
        );
        assert!(world.counts.lies > 300 && world.counts.breaches > 3);
    }
}

/// Two honest stores of which one knows a commit to be void that would stand far before the end of what
/// the other holds of that log.
#[test]
fn a_void_commit_far_before_the_end_of_a_log_parts_nobody() {
    let mut world = meet(110, 3);
    let (long, short, author) = (0, 1, 2);
    world.stop(author);
    world.nodes[author].is_lying = true;
    world.part(&[long], 30 * SECOND, false);

    let before = world.nodes[long].tracker().frontier().unwrap();
    let writer = world.open_or_running(author);
    for n in 0..3 * SIGNATURE_EVERY {
        writer.create(&Draft::titled(&format!("told to one: {n}"))).unwrap();
    }
    let (log, _) = writer.own_place().unwrap().unwrap();
    let first = writer.commit_at(log, 1).unwrap().unwrap();
    let items = writer.send(&mut Outgoing::to(before, true), usize::MAX).unwrap();
    let told = world.nodes[long].tracker().receive(&mut Incoming::default(), items).unwrap();
    assert!(told.stopped_by.is_none(), "{:?}", told.stopped_by);

    let header = decode_header(&first.header).unwrap();
    let void = (0_u64..).map(|n| {
        let birth = Birth { id: "S-void".to_owned(), created_at: None };
        let entry = Entry { birth, changes: vec![n.to_le_bytes().to_vec()] };
        let body = encode_body(&Body { entries: vec![entry] });
        let header = Header { body: body_hash(&body), ..header.clone() };
        Commit::sign(&header, body, &world.nodes[author].key).unwrap()
    });
    let void = void.take(100).find(|void| void.hash() < first.hash()).unwrap();
    let (list, charter) = (world.list, world.nodes[short].tracker().charter().unwrap());
    let void = Proved::signed(void, list, &charter, &StandInVerifier).unwrap();
    let verdicts = world.nodes[short].tracker().judge(&[void]).unwrap();
    assert!(matches!(verdicts[..], [Verdict::Void(_)]), "{verdicts:?}");

    for node in [long, short] {
        let opened = clerk::opened(world.nodes[node].tracker(), list).unwrap();
        world.tell(node, opened);
    }
    world.run_for(31 * SECOND);
    world.become_level(90 * SECOND);
    assert!(world.nodes[long].tracker().frontier().unwrap().position(log).is_none());
}
