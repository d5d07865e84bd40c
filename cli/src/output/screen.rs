//! The whole terminal, for as long as a view has it; given back as it was, however that ends.

use std::io::{self, BufWriter, IsTerminal, Read, Stdout, Write};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

/// How large a terminal is that does not say.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// What a view is told while it has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The terminal has another size.
    Resized,
    /// Somebody wants the view to end.
    Stop,
}

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

    /// Has keys end the view: q, Esc and Ctrl-C, which is no signal from here on. Without a keyboard there are none.
    pub fn listen_to_keys<T: From<Sign> + Send + 'static>(
        &self,
        tell: SyncSender<T>,
    ) -> io::Result<()> {
        if !io::stdin().is_terminal() {
            return Ok(());
        }
        terminal::enable_raw_mode()?;
        thread::spawn(move || {
            let mut typed = [0; 64];
            // A keyboard that is gone types nothing more.
            while let Ok(length @ 1..) = io::stdin().read(&mut typed) {
                if is_end(&typed[..length]) && tell.send(Sign::Stop.into()).is_err() {
                    return;
                }
            }
        });
        Ok(())
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

/// Tells whether what was typed at once ends a view. An arrow is Esc and more.
fn is_end(typed: &[u8]) -> bool {
    const ESC: u8 = 0x1b;
    const CTRL_C: u8 = 0x03;
    match typed {
        [ESC, rest @ ..] => rest.iter().all(|key| *key == ESC),
        _ => typed.iter().any(|key| matches!(*key, b'q' | b'Q' | CTRL_C)),
    }
}

/// Tells a view of the signals that are for it. The second one that wants it to end ends the program.
pub fn listen<T: From<Sign> + Send + 'static>(tell: SyncSender<T>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGWINCH])?;
    thread::spawn(move || {
        let mut was_told = false;
        for signal in signals.forever() {
            let is_stop = signal != SIGWINCH;
            let sign = if is_stop { Sign::Stop } else { Sign::Resized };
            match tell.try_send(sign.into()) {
                Err(TrySendError::Disconnected(_)) => return,
                // Where so much waits, it is drawn anew in any case.
                _ if !is_stop => {}
                Ok(()) if !was_told => was_told = true,
                // The view is in the middle of a reading that does not end.
                _ => {
                    give_back();
                    std::process::exit(128 + signal);
                }
            }
        }
    });
    Ok(())
}

/// Gives the terminal back where whoever has it does not get to it.
fn give_back() {
    // Of a terminal that is gone nothing can be restored.
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a terminal that is gone nothing can be restored.
        let _ = terminal::disable_raw_mode();
        let _ = execute!(self.stdout, Show, LeaveAlternateScreen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_ends_on_q_esc_and_ctrl_c_and_on_no_other_key() {
        for end in [&b"q"[..], b"Q", b"\x1b", b"\x1b\x1b", b"\x03", b"jjq"] {
            assert!(is_end(end), "{end:?}");
        }
        for other in [&b"j"[..], b"\x1b[A", b"\x1bOq", b" ", b""] {
            assert!(!is_end(other), "{other:?}");
        }
    }
}
