//! Runners that go on: several commands at a time, several runners, failures that are tried again, and
//! kills in the middle.

use std::collections::BTreeMap;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use x0x_tracker::Tracker;

use crate::scene::Scene;

fn scene_of(issues: usize) -> Scene {
    let scene = Scene::of(&[]);
    let mut tracker = scene.tracker();
    for number in 0..issues {
        let draft = x0x_tracker::interface::Draft::titled(&number.to_string());
        tracker.create(&draft).unwrap();
    }
    drop(tracker);
    scene
}

/// How many events there are of each name.
fn tally(events: &[Value]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for event in events {
        *tally.entry(event["event"].as_str().unwrap()).or_default() += 1;
    }
    tally
}

#[test]
fn a_loop_until_idle_tries_again_what_failed() {
    let scene = scene_of(3);
    let script = "test $X0X_ISSUE_TITLE != 1 || test $X0X_ISSUE_ATTEMPT -gt 2";
    let args = ["--loop", "--until-idle", "--backoff", "0", "--max-parallel", "2"];
    let (code, events) = scene.run(&args, script);
    assert_eq!(code, 0);
    let tally = tally(&events);
    assert_eq!((tally["claimed"], tally["failed"], tally["handed_off"]), (5, 2, 3), "{tally:?}");
    for name in ["T-0001", "T-0002", "T-0003"] {
        assert_eq!(scene.issue(name)["state"], "review");
    }
    scene.leaves_nothing();
}

#[test]
fn a_loop_until_idle_says_which_issue_it_waits_for_and_how_long() {
    let scene = scene_of(1);
    let args = ["--loop", "--until-idle", "--backoff", "2s"];
    let (code, events) = scene.run(&args, "test $X0X_ISSUE_ATTEMPT -gt 1");
    assert_eq!(code, 0, "{events:?}");
    let idle = events.iter().find(|event| event["event"] == "idle").unwrap();
    let said = idle["detail"].as_str().unwrap();
    assert!(said.contains("waiting for T-0001") && said.ends_with(" s"), "{said}");
    scene.leaves_nothing();
}

#[test]
fn a_loop_takes_what_becomes_ready_and_no_more_than_its_limit() {
    let scene = scene_of(1);
    let args = ["--loop", "--poll", "0.05", "--limit", "2"];
    let mut running = scene.start(&args, "true");
    running.event("handed_off");
    running.event("idle");
    scene.place.create(&["Two"]);
    scene.place.create(&["Three"]);
    let (code, events) = running.finish();
    assert_eq!((code, tally(&events)["handed_off"]), (0, 1));
    assert_eq!(scene.issue("T-0003")["state"], "todo");
    scene.leaves_nothing();
}

#[test]
fn as_many_commands_run_at_a_time_as_were_asked_for() {
    let scene = scene_of(3);
    scene.fifos(&["up", "go"]);
    let args = ["--loop", "--until-idle", "--max-parallel", "2"];
    let mut running = scene.start(&args, "echo $X0X_ISSUE_TITLE > up; read go < go");
    running.event("claimed");
    running.event("claimed");
    // Each waits for a word of its own, so both are up before either goes on.
    let reader = std::fs::File::open(scene.place.repo().join("up")).unwrap();
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(reader));
    let mut up: Vec<String> = (0..2).filter_map(|_| said.next()).map(Result::unwrap).collect();
    if up.len() < 2 {
        up.push(scene.hear("up"));
    }
    up.sort();
    assert_eq!(up, ["0", "1"]);
    assert_eq!(scene.tracker().claims(None).unwrap().len(), 2);
    running.signal(Signal::INT);
    running.finish();
    scene.leaves_nothing();
}

#[test]
fn two_runners_on_one_store_work_on_every_issue_once() {
    let scene = scene_of(16);
    let args = ["--loop", "--until-idle", "--max-parallel", "2"];
    let runs: Vec<(i32, Vec<Value>)> = thread::scope(|scope| {
        let run = || scope.spawn(|| scene.run(&args, "cat > /dev/null"));
        let runs = [run(), run()];
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let handed_off: usize =
        runs.iter().map(|(_, events)| tally(events).get("handed_off").copied().unwrap_or(0)).sum();
    assert_eq!((runs[0].0, runs[1].0, handed_off), (0, 0, 16));
    for number in 1..=16 {
        let row = scene.row(&format!("T-{number:04}"));
        assert_eq!((row.tally.claims, row.tally.handoffs), (1, 1), "{}", row.title);
    }
    scene.leaves_nothing();
}

#[test]
fn a_name_that_a_living_runner_has_is_refused() {
    let scene = scene_of(2);
    scene.fifos(&["up"]);
    let running = scene.start(&["--worker", "w"], "echo up > up; sleep 1000");
    scene.hear("up");
    let args = ["issues", "run", "--worker", "w", "--json", "--", "true"];
    let error = scene.place.error(&args, 4);
    assert_eq!(error["error"], "worker_taken");
    assert_eq!(scene.run(&[], "test $X0X_WORKER = run-1").0, 0, "another name is found");
    running.signal(Signal::INT);
    running.finish();
    scene.leaves_nothing();
}

#[test]
fn a_beat_of_a_busy_store_is_late_and_not_lost() {
    let scene = scene_of(1);
    scene.fifos(&["up", "go", "late"]);
    let args = ["--ttl", "1s", "--lock-timeout", "0"];
    let script = "echo up > up; read go < go; sleep 1.1; echo late > late; read go < go";
    let running = scene.start(&args, script);
    scene.hear("up");
    // Nobody else can write for longer than the claim lives without a beat.
    let tracker = scene.tracker();
    scene.say("go", "");
    scene.hear("late");
    drop(tracker);
    scene.say("go", "");
    let (code, events) = running.finish();
    assert_eq!(code, 0, "{events:?}");
    let row = scene.row("T-0001");
    assert_eq!(row.tally.handoffs, 1);
    assert!(row.tally.claims > 1, "it had lapsed, and was made anew");
    scene.leaves_nothing();
}

/// What the command does with an issue, by the number in its title: the first few of the fourth kind
/// hang, and nothing else comes near the time that a command may take.
const MIXED: &str = r#"
    case $((X0X_ISSUE_TITLE % 6)) in
        0) cat ;;
        1) exit 3 ;;
        2) test $X0X_ISSUE_ATTEMPT -gt 1 ;;
        3) if test $X0X_ISSUE_TITLE -lt 24; then trap '' TERM; while :; do sleep 1000; done; fi
           kill -15 $$ ;;
        4) setsid sleep 1000 & sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &)
           echo $X0X_ISSUE_TITLE >> forked ;;
        5) sleep 1000 & kill -9 $$ ;;
    esac"#;

/// Returns how an issue of the mix ends: in review, or ready with a reason.
fn end_of(number: usize) -> Option<&'static str> {
    match number % 6 {
        0 | 2 | 4 => None,
        1 => Some("exit code 3"),
        3 if number < 24 => Some("timed out after 6 s"),
        3 => Some("killed by SIGTERM"),
        _ => Some("killed by SIGKILL"),
    }
}

/// How many issues there are in the great mix; `X0X_STRESS` says another number.
fn mixed_issues() -> usize {
    std::env::var("X0X_STRESS").map_or(60, |number| number.parse().unwrap())
}

#[test]
fn every_issue_ends_in_review_or_is_ready_again_with_its_reason_whatever_is_killed() {
    let count = mixed_issues();
    let scene = scene_of(count);
    let plan = ["--loop", "--until-idle", "--max-parallel", "4", "--backoff", "0"];
    let args = [&plan[..], &["--timeout", "6s", "--grace", "0", "--attempts", "2"]].concat();
    // Two runners are killed in the middle, the third goes on to the end.
    let mut all = Vec::new();
    for kill_after in [count / 4, count / 3] {
        let mut running = scene.start(&args, MIXED);
        let mut claims = 0;
        while claims < kill_after {
            let event = running.next().unwrap();
            claims += usize::from(event["event"] == "claimed");
            all.push(event);
        }
        running.child.kill().unwrap();
        all.extend(running.finish().1);
        assert_eq!(scene.processes(), [""; 0]);
        assert!(!scene.tracker().claims(None).unwrap().is_empty(), "the kill met what was held");
    }
    let (code, events) = scene.run(&args, MIXED);
    assert_eq!(code, 0);
    all.extend(events);

    for number in 0..count {
        let row = scene.row(&format!("T-{:04}", number + 1));
        let reason = row.rest.as_ref().and_then(|rest| rest.reason.as_deref());
        let end = end_of(number);
        let state = if end.is_none() { "review" } else { "todo" };
        assert_eq!((row.state.as_deref(), reason), (Some(state), end), "{number}: {row:?}");
        assert_eq!(row.tally.handoffs, u32::from(end.is_none()), "{number}");
        assert!(number % 6 != 2 || row.tally.claims > 1, "{number} failed before it succeeded");
    }
    scene.leaves_nothing();
    let ready = scene.place.ok(&["issues", "ready", "--explain"]);
    assert!(ready.contains("left alone for"), "{ready}");
    scene.place.ok(&["issues", "validate", "--store"]);

    // The mix was as great as it is meant to be: the reasons above tell of those that failed.
    let recovered = tally(&all).get("recovered").copied();
    assert!(recovered >= Some(2), "each kill met commands that ran: {recovered:?}");
    let forked = std::fs::read_to_string(scene.place.repo().join("forked")).unwrap();
    for number in (4..count).step_by(6) {
        assert!(forked.lines().any(|line| line == number.to_string()), "{number} of {forked}");
    }
}
