//! What an import did, told to people and to programs. Not: doing it.

use x0x_tracker::Tracker;
use x0x_tracker::interface::ImportReport;

use crate::args::ImportArgs;
use crate::error::problem_text;
use crate::output::issue::value_text;
use crate::output::plain::one_line;
use crate::output::record::Record;

/// How many entries of a long list people are shown unless they ask for all.
const SHOWN_MAX: usize = 10;

/// The longest value in a summary, in columns.
const VALUE_COLUMNS_MAX: usize = 60;

/// Returns the report for people.
pub fn summary(
    tracker: &dyn Tracker,
    args: &ImportArgs,
    report: &ImportReport,
    verbose: bool,
) -> String {
    let would = if args.dry_run { "dry run, nothing was written: " } else { "" };
    let mut text = format!(
        "{would}{} records: {} created, {} edited, {} unchanged\n",
        report.records,
        report.created.len(),
        report.edited.len(),
        report.unchanged
    );
    let mut section = |heading: &str, entries: Vec<String>| {
        text.push_str(&listed(heading, &entries, verbose));
    };
    let names = |names: &[String]| names.iter().map(|name| one_line(name).into_owned()).collect();
    section("created", names(&report.created));
    section("edited", report.edited.iter().map(|(name, f)| edited(name, f)).collect());
    let shown = if verbose { usize::MAX } else { SHOWN_MAX };
    let news = report.old_news.iter().enumerate();
    section(
        "old news, kept as here (--take-file takes the file's value)",
        news.map(|(at, (name, field, value))| {
            let tracker = (at < shown).then_some(tracker);
            old_news(tracker, name, field, value)
        })
        .collect(),
    );
    let reasons = |entries: &[(String, String, String)]| -> Vec<String> {
        entries
            .iter()
            .map(|(n, field, why)| one_line(&format!("{n} {field}: {why}")).into_owned())
            .collect()
    };
    section(
        "pending: the file keeps them until somebody who may imports them",
        reasons(&report.pending),
    );
    section("refused: never taken from a file", reasons(&report.refused));
    section("missing from the file, kept here (--prune removes them)", names(&report.missing));
    section("removed, as their lines are gone", names(&report.pruned));
    section(
        "collisions: ids that several issues share, each shown with a suffix",
        names(&report.collisions),
    );
    text
}

/// Returns the bad lines that were passed over; empty where there are none.
pub fn problems(file: &str, report: &ImportReport, verbose: bool) -> String {
    let lines: Vec<String> = report.problems.iter().map(|p| problem_text(file, p)).collect();
    listed("bad lines, passed over", &lines, verbose).trim_end().to_owned()
}

fn listed(heading: &str, entries: &[String], verbose: bool) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let shown = if verbose { entries.len() } else { SHOWN_MAX };
    let mut text = format!("{heading} ({}):\n", entries.len());
    for entry in entries.iter().take(shown) {
        text.push_str(&format!("  {entry}\n"));
    }
    if entries.len() > shown {
        text.push_str(&format!("  and {} more (-v shows all)\n", entries.len() - shown));
    }
    text
}

fn edited(name: &str, fields: &[String]) -> String {
    one_line(&format!("{name}: {}", fields.join(", "))).into_owned()
}

/// Returns one value of the file that is older than the one here, which is looked up if it may be.
fn old_news(tracker: Option<&dyn Tracker>, name: &str, field: &str, value: &str) -> String {
    let kept = tracker
        .and_then(|tracker| tracker.show(name).ok())
        .and_then(|shown| {
            Some(short(Record::of(shown.json.as_deref()?).get(field).unwrap_or("absent")))
        })
        .map_or_else(String::new, |kept| format!(", kept {kept}"));
    format!("{} {}: file {}{kept}", one_line(name), one_line(field), short(value))
}

fn short(json: &str) -> String {
    let text = value_text(json);
    crate::output::plain::cut(&one_line(&text), VALUE_COLUMNS_MAX).into_owned()
}
