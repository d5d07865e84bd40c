//! Each criterion on made-up runs: one that meets it, and others that differ in one thing and do not.

use std::time::Duration;

use super::checks::*;
use super::exports::Export;
use super::logs::QueueSaid;
use super::run::{Outcome, Run};
use super::settings::{Role, Settings};
use super::spans::Longest;

fn settings() -> Settings {
    Settings { messages: 2_000, is_adverse: true, ..Settings::of(4) }
}

fn outcome(node: usize, role: Role) -> Outcome {
    let mut pump = x0x::pump::PumpView::default();
    let lanes = &mut pump.recv_pump;
    (lanes.pubsub.produced_total, lanes.pubsub.above_80_ms, lanes.sync.above_80_ms) = (9, 60, 40);
    (lanes.control.dwell_us.p99, lanes.pubsub.dwell_us.p99) = (2_000, 20_000);
    let export = Export { hash: "ab".into(), present: 2_000, lines: 2_001, ..Export::default() };
    Outcome {
        name: format!("node-{node}"),
        role,
        agent: "ab".repeat(32),
        created: 500,
        export,
        pump,
        answered: 30,
        unanswered: 0,
        why: None,
        resident_max: 1,
        cpu_seconds: 1.0,
        said: Default::default(),
        stuck: Default::default(),
        stuck_sending: Default::default(),
        above_80: Default::default(),
        rows: Vec::new(),
    }
}

/// A run in which all is well.
pub fn good() -> Run {
    let roles = [Role::Healthy, Role::Far, Role::Slow, Role::Stopped];
    Run {
        frames: 2_048,
        policy: "fair".to_owned(),
        outcomes: (0..).zip(roles).map(|(node, role)| outcome(node, role)).collect(),
        sent: 2_000,
        retried: 0,
        failed: 0,
        failures: Vec::new(),
        load: Duration::from_secs(30),
        level: Some(Duration::from_secs(3)),
        is_equal: true,
        skipped: Vec::new(),
        sent_meanwhile: Some(700),
        throttled: Some(9),
        delayed: Some(9),
    }
}

fn naive(above_80_ms: u64) -> Run {
    let mut run = Run { policy: "naive".to_owned(), ..good() };
    run.outcomes[2].pump.recv_pump.pubsub.above_80_ms = above_80_ms;
    run
}

fn lasting(millis: u64) -> Longest {
    Longest { lasted: Duration::from_millis(millis), ..Longest::default() }
}

/// Asserts that a criterion is not met once one thing is otherwise.
fn breaks(criterion: impl Fn(&Run) -> Criterion, change: impl Fn(&mut Run), detail: &str) {
    let mut run = good();
    assert_eq!(criterion(&run).verdict, Verdict::Met, "{}", criterion(&run).detail);
    change(&mut run);
    let found = criterion(&run);
    assert_eq!(found.verdict, Verdict::Failed, "{}", found.detail);
    assert!(found.detail.contains(detail), "{}", found.detail);
    assert!(!found.is_good(&settings()));
}

#[test]
fn all_is_well_where_all_is_well() {
    let criteria = all(&settings(), &good(), Some(&naive(5_000)));
    assert_eq!(criteria.len(), 8);
    assert!(criteria.iter().all(|one| one.verdict == Verdict::Met), "{criteria:#?}");
}

#[test]
fn a_message_that_is_missing_anywhere_fails_a_run() {
    let check = |run: &Run| everything_is_everywhere(&settings(), run);
    let lacks = |run: &mut Run| {
        (run.outcomes[3].export.present, run.outcomes[3].export.missing) =
            (1_999, vec!["X".into()]);
    };
    breaks(check, lacks, "node-3 lacks 1, as X");
    breaks(check, |run| run.is_equal = false, "the exports differ");
    breaks(check, |run| run.outcomes[0].export.why = Some("broke off".into()), "broke off");
    let unsent = |run: &mut Run| {
        run.sent = 1_999;
        run.outcomes.iter_mut().for_each(|outcome| outcome.export.present = 1_999);
    };
    breaks(check, unsent, "1999 of 2000 were sent");
}

#[test]
fn a_run_that_did_not_exercise_a_node_fails() {
    breaks(all_took_part, |run| run.outcomes[1].created = 0, "nothing was created at node-1");
    breaks(all_took_part, |run| run.outcomes[1].answered = 0, "never seen");
    let silent = |run: &mut Run| run.outcomes[2].pump.recv_pump.pubsub.produced_total = 0;
    breaks(all_took_part, silent, "no gossip came to node-2");
    breaks(was_adverse, |run| run.sent_meanwhile = Some(0), "nothing was sent");
    breaks(was_adverse, |run| run.delayed = Some(0), "far node");
    breaks(was_adverse, |run| run.throttled = Some(0), "slow node");
    let mut without = good();
    (without.throttled, without.skipped) = (None, vec!["no control groups".to_owned()]);
    assert!(was_adverse(&without).detail.contains("skipped: no control groups"));
}

#[test]
fn a_queue_of_a_healthy_node_that_is_full_for_five_seconds_fails_a_run() {
    for lane in 0..4 {
        breaks(
            full_queues_react,
            |run| run.outcomes[0].stuck[lane] = lasting(5_000),
            "was full for",
        );
    }
    let mut shorter = good();
    shorter.outcomes[0].stuck[1] = lasting(4_900);
    shorter.outcomes[2].stuck[1] = lasting(9_000);
    assert_eq!(full_queues_react(&shorter).verdict, Verdict::Met, "it is not healthy anyway");
}

#[test]
fn control_that_waits_longer_than_a_tenth_fails_a_run() {
    let slower = |run: &mut Run| run.outcomes[0].pump.recv_pump.control.dwell_us.p99 = 2_001;
    breaks(control_goes_first, slower, "node-0: 2001 us against 20000 us");
    let mut idle = good();
    idle.outcomes[0].pump.recv_pump.pubsub.dwell_us.p99 = 300;
    let idle = control_goes_first(&idle);
    assert_eq!(idle.verdict, Verdict::NotExercised);
    let mut quick = good();
    let lanes = &mut quick.outcomes[0].pump.recv_pump;
    (lanes.control.dwell_us.p99, lanes.pubsub.dwell_us.p99) = (30, 300);
    assert_eq!(control_goes_first(&quick).verdict, Verdict::Met);
    let small = Settings { messages: 300, ..settings() };
    assert!(!idle.is_good(&settings()) && idle.is_good(&small));
}

#[test]
fn full_queues_must_fall_by_four_fifths() {
    breaks(
        |run| falls(run, &naive(2_000)),
        |run| {
            run.outcomes[1].pump.recv_pump.direct.above_80_ms = 350;
        },
        "fair: 450 ms above 80 % at node-1; naive: 2040 ms at node-2",
    );
    assert_eq!(falls(&good(), &naive(900)).verdict, Verdict::NotExercised);
    let fewer = Run { sent: 1_000, ..naive(2_000) };
    assert_eq!(falls(&good(), &fewer).verdict, Verdict::Failed, "another load");
}

#[test]
fn a_warning_that_comes_first_or_not_at_all_fails_a_run() {
    let said = |warned_first| QueueSaid {
        is_receiving: true,
        stream: "sync".into(),
        info: 1,
        warn: 1,
        warned_first,
    };
    let tell = |run: &mut Run, warned_first| {
        run.outcomes[2].said.queues.insert("recv_pump sync ab".into(), said(warned_first));
    };
    breaks(warned_in_time, |run| tell(run, true), "node-2: recv_pump sync ab");
    let mut told = good();
    tell(&mut told, false);
    told.outcomes[2].above_80[3] = lasting(3_000);
    for criterion in [warned_in_time(&told), full_queues_are_told(&told)] {
        assert_eq!(criterion.verdict, Verdict::Met);
        assert!(criterion.detail.starts_with("1 "), "{}", criterion.detail);
    }
    let untold = |run: &mut Run| run.outcomes[2].above_80[1] = lasting(3_000);
    breaks(full_queues_are_told, untold, "node-2 says nothing of pubsub");
}
