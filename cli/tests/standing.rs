//! A reader that stands still, begun before the node: what the node does without its list, and afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::io::Read;
use std::process::{Child, Stdio};

use common::site::Site;
use serde_json::Value;

/// More than a pipe takes.
const TEXT_BYTES: usize = 100_000;

/// Begins to read a list, and goes no further than a pipe does.
fn standing(site: &Site) -> Child {
    let mut command = site.command(&["issues", "export", "--canonical", "--out", "-"]);
    let mut reader = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    reader.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    reader
}

fn status(site: &Site) -> Value {
    serde_json::from_str(&site.ok(&["status", "--json"])).unwrap()
}

#[test]
fn a_list_that_somebody_still_reads_is_refused_by_name_and_opened_as_soon_as_it_can_be() {
    let mut site = Site::founder();
    site.ok(&["issues", "create", "long", "--description", &"x".repeat(TEXT_BYTES)]);
    let mut reader = standing(&site);
    site.up();
    let seen = status(&site);
    assert_eq!(seen["lists"].as_array().unwrap().len(), 0, "{seen}");
    let id = seen["unopened"][0]["id"].as_str().unwrap().to_owned();
    assert!(site.ok(&["status"]).contains("is not open"));
    let asked = [
        &["issues", "list"][..],
        &["issues", "create", "meanwhile"],
        &["issues", "list", "--list", "pump"],
        &["members", "--list", &id],
        &["invite"],
    ];
    for args in asked {
        let answer = site.run(&[args, &["--json", "--lock-timeout", "0"]].concat());
        let error: Value = serde_json::from_str(&answer.stderr).unwrap_or_default();
        assert_eq!(error["error"], "busy", "{args:?}: {answer:?}");
        assert_eq!(error["retryable"], true, "{args:?}: {answer:?}");
        assert!(answer.stderr.contains("before the node"), "{args:?}: {answer:?}");
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    // It waits for as long as it is told to, and the list is open by then.
    site.ok(&["issues", "create", "afterwards", "--lock-timeout", "60"]);
    let seen = status(&site);
    assert_eq!(seen["unopened"], Value::Array(Vec::new()), "{seen}");
    assert_eq!(seen["lists"][0]["issues"], 2, "{seen}");
    site.stop();
}
