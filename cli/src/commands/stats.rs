//! `x0x issues stats`: how many of what.

use x0x_tracker::interface::Stats;
use x0x_tracker::interface::shape::priority_name;

use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Counts issues.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let stats = session.reader()?.stats()?;
    let output = session.output;
    if output.json {
        output.json(&stats.answer())?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> =
        counts(&stats).iter().map(|(what, count)| vec![Cell::new(what), number(*count)]).collect();
    let head = [Column::firm(""), Column::firm("")];
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    Ok(Exit::Done)
}

/// Returns the lines for people; one without a number is over a group.
fn counts(stats: &Stats) -> Vec<(String, Option<u64>)> {
    let mut counts = vec![("issues".to_owned(), Some(stats.issues))];
    let mut group = |heading: &str, members: Vec<(String, u64)>| {
        if !members.is_empty() {
            counts.push((heading.to_owned(), None));
        }
        for (member, count) in members {
            counts.push((format!("  {member}"), Some(count)));
        }
    };
    let state = |state: &str| if state.is_empty() { "no state" } else { state }.to_owned();
    group("by state", stats.by_state.iter().map(|(name, n)| (state(name), *n)).collect());
    let priorities = stats.by_priority.iter();
    group("by priority", priorities.map(|(name, n)| (priority_name(*name), *n)).collect());
    let claims = &stats.claims;
    for (what, count) in [
        ("ready", stats.ready),
        ("held", claims.held),
        ("held, but lapsed", claims.stale),
        ("claims", claims.claims),
        ("claims that took over", claims.takeovers),
        ("claims given up for others", claims.abandons),
        ("handoffs", claims.handoffs),
        ("handoffs sent back", claims.rework),
        ("removed", stats.deleted),
        ("with conflicts", stats.conflicts),
        ("comments", stats.comments),
        ("commits", stats.commits),
        ("bytes on disk", stats.store_bytes),
    ] {
        counts.push((what.to_owned(), Some(count)));
    }
    counts
}

fn number(count: Option<u64>) -> Cell {
    count.map_or_else(Cell::default, |count| Cell::new(&count.to_string()))
}
