//! Lists: what their gossip and their replicas want becomes frames, and what comes goes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::charter::{Charter, Signed};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;

use super::attention::{Attention, Part};
use super::beats::ListBeats;
use super::far::FarList;
use super::forks::Forks;
use super::gate::{ListGate, Passed};
use super::link_state::LinkState;
use super::links::control;
use super::{Effect, Hub};
use crate::entropy;
use crate::mesh::{self, Mesh, MeshConfig};
use crate::replica::{self, Replica};
use crate::wire::{self, Control, Digest, Lane, Payload, Standing};

/// How long a node without neighbours in the gossip waits before it joins again, at first.
const REJOIN_AFTER: Duration = Duration::from_secs(5);

/// How often a node joins the gossip through a random linked member, so that parts that were cut off
/// from each other find together.
const REJOIN_EVERY: Duration = Duration::from_secs(180);

/// How often all neighbours are asked how far they are, at most.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// How many frames wait for the link to one member that gossip wants.
const FRAMES_HELD_MAX: usize = 16;

/// A list that this node has.
pub(super) struct Shared {
    pub(super) replica: Replica,
    pub(super) mesh: Mesh,
    /// Linked members that have it too.
    pub(super) peers: BTreeSet<AgentId>,
    /// Gossip for members that are being called.
    pub(super) held: BTreeMap<AgentId, Vec<Vec<u8>>>,
    rejoin_at: Duration,
    /// When all were last asked how far they are.
    compared_at: Option<Duration>,
    pub(super) forks: Forks,
    pub(super) beats: ListBeats,
    pub(super) attention: Attention,
    pub(super) far: FarList,
}

impl Shared {
    /// Tells whether a linked peer shares it.
    pub(super) fn has(&self, peer: AgentId) -> bool {
        self.peers.contains(&peer)
    }

    /// Tells whether any linked peer shares it.
    pub(super) fn has_any(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let rejoin = (!self.peers.is_empty()).then_some(self.rejoin_at);
        let due = self.replica.deadline().into_iter().chain(self.mesh.deadline()).chain(rejoin);
        due.chain(self.beats.deadline()).chain([self.far.deadline()]).min()
    }
}

impl Hub {
    /// A list is open, or others wrote to it.
    pub(super) fn opened(
        &mut self,
        now: Duration,
        list: ListId,
        frontier: Frontier,
        charter: Arc<Charter>,
        effects: &mut Vec<Effect>,
    ) {
        if self.lists.contains_key(&list) {
            let input = replica::Input::Refreshed { frontier, charter };
            self.replica(now, list, input, effects);
        } else {
            let (mesh, seed) = (entropy::draw(&mut self.rng), entropy::draw(&mut self.rng));
            let mut shared = Shared {
                replica: Replica::new(list, self.me, frontier, charter, now, seed),
                mesh: Mesh::new(self.me, mesh, MeshConfig::default()),
                peers: BTreeSet::new(),
                held: BTreeMap::new(),
                rejoin_at: now + REJOIN_AFTER,
                compared_at: None,
                forks: Forks::default(),
                beats: ListBeats::default(),
                attention: Attention::default(),
                far: FarList::new(now),
            };
            // Without contacts, it waits for others to join.
            let mut none = Vec::new();
            let gate = &mut self.gate_of(list, &shared.replica);
            let _waits = shared.mesh.handle(now, mesh::Input::Join(Vec::new()), gate, &mut none);
            self.lists.insert(list, shared);
            self.attend(now, list);
        }
        self.greet_all(now, effects);
        self.want_members(now, effects);
    }

    /// A linked member has the list too.
    pub(super) fn shared(
        &mut self,
        now: Duration,
        list: ListId,
        peer: AgentId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        shared.peers.insert(peer);
        self.back_again(now, list, peer);
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let held = shared.held.remove(&peer).unwrap_or_default();
        let is_neighbour = shared.mesh.neighbours().contains(&peer);
        self.tell_cards_held(list, peer, effects);
        self.ask_cards_of(list, peer, effects);
        effects.push(Effect::NameLost { list, of: vec![peer] });
        self.replica(now, list, replica::Input::PeerUp(peer), effects);
        if held.is_empty() && !is_neighbour {
            self.mesh(now, list, mesh::Input::Join(vec![peer]), effects);
        }
        for frame in held {
            self.send_gossip(now, list, peer, frame, effects);
        }
    }

    /// A peer that had the list is gone, or is no member any more.
    pub(super) fn unshared(
        &mut self,
        now: Duration,
        list: ListId,
        peer: AgentId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        shared.peers.remove(&peer);
        shared.forks.forget(peer);
        self.away(now, list, peer);
        self.replica(now, list, replica::Input::PeerDown(peer), effects);
        self.mesh(now, list, mesh::Input::LinkDown(peer), effects);
    }

    /// Nobody answers where an agent should be.
    pub(super) fn unreachable(&mut self, now: Duration, agent: AgentId, effects: &mut Vec<Effect>) {
        let lists: Vec<ListId> = self.lists.keys().copied().collect();
        for list in lists {
            let held = self.lists.get_mut(&list).and_then(|shared| shared.held.remove(&agent));
            if held.is_some() {
                self.mesh(now, list, mesh::Input::LinkDown(agent), effects);
            }
        }
    }

    /// A frame of a list's gossip came.
    pub(super) fn gossip(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        self.mesh(now, list, mesh::Input::Frame { from, bytes }, effects);
    }

    pub(super) fn received(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        places: Vec<(LogId, Position)>,
        charter: Option<Arc<Charter>>,
        effects: &mut Vec<Effect>,
    ) {
        let is_charter = charter.is_some();
        self.replica(now, list, replica::Input::Received { from, places, charter }, effects);
        if is_charter {
            self.forget_beats(list);
            self.ask_cards(list, effects);
            self.greet_all(now, effects);
            self.want_members(now, effects);
        }
    }

    pub(super) fn pulled(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        standing: Option<Standing>,
        effects: &mut Vec<Effect>,
    ) {
        let is_whole = standing.is_some();
        self.replica(now, list, replica::Input::Pulled { from, is_whole }, effects);
        if let Some(standing) = standing {
            let input = replica::Input::Standing { from, standing, after_all: true };
            self.replica(now, list, input, effects);
            self.note_level(now, list, Part::Commits, from);
        }
    }

    /// The charter has more statements now.
    pub(super) fn stated(
        &mut self,
        now: Duration,
        list: ListId,
        charter: Arc<Charter>,
        news: Option<Signed>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get(&list) else { return };
        let frontier = shared.replica.standing().frontier();
        self.replica(now, list, replica::Input::Refreshed { frontier, charter }, effects);
        self.forget_beats(list);
        self.ask_cards(list, effects);
        if let Some(signed) = news {
            self.broadcast(now, list, &Payload::Statement(signed), effects);
        }
        self.greet_all(now, effects);
        self.want_members(now, effects);
    }

    pub(super) fn leave(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        self.mesh(now, list, mesh::Input::Leave, effects);
    }

    /// Does what is due in a list.
    pub(super) fn tick_list(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get(&list) else { return };
        if shared.mesh.deadline().is_some_and(|deadline| deadline <= now) {
            self.mesh(now, list, mesh::Input::Tick, effects);
        }
        self.replica(now, list, replica::Input::Tick, effects);
        self.rejoin(now, list, effects);
        self.tick_beats(now, list, effects);
        self.tick_far(now, list, effects);
    }

    /// Joins the gossip again: soon without neighbours, now and then with some.
    fn rejoin(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        if shared.peers.is_empty() || now < shared.rejoin_at {
            return;
        }
        shared.rejoin_at = now + REJOIN_EVERY;
        let others: Vec<AgentId> =
            shared.peers.difference(shared.mesh.neighbours()).copied().collect();
        if !others.is_empty() {
            let at = u64::from_le_bytes(entropy::draw(&mut self.rng)) % others.len() as u64;
            self.mesh(now, list, mesh::Input::Join(vec![others[at as usize]]), effects);
        }
    }

    /// Gives the gossip of a list an input, and does what it wants.
    pub(super) fn mesh(
        &mut self,
        now: Duration,
        list: ListId,
        input: mesh::Input<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut shared) = self.lists.remove(&list) else { return };
        let mut wanted = Vec::new();
        let is_broadcast = matches!(input, mesh::Input::Broadcast(_));
        let mut gate = self.gate_of(list, &shared.replica);
        let broadcast = shared.mesh.handle(now, input, &mut gate, &mut wanted);
        let (passed, lacks_statements) = (gate.passed, gate.lacks_statements);
        let is_alone = shared.mesh.neighbours().is_empty();
        // Also where it has just tried.
        if is_alone {
            shared.rejoin_at = shared.rejoin_at.min(now + REJOIN_AFTER);
        }
        self.lists.insert(list, shared);
        // A broadcast that found no room, or nobody to hear it, is found by comparing.
        let mut passed = passed;
        if broadcast.is_err() || is_broadcast && is_alone {
            self.compare_with_all(now, list, effects);
        }
        for effect in wanted {
            match effect {
                mesh::Effect::Send { to, frame } => {
                    self.send_gossip(now, list, to, frame, effects);
                }
                mesh::Effect::Deliver { from, .. } => {
                    if let Some(passed) = passed.take() {
                        self.deliver(now, list, from, passed, effects);
                    }
                }
                mesh::Effect::Missed { from } => {
                    self.replica(now, list, replica::Input::Missed(from), effects);
                }
                mesh::Effect::Breach { from, breach } => {
                    if let Some(link) = self.peers.get(&from) {
                        self.breach(*link, &breach, effects);
                    }
                }
                mesh::Effect::NeighbourUp(_)
                | mesh::Effect::NeighbourDown(_)
                | mesh::Effect::Detached(_) => {}
            }
        }
        if lacks_statements {
            self.compare_with_all(now, list, effects);
        }
    }

    fn gate_of<'a>(&'a self, list: ListId, replica: &'a Replica) -> ListGate<'a> {
        ListGate {
            list,
            me: self.me,
            charter: replica.charter(),
            standing: replica.standing(),
            verifier: self.verifier.as_ref(),
            passed: None,
            lacks_statements: false,
        }
    }

    fn deliver(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        passed: Passed,
        effects: &mut Vec<Effect>,
    ) {
        match passed {
            Passed::Commit(commit) => {
                let commit = *commit;
                self.replica(now, list, replica::Input::Offered { from, commit }, effects);
            }
            Passed::Moved(log, position) => {
                let places = vec![(log, position)];
                self.replica(now, list, replica::Input::News { from, places }, effects);
            }
            Passed::Statement(signed) => {
                effects.push(Effect::State { list, statements: vec![signed], are_shown: false });
            }
            Passed::Sealed(sealed) => effects.push(Effect::Sealed(sealed)),
        }
    }

    /// Asks every neighbour how far it is, or asks one for what is lacking.
    pub(super) fn compare_with_all(
        &mut self,
        now: Duration,
        list: ListId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        if shared.compared_at.is_some_and(|before| now < before + COMPARE_EVERY) {
            return;
        }
        shared.compared_at = Some(now);
        let hash = shared.replica.standing().digest(list);
        for peer in shared.peers.clone() {
            self.say(peer, &Control::Digest(Digest { list, hash, wants_answer: true }), effects);
        }
    }

    /// Sends gossip to a member; one without a link is called first.
    fn send_gossip(
        &mut self,
        now: Duration,
        list: ListId,
        to: AgentId,
        frame: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        if let Some(link) = self.peers.get(&to)
            && shared.peers.contains(&to)
        {
            let frame = [&list.0[..], &frame].concat();
            return effects.push(Effect::Send { link: *link, lane: Lane::Pubsub, frame });
        }
        let link = self.peers.get(&to).and_then(|link| self.links.get(link));
        if link.is_some_and(LinkState::has_greeted) {
            // It is there, and has not got the list, or not yet.
            return self.mesh(now, list, mesh::Input::LinkDown(to), effects);
        }
        let held = shared.held.entry(to).or_default();
        if held.len() < FRAMES_HELD_MAX {
            held.push(frame);
        }
        let is_linked = self.peers.contains_key(&to);
        if !is_linked && self.cards.addresses(to).is_empty() {
            return self.unreachable(now, to, effects);
        }
        if !is_linked {
            self.want(now, to, effects);
        }
    }

    /// Gives the replica of a list an input, and does what it wants.
    pub(super) fn replica(
        &mut self,
        now: Duration,
        list: ListId,
        input: replica::Input,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let mut wanted = Vec::new();
        shared.replica.handle(now, input, &mut wanted);
        for effect in wanted {
            match effect {
                replica::Effect::Digest { to, hash, wants_answer } => {
                    let digest = Digest { list, hash, wants_answer };
                    self.say(to, &Control::Digest(digest), effects);
                    if wants_answer {
                        self.tell_beats(list, to, effects);
                    }
                }
                replica::Effect::News { to, places } => {
                    self.say(to, &Control::News { list, places }, effects);
                }
                replica::Effect::Pull { from, standing } => {
                    if let Some(link) = self.peers.get(&from) {
                        effects.push(Effect::Pull { link: *link, from, list, standing });
                    }
                }
                replica::Effect::Judge(commits) => effects.push(Effect::Judge { list, commits }),
                replica::Effect::Broadcast(payload) => {
                    let payload = wire::encode(&payload);
                    self.mesh(now, list, mesh::Input::Broadcast(payload), effects);
                }
                replica::Effect::Fork { with, log, theirs } => {
                    self.forked(now, list, with, log, theirs, effects);
                }
                replica::Effect::OwnLogs { with, places } => {
                    if let Some(link) = self.peers.get(&with) {
                        effects.push(Effect::OwnLogs { link: *link, list, places });
                    }
                }
            }
        }
    }

    /// Says something to a linked peer.
    pub(super) fn say(&self, to: AgentId, frame: &Control, effects: &mut Vec<Effect>) {
        if let Some(link) = self.peers.get(&to) {
            effects.push(control(*link, frame));
        }
    }
}
