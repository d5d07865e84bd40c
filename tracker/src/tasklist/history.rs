//! What became of an issue: its log, which commit carried each change, and earlier states of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{names, row};
use crate::document::steps::Wanted;
use crate::document::{Document, Heads, change_hash};
use crate::id::{CommitHash, DocumentKey, LogId};
use crate::interface::history::{CommitPlace, IssueLog, LogEntry, LogFilter, Moment};
use crate::interface::{Shown, TrackerError};
use crate::journal::commit::{Body, decode_body, decode_header};
use crate::store::{Journal, Reading, Tables};

/// How many commits an ambiguous hash lists.
const CANDIDATES_MAX: usize = 8;

/// Returns what happened to an issue, newest first.
pub(super) fn log(
    reading: &Reading,
    name: &str,
    filter: &LogFilter,
) -> Result<IssueLog, TrackerError> {
    let row = names::row(reading, &names::resolve(reading, name)?)?;
    let document = names::document(reading, row.key)?;
    let wanted = Wanted { field: filter.field.as_deref(), limit: filter.limit };
    let (steps, more) = document.steps(wanted);
    let mut carriers = Carriers::of(reading, row.key)?;
    let mut entries = Vec::with_capacity(steps.len());
    for step in steps {
        let commit = carriers.of_change(step.hash)?;
        entries.push(LogEntry { step, commit });
    }
    let name = names::display_name(reading, &row)?;
    Ok(IssueLog { id: row.id, name, entries, more })
}

/// Returns an issue as it was at some moment.
pub(super) fn show_at(reading: &Reading, name: &str, at: &Moment) -> Result<Shown, TrackerError> {
    let now = names::row(reading, &names::resolve(reading, name)?)?;
    let document = names::document(reading, now.key)?;
    let heads = heads_at(reading, &document, at)?;
    if document.is_unborn_at(&heads) {
        let at = match at {
            Moment::Time(time) => format!("at {time}"),
            Moment::Commit(digits) => format!("at commit {digits}"),
        };
        let begun_at = document.begun_at().map_or_else(String::new, |time| time.to_string());
        return Err(TrackerError::NotYet {
            name: names::display_name(reading, &now)?,
            at,
            begun_at,
        });
    }
    let content = document.read_at(&heads);
    let then = row::of(&content);
    // A name that the issue has no more may be another issue's by now, so it gets no suffix.
    let name = match then.identifier == now.identifier {
        true => names::display_name(reading, &now)?,
        false => then.identifier.clone().unwrap_or_else(|| then.id.clone()),
    };
    let json = Some(row::proved(reading, &content)?.canonical_json());
    Ok(Shown { json, ..Shown::plain(name, then) })
}

fn heads_at(reading: &Reading, document: &Document, at: &Moment) -> Result<Heads, TrackerError> {
    match at {
        Moment::Time(time) => Ok(document.heads_where(|change| change.at <= *time)),
        Moment::Commit(digits) => {
            let (_, log, number) = commit_named(reading, digits)?;
            let known = changes_known_to(reading, document.key(), log, number)?;
            Ok(document.heads_where(|change| known.contains(&change.hash)))
        }
    }
}

/// Returns the one commit whose hash starts with these digits, with its log and number.
pub(super) fn commit_named(
    tables: &impl Tables,
    digits: &str,
) -> Result<(CommitHash, LogId, u64), TrackerError> {
    let found = tables.commits_hashed(digits, CANDIDATES_MAX)?;
    match found.as_slice() {
        [] => Err(TrackerError::NoCommit { name: digits.to_owned() }),
        [only] => Ok(*only),
        several => {
            let candidates = several.iter().map(|(hash, ..)| hash.to_string()).collect();
            Err(TrackerError::Ambiguous { name: digits.to_owned(), candidates })
        }
    }
}

/// Returns the body of a commit that is here.
pub(super) fn body_of(
    tables: &impl Tables,
    log: LogId,
    number: u64,
) -> Result<(CommitHash, Body), TrackerError> {
    let commit = tables.commit_at(log, number)?.ok_or_else(|| TrackerError::Damaged {
        what: "a commit that is listed is missing".to_owned(),
    })?;
    Ok((commit.hash(), decode_body(&commit.body)?))
}

/// Returns the changes of a document that whoever made a commit had once it was made.
fn changes_known_to(
    reading: &Reading,
    key: DocumentKey,
    log: LogId,
    number: u64,
) -> Result<HashSet<[u8; 32]>, TrackerError> {
    let commits = reading.commits_of(key)?;
    let logs = commits.iter().map(|(log, _)| *log).collect();
    let known = positions_known_to(reading, log, number, &logs)?;
    let mut changes = HashSet::new();
    for (log, number) in commits {
        if known.get(&log).is_some_and(|last| number <= *last) {
            let (_, body) = body_of(reading, log, number)?;
            changes.extend(hashes_in(&body, key));
        }
    }
    Ok(changes)
}

/// Returns how far each of some logs was known to whoever made a commit, as its log and those that
/// it names tell.
fn positions_known_to(
    reading: &Reading,
    log: LogId,
    number: u64,
    wanted: &BTreeSet<LogId>,
) -> Result<BTreeMap<LogId, u64>, TrackerError> {
    let mut known: BTreeMap<LogId, u64> = [(log, number)].into();
    let mut open = vec![(log, number)];
    while let Some((log, last)) = open.pop() {
        for number in (1..=last).rev() {
            if wanted.iter().all(|log| known.contains_key(log)) {
                return Ok(known);
            }
            let Some(commit) = reading.commit_at(log, number)? else { continue };
            // Going back, the first mention of a log is the furthest.
            for (other, position) in decode_header(&commit.header)?.after {
                known.entry(other).or_insert_with(|| {
                    open.push((other, position.number));
                    position.number
                });
            }
        }
    }
    Ok(known)
}

/// Returns the hashes of the changes of a document that a commit carries.
pub(super) fn hashes_in(body: &Body, key: DocumentKey) -> Vec<[u8; 32]> {
    let entries = body.entries.iter().filter(|entry| entry.birth.key() == key);
    entries.flat_map(|entry| &entry.changes).filter_map(|bytes| change_hash(bytes)).collect()
}

/// Tells which commit carried a change of a document, reading commits, newest first, only as far as
/// it is asked.
struct Carriers<'a> {
    reading: &'a Reading,
    key: DocumentKey,
    /// Those not read yet, newest last.
    commits: Vec<(LogId, u64)>,
    known: HashMap<[u8; 32], CommitPlace>,
}

impl<'a> Carriers<'a> {
    fn of(reading: &'a Reading, key: DocumentKey) -> Result<Self, TrackerError> {
        Ok(Self { reading, key, commits: reading.commits_of(key)?, known: HashMap::new() })
    }

    fn of_change(&mut self, change: [u8; 32]) -> Result<Option<CommitPlace>, TrackerError> {
        while !self.known.contains_key(&change) {
            let Some((log, number)) = self.commits.pop() else { break };
            let (hash, body) = body_of(self.reading, log, number)?;
            let place = CommitPlace { hash, number };
            self.known.extend(hashes_in(&body, self.key).into_iter().map(|change| (change, place)));
        }
        Ok(self.known.get(&change).copied())
    }
}
