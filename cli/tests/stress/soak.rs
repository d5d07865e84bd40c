//! A steady load for a long time: three nodes whose memory must stay what it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use x0x::time;

use super::exports::{Ids, are_equal};
use super::mesh::{Member, Mesh};
use super::program::Program;
use super::report;
use super::settings::{Settings, setting};
use super::watch::{Row, Watch};

const NODES: usize = 3;

/// How many issues a second are created, at all nodes together; every other one comes with a direct message.
const RATE: u64 = 15;

/// How long a run is: two minutes are what the tests of every change can spare.
const SECONDS: u64 = 120;

/// When memory is taken as what it is, in a run that is long enough.
const BASE_AT: Duration = Duration::from_secs(120);

/// How many times as large it may become.
const TIMES_MAX: f64 = 2.0;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How long it may take in the end until all have all.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// How many messages are read before they are released.
const READ_AT_ONCE: u32 = 50;

/// Which part of a run is held against which moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Judged {
    base_at: Duration,
    from: Duration,
}

impl Judged {
    /// A short run has its last quarter held against the end of its first.
    fn of(length: Duration) -> Self {
        if length >= 2 * BASE_AT {
            Self { base_at: BASE_AT, from: BASE_AT }
        } else {
            Self { base_at: length / 4, from: length * 3 / 4 }
        }
    }

    /// Returns the memory that is the measure, and the most there was later; nothing where it was not looked at.
    fn memory(self, rows: &[Row]) -> Option<(u64, u64)> {
        let seen = || rows.iter().filter(|row| row.resident > 0);
        let base = seen().find(|row| row.at >= self.base_at)?.resident;
        let later = seen().filter(|row| row.at >= self.from && row.at > self.base_at);
        Some((base, later.map(|row| row.resident).max()?))
    }
}

/// What was done at all nodes.
#[derive(Default)]
struct Done {
    created: AtomicUsize,
    delivered: AtomicUsize,
    failed: AtomicUsize,
}

/// Creates issues at a node and sends messages to the next, one after the other at a steady pace.
fn work(mesh: &Mesh, node: usize, every: Duration, watch: &Watch, done: &Done) -> Vec<String> {
    let (member, next) = (&mesh.members[node], &mesh.members[(node + 1) % NODES]);
    let (begun, mut ids) = (time::origin(), Vec::new());
    for number in 0_u32.. {
        let due = every * number;
        time::pause(due.saturating_sub(begun.elapsed()));
        if watch.is_over.load(Ordering::Relaxed) {
            break;
        }
        let body = json!({"title": format!("message {number} of {}", member.name)});
        let key = format!("soak-{node}-{number}");
        match member.caller.post("/issues", Some(&key), &body, ANSWER_MAX) {
            Ok(issue) => {
                ids.push(issue["id"].as_str().unwrap().to_owned());
                done.created.fetch_add(1, Ordering::Relaxed);
            }
            Err(failed) => fail(done, member, &failed.why),
        }
        if number.is_multiple_of(2) {
            let body = json!({"to": next.agent, "text": format!("{number} is there"), "wait": "delivered"});
            match member.caller.post("/direct/send", None, &body, ANSWER_MAX) {
                Ok(receipt) if receipt["delivered_at"].is_string() => {
                    done.delivered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_later) => {}
                Err(failed) => fail(done, member, &failed.why),
            }
        }
        if number.is_multiple_of(READ_AT_ONCE) {
            read(member);
        }
    }
    ids
}

fn fail(done: &Done, member: &Member, why: &str) {
    if done.failed.fetch_add(1, Ordering::Relaxed) == 0 {
        eprintln!("{}: {why}", member.name);
    }
}

/// Reads what is in the inbox, and releases it.
fn read(member: &Member) {
    let inbox = member.caller.get("/direct/inbox?limit=1000", ANSWER_MAX).unwrap_or_default();
    let last = inbox["messages"].as_array().and_then(|messages| messages.last()?["id"].as_u64());
    if let Some(last) = last {
        let body = json!({"up_to": last});
        member.caller.post("/direct/inbox/ack", None, &body, ANSWER_MAX).unwrap();
    }
}

fn is_level(mesh: &Mesh, issues: usize) -> bool {
    let has_all = |member: &Member| member.issues(ANSWER_MAX) == Some(issues as u64 + 1);
    let begun = time::origin();
    while !mesh.members.iter().all(has_all) {
        if begun.elapsed() >= SETTLE_MAX {
            return false;
        }
        time::pause(Duration::from_millis(250));
    }
    true
}

#[test]
fn memory_stays_within_twice_of_what_it_was_at_a_steady_load() {
    let length = Duration::from_secs(setting("X0X_SOAK_PUMP_SECONDS", SECONDS));
    let rate = setting("X0X_SOAK_PUMP_RATE", RATE);
    let every = Duration::from_secs(NODES as u64) / u32::try_from(rate).unwrap();
    let path = report::folder().join("soak.json");
    let _none_yet = std::fs::remove_file(&path);
    let program = Program::copy();
    let mesh = Mesh::gather(&Settings::of(NODES), "fair", &program);
    let (watch, done) = (Watch::new(NODES, Duration::from_secs(1)), Done::default());
    let ids: Vec<Vec<String>> = thread::scope(|scope| {
        let ends = watch.ends();
        let (mesh, watch, done) = (&mesh, &watch, &done);
        for (node, member) in mesh.members.iter().enumerate() {
            scope.spawn(move || watch.follow(node, member));
        }
        let workers: Vec<_> = (0..NODES)
            .map(|node| scope.spawn(move || work(mesh, node, every, watch, done)))
            .collect();
        tell_until(length, mesh, watch, done);
        drop(ends);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let ids = Ids::of(&ids);
    let is_level = is_level(&mesh, ids.len());
    let exports: Vec<_> = mesh.members.iter().map(|member| ids.look(&member.site)).collect();
    let judged = Judged::of(length);
    let mut faults = Vec::new();
    let mut nodes = Vec::new();
    for (node, member) in mesh.members.iter().enumerate() {
        let memory = judged.memory(&watch.of(node).rows);
        match memory {
            Some((base, later)) if later as f64 <= base as f64 * TIMES_MAX => {}
            Some((base, later)) => {
                faults.push(format!("{} grew from {base} to {later} bytes", member.name));
            }
            None => faults.push(format!("{} was not looked at", member.name)),
        }
        nodes.push(told(&member.name, memory, &watch.of(node).rows));
    }
    let wanted = (rate * length.as_secs()) as usize;
    let (created, delivered) = (ids.len(), done.delivered.load(Ordering::Relaxed));
    if created < wanted / 2 || delivered < wanted / 4 {
        faults.push(format!("of {wanted} only {created} were created and {delivered} delivered"));
    }
    if !is_level || !are_equal(&exports) || exports.iter().any(|one| one.present != created) {
        let present: Vec<_> = exports.iter().map(|export| export.present).collect();
        faults.push(format!("of {created} are in the exports: {present:?}"));
    }
    let report = json!({
        "passed": faults.is_empty(),
        "faults": faults,
        "seconds": length.as_secs(),
        "created": created,
        "delivered": delivered,
        "failed": done.failed.load(Ordering::Relaxed),
        "base_at_seconds": judged.base_at.as_secs(),
        "nodes": nodes,
    });
    report::write(&path, &report);
    eprintln!("{created} created and {delivered} delivered in {length:?}: {}", path.display());
    assert!(faults.is_empty(), "{faults:#?}");
}

fn tell_until(length: Duration, mesh: &Mesh, watch: &Watch, done: &Done) {
    let mut told = Duration::ZERO;
    while watch.elapsed() < length {
        time::pause(Duration::from_millis(100));
        if watch.elapsed() >= told + Duration::from_secs(10) {
            told = watch.elapsed();
            let megabytes = |node| watch.of(node).rows.last().map_or(0, |row| row.resident >> 20);
            let memory: Vec<u64> = (0..mesh.members.len()).map(megabytes).collect();
            let created = done.created.load(Ordering::Relaxed);
            let delivered = done.delivered.load(Ordering::Relaxed);
            eprintln!("{told:4.0?}: {created} created, {delivered} delivered; {memory:?} MiB");
        }
    }
}

fn told(name: &str, memory: Option<(u64, u64)>, rows: &[Row]) -> Value {
    let step = rows.len().div_ceil(100).max(1);
    let over_time = rows.iter().step_by(step);
    let over_time: Vec<_> = over_time.map(|row| [row.at.as_secs(), row.resident]).collect();
    json!({
        "name": name,
        "resident_base_bytes": memory.map(|(base, _)| base),
        "resident_later_max_bytes": memory.map(|(_, later)| later),
        "resident_over_time": over_time,
    })
}

#[test]
fn memory_is_held_against_what_it_was_once_a_node_had_settled() {
    let rows = |memory: fn(u64) -> u64, seconds: u64| -> Vec<Row> {
        let row = |at| Row { at: Duration::from_secs(at), resident: memory(at), lanes: None };
        (0..seconds).map(row).collect()
    };
    let long = Judged::of(Duration::from_secs(1_800));
    assert_eq!(long, Judged { base_at: BASE_AT, from: BASE_AT });
    assert_eq!(long.memory(&rows(|at| 100 + at, 1_800)), Some((220, 1_899)));
    let short = Judged::of(Duration::from_secs(120));
    assert_eq!((short.base_at.as_secs(), short.from.as_secs()), (30, 90));
    // What it needed in between, and gave back, counts in a long run alone.
    let hump = |at| if (40..60).contains(&at) || (400..410).contains(&at) { 900 } else { 100 };
    assert_eq!(short.memory(&rows(hump, 120)), Some((100, 100)));
    assert_eq!(long.memory(&rows(hump, 1_800)), Some((100, 900)));
    assert_eq!(short.memory(&rows(|at| at, 80)), None, "it ended too early");
    assert_eq!(short.memory(&[]), None);
}
