//! Answering from rows: lists, what is ready and why not, counts. Opens no document.

use std::ops::ControlFlow;

use data_encoding::HEXLOWER;

use super::board::Board;
use super::search::Found;
use super::watching::{Outlook, Watching};
use super::{names, search};
use crate::interface::ClaimStats;
use crate::interface::TrackerError;
use crate::interface::report::{Agenda, Open, Row, Shown, Stats, Tally, Waiting};
use crate::interface::request::Filter;
use crate::store::{Reading, Rows, Table, Tables};
use crate::timestamp;

/// Visits the issues that a filter lets pass; returns a cursor where more would follow.
pub(super) fn list(
    reading: &Reading,
    filter: &Filter,
    outlook: Outlook,
    visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
) -> Result<Option<String>, TrackerError> {
    let sieve = Sieve::of(reading, filter)?;
    let watching = Watching::of(reading, outlook);
    let after = filter.after.as_deref().map(read_cursor).transpose()?;
    let (mut passed, mut last, mut cursor) = (0, None, None);
    let mut each = |key: &[u8], row: Row| {
        if !sieve.passes(&row) {
            return Ok(ControlFlow::Continue(()));
        }
        if filter.limit.is_some_and(|limit| passed >= limit) {
            cursor = last.take();
            return Ok(ControlFlow::Break(()));
        }
        passed += 1;
        let name = names::display_name(reading, &row)?;
        let shown = shown(&watching, row, name, filter.with_json)?;
        last = Some(HEXLOWER.encode(key));
        Ok(visit(&shown))
    };
    let Some(found) = &sieve.found else {
        reading.visit_rows(after.as_deref(), &mut each)?;
        return Ok(cursor);
    };
    for key in found.rows.iter().filter(|key| after.as_ref().is_none_or(|after| *key > after)) {
        if each(key, names::row(reading, key)?)?.is_break() {
            break;
        }
    }
    Ok(cursor)
}

/// Visits the open issues in the order of dispatch: what is ready, at most as many as the filter
/// wants, and why others are not.
pub(super) fn agenda(
    reading: &Reading,
    filter: &Filter,
    outlook: Outlook,
    visit: &mut dyn FnMut(Open) -> ControlFlow<()>,
) -> Result<Agenda, TrackerError> {
    let sieve = Sieve::of(reading, filter)?;
    let watching = Watching::of(reading, outlook);
    let board = Board::read(reading)?;
    let rings = board.rings(reading)?;
    let mut agenda = Agenda::default();
    for at in board.in_order()? {
        if board.is_over(at) {
            continue;
        }
        let row = board.row(at)?;
        let reason = board.reason(&watching, at, &row, &rings)?;
        let is_full = filter.limit.is_some_and(|limit| agenda.ready >= limit as u64);
        if reason.is_none() && is_full || !sieve.passes(&row) {
            continue;
        }
        if reason.is_some() && !filter.explain {
            agenda.waiting += 1;
            continue;
        }
        let name = board.display_name(reading, &row)?;
        let open = match reason {
            None => {
                agenda.ready += 1;
                Open::Ready(shown(&watching, row, name, filter.with_json)?)
            }
            Some(reason) => {
                agenda.waiting += 1;
                Open::Waiting(Waiting { issue: Shown::plain(name, row), reason })
            }
        };
        if visit(open).is_break() {
            break;
        }
    }
    agenda.cycles = rings.into_iter().map(|ring| ring.names).collect();
    Ok(agenda)
}

/// Returns counts over all issues.
pub(super) fn stats(reading: &Reading, outlook: Outlook) -> Result<Stats, TrackerError> {
    let board = Board::read(reading)?;
    let rings = board.rings(reading)?;
    let watching = Watching::of(reading, outlook);
    let mut stats = Stats { commits: reading.len(Table::Commits)?, ..Stats::default() };
    for at in 0..board.len() {
        let row = board.row(at)?;
        if row.deleted {
            stats.deleted += 1;
            continue;
        }
        if !board.is_over(at) && board.reason(&watching, at, &row, &rings)?.is_none() {
            stats.ready += 1;
        }
        stats.issues += 1;
        count(&mut stats.claims, &watching, &row)?;
        *stats.by_state.entry(row.state.unwrap_or_default()).or_default() += 1;
        *stats.by_priority.entry(row.priority).or_default() += 1;
        stats.conflicts += u64::from(row.conflicts > 0);
        stats.comments += u64::from(row.comments);
    }
    Ok(stats)
}

/// Adds what workers did on one issue.
fn count(
    stats: &mut ClaimStats,
    watching: &Watching<'_, Reading>,
    row: &Row,
) -> Result<(), TrackerError> {
    let Tally { claims, takeovers, abandons, handoffs, rework, .. } = row.tally;
    stats.claims += u64::from(claims);
    stats.takeovers += u64::from(takeovers);
    stats.abandons += u64::from(abandons);
    stats.handoffs += u64::from(handoffs);
    stats.rework += u64::from(rework);
    if let Some(watch) = watching.watch(row)? {
        stats.held += 1;
        stats.stale += u64::from(watch.is_stale);
    }
    Ok(())
}

/// Tells whether a filter lets an issue pass.
pub(super) fn lets_pass(
    reading: &Reading,
    filter: &Filter,
    row: &Row,
) -> Result<bool, TrackerError> {
    Ok(Sieve::of(reading, filter)?.passes(row))
}

/// A filter, ready to be applied.
struct Sieve<'a> {
    filter: &'a Filter,
    states: Vec<String>,
    labels: Vec<String>,
    /// The issues that hold the text that is looked for.
    found: Option<Found>,
}

impl<'a> Sieve<'a> {
    fn of(reading: &Reading, filter: &'a Filter) -> Result<Self, TrackerError> {
        if let Some(since) = &filter.updated_since
            && timestamp::Timestamp::parse(since).is_none()
        {
            return Err(TrackerError::Invalid {
                field: "updated_since".to_owned(),
                reason: format!("'{since}' is not a time"),
                hint: "give RFC 3339, as in 2026-05-01T20:35:00Z".to_owned(),
            });
        }
        let lower = |texts: &[String]| texts.iter().map(|t| t.trim().to_lowercase()).collect();
        Ok(Self {
            filter,
            states: lower(&filter.states),
            labels: lower(&filter.labels),
            found: filter.text.as_ref().map(|text| search::matching(reading, text)).transpose()?,
        })
    }

    fn passes(&self, row: &Row) -> bool {
        let filter = self.filter;
        let state = row.state.as_deref().unwrap_or("").trim().to_lowercase();
        let starts = |value: &Option<String>, wanted: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|w| value.as_ref().is_some_and(|v| v.starts_with(w.as_str())))
        };
        self.found.as_ref().is_none_or(|found| found.keys.contains(&row.key))
            && (filter.deleted || !row.deleted)
            && (self.states.is_empty() || self.states.contains(&state))
            && self.labels.iter().all(|label| row.labels.iter().any(|l| l.to_lowercase() == *label))
            && (filter.priorities.is_empty() || filter.priorities.contains(&row.priority))
            && starts(&row.holder, &filter.holder)
            && filter.assignee.as_ref().is_none_or(|who| row.assignee.as_ref() == Some(who))
            && filter.updated_since.as_ref().is_none_or(|since| {
                row.updated_at.as_ref().is_some_and(|at| timestamp::compare(at, since).is_ge())
            })
    }
}

fn shown(
    watching: &Watching<'_, Reading>,
    row: Row,
    name: String,
    with_json: bool,
) -> Result<Shown, TrackerError> {
    let json = if with_json { watching.tables().view(row.key)? } else { None };
    let (watch, rest_left_ms) = (watching.watch(&row)?, watching.rest_left_ms(&row)?);
    Ok(Shown { json, watch, rest_left_ms, ..Shown::plain(name, row) })
}

fn read_cursor(cursor: &str) -> Result<Vec<u8>, TrackerError> {
    HEXLOWER.decode(cursor.as_bytes()).map_err(|_| TrackerError::Invalid {
        field: "cursor".to_owned(),
        reason: format!("'{cursor}' is not a cursor"),
        hint: "use `next_cursor` of the page before as it stands".to_owned(),
    })
}
