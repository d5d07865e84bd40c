//! The tree of claims, and who holds the issue: a pure function of records.
//!
//! No time and no beat enters: times can be forged, and beats arrive when they like. Replicas with
//! the same records name the same winner, in whatever order these came.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Act, Claim, End, How, Record, Ruling, Shard, Verdict};
use super::slate;
use crate::id::RecordHash;

/// What the records of an issue come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A maintainer ended the issue.
    Ruled(Verdict),
    /// This claim was handed off, and waits for a verdict.
    Review(RecordHash),
    /// This claim is live.
    Held(RecordHash),
    /// Nobody holds it: the stored state counts.
    Open,
}

/// What following a claim down its tree leads to, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    HandedOff,
    Live,
    Ended,
}

/// The records of one issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    issue: String,
    records: BTreeMap<RecordHash, Record>,
    /// The claims by parent; first ones under `None`.
    children: BTreeMap<Option<RecordHash>, Vec<RecordHash>>,
    /// The claims, each after its parent, with its depth from 1.
    order: Vec<(RecordHash, u32)>,
    /// What each claim of the tree leads to.
    resolved: BTreeMap<RecordHash, RecordHash>,
    /// The claims that are over, each with the end that counts for what comes after it.
    ended: BTreeMap<RecordHash, RecordHash>,
    /// Standing handoffs by claim: the end records, sorted.
    handoffs: BTreeMap<RecordHash, Vec<RecordHash>>,
    contested: BTreeSet<RecordHash>,
    /// Rulings and reopens that no other answers.
    verdicts: Vec<RecordHash>,
    winner: Option<RecordHash>,
}

impl Tree {
    /// Returns what some records of the issue with this id come to. A record that speaks of one that
    /// is not among them has no effect.
    pub fn of(issue: &str, records: impl IntoIterator<Item = Record>) -> Self {
        Self::of_hashed(issue, records.into_iter().map(|record| (record.hash(), record)).collect())
    }

    /// Returns what these records come to together with some more.
    pub fn with<'a>(&self, issue: &str, more: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut records = self.records.clone();
        records.extend(more.into_iter().map(|record| (record.hash(), record.clone())));
        Self::of_hashed(issue, records)
    }

    /// Returns what records come to whose hashes are known.
    pub fn of_hashed(issue: &str, records: BTreeMap<RecordHash, Record>) -> Self {
        let mut tree = Self { issue: issue.to_owned(), records, ..Self::default() };
        if tree.records.is_empty() {
            return tree;
        }
        tree.index();
        tree.resolve();
        tree
    }

    /// Returns every record by its hash.
    pub fn records(&self) -> &BTreeMap<RecordHash, Record> {
        &self.records
    }

    /// Tells whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the claim that counts, live or over; `None` where there was none.
    pub fn winner(&self) -> Option<RecordHash> {
        self.winner
    }

    /// Returns what the records come to.
    pub fn phase(&self) -> Phase {
        if let Some(ruling) = self.ruling() {
            return Phase::Ruled(ruling.verdict);
        }
        match self.winner {
            Some(claim) if self.is_handed_off(claim) => Phase::Review(claim),
            Some(claim) if self.is_live(claim) => Phase::Held(claim),
            _ => Phase::Open,
        }
    }

    /// Returns the id of the issue.
    pub fn issue(&self) -> &str {
        &self.issue
    }

    /// Returns the claim that holds the issue: the winner, if it is live and nobody ended the issue.
    pub fn holder(&self) -> Option<RecordHash> {
        match self.phase() {
            Phase::Held(claim) => Some(claim),
            _ => None,
        }
    }

    /// Returns the terminal ruling that counts.
    pub fn ruling(&self) -> Option<&Ruling> {
        self.verdicts.first().and_then(|hash| match &self.records.get(hash)?.act {
            Act::Ruling(ruling) => Some(ruling),
            _ => None,
        })
    }

    /// Returns the rulings and reopens that no other answers, the one that counts first.
    pub fn verdicts(&self) -> &[RecordHash] {
        &self.verdicts
    }

    /// Returns a claim with the record that makes it.
    pub fn claim(&self, hash: RecordHash) -> Option<(&Record, &Claim)> {
        let record = self.records.get(&hash)?;
        record.claim().map(|claim| (record, claim))
    }

    /// Returns the claims that the tree holds, each after the one above it.
    pub fn claims(&self) -> impl Iterator<Item = RecordHash> {
        self.order.iter().map(|(hash, _)| *hash)
    }

    /// Returns the number of claims from the root to this one; 0 for what is no claim of the tree.
    ///
    /// It orders one branch only: claims of two branches are told apart by their hash.
    pub fn fence(&self, claim: RecordHash) -> u32 {
        self.order.iter().find(|(hash, _)| *hash == claim).map_or(0, |(_, depth)| *depth)
    }

    /// Tells whether no record ends a claim.
    pub fn is_live(&self, claim: RecordHash) -> bool {
        self.resolved.contains_key(&claim) && !self.ended.contains_key(&claim)
    }

    /// Tells whether a claim was handed off, and that handoff was not reopened.
    pub fn is_handed_off(&self, claim: RecordHash) -> bool {
        self.handoffs.contains_key(&claim)
    }

    /// Returns the standing handoffs of a claim: the hash of each end record, and its JSON.
    pub fn handoffs_of(&self, claim: RecordHash) -> Vec<(RecordHash, &str)> {
        let ends = self.handoffs.get(&claim).map(Vec::as_slice).unwrap_or_default();
        let json = |hash: &RecordHash| Some((*hash, handoff_json(self.records.get(hash)?)?));
        ends.iter().filter_map(json).collect()
    }

    /// Returns every standing handoff, wherever in the tree.
    pub fn standing_handoffs(&self) -> Vec<(RecordHash, &str)> {
        self.handoffs.keys().flat_map(|claim| self.handoffs_of(*claim)).collect()
    }

    /// Tells whether the holder of the claim that this one took over contested it.
    pub fn is_contested(&self, claim: RecordHash) -> bool {
        self.contested.contains(&claim)
    }

    /// Returns the place of a claim's agent in the slate that the claim names.
    pub fn slot(&self, claim: RecordHash) -> u8 {
        let slot = |(record, claim): (&Record, &Claim)| match &self.records.get(&claim.shard)?.act {
            Act::Shard(shard) => Some(slate::slot(&shard.slate, record.by)),
            _ => None,
        };
        self.claim(claim).and_then(slot).unwrap_or(slate::SLOT_OTHER)
    }

    /// Returns the shard record that counts for new claims: the highest epoch, then the smaller hash.
    pub fn shard(&self) -> Option<(RecordHash, &Shard)> {
        let shards = self.records.iter().filter_map(|(hash, record)| match &record.act {
            Act::Shard(shard) => Some((*hash, shard)),
            _ => None,
        });
        shards.min_by_key(|(hash, shard)| (std::cmp::Reverse(shard.epoch), *hash))
    }

    /// Returns the record that ended a claim which counts for what comes after it: a handoff before
    /// other ends, then the smaller hash. The claim is live where there is none.
    pub fn end_of(&self, claim: RecordHash) -> Option<RecordHash> {
        self.ended.get(&claim).copied()
    }

    /// Tells whether a record is one that ended a claim.
    pub fn ended_by(&self, claim: RecordHash, end: RecordHash) -> bool {
        self.records.get(&end).is_some_and(|record| self.ends(record) == Some(claim))
    }

    /// Returns a reopen that answers an end of a claim, or a ruling that ended it: the smallest hash.
    pub fn reopened(&self, claim: RecordHash) -> Option<RecordHash> {
        let answers = |record: &Record| match &record.act {
            Act::Reopen(reopen) => reopen.answers.iter().any(|end| self.ended_by(claim, *end)),
            _ => false,
        };
        self.records.iter().find(|(_, record)| answers(record)).map(|(hash, _)| *hash)
    }

    fn index(&mut self) {
        for (hash, record) in &self.records {
            if let Some(claim) = record.claim() {
                self.children.entry(claim.origin.parent()).or_default().push(*hash);
            }
        }
        let mut open: Vec<(RecordHash, u32)> =
            self.children.get(&None).into_iter().flatten().map(|hash| (*hash, 1)).collect();
        while let Some((hash, depth)) = open.pop() {
            self.order.push((hash, depth));
            self.resolved.insert(hash, hash);
            let followers = self.children.get(&Some(hash)).into_iter().flatten();
            open.extend(followers.map(|hash| (*hash, depth + 1)));
        }
        let answered = self.answered();
        for (hash, record) in &self.records {
            let Some(claim) = self.ends(record) else { continue };
            // The records come by their hash, so the first of its kind is the smallest.
            let before = self.ended.get(&claim).and_then(|end| self.records.get(end));
            let is_handoff = |record: &Record| handoff_json(record).is_some();
            if before.is_none_or(|before| is_handoff(record) && !is_handoff(before)) {
                self.ended.insert(claim, *hash);
            }
            if handoff_json(record).is_some() && !answered.contains(hash) {
                self.handoffs.entry(claim).or_default().push(*hash);
            }
        }
        for record in self.records.values() {
            if let Act::Contest { takeover } = record.act
                && self.resolved.contains_key(&takeover)
                && let Some((_, claim)) = self.claim(takeover)
                && let super::record::Origin::Takeover(taken) = claim.origin
                && self.claim(taken).is_some_and(|(taken, _)| taken.by == record.by)
            {
                self.contested.insert(takeover);
            }
        }
        let is_verdict = |record: &Record| matches!(record.act, Act::Ruling(_) | Act::Reopen(_));
        let mut verdicts: Vec<RecordHash> = self
            .records
            .iter()
            .filter(|(hash, record)| is_verdict(record) && !answered.contains(*hash))
            .map(|(hash, _)| *hash)
            .collect();
        verdicts.sort_by_key(|hash| (matches!(self.records[hash].act, Act::Reopen(_)), *hash));
        self.verdicts = verdicts;
    }

    /// Returns the claim of the tree that a record ends, if it may.
    fn ends(&self, record: &Record) -> Option<RecordHash> {
        let (claim, is_by_holder) = match &record.act {
            Act::End(End { claim, how, .. }) => (*claim, *how != How::Forced),
            Act::Ruling(ruling) => (ruling.ends?, false),
            _ => return None,
        };
        let (made, _) = self.claim(claim)?;
        let may = self.resolved.contains_key(&claim) && (!is_by_holder || made.by == record.by);
        may.then_some(claim)
    }

    /// Returns the records that a ruling or a reopen answers.
    fn answered(&self) -> BTreeSet<RecordHash> {
        let answers = |record: &Record| match &record.act {
            Act::Reopen(reopen) => reopen.answers.clone(),
            Act::Ruling(ruling) => ruling.answers.clone(),
            _ => Vec::new(),
        };
        let mut answered = BTreeSet::new();
        for record in self.records.values() {
            let may_answer = |hash: &RecordHash| match self.records.get(hash).map(|r| &r.act) {
                Some(Act::Ruling(_) | Act::Reopen(_)) => true,
                Some(Act::End(_)) => matches!(record.act, Act::Reopen(_)),
                _ => false,
            };
            answered.extend(answers(record).into_iter().filter(may_answer));
        }
        answered
    }

    /// Works out what each claim leads to, followers before what they follow.
    fn resolve(&mut self) {
        let order: Vec<RecordHash> = self.claims().collect();
        for claim in order.into_iter().rev() {
            let leads_to = self.leads_to(claim);
            self.resolved.insert(claim, leads_to);
        }
        let best = self.best(self.followers(None));
        self.winner = best.and_then(|best| self.resolved.get(&best).copied());
    }

    /// Returns what a claim leads to, once that is known of its followers.
    fn leads_to(&self, claim: RecordHash) -> RecordHash {
        if self.is_handed_off(claim) {
            return claim;
        }
        let followers = self.followers(Some(claim));
        let counts = |hash: &RecordHash| {
            !self.is_contested(*hash) || self.outcome(*hash) == Outcome::HandedOff
        };
        let valid: Vec<RecordHash> = followers.iter().copied().filter(counts).collect();
        let through = |best: RecordHash| self.resolved.get(&best).copied();
        if let Some(best) = self.best(&valid).and_then(through) {
            return best;
        }
        if !self.ended.contains_key(&claim) {
            return claim;
        }
        self.best(followers).and_then(through).unwrap_or(claim)
    }

    fn followers(&self, parent: Option<RecordHash>) -> &[RecordHash] {
        self.children.get(&parent).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the best of rivals: by what they lead to, then uncontested ones, then slot, distance
    /// and hash of the rival itself.
    fn best(&self, rivals: &[RecordHash]) -> Option<RecordHash> {
        if let [only] = rivals {
            return Some(*only);
        }
        let rank = |hash: &RecordHash| {
            let agent = self.records.get(hash).map(|record| record.by);
            let distance = agent.map(|agent| slate::distance(&self.issue, agent));
            (self.outcome(*hash), self.is_contested(*hash), self.slot(*hash), distance, *hash)
        };
        rivals.iter().copied().min_by_key(rank)
    }

    /// Returns the claim that a claim leads to.
    pub(super) fn leaf(&self, claim: RecordHash) -> RecordHash {
        self.resolved.get(&claim).copied().unwrap_or(claim)
    }

    fn outcome(&self, claim: RecordHash) -> Outcome {
        let leaf = self.leaf(claim);
        if self.is_handed_off(leaf) {
            Outcome::HandedOff
        } else if self.ended.contains_key(&leaf) {
            Outcome::Ended
        } else {
            Outcome::Live
        }
    }
}

/// Returns the JSON of the handoff that a record is.
pub fn handoff_json(record: &Record) -> Option<&str> {
    match &record.act {
        Act::End(End { how: How::HandedOff(json), .. }) => Some(json),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
