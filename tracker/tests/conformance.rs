//! The embedded store, run through the suite that every tracker must pass.

use x0x_tracker::{conformance, testing};

#[test]
fn the_embedded_store_is_a_tracker() {
    let mut dirs = Vec::new();
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let tracker = testing::found(dir.path(), 1).unwrap();
        dirs.push(dir);
        Box::new(tracker)
    });
}
