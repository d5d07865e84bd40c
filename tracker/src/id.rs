//! Names for things that outlive one machine: agents, logs, task lists, documents, commits.
//!
//! These are values; nothing here makes keys, reads clocks or draws random numbers.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

/// The alphabet of opaque issue ids: Crockford base 32, lower case (no i, l, o, u).
pub const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many random base 32 digits follow the prefix in the id of a new issue (50 bits).
pub const ISSUE_ID_DIGITS: usize = 10;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("'{text}' is not {expected}")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// What an id of this kind looks like.
    pub expected: &'static str,
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $label:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The domain label that is hashed before the bytes.
            pub const LABEL: &'static str = $label;

            /// Returns the BLAKE3-256 hash of the domain label and `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(labelled_hash(Self::LABEL, &[bytes]))
            }

            /// Returns the first eight hex digits, enough for people to tell a few apart.
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                    .map(Self)
                    .ok_or_else(|| IdError { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

hash_id!(
    /// A task list: the hash of its founding statement.
    ListId, "x0x/list/v1", "a task list id (64 hex digits)"
);
hash_id!(
    /// A commit: the hash of its header.
    CommitHash, "x0x/commit/v1", "a commit hash (64 hex digits)"
);
hash_id!(
    /// A statement of a charter.
    StatementHash, "x0x/charter/v1", "a charter statement hash (64 hex digits)"
);
hash_id!(
    /// The Automerge document of one issue: the hash of its `(id, created_at)`.
    DocumentKey, "x0x/document/v1", "a document key (64 hex digits)"
);

hash_id!(
    /// A claim record: the hash of its bytes. That of a claim is the token that its holder shows.
    RecordHash, "x0x/record/v1", "a record hash (64 hex digits)"
);

/// An agent: the BLAKE3-256 hash of its ML-DSA-65 public key (FIPS 204, 1,952 bytes), unlabelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentId(pub [u8; 32]);

impl AgentId {
    /// Returns the agent that owns `public_key`.
    pub fn of_public_key(public_key: &[u8]) -> Self {
        Self(*blake3::hash(public_key).as_bytes())
    }

    /// Returns the first eight hex digits.
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..4])
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentId({})", self.short())
    }
}

impl FromStr for AgentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let expected = "an agent id (64 hex digits)";
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| IdError { text: text.to_owned(), expected })
    }
}

/// The log of one agent's commits out of one store: the agent, and a nonce that the store drew.
///
/// Its 40 bytes are the Automerge actor of every change in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// Whose edits the log holds.
    pub agent: AgentId,
    /// Which store wrote it; drawn at random when the log is opened.
    pub nonce: [u8; 8],
}

impl LogId {
    /// How many bytes [`LogId::to_bytes`] returns.
    pub const BYTES: usize = 40;

    /// Returns agent and nonce, in this order.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.agent.0);
        bytes[32..].copy_from_slice(&self.nonce);
        bytes
    }

    /// Reads what [`LogId::to_bytes`] wrote; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (agent, nonce) = bytes.split_at_checked(32)?;
        Some(Self { agent: AgentId(agent.try_into().ok()?), nonce: nonce.try_into().ok()? })
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent, HEXLOWER.encode(&self.nonce))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({}/{})", self.agent.short(), HEXLOWER.encode(&self.nonce))
    }
}

/// Which state of an issue's document was seen: a hash of its heads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub [u8; 8]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

impl FromStr for Version {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| IdError {
                text: text.to_owned(),
                expected: "a version (16 hex digits, `_version` in the JSON)",
            })
    }
}

/// Returns bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Returns the BLAKE3-256 hash of a domain label and some parts, each preceded by its length.
pub fn labelled_hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Returns the opaque id of a new issue: `PREFIX-` and ten base 32 digits of `entropy`.
pub fn issue_id(prefix: &str, entropy: [u8; 8]) -> String {
    let mut bits = u64::from_le_bytes(entropy);
    let mut id = format!("{prefix}-");
    for _ in 0..ISSUE_ID_DIGITS {
        id.push(char::from(BASE32[(bits & 31) as usize]));
        bits >>= 5;
    }
    id
}

/// Returns the entropy of the id of what an agent wishes once in a list, whatever it is told apart by.
pub fn entropy_of_wish(list: ListId, agent: AgentId, wish: &[&str]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"x0x/wish/v1\0").update(&list.0).update(&agent.0);
    for part in wish {
        // With its length, so that no two wishes are the same bytes.
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
    }
    let mut entropy = [0; 8];
    hasher.finalize_xof().fill(&mut entropy);
    entropy
}

/// Tells whether `id` has the form that [`issue_id`] gives, whatever its prefix.
///
/// Export uses it to know the lines that x0x placed, on every machine alike.
pub fn is_opaque_issue_id(id: &str) -> bool {
    id.rsplit_once('-').is_some_and(|(prefix, digits)| {
        !prefix.is_empty()
            && digits.len() == ISSUE_ID_DIGITS
            && digits.bytes().all(|digit| BASE32.contains(&digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_being_written_and_read() {
        let list = ListId::of(b"statement");
        assert_eq!(list.to_string().parse::<ListId>().unwrap(), list);
        let log = LogId { agent: AgentId([7; 32]), nonce: [9; 8] };
        assert_eq!(LogId::from_bytes(&log.to_bytes()), Some(log));
        assert_eq!(LogId::from_bytes(&[0; 39]), None);
        assert!("xyz".parse::<AgentId>().is_err());
    }

    #[test]
    fn one_label_never_hashes_like_another() {
        assert_ne!(ListId::of(b"same").0, CommitHash::of(b"same").0);
        assert_ne!(labelled_hash("a", &[b"bc", b"d"]), labelled_hash("a", &[b"b", b"cd"]));
    }

    #[test]
    fn opaque_ids_are_told_from_numbered_ones() {
        let id = issue_id("X0X", [0xff; 8]);
        assert!(is_opaque_issue_id(&id), "{id}");
        assert!(!is_opaque_issue_id("X0X-0042"));
        assert!(!is_opaque_issue_id("X0X-0069b"));
        assert!(!is_opaque_issue_id("0123456789"));
    }
}
