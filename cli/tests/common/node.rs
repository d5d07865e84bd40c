//! A node as a process, on ports of its own, that ends with the test.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};

use super::{Answer, Place, until};

/// A process whose words go into files.
pub struct Running {
    pub child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub fn start(place: &Place, name: &str, args: &[&str]) -> Self {
        let (out, err) =
            (place.dir().join(format!("{name}.out")), place.dir().join(format!("{name}.err")));
        let mut command = place.command(args);
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Self { child: command.spawn().unwrap(), out, err }
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Waits until it has said something on stderr.
    pub fn until_said(&self, text: &str) {
        until(&format!("it says '{text}'"), || self.stderr().contains(text));
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Answer {
        let mut status: Option<ExitStatus> = None;
        until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let code = status.and_then(|status| status.code()).unwrap_or(-1);
        Answer { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    pub fn kill(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a node, and waits until it answers.
pub fn up(place: &Place) -> Running {
    let node = Running::start(place, "node", &["up", "--listen", LISTEN, "--api", LISTEN]);
    until("the node answers", || {
        let status = place.run(&["status", "--json"]);
        status.code == 0 && status.stdout.contains(&format!("\"pid\":{}", node.child.id()))
    });
    node
}

/// Any port of this machine.
pub const LISTEN: &str = "127.0.0.1:0";

/// Lets another agent join the list of a place whose node runs.
pub fn join(other: &Place, place: &Place) {
    let ticket = place.ok(&["invite", "--role", "maintainer", "-q"]);
    other.ok(&["join", ticket.trim(), "--timeout", "60", "--listen", LISTEN, "--api", LISTEN]);
}
