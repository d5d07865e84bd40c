//! Somebody who follows events: all of them in order, or how many it missed. It is given what is kept, as much at
//! once as its reader can hold; whoever is slow slows nobody.

use std::sync::Arc;

use tokio::sync::watch;
use x0x_tracker::id::ListId;

use super::events::{Event, Events, Part};
use super::subscribers::Seat;

/// What somebody who follows events hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Something happened.
    Event(Arc<Event>),
    /// So much happened meanwhile that some of it is kept no more: look at the list again.
    Lagged {
        /// How many events were missed; at most so many, where somebody came back to one list from before what
        /// is kept.
        missed: u64,
    },
}

/// Somebody who follows the events of one list or of all.
#[derive(Debug)]
pub struct EventFollower {
    events: Events,
    told: watch::Receiver<u64>,
    list: Option<ListId>,
    /// The number of the last event that it was given or that is not for it.
    seen: u64,
    /// How many events of its topic there were up to that one.
    place: u64,
    seat: Seat,
}

impl EventFollower {
    pub(super) fn new(
        events: Events,
        told: watch::Receiver<u64>,
        list: Option<ListId>,
        (seen, place): (u64, u64),
        seat: Seat,
    ) -> Self {
        Self { events, told, list, seen, place, seat }
    }

    /// Returns the number of the last event that it was given, or one after it that is not for it: whoever comes
    /// back from there misses none.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns what comes next, once there is something: a part of what is there, never nothing; `None` once the
    /// node stops. A call that is not waited for to its end loses nothing.
    pub async fn next(&mut self) -> Option<Vec<Happened>> {
        loop {
            self.told.mark_unchanged();
            let happened = self.part();
            if !happened.is_empty() {
                return Some(happened);
            }
            if self.events.is_over() || self.told.changed().await.is_err() {
                return None;
            }
        }
    }

    fn part(&mut self) -> Vec<Happened> {
        let Part { events, missed, seen, place } =
            self.events.part(self.list, self.seen, self.place);
        (self.seen, self.place) = (seen, place);
        self.seat.missed(missed);
        self.seat.reached(place);
        let lagged = (missed > 0).then_some(Happened::Lagged { missed });
        lagged.into_iter().chain(events.into_iter().map(Happened::Event)).collect()
    }
}

impl Drop for EventFollower {
    fn drop(&mut self) {
        // What is gone by now, it cannot be given any more.
        self.seat.missed(self.events.missed(self.list, self.seen, self.place));
    }
}
