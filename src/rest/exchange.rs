//! JSONL files over HTTP: a file comes in whole before anything is imported of it, and is made whole before
//! it is sent, so that neither a slow client nor a large file holds up the store or fills memory.

use std::fs::File;
use std::future::Future;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::pin::Pin;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::stream;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::IntoParams;
use x0x_tracker::Tracker;
use x0x_tracker::interface::{
    ExportFrom, ExportReport, ImportOptions, Progress, Share, TrackerError, Undo,
};

use super::answer::{Answer, EXACT_TYPE, Form, answer, json};
use super::asked::{Asked, reading};
use super::body::{Unread, too_large, too_slow};
use super::edits::Undone;
use super::errors::{Failure, Failures};
use super::query::InList;
use super::requests::{ExportedBody, UndoBody};
use super::schema;
use crate::home::io_error;
use crate::node::{Node, Stopped};

/// The largest file to import, in bytes. It is kept on disk meanwhile.
const IMPORT_BYTES_MAX: u64 = 1 << 30;

/// How much of a file is sent at once.
const PART_BYTES: usize = 64 << 10;

/// The header in which an export says what it wrote, to x0x itself.
pub(super) const REPORT_HEADER: &str = "x0x-report";

/// The type of a JSONL file.
const JSONL_TYPE: &str = "application/jsonl";

/// A part of an answer that comes while the work goes on; each has its length before it (32 bits, big
/// endian).
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Frame<T> {
    /// How far an import is.
    Progress(Progress),
    /// How far an undo is.
    Share(Share),
    /// What came of it; the last frame.
    Done(Result<T, TrackerError>),
}

/// How to import, and into which list.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportWanted {
    /// The task list, by name, id or the start of an id; without it the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    /// The name of the file: what was last imported or exported under it is the base of the merge.
    file: String,
    /// Change nothing; say what would be changed.
    dry_run: bool,
    /// Import the good lines of a file that has bad ones.
    keep_going: bool,
    /// Take the file's value also where it is an older one.
    take_file: bool,
    /// Remove issues whose line disappeared from the file.
    prune: bool,
}

impl ImportWanted {
    pub(super) fn of(list: Option<String>, file: &str, options: &ImportOptions) -> Self {
        let ImportOptions { dry_run, keep_going, take_file, prune } = *options;
        Self { list, file: file.to_owned(), dry_run, keep_going, take_file, prune }
    }

    fn options(&self) -> ImportOptions {
        let Self { dry_run, keep_going, take_file, prune, .. } = *self;
        ImportOptions { dry_run, keep_going, take_file, prune }
    }
}

/// Imports a JSONL file by a three-way merge for each field. The body is the file.
#[utoipa::path(post, path = "/issues/import", params(ImportWanted), tag = "exchange",
    request_body(content = String, content_type = "application/jsonl"),
    responses((status = 200, body = schema::Imported), Failures))]
pub(super) async fn import(
    Asked { node, form, query: wanted }: Asked<ImportWanted>,
    body: Unread,
) -> Result<Response, Failure> {
    if wanted.file.is_empty() {
        let hint = "name the file: what was last imported or exported under that name is the base";
        return Err(Failure::bad_request("the parameter 'file' is missing", hint));
    }
    let spool = received(&node, body).await?;
    let (file, options) = (wanted.file.clone(), wanted.options());
    let list = node.keeper().named(wanted.list.as_deref()).await??;
    let (told, telling) = mpsc::channel(4);
    let keeper = node.keeper().clone();
    let work = async move {
        let imported = keeper.write(list, move |tracker| {
            let mut input = BufReader::with_capacity(1 << 20, spool);
            tracker.import(&file, &mut input, &options, &mut |progress| {
                // Who is slow to hear of it hears of the next.
                let _full = told.try_send(Frame::Progress(progress));
            })
        });
        imported.await
    };
    match form {
        Form::Exact => Ok(framed(telling, work)),
        Form::Json => {
            let report = work.await??;
            Ok(json(report.answer(&wanted.file, wanted.dry_run, false).to_string()))
        }
    }
}

/// Takes back the newest change of an issue, or what a commit did.
#[utoipa::path(post, path = "/issues/undo", params(InList), request_body = UndoBody,
    tag = "history", responses((status = 200, body = schema::Undone), Failures))]
pub(super) async fn undo(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let Asked { node, form, query } = asked;
    let UndoBody { what, force, dry_run } = body.object().await?;
    let undo = Undo { what, force, dry_run };
    let list = node.keeper().named(query.list.as_deref()).await??;
    let (told, telling) = mpsc::channel(4);
    let keeper = node.keeper().clone();
    let work = async move {
        let undone = keeper.write(list, move |tracker| {
            tracker.undo(&undo, &mut |share| {
                let _full = told.try_send(Frame::Share(share));
            })
        });
        undone.await
    };
    match form {
        Form::Exact => Ok(framed(telling, work)),
        Form::Json => answer(form, &Undone { report: work.await??, dry_run }),
    }
}

/// Answers with how far some work is, as it goes on, and with what came of it.
fn framed<T: Serialize + Send + 'static>(
    telling: mpsc::Receiver<Frame<T>>,
    work: impl Future<Output = Result<Result<T, TrackerError>, Stopped>> + Send + 'static,
) -> Response {
    type Work<T> = Pin<Box<dyn Future<Output = Result<Result<T, TrackerError>, Stopped>> + Send>>;
    let work: Work<T> = Box::pin(work);
    let frames = stream::unfold(Some((telling, work)), |going| async move {
        let (mut telling, mut work) = going?;
        let (frame, going) = tokio::select! {
            biased;
            Some(frame) = telling.recv() => (Ok(frame), Some((telling, work))),
            done = &mut work => {
                let done = done.map(|done| Frame::Done(done.map_err(TrackerError::to_tell)));
                (done, None)
            }
        };
        Some((frame.map(|frame| encoded(&frame)), going))
    });
    ([(header::CONTENT_TYPE, EXACT_TYPE)], Body::from_stream(frames)).into_response()
}

fn encoded(frame: &impl Serialize) -> Bytes {
    // What cannot be encoded ends the answer, which the other side sees.
    let bytes = postcard::to_stdvec(frame).unwrap_or_default();
    let length = u32::try_from(bytes.len()).unwrap_or(0);
    [&length.to_be_bytes(), &bytes[..]].concat().into()
}

/// Keeps a file that comes until all of it is there.
async fn received(node: &Node, body: Unread) -> Result<File, Failure> {
    let (mut body, wait) = body.into_stream();
    let dir = node.keeper().dir().to_owned();
    let failed = |source| Failure::from(io_error("keep a file in", &dir, source));
    let mut spool = BufWriter::new(tempfile::tempfile_in(&dir).map_err(failed)?);
    let mut bytes = 0;
    loop {
        let part = match tokio::time::timeout(wait, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(part))) => part,
            Ok(Some(Err(error))) => {
                let hint = "send the file again, whole; nothing was imported";
                return Err(Failure::bad_request(&error.to_string(), hint));
            }
            Err(_elapsed) => return Err(too_slow(wait)),
        };
        let Ok(part) = part.into_data() else { continue };
        bytes += part.len() as u64;
        if bytes > IMPORT_BYTES_MAX {
            return Err(too_large(IMPORT_BYTES_MAX as usize));
        }
        spool.write_all(&part).map_err(failed)?;
    }
    let mut file = spool.into_inner().map_err(|error| failed(error.into_error()))?;
    file.rewind().map_err(failed)?;
    Ok(file)
}

/// What to export, and of which list.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportWanted {
    /// The task list, by name, id or the start of an id; without it the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list: Option<String>,
    /// In the layout of the file that was imported or exported under this name; without it in fixed key
    /// order, sorted by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

/// All issues as a JSONL file. Its ETag is the BLAKE3-256 hash of its bytes.
#[utoipa::path(get, path = "/issues/export", params(ExportWanted), tag = "exchange",
    responses((status = 200, body = String, content_type = "application/jsonl"), Failures))]
pub(super) async fn export(
    Asked { node, form, query }: Asked<ExportWanted>,
) -> Result<Response, Failure> {
    let ExportWanted { list, file } = query;
    let from = file.map_or(ExportFrom::Canonical, ExportFrom::File);
    let dir = node.keeper().dir().to_owned();
    let made = reading(&node, list, move |tracker| {
        let failed = |source| TrackerError::Io {
            what: format!("cannot keep a file in {}", dir.display()),
            source,
        };
        let spool = tempfile::tempfile_in(&dir).map_err(failed)?;
        let mut output = BufWriter::with_capacity(1 << 20, spool);
        let report = tracker.export(&from, &mut output)?;
        let mut file = output.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        Ok((file, report))
    });
    let (file, report) = made.await?;
    let mut response = ([(header::CONTENT_TYPE, JSONL_TYPE)], in_parts(file)).into_response();
    let tag = format!("\"{}\"", HEXLOWER.encode(&report.hash));
    let mut put = |name, value: String| {
        let value = HeaderValue::from_str(&value);
        value.is_ok_and(|value| response.headers_mut().insert(name, value).is_some())
    };
    put(header::ETAG, tag);
    if form == Form::Exact {
        let report = postcard::to_stdvec(&report).unwrap_or_default();
        put(header::HeaderName::from_static(REPORT_HEADER), HEXLOWER.encode(&report));
    }
    Ok(response)
}

/// Returns a file as a body that is read part by part.
pub(super) fn in_parts(file: File) -> Body {
    Body::from_stream(stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut part = vec![0; PART_BYTES];
        match file.read(&mut part) {
            Ok(0) => None,
            Ok(length) => {
                part.truncate(length);
                Some((Ok(Bytes::from(part)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Answer for ExportReport {
    fn json(&self) -> String {
        format!("{{\"hash\":\"{}\"}}", HEXLOWER.encode(&self.hash))
    }
}

/// Notes that a file holds now what an export wrote: the next import takes that for its base.
#[utoipa::path(post, path = "/issues/exported", params(InList), request_body = ExportedBody,
    tag = "exchange", responses((status = 200, body = schema::Noted), Failures))]
pub(super) async fn exported(asked: Asked, body: Unread) -> Result<Response, Failure> {
    let body: ExportedBody = body.object().await?;
    let report = body.report().ok_or_else(|| {
        let hint = "send the BLAKE3-256 hash of the file in 64 hex digits: the ETag of the export";
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "hash: it is none", hint)
    })?;
    asked
        .write(move |tracker| {
            tracker.exported(&body.file, &report)?;
            Ok(report)
        })
        .await
}
