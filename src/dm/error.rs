//! Why a message was not sent, or is not known to have arrived.

use x0x_tracker::id::AgentId;

use super::{ISSUES_MAX, MESSAGE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// A message was not sent, or is not known to have arrived.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DmError {
    /// The recipient shares no task list with this agent. Nothing is queued.
    #[error("agent {} is no member of a task list of this node", .to.short())]
    RecipientUnknown {
        /// Who was meant.
        to: AgentId,
    },
    /// Nothing is queued.
    #[error("the payload has {bytes} bytes, more than the {PAYLOAD_BYTES_MAX} allowed")]
    PayloadTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Nothing is queued.
    #[error("the message carries {issues} issues, more than the {ISSUES_MAX} allowed")]
    TooManyIssues {
        /// How many it carries.
        issues: usize,
    },
    /// The id of a message is none. Nothing is queued.
    #[error("a message id has 1 to {MESSAGE_ID_BYTES_MAX} bytes")]
    BadMessageId,
    /// Another message of this sender to that recipient has the id. Nothing is queued.
    #[error("another message has the id '{message_id}'")]
    MessageIdTaken {
        /// The id.
        message_id: String,
    },
    /// The recipient refuses what this agent sends. The message is queued no more.
    #[error("agent {} refuses messages of this agent", .to.short())]
    NotAllowed {
        /// Who refused.
        to: AgentId,
    },
    /// The outbox holds as much as it may. Nothing is queued.
    #[error("too many messages wait to be delivered")]
    OutboxFull,
    /// The recipient's inbox holds as much as it may. The message is queued no more.
    #[error("the inbox of agent {} is full of messages that nobody released", .to.short())]
    InboxFull {
        /// Whose inbox.
        to: AgentId,
    },
    /// Its time was over before an acknowledgement came. It may have arrived; it is queued no more.
    #[error(
        "message {message_id} was not acknowledged within its time to live, and is queued no more"
    )]
    Expired {
        /// Which.
        message_id: String,
    },
    /// No acknowledgement came for as long as was waited. It is still queued.
    #[error("message {message_id} was not acknowledged yet; it is still queued")]
    DeliveryTimeout {
        /// Which.
        message_id: String,
    },
    /// The file of messages failed. Whether the message is queued is not known.
    #[error("the file of messages failed: {what}")]
    Store {
        /// What went wrong.
        what: String,
    },
    /// The node stops. What is queued goes on with its next start.
    #[error("the node is stopping")]
    Stopping,
}

impl DmError {
    /// Returns a word that programs tell errors apart by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RecipientUnknown { .. } => "recipient_unknown",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::TooManyIssues { .. } | Self::BadMessageId => "invalid",
            Self::MessageIdTaken { .. } => "message_id_taken",
            Self::NotAllowed { .. } => "not_allowed",
            Self::OutboxFull => "outbox_full",
            Self::InboxFull { .. } => "inbox_full",
            Self::Expired { .. } | Self::DeliveryTimeout { .. } => "delivery_timeout",
            Self::Store { .. } => "store",
            Self::Stopping => "stopping",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::RecipientUnknown { .. } => {
                "`x0x members` shows who belongs to the list; messages go to members alone"
            }
            Self::PayloadTooLarge { .. } => {
                "put it into a file or an issue, and send where it is; or send it in parts"
            }
            Self::TooManyIssues { .. } => "send several messages",
            Self::BadMessageId => "leave it out, and one is drawn",
            Self::MessageIdTaken { .. } => "give each message an id of its own, or none",
            Self::NotAllowed { .. } => {
                "it takes messages of members of its lists that it has not blocked: ask who runs it"
            }
            Self::OutboxFull => {
                "wait until some are delivered; `x0x diagnostics dm` shows to whom they go"
            }
            Self::InboxFull { .. } => {
                "try again once messages are released there: `x0x direct inbox --ack N`"
            }
            Self::Expired { .. } => "send it again; `x0x peers` shows who is reached",
            Self::DeliveryTimeout { .. } => {
                "it is tried until its time to live is over; asked for with the same message id, it is waited for again"
            }
            Self::Store { .. } => "look at the disk of the data directory; `x0x doctor` says more",
            Self::Stopping => "start the node again with `x0x up`",
        }
    }

    /// Tells whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::OutboxFull
                | Self::InboxFull { .. }
                | Self::Expired { .. }
                | Self::DeliveryTimeout { .. }
                | Self::Store { .. }
                | Self::Stopping
        )
    }
}
