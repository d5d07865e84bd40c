//! The records that claims are made of: what they say, their bytes, and which bytes are none.
//!
//! A record is an entry of the issue's document whose key is the hash of its bytes, so it can be
//! added and never changed. What several of them mean together is decided in [`super::tree`].

use serde::{Deserialize, Serialize};

use super::slate::{self, SLATE_MAX};
use crate::id::{AgentId, RecordHash, StatementHash, hex};
use crate::jsonl::text;
use crate::name::is_identifier;
use crate::timestamp::Timestamp;

/// The largest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 256 << 10;

/// The most records of workers that the document of an issue may hold, as far as one of them knows.
pub const RECORDS_MAX: usize = 4_096;

/// The most of them there may be where a claim is made: a claim can still be ended where no other may
/// be made.
pub const RECORDS_BEFORE_CLAIM_MAX: usize = RECORDS_MAX - 256;

/// The most records that only a maintainer makes. They are counted apart, so that no worker can keep
/// a maintainer from ending an issue.
pub const RULINGS_MAX: usize = 1_024;

/// The most records that one change may add.
pub const CHANGE_RECORDS_MAX: usize = 64;

/// The longest name of a worker, in bytes.
pub const WORKER_BYTES_MAX: usize = 64;

/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 4_096;

/// The most records that one record answers.
pub const ANSWERS_MAX: usize = 1_024;

/// The most agents that a shard record considers.
pub const CONSIDERED_MAX: usize = 256;

/// The shortest time to live, in milliseconds: beats are sent every quarter of it.
pub const TTL_MS_MIN: u64 = 1_000;

/// The longest time to live, in milliseconds: seven days.
pub const TTL_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// The time to live where nobody asks for another: an hour, in milliseconds.
pub const TTL_MS_DEFAULT: u64 = 3_600_000;

/// The longest time that a release may ask to be waited for, in milliseconds: a day.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 3_600_000;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Whose record it is: the agent in whose log it was written.
    pub by: AgentId,
    /// When, by that agent's clock. Shown to people; decides nothing.
    pub at: Timestamp,
    /// What it says.
    pub act: Act,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Act {
    /// Which agents are preferred.
    Shard(Shard),
    /// A worker works on the issue.
    Claim(Claim),
    /// A claim is over.
    End(End),
    /// The holder of a claim that was taken over says that it never lapsed.
    Contest {
        /// The claim that took it over.
        takeover: RecordHash,
    },
    /// What was handed off or ruled is open again. By a maintainer.
    Reopen(Reopen),
    /// The issue is over. By a maintainer.
    Ruling(Ruling),
}

/// A slate, and what it was drawn from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard {
    /// 0 with the first claim; one more with each reshard by a maintainer.
    pub epoch: u32,
    /// The heads of the charter as the author knew it, sorted.
    pub charter: Vec<StatementHash>,
    /// The agents that could be chosen, sorted; of more than [`CONSIDERED_MAX`] the nearest ones.
    pub considered: Vec<AgentId>,
    /// Those preferred, in order: primary, backup 0, backup 1.
    pub slate: Vec<AgentId>,
    /// How long a claim lives without a beat, where the claim does not say otherwise.
    pub ttl_ms: u64,
    /// Why a maintainer drew it anew; absent in epoch 0.
    pub reason: Option<String>,
}

/// A worker works on the issue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Which runner or terminal of the agent.
    pub worker: String,
    /// Makes two claims of one worker differ, so that no two share a token.
    pub nonce: [u8; 16],
    /// The shard record in which its slot is read.
    pub shard: RecordHash,
    /// What it starts from.
    pub origin: Origin,
    /// How long it lives without a beat.
    pub ttl_ms: u64,
}

/// What a claim starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// Nothing: it is at the root.
    First,
    /// A claim that went stale, which it takes over.
    Takeover(RecordHash),
    /// The end of a claim.
    After {
        /// The claim that is over.
        claim: RecordHash,
        /// The end of it, the ruling that ended it, or the reopen that answers either.
        end: RecordHash,
    },
}

impl Origin {
    /// Returns the claim above it in the tree.
    pub fn parent(self) -> Option<RecordHash> {
        match self {
            Self::First => None,
            Self::Takeover(claim) | Self::After { claim, .. } => Some(claim),
        }
    }
}

/// A claim is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct End {
    /// Which claim.
    pub claim: RecordHash,
    /// In what way.
    pub how: How,
    /// Why, for people.
    pub reason: Option<String>,
    /// How long to leave the issue alone from when this is first seen; a person may insist.
    pub retry_after_ms: Option<u64>,
}

/// In what way a claim ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum How {
    /// Its holder gave it up.
    Released,
    /// Its holder is done; the compact JSON of the handoff.
    HandedOff(String),
    /// Its holder found that it had lost to this claim.
    Abandoned {
        /// The winner.
        to: RecordHash,
    },
    /// A maintainer ended it.
    Forced,
}

/// What was handed off or ruled is open again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reopen {
    /// The handoffs, rulings and reopens that it answers, sorted.
    pub answers: Vec<RecordHash>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// The issue is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ruling {
    /// In what way.
    pub verdict: Verdict,
    /// The rulings and reopens that it answers, sorted.
    pub answers: Vec<RecordHash>,
    /// The claim that it ends, if one was live.
    pub ends: Option<RecordHash>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// In what way an issue is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The work is finished.
    Done,
    /// The work is given up.
    Cancelled,
    /// The work is that of another issue.
    Duplicate,
}

impl Verdict {
    /// Returns the state that it gives the issue.
    pub fn state(self) -> crate::state::State {
        match self {
            Self::Done => crate::state::State::Done,
            Self::Cancelled => crate::state::State::Cancelled,
            Self::Duplicate => crate::state::State::Duplicate,
        }
    }

    /// Returns the verdict that gives this state; `None` for a state that ends nothing.
    pub fn of_state(state: crate::state::State) -> Option<Self> {
        [Self::Done, Self::Cancelled, Self::Duplicate].into_iter().find(|v| v.state() == state)
    }
}

impl Record {
    /// Returns its bytes (postcard, wire format version 1).
    pub fn encode(&self) -> Vec<u8> {
        // Postcard fails only for sequences of unknown length, and these types have none.
        postcard::to_stdvec(self).expect("every length is known")
    }

    /// Reads bytes that are a record of the issue with this id; the only bytes for it, and within
    /// every bound. What it says about other records is judged by [`super::link`].
    pub fn decode(bytes: &[u8], issue: &str) -> Option<Self> {
        if bytes.len() > RECORD_BYTES_MAX {
            return None;
        }
        let (record, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && record.is_sound(issue) && record.encode() == bytes).then_some(record)
    }

    /// Returns the hash of its bytes.
    pub fn hash(&self) -> RecordHash {
        RecordHash::of(&self.encode())
    }

    /// Returns the key that it has in the document.
    pub fn key(&self) -> String {
        hex(&self.hash().0)
    }

    /// Returns the claim that it is.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.act {
            Act::Claim(claim) => Some(claim),
            _ => None,
        }
    }

    /// Tells whether only a maintainer may make it.
    pub fn needs_maintainer(&self) -> bool {
        match &self.act {
            Act::Shard(shard) => shard.epoch > 0,
            Act::End(end) => end.how == How::Forced,
            Act::Reopen(_) | Act::Ruling(_) => true,
            Act::Claim(_) | Act::Contest { .. } => false,
        }
    }

    /// Tells whether everything is well that can be seen in the record alone.
    fn is_sound(&self, issue: &str) -> bool {
        match &self.act {
            Act::Shard(shard) => shard.is_sound(issue),
            Act::Claim(claim) => is_worker(&claim.worker) && is_ttl(claim.ttl_ms),
            Act::End(end) => {
                is_reason(end.reason.as_deref())
                    && end.retry_after_ms.is_none_or(|ms| ms <= RETRY_AFTER_MS_MAX)
                    && match &end.how {
                        How::HandedOff(json) => is_object(json),
                        How::Released | How::Abandoned { .. } | How::Forced => true,
                    }
            }
            Act::Contest { .. } => true,
            Act::Reopen(reopen) => {
                !reopen.answers.is_empty()
                    && is_set(&reopen.answers, ANSWERS_MAX)
                    && is_reason(reopen.reason.as_deref())
            }
            Act::Ruling(ruling) => {
                is_set(&ruling.answers, ANSWERS_MAX) && is_reason(ruling.reason.as_deref())
            }
        }
    }
}

impl Shard {
    fn is_sound(&self, issue: &str) -> bool {
        is_ttl(self.ttl_ms)
            && is_set(&self.charter, ANSWERS_MAX)
            && is_set(&self.considered, CONSIDERED_MAX)
            && !self.slate.is_empty()
            && self.slate.len() <= SLATE_MAX
            && self.slate == slate::draw(issue, &self.considered)
            && is_reason(self.reason.as_deref())
            && (self.epoch == 0) == self.reason.is_none()
    }
}

/// Tells whether a text may name a worker: it also names files.
pub fn is_worker(name: &str) -> bool {
    is_identifier(name) && name.len() <= WORKER_BYTES_MAX
}

/// Tells whether a time to live is within bounds.
pub fn is_ttl(ttl_ms: u64) -> bool {
    (TTL_MS_MIN..=TTL_MS_MAX).contains(&ttl_ms)
}

fn is_reason(reason: Option<&str>) -> bool {
    reason.is_none_or(|text| !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX)
}

fn is_object(json: &str) -> bool {
    json.starts_with('{') && text::validate(json.as_bytes()).is_ok() && text::compact(json) == json
}

/// Tells whether a list is sorted, holds nothing twice and is not too long.
fn is_set<T: Ord>(list: &[T], len_max: usize) -> bool {
    list.len() <= len_max && list.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests;
