//! A member that lies, over real sockets: it has a key, a grant and a link like everybody, and writes by
//! hand what no honest node writes. Two honest nodes must go on, agree, and hold a bounded part of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod answers;
mod commits;
mod floods;
mod forge;
mod lanes;
mod liar;
mod logs;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use liar::Liar;
use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Held, Node};
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::interface::{Draft, ExportFrom, Patch};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::{LocalTracker, Tracker};

const LOCK_WAIT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);

/// How long anything may take that has to happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How soon two honest nodes have each other's edits, whatever a third does: more than a pull that stands
/// still keeps them from asking one another.
const LEVEL_MAX: Duration = Duration::from_secs(8);

/// An honest node.
struct Place {
    _dir: TempDir,
    config: Config,
    node: Node,
    /// How many commits it was asked to write.
    written: AtomicU64,
}

/// With X0X_TRACE, what nodes log goes to stderr.
fn trace() {
    if std::env::var_os("X0X_TRACE").is_some() {
        let level = tracing::Level::DEBUG;
        let _again =
            tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    }
}

impl Place {
    async fn start(dir: TempDir) -> Self {
        trace();
        // An address of its own, that no other test of this machine has.
        static PLACES: AtomicU8 = AtomicU8::new(1);
        let [a, b, ..] = std::process::id().to_le_bytes();
        let host = Ipv4Addr::new(127, a, b, PLACES.fetch_add(1, Ordering::Relaxed));
        let listen = Some(SocketAddr::new(host.into(), 0));
        let home = Home::at(dir.path().to_owned());
        let config = Config { listen, lock_wait: LOCK_WAIT, ..Config::on_loopback(home) };
        let node = Node::start(config.clone()).await.unwrap();
        Self { _dir: dir, config, node, written: AtomicU64::new(0) }
    }

    /// Starts it again after it was stopped.
    async fn restart(&mut self) {
        let mut config = self.config.clone();
        config.listen = Some(self.node.listen());
        // Its socket is closed once its calls are over.
        let starting = async {
            loop {
                match Node::start(config.clone()).await {
                    Ok(node) => return node,
                    Err(_in_use) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        self.node = tokio::time::timeout(PATIENCE, starting).await.unwrap();
    }

    /// Does something with its store, without writing.
    async fn with<T: Send + 'static>(
        &self,
        list: ListId,
        act: impl FnOnce(&mut LocalTracker) -> T + Send + 'static,
    ) -> T {
        self.node.keeper().with(list, act).await.unwrap().unwrap()
    }

    async fn write(&self, list: ListId, act: impl FnOnce(&mut LocalTracker) + Send + 'static) {
        let act = |tracker: &mut LocalTracker| {
            act(tracker);
            Ok(())
        };
        self.node.keeper().write(list, act).await.unwrap().unwrap();
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Creates an issue.
    async fn create(&self, list: ListId, title: &str) {
        let draft = Draft::titled(title);
        self.write(list, move |tracker| drop(tracker.create(&draft).unwrap())).await;
    }

    /// Sets a field of an issue.
    async fn set(&self, list: ListId, issue: &str, field: &str, text: &str) {
        let patch = Patch::default().set(field, &format!("\"{text}\""));
        let issue = issue.to_owned();
        self.write(list, move |tracker| drop(tracker.edit(&issue, &patch, None).unwrap())).await;
    }

    async fn canonical(&self, list: ListId) -> String {
        let export = |tracker: &mut LocalTracker| {
            let mut output = Vec::new();
            tracker.export(&ExportFrom::Canonical, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        self.with(list, export).await
    }

    /// Returns how much it holds on account of others.
    async fn held(&self, list: ListId) -> Held {
        self.node.held(list).await.unwrap().unwrap()
    }

    /// Returns how many commits of each agent count here.
    async fn authors(&self, list: ListId) -> BTreeMap<AgentId, u64> {
        let frontier = self.with(list, |tracker| tracker.frontier().unwrap()).await;
        let mut authors = BTreeMap::new();
        for (log, last) in frontier.0 {
            *authors.entry(log.agent).or_default() += last.number;
        }
        authors
    }
}

/// Waits until something is so.
async fn eventually<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut is_so: impl FnMut() -> F,
) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(limit, waiting).await;
    assert!(in_time.is_ok(), "after {limit:?}: {what}");
}

/// Two honest nodes that are linked, and a member that lies to the first.
struct Scene {
    a: Place,
    b: Place,
    liar: Liar,
    list: ListId,
    /// The issue that was there first.
    issue: String,
    rounds: u32,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("pump", "PUMP", LOCK_WAIT).unwrap();
        let a = Place::start(dir).await;
        a.create(list, "before anybody joined").await;
        let first: serde_json::Value = serde_json::from_str(&a.canonical(list).await).unwrap();
        let issue = first["id"].as_str().unwrap().to_owned();
        let b = Place::start(tempfile::tempdir().unwrap()).await;
        let ticket = a.node.invite(list, Role::Maintainer, DAY).await.unwrap().unwrap();
        b.node.join(ticket).await.unwrap().unwrap();
        let ticket = a.node.invite(list, Role::Maintainer, DAY).await.unwrap().unwrap();
        let liar = Liar::join(&a, &ticket).await;
        let mut scene = Self { a, b, liar, list, issue, rounds: 0 };
        scene.is_sound("at first").await;
        scene
    }

    /// Sees that both honest nodes answer, have each other's edits soon, hold the same, and count
    /// nothing under their names that they did not write.
    async fn is_sound(&mut self, when: &str) {
        let (a, b, list) = (&self.a, &self.b, self.list);
        self.rounds += 1;
        let round = self.rounds;
        a.create(list, &format!("from a, {round}")).await;
        b.create(list, &format!("from b, {round}")).await;
        a.set(list, &self.issue, "title", &format!("edited on a, {round}")).await;
        let titles = [
            format!("from a, {round}\""),
            format!("from b, {round}\""),
            format!("edited on a, {round}\""),
        ];
        let titles = &titles;
        let level = || async {
            let (text, other) = (a.canonical(list).await, b.canonical(list).await);
            text == other && titles.iter().all(|title| text.contains(title))
        };
        eventually(&format!("the honest are level {when}"), LEVEL_MAX, level).await;
        for place in [a, b] {
            let status = place.node.status().await.unwrap();
            assert_eq!(status.lists.len(), 1, "{when}");
            let authors = place.authors(list).await;
            for author in [a, b] {
                let counted = authors[&author.node.agent()];
                assert_eq!(counted, author.written.load(Ordering::Relaxed), "{when}: {authors:?}");
            }
            assert!(!place.canonical(list).await.contains("forged"), "{when}");
        }
    }
}
