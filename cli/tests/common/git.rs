//! Real git in a place: a repository, its branches and clones.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Answer, Place};

/// What settles everything that git would take from its surroundings.
const SURROUNDINGS: [(&str, &str); 4] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_EDITOR", "true"),
    ("LC_ALL", "C"),
];

/// The program's directory, then the caller's: git has to find `x0x`.
fn path() -> std::ffi::OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_x0x")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(program).chain(std::env::split_paths(&others));
    std::env::join_paths(all).unwrap()
}

fn prepare(place: &Place, command: &mut Command) {
    command.env_clear().env("PATH", path()).envs(SURROUNDINGS);
    command.env("X0X_DATA_DIR", place.data()).env("HOME", place.dir().join("home"));
}

impl Place {
    /// A repository that git made.
    pub fn with_git() -> Self {
        let place = Self::new();
        place.git(&["init", "-q", "-b", "main"]);
        place.introduce();
        place
    }

    /// A repository with a task list, whose file is imported and committed.
    pub fn with_committed(lines: &str) -> Self {
        let place = Self::with_git();
        place.write_jsonl(lines);
        place.ok(&["init", "--prefix", "T"]);
        place.ok(&["issues", "import"]);
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "base"]);
        place
    }

    /// A clone with a data directory of its own, into which nothing was imported.
    pub fn clone_of(other: &Self) -> Self {
        let place = Self::new();
        fs::remove_dir_all(place.repo()).unwrap();
        let (from, to) = (other.repo(), place.repo());
        let mut command = Command::new("git");
        command.args(["clone", "-q"]).args([from, to]);
        prepare(&place, &mut command);
        assert!(command.status().unwrap().success());
        place.introduce();
        place
    }

    fn introduce(&self) {
        self.git(&["config", "user.name", "t"]);
        self.git(&["config", "user.email", "t@example.org"]);
    }

    /// Runs git, whatever comes of it.
    pub fn try_git(&self, args: &[&str]) -> Answer {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.repo());
        prepare(self, &mut command);
        Answer::of(command.output().unwrap())
    }

    /// Runs git, which must succeed; returns stdout.
    pub fn git(&self, args: &[&str]) -> String {
        let answer = self.try_git(args);
        assert_eq!(answer.code, 0, "git {args:?}: {answer:?}");
        answer.stdout
    }
}
