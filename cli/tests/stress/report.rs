//! The report of a run, as programs read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use x0x::pump::LanesView;

use super::checks::{Criterion, Verdict};
use super::run::{Outcome, Run};
use super::settings::Settings;
use super::spans::{LANES, Longest, lanes};

/// Returns the folder of what runs leave behind, `target/stress` of the checkout, wherever else things are built.
pub fn folder() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let folder = package.join("../target/stress");
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

/// Writes a report where the last one was.
pub fn write(path: &Path, report: &Value) {
    let mut text = serde_json::to_string_pretty(report).unwrap();
    text.push('\n');
    fs::write(path, text).unwrap();
}

/// Returns the report of runs, the first of which is meant and the others are what it is held against.
pub fn report(settings: &Settings, runs: &[Run], criteria: &[Criterion], passed: bool) -> Value {
    let criterion = |one: &Criterion| json!({"name": one.name, "verdict": one.verdict.name(), "detail": one.detail});
    let exercised = criteria.iter().filter(|one| one.verdict != Verdict::NotExercised).count();
    let mut report = json!({
        "passed": passed,
        "criteria": criteria.iter().map(criterion).collect::<Vec<_>>(),
        "criteria_exercised": exercised,
        "messages": settings.messages,
        "adverse": settings.is_adverse,
        "clients_per_node": settings.clients,
        "seed": settings.seed,
    });
    let object = report.as_object_mut().unwrap();
    let Value::Object(first) = run(&runs[0]) else { unreachable!("a run is an object") };
    object.extend(first);
    object.insert("runs".to_owned(), runs.iter().map(run).collect());
    report
}

fn run(run: &Run) -> Value {
    json!({
        "policy": run.policy,
        "frames_max": run.frames,
        "sent": run.sent,
        "failed": run.failed,
        "failures": run.failures,
        "retried": run.retried,
        "load_seconds": seconds(run.load),
        "creates_per_second": run.sent as f64 / run.load.as_secs_f64().max(0.001),
        "level_after_seconds": run.level.map(seconds),
        "exports_equal": run.is_equal,
        "skipped": run.skipped,
        "sent_while_one_was_stopped": run.sent_meanwhile,
        "slow_node_throttled_periods": run.throttled,
        "far_node_delayed_datagrams": run.delayed,
        "worst_node": run.worst().name,
        "worst_above_80_ms": run.worst().above_80_ms(),
        "nodes": run.outcomes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn node(outcome: &Outcome) -> Value {
    let Outcome { pump, export, said, .. } = outcome;
    let queue = |said: &super::logs::QueueSaid| json!({"info": said.info, "warn": said.warn, "warn_came_first": said.warned_first});
    let queues: Map<_, _> =
        said.queues.iter().map(|(name, said)| (name.clone(), queue(said))).collect();
    json!({
        "name": outcome.name,
        "role": outcome.role.name(),
        "agent": outcome.agent,
        "created": outcome.created,
        "present": export.present,
        "missing": export.missing,
        "export_lines": export.lines,
        "export_hash": export.hash,
        "export_error": export.why,
        "drops": {
            "total": outcome.drops(),
            "dropped_full": by_lane(&pump.recv_pump, |lane| json!(lane.dropped_full)),
            "shed_priority": by_lane(&pump.recv_pump, |lane| json!(lane.shed_priority)),
            "backpressured_ms": by_lane(&pump.recv_pump, |lane| json!(lane.backpressured_ms)),
        },
        "repairs": pump.repairs,
        "dwell_us": by_lane(&pump.recv_pump, |lane| json!(lane.dwell_us)),
        "verify_us": by_lane(&pump.recv_pump, |lane| json!(lane.verify_us)),
        "above_80_ms": outcome.above_80_ms(),
        "recv_pump": pump.recv_pump,
        "send_pump": pump.send_pump,
        "workers": pump.workers,
        "peak_memory_bytes": outcome.resident_max,
        "cpu_seconds": outcome.cpu_seconds,
        "info": said.info,
        "warn": said.warn,
        "error": said.error,
        "pressure": {"info": said.pressure_info, "warn": said.pressure_warn, "queues": queues},
        "full_without_reaction": longest(&outcome.stuck),
        "sending_full_without_reaction": longest(&outcome.stuck_sending),
        "longest_above_80": longest(&outcome.above_80),
        "samples": outcome.answered,
        "samples_unanswered": outcome.unanswered,
        "first_unanswered": outcome.why,
    })
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

fn by_lane(view: &LanesView, of: impl Fn(&x0x::pump::LaneView) -> Value) -> Value {
    let lanes = LANES.iter().zip(lanes(view));
    Value::Object(lanes.map(|(name, lane)| ((*name).to_owned(), of(lane))).collect())
}

fn longest(spans: &[Longest; 4]) -> Value {
    let span = |span: &Longest| json!({"ms": span.lasted.as_millis() as u64, "from_ms": span.from.as_millis() as u64, "peer": span.peer});
    let lanes = LANES.iter().zip(spans).filter(|(_, longest)| !longest.lasted.is_zero());
    Value::Object(lanes.map(|(name, longest)| ((*name).to_owned(), span(longest))).collect())
}

#[test]
fn a_report_has_what_was_sent_and_what_each_node_has_of_it() {
    let (settings, fair) =
        (Settings { messages: 2_000, ..Settings::of(4) }, super::checks_tests::good());
    let naive = Run { policy: "naive".to_owned(), ..fair.clone() };
    let criteria = super::checks::all(&settings, &fair, Some(&naive));
    let report = report(&settings, &[fair, naive], &criteria, true);
    assert_eq!((&report["sent"], &report["worst_node"]), (&json!(2_000), &json!("node-3")));
    let nodes = report["nodes"].as_array().unwrap();
    assert!(nodes.len() == 4 && nodes.iter().all(|node| node["present"] == 2_000));
    for name in ["drops", "repairs", "dwell_us", "peak_memory_bytes", "info", "warn"] {
        assert!(!nodes[0][name].is_null(), "{name}");
    }
    assert_eq!(report["runs"][1]["policy"], "naive");
}
