//! Whether a store agrees with itself: all that follows from something else is computed anew and
//! compared. It finds faults and mends none.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{names, row};
use crate::document::{Birth, Document, admit};
use crate::id::{DocumentKey, ListId};
use crate::interface::TrackerError;
use crate::journal::JournalError;
use crate::journal::charter::Charter;
use crate::journal::commit::{Opened, decode_header};
use crate::journal::frontier::Frontier;
use crate::journal::signature::Verifier;
use crate::store::{
    GONE, Journal, Lines, Meta, Reading, Rows, Sealed, Table, Tables, counts_no_renewals, names_of,
    row_key, row_of,
};

/// How many faults are told; a store with more is no better known by them.
pub const FAULTS_MAX: usize = 100;

/// How many commits are held at once.
const COMMITS_AT_ONCE: usize = 1_000;

/// Bytes of a document key at the end of a name.
const KEY_BYTES: usize = size_of::<DocumentKey>();

/// Document -> its birth and the hashes of the changes that commits brought.
type Changes = BTreeMap<DocumentKey, (Birth, Vec<[u8; 32]>)>;

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// What the commits say, read in the order of application.
#[derive(Default)]
struct Walked {
    changes: Changes,
    /// What [`Table::Touches`] must hold.
    touches: BTreeSet<Entry>,
    /// What [`Table::Hashes`] must hold.
    hashes: BTreeSet<Entry>,
    /// What [`Table::Proofs`] must hold.
    proofs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Returns what is wrong in a store.
pub(super) fn run(reading: &Reading, verifier: &dyn Verifier) -> Result<Vec<String>, TrackerError> {
    let mut faults = Faults::default();
    let walked = journal(reading, verifier, &mut faults);
    if let Some(walked) = faults.unless_damaged(walked)? {
        let agreed = indexes(reading, &walked, &mut faults);
        faults.unless_damaged(agreed)?;
        let agreed = documents(reading, &walked.changes, &mut faults);
        faults.unless_damaged(agreed)?;
    }
    let agreed = files(reading, &mut faults);
    faults.unless_damaged(agreed)?;
    Ok(faults.0)
}

impl TrackerError {
    /// Tells whether what a store holds is the reason, when it came up while reading one. What is in use, or
    /// was written by a newer program, is not damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Document(_) => true,
            Self::Journal(error) => {
                !matches!(error, JournalError::Rules { .. } | JournalError::Full { .. })
            }
            _ => false,
        }
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note(&mut self, fault: String) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    /// Notes what cannot even be read; other errors end the check.
    fn unless_damaged<T>(
        &mut self,
        result: Result<T, TrackerError>,
    ) -> Result<Option<T>, TrackerError> {
        match result {
            Err(error) if error.is_damage() => {
                self.note(error.to_string());
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn unless(&mut self, is_right: bool, fault: impl FnOnce() -> String) {
        if !is_right {
            self.note(fault());
        }
    }
}

/// Walks the commits in the order of application; returns what they changed.
fn journal(
    reading: &Reading,
    verifier: &dyn Verifier,
    faults: &mut Faults,
) -> Result<Walked, TrackerError> {
    let list = reading.list_id()?;
    let charter = Charter::from_statements(&reading.statements()?, verifier)?;
    let (mut known, mut walked) = (Frontier::default(), Walked::default());
    let mut next = 0;
    loop {
        let sealed = reading.commits_from(next, COMMITS_AT_ONCE)?;
        let Some((last, _)) = sealed.last() else { break };
        next = last + 1;
        for (at, commit) in sealed {
            match open(&commit, list, &known, &charter, verifier) {
                Ok(opened) => take(&opened, at, &mut walked, faults),
                Err(error) if !error.is_damage() => return Err(error),
                Err(error) => faults.note(format!("{}: {error}", place(&commit))),
            }
            known.0.insert(commit.log, commit.position);
        }
    }
    proofs_of_ends(reading, &known, faults)?;
    faults.unless(known == reading.frontier()?, || {
        "the frontier is not where the commits end".to_owned()
    });
    let listed: u64 = known.0.values().map(|position| position.number).sum();
    for (table, what) in [(Table::Commits, "are kept"), (Table::Order, "stand in the order")] {
        let count = reading.len(table)?;
        faults.unless(count == listed, || format!("{count} commits {what}, {listed} are numbered"));
    }
    Ok(walked)
}

/// Checks that the last commit of each log can be proved to others: by its own signature, or by
/// headers after it that carry one.
fn proofs_of_ends(
    reading: &Reading,
    known: &Frontier,
    faults: &mut Faults,
) -> Result<(), TrackerError> {
    for (log, last) in &known.0 {
        let commit = reading.commit_at(*log, last.number)?;
        let is_signed = commit.is_some_and(|commit| commit.signature.is_some());
        let rest = reading.rest(*log)?;
        let follows = rest.and_then(|rest| decode_header(rest.headers.first()?).ok());
        let is_proved = is_signed || follows.is_some_and(|next| next.previous == Some(last.hash));
        faults.unless(is_proved, || {
            format!("nothing proves commit {} of log {log} to others", last.number)
        });
    }
    Ok(())
}

/// Compares the tables that find commits by document and by hash with the commits.
fn indexes(reading: &Reading, walked: &Walked, faults: &mut Faults) -> Result<(), TrackerError> {
    let proofs = walked.proofs.clone().into_iter().collect();
    let tables = [
        (Table::Touches, &walked.touches),
        (Table::Hashes, &walked.hashes),
        (Table::Proofs, &proofs),
    ];
    for (table, expected) in tables {
        let mut found = BTreeSet::new();
        reading.visit(table, &[], &mut |key, value| {
            found.insert((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })?;
        let wrong = found.symmetric_difference(expected).count();
        faults.unless(wrong == 0, || format!("{wrong} entries of {table:?} are not the commits'"));
    }
    Ok(())
}

fn place(sealed: &Sealed) -> String {
    format!("commit {} of log {}", sealed.position.number, sealed.log)
}

/// Opens a commit that must be the next of its log, after all that it names.
fn open(
    sealed: &Sealed,
    list: ListId,
    known: &Frontier,
    charter: &Charter,
    verifier: &dyn Verifier,
) -> Result<Opened, TrackerError> {
    let opened = sealed.commit.open(list)?;
    opened.continues(known.position(sealed.log))?;
    if opened.header.log != sealed.log || opened.header.number != sealed.position.number {
        return Err(TrackerError::Damaged { what: "it stands in another's place".to_owned() });
    }
    if let Some((log, _)) = opened.header.after.iter().find(|(log, at)| !known.covers(*log, *at)) {
        return Err(TrackerError::Damaged {
            what: format!("it stands before a commit of log {log}, which it names"),
        });
    }
    let has_key = charter.public_key(sealed.log.agent).is_some();
    if sealed.commit.signature.is_some() && has_key {
        sealed.commit.prove(&opened.header, charter, verifier)?;
    }
    Ok(opened)
}

fn take(opened: &Opened, at: u64, walked: &mut Walked, faults: &mut Faults) {
    let place = at.to_be_bytes();
    walked.hashes.insert((opened.hash.0.to_vec(), place.to_vec()));
    for entry in &opened.body.entries {
        let key = entry.birth.key();
        walked.touches.insert(([&key.0[..], &place].concat(), Vec::new()));
        let (_, hashes) = walked.changes.entry(key).or_insert((entry.birth.clone(), Vec::new()));
        for bytes in &entry.changes {
            match admit::check(&entry.birth, bytes, opened.header.log) {
                Ok(checked) => {
                    hashes.push(checked.change.hash().0);
                    let claims = checked.records.iter().filter(|record| record.claim().is_some());
                    let proof = [opened.hash.0, key.0].concat();
                    for claim in claims {
                        let known = walked.proofs.entry(claim.hash().0.to_vec());
                        let least = known.or_insert_with(|| proof.clone());
                        if proof < *least {
                            least.clone_from(&proof);
                        }
                    }
                }
                Err(error) => faults.note(error.to_string()),
            }
        }
    }
}

/// Compares documents with the commits, and rows, records and names with the documents.
fn documents(
    reading: &Reading,
    changes: &Changes,
    faults: &mut Faults,
) -> Result<(), TrackerError> {
    let prefix = reading.prefix()?;
    let mut next_number = 1;
    let (mut names_expected, mut count) = (BTreeSet::new(), 0);
    for (key, (birth, hashes)) in changes {
        count += 1;
        let Some(document) = reading.document(*key)? else {
            faults.note(format!("the document of {} is missing", birth.id));
            continue;
        };
        let mut hashes = hashes.clone();
        hashes.sort_unstable();
        faults.unless(document.change_hashes() == hashes && document.birth() == birth, || {
            format!("the document of {} holds other changes than its commits", birth.id)
        });
        let row = derived(reading, &document, faults)?;
        for name in names_of(&row) {
            names_expected.insert((name.to_owned(), row_key(birth)));
            next_number = next_number.max(names::number_of(name, &prefix).map_or(1, |n| n + 1));
        }
    }
    for table in [Table::Documents, Table::Rows, Table::Views] {
        let found = reading.len(table)?;
        faults.unless(found == count, || format!("{found} {table:?} stand for {count} issues"));
    }
    let mut names_found = BTreeSet::new();
    reading.visit(Table::Names, &[], &mut |name, row| {
        let end = name.len().saturating_sub(1 + KEY_BYTES);
        names_found.insert((String::from_utf8_lossy(&name[..end]).into_owned(), row.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    for (name, _) in names_found.symmetric_difference(&names_expected) {
        faults.note(format!("the name {name} does not lead where it should"));
    }
    let found = reading.next_number()?;
    faults.unless(found >= next_number, || {
        format!("number {found} would be given next, but {next_number} is the first that is free")
    });
    Ok(())
}

/// Compares the row and the record of a document with what follows from it; returns the row.
fn derived(
    reading: &Reading,
    document: &Document,
    faults: &mut Faults,
) -> Result<crate::interface::report::Row, TrackerError> {
    let content = document.read();
    let row = row::of(&content);
    let id = &document.birth().id;
    let stored = reading.get(Table::Rows, &row_key(document.birth()))?;
    let mut expected = row.clone();
    if stored.as_deref().is_some_and(counts_no_renewals) {
        expected.tally.renewals = 0;
    }
    let stored = stored.map(|stored| row_of(&stored)).transpose()?;
    faults.unless(stored.as_ref() == Some(&expected), || {
        format!("the row of {id} is not what its document says")
    });
    let view = reading.view(document.key())?;
    let json = row::proved(reading, &content)?.canonical_json();
    faults.unless(view.as_deref() == Some(&json), || {
        format!("the record of {id} is not what its document says")
    });
    Ok(row)
}

/// Checks that the lines of each file, their count, and the way from issues to lines agree.
fn files(reading: &Reading, faults: &mut Faults) -> Result<(), TrackerError> {
    let files = reading.files()?;
    let mut lines_in_all = 0;
    for file in &files {
        let (mut lines, mut of_records) = (0, BTreeSet::new());
        reading.visit_lines(file, &mut |_, line| {
            lines += 1;
            of_records.extend(line.record.map(|record| record.key));
            Ok(ControlFlow::Continue(()))
        })?;
        lines_in_all += lines;
        let stated = reading.file_state(file)?.map_or(0, |state| state.lines);
        faults.unless(stated == lines, || format!("{file}: {lines} lines kept of {stated}"));
        let listed: BTreeSet<_> = reading.documents_in(file, false)?.into_iter().collect();
        faults.unless(listed == of_records, || {
            format!("{file}: the issues listed are not those of its lines")
        });
        for key in listed {
            let line = reading.line_of(file, key)?.and_then(|(_, line)| line.record);
            let leads = match line {
                // The line of an issue that is not here any more may wait for it to come back.
                Some(record) => record.version == GONE || reading.has_document(key)?,
                None => false,
            };
            faults.unless(leads, || format!("{file}: a line of {key} leads nowhere"));
        }
    }
    let kept = reading.len(Table::Lines)?;
    faults.unless(kept == lines_in_all, || "lines are kept of a file that is unknown".to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Draft, Pick, Terms, Tracker};
    use crate::store::{LINE_GAP, Store, Writing};
    use crate::testing::{self, StandInVerifier};

    const FILE: &str = "/repo/issues.jsonl";

    /// Returns what is found wrong after a list of two issues, imported from a file, was tampered with.
    fn faults_after(tamper: impl FnOnce(&Writing)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        let line = "{\"id\":\"a\",\"identifier\":\"T-7\",\"title\":\"one\",\"state\":\"todo\"}\n";
        tracker.import(FILE, &mut line.as_bytes(), &Default::default(), &mut |_| {}).unwrap();
        tracker.create(&Draft::titled("two")).unwrap();
        for name in ["T-7", "T-0008"] {
            let terms = Terms { worker: "main".to_owned(), ttl_ms: None, ..Terms::default() };
            tracker.claim(&Pick::Issue(name.to_owned()), &terms).unwrap();
        }
        assert_eq!(tracker.check(&StandInVerifier).unwrap(), [""; 0]);
        drop(tracker);
        let store = Store::open_to_write(&dir.path().join("list.redb")).unwrap();
        let writing = store.write().unwrap();
        tamper(&writing);
        writing.commit().unwrap();
        run(&store.read().unwrap(), &StandInVerifier).unwrap()
    }

    /// Returns the entries of a table.
    fn entries(writing: &Writing, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        writing
            .visit(table, &[], &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        found
    }

    #[test]
    fn an_entry_missing_in_any_table_is_found() {
        let free = [
            Table::Meta,
            Table::Signatures,
            Table::Statements,
            Table::Beats,
            Table::Heard,
            Table::Promises,
            Table::Rests,
            Table::Voids,
            Table::Tickets,
            Table::Lost,
            Table::Rivals,
        ];
        for table in Table::ALL.into_iter().filter(|table| !free.contains(table)) {
            for at in 0..2 {
                let mut count = 0;
                let faults = faults_after(|writing| {
                    let entries = entries(writing, table);
                    count = entries.len();
                    if let Some((key, _)) = entries.get(at) {
                        writing.remove(table, key).unwrap();
                    }
                });
                assert!(count > 0, "{table:?} is filled");
                assert_eq!(faults.is_empty(), at >= count, "{table:?} {at}: {faults:?}");
            }
        }
    }

    #[test]
    fn a_row_that_was_written_before_renewals_were_counted_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = testing::found(dir.path(), 1).unwrap();
        tracker.create(&Draft::titled("one")).unwrap();
        let pick = Pick::Issue("T-0001".to_owned());
        for ttl_ms in [5_000, 6_000] {
            let terms = Terms {
                worker: "a".to_owned(),
                ttl_ms: Some(ttl_ms),
                resume: true,
                ..Terms::default()
            };
            tracker.claim(&pick, &terms).unwrap();
        }
        assert_eq!(tracker.show("T-0001").unwrap().row.tally.renewals, 1);
        drop(tracker);
        let store = Store::open_to_write(&dir.path().join("list.redb")).unwrap();
        let writing = store.write().unwrap();
        let (key, mut row) = entries(&writing, Table::Rows).remove(0);
        row.pop();
        writing.put(Table::Rows, &key, &row).unwrap();
        writing.commit().unwrap();
        let reading = store.read().unwrap();
        assert_eq!(reading.row(&key).unwrap().unwrap().tally.attempts(), 2);
        assert_eq!(run(&reading, &StandInVerifier).unwrap(), [""; 0]);
    }

    #[test]
    fn an_entry_of_another_issue_or_place_is_found() {
        for table in [Table::Documents, Table::Rows, Table::Views, Table::Names, Table::Order] {
            let faults = faults_after(|writing| {
                let entries = entries(writing, table);
                writing.put(table, &entries[0].0, &entries[1].1).unwrap();
            });
            assert!(!faults.is_empty(), "{table:?}");
        }
    }

    #[test]
    fn a_surplus_entry_is_found() {
        for table in [Table::Rows, Table::Views, Table::Names, Table::Order, Table::Documents] {
            let faults = faults_after(|writing| {
                let (mut key, value) = entries(writing, table).remove(0);
                key[0] = 0xff;
                writing.put(table, &key, &value).unwrap();
            });
            assert!(!faults.is_empty(), "{table:?}");
        }
        let faults = faults_after(|writing| {
            let line = writing.lines_from(FILE, 0, 1).unwrap().remove(0).1;
            writing.put_line(FILE, 9 * LINE_GAP, &line).unwrap();
        });
        assert!(faults[0].contains("2 lines kept of 1"), "{faults:?}");
    }

    #[test]
    fn a_commit_that_was_changed_is_found() {
        for at in [60, 200] {
            let faults = faults_after(|writing| {
                let (key, mut value) = entries(writing, Table::Commits).remove(0);
                value[at] ^= 1;
                writing.put(Table::Commits, &key, &value).unwrap();
            });
            assert!(faults.iter().any(|fault| fault.starts_with("commit 1 of log ")), "{faults:?}");
        }
        let faults = faults_after(|writing| {
            let (key, mut value) = entries(writing, Table::Signatures).remove(0);
            value[9] ^= 1;
            writing.put(Table::Signatures, &key, &value).unwrap();
        });
        assert!(faults[0].starts_with("commit 4 of log "), "{faults:?}");
    }

    #[test]
    fn a_number_that_would_be_given_twice_is_found() {
        let faults = faults_after(|writing| writing.put_next_number(7).unwrap());
        assert_eq!(faults, ["number 7 would be given next, but 9 is the first that is free"]);
    }
}
