//! `x0x workers`: who works on the list.

use std::io::Write;

use x0x_tracker::interface::claims::duration;
use x0x_tracker::interface::workers::{Deeds, Worker};

use super::node::short;
use crate::error::{CliError, Exit};
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Shows every member, whether it is there, and what it does.
pub fn run(session: &Session) -> Result<Exit, CliError> {
    let workers = session.reader()?.workers()?;
    let output = session.output;
    if output.json {
        output.data(|stdout| writeln!(stdout, "{}", workers.answer_json()))?;
        return Ok(Exit::Done);
    }
    if workers.workers.is_empty() {
        output.note("Nobody is known to belong to the list; `x0x join TICKET` joins it.");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = workers.workers.iter().map(|one| row(one, output.verbose)).collect();
    let head = [
        Column::firm("agent"),
        Column::firm("role"),
        Column::soft("seen"),
        Column::firm("load"),
        Column::firm("holds"),
        Column::firm("takeovers"),
        Column::firm("contests"),
        Column::firm("duplicates"),
        Column::firm("abandons"),
    ];
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    if output.verbose {
        for worker in &workers.workers {
            output.data(|stdout| claims(stdout, worker))?;
        }
    }
    Ok(Exit::Done)
}

fn row(worker: &Worker, is_verbose: bool) -> Vec<Cell> {
    let agent = worker.agent.to_string();
    let Deeds { takeovers, contests, duplicates, abandons } = worker.deeds;
    let holds = match worker.stale {
        0 => worker.holds.to_string(),
        stale => format!("{}, {stale} stale", worker.holds),
    };
    let load = worker.load_pct.map_or_else(String::new, |load| format!("{load} %"));
    let mut cells = vec![
        Cell::new(if is_verbose { &agent } else { short(&agent) }),
        Cell::new(worker.role.name()),
        Cell::new(&worker.seen()),
        Cell::new(&load),
        Cell::new(&holds),
    ];
    let counts = [takeovers, contests, duplicates, abandons];
    cells.extend(counts.map(|count| Cell::new(&count.to_string())));
    cells
}

/// Writes the claims of one member.
fn claims(output: &mut dyn Write, worker: &Worker) -> std::io::Result<()> {
    for held in &worker.claims {
        let since = held.silent_ms.map(|ms| format!(", last beat {} ago", duration(ms)));
        let stale = if held.is_stale { ", stale" } else { "" };
        writeln!(
            output,
            "{}: worker {} of agent {}{}{stale}",
            held.name,
            held.worker,
            worker.agent.short(),
            since.unwrap_or_default(),
        )?;
    }
    Ok(())
}
