//! A damaged store: what is said of it, and how it comes back from the others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;

use common::site::{Site, level};

/// Returns the file of the only list.
fn store(site: &Site) -> PathBuf {
    let files = fs::read_dir(site.data().join("lists")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "redb")).unwrap()
}

#[test]
fn a_damaged_list_is_named_kept_aside_and_fetched_from_the_others() {
    let mut a = Site::founder();
    a.create("on a");
    a.up();
    let mut b = a.newcomer();
    level(&[&a, &b], 1);
    b.create("on b, heard by a");
    level(&[&a, &b], 2);
    b.stop();
    let file = store(&b);
    let sound = b.ok(&["repair"]);
    assert!(sound.is_empty() && file.exists(), "a sound list stays: {sound}");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..8_192].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    for args in
        [&["issues", "list"][..], &["issues", "create", "more"], &["issues", "validate", "--store"]]
    {
        let answer = b.run(args);
        assert!(answer.code != 0 && answer.code != 101, "{args:?}: {answer:?}");
        assert!(answer.stderr.contains("x0x repair"), "{args:?}: {answer:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), bytes, "nothing was changed");
    let repaired = b.ok(&["repair"]);
    let kept = repaired.lines().find_map(|line| line.strip_prefix("kept as ")).unwrap();
    assert_eq!(fs::read(kept).unwrap(), bytes);
    assert!(!file.exists());
    b.join(&a.invite());
    level(&[&a, &b], 2);
    b.create("after the repair");
    a.create("on a again");
    level(&[&a, &b], 4);
}

#[test]
fn one_damaged_list_of_two_keeps_the_other_and_its_node_from_nothing() {
    let mut site = Site::founder();
    site.create("sound");
    let sound = store(&site);
    fs::create_dir(site.dir.path().join("other")).unwrap();
    let mut init = site.command(&["init", "--name", "bellows", "--prefix", "BEL"]);
    init.current_dir(site.dir.path().join("other"));
    assert!(init.output().unwrap().status.success());
    let files = fs::read_dir(site.data().join("lists")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let damaged = files.find(|path| *path != sound && path.extension().is_some()).unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[..8_192].fill(0xa5);
    fs::write(&damaged, &bytes).unwrap();
    assert!(site.ok(&["issues", "list", "--list", "pump"]).contains("sound"));
    let unknown = site.run(&["issues", "list", "--list", "bellows"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("x0x repair"), "{unknown:?}");
    site.up();
    assert!(site.ok(&["status"]).contains("is not open"));
    assert!(site.ok(&["issues", "list", "--list", "pump"]).contains("sound"));
    site.stop();
    let repaired = site.ok(&["repair", "--list", "bellows"]);
    assert!(repaired.contains("kept as") && !damaged.exists() && sound.exists(), "{repaired}");
}

#[test]
fn a_list_that_is_in_use_is_never_kept_aside() {
    let site = Site::founder();
    site.create("an issue");
    let file = store(&site);
    let sound = fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    bytes[..8_192].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    let lock = File::options().write(true).open(site.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let answer = site.run(&["repair", "--lock-timeout", "0.2"]);
    assert!(answer.code != 0 && answer.stderr.contains("held by"), "{answer:?}");
    drop(lock);
    assert_eq!(fs::read(&file).unwrap(), bytes, "it is where it was");
    fs::write(&file, &sound).unwrap();
    // Another program that has the database itself: it cannot be looked at, which is no damage.
    let database = File::options().read(true).write(true).open(&file).unwrap();
    database.lock().unwrap();
    let answer = site.run(&["repair"]);
    assert!(answer.code != 0, "{answer:?}");
    drop(database);
    assert!(file.exists());
    assert!(site.ok(&["repair"]).is_empty());
}

#[test]
fn bytes_that_are_flipped_anywhere_make_an_error_or_no_difference_and_no_panic() {
    let site = Site::founder();
    for n in 0..20 {
        site.create(&format!("issue {n}"));
    }
    let file = store(&site);
    let sound = fs::read(&file).unwrap();
    let before = site.export();
    let (mut seen, mut passed) = (0, 0);
    for n in 0..24 {
        let mut bytes = sound.clone();
        let at = (n * 7_919 + 64) * 13 % bytes.len();
        bytes[at] ^= 0x40;
        fs::write(&file, &bytes).unwrap();
        let checked = site.run(&["issues", "validate", "--store"]);
        let read = site.run(&["issues", "export", "--canonical", "--out", "-"]);
        for answer in [&checked, &read] {
            assert!(answer.code != 101 && !answer.stderr.contains("panicked"), "{at}: {answer:?}");
        }
        match checked.code {
            // A byte that nobody reads, or the spare half of the header.
            0 => {
                passed += 1;
                assert_eq!(read.stdout, before, "{at}: what passes the check says the same");
            }
            _ => seen += 1,
        }
    }
    assert!(seen > 0, "of {passed} nothing was seen");
    fs::write(&file, &sound).unwrap();
    assert_eq!(site.export(), before);
}
