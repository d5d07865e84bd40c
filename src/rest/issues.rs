//! Reading issues: what `x0x issues` answers with `--json`, over HTTP.

use std::fmt::Write;
use std::ops::ControlFlow;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;
use x0x_tracker::id::Version;
use x0x_tracker::interface::{Agenda, Filter, LogFilter, Moment, Open, Shown, Stats, TrackerError};
use x0x_tracker::{LocalTracker, Tracker};

use super::answer::{Answer, Form, answer, exact, json as json_answer, tag_of};
use super::asked::{Asked, Named, reading};
use super::body::bad_query;
use super::errors::{Failure, Failures};
use super::query::{InList, PAGE_MAX, Wanted};
use super::schema;

impl Answer for Shown {
    fn json(&self) -> String {
        self.answer_json().unwrap_or_else(|| self.brief_json())
    }

    fn version(&self) -> Option<Version> {
        Some(self.row.version)
    }
}

impl Answer for Stats {
    fn json(&self) -> String {
        self.answer().to_string()
    }
}

/// One page of issues, as x0x itself takes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExactPage {
    pub(super) issues: Vec<Shown>,
    pub(super) cursor: Option<String>,
}

/// Open issues, as x0x itself takes them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExactAgenda {
    pub(super) open: Vec<Open>,
    pub(super) agenda: Agenda,
}

/// Issues, oldest first.
#[utoipa::path(get, path = "/issues", params(Wanted), tag = "issues",
    responses((status = 200, body = schema::IssuePage), Failures))]
pub(super) async fn list(
    Asked { node, form, query: wanted }: Asked<Wanted>,
) -> Result<Response, Failure> {
    if wanted.explain {
        return Err(bad_query("explain is for /issues/ready"));
    }
    let mut filter = wanted.filter()?;
    filter.limit = Some(filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX));
    match form {
        Form::Json => {
            let page = reading(&node, wanted.list, move |tracker| {
                let mut page = Page::default();
                let cursor = visit(tracker, &filter, |shown| page.add(shown))?;
                Ok(page.end(cursor, ""))
            });
            Ok(json_answer(page.await?))
        }
        Form::Exact => {
            let page = reading(&node, wanted.list, move |tracker| {
                let mut issues = Vec::new();
                let cursor = visit(tracker, &filter, |shown| issues.push(shown.clone()))?;
                Ok(ExactPage { issues, cursor })
            });
            exact(&page.await?)
        }
    }
}

fn visit(
    tracker: &LocalTracker,
    filter: &Filter,
    mut each: impl FnMut(&Shown),
) -> Result<Option<String>, TrackerError> {
    tracker.list(filter, &mut |shown| {
        each(shown);
        ControlFlow::Continue(())
    })
}

/// Issues that can be worked on now, in the order of dispatch. All that there are come in one answer, up to
/// the limit.
#[utoipa::path(get, path = "/issues/ready", params(Wanted), tag = "issues",
    responses((status = 200, body = schema::Ready), Failures))]
pub(super) async fn ready(
    Asked { node, form, query: wanted }: Asked<Wanted>,
) -> Result<Response, Failure> {
    if wanted.cursor.is_some() {
        return Err(bad_query("what is ready has no cursor"));
    }
    let filter = wanted.filter()?;
    match form {
        Form::Json => {
            let page = reading(&node, wanted.list, move |tracker| ready_json(tracker, &filter));
            Ok(json_answer(page.await?))
        }
        Form::Exact => {
            let open = reading(&node, wanted.list, move |tracker| {
                let mut all = Vec::new();
                let agenda = tracker.agenda(&filter, &mut |open| {
                    all.push(open);
                    ControlFlow::Continue(())
                })?;
                Ok(ExactAgenda { open: all, agenda })
            });
            exact(&open.await?)
        }
    }
}

fn ready_json(tracker: &LocalTracker, filter: &Filter) -> Result<String, TrackerError> {
    let (mut page, mut waiting) = (Page::default(), Vec::new());
    let agenda = tracker.agenda(filter, &mut |open| {
        match open {
            Open::Ready(shown) => page.add(&shown),
            Open::Waiting(open) => waiting.push(open.answer()),
        }
        ControlFlow::Continue(())
    })?;
    let explained = match filter.explain {
        true => {
            format!(",\"waiting\":{},\"cycles\":{}", Value::from(waiting), json!(agenda.cycles))
        }
        false => String::new(),
    };
    Ok(page.end(None, &explained))
}

/// Of which moment, and which list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct At {
    /// The task list, by name, id or the start of an id; without it the only one.
    list: Option<String>,
    /// As it was at this moment: an RFC 3339 time, a date, or the beginning of a commit's hash.
    at: Option<String>,
}

/// One issue, by its id, its identifier or a unique start of either.
#[utoipa::path(get, path = "/issues/{name}", params(("name" = String, Path), At), tag = "issues",
    responses((status = 200, body = schema::Issue),
        (status = 304, description = "The issue has the version that `If-None-Match` names."), Failures))]
pub(super) async fn show(
    Asked { node, form, query: At { list, at } }: Asked<At>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if let Some(text) = at {
        let at = Moment::parse(&text).ok_or_else(|| bad_query("at: no time and no commit"))?;
        let shown = reading(&node, list, move |tracker| tracker.show_at(&name, &at)).await?;
        return answer(form, &shown);
    }
    let shown = node.keeper().read(list.as_deref(), |tracker| tracker.show(&name)).await??;
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag_of(shown.row.version).as_bytes()) {
        let tag = tag_of(shown.row.version);
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    answer(form, &shown)
}

/// How many issues there are of what kind, and what workers did.
#[utoipa::path(get, path = "/issues/stats", params(InList), tag = "issues",
    responses((status = 200, body = schema::Counts), Failures))]
pub(super) async fn stats(asked: Asked) -> Result<Response, Failure> {
    asked.read(Tracker::stats).await
}

/// Which part of a log, and which list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogWanted {
    /// The task list, by name, id or the start of an id; without it the only one.
    list: Option<String>,
    /// Only what happened to this field.
    field: Option<String>,
    /// How many entries at the most.
    limit: Option<u32>,
}

impl Answer for x0x_tracker::interface::IssueLog {
    fn json(&self) -> String {
        self.answer_json()
    }
}

/// What happened to an issue, newest first.
#[utoipa::path(get, path = "/issues/{name}/log", params(("name" = String, Path), LogWanted),
    tag = "history", responses((status = 200, body = schema::Log), Failures))]
pub(super) async fn log(
    Asked { node, form, query }: Asked<LogWanted>,
    Named(name): Named,
) -> Result<Response, Failure> {
    let LogWanted { list, field, limit } = query;
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let filter = LogFilter { field, limit };
    answer(form, &reading(&node, list, move |tracker| tracker.log(&name, &filter)).await?)
}

/// Every handoff of an issue, as x0x itself takes them and as programs do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Handoffs {
    pub(super) handoffs: Vec<String>,
}

impl Answer for Handoffs {
    fn json(&self) -> String {
        format!("{{\"handoffs\":[{}]}}", self.handoffs.join(","))
    }
}

/// Every handoff that was ever made of an issue.
#[utoipa::path(get, path = "/issues/{name}/handoffs", params(("name" = String, Path), InList),
    tag = "claims", responses((status = 200, body = schema::Handoffs), Failures))]
pub(super) async fn handoffs(asked: Asked, Named(name): Named) -> Result<Response, Failure> {
    asked.read(move |tracker| Ok(Handoffs { handoffs: tracker.handoffs(&name)? })).await
}

impl Answer for ExactPage {
    fn json(&self) -> String {
        let mut page = Page::default();
        self.issues.iter().for_each(|shown| page.add(shown));
        page.end(self.cursor.clone(), "")
    }
}

/// Issues as they are written into an answer.
#[derive(Debug, Default)]
struct Page {
    issues: String,
}

impl Page {
    fn add(&mut self, shown: &Shown) {
        if !self.issues.is_empty() {
            self.issues.push(',');
        }
        self.issues.push_str(&shown.json());
    }

    fn end(self, cursor: Option<String>, more: &str) -> String {
        let cursor = cursor.map_or(Value::Null, Value::from);
        let mut page = String::with_capacity(self.issues.len() + more.len() + 64);
        // Writing to a text cannot fail.
        let _written =
            write!(page, "{{\"issues\":[{}],\"next_cursor\":{cursor}{more}}}", self.issues);
        page
    }
}
