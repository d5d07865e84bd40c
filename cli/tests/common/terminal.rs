//! A program on a terminal of its own, which `script` makes, and what is written there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Place, until};

/// A terminal with what runs on it.
pub struct Terminal {
    pub child: Child,
    shown: PathBuf,
}

impl Terminal {
    /// Runs words of a shell on a terminal of so many rows and columns; `None`, and a word about it, where none can
    /// be made.
    pub fn start(
        place: &Place,
        (rows, columns): (usize, usize),
        keyboard: Stdio,
        words: &str,
    ) -> Option<Self> {
        let script = Path::new("/usr/bin/script");
        if !script.exists() {
            eprintln!("skipped: there is no {}, which makes a terminal", script.display());
            return None;
        }
        let shown = place.dir().join("shown");
        let inner = format!("stty rows {rows} cols {columns}; {words}");
        let mut terminal = Command::new(script);
        terminal.args(["-qfec", &inner, "/dev/null"]).current_dir(place.repo()).env_clear();
        terminal.env("X0X_DATA_DIR", place.data());
        terminal.env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        terminal.stdin(keyboard).stderr(Stdio::null()).stdout(File::create(&shown).unwrap());
        Some(Self { child: terminal.spawn().unwrap(), shown })
    }

    /// Returns what was written there so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.shown).unwrap()).into_owned()
    }

    /// Waits until it has ended well; returns what was written there.
    pub fn ended(mut self) -> String {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}: {}", self.text());
        self.text()
    }
}

/// Returns what is written between two places of the cursor, without escape sequences.
pub fn drawn(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            lines.last_mut().unwrap().push(c);
        } else if rest.next() == Some('[') && rest.find(|c| c.is_ascii_alphabetic()) == Some('H') {
            lines.push(String::new());
        }
    }
    lines
}
