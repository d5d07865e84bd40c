//! Fifty programs that write through one node, while it is stopped, started, killed, and a file is imported
//! into its list: what was answered is there afterwards, and whoever was refused was told why.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(
    clippy::disallowed_methods,
    reason = "processes are waited for by looking, up to a limit"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use x0x::rest::client::{Client, ClientError};

const CLIENTS: usize = 50;

/// How long a node may take for anything before the test gives up. Machines are slow and busy.
const LONG: Duration = Duration::from_secs(60);

struct Place {
    dir: TempDir,
    up: Option<Child>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("repo")).unwrap();
        Self { dir, up: None }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_x0x"));
        command.args(args).current_dir(self.dir.path().join("repo")).env_clear();
        command.env("X0X_DATA_DIR", self.data()).env("HOME", self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        let answer = common::Answer::of(self.command(args).output().unwrap());
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.stdout
    }

    fn up(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.unwrap();
        let mut command = self.command(&["up", "--api", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.up = Some(command.spawn().unwrap());
        until("the node answers", || {
            Client::of(&self.data()).and_then(|node| node.get::<Value>("/status")).is_ok()
        });
    }

    fn kill(&mut self) {
        let mut up = self.up.take().unwrap();
        up.kill().unwrap();
        up.wait().unwrap();
    }

    fn stop(&mut self) {
        self.ok(&["stop"]);
        assert!(self.up.take().unwrap().wait().unwrap().success());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            // It may have ended by itself.
            let _gone = up.kill();
            let _reaped = up.wait();
        }
    }
}

/// What the programs were told.
#[derive(Default)]
struct Told {
    /// Id -> title, of what was answered.
    answered: BTreeMap<String, String>,
    refusals: Vec<String>,
    unreachable: u64,
}

/// Creates one issue after another until it is told to stop.
fn write(at: usize, data: &Path, stop: &AtomicBool, told: &Mutex<Told>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let title = format!("client {at}, issue {number}");
        let created = Client::of(data)
            .and_then(|node| node.post::<Value>("/issues", &json!({"title": title})));
        let mut told = told.lock().unwrap();
        match created {
            Ok(issue) => {
                told.answered.insert(issue["id"].as_str().unwrap().to_owned(), title);
                continue;
            }
            Err(ClientError::Unreachable { .. }) => told.unreachable += 1,
            Err(ClientError::Refused(body)) => {
                assert!(!body.detail.is_empty() && !body.hint.is_empty(), "{body:?}");
                assert!(body.retryable, "{body:?}");
                told.refusals.push(body.error.clone());
            }
            Err(error) => panic!("{error:?}"),
        }
        drop(told);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until something has come about, up to a limit.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "{what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

#[test]
fn what_fifty_programs_were_answered_is_there_whatever_happened_to_the_node() {
    let mut place = Place::new();
    place.ok(&["init", "--name", "pump", "--prefix", "PUMP"]);
    place.up();
    let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Told::default())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let (data, stop, told) = (place.data(), stop.clone(), told.clone());
            std::thread::spawn(move || write(at, &data, &stop, &told))
        })
        .collect();
    // Each has been answered about ten times more before the next thing happens to the node.
    let much_is_written = || {
        let answered = || told.lock().unwrap().answered.len();
        let before = answered();
        until("programs are answered", || answered() >= before + 10 * CLIENTS);
    };
    let file = place.dir.path().join("repo/issues/issues.jsonl");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    for round in 0..2 {
        much_is_written();
        place.stop();
        place.up();
        much_is_written();
        let lines: String = (0..200)
            .map(|n| format!("{{\"id\":\"I-{round}-{n}\",\"title\":\"imported\"}}\n"))
            .collect();
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, before + &lines).unwrap();
        place.ok(&["issues", "import"]);
        much_is_written();
        place.kill();
        let unreachable = || told.lock().unwrap().unreachable;
        let before = unreachable();
        until("somebody finds nobody", || unreachable() > before);
        place.up();
    }
    much_is_written();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    place.stop();
    let told = Arc::into_inner(told).unwrap().into_inner().unwrap();
    let listed: Value = serde_json::from_str(&place.ok(&["issues", "list", "--json"])).unwrap();
    let there: BTreeMap<&str, &str> = listed["issues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| (issue["id"].as_str().unwrap(), issue["title"].as_str().unwrap()))
        .collect();
    for (id, title) in &told.answered {
        assert_eq!(there.get(id.as_str()), Some(&title.as_str()), "{title} was answered");
    }
    let imported = there.keys().filter(|id| id.starts_with("I-")).count();
    println!(
        "{} answered, {} there, {imported} imported, {} refused, {} found nobody",
        told.answered.len(),
        there.len(),
        told.refusals.len(),
        told.unreachable
    );
    assert_eq!(imported, 400);
    assert!(told.answered.len() > CLIENTS && told.unreachable > 0);
    place.ok(&["issues", "validate", "--store"]);
}

/// Between the reading of the list and the note of what the file holds, others write.
#[test]
fn a_file_is_exported_while_others_write() {
    let mut place = Place::new();
    place.ok(&["init", "--name", "pump", "--prefix", "PUMP"]);
    place.ok(&["issues", "create", "--title", "edited all the time"]);
    place.up();
    let (stop, data) = (Arc::new(AtomicBool::new(false)), place.data());
    let writer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let (node, mut edits) = (Client::of(&data).unwrap(), 0_u64);
            while !stop.load(Ordering::Relaxed) {
                edits += 1;
                let edit = json!({"edits": [
                    {"issue": "PUMP-0001", "patch": {"title": format!("edit {edits}")}}
                ]});
                let created = node.post::<Value>("/issues", &json!({"title": "more"}));
                created.unwrap();
                node.patch::<Value>("/issues", &edit).unwrap();
            }
            edits
        }
    });
    for _ in 0..12 {
        place.ok(&["issues", "export"]);
    }
    stop.store(true, Ordering::Relaxed);
    let edits = writer.join().unwrap();
    place.ok(&["issues", "import"]);
    let shown: Value =
        serde_json::from_str(&place.ok(&["issues", "show", "PUMP-0001", "--json"])).unwrap();
    assert_eq!(shown["title"], format!("edit {edits}"), "an export undoes nothing");
    place.ok(&["issues", "export"]);
    place.stop();
}
