//! Task lists and who belongs to them, over HTTP.

use std::fs::File;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use x0x_tracker::Tracker;
use x0x_tracker::id::AgentId;
use x0x_tracker::interface::{ListInfo, Members, TrackerError, Workers};
use x0x_tracker::journal::charter::Role;

use super::answer::{Answer, Form, answer};
use super::asked::{Named, reading, writing};
use super::body::Unread;
use super::errors::{Failure, Failures};
use super::exchange::in_parts;
use super::requests::{GrantBody, InviteBody, JoinBody, RevocationBody};
use super::schema;
use crate::home::io_error;
use crate::node::{Node, Unopened, unopened};
use crate::wire::{Ticket, TicketError};

/// How long a ticket is good for at most.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// A task list, with the role of this agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskList {
    pub(super) info: ListInfo,
    role: Option<Role>,
}

impl TaskList {
    fn of(tracker: &x0x_tracker::LocalTracker, me: AgentId) -> Result<Self, TrackerError> {
        Ok(Self { info: tracker.info()?, role: tracker.charter()?.role(me) })
    }

    fn value(&self) -> serde_json::Value {
        let ListInfo { list, name, prefix, issues, commits, .. } = &self.info;
        serde_json::json!({
            "id": list.to_string(),
            "name": name,
            "prefix": prefix,
            "issues": issues,
            "commits": commits,
            "role": self.role,
        })
    }
}

impl Answer for TaskList {
    fn json(&self) -> String {
        self.value().to_string()
    }
}

/// Task lists, as both forms have them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskLists {
    pub(super) task_lists: Vec<TaskList>,
    #[serde(default)]
    pub(super) unopened: Vec<Unopened>,
}

impl Answer for TaskLists {
    fn json(&self) -> String {
        let lists: Vec<String> = self.task_lists.iter().map(TaskList::json).collect();
        let unopened = serde_json::json!(self.unopened);
        format!("{{\"task_lists\":[{}],\"unopened\":{unopened}}}", lists.join(","))
    }
}

/// The task lists of this node.
#[utoipa::path(get, path = "/task-lists", tag = "task lists",
    responses((status = 200, body = schema::TaskLists), Failures))]
pub(super) async fn task_lists(
    State(node): State<Node>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let me = node.agent();
    let task_lists = node.keeper().each(|tracker| TaskList::of(tracker, me)).await??;
    let unopened = unopened(node.keeper().shut_lists());
    answer(Form::of(&headers), &TaskLists { task_lists, unopened })
}

/// One task list, by name, id or the start of an id.
#[utoipa::path(get, path = "/task-lists/{list}", params(("list" = String, Path)), tag = "task lists",
    responses((status = 200, body = schema::TaskList), Failures))]
pub(super) async fn task_list(
    State(node): State<Node>,
    Named(list): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let me = node.agent();
    let list = node.keeper().read(Some(&list), |tracker| TaskList::of(tracker, me)).await??;
    answer(Form::of(&headers), &list)
}

/// A copy of a task list in one file, as `x0x restore` takes it. The agent's key is not in it.
#[utoipa::path(get, path = "/task-lists/{list}/backup", params(("list" = String, Path)),
    tag = "task lists",
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), Failures))]
pub(super) async fn backup(
    State(node): State<Node>,
    Named(list): Named,
) -> Result<Response, Failure> {
    let dir = node.keeper().dir();
    let failed = |source| Failure::from(io_error("keep a file in", dir, source));
    // The file goes with the folder, once it was sent.
    let folder = tempfile::tempdir_in(dir).map_err(failed)?;
    let path = folder.path().join("backup");
    node.keeper().copy(Some(list), path.clone()).await??;
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, in_parts(file)).into_response())
}

impl Answer for Members {
    fn json(&self) -> String {
        self.answer_json()
    }
}

/// Who belongs to a task list, what each may do, and who belongs to it no more.
#[utoipa::path(get, path = "/task-lists/{list}/members", params(("list" = String, Path)),
    tag = "task lists", responses((status = 200, body = schema::Members), Failures))]
pub(super) async fn members(
    State(node): State<Node>,
    Named(list): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let members = reading(&node, Some(list), |tracker| tracker.members());
    answer(Form::of(&headers), &members.await?)
}

impl Answer for Workers {
    fn json(&self) -> String {
        self.answer_json()
    }
}

/// Who works on a task list: whether each member is there, what it holds, and what became of its claims.
#[utoipa::path(get, path = "/task-lists/{list}/workers", params(("list" = String, Path)),
    tag = "task lists", responses((status = 200, body = schema::Workers), Failures))]
pub(super) async fn workers(
    State(node): State<Node>,
    Named(list): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let workers = reading(&node, Some(list), |tracker| tracker.workers());
    answer(Form::of(&headers), &workers.await?)
}

/// Gives an agent a role, a higher or a lower one than it has. Only a maintainer may.
#[utoipa::path(post, path = "/task-lists/{list}/grants", params(("list" = String, Path)),
    request_body = GrantBody, tag = "task lists",
    responses((status = 200, body = schema::Members), Failures))]
pub(super) async fn grant(
    State(node): State<Node>,
    Named(list): Named,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let GrantBody { agent, role } = body.object().await?;
    let members = writing(&node, Some(list), move |tracker| tracker.grant(&agent, role));
    answer(Form::of(&headers), &members.await?)
}

/// Takes every role from an agent. Only a maintainer may.
#[utoipa::path(post, path = "/task-lists/{list}/revocations", params(("list" = String, Path)),
    request_body = RevocationBody, tag = "task lists",
    responses((status = 200, body = schema::Members), Failures))]
pub(super) async fn revoke(
    State(node): State<Node>,
    Named(list): Named,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Failure> {
    let RevocationBody { agent, reason } = body.object().await?;
    let members = writing(&node, Some(list), move |tracker| tracker.revoke(&agent, &reason));
    answer(Form::of(&headers), &members.await?)
}

#[derive(Serialize)]
struct Invited {
    ticket: String,
    role: Role,
    expires_at_ms: i64,
}

/// Makes a ticket that lets one agent join a task list.
#[utoipa::path(post, path = "/task-lists/{list}/invites", params(("list" = String, Path)),
    request_body = InviteBody, tag = "task lists",
    responses((status = 200, body = schema::Invited), Failures))]
pub(super) async fn invite(
    State(node): State<Node>,
    Named(list): Named,
    body: Unread,
) -> Result<Response, Failure> {
    let InviteBody { role, lifetime_ms } = body.object().await?;
    let lifetime = Duration::from_millis(lifetime_ms).min(LIFETIME_MAX);
    let list = node.keeper().named(Some(&list)).await??;
    let ticket = node.invite(list, role, lifetime).await??;
    let (text, expires_at_ms) = (ticket.to_string(), ticket.expires_at_ms);
    Ok(Json(Invited { ticket: text, role, expires_at_ms }).into_response())
}

#[derive(Serialize)]
struct Joined {
    list: String,
    name: String,
    role: Role,
}

/// Joins a task list by a ticket. Answers once it is joined, however long its issuer is away.
#[utoipa::path(post, path = "/joins", request_body = JoinBody, tag = "task lists",
    responses((status = 200, body = schema::Joined), Failures))]
pub(super) async fn join(State(node): State<Node>, body: Unread) -> Result<Response, Failure> {
    let ticket: Ticket = body.object::<JoinBody>().await?.ticket.parse().map_err(|error| {
        let error: TicketError = error;
        let hint = "paste what `x0x invite` printed, whole";
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_ticket", &error.to_string(), hint)
    })?;
    let (list, name) = (ticket.list.to_string(), ticket.name.clone());
    let role = node.join(ticket).await??;
    Ok(Json(Joined { list, name, role }).into_response())
}
