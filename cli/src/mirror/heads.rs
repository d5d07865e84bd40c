//! Which commit each bound file was last worked with, over a restart: without it a node that was started
//! anew could not tell a pull from a `git reset`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::files::Pending;

/// The file's name in the data directory.
const FILE: &str = "heads.json";

/// The most files that are remembered; of more, those that come first by name are not.
const FILES_MAX: usize = 1_024;

/// The commits, by file.
pub struct Heads {
    path: PathBuf,
    heads: BTreeMap<String, String>,
}

impl Heads {
    /// Reads what a data directory remembers. What is no such file any more counts as nothing.
    pub fn load(dir: &Path) -> Result<Self, CliError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(CliError::file("cannot read", &path, error)),
        };
        let heads = serde_json::from_slice(&text).unwrap_or_default();
        Ok(Self { path, heads })
    }

    /// Returns the commit of a file.
    pub fn of(&self, file: &str) -> Option<&String> {
        self.heads.get(file)
    }

    /// Remembers the commit of a file.
    pub fn put(&mut self, file: &str, head: &str) -> Result<(), CliError> {
        if self.heads.get(file).is_some_and(|known| known == head) {
            return Ok(());
        }
        self.heads.insert(file.to_owned(), head.to_owned());
        while self.heads.len() > FILES_MAX {
            let first = self.heads.keys().find(|key| *key != file).cloned();
            first.and_then(|key| self.heads.remove(&key));
        }
        let write = || {
            let mut pending = Pending::of(&self.path)?;
            pending.write_all(&serde_json::to_vec(&self.heads)?)?;
            pending.replace()
        };
        write().map_err(|error| CliError::file("cannot write", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_remembered_and_their_number_has_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = Heads::load(dir.path()).unwrap();
        assert_eq!(heads.of("a"), None);
        for n in 0..FILES_MAX {
            heads.heads.insert(format!("{n:05}"), "x".to_owned());
        }
        heads.put("a", "1").unwrap();
        let again = Heads::load(dir.path()).unwrap();
        assert_eq!(again.of("a").map(String::as_str), Some("1"));
        assert_eq!(again.heads.len(), FILES_MAX);
        fs::write(dir.path().join(FILE), "no json").unwrap();
        assert_eq!(Heads::load(dir.path()).unwrap().of("a"), None);
    }
}
