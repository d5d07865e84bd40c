//! One file a command; here is which is which, and what several of them say alike.

mod account;
mod agent;
mod array;
mod backup;
mod block;
mod blockers;
mod claim;
mod comment;
mod conflicts;
mod create;
mod daemon;
mod diagnostics;
mod direct;
mod doctor;
mod edit;
pub mod export;
mod fields;
mod filtered;
mod handoff;
mod heartbeat;
pub mod import;
mod import_report;
mod init;
mod invite;
mod join;
mod list;
mod log;
mod log_level;
mod members;
mod merge;
mod merge_driver;
mod next;
mod node;
mod peers;
mod prefix;
mod prime;
mod ready;
mod release;
mod repair;
mod reshard;
mod resolution;
mod rule;
mod run;
mod show;
mod stats;
mod status;
mod stop;
mod sync;
mod undo;
mod up;
mod validate;
mod watch;
mod workers;

use std::io::Write;

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Ruling, Shown};

use crate::args::claims::RuleArgs;
use crate::args::filter::ShapeArgs;
use crate::args::{Command, DuplicateArgs, IssuesCommand};
use crate::error::{CliError, Exit};
use crate::output::listing::{Form, Listing};
use crate::output::{issue, listing, record};
use crate::resolve::Session;

/// Does what was typed.
pub fn run(session: &Session, command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => init::run(session, args),
        Command::Agent => agent::run(session),
        Command::Up(args) => up::run(session, &args),
        Command::Daemon(args) => daemon::run(session, &args),
        Command::LogLevel(args) => log_level::run(session, &args),
        Command::Invite(args) => invite::run(session, &args),
        Command::Join(args) => join::run(session, &args),
        Command::Repair => repair::run(session),
        Command::Doctor(args) => doctor::run(session, &args),
        Command::Members => members::list(session),
        Command::Workers => workers::run(session),
        Command::Grant(args) => members::grant(session, &args),
        Command::Revoke(args) => members::revoke(session, &args),
        Command::Peers => peers::run(session),
        Command::Direct(command) => direct::run(session, &command),
        Command::Diagnostics(command) => diagnostics::run(session, &command),
        Command::Status => status::run(session),
        Command::Stop => stop::run(session),
        Command::Backup(args) => backup::back_up(session, &args),
        Command::Restore(args) => backup::restore(session, &args),
        Command::Issues(command) => issues(session, command),
    }
}

fn issues(session: &Session, command: IssuesCommand) -> Result<Exit, CliError> {
    match command {
        IssuesCommand::List(args) => list::run(session, &args),
        IssuesCommand::Prime => prime::run(session),
        IssuesCommand::Ready(args) => ready::run(session, &args),
        IssuesCommand::Next(args) => next::run(session, &args),
        IssuesCommand::Show(args) => show::run(session, &args),
        IssuesCommand::Create(args) => create::run(session, &args),
        IssuesCommand::Edit(args) => edit::run(session, &args),
        IssuesCommand::Comment(args) => comment::run(session, args),
        IssuesCommand::Claim(args) => claim::run(session, &args),
        IssuesCommand::Heartbeat(args) => heartbeat::run(session, &args),
        IssuesCommand::Release(args) => release::run(session, &args),
        IssuesCommand::Handoff(args) => handoff::run(session, &args),
        IssuesCommand::Run(args) => run::run(session, &args),
        IssuesCommand::Reshard(args) => reshard::run(session, &args),
        IssuesCommand::Done(args) => rule::done(session, *args),
        IssuesCommand::Cancel(args) => rule::run(session, args, &Ruling::Cancelled),
        IssuesCommand::Reopen(args) => rule::run(session, args, &Ruling::Reopened),
        IssuesCommand::Duplicate(args) => {
            let DuplicateArgs { id, of, reason } = args;
            rule::run(session, RuleArgs { ids: vec![id], reason }, &Ruling::Duplicate { of })
        }
        IssuesCommand::Block(args) => block::block(session, args),
        IssuesCommand::Unblock(args) => block::unblock(session, args),
        IssuesCommand::Import(args) => import::run(session, &args),
        IssuesCommand::Export(args) => export::run(session, &args),
        IssuesCommand::Validate(args) => validate::run(session, &args),
        IssuesCommand::Merge(args) => merge::run(session, &args),
        IssuesCommand::Log(args) => log::run(session, args),
        IssuesCommand::Undo(args) => undo::run(session, &args),
        IssuesCommand::Conflicts(args) => conflicts::run(session, &args),
        IssuesCommand::Sync(args) => sync::run(session, &args),
        IssuesCommand::Stats => stats::run(session),
        IssuesCommand::Watch(args) => watch::run(session, &args),
    }
}

/// Answers an issue that was just written: one line for people, the object for programs.
fn answer(session: &Session, tracker: &dyn Tracker, shown: &Shown) -> Result<(), CliError> {
    let text = if session.output.json {
        object(tracker, shown, &ShapeArgs::default())?
    } else {
        issue::line(shown)
    };
    session.output.data(|stdout| writeln!(stdout, "{text}"))
}

/// Answers several issues that were just written: a line each for people, one object for programs.
fn answer_all(session: &Session, tracker: &dyn Tracker, shown: &[Shown]) -> Result<(), CliError> {
    if session.output.json {
        return objects(session, tracker, shown);
    }
    session.output.data(|stdout| {
        shown.iter().try_for_each(|shown| writeln!(stdout, "{}", issue::line(shown)))
    })
}

/// Writes several issues as programs get them.
fn objects(session: &Session, tracker: &dyn Tracker, shown: &[Shown]) -> Result<(), CliError> {
    let shape = ShapeArgs::default();
    let mut listing = Listing::start(&session.output, &shape, Form::Object);
    for shown in shown {
        let whole = if shown.json.is_none() { tracker.show(&shown.name)? } else { shown.clone() };
        listing.issue(&whole).map_err(CliError::stdout)?;
    }
    listing.finish(&[], None).map_err(CliError::stdout)
}

/// Returns an issue as programs get it, in the shape that was asked for.
fn object(tracker: &dyn Tracker, shown: &Shown, shape: &ShapeArgs) -> Result<String, CliError> {
    if shape.needs_json() && shown.json.is_none() {
        return Ok(record::shaped(&tracker.show(&shown.name)?, shape));
    }
    Ok(record::shaped(shown, shape))
}

/// Writes whole issues as people read them, or the fields that they asked for.
fn page(
    session: &Session,
    tracker: &dyn Tracker,
    shown: &Shown,
    shape: &ShapeArgs,
) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        let text = object(tracker, shown, shape)?;
        return output.data(|stdout| writeln!(stdout, "{text}"));
    }
    if !shape.fields.is_empty() {
        return output.data(|stdout| listing::fields_of(stdout, shown, shape, output.look));
    }
    let blockers = blockers::named(tracker, &shown.row)?;
    output.data(|stdout| issue::page(stdout, shown, &blockers, output.look))
}
