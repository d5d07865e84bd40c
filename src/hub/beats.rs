//! Beats of claims between nodes: when this one sends its own, what it makes of those of others, and how two
//! that were cut off find what each has newer. A lost frame is made good by the next comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use x0x_tracker::claim::beat::{BEAT_CLAIMS_MAX, Beats, Kind, Last, SignedBeat, Source, Turn};
use x0x_tracker::id::{AgentId, ListId, RecordHash};
use x0x_tracker::journal::charter::{Charter, Role};

use super::attention::Part;
use super::links::control;
use super::promises::Promises;
use super::{Effect, Fault, Hub};
use crate::wire::Control;

/// A node beats this many times within the shortest time to live of the claims that it beats for.
const PARTS: u32 = 4;

/// How many frames of one agent are taken within [`WINDOW`]: many more than an honest node sends, whose claims
/// live for a second at least.
const FRAMES_MAX: u32 = 16;
const WINDOW: Duration = Duration::from_secs(1);

/// How many frames that one member tells are checked within [`WINDOW`]: of as many agents as a comparison brings.
const CHECKS_MAX: u32 = 1_024;

/// A frame as peers pass it on.
pub(super) struct Frame {
    pub(super) beat: SignedBeat,
    /// Whether it may have been made long ago.
    pub(super) is_late: bool,
}

/// What became of beats that others sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatCounts {
    /// News, and kept.
    pub taken: u64,
    /// Older than what was known.
    pub old: u64,
    /// Not what its agent signed.
    pub forged: u64,
    /// Of an agent that may not work on the list.
    pub foreign: u64,
    /// More in a short time than any honest node sends.
    pub surplus: u64,
}

/// The beats of one list.
#[derive(Debug, Default)]
pub(super) struct ListBeats {
    pub(super) known: Beats,
    /// Own claims whose holders asked for a beat since the last frame.
    asked: BTreeMap<RecordHash, Duration>,
    /// When the last frame was asked for.
    sent_at: Option<Duration>,
    promises: Promises,
    /// Frames that were checked, by who told them, and those that were taken, by whose they are.
    checked: Pace,
    taken: Pace,
    pub(super) counts: BeatCounts,
}

impl ListBeats {
    /// Returns when the next frame is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.beat_due().into_iter().chain(self.promises.deadline()).min()
    }

    fn beat_due(&self) -> Option<Duration> {
        let shortest = self.asked.values().min()?;
        Some(self.sent_at.map_or(Duration::ZERO, |sent_at| sent_at + *shortest / PARTS))
    }

    /// Returns of how many logs frames are kept.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// How many of something came of an agent since when.
#[derive(Debug, Default)]
struct Pace(BTreeMap<AgentId, (Duration, u32)>);

impl Pace {
    /// Tells whether one more is within so many in a [`WINDOW`], and counts it.
    fn has_room(&mut self, now: Duration, agent: AgentId, most: u32) -> bool {
        self.0.retain(|_, (since, _)| now < *since + WINDOW);
        let (_, count) = self.0.entry(agent).or_insert((now, 0));
        *count += 1;
        *count <= most
    }
}

impl Hub {
    /// Holders of claims of this store asked for a beat; each claim lives so long without one.
    pub(super) fn beaten(&mut self, list: ListId, claims: Vec<(RecordHash, Duration)>) {
        if let Some(shared) = self.lists.get_mut(&list) {
            shared.beats.asked.extend(claims);
        }
    }

    /// Claims on whose slates this agent is came to hold their issues here, or do so no more.
    pub(super) fn promised(
        &mut self,
        list: ListId,
        given: Vec<RecordHash>,
        over: &[RecordHash],
        are_all: bool,
    ) {
        if let Some(shared) = self.lists.get_mut(&list) {
            let promises = &mut shared.beats.promises;
            if are_all {
                promises.retain(&given);
            }
            over.iter().for_each(|claim| promises.take_back(*claim));
            given.into_iter().for_each(|claim| promises.give(claim));
        }
    }

    /// Has frames signed that are due.
    pub(super) fn tick_beats(&mut self, now: Duration, list: ListId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get_mut(&list) else { return };
        let beats = &mut shared.beats;
        if let Some(claims) = beats.promises.frame(now) {
            effects.push(Effect::Beat { list, kind: Kind::Promised, claims });
        }
        if beats.beat_due().is_none_or(|due| now < due) {
            return;
        }
        beats.sent_at = Some(now);
        let asked: Vec<RecordHash> = std::mem::take(&mut beats.asked).into_keys().collect();
        for claims in asked.chunks(BEAT_CLAIMS_MAX) {
            let (kind, claims) = (Kind::Worked, claims.to_vec());
            effects.push(Effect::Beat { list, kind, claims });
        }
    }

    /// A frame of this store's own was signed: tell it.
    pub(super) fn beat(&mut self, list: ListId, beat: SignedBeat, effects: &mut Vec<Effect>) {
        let Ok(read) = beat.peek() else { return };
        if let Some(shared) = self.lists.get_mut(&list)
            && shared.beats.known.take((read.log, read.kind), read.turn, beat.clone(), false, 0)
        {
            self.pass_beat(list, Frame { beat, is_late: false }, &[], effects);
        }
    }

    /// A peer sent a frame: of its own, or one that it heard.
    pub(super) fn heard(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        Frame { beat, is_late }: Frame,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(shared) = self.lists.get_mut(&list) else { return Ok(()) };
        let (beats, charter) = (&mut shared.beats, shared.replica.charter());
        let Ok(read) = beat.peek() else {
            beats.counts.forged += 1;
            return Err(Fault::Order("a beat that is none"));
        };
        let (log, source, turn) = (read.log, (read.log, read.kind), read.turn);
        let key = charter.public_key(log.agent).filter(|_| may_beat(charter, log.agent));
        let Some(key) = key.filter(|_| read.list == list && log.agent != self.me) else {
            beats.counts.foreign += 1;
            return Ok(());
        };
        if !beats.known.is_news(source, turn, is_late) {
            let is_known = beats.known.turns().any(|known| known == (source, turn));
            beats.counts.old += u64::from(!is_known);
            return Ok(());
        }
        if !beats.checked.has_room(now, from, CHECKS_MAX) {
            beats.counts.surplus += 1;
            return Ok(());
        }
        if !beat.is_signed_by(key, self.verifier.as_ref()) {
            beats.counts.forged += 1;
            return Err(Fault::Order("a beat that its agent did not sign"));
        }
        // Only what an agent signed counts for it.
        if !beats.taken.has_room(now, log.agent, FRAMES_MAX) {
            beats.counts.surplus += 1;
            return Ok(());
        }
        beats.counts.taken += 1;
        let last = beats.known.last_of(log);
        let now_ms = self.looks.uptime_ms(now);
        beats.known.take(source, turn, beat.clone(), is_late, now_ms);
        // One that came late before has shown what was missed; and promises are told again, so that late ones show
        // nothing of that.
        let is_next = |last: Last| turn == last.turn || turn.follows(last.turn);
        let is_worked = read.kind == Kind::Worked;
        if is_late && is_worked || !is_late && !last.is_some_and(is_next) {
            let on_time_ms = last.and_then(|last| last.on_time_ms);
            self.missed_beats(now, list, log.agent, on_time_ms);
        }
        // Whoever shows its own is there.
        if !is_late || from == log.agent {
            self.heard_now(now, log.agent);
        }
        effects.push(Effect::Hear { list, beat: read });
        self.pass_beat(list, Frame { beat, is_late }, &[from, log.agent], effects);
        Ok(())
    }

    /// Sends a frame to all who share the list but these.
    fn pass_beat(
        &self,
        list: ListId,
        Frame { beat, is_late }: Frame,
        but: &[AgentId],
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get(&list) else { return };
        let frame = Control::Beat { list, beat, is_late };
        for (peer, link) in &self.peers {
            if shared.has(*peer) && !but.contains(peer) {
                effects.push(control(*link, &frame));
            }
        }
    }

    /// Tells a peer in one word which frames are known here.
    pub(super) fn tell_beats(&self, list: ListId, to: AgentId, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get(&list) else { return };
        if !shared.beats.known.is_empty() {
            let hash = shared.beats.known.digest(list);
            self.say(to, &Control::BeatDigest { list, hash }, effects);
        }
    }

    /// A peer said so: if it knows others, tell it which are known here.
    pub(super) fn beat_digest(
        &self,
        list: ListId,
        from: AgentId,
        hash: [u8; 32],
        effects: &mut Vec<Effect>,
    ) {
        let Some(shared) = self.lists.get(&list) else { return };
        if hash != shared.beats.known.digest(list) {
            self.tell_turns(list, from, true, effects);
        }
    }

    /// Asks a peer for the frames that it has newer.
    pub(super) fn ask_beats(&self, list: ListId, of: AgentId, effects: &mut Vec<Effect>) {
        self.tell_turns(list, of, true, effects);
    }

    fn tell_turns(&self, list: ListId, to: AgentId, wants_answer: bool, effects: &mut Vec<Effect>) {
        let Some(shared) = self.lists.get(&list) else { return };
        let held = shared.beats.known.turns().collect();
        self.say(to, &Control::BeatsHeld { list, held, wants_answer }, effects);
    }

    /// A peer told which frames it has: show it those that are newer here. Where it was asked to, it showed
    /// those that were newer there.
    pub(super) fn beats_held(
        &mut self,
        now: Duration,
        list: ListId,
        from: AgentId,
        held: Vec<(Source, Turn)>,
        wants_answer: bool,
        effects: &mut Vec<Effect>,
    ) {
        if !wants_answer {
            self.note_level(now, list, Part::Beats, from);
        }
        let Some(shared) = self.lists.get(&list) else { return };
        let held: BTreeMap<Source, Turn> = held.into_iter().collect();
        let known = &shared.beats.known;
        let of_others = known.turns().filter(|((log, _), _)| log.agent != from);
        for (of, _) in of_others {
            if let Some(beat) = known.newer_than(of, held.get(&of).copied()).cloned() {
                self.say(from, &Control::Beat { list, beat, is_late: true }, effects);
            }
        }
        if wants_answer {
            self.tell_turns(list, from, false, effects);
        }
    }

    /// Forgets the beats of agents that may not work any more.
    pub(super) fn forget_beats(&mut self, list: ListId) {
        if let Some(shared) = self.lists.get_mut(&list) {
            let charter = shared.replica.charter();
            shared.beats.known.retain(|agent| may_beat(charter, agent));
        }
    }

    /// Returns what became of the beats that others sent, by list.
    pub fn all_beat_counts(&self) -> BTreeMap<ListId, BeatCounts> {
        self.lists.iter().map(|(list, shared)| (*list, shared.beats.counts)).collect()
    }

    /// Returns what became of the beats that others sent of a list; `None` where it is not here.
    pub fn beat_counts(&self, list: ListId) -> Option<BeatCounts> {
        Some(self.lists.get(&list)?.beats.counts)
    }
}

fn may_beat(charter: &Charter, agent: AgentId) -> bool {
    charter.role(agent).is_some_and(Role::may_write)
}
