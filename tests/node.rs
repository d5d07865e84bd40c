//! Nodes of one process on loopback: joining, and edits that arrive everywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Node, NodeError};
use x0x::wire::Ticket;
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Draft, ExportFrom, Holding, Patch, Pick, Terms};
use x0x_tracker::journal::charter::Role;

const LOCK_WAIT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);

struct Place {
    dir: TempDir,
    node: Node,
}

/// With X0X_TRACE, what nodes log goes to stderr.
fn trace() {
    if std::env::var_os("X0X_TRACE").is_some() {
        let level = tracing::Level::DEBUG;
        let _again =
            tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    }
}

async fn start(dir: TempDir) -> Place {
    // An address of its own, so that nobody takes its port while it is stopped.
    static PLACES: AtomicU8 = AtomicU8::new(1);
    let [a, b, ..] = std::process::id().to_le_bytes();
    let host = Ipv4Addr::new(127, a, b, PLACES.fetch_add(1, Ordering::Relaxed));
    start_at(dir, SocketAddr::new(host.into(), 0)).await
}

async fn start_at(dir: TempDir, listen: SocketAddr) -> Place {
    trace();
    let home = Home::at(dir.path().to_owned());
    let config = Config { listen: Some(listen), ..Config::on_loopback(home) };
    // The socket of a node that stopped in this process is closed once its calls are over.
    for _ in 0..1_000 {
        match Node::start(config.clone()).await {
            Err(NodeError::Link(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            started => return Place { node: started.unwrap(), dir },
        }
    }
    panic!("{listen} stays in use");
}

async fn founder() -> (Place, ListId) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    let list = home.found("pump", "PUMP", LOCK_WAIT).unwrap();
    (start(dir).await, list)
}

async fn newcomer(to: &Place, list: ListId) -> Place {
    let place = start(tempfile::tempdir().unwrap()).await;
    let ticket = to.node.invite(list, Role::Maintainer, DAY).await.unwrap().unwrap();
    let role = place.node.join(ticket).await.unwrap().unwrap();
    assert_eq!(role, Role::Maintainer);
    place
}

impl Place {
    async fn create(&self, list: ListId, title: &str) -> String {
        let draft = Draft::titled(title);
        let created = self.node.keeper().write(list, move |tracker| tracker.create(&draft));
        created.await.unwrap().unwrap().name
    }

    async fn edit(&self, list: ListId, name: &str, title: &str) {
        let patch = Patch::default().set("title", &format!("\"{title}\""));
        let name = name.to_owned();
        let edited =
            self.node.keeper().write(list, move |tracker| tracker.edit(&name, &patch, None));
        edited.await.unwrap().unwrap();
    }

    async fn canonical(&self, list: ListId) -> String {
        let export = |tracker: &mut x0x_tracker::LocalTracker| {
            let mut output = Vec::new();
            tracker.export(&ExportFrom::Canonical, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        self.node.keeper().with(list, export).await.unwrap().unwrap_or_default()
    }
}

/// Waits until all have the same, which is not nothing.
async fn level(places: &[&Place], list: ListId, issues: usize) {
    for _ in 0..3_000 {
        let mut exports = Vec::new();
        for place in places {
            exports.push(place.canonical(list).await);
        }
        if exports[0].lines().count() == issues && exports.iter().all(|text| *text == exports[0]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for place in places {
        eprintln!(
            "{} has {} issues, {:?}",
            place.node.agent().short(),
            place.canonical(list).await.lines().count(),
            place.node.status().await
        );
    }
    panic!("they do not become level");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_on_any_of_three_nodes_shows_on_all() {
    let (a, list) = founder().await;
    a.create(list, "before anybody joined").await;
    let b = newcomer(&a, list).await;
    level(&[&a, &b], list, 1).await;
    let c = newcomer(&a, list).await;
    level(&[&a, &b, &c], list, 1).await;
    b.create(list, "on b").await;
    c.create(list, "on c").await;
    a.edit(list, "PUMP-0001", "edited on a").await;
    level(&[&a, &b, &c], list, 3).await;
    for place in [&a, &b, &c] {
        assert!(place.canonical(list).await.contains("edited on a"));
    }
    for place in [a, b, c] {
        place.node.stop().await;
        drop(place.dir);
    }
}

/// Starts a node again in its data directory.
async fn again(place: Place) -> Place {
    place.node.stop().await;
    start_at(place.dir, place.node.listen()).await
}

fn store_file(place: &Place, list: ListId) -> std::path::PathBuf {
    place.dir.path().join("lists").join(format!("{list}.redb"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_put_back_to_an_earlier_state_loses_nothing_and_locks_nobody_out() {
    let (a, list) = founder().await;
    let b = newcomer(&a, list).await;
    level(&[&a, &b], list, 0).await;
    b.create(list, "before the copy").await;
    level(&[&a, &b], list, 1).await;
    // What a snapshot of the whole disk holds: the file comes back under its own inode.
    b.node.stop().await;
    let file = store_file(&b, list);
    let earlier = std::fs::read(&file).unwrap();
    let b = start_at(b.dir, b.node.listen()).await;
    b.create(list, "after the copy, heard by a").await;
    level(&[&a, &b], list, 2).await;
    b.node.stop().await;
    a.node.stop().await;
    std::fs::write(&file, earlier).unwrap();
    let b = start_at(b.dir, b.node.listen()).await;
    b.create(list, "in the place of another, while cut off").await;
    let a = start_at(a.dir, a.node.listen()).await;
    level(&[&a, &b], list, 3).await;
    let text = a.canonical(list).await;
    for title in ["before the copy", "after the copy, heard", "in the place of another"] {
        assert!(text.contains(title), "{title}: {text}");
    }
    b.create(list, "goes on").await;
    a.create(list, "goes on too").await;
    level(&[&a, &b], list, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_joining_counts_afterwards() {
    let (a, list) = founder().await;
    a.create(list, "on a").await;
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    home.attach(list, "pump", "PUMP", LOCK_WAIT).unwrap();
    home.write(list, LOCK_WAIT).unwrap().create(&Draft::titled("alone on b")).unwrap();
    let b = start(dir).await;
    let ticket = a.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    b.node.join(ticket).await.unwrap().unwrap();
    level(&[&a, &b], list, 2).await;
    b.create(list, "as a member").await;
    level(&[&a, &b], list, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_gets_what_it_missed_and_gives_what_it_made() {
    let (a, list) = founder().await;
    let b = newcomer(&a, list).await;
    a.create(list, "one").await;
    level(&[&a, &b], list, 1).await;
    b.node.stop().await;
    for n in 0..100 {
        a.create(list, &format!("while b is away {n}")).await;
    }
    let home = Home::at(b.dir.path().to_owned());
    home.write(list, LOCK_WAIT).unwrap().create(&Draft::titled("while a is not heard")).unwrap();
    let b = start(b.dir).await;
    level(&[&a, &b], list, 102).await;
    let a = again(a).await;
    a.create(list, "after a restart").await;
    level(&[&a, &b], list, 103).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_edit_arrives_although_it_is_not_broadcast() {
    let (a, list) = founder().await;
    let b = newcomer(&a, list).await;
    let name = a.create(list, "one").await;
    level(&[&a, &b], list, 1).await;
    let text = "x".repeat(300_000);
    let patch = Patch::default().set("description", &format!("\"{text}\""));
    let edited = a.node.keeper().write(list, move |tracker| tracker.edit(&name, &patch, None));
    edited.await.unwrap().unwrap();
    level(&[&a, &b], list, 1).await;
    assert!(b.canonical(list).await.contains(&text));
}

/// How soon something is answered for which nobody has to wait.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Shows a ticket, and returns the role.
async fn join_at_once(place: &Place, ticket: &Ticket) -> Role {
    let joined = tokio::time::timeout(AT_ONCE, place.node.join(ticket.clone())).await;
    joined.expect("it is not answered").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_shows_a_ticket_is_answered_at_once_and_gets_a_higher_role_only() {
    let (a, list) = founder().await;
    let worker = a.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    let spare = a.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    let maintainer = a.node.invite(list, Role::Maintainer, DAY).await.unwrap().unwrap();
    let b = start(tempfile::tempdir().unwrap()).await;
    for ticket in [&worker, &worker, &spare] {
        assert_eq!(join_at_once(&b, ticket).await, Role::Worker);
    }
    let c = start(tempfile::tempdir().unwrap()).await;
    assert_eq!(join_at_once(&c, &spare).await, Role::Worker, "nobody has used it");
    for ticket in [&maintainer, &maintainer, &worker] {
        assert_eq!(join_at_once(&b, ticket).await, Role::Maintainer);
        // The grant is on its way to the store when it is answered.
        let granted = async {
            while b.node.role_in(list).await.unwrap() != Some(Role::Maintainer) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(AT_ONCE, granted).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_was_refused_is_answered_each_time_that_it_is_shown() {
    let (a, list) = founder().await;
    let b = newcomer(&a, list).await;
    let used = b.node.invite(list, Role::Maintainer, DAY).await.unwrap().unwrap();
    let ticket = Ticket { secret: [9; 32], ..used };
    let c = start(tempfile::tempdir().unwrap()).await;
    for _ in 0..3 {
        let refused = tokio::time::timeout(AT_ONCE, c.node.join(ticket.clone())).await;
        let refused = refused.expect("it is not answered").unwrap().unwrap_err();
        assert!(refused.to_string().contains("does not know it"), "{refused}");
    }
}

/// Where there is nothing to fetch, nobody would compare before the next repair.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_an_empty_list_knows_at_once_that_nothing_is_lacking() {
    let (a, list) = founder().await;
    let b = newcomer(&a, list).await;
    let level = async {
        loop {
            let peers = b.node.peers().await.unwrap();
            if peers.iter().flat_map(|peer| &peer.lists).any(|list| list.level) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AT_ONCE, level).await.expect("it knows no peer that is as far");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_used_once_and_strangers_are_told_nothing() {
    let (a, list) = founder().await;
    let ticket = a.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    let b = start(tempfile::tempdir().unwrap()).await;
    b.node.join(ticket.clone()).await.unwrap().unwrap();
    let c = start(tempfile::tempdir().unwrap()).await;
    let refused = c.node.join(ticket.clone()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("another agent has used it"), "{refused}");
    let guessed = Ticket { secret: [9; 32], ..ticket };
    let refused = c.node.join(guessed).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("does not know it"), "{refused}");
    assert_eq!(c.canonical(list).await, "");
    assert!(
        a.node
            .peers()
            .await
            .unwrap()
            .iter()
            .all(|peer| { peer.agent_id != c.node.agent().to_string() || peer.lists.is_empty() })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_two_show_who_were_cut_off_is_used_by_one_and_the_other_is_told() {
    let (a, list) = founder().await;
    let ticket = a.node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
    a.node.stop().await;
    let (b, c) =
        (start(tempfile::tempdir().unwrap()).await, start(tempfile::tempdir().unwrap()).await);
    let joining = [&b, &c].map(|place| {
        let (node, ticket) = (place.node.clone(), ticket.clone());
        tokio::runtime::Handle::current().spawn(async move { node.join(ticket).await.unwrap() })
    });
    // Both are waiting for the issuer.
    let listed = async {
        for place in [&b, &c] {
            while place.node.keeper().with(list, |_| ()).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::time::timeout(AT_ONCE, listed).await.unwrap();
    let a = start_at(a.dir, a.node.listen()).await;
    let mut outcomes = Vec::new();
    for joined in joining {
        let joined = tokio::time::timeout(Duration::from_secs(60), joined).await;
        outcomes.push(joined.expect("nobody is answered").unwrap());
    }
    let joined: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert!(joined == [true, false] || joined == [false, true], "{outcomes:?}");
    let refused = outcomes.into_iter().find_map(Result::err).unwrap().to_string();
    assert!(refused.contains("another agent has used it"), "{refused}");
    let members = a.node.keeper().with(list, |tracker| tracker.charter().unwrap().members());
    assert_eq!(members.await.unwrap().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_worked_on_stays_young_on_every_node_and_one_that_is_not_lapses() {
    let (a, list) = founder().await;
    let (b, c) = (newcomer(&a, list).await, newcomer(&a, list).await);
    let (worked, left) = (a.create(list, "worked on").await, a.create(list, "left").await);
    for (name, worker) in [(&worked, "w"), (&left, "x")] {
        let (pick, worker) = (Pick::Issue(name.clone()), worker.to_owned());
        let terms = Terms { worker, ttl_ms: Some(2_000), ..Terms::default() };
        let claimed = a.node.keeper().write(list, move |tracker| tracker.claim(&pick, &terms));
        claimed.await.unwrap().unwrap();
    }
    level(&[&a, &b, &c], list, 2).await;
    let watch = async |place: &Place, name: &str| {
        let name = name.to_owned();
        let shown = place.node.keeper().read(None, |tracker| tracker.show(&name)).await;
        shown.unwrap().unwrap().watch.unwrap()
    };
    let begun = x0x::time::origin();
    // Over twice the time to live.
    while begun.elapsed() < Duration::from_millis(4_500) {
        let holding = Holding { worker: "w".to_owned(), ..Holding::default() };
        let beaten = a.node.keeper().write(list, move |tracker| tracker.heartbeat(&holding));
        beaten.await.unwrap().unwrap();
        for place in [&b, &c] {
            let seen = watch(place, &worked).await;
            assert!(!seen.is_stale && !seen.is_own, "{:?}: {seen:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for place in [&b, &c] {
        let seen = watch(place, &left).await;
        assert!(seen.is_stale, "{seen:?}");
        let counts = place.node.beat_counts(list).await.unwrap().unwrap();
        assert!(counts.taken >= 4 && counts.forged + counts.foreign + counts.surplus == 0);
    }
    // Who was away hears of it from a neighbour, and takes nothing old for a beat.
    let seen = watch(&b, &worked).await;
    let silent_ms = seen.silent_ms.unwrap();
    let b = again(b).await;
    level(&[&a, &b, &c], list, 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(watch(&b, &worked).await.silent_ms.unwrap() >= silent_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_told_as_confirmed_on_every_node_once_nobody_else_can_have_claimed() {
    let (a, list) = founder().await;
    let (b, c) = (newcomer(&a, list).await, newcomer(&a, list).await);
    let name = a.create(list, "wanted").await;
    let all = [&a, &b, &c];
    level(&all, list, 1).await;
    let online = async |place: &Place| {
        let workers = place.node.keeper().read(None, |tracker| tracker.workers()).await;
        let workers = workers.unwrap().unwrap().workers;
        workers.iter().filter(|worker| worker.is_online == Some(true)).count()
    };
    let told = |place: &Place, kind: &str| {
        let events = place.node.events().after(0).events;
        let of = events.iter().filter(|event| event.kind == kind && event.data.contains(&name));
        of.map(|event| serde_json::from_str(&event.data).unwrap())
            .collect::<Vec<serde_json::Value>>()
    };
    let followed = async {
        for place in all {
            while online(place).await < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let pick = Pick::Issue(name.clone());
        let (worker, ttl_ms) = ("w".to_owned(), Some(600_000));
        let terms = Terms { worker, ttl_ms, ..Terms::default() };
        let claimed = a.node.keeper().write(list, move |tracker| tracker.claim(&pick, &terms));
        let claim = claimed.await.unwrap().unwrap().claim.to_string();
        for place in all {
            while told(place, "confirmed").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        claim
    };
    let claim = tokio::time::timeout(Duration::from_secs(60), followed).await.unwrap();
    for place in all {
        let (claimed, confirmed) = (told(place, "claimed"), told(place, "confirmed"));
        assert_eq!((claimed.len(), confirmed.len()), (1, 1));
        assert_eq!(confirmed[0]["holder"]["claim"], *claim);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_waits_for_nobody_who_borrowed_the_stores() {
    let (a, list) = founder().await;
    let loan = a.node.keeper().lend().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), a.node.stop())
        .await
        .expect("it waits for the loan");
    assert!(!a.node.has_failed());
    drop(loan);
    let a = again(a).await;
    assert!(a.node.keeper().with(list, |tracker| tracker.info().is_ok()).await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_stores_are_gone_stops_and_says_that_it_failed() {
    let (a, _list) = founder().await;
    a.node.keeper().tell(|_shelf| panic!("a fault of ours, for the test"));
    tokio::time::timeout(Duration::from_secs(5), a.node.stopped()).await.expect("it goes on");
    assert!(a.node.has_failed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_list_under_the_name_of_one_is_not_taken_for_it() {
    let (a, list) = founder().await;
    a.node.stop().await;
    let (file, other) = (store_file(&a, list), ListId([7; 32]));
    std::fs::copy(&file, file.with_file_name(format!("{other}.redb"))).unwrap();
    let home = Home::at(a.dir.path().to_owned());
    assert!(home.write(list, LOCK_WAIT).is_ok(), "the list itself is unharmed");
    let config = Config { lock_wait: LOCK_WAIT, ..Config::on_loopback(home) };
    let node = Node::start(config.clone()).await.unwrap();
    let status = node.status().await.unwrap();
    let open: Vec<&String> = status.lists.iter().map(|open| &open.id).collect();
    assert_eq!(open, [&list.to_string()]);
    let [unopened] = &status.unopened[..] else { panic!("{status:?}") };
    assert_eq!(unopened.id, other.to_string());
    assert!(unopened.held_by.contains("another list"), "{unopened:?}");
    node.stop().await;
    drop(node);
    // Alone, it is nothing to run a node on.
    std::fs::remove_file(&file).unwrap();
    let error = loop {
        match Node::start(config.clone()).await {
            Err(error) => break error,
            Ok(node) => node.stop().await,
        }
    };
    assert!(error.to_string().contains("another list"), "{error}");
}
