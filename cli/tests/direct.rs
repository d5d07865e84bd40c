//! Direct messages between nodes that are processes: typed, over HTTP, to oneself without any network, and to one
//! that is killed again and again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::site::Site;
use common::{LONG, until};
use serde_json::{Value, json};
use x0x::rest::client::Client;
use x0x::time;

fn json_of(site: &Site, args: &[&str]) -> Value {
    serde_json::from_str(&site.ok(&[args, &["--json"]].concat())).unwrap()
}

fn agent(site: &Site) -> String {
    json_of(site, &["agent"])["agent_id"].as_str().unwrap().to_owned()
}

/// Two sites that can write to each other.
fn two() -> (Site, Site) {
    let mut a = Site::founder();
    a.up();
    let b = a.newcomer();
    let (of_a, of_b) = (agent(&a), agent(&b));
    for (site, other) in [(&a, &of_b), (&b, &of_a)] {
        site.until("the other can be written to", || {
            site.run(&["direct", "send", other, "hello", "--wait", "accepted"]).code == 0
        });
        site.until("it is delivered", || {
            json_of(site, &["diagnostics", "dm"])["outbox"]["depth"] == 0
        });
    }
    for site in [&a, &b] {
        site.until("the other's is here", || json_of(site, &["direct", "inbox"])["unread"] != 0);
        site.ok(&["direct", "inbox", "--ack", "99"]);
    }
    (a, b)
}

#[test]
fn a_direct_message_is_sent_heard_read_and_released_as_it_is_typed() {
    let (a, b) = two();
    let (of_a, of_b) = (agent(&a), agent(&b));
    let sent = a.ok(&["direct", "send", &of_b[..8], "look at this"]);
    assert!(sent.contains("delivered over quic in"), "{sent}");
    let listed = b.ok(&["direct", "inbox"]);
    assert!(listed.contains(&of_a[..8]) && listed.ends_with("look at this\n"), "{listed}");
    std::fs::write(a.dir.path().join("repo/r.json"), "{\"ok\": 1.0,\"a\":[]}\n").unwrap();
    a.ok(&["direct", "send", &of_b, "@r.json", "--form", "json", "--message-id", "r7"]);
    let heard = b.ok(&["direct", "listen", "--after", "1", "--limit", "2", "--json", "--ack"]);
    let heard: Vec<Value> = heard.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&heard[0]["text"], &heard[1]["message_id"]),
        (&"look at this".into(), &"r7".into())
    );
    assert_eq!((&heard[1]["from"], &heard[1]["verified"]), (&of_a.clone().into(), &true.into()));
    assert!(heard[1]["json"].is_object());
    assert_eq!(heard[1]["payload"], "eyJvayI6IDEuMCwiYSI6W119", "as it was spelled");
    assert_eq!(json_of(&b, &["direct", "inbox"])["unread"], 0);
    // An issue travels with it.
    let issue = a.create("Mend the pump");
    a.ok(&["direct", "send", &of_b, "yours", "--issue", &issue]);
    assert_eq!(json_of(&b, &["issues", "show", &issue])["title"], "Mend the pump");
    // What begins with @ is a file, unless that is typed twice.
    let refused = a.run(&["direct", "send", &of_b, "@ann"]);
    assert!(refused.code == 3 && refused.stderr.contains("'@@ann, look'"), "{refused:?}");
    a.ok(&["direct", "send", &of_b, "@@ann"]);
    assert!(b.ok(&["direct", "inbox"]).contains("  @ann\n"));
    let told = b.ok(&["diagnostics", "dm"]);
    assert!(told.contains("loopback") && told.contains("quic") && told.contains("inbox"), "{told}");
    let code = |site: &Site, args: &[&str]| site.run(args).code;
    assert_eq!(code(&a, &["direct", "send", &"ab".repeat(32), "x"]), 3);
    assert_eq!(code(&a, &["direct", "send", &of_b, &"x".repeat(50_000)]), 7);
    assert_eq!(code(&a, &["direct", "send", &of_b, "{", "--form", "json"]), 7);
    assert!(b.ok(&["direct", "block", &of_a[..8]]).contains(&of_a));
    assert_eq!(code(&a, &["direct", "send", &of_b, "x"]), 5);
    assert!(b.ok(&["direct", "block"]).contains(&of_a));
    b.ok(&["direct", "unblock", &of_a[..8]]);
    assert_eq!(code(&a, &["direct", "send", &of_b, "x"]), 0);
    a.ok(&["stop"]);
    assert_eq!(code(&a, &["direct", "inbox"]), 6);
}

#[test]
fn a_self_dm_sends_no_datagram_and_needs_no_network() {
    let site = Site::founder();
    // A node in a network namespace of its own, where nothing but loopback is.
    let script = "ip link set lo up || exit 99; \
        x0x daemon --detach --listen 127.0.0.1:0 --api 127.0.0.1:0 >/dev/null || exit 1; \
        id=$(x0x agent --json | sed 's/.*\"agent_id\":\"\\([0-9a-f]*\\)\".*/\\1/'); \
        for n in $(seq 100); do x0x direct send $id note-$n >> sent || exit 1; done; \
        x0x direct inbox --limit 1000 --json > inbox || exit 1; \
        x0x stop >/dev/null; \
        grep ^Udp: /proc/net/snmp | tail -1; ls /sys/class/net | tr '\\n' ' '";
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_x0x")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", &format!("mount -t sysfs none /sys; {script}")]);
    command.current_dir(site.dir.path().join("repo")).env_clear().env("PATH", path);
    command.env("X0X_DATA_DIR", site.data()).env("HOME", site.dir.path());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: unshare: {error}"),
    };
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || stderr.starts_with("unshare:") {
        return eprintln!("skipped: no network namespace can be made: {stderr}");
    }
    assert!(output.status.success(), "{stdout} {stderr}");
    let mut lines = stdout.lines();
    let udp: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!((udp[1], udp[4]), ("0", "0"), "datagrams in and out: {stdout}");
    assert_eq!(lines.next().unwrap().trim(), "lo");
    let repo = site.dir.path().join("repo");
    let sent = std::fs::read_to_string(repo.join("sent")).unwrap();
    assert_eq!(sent.matches("delivered over loopback").count(), 100);
    let inbox: Value =
        serde_json::from_str(&std::fs::read_to_string(repo.join("inbox")).unwrap()).unwrap();
    let texts =
        inbox["messages"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap());
    assert!(texts.eq((1..=100).map(|n| format!("note-{n}"))), "in order");
}

/// How many messages there are, unless the environment says another number.
const MESSAGES: usize = 2_000;

/// How many programs send at once.
const WRITERS: usize = 8;

#[test]
fn each_direct_message_to_one_that_is_killed_again_and_again_enters_its_inbox_once() {
    let messages = std::env::var("X0X_DIRECT_MESSAGES");
    let messages: usize = messages.ok().map_or(MESSAGES, |count| count.parse().unwrap());
    let (a, mut b) = two();
    let of_b = agent(&b);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let client = Client::of(&a.data()).unwrap();
    let mut kills = 0;
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let client = client.clone();
            let (next, done, of_b) = (&next, &done, &of_b);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= messages {
                        return;
                    }
                    let body = json!({"to": of_b, "text": n.to_string(), "wait": "accepted"});
                    let receipt: Value = client.post("/direct/send", &body).unwrap();
                    assert!(receipt["accepted_at"].is_string(), "{receipt}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for kill in 1..=5 {
            until("some were sent", || done.load(Ordering::Relaxed) >= messages * kill / 6);
            b.kill();
            time::pause(Duration::from_millis(300));
            b.up();
            kills += 1;
        }
    });
    let b_client = Client::of(&b.data()).unwrap();
    let begun = time::origin();
    loop {
        let page: Value = b_client.get("/direct/inbox?limit=1").unwrap();
        if page["unread"] == messages {
            break;
        }
        assert!(begun.elapsed() < 2 * LONG, "{} of {messages} came", page["unread"]);
        time::pause(Duration::from_millis(50));
    }
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    loop {
        let page: Value =
            b_client.get(&format!("/direct/inbox?limit=1000&cursor={cursor}")).unwrap();
        for message in page["messages"].as_array().unwrap() {
            assert!(seen.insert(message["text"].as_str().unwrap().to_owned()), "twice: {message}");
        }
        let Some(next) = page["next_cursor"].as_u64() else { break };
        cursor = next;
    }
    assert_eq!(seen.len(), messages);
    let view: Value = client.get("/diagnostics/dm").unwrap();
    assert_eq!(view["outbox"]["depth"], 0);
    let rows = view["rows"].as_array().unwrap();
    let of = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    eprintln!(
        "{messages} messages over {kills} kills, each there once; {} sent again, {:?} after the last start",
        of("retried"),
        begun.elapsed()
    );
    assert!(of("retried") > 0, "nothing was under way when it was killed");
}
