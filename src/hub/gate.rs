//! What stands before the gossip of a list: nothing is passed on that its author did not sign, and
//! nothing is listened to that no member says.

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::{Charter, Signed};
use x0x_tracker::journal::commit::{Commit, Position, decode_header};
use x0x_tracker::journal::run::Proved;
use x0x_tracker::journal::signature::Verifier;

use crate::mesh::{Gate, Verdict};
use crate::wire::{Payload, Standing};

/// The gate of one list, for one input.
pub(super) struct ListGate<'a> {
    pub(super) list: ListId,
    pub(super) charter: &'a Charter,
    pub(super) standing: &'a Standing,
    pub(super) verifier: &'a dyn Verifier,
    /// What passed, so that nothing is checked twice.
    pub(super) passed: Option<Passed>,
    /// Whether something was refused that this side may lack the statements to judge.
    pub(super) lacks_statements: bool,
}

/// What the gate let pass.
#[derive(Debug)]
pub(super) enum Passed {
    Commit(Box<Proved>),
    Moved(LogId, Position),
    Statement(Signed),
}

impl ListGate<'_> {
    fn commit(&mut self, from: AgentId, commit: Commit) -> Verdict {
        let Ok(header) = decode_header(&commit.header) else { return Verdict::Breach };
        let log = header.log;
        if self.here(log).is_some_and(|here| here.number >= header.number) {
            // Another one in a place that is taken is found by comparing.
            return Verdict::Known;
        }
        // Heard from its author, a commit is held against the newest charter too.
        let may_write = self.charter.role(log.agent).is_some_and(|role| role.may_write());
        if from == log.agent && !may_write {
            return Verdict::Refuse;
        }
        match Proved::signed(commit, self.list, self.charter, self.verifier) {
            // Whoever knows these rules pulls it.
            Ok(proved) if proved.header().check_rules().is_err() => Verdict::Refuse,
            Ok(proved) if proved.role().is_some_and(|role| role.may_write()) => {
                self.passed = Some(Passed::Commit(Box::new(proved)));
                Verdict::Relay
            }
            Ok(_) => Verdict::Refuse,
            Err(JournalError::Unstated { .. } | JournalError::NotAllowed { .. }) => {
                self.lacks_statements = true;
                Verdict::Refuse
            }
            Err(_) => Verdict::Breach,
        }
    }

    fn moved(&mut self, log: LogId, position: Position) -> Verdict {
        if self.charter.role(log.agent).is_none() {
            return Verdict::Refuse;
        }
        if self.here(log).is_some_and(|here| here.number >= position.number) {
            return Verdict::Known;
        }
        self.passed = Some(Passed::Moved(log, position));
        Verdict::Relay
    }

    fn statement(&mut self, signed: Signed) -> Verdict {
        if self.charter.first_unknown(&[signed.hash()]).is_none() {
            return Verdict::Known;
        }
        match self.charter.clone().accept(&signed, self.verifier) {
            Ok(()) => {
                self.passed = Some(Passed::Statement(signed));
                Verdict::Relay
            }
            Err(JournalError::Signature { .. } | JournalError::TooLarge { .. }) => Verdict::Breach,
            Err(_) => {
                self.lacks_statements = true;
                Verdict::Refuse
            }
        }
    }

    fn here(&self, log: LogId) -> Option<Position> {
        let at = self.standing.logs.binary_search_by_key(&log, |(log, _)| *log).ok()?;
        Some(self.standing.logs[at].1)
    }
}

impl Gate for ListGate<'_> {
    fn judge(&mut self, from: AgentId, payload: &[u8]) -> Verdict {
        match Payload::read(payload) {
            Ok(Payload::Commit(commit)) => self.commit(from, commit),
            Ok(Payload::Moved { log, position }) => self.moved(log, position),
            Ok(Payload::Statement(signed)) => self.statement(signed),
            Err(_) => Verdict::Breach,
        }
    }

    fn is_member(&self, agent: AgentId) -> bool {
        self.charter.role(agent).is_some()
    }
}
