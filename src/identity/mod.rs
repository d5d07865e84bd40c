//! Who this node is: its ML-DSA-65 key, kept in one file of the data directory, and the signing and
//! checking that the journal asks for. Not who belongs to a task list; that is the charter's to say.

mod key_file;
mod ml_dsa;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{SignError, Signer};

pub use ml_dsa::MlDsa;

use key_file::Published;

/// The name of the key file inside the data directory.
pub const KEY_FILE: &str = "agent.key";

/// An agent's key, ready to sign.
///
/// Invariant: [`Identity::load_or_create`] makes a key only where the file is not found. Every other
/// failure is an error and leaves the disk as it was.
pub struct Identity {
    key: ml_dsa::KeyPair,
    agent: AgentId,
}

impl Identity {
    /// Returns the identity kept in `data_dir`, after making it if there is none.
    ///
    /// Missing directories are made with mode 0700, the key file with 0600. Of several processes that
    /// do this at once one makes the key, and all return that one.
    ///
    /// # Errors
    ///
    /// As for [`Identity::load`], or when the key could not be written; then no key file is there,
    /// unless the one thing that failed was to sync the directory.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::load(data_dir)? {
            return Ok(identity);
        }
        let seed = key_file::draw_seed();
        let file = data_dir.join(KEY_FILE);
        let identity = Self::from_seed(&seed, &file)?;
        match key_file::publish(data_dir, &file, &seed, identity.agent)? {
            Published::Ours => Ok(identity),
            Published::AlreadyThere => Self::load(data_dir)?.ok_or_else(|| {
                let source = io::Error::other("it appeared and vanished again meanwhile");
                IdentityError::NotCreated { file, source }
            }),
        }
    }

    /// Returns the identity kept in `data_dir`; `None` only if its key file is not found.
    ///
    /// # Errors
    ///
    /// When there is something in the key file's place that is not a key, that others may read, or that
    /// cannot be read; the file is left as it is.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let file = data_dir.join(KEY_FILE);
        let Some(stored) = key_file::read(&file)? else {
            return Ok(None);
        };
        let identity = Self::from_seed(&stored.seed, &file)?;
        if identity.agent != stored.agent {
            let reason = "the agent id in it is not the seed's";
            return Err(IdentityError::Damaged { file, reason });
        }
        Ok(Some(identity))
    }

    /// Returns an identity that is kept nowhere, for what is only tried.
    pub fn passing() -> Result<Self, IdentityError> {
        Self::from_seed(&key_file::draw_seed(), Path::new("that was not kept"))
    }

    fn from_seed(seed: &key_file::Seed, file: &Path) -> Result<Self, IdentityError> {
        let Some(key) = ml_dsa::KeyPair::from_seed(seed) else {
            return Err(IdentityError::Refused { file: file.to_owned() });
        };
        let agent = AgentId::of_public_key(key.public_key());
        Ok(Self { key, agent })
    }
}

impl Signer for Identity {
    fn agent(&self) -> AgentId {
        self.agent
    }

    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// Why there is no identity to work with; the disk is as it was, and the cause is the source.
///
/// No message advises to remove a key or to make another: whoever does that is another agent for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file may be there, but the system does not let us read it.
    #[error("cannot read the agent key {}; let this user read it, or use another --data-dir", .file.display())]
    Unreadable {
        /// The key file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe or a device is in the file's place.
    #[error("the agent key {} is not a regular file; restore it from a backup, or use another --data-dir", .file.display())]
    NotAFile {
        /// The key file.
        file: PathBuf,
    },
    /// A symbolic link is in the file's place, and what it points at is not there.
    #[error("the agent key {} is a symbolic link to a file that is not there; bring that file back, or use another --data-dir", .file.display())]
    DanglingLink {
        /// The key file.
        file: PathBuf,
    },
    /// Group or others may read or write the file.
    #[error("the agent key {file} is open to other users (mode {mode:04o}); run: chmod 600 {file}", file = .file.display())]
    Exposed {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what was once written.
    #[error("the agent key {} is damaged: {reason}; restore it from a backup, or use another --data-dir", .file.display())]
    Damaged {
        /// The key file.
        file: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file has a format that this program does not know.
    #[error("the agent key {} has format {found}, this program reads format {known}; use the version that wrote it, or another --data-dir", .file.display())]
    Format {
        /// The key file.
        file: PathBuf,
        /// The format's number in the file.
        found: u32,
        /// The one number that this program reads and writes.
        known: u32,
    },
    /// The cryptographic library did not take the seed, which FIPS 204 allows none to do.
    #[error("the cryptographic library refused the agent key {}; see that this program is intact", .file.display())]
    Refused {
        /// The key file.
        file: PathBuf,
    },
    /// The data directory is not there and could not be made.
    #[error("cannot create the data directory {}; let this user write there, or use another --data-dir", .dir.display())]
    NoDataDir {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There was no key, and a new one could not be written.
    #[error("cannot create the agent key {}; let this user write to its directory, or use another --data-dir", .file.display())]
    NotCreated {
        /// The key file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;
