//! `x0x issues run` with real commands: what they are given, how they end, and what is kept of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

#[path = "run/claims.rs"]
mod claims;
mod common;
#[path = "run/loops.rs"]
mod loops;
#[path = "run/proofs.rs"]
mod proofs;
#[path = "run/scene.rs"]
mod scene;
#[path = "run/stopping.rs"]
mod stopping;
#[path = "run/trouble.rs"]
mod trouble;

use std::fs;

use serde_json::{Value, json};

use scene::Scene;

#[test]
fn an_issue_is_claimed_run_and_handed_off() {
    let scene = Scene::of(&["Mend the pump"]);
    scene.place.ok(&["issues", "edit", "T-0001", "--priority", "2"]);
    let script = "cat; env | grep ^X0X_ >&2; echo '{\"summary\":\"mended\"}' > \"$X0X_HANDOFF\"";
    let (code, events) = scene.run(&["--worker", "w"], script);
    assert_eq!((code, events.len()), (0, 2), "{events:?}");
    assert_eq!(
        (&events[0]["event"], &events[1]["event"]),
        (&"claimed".into(), &"handed_off".into())
    );

    let issue = scene.issue("T-0001");
    assert_eq!(issue["state"], "review");
    let handoff = &issue["handoff"];
    assert_eq!(handoff["summary"], "mended");
    assert_eq!(handoff["validation"][0]["status"], "passed");
    assert!(handoff["validation"][0]["command"].as_str().unwrap().starts_with("sh -c 'cat;"));
    let dir = scene.place.repo().join(handoff["proofs_dir"].as_str().unwrap());
    assert!(handoff["proofs_dir"].as_str().unwrap().starts_with("proofs/T-0001/2"));

    let stdin: Value = serde_json::from_slice(&fs::read(dir.join("stdout")).unwrap()).unwrap();
    assert_eq!(
        (&stdin["title"], &stdin["state"]),
        (&"Mend the pump".into(), &"in_progress".into())
    );
    let said = fs::read_to_string(dir.join("stderr")).unwrap();
    let claim = events[0]["claim"].as_str().unwrap();
    for (name, value) in [
        ("X0X_ISSUE_ID", issue["id"].as_str().unwrap()),
        ("X0X_ISSUE_IDENTIFIER", "T-0001"),
        ("X0X_ISSUE_TITLE", "Mend the pump"),
        ("X0X_ISSUE_STATE", "in_progress"),
        ("X0X_ISSUE_PRIORITY", "2"),
        ("X0X_ISSUE_BRANCH_NAME", ""),
        ("X0X_ISSUE_URL", ""),
        ("X0X_ISSUE_ATTEMPT", "1"),
        ("X0X_CLAIM", claim),
        ("X0X_CLAIM_FENCE", "1"),
        ("X0X_WORKER", "w"),
        ("X0X_PROOFS", dir.to_str().unwrap()),
        ("X0X_HANDOFF", dir.join("handoff.json").to_str().unwrap()),
        ("X0X_DATA_DIR", scene.place.data().to_str().unwrap()),
    ] {
        let line = format!("{name}={value}");
        assert!(said.lines().any(|said| said == line), "{line} is not in {said}");
    }

    let manifest = scene::manifest(&dir);
    assert_eq!((&manifest["outcome"], &manifest["exit_code"]), (&"handed_off".into(), &0.into()));
    assert_eq!((&manifest["claim"], &manifest["worker"]), (&claim.into(), &"w".into()));
    let names: Vec<&str> =
        manifest["files"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["handoff.json", "issue.json", "stderr", "stdout"]);
    for file in manifest["files"].as_array().unwrap() {
        let bytes = fs::read(dir.join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"], bytes.len());
        assert_eq!(file["blake3"], blake3::hash(&bytes).to_hex().as_str());
    }
    assert!(manifest["ended_at"].as_str() >= manifest["started_at"].as_str());
    scene.leaves_nothing();
}

#[test]
fn exit_codes_tell_what_came_of_it() {
    let scene = Scene::of(&["One"]);
    let run = |args: &[&str]| scene.place.run(&[&["issues", "run"], args].concat());
    let answer = run(&["--next", "--label", "none", "--", "true"]);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (3, "", ""));
    let error = scene.place.error(&["issues", "run", "--label", "none", "--json", "--", "true"], 3);
    assert_eq!(error["error"], "nothing_ready");
    let answer = run(&["T-0009", "--", "true"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    let answer = run(&["T-0001", "--", "no-such-program"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert_eq!(scene.row("T-0001").tally.claims, 0, "nothing is claimed for it");
    for wrong in [
        &["T-0001"][..],
        &["T-0001", "--next", "--", "true"],
        &["T-0001", "--label", "a", "--", "true"],
        &["--until-idle", "--", "true"],
        &["--worker", "a/b", "--", "true"],
        &["--ttl", "0", "--", "true"],
        &["--timeout", "soon", "--", "true"],
    ] {
        assert_eq!(run(wrong).code, 2, "{wrong:?}");
    }
    let answer = run(&["--", "sh", "-c", "exit 9"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{answer:?}");
    assert!(answer.stderr.contains("T-0001: failed: exit code 9 (again in 10 s)"), "{answer:?}");
    assert_eq!(run(&["T-0001", "--", "true"]).code, 0, "whoever names it insists");
    let error = scene.place.error(&["issues", "run", "T-0001", "--json", "--", "true"], 4);
    assert_eq!(error["error"], "not_claimable");
    scene.leaves_nothing();
}

#[test]
fn a_failure_is_released_with_its_reason_and_a_delay_that_grows() {
    let scene = Scene::of(&["One"]);
    let mut delays = Vec::new();
    for _ in 0..3 {
        let (code, events) = scene.run(&["T-0001", "--attempts", "3"], "kill -9 $$");
        assert_eq!(code, 1);
        assert_eq!(events[1]["reason"], "killed by SIGKILL");
        delays.push(events[1]["retry_after_ms"].as_u64().unwrap());
    }
    assert_eq!(delays, [10_000, 20_000, 86_400_000]);
    let (code, events) = scene.run(&["--next"], "true");
    assert_eq!((code, events.len()), (3, 0), "it is left alone");
    assert_eq!(scene.row("T-0001").rest.unwrap().reason.as_deref(), Some("killed by SIGKILL"));
    assert_eq!(scene.issue("T-0001")["state"], "todo");
    let dir = scene.only_proofs("T-0001", 3).pop().unwrap();
    let manifest = scene::manifest(&dir);
    assert_eq!((&manifest["outcome"], &manifest["signal"]), (&"failed".into(), &9.into()));
    scene.leaves_nothing();
}

#[test]
fn a_handoff_file_that_is_wrong_does_not_lose_the_work() {
    let scene = Scene::of(&["One", "Two", "Three"]);
    for (name, written, why) in [
        ("T-0001", "no JSON", "expected"),
        ("T-0002", "{\"summary\": 7}", "summary must be a text"),
        ("T-0003", "{\"validation\": {}}", "validation: expected a list"),
    ] {
        let script = format!("echo '{written}' > \"$X0X_HANDOFF\"");
        let (code, events) = scene.run(&[name], &script);
        assert_eq!(code, 0, "{events:?}");
        assert!(events[1]["complaint"].as_str().unwrap().contains(why), "{events:?}");
        let issue = scene.issue(name);
        assert_eq!(issue["state"], "review");
        let note = issue["handoff"]["follow_up"][0].as_str().unwrap();
        assert!(note.contains(why) && note.contains("handoff.json"), "{note}");
        let kept = scene.only_proofs(name, 1)[0].join("handoff.json");
        assert_eq!(fs::read_to_string(kept).unwrap().trim(), written);
    }
}

#[test]
fn a_command_may_hand_off_or_release_its_claim_itself() {
    let scene = Scene::of(&["One", "Two"]);
    let script = "echo $X0X_CLAIM > claim; read go < go; exit $go";
    for (ends_as, code, act) in [("handed_off", "0", true), ("released", "1", false)] {
        scene.fifos(&["claim", "go"]);
        let mut running = scene.start(&["--next", "--worker", "w"], script);
        let claimed = running.event("claimed");
        let id = claimed["issue"].as_str().unwrap();
        assert_eq!(scene.hear("claim"), claimed["claim"].as_str().unwrap());
        match act {
            true => scene.hand_off("w", id, "{\"summary\": \"said so itself\"}"),
            false => scene.release("w", id, "not today"),
        }
        scene.say("go", code);
        let event = running.event(ends_as);
        assert_eq!(event["reason"], "its command said so itself");
        assert_eq!(running.finish().0, 0);
        let dir = event["proofs"].as_str().unwrap();
        assert_eq!(scene::manifest(dir.as_ref())["outcome"], ends_as);
    }
    assert_eq!(scene.issue("T-0001")["handoff"]["summary"], "said so itself");
    assert_eq!(scene.row("T-0001").tally.handoffs, 1);
    assert_eq!(scene.row("T-0002").rest.unwrap().reason.as_deref(), Some("not today"));
    scene.leaves_nothing();
}

#[test]
fn a_claim_is_kept_alive_by_beats() {
    let scene = Scene::of(&["One"]);
    scene.fifos(&["up", "go"]);
    let running = scene.start(&["--ttl", "10s"], "echo up > up; read go < go");
    scene.hear("up");
    let mut silent_ms = 0;
    loop {
        let watch = scene.shown("T-0001").watch.unwrap();
        assert!(!watch.is_stale, "{watch:?}");
        let last_ms = std::mem::replace(&mut silent_ms, watch.silent_ms.unwrap());
        if silent_ms < last_ms {
            break;
        }
    }
    scene.say("go", "");
    assert_eq!(running.finish().0, 0);
    let row = scene.row("T-0001");
    assert_eq!((row.tally.claims, row.tally.handoffs), (1, 1), "a lapsed claim is made anew");
}

#[test]
fn people_read_a_line_for_each_event_on_stderr() {
    let scene = Scene::of(&["Mend\u{1b} the pump"]);
    let answer = scene.place.run(&["issues", "run", "--", "true"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, ""));
    let lines: Vec<&str> = answer.stderr.lines().collect();
    assert!(lines[0].starts_with("T-0001  Mend␛ the pump: claimed ("), "{lines:?}");
    assert_eq!(lines[1..], ["T-0001: handed off"]);
    scene.place.ok(&["issues", "create", "Two"]);
    let answer = scene.place.run(&["issues", "run", "--quiet", "--", "true"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

#[test]
fn the_issue_on_stdin_is_read_to_its_end_and_output_of_any_size_is_kept() {
    let scene = Scene::of(&["One"]);
    let (code, events) =
        scene.run(&[], "cat > /dev/null; head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2");
    assert_eq!(code, 0);
    let manifest = scene::manifest(events[1]["proofs"].as_str().unwrap().as_ref());
    let bytes: Vec<&Value> =
        manifest["files"].as_array().unwrap().iter().map(|file| &file["bytes"]).collect();
    assert_eq!(bytes[1..], [&json!(70_000), &json!(3_000_000)]);
}
