//! What a runner does next: claim, start, beat, stop, settle. A state machine without IO.
//!
//! What comes of it outside comes back as an [`Event`]. Times are milliseconds that never go back.

mod backoff;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use x0x_tracker::id::RecordHash;

use super::keeper::Ending;
pub use backoff::Backoff;
pub use event::{Act, Beat, Claimed, Effect, Event, Job, Outcome, Settled, Verdict};

/// Beats leave this often within the time that a claim lives without one.
const BEATS_PER_TTL: u64 = 4;

/// And this often at least, in milliseconds: by its beat a runner hears that it lost a claim. Others are told
/// no more often for it.
const BEAT_MS_MAX: u64 = 10_000;

/// A beat that could not be written is tried again after this part of the time to live.
const BEAT_RETRIES_PER_TTL: u64 = 16;

/// What could not be stored is tried again so many times, and while the runner is ending so many.
const SETTLE_TRIES_MAX: u32 = 12;
/// See [`SETTLE_TRIES_MAX`].
const SETTLE_TRIES_MAX_AT_THE_END: u32 = 3;

/// The first pause before what could not be stored is tried again, and the longest.
const SETTLE_PAUSE_MS: u64 = 500;
/// See [`SETTLE_PAUSE_MS`].
const SETTLE_PAUSE_MS_MAX: u64 = 30_000;

/// Signals that come within this time of the first say the same. A guess.
const ONE_WISH_MS: u64 = 1_000;

/// A rest is over here a little after it is over in the store, which measured it first.
const REST_SLACK_MS: u64 = 20;

/// What a runner was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many issues it works on in all; `None` for no end.
    pub jobs_max: Option<u64>,
    /// How many of them at a time.
    pub parallel_max: usize,
    /// Ends once there is nothing to do, nothing under way and nothing of its own resting.
    pub until_idle: bool,
    /// Ends once nothing is ready, whatever rests.
    pub asks_once: bool,
    /// How long to wait where nothing is ready.
    pub poll_ms: u64,
    /// How long a command may take.
    pub timeout_ms: Option<u64>,
    /// Whether a command is ended once no other member was heard, or could hear of it, for the life of its claim.
    pub stops_isolated: bool,
    /// How long an issue is left alone after a failure.
    pub backoff: Backoff,
}

/// Why a command was told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    TimedOut,
    Interrupted,
    Isolated,
}

#[derive(Debug)]
enum Phase {
    /// The keeper is being started.
    Starting,
    /// The command runs since then.
    Running { since_ms: u64 },
    /// The command is over, and what comes of it is being stored.
    Settling { act: Act, tries: u32, again_ms: Option<u64> },
}

/// An issue under way.
#[derive(Debug)]
struct Work {
    claim: RecordHash,
    ttl_ms: u64,
    /// Failures before this attempt, one after another.
    failures: u32,
    beat_due_ms: u64,
    /// When others could hear of it last.
    told_ms: u64,
    stop: Option<Stop>,
    /// The claim is over, and why; nothing more is to be said about it.
    lost: Option<String>,
    /// The command has ended its claim itself.
    is_settled_by_command: bool,
    phase: Phase,
}

/// A runner, between two events.
#[derive(Debug)]
pub struct Foreman {
    plan: Plan,
    jobs: BTreeMap<Job, Work>,
    taken: u64,
    is_claiming: bool,
    is_beating: bool,
    /// When the claim under way was asked for.
    asked_ms: u64,
    ask_at_ms: u64,
    /// When issues of its own that failed may be tried again.
    resting_until_ms: Vec<u64>,
    /// No further issue is claimed.
    is_closing: bool,
    /// Somebody wanted it to end then.
    interrupted_ms: Option<u64>,
    /// And again.
    is_hurried: bool,
    verdict: Verdict,
    is_over: bool,
}

impl Foreman {
    /// Returns a runner that has not begun; [`Event::Tick`] lets it.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            jobs: BTreeMap::new(),
            taken: 0,
            is_claiming: false,
            is_beating: false,
            asked_ms: 0,
            ask_at_ms: 0,
            resting_until_ms: Vec::new(),
            is_closing: false,
            interrupted_ms: None,
            is_hurried: false,
            verdict: Verdict::Nothing,
            is_over: false,
        }
    }

    /// Tells whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Tells whether somebody wanted it to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted_ms.is_some()
    }

    /// Tells whether nothing is to be waited for.
    pub fn is_hurried(&self) -> bool {
        self.is_hurried
    }

    /// Returns what came of it all.
    pub fn verdict(&self) -> Verdict {
        match self.verdict {
            // Whether something was ready was not found out.
            Verdict::Nothing if self.is_interrupted() => Verdict::Last(Outcome::Interrupted),
            verdict => verdict,
        }
    }

    /// Returns the claim of a job as it is now: a renewed one has another than at its start.
    pub fn claim_of(&self, job: Job) -> Option<RecordHash> {
        self.jobs.get(&job).map(|work| work.claim)
    }

    /// Returns when [`Event::Tick`] has to come if nothing else does until then.
    pub fn due_ms(&self) -> Option<u64> {
        let asking = self.may_ask().then_some(self.ask_at_ms);
        let works = self.jobs.values().flat_map(|work| {
            let beat = work.wants_beats().then_some(work.beat_due_ms).filter(|_| !self.is_beating);
            let rest = match &work.phase {
                Phase::Running { since_ms } if work.stop.is_none() && work.lost.is_none() => {
                    self.plan.timeout_ms.map(|timeout_ms| since_ms.saturating_add(timeout_ms))
                }
                Phase::Settling { again_ms, .. } => *again_ms,
                Phase::Starting | Phase::Running { .. } => None,
            };
            [beat, rest].into_iter().flatten()
        });
        asking.into_iter().chain(works).min()
    }

    /// Takes in an event; `now_ms` never goes back.
    pub fn handle(&mut self, now_ms: u64, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick => {}
            Event::Claimed(claimed) => self.on_claimed(now_ms, claimed, effects),
            Event::NothingReady => {
                self.is_claiming = false;
                self.ask_at_ms = now_ms.saturating_add(self.plan.poll_ms);
                // The answer says how it was when the question was asked.
                let asked_ms = self.asked_ms;
                self.resting_until_ms.retain(|until_ms| *until_ms > asked_ms);
                let rested_ms = self.resting_until_ms.iter().min().copied();
                self.ask_at_ms = self.ask_at_ms.min(rested_ms.unwrap_or(u64::MAX));
                let rests = self.plan.until_idle && !self.resting_until_ms.is_empty();
                let ends = self.plan.until_idle || self.plan.asks_once;
                self.is_closing |= ends && self.jobs.is_empty() && !rests;
            }
            Event::ClaimLater => {
                self.is_claiming = false;
                self.ask_at_ms = now_ms.saturating_add(self.plan.poll_ms);
            }
            // Somebody was quicker: there may be more.
            Event::ClaimLost => {
                self.is_claiming = false;
                self.ask_at_ms = now_ms;
            }
            Event::ClaimRefused => {
                self.is_claiming = false;
                self.is_closing = true;
                self.verdict = Verdict::Refused;
            }
            Event::Started(job) => {
                if let Some(work) = self.jobs.get_mut(&job) {
                    work.phase = Phase::Running { since_ms: now_ms };
                }
            }
            Event::NotStarted { job, why, is_final } => {
                self.is_closing |= is_final;
                let failures = self.jobs.get(&job).map_or(0, |work| work.failures);
                let retry_after_ms = (!is_final).then(|| self.plan.backoff.after(failures));
                let outcome = Outcome::Failed;
                let act = match self.is_interrupted() {
                    true => Act::interrupted(),
                    false => Act::Release { outcome, reason: why, retry_after_ms },
                };
                self.settle(job, act, effects);
            }
            Event::Ended(job, ending) => self.on_ended(now_ms, job, ending, effects),
            Event::Beaten(beats) => self.on_beaten(now_ms, beats, effects),
            Event::Settled(job, settled) => self.on_settled(now_ms, job, settled),
            Event::Interrupted { by_hand } => self.on_interrupted(now_ms, by_hand, effects),
        }
        self.on_time(now_ms, effects);
    }

    fn on_claimed(&mut self, now_ms: u64, claimed: Claimed, effects: &mut Vec<Effect>) {
        let Claimed { job, claim, ttl_ms, failures } = claimed;
        self.is_claiming = false;
        self.taken += 1;
        self.ask_at_ms = now_ms;
        let work = Work {
            claim,
            ttl_ms,
            failures,
            beat_due_ms: now_ms + beat_after_ms(ttl_ms),
            told_ms: now_ms,
            stop: None,
            lost: None,
            is_settled_by_command: false,
            phase: Phase::Starting,
        };
        self.jobs.insert(job, work);
        if self.is_interrupted() {
            self.settle(job, Act::interrupted(), effects);
        } else {
            effects.push(Effect::Start(job));
        }
    }

    fn on_ended(&mut self, now_ms: u64, job: Job, ending: Ending, effects: &mut Vec<Effect>) {
        let Some(work) = self.jobs.get(&job) else { return };
        let again_ms = self.plan.backoff.after(work.failures);
        let failed = |outcome, reason: String| {
            let retry_after_ms = Some(again_ms);
            Act::Release { outcome, reason, retry_after_ms }
        };
        let act = match (&work.lost, &work.stop) {
            (Some(why), _) => Act::Abandon { why: why.clone() },
            (None, _) if work.is_settled_by_command => Act::Leave,
            // Work that was finished before the order reached it is not thrown away.
            _ if ending.exit_code == Some(0) && !ending.stopped => Act::HandOff,
            (None, Some(Stop::Interrupted)) => Act::interrupted(),
            (None, Some(Stop::TimedOut)) => {
                let reason = format!("timed out after {}", self.plan.timeout_text());
                failed(Outcome::TimedOut, reason)
            }
            (None, Some(Stop::Isolated)) => {
                // Whether others are heard again shows in the life of a claim.
                self.ask_at_ms = now_ms.saturating_add(work.ttl_ms);
                let reason = "no other member was heard".to_owned();
                Act::Release { outcome: Outcome::Isolated, reason, retry_after_ms: None }
            }
            (None, None) => failed(Outcome::Failed, event::told(&ending)),
        };
        let is_isolated = matches!(&act, Act::Release { outcome: Outcome::Isolated, .. });
        self.settle(job, act, effects);
        if !is_isolated {
            self.ask_at_ms = self.ask_at_ms.min(now_ms);
        }
    }

    fn on_beaten(&mut self, now_ms: u64, beats: Vec<(Job, Beat)>, effects: &mut Vec<Effect>) {
        self.is_beating = false;
        for (job, beat) in beats {
            let Some(work) = self.jobs.get_mut(&job) else { continue };
            match beat {
                Beat::Kept(claim) => {
                    work.keep(now_ms, claim);
                    work.told_ms = now_ms;
                }
                Beat::Isolated(claim) => {
                    work.keep(now_ms, claim);
                    work.told_ms = now_ms;
                    if self.plan.stops_isolated {
                        work.stop_isolated(job, effects);
                    }
                }
                Beat::Untold(claim) => {
                    work.keep(now_ms, claim);
                    // From then on others may take it over.
                    let is_over = now_ms >= work.told_ms.saturating_add(work.ttl_ms);
                    if self.plan.stops_isolated && is_over {
                        work.stop_isolated(job, effects);
                    }
                }
                Beat::Later => {
                    work.beat_due_ms =
                        now_ms + (work.ttl_ms / BEAT_RETRIES_PER_TTL).min(BEAT_MS_MAX);
                }
                Beat::Settled => work.is_settled_by_command = true,
                Beat::Lost(why) => {
                    work.lost = Some(why);
                    if matches!(work.phase, Phase::Starting | Phase::Running { .. }) {
                        effects.push(Effect::Stop { job, at_once: false });
                    }
                }
            }
        }
    }

    fn on_settled(&mut self, now_ms: u64, job: Job, settled: Settled) {
        match settled {
            Settled::Done { outcome, retry_after_ms } => {
                self.jobs.remove(&job);
                self.verdict = self.verdict.and(outcome);
                if outcome != Outcome::Isolated {
                    self.ask_at_ms = now_ms;
                }
                if let Some(after_ms) = retry_after_ms.filter(|_| self.plan.until_idle)
                    && !self.plan.backoff.is_given_up(after_ms)
                {
                    self.resting_until_ms.push(now_ms.saturating_add(after_ms + REST_SLACK_MS));
                }
            }
            Settled::Later => {
                let Some(work) = self.jobs.get_mut(&job) else { return };
                if let Phase::Settling { tries, again_ms, .. } = &mut work.phase {
                    let pause_ms = SETTLE_PAUSE_MS.saturating_mul(1 << (*tries).min(10));
                    *tries += 1;
                    *again_ms = Some(now_ms + pause_ms.min(SETTLE_PAUSE_MS_MAX));
                }
            }
        }
    }

    /// The first time everything is told to stop, the second time it is made to.
    ///
    /// The end of a session sends several signals at once, and by that wants nothing sooner.
    fn on_interrupted(&mut self, now_ms: u64, by_hand: bool, effects: &mut Vec<Effect>) {
        let is_another = |since_ms: u64| by_hand || now_ms >= since_ms.saturating_add(ONE_WISH_MS);
        let at_once = self.interrupted_ms.is_some_and(is_another);
        if self.is_interrupted() && !at_once {
            return;
        }
        self.interrupted_ms.get_or_insert(now_ms);
        self.is_hurried |= at_once;
        self.is_closing = true;
        for (job, work) in &mut self.jobs {
            if matches!(work.phase, Phase::Starting | Phase::Running { .. }) {
                work.stop.get_or_insert(Stop::Interrupted);
                effects.push(Effect::Stop { job: *job, at_once });
            }
            if let Phase::Settling { again_ms: Some(again_ms), .. } = &mut work.phase {
                *again_ms = now_ms;
            }
        }
    }

    /// Does what time has come for.
    fn on_time(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let tries_max =
            if self.is_interrupted() { SETTLE_TRIES_MAX_AT_THE_END } else { SETTLE_TRIES_MAX };
        for (job, work) in &mut self.jobs {
            match &mut work.phase {
                Phase::Running { since_ms } if work.stop.is_none() && work.lost.is_none() => {
                    let timeout_ms = self.plan.timeout_ms.unwrap_or(u64::MAX);
                    if now_ms >= since_ms.saturating_add(timeout_ms) {
                        work.stop = Some(Stop::TimedOut);
                        effects.push(Effect::Stop { job: *job, at_once: false });
                    }
                }
                Phase::Settling { act, tries, again_ms }
                    if again_ms.is_some_and(|t| now_ms >= t) =>
                {
                    *again_ms = None;
                    let is_last = *tries + 1 >= tries_max;
                    effects.push(Effect::Settle { job: *job, act: act.clone(), is_last });
                }
                _ => {}
            }
        }
        self.beat(now_ms, effects);
        let is_full = self.plan.jobs_max.is_some_and(|most| self.taken >= most);
        self.is_closing |= is_full;
        if self.may_ask() && now_ms >= self.ask_at_ms {
            self.is_claiming = true;
            self.asked_ms = now_ms;
            effects.push(Effect::Claim);
        }
        self.is_over = self.is_closing && self.jobs.is_empty() && !self.is_claiming;
    }

    /// Beats all claims as soon as one has to be: that is one act for all of them.
    fn beat(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let wanting = || self.jobs.iter().filter(|(_, work)| work.wants_beats());
        if !self.is_beating && wanting().any(|(_, work)| now_ms >= work.beat_due_ms) {
            let jobs: Vec<Job> = wanting().map(|(job, _)| *job).collect();
            self.is_beating = true;
            effects.push(Effect::Beat(jobs));
        }
    }

    fn may_ask(&self) -> bool {
        !self.is_closing && !self.is_claiming && self.jobs.len() < self.plan.parallel_max
    }

    fn settle(&mut self, job: Job, act: Act, effects: &mut Vec<Effect>) {
        if let Some(work) = self.jobs.get_mut(&job) {
            work.phase = Phase::Settling { act: act.clone(), tries: 0, again_ms: None };
            effects.push(Effect::Settle { job, act, is_last: false });
        }
    }
}

/// Returns how long after one beat of a claim the next leaves.
fn beat_after_ms(ttl_ms: u64) -> u64 {
    (ttl_ms / BEATS_PER_TTL).min(BEAT_MS_MAX)
}

impl Work {
    /// Notes that the claim lives, and when its next beat is due.
    fn keep(&mut self, now_ms: u64, claim: RecordHash) {
        self.claim = claim;
        self.beat_due_ms = now_ms + beat_after_ms(self.ttl_ms);
    }

    /// Has the command ended, of which no other member hears.
    fn stop_isolated(&mut self, job: Job, effects: &mut Vec<Effect>) {
        let runs = matches!(self.phase, Phase::Starting | Phase::Running { .. });
        if runs && self.stop.is_none() {
            self.stop = Some(Stop::Isolated);
            effects.push(Effect::Stop { job, at_once: false });
        }
    }

    fn wants_beats(&self) -> bool {
        let is_ours = self.lost.is_none() && !self.is_settled_by_command;
        is_ours && !matches!(self.phase, Phase::Settling { .. })
    }
}

impl Plan {
    fn timeout_text(&self) -> String {
        x0x_tracker::interface::claims::duration(self.timeout_ms.unwrap_or_default())
    }
}
