//! What can go wrong, and who can mend it. The same for the store and for a node. How it is mended say the hints.

use serde::{Deserialize, Serialize};

use super::claims::{Holder, Loss, duration};
pub use super::fault::{Fault, hint_of};
use super::history::Left;
use super::told::Told;
use crate::document::DocumentError;
use crate::id::{RecordHash, Version};
use crate::journal::JournalError;
use crate::journal::signature::SignError;
use crate::jsonl::read::Problem;

/// A task list refused a request. Nothing was written.
///
/// It travels from a node to a program as [`TrackerError::to_tell`] makes it: what cannot travel becomes
/// [`TrackerError::Told`].
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TrackerError {
    /// No issue has this name.
    #[error("no issue is called '{name}'")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// No agent that was ever a member has this id.
    #[error("no agent that is or was a member has the id '{name}'")]
    NoMember {
        /// What was asked for.
        name: String,
    },
    /// Nobody would be maintainer any more.
    #[error("agent {agent} is the only maintainer")]
    LastMaintainer {
        /// Who is.
        agent: crate::id::AgentId,
    },
    /// No commit has a hash that starts like this.
    #[error("no commit's hash starts with '{name}'")]
    NoCommit {
        /// What was asked for.
        name: String,
    },
    /// The issue was not there at the moment that was asked for.
    #[error("{name} was not there {at}; its first change was made at {begun_at}")]
    NotYet {
        /// Which issue.
        name: String,
        /// The moment, as in `at 2026-05-01T20:35:00Z`.
        at: String,
        /// When it came to be here, by its author's clock.
        begun_at: String,
    },
    /// Everything that was to be taken back was written again since.
    #[error("nothing can be taken back: {}", told(left))]
    WrittenSince {
        /// The issues and fields that stay as they are.
        left: Vec<(String, Left)>,
    },
    /// An issue cannot be claimed now.
    #[error("{name} cannot be claimed: {why}")]
    Refused {
        /// Which issue.
        name: String,
        /// Why.
        why: String,
        /// Who holds it.
        holder: Option<Box<Holder>>,
        /// In how long it may be claimed, if nothing changes until then, in milliseconds.
        retry_after_ms: Option<u64>,
        /// Whether the worker that asked holds it.
        is_own: bool,
    },
    /// A worker speaks for a claim that is not its own, or no longer.
    #[error("{name}: {why}{}", listed(also))]
    ClaimLost {
        /// Which issue.
        name: String,
        /// The claim that was meant.
        claim: Option<RecordHash>,
        /// What became of it.
        why: String,
        /// Whether its holder ended it, by a release or a handoff.
        by_holder: bool,
        /// Who holds the issue now.
        holder: Option<Box<Holder>>,
        /// Other claims of the worker that it was not told of until now.
        also: Box<[Loss]>,
    },
    /// No claim that is known here has such a token.
    #[error("no claim has the token '{token}'{}", held_by(name, holder))]
    UnknownClaim {
        /// What was given.
        token: String,
        /// The issue that was named with it.
        name: Option<String>,
        /// Who holds that.
        holder: Option<Box<Holder>>,
    },
    /// A claim was named together with another issue than its own.
    #[error("claim {} is on {name}, not on {wanted}", claim.short())]
    ClaimElsewhere {
        /// The claim.
        claim: RecordHash,
        /// Its issue.
        name: String,
        /// The issue that was named.
        wanted: String,
    },
    /// A worker holds nothing.
    #[error("worker {worker} holds no claim")]
    NoClaim {
        /// Which.
        worker: String,
    },
    /// A worker holds several claims, and did not say which it means.
    #[error("worker {worker} holds several claims: {}", names.join(", "))]
    ManyClaims {
        /// Which.
        worker: String,
        /// The issues.
        names: Vec<String>,
    },
    /// An issue has as many claim records as it may.
    #[error("{name} has as many claim records as an issue may")]
    NoRoom {
        /// Which issue.
        name: String,
    },
    /// Nothing is ready that could be claimed.
    #[error("nothing is ready")]
    NothingReady,
    /// Several issues have this name.
    #[error("'{name}' is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Names that tell them apart.
        candidates: Vec<String>,
    },
    /// A value that a field cannot have.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field or option.
        field: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The issue changed since the caller read it.
    #[error("{name} is at version {found}, not {expected}")]
    VersionMismatch {
        /// Which issue.
        name: String,
        /// The version that the caller named.
        expected: Version,
        /// Its version now.
        found: Version,
    },
    /// Lines of a file cannot be read; nothing of it was imported.
    #[error("{file}: {} bad line{}", problems.len(), if problems.len() == 1 { "" } else { "s" })]
    BadLines {
        /// Which file.
        file: String,
        /// Each of them.
        problems: Vec<Problem>,
    },
    /// The file was edited since it was last imported, so exporting would lose those edits.
    #[error("{file} has changes that were not imported")]
    NotImported {
        /// Which file.
        file: String,
    },
    /// One of several edits that are made together was refused.
    #[error("edit {place} of {count}, of '{name}': {source}")]
    OneOfSeveral {
        /// Which of them, from 1.
        place: usize,
        /// How many there are.
        count: usize,
        /// What the issue was called.
        name: String,
        /// Why.
        source: Box<TrackerError>,
    },
    /// Another process holds the store.
    #[error("the store is held by {holder}")]
    Busy {
        /// Process and role.
        holder: String,
    },
    /// The store was written by another version of this program.
    #[error("the store has format {found}, this program reads {known}")]
    Format {
        /// The number in the store.
        found: u32,
        /// The number known here.
        known: u32,
    },
    /// The store holds something that no version of this program wrote.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The lease had lapsed, and somebody may have taken the claim over while this node heard nobody.
    #[error(
        "the lease on {name} had lapsed, and this node just asks others whether they took it over"
    )]
    CatchingUp {
        /// Which issue.
        name: String,
    },
    /// The lease had lapsed, and somebody may have taken the claim over: no node runs here that could ask.
    #[error(
        "the lease on {name} had lapsed, and no node runs here that could ask others whether they took it over"
    )]
    NobodyAsked {
        /// Which issue.
        name: String,
    },
    /// Nothing is claimed, since no other member was heard for so long.
    #[error("no other member was heard for {}, and nothing is to be claimed until one is", duration(*.ttl_ms))]
    Isolated {
        /// For how long at least: as long as the claim would live.
        ttl_ms: u64,
    },
    /// A node said so.
    #[error(transparent)]
    Told(Box<Told>),
    // Those that cannot travel stand last: what numbers the others on their way leaves these out.
    /// Reading or writing a file failed.
    #[error("{what}")]
    #[serde(skip)]
    Io {
        /// What was tried, with the path.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the store {path} failed")]
    #[serde(skip)]
    Store {
        /// Its path.
        path: String,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit could not be signed.
    #[error(transparent)]
    #[serde(skip)]
    Sign(#[from] SignError),
    /// A document refused a change.
    #[error(transparent)]
    #[serde(skip)]
    Document(#[from] DocumentError),
    /// The journal refused a commit.
    #[error(transparent)]
    #[serde(skip)]
    Journal(#[from] JournalError),
}

fn listed(also: &[Loss]) -> String {
    also.iter().map(|loss| format!("; {loss}")).collect()
}

fn held_by(name: &Option<String>, holder: &Option<Box<Holder>>) -> String {
    match (name, holder) {
        (Some(name), Some(holder)) => format!("; {holder} holds {name}"),
        (Some(name), None) => format!("; nobody holds {name}"),
        (None, _) => String::new(),
    }
}

/// How many fields an error names.
const LEFT_SHOWN: usize = 5;

fn told(left: &[(String, Left)]) -> String {
    let mut told: Vec<String> = left
        .iter()
        .take(LEFT_SHOWN)
        .map(|(name, left)| format!("{name} {}: {}", left.field, left.reason))
        .collect();
    if left.len() > LEFT_SHOWN {
        told.push(format!("and {} more", left.len() - LEFT_SHOWN));
    }
    told.join("; ")
}

impl TrackerError {
    /// Returns the word that programs tell errors apart by.
    pub fn code(&self) -> &str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NoCommit { .. } => "not_found",
            Self::NotYet { .. } => "not_yet",
            Self::WrittenSince { .. } => "written_since",
            Self::Refused { holder: Some(_), .. } => "claimed",
            Self::Refused { .. } => "not_claimable",
            Self::ClaimLost { .. } => "claim_lost",
            Self::UnknownClaim { .. } => "unknown_claim",
            Self::ClaimElsewhere { .. } => "invalid",
            Self::NoMember { .. } => "unknown_agent",
            Self::LastMaintainer { .. } => "last_maintainer",
            Self::NoClaim { .. } => "no_claim",
            Self::ManyClaims { .. } => "many_claims",
            Self::NoRoom { .. } => "no_room",
            Self::NothingReady => "nothing_ready",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Invalid { .. } => "invalid",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::BadLines { .. } => "bad_lines",
            Self::NotImported { .. } => "not_imported",
            Self::OneOfSeveral { source, .. } => source.code(),
            Self::Busy { .. } => "busy",
            Self::CatchingUp { .. } => "catching_up",
            Self::NobodyAsked { .. } => "nobody_asked",
            Self::Isolated { .. } => "isolated",
            Self::Format { .. } => "format",
            Self::Io { .. } => "io",
            Self::Store { .. } => "store",
            Self::Damaged { .. } => "damaged",
            Self::Sign(_) => "sign",
            Self::Document(_) => "document",
            Self::Journal(JournalError::NotAllowed { .. }) => "not_allowed",
            Self::Journal(JournalError::Full { .. }) => "charter_full",
            Self::Journal(_) => "journal",
            Self::Told(told) => &told.code,
        }
    }

    /// Returns who can mend it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotFound { .. }
            | Self::NoCommit { .. }
            | Self::NotYet { .. }
            | Self::UnknownClaim { .. }
            | Self::NoClaim { .. }
            | Self::NoMember { .. }
            | Self::NothingReady => Fault::NotFound,
            Self::VersionMismatch { .. }
            | Self::NotImported { .. }
            | Self::WrittenSince { .. }
            | Self::Refused { .. }
            | Self::NoRoom { .. }
            | Self::LastMaintainer { .. }
            | Self::Journal(JournalError::Full { .. })
            | Self::ClaimLost { .. } => Fault::Conflict,
            Self::Ambiguous { .. }
            | Self::ManyClaims { .. }
            | Self::ClaimElsewhere { .. }
            | Self::Invalid { .. }
            | Self::BadLines { .. } => Fault::Invalid,
            Self::OneOfSeveral { source, .. } => source.fault(),
            Self::Busy { .. }
            | Self::CatchingUp { .. }
            | Self::NobodyAsked { .. }
            | Self::Isolated { .. } => Fault::Unavailable,
            Self::Journal(JournalError::NotAllowed { .. }) => Fault::NotAllowed,
            Self::Told(told) => told.fault,
            _ => Fault::Internal,
        }
    }

    /// Tells whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        let later = match self {
            Self::Refused { retry_after_ms, .. } => retry_after_ms.is_some(),
            Self::Told(told) => told.is_retryable,
            _ => false,
        };
        later || matches!(self.fault(), Fault::Unavailable | Fault::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each; a variant that is missing here does not compile below.
    fn all() -> Vec<TrackerError> {
        let text = || "x".to_owned();
        let io = || std::io::Error::other("x");
        let version = Version([0; 8]);
        let agent = crate::id::AgentId([0; 32]);
        vec![
            TrackerError::NotFound { name: text() },
            TrackerError::NoMember { name: text() },
            TrackerError::LastMaintainer { agent },
            TrackerError::NoCommit { name: text() },
            TrackerError::NotYet { name: text(), at: text(), begun_at: text() },
            TrackerError::WrittenSince { left: Vec::new() },
            TrackerError::Refused {
                name: text(),
                why: text(),
                holder: None,
                retry_after_ms: Some(1),
                is_own: false,
            },
            TrackerError::Refused {
                name: text(),
                why: text(),
                holder: None,
                retry_after_ms: None,
                is_own: false,
            },
            TrackerError::Refused {
                name: text(),
                why: text(),
                holder: None,
                retry_after_ms: None,
                is_own: true,
            },
            TrackerError::ClaimLost {
                name: text(),
                claim: None,
                why: text(),
                by_holder: false,
                holder: None,
                also: Box::default(),
            },
            TrackerError::UnknownClaim { token: text(), name: Some(text()), holder: None },
            TrackerError::ClaimElsewhere {
                claim: RecordHash([0; 32]),
                name: text(),
                wanted: text(),
            },
            TrackerError::NoClaim { worker: text() },
            TrackerError::ManyClaims { worker: text(), names: vec![text()] },
            TrackerError::NoRoom { name: text() },
            TrackerError::NothingReady,
            TrackerError::Ambiguous { name: text(), candidates: vec![text()] },
            TrackerError::Invalid { field: text(), reason: text(), hint: text() },
            TrackerError::VersionMismatch { name: text(), expected: version, found: version },
            TrackerError::BadLines { file: text(), problems: Vec::new() },
            TrackerError::NotImported { file: text() },
            TrackerError::OneOfSeveral {
                place: 1,
                count: 2,
                name: text(),
                source: Box::new(TrackerError::NotFound { name: text() }),
            },
            TrackerError::Busy { holder: text() },
            TrackerError::CatchingUp { name: text() },
            TrackerError::NobodyAsked { name: text() },
            TrackerError::Isolated { ttl_ms: 1_000 },
            TrackerError::Format { found: 1, known: 2 },
            TrackerError::Format { found: 3, known: 2 },
            TrackerError::Io { what: text(), source: io() },
            TrackerError::Store { path: text(), source: Box::new(io()) },
            TrackerError::Damaged { what: text() },
            TrackerError::Sign(SignError { reason: text() }),
            TrackerError::Document(DocumentError::Missing { id: text() }),
            TrackerError::Journal(JournalError::NotAllowed { agent }),
            TrackerError::Told(Box::new(Told {
                code: text(),
                detail: text(),
                hint: text(),
                fault: Fault::Unavailable,
                is_retryable: true,
            })),
        ]
    }

    #[test]
    fn every_error_has_a_code_and_says_what_to_do() {
        for error in all() {
            assert!(!error.hint().is_empty() && !error.code().is_empty(), "{error}");
            // A new variant has to be added here, and above.
            match error {
                TrackerError::NotFound { .. }
                | TrackerError::NoMember { .. }
                | TrackerError::LastMaintainer { .. }
                | TrackerError::NoCommit { .. }
                | TrackerError::NotYet { .. }
                | TrackerError::WrittenSince { .. }
                | TrackerError::Refused { .. }
                | TrackerError::ClaimLost { .. }
                | TrackerError::UnknownClaim { .. }
                | TrackerError::ClaimElsewhere { .. }
                | TrackerError::NoClaim { .. }
                | TrackerError::ManyClaims { .. }
                | TrackerError::NoRoom { .. }
                | TrackerError::NothingReady
                | TrackerError::Ambiguous { .. }
                | TrackerError::Invalid { .. }
                | TrackerError::VersionMismatch { .. }
                | TrackerError::BadLines { .. }
                | TrackerError::NotImported { .. }
                | TrackerError::OneOfSeveral { .. }
                | TrackerError::Busy { .. }
                | TrackerError::CatchingUp { .. }
                | TrackerError::NobodyAsked { .. }
                | TrackerError::Isolated { .. }
                | TrackerError::Format { .. }
                | TrackerError::Io { .. }
                | TrackerError::Store { .. }
                | TrackerError::Damaged { .. }
                | TrackerError::Sign(_)
                | TrackerError::Document(_)
                | TrackerError::Journal(_)
                | TrackerError::Told(_) => {}
            }
        }
    }

    #[test]
    fn an_error_says_the_same_after_it_travelled() {
        let said = |error: &TrackerError| {
            let (code, retryable) = (error.code().to_owned(), error.is_retryable());
            (code, error.detail(), error.hint(), error.fault(), retryable, error.details())
        };
        for error in all() {
            let before = said(&error);
            let bytes = postcard::to_stdvec(&error.to_tell()).unwrap();
            let after: TrackerError = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(said(&after), before);
        }
    }
}
