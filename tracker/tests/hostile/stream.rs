//! Pieces of a stream of commits: what is proved is what its header says, and can be proved again.
//!
//! An input is a byte and a list of items in postcard. Where the byte is odd, the headers are mended
//! first: list, numbers, chain and the hashes of bodies are made to fit, so that what follows is reached.

use std::sync::OnceLock;

use x0x_tracker::id::{CommitHash, ListId, LogId};
use x0x_tracker::journal::charter::{Charter, Role, Signed, Statement};
use x0x_tracker::journal::commit::{
    Body, Commit, Entry, Header, RULES_VERSION, body_hash, decode_header, encode_body,
};
use x0x_tracker::journal::run::{Proved, RUN_HEADERS_MAX, Run};
use x0x_tracker::journal::signature::{Signer, Verifier};
use x0x_tracker::journal::stream::{Incoming, Item};
use x0x_tracker::testing::{StandIn, StandInVerifier};
use x0x_tracker::timestamp::Timestamp;

/// A list with a founder.
struct Founded {
    list: ListId,
    charter: Charter,
}

/// Returns the list that inputs belong to.
fn founded() -> &'static Founded {
    static FOUNDED: OnceLock<Founded> = OnceLock::new();
    FOUNDED.get_or_init(|| {
        let founder = StandIn::new(1);
        let statement = Statement::Found {
            name: "pump".to_owned(),
            founder: founder.public_key().to_vec(),
            nonce: [1; 16],
            at: Timestamp(0),
        };
        let founding = Signed::new(&statement, &founder).expect("a stand-in signs all");
        let mut charter = Charter::default();
        charter.accept(&founding, &StandInVerifier).expect("it founds the list");
        let list = charter.list().expect("it is founded");
        Founded { list, charter }
    })
}

pub fn run(data: &[u8]) {
    let _any = proved(data);
}

/// Checks it for one input; returns how many commits were proved.
pub fn proved(data: &[u8]) -> usize {
    let Some((how, data)) = data.split_first() else { return 0 };
    let Ok((mut items, _)) = postcard::take_from_bytes::<Vec<Item>>(data) else { return 0 };
    let mut count_proved = 0;
    if how % 2 == 1 {
        mend(&mut items);
    }
    let Founded { list, charter } = founded();
    let mut charter = charter.clone();
    let mut incoming = Incoming::default();
    for item in items {
        match item {
            Item::Statement(signed) => {
                let before = charter.heads();
                if charter.accept(&signed, &Gullible).is_err() {
                    assert_eq!(charter.heads(), before, "a refused statement changes nothing");
                }
            }
            Item::Run(run) => {
                if let Ok(proved) = run.clone().prove(*list, &charter, &Gullible) {
                    let count = proved.positions().count();
                    assert_eq!(count, run.headers.len());
                    assert!((1..=RUN_HEADERS_MAX).contains(&count) && proved.first() > 0);
                    assert_eq!(proved.from(proved.first()), Some(run.clone()));
                    assert!(proved.positions().zip(proved.first()..).all(|(at, n)| at.number == n));
                }
                let _open = incoming.run(&run, *list, &charter, &Gullible);
            }
            Item::Body { log, number, body } => {
                if let Ok(commit) = incoming.body(log, number, body) {
                    assert_eq!((commit.header().log, commit.header().number), (log, number));
                    check(&commit, *list, &charter);
                    count_proved += 1;
                }
            }
        }
    }
    count_proved
}

fn check(proved: &Proved, list: ListId, charter: &Charter) {
    let commit = proved.to_commit();
    assert_eq!(body_hash(proved.body()), proved.header().body);
    assert_eq!(commit.hash(), proved.position().hash);
    let header: Header = commit.header(list).expect("it was checked");
    assert_eq!(&header, proved.header());
    // Whoever gets it from here can prove it as well.
    match proved.rest() {
        Some(rest) => assert!(rest.prove(list, charter, &Gullible).is_ok()),
        None => assert!(Proved::signed(commit, list, charter, &Gullible).is_ok()),
    }
}

/// Makes headers fit each other and the bodies that follow.
fn mend(items: &mut [Item]) {
    let bodies: Vec<(LogId, u64, [u8; 32])> = items
        .iter()
        .filter_map(|item| match item {
            Item::Body { log, number, body } => Some((*log, *number, body_hash(body))),
            _ => None,
        })
        .collect();
    for item in items {
        let Item::Run(run) = item else { continue };
        let Some(first) = run.headers.first().and_then(|bytes| decode_header(bytes).ok()) else {
            continue;
        };
        let mut previous = first.previous;
        for (bytes, number) in run.headers.iter_mut().zip(first.number.max(1)..) {
            let Ok(mut header) = decode_header(bytes) else { break };
            let log = first.log;
            let body = bodies.iter().find(|(of, at, _)| (*of, *at) == (log, number));
            (header.list, header.log, header.number) = (founded().list, log, number);
            (header.previous, header.rules) = (previous, RULES_VERSION);
            header.body = body.map_or(header.body, |(_, _, hash)| *hash);
            let signed = Commit::sign(&header, Vec::new(), &StandIn::new(1));
            *bytes = signed.expect("a stand-in signs all").header;
            previous = Some(CommitHash::of(bytes));
        }
    }
}

/// Returns what the fuzzer starts from.
pub fn seeds() -> Vec<Vec<u8>> {
    let Founded { list, charter } = founded();
    let (list, founder) = (*list, StandIn::new(1));
    let log = LogId { agent: founder.agent(), nonce: [5; 8] };
    let member = StandIn::new(2);
    let grant = Statement::Grant {
        list,
        by: founder.agent(),
        member: member.public_key().to_vec(),
        role: Role::Worker,
        seen: charter.heads(),
    };
    let mut grant = Signed::new(&grant, &founder).expect("a stand-in signs all");
    // Every signature is taken for a good one, and the fuzzer gets further with little.
    grant.signature.truncate(8);
    let commit = |log, number, previous, signer: &StandIn| {
        let birth = x0x_tracker::document::Birth { id: format!("A-{number}"), created_at: None };
        let entry = Entry { birth, changes: vec![vec![number as u8; 9]] };
        let body = encode_body(&Body { entries: vec![entry] });
        let header = Header {
            list,
            log,
            number,
            previous,
            body: body_hash(&body),
            after: Vec::new(),
            charter: charter.heads(),
            rules: RULES_VERSION,
        };
        Commit::sign(&header, body, signer).expect("a stand-in signs all")
    };
    let first = commit(log, 1, None, &founder);
    let second = commit(log, 2, Some(first.hash()), &founder);
    let other = LogId { agent: member.agent(), nonce: [6; 8] };
    let theirs = commit(other, 1, None, &member);
    let run = |commits: &[&Commit]| {
        let headers = commits.iter().map(|commit| commit.header.clone()).collect();
        Item::Run(Run { headers, signature: vec![7; 8] })
    };
    let body = |log, number, commit: &Commit| {
        let body = commit.body.clone();
        Item::Body { log, number, body }
    };
    let streams = [
        vec![Item::Statement(grant.clone())],
        vec![run(&[&first, &second]), body(log, 1, &first), body(log, 2, &second)],
        vec![
            Item::Statement(grant),
            run(&[&first]),
            run(&[&theirs]),
            body(log, 1, &first),
            body(other, 1, &theirs),
            run(&[&second]),
            body(log, 2, &second),
        ],
    ];
    let of = |how: u8, items: &Vec<Item>| {
        postcard::to_extend(items, vec![how]).expect("every length is known")
    };
    streams.iter().flat_map(|items| [of(0, items), of(1, items)]).collect()
}

/// Takes every signature for a good one.
struct Gullible;

impl Verifier for Gullible {
    fn verify(&self, _public_key: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}
