//! Changes of others: refused without a trace, or taken so that every replica has the same.
//!
//! An input is what follows the frame of a change: the frame is put before it, checksum included.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use x0x_tracker::document::{Document, DocumentError, Edit, admit, change_hash};
use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::timestamp::Timestamp;

use super::document::birth;

/// The log whose changes are judged.
pub const THEIRS: LogId = LogId { agent: AgentId([2; 32]), nonce: [2; 8] };

const OURS: LogId = LogId { agent: AgentId([1; 32]), nonce: [1; 8] };

/// The bytes before the length of a change: magic bytes, checksum, type.
const TYPE_AT: usize = 8;

pub fn run(data: &[u8]) {
    let world = world();
    let bytes = framed(data);
    let (mut here, mut there) = (world.whole.clone(), world.without_last.clone());
    let (first, second) = (take(&mut here, &bytes), take(&mut there, &bytes));
    match (&first, &second) {
        (Ok(()), Ok(())) => {}
        (_, Err(DocumentError::Missing { .. })) => {}
        (Err(_), Err(_)) => {}
        _ => panic!("judged differently by what else is there: {first:?} {second:?}"),
    }
    if first.is_err() {
        assert_eq!(here.save(), world.whole.save(), "a refused change leaves no trace");
        return;
    }
    check_stored(&here, &[world.stored.as_slice(), &bytes].concat());
    if second.is_ok() {
        take(&mut there, &world.last).expect("an honest change is taken after it");
        check_same(&here, &there);
    }
}

/// Judges bytes as a change of [`THEIRS`].
pub fn take(document: &mut Document, bytes: &[u8]) -> Result<(), DocumentError> {
    let log = if is_by(bytes, OURS) { OURS } else { THEIRS };
    document.admit(admit::check(&birth(), bytes, log)?)
}

fn is_by(bytes: &[u8], log: LogId) -> bool {
    bytes == world().last && log == OURS
}

/// A document says the same after it was saved, and where its changes were stored one by one.
fn check_stored(document: &Document, changes: &[u8]) {
    let saved = Document::load(birth(), &document.save()).expect("what was saved is read");
    check_same(document, &saved);
    let appended = Document::load(birth(), changes).expect("what was appended is read");
    check_same(document, &appended);
    let mut edited = document.clone();
    let mut edit = Edit::default();
    edit.set(&document.read(), "title", Some("\"edited after it\""));
    edited.write(&edit, OURS, Timestamp(9)).expect("it can be edited still");
    assert_eq!(edited.read().issue.text("title").as_deref(), Some("edited after it"));
}

fn check_same(a: &Document, b: &Document) {
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.read().issue.canonical_json(), b.read().issue.canonical_json());
    assert_eq!(a.read().registers, b.read().registers);
    assert_eq!(a.read().lists, b.read().lists);
}

/// Returns a change chunk with the right checksum.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1];
    let mut length = data.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(data);
    let hash = Sha256::digest(&bytes[TYPE_AT..]);
    bytes[4..TYPE_AT].copy_from_slice(&hash[..4]);
    bytes
}

/// Returns what follows the frame of a change.
pub fn unframed(bytes: &[u8]) -> &[u8] {
    let length = bytes[TYPE_AT + 1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    &bytes[TYPE_AT + 1 + length..]
}

/// The document that changes come to.
pub struct World {
    /// With everything.
    pub whole: Document,
    /// Without the last change of ours, which stands beside the last of theirs.
    pub without_last: Document,
    /// The bytes of that change.
    pub last: Vec<u8>,
    /// Genesis and all changes, one after the other.
    pub stored: Vec<u8>,
    /// Changes of theirs that would be taken: what they wrote so far, and what they might next.
    pub samples: Vec<Vec<u8>>,
}

/// Returns a document that both wrote to, alike each time.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut document = Document::new(birth());
        let mut stored = document.genesis_bytes();
        let mut samples = Vec::new();
        let created = [("title", "\"one\""), ("labels", "[\"a\",\"b\"]"), ("estimate", "1.50")];
        samples.push(write(&mut document, THEIRS, &created));
        let edited = [("state", "\"todo\""), ("labels", "[\"b\",\"c\"]")];
        let second = write(&mut document, OURS, &edited);
        let mut beside = document.clone();
        samples.push(write(
            &mut document,
            THEIRS,
            &[("title", "\"two\""), ("labels", "[\"c\",\"b\"]")],
        ));
        let last = write(&mut beside, OURS, &[("title", "\"three\""), ("note", "null")]);
        let without_last = document.clone();
        let last_change = admit::check(&birth(), &last, OURS).expect("it is honest");
        document.admit(last_change).expect("it is honest");
        for part in [&samples[0], &second, &samples[1], &last] {
            stored.extend_from_slice(part);
        }
        samples.extend(next_samples(&document, &without_last, &samples[0]));
        World { whole: document, without_last, last, stored, samples }
    })
}

/// Changes that theirs might write next: on top of everything, beside, of every kind of field.
fn next_samples(whole: &Document, without_last: &Document, first: &[u8]) -> Vec<Vec<u8>> {
    let edits: [&[(&str, &str)]; 4] = [
        &[("title", "\"four\""), ("priority", "2"), ("updated_at", "\"2026-02-01T00:00:00Z\"")],
        &[("labels", "[]"), ("comments", "[{\"at\":\"2026-01-02T00:00:00Z\",\"body\":\"x\"}]")],
        &[("description", "\"half \\ud800\""), ("handoff", "{\"summary\":[1,2.0]}")],
        &[("labels", "\"none\""), ("conflicts", "{\"title\":[\"x\"]}"), ("estimate", "1e400")],
    ];
    let mut samples = Vec::new();
    for edit in edits {
        samples.push(write(&mut whole.clone(), THEIRS, edit));
        samples.push(write(&mut without_last.clone(), THEIRS, edit));
    }
    let mut beside = whole.clone();
    let mut edit = Edit::default();
    edit.set(&beside.read(), "title", Some("\"beside\""));
    let heads = [change_hash(first).expect("it is a change")];
    let bytes = beside.write_beside(&edit, THEIRS, Timestamp(5_000), &heads);
    samples.extend(bytes.expect("it is honest"));
    samples
}

fn write(document: &mut Document, log: LogId, fields: &[(&str, &str)]) -> Vec<u8> {
    let now = document.read();
    let mut edit = Edit::default();
    for (name, json) in fields {
        edit.set(&now, name, Some(json));
    }
    let bytes = document.write(&edit, log, Timestamp(1_000)).expect("it is honest");
    bytes.expect("it changes something")
}
