use x0x::pump::{Rates, RepairsView, Spread, SubscriberView, WorkersView};

use super::*;
use crate::output::plain::columns;

fn lane(depth: u64, bytes: u64) -> LaneView {
    LaneView {
        latest_depth: depth,
        capacity: 2_048,
        latest_bytes: bytes,
        capacity_bytes: 1_000,
        dropped_full: 12,
        shed_priority: 3,
        backpressured_ms: 450,
        producer_per_sec: Rates { over_10s: 120.5, ..Rates::default() },
        consumer_per_sec: Rates { over_10s: 98.25, ..Rates::default() },
        dwell_us: Spread { p50: 1_500, p99: 250_000, max: 300_000, ..Spread::default() },
        ..LaneView::default()
    }
}

/// One peer with a queue of each kind, and others with nothing in theirs.
fn figures(peers: usize) -> Figures {
    let lanes = LanesView { pubsub: lane(1_024, 900), ..LanesView::default() };
    let mut per_peer: std::collections::BTreeMap<_, _> =
        (0..peers).map(|n| (format!("{n:064}"), LanesView::default())).collect();
    per_peer.insert("b".repeat(64), lanes.clone());
    let slowest =
        SubscriberView { name: "curl, 127.0.0.1:9".to_owned(), behind: 7, ..Default::default() };
    Figures {
        pump: PumpView {
            recv_pump: lanes.clone(),
            send_per_peer: per_peer.clone(),
            per_peer,
            send_pump: lanes,
            repairs: RepairsView { scheduled_total: 2, ..RepairsView::default() },
            workers: WorkersView { running: 1, running_max: 2, capacity: 4 },
        },
        topics: vec![TopicView {
            topic: "c".repeat(64),
            subscribers: vec![slowest.clone()],
            slowest: Some(slowest),
            lagged_total: 1,
        }],
    }
}

fn look(columns_max: Option<usize>) -> Look {
    Look { columns_max, colour: false }
}

#[test]
fn each_queue_has_a_row_whose_figures_line_up() {
    let lines = figures(0).lines(look(None), false, None);
    assert_eq!(
        lines[..3],
        [
            "way  lane     peer      full                depth   in/s  out/s  dropped  shed  held back  \
             dwell p50        p99  verify p50",
            "in   control  all                             0/0    0.0    0.0        0     0       0 ms",
            "in   pubsub   all       #######-  90 %  1024/2048  120.5   98.2       12     3     450 ms    \
             1.50 ms  250.00 ms",
        ]
    );
    let rows = |peer: &str| lines.iter().filter(|line| line.contains(peer)).count();
    assert_eq!((rows(" all "), rows(" bbbbbbbb ")), (8, 8));
    assert!(
        lines.contains(&"repairs  2 scheduled, 0 begun, 0 outstanding, 0 held back".to_owned())
    );
    assert!(lines.contains(&"workers  1 of 4 busy, 2 at most so far".to_owned()));
    let of_topic = lines.iter().find(|line| line.starts_with("cccccccc  ")).unwrap();
    assert!(of_topic.contains("curl, 127.0.0.1:9"), "{of_topic}");
    let whole = figures(0).lines(look(None), true, None).join("\n");
    assert!(whole.contains(&"b".repeat(64)) && whole.contains(&"c".repeat(64)));
}

#[test]
fn a_terminal_shows_blocks_and_colours_of_what_logs_speak_of() {
    let look = Look { columns_max: Some(200), colour: true };
    let lines = figures(0).lines(look, false, None);
    assert!(lines[2].contains("\u{1b}[31m███████▏  90 %\u{1b}[0m"), "{}", lines[2]);
    assert!(!lines[1].contains('\u{1b}'), "{}", lines[1]);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_number_is_cut() {
    for columns_max in 1..180 {
        for line in figures(2).lines(look(Some(columns_max)), false, Some(24)) {
            assert!(columns(&line) <= columns_max, "{columns_max}: {line}");
        }
    }
    let narrow = figures(0).lines(look(Some(80)), false, None);
    assert!(narrow[2].ends_with("1024/2048  120.5   98.2       12     3"), "{}", narrow[2]);
}

#[test]
fn the_fullest_queues_of_many_peers_are_shown_where_there_is_little_room() {
    let figures = figures(20);
    let lines = figures.lines(look(Some(120)), false, Some(24));
    assert!(lines.len() <= 24, "{}", lines.len());
    let of_full = lines.iter().filter(|line| line.contains(" bbbbbbbb ")).count();
    assert_eq!(of_full, 2, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("and 160 more")), "{lines:#?}");
    assert_eq!(figures.lines(look(None), false, None).len(), 9 + 21 * 8 + 6);
}

#[test]
fn a_queue_is_as_full_as_the_fuller_of_its_two_bounds() {
    for (depth, bytes, used) in [(1_024, 0, 0.5), (0, 750, 0.75), (2_048, 100, 1.0)] {
        let view = &lane(depth, bytes);
        assert_eq!(Queue { way: "in", lane: "sync", peer: ALL, view }.used(), Some(used));
    }
    let view = &LaneView::default();
    assert_eq!(Queue { way: "out", lane: "sync", peer: ALL, view }.used(), None);
}

#[test]
fn an_answer_of_another_shape_is_none() {
    assert!(Figures::of(&serde_json::json!({"topics": []})).is_err());
    assert!(Figures::of(&Value::Null).is_err());
    let mut answer = serde_json::to_value(PumpView::default()).unwrap();
    answer["topics"] = serde_json::json!([]);
    assert!(Figures::of(&answer).is_ok());
}

#[test]
fn without_a_peer_it_says_so() {
    let mut figures = figures(0);
    let said = |figures: &Figures| figures.lines(look(None), false, None).join("\n");
    assert!(!said(&figures).contains("no peer is linked"));
    figures.pump.per_peer.clear();
    figures.pump.send_per_peer.clear();
    assert!(said(&figures).contains("no peer is linked; x0x doctor says why"));
}
