//! Logs with two branches: a store that was put back to an earlier state, or copied, wrote on where it
//! had written before. Which branch counts follows from hashes alone, so every store decides alike.

use super::LocalTracker;
use super::retract::{self, Cuts};
use crate::id::{CommitHash, LogId};
use crate::interface::TrackerError;
use crate::journal::commit::Position;
use crate::journal::run::{ProvedRun, RUN_HEADERS_MAX};
use crate::store::{Fork, Journal, Meta, Rivals, VoidCommit, Writing};

/// What became of headers of a log of which other commits are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They are the commits that are here, or go on from them.
    Same,
    /// The log branched before them: ask for those from this number on.
    Earlier {
        /// Which number.
        from: u64,
    },
    /// They are the commits that are here, and the log may branch after them: ask for those from this
    /// number on.
    Later {
        /// Which number.
        from: u64,
    },
    /// The branch that is here counts, and nothing changed here.
    Ours {
        /// The commits of the other branch, as far as the headers went; they are remembered as void.
        void: Vec<Position>,
    },
    /// The other branch counts: what was here of the log from there on does not any more, nor what
    /// builds on it. The other branch is to be asked for.
    Theirs {
        /// The commits that do not count any more, in the order in which they were applied.
        retracted: Vec<(LogId, Position)>,
        /// How many issues they had touched.
        documents: usize,
    },
}

impl LocalTracker {
    /// Returns the log that this store writes, where one was opened.
    pub fn own_log(&self) -> Result<Option<LogId>, TrackerError> {
        self.store.read()?.own_log()
    }

    /// Writes a log of this store's no more, since others know more of it than is here: the next edit
    /// opens another one. A log that it does not write changes nothing.
    pub fn abandon_log(&mut self, log: LogId) -> Result<(), TrackerError> {
        self.host()?;
        let writing = self.store.write()?;
        if writing.own_log()? == Some(log) && !writing.abandoned()?.contains(&log) {
            writing.abandon_own_log()?;
            writing.commit()?;
        }
        Ok(())
    }

    /// Settles which branch of a log counts, given headers of another one: of two commits that follow
    /// the same, the one with the smaller hash. Says what to ask for where these headers do not tell.
    ///
    /// What does not count is kept as lost; its authors write it again
    /// ([`LocalTracker::reissue`]). Where this store's own log branched, the next edit opens another.
    pub fn settle_fork(&mut self, other: &ProvedRun) -> Result<Settled, TrackerError> {
        let own = self.host()?.signer.agent();
        let writing = self.store.write()?;
        let log = other.log();
        let (theirs, ours) = match branches(&writing, other)? {
            Ok(branches) => branches,
            Err(settled) => return Ok(settled),
        };
        let header = other.header(theirs.number).unwrap_or_default().to_vec();
        let settled = if ours.1 < theirs.hash {
            let void = other.positions().skip_while(|at| at.number < theirs.number).collect();
            let why = format!("commit {} has its place in log {log}", ours.1);
            put_voids(&writing, log, &void, &why, Fork { counts: ours.0, void: header })?;
            Settled::Ours { void }
        } else {
            let why = format!("commit {} has its place in log {log}", theirs.hash);
            let cuts = Cuts::from([(log, theirs.number)]);
            let fork = Fork { counts: header, void: ours.0 };
            let retracted = retract::run(&writing, own, cuts, &why, Some(&fork))?;
            if let Some(run) = other.from(theirs.number) {
                // It may turn out to be void; what was here is so all the same.
                writing.put_rival(log, theirs, &run)?;
            }
            let retract::Retracted { commits, documents } = retracted;
            Settled::Theirs { retracted: commits, documents }
        };
        if writing.own_log()? == Some(log) {
            writing.abandon_own_log()?;
        }
        writing.commit()?;
        Ok(settled)
    }
}

/// Remembers commits of one branch as void, the first of which has a rival.
fn put_voids(
    writing: &Writing,
    log: LogId,
    branch: &Vec<Position>,
    why: &str,
    fork: Fork,
) -> Result<(), TrackerError> {
    let mut fork = Some(fork);
    for at in branch {
        let fork = fork.take();
        if writing.void(at.hash)?.is_none() {
            let void = VoidCommit::new(log, at.number, why.to_owned());
            writing.put_void_unseen(at.hash, &VoidCommit { fork, ..void })?;
        }
    }
    Ok(())
}

/// A commit that is here, or that stands for its place although it is void: its header and its hash.
type Here = (Vec<u8>, CommitHash);

/// Finds the first place at which headers of a log leave the commits that are here; what they say
/// else, where they do not.
fn branches(
    writing: &Writing,
    other: &ProvedRun,
) -> Result<Result<(Position, Here), Settled>, TrackerError> {
    let (log, first) = (other.log(), other.first());
    let here = |number: u64| -> Result<Option<Here>, TrackerError> {
        let header = writing.header_at(log, number)?;
        Ok(header.map(|(header, _)| {
            let hash = CommitHash::of(&header);
            (header, hash)
        }))
    };
    let last = writing.frontier()?.position(log).map_or(0, |last| last.number);
    let before = here(first - 1)?.map(|(_, hash)| hash);
    if before != other.previous() {
        // The headers of one run reach back as far as those of the one before it.
        let back = first.min(last + 1).saturating_sub(RUN_HEADERS_MAX as u64);
        return Ok(Err(Settled::Earlier { from: back.max(1) }));
    }
    let mut end = first;
    for at in other.positions() {
        end = at.number;
        match here(at.number)? {
            Some(ours) if ours.1 != at.hash => return Ok(Ok((at, ours))),
            Some(_) => {}
            None => {
                let previous = here(at.number - 1)?.map(|(_, hash)| hash);
                let rival = writing.rival(log, at.number, previous)?;
                let ours = rival.filter(|rival| rival.hash < at.hash);
                let ours =
                    ours.and_then(|rival| Some((rival.run.headers.first()?.clone(), rival.hash)));
                return Ok(ours.map(|ours| (at, ours)).ok_or(Settled::Same));
            }
        }
    }
    Ok(Err(if end < last { Settled::Later { from: end + 1 } } else { Settled::Same }))
}
