//! Columns of text: as wide as they must be, as narrow as the terminal is. Not: what stands in them.

use std::io::{self, Write};

use super::plain::{columns, cut, one_line};

/// What stands between two columns.
const GAP: &str = "  ";

/// No column that may shrink becomes narrower than this.
const SHRUNK_COLUMNS: usize = 8;

/// What a table may use of a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// How wide it is; `None` where the output is no terminal, and nothing is cut.
    pub columns_max: Option<usize>,
    /// Whether it shows colours.
    pub colour: bool,
}

/// A colour, as the number that a terminal knows it by (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Bold.
    Bold = 1,
    /// Less bright.
    Faint = 2,
    /// Red.
    Red = 31,
    /// Green.
    Green = 32,
    /// Yellow.
    Yellow = 33,
    /// Blue.
    Blue = 34,
}

/// Returns the text in a colour, where the look allows it.
pub fn painted(text: &str, colour: Option<Colour>, look: Look) -> String {
    match colour {
        Some(colour) if look.colour => format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8),
        _ => text.to_owned(),
    }
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// Returns a cell that says `text`, made safe and put on one line.
    pub fn new(text: &str) -> Self {
        Self { text: one_line(text).into_owned(), colour: None }
    }

    /// Gives it a colour.
    pub fn painted(mut self, colour: Option<Colour>) -> Self {
        self.colour = colour;
        self
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// What stands over it.
    pub heading: &'a str,
    /// Whether it gives way where the terminal is narrow; earlier ones give way last.
    pub shrinks: bool,
}

impl<'a> Column<'a> {
    /// Returns a column that keeps its width.
    pub const fn firm(heading: &'a str) -> Self {
        Self { heading, shrinks: false }
    }

    /// Returns a column that gives way.
    pub const fn soft(heading: &'a str) -> Self {
        Self { heading, shrinks: true }
    }
}

/// Writes a table; one without rows writes nothing.
pub fn write(
    output: &mut dyn Write,
    head: &[Column<'_>],
    rows: &[Vec<Cell>],
    look: Look,
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let widths = widths(head, rows, look);
    if head.iter().any(|column| !column.heading.is_empty()) {
        let heading: Vec<Cell> = head
            .iter()
            .map(|column| Cell::new(column.heading).painted(Some(Colour::Faint)))
            .collect();
        write_row(output, &heading, &widths, look)?;
    }
    rows.iter().try_for_each(|row| write_row(output, row, &widths, look))
}

fn write_row(output: &mut dyn Write, row: &[Cell], widths: &[usize], look: Look) -> io::Result<()> {
    let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    for (at, (cell, &width)) in row.iter().zip(widths).take(filled).enumerate() {
        let text = cut(&cell.text, width);
        let is_last = at + 1 == filled;
        let padding = if is_last { 0 } else { width - columns(&text) };
        let gap = if is_last { "" } else { GAP };
        write!(output, "{}{:padding$}{gap}", painted(&text, cell.colour, look), "")?;
    }
    writeln!(output)
}

fn widths(head: &[Column<'_>], rows: &[Vec<Cell>], look: Look) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|column| columns(column.heading)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(&cell.text));
        }
    }
    let Some(columns_max) = look.columns_max else {
        return widths;
    };
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    for (at, _) in head.iter().enumerate().rev().filter(|(_, column)| column.shrinks) {
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns_max);
        widths[at] = widths[at].saturating_sub(excess).max(widths[at].min(SHRUNK_COLUMNS));
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [Column<'static>; 3] =
        [Column::firm("NAME"), Column::soft("TITLE"), Column::soft("LABELS")];

    fn table(rows: &[[&str; 3]], look: Look) -> String {
        let rows: Vec<Vec<Cell>> =
            rows.iter().map(|row| row.iter().map(|text| Cell::new(text)).collect()).collect();
        let mut written = Vec::new();
        write(&mut written, &HEAD, &rows, look).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let table = table(&[["X-1", "漢字", "a"], ["X-22", "b", ""]], Look::default());
        assert_eq!(table, "NAME  TITLE  LABELS\nX-1   漢字   a\nX-22  b\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_last_columns_first() {
        let row = [["X-1", "a title of some length", "label, another"]];
        for columns_max in [30, 40, 44] {
            let look = Look { columns_max: Some(columns_max), colour: false };
            let longest = table(&row, look).lines().map(columns).max().unwrap();
            assert!(longest <= columns_max, "{longest} of {columns_max}");
        }
        assert!(table(&row, Look::default()).contains("another"));
    }

    #[test]
    fn nothing_is_painted_unless_allowed() {
        assert_eq!(painted("x", Some(Colour::Red), Look::default()), "x");
        let look = Look { columns_max: None, colour: true };
        assert_eq!(painted("x", Some(Colour::Red), look), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn an_empty_table_has_no_heading() {
        assert_eq!(table(&[], Look::default()), "");
    }
}
