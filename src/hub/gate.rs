//! What stands before the gossip of a list: nothing is passed on that its author did not sign, and
//! nothing is listened to that no member says.

use x0x_tracker::id::{AgentId, ListId, LogId};
use x0x_tracker::journal::JournalError;
use x0x_tracker::journal::charter::{Charter, Role, Signed};
use x0x_tracker::journal::commit::{Commit, Header, Position, decode_header};
use x0x_tracker::journal::run::{Proved, Run};
use x0x_tracker::journal::signature::Verifier;
use x0x_tracker::tasklist::LOGS_PER_AGENT_MAX;

use crate::mesh::{Gate, Verdict};
use crate::wire::{Payload, Standing};

/// The gate of one list, for one input.
pub(super) struct ListGate<'a> {
    pub(super) list: ListId,
    /// Whose hub it is.
    pub(super) me: AgentId,
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
    /// Something that was sealed for this agent.
    Sealed(Vec<u8>),
}

impl ListGate<'_> {
    fn commit(&mut self, from: AgentId, commit: Commit) -> Verdict {
        let Ok(header) = decode_header(&commit.header) else { return Verdict::Breach };
        if let Some(verdict) = self.without_proof(from, &header) {
            return verdict;
        }
        match Proved::signed(commit, self.list, self.charter, self.verifier) {
            Ok(proved) if may_count(proved.header(), proved.role()) => {
                self.passed = Some(Passed::Commit(Box::new(proved)));
                Verdict::Relay
            }
            Ok(_) => Verdict::Refuse,
            Err(error) => self.unproved(&error),
        }
    }

    fn moved(&mut self, from: AgentId, run: Run) -> Verdict {
        let [header] = &run.headers[..] else { return Verdict::Breach };
        let Ok(header) = decode_header(header) else { return Verdict::Breach };
        if let Some(verdict) = self.without_proof(from, &header) {
            return verdict;
        }
        match run.prove(self.list, self.charter, self.verifier) {
            Ok(proved) if may_count(&header, proved.role()) => {
                let position = proved.positions().last();
                self.passed = position.map(|position| Passed::Moved(header.log, position));
                Verdict::Relay
            }
            Ok(_) => Verdict::Refuse,
            Err(error) => self.unproved(&error),
        }
    }

    /// Judges what needs no signature to be looked at.
    fn without_proof(&self, from: AgentId, header: &Header) -> Option<Verdict> {
        let log = header.log;
        if self.here(log).is_some_and(|here| here.number >= header.number) {
            // Another one in a place that is taken is found by comparing.
            return Some(Verdict::Known);
        }
        // Heard from its author, a commit is held against the newest charter too, and its log against
        // how many that author may have.
        let is_new = self.here(log).is_none();
        if from == log.agent && is_new && self.logs_of(log.agent) >= LOGS_PER_AGENT_MAX {
            return Some(Verdict::Refuse);
        }
        let may_write = self.charter.role(log.agent).is_some_and(|role| role.may_write());
        (from == log.agent && !may_write).then_some(Verdict::Refuse)
    }

    fn unproved(&mut self, error: &JournalError) -> Verdict {
        match error {
            JournalError::Unstated { .. } | JournalError::NotAllowed { .. } => {
                self.lacks_statements = true;
                Verdict::Refuse
            }
            _ => Verdict::Breach,
        }
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

    /// Passes on what is for a member; what is for this agent is for nobody else to see.
    fn sealed(&mut self, to: AgentId, sealed: Vec<u8>) -> Verdict {
        if self.charter.role(to).is_none() {
            self.lacks_statements = true;
            return Verdict::Refuse;
        }
        if to == self.me {
            self.passed = Some(Passed::Sealed(sealed));
        }
        Verdict::Relay
    }

    fn logs_of(&self, agent: AgentId) -> usize {
        self.standing.logs.iter().filter(|(log, _)| log.agent == agent).count()
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
            Ok(Payload::Moved(run)) => self.moved(from, run),
            Ok(Payload::Statement(signed)) => self.statement(signed),
            Ok(Payload::Sealed { to, sealed }) => self.sealed(to, sealed),
            Err(_) => Verdict::Breach,
        }
    }

    fn is_member(&self, agent: AgentId) -> bool {
        self.charter.role(agent).is_some()
    }
}

/// Tells whether a commit may count that its author signed. Whoever knows newer rules pulls it.
fn may_count(header: &Header, role: Option<Role>) -> bool {
    header.check_rules().is_ok() && role.is_some_and(|role| role.may_write())
}
