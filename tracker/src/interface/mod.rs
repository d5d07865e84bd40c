//! The one interface to a task list, whatever is behind it: the embedded store, or a node.
//!
//! Names of issues are accepted in every form: id, identifier, or a unique prefix of either.

mod answer;
pub mod claims;
pub mod error;
mod fault;
mod hint;
pub mod history;
pub mod members;
pub mod object;
pub mod record;
pub mod report;
pub mod request;
pub mod shape;
mod told;
pub mod workers;

use std::io::{BufRead, Write};
use std::ops::ControlFlow;

pub use claims::{Holder, Holding, Kept, Loss, Pick, Release, Standing, Terms, Watch};
pub use error::TrackerError;
pub use history::{Choice, Disputed, IssueLog, LogFilter, Moment, Share, Undo, UndoReport, Undone};
pub use members::{Member, Members};
pub use report::{
    Agenda, ClaimStats, ExportReport, Held, ImportReport, ListInfo, Named, Open, Progress, Reason,
    Shown, Stats, Waiting,
};
pub use request::{
    Comment, Draft, ExportFrom, FieldChange, Filter, ImportOptions, ListChange, Patch, Ruling,
};
pub use told::Told;
pub use workers::Workers;

use crate::id::Version;
use crate::journal::charter::Role;

/// Reading and writing the issues of one task list.
///
/// A write is on disk before it is answered. Reading writes nothing.
pub trait Tracker {
    /// Returns what the list is called and where it stands.
    fn info(&self) -> Result<ListInfo, TrackerError>;

    /// Visits the issues that a filter lets pass, oldest first, until there are no more, `limit`
    /// is reached, or `visit` breaks off.
    ///
    /// Returns a cursor for [`Filter::after`] where more would follow.
    fn list(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
    ) -> Result<Option<String>, TrackerError>;

    /// Returns one issue.
    fn show(&self, name: &str) -> Result<Shown, TrackerError>;

    /// Visits the open issues that a filter lets pass, in the order of dispatch, until there are no
    /// more or `visit` breaks off: what is ready, at most [`Filter::limit`] of it, and where
    /// [`Filter::explain`] is said, why others are not.
    fn agenda(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Open) -> ControlFlow<()>,
    ) -> Result<Agenda, TrackerError>;

    /// Returns counts.
    fn stats(&self) -> Result<Stats, TrackerError>;

    /// Creates an issue.
    fn create(&mut self, draft: &Draft) -> Result<Shown, TrackerError>;

    /// Changes fields of an issue; an edit that changes nothing writes nothing.
    ///
    /// With a version, refuses where the issue has another one by now.
    fn edit(
        &mut self,
        name: &str,
        patch: &Patch,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError>;

    /// Makes several edits together: all of them, or none.
    ///
    /// Each is made on what those before it left. Returns the issues in the order of the edits.
    ///
    /// # Errors
    /// [`TrackerError::OneOfSeveral`] with the first edit that was refused.
    fn edit_all(&mut self, edits: &[(String, Patch)]) -> Result<Vec<Shown>, TrackerError>;

    /// Adds a comment.
    fn comment(&mut self, name: &str, comment: &Comment) -> Result<Shown, TrackerError>;

    /// Ends an issue, and with it the claim that holds it; or opens one again that is over or was
    /// handed off.
    fn rule(
        &mut self,
        name: &str,
        ruling: &Ruling,
        reason: Option<&str>,
    ) -> Result<Shown, TrackerError>;

    /// Claims an issue for a worker of this agent.
    ///
    /// Of any number of workers that claim one issue of this store at once, exactly one wins. The
    /// worker is told of claims that it lost since it was last told anything.
    ///
    /// # Errors
    /// [`TrackerError::Refused`] with who holds it; [`TrackerError::NothingReady`] where
    /// [`Pick::First`] finds nothing; [`TrackerError::ClaimLost`] instead of either for a worker that
    /// wanted to go on with what it lost.
    fn claim(&mut self, pick: &Pick, terms: &Terms) -> Result<Kept, TrackerError>;

    /// Says that a worker is still at it: the claim lives for its whole time to live from now. One
    /// that lapsed while nobody took it over is renewed by a new claim.
    ///
    /// # Errors
    /// [`TrackerError::ClaimLost`] with who holds the issue now.
    fn heartbeat(&mut self, holding: &Holding) -> Result<Kept, TrackerError>;

    /// Tells a worker which of its claims are lost or over, and writes that it gives up those that it
    /// lost. Each is told once, here or by another act of the worker.
    ///
    /// # Errors
    /// Where the worker's name is none, or the store cannot be written.
    fn losses(&mut self, worker: &str) -> Result<Vec<Loss>, TrackerError>;

    /// Gives a claim up, so that others can take the issue.
    ///
    /// # Errors
    /// [`TrackerError::ClaimLost`] with who holds the issue now.
    fn release(&mut self, holding: &Holding, release: &Release) -> Result<Kept, TrackerError>;

    /// Hands an issue off for review. `handoff` is a JSON object {summary, files_changed, validation,
    /// follow_up, proofs_dir?}; lists that are missing are empty.
    ///
    /// # Errors
    /// [`TrackerError::ClaimLost`] with who holds the issue now; [`TrackerError::Invalid`] for another
    /// form.
    fn hand_off(&mut self, holding: &Holding, handoff: &str) -> Result<Kept, TrackerError>;

    /// Draws the slate of an issue anew. Only a maintainer may.
    fn reshard(
        &mut self,
        name: &str,
        reason: &str,
        ttl_ms: Option<u64>,
    ) -> Result<Shown, TrackerError>;

    /// Returns who belongs to the list, and who did.
    fn members(&self) -> Result<Members, TrackerError>;

    /// Returns who works on the list, what each holds, and what became of its claims.
    fn workers(&self) -> Result<Workers, TrackerError>;

    /// Gives an agent a role, a higher or a lower one than it has. `agent` is the id of an agent that was
    /// given one before, by a ticket, or at least the first eight digits of it. Only a maintainer may.
    ///
    /// # Errors
    /// [`TrackerError::NoMember`]; [`TrackerError::LastMaintainer`] where nobody would be one afterwards.
    fn grant(&mut self, agent: &str, role: Role) -> Result<Members, TrackerError>;

    /// Takes every role from an agent: what it writes from now on counts nowhere, what others had of it
    /// stays, and its claims are free to be taken over. Only a maintainer may.
    ///
    /// # Errors
    /// As [`Tracker::grant`].
    fn revoke(&mut self, agent: &str, reason: &str) -> Result<Members, TrackerError>;

    /// Returns the issues that workers of this agent hold by claims made here, or those of one worker.
    fn claims(&self, worker: Option<&str>) -> Result<Vec<Shown>, TrackerError>;

    /// Returns the JSON of every handoff that was ever made of an issue.
    fn handoffs(&self, name: &str) -> Result<Vec<String>, TrackerError>;

    /// Returns what happened to an issue, newest first.
    fn log(&self, name: &str, filter: &LogFilter) -> Result<IssueLog, TrackerError>;

    /// Returns one issue as it was at some moment, made of the changes that count then and that
    /// build on none that does not.
    fn show_at(&self, name: &str, at: &Moment) -> Result<Shown, TrackerError>;

    /// Takes back the newest change of an issue, or what a commit did to every issue that it touched,
    /// by ordinary edits that set the fields to what they were.
    ///
    /// What was written again since is left and reported; where that is all there is, the request is
    /// refused. Everything is written, or nothing.
    fn undo(
        &mut self,
        undo: &Undo,
        progress: &mut dyn FnMut(Share),
    ) -> Result<UndoReport, TrackerError>;

    /// Returns the disputed fields of one issue, or of every issue that has some and was not
    /// removed, oldest first.
    fn conflicts(&self, name: Option<&str>) -> Result<Vec<Disputed>, TrackerError>;

    /// Writes a disputed field, so that it has one value.
    ///
    /// With a version, refuses where the issue has another one by now.
    fn settle(
        &mut self,
        name: &str,
        field: &str,
        choice: &Choice,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError>;

    /// Imports a JSONL file by a three-way merge per field.
    ///
    /// Either everything is imported that may be, or nothing was written. With
    /// [`ImportOptions::dry_run`] nothing is written and the report says what would be.
    fn import(
        &mut self,
        file: &str,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, TrackerError>;

    /// Writes the JSONL file to `output`, changing only the lines of issues that changed.
    fn export(
        &self,
        from: &ExportFrom,
        output: &mut dyn Write,
    ) -> Result<ExportReport, TrackerError>;

    /// Records that what [`Tracker::export`] wrote is now the content of the file.
    fn exported(&mut self, file: &str, report: &ExportReport) -> Result<(), TrackerError>;
}
