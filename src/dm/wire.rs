//! What two agents say to each other on the direct lane, or sealed through others: messages,
//! acknowledgements and refusals. Encoding and bounds; what is answered is decided elsewhere.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{SIGNATURE_BYTES, SignError, Signer, Verifier};
use x0x_tracker::tasklist::HEADS_MAX;

use super::message::{Carried, Form};
use super::{ISSUES_MAX, MESSAGE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::wire::{WireError, at_most, decode, encode};

/// What an acknowledgement signs begins with this.
const ACK_LABEL: &[u8] = b"x0x/direct-ack/v1\0";

/// The place of a message among those of its sender to its recipient. Those of one log are numbered from 1; a
/// sender begins a log with each start, and a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Which log.
    pub log: u64,
    /// Which message in it.
    pub number: u64,
}

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who sent it.
    pub from: AgentId,
    /// To whom.
    pub to: AgentId,
    /// Its place.
    pub place: Place,
    /// Its id; at most [`MESSAGE_ID_BYTES_MAX`].
    pub message_id: String,
    /// When it was asked for, in Unix milliseconds by the sender's clock.
    pub sent_at_ms: i64,
    /// How the payload is meant.
    pub form: Form,
    /// The payload; at most [`PAYLOAD_BYTES_MAX`].
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// Issues that its recipient has before it takes the message; at most [`ISSUES_MAX`].
    pub issues: Vec<Carried>,
}

impl Message {
    /// Returns how much room it takes in an inbox or an outbox, in bytes.
    pub fn weight(&self) -> usize {
        self.content_bytes() + self.message_id.len()
    }

    /// Returns how large its payload is, with what names the issues, in bytes.
    pub fn content_bytes(&self) -> usize {
        self.payload.len() + self.issues.iter().map(Carried::weight).sum::<usize>()
    }

    fn check(&self) -> Result<(), WireError> {
        at_most("payload", self.content_bytes(), PAYLOAD_BYTES_MAX)?;
        at_most("list of issues", self.issues.len(), ISSUES_MAX)?;
        for carried in &self.issues {
            at_most("list of heads", carried.issue.heads.len(), HEADS_MAX)?;
        }
        at_most("message id", self.message_id.len(), MESSAGE_ID_BYTES_MAX)?;
        let is_text = self.form == Form::Bytes || str::from_utf8(&self.payload).is_ok();
        if self.message_id.is_empty() || !is_text || self.place.number == 0 {
            return Err(WireError::Malformed { what: "message" });
        }
        Ok(())
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Its sender may not write to this agent.
    NotAllowed,
    /// The inbox is full.
    InboxFull,
    /// One before it has not come: all are to be sent again from there.
    Gap,
    /// Issues that it carries have not come: it is to be sent again soon.
    NotYet,
    /// Its sender is no member of a list of this agent, as far as is known there.
    Stranger,
}

/// What one says to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// A message. It may be taken once the one at `after` is in the inbox, which is the one before it of those
    /// that still wait to be acknowledged.
    Message {
        /// The message.
        message: Message,
        /// The one before it.
        after: Option<Place>,
    },
    /// Everything up to a place is on disk.
    Ack(SignedAck),
    /// A message was not taken.
    Refused {
        /// Which.
        place: Place,
        /// Why.
        why: Refusal,
    },
    /// Something about a task list that both have, where no link joins them; not looked at here.
    Far {
        /// The run of the sender's node; a later one has a higher number.
        run: u64,
        /// What is said.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

impl Frame {
    /// Decodes a frame and checks its bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let frame: Self = decode("direct frame", bytes)?;
        if let Self::Message { message, .. } = &frame {
            message.check()?;
        }
        Ok(frame)
    }

    /// Encodes it.
    pub fn write(&self) -> Vec<u8> {
        encode(self)
    }
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Who has the messages.
    pub from: AgentId,
    /// Who sent them.
    pub to: AgentId,
    /// Up to which one, of those that wait to be acknowledged.
    pub up_to: Place,
}

/// An acknowledgement as it travels: bytes, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAck {
    #[serde(with = "serde_bytes")]
    ack: Vec<u8>,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
}

impl SignedAck {
    /// Signs an acknowledgement.
    ///
    /// # Errors
    /// Where the key refuses.
    pub fn new(ack: &Ack, signer: &dyn Signer) -> Result<Self, SignError> {
        let ack = encode(ack);
        let signature = signer.sign(&[ACK_LABEL, &ack].concat())?;
        Ok(Self { ack, signature })
    }

    /// Returns what it says, where the agent with this key signed it.
    pub fn verified(&self, public_key: &[u8], verifier: &dyn Verifier) -> Option<Ack> {
        at_most("signature", self.signature.len(), SIGNATURE_BYTES).ok()?;
        let ack: Ack = decode("acknowledgement", &self.ack).ok()?;
        let is_signed =
            verifier.verify(public_key, &[ACK_LABEL, &self.ack].concat(), &self.signature);
        (is_signed && AgentId::of_public_key(public_key) == ack.from).then_some(ack)
    }
}
