//! Repair of a list with members that no link joins to this node: sealed, through members of another list that
//! both belong to. Each is told now and then how far the other is, and asks for what it lacks, a piece at a time.
//! Not: how a word is cut and put together (`words.rs`), and what the store makes of it.

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::claim::beat::{SignedBeat, Source, Turn};
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::commit::{Position, RULES_VERSION};
use x0x_tracker::journal::stream::{Incoming, Item};

use super::attention::Part;
use super::beats::Frame;
use super::{Effect, Hub};
use crate::entropy;
use crate::wire::{self, FAR_BEATS_MAX, Standing};
use words::Words;

/// How often a far member of a list without linked members is told how far this node is, at least; up to as much
/// later. Every member of the list that carries it has its bytes, about 8 KiB with the seal.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// Where linked members share the list, which mostly know all that far ones do, they are told so many times less
/// often.
const TELLS_LEFT_OUT: u32 = 15;

/// The first time after a list is opened.
const FIRST_AFTER: Duration = Duration::from_secs(5);

/// How long an answer is waited for, and how often it is asked for again.
const ANSWER_MAX: Duration = Duration::from_secs(15);
const ASKS_MAX: u32 = 3;

/// How long the store may take for one.
const STORE_MAX: Duration = Duration::from_secs(120);

/// The pause before more is asked for: others carry it.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// How many members of a list are asked at once.
const ASKED_MAX: usize = 4;

/// How long one that was asked and brought nothing is not asked again for what it says that it has.
const REST: Duration = Duration::from_secs(60);

/// How many items of an answer are passed over at most.
const SKIP_MAX: u32 = 2_048;

/// How often a member is served at most, and how many at once.
const SERVE_EVERY: Duration = Duration::from_millis(200);
const SERVING_MAX: usize = 4;

/// How many members are remembered to have been served, or to rest.
const REMEMBERED_MAX: usize = 1_024;

/// Which frames of beats somebody has: the newest turn of each source.
type HeldBeats = Vec<(Source, Turn)>;

/// What is said to far members, and comes from them.
#[derive(Debug, Default)]
pub(super) struct Far {
    /// Counts the words that were said.
    said: u64,
    words: Words,
    served: BTreeMap<(ListId, AgentId), Duration>,
    /// Who is being served, for which ask, and which beats it has.
    serving: BTreeMap<(ListId, AgentId), (u64, HeldBeats)>,
}

/// What goes on with far members of one list.
#[derive(Debug)]
pub(super) struct FarList {
    tell_at: Duration,
    told: u32,
    asked: BTreeMap<AgentId, Asked>,
    resting: BTreeMap<AgentId, Duration>,
}

/// A member that was asked for more.
#[derive(Debug)]
struct Asked {
    /// When it is asked again, or given up.
    again_at: Duration,
    /// How often it is asked yet.
    left: u32,
    /// Which ask it was, and where this node stood then.
    number: u64,
    stood: [u8; 32],
    /// How many items of its answers were no news, and what has to be known of them for those after.
    skip: u32,
    incoming: Incoming,
    /// Whether the store has an answer of it.
    is_storing: bool,
}

/// A piece of an answer on its way to the store, and back.
#[derive(Debug)]
pub struct FarPiece {
    /// Of which list.
    pub list: ListId,
    /// Who sent it.
    pub from: AgentId,
    /// What is known of the stream before it.
    pub incoming: Incoming,
    /// How many items it has.
    pub count: u32,
}

impl FarList {
    pub(super) fn new(now: Duration) -> Self {
        let (asked, resting) = Default::default();
        Self { tell_at: now + FIRST_AFTER, told: 0, asked, resting }
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Duration {
        let again_at = self.asked.values().map(|asked| asked.again_at).min();
        again_at.map_or(self.tell_at, |again_at| self.tell_at.min(again_at))
    }

    /// Asks a member no more; one that brought nothing rests.
    fn end(&mut self, now: Duration, of: AgentId) {
        self.asked.remove(&of);
        self.resting.retain(|_, until| now < *until);
        if self.resting.len() < REMEMBERED_MAX {
            self.resting.insert(of, now + REST);
        }
    }
}

impl Hub {
    /// Does what is due with far members of a list.
    pub(super) fn tick_far(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        self.ask_again(now, list, effects);
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let (is_alone, far) = (!shared.has_any(), &mut shared.far);
        if now < far.tell_at {
            return;
        }
        let draw = u64::from_le_bytes(entropy::draw(&mut self.rng));
        far.tell_at = now + TELL_EVERY + TELL_EVERY * (draw % 1_000) as u32 / 1_000;
        far.told = far.told.wrapping_add(1);
        if !is_alone && !far.told.is_multiple_of(TELLS_LEFT_OUT) {
            return;
        }
        let members = self.far_members(list);
        if !members.is_empty() {
            let to = members[(draw / 1_000 % members.len() as u64) as usize];
            self.tell_far(list, to, effects);
        }
    }

    fn ask_again(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let (mut again, mut over) = (Vec::new(), Vec::new());
        for (of, asked) in &mut shared.far.asked {
            if now < asked.again_at {
                continue;
            }
            match asked.left.checked_sub(1).filter(|_| !asked.is_storing) {
                Some(left) => {
                    (asked.left, asked.again_at) = (left, now + ANSWER_MAX);
                    again.push(*of);
                }
                None => over.push(*of),
            }
        }
        over.into_iter().for_each(|of| shared.far.end(now, of));
        again.into_iter().for_each(|of| self.say_ask(list, of, effects));
    }

    /// Returns the members of a list that no link joins to this node and that something can be said to.
    fn far_members(&self, list: ListId) -> Vec<AgentId> {
        let Some(shared) = self.lists.get(&list) else { return Vec::new() };
        let members = shared.replica.charter().members().into_iter().map(|(agent, _)| agent);
        members.filter(|agent| self.is_far(list, *agent)).collect()
    }

    fn is_far(&self, list: ListId, agent: AgentId) -> bool {
        let Some(shared) = self.lists.get(&list) else { return false };
        let charter = shared.replica.charter();
        agent != self.me
            && !self.peers.contains_key(&agent)
            && charter.role(agent).is_some()
            && charter.role(self.me).is_some()
            && self.cards.is_sealable(agent)
            && !self.carriers(agent, Some(list)).is_empty()
    }

    /// Tells a far member how far this node is.
    fn tell_far(&mut self, list: ListId, to: AgentId, effects: &mut Vec<Effect>) {
        if let Some((hash, beats)) = self.far_digest(list) {
            self.say_far(to, &wire::Far::Digest { list, hash, beats }, effects);
        }
    }

    fn far_digest(&self, list: ListId) -> Option<([u8; 32], [u8; 32])> {
        let shared = self.lists.get(&list)?;
        Some((shared.replica.standing().digest(list), shared.beats.known.digest(list)))
    }

    /// Asks a far member for what is lacking here, unless it is asked just now.
    pub(super) fn ask_far(
        &mut self,
        now: Duration,
        list: ListId,
        of: AgentId,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_far(list, of) {
            return;
        }
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let asked = &mut shared.far.asked;
        if !asked.contains_key(&of) && asked.len() < ASKED_MAX {
            asked.insert(of, Asked::new(of, now + ANSWER_MAX));
            self.say_ask(list, of, effects);
        }
    }

    fn say_ask(&mut self, list: ListId, of: AgentId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let Some(asked) = shared.far.asked.get_mut(&of) else { return };
        let standing = shared.replica.standing().clone();
        let stood = standing.digest(list);
        if asked.stood != stood {
            // Another stream begins.
            (asked.skip, asked.incoming, asked.stood) = (0, Incoming::from(of), stood);
        }
        // No other word has it.
        asked.number = self.far.said.wrapping_add(1);
        let (rules, skip, number) = (RULES_VERSION, asked.skip, asked.number);
        let held = shared.beats.known.turns().collect();
        let ask = wire::Far::Ask { list, number, standing, rules, skip, held };
        self.say_far(of, &ask, effects);
    }

    fn say_far(&mut self, to: AgentId, word: &wire::Far, effects: &mut Vec<Effect>) {
        self.far.said = self.far.said.wrapping_add(1);
        let about = word.list();
        // What is too large for that waits for a link.
        let pieces = word.pieces(self.far.said).unwrap_or_default();
        let pieces = pieces.into_iter().map(|piece| wire::encode(&piece));
        effects.extend(pieces.map(|bytes| Effect::Whisper { to, bytes, about }));
    }

    /// A member said something through others, in a run of its node that has this number.
    pub(super) fn far(
        &mut self,
        now: Duration,
        from: AgentId,
        run: u64,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Ok(piece) = wire::Piece::read(bytes) else { return };
        let Some(word) = self.far.words.piece(now, from, run, piece) else { return };
        let Ok(word) = wire::Far::read(&word) else { return };
        let list = word.list();
        if !self.is_far(list, from) {
            return;
        }
        match word {
            wire::Far::Digest { hash, beats, .. } => {
                if self.far_digest(list) == Some((hash, beats)) {
                    self.note_level(now, list, Part::Commits, from);
                    self.note_level(now, list, Part::Beats, from);
                    return;
                }
                if !self.rests(now, list, from) {
                    self.ask_far(now, list, from, effects);
                }
            }
            wire::Far::Ask { number, standing, rules, skip, held, .. } => {
                let asked = (standing, rules, skip);
                self.asked_from_afar(now, list, from, asked, (number, held), effects);
            }
            wire::Far::Items { number, items, beats, .. } => {
                self.far_items_came(now, list, from, number, (items, beats), effects);
            }
        }
    }

    /// Tells whether a member brought nothing when it was asked lately.
    fn rests(&self, now: Duration, list: ListId, agent: AgentId) -> bool {
        let far = self.lists.get(&list).map(|shared| &shared.far);
        far.and_then(|far| far.resting.get(&agent)).is_some_and(|until| now < *until)
    }

    fn asked_from_afar(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        (standing, rules, skip): (Standing, u16, u32),
        (number, held): (u64, HeldBeats),
        effects: &mut Vec<Effect>,
    ) {
        let (served, serving) = (&mut self.far.served, &mut self.far.serving);
        served.retain(|_, at| now < *at + SERVE_EVERY);
        let is_served = served.contains_key(&(list, from)) || serving.contains_key(&(list, from));
        if is_served || served.len() >= REMEMBERED_MAX || serving.len() >= SERVING_MAX {
            return;
        }
        let Some(shared) = self.lists.get(&list) else { return };
        let here = shared.replica.standing().frontier().0;
        let is_ahead = |(log, at): &(LogId, Position)| {
            here.get(log).is_none_or(|here| here.number < at.number)
        };
        let known = &shared.beats.known;
        let lacks = standing.logs.iter().any(is_ahead)
            || shared.replica.charter().first_unknown(&standing.charter).is_some()
            || held.iter().any(|((log, kind), turn)| {
                log.agent != self.me && known.is_news((*log, *kind), *turn, true)
            });
        served.insert((list, from), now);
        serving.insert((list, from), (number, held));
        let skip = skip.min(SKIP_MAX);
        effects.push(Effect::ServeFar { list, to: from, standing, rules, skip });
        if lacks && !self.rests(now, list, from) {
            self.ask_far(now, list, from, effects);
        }
    }

    /// Some of what a far member lacks was looked up; `None` where that failed.
    pub(super) fn far_items(
        &mut self,
        list: ListId,
        to: AgentId,
        items: Option<Vec<Item>>,
        effects: &mut Vec<Effect>,
    ) {
        let (number, held) = self.far.serving.remove(&(list, to)).unwrap_or_default();
        let (Some(items), Some(shared)) = (items, self.lists.get(&list)) else { return };
        let held: BTreeMap<Source, Turn> = held.into_iter().collect();
        let known = &shared.beats.known;
        let of_others = known.turns().filter(|((log, _), _)| log.agent != to);
        let newer = of_others.filter_map(|(of, _)| known.newer_than(of, held.get(&of).copied()));
        let beats = newer.take(FAR_BEATS_MAX).cloned().collect();
        self.say_far(to, &wire::Far::Items { list, number, items, beats }, effects);
    }

    /// Only what was asked for is looked at.
    fn far_items_came(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        number: u64,
        (items, beats): (Vec<Item>, Vec<SignedBeat>),
        effects: &mut Vec<Effect>,
    ) {
        let asked = self.lists.get(&list).and_then(|shared| shared.far.asked.get(&from));
        let Some(asked) = asked.filter(|asked| !asked.is_storing && asked.number == number) else {
            return;
        };
        let is_whole = asked.skip == 0;
        let has_more_beats = beats.len() >= FAR_BEATS_MAX;
        for beat in beats {
            if self.heard(now, list, from, Frame { beat, is_late: true }, effects).is_err() {
                // There is no link that could be ended for it.
                if let Some(shared) = self.lists.get_mut(&list) {
                    shared.far.end(now, from);
                }
                return;
            }
        }
        if !has_more_beats {
            self.note_level(now, list, Part::Beats, from);
        }
        if items.is_empty() && is_whole {
            self.note_level(now, list, Part::Commits, from);
        }
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let Some(asked) = shared.far.asked.get_mut(&from) else { return };
        if !items.is_empty() {
            (asked.is_storing, asked.again_at) = (true, now + STORE_MAX);
            let incoming = std::mem::take(&mut asked.incoming);
            let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let piece = FarPiece { list, from, incoming, count };
            effects.push(Effect::StoreFar { piece, items });
        } else if has_more_beats {
            asked.go_on(now);
        } else if is_whole {
            // It is level: whatever it says next is worth asking for.
            shared.far.asked.remove(&from);
        } else {
            // There are some that cannot be taken.
            shared.far.end(now, from);
        }
    }

    /// What a far member sent is stored, as far as it could be: there may be more.
    pub(super) fn far_stored(
        &mut self,
        now: Duration,
        piece: FarPiece,
        is_news: bool,
        is_stopped: bool,
    ) {
        let FarPiece { list, from, incoming, count } = piece;
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let Some(asked) = shared.far.asked.get_mut(&from).filter(|asked| asked.is_storing) else {
            return;
        };
        let skip = asked.skip.saturating_add(count);
        if is_news {
            // This node stands elsewhere, so another stream begins with the next ask.
            asked.skip = 0;
        } else if is_stopped || skip > SKIP_MAX {
            return shared.far.end(now, from);
        } else {
            (asked.skip, asked.incoming) = (skip, incoming);
        }
        asked.go_on(now);
    }
}

impl Asked {
    fn new(of: AgentId, again_at: Duration) -> Self {
        let (number, stood, skip) = (0, [0; 32], 0);
        let incoming = Incoming::from(of);
        Self { again_at, left: ASKS_MAX, number, stood, skip, incoming, is_storing: false }
    }

    /// It is asked for more, a little later.
    fn go_on(&mut self, now: Duration) {
        (self.is_storing, self.again_at, self.left) = (false, now + ASK_EVERY, ASKS_MAX);
    }
}
