//! Logs that are not alike everywhere: finding where two branches part, having the store settle which
//! one counts, and writing again what this agent lost by it.

use tokio::sync::mpsc;
use x0x_tracker::LocalTracker;
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::run::Run;
use x0x_tracker::journal::stream::Incoming;
use x0x_tracker::tasklist::Settled;

use super::Told;
use super::errands::{self, answer, ask};
use super::keeper::Keeper;
use super::outlet::Outlet;
use super::shelf::Shelf;
use crate::clerk::{self, PULL_MAX};
use crate::hub::Input;
use crate::identity::MlDsa;
use crate::link::Link;
use crate::time;
use crate::wire::{Answer, Request};

/// How many runs of headers are looked at before it is left to the next comparison.
const STEPS_MAX: usize = 4_096;

/// A log of which a peer has other commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork {
    pub(super) list: ListId,
    pub(super) with: AgentId,
    pub(super) log: LogId,
    /// A place in it that the peer has.
    pub(super) theirs: Position,
}

/// Finds out where a log parts, and has the branch settled that counts.
pub(super) async fn settle(
    (link, outlet): (Link, Outlet),
    keeper: Keeper,
    hub: mpsc::UnboundedSender<Told>,
    fork: Fork,
) {
    let Fork { list, with, log, theirs } = fork;
    let (mut from, mut losers) = (clerk::fork_from(theirs), Vec::new());
    for _ in 0..STEPS_MAX {
        let Some(run) = headers((&link, &outlet), list, log, from).await else { break };
        let settled = keeper.ask(move |shelf| settle_run(shelf, list, &run)).await;
        match settled {
            Ok(Some(Settled::Earlier { from: next } | Settled::Later { from: next })) => {
                from = next;
            }
            Ok(Some(settled)) => {
                losers = clerk::losers(&settled);
                break;
            }
            Ok(None) | Err(_) => break,
        }
    }
    let _stopped = hub.send(Told::Input(Input::Settled { list, with, log, losers }));
}

async fn headers(
    (link, outlet): (&Link, &Outlet),
    list: ListId,
    log: LogId,
    from: u64,
) -> Option<Run> {
    let mut reader = ask((link, outlet), &Request::Headers { list, log, from }).await?;
    match answer(link, &mut reader).await? {
        Answer::Headers(run) => run,
        _ => None,
    }
}

/// Has the store settle a branch; `None` where the headers prove nothing.
fn settle_run(shelf: &mut Shelf, list: ListId, run: &Run) -> Option<Settled> {
    let tracker = shelf.list(list)?;
    match clerk::settle_fork(tracker, &MlDsa, list, run) {
        Ok(settled) => {
            if let Settled::Theirs { retracted, documents } = &settled {
                let commits = retracted.len();
                tracing::warn!(list = %list.short(), commits, documents, "a log forked: another \
                    branch counts");
                write_again(shelf, list);
            }
            Some(settled)
        }
        Err(TrackerError::Journal(error)) => {
            tracing::warn!(list = %list.short(), %error, "headers of a fork prove nothing");
            None
        }
        Err(error) => {
            shelf.fail(list, &error);
            None
        }
    }
}

/// Goes on in a new log where a peer knows more of the one that this store writes; fetches what the peer
/// has of this agent's that does not count, and writes it again.
pub(super) async fn own_logs(
    (link, outlet): (Link, Outlet),
    keeper: Keeper,
    list: ListId,
    places: Vec<(LogId, Option<Position>)>,
) {
    let is_lacking = keeper.ask(move |shelf| {
        let tracker = shelf.list(list)?;
        match clerk::leave_logs(tracker, &places) {
            Ok(is_lacking) => Some(is_lacking),
            Err(error) => {
                shelf.fail(list, &error);
                None
            }
        }
    });
    if !matches!(is_lacking.await, Ok(Some(true))) {
        return;
    }
    let Some(mut reader) = ask((&link, &outlet), &Request::Lost { list }).await else { return };
    let (mut incoming, began) = (Incoming::default(), time::origin());
    while let Some(Answer::Items(items)) = answer(&link, &mut reader).await {
        if began.elapsed() > PULL_MAX {
            break;
        }
        let mut part = std::mem::take(&mut incoming);
        let taken = keeper.ask(move |shelf| {
            let tracker = shelf.list(list)?;
            match clerk::take_lost(tracker, &MlDsa, list, &mut part, items) {
                Ok(stopped_by) => Some((part, stopped_by)),
                Err(error) => {
                    shelf.fail(list, &error);
                    None
                }
            }
        });
        match taken.await {
            Ok(Some((part, None))) => incoming = part,
            Ok(Some((_, Some(error)))) => return errands::blame(&link, &error),
            _ => return,
        }
    }
    keeper.tell(move |shelf| write_again(shelf, list));
}

/// Takes the statements that made this agent a member into account.
pub(super) fn adopt(shelf: &mut Shelf, list: ListId) {
    rewrite(shelf, list, clerk::adopt);
}

/// Writes again what waited for an issue that another author has brought back now.
pub(super) fn catch_up(shelf: &mut Shelf, list: ListId) {
    match shelf.list(list).map(|tracker| tracker.may_reissue()) {
        Some(Ok(true)) => write_again(shelf, list),
        Some(Ok(false)) | None => {}
        Some(Err(error)) => shelf.fail(list, &error),
    }
}

/// Writes again what this agent lost.
fn write_again(shelf: &mut Shelf, list: ListId) {
    rewrite(shelf, list, clerk::write_again);
}

fn rewrite(
    shelf: &mut Shelf,
    list: ListId,
    act: impl FnOnce(&mut LocalTracker, ListId) -> Result<(), TrackerError>,
) {
    let Some(tracker) = shelf.list(list) else { return };
    if let Err(error) = act(tracker, list) {
        shelf.fail(list, &error);
    }
    shelf.refresh(list);
    shelf.announce(list);
}
