//! Arguments of `direct`.

use clap::{Args, Subcommand, ValueEnum};

use super::values;

/// What to do with direct messages.
#[derive(Debug, Subcommand)]
pub enum DirectCommand {
    /// Send a message to a member of the task list, or to this agent itself
    #[command(
        after_help = "The node here keeps the message until the other one has it on disk, and tries for 10 minutes, over a link
or sealed through others. Without --wait it is waited for 30 s at most; what is still queued then goes on.
A JSON value is sent as it is spelled. A text that begins with @ is typed with another one: @@text.
With --json: {\"ok\", \"message_id\", \"path\", \"tried\", \"accepted_at\", \"delivered_at\", \"attempts\", \"latency_us\"}.

Examples:
  x0x direct send 8b236717 'X0X-0042 is yours'
  x0x direct send 8b236717 @result.json --form json --wait accepted
  x0x direct send 8b236717 'please look' --issue X0X-0042
  ls | x0x direct send 8b236717 -"
    )]
    Send(SendArgs),
    /// Show messages as they come
    #[command(
        after_help = "With --json one object a line: {\"id\", \"from\", \"to\", \"message_id\", \"sent_at\", \"received_at\", \"path\", \"verified\",
\"payload\", \"text\" or \"json\"}; the payload is in base64. A node that is stopped meanwhile is waited for.

Examples:
  x0x direct listen
  x0x direct listen --json --after 0 --ack      everything that came, and out of the inbox"
    )]
    Listen(ListenArgs),
    /// Show the messages that came and were not released
    #[command(
        after_help = "With --json: {\"messages\": [...], \"next_cursor\", \"unread\"}. A full inbox takes no more: 10,000 messages, or 64
MiB of them.

Examples:
  x0x direct inbox
  x0x direct inbox --ack 17                     messages up to 17 are read"
    )]
    Inbox(InboxArgs),
    /// Take no messages of an agent any more; without one, show whose are not taken
    #[command(after_help = "Example:\n  x0x direct block 8b236717")]
    Block(BlockArgs),
    /// Take messages of an agent again
    #[command(after_help = "Example:\n  x0x direct unblock 8b236717")]
    Unblock(UnblockArgs),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Nothing: the message is queued
    None,
    /// That it is on disk here
    Accepted,
    /// That it is on disk there
    Delivered,
}

/// How a payload is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormOf {
    /// Text
    Text,
    /// One JSON value
    Json,
}

/// Arguments of `direct send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// To whom: an agent's id, or the first digits of a member's
    #[arg(value_name = "AGENT")]
    pub to: String,
    /// The text, of 48 KiB at most; @FILE reads a file, - reads stdin, @@text is the text @text
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: String,
    /// How the text is meant
    #[arg(long, value_name = "FORM", value_enum, default_value_t = FormOf::Text)]
    pub form: FormOf,
    /// What to wait for
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = WaitFor::Delivered)]
    pub wait: WaitFor,
    /// For how long it is tried, a day at most [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub ttl: Option<u64>,
    /// An issue that the other one is to have, as it is here, before it is shown the message; may be repeated
    #[arg(long = "issue", value_name = "ID")]
    pub issues: Vec<String>,
    /// What tells it from every other message: sent twice with one id, it goes once
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
}

/// Arguments of `direct listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Begin after the message with this number; 0 is everything in the inbox [default: from now on, and with --ack
    /// 0]
    #[arg(long, value_name = "N")]
    pub after: Option<u64>,
    /// Release each message once it is shown
    #[arg(long)]
    pub ack: bool,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Arguments of `direct inbox`.
#[derive(Debug, Args)]
pub struct InboxArgs {
    /// Release messages up to the one with this number: they are read
    #[arg(long, value_name = "N")]
    pub ack: Option<u64>,
    /// Show messages after the one with this number
    #[arg(long, value_name = "N", conflicts_with = "ack")]
    pub cursor: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "ack")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub limit: u64,
}

/// Arguments of `direct block`.
#[derive(Debug, Args)]
pub struct BlockArgs {
    /// Whose: an agent's id, or the first digits of a member's
    pub agent: Option<String>,
}

/// Arguments of `direct unblock`.
#[derive(Debug, Args)]
pub struct UnblockArgs {
    /// Whose: an agent's id, or the first digits of it
    pub agent: String,
}
