//! `x0x diagnostics dm`: what became of direct messages.

use std::io::Write;

use serde_json::Value;

use super::super::node::{client, short};
use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Shows what became of direct messages.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let answer: Value = client(session)?.get("/diagnostics/dm")?;
    let output = session.output;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| cells(row, output.verbose)).collect();
    let counts = COUNTS.map(|name| Column::firm(name.split('_').next().unwrap_or(name)));
    let head: Vec<Column> = [Column::firm("peer"), Column::firm("path")]
        .into_iter()
        .chain(counts)
        .chain([Column::firm("p50"), Column::firm("p99")])
        .collect();
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    for name in ["outbox", "inbox"] {
        let of = &answer[name];
        output.data(|stdout| {
            writeln!(
                stdout,
                "{name:6}  {} of {} messages, {} of {} bytes",
                of["depth"], of["capacity"], of["bytes"], of["bytes_capacity"]
            )
        })?;
    }
    Ok(Exit::Done)
}

const COUNTS: [&str; 8] =
    ["sent", "delivered", "retried", "expired", "refused", "received", "duplicates", "turned_away"];

fn cells(row: &Value, is_verbose: bool) -> Vec<Cell> {
    let peer = row["peer"].as_str().unwrap_or_default();
    let latency = |name: &str| {
        let latency_us = row[name].as_u64();
        latency_us.map_or(String::new(), |us| format!("{:.1} ms", us as f64 / 1_000.0))
    };
    let mut cells = vec![
        Cell::new(if is_verbose { peer } else { short(peer) }),
        Cell::new(row["path"].as_str().unwrap_or_default()),
    ];
    cells.extend(COUNTS.map(|name| Cell::new(&row[name].to_string())));
    cells.extend(["latency_us_p50", "latency_us_p99"].map(|name| Cell::new(&latency(name))));
    cells
}
