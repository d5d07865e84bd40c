//! A task list on the embedded store: the [`Tracker`] that needs no node.
//!
//! Puts the parts together; what an edit means is decided in `document` and `jsonl`, what bytes lie
//! where in `store`.

mod aging;
mod beats;
mod blocking;
mod board;
mod carried;
mod check;
mod claiming;
mod claims;
mod conflicts;
mod contesting;
mod editing;
mod edition;
mod exchange;
mod export;
mod fields;
mod fork;
mod handoff;
mod history;
mod holding;
mod import;
mod losses;
mod members;
mod names;
mod outcomes;
mod outgoing;
mod query;
mod reissue;
mod retract;
mod rivals;
mod row;
mod ruling;
mod salvage;
mod search;
mod senses;
mod sharing;
mod slates;
mod tickets;
mod undo;
mod watching;
mod workers;

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::claim::Uptime;
use crate::document::{Content, Edit};
use crate::id;
use crate::id::Version;
use crate::interface::request::{Comment, Draft, ExportFrom, Filter, ImportOptions, Patch, Ruling};
use crate::interface::{
    Agenda, Choice, Disputed, ExportReport, Holding, ImportReport, IssueLog, Kept, ListInfo,
    LogFilter, Loss, Members, Moment, Open, Pick, Progress, Release, Share, Shown, Stats, Terms,
    Tracker, TrackerError, Undo, UndoReport, Workers,
};
use crate::journal::JournalError;
use crate::journal::charter::Role;
use crate::journal::signature::{Signer, Verifier};
use crate::store::{Journal, Meta, Reading, Repair, SharedLock, Store, StoreLock, Table, Tables};
use crate::timestamp::Timestamp;

pub use carried::{HEADS_MAX, IssueAt};
pub use check::FAULTS_MAX;
pub use contesting::Parted;
pub use edition::founding;
pub use exchange::{LOGS_PER_AGENT_MAX, LOGS_PER_LIST_MAX, Received, Verdict};
pub use fork::Settled;
pub use outgoing::Outgoing;
pub use reissue::Reissued;
pub use salvage::{LostEdit, OutgoingLost};
pub use senses::{FREED_MAX, Senses};
pub use tickets::{TICKETS_MAX, TicketRefusal, Welcome};
pub use watching::Outlook;

use editing::{date, edit_one};
use ruling::may_rule;

/// Below this many written issues the file of a store is not shrunk.
const SHRINK_FROM_WRITES: u64 = 1_000;

/// Tells what time it is.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Tells how long the machine has been running.
pub type UptimeClock = Box<dyn Fn() -> Uptime + Send + Sync>;

/// Fills bytes with randomness.
pub type Entropy = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// What the tracker asks of the machine it runs on.
pub struct Host {
    /// Signs commits in the name of this agent.
    pub signer: Box<dyn Signer>,
    /// Checks commits of others.
    pub verifier: Box<dyn Verifier>,
    /// Tells what time it is.
    pub clock: Clock,
    /// Tells how long the machine has been running, sleep included.
    pub uptime: UptimeClock,
    /// Fills bytes with randomness.
    pub entropy: Entropy,
    /// What a node tells of others, while one runs on the store.
    pub senses: Arc<Senses>,
}

/// A task list on the embedded store.
pub struct LocalTracker {
    store: Store,
    host: Option<Arc<Host>>,
    /// Who reads, and when; a writer asks its host.
    outlook: Outlook,
    /// Held as long as this may write, or rehearses it.
    _lock: Lock,
}

/// What keeps others from writing meanwhile.
enum Lock {
    None,
    Whole { _lock: Arc<StoreLock> },
    Shared { _lock: SharedLock },
}

impl LocalTracker {
    /// Opens a list to read; waits for nobody and changes nothing.
    pub fn open_to_read(path: &Path) -> Result<Self, TrackerError> {
        Ok(Self::reader(Store::open_to_read(path)?))
    }

    /// Returns the list as somebody sees it at some time: whose claims are their own, and which have
    /// lapsed.
    pub fn seen_by(self, outlook: Outlook) -> Self {
        Self { outlook, ..self }
    }

    /// Returns what the list in a file is, also where the file has an older format.
    pub fn info_of_any_format(path: &Path) -> Result<ListInfo, TrackerError> {
        Self::reader(Store::open_to_copy(path)?).info()
    }

    /// Opens a list to write, under the lock of the data directory, which several lists may share.
    pub fn open_to_write(
        path: &Path,
        host: Host,
        lock: impl Into<Arc<StoreLock>>,
    ) -> Result<Self, TrackerError> {
        let store = Store::open_to_write(path)?;
        Ok(Self { _lock: Lock::Whole { _lock: lock.into() }, ..Self::over(store, host) })
    }

    /// Opens a list for writes that stay in memory; changes nothing.
    pub fn open_to_rehearse(
        path: &Path,
        host: Host,
        lock: SharedLock,
    ) -> Result<Self, TrackerError> {
        let store = Store::open_to_rehearse(path)?;
        Ok(Self { _lock: Lock::Shared { _lock: lock }, ..Self::over(store, host) })
    }

    /// Opens a list to read after every page of its store was verified; changes nothing.
    pub fn open_to_check(path: &Path) -> Result<Self, TrackerError> {
        Ok(Self::reader(Store::open_to_check(path)?))
    }

    fn reader(store: Store) -> Self {
        Self { store, host: None, outlook: Outlook::default(), _lock: Lock::None }
    }

    /// Returns a list whose store is open to write, and which nobody else can open.
    pub fn over(store: Store, host: Host) -> Self {
        Self { store, host: Some(Arc::new(host)), outlook: Outlook::default(), _lock: Lock::None }
    }

    /// Returns whether opening had to repair what an interrupted writer left, and where it did.
    pub fn repair(&self) -> Option<Repair> {
        self.store.repair()
    }

    /// Checks everything that follows from something else: the chain of each log, documents against
    /// the commits, rows, records and names against the documents, the lines of files against each
    /// other. Signatures are checked where they are kept and the signer's key is known.
    ///
    /// Returns what is wrong, at most [`FAULTS_MAX`] sentences. Reads everything, and writes nothing.
    pub fn check(&self, verifier: &dyn Verifier) -> Result<Vec<String>, TrackerError> {
        check::run(&self.store.read()?, verifier)
    }

    /// Returns the host of a list that was opened to write.
    fn host(&self) -> Result<&Host, TrackerError> {
        self.host.as_deref().ok_or_else(|| TrackerError::Busy {
            holder: "nobody, but this list was opened to read".to_owned(),
        })
    }

    fn outlook(&self) -> Outlook {
        let of = |host: &Host| Outlook {
            agent: Some(host.signer.agent()),
            uptime: (host.uptime)(),
            now: (host.clock)(),
            senses: host.senses.clone(),
        };
        self.host.as_deref().map_or_else(|| self.outlook.clone(), of)
    }

    fn shown(&self, row_key: &[u8]) -> Result<Shown, TrackerError> {
        names::shown(&self.store.read()?, row_key, self.outlook())
    }

    /// Changes one issue by an edit made from its content, and returns it.
    fn change(
        &mut self,
        name: &str,
        if_version: Option<Version>,
        plan: impl FnOnce(&Reading, &Content, Timestamp) -> Result<Edit, TrackerError>,
    ) -> Result<Shown, TrackerError> {
        let reading = self.store.read()?;
        let row_key = names::resolve(&reading, name)?;
        let row = names::row(&reading, &row_key)?;
        let mut document = names::document(&reading, row.key)?;
        let content = document.read();
        if let Some(expected) = if_version.filter(|expected| *expected != content.issue.version) {
            let found = content.issue.version;
            return Err(TrackerError::VersionMismatch { name: row.id, expected, found });
        }
        let now = (self.host()?.clock)();
        let mut edit = plan(&reading, &content, now)?;
        if edit.needs_maintainer(&content) && !may_rule(&reading, self.host()?)? {
            let agent = self.host()?.signer.agent();
            return Err(JournalError::NotAllowed { agent }.into());
        }
        if edit.is_empty() {
            return self.shown(&row_key);
        }
        date(&mut edit, &content, now);
        let mut edition = edition::Edition::start(&self.store, self.host()?)?;
        edition.write(&mut document, &edit, None)?;
        fields::fits_a_line(edition.tables(), row.key)?;
        edition.finish()?;
        self.shown(&row_key)
    }
}

impl Tracker for LocalTracker {
    fn info(&self) -> Result<ListInfo, TrackerError> {
        let reading = self.store.read()?;
        Ok(ListInfo {
            list: reading.list_id()?,
            name: reading.list_name()?,
            prefix: reading.prefix()?,
            joined: !reading.statements()?.is_empty(),
            issues: reading.len(Table::Rows)?,
            commits: reading.len(Table::Commits)?,
        })
    }

    fn list(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
    ) -> Result<Option<String>, TrackerError> {
        query::list(&self.store.read()?, filter, self.outlook(), visit)
    }

    fn show(&self, name: &str) -> Result<Shown, TrackerError> {
        let reading = self.store.read()?;
        let row_key = names::resolve(&reading, name)?;
        rivals::with(&reading, names::shown(&reading, &row_key, self.outlook())?)
    }

    fn agenda(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Open) -> ControlFlow<()>,
    ) -> Result<Agenda, TrackerError> {
        query::agenda(&self.store.read()?, filter, self.outlook(), visit)
    }

    fn stats(&self) -> Result<Stats, TrackerError> {
        let mut stats = query::stats(&self.store.read()?, self.outlook())?;
        stats.store_bytes = self.store.bytes();
        Ok(stats)
    }

    fn create(&mut self, draft: &Draft) -> Result<Shown, TrackerError> {
        self.create_from(draft)
    }

    fn edit(
        &mut self,
        name: &str,
        patch: &Patch,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        self.change(name, if_version, |reading, content, _| {
            fields::of_patch(reading, content, patch)
        })
    }

    fn edit_all(&mut self, edits: &[(String, Patch)]) -> Result<Vec<Shown>, TrackerError> {
        let host = self.host()?;
        let mut edition = edition::Edition::start(&self.store, host)?;
        let may_rule = may_rule(edition.tables(), host)?;
        let mut row_keys = Vec::new();
        for (at, (name, patch)) in edits.iter().enumerate() {
            let edited = edit_one(&mut edition, host, name, patch, may_rule);
            row_keys.push(edited.map_err(|source| TrackerError::OneOfSeveral {
                place: at + 1,
                count: edits.len(),
                name: name.clone(),
                source: Box::new(source),
            })?);
        }
        edition.finish()?;
        row_keys.iter().map(|row_key| self.shown(row_key)).collect()
    }

    fn comment(&mut self, name: &str, comment: &Comment) -> Result<Shown, TrackerError> {
        let host = self.host()?;
        let author = comment.author.clone().unwrap_or_else(|| host.signer.agent().to_string());
        let (agent, mut random) = (host.signer.agent(), [0; 8]);
        (host.entropy)(&mut random);
        self.change(name, None, |reading, content, now| {
            let entropy = match &comment.key {
                None => random,
                Some(key) => {
                    let wish = ["comment", content.issue.id(), key];
                    id::entropy_of_wish(reading.list_id()?, agent, &wish)
                }
            };
            let id = id::issue_id("c", entropy);
            fields::of_comment(content, &id, &author, &comment.body, now)
        })
    }

    fn rule(
        &mut self,
        name: &str,
        ruling: &Ruling,
        reason: Option<&str>,
    ) -> Result<Shown, TrackerError> {
        claims::check_reason(reason)?;
        self.change(name, None, |reading, content, _| {
            ruling::plan(reading, content, ruling, reason)
        })
    }

    fn claim(&mut self, pick: &Pick, terms: &Terms) -> Result<Kept, TrackerError> {
        claims::claim(&self.store, self.host()?, pick, terms)
    }

    fn heartbeat(&mut self, holding: &Holding) -> Result<Kept, TrackerError> {
        claims::heartbeat(&self.store, self.host()?, holding)
    }

    fn losses(&mut self, worker: &str) -> Result<Vec<Loss>, TrackerError> {
        losses::told(&self.store, self.host()?, worker)
    }

    fn release(&mut self, holding: &Holding, release: &Release) -> Result<Kept, TrackerError> {
        claims::release(&self.store, self.host()?, holding, release)
    }

    fn hand_off(&mut self, holding: &Holding, handoff: &str) -> Result<Kept, TrackerError> {
        claims::hand_off(&self.store, self.host()?, holding, handoff)
    }

    fn reshard(
        &mut self,
        name: &str,
        reason: &str,
        ttl_ms: Option<u64>,
    ) -> Result<Shown, TrackerError> {
        claims::reshard(&self.store, self.host()?, name, reason, ttl_ms)
    }

    fn members(&self) -> Result<Members, TrackerError> {
        self.everybody()
    }

    fn workers(&self) -> Result<Workers, TrackerError> {
        workers::list(&self.store.read()?, self.outlook())
    }

    fn grant(&mut self, agent: &str, role: Role) -> Result<Members, TrackerError> {
        self.give_role(agent, role)
    }

    fn revoke(&mut self, agent: &str, reason: &str) -> Result<Members, TrackerError> {
        self.take_role(agent, reason)
    }

    fn claims(&self, worker: Option<&str>) -> Result<Vec<Shown>, TrackerError> {
        let outlook = self.outlook();
        let Some(agent) = outlook.agent else { return Ok(Vec::new()) };
        let reading = self.store.read()?;
        let own = holding::own(&reading, agent, worker)?;
        let shown = |row_key: &Vec<u8>| names::shown(&reading, row_key, outlook.clone());
        own.held.iter().map(shown).collect()
    }

    fn handoffs(&self, name: &str) -> Result<Vec<String>, TrackerError> {
        let reading = self.store.read()?;
        let row = names::row(&reading, &names::resolve(&reading, name)?)?;
        Ok(holding::handoffs(&names::document(&reading, row.key)?.read()))
    }

    fn log(&self, name: &str, filter: &LogFilter) -> Result<IssueLog, TrackerError> {
        history::log(&self.store.read()?, name, filter)
    }

    fn show_at(&self, name: &str, at: &Moment) -> Result<Shown, TrackerError> {
        history::show_at(&self.store.read()?, name, at)
    }

    fn undo(
        &mut self,
        undo: &Undo,
        progress: &mut dyn FnMut(Share),
    ) -> Result<UndoReport, TrackerError> {
        undo::run(&self.store, self.host()?, undo, progress)
    }

    fn conflicts(&self, name: Option<&str>) -> Result<Vec<Disputed>, TrackerError> {
        conflicts::list(&self.store.read()?, name)
    }

    fn settle(
        &mut self,
        name: &str,
        field: &str,
        choice: &Choice,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        self.change(name, if_version, |reading, content, _| {
            conflicts::settlement(reading, content, field, choice)
        })
    }

    fn import(
        &mut self,
        file: &str,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, TrackerError> {
        let report = import::run(&self.store, self.host()?, file, input, options, progress)?;
        let issues = self.store.read()?.len(Table::Rows)?;
        // Moving pages makes durable what others wrote and nobody signed yet.
        let may_shrink = !options.dry_run && !self.store.is_sharing();
        if may_shrink && is_large(report.writes() as u64, issues) {
            self.store.shrink()?;
        }
        Ok(report)
    }

    fn export(
        &self,
        from: &ExportFrom,
        output: &mut dyn Write,
    ) -> Result<ExportReport, TrackerError> {
        let reading = self.store.read()?;
        match from {
            ExportFrom::Canonical => export::canonical(&reading, output),
            ExportFrom::File(file) => export::file(&reading, file, output),
        }
    }

    fn exported(&mut self, file: &str, report: &ExportReport) -> Result<(), TrackerError> {
        self.host()?;
        export::record(&self.store, file, report)
    }
}

/// Tells whether a writing replaced so much of a store that shrinking its file is worth the time.
fn is_large(writes: u64, issues: u64) -> bool {
    writes >= SHRINK_FROM_WRITES && writes * 4 >= issues
}
