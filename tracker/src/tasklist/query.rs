//! Answering from rows: lists, what is ready and why not, counts. Opens no document.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use data_encoding::HEXLOWER;

use super::names;
use crate::blocker;
use crate::interface::TrackerError;
use crate::interface::report::{Agenda, Named, Reason, Row, Shown, Stats, Waiting};
use crate::interface::request::Filter;
use crate::issue::as_text;
use crate::state::{self, State};
use crate::store::{CreatedBytes, Reading, Rows, Table, Tables, created_bytes};
use crate::timestamp;

/// Visits the issues that a filter lets pass; returns a cursor where more would follow.
pub(super) fn list(
    reading: &Reading,
    filter: &Filter,
    visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
) -> Result<Option<String>, TrackerError> {
    let sieve = Sieve::of(filter)?;
    let after = filter.after.as_deref().map(read_cursor).transpose()?;
    let (mut passed, mut last, mut cursor) = (0, None, None);
    reading.visit_rows(after.as_deref(), &mut |key, row| {
        if !sieve.passes(reading, &row)? {
            return Ok(ControlFlow::Continue(()));
        }
        if filter.limit.is_some_and(|limit| passed >= limit) {
            cursor = last.take();
            return Ok(ControlFlow::Break(()));
        }
        passed += 1;
        let name = names::display_name(reading, &row)?;
        let shown = shown(reading, row, name, filter.with_json)?;
        last = Some(HEXLOWER.encode(key));
        Ok(visit(&shown))
    })?;
    Ok(cursor)
}

/// Returns what is ready, in the order of dispatch, and why other open issues are not.
pub(super) fn agenda(reading: &Reading, filter: &Filter) -> Result<Agenda, TrackerError> {
    let sieve = Sieve::of(filter)?;
    let rows = dated_rows(reading)?;
    let board = Board::of(&rows);
    let rings = board.rings(reading)?;
    let mut agenda = Agenda {
        cycles: rings.iter().map(|ring| ring.names.clone()).collect(),
        ..Agenda::default()
    };
    let mut order: Vec<usize> = (0..board.rows.len()).collect();
    order.sort_by(|a, b| dispatch_order(&board.rows[*a], &board.rows[*b]));
    for at in order {
        let (_, row) = &board.rows[at];
        if row.deleted || state::is_terminal(row.state.as_deref()) {
            continue;
        }
        let reason = board.reason(reading, at, &rings)?;
        if reason.is_none() && filter.limit.is_some_and(|limit| agenda.ready.len() >= limit) {
            continue;
        }
        if !sieve.passes(reading, row)? {
            continue;
        }
        let name = board.name(reading, at)?;
        match reason {
            None => agenda.ready.push(shown(reading, row.clone(), name, filter.with_json)?),
            Some(reason) => {
                let issue = Shown { name, row: row.clone(), json: None };
                agenda.waiting.push(Waiting { issue, reason });
            }
        }
    }
    Ok(agenda)
}

/// Returns counts over all issues.
pub(super) fn stats(reading: &Reading) -> Result<Stats, TrackerError> {
    let rows = dated_rows(reading)?;
    let board = Board::of(&rows);
    let rings = board.rings(reading)?;
    let mut stats = Stats { commits: reading.len(Table::Commits)?, ..Stats::default() };
    for (at, (_, row)) in board.rows.iter().enumerate() {
        if row.deleted {
            stats.deleted += 1;
            continue;
        }
        stats.issues += 1;
        *stats.by_state.entry(row.state.clone().unwrap_or_default()).or_default() += 1;
        *stats.by_priority.entry(row.priority).or_default() += 1;
        stats.conflicts += u64::from(row.conflicts > 0);
        stats.comments += u64::from(row.comments);
        let is_open = !state::is_terminal(row.state.as_deref());
        if is_open && board.reason(reading, at, &rings)?.is_none() {
            stats.ready += 1;
        }
    }
    Ok(stats)
}

/// Compares issues in the order in which work is handed out: priority 1 to 4, then the rest; oldest
/// first; then by identifier.
fn dispatch_order((made_a, a): &Dated, (made_b, b): &Dated) -> Ordering {
    let rank = |row: &Row| row.priority.filter(|priority| (1..=4).contains(priority)).unwrap_or(5);
    fn name(row: &Row) -> &str {
        row.identifier.as_deref().unwrap_or(&row.id)
    }
    rank(a)
        .cmp(&rank(b))
        .then_with(|| made_a.cmp(made_b))
        .then_with(|| name(a).cmp(name(b)))
        .then_with(|| a.key.cmp(&b.key))
}

/// A row, after its time of creation as bytes that sort by it.
type Dated = (CreatedBytes, Row);

/// Every row, and how names lead to rows.
struct Board<'a> {
    rows: &'a [Dated],
    named: HashMap<&'a str, usize>,
    /// Names that several issues have.
    shared: HashSet<&'a str>,
}

struct Ring {
    members: Vec<usize>,
    names: Vec<String>,
}

fn dated_rows(reading: &Reading) -> Result<Vec<Dated>, TrackerError> {
    let mut rows = Vec::new();
    reading.visit_rows(None, &mut |key, row| {
        rows.push((created_bytes(key), row));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(rows)
}

impl<'a> Board<'a> {
    fn of(rows: &'a [Dated]) -> Self {
        let mut named = HashMap::with_capacity(rows.len() * 2);
        let mut shared = HashSet::new();
        // An id counts before an identifier that is spelled alike, so ids come last.
        let identifiers = rows.iter().map(|(_, row)| row.identifier.as_deref()).enumerate();
        let ids = rows.iter().map(|(_, row)| Some(row.id.as_str())).enumerate();
        for (at, name) in identifiers.chain(ids) {
            let Some(name) = name else { continue };
            if named.insert(name, at).is_some_and(|other| other != at) {
                shared.insert(name);
            }
        }
        Self { rows, named, shared }
    }

    /// Returns the name to call an issue by.
    fn name(&self, reading: &Reading, at: usize) -> Result<String, TrackerError> {
        let (_, row) = &self.rows[at];
        let name = row.identifier.as_deref().unwrap_or(&row.id);
        if self.shared.contains(name) {
            return names::display_name(reading, row);
        }
        Ok(name.to_owned())
    }

    /// Tells whether the issue of this name holds nobody up any more; where several have the name,
    /// whether none of them does.
    fn is_settled(&self, name: &str) -> bool {
        let is_over = |row: &Row| row.deleted || state::is_terminal(row.state.as_deref());
        if self.shared.contains(name) {
            let has_name = |row: &Row| row.id == name || row.identifier.as_deref() == Some(name);
            return self.rows.iter().all(|(_, row)| !has_name(row) || is_over(row));
        }
        self.named.get(name).is_some_and(|&at| is_over(&self.rows[at].1))
    }

    fn rings(&self, reading: &Reading) -> Result<Vec<Ring>, TrackerError> {
        let mut edges: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, (_, row)) in self.rows.iter().enumerate() {
            let is_open = !row.deleted && !state::is_terminal(row.state.as_deref());
            for name in row.blocked_by.iter().filter(|name| is_open && !self.is_settled(name)) {
                if let Some(&target) = self.named.get(name.as_str()) {
                    edges.entry(at).or_default().push(target);
                }
            }
        }
        blocker::cycles(&edges)
            .into_iter()
            .map(|members| {
                let names =
                    members.iter().map(|&at| self.name(reading, at)).collect::<Result<_, _>>()?;
                Ok(Ring { members, names })
            })
            .collect()
    }

    /// Returns why an open issue is not ready; `None` where it is.
    fn reason(
        &self,
        reading: &Reading,
        at: usize,
        rings: &[Ring],
    ) -> Result<Option<Reason>, TrackerError> {
        let (_, row) = &self.rows[at];
        if row.state.as_deref().and_then(State::parse) != Some(State::Todo) {
            return Ok(Some(Reason::State(row.state.clone())));
        }
        if let Some(ring) = rings.iter().find(|ring| ring.members.contains(&at)) {
            return Ok(Some(Reason::Cycle(ring.names.clone())));
        }
        let mut blockers = Vec::new();
        for name in row.blocked_by.iter().filter(|name| !self.is_settled(name)) {
            blockers.push(match self.named.get(name.as_str()) {
                Some(&other) => Named {
                    name: self.name(reading, other)?,
                    state: self.rows[other].1.state.clone(),
                    known: true,
                },
                None => Named { name: name.clone(), state: None, known: false },
            });
        }
        Ok((!blockers.is_empty()).then_some(Reason::BlockedBy(blockers)))
    }
}

/// A filter, ready to be applied.
struct Sieve<'a> {
    filter: &'a Filter,
    states: Vec<String>,
    labels: Vec<String>,
    text: Option<String>,
}

impl<'a> Sieve<'a> {
    fn of(filter: &'a Filter) -> Result<Self, TrackerError> {
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
            text: filter.text.as_ref().map(|text| text.to_lowercase()),
        })
    }

    fn passes(&self, reading: &Reading, row: &Row) -> Result<bool, TrackerError> {
        if !self.passes_row(row) {
            return Ok(false);
        }
        let Some(text) = &self.text else { return Ok(true) };
        Ok(reading.view(row.key)?.is_some_and(|json| holds_text(&json, text)))
    }

    fn passes_row(&self, row: &Row) -> bool {
        let filter = self.filter;
        let state = row.state.as_deref().unwrap_or("").trim().to_lowercase();
        let starts = |value: &Option<String>, wanted: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|w| value.as_ref().is_some_and(|v| v.starts_with(w.as_str())))
        };
        (filter.deleted || !row.deleted)
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
    reading: &Reading,
    row: Row,
    name: String,
    with_json: bool,
) -> Result<Shown, TrackerError> {
    let json = if with_json { reading.view(row.key)? } else { None };
    Ok(Shown { name, row, json })
}

/// Tells whether title, description or a comment holds `text`, which is in lower case.
fn holds_text(json: &str, text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Texts<'a> {
        #[serde(borrow)]
        title: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow)]
        description: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow)]
        comments: Option<&'a serde_json::value::RawValue>,
    }
    let Ok(texts) = serde_json::from_str::<Texts<'_>>(json) else { return false };
    let holds = |json: &str| as_text(json).is_some_and(|value| value.to_lowercase().contains(text));
    let body_holds = |comment: &String| {
        let comment: Option<serde_json::Value> = serde_json::from_str(comment).ok();
        let body = comment.as_ref().and_then(|comment| comment.get("body")?.as_str());
        body.is_some_and(|body| body.to_lowercase().contains(text))
    };
    [texts.title, texts.description].into_iter().flatten().any(|value| holds(value.get()))
        || texts
            .comments
            .is_some_and(|list| crate::issue::elements_of(list.get()).iter().any(body_holds))
}

fn read_cursor(cursor: &str) -> Result<Vec<u8>, TrackerError> {
    HEXLOWER.decode(cursor.as_bytes()).map_err(|_| TrackerError::Invalid {
        field: "cursor".to_owned(),
        reason: format!("'{cursor}' is not a cursor"),
        hint: "use `next_cursor` of the page before as it stands".to_owned(),
    })
}
