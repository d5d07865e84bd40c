//! Whether the node that has the data directory answers at all. Not: what it is asked.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use x0x::home::Home;
use x0x_tracker::store::StoreLock;

use crate::output::progress::PATIENCE;

/// How long the first byte of an answer that needs nothing is waited for of a process that was stopped: it may go on.
const STOPPED_MAX: Duration = Duration::from_secs(5);

/// Returns the process of a node that has the data directory, was stopped by a signal or a debugger, and does not
/// answer; `late` is told it once that takes long. One that runs is waited for as ever: it may open large stores.
pub fn silent(home: &Home, late: impl FnOnce(u32)) -> Option<u32> {
    let node = StoreLock::holder(home.dir())?;
    let api: SocketAddr = node.api.as_deref()?.parse().ok()?;
    if !is_stopped(node.pid) {
        return None;
    }
    let is_silent = is_silent(&api, PATIENCE, STOPPED_MAX, || late(node.pid));
    // One that was killed left its word in the lock, and other programs may have its number and its address.
    let has_lock = || home.holder().ok().flatten() == Some(node.pid);
    (is_silent && has_lock()).then_some(node.pid)
}

/// Tells whether a process was stopped by a signal or a debugger, where the system says so (proc(5)).
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have any characters.
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    matches!(state, Some('T' | 't'))
}

/// Tells whether whoever has an address says nothing for so long.
fn is_silent(api: &SocketAddr, patience: Duration, most: Duration, late: impl FnOnce()) -> bool {
    hear(api, patience, most, late).is_err_and(|error| is_late(&error))
}

fn hear(
    api: &SocketAddr,
    patience: Duration,
    most: Duration,
    late: impl FnOnce(),
) -> io::Result<()> {
    // The system takes the call also for a process that does not run.
    let mut stream = TcpStream::connect_timeout(api, most)?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut first = [0];
    stream.set_read_timeout(Some(patience))?;
    match stream.read_exact(&mut first) {
        Err(error) if is_late(&error) => late(),
        heard => return heard,
    }
    stream.set_read_timeout(Some(most.saturating_sub(patience)))?;
    stream.read_exact(&mut first)
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    /// Longer than any machine takes to start a thread.
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn who_takes_the_call_and_says_nothing_is_silent_and_who_refuses_it_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap();
        let mut was_late = false;
        assert!(is_silent(&api, SHORT, 2 * SHORT, || was_late = true));
        assert!(was_late, "it was said that it is waited for");
        drop(listener);
        assert!(!is_silent(&api, SHORT, 2 * SHORT, || ()));
    }

    #[test]
    fn a_process_that_runs_was_not_stopped() {
        assert!(!is_stopped(std::process::id()) && !is_stopped(u32::MAX));
    }

    #[test]
    fn the_first_byte_of_an_answer_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"H").unwrap();
        });
        assert!(!is_silent(&api, LONG, 2 * LONG, || panic!("nobody waits")));
        answering.join().unwrap();
    }
}
