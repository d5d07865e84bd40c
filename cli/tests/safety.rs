//! What goes wrong costs no issues: a damaged store is told as such, its hint leads back to the issues,
//! and `init` destroys nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Place, names, record};

/// Bytes of a page of the database.
const PAGE_BYTES: usize = 4096;

/// The stores of a data directory.
fn stores(place: &Place) -> Vec<PathBuf> {
    let dir = place.data().join("lists");
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn with_issues() -> Place {
    let place =
        Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "todo")].concat());
    place.create(&["exported"]);
    place.ok(&["issues", "export"]);
    place
}

#[test]
fn a_damaged_store_is_told_and_the_hint_brings_the_issues_back() {
    let place = with_issues();
    let store = stores(&place).remove(0);
    let whole = fs::read(&store).unwrap();
    for length in [0, 100, PAGE_BYTES, whole.len() / 2, whole.len() - 1] {
        fs::write(&store, &whole[..length]).unwrap();
        let before = place.trace();
        for args in [
            &["issues", "list"][..],
            &["issues", "create", "x"],
            &["issues", "validate", "--store"],
        ] {
            let error = place.error(args, 1);
            assert_eq!(error["error"], "damaged", "{error}");
            let hint = error["hint"].as_str().unwrap();
            assert!(hint.starts_with("nothing was changed. `x0x repair` keeps"), "{hint}");
            assert!(hint.contains("x0x issues import --data-dir NEW"), "{hint}");
            assert!(hint.contains("x0x restore FILE --replace"), "{hint}");
        }
        // The lock says who came last; nothing else may differ.
        let lock = place.data().join("lock");
        let but_lock = |mut trace: common::Trace| {
            trace.remove(&lock);
            trace
        };
        assert!(but_lock(place.trace()) == but_lock(before));
        assert!(fs::read(&store).unwrap() == whole[..length], "{length}");
    }
    let backup = place.dir().join("backup");
    fs::write(&store, &whole).unwrap();
    place.ok(&["backup", backup.to_str().unwrap()]);
    fs::write(&store, &whole[..100]).unwrap();
    place.ok(&["restore", backup.to_str().unwrap(), "--replace"]);
    assert_eq!(names(&place.json(&["issues", "list"])), ["T-1", "T-2", "T-0003"]);
    let kept = stores(&place).into_iter().find(|path| fs::read(path).unwrap() == whole[..100]);
    assert!(kept.is_some(), "the damaged list is kept");
    let other = place.dir().join("other");
    let other = other.to_str().unwrap();
    place.ok(&["issues", "import", "--data-dir", other]);
    let list = place.json(&["issues", "list", "--data-dir", other]);
    assert_eq!(names(&list), ["T-1", "T-2", "T-0003"]);
}

#[test]
fn no_panic_of_the_database_reaches_anybody() {
    let place = with_issues();
    let store = stores(&place).remove(0);
    let whole = fs::read(&store).unwrap();
    let mut caught = 0;
    for page in 1..whole.len() / PAGE_BYTES {
        let mut bytes = whole.clone();
        bytes[page * PAGE_BYTES..][..64].fill(0xff);
        fs::write(&store, &bytes).unwrap();
        for args in [&["issues", "list"][..], &["issues", "validate", "--store"]] {
            let answer = place.run(args);
            assert!(!answer.stderr.contains("panicked"), "page {page}: {answer:?}");
            assert!([0, 1, 7].contains(&answer.code), "page {page}: {answer:?}");
            caught += u64::from(answer.stderr.contains("the database gave up"));
        }
    }
    assert!(caught > 0, "the database panics on none of these pages");
}

#[test]
fn init_destroys_nothing_that_is_there() {
    let place = with_issues();
    let toml = place.repo().join(".x0x.toml");
    let (bound, before) = (fs::read(&toml).unwrap(), place.trace());
    place.ok(&["init"]);
    place.error(&["init", "--name", "other"], 2);
    place.error(&["init", "--prefix", "OTHER"], 2);
    place.error(&["init", "--jsonl", "other.jsonl"], 2);
    place.error(&["init", "--force"], 2);
    assert!(place.trace() == before, "init over what is there changes nothing");
    fs::write(&toml, "no toml").unwrap();
    place.error(&["init"], 7);
    assert_eq!(fs::read(&toml).unwrap(), b"no toml");
    // Without its file the repository gets a list of its own, and the first one stays.
    fs::remove_file(&toml).unwrap();
    place.ok(&["init"]);
    assert_eq!(stores(&place).len(), 2);
    fs::write(&toml, bound).unwrap();
    assert_eq!(names(&place.json(&["issues", "list"])).len(), 3);
    let after = place.trace();
    let data = place.data();
    let is_kept =
        |path: &PathBuf| path.starts_with(&data) && path.is_file() && !path.ends_with("lock");
    for (path, kept) in before.iter().filter(|(path, _)| is_kept(path)) {
        assert!(after[path] == *kept, "{}", path.display());
    }
}

#[test]
fn init_over_a_damaged_store_leaves_it_as_it_is() {
    let place = with_issues();
    let store = stores(&place).remove(0);
    fs::write(&store, "garbage").unwrap();
    place.ok(&["init"]);
    fs::remove_file(place.repo().join(".x0x.toml")).unwrap();
    place.ok(&["init"]);
    assert_eq!(fs::read(&store).unwrap(), b"garbage");
}
