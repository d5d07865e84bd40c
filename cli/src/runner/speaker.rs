//! The thread that writes what a runner says, since whoever reads it may be slow, or read no more. What
//! does not fit into its queue is dropped and counted. Not: what is said.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

/// How many lines wait at the most. A guess.
const LINES_MAX: usize = 4_096;

/// How long the end waits for a reader. A guess.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Says lines; dropped, it waits a little until all are written.
#[derive(Debug)]
pub struct Speaker {
    /// `None` once there is no more to say.
    lines: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    /// Closed by the thread at its end.
    end: Receiver<()>,
}

impl Speaker {
    /// Starts the thread; `missing` words how many lines were dropped.
    pub fn new(
        mut to: impl Write + Send + 'static,
        missing: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let (lines, said) = mpsc::sync_channel::<String>(LINES_MAX);
        let (ends, end) = mpsc::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        thread::spawn(move || {
            let _ends: mpsc::Sender<()> = ends;
            let mut write = |line: &str| {
                // Work does not end because nobody listens any more.
                let _ = writeln!(to, "{line}").and_then(|()| to.flush());
            };
            for line in said {
                write(&line);
                let count = count.swap(0, Ordering::Relaxed);
                if count > 0 {
                    write(&missing(count));
                }
            }
        });
        Self { lines: Some(lines), dropped, end }
    }

    /// Says a line; never waits.
    pub fn say(&self, line: String) {
        let is_full = self.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err());
        if is_full {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.end.recv_timeout(LAST_WORDS);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// A reader that reads nothing until it is let.
    struct Slow {
        written: Arc<Mutex<Vec<u8>>>,
        may: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.may.recv();
            self.written.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (let_go, may) = mpsc::channel();
        let slow = Slow { written: Arc::clone(&written), may };
        let speaker = Speaker::new(slow, |count| format!("{count} missing"));
        let said = LINES_MAX + 10;
        for number in 0..said {
            speaker.say(number.to_string());
        }
        drop(let_go);
        drop(speaker);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let missing = written.lines().find_map(|line| line.strip_suffix(" missing")).unwrap();
        let missing: usize = missing.parse().unwrap();
        assert!((9..=10).contains(&missing), "one line may be in the thread's hand: {missing}");
        assert_eq!(written.lines().count(), said - missing + 1);
    }
}
