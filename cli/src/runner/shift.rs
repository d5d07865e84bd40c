//! The main thread of a runner: it takes in what happens, asks the foreman, and does what it says.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use x0x::time;
use x0x_tracker::TrackerError;
use x0x_tracker::interface::claims::duration;
use x0x_tracker::timestamp::Timestamp;

use super::clerk::{Answer, Ask};
use super::crew::{self, Crew, NotStarted};
use super::desk::{Record, Settlement, Taken};
use super::foreman::{self, Claimed, Effect, Event, Foreman, Job, Outcome, Plan, Settled, Verdict};
use super::haste::Haste;
use super::keeper::{self, Ending, Task};
use super::others::Others;
use super::proofs::{Closing, FORMAT, Manifest, Proofs, Stage};
use super::signals::Wish;
use super::sweeper::{Sweeper, Swept};
use super::told::Told;
use super::worker::Worker;
use super::{Settings, environment};
use crate::error::CliError;
use crate::output::plain::one_line;

/// How often it is swept.
const SWEEP_EVERY_MS: u64 = 3_600_000;

/// The longest wait at a stretch: a wait does not go on while the machine sleeps, claims do.
const WAIT_MS_MAX: u64 = 5_000;

/// What the main thread hears.
pub enum Heard {
    /// From the clerk.
    Answer(Answer),
    /// From a keeper.
    Crew(Job, crew::Report),
    /// The proofs of a job are closed, which ends it.
    Closed(Job, Record),
    /// From the sweeper.
    Swept(Swept),
    /// From the system: somebody wants something.
    Wish(Wish),
}

/// A job, besides what the foreman knows of it.
struct Ongoing {
    taken: Box<Taken>,
    proofs: Option<Proofs>,
    started_ms: Option<u64>,
    closing: Closing,
    /// What could not be stored yet.
    settlement: Option<Box<Settlement>>,
}

/// Between the threads of a runner.
pub struct Channels {
    /// To the clerk.
    pub asks: mpsc::Sender<Ask>,
    /// To the main thread.
    pub words: mpsc::Sender<Heard>,
    /// The clerk's thread.
    pub seated: JoinHandle<()>,
}

/// How a runner ended.
pub struct Done {
    /// What came of its jobs.
    pub verdict: Verdict,
    /// What kept it from going on.
    pub fatal: Option<CliError>,
    /// Whether something could not be stored.
    pub leaves_claims: bool,
}

/// Everything that the main thread has.
pub struct Shift {
    settings: Settings,
    worker: String,
    share: PathBuf,
    told: Told,
    foreman: Foreman,
    crew: Crew<Job>,
    jobs: BTreeMap<Job, Ongoing>,
    jobs_begun: Job,
    asks: mpsc::Sender<Ask>,
    words: mpsc::Sender<Heard>,
    seated: Option<JoinHandle<()>>,
    sweeper: Sweeper,
    sweeping: Option<JoinHandle<()>>,
    sweep_due_ms: u64,
    /// Whether it was said that nothing is ready.
    is_idle: bool,
    /// Whether it was said that another writer keeps the store.
    is_busy: bool,
    /// What was said of other members.
    others: Others,
    /// Until when issues rest that failed here.
    resting: BTreeMap<String, u64>,
    fatal: Option<CliError>,
    leaves_claims: bool,
}

impl Shift {
    /// Returns a shift that has not begun.
    pub fn new(
        settings: Settings,
        worker: &Worker,
        told: Told,
        channels: Channels,
        sweeper: Sweeper,
    ) -> io::Result<Self> {
        let Channels { asks, words, seated } = channels;
        Ok(Self {
            foreman: Foreman::new(settings.plan.clone()),
            settings,
            worker: worker.name.clone(),
            share: worker.share.clone(),
            told,
            crew: Crew::new()?,
            jobs: BTreeMap::new(),
            jobs_begun: 0,
            asks,
            words,
            seated: Some(seated),
            sweeper,
            sweeping: None,
            sweep_due_ms: 0,
            is_idle: false,
            is_busy: false,
            others: Others::default(),
            resting: BTreeMap::new(),
            fatal: None,
            leaves_claims: false,
        })
    }

    /// Works until the foreman says that all is done.
    pub fn work(mut self, heard: &mpsc::Receiver<Heard>) -> Result<Done, CliError> {
        self.handle(Event::Tick);
        while !self.foreman.is_over() {
            let now_ms = time::uptime().ms;
            if now_ms >= self.sweep_due_ms {
                self.sweep_due_ms = now_ms + SWEEP_EVERY_MS;
                self.sweep();
            }
            let due_ms = self.foreman.due_ms().unwrap_or(u64::MAX).min(self.sweep_due_ms);
            let wait_ms = due_ms.saturating_sub(now_ms).min(WAIT_MS_MAX);
            match heard.recv_timeout(Duration::from_millis(wait_ms)) {
                Ok(Heard::Answer(answer)) => self.on_answer(answer),
                Ok(Heard::Crew(job, report)) => self.on_report(job, report),
                Ok(Heard::Closed(job, record)) => self.on_closed(job, &record),
                Ok(Heard::Swept(swept)) => self.on_swept(&swept),
                Ok(Heard::Wish(wish)) => self.on_wish(wish),
                Err(_) => self.handle(Event::Tick),
            }
            if self.seated.as_ref().is_none_or(JoinHandle::is_finished) {
                // Commands end with their keepers, which end with us.
                let source = io::Error::other("the thread that writes to the task list is gone");
                return Err(CliError::Io { what: "cannot go on".to_owned(), source });
            }
        }
        // What was asked for besides is done to its end.
        drop(std::mem::replace(&mut self.asks, mpsc::channel().0));
        if let Some(seated) = self.seated.take() {
            let _ = seated.join();
        }
        // Nobody who wants the end waits for what the next runner does as well.
        if !self.foreman.is_interrupted()
            && let Some(sweeping) = self.sweeping.take()
        {
            let _ = sweeping.join();
        }
        for last in heard.try_iter() {
            if let Heard::Swept(swept) = last {
                self.on_swept(&swept);
            }
        }
        let (verdict, leaves_claims) = (self.foreman.verdict(), self.leaves_claims);
        Ok(Done { verdict, fatal: self.fatal, leaves_claims })
    }

    fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::End { by_hand } => {
                if !self.foreman.is_interrupted() {
                    self.told.note("stopping", "stopping; once more ends all commands at once");
                }
                self.handle(Event::Interrupted { by_hand });
                let haste = if self.foreman.is_hurried() { Haste::AT_ONCE } else { Haste::ENDING };
                self.sweeper.desk.haste.set(haste);
            }
            Wish::Suspend => {
                let text = "not suspended: its commands would go on, and its claims lapse";
                self.told.note("not_suspended", text);
            }
        }
    }

    /// Sweeps on a thread of its own, unless that is still being done.
    fn sweep(&mut self) {
        if self.sweeping.as_ref().is_some_and(|sweeping| !sweeping.is_finished()) {
            return;
        }
        let (sweeper, words) = (self.sweeper.clone(), self.words.clone());
        self.sweeping = Some(thread::spawn(move || {
            let _ = words.send(Heard::Swept(sweeper.sweep()));
        }));
    }

    fn on_swept(&self, swept: &Swept) {
        self.told.recovered(&swept.recovered);
        self.told.reaped(swept.removed);
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.foreman.handle(time::uptime().ms, event, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Claim => {
                let under_way = self.jobs.values().map(|job| job.taken.issue.row.key);
                let under_way = under_way.collect();
                self.ask(Ask::Claim(under_way));
            }
            Effect::Start(job) => {
                if let Err(refusal) = self.start(job) {
                    self.on_report(job, crew::Report::NotStarted(refusal));
                }
            }
            Effect::Beat(jobs) => {
                let claims =
                    jobs.into_iter().filter_map(|job| Some((job, self.foreman.claim_of(job)?)));
                let claims = claims.collect();
                self.ask(Ask::Beat(claims));
            }
            Effect::Stop { job, at_once } => {
                self.crew.order(job, if at_once { keeper::KILL } else { keeper::STOP });
            }
            Effect::Settle { job, act, is_last } => self.settle(job, act, is_last),
        }
    }

    /// Makes room for the proofs of a job and has its command started.
    fn start(&mut self, job: Job) -> Result<(), NotStarted> {
        let Some(ongoing) = self.jobs.get_mut(&job) else { return Ok(()) };
        let taken = &ongoing.taken;
        let now = Timestamp(time::now_ms());
        let command = self.settings.command.iter();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            issue: taken.issue.row.id.clone(),
            identifier: taken.issue.name.clone(),
            claim: taken.claim.to_string(),
            agent: self.settings.agent.to_string(),
            worker: self.worker.clone(),
            command: command.map(|word| word.to_string_lossy().into_owned()).collect(),
            state: Stage::Running,
            started_at: now.to_string(),
            ended_at: None,
            duration_ms: None,
            outcome: None,
            reason: None,
            exit_code: None,
            signal: None,
            processes_left: 0,
            files: Vec::new(),
        };
        let stdin = format!("{}\n", taken.json);
        let proofs =
            Proofs::open(&self.settings.proofs, manifest, now, &stdin).map_err(|error| {
                let what = format!("cannot keep proofs in {}", self.settings.proofs.display());
                NotStarted { what, why: error.to_string(), is_final: false }
            })?;
        let (dir, handoff) = (proofs.dir.clone(), proofs.handoff());
        ongoing.proofs = Some(proofs);
        self.told.claimed(taken, &dir);
        let data_dir = self.settings.home.dir();
        let environment = environment::of(taken, &self.worker, &dir, &handoff, data_dir);
        let task = Task {
            grace: self.settings.grace,
            share: self.share.clone(),
            proofs: dir.clone(),
            command: self.settings.command.clone(),
        };
        let words = self.words.clone();
        let started = self.crew.start(job, &task, &environment, move |report| {
            let _ = words.send(Heard::Crew(job, report));
        });
        started.map_err(|error| NotStarted {
            what: "cannot start the keeper of the command".to_owned(),
            why: error.to_string(),
            is_final: keeper::is_final(&error),
        })
    }

    fn on_report(&mut self, job: Job, report: crew::Report) {
        let now_ms = time::uptime().ms;
        let Some(ongoing) = self.jobs.get_mut(&job) else { return };
        let event = match report {
            crew::Report::Started => {
                ongoing.started_ms = Some(now_ms);
                Event::Started(job)
            }
            crew::Report::NotStarted(NotStarted { what, why, is_final }) => {
                self.crew.dismiss(job);
                let told = format!("{what}: {why}");
                if is_final {
                    let source = io::Error::other(why);
                    self.fatal.get_or_insert(CliError::Io { what, source });
                }
                Event::NotStarted { job, why: told, is_final }
            }
            crew::Report::Ended(ending) => {
                self.crew.dismiss(job);
                ongoing.closing.ending = ending;
                ongoing.closing.duration_ms =
                    ongoing.started_ms.map(|started_ms| now_ms.saturating_sub(started_ms));
                self.note_left(job, &ending);
                Event::Ended(job, ending)
            }
        };
        self.handle(event);
    }

    /// Says that the system did not end all of a command: somebody has to look.
    fn note_left(&self, job: Job, ending: &Ending) {
        if ending.left > 0
            && let Some(ongoing) = self.jobs.get(&job)
        {
            let name = &ongoing.taken.issue.name;
            let text = format!("{name}: {} processes did not end on SIGKILL", ending.left);
            self.told.note("left", &text);
        }
    }

    fn settle(&mut self, job: Job, act: foreman::Act, is_last: bool) {
        let claim = self.foreman.claim_of(job);
        let Some((ongoing, claim)) = self.jobs.get_mut(&job).zip(claim) else { return };
        let settlement = ongoing.settlement.take().unwrap_or_else(|| {
            Box::new(Settlement {
                job,
                issue: ongoing.taken.issue.name.clone(),
                claim,
                act,
                is_last,
                proofs: ongoing.proofs.take(),
                closing: std::mem::take(&mut ongoing.closing),
            })
        });
        self.ask(Ask::Settle(Box::new(Settlement { is_last, ..*settlement })));
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Claimed(Ok(taken)) => self.on_taken(taken),
            Answer::Claimed(Err(error)) => self.on_nothing_taken(error),
            Answer::Beaten(beats) => {
                let jobs = &self.jobs;
                let of = |job: Job| jobs.get(&job).map(|ongoing| ongoing.taken.named());
                self.others.beaten(&self.told, &beats, of);
                self.handle(Event::Beaten(beats));
            }
            Answer::Settled(settlement, None) => {
                let job = settlement.job;
                if let Some(ongoing) = self.jobs.get_mut(&job) {
                    ongoing.settlement = Some(settlement);
                }
                self.handle(Event::Settled(job, Settled::Later));
            }
            // Reading what a command wrote may take long; its claim is over, and needs no beats.
            Answer::Settled(settlement, Some(record)) => {
                let (words, haste) = (self.words.clone(), self.sweeper.desk.haste.clone());
                thread::spawn(move || {
                    let job = settlement.job;
                    let _ = words.send(Heard::Closed(job, settlement.close(record, &haste)));
                });
            }
        }
    }

    fn on_closed(&mut self, job: Job, record: &Record) {
        let (outcome, retry_after_ms) = (record.outcome, record.retry_after_ms);
        if let Some(ongoing) = self.jobs.remove(&job) {
            let issue = &ongoing.taken.issue;
            self.told.settled(&issue.row.id, &issue.name, record);
            let Plan { until_idle, backoff, .. } = &self.settings.plan;
            if let Some(after_ms) =
                retry_after_ms.filter(|ms| *until_idle && !backoff.is_given_up(*ms))
            {
                let until_ms = time::uptime().ms.saturating_add(after_ms);
                self.resting.insert(issue.name.clone(), until_ms);
            }
        }
        self.leaves_claims |= record.outcome == Outcome::Unrecorded || record.is_open;
        self.handle(Event::Settled(job, Settled::Done { outcome, retry_after_ms }));
    }

    fn on_taken(&mut self, taken: Box<Taken>) {
        self.jobs_begun += 1;
        (self.is_idle, self.is_busy) = (false, false);
        self.resting.remove(&taken.issue.name);
        if self.settings.plan.stops_isolated {
            self.others.isolated(&self.told, false, "");
        }
        let job = self.jobs_begun;
        let (claim, ttl_ms, failures) = (taken.claim, taken.ttl_ms(), taken.failures);
        let claimed = Claimed { job, claim, ttl_ms, failures };
        let ongoing = Ongoing {
            taken,
            proofs: None,
            started_ms: None,
            closing: Closing::default(),
            settlement: None,
        };
        self.jobs.insert(job, ongoing);
        self.handle(Event::Claimed(claimed));
    }

    fn on_nothing_taken(&mut self, error: CliError) {
        let is_named = self.settings.name.is_some();
        let event = match error.tracker() {
            Some(TrackerError::NothingReady) => {
                self.is_busy = false;
                if !self.is_idle && self.jobs.is_empty() && !self.settings.plan.asks_once {
                    self.is_idle = true;
                    self.told.note("idle", &self.idle_text());
                }
                Event::NothingReady
            }
            // One that is to end would do so with work left.
            Some(TrackerError::Isolated { .. })
                if !self.settings.plan.asks_once && !self.settings.plan.until_idle =>
            {
                self.others.isolated(&self.told, true, &error.to_string());
                Event::ClaimLater
            }
            // So was another machine, as was heard before anything was begun.
            Some(TrackerError::ClaimLost { .. }) if !is_named => Event::ClaimLost,
            // Another writer was quicker, or others are asked first what they did.
            Some(TrackerError::Refused { .. } | TrackerError::CatchingUp { .. }) if !is_named => {
                Event::ClaimLater
            }
            // Another writer keeps the store: whoever wants one issue hears of it at once.
            _ if is_kept(&error) && self.foreman.is_interrupted() => Event::ClaimLater,
            _ if is_kept(&error) && !self.settings.plan.asks_once => {
                if !std::mem::replace(&mut self.is_busy, true) {
                    self.told.note("busy", &format!("{error}; waiting for it"));
                }
                Event::ClaimLater
            }
            _ => {
                self.fatal.get_or_insert(error);
                Event::ClaimRefused
            }
        };
        self.handle(event);
    }

    /// Returns what to say where nothing is ready: until it is idle, a runner waits for what rests.
    fn idle_text(&self) -> String {
        let now_ms = time::uptime().ms;
        let resting = self.resting.iter().filter(|(_, until_ms)| **until_ms > now_ms);
        match resting.min_by_key(|(_, until_ms)| **until_ms) {
            None => "nothing is ready".to_owned(),
            Some((name, until_ms)) => {
                let (name, rest) = (one_line(name), duration(until_ms - now_ms));
                format!(
                    "nothing is ready; waiting for {name}, which is left alone for another {rest}"
                )
            }
        }
    }

    /// Asks the clerk; that it is gone is noticed by the main loop.
    fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ask);
    }
}

/// Tells whether somebody else has the store, for now.
fn is_kept(error: &CliError) -> bool {
    matches!(error.tracker(), Some(TrackerError::Busy { .. }))
        || matches!(error, CliError::Silent { .. })
}
