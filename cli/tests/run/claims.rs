//! Whose claims a runner works by, and what becomes of those that it does not have any more.

use x0x_tracker::interface::{Pick, Terms};
use x0x_tracker::{Tracker, TrackerError};

use crate::common::{Answer, record};
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
        assert!(row.held.is_none() && row.tally.claims >= 2, "{row:?}");
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
    kill_at_work(&scene, &["--worker", "w"]);
    let args = ["--loop", "--until-idle", "--max-parallel", "2", "--backoff", "0"];
    let script = "test $X0X_ISSUE_TITLE = One || test $X0X_ISSUE_ATTEMPT -gt 1";
    let (code, events) = scene.run(&args, script);
    assert_eq!(code, 0, "{events:?}");
    let count = |event: &str| events.iter().filter(|e| e["event"] == event).count();
    let counts = (count("recovered"), count("failed"), count("handed_off"));
    assert_eq!(counts, (1, 1, 2), "{events:?}");
    scene.leaves_nothing();
}

/// Starts a runner, and kills it once its command is up.
fn kill_at_work(scene: &Scene, args: &[&str]) -> serde_json::Value {
    scene.fifos(&["up"]);
    let mut running = scene.start(args, "echo up > up; exec sleep 1000");
    let claimed = running.event("claimed");
    scene.hear("up");
    running.child.kill().unwrap();
    running.finish();
    claimed
}

#[test]
fn a_claim_that_another_took_over_from_a_killed_runner_is_the_others() {
    let scene = Scene::of(&["One"]);
    let claimed = kill_at_work(&scene, &["--worker", "w", "--ttl", "1s"]);
    let pick = Pick::Issue("T-0001".to_owned());
    let terms = Terms { worker: "other".to_owned(), ttl_ms: Some(600_000), ..Terms::default() };
    let taken = loop {
        match scene.tracker().claim(&pick, &terms) {
            Ok(kept) => break kept.claim,
            Err(TrackerError::Refused { retry_after_ms: Some(_), .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let (code, events) = scene.run(&["--worker", "w", "--next"], "true");
    assert_eq!((code, &events[0]["event"]), (3, &"lost".into()), "{events:?}");
    assert!(events[0]["reason"].as_str().unwrap().contains("worker other"), "{events:?}");
    let row = scene.row("T-0001");
    assert_eq!((row.held.unwrap().claim, row.tally.abandons), (taken, 1), "it gave way");
    let dir = format!("{}-abandoned", claimed["proofs"].as_str().unwrap());
    assert_eq!(crate::scene::manifest(dir.as_ref())["outcome"], "abandoned");
    assert_eq!(scene.run(&["--worker", "w", "--next"], "true").1.len(), 0, "and says so once");
}

#[test]
fn what_killed_runners_of_other_names_left_is_given_back() {
    let scene = Scene::of(&["One", "Two"]);
    kill_at_work(&scene, &["--worker", "a"]);
    kill_at_work(&scene, &["--worker", "b"]);
    assert_eq!(scene.tracker().claims(None).unwrap().len(), 1, "b gave back what a had");
    let (code, events) = scene.run(&["--worker", "c", "--label", "none"], "true");
    assert_eq!((code, &events[0]["event"]), (3, &"recovered".into()), "{events:?}");
    assert_eq!(events.len(), 1, "{events:?}");
    scene.leaves_nothing();
}

#[test]
fn what_a_killed_runner_left_in_another_list_is_given_back_too() {
    let scene = Scene::of(&["One"]);
    let proofs = scene.place.dir().join("elsewhere");
    kill_at_work(&scene, &["--worker", "w", "--proofs", proofs.to_str().unwrap()]);
    let first = scene.place.json(&["issues", "list"])["issues"][0]["id"].clone();
    let other = scene.place.dir().join("other");
    std::fs::create_dir_all(other.join(".git")).unwrap();
    std::fs::write(other.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let there =
        |args: &[&str]| Answer::of(scene.place.command(args).current_dir(&other).output().unwrap());
    assert_eq!(there(&["init", "--name", "other", "--prefix", "O"]).code, 0);
    let answer = there(&["issues", "run", "--worker", "w", "--json", "--", "true"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    let event: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((&event["event"], &event["issue"]), (&"recovered".into(), &first));
    let jobs = std::fs::read_dir(proofs.join("T-0001")).unwrap();
    for job in jobs.map(|job| job.unwrap().path()) {
        assert_eq!(crate::scene::manifest(&job)["outcome"], "interrupted");
    }
}
