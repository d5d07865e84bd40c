//! Answers about several issues, and about what was done, as programs get them in JSON; the same from the
//! command line and from a node.

use serde_json::{Map, Value, json};

use super::history::{
    Candidate, Disputed, FieldEdit, IssueLog, Left, LogEntry, UndoReport, Undone, What,
};
use super::record::{object, quoted};
use super::report::{ImportReport, Reason, Shown, Stats, Waiting};
use crate::issue::list_of;
use crate::jsonl::text;
use crate::timestamp::Timestamp;

impl Shown {
    /// Returns the short form of an issue, which the row alone tells.
    pub fn brief_json(&self) -> String {
        let (shown, row) = (self, &self.row);
        let labels: Vec<String> = row.labels.iter().map(|label| quoted(label)).collect();
        object([
            ("id", quoted(&row.id).as_str()),
            ("identifier", &quoted(&shown.name)),
            ("title", &quoted(&row.title)),
            ("state", &row.state.as_deref().map_or("null".to_owned(), quoted)),
            ("priority", &row.priority.map_or("null".to_owned(), |priority| priority.to_string())),
            ("labels", &format!("[{}]", labels.join(","))),
        ])
    }
}

impl Waiting {
    /// Returns why an issue is not ready, in the form that programs get: {id, identifier, reason,
    /// blocked_by}, with `holder` or `retry_after_ms`.
    pub fn answer(&self) -> Value {
        let waiting = self;
        let Shown { name, row, .. } = &waiting.issue;
        let blockers: Vec<&str> = match &waiting.reason {
            Reason::BlockedBy(blockers) => {
                blockers.iter().map(|named| named.name.as_str()).collect()
            }
            Reason::Cycle(_) => row.blocked_by.iter().map(String::as_str).collect(),
            Reason::State(_)
            | Reason::Held(_)
            | Reason::SlateFirst { .. }
            | Reason::Resting { .. } => Vec::new(),
        };
        let mut told = json!({
            "id": row.id,
            "identifier": name,
            "reason": waiting.reason.to_string(),
            "blocked_by": blockers,
        });
        match &waiting.reason {
            Reason::Held(holder) => told["holder"] = holder.json(),
            Reason::SlateFirst { left_ms } | Reason::Resting { left_ms, .. } => {
                told["retry_after_ms"] = json!(left_ms)
            }
            Reason::State(_) | Reason::BlockedBy(_) | Reason::Cycle(_) => {}
        }
        told
    }
}

impl IssueLog {
    /// Returns the log in the form that programs get: {id, identifier, entries, more}.
    pub fn answer_json(&self) -> String {
        let log = self;
        let entries: Vec<String> = log.entries.iter().map(entry_json).collect();
        object([
            ("id", quoted(&log.id).as_str()),
            ("identifier", &quoted(&log.name)),
            ("entries", &list_of(&entries)),
            ("more", &log.more.to_string()),
        ])
    }
}

fn entry_json(entry: &LogEntry) -> String {
    let step = &entry.step;
    let (hash, number) = match entry.commit {
        Some(commit) => (quoted(&commit.hash.to_string()), commit.number.to_string()),
        None => ("null".to_owned(), "null".to_owned()),
    };
    object([
        ("at", quoted(&seconds(step.at)).as_str()),
        ("agent", &quoted(&step.log.agent.to_string())),
        ("log", &quoted(&step.log.to_string())),
        ("commit", &hash),
        ("number", &number),
        ("change", &quoted(&crate::id::hex(&step.hash))),
        ("created", &step.creates.to_string()),
        ("fields", &edits_json(&step.edits)),
    ])
}

impl Disputed {
    /// Returns the disputed fields in the form that programs get: {id, identifier, conflicts, _version}.
    pub fn answer_json(&self) -> String {
        let disputed = self;
        let fields = disputed.fields.iter().map(|dispute| {
            let others: Vec<String> = dispute.others.iter().map(candidate_json).collect();
            object([
                ("field", quoted(&dispute.field).as_str()),
                ("shown", &candidate_json(&dispute.shown)),
                ("others", &list_of(&others)),
            ])
        });
        let row = &disputed.issue.row;
        object([
            ("id", quoted(&row.id).as_str()),
            ("identifier", &quoted(&disputed.issue.name)),
            ("conflicts", &list_of(&fields.collect::<Vec<_>>())),
            ("_version", &quoted(&row.version.to_string())),
        ])
    }
}

/// Returns one value with its author; both are null where nobody knows.
fn candidate_json(candidate: &Candidate) -> String {
    let (agent, log, at) = match candidate.writer {
        Some((log, at)) => {
            (quoted(&log.agent.to_string()), quoted(&log.to_string()), quoted(&seconds(at)))
        }
        None => ("null".to_owned(), "null".to_owned(), "null".to_owned()),
    };
    let mut fields = Vec::new();
    fields.extend(candidate.json.as_deref().map(|json| ("value", json)));
    fields.extend([("agent", agent.as_str()), ("log", &log), ("at", &at)]);
    object(fields)
}

impl Stats {
    /// Returns the counts in the form that programs get.
    pub fn answer(&self) -> Value {
        let stats = self;
        let claims = &stats.claims;
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
            "held": claims.held,
            "stale": claims.stale,
            "claims": claims.claims,
            "takeovers": claims.takeovers,
            "abandons": claims.abandons,
            "handoffs": claims.handoffs,
            "rework": claims.rework,
            "deleted": stats.deleted,
            "conflicts": stats.conflicts,
            "comments": stats.comments,
            "commits": stats.commits,
            "store_bytes": stats.store_bytes,
        })
    }
}

/// Returns what a priority is called.
pub fn priority_name(priority: Option<i64>) -> String {
    priority.map_or_else(|| "none".to_owned(), |priority| priority.to_string())
}

impl Undone {
    /// Tells whether anything was done, or left undone.
    pub fn has_news(&self) -> bool {
        !self.restored.is_empty() || !self.left.is_empty()
    }
}

impl UndoReport {
    /// Returns what was taken back in the form that programs get: of an issue that was named the issue,
    /// with `_restored`, `_left` and `_dry_run`; of a commit {commit, number, dry_run, issues}.
    pub fn answer_json(&self, dry_run: bool) -> String {
        match self.issues.as_slice() {
            [one] if self.commit.is_none() => issue_json(one, dry_run),
            _ => report_json(self, dry_run),
        }
    }
}

/// Returns the issue with what was done to it.
fn issue_json(undone: &Undone, dry_run: bool) -> String {
    let mut json = undone.issue.answer_json().unwrap_or_default();
    json.pop();
    format!(
        "{json},\"_restored\":{},\"_left\":{},\"_dry_run\":{}}}",
        edits_json(&undone.restored),
        left_json(&undone.left),
        dry_run
    )
}

fn report_json(report: &UndoReport, dry_run: bool) -> String {
    let issues = report.issues.iter().filter(|undone| undone.has_news()).map(|undone| {
        object([
            ("id", quoted(&undone.issue.row.id).as_str()),
            ("identifier", &quoted(&undone.issue.name)),
            ("restored", &edits_json(&undone.restored)),
            ("left", &left_json(&undone.left)),
        ])
    });
    let (hash, number) = match report.commit {
        Some(commit) => (quoted(&commit.hash.to_string()), commit.number.to_string()),
        None => ("null".to_owned(), "null".to_owned()),
    };
    object([
        ("commit", hash.as_str()),
        ("number", &number),
        ("dry_run", &dry_run.to_string()),
        ("issues", &list_of(&issues.collect::<Vec<_>>())),
    ])
}

impl ImportReport {
    /// Returns the report in the form that programs get; `attached` says that the task list is new here.
    pub fn answer(&self, file: &str, dry_run: bool, attached: bool) -> Value {
        let report = self;
        let triples = |entries: &[(String, String, String)], last: &str| -> Value {
            entries
                .iter()
                .map(|(issue, field, text)| json!({"issue": issue, "field": field, last: text}))
                .collect()
        };
        let old_news = report.old_news.iter().map(
        |(issue, field, value)| json!({"issue": issue, "field": field, "value": as_value(value)}),
    );
        let edited =
            report.edited.iter().map(|(issue, fields)| json!({"issue": issue, "fields": fields}));
        json!({
            "file": file,
            "dry_run": dry_run,
            "attached": attached,
            "records": report.records,
            "unchanged": report.unchanged,
            "created": report.created,
            "edited": edited.collect::<Value>(),
            "old_news": old_news.collect::<Value>(),
            "pending": triples(&report.pending, "reason"),
            "refused": triples(&report.refused, "reason"),
            "missing": report.missing,
            "pruned": report.pruned,
            "collisions": report.collisions,
            "problems": report.problems.iter().map(|p| p.json(file)).collect::<Value>(),
        })
    }
}

/// Returns compact JSON as a value; what is no JSON, as a text.
fn as_value(json: &str) -> Value {
    if text::validate(json.as_bytes()).is_ok() {
        serde_json::from_str(json).unwrap_or_else(|_| Value::from(json))
    } else {
        Value::from(json)
    }
}

/// Returns the changes of some fields for programs, as a JSON list.
fn edits_json(edits: &[FieldEdit]) -> String {
    list_of(&edits.iter().map(edit_json).collect::<Vec<_>>())
}

/// Returns the fields that stay as they are for programs, as a JSON list.
fn left_json(left: &[Left]) -> String {
    let left = left.iter().map(|left| {
        object([
            ("field", quoted(&left.field).as_str()),
            ("reason", &quoted(&left.reason)),
            ("by_force", &left.by_force.to_string()),
        ])
    });
    list_of(&left.collect::<Vec<_>>())
}

fn edit_json(edit: &FieldEdit) -> String {
    let mut fields = vec![("field", quoted(&edit.field))];
    match &edit.what {
        What::Value { from, to } => {
            fields.extend(from.clone().map(|json| ("from", json)));
            fields.extend(to.clone().map(|json| ("to", json)));
            fields.push(("lost", edit.lost.to_string()));
        }
        What::List { added, removed, moved } => {
            let lists = [("added", added), ("removed", removed), ("moved", moved)];
            fields.extend(lists.map(|(name, list)| (name, list_of(list))));
        }
    }
    object(fields.iter().map(|(name, json)| (*name, json.as_str())))
}

/// Returns a time of whole seconds without the milliseconds that it does not have.
pub fn seconds(at: Timestamp) -> String {
    at.to_string().replace(".000Z", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_no_null_for_programs() {
        let json = value_json(None, Some("1e400"));
        assert_eq!(json, r#"{"field":"t","to":1e400,"lost":false}"#);
        let json = value_json(Some("null"), None);
        assert_eq!(json, r#"{"field":"t","from":null,"lost":false}"#);
    }

    fn value_json(from: Option<&str>, to: Option<&str>) -> String {
        let what = What::Value { from: from.map(str::to_owned), to: to.map(str::to_owned) };
        edit_json(&FieldEdit { field: "t".to_owned(), what, lost: false })
    }
}
