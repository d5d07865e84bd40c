//! Reading a JSONL file into the list, line by line, in one writing that happens whole or not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, Read};

use super::edition::Edition;
use super::{Host, row};
use crate::document::edit::same;
use crate::document::{Birth, Document, version_of};
use crate::interface::request::ImportOptions;
use crate::interface::{ImportReport, Progress, TrackerError};
use crate::issue::Issue;
use crate::jsonl::import::{self, Base, Decision, Powers};
use crate::jsonl::read::{self, Content, Problem, RawLine};
use crate::jsonl::record::{self, Record, Seen};
use crate::store::{FileState, LINE_GAP, Line, LineKey, LineRecord, Lines, Reading, Rows, Store};

/// How many recorded lines are read at a time.
const CHUNK_LINES: usize = 128;

/// A new line takes this part of the room before the next line.
const ROOM_PARTS: u64 = 4_096;

/// How many lines pass between two reports of progress.
const PROGRESS_EVERY: u64 = 256;

/// How many bad lines are named before the rest is only looked at for its end.
const PROBLEMS_MAX: usize = 1_000;

/// Imports a file; see [`crate::interface::Tracker::import`].
pub(super) fn run(
    store: &Store,
    host: &Host,
    file: &str,
    input: &mut dyn BufRead,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, TrackerError> {
    let mut tee = Hashing { input, hasher: blake3::Hasher::new(), bytes: 0 };
    let mut import = Import::start(store, host, file, options)?;
    let mut count = 0;
    {
        let mut lines = read::Lines::new(std::io::BufReader::with_capacity(1 << 16, &mut tee));
        loop {
            let line = lines.next_line().map_err(|source| TrackerError::Io {
                what: format!("cannot read {file}"),
                source,
            })?;
            let Some(line) = line else { break };
            count += 1;
            import.bytes += (line.text.len() + line.terminator.bytes().len()) as u64;
            import.line(line)?;
            if count % PROGRESS_EVERY == 0 {
                progress(Progress { lines: count, bytes: import.bytes });
            }
        }
    }
    let state = FileState { hash: *tee.hasher.finalize().as_bytes(), lines: count };
    import.finish(state)
}

/// Passes bytes on and hashes them.
struct Hashing<'a> {
    input: &'a mut dyn BufRead,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

struct Import<'a> {
    file: &'a str,
    options: &'a ImportOptions,
    /// The list as it was before.
    reading: Reading,
    edition: Edition<'a>,
    powers: Powers,
    before: Walk,
    /// The place of the line before this one, as it will be.
    place: LineKey,
    /// The places of all lines of this run.
    kept: BTreeSet<LineKey>,
    /// Set once two neighbours left no room between them: from there on all lines are put anew.
    is_shifted: bool,
    has_changed: bool,
    seen: Seen,
    /// The ids of records that were not here before.
    new_ids: BTreeSet<String>,
    bytes: u64,
    report: ImportReport,
}

impl<'a> Import<'a> {
    fn start(
        store: &'a Store,
        host: &'a Host,
        file: &'a str,
        options: &'a ImportOptions,
    ) -> Result<Self, TrackerError> {
        let reading = store.read()?;
        let may_rule = super::may_rule(&reading, host)?;
        Ok(Self {
            file,
            options,
            edition: Edition::start(store, host)?,
            powers: Powers { take_file: options.take_file, may_rule },
            before: Walk::default(),
            reading,
            place: 0,
            kept: BTreeSet::new(),
            is_shifted: false,
            has_changed: false,
            seen: Seen::default(),
            new_ids: BTreeSet::new(),
            bytes: 0,
            report: ImportReport::default(),
        })
    }

    fn line(&mut self, raw: RawLine) -> Result<(), TrackerError> {
        if let Some((place, line)) = self.before.current(&self.reading, self.file)?
            && line.text == raw.text
            && line.terminator == raw.terminator
            && (line.record.is_some() || is_blank(&line.text))
            && !takes_anew(self.powers, line)
        {
            let (place, record) = (*place, line.record.clone());
            let is_new = record
                .as_ref()
                .is_none_or(|record| self.seen.note_key(record.key, raw.number).is_none());
            if is_new {
                self.before.advance();
                if record.is_some() {
                    self.report.records += 1;
                    self.report.unchanged += 1;
                }
                if self.is_shifted {
                    return self.put_line(self.place + LINE_GAP, &raw, record);
                }
                self.place = place;
                self.kept.insert(place);
                return Ok(());
            }
        }
        match read::parse_line(&raw) {
            Ok(Content::Blank) => self.other_line(&raw),
            Ok(Content::Record(line)) => match record::read(&line, raw.number) {
                Ok(record) => self.record(&raw, record),
                Err(problems) => self.bad_line(&raw, problems),
            },
            Err(problem) => self.bad_line(&raw, vec![problem]),
        }
    }

    fn bad_line(&mut self, raw: &RawLine, problems: Vec<Problem>) -> Result<(), TrackerError> {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.extend(problems);
        }
        self.other_line(raw)
    }

    /// Keeps a line that is no record where it stands.
    fn other_line(&mut self, raw: &RawLine) -> Result<(), TrackerError> {
        let place = self.next_place()?;
        self.put_line(place, raw, None)
    }

    fn record(&mut self, raw: &RawLine, record: Record) -> Result<(), TrackerError> {
        if let Some(problem) = self.seen.note(&record.birth, raw.number) {
            return self.bad_line(raw, vec![problem]);
        }
        self.report.records += 1;
        let key = record.birth.key();
        let old = self.reading.line_of(self.file, key)?;
        let place = self.place_of(old.as_ref().map(|(place, _)| *place))?;
        if let Some((_, old)) = &old
            && old.text == raw.text
            && !takes_anew(self.powers, old)
        {
            self.report.unchanged += 1;
            return self.put_line(place, raw, old.record.clone());
        }
        let line = match self.reading.document(key)? {
            Some(document) => self.known_record(document, &record, old.map(|(_, line)| line))?,
            None => self.new_record(record)?,
        };
        self.put_line(place, raw, Some(line))
    }

    fn new_record(&mut self, record: Record) -> Result<LineRecord, TrackerError> {
        let id = &record.birth.id;
        if !self.new_ids.insert(id.clone()) || !self.reading.rows_named(id)?.is_empty() {
            self.report.collisions.push(id.clone());
        }
        let edit =
            import::creation(&record.fields, &crate::document::Content::empty(&record.birth));
        self.report.created.push(name_of(&record.fields, &record.birth));
        let key = record.birth.key();
        let heads = self.edition.create(record.birth, &edit)?;
        let (version, since, pending) = (version_of(&heads), heads.clone(), Vec::new());
        Ok(LineRecord { key, version, heads, since, differs: false, old_news: false, pending })
    }

    fn known_record(
        &mut self,
        mut document: Document,
        record: &Record,
        old: Option<Line>,
    ) -> Result<LineRecord, TrackerError> {
        let base = old.and_then(|line| base_of(&line));
        let now = self.edition.now();
        let decision = import::decide(&record.fields, base.as_ref(), &document, self.powers, now);
        let name = name_of(&record.fields, document.birth());
        if decision.is_empty() {
            self.report.unchanged += u64::from(is_silent(&decision));
        } else {
            self.report.edited.push((name.clone(), decision.fields()));
            if let Some((heads, edit)) = &decision.beside {
                self.edition.write(&mut document, edit, Some(heads))?;
            }
            if !decision.on_top.is_empty() {
                self.edition.write(&mut document, &decision.on_top, None)?;
            }
        }
        let pending = decision.pending.iter().map(|(field, _)| field);
        let pending: Vec<String> = pending.chain(&decision.kept).cloned().collect();
        let mut line = line_record(&document);
        let shown = row::proved(self.edition.tables(), &document.read())?;
        line.differs = differs(&record.fields, &shown, &pending, !decision.is_empty());
        if line.differs || !pending.is_empty() {
            line.since = decision.since;
        }
        line.old_news = !decision.old_news.is_empty();
        line.pending = pending;
        let named = |(field, text): (String, String)| (name.clone(), field, text);
        self.report.old_news.extend(decision.old_news.into_iter().map(named));
        self.report.pending.extend(decision.pending.into_iter().map(named));
        self.report.refused.extend(decision.refused.into_iter().map(named));
        Ok(line)
    }

    /// Returns the place of a line that stood at `old`, as far as it still fits there.
    fn place_of(&mut self, old: Option<LineKey>) -> Result<LineKey, TrackerError> {
        match old {
            Some(old) if old > self.place && !self.is_shifted => {
                self.before.jump_after(old);
                Ok(old)
            }
            _ => self.next_place(),
        }
    }

    /// Returns a place between the line before and the next that was there.
    ///
    /// Takes a small part of the room, so that many new lines fit; where none is left, this line
    /// and all after it go behind everything that was there.
    fn next_place(&mut self) -> Result<LineKey, TrackerError> {
        let next = self.before.current(&self.reading, self.file)?.map(|(place, _)| *place);
        match next.filter(|_| !self.is_shifted) {
            None => Ok(self.place + LINE_GAP),
            Some(next) if next - self.place > 1 => {
                Ok(self.place + ((next - self.place) / ROOM_PARTS).max(1))
            }
            Some(_) => {
                let last = self.reading.line_places(self.file)?.last().copied();
                self.is_shifted = true;
                Ok(last.unwrap_or(self.place).max(self.place) + LINE_GAP)
            }
        }
    }

    fn put_line(
        &mut self,
        place: LineKey,
        raw: &RawLine,
        record: Option<LineRecord>,
    ) -> Result<(), TrackerError> {
        self.place = place;
        self.kept.insert(place);
        let line = Line { text: raw.text.clone(), terminator: raw.terminator, record };
        self.has_changed = true;
        self.edition.tables().put_line(self.file, place, &line)
    }

    fn finish(mut self, state: FileState) -> Result<ImportReport, TrackerError> {
        if !self.report.problems.is_empty() && !self.options.keep_going {
            let problems = std::mem::take(&mut self.report.problems);
            return Err(TrackerError::BadLines { file: self.file.to_owned(), problems });
        }
        if self.report.problems.is_empty() {
            self.disappeared()?;
        } else if self.options.prune {
            return Err(TrackerError::Invalid {
                field: "prune".to_owned(),
                reason: "a bad line may stand for an issue that would be removed".to_owned(),
                hint: "mend the bad lines first, or leave --prune out; nothing was imported"
                    .to_owned(),
            });
        }
        let known = self.reading.file_state(self.file)?;
        if !self.has_changed && known.as_ref() == Some(&state) {
            return Ok(self.report);
        }
        self.tidy_lines()?;
        self.edition.tables().put_file_state(self.file, &state)?;
        if !self.options.dry_run {
            self.edition.finish()?;
        }
        Ok(self.report)
    }

    /// Reports, or removes, issues whose line is gone.
    fn disappeared(&mut self) -> Result<(), TrackerError> {
        let present = self.reading.documents_in(self.file, false)?;
        let missing = self.reading.documents_in(self.file, true)?;
        for key in present.into_iter().chain(missing) {
            if self.seen.contains(key) {
                continue;
            }
            // An issue that is not here any more was not taken out by whoever wrote the file.
            let Some(mut document) = self.reading.document(key)? else { continue };
            let content = document.read();
            if content.issue.is_deleted() {
                continue;
            }
            let name = name_of(&content.issue.fields, document.birth());
            if self.options.prune {
                let mut edit = crate::document::Edit::default();
                let now = super::fields::quoted(&self.edition.now().to_string());
                edit.set(&content, "deleted_at", Some(&now));
                super::date(&mut edit, &content, self.edition.now());
                self.edition.write(&mut document, &edit, None)?;
                self.has_changed = true;
                self.report.pruned.push(name);
            } else {
                self.report.missing.push(name);
            }
        }
        Ok(())
    }

    /// Takes out recorded lines that the file no longer has.
    fn tidy_lines(&mut self) -> Result<(), TrackerError> {
        let tables = self.edition.tables();
        for place in self.reading.line_places(self.file)? {
            if !self.kept.contains(&place) {
                tables.remove_line(self.file, place)?;
            }
        }
        // A bad line may be that of an issue that seems to be missing: export must not add another.
        let is_whole = self.report.problems.is_empty();
        for key in self.reading.documents_in(self.file, false)? {
            if is_whole && !self.seen.contains(key) {
                tables.put_missing(self.file, key)?;
            }
        }
        Ok(())
    }
}

/// Steps through the lines as they were recorded.
#[derive(Default)]
struct Walk {
    next: LineKey,
    chunk: VecDeque<(LineKey, Line)>,
    is_over: bool,
}

impl Walk {
    /// Returns the line at which the walk stands.
    fn current(
        &mut self,
        reading: &Reading,
        file: &str,
    ) -> Result<Option<&(LineKey, Line)>, TrackerError> {
        if self.chunk.is_empty() && !self.is_over {
            self.chunk = reading.lines_from(file, self.next, CHUNK_LINES)?.into();
            self.is_over = self.chunk.len() < CHUNK_LINES;
            self.next = self.chunk.back().map_or(self.next, |(place, _)| place + 1);
        }
        Ok(self.chunk.front())
    }

    fn advance(&mut self) {
        self.chunk.pop_front();
    }

    /// Goes on to the first line after a place.
    fn jump_after(&mut self, place: LineKey) {
        while self.chunk.front().is_some_and(|(at, _)| *at <= place) {
            self.chunk.pop_front();
        }
        self.next = self.next.max(place + 1);
    }
}

/// Tells whether a line holds white space alone; a bad line is named at every import.
fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

/// Tells whether a line has to be looked at again although it did not change.
fn takes_anew(powers: Powers, line: &Line) -> bool {
    let waits =
        |record: &LineRecord| powers.take_file && record.old_news || !record.pending.is_empty();
    line.record.as_ref().is_some_and(waits)
}

/// Tells whether export has to renew a line: whether it says anything else than its issue, apart
/// from what waits for a decision. A date alone counts only where this import wrote the issue.
fn differs(fields: &import::Fields, shown: &Issue, pending: &[String], was_written: bool) -> bool {
    let wanted: BTreeMap<String, String> = shown.in_canonical_order().into_iter().collect();
    fields.keys().chain(wanted.keys()).any(|name| {
        let counts = !pending.contains(name) && (was_written || name != "updated_at");
        let (theirs, ours) = (fields.get(name), wanted.get(name));
        counts && !same(theirs.map(String::as_str), ours.map(String::as_str))
    })
}

fn line_record(document: &Document) -> LineRecord {
    let heads = document.heads();
    LineRecord {
        key: document.key(),
        version: document.version(),
        since: heads.clone(),
        heads,
        differs: false,
        old_news: false,
        pending: Vec::new(),
    }
}

fn base_of(line: &Line) -> Option<Base> {
    let record = line.record.as_ref()?;
    let LineRecord { heads, since, old_news, pending, .. } = record.clone();
    let raw = RawLine {
        number: 1,
        text: line.text.clone(),
        terminator: line.terminator,
        oversize: false,
    };
    let Ok(Content::Record(parsed)) = read::parse_line(&raw) else { return None };
    let fields = record::read(&parsed, 1).ok()?.fields;
    Some(Base { fields, heads, since, old_news, pending })
}

fn is_silent(decision: &Decision) -> bool {
    decision.old_news.is_empty() && decision.pending.is_empty() && decision.refused.is_empty()
}

/// Returns what a report calls an issue: its identifier, else its id.
fn name_of(fields: &import::Fields, birth: &Birth) -> String {
    fields
        .get("identifier")
        .and_then(|json| crate::issue::as_text(json))
        .unwrap_or_else(|| birth.id.clone())
}
