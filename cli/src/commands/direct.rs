//! `x0x direct`: messages between agents, through the node that runs here.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use x0x::rest::client::ClientError;
use x0x::rest::follow::Told;
use x0x::time;

use super::node::{client, short};
use crate::args::direct::{
    BlockArgs, DirectCommand, FormOf, InboxArgs, ListenArgs, SendArgs, WaitFor,
};
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::plain::one_line;
use crate::output::progress::Waiting;
use crate::resolve::Session;

/// How many messages of the inbox are read at once.
const INBOX_PAGE: u64 = 500;

/// How long to wait for a node that is gone until it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Does what was typed.
pub fn run(session: &Session, command: &DirectCommand) -> Result<Exit, CliError> {
    match command {
        DirectCommand::Send(args) => send(session, args),
        DirectCommand::Listen(args) => listen(session, args),
        DirectCommand::Inbox(args) => inbox(session, args),
        DirectCommand::Block(BlockArgs { agent: None }) => {
            blocked(session, &client(session)?.get("/direct/blocked")?)
        }
        DirectCommand::Block(BlockArgs { agent: Some(agent) }) => {
            let answer = client(session)?.post("/direct/block", &json!({"agent_id": agent}))?;
            blocked(session, &answer)
        }
        DirectCommand::Unblock(args) => {
            let body = json!({"agent_id": args.agent});
            blocked(session, &client(session)?.post("/direct/unblock", &body)?)
        }
    }
}

/// A message as the node is asked to send it, with a text or a JSON value.
#[derive(Serialize)]
struct Letter<'a> {
    to: &'a str,
    text: Option<String>,
    /// It goes as it was spelled; without one the name is missing too, since null is a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    wait: &'static str,
    ttl_ms: Option<u64>,
    message_id: Option<&'a str>,
    issues: &'a [String],
    list: Option<String>,
}

fn send(session: &Session, args: &SendArgs) -> Result<Exit, CliError> {
    let node = client(session)?;
    let said = Texts::default().read(&args.text).map_err(|error| unread(error, &args.text))?;
    let (text, json) = match args.form {
        FormOf::Text => (Some(said), None),
        FormOf::Json => (None, Some(parsed(said)?)),
    };
    let wait = match args.wait {
        WaitFor::None => "none",
        WaitFor::Accepted => "accepted",
        WaitFor::Delivered => "delivered",
    };
    let list = match args.issues.is_empty() {
        true => None,
        false => Some(session.list()?.to_string()),
    };
    let SendArgs { to, ttl: ttl_ms, message_id, issues, .. } = args;
    let (ttl_ms, message_id) = (*ttl_ms, message_id.as_deref());
    let letter = Letter { to, text, json, wait, ttl_ms, message_id, issues, list };
    let output = session.output;
    let waiting = (args.wait == WaitFor::Delivered).then(|| {
        let to = short(to);
        let text = format!(
            "waiting 30 s at most for {to} to take it; what is not delivered by then goes on"
        );
        Waiting::start(output, text)
    });
    let receipt: Value = node.post("/direct/send", &letter)?;
    drop(waiting);
    if output.json {
        output.json(&receipt)?;
        return Ok(Exit::Done);
    }
    let text = |name: &str| receipt[name].as_str().unwrap_or_default();
    let how = match (receipt["latency_us"].as_u64(), text("path")) {
        (Some(latency_us), path) => {
            format!("delivered over {path} in {:.1} ms", latency_us as f64 / 1_000.0)
        }
        (None, _) if receipt["accepted_at"].is_string() => "queued, on disk".to_owned(),
        (None, _) => "queued".to_owned(),
    };
    let id = one_line(text("message_id"));
    output.data(|stdout| writeln!(stdout, "{id}  {how}"))?;
    Ok(Exit::Done)
}

/// Returns the error of a text that could not be read; one that begins with @ may have been meant as it is.
fn unread(error: CliError, typed: &str) -> CliError {
    match error {
        CliError::Missing { .. } | CliError::Io { .. } if typed.starts_with('@') => {
            CliError::Hinted {
                hint: "check the path; a text that begins with @ is typed with another one, as in \
                       '@@ann, look'"
                    .to_owned(),
                source: Box::new(error),
            }
        }
        error => error,
    }
}

/// Returns a JSON value as it was spelled.
fn parsed(text: String) -> Result<Box<RawValue>, CliError> {
    RawValue::from_string(text).map_err(|error| CliError::Invalid {
        detail: format!("the text is no JSON value: {error}"),
        hint: "quote it for the shell, or name a file with @FILE".to_owned(),
    })
}

fn listen(session: &Session, args: &ListenArgs) -> Result<Exit, CliError> {
    let output = session.output;
    let mut left = args.limit;
    // Whoever releases what is shown wants to be shown everything.
    let mut after = args.after.or(args.ack.then_some(0));
    let mut is_waiting = false;
    // Who starts no node is told so; one that was there is waited for.
    let mut following = Some(client(session)?.follow_messages(after)?);
    loop {
        let Some(stream) = &mut following else {
            if !std::mem::replace(&mut is_waiting, true) {
                output.note("The node is gone; waiting for it.");
            }
            time::pause(AGAIN);
            following = match client(session).map(|node| node.follow_messages(after)) {
                Ok(Ok(stream)) => Some(stream),
                Err(_) | Ok(Err(ClientError::Unreachable { .. })) => None,
                Ok(Err(error)) => return Err(error.into()),
            };
            continue;
        };
        let told = stream.next_told();
        // From here it goes on after the node was stopped.
        after = stream.last().and_then(|last| last.parse().ok()).or(after);
        match told {
            None => following = None,
            Some(Told::Alive) => {
                if std::mem::take(&mut is_waiting) {
                    output.note("The node is back.");
                }
            }
            // They came too fast for the stream, and are in the inbox.
            Some(Told::Event { data, .. }) if data["missed"].is_u64() => {
                let missed = data["missed"].as_u64().unwrap_or_default();
                let mut cursor = data["after"].as_u64().unwrap_or_default();
                let end = cursor + missed;
                while cursor < end {
                    let limit = (end - cursor).min(INBOX_PAGE);
                    let path = format!("/direct/inbox?cursor={cursor}&limit={limit}");
                    let page: Value = client(session)?.get(&path)?;
                    let messages = page["messages"].as_array().cloned().unwrap_or_default();
                    for message in messages.iter().take_while(|one| one["id"].as_u64() <= Some(end))
                    {
                        if show_heard(session, args, message, &mut left)? {
                            return Ok(Exit::Done);
                        }
                    }
                    cursor = match messages.last().and_then(|last| last["id"].as_u64()) {
                        Some(last) => last,
                        None => end,
                    };
                }
            }
            Some(Told::Event { data, .. }) => {
                if show_heard(session, args, &data, &mut left)? {
                    return Ok(Exit::Done);
                }
            }
        }
    }
}

/// Shows a message, and releases it where that is wanted; tells whether it was the last that is.
fn show_heard(
    session: &Session,
    args: &ListenArgs,
    message: &Value,
    left: &mut Option<u64>,
) -> Result<bool, CliError> {
    show(session, message)?;
    if args.ack {
        let up_to = json!({"up_to": message["id"]});
        let _released: Value = client(session)?.post("/direct/inbox/ack", &up_to)?;
    }
    *left = left.map(|left| left - 1);
    Ok(*left == Some(0))
}

fn inbox(session: &Session, args: &InboxArgs) -> Result<Exit, CliError> {
    let (node, output) = (client(session)?, session.output);
    if let Some(up_to) = args.ack {
        let answer: Value = node.post("/direct/inbox/ack", &json!({"up_to": up_to}))?;
        match output.json {
            true => output.json(&answer)?,
            false => output.data(|stdout| writeln!(stdout, "{} unread", answer["unread"]))?,
        }
        return Ok(Exit::Done);
    }
    let cursor = args.cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
    let page: Value = node.get(&format!("/direct/inbox?limit={}{cursor}", args.limit))?;
    if output.json {
        output.json(&page)?;
        return Ok(Exit::Done);
    }
    let messages = page["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        output.note("No messages.");
    }
    for message in messages {
        show(session, message)?;
    }
    if let Some(next) = page["next_cursor"].as_u64() {
        let unread = &page["unread"];
        output.note(&format!("{unread} in all; more with --cursor {next}"));
    }
    Ok(Exit::Done)
}

/// Writes one message: an object for programs, else who sent it, when, and what it says.
fn show(session: &Session, message: &Value) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        return output.json(message);
    }
    let field = |name: &str| message[name].as_str().unwrap_or_default();
    let (id, at, from) = (&message["id"], field("received_at"), short(field("from")));
    let said = match (message.get("text").and_then(Value::as_str), message.get("json")) {
        (Some(text), _) => one_line(text).into_owned(),
        (None, Some(json)) => one_line(&json.to_string()).into_owned(),
        (None, None) => {
            // In base64, four characters are three bytes.
            let bytes = field("payload").trim_end_matches('=').len() * 3 / 4;
            format!("({bytes} bytes)")
        }
    };
    output.data(|stdout| writeln!(stdout, "{id}  {at}  {from}  {said}"))
}

fn blocked(session: &Session, answer: &Value) -> Result<Exit, CliError> {
    let output = session.output;
    if output.json {
        output.json(answer)?;
        return Ok(Exit::Done);
    }
    let blocked = answer["blocked"].as_array().map(Vec::as_slice).unwrap_or_default();
    if blocked.is_empty() {
        output.note("Messages of every member are taken.");
    }
    for agent in blocked.iter().filter_map(Value::as_str) {
        output.data(|stdout| writeln!(stdout, "{agent}  not taken"))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_value_leaves_as_it_was_spelled() {
        let spelled = "{\"b\":1.0,\"a\":[1,2],\"b\": 1e400}";
        let json = Some(parsed(format!(" {spelled}\n")).unwrap());
        let (to, wait, issues): (_, _, &[String]) = ("ab", "none", &[]);
        let (text, ttl_ms, message_id, list) = (None, None, None, None);
        let letter = Letter { to, text, json, wait, ttl_ms, message_id, issues, list };
        // The way to the node lays out what is around it.
        let sent = serde_json::to_string_pretty(&letter).unwrap();
        assert!(sent.contains(&format!("\"json\": {spelled},\n")), "{sent}");
        assert!(parsed("{".to_owned()).is_err());
    }
}
