//! What direct messages take, from the request to the stream of whoever listens: `cargo bench -p x0x --bench direct`.
//! `X0X_BENCH_DIRECT=self,pair,rate` measures some of it.
//!
//! The yardstick is a bare axum handler that makes one durable commit in a file of the same kind, in the same run.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock, and fails by panicking"
)]

mod http;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::routing::post;
use redb::{Database, TableDefinition};
use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::charter::Role;

use http::{Client, quantile};

/// As the program that runs a node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAIT: Duration = Duration::from_secs(60);

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);

/// How many programs send at once.
const WRITERS: usize = 8;

/// How many messages one after the other.
const COUNT: usize = 1_000;

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let chosen = std::env::var("X0X_BENCH_DIRECT").unwrap_or_default();
        let wanted = |name: &str| chosen.is_empty() || chosen.split(',').any(|one| one == name);
        let (ann, bob) = pair().await;
        let bare = bare().await;
        let yardstick = one_by_one(&bare, "", "/commit", ann.node.agent()).await;
        println!("bare axum POST with a durable commit: p50 {:.2} ms", yardstick);
        if wanted("self") {
            let p50 = listened(&ann, &ann).await;
            println!("to oneself, POST to SSE: p50 {p50:.2} ms (goal 1), {:.2} of bare", p50 / yardstick);
        }
        if wanted("pair") {
            let p50 = listened(&ann, &bob).await;
            println!("to a peer, POST to SSE: p50 {p50:.2} ms (goal 2), {:.2} of bare", p50 / yardstick);
            let p50 = one_by_one(&ann.api(), &ann.token, "/direct/send", bob.node.agent()).await;
            println!("to a peer, until it is known to be delivered: p50 {p50:.2} ms, {:.2} of bare", p50 / yardstick);
        }
        if wanted("rate") {
            let bare_rate = rate(&bare, "", "/commit", ann.node.agent()).await;
            for (name, to) in [("oneself", &ann), ("a peer", &bob)] {
                to.node.mailbox().release(u64::MAX).await.unwrap();
                let before = to.node.mailbox().view().await.unwrap().depth.inbox;
                let rate = rate(&ann.api(), &ann.token, "/direct/send", to.node.agent()).await;
                let came = to.node.mailbox().view().await.unwrap().depth.inbox - before;
                println!("{WRITERS} writers to {name}, each delivered: {rate:.0}/s (goal 5,000), {:.1} times bare; {came} in the inbox", rate / bare_rate);
                to.node.mailbox().release(u64::MAX).await.unwrap();
            }
        }
        ann.node.stop().await;
        bob.node.stop().await;
    });
}

struct Place {
    _dir: TempDir,
    node: Node,
    token: String,
}

impl Place {
    async fn start(dir: TempDir) -> Self {
        let home = Home::at(dir.path().to_owned());
        let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
        let node = Node::start(config).await.unwrap();
        let token = std::fs::read_to_string(dir.path().join("api-token")).unwrap();
        Self { _dir: dir, node, token }
    }

    fn api(&self) -> String {
        self.node.api().to_string()
    }
}

/// Two nodes that share a list.
async fn pair() -> (Place, Place) {
    let dir = tempfile::tempdir().unwrap();
    let list = Home::at(dir.path().to_owned()).found("bench", "B", WAIT).unwrap();
    let ann = Place::start(dir).await;
    let bob = Place::start(tempfile::tempdir().unwrap()).await;
    let ticket = ann.node.invite(list, Role::Worker, WAIT).await.unwrap().unwrap();
    bob.node.join(ticket).await.unwrap().unwrap();
    for (place, other) in [(&ann, &bob), (&bob, &ann)] {
        while !place.node.mailbox().members().await.unwrap().contains(&other.node.agent()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    ann.node.send_direct(x0x::dm::Draft::text(bob.node.agent(), "first")).await.unwrap();
    (ann, bob)
}

fn body(to: AgentId, n: usize) -> String {
    format!("{{\"to\":\"{to}\",\"json\":{{\"n\":{n}}}}}")
}

/// Sends one message after the other, each once the one before was heard; returns the median, in milliseconds.
async fn listened(from: &Place, to: &Place) -> f64 {
    let mut follower = Client::to(&to.api(), &to.token).await;
    follower.send("GET", "/direct/events", "").await;
    follower.until("retry: 1000").await;
    let mut sender = Client::to(&from.api(), &from.token).await;
    let mut times = Vec::new();
    for n in 0..COUNT {
        let begin = Instant::now();
        let body = body(to.node.agent(), n);
        let sending = async { assert_eq!(sender.ask("POST", "/direct/send", &body).await.0, 200) };
        let heard = async {
            follower.until(&format!("\"json\":{{\"n\":{n}}}")).await;
            Instant::now()
        };
        let ((), heard) = tokio::join!(sending, heard);
        times.push((heard - begin).as_secs_f64() * 1e3);
    }
    to.node.mailbox().release(u64::MAX).await.unwrap();
    quantile(&mut times, 0.5)
}

async fn one_by_one(api: &str, token: &str, path: &str, to: AgentId) -> f64 {
    let mut client = Client::to(api, token).await;
    let mut times = Vec::new();
    for n in 0..COUNT {
        let begin = Instant::now();
        assert_eq!(client.ask("POST", path, &body(to, n)).await.0, 200);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    quantile(&mut times, 0.5)
}

/// Returns how many requests a second several programs are answered.
async fn rate(api: &str, token: &str, path: &'static str, to: AgentId) -> f64 {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let mut client = Client::to(api, token).await;
        let (stop, done) = (stop.clone(), done.clone());
        all.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (status, answer) = client.ask("POST", path, &body(to, n)).await;
                assert_eq!(status, 200, "{answer}");
                if done.fetch_add(1, Ordering::Relaxed) >= 9_000 {
                    break;
                }
            }
        });
    }
    let begin = Instant::now();
    let mut left = SPAN;
    while !left.is_zero() && !all.is_empty() {
        tokio::select! {
            _ = all.join_next() => {}
            () = tokio::time::sleep(left) => {}
        }
        left = SPAN.saturating_sub(begin.elapsed());
        if done.load(Ordering::Relaxed) >= 9_000 {
            break;
        }
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let count = done.load(Ordering::Relaxed) as f64;
    stop.store(true, Ordering::Relaxed);
    while all.join_next().await.is_some() {}
    count / elapsed
}

/// Answers a request once something is on disk; returns where.
async fn bare() -> String {
    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("t");
    let dir = tempfile::tempdir().unwrap();
    let database =
        Arc::new(Mutex::new((Database::create(dir.path().join("bare.redb")).unwrap(), 0)));
    let dir = Arc::new(dir);
    let handler = move |body: String| {
        let (database, dir) = (database.clone(), dir.clone());
        async move {
            let commit = move || {
                let _kept = dir;
                let mut database = database.lock().unwrap();
                database.1 += 1;
                let tx = database.0.begin_write().unwrap();
                tx.open_table(TABLE).unwrap().insert(database.1, body.as_bytes()).unwrap();
                tx.commit().unwrap();
            };
            tokio::task::spawn_blocking(commit).await.unwrap();
            "{}"
        }
    };
    let router = axum::Router::new().route("/commit", post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::runtime::Handle::current().spawn(async move { axum::serve(listener, router).await });
    address
}
