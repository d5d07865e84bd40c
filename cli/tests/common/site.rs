//! Nodes as processes, each with a data directory of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, until};

/// A data directory, with the node that runs on it.
pub struct Site {
    pub dir: TempDir,
    /// What runs here.
    pub program: PathBuf,
    pub listen: SocketAddr,
    pub advertise: Option<SocketAddr>,
    /// What every command here finds in its environment besides where things are.
    pub environment: Vec<(&'static str, String)>,
    /// What the node is started with besides its addresses.
    pub up_args: &'static [&'static str],
    pub up: Option<Child>,
}

/// Returns a port of an address that no other site has.
pub fn free_address() -> SocketAddr {
    static SITES: AtomicU8 = AtomicU8::new(1);
    let [a, b, ..] = std::process::id().to_le_bytes();
    let host = Ipv4Addr::new(127, a, b, SITES.fetch_add(1, Ordering::Relaxed));
    UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap()
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("repo")).unwrap();
        Self {
            dir,
            program: PathBuf::from(env!("CARGO_BIN_EXE_x0x")),
            listen: free_address(),
            advertise: None,
            environment: Vec::new(),
            up_args: &[],
            up: None,
        }
    }

    /// A site with a list, whose node runs.
    pub fn founder() -> Self {
        let site = Self::new();
        site.ok(&["init", "--name", "pump", "--prefix", "PUMP"]);
        site
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.dir.path().join("repo")).env_clear();
        command.env("X0X_DATA_DIR", self.data()).env("HOME", self.dir.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Starts the node, and waits until it answers.
    pub fn up(&mut self) {
        let mut command = self.node_command(&["up"]);
        command.args(self.up_args);
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.up = Some(command.spawn().unwrap());
        self.until("the node answers", || self.run(&["status"]).code == 0);
    }

    /// Ends the node as the kernel ends a process without memory.
    pub fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    pub fn stop(&mut self) {
        self.ok(&["stop"]);
        let status = self.up.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn invite(&self) -> String {
        self.ok(&["invite", "--role", "maintainer", "-q"]).trim().to_owned()
    }

    /// A site that joins this one's list, and whose node runs.
    pub fn newcomer(&self) -> Self {
        let mut site = Self::new();
        site.join(&self.invite());
        site
    }

    pub fn join(&mut self, ticket: &str) {
        let joined = self.node_command(&["join", ticket, "--timeout", "60"]).output().unwrap();
        let joined = Answer::of(joined);
        assert_eq!(joined.code, 0, "{joined:?}");
        self.up();
    }

    /// A command that listens. What it advertises, it does each time: whoever was told another address once
    /// would call that.
    pub fn node_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.args(["--listen", &self.listen.to_string(), "--api", "127.0.0.1:0"]);
        if let Some(advertise) = self.advertise {
            command.args(["--advertise", &advertise.to_string()]);
        }
        command
    }

    pub fn create(&self, title: &str) -> String {
        self.ok(&["issues", "create", title, "--silent"]).trim().to_owned()
    }

    pub fn export(&self) -> String {
        self.ok(&["issues", "export", "--canonical", "--out", "-"])
    }

    pub fn peers(&self) -> usize {
        let answer = self.run(&["peers", "--json"]);
        let peers: Value = serde_json::from_str(&answer.stdout).unwrap_or(Value::Null);
        peers["peers"].as_array().map_or(0, Vec::len)
    }

    pub fn until(&self, what: &str, done: impl FnMut() -> bool) -> Duration {
        until(&format!("{what} ({})", self.data().display()), done)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until all have the same issues, as many as that.
pub fn level(sites: &[&Site], issues: usize) -> Duration {
    let mut last = Vec::new();
    let done = || {
        last = sites.iter().map(|site| site.export()).collect();
        last[0].lines().count() == issues && last.iter().all(|export| *export == last[0])
    };
    until("all are level", done)
}
