//! Nodes that are sent more than they can take, three of them worse off than the others, until every message is in
//! every export: `just stress`. And nodes at a steady load for long: `just soak-pump`.
//!
//! A report lies in `target/stress/report.json` afterwards, and a picture beside it. What is not met fails the run
//! once both are written; so does a run that did not come to what it is for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

#[path = "stress/caller.rs"]
mod caller;
#[path = "stress/cgroup.rs"]
mod cgroup;
#[path = "stress/checks.rs"]
mod checks;
#[path = "stress/checks_tests.rs"]
mod checks_tests;
mod common;
#[path = "stress/exports.rs"]
mod exports;
#[path = "../../tests/harness/mod.rs"]
mod harness;
#[path = "stress/load.rs"]
mod load;
#[path = "stress/logs.rs"]
mod logs;
#[path = "stress/mesh.rs"]
mod mesh;
#[path = "stress/plot.rs"]
mod plot;
#[path = "stress/process.rs"]
mod process;
#[path = "stress/program.rs"]
mod program;
#[path = "stress/report.rs"]
mod report;
#[path = "stress/run.rs"]
mod run;
#[path = "stress/settings.rs"]
mod settings;
#[path = "stress/soak.rs"]
mod soak;
#[path = "stress/spans.rs"]
mod spans;
#[path = "stress/watch.rs"]
mod watch;

use std::fs;
use std::path::Path;

use program::Program;
use run::Run;
use settings::Settings;

/// Draws a run; returns what the picture lacks.
fn draw(path: &Path, run: &Run) -> Vec<String> {
    let nodes: Vec<_> = run
        .outcomes
        .iter()
        .map(|outcome| (format!("{} ({})", outcome.name, outcome.role.name()), &outcome.rows[..]))
        .collect();
    let nodes: Vec<_> = nodes.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    let title = format!("{} messages, policy {}", run.sent, run.policy);
    let svg = plot::draw(&title, &nodes).unwrap();
    fs::write(path, &svg).unwrap();
    let is_drawn = |number: usize| plot::lines_of(&svg, number) == plot::CHARTS;
    let names = nodes.iter().enumerate().filter(|(number, _)| !is_drawn(*number));
    names.map(|(_, (name, _))| format!("the picture has no lines of {name}")).collect()
}

fn print(run: &Run) {
    eprintln!(
        "{}: {} messages in {:.1?}, level {:.1?} after the last; worst is {}",
        run.policy,
        run.sent,
        run.load,
        run.level,
        run.worst().name
    );
    for one in &run.outcomes {
        eprintln!(
            "  {} {:8} created {:6} present {:6} drops {:6} repairs {:5} above 80 % {:7} ms, dwell p99 {} / {} us \
             (pubsub, control), {} MiB, {:.1} s of CPU, {} INFO, {} WARN",
            one.name,
            one.role.name(),
            one.created,
            one.export.present,
            one.drops(),
            one.pump.repairs.begun_total,
            one.above_80_ms(),
            one.pump.recv_pump.pubsub.dwell_us.p99,
            one.pump.recv_pump.control.dwell_us.p99,
            one.resident_max >> 20,
            one.cpu_seconds,
            one.said.info,
            one.said.warn
        );
    }
}

#[test]
fn every_message_is_in_every_export() {
    let settings = Settings::read();
    let folder = report::folder();
    let (at, picture) = (folder.join("report.json"), folder.join("pump.svg"));
    for old in [&at, &picture] {
        // There is none before the first run.
        let _none = fs::remove_file(old);
    }
    let policies = std::iter::once(&settings.policy).chain(&settings.compare);
    let program = Program::copy();
    let runs: Vec<Run> = policies.map(|policy| run::run(&settings, policy, &program)).collect();
    runs.iter().for_each(print);
    let mut faults = draw(&picture, &runs[0]);
    for run in &runs[1..] {
        draw(&folder.join(format!("pump-{}.svg", run.policy)), run);
    }
    let criteria = checks::all(&settings, &runs[0], runs.get(1));
    for one in &criteria {
        eprintln!("{}: {}: {}", one.verdict.name(), one.name, one.detail);
        if !one.is_good(&settings) {
            faults.push(format!("{}: {}: {}", one.verdict.name(), one.name, one.detail));
        }
    }
    report::write(&at, &report::report(&settings, &runs, &criteria, faults.is_empty()));
    eprintln!("{}\n{}", at.display(), picture.display());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
