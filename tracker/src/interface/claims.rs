//! What workers ask for, and what they are told: claims, and what becomes of them.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, RecordHash};
use crate::timestamp::Timestamp;

use super::TrackerError;
use super::report::{Held, Shown};
use super::request::Filter;

/// Which issue is to be claimed.
#[derive(Clone, Debug)]
pub enum Pick {
    /// The one of this name.
    Issue(String),
    /// The first that is ready, of those that the filter lets pass.
    First(Filter),
}

/// Who claims, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Which runner or terminal of the agent.
    pub worker: String,
    /// How long the claim lives without a beat; by default what the shard record says.
    pub ttl_ms: Option<u64>,
    /// Continue the claim by which this worker holds the issue or, with [`Pick::First`], any that
    /// passes the filter, whatever states that names; where it holds none, claim as ever. Another
    /// time to live than the claim's renews it.
    pub resume: bool,
    /// How long a node waits until everybody else is known not to have claimed the issue too, in
    /// milliseconds; what it answers then says whether that is so. Without a node nobody is waited for.
    pub confirm_ms: Option<u64>,
    /// Claim nothing while a node runs here that has heard no other member for as long as the claim would
    /// live.
    pub unless_isolated: bool,
}

/// Which claim is meant: by its issue, by its token, or the only one that the worker has.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// Which runner or terminal of the agent.
    pub worker: String,
    /// The issue.
    pub issue: Option<String>,
    /// The token: the hash of the claim record, or a unique beginning of it of at least eight digits.
    pub claim: Option<String>,
}

/// How a claim is given up.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Why.
    pub reason: Option<String>,
    /// End the claim whoever holds it; only a maintainer may, and has to say why.
    pub force: bool,
    /// How long the issue is to be left alone.
    pub retry_after_ms: Option<u64>,
}

/// What became of a claim that its holder beat, or handed off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The issue as it is now.
    pub issue: Shown,
    /// The claim: another one than before where it was renewed.
    pub claim: RecordHash,
    /// Whether a new claim was made in the place of its own, because the lease had lapsed or another
    /// time to live was asked for.
    pub renewed: bool,
    /// Claims of the same worker that were lost, or that others ended, and that it was not told of
    /// until now.
    pub lost: Vec<Loss>,
}

/// A claim that its worker has no longer, as the worker is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The id of the issue.
    pub id: String,
    /// Which issue.
    pub name: String,
    /// The claim.
    pub claim: RecordHash,
    /// What became of it.
    pub why: String,
    /// Whether its holder ended it, by a release or a handoff.
    pub by_holder: bool,
    /// Who holds the issue now.
    pub holder: Option<Box<Holder>>,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// A claim that somebody has on an issue, for those who want it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The claim.
    pub held: Held,
    /// For how long no beat of it was seen, in milliseconds; `None` where nobody here watches it.
    pub silent_ms: Option<u64>,
}

impl Holder {
    /// Tells whether its lease has lapsed, as far as is known here.
    pub fn has_lapsed(&self) -> bool {
        self.silent_ms.is_some_and(|silent_ms| silent_ms > self.held.ttl_ms)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Held { agent, worker, .. } = &self.held;
        write!(f, "worker {worker} of agent {}", agent.short())?;
        match self.silent_ms {
            None => Ok(()),
            Some(ms) if self.has_lapsed() => {
                write!(f, " (silent for {}, lapsed)", duration(ms))
            }
            Some(ms) => write!(f, " (last beat {} ago)", duration(ms)),
        }
    }
}

impl Shown {
    /// Returns who holds it.
    pub fn holder(&self) -> Option<Holder> {
        let silent_ms = self.watch.as_ref().and_then(|watch| watch.silent_ms);
        self.row.held.clone().map(|held| Holder { held, silent_ms })
    }
}

impl TrackerError {
    /// Returns who holds the issue that somebody else wanted.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Refused { holder, .. }
            | Self::ClaimLost { holder, .. }
            | Self::UnknownClaim { holder, .. } => holder.as_deref(),
            Self::OneOfSeveral { source, .. } => source.holder(),
            _ => None,
        }
    }
}

/// Returns a duration for people, in its largest unit and the next.
pub fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The most claims on one issue that are told of.
pub const RIVALS_MAX: usize = 64;

/// A claim on an issue, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// The claim.
    pub claim: RecordHash,
    /// Whose it is.
    pub agent: AgentId,
    /// And which of its workers'.
    pub worker: String,
    /// When it was made, by its maker's clock.
    pub at: Timestamp,
    /// How many claims there are from the root to it.
    pub fence: u32,
    /// Its agent's place on the slate.
    pub slot: u8,
    /// How it ended: `released`, `handed_off`, `abandoned`, `forced` or `ruled`; `None` of one that did not.
    pub ended: Option<String>,
    /// Whether it is the one that counts.
    pub counts: bool,
    /// The claim that counts instead, or that came after it.
    pub instead: Option<RecordHash>,
    /// Why.
    pub why: String,
    /// Who ended it, and why; `None` of one that is live.
    pub end: Option<Note>,
    /// Who sent back the work that was handed off by it, and why.
    pub sent_back: Option<Note>,
}

/// Who did something, when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who.
    pub by: AgentId,
    /// When, by its clock.
    pub at: Timestamp,
    /// Why, where it was said.
    pub reason: Option<String>,
}

/// How sure a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Everybody who could claim the issue too is known not to have done so.
    Confirmed,
    /// Others could have claimed it too without being heard yet.
    Provisional,
    /// Its holder's node has heard no other member for as long as the claim lives without a beat: whoever is
    /// there may take it over.
    Isolated,
}

impl Standing {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Provisional => "provisional",
            Self::Isolated => "isolated",
        }
    }
}

/// How the claim that holds an issue stands, as this machine sees it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// How long ago it was made, by the wall clock, in milliseconds.
    pub age_ms: u64,
    /// For how long no beat of it was seen; `None` where nobody here watches it.
    pub silent_ms: Option<u64>,
    /// When it lapses unless a beat comes, by the wall clock; `None` where nobody here watches it.
    pub deadline: Option<Timestamp>,
    /// Whether its lease has lapsed.
    pub is_stale: bool,
    /// Whether it is of the agent who asks.
    pub is_own: bool,
    /// How sure it is.
    pub standing: Standing,
    /// Members that could have claimed the issue too and were not heard; none when confirmed.
    pub unheard: Vec<AgentId>,
}

impl Watch {
    /// Returns how long it lives from now without a beat, in milliseconds; 0 where it has lapsed.
    pub fn left_ms(&self, ttl_ms: u64) -> Option<u64> {
        self.silent_ms.map(|silent_ms| ttl_ms.saturating_sub(silent_ms))
    }
}
