//! Nodes as processes: joining, cuts, kills, copies. Between them runs the emulator of links.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(
    clippy::disallowed_methods,
    reason = "processes are waited for by looking, up to a limit"
)]

mod common;
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use harness::{Conditions, Direction, Network};
use serde_json::Value;
use tempfile::TempDir;

/// How long a node may take for anything before a test gives up. Machines are slow and busy.
const LONG: Duration = Duration::from_secs(60);

/// A data directory, with the node that runs on it.
struct Site {
    dir: TempDir,
    listen: SocketAddr,
    advertise: Option<SocketAddr>,
    up: Option<Child>,
}

/// Returns a port of an address that no other site has.
fn free_address() -> SocketAddr {
    static SITES: AtomicU8 = AtomicU8::new(1);
    let [a, b, ..] = std::process::id().to_le_bytes();
    let host = Ipv4Addr::new(127, a, b, SITES.fetch_add(1, Ordering::Relaxed));
    UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap()
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("repo")).unwrap();
        Self { dir, listen: free_address(), advertise: None, up: None }
    }

    /// A site with a list, whose node runs.
    fn founder() -> Self {
        let site = Self::new();
        site.ok(&["init", "--name", "pump", "--prefix", "PUMP"]);
        site
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

    fn run(&self, args: &[&str]) -> common::Answer {
        common::Answer::of(self.command(args).output().unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Starts the node, and waits until it answers.
    fn up(&mut self) {
        let mut command = self.node_command(&["up"]);
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.up = Some(command.spawn().unwrap());
        self.until("the node answers", || self.run(&["status"]).code == 0);
    }

    /// Ends the node as the kernel ends a process without memory.
    fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    fn stop(&mut self) {
        self.ok(&["stop"]);
        let status = self.up.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn invite(&self) -> String {
        self.ok(&["invite", "--role", "maintainer", "-q"]).trim().to_owned()
    }

    /// A site that joins this one's list, and whose node runs.
    fn newcomer(&self) -> Self {
        let mut site = Self::new();
        site.join(&self.invite());
        site
    }

    fn join(&mut self, ticket: &str) {
        let joined = self.node_command(&["join", ticket, "--timeout", "60"]).output().unwrap();
        let joined = common::Answer::of(joined);
        assert_eq!(joined.code, 0, "{joined:?}");
        self.up();
    }

    /// A command that listens. What it advertises, it does each time: whoever was told another address once
    /// would call that.
    fn node_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.args(["--listen", &self.listen.to_string(), "--api", "127.0.0.1:0"]);
        if let Some(advertise) = self.advertise {
            command.args(["--advertise", &advertise.to_string()]);
        }
        command
    }

    fn create(&self, title: &str) -> String {
        self.ok(&["issues", "create", title, "--silent"]).trim().to_owned()
    }

    fn export(&self) -> String {
        self.ok(&["issues", "export", "--canonical", "--out", "-"])
    }

    fn peers(&self) -> usize {
        let answer = self.run(&["peers", "--json"]);
        let peers: Value = serde_json::from_str(&answer.stdout).unwrap_or(Value::Null);
        peers["peers"].as_array().map_or(0, Vec::len)
    }

    fn until(&self, what: &str, done: impl FnMut() -> bool) -> Duration {
        until(&format!("{what} ({})", self.data().display()), done)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something; returns how long it took.
fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Waits until all have the same issues, as many as that.
fn level(sites: &[&Site], issues: usize) -> Duration {
    let mut last = Vec::new();
    let done = || {
        last = sites.iter().map(|site| site.export()).collect();
        last[0].lines().count() == issues && last.iter().all(|export| *export == last[0])
    };
    until("all are level", done)
}

#[test]
fn a_node_whose_stores_are_borrowed_is_stopped_all_the_same() {
    let mut site = Site::founder();
    site.up();
    let home = x0x::home::Home::at(site.data());
    let list = home.list_named(None).unwrap();
    let borrowed = home.write(list, LONG).unwrap();
    site.stop();
    drop(borrowed);
    site.ok(&["issues", "create", "--title", "afterwards"]);
}

#[test]
fn three_data_directories_of_one_machine_become_one_list() {
    let mut a = Site::founder();
    a.create("before anybody joined");
    a.up();
    let mut b = a.newcomer();
    let mut c = a.newcomer();
    level(&[&a, &b, &c], 1);
    b.create("on b");
    c.create("on c");
    a.ok(&["issues", "edit", "PUMP-0001", "--title", "edited on a"]);
    level(&[&a, &b, &c], 3);
    a.until("all are linked", || a.peers() == 2);
    let status: Value = serde_json::from_str(&a.ok(&["status", "--json"])).unwrap();
    assert_eq!((&status["peers"], &status["lists"][0]["issues"]), (&2.into(), &3.into()));
    let begun = Instant::now();
    for site in [&mut a, &mut b, &mut c] {
        site.stop();
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "three stops in {:?}", begun.elapsed());
    let error = a.run(&["peers"]);
    assert_eq!((error.code, error.stderr.contains("x0x up")), (6, true), "{error:?}");
}

#[test]
fn a_node_says_who_it_is_and_a_second_one_is_refused_by_name() {
    let mut a = Site::founder();
    a.create("one");
    a.up();
    let agent = a.ok(&["agent", "--json"]);
    let agent: Value = serde_json::from_str(&agent).unwrap();
    a.until("it has said so", || a.log().contains("peers"));
    let log = a.log();
    for part in [agent["agent_id"].as_str().unwrap(), "PUMP-0001", &a.listen.to_string()] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let second = a.run(&["up", "--lock-timeout", "0"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("node"), "{second:?}");
    let bad = a.run(&["join", "x0xtabc"]);
    assert_eq!(bad.code, 7, "{bad:?}");
    a.stop();
    let late = a.run(&["invite"]);
    assert_eq!((late.code, late.stderr.contains("x0x up")), (6, true), "{late:?}");
}

/// The allocator gives back part of what is free at a time, in a debug build less than in a release one.
#[test]
fn a_node_at_rest_gives_back_what_opening_its_store_took() {
    let mut a = Site::founder();
    let issues = a.dir.path().join("repo/issues");
    fs::create_dir_all(&issues).unwrap();
    let text = "what is to be done, and why. ".repeat(20);
    let line =
        |n| format!("{{\"id\":\"PUMP-{n:05}\",\"title\":\"{n}\",\"description\":\"{text}\"}}\n");
    fs::write(issues.join("issues.jsonl"), (1..=6_000).map(line).collect::<String>()).unwrap();
    a.ok(&["issues", "import", "-q"]);
    a.up();
    // Whoever opens it next reads all of it.
    a.kill();
    a.up();
    let anonymous_kb = |a: &Site| {
        let node = a.up.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{node}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let mut most = 0;
    a.until("some of it is given back", || {
        let now = anonymous_kb(&a);
        most = most.max(now);
        now < most * 19 / 20
    });
    a.stop();
}

/// Returns two sites that hear each other through the emulator alone, and the ways there.
fn apart(network: &Network) -> (Site, Site, [harness::Path; 2]) {
    let (mut a, mut b) = (Site::founder(), Site::new());
    let ways = [network.path(a.listen), network.path(b.listen)];
    a.advertise = Some(ways[0].address());
    b.advertise = Some(ways[1].address());
    a.up();
    let ticket = a.invite();
    // The first word goes through the emulator too: the ticket holds what is advertised.
    b.join(&ticket);
    (a, b, ways)
}

#[test]
fn edits_of_both_sides_of_a_cut_are_everywhere_soon_after_it_heals() {
    let network = Network::new(7);
    let (a, b, ways) = apart(&network);
    let slow = Conditions {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        loss: 0.02,
        ..Conditions::default()
    };
    ways.iter().for_each(|way| way.set(Direction::Both, slow));
    a.create("before the cut");
    level(&[&a, &b], 1);
    ways.iter().for_each(|way| way.cut(Direction::Both));
    a.ok(&["issues", "edit", "PUMP-0001", "--title", "a's title"]);
    b.ok(&["issues", "edit", "PUMP-0001", "--priority", "1"]);
    for n in 0..20 {
        a.create(&format!("on a {n}"));
        b.create(&format!("on b {n}"));
    }
    let cut: u64 = ways.iter().map(|way| way.counters(Direction::Both).cut).sum();
    assert!(cut > 0, "the cut met nothing");
    until("both know that the link is gone", || a.peers() == 0 && b.peers() == 0);
    ways.iter().for_each(harness::Path::heal);
    let healed = Instant::now();
    level(&[&a, &b], 41);
    let took = healed.elapsed();
    assert!(a.export().contains("a's title") && a.export().contains("\"priority\":1"));
    eprintln!("level {took:?} after the cut healed");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_data_directory_that_was_copied_locks_nobody_out() {
    let mut a = Site::founder();
    a.up();
    let mut b = a.newcomer();
    b.create("before the copy");
    level(&[&a, &b], 1);
    b.stop();
    let mut copy = Site::new();
    copy_dir(&b.data(), &copy.data());
    b.up();
    copy.up();
    b.create("on the original");
    copy.create("on the copy");
    a.create("on another");
    level(&[&a, &b, &copy], 4);
    b.create("and on");
    copy.create("and on too");
    level(&[&a, &b, &copy], 6);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Kills nodes at random while issues are created through them; nothing that was answered is lost.
#[test]
fn nothing_that_was_answered_is_lost_when_nodes_are_killed() {
    let kills: u64 = std::env::var("X0X_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let mut a = Site::founder();
    a.up();
    let mut sites = vec![a.newcomer(), a.newcomer()];
    sites.insert(0, a);
    let mut answered = BTreeSet::new();
    let mut refused = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for kill in 0..kills {
        let victim = draw(3) as usize;
        let title = format!("round {kill}");
        let creations: Vec<Child> = (0..6)
            .map(|n| {
                let site = &sites[n % 3];
                let title = format!("{title} {n}");
                let args = ["issues", "create", &title, "--silent", "--lock-timeout", "30"];
                let mut command = site.command(&args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(draw(60)));
        sites[victim].kill();
        for creation in creations {
            let answer = common::Answer::of(creation.wait_with_output().unwrap());
            match answer.code {
                0 => drop(answered.insert(answer.stdout.trim().to_owned())),
                _ => refused += 1,
            }
        }
        sites[victim].up();
    }
    assert!(answered.len() as u64 > kills, "{} answered, {refused} refused", answered.len());
    let all: Vec<&Site> = sites.iter().collect();
    let mut exports = Vec::new();
    until("all are level", || {
        exports = all.iter().map(|site| site.export()).collect();
        exports.iter().all(|export| *export == exports[0])
            && answered.iter().all(|id| exports[0].contains(&format!("\"{id}\"")))
    });
    let (count, issues) = (answered.len(), exports[0].lines().count());
    eprintln!("{kills} kills: {count} answered, {refused} refused, {issues} issues everywhere");
    for site in &all {
        site.ok(&["issues", "validate", "--store"]);
    }
}
