//! What a node tells of its task lists as it happens: one event for each thing, none missed by who comes back,
//! and a thousand who only listen.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use x0x::home::Home;
use x0x::node::{Config, EVENTS_KEPT, Node};
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Comment, Draft, Holding, Patch, Pick, Release, Ruling, Terms};
use x0x_tracker::{LocalTracker, Tracker, TrackerError};

const WAIT: Duration = Duration::from_secs(20);

struct Place {
    dir: TempDir,
    node: Node,
    list: ListId,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("pump", "PUMP", WAIT).unwrap();
        let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
        Self { dir, node: Node::start(config).await.unwrap(), list }
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut LocalTracker) -> Result<T, TrackerError> + Send + 'static,
    ) -> T {
        self.node.keeper().write(self.list, act).await.unwrap().unwrap()
    }

    async fn create(&self, title: &str) {
        let draft = Draft::titled(title);
        self.write(move |tracker| tracker.create(&draft)).await;
    }

    /// Follows the events, from one on or from now on.
    async fn follow(&self, query: &str, last: Option<&str>) -> Listener {
        let token = std::fs::read_to_string(self.dir.path().join("api-token")).unwrap();
        let mut stream = TcpStream::connect(self.node.api()).await.unwrap();
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!(
            "GET /issues/events{query} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut listener = Listener { stream, text: String::new() };
        let head = listener.until("retry: 1000\n\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        listener
    }
}

struct Listener {
    stream: TcpStream,
    text: String,
}

/// An event as it was told.
#[derive(Debug)]
struct Told {
    id: String,
    kind: String,
    data: Value,
}

impl Listener {
    /// Returns what came until some text, which is the end of it.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut bytes = [0; 16 << 10];
            let length = timeout(WAIT, self.stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(length > 0, "the stream ended: {}", self.text);
            self.text.push_str(str::from_utf8(&bytes[..length]).unwrap());
        }
    }

    /// Returns the next event. The length of a chunk may stand before it.
    async fn next(&mut self) -> Told {
        loop {
            let text = self.until("\n\n").await;
            let field = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
                lines.next_back().map(str::to_owned)
            };
            let (Some(id), Some(kind), Some(data)) =
                (field("id: "), field("event: "), field("data: "))
            else {
                continue;
            };
            return Told { id, kind, data: serde_json::from_str(&data).unwrap() };
        }
    }
}

fn terms(worker: &str) -> Terms {
    Terms { worker: worker.to_owned(), ttl_ms: None, ..Terms::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_happens_to_an_issue_is_told_as_what_it_is() {
    let place = Place::new().await;
    let mut listener = place.follow("", None).await;
    place.create("one").await;
    place.write(|t| t.edit("PUMP-0001", &Patch::default().set("priority", "2"), None)).await;
    let comment = Comment { body: "hm".to_owned(), author: None, key: None };
    place.write(move |t| t.comment("PUMP-0001", &comment)).await;
    let claim = |worker: &'static str| {
        place.write(move |t| t.claim(&Pick::Issue("PUMP-0001".to_owned()), &terms(worker)))
    };
    claim("a").await;
    let held = |worker: &str| Holding { worker: worker.to_owned(), ..Holding::default() };
    let holding = held("a");
    place.write(move |t| t.release(&holding, &Release::default())).await;
    claim("b").await;
    let holding = held("b");
    place.write(move |t| t.hand_off(&holding, "{\"summary\":\"done\"}")).await;
    place.write(|t| t.rule("PUMP-0001", &Ruling::Reopened, None)).await;
    place.write(|t| t.rule("PUMP-0001", &Ruling::Done, None)).await;
    let gone = Patch::default().set_text("deleted_at", "2026-01-01T00:00:00Z");
    place.write(move |t| t.edit("PUMP-0001", &gone, None)).await;
    let expected = [
        "created",
        "edited",
        "commented",
        "claimed",
        "confirmed",
        "released",
        "claimed",
        "confirmed",
        "handed_off",
        "reopened",
        "ended",
        "removed",
    ];
    let mut told = Vec::new();
    for _ in expected {
        told.push(listener.next().await);
    }
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, expected);
    for event in &told {
        assert_eq!(event.data["type"], event.kind.as_str());
        assert_eq!(event.data["list"], place.list.to_string());
        assert_eq!(event.data["identifier"], "PUMP-0001", "{event:?}");
    }
    assert_eq!(told[1].data["fields"], serde_json::json!(["priority"]));
    assert_eq!(told[3].data["holder"]["worker"], "a");
    assert_eq!(told[3].data["state"], "in_progress");
    assert_eq!(told[6].data["holder"]["worker"], "b");
    assert_eq!((&told[10].data["state"], &told[2].data["comments"]), (&"done".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_misses_nothing_or_is_told_to_look_again() {
    let place = Place::new().await;
    let mut listener = place.follow("?types=created", None).await;
    place.create("one").await;
    let first = listener.next().await;
    drop(listener);
    for title in ["two", "three"] {
        place.create(title).await;
    }
    let mut back = place.follow("", Some(&first.id)).await;
    for title in ["two", "three"] {
        let event = back.next().await;
        assert_eq!((event.kind.as_str(), &event.data["title"]), ("created", &title.into()));
    }
    let mut stranger = place.follow("", Some("abc-7")).await;
    assert_eq!(stranger.next().await.kind, "reset", "of another run");
    place.create("four").await;
    assert_eq!(stranger.next().await.data["title"], "four");
    // More than are kept: what is there still is told, after the word that some is missing.
    let lines: String = (0..EVENTS_KEPT + 5)
        .map(|n| format!("{{\"id\":\"I-{n}\",\"title\":\"imported\"}}\n"))
        .collect();
    place
        .write(move |t| t.import("f", &mut lines.as_bytes(), &Default::default(), &mut |_| {}))
        .await;
    let mut late = place.follow("?types=edited", Some(&first.id)).await;
    assert_eq!(late.next().await.kind, "reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_only_listen_hold_up_nobody() {
    const LISTENERS: usize = 1_000;
    let all = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: all.maximum, ..all }).unwrap();
    let place = Place::new().await;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        listeners.push(place.follow("", None).await);
    }
    place.create("heard by all").await;
    for listener in &mut listeners {
        assert_eq!(listener.next().await.data["title"], "heard by all");
    }
    // Who takes nothing any more, neither.
    for n in 0..50 {
        place.create(&format!("{n} {}", "x".repeat(900))).await;
    }
    let mut last = listeners.pop().unwrap();
    for n in 0..50 {
        let title = last.next().await.data["title"].as_str().unwrap().to_owned();
        assert!(title.starts_with(&format!("{n} ")), "{title}");
    }
    place.node.stop().await;
}
