//! What takes a stream or a store, and time: pulling and serving commits, judging them, tickets. Each
//! comes back to the hub as an input.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, FramedWrite};
use x0x_tracker::claim::beat::{Beat, Kind};
use x0x_tracker::id::{AgentId, ListId, LogId, RecordHash};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::charter::Signed;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::stream::{Incoming, Item};

use super::inlet::Inlet;
use super::keeper::Keeper;
use super::outlet::Outlet;
use super::shelf::Shelf;
use super::streams::{self, FrameReader, Reply};
use super::{Told, forks};
use crate::clerk::{self, PULL_MAX, STALL_MAX, Stored};
use crate::hub::{FarPiece, Input};
use crate::link::policy::LinkId;
use crate::link::{Farewell, Link};
use crate::time;
use crate::wire::{self, Answer, JoinRefusal, Lane, Request, Standing};

type Hub = mpsc::UnboundedSender<Told>;

/// Asks a peer for what is lacking here and has it stored as it comes; returns how far the peer is, if
/// all of it came.
pub(super) async fn pull(
    link: &Link,
    keeper: &Keeper,
    (inlet, outlet): &(Inlet, Outlet),
    list: ListId,
    standing: Standing,
) -> Option<Standing> {
    let mut reader = ask((link, outlet), &Request::Pull { list, standing }).await?;
    let mut incoming = Incoming::from(link.peer());
    let (began, mut news_at) = (time::origin(), time::origin());
    loop {
        // Between two pieces, so that what the store did with one is always told.
        if began.elapsed() > PULL_MAX || news_at.elapsed() > STALL_MAX {
            return None;
        }
        let bytes = answer_bytes(&mut reader).await?;
        // Until the store begins with it, nothing more is read.
        let place = inlet.sync_place(link.peer(), bytes.len()).await;
        match answer_of(link, &bytes)? {
            Answer::Items(items) => {
                let (mut part, from) = (std::mem::take(&mut incoming), link.peer());
                let stored = keeper.ask(move |shelf| {
                    drop(place);
                    let (is_news, stopped_by) = store(shelf, &mut part, list, from, items)?;
                    Some((part, is_news, stopped_by))
                });
                let (part, is_news, stopped_by) = stored.await.ok()??;
                incoming = part;
                if is_news {
                    news_at = time::origin();
                }
                if let Some(error) = stopped_by {
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

/// Stores a piece of what a member sent; returns whether any of it was new, and why nothing more is looked at.
fn store(
    shelf: &mut Shelf,
    incoming: &mut Incoming,
    list: ListId,
    from: AgentId,
    items: Vec<Item>,
) -> Option<(bool, Option<TrackerError>)> {
    let stored = clerk::receive(shelf.list(list)?, incoming, list, from, items);
    let Stored { told, is_stated, is_news, stopped_by } = stored
        .inspect_err(|error| {
            let list = list.short();
            tracing::error!(%list, %error, "the store takes no commits");
        })
        .ok()?;
    // Told before anything else is done with the store, which may take it back.
    shelf.report(told);
    match is_stated {
        true => forks::adopt(shelf, list),
        false => forks::catch_up(shelf, list),
    }
    Some((is_news, stopped_by))
}

/// Has what a far member sent stored.
pub(super) fn store_far(keeper: &Keeper, mut piece: FarPiece, items: Vec<Item>) {
    keeper.tell(move |shelf: &mut Shelf| {
        let (list, from) = (piece.list, piece.from);
        let stored = store(shelf, &mut piece.incoming, list, from, items);
        let (is_news, stopped_by) = stored.unzip();
        if let Some(Some(error)) = &stopped_by {
            tracing::warn!(peer = %from.short(), %error, "what a far member sent was not taken");
        }
        let is_stopped = !matches!(stopped_by, Some(None));
        let is_news = is_news.unwrap_or(false);
        shelf.report(Input::FarStored { piece, is_news, is_stopped });
    });
}

/// Has some of what a far member lacks looked up, who is so far, knows these rules, and had so many items.
pub(super) fn serve_far(
    keeper: &Keeper,
    list: ListId,
    to: AgentId,
    (standing, rules, skip): (Standing, u16, u32),
) {
    keeper.tell(move |shelf: &mut Shelf| {
        let items = shelf.list(list).map(|it| clerk::answer_far(it, &standing, rules, skip));
        let items = match items.transpose() {
            Ok(items) => items,
            Err(error) => {
                shelf.fail(list, &error);
                None
            }
        };
        shelf.report(Input::FarItems { list, to, items });
    });
}

/// Ends a link over which something came that no honest node sends.
pub(super) fn blame(link: &Link, error: &TrackerError) {
    let is_breach = clerk::is_breach(error);
    tracing::warn!(peer = %link.peer().short(), %error, is_breach, "a stream of commits stopped");
    if is_breach {
        link.end(Farewell::Breach);
    }
}

/// Sends what another store lacks.
pub(super) async fn serve(
    mut reply: Reply,
    keeper: Keeper,
    hub: Hub,
    list: ListId,
    to: AgentId,
    standing: Standing,
    rules: u16,
) {
    let started = keeper.with(list, move |tracker| clerk::serve(tracker, &standing, rules)).await;
    let Ok(Some(Ok(mut outgoing))) = started else { return refuse(reply).await };
    loop {
        let mut part = outgoing;
        let next = keeper.with(list, move |tracker| {
            let answer = clerk::answer(tracker, &mut part, to);
            (answer, part)
        });
        let Ok(Some((Ok(answer), part))) = next.await else { return };
        outgoing = part;
        if write(&mut reply, &answer).await.is_none() {
            return;
        }
        if matches!(answer, Answer::End(_)) {
            break;
        }
    }
    reply.finish();
    for (log, theirs) in outgoing.forked() {
        let forked = Input::Forked { list, with: to, log: *log, theirs: *theirs };
        let _stopped = hub.send(Told::Input(forked));
    }
}

/// Sends headers of a log.
pub(super) async fn serve_headers(
    mut reply: Reply,
    keeper: Keeper,
    list: ListId,
    log: LogId,
    from: u64,
) {
    let headers = keeper.with(list, move |tracker| tracker.headers(log, from)).await;
    if let Ok(Some(Ok(headers))) = headers
        && write(&mut reply, &Answer::Headers(headers)).await.is_some()
    {
        reply.finish();
    }
}

/// Sends what an agent wrote that does not count here.
pub(super) async fn serve_lost(mut reply: Reply, keeper: Keeper, list: ListId, to: AgentId) {
    let lost = keeper.with(list, move |tracker| clerk::lost(tracker, to)).await;
    let Ok(Some(Ok(mut outgoing))) = lost else { return };
    loop {
        let mut part = outgoing;
        let next = keeper.with(list, move |tracker| {
            let answer = clerk::answer_lost(tracker, &mut part);
            (answer, part)
        });
        let Ok(Some((Ok(answer), part))) = next.await else { return };
        outgoing = part;
        let Some(answer) = answer else { break };
        if write(&mut reply, &answer).await.is_none() {
            return;
        }
    }
    reply.finish();
}

/// Says that nothing is served.
pub(super) async fn refuse(mut reply: Reply) {
    if write(&mut reply, &Answer::NotServed).await.is_some() {
        reply.finish();
    }
}

/// Has commits judged that came by gossip.
pub(super) fn judge(keeper: &Keeper, list: ListId, commits: Vec<Proved>) {
    keeper.tell(move |shelf: &mut Shelf| {
        // Always answered: until then the hub has no others judged.
        let judged = clerk::judge(shelf.list(list), list, commits);
        shelf.report(judged);
        forks::catch_up(shelf, list);
    });
}

/// Has statements of the charter taken, and says so where they were shown for a ticket.
pub(super) fn state(keeper: &Keeper, list: ListId, statements: Vec<Signed>, are_shown: bool) {
    keeper.tell(move |shelf: &mut Shelf| {
        let stated = shelf.list(list).and_then(|tracker| clerk::state(tracker, list, &statements));
        if let Some(stated) = stated {
            shelf.report(stated);
            forks::adopt(shelf, list);
        }
        if are_shown {
            let kept = clerk::statements_kept(shelf.list(list), list);
            shelf.report(kept);
        }
    });
}

/// Has it looked up which commits of some agents are kept as lost.
pub(super) fn name_lost(keeper: &Keeper, list: ListId, of: Vec<AgentId>) {
    keeper.tell(move |shelf: &mut Shelf| {
        let Some(tracker) = shelf.list(list) else { return };
        for told in clerk::name_lost(tracker, list, &of) {
            shelf.report(told);
        }
    });
}

/// Has a frame with beats signed.
pub(super) fn beat(keeper: &Keeper, list: ListId, kind: Kind, claims: Vec<RecordHash>) {
    keeper.tell(move |shelf: &mut Shelf| shelf.beat(list, kind, &claims));
}

/// Has it noted that claims were heard of.
pub(super) fn hear(keeper: &Keeper, list: ListId, beat: Beat) {
    keeper.tell(move |shelf: &mut Shelf| {
        let heard = shelf.list(list).map(|tracker| tracker.hear(&beat));
        if let Some(Err(error)) = heard {
            shelf.fail(list, &error);
        }
    });
}

/// Has the newest statements of a charter looked up, for a peer.
pub(super) fn name_statements(keeper: &Keeper, list: ListId, link: LinkId) {
    keeper.tell(move |shelf: &mut Shelf| {
        let Some(tracker) = shelf.list(list) else { return };
        match clerk::name_statements(tracker, list, link) {
            Ok(named) => shelf.report(named),
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
        if shelf.is_shut(list) {
            // The ticket is as good as before.
            let outcome = Err(JoinRefusal::Failed);
            return shelf.report(Input::Redeemed { list, link, outcome });
        }
        for told in clerk::redeem(shelf.list(list), list, link, &secret, &public_key) {
            shelf.report(told);
        }
    });
}

/// Opens a sync stream with a request, and returns where the answers come.
pub(super) async fn ask(
    (link, outlet): (&Link, &Outlet),
    request: &Request,
) -> Option<FrameReader> {
    // The other side says how many requests may be open.
    let (send, receive) = timeout(STALL_MAX, link.connection().open_bi()).await.ok()?.ok()?;
    let mut writer = FramedWrite::new(send, streams::codec(Lane::Sync));
    let written = streams::write(&mut writer, wire::encode(request).into(), (link.peer(), outlet));
    timeout(STALL_MAX, written).await.ok()?.ok()?;
    writer.get_mut().finish().ok()?;
    Some(FramedRead::new(receive, streams::codec(Lane::Sync)))
}

/// Returns the next answer; a peer that sends none, or none that is one, is done with.
pub(super) async fn answer(link: &Link, reader: &mut FrameReader) -> Option<Answer> {
    answer_of(link, &answer_bytes(reader).await?)
}

async fn answer_bytes(reader: &mut FrameReader) -> Option<BytesMut> {
    timeout(STALL_MAX, streams::next(reader)).await.ok()?.ok()?
}

fn answer_of(link: &Link, bytes: &[u8]) -> Option<Answer> {
    match Answer::read(bytes) {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!(peer = %link.peer().short(), %error, "a peer broke the protocol");
            link.end(Farewell::Breach);
            None
        }
    }
}

async fn write(reply: &mut Reply, answer: &Answer) -> Option<()> {
    timeout(STALL_MAX, reply.write(Bytes::from(wire::encode(answer)))).await.ok()?.ok()
}
