//! What workers ask for, as typed: claims, and what becomes of them.

use std::path::PathBuf;

use clap::Args;
use x0x_tracker::interface::{Holding, Terms};

use super::filter::{FilterArgs, ShapeArgs};
use super::{APPEND, values};
use crate::error::CliError;

/// The worker that is meant where nobody names one.
const WORKER: &str = "main";

/// Which worker.
#[derive(Debug, Default, Args)]
pub struct WorkerArgs {
    /// Which runner or terminal of this agent works: letters, digits, '.', '_' and '-'
    /// [env: X0X_WORKER] [default: main]
    #[arg(long, value_name = "NAME", value_parser = values::worker)]
    pub worker: Option<String>,
}

impl WorkerArgs {
    /// Returns the worker that was typed, else the one that the environment names.
    pub fn name(&self) -> Result<String, CliError> {
        let named = match &self.worker {
            Some(worker) => Some(worker.clone()),
            None => from_environment("X0X_WORKER", values::worker)?,
        };
        Ok(named.unwrap_or_else(|| WORKER.to_owned()))
    }
}

/// The longest wait for a confirmation, in milliseconds.
const CONFIRM_MS_MAX: u64 = 60_000;

/// Who claims, and for how long.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Claim")]
pub struct TermsArgs {
    /// How long the claim lives without a heartbeat: 90, 90s, 15m, 1h30m, 2d [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub ttl: Option<u64>,
    #[command(flatten)]
    pub worker: WorkerArgs,
    /// Go on with what this worker holds already, if it holds anything; another --ttl renews it
    #[arg(long)]
    pub resume: bool,
    /// Wait so long, a minute at most, until everybody else is known not to have claimed it too; through a
    /// node, which hears them. What is answered says whether that is so
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub confirm: Option<u64>,
}

impl TermsArgs {
    /// Returns the terms that were typed.
    pub fn terms(&self) -> Result<Terms, CliError> {
        let Self { ttl, worker, resume, confirm } = self;
        if confirm.is_some_and(|confirm_ms| confirm_ms > CONFIRM_MS_MAX) {
            return Err(CliError::usage(
                "--confirm: no node waits for so long",
                "choose 60s or less; `x0x issues show` says later how sure the claim is",
            ));
        }
        let (worker, ttl_ms, resume) = (worker.name()?, *ttl, *resume);
        Ok(Terms { worker, ttl_ms, resume, confirm_ms: *confirm, unless_isolated: false })
    }
}

/// Arguments of `claim`.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// Which issue [default: the first that is ready]
    pub id: Option<String>,
    #[command(flatten)]
    pub terms: TermsArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// Which claim is meant.
#[derive(Debug, Args)]
pub struct HoldingArgs {
    /// Which issue [default: the one that the claim is on, or the only one that the worker holds]
    pub id: Option<String>,
    /// The claim's token, at least 8 digits of it. One from the environment is passed over where it is
    /// on another issue than the ID [env: X0X_CLAIM]
    #[arg(long, value_name = "TOKEN", value_parser = values::token)]
    pub claim: Option<String>,
    #[command(flatten)]
    pub worker: WorkerArgs,
}

impl HoldingArgs {
    /// Returns the claim that is meant: the one that was typed, else the one of the environment.
    pub fn holding(&self) -> Result<Holding, CliError> {
        let claim = match &self.claim {
            Some(claim) => Some(claim.clone()),
            None => from_environment("X0X_CLAIM", values::token)?,
        };
        Ok(Holding { claim, ..self.typed()? })
    }

    /// Returns the claim that was typed, whatever the environment says.
    pub fn typed(&self) -> Result<Holding, CliError> {
        let (issue, claim) = (self.id.clone(), self.claim.clone());
        Ok(Holding { worker: self.worker.name()?, issue, claim })
    }
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub holding: HoldingArgs,
    /// Why; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: Option<String>,
    /// End the claim of somebody else; for maintainers, and with a reason
    #[arg(long)]
    pub force: bool,
    /// How long the issue is not handed out again on this machine, as 90s or 15m; a day at most
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub retry_after: Option<u64>,
}

/// Arguments of `handoff`.
#[derive(Debug, Args)]
pub struct HandoffArgs {
    #[command(flatten)]
    pub holding: HoldingArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// What was done, as a handoff says it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Handoff (texts: @FILE reads a file, - reads stdin)")]
pub struct ReportArgs {
    /// What was done
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub summary: Option<String>,
    /// Files that changed, separated by commas; give it again for another
    #[arg(long, value_name = "PATH", action = APPEND)]
    pub files_changed: Vec<String>,
    /// How it was checked: COMMAND=STATUS, or a JSON object {"command", "status", "note"}; give it
    /// again for another
    #[arg(long, value_name = "CMD=STATUS", action = APPEND)]
    pub validation: Vec<String>,
    /// What remains to be done; give it again for another
    #[arg(long, value_name = "TEXT", action = APPEND, allow_hyphen_values = true)]
    pub follow_up: Vec<String>,
    /// Where the output of what was run lies
    #[arg(long, value_name = "DIR")]
    pub proofs_dir: Option<String>,
    /// A JSON object with these fields; - reads stdin. Options come on top of it
    #[arg(long, value_name = "FILE|-")]
    pub file: Option<PathBuf>,
}

/// Arguments of `reshard`.
#[derive(Debug, Args)]
pub struct ReshardArgs {
    /// Which issue
    pub id: String,
    /// Why; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: String,
    /// How long a claim lives from now on without a heartbeat, where it does not say otherwise
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub ttl: Option<u64>,
}

/// Arguments of commands that rule on issues.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// Which issues
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub reason: ReasonArgs,
}

/// Arguments of `done`.
#[derive(Debug, Args)]
#[command(mut_arg("ttl", |arg| arg.requires("claim_next")))]
#[command(mut_arg("worker", |arg| arg.requires("claim_next")))]
#[command(mut_arg("resume", |arg| arg.requires("claim_next")))]
#[command(mut_arg("confirm", |arg| arg.requires("claim_next")))]
pub struct DoneArgs {
    #[command(flatten)]
    pub rule: RuleArgs,
    /// Then claim the first ready issue for this worker, and answer that
    #[arg(long)]
    pub claim_next: bool,
    #[command(flatten)]
    pub terms: TermsArgs,
}

/// Why somebody ruled so.
#[derive(Debug, Default, Args)]
pub struct ReasonArgs {
    /// Why; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: Option<String>,
}

/// Returns a value of the environment; an empty one is none.
fn from_environment(
    name: &str,
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<Option<String>, CliError> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = value.to_string_lossy();
    match read(&value) {
        Ok(value) => Ok(Some(value)),
        Err(expected) => Err(CliError::usage(
            format!("the environment says {name}={value}: {expected}"),
            format!("set {name} to something else, or to nothing"),
        )),
    }
}
