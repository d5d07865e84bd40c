//! The tour of several machines that the README gives, run as it stands there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::until;

/// One command of the tour, and what the README says it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

/// Returns the steps of the console block under a heading.
fn steps(heading: &str) -> Vec<Step> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once(heading).unwrap();
    let (_, block) = section.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => {
                steps.push(Step { command: command.to_owned(), printed: Vec::new() });
            }
            None => steps.last_mut().unwrap().printed.push(line.to_owned()),
        }
    }
    steps
}

/// A repository whose list has the issues of the README's five minutes.
struct Tour {
    dir: tempfile::TempDir,
    nodes: Vec<Child>,
}

impl Tour {
    fn new() -> Self {
        let tour = Self { dir: tempfile::tempdir().unwrap(), nodes: Vec::new() };
        fs::create_dir_all(tour.repo()).unwrap();
        for command in [
            "git init -q .",
            "x0x init --name pump --prefix PUMP",
            "x0x issues create 'Mend the pump'",
            "x0x issues create 'Measure the flow'",
        ] {
            tour.run(command);
        }
        tour
    }

    fn repo(&self) -> std::path::PathBuf {
        self.dir.path().join("repo")
    }

    fn shell(&self, command: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_x0x")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-euc", command]).current_dir(self.repo()).env_clear().env("PATH", path);
        shell.env("HOME", self.dir.path()).stdin(Stdio::null());
        shell
    }

    fn run(&self, command: &str) -> String {
        let output = self.shell(command).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}: {stdout}{stderr}");
        stdout
    }

    /// Runs a command in a terminal of its own, and waits until it has printed so many lines.
    fn start(&mut self, command: &str, lines: usize) {
        let log = self.dir.path().join(format!("log-{}", self.nodes.len()));
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdout(File::create(&log).unwrap());
        self.nodes.push(shell.spawn().unwrap());
        let lines = lines.max(1);
        until(command, || fs::read_to_string(&log).unwrap().lines().count() >= lines);
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _gone = node.kill();
            let _gone = node.wait();
        }
    }
}

#[test]
fn the_tour_of_several_machines_works_as_it_is_printed() {
    let mut tour = Tour::new();
    let steps = steps("## Several machines");
    assert!(steps.len() >= 10, "the README has lost its tour");
    for Step { command, printed } in &steps {
        if let Some(command) = command.strip_suffix(" &") {
            tour.start(command, printed.len());
            continue;
        }
        // Somebody who types takes longer than news to arrive.
        let is_read = ["issues list", "peers", "status"].iter().any(|read| command.ends_with(read));
        let mut output = String::new();
        let mut matches = || {
            output = tour.run(command);
            let words = |line: &String| line.split_whitespace().next().unwrap().to_owned();
            // Ids differ from run to run; what is no id is printed again.
            let is_id = |word: &str| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
            let known = printed.iter().map(words).filter(|word| !is_id(word));
            let lines = output.lines().count();
            known.into_iter().all(|word| output.contains(&word)) && lines >= printed.len()
        };
        match is_read {
            true => drop(until(command, matches)),
            false => assert!(matches(), "{command}: {output}"),
        }
        if command.ends_with("issues list") {
            until("the third issue", || tour.run(command).contains("Paint the pump"));
        }
    }
    let exports = ["", "--data-dir ./b", "--data-dir ./c"]
        .map(|at| tour.run(&format!("x0x {at} issues export --canonical --out -")));
    assert!(exports.iter().all(|export| *export == exports[0] && export.lines().count() == 3));
    for node in &mut tour.nodes {
        assert!(node.wait().unwrap().success());
    }
}
