//! Issues as Automerge documents: the only place that knows Automerge.
//!
//! One small document per issue. What a document means is in [`schema`]; who may write it, and
//! when, is not decided here.

pub mod admit;
pub mod ancestry;
pub mod chunk;
pub mod creation;
pub mod dispute;
pub mod edit;
pub mod elements;
pub mod genesis;
pub mod history;
pub mod lost;
pub mod read;
pub mod records;
pub mod reversal;
pub mod scalar;
pub mod schema;
pub mod steps;
pub mod verdict;

use std::panic::catch_unwind;

use automerge::{Automerge, Change, ChangeHash};

pub use edit::Edit;
pub use genesis::Birth;
pub use history::History;
pub use read::Content;

use crate::id::Version;
use crate::id::{DocumentKey, LogId};

/// A document could not be read, or a change of it was refused. The document is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The stored bytes are not a document.
    #[error("the stored document of {id} cannot be read")]
    Unreadable {
        /// The id.
        id: String,
        /// What Automerge said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A foreign change breaks a rule that every replica checks alike.
    #[error("a change of {id} is refused: {reason}")]
    Refused {
        /// The id.
        id: String,
        /// Which rule.
        reason: &'static str,
    },
    /// A change needs others that are not here yet.
    #[error("a change of {id} needs changes that are not here yet")]
    Missing {
        /// The id.
        id: String,
    },
    /// Automerge refused an operation that the schema allows: a defect of ours.
    #[error("an edit of {id} failed")]
    Edit {
        /// The id.
        id: String,
        /// What Automerge said.
        #[source]
        source: Box<automerge::AutomergeError>,
    },
}

/// A hash of one Automerge change; the heads of a document are a list of these.
pub type Heads = Vec<[u8; 32]>;

/// The Automerge document of one issue.
#[derive(Clone, Debug)]
pub struct Document {
    birth: Birth,
    doc: Automerge,
}

impl Document {
    /// Returns the document that holds nothing but its genesis.
    pub fn new(birth: Birth) -> Self {
        let doc = birth.document();
        Self { birth, doc }
    }

    /// Reads a document: a snapshot and the changes appended to it, or changes alone.
    ///
    /// Checksums come first, and a panic barrier stands around the rest: bytes that a failing disk
    /// changed can make the decoder panic or run without end.
    pub fn load(birth: Birth, bytes: &[u8]) -> Result<Self, DocumentError> {
        let unreadable = |source| DocumentError::Unreadable { id: birth.id.clone(), source };
        if !chunk::is_stored(bytes) {
            return Err(unreadable("its checksum is wrong".into()));
        }
        let doc = catch_unwind(|| Automerge::load(bytes))
            .map_err(|_panic| unreadable("its bytes make the decoder panic".into()))?
            .map_err(|source| unreadable(source.into()))?;
        Ok(Self { birth, doc })
    }

    /// Returns what names this document.
    pub fn birth(&self) -> &Birth {
        &self.birth
    }

    /// Returns the key under which this document is stored.
    pub fn key(&self) -> DocumentKey {
        self.birth.key()
    }

    /// Returns the whole document as one compressed snapshot.
    pub fn save(&self) -> Vec<u8> {
        self.doc.save()
    }

    /// Returns the bytes of the genesis change alone.
    pub fn genesis_bytes(&self) -> Vec<u8> {
        self.birth.change().raw_bytes().to_vec()
    }

    /// Returns the hashes of the changes that no other change builds on, sorted.
    pub fn heads(&self) -> Heads {
        let mut heads: Heads = self.doc.get_heads().iter().map(|hash| hash.0).collect();
        heads.sort_unstable();
        heads
    }

    /// Returns the version that the current heads make.
    pub fn version(&self) -> Version {
        version_of(&self.heads())
    }

    /// Returns the hashes of all changes but the genesis, sorted.
    pub fn change_hashes(&self) -> Vec<[u8; 32]> {
        let genesis = self.birth.genesis_hash();
        let all = self.doc.get_changes_meta(&[]).into_iter().map(|change| change.hash);
        let mut hashes: Vec<_> = all.filter(|hash| *hash != genesis).map(|hash| hash.0).collect();
        hashes.sort_unstable();
        hashes
    }

    fn set_actor(&mut self, log: LogId) {
        self.doc.set_actor(automerge::ActorId::from(&log.to_bytes()[..]));
    }
}

/// Returns the version that a document with these heads has.
pub fn version_of(heads: &[[u8; 32]]) -> Version {
    let mut hasher = blake3::Hasher::new();
    for head in heads {
        hasher.update(head);
    }
    let mut version = [0; 8];
    version.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Version(version)
}

/// Returns the hash of a change, given its bytes; `None` where they are none.
pub fn change_hash(bytes: &[u8]) -> Option<[u8; 32]> {
    Change::from_bytes(bytes.to_vec()).ok().map(|change| change.hash().0)
}

fn to_hashes(heads: &[[u8; 32]]) -> Vec<ChangeHash> {
    heads.iter().map(|head| ChangeHash(*head)).collect()
}
