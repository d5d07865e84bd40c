//! Taking commits out of what counts: those of a log from a number on, and all that build on them.
//!
//! What is left is what a store has that never heard of them. They are kept as lost commits; which
//! ones do not count is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{outgoing, row};
use crate::document::ancestry::Ancestry;
use crate::document::{Birth, Document, Heads, admit};
use crate::id::{AgentId, CommitHash, DocumentKey, LogId, RecordHash};
use crate::interface::TrackerError;
use crate::journal::commit::{Body, Position, decode_body, decode_header};
use crate::journal::frontier::Frontier;
use crate::journal::run::Run;
use crate::store::{
    Fork, Journal, LOST_BYTES_MAX, Lines, Losses, LostCommit, Meta, Proof, VoidCommit, Writing,
    damaged,
};

/// How many decoded bodies are held at once: documents that one commit touched come together.
const BODIES_MAX: usize = 16;

/// From which number on a log does not count.
pub(super) type Cuts = BTreeMap<LogId, u64>;

/// What was taken out of what counts.
#[derive(Debug, Default)]
pub(super) struct Retracted {
    /// The commits, in the order in which they were applied.
    pub(super) commits: Vec<(LogId, Position)>,
    /// How many documents were made anew, or are gone.
    pub(super) documents: usize,
}

/// A commit that does not count any more.
struct Gone {
    place: u64,
    log: LogId,
    position: Position,
    previous: Option<CommitHash>,
    touched: Vec<DocumentKey>,
    why: String,
}

/// Takes the commits of some logs from a number on out of what counts, and all that build on them;
/// `why` is what is said of the first ones, and `fork` what else was signed for their place.
pub(super) fn run(
    writing: &Writing,
    own: AgentId,
    cuts: Cuts,
    why: &str,
    fork: Option<&Fork>,
) -> Result<Retracted, TrackerError> {
    let (mut all, mut work) = (cuts.clone(), Rebuilding::of(writing)?);
    let (gone, documents) = loop {
        let gone = work.dependents(&mut all, &cuts, why)?;
        let Rebuilt { documents, orphan } = work.rebuild(&gone)?;
        match orphan {
            None => break (gone, documents),
            Some((log, number)) => drop(all.insert(log, number)),
        }
    };
    let first_turn = writing.next_turn()?;
    let ends = ends_of(writing, &gone)?;
    for (turn, commit) in (first_turn..).zip(&gone) {
        let first = cuts.get(&commit.log) == Some(&commit.position.number);
        let mut void = VoidCommit::new(commit.log, commit.position.number, commit.why.clone());
        void.fork = fork.filter(|_| first).cloned();
        writing.put_void(commit.position.hash, &void)?;
        keep(writing, commit, turn)?;
    }
    for commit in first_of_each_log(&gone) {
        let run = outgoing::run_from(writing, commit.log, commit.position.number)?;
        writing.put_rival(commit.log, commit.position, &run)?;
    }
    for commit in &gone {
        writing.remove_commit(commit.log, commit.position, commit.place, &commit.touched)?;
    }
    for (log, (last, rest)) in &ends {
        writing.end_log(*log, *last, rest.as_ref())?;
    }
    writing.trim_lost(own, LOST_BYTES_MAX)?;
    if let Some(log) = writing.own_log()?
        && ends.contains_key(&log)
    {
        // What the log named is not named by any commit that counts.
        writing.abandon_own_log()?;
        writing.put_seen(&Frontier::default())?;
    }
    let commits = gone.into_iter().map(|gone| (gone.log, gone.position)).collect();
    Ok(Retracted { commits, documents })
}

/// Keeps a commit that is about to be taken out as a lost one.
fn keep(writing: &Writing, gone: &Gone, turn: u64) -> Result<(), TrackerError> {
    let Gone { log, position, .. } = *gone;
    let commit = writing.commit_at(log, position.number)?;
    let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
    let is_last = writing.frontier()?.position(log) == Some(position);
    let rest = match is_last && commit.signature.is_none() {
        true => writing.rest(log)?,
        false => None,
    };
    writing.put_lost(&LostCommit { log, position, commit, rest, turn })
}

/// Returns the first commit that goes of each log.
fn first_of_each_log(gone: &[Gone]) -> impl Iterator<Item = &Gone> {
    let mut logs: BTreeSet<LogId> = BTreeSet::new();
    gone.iter().filter(move |commit| logs.insert(commit.log))
}

/// What a log ends in: its last commit, and the headers that prove it.
type End = (Option<Position>, Option<Run>);

/// Returns what each log ends in once some commits are gone: what proves the last one that stays may
/// be the header of one that goes.
fn ends_of(writing: &Writing, gone: &[Gone]) -> Result<BTreeMap<LogId, End>, TrackerError> {
    let mut ends: BTreeMap<LogId, End> = BTreeMap::new();
    for commit in first_of_each_log(gone) {
        let (log, number) = (commit.log, commit.position.number - 1);
        let last = commit.previous.map(|hash| Position { number, hash });
        // Its own signature was dropped when another commit followed, unless it is one that is kept.
        let kept = writing.header_at(log, number)?;
        let rest = match kept {
            Some((_, None)) => Some(outgoing::run_from(writing, log, number + 1)?),
            _ => None,
        };
        ends.insert(log, (last, rest));
    }
    Ok(ends)
}

/// What came of making documents anew.
struct Rebuilt {
    documents: usize,
    /// A commit that has to go too: a change in it builds on one that is gone.
    orphan: Option<(LogId, u64)>,
}

/// Work in one writing.
struct Rebuilding<'a> {
    writing: &'a Writing,
    files: Vec<String>,
    /// Bodies that were decoded last, with the hashes of their commits; the newest first.
    bodies: VecDeque<((LogId, u64), (CommitHash, Body))>,
}

impl<'a> Rebuilding<'a> {
    fn of(writing: &'a Writing) -> Result<Self, TrackerError> {
        Ok(Self { writing, files: writing.files()?, bodies: VecDeque::new() })
    }

    /// Returns what goes with some cuts, in the order of application, which is causal: what names a
    /// commit stands after it. Adds the logs of what depends on them to the cuts.
    fn dependents(
        &mut self,
        all: &mut Cuts,
        first: &Cuts,
        why: &str,
    ) -> Result<Vec<Gone>, TrackerError> {
        let mut gone = Vec::new();
        let mut start = u64::MAX;
        for (log, number) in all.iter() {
            if let Some(commit) = self.writing.commit_at(*log, *number)? {
                let place = self.writing.place_of_commit(commit.hash())?;
                start = start.min(place.ok_or_else(|| damaged("the order of commits"))?);
            }
        }
        let mut places = Vec::new();
        self.writing.visit_order(start, &mut |place, log, number| {
            places.push((place, log, number));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        for (place, log, number) in places {
            let commit = self.writing.commit_at(log, number)?;
            let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
            let header = decode_header(&commit.header)?;
            let is_cut = |log: &LogId, number: u64, cuts: &Cuts| {
                cuts.get(log).is_some_and(|from| *from <= number)
            };
            let named = header.after.iter().find(|(log, at)| is_cut(log, at.number, all));
            let why = match named {
                _ if first.get(&log) == Some(&number) => why.to_owned(),
                Some((log, at)) => {
                    format!("it builds on commit {} of log {log}, which does not count", at.number)
                }
                None if !is_cut(&log, number, all) => continue,
                None if is_cut(&log, number - 1, all) => {
                    format!("it follows commit {} of its log, which does not count", number - 1)
                }
                None => "a change in it builds on one that does not count".to_owned(),
            };
            all.entry(log).and_modify(|from| *from = number.min(*from)).or_insert(number);
            let body = decode_body(&commit.body)?;
            let touched: BTreeSet<DocumentKey> =
                body.entries.iter().map(|entry| entry.birth.key()).collect();
            gone.push(Gone {
                place,
                log,
                position: Position { number, hash: commit.hash() },
                previous: header.previous,
                touched: touched.into_iter().collect(),
                why,
            });
        }
        Ok(gone)
    }

    /// Makes every document that some commits touched anew, without those.
    fn rebuild(&mut self, gone: &[Gone]) -> Result<Rebuilt, TrackerError> {
        let is_gone: BTreeSet<u64> = gone.iter().map(|gone| gone.place).collect();
        let mut done: BTreeSet<DocumentKey> = BTreeSet::new();
        for key in gone.iter().flat_map(|gone| &gone.touched) {
            if done.insert(*key)
                && let Some(orphan) = self.rebuild_one(*key, &is_gone)?
            {
                return Ok(Rebuilt { documents: done.len(), orphan: Some(orphan) });
            }
        }
        Ok(Rebuilt { documents: done.len(), orphan: None })
    }

    /// Makes one document anew; returns a commit of it that does not find what it builds on.
    fn rebuild_one(
        &mut self,
        key: DocumentKey,
        is_gone: &BTreeSet<u64>,
    ) -> Result<Option<(LogId, u64)>, TrackerError> {
        let mut of_birth: Option<(Birth, Document)> = None;
        let (mut ancestry, mut is_left) = (Ancestry::default(), false);
        let mut proofs: BTreeMap<RecordHash, Option<CommitHash>> = BTreeMap::new();
        for (place, log, number) in self.writing.places_of(key)? {
            let (hash, body) = self.body(log, number)?;
            let hash = *hash;
            for entry in body.entries.iter().filter(|entry| entry.birth.key() == key) {
                let (birth, document) = of_birth.get_or_insert_with(|| {
                    (entry.birth.clone(), Document::new(entry.birth.clone()))
                });
                for bytes in &entry.changes {
                    let checked = admit::check(birth, bytes, log)?;
                    let claims = checked.records.iter().filter(|record| record.claim().is_some());
                    let claims: Vec<RecordHash> = claims.map(|claim| claim.hash()).collect();
                    let counts = !is_gone.contains(&place);
                    for claim in claims {
                        let proof = proofs.entry(claim).or_default();
                        *proof = [*proof, counts.then_some(hash)].into_iter().flatten().min();
                    }
                    if !counts {
                        ancestry.add(bytes);
                        continue;
                    }
                    is_left = true;
                    if document.admit(checked).is_err() {
                        return Ok(Some((log, number)));
                    }
                }
            }
        }
        let (birth, document) = of_birth.ok_or_else(|| damaged("what a commit touched"))?;
        for (claim, commit) in proofs {
            self.writing.remove_proof(claim)?;
            if let Some(commit) = commit {
                self.writing.put_proof(claim, Proof { commit, document: key })?;
            }
        }
        self.store(&birth, is_left.then_some(&document))?;
        let still_there = |heads: &Heads| ancestry.nearest(&document, heads);
        self.writing.rebase_lines(key, &self.files, &still_there)?;
        Ok(None)
    }

    fn store(&self, birth: &Birth, document: Option<&Document>) -> Result<(), TrackerError> {
        let Some(document) = document else { return self.writing.remove_document(birth) };
        let content = document.read();
        let json = row::proved(self.writing, &content)?.canonical_json();
        self.writing.replace_document(document, &row::of(&content), &json)
    }

    fn body(&mut self, log: LogId, number: u64) -> Result<&(CommitHash, Body), TrackerError> {
        let place = (log, number);
        let known = self.bodies.iter().position(|(known, _)| *known == place);
        let at = match known {
            Some(at) => at,
            None => {
                let commit = self.writing.commit_at(log, number)?;
                let commit = commit.ok_or_else(|| damaged("a commit that is listed"))?;
                self.bodies.truncate(BODIES_MAX - 1);
                let body = decode_body(&commit.body)?;
                self.bodies.push_front((place, (commit.hash(), body)));
                0
            }
        };
        Ok(&self.bodies[at].1)
    }
}
