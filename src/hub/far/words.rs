//! What far members say, put together from its pieces: each word once, however often its pieces come, since others
//! carry them and could send them again.

use std::collections::BTreeMap;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use crate::wire::Piece;

/// How many words in pieces are put together at once, of one member and of all; others are said again.
const PER_AGENT_MAX: usize = 4;
const ALL_MAX: usize = 16;

/// How long the pieces of a word are waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Of how many members it is remembered which words came.
const AGENTS_MAX: usize = 4_096;

/// How many words before the newest that came are told apart; older ones are not heard.
const WINDOW: u64 = 64;

/// Words of which pieces came, and those that came whole.
#[derive(Debug, Default)]
pub(super) struct Words {
    begun: BTreeMap<(AgentId, u64), Word>,
    heard: BTreeMap<AgentId, Heard>,
}

/// A word of which pieces came.
#[derive(Debug)]
struct Word {
    since: Duration,
    count: u16,
    pieces: BTreeMap<u16, Vec<u8>>,
}

/// Which words of a member came, by a window over their numbers (RFC 4303, section 3.4.3).
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// The run of its node that they are of; a later one has a higher number.
    run: u64,
    newest: u64,
    /// The bit of each of those before it that came, the newest first.
    bits: u64,
}

impl Heard {
    fn has(&self, word: u64) -> bool {
        match self.newest.checked_sub(word) {
            None => false,
            Some(age) => age >= WINDOW || self.bits >> age & 1 == 1,
        }
    }

    fn note(&mut self, word: u64) {
        if let Some(more) = word.checked_sub(self.newest) {
            self.bits = if more < WINDOW { self.bits << more } else { 0 };
            self.newest = word;
        }
        self.bits |= 1 << (self.newest - word).min(WINDOW - 1);
    }
}

impl Words {
    /// Takes a piece that a member said in a run of its node; returns the word that it is the last of.
    pub(super) fn piece(
        &mut self,
        now: Duration,
        from: AgentId,
        run: u64,
        piece: Piece,
    ) -> Option<Vec<u8>> {
        let Piece { message, index, count, bytes } = piece;
        let heard = self.heard.get(&from).copied();
        if heard.is_some_and(|heard| run < heard.run || run == heard.run && heard.has(message)) {
            return None;
        }
        if heard.is_some_and(|heard| run > heard.run) {
            self.begun.retain(|(agent, _), _| *agent != from);
        }
        if heard.is_none_or(|heard| run > heard.run) {
            if self.heard.len() >= AGENTS_MAX && heard.is_none() {
                return None;
            }
            self.heard.insert(from, Heard { run, newest: 0, bits: 0 });
        }
        let word = self.put(now, (from, message), index, count, bytes)?;
        if let Some(heard) = self.heard.get_mut(&from) {
            heard.note(message);
        }
        Some(word)
    }

    fn put(
        &mut self,
        now: Duration,
        key: (AgentId, u64),
        index: u16,
        count: u16,
        bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        if count == 1 {
            return Some(bytes);
        }
        self.begun.retain(|_, word| now < word.since + WAIT_MAX);
        if !self.begun.contains_key(&key) {
            self.make_room(key.0);
        }
        let new = || Word { since: now, count, pieces: BTreeMap::new() };
        let word = self.begun.entry(key).or_insert_with(new);
        if word.count == count {
            word.pieces.insert(index, bytes);
        }
        if word.pieces.len() < usize::from(word.count) {
            return None;
        }
        let word = self.begun.remove(&key)?;
        Some(word.pieces.into_values().flatten().collect())
    }

    /// Gives up a word, where there are too many: of that member, or else of the one that has most.
    fn make_room(&mut self, from: AgentId) {
        let of = |agent: AgentId| self.begun.keys().filter(move |(of, _)| *of == agent);
        let most = match of(from).count() {
            PER_AGENT_MAX.. => Some(from),
            _ if self.begun.len() < ALL_MAX => None,
            _ => self.begun.keys().map(|(agent, _)| *agent).max_by_key(|agent| of(*agent).count()),
        };
        let oldest = most.and_then(|agent| of(agent).next().copied());
        oldest.and_then(|oldest| self.begun.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    use x0x_tracker::id::{CommitHash, ListId, LogId};
    use x0x_tracker::journal::commit::Position;

    use super::*;
    use crate::wire::{self, Far, PIECE_BYTES_MAX, PIECES_MAX, Standing};

    const NOW: Duration = Duration::ZERO;

    fn agent(n: u8) -> AgentId {
        AgentId([n; 32])
    }

    fn word(bytes: usize) -> Far {
        let log = |n: u64| LogId { agent: agent(n as u8), nonce: n.to_be_bytes() };
        let at = |n: u64| Position { number: n + 1, hash: CommitHash([9; 32]) };
        let logs = (0..bytes as u64 / 80).map(|n| (log(n), at(n))).collect();
        let standing = Standing { logs, ..Standing::default() };
        Far::Ask { list: ListId([5; 32]), number: 1, standing, rules: 1, skip: 0, held: Vec::new() }
    }

    #[test]
    fn a_word_in_pieces_is_put_together_once_in_whatever_order_and_however_often_they_come() {
        let mut words = Words::default();
        let word = word(3 * PIECE_BYTES_MAX);
        let mut pieces = word.pieces(7).unwrap();
        assert!(pieces.len() > 2);
        pieces.rotate_left(1);
        let all = pieces.clone();
        let last = pieces.pop().unwrap();
        for piece in &pieces {
            assert!(Piece::read(&wire::encode(piece)).is_ok());
            for _ in 0..2 {
                assert_eq!(words.piece(NOW, agent(1), 3, piece.clone()), None);
            }
            assert_eq!(words.piece(NOW, agent(2), 3, piece.clone()), None);
        }
        let whole = words.piece(NOW, agent(1), 3, last).unwrap();
        assert_eq!(Far::read(&whole).unwrap(), word);
        assert_eq!(words.begun.len(), 1, "that of the other goes on waiting");
        for piece in all {
            assert_eq!(words.piece(NOW, agent(1), 3, piece), None, "it came");
        }
        assert_eq!(words.begun.len(), 1);
    }

    #[test]
    fn what_somebody_sends_again_is_not_heard_again_nor_what_was_said_in_an_earlier_run() {
        let mut words = Words::default();
        let mut said = |run, message| {
            let piece = Piece { message, index: 0, count: 1, bytes: vec![1] };
            words.piece(NOW, agent(1), run, piece).is_some()
        };
        assert!(said(5, 1) && !said(5, 1));
        assert!(said(5, 9) && said(5, 3) && !said(5, 3) && !said(5, 9));
        assert!(said(5, 500) && !said(5, 4), "too long ago");
        assert!(said(5, 450) && !said(5, 450) && said(5, 437) && !said(5, 436));
        assert!(!said(4, 900));
        assert!(said(6, 1) && !said(5, 901) && !said(6, 1));
        assert!(said(6, u64::MAX) && said(6, u64::MAX - 63) && !said(6, u64::MAX - 64));
    }

    #[test]
    fn unfinished_words_are_bounded_and_forgotten() {
        let mut words = Words::default();
        let piece = |message| Piece { message, index: 0, count: 2, bytes: vec![1] };
        for n in 0..100 {
            words.piece(NOW, agent(1), 1, piece(n));
        }
        assert_eq!(words.begun.len(), PER_AGENT_MAX);
        assert!(words.begun.contains_key(&(agent(1), 99)), "the newest are kept");
        for n in 2..100 {
            words.piece(NOW, agent(n), 1, piece(1));
            assert!(words.begun.contains_key(&(agent(n), 1)), "nobody is kept out");
        }
        assert_eq!(words.begun.len(), ALL_MAX);
        assert_eq!(words.piece(WAIT_MAX, agent(120), 1, piece(1)), None);
        assert_eq!(words.begun.len(), 1);
    }

    #[test]
    fn what_is_no_piece_or_too_large_a_word_is_refused() {
        let piece = Piece { message: 1, index: 1, count: 2, bytes: vec![0; PIECE_BYTES_MAX] };
        let read = |piece: &Piece| Piece::read(&wire::encode(piece));
        assert!(read(&piece).is_ok());
        assert!(read(&Piece { index: 2, ..piece.clone() }).is_err());
        assert!(read(&Piece { bytes: vec![0; PIECE_BYTES_MAX + 1], ..piece.clone() }).is_err());
        assert!(read(&Piece { count: PIECES_MAX + 1, ..piece }).is_err());
        assert!(word(3 << 20).pieces(1).is_none());
    }
}
