//! `x0x up`: a node in the foreground.

use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use x0x::hub::Note;
use x0x::logs;
use x0x::node::{Node, Status, block_on};
use x0x::service::args::NodeArgs;
use x0x::service::give_back;
use x0x_tracker::Tracker;
use x0x_tracker::interface::{Filter, Open};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::commit::RULES_VERSION;

use super::node::{settings, short};
use crate::error::{CliError, Exit};
use crate::output::issue;
use crate::resolve::Session;

/// How many ready issues are shown of each list.
const READY_SHOWN: usize = 5;

/// The filter of the log where nobody says one: what happens is told on stdout.
const LEVEL: &str = "warn";

/// Runs a node until it is stopped.
pub fn run(session: &Session, args: &NodeArgs) -> Result<Exit, CliError> {
    let settings = settings(session, args.given(), args.config(), LEVEL)?;
    let log = logs::start(settings.level.value.clone(), settings.format.value);
    let config = settings.node(session.home.clone(), session.lock_timeout, Some(log));
    let done = block_on(config, |node| serve(session, node))?;
    if let Some(Err(error)) = done {
        return Err(error);
    }
    if session.output.json {
        session.output.json(&json!({"event": "stopped"}))?;
    } else {
        session.output.note("Stopped.");
    }
    Ok(Exit::Done)
}

async fn serve(session: &Session, node: Node) -> Result<(), CliError> {
    let mut notes = node.notes();
    greet(session, &node).await?;
    let give_back = give_back();
    tokio::pin!(give_back);
    loop {
        let note = tokio::select! {
            note = notes.recv() => note,
            () = &mut give_back => continue,
            () = node.stopped() => return Ok(()),
        };
        match note {
            Ok(note) => tell(session, &note)?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Says who this is, where it can be called, and what is ready.
async fn greet(session: &Session, node: &Node) -> Result<(), CliError> {
    let Ok(status) = node.status().await else { return Ok(()) };
    let addresses: Vec<String> = node.addresses().iter().map(ToString::to_string).collect();
    let output = session.output;
    if output.json {
        let mut up = serde_json::to_value(&status).unwrap_or(Value::Null);
        up["event"] = json!("up");
        up["addresses"] = json!(addresses);
        return output.json(&up);
    }
    let ready = ready(node, &status).await;
    output.data(|stdout| {
        writeln!(stdout, "agent   {}", status.agent_id)?;
        writeln!(stdout, "listen  {}, for other nodes at {}", status.listen, addresses.join(", "))?;
        writeln!(stdout, "api     {}, for programs of this machine", status.api)?;
        for (list, ready) in status.lists.iter().zip(&ready) {
            let role = list.role.map_or("not a member yet", Role::name);
            let (name, id) = (&list.name, short(&list.id));
            writeln!(stdout, "list    {name} ({id}): {} issues, {role}", list.issues)?;
            ready.iter().try_for_each(|line| writeln!(stdout, "ready   {line}"))?;
        }
        if status.lists.is_empty() {
            writeln!(
                stdout,
                "list    none yet: `x0x init` makes one, `x0x join TICKET` joins one"
            )?;
        }
        writeln!(stdout, "peers   {}", if status.peers == 0 { "none linked yet" } else { "linked" })
    })?;
    output.note("Runs until Ctrl-C or `x0x stop`; every other command works beside it.");
    Ok(())
}

/// Returns the first ready issues of each list.
async fn ready(node: &Node, status: &Status) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for list in &status.lists {
        let lines = node.keeper().read_long(Some(list.id.clone()), |tracker| {
            let mut lines = Vec::new();
            let filter = Filter { limit: Some(READY_SHOWN), ..Filter::default() };
            tracker.agenda(&filter, &mut |open| {
                if let Open::Ready(shown) = open {
                    lines.push(issue::line(&shown));
                }
                ControlFlow::Continue(())
            })?;
            Ok(lines)
        });
        all.push(lines.await.ok().and_then(Result::ok).unwrap_or_default());
    }
    all
}

fn tell(session: &Session, note: &Note) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        return output.json(&event(note));
    }
    if output.quiet {
        return Ok(());
    }
    let line = match note {
        Note::Shared { peer, list } => format!("linked  {} shares {}", peer.short(), list.short()),
        Note::Gone { peer } => format!("gone    {}", peer.short()),
        Note::Breach { peer, what } => format!("breach  {}: {what}", peer.short()),
        Note::Stranger { peer } => {
            format!("refused {} shares no list with this node", peer.short())
        }
        Note::Newer { peer, rules } => format!(
            "upgrade {} follows rules {rules}, this program knows {RULES_VERSION}: what it writes waits",
            peer.short()
        ),
        Note::Joined { list, role, .. } => format!("joined  {} as {}", list.short(), role.name()),
        Note::NotJoined { list, why, .. } => {
            format!("refused the ticket for {}: {}", list.short(), why.text())
        }
        Note::Unreachable { address, why } => format!("refused at {address}: {why:?}"),
    };
    output.data(|stdout| writeln!(stdout, "{line}"))
}

fn event(note: &Note) -> Value {
    match note {
        Note::Shared { peer, list } => {
            json!({"event": "shared", "agent_id": peer.to_string(), "list": list.to_string()})
        }
        Note::Gone { peer } => json!({"event": "gone", "agent_id": peer.to_string()}),
        Note::Breach { peer, what } => {
            json!({"event": "breach", "agent_id": peer.to_string(), "what": what})
        }
        Note::Stranger { peer } => json!({"event": "stranger", "agent_id": peer.to_string()}),
        Note::Newer { peer, rules } => {
            json!({"event": "upgrade", "agent_id": peer.to_string(), "rules": rules, "known": RULES_VERSION})
        }
        Note::Joined { list, role, .. } => {
            json!({"event": "joined", "list": list.to_string(), "role": role.name()})
        }
        Note::NotJoined { list, why, .. } => {
            json!({"event": "not_joined", "list": list.to_string(), "why": why.text()})
        }
        Note::Unreachable { address, .. } => {
            json!({"event": "unreachable", "address": address.to_string()})
        }
    }
}
