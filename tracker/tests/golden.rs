//! Bytes that never change: what machines of different versions must agree on.
//!
//! A test here that fails means that the format changed. If that was meant, raise the version and
//! keep reading the old one; `X0X_WRITE_GOLDEN=1` writes the files of a format that is new.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::path::Path;

use data_encoding::HEXLOWER;
use support::List;
use x0x_tracker::document::Birth;
use x0x_tracker::interface::{Comment, Draft, Ruling, Tracker};
use x0x_tracker::journal::frontier::Frontier;

fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("X0X_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(golden == found, "{name} changed:\n{found}\nit was:\n{golden}");
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(48).map(|chunk| HEXLOWER.encode(chunk) + "\n").collect()
}

/// Two issues, edited, in the order and at the times that the test's host gives.
fn small_list() -> List {
    let mut list = List::new(1);
    let draft = Draft::titled("Gr\u{fc}n")
        .with("labels", "[\"net\",\"bug\"]")
        .with("estimate", "1.50")
        .with("priority", "2");
    list.tracker.create(&draft).unwrap();
    list.create("Second");
    list.set("T-0002", "blocked_by", "[\"T-0001\"]");
    list.set("T-0001", "labels", "[\"bug\",\"ui\"]");
    let comment =
        Comment { body: "line\nline".to_owned(), author: Some("ann".to_owned()), key: None };
    list.tracker.comment("T-0001", &comment).unwrap();
    list.tracker.rule("T-0001", &Ruling::Done, None).unwrap();
    list
}

#[test]
fn genesis_is_frozen() {
    let dated = Birth {
        id: "X0X-0001".to_owned(),
        created_at: Some("\"2026-04-28T00:00:00Z\"".to_owned()),
    };
    let undated = Birth { id: "A".to_owned(), created_at: None };
    let text: String = [dated, undated]
        .map(|birth| {
            let document = x0x_tracker::document::Document::new(birth.clone());
            format!("key {}\n{}", birth.key(), hex_lines(&document.genesis_bytes()))
        })
        .concat();
    check("genesis.hex", &text);
}

#[test]
fn commits_are_frozen() {
    let list = small_list();
    let commits = list.tracker.commits_after(&Frontier::default(), usize::MAX).unwrap();
    let text: String = commits
        .iter()
        .map(|sealed| {
            let (header, body) = (&sealed.commit.header, &sealed.commit.body);
            format!(
                "commit {} {}\nheader\n{}body\n{}",
                sealed.position.number,
                sealed.position.hash,
                hex_lines(header),
                hex_lines(body)
            )
        })
        .collect();
    check("commits.hex", &text);
    let statements = list.tracker.statements().unwrap();
    let text: String = statements
        .iter()
        .map(|signed| format!("{}\n{}", signed.hash(), hex_lines(&signed.statement)))
        .collect();
    check("charter.hex", &text);
}

#[test]
fn canonical_export_is_frozen() {
    check("export.jsonl", &small_list().canonical());
}
