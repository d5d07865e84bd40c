//! Nodes of one process on loopback: joining, and edits that arrive everywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use tempfile::TempDir;
use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Draft, ExportFrom, Patch};
use x0x_tracker::journal::charter::Role;

const LOCK_WAIT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);

struct Place {
    dir: TempDir,
    node: Node,
}

async fn start(dir: TempDir) -> Place {
    let home = Home::at(dir.path().to_owned());
    let any = "127.0.0.1:0".parse().unwrap();
    let config = Config { home, listen: Some(any), api: Some(any), lock_wait: LOCK_WAIT };
    Place { node: Node::start(config).await.unwrap(), dir }
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
        created.await.unwrap().unwrap().unwrap().name
    }

    async fn edit(&self, list: ListId, name: &str, title: &str) {
        let patch = Patch::default().set("title", &format!("\"{title}\""));
        let name = name.to_owned();
        let edited =
            self.node.keeper().write(list, move |tracker| tracker.edit(&name, &patch, None));
        edited.await.unwrap().unwrap().unwrap();
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
    panic!("they do not become level");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_on_any_of_three_nodes_shows_on_all() {
    if std::env::var_os("X0X_TRACE").is_some() {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(std::io::stderr)
            .init();
    }
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
