//! Repair of a list with members that no link joins to this node: sealed, through members of another list that
//! both belong to. Each is told now and then how far the other is, and asks for what it lacks, a piece at a time.
//! Where a list has a linked member that is as far, nothing more is said than that.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::commit::{Position, RULES_VERSION};
use x0x_tracker::journal::stream::Item;

use super::{Effect, Hub, attention::Part};
use crate::entropy;
use crate::wire::{self, Control, Piece, Standing};

/// How often a far member of a list without linked members is told how far this node is, at least; up to as much
/// later. Every member of the list that carries it has its bytes, about 5 KiB.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// Where linked members share the list, which mostly know all that far ones do, they are told so many times less
/// often.
const TELLS_LEFT_OUT: u32 = 15;

/// The first time after a list is opened.
const FIRST_AFTER: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// How often what was asked for and did not come is asked for again.
const ASKS_MAX: u32 = 3;

/// The pause before more is asked for: others carry it.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// How often a member is served at most.
const SERVE_EVERY: Duration = Duration::from_millis(200);

/// How many members are remembered to have been served lately.
const SERVED_MAX: usize = 1_024;

/// How many words in pieces are put together at once, of one member and of all; others are said again.
const WORDS_PER_AGENT_MAX: usize = 4;
const WORDS_MAX: usize = 16;

/// How long the pieces of a word are waited for.
const WORD_MAX: Duration = Duration::from_secs(30);

/// What is said to far members, and comes from them.
#[derive(Debug, Default)]
pub(super) struct Far {
    /// Counts the words that were said.
    said: u64,
    words: BTreeMap<(AgentId, u64), Word>,
    served: BTreeMap<(ListId, AgentId), Duration>,
}

/// A word of which pieces came.
#[derive(Debug)]
struct Word {
    since: Duration,
    count: u16,
    pieces: BTreeMap<u16, Vec<u8>>,
}

/// What goes on with far members of one list.
#[derive(Debug)]
pub(super) struct FarList {
    tell_at: Duration,
    told: u32,
    asked: Option<Asked>,
}

/// Whom this node asked for more.
#[derive(Debug)]
struct Asked {
    of: AgentId,
    /// When it is asked again.
    again_at: Duration,
    /// How often it is asked yet.
    left: u32,
}

impl Far {
    /// Takes a piece; returns the word that it is the last of.
    fn piece(&mut self, now: Duration, from: AgentId, piece: Piece) -> Option<Vec<u8>> {
        let Piece { message, index, count, bytes } = piece;
        if count == 1 {
            return Some(bytes);
        }
        self.words.retain(|_, word| now < word.since + WORD_MAX);
        let key = (from, message);
        if !self.words.contains_key(&key) {
            let of_agent = |(agent, _): &&(AgentId, u64)| *agent == from;
            if self.words.keys().filter(of_agent).count() >= WORDS_PER_AGENT_MAX {
                // It begins a new one, so it gave the oldest up.
                let oldest = self.words.keys().find(of_agent).copied();
                oldest.and_then(|oldest| self.words.remove(&oldest));
            }
            if self.words.len() >= WORDS_MAX {
                return None;
            }
        }
        let new = || Word { since: now, count, pieces: BTreeMap::new() };
        let word = self.words.entry(key).or_insert_with(new);
        if word.count == count {
            word.pieces.insert(index, bytes);
        }
        if word.pieces.len() < usize::from(word.count) {
            return None;
        }
        let word = self.words.remove(&key)?;
        Some(word.pieces.into_values().flatten().collect())
    }
}

impl FarList {
    pub(super) fn new(now: Duration) -> Self {
        Self { tell_at: now + FIRST_AFTER, told: 0, asked: None }
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Duration {
        let again_at = self.asked.as_ref().map(|asked| asked.again_at);
        again_at.map_or(self.tell_at, |again_at| self.tell_at.min(again_at))
    }
}

impl Hub {
    /// Does what is due with far members of a list.
    pub(super) fn tick_far(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let far = &mut shared.far;
        if let Some(asked) = far.asked.take_if(|asked| asked.again_at <= now)
            && let Some(left) = asked.left.checked_sub(1)
        {
            let of = asked.of;
            far.asked = Some(Asked { again_at: now + ANSWER_MAX, left, ..asked });
            self.say_ask(list, of, effects);
        }
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let (is_alone, far) = (!shared.has_any(), &mut shared.far);
        if now < far.tell_at {
            return;
        }
        let draw: u64 = u64::from_le_bytes(entropy::draw(&mut self.rng));
        far.tell_at = now + TELL_EVERY + TELL_EVERY * (draw % 1_000) as u32 / 1_000;
        far.told = far.told.wrapping_add(1);
        if !is_alone && !far.told.is_multiple_of(TELLS_LEFT_OUT) {
            return;
        }
        let members = self.far_members(list);
        if members.is_empty() {
            return;
        }
        let to = members[(draw / 1_000 % members.len() as u64) as usize];
        self.tell_far(list, to, effects);
    }

    /// Returns the members of a list that no link joins to this node and that something can be said to.
    fn far_members(&self, list: ListId) -> Vec<AgentId> {
        let Some(shared) = self.lists.get(&list) else { return Vec::new() };
        let members = shared.replica.charter().members().into_iter().map(|(agent, _)| agent);
        members.filter(|agent| self.is_far(list, *agent)).collect()
    }

    fn is_far(&self, list: ListId, agent: AgentId) -> bool {
        agent != self.me
            && !self.peers.contains_key(&agent)
            && self.are_members(list, agent)
            && self.cards.is_sealable(agent)
            && !self.carriers(agent, Some(list)).is_empty()
    }

    fn are_members(&self, list: ListId, agent: AgentId) -> bool {
        let Some(shared) = self.lists.get(&list) else { return false };
        let charter = shared.replica.charter();
        charter.role(agent).is_some() && charter.role(self.me).is_some()
    }

    /// Tells a far member how far this node is.
    fn tell_far(&mut self, list: ListId, to: AgentId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get(&list) else { return };
        let hash = shared.replica.standing().digest(list);
        self.say_far(list, to, &wire::Far::Digest { list, hash }, effects);
        self.tell_beats(list, to, effects);
    }

    /// Asks a far member for what is lacking here, where nobody is asked just now.
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
        if shared.far.asked.is_none() {
            shared.far.asked = Some(Asked { of, again_at: now + ANSWER_MAX, left: ASKS_MAX });
            self.say_ask(list, of, effects);
        }
    }

    fn say_ask(&mut self, list: ListId, of: AgentId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get(&list) else { return };
        let standing = shared.replica.standing().clone();
        let ask = wire::Far::Ask { list, standing, rules: RULES_VERSION };
        self.say_far(list, of, &ask, effects);
    }

    fn say_far(&mut self, about: ListId, to: AgentId, word: &wire::Far, effects: &mut Vec<Effect>) {
        self.far.said = self.far.said.wrapping_add(1);
        // What is too large for that waits for a link.
        let pieces = word.pieces(self.far.said).unwrap_or_default();
        let pieces = pieces.into_iter().map(|piece| wire::encode(&piece));
        effects.extend(pieces.map(|bytes| Effect::Whisper { to, bytes, about }));
    }

    /// Says something about beats to a member, over its link or from afar.
    pub(super) fn say_of_beats(
        &mut self,
        list: ListId,
        to: AgentId,
        frame: Control,
        effects: &mut Vec<Effect>,
    ) {
        if self.peers.contains_key(&to) {
            self.say(to, &frame, effects);
        } else if self.is_far(list, to) {
            self.say_far(list, to, &wire::Far::Beats(frame), effects);
        }
    }

    /// A member said something through others.
    pub(super) fn far(
        &mut self,
        now: Duration,
        from: AgentId,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let Ok(piece) = Piece::read(bytes) else { return };
        let Some(word) = self.far.piece(now, from, piece) else { return };
        let Ok(word) = wire::Far::read(&word) else { return };
        let Some(list) = word.list().filter(|list| self.are_members(*list, from)) else { return };
        match word {
            wire::Far::Digest { hash, .. } => {
                let here = self.standing(list).map(|standing| standing.digest(list));
                match here == Some(hash) {
                    true => self.note_level(now, list, Part::Commits, from),
                    false => self.ask_far(now, list, from, effects),
                }
            }
            wire::Far::Ask { standing, rules, .. } => {
                self.asked_from_afar(now, list, from, standing, rules, effects);
            }
            wire::Far::Items { items, .. } => self.far_items_came(now, list, from, items, effects),
            wire::Far::Beats(frame) => self.beats_from_afar(now, list, from, frame, effects),
        }
    }

    fn asked_from_afar(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        standing: Standing,
        rules: u16,
        effects: &mut Vec<Effect>,
    ) {
        let served = &mut self.far.served;
        served.retain(|_, at| now < *at + SERVE_EVERY);
        if served.contains_key(&(list, from)) || served.len() >= SERVED_MAX {
            return;
        }
        served.insert((list, from), now);
        let Some(shared) = self.lists.get(&list) else { return };
        let here = shared.replica.standing().frontier().0;
        let is_ahead = |(log, at): &(LogId, Position)| {
            here.get(log).is_none_or(|here| here.number < at.number)
        };
        let lacks = standing.logs.iter().any(is_ahead)
            || shared.replica.charter().first_unknown(&standing.charter).is_some();
        effects.push(Effect::ServeFar { list, to: from, standing, rules });
        if lacks {
            self.ask_far(now, list, from, effects);
        }
    }

    /// Some of what a far member lacks was looked up.
    pub(super) fn far_items(
        &mut self,
        list: ListId,
        to: AgentId,
        items: Vec<Item>,
        effects: &mut Vec<Effect>,
    ) {
        self.say_far(list, to, &wire::Far::Items { list, items }, effects);
    }

    /// Only what was asked for is looked at.
    fn far_items_came(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        items: Vec<Item>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let Some(asked) = shared.far.asked.as_mut().filter(|asked| asked.of == from) else {
            return;
        };
        if items.is_empty() {
            shared.far.asked = None;
            return self.note_level(now, list, Part::Commits, from);
        }
        // Until the store is done.
        asked.again_at = now + ANSWER_MAX;
        effects.push(Effect::StoreFar { list, from, items });
    }

    /// What a far member sent is stored: there may be more, where that was news.
    pub(super) fn far_stored(&mut self, now: Duration, list: ListId, from: AgentId, is_news: bool) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let far = &mut shared.far;
        if far.asked.as_ref().is_some_and(|asked| asked.of == from) {
            let again = Asked { of: from, again_at: now + ASK_EVERY, left: ASKS_MAX };
            far.asked = is_news.then_some(again);
        }
    }

    fn beats_from_afar(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        frame: Control,
        effects: &mut Vec<Effect>,
    ) {
        match frame {
            Control::Beat { beat, is_late, .. } => {
                // Nobody has a link that could be ended for it.
                let frame = super::beats::Frame { beat, is_late };
                let _faulty = self.heard(now, list, from, frame, effects);
            }
            Control::BeatDigest { hash, .. } => self.beat_digest(list, from, hash, effects),
            Control::BeatsHeld { held, wants_answer, .. } => {
                self.beats_held(now, list, from, held, wants_answer, effects);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PIECE_BYTES_MAX;

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    fn word(bytes: usize) -> wire::Far {
        let standing = Standing {
            logs: (0..bytes as u64 / 80)
                .map(|n| {
                    let log = LogId { agent: agent(n as u8), nonce: n.to_be_bytes() };
                    (log, Position { number: n + 1, hash: x0x_tracker::id::CommitHash([9; 32]) })
                })
                .collect(),
            ..Standing::default()
        };
        wire::Far::Ask { list: ListId([5; 32]), standing, rules: 1 }
    }

    #[test]
    fn a_word_in_pieces_is_put_together_in_whatever_order_they_come() {
        let mut far = Far::default();
        let word = word(3 * PIECE_BYTES_MAX);
        let mut pieces = word.pieces(7).unwrap();
        assert!(pieces.len() > 2);
        pieces.rotate_left(1);
        let last = pieces.pop().unwrap();
        for piece in &pieces {
            assert!(Piece::read(&wire::encode(piece)).is_ok());
            for _ in 0..2 {
                assert_eq!(far.piece(Duration::ZERO, agent(1), piece.clone()), None);
            }
            assert_eq!(far.piece(Duration::ZERO, agent(2), piece.clone()), None);
        }
        let whole = far.piece(Duration::ZERO, agent(1), last).unwrap();
        assert_eq!(wire::Far::read(&whole).unwrap(), word);
        assert_eq!(far.words.len(), 1, "that of the other goes on waiting");
        assert!(super::wire::Far::read(&whole[1..]).is_err());
    }

    #[test]
    fn unfinished_words_are_bounded_and_forgotten() {
        let mut far = Far::default();
        let piece = |message| Piece { message, index: 0, count: 2, bytes: vec![1] };
        for n in 0..100 {
            far.piece(Duration::ZERO, agent(1), piece(n));
        }
        assert_eq!(far.words.len(), WORDS_PER_AGENT_MAX);
        assert!(far.words.contains_key(&(agent(1), 99)), "the newest are kept");
        for n in 2..100 {
            far.piece(Duration::ZERO, agent(n), piece(0));
        }
        assert_eq!(far.words.len(), WORDS_MAX);
        assert_eq!(far.piece(WORD_MAX, agent(120), piece(0)), None);
        assert_eq!(far.words.len(), 1);
    }

    #[test]
    fn what_is_no_piece_or_too_large_a_word_is_refused() {
        let piece = Piece { message: 1, index: 1, count: 2, bytes: vec![0; PIECE_BYTES_MAX] };
        let read = |piece: &Piece| Piece::read(&wire::encode(piece));
        assert!(read(&piece).is_ok());
        assert!(read(&Piece { index: 2, ..piece.clone() }).is_err());
        assert!(read(&Piece { bytes: vec![0; PIECE_BYTES_MAX + 1], ..piece.clone() }).is_err());
        assert!(read(&Piece { count: crate::wire::PIECES_MAX + 1, ..piece }).is_err());
        assert!(word(3 << 20).pieces(1).is_none());
        let hello = wire::Far::Beats(Control::NotJoined {
            list: ListId([1; 32]),
            why: wire::JoinRefusal::Unknown,
        });
        assert_eq!(hello.list(), None, "not everything is said so");
    }
}
