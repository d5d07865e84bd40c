//! `x0x join`: a ticket becomes a membership, and the list is fetched.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use x0x::node::{JoinError, Node, block_on};
use x0x::wire::Ticket;
use x0x_tracker::Tracker;
use x0x_tracker::journal::charter::Role;

use super::node::{config, running, short};
use crate::args::node::JoinArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// How long the list may take to come once this agent is a member, without anything coming.
const FETCH_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When it is said for the first time that the issuer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Joins the list of a ticket.
pub fn run(session: &Session, args: &JoinArgs) -> Result<Exit, CliError> {
    let ticket: Ticket = args.ticket.parse().map_err(|error| CliError::Invalid {
        detail: format!(
            "{error}",
            error = {
                let error: x0x::wire::TicketError = error;
                error
            }
        ),
        hint: "paste what `x0x invite` printed, whole".to_owned(),
    })?;
    let role = match running(session)? {
        Some(client) => {
            let answer: Value = client.post("/joins", &json!({"ticket": args.ticket.trim()}))?;
            answer["role"].as_str().unwrap_or_default().to_owned()
        }
        None => {
            let config = config(session, &args.listen);
            let joined = block_on(config, |node| join(session, node, &ticket, args.timeout))?;
            let stopped = CliError::NotJoined {
                detail: "stopped before the list was joined".to_owned(),
                hint: "the ticket is as good as before: run the same again".to_owned(),
                is_late: true,
            };
            joined.ok_or(stopped)??.name().to_owned()
        }
    };
    let info = session.home.read(ticket.list)?.info()?;
    let output = session.output;
    let id = ticket.list.to_string();
    if output.json {
        output
            .json(&json!({"list": id, "name": info.name, "role": role, "issues": info.issues}))?;
        return Ok(Exit::Done);
    }
    let (name, issues) = (&info.name, info.issues);
    output.data(|stdout| writeln!(stdout, "{name} ({}): {role}, {issues} issues", short(&id)))?;
    output.note("`x0x up` keeps it in step with the others.");
    Ok(Exit::Done)
}

/// Joins with a node of its own, and fetches the list.
async fn join(
    session: &Session,
    node: Node,
    ticket: &Ticket,
    timeout: Option<Duration>,
) -> Result<Role, CliError> {
    let late = |detail: String| {
        CliError::NotJoined {
        detail,
        hint: "see that a node runs there (`x0x up`) and that this machine can reach it; then run the \
               same again"
            .to_owned(),
        is_late: true,
    }
    };
    let issuer = ticket.issuer.short();
    let at: Vec<String> = ticket.addresses.iter().map(ToString::to_string).collect();
    let joining = node.join(ticket.clone());
    tokio::pin!(joining);
    let waits = async {
        tokio::time::sleep(PATIENCE).await;
        session.output.note(&format!(
            "Waiting for agent {issuer}, who issued the ticket, at {}.",
            at.join(", ")
        ));
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout.saturating_sub(PATIENCE)).await,
            None => std::future::pending().await,
        }
    };
    let joined = tokio::select! {
        joined = &mut joining => joined,
        () = waits => {
            let seconds = timeout.unwrap_or_default().as_secs();
            return Err(late(format!("agent {issuer} did not answer in {seconds} s")));
        }
    };
    let role = match joined {
        Ok(Ok(role)) => role,
        Ok(Err(JoinError::Home(error))) => return Err(error.into()),
        Ok(Err(error)) => {
            return Err(CliError::NotJoined {
                detail: error.to_string(),
                hint: "ask who issued it for a new one".to_owned(),
                is_late: false,
            });
        }
        Err(stopped) => return Err(late(stopped.to_string())),
    };
    fetch(&node, ticket).await.map_err(late)?;
    Ok(role)
}

/// Waits until this node is as far as the issuer was.
async fn fetch(node: &Node, ticket: &Ticket) -> Result<(), String> {
    let (list, issuer) = (ticket.list.to_string(), ticket.issuer.to_string());
    let mut last = (0, Duration::ZERO);
    loop {
        let peers = node.peers().await.map_err(|stopped| stopped.to_string())?;
        let shared = peers.iter().filter(|peer| peer.agent_id == issuer);
        if shared.flat_map(|peer| &peer.lists).any(|shared| shared.id == list && shared.level) {
            return Ok(());
        }
        let status = node.status().await.map_err(|stopped| stopped.to_string())?;
        let here = status.lists.iter().find(|here| here.id == list);
        let commits = here.map_or(0, |here| here.commits);
        last =
            if commits == last.0 { (commits, last.1 + LOOK_EVERY) } else { (commits, LOOK_EVERY) };
        if last.1 > FETCH_MAX {
            return Err("the list was joined, but its issues do not come".to_owned());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
