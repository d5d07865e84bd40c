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

use super::following::EventFollower;
use super::subscribers::{Subscribers, TooManySubscribers, Topic};

/// How many events are kept. Who was away for more is told to look again.
pub const EVENTS_KEPT: usize = 1_024;

/// How many events somebody is given at once, and of how many bytes: one more than that at most.
const PART_EVENTS_MAX: usize = 64;
const PART_BYTES_MAX: usize = 64 << 10;

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
    /// Its number among those of its list; the first is 1.
    pub place: u64,
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

/// A part of what somebody was not given yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The next events of its topic.
    pub(super) events: Vec<Arc<Event>>,
    /// How many came before them that are gone.
    pub(super) missed: u64,
    /// The number of the last event that was looked at.
    pub(super) seen: u64,
    /// How many of its topic there were up to that one.
    pub(super) place: u64,
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
    subscribers: Subscribers,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    newest: u64,
    /// How many there were of each list.
    counts: BTreeMap<ListId, u64>,
    is_over: bool,
    members: BTreeMap<ListId, BTreeMap<AgentId, Role>>,
}

impl Events {
    pub(super) fn new(epoch: u64, me: AgentId, subscribers: Subscribers) -> Self {
        let newest = Arc::new(watch::Sender::new(0));
        Self { epoch, me, kept: Arc::default(), newest, subscribers }
    }

    /// Returns what tells the numbers of this run of the node from those of another.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Follows what happens from now on to one list or to all, under a name that is shown with how far it is
    /// behind.
    pub fn follow(&self, name: &str, list: Option<ListId>) -> EventFollower {
        let told = self.newest.subscribe();
        let from = self.from(list, None);
        let seat = self.subscribers.enter(topic(list), name, from.1);
        EventFollower::new(self.clone(), told, list, from, seat)
    }

    /// Lets a program follow, where fewer than so many do: from now on, or after an event.
    pub(crate) fn admit(
        &self,
        max: usize,
        name: &str,
        list: Option<ListId>,
        after: Option<u64>,
    ) -> Result<EventFollower, TooManySubscribers> {
        let told = self.newest.subscribe();
        let from = self.from(list, after);
        let seat = self.subscribers.admit(max, topic(list), name, from.1)?;
        Ok(EventFollower::new(self.clone(), told, list, from, seat))
    }

    /// Returns the number of an event, or that of the newest, and how many of a topic there were up to it: at
    /// least so many, where events of one list are gone since.
    fn from(&self, list: Option<ListId>, after: Option<u64>) -> (u64, u64) {
        let kept = self.lock();
        let seen = after.map_or(kept.newest, |after| after.min(kept.newest));
        let next = kept.of(list, seen).next();
        let next = next.map_or(kept.count(list) + 1, |event| event.place_in(list));
        // Nobody knows of which lists they were.
        let gone = kept.oldest().saturating_sub(seen + 1);
        (seen, (next - 1).saturating_sub(gone))
    }

    /// Returns the next events of a topic after one with some number, up to which there were so many.
    pub(super) fn part(&self, list: Option<ListId>, seen: u64, place: u64) -> Part {
        let kept = self.lock();
        let mut part =
            Part { events: Vec::new(), missed: 0, seen: kept.newest, place: kept.count(list) };
        let mut bytes = 0;
        for event in kept.of(list, seen) {
            if part.events.len() >= PART_EVENTS_MAX || bytes > PART_BYTES_MAX {
                part.seen = event.number - 1;
                part.place = event.place_in(list) - 1;
                break;
            }
            bytes += event.data.len();
            part.events.push(event.clone());
        }
        let first = part.events.first().map_or(part.place + 1, |event| event.place_in(list));
        part.missed = first - 1 - place;
        part
    }

    /// Returns how many events of a topic are gone that somebody was not given.
    pub(super) fn missed(&self, list: Option<ListId>, seen: u64, place: u64) -> u64 {
        let kept = self.lock();
        if seen + 1 >= kept.oldest() {
            return 0;
        }
        let first = kept.of(list, seen).next();
        first.map_or(kept.count(list) + 1, |event| event.place_in(list)) - 1 - place
    }

    /// Returns how many events there were of one list, or of all.
    pub(super) fn count(&self, list: Option<ListId>) -> u64 {
        self.lock().count(list)
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
        let oldest = kept.oldest();
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

impl Event {
    /// Returns its number among those of its list, or among all.
    fn place_in(&self, list: Option<ListId>) -> u64 {
        if list.is_some() { self.place } else { self.number }
    }
}

fn topic(list: Option<ListId>) -> Topic {
    list.map_or(Topic::All, Topic::List)
}

impl Kept {
    /// Returns the number of the oldest event that is kept, or of the next.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.events.len() as u64
    }

    fn count(&self, list: Option<ListId>) -> u64 {
        list.map_or(self.newest, |list| self.counts.get(&list).copied().unwrap_or_default())
    }

    /// Returns the events of a topic that are kept and come after one.
    fn of(&self, list: Option<ListId>, seen: u64) -> impl Iterator<Item = &Arc<Event>> {
        let skipped = (seen + 1).saturating_sub(self.oldest());
        let later = self.events.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
        later.filter(move |event| list.is_none_or(|list| list == event.list))
    }

    fn add(&mut self, list: ListId, kind: &'static str, data: Value) {
        self.newest += 1;
        let place = self.counts.entry(list).or_default();
        *place += 1;
        let place = *place;
        let mut whole = Map::new();
        whole.insert("type".to_owned(), kind.into());
        whole.insert("list".to_owned(), list.to_string().into());
        if let Value::Object(data) = data {
            whole.extend(data);
        }
        let data = Value::Object(whole).to_string();
        self.events.push_back(Arc::new(Event { number: self.newest, list, place, kind, data }));
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
        let events = Events::new(1, AgentId([9; 32]), Subscribers::default());
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
    fn who_follows_is_given_all_in_parts_or_told_how_many_are_gone() {
        let events = Events::new(1, AgentId([9; 32]), Subscribers::default());
        let (one, other) = (ListId([7; 32]), ListId([8; 32]));
        for _ in 0..PART_EVENTS_MAX + 1 {
            events.tell(one, &self::one(), None);
            events.tell(other, &self::one(), None);
        }
        let numbers =
            |part: &Part| part.events.iter().map(|event| event.number).collect::<Vec<_>>();
        let first = events.part(Some(other), 0, 0);
        assert_eq!(numbers(&first), (1..=64).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!((first.missed, first.seen, first.place), (0, 129, 64));
        let second = events.part(Some(other), first.seen, first.place);
        assert_eq!((numbers(&second), second.seen, second.place), (vec![130], 130, 65));
        // What is gone of another list is missed by nobody who follows one.
        for _ in 0..EVENTS_KEPT - 1 {
            events.tell(one, &self::one(), None);
        }
        let gone = events.part(Some(other), 0, 0);
        assert_eq!((numbers(&gone), gone.missed), (vec![130], 64));
        assert_eq!(events.missed(Some(other), 0, 0), 64);
        assert_eq!(events.part(Some(other), 129, 64).missed, 0);
        assert_eq!(events.part(None, 0, 0).missed, 129);
        assert_eq!(events.part(None, 129, 129).missed, 0);
        // Who comes back from before that may have missed each that is gone, and no more.
        assert_eq!(events.from(Some(other), Some(100)), (100, 35));
        assert_eq!(events.part(Some(other), 100, 35).missed, 29);
        assert_eq!(events.from(Some(other), None), (130 + 1_023, 65));
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
        let events = Events::new(1, AgentId([9; 32]), Subscribers::default());
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
