//! Six nodes as far from each other as cities of three continents, each with a runner that writes to every other, and
//! results that come by direct message alone: `just mesh-matrix`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::site::Site;
use harness::{Conditions, Direction, Network, Path};
use serde_json::{Value, json};
use x0x::rest::client::Client;
use x0x::rest::follow::Told;
use x0x::time;

/// The cities, and how far each is from those before it, one way, in milliseconds.
const CITIES: [(&str, &[u64]); 6] = [
    ("nyc", &[]),
    ("sfo", &[35]),
    ("helsinki", &[55, 80]),
    ("nuremberg", &[55, 75, 15]),
    ("singapore", &[110, 85, 90, 85]),
    ("sydney", &[125, 75, 145, 140, 50]),
];

/// How much longer a datagram may take than the distance says.
const JITTER: Duration = Duration::from_millis(5);

/// The share of datagrams that is lost, each way.
const LOSS: f64 = 0.005;

/// How often each node edits an issue in phase B.
const EDIT_EVERY: Duration = Duration::from_millis(500);

fn distance_ms(a: usize, b: usize) -> u64 {
    if a == b { 0 } else { CITIES[a.max(b)].1[a.min(b)] }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

struct Fleet {
    sites: Vec<Site>,
    agents: Vec<String>,
    anchor: usize,
    _paths: Vec<Path>,
    _network: Network,
}

impl Fleet {
    fn new(anchor: usize) -> Self {
        let network = Network::new(7);
        let mut sites = vec![Site::founder()];
        sites.extend((1..CITIES.len()).map(|_| Site::new()));
        let mut paths = Vec::new();
        for city in 0..CITIES.len() {
            let path = network.path(sites[city].listen);
            let conditions = Conditions { jitter: JITTER, loss: LOSS, ..Conditions::default() };
            path.set(Direction::Both, conditions);
            let far = (0..CITIES.len()).map(|other| {
                (sites[other].listen.ip(), Duration::from_millis(distance_ms(city, other)))
            });
            path.set_distances(far);
            sites[city].advertise = Some(path.address());
            paths.push(path);
        }
        sites[0].up();
        for city in 1..CITIES.len() {
            let ticket = sites[0].invite();
            sites[city].join(&ticket);
        }
        let agent = |site: &Site| {
            let answer: Value = serde_json::from_str(&site.ok(&["agent", "--json"])).unwrap();
            answer["agent_id"].as_str().unwrap().to_owned()
        };
        let agents = sites.iter().map(agent).collect();
        Self { sites, agents, anchor, _paths: paths, _network: network }
    }

    fn client(&self, city: usize) -> Client {
        Client::of(&self.sites[city].data()).unwrap()
    }

    /// Waits until every node knows every other as a member.
    fn discover(&self, longest: Duration) -> Duration {
        let begun = time::origin();
        let knows_all = |city: usize| {
            let answer = self.sites[city].ok(&["members", "--json"]);
            let answer: Value = serde_json::from_str(&answer).unwrap();
            answer["members"].as_array().unwrap().len() == CITIES.len()
        };
        while !(0..CITIES.len()).all(knows_all) {
            assert!(begun.elapsed() < longest, "not all are known within {longest:?}");
            time::pause(Duration::from_millis(100));
        }
        begun.elapsed()
    }

    fn city_of(&self, agent: &Value) -> &'static str {
        let at = self.agents.iter().position(|known| known == agent).unwrap();
        CITIES[at].0
    }

    /// What the runner of a city does: it writes to every city, its own too, hears what others write to it, and
    /// reports both to the anchor.
    fn work(&self, run: u64, city: usize, settle: Duration) -> Value {
        let (client, name) = (self.client(city), CITIES[city].0);
        let mut inbox = client.follow_messages(None).unwrap();
        assert_eq!(inbox.next_told(), Some(Told::Alive));
        let (ready, all) = (json!({"run": run, "city": name}), CITIES.len());
        let mut sent = BTreeMap::new();
        let mut heard = BTreeMap::new();
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut sent = BTreeMap::new();
                for (agent, (name, _)) in self.agents.iter().zip(CITIES) {
                    let body = json!({"to": agent, "json": ready, "ttl_ms": settle.as_millis() as u64});
                    let receipt: Value = client.post("/direct/send", &body).unwrap();
                    assert_eq!(receipt["ok"], true);
                    let how = json!({"path": receipt["path"], "ms": receipt["latency_us"].as_f64().unwrap() / 1e3});
                    sent.insert(name, how);
                }
                sent
            });
            let begun = time::origin();
            while heard.len() < all && begun.elapsed() < settle {
                let Some(Told::Event { data, .. }) = inbox.next_told() else { continue };
                if data["json"]["run"] == run && data["json"]["city"].is_string() {
                    let from = self.city_of(&data["from"]);
                    assert_eq!(data["json"]["city"], from, "what it says of itself");
                    assert!(heard.insert(from, data["path"].clone()).is_none(), "{from} twice");
                }
            }
            sent = sending.join().unwrap();
        });
        let result = json!({"result": run, "city": name, "sent": sent, "heard": heard});
        let body = json!({"to": self.agents[self.anchor], "json": result});
        client.post("/direct/send", &body).unwrap()
    }

    /// One run: every city writes to every city; the anchor hears of it.
    fn run(&self, run: u64, settle: Duration) {
        let client = self.client(self.anchor);
        let mut inbox = client.follow_messages(None).unwrap();
        assert_eq!(inbox.next_told(), Some(Told::Alive));
        let mut results = Vec::new();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..CITIES.len())
                .map(|city| scope.spawn(move || self.work(run, city, settle)))
                .collect();
            while results.len() < CITIES.len() {
                match inbox.next_told() {
                    Some(Told::Event { data, .. }) if data["json"]["result"] == run => {
                        results.push(data["json"].clone());
                    }
                    // Whoever fails says nothing more.
                    None => break,
                    _ if workers.iter().all(thread::ScopedJoinHandle::is_finished) => break,
                    _ => {}
                }
            }
        });
        assert_eq!(results.len(), CITIES.len(), "results that came: {results:?}");
        let (mut sent, mut heard, mut own) = (0, 0, 0);
        for result in &results {
            let name = result["city"].as_str().unwrap();
            let mut line = format!("{name:10}");
            for (other, _) in CITIES {
                let (to, from) = (&result["sent"][other], &result["heard"][other]);
                let path = to["path"].as_str().unwrap_or("-");
                line.push_str(&format!(" {other} {path} {:.0} ms;", to["ms"].as_f64().unwrap()));
                match other == name {
                    true => own += usize::from(path == "loopback" && from == "loopback"),
                    false => {
                        sent += usize::from(matches!(path, "quic" | "gossip"));
                        heard += usize::from(from.is_string());
                    }
                }
            }
            eprintln!("{line}");
        }
        let pairs = CITIES.len() * (CITIES.len() - 1);
        eprintln!(
            "run {run}: sent {sent}/{pairs}, received {heard}/{pairs}, to oneself {own}/{}",
            CITIES.len()
        );
        assert_eq!((sent, heard, own), (pairs, pairs, CITIES.len()));
    }

    /// Lets every node edit issues until it is told to stop; counts the edits.
    fn edit(&self, city: usize, is_over: &AtomicBool, edits: &AtomicUsize) {
        let client = self.client(city);
        while !is_over.load(Ordering::Relaxed) {
            let title = format!("{} at work {}", CITIES[city].0, edits.load(Ordering::Relaxed));
            let _made: Value = client.post("/issues", &json!({"title": title})).unwrap();
            edits.fetch_add(1, Ordering::Relaxed);
            time::pause(EDIT_EVERY);
        }
    }
}

#[test]
fn each_of_six_far_nodes_gets_a_direct_message_to_every_other_and_to_itself() {
    let anchor = std::env::var("X0X_MATRIX_ANCHOR").unwrap_or_else(|_| "nyc".to_owned());
    let anchor = CITIES.iter().position(|(name, _)| *name == anchor).expect("a city of the matrix");
    let discover = Duration::from_secs(setting("X0X_MATRIX_DISCOVER_SECS", 45));
    let settle = Duration::from_secs(setting("X0X_MATRIX_SETTLE_SECS", 60));
    let runs = setting("X0X_MATRIX_RUNS", 1);
    let fleet = Fleet::new(anchor);
    eprintln!("all known after {:?}", fleet.discover(discover));
    for run in 1..=runs {
        fleet.run(run, settle);
    }
    if setting("X0X_MATRIX_PHASE_B", 1) == 1 {
        let (is_over, edits) = (AtomicBool::new(false), AtomicUsize::new(0));
        let begun = time::origin();
        thread::scope(|scope| {
            for city in 0..CITIES.len() {
                let (fleet, is_over, edits) = (&fleet, &is_over, &edits);
                scope.spawn(move || fleet.edit(city, is_over, edits));
            }
            let running = || (1..=runs).for_each(|run| fleet.run(runs + run, settle));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(running));
            is_over.store(true, Ordering::Relaxed);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        let rate = edits.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        eprintln!("phase B: {} edits meanwhile, {rate:.1}/s", edits.load(Ordering::Relaxed));
        assert!(edits.load(Ordering::Relaxed) >= CITIES.len(), "nothing was edited");
    }
}
