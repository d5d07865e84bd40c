//! The data directory of one agent: its key, its task lists, and the lock that writers take.
//!
//! Knows where things lie and who may write; what a task list is, it leaves to the tracker.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::error::{Fault, hint_of};
use x0x_tracker::interface::object::causes;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::store::{Founding, Holder, SharedLock, Store, StoreLock};
use x0x_tracker::tasklist::{Host, LocalTracker, Outlook, founding};
use x0x_tracker::timestamp::Timestamp;

use crate::identity::{Identity, IdentityError, MlDsa};
use crate::naming;
use crate::rest::client::{self, Borrowed};
use crate::{entropy, time};

/// The folder of the task lists in a data directory.
const LISTS_DIR: &str = "lists";

/// How long a waiting writer pauses between two tries: a little less than a short write takes.
const LOCK_PAUSE: Duration = Duration::from_millis(4);

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

/// A data directory.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Returns the data directory at a path, which need not exist yet.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Loads the agent's key; makes one on first use.
    pub fn identity(&self) -> Result<Identity, HomeError> {
        Ok(Identity::load_or_create(&self.dir)?)
    }

    /// Loads the agent's key, if there is one; makes nothing.
    pub fn known_identity(&self) -> Result<Option<Identity>, HomeError> {
        Ok(Identity::load(&self.dir)?)
    }

    /// Returns the lists that are here, by id.
    pub fn lists(&self) -> Result<Vec<ListInfo>, HomeError> {
        let mut lists = Vec::new();
        for path in self.store_paths()? {
            // Of an older format too: whoever names it to write brings it up to date.
            lists.push(LocalTracker::info_of_any_format(&path)?);
        }
        lists.sort_by_key(|info| info.list);
        Ok(lists)
    }

    /// Returns the ids of the lists that are here, in order, as their files are named. Opens none of
    /// them, so it costs nothing where a killed writer left one that must be read whole.
    pub fn list_ids(&self) -> Result<Vec<ListId>, HomeError> {
        let mut ids: Vec<ListId> = self
            .store_paths()?
            .iter()
            .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn store_paths(&self) -> Result<Vec<PathBuf>, HomeError> {
        let dir = self.dir.join(LISTS_DIR);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io_error("read", &dir, source)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| io_error("read", &dir, source))?.path();
            if path.extension().is_some_and(|extension| extension == "redb") {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// Returns the list that a name, an id or the start of an id means; `None` means the only one.
    pub fn list_named(&self, name_or_id: Option<&str>) -> Result<ListId, HomeError> {
        if let Some(list) = name_or_id.and_then(|text| text.parse().ok())
            && self.holds(list)
        {
            return Ok(list);
        }
        naming::which(self.lists()?.iter(), name_or_id, &self.dir)
    }

    /// Returns how large the file of a list is, in bytes.
    pub fn bytes_of(&self, list: ListId) -> Result<u64, HomeError> {
        let path = self.known_path(list)?;
        let metadata = fs::metadata(&path).map_err(|source| io_error("read", &path, source))?;
        Ok(metadata.len())
    }

    /// Tells whether a list is here.
    pub fn holds(&self, list: ListId) -> bool {
        self.path_of(list).exists()
    }

    /// Opens a list to read; waits for nobody and changes nothing.
    pub fn read(&self, list: ListId) -> Result<LocalTracker, HomeError> {
        // Reading needs no key; one that cannot be loaded is told by whatever writes.
        let agent = self.known_identity().ok().flatten().map(|identity| identity.agent());
        let outlook = Outlook { agent, uptime: time::uptime(), now: Timestamp(time::now_ms()) };
        Ok(LocalTracker::open_to_read(&self.known_path(list)?)?.seen_by(outlook))
    }

    /// Opens a list to write, once no other process does; waits at most `wait`.
    pub fn write(&self, list: ListId, wait: Duration) -> Result<LocalTracker, HomeError> {
        let path = self.known_path(list)?;
        let host = host(self.identity()?);
        let lock = self.lock(wait)?;
        Ok(LocalTracker::open_to_write(&path, host, lock)?)
    }

    /// Opens a list to write, for who has the lock.
    pub(crate) fn write_with(
        &self,
        list: ListId,
        lock: &Arc<StoreLock>,
        _wait: Duration,
    ) -> Result<LocalTracker, HomeError> {
        let path = self.known_path(list)?;
        let tracker = LocalTracker::open_to_write(&path, host(self.identity()?), lock.clone())?;
        let found = x0x_tracker::Tracker::info(&tracker)?.list;
        if found != list {
            // Others would be told that the one list is as far as the other.
            let what = format!("{}: another list, {found}, lies there", path.display());
            return Err(TrackerError::Damaged { what }.into());
        }
        Ok(tracker)
    }

    /// Opens a list for writes that stay in memory, once no other process writes; waits at most
    /// `wait`. Changes nothing, and makes no key.
    pub fn rehearse(&self, list: ListId, wait: Duration) -> Result<LocalTracker, HomeError> {
        let path = self.known_path(list)?;
        let identity = match self.known_identity()? {
            Some(identity) => identity,
            None => Identity::passing()?,
        };
        let (lock, loan) = self.borrowing(wait, || SharedLock::try_acquire(&self.dir))?;
        let lock = match loan {
            Some(loan) => lock.and_then_drop(Box::new(loan)),
            None => lock,
        };
        Ok(LocalTracker::open_to_rehearse(&path, host(identity), lock)?)
    }

    /// Verifies the file of a list and all that follows from something else in it; returns what is
    /// wrong. Waits for nobody and changes nothing.
    pub fn check(&self, list: ListId) -> Result<Vec<String>, HomeError> {
        let tracker = LocalTracker::open_to_check(&self.known_path(list)?)?;
        Ok(tracker.check(&MlDsa)?)
    }

    /// Makes a new list, and returns its id.
    pub fn found(&self, name: &str, prefix: &str, wait: Duration) -> Result<ListId, HomeError> {
        let host = host(self.identity()?);
        let _lock = self.lock(wait)?;
        let founding = founding(name, prefix, &host)?;
        self.create(&founding)?;
        Ok(founding.list)
    }

    /// Makes an empty copy of a list that was founded elsewhere and not joined yet.
    pub fn attach(
        &self,
        list: ListId,
        name: &str,
        prefix: &str,
        wait: Duration,
    ) -> Result<(), HomeError> {
        self.make_dir(&self.dir)?;
        let _lock = self.lock(wait)?;
        self.attach_locked(list, name, prefix)
    }

    /// The same, for who has the lock.
    pub(crate) fn attach_locked(
        &self,
        list: ListId,
        name: &str,
        prefix: &str,
    ) -> Result<(), HomeError> {
        let (name, prefix) = (name.to_owned(), prefix.to_owned());
        self.create(&Founding { list, name, prefix, statement: None })
    }

    fn create(&self, founding: &Founding) -> Result<(), HomeError> {
        self.make_lists_dir()?;
        Ok(Store::create(&self.path_of(founding.list), founding)?)
    }

    /// Takes the lock that writers hold; waits at most `wait`. A node that has it lends it.
    pub(crate) fn lock(&self, wait: Duration) -> Result<StoreLock, HomeError> {
        let own = holder_of("cli", None);
        let (lock, loan) = self.borrowing(wait, || StoreLock::try_acquire(&self.dir, &own))?;
        Ok(match loan {
            Some(loan) => lock.and_then_drop(Box::new(loan)),
            None => lock,
        })
    }

    /// Takes a lock, from a node too: then with what gives the stores back to it.
    fn borrowing<T>(
        &self,
        wait: Duration,
        mut attempt: impl FnMut() -> Result<Result<T, Option<Holder>>, TrackerError>,
    ) -> Result<(T, Option<Borrowed>), HomeError> {
        let mut loan = None;
        let lock = patiently(wait, || {
            let other = match attempt()? {
                Ok(lock) => return Ok(Ok(lock)),
                Err(other) => other,
            };
            if let Some(api) = other.as_ref().and_then(|other| other.api.as_deref())
                && loan.is_none()
            {
                loan = client::borrow(&self.dir, api, wait);
            }
            Ok(Err(other))
        })?;
        Ok((lock, loan))
    }

    /// Tells whether no program has the lock that writers hold.
    pub fn is_free(&self) -> Result<bool, HomeError> {
        Ok(SharedLock::try_acquire(&self.dir)?.is_ok())
    }

    /// Takes the lock for a node; waits at most `wait`.
    pub(crate) fn lock_as(&self, holder: &Holder, wait: Duration) -> Result<StoreLock, HomeError> {
        self.make_dir(&self.dir)?;
        patiently(wait, || StoreLock::try_acquire(&self.dir, holder))
    }

    /// Returns where the file of a list lies, or would.
    pub(crate) fn path_of(&self, list: ListId) -> PathBuf {
        self.dir.join(LISTS_DIR).join(format!("{list}.redb"))
    }

    /// Returns where the file of a list lies that is here.
    pub(crate) fn known_path(&self, list: ListId) -> Result<PathBuf, HomeError> {
        let path = self.path_of(list);
        match path.try_exists() {
            Ok(true) => Ok(path),
            Ok(false) => Err(HomeError::UnknownList { list, dir: self.dir.clone() }),
            Err(source) => Err(io_error("read", &path, source)),
        }
    }

    /// Makes the folder of the lists where it is missing.
    pub(crate) fn make_lists_dir(&self) -> Result<(), HomeError> {
        self.make_dir(&self.dir.join(LISTS_DIR))
    }

    fn make_dir(&self, dir: &Path) -> Result<(), HomeError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| io_error("create", dir, source))
    }
}

/// Returns what this process says of itself while it has the lock.
pub(crate) fn holder_of(role: &str, api: Option<String>) -> Holder {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Holder { pid: std::process::id(), role: role.to_owned(), api, version }
}

/// Tries to take a lock until it is free; tells who held it to the end of the wait.
fn patiently<T>(
    wait: Duration,
    mut attempt: impl FnMut() -> Result<Result<T, Option<Holder>>, TrackerError>,
) -> Result<T, HomeError> {
    let mut waited = Duration::ZERO;
    loop {
        let other = match attempt()? {
            Ok(lock) => return Ok(lock),
            Err(other) => other,
        };
        if waited >= wait {
            let holder = other.map_or_else(
                || "another process".to_owned(),
                |other| format!("{} (process {})", other.role, other.pid),
            );
            return Err(TrackerError::Busy { holder }.into());
        }
        time::pause(LOCK_PAUSE);
        waited += LOCK_PAUSE;
    }
}

/// Returns this machine, with an agent to sign.
fn host(identity: Identity) -> Host {
    Host {
        signer: Box::new(identity),
        verifier: Box::new(MlDsa),
        clock: Box::new(|| Timestamp(time::now_ms())),
        uptime: Box::new(time::uptime),
        entropy: Box::new(entropy::fill),
    }
}

/// Returns the error of a file or folder that cannot be used.
pub(crate) fn io_error(what: &'static str, path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { what, path: path.to_owned(), source }
}
