//! Columns of text: as wide as they must be, as narrow as the terminal is. Not: what stands in them.

use std::io::{self, Write};

use super::plain::{columns, cut, one_line};

/// What stands between two columns.
const GAP: &str = "  ";

/// How narrow a column that gives way becomes, unless there is no room even for that. A guess: two
/// words of a title.
const SOFT_COLUMNS: usize = 12;

/// The same of a column that may be left out altogether.
const OPTIONAL_COLUMNS: usize = 8;

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

    /// Tells whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
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
    width: Width,
    is_optional: bool,
    is_right: bool,
}

/// What happens to a column where the terminal is narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// It keeps its width as long as it can.
    Firm,
    /// It gives way; earlier ones give way last.
    Soft,
    /// It gives way, but has half of the terminal before soft ones have more than they must.
    First,
    /// It is shown whole or not at all; the last ones are left out first.
    Whole,
}

impl<'a> Column<'a> {
    /// Returns a column that keeps its width.
    pub const fn firm(heading: &'a str) -> Self {
        Self::of(heading, Width::Firm)
    }

    /// Returns a column that gives way.
    pub const fn soft(heading: &'a str) -> Self {
        Self::of(heading, Width::Soft)
    }

    /// Returns a column that gets its width first, up to half of the terminal.
    pub const fn first(heading: &'a str) -> Self {
        Self::of(heading, Width::First)
    }

    /// Returns a column of which nothing is cut: where there is no room for it, it is left out.
    pub const fn whole(heading: &'a str) -> Self {
        Self::of(heading, Width::Whole)
    }

    /// Returns a column of numbers: they end where the heading ends, and none is ever cut.
    pub const fn number(heading: &'a str) -> Self {
        let column = Self::whole(heading);
        Self { is_right: true, ..column }
    }

    const fn of(heading: &'a str, width: Width) -> Self {
        Self { heading, width, is_optional: false, is_right: false }
    }

    /// Lets it be left out where it does not fit.
    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Returns the width that it should have at least, of the one that it wants.
    fn least(&self, wanted: usize, columns_max: usize) -> usize {
        match (self.width, self.is_optional) {
            (Width::Firm | Width::Whole, _) => wanted,
            (Width::First, _) => wanted.min(columns_max / 2),
            (Width::Soft, false) => wanted.min(SOFT_COLUMNS),
            (Width::Soft, true) => wanted.min(OPTIONAL_COLUMNS),
        }
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
        write_row(output, head, &heading, &widths, look)?;
    }
    rows.iter().try_for_each(|row| write_row(output, head, row, &widths, look))
}

/// Writes one row; columns without width are left out.
fn write_row(
    output: &mut dyn Write,
    head: &[Column<'_>],
    row: &[Cell],
    widths: &[usize],
    look: Look,
) -> io::Result<()> {
    let cells = head.iter().zip(row).zip(widths.iter().copied());
    let shown: Vec<_> = cells.filter(|(_, width)| *width > 0).collect();
    let is_filled = |cell: &Cell| !cell.text.is_empty();
    let filled = shown.iter().rposition(|((_, cell), _)| is_filled(cell)).map_or(0, |at| at + 1);
    for (at, ((column, cell), width)) in shown.into_iter().take(filled).enumerate() {
        let text = cut(&cell.text, width);
        let is_last = at + 1 == filled;
        let padding = width - columns(&text);
        let (before, after) = match (column.is_right, is_last) {
            (true, _) => (padding, 0),
            (false, true) => (0, 0),
            (false, false) => (0, padding),
        };
        let gap = if is_last { "" } else { GAP };
        write!(output, "{:before$}{}{:after$}{gap}", "", painted(&text, cell.colour, look), "")?;
    }
    writeln!(output)
}

fn widths(head: &[Column<'_>], rows: &[Vec<Cell>], look: Look) -> Vec<usize> {
    let mut wanted: Vec<usize> = head.iter().map(|column| columns(column.heading)).collect();
    for row in rows {
        for (width, cell) in wanted.iter_mut().zip(row) {
            *width = (*width).max(columns(&cell.text));
        }
    }
    match look.columns_max {
        Some(columns_max) => fitted(head, &wanted, columns_max),
        None => wanted,
    }
}

/// Returns the widths of columns in a terminal; 0 is a column that is left out.
///
/// What must be there gets its least width, then what may be, from the right; what remains goes to
/// soft columns from the left. The lines are never longer than the terminal is wide.
fn fitted(head: &[Column<'_>], wanted: &[usize], columns_max: usize) -> Vec<usize> {
    let least = |at: usize| head[at].least(wanted[at], columns_max);
    let all = 0..head.len();
    let must = |at: usize| if head[at].is_optional { 0 } else { least(at) };
    let mut widths: Vec<usize> = all.clone().map(must).collect();
    for at in all.clone().rev().filter(|at| head[*at].width == Width::Whole) {
        if total(&widths) > columns_max {
            widths[at] = 0;
        }
    }
    squeeze(head, &mut widths, columns_max);
    for at in all.clone().rev().filter(|at| head[*at].is_optional) {
        if total(&widths) + GAP.len() + least(at) <= columns_max {
            widths[at] = least(at);
        }
    }
    for kind in [Width::Soft, Width::First] {
        for at in all.clone().filter(|at| head[*at].width == kind) {
            let free = columns_max.saturating_sub(total(&widths));
            if widths[at] > 0 {
                widths[at] = wanted[at].min(widths[at] + free);
            }
        }
    }
    widths
}

/// Makes columns narrower than they should be, the soft ones first, until they fit.
fn squeeze(head: &[Column<'_>], widths: &mut [usize], columns_max: usize) {
    for kind in [Width::Soft, Width::First, Width::Firm] {
        for at in (0..head.len()).rev().filter(|at| head[*at].width == kind) {
            let excess = total(widths).saturating_sub(columns_max);
            widths[at] = widths[at].saturating_sub(excess).max(widths[at].min(1));
        }
    }
    for at in (0..head.len()).rev() {
        if total(widths) > columns_max {
            widths[at] = 0;
        }
    }
}

/// Returns how long a line of such columns is.
fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP.len() * shown.saturating_sub(1)
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

    /// The widths of a list of issues with long titles, and of why issues are not ready.
    fn fitted_lists(columns_max: usize) -> (Vec<usize>, Vec<usize>) {
        let why = [Column::firm("NAME"), Column::soft("TITLE"), Column::first("WHY")];
        let list = &crate::output::issue::COLUMNS;
        (
            fitted(list, &[8, 11, 1, 70, 20, 17, 9, 3], columns_max),
            fitted(&why, &[8, 70, 37], columns_max),
        )
    }

    #[test]
    fn lists_fit_terminals_of_any_width() {
        assert_eq!(fitted_lists(40).0, [8, 11, 1, 14, 0, 0, 0, 0]);
        assert_eq!(fitted_lists(60).0, [8, 11, 1, 18, 0, 0, 9, 3]);
        assert_eq!(fitted_lists(80).0, [8, 11, 1, 19, 0, 17, 9, 3]);
        assert_eq!(fitted_lists(120).0, [8, 11, 1, 49, 8, 17, 9, 3]);
        for columns_max in 1..200 {
            let (list, why) = fitted_lists(columns_max);
            assert!(total(&list) <= columns_max && total(&why) <= columns_max, "{columns_max}");
            assert!(list[0] > 0 && why[0] > 0, "{columns_max}");
        }
    }

    #[test]
    fn why_an_issue_is_not_ready_is_cut_after_its_title() {
        assert_eq!(fitted_lists(40).1, [8, 8, 20]);
        assert_eq!(fitted_lists(60).1, [8, 18, 30]);
        assert_eq!(fitted_lists(80).1, [8, 31, 37]);
        assert_eq!(fitted_lists(120).1, [8, 70, 37]);
    }

    #[test]
    fn a_column_that_is_left_out_leaves_no_gap() {
        let look = Look { columns_max: Some(24), colour: false };
        let head = [Column::firm("NAME"), Column::soft("TITLE"), Column::firm("AGE").optional()];
        let row = ["X-1", "a title of some length", "3d"].map(Cell::new).to_vec();
        let mut written = Vec::new();
        write(&mut written, &head, &[row], look).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written, "NAME  TITLE          AGE\nX-1   a title of s…  3d\n");
        let look = Look { columns_max: Some(20), ..look };
        let row = ["X-1", "a title of some length", "3d"].map(Cell::new).to_vec();
        let mut written = Vec::new();
        write(&mut written, &head, &[row], look).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "NAME  TITLE\nX-1   a title of so…\n");
    }

    #[test]
    fn numbers_end_under_their_heading_and_are_left_out_rather_than_cut() {
        let head = [Column::firm("lane"), Column::number("in/s"), Column::number("dropped")];
        let rows = [["sync", "1234.5", "7"], ["direct", "0.0", ""]];
        let rows: Vec<Vec<Cell>> = rows.map(|row| row.map(Cell::new).to_vec()).into();
        let table = |columns_max| {
            let mut written = Vec::new();
            write(&mut written, &head, &rows, Look { columns_max, colour: false }).unwrap();
            String::from_utf8(written).unwrap()
        };
        let whole = "lane      in/s  dropped\nsync    1234.5        7\ndirect     0.0\n";
        assert_eq!(table(None), whole);
        assert_eq!(table(Some(23)), whole);
        assert_eq!(table(Some(22)), "lane      in/s\nsync    1234.5\ndirect     0.0\n");
        assert_eq!(table(Some(13)), "lane\nsync\ndirect\n");
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
