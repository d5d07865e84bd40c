//! What takes a stream or a store, and time: pulling and serving commits, judging them, tickets. Each
//! comes back to the hub as an input.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, FramedWrite};
use x0x_tracker::LocalTracker;
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::{Charter, Signed};
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::stream::{Incoming, Item, OPEN_HEADERS};
use x0x_tracker::tasklist::{Outgoing, Received, TicketRefusal, Verdict};

use super::keeper::{Keeper, Shelf};
use super::streams::{self, FrameReader, FrameWriter};
use super::{Told, forks};
use crate::hub::Input;
use crate::identity::MlDsa;
use crate::link::policy::LinkId;
use crate::link::{Farewell, Link};
use crate::wire::{self, Answer, JoinRefusal, Lane, Request, Standing};

/// How long an answer may stand still.
const STALL_MAX: Duration = Duration::from_secs(20);

/// About how many bytes of commits travel together, and are applied together.
const CHUNK_BYTES: usize = 256 << 10;

type Hub = mpsc::UnboundedSender<Told>;

/// Asks a peer for what is lacking here and has it stored as it comes; returns how far the peer is, if
/// all of it came.
pub(super) async fn pull(
    link: &Link,
    keeper: &Keeper,
    hub: &Hub,
    list: ListId,
    standing: Standing,
) -> Option<Standing> {
    let mut reader = ask(link, &Request::Pull { list, standing }).await?;
    let mut incoming = Incoming::default();
    loop {
        match answer(link, &mut reader).await? {
            Answer::Items(items) => {
                let mut part = std::mem::take(&mut incoming);
                let stored = keeper.with(list, move |tracker| {
                    let received = receive(tracker, &mut part, items);
                    (received, part)
                });
                let (received, part) = stored.await.ok()??;
                incoming = part;
                let (received, charter) = report(list, received)?;
                let is_stated = charter.is_some();
                let places = taken(&received);
                let from = link.peer();
                let told = Input::Received { list, from, places, charter };
                hub.send(Told::Input(told)).ok()?;
                if is_stated {
                    keeper.tell(move |shelf| forks::adopt(shelf, list));
                }
                if let Some(error) = received.stopped_by {
                    blame(link, &error);
                    return None;
                }
            }
            Answer::End(standing) => return Some(standing),
            Answer::NotServed => return None,
            Answer::Headers(_) => {
                link.end(Farewell::Breach);
                return None;
            }
        }
    }
}

type Outcome = Result<(Received, Option<Charter>), TrackerError>;

fn receive(tracker: &mut LocalTracker, incoming: &mut Incoming, items: Vec<Item>) -> Outcome {
    let received = tracker.receive(incoming, items)?;
    let charter = if received.statements > 0 { Some(tracker.charter()?) } else { None };
    Ok((received, charter))
}

fn report(list: ListId, outcome: Outcome) -> Option<(Received, Option<Charter>)> {
    outcome
        .inspect_err(|error| {
            tracing::error!(list = %list.short(), %error, "the store takes no commits");
        })
        .ok()
}

fn taken(received: &Received) -> Vec<(LogId, Position)> {
    let of = |(commit, verdict): (&Proved, &Verdict)| {
        matches!(verdict, Verdict::Taken).then(|| (commit.header().log, commit.position()))
    };
    received.commits.iter().zip(&received.verdicts).filter_map(of).collect()
}

/// Ends a link over which something came that no honest node sends.
pub(super) fn blame(link: &Link, error: &TrackerError) {
    let is_breach = match error {
        TrackerError::Journal(error) => !matches!(
            error,
            JournalError::Unstated { .. }
                | JournalError::NotAllowed { .. }
                | JournalError::Rules { .. }
                | JournalError::Missing { .. }
                | JournalError::TooLarge { what: OPEN_HEADERS, .. }
        ),
        _ => false,
    };
    tracing::warn!(peer = %link.peer().short(), %error, is_breach, "a stream of commits stopped");
    if is_breach {
        link.end(Farewell::Breach);
    }
}

/// Sends what another store lacks.
pub(super) async fn serve(
    mut writer: FrameWriter,
    keeper: Keeper,
    hub: Hub,
    list: ListId,
    to: AgentId,
    standing: Standing,
) {
    let heads = standing.charter.clone();
    let knows = keeper
        .with(list, move |tracker| Ok::<_, TrackerError>(tracker.charter()?.heads() == heads));
    let Ok(Some(Ok(knows_charter))) = knows.await else { return refuse(writer).await };
    let mut outgoing = Outgoing::to(standing.frontier(), knows_charter);
    loop {
        let mut part = outgoing;
        let sent = keeper.with(list, move |tracker| {
            let items = tracker.send(&mut part, CHUNK_BYTES);
            (items, part)
        });
        let Ok(Some((Ok(items), part))) = sent.await else { return };
        outgoing = part;
        if items.is_empty() {
            break;
        }
        if write(&mut writer, &Answer::Items(items)).await.is_none() {
            return;
        }
    }
    for (log, theirs) in outgoing.forked() {
        let forked = Input::Forked { list, with: to, log: *log, theirs: *theirs };
        let _stopped = hub.send(Told::Input(forked));
    }
    let end = keeper.with(list, move |tracker| standing_for(tracker, to)).await;
    if let Ok(Some(Ok(standing))) = end
        && write(&mut writer, &Answer::End(standing)).await.is_some()
    {
        let _closed = writer.get_mut().finish();
    }
}

/// Returns how far a store is, and what an agent is to know of its own logs.
fn standing_for(tracker: &LocalTracker, agent: AgentId) -> Result<Standing, TrackerError> {
    let voids = tracker.voids()?.into_iter().filter(|(_, void)| void.log.agent == agent);
    Ok(Standing {
        logs: tracker.frontier()?.0.into_iter().collect(),
        charter: tracker.charter()?.heads(),
        voids: voids.map(|(hash, void)| (void.log, void.number, hash)).collect(),
    })
}

/// Sends headers of a log.
pub(super) async fn serve_headers(
    mut writer: FrameWriter,
    keeper: Keeper,
    list: ListId,
    log: LogId,
    from: u64,
) {
    let headers = keeper.with(list, move |tracker| tracker.headers(log, from)).await;
    if let Ok(Some(Ok(headers))) = headers
        && write(&mut writer, &Answer::Headers(headers)).await.is_some()
    {
        let _closed = writer.get_mut().finish();
    }
}

/// Sends what an agent wrote that does not count here.
pub(super) async fn serve_lost(mut writer: FrameWriter, keeper: Keeper, list: ListId, to: AgentId) {
    let items = keeper.with(list, move |tracker| tracker.lost_items_of(to)).await;
    let Ok(Some(Ok(items))) = items else { return };
    let (mut part, mut bytes) = (Vec::new(), 0);
    for item in items {
        bytes += item.bytes();
        part.push(item);
        if bytes >= CHUNK_BYTES {
            bytes = 0;
            let full = Answer::Items(std::mem::take(&mut part));
            if write(&mut writer, &full).await.is_none() {
                return;
            }
        }
    }
    if write(&mut writer, &Answer::Items(part)).await.is_some() {
        let _closed = writer.get_mut().finish();
    }
}

/// Returns the commits that pieces of a stream hold, up to one that is no piece of an honest one.
/// `None` where the store cannot be read.
pub(super) fn proved(
    tracker: &LocalTracker,
    list: ListId,
    incoming: &mut Incoming,
    items: Vec<Item>,
) -> Option<(Vec<Proved>, Option<TrackerError>)> {
    let charter = tracker.charter().ok()?;
    let mut commits = Vec::new();
    for item in items {
        let taken = match item {
            Item::Run(run) => incoming.run(&run, list, &charter, &MlDsa).map(|()| None),
            Item::Body { log, number, body } => incoming.body(log, number, body).map(Some),
            Item::Statement(_) => Ok(None),
        };
        match taken {
            Ok(commit) => commits.extend(commit),
            Err(error) => return Some((commits, Some(error.into()))),
        }
    }
    Some((commits, None))
}

/// Says that nothing is served.
pub(super) async fn refuse(mut writer: FrameWriter) {
    if write(&mut writer, &Answer::NotServed).await.is_some() {
        let _closed = writer.get_mut().finish();
    }
}

/// Has commits judged that came by gossip.
pub(super) fn judge(keeper: &Keeper, list: ListId, commits: Vec<Proved>) {
    keeper.tell(move |shelf: &mut Shelf| {
        let Some(tracker) = shelf.list(list) else { return };
        let verdicts = match tracker.judge(&commits) {
            Ok(verdicts) => verdicts,
            Err(error) => {
                shelf.fail(list, &error);
                Vec::new()
            }
        };
        shelf.report(Input::Judged { list, commits, verdicts });
    });
}

/// Has statements of the charter taken.
pub(super) fn state(keeper: &Keeper, list: ListId, statements: Vec<Signed>) {
    keeper.tell(move |shelf: &mut Shelf| {
        let Some(tracker) = shelf.list(list) else { return };
        let mut are_new = false;
        for statement in &statements {
            match tracker.admit_statement(statement) {
                Ok(is_new) => are_new |= is_new,
                Err(error) => {
                    tracing::warn!(list = %list.short(), %error, "a statement was not taken");
                }
            }
        }
        match tracker.charter() {
            Ok(charter) if are_new => {
                shelf.report(Input::Stated { list, charter, news: None });
                forks::adopt(shelf, list);
            }
            Ok(_) => {}
            Err(error) => shelf.fail(list, &error),
        }
    });
}

/// Has a ticket redeemed.
pub(super) fn redeem(
    keeper: &Keeper,
    list: ListId,
    link: LinkId,
    secret: [u8; 32],
    public_key: Vec<u8>,
) {
    keeper.tell(move |shelf: &mut Shelf| {
        let welcome = match shelf.list(list) {
            None => Err(JoinRefusal::Unknown),
            Some(tracker) => match tracker.redeem_ticket(&secret, &public_key) {
                Ok(Ok(welcome)) => {
                    tracker.charter().map(|charter| (welcome, charter)).map_err(|error| {
                        tracing::error!(%error, "the charter cannot be read");
                        JoinRefusal::Failed
                    })
                }
                Ok(Err(refusal)) => Err(match refusal {
                    TicketRefusal::Unknown => JoinRefusal::Unknown,
                    TicketRefusal::Expired => JoinRefusal::Expired,
                    TicketRefusal::Used => JoinRefusal::Used,
                    TicketRefusal::NotAllowed => JoinRefusal::NotAllowed,
                }),
                Err(error) => {
                    tracing::error!(%error, "a ticket cannot be redeemed");
                    Err(JoinRefusal::Failed)
                }
            },
        };
        let outcome = welcome.map(|(welcome, charter)| {
            let news = welcome.grant;
            shelf.report(Input::Stated { list, charter, news });
            (welcome.role, welcome.statements)
        });
        shelf.report(Input::Redeemed { list, link, outcome });
    });
}

/// Opens a sync stream with a request, and returns where the answers come.
pub(super) async fn ask(link: &Link, request: &Request) -> Option<FrameReader> {
    let (send, receive) = link.connection().open_bi().await.ok()?;
    let mut writer = FramedWrite::new(send, streams::codec(Lane::Sync));
    timeout(STALL_MAX, writer.send(Bytes::from(wire::encode(request)))).await.ok()?.ok()?;
    writer.get_mut().finish().ok()?;
    Some(FramedRead::new(receive, streams::codec(Lane::Sync)))
}

/// Returns the next answer; a peer that sends none, or none that is one, is done with.
pub(super) async fn answer(link: &Link, reader: &mut FrameReader) -> Option<Answer> {
    let bytes = timeout(STALL_MAX, streams::next(reader)).await.ok()?.ok()??;
    match Answer::read(&bytes) {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!(peer = %link.peer().short(), %error, "a peer broke the protocol");
            link.end(Farewell::Breach);
            None
        }
    }
}

async fn write(writer: &mut FrameWriter, answer: &Answer) -> Option<()> {
    timeout(STALL_MAX, writer.send(Bytes::from(wire::encode(answer)))).await.ok()?.ok()
}
