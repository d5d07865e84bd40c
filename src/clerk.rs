//! What the hub wants of a store, done with the store, and what came of it in the hub's words. The node
//! and the simulation both do it here; how it gets to the store and back is theirs.

mod claims;

use std::collections::BTreeSet;
use std::time::Duration;

use x0x_tracker::LocalTracker;
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::interface::TrackerError;
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::Signed;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::run::{Proved, RUN_HEADERS_MAX, Run};
use x0x_tracker::journal::signature::Verifier;
use x0x_tracker::journal::stream::{Incoming, Item, OPEN_HEADERS};
use x0x_tracker::tasklist::{
    LOGS_PER_AGENT_MAX, Outgoing, OutgoingLost, Received, Reissued, Settled, TicketRefusal, Verdict,
};

use crate::hub::Input;
use crate::link::policy::LinkId;
use crate::replica::OWN_PLACES_MAX;
use crate::wire::{Answer, JoinRefusal, Payload, Standing};

pub use claims::{beat, may_have_lost, part, promised, promises_of};

/// How long an answer of a sync stream may stand still.
pub const STALL_MAX: Duration = Duration::from_secs(20);

/// How long one answer to a pull is listened to: others get their turn then, and what came counts. Who
/// has more is asked again.
pub const PULL_MAX: Duration = Duration::from_secs(30);

/// About how many bytes of commits travel together, and are applied together. Over a narrow path one
/// takes less than [`crate::replica::PULL_STALL_MAX`], or others would be asked for the same.
pub const CHUNK_BYTES: usize = 128 << 10;

/// About how many bytes of commits travel together to a far member: others carry them.
const FAR_BYTES: usize = 96 << 10;

/// How many void commits of an agent it is told at most: one that it lacks makes it ask for all.
const VOIDS_TOLD_MAX: usize = 16_384;

/// Tells how far a store is, whatever the hub knew.
///
/// # Errors
/// Where the store cannot be read.
pub fn opened(tracker: &LocalTracker, list: ListId) -> Result<Input, TrackerError> {
    let (frontier, charter) = (tracker.frontier()?, tracker.charter()?);
    Ok(Input::Opened { list, frontier, charter })
}

/// Where a store's own log is, and what tells everybody, where one payload can.
pub type News = ((LogId, Position), Option<Payload>);

/// Returns what is new in a store's own log since the place that was told; `None` where nothing is.
///
/// # Errors
/// Where the store cannot be read.
pub fn news(
    tracker: &LocalTracker,
    told: Option<(LogId, Position)>,
) -> Result<Option<News>, TrackerError> {
    let Some((log, position)) = tracker.own_place()? else { return Ok(None) };
    if told == Some((log, position)) {
        return Ok(None);
    }
    let before = told.filter(|(before, _)| *before == log).map_or(0, |(_, before)| before.number);
    let commit = tracker.commit_at(log, position.number)?;
    let is_alone = position.number == before + 1;
    let payload = commit.and_then(|commit| Payload::announcing(commit, is_alone));
    Ok(Some(((log, position), payload)))
}

/// Judges commits that came by gossip; where there is no store, or it fails, there are no verdicts.
pub fn judge(tracker: Option<&mut LocalTracker>, list: ListId, commits: Vec<Proved>) -> Input {
    let judged = tracker.map(|tracker| tracker.judge(&commits));
    let verdicts = judged.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
        tracing::error!(list = %list.short(), %error, "the store judges no commits");
        Vec::new()
    });
    Input::Judged { list, commits, verdicts }
}

/// Takes statements of the charter; `None` where none is new.
pub fn state(tracker: &mut LocalTracker, list: ListId, statements: &[Signed]) -> Option<Input> {
    let mut are_new = false;
    let known = tracker.charter().unwrap_or_default();
    // Nothing is written for what is here already, however often it is told.
    let is_here = |signed: &&Signed| known.first_unknown(&[signed.hash()]).is_none();
    for statement in statements.iter().filter(|signed| !is_here(signed)) {
        match tracker.admit_statement(statement) {
            Ok(is_new) => are_new |= is_new,
            Err(error) => {
                tracing::warn!(list = %list.short(), %error, "a statement was not taken");
            }
        }
    }
    match tracker.charter() {
        Ok(charter) if are_new => Some(Input::Stated { list, charter, news: None }),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(list = %list.short(), %error, "the charter cannot be read");
            None
        }
    }
}

/// Returns what the hub is to know of the newest statements, which were made here.
pub fn stated(
    tracker: &LocalTracker,
    list: ListId,
    count: usize,
) -> Result<Vec<Input>, TrackerError> {
    let (charter, mut statements) = (tracker.charter()?, tracker.statements()?);
    let made = statements.split_off(statements.len().saturating_sub(count));
    let input = |signed| Input::Stated { list, charter: charter.clone(), news: Some(signed) };
    Ok(made.into_iter().map(input).collect())
}

/// Returns the statements of a charter, for a peer that was a member.
pub fn name_statements(
    tracker: &LocalTracker,
    list: ListId,
    link: LinkId,
) -> Result<Input, TrackerError> {
    Ok(Input::Statements { list, link, statements: tracker.statements()? })
}

/// Returns which role this agent has once the store has dealt with statements.
pub fn statements_kept(tracker: Option<&mut LocalTracker>, list: ListId) -> Input {
    let role = tracker.and_then(|tracker| {
        let role = tracker.charter().map(|charter| charter.role(tracker.agent()?));
        role.unwrap_or_else(|error| {
            tracing::error!(%error, "the charter cannot be read");
            None
        })
    });
    Input::StatementsKept { list, role }
}

/// Redeems a ticket; without a store the list is not here.
pub fn redeem(
    tracker: Option<&mut LocalTracker>,
    list: ListId,
    link: LinkId,
    secret: &[u8; 32],
    public_key: &[u8],
) -> Vec<Input> {
    let welcome = match tracker {
        None => Err(JoinRefusal::Unknown),
        Some(tracker) => match tracker.redeem_ticket(secret, public_key) {
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
    match welcome {
        Ok((welcome, charter)) => {
            let outcome = Ok((welcome.role, welcome.statements));
            vec![
                Input::Stated { list, charter, news: welcome.grant },
                Input::Redeemed { list, link, outcome },
            ]
        }
        Err(why) => vec![Input::Redeemed { list, link, outcome: Err(why) }],
    }
}

/// What became of a piece of an answer to a pull.
#[derive(Debug)]
pub struct Stored {
    /// What the hub is to know.
    pub told: Input,
    /// Whether the charter has more statements now: what this agent wrote before may count under them,
    /// once [`adopt`] wrote it again.
    pub is_stated: bool,
    /// Whether anything in it was new.
    pub is_news: bool,
    /// Why nothing more of the stream is looked at.
    pub stopped_by: Option<TrackerError>,
}

/// Stores a piece of the answer to a pull that `incoming` is in the middle of.
///
/// # Errors
/// Where the store takes nothing.
pub fn receive(
    tracker: &mut LocalTracker,
    incoming: &mut Incoming,
    list: ListId,
    from: AgentId,
    items: Vec<Item>,
) -> Result<Stored, TrackerError> {
    let received = tracker.receive(incoming, items)?;
    let charter = if received.statements > 0 { Some(tracker.charter()?) } else { None };
    let (places, is_stated) = (taken(&received), charter.is_some());
    let is_news = is_stated || !places.is_empty();
    let told = Input::Received { list, from, places, charter };
    Ok(Stored { told, is_stated, is_news, stopped_by: received.stopped_by })
}

fn taken(received: &Received) -> Vec<(LogId, Position)> {
    let of = |(commit, verdict): (&Proved, &Verdict)| {
        matches!(verdict, Verdict::Taken).then(|| (commit.header().log, commit.position()))
    };
    received.commits.iter().zip(&received.verdicts).filter_map(of).collect()
}

/// Tells whether no honest node sends what a stream was stopped by.
pub fn is_breach(error: &TrackerError) -> bool {
    match error {
        TrackerError::Journal(error) => !matches!(
            error,
            JournalError::Unstated { .. }
                | JournalError::Full { .. }
                | JournalError::NotAllowed { .. }
                | JournalError::Missing { .. }
                | JournalError::TooLarge { what: OPEN_HEADERS, .. }
        ),
        _ => false,
    }
}

/// Starts the answer to a pull of somebody who is so far and knows these rules at the most.
///
/// # Errors
/// Where the store cannot be read.
pub fn serve(
    tracker: &LocalTracker,
    standing: &Standing,
    rules: u16,
) -> Result<Outgoing, TrackerError> {
    let knows_charter = tracker.charter()?.heads() == standing.charter;
    Ok(Outgoing::to(standing.frontier(), knows_charter).under(rules))
}

/// Returns the next piece of the answer to a pull: commits, or its end.
///
/// # Errors
/// Where the store cannot be read.
pub fn answer(
    tracker: &LocalTracker,
    outgoing: &mut Outgoing,
    to: AgentId,
) -> Result<Answer, TrackerError> {
    let items = tracker.send(outgoing, CHUNK_BYTES)?;
    if items.is_empty() {
        // Told with the last look for more, so that it names nothing that was not sent.
        let mut standing = standing_for(tracker, to)?;
        outgoing.leave_out_withheld(&mut standing.logs);
        return Ok(Answer::End(standing));
    }
    Ok(Answer::Items(items))
}

/// Returns some of what a far member lacks, about as much as it is sent at once, after so many items that it had
/// already; nothing where it lacks nothing more.
///
/// # Errors
/// Where the store cannot be read.
pub fn answer_far(
    tracker: &LocalTracker,
    standing: &Standing,
    rules: u16,
    skip: u32,
) -> Result<Vec<Item>, TrackerError> {
    let (mut outgoing, mut skip) = (serve(tracker, standing, rules)?, skip as usize);
    loop {
        let mut items = tracker.send(&mut outgoing, FAR_BYTES)?;
        if items.len() > skip || items.is_empty() {
            items.drain(..skip.min(items.len()));
            return Ok(items);
        }
        skip -= items.len();
    }
}

/// Returns how far a store is, and what an agent is to know of its own logs.
fn standing_for(tracker: &LocalTracker, agent: AgentId) -> Result<Standing, TrackerError> {
    let voids = tracker.voids()?.into_iter().filter(|(_, void)| void.log.agent == agent);
    Ok(Standing {
        logs: tracker.frontier()?.0.into_iter().collect(),
        charter: tracker.charter()?.heads(),
        voids: voids
            .map(|(hash, void)| (void.log, void.number, hash))
            .take(VOIDS_TOLD_MAX)
            .collect(),
    })
}

/// Starts the answer to an agent that asks what it wrote that does not count here.
///
/// # Errors
/// Where the store cannot be read.
pub fn lost(tracker: &LocalTracker, agent: AgentId) -> Result<OutgoingLost, TrackerError> {
    tracker.lost_stream(agent)
}

/// Returns the next piece of that answer; `None` at its end.
///
/// # Errors
/// Where the store cannot be read.
pub fn answer_lost(
    tracker: &LocalTracker,
    outgoing: &mut OutgoingLost,
) -> Result<Option<Answer>, TrackerError> {
    let items = tracker.send_lost(outgoing, CHUNK_BYTES)?;
    Ok((!items.is_empty()).then_some(Answer::Items(items)))
}

/// Looks up which commits of some agents are kept as lost.
pub fn name_lost(tracker: &LocalTracker, list: ListId, of: &[AgentId]) -> Vec<Input> {
    let told = of.iter().filter_map(|of| match tracker.lost_places_of(*of, OWN_PLACES_MAX) {
        Ok(places) => (!places.is_empty()).then_some(Input::Lost { list, of: *of, places }),
        Err(error) => {
            tracing::error!(list = %list.short(), %error, "what is kept as lost cannot be read");
            None
        }
    });
    told.collect()
}

/// Keeps what this agent wrote and another store does not count, to write it again; returns what in
/// the answer no honest node sends.
///
/// # Errors
/// Where the store takes nothing.
pub fn take_lost(
    tracker: &mut LocalTracker,
    verifier: &dyn Verifier,
    list: ListId,
    incoming: &mut Incoming,
    items: Vec<Item>,
) -> Result<Option<TrackerError>, TrackerError> {
    if items.is_empty() {
        return Ok(None);
    }
    let charter = tracker.charter()?;
    let (mut commits, mut stopped_by) = (Vec::new(), None);
    for item in items {
        let taken = match item {
            Item::Run(run) => incoming.run(&run, list, &charter, verifier).map(|()| None),
            Item::Body { log, number, body } => incoming.body(log, number, body).map(Some),
            Item::Statement(_) => Ok(None),
        };
        match taken {
            Ok(commit) => commits.extend(commit),
            Err(error) => {
                stopped_by = Some(error.into());
                break;
            }
        }
    }
    tracker.take_lost(&commits)?;
    Ok(stopped_by)
}

/// Settles which branch of a log counts, by headers of the other one.
///
/// # Errors
/// [`TrackerError::Journal`] where the headers prove nothing.
pub fn settle_fork(
    tracker: &mut LocalTracker,
    verifier: &dyn Verifier,
    list: ListId,
    run: &Run,
) -> Result<Settled, TrackerError> {
    let proved = run.clone().prove(list, &*tracker.charter()?, verifier)?;
    tracker.settle_fork(&proved)
}

/// Returns from which number on headers are asked for, where another store has a place in a log that
/// parts from the one here.
pub fn fork_from(theirs: Position) -> u64 {
    theirs.number.saturating_sub(RUN_HEADERS_MAX as u64 - 1).max(1)
}

/// Leaves logs of which another store knows more, or commits that do not count there; tells whether any
/// of these is to be fetched from there.
///
/// # Errors
/// Where the store takes nothing.
pub fn leave_logs(
    tracker: &mut LocalTracker,
    places: &[(LogId, Option<Position>)],
) -> Result<bool, TrackerError> {
    if let Some(own) = tracker.own_log()?
        && places.iter().any(|(log, _)| *log == own)
    {
        // Nothing of it is proved until the commits come, and then the log is left all the same: half of
        // the logs that an agent may have are kept for that.
        let logs = tracker.frontier()?.0.into_keys().filter(|log| log.agent == own.agent).count();
        if logs < LOGS_PER_AGENT_MAX / 2 {
            tracker.abandon_log(own)?;
        }
    }
    let lost: Vec<_> = places.iter().filter_map(|(log, lost)| Some((*log, (*lost)?))).collect();
    tracker.lacks_lost(&lost)
}

/// Returns whose commits count no longer, now that a fork is settled.
pub fn losers(settled: &Settled) -> Vec<AgentId> {
    let Settled::Theirs { retracted, .. } = settled else { return Vec::new() };
    let losers: BTreeSet<AgentId> = retracted.iter().map(|(log, _)| log.agent).collect();
    losers.into_iter().collect()
}

/// Takes the statements that made this agent a member into account: what it wrote before is written
/// again under them.
///
/// # Errors
/// Where the store takes nothing.
pub fn adopt(tracker: &mut LocalTracker, list: ListId) -> Result<(), TrackerError> {
    written_again(list, tracker.adopt(&mut |_| {}))
}

/// Writes again what this agent lost.
///
/// # Errors
/// Where the store takes nothing.
pub fn write_again(tracker: &mut LocalTracker, list: ListId) -> Result<(), TrackerError> {
    written_again(list, tracker.reissue(&mut |_| {}))
}

fn written_again(
    list: ListId,
    outcome: Result<Reissued, TrackerError>,
) -> Result<(), TrackerError> {
    match outcome {
        Ok(Reissued { commits: 0, .. }) => Ok(()),
        Ok(Reissued { commits, issues, .. }) => {
            tracing::info!(list = %list.short(), commits, issues, "lost edits written again");
            Ok(())
        }
        // A reader has nothing to write; a worker that is none any more keeps what it wrote.
        Err(TrackerError::Journal(JournalError::NotAllowed { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}
