//! What is in a runner's way, and how far it keeps it: a busy store, proofs that cannot be kept, a
//! program that does not start.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::common::record;
use crate::scene::Scene;

#[test]
fn a_busy_store_is_told_at_once_to_whoever_wants_one_issue() {
    let scene = Scene::of(&["One"]);
    let tracker = scene.tracker();
    let args = ["issues", "run", "--next", "--lock-timeout", "0", "--json", "--", "true"];
    let error = scene.place.error(&args, 1);
    assert_eq!((&error["error"], &error["retryable"]), (&"busy".into(), &true.into()));
    drop(tracker);
    assert_eq!(scene.run(&["--next"], "true").0, 0);
}

#[test]
fn a_loop_waits_for_a_busy_store_and_says_so_once() {
    let scene = Scene::of(&["One"]);
    let tracker = scene.tracker();
    let args = ["--loop", "--limit", "1", "--lock-timeout", "0", "--poll", "0.01"];
    let mut running = scene.start(&args, "true");
    let busy = running.event("busy");
    assert!(busy["detail"].as_str().unwrap().contains("process"), "who has it: {busy}");
    drop(tracker);
    let (code, events) = running.finish();
    assert_eq!((code, &events[0]["event"]), (0, &"claimed".into()), "{events:?}");
}

#[test]
fn an_interrupt_ends_the_wait_for_a_busy_store_and_is_not_nothing_ready() {
    let scene = Scene::of(&["One"]);
    let tracker = scene.tracker();
    let mut running = scene.start(&["--next", "--lock-timeout", "3600"], "true");
    running.await_signals();
    running.signal(Signal::INT);
    running.event("stopping");
    let (code, events) = running.finish();
    assert_eq!((code, events.len()), (1, 0), "{events:?}");
    drop(tracker);
    scene.leaves_nothing();
}

#[test]
fn an_issue_whose_proofs_cannot_be_kept_is_given_back_and_the_others_go_on() {
    let scene = Scene::of(&["In the way", "Two"]);
    let long = "X".repeat(256);
    scene.place.write_jsonl(&record(&long, "Long", "todo"));
    scene.place.ok(&["issues", "import"]);
    let proofs = scene.place.repo().join("proofs");
    fs::create_dir(&proofs).unwrap();
    fs::write(proofs.join("T-0001"), "a file").unwrap();
    let (code, events) = scene.run(&["--loop", "--until-idle", "--attempts", "1"], "true");
    assert_eq!(code, 0, "{events:?}");
    let done = events.iter().filter(|event| event["event"] == "handed_off").count();
    assert_eq!(done, 2, "{events:?}");
    let reason = scene.row("T-0001").rest.unwrap().reason.unwrap();
    let expected = format!("cannot keep proofs in {}: ", proofs.display());
    assert!(reason.starts_with(&expected), "{reason}");
    scene.place.ok(&["issues", "validate", "--store"]);
}

#[test]
fn a_program_that_does_not_start_ends_the_loop_before_the_next_issue() {
    let scene = Scene::of(&["One", "Two"]);
    let program = scene.place.repo().join("work");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let answer = scene.place.run(&["issues", "run", "--loop", "--", "./work"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("error: cannot start ./work"), "{answer:?}");
    let rest = scene.row("T-0001").rest.unwrap();
    assert_eq!((rest.failures, rest.retry_after_ms), (0, 0), "it is no fault of the issue");
    assert_eq!(scene.row("T-0002").tally.claims, 0);
    scene.leaves_nothing();
}

#[test]
fn proofs_that_cannot_be_closed_are_left_to_the_next_runner() {
    let scene = Scene::of(&["One"]);
    let script = "cp -r \"$X0X_PROOFS\" kept; rm -r \"$X0X_PROOFS\"; : > \"$X0X_PROOFS\"";
    let (code, events) = scene.run(&["--worker", "w"], script);
    assert_eq!(code, 0, "{events:?}");
    assert!(events[1]["complaint"].as_str().unwrap().contains("cannot close"), "{events:?}");
    // The disk can be written again.
    let dir = events[1]["proofs"].as_str().unwrap();
    fs::remove_file(dir).unwrap();
    fs::rename(scene.place.repo().join("kept"), dir).unwrap();
    assert_eq!(crate::scene::manifest(dir.as_ref())["state"], "running");
    scene.run(&["--worker", "w", "--label", "none"], "true");
    assert_eq!(crate::scene::manifest(dir.as_ref())["outcome"], "handed_off");
    scene.leaves_nothing();
}

#[test]
fn a_command_line_of_any_length_is_handed_off() {
    let scene = Scene::of(&["One"]);
    let script = format!(": {}", "x".repeat(120_000));
    let (code, events) = scene.run(&[], &script);
    assert_eq!((code, &events[1]["complaint"]), (0, &serde_json::Value::Null), "{events:?}");
    let dir = events[1]["proofs"].as_str().unwrap();
    assert_eq!(crate::scene::manifest(dir.as_ref())["command"][2], script);
    assert!(scene.issue("T-0001")["handoff"].to_string().len() < 4_096);
}
