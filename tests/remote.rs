//! A list that a node has, run through the suite that every tracker must pass; and what a program is told
//! by a node of another version.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x::rest::RemoteTracker;
use x0x_tracker::conformance;
use x0x_tracker::id::ListId;

const WAIT: Duration = Duration::from_secs(10);

async fn node(home: &Home) -> Node {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let (home, advertise) = (home.clone(), Vec::new());
    let config =
        Config { home, listen: any, api: any, advertise, lock_wait: WAIT, allow_remote: false };
    Node::start(config).await.unwrap()
}

#[test]
fn a_list_of_a_node_is_a_tracker() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut nodes = Vec::new();
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = home.found("conformance", "T", WAIT).unwrap();
        let node = runtime.block_on(node(&home));
        let api = node.api().to_string();
        let tracker = RemoteTracker::connect(dir.path(), &api, list).unwrap();
        nodes.push((dir, node));
        Box::new(tracker)
    });
    for (_dir, node) in nodes {
        runtime.block_on(node.stop());
    }
}

#[test]
fn a_node_of_another_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("api-token"), "token").unwrap();
    for (header, says) in [
        ("x0x-api: 99\r\n", "the node speaks version 99 of its interface, this program"),
        ("", "the node says no version of its interface, this program"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let error = RemoteTracker::connect(dir.path(), &api, ListId([7; 32])).unwrap_err();
        assert_eq!(error.code(), "api_version");
        assert!(error.detail().starts_with(says), "{}", error.detail());
        assert!(error.detail().ends_with("speaks version 1") && !error.hint().is_empty());
        assert!(serving.join().unwrap().contains("x0x-api: 1\r\n"));
    }
}

#[test]
fn what_a_node_does_not_say_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = RemoteTracker::connect(dir.path(), &api, ListId([7; 32])).unwrap_err();
    assert_eq!(error.code(), "node_unreachable");
    std::fs::write(dir.path().join("api-token"), "token").unwrap();
    let error = RemoteTracker::connect(dir.path(), &api, ListId([7; 32])).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("node_unreachable", true));
}

#[test]
fn a_lock_that_a_dead_node_left_keeps_nobody_from_reading() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    let list = home.found("pump", "PUMP", WAIT).unwrap();
    // Its address is another program's by now, and its number that of this process.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = listener.local_addr().unwrap();
    let pid = std::process::id();
    let left =
        format!("{{\"pid\":{pid},\"role\":\"node\",\"api\":\"{api}\",\"version\":\"0.1.0\"}}");
    std::fs::write(dir.path().join("lock"), left).unwrap();
    std::fs::write(dir.path().join("api-token"), "token").unwrap();
    let serving = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _read = stream.read(&mut [0; 4096]).unwrap();
            let body =
                "{\"error\":\"unauthorized\",\"detail\":\"d\",\"hint\":\"h\",\"retryable\":false}";
            let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n", body.len());
            stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    assert_eq!(home.reader(list, WAIT).unwrap().tracker.info().unwrap().list, list);
    assert_eq!(home.list_named(Some("pump")).unwrap(), list);
    serving.join().unwrap();
}

#[test]
fn a_list_that_is_called_like_the_id_of_another_is_not_taken_for_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    let list = home.found("mine", "M", WAIT).unwrap();
    home.found(&list.to_string(), "F", WAIT).unwrap();
    let node = runtime.block_on(node(&home));
    let tracker = RemoteTracker::connect(dir.path(), &node.api().to_string(), list).unwrap();
    assert_eq!(x0x_tracker::Tracker::info(&tracker).unwrap().name, "mine");
    runtime.block_on(node.stop());
}

#[test]
fn a_backup_taken_while_others_write_is_proved_whole() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("one"));
    let list = home.found("pump", "PUMP", WAIT).unwrap();
    let node = runtime.block_on(node(&home));
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let keeper = node.keeper().clone();
            runtime.spawn(async move {
                let draft = x0x_tracker::interface::Draft::titled("one of many");
                while let Ok(written) = {
                    let draft = draft.clone();
                    keeper.write(list, move |t| x0x_tracker::Tracker::create(t, &draft)).await
                } {
                    written.unwrap();
                }
            })
        })
        .collect();
    let other = Home::at(dir.path().join("two"));
    for n in 0..5 {
        let file = dir.path().join(format!("backup-{n}"));
        home.back_up(list, &file, &mut |_| {}).unwrap();
        other.restore(&file, n > 0, WAIT, &mut |_| {}).unwrap();
        assert_eq!(other.check(list, WAIT).unwrap(), [""; 0], "backup {n}");
    }
    runtime.block_on(async {
        node.stop().await;
        for writer in writers {
            writer.await.unwrap();
        }
    });
}
