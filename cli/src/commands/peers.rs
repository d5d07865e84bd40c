//! `x0x peers`: with whom the node is linked.

use serde_json::Value;
use x0x_tracker::journal::commit::RULES_VERSION;

use super::node::{client, short};
use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Shows the linked peers.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let answer: Value = client(session)?.get("/peers")?;
    let output = session.output;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let peers = answer["peers"].as_array().cloned().unwrap_or_default();
    if peers.is_empty() {
        output.note("No node is linked.");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = peers.iter().map(row).collect();
    let head = [
        Column::firm("agent"),
        Column::firm("address"),
        Column::firm("rtt"),
        Column::firm("version"),
        Column::soft("lists"),
    ];
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    let newest = peers.iter().filter_map(|peer| peer["rules"].as_u64()).max().unwrap_or(0);
    if newest > u64::from(RULES_VERSION) {
        output.note(&format!(
            "Upgrade x0x: somebody follows rules {newest} and this program knows {RULES_VERSION}; \
             what is written under them waits."
        ));
    }
    Ok(Exit::Done)
}

fn row(peer: &Value) -> Vec<Cell> {
    let text = |name: &str| peer[name].as_str().unwrap_or_default().to_owned();
    let lists = peer["lists"].as_array().cloned().unwrap_or_default();
    let list = |list: &Value| {
        let id = short(list["id"].as_str().unwrap_or_default()).to_owned();
        if list["level"] == true { id } else { format!("{id} (not level)") }
    };
    let lists: Vec<String> = lists.iter().map(list).collect();
    let rtt_ms = peer["rtt_ms"].as_f64().unwrap_or_default();
    [
        short(&text("agent_id")).to_owned(),
        text("address"),
        format!("{rtt_ms:.1} ms"),
        text("version"),
        lists.join(", "),
    ]
    .iter()
    .map(|text| Cell::new(text))
    .collect()
}
