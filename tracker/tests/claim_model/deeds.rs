//! What agents may do, what they write by it, and what has to come of it for those who did it.

use std::sync::Arc;

use x0x_tracker::claim::Record;
use x0x_tracker::claim::record::{Act, Claim, End, How, Origin, Reopen, Ruling, Verdict};
use x0x_tracker::claim::rules::Fate;
use x0x_tracker::claim::tree::Phase;
use x0x_tracker::id::RecordHash;
use x0x_tracker::testing::claims::{TTL_MS, record, shard};

use crate::breach::{Breach, Rule};
use crate::judge::{Facts, Id, Judge, Outcome, Try, sorted};

/// What an agent does with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It claims the issue, or takes it over: any claim of another counts as stale at any time.
    Claim,
    /// It says that it never lapsed.
    Contest(Id),
    /// It is told that it lost, and writes so.
    Abandon(Id),
    HandOff(Id),
    Release(Id),
    /// It is told that the issue is over, and writes so.
    Settle(Id),
    /// A maintainer ends a claim.
    Force,
    /// A maintainer sends back what was handed off or ruled.
    Reopen,
    /// A maintainer says that the issue is done.
    Rule,
    /// A maintainer draws the slate anew.
    Reshard,
    /// Its workers are gone; what it wrote is there.
    Crash,
    /// Its workers are gone, and its disk is that of an earlier moment, with so many entries of its log.
    Rollback(u8),
    /// A worker goes on with a claim.
    Resume(Id),
    /// What it knows breaks a promise.
    Despair(Breach),
}

/// What has to come about in a search that is worth the name. The first are of one deed, and an outcome
/// has a bit for each; the last are of a whole state.
pub const SIGHTS: [&str; 12] = [
    "rivals",
    "a takeover of a takeover",
    "a loser that gives up",
    "a contest that wins",
    "work that was sent back and handed off again",
    "a claim that a maintainer ends",
    "a claim under a slate that was drawn anew",
    "a ruling that ends a claim",
    "a claim of an issue that was opened again",
    "two workers that believe at once",
    "a worker that goes on after a crash",
    "a disk that goes back",
];

impl Judge {
    /// Returns what comes of a deed of an agent that writes this log and knows these records.
    pub fn outcome(
        &self,
        known: &dyn Fn() -> Vec<Id>,
        facts: &Facts,
        by: (u8, u8),
        deed: Deed,
    ) -> Arc<Outcome> {
        let key = (by.0, by.1, deed);
        let found = |tried: &[(Try, Arc<Outcome>)]| {
            tried.iter().find(|(other, _)| *other == key).map(|(_, outcome)| outcome.clone())
        };
        if let Some(outcome) = found(&facts.tried.lock().unwrap()) {
            return outcome;
        }
        let outcome = Arc::new(self.come_of(&known(), facts, by, deed));
        facts.tried.lock().unwrap().push((key, outcome.clone()));
        outcome
    }

    fn come_of(&self, known: &[Id], facts: &Facts, by: (u8, u8), deed: Deed) -> Outcome {
        let mut records = self.written(by, deed, facts);
        let mut broken = Vec::new();
        if records.is_empty() {
            return Outcome { records, broken, sights: 0 };
        }
        if !self.fits(known, &records) {
            broken.push(Breach::Refused);
        }
        if deed == Deed::Claim && records.last().is_some_and(|claim| known.contains(claim)) {
            broken.push(Breach::FenceOrToken);
        }
        let after = self.facts_with(known, &records);
        broken.extend(after.broken.iter().copied());
        let is_good = self.has_effect(deed, &records, facts, &after);
        if !is_good || (deed == Deed::Claim && !self.contest_helps(known, &records, facts)) {
            broken.push(Breach::NoEffect);
        }
        if let Deed::Abandon(claim) = deed {
            // To whom a claim is abandoned decides nothing, so histories that differ in it are one.
            records = self.written(by, Deed::Release(claim), facts);
            let other = self.facts_with(known, &records);
            if (other.phase, other.winner) != (after.phase, after.winner) {
                broken.push(Breach::NoEffect);
            }
        }
        let sights = sights(by.0, deed, facts, &after);
        Outcome { records, broken, sights }
    }

    /// Returns the records of a deed.
    pub fn written(&self, by: (u8, u8), deed: Deed, facts: &Facts) -> Vec<Id> {
        let act = |act: Act| vec![self.id(record(by.0, act))];
        let end = |claim: RecordHash, how| {
            act(Act::End(End { claim, how, reason: None, retry_after_ms: None }))
        };
        match deed {
            Deed::Claim => self.claimed(by, facts),
            Deed::Contest(claim) => {
                let takeovers = facts.contestable[&claim].iter();
                takeovers.flat_map(|takeover| act(Act::Contest { takeover: *takeover })).collect()
            }
            Deed::Abandon(_) if self.lacks(Rule::LosersAbandon) => Vec::new(),
            Deed::Abandon(claim) => match facts.fates[&claim] {
                Fate::Lost(to) => end(self.hash(claim), How::Abandoned { to }),
                _ => Vec::new(),
            },
            Deed::HandOff(claim) => end(self.hash(claim), How::HandedOff("{}".to_owned())),
            Deed::Release(claim) | Deed::Settle(claim) => end(self.hash(claim), How::Released),
            Deed::Force => {
                facts.holder.map(|claim| end(self.hash(claim), How::Forced)).unwrap_or_default()
            }
            Deed::Reopen => {
                let answers = facts.verdicts.iter().chain(&facts.handoffs).copied();
                act(Act::Reopen(Reopen { answers: sorted(answers), reason: None }))
            }
            Deed::Rule => act(Act::Ruling(Ruling {
                verdict: Verdict::Done,
                answers: facts.verdicts.clone(),
                ends: facts.winner.filter(|_| facts.is_winner_live),
                reason: None,
            })),
            Deed::Reshard => {
                let epoch = facts.shard.map_or(0, |(_, epoch)| epoch + 1);
                act(Act::Shard(shard(epoch, &[2])))
            }
            Deed::Crash | Deed::Rollback(_) | Deed::Resume(_) | Deed::Despair(_) => Vec::new(),
        }
    }

    /// Returns a claim, and the shard record that it needs where there is none. Agent 1 does not know of
    /// agent 0 when it draws a slate.
    fn claimed(&self, (by, log): (u8, u8), facts: &Facts) -> Vec<Id> {
        let Some(mut origin) = facts.origins[usize::from(by)] else { return Vec::new() };
        let considered: &[u8] = if by == 1 { &[1, 2] } else { &[0, 1, 2] };
        let first = match facts.shard {
            Some(_) => None,
            None => Some(self.id(record(by, Act::Shard(shard(0, considered))))),
        };
        let known = facts.shard.map(|(hash, _)| hash);
        let shard = first.map(|id| self.hash(id)).or(known).unwrap();
        let mut nonce = [0; 16];
        if !self.lacks(Rule::ClaimsHaveNonces) {
            nonce[..2].copy_from_slice(&[log, facts.made[usize::from(by)][usize::from(log)]]);
        }
        if self.lacks(Rule::ClaimsStartFromTheWinner) && origin.parent().is_some() {
            origin = Origin::First;
        }
        let claim = Claim { worker: "w".to_owned(), nonce, shard, origin, ttl_ms: TTL_MS };
        first.into_iter().chain([self.id(record(by, Act::Claim(claim)))]).collect()
    }

    /// Tells whether a deed did what it is for, to an agent that knew `before` and now knows `after`.
    fn has_effect(&self, deed: Deed, new: &[Id], before: &Facts, after: &Facts) -> bool {
        let is_ended = |claim: Id| after.fates.get(&claim) == Some(&Fate::Ended);
        match deed {
            Deed::Claim => after.holder == new.last().copied(),
            Deed::HandOff(claim) => after.phase == Phase::Review(self.hash(claim)),
            // Who lost changes nothing by saying so.
            Deed::Abandon(claim) => {
                is_ended(claim) && (after.phase, after.winner) == (before.phase, before.winner)
            }
            Deed::Release(claim) | Deed::Settle(claim) => is_ended(claim),
            Deed::Force => before.holder.is_some_and(is_ended),
            Deed::Reopen => matches!(after.phase, Phase::Open | Phase::Held(_)),
            Deed::Rule => {
                let is_done = after.phase == Phase::Ruled(Verdict::Done);
                is_done && before.holder.is_none_or(is_ended)
            }
            Deed::Reshard => after.shard.map(|s| s.1) == before.shard.map(|s| s.1 + 1),
            // Another branch may outweigh it; that it wins where there is none is seen at the takeover.
            Deed::Contest(claim) => after.contestable[&claim].is_empty(),
            Deed::Crash | Deed::Rollback(_) | Deed::Resume(_) | Deed::Despair(_) => true,
        }
    }

    /// Tells whether the holder of a claim that was just taken over wins it back by a contest.
    fn contest_helps(&self, known: &[Id], new: &[Id], before: &Facts) -> bool {
        let (Some(holder), Some(takeover)) = (before.holder, new.last()) else { return true };
        let taken = self.record(holder);
        if taken.by == self.record(*takeover).by {
            return true;
        }
        let act = Act::Contest { takeover: self.hash(*takeover) };
        let contest = self.id(Record { act, ..taken });
        self.facts_with(known, &[new, &[contest]].concat()).holder == Some(holder)
    }
}

fn sights(by: u8, deed: Deed, before: &Facts, after: &Facts) -> u32 {
    let is_claim = deed == Deed::Claim;
    let is_after = matches!(before.origins[usize::from(by)], Some(Origin::After { .. }));
    let wins = |claim: Id| after.fates.get(&claim) == Some(&Fate::Holds);
    let seen = [
        after.has_rivals,
        is_claim && before.holder.is_some() && after.depth > 2,
        matches!(deed, Deed::Abandon(_)),
        matches!(deed, Deed::Contest(claim) if wins(claim)),
        matches!(deed, Deed::HandOff(_)) && after.is_reopened,
        deed == Deed::Force,
        is_claim && after.shard.is_some_and(|(_, epoch)| epoch > 0),
        deed == Deed::Rule && before.holder.is_some(),
        is_claim && is_after && after.is_reopened,
    ];
    seen.iter().enumerate().map(|(bit, seen)| u32::from(*seen) << bit).sum()
}
