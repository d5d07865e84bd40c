//! The merge driver: no record is lost, and what it writes can be read and merged again.
//!
//! An input is the three texts with a byte 0xff between them, which no readable text holds.

use std::collections::BTreeMap;

use x0x_tracker::id::DocumentKey;
use x0x_tracker::jsonl::import::Fields;
use x0x_tracker::jsonl::merge::merge;
use x0x_tracker::jsonl::read::{Content, Lines, parse_line};
use x0x_tracker::jsonl::{record, text};

pub const SEPARATOR: u8 = 0xff;

pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == SEPARATOR);
    let [base, ours, theirs] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let Ok(merged) = merge(base, ours, theirs) else { return };
    let again = merge(&merged.text, &merged.text, &merged.text).expect("a merged file is read");
    assert_eq!(again.text, merged.text, "merging a file with itself changes nothing");
    assert_eq!(merge(base, ours, ours).expect("as before").text, ours);
    assert_eq!(merge(base, ours, base).expect("as before").text, ours);
    let [base, ours, theirs, all] = [base, ours, theirs, merged.text.as_slice()].map(records);
    for (key, fields) in ours.iter().chain(&theirs) {
        let kept = all.contains_key(key);
        let both = ours.contains_key(key) && theirs.contains_key(key);
        let removed = base.get(key).is_some_and(|base| is_alike(base, fields));
        assert!(kept || !both && removed, "a record is lost");
    }
    for key in all.keys() {
        assert!(ours.contains_key(key) || theirs.contains_key(key), "a record came from nowhere");
    }
    if base == ours {
        for (key, fields) in &theirs {
            assert!(is_alike(fields, &all[key]), "what only theirs changed is taken");
        }
    }
}

fn records(file: &[u8]) -> BTreeMap<DocumentKey, Fields> {
    let mut lines = Lines::new(file);
    let mut found = BTreeMap::new();
    while let Some(raw) = lines.next_line().expect("reading from memory does not fail") {
        if let Ok(Content::Record(line)) = parse_line(&raw) {
            let record = record::read(&line, raw.number).expect("the file was merged");
            found.insert(record.birth.key(), record.fields);
        }
    }
    found
}

/// Tells whether two records say the same, apart from conflicts, which are merged by other rules.
fn is_alike(a: &Fields, b: &Fields) -> bool {
    let names = a.keys().chain(b.keys()).filter(|name| name.as_str() != "conflicts");
    names.into_iter().all(|name| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => text::equal(a, b),
        _ => false,
    })
}
