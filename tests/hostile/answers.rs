//! Answers to a pull that no honest node gives.

use std::time::Duration;

use x0x::clerk::{PULL_MAX, STALL_MAX};
use x0x::wire::{self, Answer, Request, Standing};
use x0x_tracker::Tracker;
use x0x_tracker::id::{AgentId, CommitHash, ListId, LogId, StatementHash};
use x0x_tracker::interface::Draft;
use x0x_tracker::journal::charter::{Role, Signed, Statement};
use x0x_tracker::journal::commit::{BODY_BYTES_MAX, Commit, Position};
use x0x_tracker::journal::run::Run;
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::Item;

use crate::liar::{Liar, Wire, framed, noise};
use crate::{LEVEL_MAX, Scene, eventually, forge};

/// An answer, and whether the link is ended for it.
struct Lie {
    what: &'static str,
    bytes: Vec<u8>,
    is_breach: bool,
}

fn lie(what: &'static str, answer: &Answer, is_breach: bool) -> Lie {
    Lie { what, bytes: framed(&wire::encode(answer)), is_breach }
}

fn run_of(commits: &[&Commit]) -> Item {
    let headers = commits.iter().map(|commit| commit.header.clone()).collect();
    let signature = commits.last().and_then(|last| last.signature.clone()).unwrap_or_default();
    Item::Run(Run { headers, signature })
}

fn body_of(log: LogId, commit: &Commit) -> Item {
    Item::Body { log, number: 1, body: commit.body.clone() }
}

/// Pieces of a stream that break its rules.
fn of_items(liar: &Liar, victim: LogId) -> Vec<(&'static str, Vec<Item>, bool)> {
    let log = liar.new_log();
    let good = liar.good(log, "S-good");
    let next = |number| {
        let previous = Some(good.hash());
        liar.sign(log, good.body.clone(), |header| {
            (header.number, header.previous) = (number, previous);
        })
    };
    let (second, gap) = (next(2), next(3));
    let mut unsigned = good.clone();
    unsigned.signature = Some(vec![7; 3_309]);
    let other_list = liar.sign(log, good.body.clone(), |header| header.list = ListId([9; 32]));
    let later = liar.sign(log, good.body.clone(), |header| header.rules = 2);
    let unstated =
        liar.sign(log, good.body.clone(), |header| header.charter = vec![StatementHash([9; 32])]);
    let in_its_name = liar.sign(victim, forge::issue("S-forged", victim), |_| {});
    let fresh = LogId { nonce: [9; 8], ..victim };
    let in_a_new_log = liar.sign(fresh, forge::issue("S-forged", fresh), |_| {});
    let nobody = LogId { agent: AgentId([9; 32]), nonce: [9; 8] };
    let of_nobody = liar.sign(nobody, good.body.clone(), |_| {});
    let large = liar.sign(log, noise(5, BODY_BYTES_MAX + 1), |_| {});
    let closed = liar.new_log();
    let void = liar.sign(closed, noise(6, 100), |_| {});
    let promotion = Statement::Grant {
        list: liar.list,
        by: victim.agent,
        member: liar.identity.public_key().to_vec(),
        role: Role::Maintainer,
        seen: liar.tracker.charter().unwrap().heads(),
    };
    // In another's name, by its own key.
    let statement = Signed::new(&promotion, liar.identity.as_ref()).unwrap();
    let mut garbled = statement.clone();
    garbled.statement = noise(7, 90);
    let (run, body) = (run_of(&[&good]), body_of(log, &good));
    vec![
        ("a body without a header", vec![body.clone()], true),
        ("another body than the header's", vec![run.clone(), body_of(log, &void)], true),
        ("a body twice", vec![run.clone(), body.clone(), body], true),
        ("no header in a run", vec![run_of(&[])], true),
        ("headers in another order", vec![run_of(&[&second, &good])], true),
        ("a gap between headers", vec![run_of(&[&good, &gap])], true),
        ("more headers than a run has", vec![run_of(&[&good; 65])], true),
        (
            "noise as a header",
            vec![Item::Run(Run { headers: vec![noise(8, 300)], signature: vec![0; 3_309] })],
            true,
        ),
        ("a wrong signature", vec![run_of(&[&unsigned])], true),
        ("headers of another list", vec![run_of(&[&other_list])], true),
        ("a victim's log", vec![run_of(&[&in_its_name])], true),
        ("a new log of the victim's", vec![run_of(&[&in_a_new_log])], true),
        ("a body over its bound", vec![run_of(&[&large]), body_of(log, &large)], true),
        ("a grant in the victim's name", vec![Item::Statement(statement)], true),
        ("noise as a statement", vec![Item::Statement(garbled)], true),
        ("a log of nobody", vec![run_of(&[&of_nobody])], false),
        ("later rules", vec![run_of(&[&later])], false),
        ("a charter that is not known", vec![run_of(&[&unstated])], false),
        ("a commit that is void", vec![run_of(&[&void]), body_of(closed, &void)], false),
    ]
}

/// Frames that are no piece of a stream.
fn of_frames(victim: LogId) -> Vec<Lie> {
    let end = |logs: Vec<(LogId, Position)>| Answer::End(Standing { logs, ..Standing::default() });
    let invented = |count: u64| {
        let place = |n: u64| {
            let hash = CommitHash(*blake3::hash(&n.to_le_bytes()).as_bytes());
            (LogId { nonce: n.to_be_bytes(), ..victim }, Position { number: n + 1, hash })
        };
        (0..count).map(place).collect::<Vec<_>>()
    };
    let mut later = wire::encode(&Answer::NotServed);
    later[0] = 2;
    let half = framed(&wire::encode(&end(invented(9))))[..100].to_vec();
    vec![
        lie("another answer than asked for", &Answer::Headers(None), true),
        lie("too many logs", &end(invented(65_537)), true),
        Lie { what: "noise", bytes: framed(&noise(9, 400)), is_breach: true },
        Lie { what: "an empty frame", bytes: framed(&[]), is_breach: true },
        Lie { what: "another version", bytes: framed(&later), is_breach: true },
        Lie { what: "a frame over its bound", bytes: vec![0xff; 64], is_breach: false },
        Lie { what: "half a frame", bytes: half, is_breach: false },
        Lie { what: "nothing", bytes: Vec::new(), is_breach: false },
        lie("that nothing is served", &Answer::NotServed, false),
        lie("that it has nothing", &end(Vec::new()), false),
        lie("that the victim wrote much more", &end(invented(65_536)), false),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_answer_brings_nothing_and_ends_the_link_at_most() {
    let mut scene = Scene::new().await;
    let own = scene.a.with(scene.list, |tracker| tracker.own_place().unwrap().unwrap()).await;
    let items = of_items(&scene.liar, own.0);
    let lies = items.into_iter().map(|(what, items, is_breach)| {
        let mut lie = lie(what, &Answer::Items(items), is_breach);
        // An honest end, so that the pull itself is whole.
        lie.bytes.extend(framed(&wire::encode(&Answer::End(Standing::default()))));
        lie
    });
    for Lie { what, bytes, is_breach } in lies.chain(of_frames(own.0)) {
        let mut wire = scene.liar.link(&scene.a).await;
        let mut answer = wire.is_pulled_from().await;
        answer.write_all(&bytes).await.unwrap();
        answer.finish().unwrap();
        match is_breach {
            true => wire.is_breached(what).await,
            false => wire.is_alive().await,
        }
        wire.hang_up();
    }
    scene.is_sound("after false answers").await;
    let voids = scene.a.with(scene.list, |tracker| tracker.voids().unwrap()).await;
    assert_eq!(
        voids.len(),
        1,
        "what is void by its bytes is remembered, and nothing else: {voids:?}"
    );
}

/// Sees the honest nodes have from each other what is not broadcast, within some time.
async fn they_pull(scene: &mut Scene, round: u8, limit: Duration, what: &str) {
    let text = char::from(b'a' + round).to_string().repeat(300_000);
    // More than is broadcast, so that it has to be asked for.
    scene.b.set(scene.list, &scene.issue, "description", &text).await;
    let (place, list, text) = (&scene.a, scene.list, &text);
    let has = || async { place.canonical(list).await.contains(text.as_str()) };
    eventually(&format!("it is pulled from elsewhere while one answers with {what}"), limit, has)
        .await;
}

/// Answers a pull for ever with the same, whether or not the other side still listens.
async fn drip(wire: &mut Wire, answer: Vec<u8>) -> tokio::task::JoinSet<()> {
    let mut stream = wire.is_pulled_from().await;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while stream.write_all(&answer).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_brings_nothing_keeps_nobody_from_asking_another() {
    let mut scene = Scene::new().await;
    let items = |items| framed(&wire::encode(&Answer::Items(items)));
    let statement = scene.liar.tracker.statements().unwrap()[0].clone();
    let good = scene.liar.good(scene.liar.new_log(), "S-never-comes");
    let answers = [
        ("silence", Vec::new()),
        ("no items", items(Vec::new())),
        ("what is known", items(vec![Item::Statement(statement)])),
        ("headers whose bodies never come", items(vec![run_of(&[&good])])),
    ];
    for (round, (what, answer)) in (0..).zip(answers) {
        let mut wire = scene.liar.link(&scene.a).await;
        let _dripping = drip(&mut wire, answer).await;
        they_pull(&mut scene, round, LEVEL_MAX, what).await;
        wire.hang_up();
    }
    scene.is_sound("after answers without an end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_ends_is_left_and_another_is_asked() {
    let mut scene = Scene::new().await;
    let mut wire = scene.liar.link(&scene.a).await;
    let mut stream = wire.is_pulled_from().await;
    let log = scene.liar.new_log();
    let (identity, list) = (scene.liar.identity.clone(), scene.list);
    let charter = scene.liar.tracker.charter().unwrap().heads();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        // Each is good, and there is always one more.
        for (number, commit) in forge::chain(log, list, charter, identity) {
            let body = Item::Body { log, number, body: commit.body.clone() };
            let items = Answer::Items(vec![run_of(&[&commit]), body]);
            if stream.write_all(&framed(&wire::encode(&items))).await.is_err() {
                return number;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        0
    });
    they_pull(&mut scene, 0, PULL_MAX + LEVEL_MAX, "one good commit after another").await;
    let sent = tasks.join_next().await.unwrap().unwrap();
    assert!(sent > 100, "it was listened to while it brought something: {sent}");
    scene.is_sound("after an answer without an end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_takes_no_request_keeps_nobody_from_asking_another() {
    let mut scene = Scene::new().await;
    let mut wire = scene.liar.call_granting(&scene.a, 0).await;
    scene.liar.introduce(&mut wire).await;
    wire.tempt().await;
    let (place, list) = (&scene.a, scene.list);
    let asks = || async { place.held(list).await.hub.replica.pulls == 1 };
    eventually("the node wants to ask", LEVEL_MAX, asks).await;
    they_pull(&mut scene, 0, LEVEL_MAX, "no stream").await;
    // It is left at last: nothing waits for a stream that never comes.
    let (place, list) = (&scene.a, scene.list);
    let is_left = || async { place.held(list).await.hub.replica.pulls == 0 };
    eventually("nobody waits for a stream", STALL_MAX + LEVEL_MAX, is_left).await;
    scene.is_sound("beside one that takes no request").await;
    wire.is_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_answer_to_a_member_tells_it_all() {
    let mut scene = Scene::new().await;
    let wire = scene.liar.link(&scene.a).await;
    scene.liar.catch_up(&wire).await;
    let title = Draft::titled("from the liar, honestly");
    scene.liar.tracker.create(&title).unwrap();
    scene.is_sound("after an honest pull").await;
    let mut answers = wire.request(&Request::Lost { list: scene.list }).await;
    assert_eq!(crate::liar::next(&mut answers).await, None, "nothing of it is kept as lost");
}
