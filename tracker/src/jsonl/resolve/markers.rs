//! The lines of a file that git left conflict markers in, each with the side that it belongs to.
//! Not: what stands in the lines.

use crate::jsonl::read::{Lines, Problem, RawLine, Terminator};

/// The fewest characters of a marker: git's own number, which an attribute may raise.
const MARKER_CHARS_MIN: usize = 7;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Of both sides: it stands outside all markers.
    Common,
    /// Between `<<<<<<<` and what follows.
    Ours,
    /// Between `|||||||` and `=======`, as the styles diff3 and zdiff3 have it.
    Base,
    /// Between `=======` and `>>>>>>>`.
    Theirs,
}

/// A line that is no marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sided {
    /// Whose it is.
    pub part: Part,
    /// How many conflicts begin before it.
    pub conflict: usize,
    /// The line.
    pub raw: RawLine,
}

/// A file taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Its lines in order, without the markers and without bases that are conflicts themselves.
    pub lines: Vec<Sided>,
    /// How many conflicts there are.
    pub conflicts: usize,
    /// What ended the last line, marker or not; none of an empty file.
    pub last: Option<Terminator>,
}

impl Parts {
    fn leave_out_last_base(&mut self) {
        let from = self.lines.partition_point(|line| line.conflict < self.conflicts);
        let last = self.lines.split_off(from);
        self.lines.extend(last.into_iter().filter(|line| line.part != Part::Base));
    }
}

/// Takes a file apart.
///
/// A base may hold markers longer than those around it: git writes a base that had to be merged
/// itself so. It is the common past of neither side, and is left out.
///
/// # Errors
///
/// Every marker that stands where none may: conflicts within one another, without a beginning or
/// without an end.
pub fn split(text: &[u8]) -> Result<Parts, Vec<Problem>> {
    let (mut parts, mut problems) = (Parts::default(), Vec::new());
    let mut open: Option<Open> = None;
    let mut lines = Lines::new(text);
    // Reading from memory does not fail.
    while let Ok(Some(raw)) = lines.next_line() {
        parts.last = Some(raw.terminator);
        let Some(marker) = marker_of(&raw.text) else {
            let part = open.as_ref().map_or(Part::Common, |open| open.part);
            parts.lines.push(Sided { part, conflict: parts.conflicts, raw });
            continue;
        };
        match step(open.as_mut(), marker) {
            Ok(Step::Begin) => {
                parts.conflicts += 1;
                open = Some(Open::at(raw.number, marker.chars));
            }
            Ok(Step::Inside) => {}
            Ok(Step::End) => {
                if open.take().is_some_and(|open| open.is_base_merged) {
                    parts.leave_out_last_base();
                }
            }
            Err(reason) => problems.push(problem(raw.number, reason)),
        }
    }
    if let Some(open) = open {
        problems.push(problem(open.line, "the conflict that begins here has no end".to_owned()));
    }
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

/// A conflict that has begun.
struct Open {
    /// The line it begins on.
    line: usize,
    /// How long its markers are.
    chars: usize,
    part: Part,
    /// Whether the base holds markers.
    is_base_merged: bool,
}

impl Open {
    fn at(line: usize, chars: usize) -> Self {
        Self { line, chars, part: Part::Ours, is_base_merged: false }
    }
}

/// What a marker does.
enum Step {
    Begin,
    Inside,
    End,
}

fn step(open: Option<&mut Open>, marker: Marker) -> Result<Step, String> {
    if !marker.is_whole {
        return Err("this looks like a conflict marker and is none of git's".to_owned());
    }
    let Some(open) = open else {
        return match marker.kind {
            b'<' => Ok(Step::Begin),
            _ => Err("a conflict marker without a '<<<<<<<' before it".to_owned()),
        };
    };
    if open.part == Part::Base && marker.chars > open.chars {
        open.is_base_merged = true;
        return Ok(Step::Inside);
    }
    let begun = open.line;
    if marker.chars != open.chars || marker.kind == b'<' {
        return Err(format!("a conflict marker inside the conflict that begins on line {begun}"));
    }
    match (open.part, marker.kind) {
        (Part::Ours, b'|') => open.part = Part::Base,
        (Part::Ours | Part::Base, b'=') => open.part = Part::Theirs,
        (Part::Theirs, b'>') => return Ok(Step::End),
        _ => {
            let reason = "a conflict marker out of order in the conflict that begins on line";
            return Err(format!("{reason} {begun}"));
        }
    }
    Ok(Step::Inside)
}

#[derive(Clone, Copy)]
struct Marker {
    /// The character that it is made of.
    kind: u8,
    chars: usize,
    /// Whether nothing but a label follows.
    is_whole: bool,
}

/// Returns the marker that a line is, or begins like.
fn marker_of(text: &[u8]) -> Option<Marker> {
    let kind = *text.first().filter(|first| b"<|=>".contains(first))?;
    let chars = text.iter().take_while(|byte| **byte == kind).count();
    let is_whole = text.get(chars).is_none_or(|next| *next == b' ');
    (chars >= MARKER_CHARS_MIN).then_some(Marker { kind, chars, is_whole })
}

fn problem(line: usize, reason: String) -> Problem {
    Problem { line, column: 1, reason, is_resolvable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(Part, usize, String)> {
        let told = |line: Sided| {
            (line.part, line.conflict, String::from_utf8(line.raw.text).expect("text"))
        };
        split(text.as_bytes()).expect("sound").lines.into_iter().map(told).collect()
    }

    fn refused(text: &str) -> Vec<(usize, String)> {
        let problems = split(text.as_bytes()).expect_err("should be refused");
        problems.into_iter().map(|problem| (problem.line, problem.reason)).collect()
    }

    fn line(part: Part, conflict: usize, text: &str) -> (Part, usize, String) {
        (part, conflict, text.to_owned())
    }

    #[test]
    fn every_line_has_its_side_in_both_styles() {
        let two_way = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x y\nd";
        let expected = [
            line(Part::Common, 0, "a"),
            line(Part::Ours, 1, "b"),
            line(Part::Theirs, 1, "c"),
            line(Part::Common, 1, "d"),
        ];
        assert_eq!(parts(two_way), expected);
        let three_way = "<<<<<<<\r\nb\r\n|||||||\r\na\r\n=======\r\n>>>>>>>\r\n";
        assert_eq!(parts(three_way), [line(Part::Ours, 1, "b"), line(Part::Base, 1, "a")]);
    }

    #[test]
    fn longer_markers_are_markers_too() {
        let text = "<<<<<<<<<< a\nb\n|||||||||| x\n==========\nc\n>>>>>>>>>> d\n";
        assert_eq!(parts(text), [line(Part::Ours, 1, "b"), line(Part::Theirs, 1, "c")]);
    }

    #[test]
    fn a_base_that_was_merged_itself_is_left_out() {
        let base = "||||||| m\nx\n<<<<<<<<< T1\ny\n=========\nz\n>>>>>>>>> T2\n=======\n";
        let text = format!("<<<<<<< a\nb\n{base}c\n>>>>>>> d\n");
        assert_eq!(parts(&text), [line(Part::Ours, 1, "b"), line(Part::Theirs, 1, "c")]);
    }

    #[test]
    fn markers_out_of_place_are_named() {
        let begins = |n: usize| format!("the conflict that begins on line {n}");
        let inside = "<<<<<<< a\n<<<<<<< b\n=======\n>>>>>>> c\n";
        assert_eq!(refused(inside), [(2, format!("a conflict marker inside {}", begins(1)))]);
        let longer = "<<<<<<< a\n=======\n<<<<<<<<< b\n>>>>>>> c\n";
        assert_eq!(refused(longer), [(3, format!("a conflict marker inside {}", begins(1)))]);
        let in_base = "<<<<<<< a\n|||||||\n<<<<<<< b\n=======\n>>>>>>> c\n";
        assert_eq!(refused(in_base), [(3, format!("a conflict marker inside {}", begins(1)))]);
        for wrong in ["=======\n=======", "|||||||\n|||||||\n=======", "=======\n|||||||"] {
            let found = refused(&format!("<<<<<<< a\n{wrong}\n>>>>>>> c\n"));
            assert_eq!(found, [(3, format!("a conflict marker out of order in {}", begins(1)))]);
        }
        assert_eq!(refused("<<<<<<< a\n>>>>>>> c\n").len(), 2, "no middle, and so no end");
        for alone in ["=======", "||||||| x", ">>>>>>> y"] {
            let reason = "a conflict marker without a '<<<<<<<' before it".to_owned();
            assert_eq!(refused(alone), [(1, reason)]);
        }
        let open = "the conflict that begins here has no end".to_owned();
        assert_eq!(refused("{}\n<<<<<<< a\n{}\n=======\n"), [(2, open)]);
        let odd = "this looks like a conflict marker and is none of git's".to_owned();
        assert_eq!(refused("<<<<<<<a\n"), [(1, odd)]);
    }

    #[test]
    fn shorter_rows_are_no_markers() {
        assert_eq!(parts("<<<<<<\n"), [line(Part::Common, 0, "<<<<<<")]);
    }
}
