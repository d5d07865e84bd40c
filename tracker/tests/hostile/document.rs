//! A stored document: loading one never panics, and what was read is stored again as it was.

use x0x_tracker::document::{Birth, Document};

/// The documents' birth.
pub fn birth() -> Birth {
    Birth { id: "F-1".to_owned(), created_at: Some("\"2026-01-01T00:00:00Z\"".to_owned()) }
}

pub fn run(data: &[u8]) {
    let _loaded = Document::load(birth(), data);
}
