//! The operator's guide, each command of it run in the order in which it stands there.
//!
//! Two homes stand for its two machines. `cargo install` is stood in for: it would build what is built.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::until;

/// One command, and on which machine.
#[derive(Debug)]
struct Step {
    machine: String,
    command: String,
}

/// Returns all commands of the guide.
fn steps() -> Vec<Step> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = fs::read_to_string(guide).unwrap();
    let (mut steps, mut machine, mut is_inside) = (Vec::new(), None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("<!-- on: ") {
            machine = Some(name.trim_end_matches(" -->").to_owned());
        } else if line.starts_with("```") {
            is_inside = !is_inside;
            assert!(machine.is_some(), "a block does not say on which machine");
            if !is_inside {
                machine = None;
            }
        } else if is_inside {
            let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("no command: {line}"));
            let machine = machine.clone().unwrap();
            steps.push(Step { machine, command: command.to_owned() });
        }
    }
    steps
}

/// A machine: a home, the place where its shell is, and the node that was started there.
struct Machine {
    dir: tempfile::TempDir,
    place: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let cargo = "#!/bin/sh\n[ \"$*\" = 'install --path cli --locked' ]\n";
        fs::write(bin.join("cargo"), cargo).unwrap();
        fs::set_permissions(bin.join("cargo"), Permissions::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        // The test's own: several run on one machine, on ports that nobody else has.
        let config = "[node]\nlisten = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n";
        fs::write(data.join("config.toml"), config).unwrap();
        let place = dir.path().to_owned();
        Self { dir, place }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Runs a command in the machine's shell; returns what it printed.
    fn run(&mut self, command: &str) -> Result<String, String> {
        let program = Path::new(env!("CARGO_BIN_EXE_x0x")).parent().unwrap();
        let bin = self.dir.path().join("bin");
        let usual = std::env::var("PATH").unwrap();
        let path = format!("{}:{}:{usual}", bin.display(), program.display());
        let where_to = self.dir.path().join("where");
        // The shell is another one each time; it is where the one before was.
        let script = format!("{command}\npwd > {}", where_to.display());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).current_dir(&self.place).env_clear().env("PATH", path);
        shell.env("HOME", self.dir.path()).env("X0X_DATA_DIR", self.data());
        for (name, value) in [("NAME", "ann"), ("EMAIL", "ann@example.org")] {
            shell.env(format!("GIT_AUTHOR_{name}"), value);
            shell.env(format!("GIT_COMMITTER_{name}"), value);
        }
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        if !output.status.success() {
            return Err(format!("{command}: {}\n{stdout}{stderr}", output.status));
        }
        self.place = PathBuf::from(fs::read_to_string(where_to).unwrap().trim());
        Ok(stdout)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What a failed test leaves running.
        for data in ["data", "moved"] {
            let data = self.dir.path().join(data);
            let mut stop = Command::new(env!("CARGO_BIN_EXE_x0x"));
            stop.args(["stop", "--data-dir"]).arg(&data).env_clear().env("HOME", self.dir.path());
            let _gone = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn every_command_of_the_operators_guide_does_what_it_says() {
    let steps = steps();
    assert!(steps.len() > 40, "the guide has lost its commands");
    let (mut office, mut laptop) = (Machine::new(), Machine::new());
    let (mut ticket, mut agent) = (String::new(), String::new());
    for Step { machine, command } in &steps {
        let machine = if machine == "laptop" { &mut laptop } else { &mut office };
        let typed = command.replace("TICKET", &ticket).replace("AGENT", &agent);
        let printed = machine.run(&typed).unwrap_or_else(|error| panic!("{error}"));
        match command.as_str() {
            "x0x invite --role worker" => ticket = printed.trim().to_owned(),
            "x0x agent" => {
                let digits = printed.split_whitespace().find(|word| word.len() == 64);
                agent = digits.unwrap()[..8].to_owned();
            }
            "x0x issues list" => assert!(printed.contains("Mend the pump"), "{printed}"),
            "x0x revoke AGENT --reason 'the laptop was stolen'" => {
                assert!(printed.contains("stolen"), "{printed}");
            }
            "x0x --data-dir ../moved agent" => {
                let here = office.run("x0x agent --json").unwrap();
                let there = office.run("x0x --data-dir ../moved agent --json").unwrap();
                let id = |text: &str| {
                    let agent: serde_json::Value = serde_json::from_str(text).unwrap();
                    agent["agent_id"].clone()
                };
                assert_eq!(id(&here), id(&there), "the same agent");
            }
            "x0x grant AGENT --role worker" => {
                let edit = "x0x issues edit PUMP-0001 --title 'Mend the pump, and paint it'";
                office.run(edit).unwrap();
                // It is back: what others write arrives.
                let sees = || laptop.run("x0x issues list").unwrap().contains("and paint it");
                until("the list is shared again", sees);
            }
            _ => {}
        }
    }
    for machine in [&mut office, &mut laptop] {
        assert!(machine.run("x0x status").is_err(), "a node still runs");
    }
}
