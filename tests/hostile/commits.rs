//! Commits that are wrong in one thing, sent by gossip to a node that would take them else.

use std::io::Write;

use automerge::ScalarValue;
use automerge::legacy::{OpId, OpType};
use flate2::{Compression, write::DeflateEncoder};
use x0x::wire::{self, Payload};
use x0x_tracker::id::{CommitHash, ListId, LogId, StatementHash};
use x0x_tracker::journal::commit::{Body, Commit, Entry, Position, encode_body};

use crate::forge::{birth, body, change, issue, operation, title};
use crate::liar::{Liar, Wire, broadcast, gossip, noise};
use crate::{PATIENCE, Scene, eventually};

/// Sends a commit to all, as its author does.
pub async fn publish(wire: &mut Wire, commit: &Commit) {
    let payload = wire::encode(&Payload::Commit(commit.clone()));
    wire.gossip(&broadcast(&payload)).await;
}

/// Waits until a node counts commits of a log up to one.
async fn is_taken(scene: &Scene, log: LogId, number: u64) {
    let (place, list) = (&scene.b, scene.list);
    let counts = || async {
        let frontier = place.with(list, |tracker| tracker.frontier().unwrap()).await;
        frontier.position(log).is_some_and(|last| last.number == number)
    };
    eventually("a good commit counts on both nodes", PATIENCE, counts).await;
}

/// Commits for which their sender is blamed.
fn that_prove_nothing(liar: &Liar, victim: (LogId, Position)) -> Vec<(&'static str, Commit)> {
    let log = liar.new_log();
    let good = liar.good(log, "S-forged");
    let body = || good.body.clone();
    let mut flipped = good.clone();
    flipped.signature.as_mut().unwrap()[100] ^= 1;
    let unsigned = Commit { signature: None, ..good.clone() };
    let other_body = Commit { body: noise(1, 50), ..good.clone() };
    let fresh = LogId { nonce: [9; 8], ..victim.0 };
    let (next, hash) = (victim.1.number + 1, victim.1.hash);
    vec![
        ("a wrong signature", flipped),
        ("no signature", unsigned),
        ("another body than its header's", other_body),
        ("noise as a header", Commit { header: noise(2, 200), ..good.clone() }),
        ("number 0", liar.sign(log, body(), |header| header.number = 0)),
        ("another list", liar.sign(log, body(), |header| header.list = ListId([9; 32]))),
        (
            "the victim's next commit",
            liar.sign(victim.0, issue("S-forged", victim.0), |header| {
                (header.number, header.previous) = (next, Some(hash));
            }),
        ),
        ("a new log of the victim's", liar.sign(fresh, issue("S-forged", fresh), |_| {})),
    ]
}

/// Commits that are their author's, and of no use.
fn that_are_void(liar: &Liar, victim: LogId) -> Vec<(&'static str, Commit)> {
    let make = |what: &'static str, change_of: &dyn Fn(LogId) -> Vec<u8>| {
        let log = liar.new_log();
        (what, liar.sign(log, body(&birth("S-forged"), change_of(log)), |_| {}))
    };
    let issue = birth("S-forged");
    let titled = |log| change(&issue, log, vec![title(&issue, "forged")]);
    let with = |log, more| change(&issue, log, vec![title(&issue, "forged"), more]);
    let null = || OpType::Put(ScalarValue::Null);
    let record = "0123456789abcdef".repeat(4);
    let compressed = |log: LogId| {
        let mut bytes = titled(log);
        bytes[8] = 2;
        bytes
    };
    let checksum = |log: LogId| {
        let mut bytes = titled(log);
        bytes[5] ^= 1;
        bytes
    };
    let many = |log: LogId| {
        change(&issue, log, vec![operation(&issue, "fields", "x", null(), Vec::new()); 100_001])
    };
    let deleted = |log: LogId| {
        with(
            log,
            operation(
                &issue,
                "records",
                &record,
                OpType::Delete,
                vec![OpId(1, automerge::ActorId::from(&victim.to_bytes()[..]))],
            ),
        )
    };
    let unclaimed = |log: LogId| {
        with(
            log,
            operation(
                &issue,
                "records",
                &record,
                OpType::Put(ScalarValue::Bytes(vec![7; 60])),
                Vec::new(),
            ),
        )
    };
    let log = liar.new_log();
    let nameless = liar.sign(
        log,
        encode_body(&Body {
            entries: vec![Entry { birth: birth(""), changes: vec![titled(log)] }],
        }),
        |_| {},
    );
    vec![
        make("noise as a change", &|_| noise(3, 200)),
        make("no change", &|_| Vec::new()),
        make("a change with the victim's actor", &|_| titled(victim)),
        make("a compressed change", &compressed),
        make("a change that inflates to much", &|_| bomb()),
        make("a wrong checksum", &checksum),
        make("a hundred thousand operations and one", &many),
        make("a deleted record", &deleted),
        make("a record that is none", &unclaimed),
        ("an issue without a name", nameless),
        ("noise as a body", liar.sign(liar.new_log(), noise(4, 300), |_| {})),
        (
            "a first commit with one before it",
            liar.sign(log, body(&issue, titled(log)), |header| {
                header.previous = Some(CommitHash([9; 32]))
            }),
        ),
    ]
}

/// A compressed change that stands for 48 MiB, in as many bytes as are broadcast.
fn bomb() -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 48 << 20]).unwrap();
    let data = encoder.finish().unwrap();
    assert!(data.len() < 60_000, "{} bytes", data.len());
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 2];
    bytes.extend(postcard::to_stdvec(&data).unwrap());
    bytes
}

/// Commits that another time might be taken.
fn that_are_left(liar: &Liar) -> Vec<(&'static str, Commit)> {
    let log = liar.new_log();
    let body = liar.good(log, "S-forged").body;
    vec![
        ("later rules", liar.sign(log, body.clone(), |header| header.rules = 2)),
        ("no charter", liar.sign(log, body.clone(), |header| header.charter.clear())),
        (
            "a charter that nobody knows",
            liar.sign(log, body, |header| header.charter = vec![StatementHash([9; 32])]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_proves_nothing_ends_the_link() {
    let mut scene = Scene::new().await;
    let own = scene.a.with(scene.list, |tracker| tracker.own_place().unwrap().unwrap()).await;
    for (what, commit) in that_prove_nothing(&scene.liar, own) {
        let mut wire = scene.liar.link(&scene.a).await;
        publish(&mut wire, &commit).await;
        wire.is_breached(what).await;
    }
    let mut wire = scene.liar.link(&scene.a).await;
    let large = liar_payload_over_its_bound(&scene.liar);
    wire.gossip(&broadcast(&large)).await;
    wire.is_breached("a commit that is too large to be broadcast").await;
    let other_id = gossip(&(1_u8, 0_u8, [7_u8; 32], noise(6, 90), 0_u8, 0_u16));
    for (what, message) in [
        ("a broadcast under another id", other_id),
        ("a payload that is none", broadcast(&noise(7, 60))),
    ] {
        let mut wire = scene.liar.link(&scene.a).await;
        wire.gossip(&message).await;
        wire.is_breached(what).await;
    }
    scene.is_sound("after forged commits").await;
}

fn liar_payload_over_its_bound(liar: &Liar) -> Vec<u8> {
    let commit = liar.sign(liar.new_log(), noise(5, (64 << 10) - 3_600), |_| {});
    let payload = wire::encode(&Payload::Commit(commit));
    assert!((65_000..65_537).contains(&payload.len()), "{}", payload.len());
    [payload, vec![0; 600]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_void_commit_is_remembered_and_changes_nothing() {
    let mut scene = Scene::new().await;
    let own = scene.a.with(scene.list, |tracker| tracker.own_place().unwrap().unwrap()).await;
    let mut wire = scene.liar.link(&scene.a).await;
    for (what, commit) in that_are_void(&scene.liar, own.0) {
        publish(&mut wire, &commit).await;
        let (hash, list) = (commit.hash(), scene.list);
        // It is passed on, since its author signed it, and void with everybody.
        for place in [&scene.a, &scene.b] {
            let is_void = || async {
                let voids = place.with(list, |tracker| tracker.voids().unwrap()).await;
                voids.iter().any(|(void, _)| *void == hash)
            };
            eventually(&format!("{what} is void"), PATIENCE, is_void).await;
        }
    }
    wire.is_alive().await;
    scene.is_sound("after void commits").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_judged_yet_is_left_and_the_next_good_commit_is_taken() {
    let mut scene = Scene::new().await;
    let mut wire = scene.liar.link(&scene.a).await;
    for (what, commit) in that_are_left(&scene.liar) {
        publish(&mut wire, &commit).await;
        // Frames of a lane are read in order: the first was judged before the second.
        let log = scene.liar.new_log();
        publish(&mut wire, &scene.liar.good(log, &format!("S-good after {what}"))).await;
        is_taken(&scene, log, 1).await;
    }
    wire.is_alive().await;
    scene.is_sound("after commits of another time").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_counts_once_however_often_and_in_whatever_order_it_comes() {
    let mut scene = Scene::new().await;
    let mut wire = scene.liar.link(&scene.a).await;
    let log = scene.liar.new_log();
    let mut chain = vec![scene.liar.good(log, "S-1")];
    for number in 2..=9 {
        let issue = birth(&format!("S-{number}"));
        let change = change(&issue, log, vec![title(&issue, "in whatever order")]);
        let previous = chain.last().map(Commit::hash);
        chain.push(scene.liar.sign(log, body(&issue, change), |header| {
            (header.number, header.previous) = (number, previous);
        }));
    }
    for commit in chain.iter().rev() {
        publish(&mut wire, commit).await;
    }
    is_taken(&scene, log, 9).await;
    for commit in chain.iter().cycle().take(2_000) {
        publish(&mut wire, commit).await;
    }
    // One frame again and again, under one id.
    let payload = wire::encode(&Payload::Commit(chain[4].clone()));
    let again = broadcast(&payload);
    for _ in 0..2_000 {
        wire.gossip(&again).await;
    }
    // One that comes after a gap waits, and what is before it is asked for.
    let far = scene.liar.sign(log, chain[0].body.clone(), |header| {
        (header.number, header.previous) = (12, Some(CommitHash([9; 32])));
    });
    publish(&mut wire, &far).await;
    let pulled = wire.is_asked().await;
    assert!(matches!(pulled.request, wire::Request::Pull { .. }), "{:?}", pulled.request);
    scene.is_sound("after commits again and again").await;
    is_taken(&scene, log, 9).await;
    let text = scene.a.canonical(scene.list).await;
    assert_eq!(text.matches("in whatever order").count(), 8);
}
