//! `x0x issues stats`: how many of what.

use serde_json::{Map, Value, json};
use x0x_tracker::Tracker;
use x0x_tracker::interface::Stats;

use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Counts issues.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let stats = session.reader()?.stats()?;
    let output = session.output;
    if output.json {
        output.json(&object(&stats))?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = counts(&stats)
        .iter()
        .map(|(what, count)| vec![Cell::new(what), Cell::new(&count.to_string())])
        .collect();
    let head = [Column::firm(""), Column::firm("")];
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    Ok(Exit::Done)
}

fn counts(stats: &Stats) -> Vec<(String, u64)> {
    let mut counts = vec![("issues".to_owned(), stats.issues), ("ready".to_owned(), stats.ready)];
    for (state, count) in &stats.by_state {
        let state = if state.is_empty() { "no state" } else { state };
        counts.push((format!("  {state}"), *count));
    }
    for (priority, count) in &stats.by_priority {
        counts.push((format!("  priority {}", priority_name(*priority)), *count));
    }
    for (what, count) in [
        ("removed", stats.deleted),
        ("with conflicts", stats.conflicts),
        ("comments", stats.comments),
        ("commits", stats.commits),
        ("bytes on disk", stats.store_bytes),
    ] {
        counts.push((what.to_owned(), count));
    }
    counts
}

fn object(stats: &Stats) -> Value {
    let by_priority: Map<String, Value> = stats
        .by_priority
        .iter()
        .map(|(priority, count)| (priority_name(*priority), json!(count)))
        .collect();
    json!({
        "issues": stats.issues,
        "ready": stats.ready,
        "by_state": stats.by_state,
        "by_priority": by_priority,
        "deleted": stats.deleted,
        "conflicts": stats.conflicts,
        "comments": stats.comments,
        "commits": stats.commits,
        "store_bytes": stats.store_bytes,
    })
}

fn priority_name(priority: Option<i64>) -> String {
    priority.map_or_else(|| "none".to_owned(), |priority| priority.to_string())
}
