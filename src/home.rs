//! The data directory of one agent: its key, its task lists, and the lock that writers take.
//!
//! Knows where things lie and who may write; what a task list is, it leaves to the tracker.

mod error;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::{ListInfo, TrackerError};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::store::{Founding, Holder, SharedLock, Store, StoreLock};
use x0x_tracker::tasklist::{Host, LocalTracker, Outlook, Senses, founding};
use x0x_tracker::timestamp::Timestamp;

use crate::identity::{Identity, MlDsa};
use crate::rest::client::{self, Borrowed};
use crate::{entropy, time};

pub use error::HomeError;

/// The folder of the task lists in a data directory.
const LISTS_DIR: &str = "lists";

/// How long a waiting writer pauses between two tries: a little less than a short write takes.
const LOCK_PAUSE: Duration = Duration::from_millis(4);

/// The longest such pause, after many tries.
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(50);

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

    /// Returns the data directory that is meant: the one that was named, else `x0x` in `XDG_DATA_HOME`, else
    /// the one below `HOME`; `None` where there is no home. A relative name counts from `current_dir`.
    pub fn find(named: Option<&Path>, current_dir: &Path) -> Option<Self> {
        let says = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(dir) = named.filter(|dir| !dir.as_os_str().is_empty()) {
            return Some(Self::at(current_dir.join(dir)));
        }
        // A relative XDG path is to be ignored (XDG base directory specification).
        if let Some(dir) = says("XDG_DATA_HOME").filter(|dir| dir.is_absolute()) {
            return Some(Self::at(dir.join("x0x")));
        }
        says("HOME").map(|home| Self::at(home.join(".local/share/x0x")))
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

    /// Returns the lists that are here and can be read, and the errors of those that are damaged.
    pub(crate) fn sound_lists(
        &self,
    ) -> Result<(Vec<ListInfo>, BTreeMap<ListId, TrackerError>), HomeError> {
        let (mut lists, mut damaged) = (Vec::new(), BTreeMap::new());
        for list in self.list_ids()? {
            // Of an older format too: whoever names it to write brings it up to date.
            match LocalTracker::info_of_any_format(&self.path_of(list)) {
                Ok(info) => lists.push(info),
                Err(error) if error.is_damage() => drop(damaged.insert(list, error)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((lists, damaged))
    }

    /// Returns the lists that are damaged so that what they are cannot be read.
    pub fn damaged_lists(&self) -> Result<Vec<ListId>, HomeError> {
        Ok(self.sound_lists()?.1.into_keys().collect())
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
        let now = Timestamp(time::now_ms());
        let outlook = Outlook { agent, uptime: time::uptime(), now, senses: Arc::default() };
        Ok(LocalTracker::open_to_read(&self.known_path(list)?)?.seen_by(outlook))
    }

    /// Opens a list to write, once no other process does; waits at most `wait`.
    pub fn write(&self, list: ListId, wait: Duration) -> Result<LocalTracker, HomeError> {
        self.known_path(list)?;
        let lock = self.lock(wait)?;
        self.write_under(list, lock)
    }

    /// The same, for who has the lock.
    pub(crate) fn write_under(
        &self,
        list: ListId,
        lock: StoreLock,
    ) -> Result<LocalTracker, HomeError> {
        let path = self.known_path(list)?;
        Ok(LocalTracker::open_to_write(&path, host(self.identity()?), lock)?)
    }

    /// Opens a list to write, for who has the lock.
    ///
    /// Other processes cannot read it then; waits at most `wait` for those that do. `senses` tells of others.
    pub(crate) fn write_with(
        &self,
        list: ListId,
        lock: &Arc<StoreLock>,
        wait: Duration,
        senses: Arc<Senses>,
    ) -> Result<LocalTracker, HomeError> {
        let path = self.known_path(list)?;
        let tracker = patiently(wait, || {
            let host = Host { senses: senses.clone(), ..host(self.identity()?) };
            match LocalTracker::open_alone(&path, host, lock.clone()) {
                Err(TrackerError::Busy { .. }) => Ok(Err(None)),
                opened => Ok(Ok(opened?)),
            }
        })?;
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
    /// wrong. Changes nothing, and waits for nobody but a node, which lends the file: at most `wait`.
    pub fn check(&self, list: ListId, wait: Duration) -> Result<Vec<String>, HomeError> {
        let path = self.known_path(list)?;
        let lent = match self.of_node(list)? {
            Some(_) => Some(self.borrowing(wait, || SharedLock::try_acquire(&self.dir))?),
            None => None,
        };
        let faults = LocalTracker::open_to_check(&path)?.check(&MlDsa)?;
        // The lock goes first: what the node waits for is the end of the loan.
        if let Some((lock, loan)) = lent {
            drop(lock);
            drop(loan);
        }
        Ok(faults)
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

    /// Returns the process that has the lock that writers hold, as far as it says so; `None` where none
    /// has it.
    pub fn holder(&self) -> Result<Option<u32>, HomeError> {
        let taken = SharedLock::try_acquire(&self.dir)?.err();
        Ok(taken.map(|holder| holder.map_or(0, |holder| holder.pid)))
    }

    /// Takes the lock for a node; waits at most `wait`.
    pub(crate) fn lock_as(&self, holder: &Holder, wait: Duration) -> Result<StoreLock, HomeError> {
        self.make_dir(&self.dir)?;
        patiently(wait, || Ok(StoreLock::try_acquire(&self.dir, holder)?))
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

    /// Makes the data directory, if it is not there.
    pub fn make(&self) -> Result<(), HomeError> {
        self.make_dir(&self.dir)
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
pub(crate) fn patiently<T>(
    wait: Duration,
    mut attempt: impl FnMut() -> Result<Result<T, Option<Holder>>, HomeError>,
) -> Result<T, HomeError> {
    let (begun, mut pause) = (time::origin(), LOCK_PAUSE);
    loop {
        let other = match attempt()? {
            Ok(lock) => return Ok(lock),
            Err(other) => other,
        };
        if begun.elapsed() >= wait {
            let holder = other.map_or_else(
                || "another process".to_owned(),
                |other| format!("{} (process {})", other.role, other.pid),
            );
            return Err(TrackerError::Busy { holder }.into());
        }
        time::pause(pause.min(wait));
        // Who holds it for longer is asked less often.
        pause = (pause + LOCK_PAUSE / 4).min(LOCK_PAUSE_MAX);
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
        senses: Arc::default(),
    }
}

/// Returns the error of a file or folder that cannot be used.
pub(crate) fn io_error(what: &'static str, path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { what, path: path.to_owned(), source }
}
