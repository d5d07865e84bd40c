//! What claims between machines cost: `cargo bench -p x0x --bench claims`.
//! `X0X_BENCH_CLAIMS=neighbour,race,live` measures some of it; `X0X_BENCH_LIVE` is how many claims live at once
//! (10,000), on ten nodes.
//!
//! All nodes run in this process: their CPU time is divided by their number.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock, and fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use x0x::home::Home;
use x0x::node::{Config, Keeper, Node};
use x0x_tracker::Tracker;
use x0x_tracker::id::{ListId, RecordHash};
use x0x_tracker::interface::{Holding, ImportOptions, Pick, Terms};
use x0x_tracker::journal::charter::Role;

/// As the program that runs a node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAIT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How many nodes there are where many claims live.
const NODES: usize = 10;

/// How many workers want an issue at once.
const WORKERS: usize = 50;

/// How long what lives is measured, in milliseconds: twice the time to live.
const TTL: Duration = Duration::from_secs(60);

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let chosen = std::env::var("X0X_BENCH_CLAIMS").unwrap_or_default();
        let wanted = |name: &str| chosen.is_empty() || chosen.split(',').any(|one| one == name);
        if wanted("neighbour") {
            neighbour().await;
        }
        if wanted("race") {
            race().await;
        }
        if wanted("live") {
            live().await;
        }
    });
}

/// A data directory with the node that runs on it.
struct Place {
    dir: TempDir,
    list: ListId,
    node: Node,
}

impl Place {
    /// One with a list of so many issues.
    async fn founder(issues: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("bench", "B", WAIT).unwrap();
        let lines: String = (0..issues)
            .map(|n| {
                format!("{{\"id\":\"B-{n:05}\",\"title\":\"issue {n}\",\"state\":\"todo\"}}\n")
            })
            .collect();
        let mut tracker = home.write(list, WAIT).unwrap();
        let options = ImportOptions::default();
        tracker.import("/bench.jsonl", &mut lines.as_bytes(), &options, &mut |_| {}).unwrap();
        drop(tracker);
        let node = start(dir.path()).await;
        Self { dir, list, node }
    }

    /// One that joined.
    async fn newcomer(first: &Self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = start(dir.path()).await;
        let list = first.list;
        let ticket = first.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
        node.join(ticket).await.unwrap().unwrap();
        Self { dir, list, node }
    }

    async fn claim(&self, issue: String, ttl: Duration) -> RecordHash {
        let ttl_ms = u64::try_from(ttl.as_millis()).ok();
        let terms = Terms { worker: "w".to_owned(), ttl_ms, ..Terms::default() };
        let claim = move |tracker: &mut x0x_tracker::LocalTracker| {
            Ok(tracker.claim(&Pick::Issue(issue), &terms)?.claim)
        };
        self.node.keeper().write(self.list, claim).await.unwrap().unwrap()
    }

    async fn holds(&self, claim: RecordHash) -> bool {
        let held = self.node.keeper().read(None, |tracker| tracker.held_by(claim)).await;
        held.unwrap().unwrap().is_some()
    }

    async fn issues(&self) -> u64 {
        self.node.keeper().read(None, |tracker| Ok(tracker.info()?.issues)).await.unwrap().unwrap()
    }
}

async fn start(dir: &Path) -> Node {
    let home = Home::at(dir.to_owned());
    let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
    Node::start(config).await.unwrap()
}

/// How soon a claim that was answered is in a neighbour's store.
async fn neighbour() {
    let a = Place::founder(1_000).await;
    let b = Place::newcomer(&a).await;
    while b.issues().await < 1_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut times = Vec::new();
    let mut due = Instant::now();
    for n in 0..1_000 {
        due += Duration::from_millis(10);
        tokio::time::sleep_until(due.into()).await;
        let claim = a.claim(format!("B-{n:05}"), WAIT).await;
        let answered = Instant::now();
        while !b.holds(claim).await {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push(answered.elapsed());
    }
    times.sort();
    let at = |share: usize| times[times.len() * share / 1_000];
    let max = times[times.len() - 1];
    println!(
        "a claim in a neighbour's store after it was answered: p50 {:?}, p99 {:?}, max {max:?}",
        at(500),
        at(990)
    );
    b.node.stop().await;
    a.node.stop().await;
}

/// How long many workers take that want the next issue at once, each by a request of its own.
async fn race() {
    let place = Place::founder(1_000).await;
    let token = std::fs::read_to_string(place.dir.path().join("api-token")).unwrap();
    let api = place.node.api();
    for round in 0..5 {
        let mut workers = JoinSet::new();
        let begun = Instant::now();
        for n in 0..WORKERS {
            let body = format!("{{\"worker\":\"w{round}-{n}\"}}");
            let request = format!(
                "POST /issues/claim HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                token.trim(),
                body.len()
            );
            workers.spawn(async move {
                let mut stream = TcpStream::connect(api).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                let (_, rest) = answer.split_once("\"id\":\"").unwrap();
                rest.split('"').next().unwrap().to_owned()
            });
        }
        let got: BTreeSet<String> = workers.join_all().await.into_iter().collect();
        println!("{WORKERS} workers at once: {} issues in {:?}", got.len(), begun.elapsed());
        assert_eq!(got.len(), WORKERS);
    }
    place.node.stop().await;
}

/// What it costs that many claims live, whose holders ask for a beat four times in a life.
async fn live() {
    let live = std::env::var("X0X_BENCH_LIVE").map_or(10_000, |text| text.parse().unwrap());
    let first = Place::founder(live).await;
    let mut places = vec![first];
    for _ in 1..NODES {
        places.push(Place::newcomer(&places[0]).await);
    }
    for place in &places {
        while place.issues().await < live as u64 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    // Who is on no slate waits for those who are.
    tokio::time::sleep(Duration::from_secs(36)).await;
    let claims: Vec<Claims> = (0..NODES).map(|_| Claims::default()).collect();
    let mut beating = JoinSet::new();
    for (place, claims) in places.iter().zip(&claims) {
        beating.spawn(beat(place.node.keeper().clone(), place.list, claims.clone()));
    }
    let begun = Instant::now();
    for n in 0..live {
        let claim = places[n % NODES].claim(format!("B-{n:05}"), TTL).await;
        claims[n % NODES].lock().unwrap().push(claim);
    }
    println!("{live} claims on {NODES} nodes after {:?}", begun.elapsed());
    tokio::time::sleep(TTL / 2).await;
    let (cpu, bytes) = (cpu(), bytes(&places).await);
    let measured = Instant::now();
    tokio::time::sleep(TTL).await;
    let seconds = measured.elapsed().as_secs_f64();
    let (cpu, sent) = (self::cpu() - cpu, self::bytes(&places).await - bytes);
    let mut links = 0;
    for place in &places {
        links += place.node.peers().await.unwrap().len();
    }
    // Each link has two ends, which both count what it carries.
    println!(
        "{live} live claims: {:.1} % of a core for each node; {:.1} KB/s over each of {} links",
        cpu.as_secs_f64() * 100.0 / seconds / NODES as f64,
        sent as f64 / 1_000.0 / seconds / links as f64,
        links / 2
    );
    beating.abort_all();
    for place in places {
        place.node.stop().await;
    }
}

/// What a node beats for.
type Claims = Arc<Mutex<Vec<RecordHash>>>;

/// Asks for a beat of each claim four times in a life, as runners do, for ever.
async fn beat(keeper: Keeper, list: ListId, claims: Claims) {
    loop {
        let now = claims.lock().unwrap().clone();
        let mut due = tokio::time::interval(TTL / 4 / now.len().max(1) as u32);
        for claim in now {
            due.tick().await;
            let claim = Some(claim.to_string());
            let holding = Holding { worker: "w".to_owned(), issue: None, claim };
            let beat = move |tracker: &mut x0x_tracker::LocalTracker| {
                tracker.heartbeat(&holding).map(|kept| kept.renewed)
            };
            let renewed = keeper.write(list, beat).await.unwrap().unwrap();
            assert!(!renewed, "it lapsed");
        }
        due.tick().await;
    }
}

async fn bytes(places: &[Place]) -> u64 {
    let mut all = 0;
    for place in places {
        all += place.node.bytes().await.unwrap();
    }
    all
}

/// Returns the CPU time that this process has used.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
