//! What a runner says: a line for each event on stderr, or for programs an object a line on stdout.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};
use x0x::time;
use x0x_tracker::interface::claims::duration;
use x0x_tracker::timestamp::Timestamp;

use super::desk::{Record, Taken};
use super::foreman::Outcome;
use super::recovery::{Found, Recovered};
use super::speaker::Speaker;
use crate::output::Output;
use crate::output::plain::one_line;

/// How many digits of a token people are shown.
const TOKEN_DIGITS: usize = 12;

/// Says what happens.
#[derive(Debug)]
pub struct Told {
    output: Output,
    speaker: Speaker,
}

impl Told {
    /// Returns what talks as `output` does, and never waits for whoever listens.
    pub fn new(output: Output) -> Self {
        let speaker = match output.json {
            true => Speaker::new(io::stdout(), |count| object("dropped", json!({"count": count}))),
            false => Speaker::new(io::stderr(), |count| format!("{count} lines were dropped here")),
        };
        Self { output, speaker }
    }

    /// An issue was claimed, and its command is being started.
    pub fn claimed(&self, taken: &Taken, proofs: &Path) {
        let name = one_line(&taken.issue.name);
        let token = taken.claim.to_string();
        let digits = token.get(..TOKEN_DIGITS).unwrap_or(&token);
        let title = one_line(&taken.issue.row.title);
        self.line(&format!("{name}  {title}: claimed ({digits}), proofs in {}", proofs.display()));
        let row = &taken.issue.row;
        self.event(
            "claimed",
            json!({
                "issue": row.id,
                "identifier": taken.issue.name,
                "claim": token,
                "fence": row.held.as_ref().map(|held| held.fence),
                "attempt": row.tally.attempts(),
                "proofs": proofs,
            }),
        );
    }

    /// A job is over.
    pub fn settled(&self, id: &str, name: &str, record: &Record) {
        let mut text = format!("{}: {}", one_line(name), words(record.outcome));
        if let Some(reason) = &record.reason {
            text.push_str(&format!(": {}", one_line(reason)));
        }
        if let Some(ms) = record.retry_after_ms {
            text.push_str(&format!(" (again in {})", duration(ms)));
        }
        if let Some(complaint) = &record.complaint {
            text.push_str(&format!("; {}", one_line(complaint)));
        }
        self.line(&text);
        self.event(
            record.outcome.name(),
            json!({
                "issue": id,
                "identifier": name,
                "reason": record.reason,
                "retry_after_ms": record.retry_after_ms,
                "complaint": record.complaint,
                "proofs": record.dir,
            }),
        );
    }

    /// What runners left that ended without a word was dealt with.
    pub fn recovered(&self, recovered: &Recovered) {
        for Found { id, name, lost } in &recovered.found {
            let how = lost.as_deref().unwrap_or(super::reaper::SILENT);
            let act = if lost.is_some() { "not given back" } else { "released" };
            self.line(&format!("{}: {act}, {}", one_line(name), one_line(how)));
            let event = if lost.is_some() { "lost" } else { "recovered" };
            self.event(event, json!({"issue": id, "identifier": name, "reason": lost}));
        }
        for complaint in &recovered.complaints {
            self.note("unrecovered", &one_line(complaint));
        }
    }

    /// Old proofs were removed.
    pub fn reaped(&self, count: usize) {
        match count {
            0 => {}
            1 => self.note("reaped", "the old proofs of 1 job went, which no handoff names"),
            _ => {
                let text = format!("the old proofs of {count} jobs went, which no handoff names");
                self.note("reaped", &text);
            }
        }
    }

    /// Something that an issue has no part in.
    pub fn note(&self, event: &str, text: &str) {
        self.line(text);
        self.event(event, json!({"detail": text}));
    }

    fn line(&self, text: &str) {
        if self.output.notes() {
            self.speaker.say(text.to_owned());
        }
    }

    fn event(&self, event: &str, more: Value) {
        if self.output.json {
            self.speaker.say(object(event, more));
        }
    }
}

/// Returns an event as programs read it.
fn object(event: &str, more: Value) -> String {
    let mut object = Map::new();
    object.insert("event".to_owned(), event.into());
    object.insert("at".to_owned(), Timestamp(time::now_ms()).to_string().into());
    if let Value::Object(more) = more {
        object.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(object).to_string()
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::HandedOff => "handed off",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "took too long",
        Outcome::Interrupted => "interrupted",
        Outcome::Abandoned => "lost",
        Outcome::Released => "released",
        Outcome::Isolated => "stopped, since no other member was heard",
        Outcome::Unrecorded => "over, but that could not be stored; the claim lapses by itself",
    }
}
