//! Who may claim an issue, and who may take over a claim that went stale.
//!
//! Asked before a claim is made, of what one node knows. What becomes of claims that were made
//! without knowing of each other is decided in [`super::tree`].

use super::record::{Origin, TTL_MS_DEFAULT, Verdict};
use super::slate::{SLOT_OTHER, slot};
use super::tree::{Phase, Tree};
use crate::id::{AgentId, RecordHash, labelled_hash};
use crate::journal::charter::Role;

/// How long an issue must have been seen unheld before an agent may claim it that is not on its
/// slate, while a member of the slate is online. A guess: long enough for the slate to hear of it.
pub const OPEN_AFTER_MS: u64 = 30_000;

/// After how many times its time to live any worker may take over a silent claim. A guess: the
/// slate had two whole lives to do so.
pub const RESCUE_AFTER_TTLS: u64 = 3;

/// The members of a slate may take over this part of the time to live apart, so that two rarely do
/// it at once.
pub const TURN_PARTS: u64 = 8;

/// Within how long those who are on no slate begin once it had its time, each after a while of its own: that
/// two rarely do so at once.
pub const OPEN_SPREAD_MS: u64 = 4_000;

/// The domain label under which an agent's place in such a while is drawn.
const TURN_LABEL: &str = "x0x/turn/v1";

/// What a node knows beyond the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// For how long no beat of the claim was seen; `None` where nobody here watches it.
    pub silent_ms: Option<u64>,
    /// Whether the holder may work no more: nobody needs to wait for it.
    pub is_holder_out: bool,
    /// For how long the issue was seen unheld.
    pub unheld_ms: u64,
    /// Whether a member of the slate other than the one who asks is online.
    pub slate_online: bool,
    /// In how long the node is up to date, as far as it knows: it has compared with a neighbour then since it
    /// started, woke or was cut off, and waited a quarter of the time to live since; 0 where it is.
    pub settles_in_ms: u64,
}

impl Sight {
    /// Returns what a machine knows that is by itself: nobody else is online, and nothing is to be
    /// compared.
    pub fn alone(silent_ms: Option<u64>) -> Self {
        Self {
            silent_ms,
            is_holder_out: false,
            unheld_ms: 0,
            slate_online: false,
            settles_in_ms: 0,
        }
    }
}

/// Why an issue may not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent is no member that may work.
    NoWorker,
    /// A maintainer ended the issue.
    Over(Verdict),
    /// It was handed off and waits for a verdict.
    InReview(RecordHash),
    /// Somebody holds it.
    Held {
        /// The claim.
        claim: RecordHash,
        /// For how long no beat of it was seen; `None` where nobody here watches it.
        silent_ms: Option<u64>,
        /// In how long the one who asks may take it over, if nothing is heard of it until then.
        retry_after_ms: Option<u64>,
    },
    /// The slate comes first.
    SlateFirst {
        /// How long it still has.
        retry_after_ms: u64,
    },
}

/// Returns what a claim of this agent would start from.
///
/// `slate` is the one that counts for new claims. Whether the issue's stored state and its blockers
/// let it be worked on is not asked here.
///
/// # Errors
/// Why the agent may not claim the issue now.
pub fn may_claim(
    tree: &Tree,
    slate: &[AgentId],
    agent: AgentId,
    role: Option<Role>,
    sight: &Sight,
) -> Result<Origin, Refusal> {
    if !role.is_some_and(Role::may_write) {
        return Err(Refusal::NoWorker);
    }
    match tree.phase() {
        Phase::Ruled(verdict) => return Err(Refusal::Over(verdict)),
        Phase::Review(claim) => return Err(Refusal::InReview(claim)),
        Phase::Held(claim) => return may_take_over(tree, claim, slate, agent, sight),
        Phase::Open => {}
    }
    match opens_in_ms(tree.issue(), slate, agent, sight) {
        0 => Ok(after(tree)),
        retry_after_ms => Err(Refusal::SlateFirst { retry_after_ms }),
    }
}

/// Returns what a claim of this agent would start from that takes over a live one.
///
/// # Errors
/// [`Refusal::Held`] while the claim is not stale, or not for long enough for this agent's turn.
pub fn may_take_over(
    tree: &Tree,
    claim: RecordHash,
    slate: &[AgentId],
    agent: AgentId,
    sight: &Sight,
) -> Result<Origin, Refusal> {
    if sight.is_holder_out {
        return Ok(Origin::Takeover(claim));
    }
    let wait_ms = takeover_after_ms(ttl_ms(tree, claim), slot(slate, agent), agent, claim);
    match sight.silent_ms {
        Some(silent_ms) if silent_ms > wait_ms && sight.settles_in_ms == 0 => {
            Ok(Origin::Takeover(claim))
        }
        silent_ms => {
            let left = |silent_ms: u64| {
                let left_ms = (wait_ms + 1).saturating_sub(silent_ms);
                left_ms.max(sight.settles_in_ms).max(1)
            };
            Err(Refusal::Held { claim, silent_ms, retry_after_ms: silent_ms.map(left) })
        }
    }
}

/// Returns in how long an agent may claim an issue that nobody holds, as far as its slate goes.
pub fn opens_in_ms(issue: &str, slate: &[AgentId], agent: AgentId, sight: &Sight) -> u64 {
    if slot(slate, agent) != SLOT_OTHER || !sight.slate_online {
        return 0;
    }
    let after_ms = OPEN_AFTER_MS + place_of(agent, issue.as_bytes(), OPEN_SPREAD_MS);
    after_ms.saturating_sub(sight.unheld_ms)
}

/// Returns after how long a silence an agent in this slot may take a claim over.
pub fn takeover_after_ms(ttl_ms: u64, slot: u8, agent: AgentId, claim: RecordHash) -> u64 {
    let turn_ms = ttl_ms / TURN_PARTS;
    match slot {
        SLOT_OTHER.. => ttl_ms * RESCUE_AFTER_TTLS + place_of(agent, &claim.0, turn_ms),
        slot => ttl_ms + turn_ms * u64::from(slot),
    }
}

/// Returns an agent's place in a while of so many milliseconds, by what it is about.
fn place_of(agent: AgentId, about: &[u8], while_ms: u64) -> u64 {
    let hash = labelled_hash(TURN_LABEL, &[&agent.0, about]);
    let [a, b, c, d, ..] = hash;
    u64::from(u32::from_be_bytes([a, b, c, d])) % while_ms.max(1)
}

/// Tells whether a lease has lapsed: no beat for longer than the claim lives without one.
pub fn is_lapsed(tree: &Tree, claim: RecordHash, silent_ms: u64) -> bool {
    silent_ms > ttl_ms(tree, claim)
}

/// What has become of a claim, as its holder has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It holds the issue.
    Holds,
    /// It was handed off.
    HandedOff,
    /// It is over.
    Ended,
    /// A maintainer ended the issue, and with it every claim.
    Over(Verdict),
    /// It lost to this claim.
    Lost(RecordHash),
    /// There is no such claim.
    Unknown,
}

/// Returns what has become of a claim.
pub fn fate(tree: &Tree, claim: RecordHash) -> Fate {
    if tree.claim(claim).is_none() {
        return Fate::Unknown;
    }
    match (tree.phase(), tree.winner()) {
        (Phase::Held(holder), _) if holder == claim => Fate::Holds,
        _ if tree.is_handed_off(claim) => Fate::HandedOff,
        _ if !tree.is_live(claim) => Fate::Ended,
        (Phase::Ruled(verdict), _) => Fate::Over(verdict),
        (_, Some(winner)) if winner != claim => Fate::Lost(winner),
        _ => Fate::Ended,
    }
}

fn ttl_ms(tree: &Tree, claim: RecordHash) -> u64 {
    tree.claim(claim).map_or(TTL_MS_DEFAULT, |(_, claim)| claim.ttl_ms)
}

/// Returns what a claim starts from where nobody holds the issue.
fn after(tree: &Tree) -> Origin {
    let Some(winner) = tree.winner() else { return Origin::First };
    match tree.reopened(winner).or_else(|| tree.end_of(winner)) {
        Some(end) => Origin::After { claim: winner, end },
        // The winner of an open tree is over.
        None => Origin::Takeover(winner),
    }
}

#[cfg(test)]
mod tests;
