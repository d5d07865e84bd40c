//! More of something than any honest node sends. It may cost time; it must not pile up.
//!
//! What may be held on account of one link (docs/protocol.md, bounds): 4 MiB of frames that came, 8 MiB of
//! requests that are read or answered, 8 MiB on its way in QUIC, and 8 MiB of frames for each lane that the
//! other side does not take. An agent has at most four links.

use std::time::Duration;

use tokio::task::JoinSet;
use x0x::hub::Held as HeldByHub;
use x0x::wire::{self, Card, Control, Digest, NEWS_MAX, Request, SignedCard, Standing};
use x0x_tracker::id::{AgentId, CommitHash, LogId};
use x0x_tracker::journal::commit::Position;

use crate::liar::{framed, gossip};
use crate::{LEVEL_MAX, PATIENCE, Scene, eventually};

/// What one link may take, in KiB: 28 MiB as above, and as much again for what is made of it.
const OF_A_LINK_KIB: u64 = 56 << 10;

/// How many tasks a node has beside those of requests: of each link four and the one that watches it, for
/// calls, and a few that pull.
const TASKS_MAX: usize = 64;

/// Returns how much memory this process has that is not on disk: three parties, of which one is honest
/// to the other.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sees that little has piled up since `before`.
async fn is_light(scene: &Scene, before: u64, links: u64, when: &str) {
    let grown = resident_kib().saturating_sub(before);
    eprintln!("{when}: {grown} KiB, {:?}", scene.a.held(scene.list).await);
    assert!(grown < links * OF_A_LINK_KIB, "{when}: {grown} KiB");
}

fn some_hash(number: u64) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

/// Frames of the control lane that are all in order.
fn of_control(scene: &Scene) -> Vec<(&'static str, usize, Vec<Vec<u8>>)> {
    let list = scene.list;
    let digest = |n: u64, wants_answer| {
        wire::encode(&Control::Digest(Digest { list, hash: some_hash(n), wants_answer }))
    };
    let news = |n: u64| {
        let place = |at: u64| {
            let agent = AgentId(some_hash(at % 3));
            let position = Position { number: n + 1, hash: CommitHash(some_hash(n)) };
            (LogId { agent, nonce: (n * 64 + at).to_le_bytes() }, position)
        };
        wire::encode(&Control::News { list, places: (0..NEWS_MAX as u64).map(place).collect() })
    };
    let card = |n: u64| {
        let agent = scene.liar.agent;
        let addresses = vec!["127.0.0.1:1".parse().unwrap()];
        // Each is newer by far than the one before.
        let card = Card {
            agent,
            at_ms: 1_000_000 * n as i64,
            addresses,
            load_pct: None,
            seal_key: Vec::new(),
        };
        let card = SignedCard::new(&card, scene.liar.identity.as_ref()).unwrap();
        wire::encode(&Control::Cards { list, cards: vec![card] })
    };
    let joined = |n: u64| {
        let role = x0x_tracker::journal::charter::Role::Maintainer;
        let list = x0x_tracker::id::ListId(some_hash(n));
        wire::encode(&Control::Joined { list, role, statements: Vec::new(), more: false })
    };
    vec![
        ("digests", 100_000, (0..500).map(|n| digest(n, false)).collect()),
        ("digests that want an answer", 20_000, (0..500).map(|n| digest(n, true)).collect()),
        ("news of logs that are nowhere", 2_000, (0..500).map(news).collect()),
        ("cards, each newer", 2_000, (0..2_000).map(card).collect()),
        ("answers to no ticket", 100_000, (0..500).map(joined).collect()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_control_frames_holds_up_nobody() {
    let mut scene = Scene::new().await;
    for (what, count, frames) in of_control(&scene) {
        let mut wire = scene.liar.link(&scene.a).await;
        let (before, carried) = (resident_kib(), scene.b.node.bytes().await.unwrap());
        let mut control = wire.connection.open_uni().await.unwrap();
        control.write_all(&[0]).await.unwrap();
        let mut flood = JoinSet::new();
        flood.spawn(async move {
            for frame in frames.iter().cycle().take(count) {
                control.write_all(&framed(frame)).await.unwrap();
            }
            control
        });
        scene.is_sound(&format!("amid {what}")).await;
        let _control = flood.join_next().await.unwrap().unwrap();
        wire.is_alive().await;
        scene.is_sound(&format!("after {what}")).await;
        is_light(&scene, before, 1, what).await;
        let passed_on = scene.b.node.bytes().await.unwrap() - carried;
        assert!(passed_on < 1 << 20, "{what}: {passed_on} bytes passed on");
        wire.hang_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_gossip_holds_up_nobody() {
    let mut scene = Scene::new().await;
    let offers = |n: u64| {
        let offers: Vec<([u8; 32], u16)> =
            (0..128).map(|at| (some_hash(n * 128 + at), 1)).collect();
        gossip(&(1_u8, 3_u8, offers))
    };
    let shuffle = |n: u64| {
        let nodes: Vec<([u8; 32], Option<u8>)> =
            (0..16).map(|at| (some_hash(n * 16 + at), None)).collect();
        gossip(&(0_u8, 2_u8, scene.liar.agent.0, nodes, 6_u16))
    };
    let graft = |n: u64| gossip(&(1_u8, 2_u8, Some(some_hash(n)), 0_u16));
    let floods: [(&str, Vec<Vec<u8>>); 4] = [
        ("offers of what never comes", (0..5_000).map(offers).collect()),
        ("shuffles of strangers", (0..5_000).map(shuffle).collect()),
        ("grafts of what was never here", (0..20_000).map(graft).collect()),
        (
            "joins and farewells",
            (0..20_000)
                .map(|n| match n % 2 {
                    0 => gossip(&(0_u8, 0_u8, None::<u8>)),
                    _ => gossip(&(0_u8, 5_u8, true, false)),
                })
                .collect(),
        ),
    ];
    for (what, messages) in floods {
        let mut wire = scene.liar.link(&scene.a).await;
        let before = resident_kib();
        for message in &messages {
            wire.gossip(message).await;
        }
        wire.is_alive().await;
        scene.is_sound(&format!("after {what}")).await;
        is_light(&scene, before, 1, what).await;
        let held = scene.a.held(scene.list).await;
        assert!(held.hub.mesh.offers <= 1_024, "{what}: {held:?}");
        wire.hang_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_an_end_are_served_and_forgotten() {
    let mut scene = Scene::new().await;
    let wire = scene.liar.link(&scene.a).await;
    let list = scene.list;
    let requests = [
        Request::Pull { list, standing: Standing::default() },
        Request::Headers { list, log: scene.liar.new_log(), from: 1 },
        Request::Lost { list },
    ];
    let before = resident_kib();
    for round in 0..200 {
        let mut answers = Vec::new();
        for n in 0..30 {
            answers.push(wire.request(&requests[(round + n) % 3]).await);
        }
        for mut answer in answers {
            // One in three is not listened to.
            if round % 3 > 0 {
                drop(answer.read_to_end(8 << 20).await.unwrap());
            }
        }
    }
    scene.is_sound("after 6,000 requests").await;
    is_light(&scene, before, 1, "after 6,000 requests").await;
    let (place, list) = (&scene.a, scene.list);
    let few = || async { place.held(list).await.tasks <= TASKS_MAX };
    eventually("tasks that ended are forgotten", PATIENCE, few).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_that_never_end_take_the_room_of_few() {
    let mut scene = Scene::new().await;
    let wire = scene.liar.link(&scene.a).await;
    let before = resident_kib();
    let mut writers = JoinSet::new();
    for _ in 0..32 {
        let (mut send, receive) = wire.connection.open_bi().await.unwrap();
        writers.spawn(async move {
            let bytes: u32 = 8 << 20;
            send.write_all(&bytes.to_le_bytes()).await.unwrap();
            let part = vec![1; 1 << 20];
            for _ in 0..7 {
                // The other side gives it up after a while.
                if send.write_all(&part).await.is_err() {
                    break;
                }
            }
            (send, receive)
        });
    }
    // As much as is let in comes in at once; the rest waits for the first to be given up.
    let begun = tokio::time::timeout(Duration::from_secs(5), writers.join_next()).await;
    scene.is_sound("amid large requests").await;
    is_light(&scene, before, 1, "amid large requests").await;
    drop(begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_looks_for_a_few_of_its_own_logs_at_a_time() {
    let mut scene = Scene::new().await;
    // Whatever the node asks for then, waits for a stream.
    let mut wire = scene.liar.call_granting(&scene.a, 0).await;
    scene.liar.introduce(&mut wire).await;
    let (place, list) = (&scene.a, scene.list);
    let (log, _) = place.with(list, |tracker| tracker.own_place().unwrap().unwrap()).await;
    for n in 0..500 {
        let voids = (0..8).map(|at| (log, 1, CommitHash(some_hash(8 * n + at)))).collect();
        let standing = Standing { voids, ..Standing::default() };
        let mut answers = wire.request(&Request::Pull { list, standing }).await;
        drop(answers.read_to_end(8 << 20).await.unwrap());
    }
    wire.is_alive().await;
    let held = scene.a.held(list).await;
    assert!(held.tasks <= TASKS_MAX, "{held:?}");
    scene.is_sound("after void commits that were none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_side_does_not_take_is_bounded() {
    let mut scene = Scene::new().await;
    let list = scene.list;
    let mut wire = scene.liar.link(&scene.a).await;
    let before = resident_kib();
    // Each is answered.
    wire.deaf();
    let digest = Control::Digest(Digest { list, hash: [7; 32], wants_answer: true });
    for _ in 0..40_000 {
        if wire.control.write_all(&framed(&wire::encode(&digest))).await.is_err() {
            break;
        }
    }
    scene.is_sound("after digests").await;
    is_light(&scene, before, 1, "after digests").await;
    // Each greeting that shares the list again has cards and lost commits looked up, and pulls begun.
    let mut wire = scene.liar.call_granting(&scene.a, 0).await;
    scene.liar.introduce(&mut wire).await;
    let tag = scene.liar.tag(&wire);
    for n in 0..20_000_u64 {
        let log = scene.liar.new_log();
        let places = vec![(log, Position { number: 1, hash: CommitHash(some_hash(n)) })];
        let lists = if n % 2 == 0 { Vec::new() } else { vec![tag] };
        let hello = wire::Hello { program: "liar".to_owned(), rules: 1, lists, card: None };
        let frames = [Control::Hello(hello), Control::News { list, places }];
        let frames = frames.map(|frame| framed(&wire::encode(&frame))).concat();
        if wire.control.write_all(&frames).await.is_err() {
            break;
        }
    }
    scene.is_sound("after greetings").await;
    is_light(&scene, before, 1, "after greetings").await;
    let held = scene.a.held(list).await;
    assert!(held.tasks <= TASKS_MAX, "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_links_and_reconnects_leave_nothing_behind() {
    let mut scene = Scene::new().await;
    let before = resident_kib();
    let mut spoken = 0;
    for _ in 0..10 {
        let mut links = Vec::new();
        for _ in 0..10 {
            links.extend(scene.liar.call_once_more(&scene.a).await);
        }
        spoken += links.len();
        for wire in links {
            wire.hang_up();
        }
    }
    assert!(spoken >= 10, "of 100 links {spoken} were open");
    for _ in 0..50 {
        scene.liar.link(&scene.a).await.hang_up();
    }
    scene.is_sound("after 150 links").await;
    let (place, list) = (&scene.a, scene.list);
    let few = || async {
        let held = place.held(list).await;
        let HeldByHub { links, .. } = held.hub;
        links <= 2 && held.tasks <= TASKS_MAX
    };
    eventually("links that ended are forgotten", LEVEL_MAX, few).await;
    is_light(&scene, before, 1, "after 150 links").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_are_guessed_a_few_times_a_link() {
    let mut scene = Scene::new().await;
    let list = scene.list;
    for round in 0..2_u64 {
        let mut wire = scene.liar.link(&scene.a).await;
        for n in 0..256 {
            let secret = some_hash(round * 256 + n);
            wire.say(&Control::Join { list, secret }).await;
            let refused = |frame| match frame {
                Control::NotJoined { why, .. } => Some(why),
                _ => None,
            };
            assert_eq!(wire.hear(refused).await, wire::JoinRefusal::Unknown);
        }
        wire.say(&Control::Join { list, secret: [7; 32] }).await;
        wire.is_breached("one ticket more than is looked at").await;
    }
    scene.is_sound("after guessed tickets").await;
}
