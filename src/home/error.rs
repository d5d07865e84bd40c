//! What can go wrong with a data directory, who can mend it, and how.

use std::io;
use std::path::PathBuf;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::error::{Fault, hint_of};
use x0x_tracker::interface::object::causes;
use x0x_tracker::interface::{ListInfo, TrackerError};

use crate::identity::IdentityError;

/// A data directory could not do what was asked. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The task list refused.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// The agent's key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The data directory does not hold the list.
    #[error("{} does not hold task list {}", dir.display(), list.short())]
    UnknownList {
        /// Which list.
        list: ListId,
        /// The data directory.
        dir: PathBuf,
    },
    /// No list has this name or id.
    #[error("{} holds no task list called '{name}'", dir.display())]
    NoSuchList {
        /// What was asked for.
        name: String,
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory holds no list at all.
    #[error("{} holds no task list", dir.display())]
    NoList {
        /// The data directory.
        dir: PathBuf,
    },
    /// It has to be said which list is meant.
    #[error("several task lists could be meant: {}", names.join(", "))]
    ManyLists {
        /// Their names and short ids.
        names: Vec<String>,
    },
    /// A backup is not written over another file.
    #[error("{} is there already", file.display())]
    FileIsThere {
        /// The file.
        file: PathBuf,
    },
    /// A file to be restored is no backup, or a damaged one.
    #[error("{} is not a backup of a task list", file.display())]
    NotABackup {
        /// The file.
        file: PathBuf,
        /// What was found.
        #[source]
        source: Box<TrackerError>,
    },
    /// A list of a backup is here, and is not replaced unasked.
    #[error(
        "task list '{}' ({}) is here already{}; the backup has {} commits",
        found.name,
        found.list.short(),
        commits_here.map_or(String::new(), |commits| format!(" with {commits} commits")),
        found.commits
    )]
    ListIsHere {
        /// What the backup holds.
        found: Box<ListInfo>,
        /// How many commits are here; `None` where the list cannot be read.
        commits_here: Option<u64>,
    },
    /// A file or folder of the data directory cannot be used.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl HomeError {
    /// Returns the word that programs tell errors apart by.
    pub fn code(&self) -> &str {
        match self {
            Self::Tracker(error) => error.code(),
            Self::Identity(_) => "identity",
            Self::UnknownList { .. } | Self::NoSuchList { .. } => "unknown_list",
            Self::NoList { .. } => "no_list",
            Self::ManyLists { .. } => "many_lists",
            Self::FileIsThere { .. } => "file_is_there",
            Self::NotABackup { .. } => "not_a_backup",
            Self::ListIsHere { .. } => "list_is_here",
            Self::Io { .. } => "io",
        }
    }

    /// Returns what happened, with what lies behind it.
    pub fn detail(&self) -> String {
        let text = self.to_string();
        let causes = causes(&text, std::error::Error::source(self));
        std::iter::once(text).chain(causes).collect::<Vec<_>>().join(": ")
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Tracker(error) => error.hint(),
            Self::Identity(IdentityError::Exposed { file, .. }) => {
                format!("chmod 600 {}", file.display())
            }
            Self::Identity(
                IdentityError::NoDataDir { source, .. } | IdentityError::NotCreated { source, .. },
            ) => hint_of(source).to_owned(),
            Self::Identity(_) => "restore the key file from a backup, or name another data \
                directory with --data-dir"
                .to_owned(),
            Self::UnknownList { .. } => {
                "run `x0x issues import` to work from the JSONL file of this repository".to_owned()
            }
            Self::NoSuchList { .. } => "leave --list out, or name one of the lists that are here \
                (a name, an id, or the start of an id)"
                .to_owned(),
            Self::NoList { .. } => "run `x0x init` in the repository to make one".to_owned(),
            Self::ManyLists { .. } => {
                "say which with --list NAME|ID, or work in a repository that has a .x0x.toml"
                    .to_owned()
            }
            Self::FileIsThere { .. } => {
                "choose another name; a backup replaces no file".to_owned()
            }
            Self::NotABackup { .. } => {
                "name a file that `x0x backup` wrote; nothing was changed".to_owned()
            }
            Self::ListIsHere { .. } => "look at the backup in a data directory of its own \
                (--data-dir DIR); --replace puts it in the place of the list that is here, which is \
                kept beside it"
                .to_owned(),
            Self::Io { source, .. } => hint_of(source).to_owned(),
        }
    }

    /// Returns who can mend it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Tracker(error) => error.fault(),
            Self::UnknownList { .. } | Self::NoSuchList { .. } | Self::NoList { .. } => {
                Fault::NotFound
            }
            Self::ManyLists { .. } | Self::NotABackup { .. } => Fault::Invalid,
            Self::FileIsThere { .. } | Self::ListIsHere { .. } => Fault::Conflict,
            Self::Identity(_) | Self::Io { .. } => Fault::Internal,
        }
    }

    /// Tells whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Tracker(error) if error.is_retryable())
    }
}
