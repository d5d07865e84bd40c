//! How commands are ended, and that nothing of them stays: whoever wants them to end, and whatever is
//! killed.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::scene::{Running, Scene, manifest};

/// A script that says it is up, and then waits for ever in three kinds of children: one of its group,
/// one with a session of its own, and one whose parent is gone.
const FAMILY: &str = "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &)
    echo $$ > up; ";

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().unwrap()).unwrap()
}

/// Returns a field of `/proc/PID/stat` as proc_pid_stat(5) counts them.
fn stat(pid: &str, field: usize) -> String {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    line.rsplit_once(") ").unwrap().1.split(' ').nth(field - 3).unwrap().to_owned()
}

fn keeper_of(leader: &str) -> Pid {
    pid(&stat(leader, 4))
}

/// Starts a runner whose command says `up`; returns what it said.
fn up(scene: &Scene, args: &[&str], script: &str) -> (Running, Value, String) {
    scene.fifos(&["up"]);
    let mut running = scene.start(args, script);
    let claimed = running.event("claimed");
    let said = scene.hear("up");
    (running, claimed, said)
}

#[test]
fn nothing_is_left_of_a_command_that_ends_before_its_children() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["up"]);
    let running = scene.start(&[], &format!("{FAMILY} exit 0"));
    scene.hear("up");
    let (code, events) = running.finish();
    assert_eq!(code, 0, "{events:?}");
    scene.leaves_nothing();
}

#[test]
fn an_interrupt_ends_the_command_and_gives_the_issue_back_at_once() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let scene = Scene::of(&["One"]);
        let script = format!("trap 'echo bye; exit 0' TERM; {FAMILY} wait");
        let (running, claimed, _) = up(&scene, &["--loop"], &script);
        running.signal(signal);
        let (code, events) = running.finish();
        assert_eq!(code, 0, "a loop has no other end");
        assert_eq!(events[0]["event"], "stopping");
        assert_eq!(events[1]["event"], "interrupted");
        let dir = claimed["proofs"].as_str().unwrap();
        let said = fs::read_to_string(format!("{dir}/stdout")).unwrap();
        assert_eq!(said, "bye\n", "SIGTERM comes first");
        assert_eq!(manifest(dir.as_ref())["outcome"], "interrupted");
        assert_eq!(scene.row("T-0001").rest.unwrap().reason.as_deref(), Some("interrupted"));
        scene.leaves_nothing();
        assert_eq!(scene.run(&["--next"], "true").0, 0, "it is ready");
    }
}

#[test]
fn an_interrupted_run_of_one_issue_has_failed() {
    let scene = Scene::of(&["One"]);
    let (running, ..) = up(&scene, &["T-0001"], "echo up > up; sleep 1000");
    running.signal(Signal::INT);
    assert_eq!(running.finish().0, 1);
    scene.leaves_nothing();
}

#[test]
fn a_second_interrupt_waits_for_no_grace() {
    let scene = Scene::of(&["One"]);
    let script = format!("trap '' TERM; {FAMILY} while :; do sleep 1000; done");
    let (mut running, claimed, _) = up(&scene, &["--grace", "1h"], &script);
    running.signal(Signal::INT);
    running.event("stopping");
    running.signal(Signal::INT);
    running.event("interrupted");
    assert_eq!(running.finish().0, 1);
    let dir = claimed["proofs"].as_str().unwrap();
    assert_eq!(manifest(dir.as_ref())["signal"], 9);
    scene.leaves_nothing();
}

#[test]
fn a_command_that_takes_too_long_and_ignores_sigterm_is_killed_after_its_grace() {
    let scene = Scene::of(&["One"]);
    let script = format!("trap 'echo no' TERM; {FAMILY} while :; do sleep 1000; done");
    let args = ["--timeout", "4s", "--grace", "1s"];
    let (running, ..) = up(&scene, &args, &script);
    let (code, events) = running.finish();
    assert_eq!((code, &events[0]["event"]), (1, &"timed_out".into()), "{events:?}");
    assert_eq!(events[0]["reason"], "timed out after 4 s");
    let dir = &scene.only_proofs("T-0001", 1)[0];
    assert_eq!(fs::read_to_string(dir.join("stdout")).unwrap(), "no\n");
    let manifest = manifest(dir);
    assert_eq!((&manifest["outcome"], &manifest["signal"]), (&"timed_out".into(), &9.into()));
    assert!(scene.row("T-0001").rest.unwrap().retry_after_ms >= 10_000);
    scene.leaves_nothing();
}

#[test]
fn a_lost_claim_ends_the_command_and_its_proofs_are_kept_apart() {
    let scene = Scene::of(&["One"]);
    let script = format!("trap 'echo bye; exit 0' TERM; {FAMILY} wait");
    let (running, claimed, _) = up(&scene, &["--ttl", "1s"], &script);
    scene.force("T-0001", "somebody else shall do it");
    let (code, events) = running.finish();
    assert_eq!((code, &events[0]["event"]), (4, &"abandoned".into()), "{events:?}");
    assert!(events[0]["reason"].as_str().unwrap().contains("somebody else shall do it"));
    let dir = format!("{}-abandoned", claimed["proofs"].as_str().unwrap());
    assert_eq!(events[0]["proofs"], dir.as_str());
    assert_eq!(manifest(dir.as_ref())["outcome"], "abandoned");
    assert_eq!(fs::read_to_string(format!("{dir}/stdout")).unwrap(), "bye\n");
    assert_eq!(scene.only_proofs("T-0001", 1)[0].to_str(), Some(dir.as_str()));
    assert_eq!(scene.issue("T-0001")["state"], "todo");
    scene.leaves_nothing();
}

#[test]
fn exit_0_after_the_claim_was_lost_hands_nothing_off() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["up", "go"]);
    let mut running = scene.start(&[], "echo up > up; read go < go");
    running.event("claimed");
    scene.hear("up");
    scene.force("T-0001", "not this one");
    scene.say("go", "0");
    let (code, events) = running.finish();
    assert_eq!((code, &events[0]["event"]), (4, &"abandoned".into()), "{events:?}");
    assert_eq!(scene.row("T-0001").tally.handoffs, 0);
    assert!(scene.only_proofs("T-0001", 1)[0].to_str().unwrap().ends_with("-abandoned"));
    scene.leaves_nothing();
}

#[test]
fn a_killed_runner_leaves_no_command_and_the_next_of_its_name_gives_the_issue_back() {
    let scene = Scene::of(&["One", "By hand"]);
    scene.place.ok(&["issues", "edit", "T-0001", "--priority", "1"]);
    // What the same worker had claimed by hand before is no business of the runner.
    let pick = x0x_tracker::interface::Pick::Issue("T-0002".to_owned());
    let terms = x0x_tracker::interface::Terms {
        worker: "w".to_owned(),
        ttl_ms: None,
        ..x0x_tracker::interface::Terms::default()
    };
    x0x_tracker::Tracker::claim(&mut scene.tracker(), &pick, &terms).unwrap();

    let script = format!("trap '' TERM; {FAMILY} while :; do sleep 1000; done");
    let (mut running, claimed, _) =
        up(&scene, &["--loop", "--worker", "w", "--grace", "1s"], &script);
    running.child.kill().unwrap();
    running.finish();
    assert_eq!(scene.processes(), [""; 0], "its keeper has ended the command");
    let dir = claimed["proofs"].as_str().unwrap();
    assert_eq!(manifest(dir.as_ref())["state"], "running");
    assert!(scene.row("T-0001").held.is_some());

    let (code, events) = scene.run(&["--worker", "w", "--label", "none"], "true");
    assert_eq!((code, events.len()), (3, 1), "{events:?}");
    assert_eq!(events[0]["event"], "recovered");
    assert_eq!(events[0]["identifier"], "T-0001");
    let manifest = manifest(dir.as_ref());
    assert_eq!(
        (&manifest["state"], &manifest["outcome"]),
        (&"ended".into(), &"interrupted".into())
    );
    assert_eq!(manifest["reason"], "its runner ended without a word");
    let rest = scene.row("T-0001").rest.unwrap();
    assert_eq!(rest.reason.as_deref(), Some("its runner ended without a word"));
    assert!(scene.row("T-0002").held.is_some());
    scene.release("w", "T-0002", "done with it");
    assert_eq!(scene.run(&["--worker", "w", "--label", "none"], "true").1.len(), 0, "only once");
    scene.leaves_nothing();
}

#[test]
fn a_killed_keeper_takes_its_command_with_it() {
    let scene = Scene::of(&["One"]);
    let script = format!("trap '' TERM; {FAMILY} sleep 1000; :");
    let (running, _, leader) = up(&scene, &[], &script);
    kill_process(keeper_of(&leader), Signal::KILL).unwrap();
    let (code, events) = running.finish();
    assert_eq!((code, &events[0]["event"]), (1, &"failed".into()), "{events:?}");
    assert_eq!(events[0]["reason"], "its keeper was killed");
    scene.leaves_nothing();
}

#[test]
fn a_command_that_outlived_its_runner_and_its_keeper_is_ended_before_its_issue_is_given_out() {
    for (next, waits) in [("w", 2), ("another", 0)] {
        let scene = Scene::of(&["One"]);
        let script = format!("{FAMILY} wait");
        let (mut running, _, leader) = up(&scene, &["--worker", "w"], &script);
        let keeper = keeper_of(&leader);
        // Stopped, the runner cannot see its keeper die.
        running.signal(Signal::STOP);
        kill_process(keeper, Signal::KILL).unwrap();
        running.child.kill().unwrap();
        running.finish();
        assert!(!scene.processes().is_empty(), "they live");
        let (code, events) = scene.run(&["--worker", next, "--label", "none"], "true");
        let told = |event: &str| events.iter().filter(|e| e["event"] == event).count();
        assert_eq!((code, told("waiting"), told("recovered")), (3, waits, 1), "{events:?}");
        scene.leaves_nothing();
    }
}

#[test]
fn a_runner_below_an_orphaned_command_does_not_wait_for_itself() {
    let scene = Scene::of(&["One", "Two"]);
    scene.place.ok(&["issues", "edit", "T-0001", "--priority", "1"]);
    scene.fifos(&["up", "go", "named", "unnamed"]);
    let own = format!("{} issues run", env!("CARGO_BIN_EXE_x0x"));
    let script = format!(
        "echo $$ > up; read go < go; {own} --worker w -- true 2> /dev/null; echo $? > named; \
         env -u X0X_WORKER {own} --next -- true 2> /dev/null; echo $? > unnamed; sleep 1000"
    );
    let mut running = scene.start(&["--worker", "w"], &script);
    running.event("claimed");
    let keeper = keeper_of(&scene.hear("up"));
    running.signal(Signal::STOP);
    kill_process(keeper, Signal::KILL).unwrap();
    running.child.kill().unwrap();
    running.finish();
    scene.say("go", "");
    assert_eq!(scene.hear("named"), "4", "the name is taken");
    assert_eq!(scene.hear("unnamed"), "0", "another is found");
    scene.run(&["--worker", "w", "--label", "none"], "true");
    scene.leaves_nothing();
}

#[test]
fn a_killed_keeper_does_not_cost_the_children_that_the_runner_had_before() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["up", "before"]);
    let own = env!("CARGO_BIN_EXE_x0x");
    let command = "'echo $$ > up; sleep 1000; :'";
    let script = format!(
        "env -u X0X_DATA_DIR sleep 1000 & echo $! > before; exec {own} issues run -- sh -c {command}"
    );
    let mut wrapped = std::process::Command::new("sh");
    wrapped.args(["-c", &script]).current_dir(scene.place.repo());
    wrapped.stderr(std::process::Stdio::null()).env("X0X_DATA_DIR", scene.place.data());
    let mut runner = wrapped.spawn().unwrap();
    let before = pid(&scene.hear("before"));
    kill_process(keeper_of(&scene.hear("up")), Signal::KILL).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(1));
    // It would be gone, and its number free.
    kill_process(before, Signal::KILL).expect("it lives");
    scene.leaves_nothing();
}

#[test]
fn a_command_has_no_terminal_to_wait_for() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["up", "go"]);
    let mut running = scene.start(&[], "echo $$ > up; read go < go");
    running.event("claimed");
    let leader = scene.hear("up");
    let runner = running.child.id().to_string();
    let (session, keeper) = (stat(&leader, 6), keeper_of(&leader));
    assert_ne!(session, stat(&runner, 6));
    assert_eq!(session, keeper.as_raw_nonzero().to_string());
    scene.say("go", "");
    running.finish();
}

#[test]
fn a_runner_is_not_suspended_while_its_commands_go_on() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["go"]);
    let mut running = scene.start(&[], "read go < go");
    running.event("claimed");
    running.signal(Signal::TSTP);
    running.event("not_suspended");
    scene.say("go", "");
    assert_eq!(running.finish().0, 0);
}
