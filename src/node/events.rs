//! What happened to the task lists of this node, for whoever follows it: the newest events are kept, so that
//! who was away for a moment misses none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::interface::Held;
use x0x_tracker::interface::claims::Note;
use x0x_tracker::interface::report::Row;
use x0x_tracker::journal::charter::Role;
use x0x_tracker::state;
use x0x_tracker::store::{Change, Changes};

/// How many events are kept. Who was away for more is told to look again.
pub const EVENTS_KEPT: usize = 1_024;

/// Every kind of event there is; `reset` says that something was missed.
pub const KINDS: [&str; 14] = [
    "created",
    "edited",
    "commented",
    "claimed",
    "confirmed",
    "lost",
    "released",
    "handed_off",
    "ended",
    "reopened",
    "removed",
    "conflict",
    "member",
    "reset",
];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number; the first is 1.
    pub number: u64,
    /// The task list.
    pub list: ListId,
    /// What kind of event it is.
    pub kind: &'static str,
    /// What happened, as JSON.
    pub data: String,
}

/// What one look at the events found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The events after the last that was seen.
    pub events: Vec<Arc<Event>>,
    /// Whether some are gone that were not seen.
    pub has_gap: bool,
    /// The number of the newest.
    pub newest: u64,
}

/// The events of a node.
#[derive(Clone, Debug)]
pub struct Events {
    /// Tells the numbers of this node's run from those of another.
    epoch: u64,
    /// Whose node it is.
    me: AgentId,
    kept: Arc<Mutex<Kept>>,
    newest: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    newest: u64,
    is_over: bool,
    members: BTreeMap<ListId, BTreeMap<AgentId, Role>>,
}

impl Events {
    pub(super) fn new(epoch: u64, me: AgentId) -> Self {
        Self { epoch, me, kept: Arc::default(), newest: Arc::new(watch::Sender::new(0)) }
    }

    /// Returns what tells the numbers of this run of the node from those of another.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns what tells the number of the newest event, whenever there is one.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns the number of the newest event.
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Has whoever follows it end once it has all.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.newest.send_modify(|_| {});
    }

    /// Tells whether nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Returns the events after one that was seen.
    pub fn after(&self, seen: u64) -> Found {
        let kept = self.lock();
        let oldest = kept.newest + 1 - kept.events.len() as u64;
        let events = kept.events.iter().filter(|event| event.number > seen).cloned().collect();
        Found {
            events,
            has_gap: seen.saturating_add(1) < oldest || seen > kept.newest,
            newest: kept.newest,
        }
    }

    /// Notes who belongs to a list, without telling anybody.
    pub(super) fn know_members(&self, list: ListId, members: BTreeMap<AgentId, Role>) {
        self.lock().members.insert(list, members);
    }

    /// Tells what changed in a list; `members` are those that it has now, where they may be others.
    pub(super) fn tell(
        &self,
        list: ListId,
        changes: &Changes,
        members: Option<BTreeMap<AgentId, Role>>,
    ) {
        let mut kept = self.lock();
        for change in &changes.issues {
            for (kind, data) in events_of(change) {
                kept.add(list, kind, data);
            }
        }
        if changes.is_cut {
            kept.add(list, "reset", json!({"reason": "more changed than is told one by one"}));
        }
        if let Some(members) = members {
            let before = kept.members.insert(list, members.clone()).unwrap_or_default();
            for (agent, role) in changed_members(&before, &members) {
                kept.add(list, "member", json!({"agent_id": agent.to_string(), "role": role}));
            }
        }
        let newest = kept.newest;
        drop(kept);
        self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }

    /// Tells that nobody else could have claimed an issue without being heard.
    pub(super) fn confirmed(&self, list: ListId, row: &Row) {
        let Some(held) = &row.held else { return };
        let mut kept = self.lock();
        kept.add(list, "confirmed", with(row, held, "holder"));
        let newest = kept.newest;
        drop(kept);
        self.newest.send_replace(newest);
    }

    /// Returns whose node it is.
    pub(super) fn me(&self) -> AgentId {
        self.me
    }

    /// Tells that a list may have changed in any way.
    pub(super) fn reset(&self, list: ListId, reason: &str) {
        let mut kept = self.lock();
        kept.add(list, "reset", json!({"reason": reason}));
        let newest = kept.newest;
        drop(kept);
        self.newest.send_replace(newest);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked while holding it leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, list: ListId, kind: &'static str, data: Value) {
        self.newest += 1;
        let mut whole = Map::new();
        whole.insert("type".to_owned(), kind.into());
        whole.insert("list".to_owned(), list.to_string().into());
        if let Value::Object(data) = data {
            whole.extend(data);
        }
        let data = Value::Object(whole).to_string();
        self.events.push_back(Arc::new(Event { number: self.newest, list, kind, data }));
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }
}

fn changed_members(
    before: &BTreeMap<AgentId, Role>,
    now: &BTreeMap<AgentId, Role>,
) -> Vec<(AgentId, Option<Role>)> {
    let new = now.iter().filter(|(agent, role)| before.get(agent) != Some(role));
    let gone = before.keys().filter(|agent| !now.contains_key(agent));
    new.map(|(agent, role)| (*agent, Some(*role))).chain(gone.map(|agent| (*agent, None))).collect()
}

/// Returns what a change of an issue is: one event for each thing that happened to it.
fn events_of(change: &Change) -> Vec<(&'static str, Value)> {
    let (before, after) = match (&change.before, &change.after) {
        (_, None) => {
            let gone = change.before.as_ref().map(|row| ("removed", told(row)));
            return gone.into_iter().collect();
        }
        (None, Some(after)) => {
            let mut events = vec![("created", told(after))];
            events.extend(after.held.as_ref().map(|held| ("claimed", with(after, held, "holder"))));
            return events;
        }
        (Some(before), Some(after)) => (before, after),
    };
    let mut events = Vec::new();
    let is_handed_off = after.tally.handoffs > before.tally.handoffs;
    match (&before.held, &after.held) {
        (Some(old), Some(new)) if old.claim != new.claim => {
            let is_same = (old.agent, &old.worker) == (new.agent, &new.worker);
            if !is_same {
                events.push(("lost", with(after, old, "holder")));
            }
            let mut claimed = with(after, new, "holder");
            claimed["renewed"] = is_same.into();
            events.push(("claimed", claimed));
        }
        (None, Some(new)) => {
            let mut claimed = with(after, new, "holder");
            claimed["renewed"] = false.into();
            events.push(("claimed", claimed));
        }
        (Some(old), None) if is_handed_off => {
            // A claim that came with its handoff may be of another.
            let by = change.outcome.handed_off.as_ref().unwrap_or(old);
            if (by.agent, &by.worker) != (old.agent, &old.worker) {
                events.push(("lost", with(after, old, "holder")));
            }
            events.push(("handed_off", with(after, by, "holder")));
        }
        (Some(old), None) => {
            let ended = change.outcome.ended.iter().find(|(claim, ..)| *claim == old.claim);
            let mut over = with(after, old, "holder");
            match ended {
                Some((_, how, note)) => {
                    over["how"] = (*how).into();
                    over["by"] = note.json();
                    events.push(("released", over));
                }
                // Another took it over, whose end came with that.
                None => events.push(("lost", over)),
            }
        }
        _ => {}
    }
    if is_handed_off && before.held.is_none() {
        let by = change.outcome.handed_off.as_ref();
        events.push(("handed_off", by.map_or_else(|| told(after), |by| with(after, by, "holder"))));
    }
    let (was_over, is_over) = (is_over(before), is_over(after));
    if is_over && !was_over {
        events.push(("ended", told(after)));
    }
    let is_sent_back = after.tally.rework > before.tally.rework;
    if was_over && !is_over || is_sent_back {
        let mut reopened = told(after);
        reopened["by"] = change.outcome.reopened.as_ref().map(Note::json).into();
        events.push(("reopened", reopened));
    }
    if after.deleted && !before.deleted {
        events.push(("removed", told(after)));
    }
    if after.comments > before.comments {
        events.push(("commented", counted(after, "comments", after.comments)));
    }
    if after.conflicts > before.conflicts {
        events.push(("conflict", counted(after, "conflicts", after.conflicts)));
    }
    let fields = edited(before, after);
    if !fields.is_empty() || events.is_empty() && before.version != after.version {
        let mut data = told(after);
        // What is no field is a record of a claim, or of a slate.
        data["fields"] = if fields.is_empty() { json!(["claims"]) } else { json!(fields) };
        events.push(("edited", data));
    }
    events
}

fn is_over(row: &Row) -> bool {
    state::is_terminal(row.state.as_deref())
}

fn told(row: &Row) -> Value {
    json!({
        "id": row.id,
        "identifier": row.identifier,
        "title": row.title,
        "state": row.state,
        "version": row.version.to_string(),
    })
}

fn counted(row: &Row, name: &str, count: u32) -> Value {
    let mut data = told(row);
    data[name] = count.into();
    data
}

fn with(row: &Row, held: &Held, name: &str) -> Value {
    let mut data = told(row);
    data[name] = json!({
        "agent": held.agent.to_string(),
        "worker": held.worker,
        "claim": held.claim.to_string(),
        "fence": held.fence,
        "ttl_ms": held.ttl_ms,
    });
    data
}

/// Returns the fields that a row knows and that are others now. A state that follows from a claim or from
/// its end is told by that.
fn edited(before: &Row, after: &Row) -> Vec<&'static str> {
    let state_follows = before.held != after.held
        || before.tally != after.tally
        || is_over(before)
        || is_over(after);
    let pairs = [
        ("identifier", before.identifier != after.identifier),
        ("title", before.title != after.title),
        ("state", before.state != after.state && !state_follows),
        ("priority", before.priority != after.priority),
        ("labels", before.labels != after.labels),
        ("assignee", before.assignee != after.assignee),
        ("blocked_by", before.blocked_by != after.blocked_by),
        ("deleted_at", before.deleted && !after.deleted),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use x0x_tracker::store::Outcome;

    use super::*;

    fn list() -> ListId {
        ListId([7; 32])
    }

    fn one() -> Changes {
        Changes {
            issues: vec![Change {
                before: None,
                after: Some(x0x_tracker::testing::row()),
                outcome: Outcome::default(),
            }],
            ..Changes::default()
        }
    }

    #[test]
    fn who_was_away_for_longer_than_events_are_kept_is_told_so() {
        let events = Events::new(1, AgentId([9; 32]));
        assert_eq!(events.after(0), Found { events: Vec::new(), has_gap: false, newest: 0 });
        for _ in 0..EVENTS_KEPT + 10 {
            events.tell(list(), &one(), None);
        }
        let newest = (EVENTS_KEPT + 10) as u64;
        let all = events.after(10);
        assert_eq!((all.events.len(), all.has_gap, all.newest), (EVENTS_KEPT, false, newest));
        assert!(events.after(9).has_gap, "event 10 is gone");
        assert!(events.after(newest + 1).has_gap, "no event had that number");
        assert!(!events.after(newest).has_gap && events.after(newest).events.is_empty());
    }

    #[test]
    fn the_end_of_a_claim_is_told_of_the_one_whose_it_is_with_who_ended_it_and_why() {
        let held = |n: u8, worker: &str| Held {
            claim: x0x_tracker::id::RecordHash([n; 32]),
            agent: AgentId([n; 32]),
            worker: worker.to_owned(),
            at: x0x_tracker::timestamp::Timestamp(0),
            ttl_ms: 1_000,
            fence: 1,
            slot: 0,
        };
        let (old, other) = (held(3, "w"), held(4, "w"));
        let before = Row { held: Some(old.clone()), ..x0x_tracker::testing::row() };
        let after = Row { held: None, ..before.clone() };
        let told = |before: &Row, after: &Row, outcome: Outcome| {
            let (before, after) = (Some(before.clone()), Some(after.clone()));
            events_of(&Change { before, after, outcome })
        };
        let names = |events: &[(&'static str, Value)]| {
            let name =
                |(kind, data): &(&'static str, Value)| (*kind, data["holder"]["claim"].clone());
            events.iter().map(name).collect::<Vec<_>>()
        };
        let claim = |held: &Held| Value::from(held.claim.to_string());
        let mut handed = after.clone();
        handed.tally.handoffs += 1;
        let of = |held: &Held| Outcome { handed_off: Some(held.clone()), ..Outcome::default() };
        assert_eq!(names(&told(&before, &handed, of(&old))), [("handed_off", claim(&old))]);
        let renewed = Held { claim: other.claim, ..old.clone() };
        let events = told(&before, &handed, of(&renewed));
        assert_eq!(names(&events), [("handed_off", claim(&other))], "it was renewed for that");
        let events = told(&before, &handed, of(&other));
        assert_eq!(names(&events), [("lost", claim(&old)), ("handed_off", claim(&other))]);
        let unheld = Row { held: None, ..before.clone() };
        let events = told(&unheld, &handed, of(&other));
        assert_eq!(names(&events), [("handed_off", claim(&other))]);
        let (by, at) = (AgentId([9; 32]), x0x_tracker::timestamp::Timestamp(7));
        let note = Note { by, at, reason: Some("it was stuck".to_owned()) };
        let ended = vec![
            (other.claim, "released", Note { reason: None, ..note.clone() }),
            (old.claim, "forced", note.clone()),
        ];
        assert_eq!(names(&told(&before, &after, Outcome::default())), [("lost", claim(&old))]);
        let events = told(&before, &after, Outcome { ended, ..Outcome::default() });
        assert_eq!(names(&events), [("released", claim(&old))]);
        let data = &events[0].1;
        assert_eq!(
            (&data["how"], &data["by"]["reason"]),
            (&"forced".into(), &"it was stuck".into())
        );
        let mut sent_back = handed.clone();
        sent_back.tally.rework += 1;
        let reopened = Some(note);
        let events = told(&handed, &sent_back, Outcome { reopened, ..Outcome::default() });
        assert_eq!((events[0].0, &events[0].1["by"]["by"]), ("reopened", &by.to_string().into()));
    }

    #[test]
    fn who_comes_goes_or_has_another_role_is_told() {
        let events = Events::new(1, AgentId([9; 32]));
        let agent = |n| AgentId([n; 32]);
        events.know_members(list(), [(agent(1), Role::Maintainer)].into());
        let now = [(agent(1), Role::Worker), (agent(2), Role::Reader)].into();
        events.tell(list(), &Changes::default(), Some(now));
        events.tell(list(), &Changes::default(), Some([(agent(2), Role::Reader)].into()));
        let told: Vec<(String, Value)> = events
            .after(0)
            .events
            .iter()
            .map(|event| {
                let data: Value = serde_json::from_str(&event.data).unwrap();
                (data["agent_id"].as_str().unwrap()[..2].to_owned(), data["role"].clone())
            })
            .collect();
        let expected = [("01", json!("worker")), ("02", json!("reader")), ("01", Value::Null)];
        assert_eq!(told, expected.map(|(agent, role)| (agent.to_owned(), role)));
    }
}
