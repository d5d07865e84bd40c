//! Beats of claims as they travel between machines: one small signed frame says which claims of a log's
//! agent are worked on, another which claims of others it promised not to take from them. They never enter
//! documents, and what a machine makes of them is its own observation.
//!
//! Of the frames of a log and a kind the one with the highest start and counter counts; others are old news.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, ListId, LogId, RecordHash};
use crate::journal::signature::{SIGNATURE_BYTES, SignError, Signer, Verifier};

/// The most claims in one frame; more take several.
pub const BEAT_CLAIMS_MAX: usize = 4_096;

/// The most frames of a list that are kept. Of more, those that were heard of longest ago are
/// forgotten.
pub const BEATS_MAX: usize = 1_024;

/// The most sources of one agent whose newest frame is kept: of its logs, few are written at a time. Of more,
/// those with the lowest turns are forgotten.
pub const SOURCES_MAX: usize = 16;

/// What is signed begins with this.
const LABEL: &[u8] = b"x0x/beat/v1\0";

/// How many bytes of a claim's hash name it in a frame, among those that the frame can be about. Whoever makes
/// two of one beginning has one of them taken for the other, and both are its own.
pub const TAG_BYTES: usize = 8;

/// The beginning of the hash of a claim.
pub type ClaimTag = [u8; TAG_BYTES];

/// Returns what names a claim in a frame.
pub fn tag(claim: RecordHash) -> ClaimTag {
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&claim.0[..TAG_BYTES]);
    tag
}

/// What a frame says of the claims that it names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Kind {
    /// They are of the frame's agent, and their holders asked for a beat.
    #[default]
    Worked,
    /// They are of others, and the frame's agent, who is on their slates, knows of them: it claims none of
    /// those issues until the claim ends or goes stale.
    Promised,
}

/// One beat of a store's own claims, or its promises on those of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Of which list.
    pub list: ListId,
    /// Who says it: the agent of this log.
    pub log: LogId,
    /// Which frame of the log it is.
    pub turn: Turn,
    /// What it says.
    pub kind: Kind,
    /// Of which claims; at most [`BEAT_CLAIMS_MAX`]. Of those worked on, all whose holders asked for it since
    /// the frame before; of promises, the newest.
    pub claims: Vec<ClaimTag>,
}

/// Which of the frames of a log one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Turn {
    /// How often the store was opened to beat; written down before the first beat.
    pub start: u64,
    /// Counts the frames of each start, of all kinds together, from 1.
    pub counter: u64,
}

impl Turn {
    /// Tells whether a frame of this turn comes right after one of another: nothing was missed between them.
    pub fn follows(self, before: Self) -> bool {
        self.start == before.start && self.counter.checked_sub(1) == Some(before.counter)
    }
}

/// A beat as it travels: bytes, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBeat {
    #[serde(with = "serde_bytes")]
    beat: Vec<u8>,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
}

/// Bytes are no beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed beat")]
pub struct NoBeat;

impl SignedBeat {
    /// Signs a beat.
    ///
    /// # Errors
    /// Where the key refuses.
    pub fn new(beat: &Beat, signer: &dyn Signer) -> Result<Self, SignError> {
        // Postcard fails for sequences of unknown length alone, and a beat has none.
        let beat = postcard::to_stdvec(beat).expect("every length is known");
        let signature = signer.sign(&signed_bytes(&beat))?;
        Ok(Self { beat, signature })
    }

    /// Checks the bounds and returns the beat; whose it is, nothing has shown yet.
    ///
    /// # Errors
    /// Where it is none.
    pub fn peek(&self) -> Result<Beat, NoBeat> {
        match postcard::take_from_bytes::<Beat>(&self.beat) {
            Ok((beat, []))
                if beat.claims.len() <= BEAT_CLAIMS_MAX
                    && self.signature.len() == SIGNATURE_BYTES =>
            {
                Ok(beat)
            }
            _ => Err(NoBeat),
        }
    }

    /// Tells whether the agent with this key signed it.
    pub fn is_signed_by(&self, public_key: &[u8], verifier: &dyn Verifier) -> bool {
        verifier.verify(public_key, &signed_bytes(&self.beat), &self.signature)
    }
}

fn signed_bytes(beat: &[u8]) -> Vec<u8> {
    [LABEL, beat].concat()
}

/// What says one thing and is told anew: the frames of a log that are of one kind.
pub type Source = (LogId, Kind);

/// The newest turn of a log that is known, and when a frame of it last came on time, by the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The turn.
    pub turn: Turn,
    /// When; `None` where none did.
    pub on_time_ms: Option<u64>,
}

/// The newest frame of each kind of each log of a list.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    known: BTreeMap<Source, Known>,
    /// Counts what was taken, so that it is known what came longest ago.
    taken: u64,
}

#[derive(Clone, Debug)]
struct Known {
    turn: Turn,
    beat: SignedBeat,
    taken: u64,
    is_late: bool,
    on_time_ms: Option<u64>,
}

impl Beats {
    /// Tells whether a frame of this turn would be news: also one that comes on time, where it is known late.
    pub fn is_news(&self, of: Source, turn: Turn, is_late: bool) -> bool {
        match self.known.get(&of) {
            Some(known) => known.turn < turn || known.turn == turn && known.is_late && !is_late,
            None => {
                let lowest = self.lowest_of(of.0.agent);
                lowest.is_none_or(|lowest| lowest < (turn, of))
            }
        }
    }

    /// Returns the lowest source of an agent, where it has as many as are kept.
    fn lowest_of(&self, agent: AgentId) -> Option<(Turn, Source)> {
        let of_agent = self.known.iter().filter(|((log, _), _)| log.agent == agent);
        let turns: Vec<(Turn, Source)> = of_agent.map(|(of, known)| (known.turn, *of)).collect();
        turns.iter().min().copied().filter(|_| turns.len() >= SOURCES_MAX)
    }

    /// Returns what is known of a log, whatever the kind of its frames.
    pub fn last_of(&self, log: LogId) -> Option<Last> {
        let kinds = [Kind::Worked, Kind::Promised].map(|kind| self.known.get(&(log, kind)));
        let kinds = || kinds.iter().flatten();
        let turn = kinds().map(|known| known.turn).max()?;
        Some(Last { turn, on_time_ms: kinds().filter_map(|known| known.on_time_ms).max() })
    }

    /// Takes a frame that was verified, at a time of the caller's, where it is news; tells whether it was. Of more
    /// sources of an agent than are kept the lowest is forgotten, which is the same everywhere.
    pub fn take(
        &mut self,
        of: Source,
        turn: Turn,
        beat: SignedBeat,
        is_late: bool,
        at_ms: u64,
    ) -> bool {
        if !self.is_news(of, turn, is_late) {
            return false;
        }
        let is_known = self.known.contains_key(&of);
        let lowest = if is_known { None } else { self.lowest_of(of.0.agent) };
        let before = self.known.get(&of).and_then(|known| known.on_time_ms);
        let on_time_ms = if is_late { before } else { Some(at_ms) };
        self.known.insert(of, Known { turn, beat, taken: self.taken, is_late, on_time_ms });
        self.taken += 1;
        if let Some((_, lowest)) = lowest {
            self.known.remove(&lowest);
        }
        if self.known.len() > BEATS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.taken);
            oldest.map(|(of, _)| *of).and_then(|of| self.known.remove(&of));
        }
        true
    }

    /// Forgets the frames of agents that are not to be heard any more.
    pub fn retain(&mut self, is_heard: impl Fn(AgentId) -> bool) {
        self.known.retain(|(log, _), _| is_heard(log.agent));
    }

    /// Returns the newest frame of a source, where it is newer than that turn.
    pub fn newer_than(&self, of: Source, turn: Option<Turn>) -> Option<&SignedBeat> {
        let known = self.known.get(&of)?;
        turn.is_none_or(|turn| known.turn > turn).then_some(&known.beat)
    }

    /// Returns which frame is the newest of each source, by that.
    pub fn turns(&self) -> impl Iterator<Item = (Source, Turn)> {
        self.known.iter().map(|(of, known)| (*of, known.turn))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns what is equal on two nodes that have the same.
    pub fn digest(&self, list: ListId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("x0x/beats/v1");
        hasher.update(&list.0);
        for ((log, kind), turn) in self.turns() {
            hasher.update(&log.to_bytes());
            hasher.update(&[kind as u8]);
            hasher.update(&turn.start.to_be_bytes());
            hasher.update(&turn.counter.to_be_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{StandIn, StandInVerifier};

    fn log(agent: u64, nonce: u8) -> LogId {
        LogId { agent: StandIn::new(agent).agent(), nonce: [nonce; 8] }
    }

    fn beat(of: u64, start: u64, counter: u64) -> (Source, Turn, SignedBeat) {
        let (log, turn) = (log(of, 1), Turn { start, counter });
        let claims = vec![tag(RecordHash([7; 32]))];
        let beat = Beat { list: ListId([1; 32]), log, turn, kind: Kind::Worked, claims };
        ((log, Kind::Worked), turn, SignedBeat::new(&beat, &StandIn::new(of)).unwrap())
    }

    #[test]
    fn the_highest_start_and_counter_count_in_whatever_order_they_come() {
        let turns = [(1, 1), (1, 9), (2, 1), (2, 3), (1, 10)];
        let mut digests = Vec::new();
        for first in 0..turns.len() {
            let mut beats = Beats::default();
            let mut order = turns;
            order.rotate_left(first);
            for (start, counter) in order {
                let (of, turn, signed) = beat(1, start, counter);
                let is_news = beats.is_news(of, turn, false);
                assert_eq!(beats.take(of, turn, signed, false, 0), is_news);
            }
            assert_eq!(beats.turns().next().unwrap().1, Turn { start: 2, counter: 3 });
            digests.push(beats.digest(ListId([1; 32])));
        }
        digests.dedup();
        assert_eq!(digests.len(), 1);
    }

    #[test]
    fn a_beat_is_its_signers_and_as_it_was_signed() {
        let (_, _, signed) = beat(1, 1, 1);
        let key = |agent: u64| StandIn::new(agent).public_key().to_vec();
        assert!(signed.is_signed_by(&key(1), &StandInVerifier));
        assert!(!signed.is_signed_by(&key(2), &StandInVerifier));
        assert_eq!(signed.peek().unwrap().turn, Turn { start: 1, counter: 1 });
        let mut other = signed.clone();
        other.beat.push(0);
        assert_eq!(other.peek(), Err(NoBeat));
        let mut other = signed.clone();
        *other.beat.last_mut().unwrap() ^= 1;
        assert!(!other.is_signed_by(&key(1), &StandInVerifier));
        let claims = vec![[0; TAG_BYTES]; BEAT_CLAIMS_MAX + 1];
        let many = Beat { claims, ..signed.peek().unwrap() };
        assert_eq!(SignedBeat::new(&many, &StandIn::new(1)).unwrap().peek(), Err(NoBeat));
    }

    #[test]
    fn frames_of_two_kinds_do_not_replace_each_other() {
        let mut beats = Beats::default();
        let (worked, turn, signed) = beat(1, 1, 2);
        let promised = (worked.0, Kind::Promised);
        beats.take(promised, Turn { start: 1, counter: 3 }, signed.clone(), false, 5);
        let before = beats.digest(ListId([1; 32]));
        beats.take(worked, turn, signed, true, 9);
        assert!(beats.len() == 2 && beats.digest(ListId([1; 32])) != before);
        let last = Last { turn: Turn { start: 1, counter: 3 }, on_time_ms: Some(5) };
        assert_eq!(beats.last_of(worked.0), Some(last));
    }

    #[test]
    fn a_frame_that_is_known_late_is_news_when_it_comes_on_time_and_late_ones_keep_that_time() {
        let mut beats = Beats::default();
        let (of, turn, signed) = beat(1, 1, 2);
        beats.take(of, turn, signed.clone(), true, 3);
        assert_eq!(beats.last_of(of.0), Some(Last { turn, on_time_ms: None }));
        assert!(beats.is_news(of, turn, false) && !beats.is_news(of, turn, true));
        beats.take(of, turn, signed, false, 4);
        assert!(!beats.is_news(of, turn, false));
        let (_, later, signed) = beat(1, 1, 3);
        beats.take(of, later, signed, true, 90);
        assert_eq!(beats.last_of(of.0), Some(Last { turn: later, on_time_ms: Some(4) }));
    }

    #[test]
    fn a_frame_follows_the_one_before_it_in_its_start_alone() {
        let turn = |start, counter| Turn { start, counter };
        assert!(turn(1, 8).follows(turn(1, 7)));
        for other in [turn(1, 6), turn(1, 8), turn(1, 9), turn(2, 7)] {
            assert!(!turn(1, 8).follows(other));
        }
        assert!(!turn(1, 0).follows(turn(1, u64::MAX)));
    }

    #[test]
    fn frames_are_kept_of_a_bounded_number_of_logs() {
        let mut beats = Beats::default();
        let (_, turn, signed) = beat(1, 1, 1);
        let of = |agent: u64, nonce: u64| {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&agent.to_be_bytes());
            (LogId { agent: AgentId(bytes), nonce: nonce.to_be_bytes() }, Kind::Worked)
        };
        for n in 0..BEATS_MAX as u64 + 5 {
            beats.take(of(n, 0), turn, signed.clone(), false, 0);
        }
        assert_eq!(beats.len(), BEATS_MAX);
        assert!(beats.newer_than(of(0, 0), None).is_none(), "the first is forgotten");
        // Whoever makes up logs drives out its own frames alone, and the same everywhere.
        let mut logs: Vec<u64> = (1..=200).collect();
        let mut kept = Vec::new();
        for _ in 0..3 {
            logs.rotate_left(77);
            let mut beats = beats.clone();
            for n in &logs {
                let turn = Turn { start: 1, counter: n % 50 + 2 };
                beats.take(of(7, *n), turn, signed.clone(), false, 0);
            }
            assert!(beats.newer_than(of(100, 0), None).is_some());
            let agent = of(7, 0).0.agent;
            let own: Vec<_> = beats.turns().filter(|((log, _), _)| log.agent == agent).collect();
            assert_eq!(own.len(), SOURCES_MAX);
            kept.push(own);
        }
        assert!(kept[0] == kept[1] && kept[1] == kept[2]);
        beats.retain(|_| false);
        assert!(beats.is_empty());
    }
}
