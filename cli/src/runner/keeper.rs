//! The process between a runner and one command: it sees that nothing of the command is left, also where
//! the runner was killed. Knows nothing of issues and claims.
//!
//! It runs the same program in a mode of its own, [`MODE`]. On stdin it takes orders, a line each, and
//! the end of stdin is the end of the runner. On stdout it says what happened, a JSON object a line.
//! It is the reaper of all that the command starts, also of what leaves its process group.

mod watch;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{self, Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use x0x::time;

use super::descendants;
use watch::{Effect, Input, Watch};

/// The first argument that makes the program a keeper.
pub const MODE: &str = "__keep-a-command";

/// The order to start the command.
pub const GO: &str = "go";
/// The order to end it: SIGTERM, and SIGKILL after the grace.
pub const STOP: &str = "stop";
/// The order to end it at once.
pub const KILL: &str = "kill";

/// The files in the proofs that the command reads and writes.
pub const STDIN_FILE: &str = "issue.json";
/// See [`STDIN_FILE`].
pub const STDOUT_FILE: &str = "stdout";
/// See [`STDIN_FILE`].
pub const STDERR_FILE: &str = "stderr";

/// What a keeper is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The file of which it holds a share as long as something of the command may live.
    pub share: PathBuf,
    /// Where the command's stdin, stdout and stderr lie.
    pub proofs: PathBuf,
    /// The command and its arguments.
    pub command: Vec<OsString>,
}

/// What a keeper says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It waits for [`GO`].
    Ready,
    /// The command runs in the process group of this number.
    Started(i32),
    /// The command could not be started. The last word.
    NotStarted {
        /// Why.
        why: String,
        /// Whether the system does not take the program at all.
        is_final: bool,
    },
    /// The command is over. The last word.
    Ended(Ending),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Its exit code; `None` where a signal ended it, or nobody knows.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was told to stop before.
    pub stopped: bool,
    /// How many processes were left that even SIGKILL did not end in time.
    pub left: usize,
}

impl Task {
    /// Returns the arguments that [`Task::from_args`] reads.
    pub fn to_args(&self) -> Vec<OsString> {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let first = [MODE.into(), grace_ms.to_string().into()];
        let paths = [self.share.clone().into_os_string(), self.proofs.clone().into_os_string()];
        first.into_iter().chain(paths).chain(self.command.iter().cloned()).collect()
    }

    /// Reads the arguments after the program's name; `None` where they are not a keeper's.
    pub fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        args.next().filter(|mode| mode == MODE)?;
        let grace_ms: u64 = args.next()?.to_str()?.parse().ok()?;
        let (share, proofs) = (args.next()?.into(), args.next()?.into());
        let command: Vec<OsString> = args.collect();
        let task = Self { grace: Duration::from_millis(grace_ms), share, proofs, command };
        (!task.command.is_empty()).then_some(task)
    }
}

/// Keeps one command, to its end.
pub fn run(task: &Task) -> ExitCode {
    match keep(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal { source, is_final }) => {
            say(&Word::NotStarted { why: source.to_string(), is_final });
            ExitCode::FAILURE
        }
    }
}

/// Why a command could not be started.
struct Refusal {
    source: io::Error,
    is_final: bool,
}

impl<E: Into<io::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self { source: error.into(), is_final: false }
    }
}

fn keep(task: &Task) -> Result<(), Refusal> {
    // Without a terminal: a command that reads it fails, where it would be stopped and hold its claim.
    process::setsid()?;
    process::set_child_subreaper(Some(process::getpid()))?;
    let share = File::open(&task.share)?;
    // Whoever holds all of it takes this keeper's runner for dead, and is right.
    share.try_lock_shared().map_err(io::Error::from)?;
    // The command inherits it, and with it the share, should this keeper be killed.
    fcntl_setfd(&share, FdFlags::empty())?;
    let (words, heard) = mpsc::channel();
    listen_to_signals(words.clone())?;
    say(&Word::Ready);
    let first = io::stdin().lines().next();
    if first.and_then(Result::ok).as_deref() != Some(GO) {
        return Ok(());
    }
    let leader = start(task)?;
    say(&Word::Started(leader.as_raw_nonzero().get()));
    let to_orders = words.clone();
    thread::spawn(move || listen_to_orders(&to_orders));
    thread::spawn(move || reap(leader, &words));
    let ending = watch_over(leader, task.grace, &heard);
    say(&Word::Ended(ending));
    Ok(())
}

/// Starts the command in a process group of its own; it inherits nothing but its
/// three files and the share of the lock.
fn start(task: &Task) -> Result<Pid, Refusal> {
    let file = |name: &str| task.proofs.join(name);
    let output = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (program, args) = task.command.split_first().ok_or_else(invalid)?;
    let child = Command::new(program)
        .args(args)
        .stdin(File::open(file(STDIN_FILE))?)
        .stdout(output(&file(STDOUT_FILE))?)
        .stderr(output(&file(STDERR_FILE))?)
        .process_group(0)
        .spawn()
        .map_err(|source| Refusal { is_final: is_final(&source), source })?;
    Ok(Pid::from_child(&child))
}

/// Tells whether a program cannot be started, rather than just not now.
pub fn is_final(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::ACCESS | Errno::NOEXEC))
}

/// Takes the end of a session for the order to stop: the command must not outlive its keeper.
fn listen_to_signals(words: mpsc::Sender<Input>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            let _ = words.send(Input::Stop);
        }
    });
    Ok(())
}

fn listen_to_orders(words: &mpsc::Sender<Input>) {
    for order in io::stdin().lines().map_while(Result::ok) {
        let input = match order.as_str() {
            STOP => Input::Stop,
            KILL => Input::Kill,
            _ => continue,
        };
        let _ = words.send(input);
    }
    // The runner is gone, or has no more to say.
    let _ = words.send(Input::Stop);
}

/// Takes notice of every process that ends, until there is none: then nothing of the command lives.
fn reap(leader: Pid, words: &mpsc::Sender<Input>) {
    loop {
        let input = match process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == leader => Input::Ended {
                exit_code: status.exit_status(),
                signal: status.terminating_signal(),
            },
            Ok(_) | Err(Errno::INTR) => continue,
            Err(_) => Input::Empty,
        };
        let is_last = input == Input::Empty;
        if words.send(input).is_err() || is_last {
            return;
        }
    }
}

fn watch_over(leader: Pid, grace: Duration, heard: &mpsc::Receiver<Input>) -> Ending {
    let own = process::getpid();
    let mut watch = Watch::new(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    loop {
        let now_ms = time::uptime().ms;
        let input = match watch.due_ms() {
            None => heard.recv().unwrap_or(Input::Empty),
            Some(due_ms) => {
                let wait = Duration::from_millis(due_ms.saturating_sub(now_ms));
                match heard.recv_timeout(wait) {
                    Ok(input) => input,
                    Err(mpsc::RecvTimeoutError::Timeout) => Input::Tick,
                    Err(mpsc::RecvTimeoutError::Disconnected) => Input::Empty,
                }
            }
        };
        match watch.handle(time::uptime().ms, input) {
            Effect::Nothing => {}
            Effect::Terminate => send(own, leader, &[Signal::TERM, Signal::CONT]),
            Effect::Kill => send(own, leader, &[Signal::KILL]),
            Effect::Over => {
                let left = descendants::below(own, &BTreeSet::new()).len();
                return Ending { left, ..watch.ending() };
            }
        }
    }
}

/// Signals the command's process group, and what left it.
///
/// The group goes first and at once, so that none of it sees another one end.
fn send(own: Pid, leader: Pid, signals: &[Signal]) {
    let all = descendants::below(own, &BTreeSet::new());
    let leads = all.contains(&leader);
    let apart: Vec<Pid> = all
        .into_iter()
        .filter(|pid| !leads || process::getpgid(Some(*pid)) != Ok(leader))
        .collect();
    for signal in signals {
        // The number of a group whose leader is over may be another's by now.
        if leads {
            let _ = process::kill_process_group(leader, *signal);
        }
        descendants::signal(&apart, *signal);
    }
}

/// Says a word; where nobody listens any more, nobody needs it.
fn say(word: &Word) {
    if let Ok(line) = serde_json::to_string(word) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_back_byte_for_byte() {
        use std::os::unix::ffi::OsStringExt;
        let task = Task {
            grace: Duration::from_millis(5_001),
            share: "/d/workers/run-1.jobs".into(),
            proofs: "/p/X 1".into(),
            command: vec!["sh".into(), OsString::from_vec(vec![b'a', 0xff]), "--".into()],
        };
        assert_eq!(Task::from_args(task.to_args().into_iter()), Some(task.clone()));
        let without_command = task.to_args().into_iter().take(4);
        assert_eq!(Task::from_args(without_command), None);
        assert_eq!(Task::from_args(["issues".into()].into_iter()), None);
    }
}
