//! How far a long task is, or what is waited for, told on stderr once it takes long. The task knows nothing of it.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use x0x::time;
use x0x_tracker::interface::{Progress, Share};

use super::Output;

/// What takes less is not talked about.
pub const PATIENCE: Duration = Duration::from_millis(PATIENCE_MS.unsigned_abs());
const PATIENCE_MS: i64 = 1_000;
/// How often a terminal's line is written anew.
const TERMINAL_MS: i64 = 200;
/// How often a line is written where nothing can be rewritten.
const LINE_MS: i64 = 5_000;

/// Tells how far a task is.
pub struct Meter {
    what: &'static str,
    bytes_total: u64,
    started_ms: i64,
    told_ms: Option<i64>,
    terminal: bool,
    quiet: bool,
}

impl Meter {
    /// Starts the clock of a task over so many bytes, or over issues.
    pub fn start(what: &'static str, bytes_total: u64, output: &Output) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            what,
            bytes_total,
            started_ms: time::now_ms(),
            told_ms: None,
            terminal,
            quiet: output.quiet || (output.json && !terminal),
        }
    }

    /// Tells how much of a file was read, if it is time to.
    pub fn tell(&mut self, progress: Progress) {
        let percent = (progress.bytes.min(self.bytes_total) * 100).checked_div(self.bytes_total);
        self.say(|what| format!("{what}: {} lines, {}%", progress.lines, percent.unwrap_or(100)));
    }

    /// Tells how many bytes were copied, if it is time to.
    pub fn tell_bytes(&mut self, bytes: u64) {
        let percent = (bytes.min(self.bytes_total) * 100).checked_div(self.bytes_total);
        self.say(|what| format!("{what}: {}%", percent.unwrap_or(100)));
    }

    /// Tells how many issues are done, if it is time to.
    pub fn tell_share(&mut self, share: Share) {
        self.say(|what| format!("{what}: {} of {} issues", share.done, share.total));
    }

    /// Tells how many issues have come, if it is time to.
    pub fn tell_issues(&mut self, issues: u64) {
        self.say(|what| format!("{what}: {issues} issues so far"));
    }

    fn say(&mut self, text: impl FnOnce(&str) -> String) {
        if self.quiet {
            return;
        }
        let now_ms = time::now_ms();
        let pause_ms = if self.terminal { TERMINAL_MS } else { LINE_MS };
        let due_ms =
            self.told_ms.map_or(self.started_ms + PATIENCE_MS, |told_ms| told_ms + pause_ms);
        if now_ms < due_ms {
            return;
        }
        self.told_ms = Some(now_ms);
        let text = text(self.what);
        let mut stderr = io::stderr().lock();
        let _ = if self.terminal {
            write!(stderr, "\r{text}\u{1b}[K")
        } else {
            writeln!(stderr, "{text}")
        };
    }
}

impl Drop for Meter {
    /// Wipes the line off the terminal.
    fn drop(&mut self) {
        if self.terminal && self.told_ms.is_some() {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

/// Says once what is waited for, if that takes long; dropped when the wait is over.
pub struct Waiting {
    /// Whoever waits to say it hears when this is gone.
    _over: mpsc::Sender<()>,
}

impl Waiting {
    /// Starts the clock of a wait, on a thread of its own: the answer waits for nobody.
    pub fn start(output: Output, text: impl Into<String>) -> Self {
        let (over, is_over) = mpsc::channel::<()>();
        let text = text.into();
        if output.notes() {
            // Without a thread nothing is said, which keeps nobody from waiting.
            let _unsaid = thread::Builder::new().spawn(move || {
                if is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    output.note(&text);
                }
            });
        }
        Self { _over: over }
    }
}
