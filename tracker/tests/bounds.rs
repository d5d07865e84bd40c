//! What a file or a commit can make a store allocate: little, whatever it claims to hold.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod support;

use std::io::{BufReader, Read, repeat};

use support::{FILE, List, record};
use x0x_tracker::TrackerError;
use x0x_tracker::id::{ListId, LogId};
use x0x_tracker::interface::{ImportOptions, Tracker};
use x0x_tracker::journal::charter::{Charter, Signed};
use x0x_tracker::journal::commit::{Commit, Header, body_hash};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::jsonl::merge::merge;
use x0x_tracker::jsonl::read::{LINE_BYTES_MAX, Lines, Problem};
use x0x_tracker::testing::{StandIn, StandInVerifier};

/// 2^60 as postcard writes lengths.
const ENDLESS: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

/// Imports a file that has bad lines, sees nothing taken, and returns what is wrong.
fn problems(file: &[u8]) -> Vec<Problem> {
    let mut list = List::new(1);
    let error = list.tracker.import(FILE, &mut &file[..], &ImportOptions::default(), &mut |_| {});
    let Err(TrackerError::BadLines { problems, .. }) = error else { panic!("{error:?}") };
    assert_eq!((list.canonical(), list.commits()), (String::new(), 0));
    problems
}

/// Imports and exports a file, and sees every byte come back; in the merge driver too.
fn comes_back(file: &str) {
    let mut list = List::new(1);
    list.import(file);
    assert_eq!(list.export(), file);
    let bytes = file.as_bytes();
    assert_eq!(merge(bytes, bytes, bytes).unwrap().text, bytes);
}

#[test]
fn a_length_that_the_bytes_do_not_have_is_malformed() {
    let founder = StandIn::new(1);
    let log = LogId { agent: founder.agent(), nonce: [0; 8] };
    let header = |body: &[u8]| Header {
        list: ListId([1; 32]),
        log,
        number: 1,
        previous: None,
        body: body_hash(body),
        after: Vec::new(),
        charter: Vec::new(),
        rules: 1,
    };
    let one_entry = |rest: &[u8]| [&[1][..], rest].concat();
    for body in [
        ENDLESS.to_vec(),
        one_entry(&ENDLESS),
        one_entry(&[&[1, b'A', 1][..], &ENDLESS].concat()),
        one_entry(&[&[1, b'A', 0][..], &ENDLESS].concat()),
        one_entry(&[&[1, b'A', 0, 1][..], &ENDLESS].concat()),
    ] {
        let commit = Commit::sign(&header(&body), body, &founder).unwrap();
        let error = commit.open(ListId([1; 32])).unwrap_err();
        assert_eq!(error.to_string(), "the body is malformed");
    }
    let whole = Commit::sign(&header(&[]), Vec::new(), &founder).unwrap();
    // Before its end stand the lengths of two empty lists, and the rules.
    let start = whole.header.len() - 3;
    for at in [start, start + 1] {
        let mut endless = whole.clone();
        endless.header.splice(at..=at, ENDLESS);
        let error = endless.header(ListId([1; 32])).unwrap_err();
        assert_eq!(error.to_string(), "the header is malformed");
    }
    for statement in [[&[0][..], &ENDLESS].concat(), [&[1][..], &[0; 64], &ENDLESS].concat()] {
        let signed = Signed { statement, signature: Vec::new() };
        let error = Charter::default().accept(&signed, &StandInVerifier).unwrap_err();
        assert_eq!(error.to_string(), "the statement is malformed");
    }
}

#[test]
fn a_commit_over_its_bounds_is_not_decoded() {
    let commit = |header: usize, body: usize| Commit {
        header: vec![0; header],
        body: vec![0; body],
        signature: None,
    };
    for commit in [commit((64 << 10) + 1, 0), commit(0, (1 << 20) + 1)] {
        let error = commit.open(ListId([1; 32])).unwrap_err().to_string();
        assert!(error.contains("more than the"), "{error}");
    }
}

#[test]
fn a_line_without_end_is_named_and_not_kept_in_memory() {
    let endless = repeat(b'x').take(1 << 30).chain(&b"\n{}"[..]);
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, endless));
    let line = lines.next_line().unwrap().unwrap();
    assert!(
        line.oversize && line.text.capacity() <= 4 * LINE_BYTES_MAX,
        "{}",
        line.text.capacity()
    );
    assert_eq!(lines.next_line().unwrap().unwrap().text, b"{}");
    let problems = problems(&vec![b'{'; LINE_BYTES_MAX + 1]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].reason.contains("longer than"), "{}", problems[0]);
}

#[test]
fn nesting_is_kept_up_to_a_bound_and_named_past_it() {
    let nested = |depth: usize, open: &str, close: &str| {
        record("A-1", &[("deep", &format!("{}1{}", open.repeat(depth), close.repeat(depth)))])
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        comes_back(&nested(500, open, close));
        for depth in [512, 100_000] {
            let problems = problems(nested(depth, open, close).as_bytes());
            assert!(problems[0].reason.contains("more than 512 deep"), "{}", problems[0]);
        }
    }
}

#[test]
fn conflicts_of_any_shape_come_back_as_they_were() {
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    for conflicts in [
        format!("{{\"title\":[{deep}]}}"),
        format!("{{\"title\":{deep}}}"),
        format!("{{\"a\":{{\"b\":{deep}}}}}"),
        format!(
            "{{{}}}",
            (0..500).map(|n| format!("\"f{n}\":[{n}]")).collect::<Vec<_>>().join(",")
        ),
        "[]".to_owned(),
        "{\"title\":[]}".to_owned(),
        "{\"title\":[\"x\",\"x\"]}".to_owned(),
    ] {
        comes_back(&record("A-1", &[("conflicts", &conflicts)]));
    }
}

#[test]
fn a_million_labels_are_named_and_not_taken() {
    let labels = format!("[{}\"z\"]", "\"a\",".repeat(1_000_000));
    let problems = problems(record("A-1", &[("labels", &labels)]).as_bytes());
    assert!(problems.iter().any(|p| p.reason.contains("elements")), "{problems:?}");
    let fields: String = (0..5_000).map(|n| format!(",\"f{n}\":{n}")).collect();
    let line = format!("{{\"id\":\"A\",\"title\":\"t\"{fields}}}\n");
    assert!(self::problems(line.as_bytes())[0].reason.contains("more than 4096 fields"));
}

#[test]
fn bytes_that_are_no_text_are_named_where_they_stand() {
    let good = record("A-1", &[]);
    for (bad, column, reason) in [
        (&b"{\"id\":\"A\0\"}"[..], 9, "control character"),
        (&b"\0"[..], 1, "not a JSON object"),
        (&b"{\"id\":\"A\xff\"}"[..], 9, "not valid UTF-8"),
        (&b"{\"id\":\"\xed\xa0\x80\"}"[..], 8, "not valid UTF-8"),
        (&b"\xef\xbb\xbf{\"id\":\"A\",\"title\":\"t\"}"[..], 1, "not a JSON object"),
        (&b"{\"id\":\xef\xbb\xbf\"A\",\"title\":\"t\"}"[..], 7, "expected a value"),
        (&b"{\"id\":\"\\ud800\",\"title\":\"t\"}"[..], 7, "id must be a string"),
        (&b"{\"id\":\"A\",\"title\":\"\\ud800\"}"[..], 19, "title must be a string"),
        (&b"{\"id\":\"A\\u0000\",\"title\":\"t\"}"[..], 7, "control characters"),
    ] {
        let found = problems(&[good.as_bytes(), bad, b"\n"].concat());
        let text = String::from_utf8_lossy(bad);
        assert_eq!((found[0].line, found[0].column), (2, column), "{text}: {}", found[0]);
        assert!(found[0].reason.contains(reason), "{text}: {}", found[0]);
    }
}

#[test]
fn odd_text_comes_back_as_it_was() {
    for value in
        ["\"\\u0000\"", "\"a\u{feff}b\"", "\"\\udc00 \\ud800\"", "\"\\ud83d\\ude00\"", "\"\u{7f}\""]
    {
        comes_back(&record("A-1", &[("note", value), ("labels", &format!("[{value}]"))]));
    }
    comes_back(&record("A-1", &[("", "1"), ("\\ud83d\\ude00", "2")]));
}
