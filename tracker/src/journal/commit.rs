//! Commits: one signed batch of document changes, chained to the one before it in its log.
//!
//! The format is the one that travels between machines. All integers and lists are postcard
//! (its wire format specification, version 1); a hash is 32 bytes.

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::charter::Charter;
use super::codec::{decode, encode};
use super::signature::{SignError, Signer, Verifier};
use crate::document::Birth;
use crate::id::{CommitHash, ListId, LogId, StatementHash};

/// The largest body, in bytes; a larger edit is split over several commits.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The largest header, in bytes: room for every log that a list may hold.
pub const HEADER_BYTES_MAX: usize = 64 << 10;

/// The rules that a commit is judged by; a higher version waits for an upgrade.
pub const RULES_VERSION: u16 = 1;

/// Every which commit keeps its signature in storage; the newest one does too.
pub const SIGNATURE_EVERY: u64 = 64;

/// A place in a log: that commit, and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The commit's number; the first is 1.
    pub number: u64,
    /// The commit's hash.
    pub hash: CommitHash,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The task list.
    pub list: ListId,
    /// The log, and with it the author.
    pub log: LogId,
    /// Place in the log; the first is 1.
    pub number: u64,
    /// Hash of the commit before; `None` in the first.
    pub previous: Option<CommitHash>,
    /// BLAKE3-256 of the body's bytes.
    pub body: [u8; 32],
    /// How far the author had seen other logs, where that changed since its last commit; sorted.
    pub after: Vec<(LogId, Position)>,
    /// The heads of the charter as the author knew it, sorted; none in a list not yet joined.
    pub charter: Vec<StatementHash>,
    /// The rules that the author followed.
    pub rules: u16,
}

/// The changes of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Per document, in the order of application.
    pub entries: Vec<Entry>,
}

/// The changes of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which document; enough to make its genesis.
    pub birth: Birth,
    /// Uncompressed Automerge changes, each as a chunk of its own.
    pub changes: Vec<Vec<u8>>,
}

/// A commit as it is stored and sent: bytes, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The encoded [`Header`].
    #[serde(with = "serde_bytes")]
    pub header: Vec<u8>,
    /// The encoded [`Body`].
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// The author's signature of the header; storage drops most of them.
    #[serde(with = "serde_bytes")]
    pub signature: Option<Vec<u8>>,
}

/// A commit that was opened: it is its log's next, and says what its header says.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The decoded header.
    pub header: Header,
    /// The decoded body.
    pub body: Body,
    /// The commit's hash.
    pub hash: CommitHash,
}

impl Commit {
    /// Makes and signs the commit that follows `previous` in `header.log`.
    pub fn sign(header: &Header, body: Vec<u8>, signer: &dyn Signer) -> Result<Self, SignError> {
        let commit = Self::unsigned(header, body);
        let signature = commit.signed(signer)?;
        Ok(Self { signature: Some(signature), ..commit })
    }

    /// Makes the commit that follows `previous` in `header.log` and that a later one proves, which is
    /// signed.
    pub fn unsigned(header: &Header, body: Vec<u8>) -> Self {
        Self { header: encode(header), body, signature: None }
    }

    /// Signs the commit.
    pub fn signed(&self, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
        signer.sign(&signed_bytes(&self.header))
    }

    /// Returns the hash that the next commit, and others, name this one by.
    pub fn hash(&self) -> CommitHash {
        CommitHash::of(&self.header)
    }

    /// Checks sizes, then decodes the header and checks the list: what comes before the signature.
    pub fn header(&self, list: ListId) -> Result<Header, JournalError> {
        bounded("body", self.body.len(), BODY_BYTES_MAX)?;
        checked_header(&self.header, list)
    }

    /// Decodes the commit and checks sizes, list, rules and body hash: all that needs no state.
    pub fn open(&self, list: ListId) -> Result<Opened, JournalError> {
        let header = self.header(list)?;
        header.check_rules()?;
        if body_hash(&self.body) != header.body {
            return Err(JournalError::Malformed { what: "body" });
        }
        let body = decode("body", &self.body)?;
        Ok(Opened { header, body, hash: self.hash() })
    }

    /// Checks the author's signature, and that the author is a member under the charter it names.
    ///
    /// `header` is what [`Commit::header`] returned.
    pub fn prove(
        &self,
        header: &Header,
        charter: &Charter,
        verifier: &dyn Verifier,
    ) -> Result<(), JournalError> {
        let agent = header.log.agent;
        let not_allowed = JournalError::NotAllowed { agent };
        let key = charter.public_key(agent).ok_or_else(|| not_allowed.clone())?;
        let signature = self.signature.as_deref().ok_or(JournalError::Signature { agent })?;
        if !verifier.verify(key, &signed_bytes(&self.header), signature) {
            return Err(JournalError::Signature { agent });
        }
        match charter.role_under(agent, &header.charter) {
            Some(role) if role.may_write() => Ok(()),
            _ => Err(not_allowed),
        }
    }
}

impl Header {
    /// Checks that its author followed rules that this program knows. One of newer rules is genuine all
    /// the same; what it does is not known here.
    ///
    /// # Errors
    /// [`JournalError::Rules`].
    pub fn check_rules(&self) -> Result<(), JournalError> {
        if self.rules > RULES_VERSION {
            return Err(JournalError::Rules { found: self.rules, known: RULES_VERSION });
        }
        Ok(())
    }
}

impl Opened {
    /// Checks that this commit is the next of its log.
    pub fn continues(&self, last: Option<Position>) -> Result<(), JournalError> {
        let Header { log, number, previous, .. } = self.header;
        let wrong = |reason| Err(JournalError::Chain { log, number, reason });
        let expected = last.map_or(1, |last| last.number + 1);
        if number > expected {
            return Err(JournalError::Missing { log, number: expected });
        }
        if number < expected {
            return wrong("that place is taken");
        }
        if previous != last.map(|last| last.hash) {
            return wrong("it follows another commit");
        }
        Ok(())
    }
}

/// Checks the size of an encoded header, decodes it, and checks the list.
///
/// # Errors
/// Which of these it breaks.
pub(super) fn checked_header(bytes: &[u8], list: ListId) -> Result<Header, JournalError> {
    bounded("header", bytes.len(), HEADER_BYTES_MAX)?;
    let header: Header = decode("header", bytes)?;
    if header.list != list {
        return Err(JournalError::OtherList { found: header.list, expected: list });
    }
    Ok(header)
}

/// Returns the encoded body.
pub fn encode_body(body: &Body) -> Vec<u8> {
    encode(body)
}

/// Reads what [`encode_body`] wrote, of a commit that was opened before.
pub fn decode_body(body: &[u8]) -> Result<Body, JournalError> {
    decode("body", body)
}

/// Reads the header of a commit that was opened before.
pub fn decode_header(header: &[u8]) -> Result<Header, JournalError> {
    decode("header", header)
}

/// Returns the hash of an encoded body that its header carries.
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    *blake3::hash(body).as_bytes()
}

pub(super) fn signed_bytes(header: &[u8]) -> Vec<u8> {
    let mut message = CommitHash::LABEL.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(header);
    message
}

fn bounded(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), JournalError> {
    if bytes > bytes_max {
        return Err(JournalError::TooLarge { what, bytes, bytes_max });
    }
    Ok(())
}
