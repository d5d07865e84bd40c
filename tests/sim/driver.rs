//! What the driver does for a hub: it carries out each effect as `src/node/{carrier,errands}.rs` do, and
//! runs the streams of pulls.

use std::collections::VecDeque;

use x0x::clerk::{self, STALL_MAX};
use x0x::hub::{Effect, Input, Note};
use x0x::link::Farewell;
use x0x::link::policy::LinkId;
use x0x::wire::{self, Answer, JoinRefusal, Lane, Request, Standing};
use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::tasklist::Outgoing;
use x0x_tracker::testing::StandInVerifier;

use crate::faults::Fault;
use crate::links::LaneKey;
use crate::world::{Event, MILLISECOND, SECOND, Time, World};

/// How many runs of headers are looked at for one fork (`src/node/forks.rs`).
const STEPS_MAX: usize = 4_096;

/// What is asked for on a stream.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Pull,
    /// Where a log parts; how many runs of headers were looked at.
    Fork {
        log: LogId,
        steps: usize,
    },
    /// What this agent wrote and the other side does not count.
    Lost,
}

/// A request whose answer is coming.
pub struct Pull {
    purpose: Purpose,
    from: AgentId,
    incoming: Incoming,
    /// Answers that came while the store was busy with one.
    came: VecDeque<Vec<u8>>,
    is_storing: bool,
    /// Whether its link is gone.
    is_cut: bool,
    pub has_some: bool,
    since: Time,
}

/// An answer to a pull that goes on.
pub struct Serve {
    to: AgentId,
    outgoing: Outgoing,
}

impl World {
    pub fn carry(&mut self, node: usize, effect: Effect) {
        let Some(effect) = self.instead(node, effect) else { return };
        match effect {
            Effect::Dial { address, wanted } => self.dial(node, address, wanted),
            Effect::End { .. } if self.nodes[node].is_dying => {}
            Effect::End { link, why } => self.end_link(node, link, why),
            Effect::Send { link, lane, frame } => {
                assert!(frame.len() <= lane.frame_bytes_max(), "node {node}: a frame too long");
                self.send_frame(node, link, lane, frame);
            }
            Effect::Remember { agent, addresses } => {
                self.nodes[node].known.insert(agent, addresses);
            }
            Effect::Around { around, .. } => *self.nodes[node].around.lock().unwrap() = around,
            Effect::RememberHeard(heard) => {
                let this = &mut self.nodes[node];
                let now_ms = this.clock_ms();
                let at =
                    heard.into_iter().map(|(agent, ago)| (agent, now_ms - ago.as_millis() as i64));
                this.heard.extend(at);
            }
            Effect::Note(note) => self.note(node, note),
            Effect::Pull { link, from, standing, .. } => self.pull(node, link, from, standing),
            Effect::Serve { link, stream, to, standing, rules, .. } => {
                self.serve(node, link, stream, to, standing, rules);
            }
            Effect::ServeHeaders { link, stream, log, from, .. } => {
                self.store(node, move |world, node| {
                    let headers = world.nodes[node].tracker().headers(log, from).unwrap();
                    world.reply(node, link, stream, Some(&Answer::Headers(headers)));
                });
            }
            Effect::ServeLost { link, stream, to, .. } => self.store(node, move |world, node| {
                let tracker = world.nodes[node].tracker();
                let mut outgoing = clerk::lost(tracker, to).unwrap();
                let mut next = || clerk::answer_lost(tracker, &mut outgoing).unwrap();
                let answers: Vec<_> = std::iter::from_fn(&mut next).collect();
                for answer in answers {
                    world.reply(node, link, stream, Some(&answer));
                }
                world.reply(node, link, stream, None);
            }),
            Effect::Refuse { link, stream } => {
                self.reply(node, link, stream, Some(&Answer::NotServed));
            }
            // Nobody writes to anybody here, and cards name no keys: nothing is sealed.
            Effect::Members { .. }
            | Effect::SealKey { .. }
            | Effect::Sealed(_)
            | Effect::Whisper { .. }
            | Effect::ServeFar { .. }
            | Effect::StoreFar { .. } => {}
            effect => self.run_errand(node, effect),
        }
    }

    fn note(&mut self, node: usize, note: Note) {
        self.say(|| format!("node {node}: {note:?}"));
        if let Note::Breach { peer, what } = &note {
            self.counts.breaches += 1;
            let blamed = self.nodes.iter().position(|node| node.agent == *peer).unwrap();
            let is_fair = self.nodes[blamed].is_lying || self.nodes[node].is_lying;
            assert!(is_fair, "node {node} says node {blamed} broke the protocol: {what}");
        }
        if let Note::NotJoined { why, .. } = &note {
            // Whoever issued the ticket was put back to before that: somebody issues another one.
            let went_back = self.counts.earlier_disks + self.counts.restored > 0;
            let is_fair = went_back && *why == JoinRefusal::Unknown;
            assert!(is_fair, "node {node} was not let in: {why:?}");
            let again = Fault::Join { newcomer: node, issuer: 0 };
            self.after(5 * SECOND, Event::Fault(again));
        }
    }

    /// Ends a link over which something came that no honest node sends.
    pub fn breach(&mut self, node: usize, link: LinkId, what: &str) {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let peer = self.wires[wire].ends[1 - end].node;
        let is_fair = self.nodes[peer].is_lying || self.nodes[node].is_lying;
        assert!(is_fair, "node {node} ends the link to node {peer}: {what}");
        self.counts.breaches += 1;
        self.end_link(node, link, Farewell::Breach);
    }

    /// Sends an answer, or without one the end of a stream.
    fn reply(&mut self, node: usize, link: LinkId, stream: u64, answer: Option<&Answer>) {
        if let Some((wire, end)) = self.nodes[node].links.get(&link).copied() {
            let bytes = answer.map(wire::encode).unwrap_or_default();
            self.send(wire, 1 - end, LaneKey::Stream(stream), bytes);
        }
    }

    fn pull(&mut self, node: usize, link: LinkId, from: AgentId, standing: Standing) {
        let life = self.nodes[node].life;
        let request = Request::Pull { list: self.list, standing };
        if !self.ask(node, link, from, Purpose::Pull, &request) {
            self.after(MILLISECOND, Event::BrokeOff { node, life, from });
        }
    }

    /// Asks where a log parts.
    pub fn ask_headers(
        &mut self,
        node: usize,
        link: LinkId,
        with: AgentId,
        log: LogId,
        from: u64,
        steps: usize,
    ) {
        let list = self.list;
        let request = Request::Headers { list, log, from };
        if steps >= STEPS_MAX || !self.ask(node, link, with, Purpose::Fork { log, steps }, &request)
        {
            self.tell(node, Input::Settled { list, with, log, losers: Vec::new() });
        }
    }

    /// Asks for what this agent wrote and the other side does not count.
    pub fn ask_lost(&mut self, node: usize, link: LinkId) {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let from = self.nodes[self.wires[wire].ends[1 - end].node].agent;
        self.ask(node, link, from, Purpose::Lost, &Request::Lost { list: self.list });
    }

    fn ask(
        &mut self,
        node: usize,
        link: LinkId,
        from: AgentId,
        purpose: Purpose,
        request: &Request,
    ) -> bool {
        let Some((wire, end)) = self.nodes[node].links.get(&link).copied() else { return false };
        self.wires[wire].streams += 1;
        // Streams of the two sides have different numbers.
        let stream = 2 * self.wires[wire].streams + end as u64;
        self.say(|| format!("node {node} asks over link {wire}: {purpose:?}"));
        let pull = Pull {
            purpose,
            from,
            incoming: Incoming::from(from),
            came: VecDeque::new(),
            is_storing: false,
            is_cut: false,
            has_some: false,
            since: self.now,
        };
        self.nodes[node].pulls.insert((wire, stream), pull);
        let request = wire::encode(request);
        assert!(request.len() <= Lane::Sync.frame_bytes_max());
        self.send(wire, 1 - end, LaneKey::Stream(stream), request);
        self.watch(node, wire, stream);
        true
    }

    fn watch(&mut self, node: usize, wire: usize, stream: u64) {
        let now = self.now;
        let life = self.nodes[node].life;
        if let Some(pull) = self.nodes[node].pulls.get_mut(&(wire, stream)) {
            pull.since = now;
            let stall = Event::Stall { node, life, wire, stream, since: now };
            self.after(STALL_MAX.as_micros() as Time, stall);
        }
    }

    pub fn stalled(&mut self, node: usize, wire: usize, stream: u64, since: Time) {
        let pull = self.nodes[node].pulls.get(&(wire, stream));
        if pull.is_some_and(|pull| pull.since == since && !pull.is_storing) {
            self.end_pull(node, wire, stream, None);
        }
    }

    /// The link of streams is gone.
    pub fn break_streams(&mut self, node: usize, wire: usize) {
        self.nodes[node].serves.retain(|(of, _), _| *of != wire);
        let streams = self.nodes[node].pulls.range_mut((wire, 0)..=(wire, u64::MAX));
        let mut broken = Vec::new();
        for ((_, stream), pull) in streams {
            pull.is_cut = true;
            if !pull.is_storing {
                broken.push(*stream);
            }
        }
        for stream in broken {
            self.end_pull(node, wire, stream, None);
        }
    }

    fn broke_off(&mut self, node: usize, pull: &Pull) {
        self.counts.pulls_broken += 1;
        let before = self.nodes[node].broke_off.unwrap_or(false);
        self.nodes[node].broke_off = Some(before || pull.has_some);
    }

    fn end_pull(&mut self, node: usize, wire: usize, stream: u64, standing: Option<Standing>) {
        let Some(pull) = self.nodes[node].pulls.remove(&(wire, stream)) else { return };
        let (list, with) = (self.list, pull.from);
        match pull.purpose {
            Purpose::Fork { log, .. } => {
                self.tell(node, Input::Settled { list, with, log, losers: Vec::new() })
            }
            Purpose::Lost => self.write_again(node, clerk::write_again),
            Purpose::Pull if standing.is_some() => {
                self.counts.pulls_vain += u64::from(!pull.has_some);
                self.pulled(node, pull.from, standing);
            }
            Purpose::Pull => {
                self.broke_off(node, &pull);
                // Over a link that is gone, what is heard first may be that or this.
                let (life, from) = (self.nodes[node].life, pull.from);
                let after = if pull.is_cut { self.below(5 * MILLISECOND) } else { 0 };
                self.after(after, Event::BrokeOff { node, life, from });
            }
        }
    }

    pub fn pulled(&mut self, node: usize, from: AgentId, standing: Option<Standing>) {
        self.say(|| format!("node {node} pulled: {}", standing.is_some()));
        if standing.is_some() {
            self.counts.pulls_whole += 1;
            if let Some(had_some) = self.nodes[node].broke_off.take() {
                self.counts.pulls_resumed += 1;
                self.counts.resumed_amid += u64::from(had_some);
            }
        }
        let list = self.list;
        self.tell(node, Input::Pulled { list, from, standing });
    }

    /// Bytes of a sync stream came: a request, or an answer to one.
    pub fn stream_came(
        &mut self,
        node: usize,
        wire: usize,
        end: usize,
        stream: u64,
        bytes: Vec<u8>,
    ) {
        let Some(link) = self.wires[wire].ends[end].link else { return };
        if bytes.len() > Lane::Sync.frame_bytes_max() {
            // The stream is broken, and the link is not.
            return self.end_pull(node, wire, stream, None);
        }
        if stream % 2 != end as u64 {
            return self.tell(node, Input::Request { link, stream, bytes });
        }
        if let Some(pull) = self.nodes[node].pulls.get_mut(&(wire, stream)) {
            pull.came.push_back(bytes);
            self.read_answer(node, wire, stream);
        }
    }

    fn read_answer(&mut self, node: usize, wire: usize, stream: u64) {
        let Some(pull) = self.nodes[node].pulls.get_mut(&(wire, stream)) else { return };
        if pull.is_storing || pull.is_cut {
            return;
        }
        let Some(bytes) = pull.came.pop_front() else { return };
        let end = (stream % 2) as usize;
        let link = self.wires[wire].ends[end].link;
        if bytes.is_empty() {
            // The stream is at its end.
            return self.end_pull(node, wire, stream, None);
        }
        match (Answer::read(&bytes), pull.purpose) {
            (Ok(Answer::Items(items)), Purpose::Pull) => {
                self.store_items(node, wire, stream, items);
            }
            (Ok(Answer::End(standing)), Purpose::Pull) => {
                self.end_pull(node, wire, stream, Some(standing));
            }
            (Ok(Answer::Headers(Some(run))), Purpose::Fork { log, steps }) => {
                let Some(link) = link else { return };
                let pull = self.nodes[node].pulls.remove(&(wire, stream)).unwrap();
                self.settle(node, link, pull.from, log, run, steps + 1);
            }
            (Ok(Answer::Items(items)), Purpose::Lost) => self.store_lost(node, wire, stream, items),
            (Ok(Answer::NotServed), _) | (Ok(_), Purpose::Fork { .. } | Purpose::Lost) => {
                self.end_pull(node, wire, stream, None);
            }
            (Ok(Answer::Headers(_)), _) | (Err(_), _) => {
                if let Some(link) = link {
                    self.breach(node, link, "an answer to nothing");
                }
                self.end_pull(node, wire, stream, None);
            }
        }
    }

    fn store_lost(&mut self, node: usize, wire: usize, stream: u64, items: Vec<Item>) {
        let Some(pull) = self.nodes[node].pulls.get_mut(&(wire, stream)) else { return };
        pull.is_storing = true;
        self.store(node, move |world, node| {
            let list = world.list;
            let Some(mut pull) = world.nodes[node].pulls.remove(&(wire, stream)) else { return };
            let (tracker, incoming) = (world.nodes[node].tracker(), &mut pull.incoming);
            let stopped =
                clerk::take_lost(tracker, &StandInVerifier, list, incoming, items).unwrap();
            pull.is_storing = false;
            let is_cut = pull.is_cut;
            world.nodes[node].pulls.insert((wire, stream), pull);
            if stopped.is_some_and(|error| clerk::is_breach(&error))
                && let Some(link) = world.wires[wire].ends[(stream % 2) as usize].link
            {
                world.nodes[node].pulls.remove(&(wire, stream));
                return world.breach(node, link, "lost edits that prove nothing");
            }
            if is_cut {
                return world.end_pull(node, wire, stream, None);
            }
            world.watch(node, wire, stream);
            world.read_answer(node, wire, stream);
        });
    }

    fn store_items(&mut self, node: usize, wire: usize, stream: u64, items: Vec<Item>) {
        let Some(pull) = self.nodes[node].pulls.get_mut(&(wire, stream)) else { return };
        pull.is_storing = true;
        self.store(node, move |world, node| {
            let list = world.list;
            let Some(mut pull) = world.nodes[node].pulls.remove(&(wire, stream)) else { return };
            let tracker = world.nodes[node].tracker();
            let stored = clerk::receive(tracker, &mut pull.incoming, list, pull.from, items);
            let stored = stored.unwrap();
            pull.is_storing = false;
            pull.has_some |=
                matches!(&stored.told, Input::Received { places, .. } if !places.is_empty());
            let is_cut = pull.is_cut;
            world.nodes[node].pulls.insert((wire, stream), pull);
            world.tell(node, stored.told);
            let is_stated = stored.is_stated;
            world.store(node, move |world, node| match is_stated {
                true => world.write_again(node, clerk::adopt),
                false => world.catch_up(node),
            });
            if let Some(error) = &stored.stopped_by
                && clerk::is_breach(error)
                && let Some(link) = world.wires[wire].ends[(stream % 2) as usize].link
            {
                let what = error.to_string();
                world.breach(node, link, &what);
            }
            if is_cut || stored.stopped_by.is_some() {
                return world.end_pull(node, wire, stream, None);
            }
            world.watch(node, wire, stream);
            world.read_answer(node, wire, stream);
        });
    }

    fn serve(
        &mut self,
        node: usize,
        link: LinkId,
        stream: u64,
        to: AgentId,
        standing: Standing,
        rules: u16,
    ) {
        let Some((wire, _)) = self.nodes[node].links.get(&link).copied() else { return };
        self.store(node, move |world, node| {
            let outgoing = clerk::serve(world.nodes[node].tracker(), &standing, rules).unwrap();
            world.nodes[node].serves.insert((wire, stream), Serve { to, outgoing });
            world.serve_on(node, wire, stream);
        });
    }

    /// Sends the next piece of an answer.
    pub fn serve_on(&mut self, node: usize, wire: usize, stream: u64) {
        self.store(node, move |world, node| {
            let Some(mut serve) = world.nodes[node].serves.remove(&(wire, stream)) else { return };
            let end = 1 - (stream % 2) as usize;
            if world.wires[wire].ends[end].is_gone {
                return;
            }
            let tracker = world.nodes[node].tracker();
            let answer = clerk::answer(tracker, &mut serve.outgoing, serve.to).unwrap();
            let left = world.send(wire, 1 - end, LaneKey::Stream(stream), wire::encode(&answer));
            if matches!(answer, Answer::End(_)) {
                let (list, with) = (world.list, serve.to);
                for (log, theirs) in serve.outgoing.forked().clone() {
                    world.tell(node, Input::Forked { list, with, log, theirs });
                }
                return;
            }
            world.nodes[node].serves.insert((wire, stream), serve);
            if !world.wires[wire].is_alive {
                // Nothing makes room any more.
                return;
            }
            let life = world.nodes[node].life;
            world.at(left, Event::Room { node, life, wire, stream });
        });
    }
}
