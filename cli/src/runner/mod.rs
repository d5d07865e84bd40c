//! The runner: claims issues, runs a command on each, and stores what came of it.
//!
//! [`foreman`] decides, [`crew`] has the commands started and ended, [`desk`] writes to the task list,
//! [`proofs`] keeps what the commands said, and the [`shift`] puts them to work. Here is what a runner
//! is asked for, and how it begins. It knows nothing of what a command does.

mod clerk;
mod crew;
mod descendants;
mod desk;
mod environment;
pub mod foreman;
mod handoff;
mod haste;
mod janitor;
pub mod keeper;
mod leftover;
mod others;
mod proofs;
mod reach;
mod reaper;
mod recovery;
mod shift;
mod signals;
mod speaker;
mod sweeper;
mod told;
pub mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use x0x::home::Home;
use x0x_tracker::id::{AgentId, ListId, RecordHash};
use x0x_tracker::interface::Filter;

use crate::error::CliError;
use crate::output::Output;
use clerk::Clerk;
use desk::Desk;
use foreman::{Plan, Verdict};
use haste::Haste;
pub use janitor::look_after;
use reach::Reach;
use shift::{Channels, Done, Heard, Shift};
use sweeper::Sweeper;
use told::Told;
use worker::{Debt, Worker};

/// What a runner was asked for, and where it works.
#[derive(Debug)]
pub struct Settings {
    /// The agent's data directory.
    pub home: Home,
    /// The agent.
    pub agent: AgentId,
    /// The task list.
    pub list: ListId,
    /// How long an act waits for other writers.
    pub lock_timeout: Duration,
    /// How to talk.
    pub output: Output,
    /// Handoffs name proofs from here.
    pub root: PathBuf,
    /// The directory of all proofs, absolute.
    pub proofs: PathBuf,
    /// For how many days proofs are kept that no handoff names.
    pub keep_days: u32,
    /// The issue, by name; `None` for what is ready.
    pub name: Option<String>,
    /// Which issues.
    pub filter: Filter,
    /// Which worker; `None` for the first free name.
    pub worker: Option<String>,
    /// How long a claim lives without a beat.
    pub ttl_ms: Option<u64>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// What is to be done with how many issues.
    pub plan: Plan,
}
/// Runs commands on issues until the plan is done.
///
/// # Errors
/// What keeps it from beginning, or from claiming anything more; what was under way has ended then.
pub fn run(settings: Settings) -> Result<Verdict, CliError> {
    let told = Told::new(settings.output);
    let mut worker = Worker::take(settings.home.dir(), settings.worker.as_deref(), |text| {
        told.note("waiting", text);
    })?;
    let desk = Desk {
        home: settings.home.clone(),
        agent: settings.agent,
        list: settings.list,
        wait: settings.lock_timeout,
        worker: worker.name.clone(),
        ttl_ms: settings.ttl_ms,
        root: settings.root.clone(),
        stops_isolated: settings.plan.stops_isolated,
        haste: Haste::default(),
        reach: Reach::default(),
    };
    let retry_after_ms = settings.plan.backoff.first_ms;
    told.recovered(&recovery::recover(&desk, &mut worker, retry_after_ms));
    let debt = Debt {
        list: settings.list,
        proofs: settings.proofs.clone(),
        root: settings.root.clone(),
        spared: spared(&desk, &worker)?,
    };
    let failed = |what: &str, source| CliError::Io { what: what.to_owned(), source };
    worker.begin(debt).map_err(|error| failed("cannot note that this runner has begun", error))?;
    told.recovered(&recovery::recover_others(&desk, retry_after_ms));
    let sweeper = Sweeper {
        desk: desk.clone(),
        proofs: settings.proofs.clone(),
        keep_days: settings.keep_days,
        retry_after_ms,
    };
    let clerk = Clerk { desk, name: settings.name.clone(), filter: settings.filter.clone() };
    let (words, heard) = mpsc::channel();
    let wishes = words.clone();
    signals::listen(move |wish| {
        let _ = wishes.send(Heard::Wish(wish));
    })
    .map_err(|error| failed("cannot listen to signals", error))?;
    let (asks, asked) = mpsc::channel();
    let answers = words.clone();
    let seated = clerk.sit_down(asked, move |answer| {
        let _ = answers.send(Heard::Answer(answer));
    });
    let shift = Shift::new(settings, &worker, told, Channels { asks, words, seated }, sweeper)
        .map_err(|error| failed("cannot keep commands", error))?;
    let Done { verdict, fatal, leaves_claims } = shift.work(&heard)?;
    let mut debts = std::mem::take(&mut worker.debts);
    // What could not be stored is dealt with by the next runner of this name.
    if !leaves_claims {
        debts.pop();
    }
    let _ = worker.end(debts);
    fatal.map_or(Ok(verdict), Err)
}

/// Returns the claims that a worker has before its runner begins, and that are not the runner's.
fn spared(desk: &Desk, worker: &Worker) -> Result<Vec<RecordHash>, CliError> {
    let claims = desk.reader(desk.list)?.claims(Some(&desk.worker))?;
    let held = claims.iter().filter_map(|shown| shown.row.held.as_ref());
    let own = held.filter(|held| desk.is_own(held)).map(|held| held.claim);
    // Those of a dead runner that could not be given back just now are none of them.
    let is_older = |claim: &RecordHash| {
        let mut debts = worker.debts.iter().filter(|debt| debt.list == desk.list);
        debts.all(|debt| debt.spared.contains(claim))
    };
    Ok(own.filter(is_older).collect())
}
