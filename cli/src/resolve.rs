//! What is meant: the data directory, the repository, the task list and the file. Changes nothing.

pub mod answering;
pub mod binding;
#[cfg(test)]
mod hostile;
pub mod repository;
mod spelled;

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use x0x::access::Access;
use x0x::home::Home;
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;

use crate::args::Global;
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use binding::Binding;

/// What every command needs to know.
#[derive(Clone)]
pub struct Session {
    /// The agent's data directory.
    pub home: Home,
    /// How to answer.
    pub output: Output,
    /// The current directory.
    pub current_dir: PathBuf,
    /// How long a writer waits for another.
    pub lock_timeout: Duration,
    list: Option<String>,
    /// Whether it was told that a writer had been interrupted.
    told_repair: Cell<bool>,
    /// The process of a node that does not answer, once it was looked for one.
    silent: OnceCell<Option<u32>>,
}

impl Session {
    /// Returns what the options, the environment and the current directory mean.
    pub fn new(global: Global, output: Output) -> Result<Self, CliError> {
        let current_dir = std::env::current_dir().map_err(|source| CliError::Io {
            what: "cannot tell the current directory".to_owned(),
            source,
        })?;
        let home = Home::find(global.data_dir.as_deref(), &current_dir).ok_or_else(|| {
            CliError::usage("there is no HOME to keep data in", "say where with --data-dir DIR")
        })?;
        let lock_timeout = global.lock_timeout;
        Ok(Self {
            home,
            output,
            current_dir,
            lock_timeout,
            list: global.list,
            told_repair: Cell::new(false),
            silent: OnceCell::new(),
        })
    }

    /// Fails where a node has the data directory and does not answer: whatever is asked of it would be waited
    /// for in vain, for minutes. It is looked once.
    pub fn check_node(&self) -> Result<(), CliError> {
        let look = || {
            answering::silent(&self.home, |pid| {
                self.output.note(&format!("waiting for the node here (process {pid}) to answer"));
            })
        };
        self.silent.get_or_init(look).map_or(Ok(()), |pid| Err(CliError::Silent { pid }))
    }

    /// Returns the nearest `.x0x.toml`, searched upwards.
    pub fn binding(&self) -> Result<Option<Binding>, CliError> {
        Binding::find(&self.current_dir)
    }

    /// Tells whether the list was named.
    pub fn names_list(&self) -> bool {
        self.list.is_some()
    }

    /// Returns the task list that is meant, which the data directory holds.
    pub fn list(&self) -> Result<ListId, CliError> {
        self.check_node()?;
        if let Some(name) = &self.list {
            return Ok(self.home.list_named(Some(name), self.lock_timeout)?);
        }
        let Some(binding) = self.binding()? else {
            return Ok(self.home.list_named(None, self.lock_timeout)?);
        };
        if self.home.holds(binding.list) {
            return Ok(binding.list);
        }
        Err(CliError::Missing {
            detail: format!(
                "{} names task list '{}' ({}), which the data directory {} does not hold",
                binding.file.display(),
                binding.name,
                binding.list.short(),
                self.home.dir().display()
            ),
            hint: "run `x0x issues import` to work from the repository's file".to_owned(),
        })
    }

    /// Returns the task list to import into, and whether it is new here: one that only `.x0x.toml`
    /// knows is attached first.
    pub fn list_or_attach(&self) -> Result<(ListId, bool), CliError> {
        match self.binding()? {
            Some(binding) if self.list.is_none() && !self.home.holds(binding.list) => {
                self.attach(&binding)?;
                Ok((binding.list, true))
            }
            _ => Ok((self.list()?, false)),
        }
    }

    /// Starts to hold the task list that `.x0x.toml` names, and says so.
    pub fn attach(&self, binding: &Binding) -> Result<(), CliError> {
        let Binding { list, name, prefix, .. } = binding;
        self.check_node()?;
        self.home.attach(*list, name, prefix, self.lock_timeout)?;
        self.output.note(&format!(
            "Task list '{name}' ({}) is new here: its issues come from the file alone until this \
             agent joins it.",
            list.short()
        ));
        Ok(())
    }

    /// Opens the task list to read.
    pub fn reader(&self) -> Result<Box<dyn Tracker>, CliError> {
        Ok(self.told(self.home.reader(self.list()?, self.lock_timeout)?))
    }

    /// Opens the task list to write; others wait until it is dropped.
    pub fn writer(&self) -> Result<Box<dyn Tracker>, CliError> {
        self.writer_of(self.list()?, false)
    }

    /// Opens a task list to write; others wait until it is dropped. Of a dry run, which every request says
    /// that it is, no file changes.
    pub fn writer_of(&self, list: ListId, dry_run: bool) -> Result<Box<dyn Tracker>, CliError> {
        let open = if dry_run { Home::rehearser } else { Home::writer };
        Ok(self.told(open(&self.home, list, self.lock_timeout)?))
    }

    /// Returns a task list after telling, once, that its last writer was interrupted.
    fn told(&self, access: Access) -> Box<dyn Tracker> {
        if let Some(repair) = access.repair
            && !self.told_repair.replace(true)
        {
            self.output.note(repair.note());
        }
        access.tracker
    }

    /// Returns the JSONL file of the task list that is meant, if `.x0x.toml` names one.
    pub fn bound_file(&self) -> Result<Option<PathBuf>, CliError> {
        let Some(binding) = self.binding()? else {
            return Ok(None);
        };
        let is_meant = match &self.list {
            None => true,
            Some(_) => self.list()? == binding.list,
        };
        if is_meant { binding.canonical_jsonl().map(Some) } else { Ok(None) }
    }

    /// Returns the file that an argument names, else the bound one.
    pub fn file(&self, argument: Option<&Path>) -> Result<PathBuf, CliError> {
        if let Some(path) = argument {
            return files::canonical(path)
                .map_err(|error| CliError::file("cannot read", path, error));
        }
        self.bound_file()?.ok_or_else(|| CliError::Missing {
            detail: "no .x0x.toml here or above names a file for this task list".to_owned(),
            hint: "run `x0x init` in the repository, or name the file".to_owned(),
        })
    }

    /// Returns the file to read: the one that an argument names, else the bound one, which must be
    /// there.
    pub fn file_to_read(&self, argument: Option<&Path>) -> Result<PathBuf, CliError> {
        let path = self.file(argument)?;
        if argument.is_some() || !matches!(path.try_exists(), Ok(false)) {
            return Ok(path);
        }
        let is_held = self.binding()?.is_none_or(|binding| self.home.holds(binding.list));
        let first = if is_held { "" } else { "run `x0x init` first; then " };
        Err(CliError::Missing {
            detail: format!("{}, which {} names, is not there yet", path.display(), binding::FILE),
            hint: format!("{first}`x0x issues export` writes it"),
        })
    }
}

/// Returns a path as the tracker is told it.
pub fn file_name(path: &Path) -> Result<&str, CliError> {
    path.to_str().ok_or_else(|| {
        CliError::usage(format!("{} is not UTF-8", path.display()), "rename the file or directory")
    })
}
