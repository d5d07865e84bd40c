//! Keeping commits: each log in order, all logs in the order of application, and which of them
//! changed which document.

use std::ops::ControlFlow;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::charters;
use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::id::{CommitHash, DocumentKey, LogId};
use crate::interface::TrackerError;
use crate::journal::charter::{Charter, Signed};
use crate::journal::commit::{Body, Commit, Position, SIGNATURE_EVERY, decode_body};
use crate::journal::frontier::Frontier;
use crate::journal::run::Run;

/// A commit that does not count, here or anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidCommit {
    /// Its log.
    pub log: LogId,
    /// Its number there.
    pub number: u64,
    /// Why it is void.
    pub why: String,
    /// The commit that has its place, where two were signed for one.
    pub fork: Option<Fork>,
    /// Whether its author wrote again what it held, so that nobody has to bring it back.
    pub is_reissued: bool,
}

impl VoidCommit {
    /// Returns what is known of a commit that is void for some reason.
    pub fn new(log: LogId, number: u64, why: String) -> Self {
        Self { log, number, why, fork: None, is_reissued: false }
    }
}

/// Two commits of one place in a log: what its author signed twice. Both headers are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The one that counts: its hash is the smaller.
    pub counts: Vec<u8>,
    /// The one that is void.
    pub void: Vec<u8>,
}

/// How many void commits of one agent that never counted here are remembered. Another one is judged anew
/// whenever it comes.
pub const VOIDS_PER_AGENT_MAX: u64 = 1_024;

/// Where it is counted how many of an agent there are.
const META_VOIDS: &[u8] = b"voids ";

/// A commit with where it stands.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its log.
    pub log: LogId,
    /// Its place in the log.
    pub position: Position,
    /// Its bytes.
    pub commit: Commit,
}

/// An encoded header, and its signature where that is kept.
pub type SignedHeader = (Vec<u8>, Option<Vec<u8>>);

/// Reading the journal.
pub trait Journal: Tables {
    /// Returns how far each log is here.
    fn frontier(&self) -> Result<Frontier, TrackerError> {
        let mut frontier = Frontier::default();
        self.visit(Table::Frontier, &[], &mut |log, position| {
            let log = LogId::from_bytes(log).ok_or_else(|| damaged("a log"))?;
            frontier.0.insert(log, decode(position, "a frontier entry")?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(frontier)
    }

    /// Returns a commit, with its signature where that is kept.
    fn commit_at(&self, log: LogId, number: u64) -> Result<Option<Commit>, TrackerError> {
        let key = commit_key(log, number);
        let Some(bytes) = self.get(Table::Commits, &key)? else { return Ok(None) };
        let (header, body): (ByteBuf, ByteBuf) = decode(&bytes, "a commit")?;
        let signature = self.get(Table::Signatures, &key)?;
        Ok(Some(Commit { header: header.into_vec(), body: body.into_vec(), signature }))
    }

    /// Returns the header of a commit, and its signature where that is kept.
    fn header_at(&self, log: LogId, number: u64) -> Result<Option<SignedHeader>, TrackerError> {
        Ok(self.commit_at(log, number)?.map(|commit| (commit.header, commit.signature)))
    }

    /// Returns the headers that follow the last commit of a log here, up to a signature that proves
    /// it; `None` where it carries one itself.
    fn rest(&self, log: LogId) -> Result<Option<Run>, TrackerError> {
        let bytes = self.get(Table::Rests, &log.to_bytes())?;
        bytes.map(|bytes| decode(&bytes, "headers after a log")).transpose()
    }

    /// Returns what is known of a commit that is void.
    fn void(&self, commit: CommitHash) -> Result<Option<VoidCommit>, TrackerError> {
        let bytes = self.get(Table::Voids, &commit.0)?;
        bytes.map(|bytes| decode(&bytes, "a void commit")).transpose()
    }

    /// Returns every void commit, by hash.
    fn voids(&self) -> Result<Vec<(CommitHash, VoidCommit)>, TrackerError> {
        let mut found = Vec::new();
        self.visit(Table::Voids, &[], &mut |hash, void| {
            let hash = hash.try_into().map_err(|_| damaged("a commit's hash"))?;
            found.push((CommitHash(hash), decode(void, "a void commit")?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Returns the place in the order of application of a commit that is here.
    fn place_of_commit(&self, commit: CommitHash) -> Result<Option<u64>, TrackerError> {
        let place = self.get(Table::Hashes, &commit.0)?;
        place.map(|place| read_place(&place)).transpose()
    }

    /// Visits log and number of each commit from a place in the order of application on, with the
    /// place.
    fn visit_order(
        &self,
        from: u64,
        visit: &mut dyn FnMut(u64, LogId, u64) -> Result<ControlFlow<()>, TrackerError>,
    ) -> Result<(), TrackerError> {
        self.visit(Table::Order, &from.to_be_bytes(), &mut |place, key| {
            let (log, number) = read_key(key).ok_or_else(|| damaged("a commit key"))?;
            visit(read_place(place)?, log, number)
        })
    }

    /// Returns the commits that `theirs` lacks, in the order in which they were applied here, at
    /// most `limit`.
    fn commits_after(&self, theirs: &Frontier, limit: usize) -> Result<Vec<Sealed>, TrackerError> {
        let mut found: Vec<(LogId, u64)> = Vec::new();
        self.visit(Table::Order, &[], &mut |_, key| {
            let (log, number) = read_key(key).ok_or_else(|| damaged("a commit key"))?;
            if theirs.position(log).is_none_or(|position| position.number < number) {
                found.push((log, number));
            }
            let go_on = found.len() < limit;
            Ok(if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        found
            .into_iter()
            .map(|(log, number)| {
                let commit = self
                    .commit_at(log, number)?
                    .ok_or_else(|| damaged("a commit that is listed"))?;
                let position = Position { number, hash: commit.hash() };
                Ok(Sealed { log, position, commit })
            })
            .collect()
    }

    /// Returns the commits from a place in the order of application on, at most `limit`, each with its
    /// place. Places may be missing: of commits that do not count any more.
    fn commits_from(&self, place: u64, limit: usize) -> Result<Vec<(u64, Sealed)>, TrackerError> {
        let mut found: Vec<(u64, LogId, u64)> = Vec::new();
        self.visit_order(place, &mut |place, log, number| {
            found.push((place, log, number));
            let go_on = found.len() < limit;
            Ok(if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let sealed = found.into_iter().map(|(place, log, number)| {
            let commit = self.commit_at(log, number)?;
            let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
            let position = Position { number, hash: commit.hash() };
            Ok((place, Sealed { log, position, commit }))
        });
        sealed.collect()
    }

    /// Returns the commits that changed a document, with the place of each, in the order in which they were applied here.
    fn places_of(&self, document: DocumentKey) -> Result<Vec<(u64, LogId, u64)>, TrackerError> {
        let mut found = Vec::new();
        self.visit_prefix(Table::Touches, &document.0, &mut |touch, _| {
            let place = touch.get(document.0.len()..).unwrap_or_default();
            let key = self.get(Table::Order, place)?;
            let key = key.as_deref().and_then(read_key);
            let (log, number) = key.ok_or_else(|| damaged("a commit key"))?;
            found.push((read_place(place)?, log, number));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Returns the commits that changed a document, in the order in which they were applied here.
    fn commits_of(&self, document: DocumentKey) -> Result<Vec<(LogId, u64)>, TrackerError> {
        let places = self.places_of(document)?;
        Ok(places.into_iter().map(|(_, log, number)| (log, number)).collect())
    }

    /// Returns commits whose hash starts with these lower-case hex digits, at most `limit`, each
    /// with its log and number.
    fn commits_hashed(
        &self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<(CommitHash, LogId, u64)>, TrackerError> {
        let whole = &digits[..digits.len() / 2 * 2];
        let Ok(start) = HEXLOWER.decode(whole.as_bytes()) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        self.visit_prefix(Table::Hashes, &start, &mut |hash, place| {
            let hash = CommitHash(hash.try_into().map_err(|_| damaged("a commit's hash"))?);
            if hash.to_string().starts_with(digits) {
                let key = self.get(Table::Order, place)?;
                let key = key.as_deref().and_then(read_key);
                let (log, number) = key.ok_or_else(|| damaged("a commit key"))?;
                found.push((hash, log, number));
            }
            Ok(match found.len() < limit {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        Ok(found)
    }

    /// Returns the statements of the charter, in the order in which they were accepted.
    fn statements(&self) -> Result<Vec<Signed>, TrackerError> {
        let mut statements = Vec::new();
        self.visit(Table::Statements, &[], &mut |_, value| {
            statements.push(decode(value, "a statement")?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(statements)
    }

    /// Returns the charter that they make.
    fn charter(&self) -> Result<Arc<Charter>, TrackerError> {
        charters::charter(self)
    }
}

impl<T: Tables + ?Sized> Journal for T {}

impl Writing {
    /// Appends a commit, whose body is given decoded too, to its log and to the order of application.
    ///
    /// The signature of the commit before it is dropped, unless it is one of those that are kept: this
    /// one proves it, by its signature or by what [`Writing::put_rest`] is given.
    pub fn append_commit(&self, sealed: &Sealed, body: &Body) -> Result<(), TrackerError> {
        let Sealed { log, position, commit } = sealed;
        let key = commit_key(*log, position.number);
        let stored = (Bytes::new(&commit.header), Bytes::new(&commit.body));
        self.put(Table::Commits, &key, &encode(&stored)?)?;
        if let Some(signature) = &commit.signature {
            self.put(Table::Signatures, &key, signature)?;
        }
        let before = position.number - 1;
        if !before.is_multiple_of(SIGNATURE_EVERY) {
            self.remove(Table::Signatures, &commit_key(*log, before))?;
        }
        let place = match self.last(Table::Order, &[])? {
            Some((last, _)) => read_place(&last)?,
            None => 0,
        };
        self.put(Table::Order, &(place + 1).to_be_bytes(), &key)?;
        self.index_commit(place + 1, position.hash, body)?;
        self.put(Table::Frontier, &log.to_bytes(), &encode(position)?)
    }

    /// Keeps the signature of a commit that is here.
    pub fn put_signature(
        &self,
        log: LogId,
        number: u64,
        signature: &[u8],
    ) -> Result<(), TrackerError> {
        self.put(Table::Signatures, &commit_key(log, number), signature)
    }

    /// Keeps the headers that prove the last commit of a log, or forgets them.
    pub fn put_rest(&self, log: LogId, rest: Option<&Run>) -> Result<(), TrackerError> {
        match rest {
            Some(rest) => self.put(Table::Rests, &log.to_bytes(), &encode(rest)?),
            None => self.remove(Table::Rests, &log.to_bytes()),
        }
    }

    /// Remembers that a commit is void.
    pub fn put_void(&self, commit: CommitHash, void: &VoidCommit) -> Result<(), TrackerError> {
        self.put(Table::Voids, &commit.0, &encode(void)?)
    }

    /// Remembers that a commit is void that never counted here, unless there are
    /// [`VOIDS_PER_AGENT_MAX`] of its author already; tells whether it did.
    pub fn put_void_unseen(
        &self,
        commit: CommitHash,
        void: &VoidCommit,
    ) -> Result<bool, TrackerError> {
        let key = [META_VOIDS, &void.log.agent.0].concat();
        let known = match self.get(Table::Meta, &key)? {
            Some(bytes) => decode(&bytes, "how many commits of an agent are void")?,
            None => 0_u64,
        };
        if known >= VOIDS_PER_AGENT_MAX {
            return Ok(false);
        }
        self.put(Table::Meta, &key, &encode(&(known + 1))?)?;
        self.put_void(commit, void).map(|()| true)
    }

    /// Makes the tables anew that find commits by document and by hash, from the commits alone.
    pub fn index_commits(&self) -> Result<(), TrackerError> {
        self.remove_prefix(Table::Touches, &[])?;
        self.remove_prefix(Table::Hashes, &[])?;
        let mut places: Vec<(u64, Vec<u8>)> = Vec::new();
        self.visit(Table::Order, &[], &mut |place, key| {
            places.push((read_place(place)?, key.to_vec()));
            Ok(ControlFlow::Continue(()))
        })?;
        for (place, key) in places {
            let (log, number) = read_key(&key).ok_or_else(|| damaged("a commit key"))?;
            let commit = self.commit_at(log, number)?;
            let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
            self.index_commit(place, commit.hash(), &decode_body(&commit.body)?)?;
        }
        Ok(())
    }

    fn index_commit(&self, place: u64, hash: CommitHash, body: &Body) -> Result<(), TrackerError> {
        let place = place.to_be_bytes();
        for entry in &body.entries {
            let touch = [&entry.birth.key().0[..], &place].concat();
            self.put(Table::Touches, &touch, &[])?;
        }
        self.put(Table::Hashes, &hash.0, &place)
    }

    /// Appends a statement to the charter.
    pub fn append_statement(&self, signed: &Signed) -> Result<(), TrackerError> {
        if let Some(pending) = &self.pending {
            pending.note_statement();
        }
        self.has_stated.set(true);
        let number = self.len(Table::Statements)?;
        self.put(Table::Statements, &number.to_be_bytes(), &encode(signed)?)
    }
}

pub(super) fn commit_key(log: LogId, number: u64) -> Vec<u8> {
    let mut key = log.to_bytes().to_vec();
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn read_place(place: &[u8]) -> Result<u64, TrackerError> {
    Ok(u64::from_be_bytes(place.try_into().map_err(|_| damaged("the order of commits"))?))
}

fn read_key(key: &[u8]) -> Option<(LogId, u64)> {
    let (log, number) = key.split_at_checked(LogId::BYTES)?;
    Some((LogId::from_bytes(log)?, u64::from_be_bytes(number.try_into().ok()?)))
}
