//! A task list that a node has, for x0x itself: the same interface as the store's, over HTTP. What the node
//! answers is taken exactly, so both say the same.

use std::io::{self, BufRead, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use x0x_tracker::Tracker;
use x0x_tracker::id::{ListId, Version};
use x0x_tracker::interface::record::object;
use x0x_tracker::interface::{
    Agenda, Choice, Comment, Disputed, Draft, ExportFrom, ExportReport, Filter, Holding,
    ImportOptions, ImportReport, IssueLog, Kept, ListInfo, LogFilter, Loss, Members, Moment, Open,
    Patch, Pick, Progress, Release, Ruling, Share, Shown, Stats, Terms, TrackerError, Undo,
    UndoReport, Workers,
};
use x0x_tracker::journal::charter::Role;

use super::calls::{Call, Streamed};
use super::claims::Losses;
use super::client::{Client, ClientError};
use super::edits::AllDisputed;
use super::exchange::{ExportWanted, Frame, ImportWanted, REPORT_HEADER};
use super::issues::{ExactAgenda, ExactPage, Handoffs};
use super::lists::{TaskList, TaskLists};
use super::patch;
use super::query::{PAGE_MAX, Wanted};
use super::requests::{
    ChoiceBody, ClaimBody, CommentBody, EditBody, EditsBody, ExportedBody, GrantBody, HandoffBody,
    HoldingBody, ReleaseBody, ReshardBody, RevocationBody, RulingBody, UndoBody, WorkerBody,
};
use crate::naming::Shut;

/// The longest frame of an answer that is still taken, in bytes.
const FRAME_BYTES_MAX: u32 = 1 << 30;

/// A task list that a node has.
#[derive(Debug)]
pub struct RemoteTracker {
    client: Client,
    list: ListId,
}

impl RemoteTracker {
    /// Returns a list of the node that has the data directory, and answers at an address.
    ///
    /// # Errors
    /// [`TrackerError::Told`] where no node answers, where it speaks another version of its interface, or
    /// where it has no such list.
    pub fn connect(dir: &Path, api: &str, list: ListId) -> Result<Self, TrackerError> {
        let client = Client::with(dir, api).map_err(|error| error.to_tell())?;
        let remote = Self { client, list };
        if remote.info()?.list != list {
            return Err(
                ClientError::NotUnderstood { source: "it has another list".into() }.to_tell()
            );
        }
        Ok(remote)
    }

    /// Copies the list as it stands into a file that must not exist.
    ///
    /// `progress` is told how many bytes have come.
    pub(crate) fn back_up(
        &self,
        file: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), TrackerError> {
        let call = Call::get(&format!("/task-lists/{}/backup", self.list));
        let mut answer = self.client.stream(call)?;
        let whole = answer.length().ok_or_else(|| self.client.gone())?;
        let failed =
            |source| TrackerError::Io { what: format!("cannot write {}", file.display()), source };
        let dir = file.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
        let mut partial = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        let (mut part, mut bytes) = (vec![0; 64 << 10], 0);
        while let length @ 1.. = answer.read(&mut part).map_err(|_gone| self.client.gone())? {
            partial.write_all(&part[..length]).map_err(failed)?;
            bytes += length as u64;
            progress(bytes);
        }
        if bytes != whole {
            return Err(self.client.gone());
        }
        partial.as_file().sync_all().map_err(failed)?;
        partial.persist_noclobber(file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        more: &[(&str, &str)],
    ) -> Result<T, TrackerError> {
        self.client.exact(Call::get(&self.query(path, more)))
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, TrackerError> {
        self.client.exact(Call::post(&self.query(path, &[]), text(body)?))
    }

    /// Returns a path with the list, and more, as its query.
    fn query(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = format!("{path}?list={}", self.list);
        for (name, value) in more {
            query.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        query
    }

    fn wanted(&self, path: &str, wanted: &impl Serialize) -> Result<String, TrackerError> {
        let query = serde_urlencoded::to_string(wanted).map_err(|error| unsendable(&error))?;
        Ok(format!("{path}?{query}"))
    }

    fn list_id(&self) -> Option<String> {
        Some(self.list.to_string())
    }
}

/// Returns the lists of the node that has a data directory.
pub(crate) fn lists_of(dir: &Path, api: &str) -> Result<(Vec<ListInfo>, Shut), TrackerError> {
    let client = Client::with(dir, api).map_err(|error| error.to_tell())?;
    let lists: TaskLists = client.exact(Call::get("/task-lists"))?;
    let shut =
        lists.unopened.into_iter().filter_map(|one| Some((one.id.parse().ok()?, one.held_by)));
    Ok((lists.task_lists.into_iter().map(|list| list.info).collect(), shut.collect()))
}

/// Returns the path of an issue, or of something under it. A name that is one of the words under `/issues`
/// is none of them where it is spelled in another way.
fn of(name: &str, below: &str) -> Result<String, TrackerError> {
    let mut bytes = name.bytes();
    let Some(first) = bytes.next() else {
        return Err(TrackerError::NotFound { name: String::new() });
    };
    let rest: Vec<u8> = bytes.collect();
    let rest = percent_encoding::percent_encode(&rest, NON_ALPHANUMERIC);
    Ok(format!("/issues/%{first:02X}{rest}{below}"))
}

fn text(body: &impl Serialize) -> Result<String, TrackerError> {
    serde_json::to_string(body).map_err(|error| unsendable(&error))
}

fn unsendable(error: &dyn std::fmt::Display) -> TrackerError {
    TrackerError::Invalid {
        field: "request".to_owned(),
        reason: error.to_string(),
        hint: "give values that are valid JSON".to_owned(),
    }
}

impl Tracker for RemoteTracker {
    fn info(&self) -> Result<ListInfo, TrackerError> {
        let list: TaskList = self.client.exact(Call::get(&format!("/task-lists/{}", self.list)))?;
        Ok(list.info)
    }

    fn list(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(&Shown) -> ControlFlow<()>,
    ) -> Result<Option<String>, TrackerError> {
        let (mut page_of, mut left) = (filter.clone(), filter.limit);
        loop {
            page_of.limit = Some(left.unwrap_or(PAGE_MAX).min(PAGE_MAX));
            let wanted = Wanted::of(self.list_id(), &page_of);
            let page: ExactPage =
                self.client.exact(Call::get(&self.wanted("/issues", &wanted)?))?;
            left = left.map(|left| left.saturating_sub(page.issues.len()));
            for shown in &page.issues {
                if visit(shown).is_break() {
                    return Ok(None);
                }
            }
            if page.cursor.is_none() || left == Some(0) {
                return Ok(page.cursor);
            }
            page_of.after = page.cursor;
        }
    }

    fn show(&self, name: &str) -> Result<Shown, TrackerError> {
        self.get(&of(name, "")?, &[])
    }

    fn agenda(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Open) -> ControlFlow<()>,
    ) -> Result<Agenda, TrackerError> {
        let wanted = Wanted::of(self.list_id(), filter);
        let ExactAgenda { open, mut agenda } =
            self.client.exact(Call::get(&self.wanted("/issues/ready", &wanted)?))?;
        // The node met all of them.
        agenda.ready = 0;
        for open in open {
            agenda.ready += u64::from(matches!(open, Open::Ready(_)));
            if visit(open).is_break() {
                break;
            }
        }
        Ok(agenda)
    }

    fn stats(&self) -> Result<Stats, TrackerError> {
        self.get("/issues/stats", &[])
    }

    fn create(&mut self, draft: &Draft) -> Result<Shown, TrackerError> {
        let fields = draft.fields.iter().map(|(name, json)| (name.as_str(), json.as_str()));
        let call = Call::post(&self.query("/issues", &[]), object(fields));
        self.client.exact(call.key(draft.key.as_deref()))
    }

    fn edit(
        &mut self,
        name: &str,
        patch: &Patch,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        let path = self.query(&of(name, "")?, &[]);
        self.client.exact(Call::patch(&path, patch::write(patch)).if_version(if_version))
    }

    fn edit_all(&mut self, edits: &[(String, Patch)]) -> Result<Vec<Shown>, TrackerError> {
        let edit = |(issue, patch): &(String, Patch)| {
            let patch = serde_json::value::RawValue::from_string(patch::write(patch));
            let patch = patch.map_err(|error| unsendable(&error))?;
            Ok(EditBody { issue: issue.clone(), patch })
        };
        let edits: Result<_, TrackerError> = edits.iter().map(edit).collect();
        let body = text(&EditsBody { edits: edits? })?;
        let page: ExactPage = self.client.exact(Call::patch(&self.query("/issues", &[]), body))?;
        Ok(page.issues)
    }

    fn comment(&mut self, name: &str, comment: &Comment) -> Result<Shown, TrackerError> {
        let Comment { body, author, key } = comment.clone();
        let path = self.query(&of(name, "/comments")?, &[]);
        let call = Call::post(&path, text(&CommentBody { body, author })?);
        self.client.exact(call.key(key.as_deref()))
    }

    fn rule(
        &mut self,
        name: &str,
        ruling: &Ruling,
        reason: Option<&str>,
    ) -> Result<Shown, TrackerError> {
        self.post(&of(name, "/rulings")?, &RulingBody::of(ruling, reason))
    }

    fn claim(&mut self, pick: &Pick, terms: &Terms) -> Result<Kept, TrackerError> {
        let body = ClaimBody::of(terms);
        match pick {
            Pick::Issue(name) => self.post(&of(name, "/claim")?, &body),
            Pick::First(filter) => {
                let wanted = Wanted::of(self.list_id(), filter);
                let path = self.wanted("/issues/claim", &wanted)?;
                self.client.exact(Call::post(&path, text(&body)?))
            }
        }
    }

    fn heartbeat(&mut self, holding: &Holding) -> Result<Kept, TrackerError> {
        self.post("/claims/heartbeat", &HoldingBody::of(holding))
    }

    fn losses(&mut self, worker: &str) -> Result<Vec<Loss>, TrackerError> {
        let body = WorkerBody { worker: worker.to_owned() };
        Ok(self.post::<Losses>("/claims/losses", &body)?.lost)
    }

    fn release(&mut self, holding: &Holding, release: &Release) -> Result<Kept, TrackerError> {
        self.post("/claims/release", &ReleaseBody::of(holding, release))
    }

    fn hand_off(&mut self, holding: &Holding, handoff: &str) -> Result<Kept, TrackerError> {
        let body = HandoffBody::of(holding, handoff).map_err(|error| unsendable(&error))?;
        self.post("/claims/handoff", &body)
    }

    fn reshard(
        &mut self,
        name: &str,
        reason: &str,
        ttl_ms: Option<u64>,
    ) -> Result<Shown, TrackerError> {
        self.post(&of(name, "/reshard")?, &ReshardBody { reason: reason.to_owned(), ttl_ms })
    }

    fn members(&self) -> Result<Members, TrackerError> {
        self.get(&format!("/task-lists/{}/members", self.list), &[])
    }

    fn workers(&self) -> Result<Workers, TrackerError> {
        self.get(&format!("/task-lists/{}/workers", self.list), &[])
    }

    fn grant(&mut self, agent: &str, role: Role) -> Result<Members, TrackerError> {
        let body = GrantBody { agent: agent.to_owned(), role };
        self.post(&format!("/task-lists/{}/grants", self.list), &body)
    }

    fn revoke(&mut self, agent: &str, reason: &str) -> Result<Members, TrackerError> {
        let body = RevocationBody { agent: agent.to_owned(), reason: reason.to_owned() };
        self.post(&format!("/task-lists/{}/revocations", self.list), &body)
    }

    fn claims(&self, worker: Option<&str>) -> Result<Vec<Shown>, TrackerError> {
        let worker = worker.map(|worker| ("worker", worker));
        let page: ExactPage = self.get("/claims", worker.as_slice())?;
        Ok(page.issues)
    }

    fn handoffs(&self, name: &str) -> Result<Vec<String>, TrackerError> {
        Ok(self.get::<Handoffs>(&of(name, "/handoffs")?, &[])?.handoffs)
    }

    fn log(&self, name: &str, filter: &LogFilter) -> Result<IssueLog, TrackerError> {
        let limit = filter.limit.map(|limit| limit.min(u32::MAX as usize).to_string());
        let mut more = Vec::new();
        more.extend(filter.field.as_deref().map(|field| ("field", field)));
        more.extend(limit.as_deref().map(|limit| ("limit", limit)));
        self.get(&of(name, "/log")?, &more)
    }

    fn show_at(&self, name: &str, at: &Moment) -> Result<Shown, TrackerError> {
        let at = match at {
            Moment::Time(time) => time.to_string(),
            Moment::Commit(digits) => digits.clone(),
        };
        self.get(&of(name, "")?, &[("at", &at)])
    }

    fn undo(
        &mut self,
        undo: &Undo,
        progress: &mut dyn FnMut(Share),
    ) -> Result<UndoReport, TrackerError> {
        let Undo { what, force, dry_run } = undo.clone();
        let call =
            Call::post(&self.query("/issues/undo", &[]), text(&UndoBody { what, force, dry_run })?);
        frames(&mut self.client.stream(call)?, |frame| match frame {
            Frame::Share(share) => {
                progress(share);
                None
            }
            Frame::Progress(_) => None,
            Frame::Done(done) => Some(done),
        })
    }

    fn conflicts(&self, name: Option<&str>) -> Result<Vec<Disputed>, TrackerError> {
        let path = match name {
            None => "/issues/conflicts".to_owned(),
            Some(name) => of(name, "/conflicts")?,
        };
        Ok(self.get::<AllDisputed>(&path, &[])?.issues)
    }

    fn settle(
        &mut self,
        name: &str,
        field: &str,
        choice: &Choice,
        if_version: Option<Version>,
    ) -> Result<Shown, TrackerError> {
        let field = utf8_percent_encode(field, NON_ALPHANUMERIC);
        let path = self.query(&of(name, &format!("/conflicts/{field}"))?, &[]);
        let body = text(&ChoiceBody::of(choice).map_err(|error| unsendable(&error))?)?;
        self.client.exact(Call::post(&path, body).if_version(if_version))
    }

    fn import(
        &mut self,
        file: &str,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, TrackerError> {
        let wanted = ImportWanted::of(self.list_id(), file, options);
        let path = self.wanted("/issues/import", &wanted)?;
        let mut answer = self.client.send_file(&path, input)?;
        frames(&mut answer, |frame| match frame {
            Frame::Progress(told) => {
                progress(told);
                None
            }
            Frame::Share(_) => None,
            Frame::Done(done) => Some(done),
        })
    }

    fn export(
        &self,
        from: &ExportFrom,
        output: &mut dyn Write,
    ) -> Result<ExportReport, TrackerError> {
        let file = match from {
            ExportFrom::Canonical => None,
            ExportFrom::File(file) => Some(file.clone()),
        };
        let path = self.wanted("/issues/export", &ExportWanted { list: self.list_id(), file })?;
        let mut answer = self.client.stream(Call::get(&path))?;
        let report: ExportReport = answer.header(REPORT_HEADER)?;
        let (mut part, mut hasher) = (vec![0; 64 << 10], blake3::Hasher::new());
        loop {
            let length = answer.read(&mut part).map_err(|_gone| self.client.gone())?;
            if length == 0 {
                break;
            }
            hasher.update(&part[..length]);
            output.write_all(&part[..length]).map_err(cannot_write)?;
        }
        output.flush().map_err(cannot_write)?;
        // What came may end too early.
        if *hasher.finalize().as_bytes() == report.hash {
            Ok(report)
        } else {
            Err(self.client.gone())
        }
    }

    fn exported(&mut self, file: &str, report: &ExportReport) -> Result<(), TrackerError> {
        let noted: ExportReport = self.post("/issues/exported", &ExportedBody::of(file, report))?;
        debug_assert_eq!(noted.hash, report.hash);
        Ok(())
    }
}

fn cannot_write(source: io::Error) -> TrackerError {
    TrackerError::Io { what: "cannot write the file".to_owned(), source }
}

/// Reads what comes while work goes on, until `take` finds what came of it.
fn frames<T: DeserializeOwned>(
    answer: &mut Streamed,
    mut take: impl FnMut(Frame<T>) -> Option<Result<T, TrackerError>>,
) -> Result<T, TrackerError> {
    loop {
        let frame = match frame(answer) {
            Ok(frame) => frame,
            Err(_cut) => return Err(answer.gone()),
        };
        if let Some(done) = take(frame) {
            return done;
        }
    }
}

fn frame<T: DeserializeOwned>(answer: &mut impl Read) -> io::Result<Frame<T>> {
    let mut length = [0; 4];
    answer.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    answer.take(u64::from(length)).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
