//! Beats between machines: frames that say which claims of this store are worked on, and what is made of
//! those of others. When they are sent, and to whom, is the node's.

use super::LocalTracker;
use super::watching::Outlook;
use crate::claim::Sighting;
use crate::claim::beat::{Beat, SignedBeat, Turn, tag};
use crate::document::Content;
use crate::id::RecordHash;
use crate::interface::TrackerError;
use crate::interface::report::Row;
use crate::store::{Claims, Meta, Writing};

impl LocalTracker {
    /// Returns the number of this start, which no frame that was ever sent before has: it is on disk when
    /// this returns.
    pub fn start_beating(&mut self) -> Result<u64, TrackerError> {
        let writing = self.store.write()?;
        let start = writing.next_start()?;
        writing.commit()?;
        Ok(start)
    }

    /// Returns a signed frame that says that these claims are worked on; `None` in a store that has never
    /// written anything.
    pub fn beat_of(
        &self,
        turn: Turn,
        claims: &[RecordHash],
    ) -> Result<Option<SignedBeat>, TrackerError> {
        let reading = self.store.read()?;
        let Some(log) = reading.own_log()? else { return Ok(None) };
        let claims = claims.iter().copied().map(tag).collect();
        let beat = Beat { list: reading.list_id()?, log, turn, claims };
        Ok(Some(SignedBeat::new(&beat, self.host()?.signer.as_ref())?))
    }

    /// Notes that claims were heard of now, by a frame of their agent that was verified; returns how many of
    /// them hold an issue here.
    pub fn hear(&mut self, beat: &Beat) -> Result<usize, TrackerError> {
        let seen = Sighting((self.host()?.uptime)());
        let writing = self.store.write()?;
        if writing.heard_turn(beat.log)?.is_some_and(|turn| turn >= beat.turn) {
            // It came again, after a restart.
            return Ok(0);
        }
        writing.put_heard_turn(beat.log, beat.turn)?;
        let mut heard = 0;
        for tag in &beat.claims {
            // One that is not here yet counts as heard when it comes.
            if let Some(claim) = writing.heard_starting(tag, beat.log.agent)? {
                writing.put_heard(claim, seen, beat.log.agent)?;
                heard += 1;
            }
        }
        writing.commit()?;
        Ok(heard)
    }
}

/// Watches the claim of another agent that holds an issue, from when it is first seen here, and no other of
/// that issue.
pub(super) fn watch_others(
    writing: &Writing,
    content: &Content,
    row: &Row,
    outlook: Outlook,
) -> Result<(), TrackerError> {
    for (hash, record) in content.tree.records() {
        if record.claim().is_none() || Some(record.by) == outlook.agent {
            continue;
        }
        let holds = row.held.as_ref().is_some_and(|held| held.claim == *hash);
        match (holds, writing.heard_beat(*hash)?.is_some()) {
            (true, false) => writing.put_heard(*hash, Sighting(outlook.uptime), record.by)?,
            (false, true) => writing.remove_heard(*hash)?,
            _ => {}
        }
    }
    Ok(())
}
