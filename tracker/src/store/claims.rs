//! What this store knows of claims beside their records: which commit proves each, and when a beat
//! was last seen. Beats are this machine's own observations; nothing follows from them elsewhere.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::changes::{Outcome, PromiseNews};
use super::rows::{RowKey, damaged, decode, encode};
use super::tables::{Table, Tables, Writing};
use crate::claim::Sighting;
use crate::claim::beat::{SOURCES_MAX, Source, Turn};
use crate::id::{AgentId, CommitHash, DocumentKey, RecordHash};
use crate::interface::TrackerError;

/// The commit that carried a claim, and the issue that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The commit.
    pub commit: CommitHash,
    /// The document.
    pub document: DocumentKey,
}

/// Whose claim is watched, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The agent.
    pub agent: AgentId,
    /// Which of its workers.
    pub worker: String,
    /// The row of the issue.
    pub row: RowKey,
}

/// Something of which a beat or an end was seen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The claim, or its end.
    pub record: RecordHash,
    /// Whose it is; `None` for an end, and for a claim that an earlier version of this program noted.
    pub whose: Option<Whose>,
}

/// When a claim of another agent was last heard of, and whose it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Heard {
    seen: Sighting,
    agent: AgentId,
}

/// Who else is on the slate of a claim that holds an issue, and who of them promised not to claim that
/// until the claim ends or goes stale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises {
    /// The others on the slate; no more than a slate has.
    pub others: Vec<AgentId>,
    /// Those of them that promised.
    pub given: Vec<AgentId>,
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

    /// Returns when a beat of a claim that was made here was last seen, and whose it is.
    fn own_beat(&self, claim: RecordHash) -> Result<Option<(Sighting, Whose)>, TrackerError> {
        let Some(bytes) = self.get(Table::Beats, &claim.0)? else { return Ok(None) };
        let (seen, whose) = beat_of(&bytes)?;
        Ok(whose.map(|whose| (seen, whose)))
    }

    /// Returns when a beat of a claim of another agent, which holds an issue, was last seen here.
    fn heard_beat(&self, claim: RecordHash) -> Result<Option<Sighting>, TrackerError> {
        let heard = self.get(Table::Heard, &claim.0)?;
        let heard: Option<Heard> = heard.map(|bytes| decode(&bytes, "a beat")).transpose()?;
        Ok(heard.map(|heard| heard.seen))
    }

    /// Returns the claims of an agent, among those of others that hold issues, whose hash begins so.
    fn heard_starting(
        &self,
        start: &[u8],
        agent: AgentId,
    ) -> Result<Option<RecordHash>, TrackerError> {
        let mut found = None;
        self.visit_prefix(Table::Heard, start, &mut |claim, heard| {
            // Sources of frames stand among them.
            if claim.len() != size_of::<RecordHash>() {
                return Ok(ControlFlow::Continue(()));
            }
            let heard: Heard = decode(heard, "a beat")?;
            if heard.agent == agent {
                found = Some(hash_of(claim)?);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Returns of how many sources of an agent the newest frame is known.
    fn sources_of(&self, agent: AgentId) -> Result<usize, TrackerError> {
        let mut count = 0;
        self.visit_prefix(Table::Heard, &agent.0, &mut |_, _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// Returns who promised what of a claim; `None` of one that holds no issue.
    fn promises(&self, claim: RecordHash) -> Result<Option<Promises>, TrackerError> {
        self.get(Table::Promises, &claim.0)?.map(|bytes| decode(&bytes, "promises")).transpose()
    }

    /// Returns the claims that hold issues and whose hash begins so, of those on whose slate an agent is.
    fn slated_starting(
        &self,
        start: &[u8],
        agent: AgentId,
    ) -> Result<Vec<(RecordHash, Promises)>, TrackerError> {
        let mut found = Vec::new();
        self.visit_prefix(Table::Promises, start, &mut |claim, promises| {
            let promises: Promises = decode(promises, "promises")?;
            if promises.others.contains(&agent) {
                found.push((hash_of(claim)?, promises));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Returns everything of which a beat or an end was seen here.
    fn watched(&self) -> Result<Vec<Watched>, TrackerError> {
        let mut watched = Vec::new();
        self.visit(Table::Beats, &[], &mut |record, beat| {
            let (_, whose) = beat_of(beat)?;
            watched.push(Watched { record: hash_of(record)?, whose });
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

    /// Notes when a beat of a claim, or the end of one, was seen; of a claim of this agent also whose
    /// it is, so that its worker can be found without its issue.
    pub fn put_beat(
        &self,
        record: RecordHash,
        seen: Sighting,
        whose: Option<&Whose>,
    ) -> Result<(), TrackerError> {
        let mut bytes = encode(&seen)?;
        if let Some(whose) = whose {
            bytes.extend(encode(whose)?);
        }
        self.put(Table::Beats, &record.0, &bytes)
    }

    /// Tells whoever watches this store that the holder of a claim of its agent asked for a beat.
    pub fn note_beat(&self, claim: RecordHash, ttl_ms: u64) {
        if let Some(pending) = &self.pending {
            pending.note_beat(claim, ttl_ms);
        }
    }

    /// Returns which frame of a source was the newest that was heard.
    pub fn heard_turn(&self, source: Source) -> Result<Option<Turn>, TrackerError> {
        let turn = self.get(Table::Heard, &source_key(source))?;
        turn.map(|bytes| decode(&bytes, "the turn of a beat")).transpose()
    }

    /// Notes which frame of a source is the newest that was heard.
    pub fn put_heard_turn(&self, source: Source, turn: Turn) -> Result<(), TrackerError> {
        self.put(Table::Heard, &source_key(source), &encode(&turn)?)
    }

    /// Forgets turns of an agent beyond [`SOURCES_MAX`], but not that of one source.
    pub fn forget_sources(&self, agent: AgentId, but: Source) -> Result<(), TrackerError> {
        let mut known: Vec<(Turn, Vec<u8>)> = Vec::new();
        self.visit_prefix(Table::Heard, &agent.0, &mut |key, turn| {
            known.push((decode(turn, "the turn of a beat")?, key.to_vec()));
            Ok(ControlFlow::Continue(()))
        })?;
        let surplus = known.len().saturating_sub(SOURCES_MAX);
        let own = source_key(but);
        known.retain(|(_, key)| *key != own);
        known.sort();
        known.iter().take(surplus).try_for_each(|(_, key)| self.remove(Table::Heard, key))
    }

    /// Notes when a beat of a claim of another agent was seen, which holds an issue.
    pub fn put_heard(
        &self,
        claim: RecordHash,
        seen: Sighting,
        agent: AgentId,
    ) -> Result<(), TrackerError> {
        self.put(Table::Heard, &claim.0, &encode(&Heard { seen, agent })?)
    }

    /// Forgets when a beat of a claim of another agent was seen.
    pub fn remove_heard(&self, claim: RecordHash) -> Result<(), TrackerError> {
        self.remove(Table::Heard, &claim.0)
    }

    /// Notes who promised what of a claim that holds an issue.
    pub fn put_promises(&self, claim: RecordHash, promises: &Promises) -> Result<(), TrackerError> {
        self.put(Table::Promises, &claim.0, &encode(promises)?)
    }

    /// Forgets who promised what of a claim.
    pub fn remove_promises(&self, claim: RecordHash) -> Result<(), TrackerError> {
        self.remove(Table::Promises, &claim.0)
    }

    /// Tells whoever watches this store what became of claims in the change that was written last.
    /// It is worked out where somebody does.
    pub fn note_outcome(&self, outcome: impl FnOnce() -> Outcome) {
        if let Some(pending) = &self.pending {
            pending.add_outcome(outcome());
        }
    }

    /// Tells whoever watches this store what became of promises.
    pub fn note_promise(&self, news: PromiseNews) {
        if let Some(pending) = &self.pending {
            pending.note_promise(news);
        }
    }

    /// Forgets when a beat of a claim, or the end of one, was seen.
    pub fn remove_beat(&self, record: RecordHash) -> Result<(), TrackerError> {
        self.remove(Table::Beats, &record.0)
    }
}

fn beat_of(bytes: &[u8]) -> Result<(Sighting, Option<Whose>), TrackerError> {
    let (seen, rest) =
        postcard::take_from_bytes::<Sighting>(bytes).map_err(|_| damaged("a beat"))?;
    let whose = if rest.is_empty() { None } else { Some(decode(rest, "a beat")?) };
    Ok((seen, whose))
}

fn source_key((log, kind): Source) -> Vec<u8> {
    let mut key = log.to_bytes().to_vec();
    key.push(kind as u8);
    key
}

fn hash_of(bytes: &[u8]) -> Result<RecordHash, TrackerError> {
    Ok(RecordHash(bytes.try_into().map_err(|_| damaged("the hash of a claim"))?))
}

fn proof_of(bytes: &[u8]) -> Result<Proof, TrackerError> {
    let (commit, document) = bytes.split_at_checked(32).ok_or_else(|| damaged("a proof"))?;
    let array = |bytes: &[u8]| bytes.try_into().map_err(|_| damaged("a proof"));
    Ok(Proof { commit: CommitHash(array(commit)?), document: DocumentKey(array(document)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Uptime;
    use crate::id::ListId;
    use crate::store::{Founding, Store};

    #[test]
    fn a_beat_that_says_nothing_of_its_claim_is_read_like_one_that_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.redb");
        let (name, prefix) = ("test".to_owned(), "T".to_owned());
        let founding = Founding { list: ListId([7; 32]), name, prefix, statement: None };
        Store::create(&path, &founding).unwrap();
        let writing = Store::open_to_write(&path).unwrap().write().unwrap();
        let seen = Sighting(Uptime { boot: [3; 16], ms: 9 });
        let (old, new) = (RecordHash([1; 32]), RecordHash([2; 32]));
        writing.put(Table::Beats, &old.0, &encode(&seen).unwrap()).unwrap();
        let (agent, worker, row) = (AgentId([4; 32]), "w".to_owned(), vec![5; 9]);
        let whose = Whose { agent, worker, row };
        writing.put_beat(new, seen, Some(&whose)).unwrap();
        assert_eq!(writing.seen_beat(old).unwrap(), Some(seen));
        assert_eq!(writing.seen_beat(new).unwrap(), Some(seen));
        let watched = writing.watched().unwrap();
        let expected =
            [Watched { record: old, whose: None }, Watched { record: new, whose: Some(whose) }];
        assert_eq!(watched, expected);
    }
}
