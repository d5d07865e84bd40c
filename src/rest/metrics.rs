//! What a node measures, as text that Prometheus takes. Not: what is measured, and how.

use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::{self, CONTENT_TYPE};
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram, Info};
use prometheus_client::registry::{Registry, Unit};

use super::answer::API_VERSION;
use super::errors::{Failure, Failures};
use crate::node::Node;
use crate::pump::{BOUNDS_US, LaneView, PumpView, Spread, TopicView};

use self::Counted::{Bytes, Ms, Things, Us};

/// What every name begins with.
const PREFIX: &str = "x0x";

/// What the node measures, as text for Prometheus (exposition format 0.0.4). Durations are in seconds.
#[utoipa::path(get, path = "/metrics", tag = "diagnostics",
    responses((status = 200, body = String, content_type = "text/plain"), Failures))]
pub(super) async fn metrics(State(node): State<Node>) -> Result<Response, Failure> {
    let status = node.status().await?;
    let measured = Measured {
        uptime_ms: status.uptime_ms,
        links: status.peers as u64,
        pump: node.pump(),
        topics: node.topics(),
    };
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition(measured)).into_response())
}

/// What a node measures of itself.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How long it has been running, in milliseconds.
    pub uptime_ms: i64,
    /// How many peers are linked.
    pub links: u64,
    /// What its pumps do.
    pub pump: PumpView,
    /// What can be followed, and who does.
    pub topics: Vec<TopicView>,
}

/// Returns it in the text format of Prometheus (version 0.0.4).
///
/// What is counted of all peers together keeps growing when one of them goes; what is counted of one peer (names with
/// `_peer_`) goes with it.
pub fn exposition(measured: Measured) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(measured));
    let mut text = String::new();
    // Writing to memory does not fail.
    let _written = prometheus_text::encode(&mut text, &registry);
    text
}

/// What a whole number counts.
#[derive(Clone, Copy, Debug)]
enum Counted {
    Things,
    Bytes,
    Ms,
    Us,
}

impl Counted {
    /// Returns the unit in which it is shown.
    fn unit(self) -> Option<Unit> {
        match self {
            Self::Things => None,
            Self::Bytes => Some(Unit::Bytes),
            Self::Ms | Self::Us => Some(Unit::Seconds),
        }
    }
}

/// One figure of a queue: its name, what it counts, where it stands, and what it says.
type Figure = (&'static str, Counted, fn(&LaneView) -> u64, &'static str);

const COUNTERS: [Figure; 7] = [
    ("produced", Things, |lane| lane.produced_total, "Frames that came to the queue."),
    ("enqueued", Things, |lane| lane.enqueued_total, "Frames that were let in."),
    ("dequeued", Things, |lane| lane.dequeued_total, "Frames that were taken to be acted on."),
    ("dropped", Things, |lane| lane.dropped_full, "Frames dropped because the queue was full."),
    ("shed", Things, |lane| lane.shed_priority, "Frames left out as dispensable."),
    ("backpressured", Ms, |lane| lane.backpressured_ms, "How long senders were held back."),
    ("above_80", Ms, |lane| lane.above_80_ms, "How long more than 80 percent were in use."),
];

const GAUGES: [Figure; 7] = [
    ("depth", Things, |lane| lane.latest_depth, "Frames that wait."),
    ("depth_max", Things, |lane| lane.max_depth, "The most frames that ever waited at once."),
    ("capacity", Things, |lane| lane.capacity, "Frames that may wait."),
    ("depth", Bytes, |lane| lane.latest_bytes, "Bytes that wait."),
    ("capacity", Bytes, |lane| lane.capacity_bytes, "Bytes that may wait."),
    ("dwell_max", Us, |lane| lane.dwell_us.max, "The longest that a frame waited."),
    ("verify_max", Us, |lane| lane.verify_us.max, "The longest check of a frame's signatures."),
];

/// What tells the series of a family apart.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Queues, each with its labels.
type Queues<'a> = Vec<(Labels<'a>, &'a LaneView)>;

impl Collector for Measured {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        self.node(&mut families)?;
        self.queues(&mut families)?;
        self.pump_alone(&mut families)?;
        self.followed(&mut families)
    }
}

impl Measured {
    fn node(&self, families: &mut Families<'_>) -> fmt::Result {
        let api = API_VERSION.to_string();
        let build = vec![("version", env!("CARGO_PKG_VERSION")), ("api", &api)];
        let help = "The version of the program and of its interface.";
        let mut family = families.encoder.encode_descriptor("build", help, None, Info)?;
        family.encode_info(&build)?;
        let uptime_ms = u64::try_from(self.uptime_ms).unwrap_or(0);
        families.single("uptime", Gauge, Ms, uptime_ms, "How long the node has been running.")?;
        families.single("links", Gauge, Things, self.links, "Peers that are linked.")
    }

    fn queues(&self, families: &mut Families<'_>) -> fmt::Result {
        let PumpView { recv_pump, per_peer, send_pump, send_per_peer, .. } = &self.pump;
        let (mut all, mut of_peers) = (Queues::new(), Queues::new());
        for (direction, lanes, peers) in
            [("in", recv_pump, per_peer), ("out", send_pump, send_per_peer)]
        {
            let labelled = |(lane, view)| (vec![("direction", direction), ("lane", lane)], view);
            all.extend(lanes.each().map(labelled));
            for (peer, lanes) in peers {
                of_peers.extend(lanes.each().map(labelled).map(|(mut labels, view)| {
                    labels.push(("peer", peer));
                    (labels, view)
                }));
            }
        }
        for (prefix, queues, whose) in
            [("pump", &all, "Over all peers."), ("pump_peer", &of_peers, "Of one peer.")]
        {
            for (kind, figures) in [(Counter, &COUNTERS), (Gauge, &GAUGES)] {
                for (name, counted, value, help) in figures {
                    let (name, help) = (format!("{prefix}_{name}"), format!("{help} {whose}"));
                    let values = queues.iter().map(|(labels, lane)| (labels, value(lane)));
                    families.several(&name, kind, *counted, values, &help)?;
                }
            }
        }
        let help = "How long frames waited until they were taken.";
        families.histogram("pump_dwell", &all, |lane| &lane.dwell_us, help)?;
        let help = "How long checking the signatures of a frame took.";
        families.histogram("pump_verify", &all, |lane| &lane.verify_us, help)
    }

    fn pump_alone(&self, families: &mut Families<'_>) -> fmt::Result {
        let (repairs, workers) = (&self.pump.repairs, &self.pump.workers);
        for (name, kind, value, help) in [
            ("repairs_scheduled", Counter, repairs.scheduled_total, "Repairs that drops made due."),
            ("repairs_begun", Counter, repairs.begun_total, "Repairs that were begun."),
            ("repairs_outstanding", Gauge, repairs.outstanding, "Repairs that are due or go on."),
            ("repairs_held_back", Gauge, repairs.held_back, "Repairs that wait for the sync lane."),
            ("workers_running", Gauge, workers.running, "Threads that check signatures."),
            ("workers_running_max", Gauge, workers.running_max, "The most that ever ran at once."),
            ("workers_capacity", Gauge, workers.capacity, "Threads that may check signatures."),
        ] {
            families.single(&format!("pump_{name}"), kind, Things, value, help)?;
        }
        Ok(())
    }

    fn followed(&self, families: &mut Families<'_>) -> fmt::Result {
        type Count = fn(&TopicView) -> u64;
        let subscribers: Count = |topic| topic.subscribers.len() as u64;
        let behind: Count = |topic| topic.slowest.as_ref().map_or(0, |slowest| slowest.behind);
        let lagged: Count = |topic| topic.lagged_total;
        let labels: Vec<_> =
            self.topics.iter().map(|topic| vec![("topic", topic.topic.as_str())]).collect();
        for (name, kind, value, help) in [
            ("subscribers", Gauge, subscribers, "Who follows the topic."),
            ("behind_max", Gauge, behind, "Events that the slowest follower was not given yet."),
            ("lagged", Counter, lagged, "Events that followers missed because they were too slow."),
        ] {
            let values =
                labels.iter().zip(&self.topics).map(|(labels, topic)| (labels, value(topic)));
            families.several(&format!("topic_{name}"), kind, Things, values, help)?;
        }
        Ok(())
    }
}

/// Families of metrics, written one after another.
struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Families<'_> {
    /// Writes a family that has one series without labels.
    fn single(
        &mut self,
        name: &str,
        kind: MetricType,
        counted: Counted,
        value: u64,
        help: &str,
    ) -> fmt::Result {
        let unit = counted.unit();
        let metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        write(metric, kind, counted, value)
    }

    /// Writes a family with a series for each set of labels.
    fn several<'l>(
        &mut self,
        name: &str,
        kind: MetricType,
        counted: Counted,
        values: impl Iterator<Item = (&'l Labels<'l>, u64)>,
        help: &str,
    ) -> fmt::Result {
        let unit = counted.unit();
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            write(family.encode_family(labels)?, kind, counted, value)?;
        }
        Ok(())
    }

    /// Writes how something was spread in each queue.
    fn histogram(
        &mut self,
        name: &str,
        queues: &Queues<'_>,
        spread: fn(&LaneView) -> &Spread,
        help: &str,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut family = self.encoder.encode_descriptor(name, help, unit, Histogram)?;
        for (labels, lane) in queues {
            let spread = spread(lane);
            let sum = spread.sum_us as f64 / 1e6;
            let mut metric = family.encode_family(labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, spread.count, &buckets(spread), None)?;
        }
        Ok(())
    }
}

fn write(
    mut metric: MetricEncoder<'_>,
    kind: MetricType,
    counted: Counted,
    value: u64,
) -> fmt::Result {
    let seconds = match counted {
        Things | Bytes => None,
        Ms => Some(value as f64 / 1e3),
        Us => Some(value as f64 / 1e6),
    };
    match (kind, seconds) {
        (Counter, None) => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        (Counter, Some(seconds)) => metric.encode_counter::<NoLabelSet, _, u64>(&seconds, None),
        (_, None) => metric.encode_gauge(&value),
        (_, Some(seconds)) => metric.encode_gauge(&seconds),
    }
}

/// Returns each bound in seconds, and how many were above the one before it and not above it.
fn buckets(spread: &Spread) -> Vec<(f64, u64)> {
    let mut below = 0;
    let at_most = spread.at_most.iter().copied().chain(std::iter::repeat(0));
    let counted = BOUNDS_US.iter().zip(at_most).map(|(bound_us, at_most)| {
        let counted = at_most.saturating_sub(below);
        below = below.max(at_most);
        (*bound_us as f64 / 1e6, counted)
    });
    counted.collect()
}
