//! The inputs that the fuzzer starts from, made from records, commits and changes of our own.

use std::collections::BTreeMap;

use x0x_tracker::document::{Birth, Document};
use x0x_tracker::id::{CommitHash, ListId, StatementHash};
use x0x_tracker::journal::charter::{Role, Signed, Statement};
use x0x_tracker::journal::commit::{
    Body, Commit, Entry, Header, Position, RULES_VERSION, body_hash, encode_body,
};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::StandIn;
use x0x_tracker::timestamp::Timestamp;

use super::{change, commit, document, merge, stream};

/// What each target starts from.
pub fn all() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    BTreeMap::from([
        ("lines", lines()),
        ("merge", merges()),
        ("commit", commits()),
        ("change", change::world().samples.iter().map(|s| change::unframed(s).to_vec()).collect()),
        ("document", documents()),
        ("stream", stream::seeds()),
    ])
}

const RECORDS: [&str; 5] = [
    r#"{"id":"A-1","identifier":"A-1","title":"one","state":"todo","labels":["a","b"],"priority":1,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#,
    r#"{ "id" : "A-2", "title":"sl\/ash \u00e9 \ud83d\ude00" , "n":[1.0, 1e400,12345678901234567890], "x":{"b":null,"a":[]}, "half":"\ud800" }"#,
    r#"{"title":"late","id":"A-3","comments":[{"id":"c","author":"x","at":"2026-01-01T00:00:00+02:00","body":"b"}],"links":[{"kind":"pr","url":"u"}],"deleted_at":null}"#,
    r#"{"id":"A-4","title":"t","conflicts":{"title":["x","y"]},"claim":{"by":"z"},"handoff":{"summary":"s"},"blocked_by":["A-1"],"acceptance":[],"validation":"lone"}"#,
    r#"{"id":"A-5","title":"later","state":"done","labels":["b","c"],"created_at":"soon","updated_at":"2026-03-01T00:00:00Z"}"#,
];

fn lines() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = RECORDS.iter().map(|line| line.as_bytes().to_vec()).collect();
    all.push(RECORDS.join("\n").into_bytes());
    all.push(format!("\u{feff}{}\r\n\r\n{}", RECORDS[0], RECORDS[1]).into_bytes());
    all.push(b"<<<<<<< ours\n{}\n=======\n[]\n>>>>>>> theirs\n".to_vec());
    all.push(format!("{}{}{}", "{\"a\":", "[".repeat(64), "]".repeat(64)).into_bytes());
    all
}

fn merges() -> Vec<Vec<u8>> {
    let join = |base: &str, ours: &str, theirs: &str| {
        let texts = [base, ours, theirs].map(str::as_bytes);
        texts.join(&[merge::SEPARATOR][..])
    };
    let [first, second, third, fourth, fifth] = RECORDS.map(|line| format!("{line}\n"));
    let changed = |line: &str| line.replace("\"one\"", "\"1\"").replace("[\"a\",\"b\"]", "[\"b\"]");
    let other = |line: &str| {
        let line = line.replace("\"one\"", "\"eins\"").replace("[\"a\",\"b\"]", "[\"a\",\"c\"]");
        line.replace("2026-01-01T00:00:00Z\"}", "2026-01-02T00:00:00Z\"}")
    };
    vec![
        join(&first, &changed(&first), &other(&first)),
        join(&format!("{first}{second}"), &first, &format!("{first}{second}{third}")),
        join("", &format!("{first}{third}"), &format!("{second}{fifth}")),
        join(&fourth, &fourth.replace("\"y\"", "\"z\""), &fourth.replace(",\"y\"", "")),
        join(&format!("{first}{second}"), &format!("{second}{first}"), &format!("{third}{first}")),
        join(first.trim_end(), &format!("\r\n{first}"), &format!("{}{fifth}", other(&first))),
    ]
}

fn commits() -> Vec<Vec<u8>> {
    let kind = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let body = Body {
        entries: vec![Entry {
            birth: Birth { id: "A-1".to_owned(), created_at: None },
            changes: vec![change::world().samples[0].clone(), vec![1, 2, 3]],
        }],
    };
    let mut own = Document::new(body.entries[0].birth.clone());
    let mut edit = x0x_tracker::document::Edit::default();
    edit.set(&own.read(), "title", Some("\"t\""));
    let written = own.write(&edit, commit::log(), Timestamp(0)).expect("it is honest");
    let mut good = body.clone();
    good.entries[0].changes = vec![written.expect("it changes something")];
    let header = Header {
        list: commit::LIST,
        log: commit::log(),
        number: 2,
        previous: Some(CommitHash([3; 32])),
        body: body_hash(&[]),
        after: vec![(change::THEIRS, Position { number: 300, hash: CommitHash([4; 32]) })],
        charter: vec![StatementHash([6; 32])],
        rules: RULES_VERSION,
    };
    let sealed = Commit::sign(&header, Vec::new(), &StandIn::new(1)).expect("it signs");
    vec![
        kind(0, &sealed.header),
        kind(1, &encode_body(&Body::default())),
        kind(1, &encode_body(&body)),
        kind(1, &encode_body(&good)),
        kind(2, &statements()),
    ]
}

fn statements() -> Vec<u8> {
    let (founder, member) = (StandIn::new(1), StandIn::new(2));
    let found = Statement::Found {
        name: "list".to_owned(),
        founder: founder.public_key().to_vec(),
        nonce: [0; 16],
        at: Timestamp(0),
    };
    let found = Signed::new(&found, &founder).expect("it signs");
    let grant = Statement::Grant {
        list: ListId::of(&found.statement),
        by: founder.agent(),
        member: member.public_key().to_vec(),
        role: Role::Worker,
        seen: vec![found.hash()],
    };
    let grant = Signed::new(&grant, &founder).expect("it signs");
    let mut bytes = Vec::new();
    for signed in [found, grant] {
        let length = u16::try_from(signed.statement.len()).expect("it is small");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&signed.statement);
    }
    bytes
}

fn documents() -> Vec<Vec<u8>> {
    let world = change::world();
    vec![
        world.stored.clone(),
        world.whole.save(),
        world.without_last.save(),
        Document::new(document::birth()).save(),
    ]
}
