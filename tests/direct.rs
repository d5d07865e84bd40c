//! Direct messages between nodes of one process, and to oneself: through the library, over HTTP, as a stream.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use x0x::dm::{DmError, DmPath, Draft, Envelope};
use x0x::home::Home;
use x0x::node::{Config, Heard, MESSAGES_SHOWN, Node, NodeError, Wait};
use x0x::rest::client::{Client, ClientError};
use x0x::rest::follow::{Following, Told};
use x0x_tracker::Tracker;
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::charter::Role;

const WAIT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);

struct Place {
    dir: TempDir,
    node: Node,
    listen: SocketAddr,
}

async fn start(dir: TempDir, listen: SocketAddr) -> Place {
    start_as(dir, listen, Vec::new()).await
}

async fn start_as(dir: TempDir, listen: SocketAddr, advertise: Vec<SocketAddr>) -> Place {
    if std::env::var_os("X0X_TRACE").is_some() {
        let level = tracing::Level::DEBUG;
        let _again =
            tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    }
    let home = Home::at(dir.path().to_owned());
    let config = Config { listen: Some(listen), advertise, ..Config::on_loopback(home) };
    // The socket of a node that stopped in this process is closed once its calls are over.
    for _ in 0..1_000 {
        match Node::start(config.clone()).await {
            Err(NodeError::Link(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            started => {
                let node = started.unwrap();
                return Place { dir, listen: node.listen(), node };
            }
        }
    }
    panic!("{listen} stays in use");
}

/// An address of its own for each place, so that nobody takes its port while it is stopped.
fn own_address() -> SocketAddr {
    static PLACES: AtomicU8 = AtomicU8::new(1);
    let [a, b, ..] = std::process::id().to_le_bytes();
    SocketAddr::new(Ipv4Addr::new(127, a, b, PLACES.fetch_add(1, Ordering::Relaxed)).into(), 0)
}

async fn alone() -> Place {
    start(tempfile::tempdir().unwrap(), own_address()).await
}

async fn founder() -> (Place, ListId) {
    let dir = tempfile::tempdir().unwrap();
    let list = Home::at(dir.path().to_owned()).found("pump", "PUMP", WAIT).unwrap();
    (start(dir, own_address()).await, list)
}

async fn newcomer(to: &Place, list: ListId, role: Role) -> Place {
    let place = alone().await;
    let ticket = to.node.invite(list, role, DAY).await.unwrap().unwrap();
    place.node.join(ticket).await.unwrap().unwrap();
    place
}

/// Two nodes that share a list, and know so.
async fn pair() -> (Place, Place) {
    let (ann, list) = founder().await;
    let bob = newcomer(&ann, list, Role::Worker).await;
    ann.knows(&bob).await;
    bob.knows(&ann).await;
    (ann, bob)
}

impl Place {
    fn agent(&self) -> AgentId {
        self.node.agent()
    }

    async fn knows(&self, other: &Self) {
        let known = async {
            while !self.node.mailbox().members().await.unwrap().contains(&other.agent()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WAIT, known).await.unwrap();
    }

    async fn restart(self) -> Self {
        let Self { dir, node, listen } = self;
        node.stop().await;
        drop(node);
        start(dir, listen).await
    }

    async fn texts(&self) -> Vec<String> {
        let found = self.node.mailbox().inbox(0, 10_000).await.unwrap();
        found.into_iter().map(text).collect()
    }

    fn client(&self) -> Client {
        Client::of(self.dir.path()).unwrap()
    }

    async fn post(&self, path: &'static str, body: Value) -> Result<Value, ClientError> {
        let client = self.client();
        tokio::task::spawn_blocking(move || client.post(path, &body)).await.unwrap()
    }

    async fn get(&self, path: &'static str) -> Value {
        let client = self.client();
        tokio::task::spawn_blocking(move || client.get(path)).await.unwrap().unwrap()
    }

    async fn listen(&self, after: Option<u64>) -> Following {
        let client = self.client();
        let follow = move || client.follow_messages(after);
        let mut following = tokio::task::spawn_blocking(follow).await.unwrap().unwrap();
        let opening;
        (following, opening) = next(following).await;
        assert_eq!(opening, Told::Alive);
        following
    }
}

async fn next(mut following: Following) -> (Following, Told) {
    let next = move || {
        let told = following.next_told().unwrap();
        (following, told)
    };
    timeout(WAIT, tokio::task::spawn_blocking(next)).await.unwrap().unwrap()
}

async fn next_message(following: Following) -> (Following, Value) {
    let (following, told) = next(following).await;
    let Told::Event { data, .. } = told else { panic!("{told:?}") };
    (following, data)
}

fn text(envelope: Envelope) -> String {
    String::from_utf8(envelope.message.payload).unwrap()
}

fn refused(answer: Result<Value, ClientError>) -> (String, bool) {
    match answer {
        Err(ClientError::Refused(body)) => (body.error, body.retryable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_dm_of_a_node_without_any_list_is_delivered_over_loopback() {
    let place = alone().await;
    let receipt = place.node.send_direct(Draft::text(place.agent(), "note")).await.unwrap();
    assert_eq!((receipt.path, receipt.attempts), (Some(DmPath::Loopback), 1));
    assert!(receipt.delivered_at_ms.is_some());
    assert_eq!(place.texts().await, ["note"]);
    // It is there after a start, and gone once it is released.
    let place = place.restart().await;
    assert_eq!(place.texts().await, ["note"]);
    place.node.mailbox().release(1).await.unwrap();
    place.node.send_direct(Draft::text(place.agent(), "second")).await.unwrap();
    let place = place.restart().await;
    let found = place.node.mailbox().inbox(0, 9).await.unwrap();
    assert_eq!((found.len(), found[0].number), (1, 2));
    place.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_self_dms_over_http_are_told_in_order_as_others_would_be() {
    let (ann, bob) = pair().await;
    let own = ann.listen(None).await;
    let sent = async {
        for n in 0..1_000 {
            let body = json!({"to": ann.agent().to_string(), "json": {"n": n}});
            let receipt = ann.post("/direct/send", body).await.unwrap();
            assert_eq!((&receipt["ok"], &receipt["path"]), (&true.into(), &"loopback".into()));
        }
    };
    let heard = async move {
        let mut own = own;
        for n in 0..1_000 {
            let message;
            (own, message) = next_message(own).await;
            assert_eq!((&message["json"]["n"], &message["id"]), (&n.into(), &(n + 1).into()));
        }
        own
    };
    let ((), own) = tokio::join!(sent, heard);
    // What bob sends looks alike, but for the way it took.
    let body = json!({"agent_id": ann.agent().to_string(), "json": {"n": 0}, "message_id": "m"});
    bob.post("/direct/send", body.clone()).await.unwrap();
    let (own, of_bob) = next_message(own).await;
    ann.post("/direct/send", body).await.unwrap();
    let (_own, of_ann) = next_message(own).await;
    let shape = |message: &Value| message.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&of_bob), shape(&of_ann));
    assert_eq!((&of_bob["path"], &of_ann["path"]), (&"quic".into(), &"loopback".into()));
    for name in ["to", "message_id", "verified", "payload", "json"] {
        assert_eq!(of_bob[name], of_ann[name], "{name}");
    }
    assert_eq!(of_bob["from"], bob.agent().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_reaches_a_linked_member_and_is_acknowledged() {
    let (ann, bob) = pair().await;
    let mut follower = bob.node.mailbox().follow(None);
    let receipt = ann.node.send_direct(Draft::text(bob.agent(), "hello")).await.unwrap();
    assert_eq!((receipt.path, receipt.attempts), (Some(DmPath::Quic), 1));
    let heard = timeout(WAIT, follower.next()).await.unwrap().unwrap().unwrap();
    let [Heard::Message(envelope)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((envelope.message.from, envelope.path), (ann.agent(), DmPath::Quic));
    let diagnostics = ann.get("/diagnostics/dm").await;
    let rows = diagnostics["rows"].as_array().unwrap();
    let of = |path: &str| rows.iter().find(|row| row["path"] == path).unwrap();
    assert_eq!((&of("quic")["delivered"], &of("quic")["retried"]), (&1.into(), &0.into()));
    assert_eq!(of("loopback")["sent"], 0);
    assert!(of("quic")["latency_us_p50"].as_u64().unwrap() > 0);
    assert_eq!(diagnostics["outbox"]["depth"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_messages_wait_for_whoever_is_away_and_for_a_sender_that_was_stopped() {
    let (ann, bob) = pair().await;
    let (of_bob, bob_agent) = (bob.listen, bob.agent());
    let Place { dir, node, .. } = bob;
    node.stop().await;
    drop(node);
    for n in 0..5 {
        let draft = Draft::text(bob_agent, &n.to_string());
        let receipt = ann.node.mailbox().send(draft, Wait::Accepted).await.unwrap();
        assert!(receipt.accepted_at_ms.is_some() && receipt.delivered_at_ms.is_none());
    }
    let short = Wait::Delivered(Duration::from_millis(50));
    let named = Draft { message_id: Some("last".to_owned()), ..Draft::text(bob_agent, "5") };
    let late = ann.node.mailbox().send(named.clone(), short).await;
    assert_eq!(late, Err(DmError::DeliveryTimeout { message_id: "last".to_owned() }));
    // Both ends start anew.
    let ann = ann.restart().await;
    let bob = start(dir, of_bob).await;
    ann.knows(&bob).await;
    let receipt = ann.node.mailbox().send(named, Wait::Delivered(WAIT)).await.unwrap();
    assert!(receipt.delivered_at_ms.is_some());
    assert_eq!(bob.texts().await, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(ann.get("/diagnostics/dm").await["outbox"]["depth"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_messages_go_sealed_through_a_third_member_where_no_link_can_be() {
    let (relay, list) = founder().await;
    // Nobody is where these two say that they are, so that only their own calls make links.
    let nowhere = || vec!["127.0.0.1:9".parse().unwrap()];
    let mut places = Vec::new();
    for _ in 0..2 {
        let place = start_as(tempfile::tempdir().unwrap(), own_address(), nowhere()).await;
        let ticket = relay.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
        place.node.join(ticket).await.unwrap().unwrap();
        places.push(place);
    }
    let (ann, bob) = (&places[0], &places[1]);
    ann.knows(bob).await;
    bob.knows(ann).await;
    let mut follower = bob.node.mailbox().follow(None);
    let receipt = ann.node.send_direct(Draft::text(bob.agent(), "psst")).await.unwrap();
    assert_eq!((receipt.path, &receipt.tried[..]), (Some(DmPath::Gossip), &[DmPath::Gossip][..]));
    let heard = timeout(WAIT, follower.next()).await.unwrap().unwrap().unwrap();
    let Heard::Message(envelope) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!((envelope.message.from, envelope.path), (ann.agent(), DmPath::Gossip));
    assert!(relay.texts().await.is_empty(), "who passes it on has none of it");
    let rows = ann.get("/diagnostics/dm").await["rows"].clone();
    let gossip = rows.as_array().unwrap().iter().find(|row| row["path"] == "gossip").unwrap();
    assert_eq!(
        (&gossip["delivered"], &gossip["peer"]),
        (&1.into(), &bob.agent().to_string().into())
    );
    // And many, in order.
    for n in 0..20 {
        let draft = Draft::text(bob.agent(), &n.to_string());
        ann.node.mailbox().send(draft, Wait::Queued).await.unwrap();
    }
    ann.node.send_direct(Draft::text(bob.agent(), "20")).await.unwrap();
    let texts = bob.texts().await;
    let expected = std::iter::once("psst".to_owned()).chain((0..=20).map(|n| n.to_string()));
    assert_eq!(texts, expected.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_that_a_direct_message_carries_are_there_before_it_is_shown() {
    let (ann, bob) = pair().await;
    let list = ann.node.keeper().named(None).await.unwrap().unwrap();
    let mut follower = bob.node.mailbox().follow(None);
    for n in 1..=20 {
        let created = ann.node.keeper().write(list, move |tracker| {
            tracker.create(&x0x_tracker::interface::Draft::titled(&format!("issue {n}")))
        });
        let name = created.await.unwrap().unwrap().row.id;
        let body = json!({"to": bob.agent().to_string(), "text": name, "issues": [name]});
        let sent = ann.post("/direct/send", body);
        let heard = async {
            let heard = timeout(WAIT, follower.next()).await.unwrap().unwrap().unwrap();
            let Heard::Message(envelope) = &heard[0] else { panic!("{heard:?}") };
            let name = text(Envelope::clone(envelope));
            let shown = bob.node.keeper().with(list, move |tracker| tracker.show(&name)).await;
            shown.unwrap().unwrap().unwrap().row.title
        };
        let (sent, title) = tokio::join!(sent, heard);
        assert_eq!((&sent.unwrap()["path"], title), (&"quic".into(), format!("issue {n}")));
    }
    let page = bob.get("/direct/inbox?limit=1").await;
    assert_eq!(page["messages"][0]["issues"][0]["list"], list.to_string());
    let absent = json!({"to": bob.agent().to_string(), "text": "x", "issues": ["PUMP-9999"]});
    assert_eq!(refused(ann.post("/direct/send", absent).await).0, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_no_link_joins_repair_their_list_by_direct_messages_through_another_list() {
    let (relay, common) = founder().await;
    let (ann, own) = founder().await;
    let bob = newcomer(&ann, own, Role::Worker).await;
    for place in [&ann, &bob] {
        let ticket = relay.node.invite(common, Role::Worker, DAY).await.unwrap().unwrap();
        place.node.join(ticket).await.unwrap().unwrap();
    }
    let mut places = Vec::new();
    for place in [ann, bob] {
        place.node.stop().await;
        drop(place.node);
        // Nobody is where these two say that they are, or where they were.
        let nowhere = vec!["127.0.0.1:9".parse().unwrap()];
        places.push(start_as(place.dir, own_address(), nowhere).await);
    }
    let [ann, bob] = &places[..] else { panic!() };
    ann.knows(bob).await;
    bob.knows(ann).await;
    // More than goes into one envelope of the gossip, one of them alone.
    let write = async |place: &Place, title: &'static str, bytes: usize| {
        let mut draft = x0x_tracker::interface::Draft::titled(title);
        draft.fields.push(("description".to_owned(), format!("\"{}\"", "x".repeat(bytes))));
        let created = place.node.keeper().write(own, move |tracker| tracker.create(&draft));
        created.await.unwrap().unwrap().row.id
    };
    for n in 0..3 {
        write(ann, ["one", "two", "three"][n], 60 << 10).await;
    }
    let name = write(ann, "large", 400 << 10).await;
    write(bob, "of Bob", 100).await;
    let body = json!({"to": bob.agent().to_string(), "text": "look", "issues": [name],
        "list": own.to_string()});
    assert_eq!(ann.post("/direct/send", body).await.unwrap()["path"], "gossip");
    let titles = async |place: &Place| {
        let listed = place.node.keeper().with(own, |tracker| {
            let mut titles = Vec::new();
            let all = x0x_tracker::interface::Filter::default();
            let listed = tracker.list(&all, &mut |shown| {
                titles.push(shown.row.title.clone());
                std::ops::ControlFlow::Continue(())
            });
            listed.map(|_| titles)
        });
        let mut titles = listed.await.unwrap().unwrap().unwrap();
        titles.sort();
        titles
    };
    let all = ["large", "of Bob", "one", "three", "two"];
    assert_eq!(titles(bob).await, all, "they were there before the message was shown");
    let level = async {
        while titles(ann).await != all {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT, level).await.expect("whoever is asked for what it has asks back");
    for place in [ann, bob] {
        let peers = place.get("/peers").await["peers"].clone();
        let others = peers.as_array().unwrap().iter().map(|peer| peer["agent_id"].clone());
        let others: Vec<Value> = others.collect();
        assert_eq!(others, [Value::from(relay.agent().to_string())], "they are not linked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_or_unknown_is_refused_with_a_code_that_stays() {
    let (ann, bob) = pair().await;
    let bob_agent = bob.agent().to_string();
    let to_bob = || json!({"to": bob_agent, "text": "x"});
    let stranger = json!({"to": "ab".repeat(32), "text": "x"});
    assert_eq!(
        refused(ann.post("/direct/send", stranger).await),
        ("recipient_unknown".to_owned(), false)
    );
    let large = json!({"to": bob.agent().to_string(), "text": "x".repeat(48 * 1_024 + 1)});
    assert_eq!(
        refused(ann.post("/direct/send", large).await),
        ("payload_too_large".to_owned(), false)
    );
    for bad in [
        json!({"to": bob.agent().to_string()}),
        json!({"to": bob.agent().to_string(), "text": "a", "json": 1}),
        json!({"to": bob.agent().to_string(), "payload": "%"}),
        json!({"to": "me", "text": "a"}),
        json!({"to": bob.agent().to_string(), "text": "a", "ttl_ms": 86_400_001}),
        json!({"to": bob.agent().to_string(), "text": "a", "ttl_ms": 0}),
        json!({"to": bob.agent().to_string(), "text": "a", "waiting": "none"}),
    ] {
        assert_eq!(refused(ann.post("/direct/send", bad.clone()).await).0, "invalid", "{bad}");
    }
    let block = json!({"agent_id": &ann.agent().to_string()[..8]});
    let blocked = bob.post("/direct/block", block.clone()).await.unwrap();
    assert_eq!(blocked["blocked"], json!([ann.agent().to_string()]));
    assert_eq!(
        refused(ann.post("/direct/send", to_bob()).await),
        ("not_allowed".to_owned(), false)
    );
    let bob = bob.restart().await;
    assert_eq!(bob.get("/direct/blocked").await["blocked"], json!([ann.agent().to_string()]));
    assert_eq!(bob.post("/direct/unblock", block).await.unwrap()["blocked"], json!([]));
    ann.knows(&bob).await;
    bob.knows(&ann).await;
    ann.post("/direct/send", to_bob()).await.unwrap();
    assert_eq!(bob.texts().await, ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_of_direct_messages_is_paged_and_released() {
    let place = alone().await;
    let me = place.agent().to_string();
    for n in 0..5 {
        place.post("/direct/send", json!({"to": me, "text": n.to_string()})).await.unwrap();
    }
    let page = place.get("/direct/inbox?limit=2").await;
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["next_cursor"]), (2, &2.into()));
    assert_eq!(page["unread"], 5);
    let rest = place.get("/direct/inbox?cursor=2").await;
    assert_eq!(
        (rest["messages"][0]["text"].as_str(), &rest["next_cursor"]),
        (Some("2"), &Value::Null)
    );
    let released = place.post("/direct/inbox/ack", json!({"up_to": 4})).await.unwrap();
    assert_eq!(released["unread"], 1);
    // What was released is not heard again.
    let (_following, first) = next_message(place.listen(Some(0)).await).await;
    assert_eq!(first["id"], 5);
    let topics = place.node.topics();
    let direct = topics.into_iter().find(|view| view.topic == "direct").unwrap();
    let name = &direct.subscribers[0].name;
    assert!(name.starts_with("x0x/") && name.contains(" 127.0.0.1:"), "{name}");
    let all = place.get("/direct/inbox").await;
    assert_eq!(all["messages"][0]["id"], 5);
    // A number that is none yet releases what there is.
    let released = place.post("/direct/inbox/ack", json!({"up_to": 99})).await.unwrap();
    assert_eq!(released["unread"], 0);
    place.post("/direct/send", json!({"to": me, "json": null})).await.unwrap();
    assert_eq!(place.get("/direct/inbox").await["messages"][0]["id"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_direct_messages_slowly_is_told_and_slows_nobody() {
    let place = alone().await;
    let me = place.agent();
    let mailbox = place.node.mailbox();
    let (mut slow, mut quick) = (mailbox.follow_as("slow", None), mailbox.follow(None));
    let direct = async || {
        let topics = place.node.topics();
        topics.into_iter().find(|view| view.topic == "direct").unwrap()
    };
    let count = MESSAGES_SHOWN + 10;
    let mut heard = 0;
    // One takes them as they come; the other has not looked once.
    for n in 1..=count as u64 {
        mailbox.send(Draft::text(me, &n.to_string()), Wait::Queued).await.unwrap();
        while n % 100 == 0 && quick.seen() < n {
            timeout(WAIT, quick.next()).await.unwrap().unwrap().unwrap();
        }
    }
    place.node.send_direct(Draft::text(me, "end")).await.unwrap();
    while quick.seen() <= count as u64 {
        for one in timeout(WAIT, quick.next()).await.unwrap().unwrap().unwrap() {
            assert!(matches!(one, Heard::Message(_)), "{one:?}");
        }
    }
    let slowest = direct().await.slowest.unwrap();
    assert_eq!((slowest.name.as_str(), slowest.behind), ("slow", count as u64 + 1));
    let told = timeout(WAIT, slow.next()).await.unwrap().unwrap().unwrap();
    let Heard::Lagged { missed, after } = told[0] else { panic!("{:?}", told[0]) };
    assert_eq!((missed, after, told.len()), (11, 0, MESSAGES_SHOWN + 1));
    assert_eq!(direct().await.subscribers[0].lagged_total, 11);
    let passed_over = mailbox.inbox(after, missed as usize).await.unwrap();
    assert_eq!(passed_over.last().unwrap().number, missed);
    // Whoever comes back from where it was has all of it, from the disk.
    let mut again = mailbox.follow(Some(0));
    while heard < count + 1 {
        for one in timeout(WAIT, again.next()).await.unwrap().unwrap().unwrap() {
            let Heard::Message(envelope) = one else { panic!("{one:?}") };
            heard += 1;
            assert_eq!(envelope.number, heard as u64);
        }
    }
    drop(slow);
    let view = direct().await;
    let names: Vec<_> = view.subscribers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((&names[..], view.lagged_total), (&["this program"; 2][..], 11));
    place.node.stop().await;
    while let Some(_rest) = timeout(WAIT, quick.next()).await.unwrap().unwrap() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_dm_and_a_direct_message_over_a_link_pass_while_the_hub_is_saturated() {
    let (ann, bob) = pair().await;
    // More than it can look at until the messages have passed.
    let flood = || (0..400_000).for_each(|_| ann.node.woke());
    tokio::task::block_in_place(flood);
    let last = ann.node.clone();
    let looked = tokio::runtime::Handle::current().spawn(async move { last.peers().await });
    for n in 0..20 {
        for to in [ann.agent(), bob.agent()] {
            let receipt = ann.node.send_direct(Draft::text(to, &n.to_string())).await.unwrap();
            assert_ne!(receipt.path, Some(DmPath::Gossip));
        }
    }
    assert!(!looked.is_finished(), "the hub was not saturated for so long");
    assert_eq!((ann.texts().await.len(), bob.texts().await.len()), (20, 20));
    looked.await.unwrap().unwrap();
}
