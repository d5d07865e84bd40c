//! A place to run the program in: a repository and data directories of its own.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod git;
pub mod mounts;
pub mod node;
pub mod site;
pub mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use x0x::time;

/// How long anything may take before a test gives up. Machines are slow and busy.
pub const LONG: Duration = Duration::from_secs(60);

/// Waits for something; returns how long it took.
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = time::origin();
    while !done() {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}");
        time::pause(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// A repository on branch `main`, without git having been run.
pub struct Place {
    dir: TempDir,
}

/// What [`Place::trace`] returns.
pub type Trace = BTreeMap<PathBuf, (Vec<u8>, SystemTime)>;

/// What the program answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.repo().join(".git")).unwrap();
        fs::write(place.repo().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        place
    }

    /// A repository with a task list.
    pub fn with_list() -> Self {
        let place = Self::new();
        place.ok(&["init", "--name", "tests", "--prefix", "T"]);
        place
    }

    /// A repository whose JSONL file was imported.
    pub fn with_file(lines: &str) -> Self {
        let place = Self::new();
        place.write_jsonl(lines);
        place.ok(&["init"]);
        place.ok(&["issues", "import"]);
        place
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn jsonl(&self) -> PathBuf {
        self.repo().join("issues/issues.jsonl")
    }

    pub fn write_jsonl(&self, lines: &str) {
        fs::create_dir_all(self.repo().join("issues")).unwrap();
        fs::write(self.jsonl(), lines).unwrap();
    }

    pub fn read_jsonl(&self) -> String {
        fs::read_to_string(self.jsonl()).unwrap()
    }

    /// The program, in the repository and with nothing of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_x0x"));
        command.args(args).current_dir(self.repo()).env_clear();
        command.env("X0X_DATA_DIR", self.data()).env("HOME", self.dir.path().join("home"));
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    pub fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Answer {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Answer::of(child.wait_with_output().unwrap())
    }

    /// Runs what must succeed; returns stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Runs what must succeed and answer JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let stdout = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Runs what must fail with this exit code; returns the error object.
    pub fn error(&self, args: &[&str], code: i32) -> Value {
        let answer = self.run(&[args, &["--json"]].concat());
        assert_eq!(answer.code, code, "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{args:?}");
        let error: Value = serde_json::from_str(&answer.stderr)
            .unwrap_or_else(|error| panic!("{error}: {}", answer.stderr));
        for (key, is_good) in [
            ("error", error["error"].is_string()),
            ("detail", error["detail"].is_string()),
            ("hint", error["hint"].as_str().is_some_and(|hint| !hint.is_empty())),
            ("retryable", error["retryable"].is_boolean()),
        ] {
            assert!(is_good, "{key} in {error}");
        }
        error
    }

    /// Creates an issue; returns its id.
    pub fn create(&self, args: &[&str]) -> String {
        self.ok(&[&["issues", "create", "--silent"], args].concat()).trim().to_owned()
    }

    /// The trace, and the mode of each path.
    pub fn state(&self) -> (Trace, BTreeMap<PathBuf, u32>) {
        let trace = self.trace();
        let mode = |path: &PathBuf| path.symlink_metadata().unwrap().permissions().mode();
        let modes = trace.keys().map(|path| (path.clone(), mode(path))).collect();
        (trace, modes)
    }

    /// Every path below the repository and the data directory, with content and time of change.
    pub fn trace(&self) -> Trace {
        let mut trace = BTreeMap::new();
        visit(self.dir.path(), &mut trace);
        trace
    }
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn visit(dir: &Path, trace: &mut Trace) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let changed = metadata.modified().unwrap();
        if metadata.is_dir() {
            trace.insert(path.clone(), (Vec::new(), changed));
            visit(&path, trace);
        } else {
            trace.insert(path.clone(), (fs::read(&path).unwrap_or_default(), changed));
        }
    }
}

/// A record as one line, with every field that matters to a list.
pub fn record(id: &str, title: &str, state: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"identifier\":\"{id}\",\"title\":\"{title}\",\"description\":null,\
         \"priority\":2,\"state\":\"{state}\",\"labels\":[\"a\"],\"blocked_by\":[],\
         \"created_at\":\"2026-05-01T20:35:00Z\",\"updated_at\":\"2026-05-01T20:35:00Z\"}}\n"
    )
}

/// The names of the issues in a list as JSON.
pub fn names(list: &Value) -> Vec<String> {
    let issues = list["issues"].as_array().unwrap();
    issues.iter().map(|issue| issue["identifier"].as_str().unwrap().to_owned()).collect()
}
