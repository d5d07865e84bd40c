//! What the doctor says of an installation in which one thing is broken.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(clippy::disallowed_methods, reason = "a file is made older than it is")]

mod common;

use std::fs::{self, File, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use common::Place;
use common::site::Site;
use serde_json::{Value, json};

/// Returns the checks, whatever the exit code, which must fit them.
fn checks(place: &Place) -> Vec<Value> {
    let answer = place.run(&["doctor", "--json"]);
    let said: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
    let checks = said["checks"].as_array().unwrap().clone();
    let has_failed = checks.iter().any(|check| check["status"] == "fail");
    assert_eq!(answer.code, i32::from(has_failed), "{answer:?}");
    for check in &checks {
        assert!(
            check["status"] == "pass" || check["hint"].is_string(),
            "it says what to do: {check}"
        );
    }
    checks
}

/// Returns the worst that is said of something, and all that is said of it.
fn said(checks: &[Value], name: &str) -> (String, String) {
    let of: Vec<&Value> = checks.iter().filter(|check| check["name"] == name).collect();
    assert!(!of.is_empty(), "{name}: {checks:?}");
    let rank = |check: &&Value| ["pass", "warn", "fail"].iter().position(|s| check["status"] == *s);
    let worst = of.iter().copied().max_by_key(rank).unwrap();
    let texts: Vec<String> = of.iter().map(|check| check["detail"].to_string()).collect();
    (worst["status"].as_str().unwrap().to_owned(), texts.join("; "))
}

fn healthy() -> Place {
    let place = Place::with_git();
    place.ok(&["init", "--name", "pump", "--prefix", "PUMP", "--merge-driver"]);
    place.create(&["Mend the pump"]);
    place.ok(&["issues", "export"]);
    place
}

#[test]
fn a_healthy_installation_passes_and_nothing_is_changed() {
    let place = healthy();
    let before = place.trace();
    let checks = checks(&place);
    for check in &checks {
        // Another node may have the usual port of this machine.
        assert!(check["status"] == "pass" || check["name"] == "ports", "{check}");
    }
    for name in
        ["data", "key", "lock", "clock", "ports", "store", "members", "binding", "file", "merge"]
    {
        said(&checks, name);
    }
    let deep = place.ok(&["doctor", "--deep"]);
    assert!(deep.contains("PASS  store") && deep.contains("commit checked"), "{deep}");
    assert_eq!(place.trace(), before);
}

#[test]
fn each_thing_that_is_broken_has_its_line() {
    let place = healthy();
    let key = place.data().join("agent.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(said(&checks(&place), "key").0, "fail");
    let planned = place.run(&["doctor", "--fix"]);
    assert!(
        planned.stderr.contains("chmod 600") && planned.stderr.contains("--yes"),
        "{planned:?}"
    );
    assert_eq!(said(&checks(&place), "key").0, "fail", "a plan is no act");
    place.ok(&["doctor", "--fix", "--yes"]);
    assert_eq!(said(&checks(&place), "key").0, "pass");

    place.create(&["Paint the pump"]);
    let (status, detail) = said(&checks(&place), "file");
    assert_eq!((status.as_str(), detail.contains("1 lines behind")), ("warn", true), "{detail}");
    place.ok(&["issues", "export"]);
    place.write_jsonl(&place.read_jsonl().replace("Paint", "Scrape"));
    let (status, detail) = said(&checks(&place), "file");
    assert_eq!((status.as_str(), detail.contains("not imported")), ("warn", true), "{detail}");
    let good = place.read_jsonl();
    place.write_jsonl(&format!("<<<<<<< HEAD\n{good}"));
    assert_eq!(said(&checks(&place), "file").0, "fail");
    fs::remove_file(place.jsonl()).unwrap();
    assert_eq!(said(&checks(&place), "file").0, "warn");
    place.write_jsonl(&good);

    place.git(&["config", "--unset", "merge.x0x.driver"]);
    assert_eq!(said(&checks(&place), "merge").0, "warn");
    place.ok(&["doctor", "--fix", "--yes"]);
    assert_eq!(said(&checks(&place), "merge").0, "pass");

    place.git(&["checkout", "-q", "-b", "other"]);
    assert_eq!(said(&checks(&place), "binding").0, "warn");

    let left = [".tmpAbCdEf", "lists/ab12.redb.x0x-unfinished", ".agent.key.Ab12"];
    for left in left.map(|name| place.data().join(name)) {
        let file = File::create(&left).unwrap();
        let is_said = || checks(&place).iter().any(|check| check["name"] == "leftovers");
        assert!(!is_said(), "somebody uses it");
        file.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
        assert_eq!(said(&checks(&place), "leftovers").0, "warn");
        assert!(left.exists(), "it only looks");
        fs::remove_file(left).unwrap();
    }

    let stores = fs::read_dir(place.data().join("lists")).unwrap();
    let store = stores.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some());
    let mut bytes = fs::read(store.as_ref().unwrap()).unwrap();
    bytes[..4_096].fill(0);
    fs::write(store.unwrap(), bytes).unwrap();
    assert_eq!(said(&checks(&place), "store").0, "fail");
    fs::write(&key, "no key").unwrap();
    assert_eq!(said(&checks(&place), "key").0, "fail");
}

#[test]
fn the_port_is_looked_at_that_a_node_would_take_here() {
    let place = healthy();
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let named = format!("UDP {port}");
    fs::write(place.data().join("peers.json"), format!("{{\"port\":{port},\"agents\":{{}}}}"))
        .unwrap();
    let (status, detail) = said(&checks(&place), "ports");
    assert_eq!((status.as_str(), detail.contains(&named)), ("warn", true), "{detail}");
    // What the configuration says goes before what is remembered.
    fs::write(place.data().join("config.toml"), "[node]\nlisten = '127.0.0.1:0'\n").unwrap();
    assert_eq!(said(&checks(&place), "ports").0, "pass");
    fs::write(place.data().join("config.toml"), "[node]\nlisen = 1\n").unwrap();
    assert_eq!(said(&checks(&place), "ports").0, "fail");
}

#[test]
fn where_nothing_is_yet_it_says_how_to_begin() {
    let place = Place::new();
    let checks = checks(&place);
    assert_eq!(said(&checks, "data").0, "warn");
    assert_eq!(said(&checks, "store").0, "warn");
    assert_eq!(said(&checks, "key").0, "pass");
    assert!(!place.data().exists(), "it makes nothing");
}

#[test]
fn beside_a_node_it_says_who_can_call_it_and_who_is_linked() {
    let mut a = Site::founder();
    a.up();
    let look = |site: &Site| -> Vec<Value> {
        let answer: Value = serde_json::from_str(&site.ok(&["doctor", "--json"])).unwrap();
        answer["checks"].as_array().unwrap().clone()
    };
    let alone = look(&a);
    assert_eq!(said(&alone, "node").0, "pass");
    let (status, detail) = said(&alone, "ports");
    assert_eq!((status.as_str(), detail.contains("127.")), ("warn", true), "{detail}");
    let mut b = a.newcomer();
    a.until("b is linked", || said(&look(&a), "peers").1.contains("1 linked"));
    assert_eq!(said(&look(&a), "members").0, "pass", "there are two maintainers");
    b.stop();
    a.until("b is gone", || said(&look(&a), "peers").1.contains("none is linked"));
    a.stop();
    assert_eq!(said(&look(&a), "lock").0, "pass");
    assert!(look(&a).iter().all(|check| check["name"] != json!("node")));
}
