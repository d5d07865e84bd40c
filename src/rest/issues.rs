//! Reading task lists and their issues: what `x0x issues` answers with `--json`, over HTTP.

use std::fmt::Write;
use std::ops::ControlFlow;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x0x_tracker::id::AgentId;
use x0x_tracker::interface::{Filter, ListInfo, Open, Shown, TrackerError};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::{LocalTracker, Tracker};

use super::errors::Failure;
use crate::home::HomeError;
use crate::naming;
use crate::node::Node;

/// The most issues of one answer; a cursor leads to the next.
const PAGE_MAX: usize = 1_000;

/// Which issues, as a query says it. Lists are separated by commas.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    /// The list, by name, id or the start of an id; without it the only one.
    list: Option<String>,
    state: Option<String>,
    label: Option<String>,
    /// Numbers, or `none` for issues without a priority.
    priority: Option<String>,
    holder: Option<String>,
    assignee: Option<String>,
    text: Option<String>,
    updated_since: Option<String>,
    /// Removed issues too.
    deleted: bool,
    limit: Option<usize>,
    /// Where the last answer ended: its `next_cursor`.
    cursor: Option<String>,
}

/// Which list alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InList {
    list: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Failure> {
        let parts = |typed: &Option<String>| -> Vec<String> {
            let parts = typed.iter().flat_map(|typed| typed.split(',')).map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let priority = |text: &String| match text.as_str() {
            "none" => Ok(None),
            number => number.parse().map(Some).map_err(|_bad| {
                let detail = format!("priority: '{number}' is neither a number nor 'none'");
                bad_query(&detail)
            }),
        };
        Ok(Filter {
            states: parts(&self.state),
            labels: parts(&self.label).iter().map(|label| label.to_lowercase()).collect(),
            priorities: parts(&self.priority).iter().map(priority).collect::<Result<_, _>>()?,
            holder: self.holder.clone(),
            assignee: self.assignee.clone(),
            text: self.text.clone(),
            updated_since: self.updated_since.clone(),
            deleted: self.deleted,
            limit: Some(self.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX)),
            after: self.cursor.clone(),
            with_json: true,
        })
    }
}

/// A task list, as programs see it.
#[derive(Debug, Serialize)]
pub(super) struct TaskList {
    id: String,
    name: String,
    prefix: String,
    issues: u64,
    commits: u64,
    /// This agent's role; `null` where it is no member.
    role: Option<Role>,
}

impl TaskList {
    fn of(tracker: &LocalTracker, me: AgentId) -> Result<Self, TrackerError> {
        let ListInfo { list, name, prefix, issues, commits, .. } = tracker.info()?;
        let role = tracker.charter()?.role(me);
        Ok(Self { id: list.to_string(), name, prefix, issues, commits, role })
    }
}

#[derive(Debug, Serialize)]
pub(super) struct TaskLists {
    task_lists: Vec<TaskList>,
}

#[derive(Debug, Serialize)]
pub(super) struct Member {
    agent_id: String,
    role: Role,
}

#[derive(Debug, Serialize)]
pub(super) struct Members {
    members: Vec<Member>,
}

pub(super) async fn task_lists(State(node): State<Node>) -> Result<Json<TaskLists>, Failure> {
    let me = node.agent();
    let lists = node.keeper().ask(move |shelf| -> Result<Vec<TaskList>, TrackerError> {
        shelf.lists().map(|(_, tracker)| TaskList::of(tracker, me)).collect()
    });
    Ok(Json(TaskLists { task_lists: lists.await?? }))
}

pub(super) async fn task_list(
    State(node): State<Node>,
    list: Result<Path<String>, PathRejection>,
) -> Result<Json<TaskList>, Failure> {
    let (me, list) = (node.agent(), named(list)?);
    Ok(Json(reading(&node, Some(list), move |tracker| TaskList::of(tracker, me)).await?))
}

pub(super) async fn members(
    State(node): State<Node>,
    list: Result<Path<String>, PathRejection>,
) -> Result<Json<Members>, Failure> {
    let members = reading(&node, Some(named(list)?), |tracker| {
        let charter = tracker.charter()?;
        let member = |(agent, role): (AgentId, Role)| Member { agent_id: agent.to_string(), role };
        Ok(charter.members().into_iter().map(member).collect())
    });
    Ok(Json(Members { members: members.await? }))
}

pub(super) async fn list(
    State(node): State<Node>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Failure> {
    let listed = page(&node, typed(wanted)?, |tracker, filter, page| {
        tracker.list(filter, &mut |shown| {
            page.add(shown);
            ControlFlow::Continue(())
        })
    });
    listed.await
}

/// The issues that are ready, in the order of dispatch; all that there are come in one answer, up to the
/// limit, so there is no cursor.
pub(super) async fn ready(
    State(node): State<Node>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Failure> {
    let wanted = typed(wanted)?;
    if wanted.cursor.is_some() {
        return Err(bad_query("what is ready has no cursor"));
    }
    let listed = page(&node, wanted, |tracker, filter, page| {
        let agenda = tracker.agenda(filter, &mut |open| {
            if let Open::Ready(shown) = open {
                page.add(&shown);
            }
            ControlFlow::Continue(())
        });
        agenda.map(|_counts| None)
    });
    listed.await
}

pub(super) async fn show(
    State(node): State<Node>,
    name: Result<Path<String>, PathRejection>,
    wanted: Result<Query<InList>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (name, InList { list }) = (named(name)?, typed(wanted)?);
    let shown = reading(&node, list, move |tracker| tracker.show(&name)).await?;
    let tag = format!("\"{}\"", shown.row.version);
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let body = shown.answer_json().unwrap_or_default();
    Ok(([(header::ETAG, tag)], json(body)).into_response())
}

/// Answers with the issues that `fill` adds; it returns where more would follow.
async fn page(
    node: &Node,
    wanted: Wanted,
    fill: impl FnOnce(&LocalTracker, &Filter, &mut Page) -> Result<Option<String>, TrackerError>
    + Send
    + 'static,
) -> Result<Response, Failure> {
    let filter = wanted.filter()?;
    let page = reading(node, wanted.list, move |tracker| {
        let mut page = Page::default();
        let cursor = fill(tracker, &filter, &mut page)?;
        Ok(page.end(cursor))
    });
    Ok(json(page.await?))
}

/// Reads one list, in the thread that has the stores.
async fn reading<T: Send + 'static>(
    node: &Node,
    list: Option<String>,
    read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError> + Send + 'static,
) -> Result<T, Failure> {
    let done = node.keeper().ask(move |shelf| -> Result<T, HomeError> {
        let infos: Result<Vec<ListInfo>, _> = shelf.lists().map(|(_, open)| open.info()).collect();
        let list = naming::which(&infos?, list.as_deref(), shelf.home().dir())?;
        let dir = shelf.home().dir().to_owned();
        let tracker = shelf.list(list).ok_or(HomeError::UnknownList { list, dir })?;
        Ok(read(tracker)?)
    });
    Ok(done.await??)
}

/// Issues as they are written into an answer.
#[derive(Debug, Default)]
struct Page {
    issues: String,
}

impl Page {
    fn add(&mut self, shown: &Shown) {
        let Some(issue) = shown.answer_json() else { return };
        if !self.issues.is_empty() {
            self.issues.push(',');
        }
        self.issues.push_str(&issue);
    }

    fn end(self, cursor: Option<String>) -> String {
        let cursor = cursor.map_or(Value::Null, Value::from);
        let mut page = String::with_capacity(self.issues.len() + 64);
        // Writing to a text cannot fail.
        let _written = write!(page, "{{\"issues\":[{}],\"next_cursor\":{cursor}}}", self.issues);
        page
    }
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn typed<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Failure> {
    match query {
        Ok(Query(typed)) => Ok(typed),
        Err(rejection) => Err(bad_query(&rejection.body_text())),
    }
}

/// Returns the name in a path.
pub(super) fn named(path: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    match path {
        Ok(Path(name)) => Ok(name),
        Err(rejection) => {
            let hint = "write names in UTF-8, with %XX for what may not stand in a path";
            let (status, detail) = (StatusCode::BAD_REQUEST, rejection.body_text());
            Err(Failure::new(status, "bad_request", &detail, hint))
        }
    }
}

fn bad_query(detail: &str) -> Failure {
    let hint = "parameters are list, state, label, priority, holder, assignee, text, updated_since, \
                deleted, limit and cursor; several values are separated by commas";
    Failure::new(StatusCode::BAD_REQUEST, "bad_request", detail, hint)
}
