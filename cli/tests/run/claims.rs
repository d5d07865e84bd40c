//! Whose claims a runner works by, and what becomes of those that it does not have any more.

use x0x_tracker::Tracker;

use crate::common::record;
use crate::scene::{Scene, holding};

#[test]
fn a_claim_that_its_own_worker_renewed_is_not_lost() {
    for (code, event) in [("0", "handed_off"), ("3", "failed")] {
        let scene = Scene::of(&["One"]);
        scene.fifos(&["up", "go", "late"]);
        let script =
            "echo up > up; read go < go; sleep 1.1; echo late > late; read go < go; exit $go";
        let mut running = scene.start(&["--ttl", "1s", "--worker", "w"], script);
        let claimed = running.event("claimed");
        scene.hear("up");
        // Nobody else can beat the claim until it has lapsed, and then its own worker renews it.
        let mut tracker = scene.tracker();
        scene.say("go", "");
        scene.hear("late");
        let kept = tracker.heartbeat(&holding("w", "T-0001")).unwrap();
        assert!(kept.renewed && claimed["claim"] != kept.claim.to_string());
        drop(tracker);
        scene.say("go", code);
        let (_, events) = running.finish();
        assert_eq!(events[0]["event"], event, "{events:?}");
        let row = scene.row("T-0001");
        assert_eq!((row.tally.claims, row.tally.takeovers), (2, 0), "{row:?}");
        scene.only_proofs("T-0001", 1);
        scene.leaves_nothing();
    }
}

#[test]
fn issues_that_share_an_id_are_worked_on_each() {
    let scene = Scene::of(&[]);
    let other = record("T-1", "Two", "todo").replace("2026-05-01", "2026-05-02");
    scene.place.write_jsonl(&(record("T-1", "One", "todo") + &other));
    scene.place.ok(&["issues", "import"]);
    let args = ["--loop", "--until-idle", "--max-parallel", "2", "--backoff", "0"];
    let script = "test $X0X_ISSUE_TITLE = Two || test $X0X_ISSUE_ATTEMPT -gt 1";
    let (code, events) = scene.run(&args, script);
    assert_eq!(code, 0, "{events:?}");
    let count = |event: &str| events.iter().filter(|e| e["event"] == event).count();
    assert_eq!((count("failed"), count("handed_off")), (1, 2), "{events:?}");
    scene.leaves_nothing();
}
