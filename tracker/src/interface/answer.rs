//! Issues and holders as programs get them, in JSON. Not: which issues, and how much of each.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::claims::{Holder, Kept, Loss, Note, Rival};
use super::report::{Held, Shown};
use crate::id::RecordHash;
use crate::jsonl::record::{ATTEMPTS_FIELD, CLAIMS_FIELD, REST_FIELD, VERSION_FIELD};

impl Shown {
    /// Returns the record in the form that programs get: `identifier` is the name that is not
    /// ambiguous, `claim` of an issue that is held also says how the claim stands here; `_attempts`
    /// of an issue that was claimed, `_claims` of one that was claimed, where it is asked for alone,
    /// `_rest` of one that is left alone after a failure, and `_version` is added.
    pub fn answer_json(&self) -> Option<String> {
        let standing = self.row.held.as_ref().map(|held| standing(held, self));
        self.answer_with(standing.unwrap_or_default())
    }

    /// Returns the answer, in which these members are added to the object under `claim`.
    fn answer_with(&self, claim: Map<String, Value>) -> Option<String> {
        let mut answer = self.renamed()?;
        add_to_claim(&mut answer, claim);
        answer.pop();
        let attempts = self.row.tally.attempts();
        if attempts > 0 {
            answer.push_str(&format!(",\"{ATTEMPTS_FIELD}\":{attempts}"));
        }
        if !self.rivals.is_empty() {
            let claims: Value = self.rivals.iter().map(Rival::json).collect();
            answer.push_str(&format!(",\"{CLAIMS_FIELD}\":{claims}"));
        }
        if let Some(rest) = self.rest() {
            answer.push_str(&format!(",\"{REST_FIELD}\":{rest}"));
        }
        answer.push_str(&format!(",\"{VERSION_FIELD}\":\"{}\"}}", self.row.version));
        Some(answer)
    }

    /// Returns how an issue rests that is left alone after a failure.
    fn rest(&self) -> Option<Value> {
        let (left_ms, rest) = (self.rest_left_ms?, self.row.rest.as_ref()?);
        Some(json!({"left_ms": left_ms, "failures": rest.failures, "reason": rest.reason}))
    }

    /// Returns the record under the name to call it by.
    fn renamed(&self) -> Option<String> {
        let json = self.json.as_deref()?;
        let quote = |text: &str| Value::from(text).to_string();
        let named = match &self.row.identifier {
            Some(stored) if *stored == self.name => json.to_owned(),
            Some(stored) => {
                let old = format!("\"identifier\":{}", quote(stored));
                let new = format!("\"identifier\":{}", quote(&self.name));
                json.replacen(&old, &new, 1)
            }
            None => {
                let id = format!("{{\"id\":{}", quote(&self.row.id));
                let rest = json.strip_prefix(&id).unwrap_or_default();
                if rest.starts_with(",\"identifier\":") {
                    // It is no string; it stays as it is.
                    json.to_owned()
                } else {
                    format!("{id},\"identifier\":{}{rest}", quote(&self.name))
                }
            }
        };
        Some(named)
    }
}

impl Kept {
    /// Returns the issue in the form that programs get; `claim` names the claim that was kept, also
    /// where a handoff ended it, and says whether it was renewed.
    pub fn answer_json(&self) -> Option<String> {
        let row = &self.issue.row;
        let held = row.held.as_ref().filter(|held| held.claim == self.claim);
        let mut claim = match held {
            Some(held) => standing(held, &self.issue),
            None => Map::from_iter([identity(self.claim)]),
        };
        claim.insert("renewed".to_owned(), self.renewed.into());
        if !self.lost.is_empty() {
            claim.insert("lost".to_owned(), self.lost.iter().map(Loss::json).collect());
        }
        self.issue.answer_with(claim)
    }
}

impl Rival {
    /// Returns a claim and what became of it in the form that programs get.
    pub fn json(&self) -> Value {
        json!({
            "id": self.claim.to_string(),
            "agent": self.agent.to_string(),
            "worker": self.worker,
            "at": self.at.to_string(),
            "fence": self.fence,
            "slot": self.slot,
            "ended": self.ended,
            "counts": self.counts,
            "instead": self.instead.map(|claim| claim.to_string()),
            "why": self.why,
            "end": self.end.as_ref().map(Note::json),
            "sent_back": self.sent_back.as_ref().map(Note::json),
        })
    }
}

impl Note {
    /// Returns who did something in the form that programs get: {by, at, reason}.
    pub fn json(&self) -> Value {
        json!({"by": self.by.to_string(), "at": self.at.to_string(), "reason": self.reason})
    }
}

impl Loss {
    /// Returns a claim that its worker has no longer in the form that programs get: {identifier,
    /// claim, why}.
    pub fn json(&self) -> Value {
        json!({"identifier": self.name, "claim": self.claim.to_string(), "why": self.why})
    }
}

impl Holder {
    /// Returns who holds an issue in the form that programs get: {agent, worker, claim, at, ttl_ms,
    /// silent_ms, fence, slot}; `silent_ms` is null where nobody here watches the claim.
    pub fn json(&self) -> Value {
        let held = &self.held;
        json!({
            "agent": held.agent.to_string(),
            "worker": held.worker,
            "claim": held.claim.to_string(),
            "at": held.at.to_string(),
            "ttl_ms": held.ttl_ms,
            "silent_ms": self.silent_ms,
            "fence": held.fence,
            "slot": held.slot,
        })
    }
}

fn identity(claim: RecordHash) -> (String, Value) {
    ("id".to_owned(), claim.to_string().into())
}

/// Returns what is known of a claim beyond its record.
fn standing(held: &Held, shown: &Shown) -> Map<String, Value> {
    let mut members = Map::from_iter([identity(held.claim)]);
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    add("worker", held.worker.as_str().into());
    add("fence", held.fence.into());
    add("slot", held.slot.into());
    add("ttl_ms", held.ttl_ms.into());
    add("attempts", shown.row.tally.attempts().into());
    let Some(watch) = &shown.watch else { return members };
    add("deadline", watch.deadline.map_or(Value::Null, |at| at.to_string().into()));
    add("age_ms", watch.age_ms.into());
    add("silent_ms", watch.silent_ms.into());
    add("left_ms", watch.left_ms(held.ttl_ms).into());
    add("stale", watch.is_stale.into());
    add("standing", watch.standing.name().into());
    if !watch.unheard.is_empty() {
        add("unheard", watch.unheard.iter().map(|agent| Value::from(agent.to_string())).collect());
    }
    members
}

/// Adds members to the object under `claim` of a record, or makes one of them.
fn add_to_claim(record: &mut String, members: Map<String, Value>) {
    #[derive(Deserialize)]
    struct Claimed<'a> {
        #[serde(borrow)]
        claim: &'a RawValue,
    }
    if members.is_empty() {
        return;
    }
    let written = serde_json::from_str::<Claimed<'_>>(record).ok().map(|claimed| {
        let claim = claimed.claim.get();
        // The value is a part of the text that it was read from.
        let start = claim.as_ptr().addr() - record.as_ptr().addr();
        (start..start + claim.len(), serde_json::from_str::<Map<String, Value>>(claim).ok())
    });
    let whole = |own: Option<Map<String, Value>>| {
        let mut whole = own.unwrap_or_default();
        whole.extend(members);
        Value::Object(whole).to_string()
    };
    match written {
        Some((range, own)) => record.replace_range(range, &whole(own)),
        None => {
            record.pop();
            record.push_str(&format!(",\"claim\":{}}}", whole(None)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tracker;
    use crate::id::AgentId;
    use crate::interface::Draft;
    use crate::interface::claims::{Standing, Watch};
    use crate::interface::report::Rest;
    use crate::testing;
    use crate::timestamp::Timestamp;

    fn held() -> Held {
        Held {
            claim: RecordHash([7; 32]),
            agent: AgentId([1; 32]),
            worker: "w".to_owned(),
            at: Timestamp(0),
            ttl_ms: 60_000,
            slot: 0,
            fence: 2,
        }
    }

    fn watch() -> Watch {
        Watch {
            age_ms: 5_000,
            silent_ms: Some(4_000),
            deadline: Some(Timestamp(56_000)),
            is_stale: false,
            is_own: true,
            standing: Standing::Provisional,
            unheard: vec![AgentId([2; 32])],
        }
    }

    /// Returns an issue that is held, and whose record says `claim`.
    fn shown(claim: &str) -> Shown {
        let dir = tempfile::tempdir().unwrap();
        let mut list = testing::found(dir.path(), 1).unwrap();
        let mut shown = list.create(&Draft::titled("one")).unwrap();
        let json = shown.json.take().unwrap();
        let (before, after) = json.split_once(",\"title\"").unwrap();
        shown.json = Some(format!("{before}{claim},\"title\"{after}"));
        shown.row.held = Some(held());
        shown.row.tally.claims = 3;
        shown.row.tally.renewals = 1;
        shown.watch = Some(watch());
        shown
    }

    fn parsed(json: Option<String>) -> Value {
        serde_json::from_str(&json.unwrap()).unwrap()
    }

    #[test]
    fn the_claim_of_a_held_issue_says_how_it_stands() {
        let nested = ",\"links\":[{\"claim\":{\"by\":0}}],\"claim\":{\"by\":\"me\",\"at\":\"now\"}";
        let answer = parsed(shown(nested).answer_json());
        assert_eq!(answer["links"], json!([{"claim": {"by": 0}}]));
        let expected = json!({
            "by": "me", "at": "now", "id": "07".repeat(32), "worker": "w", "fence": 2, "slot": 0,
            "ttl_ms": 60_000, "attempts": 2, "deadline": "1970-01-01T00:00:56.000Z", "age_ms": 5_000,
            "silent_ms": 4_000, "left_ms": 56_000, "stale": false, "standing": "provisional",
            "unheard": ["02".repeat(32)],
        });
        assert_eq!(answer["claim"], expected);
        assert!(answer["_version"].is_string() && answer["title"] == "one");
    }

    #[test]
    fn a_claim_that_nobody_watches_says_what_its_record_says() {
        let mut shown = shown("");
        shown.watch = None;
        let claim = &parsed(shown.answer_json())["claim"];
        assert_eq!((&claim["fence"], &claim["slot"]), (&json!(2), &json!(0)));
        assert!(claim.get("left_ms").is_none() && claim.get("stale").is_none(), "{claim}");
        shown.row.held = None;
        assert!(parsed(shown.answer_json()).get("claim").is_none());
    }

    #[test]
    fn what_became_of_a_claim_is_told_also_once_it_is_over() {
        let kept =
            |issue| Kept { issue, claim: RecordHash([7; 32]), renewed: true, lost: Vec::new() };
        let still = parsed(kept(shown(",\"claim\":null")).answer_json());
        assert_eq!(
            (&still["claim"]["renewed"], &still["claim"]["fence"]),
            (&json!(true), &json!(2))
        );
        let mut over = shown("");
        over.row.held = None;
        let over = parsed(kept(over).answer_json());
        assert_eq!(over["claim"], json!({"id": "07".repeat(32), "renewed": true}));
    }

    #[test]
    fn what_a_worker_lost_is_told_with_what_it_has() {
        let loss = Loss {
            id: "T-2".to_owned(),
            name: "T-2".to_owned(),
            claim: RecordHash([8; 32]),
            why: "it is over".to_owned(),
            by_holder: false,
            holder: None,
        };
        let lost = vec![loss];
        let kept = Kept { issue: shown(""), claim: RecordHash([7; 32]), renewed: false, lost };
        let expected =
            json!([{"identifier": "T-2", "claim": "08".repeat(32), "why": "it is over"}]);
        assert_eq!(parsed(kept.answer_json())["claim"]["lost"], expected);
    }

    #[test]
    fn an_issue_that_rests_says_so_and_how_often_it_was_tried() {
        let mut shown = shown("");
        shown.row.held = None;
        assert!(parsed(shown.answer_json()).get("_rest").is_none());
        let reason = Some("exit code 1".to_owned());
        let (end, retry_after_ms, failures) = (RecordHash([9; 32]), 5_000, 2);
        shown.row.rest = Some(Rest { end, retry_after_ms, failures, reason });
        shown.rest_left_ms = Some(4_000);
        let answer = parsed(shown.answer_json());
        let expected = json!({"left_ms": 4_000, "failures": 2, "reason": "exit code 1"});
        assert_eq!((&answer["_rest"], &answer["_attempts"]), (&expected, &json!(2)));
    }

    #[test]
    fn a_holder_is_told_with_everything_that_tells_it_from_others() {
        let holder = Holder { held: held(), silent_ms: None };
        let expected = json!({
            "agent": "01".repeat(32), "worker": "w", "claim": "07".repeat(32),
            "at": "1970-01-01T00:00:00.000Z", "ttl_ms": 60_000, "silent_ms": null, "fence": 2,
            "slot": 0,
        });
        assert_eq!(holder.json(), expected);
    }
}
