//! Many issues on stdout, as they come: a table, one JSON object, or one object a line. Only a table
//! is kept until its end, and of it the cells alone.

use std::io::{self, BufWriter, StdoutLock, Write};

use x0x_tracker::interface::Shown;

use super::issue::{self, CLAIM, COLUMNS, HELD_BY};
use super::record::{Record, shaped};
use super::table::{self, Cell, Column, Look};
use super::{Output, record};
use crate::args::filter::ShapeArgs;

/// In which form the issues are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table for people.
    Table,
    /// `{"issues": [...], "next_cursor": null}`.
    Object,
    /// One object a line.
    Lines,
}

/// Writes issues one after the other.
pub struct Listing<'a> {
    stdout: BufWriter<StdoutLock<'static>>,
    form: Form,
    shape: &'a ShapeArgs,
    look: Look,
    now_ms: i64,
    rows: Vec<Vec<Cell>>,
    written: usize,
}

impl<'a> Listing<'a> {
    /// Starts a listing; nothing is written before the first issue or the end.
    pub fn start(output: &Output, shape: &'a ShapeArgs, form: Form) -> Self {
        Self {
            stdout: Output::stdout(),
            form,
            shape,
            look: output.look,
            now_ms: x0x::time::now_ms(),
            rows: Vec::new(),
            written: 0,
        }
    }

    /// Tells whether whole records are needed.
    pub fn needs_json(shape: &ShapeArgs, form: Form) -> bool {
        !shape.fields.is_empty() || (form != Form::Table && shape.needs_json())
    }

    /// Writes one issue.
    pub fn issue(&mut self, shown: &Shown) -> io::Result<()> {
        match self.form {
            Form::Table => {
                self.rows.push(row(shown, self.shape, self.now_ms));
                return Ok(());
            }
            Form::Object => self.separate()?,
            Form::Lines => {}
        }
        self.written += 1;
        self.stdout.write_all(shaped(shown, self.shape).as_bytes())?;
        if self.form == Form::Lines { self.stdout.write_all(b"\n") } else { Ok(()) }
    }

    /// Ends the listing; `members` are more members of the object, as JSON.
    pub fn finish(mut self, members: &[(&str, String)], cursor: Option<&str>) -> io::Result<()> {
        match self.form {
            Form::Table => {
                let mut head = head(self.shape);
                if self.shape.fields.is_empty() {
                    for column in [CLAIM, HELD_BY] {
                        without_empty(column, &mut head, &mut self.rows);
                    }
                }
                table::write(&mut self.stdout, &head, &self.rows, self.look)?;
            }
            Form::Object => {
                if self.written == 0 {
                    self.separate()?;
                }
                self.stdout.write_all(b"]")?;
                for (name, json) in members {
                    write!(self.stdout, ",{}:{json}", record::quoted(name))?;
                }
                let cursor = cursor.map_or("null".to_owned(), record::quoted);
                writeln!(self.stdout, ",\"next_cursor\":{cursor}}}")?;
            }
            Form::Lines => {}
        }
        self.stdout.flush()
    }

    fn separate(&mut self) -> io::Result<()> {
        let text: &[u8] = if self.written == 0 { b"{\"issues\":[" } else { b",\n" };
        self.stdout.write_all(text)
    }
}

/// Takes a column out in which nothing stands.
fn without_empty(column: Column<'_>, head: &mut Vec<Column<'_>>, rows: &mut [Vec<Cell>]) {
    let place = head.iter().position(|other| other.heading == column.heading);
    let Some(place) = place.filter(|place| rows.iter().all(|row| row[*place].is_empty())) else {
        return;
    };
    head.remove(place);
    for row in rows {
        row.remove(place);
    }
}

/// Writes one issue as a table of the fields that a person asked for.
pub fn fields_of(
    output: &mut dyn Write,
    shown: &Shown,
    shape: &ShapeArgs,
    look: Look,
) -> io::Result<()> {
    table::write(output, &head(shape), &[row(shown, shape, 0)], look)
}

fn head(shape: &ShapeArgs) -> Vec<Column<'_>> {
    if shape.fields.is_empty() {
        return COLUMNS.to_vec();
    }
    shape.fields.iter().map(|name| Column::soft(name)).collect()
}

fn row(shown: &Shown, shape: &ShapeArgs, now_ms: i64) -> Vec<Cell> {
    if shape.fields.is_empty() {
        return issue::row(shown, now_ms);
    }
    let json = shown.answer_json().unwrap_or_default();
    let record = Record::of(&json);
    let text = |name: &String| record.get(name).map(issue::value_text).unwrap_or_default();
    shape.fields.iter().map(|name| Cell::new(&text(name))).collect()
}
