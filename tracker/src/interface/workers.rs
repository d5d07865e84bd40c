//! Who works on a task list: whether each is there, what it holds, and what became of its claims.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::claims::duration;
use crate::id::{AgentId, RecordHash};
use crate::journal::charter::Role;

/// The most claims of one agent that are listed.
pub const LISTED_MAX: usize = 64;

/// How often something became of the claims of an agent, over all issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deeds {
    /// Claims by which it took over those of other agents.
    pub takeovers: u64,
    /// Takeovers of its own claims that it contested, since it had not lapsed.
    pub contests: u64,
    /// Claims that lost to another agent's, so that work on one issue was done or begun twice.
    pub duplicates: u64,
    /// Claims that it gave up since they were lost.
    pub abandons: u64,
}

/// A claim that an agent has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldClaim {
    /// Which issue it holds.
    pub name: String,
    /// The claim.
    pub claim: RecordHash,
    /// Which worker's it is.
    pub worker: String,
    /// For how long no beat of it was seen, in milliseconds; `None` where nobody here watches it.
    pub silent_ms: Option<u64>,
    /// Whether its lease has lapsed.
    pub is_stale: bool,
}

/// A member of a task list, as somebody who works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Who.
    pub agent: AgentId,
    /// What it may do.
    pub role: Role,
    /// Whether it is the agent whose store this is.
    pub is_own: bool,
    /// Whether it was heard lately; `None` where no node hears anybody.
    pub is_online: Option<bool>,
    /// Whether its link ended and nothing was heard of it since: its node was stopped, or cannot be reached.
    pub is_gone: bool,
    /// How long ago it was heard, in milliseconds; `None` where it never was.
    pub silence_ms: Option<u64>,
    /// How busy its machine is, as it said: the load of a minute for each core, in percent.
    pub load_pct: Option<u16>,
    /// How many issues it holds.
    pub holds: u64,
    /// How many of those claims have lapsed.
    pub stale: u64,
    /// Those claims, by the names of their issues; at most [`LISTED_MAX`].
    pub claims: Vec<HeldClaim>,
    /// What became of its claims.
    pub deeds: Deeds,
}

/// Every member of a task list, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// Each of them.
    pub workers: Vec<Worker>,
}

impl Worker {
    /// Returns whether it is there, for people.
    pub fn seen(&self) -> String {
        match (self.is_own, self.is_online, self.silence_ms) {
            (true, ..) => "this agent".to_owned(),
            (_, None, _) => "unknown: no node runs here".to_owned(),
            (_, _, None) => "never heard".to_owned(),
            (_, _, Some(ms)) if self.is_gone => format!("gone, heard {} ago", duration(ms)),
            (_, Some(true), Some(ms)) if ms < 5_000 => "online".to_owned(),
            (_, Some(true), Some(ms)) => format!("online, heard {} ago", duration(ms)),
            (_, Some(false), Some(ms)) => format!("away, heard {} ago", duration(ms)),
        }
    }
}

impl Workers {
    /// Returns it as programs are given it.
    pub fn answer_json(&self) -> String {
        let claim = |held: &HeldClaim| {
            json!({
                "identifier": held.name,
                "id": held.claim.to_string(),
                "worker": held.worker,
                "silent_ms": held.silent_ms,
                "stale": held.is_stale,
            })
        };
        let worker = |worker: &Worker| {
            let Deeds { takeovers, contests, duplicates, abandons } = worker.deeds;
            json!({
                "agent_id": worker.agent.to_string(),
                "role": worker.role,
                "is_own": worker.is_own,
                "online": worker.is_online,
                "gone": worker.is_gone,
                "heard_ms": worker.silence_ms,
                "load_pct": worker.load_pct,
                "holds": worker.holds,
                "stale": worker.stale,
                "claims": worker.claims.iter().map(claim).collect::<Vec<Value>>(),
                "takeovers": takeovers,
                "contests": contests,
                "duplicates": duplicates,
                "abandons": abandons,
            })
        };
        json!({"workers": self.workers.iter().map(worker).collect::<Vec<Value>>()}).to_string()
    }
}
