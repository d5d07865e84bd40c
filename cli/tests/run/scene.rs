//! A task list with runners on it, and ways to wait for what they do.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use x0x::home::Home;
use x0x_tracker::interface::report::Row;
use x0x_tracker::interface::{Holding, Release, Shown};
use x0x_tracker::{LocalTracker, Tracker};

use crate::common::Place;

/// How long this process waits for runners that write.
const WAIT: Duration = Duration::from_secs(60);

pub struct Scene {
    pub place: Place,
}

/// A runner at work.
pub struct Running {
    pub child: Child,
    events: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Scene {
    /// A list with issues of these titles.
    pub fn of(titles: &[&str]) -> Self {
        let place = Place::with_list();
        for title in titles {
            place.create(&[title]);
        }
        Self { place }
    }

    /// Starts `x0x issues run --json ARGS -- sh -c SCRIPT`.
    pub fn start(&self, args: &[&str], script: &str) -> Running {
        let args = [&["issues", "run", "--json"], args, &["--", "sh", "-c", script]].concat();
        let mut command = self.place.command(&args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        Running { child, events, stderr }
    }

    /// Runs it to its end; returns the exit code and all events.
    pub fn run(&self, args: &[&str], script: &str) -> (i32, Vec<Value>) {
        self.start(args, script).finish()
    }

    pub fn tracker(&self) -> LocalTracker {
        let home = Home::at(self.place.data());
        home.write(home.list_named(None, WAIT).unwrap(), WAIT).unwrap()
    }

    pub fn shown(&self, name: &str) -> Shown {
        let home = Home::at(self.place.data());
        home.read(home.list_named(None, WAIT).unwrap()).unwrap().show(name).unwrap()
    }

    pub fn row(&self, name: &str) -> Row {
        self.shown(name).row
    }

    pub fn issue(&self, name: &str) -> Value {
        self.place.json(&["issues", "show", name])
    }

    pub fn hand_off(&self, worker: &str, issue: &str, handoff: &str) {
        self.tracker().hand_off(&holding(worker, issue), handoff).unwrap();
    }

    pub fn release(&self, worker: &str, issue: &str, reason: &str) {
        let release = Release { reason: Some(reason.to_owned()), ..Release::default() };
        self.tracker().release(&holding(worker, issue), &release).unwrap();
    }

    /// Ends the claim on an issue as a maintainer does.
    pub fn force(&self, issue: &str, reason: &str) {
        let release =
            Release { reason: Some(reason.to_owned()), force: true, retry_after_ms: None };
        self.tracker().release(&holding("maintainer", issue), &release).unwrap();
    }

    /// Makes pipes in the repository, by which commands and tests wait for each other.
    pub fn fifos(&self, names: &[&str]) {
        for name in names {
            let path = self.place.repo().join(name);
            let _ = fs::remove_file(&path);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
    }

    /// Waits for a line from a command.
    pub fn hear(&self, fifo: &str) -> String {
        let mut line = String::new();
        let pipe = File::open(self.place.repo().join(fifo)).unwrap();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Gives a line to a command that waits for one.
    pub fn say(&self, fifo: &str, line: &str) {
        let mut pipe = File::options().write(true).open(self.place.repo().join(fifo)).unwrap();
        writeln!(pipe, "{line}").unwrap();
    }

    /// Every directory of proofs of an issue, which must be so many, by name.
    pub fn only_proofs(&self, name: &str, count: usize) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = fs::read_dir(self.place.repo().join("proofs").join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        dirs.sort();
        assert_eq!(dirs.len(), count, "{dirs:?}");
        dirs
    }

    /// No process of any command lives, no claim is held, and no manifest says that its command runs.
    pub fn leaves_nothing(&self) {
        assert_eq!(self.processes(), [""; 0]);
        let tracker = self.tracker();
        let claims = tracker.claims(None).unwrap();
        assert!(claims.is_empty(), "{claims:?}");
        for manifest in self.manifests() {
            assert_eq!(manifest["state"], "ended", "{manifest}");
            assert!(manifest["outcome"].is_string(), "{manifest}");
        }
    }

    pub fn manifests(&self) -> Vec<Value> {
        let Ok(issues) = fs::read_dir(self.place.repo().join("proofs")) else { return Vec::new() };
        let issues = issues.map(|entry| entry.unwrap().path());
        let jobs = issues.flat_map(|issue| fs::read_dir(issue).unwrap());
        jobs.map(|entry| manifest(&entry.unwrap().path())).collect()
    }

    /// The command lines of all processes that know the data directory from their environment, as
    /// keepers, commands and all that they start do.
    pub fn processes(&self) -> Vec<String> {
        let mark = format!("X0X_DATA_DIR={}", self.place.data().display()).into_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let dir = entry.unwrap().path();
            let Ok(environment) = fs::read(dir.join("environ")) else { continue };
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
                let line = fs::read(dir.join("cmdline")).unwrap_or_default();
                found.push(String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
        found
    }
}

impl Running {
    /// Waits for the next event of this name; others are passed over.
    pub fn event(&mut self, name: &str) -> Value {
        let mut others = Vec::new();
        loop {
            let Some(event) = self.next() else {
                let mut stderr = String::new();
                self.stderr.read_to_string(&mut stderr).unwrap();
                panic!("no {name} after {others:?}: {stderr}");
            };
            if event["event"] == name {
                return event;
            }
            others.push(event);
        }
    }

    /// Waits for the next event; `None` once the runner is over.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.events.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Waits until it listens to SIGINT.
    pub fn await_signals(&self) {
        let bit = 1u64 << (Signal::INT.as_raw() - 1);
        loop {
            let file = format!("/proc/{}/status", self.child.id());
            let status = fs::read_to_string(file).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            if u64::from_str_radix(caught.trim(), 16).unwrap() & bit != 0 {
                return;
            }
            std::thread::yield_now();
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and for that of its keepers, which have its stderr too.
    pub fn finish(mut self) -> (i32, Vec<Value>) {
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.push(event);
        }
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let is_told = stderr.is_empty() || matches!(code, 1..=4);
        assert!(is_told, "exit {code}: {stderr}");
        (code, events)
    }
}

pub fn manifest(dir: &Path) -> Value {
    let file = dir.join("manifest.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).unwrap()
}

pub fn holding(worker: &str, issue: &str) -> Holding {
    Holding { worker: worker.to_owned(), issue: Some(issue.to_owned()), claim: None }
}
