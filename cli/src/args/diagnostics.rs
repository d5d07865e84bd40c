//! Arguments of `diagnostics`.

use clap::{Args, Subcommand};

/// What to look at in the node.
#[derive(Debug, Subcommand)]
pub enum DiagnosticsCommand {
    /// Show what became of direct messages since the node was started, by peer and way
    #[command(
        after_help = "With --json: {\"rows\": [{\"peer\", \"path\", \"sent\", \"delivered\", \"retried\", \"expired\", \"refused\", \"received\",
\"duplicates\", \"turned_away\", \"latency_us_p50\", \"latency_us_p99\"}], \"outbox\", \"inbox\", \"outbox_by_peer\",
\"unopened\", \"strangers\"}.

Example:
  x0x diagnostics dm"
    )]
    Dm,
    /// Show how full the queues between the network and the node are, and who follows what
    #[command(after_help = "way         whether frames come in or go out
full        how much of the queue is in use, in frames or in bytes, whichever is more
depth       frames that wait, and how many may
in/s out/s  frames that came and were taken, each second of the last ten
dropped     frames that were dropped because the queue was full; each has a repair follow
shed        frames that were left out because others can do without them
held back   how long senders were held back
dwell       how long frames waited: half of them less, and 99 of 100
verify      how long checking the signatures of a frame took: half of them less

Counts are since the node was started. First come all peers together, then each. -v shows whole
ids. Exits 6 where no node runs, and with --watch when it goes away. With --json: {\"recv_pump\",
\"per_peer\", \"send_pump\", \"send_per_peer\", \"repairs\", \"workers\", \"topics\"}.

Examples:
  x0x diagnostics gossip
  x0x diagnostics gossip --watch
  x0x diagnostics gossip --watch --jsonl >queues.jsonl")]
    Gossip(GossipArgs),
}

/// Arguments of `diagnostics gossip`.
#[derive(Debug, Args)]
pub struct GossipArgs {
    /// Show it anew every second; on a terminal in place, until q, Esc or Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// What is shown as one JSON object a line
    #[arg(long)]
    pub jsonl: bool,
}
