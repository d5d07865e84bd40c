//! Taking commits, and what follows from them, out of the tables. Which ones is decided elsewhere.

use super::journal::commit_key;
use super::lines::{GONE, Lines};
use super::rows::{RowKey, Rows, encode, names_of, row_key};
use super::tables::{Table, Writing};
use crate::document::{Birth, Document, Heads};
use crate::id::{DocumentKey, LogId, RecordHash};
use crate::interface::TrackerError;
use crate::interface::report::Row;
use crate::journal::commit::Position;
use crate::journal::run::Run;

impl Writing {
    /// Takes a commit that touched some documents out of its log and of the order of application.
    /// The end of the log is set by [`Writing::end_log`].
    pub fn remove_commit(
        &self,
        log: LogId,
        position: Position,
        place: u64,
        touched: &[DocumentKey],
    ) -> Result<(), TrackerError> {
        let (key, place) = (commit_key(log, position.number), place.to_be_bytes());
        self.remove(Table::Commits, &key)?;
        self.remove(Table::Signatures, &key)?;
        self.remove(Table::Order, &place)?;
        self.remove(Table::Hashes, &position.hash.0)?;
        for document in touched {
            self.remove(Table::Touches, &[&document.0[..], &place].concat())?;
        }
        Ok(())
    }

    /// Sets the last commit of a log, and the headers that prove it; `None` where none is left.
    pub fn end_log(
        &self,
        log: LogId,
        last: Option<Position>,
        rest: Option<&Run>,
    ) -> Result<(), TrackerError> {
        self.put_rest(log, rest)?;
        match last {
            Some(last) => self.put(Table::Frontier, &log.to_bytes(), &encode(&last)?),
            None => self.remove(Table::Frontier, &log.to_bytes()),
        }
    }

    /// Puts a document that was made anew in the place of the one that was here.
    pub fn replace_document(
        &self,
        document: &Document,
        row: &Row,
        json: &str,
    ) -> Result<(), TrackerError> {
        self.remove_row(&row_key(document.birth()), row.key)?;
        self.put_whole(document, row, json)
    }

    /// Takes a document out, with all that leads to it.
    pub fn remove_document(&self, birth: &Birth) -> Result<(), TrackerError> {
        let key = birth.key();
        self.remove_row(&row_key(birth), key)?;
        self.remove(Table::Views, &key.0)?;
        self.remove(Table::Documents, &key.0)
    }

    fn remove_row(&self, row_key: &RowKey, key: DocumentKey) -> Result<(), TrackerError> {
        if let Some(row) = self.row(row_key)? {
            for name in names_of(&row) {
                self.remove_name(name, key)?;
            }
        }
        if let Some(pending) = &self.pending {
            pending.add(self.row(row_key)?, None);
        }
        self.remove(Table::Rows, row_key)
    }

    /// Forgets which commit proves a claim.
    pub fn remove_proof(&self, claim: RecordHash) -> Result<(), TrackerError> {
        self.remove(Table::Proofs, &claim.0)
    }

    /// Moves what is known of the lines of an issue back to changes that are still there, as
    /// `still_there` says. Where its document is gone, they are lines of an issue that is not here.
    pub fn rebase_lines(
        &self,
        key: DocumentKey,
        files: &[String],
        still_there: &dyn Fn(&Heads) -> Heads,
    ) -> Result<(), TrackerError> {
        for file in files {
            let Some((place, mut line)) = self.line_of(file, key)? else { continue };
            let Some(record) = &mut line.record else { continue };
            record.heads = still_there(&record.heads);
            record.since = still_there(&record.since);
            if !self.has_document(key)? {
                record.version = GONE;
                record.old_news = false;
                record.pending.clear();
            }
            self.put_line(file, place, &line)?;
        }
        Ok(())
    }

    /// Forgets the line of an issue that is not here.
    pub fn remove_line_of(&self, file: &str, key: DocumentKey) -> Result<(), TrackerError> {
        if let Some((place, _)) = self.line_of(file, key)? {
            self.remove_line(file, place)?;
        }
        self.forget_line_of(file, key)
    }
}
