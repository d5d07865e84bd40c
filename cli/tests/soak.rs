//! Ten nodes, each a process with a runner beside it, work on one list while links are cut and healed and
//! processes are killed and stopped. In the end every issue has one accepted handoff, whoever worked in vain
//! has said so, and all have the same. A run that met too little of what it is for fails as well.
//!
//! `X0X_SOAK_SECONDS` says how long it goes wrong for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::site::Site;
use harness::{Network, Path};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use x0x::entropy::{RngExt, Seeded, seeded};
use x0x::time;
use x0x_tracker::timestamp::Timestamp;

const NODES: usize = 10;

/// How many issues there are at first; more come where the run lasts longer.
const ISSUES: usize = 200;

/// How long claims live without a beat.
const TTL: &str = "3s";

/// How long the run is unless the environment says otherwise: about as long as it takes to meet enough.
const SECONDS: u64 = 60;

/// How long it may take after the last fault until everything is handed off and known to all.
const SETTLE_MAX: Duration = Duration::from_secs(240);

/// A job of 0.2 to 2 seconds.
const JOB: &str = "sleep \"$(( $$ % 19 + 2 ))e-1\"";

/// What must have been met, at least.
const TAKEOVERS_MIN: u64 = 10;
const DUPLICATES_MIN: u64 = 5;
const CLAIMS_APART_MIN: usize = 5;

/// Something that goes wrong ends.
#[derive(Debug)]
enum Undo {
    Heal,
    Continue(usize),
    Restart(usize),
    Hire(usize),
}

#[derive(Debug, Default)]
struct Met {
    partitions: u64,
    stops: u64,
    kills: u64,
    runners_killed: u64,
    /// When the list was in parts, in Unix milliseconds.
    apart: Vec<(i64, i64)>,
}

struct Team {
    // They go before the network that they use.
    runners: Vec<Option<Child>>,
    sites: Vec<Site>,
    paths: Vec<Path>,
    _network: Network,
    dice: Seeded,
    undos: Vec<(time::Moment, Undo)>,
    /// Which sites something is wrong with.
    is_ill: [bool; NODES],
    is_apart: bool,
    issues: usize,
    met: Met,
}

fn seconds() -> u64 {
    std::env::var("X0X_SOAK_SECONDS").map_or(SECONDS, |text| text.parse().unwrap())
}

fn json(site: &Site, args: &[&str]) -> Option<Value> {
    let answer = site.run(&[args, &["--json"]].concat());
    (answer.code == 0).then(|| serde_json::from_str(&answer.stdout).ok())?
}

/// Asks the node of a site over HTTP.
fn get(site: &Site, path: &str) -> Value {
    let api = fs::read_to_string(site.data().join("api.port")).unwrap();
    let token = fs::read_to_string(site.data().join("api-token")).unwrap();
    let mut answer = ureq::get(format!("http://{}{path}", api.trim()))
        .header("authorization", format!("Bearer {}", token.trim()))
        .call()
        .unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // One that ended just now needs no signal.
    let _ended = kill_process(pid, signal);
}

impl Team {
    fn gather(seed: u64) -> Self {
        let network = Network::new(seed);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut first = Site::founder();
        let path = network.path(first.listen);
        first.advertise = Some(path.address());
        let lines: String = (0..ISSUES).map(line).collect();
        let file = first.dir.path().join("repo/issues.jsonl");
        fs::write(&file, lines).unwrap();
        first.ok(&["issues", "import", file.to_str().unwrap()]);
        first.up();
        let (mut sites, mut paths) = (vec![first], vec![path]);
        for _ in 1..NODES {
            let mut site = Site::new();
            let path = network.path(site.listen);
            site.advertise = Some(path.address());
            site.join(&sites[0].invite());
            sites.push(site);
            paths.push(path);
        }
        let mut team = Self {
            runners: (0..NODES).map(|_| None).collect(),
            sites,
            paths,
            _network: network,
            dice: seeded(bytes),
            undos: Vec::new(),
            is_ill: [false; NODES],
            is_apart: false,
            issues: ISSUES,
            met: Met::default(),
        };
        team.wait("all have all", SETTLE_MAX, |team| team.is_level());
        (0..NODES).for_each(|site| team.hire(site));
        team
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice.random_range(0..end)
    }

    fn wait(&mut self, what: &str, most: Duration, done: impl Fn(&mut Self) -> bool) {
        let begun = time::origin();
        while !done(self) {
            if begun.elapsed() >= most {
                self.explain();
                panic!("not within {most:?}: {what}");
            }
            time::pause(Duration::from_millis(250));
        }
    }

    fn explain(&self) {
        for (at, site) in self.sites.iter().enumerate() {
            let stats = json(site, &["issues", "stats"]);
            let workers = json(site, &["workers"]).unwrap_or_default();
            let seen = workers["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let seen: Vec<_> = seen.iter().map(|one| (&one["heard_ms"], &one["holds"])).collect();
            eprintln!(
                "site {at}: {:?}\n    {seen:?}",
                stats.map(|stats| stats["by_state"].clone())
            );
            let waiting = json(site, &["issues", "ready", "--explain"]).unwrap_or_default();
            eprintln!("    {}", waiting["waiting"]);
        }
    }

    /// Has a runner work beside the node of a site.
    fn hire(&mut self, site: usize) {
        let log = |name: &str| {
            let path = self.sites[site].dir.path().join(name);
            File::options().create(true).append(true).open(path).unwrap()
        };
        let args = ["issues", "run", "--loop", "--worker", "w", "--ttl", TTL, "--poll", "1"];
        let more = ["--backoff", "1s", "--json", "--", "sh", "-c", JOB];
        let mut command = self.sites[site].command(&[&args[..], &more].concat());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdout(log("runner.jsonl")).stderr(log("runner.err")).stdin(Stdio::null());
        self.runners[site] = Some(command.spawn().unwrap());
    }

    fn dismiss(&mut self, site: usize, with: Signal) {
        if let Some(mut runner) = self.runners[site].take() {
            signal(&runner, with);
            runner.wait().unwrap();
        }
    }

    /// Lets things go wrong for a while.
    fn suffer(&mut self, time: Duration) {
        let begun = time::origin();
        let mut topped_up = begun;
        while begun.elapsed() < time {
            time::pause(Duration::from_millis(700));
            self.undo(time::origin());
            let ill = self.is_ill.iter().filter(|is_ill| **is_ill).count();
            match self.below(10) {
                0..4 if !self.is_apart => self.part(),
                4..7 if ill < NODES / 2 => self.stop(),
                7 | 8 if ill < NODES / 2 => self.kill(),
                9 if ill < NODES / 2 => self.kill_runner(),
                _ => {}
            }
            if topped_up.elapsed() > Duration::from_secs(5) {
                self.top_up();
                topped_up = time::origin();
            }
        }
    }

    /// Adds issues where few are left.
    fn top_up(&mut self) {
        let Some(well) = (0..NODES).find(|site| !self.is_ill[*site]) else { return };
        let site = &self.sites[well];
        let ready = json(site, &["issues", "stats"]).and_then(|stats| stats["ready"].as_u64());
        if ready.is_none_or(|ready| ready > 20) {
            return;
        }
        let lines: String = (self.issues..self.issues + 40).map(line).collect();
        let file = site.dir.path().join(format!("more-{}.jsonl", self.issues));
        fs::write(&file, lines).unwrap();
        if site.run(&["issues", "import", file.to_str().unwrap()]).code == 0 {
            self.issues += 40;
        }
    }

    fn later(&mut self, least_ms: u64, most_ms: u64, undo: Undo) {
        let after = Duration::from_millis(self.dice.random_range(least_ms..most_ms));
        self.undos.push((time::origin() + after, undo));
    }

    /// Parts the list in two.
    fn part(&mut self) {
        let size = 1 + self.below(NODES / 2);
        let first = self.below(NODES);
        let is_inside = |site: usize| (site + NODES - first) % NODES < size;
        for site in 0..NODES {
            let others = (0..NODES).filter(|other| is_inside(*other) != is_inside(site));
            let addresses: Vec<_> = others.map(|other| self.sites[other].listen.ip()).collect();
            self.paths[site].bar(addresses);
        }
        self.is_apart = true;
        self.met.partitions += 1;
        self.met.apart.push((time::now_ms(), i64::MAX));
        self.later(6_000, 10_000, Undo::Heal);
    }

    fn some_well(&mut self) -> Option<usize> {
        let site = self.below(NODES);
        (!self.is_ill[site]).then_some(site)
    }

    fn stop(&mut self) {
        let Some(site) = self.some_well() else { return };
        self.is_ill[site] = true;
        self.met.stops += 1;
        self.each_process(site, Signal::STOP);
        self.later(5_000, 9_000, Undo::Continue(site));
    }

    fn each_process(&self, site: usize, with: Signal) {
        let processes = self.sites[site].up.iter().chain(&self.runners[site]);
        processes.for_each(|process| signal(process, with));
    }

    fn kill(&mut self) {
        let Some(site) = self.some_well() else { return };
        self.is_ill[site] = true;
        self.met.kills += 1;
        self.sites[site].kill();
        self.dismiss(site, Signal::KILL);
        self.later(4_000, 8_000, Undo::Restart(site));
    }

    fn kill_runner(&mut self) {
        let Some(site) = self.some_well() else { return };
        self.is_ill[site] = true;
        self.met.runners_killed += 1;
        self.dismiss(site, Signal::KILL);
        self.later(5_000, 8_000, Undo::Hire(site));
    }

    fn undo(&mut self, now: time::Moment) {
        let (due, later) =
            std::mem::take(&mut self.undos).into_iter().partition(|(at, _)| *at <= now);
        self.undos = later;
        let due: Vec<(time::Moment, Undo)> = due;
        for (_, undo) in due {
            match undo {
                Undo::Heal => {
                    self.paths.iter().for_each(|path| path.bar([]));
                    self.is_apart = false;
                    if let Some((_, end)) = self.met.apart.last_mut() {
                        *end = time::now_ms();
                    }
                }
                Undo::Continue(site) => {
                    self.each_process(site, Signal::CONT);
                    self.is_ill[site] = false;
                }
                Undo::Restart(site) => {
                    self.sites[site].up();
                    self.hire(site);
                    self.is_ill[site] = false;
                }
                Undo::Hire(site) => {
                    self.hire(site);
                    self.is_ill[site] = false;
                }
            }
        }
    }

    fn is_level(&mut self) -> bool {
        let first = self.sites[0].export();
        first.lines().count() >= self.issues
            && self.sites[1..].iter().all(|site| site.export() == first)
    }

    fn is_done(&mut self) -> bool {
        let done = |site: &Site| {
            let stats = get(site, "/issues/stats");
            stats["by_state"]["review"].as_u64() == Some(self.issues as u64)
        };
        self.sites.iter().all(done) && self.is_level()
    }

    /// Returns how many claims were made while the list was in parts, as runners told.
    fn claims_apart(&self) -> usize {
        let mut count = 0;
        for site in &self.sites {
            let said = fs::read_to_string(site.dir.path().join("runner.jsonl")).unwrap();
            // A killed runner leaves half a line.
            let events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            for event in events.filter(|event| event["event"] == "claimed") {
                let at = Timestamp::parse(event["at"].as_str().unwrap()).unwrap().0;
                // Links that are cut are noticed after a moment.
                count += usize::from(
                    self.met.apart.iter().any(|(from, to)| *from + 1_000 <= at && at <= *to),
                );
            }
        }
        count
    }

    /// Holds every issue against what must have become of it; returns what was handed off in vain.
    fn check(&self) -> u64 {
        let mut in_vain = 0;
        let ids: Vec<String> = self.sites[0]
            .export()
            .lines()
            .map(|line| {
                let issue: Value = serde_json::from_str(line).unwrap();
                issue["id"].as_str().unwrap().to_owned()
            })
            .collect();
        for id in ids {
            let issue = get(&self.sites[1], &format!("/issues/{id}"));
            assert!(issue["state"] == "review" && issue["handoff"].is_object(), "{issue}");
            let Some(claims) = issue["_claims"].as_array() else { continue };
            let accepted: Vec<_> = claims.iter().filter(|claim| claim["counts"] == true).collect();
            let is_one = accepted.len() == 1 && accepted[0]["ended"] == "handed_off";
            assert!(is_one, "one handoff is accepted: {issue}");
            for claim in claims.iter().filter(|claim| claim["counts"] != true) {
                let of = issue["id"].as_str();
                assert!(!claim["ended"].is_null(), "in vain, and not given up: {of:?} {claims:#?}");
                in_vain += u64::from(claim["ended"] == "handed_off");
            }
        }
        in_vain
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for site in 0..NODES {
            self.each_process(site, Signal::CONT);
            self.dismiss(site, Signal::KILL);
        }
    }
}

fn line(number: usize) -> String {
    format!("{{\"id\":\"S-{number:05}\",\"title\":\"job {number}\",\"state\":\"todo\"}}\n")
}

#[test]
fn ten_nodes_and_their_runners_share_a_list_whatever_goes_wrong() {
    let begun = time::origin();
    let seed = u64::from_le_bytes({
        let mut bytes = [0; 8];
        x0x::entropy::fill(&mut bytes);
        bytes
    });
    eprintln!("seed {seed} (what processes do meanwhile it does not repeat)");
    let mut team = Team::gather(seed);
    eprintln!("ten nodes have {ISSUES} issues after {:?}", begun.elapsed());
    team.suffer(Duration::from_secs(seconds()));
    let ended = time::origin();
    team.undo(ended + Duration::from_secs(3_600));
    team.wait("everything is handed off, and known to all", SETTLE_MAX, Team::is_done);
    let settled = ended.elapsed();
    (0..NODES).for_each(|site| team.dismiss(site, Signal::INT));
    team.wait("all are level", SETTLE_MAX, Team::is_level);
    let in_vain = team.check();
    let workers = get(&team.sites[0], "/task-lists/pump/workers");
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for name in ["takeovers", "contests", "duplicates", "abandons"] {
        let all = workers["workers"].as_array().unwrap().iter();
        sums.insert(name, all.map(|worker| worker[name].as_u64().unwrap()).sum());
    }
    let claims_apart = team.claims_apart();
    let Met { partitions, stops, kills, runners_killed, .. } = &team.met;
    eprintln!(
        "{} issues, each handed off once for all, {in_vain} handed off in vain; {sums:?}; {claims_apart} \
         claims while apart; {partitions} partitions, {stops} sites stopped, {kills} killed, {runners_killed} \
         runners killed; settled {settled:?} after the last fault; {:?} in all",
        team.issues,
        begun.elapsed()
    );
    assert!(sums["takeovers"] >= TAKEOVERS_MIN, "too few takeovers to have tested: {sums:?}");
    assert!(sums["duplicates"] >= DUPLICATES_MIN, "too few duplicates to have tested: {sums:?}");
    assert!(claims_apart >= CLAIMS_APART_MIN, "too few claims while apart: {claims_apart}");
}
