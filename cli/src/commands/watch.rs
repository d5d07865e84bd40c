//! `x0x issues watch`: what happens to the task list, as the node that runs here tells it; on a terminal
//! as a view that is drawn anew, else as lines.

mod feed;
mod view;

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use x0x::rest::follow::Wanted;

use super::node::{client, short};
use crate::args::watch::WatchArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::output::plain::one_line;
use crate::resolve::Session;
use feed::Heard;

/// For how long the node says nothing before that is said. It speaks every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Follows the events of the list.
pub fn run(session: &Session, args: &WatchArgs) -> Result<Exit, CliError> {
    // Who names no list is told that no node runs before it is told that there is no list.
    let _answers: Value = client(session)?.get("/agent")?;
    let list = session.list()?;
    let is_view = session.output.is_screen() && !args.jsonl && !session.output.json;
    let kinds = if is_view { Vec::new() } else { args.kind.clone() };
    let wanted = Wanted { list: Some(list.to_string()), kinds, after: args.since.clone() };
    let (tell, heard) = feed::channel();
    feed::start(session.home.dir().to_owned(), wanted, tell.clone());
    if is_view {
        return view::run(session, args, list, tell, &heard);
    }
    // Whoever hears nothing more is to know it.
    drop(tell);
    lines(session, args, &heard)
}

/// Writes one line an event.
fn lines(session: &Session, args: &WatchArgs, heard: &Receiver<Heard>) -> Result<Exit, CliError> {
    let output = session.output;
    let mut left = args.limit;
    let (mut is_linked, mut is_silent) = (false, false);
    loop {
        let next = match heard.recv_timeout(SILENCE_MAX) {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => {
                if is_linked && !is_silent {
                    is_silent = true;
                    note(&output, "The node has said nothing for 45 s; still waiting for it.");
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Failed),
        };
        is_silent = false;
        match next {
            Heard::Linked { again } => {
                is_linked = true;
                let text = if again { "The node answers again." } else { "Watching; Ctrl-C ends." };
                note(&output, text);
            }
            Heard::Gone => {
                is_linked = false;
                note(&output, "The node went away; waiting for it to come back.");
            }
            Heard::Event { id, data } => {
                if data["type"] == "reset" {
                    note(&output, &format!("{}: list the issues again.", missed(&data)));
                }
                if args.jsonl || output.json {
                    let mut event = json!({"event_id": id});
                    if let (Some(event), Value::Object(data)) = (event.as_object_mut(), data) {
                        event.extend(data);
                    }
                    output.json(&event)?;
                } else {
                    output.data(|stdout| writeln!(stdout, "{}", line(&data)))?;
                }
                left = left.map(|left| left - 1);
                if left == Some(0) {
                    return Ok(Exit::Done);
                }
            }
            Heard::Ended(error) => return Err(error),
            Heard::Alive | Heard::Resized | Heard::Stop => {}
        }
    }
}

fn note(output: &Output, text: &str) {
    output.note(text);
}

fn missed(data: &Value) -> String {
    let reason = data["reason"].as_str().unwrap_or("for an unknown reason");
    match data["missed"].as_u64() {
        Some(1) => format!("One event was missed ({reason})"),
        Some(count) => format!("{count} events were missed ({reason})"),
        None => format!("Events were missed ({reason})"),
    }
}

/// Returns an event as people read it.
fn line(data: &Value) -> String {
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default()).into_owned();
    let kind = text(&data["type"]);
    if kind == "reset" {
        return format!("{kind:<10}  {}", one_line(&missed(data)));
    }
    if kind == "member" {
        let role = data["role"].as_str().map_or("left".to_owned(), |role| format!("is {role}"));
        return format!(
            "{kind:<10}  agent {} {}",
            short(&text(&data["agent_id"])),
            one_line(&role)
        );
    }
    let name =
        data["identifier"].as_str().map_or_else(|| text(&data["id"]), |name| one_line(name).into());
    let mut line = format!("{kind:<10}  {name}");
    if let Some(detail) = detail(&kind, data) {
        line.push_str(&format!("  {detail}"));
    }
    line.push_str(&format!("  {}", text(&data["title"])));
    line
}

/// Returns how a claim ended, where its holder did not give it up itself.
fn ended(data: &Value) -> String {
    match data["how"].as_str() {
        None | Some("released") => match data["by"]["reason"].as_str() {
            Some(reason) => format!(": {}", one_line(reason)),
            None => String::new(),
        },
        Some(how) => format!(", {} {}", one_line(&how.replace('_', " ")), by_whom(&data["by"])),
    }
}

/// Returns who did something, and why.
fn by_whom(note: &Value) -> String {
    let by = short(note["by"].as_str().unwrap_or_default());
    let reason = note["reason"].as_str().map(|reason| format!(": {}", one_line(reason)));
    format!("by {by}{}", reason.unwrap_or_default())
}

/// Returns what an event says beside the issue.
fn detail(kind: &str, data: &Value) -> Option<String> {
    let holder = &data["holder"];
    let who = || {
        let worker = one_line(holder["worker"].as_str().unwrap_or_default()).into_owned();
        format!("{worker} of {}", short(holder["agent"].as_str().unwrap_or_default()))
    };
    match kind {
        "claimed" => {
            let again = if data["renewed"] == true { " again" } else { "" };
            Some(format!("by {}{again}, fence {}", who(), holder["fence"]))
        }
        "released" if holder.is_object() => Some(format!("by {}{}", who(), ended(data))),
        "confirmed" | "lost" | "handed_off" if holder.is_object() => Some(format!("by {}", who())),
        "reopened" if data["by"].is_object() => Some(by_whom(&data["by"])),
        "ended" => data["state"].as_str().map(|state| one_line(state).into_owned()),
        "edited" => {
            let fields = data["fields"].as_array()?.iter().filter_map(Value::as_str);
            let fields: Vec<&str> = fields.collect();
            (!fields.is_empty()).then(|| one_line(&fields.join(", ")).into_owned())
        }
        "conflict" => Some(format!("{} in conflict", data["conflicts"])),
        "commented" => Some(format!("{} comments", data["comments"])),
        _ => None,
    }
}
