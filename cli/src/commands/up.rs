//! `x0x up`: a node in the foreground.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};

use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use x0x::hub::Note;
use x0x::logs;
use x0x::node::{EventFollower, Events, Node, Status, block_on};
use x0x::service::give_back;
use x0x_tracker::Tracker;
use x0x_tracker::interface::{Filter, Open};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::commit::RULES_VERSION;

use super::node::{settings, short};
use crate::args::node::UpArgs;
use crate::error::{CliError, Exit};
use crate::mirror::{Mirror, Told};
use crate::output::issue;
use crate::output::plain::paragraph;
use crate::resolve::Session;
use crate::runner::look_after;

/// How many ready issues are shown of each list.
const READY_SHOWN: usize = 5;

/// The filter of the log where nobody says one: what happens is told on stdout.
const LEVEL: &str = "warn";

/// Runs a node until it is stopped.
pub fn run(session: &Session, args: &UpArgs) -> Result<Exit, CliError> {
    let settings = settings(session, args.node.given(), args.node.config(), LEVEL)?;
    let (telling, told) = unbounded_channel();
    let mirror = args.export.then(|| Mirror::new(session, args.import_within, telling));
    let mirror = mirror.transpose()?;
    let log = logs::start(settings.level.value.clone(), settings.format.value);
    let config = settings.node(session.home.clone(), session.lock_timeout, Some(log));
    let done = block_on(config, |node| serve(session, node, mirror, told))?;
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

async fn serve(
    session: &Session,
    node: Node,
    mirror: Option<Mirror>,
    mut told: UnboundedReceiver<Told>,
) -> Result<(), CliError> {
    let mut notes = node.notes();
    greet(session, &node).await?;
    let mut happened = mirror.as_ref().map(|_| node.events().follow("the mirrored file", None));
    let wake = mirror.map(|mirror| start(mirror, node.events().clone())).transpose()?;
    let give_back = give_back();
    tokio::pin!(give_back);
    let runners = look_after(node.clone(), session.home.clone(), session.lock_timeout);
    tokio::pin!(runners);
    loop {
        let note = tokio::select! {
            note = notes.recv() => note,
            () = &mut give_back => continue,
            () = &mut runners => continue,
            Some(told) = told.recv() => {
                tell_file(session, &told)?;
                continue;
            }
            true = has_happened(&mut happened) => {
                // Where it is full, it is awake already.
                let _awake = wake.as_ref().map(|wake| wake.try_send(()));
                continue;
            }
            () = node.stopped() => return Ok(()),
        };
        match note {
            Ok(note) => tell(session, &note)?,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Waits until something happens; never, where nobody wants to know. Tells whether anything did.
async fn has_happened(events: &mut Option<EventFollower>) -> bool {
    match events {
        Some(events) => events.next().await.is_some(),
        None => std::future::pending().await,
    }
}

/// Has a file kept on a thread of its own; it ends when what wakes it is dropped.
fn start(mirror: Mirror, events: Events) -> Result<SyncSender<()>, CliError> {
    let (wake, wakes) = sync_channel(1);
    let thread = std::thread::Builder::new().name("mirror".to_owned());
    let started = thread.spawn(move || mirror.run(&events, &wakes));
    started.map_err(|source| CliError::Io { what: "cannot start a thread".to_owned(), source })?;
    Ok(wake)
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

/// Tells what becomes of the file.
fn tell_file(session: &Session, told: &Told) -> Result<(), CliError> {
    let output = session.output;
    if output.json {
        return output.json(&match told {
            Told::Paused { why, hint } => json!({"event": "paused", "why": why, "hint": hint}),
            Told::Resumed => json!({"event": "resumed"}),
            Told::Imported { created, edited, old_news } => json!({
                "event": "imported", "created": created, "edited": edited, "old_news": old_news,
            }),
            Told::Exported { changed, added } => {
                json!({"event": "exported", "changed": changed, "added": added})
            }
        });
    }
    if output.quiet {
        return Ok(());
    }
    let line = match told {
        Told::Paused { why, hint } => {
            format!("paused  the file is left alone: {why}\nhint    {hint}")
        }
        Told::Resumed => "resumed the file is kept again".to_owned(),
        Told::Imported { created, edited, old_news: 0 } => {
            format!("read    the file: {created} created, {edited} edited")
        }
        Told::Imported { created, edited, old_news } => format!(
            "read    the file: {created} created, {edited} edited, {old_news} older values not taken"
        ),
        Told::Exported { changed, added } => {
            format!("written the file: {changed} lines changed, {added} added")
        }
    };
    output.data(|stdout| writeln!(stdout, "{}", paragraph(&line)))
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
