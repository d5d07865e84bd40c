//! What a task list answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::claims::{Holder, Watch, duration};
use crate::id::{AgentId, DocumentKey, ListId, RecordHash, Version};
use crate::jsonl::read::Problem;
use crate::timestamp::Timestamp;

/// What a list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListInfo {
    /// Its id.
    pub list: ListId,
    /// What people call it.
    pub name: String,
    /// What new ids and identifiers start with.
    pub prefix: String,
    /// Whether this store has a charter, or works from a file alone.
    pub joined: bool,
    /// How many issues it holds, removed ones too.
    pub issues: u64,
    /// How many commits it holds.
    pub commits: u64,
}

/// One issue as a row: what lists, filters and readiness need, without opening its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its document.
    pub key: DocumentKey,
    /// Its id.
    pub id: String,
    /// Its identifier as stored.
    pub identifier: Option<String>,
    /// Its title.
    pub title: String,
    /// Its state as spelled.
    pub state: Option<String>,
    /// Its priority where it is a whole number.
    pub priority: Option<i64>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Who it is assigned to.
    pub assignee: Option<String>,
    /// Who holds the claim that is shown.
    pub holder: Option<String>,
    /// Names of the issues that it waits for.
    pub blocked_by: Vec<String>,
    /// When it was created, as spelled.
    pub created_at: Option<String>,
    /// When it was updated, as spelled.
    pub updated_at: Option<String>,
    /// Whether it was removed.
    pub deleted: bool,
    /// How many fields have conflicts.
    pub conflicts: u32,
    /// How many comments it has.
    pub comments: u32,
    /// Its version.
    pub version: Version,
    /// The claim that holds it.
    pub held: Option<Held>,
    /// The end of its last claim, where that asked to leave the issue alone for a while.
    pub rest: Option<Rest>,
    /// How often what happened to it.
    pub tally: Tally,
}

/// The claim that holds an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The hash of its record: the token that its holder shows.
    pub claim: RecordHash,
    /// Whose it is.
    pub agent: AgentId,
    /// Which runner or terminal of that agent.
    pub worker: String,
    /// When it was made, by the agent's clock.
    pub at: Timestamp,
    /// How long it lives without a beat, in milliseconds.
    pub ttl_ms: u64,
    /// The agent's place on the slate: 0 primary, 1 and 2 backups, 3 not on it.
    pub slot: u8,
    /// How many claims lead to it, itself included.
    pub fence: u32,
}

/// The end of a claim that asked to leave the issue alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// The hash of its record.
    pub end: RecordHash,
    /// For how long, from when it was first seen, in milliseconds.
    pub retry_after_ms: u64,
    /// How many such ends came one after another.
    pub failures: u32,
    /// Why.
    pub reason: Option<String>,
}

/// How often something happened to an issue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Claims made.
    pub claims: u32,
    /// Claims that took a stale one of somebody else over.
    pub takeovers: u32,
    /// Claims that were given up because another won.
    pub abandons: u32,
    /// Handoffs.
    pub handoffs: u32,
    /// Handoffs that were sent back.
    pub rework: u32,
    /// Claims by which a worker renewed its own. Rows that an earlier version of this program wrote
    /// count none.
    pub renewals: u32,
}

impl Tally {
    /// Returns how often the issue was taken up: a renewal is no new attempt.
    pub fn attempts(&self) -> u32 {
        self.claims.saturating_sub(self.renewals)
    }
}

/// One issue as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The name to call it by: its identifier, with a suffix where two issues share it.
    pub name: String,
    /// The row.
    pub row: Row,
    /// The record in canonical JSON, as exported; only where it was asked for.
    pub json: Option<String>,
    /// How the claim that holds it stands, as this machine sees it.
    pub watch: Option<Watch>,
    /// How long it is still left alone after a failure, in milliseconds; `None` where it is not.
    pub rest_left_ms: Option<u64>,
    /// What became of each claim on it, the newest first, where one issue alone was asked for and several
    /// workers claimed it; at most [`RIVALS_MAX`](super::claims::RIVALS_MAX).
    pub rivals: Vec<super::claims::Rival>,
}

impl Shown {
    /// Returns an issue with its name and row alone.
    pub fn plain(name: String, row: Row) -> Self {
        Self { name, row, json: None, watch: None, rest_left_ms: None, rivals: Vec::new() }
    }
}

/// An issue named, with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name to call it by.
    pub name: String,
    /// Its state as spelled; `None` where it is absent or the issue is not here.
    pub state: Option<String>,
    /// Whether the list holds such an issue.
    pub known: bool,
}

/// An open issue, as the agenda has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Open {
    /// It can be worked on.
    Ready(Shown),
    /// It can not yet.
    Waiting(Waiting),
}

/// What is to be said of an agenda as a whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agenda {
    /// How many ready issues were visited.
    pub ready: u64,
    /// How many open issues were met that are not ready.
    pub waiting: u64,
    /// Rings of issues that wait for each other.
    pub cycles: Vec<Vec<String>>,
}

/// An open issue that is not ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Which.
    pub issue: Shown,
    /// Why.
    pub reason: Reason,
}

/// Why an open issue is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Its state is not one that work starts from.
    State(Option<String>),
    /// It waits for others.
    BlockedBy(Vec<Named>),
    /// It waits for itself, through these.
    Cycle(Vec<String>),
    /// Somebody works on it.
    Held(Holder),
    /// The agents on its slate come first, for so many milliseconds more.
    SlateFirst {
        /// How long.
        left_ms: u64,
    },
    /// Its last claim failed, and it is left alone for so many milliseconds more.
    Resting {
        /// How long.
        left_ms: u64,
        /// Why its last claim ended.
        reason: Option<String>,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(None) => f.write_str("it has no state"),
            Self::State(Some(state)) => match crate::state::State::parse(state) {
                Some(known) => write!(f, "{}", known.meaning()),
                None => write!(f, "its state '{state}' is not one that x0x knows"),
            },
            Self::BlockedBy(blockers) => {
                f.write_str("waits for ")?;
                for (i, blocker) in blockers.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    match (&blocker.state, blocker.known) {
                        (_, false) => write!(f, "{comma}{} (not in this list)", blocker.name)?,
                        (None, _) => write!(f, "{comma}{} (no state)", blocker.name)?,
                        (Some(state), _) => write!(f, "{comma}{} ({state})", blocker.name)?,
                    }
                }
                Ok(())
            }
            Self::Cycle(members) => write!(f, "waits for itself: {}", members.join(" -> ")),
            Self::Held(holder) => write!(f, "held by {holder}"),
            Self::SlateFirst { left_ms } => {
                write!(f, "the agents on its slate come first, for {}", duration(*left_ms))
            }
            Self::Resting { left_ms, reason } => {
                write!(f, "left alone for {}", duration(*left_ms))?;
                match reason {
                    Some(reason) => write!(f, " after: {reason}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Counts over all issues that were not removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// All of them.
    pub issues: u64,
    /// By state as spelled; the empty text stands for none.
    pub by_state: BTreeMap<String, u64>,
    /// By priority; `None` for none.
    pub by_priority: BTreeMap<Option<i64>, u64>,
    /// Ready now.
    pub ready: u64,
    /// Removed ones.
    pub deleted: u64,
    /// With conflicts.
    pub conflicts: u64,
    /// Comments in all.
    pub comments: u64,
    /// What workers did.
    pub claims: ClaimStats,
    /// Commits in the journal.
    pub commits: u64,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
}

/// What workers did, over all issues that were not removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimStats {
    /// Issues that somebody holds.
    pub held: u64,
    /// Those among them whose lease has lapsed.
    pub stale: u64,
    /// Claims made.
    pub claims: u64,
    /// Claims that took a stale one of somebody else over.
    pub takeovers: u64,
    /// Claims that were given up because another won.
    pub abandons: u64,
    /// Handoffs.
    pub handoffs: u64,
    /// Handoffs that were sent back.
    pub rework: u64,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Records in the file.
    pub records: u64,
    /// Records that say what was known.
    pub unchanged: u64,
    /// Names of issues that were created.
    pub created: Vec<String>,
    /// Names of issues that were edited, with the fields.
    pub edited: Vec<(String, Vec<String>)>,
    /// Fields whose value in the file is an older one: issue, field, value in the file.
    pub old_news: Vec<(String, String, String)>,
    /// Fields that the importer may not set; the file keeps them: issue, field, reason.
    pub pending: Vec<(String, String, String)>,
    /// Fields that are never imported: issue, field, reason.
    pub refused: Vec<(String, String, String)>,
    /// Names of issues whose line disappeared from the file.
    pub missing: Vec<String>,
    /// Names of issues that were removed because their line disappeared.
    pub pruned: Vec<String>,
    /// Ids that several issues share.
    pub collisions: Vec<String>,
    /// Bad lines that were passed over.
    pub problems: Vec<Problem>,
}

impl ImportReport {
    /// Returns how many issues were written.
    pub fn writes(&self) -> usize {
        self.created.len() + self.edited.len() + self.pruned.len()
    }
}

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Records written.
    pub records: u64,
    /// Lines that differ from the file as it was last seen.
    pub changed: u64,
    /// Lines that the file did not have.
    pub added: u64,
    /// BLAKE3-256 of the file as last imported or exported; `None` if it never was.
    pub base: Option<[u8; 32]>,
    /// BLAKE3-256 of what was written.
    pub hash: [u8; 32],
}
