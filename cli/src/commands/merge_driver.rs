//! Having git merge the JSONL file by records: the line in `.gitattributes` and the setting that belong
//! to it. `init` offers both and does them when asked to.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{CliError, GitFault};
use crate::files::Pending;
use crate::git::Git;
use crate::resolve::Session;
use crate::resolve::binding::Binding;

/// What the driver is called in `.gitattributes` and in git's configuration.
const NAME: &str = "x0x";

/// The setting that holds its command.
const COMMAND_KEY: &str = "merge.x0x.driver";

/// The command: git puts the base, our and their version in, and runs it at the root.
const COMMAND: &str = "x0x issues merge %O %A %B";

/// How a command ends that does the same, from wherever it starts the program.
const COMMAND_END: &str = " issues merge %O %A %B";

/// The setting that says what git calls the driver in its messages.
const TITLE_KEY: &str = "merge.x0x.name";

const TITLE: &str = "x0x: issues merged by records and fields";

const ATTRIBUTES: &str = ".gitattributes";

/// How far git is set up to merge the file of a binding by records.
pub struct MergeDriver {
    /// The line for `.gitattributes`.
    line: String,
    has_line: bool,
    has_command: bool,
    /// What was done now.
    done: Vec<String>,
}

impl MergeDriver {
    /// Finds out how things stand; what git cannot tell counts as not set up.
    pub fn find(git: &Git, binding: &Binding) -> Self {
        let command = git.config(COMMAND_KEY).ok().flatten();
        let attribute = git.merge_attribute(&binding.jsonl).ok().flatten();
        Self {
            line: line_for(&binding.jsonl),
            has_line: attribute.as_deref() == Some(NAME),
            has_command: command.is_some_and(|command| is_ours(&command)),
            done: Vec::new(),
        }
    }

    /// Refuses where git has another driver of that name, which is left as it is.
    pub fn require_free(git: &Git) -> Result<(), CliError> {
        let command = git.config(COMMAND_KEY)?;
        match command.filter(|command| !is_ours(command)) {
            None => Ok(()),
            Some(other) => Err(CliError::Git {
                detail: format!(
                    "git has another merge driver named {NAME}, which was left: {other}"
                ),
                hint: format!(
                    "if it is not needed, `git config --unset {COMMAND_KEY}`; then repeat"
                ),
                fault: GitFault::Taken,
            }),
        }
    }

    /// Sets up what is not there yet.
    pub fn install(git: &Git, binding: &Binding) -> Result<Self, CliError> {
        Self::require_free(git)?;
        let mut driver = Self::find(git, binding);
        if !driver.has_line {
            let replaced = git.merge_attribute(&binding.jsonl)?;
            append(&git.root().join(ATTRIBUTES), &driver.line)?;
            require_attribute(git, &binding.jsonl)?;
            let instead = replaced.map_or_else(String::new, |old| format!(" (was merge={old})"));
            driver.done.push(format!("{ATTRIBUTES}: {}{instead}", driver.line));
            driver.has_line = true;
        }
        for (key, value) in [(COMMAND_KEY, COMMAND), (TITLE_KEY, TITLE)] {
            if git.config(key)?.is_none() {
                git.set_config(key, value)?;
                driver.done.push(format!("git config {key} '{value}'"));
            }
        }
        driver.has_command = true;
        Ok(driver)
    }

    /// Tells people what was done, or what there is to do.
    pub fn tell(&self, session: &Session) {
        let output = session.output;
        if !self.done.is_empty() {
            output.note(&format!(
                "Set up, so that git merges the file by records:\n  {}\nCommit {ATTRIBUTES}; the \
                 setting is this repository's alone, so each clone runs `x0x init --merge-driver`. \
                 Git must find x0x on the PATH.",
                self.done.join("\n  ")
            ));
        } else if self.has_line && self.has_command {
            output.note("Git merges the file by records already.");
        } else {
            output.note(&format!(
                "To have git merge the file by records, not lines (`x0x init --merge-driver` does \
                 both):\n  echo '{}' >> {ATTRIBUTES}\n  git config {COMMAND_KEY} '{COMMAND}'",
                self.line
            ));
        }
    }

    /// Returns the same for programs.
    pub fn object(&self) -> Value {
        json!({
            "attributes": self.line,
            "config": {COMMAND_KEY: COMMAND},
            "installed": self.has_line && self.has_command,
            "done": self.done,
        })
    }
}

fn is_ours(command: &str) -> bool {
    command == COMMAND || command.ends_with(COMMAND_END)
}

/// Refuses an attribute that another file of attributes takes back.
fn require_attribute(git: &Git, jsonl: &Path) -> Result<(), CliError> {
    let found = git.merge_attribute(jsonl)?;
    if found.as_deref() == Some(NAME) {
        return Ok(());
    }
    Err(CliError::Git {
        detail: format!(
            "{ATTRIBUTES} at the root has the line now, but git still merges {} as '{}'",
            jsonl.display(),
            found.unwrap_or_default()
        ),
        hint: "look for the file in other .gitattributes files, nearer to it".to_owned(),
        fault: GitFault::Failed,
    })
}

/// Adds a line to a file, whose other bytes stay.
fn append(path: &Path, line: &str) -> Result<(), CliError> {
    let failed = |error| CliError::file("cannot write", path, error);
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(CliError::Invalid {
            detail: format!("{} is a link, which git does not follow", path.display()),
            hint: "put a file in its place".to_owned(),
        });
    }
    let old = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|error| CliError::file("cannot read", path, error))?,
    };
    let end: &[u8] = if old.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    let between: &[u8] = if old.is_empty() || old.ends_with(b"\n") { b"" } else { end };
    let mut pending = Pending::of(path).map_err(failed)?;
    for part in [&old, between, line.as_bytes(), end] {
        pending.write_all(part).map_err(failed)?;
    }
    pending.replace().map_err(failed)
}

/// Returns the line that names the driver for a path below the root.
fn line_for(jsonl: &Path) -> String {
    let path = jsonl.to_string_lossy();
    let mut pattern = String::new();
    // A name without a slash would mean every file of that name.
    if !path.contains('/') {
        pattern.push('/');
    }
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
    if !pattern.chars().all(is_plain) || pattern.starts_with(['#', '!']) {
        pattern = format!("\"{}\"", pattern.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("{pattern} merge={NAME}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_means_one_file_whatever_it_is_called() {
        for (path, line) in [
            ("issues/issues.jsonl", "issues/issues.jsonl merge=x0x"),
            ("issues.jsonl", "/issues.jsonl merge=x0x"),
            ("a b/c.jsonl", "\"a b/c.jsonl\" merge=x0x"),
            ("#/c*.jsonl", "\"#/c\\\\*.jsonl\" merge=x0x"),
            ("a/[b].jsonl", "a/\\[b].jsonl merge=x0x"),
        ] {
            assert_eq!(line_for(Path::new(path)), line);
        }
    }

    #[test]
    fn a_line_is_added_behind_whatever_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ATTRIBUTES);
        for (old, new) in [("", "x\n"), ("a", "a\nx\n"), ("a\n", "a\nx\n"), ("a\r\n", "a\r\nx\r\n")]
        {
            fs::write(&path, old).unwrap();
            append(&path, "x").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), new);
        }
    }
}
