//! Disks that refuse: full ones and read-only ones. A clear error, everything kept, and once there is
//! room again everything goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::path::Path;

use common::mounts::{freeze, mount, thaw, with_mounts};
use common::{Answer, Place, record};
use serde_json::Value;

/// A disk so small that a few imports fill it, and with room for what a command needs besides.
const SMALL: &str = "size=3m";

fn small_disk(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    mount(&["-t", "tmpfs", "-o", SMALL, "tmpfs"], dir);
}

fn enlarge(dir: &Path) {
    mount(&["-o", "remount,size=64m"], dir);
}

/// Text that no packing makes smaller by much.
fn noise(bytes: usize) -> String {
    let hash = |n: usize| blake3::hash(&n.to_le_bytes()).to_hex();
    (0..bytes.div_ceil(64)).map(|n| hash(n).to_string()).collect()
}

/// Fills a disk to its last byte.
fn fill(dir: &Path) -> std::path::PathBuf {
    let filler = dir.join("filler");
    let error = std::io::copy(&mut std::io::repeat(7), &mut fs::File::create(&filler).unwrap());
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    filler
}

/// Checks an error of a full disk, as programs get it.
fn is_full(answer: &Answer) {
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{answer:?}");
    let error: Value = serde_json::from_str(&answer.stderr).unwrap();
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.starts_with("cannot ") && detail.contains("No space left"), "{error}");
    assert!(error["hint"].as_str().unwrap().starts_with("free some space there"), "{error}");
}

fn canonical(place: &Place) -> String {
    place.ok(&["issues", "export", "--canonical", "--out", "-"])
}

#[test]
fn a_full_data_directory_keeps_what_it_has_and_goes_on_later() {
    with_mounts("a_full_data_directory_keeps_what_it_has_and_goes_on_later", || {
        let place = Place::new();
        small_disk(&place.data());
        place.ok(&["init", "--prefix", "T"]);
        let (mut created, mut refused) = (0, 0);
        let long = noise(100_000);
        while refused < 5 {
            let before = canonical(&place);
            let title = format!("issue {created}");
            let answer = place.run(&["issues", "create", &title, "--description", &long, "--json"]);
            if answer.code == 0 {
                created += 1;
                continue;
            }
            is_full(&answer);
            refused += 1;
            assert_eq!(canonical(&place), before, "what is refused leaves nothing");
            assert_eq!(before.lines().count(), created);
        }
        assert!(created > 2);
        let lines: String =
            (0..400).map(|n| record(&format!("I-{n}"), &long[n * 200..][..900], "todo")).collect();
        place.write_jsonl(&lines);
        is_full(&place.run(&["issues", "import", "--json"]));
        assert_eq!(canonical(&place).lines().count(), created, "no half import");
        place.ok(&["issues", "validate", "--store"]);
        enlarge(&place.data());
        place.create(&["afterwards"]);
        place.ok(&["issues", "import"]);
        place.ok(&["issues", "export"]);
        place.ok(&["issues", "validate", "--store"]);
        assert_eq!(canonical(&place).lines().count(), created + 401);
    });
}

#[test]
fn no_list_is_made_on_a_full_disk_and_the_key_is_not_replaced() {
    with_mounts("no_list_is_made_on_a_full_disk_and_the_key_is_not_replaced", || {
        let place = Place::new();
        small_disk(&place.data());
        let filler = fill(&place.data());
        is_full(&place.run(&["init", "--json"]));
        assert!(!place.repo().join(".x0x.toml").exists());
        fs::remove_file(&filler).unwrap();
        place.ok(&["agent"]);
        let key = fs::read(place.data().join("agent.key")).unwrap();
        let filler = fill(&place.data());
        is_full(&place.run(&["init", "--json"]));
        fs::remove_file(&filler).unwrap();
        place.ok(&["init"]);
        place.create(&["One"]);
        assert_eq!(fs::read(place.data().join("agent.key")).unwrap(), key);
    });
}

#[test]
fn a_full_repository_keeps_its_file_and_goes_on_later() {
    with_mounts("a_full_repository_keeps_its_file_and_goes_on_later", || {
        let place = Place::with_list();
        small_disk(&place.repo());
        fs::create_dir(place.repo().join(".git")).unwrap();
        fs::write(place.repo().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        place.ok(&["init"]);
        place.create(&["One", "--description", &"long ".repeat(10_000)]);
        place.ok(&["issues", "export"]);
        let before = place.read_jsonl();
        place.create(&["Two", "--description", &noise(50_000)]);
        let filler = fill(&place.repo());
        let answer = place.run(&["issues", "export", "--json"]);
        is_full(&answer);
        let named = place.jsonl().display().to_string();
        assert!(answer.stderr.contains(&format!("cannot write {named}")), "{answer:?}");
        is_full(&place.run(&["issues", "export", "--out", "other.jsonl", "--json"]));
        assert_eq!(place.read_jsonl(), before);
        let left: Vec<_> = fs::read_dir(place.repo().join("issues")).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing unfinished stays: {left:?}");
        place.ok(&["issues", "import"]);
        place.create(&["Three"]);
        fs::remove_file(&filler).unwrap();
        place.ok(&["issues", "export"]);
        assert_eq!(place.read_jsonl().lines().count(), 3);
        assert!(place.read_jsonl().contains(&before));
    });
}

#[test]
fn a_read_only_disk_refuses_every_write_and_says_so() {
    with_mounts("a_read_only_disk_refuses_every_write_and_says_so", || {
        let place =
            Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "todo")].concat());
        place.create(&["Three"]);
        for dir in [place.data(), place.repo()] {
            freeze(&dir);
        }
        let before = place.trace();
        for args in WRITING {
            let answer = place.run(&[*args, &["--json"]].concat());
            assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{args:?}: {answer:?}");
            let error: Value = serde_json::from_str(&answer.stderr).unwrap();
            let detail = error["detail"].as_str().unwrap();
            assert!(detail.contains("Read-only file system"), "{args:?}: {error}");
            assert!(
                error["hint"].as_str().unwrap().contains("make it writable"),
                "{args:?}: {error}"
            );
        }
        assert!(place.trace() == before);
        for dir in [place.data(), place.repo()] {
            thaw(&dir);
        }
        for args in WRITING {
            place.ok(args);
        }
    });
}

const WRITING: &[&[&str]] = &[
    &["issues", "create", "Four"],
    &["issues", "edit", "T-1", "--title", "c"],
    &["issues", "comment", "T-1", "said"],
    &["issues", "block", "T-1", "--on", "T-2"],
    &["issues", "unblock", "T-1", "T-2"],
    &["issues", "done", "T-1"],
    &["issues", "reopen", "T-1"],
    &["issues", "cancel", "T-1"],
    &["issues", "duplicate", "T-2", "--of", "T-1"],
    &["issues", "import"],
    &["issues", "export"],
];
