//! Claims as workers type them: who may take an issue, what is answered, and what exit codes say.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use common::{Place, record};
use serde_json::{Value, json};

/// Claims an issue and returns the answer.
fn claim(place: &Place, name: &str, worker: &str) -> Value {
    place.json(&["issues", "claim", name, "--worker", worker])
}

/// Waits until a command succeeds, as it does once a claim has lapsed; each try takes a while.
fn patiently(place: &Place, args: &[&str]) -> Value {
    for _ in 0..2_000 {
        let answer = place.run(&[args, &["--json"]].concat());
        match answer.code {
            0 => return serde_json::from_str(&answer.stdout).unwrap(),
            4 => {}
            _ => panic!("{answer:?}"),
        }
    }
    panic!("{args:?} never succeeded");
}

#[test]
fn a_claim_is_answered_with_token_deadline_and_fence() {
    let place = Place::with_list();
    place.create(&["One"]);
    let issue = place.json(&["issues", "claim", "T-0001", "--ttl", "15m", "--worker", "a"]);
    assert_eq!((&issue["state"], &issue["identifier"]), (&json!("in_progress"), &json!("T-0001")));
    let claim = &issue["claim"];
    assert_eq!((&claim["fence"], &claim["ttl_ms"]), (&json!(1), &json!(900_000)));
    assert_eq!((&claim["worker"], &claim["standing"]), (&json!("a"), &json!("confirmed")));
    assert_eq!(claim["id"].as_str().unwrap().len(), 64);
    assert!(claim["deadline"].as_str().unwrap() > claim["at"].as_str().unwrap());
    let page = place.ok(&["issues", "show", "T-0001"]);
    for text in ["this agent, worker a", "primary", "more without a heartbeat", "1 so far"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let list = place.ok(&["issues", "list"]);
    assert!(list.contains("HELD BY") && list.contains("a 15m"), "{list}");
    assert!(list.contains("CLAIM") && list.contains("primary 0s, try 1"), "{list}");
    let listed = place.json(&["issues", "list"])["issues"][0]["claim"].clone();
    for (name, value) in [("worker", json!("a")), ("slot", json!(0)), ("attempts", json!(1))] {
        assert_eq!(listed[name], value, "{listed}");
    }
    assert!(listed["age_ms"].is_u64() && listed["left_ms"].is_u64(), "{listed}");
    assert!(place.run(&["issues", "next"]).code == 3);
}

#[test]
fn a_second_worker_of_the_same_agent_is_refused_and_told_who_holds_it() {
    let place = Place::with_list();
    place.create(&["One"]);
    let issue = claim(&place, "T-0001", "a");
    for worker in ["b", "a"] {
        let error = place.error(&["issues", "claim", "T-0001", "--worker", worker], 4);
        assert_eq!((&error["error"], &error["holder"]["worker"]), (&json!("claimed"), &json!("a")));
        assert_eq!(error["holder"]["claim"], issue["claim"]["id"]);
        assert!(error["retry_after_ms"].is_u64() && error["retryable"] == true);
    }
    for command in ["heartbeat", "release", "handoff"] {
        let args = ["issues", command, "T-0001", "--worker", "b"];
        let summary = ["--summary", "done"];
        let args =
            if command == "handoff" { [&args[..], &summary].concat() } else { args.to_vec() };
        let error = place.error(&args, 4);
        assert_eq!(error["holder"]["worker"], "a", "{command}");
    }
}

#[test]
fn a_worker_goes_on_after_a_crash_with_the_claim_that_it_had() {
    let place = Place::with_list();
    for title in ["One", "Two"] {
        place.create(&[title]);
    }
    let before = claim(&place, "T-0002", "a");
    for args in [&["T-0002"][..], &[]] {
        let args = [&["issues", "claim"], args, &["--worker", "a", "--resume"]].concat();
        let after = place.json(&args);
        for field in ["id", "fence"] {
            assert_eq!(after["claim"][field], before["claim"][field], "{args:?}");
        }
    }
    let other = place.json(&["issues", "next", "--claim", "--worker", "b", "--resume"]);
    assert_eq!(other["identifier"], "T-0001");
    place.error(&["issues", "next", "--resume"], 2);
}

#[test]
fn a_lapsed_claim_is_taken_over_and_its_worker_told() {
    let place = Place::with_list();
    place.create(&["One"]);
    place.ok(&["issues", "claim", "T-0001", "--ttl", "1s", "--worker", "a"]);
    let taken = patiently(&place, &["issues", "claim", "T-0001", "--worker", "b"]);
    assert_eq!((&taken["claim"]["fence"], &taken["claim"]["worker"]), (&json!(2), &json!("b")));
    let error = place.error(&["issues", "handoff", "--worker", "a", "--summary", "mine"], 4);
    assert_eq!((&error["error"], &error["holder"]["worker"]), (&json!("claim_lost"), &json!("b")));
    let stats = place.json(&["issues", "stats"]);
    assert_eq!((&stats["takeovers"], &stats["abandons"]), (&json!(1), &json!(1)));
}

#[test]
fn a_lapsed_claim_that_nobody_took_is_renewed_and_that_is_said() {
    let place = Place::with_list();
    place.create(&["One"]);
    let token = |issue: &Value| issue["claim"]["id"].as_str().unwrap().to_owned();
    let first = place.json(&["issues", "claim", "T-0001", "--ttl", "1s"]);
    let lapsed = || place.json(&["issues", "show", "T-0001"])["claim"]["stale"] == true;
    while !lapsed() {}
    let renewed = place.json(&["issues", "heartbeat"]);
    assert_eq!(
        (&renewed["claim"]["renewed"], &renewed["claim"]["fence"]),
        (&json!(true), &json!(2))
    );
    assert_ne!(token(&renewed), token(&first));
    while !lapsed() {}
    let handed_off = place.run(&["issues", "handoff", "T-0001", "--summary", "done"]);
    assert!(handed_off.stderr.contains("renewed"), "{handed_off:?}");
    assert_eq!(handed_off.stdout, "T-0001  review  One\n");
}

#[test]
fn a_handoff_comes_from_a_file_from_stdin_and_from_flags() {
    let place = Place::with_list();
    for (n, title) in (1..).zip(["One", "Two", "Three"]) {
        place.create(&[title]);
        claim(&place, &format!("T-000{n}"), "main");
    }
    let file = place.dir().join("handoff.json");
    std::fs::write(&file, "{\"summary\":\"from the file\",\"follow_up\":[\"docs\"],\"extra\":1.0}")
        .unwrap();
    let file = file.to_str().unwrap();
    place.ok(&["issues", "handoff", "T-0001", "--file", file]);
    let issue = place.json(&["issues", "show", "T-0001"]);
    assert_eq!(issue["handoff"]["summary"], "from the file");
    assert_eq!(issue["handoff"]["files_changed"], json!([]));
    place.ok(&[
        "issues",
        "handoff",
        "T-0002",
        "--file",
        file,
        "--summary",
        "from a flag",
        "--validation",
        "cargo test=passed",
        "--files-changed",
        "a.rs,b.rs",
        "--follow-up",
        "more",
    ]);
    let handoff = &place.json(&["issues", "show", "T-0002"])["handoff"];
    assert_eq!(handoff["summary"], "from a flag");
    assert_eq!(handoff["files_changed"], json!(["a.rs", "b.rs"]));
    assert_eq!(handoff["validation"], json!([{"command": "cargo test", "status": "passed"}]));
    assert_eq!(handoff["follow_up"], json!(["docs", "more"]));
    let args = ["issues", "handoff", "T-0003", "--file", "-"];
    assert_eq!(place.run_with_stdin(&args, "{\"summary\":\"piped\"}").code, 0);
    assert_eq!(place.json(&["issues", "show", "T-0003"])["handoff"]["summary"], "piped");
}

#[test]
fn a_handoff_of_another_form_is_refused_and_the_claim_stays() {
    let place = Place::with_list();
    place.create(&["One"]);
    claim(&place, "T-0001", "main");
    for (json, code) in [
        ("[1]", 7),
        ("{\"summary\":", 7),
        ("{\"summary\":3}", 7),
        ("{\"files_changed\":[]}", 7),
        ("{\"summary\":\"s\",\"validation\":[{\"command\":\"c\"}]}", 7),
    ] {
        let args = ["issues", "handoff", "T-0001", "--file", "-"];
        let answer = place.run_with_stdin(&args, json);
        assert_eq!(answer.code, code, "{json}: {answer:?}");
        assert!(answer.stderr.contains("hint: "), "{answer:?}");
    }
    place.error(&["issues", "handoff", "T-0001"], 2);
    place.error(&["issues", "handoff", "T-0001", "--summary", "s", "--validation", "x"], 2);
    assert_eq!(place.json(&["issues", "show", "T-0001"])["state"], "in_progress");
}

#[test]
fn sent_back_work_is_claimed_again_with_a_higher_fence() {
    let place = Place::with_list();
    place.create(&["One"]);
    claim(&place, "T-0001", "a");
    place.ok(&["issues", "handoff", "--worker", "a", "--summary", "done"]);
    let answer = place.run(&["issues", "reopen", "T-0001", "--reason", "no test"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    assert_eq!(claim(&place, "T-0001", "b")["claim"]["fence"], 2);
    place.ok(&["issues", "handoff", "--worker", "b", "--summary", "with a test"]);
    let done = place.json(&["issues", "done", "T-0001"]);
    assert_eq!(done["handoff"]["summary"], "with a test");
    assert_eq!(place.json(&["issues", "stats"])["rework"], 1);
}

#[test]
fn ending_an_issue_ends_its_claim_and_goes_on_with_the_next() {
    let place = Place::with_list();
    for title in ["One", "Two"] {
        place.create(&[title]);
    }
    claim(&place, "T-0001", "a");
    let next = place.json(&["issues", "done", "T-0001", "--claim-next", "--worker", "b"]);
    assert_eq!((&next["identifier"], &next["claim"]["worker"]), (&json!("T-0002"), &json!("b")));
    let error = place.error(&["issues", "handoff", "T-0001", "--worker", "a", "--summary", "x"], 4);
    assert_eq!(error["error"], "claim_lost");
}

#[test]
fn a_maintainer_ends_any_claim_and_its_holder_reads_why() {
    let place = Place::with_list();
    place.create(&["One"]);
    let issue = claim(&place, "T-0001", "a");
    place.error(&["issues", "release", "T-0001", "--force"], 2);
    place.ok(&["issues", "release", "T-0001", "--force", "--reason", "its machine is gone"]);
    let token = issue["claim"]["id"].as_str().unwrap();
    let error = place.error(&["issues", "heartbeat", "--claim", token, "--worker", "a"], 4);
    assert!(error["detail"].as_str().unwrap().contains("its machine is gone"), "{error}");
    let ready = place.json(&["issues", "ready"]);
    assert_eq!(ready["issues"][0]["identifier"], "T-0001");
}

#[test]
fn a_released_issue_is_ready_again_or_left_alone_for_a_while() {
    let place = Place::with_list();
    place.create(&["One"]);
    claim(&place, "T-0001", "a");
    let args = ["issues", "release", "--worker", "a", "--reason", "exit 1", "--retry-after", "1h"];
    place.ok(&args);
    assert_eq!(place.run(&["issues", "next"]).code, 3);
    let explained = place.ok(&["issues", "ready", "--explain"]);
    assert!(explained.contains("after: exit 1"), "{explained}");
    assert_eq!(claim(&place, "T-0001", "a")["claim"]["fence"], 2, "a person may insist");
}

#[test]
fn what_cannot_be_worked_on_is_refused_with_the_reason() {
    let place = Place::with_list();
    for title in ["One", "Two", "Three"] {
        place.create(&[title]);
    }
    place.ok(&["issues", "block", "T-0001", "T-0002"]);
    place.ok(&["issues", "cancel", "T-0003"]);
    for (name, why) in [("T-0001", "waits for T-0002"), ("T-0003", "it is cancelled")] {
        let error = place.error(&["issues", "claim", name], 4);
        assert!(error["detail"].as_str().unwrap().contains(why), "{error}");
    }
    place.error(&["issues", "claim", "T-0009"], 3);
    place.error(&["issues", "claim", "T-0002", "--ttl", "0"], 7);
    place.error(&["issues", "claim", "T-0002", "--worker", "a b"], 2);
    place.error(&["issues", "heartbeat", "--worker", "nobody"], 3);
}

#[test]
fn of_fifty_claims_at_once_one_wins_and_the_others_say_who() {
    let place = Place::with_list();
    place.create(&["One"]);
    let children: Vec<_> = (0..50)
        .map(|n| {
            let args = ["issues", "claim", "T-0001", "--json", "--lock-timeout", "60", "--worker"];
            let mut command: Command = place.command(&[&args[..], &[&format!("w{n}")]].concat());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<_> = children.into_iter().map(|c| c.wait_with_output().unwrap()).collect();
    let won: Vec<_> = outputs.iter().filter(|output| output.status.success()).collect();
    assert_eq!(won.len(), 1);
    let issue: Value = serde_json::from_slice(&won[0].stdout).unwrap();
    for output in outputs.iter().filter(|output| !output.status.success()) {
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["holder"]["worker"], issue["claim"]["worker"]);
    }
}

#[test]
fn a_token_of_the_environment_is_what_an_old_process_means() {
    let place = Place::with_list();
    for title in ["One", "Two"] {
        place.create(&[title]);
    }
    let old = claim(&place, "T-0001", "w")["claim"]["id"].as_str().unwrap().to_owned();
    place.ok(&["issues", "release", "T-0001", "--force", "--reason", "it hangs"]);
    let new = claim(&place, "T-0001", "w");
    let run = |args: &[&str]| {
        let mut command = place.command(&[args, &["--json"]].concat());
        let command = command.env("X0X_CLAIM", &old).env("X0X_WORKER", "w");
        command.output().unwrap()
    };
    for args in [&["issues", "heartbeat", "T-0001"][..], &["issues", "heartbeat"]] {
        assert_eq!(run(args).status.code(), Some(4), "{args:?}");
    }
    assert_eq!(place.json(&["issues", "show", "T-0001"])["claim"]["id"], new["claim"]["id"]);
    // On another issue than the one that is named, the token is not meant.
    claim(&place, "T-0002", "w");
    let other = run(&["issues", "heartbeat", "T-0002"]);
    assert_eq!(other.status.code(), Some(0), "{other:?}");
    let typed = ["issues", "heartbeat", "T-0002", "--worker", "w", "--claim", &old];
    place.error(&typed, 7);
    let unknown = ["issues", "heartbeat", "T-0001", "--claim", "0123456789abcdef"];
    let error = place.error(&unknown, 3);
    assert_eq!(
        (&error["error"], &error["holder"]["worker"]),
        (&json!("unknown_claim"), &json!("w"))
    );
    let force = ["issues", "release", "T-0001", "--force", "--reason", "again"];
    assert_eq!(run(&force).status.code(), Some(0), "it is not said of the token");
}

#[test]
fn what_was_lost_is_told_once_and_beside_what_is_held() {
    let place = Place::with_list();
    for title in ["One", "Two"] {
        place.create(&[title]);
    }
    claim(&place, "T-0001", "a");
    place.ok(&["issues", "done", "T-0001"]);
    let handoff = ["issues", "handoff", "--worker", "a", "--summary", "s"];
    let error = place.error(&handoff, 4);
    assert!(error["detail"].as_str().unwrap().contains("T-0001"), "{error}");
    assert_eq!(place.error(&handoff, 3)["error"], "no_claim");
    place.ok(&["issues", "reopen", "T-0001"]);
    claim(&place, "T-0001", "a");
    claim(&place, "T-0002", "a");
    place.ok(&["issues", "cancel", "T-0001"]);
    let answer = place.run(&["issues", "heartbeat", "--worker", "a"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("T-0001: the claim is over"), "{answer:?}");
    assert!(answer.stdout.starts_with("T-0002"), "{answer:?}");
    let own = place.error(&["issues", "claim", "T-0002", "--worker", "a"], 4);
    assert!(own["hint"].as_str().unwrap().contains("--resume"), "{own}");
}

#[test]
fn only_what_is_left_alone_rests() {
    let place = Place::with_list();
    place.create(&["One"]);
    claim(&place, "T-0001", "a");
    place.ok(&["issues", "release", "--worker", "a"]);
    let page = place.ok(&["issues", "show", "T-0001"]);
    assert!(page.contains("1 so far") && !page.contains("rests"), "{page}");
    claim(&place, "T-0001", "a");
    place.ok(&["issues", "release", "--worker", "a", "--reason", "no valve here"]);
    let page = place.ok(&["issues", "show", "T-0001"]);
    assert!(page.contains("ended: no valve here") && !page.contains("rests"), "{page}");
    claim(&place, "T-0001", "a");
    place.error(&["issues", "release", "--worker", "a", "--retry-after", "2d"], 7);
    place.ok(&["issues", "release", "--worker", "a", "--retry-after", "1h", "--reason", "exit 1"]);
    let page = place.ok(&["issues", "show", "T-0001"]);
    assert!(page.contains("more after: exit 1"), "{page}");
    let issue = place.json(&["issues", "show", "T-0001"]);
    assert!(issue["_rest"]["left_ms"].as_u64().unwrap() <= 3_600_000, "{issue}");
    assert_eq!((&issue["_attempts"], &issue["_rest"]["reason"]), (&json!(3), &json!("exit 1")));
    assert!(place.ok(&["issues", "list"]).contains("3 tries"));
}

/// Issues and loops of the test below; `X0X_STRESS` takes the numbers that the goal names.
const LOOPS: usize = 8;

#[test]
fn loops_take_each_issue_exactly_once_and_the_file_shows_one_line_an_issue() {
    let count = if std::env::var_os("X0X_STRESS").is_some() { 100 } else { 32 };
    let lines: Vec<String> =
        (1..=count).map(|n| record(&format!("T-{n:04}"), "work", "todo")).collect();
    let place = Place::with_committed(&lines.concat());
    let script = "while id=$(\"$X0X\" issues next --claim --json --fields id --lock-timeout 60) \
                  2>/dev/null; do echo \"$id\"; \"$X0X\" issues handoff --lock-timeout 60 \
                  --summary done >/dev/null || exit 1; done";
    let loops: Vec<_> = (0..LOOPS)
        .map(|n| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir(place.repo());
            command.env("X0X", env!("CARGO_BIN_EXE_x0x")).env("X0X_WORKER", format!("loop-{n}"));
            command.env("X0X_DATA_DIR", place.data());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut taken = Vec::new();
    for child in loops {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        taken.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
    }
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (count, count));
    let stats = place.json(&["issues", "stats"]);
    assert_eq!(stats["by_state"], json!({"review": count}));
    place.ok(&["issues", "export"]);
    let changed = place.git(&["diff", "--numstat"]);
    assert!(changed.starts_with(&format!("{count}\t{count}\t")), "{changed}");
}
