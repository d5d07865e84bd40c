//! Writing the JSONL file: unchanged lines byte for byte, changed ones renewed, new ones placed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::ops::ControlFlow;

use super::names;
use crate::id::Version;
use crate::id::{self, DocumentKey};
use crate::interface::{ExportReport, TrackerError};
use crate::jsonl::read::{Content, RawLine, Terminator, parse_line};
use crate::jsonl::text::Style;
use crate::jsonl::{layout, write};
use crate::store::{
    FileState, LINE_GAP, Line, LineKey, LineRecord, Lines, Reading, Rows, Store, Writing,
};

/// The byte order mark in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// How many changed lines are kept in memory before they are rather computed twice.
const CHANGED_MAX: usize = 4_096;

/// Writes every issue canonically, sorted by id.
pub(super) fn canonical(
    reading: &Reading,
    output: &mut dyn Write,
) -> Result<ExportReport, TrackerError> {
    let mut order: Vec<(String, DocumentKey)> = Vec::new();
    reading.visit_rows(None, &mut |_, row| {
        order.push((row.id, row.key));
        Ok(ControlFlow::Continue(()))
    })?;
    order.sort();
    let mut sink = Sink::new(output);
    let mut report = ExportReport::default();
    for (_, key) in order {
        let json = reading.view(key)?.unwrap_or_default();
        sink.write(json.as_bytes(), Terminator::Lf)?;
        report.records += 1;
    }
    report.hash = sink.hash();
    Ok(report)
}

/// Writes a file in the layout in which it was last seen.
pub(super) fn file(
    reading: &Reading,
    file: &str,
    output: &mut dyn Write,
) -> Result<ExportReport, TrackerError> {
    let mut sink = Sink::new(output);
    let mut visit = |out: Out| sink.write(&out.text, out.terminator);
    let (mut report, _) = walk(reading, file, &mut visit)?;
    report.hash = sink.hash();
    Ok(report)
}

/// Records that what [`file`] wrote is now the content of the file.
pub(super) fn record(
    store: &Store,
    file: &str,
    written: &ExportReport,
) -> Result<(), TrackerError> {
    let reading = store.read()?;
    let mut hasher = blake3::Hasher::new();
    let mut places: Vec<Option<LineKey>> = Vec::new();
    let mut changed: Vec<(usize, Out)> = Vec::new();
    let (_, gone) = walk(&reading, file, &mut |out| {
        hasher.update(&out.text);
        hasher.update(out.terminator.bytes());
        places.push(out.place);
        if out.is_changed && changed.len() <= CHANGED_MAX {
            changed.push((places.len() - 1, out));
        }
        Ok(())
    })?;
    if *hasher.finalize().as_bytes() != written.hash {
        return Err(TrackerError::NotImported { file: file.to_owned() });
    }
    let writing = store.write()?;
    match fill(&places) {
        Some(places) if changed.len() <= CHANGED_MAX => {
            for (at, out) in changed {
                put(&reading, &writing, file, places[at], out)?;
            }
        }
        filled => put_all(&reading, &writing, file, filled)?,
    }
    for key in gone {
        writing.remove_line_of(file, key)?;
    }
    let lines = places.len() as u64;
    writing.put_file_state(file, &FileState { hash: written.hash, lines })?;
    writing.commit()
}

/// Writes every line down, in new places where none are given.
fn put_all(
    reading: &Reading,
    writing: &Writing,
    file: &str,
    places: Option<Vec<LineKey>>,
) -> Result<(), TrackerError> {
    if places.is_none() {
        writing.clear_lines(file)?;
    }
    let mut at = 0;
    walk(reading, file, &mut |out| {
        let place = places.as_ref().map_or((at as u64 + 1) * LINE_GAP, |places| places[at]);
        at += 1;
        if out.is_changed || places.is_none() {
            put(reading, writing, file, place, out)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn put(
    reading: &Reading,
    writing: &Writing,
    file: &str,
    place: LineKey,
    out: Out,
) -> Result<(), TrackerError> {
    let record = match out.issue {
        Some(key) if out.is_changed => {
            let document = names::document(reading, key)?;
            let (version, heads) = (document.version(), document.heads());
            let pending = out.pending;
            // A line in which something waits does not say what the issue says.
            let waits = out.record.filter(|_| !pending.is_empty());
            let old_news = waits.as_ref().is_some_and(|old| old.old_news);
            let since = waits.map_or_else(|| heads.clone(), |old| old.since);
            Some(LineRecord { key, version, heads, since, differs: false, old_news, pending })
        }
        _ => out.record,
    };
    writing.put_line(file, place, &Line { text: out.text, terminator: out.terminator, record })
}

/// Gives a place to every line without one, between its neighbours; `None` where there is no room.
fn fill(places: &[Option<LineKey>]) -> Option<Vec<LineKey>> {
    let mut filled = Vec::with_capacity(places.len());
    let mut at = 0;
    while at < places.len() {
        if let Some(place) = places[at] {
            filled.push(place);
            at += 1;
            continue;
        }
        let run = places[at..].iter().take_while(|place| place.is_none()).count();
        let before = filled.last().copied().unwrap_or(0);
        let step = match places.get(at + run).copied().flatten() {
            Some(next) => (next - before) / (run as u64 + 1),
            None => LINE_GAP,
        };
        if step == 0 {
            return None;
        }
        filled.extend((1..=run as u64).map(|nth| before + nth * step));
        at += run;
    }
    Some(filled)
}

/// A line to be written.
struct Out {
    text: Vec<u8>,
    terminator: Terminator,
    /// The issue it stands for.
    issue: Option<DocumentKey>,
    /// Where it stood; `None` for a new one.
    place: Option<LineKey>,
    /// What was recorded of it.
    record: Option<LineRecord>,
    /// Fields that it keeps although the issue says something else.
    pending: Vec<String>,
    /// Whether it differs from what is recorded.
    is_changed: bool,
}

type VisitOut<'a> = dyn FnMut(Out) -> Result<(), TrackerError> + 'a;

/// Visits the lines of a file as they are to be; also returns the issues that are not here any more
/// and whose lines are left out.
fn walk(
    reading: &Reading,
    file: &str,
    visit: &mut VisitOut<'_>,
) -> Result<(ExportReport, Vec<DocumentKey>), TrackerError> {
    let base = reading.file_state(file)?.map(|state| state.hash);
    let mut report = ExportReport { base, ..ExportReport::default() };
    let plan = Plan::of(reading, file)?;
    let mut gone = Vec::new();
    let mut ending =
        Ending { last: None, final_newline: plan.final_newline, usual: plan.terminator };
    let new = |key: &DocumentKey| plan.new_line(reading, *key);
    reading.visit_lines(file, &mut |place, line| {
        for key in plan.before.get(&place).into_iter().flatten() {
            ending.pass(new(key)?, &mut report, visit)?;
        }
        match &line.record {
            Some(record) if !plan.versions.contains_key(&record.key) => gone.push(record.key),
            _ => ending.pass(plan.kept_line(reading, place, line)?, &mut report, visit)?,
        }
        for key in plan.after.get(&place).into_iter().flatten() {
            ending.pass(new(key)?, &mut report, visit)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for key in &plan.at_end {
        ending.pass(new(key)?, &mut report, visit)?;
    }
    ending.finish(&mut report, visit)?;
    Ok((report, gone))
}

/// Where new lines go, and what they look like.
struct Plan {
    versions: HashMap<DocumentKey, Version>,
    style: Style,
    terminator: Terminator,
    final_newline: bool,
    before: BTreeMap<LineKey, Vec<DocumentKey>>,
    after: BTreeMap<LineKey, Vec<DocumentKey>>,
    at_end: Vec<DocumentKey>,
}

impl Plan {
    fn of(reading: &Reading, file: &str) -> Result<Self, TrackerError> {
        let mut versions = HashMap::new();
        let present: HashSet<DocumentKey> =
            reading.documents_in(file, false)?.into_iter().collect();
        let mut missing: Vec<(String, DocumentKey)> = Vec::new();
        let mut own: HashMap<DocumentKey, String> = HashMap::new();
        reading.visit_rows(None, &mut |_, row| {
            versions.insert(row.key, row.version);
            if !present.contains(&row.key) {
                missing.push((row.id, row.key));
            } else if id::is_opaque_issue_id(&row.id) {
                own.insert(row.key, row.id);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        missing.sort();
        let mut plan = Self {
            versions,
            style: Style::COMPACT,
            terminator: Terminator::Lf,
            final_newline: true,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            at_end: Vec::new(),
        };
        plan.place(reading, file, missing, &own)?;
        Ok(plan)
    }

    /// Places new lines: those of x0x's own ids in id order among their like, others at the end.
    fn place(
        &mut self,
        reading: &Reading,
        file: &str,
        missing: Vec<(String, DocumentKey)>,
        own: &HashMap<DocumentKey, String>,
    ) -> Result<(), TrackerError> {
        let mut placed: Vec<(LineKey, &str)> = Vec::new();
        let mut last_record = None;
        reading.visit_lines(file, &mut |place, line| {
            self.final_newline = line.terminator != Terminator::None;
            if let Some(record) = &line.record {
                // Nothing goes before a byte order mark.
                if let Some(id) = own.get(&record.key).filter(|_| !line.text.starts_with(BOM)) {
                    placed.push((place, id));
                }
                if last_record.replace(place).is_none() {
                    self.learn_style(line);
                }
            }
            let enough = missing.is_empty() && last_record.is_some();
            Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        for (id, key) in missing {
            let is_own = id::is_opaque_issue_id(&id);
            let next = placed.iter().find(|(_, other)| is_own && *other > id.as_str());
            let last = placed.last().filter(|_| is_own).map(|(place, _)| *place).or(last_record);
            match (next, last) {
                (Some((place, _)), _) => self.before.entry(*place).or_default().push(key),
                (None, Some(place)) => self.after.entry(place).or_default().push(key),
                (None, None) => self.at_end.push(key),
            }
        }
        Ok(())
    }

    /// Takes the style of new lines from a line that is there.
    fn learn_style(&mut self, line: Line) {
        if line.terminator != Terminator::None {
            self.terminator = line.terminator;
        }
        let raw =
            RawLine { number: 1, text: line.text, terminator: line.terminator, oversize: false };
        if let Ok(Content::Record(parsed)) = parse_line(&raw) {
            self.style = layout::style_of(&parsed);
        }
    }

    /// Returns a line that was there, renewed where its issue changed.
    fn kept_line(
        &self,
        reading: &Reading,
        place: LineKey,
        line: Line,
    ) -> Result<Out, TrackerError> {
        let issue = line.record.as_ref().map(|record| record.key);
        let mut out = Out {
            text: line.text,
            terminator: line.terminator,
            issue,
            place: Some(place),
            record: line.record,
            pending: Vec::new(),
            is_changed: false,
        };
        let Some(record) = &out.record else { return Ok(out) };
        if !record.differs && self.versions.get(&record.key) == Some(&record.version) {
            return Ok(out);
        }
        let Some(json) = reading.view(record.key)? else { return Ok(out) };
        let raw =
            RawLine { number: 1, text: out.text, terminator: Terminator::None, oversize: false };
        let wanted = write::fields_of(&json);
        let pending = record.pending.clone();
        let text = match parse_line(&raw) {
            Ok(Content::Record(parsed)) => write::renewed(&parsed, &wanted, &pending, &self.style),
            _ => write::new_line(&wanted, &self.style),
        };
        out.is_changed = text.as_bytes() != raw.text;
        out.text = text.into_bytes();
        out.pending = pending;
        Ok(out)
    }

    fn new_line(&self, reading: &Reading, key: DocumentKey) -> Result<Out, TrackerError> {
        let json = reading.view(key)?.unwrap_or_default();
        Ok(Out {
            text: write::new_line(&write::fields_of(&json), &self.style).into_bytes(),
            terminator: self.terminator,
            issue: Some(key),
            place: None,
            record: None,
            pending: Vec::new(),
            is_changed: true,
        })
    }
}

/// Holds each line back until it is known whether another follows, since that decides its end.
struct Ending {
    last: Option<Out>,
    final_newline: bool,
    usual: Terminator,
}

impl Ending {
    fn pass(
        &mut self,
        out: Out,
        report: &mut ExportReport,
        visit: &mut VisitOut<'_>,
    ) -> Result<(), TrackerError> {
        report.records += u64::from(out.issue.is_some());
        if let Some(mut before) = self.last.replace(out) {
            if before.terminator == Terminator::None {
                before.terminator = self.usual;
                before.is_changed = true;
            }
            count(&before, report);
            visit(before)?;
        }
        Ok(())
    }

    fn finish(
        self,
        report: &mut ExportReport,
        visit: &mut VisitOut<'_>,
    ) -> Result<(), TrackerError> {
        if let Some(mut last) = self.last {
            if last.place.is_none() && !self.final_newline {
                last.terminator = Terminator::None;
            }
            count(&last, report);
            visit(last)?;
        }
        Ok(())
    }
}

fn count(out: &Out, report: &mut ExportReport) {
    if out.place.is_none() {
        report.added += 1;
    } else if out.is_changed {
        report.changed += 1;
    }
}

/// Writes lines and hashes what it writes.
struct Sink<'a> {
    output: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl<'a> Sink<'a> {
    fn new(output: &'a mut dyn Write) -> Self {
        Self { output, hasher: blake3::Hasher::new() }
    }

    fn write(&mut self, text: &[u8], terminator: Terminator) -> Result<(), TrackerError> {
        for bytes in [text, terminator.bytes()] {
            self.hasher.update(bytes);
            self.output.write_all(bytes).map_err(|source| TrackerError::Io {
                what: "cannot write the export".to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    fn hash(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}
