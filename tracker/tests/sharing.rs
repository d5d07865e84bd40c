//! One open list used by several: what readers beside a writer see, and what writings are that share a sync.

use x0x_tracker::interface::Draft;
use x0x_tracker::store::Disk;
use x0x_tracker::testing::{self, StandInVerifier};
use x0x_tracker::{LocalTracker, Tracker};

#[test]
fn writings_that_share_a_sync_are_seen_at_once_and_proved_by_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("place");
    std::fs::write(&path, "").unwrap();
    let disk = Disk::default();
    drop(testing::found_on(&disk, &path, 1).unwrap());
    let mut writer = testing::open_alone_on(&disk, &path, testing::host(1)).unwrap();
    let mut reader = writer.beside().unwrap();
    let faults = |writer: &LocalTracker, name: &str| {
        let copy = dir.path().join(name);
        writer.snapshot().unwrap().copy_to(&copy, &mut |_| {}).unwrap();
        LocalTracker::open_to_check(&copy).unwrap().check(&StandInVerifier).unwrap()
    };
    assert_eq!(faults(&writer, "before"), [""; 0]);
    writer.sync_later();
    for title in ["a", "b"] {
        writer.create(&Draft::titled(title)).unwrap();
    }
    assert_eq!(reader.info().unwrap().issues, 2);
    assert!(reader.create(&Draft::titled("c")).is_err(), "it only reads");
    let unproved = faults(&writer, "meanwhile");
    assert!(unproved.len() == 1 && unproved[0].starts_with("nothing proves"), "{unproved:?}");
    writer.sync().unwrap();
    assert_eq!(faults(&writer, "after"), [""; 0]);
    drop(writer);
    assert!(reader.info().is_err(), "whoever had it open closed it");
}
