//! The lock, the node that runs here, its addresses and its peers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;
use x0x::config::Given;
use x0x::node::{PORT, remembered_port};
use x0x_tracker::id::ListId;
use x0x_tracker::journal::commit::RULES_VERSION;

use super::Findings;
use crate::commands::node::{running, settings, short};
use crate::resolve::Session;

/// What a node says of itself.
pub(super) struct Running {
    lists: Value,
}

impl Running {
    /// Returns how many linked peers share a list.
    pub(super) fn linked(&self, list: ListId) -> u64 {
        let id = list.to_string();
        let mut lists = self.lists.as_array().into_iter().flatten();
        lists
            .find(|known| known["id"] == id.as_str())
            .map_or(0, |known| known["peers"].as_u64().unwrap_or_default())
    }
}

/// Returns the node that runs here, if one does.
pub(super) fn look(session: &Session, findings: &mut Findings) -> Option<Running> {
    let client = match running(session) {
        Ok(client) => client,
        Err(error) => {
            findings.fail("node", &error);
            return None;
        }
    };
    let Some(client) = client else {
        lock(session, findings);
        ports(session, findings);
        return None;
    };
    let asked = |path: &str| client.get::<Value>(path);
    let (status, agent, peers) = match (asked("/status"), asked("/agent"), asked("/peers")) {
        (Ok(status), Ok(agent), Ok(peers)) => (status, agent, peers),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            findings.fail("node", &error.into());
            return None;
        }
    };
    let version = status["version"].as_str().unwrap_or_default();
    let said =
        format!("process {}, version {version}, api {}", status["pid"], text(&status["api"]));
    if version == env!("CARGO_PKG_VERSION") {
        findings.pass("node", said);
    } else {
        let own = env!("CARGO_PKG_VERSION");
        let hint = "stop it and start it anew: `x0x stop`, then `x0x daemon --detach`";
        findings.warn("node", format!("{said}; this program is {own}"), hint);
    }
    addresses(&agent, findings);
    let peers = peers["peers"].as_array().cloned().unwrap_or_default();
    look_at(&peers, findings);
    Some(Running { lists: status["lists"].clone() })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn lock(session: &Session, findings: &mut Findings) {
    match session.home.holder() {
        Ok(None) => findings.pass("lock", "free; no node runs here, and none is needed"),
        Ok(Some(pid)) => findings.warn(
            "lock",
            format!("process {pid} has it, and no node answers"),
            "a command that writes lets it go by itself; a node that starts answers in a moment",
        ),
        Err(error) => findings.fail("lock", &error.into()),
    }
}

fn ports(session: &Session, findings: &mut Findings) {
    let told = match settings(session, Given::default(), None, "off") {
        Ok(settings) => settings.listen.value,
        Err(error) => return findings.fail("ports", &error),
    };
    let port = remembered_port(session.home.dir()).unwrap_or(PORT);
    let address = told.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let port = address.port();
    match UdpSocket::bind(address) {
        Ok(_free) if port == 0 => findings.pass("ports", "a node takes any free UDP port"),
        Ok(_free) => findings.pass("ports", format!("UDP {port} is free for a node")),
        Err(error) => findings.warn(
            "ports",
            format!("UDP {port}: {error}"),
            match told {
                Some(_) => "a node does not start then; config.toml says where it listens",
                None => {
                    "a node takes another port then; name one that others can reach with --listen"
                }
            },
        ),
    }
}

fn addresses(agent: &Value, findings: &mut Findings) {
    let addresses: Vec<&str> =
        agent["addresses"].as_array().into_iter().flatten().map(text).collect();
    let is_loopback =
        |address: &&str| address.parse().is_ok_and(|at: SocketAddr| at.ip().is_loopback());
    let said = addresses.join(", ");
    if addresses.iter().all(is_loopback) {
        let hint =
            "--listen HOST:PORT or --advertise HOST:PORT names one that other machines reach";
        return findings.warn("ports", format!("only this machine can call it: {said}"), hint);
    }
    findings.pass("ports", format!("others call it at {said}"));
}

fn look_at(peers: &[Value], findings: &mut Findings) {
    let mut behind = Vec::new();
    for peer in peers {
        let is_level = |list: &Value| list["level"] == true;
        if !peer["lists"].as_array().into_iter().flatten().all(is_level) {
            behind.push(short(text(&peer["agent_id"])));
        }
    }
    let count = peers.len();
    if count == 0 {
        // Whether anybody should be is said of each list.
        findings.pass("peers", "none is linked".to_owned());
    } else if behind.is_empty() {
        findings.pass("peers", format!("{count} linked"));
    } else {
        let detail = format!("{count} linked, not level with {}", behind.join(", "));
        findings.warn("peers", detail, "they are caught up with; look again in a minute");
    }
    let newest = peers.iter().filter_map(|peer| peer["rules"].as_u64()).max().unwrap_or(0);
    if newest > u64::from(RULES_VERSION) {
        let detail = format!("somebody follows rules {newest}, this program knows {RULES_VERSION}");
        findings.warn("versions", detail, "upgrade x0x: what is written under them waits");
    }
}
