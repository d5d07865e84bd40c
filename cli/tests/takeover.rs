//! Claims between machines: confirmed, taken over, given up, and shown for what they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use common::site::{Site, level};
use common::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn json(site: &Site, args: &[&str]) -> Value {
    serde_json::from_str(&site.ok(&[args, &["--json"]].concat())).unwrap()
}

fn agent(site: &Site) -> String {
    json(site, &["agent"])["agent_id"].as_str().unwrap().to_owned()
}

/// What a site knows of an agent's work.
fn worker(site: &Site, agent: &str) -> Value {
    let workers = json(site, &["workers"]);
    let all = workers["workers"].as_array().unwrap();
    all.iter().find(|worker| worker["agent_id"] == agent).unwrap().clone()
}

/// Three sites with nodes that share a list.
fn three() -> (Site, Site, Site) {
    let mut a = Site::founder();
    a.create("one");
    a.up();
    let (b, c) = (a.newcomer(), a.newcomer());
    level(&[&a, &b, &c], 1);
    // Until all know of each other.
    for site in [&a, &b, &c] {
        site.until("all are heard", || {
            let workers = json(site, &["workers"]);
            workers["workers"].as_array().unwrap().iter().all(|one| one["online"] == true)
        });
    }
    (a, b, c)
}

#[test]
fn a_claim_is_confirmed_by_those_on_its_slate_and_all_see_who_works() {
    let (a, b, c) = three();
    let args = ["issues", "claim", "PUMP-0001", "--worker", "w", "--confirm", "30s"];
    let claimed = json(&a, &args);
    assert_eq!(claimed["claim"]["standing"], "confirmed", "{claimed}");
    assert!(claimed["claim"].get("unheard").is_none());
    let own = agent(&a);
    for site in [&b, &c] {
        site.until("they see it confirmed", || {
            json(site, &["issues", "show", "PUMP-0001"])["claim"]["standing"] == "confirmed"
        });
        let seen = worker(site, &own);
        assert_eq!((&seen["holds"], &seen["is_own"]), (&1.into(), &false.into()), "{seen}");
        assert_eq!(seen["claims"][0]["identifier"], "PUMP-0001");
    }
    let people = b.ok(&["workers"]);
    assert!(people.contains("takeovers") && people.contains("online"), "{people}");
    // Nobody else gets it, and is told who has it.
    let refused = b.run(&["issues", "claim", "PUMP-0001", "--json"]);
    assert_eq!(refused.code, 4, "{refused:?}");
}

#[test]
fn who_is_gone_is_taken_over_from_and_gives_up_without_being_asked() {
    let (mut a, b, c) = three();
    let claimed = json(
        &a,
        &["issues", "claim", "PUMP-0001", "--worker", "w", "--ttl", "2s", "--confirm", "30s"],
    );
    let first = claimed["claim"]["id"].as_str().unwrap().to_owned();
    b.until("b sees it", || json(&b, &["issues", "show", "PUMP-0001"])["claim"]["id"] == *first);
    a.kill();
    let of_a = agent(&a);
    b.until("b sees that it is gone", || worker(&b, &of_a)["gone"] == true);
    assert!(worker(&b, &of_a)["load_pct"].is_null());
    let people = b.ok(&["workers"]);
    assert!(people.contains("gone, heard") && !people.contains("away"), "{people}");
    let mut taken = Value::Null;
    b.until("b may take it over", || {
        let answer =
            b.run(&["issues", "claim", "PUMP-0001", "--worker", "v", "--ttl", "1h", "--json"]);
        if answer.code == 0 {
            taken = serde_json::from_str(&answer.stdout).unwrap();
        }
        answer.code == 0
    });
    assert_eq!(taken["claim"]["fence"], 2, "{taken}");
    a.up();
    // Without anybody asking a, all know that it gave up.
    let of_b = agent(&b);
    for site in [&a, &b, &c] {
        site.until("a gave up", || worker(site, &of_a)["abandons"] == 1);
        assert_eq!(worker(site, &of_b)["takeovers"], 1);
        assert_eq!(worker(site, &of_b)["duplicates"], 0);
        let shown = json(site, &["issues", "show", "PUMP-0001"]);
        let claims = shown["_claims"].as_array().unwrap();
        let old = claims.iter().find(|claim| claim["id"] == *first).unwrap();
        assert_eq!((&old["ended"], &old["counts"]), (&"abandoned".into(), &false.into()));
        assert_eq!(old["instead"], taken["claim"]["id"]);
        let page = site.ok(&["issues", "show", "PUMP-0001"]);
        assert!(page.contains("it went stale and was taken over"), "{page}");
    }
    let told = a.run(&["issues", "heartbeat", "PUMP-0001", "--worker", "w", "--json"]);
    assert_eq!(told.code, 4, "{told:?}");
}

#[test]
fn a_runner_that_is_to_stop_in_isolation_takes_nothing_and_says_why() {
    let (a, mut b, mut c) = three();
    b.kill();
    c.kill();
    let args = ["issues", "run", "--worker", "w", "--ttl", "1s", "--on-isolation", "stop"];
    a.until("a has heard nobody for long", || {
        let workers = json(&a, &["workers"]);
        let others =
            workers["workers"].as_array().unwrap().iter().filter(|one| one["is_own"] == false);
        others.map(|one| one["heard_ms"].as_u64().unwrap()).all(|heard_ms| heard_ms > 1_500)
    });
    let answer = a.run(&[&args[..], &["--", "true"]].concat());
    assert!(answer.code == 1 && answer.stderr.contains("no other member was heard"), "{answer:?}");
    assert!(answer.stderr.contains("x0x peers"), "{answer:?}");
    assert_eq!(json(&a, &["issues", "show", "PUMP-0001"])["state"], "todo");
}

#[test]
fn a_runner_whose_node_dies_says_once_what_others_may_do() {
    let (mut a, _b, _c) = three();
    let args = ["issues", "run", "PUMP-0001", "--worker", "w", "--ttl", "2s", "--", "sleep", "600"];
    let said = a.dir.path().join("said");
    let mut command = a.command(&args);
    command.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
    let mut runner = command.spawn().unwrap();
    until("it works on the issue", || proofs(&a).len() == 1);
    a.kill();
    let text = "no node runs here any more: others do not hear that PUMP-0001 is worked on, and may take \
                it over after 2 s";
    let told = || fs::read_to_string(&said).unwrap().matches(text).count();
    until("it is said", || told() > 0);
    kill_process(Pid::from_child(&runner), Signal::INT).unwrap();
    runner.wait().unwrap();
    assert_eq!(told(), 1);
}

/// Returns the directories of proofs of a site.
fn proofs(site: &Site) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let issues = below(site.dir.path().join("repo/proofs"));
    issues.flat_map(|issue| below(issue.path()).map(|one| one.path())).collect()
}

#[test]
fn the_proofs_of_a_killed_runner_are_kept_apart_once_its_claim_is_lost() {
    let (a, b, _c) = three();
    let args = ["issues", "run", "PUMP-0001", "--worker", "w", "--ttl", "1s", "--", "sleep", "600"];
    let mut command = a.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut runner = command.spawn().unwrap();
    b.until("b sees it held", || {
        json(&b, &["issues", "show", "PUMP-0001"])["claim"]["worker"] == "w"
    });
    until("its proofs are there", || proofs(&a).len() == 1);
    runner.kill().unwrap();
    runner.wait().unwrap();
    b.until("b takes it over", || {
        b.run(&["issues", "claim", "PUMP-0001", "--worker", "v", "--ttl", "1h"]).code == 0
    });
    a.until("its proofs are kept apart", || {
        let all = proofs(&a);
        all.len() == 1 && all[0].to_str().unwrap().ends_with("-abandoned")
    });
    let manifest = fs::read_to_string(proofs(&a)[0].join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["state"], &manifest["outcome"]), (&"ended".into(), &"abandoned".into()));
}

#[test]
fn a_maintainer_ends_the_claim_of_another_machine_and_draws_its_slate_anew() {
    let (a, b, c) = three();
    json(&a, &["issues", "claim", "PUMP-0001", "--worker", "w", "--confirm", "30s"]);
    b.until("b sees it held", || {
        json(&b, &["issues", "show", "PUMP-0001"])["claim"]["worker"] == "w"
    });
    let reason = ["--reason", "its machine is gone"];
    b.ok(&[&["issues", "release", "PUMP-0001", "--force"][..], &reason].concat());
    a.until("a knows that it is over", || {
        json(&a, &["issues", "show", "PUMP-0001"])["state"] == "todo"
    });
    let told = a.run(&["issues", "heartbeat", "PUMP-0001", "--worker", "w", "--json"]);
    assert!(told.code == 4 && told.stderr.contains("its machine is gone"), "{told:?}");
    let drawn = json(&b, &[&["issues", "reshard", "PUMP-0001"][..], &reason].concat());
    assert_eq!(drawn["shard"]["created_view_epoch"], 1);
    let slate = |site: &Site| {
        let shard = json(site, &["issues", "show", "PUMP-0001"])["shard"].clone();
        let backups = shard["backups"].as_array().unwrap().clone();
        std::iter::once(shard["primary"].clone()).chain(backups).collect::<Vec<_>>()
    };
    assert_eq!(slate(&b).len(), 3, "all three are there");
    for site in [&a, &c] {
        site.until("they have the same slate", || slate(site) == slate(&b));
    }
}
