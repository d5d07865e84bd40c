//! Documents do not grow without end: changes are folded into a snapshot when they have grown to its
//! size. And a file that a large import leaves half empty is given back.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use support::{List, record};
use x0x_tracker::Tracker;
use x0x_tracker::interface::Patch;
use x0x_tracker::store::{Rows, Store, Table, Tables};

/// What is stored besides the snapshot and the changes: what names the document, and lengths.
const FRAME_BYTES: usize = 128;

#[test]
fn changes_are_folded_into_a_snapshot_when_they_have_grown_to_its_size() {
    let mut list = List::new(1);
    let description = format!("\"{}\"", "words of a description ".repeat(20));
    list.import(&record("A-1", &[("description", &description)]));
    let path = list.dir.path().join("list.redb");
    let (mut folded, mut last) = (0, 0);
    for n in 0..200 {
        let patch = Patch::default().set_text("assignee", &format!("worker {n}"));
        list.tracker.edit("A-1", &patch, None).unwrap();
        let key = list.tracker.show("A-1").unwrap().row.key;
        let reading = Store::open_to_read(&path).unwrap().read().unwrap();
        let stored = reading.get(Table::Documents, &key.0).unwrap().unwrap().len();
        let document = reading.document(key).unwrap().unwrap();
        let snapshot = document.save().len();
        assert!(stored <= 2 * snapshot.max(1024) + FRAME_BYTES, "{stored} bytes of {snapshot}");
        assert_eq!(document.read().issue.text("assignee"), Some(format!("worker {n}")));
        folded += usize::from(stored < last);
        last = stored;
    }
    assert!((2..50).contains(&folded), "folded {folded} times");
}

#[test]
fn the_file_is_shrunk_after_an_import_that_replaced_most_of_it() {
    let mut list = List::new(1);
    let text = |round: usize| -> String {
        let words = format!("\"{}\"", format!("words of round {round} ").repeat(60));
        let date = format!("\"2026-05-0{round}T00:00:00Z\"");
        let fields = [("description", words.as_str()), ("updated_at", date.as_str())];
        (0..1_500).map(|n| record(&format!("A-{n:04}"), &fields)).collect()
    };
    let path = list.dir.path().join("list.redb");
    let sizes: Vec<u64> = (1..=3)
        .map(|round| {
            assert_eq!(list.import(&text(round)).writes(), 1_500);
            std::fs::metadata(&path).unwrap().len()
        })
        .collect();
    let copy = list.dir.path().join("copy.redb");
    Store::open_to_read(&path).unwrap().copy_to(&copy, &mut |_| {}).unwrap();
    let least = std::fs::metadata(&copy).unwrap().len();
    assert!(sizes[2] < least * 3 / 2, "{sizes:?}, and {least} without free space");
}
