//! Giving commits: what another store lacks, in the order of application here, as a stream of pieces.
//!
//! That order is causal: whatever a commit builds on was applied before it. So the receiver applies
//! each as it comes, and nothing has to wait there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::LocalTracker;
use crate::id::{CommitHash, LogId};
use crate::interface::TrackerError;
use crate::journal::charter::Signed;
use crate::journal::commit::{Commit, Position, RULES_VERSION, SIGNATURE_EVERY, decode_header};
use crate::journal::frontier::Frontier;
use crate::journal::run::Run;
use crate::journal::stream::Item;
use crate::store::{Journal, Meta, Rivals, Sealed, damaged};

/// How many commits are looked up at once.
const COMMITS_AT_ONCE: usize = 256;

/// A stream to another store that is going on. It holds no lock: what is stored meanwhile goes along.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// How far each log is there, what was sent included.
    theirs: Frontier,
    /// Headers of logs that were sent and whose commits were not, the last of them. The receiver bounds
    /// how many it holds.
    announced: BTreeMap<LogId, Announced>,
    /// From which place on the commits were not looked at; `None` before the first piece.
    place: Option<u64>,
    /// The first statement of the charter that the other side is still owed, where it lacks some.
    owes_statements: Option<usize>,
    /// Logs in which the other side has commits that are not ours.
    forked: BTreeMap<LogId, Position>,
    /// The newest rules that the other side knows.
    rules: u16,
    /// From which number on a log is not sent, since the other side could not read it.
    withheld: BTreeMap<LogId, u64>,
}

/// The headers of a run.
#[derive(Clone, Debug)]
struct Announced {
    first: u64,
    hashes: Vec<CommitHash>,
}

impl Outgoing {
    /// Starts a stream to a store whose frontier this is.
    ///
    /// `knows_charter` tells whether the charter there is the one here.
    pub fn to(theirs: Frontier, knows_charter: bool) -> Self {
        Self {
            theirs,
            announced: BTreeMap::new(),
            place: None,
            owes_statements: (!knows_charter).then_some(0),
            forked: BTreeMap::new(),
            rules: RULES_VERSION,
            withheld: BTreeMap::new(),
        }
    }

    /// The same stream to a store that knows these rules at the most: what was written under newer ones,
    /// or builds on that, is not sent.
    pub fn under(self, rules: u16) -> Self {
        Self { rules, ..self }
    }

    /// Puts logs of which something is not sent, since the other side could not read it, where they are
    /// there.
    pub fn leave_out_withheld(&self, logs: &mut Vec<(LogId, Position)>) {
        logs.retain_mut(|(log, at)| {
            if self.withheld.contains_key(log) {
                let there = self.theirs.position(*log);
                *at = there.unwrap_or(*at);
                return there.is_some();
            }
            true
        });
    }

    /// Tells whether the header of a commit was sent in the last run of its log.
    fn is_announced(&self, log: LogId, position: Position) -> bool {
        let hash = self.announced.get(&log).and_then(|announced| {
            let at = position.number.checked_sub(announced.first)?;
            announced.hashes.get(usize::try_from(at).ok()?)
        });
        hash == Some(&position.hash)
    }

    fn announce(&mut self, log: LogId, first: u64, run: &Run) {
        let hashes = run.headers.iter().map(|header| CommitHash::of(header)).collect();
        self.announced.insert(log, Announced { first, hashes });
    }

    /// Notes that a commit was sent, whose header was before.
    fn sent(&mut self, log: LogId, position: Position) {
        self.theirs.0.insert(log, position);
        let is_last = self.announced.get(&log).is_some_and(|announced| {
            announced.first + announced.hashes.len() as u64 == position.number + 1
        });
        if is_last {
            self.announced.remove(&log);
        }
    }

    /// Tells whether the other side can take a commit, and remembers it where it cannot.
    fn is_readable(&mut self, header: &[u8]) -> Result<bool, TrackerError> {
        let header = decode_header(header)?;
        let is_newer = header.rules > self.rules
            || header.after.iter().any(|(log, position)| {
                self.withheld.get(log).is_some_and(|first| *first <= position.number)
            });
        if is_newer {
            self.withheld.insert(header.log, header.number);
        }
        Ok(!is_newer)
    }

    /// Returns the logs of which the other side has a commit that is not the one here, with that
    /// commit's place; nothing of them is sent.
    pub fn forked(&self) -> &BTreeMap<LogId, Position> {
        &self.forked
    }
}

impl LocalTracker {
    /// Returns the next pieces of a stream, of about `bytes_max` bytes; none once the other side has
    /// everything.
    pub fn send(
        &self,
        outgoing: &mut Outgoing,
        bytes_max: usize,
    ) -> Result<Vec<Item>, TrackerError> {
        let reading = self.store.read()?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        if let Some(from) = outgoing.owes_statements.take() {
            let statements: Vec<Signed> = reading.statements()?;
            for (at, statement) in statements.into_iter().enumerate().skip(from) {
                if bytes >= bytes_max {
                    outgoing.owes_statements = Some(at);
                    return Ok(items);
                }
                let item = Item::Statement(statement);
                bytes += item.bytes();
                items.push(item);
            }
        }
        if outgoing.place.is_none() {
            outgoing.place = Some(first_lacking(&reading, outgoing)?);
        }
        while bytes < bytes_max {
            let found = next_lacking(&reading, outgoing)?;
            if found.is_empty() {
                break;
            }
            for (place, log, number) in found {
                if bytes >= bytes_max {
                    break;
                }
                outgoing.place = Some(place + 1);
                let commit = reading.commit_at(log, number)?;
                let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
                if outgoing.withheld.contains_key(&log) || !outgoing.is_readable(&commit.header)? {
                    continue;
                }
                let position = Position { number, hash: commit.hash() };
                // Another branch may count by now than when its headers were sent.
                if !outgoing.is_announced(log, position) {
                    let run = run_from(&reading, log, number)?;
                    outgoing.announce(log, number, &run);
                    bytes += run.bytes();
                    items.push(Item::Run(run));
                }
                outgoing.sent(log, position);
                let item = Item::Body { log, number, body: commit.body };
                bytes += item.bytes();
                items.push(item);
            }
        }
        Ok(items)
    }

    /// Returns the log that this store writes, and where it is; `None` before the first edit.
    pub fn own_place(&self) -> Result<Option<(LogId, Position)>, TrackerError> {
        let reading = self.store.read()?;
        let Some(log) = reading.own_log()? else { return Ok(None) };
        Ok(reading.frontier()?.position(log).map(|position| (log, position)))
    }

    /// Returns a commit, with its signature where that is kept.
    pub fn commit_at(&self, log: LogId, number: u64) -> Result<Option<Commit>, TrackerError> {
        self.store.read()?.commit_at(log, number)
    }

    /// Returns headers of a log from a number on, up to a signature: what proves the commit with that
    /// number. Where the log ends before it, those of a void commit that was signed for that place, if
    /// one is known: whoever counts another one there has to settle that. Else `None`.
    pub fn headers(&self, log: LogId, from: u64) -> Result<Option<Run>, TrackerError> {
        let reading = self.store.read()?;
        match reading.commit_at(log, from)? {
            Some(_) => run_from(&reading, log, from).map(Some),
            None => {
                let before = reading.commit_at(log, from.saturating_sub(1))?;
                let rival = reading.rival(log, from, before.map(|commit| commit.hash()))?;
                Ok(rival.map(|rival| rival.run))
            }
        }
    }

    /// Returns commits that another store lacks, in the order of application here, at most `limit`.
    ///
    /// Only commits whose signature is kept can be proved one by one; the newest of each log is.
    pub fn commits_after(
        &self,
        theirs: &Frontier,
        limit: usize,
    ) -> Result<Vec<Sealed>, TrackerError> {
        self.store.read()?.commits_after(theirs, limit)
    }
}

/// Finds the place of the first commit that the other side lacks, and logs that forked.
fn first_lacking(reading: &impl Journal, outgoing: &mut Outgoing) -> Result<u64, TrackerError> {
    let mut first = u64::MAX;
    for (log, here) in reading.frontier()?.0 {
        let number = match outgoing.theirs.position(log) {
            Some(theirs) if theirs.number > here.number => continue,
            Some(theirs) => {
                let commit = reading.commit_at(log, theirs.number)?;
                if commit.is_none_or(|commit| commit.hash() != theirs.hash) {
                    outgoing.forked.insert(log, theirs);
                    continue;
                }
                theirs.number + 1
            }
            None => 1,
        };
        if number <= here.number {
            let commit = reading.commit_at(log, number)?;
            let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
            let place = reading.place_of_commit(commit.hash())?;
            first = first.min(place.ok_or_else(|| damaged("the order of commits"))?);
        }
    }
    Ok(first)
}

/// Finds the next commits that the other side lacks: place, log and number.
fn next_lacking(
    reading: &impl Journal,
    outgoing: &mut Outgoing,
) -> Result<Vec<(u64, LogId, u64)>, TrackerError> {
    let mut found: Vec<(u64, LogId, u64)> = Vec::new();
    let mut looked = outgoing.place.unwrap_or(0);
    reading.visit_order(looked, &mut |place, log, number| {
        looked = place + 1;
        let has = outgoing.theirs.position(log).is_some_and(|theirs| theirs.number >= number);
        let is_left_out =
            outgoing.forked.contains_key(&log) || outgoing.withheld.contains_key(&log);
        if !has && !is_left_out {
            found.push((place, log, number));
        }
        let go_on = found.len() < COMMITS_AT_ONCE;
        Ok(if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    if found.is_empty() {
        outgoing.place = Some(looked);
    }
    Ok(found)
}

/// Returns the headers of a log from a number on, up to the next signature that is kept.
pub(super) fn run_from(reading: &impl Journal, log: LogId, from: u64) -> Result<Run, TrackerError> {
    let mut headers = Vec::new();
    for number in from..from.saturating_add(SIGNATURE_EVERY) {
        let Some((header, signature)) = reading.header_at(log, number)? else { break };
        headers.push(header);
        if let Some(signature) = signature {
            return Ok(Run { headers, signature });
        }
    }
    let rest = reading.rest(log)?.ok_or_else(|| damaged("the signature of a log"))?;
    headers.extend(rest.headers);
    Ok(Run { headers, signature: rest.signature })
}
