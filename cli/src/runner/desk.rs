//! What a runner asks of the task list, one act after the other. The store is open no longer than an
//! act takes, so that others can work while commands run. Not: what to ask next.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use x0x::home::{Home, HomeError};
use x0x::time;
use x0x_tracker::claim::record::{REASON_BYTES_MAX, RETRY_AFTER_MS_MAX, TTL_MS_DEFAULT};
use x0x_tracker::id::{AgentId, DocumentKey, ListId, RecordHash};
use x0x_tracker::interface::error::Fault;
use x0x_tracker::interface::report::Held;
use x0x_tracker::interface::{Filter, Holding, Kept, Open, Pick, Release, Shown, Standing, Terms};
use x0x_tracker::timestamp::Timestamp;
use x0x_tracker::{Tracker, TrackerError};

use super::foreman::{Act, Beat, Job, Outcome};
use super::handoff::{self, Seen};
use super::haste::Haste;
use super::proofs::{self, Closing, Proofs};
use super::reach::Reach;
use crate::error::CliError;
use crate::resolve::answering;

/// How long a node may be away that starts again, or takes its stores back, before that is spoken of.
const NODE_BACK_MAX: Duration = Duration::from_secs(4);

/// How long it waits for other writers before it looks whether to go on.
const WAIT_AT_A_STRETCH: Duration = Duration::from_millis(500);

/// How long a runner waits until its claim is confirmed: others that are there answer sooner. A guess.
const CONFIRM_MS: u64 = 1_000;

/// Where the acts go.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The agent's data directory.
    pub home: Home,
    /// The agent.
    pub agent: AgentId,
    /// The task list.
    pub list: ListId,
    /// How long an act waits for other writers.
    pub wait: Duration,
    /// Which worker the runner is.
    pub worker: String,
    /// How long its claims live without a beat.
    pub ttl_ms: Option<u64>,
    /// Proofs are named from here in handoffs.
    pub root: PathBuf,
    /// Whether nothing is claimed while no other member is heard.
    pub stops_isolated: bool,
    /// How much the end of the runner is wanted.
    pub haste: Haste,
    /// Whether what is written reaches others.
    pub reach: Reach,
}

/// An issue that was claimed.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The issue, as the claim left it.
    pub issue: Shown,
    /// The issue in JSON, as programs get it.
    pub json: String,
    /// The token of the claim.
    pub claim: RecordHash,
    /// How often in a row it failed before.
    pub failures: u32,
}

impl Taken {
    /// Returns the name of the issue, and how long the claim lives without a beat.
    pub fn named(&self) -> (String, u64) {
        (self.issue.name.clone(), self.ttl_ms())
    }

    /// Returns how long the claim lives without a beat.
    pub fn ttl_ms(&self) -> u64 {
        self.issue.row.held.as_ref().map_or(TTL_MS_DEFAULT, |held| held.ttl_ms)
    }
}

/// What is to be stored of a job.
#[derive(Debug)]
pub struct Settlement {
    /// Which job.
    pub job: Job,
    /// The issue, by a name that no other has.
    pub issue: String,
    /// Its claim.
    pub claim: RecordHash,
    /// What came of it.
    pub act: Act,
    /// Whether it is given up where it fails once more.
    pub is_last: bool,
    /// Its directory; `None` where none could be made.
    pub proofs: Option<Proofs>,
    /// How the command ended, as its manifest has it.
    pub closing: Closing,
}

/// What was stored of a job, for those who want to know.
#[derive(Debug)]
pub struct Record {
    /// How the job ended.
    pub outcome: Outcome,
    /// Why, where that says more.
    pub reason: Option<String>,
    /// In how long the issue may be claimed again.
    pub retry_after_ms: Option<u64>,
    /// Where its proofs are.
    pub dir: Option<PathBuf>,
    /// What went wrong beside it.
    pub complaint: Option<String>,
    /// Whether its manifest says still that it runs.
    pub is_open: bool,
}

impl Desk {
    /// Opens the list to write.
    pub fn open(&self) -> Result<Box<dyn Tracker>, CliError> {
        self.open_unless(Haste::AT_ONCE)
    }

    /// Opens a list to read.
    pub fn reader(&self, list: ListId) -> Result<Box<dyn Tracker>, CliError> {
        self.check_node()?;
        Ok(self.home.reader(list, self.wait)?.tracker)
    }

    /// Fails where a node has the store and does not answer: beats, signals and all else would wait behind it.
    fn check_node(&self) -> Result<(), CliError> {
        let silent = answering::silent(&self.home, |_pid| {});
        silent.map_or(Ok(()), |pid| Err(CliError::Silent { pid }))
    }

    /// Opens the list to write; does not wait for other writers once haste is so great.
    fn open_unless(&self, haste: u8) -> Result<Box<dyn Tracker>, CliError> {
        self.check_node()?;
        let mut left = self.wait;
        loop {
            let wait = left.min(WAIT_AT_A_STRETCH);
            left -= wait;
            match self.home.writer(self.list, wait).map(|access| access.tracker) {
                Err(HomeError::Tracker(error))
                    if matches!(error, TrackerError::Busy { .. })
                        && !left.is_zero()
                        && !self.haste.is(haste) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Claims the issue of this name, or the first that is ready and not under way here.
    pub fn claim(
        &self,
        name: Option<&str>,
        filter: &Filter,
        under_way: &BTreeSet<DocumentKey>,
    ) -> Result<Taken, CliError> {
        let mut tracker = self.open_unless(Haste::ENDING)?;
        let wanted = match name {
            Some(name) => tracker.show(name)?,
            None => first_ready(&*tracker, filter, under_way)?,
        };
        let failures = wanted.row.rest.as_ref().map_or(0, |rest| rest.failures);
        // Runners of several machines begin with the same issue: what is heard at once is waited for.
        let confirm_ms = name.is_none().then_some(CONFIRM_MS);
        let (worker, ttl_ms, resume) = (self.worker.clone(), self.ttl_ms, name.is_some());
        let unless_isolated = self.stops_isolated;
        let life_ms = ttl_ms.unwrap_or(TTL_MS_DEFAULT);
        let lost_for = self.reach.lost_for(&self.home, &*tracker);
        if unless_isolated && lost_for.is_some_and(|lost| lost > Duration::from_millis(life_ms)) {
            // The store alone does not know of anybody who could be heard.
            return Err(TrackerError::Isolated { ttl_ms: life_ms }.into());
        }
        let terms = Terms { worker, ttl_ms, resume, confirm_ms, unless_isolated };
        let Kept { issue, claim, .. } = tracker.claim(&Pick::Issue(wanted.name), &terms)?;
        let issue = if issue.json.is_some() { issue } else { tracker.show(&issue.name)? };
        let json = issue.answer_json().unwrap_or_default();
        Ok(Taken { issue, json, claim, failures })
    }

    /// Beats claims, all in one opening.
    pub fn beat(&self, claims: &[(Job, RecordHash)]) -> Vec<(Job, Beat)> {
        let Ok(mut tracker) = self.open_unless(Haste::ENDING) else {
            return claims.iter().map(|(job, _)| (*job, Beat::Later)).collect();
        };
        let lost_for = self.reach.lost_for(&self.home, &*tracker);
        let is_untold = lost_for.is_some_and(|lost| lost > NODE_BACK_MAX);
        let mut beat = |claim| match self.by(claim, |holding| tracker.heartbeat(holding)) {
            Ok(kept) if is_untold => Beat::Untold(kept.claim),
            Ok(kept) => {
                let standing = kept.issue.watch.map(|watch| watch.standing);
                match standing == Some(Standing::Isolated) {
                    true => Beat::Isolated(kept.claim),
                    false => Beat::Kept(kept.claim),
                }
            }
            // It has lapsed, and stays as it is until a node asks others.
            Err(TrackerError::NobodyAsked { .. }) if is_untold => Beat::Untold(claim),
            Err(TrackerError::ClaimLost { by_holder: true, .. }) => Beat::Settled,
            Err(error) if is_loss(&error) => Beat::Lost(error.to_string()),
            Err(_) => Beat::Later,
        };
        claims.iter().map(|(job, claim)| (*job, beat(*claim))).collect()
    }

    /// Stores what came of a job; `None` where that has to be tried again.
    pub fn settle(&self, settlement: &Settlement) -> Option<Record> {
        match self.act(settlement) {
            Ok(record) => Some(record),
            Err(_) if !settlement.is_last => None,
            Err(error) => {
                Some(Record { reason: Some(error.to_string()), ..Record::of(Outcome::Unrecorded) })
            }
        }
    }

    fn act(&self, settlement: &Settlement) -> Result<Record, CliError> {
        let result = match &settlement.act {
            Act::Abandon { why } => {
                return Ok(Record { reason: Some(why.clone()), ..Record::of(Outcome::Abandoned) });
            }
            Act::Leave => return self.left(&settlement.issue),
            Act::HandOff => self.hand_off(settlement),
            Act::Release { outcome, reason, retry_after_ms } => {
                self.release(settlement, *outcome, reason, *retry_after_ms)
            }
        };
        match result {
            Err(CliError::Tracker(error)) => match *error {
                TrackerError::ClaimLost { by_holder: true, .. } => self.left(&settlement.issue),
                error if is_loss(&error) => {
                    let reason = Some(error.to_string());
                    Ok(Record { reason, ..Record::of(Outcome::Abandoned) })
                }
                // It would be refused again and again; who looks at the issue has to know.
                error if error.fault() == Fault::Invalid && settlement.act == Act::HandOff => {
                    let reason = cut(&format!("its handoff was refused: {error}"));
                    let rest_ms = Some(RETRY_AFTER_MS_MAX);
                    self.release(settlement, Outcome::Failed, &reason, rest_ms)
                }
                error => Err(error.into()),
            },
            result => result,
        }
    }

    fn hand_off(&self, settlement: &Settlement) -> Result<Record, CliError> {
        let (handoff, complaint) = self.handoff(settlement);
        let mut tracker = self.open()?;
        let text = Value::Object(handoff).to_string();
        let mut record = Record { complaint, ..Record::of(Outcome::HandedOff) };
        let mut hand_off =
            |text: &str| self.by(settlement.claim, |holding| tracker.hand_off(holding, text));
        match hand_off(&text) {
            Ok(_) => {}
            // What the command wrote does not lose its work.
            Err(error @ TrackerError::Invalid { .. }) => {
                let why = error.to_string();
                let own = handoff::without(&why, proofs::HANDOFF, &self.seen(settlement));
                hand_off(&Value::Object(own).to_string())?;
                record.complaint = Some(not_taken(&why));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(record)
    }

    fn release(
        &self,
        settlement: &Settlement,
        outcome: Outcome,
        reason: &str,
        retry_after_ms: Option<u64>,
    ) -> Result<Record, CliError> {
        let reason = Some(cut(reason));
        let release = Release { reason: reason.clone(), force: false, retry_after_ms };
        let mut tracker = self.open()?;
        self.by(settlement.claim, |holding| tracker.release(holding, &release))?;
        Ok(Record { reason, retry_after_ms, ..Record::of(outcome) })
    }

    /// Returns what a command did with its claim that ended it itself.
    fn left(&self, issue: &str) -> Result<Record, CliError> {
        let tracker = self.reader(self.list)?;
        let is_handed_off = match tracker.show(issue) {
            Ok(shown) => shown.row.state.as_deref() == Some("review"),
            // It has another name by now.
            Err(TrackerError::NotFound { .. } | TrackerError::Ambiguous { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let outcome = if is_handed_off { Outcome::HandedOff } else { Outcome::Released };
        let reason = Some("its command said so itself".to_owned());
        Ok(Record { reason, ..Record::of(outcome) })
    }

    /// Returns the handoff of a command that succeeded, and what is wrong with what it wrote.
    fn handoff(&self, settlement: &Settlement) -> (serde_json::Map<String, Value>, Option<String>) {
        let seen = self.seen(settlement);
        let written = settlement.proofs.as_ref().map(|proofs| written(&proofs.handoff()));
        let merged = match written {
            None | Some(Ok(None)) => return (handoff::own(&seen), None),
            Some(Ok(Some(text))) => handoff::merged(&text, &seen),
            Some(Err(why)) => Err(why),
        };
        match merged {
            Ok(handoff) => (handoff, None),
            Err(why) => (handoff::without(&why, proofs::HANDOFF, &seen), Some(not_taken(&why))),
        }
    }

    fn seen(&self, settlement: &Settlement) -> Seen {
        let proofs = settlement.proofs.as_ref();
        let dir = proofs.map(|proofs| proofs.dir.as_path()).unwrap_or(&self.root);
        Seen {
            command: proofs
                .map_or(String::new(), |proofs| handoff::command_line(&proofs.manifest().command)),
            duration_ms: settlement.closing.duration_ms.unwrap_or(0),
            proofs_dir: named_from(&self.root, dir),
            processes_left: settlement.closing.ending.left,
        }
    }

    /// Does something by a claim, or by the one in its place: a claim that lapsed is renewed by
    /// whichever act comes first, be it of the runner or of its command. The lock on the worker's name
    /// keeps everybody else from claiming as this worker.
    fn by<T>(
        &self,
        claim: RecordHash,
        mut act: impl FnMut(&Holding) -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        let holding = |claim: RecordHash| Holding {
            worker: self.worker.clone(),
            // The token alone: an issue may share its id with another.
            issue: None,
            claim: Some(claim.to_string()),
        };
        let result = act(&holding(claim));
        let Err(TrackerError::ClaimLost { holder: Some(holder), .. }) = &result else {
            return result;
        };
        match self.is_own(&holder.held) && holder.held.claim != claim {
            true => act(&holding(holder.held.claim)),
            false => result,
        }
    }

    /// Tells whether a claim is this worker's.
    pub fn is_own(&self, held: &Held) -> bool {
        held.agent == self.agent && held.worker == self.worker
    }
}

impl Settlement {
    /// Closes the proofs of a job, of which all is stored; where that fails, the job is what it is all
    /// the same. It reads all that the command wrote, which may take long.
    pub fn close(self, mut record: Record, haste: &Haste) -> Record {
        let Some(mut proofs) = self.proofs else { return record };
        let files = proofs::listed(&proofs.dir, haste);
        let closing = Closing { files, ..self.closing };
        let now = Timestamp(time::now_ms());
        let closed = proofs.close(record.outcome, record.reason.as_deref(), closing, Some(now));
        if let Err(error) = closed {
            let text = format!("cannot close {}: {error}", proofs.dir.display());
            record.complaint = Some(match record.complaint {
                Some(complaint) => format!("{complaint}; {text}"),
                None => text,
            });
            record.is_open = true;
        }
        record.dir = Some(proofs.dir);
        record
    }
}

/// Says that a handoff file was passed over, and why.
fn not_taken(why: &str) -> String {
    format!("what its command wrote to {} was not taken: {why}", proofs::HANDOFF)
}

impl Record {
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            reason: None,
            retry_after_ms: None,
            dir: None,
            complaint: None,
            is_open: false,
        }
    }
}

/// Returns as much of a reason as a release takes.
fn cut(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

/// Returns a path as a handoff names it: from the root where it lies below.
pub fn named_from(root: &std::path::Path, dir: &std::path::Path) -> String {
    dir.strip_prefix(root).unwrap_or(dir).to_string_lossy().into_owned()
}

fn first_ready(
    tracker: &dyn Tracker,
    filter: &Filter,
    under_way: &BTreeSet<DocumentKey>,
) -> Result<Shown, TrackerError> {
    let limit = Some(under_way.len() + 1);
    let filter = Filter { limit, with_json: false, ..filter.clone() };
    let mut first = None;
    tracker.agenda(&filter, &mut |open| match open {
        // A claim that lapsed while the store could not be written looks free.
        Open::Ready(shown) if !under_way.contains(&shown.row.key) => {
            first = Some(shown);
            ControlFlow::Break(())
        }
        Open::Ready(_) | Open::Waiting(_) => ControlFlow::Continue(()),
    })?;
    first.ok_or(TrackerError::NothingReady)
}

/// Reads what a command wrote of its work; `None` where it wrote nothing.
fn written(file: &std::path::Path) -> Result<Option<String>, String> {
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.len() > handoff::BYTES_MAX {
        return Err(format!("it has {} bytes, more than {}", metadata.len(), handoff::BYTES_MAX));
    }
    std::fs::read_to_string(file).map(Some).map_err(|error| error.to_string())
}

/// Tells whether an error says that a claim is not this worker's, or no longer.
fn is_loss(error: &TrackerError) -> bool {
    matches!(error.fault(), Fault::Conflict | Fault::NotFound)
}
