//! What a node answers programs, and how fast: `cargo bench -p x0x --bench rest`.
//! `X0X_BENCH_REST=reads,lists,events,creates` measures some of it.
//!
//! The yardstick of reading is a bare axum handler that answers the same bytes, in the same run.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock, and fails by panicking"
)]

mod http;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::header;
use axum::routing::get;
use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;

use http::{Client, quantile};

/// As the program that runs a node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAIT: Duration = Duration::from_secs(60);

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);

/// How many programs ask at once.
const CLIENTS: usize = 8;

/// How many issues the list has.
const ISSUES: usize = 1_000;

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let place = Place::new().await;
        let chosen = std::env::var("X0X_BENCH_REST").unwrap_or_default();
        let wanted = |name: &str| chosen.is_empty() || chosen.split(',').any(|one| one == name);
        if wanted("reads") {
            place.reads().await;
        }
        if wanted("lists") {
            place.lists().await;
        }
        if wanted("events") {
            place.events().await;
        }
        if wanted("creates") {
            place.creates().await;
        }
        place.node.stop().await;
    });
}

struct Place {
    _dir: TempDir,
    node: Node,
    list: ListId,
    token: String,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("bench", "B", WAIT).unwrap();
        let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
        let node = Node::start(config).await.unwrap();
        let token = std::fs::read_to_string(dir.path().join("api-token")).unwrap();
        let description = "words of a description ".repeat(70);
        let lines: String = (1..=ISSUES)
            .map(|n| {
                format!(
                    "{{\"id\":\"B-{n:04}\",\"identifier\":\"B-{n:04}\",\"title\":\"issue {n}\",\
                     \"description\":\"{description}\",\"priority\":2,\"state\":\"todo\",\
                     \"labels\":[\"a\",\"b\"],\"created_at\":\"2026-01-01T00:00:00Z\"}}\n"
                )
            })
            .collect();
        let import = move |tracker: &mut x0x_tracker::LocalTracker| {
            tracker.import("f", &mut lines.as_bytes(), &Default::default(), &mut |_| {}).map(|_| ())
        };
        node.keeper().write(list, import).await.unwrap().unwrap();
        Self { _dir: dir, node, list, token }
    }

    fn api(&self) -> String {
        self.node.api().to_string()
    }

    async fn client(&self) -> Client {
        Client::to(&self.api(), &self.token).await
    }

    /// Reads of one issue against a bare handler, by turns.
    async fn reads(&self) {
        let path = "/issues/B-0500";
        let body = self.client().await.ask("GET", path, "").await.1;
        let bare = bare(body).await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            theirs.push(rate(&bare, &self.token, path).await);
            ours.push(rate(&self.api(), &self.token, path).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "reads of one issue: {ours:.0}/s, bare axum {theirs:.0}/s: {:.2} of it (goal 0.5)",
            ours / theirs
        );
    }

    async fn lists(&self) {
        let mut client = self.client().await;
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..50 {
            let begin = Instant::now();
            let (status, body) = client.ask("GET", "/issues?limit=1000", "").await;
            assert_eq!(status, 200);
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            bytes = body.len();
        }
        println!("list of {ISSUES}, {bytes} bytes: {:.1} ms (goal 12)", median(times));
    }

    /// How long after the write is answered its event is there.
    async fn events(&self) {
        let mut follower = self.client().await;
        follower.send("GET", "/issues/events", "").await;
        follower.until("retry: 1000").await;
        let mut writer = self.client().await;
        let (mut whole, mut after) = (Vec::new(), Vec::new());
        for n in 0..300 {
            let begin = Instant::now();
            let body = format!("{{\"title\":\"told {n}\"}}");
            let writing = async {
                let (status, _) = writer.ask("POST", "/issues", &body).await;
                assert_eq!(status, 201);
                Instant::now()
            };
            let heard = async {
                follower.until(&format!("told {n}\"")).await;
                Instant::now()
            };
            let (answered, heard) = tokio::join!(writing, heard);
            whole.push((heard - begin).as_secs_f64() * 1e3);
            after.push(heard.saturating_duration_since(answered).as_secs_f64() * 1e3);
        }
        let (whole_p99, p99) = (quantile(&mut whole, 0.99), quantile(&mut after, 0.99));
        println!(
            "an event: p50 {:.2} ms, p99 {whole_p99:.2} ms after the write was sent, p50 {:.2} ms, \
             p99 {p99:.2} ms after it was answered (goal p50 5)",
            quantile(&mut whole, 0.5),
            quantile(&mut after, 0.5)
        );
    }

    async fn creates(&self) {
        for clients in [1, CLIENTS] {
            let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
            let mut all = tokio::task::JoinSet::new();
            for at in 0..clients {
                let mut client = self.client().await;
                let (stop, done) = (stop.clone(), done.clone());
                all.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let body = format!("{{\"title\":\"made by {at}\",\"labels\":[\"x\"]}}");
                        let (status, answer) = client.ask("POST", "/issues", &body).await;
                        assert_eq!(status, 201, "{answer}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let begin = Instant::now();
            tokio::time::sleep(SPAN).await;
            stop.store(true, Ordering::Relaxed);
            while all.join_next().await.is_some() {}
            let rate = done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
            let goal = if clients == CLIENTS { " (goal 1,000)" } else { "" };
            println!("durable creates, {clients} clients: {rate:.0}/s{goal}");
        }
        let info = self.node.keeper().with(self.list, |tracker| tracker.info()).await;
        println!("issues at the end: {}", info.unwrap().unwrap().unwrap().issues);
    }
}

/// Answers the same bytes without looking anything up; returns where.
async fn bare(body: String) -> String {
    let body: Arc<str> = body.into();
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], body.to_string());
    let router = axum::Router::new().route("/issues/{name}", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::runtime::Handle::current().spawn(async move { axum::serve(listener, router).await });
    address
}

/// Returns how often a second a path is answered to several clients.
async fn rate(api: &str, token: &str, path: &str) -> f64 {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Client::to(api, token).await;
        let (stop, done, path) = (stop.clone(), done.clone(), path.to_owned());
        all.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.ask("GET", &path, "").await.0, 200);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let begin = Instant::now();
    tokio::time::sleep(SPAN).await;
    stop.store(true, Ordering::Relaxed);
    while all.join_next().await.is_some() {}
    done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}
