//! `x0x issues claim`: an issue for one worker alone; and what is told of a claim.

use std::io::Write;

use x0x_tracker::Tracker;
use x0x_tracker::interface::{Holding, Kept, Pick, Standing, Terms, TrackerError};

use crate::args::claims::{ClaimArgs, HoldingArgs};
use crate::args::filter::ShapeArgs;
use crate::error::{CliError, Exit};
use crate::output::progress::Waiting;
use crate::output::{claim, record};
use crate::resolve::Session;

/// Claims an issue and answers it.
pub fn run(session: &Session, args: &ClaimArgs) -> Result<Exit, CliError> {
    let filter = &args.filter;
    let pick = match &args.id {
        None => Pick::First(filter.filter(true)),
        Some(_) if filter.narrows() || filter.deleted || filter.limit.is_some() => {
            return Err(CliError::usage(
                "an ID and a filter were given",
                "name the issue, or say which of the ready ones are meant",
            ));
        }
        Some(id) => Pick::Issue(id.clone()),
    };
    take(session, &pick, &args.terms.terms()?, &args.shape)
}

/// Claims what was picked and answers it; without a ready issue it says nothing to people and answers
/// "not found".
pub fn take(
    session: &Session,
    pick: &Pick,
    terms: &Terms,
    shape: &ShapeArgs,
) -> Result<Exit, CliError> {
    let mut tracker = session.writer()?;
    let waiting = terms
        .confirm_ms
        .map(|_| Waiting::start(session.output, "waiting for others to confirm it"));
    let claimed = tracker.claim(pick, terms);
    drop(waiting);
    match claimed {
        Ok(kept) => {
            answer(session, &*tracker, kept, shape, Some(terms))?;
            Ok(Exit::Done)
        }
        Err(TrackerError::NothingReady) => nothing_ready(session),
        Err(error) => Err(error.into()),
    }
}

/// Ends a command that found nothing ready: an error for programs, silence for people.
pub fn nothing_ready(session: &Session) -> Result<Exit, CliError> {
    if session.output.json { Err(TrackerError::NothingReady.into()) } else { Ok(Exit::NotFound) }
}

/// Answers an issue that somebody holds: one line for people, the object for programs. Notes where the
/// claim is another one than before, and what the worker lost; `terms` is what was asked for, where it was
/// claimed.
pub fn answer(
    session: &Session,
    tracker: &dyn Tracker,
    kept: Kept,
    shape: &ShapeArgs,
    terms: Option<&Terms>,
) -> Result<(), CliError> {
    let kept = whole(tracker, kept)?;
    note_losses(session, &kept);
    note_renewal(session, &kept, terms.and_then(|terms| terms.ttl_ms));
    note_standing(session, &kept);
    if terms.is_some_and(|terms| terms.confirm_ms.is_some()) {
        note_confirmation(session, &kept);
    }
    let text = match session.output.json {
        true => record::shaped_claim(&kept, shape),
        false => claim::line(&kept.issue),
    };
    session.output.data(|stdout| writeln!(stdout, "{text}"))
}

/// Does something in the name of a claim. A token of the environment that is on another issue than the
/// one that was typed is not meant.
pub fn speak<T>(
    args: &HoldingArgs,
    mut act: impl FnMut(&Holding) -> Result<T, TrackerError>,
) -> Result<T, CliError> {
    match act(&args.holding()?) {
        Err(TrackerError::ClaimElsewhere { .. }) if args.claim.is_none() => {
            Ok(act(&args.typed()?)?)
        }
        result => Ok(result?),
    }
}

/// Says what a worker lost since it was last told anything.
pub fn note_losses(session: &Session, kept: &Kept) {
    for loss in &kept.lost {
        session.output.note(&loss.to_string());
    }
}

/// Says that a claim was renewed, and why.
pub fn note_renewal(session: &Session, kept: &Kept, ttl_ms: Option<u64>) {
    if kept.renewed {
        let why = match ttl_ms {
            Some(_) => "the claim had lapsed, or was to live for another time",
            None => "the claim had lapsed and nobody had taken it over",
        };
        session.output.note(&format!(
            "{}: {why}; it is renewed as {}",
            kept.issue.name,
            kept.claim.short()
        ));
    }
}

/// Says of a claim that nobody but its holder knows of for sure who may have claimed too.
fn note_standing(session: &Session, kept: &Kept) {
    let Some(watch) = &kept.issue.watch else { return };
    let others = match watch.unheard.as_slice() {
        [one] => format!("agent {}", one.short()),
        several => format!("{} agents", several.len()),
    };
    let name = &kept.issue.name;
    match watch.standing {
        Standing::Confirmed => {}
        Standing::Provisional => session.output.note(&format!(
            "{name}: the claim is provisional: {others} may have claimed it too without being heard yet"
        )),
        Standing::Isolated => session.output.note(&format!(
            "{name}: no other member was heard for as long as the claim lives without a beat: others may \
             take it over"
        )),
    }
}

/// Says what came of the wait for a confirmation.
fn note_confirmation(session: &Session, kept: &Kept) {
    let standing = kept.issue.watch.as_ref().map(|watch| watch.standing);
    let name = &kept.issue.name;
    if standing == Some(Standing::Confirmed) {
        session.output.note(&format!("{name}: the claim is confirmed"));
    } else if !session.home.has_node() {
        session.output.note(
            "nobody was waited for: no node runs here that hears others; `x0x daemon --detach` starts one",
        );
    }
}

/// Returns the same with the issue's record, where that was not read.
pub fn whole(tracker: &dyn Tracker, kept: Kept) -> Result<Kept, CliError> {
    if kept.issue.json.is_some() {
        return Ok(kept);
    }
    Ok(Kept { issue: tracker.show(&kept.issue.name)?, ..kept })
}
