//! What a node tells of its task lists as it happens: one event for each thing, none missed by who comes back,
//! and a thousand who only listen.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use x0x::home::Home;
use x0x::node::{Config, EVENTS_KEPT, Happened, Node};
use x0x::pump::TopicView;
use x0x::rest::Limits;
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
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("pump", "PUMP", WAIT).unwrap();
        let config = Config { lock_wait: WAIT, limits, ..Config::on_loopback(home) };
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

    /// Imports so many issues, each with a long title.
    async fn import(&self, file: String, count: usize) {
        let title = "x".repeat(1_000);
        let line = |n| format!("{{\"id\":\"{file}-{n}\",\"title\":\"{title}\"}}\n");
        let lines: String = (0..count).map(line).collect();
        self.write(move |t| {
            t.import(&file, &mut lines.as_bytes(), &Default::default(), &mut |_| {})
        })
        .await;
    }

    async fn topic(&self, name: &str) -> TopicView {
        let topics = self.node.topics();
        topics.into_iter().find(|view| view.topic == name).unwrap()
    }

    /// Follows the events, from one on or from now on.
    async fn follow(&self, query: &str, last: Option<&str>) -> Listener {
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let mut listener = self.ask(query, &last).await;
        let head = listener.until("retry: 1000\n\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        listener
    }

    async fn follow_as(&self, program: &str, query: &str) -> Listener {
        let mut listener = self.ask(query, &format!("User-Agent: {program}\r\n")).await;
        listener.until("retry: 1000\n\n").await;
        listener
    }

    /// Asks for events over a socket for which the system keeps little.
    async fn ask(&self, query: &str, more: &str) -> Listener {
        let token = std::fs::read_to_string(self.dir.path().join("api-token")).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(self.node.api()).await.unwrap();
        let head = format!(
            "GET /issues/events{query} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Listener { stream, text: String::new() }
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
    let (run, _) = first.id.split_once('-').unwrap();
    let mut ahead = place.follow("", Some(&format!("{run}-999"))).await;
    assert_eq!(ahead.next().await.kind, "reset", "no event had that number");
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

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_holds_up_nobody_is_named_as_the_slowest_and_told_how_much_it_missed() {
    const ROUND: usize = 1_000;
    let place = Place::with(Limits { take_wait: 10 * WAIT, ..Limits::default() }).await;
    let list = place.list.to_string();
    let mut slow = place.follow_as("sleeper", "").await;
    let leaving = place.follow_as("leaver", &format!("?list={list}")).await;
    let mut quick = place.follow_as("reader", "").await;
    // What the system keeps for the one that does not read is full at some time.
    let (mut happened, mut late) = (0, false);
    while !late {
        place.import(format!("f{happened}"), ROUND).await;
        for _ in 0..ROUND {
            assert_eq!(quick.next().await.kind, "created");
        }
        happened += ROUND as u64;
        assert!(happened < 50_000, "it holds all of it");
        let is_late =
            |view: TopicView| view.slowest.is_some_and(|one| one.behind > 2 * EVENTS_KEPT as u64);
        late = is_late(place.topic("all").await) && is_late(place.topic(&list).await);
    }
    let view = place.topic("all").await;
    let slowest = view.slowest.unwrap();
    assert!(slowest.name.starts_with("sleeper 127.0.0.1:"), "{}", slowest.name);
    let reader = view.subscribers.iter().find(|one| one.name.starts_with("reader ")).unwrap();
    assert_eq!((reader.behind, reader.lagged_total, view.lagged_total), (0, 0, 0));
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < happened {
        let told = slow.next().await;
        match told.kind.as_str() {
            "reset" => missed += told.data["missed"].as_u64().unwrap(),
            _ => heard += 1,
        }
    }
    assert_eq!(heard + missed, happened);
    assert!(missed > EVENTS_KEPT as u64 && heard >= EVENTS_KEPT as u64, "{missed} {heard}");
    let view = place.topic("all").await;
    let slowest = view.slowest.unwrap();
    assert_eq!((slowest.behind, slowest.lagged_total, view.lagged_total), (0, missed, missed));
    // What whoever left was never given is counted, and kept in mind.
    let view = place.topic(&list).await;
    let lost = view.slowest.unwrap().behind - EVENTS_KEPT as u64;
    assert_eq!(view.lagged_total, 0);
    drop(leaving);
    while !place.topic(&list).await.subscribers.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let view = place.topic(&list).await;
    assert_eq!((view.lagged_total, view.slowest), (lost, None));
    place.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_a_stream_is_hung_up_on_and_follows_no_more() {
    let limits = Limits { take_wait: Duration::from_millis(300), ..Limits::default() };
    let place = Place::with(limits).await;
    let _silent = place.follow_as("sleeper", "").await;
    let mut round = 0;
    while !place.topic("all").await.subscribers.is_empty() {
        round += 1;
        assert!(round < 50, "it is still waited for");
        place.import(format!("f{round}"), 1_000).await;
    }
    place.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_in_the_same_program_is_told_how_many_it_missed() {
    let place = Place::new().await;
    let mut own = place.node.events().follow("own", Some(place.list));
    let mut all = place.node.events().follow("", None);
    place.import("f".to_owned(), EVENTS_KEPT + 5).await;
    let view = place.topic(&place.list.to_string()).await;
    let slowest = view.slowest.unwrap();
    assert_eq!((slowest.name.as_str(), slowest.behind), ("own", EVENTS_KEPT as u64 + 5));
    for follower in [&mut own, &mut all] {
        let (mut heard, mut next) = (0, 6);
        while heard < EVENTS_KEPT {
            for one in timeout(WAIT, follower.next()).await.unwrap().unwrap() {
                match one {
                    Happened::Lagged { missed } => assert_eq!((missed, heard), (5, 0)),
                    Happened::Event(event) => {
                        assert_eq!(event.number, next);
                        (heard, next) = (heard + 1, next + 1);
                    }
                }
            }
        }
    }
    assert_eq!(place.topic("all").await.lagged_total, 5);
    drop(own);
    assert!(place.topic(&place.list.to_string()).await.subscribers.is_empty());
    place.node.stop().await;
    assert_eq!(timeout(WAIT, all.next()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_follow_as_may_and_another_is_refused_with_a_hint() {
    let place = Place::with(Limits { subscribers_max: 2, ..Limits::default() }).await;
    let first = place.follow_as("first", "").await;
    let _second = place.follow_as("second", "?types=created").await;
    let mut third = place.ask("", "Connection: close\r\n").await;
    let answer = third.until("}").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("too_many_subscribers") && answer.contains("hint"), "{answer}");
    drop(first);
    while place.topic("all").await.subscribers.len() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _third = place.follow_as("third", "").await;
    place.node.stop().await;
}
