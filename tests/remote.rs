//! A list that a node has, run through the suite that every tracker must pass; and what a program is told
//! by a node of another version.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "a wait that nothing ends has a limit")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use x0x::home::Home;
use x0x::node::{Config, Node};
use x0x::rest::RemoteTracker;
use x0x_tracker::conformance;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::Draft;

const WAIT: Duration = Duration::from_secs(10);

async fn node(home: &Home) -> Node {
    let config = Config { lock_wait: WAIT, ..Config::on_loopback(home.clone()) };
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
    assert_eq!(home.list_named(Some("pump"), WAIT).unwrap(), list);
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

/// Two writings wait behind one that is held up, so they share a sync; the second is held up too.
#[test]
fn a_backup_holds_nothing_of_writings_that_are_not_proved_yet() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("one"));
    let list = home.found("pump", "PUMP", WAIT).unwrap();
    let node = runtime.block_on(node(&home));
    let create = |held_up_by: Option<mpsc::Receiver<()>>, made: Option<mpsc::Sender<()>>| {
        let keeper = node.keeper().clone();
        // It is asked for at once, so that one stands behind the other.
        let (asked, is_asked) = mpsc::channel();
        let written = runtime.spawn(async move {
            let writing = keeper.write(list, move |tracker| {
                let created = x0x_tracker::Tracker::create(tracker, &Draft::titled("one"));
                made.map(|made| made.send(()));
                held_up_by.map(|until| until.recv());
                created
            });
            let mut writing = std::pin::pin!(writing);
            let first = std::future::poll_fn(|context| Poll::Ready(writing.as_mut().poll(context)));
            let is_done = first.await;
            asked.send(()).unwrap();
            match is_done {
                Poll::Ready(done) => done,
                Poll::Pending => writing.await,
            }
        });
        is_asked.recv_timeout(WAIT).unwrap();
        written
    };
    let ((release_first, first), (release_last, last)) = (mpsc::channel(), mpsc::channel());
    let (made, is_made) = mpsc::channel();
    let writings = [create(Some(first), None), create(None, None), create(Some(last), Some(made))];
    release_first.send(()).unwrap();
    is_made.recv_timeout(WAIT).unwrap();
    let file = dir.path().join("backup");
    let copying = std::thread::spawn({
        let (home, file) = (home.clone(), file.clone());
        move || home.back_up(list, &file, &mut |_| {}).map(|info| info.issues)
    });
    // Whether it waits cannot be seen; one that does not is done by then.
    let begin = std::time::Instant::now();
    while !copying.is_finished() && begin.elapsed() < Duration::from_millis(500) {
        std::thread::yield_now();
    }
    release_last.send(()).unwrap();
    assert_eq!(copying.join().unwrap().unwrap(), 3);
    let other = Home::at(dir.path().join("two"));
    other.restore(&file, false, WAIT, &mut |_| {}).unwrap();
    assert_eq!(other.check(list, WAIT).unwrap(), [""; 0]);
    runtime.block_on(async {
        for writing in writings {
            writing.await.unwrap().unwrap().unwrap();
        }
        node.stop().await;
    });
}
