//! The keepers that a runner has started: how they are started, ordered, listened to, and what is done
//! where one is killed. Not: why.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{self, Pid, Signal, WaitOptions};
use x0x::time;

use super::descendants;
use super::keeper::{self, Ending, Task, Word};

/// This program, also where its file was replaced since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// How often the orphans of a keeper are looked for. What is missed once is found the next time.
const ORPHAN_ROUNDS_MAX: usize = 100;

/// The pause between two such looks. A guess.
const ORPHAN_PAUSE: Duration = Duration::from_millis(10);

/// How a job of a keeper came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It runs.
    Started,
    /// The command could not be started.
    NotStarted(NotStarted),
    /// The command is over.
    Ended(Ending),
}

/// Why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// What was tried.
    pub what: String,
    /// What the system said.
    pub why: String,
    /// Whether the same would be said of every other job.
    pub is_final: bool,
}

/// All keepers of this runner.
pub struct Crew<Id> {
    orders: BTreeMap<Id, ChildStdin>,
    /// What is below this process and no orphan: its keepers, and what it had before.
    alive: Arc<Mutex<BTreeSet<i32>>>,
}

impl<Id: Copy + Ord + Send + 'static> Crew<Id> {
    /// Returns an empty crew. What a killed keeper leaves behind comes to this process.
    pub fn new() -> io::Result<Self> {
        process::set_child_subreaper(Some(process::getpid()))?;
        let before = descendants::below(process::getpid(), &BTreeSet::new());
        let alive = before.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        Ok(Self { orders: BTreeMap::new(), alive: Arc::new(Mutex::new(alive)) })
    }

    /// Starts a keeper, and its command with these variables in its environment.
    ///
    /// `tell` is called from another thread: at most once with [`Report::Started`], and then once
    /// with how it ended.
    pub fn start(
        &mut self,
        id: Id,
        task: &Task,
        environment: &[(&str, OsString)],
        tell: impl Fn(Report) + Send + 'static,
    ) -> io::Result<()> {
        // A keeper that is not in the set yet would be taken for an orphan.
        let mut alive = locked(&self.alive);
        let mut keeper = Command::new(OWN_PROGRAM)
            .arg0(std::env::args_os().next().unwrap_or_else(|| "x0x".into()))
            .args(task.to_args())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        alive.insert(Pid::from_child(&keeper).as_raw_nonzero().get());
        drop(alive);
        let (stdin, stdout) = (keeper.stdin.take(), keeper.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        self.orders.insert(id, stdin);
        let mut words = BufReader::new(stdout).lines();
        if !matches!(next_word(&mut words), Some(Word::Ready)) {
            self.orders.remove(&id);
            let status = keeper.wait()?;
            locked(&self.alive).remove(&Pid::from_child(&keeper).as_raw_nonzero().get());
            return Err(io::Error::other(format!("the keeper of the command ended with {status}")));
        }
        self.order(id, keeper::GO);
        let alive = Arc::clone(&self.alive);
        let program = task.command.first().cloned().unwrap_or_default();
        let what = format!("cannot start {}", program.display());
        thread::spawn(move || listen(keeper, words, what, &alive, tell));
        Ok(())
    }

    /// Tells a keeper what to do; one that is gone needs no order.
    pub fn order(&mut self, id: Id, order: &str) {
        if let Some(stdin) = self.orders.get_mut(&id) {
            let _ = writeln!(stdin, "{order}").and_then(|()| stdin.flush());
        }
    }

    /// Forgets a keeper whose command is over.
    pub fn dismiss(&mut self, id: Id) {
        self.orders.remove(&id);
    }
}

type Words = io::Lines<BufReader<ChildStdout>>;

/// Returns the next word of a keeper; `None` once it has none left, or says what is none.
fn next_word(words: &mut Words) -> Option<Word> {
    serde_json::from_str(&words.next()?.ok()?).ok()
}

/// Listens to a keeper to its end.
fn listen(
    mut keeper: Child,
    mut words: Words,
    what: String,
    alive: &Mutex<BTreeSet<i32>>,
    tell: impl Fn(Report),
) {
    let mut last = None;
    let mut group = None;
    while let Some(word) = next_word(&mut words) {
        match word {
            Word::Ready => {}
            Word::Started(leader) => {
                group = Pid::from_raw(leader);
                tell(Report::Started);
            }
            Word::NotStarted { why, is_final } => {
                last = Some(Report::NotStarted(NotStarted { what: what.clone(), why, is_final }));
            }
            Word::Ended(ending) => last = Some(Report::Ended(ending)),
        }
    }
    let _ = keeper.wait();
    locked(alive).remove(&Pid::from_child(&keeper).as_raw_nonzero().get());
    tell(last.unwrap_or_else(|| {
        end_orphans(alive, group);
        Report::Ended(Ending { stopped: true, ..Ending::default() })
    }));
}

/// Ends what a keeper left behind that was killed: its command, and all that has come to this process.
fn end_orphans(alive: &Mutex<BTreeSet<i32>>, group: Option<Pid>) {
    if let Some(group) = group {
        let _ = process::kill_process_group(group, Signal::KILL);
    }
    let mut ended = HashSet::new();
    for _ in 0..ORPHAN_ROUNDS_MAX {
        // No keeper is started while the set is held, so what is not in it is an orphan.
        let held = locked(alive);
        let orphans = descendants::below(process::getpid(), &held);
        descendants::signal(&orphans, Signal::KILL);
        drop(held);
        ended.extend(orphans.iter().copied());
        // One of a child that is not ours comes to us once that child is gone; one that waits for a
        // dead disk does not end, and nobody waits for it.
        ended.retain(|orphan| {
            let waited = process::waitpid(Some(*orphan), WaitOptions::NOHANG);
            !matches!(waited, Ok(Some(_))) && process::test_kill_process(*orphan).is_ok()
        });
        if orphans.is_empty() && ended.is_empty() {
            return;
        }
        time::pause(ORPHAN_PAUSE);
    }
}

/// Nothing that panics is done while the set is held.
fn locked(alive: &Mutex<BTreeSet<i32>>) -> MutexGuard<'_, BTreeSet<i32>> {
    alive.lock().unwrap_or_else(PoisonError::into_inner)
}
