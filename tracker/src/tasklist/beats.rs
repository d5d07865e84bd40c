//! Beats between machines: frames that say which claims of this store are worked on, and what is made of
//! those of others. When they are sent, and to whom, is the node's.

use std::ops::ControlFlow;

use super::watching::{Outlook, slate_of_claim};
use super::{LocalTracker, names};
use crate::claim::beat::{Beat, ClaimTag, Kind, SignedBeat, Turn, tag};
use crate::claim::{Sighting, Tree, Uptime};
use crate::document::Content;
use crate::id::{AgentId, RecordHash};
use crate::interface::report::Row;
use crate::interface::{Shown, TrackerError};
use crate::store::{Claims, Meta, PromiseNews, Promises, Rows, Whose, Writing, row_key};

impl LocalTracker {
    /// Returns the number of this start, which no frame that was ever sent before has: it is on disk when
    /// this returns.
    pub fn start_beating(&mut self) -> Result<u64, TrackerError> {
        let host = self.host()?;
        // A store that was put back does not use a number again.
        let at_least = u64::try_from((host.clock)().0).unwrap_or(0);
        let writing = self.store.write()?;
        let start = writing.next_start(at_least)?;
        writing.commit()?;
        Ok(start)
    }

    /// Returns a signed frame of a kind about these claims; `None` in a store that has never written anything.
    pub fn beat_of(
        &self,
        turn: Turn,
        kind: Kind,
        claims: &[RecordHash],
    ) -> Result<Option<SignedBeat>, TrackerError> {
        let reading = self.store.read()?;
        let Some(log) = reading.own_log()? else { return Ok(None) };
        let claims = claims.iter().copied().map(tag).collect();
        let beat = Beat { list: reading.list_id()?, log, turn, kind, claims };
        Ok(Some(SignedBeat::new(&beat, self.host()?.signer.as_ref())?))
    }

    /// Returns the claims of others on whose slates this agent is, and which hold issues here: those that it
    /// has promised not to take from them.
    pub fn promised(&self) -> Result<Vec<RecordHash>, TrackerError> {
        let own = self.host()?.signer.agent();
        let slated = self.store.read()?.slated_starting(&[], own)?;
        Ok(slated.into_iter().map(|(claim, _)| claim).collect())
    }

    /// Returns the claims that were made on an issue, and what became of them.
    pub fn claim_tree(&self, name: &str) -> Result<Tree, TrackerError> {
        let reading = self.store.read()?;
        let row = names::row(&reading, &names::resolve(&reading, name)?)?;
        Ok(names::document(&reading, row.key)?.tree(None))
    }

    /// Returns of how many sources of an agent it is known which frame was the newest.
    pub fn sources_heard(&self, agent: AgentId) -> Result<usize, TrackerError> {
        self.store.read()?.sources_of(agent)
    }

    /// Returns the issue that a claim holds; `None` where it holds none.
    pub fn held_by(&self, claim: RecordHash) -> Result<Option<Shown>, TrackerError> {
        let reading = self.store.read()?;
        let Some(proof) = reading.proof(claim)? else { return Ok(None) };
        let row_key = row_key(names::document(&reading, proof.document)?.birth());
        let is_held = |row: &Row| row.held.as_ref().is_some_and(|held| held.claim == claim);
        if !is_held(&names::row(&reading, &row_key)?) {
            return Ok(None);
        }
        names::shown(&reading, &row_key, self.outlook()).map(Some)
    }

    /// Returns the claims that hold issues; has what others promise of them kept from now on, where an earlier
    /// version of this program did not.
    pub fn watch_held(&mut self) -> Result<Vec<RecordHash>, TrackerError> {
        let outlook = self.outlook();
        let (mut held, mut unwatched) = (Vec::new(), Vec::new());
        let reading = self.store.read()?;
        reading.visit_rows(None, &mut |_, row| {
            if let Some(by) = &row.held {
                held.push(by.claim);
                if reading.promises(by.claim)?.is_none() {
                    unwatched.push(row);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !unwatched.is_empty() {
            let writing = self.store.write()?;
            for row in unwatched {
                let content = names::document(&reading, row.key)?.read();
                watch(&writing, &content, &row, &outlook)?;
            }
            writing.commit()?;
        }
        Ok(held)
    }

    /// Notes what a frame of another agent says, which was verified; returns of how many of its claims it is
    /// of use here. One that came before is of none.
    pub fn hear(&mut self, beat: &Beat) -> Result<usize, TrackerError> {
        let seen = Sighting((self.host()?.uptime)());
        let writing = self.store.write()?;
        let source = (beat.log, beat.kind);
        if writing.heard_turn(source)?.is_some_and(|turn| turn >= beat.turn) {
            // It came again, after a restart.
            return Ok(0);
        }
        writing.put_heard_turn(source, beat.turn)?;
        writing.forget_sources(beat.log.agent, source)?;
        let mut heard = 0;
        for tag in &beat.claims {
            heard += match beat.kind {
                Kind::Worked => note_worked(&writing, tag, beat.log.agent, seen)?,
                Kind::Promised => note_promised(&writing, tag, beat.log.agent)?,
            };
        }
        writing.commit()?;
        Ok(heard)
    }
}

fn note_worked(
    writing: &Writing,
    tag: &ClaimTag,
    holder: AgentId,
    seen: Sighting,
) -> Result<usize, TrackerError> {
    // One that is not here yet counts as heard when it comes.
    let claim = writing.heard_starting(tag, holder)?;
    claim.map_or(Ok(0), |claim| writing.put_heard(claim, seen, holder).map(|()| 1))
}

fn note_promised(writing: &Writing, tag: &ClaimTag, agent: AgentId) -> Result<usize, TrackerError> {
    let mut count = 0;
    for (claim, mut promises) in writing.slated_starting(tag, agent)? {
        if !promises.given.contains(&agent) {
            promises.given.push(agent);
            writing.put_promises(claim, &promises)?;
            writing.note_promise(PromiseNews::Heard(claim));
            count += 1;
        }
    }
    Ok(count)
}

/// Keeps what is known of the claim that holds an issue, and of no other of that issue: when one of another
/// agent was heard, and who promised what.
pub(super) fn watch(
    writing: &Writing,
    content: &Content,
    row: &Row,
    outlook: &Outlook,
) -> Result<(), TrackerError> {
    let tree = &content.tree;
    for claim in tree.claims() {
        let Some((record, made)) = tree.claim(claim) else { continue };
        let holds = row.held.as_ref().is_some_and(|held| held.claim == claim);
        watch_promises(writing, tree, claim, holds, outlook)?;
        if Some(record.by) == outlook.agent {
            // One that this store did not make, as after a restore, may have been silent for any time.
            if holds && writing.seen_beat(claim)?.is_none() {
                let (row, worker) = (row_key(&content.issue.birth), made.worker.clone());
                let whose = Whose { agent: record.by, worker, row };
                writing.put_beat(claim, Sighting(Uptime::default()), Some(&whose))?;
            }
            continue;
        }
        match (holds, writing.heard_beat(claim)?.is_some()) {
            (true, false) => writing.put_heard(claim, Sighting(outlook.uptime), record.by)?,
            (false, true) => writing.remove_heard(claim)?,
            _ => {}
        }
    }
    Ok(())
}

fn watch_promises(
    writing: &Writing,
    tree: &Tree,
    claim: RecordHash,
    holds: bool,
    outlook: &Outlook,
) -> Result<(), TrackerError> {
    let Some((record, _)) = tree.claim(claim) else { return Ok(()) };
    match (holds, writing.promises(claim)?.is_some()) {
        (true, false) => {
            let mut others = slate_of_claim(tree, claim);
            others.retain(|agent| *agent != record.by);
            if outlook.agent.is_some_and(|own| others.contains(&own)) {
                // It is stored here now, and who knows of a claim does not claim: that is the promise.
                writing.note_promise(PromiseNews::Given(claim));
            }
            writing.put_promises(claim, &Promises { others, given: Vec::new() })
        }
        (false, true) => {
            writing.note_promise(PromiseNews::Over(claim));
            writing.remove_promises(claim)
        }
        _ => Ok(()),
    }
}
