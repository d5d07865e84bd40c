//! The messages of a run: issues that programs create at every node at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;
use x0x::time;

use super::mesh::Member;
use super::settings::Settings;

/// How long an answer may take: longer than a node is stopped for.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How often a message is sent again where no answer comes.
const TRIES_MAX: usize = 10;

/// How long to wait before that.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How many failures are kept to be shown.
const FAILURES_MAX: usize = 20;

/// What was sent so far.
pub struct Load {
    shares: Vec<usize>,
    seed: u64,
    text: String,
    next: Vec<AtomicUsize>,
    ids: Vec<Mutex<Vec<String>>>,
    sent: AtomicUsize,
    retried: AtomicUsize,
    writers: AtomicUsize,
    failed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    pub fn new(settings: &Settings) -> Self {
        let nodes = 0..settings.nodes;
        Self {
            shares: nodes.clone().map(|node| settings.share(node)).collect(),
            seed: settings.seed,
            text: "x".repeat(settings.bytes),
            next: nodes.clone().map(|_| AtomicUsize::new(0)).collect(),
            ids: nodes.map(|_| Mutex::default()).collect(),
            sent: AtomicUsize::new(0),
            retried: AtomicUsize::new(0),
            writers: AtomicUsize::new(settings.nodes * settings.clients),
            failed: AtomicUsize::new(0),
            failures: Mutex::default(),
        }
    }

    /// Creates issues at a node until its share is done, beside others that do the same.
    pub fn write(&self, node: usize, member: &Member, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let number = self.next[node].fetch_add(1, Ordering::Relaxed);
            if number >= self.shares[node] {
                break;
            }
            match self.create(node, number, member, is_over) {
                Ok(id) => {
                    self.ids(node).push(id);
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    let mut failures = self.failures.lock().unwrap();
                    if failures.len() < FAILURES_MAX {
                        failures.push(format!("{}, message {number}: {why}", member.name));
                    }
                }
            }
        }
        self.writers.fetch_sub(1, Ordering::Relaxed);
    }

    fn create(
        &self,
        node: usize,
        number: usize,
        member: &Member,
        is_over: &AtomicBool,
    ) -> Result<String, String> {
        let key = format!("stress-{}-{node}-{number}", self.seed);
        let mut body = json!({"title": format!("message {number} of {}", member.name)});
        if !self.text.is_empty() {
            body["description"] = self.text.as_str().into();
        }
        let mut why = String::new();
        for _ in 0..TRIES_MAX {
            match member.caller.post("/issues", Some(&key), &body, ANSWER_MAX) {
                Ok(issue) => {
                    let id = issue["id"].as_str().ok_or_else(|| format!("no id: {issue}"))?;
                    return Ok(id.to_owned());
                }
                Err(failed) if failed.is_retryable && !is_over.load(Ordering::Relaxed) => {
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    why = failed.why;
                    time::pause(AGAIN_AFTER);
                }
                Err(failed) => return Err(failed.why),
            }
        }
        Err(format!("{TRIES_MAX} times: {why}"))
    }

    fn ids(&self, node: usize) -> MutexGuard<'_, Vec<String>> {
        self.ids[node].lock().unwrap()
    }

    /// Returns how many messages were answered.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how often a message was sent again.
    pub fn retried(&self) -> usize {
        self.retried.load(Ordering::Relaxed)
    }

    pub fn is_done(&self) -> bool {
        self.writers.load(Ordering::Relaxed) == 0
    }

    /// Returns the ids of what was created at each node.
    pub fn created(&self) -> Vec<Vec<String>> {
        (0..self.ids.len()).map(|node| self.ids(node).clone()).collect()
    }

    /// Returns how many messages were given up, and why the first ones.
    pub fn failures(&self) -> (usize, Vec<String>) {
        (self.failed.load(Ordering::Relaxed), self.failures.lock().unwrap().clone())
    }
}
