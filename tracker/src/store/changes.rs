//! What writings change, kept for whoever tells others of it: the rows of issues before and after, and
//! whether the charter grew. Not: what that means.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::RecordHash;
use crate::interface::claims::Note;
use crate::interface::report::{Held, Row};

/// How many changes are kept at most until they are taken; of more it is only known that there were.
pub const CHANGES_MAX: usize = 4_096;

/// One change of one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row before; `None` where the issue is new here.
    pub before: Option<Row>,
    /// The row now; `None` where the issue is not here any more, since what made it does not count.
    pub after: Option<Row>,
    /// What the rows do not say.
    pub outcome: Outcome,
}

/// What became of claims in a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The claim whose handoff counts now; the newest.
    pub handed_off: Option<Held>,
    /// How claims ended that held the issue before, by whom, and why.
    pub ended: Vec<(RecordHash, &'static str, Note)>,
    /// Who opened the issue again, and why.
    pub reopened: Option<Note>,
}

impl Outcome {
    /// Adds what came after.
    fn follow(&mut self, later: Self) {
        let Self { handed_off, ended, reopened } = later;
        self.handed_off = handed_off.or(self.handed_off.take());
        self.ended.extend(ended);
        self.reopened = reopened.or(self.reopened.take());
    }
}

impl Change {
    /// Returns the claim that held the issue before, and the one that does now.
    pub fn claims(&self) -> (Option<RecordHash>, Option<RecordHash>) {
        let held = |row: &Option<Row>| Some(row.as_ref()?.held.as_ref()?.claim);
        (held(&self.before), held(&self.after))
    }
}

/// What became of promises not to claim an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromiseNews {
    /// This store's agent is on the slate of a claim of another, which holds an issue here now.
    Given(RecordHash),
    /// A claim holds its issue no more.
    Over(RecordHash),
    /// Another agent promised.
    Heard(RecordHash),
}

/// What was changed since it was last asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes of issues, in order.
    pub issues: Vec<Change>,
    /// Whether there were more than [`CHANGES_MAX`].
    pub is_cut: bool,
    /// How many statements of the charter are new.
    pub statements: usize,
    /// Claims of this store's agent whose holders asked for a beat, each with its time to live in
    /// milliseconds; no more than [`CHANGES_MAX`].
    pub beats: Vec<(RecordHash, u64)>,
    /// What became of promises, in order; no more than [`CHANGES_MAX`].
    pub promises: Vec<PromiseNews>,
}

impl Changes {
    /// Tells whether there were none.
    pub fn is_empty(&self) -> bool {
        let has_beats = !self.beats.is_empty() || !self.promises.is_empty();
        self.issues.is_empty() && !self.is_cut && self.statements == 0 && !has_beats
    }

    fn add(&mut self, change: Change) {
        if self.issues.len() < CHANGES_MAX {
            self.issues.push(change);
        } else {
            self.is_cut = true;
        }
    }
}

/// The changes that were written, and not asked for yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched(Arc<Mutex<Changes>>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        // Whoever panicked while holding it leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut self.lock())
    }
}

/// The changes of a writing that is going on; dropped with it, they never were.
#[derive(Debug)]
pub(super) struct Pending {
    watched: Watched,
    changes: RefCell<Changes>,
}

impl Pending {
    pub(super) fn of(watched: &Watched) -> Self {
        Self { watched: watched.clone(), changes: RefCell::default() }
    }

    /// Adds a change of an issue; one of the same issue as the last goes on from there.
    pub(super) fn add(&self, before: Option<Row>, after: Option<Row>) {
        let key_of = |before: &Option<Row>, after: &Option<Row>| {
            before.as_ref().or(after.as_ref()).map(|row| row.key)
        };
        let key = key_of(&before, &after);
        let mut changes = self.changes.borrow_mut();
        match changes.issues.last_mut() {
            Some(last) if key_of(&last.before, &last.after) == key => last.after = after,
            _ => changes.add(Change { before, after, outcome: Outcome::default() }),
        }
    }

    /// Adds what became of claims in the change that was added last.
    pub(super) fn add_outcome(&self, outcome: Outcome) {
        if let Some(last) = self.changes.borrow_mut().issues.last_mut() {
            last.outcome.follow(outcome);
        }
    }

    pub(super) fn note_statement(&self) {
        self.changes.borrow_mut().statements += 1;
    }

    pub(super) fn note_beat(&self, claim: RecordHash, ttl_ms: u64) {
        self.changes.borrow_mut().beats.push((claim, ttl_ms));
    }

    pub(super) fn note_promise(&self, news: PromiseNews) {
        self.changes.borrow_mut().promises.push(news);
    }

    /// Notes that it was written.
    pub(super) fn written(self) {
        let Changes { issues, is_cut, statements, beats, promises } = self.changes.into_inner();
        let mut written = self.watched.lock();
        issues.into_iter().for_each(|change| written.add(change));
        written.is_cut |= is_cut;
        written.statements += statements;
        let room = CHANGES_MAX.saturating_sub(written.beats.len());
        written.beats.extend(beats.into_iter().take(room));
        let room = CHANGES_MAX.saturating_sub(written.promises.len());
        written.promises.extend(promises.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DocumentKey;

    fn row(key: u8, title: &str) -> Option<Row> {
        let key = DocumentKey([key; 32]);
        Some(Row { key, title: title.to_owned(), ..crate::testing::row() })
    }

    #[test]
    fn what_one_writing_does_to_an_issue_is_one_change_and_a_writing_given_up_is_none() {
        let watched = Watched::default();
        let pending = Pending::of(&watched);
        pending.add(row(1, "a"), None);
        pending.add(None, row(1, "b"));
        pending.add(None, row(2, "c"));
        pending.note_statement();
        drop(Pending::of(&watched));
        assert!(watched.take().is_empty());
        pending.written();
        let changes = watched.take();
        let change = |before, after| Change { before, after, outcome: Outcome::default() };
        assert_eq!(changes.issues, [change(row(1, "a"), row(1, "b")), change(None, row(2, "c"))]);
        assert!(changes.statements == 1 && !changes.is_cut && watched.take().is_empty());
    }

    #[test]
    fn more_changes_than_are_kept_are_told_as_such() {
        let watched = Watched::default();
        for key in [1, 2] {
            let pending = Pending::of(&watched);
            for _ in 0..CHANGES_MAX {
                pending.add(row(key, "a"), row(key, "b"));
                pending.add(row(9, "a"), row(9, "b"));
            }
            pending.written();
        }
        let changes = watched.take();
        assert!(changes.is_cut && changes.issues.len() == CHANGES_MAX);
    }
}
