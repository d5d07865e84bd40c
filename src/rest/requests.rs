//! What programs send: the same shapes for the node, which reads them, and for x0x itself, which asks.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use x0x_tracker::interface::{Choice, ExportReport, Holding, Release, Ruling, Terms};

/// A comment to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentBody {
    /// Its text.
    #[schema(min_length = 1)]
    pub(super) body: String,
    /// Who says it; by default this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) author: Option<String>,
}

/// Who claims, and for how long.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimBody {
    /// Which runner or terminal of this agent.
    #[schema(min_length = 1, max_length = 64)]
    worker: String,
    /// How long the claim lives without a heartbeat, in milliseconds; by default 3,600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// Go on with the claim that this worker has, if it has one.
    #[serde(default)]
    resume: bool,
    /// How long to wait until everybody else is known not to have claimed it too, in milliseconds; the answer
    /// says in `standing` whether that is so. More than a minute is a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirm_ms: Option<u64>,
    /// Claim nothing while no other member was heard for as long as the claim would live.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unless_isolated: bool,
}

impl ClaimBody {
    pub(super) fn of(terms: &Terms) -> Self {
        let Terms { worker, ttl_ms, resume, confirm_ms, unless_isolated } = terms.clone();
        Self { worker, ttl_ms, resume, confirm_ms, unless_isolated }
    }

    pub(super) fn terms(self) -> Terms {
        let Self { worker, ttl_ms, resume, confirm_ms, unless_isolated } = self;
        Terms { worker, ttl_ms, resume, confirm_ms, unless_isolated }
    }
}

/// Which claim: the one on an issue, the one of a token, or the only one that the worker has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldingBody {
    /// Which runner or terminal of this agent.
    #[schema(min_length = 1, max_length = 64)]
    worker: String,
    /// The issue, by any of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issue: Option<String>,
    /// The token: `id` of the claim, or a unique beginning of it of at least eight digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
}

impl HoldingBody {
    pub(super) fn of(holding: &Holding) -> Self {
        let Holding { worker, issue, claim } = holding.clone();
        Self { worker, issue, claim }
    }

    pub(super) fn holding(self) -> Holding {
        Holding { worker: self.worker, issue: self.issue, claim: self.claim }
    }
}

/// A claim to give up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    /// Which runner or terminal of this agent.
    #[schema(min_length = 1, max_length = 64)]
    worker: String,
    /// The issue, by any of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issue: Option<String>,
    /// The token: `id` of the claim, or a unique beginning of it of at least eight digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// End the claim whoever holds it; only a maintainer may, with a reason.
    #[serde(default)]
    force: bool,
    /// How long the issue is to be left alone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl ReleaseBody {
    pub(super) fn of(holding: &Holding, release: &Release) -> Self {
        let HoldingBody { worker, issue, claim } = HoldingBody::of(holding);
        let Release { reason, force, retry_after_ms } = release.clone();
        Self { worker, issue, claim, reason, force, retry_after_ms }
    }

    pub(super) fn parts(self) -> (Holding, Release) {
        let Self { worker, issue, claim, reason, force, retry_after_ms } = self;
        (Holding { worker, issue, claim }, Release { reason, force, retry_after_ms })
    }
}

/// Work to hand off for review.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandoffBody {
    /// Which runner or terminal of this agent.
    #[schema(min_length = 1, max_length = 64)]
    worker: String,
    /// The issue, by any of its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issue: Option<String>,
    /// The token: `id` of the claim, or a unique beginning of it of at least eight digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    /// {summary, files_changed, validation: [{command, status, note?}], follow_up, proofs_dir?}; lists
    /// that are missing are empty.
    #[schema(value_type = super::schema::Handoff)]
    handoff: Box<RawValue>,
}

impl HandoffBody {
    pub(super) fn of(holding: &Holding, handoff: &str) -> Result<Self, serde_json::Error> {
        let HoldingBody { worker, issue, claim } = HoldingBody::of(holding);
        let handoff = RawValue::from_string(handoff.to_owned())?;
        Ok(Self { worker, issue, claim, handoff })
    }

    pub(super) fn parts(self) -> (Holding, String) {
        let Self { worker, issue, claim, handoff } = self;
        (Holding { worker, issue, claim }, handoff.get().to_owned())
    }
}

/// A verdict on an issue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RulingBody {
    /// The verdict.
    ruling: Verdict,
    /// The issue that has the same work; only of a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// What a ruling says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// The work is finished.
    Done,
    /// The work is given up.
    Cancelled,
    /// The work is that of another issue.
    Duplicate,
    /// The issue is open again.
    Reopened,
}

impl RulingBody {
    pub(super) fn of(ruling: &Ruling, reason: Option<&str>) -> Self {
        let (ruling, of) = match ruling {
            Ruling::Done => (Verdict::Done, None),
            Ruling::Cancelled => (Verdict::Cancelled, None),
            Ruling::Duplicate { of } => (Verdict::Duplicate, of.clone()),
            Ruling::Reopened => (Verdict::Reopened, None),
        };
        Self { ruling, of, reason: reason.map(str::to_owned) }
    }

    /// Returns the ruling; `None` where it is no duplicate and names another issue all the same.
    pub(super) fn ruling(&self) -> Option<Ruling> {
        match (self.ruling, &self.of) {
            (Verdict::Duplicate, of) => Some(Ruling::Duplicate { of: of.clone() }),
            (_, Some(_)) => None,
            (Verdict::Done, None) => Some(Ruling::Done),
            (Verdict::Cancelled, None) => Some(Ruling::Cancelled),
            (Verdict::Reopened, None) => Some(Ruling::Reopened),
        }
    }
}

/// A slate to draw anew.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReshardBody {
    /// Why.
    #[schema(min_length = 1)]
    pub(super) reason: String,
    /// How long claims live from now on without a heartbeat, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl_ms: Option<u64>,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkerBody {
    /// Which runner or terminal of this agent.
    #[schema(min_length = 1, max_length = 64)]
    pub(super) worker: String,
}

/// What to take back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoBody {
    /// An issue, of which the newest change is meant; or a commit, by at least six digits of its hash.
    pub(super) what: String,
    /// Also what was written again since.
    #[serde(default)]
    pub(super) force: bool,
    /// Change nothing; say what would be changed.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Which value settles a disputed field; one of the three.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum ChoiceBody {
    /// The value that is shown: `true`.
    Keep(bool),
    /// One of the others, counted from 1.
    Take(usize),
    /// A new one.
    #[schema(value_type = serde_json::Value)]
    Value(Box<RawValue>),
}

impl ChoiceBody {
    pub(super) fn of(choice: &Choice) -> Result<Self, serde_json::Error> {
        Ok(match choice {
            Choice::Keep => Self::Keep(true),
            Choice::Take(number) => Self::Take(*number),
            Choice::Value(json) => Self::Value(RawValue::from_string(json.clone())?),
        })
    }

    /// Returns the choice; `None` for `{"keep": false}`, which is none.
    pub(super) fn choice(self) -> Option<Choice> {
        match self {
            Self::Keep(true) => Some(Choice::Keep),
            Self::Keep(false) => None,
            Self::Take(number) => Some(Choice::Take(number)),
            Self::Value(json) => Some(Choice::Value(json.get().to_owned())),
        }
    }
}

/// Several edits that are made together, or none of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditsBody {
    /// In the order in which they are made.
    pub(super) edits: Vec<EditBody>,
}

/// One edit of several.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditBody {
    /// The issue, by any of its names.
    pub(super) issue: String,
    /// What `PATCH /issues/{name}` takes.
    #[schema(value_type = super::schema::IssuePatch)]
    pub(super) patch: Box<RawValue>,
}

/// What a file holds after an export into it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportedBody {
    /// The name by which it is imported and exported.
    pub(super) file: String,
    /// BLAKE3-256 of what was written, 64 hex digits.
    hash: String,
}

impl ExportedBody {
    pub(super) fn of(file: &str, report: &ExportReport) -> Self {
        Self { file: file.to_owned(), hash: data_encoding::HEXLOWER.encode(&report.hash) }
    }

    /// Returns what an export wrote, as far as it says so; `None` where the hash is none.
    pub(super) fn report(&self) -> Option<ExportReport> {
        let hash = data_encoding::HEXLOWER_PERMISSIVE.decode(self.hash.as_bytes()).ok()?;
        Some(ExportReport { hash: hash.try_into().ok()?, ..ExportReport::default() })
    }
}

/// Makes a ticket.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InviteBody {
    /// What it lets its bearer do.
    #[schema(value_type = super::schema::RoleName)]
    pub(super) role: x0x_tracker::journal::charter::Role,
    /// How long it is good for, in milliseconds; at most 366 days.
    pub(super) lifetime_ms: u64,
}

/// Gives a role.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantBody {
    /// The id of an agent that had a role before, or at least the first eight digits of it.
    pub(super) agent: String,
    /// What it may do from now on.
    #[schema(value_type = super::schema::RoleName)]
    pub(super) role: x0x_tracker::journal::charter::Role,
}

/// Takes every role.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationBody {
    /// The id of an agent, or at least the first eight digits of it.
    pub(super) agent: String,
    /// Why; at most 1 KiB, not empty.
    #[schema(min_length = 1, max_length = 1024)]
    pub(super) reason: String,
}

/// Uses a ticket.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinBody {
    /// What `x0x invite` printed.
    pub(super) ticket: String,
}
