//! Taking changes back by ordinary edits: the newest change of an issue, or all that a commit did.

use super::edition::Edition;
use super::{Host, date, fields, history, may_rule, names};
use crate::document::reversal::{Left, Reversal};
use crate::document::steps::Wanted;
use crate::document::{Content, elements};
use crate::id::DocumentKey;
use crate::interface::history::{CommitPlace, Share, Undo, UndoReport, Undone, is_commit};
use crate::interface::{Shown, TrackerError};
use crate::issue::list_of;
use crate::journal::JournalError;
use crate::store::{Journal, Reading, Rows, Store, row_key};

/// What is to be taken back.
struct Target {
    commit: Option<CommitPlace>,
    /// Documents with the row of each and the changes meant.
    issues: Vec<(DocumentKey, Vec<u8>, Vec<[u8; 32]>)>,
}

/// Takes back what is asked for; everything is written, or nothing.
pub(super) fn run(
    store: &Store,
    host: &Host,
    undo: &Undo,
    progress: &mut dyn FnMut(Share),
) -> Result<UndoReport, TrackerError> {
    let reading = store.read()?;
    let target = target(&reading, undo.what.trim())?;
    let mut edition = Edition::start(store, host)?;
    let mut report = UndoReport { commit: target.commit, issues: Vec::new() };
    let total = target.issues.len() as u64;
    for (key, row_key, changes) in &target.issues {
        let mut undone = take_back(&mut edition, host, &reading, (*key, row_key, changes), undo)?;
        if total > 1 {
            undone.issue.json = None;
        }
        report.issues.push(undone);
        progress(Share { done: report.issues.len() as u64, total });
    }
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

fn take_back(
    edition: &mut Edition<'_>,
    host: &Host,
    reading: &Reading,
    (key, row_key, changes): (DocumentKey, &[u8], &[[u8; 32]]),
    undo: &Undo,
) -> Result<Undone, TrackerError> {
    let mut document = names::document(edition.tables(), key)?;
    let content = document.read();
    let mut reversal = document.reversal(changes, &content, edition.now(), undo.force);
    vet(reading, &content, &mut reversal)?;
    if reversal.edit.ends_or_reopens(&content) && !may_rule(reading, host)? {
        return Err(JournalError::NotAllowed { agent: host.signer.agent() }.into());
    }
    if !reversal.edit.is_empty() {
        date(&mut reversal.edit, &content, edition.now());
        edition.write(&mut document, &reversal.edit, None)?;
        fields::fits_a_line(edition.tables(), key)?;
    }
    let issue: Shown = names::shown(edition.tables(), row_key)?;
    Ok(Undone { issue, restored: reversal.restored, left: reversal.left })
}

/// Leaves out what no edit may write, whatever it was before: the name of another issue, and blockers
/// through which the issue would wait for itself.
fn vet(reading: &Reading, content: &Content, reversal: &mut Reversal) -> Result<(), TrackerError> {
    let identifier = reversal.edit.register("identifier").flatten().map(str::to_owned);
    if let Some(json) = identifier {
        refuse(
            reversal,
            "identifier",
            fields::fits_the_list(reading, content, "identifier", &json),
        )?;
    }
    if let Some(ops) = reversal.edit.list_ops("blocked_by") {
        let now = content.lists.get("blocked_by").cloned().unwrap_or_default();
        let list = elements::apply(now, ops.to_vec());
        let list: Vec<String> = list.into_iter().map(|element| element.json).collect();
        let checked = fields::fits_the_list(reading, content, "blocked_by", &list_of(&list));
        refuse(reversal, "blocked_by", checked)?;
    }
    Ok(())
}

fn refuse(
    reversal: &mut Reversal,
    field: &str,
    checked: Result<(), TrackerError>,
) -> Result<(), TrackerError> {
    match checked {
        Ok(()) => Ok(()),
        Err(TrackerError::Invalid { reason, .. }) => {
            reversal.edit.leave_out(field);
            reversal.restored.retain(|edit| edit.field != field);
            reversal.left.push(Left { field: field.to_owned(), reason, by_force: false });
            Ok(())
        }
        Err(error) => Err(error),
    }
}
