//! What a node says of its queues over HTTP: as one object, and as text for Prometheus.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod exposition;

use std::time::Duration;

use exposition::Exposition;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x::pump::{
    BOUNDS_US, LaneView, LanesView, PumpView, RepairsView, Spread, SubscriberView, TopicView,
    WorkersView,
};
use x0x::rest::{Measured, exposition as text_of};
use x0x_tracker::journal::charter::Role;

const WAIT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);

/// A node of a data directory of its own.
struct Place {
    dir: TempDir,
    node: Node,
}

async fn start(dir: TempDir) -> Place {
    let home = Home::at(dir.path().to_owned());
    let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
    Place { node: Node::start(config).await.unwrap(), dir }
}

/// Two nodes that are linked.
async fn pair() -> (Place, Place) {
    let dir = tempfile::tempdir().unwrap();
    let list = Home::at(dir.path().to_owned()).found("pump", "PUMP", WAIT).unwrap();
    let (ann, bob) = (start(dir).await, start(tempfile::tempdir().unwrap()).await);
    let ticket = ann.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    bob.node.join(ticket).await.unwrap().unwrap();
    (ann, bob)
}

impl Place {
    /// Returns status, head and body of what is answered.
    async fn ask(&self, path: &str, is_allowed: bool) -> (u16, String, String) {
        let token = std::fs::read_to_string(self.dir.path().join("api-token")).unwrap();
        let token = if is_allowed { token } else { "none".to_owned() };
        let mut stream = TcpStream::connect(self.node.api()).await.unwrap();
        let head = "Host: localhost\r\nConnection: close\r\nAuthorization: Bearer";
        let request = format!("GET {path} HTTP/1.1\r\n{head} {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const LANES: [&str; 4] = ["control", "pubsub", "direct", "sync"];

#[tokio::test(flavor = "multi_thread")]
async fn the_queues_of_a_node_are_shown_to_who_has_the_token() {
    let (ann, _bob) = pair().await;
    for path in ["/diagnostics/gossip", "/metrics"] {
        let (status, _, body) = ann.ask(path, false).await;
        assert_eq!(status, 401, "{path}: {body}");
    }
    let (status, head, body) = ann.ask("/diagnostics/gossip", true).await;
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    let gossip: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        fields(&gossip),
        ["recv_pump", "per_peer", "send_pump", "send_per_peer", "repairs", "workers", "topics"]
    );
    assert_eq!(
        fields(&gossip["repairs"]),
        ["scheduled_total", "begun_total", "outstanding", "held_back"]
    );
    assert_eq!(fields(&gossip["workers"]), ["running", "running_max", "capacity"]);
    let peers = ["per_peer", "send_per_peer"].map(|name| gossip[name].as_object().unwrap());
    let of_peers = peers.into_iter().flat_map(|peers| peers.values());
    for lanes in [&gossip["recv_pump"], &gossip["send_pump"]].into_iter().chain(of_peers) {
        assert_eq!(fields(lanes), LANES);
        for lane in LANES.map(|lane| &lanes[lane]) {
            assert_eq!(
                fields(lane),
                [
                    "produced_total",
                    "enqueued_total",
                    "dequeued_total",
                    "dropped_full",
                    "shed_priority",
                    "backpressured_ms",
                    "latest_depth",
                    "max_depth",
                    "capacity",
                    "latest_bytes",
                    "capacity_bytes",
                    "above_80_ms",
                    "producer_per_sec",
                    "consumer_per_sec",
                    "dwell_us",
                    "verify_us"
                ]
            );
            assert_eq!(fields(&lane["producer_per_sec"]), ["1s", "10s", "60s"]);
            assert_eq!(fields(&lane["dwell_us"]), ["p50", "p99", "max"]);
        }
    }
    assert!(gossip["topics"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_a_node_are_what_a_scraper_takes() {
    let (ann, _bob) = pair().await;
    let (status, head, body) = ann.ask("/metrics", true).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let read = Exposition::read(&body).unwrap_or_else(|fault| panic!("{fault}\n{body}"));
    assert_eq!(read.value("x0x_links"), 1.0);
    assert!(read.value("x0x_uptime_seconds") > 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(read.value(&format!("x0x_build_info{{version=\"{version}\",api=\"1\"}}")), 1.0);
    for lane in LANES {
        for direction in ["in", "out"] {
            let labels = format!("{{direction=\"{direction}\",lane=\"{lane}\"}}");
            assert!(read.value(&format!("x0x_pump_produced_total{labels}")) >= 0.0);
            assert!(read.value(&format!("x0x_pump_dwell_seconds_count{labels}")) >= 0.0);
        }
    }
}

/// A spread of 1 to 20 ms, of which one was longer.
fn spread() -> Spread {
    let at_most = BOUNDS_US.map(|bound_us| (bound_us / 1_000).min(20)).to_vec();
    Spread { p50: 10_000, p99: 20_000, max: 12_000_000, count: 21, sum_us: 12_210_000, at_most }
}

#[test]
fn every_figure_of_a_queue_is_in_the_metrics_in_base_units() {
    let lane = LaneView {
        produced_total: 17,
        enqueued_total: 16,
        dequeued_total: 11,
        dropped_full: 3,
        shed_priority: 1,
        backpressured_ms: 1_500,
        latest_depth: 2,
        max_depth: 9,
        capacity: 2_048,
        latest_bytes: 700,
        capacity_bytes: 8 << 20,
        above_80_ms: 250,
        dwell_us: spread(),
        ..LaneView::default()
    };
    let lanes = LanesView { pubsub: lane, ..LanesView::default() };
    let peer = "ab".repeat(32);
    let followed = |topic: &str, behind| TopicView {
        topic: topic.to_owned(),
        subscribers: vec![SubscriberView::default(); 2],
        slowest: Some(SubscriberView { behind, ..SubscriberView::default() }),
        lagged_total: 4,
    };
    let measured = Measured {
        uptime_ms: 61_500,
        links: 3,
        pump: PumpView {
            recv_pump: lanes.clone(),
            per_peer: [(peer.clone(), lanes.clone())].into(),
            send_pump: lanes.clone(),
            send_per_peer: [(peer.clone(), lanes)].into(),
            repairs: RepairsView {
                scheduled_total: 5,
                begun_total: 4,
                outstanding: 1,
                held_back: 1,
            },
            workers: WorkersView { running: 1, running_max: 2, capacity: 4 },
        },
        topics: vec![followed("all", 7), followed("by a \"name\"\nor \\", 0)],
    };
    let text = text_of(measured);
    let read = Exposition::read(&text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let labels = "direction=\"in\",lane=\"pubsub\"";
    for (prefix, labels) in [
        ("x0x_pump", labels.to_owned()),
        ("x0x_pump_peer", format!("{labels},peer=\"{peer}\"")),
        ("x0x_pump_peer", format!("{labels},peer=\"{peer}\"").replace("\"in\"", "\"out\"")),
    ] {
        for (name, value) in [
            ("produced_total", 17.0),
            ("enqueued_total", 16.0),
            ("dequeued_total", 11.0),
            ("dropped_total", 3.0),
            ("shed_total", 1.0),
            ("backpressured_seconds_total", 1.5),
            ("above_80_seconds_total", 0.25),
            ("depth", 2.0),
            ("depth_max", 9.0),
            ("capacity", 2_048.0),
            ("depth_bytes", 700.0),
            ("capacity_bytes", 8_388_608.0),
            ("dwell_max_seconds", 12.0),
            ("verify_max_seconds", 0.0),
        ] {
            assert_eq!(read.value(&format!("{prefix}_{name}{{{labels}}}")), value, "{name}");
        }
    }
    for (le, counted) in [("0.0005", 0.0), ("0.01", 10.0), ("0.05", 20.0), ("+Inf", 21.0)] {
        let bucket = format!("x0x_pump_dwell_seconds_bucket{{{labels},le=\"{le}\"}}");
        assert_eq!(read.value(&bucket), counted, "{le}");
    }
    assert_eq!(read.value(&format!("x0x_pump_dwell_seconds_sum{{{labels}}}")), 12.21);
    assert_eq!(read.value(&format!("x0x_pump_verify_seconds_count{{{labels}}}")), 0.0);
    for (series, value) in [
        ("x0x_pump_repairs_scheduled_total", 5.0),
        ("x0x_pump_repairs_begun_total", 4.0),
        ("x0x_pump_repairs_outstanding", 1.0),
        ("x0x_pump_repairs_held_back", 1.0),
        ("x0x_pump_workers_running", 1.0),
        ("x0x_pump_workers_running_max", 2.0),
        ("x0x_pump_workers_capacity", 4.0),
        ("x0x_topic_subscribers{topic=\"all\"}", 2.0),
        ("x0x_topic_behind_max{topic=\"all\"}", 7.0),
        ("x0x_topic_lagged_total{topic=\"all\"}", 4.0),
        ("x0x_topic_subscribers{topic=\"by a \\\"name\\\"\\nor \\\\\"}", 2.0),
        ("x0x_links", 3.0),
        ("x0x_uptime_seconds", 61.5),
    ] {
        assert_eq!(read.value(series), value, "{series}");
    }
    assert_eq!(read.families["x0x_pump_dwell_seconds"], "histogram");
    assert_eq!(read.families["x0x_pump_depth"], "gauge");
}
