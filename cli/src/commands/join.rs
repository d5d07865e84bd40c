//! `x0x join`: a ticket becomes a membership, and the list is fetched.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use x0x::node::{JoinError, ListView, Node, PeerView, Stopped, block_on};
use x0x::rest::client::Client;
use x0x::time;
use x0x::wire::{Ticket, TicketError};
use x0x_tracker::journal::charter::Role;

use super::node::{running, settings, short};
use crate::args::node::JoinArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::progress::Meter;
use crate::resolve::Session;

/// How long the list may take to come once this agent is a member, without anything coming.
const FETCH_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// When it is said for the first time that the issuer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Joins the list of a ticket.
pub fn run(session: &Session, args: &JoinArgs) -> Result<Exit, CliError> {
    let word = Texts::default().read(&args.ticket)?;
    let ticket: Ticket = word.parse().map_err(|error: TicketError| CliError::Invalid {
        detail: error.to_string(),
        hint: "paste what `x0x invite` printed, whole".to_owned(),
    })?;
    let role = match running(session)? {
        Some(client) => {
            let answer: Value = client.post("/joins", &json!({"ticket": word.trim()}))?;
            fetched_by(&client, Fetch::of(&ticket, session))?;
            answer["role"].as_str().unwrap_or_default().to_owned()
        }
        None => {
            let listen = &args.listen;
            let settings = settings(session, listen.given(), listen.config(), "off")?;
            let config = settings.node(session.home.clone(), session.lock_timeout, None);
            let joined = block_on(config, |node| join(session, node, &ticket, args.timeout))?;
            let stopped = CliError::NotJoined {
                detail: "stopped before the list was joined".to_owned(),
                hint: "the ticket is as good as before: run the same again".to_owned(),
                is_late: true,
            };
            joined.ok_or(stopped)??.name().to_owned()
        }
    };
    let info = session.home.reader(ticket.list, session.lock_timeout)?.tracker.info()?;
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
    fetch(&node, Fetch::of(ticket, session)).await.map_err(late)?;
    Ok(role)
}

/// A list that is being fetched from who issued the ticket.
struct Fetch {
    list: String,
    issuer: String,
    /// How many commits were here last, and how often it was looked since.
    commits: u64,
    looks: u32,
    issues: u64,
    meter: Meter,
}

impl Fetch {
    fn of(ticket: &Ticket, session: &Session) -> Self {
        let (list, issuer) = (ticket.list.to_string(), ticket.issuer.to_string());
        let meter = Meter::start("Fetching", 0, &session.output);
        Self { list, issuer, commits: 0, looks: 0, issues: 0, meter }
    }

    /// Tells whether this node is as far as the issuer was; an error where nothing comes any more.
    fn is_done(&mut self, peers: &[PeerView], lists: &[ListView]) -> Result<bool, String> {
        let shared = peers.iter().filter(|peer| peer.agent_id == self.issuer);
        if shared.flat_map(|peer| &peer.lists).any(|list| list.id == self.list && list.level) {
            return Ok(true);
        }
        let here = lists.iter().find(|here| here.id == self.list);
        let (commits, issues) = here.map_or((0, 0), |here| (here.commits, here.issues));
        self.looks = if commits == self.commits { self.looks + 1 } else { 0 };
        (self.commits, self.issues) = (commits, issues);
        self.meter.tell_issues(issues);
        if LOOK_EVERY * self.looks > FETCH_MAX {
            return Err("the list was joined, but its issues do not come".to_owned());
        }
        Ok(false)
    }
}

/// Waits until a node of this process has fetched a list.
async fn fetch(node: &Node, mut fetch: Fetch) -> Result<(), String> {
    loop {
        let looking = async { Ok((node.peers().await?, node.status().await?)) };
        let (peers, status) = match tokio::time::timeout(PATIENCE, looking).await {
            Ok(looked) => looked.map_err(|stopped: Stopped| stopped.to_string())?,
            // The store is busy with what came, or with writing again what was here before.
            Err(_elapsed) => {
                fetch.meter.tell_issues(fetch.issues);
                continue;
            }
        };
        if fetch.is_done(&peers, &status.lists)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the node that runs here has fetched a list. It goes on by itself: that nothing comes for
/// a while is no error.
fn fetched_by(client: &Client, mut fetch: Fetch) -> Result<(), CliError> {
    loop {
        let peers: Peers = client.get("/peers")?;
        let status: Lists = client.get("/status")?;
        if fetch.is_done(&peers.peers, &status.lists).unwrap_or(true) {
            return Ok(());
        }
        time::pause(LOOK_EVERY);
    }
}

#[derive(Deserialize)]
struct Peers {
    peers: Vec<PeerView>,
}

#[derive(Deserialize)]
struct Lists {
    lists: Vec<ListView>,
}
