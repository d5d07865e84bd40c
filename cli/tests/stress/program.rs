//! The program as it was when a run began: a run is long, and another build may take its place meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::common::until;

/// A copy of the program. It goes with its handle.
pub struct Program {
    dir: TempDir,
}

impl Program {
    pub fn copy() -> Self {
        let program = Self { dir: tempfile::tempdir().unwrap() };
        fs::copy(env!("CARGO_BIN_EXE_x0x"), program.path()).unwrap();
        // A process that another thread starts just now has the file open as well, until it is another program.
        let mut command = Command::new(program.path());
        command.arg("--version").stdout(Stdio::null());
        until("the copy runs", || command.status().is_ok_and(|status| status.success()));
        program
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("x0x")
    }
}
