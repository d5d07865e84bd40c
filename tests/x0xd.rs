//! The program `x0xd`, and the unit that has systemd run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use x0x::home::Home;
use x0x::rest::client::Client;

const PROGRAM: &str = env!("CARGO_BIN_EXE_x0xd");

fn command(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).arg("--data-dir").arg(dir.path()).env_clear().stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn run(dir: &TempDir, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

#[test]
fn it_runs_until_it_is_told_to_end_and_tells_the_service_manager() {
    let dir = tempfile::tempdir().unwrap();
    Home::at(dir.path().to_owned()).found("pump", "PUMP", Duration::from_secs(10)).unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let path = sockets.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut node = command(&dir, &["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
    node.env("NOTIFY_SOCKET", &path).stdout(Stdio::piped()).stderr(Stdio::piped());
    let node = node.spawn().unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        text(&bytes[..length]).trim().to_owned()
    };
    assert_eq!(heard(), "READY=1");
    let status: serde_json::Value = Client::of(dir.path()).unwrap().get("/status").unwrap();
    assert_eq!(status["pid"], node.id());
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    let ended = node.wait_with_output().unwrap();
    assert_eq!(heard(), "STOPPING=1");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(text(&ended.stdout), "");
    for event in ["a list was opened", "started", "stopped"] {
        assert!(text(&ended.stderr).contains(event), "{event}: {ended:?}");
    }
}

#[test]
fn it_checks_its_configuration_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = run(&dir, &["--check", "--listen", "127.0.0.1:7"]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(text(&good.stdout).contains("127.0.0.1:7  (--listen)"), "{good:?}");
    fs::write(dir.path().join("config.toml"), "[nod]\n[log]\nformat = 1\n").unwrap();
    let bad = run(&dir, &["--check"]);
    assert_eq!((bad.status.code(), text(&bad.stdout)), (Some(7), ""), "{bad:?}");
    let told = text(&bad.stderr);
    assert!(told.contains("config.toml:1: ") && told.contains("config.toml:3: "), "{told}");
    assert!(told.contains("\nhint: "), "{told}");
    assert_eq!(run(&dir, &["--config", "/nowhere/x0x.toml"]).status.code(), Some(3));
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["config.toml"]);
}

#[test]
fn systemd_takes_the_unit() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/x0xd.service");
    let unit = fs::read_to_string(unit).unwrap();
    let installed = "/usr/local/bin/x0xd";
    assert!(unit.contains(installed));
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("skipped: there is no systemd-analyze here that could verify docs/x0xd.service");
        return;
    };
    assert!(version.status.success(), "{version:?}");
    let dir = tempfile::tempdir().unwrap();
    let verify = |unit: &str| {
        let path = dir.path().join("x0xd.service");
        fs::write(&path, unit).unwrap();
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]).arg(path).output().unwrap()
    };
    // The program is not installed there, but here.
    let unit = unit.replace(installed, PROGRAM);
    let good = verify(&unit);
    assert!(good.status.success() && good.stderr.is_empty(), "{good:?}");
    let bad = verify(&unit.replace("Type=notify", "Type=notfy"));
    assert!(!bad.status.success() || !bad.stderr.is_empty(), "a wrong unit is found: {bad:?}");
}
