//! What a runner hears, does, and ends with.

use serde::{Deserialize, Serialize};
use x0x_tracker::id::RecordHash;

use crate::runner::keeper::Ending;

/// An issue under way, counted from 1 in the order of claims.
pub type Job = u64;

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time went by.
    Tick,
    /// An issue was claimed.
    Claimed(Claimed),
    /// There is nothing to claim.
    NothingReady,
    /// It could not be told whether there is something to claim.
    ClaimLater,
    /// Another claimed the same issue, as was heard at once.
    ClaimLost,
    /// The issue that was asked for is not to be had, or nothing can be claimed at all.
    ClaimRefused,
    /// The command runs.
    Started(Job),
    /// The command does not.
    NotStarted {
        /// Which job's.
        job: Job,
        /// Why.
        why: String,
        /// Whether every other one would fail alike.
        is_final: bool,
    },
    /// The command is over, and nothing of it is left.
    Ended(Job, Ending),
    /// What became of the beats.
    Beaten(Vec<(Job, Beat)>),
    /// What came of a job was stored, or not yet.
    Settled(Job, Settled),
    /// Somebody wants the runner to end.
    Interrupted {
        /// Whether a person at the keyboard does.
        by_hand: bool,
    },
}

/// A claim that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which job it begins.
    pub job: Job,
    /// Its token.
    pub claim: RecordHash,
    /// How long it lives without a beat.
    pub ttl_ms: u64,
    /// How often in a row the issue failed before.
    pub failures: u32,
}

/// What became of a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The claim lives; another one where it was renewed.
    Kept(RecordHash),
    /// The same, and this machine has heard no other member for as long as the claim lives without a beat.
    Isolated(RecordHash),
    /// The same, and no node runs here any more that tells others of it.
    Untold(RecordHash),
    /// The store could not be written just now.
    Later,
    /// The command has released its claim or handed it off.
    Settled,
    /// The claim is lost, and why.
    Lost(String),
}

/// What was stored of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All there is.
    Done {
        /// How the job ended.
        outcome: Outcome,
        /// In how long the issue may be claimed again, where it was released after a failure.
        retry_after_ms: Option<u64>,
    },
    /// Nothing: the store could not be written just now.
    Later,
}

/// What the runner does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Claims an issue.
    Claim,
    /// Starts the command of a job.
    Start(Job),
    /// Beats the claims of jobs.
    Beat(Vec<Job>),
    /// Tells a command to end, or ends it.
    Stop {
        /// Whose.
        job: Job,
        /// Without a grace.
        at_once: bool,
    },
    /// Stores what came of a job.
    Settle {
        /// Which.
        job: Job,
        /// What came of it.
        act: Act,
        /// Whether it is given up where it fails once more.
        is_last: bool,
    },
}

/// What comes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The work is handed off.
    HandOff,
    /// The issue is given back.
    Release {
        /// What the job came to.
        outcome: Outcome,
        /// Why.
        reason: String,
        /// How long it is to be left alone.
        retry_after_ms: Option<u64>,
    },
    /// The claim is over without its holder's doing; the proofs are kept apart.
    Abandon {
        /// Why.
        why: String,
    },
    /// The command said itself what came of it.
    Leave,
}

impl Act {
    /// Returns what comes of a job whose runner was told to end.
    pub fn interrupted() -> Self {
        let reason = "interrupted".to_owned();
        Self::Release { outcome: Outcome::Interrupted, reason, retry_after_ms: None }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The work was handed off.
    HandedOff,
    /// The command failed, and the issue was given back.
    Failed,
    /// The command took too long, and the issue was given back.
    TimedOut,
    /// The runner was told to end, or was killed.
    Interrupted,
    /// The claim was lost.
    Abandoned,
    /// The command gave the issue back itself.
    Released,
    /// No other member was heard for too long, and the issue was given back.
    Isolated,
    /// What came of it could not be stored; the claim lapses.
    Unrecorded,
}

impl Outcome {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HandedOff => "handed_off",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
            Self::Released => "released",
            Self::Isolated => "isolated",
            Self::Unrecorded => "unrecorded",
        }
    }
}

/// What came of all jobs, or of the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was none.
    Nothing,
    /// The issue that was asked for is not to be had.
    Refused,
    /// The last one ended so.
    Last(Outcome),
}

impl Verdict {
    /// Returns the verdict after one more job.
    pub fn and(self, outcome: Outcome) -> Self {
        match self {
            // A claim that nobody ended is not forgotten over what went well after it.
            Self::Refused | Self::Last(Outcome::Unrecorded) => self,
            Self::Nothing | Self::Last(_) => Self::Last(outcome),
        }
    }
}

/// Tells how a command failed, as the reason of a release.
pub fn told(ending: &Ending) -> String {
    match (ending.exit_code, ending.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            format!("killed by {}", name.map_or(format!("signal {signal}"), str::to_owned))
        }
        (None, None) => "its keeper was killed".to_owned(),
    }
}
