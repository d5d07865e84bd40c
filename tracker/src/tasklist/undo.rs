//! Taking changes back by ordinary edits: the newest change of an issue, or all that a commit did.

use std::collections::BTreeMap;

use super::edition::Edition;
use super::{Host, date, fields, history, may_rule, names};
use crate::document::reversal::{Left, Reversal};
use crate::document::steps::{FieldEdit, Wanted};
use crate::id::DocumentKey;
use crate::interface::history::{CommitPlace, Share, Undo, UndoReport, Undone, is_commit};
use crate::interface::{Shown, TrackerError};
use crate::journal::JournalError;
use crate::store::{Journal, Reading, Rows, Store, row_key};

/// What is to be taken back.
struct Target {
    commit: Option<CommitPlace>,
    /// Documents with the row of each and the changes meant.
    issues: Vec<(DocumentKey, Vec<u8>, Vec<[u8; 32]>)>,
}

/// The fields of which it depends on the other issues whether a value is good.
const CHECKED: [&str; 2] = ["identifier", "blocked_by"];

/// What no edit may write, whatever it was before, by document and field, and why.
type Refused = BTreeMap<(DocumentKey, &'static str), String>;

/// Takes back what is asked for; everything is written, or nothing.
pub(super) fn run(
    store: &Store,
    host: &Host,
    undo: &Undo,
    progress: &mut dyn FnMut(Share),
) -> Result<UndoReport, TrackerError> {
    let reading = store.read()?;
    let target = target(&reading, undo.what.trim())?;
    let mut refused = Refused::new();
    // Whether a field fits beside the other issues is known once all are restored. What does not
    // fit is left out in the next round, and so at most each field once.
    let (edition, issues) = loop {
        let mut edition = Edition::start(store, host)?;
        let issues = take_all_back(&mut edition, &target, undo, &refused, progress)?;
        let misfits = misfits(&edition, &target, &issues)?;
        if misfits.is_empty() {
            break (edition, issues);
        }
        refused.extend(misfits);
    };
    let report = UndoReport { commit: target.commit, issues };
    if report.issues.iter().all(|issue| issue.restored.is_empty()) {
        let left: Vec<(String, Left)> = report
            .issues
            .iter()
            .flat_map(|undone| {
                undone.left.iter().map(|left| (undone.issue.name.clone(), left.clone()))
            })
            .collect();
        return if left.is_empty() { Ok(report) } else { Err(TrackerError::WrittenSince { left }) };
    }
    if !undo.dry_run {
        edition.finish()?;
    }
    Ok(report)
}

/// Returns what a text means: an issue, or a commit.
fn target(reading: &Reading, what: &str) -> Result<Target, TrackerError> {
    let digits = what.to_ascii_lowercase();
    let may_be_commit = is_commit(what) && reading.rows_named(what)?.is_empty();
    let issue = names::resolve(reading, what);
    if !may_be_commit || reading.commits_hashed(&digits, 1)?.is_empty() {
        let row_key = match issue {
            Err(TrackerError::NotFound { name }) if may_be_commit => {
                return Err(TrackerError::NoCommit { name });
            }
            issue => issue?,
        };
        return newest_of(reading, row_key);
    }
    let (hash, log, number) = history::commit_named(reading, &digits)?;
    match issue {
        Err(TrackerError::NotFound { .. }) => {}
        Err(error) => return Err(error),
        Ok(row_key) => {
            let issue = names::display_name(reading, &names::row(reading, &row_key)?)?;
            let candidates = vec![issue, hash.to_string()];
            return Err(TrackerError::Ambiguous { name: what.to_owned(), candidates });
        }
    }
    let (hash, body) = history::body_of(reading, log, number)?;
    let mut issues: Vec<(DocumentKey, Vec<u8>, Vec<[u8; 32]>)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in &body.entries {
        let key = entry.birth.key();
        if seen.insert(key) {
            issues.push((key, row_key(&entry.birth), history::hashes_in(&body, key)));
        }
    }
    Ok(Target { commit: Some(CommitPlace { hash, number }), issues })
}

fn newest_of(reading: &Reading, row_key: Vec<u8>) -> Result<Target, TrackerError> {
    let key = names::row(reading, &row_key)?.key;
    let wanted = Wanted { field: None, limit: Some(1) };
    let (steps, _) = names::document(reading, key)?.steps(wanted);
    let newest = steps.iter().map(|step| step.hash).collect();
    Ok(Target { commit: None, issues: vec![(key, row_key, newest)] })
}

/// Writes what takes everything back, except what was refused, and returns the issues as they are
/// once all of it is written.
fn take_all_back(
    edition: &mut Edition<'_>,
    target: &Target,
    undo: &Undo,
    refused: &Refused,
    progress: &mut dyn FnMut(Share),
) -> Result<Vec<Undone>, TrackerError> {
    let total = target.issues.len() as u64;
    let mut reversals = Vec::new();
    for (key, _, changes) in &target.issues {
        reversals.push(take_back(edition, *key, changes, undo, refused)?);
        progress(Share { done: reversals.len() as u64, total });
    }
    let mut issues = Vec::new();
    for ((_, row_key, _), (restored, left)) in target.issues.iter().zip(reversals) {
        let mut issue: Shown = names::shown(edition.tables(), row_key, edition.outlook())?;
        if total > 1 {
            issue.json = None;
        }
        issues.push(Undone { issue, restored, left });
    }
    Ok(issues)
}

/// Takes changes of one document back; returns what that does and what is left.
fn take_back(
    edition: &mut Edition<'_>,
    key: DocumentKey,
    changes: &[[u8; 32]],
    undo: &Undo,
    refused: &Refused,
) -> Result<(Vec<FieldEdit>, Vec<Left>), TrackerError> {
    let mut document = names::document(edition.tables(), key)?;
    let content = document.read();
    let mut reversal = document.reversal(changes, &content, edition.now(), undo.force);
    for field in CHECKED {
        if let Some(reason) = refused.get(&(key, field)) {
            leave_out(&mut reversal, field, reason);
        }
    }
    let host = edition.host();
    if reversal.edit.needs_maintainer(&content) && !may_rule(edition.tables(), host)? {
        return Err(JournalError::NotAllowed { agent: host.signer.agent() }.into());
    }
    if !reversal.edit.is_empty() {
        date(&mut reversal.edit, &content, edition.now());
        edition.write(&mut document, &reversal.edit, None)?;
        fields::fits_a_line(edition.tables(), key)?;
    }
    Ok((reversal.restored, reversal.left))
}

/// Returns what was restored and no edit may write: the name of another issue, and blockers through
/// which the issue waits for itself.
fn misfits(
    edition: &Edition<'_>,
    target: &Target,
    issues: &[Undone],
) -> Result<Refused, TrackerError> {
    let mut misfits = Refused::new();
    for ((key, ..), undone) in target.issues.iter().zip(issues) {
        let is_restored = |field: &&str| undone.restored.iter().any(|edit| edit.field == *field);
        for field in CHECKED.into_iter().filter(is_restored) {
            let content = names::document(edition.tables(), *key)?.read();
            let Some(json) = content.issue.json(field) else { continue };
            match fields::fits_the_list(edition.tables(), &content, field, json) {
                Ok(()) => {}
                Err(TrackerError::Invalid { reason, .. }) => {
                    misfits.insert((*key, field), reason);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(misfits)
}

fn leave_out(reversal: &mut Reversal, field: &str, reason: &str) {
    reversal.edit.leave_out(field);
    reversal.restored.retain(|edit| edit.field != field);
    let (field, reason) = (field.to_owned(), reason.to_owned());
    reversal.left.push(Left { field, reason, by_force: false });
}
