//! Files of stores that were cut short or hold other bytes than were written: a typed error, no panic,
//! no byte changed; and what a plain reader cannot see, the check sees.
//!
//! The database verifies its pages when it repairs or is asked to, not on every read. `X0X_DAMAGES` says
//! how many bytes are flipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use support::{FILE, record};
use x0x_tracker::interface::{Draft, ExportFrom, Filter, Patch};
use x0x_tracker::store::{Disk, Store};
use x0x_tracker::testing::{self, StandInVerifier};
use x0x_tracker::{LocalTracker, Tracker, TrackerError};

/// Bytes that are flipped, unless the environment says another number.
const DAMAGES: u64 = 150;

/// A store's file: closed, as a kill would leave it after one more edit, and what both say.
struct Sample {
    dir: tempfile::TempDir,
    closed: Vec<u8>,
    killed: Vec<u8>,
    said: String,
    said_later: String,
}

fn sample() -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = testing::found(dir.path(), 1).unwrap();
    let lines: String = (0..40).map(|n| record(&format!("I-{n}"), &[("priority", "2")])).collect();
    tracker.import(FILE, &mut lines.as_bytes(), &Default::default(), &mut |_| {}).unwrap();
    for n in 0..20 {
        tracker.create(&Draft::titled(&format!("issue {n}"))).unwrap();
    }
    let said = canonical(&tracker).unwrap();
    drop(tracker);
    let path = path_in(dir.path());
    let closed = fs::read(&path).unwrap();
    let mut tracker = testing::open(dir.path(), 1).unwrap();
    tracker.edit("I-1", &Patch::default().set_text("title", "later"), None).unwrap();
    let said_later = canonical(&tracker).unwrap();
    let killed = fs::read(&path).unwrap();
    drop(tracker);
    Sample { dir, closed, killed, said, said_later }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("list.redb")
}

fn canonical(tracker: &LocalTracker) -> Result<String, TrackerError> {
    let mut text = Vec::new();
    tracker.export(&ExportFrom::Canonical, &mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

/// Reads everything that commands read.
fn read(path: &Path) -> Result<String, TrackerError> {
    let tracker = LocalTracker::open_to_read(path)?;
    tracker.info()?;
    tracker.stats()?;
    tracker.agenda(&Filter::default(), &mut |_| ControlFlow::Continue(()))?;
    tracker.export(&ExportFrom::File(FILE.to_owned()), &mut std::io::sink())?;
    canonical(&tracker)
}

/// Verifies everything; what is wrong is an error too.
fn verify(path: &Path) -> Result<String, TrackerError> {
    let tracker = LocalTracker::open_to_check(path)?;
    match tracker.check(&StandInVerifier)?.first() {
        Some(fault) => Err(TrackerError::Damaged { what: fault.clone() }),
        None => canonical(&tracker),
    }
}

fn write(path: &Path) -> Result<String, TrackerError> {
    let mut tracker = testing::open(path.parent().unwrap(), 1)?;
    tracker.create(&Draft::titled("written"))?;
    canonical(&tracker)
}

/// Does something to the file of a sample; a panic that gets out fails the test.
fn barred<T>(what: &str, act: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| panic!("{what}: a panic got out"))
}

fn is_told(error: &TrackerError, what: &str) {
    match error {
        TrackerError::Damaged { .. } => {
            assert!(error.hint().contains("`x0x repair` keeps the damaged list aside"))
        }
        // The database verified nothing, and what it gave was no number, change or statement of ours.
        TrackerError::Format { .. } | TrackerError::Document(_) | TrackerError::Journal(_) => {}
        _ => panic!("{what}: {error:?}"),
    }
}

/// Returns lengths at and around every border of the header, and many between.
fn lengths(whole: usize) -> Vec<usize> {
    let mut lengths = vec![0, 1, 8, 9, 10, 31, 32, 63, 64, 191, 192, 319, 320, 321, 4095, 4096];
    lengths.extend((1..whole / 4096).step_by(7).flat_map(|page| [page * 4096, page * 4096 + 513]));
    lengths.extend([whole - 4096, whole - 1]);
    lengths.retain(|length| *length < whole);
    lengths
}

#[test]
fn a_file_cut_short_is_damaged_and_left_as_it_is() {
    let sample = sample();
    let path = path_in(sample.dir.path());
    for length in lengths(sample.closed.len()) {
        let what = format!("{length} of {} bytes", sample.closed.len());
        fs::write(&path, &sample.closed[..length]).unwrap();
        for act in [read, verify, write] {
            is_told(&barred(&what, || act(&path)).expect_err(&what), &what);
            assert!(fs::read(&path).unwrap() == sample.closed[..length], "{what}: changed");
        }
    }
}

/// What a kill left and was then cut short may still hold the state before the last: that is shown
/// after a repair, whole, or nothing is.
#[test]
fn a_file_left_by_a_kill_and_cut_short_shows_a_whole_state_or_is_damaged() {
    let sample = sample();
    let path = path_in(sample.dir.path());
    let (mut whole, mut damaged) = (0, 0);
    for length in lengths(sample.killed.len()).into_iter().chain([sample.killed.len()]) {
        let what = format!("{length} of {} bytes", sample.killed.len());
        fs::write(&path, &sample.killed[..length]).unwrap();
        match barred(&what, || read(&path)) {
            Ok(said) => {
                whole += 1;
                assert!(said == sample.said || said == sample.said_later, "{what}");
                assert!(length < sample.killed.len() || said == sample.said_later, "{what}");
                assert!(fs::read(&path).unwrap() == sample.killed[..length], "{what}: changed");
                let written = barred(&what, || write(&path)).expect(&what);
                assert_eq!(written.lines().count(), said.lines().count() + 1);
                barred(&what, || verify(&path)).expect(&what);
            }
            Err(error) => {
                damaged += 1;
                is_told(&error, &what);
                is_told(&barred(&what, || write(&path)).expect_err(&what), &what);
                assert!(fs::read(&path).unwrap() == sample.killed[..length], "{what}: changed");
            }
        }
    }
    assert!(whole > 0 && damaged > 0, "{whole} {damaged}");
}

#[test]
fn a_file_of_other_bytes_never_panics_and_the_check_finds_what_a_reader_does_not() {
    let damages = std::env::var("X0X_DAMAGES").map_or(DAMAGES, |text| text.parse().unwrap());
    let sample = sample();
    let path = path_in(sample.dir.path());
    let (mut told, mut served, mut unseen, mut harmless) = (0, 0, 0, 0);
    let mut state = 7_u64;
    let mut dice = |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % end
    };
    for damage in 0..damages {
        let is_closed = damage % 4 != 3;
        let mut bytes = if is_closed { sample.closed.clone() } else { sample.killed.clone() };
        // A third of the damages hit the header, a third whole sectors.
        let (at, length) = match damage % 3 {
            0 => (dice(320), 1),
            1 => (dice(bytes.len()), 1),
            _ => (dice(bytes.len() / 512) * 512, 512),
        };
        let flip = 1 + dice(255) as u8;
        bytes[at..at + length].iter_mut().for_each(|byte| *byte ^= flip);
        let what = format!("damage {damage}: {length} bytes at {at} of a file {is_closed}");
        fs::write(&path, &bytes).unwrap();
        let read = barred(&what, || read(&path));
        assert!(fs::read(&path).unwrap() == bytes, "{what}: changed by a reader");
        let verified = barred(&what, || verify(&path));
        assert!(fs::read(&path).unwrap() == bytes, "{what}: changed by the check");
        let is_true =
            |said: &String| *said == sample.said_later && !is_closed || *said == sample.said;
        match (&read, &verified) {
            (Err(error), _) => {
                told += 1;
                is_told(error, &what);
            }
            (Ok(said), _) if is_true(said) => harmless += 1,
            (Ok(_), Err(_)) => served += 1,
            (Ok(_), Ok(_)) => unseen += 1,
        }
        if let Err(error) = &verified {
            is_told(error, &what);
        }
        if let Ok(said) = &verified {
            assert!(is_true(said), "{what}: the check let it pass");
        }
        if let Err(error) = barred(&what, || write(&path)) {
            is_told(&error, &what);
        }
    }
    eprintln!(
        "{told} told, {harmless} harmless, {served} served until checked, {unseen} never seen"
    );
    assert!(told > 0 && harmless > 0, "some damages hit something, some nothing");
    assert_eq!(unseen, 0);
}

/// The version of the file and the types of tables stand in no page that is verified when it is opened.
#[test]
fn what_the_database_takes_for_another_programs_tables_is_damaged() {
    let sample = sample();
    let path = path_in(sample.dir.path());
    let mut types = sample.closed.clone();
    let name = b"&[u8]";
    for at in 0..types.len() - name.len() {
        if types[at..].starts_with(name) {
            types[at + 2] = b'i';
        }
    }
    let mut version = sample.closed.clone();
    (version[64], version[192]) = (2, 2);
    for bytes in [types, version] {
        assert!(bytes != sample.closed);
        fs::write(&path, &bytes).unwrap();
        for act in [read, verify, write] {
            let error = barred("tables", || act(&path)).unwrap_err();
            assert!(matches!(error, TrackerError::Damaged { .. }), "{error:?}");
        }
    }
}

#[test]
fn what_is_no_store_at_all_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = path_in(dir.path());
    for bytes in [&b""[..], b"x", b"redb", &[0; 4096], &[0xff; 9000], b"{\"id\":\"a\"}\n"] {
        fs::write(&path, bytes).unwrap();
        for act in [read, verify, write] {
            is_told(&barred("no store", || act(&path)).unwrap_err(), "no store");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}

#[test]
fn a_panic_of_the_database_is_an_error_and_the_hook_may_keep_silent() {
    assert!(!x0x_tracker::catches_panics());
    let sample = sample();
    let mut caught = 0;
    for at in (4096..sample.closed.len()).step_by(4096) {
        let mut bytes = sample.closed.clone();
        let end = bytes.len().min(at + 64);
        bytes[at..end].fill(0xff);
        let path = path_in(sample.dir.path());
        fs::write(&path, bytes).unwrap();
        let error = barred("a page", || read(&path)).err().map(|error| error.to_string());
        caught += u64::from(error.is_some_and(|error| error.contains("the database gave up")));
        assert!(!x0x_tracker::catches_panics());
    }
    assert!(caught > 0, "the database panics on none of these pages: the barrier is idle");
}

#[test]
fn a_store_on_a_disk_of_memory_opens_as_one_in_a_file() {
    let sample = sample();
    let path = path_in(sample.dir.path());
    let disk = Disk::holding(sample.closed.clone());
    let store = Store::open_on(disk, &path).unwrap();
    let tracker = LocalTracker::over(store, testing::host(1));
    assert_eq!(canonical(&tracker).unwrap(), sample.said);
}
