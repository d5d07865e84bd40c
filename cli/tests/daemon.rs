//! A node for service managers: what it is told, how it starts behind, what it logs and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use common::{LONG, Place, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Ports that nobody else has.
const ANY: [&str; 4] = ["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"];

/// A place whose node is stopped at the end, whatever happened.
struct Behind(Place);

impl Behind {
    fn start(args: &[&str]) -> (Self, Value) {
        let behind = Self(Place::with_list());
        let told = behind.again(args);
        (behind, told)
    }

    /// Starts the node behind; returns what was told of it.
    fn again(&self, args: &[&str]) -> Value {
        self.0.json(&[&["daemon", "--detach"], &ANY[..], args].concat())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.data().join("daemon.log")).unwrap_or_default()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _none_runs = self.0.run(&["stop"]);
    }
}

fn write_config(place: &Place, text: &str) -> PathBuf {
    fs::create_dir_all(place.data()).unwrap();
    let path = place.data().join("config.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_proxy_of_the_web_is_not_asked_for_a_node_of_this_machine() {
    let (behind, told) = Behind::start(&[]);
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"] {
        let mut command = behind.0.command(&["status", "--json"]);
        // Nobody listens there; who did would be shown the token.
        let answer = common::Answer::of(command.env(name, "http://127.0.0.1:1").output().unwrap());
        assert_eq!(answer.code, 0, "{name}: {answer:?}");
        let status: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(status["pid"], told["pid"]);
    }
}

#[test]
fn another_program_at_the_address_of_a_node_that_is_gone_is_no_node() {
    let (behind, told) = Behind::start(&[]);
    let pid = Pid::from_raw(i32::try_from(told["pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    until("it is gone", || behind.0.run(&["status"]).code != 0);
    let address = fs::read_to_string(behind.0.data().join("api.port")).unwrap();
    let listener = std::net::TcpListener::bind(address.trim()).unwrap();
    let page = std::thread::spawn(move || {
        // Two questions are asked until it is clear.
        for stream in listener.incoming().take(2) {
            use std::io::Write;
            let mut stream = stream.unwrap();
            let mut head = [0; 1_024];
            let _request = stream.read(&mut head);
            let page = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.write_all(page.as_bytes()).unwrap();
        }
    });
    behind.0.ok(&["repair"]);
    let again = behind.again(&[]);
    assert_ne!(again["pid"], told["pid"]);
    drop(page);
}

#[test]
fn addresses_that_nobody_could_call_are_refused_wherever_they_are_said() {
    let place = Place::with_list();
    let many: Vec<String> = (1..=9).map(|port| format!("192.0.2.1:{port}")).collect();
    for addresses in [vec!["192.0.2.1:0".to_owned()], vec!["0.0.0.0:7".to_owned()], many] {
        let flags: Vec<&str> =
            addresses.iter().flat_map(|address| ["--advertise", address.as_str()]).collect();
        let answer = place.run(&[&["daemon", "--check"], &flags[..]].concat());
        assert_eq!(answer.code, 7, "{answer:?}");
        assert!(answer.stderr.contains("--advertise"), "{answer:?}");
    }
}

#[test]
fn a_log_that_grows_is_put_aside_while_the_node_runs() {
    let (behind, _) = Behind::start(&[]);
    let path = behind.0.data().join("daemon.log");
    let log = fs::File::options().append(true).open(&path).unwrap();
    log.set_len((10 << 20) + 1).unwrap();
    until("it is put aside", || fs::metadata(&path).is_ok_and(|log| log.len() < 10 << 20));
    assert!(fs::metadata(behind.0.data().join("daemon.log.1")).unwrap().len() > 10 << 20);
    behind.0.ok(&["stop"]);
    until("it says so in the new one", || behind.log().contains("stopped"));
}

#[test]
fn a_check_shows_each_value_and_where_it_comes_from_and_changes_nothing() {
    let place = Place::new();
    let file = write_config(
        &place,
        "[node]\nlisten = '127.0.0.1:1'\nadvertise = ['192.0.2.1:7']\n[log]\nlevel = 'debug'\n",
    );
    let before = place.state();
    let mut command = place.command(&["daemon", "--check", "--log-format", "json"]);
    command.env("X0X_API", "127.0.0.1:9");
    let answer = common::Answer::of(command.output().unwrap());
    assert_eq!(answer.code, 0, "{answer:?}");
    let file = file.display();
    for line in [
        format!("file              {file}"),
        format!("node.listen       127.0.0.1:1  ({file}:2)"),
        "node.api          127.0.0.1:9  (X0X_API)".to_owned(),
        "node.allow-remote false  (default)".to_owned(),
        format!("node.advertise    192.0.2.1:7  ({file}:3)"),
        format!("log.level         debug  ({file}:5)"),
        "log.format        json  (--log-format)".to_owned(),
    ] {
        assert!(answer.stdout.lines().any(|told| told == line), "{line}\n{}", answer.stdout);
    }
    let flag = place.json(&["daemon", "--check", "--listen", "127.0.0.1:2"]);
    assert_eq!(flag["settings"][0]["value"], "127.0.0.1:2");
    assert_eq!(flag["settings"][0]["from"], "--listen");
    assert_eq!(flag["settings"][1]["value"], Value::Null);
    assert_eq!(place.state(), before);
}

#[test]
fn a_check_without_a_file_shows_what_goes_then() {
    let place = Place::new();
    let told = place.ok(&["daemon", "--check"]);
    assert!(told.contains("config.toml (not there)"), "{told}");
    assert!(told.contains("log.level         info  (default)"), "{told}");
    assert!(!place.data().exists());
    let missing = place.error(&["daemon", "--check", "--config", "none.toml"], 3);
    assert!(missing["detail"].as_str().unwrap().contains("none.toml"), "{missing}");
}

#[test]
fn every_fault_of_a_configuration_is_named_and_no_node_starts_on_it() {
    let place = Place::with_list();
    let file = place.repo().join("x0x.toml");
    fs::write(
        &file,
        "listen = '127.0.0.1:1'\n[node]\nlisen = 1\napi = '0.0.0.0:1'\n[log]\nlevel = 'x'\n",
    )
    .unwrap();
    for command in [&["daemon", "--check"][..], &["daemon"], &["daemon", "--detach"], &["up"]] {
        let error = place.error(&[command, &["--config", "x0x.toml"]].concat(), 7);
        assert_eq!(error["error"], "bad_config", "{error}");
        let faults = error["faults"].as_array().unwrap();
        let lines: Vec<_> = faults.iter().map(|fault| fault["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [1, 3, 4, 6], "{error}");
        assert!(faults[0]["detail"].as_str().unwrap().contains("belongs into [node]"), "{error}");
    }
    let told = place.run(&["daemon", "--check", "--config", "x0x.toml"]).stderr;
    let line = format!("{}:3: `lisen` is no key of [node]; `listen` is meant?", file.display());
    assert!(told.contains(&line), "{told}");
    assert!(!place.data().join("daemon.log").exists());
}

#[test]
fn a_node_behind_answers_is_no_second_time_started_and_stops() {
    let (behind, told) = Behind::start(&[]);
    let status = behind.0.json(&["status"]);
    for key in ["pid", "version", "listen", "api"] {
        assert_eq!(told[key], status[key], "{key}");
    }
    assert!(status["uptime_ms"].as_i64().unwrap() >= 0);
    let second = behind.0.error(&["daemon", "--detach"], 4);
    assert_eq!(second["error"], "node_runs");
    assert!(second["detail"].as_str().unwrap().contains(&told["pid"].to_string()), "{second}");
    behind.0.create(&["through the node"]);
    behind.0.ok(&["stop"]);
    assert_eq!(behind.0.run(&["status"]).code, 6);
    let log = behind.log();
    for event in ["a list was opened", "started", "stopped"] {
        assert!(
            log.lines().any(|line| line.contains("INFO") && line.contains(event)),
            "{event}: {log}"
        );
    }
    let mode = fs::metadata(behind.0.data().join("daemon.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    behind.again(&[]);
    behind.0.ok(&["stop"]);
    assert!(behind.log().starts_with(&log), "the log goes on");
}

#[test]
#[cfg(target_os = "linux")]
fn a_node_behind_has_left_the_terminal() {
    let (behind, told) = Behind::start(&[]);
    let proc = PathBuf::from(format!("/proc/{}", told["pid"]));
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), behind.0.data().canonicalize().unwrap());
    assert_eq!(fs::read_link(proc.join("fd/0")).unwrap(), PathBuf::from("/dev/null"));
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    // State, parent, group, session.
    assert_eq!(fields.split_whitespace().nth(3).unwrap(), told["pid"].to_string());
}

#[test]
fn a_node_that_does_not_start_behind_tells_its_error_as_its_own() {
    let place = Place::with_list();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let args = ["daemon", "--detach", "--listen", &listen, "--api", "127.0.0.1:0"];
    let error = place.error(&args, 1);
    assert_eq!(error["error"], "listen");
    let told = place.run(&args);
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
    assert!(told.stderr.starts_with("error: ") && told.stderr.contains("hint: "), "{told:?}");
    assert!(told.stderr.contains(&listen), "{told:?}");
}

#[test]
fn the_filter_of_the_log_is_shown_and_set_while_the_node_runs() {
    let (behind, _) = Behind::start(&["--log-level", "off"]);
    assert_eq!(behind.0.ok(&["log-level"]), "off\n");
    let bad = behind.0.error(&["log-level", "inof"], 7);
    assert_eq!(bad["error"], "bad_filter");
    assert!(bad["detail"].as_str().unwrap().contains("'info' is meant?"), "{bad}");
    assert_eq!(behind.0.ok(&["log-level"]), "off\n");
    assert_eq!(behind.log(), "");
    let set = behind.0.json(&["log-level", "INFO, x0x::link=debug"]);
    assert_eq!(set["filter"], "info,x0x::link=debug");
    assert_eq!(behind.0.json(&["log-level"]), set);
    behind.0.ok(&["stop"]);
    assert!(behind.log().contains("stopped"), "{}", behind.log());
    assert_eq!(behind.0.run(&["log-level"]).code, 6);
}

/// Starts a node in the foreground, and waits until it answers.
fn foreground(place: &Place, args: &[&str], notify: Option<&PathBuf>) -> Child {
    let mut command = place.command(&[args, &ANY[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(socket) = notify {
        command.env("NOTIFY_SOCKET", socket);
    }
    let child = command.spawn().unwrap();
    until("the node answers", || place.run(&["status"]).code == 0);
    child
}

/// Ends a node with SIGTERM; returns what it said.
fn terminate(mut node: Child) -> (String, String) {
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    node.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    node.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = node.wait().unwrap();
    assert!(status.success(), "{status}: {stderr}");
    (stdout, stderr)
}

#[test]
fn the_service_manager_is_told_of_the_start_and_of_the_end() {
    let place = Place::with_list();
    let path = place.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let node = foreground(&place, &["daemon"], Some(&path));
    assert_eq!(heard().trim(), "READY=1");
    let (stdout, stderr) = terminate(node);
    assert_eq!(heard().trim(), "STOPPING=1");
    assert_eq!(stdout, "");
    assert!(stderr.contains("stopped"), "{stderr}");
}

#[test]
fn a_log_in_json_is_one_object_a_line() {
    let place = Place::with_list();
    let node = foreground(&place, &["daemon", "--log-format", "json"], None);
    let (_, stderr) = terminate(node);
    let events: Vec<Value> =
        stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = events.iter().find(|event| event["message"] == "started").unwrap();
    assert_eq!(started["level"], "INFO");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_node_in_a_terminal_logs_no_more_than_it_is_asked_to() {
    let place = Place::with_list();
    let node = foreground(&place, &["up", "-q"], None);
    assert_eq!(terminate(node).1, "");
    let node = foreground(&place, &["up", "-q", "--log-level", "info"], None);
    assert!(terminate(node).1.contains("started"));
    write_config(&place, "[log]\nlevel = 'info'\n");
    let node = foreground(&place, &["up", "-q"], None);
    assert!(terminate(node).1.contains("started"));
}
