//! `x0x issues run`: claims issues and runs a command on each. Here is what was typed made into what is
//! meant; the running is `runner`'s.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use x0x_tracker::TrackerError;
use x0x_tracker::claim::record::{self, RETRY_AFTER_MS_MAX};
use x0x_tracker::interface::Filter;
use x0x_tracker::journal::signature::Signer;

use crate::args::run::{OnIsolation, RunArgs};
use crate::error::{CliError, Exit};
use crate::resolve::{Session, repository};
use crate::runner::foreman::{Backoff, Outcome, Plan, Verdict};
use crate::runner::{self, Settings};

/// Where proofs lie unless said otherwise, from the root.
const PROOFS: &str = "proofs";

/// Runs the command on an issue, or on one after the other.
pub fn run(session: &Session, args: &RunArgs) -> Result<Exit, CliError> {
    let verdict = runner::run(settings(session, args)?)?;
    match verdict {
        Verdict::Nothing if !args.repeat && session.output.json => {
            Err(TrackerError::NothingReady.into())
        }
        Verdict::Nothing if !args.repeat => Ok(Exit::NotFound),
        Verdict::Last(outcome) if !args.repeat => Ok(exit_of(outcome)),
        // A claim is left that nobody ended.
        Verdict::Last(outcome @ Outcome::Unrecorded) => Ok(exit_of(outcome)),
        Verdict::Nothing | Verdict::Refused | Verdict::Last(_) => Ok(Exit::Done),
    }
}

fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::HandedOff | Outcome::Released => Exit::Done,
        Outcome::Abandoned => Exit::Conflict,
        Outcome::Failed
        | Outcome::TimedOut
        | Outcome::Interrupted
        | Outcome::Isolated
        | Outcome::Unrecorded => Exit::Failed,
    }
}

fn settings(session: &Session, args: &RunArgs) -> Result<Settings, CliError> {
    let list = session.list()?;
    check_command(&args.command[0], &session.current_dir)?;
    if let Some(worker) = &args.worker
        && !record::is_worker(worker)
    {
        return Err(CliError::usage(
            format!("'{worker}' cannot name a worker"),
            "use A-Z, a-z, 0-9, '.', '_' and '-', at most 64 of them",
        ));
    }
    let ttl_ms = args.ttl.map(ms);
    if ttl_ms.is_some_and(|ttl_ms| !record::is_ttl(ttl_ms)) {
        return Err(CliError::usage(
            "--ttl: no claim lives for that long",
            "choose one of 1 second to 7 days",
        ));
    }
    let root = root(session)?;
    let proofs = session.current_dir.join(args.proofs.clone().unwrap_or(root.join(PROOFS)));
    std::fs::create_dir_all(&proofs)
        .map_err(|error| CliError::file("cannot create", &proofs, error))?;
    Ok(Settings {
        home: session.home.clone(),
        agent: session.home.identity()?.agent(),
        list,
        lock_timeout: session.lock_timeout,
        output: session.output,
        root,
        proofs,
        keep_days: args.keep_proofs,
        name: args.id.clone(),
        filter: Filter { limit: None, ..args.filter.filter(false) },
        worker: args.worker.clone(),
        ttl_ms,
        grace: args.grace,
        command: args.command.clone(),
        plan: plan(args),
    })
}

fn plan(args: &RunArgs) -> Plan {
    let limit = args.filter.limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX));
    Plan {
        jobs_max: if args.repeat { limit } else { Some(1) },
        parallel_max: args.max_parallel.into(),
        until_idle: args.until_idle,
        asks_once: !args.repeat,
        poll_ms: ms(args.poll),
        timeout_ms: args.timeout.map(ms),
        stops_isolated: args.on_isolation == OnIsolation::Stop,
        backoff: Backoff {
            // A release without a delay is not counted as a failure.
            first_ms: ms(args.backoff).clamp(1, RETRY_AFTER_MS_MAX),
            most_ms: ms(args.backoff_max).clamp(1, RETRY_AFTER_MS_MAX),
            attempts_max: args.attempts,
            given_up_ms: RETRY_AFTER_MS_MAX,
        },
    }
}

/// Returns where handoffs name proofs from: the repository's root, else that of `.x0x.toml`, else here.
fn root(session: &Session) -> Result<PathBuf, CliError> {
    if let Some(root) = repository::root_of(&session.current_dir) {
        return Ok(root.to_owned());
    }
    let binding = session.binding()?;
    Ok(binding.map_or_else(|| session.current_dir.clone(), |binding| binding.root().to_owned()))
}

/// Refuses a command that is not there, before an issue is claimed for it.
fn check_command(program: &OsStr, current_dir: &Path) -> Result<(), CliError> {
    let is_program = |path: PathBuf| {
        let metadata = path.metadata();
        metadata.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let is_path = Path::new(program).components().count() > 1;
    let found = if is_path {
        is_program(current_dir.join(program))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        std::env::split_paths(&path).any(|dir| is_program(current_dir.join(dir).join(program)))
    };
    if found {
        return Ok(());
    }
    Err(CliError::usage(
        format!("there is no program {}", program.display()),
        "name a program on the PATH, or its path, as in: x0x issues run --next -- ./work.sh",
    ))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
