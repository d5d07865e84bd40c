//! Where words go: data to stdout, notes and errors to stderr. Not: what they say.

pub mod bar;
pub mod claim;
pub mod issue;
pub mod listing;
pub mod plain;
pub mod progress;
pub mod record;
pub mod screen;
pub mod table;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use crate::args::Global;
use crate::error::CliError;
use table::Look;

/// The width of a terminal that does not tell.
const TERMINAL_COLUMNS: usize = 80;

/// How to talk to whoever called.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Data as JSON.
    pub json: bool,
    /// No notes.
    pub quiet: bool,
    /// Long lists whole.
    pub verbose: bool,
    /// What tables may use.
    pub look: Look,
}

impl Output {
    /// Returns the output that the options and the terminal allow.
    pub fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let says = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let columns = terminal_size::terminal_size_of(&stdout)
            .map(|(width, _)| usize::from(width.0))
            .filter(|columns| *columns > 0)
            .unwrap_or(TERMINAL_COLUMNS);
        let look = Look {
            columns_max: is_terminal.then_some(columns),
            colour: is_terminal && !is_dumb() && says("NO_COLOR").is_none(),
        };
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose, look }
    }

    /// Tells whether data goes to a terminal on which a view can be drawn.
    pub fn is_screen(&self) -> bool {
        self.look.columns_max.is_some() && !is_dumb()
    }

    /// Tells whether notes are shown.
    pub fn notes(&self) -> bool {
        !self.quiet && !self.json
    }

    /// Tells a person something that is no data; a program finds nothing on stderr but errors.
    pub fn note(&self, text: &str) {
        if self.notes() {
            self.tell(&plain::paragraph(text));
        }
    }

    /// Writes lines to stderr; a closed stderr is nobody's loss.
    pub fn tell(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes data with `write`, through a buffer, and sees that they leave it.
    pub fn data(
        &self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut stdout = Self::stdout();
        write(&mut stdout).and_then(|()| stdout.flush()).map_err(CliError::stdout)
    }

    /// Returns stdout behind a buffer.
    pub fn stdout() -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(64 * 1024, io::stdout().lock())
    }

    /// Writes one JSON value as data.
    pub fn json(&self, value: &serde_json::Value) -> Result<(), CliError> {
        self.data(|stdout| writeln!(stdout, "{value}"))
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
