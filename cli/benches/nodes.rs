//! Measures nodes on loopback: how soon an edit is in another store, what receiving costs against the
//! tracker taking the same commits in one process, catching up, and idling.
//!
//! `cargo bench -p x0x-cli --bench nodes` prints it. `X0X_BENCH_NODES=latency,receiving,away,newcomer,idle`
//! chooses; `X0X_BENCH_ISSUES` is the size of the large list (default 10000), of ten changes an issue.
//! One node runs in this process and writes; the other is a process of its own, `x0x up`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Draft, Patch};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::tasklist::{Outgoing, Verdict};
use x0x_tracker::{LocalTracker, Tracker};

/// Between two edits of a hundred in a second.
const EVERY: Duration = Duration::from_millis(10);
const WAIT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let chosen = std::env::var("X0X_BENCH_NODES")
        .unwrap_or_else(|_| "start,latency,receiving,away,newcomer,idle".to_owned());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for part in chosen.split(',') {
        match part {
            "start" => start_up(),
            "latency" => runtime.block_on(latency()),
            "receiving" => runtime.block_on(receiving()),
            "away" => runtime.block_on(away()),
            "newcomer" => runtime.block_on(newcomer()),
            "idle" => runtime.block_on(idle()),
            other => panic!("no part is called {other}"),
        }
    }
}

fn large() -> usize {
    std::env::var("X0X_BENCH_ISSUES").map_or(10_000, |issues| issues.parse().unwrap())
}

/// A data directory with a list, and the node in this process that writes to it.
struct Writer {
    dir: TempDir,
    list: ListId,
    node: Node,
}

impl Writer {
    async fn new(fill: impl FnOnce(&mut LocalTracker)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("bench", "B", WAIT).unwrap();
        fill(&mut home.write(list, WAIT).unwrap());
        let node = Node::start(config(dir.path())).await.unwrap();
        Self { dir, list, node }
    }

    /// Lets another data directory join, and returns it with its node running as a process.
    async fn other(&self) -> (TempDir, Up) {
        let dir = tempfile::tempdir().unwrap();
        let ticket = self.ticket().await;
        let joined = command(dir.path(), &["join", &ticket, "--listen", ANY, "--api", ANY, "-q"]);
        assert!(run(joined).await.success());
        let up = Up::new(dir.path());
        self.linked(1).await;
        (dir, up)
    }

    async fn ticket(&self) -> String {
        self.node.invite(self.list, Role::Maintainer, DAY).await.unwrap().unwrap().to_string()
    }

    async fn linked(&self, count: usize) {
        while self.level().await < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it has noticed that nobody is there.
    async fn alone(&self) {
        while self.level().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Counts those that are as far as it is.
    async fn level(&self) -> usize {
        let peers = self.node.peers().await.unwrap();
        peers.iter().filter(|peer| peer.lists.iter().any(|list| list.level)).count()
    }

    async fn edit(&self, n: usize) {
        let patch = Patch::default().set("title", &format!("\"edit {n}\""));
        let name = format!("B-{:04}", 1 + n % 100);
        let edit = move |tracker: &mut LocalTracker| tracker.edit(&name, &patch, None).map(|_| ());
        self.node.keeper().write(self.list, edit).await.unwrap().unwrap();
    }
}

const ANY: &str = "127.0.0.1:0";

fn config(dir: &Path) -> Config {
    let home = Home::at(dir.to_owned());
    Config { lock_wait: WAIT, ..Config::on_loopback(home) }
}

fn hundred(tracker: &mut LocalTracker) {
    for n in 0..100 {
        tracker.create(&Draft::titled(&format!("issue {n}"))).unwrap();
    }
}

/// A list of so many issues with ten changes each.
fn aged(issues: usize) -> impl FnOnce(&mut LocalTracker) {
    move |tracker| {
        let lines: String = (0..issues)
            .map(|n| {
                format!(
                    "{{\"id\":\"B-{n:08}\",\"identifier\":\"B-{n}\",\"title\":\"Issue number {n}\",\
                     \"description\":\"{}\",\"state\":\"todo\",\
                     \"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"}}\n",
                    "what is to be done, and why. ".repeat(10)
                )
            })
            .collect();
        let options = x0x_tracker::interface::ImportOptions::default();
        tracker.import("/bench.jsonl", &mut lines.as_bytes(), &options, &mut |_| {}).unwrap();
        tracker.age(9).unwrap();
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_x0x"));
    command.args(args).arg("--data-dir").arg(dir).current_dir(dir).stdin(Stdio::null());
    command.stdout(Stdio::null());
    command
}

async fn run(mut command: Command) -> std::process::ExitStatus {
    tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap()
}

/// A node that runs as a process.
struct Up(Child);

impl Up {
    fn new(dir: &Path) -> Self {
        let child = command(dir, &["up", "-q", "--listen", ANY, "--api", ANY]).spawn().unwrap();
        let up = Self(child);
        while !command(dir, &["status"]).stderr(Stdio::null()).status().unwrap().success() {
            std::thread::sleep(Duration::from_millis(1));
        }
        up
    }

    /// Returns the CPU time that the process has used.
    fn cpu(&self) -> Duration {
        cpu_of(self.0.id())
    }

    /// Returns its resident memory in megabytes.
    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kb / 1_024.0
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn here() -> Duration {
    cpu_of(std::process::id())
}

fn start_up() {
    let dir = tempfile::tempdir().unwrap();
    Home::at(dir.path().to_owned()).found("bench", "B", WAIT).unwrap();
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            let up = Up::new(dir.path());
            let took = begun.elapsed();
            drop(up);
            took
        })
        .collect();
    times.sort();
    println!("start to serving: {:?} (median of 7, with the asking)", times[3]);
}

/// Edits at 100 a second; each is looked for in the other store, every half millisecond.
async fn latency() {
    let a = Writer::new(hundred).await;
    let dir = tempfile::tempdir().unwrap();
    let b = Node::start(config(dir.path())).await.unwrap();
    let ticket = a.ticket().await.parse().unwrap();
    b.join(ticket).await.unwrap().unwrap();
    a.linked(1).await;
    let mut times = Vec::new();
    let mut due = Instant::now();
    for n in 0..1_000 {
        due += EVERY;
        tokio::time::sleep_until(due.into()).await;
        let begun = Instant::now();
        a.edit(n).await;
        let stored = begun.elapsed();
        let place = a.node.keeper().with(a.list, |tracker| tracker.own_place()).await;
        let (log, position) = place.unwrap().unwrap().unwrap().unwrap();
        loop {
            let frontier = b.keeper().with(a.list, |tracker| tracker.frontier()).await;
            if frontier.unwrap().unwrap().unwrap().covers(log, position) {
                break;
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        times.push((begun.elapsed(), stored));
    }
    times.sort();
    let at = |share: usize| times[times.len() * share / 100].0;
    let (p50, p99, max) = (at(50), at(99), times[times.len() - 1].0);
    let mut stored: Vec<Duration> = times.iter().map(|(_, stored)| *stored).collect();
    stored.sort();
    let stored = stored[stored.len() / 2];
    println!(
        "edit on A in B's store: p50 {p50:?}, p99 {p99:?}, max {max:?}; on A's disk p50 {stored:?}"
    );
    b.stop().await;
    a.node.stop().await;
}

/// What a receiver spends on each of many edits at 100 a second, against the tracker that takes the
/// same commits one by one.
async fn receiving() {
    const EDITS: usize = 2_000;
    let a = Writer::new(hundred).await;
    let (_dir, up) = a.other().await;
    let before = a.node.keeper().with(a.list, |tracker| tracker.frontier()).await;
    let before = before.unwrap().unwrap().unwrap();
    let rest = idle_cpu(&up, Duration::from_secs(5)).await;
    let begun = (up.cpu(), Instant::now());
    let mut due = Instant::now();
    for n in 0..EDITS {
        due += EVERY;
        tokio::time::sleep_until(due.into()).await;
        a.edit(n).await;
    }
    a.linked(1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spent = up.cpu() - begun.0;
    let idle = rest * begun.1.elapsed().as_millis() as u32 / 1_000;
    let items = a.node.keeper().with(a.list, move |tracker| {
        tracker.send(&mut Outgoing::to(before, true), usize::MAX).unwrap()
    });
    let items = items.await.unwrap().unwrap();
    a.node.stop().await;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / EDITS as f64;
    println!(
        "receiving at 100 edits/s: {:.0} us of CPU each ({:.0} us idle taken off)",
        each(spent),
        each(idle)
    );
    for (pace, name) in [(Pace::Rate, "at the same rate"), (Pace::Single, "without a pause")] {
        let base = by_itself(&a, items.clone(), pace);
        let times = spent.as_secs_f64() / base.as_secs_f64();
        println!("  the tracker alone, {name}: {:.0} us, so {times:.2}x", each(base));
    }
}

/// Returns what an idle process spends in a second.
async fn idle_cpu(up: &Up, time: Duration) -> Duration {
    let before = up.cpu();
    tokio::time::sleep(time).await;
    (up.cpu() - before) / time.as_secs() as u32
}

/// How a tracker by itself is given commits.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// One every [`EVERY`], as they come to a node.
    Rate,
    /// One after the other.
    Single,
    /// Many at once.
    Chunks,
}

/// Has a tracker in this process take pieces of a stream of a node that has stopped; returns the CPU.
fn by_itself(a: &Writer, items: Vec<Item>, pace: Pace) -> Duration {
    let (list, from) = (a.list, a.dir.path().to_owned());
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    home.attach(list, "bench", "B", WAIT).unwrap();
    let mut tracker = home.write(list, WAIT).unwrap();
    let source = Home::at(from).read(list).unwrap();
    for statement in source.statements().unwrap() {
        tracker.admit_statement(&statement).unwrap();
    }
    let mut incoming = Incoming::default();
    let mut before = here();
    if pace != Pace::Chunks {
        // As gossip brings them: each with a check of its author's signature.
        let verifier = x0x::identity::MlDsa;
        let charter = tracker.charter().unwrap();
        let measured = items.iter().filter(|item| matches!(item, Item::Body { .. })).count();
        let mut outgoing = Outgoing::to(Frontier::default(), true);
        let all = source.send(&mut outgoing, usize::MAX).unwrap();
        let mut left = all.iter().filter(|item| matches!(item, Item::Body { .. })).count();
        let mut newest = None;
        let mut due = Instant::now();
        for item in all {
            if let Item::Run(run) = &item {
                newest = Some(run.clone());
            }
            if matches!(item, Item::Body { .. }) {
                // What came before the edits is not measured.
                if left == measured {
                    (before, due) = (here(), Instant::now());
                }
                if left <= measured {
                    let run = newest.as_ref().unwrap();
                    run.clone().prove(list, &charter, &verifier).unwrap();
                }
                left -= 1;
                if pace == Pace::Rate && left < measured {
                    due += EVERY;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
            let received = tracker.receive(&mut incoming, vec![item]).unwrap();
            let is_taken = |verdict: &Verdict| matches!(verdict, Verdict::Taken);
            assert!(received.stopped_by.is_none() && received.verdicts.iter().all(is_taken));
        }
        assert_eq!(left, 0);
    } else {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for item in items {
            bytes += item.bytes();
            chunk.push(item);
            if bytes > 256 << 10 {
                bytes = 0;
                tracker.receive(&mut incoming, std::mem::take(&mut chunk)).unwrap();
            }
        }
        tracker.receive(&mut incoming, chunk).unwrap();
    }
    here() - before
}

async fn away() {
    let a = Writer::new(hundred).await;
    let (dir, up) = a.other().await;
    drop(up);
    for n in 0..1_000 {
        a.edit(n).await;
    }
    // What it was before it left is not what it is now.
    a.alone().await;
    let begun = Instant::now();
    let _up = Up::new(dir.path());
    let serving = begun.elapsed();
    a.linked(1).await;
    println!(
        "away for 1,000 commits: level {:?} after its start ({serving:?} of it to serving)",
        begun.elapsed()
    );
    a.node.stop().await;
}

async fn newcomer() {
    let issues = large();
    let a = Writer::new(aged(issues)).await;
    let dir = tempfile::tempdir().unwrap();
    let ticket = a.ticket().await;
    let mut joining = command(dir.path(), &["join", &ticket, "--listen", ANY, "--api", ANY, "-q"]);
    let begun = Instant::now();
    let usage = nix::sys::resource::UsageWho::RUSAGE_CHILDREN;
    let cpu = |usage| {
        let spent = nix::sys::resource::getrusage(usage).unwrap();
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
        };
        time(spent.user_time()) + time(spent.system_time())
    };
    let before = cpu(usage);
    let status = tokio::task::spawn_blocking(move || joining.status().unwrap()).await.unwrap();
    assert!(status.success());
    let (took, spent) = (begun.elapsed(), cpu(usage) - before);
    let items = a.node.keeper().with(a.list, |tracker| {
        tracker.send(&mut Outgoing::to(Frontier::default(), true), usize::MAX).unwrap()
    });
    let items = items.await.unwrap().unwrap();
    a.node.stop().await;
    let base = by_itself(&a, items, Pace::Chunks);
    println!(
        "newcomer, {issues} issues of 10 changes: {took:?}, CPU {spent:?}, the tracker alone {base:?}: {:.2}x",
        spent.as_secs_f64() / base.as_secs_f64()
    );
}

async fn idle() {
    const TIME: Duration = Duration::from_secs(60);
    let issues = large();
    let a = Writer::new(aged(issues)).await;
    let (dir, up) = a.other().await;
    drop(up);
    let up = Up::new(dir.path());
    a.linked(1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (cpu, bytes) = (up.cpu(), a.node.bytes().await.unwrap());
    tokio::time::sleep(TIME).await;
    let cpu = (up.cpu() - cpu).as_secs_f64() / TIME.as_secs_f64() * 100.0;
    let bytes = a.node.bytes().await.unwrap() - bytes;
    let per_second = bytes as f64 / TIME.as_secs_f64();
    println!(
        "idle with {issues} issues: {:.0} MB resident, {cpu:.2} % of a core, {per_second:.0} bytes/s both ways (UDP payload)",
        up.resident_mb()
    );
    a.node.stop().await;
}
