//! A message, from what somebody wants to send to what lies in an inbox.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::tasklist::IssueAt;

use super::wire::Message;

/// How a payload is meant. It travels as bytes in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Bytes that mean nothing here.
    Bytes,
    /// Text in UTF-8.
    Text,
    /// One JSON value, as it was spelled.
    Json,
}

/// What somebody wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// To whom.
    pub to: AgentId,
    /// How the payload is meant.
    pub form: Form,
    /// The payload; at most [`super::PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// What tells it from every other message of this sender: asked for twice, it is sent once.
    pub message_id: Option<String>,
    /// For how long it is tried, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// Issues that the recipient is to have, as they are here, before it is shown the message; at most
    /// [`super::ISSUES_MAX`].
    pub issues: Vec<Carried>,
}

/// An issue that a message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The task list.
    pub list: ListId,
    /// The issue, as its sender has it.
    pub issue: IssueAt,
}

impl Carried {
    /// Returns how much room it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        64 + self.issue.id.len() + 32 * self.issue.heads.len()
    }
}

impl Draft {
    /// Returns a text to an agent.
    pub fn text(to: AgentId, text: &str) -> Self {
        let payload = text.as_bytes().to_vec();
        Self { to, form: Form::Text, payload, message_id: None, ttl_ms: None, issues: Vec::new() }
    }
}

/// The way that a message took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmPath {
    /// To oneself: it left this process by no socket.
    Loopback,
    /// Over a link between the two.
    Quic,
    /// Sealed, through other members.
    Gossip,
}

impl DmPath {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Quic => "quic",
            Self::Gossip => "gossip",
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmReceipt {
    /// Its id.
    pub message_id: String,
    /// The way it took; of one that is under way, the way it was last tried by, and `None` before that.
    pub path: Option<DmPath>,
    /// Every way by which it was tried.
    pub tried: Vec<DmPath>,
    /// When it was on disk here, in Unix milliseconds; `None` where that was not waited for.
    pub accepted_at_ms: Option<i64>,
    /// When it was known to be in the inbox of its recipient, in Unix milliseconds.
    pub delivered_at_ms: Option<i64>,
    /// How often it was sent.
    pub attempts: u32,
    /// How long that took from when it was asked for, in microseconds.
    pub latency_us: Option<u64>,
}

/// A message in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Its number: they grow in the order in which messages came.
    pub number: u64,
    /// What was sent.
    pub message: Message,
    /// When it came, in Unix milliseconds by this machine's clock.
    pub received_at_ms: i64,
    /// The way it took.
    pub path: DmPath,
}
