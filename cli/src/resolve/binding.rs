//! `.x0x.toml`: which task list a repository has, and which of its files shows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use x0x_tracker::id::ListId;

use super::repository;
use super::spelled::{self, Fault, Spelled};
use crate::args::values::is_prefix;
use crate::error::CliError;
use crate::files;

pub use super::spelled::stays_inside;

/// The file's name.
pub const FILE: &str = ".x0x.toml";

/// Where the issues stand unless said otherwise, from the root.
pub const DEFAULT_JSONL: &str = "issues/issues.jsonl";

/// What `.x0x.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The file itself.
    pub file: PathBuf,
    /// The task list.
    pub list: ListId,
    /// What people call it.
    pub name: String,
    /// What new ids start with.
    pub prefix: String,
    /// The JSONL file, from the root.
    pub jsonl: PathBuf,
    /// The branch that was checked out when the repository was bound.
    pub branch: Option<String>,
}

impl Binding {
    /// Returns what the nearest `.x0x.toml` says, searched upwards from `dir`.
    ///
    /// The root of the repository around `dir` is searched last: a file above it is about something
    /// else. Without git the search goes up to the file system's root.
    pub fn find(dir: &Path) -> Result<Option<Self>, CliError> {
        let last = repository::root_of(dir);
        for dir in dir.ancestors() {
            if let Some(found) = Self::at(dir)? {
                return Ok(Some(found));
            }
            if Some(dir) == last {
                break;
            }
        }
        Ok(None)
    }

    /// Returns what the `.x0x.toml` in `root` says; `None` where there is none.
    pub fn at(root: &Path) -> Result<Option<Self>, CliError> {
        let file = root.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("cannot read", &file, error)),
        };
        Self::parse(file, &text).map(Some)
    }

    fn parse(file: PathBuf, text: &str) -> Result<Self, CliError> {
        let bad = |Fault { line, reason }: &Fault| {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            CliError::Invalid {
                detail: format!("{}{line}: {reason}", file.display()),
                hint: "mend the file, or take it from the repository's history".to_owned(),
            }
        };
        let Spelled { list, name, prefix, jsonl, branch } =
            spelled::read(text).map_err(|fault| bad(&fault))?;
        if !is_prefix(&prefix) {
            let reason = "expected letters, digits, '.' and '_'";
            return Err(bad(&spelled::fault(text, "prefix", reason)));
        }
        Ok(Self { file: file.clone(), list, name, prefix, jsonl, branch })
    }

    /// Returns the text of the file.
    pub fn to_toml(&self) -> Result<String, CliError> {
        let spelled = Spelled {
            list: self.list,
            name: self.name.clone(),
            prefix: self.prefix.clone(),
            jsonl: self.jsonl.clone(),
            branch: self.branch.clone(),
        };
        let fields = spelled::write(&spelled).map_err(|error| CliError::Invalid {
            detail: format!("cannot spell {FILE}: {error}"),
            hint: "give another --name".to_owned(),
        })?;
        Ok(format!("# The task list of this repository, for x0x. Commit this file.\n{fields}"))
    }

    /// Returns the directory that the file lies in.
    pub fn root(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// Returns the absolute path of the JSONL file, links followed.
    ///
    /// A link out of the repository is refused: a repository from elsewhere must not be able to have
    /// a file of its reader overwritten.
    pub fn canonical_jsonl(&self) -> Result<PathBuf, CliError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| CliError::file("cannot find", &path, error)
        };
        let root = fs::canonicalize(self.root()).map_err(io(self.root()))?;
        let path = root.join(&self.jsonl);
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        let canonical = match fs::canonicalize(&path) {
            Err(error) if is_link => return Err(io(&path)(error)),
            _ => files::canonical(&path).map_err(io(&path))?,
        };
        if canonical.starts_with(&root) {
            return Ok(canonical);
        }
        Err(CliError::Invalid {
            detail: format!(
                "{} leads out of the repository, to {}",
                path.display(),
                canonical.display()
            ),
            hint: "put the file into the repository".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Binding, String> {
        Binding::parse(PathBuf::from("r/.x0x.toml"), text).map_err(|error| error.to_string())
    }

    fn spelled(list: &str, prefix: &str, jsonl: &str) -> String {
        format!("name = \"n\"\nlist = \"{list}\"\nprefix = \"{prefix}\"\njsonl = \"{jsonl}\"\n")
    }

    #[test]
    fn a_binding_survives_being_written_and_read() {
        let id = "ab".repeat(32);
        let mut binding = parse(&spelled(&id, "X", "a/b.jsonl")).unwrap();
        binding.branch = Some("main".to_owned());
        binding.name = "say \"hi\"\nλ".to_owned();
        assert_eq!(parse(&binding.to_toml().unwrap()).unwrap(), binding);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let id = "ab".repeat(32);
        for (text, line) in [
            (spelled("xyz", "X", "a"), 2),
            (spelled(&id, "a b", "a"), 3),
            (spelled(&id, "X", "/etc/passwd"), 4),
            (spelled(&id, "X", "../up"), 4),
            (format!("name = \"n\"\nlist = 7\n{id}"), 3),
            ("name = \"n\"\nlist = 7\n".to_owned(), 2),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(&format!("r/.x0x.toml:{line}: ")), "{error}");
        }
        assert!(parse("other = 1\n").unwrap_err().contains("missing field"));
        assert!(parse(&(spelled(&id, "X", "a") + "other = 1\n")).is_ok());
    }
}
