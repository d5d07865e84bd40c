//! `.x0x.toml` as text: what it says, and which line of it is wrong. Touches no file.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use x0x_tracker::id::{IdError, ListId};

/// What the text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled {
    /// The task list.
    pub list: ListId,
    /// What people call it.
    pub name: String,
    /// What new ids start with.
    pub prefix: String,
    /// The JSONL file; stays inside the repository.
    pub jsonl: PathBuf,
    /// The branch that was checked out when the repository was bound.
    pub branch: Option<String>,
}

/// The text says nothing usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong, in plain words.
    pub reason: String,
}

/// The keys, as TOML has them; others are passed over.
#[derive(Deserialize, Serialize)]
struct Keys {
    list: String,
    name: String,
    prefix: String,
    jsonl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
}

/// Reads the text.
pub fn read(text: &str) -> Result<Spelled, Fault> {
    let Keys { list, name, prefix, jsonl, branch } = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        Fault { line, reason: error.message().to_owned() }
    })?;
    let list = list.parse().map_err(|error: IdError| fault(text, "list", &error.to_string()))?;
    let jsonl = PathBuf::from(jsonl);
    if !stays_inside(&jsonl) {
        return Err(fault(text, "jsonl", "expected a path inside the repository"));
    }
    Ok(Spelled { list, name, prefix, jsonl, branch })
}

/// Returns the keys as TOML.
pub fn write(spelled: &Spelled) -> Result<String, toml::ser::Error> {
    toml::to_string(&Keys {
        list: spelled.list.to_string(),
        name: spelled.name.clone(),
        prefix: spelled.prefix.clone(),
        jsonl: spelled.jsonl.to_string_lossy().into_owned(),
        branch: spelled.branch.clone(),
    })
}

/// Blames the first line that begins with a key.
pub fn fault(text: &str, key: &str, reason: &str) -> Fault {
    let line = text.lines().position(|line| line.trim_start().starts_with(key));
    Fault { line: line.map(|at| at + 1), reason: format!("{key}: {reason}") }
}

/// Tells whether a path names something below where it starts.
pub fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && path.file_name().is_some()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
