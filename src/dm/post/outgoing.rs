//! Messages that go out: what is asked for, what is sent, and what whoever asked is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::AgentId;

use super::super::error::DmError;
use super::super::message::{Carried, DmPath, DmReceipt, Draft, Envelope, Form};
use super::super::outbox::{Action, Pending, Ways};
use super::super::store::{Kept, Op};
use super::super::wire::{Message, Place};
use super::super::{
    IDS_MAX, ISSUES_MAX, MESSAGE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, TTL_DEFAULT, TTL_MAX,
};
use super::{Effect, Known, Order, Post, Progress, Written};
use crate::entropy::draw;

impl Post {
    pub(super) fn send(
        &mut self,
        now: Duration,
        request: u64,
        draft: Draft,
        ends_on_full: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DmError> {
        let Draft { to, form, payload, message_id, ttl_ms, issues } = draft;
        let bytes = payload.len() + issues.iter().map(Carried::weight).sum::<usize>();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(DmError::PayloadTooLarge { bytes });
        }
        if issues.len() > ISSUES_MAX {
            return Err(DmError::TooManyIssues { issues: issues.len() });
        }
        let is_id = |id: &String| (1..=MESSAGE_ID_BYTES_MAX).contains(&id.len());
        if !message_id.as_ref().is_none_or(is_id) {
            return Err(DmError::BadMessageId);
        }
        if to != self.me && !self.members.contains(&to) {
            return Err(DmError::RecipientUnknown { to });
        }
        if let Some(id) = &message_id
            && let Some(known) = self.known.get(&(to, id.clone()))
        {
            if known.digest != digest_of(form, &payload, &issues) {
                return Err(DmError::MessageIdTaken { message_id: id.clone() });
            }
            let (order, receipt) = (known.order, known.receipt.clone());
            self.again(to, order, receipt, request, effects);
            return Ok(());
        }
        let is_named = message_id.is_some();
        let message_id = message_id.unwrap_or_else(|| self.draw_id());
        let place =
            Place { log: self.log, number: self.numbers.get(&to).copied().unwrap_or(0) + 1 };
        let (from, sent_at_ms) = (self.me, self.now_ms);
        let message = Message { from, to, place, message_id, sent_at_ms, form, payload, issues };
        if to == self.me {
            self.send_to_oneself(now, request, message, is_named, effects)?;
            self.numbers.insert(to, place.number);
            return Ok(());
        }
        if !self.outbox.has_room(message.weight()) {
            return Err(DmError::OutboxFull);
        }
        self.numbers.insert(to, place.number);
        let order = self.next_order();
        self.know(&message, order, is_named);
        let ttl = ttl_ms.map_or(TTL_DEFAULT, Duration::from_millis).min(TTL_MAX);
        let expires_at_ms = self.now_ms.saturating_add(ttl.as_millis() as i64);
        let message = Arc::new(message);
        let pending = Pending {
            order,
            message: message.clone(),
            expires: now + ttl,
            asked: now,
            accepted_at_ms: None,
            is_named,
            attempts: 0,
            tried: BTreeSet::new(),
            path: None,
            ends_on_full,
            stranger_since: None,
        };
        effects.push(Effect::Tell(request, Progress::Queued(receipt(&pending))));
        self.wait(request, order);
        self.outbox.push(now, pending);
        let op = Op::PutOut { order, message, expires_at_ms };
        self.write(op, Written::Out { to, order }, effects);
        // It may arrive before it is on disk here: then it need not be, but for its id.
        self.pump(now, to, effects);
        Ok(())
    }

    /// Puts a message of this agent into its own inbox. No peer is asked, and nothing leaves the process.
    pub(super) fn send_to_oneself(
        &mut self,
        now: Duration,
        request: u64,
        message: Message,
        is_named: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DmError> {
        let path = DmPath::Loopback;
        let Some(number) = self.inbox.take_own(message.weight()) else {
            self.counts.count(self.me, path, |count| count.refused += 1);
            return Err(DmError::InboxFull { to: self.me });
        };
        let order = self.next_order();
        self.know(&message, order, is_named);
        self.counts.count(self.me, path, |count| {
            (count.sent, count.received) = (count.sent + 1, count.received + 1)
        });
        let receipt = own_receipt(&message.message_id, None, None);
        effects.push(Effect::Tell(request, Progress::Queued(receipt)));
        self.wait(request, order);
        let envelope = Arc::new(Envelope { number, message, received_at_ms: self.now_ms, path });
        let receipt = own_receipt(&envelope.message.message_id, Some(self.now_ms), None);
        let kept = is_named.then(|| kept(&envelope.message, order, receipt));
        let written = Written::In { envelope: envelope.clone(), own: Some((order, now)) };
        self.write(Op::PutIn { envelope, kept }, written, effects);
        Ok(())
    }

    /// Somebody asks for a message again that has been asked for.
    pub(super) fn again(
        &mut self,
        to: AgentId,
        order: Order,
        receipt_then: Option<DmReceipt>,
        request: u64,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(receipt) = receipt_then {
            effects.push(Effect::Tell(request, Progress::Delivered(receipt)));
            return;
        }
        if let Some(pending) = self.outbox.find(to, order) {
            let receipt = receipt(pending);
            let is_stored = receipt.accepted_at_ms.is_some();
            let progress = if is_stored { Progress::Accepted } else { Progress::Queued };
            effects.push(Effect::Tell(request, progress(receipt)));
        }
        self.wait(request, order);
    }

    pub(super) fn delivered(
        &mut self,
        now: Duration,
        pending: &Pending,
        effects: &mut Vec<Effect>,
    ) {
        let (to, latency_us) = (pending.message.to, as_us(now.saturating_sub(pending.asked)));
        let path = pending.path.unwrap_or(DmPath::Quic);
        self.counts.count(to, path, |count| {
            count.delivered += 1;
            count.took(latency_us);
        });
        let receipt = DmReceipt {
            accepted_at_ms: pending.accepted_at_ms.or(Some(self.now_ms)),
            delivered_at_ms: Some(self.now_ms),
            latency_us: Some(latency_us),
            ..receipt(pending)
        };
        if pending.is_named {
            let kept = kept(&pending.message, pending.order, receipt.clone());
            self.write(Op::Keep(kept), Written::Other, effects);
        }
        self.write(Op::DropOut(pending.order), Written::Other, effects);
        self.tell_delivered(to, pending.order, receipt, effects);
    }

    /// Tells that a message is delivered, now and to whoever asks for it again.
    pub(super) fn tell_delivered(
        &mut self,
        to: AgentId,
        order: Order,
        receipt: DmReceipt,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(known) = self.known.get_mut(&(to, receipt.message_id.clone())) {
            known.receipt = Some(receipt.clone());
        }
        self.tell_last(order, &Progress::Delivered(receipt), effects);
    }

    /// A message is given up.
    pub(super) fn end(&mut self, pending: &Pending, error: DmError, effects: &mut Vec<Effect>) {
        self.write(Op::DropOut(pending.order), Written::Other, effects);
        self.unknow(pending.message.to, &pending.message.message_id, pending.order);
        self.tell_last(pending.order, &Progress::Failed(error), effects);
    }

    pub(super) fn pump(&mut self, now: Duration, to: AgentId, effects: &mut Vec<Effect>) {
        let ways = Ways {
            is_linked: self.links.contains_key(&to),
            is_callable: self.callable.contains(&to),
            is_sealable: self.sealable.contains(&to),
        };
        for action in self.outbox.pump(now, to, ways, &mut self.random) {
            match action {
                Action::Call => effects.push(Effect::Call(to)),
                Action::Send { frame, path, is_again } => {
                    self.counts.count(to, path, |count| match is_again {
                        true => count.retried += 1,
                        false => count.sent += 1,
                    });
                    effects.push(match path {
                        DmPath::Gossip => Effect::Whisper(to, frame),
                        DmPath::Loopback | DmPath::Quic => Effect::Send(to, frame),
                    });
                }
            }
        }
    }

    pub(super) fn next_order(&mut self) -> Order {
        self.next_order += 1;
        Order(self.next_order)
    }

    pub(super) fn draw_id(&mut self) -> String {
        let bytes: [u8; 16] = draw(&mut self.random);
        x0x_tracker::id::hex(&bytes)
    }

    /// Remembers the id of a message.
    pub(super) fn know(&mut self, message: &Message, order: Order, is_named: bool) {
        let key = (message.to, message.message_id.clone());
        let known = Known { digest: digest_of_message(message), order, receipt: None };
        self.remember(key, known, is_named);
    }

    /// Remembers an id that was given or drawn. Of too many, the oldest is forgotten whose message does not wait.
    pub(super) fn remember(&mut self, key: (AgentId, String), known: Known, is_named: bool) {
        let ids = &mut self.known_order[usize::from(is_named)];
        ids.push_back((key.0, key.1.clone(), known.order));
        self.known.insert(key, known);
        // Fewer may wait than are remembered.
        while ids.len() > IDS_MAX
            && let Some((to, id, order)) = ids.pop_front()
        {
            let key = (to, id);
            // It may have been used again since.
            match self.known.get(&key).filter(|known| known.order == order) {
                Some(known) if known.receipt.is_none() => ids.push_back((key.0, key.1, order)),
                Some(_) => drop(self.known.remove(&key)),
                None => {}
            }
        }
    }

    /// Forgets the id of a message that was given up.
    pub(super) fn unknow(&mut self, to: AgentId, message_id: &str, order: Order) {
        let key = (to, message_id.to_owned());
        if self.known.get(&key).is_some_and(|known| known.order == order) {
            self.known.remove(&key);
        }
    }

    pub(super) fn wait(&mut self, request: u64, order: Order) {
        self.waiting.entry(order).or_default().push(request);
        self.requests.insert(request, order);
    }

    pub(super) fn forget(&mut self, request: u64) {
        let Some(order) = self.requests.remove(&request) else { return };
        if let Some(waiting) = self.waiting.get_mut(&order) {
            waiting.retain(|other| *other != request);
            if waiting.is_empty() {
                self.waiting.remove(&order);
            }
        }
    }

    pub(super) fn tell(&self, order: Order, progress: &Progress, effects: &mut Vec<Effect>) {
        let waiting = self.waiting.get(&order).into_iter().flatten();
        effects.extend(waiting.map(|request| Effect::Tell(*request, progress.clone())));
    }

    /// Tells whoever waits for the last time.
    pub(super) fn tell_last(
        &mut self,
        order: Order,
        progress: &Progress,
        effects: &mut Vec<Effect>,
    ) {
        self.tell(order, progress, effects);
        for request in self.waiting.remove(&order).unwrap_or_default() {
            self.requests.remove(&request);
        }
    }
}

/// Returns how a message stands that waits to be acknowledged.
pub(super) fn receipt(pending: &Pending) -> DmReceipt {
    DmReceipt {
        message_id: pending.message.message_id.clone(),
        path: pending.path,
        tried: pending.tried.iter().copied().collect(),
        accepted_at_ms: pending.accepted_at_ms,
        delivered_at_ms: None,
        attempts: pending.attempts,
        latency_us: None,
    }
}

pub(super) fn own_receipt(
    message_id: &str,
    at_ms: Option<i64>,
    latency_us: Option<u64>,
) -> DmReceipt {
    let path = DmPath::Loopback;
    DmReceipt {
        message_id: message_id.to_owned(),
        path: Some(path),
        tried: vec![path],
        accepted_at_ms: at_ms,
        delivered_at_ms: at_ms,
        attempts: 1,
        latency_us,
    }
}

fn kept(message: &Message, order: Order, receipt: DmReceipt) -> Arc<Kept> {
    Arc::new(Kept { order, to: message.to, digest: digest_of_message(message), receipt })
}

fn digest_of_message(message: &Message) -> [u8; 32] {
    digest_of(message.form, &message.payload, &message.issues)
}

fn digest_of(form: Form, payload: &[u8], issues: &[Carried]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[form as u8]).update(&payload.len().to_le_bytes()).update(payload);
    for Carried { list, issue } in issues {
        hasher.update(&list.0).update(&issue.key.0);
        for head in &issue.heads {
            hasher.update(head);
        }
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
