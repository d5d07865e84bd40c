//! A tracker that is not known before the program runs: the store's, or a node's.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;

use super::*;

impl Tracker for Box<dyn Tracker> {
    fn info(&self) -> Result<ListInfo, TrackerError> {
        (**self).info()
    }

    fn list(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
    ) -> Result<Option<String>, TrackerError> {
        (**self).list(filter, visit)
    }

    fn show(&self, name: &str) -> Result<Shown, TrackerError> {
        (**self).show(name)
    }

    fn agenda(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Open) -> ControlFlow<()>,
    ) -> Result<Agenda, TrackerError> {
        (**self).agenda(filter, visit)
    }

    fn stats(&self) -> Result<Stats, TrackerError> {
        (**self).stats()
    }

    fn create(&mut self, draft: &Draft) -> Result<Shown, TrackerError> {
        (**self).create(draft)
    }

    fn edit(
        &mut self,
        name: &str,
        patch: &Patch,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        (**self).edit(name, patch, if_version)
    }

    fn edit_all(&mut self, edits: &[(String, Patch)]) -> Result<Vec<Shown>, TrackerError> {
        (**self).edit_all(edits)
    }

    fn comment(&mut self, name: &str, comment: &Comment) -> Result<Shown, TrackerError> {
        (**self).comment(name, comment)
    }

    fn rule(
        &mut self,
        name: &str,
        ruling: &Ruling,
        reason: Option<&str>,
    ) -> Result<Shown, TrackerError> {
        (**self).rule(name, ruling, reason)
    }

    fn claim(&mut self, pick: &Pick, terms: &Terms) -> Result<Kept, TrackerError> {
        (**self).claim(pick, terms)
    }

    fn heartbeat(&mut self, holding: &Holding) -> Result<Kept, TrackerError> {
        (**self).heartbeat(holding)
    }

    fn losses(&mut self, worker: &str) -> Result<Vec<Loss>, TrackerError> {
        (**self).losses(worker)
    }

    fn release(&mut self, holding: &Holding, release: &Release) -> Result<Kept, TrackerError> {
        (**self).release(holding, release)
    }

    fn hand_off(&mut self, holding: &Holding, handoff: &str) -> Result<Kept, TrackerError> {
        (**self).hand_off(holding, handoff)
    }

    fn reshard(
        &mut self,
        name: &str,
        reason: &str,
        ttl_ms: Option<u64>,
    ) -> Result<Shown, TrackerError> {
        (**self).reshard(name, reason, ttl_ms)
    }

    fn claims(&self, worker: Option<&str>) -> Result<Vec<Shown>, TrackerError> {
        (**self).claims(worker)
    }

    fn handoffs(&self, name: &str) -> Result<Vec<String>, TrackerError> {
        (**self).handoffs(name)
    }

    fn log(&self, name: &str, filter: &LogFilter) -> Result<IssueLog, TrackerError> {
        (**self).log(name, filter)
    }

    fn show_at(&self, name: &str, at: &Moment) -> Result<Shown, TrackerError> {
        (**self).show_at(name, at)
    }

    fn undo(
        &mut self,
        undo: &Undo,
        progress: &mut dyn FnMut(Share),
    ) -> Result<UndoReport, TrackerError> {
        (**self).undo(undo, progress)
    }

    fn conflicts(&self, name: Option<&str>) -> Result<Vec<Disputed>, TrackerError> {
        (**self).conflicts(name)
    }

    fn settle(
        &mut self,
        name: &str,
        field: &str,
        choice: &Choice,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        (**self).settle(name, field, choice, if_version)
    }

    fn import(
        &mut self,
        file: &str,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, TrackerError> {
        (**self).import(file, input, options, progress)
    }

    fn export(
        &self,
        from: &ExportFrom,
        output: &mut dyn Write,
    ) -> Result<ExportReport, TrackerError> {
        (**self).export(from, output)
    }

    fn exported(&mut self, file: &str, report: &ExportReport) -> Result<(), TrackerError> {
        (**self).exported(file, report)
    }
}
