//! What a set of records comes to, asked of the program's own rules and kept, since many histories
//! lead to the same sets. What must hold of any set is checked here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use x0x_tracker::claim::record::{Act, How, Origin, Record};
use x0x_tracker::claim::rules::{self, Fate, Sight};
use x0x_tracker::claim::tree::{Phase, Tree, handoff_json};
use x0x_tracker::id::RecordHash;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::testing::claims::{ISSUE, agent};

use crate::breach::{Breach, Rule};
use crate::deeds::Deed;
use crate::world::LOGS;

/// How many agents there are; each has a place on the slate.
pub const AGENTS: usize = 3;

/// Stands for a record, in the order in which records were first made.
pub type Id = u32;

/// How many parts the memory of facts has, so that threads seldom wait for each other.
const PARTS: usize = 64;

/// How many sets each part remembers; a part that is full forgets them all, and they are judged again.
const PART_SETS_MAX: usize = 32_768;

/// What a set of records comes to.
#[derive(Debug)]
pub struct Facts {
    pub phase: Phase,
    pub holder: Option<Id>,
    /// What a claim of each agent would start from, however long the holder was silent.
    pub origins: [Option<Origin>; AGENTS],
    /// The shard record that new claims name, and its epoch.
    pub shard: Option<(RecordHash, u32)>,
    pub fates: BTreeMap<Id, Fate>,
    /// The takeovers of each claim that its holder could contest and has not.
    pub contestable: BTreeMap<Id, Vec<RecordHash>>,
    /// The rulings and reopens that nothing answers.
    pub verdicts: Vec<RecordHash>,
    /// The handoffs that nothing answers.
    pub handoffs: Vec<RecordHash>,
    pub winner: Option<RecordHash>,
    pub is_winner_live: bool,
    /// The depth of the deepest claim, and whether two claims have one parent.
    pub depth: u32,
    pub has_rivals: bool,
    /// Whether a maintainer opened it again.
    pub is_reopened: bool,
    /// How many claims each agent made in each log.
    pub made: [[u8; LOGS]; AGENTS],
    /// What must never be, and is.
    pub broken: Vec<Breach>,
    /// What came of deeds that were done knowing this.
    pub tried: Mutex<Vec<(Try, Arc<Outcome>)>>,
}

/// An agent, the log that it writes, and what it does.
pub type Try = (u8, u8, Deed);

/// What came of a deed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was written.
    pub records: Vec<Id>,
    /// What must never be, and is.
    pub broken: Vec<Breach>,
    /// Which of the sights it was, a bit each.
    pub sights: u32,
}

/// Every record that was made in any history, and what sets of them come to.
pub struct Judge {
    rule: Option<Rule>,
    book: RwLock<Book>,
    facts: Vec<Mutex<HashMap<u128, Arc<Facts>>>>,
    judged: AtomicUsize,
}

#[derive(Default)]
struct Book {
    ids: HashMap<RecordHash, Id>,
    pages: Vec<Page>,
}

/// A record, its hash, its mark, and the records that it names.
struct Page {
    record: Record,
    hash: RecordHash,
    mark: u128,
    named: Arc<[Id]>,
}

impl Judge {
    /// Returns a judge that keeps all rules but one.
    pub fn new(rule: Option<Rule>) -> Self {
        let facts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { rule, book: RwLock::default(), facts, judged: AtomicUsize::new(0) }
    }

    /// Returns what stands for a record.
    pub fn id(&self, record: Record) -> Id {
        let hash = record.hash();
        if let Some(id) = self.id_of(hash) {
            return id;
        }
        let named = named(&record).into_iter().filter_map(|hash| self.id_of(hash)).collect();
        let mut book = self.book.write().unwrap();
        let next = Id::try_from(book.pages.len()).unwrap();
        let id = *book.ids.entry(hash).or_insert(next);
        if id == next {
            let mark = u128::from_le_bytes(hash.0[..16].try_into().unwrap());
            book.pages.push(Page { record, hash, mark, named });
        }
        id
    }

    pub fn id_of(&self, hash: RecordHash) -> Option<Id> {
        self.book.read().unwrap().ids.get(&hash).copied()
    }

    pub fn record(&self, id: Id) -> Record {
        self.book.read().unwrap().pages[id as usize].record.clone()
    }

    pub fn hash(&self, id: Id) -> RecordHash {
        self.book.read().unwrap().pages[id as usize].hash
    }

    /// Returns the records that one names.
    pub fn named(&self, id: Id) -> Arc<[Id]> {
        self.book.read().unwrap().pages[id as usize].named.clone()
    }

    /// Returns a number that tells sets of records apart: the sum of their marks.
    pub fn sum(&self, ids: &[Id]) -> u128 {
        let book = self.book.read().unwrap();
        let marks = ids.iter().map(|id| book.pages[*id as usize].mark);
        marks.fold(0, u128::wrapping_add)
    }

    /// Returns how many sets were judged; some of them again, if there are very many.
    pub fn sets(&self) -> usize {
        self.judged.load(Ordering::Relaxed)
    }

    /// Returns what the records come to whose marks have this sum; `ids` tells them.
    pub fn facts(&self, sum: u128, ids: impl FnOnce() -> Vec<Id>) -> Arc<Facts> {
        let part = &self.facts[(sum % PARTS as u128) as usize];
        if let Some(facts) = part.lock().unwrap().get(&sum) {
            return facts.clone();
        }
        let facts = Arc::new(self.judge(&ids()));
        self.judged.fetch_add(1, Ordering::Relaxed);
        let mut part = part.lock().unwrap();
        if part.len() >= PART_SETS_MAX {
            part.clear();
        }
        part.entry(sum).or_insert(facts).clone()
    }

    /// Returns what the records of two lists come to.
    pub fn facts_with(&self, known: &[Id], more: &[Id]) -> Arc<Facts> {
        let sum = self.sum(known).wrapping_add(self.sum(more));
        self.facts(sum, || [known, more].concat())
    }

    /// Tells whether a rule is left out.
    pub fn lacks(&self, rule: Rule) -> bool {
        self.rule == Some(rule)
    }

    /// Tells whether records fit those that their author knew.
    pub fn fits(&self, known: &[Id], new: &[Id]) -> bool {
        let known = Tree::of_hashed(ISSUE, self.kept(known));
        let new: Vec<Record> = new.iter().map(|id| self.record(*id)).collect();
        x0x_tracker::claim::link::check(ISSUE, &known, &new).is_ok()
    }

    /// Returns the records that count: all, where no rule is broken.
    fn kept(&self, ids: &[Id]) -> BTreeMap<RecordHash, Record> {
        let book = self.book.read().unwrap();
        let kept = |record: &Record| match self.rule {
            Some(Rule::ContestsCount) => !matches!(record.act, Act::Contest { .. }),
            Some(Rule::ReopensCount) => !matches!(record.act, Act::Reopen(_)),
            Some(Rule::ForcedEndsCount) => {
                !matches!(&record.act, Act::End(end) if end.how == How::Forced)
            }
            Some(Rule::HandoffsCount) => {
                !matches!(&record.act, Act::End(end) if matches!(end.how, How::HandedOff(_)))
            }
            _ => true,
        };
        let pages = ids.iter().map(|id| &book.pages[*id as usize]);
        pages.filter(|page| kept(&page.record)).map(|p| (p.hash, p.record.clone())).collect()
    }

    fn judge(&self, ids: &[Id]) -> Facts {
        let records = self.kept(ids);
        let backwards = Tree::of(ISSUE, self.as_arrived(&records));
        let is_reopened = records.values().any(|record| matches!(record.act, Act::Reopen(_)));
        let tree = Tree::of_hashed(ISSUE, records);
        let id = |hash: RecordHash| self.id_of(hash);
        let mut broken = Vec::new();
        if (tree.phase(), tree.winner()) != (backwards.phase(), backwards.winner()) {
            broken.push(Breach::OrderMatters);
        }
        if !fences_grow(&tree) {
            broken.push(Breach::FenceOrToken);
        }
        if self.loses_a_handoff(ids, &tree) {
            broken.push(Breach::HandoffLost);
        }
        let slate = tree.shard().map(|(_, shard)| shard.slate.clone()).unwrap_or_default();
        let origin = |number: usize| {
            let sight = Sight::alone(Some(u64::MAX));
            let agent = agent(number as u8);
            rules::may_claim(&tree, &slate, agent, Some(Role::Worker), &sight).ok()
        };
        let origins: [_; AGENTS] = std::array::from_fn(origin);
        let is_claimable = matches!(tree.phase(), Phase::Open | Phase::Held(_));
        if is_claimable && origins.iter().any(Option::is_none) {
            broken.push(Breach::NobodyMayClaim);
        }
        let claims: Vec<RecordHash> = tree.claims().collect();
        let winner = tree.winner();
        let parents: Vec<_> =
            claims.iter().filter_map(|hash| Some(tree.claim(*hash)?.1.origin.parent())).collect();
        let handoffs = sorted(tree.standing_handoffs().into_iter().map(|(end, _)| end));
        Facts {
            phase: tree.phase(),
            holder: tree.holder().and_then(id),
            origins,
            shard: tree.shard().map(|(hash, shard)| (hash, shard.epoch)),
            fates: claims.iter().filter_map(|c| Some((id(*c)?, rules::fate(&tree, *c)))).collect(),
            contestable: claims
                .iter()
                .filter_map(|c| Some((id(*c)?, contestable(&tree, *c))))
                .collect(),
            verdicts: sorted(tree.verdicts().iter().copied()),
            handoffs,
            winner,
            is_winner_live: winner.is_some_and(|winner| tree.is_live(winner)),
            depth: claims.iter().map(|claim| tree.fence(*claim)).max().unwrap_or(0),
            has_rivals: parents.iter().collect::<BTreeSet<_>>().len() < parents.len(),
            is_reopened,
            made: made(&tree),
            broken,
            tried: Mutex::default(),
        }
    }

    /// Returns records in another order than they were made in.
    fn as_arrived(&self, records: &BTreeMap<RecordHash, Record>) -> Vec<Record> {
        let mut records: Vec<Record> = records.values().rev().cloned().collect();
        if self.rule == Some(Rule::FirstArrivedDoesNotCount) {
            // As if the claim that came last were not heard of before the winner was named.
            let last = records.iter().position(|record| record.claim().is_some());
            if let Some(last) = last {
                records.remove(last);
            }
        }
        records
    }

    /// Tells whether a handoff that nobody sent back is not shown, or does not stand. Counts from the
    /// records alone, without the tree.
    fn loses_a_handoff(&self, ids: &[Id], tree: &Tree) -> bool {
        let book = self.book.read().unwrap();
        let all = || ids.iter().map(|id| &book.pages[*id as usize]);
        let is_answered = |end: RecordHash| {
            all().any(|page| {
                matches!(&page.record.act, Act::Reopen(reopen) if reopen.answers.contains(&end))
            })
        };
        let standing: Vec<RecordHash> = all()
            .filter(|page| handoff_json(&page.record).is_some() && !is_answered(page.hash))
            .map(|page| page.hash)
            .collect();
        let listed: Vec<RecordHash> =
            tree.standing_handoffs().into_iter().map(|(end, _)| end).collect();
        let is_shown = matches!(tree.phase(), Phase::Review(_) | Phase::Ruled(_));
        !standing.iter().all(|end| listed.contains(end)) || (!standing.is_empty() && !is_shown)
    }
}

/// Returns the records that one names.
fn named(record: &Record) -> Vec<RecordHash> {
    match &record.act {
        Act::Shard(_) => Vec::new(),
        Act::Claim(claim) => {
            let origin = match claim.origin {
                Origin::First => Vec::new(),
                Origin::Takeover(claim) => vec![claim],
                Origin::After { claim, end } => vec![claim, end],
            };
            [vec![claim.shard], origin].concat()
        }
        Act::End(end) => match end.how {
            How::Abandoned { to } => vec![end.claim, to],
            _ => vec![end.claim],
        },
        Act::Contest { takeover } => vec![*takeover],
        Act::Reopen(reopen) => reopen.answers.clone(),
        Act::Ruling(ruling) => ruling.answers.iter().copied().chain(ruling.ends).collect(),
    }
}

fn fences_grow(tree: &Tree) -> bool {
    tree.claims().all(|hash| {
        let above = tree.claim(hash).and_then(|(_, claim)| claim.origin.parent());
        tree.fence(hash) == above.map_or(0, |above| tree.fence(above)) + 1
    })
}

fn made(tree: &Tree) -> [[u8; LOGS]; AGENTS] {
    let mut made = [[0; LOGS]; AGENTS];
    for (record, claim) in tree.claims().filter_map(|claim| tree.claim(claim)) {
        let by = (0..AGENTS).find(|number| agent(*number as u8) == record.by);
        made[by.unwrap()][usize::from(claim.nonce[0])] += 1;
    }
    made
}

fn contestable(tree: &Tree, taken: RecordHash) -> Vec<RecordHash> {
    let holder = tree.claim(taken).map(|(record, _)| record.by);
    let is_takeover = |hash: &RecordHash| {
        tree.claim(*hash).is_some_and(|(record, claim)| {
            claim.origin == Origin::Takeover(taken) && Some(record.by) != holder
        })
    };
    tree.claims().filter(|hash| is_takeover(hash) && !tree.is_contested(*hash)).collect()
}

pub fn sorted(hashes: impl IntoIterator<Item = RecordHash>) -> Vec<RecordHash> {
    hashes.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
