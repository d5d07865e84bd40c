//! What this store knows of claims beside their records: which commit proves each, and when a beat
//! was last seen. Beats are this machine's own observations; nothing follows from them elsewhere.

use std::ops::ControlFlow;

use super::rows::{damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::claim::Sighting;
use crate::id::{CommitHash, DocumentKey, RecordHash};
use crate::interface::TrackerError;

/// The commit that carried a claim, and the issue that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The commit.
    pub commit: CommitHash,
    /// The document.
    pub document: DocumentKey,
}

/// Reading what is known of claims.
pub trait Claims: Tables {
    /// Returns what proves a claim.
    fn proof(&self, claim: RecordHash) -> Result<Option<Proof>, TrackerError> {
        self.get(Table::Proofs, &claim.0)?.map(|bytes| proof_of(&bytes)).transpose()
    }

    /// Returns the claims whose hash starts with these bytes, at most `limit`.
    fn claims_starting(
        &self,
        start: &[u8],
        limit: usize,
    ) -> Result<Vec<(RecordHash, Proof)>, TrackerError> {
        let mut found = Vec::new();
        self.visit_prefix(Table::Proofs, start, &mut |claim, proof| {
            found.push((hash_of(claim)?, proof_of(proof)?));
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// Returns when a beat of a claim, or the end of one, was last seen here.
    fn seen_beat(&self, record: RecordHash) -> Result<Option<Sighting>, TrackerError> {
        self.get(Table::Beats, &record.0)?.map(|bytes| decode(&bytes, "a beat")).transpose()
    }

    /// Returns everything of which a beat or an end was seen here.
    fn watched(&self) -> Result<Vec<RecordHash>, TrackerError> {
        let mut watched = Vec::new();
        self.visit(Table::Beats, &[], &mut |record, _| {
            watched.push(hash_of(record)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(watched)
    }
}

impl<T: Tables + ?Sized> Claims for T {}

impl Writing {
    /// Notes which commit proves a claim: of several that carried it, the one with the smallest hash,
    /// in whatever order they came.
    pub fn put_proof(&self, claim: RecordHash, proof: Proof) -> Result<(), TrackerError> {
        if self.proof(claim)?.is_some_and(|known| known.commit <= proof.commit) {
            return Ok(());
        }
        self.put(Table::Proofs, &claim.0, &[proof.commit.0, proof.document.0].concat())
    }

    /// Notes when a beat of a claim, or the end of one, was seen.
    pub fn put_beat(&self, record: RecordHash, seen: Sighting) -> Result<(), TrackerError> {
        self.put(Table::Beats, &record.0, &encode(&seen)?)
    }

    /// Forgets when a beat of a claim, or the end of one, was seen.
    pub fn remove_beat(&self, record: RecordHash) -> Result<(), TrackerError> {
        self.remove(Table::Beats, &record.0)
    }
}

fn hash_of(bytes: &[u8]) -> Result<RecordHash, TrackerError> {
    Ok(RecordHash(bytes.try_into().map_err(|_| damaged("the hash of a claim"))?))
}

fn proof_of(bytes: &[u8]) -> Result<Proof, TrackerError> {
    let (commit, document) = bytes.split_at_checked(32).ok_or_else(|| damaged("a proof"))?;
    let array = |bytes: &[u8]| bytes.try_into().map_err(|_| damaged("a proof"));
    Ok(Proof { commit: CommitHash(array(commit)?), document: DocumentKey(array(document)?) })
}
