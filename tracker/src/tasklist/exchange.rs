//! Taking commits of other stores: in which order they are judged, and what becomes of each.
//!
//! Whether an author wrote a commit was proved before ([`Proved`]); giving commits is in `outgoing`.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use super::LocalTracker;
use super::edition::Edition;
use crate::document::{Document, DocumentError, admit};
use crate::id::{AgentId, CommitHash, DocumentKey, LogId};
use crate::interface::TrackerError;
use crate::journal::JournalError;
use crate::journal::charter::{Charter, Role, Signed};
use crate::journal::commit::{Body, Commit, Header, Position, decode_body};
use crate::journal::frontier::Frontier;
use crate::journal::run::{Proved, Run};
use crate::journal::stream::{Incoming, Item};
use crate::store::{Fork, Journal, Meta, Proof, Rivals, Rows, Sealed, Tables, VoidCommit};

/// The most logs that are taken of one agent from that agent itself. What others took of it is taken from
/// them, or stores that heard of different ones would part for good.
pub const LOGS_PER_AGENT_MAX: usize = 64;

/// The most logs that a list holds.
pub const LOGS_PER_LIST_MAX: usize = 32_768;

/// What became of a commit that was offered.
#[derive(Debug)]
pub enum Verdict {
    /// It is stored, and its changes count.
    Taken,
    /// It was here already.
    Known,
    /// It builds on a commit that is not here: offer it again after that one.
    Waits {
        /// Which log.
        log: LogId,
        /// Which commit of it.
        number: u64,
    },
    /// A change in it builds on one that no commit that it names has carried, and that is not here. No
    /// honest author writes that, and what its author had may still come: offer it again later.
    Orphan(DocumentError),
    /// It is void by its bytes, here and everywhere, or builds on one that is. Remembered.
    Void(TrackerError),
    /// Another commit has its place here. Both are signed by the author.
    Forks {
        /// The one that is here.
        here: Position,
    },
    /// It is not taken, and not remembered either.
    Refused(JournalError),
}

impl Verdict {
    /// Returns why a commit is not here, as an error.
    fn into_refusal(self, position: Position, log: LogId) -> Result<(), TrackerError> {
        let number = position.number;
        match self {
            Self::Taken | Self::Known => Ok(()),
            Self::Waits { log, number } => Err(JournalError::Missing { log, number }.into()),
            Self::Orphan(error) => Err(error.into()),
            Self::Void(error) => Err(error),
            Self::Forks { .. } => {
                let reason = "another commit has that place here";
                Err(JournalError::Chain { log, number, reason }.into())
            }
            Self::Refused(error) => Err(error.into()),
        }
    }
}

impl LocalTracker {
    /// Returns how far each log is here.
    pub fn frontier(&self) -> Result<Frontier, TrackerError> {
        self.store.read()?.frontier()
    }

    /// Returns the statements of the charter.
    pub fn statements(&self) -> Result<Vec<Signed>, TrackerError> {
        self.store.read()?.statements()
    }

    /// Returns the commits that are void here, by hash.
    pub fn voids(&self) -> Result<Vec<(CommitHash, VoidCommit)>, TrackerError> {
        self.store.read()?.voids()
    }

    /// Returns the agent in whose name it writes; `None` where it was opened to read.
    pub fn agent(&self) -> Option<AgentId> {
        Some(self.host().ok()?.signer.agent())
    }

    /// Returns the charter as it is known here.
    pub fn charter(&self) -> Result<Arc<Charter>, TrackerError> {
        self.store.read()?.charter()
    }

    /// Takes pieces of a stream that `incoming` is in the middle of; returns what became of each
    /// commit in them. What was taken is on disk.
    ///
    /// # Errors
    /// [`TrackerError::Journal`] where a piece is not what a stream may hold: the sender's doing. What
    /// came before that piece was judged and counts.
    pub fn receive(
        &mut self,
        incoming: &mut Incoming,
        items: Vec<Item>,
    ) -> Result<Received, TrackerError> {
        let list = self.store.read()?.list_id()?;
        let mut charter = self.charter()?;
        let mut received = Received::default();
        let mut proved = Vec::new();
        for item in items {
            let next = match item {
                Item::Statement(signed) => {
                    let new = self.admit_statement(&signed);
                    if matches!(new, Ok(true)) {
                        charter = self.charter()?;
                        received.statements += 1;
                    }
                    match new {
                        // Somebody used up the room, or stated what builds on that; the rest goes on.
                        Err(TrackerError::Journal(
                            JournalError::Full { .. } | JournalError::Unstated { .. },
                        )) => Ok(None),
                        new => new.map(|_| None),
                    }
                }
                Item::Run(run) => {
                    let verifier = self.host()?.verifier.as_ref();
                    incoming.run(&run, list, &charter, verifier).map(|()| None).map_err(Into::into)
                }
                Item::Body { log, number, body } => {
                    incoming.body(log, number, body).map(Some).map_err(Into::into)
                }
            };
            match next {
                Ok(commit) => proved.extend(commit),
                Err(error) => {
                    received.stopped_by = Some(error);
                    break;
                }
            }
        }
        received.verdicts = self.judge_from(incoming.sender(), &proved)?;
        received.commits = proved;
        Ok(received)
    }

    /// Judges commits in the order given, and stores those that are taken, all together.
    pub fn judge(&mut self, commits: &[Proved]) -> Result<Vec<Verdict>, TrackerError> {
        self.judge_from(None, commits)
    }

    fn judge_from(
        &mut self,
        from: Option<AgentId>,
        commits: &[Proved],
    ) -> Result<Vec<Verdict>, TrackerError> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let mut edition = Edition::start(&self.store, self.host()?)?;
        let own_log = edition.tables().own_log()?;
        let is_out = is_revoked(edition.tables(), from)?;
        let mut frontier = edition.tables().frontier()?;
        let mut verdicts = Vec::with_capacity(commits.len());
        for commit in commits {
            let verdict = match from.filter(|from| is_out && *from == commit.header().log.agent) {
                // Whoever heard it before it was revoked passes it on.
                Some(agent) => Verdict::Refused(JournalError::NotAllowed { agent }),
                None => judge(&mut edition, &mut frontier, from, commit)?,
            };
            if matches!(verdict, Verdict::Taken) && Some(commit.header().log) == own_log {
                // Others know more of this store than it does, and maybe more than this.
                edition.tables().abandon_own_log()?;
            }
            verdicts.push(verdict);
        }
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Taken | Verdict::Void(_))) {
            edition.finish()?;
        }
        Ok(verdicts)
    }

    /// Takes runs of commits, each of one log and with at least its last commit signed.
    ///
    /// All of them are taken, or none.
    pub fn admit(&mut self, commits: &[Commit]) -> Result<(), TrackerError> {
        let host = self.host()?;
        let list = self.store.read()?.list_id()?;
        let charter = self.charter()?;
        let mut incoming = Incoming::default();
        let mut proved = Vec::new();
        for (at, commit) in commits.iter().enumerate() {
            let Header { log, number, .. } = commit.header(list)?;
            let known = incoming.body(log, number, commit.body.clone());
            proved.push(match known {
                Ok(commit) => commit,
                Err(_no_header) => {
                    let run = run_from(&commits[at..], log, list);
                    incoming.run(&run, list, &charter, host.verifier.as_ref())?;
                    incoming.body(log, number, commit.body.clone())?
                }
            });
        }
        let mut edition = Edition::start(&self.store, host)?;
        let mut frontier = edition.tables().frontier()?;
        for commit in &proved {
            let verdict = judge(&mut edition, &mut frontier, None, commit)?;
            verdict.into_refusal(commit.position(), commit.header().log)?;
        }
        edition.finish()
    }
}

/// Tells whether an agent may not write under the newest charter that is known here.
fn is_revoked(tables: &impl Tables, agent: Option<AgentId>) -> Result<bool, TrackerError> {
    let Some(agent) = agent else { return Ok(false) };
    let charter = tables.charter()?;
    Ok(!charter.may_write(agent))
}

/// What became of pieces of a stream.
#[derive(Debug, Default)]
pub struct Received {
    /// The commits.
    pub commits: Vec<Proved>,
    /// What became of each.
    pub verdicts: Vec<Verdict>,
    /// How many statements of the charter were new.
    pub statements: usize,
    /// Why the pieces from one on were not looked at: an honest sender sends no such piece, or this
    /// side lacks statements of the charter.
    pub stopped_by: Option<TrackerError>,
}

/// Returns the headers of the first commit and of those that follow it in its log, up to the first
/// signature.
fn run_from(commits: &[Commit], log: LogId, list: crate::id::ListId) -> Run {
    let mut run = Run { headers: Vec::new(), signature: Vec::new() };
    for commit in commits {
        if commit.header(list).is_ok_and(|header| header.log == log) {
            run.headers.push(commit.header.clone());
            if let Some(signature) = &commit.signature {
                run.signature.clone_from(signature);
                break;
            }
        }
    }
    run
}

/// Judges one commit, which came from that agent; in `edition` is kept what follows from it.
fn judge(
    edition: &mut Edition<'_>,
    frontier: &mut Frontier,
    from: Option<AgentId>,
    commit: &Proved,
) -> Result<Verdict, TrackerError> {
    let (header, position) = (commit.header(), commit.position());
    let log = header.log;
    if let Err(error) = header.check_rules() {
        return Ok(Verdict::Refused(error));
    }
    if let Some(verdict) = place(edition, frontier, from, commit)? {
        if matches!(verdict, Verdict::Void(_)) {
            remember(edition, frontier, commit, JournalError::Void.to_string())?;
        }
        return Ok(verdict);
    }
    let judged = match role_and_body(commit) {
        Ok((role, body)) => match apply(edition, commit, &body, role == Role::Maintainer) {
            Ok(()) => Ok(body),
            Err(TrackerError::Document(error @ DocumentError::Missing { .. })) => {
                return Ok(Verdict::Orphan(error));
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error.into()),
    };
    match judged {
        Ok(body) => {
            let sealed = Sealed { log, position, commit: commit.to_commit() };
            edition.tables().append_commit(&sealed, &body)?;
            edition.tables().put_rest(log, commit.rest().as_ref())?;
            edition.tables().remove_lost(log, position)?;
            frontier.0.insert(log, position);
            Ok(Verdict::Taken)
        }
        Err(error @ (TrackerError::Document(_) | TrackerError::Journal(_))) => {
            remember(edition, frontier, commit, error.to_string())?;
            Ok(Verdict::Void(error))
        }
        Err(error) => Err(error),
    }
}

/// Remembers that a commit is void and, where it could stand next in its log, what proves it.
fn remember(
    edition: &Edition<'_>,
    frontier: &Frontier,
    commit: &Proved,
    why: String,
) -> Result<(), TrackerError> {
    let (header, position) = (commit.header(), commit.position());
    let tables = edition.tables();
    if tables.void(position.hash)?.is_some() {
        return Ok(());
    }
    let rival = tables.rival(header.log, header.number, header.previous)?;
    let counts = rival.filter(|rival| rival.hash < position.hash);
    let counts = counts.and_then(|rival| rival.run.headers.into_iter().next());
    let fork = counts.map(|counts| Fork { counts, void: commit.to_commit().header });
    let void = VoidCommit { fork, ..VoidCommit::new(header.log, header.number, why) };
    let is_remembered = tables.put_void_unseen(position.hash, &void)?;
    let last = frontier.position(header.log);
    // Of a log that counts each place has one at most; of others there is no end.
    let is_next = (is_remembered || last.is_some())
        && header.number == last.map_or(1, |last| last.number + 1)
        && header.previous == last.map(|last| last.hash);
    match commit.run().from(header.number).filter(|_| is_next) {
        Some(run) => tables.put_rival(header.log, position, &run),
        None => Ok(()),
    }
}

/// Looks for the place of a commit: in its log, and after all that it names. `None` where it is next.
fn place(
    edition: &Edition<'_>,
    frontier: &Frontier,
    from: Option<AgentId>,
    commit: &Proved,
) -> Result<Option<Verdict>, TrackerError> {
    let (header, position) = (commit.header(), commit.position());
    let log = header.log;
    let void = || Ok(Some(Verdict::Void(JournalError::Void.into())));
    let tables = edition.tables();
    if tables.void(position.hash)?.is_some() {
        return void();
    }
    if let Some(previous) = header.previous
        && tables.void(previous)?.is_some()
    {
        return void();
    }
    let last = frontier.position(log);
    if let Some(last) = last
        && last.number >= header.number
    {
        let here = tables.commit_at(log, header.number)?.map(|commit| commit.hash());
        let here = here.unwrap_or(last.hash);
        return Ok(Some(match here == position.hash {
            true => Verdict::Known,
            false => Verdict::Forks { here: Position { number: header.number, hash: here } },
        }));
    }
    let next = last.map_or(1, |last| last.number + 1);
    if header.number > next {
        return Ok(Some(Verdict::Waits { log, number: next }));
    }
    if header.previous != last.map(|last| last.hash) {
        return Ok(Some(match last {
            Some(here) => Verdict::Forks { here },
            // The first of a log that names one before it.
            None => return void(),
        }));
    }
    let rival = tables.rival(log, header.number, header.previous)?;
    if rival.is_some_and(|rival| rival.hash < position.hash) {
        return void();
    }
    if last.is_none()
        && let Some(error) = is_one_too_many(tables, frontier, from, log)?
    {
        return Ok(Some(Verdict::Refused(error)));
    }
    for (log, position) in &header.after {
        if tables.void(position.hash)?.is_some() {
            return void();
        }
        let here = match frontier.covers(*log, *position) {
            true => tables.commit_at(*log, position.number)?.map(|commit| commit.hash()),
            false => None,
        };
        if here != Some(position.hash) {
            return Ok(Some(Verdict::Waits { log: *log, number: position.number }));
        }
    }
    Ok(None)
}

/// Tells whether a log that is new here is one too many, of its agent or of the list.
fn is_one_too_many(
    tables: &impl Journal,
    frontier: &Frontier,
    from: Option<AgentId>,
    log: LogId,
) -> Result<Option<JournalError>, TrackerError> {
    let all = frontier.0.len();
    if all >= LOGS_PER_LIST_MAX {
        let (what, bytes_max) = ("number of logs of a list", LOGS_PER_LIST_MAX);
        return Ok(Some(JournalError::TooLarge { what, bytes: all + 1, bytes_max }));
    }
    if from != Some(log.agent) {
        return Ok(None);
    }
    let (what, bytes_max) = ("number of logs of an agent", LOGS_PER_AGENT_MAX);
    let bytes = logs_of(tables, frontier, log.agent)? + 1;
    Ok((bytes > bytes_max).then_some(JournalError::TooLarge { what, bytes, bytes_max }))
}

/// Returns how many logs of an agent count against its bound. Those that a void commit closed do not,
/// up to as many again: others can close an agent's logs, and it has to go on all the same.
pub(super) fn logs_of(
    tables: &impl Journal,
    frontier: &Frontier,
    agent: AgentId,
) -> Result<usize, TrackerError> {
    let all = frontier.0.keys().filter(|known| known.agent == agent).count();
    if all < LOGS_PER_AGENT_MAX {
        return Ok(all);
    }
    let voids = tables.voids()?.into_iter().map(|(_, void)| void.log);
    let closed: BTreeSet<LogId> =
        voids.filter(|log| log.agent == agent && frontier.position(*log).is_some()).collect();
    Ok(all - closed.len().min(LOGS_PER_AGENT_MAX))
}

/// Returns what a commit's author was under the charter that it names, and what the commit holds.
fn role_and_body(commit: &Proved) -> Result<(Role, Body), JournalError> {
    let agent = commit.header().log.agent;
    let role = commit.role().filter(|role| role.may_write());
    let role = role.ok_or(JournalError::NotAllowed { agent })?;
    Ok((role, decode_body(commit.body())?))
}

/// Applies the changes of a commit to copies of their documents, and keeps those. Where one is
/// refused, none was kept.
///
/// `may_rule` tells whether its author was a maintainer under the charter that it names.
fn apply(
    edition: &mut Edition<'_>,
    commit: &Proved,
    body: &Body,
    may_rule: bool,
) -> Result<(), TrackerError> {
    let log = commit.header().log;
    let mut documents: BTreeMap<DocumentKey, (Document, Vec<Vec<u8>>)> = BTreeMap::new();
    let mut proofs: Vec<(crate::id::RecordHash, Proof)> = Vec::new();
    for entry in &body.entries {
        admit::check_entry(&entry.birth, entry.changes.len())?;
        let key = entry.birth.key();
        let (document, taken) = match documents.entry(key) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(free) => {
                let known = edition.tables().document(key)?;
                let document = known.unwrap_or_else(|| Document::new(entry.birth.clone()));
                free.insert((document, Vec::new()))
            }
        };
        for bytes in &entry.changes {
            let checked = admit::check(&entry.birth, bytes, log)?;
            if !may_rule && document.needs_maintainer(&checked) {
                return Err(JournalError::NotAllowed { agent: log.agent }.into());
            }
            let proof = Proof { commit: commit.position().hash, document: key };
            let claims = checked.records.iter().filter(|record| record.claim().is_some());
            proofs.extend(claims.map(|claim| (claim.hash(), proof)));
            document.admit(checked)?;
            taken.push(bytes.clone());
        }
    }
    for (claim, proof) in proofs {
        edition.tables().put_proof(claim, proof)?;
    }
    for (document, taken) in documents.values() {
        edition.keep(document, taken)?;
    }
    Ok(())
}
