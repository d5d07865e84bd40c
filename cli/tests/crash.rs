//! SIGKILL at random moments of writing commands. What was answered stays, what was half written is not
//! seen, the JSONL file is the old or the new one, and the next command goes on.
//!
//! `X0X_CRASH_KILLS` says how many kills, `X0X_SEED` which commands and moments.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Answer, Place, record};
use serde_json::Value;

/// Kills of a run, unless the environment says another number.
const KILLS: u64 = 20;

/// A command that outlives so many tries to kill it is none that can be tested here.
const TRIES_PER_KILL: u64 = 30;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Randomness from a seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = setting("X0X_SEED", 1);
        eprintln!("X0X_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// How a command ended that was to be killed after a while.
struct Ended {
    /// Whether the kill met it.
    killed: bool,
    /// What it had answered by then; the exit code is -1 for a killed one.
    answer: Answer,
}

/// Runs a command and kills it after so many microseconds, unless it ends before.
fn run_and_kill(place: &Place, args: &[&str], after_us: u64) -> Ended {
    let mut command = place.command(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (ended, ends) = mpsc::channel();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        // Nobody waits any more once the command was killed.
        let _ = ended.send(());
        text
    });
    let _ = ends.recv_timeout(Duration::from_micros(after_us));
    child.kill().unwrap();
    let (status, stderr) = end_of(child);
    let stdout = reader.join().unwrap();
    let code = status.code().unwrap_or(-1);
    Ended { killed: status.signal() == Some(9), answer: Answer { code, stdout, stderr } }
}

fn end_of(mut child: Child) -> (std::process::ExitStatus, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap(), stderr)
}

/// A list whose writers are killed, and what is known of its issues.
struct Crashing {
    place: Place,
    dice: Dice,
    /// Identifier -> the issue as it must be.
    issues: BTreeMap<String, Value>,
    steps: u64,
    /// The longest wait before a kill, in microseconds.
    longest_us: u64,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    killed: u64,
    /// Kills after which the store needed a repair: they met an open writer.
    repaired: u64,
    /// Kills that undid the command, and those that came after it was stored.
    undone: u64,
    stored: u64,
    answered: u64,
    by_command: BTreeMap<String, u64>,
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_answered() {
    let kills = setting("X0X_CRASH_KILLS", KILLS);
    let place = Place::with_list();
    let mut crashing = Crashing {
        place,
        dice: Dice::new(),
        issues: BTreeMap::new(),
        steps: 0,
        longest_us: 30_000,
        tally: Tally::default(),
    };
    for title in ["one", "two", "three"] {
        crashing.place.create(&[title]);
    }
    crashing.place.ok(&["issues", "export"]);
    crashing.issues = crashing.read();
    while crashing.tally.killed < kills {
        assert!(crashing.steps < kills * TRIES_PER_KILL, "too few are met: {:?}", crashing.tally);
        crashing.step();
    }
    eprintln!("X0X_CRASH_KILLS={kills} {} tries, {:?}", crashing.steps, crashing.tally);
    let Tally { repaired, undone, stored, .. } = crashing.tally;
    assert!(repaired > 0, "no kill met an open writer");
    assert!(undone > 0 && stored > 0, "kills came always before, or always after");
}

impl Crashing {
    /// Runs one random command, kills it at a random moment and looks what is left.
    fn step(&mut self) {
        self.steps += 1;
        let args = self.command();
        let typed: Vec<&str> = args.iter().map(String::as_str).collect();
        let file_before = self.place.read_jsonl();
        let file_after = self.place.ok(&["issues", "export", "--out", "-"]);
        let after_us = self.dice.below(self.longest_us);
        let ended = run_and_kill(&self.place, &typed, after_us);
        // Kills aim at the time that commands take here and now: most must meet one.
        let factor = if ended.killed { 21 } else { 19 };
        self.longest_us = (self.longest_us * factor / 20).clamp(2_000, 5_000_000);
        if ended.killed {
            self.tally.killed += 1;
            *self.tally.by_command.entry(args[1].clone()).or_default() += 1;
        } else {
            assert_eq!(ended.answer.code, 0, "{args:?}: {:?}", ended.answer);
        }
        self.look(&args, &ended);
        if args[1] == "export" {
            let file = self.place.read_jsonl();
            assert!(file == file_before || file == file_after, "{args:?} left {file}");
            let is_done = ended.answer.code == 0;
            assert!(!is_done || file == file_after, "{args:?} was answered and did nothing");
        } else {
            assert_eq!(self.place.read_jsonl(), file_before, "{args:?} touches no file");
        }
        self.settle();
    }

    /// Returns a writing command; an import's file is edited for it.
    fn command(&mut self) -> Vec<String> {
        let step = self.steps;
        let names: Vec<&String> = self.issues.keys().collect();
        let id = names[self.dice.below(names.len() as u64) as usize].clone();
        let words: Vec<String> = match self.dice.below(7) {
            0 | 1 => vec!["create".into(), format!("made {step}"), "--labels".into(), "a,b".into()],
            2 => vec!["edit".into(), id, "--title".into(), format!("edited {step}")],
            3 => vec!["comment".into(), id, format!("said {step}")],
            4 => vec!["done".into(), id],
            5 => {
                let mut lines = self.place.read_jsonl();
                lines = lines.replacen("\"title\":\"", &format!("\"title\":\"{step} by hand "), 1);
                lines.push_str(&record(&format!("I-{step}"), "imported", "todo"));
                self.place.write_jsonl(&lines);
                vec!["import".into()]
            }
            _ => {
                self.place.create(&[&format!("to export {step}")]);
                self.issues = self.read();
                vec!["export".into()]
            }
        };
        [vec!["issues".to_owned()], words].concat()
    }

    /// Looks at what a command left, first without writing, and learns whether it had happened.
    fn look(&mut self, args: &[String], ended: &Ended) {
        let before = self.place.trace();
        let reader = self.place.run(&["issues", "stats"]);
        assert_eq!(reader.code, 0, "{args:?}: {reader:?}");
        let needs_repair = reader.stderr.contains("interrupted");
        assert!(!needs_repair || ended.killed, "{args:?} was not killed: {reader:?}");
        self.tally.repaired += u64::from(needs_repair);
        let now = self.read();
        self.place.ok(&["issues", "validate", "--store"]);
        self.place.ok(&["issues", "validate"]);
        assert!(self.place.trace() == before, "a reader wrote after {args:?}");
        let changed = changed(&self.issues, &now);
        let was_answered = ended.answer.code == 0 || !ended.answer.stdout.is_empty();
        if args[1] != "export" {
            match (expected(args, &changed, self.steps), was_answered) {
                (true, _) => self.tally.stored += 1,
                (false, false) => self.tally.undone += 1,
                (false, true) => {
                    let is_same = changed.is_empty() && args[1] == "done";
                    assert!(is_same, "{args:?} was answered and is gone: {changed:?}");
                }
            }
        }
        self.tally.answered += u64::from(was_answered);
        self.issues = now;
    }

    /// Writes again: what the file says is taken in, and the file says what the list says.
    fn settle(&mut self) {
        self.place.ok(&["issues", "import"]);
        self.place.ok(&["issues", "export"]);
        let told = self.place.run(&["issues", "stats"]).stderr;
        assert!(!told.contains("interrupted"), "{told}");
        self.issues = self.read();
        let lines = self.place.read_jsonl().lines().count();
        assert_eq!(lines, self.issues.len(), "the file has every issue");
    }

    fn read(&self) -> BTreeMap<String, Value> {
        let list = self.place.json(&["issues", "list"]);
        let issues = list["issues"].as_array().unwrap().iter();
        issues
            .map(|issue| (issue["identifier"].as_str().unwrap().to_owned(), issue.clone()))
            .collect()
    }
}

/// Returns the issues that are new or changed, with the fields that are; nothing ever disappears.
fn changed<'a>(
    before: &BTreeMap<String, Value>,
    now: &'a BTreeMap<String, Value>,
) -> BTreeMap<String, BTreeMap<&'a str, &'a Value>> {
    for name in before.keys() {
        assert!(now.contains_key(name), "{name} is gone");
    }
    let mut changed = BTreeMap::new();
    for (name, issue) in now {
        let fields: BTreeMap<&str, &Value> = issue
            .as_object()
            .unwrap()
            .iter()
            .filter(|(field, value)| {
                before.get(name).is_none_or(|old| old[field.as_str()] != **value)
            })
            .filter(|(field, _)| !field.starts_with('_') && *field != "updated_at")
            .map(|(field, value)| (field.as_str(), value))
            .collect();
        if !fields.is_empty() {
            changed.insert(name.clone(), fields);
        }
    }
    changed
}

/// Tells whether a command happened; whole, or not at all.
fn expected(
    args: &[String],
    changed: &BTreeMap<String, BTreeMap<&str, &Value>>,
    step: u64,
) -> bool {
    if changed.is_empty() {
        return false;
    }
    let text = |fields: &BTreeMap<&str, &Value>, name: &str| {
        fields.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    if args[1] == "import" {
        assert_eq!(changed.len(), 2, "an import is whole: {changed:?}");
        let by_hand = format!("{step} by hand ");
        assert!(changed.values().any(|fields| text(fields, "title").starts_with(&by_hand)));
        assert!(changed.contains_key(&format!("I-{step}")), "{changed:?}");
        return true;
    }
    assert_eq!(changed.len(), 1, "{args:?} touches one issue: {changed:?}");
    let (name, fields) = changed.iter().next().unwrap();
    match args[1].as_str() {
        "create" => {
            assert_eq!(text(fields, "title"), format!("made {step}"));
            assert_eq!(*fields["labels"], serde_json::json!(["a", "b"]), "a creation is whole");
        }
        "edit" => assert_eq!((name, text(fields, "title")), (&args[2], args[4].clone())),
        "comment" => {
            let said = fields["comments"].as_array().unwrap().last().unwrap()["body"].clone();
            assert_eq!((name, said.as_str().unwrap()), (&args[2], args[3].as_str()));
        }
        "done" => assert_eq!((name, text(fields, "state")), (&args[2], "done".to_owned())),
        other => panic!("{other}"),
    }
    true
}

#[test]
fn a_killed_init_is_begun_again() {
    let mut dice = Dice::new();
    let (mut killed, mut tries) = (0, 0);
    while killed < 5 {
        tries += 1;
        assert!(tries < 5 * TRIES_PER_KILL, "too few are met");
        let place = Place::new();
        let ended = run_and_kill(&place, &["init", "--prefix", "T"], dice.below(40_000));
        killed += u64::from(ended.killed);
        let was_bound = fs::exists(place.repo().join(".x0x.toml")).unwrap();
        let key_before = fs::read(place.data().join("agent.key")).ok();
        place.ok(&["init"]);
        assert!(!was_bound || place.ok(&["init", "--json"]).contains("\"prefix\":\"T\""));
        place.create(&["One"]);
        place.ok(&["issues", "export"]);
        place.ok(&["issues", "validate", "--store"]);
        let key = fs::read(place.data().join("agent.key")).unwrap();
        assert!(key_before.is_none_or(|before| before == key), "a key is never replaced");
    }
}
