//! One task list among its replicas: what to ask of whom, what to tell, and when. A state machine
//! without IO: `handle(now, input, effects)`.
//!
//! Gossip makes an edit quick; repair makes it certain. Nothing here depends on a frame arriving: what
//! is lost is found by the next comparison of digests. Whether a commit is good is the store's to
//! judge, and who is at the other end the link's to know.

mod peer;
mod pool;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::{AgentId, CommitHash, ListId, LogId};
use x0x_tracker::journal::charter::Charter;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::tasklist::Verdict;

use crate::entropy::{self, Seeded};
use crate::wire::{NEWS_MAX, Standing};
use peer::Peer;
use pool::Pool;

pub use traffic::{Effect, Input};

pub use pool::{POOL_AGE_MAX, POOL_BYTES_MAX, POOL_COMMITS_MAX, POOL_PER_LOG_MAX};

/// How long after one comparison with a random neighbour the next comes, at least and at most.
pub const REPAIR_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How long a commit that waits for another may do so before it is pulled: paths of a tree differ by
/// less, and what is behind them is mostly on its way.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// How long the one pull that is going on may stand still before another neighbour is asked too.
/// Several at once would bring everything several times.
pub const PULL_STALL_MAX: Duration = Duration::from_secs(4);

/// How many pulls go on at once at most.
pub const PULLS_MAX: usize = 3;

/// How many places in one's own logs, of those that a neighbour names at once, are looked into. An honest
/// neighbour seldom names more: with one commit that is lost come all that it keeps.
pub const OWN_PLACES_MAX: usize = 1_024;

/// How much a replica holds. Each of these is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Commits that wait for others; [`POOL_COMMITS_MAX`].
    pub waiting: usize,
    /// Their bytes; [`POOL_BYTES_MAX`].
    pub waiting_bytes: usize,
    /// The most of one log that wait; [`POOL_PER_LOG_MAX`].
    pub waiting_of_a_log: usize,
    /// Commits that the store is to judge next; [`POOL_COMMITS_MAX`], and those that waited.
    pub ready: usize,
    /// Pulls that go on; [`PULLS_MAX`].
    pub pulls: usize,
}

/// One task list among its replicas.
#[derive(Debug)]
pub struct Replica {
    list: ListId,
    me: AgentId,
    standing: Standing,
    frontier: BTreeMap<LogId, Position>,
    charter: Arc<Charter>,
    peers: BTreeMap<AgentId, Peer>,
    pool: Pool,
    /// Commits that the store is to judge next, and whether it judges some now.
    ready: Vec<Proved>,
    is_judging: bool,
    repair_at: Duration,
    /// When something last came by a pull, or one began.
    moved_at: Duration,
    rng: Seeded,
}

impl Replica {
    /// Returns the replica of a store that is so far.
    pub fn new(
        list: ListId,
        me: AgentId,
        frontier: Frontier,
        charter: Arc<Charter>,
        now: Duration,
        seed: [u8; 32],
    ) -> Self {
        let mut replica = Self {
            list,
            me,
            frontier: BTreeMap::new(),
            charter: Arc::default(),
            standing: Standing::default(),
            peers: BTreeMap::new(),
            pool: Pool::default(),
            ready: Vec::new(),
            is_judging: false,
            repair_at: now,
            moved_at: now,
            rng: entropy::seeded(seed),
        };
        replica.refresh(frontier, charter);
        replica.repair_at = now + replica.repair_pause();
        replica
    }

    /// Returns how far it is.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Returns who belongs to the list, as far as it is known here.
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// Returns how much is held.
    pub fn held(&self) -> Held {
        let (waiting, waiting_bytes, waiting_of_a_log) = self.pool.size();
        let (ready, pulls) = (self.ready.len(), self.pulls());
        Held { waiting, waiting_bytes, waiting_of_a_log, ready, pulls }
    }

    fn pulls(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_pulling()).count()
    }

    /// Tells whether a neighbour was as far as this replica when last compared.
    pub fn is_level_with(&self, peer: AgentId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.is_level)
    }

    /// Returns when [`Input::Tick`] is to come at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let room_at = match self.pulls() {
            0 => Some(Duration::ZERO),
            1..PULLS_MAX => Some(self.moved_at + PULL_STALL_MAX),
            // Until one of them is over, time alone changes nothing.
            _ => None,
        };
        let due = self.peers.values().filter_map(Peer::due);
        let retries = due.filter_map(|due| room_at.map(|room_at| due.max(room_at)));
        let repair = (!self.peers.is_empty()).then_some(self.repair_at);
        retries.chain(repair).chain(self.pool.deadline()).min()
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::PeerUp(peer) => {
                self.peers.insert(peer, Peer::default());
                // The other side may have told its own before this side knew that both share the list.
                effects.push(self.digest_to(peer, true));
            }
            Input::PeerDown(peer) => {
                self.peers.remove(&peer);
            }
            Input::Digest { from, hash, wants_answer } => {
                self.compare(now, from, hash, wants_answer, effects);
            }
            Input::News { from, places } => {
                let lacking = |(log, place): &(LogId, Position)| self.lacks(*log, *place);
                let news: Vec<(LogId, Position)> = places.into_iter().filter(lacking).collect();
                if let Some(peer) = self.peers.get_mut(&from).filter(|_| !news.is_empty()) {
                    peer.want_places(now, &news);
                }
            }
            Input::Offered { from, commit } => self.offer(now, from, commit),
            Input::Missed(from) => self.want(now, from, PATIENCE),
            Input::Standing { from, standing, after_all } => {
                self.learn(now, from, &standing, after_all, effects);
            }
            Input::Judged { commits, verdicts } => self.judged(now, commits, verdicts, effects),
            Input::Received { from, places, charter } => {
                let is_news = charter.is_some();
                // What brings nothing keeps nobody from asking another.
                if is_news || !places.is_empty() {
                    self.moved_at = now;
                    self.peers.entry(from).and_modify(Peer::brought);
                }
                self.advance(&places, charter);
                self.spread(from, &places, is_news, effects);
            }
            Input::Lost { from, places } => {
                let of_me = places.into_iter().filter(|(log, _)| log.agent == self.me);
                self.look_after_own(
                    from,
                    of_me.map(|(log, at)| (log, Some(at))).collect(),
                    effects,
                );
            }
            Input::Pulled { from, is_whole } => self.pulled(now, from, is_whole),
            Input::Wrote { place, payload } => {
                self.advance(&[place], None);
                match payload {
                    Some(payload) => effects.push(Effect::Broadcast(payload)),
                    None => self.spread(self.me, &[place], false, effects),
                }
            }
            Input::Refreshed { frontier, charter } => self.refresh(frontier, charter),
            Input::Tick => {}
        }
        self.go_on(now, effects);
    }

    /// Does what is due.
    fn go_on(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for from in self.pool.overdue(now) {
            self.want(now, from, Duration::ZERO);
        }
        let frontier = &self.frontier;
        let has =
            |log: LogId, number: u64| frontier.get(&log).is_some_and(|here| here.number >= number);
        self.ready.extend(self.pool.take_ready(has));
        if !self.ready.is_empty() && !self.is_judging {
            self.is_judging = true;
            effects.push(Effect::Judge(std::mem::take(&mut self.ready)));
        }
        self.start_pulls(now, effects);
        if now >= self.repair_at {
            self.repair_at = now + self.repair_pause();
            let at = self.below(self.peers.len().max(1) as u64);
            if let Some(peer) = self.peers.keys().nth(at as usize) {
                effects.push(self.digest_to(*peer, true));
            }
        }
    }

    /// Starts a pull where one is due: one at a time, while that gets on.
    fn start_pulls(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let mut going_on = self.pulls();
        let (list, standing, frontier) = (self.list, &self.standing, &self.frontier);
        let has =
            |log: LogId, number: u64| frontier.get(&log).is_some_and(|here| here.number >= number);
        // Who was asked longest ago comes first, so that no two take turns before a third.
        let mut peers: Vec<(&AgentId, &mut Peer)> = self.peers.iter_mut().collect();
        peers.sort_by_key(|(_, peer)| peer.started_at());
        for (from, peer) in peers {
            let has_room =
                going_on == 0 || going_on < PULLS_MAX && now >= self.moved_at + PULL_STALL_MAX;
            let is_due = peer.due().is_some_and(|due| due <= now);
            if has_room && is_due && !peer.is_moot(|| standing.digest(list), has) && peer.start(now)
            {
                going_on += 1;
                self.moved_at = now;
                effects.push(Effect::Pull { from: *from, standing: self.standing.clone() });
            }
        }
    }

    fn compare(
        &mut self,
        now: Duration,
        from: AgentId,
        hash: [u8; 32],
        wants_answer: bool,
        effects: &mut Vec<Effect>,
    ) {
        let is_level = hash == self.standing.digest(self.list);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.set_level(is_level, self.list);
        }
        if wants_answer {
            effects.push(self.digest_to(from, false));
        }
        // The other side finds the same, and which of the two lacks something shows when the first
        // asks: so they had better not ask at once.
        let after = Duration::from_millis(self.below(PATIENCE.as_millis() as u64));
        if let Some(peer) = self.peers.get_mut(&from).filter(|_| !is_level) {
            peer.want_level(now + after, hash);
        }
    }

    /// Takes a commit that came by gossip.
    fn offer(&mut self, now: Duration, from: AgentId, commit: Proved) {
        let header = commit.header();
        if !self.lacks(header.log, commit.position()) {
            // Known, or another one in a place that is taken: the digests will tell.
            return;
        }
        let ready_bytes: usize = self.ready.iter().map(|ready| ready.body().len()).sum();
        let is_full = self.ready.len() >= POOL_COMMITS_MAX || ready_bytes >= POOL_BYTES_MAX;
        if is_full || self.pool.holds(&commit) {
            return self.want(now, from, PATIENCE);
        }
        let next = self.frontier.get(&header.log).map_or(1, |here| here.number + 1);
        let is_coming = self.ready.iter().any(|ready| {
            ready.header().log == header.log
                && ready.header().number.checked_add(1) == Some(header.number)
        });
        if header.number > next && !is_coming && !self.is_judging {
            let missing = (header.log, next);
            self.pool.put(now, from, commit, Some(missing));
        } else {
            self.pool.note_sender(from, &commit);
            self.ready.push(commit);
        }
    }

    fn judged(
        &mut self,
        now: Duration,
        commits: Vec<Proved>,
        verdicts: Vec<Verdict>,
        effects: &mut Vec<Effect>,
    ) {
        self.is_judging = false;
        let mut verdicts = verdicts.into_iter();
        for commit in commits {
            let place = (commit.header().log, commit.position());
            let from = self.pool.sender(&commit);
            match verdicts.next() {
                Some(Verdict::Taken) => self.advance(&[place], None),
                Some(Verdict::Waits { log, number }) => {
                    let has_other =
                        self.frontier.get(&log).is_some_and(|here| here.number >= number);
                    match from {
                        // Another commit is in that place here: to wait for it would have no end.
                        Some(from) if has_other => self.want(now, from, PATIENCE),
                        Some(from) => self.pool.put(now, from, commit, Some((log, number))),
                        None => {}
                    }
                }
                // A store that failed judged nothing.
                Some(Verdict::Orphan(_)) | None => {
                    if let Some(from) = from {
                        self.want(now, from, PATIENCE);
                    }
                }
                Some(Verdict::Forks { .. }) => {
                    let (log, theirs) = place;
                    if let Some(with) = from {
                        effects.push(Effect::Fork { with, log, theirs });
                    }
                }
                Some(Verdict::Known | Verdict::Void(_) | Verdict::Refused(_)) => {}
            }
        }
    }

    /// Learns how far a neighbour is.
    fn learn(
        &mut self,
        now: Duration,
        from: AgentId,
        theirs: &Standing,
        after_all: bool,
        effects: &mut Vec<Effect>,
    ) {
        let is_level =
            (&theirs.logs, &theirs.charter) == (&self.standing.logs, &self.standing.charter);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.set_level(is_level, self.list);
        }
        if is_level && after_all {
            // It knows what it gave, and not what came of it; it would find out at its next repair.
            effects.push(self.digest_to(from, false));
        }
        let mut lacks = self.charter.first_unknown(&theirs.charter).is_some();
        let mut own = Vec::new();
        for (log, place) in &theirs.logs {
            let is_ahead = self.lacks(*log, *place);
            if is_ahead && log.agent == self.me {
                own.push((*log, None));
            }
            let here = self.frontier.get(log);
            let is_other =
                here.is_some_and(|here| here.number == place.number && here.hash != place.hash);
            // What it had and did not give, or gave in vain, does not follow what is here.
            if is_other || is_ahead && after_all {
                effects.push(Effect::Fork { with: from, log: *log, theirs: *place });
            }
            lacks |= is_ahead;
        }
        if !after_all && let Some(peer) = self.peers.get_mut(&from) {
            // What it was given in vain is void there, or follows another branch.
            let has = |log: LogId| {
                let at = theirs.logs.binary_search_by_key(&log, |(log, _)| *log);
                at.map_or(0, |at| theirs.logs[at].1.number)
            };
            let in_vain = peer.asks(now, &self.standing.logs, has);
            if !lacks && in_vain.is_empty() {
                peer.has_no_more();
            }
            for (log, here) in in_vain {
                // A void commit that it counts for more stands right behind what it has.
                let theirs = Position { number: has(log) + 1, ..here };
                effects.push(Effect::Fork { with: from, log, theirs });
            }
        }
        let void = |(log, number, hash): &(LogId, u64, CommitHash)| {
            (*log, Some(Position { number: *number, hash: *hash }))
        };
        own.extend(theirs.voids.iter().filter(|(log, ..)| log.agent == self.me).map(void));
        self.look_after_own(from, own, effects);
        if lacks && !after_all {
            self.want(now, from, PATIENCE);
        }
    }

    /// Has logs of this agent's looked after of which a neighbour knows more, or commits that do not count
    /// there. Of too many, those from anywhere on.
    fn look_after_own(
        &mut self,
        with: AgentId,
        mut places: Vec<(LogId, Option<Position>)>,
        effects: &mut Vec<Effect>,
    ) {
        if places.len() > OWN_PLACES_MAX {
            let start = self.below(places.len() as u64) as usize;
            places.rotate_left(start);
            places.truncate(OWN_PLACES_MAX);
        }
        if !places.is_empty() {
            effects.push(Effect::OwnLogs { with, places });
        }
    }

    fn pulled(&mut self, now: Duration, from: AgentId, is_whole: bool) {
        let pause = self.below(256);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.ended(now, is_whole, pause as u8);
        }
    }

    /// Tells the other neighbours what was learned from one.
    fn spread(
        &self,
        source: AgentId,
        places: &[(LogId, Position)],
        is_charter: bool,
        effects: &mut Vec<Effect>,
    ) {
        let newest: BTreeMap<LogId, Position> = places.iter().copied().collect();
        let newest: Vec<(LogId, Position)> = newest.into_iter().collect();
        for to in self.peers.keys().filter(|peer| **peer != source) {
            for places in newest.chunks(NEWS_MAX) {
                effects.push(Effect::News { to: *to, places: places.to_vec() });
            }
            if is_charter && newest.is_empty() {
                effects.push(self.digest_to(*to, false));
            }
        }
    }

    /// Asks a neighbour for what is lacking, after a while; once, however often this is called.
    fn want(&mut self, now: Duration, from: AgentId, after: Duration) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.want(now + after);
        }
    }

    fn lacks(&self, log: LogId, place: Position) -> bool {
        self.frontier.get(&log).is_none_or(|here| here.number < place.number)
    }

    fn advance(&mut self, places: &[(LogId, Position)], charter: Option<Arc<Charter>>) {
        for (log, place) in places {
            if self.lacks(*log, *place) {
                self.frontier.insert(*log, *place);
            }
        }
        if let Some(charter) = charter {
            self.standing.charter = charter.heads();
            self.charter = charter;
        }
        if !places.is_empty() {
            self.standing.logs = self.frontier.iter().map(|(log, at)| (*log, *at)).collect();
        }
    }

    fn refresh(&mut self, frontier: Frontier, charter: Arc<Charter>) {
        self.frontier = frontier.0;
        self.standing.logs = self.frontier.iter().map(|(log, at)| (*log, *at)).collect();
        self.standing.charter = charter.heads();
        self.charter = charter;
    }

    fn digest_to(&self, to: AgentId, wants_answer: bool) -> Effect {
        Effect::Digest { to, hash: self.standing.digest(self.list), wants_answer }
    }

    fn repair_pause(&mut self) -> Duration {
        let (least, most) = REPAIR_EVERY;
        let span_ms = (most - least).as_millis() as u64;
        least + Duration::from_millis(self.below(span_ms))
    }

    /// Returns a number below `end`, which is not zero.
    fn below(&mut self, end: u64) -> u64 {
        u64::from_le_bytes(entropy::draw(&mut self.rng)) % end
    }
}

#[cfg(test)]
mod tests;
