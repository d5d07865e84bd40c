//! Who follows what on this node, by name: how far each is behind, and how much it missed. It counts, and holds
//! up nobody. What is told, and how much of it is kept, others know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use x0x_tracker::id::ListId;

use crate::pump::{SubscriberView, TopicView};
use crate::time::{self, Moment};

/// How many bytes the name of a subscriber has at most; the rest is cut off.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of a subscriber inside the program that gave itself none.
pub(super) const UNNAMED: &str = "this program";

/// What can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// What happens to any list.
    All,
    /// What happens to one list.
    List(ListId),
    /// Direct messages that come.
    Direct,
}

impl Topic {
    fn name(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::List(list) => list.to_string(),
            Self::Direct => "direct".to_owned(),
        }
    }
}

/// As many follow as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{max} follow events or messages of this node, as many as may")]
pub struct TooManySubscribers {
    /// How many may.
    pub max: usize,
}

/// Everybody who follows something.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// The number of the next who comes.
    next: u64,
    /// In the order in which they came. Those over HTTP are bounded by [`Subscribers::admit`], those inside the
    /// program by itself.
    entries: BTreeMap<u64, Arc<Entry>>,
    /// How much was missed, by topic: there are no more of them than lists, and two.
    lagged: BTreeMap<Topic, u64>,
}

#[derive(Debug)]
struct Entry {
    topic: Topic,
    name: String,
    since: Moment,
    /// How many there were of its topic when it was given the last.
    place: AtomicU64,
    lagged: AtomicU64,
}

/// The place of one who follows; it is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    subscribers: Subscribers,
    number: u64,
    entry: Arc<Entry>,
}

impl Subscribers {
    /// Lets somebody inside the program follow, from a place on.
    pub(super) fn enter(&self, topic: Topic, name: &str, place: u64) -> Seat {
        self.seat(&mut self.lock(), topic, name, place)
    }

    /// Lets somebody else follow, where fewer do than may.
    pub(super) fn admit(
        &self,
        max: usize,
        topic: Topic,
        name: &str,
        place: u64,
    ) -> Result<Seat, TooManySubscribers> {
        let mut book = self.lock();
        match book.entries.len() >= max {
            true => Err(TooManySubscribers { max }),
            false => Ok(self.seat(&mut book, topic, name, place)),
        }
    }

    fn seat(&self, book: &mut Book, topic: Topic, name: &str, place: u64) -> Seat {
        let number = book.next;
        book.next += 1;
        let entry = Arc::new(Entry {
            topic,
            name: cleaned(name),
            since: time::origin(),
            place: AtomicU64::new(place),
            lagged: AtomicU64::new(0),
        });
        book.entries.insert(number, entry.clone());
        Seat { subscribers: self.clone(), number, entry }
    }

    /// Returns who follows what. Events of every list and direct messages are always named, a list where somebody
    /// follows it or missed something of it; `newest` says how many there were of a topic so far.
    pub(super) fn topics(&self, newest: impl Fn(Topic) -> u64) -> Vec<TopicView> {
        let mut topics = BTreeMap::from([(Topic::All, Vec::new()), (Topic::Direct, Vec::new())]);
        let lagged = {
            let book = self.lock();
            for entry in book.entries.values() {
                topics.entry(entry.topic).or_default().push(entry.clone());
            }
            book.lagged.clone()
        };
        for topic in lagged.keys() {
            topics.entry(*topic).or_default();
        }
        let view = |(topic, entries): (Topic, Vec<Arc<Entry>>)| {
            let newest = newest(topic);
            let subscribers: Vec<_> = entries.iter().map(|entry| entry.view(newest)).collect();
            let lateness = |one: &SubscriberView| (one.behind, one.lagged_total);
            let late = subscribers.iter().filter(|one| lateness(one) > (0, 0));
            TopicView {
                topic: topic.name(),
                slowest: late.max_by_key(|one| lateness(one)).cloned(),
                lagged_total: lagged.get(&topic).copied().unwrap_or_default(),
                subscribers,
            }
        };
        topics.into_iter().map(view).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // Whoever panicked while holding it leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn view(&self, newest: u64) -> SubscriberView {
        SubscriberView {
            name: self.name.clone(),
            behind: newest.saturating_sub(self.place.load(Ordering::Relaxed)),
            lagged_total: self.lagged.load(Ordering::Relaxed),
            for_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Seat {
    /// Notes how many there were of its topic when it was given the last.
    pub(super) fn reached(&self, place: u64) {
        self.entry.place.store(place, Ordering::Relaxed);
    }

    /// Counts what it missed.
    pub(super) fn missed(&self, count: u64) {
        if count == 0 {
            return;
        }
        let Entry { topic, name, .. } = &*self.entry;
        tracing::debug!(topic = topic.name(), name, count, "a subscriber is too slow");
        self.entry.lagged.fetch_add(count, Ordering::Relaxed);
        *self.subscribers.lock().lagged.entry(*topic).or_default() += count;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.subscribers.lock().entries.remove(&self.number);
    }
}

/// Returns a name without control characters, of at most [`NAME_BYTES_MAX`].
fn cleaned(name: &str) -> String {
    let mut cleaned = String::new();
    for c in name.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if cleaned.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        cleaned.push(c);
    }
    match cleaned.trim() {
        "" => UNNAMED.to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Topic = Topic::List(ListId([7; 32]));

    fn of(subscribers: &Subscribers, topic: Topic) -> TopicView {
        let topics = subscribers.topics(|_| 10);
        topics.into_iter().find(|view| view.topic == topic.name()).unwrap()
    }

    #[test]
    fn the_slowest_is_named_and_what_was_missed_outlives_who_missed_it() {
        let subscribers = Subscribers::default();
        let (quick, slow) =
            (subscribers.enter(LIST, "quick", 10), subscribers.enter(LIST, "slow", 10));
        assert_eq!(of(&subscribers, LIST).slowest, None, "nobody is");
        slow.reached(4);
        let view = of(&subscribers, LIST);
        let slowest = view.slowest.unwrap();
        assert_eq!((slowest.name.as_str(), slowest.behind), ("slow", 6));
        assert_eq!(view.subscribers.len(), 2);
        slow.reached(10);
        slow.missed(3);
        quick.missed(1);
        let slowest = of(&subscribers, LIST).slowest.unwrap();
        assert_eq!((slowest.name.as_str(), slowest.lagged_total), ("slow", 3), "it missed most");
        drop(slow);
        drop(quick);
        let view = of(&subscribers, LIST);
        assert_eq!((view.subscribers.len(), view.slowest, view.lagged_total), (0, None, 4));
        assert_eq!(of(&subscribers, Topic::All).lagged_total, 0);
    }

    #[test]
    fn as_many_are_admitted_as_may_and_another_once_one_left() {
        let subscribers = Subscribers::default();
        let admit = || subscribers.admit(2, Topic::All, "program", 0);
        let first = admit().unwrap();
        let _second = admit().unwrap();
        assert_eq!(admit().unwrap_err(), TooManySubscribers { max: 2 });
        drop(first);
        let _third = admit().unwrap();
        let _own = subscribers.enter(Topic::Direct, "", 0);
        assert_eq!(of(&subscribers, Topic::Direct).subscribers[0].name, UNNAMED);
    }

    #[test]
    fn names_are_short_and_of_one_line() {
        assert_eq!(cleaned("curl/8\r\n\u{1b}[31m "), "curl/8   [31m");
        let long = "ü".repeat(NAME_BYTES_MAX);
        assert_eq!(cleaned(&long), "ü".repeat(NAME_BYTES_MAX / 2));
        assert_eq!(cleaned(&format!("x{long}")).len(), NAME_BYTES_MAX - 1, "no half of one");
    }
}
