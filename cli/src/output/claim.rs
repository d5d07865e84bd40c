//! Who holds an issue, as people read it: a line, a cell of a table, a part of a page. Not: who may.

use std::io::{self, Write};

use x0x_tracker::id::AgentId;
use x0x_tracker::interface::claims::{Note, Rival, duration};
use x0x_tracker::interface::report::Row;
use x0x_tracker::interface::{Held, Shown, Standing, Watch};
use x0x_tracker::issue::{as_text, elements_of};
use x0x_tracker::timestamp::Timestamp;

use super::issue::span;
use super::plain::{cut, one_line};
use super::record::Record;
use super::table::{Cell, Colour, Look, painted};

/// Returns one line on an issue that was claimed: who holds it until when, fence and token. Without
/// a holder it is the line on any issue.
pub fn line(shown: &Shown) -> String {
    let Some(held) = &shown.row.held else { return super::issue::line(shown) };
    let (name, title) = (one_line(&shown.name), one_line(&shown.row.title));
    let until = match shown.watch.as_ref().and_then(|watch| watch.deadline) {
        Some(deadline) => format!(" until {}", whole_seconds(deadline)),
        None => String::new(),
    };
    let sure = match shown.watch.as_ref().map(|watch| watch.standing) {
        Some(Standing::Provisional) => ", provisional",
        Some(Standing::Isolated) => ", isolated",
        Some(Standing::Confirmed) | None => "",
    };
    format!(
        "{name}  held by worker {}{until}, fence {}, claim {}{sure}  {title}",
        one_line(&held.worker),
        held.fence,
        held.claim.short()
    )
}

/// Returns one line on an issue whose slate was drawn anew.
pub fn slate_line(shown: &Shown, json: &str) -> String {
    let (name, title) = (one_line(&shown.name), one_line(&shown.row.title));
    let slate = Record::of(json).get("shard").and_then(slate);
    let slate = slate.map_or_else(|| "nobody".to_owned(), |slate| one_line(&slate).into_owned());
    format!("{name}  slate: {slate}  {title}")
}

/// How wide a table shows who holds an issue. A guess: an agent and a short name of a worker.
const WHO_COLUMNS_MAX: usize = 20;

/// Returns who holds an issue and how long the claim still lives; empty where nobody does.
pub fn cell(shown: &Shown) -> Cell {
    let Some(held) = &shown.row.held else { return Cell::default() };
    let watch = shown.watch.as_ref();
    let who = match watch {
        Some(watch) if watch.is_own => held.worker.clone(),
        _ => format!("{}/{}", held.agent.short(), held.worker),
    };
    let who = cut(&who, WHO_COLUMNS_MAX);
    let left = match watch {
        Some(watch) if watch.is_stale => " lapsed".to_owned(),
        Some(watch) => {
            let left =
                watch.left_ms(held.ttl_ms).map(|ms| format!(" {}", span(ms.div_ceil(1_000))));
            left.unwrap_or_default()
        }
        None => String::new(),
    };
    let is_stale = watch.is_some_and(|watch| watch.is_stale);
    let colour = if is_stale { Colour::Red } else { Colour::Yellow };
    Cell::new(&format!("{who}{left}")).painted(Some(colour))
}

/// Returns where on the slate the holder of an issue is, how old its claim is, and how often the issue
/// was claimed; of an issue that nobody holds, only that.
pub fn standing_cell(shown: &Shown) -> Cell {
    let attempts = shown.row.tally.attempts();
    let Some(held) = &shown.row.held else {
        return match attempts {
            0 => Cell::default(),
            1 => Cell::new("1 try"),
            more => Cell::new(&format!("{more} tries")),
        };
    };
    let age = shown.watch.as_ref().map(|watch| format!(" {}", span(watch.age_ms / 1_000)));
    let place = match held.slot {
        0..=2 => slot(held.slot),
        _ => "off slate",
    };
    let standing = shown.watch.as_ref().map(|watch| watch.standing);
    let unsure = standing.filter(|standing| *standing != Standing::Confirmed);
    let unsure = unsure.map_or(String::new(), |standing| format!(", {}", standing.name()));
    Cell::new(&format!("{place}{}, try {attempts}{unsure}", age.unwrap_or_default()))
}

/// Writes the part of a page that says who holds the issue, or why it is left alone.
pub fn part(
    output: &mut dyn Write,
    shown: &Shown,
    shard: Option<&str>,
    look: Look,
) -> io::Result<()> {
    let mut facts = facts(shown, shard);
    // Of a claim that stands alone the holder is told already.
    let is_told = |rival: &&Rival| shown.rivals.len() > 1 || rival.end.is_some();
    facts.extend(shown.rivals.iter().filter(is_told).map(rival_fact));
    if facts.is_empty() {
        return Ok(());
    }
    writeln!(output, "\n{}", painted("claim", Some(Colour::Bold), look))?;
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &facts {
        let label = painted(&format!("{name:width$}"), Some(Colour::Faint), look);
        writeln!(output, "  {label}  {}", one_line(value))?;
    }
    Ok(())
}

/// Returns who did something to a claim of an agent, where that is somebody else, and why.
fn note(note: &Note, holder: AgentId) -> String {
    let by = if note.by == holder { String::new() } else { format!(" by {}", note.by.short()) };
    let reason = note.reason.as_ref().map(|reason| format!(" ({reason})"));
    format!("{by}{}", reason.unwrap_or_default())
}

/// Returns what became of one claim of several.
fn rival_fact(rival: &Rival) -> (&'static str, String) {
    let Rival { claim, agent, worker, ended, why, counts, .. } = rival;
    let stands = ended.as_deref().is_none_or(|how| how == "handed_off");
    let label = match counts {
        true if stands => "counts",
        // What comes after it starts from it; it holds nothing.
        true => "ended",
        false => "claimed",
    };
    let ended = ended.as_ref().map(|how| {
        let how = how.replace('_', " ");
        let end = rival.end.as_ref().map(|end| note(end, *agent)).unwrap_or_default();
        let back =
            rival.sent_back.as_ref().map(|back| format!(", sent back{}", note(back, *agent)));
        format!(", {how}{end}{}", back.unwrap_or_default())
    });
    let place = slot(rival.slot);
    let (whose, ended) = (agent.short(), ended.unwrap_or_default());
    // That it counts is said already.
    let why = if *counts { String::new() } else { format!(": {why}") };
    let text = format!("{} by worker {worker} of {whose} ({place}){ended}{why}", claim.short());
    (label, text)
}

fn facts(shown: &Shown, shard: Option<&str>) -> Vec<(&'static str, String)> {
    let Row { held, rest, tally, .. } = &shown.row;
    let mut facts = Vec::new();
    if let Some(held) = held {
        facts.extend(holder_facts(held, shown.watch.as_ref()));
    }
    if tally.claims > 0 {
        facts.push(("attempts", format!("{} so far{}", tally.attempts(), outcomes(&shown.row))));
    }
    let ended = rest.as_ref().and_then(|rest| rest.reason.as_deref());
    if let (None, Some(reason), None) = (held, ended, shown.rest_left_ms) {
        facts.push(("last", format!("ended: {reason}")));
    }
    if let (None, Some(rest), Some(left_ms)) = (held, rest, shown.rest_left_ms) {
        let times = match rest.failures {
            0 | 1 => String::new(),
            failures => format!("; {failures} failures in a row"),
        };
        let reason = rest.reason.as_deref().map(|reason| format!(" after: {reason}"));
        let left = duration(left_ms);
        facts.push(("rests", format!("{left} more{}{times}", reason.unwrap_or_default())));
    }
    if let (false, Some(slate)) = (facts.is_empty(), shard.and_then(slate)) {
        facts.push(("slate", slate));
    }
    facts
}

fn holder_facts(held: &Held, watch: Option<&Watch>) -> Vec<(&'static str, String)> {
    let whose = match watch {
        Some(watch) if watch.is_own => "this agent".to_owned(),
        _ => format!("agent {}", held.agent.short()),
    };
    let mut facts = vec![("holder", format!("{whose}, worker {}", held.worker))];
    facts.push(("place", place(held.slot)));
    match watch {
        None => facts.push(("since", held.at.to_string())),
        Some(watch) => {
            facts.push(("since", format!("{} ago", duration(watch.age_ms))));
            facts.extend(life(held, watch).map(|life| ("lives", life)));
        }
    }
    facts.push(("fence", held.fence.to_string()));
    facts.push(("token", held.claim.to_string()));
    if let Some(watch) = watch {
        let unheard: Vec<String> = watch.unheard.iter().map(|agent| agent.short()).collect();
        let of = if unheard.is_empty() { "" } else { "; not heard of: " };
        facts.push(("standing", format!("{}{of}{}", watch.standing.name(), unheard.join(", "))));
    }
    facts
}

/// Returns how long a claim still lives, or since when it does not.
fn life(held: &Held, watch: &Watch) -> Option<String> {
    let silent_ms = watch.silent_ms?;
    if watch.is_stale {
        let lapsed = duration(silent_ms.saturating_sub(held.ttl_ms));
        return Some(format!("no more: lapsed {lapsed} ago"));
    }
    let left = duration(held.ttl_ms.saturating_sub(silent_ms));
    Some(format!("{left} more without a heartbeat"))
}

/// Returns what became of the claims, where there is something to say.
fn outcomes(row: &Row) -> String {
    let counts = [
        (row.tally.takeovers, "took over a lapsed one"),
        (row.tally.abandons, "given up for another"),
        (row.tally.handoffs, "handed off"),
        (row.tally.rework, "sent back"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

/// Returns the place on the slate for people.
fn slot(slot: u8) -> &'static str {
    match slot {
        0 => "primary",
        1 => "backup 0",
        2 => "backup 1",
        _ => "not on the slate",
    }
}

/// Returns the same, with what it means.
fn place(at: u8) -> String {
    let means = match at {
        0 => ": the first of those preferred",
        1 => ": the second of those preferred",
        2 => ": the third of those preferred",
        _ => "",
    };
    format!("{}{means}", slot(at))
}

/// Returns the agents of a slate as the record spells it, in order.
fn slate(shard: &str) -> Option<String> {
    let shard = Record::of(shard);
    let primary = shard.get("primary").and_then(as_text)?;
    let backups = shard.get("backups").map(elements_of).unwrap_or_default();
    let agents = std::iter::once(primary).chain(backups.iter().filter_map(|json| as_text(json)));
    let short: Vec<String> =
        agents.map(|agent| agent.chars().take(AGENT_CHARS).collect()).collect();
    Some(short.join(", "))
}

/// How much of an agent's id people see.
const AGENT_CHARS: usize = 8;

/// Returns a time without its milliseconds.
fn whole_seconds(at: Timestamp) -> String {
    let spelled = at.to_string();
    spelled.split_once('.').map_or(spelled.clone(), |(seconds, _)| format!("{seconds}Z"))
}
