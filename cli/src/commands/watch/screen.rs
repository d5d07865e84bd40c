//! The whole terminal, for as long as a view has it; given back as it was, however that ends.

use std::io::{self, BufWriter, Stdout, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};

/// How large a terminal is that does not say.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// The terminal.
pub struct Screen {
    stdout: BufWriter<Stdout>,
}

impl Screen {
    /// Takes the terminal.
    pub fn take() -> io::Result<Self> {
        let mut screen = Self { stdout: BufWriter::new(io::stdout()) };
        execute!(screen.stdout, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Returns how many columns and rows there are.
    pub fn size(&self) -> (usize, usize) {
        let said = terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let (columns, rows) = said.unwrap_or(SIZE_UNKNOWN);
        (usize::from(columns), usize::from(rows))
    }

    /// Shows lines, each no longer than the terminal is wide, in the place of what is there.
    pub fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let (_, rows) = self.size();
        queue!(self.stdout, BeginSynchronizedUpdate)?;
        for (row, line) in lines.iter().take(rows).enumerate() {
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            // Before the text: after a line as wide as the terminal, this would take its last character.
            queue!(self.stdout, MoveTo(0, row), Clear(ClearType::UntilNewLine))?;
            write!(self.stdout, "{line}")?;
        }
        if lines.len() < rows {
            let row = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            queue!(self.stdout, MoveTo(0, row), Clear(ClearType::FromCursorDown))?;
        }
        queue!(self.stdout, EndSynchronizedUpdate)?;
        self.stdout.flush()
    }
}

/// Gives the terminal back where whoever has it does not get to it.
pub fn give_back() {
    // Of a terminal that is gone nothing can be restored.
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a terminal that is gone nothing can be restored.
        let _ = execute!(self.stdout, Show, LeaveAlternateScreen);
    }
}
