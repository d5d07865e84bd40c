//! Commits and statements: nothing that is decoded costs more than its bytes say.
//!
//! The first byte of an input says what the others are: a header, a body, or statements.

use x0x_tracker::document::{Document, admit};
use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::charter::{Charter, Signed};
use x0x_tracker::journal::commit::{
    Commit, Header, Opened, Position, RULES_VERSION, body_hash, encode_body,
};
use x0x_tracker::journal::signature::{SIGNATURE_BYTES, Signer, Verifier};
use x0x_tracker::testing::StandIn;

/// The list that inputs belong to.
pub const LIST: ListId = ListId([7; 32]);

pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 3 {
        0 => header(data),
        1 => body(data),
        _ => statements(data),
    }
}

/// The log that bodies are judged as.
pub fn log() -> LogId {
    LogId { agent: StandIn::new(1).agent(), nonce: [5; 8] }
}

fn header(data: &[u8]) {
    let commit = Commit { header: data.to_vec(), body: Vec::new(), signature: None };
    let Ok(header) = commit.header(LIST) else { return };
    let charter = Charter::default();
    assert!(commit.prove(&header, &charter, &Gullible).is_err(), "nobody is a member");
    if let Ok(opened) = commit.open(LIST) {
        let before = |number| Position { number, hash: commit.hash() };
        for last in [None, Some(before(1)), Some(before(header.number.saturating_sub(1)))] {
            let _judged = opened.continues(last);
        }
    }
}

fn body(data: &[u8]) {
    let header = Header {
        list: LIST,
        log: log(),
        number: 1,
        previous: None,
        body: body_hash(data),
        after: Vec::new(),
        charter: Vec::new(),
        rules: RULES_VERSION,
    };
    let commit = Commit::sign(&header, data.to_vec(), &StandIn::new(1)).expect("it signs");
    let Ok(opened) = commit.open(LIST) else { return };
    let again: Vec<u8> = encode_body(&opened.body);
    let again =
        Commit::sign(&Header { body: body_hash(&again), ..header }, again, &StandIn::new(1));
    let Opened { body, .. } = again.expect("it signs").open(LIST).expect("it was decoded");
    assert_eq!(body, opened.body);
    for entry in &opened.body.entries {
        if admit::check_entry(&entry.birth, entry.changes.len()).is_err() {
            continue;
        }
        let mut document = Document::new(entry.birth.clone());
        for bytes in &entry.changes {
            if let Ok(change) = admit::check(&entry.birth, bytes, log()) {
                let _judged = document.admit(change);
            }
        }
        let loaded = Document::load(entry.birth.clone(), &document.save()).expect("it was saved");
        assert_eq!(loaded.read().issue, document.read().issue);
    }
}

/// Statements one after the other, each with its length before it; the first is a founding one.
fn statements(mut data: &[u8]) {
    let mut charter = Charter::default();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (statement, rest) = rest.split_at(length);
        let signed = Signed { statement: statement.to_vec(), signature: vec![0; SIGNATURE_BYTES] };
        let before = charter.heads();
        if charter.accept(&signed, &Gullible).is_err() {
            assert_eq!(charter.heads(), before, "a refused statement changes nothing");
        }
        data = rest;
    }
    if charter.list().is_none() {
        assert_eq!(charter.heads(), []);
    }
    let _role = charter.role_under(AgentId([0; 32]), &charter.heads());
}

/// Takes every signature for a good one.
struct Gullible;

impl Verifier for Gullible {
    fn verify(&self, _public_key: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}
