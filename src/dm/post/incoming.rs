//! What comes in: frames of others, and that something is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::super::error::DmError;
use super::super::inbox::Verdict;
use super::super::message::{DmPath, Envelope};
use super::super::store::Op;
use super::super::wire::{Ack, Frame, Message, Place, Refusal};
use super::outgoing::{as_us, own_receipt, receipt};
use super::{Effect, Post, Progress, Written};

/// How often messages of one sender that came again are acknowledged again.
const REPEAT_EVERY: Duration = Duration::from_millis(100);

/// For how many messages issues are brought at once; others are sent again later.
const FETCHES_MAX: usize = 64;
/// The same of one sender.
const FETCHES_PER_SENDER_MAX: usize = 8;

impl Post {
    pub(super) fn stored(&mut self, now: Duration, up_to: u64, effects: &mut Vec<Effect>) {
        let mut acks: BTreeMap<AgentId, BTreeMap<u64, u64>> = BTreeMap::new();
        while let Some((number, _)) = self.writing.front()
            && *number <= up_to
        {
            let Some((_, written)) = self.writing.pop_front() else { break };
            match written {
                Written::Other => {}
                Written::Out { to, order } => {
                    let now_ms = self.now_ms;
                    // It may be delivered already.
                    let Some(pending) = self.outbox.find(to, order) else { continue };
                    pending.accepted_at_ms = Some(now_ms);
                    let is_held = pending.is_named;
                    let receipt = receipt(pending);
                    self.tell(order, &Progress::Accepted(receipt), effects);
                    if is_held {
                        self.pump(now, to, effects);
                    }
                }
                Written::In { envelope, own: Some((order, asked)) } => {
                    let latency_us = as_us(now - asked);
                    self.counts.count(self.me, DmPath::Loopback, |count| {
                        count.delivered += 1;
                        count.took(latency_us);
                    });
                    let id = &envelope.message.message_id;
                    let receipt = own_receipt(id, Some(self.now_ms), Some(latency_us));
                    effects.push(Effect::Arrived(envelope));
                    self.tell_delivered(self.me, order, receipt, effects);
                }
                Written::In { envelope, own: None } => {
                    let Message { from, place, .. } = envelope.message;
                    self.inbox.stored(from, place);
                    let newest = acks.entry(from).or_default().entry(place.log).or_default();
                    *newest = place.number.max(*newest);
                    effects.push(Effect::Arrived(envelope));
                }
            }
        }
        for (to, logs) in acks {
            for (log, number) in logs {
                self.acknowledge(to, Place { log, number }, effects);
            }
        }
    }

    /// Writes that were asked for do not reach the disk: as if nobody had asked for what they say.
    pub(super) fn not_stored(&mut self, what: &str, effects: &mut Vec<Effect>) {
        let mut lost = BTreeSet::new();
        for (_, written) in std::mem::take(&mut self.writing) {
            let error = || DmError::Store { what: what.to_owned() };
            match written {
                Written::Other => {}
                Written::Out { to, order } => {
                    if let Some(pending) = self.outbox.take_out(to, order) {
                        self.end(&pending, error(), effects);
                    }
                }
                Written::In { envelope, own } => {
                    lost.insert(envelope.number);
                    if let Some((order, _)) = own {
                        self.unknow(self.me, &envelope.message.message_id, order);
                        self.tell_last(order, &Progress::Failed(error()), effects);
                    }
                }
            }
        }
        self.inbox.untake(&lost);
        self.write(Op::Resume, Written::Other, effects);
    }

    pub(super) fn frame(
        &mut self,
        now: Duration,
        from: AgentId,
        public_key: &[u8],
        path: DmPath,
        frame: Frame,
        effects: &mut Vec<Effect>,
    ) {
        match frame {
            Frame::Message { message, after } => {
                if message.from != from || message.to != self.me {
                    return effects.push(Effect::Breach(from));
                }
                self.message(now, from, path, message, after, effects);
            }
            Frame::Far { run, bytes } => match path {
                DmPath::Gossip if self.members.contains(&from) => {
                    effects.push(Effect::Far { from, run, bytes });
                }
                DmPath::Gossip => self.strangers += 1,
                // Whoever has a link says it there.
                DmPath::Quic | DmPath::Loopback => effects.push(Effect::Breach(from)),
            },
            // Nobody has this side check what it never waited for.
            Frame::Ack(_) if !self.outbox.awaits(from) => {}
            Frame::Ack(signed) => {
                let ack = signed.verified(public_key, self.verifier.as_ref());
                let Some(ack) = ack.filter(|ack| ack.from == from && ack.to == self.me) else {
                    return effects.push(Effect::Breach(from));
                };
                for pending in self.outbox.acknowledged(now, from, ack.up_to) {
                    self.delivered(now, &pending, effects);
                }
                self.pump(now, from, effects);
            }
            Frame::Refused { place, why } => {
                let waiting = &self.waiting;
                let is_waited_for = |order| waiting.contains_key(&order);
                let ended =
                    self.outbox.refused(now, from, place, why, &is_waited_for, &mut self.random);
                for pending in ended {
                    self.counts.count(from, path, |count| count.refused += 1);
                    let error = match why {
                        Refusal::NotAllowed | Refusal::Stranger => DmError::NotAllowed { to: from },
                        Refusal::InboxFull | Refusal::Gap | Refusal::NotYet => {
                            DmError::InboxFull { to: from }
                        }
                    };
                    self.end(&pending, error, effects);
                }
                self.pump(now, from, effects);
            }
        }
    }

    pub(super) fn message(
        &mut self,
        now: Duration,
        from: AgentId,
        path: DmPath,
        message: Message,
        after: Option<Place>,
        effects: &mut Vec<Effect>,
    ) {
        let place = message.place;
        let is_member = self.members.contains(&from);
        if !is_member || self.blocked.contains(&from) {
            match is_member {
                true => self.counts.count(from, path, |count| count.turned_away += 1),
                false => self.strangers += 1,
            }
            // Whoever came through others and is no member is told nothing.
            if is_member || path == DmPath::Quic {
                let why = if is_member { Refusal::NotAllowed } else { Refusal::Stranger };
                self.reply(from, &Frame::Refused { place, why }, effects);
            }
            return;
        }
        if !message.issues.is_empty() && self.inbox.of_known(from, place).is_none() {
            match self.fetching.get(&(from, place)) {
                Some(true) => drop(self.fetching.remove(&(from, place))),
                is_fetching => {
                    if is_fetching.is_none() && self.has_room_to_fetch(from) {
                        self.fetching.insert((from, place), false);
                        let issues = message.issues;
                        effects.push(Effect::Fetch { from, place, issues });
                    }
                    self.reply(from, &Frame::Refused { place, why: Refusal::NotYet }, effects);
                    return;
                }
            }
        }
        match self.inbox.take(from, place, after, message.weight()) {
            Verdict::Taken(number) => {
                self.counts.count(from, path, |count| count.received += 1);
                let received_at_ms = self.now_ms;
                let envelope = Arc::new(Envelope { number, message, received_at_ms, path });
                let written = Written::In { envelope: envelope.clone(), own: None };
                self.write(Op::PutIn { envelope, kept: None }, written, effects);
            }
            Verdict::Stored => {
                self.counts.count(from, path, |count| count.duplicates += 1);
                // One answers for all that came again with it.
                let due = |at: &Duration| now >= *at + REPEAT_EVERY;
                if self.repeated.get(&from).is_none_or(due) {
                    self.repeated.insert(from, now);
                    let number = self.inbox.stored_of(from, place.log).unwrap_or(place.number);
                    let up_to = Place { number: number.max(place.number), ..place };
                    self.acknowledge(from, up_to, effects);
                }
            }
            // It is acknowledged once it is on disk.
            Verdict::Taking => self.counts.count(from, path, |count| count.duplicates += 1),
            Verdict::Refused(why) => {
                self.counts.count(from, path, |count| count.turned_away += 1);
                self.reply(from, &Frame::Refused { place, why }, effects);
            }
        }
    }

    /// Tells whether issues of one more message of an agent may be brought now.
    fn has_room_to_fetch(&mut self, from: AgentId) -> bool {
        if self.fetching.len() >= FETCHES_MAX {
            // Whoever sent those may have given them up.
            self.fetching.retain(|_, are_here| !*are_here);
        }
        let of_it = |fetching: &BTreeMap<(AgentId, Place), bool>| {
            fetching.keys().filter(|(of, _)| *of == from).count()
        };
        if of_it(&self.fetching) >= FETCHES_PER_SENDER_MAX {
            self.fetching.retain(|(of, _), are_here| *of != from || !*are_here);
        }
        let of_it = of_it(&self.fetching);
        self.fetching.len() < FETCHES_MAX && of_it < FETCHES_PER_SENDER_MAX
    }

    pub(super) fn acknowledge(&self, to: AgentId, up_to: Place, effects: &mut Vec<Effect>) {
        effects.push(Effect::Acknowledge(Ack { from: self.me, to, up_to }));
    }

    pub(super) fn reply(&self, to: AgentId, frame: &Frame, effects: &mut Vec<Effect>) {
        effects.push(match self.links.contains_key(&to) {
            true => Effect::Send(to, frame.write()),
            false => Effect::Whisper(to, frame.write()),
        });
    }
}
