//! The lines of a JSONL file and the fields of one line, with where each of them stands.
//! Not: what a field means, nor which fields a record must have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::text::{Fault, Scanner, unquote};

/// The most bytes of text a line may have, its terminator apart. A guess: a record is some 2 KB.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most fields the object of a line may have. A guess: a record has some 30.
pub const FIELDS_MAX: usize = 4_096;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What git writes at the start of a line around the sides of a conflict.
const CONFLICT_MARKERS: [&[u8]; 4] = [b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>"];

const CONFLICT: &str = "the file holds unresolved git conflict markers; \
                        `x0x issues merge --resolve FILE` merges both sides";

/// Why a line is not a record; the file is at fault, and the lines around it can still be read.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[error("line {line}, column {column}: {reason}")]
#[non_exhaustive]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1; a byte order mark does not count.
    pub column: usize,
    /// What is wrong there, in plain words.
    pub reason: String,
    /// Whether a merge by lines left this behind, which `x0x issues merge --resolve` mends.
    pub is_resolvable: bool,
}

/// What ends a line in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Terminator {
    /// Nothing: the file ends.
    None,
    /// A line feed.
    Lf,
    /// A carriage return and a line feed.
    CrLf,
}

impl Terminator {
    /// Returns the bytes in the file.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Terminator::None => b"",
            Terminator::Lf => b"\n",
            Terminator::CrLf => b"\r\n",
        }
    }
}

/// One line as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    /// The line, counted from 1.
    pub number: usize,
    /// What comes before the terminator; the first [`LINE_BYTES_MAX`] bytes of it if `oversize`.
    pub text: Vec<u8>,
    /// What ends the line.
    pub terminator: Terminator,
    /// Whether the line is longer than [`LINE_BYTES_MAX`].
    pub oversize: bool,
}

/// The lines of a file, one after the other.
///
/// Text and terminators, put together again, are the file, unless a line is oversize. Holds no
/// more than one line in memory.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// Returns the lines of what `reader` has yet to give.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// Returns the next line, or none at the end of the file.
    ///
    /// # Errors
    ///
    /// The reader's; what was read of the line is lost then, so that reading on makes no sense.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        // The longest text and a terminator of two bytes.
        let most = LINE_BYTES_MAX + 2;
        let mut text = Vec::new();
        if self.append(&mut text, most)? == 0 {
            return Ok(None);
        }
        let mut terminator = split_terminator(&mut text);
        let oversize = text.len() > LINE_BYTES_MAX;
        if oversize && terminator == Terminator::None {
            terminator = self.skip_rest(&text[text.len() - 1..])?;
        }
        text.truncate(LINE_BYTES_MAX);
        self.number += 1;
        let number = self.number;
        Ok(Some(RawLine { number, text, terminator, oversize }))
    }

    /// Passes over the rest of a line, of which `last` was read last; returns what ends it.
    fn skip_rest(&mut self, last: &[u8]) -> io::Result<Terminator> {
        let mut tail = last.to_vec();
        loop {
            // The last byte stays: it may be the first of a terminator of two.
            tail.drain(..tail.len() - 1);
            let read = self.append(&mut tail, 64 * 1024)?;
            if read == 0 || tail.ends_with(b"\n") {
                return Ok(split_terminator(&mut tail));
            }
        }
    }

    /// Appends what is left of the line, but no more than `most` bytes; returns how many it were.
    fn append(&mut self, text: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let reader = &mut self.reader;
        reader.take(most as u64).read_until(b'\n', text)
    }
}

/// What a line holds.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Nothing but white space, or a byte order mark.
    Blank,
    /// One JSON object.
    Record(Line<'a>),
}

/// A line that holds one JSON object in which no key stands twice.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The whole line, with a byte order mark if it has one and without its terminator.
    pub text: &'a str,
    fields: Vec<Field<'a>>,
}

impl<'a> Line<'a> {
    /// Returns the fields in the order of the line.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// Returns the field of that name.
    pub fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One key of the object and its value; the ranges count bytes of the line's `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// What the key says.
    pub name: Cow<'a, str>,
    /// Where the key stands, quotes included.
    pub name_at: Range<usize>,
    /// The value as spelled, valid JSON.
    pub raw: &'a str,
    /// Where the value stands.
    pub value_at: Range<usize>,
}

/// Returns what a line holds.
///
/// # Errors
///
/// The first problem: the line is oversize, a git conflict marker, not UTF-8, not one JSON object
/// of at most [`FIELDS_MAX`] fields nested at most [`DEPTH_MAX`](super::text::DEPTH_MAX) deep, or
/// the same key stands twice in it.
pub fn parse_line(raw: &RawLine) -> Result<Content<'_>, Problem> {
    let problem = |at: usize, reason: String| problem(raw, at, reason);
    if raw.oversize {
        let reason = format!("the line is longer than {LINE_BYTES_MAX} bytes");
        return Err(problem(0, reason));
    }
    let mut markers = CONFLICT_MARKERS.iter();
    if markers.any(|marker| raw.text.starts_with(marker)) {
        return Err(Problem { is_resolvable: true, ..problem(0, CONFLICT.to_owned()) });
    }
    let text = std::str::from_utf8(&raw.text)
        .map_err(|error| problem(error.valid_up_to(), "the line is not valid UTF-8".into()))?;
    let start = mark_bytes(raw);
    if text[start..].trim().is_empty() {
        return Ok(Content::Blank);
    }
    let fields =
        fields_of(text, start).map_err(|fault| problem(fault.at, fault.reason.to_owned()))?;
    if let Some((first, second)) = repeated(&fields) {
        let (at, column) = (second.name_at.start, column(raw, first.name_at.start));
        let name = &text[second.name_at.clone()];
        let reason = format!(
            "the key {name} stands twice, at columns {column} and {}",
            self::column(raw, at)
        );
        return Err(problem(at, reason));
    }
    Ok(Content::Record(Line { text, fields }))
}

fn fields_of(text: &str, start: usize) -> Result<Vec<Field<'_>>, Fault> {
    let mut fields = Vec::with_capacity(32);
    let mut scanner = Scanner::new(text.as_bytes(), start);
    scanner.space();
    scanner.expect(b'{', "the line is not a JSON object")?;
    scanner.space();
    let mut more = !scanner.eat(b'}');
    while more {
        let name_at = scanner.key()?;
        let value_at = scanner.value(1)?;
        fields.push(field(text, name_at, value_at, fields.len())?);
        scanner.space();
        more = !scanner.eat(b'}');
        if more {
            scanner.expect(b',', "expected ',' or '}' after the value")?;
            scanner.space();
        }
    }
    scanner.space();
    scanner.end("text after the closing '}' of the object")?;
    Ok(fields)
}

fn field(
    text: &str,
    name_at: Range<usize>,
    value_at: Range<usize>,
    before: usize,
) -> Result<Field<'_>, Fault> {
    let at = name_at.start;
    if before == FIELDS_MAX {
        let reason = "the object has more than 4096 fields";
        return Err(Fault { at, reason });
    }
    let reason = "the key holds half of a surrogate pair";
    let name = unquote(&text[name_at.clone()]).ok_or(Fault { at, reason })?;
    let raw = &text[value_at.clone()];
    Ok(Field { name, name_at, raw, value_at })
}

/// Returns the first field whose name an earlier one has, after that earlier one.
fn repeated<'f, 'a>(fields: &'f [Field<'a>]) -> Option<(&'f Field<'a>, &'f Field<'a>)> {
    let mut seen: HashMap<&str, &Field<'a>> = HashMap::with_capacity(fields.len());
    fields.iter().find_map(|field| Some((seen.insert(&field.name, field)?, field)))
}

fn problem(raw: &RawLine, at: usize, reason: String) -> Problem {
    Problem { line: raw.number, column: column(raw, at), reason, is_resolvable: false }
}

/// Returns the column of the character that begins after `at` bytes.
fn column(raw: &RawLine, at: usize) -> usize {
    let before = raw.text.get(mark_bytes(raw)..at).unwrap_or_default();
    1 + before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// Returns the length of the byte order mark that the line, if it is the first, begins with.
fn mark_bytes(raw: &RawLine) -> usize {
    let mut mark = [0; 4];
    let mark = BYTE_ORDER_MARK.encode_utf8(&mut mark).as_bytes();
    if raw.number == 1 && raw.text.starts_with(mark) { mark.len() } else { 0 }
}

/// Takes the terminator off the end of `text`.
fn split_terminator(text: &mut Vec<u8>) -> Terminator {
    let terminator = if text.ends_with(b"\r\n") {
        Terminator::CrLf
    } else if text.ends_with(b"\n") {
        Terminator::Lf
    } else {
        Terminator::None
    };
    text.truncate(text.len() - terminator.bytes().len());
    terminator
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::text::samples;
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<RawLine> {
        let mut lines = Lines::new(bytes);
        std::iter::from_fn(|| lines.next_line().expect("slices do not fail")).collect()
    }

    fn first(text: &str) -> RawLine {
        let mut lines = lines(text.as_bytes());
        lines.swap_remove(0)
    }

    fn record(raw: &RawLine) -> Line<'_> {
        match parse_line(raw) {
            Ok(Content::Record(line)) => line,
            other => panic!("not a record: {other:?}"),
        }
    }

    fn problem_of(text: &str) -> (usize, String) {
        let problem = parse_line(&first(text)).expect_err("should be a problem");
        (problem.column, problem.reason)
    }

    #[test]
    fn lines_end_as_the_file_says() {
        let lines = lines(b"a\r\n\nb\rc\n\r\nd\r");
        let seen: Vec<(usize, &[u8], Terminator)> =
            lines.iter().map(|line| (line.number, line.text.as_slice(), line.terminator)).collect();
        let expected: [(usize, &[u8], Terminator); 5] = [
            (1, b"a", Terminator::CrLf),
            (2, b"", Terminator::Lf),
            (3, b"b\rc", Terminator::Lf),
            (4, b"", Terminator::CrLf),
            (5, b"d\r", Terminator::None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_of_the_longest_length_is_whole() {
        for end in ["", "\n", "\r\n"] {
            let lines = lines(("x".repeat(LINE_BYTES_MAX) + end).as_bytes());
            assert_eq!(lines.len(), 1);
            assert!(!lines[0].oversize);
            assert_eq!(lines[0].terminator.bytes(), end.as_bytes());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_reported() {
        for (more, end) in [(1, "\n"), (1, "\r\n"), (2, "\r\n"), (70_000, "\r\n"), (9, "")] {
            let long = "x".repeat(LINE_BYTES_MAX + more) + end + "{}";
            let lines = lines(long.as_bytes());
            assert!(lines[0].oversize);
            assert_eq!(lines[0].text.len(), LINE_BYTES_MAX);
            let problem = parse_line(&lines[0]).expect_err("too long");
            assert_eq!(
                problem.to_string(),
                "line 1, column 1: the line is longer than 8388608 bytes"
            );
            assert_eq!(lines[0].terminator.bytes(), end.as_bytes());
            assert_eq!(lines.len(), if end.is_empty() { 1 } else { 2 });
        }
    }

    #[test]
    fn fields_say_where_they_stand() {
        let raw = first("{ \"id\" : \"a\", \"t\\u0069tle\":[1, {\"x\":2}]}");
        let line = record(&raw);
        let [id, title] = line.fields() else { panic!("two fields") };
        assert_eq!((id.name.as_ref(), id.raw), ("id", "\"a\""));
        assert_eq!((title.name.as_ref(), title.raw), ("title", "[1, {\"x\":2}]"));
        assert_eq!(&line.text[title.name_at.clone()], "\"t\\u0069tle\"");
        assert_eq!(&line.text[title.value_at.clone()], title.raw);
        assert_eq!(line.get("title"), Some(title));
        assert_eq!(line.get("x"), None);
    }

    #[test]
    fn an_empty_object_is_a_record() {
        assert!(record(&first(" { } ")).fields().is_empty());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_kept() {
        let raw = first("\u{feff}{\"a\":1}\n");
        let line = record(&raw);
        assert!(line.text.starts_with('\u{feff}'));
        assert_eq!(line.fields()[0].name_at, 4..7);
        assert_eq!(problem_of("\u{feff}{\"a\" 1}").0, 6);
    }

    #[test]
    fn a_byte_order_mark_in_another_line_is_a_problem() {
        let lines = lines("\n\u{feff}{}".as_bytes());
        let problem = parse_line(&lines[1]).expect_err("not an object");
        assert_eq!(problem.to_string(), "line 2, column 1: the line is not a JSON object");
    }

    #[test]
    fn white_space_is_blank() {
        for text in ["\n", " \t \r\n", "\u{feff}\n", "\u{feff} "] {
            assert!(matches!(parse_line(&first(text)), Ok(Content::Blank)), "{text:?}");
        }
    }

    #[test]
    fn conflict_markers_are_told_from_other_problems() {
        for text in ["<<<<<<< HEAD", "||||||| base", "=======", ">>>>>>> theirs\r\n"] {
            let (column, reason) = problem_of(text);
            assert_eq!(column, 1);
            assert!(reason.contains("unresolved git conflict markers"), "{reason}");
            assert!(reason.contains("`x0x issues merge --resolve FILE`"), "{reason}");
            assert!(parse_line(&first(text)).expect_err("a marker").is_resolvable);
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_a_problem_with_a_column() {
        let lines = lines(b"{\"\xc3\xa9\":\"\xff\"}");
        let problem = parse_line(&lines[0]).expect_err("not UTF-8");
        assert_eq!(problem.to_string(), "line 1, column 7: the line is not valid UTF-8");
    }

    #[test]
    fn what_is_not_one_object_is_a_problem() {
        let no_object = "the line is not a JSON object";
        assert_eq!(problem_of("[1]"), (1, no_object.to_owned()));
        assert_eq!(problem_of("  \"a\""), (3, no_object.to_owned()));
        let trailing = "text after the closing '}' of the object";
        assert_eq!(problem_of("{\"é\":1} {}"), (9, trailing.to_owned()));
        let value = "expected ',' or '}' after the value";
        assert_eq!(problem_of("{\"é\":1 2}"), (8, value.to_owned()));
        assert_eq!(problem_of("{\"a\":1,}").1, "expected a key in double quotes");
        assert_eq!(problem_of("{\"a\":\"b"), (8, "the line ends inside a string".to_owned()));
    }

    #[test]
    fn the_same_key_twice_is_a_problem_that_names_both_columns() {
        let reason = "the key \"\\u0061\" stands twice, at columns 2 and 15".to_owned();
        assert_eq!(problem_of("{\"a\":1,\"é\":2, \"\\u0061\":3}"), (15, reason));
        record(&first("{\"a\":{\"b\":1,\"b\":2}}"));
    }

    #[test]
    fn half_a_surrogate_pair_is_a_problem_in_a_key_only() {
        let reason = "the key holds half of a surrogate pair".to_owned();
        assert_eq!(problem_of("{\"a\":1,\"\\ud800\":2}"), (8, reason));
        record(&first("{\"a\":\"\\ud800\",\"b\":{\"\\udc00\":1}}"));
    }

    #[test]
    fn depth_counts_the_object_of_the_line() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        record(&first(&nested(511)));
        assert_eq!(problem_of(&nested(512)).0, 517);
    }

    #[test]
    fn an_object_of_too_many_fields_is_a_problem() {
        let object = |count: usize| {
            let fields: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert_eq!(record(&first(&object(FIELDS_MAX))).fields().len(), FIELDS_MAX);
        let (_, reason) = problem_of(&object(FIELDS_MAX + 1));
        assert!(reason.contains(&FIELDS_MAX.to_string()), "{reason}");
    }

    proptest! {
        #[test]
        fn lines_put_together_are_the_file(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
        ) {
            let lines = lines(&bytes);
            let again: Vec<u8> = lines
                .iter()
                .flat_map(|line| [line.text.as_slice(), line.terminator.bytes()].concat())
                .collect();
            prop_assert_eq!(again, bytes);
        }

        #[test]
        fn objects_are_read_whole(
            fields in prop::collection::btree_map(samples::string(), samples::value(), 0..6),
            space in samples::space(),
        ) {
            let members: Vec<String> = fields
                .iter()
                .enumerate()
                .map(|(n, (key, value))| format!("\"{n}{}{space}:{space}{value}", &key[1..]))
                .collect();
            let text = format!("{space}{{{space}{}{space}}}", members.join(&format!(",{space}")));
            let raw = first(&text);
            let line = record(&raw);
            let values: Vec<&str> = line.fields().iter().map(|field| field.raw).collect();
            prop_assert_eq!(values, fields.values().collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..100), number in 1_usize..3) {
            let terminator = Terminator::None;
            let _ = parse_line(&RawLine { number, text, terminator, oversize: false });
        }

        #[test]
        fn no_damage_makes_it_panic(
            value in samples::value(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut text = format!("{{\"a\":1,\"é\":{value}}}").into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            let terminator = Terminator::Lf;
            let raw = RawLine { number: 1, text, terminator, oversize: false };
            if let Err(problem) = parse_line(&raw) {
                prop_assert!(problem.column >= 1 && problem.column <= raw.text.len() + 1);
            }
        }
    }
}
